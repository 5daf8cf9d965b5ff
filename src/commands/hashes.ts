/**
 * Commands of hashes: fields with their values, and with expirations of their own.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  type Command,
  countOf,
  type KeyValues,
  many,
  type OneOrMore,
  optional,
  pairs,
  read,
  type ScanOptions,
  scanWords,
  write
} from "./command.ts"
import {
  bit,
  blob,
  blobOrNull,
  blobRecord,
  blobs,
  type Cursor,
  integer,
  integers,
  nullableBlobs,
  page,
  pairsOf
} from "./decode.ts"
import type { ExpireMode } from "./keys.ts"
import { epochMillis, type Expiration, expiringOr, inSeconds, type Instant, millis } from "./time.ts"

/**
 * A field and its value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Field {
  readonly field: string
  readonly value: string
}

const field = (field: unknown, value: unknown): Field => ({ field: field as string, value: value as string })

const fieldList = (reply: unknown): Array<Field> => pairsOf(reply, field)

/**
 * Deletes fields and gives how many there were. A hash without fields is gone.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hDel = (key: Arg, fields: OneOrMore<Arg>): Command<number> =>
  write(["HDEL", key, ...many(fields)], integer)

/**
 * Whether a hash has a field.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hExists = (key: Arg, field: Arg): Command<0 | 1> => read(["HEXISTS", key, field], bit)

/**
 * What became of a field's expiration: -2 there is no such field, 0 the condition was not met, 1 set, 2 deleted at
 * once.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldExpiration = -2 | 0 | 1 | 2

const expirations = integers as (reply: unknown) => Array<FieldExpiration>

/**
 * Lets fields expire: in seconds, or in milliseconds where it has parts of them. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hExpire = (
  key: Arg,
  fields: OneOrMore<Arg>,
  expiration: Duration.Input,
  mode?: ExpireMode
): Command<Array<FieldExpiration>> => {
  const [name, time] = inSeconds(millis(expiration), "HEXPIRE", "HPEXPIRE")
  return write([name, key, time, ...optional(mode), "FIELDS", ...countOf(fields)], expirations)
}

/**
 * Lets fields expire at a point in time: in seconds, or in milliseconds where it has parts of them. Redis 7.4, Valkey
 * 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hExpireAt = (
  key: Arg,
  fields: OneOrMore<Arg>,
  expiration: Instant,
  mode?: ExpireMode
): Command<Array<FieldExpiration>> => {
  const [name, time] = inSeconds(epochMillis(expiration), "HEXPIREAT", "HPEXPIREAT")
  return write([name, key, time, ...optional(mode), "FIELDS", ...countOf(fields)], expirations)
}

/**
 * When fields expire, in seconds since 1970; -1 for never, -2 without the field. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hExpireTime = (key: Arg, fields: OneOrMore<Arg>): Command<Array<number>> =>
  read(["HEXPIRETIME", key, "FIELDS", ...countOf(fields)], integers)

/**
 * The value of a field; `null` without one.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hGet = (key: Arg, field: Arg): Command<string | null> => read(["HGET", key, field], blobOrNull)

/**
 * All fields with their values; empty without the key. O(n): see `hScan` for large ones.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hGetAll = (key: Arg): Command<Record<string, string>> => read(["HGETALL", key], blobRecord)

/**
 * Reads fields and deletes them. Redis 8.0.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hGetDel = (key: Arg, fields: OneOrMore<Arg>): Command<Array<string | null>> =>
  write(["HGETDEL", key, "FIELDS", ...countOf(fields)], nullableBlobs)

/**
 * Reads fields and says when they expire; `"PERSIST"` keeps them for ever. Redis 8.0, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hGetEx = (
  key: Arg,
  fields: OneOrMore<Arg>,
  options: { readonly expiration?: Expiration | "PERSIST" | undefined } = {}
): Command<Array<string | null>> =>
  write(["HGETEX", key, ...expiringOr("PERSIST", options.expiration), "FIELDS", ...countOf(fields)], nullableBlobs)

/**
 * Adds an integer to a field and gives the result, beyond 2^53 an `UnexpectedReply`.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hIncrBy = (key: Arg, field: Arg, increment: number | bigint): Command<number> =>
  write(["HINCRBY", key, field, increment], integer)

/**
 * Adds a number to a field and gives the result as Redis writes it, which may have more digits than a `number`.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hIncrByFloat = (key: Arg, field: Arg, increment: number): Command<string> =>
  write(["HINCRBYFLOAT", key, field, increment], blob)

/**
 * The names of all fields. O(n).
 *
 * @category hashes
 * @since 0.1.0
 */
export const hKeys = (key: Arg): Command<Array<string>> => read(["HKEYS", key], blobs)

/**
 * How many fields a hash has.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hLen = (key: Arg): Command<number> => read(["HLEN", key], integer)

/**
 * The values of fields, in their order; `null` where there is none.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hmGet = (key: Arg, fields: OneOrMore<Arg>): Command<Array<string | null>> =>
  read(["HMGET", key, ...many(fields)], nullableBlobs)

/**
 * Lets fields never expire: 1 done, -1 they would not have, -2 there is none. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hPersist = (key: Arg, fields: OneOrMore<Arg>): Command<Array<-2 | -1 | 1>> =>
  write(["HPERSIST", key, "FIELDS", ...countOf(fields)], integers as (reply: unknown) => Array<-2 | -1 | 1>)

/**
 * `hExpire` in milliseconds. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hpExpire = (
  key: Arg,
  fields: OneOrMore<Arg>,
  expiration: Duration.Input,
  mode?: ExpireMode
): Command<Array<FieldExpiration>> =>
  write(["HPEXPIRE", key, millis(expiration), ...optional(mode), "FIELDS", ...countOf(fields)], expirations)

/**
 * `hExpireAt` in milliseconds. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hpExpireAt = (
  key: Arg,
  fields: OneOrMore<Arg>,
  expiration: Instant,
  mode?: ExpireMode
): Command<Array<FieldExpiration>> =>
  write(["HPEXPIREAT", key, epochMillis(expiration), ...optional(mode), "FIELDS", ...countOf(fields)], expirations)

/**
 * When fields expire, in milliseconds since 1970; -1 for never, -2 without the field. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hpExpireTime = (key: Arg, fields: OneOrMore<Arg>): Command<Array<number>> =>
  read(["HPEXPIRETIME", key, "FIELDS", ...countOf(fields)], integers)

/**
 * How long fields still have, in milliseconds; -1 for ever, -2 without the field. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hpTTL = (key: Arg, fields: OneOrMore<Arg>): Command<Array<number>> =>
  read(["HPTTL", key, "FIELDS", ...countOf(fields)], integers)

/**
 * The name of any field; `null` without one.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hRandField = (key: Arg): Command<string | null> => read(["HRANDFIELD", key], blobOrNull)

/**
 * The names of some fields: of as many different ones, or below zero of that many, repeated as they come.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hRandFieldCount = (key: Arg, count: number): Command<Array<string>> =>
  read(["HRANDFIELD", key, count], blobs)

/**
 * The same, with their values.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hRandFieldCountWithValues = (key: Arg, count: number): Command<Array<Field>> =>
  read(["HRANDFIELD", key, count, "WITHVALUES"], fieldList)

/**
 * One step through all fields. A field can come twice, and a page may be empty before the end, which is cursor `"0"`.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hScan = (
  key: Arg,
  cursor: Cursor,
  options: ScanOptions = {}
): Command<{ readonly cursor: Cursor; readonly entries: Array<Field> }> =>
  read(["HSCAN", key, cursor, ...scanWords(options)], (reply) => page(reply, "entries", fieldList))

/**
 * The same without the values. Redis 7.4, Valkey 8.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hScanNoValues = (
  key: Arg,
  cursor: Cursor,
  options: ScanOptions = {}
): Command<{ readonly cursor: Cursor; readonly fields: Array<string> }> =>
  read(["HSCAN", key, cursor, ...scanWords(options), "NOVALUES"], (reply) => page(reply, "fields", blobs))

/**
 * Sets one field or several, and gives how many are new.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hSet: {
  (key: Arg, field: Arg, value: Arg): Command<number>
  (key: Arg, values: KeyValues): Command<number>
} = (key: Arg, field: Arg | KeyValues, value?: Arg): Command<number> =>
  write(["HSET", key, ...(value === undefined ? pairs(field as KeyValues) : [field as Arg, value])], integer)

/**
 * Sets fields with one expiration; 0 where `FNX` or `FXX` is not met by each, and then none is set. Redis 8.0, Valkey
 * 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hSetEx = (
  key: Arg,
  values: KeyValues,
  options: { readonly expiration?: Expiration | "KEEPTTL" | undefined; readonly mode?: "FNX" | "FXX" | undefined } = {}
): Command<0 | 1> => {
  const words = pairs(values)
  return write(
    [
      "HSETEX",
      key,
      ...optional(options.mode),
      ...expiringOr("KEEPTTL", options.expiration),
      "FIELDS",
      words.length / 2,
      ...words
    ],
    bit
  )
}

/**
 * Sets a field if the hash has none of that name.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hSetNX = (key: Arg, field: Arg, value: Arg): Command<0 | 1> => write(["HSETNX", key, field, value], bit)

/**
 * How many bytes the value of a field has.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hStrLen = (key: Arg, field: Arg): Command<number> => read(["HSTRLEN", key, field], integer)

/**
 * How long fields still have, in seconds; -1 for ever, -2 without the field. Redis 7.4, Valkey 9.
 *
 * @category hashes
 * @since 0.1.0
 */
export const hTTL = (key: Arg, fields: OneOrMore<Arg>): Command<Array<number>> =>
  read(["HTTL", key, "FIELDS", ...countOf(fields)], integers)

/**
 * The values of all fields. O(n).
 *
 * @category hashes
 * @since 0.1.0
 */
export const hVals = (key: Arg): Command<Array<string>> => read(["HVALS", key], blobs)
