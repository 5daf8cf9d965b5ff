/**
 * Equal seeds give equal timelines, to the millisecond and to the letter.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, TestRedis } from "hitless/testing"
import { createHash } from "node:crypto"
import { failover, failure, network, upgrade } from "./plans.ts"

/** An upgrade, a failover and a failure, while a counter counts every 4 seconds. */
const timelineHash = (seed: number) =>
  Effect.gen(function*() {
    const clock = yield* MaintenanceClock.MaintenanceClock
    const redis = yield* HitlessRedis.HitlessRedis
    yield* clock.schedule(yield* network)
    yield* Effect.forkChild(Effect.repeat(Effect.ignore(redis.send("INCR", "counter")), Schedule.spaced("4 seconds")))
    yield* clock.run(upgrade)
    yield* clock.run(failover)
    yield* clock.run(failure("node-1", "node-2"))
    const { text } = yield* clock.timeline
    return createHash("sha256").update(text).digest("hex")
  }).pipe(Effect.provide(TestRedis.layer({ seed })))

it.effect(
  "a thousand rehearsals with one seed have one timeline, and another seed has another",
  () =>
    Effect.gen(function*() {
      const hashes = new Set<string>()
      for (let run = 0; run < 1000; run++) hashes.add(yield* timelineHash(1))
      assert.strictEqual(hashes.size, 1)
      assert.isFalse(hashes.has(yield* timelineHash(2)))
    }),
  120_000
)
