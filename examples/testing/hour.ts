/**
 * An order service goes through an hour of maintenance, and keeps what it promises.
 */
import { assert } from "@effect/vitest"
import { Array, Duration, Effect, Fiber } from "effect"
import { MaintenanceClock, Rehearsal, TestRedis } from "hitless/testing"
import { Order, OrderService } from "./OrderService.ts"
import { failovers, failures, network, upgrades } from "./plans.ts"
import { scripts } from "./scripts.ts"

const orders = Array.makeBy(60, (n) => new Order({ id: `${n}`, customer: `${n % 9}`, product: "tea", quantity: 2 }))
const shipped = Object.fromEntries(orders.map(({ id, quantity }) => [id, quantity]))

/** Gives its timeline. */
export const hour = (client?: TestRedis.Options["client"]) =>
  Effect.gen(function*() {
    const clock = yield* MaintenanceClock.MaintenanceClock
    const shop = yield* OrderService
    yield* shop.restock("tea", 200)
    yield* clock.schedule(yield* network)
    // Each is placed 30 ms before something happens: one of its commands is under way then, the others follow.
    const place = (order: Order, n: number) => Effect.delay(shop.place(order), Duration.seconds(60 * n + 9.97))
    const placing = yield* Effect.forkChild(Effect.forEach(orders, place, { concurrency: "unbounded" }))
    yield* clock.run(upgrades)
    yield* Rehearsal.assertLongestWait("100 millis")
    yield* clock.run(failovers)
    yield* Rehearsal.assertNoneFailed
    yield* clock.run(failures)
    yield* clock.advance("5 minutes")
    assert.lengthOf(yield* Fiber.join(placing), 60)
    assert.deepStrictEqual(yield* clock.advanceUntil(shop.inventory("tea")), { inStock: 200 - 60 * 2, shipped })
    yield* Rehearsal.assertEachRanOnce
    yield* Rehearsal.assertHandoffsInTime
    return yield* clock.timeline
  }).pipe(
    Effect.provide(OrderService.layer),
    Effect.tap(Rehearsal.assertNothingLeftOpen),
    Effect.provide(TestRedis.layer({ client, server: { scripts } }))
  )
