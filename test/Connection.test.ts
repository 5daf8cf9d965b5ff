/**
 * What one connection goes through: credentials that break, refusals before the handshake, silence, windows that close,
 * and commands of a connection of one's own.
 *
 * Deadlines are tested on a simulated clock, which the simulated server obeys too, so a limit is met to the millisecond
 * whatever the machine does meanwhile; bytes still travel through real sockets, and tests wait for those in real time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { type Config, Endpoint, HitlessError, HitlessRedis, Transport } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import type { SimulatedRedis } from "hitless/testing"
import * as Net from "node:net"
import { inspect } from "node:util"
import { isLegal, type State } from "../src/Connection.ts"
import { blocksFor, refusalOf } from "../src/internal/commands.ts"
import type { Words } from "../src/internal/request.ts"
import { connect, deploy, handoffsEnded, tags, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

const host = "127.0.0.1"

/** What fails on purpose is not logged. */
const maintenance = { logLevel: "Error" } as const

const address = (sim: SimulatedRedis.SimulatedRedis, node: string) => Endpoint.format(sim.endpoint(node))

/** Waits in real time for what real sockets bring. */
const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) => TestClock.withLive(waitUntil(condition))

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

const isPending = (fiber: Fiber.Fiber<unknown, unknown>) => fiber.pollUnsafe() === undefined

const within = (timeout: Duration.Input) => Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)

/** The tag of the error with which a command ended. */
const reasonOf = (fiber: Fiber.Fiber<unknown, HitlessError.HitlessError>) =>
  Effect.map(Effect.flip(Fiber.join(fiber)), (error) => error.reason._tag)

const printed = (u: unknown) => `${String(u)}, ${inspect(u, { depth: Infinity, showHidden: true })}`

describe("Connection.isLegal", () => {
  const states: ReadonlyArray<State> = ["Connecting", "Ready", "Draining", "Closed"]
  const legal = new Set([
    "Connecting → Ready",
    "Connecting → Closed",
    "Ready → Draining",
    "Ready → Closed",
    "Draining → Closed"
  ])

  for (const from of states) {
    for (const to of states) {
      const edge = `${from} → ${to}`
      it(`${legal.has(edge) ? "allows" : "refuses"} ${edge}`, () => {
        assert.strictEqual(isLegal(from, to), legal.has(edge))
      })
    }
  }
})

describe("credentials that break", () => {
  const secret = "s3cret-t0ken"
  for (
    const [how, broken] of [
      ["die of an error", Effect.die(new Error(`token ${secret} expired`))],
      ["die of a string", Effect.die(`token ${secret} expired`)],
      ["die of an object", Effect.die({ name: secret, message: secret })],
      ["interrupt themselves", Effect.interrupt]
    ] as const
  ) {
    it.live(`and ${how} are asked for again: the client reconnects`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a"])
        const state = { broken: false, brokenRuns: 0 }
        const credentials = Effect.suspend(() => {
          if (!state.broken) return Effect.succeed({ password: Redacted.make(secret) })
          state.brokenRuns++
          return broken
        })
        const { redis } = yield* connect(sim, "a", { poolSize: 1, maintenance, credentials })
        state.broken = true
        yield* sim.kill("a")
        yield* waitUntil(Effect.sync(() => state.brokenRuns > 0))
        const error = yield* Effect.flip(within("50 millis")(redis.send("GET", "key")))
        assert.strictEqual(error.reason._tag, "ConnectFailed")
        assert.notInclude(printed(error), secret)
        state.broken = false
        assert.strictEqual(yield* redis.send("GET", "key"), null)
      }))
  }

  it.live("cost a handoff one attempt", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      let runs = 0
      const credentials = Effect.suspend(() =>
        ++runs === 2 ? Effect.die(new Error(secret)) : Effect.succeed({ password: Redacted.make(secret) })
      )
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance, credentials })
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      assert.deepStrictEqual(tags(client), ["Queued", "Started", "Retried", "Completed"])
      assert.notInclude(printed(client.handoffs), secret)
      assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, address(sim, "b"))
    }))

  it.live("fail the first connection, as a failure", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const error = yield* Effect.flip(connect(sim, "a", { maintenance, credentials: Effect.die(new Error(secret)) }))
      assert.strictEqual(error._tag === "HitlessError" && error.reason._tag, "ConnectFailed")
      assert.notInclude(printed(error), secret)
    }))
})

describe("a server that hangs up before or during the handshake, with words", () => {
  /** A server that says its words to every connection and hangs up. */
  const sayingBye = (words: string) =>
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((socket) => {
          socket.on("error", () => {})
          // An end that is not read is not seen.
          socket.resume()
          socket.end(words)
        })
        server.listen(0, host, () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
        })
    )

  const refusal = (options: Config.Options) =>
    Effect.map(
      Effect.flip(Effect.provide(HitlessRedis.make({ host, maintenance, ...options }), NodeTransport.layer)),
      (error) =>
        error._tag === "HitlessError" && error.reason._tag === "ConnectFailed" ? error.reason : assert.fail(`${error}`)
    )

  for (
    const words of [
      "ERR max number of clients reached",
      "DENIED Redis is running in protected mode because protected mode is enabled"
    ]
  ) {
    it.live(`is quoted: ${words}`, () =>
      Effect.gen(function*() {
        const server = yield* sayingBye(`-${words}\r\n`)
        const { port } = server.address() as Net.AddressInfo
        const atOnce = yield* refusal({ port })
        assert.strictEqual(atOnce.kind, "Rejected")
        assert.include(atOnce.detail, words)
        // The words and the end arrive before anything was asked.
        const gone = Effect.callback<boolean>((resume) => {
          server.getConnections((_, count) => resume(Effect.succeed(count === 0)))
        })
        const credentials = Effect.as(waitUntil(gone), { password: Redacted.make("password") })
        const late = yield* refusal({ port, credentials, connectTimeout: "1 hour" })
        assert.strictEqual(late.kind, "Rejected")
        assert.include(late.detail, words)
      }))
  }

  it.live("is quoted where it is a real server with too many clients", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--maxclients", "1"] })
      const first = HitlessRedis.make({ host, port, poolSize: 1, maintenance }).pipe(
        Effect.provide(NodeTransport.layer)
      )
      // The connection with which the start of the server was noticed may still count.
      yield* Effect.retry(first, { times: 100 })
      const error = yield* refusal({ port })
      assert.strictEqual(error.kind, "Rejected")
      assert.include(error.detail, "max number of clients reached")
    }))
})

describe("commands of one tick", () => {
  /** A client of one connection, and how large each of its writes is. */
  const watched = Effect.fnUntraced(function*(port: number) {
    const transport = yield* Transport.Transport
    const sizes: Array<number> = []
    const watching = Transport.Transport.of({
      ...transport,
      open: (endpoint, options) =>
        Effect.map(transport.open(endpoint, options), (socket) => ({
          ...socket,
          writer: Effect.map(socket.writer, (writer) => ({
            ...writer,
            writeAll: (chunks) =>
              Effect.suspend(() => {
                sizes.push(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
                return writer.writeAll(chunks)
              })
          }))
        }))
    })
    const redis = yield* Effect.provideService(
      HitlessRedis.make({ host, port, poolSize: 1, maintenance: { mode: "disabled" } }),
      Transport.Transport,
      watching
    )
    // The handshake is not looked at.
    sizes.length = 0
    return { redis, sizes }
  })

  it.live("leave in a few writes, the first before the last is asked for, and each gets its own answer", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { redis, sizes } = yield* watched(port)
      const words = Array.from({ length: 1000 }, (_, index) => `word ${index}`)
      const run = Effect.runForkWith(yield* Effect.context())
      const [fibers, early] = yield* Effect.sync(() =>
        [words.map((word) => run(redis.send<string>("ECHO", word))), sizes.length] as const
      )
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), words)
      assert.isAtLeast(early, 1)
      // Each is at least as large as all before it.
      assert.isAtMost(sizes.length, 10)
    }).pipe(Effect.provide(NodeTransport.layer)))

  it.live("leave about a MiB at a time when they are large", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { redis, sizes } = yield* watched(port)
      const values = Array.from({ length: 64 }, (_, index) => String.fromCharCode(97 + index % 26).repeat(100_000))
      yield* Effect.forEach(values, (value, index) => redis.send("SET", `large:${index}`, value), {
        concurrency: "unbounded",
        discard: true
      })
      const read = yield* Effect.forEach(values, (_, index) => redis.send("GET", `large:${index}`), {
        concurrency: "unbounded"
      })
      assert.isTrue(read.every((value, index) => value === values[index]))
      assert.isAtLeast(sizes.length, 6)
      assert.isAtMost(Math.max(...sizes), 1.2 * 1024 * 1024)
    }).pipe(Effect.provide(NodeTransport.layer)))
})

describe("a server that is silent for a while", () => {
  const commandTimeout = "150 millis"

  it.effect("answers a command whose own time is longer, though others beside it were given up", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, commandTimeout, maintenance })
      yield* sim.stall("a", "600 millis")
      const slow = yield* start(within("10 seconds")(redis.send("INCR", "counter")))
      const normal = yield* start(redis.send("PING"))
      yield* TestClock.adjust("150 millis")
      assert.strictEqual(yield* reasonOf(normal), "CommandTimeout")
      assert.isTrue(isPending(slow))
      yield* TestClock.adjust("450 millis")
      assert.strictEqual(yield* Fiber.join(slow), 1)
      assert.strictEqual(yield* redis.send("GET", "counter"), "1")
      assert.strictEqual(yield* sim.accepted("a"), 1)
    }))

  it.effect("answers in a window what still has time, though what was sent earlier was given up", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        commandTimeout,
        maintenance: { ...maintenance, relaxedTimeout: "1 second" }
      })
      yield* sim.migrating("a", { time: "30 seconds" })
      yield* eventually(Effect.sync(() => client.notifications.length === 1))
      yield* sim.stall("a", "1300 millis")
      const early = yield* start(client.redis.send("INCR", "early"))
      yield* TestClock.adjust("600 millis")
      const late = yield* start(client.redis.send("INCR", "late"))
      yield* TestClock.adjust("400 millis")
      assert.strictEqual(yield* reasonOf(early), "CommandTimeout")
      assert.isTrue(isPending(late))
      yield* TestClock.adjust("300 millis")
      assert.strictEqual(yield* Fiber.join(late), 1)
    }))
})

describe("a window that closes", () => {
  it.effect("gives commands in flight their own time again, counted from the close", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        commandTimeout: "200 millis",
        maintenance: { ...maintenance, relaxedTimeout: "1 hour" }
      })
      yield* sim.migrating("a", { time: "1 hour" })
      yield* eventually(Effect.sync(() => client.notifications.length === 1))
      yield* sim.stall("a", "10 hours")
      const command = yield* start(client.redis.send("INCR", "counter"))
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(isPending(command))
      yield* sim.migrated("a")
      yield* eventually(Effect.sync(() => client.notifications.length === 2))
      yield* TestClock.adjust("199 millis")
      assert.isTrue(isPending(command))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* reasonOf(command), "CommandTimeout")
    }))

  it.effect("by itself does so too", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        commandTimeout: "200 millis",
        maintenance: { ...maintenance, relaxedTimeout: "1 hour" }
      })
      yield* sim.migrating("a", { time: "1 second" })
      yield* eventually(Effect.sync(() => client.notifications.length === 1))
      yield* sim.stall("a", "10 hours")
      yield* TestClock.adjust("30 minutes")
      const command = yield* start(client.redis.send("INCR", "counter"))
      // The window ends an hour and a second after it was opened.
      yield* TestClock.adjust("1801 seconds")
      assert.isTrue(isPending(command))
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(yield* reasonOf(command), "CommandTimeout")
    }))
})

describe("a reserved connection", () => {
  const reserve = (sim: SimulatedRedis.SimulatedRedis) =>
    Effect.gen(function*() {
      const endpoint = sim.endpoint("a")
      const port = endpoint._tag === "Tcp" ? endpoint.port : 0
      const options = { host, port, commandTimeout: "300 millis", maintenance } as const
      const services = yield* Layer.build(NodeHitlessRedis.layer(options))
      return yield* Context.get(services, Redis.Redis).reserve
    })

  const causeOf = (error: Redis.RedisError) =>
    error.cause instanceof HitlessError.HitlessError ? error.cause.reason._tag : assert.fail(`${error.cause}`)

  it.live("refuses what is no argument, and goes on", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const connection = yield* reserve(sim)
      const send = (...words: ReadonlyArray<unknown>) => connection.send(...words as [string])
      for (
        const words of [
          ["SET", "key", undefined],
          ["SET", "key", null],
          ["SET", "key", Symbol("value")],
          ["SET", "key", Object.create(null)],
          ["XREAD", Object.create(null), "1"],
          ["BLPOP", "key", Symbol("time")],
          [Object.create(null)],
          [undefined],
          [""],
          ["SUBSCRIBE", "channel"],
          ["CLIENT", "REPLY", "OFF"]
        ]
      ) {
        assert.strictEqual(causeOf(yield* Effect.flip(send(...words))), "CommandRefused")
      }
      assert.strictEqual(yield* connection.send("ECHO", "after"), "after")
      assert.strictEqual(yield* connection.send("SELECT", "0"), "OK")
    }))

  it.effect("has, on a silent server, the command timeout on top of the time that a command blocks", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const connection = yield* reserve(sim)
      yield* sim.stall("a", "10 hours")
      const blocking = yield* start(Effect.flip(connection.send("BLPOP", "key", "0.1")))
      const reading = yield* start(Effect.flip(connection.send("XREAD", "COUNT", "1", "STREAMS", "block", "0")))
      yield* TestClock.adjust("299 millis")
      assert.isTrue(isPending(reading))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(causeOf(yield* Fiber.join(reading)), "CommandTimeout")
      yield* TestClock.adjust("99 millis")
      assert.isTrue(isPending(blocking))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(causeOf(yield* Fiber.join(blocking)), "CommandTimeout")
    }))

  it.effect("waits for a command that blocks without end until it is answered", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const connection = yield* reserve(sim)
      const other = yield* reserve(sim)
      const blocking = yield* start(connection.send("BLPOP", "key", "0"))
      for (let slices = 0; slices < 5; slices++) {
        yield* TestClock.adjust("5 seconds")
        // The server's answer and the next question come on a real socket.
        yield* other.send("PING")
        yield* other.send("PING")
        assert.isTrue(isPending(blocking))
      }
      yield* other.send("LPUSH", "key", "value")
      assert.deepStrictEqual(yield* Fiber.join(blocking), ["key", "value"])
    }))

  it.effect("is not held for ever by a server that has gone silent while a command waits without end", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const connection = yield* reserve(sim)
      const blocking = yield* start(Effect.flip(connection.send("BLPOP", "key", "0")))
      yield* sim.stall("a", "10 hours")
      yield* TestClock.adjust("1299 millis")
      assert.isTrue(isPending(blocking))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(causeOf(yield* Fiber.join(blocking)), "CommandTimeout")
    }))
})

describe("blocksFor", () => {
  const table: ReadonlyArray<readonly [Words, number]> = [
    [["GET", "key"], 0],
    [["LPOP", "key", "5"], 0],
    [["BLPOP", "key", "5"], 5000],
    [["blpop", "one", "two", "0.1"], 100],
    [["BRPOP", "key", 2], 2000],
    [["BRPOP", "key", 2n], 2000],
    [["BLPOP", "key", "0"], Infinity],
    [["BLPOP", "key", 0], Infinity],
    [["BRPOPLPUSH", "from", "to", "3"], 3000],
    [["BLMOVE", "from", "to", "LEFT", "RIGHT", "4"], 4000],
    [["BZPOPMIN", "key", "1"], 1000],
    [["BZPOPMAX", "key", "0.0"], Infinity],
    [["BLMPOP", "6", "1", "key", "LEFT", "COUNT", "9"], 6000],
    [["BZMPOP", "0", "1", "key", "MIN", "COUNT", "9"], Infinity],
    [["WAIT", "1", "250"], 250],
    [["WAITAOF", "1", "0", "250"], 250],
    [["XREAD", "COUNT", "1", "STREAMS", "stream", "0"], 0],
    [["XREAD", "STREAMS", "block", "0"], 0],
    [["XREAD", "BLOCK", "250", "STREAMS", "stream", "$"], 250],
    [["xread", "count", "1", "block", "0", "streams", "stream", "$"], Infinity],
    [["XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "stream", ">"], 0],
    [["XREADGROUP", "GROUP", "block", "0", "STREAMS", "stream", ">"], 0],
    [["XREADGROUP", "GROUP", "streams", "block", "BLOCK", "250", "STREAMS", "stream", ">"], 250],
    // The server refuses these at once.
    [["BLPOP", "key", "soon"], 0],
    [["BLPOP", "key", "-1"], 0],
    [["BLMPOP"], 0],
    [["XREAD", "BLOCK"], 0],
    // A name that every object has is no command.
    [["constructor"], 0]
  ]
  for (const [words, millis] of table) {
    it(`is ${millis} ms for ${words.join(" ")}`, () => {
      assert.strictEqual(blocksFor(words), millis)
    })
  }
})

describe("refusalOf", () => {
  const table: ReadonlyArray<readonly [words: ReadonlyArray<unknown>, shared: boolean, reserved: boolean]> = [
    [["GET", "key"], false, false],
    [["SET", "key", 1, 2n, new Uint8Array(1), ""], false, false],
    [["CLIENT", "LIST"], false, false],
    [["CLIENT"], false, false],
    [["SELECT", 1], true, false],
    [["Multi"], true, false],
    [["EXEC"], true, false],
    [["WATCH", "key"], true, false],
    [["AUTH", "password"], true, false],
    [["READONLY"], true, false],
    [["SUBSCRIBE", "channel"], true, true],
    [["punsubscribe"], true, true],
    [["MONITOR"], true, true],
    [["HELLO", 3], true, true],
    [["RESET"], true, true],
    [["QUIT"], true, true],
    [["client", "reply", "OFF"], true, true],
    [["CLIENT", "MAINT_NOTIFICATIONS", "OFF"], true, true],
    [[], true, true],
    [[""], true, true],
    [[1], true, true],
    [["SET", "key", undefined], true, true],
    [["SET", "key", true], true, true],
    [["SET", "key", ["value"]], true, true]
  ]
  for (const [words, shared, reserved] of table) {
    const verdict = shared ? reserved ? "everywhere" : "only where others share the connection" : "nowhere"
    it(`refuses ${inspect(words)} ${verdict}`, () => {
      assert.strictEqual(refusalOf(words as Words, true) !== undefined, shared)
      assert.strictEqual(refusalOf(words as Words, false) !== undefined, reserved)
    })
  }

  it("says what it refused, and nothing that could be a value", () => {
    const error = refusalOf(["CLIENT", "REPLY", "secret-value"], true)
    assert.strictEqual(error?.reason._tag, "CommandRefused")
    assert.strictEqual(error?.reason.command, "CLIENT REPLY")
    assert.isFalse(error?.mayHaveExecuted)
    assert.isFalse(error?.isRetryable)
    assert.notInclude(printed(refusalOf(["SET", "secret-key", { secret: 1 }] as unknown as Words, true)), "secret")
  })
})
