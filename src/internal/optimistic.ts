/**
 * Transactions that run only if nobody changed what they were made from: `WATCH`, the reads and the decision of the caller,
 * `MULTI … EXEC`, and all of it again when a watched key changed.
 *
 * It never chooses a connection: all is sent on the one that it is given, which nobody else may use meanwhile.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { HitlessError } from "../HitlessError.ts"
import type { Calls } from "./calls.ts"
import type { Runtime } from "./runtime.ts"

/** The waits between attempts, in milliseconds: a round trip or a few, so that those who compete spread. */
const againAfter = 1
const againAtMost = 50

/** A watched key changed, or the connection that watched was lost: nothing ran, and the next attempt looks anew. */
const isAborted = (error: unknown): boolean =>
  error instanceof HitlessError && error.reason._tag === "TransactionAborted" && error.isRetryable

/** How often it is tried by default: until `time` milliseconds are over. */
const persistent = (runtime: Runtime, time: number): Schedule.Schedule<unknown, unknown> => {
  const until = runtime.now() + time
  return Schedule.exponential(againAfter).pipe(
    Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.millis(againAtMost)))),
    Schedule.jittered,
    Schedule.while(() => Effect.sync(() => runtime.now() < until))
  )
}

/** @internal */
export const optimistic = <E, R>(
  runtime: Runtime,
  calls: Calls,
  watch: ReadonlyArray<unknown>,
  body: Effect.Effect<unknown, E, R>,
  retry: Schedule.Schedule<unknown, unknown> | undefined,
  time: number
): Effect.Effect<Array<Result.Result<unknown, HitlessError>>, HitlessError | E, R> => {
  const unwatch = Effect.ignore(calls.send(["UNWATCH"], false))
  const attempt = Effect.andThen(
    calls.send(["WATCH", watch], false),
    Effect.flatMap(
      body,
      (commands): Effect.Effect<Array<Result.Result<unknown, HitlessError>>, HitlessError> =>
        Array.isArray(commands) && commands.length === 0 ? Effect.as(unwatch, []) : calls.batch("transaction", commands)
    )
  ).pipe(
    Effect.onError((cause) => {
      // Who is interrupted does not wait for it.
      if (Cause.hasInterrupts(cause)) return Effect.sync(() => runtime.fork(unwatch))
      return isAborted(Option.getOrUndefined(Cause.findErrorOption(cause))) ? Effect.void : unwatch
    })
  )
  return Effect.retry(attempt, { while: isAborted, schedule: retry ?? persistent(runtime, time) })
}
