/**
 * Commands of sets.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import {
  allKeys,
  type Command,
  countedKeys,
  countOf,
  firstTwoKeys,
  flag,
  many,
  type OneOrMore,
  option,
  read,
  type ScanOptions,
  scanWords,
  write
} from "./command.ts"
import { bit, bits, blobOrNull, blobs, type Cursor, integer, page } from "./decode.ts"

/**
 * Adds members and gives how many are new.
 *
 * @category sets
 * @since 0.1.0
 */
export const sAdd = (key: Arg, members: OneOrMore<Arg>): Command<number> =>
  write(["SADD", key, ...many(members)], integer)

/**
 * How many members a set has.
 *
 * @category sets
 * @since 0.1.0
 */
export const sCard = (key: Arg): Command<number> => read(["SCARD", key], integer)

/**
 * The members of the first set that are in none of the others. O(n) in all members.
 *
 * @category sets
 * @since 0.1.0
 */
export const sDiff = (keys: OneOrMore<Arg>): Command<Array<string>> => read(["SDIFF", ...many(keys)], blobs, allKeys)

/**
 * How many those are, at most `LIMIT`. Redis 8.10.
 *
 * @category sets
 * @since 0.1.0
 */
export const sDiffCard = (
  keys: OneOrMore<Arg>,
  options: { readonly LIMIT?: number | undefined } = {}
): Command<number> => read(["SDIFFCARD", ...countOf(keys), ...option("LIMIT", options.LIMIT)], integer, countedKeys)

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sets
 * @since 0.1.0
 */
export const sDiffStore = (destination: Arg, keys: OneOrMore<Arg>): Command<number> =>
  write(["SDIFFSTORE", destination, ...many(keys)], integer, allKeys)

/**
 * The members that are in all of the sets. O(n) in the smallest, for each.
 *
 * @category sets
 * @since 0.1.0
 */
export const sInter = (keys: OneOrMore<Arg>): Command<Array<string>> => read(["SINTER", ...many(keys)], blobs, allKeys)

/**
 * How many those are, at most `LIMIT`.
 *
 * @category sets
 * @since 0.1.0
 */
export const sInterCard = (
  keys: OneOrMore<Arg>,
  options: { readonly LIMIT?: number | undefined } = {}
): Command<number> => read(["SINTERCARD", ...countOf(keys), ...option("LIMIT", options.LIMIT)], integer, countedKeys)

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sets
 * @since 0.1.0
 */
export const sInterStore = (destination: Arg, keys: OneOrMore<Arg>): Command<number> =>
  write(["SINTERSTORE", destination, ...many(keys)], integer, allKeys)

/**
 * Whether a set has a member.
 *
 * @category sets
 * @since 0.1.0
 */
export const sIsMember = (key: Arg, member: Arg): Command<0 | 1> => read(["SISMEMBER", key, member], bit)

/**
 * All members, in no order. O(n): see `sScan` for large ones.
 *
 * @category sets
 * @since 0.1.0
 */
export const sMembers = (key: Arg): Command<Array<string>> => read(["SMEMBERS", key], blobs)

/**
 * Whether a set has each of some members.
 *
 * @category sets
 * @since 0.1.0
 */
export const smIsMember = (key: Arg, members: OneOrMore<Arg>): Command<Array<0 | 1>> =>
  read(["SMISMEMBER", key, ...many(members)], bits)

/**
 * Moves a member to another set; 0 where it was not there.
 *
 * @category sets
 * @since 0.1.0
 */
export const sMove = (source: Arg, destination: Arg, member: Arg): Command<0 | 1> =>
  write(["SMOVE", source, destination, member], bit, firstTwoKeys)

/**
 * Takes any member; `null` where there is none.
 *
 * @category sets
 * @since 0.1.0
 */
export const sPop = (key: Arg): Command<string | null> => write(["SPOP", key], blobOrNull)

/**
 * Takes as many different members, or all.
 *
 * @category sets
 * @since 0.1.0
 */
export const sPopCount = (key: Arg, count: number): Command<Array<string>> => write(["SPOP", key, count], blobs)

/**
 * Any member; `null` where there is none.
 *
 * @category sets
 * @since 0.1.0
 */
export const sRandMember = (key: Arg): Command<string | null> => read(["SRANDMEMBER", key], blobOrNull)

/**
 * As many different members, or below zero that many, repeated as they come.
 *
 * @category sets
 * @since 0.1.0
 */
export const sRandMemberCount = (key: Arg, count: number): Command<Array<string>> =>
  read(["SRANDMEMBER", key, count], blobs)

/**
 * Removes members and gives how many there were.
 *
 * @category sets
 * @since 0.1.0
 */
export const sRem = (key: Arg, members: OneOrMore<Arg>): Command<number> =>
  write(["SREM", key, ...many(members)], integer)

/**
 * One step through all members. One can come twice, and a page may be empty before the end, which is cursor `"0"`.
 *
 * @category sets
 * @since 0.1.0
 */
export const sScan = (
  key: Arg,
  cursor: Cursor,
  options: ScanOptions = {}
): Command<{ readonly cursor: Cursor; readonly members: Array<string> }> =>
  read(["SSCAN", key, cursor, ...scanWords(options)], (reply) => page(reply, "members", blobs))

/**
 * The members of all sets together. O(n).
 *
 * @category sets
 * @since 0.1.0
 */
export const sUnion = (keys: OneOrMore<Arg>): Command<Array<string>> => read(["SUNION", ...many(keys)], blobs, allKeys)

/**
 * How many those are, at most `LIMIT`, or about how many. Redis 8.10.
 *
 * @category sets
 * @since 0.1.0
 */
export const sUnionCard = (
  keys: OneOrMore<Arg>,
  options: { readonly APPROX?: boolean | undefined; readonly LIMIT?: number | undefined } = {}
): Command<number> =>
  read(
    ["SUNIONCARD", ...countOf(keys), ...flag("APPROX", options.APPROX), ...option("LIMIT", options.LIMIT)],
    integer,
    countedKeys
  )

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sets
 * @since 0.1.0
 */
export const sUnionStore = (destination: Arg, keys: OneOrMore<Arg>): Command<number> =>
  write(["SUNIONSTORE", destination, ...many(keys)], integer, allKeys)
