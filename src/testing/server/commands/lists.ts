/** Lists. */
import {
  array,
  bulk,
  bulkOrNil,
  type Caller,
  clampRange,
  type Command,
  integer,
  nil,
  noSuchKey,
  ok,
  popCount,
  refuse,
  syntaxError,
  takeKeys,
  toCount,
  toIndex,
  wrongArity
} from "../command.ts"
import type { Database } from "../keyspace.ts"
import { ReplyValue } from "../replies.ts"

/** The first and the last element of a list, and what is done there. */
export type Side = "LEFT" | "RIGHT"

const toSide = (text: string): Side => {
  const side = text.toUpperCase()
  return side === "LEFT" || side === "RIGHT" ? side : refuse(syntaxError)
}

const take = (list: Array<string>, side: Side): string | undefined => side === "LEFT" ? list.shift() : list.pop()

const put = (list: Array<string>, side: Side, value: string): number =>
  side === "LEFT" ? list.unshift(value) : list.push(value)

/** Removes up to `count` elements and returns them; `undefined` when there is no list. */
const popElements = (
  database: Database,
  key: string,
  side: Side,
  count: number
): ReadonlyArray<string> | undefined => {
  if (database.read(key, "list") === undefined) return undefined
  const popped: Array<string> = []
  database.update(key, "list", (list) => {
    while (popped.length < count) {
      const value = take(list, side)
      if (value === undefined) break
      popped.push(value)
    }
    return popped.length
  })
  return popped
}

/** Pops from the first list there is: its key and the elements. */
const popFirst = (
  database: Database,
  keys: ReadonlyArray<string>,
  side: Side,
  count: number
): readonly [key: string, elements: ReadonlyArray<string>] | undefined => {
  for (const key of keys) {
    const elements = popElements(database, key, side, count)
    if (elements !== undefined) return [key, elements]
  }
  return undefined
}

/** Moves one element and returns it; `undefined` when there is none. */
const moveElement = (
  database: Database,
  source: string,
  destination: string,
  from: Side,
  to: Side
): string | undefined => {
  if (database.read(source, "list") === undefined) return undefined
  // A destination of another type is refused before anything is taken.
  database.read(destination, "list")
  const [value] = popElements(database, source, from, 1) ?? []
  if (value === undefined) return undefined
  database.update(destination, "list", (list) => put(list, to, value))
  return value
}

/** What follows the keys of `LMPOP` and its like. */
export const multiPopOptions = (
  args: ReadonlyArray<string>
): { readonly keys: ReadonlyArray<string>; readonly side: Side; readonly count: number } => {
  const [keys, [side, ...options]] = takeKeys(args)
  const where = toSide(side ?? "")
  return { keys, side: where, count: popCount(options) }
}

/** What `LMPOP` replies. */
export const multiPopReply = (popped: readonly [key: string, elements: ReadonlyArray<string>]): ReplyValue =>
  array([bulk(popped[0]), array(popped[1].map(bulk))])

const push = (side: Side, onlyExisting: boolean): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, ...values]) => {
    if (onlyExisting && caller.database.read(key, "list") === undefined) return integer(0)
    const length = caller.database.update(key, "list", (list) => {
      for (const value of values) put(list, side, value)
      return list.length
    })
    return integer(length)
  }
})

const pop = (command: string, side: Side): Command<Caller> => ({
  arity: -2,
  run: (caller, args) => {
    if (args.length > 2) refuse(wrongArity(command))
    const [key, many] = args as [string, string | undefined]
    const wanted = many === undefined ? 1 : toCount(many)
    const popped = popElements(caller.database, key, side, wanted)
    if (many === undefined) return bulkOrNil(popped?.[0])
    return popped === undefined ? ReplyValue.NullArray() : array(popped.map(bulk))
  }
})

/** The elements of a list that is not there are none. */
const elements = (caller: Caller, key: string): ReadonlyArray<string> => caller.database.read(key, "list") ?? []

const set = (caller: Caller, [key, at, value]: ReadonlyArray<string>): ReplyValue => {
  if (caller.database.read(key, "list") === undefined) refuse(noSuchKey)
  const index = toIndex(at)
  caller.database.update(key, "list", (list) => {
    const place = index < 0 ? index + list.length : index
    if (place < 0 || place >= list.length) refuse("ERR index out of range")
    list[place] = value
    return 1
  })
  return ok
}

const insert = (caller: Caller, [key, where, pivot, value]: ReadonlyArray<string>): ReplyValue => {
  const after = where.toUpperCase() === "AFTER"
  if (!after && where.toUpperCase() !== "BEFORE") refuse(syntaxError)
  if (caller.database.read(key, "list") === undefined) return integer(0)
  const length = caller.database.update(key, "list", (list) => {
    const at = list.indexOf(pivot)
    if (at < 0) return 0
    list.splice(after ? at + 1 : at, 0, value)
    return list.length
  })
  return integer(length === 0 ? -1 : length)
}

const remove = (caller: Caller, [key, many, value]: ReadonlyArray<string>): ReplyValue => {
  const wanted = toIndex(many)
  const removed = caller.database.update(key, "list", (list) => {
    let left = wanted === 0 ? list.length : Math.abs(wanted)
    let removed = 0
    const find = (): number => wanted < 0 ? list.lastIndexOf(value) : list.indexOf(value)
    for (let at = find(); at >= 0 && left > 0; at = find(), left--) {
      list.splice(at, 1)
      removed++
    }
    return removed
  })
  return integer(removed)
}

const trim = (caller: Caller, [key, start, stop]: ReadonlyArray<string>): ReplyValue => {
  const range = [toIndex(start), toIndex(stop)] as const
  if (caller.database.read(key, "list") === undefined) return ok
  caller.database.update(key, "list", (list) => {
    const [from, end] = clampRange(...range, list.length)
    list.splice(Math.max(from, end))
    list.splice(0, from)
    // Even a list that stays whole has changed for whoever watches it.
    return 1
  })
  return ok
}

const badRank = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
  "or use negative to start from the end of the list"

const position = (caller: Caller, [key, element, ...options]: ReadonlyArray<string>): ReplyValue => {
  let rank = 1
  let wanted: number | undefined
  let compared = 0
  for (let i = 0; i < options.length; i += 2) {
    const value = options[i + 1] ?? refuse(syntaxError)
    const option = options[i].toUpperCase()
    if (option === "RANK") rank = toIndex(value) || refuse(badRank)
    else if (option === "COUNT") wanted = toCount(value, "ERR COUNT can't be negative")
    else if (option === "MAXLEN") compared = toCount(value, "ERR MAXLEN can't be negative")
    else refuse(syntaxError)
  }
  const list = elements(caller, key)
  const found: Array<number> = []
  const end = compared === 0 ? list.length : Math.min(compared, list.length)
  let skip = Math.abs(rank) - 1
  for (let i = 0; i < end; i++) {
    const at = rank < 0 ? list.length - 1 - i : i
    if (list[at] !== element || skip-- > 0) continue
    found.push(at)
    // No COUNT means one, and COUNT 0 all.
    if (found.length === (wanted ?? 1)) break
  }
  if (wanted !== undefined) return array(found.map(integer))
  return found.length === 0 ? nil : integer(found[0])
}

const move = (caller: Caller, source: string, destination: string, from: Side, to: Side): ReplyValue =>
  bulkOrNil(moveElement(caller.database, source, destination, from, to))

/** The commands of this file by name. */
export const lists: Record<string, Command<Caller>> = {
  LPUSH: push("LEFT", false),
  RPUSH: push("RIGHT", false),
  LPUSHX: push("LEFT", true),
  RPUSHX: push("RIGHT", true),
  LPOP: pop("lpop", "LEFT"),
  RPOP: pop("rpop", "RIGHT"),
  LMPOP: {
    arity: -4,
    run: (caller, args) => {
      const { count, keys, side } = multiPopOptions(args)
      const popped = popFirst(caller.database, keys, side, count)
      return popped === undefined ? ReplyValue.NullArray() : multiPopReply(popped)
    }
  },
  LMOVE: {
    arity: 5,
    run: (caller, [source, destination, from, to]) => move(caller, source, destination, toSide(from), toSide(to))
  },
  RPOPLPUSH: { arity: 3, run: (caller, [source, destination]) => move(caller, source, destination, "RIGHT", "LEFT") },
  LLEN: { arity: 2, run: (caller, [key]) => integer(elements(caller, key).length) },
  LINDEX: {
    arity: 3,
    run: (caller, [key, at]) => {
      const list = caller.database.read(key, "list")
      return list === undefined ? nil : bulkOrNil(list.at(toIndex(at)))
    }
  },
  LRANGE: {
    arity: 4,
    run: (caller, [key, start, stop]) => {
      const range = [toIndex(start), toIndex(stop)] as const
      const list = elements(caller, key)
      return array(list.slice(...clampRange(...range, list.length)).map(bulk))
    }
  },
  LSET: { arity: 4, run: set },
  LINSERT: { arity: 5, run: insert },
  LREM: { arity: 4, run: remove },
  LTRIM: { arity: 4, run: trim },
  LPOS: { arity: -3, run: position }
}
