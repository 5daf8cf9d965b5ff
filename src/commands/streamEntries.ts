/**
 * What commands of streams and of consumer groups share.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import { type OneOrMore, option } from "./command.ts"
import { blob, integers, listOf, ownText, pairsOf, record, recordOf, type Text, text, tuple } from "./decode.ts"
import { patienceMillis } from "./time.ts"

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
}

/**
 * The entries that were read of one stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamEntries<Entry = StreamEntry> {
  /** The key, which must be UTF-8. */
  readonly name: Text
  readonly messages: Array<Entry>
}

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

/** @internal */
export const streamId = (reply: unknown): StreamId => text(reply) as StreamId

/** @internal */
export const streamIdOrNull = (reply: unknown): StreamId | null => reply === null ? null : streamId(reply)

/** @internal */
export const streamIds = (reply: unknown): Array<StreamId> => listOf(reply, streamId)

/** @internal */
export const message = (reply: unknown): Record<string, string> => recordOf(reply, blob)

/** @internal */
export const entry = (reply: unknown): StreamEntry => {
  const [id, fields] = tuple(reply, 2)
  return { id: streamId(id), message: message(fields) }
}

/** @internal */
export const entryOrNull = (reply: unknown): StreamEntry | null => reply === null ? null : entry(reply)

/** @internal */
export const streamsOf = <Entry>(
  reply: unknown,
  entry: (reply: unknown) => Entry
): Array<StreamEntries<Entry>> | null =>
  reply === null
    ? null
    : pairsOf(reply, (name, messages) => ({ name: ownText(name), messages: listOf(messages, entry) }))

/** @internal */
export const deletions = integers as (reply: unknown) => Array<Deletion>

/** @internal */
export const records = (reply: unknown) => listOf(reply, record)

/** @internal */
export const positions = (of: OneOrMore<StreamPosition>): ReadonlyArray<StreamPosition> =>
  Array.isArray(of) ? of : [of as StreamPosition]

/** @internal */
export const positionWords = (of: OneOrMore<StreamPosition>): ReadonlyArray<Arg> => [
  "STREAMS",
  ...positions(of).map(({ key }) => key),
  ...positions(of).map(({ id }) => id)
]

/**
 * Behind `STREAMS` are keys, and then as many ids. Names of groups can be spelled alike, so options are passed over.
 *
 * @internal
 */
export const keysAfter = (words: ReadonlyArray<Arg>, options: number): ReadonlyArray<Arg> => {
  const at = words.indexOf("STREAMS", options) + 1
  return words.slice(at, at + (words.length - at) / 2)
}

/** @internal */
export const readWords = ({ BLOCK, COUNT, MAXCOUNT, MAXSIZE }: XReadOptions): ReadonlyArray<Arg> => [
  ...option("COUNT", COUNT),
  ...option("MAXCOUNT", MAXCOUNT),
  ...option("MAXSIZE", MAXSIZE),
  ...option("BLOCK", BLOCK === undefined ? undefined : patienceMillis(BLOCK))
]
