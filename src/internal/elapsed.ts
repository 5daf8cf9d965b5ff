/**
 * Elapsed time: milliseconds that only go forward, whatever is done to the wall clock.
 *
 * Deadlines, windows, overrides and breakers are measured by these and never by the time of day, which an administrator
 * or NTP can set.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds of the clock's monotonic reading; only differences mean something. @internal */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * The same clock, with its monotonic reading as the time of day: for parts of Effect that measure what has elapsed by
 * the wall, as its circuit breaker and its schedules do.
 *
 * @internal
 */
export const monotonicClock = (clock: Clock.Clock): Clock.Clock => {
  const millis = () => Math.floor(monotonicMillis(clock))
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    currentTimeNanos: clock.monotonicTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}
