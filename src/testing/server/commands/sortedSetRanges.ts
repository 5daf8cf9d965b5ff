/** Ranges of sorted sets, by rank, score or the bytes of their members: read, stored, counted and removed. */
import { type Caller, clampRange, type Command, integer, refuse, syntaxError, toDouble, toIndex } from "../command.ts"
import type { ReplyValue } from "../replies.ts"
import { ranked, removeMembers, type Scored, scoredReply } from "./sortedSets.ts"

type By = "RANK" | "BYSCORE" | "BYLEX"

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

/** Takes what is within the bounds from members that are already in their order. */
type Range = (members: ReadonlyArray<Scored>) => ReadonlyArray<Scored>

const toRange = (by: By, low: string, high: string): Range => {
  if (by === "BYSCORE") {
    const [min, max] = [scoreBound(low, 1), scoreBound(high, -1)]
    return (members) => members.filter(([, score]) => min(score) && max(score))
  }
  if (by === "BYLEX") {
    const [min, max] = [lexBound(low, 1), lexBound(high, -1)]
    return (members) => members.filter(([member]) => min(member) && max(member))
  }
  const range = [toIndex(low), toIndex(high)] as const
  return (members) => members.slice(...clampRange(...range, members.length))
}

/** What the name of a command has decided already; `ZRANGE` leaves it to its options. */
interface Fixed {
  readonly by?: By
  readonly reverse?: boolean
  readonly store?: boolean
}

interface Query {
  readonly range: Range
  readonly reverse: boolean
  readonly withScores: boolean
  readonly limit: readonly [offset: number, count: number] | undefined
}

const toQuery = (fixed: Fixed, [start, stop, ...args]: ReadonlyArray<string>): Query => {
  let { by, reverse } = fixed
  let withScores = false
  let limit: readonly [offset: number, count: number] | undefined
  for (let i = 0; i < args.length; i++) {
    const option = args[i].toUpperCase()
    // Other than WITHSCORES and LIMIT, options may be given once.
    if ((option === "BYSCORE" || option === "BYLEX") && by === undefined) by = option
    else if (option === "REV" && reverse === undefined) reverse = true
    else if (option === "WITHSCORES" && fixed.store !== true) withScores = true
    else if (option === "LIMIT" && i + 2 < args.length) limit = [toIndex(args[++i]), toIndex(args[++i])]
    else refuse(syntaxError)
  }
  by ??= "RANK"
  if (limit !== undefined && limit[1] !== -1 && by === "RANK") {
    refuse("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
  }
  if (withScores && by === "BYLEX") {
    refuse("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
  }
  // Backwards the greater bound comes first, but ranks are counted backwards themselves.
  const range = reverse === true && by !== "RANK" ? toRange(by, stop, start) : toRange(by, start, stop)
  return { range, reverse: reverse === true, withScores, limit: by === "RANK" ? undefined : limit }
}

const find = (caller: Caller, key: string, { limit, range, reverse }: Query): ReadonlyArray<Scored> => {
  const members = ranked(caller.database.read(key, "zset") ?? new Map())
  const found = range(reverse ? members.reverse() : members)
  if (limit === undefined) return found
  const [offset, count] = limit
  return offset < 0 ? [] : found.slice(offset, count < 0 ? undefined : offset + count)
}

const range = (fixed: Fixed): Command<Caller> => ({
  arity: -4,
  run: (caller, [key, ...args]) => {
    const query = toQuery(fixed, args)
    return scoredReply(caller, find(caller, key, query), query.withScores)
  }
})

const store = (caller: Caller, [destination, key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const found = find(caller, key, toQuery({ store: true }, args))
  caller.database.store(destination, "zset", new Map(found))
  return integer(found.length)
}

/** The members of a range in rising order. */
const within = (caller: Caller, by: By, [key, low, high]: ReadonlyArray<string>): ReadonlyArray<Scored> => {
  const range = toRange(by, low, high)
  return range(ranked(caller.database.read(key, "zset") ?? new Map()))
}

const count = (by: By): Command<Caller> => ({
  arity: 4,
  run: (caller, args) => integer(within(caller, by, args).length)
})

const removeRange = (by: By): Command<Caller> => ({
  arity: 4,
  run: (caller, args) => {
    const members = within(caller, by, args).map(([member]) => member)
    return integer(removeMembers(caller.database, args[0], members))
  }
})

/** The commands of this file by name. */
export const sortedSetRanges: Record<string, Command<Caller>> = {
  ZRANGE: range({}),
  ZREVRANGE: range({ by: "RANK", reverse: true }),
  ZRANGEBYSCORE: range({ by: "BYSCORE", reverse: false }),
  ZREVRANGEBYSCORE: range({ by: "BYSCORE", reverse: true }),
  ZRANGEBYLEX: range({ by: "BYLEX", reverse: false }),
  ZREVRANGEBYLEX: range({ by: "BYLEX", reverse: true }),
  ZRANGESTORE: { arity: -5, run: store },
  ZCOUNT: count("BYSCORE"),
  ZLEXCOUNT: count("BYLEX"),
  ZREMRANGEBYRANK: removeRange("RANK"),
  ZREMRANGEBYSCORE: removeRange("BYSCORE"),
  ZREMRANGEBYLEX: removeRange("BYLEX")
}
