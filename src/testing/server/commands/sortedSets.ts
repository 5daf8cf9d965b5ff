/** Sorted sets: their members one by one. Ranges of them and algebra on them have files of their own. */
import {
  array,
  bulk,
  type Caller,
  type Command,
  double,
  emptyArray,
  integer,
  nil,
  pairs,
  popCount,
  refuse,
  refuseHalf,
  sample,
  syntaxError,
  takeKeys,
  toCount,
  toDouble,
  toSigned,
  wrongArity
} from "../command.ts"
import type { Database } from "../keyspace.ts"
import { ReplyValue } from "../replies.ts"

/** A member and its score. */
export type Scored = readonly [member: string, score: number]

/** Members by score, then by their bytes. */
export const ranked = (zset: ReadonlyMap<string, number>): Array<Scored> =>
  [...zset].sort(([a, x], [b, y]) => x === y ? (a < b ? -1 : 1) : x - y)

/** A reply of members alone or of members with their scores. */
export const scoredReply = (caller: Caller, found: ReadonlyArray<Scored>, withScores: boolean): ReplyValue =>
  withScores
    ? pairs(caller, found.map(([member, score]) => [bulk(member), double(caller, score)] as const))
    : array(found.map(([member]) => bulk(member)))

export const removeMembers = (database: Database, key: string, members: ReadonlyArray<string>): number =>
  database.update(key, "zset", (zset) => members.filter((member) => zset.delete(member)).length)

interface AddOptions {
  readonly flags: ReadonlySet<string>
  readonly pairs: ReadonlyArray<readonly [score: number, member: string]>
}

const zaddFlags = new Set(["NX", "XX", "GT", "LT", "CH", "INCR"])

const zaddOptions = (args: ReadonlyArray<string>): AddOptions => {
  const flags = new Set<string>()
  let at = 0
  while (at < args.length && zaddFlags.has(args[at].toUpperCase())) flags.add(args[at++].toUpperCase())
  const rest = args.slice(at)
  if (rest.length === 0 || rest.length % 2 !== 0) refuse(syntaxError)
  if (flags.has("NX") && flags.has("XX")) refuse("ERR XX and NX options at the same time are not compatible")
  if (["GT", "LT", "NX"].filter((flag) => flags.has(flag)).length > 1) {
    refuse("ERR GT, LT, and/or NX options at the same time are not compatible")
  }
  if (flags.has("INCR") && rest.length > 2) refuse("ERR INCR option supports a single increment-element pair")
  const pairs: Array<readonly [number, string]> = []
  for (let i = 0; i < rest.length; i += 2) pairs.push([toDouble(rest[i]), rest[i + 1]])
  return { flags, pairs }
}

const zadd = (caller: Caller, key: string, { flags, pairs }: AddOptions): ReplyValue => {
  let added = 0
  let score: number | undefined
  const changes = caller.database.update(key, "zset", (zset) => {
    let changes = 0
    for (const [given, member] of pairs) {
      const current = zset.get(member)
      const next = flags.has("INCR") && current !== undefined ? current + given : given
      if (Number.isNaN(next)) refuse("ERR resulting score is not a number (NaN)")
      if (flags.has(current === undefined ? "XX" : "NX")) continue
      if (current !== undefined && flags.has("GT") && next <= current) continue
      if (current !== undefined && flags.has("LT") && next >= current) continue
      score = next
      if (current === next) continue
      if (current === undefined) added++
      changes++
      // Redis keeps the scores of small sorted sets as text, which loses the sign of 0.
      zset.set(member, next + 0)
    }
    return changes
  })
  if (flags.has("INCR")) return score === undefined ? nil : double(caller, score)
  return integer(flags.has("CH") ? changes : added)
}

const rank = (name: string, reverse: boolean): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, member, ...options]) => {
    if (options.length > 1) refuse(wrongArity(name))
    if (options.length > 0 && options[0].toUpperCase() !== "WITHSCORE") refuse(syntaxError)
    const withScore = options.length > 0
    const zset = caller.database.read(key, "zset")
    const score = zset?.get(member)
    if (zset === undefined || score === undefined) return withScore ? ReplyValue.NullArray() : nil
    const before = ranked(zset).findIndex(([other]) => other === member)
    const rank = integer(reverse ? zset.size - 1 - before : before)
    return withScore ? array([rank, double(caller, score)]) : rank
  }
})

const scoreOrNil = (caller: Caller, score: number | undefined): ReplyValue =>
  score === undefined ? nil : double(caller, score)

// ----- pops -----

/** The end of a sorted set that members are taken from. */
export type End = "MIN" | "MAX"

/** Removes up to `count` members from one end and returns them; `undefined` when there is no sorted set. */
const popMembers = (
  database: Database,
  key: string,
  end: End,
  count: number
): ReadonlyArray<Scored> | undefined => {
  const zset = database.read(key, "zset")
  if (zset === undefined) return undefined
  const all = ranked(zset)
  const popped = (end === "MIN" ? all : all.reverse()).slice(0, count)
  removeMembers(database, key, popped.map(([member]) => member))
  return popped
}

/** Pops from the first sorted set there is: its key and the members. */
const popFirstMembers = (
  database: Database,
  keys: ReadonlyArray<string>,
  end: End,
  count: number
): readonly [key: string, popped: ReadonlyArray<Scored>] | undefined => {
  for (const key of keys) {
    const popped = popMembers(database, key, end, count)
    if (popped !== undefined) return [key, popped]
  }
  return undefined
}

/** What follows the keys of `ZMPOP` and its like. */
export const multiPopOptions = (
  args: ReadonlyArray<string>
): { readonly keys: ReadonlyArray<string>; readonly end: End; readonly count: number } => {
  const [keys, [given, ...options]] = takeKeys(args)
  const end = given?.toUpperCase()
  if (end !== "MIN" && end !== "MAX") return refuse(syntaxError)
  return { keys, end, count: popCount(options) }
}

/** What `ZMPOP` replies: other than elsewhere, pairs in both protocols. */
export const multiPopReply = (
  caller: Caller,
  [key, popped]: readonly [key: string, popped: ReadonlyArray<Scored>]
): ReplyValue =>
  array([bulk(key), array(popped.map(([member, score]) => array([bulk(member), double(caller, score)])))])

const pop = (end: End): Command<Caller> => ({
  arity: -2,
  run: (caller, [key, ...args]) => {
    if (args.length > 1) refuse(syntaxError)
    const wanted = args.length === 0 ? 1 : toCount(args[0])
    const popped = popMembers(caller.database, key, end, wanted) ?? []
    // Without a count one pair is flat even in RESP3.
    if (args.length > 0) return scoredReply(caller, popped, true)
    return popped.length === 0 ? emptyArray : array([bulk(popped[0][0]), double(caller, popped[0][1])])
  }
})

const random = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const wanted = args.length === 0 ? undefined : toSigned(args[0])
  if (args.length > 2 || (args.length === 2 && args[1].toUpperCase() !== "WITHSCORES")) refuse(syntaxError)
  if (args.length === 2 && wanted !== undefined) refuseHalf(wanted)
  const all = ranked(caller.database.read(key, "zset") ?? new Map())
  if (wanted === undefined) return all.length === 0 ? nil : bulk(all[0][0])
  return scoredReply(caller, sample(all, wanted), args.length === 2)
}

/** The commands of this file by name. */
export const sortedSets: Record<string, Command<Caller>> = {
  ZADD: { arity: -4, run: (caller, [key, ...args]) => zadd(caller, key, zaddOptions(args)) },
  ZINCRBY: {
    arity: 4,
    run: (caller, [key, by, member]) => zadd(caller, key, { flags: new Set(["INCR"]), pairs: [[toDouble(by), member]] })
  },
  ZSCORE: {
    arity: 3,
    run: (caller, [key, member]) => scoreOrNil(caller, caller.database.read(key, "zset")?.get(member))
  },
  ZMSCORE: {
    arity: -3,
    run: (caller, [key, ...members]) => {
      const zset = caller.database.read(key, "zset")
      return array(members.map((member) => scoreOrNil(caller, zset?.get(member))))
    }
  },
  ZRANK: rank("zrank", false),
  ZREVRANK: rank("zrevrank", true),
  ZREM: {
    arity: -3,
    run: (caller, [key, ...members]) => integer(removeMembers(caller.database, key, members))
  },
  ZPOPMIN: pop("MIN"),
  ZPOPMAX: pop("MAX"),
  ZMPOP: {
    arity: -4,
    run: (caller, args) => {
      const { count, end, keys } = multiPopOptions(args)
      const popped = popFirstMembers(caller.database, keys, end, count)
      return popped === undefined ? ReplyValue.NullArray() : multiPopReply(caller, popped)
    }
  },
  ZRANDMEMBER: { arity: -2, run: random },
  ZCARD: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "zset")?.size ?? 0) }
}
