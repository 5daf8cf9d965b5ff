/**
 * What an attempt at a target makes of what is known by then: where the target itself has gone, how much of the announced
 * time is left for it and others, and whether the target's circuit lets it through. All in simulated time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Handoff } from "hitless"
import { Rehearsal } from "hitless/testing"
import {
  addresses,
  advance,
  announceMove,
  begin,
  connections,
  dials,
  ended,
  handoffs,
  load,
  openSlots,
  rehearse,
  slots,
  status,
  story,
  timedStory,
  until
} from "./support/rehearsal.ts"

const answer = { _tag: "Answer" } as const
const hang = { _tag: "HangBeforeHello" } as const

/** The node that is moved to is told to move on. */
const announceOnward = (at: Duration.Input, seq: number, seconds: number, target: string) =>
  ({ step: "push", at, node: "b", elements: ["MOVING", seq, seconds, target] }) as const

const count = (tag: Handoff.HandoffEvent["_tag"]) =>
  Effect.map(handoffs, (events) => events.filter(({ _tag }) => _tag === tag).length)

describe("a target that is told to move on", () => {
  it.effect("is not waited for by those that are on their way to it", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        announceMove(0, 1, 30, addresses.b),
        // The first slot is being answered, the second hangs, and the first one's connection hears it.
        { step: "handshake", at: "50 millis", node: "b", handshake: hang },
        announceOnward("300 millis", 2, 30, addresses.c)
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving c", "Serving c"])
      assert.deepStrictEqual([(yield* dials("b")).length, (yield* dials("c")).length], [2, 2])
      assert.strictEqual(yield* connections("b"), 0)
      const ends = (yield* story).filter((event) => /Completed|Superseded|Failed/.test(event))
      assert.deepStrictEqual(ends.toSorted(), ["Completed b", "Completed c", "Completed c", "Superseded b"])
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("is not dialled by a slot that waited for a worker meanwhile", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 3)
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        announceMove(0, 1, 30, addresses.b),
        // The second slot is being answered, the third waits.
        announceOnward("150 millis", 2, 30, addresses.c)
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving c", "Serving c", "Serving c"])
      assert.deepStrictEqual([(yield* dials("b")).length, (yield* dials("c")).length], [2, 3])
    }).pipe(rehearse({ poolSize: 3 })))

  it.effect("is not dialled by a connection that is told of it only then", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      yield* begin(
        announceMove(0, 1, 0, addresses.b),
        announceOnward("1 second", 2, 60, addresses.c),
        { step: "drop", at: "20 seconds", node: "c" }
      )
      yield* advance("25 seconds")
      const before = (yield* dials("b")).length
      // Both are at the name again, where the override of the first move is over.
      yield* begin({ step: "push", at: 0, node: "a", elements: ["MOVING", 3, 30, addresses.b] })
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving c", "Serving c"])
      assert.strictEqual((yield* dials("b")).length, before)
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("by a chain of moves is left for its end", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        announceMove(0, 1, 30, addresses.b),
        { step: "handshake", at: "50 millis", node: "b", handshake: hang },
        { step: "handshake", at: "50 millis", node: "c", handshake: { _tag: "Answer", delay: "100 millis" } },
        announceOnward("200 millis", 2, 30, addresses.c),
        { step: "handshake", at: "250 millis", node: "c", handshake: hang },
        // The first node again, by its other name: the database's is being left.
        { step: "push", at: "320 millis", node: "c", elements: ["MOVING", 3, 30, addresses.a] }
      )
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving a", "Serving a"])
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("to where the slot still is ends its handoff, and no failure is left", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay: "100 millis" } },
        announceMove(0, 1, 30, addresses.b),
        { step: "handshake", at: "50 millis", node: "b", handshake: hang },
        announceOnward("300 millis", 2, 30, "redis.test:6379")
      )
      yield* advance("1 second")
      assert.deepStrictEqual(yield* slots, ["Serving redis.test", "Serving redis.test"])
      assert.strictEqual((yield* dials("b")).length, 2)
      assert.strictEqual(yield* count("Failed"), 0)
      assert.strictEqual((yield* status).health, "maintenance")
    }).pipe(rehearse({ poolSize: 2 })))
})

describe("the announced time", () => {
  const defaults = { maintenance: { handoffTimeout: "15 seconds" } } as const

  it.effect("is shared by as many attempts as there may be, and the last has what is left of it", () =>
    Effect.gen(function*() {
      yield* begin({ step: "handshake", at: 0, node: "b", handshake: hang }, announceMove(0, 1, 15, addresses.b))
      yield* advance("1 minute")
      assert.deepStrictEqual(
        yield* story,
        ["Queued b", "Started b", "Retried b", "Retried b", "Retried b", "Failed b"]
      )
      const last = (yield* handoffs).at(-1)!
      assert.strictEqual(last._tag === "Failed" && Duration.toMillis(last.duration), 15_000)
      assert.strictEqual((yield* dials("b")).length, 4)
    }).pipe(rehearse(defaults)))

  it.effect("is enough for a target that hangs at first", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: hang },
        announceMove(0, 1, 15, addresses.b),
        { step: "handshake", at: "1 second", node: "b", handshake: answer }
      )
      yield* advance("15 seconds")
      assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Retried b", "Completed b"])
      assert.deepStrictEqual(yield* slots, ["Serving b"])
    }).pipe(rehearse(defaults)))

  for (const delay of ["200 millis", "1 second", "2 seconds", "4 seconds"] as const) {
    it.effect(`leaves a healthy target that takes ${delay} to shake hands its time`, () =>
      Effect.gen(function*() {
        yield* begin(
          { step: "handshake", at: 0, node: "b", handshake: { _tag: "Answer", delay } },
          announceMove(0, 1, 15, addresses.b)
        )
        yield* advance("15 seconds")
        assert.deepStrictEqual(yield* story, ["Queued b", "Started b", "Completed b"])
        assert.strictEqual((yield* dials("b")).length, 1)
      }).pipe(rehearse(defaults)))
  }

  const limits = { connectTimeout: 5000, handoffTimeout: 15_000 }
  for (
    const [what, isFirst, attempts, left, expected] of [
      ["the first of four has the time of any dial", true, 4, 15_000, 5000],
      ["the first of four in a long time has its share", true, 4, 40_000, 10_000],
      ["no attempt has more than the handoff timeout", true, 2, 600_000, 15_000],
      ["the first has its whole time where no other can follow", true, 4, 5000, 15_000],
      ["the first has its whole time when the announced time is over", true, 4, 0, 15_000],
      ["the first is the only one where there are no retries", true, 1, 15_000, 15_000],
      ["another has its share", false, 3, 9000, 3000],
      ["another has a second at the least", false, 10, 3000, 1000],
      ["another has what is left where that is less", false, 3, 700, 700],
      ["the last has what is left", false, 1, 6000, 6000],
      ["the last has no more than the handoff timeout", false, 1, 60_000, 15_000]
    ] as const
  ) {
    it(`is shared so that ${what}`, () => {
      assert.strictEqual(Handoff.attemptTime({ isFirst, attempts, left }, limits), expected)
    })
  }
})

describe("a target's circuit", () => {
  const client = (openDuration: Duration.Input) =>
    ({
      maintenance: { handoffTimeout: "250 millis", maxHandoffRetries: 0, circuitBreaker: { failures: 1, openDuration } }
    }) as const

  it.effect("that is open is waited for while there is time, and then the target is tried", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "NoAuth" } },
        announceMove(0, 1, 1, addresses.b),
        { step: "handshake", at: "1 second", node: "b", handshake: answer },
        announceMove("2 seconds", 2, 30, addresses.b)
      )
      yield* advance("9999 millis")
      assert.deepStrictEqual(yield* dials("b"), [0])
      assert.deepStrictEqual(yield* slots, ["Moving redis.test"])
      yield* advance("1 second")
      assert.deepStrictEqual(yield* dials("b"), [0, 10_000])
      assert.deepStrictEqual(yield* timedStory, [
        "0 Queued b",
        "0 Started b",
        "0 Failed b",
        "2000 Queued b",
        "2000 Started b",
        "10000 Completed b"
      ])
    }).pipe(rehearse(client("10 seconds"))))

  it.effect("that stays open longer than the announced time makes the handoff fail without a dial", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: { _tag: "NoAuth" } },
        announceMove(0, 1, 1, addresses.b),
        announceMove("2 seconds", 2, 30, addresses.b)
      )
      yield* advance("59 seconds")
      assert.strictEqual((yield* story).at(-1), "Failed b")
      assert.deepStrictEqual(yield* dials("b"), [0])
    }).pipe(rehearse(client("1 minute"))))

  it.effect("that is being tried by one slot lets the others through when that one is across", () =>
    Effect.gen(function*() {
      // Two workers.
      yield* openSlots("a", 6)
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 1, addresses.b),
        { step: "accept", at: "1 second", node: "b" },
        { step: "handshake", at: "1 second", node: "b", handshake: { _tag: "Answer", delay: "200 millis" } },
        announceMove("2 seconds", 2, 30, addresses.b)
      )
      yield* until(ended(6))
      const failed = yield* count("Failed")
      yield* advance("20 seconds")
      assert.strictEqual(yield* count("Failed"), failed)
      assert.strictEqual(yield* count("Completed"), 6)
      assert.deepStrictEqual([...new Set(yield* slots)], ["Serving b"])
      assert.strictEqual((yield* dials("b")).filter((at) => at < 5200).length, 1)
    }).pipe(rehearse({ poolSize: 6, ...client("5 seconds") })))

  it.effect("that is waited for is left at once for a newer target", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 1, addresses.b),
        announceMove("2 seconds", 2, 30, addresses.b),
        announceMove("3 seconds", 3, 30, addresses.c)
      )
      yield* advance("4 seconds")
      assert.deepStrictEqual((yield* timedStory).slice(3), [
        "2000 Queued b",
        "2000 Started b",
        "3000 Superseded b",
        "3000 Started c",
        "3000 Completed c"
      ])
    }).pipe(rehearse(client("10 seconds"))))
})

describe("a full queue", () => {
  it.effect("does not keep the newer target from being heard, which frees the workers", () =>
    Effect.gen(function*() {
      // Two workers, a queue of one: three slots wait for room.
      yield* openSlots("a", 6)
      const traffic = yield* load
      yield* begin(
        { step: "handshake", at: 0, node: "b", handshake: hang },
        announceMove(0, 1, 30, addresses.b),
        announceMove("1 second", 2, 30, addresses.c)
      )
      yield* advance("500 millis")
      assert.strictEqual(yield* count("Queued"), 6)
      const queued = (yield* handoffs).flatMap((event) => event._tag === "Queued" ? [event] : [])
      assert.deepStrictEqual(queued.map(({ slot }) => slot), [0, 1, 2, 3, 4, 5])
      assert.isTrue(queued.at(-1)!.waited)
      yield* advance("1 second")
      yield* traffic.stop
      assert.deepStrictEqual([...new Set(yield* slots)], ["Serving c"])
      // No slot asked twice, and each had its turn in order.
      assert.strictEqual(yield* count("Queued"), 6)
      const completed = (yield* handoffs).flatMap((event) => event._tag === "Completed" ? [event.slot] : [])
      assert.deepStrictEqual(completed, [0, 1, 2, 3, 4, 5])
      assert.strictEqual((yield* dials("b")).length, 2)
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse({ poolSize: 6, maintenance: { handoffQueueSize: 1 } })))
})
