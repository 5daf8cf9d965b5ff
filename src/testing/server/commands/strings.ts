/** Strings, with counters and bits. */
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  clampRange,
  type Command,
  count,
  integer,
  nil,
  notAFloat,
  ok,
  refuse,
  syntaxError,
  toCount,
  toDouble,
  toIndex,
  toInteger,
  wrongArity
} from "../command.ts"
import type { ReplyValue } from "../replies.ts"
import { addDecimals, int64 } from "../text.ts"

const add = (caller: Caller, key: string, by: bigint): ReplyValue => {
  const sum = toInteger(caller.database.read(key, "string") ?? "0") + by
  if (sum < int64.min || sum > int64.max) refuse("ERR increment or decrement would overflow")
  caller.database.write(key, String(sum), caller.database.expiresAt(key))
  return integer(sum)
}

/** Adds decimal numbers; `invalid` is the error of a stored text that is none. */
export const addDecimal = (current: string, by: string, invalid: string): string => {
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

const expiries: Readonly<Record<string, { readonly unit: bigint; readonly relative: boolean }>> = {
  EX: { unit: 1000n, relative: true },
  PX: { unit: 1n, relative: true },
  EXAT: { unit: 1000n, relative: false },
  PXAT: { unit: 1n, relative: false }
}

const expiryOption = (caller: Caller, option: string, text: string, command: string): number => {
  const amount = toInteger(text)
  if (amount <= 0n) refuse(`ERR invalid expire time in '${command}' command`)
  const { relative, unit } = expiries[option]
  return expiry(caller, amount, unit, relative, command)
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
    else if (Object.hasOwn(expiries, option) && i + 1 < options.length) expires = { option, amount: options[++i] }
    else refuse(syntaxError)
  }
  const at = expires?.amount === undefined ? undefined : expiryOption(caller, expires.option, expires.amount, "set")
  const database = caller.database
  const old = returnOld ? bulkOrNil(database.read(key, "string")) : undefined
  const exists = database.type(key) !== undefined
  if (onlyIf === (exists ? "NX" : "XX")) return old ?? nil
  database.write(key, value, expires?.option === "KEEPTTL" ? database.expiresAt(key) : at)
  return old ?? ok
}

const setWithExpiry = (command: string, option: "EX" | "PX"): Command<Caller> => ({
  arity: 4,
  run: (caller, [key, time, value]) => {
    caller.database.write(key, value, expiryOption(caller, option, time, command))
    return ok
  }
})

const getAndExpire = (caller: Caller, [key, ...options]: ReadonlyArray<string>): ReplyValue => {
  let expires: { readonly option: string; readonly amount?: string } | undefined
  for (let i = 0; i < options.length; i++) {
    const option = options[i].toUpperCase()
    if ((expires?.option ?? option) !== option) refuse(syntaxError)
    else if (option === "PERSIST") expires = { option }
    else if (Object.hasOwn(expiries, option) && i + 1 < options.length) expires = { option, amount: options[++i] }
    else refuse(syntaxError)
  }
  const database = caller.database
  const value = database.read(key, "string")
  if (value === undefined) return nil
  if (expires?.amount !== undefined) {
    database.expire(key, expiryOption(caller, expires.option, expires.amount, "getex"))
  } else if (expires !== undefined && database.expiresAt(key) !== undefined) {
    database.expire(key, undefined)
  }
  return bulk(value)
}

const setAll = (caller: Caller, values: ReadonlyArray<string>): void => {
  for (let i = 0; i < values.length; i += 2) caller.database.write(values[i], values[i + 1], undefined)
}

// `proto-max-bulk-len`, 512 MiB unless configured.
const maxLength = 512 * 1024 * 1024

const setRange = (caller: Caller, [key, at, part]: ReadonlyArray<string>): ReplyValue => {
  const offset = toIndex(at)
  if (offset < 0) refuse("ERR offset is out of range")
  const text = caller.database.read(key, "string") ?? ""
  if (part === "") return integer(text.length)
  if (offset + part.length > maxLength) refuse("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
  const changed = text.slice(0, offset).padEnd(offset, "\0") + part + text.slice(offset + part.length)
  caller.database.write(key, changed, caller.database.expiresAt(key))
  return integer(changed.length)
}

const getRange: Command<Caller> = {
  arity: 4,
  run: (caller, [key, start, stop]) => {
    const range = [toIndex(start), toIndex(stop)] as const
    const text = caller.database.read(key, "string") ?? ""
    return bulk(sliceRange(text, ...range))
  }
}

const isUpsideDown = (start: number, stop: number): boolean => start < 0 && stop < 0 && start > stop

/** Other than with lists, an end before the first character means the first, unless the range is upside down. */
const sliceRange = (text: string, start: number, stop: number): string => {
  if (isUpsideDown(start, stop)) return ""
  const [from, end] = clampRange(start, stop, text.length)
  return text.slice(from, Math.max(end, 1))
}

// ----- bits, the first of a byte being its highest -----

const bitOffset = (text: string): number => {
  const message = "ERR bit offset is not an integer or out of range"
  const offset = toCount(text, message)
  return offset < maxLength * 8 ? offset : refuse(message)
}

const bitAt = (text: string, offset: number): number =>
  // Behind the end, where `charCodeAt` gives NaN, all bits are 0.
  (text.charCodeAt(Math.floor(offset / 8)) >> (7 - offset % 8)) & 1

const setBit = (caller: Caller, [key, at, value]: ReadonlyArray<string>): ReplyValue => {
  const offset = bitOffset(at)
  if (!/^[01]$/.test(value)) refuse("ERR bit is not an integer or out of range")
  const text = caller.database.read(key, "string") ?? ""
  const index = Math.floor(offset / 8)
  const mask = 1 << (7 - offset % 8)
  const byte = index < text.length ? text.charCodeAt(index) : 0
  const changed = String.fromCharCode(value === "1" ? byte | mask : byte & ~mask)
  const whole = text.slice(0, index).padEnd(index, "\0") + changed + text.slice(index + 1)
  // Setting a bit to what it is changes nothing for whoever watches the key.
  if (whole !== text) caller.database.write(key, whole, caller.database.expiresAt(key))
  return integer(bitAt(text, offset))
}

/** Reads the range of `BITCOUNT`; `size` is how many bits its unit has. */
const bitRange = (
  range: ReadonlyArray<string>,
  readsFirst: boolean
): { readonly start: number; readonly stop: number; readonly size: number } => {
  if (range.length === 1 || range.length > 3) refuse(syntaxError)
  const [start, stop] = range.length === 0 ? [0, -1] : [toIndex(range[0]), toIndex(range[1])]
  const unit = range[2]?.toUpperCase() ?? "BYTE"
  // A range that is upside down is answered before the unit is looked at, unless everything is read first.
  if (unit !== "BYTE" && unit !== "BIT" && (readsFirst || !isUpsideDown(start, stop))) refuse(syntaxError)
  return { start, stop, size: unit === "BIT" ? 1 : 8 }
}

const countBits = (caller: Caller, [key, ...range]: ReadonlyArray<string>): ReplyValue => {
  const { bitcountReadsFirst } = caller.dialect
  const read = bitcountReadsFirst ? bitRange(range, true) : undefined
  const text = caller.database.read(key, "string")
  if (text === undefined) return integer(0)
  const { size, start, stop } = read ?? bitRange(range, false)
  if (isUpsideDown(start, stop)) return integer(0)
  const [from, end] = clampRange(start, stop, text.length * 8 / size)
  let bits = 0
  for (let offset = from * size; offset < Math.max(end, 1) * size; offset++) bits += bitAt(text, offset)
  return integer(bits)
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
  SETEX: setWithExpiry("setex", "EX"),
  PSETEX: setWithExpiry("psetex", "PX"),
  GETSET: {
    arity: 3,
    run: (caller, [key, value]) => {
      const old = caller.database.read(key, "string")
      caller.database.write(key, value, undefined)
      return bulkOrNil(old)
    }
  },
  GETEX: { arity: -2, run: getAndExpire },
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
  MSET: {
    arity: -3,
    run: (caller, values) => {
      if (values.length % 2 !== 0) refuse(wrongArity("mset"))
      setAll(caller, values)
      return ok
    }
  },
  MSETNX: {
    arity: -3,
    run: (caller, values) => {
      if (values.length % 2 !== 0) refuse(wrongArity("msetnx"))
      if (values.some((key, i) => i % 2 === 0 && caller.database.type(key) !== undefined)) return count(false)
      setAll(caller, values)
      return count(true)
    }
  },
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
  SETRANGE: { arity: 4, run: setRange },
  GETRANGE: getRange,
  SUBSTR: getRange,
  SETBIT: { arity: 4, run: setBit },
  GETBIT: {
    arity: 3,
    run: (caller, [key, at]) => {
      const offset = bitOffset(at)
      return integer(bitAt(caller.database.read(key, "string") ?? "", offset))
    }
  },
  BITCOUNT: { arity: -2, run: countBits },
  STRLEN: { arity: 2, run: (caller, [key]) => integer((caller.database.read(key, "string") ?? "").length) }
}
