/** Hashes. */
import { ReplyValue } from "../../../Resp.ts"
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  type Command,
  count,
  integer,
  refuse,
  toInteger,
  wrongArity
} from "../command.ts"
import { int64 } from "../text.ts"

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

/** The commands of this file by name. */
export const hashes: Record<string, Command<Caller>> = {
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
