/**
 * Why a benchmark cannot go on.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export class BenchFailure extends Data.TaggedError("BenchFailure")<{
  readonly message: string
  readonly cause?: unknown
}> {}

export const fail = (message: string): Effect.Effect<never, BenchFailure> => Effect.fail(new BenchFailure({ message }))

/** A promise of somebody else's code. */
export const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, BenchFailure> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => new BenchFailure({ message: `${what}: ${cause instanceof Error ? cause.message : cause}`, cause })
  })
