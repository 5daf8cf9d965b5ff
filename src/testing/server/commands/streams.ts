/** Streams: the log. Their consumer groups are in `consumerGroups.ts`. */
import {
  array,
  Blocked,
  bulk,
  type Caller,
  type Command,
  integer,
  nil,
  noSuchKey,
  ok,
  type Outcome,
  refuse,
  syntaxError,
  toInteger,
  wrongArity
} from "../command.ts"
import { ReplyValue } from "../replies.ts"
import { type Entry, formatId, type Id, makeId, maxId, maxSequence, millisOf, type Stream } from "../stream.ts"

// ----- ids -----

const invalidId = "ERR Invalid stream ID specified as stream command argument"

const parsePart = (text: string): bigint | undefined => {
  const value = /^[0-9]+$/.test(text) ? BigInt(text) : undefined
  return value === undefined || value > maxSequence ? undefined : value
}

/** Reads an id; `sequence` is what it has where it is only milliseconds. */
export const parseId = (text: string, sequence: bigint = 0n): Id | undefined => {
  const dash = text.indexOf("-")
  const millis = parsePart(dash < 0 ? text : text.slice(0, dash))
  const given = dash < 0 ? sequence : parsePart(text.slice(dash + 1))
  return millis === undefined || given === undefined ? undefined : makeId(millis, given)
}

export const toId = (text: string): Id => parseId(text) ?? refuse(invalidId)

/** Reads an id, or `-` and `+` for the first and the last one there can be. */
export const boundId = (text: string, sequence: bigint = 0n): Id => {
  if (text === "-") return 0n
  return text === "+" ? maxId : parseId(text, sequence) ?? refuse(invalidId)
}

const isOpen = (text: string): boolean => text.length > 1 && text.startsWith("(")

/** Reads where a range of ids starts; `(` leaves the id itself out. */
export const rangeStart = (text: string): Id => {
  if (!isOpen(text)) return boundId(text)
  const id = toId(text.slice(1))
  return id === maxId ? refuse("ERR invalid start ID for the interval") : id + 1n
}

/** Reads where a range of ids ends; milliseconds alone mean all that they have. */
export const rangeEnd = (text: string): Id => {
  if (!isOpen(text)) return boundId(text, maxSequence)
  const id = parseId(text.slice(1), maxSequence) ?? refuse(invalidId)
  return id === 0n ? refuse("ERR invalid end ID for the interval") : id - 1n
}

// ----- what all of them share -----

/** Milliseconds of the clock, whole as Redis counts them. */
export const now = (caller: Caller): number => Math.floor(caller.keyspace.now())

export const idReply = (id: Id): ReplyValue => bulk(formatId(id))

export const entryReply = ({ fields, id }: Entry): ReplyValue => array([idReply(id), array(fields.map(bulk))])

/** Reads how many are wanted at most: less than nothing is nothing. */
export const toLimit = (text: string): number => Math.max(Number(toInteger(text)), 0)

/** A command behind the name of another one; `arity` counts both names. It is told how its own was spelled. */
interface Subcommand {
  readonly arity: number
  readonly run: (caller: Caller, args: ReadonlyArray<string>, name: string) => Outcome
}

/** A command that is a name in front of others. */
export const container = (name: string, subcommands: Readonly<Record<string, Subcommand>>): Command<Caller> => ({
  arity: -2,
  run: (caller, [given, ...args]) => {
    const key = given.toUpperCase()
    if (!Object.hasOwn(subcommands, key)) refuse(`ERR unknown subcommand '${given}'. Try ${name} HELP.`)
    const { arity, run } = subcommands[key]
    const length = args.length + 2
    if (arity < 0 ? length < -arity : length !== arity) refuse(wrongArity(`${name}|${key}`.toLowerCase()))
    return run(caller, args, given)
  }
})

/** The refusal of options that a subcommand does not know. */
export const unknownOptions = (name: string, subcommand: string): never =>
  refuse(`ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try ${name} HELP.`)

// ----- adding and removing -----

/** Chooses the id of a new entry; without one it is not above the last. */
type NewId = (stream: Stream, now: number) => Id | undefined

/** The id after the last one, in the same millisecond if there is room. */
const nextId = (stream: Stream, now: number): Id =>
  BigInt(now) > millisOf(stream.lastId) ? makeId(BigInt(now), 0n) : stream.lastId + 1n

const newId = (text: string): NewId => {
  if (text === "*") return nextId
  if (!text.endsWith("-*")) {
    const id = toId(text)
    return (stream) => id > stream.lastId ? id : undefined
  }
  const millis = parsePart(text.slice(0, -2)) ?? refuse(invalidId)
  return (stream) => {
    const next = millis === millisOf(stream.lastId) ? stream.lastId + 1n : makeId(millis, 0n)
    return next > stream.lastId && millisOf(next) === millis ? next : undefined
  }
}

/** How many entries a trim would remove if it had to be exact, and what makes it less. */
interface Trim {
  readonly excess: (stream: Stream) => number
  readonly approximate: boolean
  /** The most that it removes; 0 for no such limit. */
  readonly limit: number
}

// Redis trims a hundred nodes of a hundred entries at once unless told otherwise.
const defaultLimit = 10_000

const runTrim = (stream: Stream, { approximate, excess, limit }: Trim): number => {
  const wanted = excess(stream)
  if (!approximate) return stream.trim(wanted)
  return stream.trim(stream.wholeNodes(limit === 0 ? wanted : Math.min(wanted, limit)))
}

interface TrimOptions {
  readonly trim: Trim | undefined
  readonly mayCreate: boolean
  /** The id of `XADD`. */
  readonly id: NewId | undefined
  /** Where the first argument is that is no option. */
  readonly end: number
}

const toExcess = (option: "MAXLEN" | "MINID", text: string): Trim["excess"] => {
  if (option === "MINID") {
    const id = toId(text)
    return (stream) => stream.countBefore(id)
  }
  const length = Number(toInteger(text))
  if (length < 0) refuse("ERR The MAXLEN argument must be >= 0.")
  return (stream) => Math.max(stream.size - length, 0)
}

/** Reads the options of `XTRIM`, or those in front of the id of `XADD`. */
const trimOptions = (args: ReadonlyArray<string>, adding: boolean): TrimOptions => {
  let excess: Trim["excess"] | undefined
  let approximate = false
  let limit: number | undefined
  let mayCreate = true
  let at = 0
  for (; at < args.length; at++) {
    const option = args[at].toUpperCase()
    const more = args.length - 1 - at
    if ((option === "MAXLEN" || option === "MINID") && more > 0) {
      if (excess !== undefined) {
        refuse("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
      }
      approximate = more > 1 && args[at + 1] === "~"
      if (approximate || (more > 1 && args[at + 1] === "=")) at++
      excess = toExcess(option, args[++at])
    } else if (option === "LIMIT" && more > 0) {
      limit = Number(toInteger(args[++at]))
      if (limit < 0) refuse("ERR The LIMIT argument must be >= 0.")
    } else if (adding && option === "NOMKSTREAM") {
      mayCreate = false
    } else if (adding) {
      break
    } else {
      refuse(syntaxError)
    }
  }
  const id = adding && at < args.length ? newId(args[at]) : undefined
  if (excess === undefined) {
    if (limit !== undefined && limit > 0) {
      refuse("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
    }
    if (!adding) refuse("ERR syntax error, XTRIM must be called with a trimming strategy")
  }
  if (limit !== undefined && !approximate) {
    refuse("ERR syntax error, LIMIT cannot be used without the special ~ option")
  }
  return {
    trim: excess === undefined ? undefined : { excess, approximate, limit: limit ?? defaultLimit },
    mayCreate,
    id,
    end: at
  }
}

const xadd = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const { end, id: newId, mayCreate, trim } = trimOptions(args, true)
  const fields = args.slice(end + 1)
  if (newId === undefined || fields.length === 0 || fields.length % 2 !== 0) return refuse(wrongArity("xadd"))
  if (parseId(args[end]) === 0n) refuse("ERR The ID specified in XADD must be greater than 0-0")
  if (!mayCreate && caller.database.read(key, "stream") === undefined) return nil
  let id: Id = 0n
  caller.database.update(key, "stream", (stream) => {
    if (stream.lastId === maxId) {
      refuse("ERR The stream has exhausted the last possible ID, unable to add more items")
    }
    id = newId(stream, now(caller)) ??
      refuse("ERR The ID specified in XADD is equal or smaller than the target stream top item")
    stream.append(id, fields)
    if (trim !== undefined) runTrim(stream, trim)
    return 1
  })
  return idReply(id)
}

const xtrim = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const { trim } = trimOptions(args, false)
  return integer(caller.database.update(key, "stream", (stream) => trim === undefined ? 0 : runTrim(stream, trim)))
}

const xdel = (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  // Redis does not look at the ids when there is nothing to delete from.
  if (caller.database.read(key, "stream") === undefined) return integer(0)
  const ids = args.map(toId)
  return integer(caller.database.update(key, "stream", (stream) => ids.filter((id) => stream.delete(id)).length))
}

const xsetid = (caller: Caller, [key, last, ...args]: ReadonlyArray<string>): ReplyValue => {
  const lastId = toId(last)
  let entriesAdded: bigint | undefined
  let maxDeletedId: Id | undefined
  for (let at = 0; at < args.length; at += 2) {
    const option = args[at].toUpperCase()
    if (option === "ENTRIESADDED" && at + 1 < args.length) {
      entriesAdded = toInteger(args[at + 1])
      if (entriesAdded < 0n) refuse("ERR entries_added must be positive")
    } else if (option === "MAXDELETEDID" && at + 1 < args.length) {
      maxDeletedId = toId(args[at + 1])
      if (lastId < maxDeletedId) {
        refuse("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
      }
    } else {
      refuse(syntaxError)
    }
  }
  const stream = caller.database.read(key, "stream") ?? refuse(noSuchKey)
  if (caller.dialect.xsetidMindsDeleted && lastId < stream.maxDeletedId) {
    refuse("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
  }
  if (stream.last !== undefined && lastId < stream.last.id) {
    refuse("ERR The ID specified in XSETID is smaller than the target stream top item")
  }
  if (entriesAdded !== undefined && entriesAdded < BigInt(stream.size)) {
    refuse("ERR The entries_added specified in XSETID is smaller than the target stream length")
  }
  // To Redis this is no change of the key: no watch on it breaks. The same holds for everything about groups.
  stream.lastId = lastId
  stream.entriesAdded = entriesAdded ?? stream.entriesAdded
  stream.maxDeletedId = maxDeletedId ?? stream.maxDeletedId
  return ok
}

// ----- reading -----

const xrange = (reverse: boolean) => (caller: Caller, [key, ...args]: ReadonlyArray<string>): ReplyValue => {
  const [from, to] = reverse ? [args[1], args[0]] : args
  const start = rangeStart(from)
  const end = rangeEnd(to)
  let count: number | undefined
  for (let at = 2; at < args.length; at += 2) {
    if (args[at].toUpperCase() !== "COUNT" || at + 1 === args.length) refuse(syntaxError)
    count = toLimit(args[at + 1])
  }
  const stream = caller.database.read(key, "stream")
  if (stream === undefined) return array([])
  if (count === 0) return ReplyValue.NullArray()
  const entries = start > end ? [] : stream.range(start, end)
  return array((reverse ? entries.toReversed() : entries).slice(0, count).map(entryReply))
}

export const missingGroup = "ERR Missing GROUP option for XREADGROUP"

/** The options that `XREAD` and `XREADGROUP` share. */
export interface ReadOptions {
  readonly group: readonly [name: string, consumer: string] | undefined
  readonly acknowledged: boolean
  /** `undefined` for all there is. */
  readonly count: number | undefined
  /** Milliseconds; `undefined` waits for nothing. */
  readonly timeout: number | undefined
  readonly streams: ReadonlyArray<readonly [key: string, id: string]>
}

const toTimeout = (text: string): number => {
  const timeout = Number(toInteger(text, "ERR timeout is not an integer or out of range"))
  return timeout < 0 ? refuse("ERR timeout is negative") : timeout
}

/** Reads the options of `XREAD` or `XREADGROUP`, whose name this is. */
export const readOptions = (
  caller: Caller,
  name: "XREAD" | "XREADGROUP",
  args: ReadonlyArray<string>
): ReadOptions => {
  const onlyGroups = (option: string): void => {
    if (name === "XREADGROUP") return
    refuse(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
  }
  let group: ReadOptions["group"]
  let acknowledged = false
  let count = 0
  let timeout: number | undefined
  let streams: ReadonlyArray<string> | undefined
  for (let at = 0; at < args.length && streams === undefined; at++) {
    const option = args[at].toUpperCase()
    const more = args.length - 1 - at
    if (option === "BLOCK" && more > 0) timeout = toTimeout(args[++at])
    else if (option === "COUNT" && more > 0) count = toLimit(args[++at])
    else if (option === "STREAMS" && more > 0) streams = args.slice(at + 1)
    else if (option === "GROUP" && more > 1) {
      onlyGroups("GROUP")
      group = [args[++at], args[++at]]
    } else if (option === "NOACK") {
      onlyGroups("NOACK")
      acknowledged = true
    } else {
      refuse(syntaxError)
    }
  }
  if (streams === undefined) return refuse(syntaxError)
  if (streams.length % 2 !== 0) refuse(caller.dialect.unbalanced(name))
  if (name === "XREADGROUP" && group === undefined) refuse(missingGroup)
  const half = streams.length / 2
  return {
    group,
    acknowledged,
    count: count === 0 ? undefined : count,
    timeout,
    streams: streams.slice(0, half).map((key, index) => [key, streams[half + index]])
  }
}

/** What was read, by key: RESP3 has maps for it. */
export const readReply = (caller: Caller, found: ReadonlyArray<readonly [key: string, entries: ReplyValue]>) => {
  const pairs = found.map(([key, entries]) => [bulk(key), entries] as const)
  return caller.protocol === 3 ? ReplyValue.Map({ entries: pairs }) : array(pairs.map(array))
}

/** The stream of a key that may have become anything while a client waits for it. */
export const streamAt = (caller: Caller, key: string): Stream | undefined =>
  caller.database.type(key) === "stream" ? caller.database.read(key, "stream") : undefined

/** Where `XREAD` begins to read a stream: behind an id, or at the last entry there is. */
const readFrom = (caller: Caller, stream: Stream | undefined, id: string): Id => {
  if (id === ">") {
    refuse("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
  }
  const isLast = id === "+" && caller.dialect.readsLastEntry
  if (isLast && stream?.last !== undefined) return stream.last.id
  return (isLast || id === "$" ? stream?.lastId ?? 0n : toId(id)) + 1n
}

const xread = (caller: Caller, args: ReadonlyArray<string>): Outcome => {
  const { count, streams, timeout } = readOptions(caller, "XREAD", args)
  const { database, dialect } = caller
  const wanted = streams.map(([key, id]) => [key, readFrom(caller, database.read(key, "stream"), id)] as const)
  const entriesOf = (stream: Stream | undefined, from: Id) => stream?.range(from, maxId).slice(0, count) ?? []
  const readAll = (): ReplyValue | undefined => {
    const found = wanted.flatMap(([key, from]) => {
      const entries = entriesOf(database.read(key, "stream"), from)
      return entries.length === 0 ? [] : [[key, array(entries.map(entryReply))] as const]
    })
    return found.length === 0 ? undefined : readReply(caller, found)
  }
  const readFirst = (): ReplyValue | undefined => {
    for (const [key, from] of wanted) {
      const entries = entriesOf(streamAt(caller, key), from)
      // A wait ends with the first stream that has something.
      if (entries.length > 0) {
        return dialect.runsAgain
          ? readAll()
          : readReply(caller, [[key, array(entries.map(entryReply))]])
      }
    }
    return undefined
  }
  const found = readAll()
  if (found !== undefined) return found
  return timeout === undefined ? ReplyValue.NullArray() : new Blocked(timeout, readFirst, ReplyValue.NullArray())
}

/** The commands of this file by name. */
export const streams: Record<string, Command<Caller>> = {
  XADD: { arity: -5, run: xadd },
  XLEN: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "stream")?.size ?? 0) },
  XRANGE: { arity: -4, run: xrange(false) },
  XREVRANGE: { arity: -4, run: xrange(true) },
  XDEL: { arity: -3, run: xdel },
  XTRIM: { arity: -4, run: xtrim },
  XSETID: { arity: -3, run: xsetid },
  XREAD: { arity: -4, run: xread }
}
