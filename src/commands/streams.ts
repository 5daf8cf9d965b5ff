/**
 * Commands of streams.
 *
 * Ids are text such as `"1526919030474-55"`; `"*"`, `"$"`, `"-"`, `"+"` and `"0"` are where Redis takes them.
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
import { integer, listOf, ok, recordOf, tuple } from "./decode.ts"
import { millis } from "./time.ts"

import {
  type Deletion,
  type DeletionPolicy,
  deletions,
  entry,
  entryOrNull,
  keysAfter,
  positionWords,
  readWords,
  type StreamEntries,
  type StreamEntry,
  type StreamId,
  streamId,
  streamIdOrNull,
  type StreamPosition,
  streamsOf,
  type XReadOptions
} from "./streamEntries.ts"

const entries = (reply: unknown): Array<StreamEntry> => listOf(reply, entry)

const streams = (reply: unknown): Array<StreamEntries> | null => streamsOf(reply, entry)

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

const deliveries = (reply: unknown) => listOf(reply, (one) => tuple(one, 3).with(0, streamId(tuple(one, 3)[0])))

const consumerDetails = (reply: unknown) =>
  recordOf(reply, (value, name) => name === "pending" ? deliveries(value) : value)

const groupDetails = (reply: unknown) =>
  recordOf(
    reply,
    (value, name) =>
      name === "pending" ? deliveries(value) : name === "consumers" ? listOf(value, consumerDetails) : value
  )

const streamDetails = (reply: unknown) =>
  recordOf(reply, (value, name) =>
    name === "entries"
      ? entries(value)
      : name === "groups"
      ? listOf(value, groupDetails)
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

const keysOfRead: KeysOf = (words) => keysAfter(words, 1)

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
