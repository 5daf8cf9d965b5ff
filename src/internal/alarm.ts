/**
 * One re-armable alarm on Effect's `Clock`, for code that keeps many deadlines but wants one timer.
 *
 * The alarm rings once at the earliest time that it was set to since it last rang; its owner then looks at what is due
 * and sets it again. Setting it to a later time than it is set to already does nothing, so keeping a deadline per
 * command costs a comparison. `clear` leaves no fiber behind.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { monotonicMillis } from "./elapsed.ts"

/** @internal */
export class Alarm {
  private readonly clock: Clock.Clock
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly onRing: () => void
  private at = Infinity
  private fiber: Fiber.Fiber<void> | undefined

  constructor(context: Context.Context<never>, onRing: () => void) {
    this.clock = Context.get(context, Clock.Clock)
    this.runFork = Effect.runForkWith(context)
    this.onRing = onRing
  }

  /** Rings at `at`, in elapsed milliseconds, unless it is set to ring earlier. */
  set(at: number): void {
    if (at >= this.at) return
    this.clear()
    this.at = at
    // Whole milliseconds, as timers count: a jittered time has more digits than a duration keeps, and an alarm that rings
    // a hair early would be set again and again for nothing.
    const wait = Math.max(0, Math.ceil(at - monotonicMillis(this.clock)))
    this.fiber = this.runFork(Effect.andThen(this.clock.sleep(Duration.millis(wait)), this.ringSoon))
  }

  clear(): void {
    this.at = Infinity
    this.fiber?.interruptUnsafe()
    this.fiber = undefined
  }

  private readonly ring = Effect.sync(() => {
    this.at = Infinity
    this.fiber = undefined
    this.onRing()
  })

  // A loop that was busy runs its timers before it reads its sockets. The yield lets what has arrived meanwhile be
  // heard first, so that no answered command is found overdue.
  private readonly ringSoon = Effect.andThen(Effect.yieldNow, this.ring)
}
