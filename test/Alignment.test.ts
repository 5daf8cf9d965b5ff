/**
 * The proof that each reply is the answer to its command: replies that a peer drops, adds or swaps are noticed by an
 * `ECHO` among the commands, and whoever cannot or may not answer one is left in peace.
 *
 * Time is simulated, so that probes go when a test says so; bytes travel through real sockets, and tests wait for those
 * in real time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type Config, Endpoint, type HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import * as Net from "node:net"
import { CurrentObserver } from "../src/internal/observer.ts"
import { busyAt } from "../src/Pool.ts"
import { FrameCutter } from "../src/testing/server/frames.ts"
import { connect as connectNode, deploy, waitUntil } from "./support/deployment.ts"
import { answerHandshake, provesHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis as startLive } from "./support/redisServer.ts"

/** What fails on purpose is not logged. */
const maintenance = { logLevel: "Error" } as const

type Client = HitlessRedis.HitlessRedis["Service"]

const connect = (port: number, options: Config.Options = {}) =>
  Effect.provide(
    HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1, maintenance, ...options }),
    NodeTransport.layer
  )

/** Waits in real time for what real sockets bring. */
const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) => TestClock.withLive(waitUntil(condition))

const holds = (condition: () => boolean) => eventually(Effect.sync(condition))

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

const within = (timeout: "100 millis" | "1 minute" | "Infinity") =>
  Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)

const startRedis = (...options: Parameters<typeof startLive>) => TestClock.withLive(startLive(...options))

const isProbe = (words: ReadonlyArray<string>) => words[0] === "ECHO" && words[1]!.startsWith("hitless-")

const violation = (error: HitlessError.HitlessError) => {
  const { reason } = error
  if (reason._tag !== "ProtocolViolation") return assert.fail(error.message)
  assert.include(reason.detail, "ECHO")
  assert.include(reason.detail, "each other's answers")
  assert.notInclude(error.message, "hitless-")
  assert.isTrue(reason.mayHaveExecuted)
  return reason
}

// ----- a server whose every reply waits for the test -----

/** What was asked after the handshake, in order; nothing is answered unless the test does it. */
const holding = Effect.fnUntraced(function*(
  options: Config.Options = {},
  handshake: (words: ReadonlyArray<string>) => string | undefined = answerHandshake
) {
  const asked: Array<ReadonlyArray<string>> = []
  const server = yield* rawServer((words, connection) => {
    const answer = isProbe(words) && !provesHandshake(words, connection) ? undefined : handshake(words)
    if (answer === undefined) asked.push(words)
    return answer
  })
  const redis = yield* connect(server.port, options)
  return {
    asked,
    server,
    redis,
    /** The text of the last probe. */
    nonce: () => asked.findLast(isProbe)![1]!,
    names: () => asked.map(([name]) => name),
    probes: () => asked.filter(isProbe).length,
    reply: (...frames: ReadonlyArray<string>) =>
      Effect.sync(() => server.connections.at(-1)!.socket.write(frames.map((frame) => `${frame}\r\n`).join("")))
  }
})

type Held = Effect.Success<ReturnType<typeof holding>>

/** Lets time pass until it holds: a wait may begin after any of it. */
const passes = Effect.fnUntraced(function*(condition: () => boolean) {
  while (!condition()) {
    yield* TestClock.adjust("100 millis")
    yield* TestClock.withLive(Effect.sleep("1 milli"))
  }
})

/** A `GET` whose answer is to come, begun after a second, and so with a probe before it. */
const getBehindProbe = Effect.fnUntraced(function*({ asked, probes, redis }: Held) {
  const before = probes()
  yield* TestClock.adjust("1 second")
  const behind = yield* start(Effect.result(redis.send("GET", "behind")))
  yield* holds(() => asked.at(-1)?.[1] === "behind" && probes() === before + 1)
  return behind
})

const failure = <A>(result: Result.Result<A, HitlessError.HitlessError>) => Result.getOrThrow(Result.flip(result))

describe("an echo at another command's place", () => {
  const forms: Readonly<
    Record<string, {
      readonly send: (redis: Client) => Effect.Effect<unknown, HitlessError.HitlessError>
      readonly before: ReadonlyArray<string>
    }>
  > = {
    "of one command": { send: (redis) => redis.send("GET", "key"), before: [] },
    "of one that is answered in bytes": { send: (redis) => redis.sendBytes("GET", "key"), before: [] },
    "of the first in a pipeline": { send: (redis) => redis.pipeline([["GET", "a"], ["GET", "b"]]), before: [] },
    "of the last in a pipeline": { send: (redis) => redis.pipeline([["GET", "a"], ["GET", "b"]]), before: ["+A"] }
  }
  for (const [name, { before, send }] of Object.entries(forms)) {
    for (const echoed of ["simple", "blob"]) {
      it.effect(`closes the connection before anybody is given it: ${name}, as a ${echoed} string`, () =>
        Effect.gen(function*() {
          const held = yield* holding()
          const first = yield* start(Effect.result(send(held.redis)))
          const behind = yield* getBehindProbe(held)
          const nonce = held.nonce()
          yield* held.reply(...before, echoed === "simple" ? `+${nonce}` : `$${nonce.length}\r\n${nonce}`, "+late")
          violation(failure(yield* Fiber.join(first)))
          violation(failure(yield* Fiber.join(behind)))
          yield* holds(() => held.server.closed.length === 1)
        }))
    }
  }

  it.effect("closes it where the command was given up, too", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const given = yield* start(held.redis.send("GET", "key"))
      const behind = yield* getBehindProbe(held)
      yield* Fiber.interrupt(given)
      yield* held.reply(`+${held.nonce()}`, "+late")
      violation(failure(yield* Fiber.join(behind)))
    }))

  it.effect("closes it where the probe itself was answered with another command's error", () =>
    Effect.gen(function*() {
      for (
        const error of [
          "WRONGTYPE Operation against a key holding the wrong kind of value",
          "ERR unknown command 'NONE', with args beginning with: 'echo' ",
          "ERR unknown command",
          "NOPERM User app has no permissions to run the 'get' command"
        ]
      ) {
        const held = yield* holding()
        const behind = yield* getBehindProbe(held)
        yield* held.reply(`-${error}`, `+${held.nonce()}`)
        violation(failure(yield* Fiber.join(behind)))
      }
    }))

  it.effect("closes it at MULTI's place, too, and the transaction, of which nothing ran, is sent anew", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      yield* TestClock.adjust("1 second")
      const first = yield* start(Effect.result(held.redis.send("GET", "key")))
      yield* start(Effect.result(held.redis.transaction([["GET", "key"]])))
      yield* holds(() => held.asked.length === 3)
      assert.deepStrictEqual(held.names(), ["ECHO", "GET", "MULTI"])
      // Two errors come first: the second is that of the GET, and the echo takes the place of OK.
      yield* held.reply("-ERR other", "-ERR other", `+${held.nonce()}`)
      assert.strictEqual(failure(yield* Fiber.join(first)).reason._tag, "ServerReplied")
      yield* holds(() => held.server.closed.length === 1)
      yield* TestClock.adjust("1 second")
      yield* holds(() => held.asked.length === 4)
      assert.deepStrictEqual(held.names(), ["ECHO", "GET", "MULTI", "MULTI"])
      assert.strictEqual(held.server.connections.length, 2)
    }))
})

describe("a value at the place of an echo", () => {
  for (
    const value of [
      "+OK",
      "+",
      "$5\r\nvalue",
      ":1",
      "_",
      "#t",
      ",1.5",
      "*0",
      "*1\r\n+OK",
      "%1\r\n+key\r\n+value",
      "+hitless-00000000000000000000000000",
      // Beyond our own limits, and so an error of our own making.
      `*2\r\n(${"7".repeat(200_000)}\r\n:1`
    ]
  ) {
    it.effect(`closes the connection before the next is given out: ${JSON.stringify(value.slice(0, 30))}`, () =>
      Effect.gen(function*() {
        const held = yield* holding()
        const behind = yield* getBehindProbe(held)
        yield* held.reply(value)
        violation(failure(yield* Fiber.join(behind)))
        yield* holds(() => held.server.closed.length === 1)
      }))
  }

  it.effect("closes it when it is the echo of the probe before", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const first = yield* getBehindProbe(held)
      const old = held.nonce()
      yield* held.reply(`+${old}`, "+value")
      assert.deepStrictEqual(yield* Fiber.join(first), Result.succeed("value"))
      const second = yield* getBehindProbe(held)
      assert.notStrictEqual(held.nonce(), old)
      yield* held.reply(`+${old}`, "+value")
      violation(failure(yield* Fiber.join(second)))
    }))
})

describe("an error at the place of an echo", () => {
  const forbidden = [
    "NOPERM this user has no permissions to run the 'echo' command or its subcommand",
    "NOPERM User app has no permissions to run the 'echo' command",
    "NOPERM permission denied",
    "ERR unknown command 'ECHO', with args beginning with: 'hitless' ",
    "ERR unknown command `ECHO`, with args beginning with: `hitless`, ",
    "ERR unknown command",
    "ERR unsupported command 'ECHO'",
    "ERR command ECHO is disabled",
    "ERR This command is not allowed",
    "ERR Command is not currently supported",
    "invalid request"
  ]
  for (const error of forbidden) {
    it.effect(`ends the probes of the connection, and nothing else: ${error}`, () =>
      Effect.gen(function*() {
        const held = yield* holding()
        const behind = yield* getBehindProbe(held)
        yield* held.reply(`-${error}`, "+value")
        assert.deepStrictEqual(yield* Fiber.join(behind), Result.succeed("value"))
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("10 seconds")
          const next = yield* start(held.redis.send("GET", "next"))
          yield* holds(() => held.names().filter((name) => name === "GET").length === i + 2)
          yield* held.reply("+next")
          assert.strictEqual(yield* Fiber.join(next), "next")
        }
        // A timeout asks for none either.
        const lost = yield* start(within("100 millis")(Effect.flip(held.redis.send("GET", "lost"))))
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* Fiber.join(lost)).reason._tag, "CommandTimeout")
        yield* held.reply("+late")
        const last = yield* start(held.redis.send("PING"))
        yield* holds(() => held.asked.length === 7)
        yield* held.reply("+PONG")
        assert.strictEqual(yield* Fiber.join(last), "PONG")
        assert.strictEqual(held.probes(), 1)
        assert.strictEqual(held.server.connections.length, 1)
      }))
  }

  const passing = [
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOAUTH Authentication required.",
    "CLUSTERDOWN The cluster is down",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots. Commands that may modify the data set are disabled",
    "ERR upstream failure",
    "no upstream host"
  ]
  for (const error of passing) {
    it.effect(`proves nothing, and it is asked again later: ${error}`, () =>
      Effect.gen(function*() {
        const held = yield* holding()
        const first = yield* getBehindProbe(held)
        yield* held.reply(`-${error}`, "+value")
        assert.deepStrictEqual(yield* Fiber.join(first), Result.succeed("value"))
        const second = yield* getBehindProbe(held)
        yield* held.reply(`+${held.nonce()}`, "+value")
        assert.deepStrictEqual(yield* Fiber.join(second), Result.succeed("value"))
        assert.strictEqual(held.server.connections.length, 1)
      }))
  }
})

describe("after a command that timed out", () => {
  const lose = Effect.fnUntraced(function*(held: Held) {
    const lost = yield* start(within("100 millis")(Effect.flip(held.redis.send("GET", "lost"))))
    yield* holds(() => held.names().includes("GET"))
    yield* TestClock.adjust("100 millis")
    assert.strictEqual((yield* Fiber.join(lost)).reason._tag, "CommandTimeout")
  })

  it.effect("the order is proven at once, and the connection left before another is given a wrong answer", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      yield* lose(held)
      yield* holds(() => held.probes() === 1)
      yield* held.reply(`+${held.nonce()}`)
      yield* holds(() => held.server.closed.length === 1)
    }))

  it.effect("so it is on a reserved connection, which is replaced and goes on", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const own = yield* held.redis.reserve
      const lost = yield* start(within("100 millis")(Effect.flip(own.send("GET", "lost"))))
      yield* holds(() => held.asked.length === 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(lost)).reason._tag, "CommandTimeout")
      yield* holds(() => held.probes() === 1)
      yield* held.reply(`+${held.nonce()}`)
      yield* holds(() => held.server.closed.length === 1)
      const next = yield* start(own.send("GET", "next"))
      yield* passes(() => held.names().filter((name) => name === "GET").length === 2)
      yield* held.reply("+next")
      assert.strictEqual(yield* Fiber.join(next), "next")
    }))

  it.effect("nothing happens where its reply was late", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      yield* lose(held)
      yield* holds(() => held.probes() === 1)
      yield* held.reply("+late", `+${held.nonce()}`)
      const next = yield* start(held.redis.send("GET", "next"))
      yield* holds(() => held.asked.length === 3)
      yield* held.reply("+next")
      assert.strictEqual(yield* Fiber.join(next), "next")
      assert.strictEqual(held.server.connections.length, 1)
    }))

  it.effect("one probe at a time is owed, however many time out", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      for (let i = 0; i < 3; i++) yield* lose(held)
      yield* holds(() => held.asked.length === 4)
      assert.deepStrictEqual(held.names(), ["GET", "ECHO", "GET", "GET"])
    }))

  it.effect("a probe that is never answered is a lost reply, or silence: the connection is left", () =>
    Effect.gen(function*() {
      const held = yield* holding({ commandTimeout: "1 second" })
      yield* lose(held)
      yield* holds(() => held.probes() === 1)
      yield* held.reply("+late")
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("1 second")
      yield* holds(() => held.server.closed.length === 1)
    }))

  it.effect("so it is where it went behind a command that may wait for ever", () =>
    Effect.gen(function*() {
      const held = yield* holding({ commandTimeout: "1 second" })
      const waiting = yield* start(within("Infinity")(held.redis.send("GET", "waiting")))
      yield* holds(() => held.asked.length === 1)
      yield* start(Effect.exit(within("100 millis")(held.redis.send("GET", "lost"))))
      yield* holds(() => held.asked.length === 2)
      yield* TestClock.adjust("100 millis")
      yield* holds(() => held.probes() === 1)
      yield* held.reply("+value", "+late")
      assert.strictEqual(yield* Fiber.join(waiting), "value")
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("1 second")
      yield* holds(() => held.server.closed.length === 1)
    }))

  for (const timeout of ["1 minute", "Infinity"] as const) {
    it.effect(`it cuts off no slow command behind it whose own time is ${timeout}`, () =>
      Effect.gen(function*() {
        const held = yield* holding({ commandTimeout: "1 second" })
        yield* TestClock.adjust("1 second")
        const slow = yield* start(within(timeout)(held.redis.send("EVAL", "slow", 0)))
        yield* holds(() => held.asked.length === 2)
        for (let i = 0; i < 50; i++) yield* TestClock.adjust("1 second")
        assert.isUndefined(slow.pollUnsafe())
        yield* held.reply(`+${held.nonce()}`, "+done")
        assert.strictEqual(yield* Fiber.join(slow), "done")
        assert.strictEqual(held.server.connections.length, 1)
      }))
  }

  for (const kind of ["shared", "reserved"] as const) {
    it.effect(`a probe that went alone cuts off no slow command behind it, on a ${kind} connection`, () =>
      Effect.gen(function*() {
        const held = yield* holding({ commandTimeout: "1 second" })
        const commands = kind === "shared" ? held.redis : yield* held.redis.reserve
        const lost = yield* start(within("100 millis")(Effect.flip(commands.send("GET", "lost"))))
        yield* holds(() => held.asked.length === 1)
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(lost)
        yield* holds(() => held.probes() === 1)
        const slow = yield* start(within("1 minute")(commands.send("EVAL", "slow", 0)))
        yield* holds(() => held.asked.length === 3)
        yield* held.reply("+late")
        for (let i = 0; i < 50; i++) yield* TestClock.adjust("1 second")
        assert.isUndefined(slow.pollUnsafe())
        yield* held.reply(`+${held.nonce()}`, "+done")
        assert.strictEqual(yield* Fiber.join(slow), "done")
        assert.deepStrictEqual(held.server.closed, [])
      }))
  }

  it.effect("it waits until MULTI is answered, and goes behind EXEC", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const lost = yield* start(within("100 millis")(Effect.flip(held.redis.send("GET", "lost"))))
      const transaction = yield* start(held.redis.transaction([["GET", "key"]]))
      yield* holds(() => held.asked.length === 2)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(lost)
      yield* held.reply("+late", "+OK")
      yield* holds(() => held.asked.length === 5)
      assert.deepStrictEqual(held.names(), ["GET", "MULTI", "GET", "EXEC", "ECHO"])
      yield* held.reply("+QUEUED", "*1\r\n+value", `+${held.nonce()}`)
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed("value")])
    }))
})

describe("a probe", () => {
  it.effect("goes at most once a second on a busy connection, and never on an idle one or in the first second", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      let answered = 0
      const ping = Effect.gen(function*() {
        const pong = yield* start(held.redis.send("PING"))
        yield* holds(() => held.names().at(-1) === "PING" && held.asked.length > answered)
        const due = held.asked.slice(answered)
        answered = held.asked.length
        yield* held.reply(...due.map(([name, text]) => name === "ECHO" ? `+${text}` : "+PONG"))
        assert.strictEqual(yield* Fiber.join(pong), "PONG")
      })
      for (let i = 0; i < 10; i++) yield* ping
      assert.strictEqual(held.probes(), 0)
      yield* TestClock.adjust("10 seconds")
      for (let i = 0; i < 10; i++) yield* ping
      assert.strictEqual(held.probes(), 1)
      for (let i = 0; i < 8; i++) {
        yield* TestClock.adjust("250 millis")
        yield* ping
      }
      assert.strictEqual(held.probes(), 3)
      assert.strictEqual(held.server.connections.length, 1)
    }))

  it.effect("goes before the batch that is due, and one is owed at a time", () =>
    Effect.gen(function*() {
      const held = yield* holding({ commandTimeout: "1 minute" })
      yield* TestClock.adjust("1 second")
      yield* start(Effect.exit(held.redis.pipeline([["GET", "a"], ["GET", "b"]])))
      yield* holds(() => held.asked.length === 3)
      yield* TestClock.adjust("5 seconds")
      yield* start(Effect.exit(held.redis.send("PING")))
      yield* holds(() => held.asked.length === 4)
      assert.deepStrictEqual(held.names(), ["ECHO", "GET", "GET", "PING"])
    }))

  it.effect("is no command of the user's: not in status, not in what observers and metrics are told", () =>
    Effect.gen(function*() {
      const names: Array<string> = []
      const held = yield* Effect.provideService(holding(), CurrentObserver, {
        onSettled: ({ name }) => names.push(name),
        onClient: () => () => {},
        onGap: () => {}
      })
      const behind = yield* getBehindProbe(held)
      const status = yield* held.redis.status
      assert.deepStrictEqual([status.pending, status.slots[0]!.load], [1, 1])
      yield* held.reply(`+${held.nonce()}`, "+value")
      yield* Fiber.join(behind)
      const after = yield* held.redis.status
      assert.deepStrictEqual([after.pending, after.slots[0]!.load], [0, 0])
      assert.deepStrictEqual(names, ["GET"])
      const metrics = JSON.stringify(
        yield* Metric.snapshot,
        (_, value) => typeof value === "bigint" ? String(value) : value
      )
      assert.notMatch(metrics, /ECHO|hitless-/)
    }))

  it.effect("that is owed does not keep a client that closes", () =>
    Effect.gen(function*() {
      const held = yield* Effect.scoped(Effect.gen(function*() {
        const held = yield* holding()
        const behind = yield* getBehindProbe(held)
        yield* Fiber.interrupt(behind)
        return held
      }))
      assert.strictEqual(held.probes(), 1)
    }))

  it.effect("is asked of every peer that answered that of the handshake, whatever it speaks", () =>
    Effect.gen(function*() {
      type Handshake = (words: ReadonlyArray<string>) => string | undefined
      const refusing = (...refused: ReadonlyArray<string>): Handshake => (words) =>
        refused.includes(words[0]!)
          ? `-ERR unknown command '${words[0]}'\r\n`
          : answerHandshake(words) ?? (words[0] === "PING" ? "+PONG\r\n" : undefined)
      const cases: ReadonlyArray<readonly [Config.Options, Handshake, number]> = [
        [{}, answerHandshake, 1],
        [{}, refusing("HELLO"), 1],
        [{ protocol: 2 }, refusing("HELLO"), 1],
        [{}, refusing("ECHO"), 0],
        [{}, refusing("HELLO", "ECHO"), 0]
      ]
      for (const [options, handshake, probes] of cases) {
        const held = yield* holding(options, handshake)
        yield* TestClock.adjust("1 minute")
        yield* start(Effect.exit(within("100 millis")(held.redis.send("GET", "key"))))
        yield* holds(() => held.names().includes("GET"))
        yield* TestClock.adjust("100 millis")
        yield* start(Effect.exit(held.redis.send("GET", "key")))
        yield* holds(() => held.names().filter((name) => name === "GET").length === 2)
        assert.strictEqual(held.probes(), probes)
      }
    }))

  it.effect("goes among the commands of a reserved connection, but not into its MULTI, nor behind CLIENT CACHING", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const server = yield* rawServer((words) => {
        asked.push(words[0]!)
        return words[0] === "MULTI" || words[1] === "CACHING" ? "+OK\r\n" : answerHandshake(words) ?? "+value\r\n"
      })
      const redis = yield* connect(server.port)
      const own = yield* redis.reserve
      asked.length = 0
      const later = (...words: readonly [string, ...Array<string>]) =>
        Effect.andThen(TestClock.adjust("5 seconds"), own.send(...words))
      yield* later("GET", "a")
      yield* later("WATCH", "a")
      yield* later("MULTI")
      yield* later("GET", "a")
      yield* later("EXEC")
      yield* later("GET", "b")
      yield* later("CLIENT", "CACHING", "YES")
      yield* later("GET", "c")
      assert.deepStrictEqual(
        asked,
        ["ECHO", "GET", "ECHO", "WATCH", "MULTI", "GET", "EXEC", "ECHO", "GET", "CLIENT", "GET"]
      )
      assert.strictEqual(server.closed.length, 0)
    }))

  it.effect("does not go into a transaction that a refused MULTI has left open, nor into one that was sent behind EXEC", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const redis = yield* connect(port)
      const own = yield* redis.reserve
      const later = TestClock.adjust("2 seconds")
      yield* own.send("MULTI")
      assert.include((yield* Effect.flip(own.send("MULTI"))).message, "nested")
      yield* later
      assert.strictEqual(yield* own.send("SET", "key", "discarded"), "QUEUED")
      assert.strictEqual(yield* own.send("DISCARD"), "OK")
      assert.strictEqual(yield* own.send("GET", "key"), null)
      yield* own.send("MULTI")
      yield* Effect.all([own.send("EXEC"), own.send("MULTI")], { concurrency: "unbounded" })
      yield* later
      assert.strictEqual(yield* own.send("SET", "key", "value"), "QUEUED")
      assert.deepStrictEqual(yield* own.send("EXEC"), ["OK"])
    }))

  it.effect("that must not go on a reserved connection keeps that from the next user", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const redis = yield* connect(port)
      const id = Effect.flatMap(redis.reserve, (own) => own.send("CLIENT", "ID"))
      const use = (...words: ReadonlyArray<readonly [string, ...Array<string>]>) =>
        Effect.scoped(
          Effect.flatMap(redis.reserve, (own) => Effect.forEach(words, (one) => Effect.exit(own.send(...one))))
        )
      const first = yield* Effect.scoped(id)
      assert.strictEqual(yield* Effect.scoped(id), first)
      yield* use(["ASKING"])
      const second = yield* Effect.scoped(id)
      assert.notStrictEqual(second, first)
      yield* use(["MULTI"], ["MULTI"])
      assert.notStrictEqual(yield* Effect.scoped(id), second)
    }))

  it.effect("goes before a wait that is one of many", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const own = yield* held.redis.reserve
      for (const probes of [0, 1, 2]) {
        const wait = yield* start(own.send("BLPOP", "jobs", 1))
        yield* holds(() => held.names().filter((name) => name === "BLPOP").length === probes + 1)
        assert.strictEqual(held.probes(), probes)
        yield* held.reply(...(probes === 0 ? [] : [`+${held.nonce()}`]), "*2\r\n+jobs\r\n+job")
        yield* Fiber.join(wait)
        yield* TestClock.adjust("1 second")
      }
    }))

  it.effect("does not go between the slices of a wait", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const own = yield* held.redis.reserve
      const wait = yield* start(own.send("BLPOP", "jobs", 5))
      for (let slice = 1; slice < 5; slice++) {
        yield* holds(() => held.asked.length === slice)
        yield* TestClock.adjust("1 second")
        yield* held.reply("_")
      }
      yield* holds(() => held.asked.length === 5)
      yield* held.reply("*2\r\n+jobs\r\n+job")
      assert.deepStrictEqual(yield* Fiber.join(wait), ["jobs", "job"])
      const next = yield* start(own.send("GET", "key"))
      yield* holds(() => held.asked.length === 7)
      assert.deepStrictEqual(held.names(), ["BLPOP", "BLPOP", "BLPOP", "BLPOP", "BLPOP", "ECHO", "GET"])
      yield* held.reply(`+${held.nonce()}`, "+value")
      assert.strictEqual(yield* Fiber.join(next), "value")
    }))

  it.effect("does not hide that a command ends the connections which carry it", () =>
    Effect.gen(function*() {
      const held: Array<() => void> = []
      let asked = 0
      const server = yield* rawServer((words, connection) => {
        const { socket } = connection
        if (isProbe(words) && !provesHandshake(words, connection)) return undefined
        if (words[0] === "HOLD") held.push(() => socket.write("+OK\r\n"))
        if (words[0] === "GET") {
          asked++
          socket.destroy()
        }
        return answerHandshake(words)
      })
      const redis = yield* connect(server.port, { poolSize: 2, commandTimeout: "1 hour" })
      const holds2 = yield* start(
        Effect.forEach(Array.from({ length: busyAt + 1 }), () => redis.send("HOLD"), {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* holds(() => held.length === busyAt + 1)
      yield* eventually(Effect.map(redis.status, ({ slots }) => slots[1]!.state === "Serving"))
      for (const release of held) release()
      yield* Fiber.join(holds2)
      yield* TestClock.adjust("1 minute")
      const poison = yield* start(Effect.flip(redis.send("GET", "poison")))
      yield* holds(() => asked === 2)
      assert.include((yield* Fiber.join(poison)).message, "not sent a third time")
      assert.strictEqual(asked, 2)
    }))
})

// ----- handshakes -----

describe("the end of a handshake", () => {
  type Answer = Parameters<typeof rawServer>[0]

  /** Serves, and knows no `HELLO`. */
  const old: Answer = (words) => words[0] === "HELLO" ? "-ERR unknown command 'HELLO'\r\n" : answerHandshake(words)

  /** Answers nobody before `AUTH`. */
  const guarded = (): Answer => {
    const known = new Set<number>()
    return (words, { id }) => {
      if (words[0] === "AUTH") known.add(id)
      return known.has(id) ? answerHandshake(words) : "-NOAUTH Authentication required.\r\n"
    }
  }

  /** What each leads to, and how many replies it takes. */
  const greetings: Readonly<Record<string, readonly [number, Config.Options, () => Answer]>> = {
    "with HELLO": [6, { clientName: "app", database: 2 }, () => answerHandshake],
    "with AUTH before HELLO": [11, { credentials: { password: Redacted.make("password") } }, guarded],
    "without HELLO": [10, { clientName: "app" }, () => old],
    "in RESP2": [5, { protocol: 2, database: 1 }, () => old]
  }

  /** Which replies are not missed but waited for: an echo, and those before one that is answered with an error. */
  const unproven: Readonly<Record<string, ReadonlyArray<number>>> = {
    "with HELLO": [5],
    "with AUTH before HELLO": [0, 1, 2, 3, 4, 10],
    "without HELLO": [4, 9],
    "in RESP2": [4]
  }

  /** A client of a server that sends one reply of its first connection so many times. */
  const slipping = Effect.fnUntraced(function*(options: Config.Options, answer: Answer, at: number, times: number) {
    let replies = 0
    const server = yield* rawServer((words, connection) => {
      const reply = answer(words, connection) ?? `+${words[1]}\r\n`
      return connection.id === 1 && replies++ === at ? reply.repeat(times) : reply
    })
    const client = yield* start(
      Effect.result(Effect.catchTag(connect(server.port, options), "HitlessConfigError", Effect.die))
    )
    return { server, client, replies: () => replies }
  })

  for (const [how, [count, options, answer]] of Object.entries(greetings)) {
    it.effect(`is where the replies of one ${how} are proven to be its own`, () =>
      Effect.gen(function*() {
        const { client, replies } = yield* slipping(options, answer(), -1, 1)
        const redis = Result.getOrThrow(yield* Fiber.join(client))
        assert.strictEqual(replies(), count)
        assert.strictEqual(yield* redis.send("GET", "key"), "key")
      }))

    for (let at = 0; at < count; at++) {
      it.effect(`shows that reply ${at} of one ${how} is missing`, () =>
        Effect.gen(function*() {
          const { client, server } = yield* slipping(options, answer(), at, 0)
          yield* passes(() => client.pollUnsafe() !== undefined)
          const { reason } = failure(yield* Fiber.join(client))
          if (reason._tag === "ConnectFailed") assert.strictEqual(reason.kind, "TimedOut")
          else if (reason._tag !== "ProtocolViolation") assert.fail(reason.message)
          else {
            assert.include(reason.detail, "ECHO")
            assert.notInclude(reason.detail, "commands may")
            assert.isFalse(reason.mayHaveExecuted)
            assert.notInclude(reason.message, "hitless-")
          }
          const isNever = unproven[how]!.includes(at)
          assert.strictEqual(reason._tag, isNever ? "ConnectFailed" : "ProtocolViolation")
          yield* holds(() => server.closed.length === 1)
        }))

      it.effect(`shows that reply ${at} of one ${how} came twice`, () =>
        Effect.gen(function*() {
          const { client, server } = yield* slipping(options, answer(), at, 2)
          const result = yield* Fiber.join(client)
          if (Result.isFailure(result)) assert.strictEqual(failure(result).reason._tag, "ProtocolViolation")
          else {
            // It came when nothing was asked, and is nobody's answer.
            assert.include(unproven[how], at)
            const read = yield* start(result.success.send("GET", "key"))
            yield* passes(() => read.pollUnsafe() !== undefined)
            assert.strictEqual(yield* Fiber.join(read), "key")
          }
          if (Result.isFailure(result) || at === count - 1) yield* holds(() => server.closed.length === 1)
        }))
    }
  }

  it.effect("is the probe's, and what it is answered a second time no command's", () =>
    Effect.gen(function*() {
      const held = yield* holding()
      const first = yield* start(Effect.result(held.redis.send("GET", "key")))
      const behind = yield* getBehindProbe(held)
      const echo = `+${held.nonce()}`
      yield* held.reply("+value", echo, echo)
      assert.deepStrictEqual(yield* Fiber.join(first), Result.succeed("value"))
      violation(failure(yield* Fiber.join(behind)))
    }))
})

// ----- a proxy that tampers with replies -----

type Tamper = "drop" | "add" | "swap with the echo" | "answer twice"

/** A TCP proxy: what it is told is done once, to the next reply that is no echo and not of the handshake. */
const proxy = Effect.fnUntraced(function*(upstream: number): Effect.fn.Return<
  {
    readonly port: number
    readonly accepted: () => number
    readonly open: () => number
    readonly tamper: (how: Tamper) => void
  },
  never,
  Scope.Scope
> {
  const sockets: Array<Net.Socket> = []
  let accepted = 0
  let open = 0
  let next: Tamper | undefined
  const server = Net.createServer((client) => {
    accepted++
    open++
    client.on("close", () => open--)
    const redis = Net.createConnection(upstream, "127.0.0.1")
    sockets.push(client, redis)
    client.pipe(redis)
    let kept: Uint8Array | undefined
    const cutter = new FrameCutter((parts, type) => {
      const frame = Buffer.concat(parts)
      const isEcho = frame.includes("hitless-")
      if (kept !== undefined) {
        const held = kept
        kept = undefined
        client.write(frame)
        client.write(held)
        return
      }
      if (next === "swap with the echo" ? isEcho : next !== undefined && !isEcho && type === "$") {
        const how = next
        next = undefined
        if (how === "drop") return
        if (how === "swap with the echo") {
          kept = frame
          return
        }
        client.write(how === "add" ? "$5\r\nadded\r\n" : frame)
      }
      client.write(frame)
    })
    redis.on("data", (chunk) => cutter.push(chunk))
    for (const [one, other] of [[client, redis], [redis, client]] as const) {
      // A lone reply would wait for the client's delayed acknowledgement.
      one.setNoDelay()
      one.on("error", () => {})
      one.on("close", () => other.destroy())
    }
  })
  yield* Effect.callback<void>((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.void))
  })
  yield* Effect.addFinalizer(() =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      for (const socket of sockets) socket.destroy()
    })
  )
  return {
    port: (server.address() as Net.AddressInfo).port,
    accepted: () => accepted,
    open: () => open,
    tamper: (how) => {
      next = how
    }
  }
})

/** Fibers that read keys of their own for as long as the scope lives; each key holds its own name. */
const readers = Effect.fnUntraced(function*(port: number, redis: Client, mode: "text" | "bytes" | "pipeline") {
  const keys = Array.from({ length: 40 }, (_, index) => `key:${index}`)
  const direct = yield* connect(port)
  yield* Effect.forEach(keys, (key) => direct.send("SET", key, key), { discard: true })
  const seen = { right: 0, wrong: 0, errors: [] as Array<HitlessError.HitlessError> }
  const decoder = new TextDecoder()
  const read = (key: string): Effect.Effect<boolean, HitlessError.HitlessError> => {
    switch (mode) {
      case "text":
        return Effect.map(redis.send("GET", key), (value) => value === key)
      case "bytes":
        return Effect.map(redis.sendBytes<Uint8Array>("GET", key), (value) => decoder.decode(value) === key)
      case "pipeline":
        return Effect.map(
          redis.pipeline([["GET", key], ["GET", key], ["GET", key]]),
          (values) => values.every((value) => Result.isSuccess(value) && value.success === key)
        )
    }
  }
  const reader = (key: string) =>
    read(key).pipe(
      Effect.match({
        onSuccess: (isRight) => {
          if (isRight) seen.right++
          else seen.wrong++
        },
        onFailure: (error) => {
          seen.errors.push(error)
        }
      }),
      Effect.andThen(TestClock.withLive(Effect.yieldNow)),
      Effect.forever
    )
  for (const key of keys) yield* start(reader(key))
  return seen
})

describe("under load, a proxy that tampers with one reply", () => {
  const tamperings: ReadonlyArray<Tamper> = ["drop", "add", "answer twice", "swap with the echo"]

  /** Begins load, tampers, lets a second pass, and looks at what was answered from the probe on. */
  const endure = Effect.fnUntraced(function*(
    upstream: number,
    how: Tamper,
    mode: "text" | "bytes" | "pipeline"
  ) {
    const between = yield* proxy(upstream)
    const redis = yield* connect(between.port, { commandTimeout: "10 minutes" })
    const seen = yield* readers(upstream, redis, mode)
    yield* holds(() => seen.right > 500)
    assert.strictEqual(seen.wrong, 0)
    between.tamper(how)
    // One reply too many that finds nobody waiting is noticed by that; one too few by the probe alone.
    const hasOneMore = how === "add" || how === "answer twice"
    if (how === "drop") yield* holds(() => seen.wrong > 100)
    if (hasOneMore) yield* holds(() => seen.wrong > 100 || between.open() === 0)
    yield* TestClock.adjust("1 second")
    yield* passes(() => seen.errors.length > 0 || (hasOneMore && between.accepted() === 2))
    const { right, wrong } = seen
    for (const error of seen.errors) {
      if (!hasOneMore || !error.message.includes("no command asked for")) violation(error)
    }
    // The wait before the next dial.
    yield* passes(() => between.accepted() === 2)
    yield* holds(() => seen.right > right + 500)
    yield* TestClock.adjust("1 second")
    yield* holds(() => seen.right > right + 1500)
    assert.strictEqual(seen.wrong, wrong)
    if (how === "swap with the echo") assert.strictEqual(wrong, 0)
    assert.strictEqual(between.accepted(), 2)
    assert.strictEqual((yield* redis.status).health, "ok")
  })

  for (const how of tamperings) {
    for (const mode of ["text", "bytes", "pipeline"] as const) {
      it.effect(`(${how}; ${mode}) has wrong answers until the next probe and none after it`, () =>
        Effect.gen(function*() {
          const { port } = yield* startRedis()
          yield* endure(port, how, mode)
        }))
    }
    it.effect(`(${how}; RESP2 of a server that knows HELLO) has none after it either`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a"], { hello: "resp2" })
        const endpoint = sim.endpoint("a")
        yield* endure(endpoint._tag === "Tcp" ? endpoint.port : 0, how, "text")
      }))
  }

  it.effect("is told in the log, and by health until there is another connection", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const held = yield* holding({ maintenance: { logLevel: "Warn" } })
      const behind = yield* getBehindProbe(held)
      yield* held.reply("+other")
      violation(failure(yield* Fiber.join(behind)))
      assert.strictEqual((yield* held.redis.status).health, "down")
    }).pipe(
      Effect.provide(Logger.layer([Logger.make((options) => {
        lines.push(Logger.formatLogFmt.log(options))
      })])),
      Effect.andThen(Effect.sync(() => {
        const lost = lines.filter((line) => line.includes("a connection was lost"))
        assert.strictEqual(lost.length, 1)
        assert.include(lost[0], "ECHO was answered with something else")
        assert.notInclude(lost[0], "hitless-")
      }))
    )
  })
})

// ----- real and simulated servers -----

/** Sends one command after the other, over so many seconds. */
const over = (seconds: number, command: Effect.Effect<unknown, HitlessError.HitlessError>) =>
  Effect.gen(function*() {
    for (let i = 0; i < 4 * seconds; i++) {
      yield* TestClock.adjust("250 millis")
      yield* command
    }
  })

describe("a real server", () => {
  it.effect("whose user may not ECHO is asked once, and serves on", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const admin = yield* connect(port)
      yield* admin.send("ACL", "SETUSER", "app", "on", ">password", "~*", "&*", "+@all", "-echo")
      const redis = yield* connect(port, {
        credentials: { username: "app", password: Redacted.make("password") }
      })
      const id = yield* redis.send("CLIENT", "ID")
      yield* over(5, redis.send("SET", "key", "value"))
      assert.strictEqual(yield* redis.send("CLIENT", "ID"), id)
      const entries = yield* admin.send<ReadonlyArray<Record<string, unknown>>>("ACL", "LOG")
      assert.deepStrictEqual(entries.map(({ count, object }) => [object, count]), [["echo", 1]])
    }))

  it.effect("that is busy with a script is asked again later", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--lua-time-limit", "1"] })
      const redis = yield* connect(port, { commandTimeout: "10 minutes" })
      const id = yield* redis.send("CLIENT", "ID")
      const admin = yield* connect(port, { commandTimeout: "10 minutes" })
      const script = yield* start(Effect.exit(admin.send("EVAL", "while true do end", 0)))
      const refused = yield* start(redis.send("GET", "key"))
      yield* eventually(Effect.map(redis.status, ({ health }) => health === "degraded"))
      yield* TestClock.adjust("1 second")
      // In front of it goes an ECHO that is answered with BUSY.
      assert.strictEqual(yield* redis.send("SCRIPT", "KILL"), "OK")
      yield* Fiber.join(script)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(refused), null)
      yield* over(2, redis.send("GET", "key"))
      assert.strictEqual(yield* redis.send("CLIENT", "ID"), id)
      assert.match(
        yield* redis.send<string>("INFO", "commandstats"),
        /cmdstat_echo:calls=[3-5],.*,rejected_calls=[12],/
      )
    }))

  it.effect("is never asked between MULTI and EXEC, nor inside a pipeline", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const lines: Array<string> = []
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const socket = Net.createConnection(port, "127.0.0.1")
          socket.setEncoding("latin1")
          let rest = ""
          socket.on("data", (chunk: string) => {
            const parts = (rest + chunk).split("\r\n")
            rest = parts.pop()!
            lines.push(...parts)
          })
          socket.write("MONITOR\r\n")
          return socket
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      yield* holds(() => lines.length === 1)
      const redis = yield* connect(port)
      const transaction = redis.transaction([["SET", "a", "1"], ["GET", "a"]])
      const pipeline = redis.pipeline([["SET", "b", "1"], ["GET", "b"]])
      const all = Effect.all([transaction, redis.send("PING"), pipeline, transaction, pipeline, redis.send("PING")], {
        concurrency: "unbounded",
        discard: true
      })
      yield* over(5, all)
      yield* redis.send("ECHO", "the end")
      yield* holds(() => lines.some((line) => line.includes("the end")))
      const names = lines.flatMap((line) => / "(\w+)"/.exec(line)?.[1]?.toUpperCase() ?? [])
      const probes = lines.filter((line) => line.includes("hitless-")).length
      // One of them ends the handshake.
      assert.strictEqual(probes, 6)
      let open: string | undefined
      for (const [index, name] of names.entries()) {
        if (name === "ECHO") {
          assert.isUndefined(open, "an ECHO in a transaction")
          assert.isFalse(names[index - 1] === "SET" && names[index + 1] === "GET", "an ECHO in a pipeline")
        } else if (name === "MULTI") open = name
        else if (name === "EXEC") open = undefined
      }
    }))
})

describe("a simulated server", () => {
  it.effect("answers the probes, and nobody is told of them", () =>
    Effect.gen(function*() {
      const executed: Array<string> = []
      const sim = yield* deploy(["a"], { onExecuted: ({ words }) => executed.push(words[0]!) })
      const { redis } = yield* connectNode(sim, "a", { poolSize: 1, maintenance })
      yield* over(5, redis.send("INCR", "counter"))
      assert.isAbove(executed.filter((name) => name === "ECHO").length, 3)
      assert.strictEqual(yield* redis.send("GET", "counter"), "20")
      assert.strictEqual(yield* sim.accepted("a"), 1)
      assert.strictEqual((yield* redis.status).slots[0]!.endpoint, Endpoint.format(sim.endpoint("a")))
    }))
})
