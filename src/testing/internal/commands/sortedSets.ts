/** Sorted sets. */
import type { ReplyValue } from "../../../Resp.ts"
import {
  array,
  bulk,
  type Caller,
  clampRange,
  type Command,
  double,
  integer,
  nil,
  refuse,
  syntaxError,
  toDouble,
  toIndex
} from "../command.ts"

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

const zadd = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const { flags, pairs } = zaddOptions(args)
  let added = 0
  let score: number | undefined
  const changes = caller.database.update(key, "zset", (zset) => {
    let changes = 0
    for (const [given, member] of pairs) {
      const current = zset.get(member)
      const next = flags.has("INCR") ? (current ?? 0) + given : given
      if (Number.isNaN(next)) refuse("ERR resulting score is not a number (NaN)")
      if (flags.has(current === undefined ? "XX" : "NX")) continue
      if (current !== undefined && flags.has("GT") && next <= current) continue
      if (current !== undefined && flags.has("LT") && next >= current) continue
      score = next
      if (current === next) continue
      if (current === undefined) added++
      changes++
      zset.set(member, next)
    }
    return changes
  })
  if (flags.has("INCR")) return score === undefined ? nil : double(caller, score)
  return integer(flags.has("CH") ? changes : added)
}

/** Members by score, then by their bytes. */
const ranked = (zset: ReadonlyMap<string, number>): Array<readonly [member: string, score: number]> =>
  [...zset].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))

/** Whether a value is behind the lower bound, or before the upper one. */
type Bound<A> = (value: A) => boolean

const scoreBound = (text: string, side: 1 | -1): Bound<number> => {
  const open = text.startsWith("(")
  const limit = toDouble(open ? text.slice(1) : text, "ERR min or max is not a float")
  return (score) => open ? (score - limit) * side > 0 : (score - limit) * side >= 0 || score === limit
}

const lexBound = (text: string, side: 1 | -1): Bound<string> => {
  if (text === "-") return () => side === 1
  if (text === "+") return () => side === -1
  const open = text.startsWith("(")
  if (!open && !text.startsWith("[")) refuse("ERR min or max not valid string range item")
  const limit = text.slice(1)
  return (member) => (member === limit ? !open : (member > limit) === (side === 1))
}

const zrange = (caller: Caller, [key, start, stop, ...args]: ReadonlyArray<string>): ReplyValue => {
  let by: "rank" | "BYSCORE" | "BYLEX" = "rank"
  let reverse = false
  let withScores = false
  let limit: readonly [offset: number, count: number] | undefined
  for (let i = 0; i < args.length; i++) {
    const option = args[i].toUpperCase()
    // Other than WITHSCORES and LIMIT, options may be given once.
    if ((option === "BYSCORE" || option === "BYLEX") && by === "rank") by = option
    else if (option === "REV" && !reverse) reverse = true
    else if (option === "WITHSCORES") withScores = true
    else if (option === "LIMIT" && i + 2 < args.length) limit = [toIndex(args[++i]), toIndex(args[++i])]
    else refuse(syntaxError)
  }
  if (limit !== undefined && limit[1] !== -1 && by === "rank") {
    refuse("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
  }
  if (withScores && by === "BYLEX") {
    refuse("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
  }
  const [low, high] = reverse && by !== "rank" ? [stop, start] : [start, stop]
  let keep: ((entry: readonly [string, number], rank: number, all: ReadonlyArray<unknown>) => boolean) | undefined
  if (by === "BYSCORE") {
    const [min, max] = [scoreBound(low, 1), scoreBound(high, -1)]
    keep = ([, score]) => min(score) && max(score)
  } else if (by === "BYLEX") {
    const [min, max] = [lexBound(low, 1), lexBound(high, -1)]
    keep = ([member]) => min(member) && max(member)
  } else {
    const range = [toIndex(low), toIndex(high)] as const
    keep = (_, rank, all) => {
      const [from, end] = clampRange(...range, all.length)
      return from <= rank && rank < end
    }
  }
  const all = ranked(caller.database.read(key, "zset") ?? new Map())
  let found = (reverse ? all.reverse() : all).filter(keep)
  if (limit !== undefined && by !== "rank") {
    const [offset, size] = limit
    found = offset < 0 ? [] : found.slice(offset, size < 0 ? undefined : offset + size)
  }
  if (!withScores) return array(found.map(([member]) => bulk(member)))
  const pairs = found.map(([member, score]) => [bulk(member), double(caller, score)])
  return array(caller.protocol === 3 ? pairs.map(array) : pairs.flat())
}

/** The commands of this file by name. */
export const sortedSets: Record<string, Command<Caller>> = {
  ZADD: { arity: -4, run: zadd },
  ZRANGE: { arity: -4, run: zrange },
  ZSCORE: {
    arity: 3,
    run: (caller, [key, member]) => {
      const score = caller.database.read(key, "zset")?.get(member)
      return score === undefined ? nil : double(caller, score)
    }
  },
  ZREM: {
    arity: -3,
    run: (caller, [key, ...members]) =>
      integer(caller.database.update(key, "zset", (zset) => members.filter((member) => zset.delete(member)).length))
  },
  ZCARD: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "zset")?.size ?? 0) }
}
