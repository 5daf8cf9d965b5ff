/**
 * What a client-side cache is made with, and what it promises.
 *
 * A cache keeps replies in this process and drops each when the server says that one of its keys was changed, by anybody:
 * RESP3 invalidations (`CLIENT TRACKING ON`), heard on the one connection of the cache on which its reads are sent.
 *
 * - Nothing that was read on a connection outlives it: when it is left for another, is lost or falls silent, the cache is
 *   empty before the next read. It is also emptied by every announcement of maintenance, and keeps nothing while a shard of
 *   its endpoint migrates or fails over, since the next owner of the data may know nothing of what was read.
 * - A reply is not kept if one of its keys was invalidated after it was asked for. Who waited for it is given it; who comes
 *   later asks anew.
 * - A value that the server has at a moment is never given again once the invalidation of its change has arrived. Until then
 *   it may be: a change that has been acknowledged, also to this very client, may take about as long as its acknowledgement
 *   to be heard here. Use `run` of the client where that matters.
 * - However long invalidations take, or where none come any more, no value is given that was not the server's within the
 *   last second: who comes later waits for one answer on the connection, which follows all invalidations before it.
 * - A key that expires is not given any longer than its time to live said when it was read (`PTTL`); nothing is kept where
 *   that may not be asked. For fields of hashes that
 *   expire the invalidation counts, which servers send when they remove them, and `timeToLive`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Command } from "./Commands.ts"
import type { HitlessError } from "./HitlessError.ts"

/**
 * How much a cache keeps, and for how long.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Replies at the most, an integer of at least 1; of more the one goes that was not read for the longest time. */
  readonly capacity: number
  /** How long a reply is kept at the most, from when it was asked for. */
  readonly timeToLive: Duration.Input
}

/**
 * A client-side cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cache {
  /**
   * What `run` of the client gives, kept until it changes; many who ask for one thing at once send one command. What it
   * gives is shared by those who are given it, and is not to be changed.
   *
   * Takes commands that only read, and whose reply depends on their keys alone; fails with `CommandRefused` for any other,
   * and otherwise as `run` does. Where the server does not track, it is `run`: see `caches` of the client's status.
   */
  readonly run: <A>(command: Command<A>) => Effect.Effect<A, HitlessError>
}
