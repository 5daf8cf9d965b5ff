/**
 * The data commands of the simulated server, with the replies and the error texts of Redis 7.0.
 *
 * A command is its arity and a function from arguments to one reply. It sees the databases and the protocol of its
 * caller, nothing of connections or endpoints. Arguments and values are byte strings (see `text.ts`). What a command
 * refuses is thrown as a `Refusal` and becomes an error reply in `run`.
 */
import { ReplyValue } from "../../Resp.ts"
import { type Database, type Keyspace, Refusal } from "./keyspace.ts"
import { addDecimals, formatDouble, int64, matches, parseDouble, parseInteger, toBytes } from "./text.ts"

/** Whoever runs a command. */
export interface Caller {
  readonly keyspace: Keyspace
  /** The selected database. */
  readonly database: Database
  readonly protocol: 2 | 3
}

/** `arity` counts the command's name as Redis does: exact when positive, a minimum when negative. */
export interface Command<C> {
  readonly arity: number
  readonly run: (caller: C, args: ReadonlyArray<string>) => ReplyValue | undefined
}

// ----- replies -----

/** `+OK`. */
export const ok = ReplyValue.Simple({ text: "OK" })
/** No value. */
export const nil = ReplyValue.Null()
/** An integer reply. */
export const integer = (value: number | bigint): ReplyValue => ReplyValue.Integer({ value })
/** An error reply; its text begins with its code. */
export const error = (text: string): ReplyValue => ReplyValue.Error({ text })
/** A bulk reply of a byte string. */
export const bulk = (text: string): ReplyValue => ReplyValue.Bulk({ value: toBytes(text) })
/** An array reply. */
export const array = (items: ReadonlyArray<ReplyValue>): ReplyValue => ReplyValue.Array({ items })
const bulkOrNil = (text: string | undefined): ReplyValue => text === undefined ? nil : bulk(text)
const count = (yes: boolean): ReplyValue => integer(yes ? 1 : 0)
const emptyArray = array([])

// RESP2 has no doubles, and Redis 7.0 prints them with 17 digits there.
const double = (caller: Caller, value: number): ReplyValue =>
  caller.protocol === 3 ? ReplyValue.Double({ value }) : bulk(formatDouble(value))

// ----- arguments -----

const notAnInteger = "ERR value is not an integer or out of range"
const notAFloat = "ERR value is not a valid float"
const syntaxError = "ERR syntax error"

const refuse = (message: string): never => {
  throw new Refusal(message)
}

const toInteger = (text: string, message: string = notAnInteger): bigint => parseInteger(text) ?? refuse(message)
const toIndex = (text: string): number => Number(toInteger(text))
const toDouble = (text: string, message: string = notAFloat): number => parseDouble(text) ?? refuse(message)

/** The error reply to a wrong number of arguments. */
export const wrongArity = (name: string): string => `ERR wrong number of arguments for '${name}' command`

/** Turns what is given into the index of a list of `length` elements. */
const clampRange = (start: number, stop: number, length: number): readonly [from: number, end: number] => [
  Math.max(start < 0 ? start + length : start, 0),
  Math.min(stop < 0 ? stop + length : stop, length - 1) + 1
]

// ----- strings -----

const add = (caller: Caller, key: string, by: bigint): ReplyValue => {
  const sum = toInteger(caller.database.read(key, "string") ?? "0") + by
  if (sum < int64.min || sum > int64.max) refuse("ERR increment or decrement would overflow")
  caller.database.write(key, String(sum), caller.database.expiresAt(key))
  return integer(sum)
}

const addDecimal = (current: string, by: string, invalid: string): string => {
  const left = toDouble(current, invalid)
  const right = toDouble(by)
  if (!Number.isFinite(left + right)) refuse("ERR increment would produce NaN or Infinity")
  return addDecimals(current, by) ?? refuse(notAFloat)
}

/** Reads an expiry as milliseconds of the clock. */
const expiry = (caller: Caller, amount: bigint, unit: bigint, relative: boolean, command: string): number => {
  const millis = amount * unit
  const at = relative ? millis + BigInt(caller.keyspace.now()) : millis
  if (at > int64.max || millis < int64.min) refuse(`ERR invalid expire time in '${command}' command`)
  return Number(at)
}

const setExpiries: Readonly<Record<string, { readonly unit: bigint; readonly relative: boolean }>> = {
  EX: { unit: 1000n, relative: true },
  PX: { unit: 1n, relative: true },
  EXAT: { unit: 1000n, relative: false },
  PXAT: { unit: 1n, relative: false }
}

const setExpiry = (caller: Caller, option: string, text: string): number => {
  const amount = toInteger(text)
  if (amount <= 0n) refuse("ERR invalid expire time in 'set' command")
  const { relative, unit } = setExpiries[option]
  return expiry(caller, amount, unit, relative, "set")
}

const set = (caller: Caller, [key, value, ...options]: ReadonlyArray<string>): ReplyValue => {
  let onlyIf: "NX" | "XX" | undefined
  let expires: { readonly option: string; readonly amount?: string } | undefined
  let returnOld = false
  for (let i = 0; i < options.length; i++) {
    const option = options[i].toUpperCase()
    if ((option === "NX" || option === "XX") && (onlyIf ?? option) === option) onlyIf = option
    else if (option === "GET") returnOld = true
    else if ((expires?.option ?? option) !== option) refuse(syntaxError)
    else if (option === "KEEPTTL") expires = { option }
    else if (Object.hasOwn(setExpiries, option) && i + 1 < options.length) expires = { option, amount: options[++i] }
    else refuse(syntaxError)
  }
  const at = expires?.amount === undefined ? undefined : setExpiry(caller, expires.option, expires.amount)
  const database = caller.database
  const old = returnOld ? bulkOrNil(database.read(key, "string")) : undefined
  const exists = database.type(key) !== undefined
  if (onlyIf === (exists ? "NX" : "XX")) return old ?? nil
  database.write(key, value, expires?.option === "KEEPTTL" ? database.expiresAt(key) : at)
  return old ?? ok
}

const setAll = (caller: Caller, args: ReadonlyArray<string>): ReplyValue => {
  if (args.length % 2 !== 0) refuse(wrongArity("mset"))
  for (let i = 0; i < args.length; i += 2) caller.database.write(args[i], args[i + 1], undefined)
  return ok
}

const strings: Record<string, Command<Caller>> = {
  GET: { arity: 2, run: (caller, [key]) => bulkOrNil(caller.database.read(key, "string")) },
  SET: { arity: -3, run: set },
  SETNX: {
    arity: 3,
    run: (caller, [key, value]) => {
      if (caller.database.type(key) !== undefined) return count(false)
      caller.database.write(key, value, undefined)
      return count(true)
    }
  },
  GETDEL: {
    arity: 2,
    run: (caller, [key]) => {
      const value = caller.database.read(key, "string")
      caller.database.delete(key)
      return bulkOrNil(value)
    }
  },
  MGET: {
    arity: -2,
    run: (caller, keys) =>
      array(
        keys.map((key) => caller.database.type(key) === "string" ? bulkOrNil(caller.database.read(key, "string")) : nil)
      )
  },
  MSET: { arity: -3, run: setAll },
  INCR: { arity: 2, run: (caller, [key]) => add(caller, key, 1n) },
  DECR: { arity: 2, run: (caller, [key]) => add(caller, key, -1n) },
  INCRBY: { arity: 3, run: (caller, [key, by]) => add(caller, key, toInteger(by)) },
  DECRBY: {
    arity: 3,
    run: (caller, [key, by]) => {
      const amount = toInteger(by)
      return amount === int64.min ? refuse("ERR decrement would overflow") : add(caller, key, -amount)
    }
  },
  INCRBYFLOAT: {
    arity: 3,
    run: (caller, [key, by]) => {
      const sum = addDecimal(caller.database.read(key, "string") ?? "0", by, notAFloat)
      caller.database.write(key, sum, caller.database.expiresAt(key))
      return bulk(sum)
    }
  },
  APPEND: {
    arity: 3,
    run: (caller, [key, tail]) => {
      const text = (caller.database.read(key, "string") ?? "") + tail
      caller.database.write(key, text, caller.database.expiresAt(key))
      return integer(text.length)
    }
  },
  STRLEN: { arity: 2, run: (caller, [key]) => integer((caller.database.read(key, "string") ?? "").length) }
}

// ----- keys of any type -----

const remove: Command<Caller> = {
  arity: -2,
  run: (caller, keys) =>
    integer(keys.filter((key) => caller.database.type(key) !== undefined && caller.database.delete(key)).length)
}

const expireOptions = (options: ReadonlyArray<string>): ReadonlySet<string> => {
  const given = new Set<string>()
  for (const option of options) {
    const name = option.toUpperCase()
    if (!["NX", "XX", "GT", "LT"].includes(name)) refuse(`ERR Unsupported option ${option}`)
    given.add(name)
  }
  if (given.has("NX") && given.size > 1) refuse("ERR NX and XX, GT or LT options at the same time are not compatible")
  if (given.has("GT") && given.has("LT")) refuse("ERR GT and LT options at the same time are not compatible")
  return given
}

/** Whether the options let a new end replace the current one; no end counts as the latest. */
const mayExpire = (options: ReadonlySet<string>, current: number = Infinity, at: number): boolean =>
  !(options.has("NX") && current !== Infinity) &&
  !(options.has("XX") && current === Infinity) &&
  !(options.has("GT") && at <= current) &&
  !(options.has("LT") && at >= current)

const expire = (command: string, unit: bigint): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, time, ...args]) => {
    const options = expireOptions(args)
    const at = expiry(caller, toInteger(time), unit, true, command)
    const exists = caller.database.type(key) !== undefined
    if (!exists || !mayExpire(options, caller.database.expiresAt(key), at)) return count(false)
    caller.database.expire(key, at)
    return count(true)
  }
})

const timeToLive = (unit: number): Command<Caller> => ({
  arity: 2,
  run: (caller, [key]) => {
    if (caller.database.type(key) === undefined) return integer(-2)
    const at = caller.database.expiresAt(key)
    return integer(at === undefined ? -1 : Math.round((at - caller.keyspace.now()) / unit))
  }
})

const scan = (caller: Caller, args: ReadonlyArray<string>): ReplyValue => {
  const cursor = toInteger(args[0], "ERR invalid cursor")
  let keys = cursor === 0n ? caller.database.keys() : []
  for (let i = 1; i < args.length; i += 2) {
    const value = args[i + 1] ?? refuse(syntaxError)
    const option = args[i].toUpperCase()
    if (option === "MATCH") keys = keys.filter((key) => matches(value, key))
    else if (option === "TYPE") keys = keys.filter((key) => caller.database.type(key) === value.toLowerCase())
    else if (option !== "COUNT" || toInteger(value) < 1n) refuse(syntaxError)
  }
  // COUNT is a hint: one call hands out everything, and its cursor says that there is no more.
  return array([bulk("0"), array(keys.map(bulk))])
}

const flush = (arity: number, databases: (caller: Caller) => ReadonlyArray<Database>): Command<Caller> => ({
  arity,
  run: (caller, args) => {
    if (args.length > 1 || (args.length === 1 && !/^(a?sync)$/i.test(args[0]))) refuse(syntaxError)
    for (const database of databases(caller)) database.clear()
    return ok
  }
})

const keys: Record<string, Command<Caller>> = {
  DEL: remove,
  UNLINK: remove,
  EXISTS: {
    arity: -2,
    run: (caller, keys) => integer(keys.filter((key) => caller.database.type(key) !== undefined).length)
  },
  EXPIRE: expire("expire", 1000n),
  PEXPIRE: expire("pexpire", 1n),
  TTL: timeToLive(1000),
  PTTL: timeToLive(1),
  PERSIST: {
    arity: 2,
    run: (caller, [key]) => {
      if (caller.database.expiresAt(key) === undefined) return count(false)
      caller.database.expire(key, undefined)
      return count(true)
    }
  },
  TYPE: { arity: 2, run: (caller, [key]) => ReplyValue.Simple({ text: caller.database.type(key) ?? "none" }) },
  KEYS: {
    arity: 2,
    run: (caller, [pattern]) => array(caller.database.keys().filter((key) => matches(pattern, key)).map(bulk))
  },
  SCAN: { arity: -2, run: scan },
  DBSIZE: { arity: 1, run: (caller) => integer(caller.database.keys().length) },
  FLUSHDB: flush(-1, (caller) => [caller.database]),
  FLUSHALL: flush(-1, (caller) => caller.keyspace.databases)
}

// ----- hashes -----

const hashSet = (caller: Caller, [key, ...pairs]: ReadonlyArray<string>): ReplyValue => {
  if (pairs.length % 2 !== 0) refuse(wrongArity("hset"))
  let added = 0
  caller.database.update(key, "hash", (hash) => {
    const before = hash.size
    for (let i = 0; i < pairs.length; i += 2) hash.set(pairs[i], pairs[i + 1])
    added = hash.size - before
    // Setting a field to what it is counts as a change.
    return pairs.length
  })
  return integer(added)
}

const hashAdd = (caller: Caller, [key, field, by]: ReadonlyArray<string>): ReplyValue => {
  const amount = toInteger(by)
  const current = caller.database.read(key, "hash")?.get(field) ?? "0"
  const sum = toInteger(current, "ERR hash value is not an integer") + amount
  if (sum < int64.min || sum > int64.max) refuse("ERR increment or decrement would overflow")
  caller.database.update(key, "hash", (hash) => hash.set(field, String(sum)).size)
  return integer(sum)
}

const hashes: Record<string, Command<Caller>> = {
  HSET: { arity: -4, run: hashSet },
  HGET: { arity: 3, run: (caller, [key, field]) => bulkOrNil(caller.database.read(key, "hash")?.get(field)) },
  HMGET: {
    arity: -3,
    run: (caller, [key, ...fields]) => {
      const hash = caller.database.read(key, "hash")
      return array(fields.map((field) => bulkOrNil(hash?.get(field))))
    }
  },
  HGETALL: {
    arity: 2,
    run: (caller, [key]) => {
      const hash = caller.database.read(key, "hash") ?? new Map<string, string>()
      return ReplyValue.Map({ entries: [...hash].map(([field, value]) => [bulk(field), bulk(value)] as const) })
    }
  },
  HDEL: {
    arity: -3,
    run: (caller, [key, ...fields]) =>
      integer(caller.database.update(key, "hash", (hash) => fields.filter((field) => hash.delete(field)).length))
  },
  HINCRBY: { arity: 4, run: hashAdd },
  HLEN: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "hash")?.size ?? 0) },
  HEXISTS: {
    arity: 3,
    run: (caller, [key, field]) => count(caller.database.read(key, "hash")?.has(field) === true)
  }
}

// ----- lists -----

const push = (put: (list: Array<string>, value: string) => void): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, ...values]) => {
    const length = caller.database.update(key, "list", (list) => {
      for (const value of values) put(list, value)
      return list.length
    })
    return integer(length)
  }
})

const pop = (command: string, take: (list: Array<string>) => string): Command<Caller> => ({
  arity: -2,
  run: (caller, args) => {
    if (args.length > 2) refuse(wrongArity(command))
    const [key, many] = args as [string, string | undefined]
    const notPositive = "ERR value is out of range, must be positive"
    const wanted = many === undefined ? 1n : toInteger(many, notPositive)
    if (wanted < 0n) refuse(notPositive)
    const list = caller.database.read(key, "list")
    if (list === undefined) return many === undefined ? nil : ReplyValue.NullArray()
    const length = wanted < BigInt(list.length) ? Number(wanted) : list.length
    const popped: Array<ReplyValue> = []
    caller.database.update(key, "list", (list) => {
      while (popped.length < length) popped.push(bulk(take(list)))
      return length
    })
    return many === undefined ? popped[0] : array(popped)
  }
})

const lists: Record<string, Command<Caller>> = {
  LPUSH: push((list, value) => list.unshift(value)),
  RPUSH: push((list, value) => list.push(value)),
  LPOP: pop("lpop", (list) => list.shift()!),
  RPOP: pop("rpop", (list) => list.pop()!),
  LLEN: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "list")?.length ?? 0) },
  LRANGE: {
    arity: 4,
    run: (caller, [key, start, stop]) => {
      const range = [toIndex(start), toIndex(stop)] as const
      const list = caller.database.read(key, "list") ?? []
      return array(list.slice(...clampRange(...range, list.length)).map(bulk))
    }
  }
}

// ----- sets -----

const sets: Record<string, Command<Caller>> = {
  SADD: {
    arity: -3,
    run: (caller, [key, ...members]) => {
      const added = caller.database.update(key, "set", (set) => {
        const before = set.size
        for (const member of members) set.add(member)
        return set.size - before
      })
      return integer(added)
    }
  },
  SREM: {
    arity: -3,
    run: (caller, [key, ...members]) =>
      integer(caller.database.update(key, "set", (set) => members.filter((member) => set.delete(member)).length))
  },
  SMEMBERS: {
    arity: 2,
    run: (caller, [key]) => ReplyValue.Set({ items: [...caller.database.read(key, "set") ?? []].map(bulk) })
  },
  SISMEMBER: {
    arity: 3,
    run: (caller, [key, member]) => count(caller.database.read(key, "set")?.has(member) === true)
  },
  SCARD: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "set")?.size ?? 0) }
}

// ----- sorted sets -----

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

const sortedSets: Record<string, Command<Caller>> = {
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

// ----- the server itself -----

const time = (caller: Caller): ReplyValue => {
  const now = caller.keyspace.now()
  return array([bulk(String(Math.floor(now / 1000))), bulk(String(Math.floor(now % 1000) * 1000))])
}

const commandInfo = (_caller: Caller, [subcommand]: ReadonlyArray<string>): ReplyValue => {
  switch (subcommand?.toUpperCase()) {
    case undefined:
      return emptyArray
    case "COUNT":
      return integer(dataCommands.size)
    // redis-cli asks for it when it starts, and is content with nothing.
    case "DOCS":
      return ReplyValue.Map({ entries: [] })
    default:
      return error(`ERR unknown subcommand '${subcommand}'. Try COMMAND HELP.`)
  }
}

const server: Record<string, Command<Caller>> = {
  ECHO: { arity: 2, run: (_, [text]) => bulk(text) },
  TIME: { arity: 1, run: time },
  COMMAND: { arity: -1, run: commandInfo }
}

/** Every data command by its name in capitals. */
export const dataCommands: ReadonlyMap<string, Command<Caller>> = new Map(
  Object.entries({ ...strings, ...keys, ...hashes, ...lists, ...sets, ...sortedSets, ...server })
)

/** Whether a command may be called with that many arguments, its own name not counted. */
export const fits = (command: Command<never>, args: number): boolean =>
  command.arity < 0 ? args + 1 >= -command.arity : args + 1 === command.arity

/** Runs a command; what it refuses becomes its error reply. */
export const run = <C>(command: Command<C>, caller: C, args: ReadonlyArray<string>): ReplyValue | undefined => {
  try {
    return command.run(caller, args)
  } catch (refusal) {
    if (refusal instanceof Refusal) return error(refusal.message)
    throw refusal
  }
}
