/**
 * The test kit itself: simulated time, the network and the names in it, what it records and what it asserts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as AddressResolver from "effect/net/AddressResolver"
import * as Dns from "effect/net/Dns"
import * as NetAddress from "effect/net/NetAddress"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { HitlessRedis } from "hitless"
import * as NodeTestRedis from "hitless/node/NodeTestRedis"
import { MaintenanceClock, MaintenancePlan, Rehearsal, SimulatedRedis, TestRedis } from "hitless/testing"
import { tcp } from "../src/Endpoint.ts"
import { CurrentObserver } from "../src/internal/observer.ts"
import { Transport } from "../src/Transport.ts"

const quiet = { maintenance: { logLevel: "Error" } } as const

/** A rehearsal of two nodes in simulated time; what fails on purpose is not logged. */
const rehearsal = (options: TestRedis.Options = {}) =>
  Effect.provide(TestRedis.layer({ nodes: ["a", "b"], ...options, client: { ...quiet, ...options.client } }))

const plan = (...steps: ReadonlyArray<MaintenancePlan.StepInput>) => MaintenancePlan.make({ nodes: ["a", "b"], steps })

/** The milliseconds at which something ends. */
const endOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forkChild(Effect.andThen(Effect.exit(effect), Clock.currentTimeMillis), { startImmediately: true })

const linesAbout = (text: string, who: string) =>
  text.split("\n").filter((line) => line.split(/\s+/)[1] === who).map((line) => line.replace(/^\S+\s+\S+\s+/, ""))

describe("simulated time", () => {
  it.live("begins at zero, and passes only when it is told to", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      yield* clock.advance("90 minutes")
      assert.strictEqual(yield* Clock.currentTimeMillis, 90 * 60_000)
      assert.deepStrictEqual(yield* clock.now, Duration.minutes(90))
    }).pipe(rehearsal()))

  it.live("stops at each due moment, however many turns of the event loop what happens there takes", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const moments: Array<number> = []
      // Fifty round trips in each moment; each next pause begins when they are over.
      const fiber = yield* Effect.forkChild(Effect.gen(function*() {
        for (let i = 0; i < 10; i++) {
          for (let j = 0; j < 50; j++) yield* redis.send("INCR", "n")
          moments.push(yield* Clock.currentTimeMillis)
          yield* Effect.sleep("100 millis")
        }
      }))
      yield* clock.advance("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(moments, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900])
      assert.strictEqual(yield* redis.send("GET", "n"), "500")
    }).pipe(rehearsal()))

  it.live("is moved by TestClock.adjust as well", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* redis.send("SET", "key", "value", "PX", 500)
      yield* TestClock.adjust("499 millis")
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* redis.send("GET", "key"), null)
    }).pipe(rehearsal()))

  it.live("is the time of expiry, of blocking commands and of stalls", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const effectRedis = yield* Redis.Redis
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* redis.send("SET", "session", "1", "EX", 3600)
      yield* clock.advance("59 minutes")
      assert.strictEqual(yield* redis.send("TTL", "session"), 60)
      yield* clock.advance("1 minute")
      assert.strictEqual(yield* redis.send("EXISTS", "session"), 0)

      const reserved = yield* effectRedis.reserve
      const popped = yield* endOf(reserved.send("BLPOP", "jobs", "30"))
      yield* clock.advance("29999 millis")
      assert.isUndefined(popped.pollUnsafe())
      yield* clock.advance("1 millis")
      assert.strictEqual(yield* Fiber.join(popped), 60 * 60_000 + 30_000)

      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.stall("a", "2 seconds")
      const stalled = yield* endOf(redis.send("PING"))
      yield* clock.advance("1 minute")
      assert.strictEqual(yield* Fiber.join(stalled), 60 * 60_000 + 32_000)
    }).pipe(Effect.scoped, rehearsal()))

  it.live("is the time of stream ids, and of how long an entry has been pending", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* clock.advance("1500 millis")
      assert.strictEqual(yield* redis.send("XADD", "log", "*", "n", 1), "1500-0")
      assert.strictEqual(yield* redis.send("XADD", "log", "*", "n", 2), "1500-1")
      yield* redis.send("XGROUP", "CREATE", "log", "workers", "0")
      yield* redis.send("XREADGROUP", "GROUP", "workers", "one", "COUNT", 1, "STREAMS", "log", ">")
      yield* clock.advance("10 minutes")
      assert.deepStrictEqual(yield* redis.send("XPENDING", "log", "workers", "-", "+", 10), [
        ["1500-0", "one", 600_000, 1]
      ])
      const claim = (idle: number) => redis.send("XAUTOCLAIM", "log", "workers", "two", idle, "0", "JUSTID")
      assert.deepStrictEqual(yield* claim(600_001), ["0-0", [], []])
      assert.deepStrictEqual(yield* claim(600_000), ["0-0", ["1500-0"], []])
    }).pipe(rehearsal()))

  it.live("gives a deadline its exact length, and less to none", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.stall("a", "1 hour")
      const ended = yield* endOf(redis.send("PING"))
      yield* clock.advance("2999 millis")
      assert.isUndefined(ended.pollUnsafe())
      yield* clock.advance("1 millis")
      assert.strictEqual(yield* Fiber.join(ended), 3000)
    }).pipe(rehearsal({ client: { commandTimeout: "3 seconds" } })))

  it.live("says why it cannot go on when a loop never waits", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const loop = yield* Effect.forkChild(Effect.forever(Effect.yieldNow))
      const defect = yield* Effect.flip(Effect.sandbox(clock.advance("1 second")))
      yield* Fiber.interrupt(loop)
      assert.include(String(defect), "let it sleep between rounds")
    }).pipe(rehearsal()), 60_000)

  it.live("does not go on for ever", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const defect = yield* Effect.flip(Effect.sandbox(clock.advance(Duration.infinity)))
      assert.include(String(defect), "cannot go on for ever")
    }).pipe(rehearsal()))

  it.live("lets others run in a sleep of no length, and never ends one without end", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      let ran = false
      yield* Effect.forkChild(Effect.sync(() => {
        ran = true
      }))
      yield* Effect.sleep(0)
      assert.isTrue(ran)
      const asleep = yield* Effect.forkChild(Effect.sleep(Duration.infinity))
      yield* clock.advance("1 day")
      assert.isUndefined(asleep.pollUnsafe())
    }).pipe(rehearsal({ client: { maintenance: { mode: "disabled" } } })))

  it.live("passes for one after the other when two fibers move it", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* Effect.all([clock.advance("10 seconds"), clock.advance("5 seconds")], { concurrency: "unbounded" })
      assert.strictEqual(yield* Clock.currentTimeMillis, 15_000)
    }).pipe(rehearsal()))

  it.live("passes by itself for what the test waits for, and as it is told for what moves it", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.latency("a", "20 millis")
      const moments = yield* clock.advanceUntil(Effect.gen(function*() {
        yield* redis.send("PING")
        const replied = yield* Clock.currentTimeMillis
        yield* clock.advance("7 seconds")
        const advanced = yield* Clock.currentTimeMillis
        yield* clock.advance("1 second")
        yield* Effect.sleep("1 minute")
        return [replied, advanced, yield* Clock.currentTimeMillis]
      }))
      assert.deepStrictEqual(moments, [20, 7020, 68_020])
      const failure = yield* Effect.flip(clock.advanceUntil(Effect.andThen(redis.send("PING"), Effect.fail("known"))))
      assert.strictEqual(failure, "known")
    }).pipe(rehearsal()))

  it.live("does not pass for ever for what never ends", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      let interrupted = 0
      const late = Effect.onInterrupt(Effect.sleep("2 hours"), () => Effect.sync(() => interrupted++))
      const defect = yield* Effect.flip(Effect.sandbox(clock.advanceUntil(late)))
      assert.include(String(defect), "has not ended within 1h")
      assert.isAtMost(yield* Clock.currentTimeMillis, 3_600_000)
      const never = yield* Effect.flip(Effect.sandbox(clock.advanceUntil(Effect.never, "1 second")))
      assert.include(String(never), "has not ended within 1s")
      yield* clock.advance(0)
      assert.strictEqual(interrupted, 1)
    }).pipe(rehearsal()))

  it.live("draws the same random numbers for the same seed, and others for another", () => {
    const draw = (seed: number) => Effect.all([Random.next, Random.next]).pipe(rehearsal({ seed }))
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* draw(7), yield* draw(7))
      assert.notDeepEqual(yield* draw(7), yield* draw(8))
    })
  })

  it.live("passes for a client that is closed while the server owes it an answer", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.stall("a", "1 hour")
      const pending = yield* Effect.forkChild(Effect.flip(redis.send("PING")), { startImmediately: true })
      assert.deepStrictEqual(yield* Rehearsal.close, { connections: 0, timers: 0 })
      assert.include(["Closed", "CommandTimeout"], (yield* Fiber.join(pending)).reason._tag)
    }).pipe(rehearsal()))
})

describe("a client that is closed", () => {
  it.live("says what holds it up, instead of waiting for ever", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      yield* redis.reserve
      // The program goes on meanwhile.
      yield* Effect.forkScoped(Effect.forever(Effect.sleep("1 second")))
      const defect = yield* Effect.flip(Effect.sandbox(Rehearsal.close))
      assert.include(String(defect), "must be given back first")
      assert.isTrue(Number.isFinite(yield* Clock.currentTimeMillis))
    }).pipe(Effect.scoped, rehearsal()))

  it.live("closes the connection of a subscription that the program still has", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      yield* redis.subscribe("news")
      yield* Rehearsal.assertNothingLeftOpen
    }).pipe(Effect.scoped, rehearsal()))

  it.live("shows a timer that the program's own code leaves behind in it", () => {
    const password = Redacted.make("secret")
    const credentials = Effect.as(Effect.forkDetach(Effect.sleep("30 days")), { password })
    return Effect.gen(function*() {
      assert.deepStrictEqual((yield* Effect.flip(Rehearsal.assertNothingLeftOpen)).found, ["timers: 1"])
    }).pipe(rehearsal({ client: { credentials } }))
  })
})

describe("the network in memory", () => {
  it.live("refuses where nobody listens, and has no way to addresses that are none of its nodes'", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.refuse("b")
      const dial = (host: string) =>
        HitlessRedis.make({ host, maintenance: { mode: "disabled" } }).pipe(
          Effect.scoped,
          Effect.flip,
          Effect.map(({ message }) => message)
        )
      assert.include(yield* dial("10.0.0.2"), "ECONNREFUSED")
      assert.include(yield* dial("10.9.9.9"), "EHOSTUNREACH")
      assert.include(yield* dial("nowhere.test"), "ENOTFOUND")
      yield* deployment.accept("b")
      const second = yield* HitlessRedis.make({ host: "10.0.0.2" })
      assert.strictEqual(yield* second.send("PING"), "PONG")
    }).pipe(Effect.scoped, rehearsal()))

  it.live("carries values of a megabyte unchanged", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const bytes = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 31) % 256)
      yield* redis.send("SET", "big", bytes)
      assert.deepStrictEqual(yield* redis.sendBytes("GET", "big"), bytes)
    }).pipe(rehearsal()))

  it.live("delivers published messages through Effect's own Redis service", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const messages = yield* redis.subscribe("news")
      assert.strictEqual(yield* redis.send("PUBLISH", "news", "hello"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "news", message: "hello" })
    }).pipe(Effect.scoped, rehearsal()))
})

describe("names", () => {
  it.live("lead where the plan says, for clients and for Effect's resolver alike", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const dns = yield* Dns.Dns
      const resolver = AddressResolver.make(dns)
      const look = Effect.map(dns.lookup("REDIS.test"), (found) => found.map(NetAddress.formatIp))
      assert.deepStrictEqual(yield* look, ["10.0.0.1"])
      yield* clock.run(
        yield* plan(
          { step: "dns", at: "1 second", name: MaintenancePlan.databaseName, target: "b" },
          { step: "dns", at: "3 seconds", name: MaintenancePlan.databaseName, target: null }
        ).pipe(Effect.map((both) => MaintenancePlan.delay(both, "1 second")))
      )
      assert.strictEqual((yield* Effect.flip(look)).reason, "NotFound")
      yield* clock.run(yield* plan({ step: "dns", at: 0, name: "other.test", target: "b" }))
      assert.deepStrictEqual((yield* resolver.resolve("other.test:6379")).map(NetAddress.formatSocketAddress), [
        "10.0.0.2:6379"
      ])
      const { text } = yield* clock.timeline
      assert.deepStrictEqual(linesAbout(text, "redis.test"), ["leads to b", "does not resolve"])
    }).pipe(rehearsal()))

  it.live("are looked up with each dial, so a client whose node dies finds the node its name leads to", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* clock.run(MaintenancePlan.silentFailure({ node: "a", to: "b" }))
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.strictEqual(yield* deployment.connections("b"), 1)
    }).pipe(rehearsal()))
})

describe("a plan", () => {
  it.live("is refused when the deployment lacks its nodes, and nothing of it happens", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const before = (yield* clock.timeline).text
      const error = yield* Effect.flip(clock.run(MaintenancePlan.rollingUpgrade({ nodes: ["a", "c"] })))
      assert.strictEqual(
        error.message,
        "Invalid maintenance plan:\n- nodes: the deployment has no node \"c\"; its nodes are a, b"
      )
      yield* clock.advance("1 hour")
      assert.strictEqual((yield* clock.timeline).text, before)
    }).pipe(rehearsal()))

  it.live("can be under way beside another", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* clock.schedule(yield* plan({ step: "latency", at: "2 seconds", node: "a", delay: 5 }))
      yield* clock.schedule(yield* plan({ step: "latency", at: "1 second", node: "b", delay: 7 }))
      yield* clock.advance("3 seconds")
      const { text } = yield* clock.timeline
      assert.deepStrictEqual(text.split("\n").slice(-2), [
        "0:00:01.000  b  sends everything 7ms late",
        "0:00:02.000  a  sends everything 5ms late"
      ])
    }).pipe(rehearsal()))

  it.live("shows what every step does", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* clock.run(
        yield* plan(
          { step: "migrating", at: 1000, node: "a", time: "10 seconds", shards: ["1", "2"] },
          { step: "migrated", at: 2000, node: "a" },
          { step: "failingOver", at: 3000, node: "a", time: "10 seconds" },
          { step: "failedOver", at: 4000, node: "a" },
          { step: "duplicate", at: 5000, node: "a" },
          { step: "replay", at: 6000, node: "a" },
          { step: "malformed", at: 7000, node: "a" },
          { step: "push", at: 8000, node: "a", elements: ["SMIGRATING", 50, "1-5"] },
          { step: "stall", at: 9000, node: "a", duration: 100 },
          { step: "latency", at: 10_000, node: "a", delay: 5 },
          { step: "readonly", at: 11_000, node: "a", duration: 100 },
          { step: "loading", at: 12_000, node: "a", duration: 100 },
          { step: "latency", at: 13_000, node: "a", delay: 0 },
          { step: "handshake", at: 14_000, node: "b", handshake: { _tag: "Answer", delay: 200 } },
          { step: "moving", at: 15_000, node: "a", target: "b", time: "1 second" },
          { step: "drop", at: 18_000, node: "b" },
          { step: "refuse", at: 19_000, node: "a" },
          { step: "accept", at: 20_000, node: "a" },
          { step: "kill", at: 21_000, node: "b" }
        )
      )
      yield* clock.advance("1 second")
      const { text } = yield* clock.timeline
      assert.strictEqual(
        text,
        [
          "0:00:00.000  a       accepts connection 1",
          "0:00:00.000  a       is asked for notifications by connection 1 (internal-ip)",
          "0:00:01.000  a       announces MIGRATING 1 to 1 connection",
          "0:00:01.000  client  hears MIGRATING 1 on redis.test:6379",
          "0:00:02.000  a       announces MIGRATED 2 to 1 connection",
          "0:00:02.000  client  hears MIGRATED 2 on redis.test:6379",
          "0:00:03.000  a       announces FAILING_OVER 3 to 1 connection",
          "0:00:03.000  client  hears FAILING_OVER 3 on redis.test:6379",
          "0:00:04.000  a       announces FAILED_OVER 4 to 1 connection",
          "0:00:04.000  client  hears FAILED_OVER 4 on redis.test:6379",
          "0:00:05.000  a       announces FAILED_OVER 4 to 1 connection",
          "0:00:06.000  a       announces FAILED_OVER 4 to 1 connection",
          "0:00:07.000  a       pushes a frame to 1 connection",
          "0:00:08.000  a       pushes a frame to 1 connection",
          "0:00:08.000  client  hears SMIGRATING 50 on redis.test:6379",
          "0:00:09.000  a       executes nothing for 100ms",
          "0:00:10.000  a       sends everything 5ms late",
          "0:00:11.000  a       refuses writes for 100ms",
          "0:00:12.000  a       is loading its data for 100ms",
          "0:00:13.000  a       sends everything at once",
          "0:00:14.000  b       takes 200ms to shake hands",
          "0:00:15.000  a       announces MOVING 5 to 1 connection",
          "0:00:15.000  client  hears MOVING 5 on redis.test:6379: b, within 1s",
          "0:00:15.000  client  queues a handoff of slot 0 to b",
          "0:00:15.000  client  begins the handoff of slot 0 to b",
          "0:00:15.000  b       accepts connection 2",
          "0:00:15.000  b       is asked for notifications by connection 2 (internal-ip)",
          "0:00:15.200  client  completes the handoff of slot 0 to b after 200ms",
          "0:00:15.200  a       loses connection 1 (client)",
          "0:00:16.000  a       retires, closing 0 connections",
          "0:00:18.000  b       drops 1 connection",
          "0:00:18.000  b       loses connection 2 (drop)",
          "0:00:18.000  b       accepts connection 3",
          "0:00:18.000  b       is asked for notifications by connection 3 (internal-ip)",
          "0:00:19.000  a       refuses new connections",
          "0:00:20.000  a       accepts new connections again",
          "0:00:21.000  b       is killed, losing 1 connection",
          "0:00:21.000  b       loses connection 3 (kill)",
          "0:00:21.000  b       accepts connection 4",
          "0:00:21.000  b       is asked for notifications by connection 4 (internal-ip)"
        ].join("\n")
      )
    }).pipe(rehearsal()))
})

describe("what a rehearsal shows", () => {
  it.live("counts what was answered, what is uncertain and what ran", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* redis.send("INCR", "n")
      yield* redis.pipeline([["INCR", "n"], ["LPUSH", "n", "x"], ["GET", "n"]])
      yield* redis.transaction([["INCR", "n"], ["SET", "other", new Uint8Array([255])]])
      // Answered too late: it runs when the node does, and nobody hears of it.
      yield* deployment.stall("a", "4 seconds")
      const late = yield* Effect.forkChild(Effect.flip(redis.send("INCR", "n")), { startImmediately: true })
      yield* clock.advance("5 seconds")
      assert.strictEqual((yield* Fiber.join(late)).reason._tag, "CommandTimeout")

      const { failed, longestWait, lost, pending, repeated, requests, writes } = yield* Rehearsal.report
      assert.deepStrictEqual(writes, [
        { command: "INCR", key: "n", acknowledged: 3, uncertain: 1, executed: 4 },
        { command: "LPUSH", key: "n", acknowledged: 0, uncertain: 0, executed: 0 },
        { command: "SET", key: "other", acknowledged: 1, uncertain: 0, executed: 1 }
      ])
      assert.deepStrictEqual({ lost, pending, repeated, requests }, { lost: [], pending: 0, repeated: [], requests: 4 })
      assert.deepStrictEqual(
        failed.map(({ at, command, error }) => [Duration.toMillis(at), command, error.reason._tag]),
        [
          [0, "LPUSH", "ServerReplied"],
          [3000, "INCR", "CommandTimeout"]
        ]
      )
      assert.deepStrictEqual(longestWait, { command: "INCR", at: Duration.seconds(3), waited: Duration.seconds(3) })
    }).pipe(rehearsal({ client: { commandTimeout: "3 seconds" } })))

  it.live("does not count blocking commands that waited in vain, unless nothing waits as in a transaction", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const reserved = yield* redis.reserve
      yield* reserved.send("XGROUP", "CREATE", "events", "group", "$", "MKSTREAM")
      const poll = reserved.send("BLPOP", "jobs", "5").pipe(
        Effect.andThen(reserved.send("XREADGROUP", "GROUP", "group", "me", "BLOCK", "5000", "STREAMS", "events", ">"))
      )
      const polled = yield* Effect.forkChild(poll, { startImmediately: true })
      yield* clock.advance("10 seconds")
      assert.isNull(yield* Fiber.join(polled))
      yield* reserved.send("MULTI")
      yield* reserved.send("BLPOP", "jobs", "5")
      yield* reserved.send("EXEC")
      const client = yield* HitlessRedis.HitlessRedis
      const both = yield* Effect.forkChild(
        Effect.andThen(client.send("BRPOP", "jobs", 1), client.send("LPOP", "jobs")),
        { startImmediately: true }
      )
      yield* clock.advance("2 seconds")
      yield* Fiber.join(both)
      yield* reserved.send("MULTI")
      yield* reserved.send("BRPOP", "jobs", "2")
      yield* reserved.send("EXEC")
      yield* Rehearsal.assertEachRanOnce
      assert.deepStrictEqual(
        (yield* Rehearsal.report).writes.map(({ command, executed, key }) => [command, key, executed]),
        [
          ["XGROUP", "events", 1],
          ["BLPOP", "jobs", 1],
          ["LPOP", "jobs", 1],
          ["BRPOP", "jobs", 1]
        ]
      )
    }).pipe(Effect.scoped, rehearsal()))

  it.live("counts what a reserved connection queues when it has run, and not when it was given up", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const { send } = yield* redis.reserve
      yield* send("MULTI")
      yield* send("INCR", "zähler")
      yield* send("LPUSH", "zähler", "x")
      // Queued and not run yet.
      assert.deepStrictEqual((yield* Rehearsal.report).lost, [])
      yield* send("EXEC")
      yield* send("MULTI")
      yield* send("INCR", "discarded")
      yield* send("DISCARD")
      yield* send("WATCH", "watched")
      yield* redis.send("SET", "watched", "changed")
      yield* send("MULTI")
      yield* send("INCR", "refused")
      assert.isNull(yield* send("EXEC"))
      assert.deepStrictEqual((yield* Rehearsal.report).writes, [
        { command: "INCR", key: "zähler", acknowledged: 1, uncertain: 0, executed: 1 },
        { command: "SET", key: "watched", acknowledged: 1, uncertain: 0, executed: 1 }
      ])
      yield* Rehearsal.assertEachRanOnce
    }).pipe(Effect.scoped, rehearsal()))

  it.live("has whole milliseconds in its text, whatever the clock is moved by", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* clock.advance(999.8)
      yield* deployment.latency("b", 5)
      assert.strictEqual((yield* clock.timeline).text.split("\n").at(-1), "0:00:01.000  b  sends everything 5ms late")
    }).pipe(rehearsal()))

  it.live("is asserted in words that show what was found and how it came about", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
      yield* Rehearsal.assertHandoffsInTime
      yield* Rehearsal.assertLongestWait(0)
      yield* redis.send("INCR", "n")

      // Somebody else does the same behind the rehearsal's back: it cannot tell the two apart.
      const dial = yield* HitlessRedis.make({ host: "10.0.0.1" }).pipe(
        Effect.provideService(CurrentObserver, undefined)
      )
      yield* dial.send("INCR", "n")
      const repeated = yield* Effect.flip(Rehearsal.assertEachRanOnce)
      assert.deepStrictEqual(repeated.found, ["INCR n: answered 1, uncertain 0, ran 2"])

      yield* deployment.handshake("b", { _tag: "HangBeforeHello" })
      const waiting = yield* Effect.forkChild(Effect.exit(redis.send("NOSUCH")), { startImmediately: true })
      yield* clock.run(yield* plan({ step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" }))
      yield* Fiber.join(waiting)
      yield* clock.advance("1 minute")

      const failed = yield* Effect.flip(Rehearsal.assertNoneFailed)
      assert.strictEqual(failed.expected, "no command fails")
      assert.match(failed.found[0]!, /^NOSUCH at 0: .*unknown command/)
      const late = yield* Effect.flip(Rehearsal.assertHandoffsInTime)
      assert.match(late.found[0]!, /^slot 0 from redis.test:6379 to 10.0.0.2:6379: failed after \d+.* of 5s$/)
      assert.strictEqual(
        late.message,
        [
          "every handoff completes within the announced time, but:",
          `  ${late.found[0]}`,
          "",
          (yield* clock.timeline).text
        ].join("\n")
      )
      assert.include(late.message, "client  begins the handoff of slot 0 to b")

      yield* deployment.latency("a", "80 millis")
      const slow = yield* Effect.forkChild(redis.send("PING"), { startImmediately: true })
      yield* clock.advance("1 second")
      yield* Fiber.join(slow)
      yield* Rehearsal.assertLongestWait("80 millis")
      const longest = yield* Effect.flip(Rehearsal.assertLongestWait("79 millis"))
      assert.deepStrictEqual(longest.found, ["PING waited 80ms, until 1m 5s 80ms"])
      assert.strictEqual((yield* Effect.flip(Rehearsal.assertHitless)).expected, "no command fails")
    }).pipe(Effect.scoped, rehearsal()))

  it.live("says how long each handoff took since it was announced", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* clock.run(
        yield* plan(
          { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: 300 } },
          { step: "moving", at: "1 second", node: "a", target: "b", time: "5 seconds" }
        )
      )
      const { handoffs } = yield* Rehearsal.report
      assert.deepStrictEqual(handoffs, [{
        kind: "shared",
        slot: 0,
        from: "redis.test:6379",
        to: "10.0.0.2:6379",
        outcome: "completed",
        announced: Duration.seconds(5),
        took: Duration.millis(300)
      }])
      yield* Rehearsal.assertHandoffsInTime
      yield* Rehearsal.assertNothingLeftOpen
    }).pipe(rehearsal()))
})

describe("a rehearsal on TCP in real time", () => {
  it.live("tells the story of the one in memory", () => {
    const program = Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      yield* clock.run(MaintenancePlan.rollingUpgrade({ nodes: ["a", "b"], time: "1 second", pause: 50, quiet: 200 }))
      assert.strictEqual(yield* redis.send("INCR", "n"), 1)
      const { text } = yield* clock.timeline
      yield* Rehearsal.assertHandoffsInTime
      yield* Rehearsal.assertNothingLeftOpen
      // When things happen in real time depends on the machine, and so does who is first; what each one does does not.
      return ["a", "b", "client", "redis.test"].map((who) =>
        linesAbout(text, who).map((line) => line.replace(/after \S+/, "after a while"))
      )
    })
    const options = { nodes: ["a", "b"], client: { ...quiet, poolSize: 1 } }
    return Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* program.pipe(Effect.provide(NodeTestRedis.layerLive(options))),
        yield* program.pipe(Effect.provide(TestRedis.layer(options)))
      )
    })
  })

  it.live("ends killed connections as the network in memory does", () => {
    const program = Effect.gen(function*() {
      const transport = yield* Transport
      const deployment = yield* SimulatedRedis.SimulatedRedis
      const { reader, writer } = yield* transport.open(tcp("10.0.0.2", 6379), { tls: undefined })
      const { pull } = yield* reader
      yield* (yield* writer).write("*1\r\n$4\r\nPING\r\n")
      yield* pull
      yield* deployment.kill("b")
      return (yield* Effect.flip(pull)).reason
    }).pipe(Effect.scoped)
    const options = { nodes: ["a", "b"], client: quiet }
    return Effect.gen(function*() {
      const inMemory = yield* program.pipe(Effect.provide(TestRedis.layer(options)))
      assert.deepStrictEqual(yield* program.pipe(Effect.provide(NodeTestRedis.layerLive(options))), inMemory)
    })
  })

  it.live("knows how long commands waited", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis.SimulatedRedis
      yield* deployment.latency("node-1", "50 millis")
      yield* redis.send("PING")
      const { found } = yield* Effect.flip(Rehearsal.assertLongestWait("20 millis"))
      assert.match(found[0]!, /^PING waited \d+ms, until /)
    }).pipe(Effect.provide(NodeTestRedis.layerLive())))

  it.live("is the same with its default nodes and without any option", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis.SimulatedRedis
      assert.deepStrictEqual(deployment.nodes, ["node-1", "node-2", "node-3"])
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }).pipe(Effect.provide(NodeTestRedis.layerLive())))
})
