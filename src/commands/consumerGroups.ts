/**
 * Commands of the consumer groups of streams.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  type Command,
  countOf,
  flag,
  type KeysOf,
  many,
  type OneOrMore,
  option,
  optional,
  read,
  secondKey,
  waiting,
  write
} from "./command.ts"
import { bit, integer, listOf, ok, pairsOf, text, tuple } from "./decode.ts"
import { epochMillis, type Instant, millis } from "./time.ts"

import {
  type Deletion,
  type DeletionPolicy,
  deletions,
  entryOrNull,
  keysAfter,
  message,
  positionWords,
  readWords,
  records,
  type StreamEntries,
  type StreamEntry,
  type StreamId,
  streamId,
  streamIdOrNull,
  streamIds,
  type StreamPosition,
  streamsOf,
  type XReadOptions
} from "./streamEntries.ts"

/**
 * An entry that a consumer was given.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeliveredEntry {
  readonly id: StreamId
  /** `null` for one of its own that was deleted meanwhile. */
  readonly message: Record<string, string> | null
  /** With `CLAIM`: since when it was delivered before, in milliseconds, and how often. */
  readonly millisElapsedFromDelivery?: number
  readonly deliveriesCounter?: number
}

const delivered = (reply: unknown): DeliveredEntry => {
  const [id, fields, elapsed, deliveries] = tuple(reply, 2)
  const read = { id: streamId(id), message: fields === null ? null : message(fields) }
  return deliveries === undefined
    ? read
    : { ...read, millisElapsedFromDelivery: integer(elapsed), deliveriesCounter: integer(deliveries) }
}

const entriesOrNulls = (reply: unknown): Array<StreamEntry | null> => listOf(reply, entryOrNull)

const deliveredStreams = (reply: unknown): Array<StreamEntries<DeliveredEntry>> | null => streamsOf(reply, delivered)

/**
 * Acknowledges entries and gives how many were pending.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xAck = (key: Arg, group: Arg, ids: OneOrMore<Arg>): Command<number> =>
  write(["XACK", key, group, ...many(ids)], integer)

/**
 * Acknowledges entries and deletes them. Redis 8.2.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xAckDel = (
  key: Arg,
  group: Arg,
  ids: OneOrMore<Arg>,
  policy?: DeletionPolicy
): Command<Array<Deletion>> => write(["XACKDEL", key, group, ...optional(policy), "IDS", ...countOf(ids)], deletions)

/**
 * What `xAutoClaim` gives: where it goes on, what was claimed, and what was pending and is deleted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claimed<Message> {
  readonly nextId: StreamId
  readonly messages: Array<Message>
  /** Empty before Redis 7.0. */
  readonly deletedMessages: Array<StreamId>
}

const claimed = <Message>(messages: (reply: unknown) => Array<Message>) => (reply: unknown): Claimed<Message> => {
  const [next, found, deleted] = tuple(reply, 2)
  return {
    nextId: streamId(next),
    messages: messages(found),
    deletedMessages: deleted === undefined ? [] : streamIds(deleted)
  }
}

const autoClaimWords = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  start: Arg,
  count: number | undefined
): ReadonlyArray<Arg> => [
  "XAUTOCLAIM",
  key,
  group,
  consumer,
  millis(minIdleTime),
  start,
  ...option("COUNT", count)
]

/**
 * Takes over entries that others have kept for so long, from an id on; goes on at `nextId`, and is through at `"0-0"`.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xAutoClaim = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  start: Arg,
  options: { readonly COUNT?: number | undefined } = {}
): Command<Claimed<StreamEntry | null>> =>
  write(
    autoClaimWords(key, group, consumer, minIdleTime, start, options.COUNT),
    (reply) => claimed(entriesOrNulls)(reply)
  )

/**
 * The same for the ids alone, which does not count as a delivery.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xAutoClaimJustId = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  start: Arg,
  options: { readonly COUNT?: number | undefined } = {}
): Command<Claimed<StreamId>> =>
  write(
    [...autoClaimWords(key, group, consumer, minIdleTime, start, options.COUNT), "JUSTID"],
    (reply) => claimed(streamIds)(reply)
  )

/**
 * How `xClaim` changes entries: for how long they count as idle, since when, how often delivered; `FORCE` also where
 * they are not pending.
 *
 * @category models
 * @since 0.1.0
 */
export interface XClaimOptions {
  readonly IDLE?: Duration.Input | undefined
  readonly TIME?: Instant | undefined
  readonly RETRYCOUNT?: number | undefined
  readonly FORCE?: boolean | undefined
  readonly LASTID?: Arg | undefined
}

const claimWords = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  ids: OneOrMore<Arg>,
  { FORCE, IDLE, LASTID, RETRYCOUNT, TIME }: XClaimOptions
): ReadonlyArray<Arg> => [
  "XCLAIM",
  key,
  group,
  consumer,
  millis(minIdleTime),
  ...many(ids),
  ...option("IDLE", IDLE === undefined ? undefined : millis(IDLE)),
  ...option("TIME", TIME === undefined ? undefined : epochMillis(TIME)),
  ...option("RETRYCOUNT", RETRYCOUNT),
  ...flag("FORCE", FORCE),
  ...option("LASTID", LASTID)
]

/**
 * Takes over these entries, of those that others have kept for so long.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xClaim = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  ids: OneOrMore<Arg>,
  options: XClaimOptions = {}
): Command<Array<StreamEntry | null>> =>
  write(claimWords(key, group, consumer, minIdleTime, ids, options), entriesOrNulls)

/**
 * The same for the ids alone, which does not count as a delivery.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xClaimJustId = (
  key: Arg,
  group: Arg,
  consumer: Arg,
  minIdleTime: Duration.Input,
  ids: OneOrMore<Arg>,
  options: XClaimOptions = {}
): Command<Array<StreamId>> =>
  write([...claimWords(key, group, consumer, minIdleTime, ids, options), "JUSTID"], streamIds)

/**
 * Makes a group that begins behind an id, `"$"` for what comes from now on; an error without the stream unless
 * `MKSTREAM` is set.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xGroupCreate = (
  key: Arg,
  group: Arg,
  id: Arg,
  options: { readonly MKSTREAM?: boolean | undefined; readonly ENTRIESREAD?: number | undefined } = {}
): Command<"OK"> =>
  write(
    [
      "XGROUP",
      "CREATE",
      key,
      group,
      id,
      ...flag("MKSTREAM", options.MKSTREAM),
      ...option("ENTRIESREAD", options.ENTRIESREAD)
    ],
    ok,
    secondKey
  )

/**
 * Makes a consumer, as reading does too; 0 where there is one.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xGroupCreateConsumer = (key: Arg, group: Arg, consumer: Arg): Command<0 | 1> =>
  write(["XGROUP", "CREATECONSUMER", key, group, consumer], bit, secondKey)

/**
 * Deletes a consumer and gives how many entries were pending, which nobody can claim any more.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xGroupDelConsumer = (key: Arg, group: Arg, consumer: Arg): Command<number> =>
  write(["XGROUP", "DELCONSUMER", key, group, consumer], integer, secondKey)

/**
 * Deletes a group with all that is pending.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xGroupDestroy = (key: Arg, group: Arg): Command<0 | 1> =>
  write(["XGROUP", "DESTROY", key, group], bit, secondKey)

/**
 * Lets a group go on behind another id.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xGroupSetId = (
  key: Arg,
  group: Arg,
  id: Arg,
  options: { readonly ENTRIESREAD?: number | undefined } = {}
): Command<"OK"> =>
  write(["XGROUP", "SETID", key, group, id, ...option("ENTRIESREAD", options.ENTRIESREAD)], ok, secondKey)

/**
 * A consumer of a group, times in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsumerInfo {
  readonly name: string
  readonly pending: number
  /** Since it last tried to read. */
  readonly idle: number
  /** Since it last read something; -1 for never. Redis 7.2. */
  readonly inactive?: number
}

/**
 * A consumer group.
 *
 * @category models
 * @since 0.1.0
 */
export interface GroupInfo {
  readonly name: string
  readonly consumers: number
  readonly pending: number
  readonly "last-delivered-id": string
  readonly "entries-read": number | null
  readonly lag: number | null
}

/**
 * The consumers of a group.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xInfoConsumers = (key: Arg, group: Arg): Command<Array<ConsumerInfo>> =>
  read(["XINFO", "CONSUMERS", key, group], records as (reply: unknown) => Array<never>, secondKey)

/**
 * The groups of a stream.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xInfoGroups = (key: Arg): Command<Array<GroupInfo>> =>
  read(["XINFO", "GROUPS", key], records as (reply: unknown) => Array<never>, secondKey)

/**
 * Gives entries back to the group, for whom it may concern: without counting the delivery, with it, or as never to be
 * delivered again. Redis 8.8.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xNack = (
  key: Arg,
  group: Arg,
  mode: "SILENT" | "FAIL" | "FATAL",
  ids: OneOrMore<Arg>,
  options: { readonly RETRYCOUNT?: number | undefined; readonly FORCE?: boolean | undefined } = {}
): Command<number> =>
  write(
    [
      "XNACK",
      key,
      group,
      mode,
      "IDS",
      ...countOf(ids),
      ...option("RETRYCOUNT", options.RETRYCOUNT),
      ...flag("FORCE", options.FORCE)
    ],
    integer
  )

/**
 * What is pending in a group, and with whom.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pending {
  readonly pending: number
  readonly firstId: StreamId | null
  readonly lastId: StreamId | null
  readonly consumers: Array<{ readonly name: string; readonly deliveriesCounter: number }> | null
}

const pending = (reply: unknown): Pending => {
  const [count, first, last, consumers] = tuple(reply, 4)
  return {
    pending: integer(count),
    firstId: streamIdOrNull(first),
    lastId: streamIdOrNull(last),
    consumers: consumers === null
      ? null
      : pairsOf(consumers, (name, count) => ({ name: name as string, deliveriesCounter: Number(text(count)) }))
  }
}

/**
 * How much is pending in a group, and with whom.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xPending = (key: Arg, group: Arg): Command<Pending> => read(["XPENDING", key, group], pending)

/**
 * One entry that is pending.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingEntry {
  readonly id: StreamId
  readonly consumer: string
  readonly millisecondsSinceLastDelivery: number
  readonly deliveriesCounter: number
}

const pendingEntries = (reply: unknown): Array<PendingEntry> =>
  listOf(reply, (one) => {
    const [id, consumer, since, deliveries] = tuple(one, 4)
    return {
      id: streamId(id),
      consumer: consumer as string,
      millisecondsSinceLastDelivery: integer(since),
      deliveriesCounter: integer(deliveries)
    }
  })

/**
 * Which entries are pending, of all consumers or of one.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xPendingRange = (
  key: Arg,
  group: Arg,
  start: Arg,
  end: Arg,
  count: number,
  options: { readonly IDLE?: Duration.Input | undefined; readonly consumer?: Arg | undefined } = {}
): Command<Array<PendingEntry>> =>
  read(
    [
      "XPENDING",
      key,
      group,
      ...option("IDLE", options.IDLE === undefined ? undefined : millis(options.IDLE)),
      start,
      end,
      count,
      ...optional(options.consumer)
    ],
    pendingEntries
  )

/**
 * How a consumer of a group reads.
 *
 * @category models
 * @since 0.1.0
 */
export interface XReadGroupOptions extends XReadOptions {
  /** Takes over what others have kept for so long, too. Redis 8.4. */
  readonly CLAIM?: Duration.Input | undefined
  /** What is read is acknowledged at once. */
  readonly NOACK?: boolean | undefined
}

const keysOfReadGroup: KeysOf = (words) => keysAfter(words, 4)

/**
 * Entries for a consumer of a group: at `">"` those that nobody has yet, behind an id those that are its own and not
 * acknowledged. With `BLOCK` it waits.
 *
 * @category consumerGroups
 * @since 0.1.0
 */
export const xReadGroup = (
  group: Arg,
  consumer: Arg,
  of: OneOrMore<StreamPosition>,
  options: XReadGroupOptions = {}
): Command<Array<StreamEntries<DeliveredEntry>> | null> => {
  const words = [
    "XREADGROUP",
    "GROUP",
    group,
    consumer,
    ...readWords(options),
    ...option("CLAIM", options.CLAIM === undefined ? undefined : millis(options.CLAIM)),
    ...flag("NOACK", options.NOACK),
    ...positionWords(of)
  ]
  return options.BLOCK === undefined
    ? write(words, deliveredStreams, keysOfReadGroup)
    : waiting(words, deliveredStreams, keysOfReadGroup)
}
