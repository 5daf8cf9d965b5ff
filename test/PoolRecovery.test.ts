/**
 * How slots come by a connection again, and commands by an answer: code of the program's own that misbehaves, waits and
 * storms, servers that refuse commands or the client, and commands that end connections.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { type Config, type HitlessError, HitlessRedis, Transport } from "hitless"
import { NodeTransport } from "hitless/node"
import { MaintenancePlan, TestRedis } from "hitless/testing"
import { busyAt } from "../src/Pool.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, provesHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import {
  addresses,
  advance,
  announceMove,
  begin,
  connections,
  database,
  dials,
  openSlots,
  options,
  rehearse,
  send,
  slots,
  status
} from "./support/rehearsal.ts"

/** What fails on purpose is not logged. */
const maintenance = { handoffTimeout: "250 millis", postHandoffRelaxedDuration: 0, logLevel: "Error" } as const

const now = { startImmediately: true } as const

const connectTo = (port: number, client: Config.Options = {}) =>
  HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1, maintenance, ...client })

const connect = (port: number, client: Config.Options = {}) =>
  Effect.provide(connectTo(port, client), NodeTransport.layer)

const answer = (words: ReadonlyArray<string>) => answerHandshake(words) ?? "+PONG\r\n"

/** Why there is no client. */
const refusalOf = <R>(connecting: Effect.Effect<unknown, HitlessError.HitlessError | Config.ConfigError, R>) =>
  Effect.map(Effect.flip(connecting), (error) => "reason" in error ? error.reason : assert.fail(error.message))

const health = (redis: HitlessRedis.HitlessRedis["Service"]) => Effect.map(redis.status, ({ health }) => health)

// ----- the program's own code -----

const never = Effect.uninterruptible(Effect.never)

const boom = (): never => {
  throw new Error("secret")
}

/** Effects that do what their type rules out. */
const misbehaviours: Readonly<Record<string, Effect.Effect<never>>> = {
  "fail against their type": Effect.fail("secret") as unknown as Effect.Effect<never>,
  "fail with no error at all": Effect.fail(undefined) as unknown as Effect.Effect<never>,
  "die": Effect.die(new Error("secret")),
  "throw when they are run": Effect.suspend(boom),
  "are interrupted": Effect.interrupt,
  "never end": Effect.never,
  "never end and cannot be interrupted": never
}

/** Credentials whose behaviour the test decides, and how often they were asked for. */
const credentials = () => {
  const good: Effect.Effect<Config.Credentials> = Effect.succeed({ password: Redacted.make("password") })
  const state = { now: good, asked: 0 }
  return {
    state,
    good,
    effect: Effect.suspend(() => {
      state.asked++
      return state.now
    })
  }
}

describe("credentials", () => {
  for (const [what, misbehaviour] of Object.entries(misbehaviours)) {
    // Dials that are to succeed have to, on a machine that is busy too; those that never end make the test as long.
    const connectTimeout = what.startsWith("never") ? "400 millis" : "5 seconds"

    it.live(`that ${what} fail the first connection`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(answer)
        const reason = yield* refusalOf(
          connect(server.port, { credentials: misbehaviour, connectTimeout })
        )
        assert.strictEqual(
          reason._tag === "ConnectFailed" && reason.kind,
          what.startsWith("never") ? "TimedOut" : "Unreachable"
        )
        assert.notInclude(reason.message, "secret")
        yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      }))

    it.live(`that ${what} for a while keep no slot from its next connection`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(answer)
        const { effect, good, state } = credentials()
        const redis = yield* connect(server.port, { credentials: effect, connectTimeout })
        state.now = misbehaviour
        server.connections[0]!.socket.destroy()
        yield* waitUntil(Effect.sync(() => state.asked >= 3))
        state.now = good
        assert.strictEqual(yield* redis.send("PING"), "PONG")
      }))
  }

  it.live("that never end and cannot be interrupted do not keep the pool from growing", () =>
    Effect.gen(function*() {
      const held: Array<() => void> = []
      const server = yield* rawServer((words, connection) => {
        if (words[0] === "HOLD") held.push(() => connection.socket.write("+OK\r\n"))
        // The ECHO of a probe stands behind what is held.
        return words[0] === "ECHO" && !provesHandshake(words, connection) ? undefined : answerHandshake(words)
      })
      const { effect, good, state } = credentials()
      const redis = yield* connect(server.port, {
        poolSize: 2,
        credentials: effect,
        connectTimeout: "400 millis",
        commandTimeout: "1 minute"
      })
      state.now = never
      const hold = Effect.forkScoped(
        Effect.forEach(Array.from({ length: busyAt + 1 }), () => redis.send("HOLD"), {
          concurrency: "unbounded",
          discard: true
        }),
        now
      )
      yield* hold
      yield* waitUntil(Effect.sync(() => state.asked === 2))
      state.now = good
      // One more command for a busy pool, until it has grown.
      yield* waitUntil(Effect.gen(function*() {
        yield* Effect.forkScoped(redis.send("HOLD"), now)
        return (yield* redis.status).slots[1]!.state === "Serving"
      }))
    }))

  it.live("that cannot be interrupted do not keep the client from closing", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(answer)
      const { effect, state } = credentials()
      const scope = yield* Scope.make()
      yield* Scope.provide(connect(server.port, { credentials: effect }), scope)
      state.now = never
      server.connections[0]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => state.asked === 2))
      yield* Scope.close(scope, Exit.void)
      yield* waitUntil(Effect.sync(() => server.closed.length === 2))
    }))
})

const nodeTransport = Effect.map(
  Layer.build(NodeTransport.layer),
  (context) => Context.get(context, Transport.Transport)
)

describe("a transport", () => {
  for (
    const [what, misbehaviour] of Object.entries<() => unknown>({
      "throws": boom,
      "gives nothing": () => undefined,
      "gives no socket": () => Effect.succeed({}),
      "dies": () => Effect.die("secret"),
      "never opens and cannot be interrupted": () => never
    })
  ) {
    it.live(`that ${what} for a while keeps no slot from its next connection`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(answer)
        const transport = yield* nodeTransport
        let misbehaves = false
        let asked = 0
        const redis = yield* connectTo(server.port, { connectTimeout: "50 millis" }).pipe(
          Effect.provideService(Transport.Transport, {
            ...transport,
            open: (...args) => {
              asked++
              return misbehaves ? misbehaviour() as Effect.Effect<Socket.Socket> : transport.open(...args)
            }
          })
        )
        misbehaves = true
        server.connections[0]!.socket.destroy()
        yield* waitUntil(Effect.sync(() => asked >= 3))
        misbehaves = false
        assert.strictEqual(yield* redis.send("PING"), "PONG")
      }))
  }

  for (
    const [what, misbehaviour] of Object.entries<() => unknown>({
      "throws": boom,
      "dies": () => Effect.die("secret"),
      "resolves to nothing": () => Effect.succeed(undefined),
      "resolves to no addresses": () => Effect.succeed([undefined, 7])
    })
  ) {
    it.live(`whose resolver ${what} connects all the same, and asks for the address that is reached from anywhere`, () =>
      Effect.gen(function*() {
        const asked: Array<string | undefined> = []
        const server = yield* rawServer((words) => {
          if (words[1] === "MAINT_NOTIFICATIONS") asked.push(words.at(-1))
          return answer(words)
        })
        const transport = yield* nodeTransport
        const redis = yield* connectTo(server.port).pipe(
          Effect.provideService(Transport.Transport, {
            ...transport,
            // It does not tell where it has connected to.
            open: (endpoint, { onPeer: _, ...options }) => transport.open(endpoint, options),
            resolve: () => misbehaviour() as ReturnType<typeof transport.resolve>
          })
        )
        server.connections[0]!.socket.destroy()
        yield* waitUntil(Effect.sync(() => asked.length === 2))
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        assert.deepStrictEqual(asked, ["external-ip", "external-ip"])
      }))
  }

  /** What a client asks a server on loopback for, whose name leads elsewhere if anywhere. */
  const questionOf = Effect.fnUntraced(function*(tellsPeer: boolean, addresses: Effect.Effect<ReadonlyArray<string>>) {
    const asked: Array<string | undefined> = []
    const server = yield* rawServer((words) => {
      if (words[1] === "MAINT_NOTIFICATIONS") asked.push(words.at(-1))
      return answer(words)
    })
    const transport = yield* nodeTransport
    yield* connectTo(server.port).pipe(
      Effect.provideService(Transport.Transport, {
        ...transport,
        open: (endpoint, { onPeer, ...options }) =>
          transport.open(endpoint, tellsPeer ? { ...options, onPeer } : options),
        resolve: () => addresses
      })
    )
    return asked
  })

  it.live("that tells where it has connected to is asked for no other address", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* questionOf(true, Effect.succeed(["8.8.8.8"])), ["internal-ip"])
      assert.deepStrictEqual(yield* questionOf(false, Effect.succeed(["8.8.8.8"])), ["external-ip"])
      assert.deepStrictEqual(yield* questionOf(false, Effect.succeed(["100.64.0.1"])), ["internal-ip"])
    }))

  it.live("whose resolver never answers is not waited for longer than the dial leaves", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* questionOf(false, Effect.never), ["external-ip"])
    }))
})

describe("a connection that closes when its handshake is over, before its slot has it", () => {
  /** A client whose connections end after the last reply of the handshake while `ending` says so. */
  const make = Effect.fnUntraced(function*(ending: { now: boolean }) {
    const server = yield* rawServer((words) => words[2] === "LIB-VER" ? "-ERR last\r\n" : answer(words))
    const transport = yield* nodeTransport
    const error = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })
    const connecting = connectTo(server.port, { maintenance: { mode: "disabled" } }).pipe(
      Effect.provideService(Transport.Transport, {
        ...transport,
        open: (...args) =>
          Effect.map(transport.open(...args), ({ reader, writer }) => {
            let ended = false
            return Socket.make({
              reader: Effect.map(reader, ({ pull, upgrade }) => ({
                pull: Effect.suspend(() => ended ? Effect.fail(error) : pull).pipe(
                  Effect.tap((chunks) =>
                    Effect.sync(() => {
                      ended = ending.now && chunks.some((chunk) => Buffer.from(chunk).includes("-ERR last"))
                    })
                  )
                ),
                upgrade
              })),
              writer
            })
          })
      }),
      // Who reads and who dials take turns, and the dial has more to do.
      Effect.provideService(References.MaxOpsBeforeYield, 16)
    )
    return { server, connecting }
  })

  it.live("is no first connection", () =>
    Effect.gen(function*() {
      const { connecting } = yield* make({ now: true })
      const reason = yield* refusalOf(connecting)
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Dropped")
    }))

  it.live("is followed by another", () =>
    Effect.gen(function*() {
      const ending = { now: false }
      const { connecting, server } = yield* make(ending)
      const redis = yield* connecting
      ending.now = true
      server.connections[0]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => server.connections.length >= 3))
      ending.now = false
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))
})

// ----- time -----

/** The same with other jitter each time. */
const seeds = Array.from({ length: 20 }, (_, seed) => seed)

const rehearseEach = <E>(
  client: NonNullable<TestRedis.Options["client"]>,
  test: Effect.Effect<unknown, E, TestRedis.Provided>
) =>
  Effect.forEach(
    seeds,
    (seed) => Effect.provide(test, Layer.fresh(TestRedis.layer({ ...options({ maintenance, ...client }), seed }))),
    { discard: true }
  )

/** What a command that was sent has come to by now. */
const outcome = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> | undefined => fiber.pollUnsafe()

describe("a command that the server refuses for now", () => {
  for (const step of ["readonly", "loading"] as const) {
    // 20 ms are left for the last answer.
    for (const duration of [700, 900, 975]) {
      it.live(`has its answer when the server is well again after ${duration} of its 1000 ms (${step})`, () =>
        rehearseEach(
          { commandTimeout: "1 second" },
          Effect.gen(function*() {
            yield* begin({ step, at: 0, node: "a", duration })
            yield* advance("1 milli")
            const reply = yield* send("INCR", "counter")
            yield* advance("999 millis")
            assert.deepStrictEqual(outcome(reply), Exit.succeed(1))
          })
        ))
    }
  }

  it.live("is not sent when its answer would come too late, so that it is known not to have run", () =>
    rehearseEach(
      { commandTimeout: "1 second" },
      Effect.gen(function*() {
        yield* begin(
          { step: "latency", at: 0, node: "a", delay: "120 millis" },
          { step: "readonly", at: 0, node: "a", duration: "10 seconds" }
        )
        yield* advance("1 milli")
        const reply = yield* send("INCR", "counter")
        yield* advance("1 second")
        const { reason } = yield* Effect.flip(Fiber.join(reply))
        assert.strictEqual(reason._tag, "ServerReplied")
        assert.isFalse(reason.mayHaveExecuted)
      })
    ))
})

describe("a server that answers READONLY for ten seconds", () => {
  /** Thirty fibers write without a pause for as long as the effect takes. */
  const whileWriting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const write = Effect.forever(Effect.ignore(redis.send("INCR", "counter")))
      const writers = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 30 }), () => write, { concurrency: "unbounded", discard: true })
      )
      return yield* Effect.ensuring(effect, Fiber.interrupt(writers))
    })

  for (const poolSize of [1, 5]) {
    it.effect(`is dialled a few times a second, and not once for each answer (${poolSize} slots)`, () =>
      Effect.gen(function*() {
        yield* openSlots("a", poolSize)
        yield* begin(
          { step: "latency", at: 0, node: "a", delay: "1 milli" },
          { step: "readonly", at: 0, node: "a", duration: "10 seconds" }
        )
        yield* advance("1 milli")
        const before = (yield* dials("a")).length
        yield* whileWriting(advance("9 seconds"))
        const during = (yield* dials("a")).length - before
        // 50, 100, 200, 400, 400, … milliseconds apart, each 0.8 to 1.2 times.
        assert.isAtLeast(during, 10)
        assert.isAtMost(during, 40)
      }).pipe(rehearse({ poolSize, commandTimeout: "1 second", maintenance })))
  }

  it.effect("is left for the new master as soon as the name leads there", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 5)
      yield* begin(
        { step: "latency", at: 0, node: "a", delay: "1 milli" },
        { step: "latency", at: 0, node: "b", delay: "1 milli" },
        { step: "readonly", at: 0, node: "a", duration: "10 seconds" },
        { step: "dns", at: "2 seconds", name: MaintenancePlan.databaseName, target: "b" }
      )
      yield* advance("1 milli")
      yield* whileWriting(Effect.gen(function*() {
        yield* advance("2 seconds")
        const reply = yield* send("SET", "key", "value")
        yield* advance("999 millis")
        assert.deepStrictEqual(outcome(reply), Exit.succeed("OK"))
      }))
    }).pipe(rehearse({ poolSize: 5, commandTimeout: "1 second", maintenance })))

  it.effect("is dialled again for commands that have no time for another try, too", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin(
        { step: "readonly", at: 0, node: "a", duration: "10 seconds" },
        { step: "dns", at: 0, name: MaintenancePlan.databaseName, target: "b" }
      )
      yield* advance("1 milli")
      const impatient = Effect.provideService(redis.send("INCR", "counter"), HitlessRedis.CurrentCommandTimeout, 10)
      assert.strictEqual((yield* Effect.flip(impatient)).reason._tag, "ServerReplied")
      yield* advance("1 milli")
      assert.strictEqual(yield* impatient, 1)
    }).pipe(rehearse({ maintenance })))
})

describe("a server that comes back", () => {
  /** No connection lives for more than 100 ms. */
  const kills = (millis: number) =>
    Array.from({ length: millis / 100 }, (_, index) => ({ step: "kill" as const, at: 100 * index, node: "a" }))

  const patient = { commandTimeout: "1 minute" } as const

  it.live("has the commands that wait for it within half a second", () =>
    rehearseEach(
      patient,
      Effect.gen(function*() {
        yield* begin(
          { step: "refuse", at: 0, node: "a" },
          { step: "kill", at: 0, node: "a" },
          { step: "accept", at: "20 seconds", node: "a" }
        )
        yield* advance("1 second")
        const reply = yield* send("INCR", "counter")
        yield* advance("19500 millis")
        assert.deepStrictEqual(outcome(reply), Exit.succeed(1))
      })
    ))

  it.live("has a command within half a second that comes when none has waited for long", () =>
    rehearseEach(
      patient,
      Effect.gen(function*() {
        yield* begin(
          { step: "refuse", at: 0, node: "a" },
          { step: "kill", at: 0, node: "a" },
          { step: "accept", at: "20 seconds", node: "a" }
        )
        yield* advance("20 seconds")
        const reply = yield* send("INCR", "counter")
        yield* advance("500 millis")
        assert.deepStrictEqual(outcome(reply), Exit.succeed(1))
      })
    ))

  it.effect("is dialled at leisure while no command waits, or none any more", () =>
    Effect.gen(function*() {
      yield* begin(...kills(20_000))
      yield* advance("10 seconds")
      const before = (yield* dials("a")).length
      yield* Fiber.interrupt(yield* send("INCR", "counter"))
      yield* advance("10 seconds")
      assert.isAtMost((yield* dials("a")).length - before, 8)
    }).pipe(rehearse({ maintenance })))

  it.live("has them within half a second also when its connections were short-lived for a while", () =>
    rehearseEach(
      { ...patient, retry: () => true },
      Effect.gen(function*() {
        yield* begin(...kills(10_000))
        yield* advance("9900 millis")
        const reply = yield* send("INCR", "counter")
        yield* advance("500 millis")
        assert.deepStrictEqual(outcome(reply), Exit.succeed(1))
      })
    ))
})

describe("a database that may be in more than one place", () => {
  it.effect("is reached where it answers, although the target of a move hangs", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "HangBeforeHello" } },
        announceMove(0, 1, 30, addresses.b),
        { step: "kill", at: "1 second", node: "a" }
      )
      yield* advance("1 second")
      const reply = yield* send("INCR", "counter")
      yield* advance("300 millis")
      assert.deepStrictEqual(outcome(reply), Exit.succeed(1))
      yield* begin({ step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer" } })
      yield* advance("1 minute")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.deepStrictEqual([yield* connections("a"), yield* connections("b")], [0, 1])
    }).pipe(rehearse({ maintenance: { ...maintenance, handoffTimeout: "10 seconds" } })))

  it.effect("is dialled at its target alone while that answers in time", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "latency", at: 0, node: "b", delay: "100 millis" },
        announceMove(0, 1, 30, addresses.b),
        { step: "kill", at: 1, node: "a" }
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.strictEqual((yield* dials("a")).length, 1)
    }).pipe(rehearse({ maintenance })))

  it.effect("keeps one connection for its slot when both answer", () =>
    Effect.gen(function*() {
      yield* begin(
        // Both are ready in the same moment.
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "300 millis" } },
        { step: "handshake", at: 0, node: "a", handshake: { _tag: "Answer", delay: "50 millis" } },
        announceMove(0, 1, 30, addresses.b),
        { step: "kill", at: 1, node: "a" }
      )
      yield* advance("1 minute")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.deepStrictEqual([yield* connections("a"), yield* connections("b")], [0, 1])
    }).pipe(rehearse({ maintenance })))

  it.effect("is said to be out of reach where the client was told that it is", () =>
    Effect.gen(function*() {
      yield* begin(
        announceMove(0, 1, 30, addresses.b),
        { step: "refuse", at: "1 second", node: "a" },
        { step: "handshake", at: "1 second", node: "b", handshake: { _tag: "DropAfterBytes", bytes: 0 } },
        { step: "kill", at: "1 second", node: "b" }
      )
      yield* advance("1 second")
      const reply = yield* send("INCR", "counter")
      yield* advance("1 second")
      const { reason } = yield* Effect.flip(Fiber.join(reply))
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Refused")
      assert.strictEqual(reason.endpoint, database)
    }).pipe(rehearse({ commandTimeout: "1 second", maintenance: { ...maintenance, relaxedTimeout: "off" } })))
})

// ----- commands that end connections -----

describe("a read that ends the connection which carries it", () => {
  /** A server that dies of one key, whatever else it was asked for. */
  const fragile = Effect.gen(function*() {
    const asked: Array<string> = []
    const server = yield* rawServer((words, { socket }) => {
      if (words[0] !== "GET") return answer(words)
      asked.push(words[1]!)
      if (!words[1]!.startsWith("poison")) return `+${words[1]}\r\n`
      socket.destroy()
      return undefined
    })
    return { server, asked: (key: string) => asked.filter((one) => one === key).length }
  })

  it.live("is sent twice, fails with the reason, and may be sent again by who wants to", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* fragile
      const redis = yield* connect(server.port)
      for (const times of [2, 4]) {
        const { reason } = yield* Effect.flip(redis.send("GET", "poison"))
        assert.strictEqual(reason._tag, "ConnectionLost")
        assert.include(reason.message, "lost twice while it was being answered; it is not sent a third time")
        assert.isTrue(reason.mayHaveExecuted)
        assert.strictEqual(asked("poison"), times)
      }
      assert.strictEqual(yield* redis.send("GET", "key"), "key")
    }))

  it.live("fails without end of time, too, and as a batch", () =>
    Effect.gen(function*() {
      const { server } = yield* fragile
      const redis = yield* connect(server.port, { commandTimeout: "Infinity" })
      const { reason } = yield* Effect.flip(redis.pipeline([["GET", "key"], ["GET", "poison"]]))
      assert.strictEqual(reason._tag, "ConnectionLost")
      assert.include(reason.message, "third time")
    }))

  it.live("takes no neighbour with it, wherever it stands among them", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* fragile
      const redis = yield* connect(server.port, { commandTimeout: "30 seconds" })
      const poisons = [0, 17, 49]
      const keys = Array.from({ length: 50 }, (_, index) => poisons.includes(index) ? `poison${index}` : `${index}`)
      const exits = yield* Effect.forEach(keys, (key) => Effect.result(redis.send("GET", key)), {
        concurrency: "unbounded"
      })
      for (const [index, key] of keys.entries()) {
        const exit = exits[index]!
        if (exit._tag === "Success") assert.strictEqual(exit.success, key)
        else assert.include(exit.failure.message, "third time")
        assert.strictEqual(exit._tag, poisons.includes(index) ? "Failure" : "Success")
      }
      for (const index of poisons) assert.isAtMost(asked(`poison${index}`), 3)
    }))

  it.live("is told from those before it whose answers the server threw away with its own", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--client-output-buffer-limit", "normal", "1mb", "0", "0"] })
      const redis = yield* connect(port, { commandTimeout: "30 seconds" })
      yield* redis.send("SET", "big", "x".repeat(8_000_000))
      yield* redis.send("SET", "small", "value")
      const get = (key: string) => Effect.result(redis.send("GET", key))
      const keys = Array.from({ length: 41 }, (_, index) => index === 20 ? "big" : "small")
      const exits = yield* Effect.forEach(keys, get, { concurrency: "unbounded" })
      const failed = keys.filter((_, index) => exits[index]!._tag === "Failure")
      assert.deepStrictEqual(failed, ["big"])
      assert.strictEqual(yield* redis.send("GET", "small"), "value")
    }))

  it.live("is not blamed for what happened to it once, when hundreds are sent again after an outage", () =>
    Effect.gen(function*() {
      let asked = 0
      const server = yield* rawServer((words, { id }) => {
        if (words[0] !== "GET") return answer(words)
        asked++
        return id === 1 ? undefined : `+${words[1]}\r\n`
      })
      const redis = yield* connect(server.port, { commandTimeout: "30 seconds" })
      const keys = Array.from({ length: 500 }, (_, index) => String(index))
      const reads = yield* Effect.forkScoped(
        Effect.forEach(keys, (key) => redis.send("GET", key), { concurrency: "unbounded" }),
        now
      )
      yield* waitUntil(Effect.sync(() => asked === 500))
      server.connections[0]!.socket.destroy()
      assert.deepStrictEqual(yield* Fiber.join(reads), keys)
    }))

  it.live("is not blamed for the end of connections that were told to move", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const node = (index: number) =>
        rawServer((words) => {
          if (words[0] !== "GET") return answer(words)
          asked.push(index)
          return index === 2 ? "+value\r\n" : undefined
        })
      const servers = [yield* node(0), yield* node(1), yield* node(2)] as const
      const redis = yield* connect(servers[0].port, { commandTimeout: "30 seconds" })
      const reply = yield* Effect.forkScoped(redis.send("GET", "key"), now)
      for (const index of [0, 1] as const) {
        yield* waitUntil(Effect.sync(() => asked.at(-1) === index))
        const target = `127.0.0.1:${servers[index + 1]!.port}`
        const { socket } = servers[index].connections[0]!
        socket.write(`>4\r\n+MOVING\r\n:${index}\r\n:30\r\n+${target}\r\n`)
        yield* waitUntil(Effect.map(redis.status, ({ slots }) => slots[0]!.endpoint === target))
        socket.destroy()
      }
      assert.strictEqual(yield* Fiber.join(reply), "value")
      assert.deepStrictEqual(asked, [0, 1, 2])
    }))

  it.live("lets those wait their turn no longer than their deadlines, and is let go of when it is interrupted", () =>
    Effect.gen(function*() {
      const held: Array<() => void> = []
      const server = yield* rawServer((words, { socket }) => {
        if (words[0] === "GET") held.push(() => socket.write("+value\r\n"))
        return words[0] === "GET" ? undefined : answer(words)
      })
      const redis = yield* connect(server.port, { commandTimeout: "1 minute" })
      const get = redis.send("GET", "key")
      const first = yield* Effect.forkScoped(get, now)
      const impatient = yield* Effect.forkScoped(
        Effect.provideService(Effect.flip(get), HitlessRedis.CurrentCommandTimeout, "200 millis"),
        now
      )
      const last = yield* Effect.forkScoped(get, now)
      yield* waitUntil(Effect.sync(() => held.length === 3))
      server.connections[0]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => held.length === 4))
      const { reason } = yield* Fiber.join(impatient)
      assert.strictEqual(reason._tag, "CommandTimeout")
      assert.isTrue(reason.mayHaveExecuted)
      yield* Fiber.interrupt(first)
      yield* waitUntil(Effect.sync(() => held.length === 5))
      for (const answer of held) answer()
      assert.strictEqual(yield* Fiber.join(last), "value")
    }))
})

// ----- servers that refuse -----

describe("a server that refuses the client when it connects again", () => {
  it.live("ends the commands that wait with the refusal (rotated password), until the password is right again", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", "old"] })
      const admin = yield* connect(port, { credentials: { password: Redacted.make("old") } })
      const { effect, state } = credentials()
      state.now = Effect.succeed({ password: Redacted.make("old") })
      // A command that nothing else would ever end.
      const redis = yield* connect(port, { credentials: effect, commandTimeout: "Infinity" })
      yield* admin.send("CONFIG", "SET", "requirepass", "new")
      yield* admin.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      yield* waitUntil(Effect.map(health(redis), (health) => health === "down"))
      for (let times = 0; times < 2; times++) {
        const { reason } = yield* Effect.flip(redis.send("INCR", "counter"))
        if (reason._tag !== "AuthenticationFailed") return assert.fail(reason._tag)
        assert.isFalse(reason.mayHaveExecuted)
        assert.strictEqual(reason.command, "INCR")
        assert.match(reason.detail, /^the server refuses the configured credentials: WRONGPASS .* and was never sent$/)
      }
      state.now = Effect.succeed({ password: Redacted.make("new") })
      yield* waitUntil(Effect.map(health(redis), (health) => health === "ok"))
      assert.strictEqual(yield* redis.send("INCR", "counter"), 1)
    }))

  it.live("ends them when it asks for a password, or no longer announces what the mode requires", () =>
    Effect.gen(function*() {
      for (
        const [refused, words, tag] of [
          ["HELLO", "-NOAUTH HELLO must be called with the client already authenticated", "AuthenticationFailed"],
          ["MAINT_NOTIFICATIONS", "-ERR maintenance notifications are disabled", "MaintenanceRefused"]
        ] as const
      ) {
        const server = yield* rawServer((command, { id }) =>
          id > 1 && command.includes(refused) ? `${words}\r\n` : answer(command)
        )
        const redis = yield* connect(server.port, {
          commandTimeout: "Infinity",
          maintenance: { ...maintenance, mode: "enabled" }
        })
        server.connections[0]!.socket.destroy()
        yield* waitUntil(Effect.map(health(redis), (health) => health === "down"))
        const { reason } = yield* Effect.flip(redis.send("PING"))
        assert.strictEqual(reason._tag, tag)
        assert.isFalse(reason.mayHaveExecuted)
      }
    }))

  it.live("ends no command while another connection serves", () =>
    Effect.gen(function*() {
      const held: Array<() => void> = []
      let loading = true
      const server = yield* rawServer((words, { id, socket }) => {
        if (words[0] === "HELLO" && id > 2) return "-WRONGPASS invalid username-password pair\r\n"
        if (words[0] === "HOLD") held.push(() => socket.write("+OK\r\n"))
        if (words[0] === "INCR") return loading ? "-LOADING Redis is loading\r\n" : ":1\r\n"
        return words[0] === "HOLD" ? undefined : answer(words)
      })
      const redis = yield* connect(server.port, { poolSize: 2, commandTimeout: "30 seconds" })
      const holding = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: busyAt + 1 }), () => redis.send("HOLD"), {
          concurrency: "unbounded",
          discard: true
        }),
        now
      )
      yield* waitUntil(Effect.map(redis.status, ({ slots }) => slots[1]!.state === "Serving"))
      server.connections[1]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => server.connections.length >= 4))
      for (const release of held) release()
      yield* Fiber.join(holding)
      // It waits too, but not for a connection.
      const refused = yield* Effect.forkScoped(redis.send("INCR", "counter"), now)
      const dialled = server.connections.length
      yield* waitUntil(Effect.sync(() => server.connections.length >= dialled + 2))
      loading = false
      assert.strictEqual(yield* Fiber.join(refused), 1)
      assert.strictEqual(yield* health(redis), "degraded")
    }))
})

describe("health", () => {
  for (
    const refusal of [
      "LOADING Redis is loading the dataset in memory",
      "READONLY You can't write against a read only replica.",
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      "CLUSTERDOWN The cluster is down"
    ]
  ) {
    const code = refusal.split(" ")[0]!

    it.live(`is degraded while the server answers ${code}, and ok with the answer that it then gives`, () =>
      Effect.gen(function*() {
        let refuses = true
        const server = yield* rawServer((words) =>
          words[0] === "INCR" ? refuses ? `-${refusal}\r\n` : ":1\r\n" : answer(words)
        )
        const redis = yield* connect(server.port)
        assert.strictEqual(yield* health(redis), "ok")
        const reply = yield* Effect.forkScoped(redis.send("INCR", "counter"), now)
        yield* waitUntil(Effect.map(health(redis), (health) => health === "degraded"))
        // Reads may be served meanwhile.
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        assert.strictEqual(yield* health(redis), "degraded")
        refuses = false
        assert.strictEqual(yield* Fiber.join(reply), 1)
        assert.strictEqual(yield* health(redis), "ok")
      }))
  }

  it.effect("forgets a refusal that nothing has confirmed for a while", () =>
    Effect.gen(function*() {
      yield* begin({ step: "loading", at: 0, node: "a", duration: "2 seconds" })
      yield* advance("1 milli")
      const reply = yield* send("INCR", "counter")
      yield* advance("500 millis")
      assert.strictEqual((yield* Effect.flip(Fiber.join(reply))).reason._tag, "ServerReplied")
      assert.strictEqual((yield* status).health, "degraded")
      yield* advance("4 seconds")
      assert.strictEqual((yield* status).health, "ok")
    }).pipe(rehearse({ commandTimeout: "500 millis", maintenance })))

  it.effect("is degraded by a handoff that failed until its move is over", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 3, addresses.b)
      )
      yield* advance("2999 millis")
      assert.strictEqual((yield* status).health, "degraded")
      yield* advance("1 milli")
      assert.deepStrictEqual(yield* slots, ["Serving redis.test"])
      assert.strictEqual((yield* status).health, "ok")
    }).pipe(rehearse({ maintenance: { ...maintenance, maxHandoffRetries: 0, relaxedTimeout: "off" } })))
})
