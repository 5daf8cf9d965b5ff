/**
 * Moves without a named target: the configured name leads to the new address, sooner or later.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import {
  addresses,
  advance,
  begin,
  connections,
  ended,
  load,
  openSlots,
  rehearse,
  timedStory,
  until
} from "./support/rehearsal.ts"

const name = MaintenancePlan.databaseName

const lead = (at: string | number, node: string | null): MaintenancePlan.StepInput => ({
  step: "dns",
  at: at as never,
  name,
  target: node
})

const moving = (time: string): MaintenancePlan.StepInput => ({
  step: "moving",
  at: 0,
  node: "a",
  target: null,
  time: time as never
})

const where = Effect.all([connections("a"), connections("b")])

describe("a move without a target", () => {
  it.effect("is followed when the name leads elsewhere, and not before", () =>
    Effect.gen(function*() {
      yield* begin(moving("15 seconds"), lead("5 seconds", "b"))
      yield* advance("4900 millis")
      assert.deepStrictEqual(yield* where, [1, 0])
      assert.deepStrictEqual(yield* timedStory, [])
      yield* advance("1100 millis")
      assert.deepStrictEqual(yield* where, [0, 1])
      assert.isTrue(yield* ended(1))
    }).pipe(rehearse()))

  it.effect("moves every connection, each once, reserved and subscribing ones too, and no command notices", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* openSlots("a", 4)
      yield* redis.reserve
      yield* (yield* Redis.Redis).subscribe("news")
      const { stop } = yield* load
      yield* begin(moving("15 seconds"), lead("5 seconds", "b"))
      yield* advance("8 seconds")
      assert.deepStrictEqual(yield* where, [0, 6])
      yield* advance("12 seconds")
      yield* stop
      assert.lengthOf((yield* timedStory).filter((line) => line.includes("Completed")), 6)
      assert.deepStrictEqual((yield* (yield* Rehearsal.Rehearsal).report).failed, [])
    }).pipe(Effect.scoped, rehearse({ poolSize: 4 })))

  it.effect("is followed at once when the name led elsewhere before it was announced", () =>
    Effect.gen(function*() {
      yield* begin(lead(0, "b"))
      yield* advance("1 second")
      yield* begin(moving("15 seconds"))
      yield* advance("500 millis")
      assert.deepStrictEqual(yield* where, [0, 1])
    }).pipe(rehearse()))

  it.effect("waits for a name that cannot be looked up for a while", () =>
    Effect.gen(function*() {
      yield* begin(moving("15 seconds"), lead("1 second", null), lead("6 seconds", "b"))
      yield* advance("5 seconds")
      assert.deepStrictEqual(yield* where, [1, 0])
      yield* advance("3 seconds")
      assert.deepStrictEqual(yield* where, [0, 1])
    }).pipe(rehearse()))

  it.effect("dials a name that never leads elsewhere shortly before the end, and moves to what answers there", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      yield* begin({ step: "push", at: 0, node: "a", elements: ["MOVING", 1, 16, null] })
      yield* advance("13 seconds")
      assert.strictEqual(yield* deployment.accepted("a"), 1)
      yield* advance("2 seconds")
      assert.strictEqual(yield* deployment.accepted("a"), 2)
      assert.deepStrictEqual(yield* where, [1, 0])
      assert.isTrue(yield* ended(1))
    }).pipe(rehearse()))

  it.effect("does the same for an endpoint that is an IP address: there is nothing to look up", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const redis = yield* HitlessRedis.make({ host: "10.0.0.3", poolSize: 1 })
      yield* begin({ step: "push", at: 0, node: "c", elements: ["MOVING", 1, 16, null] })
      yield* advance("13 seconds")
      assert.strictEqual(yield* deployment.accepted("c"), 1)
      yield* advance("2 seconds")
      assert.strictEqual(yield* deployment.accepted("c"), 2)
      assert.strictEqual(yield* connections("c"), 1)
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that cannot be followed leaves the old connection serving", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      yield* deployment.refuse("a")
      yield* begin({ step: "push", at: 0, node: "a", elements: ["MOVING", 1, 8, null] })
      yield* advance("40 seconds")
      assert.deepStrictEqual(yield* where, [1, 0])
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }).pipe(rehearse()))

  it.effect("leaves connections alone that were made after the name had changed", () =>
    Effect.gen(function*() {
      yield* begin(moving("15 seconds"), lead("2 seconds", "b"))
      yield* advance("8 seconds")
      const deployment = yield* SimulatedRedis
      assert.deepStrictEqual(yield* where, [0, 1])
      // The same event is told to the new connection too, as servers do.
      yield* deployment.push("b", ["MOVING", 1, 15, null])
      yield* advance("20 seconds")
      assert.strictEqual(yield* deployment.accepted("b"), 1)
    }).pipe(rehearse()))

  it.effect("is a plan of the kit: nothing fails, nothing waits", () =>
    Effect.gen(function*() {
      const clock = yield* MaintenanceClock.MaintenanceClock
      const { stop } = yield* load
      yield* clock.run(MaintenancePlan.rebind({ from: "a", to: "b", target: "null", dnsDelay: "5 seconds" }))
      yield* stop
      yield* Rehearsal.assertHitless
    }).pipe(rehearse()))

  it.effect("of a named target that is re-bound in turn leads back to the name", () =>
    Effect.gen(function*() {
      yield* begin({ step: "push", at: 0, node: "a", elements: ["MOVING", 1, 60, addresses.b] })
      yield* advance("1 second")
      assert.deepStrictEqual(yield* where, [0, 1])
      yield* begin({ step: "push", at: 0, node: "b", elements: ["MOVING", 2, 20, null] }, lead("5 seconds", "c"))
      yield* until(Effect.map(connections("c"), (count) => count === 1))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* where, [0, 0])
    }).pipe(rehearse()))
})
