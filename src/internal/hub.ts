/**
 * A hub of events for any number of streams: each subscriber gets what is published from then on, one that falls behind
 * loses the oldest, and all streams end when the hub does.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"

/** How many events a slow subscriber can be behind before it loses the oldest. */
const capacity = 256

/** @internal */
export interface Hub<A> {
  readonly publish: (event: A) => Effect.Effect<void>
  readonly stream: Stream.Stream<A>
  readonly end: Effect.Effect<void>
}

/** @internal */
export const make = <A>(): Effect.Effect<Hub<A>> =>
  Effect.map(PubSub.sliding<Take.Take<A>>(capacity), (pubsub) => ({
    publish: (event) => Effect.asVoid(PubSub.publish(pubsub, [event])),
    stream: Stream.fromPubSubTake(pubsub),
    end: Effect.asVoid(PubSub.end(pubsub, Exit.void))
  }))
