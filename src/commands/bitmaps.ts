/**
 * Commands of strings as bits, and as integers of any width.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import { type Command, type KeysOf, many, type OneOrMore, optional, read, write } from "./command.ts"
import { bit, integer, nullableIntegers } from "./decode.ts"

/**
 * Signed or unsigned, and how many bits: `i8`, `u63`.
 *
 * @category models
 * @since 0.1.0
 */
export type BitFieldEncoding = `${"i" | "u"}${number}`

/**
 * One step of `bitField`. An offset such as `"#2"` counts in integers of that width.
 *
 * @category models
 * @since 0.1.0
 */
export type BitFieldOperation =
  | { readonly operation: "GET"; readonly encoding: BitFieldEncoding; readonly offset: number | string }
  | {
    readonly operation: "SET"
    readonly encoding: BitFieldEncoding
    readonly offset: number | string
    readonly value: number | bigint
  }
  | {
    readonly operation: "INCRBY"
    readonly encoding: BitFieldEncoding
    readonly offset: number | string
    readonly increment: number | bigint
  }
  | { readonly operation: "OVERFLOW"; readonly behavior: "WRAP" | "SAT" | "FAIL" }

const wordsOf = (step: BitFieldOperation): ReadonlyArray<Arg> => {
  switch (step.operation) {
    case "GET":
      return ["GET", step.encoding, step.offset]
    case "SET":
      return ["SET", step.encoding, step.offset, step.value]
    case "INCRBY":
      return ["INCRBY", step.encoding, step.offset, step.increment]
    case "OVERFLOW":
      return ["OVERFLOW", step.behavior]
  }
}

/**
 * How many bits are 1, in all or in a range, which counts bytes unless `mode` says `BIT`. O(n).
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const bitCount = (
  key: Arg,
  range?: { readonly start: number; readonly end: number; readonly mode?: "BYTE" | "BIT" | undefined }
): Command<number> =>
  read(["BITCOUNT", key, ...(range === undefined ? [] : [range.start, range.end, ...optional(range.mode)])], integer)

/**
 * Reads and writes integers inside a value; `null` for one that `OVERFLOW FAIL` did not write. One beyond 2^53 is an
 * `UnexpectedReply`.
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const bitField = (
  key: Arg,
  operations: ReadonlyArray<BitFieldOperation>
): Command<Array<number | null>> => write(["BITFIELD", key, ...operations.flatMap(wordsOf)], nullableIntegers)

/**
 * Reads integers inside a value.
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const bitFieldRo = (
  key: Arg,
  operations: ReadonlyArray<{ readonly encoding: BitFieldEncoding; readonly offset: number | string }>
): Command<Array<number | null>> =>
  read(
    ["BITFIELD_RO", key, ...operations.flatMap(({ encoding, offset }) => ["GET", encoding, offset])],
    nullableIntegers
  )

const keysOfBitOp: KeysOf = (words) => words.slice(2)

/**
 * Combines values bit by bit into another key, and gives the length of the result. O(n). `DIFF` to `ONE`: Redis 8.2.
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const bitOp = (
  operation: "AND" | "OR" | "XOR" | "NOT" | "DIFF" | "DIFF1" | "ANDOR" | "ONE",
  destination: Arg,
  keys: OneOrMore<Arg>
): Command<number> => write(["BITOP", operation, destination, ...many(keys)], integer, keysOfBitOp)

/**
 * Where the first 0 or 1 is; -1 for none. Without `end`, zeros go on behind the value. O(n).
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const bitPos = (
  key: Arg,
  value: 0 | 1,
  start?: number,
  end?: number,
  mode?: "BYTE" | "BIT"
): Command<number> => read(["BITPOS", key, value, ...optional(start), ...optional(end), ...optional(mode)], integer)

/**
 * One bit; 0 behind the end of the value.
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const getBit = (key: Arg, offset: number): Command<0 | 1> => read(["GETBIT", key, offset], bit)

/**
 * Sets one bit and gives what it was. A large offset takes that much memory at once.
 *
 * @category bitmaps
 * @since 0.1.0
 */
export const setBit = (key: Arg, offset: number, value: 0 | 1): Command<0 | 1> =>
  write(["SETBIT", key, offset, value], bit)
