/** Hashes. */
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  type Command,
  count,
  integer,
  ok,
  pairs,
  refuse,
  refuseHalf,
  sample,
  syntaxError,
  toDouble,
  toInteger,
  toSigned,
  wrongArity
} from "../command.ts"
import { ReplyValue } from "../replies.ts"
import { int64 } from "../text.ts"
import { addDecimal } from "./strings.ts"

/** Sets fields and says how many of them are new. */
const hashSet = (command: string, caller: Caller, [key, ...pairs]: ReadonlyArray<string>): number => {
  if (pairs.length % 2 !== 0) refuse(wrongArity(command))
  let added = 0
  caller.database.update(key, "hash", (hash) => {
    const before = hash.size
    for (let i = 0; i < pairs.length; i += 2) hash.set(pairs[i], pairs[i + 1])
    added = hash.size - before
    // Setting a field to what it is counts as a change.
    return pairs.length
  })
  return added
}

const hashAdd = (caller: Caller, [key, field, by]: ReadonlyArray<string>): ReplyValue => {
  const amount = toInteger(by)
  const current = caller.database.read(key, "hash")?.get(field) ?? "0"
  const sum = toInteger(current, "ERR hash value is not an integer") + amount
  if (sum < int64.min || sum > int64.max) refuse("ERR increment or decrement would overflow")
  caller.database.update(key, "hash", (hash) => hash.set(field, String(sum)).size)
  return integer(sum)
}

const hashAddDecimal = (caller: Caller, [key, field, by]: ReadonlyArray<string>): ReplyValue => {
  if (!Number.isFinite(toDouble(by))) refuse("ERR value is NaN or Infinity")
  const current = caller.database.read(key, "hash")?.get(field) ?? "0"
  const sum = addDecimal(current, by, "ERR hash value is not a float")
  caller.database.update(key, "hash", (hash) => hash.set(field, sum).size)
  return bulk(sum)
}

const randomFields = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const wanted = args.length === 0 ? undefined : toSigned(args[0])
  if (args.length > 2 || (args.length === 2 && args[1].toUpperCase() !== "WITHVALUES")) refuse(syntaxError)
  if (args.length === 2 && wanted !== undefined) refuseHalf(wanted)
  const entries = [...caller.database.read(key, "hash") ?? []]
  if (wanted === undefined) return bulkOrNil(entries[0]?.[0])
  const chosen = sample(entries, wanted)
  return args.length === 2
    ? pairs(caller, chosen.map(([field, value]) => [bulk(field), bulk(value)] as const))
    : array(chosen.map(([field]) => bulk(field)))
}

const fieldsOf = (show: (entry: readonly [field: string, value: string]) => string): Command<Caller> => ({
  arity: 2,
  run: (caller, [key]) => array([...caller.database.read(key, "hash") ?? []].map((entry) => bulk(show(entry))))
})

/** The commands of this file by name. */
export const hashes: Record<string, Command<Caller>> = {
  HSET: { arity: -4, run: (caller, args) => integer(hashSet("hset", caller, args)) },
  HMSET: {
    arity: -4,
    run: (caller, args) => {
      hashSet("hmset", caller, args)
      return ok
    }
  },
  HSETNX: {
    arity: 4,
    run: (caller, [key, field, value]) =>
      integer(caller.database.update(key, "hash", (hash) => hash.has(field) ? 0 : hash.set(field, value) && 1))
  },
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
  HKEYS: fieldsOf(([field]) => field),
  HVALS: fieldsOf(([, value]) => value),
  HSTRLEN: {
    arity: 3,
    run: (caller, [key, field]) => integer(caller.database.read(key, "hash")?.get(field)?.length ?? 0)
  },
  HRANDFIELD: { arity: -2, run: randomFields },
  HINCRBYFLOAT: { arity: 4, run: hashAddDecimal },
  HINCRBY: { arity: 4, run: hashAdd },
  HLEN: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "hash")?.size ?? 0) },
  HEXISTS: {
    arity: 3,
    run: (caller, [key, field]) => count(caller.database.read(key, "hash")?.has(field) === true)
  }
}
