/**
 * Commands of keys, whatever they hold.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  allKeys,
  type Command,
  firstTwoKeys,
  flag,
  type KeysOf,
  many,
  noKeys,
  type OneOrMore,
  option,
  optional,
  read,
  type ScanOptions,
  scanWords,
  secondKey,
  waiting,
  write
} from "./command.ts"
import {
  bit,
  blobOrNull,
  blobs,
  type Cursor,
  integer,
  integerOrNull,
  mismatch,
  nullableBlobs,
  ok,
  page,
  text
} from "./decode.ts"
import { epochMillis, inSeconds, type Instant, isInstant, millis, patienceMillis } from "./time.ts"

/**
 * Copies a value to another key; 0 where there is none, or the other has one and is not replaced.
 *
 * @category keys
 * @since 0.1.0
 */
export const copy = (
  source: Arg,
  destination: Arg,
  options: { readonly DB?: number | undefined; readonly REPLACE?: boolean | undefined } = {}
): Command<0 | 1> =>
  write(
    ["COPY", source, destination, ...option("DB", options.DB), ...flag("REPLACE", options.REPLACE)],
    bit,
    firstTwoKeys
  )

/**
 * Deletes keys and gives how many there were. A large value takes its time: see `unlink`.
 *
 * @category keys
 * @since 0.1.0
 */
export const del = (keys: OneOrMore<Arg>): Command<number> => write(["DEL", ...many(keys)], integer, allKeys)

/**
 * A value as `restore` takes it: read it with `bytes`, since it is no text.
 *
 * @category keys
 * @since 0.1.0
 */
export const dump = (key: Arg): Command<string | null> => read(["DUMP", key], blobOrNull)

/**
 * How many of the keys there are; one that is named twice counts twice.
 *
 * @category keys
 * @since 0.1.0
 */
export const exists = (keys: OneOrMore<Arg>): Command<number> => read(["EXISTS", ...many(keys)], integer, allKeys)

/**
 * When an expiration is set: without one before, with one, or if it becomes later or earlier.
 *
 * @category models
 * @since 0.1.0
 */
export type ExpireMode = "NX" | "XX" | "GT" | "LT"

/**
 * Lets a key expire: in seconds, or in milliseconds where it has parts of them. Not after now, it is deleted.
 *
 * @category keys
 * @since 0.1.0
 */
export const expire = (key: Arg, expiration: Duration.Input, mode?: ExpireMode): Command<0 | 1> => {
  const [name, time] = inSeconds(millis(expiration), "EXPIRE", "PEXPIRE")
  return write([name, key, time, ...optional(mode)], bit)
}

/**
 * Lets a key expire at a point in time: in seconds, or in milliseconds where it has parts of them.
 *
 * @category keys
 * @since 0.1.0
 */
export const expireAt = (key: Arg, expiration: Instant, mode?: ExpireMode): Command<0 | 1> => {
  const [name, time] = inSeconds(epochMillis(expiration), "EXPIREAT", "PEXPIREAT")
  return write([name, key, time, ...optional(mode)], bit)
}

/**
 * When a key expires, in seconds since 1970; -1 for never, -2 without the key.
 *
 * @category keys
 * @since 0.1.0
 */
export const expireTime = (key: Arg): Command<number> => read(["EXPIRETIME", key], integer)

/**
 * The keys that match a pattern. O(n) in all keys of the database, and nobody else is served meanwhile: see `scan`.
 *
 * @category keys
 * @since 0.1.0
 */
export const keys = (pattern: Arg): Command<Array<string>> => read(["KEYS", pattern], blobs, noKeys)

const keysOfMigrate: KeysOf = (words) => {
  const at = words.lastIndexOf("KEYS")
  return words[3] === "" && at !== -1 ? words.slice(at + 1) : [words[3]]
}

/**
 * How `migrate` moves keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface MigrateOptions {
  readonly COPY?: boolean | undefined
  readonly REPLACE?: boolean | undefined
}

/**
 * Moves keys to another server, which neither of both serves anybody during; a password for it takes `send`.
 *
 * @category keys
 * @since 0.1.0
 */
export const migrate = (
  host: string,
  port: number,
  key: OneOrMore<Arg>,
  destinationDb: number,
  timeout: Duration.Input,
  options: MigrateOptions = {}
): Command<"OK" | "NOKEY"> => {
  const isOne = !Array.isArray(key)
  return write(
    [
      "MIGRATE",
      host,
      port,
      isOne ? key as Arg : "",
      destinationDb,
      millis(timeout),
      ...flag("COPY", options.COPY),
      ...flag("REPLACE", options.REPLACE),
      ...(isOne ? [] : ["KEYS", ...many(key)])
    ],
    migrated,
    keysOfMigrate
  )
}

const migrated = (reply: unknown): "OK" | "NOKEY" => {
  const word = text(reply)
  return word === "OK" || word === "NOKEY" ? word : mismatch("OK or NOKEY", reply)
}

/**
 * Moves a key to another database of the same server.
 *
 * @category keys
 * @since 0.1.0
 */
export const move = (key: Arg, db: number): Command<0 | 1> => write(["MOVE", key, db], bit)

/**
 * How a value is stored: `listpack`, `embstr`, …
 *
 * @category keys
 * @since 0.1.0
 */
export const objectEncoding = (key: Arg): Command<string | null> =>
  read(["OBJECT", "ENCODING", key], blobOrNull, secondKey)

/**
 * How often a key was used, on a logarithmic scale; an error where the server does not count that.
 *
 * @category keys
 * @since 0.1.0
 */
export const objectFreq = (key: Arg): Command<number | null> => read(["OBJECT", "FREQ", key], integerOrNull, secondKey)

/**
 * For how many seconds nobody has used a key.
 *
 * @category keys
 * @since 0.1.0
 */
export const objectIdleTime = (key: Arg): Command<number | null> =>
  read(["OBJECT", "IDLETIME", key], integerOrNull, secondKey)

/**
 * How many references a value has.
 *
 * @category keys
 * @since 0.1.0
 */
export const objectRefCount = (key: Arg): Command<number | null> =>
  read(["OBJECT", "REFCOUNT", key], integerOrNull, secondKey)

/**
 * Lets a key never expire; 0 where it would not have.
 *
 * @category keys
 * @since 0.1.0
 */
export const persist = (key: Arg): Command<0 | 1> => write(["PERSIST", key], bit)

/**
 * `expire` in milliseconds.
 *
 * @category keys
 * @since 0.1.0
 */
export const pExpire = (key: Arg, expiration: Duration.Input, mode?: ExpireMode): Command<0 | 1> =>
  write(["PEXPIRE", key, millis(expiration), ...optional(mode)], bit)

/**
 * `expireAt` in milliseconds.
 *
 * @category keys
 * @since 0.1.0
 */
export const pExpireAt = (key: Arg, expiration: Instant, mode?: ExpireMode): Command<0 | 1> =>
  write(["PEXPIREAT", key, epochMillis(expiration), ...optional(mode)], bit)

/**
 * When a key expires, in milliseconds since 1970; -1 for never, -2 without the key.
 *
 * @category keys
 * @since 0.1.0
 */
export const pExpireTime = (key: Arg): Command<number> => read(["PEXPIRETIME", key], integer)

/**
 * How long a key still has, in milliseconds; -1 for ever, -2 without the key.
 *
 * @category keys
 * @since 0.1.0
 */
export const pTTL = (key: Arg): Command<number> => read(["PTTL", key], integer)

/**
 * Any key; `null` where the database is empty.
 *
 * @category keys
 * @since 0.1.0
 */
export const randomKey = (): Command<string | null> => read(["RANDOMKEY"], blobOrNull, noKeys)

/**
 * Gives a key another name, in the place of what has that name. An error without the key.
 *
 * @category keys
 * @since 0.1.0
 */
export const rename = (key: Arg, newKey: Arg): Command<"OK"> => write(["RENAME", key, newKey], ok, firstTwoKeys)

/**
 * Gives a key another name if that is free.
 *
 * @category keys
 * @since 0.1.0
 */
export const renameNX = (key: Arg, newKey: Arg): Command<0 | 1> => write(["RENAMENX", key, newKey], bit, firstTwoKeys)

/**
 * How `restore` writes a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface RestoreOptions {
  readonly REPLACE?: boolean | undefined
  readonly IDLETIME?: Duration.Input | undefined
  readonly FREQ?: number | undefined
}

/**
 * Writes what `dump` gave, which expires then, or never at 0.
 *
 * @category keys
 * @since 0.1.0
 */
export const restore = (
  key: Arg,
  expiration: Duration.Input | Instant,
  serialized: Arg,
  options: RestoreOptions = {}
): Command<"OK"> => {
  const at = isInstant(expiration)
  return write(
    [
      "RESTORE",
      key,
      at ? epochMillis(expiration) : millis(expiration),
      serialized,
      ...flag("REPLACE", options.REPLACE),
      ...flag("ABSTTL", at),
      ...option("IDLETIME", options.IDLETIME === undefined ? undefined : Math.floor(millis(options.IDLETIME) / 1000)),
      ...option("FREQ", options.FREQ)
    ],
    ok
  )
}

/**
 * One step through all keys. A key can come twice, and a page may be empty before the end, which is cursor `"0"`.
 *
 * @category keys
 * @since 0.1.0
 */
export const scan = (
  cursor: Cursor,
  options: ScanOptions & { readonly TYPE?: string | undefined } = {}
): Command<{ readonly cursor: Cursor; readonly keys: Array<string> }> =>
  read(
    ["SCAN", cursor, ...scanWords(options), ...option("TYPE", options.TYPE)],
    (reply) => page(reply, "keys", blobs),
    noKeys
  )

/**
 * What `sort` sorts by, and what it gives. Patterns such as `"weight_*"` name other keys, which a cluster does not
 * allow.
 *
 * @category models
 * @since 0.1.0
 */
export interface SortOptions {
  readonly BY?: Arg | undefined
  readonly LIMIT?: { readonly offset: number; readonly count: number } | undefined
  readonly GET?: OneOrMore<Arg> | undefined
  readonly DIRECTION?: "ASC" | "DESC" | undefined
  readonly ALPHA?: boolean | undefined
}

const sortWords = ({ ALPHA, BY, DIRECTION, GET, LIMIT }: SortOptions): ReadonlyArray<Arg> => [
  ...option("BY", BY),
  ...(LIMIT === undefined ? [] : ["LIMIT", LIMIT.offset, LIMIT.count]),
  ...(GET === undefined ? [] : many(GET).flatMap((pattern) => ["GET", pattern])),
  ...optional(DIRECTION),
  ...flag("ALPHA", ALPHA)
]

/**
 * The elements of a list, set or sorted set in order, as numbers unless `ALPHA` is set. O(n log n).
 *
 * @category keys
 * @since 0.1.0
 */
export const sort = (key: Arg, options: SortOptions = {}): Command<Array<string | null>> =>
  write(["SORT", key, ...sortWords(options)], nullableBlobs)

/**
 * The same, where a replica may do it.
 *
 * @category keys
 * @since 0.1.0
 */
export const sortRo = (key: Arg, options: SortOptions = {}): Command<Array<string | null>> =>
  read(["SORT_RO", key, ...sortWords(options)], nullableBlobs)

const keysOfSortStore: KeysOf = (words) => [words[1], words[words.length - 1]]

/**
 * The same, put into a list; gives its length.
 *
 * @category keys
 * @since 0.1.0
 */
export const sortStore = (source: Arg, destination: Arg, options: SortOptions = {}): Command<number> =>
  write(["SORT", source, ...sortWords(options), "STORE", destination], integer, keysOfSortStore)

/**
 * Counts keys, and marks them as used now.
 *
 * @category keys
 * @since 0.1.0
 */
export const touch = (keys: OneOrMore<Arg>): Command<number> => read(["TOUCH", ...many(keys)], integer, allKeys)

/**
 * How long a key still has, in seconds; -1 for ever, -2 without the key.
 *
 * @category keys
 * @since 0.1.0
 */
export const ttl = (key: Arg): Command<number> => read(["TTL", key], integer)

/**
 * What a key holds: `string`, `list`, `set`, `zset`, `hash`, `stream`, …, or `none`.
 *
 * @category keys
 * @since 0.1.0
 */
export const type = (key: Arg): Command<KeyType> => read(["TYPE", key], text as (reply: unknown) => KeyType)

/**
 * The types of keys; those of modules have a dash.
 *
 * @category models
 * @since 0.1.0
 */
export type KeyType =
  | "none"
  | "string"
  | "list"
  | "set"
  | "zset"
  | "hash"
  | "stream"
  | "vectorset"
  | `${string}-${string}`

/**
 * Deletes keys and gives how many there were. Their memory is freed later, in the background.
 *
 * @category keys
 * @since 0.1.0
 */
export const unlink = (keys: OneOrMore<Arg>): Command<number> => write(["UNLINK", ...many(keys)], integer, allKeys)

/**
 * Waits until so many replicas have what this connection has written, and gives how many have. Use it on one of
 * `reserve`: of a shared connection it says little.
 *
 * @category keys
 * @since 0.1.0
 */
export const wait = (replicas: number, timeout: Duration.Input): Command<number> =>
  waiting(["WAIT", replicas, patienceMillis(timeout)], integer, noKeys)
