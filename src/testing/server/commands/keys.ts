/** Keys of any type: existence, names, expiry, removal. */
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  type Command,
  count,
  integer,
  noSuchKey,
  ok,
  refuse,
  syntaxError,
  toIndex,
  toInteger
} from "../command.ts"
import type { Database } from "../keyspace.ts"
import { ReplyValue } from "../replies.ts"
import { matches } from "../text.ts"
import { expiry } from "./strings.ts"

const remove: Command<Caller> = {
  arity: -2,
  run: (caller, keys) =>
    integer(keys.filter((key) => caller.database.type(key) !== undefined && caller.database.delete(key)).length)
}

const countExisting: Command<Caller> = {
  arity: -2,
  run: (caller, keys) => integer(keys.filter((key) => caller.database.type(key) !== undefined).length)
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

const expire = (command: string, unit: bigint, relative: boolean): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, time, ...args]) => {
    const options = expireOptions(args)
    const at = expiry(caller, toInteger(time), unit, relative, command)
    const exists = caller.database.type(key) !== undefined
    if (!exists || !mayExpire(options, caller.database.expiresAt(key), at)) return count(false)
    caller.database.expire(key, at)
    return count(true)
  }
})

/** Tells when a key ends, from now or from the epoch. */
const end = (unit: number, from: (caller: Caller) => number): Command<Caller> => ({
  arity: 2,
  run: (caller, [key]) => {
    if (caller.database.type(key) === undefined) return integer(-2)
    const at = caller.database.expiresAt(key)
    return integer(at === undefined ? -1 : Math.round((at - from(caller)) / unit))
  }
})

const now = (caller: Caller): number => caller.keyspace.now()
const epoch = (): number => 0

const rename = (onlyNew: boolean): Command<Caller> => ({
  arity: 3,
  run: (caller, [from, to]) => {
    if (caller.database.type(from) === undefined) refuse(noSuchKey)
    const taken = onlyNew && caller.database.type(to) !== undefined
    if (!taken) caller.database.rename(from, to)
    return onlyNew ? count(!taken) : ok
  }
})

const copy = (caller: Caller, [from, to, ...options]: ReadonlyArray<string>): ReplyValue => {
  let target = caller.database
  let replace = false
  for (let i = 0; i < options.length; i++) {
    const option = options[i].toUpperCase()
    if (option === "REPLACE") replace = true
    else if (option === "DB" && i + 1 < options.length) {
      target = caller.keyspace.databases[toIndex(options[++i])] ?? refuse("ERR DB index is out of range")
    } else refuse(syntaxError)
  }
  if (target === caller.database && from === to) refuse("ERR source and destination objects are the same")
  if (caller.database.type(from) === undefined || (target.type(to) !== undefined && !replace)) return count(false)
  caller.database.copy(from, target, to)
  return count(true)
}

const flush = (arity: number, databases: (caller: Caller) => ReadonlyArray<Database>): Command<Caller> => ({
  arity,
  run: (caller, args) => {
    if (args.length > 1 || (args.length === 1 && !/^(a?sync)$/i.test(args[0]))) refuse(syntaxError)
    caller.keyspace.flush(databases(caller))
    return ok
  }
})

/** The commands of this file by name. */
export const keys: Record<string, Command<Caller>> = {
  DEL: remove,
  UNLINK: remove,
  EXISTS: countExisting,
  TOUCH: countExisting,
  RENAME: rename(false),
  RENAMENX: rename(true),
  COPY: { arity: -3, run: copy },
  EXPIRE: expire("expire", 1000n, true),
  PEXPIRE: expire("pexpire", 1n, true),
  EXPIREAT: expire("expireat", 1000n, false),
  PEXPIREAT: expire("pexpireat", 1n, false),
  TTL: end(1000, now),
  PTTL: end(1, now),
  EXPIRETIME: end(1000, epoch),
  PEXPIRETIME: end(1, epoch),
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
  // The oldest key stands for one at random (see `sample`).
  RANDOMKEY: { arity: 1, run: (caller) => bulkOrNil(caller.database.keys()[0]) },
  // Redis counts an expired key until something has looked at it: only what is there is counted here.
  DBSIZE: { arity: 1, run: (caller) => integer(caller.database.keys().length) },
  FLUSHDB: flush(-1, (caller) => [caller.database]),
  FLUSHALL: flush(-1, (caller) => caller.keyspace.databases)
}
