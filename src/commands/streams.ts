/**
 * Commands of streams and their consumer groups.
 *
 * Ids are text such as `"1526919030474-55"`; `"*"`, `"$"`, `">"`, `"-"`, `"+"` and `"0"` are where Redis takes them.
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
  type KeyValues,
  many,
  type OneOrMore,
  option,
  optional,
  pairs,
  read,
  secondKey,
  waiting,
  write
} from "./command.ts"
import { bit, blob, integer, integers, listOf, ok, pairsOf, record, recordOf, text, tuple } from "./decode.ts"
import { epochMillis, type Instant, millis, patienceMillis } from "./time.ts"

/**
 * The id of an entry.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamId = `${number}-${number}`

/**
 * An entry of a stream. A field that an entry has twice is read once, with its last value.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamEntry {
  readonly id: StreamId
  readonly message: Record<string, string>
  /** With `CLAIM`: since when it was delivered before, in milliseconds, and how often. */
  readonly millisElapsedFromDelivery?: number
  readonly deliveriesCounter?: number
}

/**
 * The entries that were read of one stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamEntries {
  readonly name: string
  readonly messages: Array<StreamEntry>
}

const streamId = (reply: unknown): StreamId => text(reply) as StreamId

const streamIdOrNull = (reply: unknown): StreamId | null => reply === null ? null : streamId(reply)

const streamIds = (reply: unknown): Array<StreamId> => listOf(reply, streamId)

const message = (reply: unknown): Record<string, string> => recordOf(reply, blob)

const entry = (reply: unknown): StreamEntry => {
  const [id, fields, elapsed, deliveries] = tuple(reply, 2)
  const read = { id: streamId(id), message: message(fields) }
  return deliveries === undefined
    ? read
    : { ...read, millisElapsedFromDelivery: integer(elapsed), deliveriesCounter: integer(deliveries) }
}

const entryOrNull = (reply: unknown): StreamEntry | null => reply === null ? null : entry(reply)

const entries = (reply: unknown): Array<StreamEntry> => listOf(reply, entry)

const entriesOrNulls = (reply: unknown): Array<StreamEntry | null> => listOf(reply, entryOrNull)

const streams = (reply: unknown): Array<StreamEntries> | null =>
  reply === null
    ? null
    : pairsOf(reply, (name, messages) => ({ name: name as string, messages: entries(messages) }))

/**
 * Acknowledges entries and gives how many were pending.
 *
 * @category streams
 * @since 0.1.0
 */
export const xAck = (key: Arg, group: Arg, ids: OneOrMore<Arg>): Command<number> =>
  write(["XACK", key, group, ...many(ids)], integer)

/**
 * What becomes of references in consumer groups when an entry is deleted: they stay, go too, or keep it until all have
 * acknowledged it.
 *
 * @category models
 * @since 0.1.0
 */
export type DeletionPolicy = "KEEPREF" | "DELREF" | "ACKED"

/**
 * What became of an entry: -1 there is none, 1 deleted, 2 acknowledged and kept for others.
 *
 * @category models
 * @since 0.1.0
 */
export type Deletion = -1 | 1 | 2

const deletions = integers as (reply: unknown) => Array<Deletion>

/**
 * Acknowledges entries and deletes them. Redis 8.2.
 *
 * @category streams
 * @since 0.1.0
 */
export const xAckDel = (
  key: Arg,
  group: Arg,
  ids: OneOrMore<Arg>,
  policy?: DeletionPolicy
): Command<Array<Deletion>> => write(["XACKDEL", key, group, ...optional(policy), "IDS", ...countOf(ids)], deletions)

/**
 * To what length, or from what id on, a stream is cut: exactly, or with `~` about that far, which costs less.
 *
 * @category models
 * @since 0.1.0
 */
export interface TrimOptions {
  readonly strategy: "MAXLEN" | "MINID"
  readonly strategyModifier?: "=" | "~" | undefined
  readonly threshold: number | string
  /** With `~`: how many entries are looked at most. */
  readonly limit?: number | undefined
  /** Redis 8.2. */
  readonly policy?: DeletionPolicy | undefined
}

/**
 * How `xAdd` adds an entry.
 *
 * @category models
 * @since 0.1.0
 */
export interface XAddOptions {
  readonly TRIM?: TrimOptions | undefined
  /** For the references to what is cut. Redis 8.2. */
  readonly policy?: DeletionPolicy | undefined
  /** Adds no entry that this producer has added with the same id, or content: see `xCfgSet`. Redis 8.6. */
  readonly IDMP?: { readonly pid: Arg; readonly iid: Arg } | undefined
  readonly IDMPAUTO?: { readonly pid: Arg } | undefined
}

const trimWords = (
  { limit, policy, strategy, strategyModifier, threshold }: TrimOptions
): ReadonlyArray<Arg> => [
  strategy,
  ...optional(strategyModifier),
  threshold,
  ...option("LIMIT", limit),
  ...optional(policy)
]

const addWords = (
  isMade: boolean,
  key: Arg,
  id: Arg,
  message: KeyValues,
  { IDMP, IDMPAUTO, TRIM, policy }: XAddOptions
): ReadonlyArray<Arg> => [
  "XADD",
  key,
  ...flag("NOMKSTREAM", !isMade),
  ...optional(policy),
  ...option("IDMPAUTO", IDMPAUTO?.pid),
  ...(IDMP === undefined ? [] : ["IDMP", IDMP.pid, IDMP.iid]),
  ...(TRIM === undefined ? [] : trimWords(TRIM)),
  id,
  ...pairs(message)
]

/**
 * Adds an entry and gives its id, which the server makes for `"*"`.
 *
 * @category streams
 * @since 0.1.0
 */
export const xAdd = (key: Arg, id: Arg, message: KeyValues, options: XAddOptions = {}): Command<StreamId> =>
  write(addWords(true, key, id, message, options), streamId)

/**
 * The same where there is a stream; `null` where there is none.
 *
 * @category streams
 * @since 0.1.0
 */
export const xAddNoMkStream = (
  key: Arg,
  id: Arg,
  message: KeyValues,
  options: XAddOptions = {}
): Command<StreamId | null> => write(addWords(false, key, id, message, options), streamIdOrNull)

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
 * @category streams
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
 * @category streams
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
 * @category streams
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
 * @category streams
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
 * How long, in whole seconds, and how many ids of producers a stream remembers for `IDMP`. It forgets those that it
 * has. Redis 8.6.
 *
 * @category streams
 * @since 0.1.0
 */
export const xCfgSet = (
  key: Arg,
  options: { readonly IDMP_DURATION?: Duration.Input | undefined; readonly IDMP_MAXSIZE?: number | undefined }
): Command<"OK"> =>
  write(
    [
      "XCFGSET",
      key,
      ...option(
        "IDMP-DURATION",
        options.IDMP_DURATION === undefined ? undefined : Math.ceil(millis(options.IDMP_DURATION) / 1000)
      ),
      ...option("IDMP-MAXSIZE", options.IDMP_MAXSIZE)
    ],
    ok
  )

/**
 * Deletes entries and gives how many there were. References in groups stay: see `xDelEx`.
 *
 * @category streams
 * @since 0.1.0
 */
export const xDel = (key: Arg, ids: OneOrMore<Arg>): Command<number> => write(["XDEL", key, ...many(ids)], integer)

/**
 * Deletes entries, with what becomes of references in groups. Redis 8.2.
 *
 * @category streams
 * @since 0.1.0
 */
export const xDelEx = (key: Arg, ids: OneOrMore<Arg>, policy?: DeletionPolicy): Command<Array<Deletion>> =>
  write(["XDELEX", key, ...optional(policy), "IDS", ...countOf(ids)], deletions)

/**
 * Makes a group that begins behind an id, `"$"` for what comes from now on; an error without the stream unless
 * `MKSTREAM` is set.
 *
 * @category streams
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
 * @category streams
 * @since 0.1.0
 */
export const xGroupCreateConsumer = (key: Arg, group: Arg, consumer: Arg): Command<0 | 1> =>
  write(["XGROUP", "CREATECONSUMER", key, group, consumer], bit, secondKey)

/**
 * Deletes a consumer and gives how many entries were pending, which nobody can claim any more.
 *
 * @category streams
 * @since 0.1.0
 */
export const xGroupDelConsumer = (key: Arg, group: Arg, consumer: Arg): Command<number> =>
  write(["XGROUP", "DELCONSUMER", key, group, consumer], integer, secondKey)

/**
 * Deletes a group with all that is pending.
 *
 * @category streams
 * @since 0.1.0
 */
export const xGroupDestroy = (key: Arg, group: Arg): Command<0 | 1> =>
  write(["XGROUP", "DESTROY", key, group], bit, secondKey)

/**
 * Lets a group go on behind another id.
 *
 * @category streams
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
 * A stream, with its first and its last entry.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamInfo {
  readonly length: number
  readonly "radix-tree-keys": number
  readonly "radix-tree-nodes": number
  readonly "last-generated-id": string
  readonly "max-deleted-entry-id": string
  readonly "entries-added": number
  readonly "recorded-first-entry-id": string
  readonly groups: number
  readonly "first-entry": StreamEntry | null
  readonly "last-entry": StreamEntry | null
}

const records = (reply: unknown) => listOf(reply, record)

/**
 * The consumers of a group.
 *
 * @category streams
 * @since 0.1.0
 */
export const xInfoConsumers = (key: Arg, group: Arg): Command<Array<ConsumerInfo>> =>
  read(["XINFO", "CONSUMERS", key, group], records as (reply: unknown) => Array<never>, secondKey)

/**
 * The groups of a stream.
 *
 * @category streams
 * @since 0.1.0
 */
export const xInfoGroups = (key: Arg): Command<Array<GroupInfo>> =>
  read(["XINFO", "GROUPS", key], records as (reply: unknown) => Array<never>, secondKey)

const streamInfo = (reply: unknown) =>
  recordOf(reply, (value, name) => name === "first-entry" || name === "last-entry" ? entryOrNull(value) : value)

/**
 * A stream with what is in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamDetails {
  readonly length: number
  readonly "last-generated-id": string
  readonly entries: Array<StreamEntry>
  readonly groups: Array<{
    readonly name: string
    readonly "last-delivered-id": string
    readonly "pel-count": number
    readonly pending: Array<readonly [id: StreamId, consumer: string, deliveredAt: number, deliveries: number]>
    readonly consumers: Array<{
      readonly name: string
      readonly "seen-time": number
      readonly "pel-count": number
      readonly pending: Array<readonly [id: StreamId, deliveredAt: number, deliveries: number]>
    }>
  }>
}

const streamDetails = (reply: unknown) =>
  recordOf(reply, (value, name) =>
    name === "entries"
      ? entries(value)
      : name === "groups"
      ? listOf(value, (group) => recordOf(group, (value, name) => name === "consumers" ? records(value) : value))
      : value)

/**
 * What is known about a stream.
 *
 * @category streams
 * @since 0.1.0
 */
export const xInfoStream = (key: Arg): Command<StreamInfo> =>
  read(["XINFO", "STREAM", key], streamInfo as (reply: unknown) => never, secondKey)

/**
 * The same with `FULL`: its entries, its groups, and their consumers and pending entries, by the server's own names
 * and with times in milliseconds. 10 of each unless `COUNT` says how many, all at 0.
 *
 * @category streams
 * @since 0.1.0
 */
export const xInfoStreamFull = (
  key: Arg,
  options: { readonly COUNT?: number | undefined } = {}
): Command<StreamDetails> =>
  read(
    ["XINFO", "STREAM", key, "FULL", ...option("COUNT", options.COUNT)],
    streamDetails as (reply: unknown) => never,
    secondKey
  )

/**
 * How many entries a stream has.
 *
 * @category streams
 * @since 0.1.0
 */
export const xLen = (key: Arg): Command<number> => read(["XLEN", key], integer)

/**
 * Gives entries back to the group, for whom it may concern: without counting the delivery, with it, or as never to be
 * delivered again. Redis 8.8.
 *
 * @category streams
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
 * @category streams
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
 * @category streams
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
 * Entries by their ids, both ends included; `"(…"` leaves an end out.
 *
 * @category streams
 * @since 0.1.0
 */
export const xRange = (
  key: Arg,
  start: Arg,
  end: Arg,
  options: { readonly COUNT?: number | undefined } = {}
): Command<Array<StreamEntry>> => read(["XRANGE", key, start, end, ...option("COUNT", options.COUNT)], entries)

/**
 * The same from the last to the first: `end` comes before `start`.
 *
 * @category streams
 * @since 0.1.0
 */
export const xRevRange = (
  key: Arg,
  end: Arg,
  start: Arg,
  options: { readonly COUNT?: number | undefined } = {}
): Command<Array<StreamEntry>> => read(["XREVRANGE", key, end, start, ...option("COUNT", options.COUNT)], entries)

/**
 * A stream, and behind which id it is read.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamPosition {
  readonly key: Arg
  readonly id: Arg
}

/**
 * How much is read at once, and how long it is waited for.
 *
 * @category models
 * @since 0.1.0
 */
export interface XReadOptions {
  /** Entries of each stream. */
  readonly COUNT?: number | undefined
  /** Entries, and bytes, of all streams together. Redis 8.10. */
  readonly MAXCOUNT?: number | undefined
  readonly MAXSIZE?: number | undefined
  /** Waits for an entry: so long, or at 0 without end. */
  readonly BLOCK?: Duration.Input | undefined
}

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

const positions = (of: OneOrMore<StreamPosition>): ReadonlyArray<StreamPosition> =>
  Array.isArray(of) ? of : [of as StreamPosition]

const positionWords = (of: OneOrMore<StreamPosition>): ReadonlyArray<Arg> => [
  "STREAMS",
  ...positions(of).map(({ key }) => key),
  ...positions(of).map(({ id }) => id)
]

/** Behind `STREAMS` are keys, and then as many ids. Names of groups can be spelled alike, so options are passed over. */
const keysAfter = (words: ReadonlyArray<Arg>, options: number): ReadonlyArray<Arg> => {
  const at = words.indexOf("STREAMS", options) + 1
  return words.slice(at, at + (words.length - at) / 2)
}

const keysOfRead: KeysOf = (words) => keysAfter(words, 1)
const keysOfReadGroup: KeysOf = (words) => keysAfter(words, 4)

const readWords = ({ BLOCK, COUNT, MAXCOUNT, MAXSIZE }: XReadOptions): ReadonlyArray<Arg> => [
  ...option("COUNT", COUNT),
  ...option("MAXCOUNT", MAXCOUNT),
  ...option("MAXSIZE", MAXSIZE),
  ...option("BLOCK", BLOCK === undefined ? undefined : patienceMillis(BLOCK))
]

/**
 * Entries of streams behind an id, `"$"` for what comes from now on; `null` where there are none. With `BLOCK` it
 * waits.
 *
 * @category streams
 * @since 0.1.0
 */
export const xRead = (
  of: OneOrMore<StreamPosition>,
  options: XReadOptions = {}
): Command<Array<StreamEntries> | null> => {
  const words = ["XREAD", ...readWords(options), ...positionWords(of)]
  return options.BLOCK === undefined
    ? read(words, streams, keysOfRead)
    : waiting(words, streams, keysOfRead, true)
}

/**
 * Entries for a consumer of a group: at `">"` those that nobody has yet, behind an id those that are its own and not
 * acknowledged. With `BLOCK` it waits.
 *
 * @category streams
 * @since 0.1.0
 */
export const xReadGroup = (
  group: Arg,
  consumer: Arg,
  of: OneOrMore<StreamPosition>,
  options: XReadGroupOptions = {}
): Command<Array<StreamEntries> | null> => {
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
    ? write(words, streams, keysOfReadGroup)
    : waiting(words, streams, keysOfReadGroup)
}

/**
 * Sets the last id of a stream, as replication does.
 *
 * @category streams
 * @since 0.1.0
 */
export const xSetId = (
  key: Arg,
  lastId: Arg,
  options: { readonly ENTRIESADDED?: number | undefined; readonly MAXDELETEDID?: Arg | undefined } = {}
): Command<"OK"> =>
  write(
    [
      "XSETID",
      key,
      lastId,
      ...option("ENTRIESADDED", options.ENTRIESADDED),
      ...option("MAXDELETEDID", options.MAXDELETEDID)
    ],
    ok
  )

/**
 * How `xTrim` cuts: see `TrimOptions`.
 *
 * @category models
 * @since 0.1.0
 */
export interface XTrimOptions {
  readonly strategyModifier?: "=" | "~" | undefined
  readonly LIMIT?: number | undefined
  readonly policy?: DeletionPolicy | undefined
}

/**
 * Cuts a stream to a length, or from an id on, and gives how many entries are gone.
 *
 * @category streams
 * @since 0.1.0
 */
export const xTrim = (
  key: Arg,
  strategy: "MAXLEN" | "MINID",
  threshold: number | string,
  { LIMIT: limit, policy, strategyModifier }: XTrimOptions = {}
): Command<number> =>
  write(["XTRIM", key, ...trimWords({ strategy, strategyModifier, threshold, limit, policy })], integer)
