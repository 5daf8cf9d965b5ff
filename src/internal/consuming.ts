/**
 * A consumer of a group as a stream: first what it has not acknowledged, then what others have kept too long, then what is
 * new; and so on.
 *
 * It reads on a connection of its own, and remembers of the entries that it gave out the last id alone: what is pending is
 * in Redis. An entry whose reply was lost with its connection is behind that id, and is read from there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Command } from "../commands/command.ts"
import { type DeliveredEntry, xAck, xAutoClaim, xGroupCreate, xReadGroup } from "../commands/consumerGroups.ts"
import type { StreamId } from "../commands/streamEntries.ts"
import { millis } from "../commands/time.ts"
import type { Entry, Options } from "../ConsumerGroup.ts"
import type { HitlessError } from "../HitlessError.ts"
import type { Calls } from "./calls.ts"
import type { Runtime } from "./runtime.ts"

/** What is read next: its own behind an id, what others have kept, from an id on, or what nobody has yet. */
type Step =
  | { readonly _tag: "Own"; readonly behind: StreamId }
  | { readonly _tag: "Claim"; readonly from: StreamId }
  | { readonly _tag: "New" }

const first: StreamId = "0-0"

const fresh: Step = { _tag: "New" }

const claimFromFirst: Step = { _tag: "Claim", from: first }

const ownBehind = (behind: StreamId): Step => ({ _tag: "Own", behind })

const later = (a: StreamId, b: StreamId): StreamId => {
  const [[aTime, aCount], [bTime, bCount]] = [a, b].map((id) => id.split("-").map(BigInt))
  return aTime > bTime || (aTime === bTime && aCount > bCount) ? a : b
}

const isLost = ({ reason }: HitlessError): boolean => reason._tag === "ConnectionLost"

const exists = ({ reason }: HitlessError): boolean => reason._tag === "ServerReplied" && reason.code === "BUSYGROUP"

/** Sends what may run twice again after a lost connection, some times. */
const again = Effect.retry<HitlessError, { readonly while: (error: HitlessError) => boolean; readonly times: number }>({
  while: isLost,
  times: 3
})

/** `own` is a connection that nobody else uses, and `shared` those that acknowledge while it waits. @internal */
export const consume = (
  runtime: Runtime,
  shared: Calls,
  own: Effect.Effect<Calls, HitlessError, Scope.Scope>,
  { claimAfter, consumer, count = 10, createFrom, group, stream }: Options
): Stream.Stream<Entry, HitlessError> =>
  Stream.unwrap(Effect.gen(function*() {
    const { run } = yield* own
    if (createFrom !== undefined) {
      yield* Effect.catchIf(
        again(run(xGroupCreate(stream, group, createFrom, { MKSTREAM: true }))),
        exists,
        () => Effect.void
      )
    }
    const idle = millis(claimAfter)
    let claimsAt = idle === Infinity ? Infinity : 0
    const others = (): Step => runtime.now() < claimsAt ? fresh : claimFromFirst
    let last = first

    const acknowledge = (...ids: ReadonlyArray<StreamId>): Command<number> => xAck(stream, group, ids)

    /** What is given out of what was read: what was deleted meanwhile has no message. */
    const given = (entries: ReadonlyArray<DeliveredEntry | null>): ReadonlyArray<Entry> =>
      entries.flatMap((entry) => {
        if (entry === null || entry.message === null) return []
        const { id, message } = entry
        last = later(id, last)
        return [{ id, message, ack: Effect.asVoid(again(shared.run(acknowledge(id)))) }]
      })

    const read = (behind: ">" | StreamId, wait: number | undefined) =>
      Effect.map(
        run(xReadGroup(group, consumer, { key: stream, id: behind }, { COUNT: count, BLOCK: wait })),
        (streams) => streams === null ? [] : streams[0].messages
      )

    const take = (step: Step): Effect.Effect<readonly [ReadonlyArray<Entry>, Step], HitlessError> => {
      switch (step._tag) {
        case "Own":
          return Effect.flatMap(read(step.behind, undefined), (messages) => {
            const deleted = messages.filter(({ message }) => message === null).map(({ id }) => id)
            const next = messages.length === 0 ? others() : ownBehind(messages[messages.length - 1].id)
            const forgotten = deleted.length === 0 ? Effect.void : run(acknowledge(...deleted))
            return Effect.map(forgotten, () => [given(messages), next])
          })
        case "Claim":
          return Effect.map(
            run(xAutoClaim(stream, group, consumer, idle, step.from, { COUNT: count })),
            ({ messages, nextId }) => {
              if (nextId === first) claimsAt = runtime.now() + idle
              const next: Step = nextId === first ? fresh : { _tag: "Claim", from: nextId }
              return [given(messages), next]
            }
          )
        case "New":
          return Effect.map(
            Effect.suspend(() => read(">", Math.max(1, claimsAt - runtime.now()))),
            (messages) => [given(messages), others()]
          )
      }
    }

    return Stream.paginate<Step, Entry, HitlessError>(ownBehind(first), (step) =>
      take(step).pipe(
        // What it was given may have been lost with the connection, and is behind all that was given out.
        Effect.catchIf(isLost, () => Effect.succeed([[], step._tag === "Own" ? step : ownBehind(last)] as const)),
        Effect.map(([entries, next]) => [entries, Option.some(next)])
      ))
  }))
