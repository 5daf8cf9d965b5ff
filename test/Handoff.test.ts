/**
 * Handoff under load, with every interleaving forced by a plan: what the nodes do, and when.
 *
 * All of it runs in memory and in simulated time, where times are exact; what matters most runs on TCP too.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { Handoff, HitlessRedis } from "hitless"
import * as NodeTestRedis from "hitless/node/NodeTestRedis"
import { MaintenanceClock, MaintenancePlan, Rehearsal, type SimulatedRedis, TestRedis } from "hitless/testing"
import { busyAt } from "../src/Pool.ts"
import {
  addresses,
  advance,
  announceMove,
  begin,
  connections,
  database,
  deeds,
  dials,
  ended,
  handoffs,
  load,
  notifications,
  openSlots,
  options,
  rehearse,
  run,
  send,
  slots,
  status,
  story,
  timedStory,
  until
} from "./support/rehearsal.ts"

const answer = { _tag: "Answer" } as const

/** The end of the first handoff, and of the first connection to `a`, in the order in which they came. */
const firstEnds = Effect.gen(function*() {
  const { entries } = yield* (yield* MaintenanceClock.MaintenanceClock).timeline
  const completed = entries.findIndex((entry) => entry._tag === "HandedOff" && entry.event._tag === "Completed")
  const closed = entries.findIndex((entry) =>
    entry._tag === "Deployment" && entry.node === "a" && entry.event._tag === "Closed"
  )
  return { completed, closed }
})

/** Every wait between attempts, within what jitter makes of these, in milliseconds. */
const assertWaits = (expected: ReadonlyArray<number>) =>
  Effect.map(handoffs, (events) => {
    const waits = events.flatMap((event) => event._tag === "Retried" ? [Duration.toMillis(event.delay)] : [])
    assert.strictEqual(waits.length, expected.length)
    // Jitter is 0.8 to 1.2 times.
    expected.forEach((wait, i) => assert.isTrue(waits[i]! >= 0.8 * wait && waits[i]! <= 1.2 * wait, waits.join()))
  })

const worlds = [
  { where: "in memory", test: it.effect, layer: TestRedis.layer },
  { where: "on TCP", test: it.live, layer: NodeTestRedis.layerLive }
]

for (const { layer, test, where } of worlds) {
  describe(`a handoff ${where}`, () => {
    test("takes every slot to the target, the idle ones too, without one failed command", () =>
      Effect.gen(function*() {
        yield* openSlots("a", 3)
        const traffic = yield* load
        yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "15 seconds" })
        yield* until(ended(3))
        assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b", "Serving b"])
        assert.strictEqual((yield* dials("b")).length, 3)
        yield* until(Effect.map(connections("a"), (count) => count === 0))
        yield* traffic.stop
        yield* Rehearsal.assertHitless
      }).pipe(Effect.provide(layer(options({ poolSize: 3 })))))

    test("never has fewer connections than slots: the old one closes after the new one has answered", () =>
      Effect.gen(function*() {
        const traffic = yield* load
        yield* begin(
          // The old connection owes replies whenever the swap comes.
          { step: "latency", at: 0, node: "a", delay: "50 millis" },
          { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "200 millis" } },
          { step: "moving", at: 0, node: "a", target: "b", time: "15 seconds" }
        )
        yield* until(Effect.map(dials("b"), ({ length }) => length === 1))
        assert.deepStrictEqual(yield* slots, ["Moving redis.test"])
        assert.strictEqual(yield* connections("a"), 1)
        yield* until(ended(1))
        yield* until(Effect.map(connections("a"), (count) => count === 0))
        const { closed, completed } = yield* firstEnds
        assert.isBelow(completed, closed)
        yield* traffic.stop
        yield* Rehearsal.assertHitless
      }).pipe(Effect.provide(layer(options()))))

    test("is tried again while the target refuses its first dials", () =>
      Effect.gen(function*() {
        const traffic = yield* load
        yield* begin(
          { step: "refuse", at: 0, node: "b" },
          { step: "moving", at: 0, node: "a", target: "b", time: "15 seconds" }
        )
        yield* until(Effect.map(story, (events) => events.includes("Retried b")))
        yield* begin({ step: "accept", at: 0, node: "b" })
        yield* until(ended(1))
        yield* traffic.stop
        assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Retried b", "Completed b"])
        const retried = (yield* handoffs)[2]!
        assert.strictEqual(retried._tag === "Retried" && retried.error.reason._tag, "ConnectFailed")
        yield* Rehearsal.assertHitless
      }).pipe(Effect.provide(layer(options()))))
  })
}

describe("a move to a target that answers", () => {
  it.effect("sends new dials to the target until the announced time is over", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "30 seconds" },
        { step: "drop", at: "29 seconds", node: "b" },
        { step: "drop", at: "32 seconds", node: "b" }
      )
      yield* advance("1 second")
      yield* openSlots("b", 4)
      assert.strictEqual((yield* dials("a")).length, 1)
      assert.strictEqual((yield* dials("b")).length, 4)
      yield* advance("29 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b", "Serving b", "Serving b"])
      assert.strictEqual((yield* dials("b")).length, 8)
      // After that where the name leads counts again.
      yield* advance("3 seconds")
      assert.deepStrictEqual(
        yield* slots,
        ["Serving redis.test", "Serving redis.test", "Serving redis.test", "Serving redis.test"]
      )
      assert.strictEqual((yield* dials("b")).length, 8)
    }).pipe(rehearse({ poolSize: 4 })))

  for (
    const [what, move] of [
      ["hears of it late", { step: "moving", at: "10 millis", node: "a", target: "b", time: "5 seconds" }],
      ["never hears of it", announceMove("10 millis", 1, 5, addresses.b)]
    ] satisfies ReadonlyArray<readonly [string, MaintenancePlan.StepInput]>
  ) {
    it.effect(`moves a connection that was being dialled when its endpoint was told to move and ${what}`, () =>
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        yield* begin({ step: "stall", at: 0, node: "a", duration: "300 millis" }, move)
        const burst = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 2 * busyAt }), () => redis.send("PING"), { concurrency: "unbounded" })
        )
        yield* advance("10 millis")
        assert.deepStrictEqual(yield* dials("a"), [0, 0])
        const announced = (yield* deeds).map(({ event }) => event).find((event) => "connections" in event)
        assert.strictEqual(announced?.connections, 1)
        yield* advance("1 second")
        yield* Fiber.join(burst)
        assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b"])
        yield* Rehearsal.assertHitless
      }).pipe(rehearse({ poolSize: 2 })))
  }

  it.effect("acts once on a frame that arrives twice and on every connection", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      const traffic = yield* load
      yield* run(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second", seq: 9 },
        { step: "duplicate", at: 0, node: "a" },
        { step: "duplicate", at: "1 milli", node: "a" },
        { step: "push", at: "500 millis", node: "b", elements: ["MOVING", 9, 1, addresses.b] }
      )
      yield* traffic.stop
      assert.deepStrictEqual((yield* story).toSorted(), [
        "Completed b",
        "Completed b",
        "Queued b",
        "Queued b",
        "Started b",
        "Started b"
      ])
      assert.strictEqual((yield* dials("b")).length, 2)
      assert.strictEqual((yield* notifications).length, 1)
      yield* Rehearsal.assertHitless
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("ignores a move to where it already is", () =>
    Effect.gen(function*() {
      const traffic = yield* load
      yield* run(
        announceMove(0, 4, 1, database),
        { step: "moving", at: "100 millis", node: "a", target: "b", time: "1 second", seq: 5 },
        { step: "push", at: "200 millis", node: "b", elements: ["MOVING", 6, 1, addresses.b] }
      )
      yield* traffic.stop
      assert.deepStrictEqual((yield* notifications).map(({ seq }) => seq), ["4", "5", "6"])
      assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Completed b"])
      assert.deepStrictEqual([(yield* dials("a")).length, (yield* dials("b")).length], [1, 1])
      yield* Rehearsal.assertHitless
    }).pipe(rehearse()))

  it.effect("follows the newest of two targets announced at once", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      const traffic = yield* load
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        { step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" },
        { step: "moving", at: "50 millis", node: "a", target: "c", time: "5 seconds" }
      )
      yield* advance("200 millis")
      yield* traffic.stop
      assert.deepStrictEqual(yield* slots, ["Serving c", "Serving c"])
      assert.strictEqual(yield* connections("b"), 0)
      // The second slot had to wait for the only worker.
      assert.deepStrictEqual(yield* story, [
        "Queued b",
        "Started b",
        "Queued b",
        "Superseded b",
        "Started c",
        "Completed c",
        "Superseded b",
        "Started c",
        "Completed c"
      ])
      yield* Rehearsal.assertHitless
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("goes on from node to node", () =>
    Effect.gen(function*() {
      const traffic = yield* load
      yield* run(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second" },
        { step: "moving", at: "500 millis", node: "b", target: "c", time: "1 second" },
        // When the first node has been left, and may be used again.
        { step: "moving", at: "1100 millis", node: "c", target: "a", time: "1 second" }
      )
      yield* traffic.stop
      assert.deepStrictEqual(yield* slots, ["Serving a"])
      assert.deepStrictEqual((yield* story).filter((event) => event.startsWith("Completed")), [
        "Completed b",
        "Completed c",
        "Completed a"
      ])
      yield* Rehearsal.assertHitless
    }).pipe(rehearse()))
})

describe("a target in trouble", () => {
  it.effect("is tried again after waits that double, as often as it may be", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        { step: "moving", at: 0, node: "a", target: "b", time: "16 seconds" },
        // After the third attempt, at 3.6 s at the latest, and before the fourth, at 5.6 s at the earliest.
        { step: "accept", at: "4 seconds", node: "b" }
      )
      yield* advance("15 seconds")
      assert.deepStrictEqual(yield* story, [
        "Queued b",
        "Started b",
        "Retried b",
        "Retried b",
        "Retried b",
        "Completed b"
      ])
      // The waits of three retries add up to less than half of 16 s.
      yield* assertWaits([1000, 2000, 4000])
      const [, , first, second, third, completed] = yield* handoffs
      assert.deepStrictEqual([first, second, third].map((event) => event?._tag === "Retried" && event.attempt), [
        2,
        3,
        4
      ])
      const after = (event: typeof first) =>
        event?._tag === "Retried" ? event.at + Duration.toMillis(event.delay) : Number.NaN
      for (const [before, next] of [[first, second], [second, third], [third, completed]]) {
        // Clocks count in floating-point milliseconds here.
        assert.approximately(next!.at, after(before), 1)
      }
      yield* Rehearsal.assertHandoffsInTime
      yield* Rehearsal.assertNothingLeftOpen
    }).pipe(rehearse()))

  for (
    // The announcement and each answer take the 2 ms of the load's latency, a dial and a close take none.
    const [handshake, failsAt, reason] of [
      [{ _tag: "HangBeforeHello" }, 252, "ConnectFailed"],
      [{ _tag: "HangAfterHello" }, 252, "ConnectFailed"],
      [{ _tag: "NoAuth" }, 4, "AuthenticationFailed"],
      [{ _tag: "DropAfterBytes", bytes: 0 }, 2, "ConnectFailed"],
      [{ _tag: "DropAfterBytes", bytes: 1 }, 4, "ConnectFailed"],
      [{ _tag: "DropAfterBytes", bytes: 60 }, 4, "ConnectFailed"],
      [{ _tag: "DropAfterBytes", bytes: 140 }, 4, "ConnectFailed"]
    ] satisfies ReadonlyArray<readonly [SimulatedRedis.Handshake, number, "AuthenticationFailed" | "ConnectFailed"]>
  ) {
    const name = "bytes" in handshake ? `${handshake._tag} ${handshake.bytes}` : handshake._tag
    it.effect(`leaves the old connection as it was and tries again (${name})`, () =>
      Effect.gen(function*() {
        const traffic = yield* load
        yield* begin(
          { step: "handshake", at: 0, node: "b", handshake },
          { step: "moving", at: 0, node: "a", target: "b", time: "2 seconds" },
          // After the first failure, and before the last attempt.
          { step: "handshake", at: "270 millis", node: "b", handshake: answer }
        )
        yield* advance("260 millis")
        const [, , retried] = yield* handoffs
        assert.strictEqual(retried?._tag === "Retried" && retried.error.reason._tag, reason)
        assert.strictEqual(retried?.at, failsAt)
        assert.deepStrictEqual(yield* slots, ["Moving redis.test"])
        yield* advance("1 second")
        yield* traffic.stop
        assert.strictEqual((yield* story).at(-1), "Completed b")
        assert.deepStrictEqual([yield* connections("a"), yield* connections("b")], [0, 1])
        yield* Rehearsal.assertHitless
      }).pipe(rehearse({ maintenance: { handoffTimeout: "250 millis" } })))
  }

  it.effect("makes the handoff fail in the end, and the old connection serves on", () =>
    Effect.gen(function*() {
      const traffic = yield* load
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "NoAuth" } },
        announceMove(0, 1, 3, addresses.b)
      )
      yield* advance("2 seconds")
      yield* traffic.stop
      assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Retried b", "Failed b"])
      assert.deepStrictEqual(yield* slots, ["Serving redis.test"])
      const { health, lastHandoff } = yield* status
      assert.strictEqual(health, "degraded")
      assert.strictEqual(lastHandoff?._tag === "Failed" && lastHandoff.error.reason._tag, "AuthenticationFailed")
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
      yield* Rehearsal.assertNothingLeftOpen
    }).pipe(rehearse({ maintenance: { handoffTimeout: "250 millis", maxHandoffRetries: 1 } })))

  it.effect("is not dialled any more while its circuit is open", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "NoAuth" } },
        announceMove(0, 1, 1, addresses.b),
        { step: "handshake", at: "1 second", node: "b", handshake: answer },
        announceMove("59 seconds", 2, 1, addresses.b),
        announceMove("61 seconds", 3, 1, addresses.b)
      )
      yield* advance("60 seconds")
      const failed = (yield* handoffs).at(-1)
      assert.strictEqual(failed?._tag === "Failed" && failed.error.reason._tag, "CircuitOpen")
      assert.deepStrictEqual(yield* dials("b"), [0])
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* dials("b"), [0, 61_000])
      assert.deepStrictEqual(yield* slots, ["Serving b"])
    }).pipe(rehearse({
      maintenance: { handoffTimeout: "250 millis", maxHandoffRetries: 0, circuitBreaker: { failures: 1 } }
    })))

  it.effect("is found by ordinary reconnect when the server closes the old connection after all attempts", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 30, addresses.b),
        { step: "accept", at: "1 second", node: "b" },
        { step: "refuse", at: "2 seconds", node: "a" },
        { step: "kill", at: "2 seconds", node: "a" }
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* timedStory, ["0 Queued b", "0 Started b", "0 Failed b"])
      yield* advance("1 second")
      const redis = yield* HitlessRedis.HitlessRedis
      assert.strictEqual(yield* redis.send("GET", "nothing"), null)
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.deepStrictEqual(yield* dials("b"), [2000])
    }).pipe(rehearse({ maintenance: { maxHandoffRetries: 0 } })))

  it.effect("and reached in the end leaves no trace in the client's health", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 3, addresses.b),
        { step: "accept", at: "1 second", node: "b" },
        { step: "refuse", at: "2 seconds", node: "a" },
        { step: "kill", at: "2 seconds", node: "a" }
      )
      yield* advance("1999 millis")
      assert.strictEqual((yield* status).health, "degraded")
      yield* advance("1 milli")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.strictEqual((yield* status).health, "maintenance")
    }).pipe(
      rehearse({ maintenance: { handoffTimeout: "250 millis", maxHandoffRetries: 0, relaxedTimeout: "50 millis" } })
    ))
})

describe("the announced time", () => {
  it.effect("that one attempt uses up leaves none for another", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "HangBeforeHello" } },
        announceMove(0, 1, 1, addresses.b)
      )
      yield* advance("1 minute")
      assert.deepStrictEqual(yield* timedStory, ["0 Queued b", "0 Started b", "1000 Failed b"])
    }).pipe(rehearse({ maintenance: { handoffTimeout: "1 second" } })))

  it.effect("is the limit of the last attempt too", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "HangBeforeHello" } },
        announceMove(0, 1, 1, addresses.b)
      )
      yield* advance("1 minute")
      assert.deepStrictEqual(yield* timedStory, ["0 Queued b", "0 Started b", "600 Retried b", "1000 Failed b"])
      // The first wait of three retries in a second.
      yield* assertWaits([62.5])
    }).pipe(rehearse({ maintenance: { handoffTimeout: "600 millis" } })))
})

describe("a newer target", () => {
  it.effect("ends the attempts at the older one at once, though that one hangs", () =>
    Effect.gen(function*() {
      const traffic = yield* load
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "HangBeforeHello" } },
        announceMove(0, 1, 1, addresses.b),
        announceMove("200 millis", 2, 1, addresses.c)
      )
      yield* advance("300 millis")
      yield* traffic.stop
      // Everything that nodes send, the announcements too, comes 2 ms late.
      assert.deepStrictEqual(yield* timedStory, [
        "2 Queued b",
        "2 Started b",
        "202 Superseded b",
        "202 Started c",
        "204 Completed c"
      ])
      assert.strictEqual(yield* connections("b"), 0)
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse({ maintenance: { handoffTimeout: "1 hour" } })))

  it.effect("is not left for the older one, whose answer comes late", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "300 millis" } },
        announceMove(0, 1, 1, addresses.b),
        announceMove("100 millis", 2, 1, addresses.c)
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving c"])
      assert.deepStrictEqual(yield* timedStory, [
        "0 Queued b",
        "0 Started b",
        "100 Superseded b",
        "100 Started c",
        "100 Completed c"
      ])
      // The older target was hung up on before it answered.
      assert.deepStrictEqual([yield* dials("b"), yield* connections("b")], [[0], 0])
    }).pipe(rehearse()))
})

describe("an old server in trouble", () => {
  it.effect("closes early, while the target shakes hands: reads are answered by the target", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* redis.send("SET", "key", "value")
      yield* begin(
        { step: "stall", at: 0, node: "a", duration: "10 seconds" },
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        { step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" },
        { step: "kill", at: "50 millis", node: "a" }
      )
      const reads = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }), () => redis.send("GET", "key"), { concurrency: "unbounded" })
      )
      // When the handoff's dial has been answered, however the slot looks for a connection of its own meanwhile.
      yield* advance("100 millis")
      assert.deepStrictEqual([...new Set(yield* Fiber.join(reads))], ["value"])
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      yield* advance("100 millis")
      assert.strictEqual(yield* connections("b"), 1)
      yield* Rehearsal.assertLongestWait("100 millis")
      yield* Rehearsal.assertHitless
    }).pipe(rehearse()))

  for (
    const [fate, handshake, end] of [
      ["hangs", { _tag: "HangBeforeHello" }, ["3550 Superseded b", "3550 Started b", "3550 Completed b"]],
      ["answers late", { _tag: "Answer", delay: "500 millis" }, ["3450 Completed b"]]
    ] satisfies ReadonlyArray<readonly [string, SimulatedRedis.Handshake, ReadonlyArray<string>]>
  ) {
    it.effect(`closes, and a new connection to it is made while the attempt ${fate}: that one moves too`, () =>
      Effect.gen(function*() {
        yield* begin(
          { step: "handshake", at: 0, node: "b", handshake },
          announceMove("2950 millis", 1, 30, addresses.b),
          // After 2 s a lost connection is no reason to wait before the next dial.
          { step: "kill", at: "3 seconds", node: "a" },
          // The slot gives the target the 100 ms of a dial, and goes back.
          { step: "handshake", at: "3200 millis", node: "b", handshake: answer }
        )
        yield* advance("3200 millis")
        assert.deepStrictEqual(yield* dials("a"), [0, 3100])
        yield* advance("1 second")
        assert.deepStrictEqual(yield* slots, ["Serving b"])
        assert.deepStrictEqual(yield* timedStory, ["2950 Queued b", "2950 Started b", ...end])
      }).pipe(rehearse({
        connectTimeout: "100 millis",
        maintenance: { handoffTimeout: "600 millis", maxHandoffRetries: 0 }
      })))
  }

  it.effect("owes replies at the swap: they are delivered by the old connection before it closes", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin({ step: "stall", at: 0, node: "a", duration: "400 millis" })
      const writes = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }), () => redis.send("INCR", "owed"), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" })
      yield* advance("399 millis")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.strictEqual((yield* status).draining, 1)
      assert.strictEqual((yield* Rehearsal.report).pending, 50)
      yield* advance("1 milli")
      assert.deepStrictEqual(yield* Fiber.join(writes), Array.from({ length: 50 }, (_, i) => i + 1))
      assert.strictEqual(yield* redis.send("GET", "owed"), "50")
      assert.strictEqual(yield* connections("a"), 0)
      yield* Rehearsal.assertHitless
    }).pipe(rehearse()))
})

describe("what does not move anything", () => {
  it.effect("a completion that is replayed to a new connection opens and closes no window", () =>
    Effect.gen(function*() {
      const another = Effect.flatMap(
        HitlessRedis.make({ host: MaintenancePlan.databaseName, poolSize: 1 }),
        (redis) => redis.status
      )
      const labels = ({ windows }: HitlessRedis.Status) => windows.map(({ label }) => label)
      yield* begin(
        { step: "migrating", at: 0, node: "a", time: "1 second" },
        { step: "migrated", at: "1 second", node: "a" },
        { step: "migrating", at: "3 seconds", node: "a", time: "1 second" },
        { step: "replay", at: "4 seconds", node: "a" }
      )
      yield* advance("2 seconds")
      assert.strictEqual((yield* notifications).length, 2)
      const second = yield* another
      assert.deepStrictEqual(labels(second), [])
      assert.strictEqual(second.health, "ok")
      yield* advance("2 seconds")
      // The completion is that of the window before, for who has heard of it and for who has not.
      assert.deepStrictEqual(labels(yield* status), ["MIGRATING 3"])
      assert.deepStrictEqual(labels(yield* another), ["MIGRATING 3"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("a null target, a malformed frame and an unknown push leave the connection serving", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "malformed", at: 0, node: "a" },
        { step: "push", at: 0, node: "a", elements: ["MOVING", "what", 1, "nowhere"] },
        { step: "push", at: 0, node: "a", elements: ["MOVING", 3, 1, "not:an:address"] },
        { step: "push", at: 0, node: "a", elements: ["SOMETHING_NEW", 3] },
        { step: "moving", at: 0, node: "a", target: null, time: "30 seconds" }
      )
      yield* advance("10 seconds")
      const redis = yield* HitlessRedis.HitlessRedis
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual((yield* notifications).map(({ _tag }) => _tag), ["Moving"])
      assert.deepStrictEqual(yield* dials("a"), [0])
      assert.deepStrictEqual(yield* handoffs, [])
    }).pipe(rehearse()))

  it.effect("mode disabled: nothing is asked for and nothing is heard", () =>
    Effect.gen(function*() {
      yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "30 seconds" })
      yield* advance("1 second")
      const redis = yield* HitlessRedis.HitlessRedis
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.isFalse((yield* deeds).some(({ event }) => event._tag === "OptedIn"))
      assert.deepStrictEqual((yield* status).endpoints, [])
      assert.deepStrictEqual(yield* notifications, [])
      assert.deepStrictEqual(yield* slots, ["Serving redis.test"])
    }).pipe(rehearse({ maintenance: { mode: "disabled" } })))
})

describe("relaxed timeouts", () => {
  const client = { commandTimeout: "150 millis" } as const

  it.effect("carry commands through a stall that was announced, also those in flight", () =>
    Effect.gen(function*() {
      yield* begin({ step: "stall", at: 0, node: "a", duration: "9900 millis" })
      const inFlight = yield* send("ECHO", "in flight")
      yield* begin({ step: "migrating", at: "100 millis", node: "a", time: "5 seconds" })
      yield* advance("100 millis")
      assert.strictEqual((yield* status).health, "maintenance")
      const later = yield* send("ECHO", "later")
      yield* advance("9800 millis")
      assert.deepStrictEqual([yield* Fiber.join(inFlight), yield* Fiber.join(later)], ["in flight", "later"])
      yield* Rehearsal.assertLongestWait("9900 millis")
    }).pipe(rehearse(client)))

  it.effect("end with the completion: then a stall fails commands by their own deadline, and says so", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "failingOver", at: 0, node: "a", time: "30 seconds" },
        { step: "failedOver", at: "1 second", node: "a" },
        { step: "stall", at: "1 second", node: "a", duration: "1 second" }
      )
      yield* advance("1 second")
      const ping = yield* send("PING")
      yield* advance("150 millis")
      const { reason } = yield* Effect.flip(Fiber.join(ping))
      assert.strictEqual(reason._tag, "CommandTimeout")
      assert.isTrue(reason.mayHaveExecuted)
      assert.deepStrictEqual((yield* Rehearsal.report).longestWait?.waited, Duration.millis(150))
    }).pipe(rehearse(client)))

  it.effect("end by themselves when the completion never comes", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "failingOver", at: 0, node: "a", time: "30 seconds" },
        // The announced time and the relaxed timeout of 10 s.
        { step: "stall", at: "39 seconds", node: "a", duration: "500 millis" },
        { step: "stall", at: "40 seconds", node: "a", duration: "500 millis" }
      )
      for (const [wait, outcome] of [["39 seconds", "Success"], ["500 millis", "Failure"]] as const) {
        yield* advance(wait)
        const ping = yield* send("PING")
        yield* advance("500 millis")
        assert.strictEqual((yield* Fiber.await(ping))._tag, outcome)
      }
    }).pipe(rehearse(client)))

  it.effect("hold for a while on the connection that a handoff made", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "moving", at: 0, node: "a", target: "b", time: "1 second" },
        // Twice the relaxed timeout of 10 s.
        { step: "stall", at: "19 seconds", node: "b", duration: "500 millis" },
        { step: "stall", at: "20 seconds", node: "b", duration: "500 millis" }
      )
      for (const [wait, outcome] of [["19 seconds", "Success"], ["500 millis", "Failure"]] as const) {
        yield* advance(wait)
        const ping = yield* send("PING")
        yield* advance("500 millis")
        assert.strictEqual((yield* Fiber.await(ping))._tag, outcome)
      }
    }).pipe(rehearse(client)))
})

describe("the queue and its workers", () => {
  it.effect("waits for room when it is full, says so, and loses no handoff", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 6)
      const traffic = yield* load
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "50 millis" } },
        { step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" }
      )
      // Three rounds of the two workers.
      yield* advance("200 millis")
      yield* traffic.stop
      const events = yield* handoffs
      assert.strictEqual(events.filter(({ _tag }) => _tag === "Completed").length, 6)
      assert.isTrue(events.some((event) => event._tag === "Queued" && event.waited))
      yield* Rehearsal.assertHitless
    }).pipe(rehearse({ poolSize: 6, maintenance: { handoffQueueSize: 1 } })))

  it.effect("gives a slot that waited for a worker past the announced time a whole attempt", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 6)
      // Two workers are held by the first two slots until the announced time is over.
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "HangBeforeHello" } },
        announceMove(0, 1, 0, addresses.b),
        { step: "handshake", at: "500 millis", node: "b", handshake: { _tag: "Answer", delay: "900 millis" } }
      )
      yield* advance("10 seconds")
      const durations = (tag: string) =>
        Effect.map(
          handoffs,
          (events) =>
            events.flatMap((event) =>
              event._tag === tag && "duration" in event ? [Duration.toMillis(event.duration)] : []
            )
        )
      assert.deepStrictEqual(yield* durations("Failed"), [1000, 1000])
      assert.deepStrictEqual(yield* durations("Completed"), [900, 900, 900, 900])
    }).pipe(rehearse({ poolSize: 6, maintenance: { handoffTimeout: "1 second", maxHandoffRetries: 0 } })))

  it.effect("spreads the waits of all retries over half of the time there is", () =>
    Effect.gen(function*() {
      for (const [retries, seconds] of [[1, 15], [3, 15], [10, 30]] as const) {
        const waits: Array<number> = []
        const step = yield* Schedule.toStep(Handoff.retrySchedule(retries, Duration.seconds(seconds)))
        for (let now = 0;;) {
          const exit = yield* Effect.exit(step(now, undefined))
          if (exit._tag === "Failure") break
          const wait = Duration.toMillis(exit.value[1])
          waits.push(wait)
          now += wait
        }
        assert.strictEqual(waits.length, retries)
        const sum = waits.reduce((a, b) => a + b, 0)
        // Jitter is 0.8 to 1.2 times.
        assert.isAtMost(sum, seconds * 1000 / 2 * 1.2)
        assert.isAtLeast(sum, seconds * 1000 / 4 * 0.8)
      }
    }))
})

describe("closing", () => {
  for (const handshake of [{ _tag: "HangBeforeHello" }, { _tag: "HangAfterHello" }] as const) {
    it.effect(`in the middle of a handoff leaves nothing open (${handshake._tag})`, () =>
      Effect.gen(function*() {
        yield* openSlots("a", 2)
        yield* begin(
          { step: "handshake", at: 0, node: "b", handshake },
          { step: "moving", at: 0, node: "a", target: "b", time: "30 seconds" }
        )
        yield* advance("1 second")
        assert.strictEqual(yield* connections("b"), 1)
        yield* Rehearsal.assertNothingLeftOpen
        const redis = yield* HitlessRedis.HitlessRedis
        const error = yield* Effect.flip(redis.send("PING"))
        assert.strictEqual(error.reason._tag, "Closed")
      }).pipe(rehearse({ poolSize: 2, maintenance: { handoffTimeout: "1 hour" } })))
  }

  it.effect("while an old connection drains delivers what it owes", () =>
    Effect.gen(function*() {
      yield* begin({ step: "stall", at: 0, node: "a", duration: "300 millis" })
      const owed = yield* send("PING")
      yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" })
      yield* advance("100 millis")
      assert.deepStrictEqual(yield* slots, ["Serving b"])
      assert.strictEqual((yield* status).draining, 1)
      yield* Rehearsal.assertNothingLeftOpen
      assert.strictEqual(yield* Fiber.join(owed), "PONG")
      yield* Rehearsal.assertNoneFailed
    }).pipe(rehearse()))
})
