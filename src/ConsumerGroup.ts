/**
 * What a consumer of a group is given, and how it is asked for.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { StreamId } from "./Commands.ts"
import type { HitlessError } from "./HitlessError.ts"

/**
 * An entry that is to be handled.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly id: StreamId
  readonly message: Record<string, string>
  /**
   * Says that it was handled: an `XACK`, which is sent again after a lost connection, since twice is once. `Commands.xAck` in
   * a transaction with what was done says the same.
   */
  readonly ack: Effect.Effect<void, HitlessError>
}

/**
 * Of what group of what stream, and as whom.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The key of the stream. */
  readonly stream: string
  readonly group: string
  /**
   * The name of this consumer, which no other one may have at the same time. Under the same name a program that was started
   * anew begins with what it had not acknowledged.
   */
  readonly consumer: string
  /**
   * After how long an entry that is not acknowledged is given out again, to whoever of the group comes first, this one too.
   * Longer than `count` entries take to be handled, or they are handled twice. `"Infinity"` for never.
   */
  readonly claimAfter: Duration.Input
  /** Makes the group, and the stream, where there is none: behind this id, `"0"` for the beginning, `"$"` for the end. */
  readonly createFrom?: string | undefined
  /** How many entries are read at once, at most. Default: 10. */
  readonly count?: number | undefined
}
