/**
 * Commands of sorted sets: members with scores. Scores of `Infinity` are sent and read as such.
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
  double as scalar,
  firstAndCountedKeys,
  firstTwoKeys,
  flag,
  many,
  type OneOrMore,
  option,
  optional,
  read,
  type ScanOptions,
  scanWords,
  waiting,
  write
} from "./command.ts"
import {
  blob,
  blobOrNull,
  blobs,
  blobsOrNull,
  type Cursor,
  double,
  doubleOrNull,
  integer,
  integerOrNull,
  nullableDoubles,
  page,
  type Scored,
  scored,
  scoredMembers,
  tuple
} from "./decode.ts"
import { patience } from "./time.ts"

/**
 * A bound of a range: a score, `"(1"` without it, `"-inf"`, or in `BYLEX` `"[a"`, `"(a"`, `"-"`, `"+"`.
 *
 * @category models
 * @since 0.1.0
 */
export type RangeBound = Arg

/**
 * How many of a range are left out first, and how many are taken then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit {
  readonly offset: number
  readonly count: number
}

const limitWords = (limit: Limit | undefined): ReadonlyArray<Arg> =>
  limit === undefined ? [] : ["LIMIT", limit.offset, limit.count]

/**
 * A member, its score, and the set that it was in.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoppedMember extends Scored {
  readonly key: string
}

/**
 * Members, and the set that they were in.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoppedMembers {
  readonly key: string
  readonly members: Array<Scored>
}

const popped = (reply: unknown): PoppedMember | null => {
  if (reply === null) return null
  const [key, value, score] = tuple(reply, 3)
  return { key: blob(key), value: blob(value), score: double(score) }
}

const poppedSome = (reply: unknown): PoppedMembers | null => {
  if (reply === null) return null
  const [key, members] = tuple(reply, 2)
  return { key: blob(key), members: scoredMembers(members) }
}

/** RESP3 has the one pair by itself. */
const firstMember = (reply: unknown): Scored | null => {
  const [first, second] = tuple(reply, 0)
  return first === undefined
    ? null
    : Array.isArray(first)
    ? scored(first[0], first[1])
    : scored(first, second)
}

/**
 * Moves the members with the lowest or highest scores to another set, and gives them as the server does; waits for
 * one, without end at 0. Redis 8.12.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const bzMove = (
  source: Arg,
  destination: Arg,
  side: "MIN" | "MAX",
  timeout: Duration.Input,
  options: { readonly COUNT?: number | undefined } = {}
): Command<Array<unknown> | null> =>
  waiting(
    ["BZMOVE", source, destination, side, patience(timeout), ...option("COUNT", options.COUNT)],
    blobsOrNull,
    firstTwoKeys
  )

/**
 * Takes members from the first of the sets that has any; waits for one, without end at 0.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const bzmPop = (
  timeout: Duration.Input,
  keys: OneOrMore<Arg>,
  side: "MIN" | "MAX",
  options: { readonly COUNT?: number | undefined } = {}
): Command<PoppedMembers | null> =>
  waiting(
    ["BZMPOP", patience(timeout), ...countOf(keys), side, ...option("COUNT", options.COUNT)],
    poppedSome,
    countedKeysAfterOne
  )

/**
 * Takes the member with the highest score of the first of the sets that has any; waits for one, without end at 0.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const bzPopMax = (keys: OneOrMore<Arg>, timeout: Duration.Input): Command<PoppedMember | null> =>
  waiting(["BZPOPMAX", ...many(keys), patience(timeout)], popped, allKeysButLast)

/**
 * Takes the member with the lowest score of the first of the sets that has any; waits for one, without end at 0.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const bzPopMin = (keys: OneOrMore<Arg>, timeout: Duration.Input): Command<PoppedMember | null> =>
  waiting(["BZPOPMIN", ...many(keys), patience(timeout)], popped, allKeysButLast)

/**
 * Which members `zAdd` writes, and what it counts.
 *
 * @category models
 * @since 0.1.0
 */
export interface ZAddOptions {
  /** `NX`: only new members; `XX`: only those that are there. */
  readonly condition?: "NX" | "XX" | undefined
  /** Only where the score becomes greater, or less; new members are added all the same. */
  readonly comparison?: "GT" | "LT" | undefined
  /** Count what changed, and not only what is new. */
  readonly CH?: boolean | undefined
}

const addWords = (
  { CH, comparison, condition }: ZAddOptions,
  increments: boolean,
  members: OneOrMore<ScoredBytes>
): ReadonlyArray<Arg> => [
  ...optional(condition),
  ...optional(comparison),
  ...flag("CH", CH),
  ...flag("INCR", increments),
  ...(Array.isArray(members) ? members as ReadonlyArray<ScoredBytes> : [members as ScoredBytes])
    .flatMap(({ score, value }) => [scalar(score), value])
]

/**
 * A member that may be bytes or a number, and its score.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScoredBytes {
  readonly score: number
  readonly value: Arg
}

/**
 * Adds members with their scores, or gives them new ones, and counts the new members.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zAdd = (
  key: Arg,
  members: OneOrMore<ScoredBytes>,
  options: ZAddOptions = {}
): Command<number> => write(["ZADD", key, ...addWords(options, false, members)], double)

/**
 * Adds to the score of a member and gives the new one; `null` where the options did not let it.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zAddIncr = (
  key: Arg,
  member: ScoredBytes,
  options: ZAddOptions = {}
): Command<number | null> => write(["ZADD", key, ...addWords(options, true, member)], doubleOrNull)

/**
 * How many members a sorted set has.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zCard = (key: Arg): Command<number> => read(["ZCARD", key], integer)

/**
 * How many members have a score in a range.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zCount = (key: Arg, min: RangeBound, max: RangeBound): Command<number> =>
  read(["ZCOUNT", key, scalar(min), scalar(max)], integer)

/**
 * The members of the first set that are in none of the others.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zDiff = (keys: OneOrMore<Arg>): Command<Array<string>> =>
  read(["ZDIFF", ...countOf(keys)], blobs, countedKeys)

/**
 * The same, with their scores.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zDiffWithScores = (keys: OneOrMore<Arg>): Command<Array<Scored>> =>
  read(["ZDIFF", ...countOf(keys), "WITHSCORES"], scoredMembers, countedKeys)

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zDiffStore = (destination: Arg, keys: OneOrMore<Arg>): Command<number> =>
  write(["ZDIFFSTORE", destination, ...countOf(keys)], integer, firstAndCountedKeys)

/**
 * Adds to the score of a member, which is made where it is missing, and gives the new one.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zIncrBy = (key: Arg, increment: number, member: Arg): Command<number> =>
  write(["ZINCRBY", key, scalar(increment), member], double)

/**
 * A set, and what its scores are multiplied with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weighted {
  readonly key: Arg
  readonly weight: number
}

/**
 * One set or several, each of them weighted or none.
 *
 * @category models
 * @since 0.1.0
 */
export type ZKeys = OneOrMore<Arg> | OneOrMore<Weighted>

/**
 * What becomes of the scores of a member that is in several sets; their sum by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface AggregateOptions {
  readonly AGGREGATE?: "SUM" | "MIN" | "MAX" | undefined
}

const isWeighted = (key: Arg | Weighted): key is Weighted => typeof key === "object" && "weight" in key

const aggregated = (keys: ZKeys, { AGGREGATE }: AggregateOptions): ReadonlyArray<Arg> => {
  const all: ReadonlyArray<Arg | Weighted> = Array.isArray(keys) ? keys : [keys]
  const weighted = all.filter(isWeighted)
  return [
    all.length,
    ...all.map((key) => isWeighted(key) ? key.key : key),
    ...(weighted.length === 0 ? [] : ["WEIGHTS", ...weighted.map(({ weight }) => scalar(weight))]),
    ...option("AGGREGATE", AGGREGATE)
  ]
}

/**
 * The members that are in all of the sets.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zInter = (keys: ZKeys, options: AggregateOptions = {}): Command<Array<string>> =>
  read(["ZINTER", ...aggregated(keys, options)], blobs, countedKeys)

/**
 * The same, with their scores.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zInterWithScores = (keys: ZKeys, options: AggregateOptions = {}): Command<Array<Scored>> =>
  read(["ZINTER", ...aggregated(keys, options), "WITHSCORES"], scoredMembers, countedKeys)

/**
 * How many those are, at most `LIMIT`.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zInterCard = (
  keys: OneOrMore<Arg>,
  options: { readonly LIMIT?: number | undefined } = {}
): Command<number> => read(["ZINTERCARD", ...countOf(keys), ...option("LIMIT", options.LIMIT)], integer, countedKeys)

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zInterStore = (destination: Arg, keys: ZKeys, options: AggregateOptions = {}): Command<number> =>
  write(["ZINTERSTORE", destination, ...aggregated(keys, options)], integer, firstAndCountedKeys)

/**
 * How many members are in a range of names; means something where all scores are the same.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zLexCount = (key: Arg, min: RangeBound, max: RangeBound): Command<number> =>
  read(["ZLEXCOUNT", key, min, max], integer)

/**
 * Takes members from the first of the sets that has any, one unless `COUNT` says how many.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zmPop = (
  keys: OneOrMore<Arg>,
  side: "MIN" | "MAX",
  options: { readonly COUNT?: number | undefined } = {}
): Command<PoppedMembers | null> =>
  write(["ZMPOP", ...countOf(keys), side, ...option("COUNT", options.COUNT)], poppedSome, countedKeys)

/**
 * The scores of members, in their order; `null` for one that is not there.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zmScore = (key: Arg, members: OneOrMore<Arg>): Command<Array<number | null>> =>
  read(["ZMSCORE", key, ...many(members)], nullableDoubles)

/**
 * Takes the member with the highest score; `null` where there is none.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zPopMax = (key: Arg): Command<Scored | null> => write(["ZPOPMAX", key], firstMember)

/**
 * Takes the members with the highest scores, the highest first.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zPopMaxCount = (key: Arg, count: number): Command<Array<Scored>> =>
  write(["ZPOPMAX", key, count], scoredMembers)

/**
 * Takes the member with the lowest score; `null` where there is none.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zPopMin = (key: Arg): Command<Scored | null> => write(["ZPOPMIN", key], firstMember)

/**
 * Takes the members with the lowest scores, the lowest first.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zPopMinCount = (key: Arg, count: number): Command<Array<Scored>> =>
  write(["ZPOPMIN", key, count], scoredMembers)

/**
 * Any member; `null` where there is none.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRandMember = (key: Arg): Command<string | null> => read(["ZRANDMEMBER", key], blobOrNull)

/**
 * As many different members, or below zero that many, repeated as they come.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRandMemberCount = (key: Arg, count: number): Command<Array<string>> =>
  read(["ZRANDMEMBER", key, count], blobs)

/**
 * The same, with their scores.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRandMemberCountWithScores = (key: Arg, count: number): Command<Array<Scored>> =>
  read(["ZRANDMEMBER", key, count, "WITHSCORES"], scoredMembers)

/**
 * What the bounds of a range mean (positions by default), and its order: with `REV` the bounds change places too.
 *
 * @category models
 * @since 0.1.0
 */
export interface ZRangeOptions {
  readonly BY?: "SCORE" | "LEX" | undefined
  readonly REV?: boolean | undefined
  readonly LIMIT?: Limit | undefined
}

const rangeWords = (min: RangeBound, max: RangeBound, { BY, LIMIT, REV }: ZRangeOptions): ReadonlyArray<Arg> => [
  scalar(min),
  scalar(max),
  ...optional(BY === undefined ? undefined : `BY${BY}`),
  ...flag("REV", REV),
  ...limitWords(LIMIT)
]

/**
 * The members of a range, in the order of their scores: of positions, both ends included, or as `BY` says. O(log n +
 * m).
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRange = (
  key: Arg,
  min: RangeBound,
  max: RangeBound,
  options: ZRangeOptions = {}
): Command<Array<string>> => read(["ZRANGE", key, ...rangeWords(min, max, options)], blobs)

/**
 * The same, with their scores.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRangeWithScores = (
  key: Arg,
  min: RangeBound,
  max: RangeBound,
  options: ZRangeOptions = {}
): Command<Array<Scored>> => read(["ZRANGE", key, ...rangeWords(min, max, options), "WITHSCORES"], scoredMembers)

/**
 * `zRange` with `BY: "LEX"`.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRangeByLex = (
  key: Arg,
  min: RangeBound,
  max: RangeBound,
  options: { readonly LIMIT?: Limit | undefined } = {}
): Command<Array<string>> => read(["ZRANGEBYLEX", key, min, max, ...limitWords(options.LIMIT)], blobs)

/**
 * `zRange` with `BY: "SCORE"`.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRangeByScore = (
  key: Arg,
  min: RangeBound,
  max: RangeBound,
  options: { readonly LIMIT?: Limit | undefined } = {}
): Command<Array<string>> => read(["ZRANGEBYSCORE", key, scalar(min), scalar(max), ...limitWords(options.LIMIT)], blobs)

/**
 * `zRangeWithScores` with `BY: "SCORE"`.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRangeByScoreWithScores = (
  key: Arg,
  min: RangeBound,
  max: RangeBound,
  options: { readonly LIMIT?: Limit | undefined } = {}
): Command<Array<Scored>> =>
  read(
    ["ZRANGEBYSCORE", key, scalar(min), scalar(max), ...limitWords(options.LIMIT), "WITHSCORES"],
    scoredMembers
  )

/**
 * Puts a range into another set and gives how many members it has.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRangeStore = (
  destination: Arg,
  source: Arg,
  min: RangeBound,
  max: RangeBound,
  options: ZRangeOptions = {}
): Command<number> =>
  write(["ZRANGESTORE", destination, source, ...rangeWords(min, max, options)], integer, firstTwoKeys)

/**
 * The position of a member, from 0 for the lowest score; `null` where it is not there. O(log n).
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRank = (key: Arg, member: Arg): Command<number | null> => read(["ZRANK", key, member], integerOrNull)

/**
 * A position, and the score there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rank {
  readonly rank: number
  readonly score: number
}

const rank = (reply: unknown): Rank | null => {
  if (reply === null) return null
  const [rank, score] = tuple(reply, 2)
  return { rank: integer(rank), score: double(score) }
}

/**
 * The same, with its score. Redis 7.2.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRankWithScore = (key: Arg, member: Arg): Command<Rank | null> =>
  read(["ZRANK", key, member, "WITHSCORE"], rank)

/**
 * Removes members and gives how many there were.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRem = (key: Arg, members: OneOrMore<Arg>): Command<number> =>
  write(["ZREM", key, ...many(members)], integer)

/**
 * Removes a range of names and gives how many there were.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRemRangeByLex = (key: Arg, min: RangeBound, max: RangeBound): Command<number> =>
  write(["ZREMRANGEBYLEX", key, min, max], integer)

/**
 * Removes a range of positions and gives how many there were.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRemRangeByRank = (key: Arg, start: number, stop: number): Command<number> =>
  write(["ZREMRANGEBYRANK", key, start, stop], integer)

/**
 * Removes a range of scores and gives how many there were.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRemRangeByScore = (key: Arg, min: RangeBound, max: RangeBound): Command<number> =>
  write(["ZREMRANGEBYSCORE", key, scalar(min), scalar(max)], integer)

/**
 * The position of a member, from 0 for the highest score; `null` where it is not there.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRevRank = (key: Arg, member: Arg): Command<number | null> =>
  read(["ZREVRANK", key, member], integerOrNull)

/**
 * The same, with its score. Redis 7.2.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zRevRankWithScore = (key: Arg, member: Arg): Command<Rank | null> =>
  read(["ZREVRANK", key, member, "WITHSCORE"], rank)

/**
 * One step through all members. One can come twice, and a page may be empty before the end, which is cursor `"0"`.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zScan = (
  key: Arg,
  cursor: Cursor,
  options: ScanOptions = {}
): Command<{ readonly cursor: Cursor; readonly members: Array<Scored> }> =>
  read(["ZSCAN", key, cursor, ...scanWords(options)], (reply) => page(reply, "members", scoredMembers))

/**
 * The score of a member; `null` where it is not there.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zScore = (key: Arg, member: Arg): Command<number | null> => read(["ZSCORE", key, member], doubleOrNull)

/**
 * The members of all sets together.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zUnion = (keys: ZKeys, options: AggregateOptions = {}): Command<Array<string>> =>
  read(["ZUNION", ...aggregated(keys, options)], blobs, countedKeys)

/**
 * The same, with their scores.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zUnionWithScores = (keys: ZKeys, options: AggregateOptions = {}): Command<Array<Scored>> =>
  read(["ZUNION", ...aggregated(keys, options), "WITHSCORES"], scoredMembers, countedKeys)

/**
 * Puts them into another set and gives how many they are.
 *
 * @category sortedSets
 * @since 0.1.0
 */
export const zUnionStore = (destination: Arg, keys: ZKeys, options: AggregateOptions = {}): Command<number> =>
  write(["ZUNIONSTORE", destination, ...aggregated(keys, options)], integer, firstAndCountedKeys)
