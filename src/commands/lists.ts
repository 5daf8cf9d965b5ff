/**
 * Commands of lists, those that wait for an element included.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  allKeysButLast,
  type Command,
  countedKeys,
  countedKeysAfterOne,
  countOf,
  firstTwoKeys,
  many,
  type OneOrMore,
  option,
  read,
  waiting,
  write
} from "./command.ts"
import { blob, blobOrNull, blobs, blobsOrNull, integer, integerOrNull, integers, ok, tuple } from "./decode.ts"
import { patience } from "./time.ts"

/**
 * An end of a list.
 *
 * @category models
 * @since 0.1.0
 */
export type ListSide = "LEFT" | "RIGHT"

/**
 * How many elements `lMoveM` moves: at most `COUNT`, or `EXACTLY` so many or none; and in which order they arrive.
 *
 * @category models
 * @since 0.1.0
 */
export type LMoveMOptions =
  & { readonly ORDER: "OBO" | "BULK" }
  & ({ readonly COUNT: number; readonly EXACTLY?: undefined } | {
    readonly EXACTLY: number
    readonly COUNT?: undefined
  })

const moveWords = (options: LMoveMOptions | undefined): ReadonlyArray<Arg> =>
  options === undefined
    ? []
    : [...option("EXACTLY", options.EXACTLY), ...option("COUNT", options.COUNT), options.ORDER]

/**
 * An element, and the list that it was in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Popped {
  readonly key: string
  readonly element: string
}

const popped = (reply: unknown): Popped | null => {
  if (reply === null) return null
  const [key, element] = tuple(reply, 2)
  return { key: blob(key), element: blob(element) }
}

const poppedSome = (reply: unknown): [key: string, elements: Array<string>] | null => {
  if (reply === null) return null
  const [key, elements] = tuple(reply, 2)
  return [blob(key), blobs(elements)]
}

/**
 * Moves an element to another list and gives it; waits for one, without end at 0, and is `null` when the time is over.
 *
 * @category lists
 * @since 0.1.0
 */
export const blMove = (
  source: Arg,
  destination: Arg,
  sourceSide: ListSide,
  destinationSide: ListSide,
  timeout: Duration.Input
): Command<string | null> =>
  waiting(["BLMOVE", source, destination, sourceSide, destinationSide, patience(timeout)], blobOrNull, firstTwoKeys)

/**
 * Moves several elements to another list and gives them; waits for them, without end at 0. Redis 8.10.
 *
 * @category lists
 * @since 0.1.0
 */
export const blMoveM = (
  source: Arg,
  destination: Arg,
  sourceSide: ListSide,
  destinationSide: ListSide,
  timeout: Duration.Input,
  options?: LMoveMOptions
): Command<Array<string> | null> =>
  waiting(
    ["BLMOVEM", source, destination, sourceSide, destinationSide, patience(timeout), ...moveWords(options)],
    blobsOrNull,
    firstTwoKeys
  )

/**
 * Takes elements from the first of the lists that has any; waits for one, without end at 0.
 *
 * @category lists
 * @since 0.1.0
 */
export const blmPop = (
  timeout: Duration.Input,
  keys: OneOrMore<Arg>,
  side: ListSide,
  options: { readonly COUNT?: number | undefined } = {}
): Command<[key: string, elements: Array<string>] | null> =>
  waiting(
    ["BLMPOP", patience(timeout), ...countOf(keys), side, ...option("COUNT", options.COUNT)],
    poppedSome,
    countedKeysAfterOne
  )

/**
 * Takes the first element of the first of the lists that has any; waits for one, without end at 0, and is `null` when
 * the time is over.
 *
 * @category lists
 * @since 0.1.0
 */
export const blPop = (keys: OneOrMore<Arg>, timeout: Duration.Input): Command<Popped | null> =>
  waiting(["BLPOP", ...many(keys), patience(timeout)], popped, allKeysButLast)

/**
 * Takes the last element of the first of the lists that has any; waits for one, without end at 0.
 *
 * @category lists
 * @since 0.1.0
 */
export const brPop = (keys: OneOrMore<Arg>, timeout: Duration.Input): Command<Popped | null> =>
  waiting(["BRPOP", ...many(keys), patience(timeout)], popped, allKeysButLast)

/**
 * `blMove` from the right to the left.
 *
 * @category lists
 * @since 0.1.0
 */
export const brPopLPush = (source: Arg, destination: Arg, timeout: Duration.Input): Command<string | null> =>
  waiting(["BRPOPLPUSH", source, destination, patience(timeout)], blobOrNull, firstTwoKeys)

/**
 * An element by its index, from the end below zero; `null` beyond the ends. O(n) in the way to it.
 *
 * @category lists
 * @since 0.1.0
 */
export const lIndex = (key: Arg, index: number): Command<string | null> => read(["LINDEX", key, index], blobOrNull)

/**
 * Inserts beside an element and gives the new length; -1 without that element, 0 without the list. O(n) in the way to
 * it.
 *
 * @category lists
 * @since 0.1.0
 */
export const lInsert = (key: Arg, position: "BEFORE" | "AFTER", pivot: Arg, element: Arg): Command<number> =>
  write(["LINSERT", key, position, pivot, element], integer)

/**
 * How long a list is.
 *
 * @category lists
 * @since 0.1.0
 */
export const lLen = (key: Arg): Command<number> => read(["LLEN", key], integer)

/**
 * Moves an element from an end of a list to an end of another, and gives it; `null` where there is none.
 *
 * @category lists
 * @since 0.1.0
 */
export const lMove = (
  source: Arg,
  destination: Arg,
  sourceSide: ListSide,
  destinationSide: ListSide
): Command<string | null> =>
  write(["LMOVE", source, destination, sourceSide, destinationSide], blobOrNull, firstTwoKeys)

/**
 * Moves several elements, and gives them. Redis 8.10.
 *
 * @category lists
 * @since 0.1.0
 */
export const lMoveM = (
  source: Arg,
  destination: Arg,
  sourceSide: ListSide,
  destinationSide: ListSide,
  options?: LMoveMOptions
): Command<Array<string> | null> =>
  write(
    ["LMOVEM", source, destination, sourceSide, destinationSide, ...moveWords(options)],
    blobsOrNull,
    firstTwoKeys
  )

/**
 * Takes elements from the first of the lists that has any, one unless `COUNT` says how many.
 *
 * @category lists
 * @since 0.1.0
 */
export const lmPop = (
  keys: OneOrMore<Arg>,
  side: ListSide,
  options: { readonly COUNT?: number | undefined } = {}
): Command<[key: string, elements: Array<string>] | null> =>
  write(["LMPOP", ...countOf(keys), side, ...option("COUNT", options.COUNT)], poppedSome, countedKeys)

/**
 * Takes the first element.
 *
 * @category lists
 * @since 0.1.0
 */
export const lPop = (key: Arg): Command<string | null> => write(["LPOP", key], blobOrNull)

/**
 * Takes the first elements; `null` without the list.
 *
 * @category lists
 * @since 0.1.0
 */
export const lPopCount = (key: Arg, count: number): Command<Array<string> | null> =>
  write(["LPOP", key, count], blobsOrNull)

/**
 * Which match counts as the first (from the end below zero), and how many elements are compared.
 *
 * @category models
 * @since 0.1.0
 */
export interface LPosOptions {
  readonly RANK?: number | undefined
  readonly MAXLEN?: number | undefined
}

const positionWords = ({ MAXLEN, RANK }: LPosOptions): ReadonlyArray<Arg> => [
  ...option("RANK", RANK),
  ...option("MAXLEN", MAXLEN)
]

/**
 * The index of an element; `null` without it. O(n).
 *
 * @category lists
 * @since 0.1.0
 */
export const lPos = (key: Arg, element: Arg, options: LPosOptions = {}): Command<number | null> =>
  read(["LPOS", key, element, ...positionWords(options)], integerOrNull)

/**
 * The indexes of several matches, all at 0. O(n).
 *
 * @category lists
 * @since 0.1.0
 */
export const lPosCount = (
  key: Arg,
  element: Arg,
  count: number,
  options: LPosOptions = {}
): Command<Array<number>> => read(["LPOS", key, element, ...positionWords(options), "COUNT", count], integers)

/**
 * Adds elements at the beginning, one before the other, and gives the new length.
 *
 * @category lists
 * @since 0.1.0
 */
export const lPush = (key: Arg, elements: OneOrMore<Arg>): Command<number> =>
  write(["LPUSH", key, ...many(elements)], integer)

/**
 * The same, if there is a list already.
 *
 * @category lists
 * @since 0.1.0
 */
export const lPushX = (key: Arg, elements: OneOrMore<Arg>): Command<number> =>
  write(["LPUSHX", key, ...many(elements)], integer)

/**
 * Elements by their indexes, both ends included; below zero they count from the end. O(n).
 *
 * @category lists
 * @since 0.1.0
 */
export const lRange = (key: Arg, start: number, stop: number): Command<Array<string>> =>
  read(["LRANGE", key, start, stop], blobs)

/**
 * Removes so many elements of a value, from the end below zero, all at 0, and gives how many there were. O(n).
 *
 * @category lists
 * @since 0.1.0
 */
export const lRem = (key: Arg, count: number, element: Arg): Command<number> =>
  write(["LREM", key, count, element], integer)

/**
 * Sets an element by its index; an error beyond the ends.
 *
 * @category lists
 * @since 0.1.0
 */
export const lSet = (key: Arg, index: number, element: Arg): Command<"OK"> => write(["LSET", key, index, element], ok)

/**
 * Keeps the elements between two indexes, both included, and removes the rest.
 *
 * @category lists
 * @since 0.1.0
 */
export const lTrim = (key: Arg, start: number, stop: number): Command<"OK"> => write(["LTRIM", key, start, stop], ok)

/**
 * Takes the last element.
 *
 * @category lists
 * @since 0.1.0
 */
export const rPop = (key: Arg): Command<string | null> => write(["RPOP", key], blobOrNull)

/**
 * Takes the last elements, the last one first; `null` without the list.
 *
 * @category lists
 * @since 0.1.0
 */
export const rPopCount = (key: Arg, count: number): Command<Array<string> | null> =>
  write(["RPOP", key, count], blobsOrNull)

/**
 * `lMove` from the right to the left.
 *
 * @category lists
 * @since 0.1.0
 */
export const rPopLPush = (source: Arg, destination: Arg): Command<string | null> =>
  write(["RPOPLPUSH", source, destination], blobOrNull, firstTwoKeys)

/**
 * Adds elements at the end and gives the new length.
 *
 * @category lists
 * @since 0.1.0
 */
export const rPush = (key: Arg, elements: OneOrMore<Arg>): Command<number> =>
  write(["RPUSH", key, ...many(elements)], integer)

/**
 * The same, if there is a list already.
 *
 * @category lists
 * @since 0.1.0
 */
export const rPushX = (key: Arg, elements: OneOrMore<Arg>): Command<number> =>
  write(["RPUSHX", key, ...many(elements)], integer)
