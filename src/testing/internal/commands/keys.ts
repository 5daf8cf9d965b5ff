/** Keys of any type: existence, expiry, iteration, removal. */
import { ReplyValue } from "../../../Resp.ts"
import {
  array,
  bulk,
  type Caller,
  type Command,
  count,
  integer,
  ok,
  refuse,
  syntaxError,
  toInteger
} from "../command.ts"
import type { Database } from "../keyspace.ts"
import { matches } from "../text.ts"
import { expiry } from "./strings.ts"

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

/** The commands of this file by name. */
export const keys: Record<string, Command<Caller>> = {
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
