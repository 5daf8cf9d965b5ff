/**
 * What replies become: each takes what RESP3 and RESP2 have for it, and throws `Mismatch` at anything else.
 *
 * Blobs are strings, or `Uint8Array`s for a command of `bytes`, which types them anew: here both are `string`. What is
 * inside arrays is looked at only where something is made of it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A reply has a shape that its command does not know.
 *
 * @category errors
 * @since 0.1.0
 */
export class Mismatch extends Data.TaggedError("Mismatch")<{
  /** What was expected and what came, without any value. */
  readonly detail: string
}> {}

/**
 * A value that was read is not what its schema says.
 *
 * @category errors
 * @since 0.1.0
 */
export class Undecodable extends Data.TaggedError("Undecodable")<{
  readonly key: string
  /** Where the schema is not met, and what was expected there, without any value. */
  readonly detail: string
}> {}

const nameOf = (reply: unknown): string =>
  reply === null
    ? "null"
    : Array.isArray(reply)
    ? `an array of ${reply.length}`
    : reply instanceof Uint8Array
    ? "bytes"
    : typeof reply === "object"
    ? "a map"
    : `a ${typeof reply}`

/** @internal */
export const mismatch = (expected: string, reply: unknown): never => {
  throw new Mismatch({ detail: `expected ${expected}, got ${nameOf(reply)}` })
}

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text that is no value of the user's: a name, a number, a cursor. @internal */
export const text = (reply: unknown): string => {
  if (typeof reply === "string") return reply
  if (!(reply instanceof Uint8Array)) return mismatch("text", reply)
  try {
    return utf8.decode(reply)
  } catch {
    return mismatch("text that is UTF-8", reply)
  }
}

// ----- one value -----

/**
 * Words of the server's own, which `bytes` leaves text: any string.
 *
 * @category models
 * @since 0.1.0
 */
export type Text = Capitalize<string> | Uncapitalize<string>

/** @internal */
export const ownText = text as (reply: unknown) => Text

/** @internal */
export const raw = (reply: unknown): unknown => reply

/** @internal */
export const blob = (reply: unknown): string =>
  typeof reply === "string" || reply instanceof Uint8Array ? reply as string : mismatch("a string", reply)

/** @internal */
export const blobOrNull = (reply: unknown): string | null => reply === null ? null : blob(reply)

/** @internal */
export const ok = (reply: unknown): "OK" => text(reply) === "OK" ? "OK" : mismatch("OK", reply)

/** @internal */
export const okOrNull = (reply: unknown): "OK" | null => reply === null ? null : ok(reply)

/** @internal */
export const integer = (reply: unknown): number =>
  typeof reply === "number"
    ? reply
    : mismatch(
      typeof reply === "bigint" ? "an integer within 2^53, which only `send` gives beyond it" : "an integer",
      reply
    )

/** @internal */
export const integerOrNull = (reply: unknown): number | null => reply === null ? null : integer(reply)

/** Whether something was so: Redis' 0 and 1. @internal */
export const bit = (reply: unknown): 0 | 1 => reply === 1 ? 1 : reply === 0 ? 0 : mismatch("0 or 1", reply)

/** @internal */
export const boolean = (reply: unknown): boolean => typeof reply === "boolean" ? reply : bit(reply) === 1

/** @internal */
export const double = (reply: unknown): number => {
  if (typeof reply === "number") return reply
  const digits = text(reply)
  const value = Number(digits)
  if (!Number.isNaN(value) && digits !== "") return value
  switch (digits.toLowerCase()) {
    case "inf":
    case "+inf":
      return Infinity
    case "-inf":
      return -Infinity
    case "nan":
    case "-nan":
      return NaN
    default:
      return mismatch("a number", reply)
  }
}

/** @internal */
export const doubleOrNull = (reply: unknown): number | null => reply === null ? null : double(reply)

// ----- several -----

/** @internal */
export const array = (reply: unknown): ReadonlyArray<unknown> =>
  Array.isArray(reply) ? reply : mismatch("an array", reply)

/** @internal */
export const listOf = <A>(reply: unknown, item: (reply: unknown) => A): Array<A> => array(reply).map((one) => item(one))

/** An array of at least so many. @internal */
export const tuple = (reply: unknown, length: number): ReadonlyArray<unknown> =>
  Array.isArray(reply) && reply.length >= length ? reply : mismatch(`an array of ${length}`, reply)

/** @internal */
export const blobs = (reply: unknown): Array<string> => array(reply) as Array<string>

/** @internal */
export const blobsOrNull = (reply: unknown): Array<string> | null => reply === null ? null : blobs(reply)

/** @internal */
export const nullableBlobs = (reply: unknown): Array<string | null> => array(reply) as Array<string | null>

/** @internal */
export const integers = (reply: unknown): Array<number> => array(reply) as Array<number>

/** @internal */
export const nullableIntegers = (reply: unknown): Array<number | null> => listOf(reply, integerOrNull)

/** @internal */
export const bits = (reply: unknown): Array<0 | 1> => array(reply) as Array<0 | 1>

/** @internal */
export const doubles = (reply: unknown): Array<number> => listOf(reply, double)

/** @internal */
export const nullableDoubles = (reply: unknown): Array<number | null> => listOf(reply, doubleOrNull)

// ----- pairs -----

/** The pairs of a flat array, of an array of pairs, or of a map. @internal */
export const pairsOf = <A>(reply: unknown, pair: (first: unknown, second: unknown) => A): Array<A> => {
  const pairs: Array<A> = []
  if (Array.isArray(reply)) {
    if (Array.isArray(reply[0])) {
      for (const one of reply) {
        const [first, second] = tuple(one, 2)
        pairs.push(pair(first, second))
      }
    } else if (reply.length % 2 === 0) {
      for (let i = 0; i < reply.length; i += 2) pairs.push(pair(reply[i], reply[i + 1]))
    } else return mismatch("pairs", reply)
  } else if (typeof reply === "object" && reply !== null && !(reply instanceof Uint8Array)) {
    const entries = reply instanceof Map ? reply : Object.entries(reply)
    for (const [first, second] of entries) pairs.push(pair(first, second))
  } else return mismatch("pairs", reply)
  return pairs
}

/** @internal */
export const recordOf = <A>(reply: unknown, value: (reply: unknown, key: string) => A): Record<string, A> => {
  const record: Record<string, A> = Object.create(null)
  pairsOf(reply, (key, one) => {
    const name = typeof key === "number" ? String(key) : text(key)
    record[name] = value(one, name)
  })
  return record
}

/** A map as the server gives it, with its values as they are. @internal */
export const record = (reply: unknown): Record<string, unknown> =>
  typeof reply === "object" && reply !== null && !Array.isArray(reply) && !(reply instanceof Map)
    ? reply as Record<string, unknown>
    : recordOf(reply, (one) => one)

/** @internal */
export const blobRecord = record as (reply: unknown) => Record<string, string>

/**
 * A member of a sorted set, and its score.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scored {
  readonly value: string
  readonly score: number
}

/** @internal */
export const scored = (value: unknown, score: unknown): Scored => ({ value: value as string, score: double(score) })

/** @internal */
export const scoredMembers = (reply: unknown): Array<Scored> => pairsOf(reply, scored)

// ----- cursors -----

/**
 * Where a scan goes on; `"0"` is its beginning, and its end.
 *
 * @category models
 * @since 0.1.0
 */
export type Cursor = `${number}`

/** A cursor and what was found. @internal */
export const page = <A, K extends string>(
  reply: unknown,
  name: K,
  found: (reply: unknown) => A
): { readonly cursor: Cursor } & { readonly [_ in K]: A } => {
  const [cursor, items] = tuple(reply, 2)
  return { cursor: text(cursor) as Cursor, [name]: found(items) } as
    & { readonly cursor: Cursor }
    & { readonly [_ in K]: A }
}
