/** Unions, intersections and differences of sorted sets; a set takes part as if all its scores were 1. */
import { type Caller, type Command, integer, refuse, syntaxError, toCount, toDouble, toInteger } from "../command.ts"
import type { ReplyValue } from "../replies.ts"
import { ranked, scoredReply } from "./sortedSets.ts"

type Operation = "UNION" | "INTER" | "DIFF"

type Aggregate = (left: number, right: number) => number

const aggregates: Readonly<Record<string, Aggregate>> = {
  // Infinities of both signs add up to 0 here.
  SUM: (left, right) => Number.isNaN(left + right) ? 0 : left + right,
  MIN: Math.min,
  MAX: Math.max
}

interface Query {
  readonly sources: ReadonlyArray<ReadonlyMap<string, number>>
  readonly aggregate: Aggregate
  readonly withScores: boolean
  readonly limit: number
}

/** What a command takes after its keys. */
type Options = "aggregates" | "limit" | "scores"

const read = (caller: Caller, key: string): ReadonlyMap<string, number> =>
  caller.database.type(key) === "set"
    ? new Map([...caller.database.read(key, "set") ?? []].map((member) => [member, 1] as const))
    : caller.database.read(key, "zset") ?? new Map()

// Infinity times 0 counts as 0.
const weigh = (source: ReadonlyMap<string, number>, weight: number): ReadonlyMap<string, number> =>
  new Map([...source].map(([member, score]) => [member, Number.isNaN(score * weight) ? 0 : score * weight] as const))

const toQuery = (
  caller: Caller,
  command: string,
  allowed: ReadonlySet<Options>,
  [numkeys, ...args]: ReadonlyArray<string>
): Query => {
  const given = Number(toInteger(numkeys))
  if (given < 1) refuse(`ERR at least 1 input key is needed for '${command}' command`)
  if (given > args.length) refuse(syntaxError)
  let sources = args.slice(0, given).map((key) => read(caller, key))
  let aggregate = aggregates.SUM
  let withScores = false
  let limit = 0
  for (let i = given; i < args.length; i++) {
    const option = args[i].toUpperCase()
    if (option === "WEIGHTS" && allowed.has("aggregates") && i + given < args.length) {
      const weights = args.slice(i + 1, i + 1 + given).map((text) => toDouble(text, "ERR weight value is not a float"))
      sources = sources.map((source, index) => weigh(source, weights[index]))
      i += given
    } else if (option === "AGGREGATE" && allowed.has("aggregates") && i + 1 < args.length) {
      const name = args[++i].toUpperCase()
      aggregate = Object.hasOwn(aggregates, name) ? aggregates[name] : refuse(syntaxError)
    } else if (option === "WITHSCORES" && allowed.has("scores")) withScores = true
    else if (option === "LIMIT" && allowed.has("limit") && i + 1 < args.length) {
      limit = toCount(args[++i], "ERR LIMIT can't be negative")
    } else refuse(syntaxError)
  }
  return { sources, aggregate, withScores, limit }
}

const combine = (operation: Operation, { aggregate, sources }: Query): Map<string, number> => {
  if (operation === "DIFF") {
    const [first, ...rest] = sources
    return new Map([...first].filter(([member]) => !rest.some((source) => source.has(member))))
  }
  const result = new Map<string, number>()
  // Redis begins with the smallest, which shows where sums of doubles are rounded.
  const bySize = sources.toSorted((a, b) => a.size - b.size)
  for (const [member, score] of bySize.flatMap((source) => [...source])) {
    const before = result.get(member)
    result.set(member, before === undefined ? score : aggregate(before, score))
  }
  if (operation === "UNION") return result
  return new Map([...result].filter(([member]) => sources.every((source) => source.has(member))))
}

const reply = (operation: Operation, command: string): Command<Caller> => ({
  arity: -3,
  run: (caller, args) => {
    const allowed = new Set<Options>(operation === "DIFF" ? ["scores"] : ["aggregates", "scores"])
    const query = toQuery(caller, command, allowed, args)
    return scoredReply(caller, ranked(combine(operation, query)), query.withScores)
  }
})

const store = (operation: Operation, command: string): Command<Caller> => ({
  arity: -4,
  run: (caller, [destination, ...args]) => {
    const allowed = new Set<Options>(operation === "DIFF" ? [] : ["aggregates"])
    const result = combine(operation, toQuery(caller, command, allowed, args))
    // As `ZADD` does, this loses the sign of 0.
    caller.database.store(destination, "zset", new Map([...result].map(([member, score]) => [member, score + 0])))
    return integer(result.size)
  }
})

const countIntersection = (caller: Caller, args: ReadonlyArray<string>): ReplyValue => {
  const query = toQuery(caller, "zintercard", new Set<Options>(["limit"]), args)
  const { size } = combine("INTER", query)
  // No limit is written as 0.
  return integer(query.limit === 0 ? size : Math.min(size, query.limit))
}

/** The commands of this file by name. */
export const sortedSetAlgebra: Record<string, Command<Caller>> = {
  ZUNION: reply("UNION", "zunion"),
  ZINTER: reply("INTER", "zinter"),
  ZDIFF: reply("DIFF", "zdiff"),
  ZUNIONSTORE: store("UNION", "zunionstore"),
  ZINTERSTORE: store("INTER", "zinterstore"),
  ZDIFFSTORE: store("DIFF", "zdiffstore"),
  ZINTERCARD: { arity: -3, run: countIntersection }
}
