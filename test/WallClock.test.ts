/**
 * A clock that an administrator or NTP sets: the time of day jumps, and no deadline, window or pause moves with it.
 *
 * In real time the client has a clock whose time of day the test sets while sockets and timers go on as ever; in
 * simulated time `TestClock.setTime` sets it back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { monotonicClock } from "../src/internal/elapsed.ts"
import { waitUntil } from "./support/deployment.ts"
import { rawServer } from "./support/rawServer.ts"
import { addresses, advance, announceMove, begin, dials, rehearse, send, slots, status } from "./support/rehearsal.ts"

const hour = 3_600_000
const minute = 60_000

const maintenance = { logLevel: "Error" } as const

/** The real clock, with a time of day that can be set. */
const settable = Effect.map(Clock.Clock, (real) => {
  let ahead = 0
  const millis = () => real.currentTimeMillisUnsafe() + ahead
  const nanos = () => real.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  }
  return { clock, set: (millis: number) => Effect.sync(() => (ahead += millis)) }
})

const within = Effect.provideService(HitlessRedis.CurrentCommandTimeout, "100 millis")

/** Answers everything but `GET`, and each `GET` once `release` was called. */
const holding = Effect.gen(function*() {
  const held: Array<() => void> = []
  const server = yield* rawServer(([command, text], { socket }) => {
    if (command === "GET") {
      held.push(() => socket.write("$5\r\nvalue\r\n"))
      return undefined
    }
    if (command === "ECHO") {
      const before = held.pop()
      if (before === undefined) return `+${text}\r\n`
      // It stands behind what is held.
      held.push(() => {
        before()
        socket.write(`+${text}\r\n`)
      })
      return undefined
    }
    return command === "HELLO" ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "+OK\r\n"
  })
  return { server, held, release: Effect.sync(() => held.splice(0).forEach((answer) => answer())) }
})

describe("a time of day that is set while commands are under way", () => {
  for (const [how, jump] of [["back by an hour", -hour], ["back by a day", -24 * hour]] as const) {
    it.live(`${how} moves no deadline`, () =>
      Effect.gen(function*() {
        const { clock, set } = yield* settable
        const { held, server } = yield* holding
        yield* Effect.gen(function*() {
          const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port: server.port, poolSize: 1, maintenance })
          const get = yield* Effect.forkChild(Effect.flip(within(redis.send("GET", "key"))), { startImmediately: true })
          yield* waitUntil(Effect.sync(() => held.length === 1))
          yield* set(jump)
          // An alarm that counts from the wall would be set again for an hour.
          const error = yield* Fiber.join(get)
          assert.strictEqual(error.reason._tag, "CommandTimeout")
          assert.isAtLeast(error.reason._tag === "CommandTimeout" ? error.reason.afterMillis : 0, 100)
        }).pipe(Effect.provide(NodeTransport.layer), Effect.provideService(Clock.Clock, clock))
      }))
  }

  it.live("forward by a minute closes no healthy connection and ends no command", () =>
    Effect.gen(function*() {
      const { clock, set } = yield* settable
      const { held, release, server } = yield* holding
      yield* Effect.gen(function*() {
        const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port: server.port, poolSize: 1, maintenance })
        const slow = yield* Effect.forkChild(redis.send("GET", "key"), { startImmediately: true })
        yield* waitUntil(Effect.sync(() => held.length === 1))
        yield* set(minute)
        // The alarm rings for this one, and looks at every deadline.
        const short = yield* Effect.flip(within(redis.send("GET", "other")))
        assert.strictEqual(short.reason._tag, "CommandTimeout")
        assert.isUndefined(slow.pollUnsafe())
        yield* release
        assert.strictEqual(yield* Fiber.join(slow), "value")
        assert.deepStrictEqual(server.closed, [])
      }).pipe(Effect.provide(NodeTransport.layer), Effect.provideService(Clock.Clock, clock))
    }))
})

describe("a time of day that is set back during maintenance", () => {
  it.effect("ends windows, the override and the pause of a breaker when they would have ended", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "NoAuth" } },
        { step: "migrating", at: 0, node: "a", time: "2 seconds" },
        announceMove(0, 1, 1, addresses.b),
        { step: "handshake", at: "1 second", node: "b", handshake: { _tag: "Answer" } },
        announceMove("61 seconds", 3, 1, addresses.b)
      )
      yield* advance("1 second")
      assert.notDeepEqual((yield* status).windows, [])
      yield* TestClock.setTime(0)
      yield* TestClock.setTime(-hour)
      // Announced 2 s and the relaxed time of 10 s, from the beginning.
      yield* advance("11 seconds")
      assert.deepStrictEqual((yield* status).windows, [])
      assert.deepStrictEqual(yield* dials("b"), [0])
      const reply = yield* send("PING")
      yield* advance("1 milli")
      assert.strictEqual(yield* Fiber.join(reply), "PONG")
      // 60 s after it opened, the breaker lets the next handoff through.
      yield* advance("50 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
    }).pipe(rehearse({
      maintenance: { handoffTimeout: "250 millis", maxHandoffRetries: 0, circuitBreaker: { failures: 1 } }
    })))

  it.effect("moves no entry of the simulated deployment's log", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "stall", at: "1 second", node: "b", duration: "1 second" },
        { step: "stall", at: "3 seconds", node: "c", duration: "1 second" }
      )
      yield* advance("2 seconds")
      yield* TestClock.setTime(-hour)
      yield* advance("2 seconds")
      const { log } = yield* SimulatedRedis
      const stalls = (yield* log).flatMap(({ at, event, node }) => event._tag === "Stalled" ? [{ node, at }] : [])
      const first = stalls[0]?.at ?? Number.NaN
      assert.deepStrictEqual(stalls, [{ node: "b", at: first }, { node: "c", at: first + 2000 }])
    }).pipe(rehearse()))

  it.effect("lets a command wait no longer", () =>
    Effect.gen(function*() {
      yield* begin({ step: "stall", at: 0, node: "a", duration: "10 minutes" })
      const reply = yield* send("GET", "key")
      yield* advance("1 second")
      yield* TestClock.setTime(-hour)
      yield* advance("2 seconds")
      const error = yield* Effect.flip(Fiber.join(reply))
      assert.strictEqual(error.reason._tag === "CommandTimeout" && error.reason.afterMillis, 3000)
    }).pipe(rehearse()))
})

describe("a turn of the event loop that takes long", () => {
  /** The real clock, whose monotonic time passes when the test says so. */
  const ownTime = Effect.map(Clock.Clock, (real) => {
    const time = { millis: 0, alarms: 0 }
    const nanos = () => BigInt(time.millis) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
      currentTimeMillis: real.currentTimeMillis,
      currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe(),
      currentTimeNanos: real.currentTimeNanos,
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      // The test itself waits in shorter steps.
      sleep: (duration) =>
        Effect.tap(
          real.sleep(duration),
          () => Effect.sync(() => time.alarms += Duration.toMillis(duration) >= 50 ? 1 : 0)
        )
    }
    return { time, clock }
  })

  it.live("takes nothing from the time of a command that is called at its end", () =>
    Effect.gen(function*() {
      const { clock, time } = yield* ownTime
      const { held, release, server } = yield* holding
      yield* Effect.gen(function*() {
        const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port: server.port, poolSize: 1, maintenance })
        const get = within(redis.send("GET", "key"))
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        time.millis += 5000
        const last = yield* Effect.forkChild(get, { startImmediately: true })
        // The alarm has looked for deadlines that are over.
        yield* waitUntil(Effect.sync(() => held.length === 2 && time.alarms > 0))
        yield* release
        assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(last)], ["value", "value"])
      }).pipe(Effect.provide(NodeTransport.layer), Effect.provideService(Clock.Clock, clock))
    }))

  it.live("does not give a command of another turn more time", () =>
    Effect.gen(function*() {
      const { clock, time } = yield* ownTime
      const { held, server } = yield* holding
      yield* Effect.gen(function*() {
        const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port: server.port, poolSize: 1, maintenance })
        const get = within(redis.send("GET", "key"))
        const before = yield* Effect.forkChild(Effect.flip(get), { startImmediately: true })
        yield* waitUntil(Effect.sync(() => held.length === 1))
        time.millis += 60
        yield* Effect.forkScoped(Effect.exit(get), { startImmediately: true })
        time.millis += 60
        const error = yield* Fiber.join(before)
        assert.strictEqual(error.reason._tag === "CommandTimeout" && error.reason.afterMillis, 120)
      }).pipe(Effect.provide(NodeTransport.layer), Effect.provideService(Clock.Clock, clock))
    }))
})

it("the clock that Effect's breaker is given goes on when the time of day is set", () => {
  const state = { wall: 1_000_000, passed: 5_000_000n }
  const clock = monotonicClock({
    currentTimeMillisUnsafe: () => state.wall,
    currentTimeMillis: Effect.sync(() => state.wall),
    currentTimeNanosUnsafe: () => BigInt(state.wall) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(state.wall) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => state.passed,
    monotonicTimeNanos: Effect.sync(() => state.passed),
    sleep: () => Effect.void
  })
  const before = clock.currentTimeMillisUnsafe()
  state.wall = 0
  state.passed += 7_000_000n
  assert.strictEqual(clock.currentTimeMillisUnsafe() - before, 7)
})
