/**
 * The one timer of many deadlines.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { Alarm } from "../../src/internal/alarm.ts"

describe("Alarm", () => {
  /** An alarm on the test's clock, when it rang, and how many of its fibers sleep. */
  const make = (onRing: (alarm: Alarm, now: number) => void = () => {}) =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const clock = yield* Clock.Clock
      const rang: Array<number> = []
      let sleeping = 0
      const counting = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        sleep: (duration: Parameters<typeof clock.sleep>[0]) =>
          Effect.suspend(() => {
            sleeping++
            return Effect.ensuring(clock.sleep(duration), Effect.sync(() => sleeping--))
          })
      }
      const alarm: Alarm = new Alarm(Context.add(context, Clock.Clock, counting), () => {
        rang.push(clock.currentTimeMillisUnsafe())
        onRing(alarm, clock.currentTimeMillisUnsafe())
      })
      return { alarm, rang, sleeping: () => sleeping }
    })

  it.effect("rings once, at its time", () =>
    Effect.gen(function*() {
      const { alarm, rang, sleeping } = yield* make()
      yield* TestClock.adjust("1 second")
      alarm.set(1500)
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual(rang, [])
      assert.strictEqual(sleeping(), 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(rang, [1500])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(rang, [1500])
      assert.strictEqual(sleeping(), 0)
    }))

  it.effect("rings at the earliest of the times it was set to, whatever their order", () =>
    Effect.gen(function*() {
      const { alarm, rang, sleeping } = yield* make()
      for (const at of [500, 300, 400, 300]) alarm.set(at)
      yield* TestClock.adjust(0)
      assert.strictEqual(sleeping(), 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(rang, [300])
    }))

  it.effect("can be set while it rings, and after", () =>
    Effect.gen(function*() {
      const { alarm, rang } = yield* make((alarm, now) => {
        if (now < 300) alarm.set(now + 100)
      })
      alarm.set(100)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(rang, [100, 200, 300])
      alarm.set(1200)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(rang, [100, 200, 300, 1200])
    }))

  it.effect("rings at once for a time that is over", () =>
    Effect.gen(function*() {
      const { alarm, rang } = yield* make()
      yield* TestClock.adjust("1 second")
      alarm.set(400)
      assert.deepStrictEqual(rang, [])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(rang, [1000])
    }))

  it.effect("never rings for a time that never comes", () =>
    Effect.gen(function*() {
      const { alarm, rang, sleeping } = yield* make()
      alarm.set(Infinity)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(rang, [])
      assert.strictEqual(sleeping(), 0)
    }))

  it.effect("leaves no fiber behind when it is cleared, and can be set again, also to a later time", () =>
    Effect.gen(function*() {
      const { alarm, rang, sleeping } = yield* make()
      alarm.set(100)
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(sleeping(), 1)
      alarm.clear()
      yield* TestClock.adjust(0)
      assert.strictEqual(sleeping(), 0)
      alarm.set(200)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(rang, [200])
    }))
})
