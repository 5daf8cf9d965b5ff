/** Strings, counters included. */
import type { ReplyValue } from "../../../Resp.ts"
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  type Command,
  count,
  integer,
  nil,
  notAFloat,
  ok,
  refuse,
  syntaxError,
  toDouble,
  toInteger,
  wrongArity
} from "../command.ts"
import { addDecimals, int64 } from "../text.ts"

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
export const expiry = (caller: Caller, amount: bigint, unit: bigint, relative: boolean, command: string): number => {
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

/** The commands of this file by name. */
export const strings: Record<string, Command<Caller>> = {
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
