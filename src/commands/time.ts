/**
 * Durations and instants as Redis reads them.
 *
 * A bare number as a duration is milliseconds, as everywhere in Effect. What Redis cannot take, an infinite time to live
 * for one, is sent as it is, and the server says why it does not take it.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Arg } from "../Resp.ts"

/**
 * A point in time.
 *
 * @category models
 * @since 0.1.0
 */
export type Instant = DateTime.DateTime | Date

/**
 * When something expires: a duration from now on, or a point in time.
 *
 * @category models
 * @since 0.1.0
 */
export type Expiration = Duration.Input | Instant

/** Milliseconds; `NaN` for what is no duration. A part of a millisecond counts as one, so that nothing becomes 0. @internal */
export const millis = (duration: Duration.Input): number =>
  Option.match(Duration.fromInput(duration), {
    onNone: () => NaN,
    onSome: (duration) => Math.ceil(Duration.toMillis(duration))
  })

/** A time to wait in seconds, with parts of them: 0, and an infinite one, wait without end. @internal */
export const patience = (duration: Duration.Input): number => patienceMillis(duration) / 1000

/** The same in milliseconds. @internal */
export const patienceMillis = (duration: Duration.Input): number => {
  const time = millis(duration)
  return time === Infinity ? 0 : time
}

/** @internal */
export const isInstant = (expiration: unknown): expiration is Instant =>
  typeof expiration === "object" && expiration !== null &&
  ("epochMilliseconds" in expiration || "getTime" in expiration)

/** Milliseconds since 1970. @internal */
export const epochMillis = (instant: Instant): number =>
  "epochMilliseconds" in instant ? instant.epochMilliseconds : instant.getTime()

/** Whether so many milliseconds can be told in seconds. */
const isWhole = (time: number): boolean => time % 1000 === 0

/** A command for seconds and the one for milliseconds, of which the shorter words are taken. @internal */
export const inSeconds = (time: number, seconds: string, millis: string): readonly [string, number] =>
  isWhole(time) ? [seconds, time / 1000] : [millis, time]

/** `EX`, `PX`, `EXAT` or `PXAT`, with the time. @internal */
export const expiring = (expiration: Expiration): readonly [string, number] =>
  isInstant(expiration)
    ? inSeconds(epochMillis(expiration), "EXAT", "PXAT")
    : inSeconds(millis(expiration), "EX", "PX")

/** The same for what may also be said in one word, such as `KEEPTTL`. @internal */
export const expiringOr = (word: string, expiration: Expiration | string | undefined): ReadonlyArray<Arg> =>
  expiration === undefined ? [] : expiration === word ? [word] : expiring(expiration as Expiration)
