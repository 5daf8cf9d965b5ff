/** Sets. */
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  type Command,
  count,
  integer,
  refuse,
  sample,
  syntaxError,
  takeKeys,
  toCount,
  toSigned
} from "../command.ts"
import { ReplyValue } from "../replies.ts"

const members = (items: Iterable<string>): ReplyValue => ReplyValue.Set({ items: [...items].map(bulk) })

const remove = (caller: Caller, key: string, members: ReadonlyArray<string>): number =>
  caller.database.update(key, "set", (set) => members.filter((member) => set.delete(member)).length)

const move = (caller: Caller, [from, to, member]: ReadonlyArray<string>): ReplyValue => {
  const source = caller.database.read(from, "set")
  if (source === undefined) return integer(0)
  caller.database.read(to, "set")
  if (from === to || !source.has(member)) return count(source.has(member))
  remove(caller, from, [member])
  caller.database.update(to, "set", (set) => set.has(member) ? 0 : set.add(member).size)
  return integer(1)
}

const pop = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  if (args.length > 1) refuse(syntaxError)
  const wanted = args.length === 0 ? 1 : toCount(args[0])
  const popped = sample([...caller.database.read(key, "set") ?? []], wanted)
  remove(caller, key, popped)
  return args.length === 0 ? bulkOrNil(popped[0]) : members(popped)
}

const random = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  if (args.length > 1) refuse(syntaxError)
  const wanted = args.length === 0 ? undefined : toSigned(args[0])
  const set = [...caller.database.read(key, "set") ?? []]
  if (wanted === undefined) return bulkOrNil(set[0])
  return array(sample(set, wanted).map(bulk))
}

// ----- of several sets -----

type Operation = (sets: ReadonlyArray<ReadonlySet<string>>) => Set<string>

const intersection: Operation = ([first, ...rest]) =>
  new Set([...first].filter((member) => rest.every((set) => set.has(member))))
const union: Operation = (sets) => new Set(sets.flatMap((set) => [...set]))
const difference: Operation = ([first, ...rest]) =>
  new Set([...first].filter((member) => !rest.some((set) => set.has(member))))

const combined = (caller: Caller, operation: Operation, keys: ReadonlyArray<string>): Set<string> =>
  operation(keys.map((key) => caller.database.read(key, "set") ?? new Set()))

const combine = (operation: Operation): Command<Caller> => ({
  arity: -2,
  run: (caller, keys) => members(combined(caller, operation, keys))
})

const combineAndStore = (operation: Operation): Command<Caller> => ({
  arity: -3,
  run: (caller, [destination, ...keys]) => {
    const result = combined(caller, operation, keys)
    caller.database.store(destination, "set", result)
    return integer(result.size)
  }
})

const countIntersection = (caller: Caller, args: ReadonlyArray<string>): ReplyValue => {
  const tooMany = "ERR Number of keys can't be greater than number of args"
  const [keys, options] = takeKeys(args, tooMany)
  let limit = 0
  for (let i = 0; i < options.length; i += 2) {
    if (options[i].toUpperCase() !== "LIMIT" || i + 1 === options.length) refuse(syntaxError)
    limit = toCount(options[i + 1], "ERR LIMIT can't be negative")
  }
  const { size } = combined(caller, intersection, keys)
  // No limit is written as 0.
  return integer(limit === 0 ? size : Math.min(size, limit))
}

/** The commands of this file by name. */
export const sets: Record<string, Command<Caller>> = {
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
  SREM: { arity: -3, run: (caller, [key, ...members]) => integer(remove(caller, key, members)) },
  SMOVE: { arity: 4, run: move },
  SPOP: { arity: -2, run: pop },
  SRANDMEMBER: { arity: -2, run: random },
  SMEMBERS: { arity: 2, run: (caller, [key]) => members(caller.database.read(key, "set") ?? []) },
  SISMEMBER: {
    arity: 3,
    run: (caller, [key, member]) => count(caller.database.read(key, "set")?.has(member) === true)
  },
  SMISMEMBER: {
    arity: -3,
    run: (caller, [key, ...members]) => {
      const set = caller.database.read(key, "set")
      return array(members.map((member) => count(set?.has(member) === true)))
    }
  },
  SCARD: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "set")?.size ?? 0) },
  SINTER: combine(intersection),
  SUNION: combine(union),
  SDIFF: combine(difference),
  SINTERSTORE: combineAndStore(intersection),
  SUNIONSTORE: combineAndStore(union),
  SDIFFSTORE: combineAndStore(difference),
  SINTERCARD: { arity: -3, run: countIntersection }
}
