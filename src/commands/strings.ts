/**
 * Commands of strings: values, counters, and parts of them.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  allKeys,
  type Command,
  double as scalar,
  firstTwoKeys,
  flag,
  type KeysOf,
  type KeyValues,
  many,
  type OneOrMore,
  option,
  optional,
  pairs,
  read,
  write
} from "./command.ts"
import { bit, blob, blobOrNull, double, integer, nullableBlobs, ok, okOrNull, record, tuple } from "./decode.ts"
import { type Expiration, expiringOr, millis } from "./time.ts"

const pairedKeys: KeysOf = (words) => words.filter((_, index) => index % 2 === 1)

const countedPairs: KeysOf = (words) => words.slice(2, 2 + 2 * Number(words[1])).filter((_, index) => index % 2 === 0)

/**
 * Appends to a value, or makes it, and gives its new length. The memory of a string that grows is doubled in advance.
 *
 * @category strings
 * @since 0.1.0
 */
export const append = (key: Arg, value: Arg): Command<number> => write(["APPEND", key, value], integer)

/**
 * Takes 1 from a counter and gives what is left. A result beyond 2^53 is an `UnexpectedReply`.
 *
 * @category strings
 * @since 0.1.0
 */
export const decr = (key: Arg): Command<number> => write(["DECR", key], integer)

/**
 * Takes an integer from a counter and gives what is left. A result beyond 2^53 is an `UnexpectedReply`.
 *
 * @category strings
 * @since 0.1.0
 */
export const decrBy = (key: Arg, decrement: number | bigint): Command<number> =>
  write(["DECRBY", key, decrement], integer)

/**
 * Deletes a key if its value, or the digest of its value, is or is not what is given. Redis 8.4.
 *
 * @category strings
 * @since 0.1.0
 */
export const delEx = (
  key: Arg,
  options?: { readonly condition: "IFEQ" | "IFNE" | "IFDEQ" | "IFDNE"; readonly matchValue: Arg }
): Command<0 | 1> =>
  write(["DELEX", key, ...(options === undefined ? [] : [options.condition, options.matchValue])], bit)

/**
 * A hash of a value in hexadecimal, for `IFDEQ` and `IFDNE`; `null` without a value. O(n) in its length. Redis 8.4.
 *
 * @category strings
 * @since 0.1.0
 */
export const digest = (key: Arg): Command<string | null> => read(["DIGEST", key], blobOrNull)

/**
 * The value of a key; `null` without one.
 *
 * @category strings
 * @since 0.1.0
 */
export const get = (key: Arg): Command<string | null> => read(["GET", key], blobOrNull)

/**
 * Reads a value and deletes its key.
 *
 * @category strings
 * @since 0.1.0
 */
export const getDel = (key: Arg): Command<string | null> => write(["GETDEL", key], blobOrNull)

/**
 * Reads a value and says when it expires; `"PERSIST"` keeps it for ever.
 *
 * @category strings
 * @since 0.1.0
 */
export const getEx = (key: Arg, expiration: Expiration | "PERSIST"): Command<string | null> =>
  write(["GETEX", key, ...expiringOr("PERSIST", expiration)], blobOrNull)

/**
 * Part of a value, both ends included; below zero they count from the end. Without a value it is empty.
 *
 * @category strings
 * @since 0.1.0
 */
export const getRange = (key: Arg, start: number, end: number): Command<string> =>
  read(["GETRANGE", key, start, end], blob)

/**
 * Sets a value and gives the one before. It ends an expiration; `set` with `GET` can keep it.
 *
 * @category strings
 * @since 0.1.0
 */
export const getSet = (key: Arg, value: Arg): Command<string | null> => write(["GETSET", key, value], blobOrNull)

/**
 * Adds 1 to a counter and gives the result, beyond 2^53 an `UnexpectedReply`.
 *
 * @category strings
 * @since 0.1.0
 */
export const incr = (key: Arg): Command<number> => write(["INCR", key], integer)

/**
 * Adds an integer to a counter and gives the result, beyond 2^53 an `UnexpectedReply`.
 *
 * @category strings
 * @since 0.1.0
 */
export const incrBy = (key: Arg, increment: number | bigint): Command<number> =>
  write(["INCRBY", key, increment], integer)

/**
 * Adds a number to a value and gives the result as Redis writes it, which may have more digits than a `number`.
 *
 * @category strings
 * @since 0.1.0
 */
export const incrByFloat = (key: Arg, increment: number): Command<string> =>
  write(["INCRBYFLOAT", key, increment], blob)

/**
 * Bounds and expiration of a counter of `increx`.
 *
 * @category models
 * @since 0.1.0
 */
export interface IncrExOptions {
  readonly lowerBound?: number | bigint | undefined
  readonly upperBound?: number | bigint | undefined
  /** Stop at the bound, instead of refusing what would go beyond it. */
  readonly saturate?: boolean | undefined
  readonly expiration?: Expiration | "PERSIST" | undefined
  /** Expire only what does not expire yet. */
  readonly ENX?: boolean | undefined
}

const incrExWords = (
  { ENX, expiration, lowerBound, saturate, upperBound }: IncrExOptions
): ReadonlyArray<Arg> => [
  ...option("LBOUND", lowerBound === undefined ? undefined : scalar(lowerBound)),
  ...option("UBOUND", upperBound === undefined ? undefined : scalar(upperBound)),
  ...flag("SATURATE", saturate),
  ...expiringOr("PERSIST", expiration),
  ...flag("ENX", ENX)
]

const incremented = (reply: unknown): [value: number, added: number] => {
  const [value, added] = tuple(reply, 2)
  return [double(value), double(added)]
}

/**
 * Adds to a counter with bounds, and gives the value and what was added. Redis 8.8.
 *
 * @category strings
 * @since 0.1.0
 */
export const increx = (
  key: Arg,
  options: IncrExOptions & { readonly by?: number | bigint | undefined } = {}
): Command<[value: number, added: number]> =>
  write(["INCREX", key, ...option("BYINT", options.by), ...incrExWords(options)], incremented)

/**
 * The same for numbers that are no integers. Redis 8.8.
 *
 * @category strings
 * @since 0.1.0
 */
export const incrExByFloat = (
  key: Arg,
  by: number,
  options: IncrExOptions = {}
): Command<[value: number, added: number]> =>
  write(["INCREX", key, "BYFLOAT", scalar(by), ...incrExWords(options)], incremented)

/**
 * The longest text that two values have in common, with gaps. O(n × m) in their lengths.
 *
 * @category strings
 * @since 0.1.0
 */
export const lcs = (key1: Arg, key2: Arg): Command<string> => read(["LCS", key1, key2], blob, firstTwoKeys)

/**
 * How long that text is. O(n × m).
 *
 * @category strings
 * @since 0.1.0
 */
export const lcsLen = (key1: Arg, key2: Arg): Command<number> => read(["LCS", key1, key2, "LEN"], integer, firstTwoKeys)

/**
 * Where a match is: its first and last index, both included.
 *
 * @category models
 * @since 0.1.0
 */
export type LcsRange = readonly [start: number, end: number]

/**
 * What `lcsIdx` gives.
 *
 * @category models
 * @since 0.1.0
 */
export interface LcsMatches<Match> {
  /** From the last to the first. */
  readonly matches: ReadonlyArray<Match>
  readonly len: number
}

const lcsMatches = record as (reply: unknown) => never

/**
 * Where the parts of that text stand in both values. O(n × m).
 *
 * @category strings
 * @since 0.1.0
 */
export const lcsIdx = (
  key1: Arg,
  key2: Arg,
  options: { readonly MINMATCHLEN?: number | undefined } = {}
): Command<LcsMatches<readonly [key1: LcsRange, key2: LcsRange]>> =>
  read(["LCS", key1, key2, "IDX", ...option("MINMATCHLEN", options.MINMATCHLEN)], lcsMatches, firstTwoKeys)

/**
 * The same, each with its length. O(n × m).
 *
 * @category strings
 * @since 0.1.0
 */
export const lcsIdxWithMatchLen = (
  key1: Arg,
  key2: Arg,
  options: { readonly MINMATCHLEN?: number | undefined } = {}
): Command<LcsMatches<readonly [key1: LcsRange, key2: LcsRange, length: number]>> =>
  read(
    ["LCS", key1, key2, "IDX", ...option("MINMATCHLEN", options.MINMATCHLEN), "WITHMATCHLEN"],
    lcsMatches,
    firstTwoKeys
  )

/**
 * The values of keys, in their order; `null` where there is none, or no string.
 *
 * @category strings
 * @since 0.1.0
 */
export const mGet = (keys: OneOrMore<Arg>): Command<Array<string | null>> =>
  read(["MGET", ...many(keys)], nullableBlobs, allKeys)

/**
 * Sets values, all at once. It ends their expirations.
 *
 * @category strings
 * @since 0.1.0
 */
export const mSet = (values: KeyValues): Command<"OK"> => write(["MSET", ...pairs(values)], ok, pairedKeys)

/**
 * Sets values with one expiration, all or, where `mode` is not met by every key, none of them. Redis 8.4.
 *
 * @category strings
 * @since 0.1.0
 */
export const mSetEx = (
  values: KeyValues,
  options: { readonly expiration?: Expiration | "KEEPTTL" | undefined; readonly mode?: "NX" | "XX" | undefined } = {}
): Command<0 | 1> => {
  const words = pairs(values)
  return write(
    ["MSETEX", words.length / 2, ...words, ...optional(options.mode), ...expiringOr("KEEPTTL", options.expiration)],
    bit,
    countedPairs
  )
}

/**
 * Sets values if none of the keys has one: all or nothing.
 *
 * @category strings
 * @since 0.1.0
 */
export const mSetNX = (values: KeyValues): Command<0 | 1> => write(["MSETNX", ...pairs(values)], bit, pairedKeys)

/**
 * `set` with an expiration in milliseconds.
 *
 * @category strings
 * @since 0.1.0
 */
export const pSetEx = (key: Arg, expiration: Duration.Input, value: Arg): Command<"OK"> =>
  write(["PSETEX", key, millis(expiration), value], ok)

/**
 * When a value of `set` expires, and whether it is set at all.
 *
 * @category models
 * @since 0.1.0
 */
export type SetOptions =
  & {
    /** From now on, or when; `"KEEPTTL"` leaves it as it is. Without, the value does not expire, whatever was before. */
    readonly expiration?: Expiration | "KEEPTTL" | undefined
    /** Whether to give the value from before. */
    readonly GET?: boolean | undefined
  }
  & (
    | {
      /** `NX`: only without a value; `XX`: only where there is one. */
      readonly condition?: "NX" | "XX" | undefined
      readonly matchValue?: undefined
    }
    | {
      /**
       * Only if the value (`IFEQ`, `IFNE`), or its digest (`IFDEQ`, `IFDNE`), is or is not `matchValue`. Redis 8.4, and
       * `IFEQ` Valkey 8.1.
       */
      readonly condition: "IFEQ" | "IFNE" | "IFDEQ" | "IFDNE"
      readonly matchValue: Arg
    }
  )

/**
 * Sets a value; `null` where the condition was not met. With `GET` it gives the value from before, which says nothing
 * about whether it was set.
 *
 * @category strings
 * @since 0.1.0
 */
export const set: {
  (key: Arg, value: Arg, options: SetOptions & { readonly GET: true }): Command<string | null>
  (key: Arg, value: Arg, options?: SetOptions & { readonly GET?: false | undefined }): Command<"OK" | null>
  (key: Arg, value: Arg, options?: SetOptions): Command<string | null>
} = (key: Arg, value: Arg, options?: SetOptions): Command<never> =>
  write(
    options === undefined ? ["SET", key, value] : [
      "SET",
      key,
      value,
      ...expiringOr("KEEPTTL", options.expiration),
      ...optional(options.condition),
      ...optional(options.matchValue),
      ...flag("GET", options.GET)
    ],
    (options?.GET === true ? blobOrNull : okOrNull) as () => never
  )

/**
 * `set` with an expiration: in seconds, or in milliseconds where it has parts of them.
 *
 * @category strings
 * @since 0.1.0
 */
export const setEx = (key: Arg, expiration: Duration.Input, value: Arg): Command<"OK"> => {
  const time = millis(expiration)
  return time % 1000 === 0
    ? write(["SETEX", key, time / 1000, value], ok)
    : write(["PSETEX", key, time, value], ok)
}

/**
 * Sets a value if the key has none.
 *
 * @category strings
 * @since 0.1.0
 */
export const setNX = (key: Arg, value: Arg): Command<0 | 1> => write(["SETNX", key, value], bit)

/**
 * Writes into a value from an offset on, and gives its new length. What is missing before the offset becomes zeros.
 *
 * @category strings
 * @since 0.1.0
 */
export const setRange = (key: Arg, offset: number, value: Arg): Command<number> =>
  write(["SETRANGE", key, offset, value], integer)

/**
 * How many bytes a value has; 0 without one.
 *
 * @category strings
 * @since 0.1.0
 */
export const strLen = (key: Arg): Command<number> => read(["STRLEN", key], integer)
