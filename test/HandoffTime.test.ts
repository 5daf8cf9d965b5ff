/**
 * What time commands and connections have around a handoff: promised deadlines, relaxation that outlives a connection,
 * the grace of an old connection, and who hears of a move late.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { type Config, Handoff, type HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { decode } from "hitless/Notifications"
import { MaintenancePlan, Rehearsal } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import * as Pool from "../src/Pool.ts"
import { Timeouts } from "../src/Timeouts.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, type RawConnection, rawServer } from "./support/rawServer.ts"
import {
  addresses,
  advance,
  announceMove,
  begin,
  dials,
  rehearse,
  send,
  slots,
  status,
  story,
  until
} from "./support/rehearsal.ts"
import { command } from "./support/requests.ts"
import { makeRooms } from "./support/rooms.ts"

const impatient = { commandTimeout: "150 millis" } as const

const afterHandoff = Effect.map(
  status,
  ({ windows }) => windows.filter(({ label }) => label === "after handoff").map(({ subject }) => subject)
)

/** `count` increments at once, joined as the numbers that they came to. */
const increments = (count: number) =>
  Effect.flatMap(HitlessRedis.HitlessRedis, (redis) =>
    Effect.forkChild(
      Effect.forEach(Array.from({ length: count }), () => redis.send<number>("INCR", "counter"), {
        concurrency: "unbounded"
      }),
      { startImmediately: true }
    ))

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

describe("the deadline of a command", () => {
  /** The first node dies before its successor takes connections. */
  const orphaned = [
    { step: "refuse", at: 0, node: "b" },
    announceMove(0, 1, 30, addresses.b),
    { step: "refuse", at: "50 millis", node: "a" },
    { step: "drop", at: "50 millis", node: "a" },
    { step: "latency", at: 0, node: "b", delay: "50 millis" },
    { step: "accept", at: "2 seconds", node: "b" }
  ] satisfies ReadonlyArray<MaintenancePlan.StepInput>

  const noneAfter = { ...impatient, maintenance: { postHandoffRelaxedDuration: 0 } } as const

  it.effect("that waited in a window is no earlier where it is sent, though no window is open there", () =>
    Effect.gen(function*() {
      yield* begin(...orphaned)
      yield* advance("100 millis")
      const waiting = yield* increments(50)
      const redis = yield* HitlessRedis.HitlessRedis
      const pipeline = yield* Effect.forkChild(redis.pipeline([["INCR", "p"], ["INCR", "p"]]), {
        startImmediately: true
      })
      const transaction = yield* Effect.forkChild(redis.transaction([["INCR", "t"], ["INCR", "t"]]), {
        startImmediately: true
      })
      yield* advance("4 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.deepStrictEqual(yield* Fiber.join(waiting), upTo(50))
      for (const batch of [pipeline, transaction]) {
        assert.deepStrictEqual(yield* Fiber.join(batch), [Result.succeed(1), Result.succeed(2)])
      }
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse(noneAfter)))

  it.effect("is kept over refusals that follow, and is over when it is over", () =>
    Effect.gen(function*() {
      yield* begin(
        ...orphaned,
        { step: "loading", at: 0, node: "b", duration: "5 seconds" },
        { step: "stall", at: "9 seconds", node: "b", duration: "1 hour" }
      )
      yield* advance("100 millis")
      const waiting = yield* increments(50)
      yield* advance("6 seconds")
      assert.deepStrictEqual((yield* Fiber.join(waiting)).toSorted((a, b) => a - b), upTo(50))
      yield* Rehearsal.assertEachRanOnce
      yield* advance("3 seconds")
      const redis = yield* HitlessRedis.HitlessRedis
      const late = yield* Effect.forkChild(Effect.flip(redis.send("INCR", "counter")), { startImmediately: true })
      yield* advance("150 millis")
      assert.strictEqual((yield* Fiber.join(late)).reason._tag, "CommandTimeout")
    }).pipe(rehearse(noneAfter)))

  it.effect("is kept where the server is silent for longer than commands without a promise would wait", () =>
    Effect.gen(function*() {
      yield* begin(...orphaned, { step: "latency", at: "10 millis", node: "b", delay: "1 second" })
      yield* advance("100 millis")
      const waiting = yield* increments(3)
      yield* until(Effect.map(slots, (slots) => slots[0] === "Serving b"))
      const unpromised = yield* send("PING")
      yield* advance("2 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(unpromised))).reason._tag, "CommandTimeout")
      assert.deepStrictEqual(yield* Fiber.join(waiting), upTo(3))
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse(noneAfter)))

  it.effect("is no earlier when the relaxed connection is lost under it", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second" },
        { step: "stall", at: "1 second", node: "b", duration: "1 second" },
        { step: "drop", at: "2 seconds", node: "b" }
      )
      yield* advance("1 second")
      const read = yield* send("GET", "key")
      yield* advance("2 seconds")
      assert.strictEqual(yield* Fiber.join(read), null)
      assert.strictEqual((yield* dials("b")).length, 2)
    }).pipe(rehearse(impatient)))

  it.effect("is no earlier for what the old connection had not written at the swap", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "latency", at: 0, node: "b", delay: "50 millis" },
        { step: "stall", at: "100 millis", node: "a", duration: "2 seconds" },
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "1 second" } },
        announceMove(0, 1, 30, addresses.b)
      )
      yield* advance("100 millis")
      const redis = yield* HitlessRedis.HitlessRedis
      // Nothing follows MULTI until it is answered.
      const held = yield* Effect.forkChild(redis.transaction([["INCR", "t"]]), { startImmediately: true })
      const waiting = yield* increments(50)
      yield* advance("3 seconds")
      assert.deepStrictEqual(yield* Fiber.join(waiting), upTo(50))
      assert.deepStrictEqual(yield* Fiber.join(held), [Result.succeed(1)])
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse(noneAfter)))
})

describe("the relaxation after a handoff", () => {
  /** A stall that is beyond the command timeout and within the relaxed one ends so. */
  const assertStall = (outcome: "Success" | "Failure") =>
    Effect.gen(function*() {
      const ping = yield* send("PING")
      yield* advance("500 millis")
      assert.strictEqual((yield* Fiber.await(ping))._tag, outcome)
    })

  /** Twice the relaxed timeout of 10 s, from the handoff on. */
  const stalls = [
    { step: "stall", at: "19 seconds", node: "b", duration: "500 millis" },
    { step: "stall", at: "20 seconds", node: "b", duration: "500 millis" }
  ] satisfies ReadonlyArray<MaintenancePlan.StepInput>

  const losses = {
    "is lost": [{ step: "drop", at: "5 seconds", node: "b" }],
    "is lost again and again": ([3000, 5000, 9000] as const).map((at) => ({ step: "drop", at, node: "b" }) as const),
    "is lost while the target is away": [
      { step: "refuse", at: "5 seconds", node: "b" },
      { step: "refuse", at: "5 seconds", node: "a" },
      { step: "drop", at: "5 seconds", node: "b" },
      { step: "accept", at: "8 seconds", node: "b" }
    ]
  } satisfies Record<string, ReadonlyArray<MaintenancePlan.StepInput>>

  for (const [what, loss] of Object.entries(losses)) {
    it.effect(`goes on for what is left of it when the connection ${what}`, () =>
      Effect.gen(function*() {
        yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "1 second" }, ...loss, ...stalls)
        yield* advance("19 seconds")
        assert.deepStrictEqual(yield* slots, ["Serving b"])
        assert.isAbove((yield* dials("b")).length, 1)
        yield* assertStall("Success")
        assert.strictEqual((yield* afterHandoff).length, 1)
        yield* advance("500 millis")
        assert.deepStrictEqual(yield* afterHandoff, [])
        yield* assertStall("Failure")
      }).pipe(rehearse({ ...impatient, maintenance: { handoffTimeout: "20 seconds" } })))
  }

  it.effect("goes on while there is no connection", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second" },
        { step: "refuse", at: "12 seconds", node: "b" },
        { step: "refuse", at: "12 seconds", node: "a" },
        { step: "drop", at: "12 seconds", node: "b" },
        { step: "accept", at: "14 seconds", node: "b" }
      )
      yield* advance("12 seconds")
      const waiting = yield* send("PING")
      yield* advance("3 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "PONG")
      assert.strictEqual((yield* afterHandoff).length, 1)
    }).pipe(rehearse(impatient)))

  it.effect("goes on for what is left of it when the connection is renewed because its server is a replica", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second" },
        { step: "readonly", at: "5 seconds", node: "b", duration: "100 millis" },
        ...stalls
      )
      yield* advance("5 seconds")
      const write = yield* send("SET", "key", "value")
      yield* advance("14 seconds")
      assert.strictEqual(yield* Fiber.join(write), "OK")
      assert.isAbove((yield* dials("b")).length, 1)
      yield* assertStall("Success")
      yield* advance("500 millis")
      yield* assertStall("Failure")
    }).pipe(rehearse({ ...impatient, maintenance: { handoffTimeout: "20 seconds" } })))

  it.effect("is that of a slot too whose connection died before its handoff and that found the target itself", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 30, addresses.b),
        { step: "refuse", at: "1 second", node: "a" },
        { step: "drop", at: "1 second", node: "a" },
        { step: "accept", at: "1 second", node: "b" },
        ...stalls
      )
      yield* advance("19 seconds")
      assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Failed b"])
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      yield* assertStall("Success")
      assert.strictEqual((yield* afterHandoff).length, 1)
    }).pipe(rehearse({ ...impatient, maintenance: { maxHandoffRetries: 0 } })))

  it.effect("does not begin where nothing moved: a slot that is filled later, and one that goes back", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "drop", at: "1 second", node: "a" },
        { step: "refuse", at: 0, node: "b" },
        announceMove("2 seconds", 1, 30, addresses.b),
        { step: "drop", at: "3 seconds", node: "a" }
      )
      yield* advance("4 seconds")
      assert.deepStrictEqual((yield* slots)[0], "Serving redis.test")
      assert.deepStrictEqual(yield* afterHandoff, [])
    }).pipe(rehearse({ poolSize: 2, maintenance: { maxHandoffRetries: 0 } })))
})

describe("an old connection", () => {
  /** The swap comes when the announced time is as good as over, and the old node answers some time later. */
  const late = (stall: MaintenancePlan.StepInput["at"]) =>
    [
      { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "999 millis" } },
      announceMove(0, 1, 1, addresses.b),
      { step: "stall", at: "900 millis", node: "a", duration: stall }
    ] satisfies ReadonlyArray<MaintenancePlan.StepInput>

  const short = { handoffTimeout: "1 second", maxHandoffRetries: 0 } as const

  for (
    const [what, client, stall] of [
      ["a command timeout", { maintenance: { ...short, relaxedTimeout: "off" } }, "2900 millis"],
      ["the relaxed timeout, where that is longer", { ...impatient, maintenance: short }, "9 seconds"],
      ["one attempt's time, where commands have no limit", {
        commandTimeout: "Infinity",
        maintenance: { ...short, relaxedTimeout: "off" }
      }, "1000 millis"]
    ] satisfies ReadonlyArray<readonly [string, Omit<Config.Options, "url" | "host" | "port" | "path" | "tls">, string]>
  ) {
    it.effect(`that is replaced late in the announced time has ${what} to answer what it owes`, () =>
      Effect.gen(function*() {
        yield* begin(...late(stall as MaintenancePlan.StepInput["at"]))
        yield* advance("900 millis")
        const owed = yield* increments(Pool.busyAt)
        yield* advance("100 millis")
        assert.deepStrictEqual(yield* slots, ["Serving b"])
        assert.strictEqual((yield* status).draining, 1)
        yield* advance("10 seconds")
        assert.deepStrictEqual(yield* Fiber.join(owed), upTo(Pool.busyAt))
        assert.strictEqual((yield* status).draining, 0)
        yield* Rehearsal.assertNoneFailed
        yield* Rehearsal.assertEachRanOnce
      }).pipe(rehearse(client)))
  }

  it.effect("has the time of a command that was given more of it", () =>
    Effect.gen(function*() {
      yield* begin(...late("25 seconds"))
      yield* advance("900 millis")
      const owed = yield* Effect.provideService(increments(1), HitlessRedis.CurrentCommandTimeout, "30 seconds")
      yield* advance("30 seconds")
      assert.deepStrictEqual(yield* Fiber.join(owed), [1])
    }).pipe(rehearse({ maintenance: short })))

  it.effect("is closed when its time is over, and a command without a limit fails", () =>
    Effect.gen(function*() {
      yield* begin(...late("1 hour"))
      yield* advance("900 millis")
      const owed = yield* increments(1)
      yield* advance("3 seconds")
      const { reason } = yield* Effect.flip(Fiber.join(owed))
      assert.strictEqual(reason._tag, "ConnectionLost")
      assert.isTrue(reason.mayHaveExecuted)
      assert.strictEqual((yield* status).draining, 0)
    }).pipe(rehearse({ commandTimeout: "Infinity", maintenance: { ...short, relaxedTimeout: "off" } })))

  it.effect("fails a command by its own deadline and not by its own end, though they come at once", () =>
    Effect.gen(function*() {
      yield* begin(...late("1 hour"))
      yield* advance("900 millis")
      // Longer than the usual grace, so that it is what the end is set by.
      const owed = yield* Effect.provideService(increments(1), HitlessRedis.CurrentCommandTimeout, "30 seconds")
      yield* advance("1 hour")
      assert.strictEqual((yield* Effect.flip(Fiber.join(owed))).reason._tag, "CommandTimeout")
    }).pipe(rehearse({ maintenance: { ...short, relaxedTimeout: "off" } })))

  it.effect("that is left because its server is a replica has a command timeout too", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "readonly", at: 0, node: "a", duration: "10 millis" },
        { step: "handshake", at: 0, node: "a", handshake: { _tag: "Answer", delay: "500 millis" } }
      )
      const write = yield* send("SET", "key", "value")
      yield* advance("100 millis")
      yield* begin({ step: "stall", at: 0, node: "a", duration: "2 seconds" })
      const deployment = yield* SimulatedRedis
      const owed = yield* increments(50)
      yield* advance("10 seconds")
      assert.strictEqual(yield* Fiber.join(write), "OK")
      assert.strictEqual(yield* deployment.connections("a"), 1)
      assert.strictEqual((yield* dials("a")).length, 2)
      assert.deepStrictEqual(yield* Fiber.join(owed), upTo(50))
      yield* Rehearsal.assertNoneFailed
    }).pipe(rehearse({ maintenance: { ...short, handoffTimeout: "100 millis" } })))

  it.effect("lets the client close within one command timeout, whatever it still owes", () =>
    Effect.gen(function*() {
      yield* begin(...late("1 hour"))
      yield* advance("900 millis")
      yield* Effect.provideService(increments(1), HitlessRedis.CurrentCommandTimeout, "30 minutes")
      yield* advance("1 second")
      assert.strictEqual((yield* status).draining, 1)
      yield* Rehearsal.assertNothingLeftOpen
    }).pipe(rehearse({ maintenance: short })))
})

const moving = (seq: number, seconds: number, target: string | number): string => {
  const text = typeof target === "number" ? `127.0.0.1:${target}` : target
  return `>4\r\n$6\r\nMOVING\r\n:${seq}\r\n:${seconds}\r\n$${text.length}\r\n${text}\r\n`
}

const unknownSubcommand = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"

/** A server that logs who asked it for notifications, and whose answer to that can be changed. */
const server = (maintenance: (connection: RawConnection) => string | undefined) =>
  Effect.gen(function*() {
    const state = { answer: maintenance }
    const asked: Array<number> = []
    const raw = yield* rawServer((words, connection) => {
      if (words[1] === "MAINT_NOTIFICATIONS") {
        asked.push(connection.id)
        return state.answer(connection)
      }
      return answerHandshake(words) ?? (words[0] === "ECHO" ? `$${words[1]!.length}\r\n${words[1]}\r\n` : "+PONG\r\n")
    })
    return { ...raw, asked, state }
  })

const connect = (port: number, options: Config.Options = {}) =>
  Effect.provide(
    HitlessRedis.make({
      host: "127.0.0.1",
      port,
      poolSize: 1,
      ...options,
      maintenance: { logLevel: "Error", ...options.maintenance }
    }),
    NodeTransport.layer
  )

/** Puts so much on connections that the pool grows to `count` of them. */
const grow = (redis: HitlessRedis.HitlessRedis["Service"], count: number) =>
  Effect.gen(function*() {
    const serving = Effect.map(
      redis.status,
      ({ slots }) => slots.filter(({ endpoint }) => endpoint !== undefined).length
    )
    while ((yield* serving) < count) {
      yield* Effect.forEach(Array.from({ length: 2 * Pool.busyAt * count }), () => redis.send("PING"), {
        concurrency: "unbounded",
        discard: true
      })
    }
  })

const servesAt = (redis: HitlessRedis.HitlessRedis["Service"], port: number) =>
  Effect.map(redis.status, ({ slots }) => slots.every(({ endpoint }) => endpoint === `127.0.0.1:${port}`))

describe("a first connection", () => {
  const when = {
    "before it is answered": (move: string) => `${move}+OK\r\n`,
    "right after it is answered": (move: string) => `+OK\r\n${move}`
  }
  for (const [what, answer] of Object.entries(when)) {
    it.live(`that is told to move in its own handshake, ${what}, moves`, () =>
      Effect.gen(function*() {
        const target = yield* server(() => "+OK\r\n")
        const first = yield* server(() => answer(moving(1, 30, target.port)))
        const redis = yield* connect(first.port)
        yield* waitUntil(servesAt(redis, target.port))
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        assert.strictEqual(first.connections.length, 1)
        yield* waitUntil(Effect.sync(() => first.closed.length === 1))
      }))
  }

  it.live("that is told to move before it is greeted, and is hung up on, is made at the target", () =>
    Effect.gen(function*() {
      const target = yield* server(() => "+OK\r\n")
      const first = yield* server(({ socket }) => {
        socket.end(moving(1, 30, target.port))
        return undefined
      })
      const redis = yield* connect(first.port)
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      yield* waitUntil(servesAt(redis, target.port))
    }))
})

const pushes = (connection: RawConnection, bytes: string) => Effect.sync(() => connection.socket.write(bytes))

describe("a connection that was refused notifications", () => {
  const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) => TestClock.withLive(waitUntil(condition))

  const count = (asked: ReadonlyArray<number>, length: number) => eventually(Effect.sync(() => asked.length === length))

  const support = (redis: HitlessRedis.HitlessRedis["Service"]) =>
    Effect.map(redis.status, ({ endpoints }) => endpoints.map(({ support, words }) => words ?? support).join())

  const refusals = {
    "as one that does not know them": unknownSubcommand,
    "as one where they are switched off": "-ERR maintenance notifications are disabled for this database\r\n",
    "for want of permission": "-NOPERM this user has no permissions to run the 'client|maint_notifications' command\r\n"
  }

  for (const [how, refusal] of Object.entries(refusals)) {
    it.effect(`${how} is asked again in place, and then hears of moves`, () =>
      Effect.gen(function*() {
        const target = yield* server(() => "+OK\r\n")
        const { asked, closed, connections, port, state } = yield* server(() => refusal)
        const redis = yield* connect(port)
        assert.strictEqual(yield* support(redis), refusal.slice(1, -2))
        state.answer = () => `${moving(1, 30, target.port)}+OK\r\n`
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        assert.deepStrictEqual(asked, [1])
        yield* TestClock.adjust("1 second")
        yield* count(asked, 2)
        // What the server replays to one that asks late is heard like any other.
        yield* eventually(servesAt(redis, target.port))
        assert.strictEqual((yield* support(redis)).split(",")[0], "supported")
        assert.strictEqual(connections.length, 1)
        yield* eventually(Effect.sync(() => closed.length === 1))
      }))
  }

  it.effect("is asked once a minute and endpoint, among commands whose replies stay theirs", () =>
    Effect.gen(function*() {
      const { asked, connections, port, state } = yield* server(() => unknownSubcommand)
      const redis = yield* connect(port, { poolSize: 3, commandTimeout: "1 hour" })
      yield* grow(redis, 3)
      assert.deepStrictEqual([connections.length, asked.length], [3, 1])
      for (const minute of [1, 2, 3]) {
        state.answer = () => `-ERR not in minute ${minute}\r\n`
        const echoes = yield* Effect.forkChild(
          Effect.forEach(upTo(50), (n) => redis.send("ECHO", `${minute}.${n}`), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(echoes), upTo(50).map((n) => `${minute}.${n}`))
        yield* eventually(Effect.map(support(redis), (words) => words === `ERR not in minute ${minute}`))
        assert.strictEqual(asked.length, 1 + minute)
        assert.strictEqual((yield* redis.status).pending, 0)
      }
      // One is told yes, and the others ask at once.
      state.answer = () => "+OK\r\n"
      yield* TestClock.adjust("1 minute")
      yield* count(asked, 7)
      assert.deepStrictEqual(new Set(asked.slice(-3)), new Set([1, 2, 3]))
      assert.strictEqual(yield* support(redis), "supported")
      // What the server answered before this has been read when this is answered: nobody is deaf any more.
      yield* redis.send("PING")
      yield* redis.send("PING")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual([connections.length, asked.length], [3, 7])
    }))

  it.effect("or never asked, because another was, is asked though the other is lost under the question", () =>
    Effect.gen(function*() {
      const target = yield* server(() => "+OK\r\n")
      const { asked, connections, port, state } = yield* server(() => unknownSubcommand)
      const redis = yield* connect(port, { poolSize: 2 })
      yield* grow(redis, 2)
      assert.deepStrictEqual(asked, [1])
      state.answer = ({ socket }) => {
        socket.destroy()
        return undefined
      }
      yield* TestClock.adjust("1 minute")
      yield* count(asked, 2)
      state.answer = () => "+OK\r\n"
      yield* eventually(Effect.sync(() => connections.length === 3))
      yield* TestClock.adjust("1 minute")
      yield* eventually(Effect.sync(() => asked.includes(2) && asked.includes(3)))
      yield* pushes(connections[1]!, moving(7, 30, target.port))
      yield* eventually(servesAt(redis, target.port))
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))

  it.effect("is not held to be silent, nor asked sooner, where the question is never answered", () =>
    Effect.gen(function*() {
      const { asked, closed, connections, port, state } = yield* server(() => unknownSubcommand)
      const redis = yield* connect(port, { commandTimeout: "1 second" })
      state.answer = () => undefined
      yield* TestClock.adjust("1 minute")
      yield* count(asked, 2)
      assert.strictEqual((yield* redis.status).pending, 0)
      yield* TestClock.adjust("2 seconds")
      // Whatever becomes of the connection, there is one, and it asks or was asked.
      state.answer = () => "+OK\r\n"
      while ((yield* support(redis)) !== "supported") {
        yield* TestClock.adjust("1 second")
        yield* TestClock.withLive(Effect.sleep("1 milli"))
      }
      assert.isAtMost(connections.length - closed.length, 1)
    }))

  it.effect("is left at a move without waiting for the answer", () =>
    Effect.gen(function*() {
      const target = yield* server(() => "+OK\r\n")
      const { asked, closed, connections, port, state } = yield* server(() => unknownSubcommand)
      const redis = yield* connect(port)
      state.answer = () => undefined
      yield* TestClock.adjust("1 minute")
      yield* count(asked, 2)
      yield* pushes(connections[0]!, moving(7, 30, target.port))
      yield* eventually(servesAt(redis, target.port))
      yield* eventually(Effect.sync(() => closed.length === 1))
    }))

  it.effect("leaves a client that closes at once nothing to wait for", () =>
    Effect.gen(function*() {
      const { asked, closed, port, state } = yield* server(() => unknownSubcommand)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* connect(port)
        state.answer = () => undefined
        yield* TestClock.adjust("1 minute")
        yield* count(asked, 2)
      }))
      yield* eventually(Effect.sync(() => closed.length === 1))
    }))

  const others = {
    "where notifications are disabled": { maintenance: { mode: "disabled" } },
    "in RESP2": { protocol: 2 }
  } satisfies Record<string, Config.Options>

  for (const [where, options] of Object.entries(others)) {
    it.effect(`is no case ${where}: nothing is asked`, () =>
      Effect.gen(function*() {
        const { asked, port } = yield* server(() => unknownSubcommand)
        const redis = yield* connect(port, options)
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        assert.deepStrictEqual(asked, [])
      }))
  }
})

describe("a completion with the number of its announcement", () => {
  const pairs = [["MIGRATING", "MIGRATED"], ["FAILING_OVER", "FAILED_OVER"], ["SMIGRATING", "SMIGRATED"]] as const

  const push = (at: number, node: "a" | "b", ...elements: ReadonlyArray<string | number>) =>
    ({ step: "push", at, node, elements }) as const

  const labels = Effect.map(status, ({ windows }) => windows.map(({ label }) => label))

  for (const [opening, closing] of pairs) {
    const announced = (seq: number) => opening === "SMIGRATING" ? [opening, seq, "1-5"] : [opening, seq, 30]

    it.effect(`closes its window, and no other (${closing})`, () =>
      Effect.gen(function*() {
        yield* begin(
          push(0, "a", ...announced(6)),
          push(0, "a", ...announced(7)),
          push(0, "a", ...announced(8)),
          push(1000, "a", closing, 7),
          push(2000, "a", closing, 8)
        )
        yield* advance("1 second")
        assert.deepStrictEqual(yield* labels, [`${opening} 6`, `${opening} 8`])
        yield* advance("1 second")
        assert.deepStrictEqual(yield* labels, [`${opening} 6`])
      }).pipe(rehearse()))
  }

  it.effect("that is repeated elsewhere does not close a newer window of the same number", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second", seq: 1 },
        push(2000, "b", "MIGRATING", 7, 1, "[\"1\"]"),
        push(3000, "b", "MIGRATED", 7, "[\"1\"]"),
        // The server counts from the beginning again.
        push(60_000, "b", "MIGRATING", 7, 30, "[\"1\"]"),
        { step: "moving", at: "61 seconds", node: "b", target: "a", time: "1 second", seq: 8 },
        push(62_000, "a", "MIGRATED", 7, "[\"1\"]")
      )
      yield* advance("3 seconds")
      assert.notInclude(yield* labels, "MIGRATING 7")
      yield* advance("60 seconds")
      assert.include(yield* labels, "MIGRATING 7")
    }).pipe(rehearse()))

  it("does not close the newer window where that is open at the endpoint that repeats it", () => {
    const timeouts = new Timeouts(Duration.seconds(10), () => {})
    const notify = (elements: ReadonlyArray<unknown>, at: string, first: boolean, now: number) =>
      timeouts.notify(Result.getOrThrow(decode(elements, at) ?? Result.fail("none")), first, now)
    notify(["MIGRATING", 7, 1], "a:1", true, 0)
    notify(["MIGRATED", 7], "a:1", true, 1000)
    assert.deepStrictEqual(timeouts.open(1000), [])
    notify(["MIGRATING", 7, 30], "b:1", true, 60_000)
    notify(["MIGRATED", 7], "b:1", false, 61_000)
    assert.deepStrictEqual(timeouts.open(61_000).map(({ label }) => label), ["MIGRATING 7"])
  })
})

describe("a worker whose handoff breaks", () => {
  const boom = (): never => {
    throw new Error("secret")
  }

  /** Pool and handoffs of a client with two slots and one worker, and what happened to the handoffs. */
  const client = Effect.gen(function*() {
    const rooms = yield* makeRooms({
      host: MaintenancePlan.databaseName,
      poolSize: 2,
      maintenance: { logLevel: "Error", handoffTimeout: "10 seconds", maxHandoffRetries: 0 }
    })
    const { maintenance, pool, runtime, slotsAt } = rooms
    const deployment = yield* SimulatedRedis
    yield* deployment.latency("a", "20 millis")
    yield* Effect.forEach(upTo(4 * Pool.busyAt), () => ping(rooms), { concurrency: "unbounded", discard: true }).pipe(
      Effect.forkChild
    )
    yield* advance("1 second")
    yield* deployment.latency("a", 0)
    assert.strictEqual(pool.slots.filter(({ connection }) => connection !== undefined).length, 2)
    const happened: Array<Handoff.HandoffEvent> = []
    const handoff = yield* Handoff.make(runtime, { moves: maintenance.moves, slotsAt })
    yield* Effect.forkChild(
      Stream.runForEach(handoff.events, (event) => Effect.sync(() => happened.push(event))),
      { startImmediately: true }
    )
    return { ...rooms, happened }
  })

  type Rooms = Effect.Success<ReturnType<typeof makeRooms>>

  const ping = ({ pool, runtime }: Rooms) =>
    Effect.callback<unknown, HitlessError.HitlessError>((resume) => {
      pool.accept(command(pool.owner, ["PING"], runtime.now(), resume))
    })

  /** Breaks the attempts, or the telling of what happened, as often as it says. */
  const breaks: Readonly<Record<string, (rooms: Rooms, times: number) => void>> = {
    "because an attempt dies": (rooms, times) => failing(rooms, times, Effect.die("secret")),
    "because an attempt throws": (rooms, times) => failing(rooms, times, Effect.suspend(boom)),
    "because an attempt is interrupted": (rooms, times) => failing(rooms, times, Effect.interrupt),
    "because it cannot tell that it began": (rooms, times) => silent(rooms, times, "handoff started"),
    "because it cannot tell that it ended": (rooms, times) => silent(rooms, times, "handoff completed")
  }

  const failing = ({ pool }: Rooms, times: number, how: Effect.Effect<never>) => {
    let left = times
    for (const slot of pool.slots) {
      const replace = slot.replace.bind(slot)
      slot.replace = (...args) => left-- > 0 ? how : replace(...args)
    }
  }

  const silent = ({ runtime }: Rooms, times: number, message: string) => {
    const { log } = runtime
    let left = times
    Object.assign(runtime, {
      log: (...line: Parameters<typeof log>) => line[1] === message && left-- > 0 ? boom() : log(...line)
    })
  }

  const states = (pool: Pool.Pool) => pool.slots.map(({ connection, state }) => `${state._tag} ${connection?.address}`)

  for (const [why, broken] of Object.entries(breaks)) {
    it.effect(`${why} gives its slot back and goes on: later moves are followed`, () =>
      Effect.gen(function*() {
        const rooms = yield* client
        const { happened, pool } = rooms
        broken(rooms, 2)
        yield* begin(
          announceMove(0, 1, 30, addresses.b),
          { step: "push", at: "20 seconds", node: "a", elements: ["MOVING", 2, 30, addresses.c] },
          { step: "push", at: "20 seconds", node: "b", elements: ["MOVING", 2, 30, addresses.c] }
        )
        yield* advance("10 seconds")
        const told = why.includes("attempt")
        assert.isTrue(pool.slots.every(({ state }) => state._tag === "Serving"))
        assert.strictEqual(happened.filter(({ _tag }) => _tag === "Failed").length, told ? 2 : 0)
        assert.notInclude(JSON.stringify(happened.flatMap((event) => "error" in event ? [event.error] : [])), "secret")
        yield* advance("20 seconds")
        assert.deepStrictEqual(states(pool), [`Serving ${addresses.c}`, `Serving ${addresses.c}`])
      }).pipe(Effect.scoped, rehearse()))
  }

  for (const [what, breaksAt] of [["begins", "span"], ["ends", "end"]] as const) {
    it.effect(`because the program's tracer throws where a span ${what} leaves the slot to later moves`, () =>
      Effect.gen(function*() {
        state.breaks = breaksAt
        yield* begin(announceMove(0, 1, 30, addresses.b))
        yield* advance("1 second")
        assert.isAbove((yield* story).length, 2)
        assert.isFalse((yield* slots).some((slot) => slot.startsWith("Moving")))
        state.breaks = undefined
        const elements = ["MOVING", 2, 30, addresses.c]
        yield* begin({ step: "push", at: 0, node: "a", elements }, { step: "push", at: 0, node: "b", elements })
        yield* advance("1 second")
        assert.deepStrictEqual(yield* slots, ["Serving c"])
      }).pipe(
        rehearse({ maintenance: { maxHandoffRetries: 0 } }),
        Effect.provideService(Tracer.Tracer, tracer)
      ))
  }

  const state: { breaks: "span" | "end" | undefined } = { breaks: undefined }

  const tracer = Tracer.make({
    span(options) {
      const isHandoff = options.name === "hitless.handoff"
      if (isHandoff && state.breaks === "span") boom()
      const span = new Tracer.NativeSpan(options)
      if (isHandoff && state.breaks === "end") span.end = boom
      return span
    }
  })
})
