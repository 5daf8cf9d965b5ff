/**
 * How much a client takes on, and where it puts it: large commands and replies beside small ones, connections that have
 * gone silent, and the limits on what is outstanding.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type Config, type HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { spawn, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { busyAt } from "../src/Pool.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, type RawConnection, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"

/** Keeps the process from doing anything for longer than a connection may be silent before others are preferred. */
const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)

/** The same, and until a server of another process has answered so many `PING`s. */
const blockUntilPinged = (port: number, times: number) => {
  const program = `const socket = require("node:net").connect(${port}, "127.0.0.1")
    const ask = () => socket.write("INFO commandstats\\r\\n")
    socket.on("data", (text) => Number(/cmdstat_ping:calls=(\\d+)/.exec(text)?.[1]) >= ${times} ? process.exit() : ask())
    ask()`
  assert.strictEqual(spawnSync(process.execPath, ["-e", program], { encoding: "utf8" }).stderr, "")
  block()
}

const mebi = 1024 * 1024

const now = { startImmediately: true } as const

/** The bytes of a reply, or those that arrive at once and the rest, which is kept. */
type Reply = string | readonly [first: string, rest: string]

type Answer = (words: ReadonlyArray<string>, connection: RawConnection) => Reply | undefined

/**
 * A server that answers `PING` and what `answer` says, and keeps everything else, with what comes after it on the same
 * connection, until `release` answers it, with `OK`. `pings` has the number of the connection on which each `PING` was
 * answered at once, `kept` the first two words of what `answer` left alone.
 */
const keepingServer = Effect.fnUntraced(function*(answer: Answer = () => undefined) {
  const pings: Array<number> = []
  const kept: Array<string> = []
  const owed = new Map<RawConnection, string>()
  const server = yield* rawServer((words, connection) => {
    const [command, key] = words
    const reply = answer(words, connection) ?? answerHandshake(words) ?? (command === "PING" ? "+PONG\r\n" : undefined)
    if (reply === undefined) kept.push(key === undefined ? command : `${command} ${key}`)
    const [first, rest] = reply === undefined ? ["", "+OK\r\n"] : typeof reply === "string" ? [reply, ""] : reply
    const before = owed.get(connection)
    if (before !== undefined || rest !== "") {
      owed.set(connection, before === undefined ? rest : before + first + rest)
      return before === undefined ? first : undefined
    }
    if (command === "PING") pings.push(connection.id)
    return first
  })
  const release = Effect.sync(() => {
    for (const [{ socket }, bytes] of owed) socket.write(bytes)
    owed.clear()
  })
  return { ...server, pings, kept, release }
})

/** A client that gives each command as long as it takes, and the effect that closes it. */
const connectTo = Effect.fnUntraced(function*({ port }: { readonly port: number }, options: Config.Options = {}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const redis = yield* HitlessRedis.make({
    host: "127.0.0.1",
    port,
    commandTimeout: "Infinity",
    maintenance: { logLevel: "Error" },
    ...options
  }).pipe(Scope.provide(scope), Effect.provide(NodeTransport.layer))
  return { redis, close: Scope.close(scope, Exit.void) }
})

/** The same in a time that passes only when the test says so, and timers that do not: until then nothing is slow. */
const connectInOwnTime = Effect.fnUntraced(function*(
  server: { readonly port: number },
  options: Config.Options = {}
) {
  const time = { millis: 0 }
  const clock = yield* Clock.Clock
  const nanos = () => BigInt(time.millis) * 1_000_000n
  const client = yield* Effect.provideService(connectTo(server, options), Clock.Clock, {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) => clock.sleep(duration)
  })
  return { ...client, time }
})

type Redis = HitlessRedis.HitlessRedis["Service"]

const serving = (redis: Redis) =>
  Effect.map(redis.status, ({ slots }) => slots.filter(({ state }) => state === "Serving").length)

const load = (redis: Redis) => Effect.map(redis.status, ({ pending }) => pending)

/** Sends until a second connection serves. What is sent before that may have to wait. */
const untilSecond = Effect.fnUntraced(function*(redis: Redis) {
  yield* waitUntil(Effect.gen(function*() {
    yield* Effect.forkScoped(redis.send("PING"), now)
    return (yield* serving(redis)) === 2
  }))
})

const pings = (redis: Redis, count: number) =>
  Effect.forEach(Array.from({ length: count }), () => redis.send("PING"), { discard: true })

// ----- where a command goes -----

describe("a small command", () => {
  const blob = "x".repeat(5 * mebi)
  const element = `$1000\r\n${"x".repeat(1000)}\r\n`
  const five = Array.from({ length: 5 }, () => element).join("")

  /** What begins to arrive, and the rest of it. */
  const replies: Record<string, readonly [first: string, rest: string]> = {
    "a blob": [`$${blob.length}\r\nx`, `${blob.slice(1)}\r\n`],
    "an array whose elements have sizes that are not told in advance": [`*6000\r\n${five}`, element.repeat(5995)],
    "an array in an array": [`*1\r\n*2\r\n$3\r\nkey\r\n*6000\r\n${five}`, element.repeat(5995)],
    "a map": [`%3000\r\n${five}`, element.repeat(5995)],
    "a blob in an array": [`*3\r\n:1\r\n$${blob.length}\r\nx`, `${blob.slice(1)}\r\n:2\r\n`]
  }

  it.live.each(Object.entries(replies))(
    "goes another way while %s of 5 MiB is arriving",
    ([, reply]) =>
      Effect.gen(function*() {
        const server = yield* keepingServer(([command]) => command === "GET" ? reply : undefined)
        const { redis } = yield* connectInOwnTime(server)
        const large = yield* Effect.forkScoped(redis.send("GET", "large"), now)
        yield* untilSecond(redis)
        yield* pings(redis, 20)
        assert.isUndefined(large.pollUnsafe())
        assert.deepStrictEqual(server.pings.slice(-20), Array.from({ length: 20 }, () => 2))
        yield* server.release
        yield* Fiber.join(large)
      })
  )

  const half = "x".repeat(busyAt * 64)

  const requests: Record<string, (redis: Redis) => Effect.Effect<unknown, HitlessError.HitlessError>> = {
    "one large argument": (redis) => redis.send("SET", "large", blob),
    "bytes": (redis) => redis.send("SET", "large", new Uint8Array(5 * mebi)),
    "many arguments": (redis) => redis.send("MSET", ...Array.from({ length: 200 }, () => "x".repeat(32_768))),
    "a pipeline": (redis) => redis.pipeline(Array.from({ length: 80 }, (_, i) => ["SET", `key:${i}`, half] as const)),
    "a transaction": (redis) => redis.transaction([["SET", "a", blob], ["INCR", "b"]]),
    "eighty commands": (redis) =>
      Effect.forEach(Array.from({ length: 80 }), () => redis.send("SET", "key", half), { concurrency: "unbounded" })
  }

  it.live.each(Object.entries(requests))(
    "goes another way while 5 MiB of %s are not answered",
    ([, request]) =>
      Effect.gen(function*() {
        const server = yield* keepingServer()
        const { redis } = yield* connectInOwnTime(server)
        const large = yield* Effect.forkScoped(Effect.exit(request(redis)), now)
        yield* untilSecond(redis)
        yield* pings(redis, 20)
        assert.isUndefined(large.pollUnsafe())
        assert.deepStrictEqual(server.pings.slice(-20), Array.from({ length: 20 }, () => 2))
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(server.release, Effect.sleep("5 millis"))))
        yield* Fiber.join(large)
        yield* waitUntil(Effect.map(load(redis), (pending) => pending === 0))
      })
  )

  it.live("goes another way when the oldest command of its connection waits, whatever the reason", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server)
      const silent = yield* Effect.forkScoped(redis.send("HOLD"), now)
      yield* untilSecond(redis)
      yield* pings(redis, 20)
      assert.deepStrictEqual(server.pings.slice(-20), Array.from({ length: 20 }, () => 2))
      assert.isUndefined(silent.pollUnsafe())
    }))

  it.live("goes another way the earlier, the less time it has", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis, time } = yield* connectInOwnTime(server, { poolSize: 2 })
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      yield* waitUntil(Effect.sync(() => server.kept.length === 1))
      time.millis = 1000
      yield* untilSecond(redis)
      yield* pings(redis, 1)
      // Now it is the second that is used, and waits.
      yield* server.release
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      yield* waitUntil(Effect.sync(() => server.kept.length === 2))
      time.millis = 1060
      const loads = Effect.map(redis.status, ({ slots }) => slots.map(({ load }) => load))
      yield* waitUntil(Effect.map(loads, ([first]) => first === 0))
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      assert.deepStrictEqual(yield* loads, [0, 2])
      const brief = yield* Effect.forkScoped(
        Effect.provideService(redis.send("PING"), HitlessRedis.CurrentCommandTimeout, "200 millis"),
        now
      )
      assert.deepStrictEqual(yield* loads, [1, 2])
      assert.strictEqual(yield* Fiber.join(brief), "PONG")
    }))

  it.live("prefers a connection that is loaded and answers to one that is silent", () =>
    Effect.gen(function*() {
      let answered = 0
      const server = yield* keepingServer(([command], { id, socket }) => {
        if (command !== "LOAD" || id === 1) return undefined
        // One of its many commands is answered for each that comes from then on.
        if (answered++ >= busyAt) socket.write("+OK\r\n")
        return ""
      })
      const { redis } = yield* connectTo(server, { poolSize: 2 })
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      yield* untilSecond(redis)
      const { load: held } = (yield* redis.status).slots[0]!
      for (let i = 0; i < busyAt + 50; i++) yield* Effect.forkScoped(redis.send("LOAD"), now)
      yield* waitUntil(Effect.sync(() => answered === busyAt + 50))
      assert.strictEqual((yield* redis.status).slots[0]!.load, held)
    }))

  it.live("waits its turn when there is one connection", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer(([command]) =>
        command === "GET" ? [`$${blob.length}\r\nx`, `${blob.slice(1)}\r\n`] : undefined
      )
      const { redis } = yield* connectTo(server, { poolSize: 1 })
      const large = yield* Effect.forkScoped(redis.send("GET", "large"), now)
      const small = yield* Effect.forkScoped(redis.send("PING"), now)
      yield* waitUntil(Effect.map(server.release, () => large.pollUnsafe() !== undefined))
      yield* Fiber.join(large)
      assert.strictEqual(yield* Fiber.join(small), "PONG")
      assert.strictEqual(server.connections.length, 1)
    }))

  it.live("stays with the others on one connection that carries them well", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { redis } = yield* connectTo({ port })
      const mixed = Effect.all([redis.send("SET", "key", half), redis.send("GET", "key"), redis.send("PING")], {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(Array.from({ length: 200 }), () => mixed, { concurrency: 20, discard: true })
      assert.strictEqual(yield* serving(redis), 1)
    }))

  it.live("opens no connection when it is the process that was busy, and not the server", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { redis } = yield* connectTo({ port })
      for (let i = 0; i < 5; i++) {
        const first = yield* Effect.forkScoped(redis.send("PING"), now)
        // It is written at the end of this turn; then nothing is read for longer than a server may be silent.
        yield* Effect.yieldNow
        blockUntilPinged(port, 2 * i + 1)
        yield* redis.send("PING")
        yield* Fiber.join(first)
      }
      assert.strictEqual(yield* serving(redis), 1)
    }))

  it.live("is with the others also when what was interrupted long ago was never written", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis, time } = yield* connectInOwnTime(server)
      yield* Fiber.interrupt(yield* Effect.forkScoped(redis.send("PING"), now))
      // The turn in which it would have been written ends before the time passes.
      yield* Effect.yieldNow
      time.millis = 1000
      const held = yield* Effect.forkScoped(redis.send("HOLD"), now)
      const next = yield* Effect.forkScoped(redis.send("PING"), now)
      yield* waitUntil(Effect.sync(() => server.kept.length === 1))
      yield* server.release
      yield* Fiber.join(held)
      yield* Fiber.join(next)
      yield* pings(redis, 20)
      assert.strictEqual(server.connections.length, 1)
    }))
})

// ----- how much is taken on -----

const overloaded = (error: HitlessError.HitlessError) => {
  const { reason } = error
  if (reason._tag !== "Overloaded") return assert.fail(`${reason._tag}: ${reason.message}`)
  assert.isFalse(reason.mayHaveExecuted)
  assert.isTrue(reason.isRetryable)
  return { command: reason.command, limit: reason.limit, unit: reason.unit }
}

describe("what is outstanding", () => {
  const commands = { maxPendingCommands: 10 }
  const bytes = { maxPendingBytes: 10_000 }
  const thousand = "x".repeat(1000)

  /** What fills a client up to its limit, one by one, and the limit. */
  const fills: Record<string, readonly [Config.Options, number, (redis: Redis) => Effect.Effect<unknown, unknown>]> = {
    "commands": [commands, 10, (redis) => redis.send("HOLD")],
    "pipelines": [commands, 2, (redis) => redis.pipeline(Array.from({ length: 5 }, () => ["HOLD"] as const))],
    "transactions, with MULTI and EXEC": [commands, 2, (redis) => redis.transaction([["A"], ["B"], ["C"]])],
    "text": [bytes, 8, (redis) => redis.send("SET", "key", thousand)],
    "bytes": [bytes, 8, (redis) => redis.sendBytes("SET", "key", new Uint8Array(1000))],
    "many small arguments": [bytes, 2, (redis) => redis.send("MGET", ...Array.from({ length: 100 }, () => "key"))],
    "arguments in pipelines": [bytes, 2, (redis) => redis.pipeline(Array.from({ length: 4 }, () => ["A", thousand]))]
  }

  it.live.each(Object.entries(fills))("is bounded in %s", ([, [options, count, fill]]) =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, options)
      const accepted: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < count; i++) accepted.push(yield* Effect.forkScoped(Effect.exit(fill(redis)), now))
      const { limit, unit } = overloaded(
        yield* Effect.flip(fill(redis) as Effect.Effect<unknown, HitlessError.HitlessError>)
      )
      assert.deepStrictEqual(
        { limit, unit },
        "maxPendingBytes" in options
          ? { limit: 10_000, unit: "bytes" }
          : { limit: 10, unit: "commands" }
      )
      assert.isTrue(accepted.every((fiber) => fiber.pollUnsafe() === undefined))
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(server.release, Effect.sleep("5 millis"))))
      for (const fiber of accepted) yield* Fiber.join(fiber)
      assert.strictEqual(yield* load(redis), 0)
      yield* fill(redis).pipe(Effect.exit)
    }))

  it.live("is told with the limit, its option and the way out, and never with an argument", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, { maxPendingCommands: 1, maxPendingBytes: 1000 })
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      const many = yield* Effect.flip(redis.send("SET", "secret", "secret"))
      assert.strictEqual(
        many.message,
        "SET was not accepted: more than 1 commands would be outstanding; send fewer at a time, raise " +
          "maxPendingCommands, or let commands wait for room with whenOverloaded: \"wait\""
      )
      const { redis: other } = yield* connectTo(server, { maxPendingBytes: 1000 })
      yield* Effect.forkScoped(other.send("HOLD", "key"), now)
      const large = yield* Effect.flip(other.send("SET", "secret", thousand))
      assert.include(large.message, "SET was not accepted: more than 1000 bytes of arguments would be outstanding")
      assert.include(large.message, "maxPendingBytes")
    }))

  it.live("may be one command that is larger than a limit", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer(([command]) => command === "SET" ? "+OK\r\n" : undefined)
      const { redis } = yield* connectTo(server, { ...bytes, ...commands, poolSize: 1 })
      const large = redis.send("SET", "key", "x".repeat(20_000))
      assert.strictEqual(yield* large, "OK")
      assert.strictEqual((yield* redis.pipeline(Array.from({ length: 20 }, () => ["PING"] as const))).length, 20)
      yield* Effect.forkScoped(redis.send("HOLD"), now)
      assert.strictEqual(overloaded(yield* Effect.flip(large)).unit, "bytes")
      const small = yield* Effect.forkScoped(redis.send("PING"), now)
      yield* waitUntil(Effect.map(server.release, () => small.pollUnsafe() !== undefined))
      assert.strictEqual(yield* Fiber.join(small), "PONG")
    }))

  it.live("counts what was given up while the server may still answer it, and no longer", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, { poolSize: 1, maxPendingCommands: 1 })
      const given = yield* Effect.forkScoped(redis.send("HOLD"), now)
      yield* waitUntil(Effect.sync(() => server.kept.length === 1))
      yield* Fiber.interrupt(given)
      overloaded(yield* Effect.flip(redis.send("PING")))
      yield* server.release
      yield* waitUntil(Effect.map(load(redis), (pending) => pending === 0))
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))

  it.live("counts what waits for a connection, until nobody waits for it any more", () =>
    Effect.gen(function*() {
      // No handshake but the first is answered.
      const server = yield* keepingServer((_, { id }) => id === 1 ? undefined : "")
      const { redis } = yield* connectTo(server, { poolSize: 1, maxPendingCommands: 2, connectTimeout: "1 hour" })
      server.connections[0]!.socket.destroy()
      yield* waitUntil(Effect.map(redis.status, ({ health }) => health === "down"))
      for (let i = 0; i < 3; i++) {
        const first = yield* Effect.forkScoped(redis.send("PING"), now)
        const second = yield* Effect.forkScoped(redis.send("PING"), now)
        overloaded(yield* Effect.flip(redis.send("PING")))
        yield* Fiber.interrupt(first)
        yield* Fiber.interrupt(second)
        assert.strictEqual(yield* load(redis), 0)
      }
    }))

  it.live("is not refused when it is sent again after its connection was lost", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer(([command], { id }) =>
        command === "GET" && id > 1 ? "$1\r\n1\r\n" : undefined
      )
      const { redis } = yield* connectTo(server, { poolSize: 1, maxPendingCommands: 3 })
      const reads: Array<Fiber.Fiber<unknown, HitlessError.HitlessError>> = []
      // What this one sends when it fails takes the room before the others are sent again.
      const others = Array.from({ length: 3 }, () => Effect.exit(redis.send("GET", "other")))
      const write = yield* Effect.forkScoped(
        Effect.catch(redis.send("HOLD"), () => Effect.all(others, { concurrency: "unbounded" })),
        now
      )
      for (let i = 0; i < 2; i++) reads.push(yield* Effect.forkScoped(redis.send("GET", "key"), now))
      yield* waitUntil(Effect.sync(() => server.kept.length === 3))
      server.connections[0]!.socket.destroy()
      for (const read of reads) assert.strictEqual(yield* Fiber.join(read), "1")
      yield* Fiber.join(write)
      assert.strictEqual(yield* load(redis), 0)
    }))

  it.live.each([["commands", 0, 262_144], ["bytes", 50_000, 268_435_456]] as const)(
    "stays within a heap of 1 GiB with the default limit of %s",
    ([unit, characters, limit]) =>
      Effect.gen(function*() {
        const server = yield* rawServer((words, { socket }) => {
          if (words[1] === "MAINT_NOTIFICATIONS") setImmediate(() => socket.pause())
          return answerHandshake(words)
        })
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [
              "--max-old-space-size=1024",
              "--conditions=hitless-source",
              fileURLToPath(new URL("fixtures/overload.ts", import.meta.url)),
              String(server.port),
              String(characters)
            ], { stdio: ["ignore", "pipe", "inherit"] })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        let output = ""
        child.stdout.on("data", (text) => output += text)
        yield* Effect.callback<void>((resume) => {
          child.once("close", () => resume(Effect.void))
        })
        const { error, pending } = JSON.parse(output)
        assert.strictEqual(error.reason._tag, "Overloaded")
        assert.strictEqual(error.reason.unit, unit)
        assert.strictEqual(error.reason.limit, limit)
        if (unit === "commands") assert.strictEqual(pending, limit)
      }),
    60_000
  )
})

describe("a command that waits for room", () => {
  const waiting = { poolSize: 1, whenOverloaded: "wait", maxPendingCommands: 2, maxPendingBytes: 100_000 } as const

  const loadOfFirst = (redis: Redis) => Effect.map(redis.status, ({ slots }) => slots[0]!.load)

  const hold = (redis: Redis, name: string, size = 0) =>
    Effect.forkScoped(redis.send("HOLD", name, "x".repeat(size)), now)

  it.live("is sent when there is some, and nothing overtakes it", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, waiting)
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 7; i++) fibers.push(yield* hold(redis, String(i), i === 3 ? 200_000 : 0))
      assert.strictEqual(yield* load(redis), 7)
      const rounds = [["0", "1"], ["2"], ["3"], ["4", "5"], ["6"]]
      for (let i = 0; i < rounds.length; i++) {
        const sent = rounds.slice(0, i + 1).flat().map((name) => `HOLD ${name}`)
        yield* waitUntil(Effect.sync(() => server.kept.length >= sent.length))
        assert.deepStrictEqual(server.kept, sent)
        yield* server.release
      }
      for (const fiber of fibers) assert.strictEqual(yield* Fiber.join(fiber), "OK")
      assert.strictEqual(yield* load(redis), 0)
    }))

  it.live("goes on from every reply, however many wait", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer(([command, word]) => command === "ECHO" ? `+${word}\r\n` : undefined)
      const { redis } = yield* connectTo(server, { ...waiting, poolSize: 3, maxPendingCommands: 7 })
      const numbers = Array.from({ length: 5000 }, (_, i) => i)
      const echoed = yield* Effect.forEach(numbers, (i) => redis.send("ECHO", i), { concurrency: "unbounded" })
      assert.deepStrictEqual(echoed, numbers.map(String))
      assert.strictEqual(yield* load(redis), 0)
    }))

  it.live("fails at its deadline as a command that was never sent", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, waiting)
      yield* hold(redis, "first")
      yield* hold(redis, "second")
      const error = yield* Effect.flip(
        Effect.provideService(redis.send("INCR", "key"), HitlessRedis.CurrentCommandTimeout, "30 millis")
      )
      assert.strictEqual(error.reason._tag, "CommandTimeout")
      assert.isFalse(error.mayHaveExecuted)
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "never sent")
      yield* waitUntil(Effect.sync(() => server.kept.length === 2))
      yield* server.release
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual(server.kept, ["HOLD first", "HOLD second"])
    }))

  it.live.each(["is interrupted", "comes to its deadline"] as const)(
    "lets the next one go first when it is too large and %s",
    (end) =>
      Effect.gen(function*() {
        const server = yield* keepingServer()
        const { redis } = yield* connectTo(server, waiting)
        yield* hold(redis, "first")
        yield* waitUntil(Effect.sync(() => server.kept.length === 1))
        const large = yield* Effect.forkScoped(
          Effect.provideService(
            Effect.exit(redis.send("HOLD", "large", "x".repeat(200_000))),
            HitlessRedis.CurrentCommandTimeout,
            end === "is interrupted" ? "Infinity" : "30 millis"
          ),
          now
        )
        const small = yield* hold(redis, "small")
        assert.strictEqual(yield* load(redis), 3)
        yield* end === "is interrupted" ? Fiber.interrupt(large) : Fiber.join(large)
        // Accepted, and so behind the first.
        yield* waitUntil(Effect.sync(() => server.kept.length === 2))
        assert.deepStrictEqual(server.kept, ["HOLD first", "HOLD small"])
        yield* server.release
        yield* Fiber.join(small)
      })
  )

  it.live("is not overtaken by one that there would be room for", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, { ...waiting, maxPendingCommands: 100 })
      yield* hold(redis, "first")
      yield* hold(redis, "large", 200_000)
      for (let i = 0; i < 5; i++) yield* hold(redis, "small")
      assert.strictEqual(yield* loadOfFirst(redis), 1)
      assert.strictEqual(yield* load(redis), 7)
    }))

  it.live("is sent when what was before it is interrupted before it was written", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { redis } = yield* connectTo(server, waiting)
      const unwritten = yield* Effect.forEach(["first", "second"], (name) => hold(redis, name))
      const next = yield* Effect.forkScoped(redis.send("PING"), now)
      for (const fiber of unwritten) fiber.interruptUnsafe()
      assert.strictEqual(yield* Fiber.join(next), "PONG")
      assert.deepStrictEqual(server.kept, [])
    }))

  it.live("is sent after what lost its connection", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer(([command, key], { id }) => {
        if (command !== "GET" || id === 1) return undefined
        server.kept.push(`GET ${key}`)
        return "$1\r\n1\r\n"
      })
      const { redis } = yield* connectTo(server, waiting)
      const reads: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 4; i++) reads.push(yield* Effect.forkScoped(redis.send("GET", i), now))
      yield* waitUntil(Effect.sync(() => server.kept.length === 2))
      server.connections[0]!.socket.destroy()
      for (const read of reads) assert.strictEqual(yield* Fiber.join(read), "1")
      // What lost its connection is sent again one by one; the line, in its order, has the room that each leaves.
      assert.deepStrictEqual(server.kept.slice(0, 3), ["GET 0", "GET 1", "GET 0"])
      assert.deepStrictEqual(server.kept.slice(3).filter((read) => read !== "GET 1"), ["GET 2", "GET 3"])
      assert.lengthOf(server.kept, 6)
    }))

  it.live("is sent on another connection when what was outstanding failed with its own", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer((_, { id }) => id > 2 ? "" : undefined)
      const { redis, time } = yield* connectInOwnTime(server, { ...waiting, poolSize: 2 })
      yield* hold(redis, "first")
      yield* waitUntil(Effect.sync(() => server.kept.length === 1))
      // It is slow, and so another connection is opened, for the next but one.
      time.millis = 1000
      yield* hold(redis, "second")
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 2))
      const next = yield* Effect.forkScoped(redis.send("PING"), now)
      assert.isUndefined(next.pollUnsafe())
      server.connections[0]!.socket.destroy()
      assert.strictEqual(yield* Fiber.join(next), "PONG")
    }))

  it.live("fails as closed when the client is closed", () =>
    Effect.gen(function*() {
      const server = yield* keepingServer()
      const { close, redis } = yield* connectTo(server, waiting)
      yield* hold(redis, "first")
      yield* hold(redis, "second")
      yield* waitUntil(Effect.sync(() => server.kept.length === 2))
      const inLine = yield* Effect.forkScoped(Effect.flip(redis.send("PING")), now)
      const closing = yield* Effect.forkScoped(close, now)
      const { reason } = yield* Fiber.join(inLine)
      assert.strictEqual(reason._tag, "Closed")
      assert.isFalse(reason.mayHaveExecuted)
      assert.strictEqual((yield* Effect.flip(redis.send("PING"))).reason._tag, "Closed")
      yield* server.release
      yield* Fiber.join(closing)
    }))
})
