/** Streams: consumer groups, and what can be asked about a stream. */
import {
  array,
  Blocked,
  bulk,
  type Caller,
  type Command,
  count,
  error,
  integer,
  nil,
  noSuchKey,
  ok,
  type Outcome,
  refuse,
  syntaxError,
  toAtLeastOne,
  toInteger
} from "../command.ts"
import { ReplyValue } from "../replies.ts"
import { type Consumer, type Group, type Id, maxId, type Pending, pendingFrom, type Stream } from "../stream.ts"
import {
  boundId,
  container,
  entryReply,
  idReply,
  missingGroup,
  now,
  parseId,
  rangeEnd,
  rangeStart,
  readOptions,
  readReply,
  streamAt,
  toId,
  toLimit,
  unknownOptions
} from "./streams.ts"

// ----- groups and their consumers -----

const findGroup = (caller: Caller, key: string, name: string): Group | undefined =>
  caller.database.read(key, "stream")?.groups.get(name)

interface StreamGroup {
  readonly stream: Stream
  readonly group: Group
}

const requireGroup = (caller: Caller, key: string, name: string, where: string = ""): StreamGroup => {
  const stream = caller.database.read(key, "stream")
  const group = stream?.groups.get(name)
  if (stream === undefined || group === undefined) {
    return refuse(`NOGROUP No such key '${key}' or consumer group '${name}'${where}`)
  }
  return { stream, group }
}

/** The consumer of that name, made where there is none; asking for it counts as its activity. */
const consumerOf = (caller: Caller, group: Group, name: string): Consumer => {
  const consumer = group.consumers.get(name) ?? { name, seenAt: 0, activeAt: undefined }
  consumer.seenAt = now(caller)
  group.consumers.set(name, consumer)
  return consumer
}

const pendingOf = (group: Group, consumer: Consumer): ReadonlyArray<readonly [Id, Pending]> =>
  pendingFrom(group, 0n).filter(([, pending]) => pending.consumer === consumer)

// Redis keeps groups and consumers in the order of their bytes.
const byName = <A>(named: ReadonlyMap<string, A>): ReadonlyArray<readonly [string, A]> =>
  [...named].sort(([a], [b]) => (a < b ? -1 : 1))

// ----- XGROUP -----

const mustExist = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the " +
  "MKSTREAM option to create an empty stream automatically."

const requireStream = (caller: Caller, key: string): Stream => caller.database.read(key, "stream") ?? refuse(mustExist)

const groupOf = (stream: Stream, key: string, name: string): Group =>
  stream.groups.get(name) ?? refuse(`NOGROUP No such consumer group '${name}' for key name '${key}'`)

interface GroupOptions {
  readonly mayCreate: boolean
  readonly entriesRead: bigint | undefined
}

const groupOptions = (subcommand: string, args: ReadonlyArray<string>): GroupOptions => {
  let mayCreate = false
  let entriesRead = -1n
  for (let at = 0; at < args.length; at++) {
    const option = args[at].toUpperCase()
    if (option === "MKSTREAM" && subcommand.toUpperCase() === "CREATE") mayCreate = true
    else if (option === "ENTRIESREAD" && at + 1 < args.length) {
      entriesRead = toInteger(args[++at])
      if (entriesRead < -1n) refuse("ERR value for ENTRIESREAD must be positive or -1")
    } else {
      unknownOptions("XGROUP", subcommand)
    }
  }
  return { mayCreate, entriesRead: entriesRead === -1n ? undefined : entriesRead }
}

const create = (
  caller: Caller,
  [key, name, id, ...args]: ReadonlyArray<string>,
  subcommand: string
): ReplyValue => {
  const { entriesRead, mayCreate } = groupOptions(subcommand, args)
  const add = (stream: Stream): number => {
    const lastId = id === "$" ? stream.lastId : toId(id)
    if (stream.groups.has(name)) refuse("BUSYGROUP Consumer Group name already exists")
    stream.groups.set(name, { lastId, entriesRead, pending: new Map(), consumers: new Map() })
    return 1
  }
  const stream = caller.database.read(key, "stream")
  // A new group is no change of its key to a watch, but a new key is.
  if (stream !== undefined) add(stream)
  else if (mayCreate) caller.database.update(key, "stream", add)
  else refuse(mustExist)
  return ok
}

const setId = (
  caller: Caller,
  [key, name, id, ...args]: ReadonlyArray<string>,
  subcommand: string
): ReplyValue => {
  const { entriesRead } = groupOptions(subcommand, args)
  const stream = requireStream(caller, key)
  const group = groupOf(stream, key, name)
  group.lastId = id === "$" ? stream.lastId : boundId(id)
  group.entriesRead = entriesRead
  return ok
}

const createConsumer = (caller: Caller, [key, name, consumer]: ReadonlyArray<string>): ReplyValue => {
  const group = groupOf(requireStream(caller, key), key, name)
  if (group.consumers.has(consumer)) return count(false)
  consumerOf(caller, group, consumer)
  return count(true)
}

const deleteConsumer = (caller: Caller, [key, name, consumerName]: ReadonlyArray<string>): ReplyValue => {
  const group = groupOf(requireStream(caller, key), key, name)
  const consumer = group.consumers.get(consumerName)
  if (consumer === undefined) return integer(0)
  const pending = pendingOf(group, consumer)
  for (const [id] of pending) group.pending.delete(id)
  group.consumers.delete(consumerName)
  return integer(pending.length)
}

// ----- XREADGROUP -----

/** Reads what a consumer asks for: what is new to its group, or its own history behind an id. */
const toWanted = (caller: Caller, id: string): Id | "new" => {
  if (id === "$" || (id === "+" && caller.dialect.readsLastEntry)) {
    refuse(
      `ERR The ${id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by ` +
        `specifying a proper ID, or use the > ID to get new messages. The ${id} ID would just return an empty result set.`
    )
  }
  const after = id === ">" ? maxId : toId(id)
  return after === maxId ? "new" : after
}

/** Who reads, and how. */
interface Reader {
  readonly caller: Caller
  readonly consumer: string
  readonly limit: number | undefined
  readonly acknowledged: boolean
}

/** Delivers what is new. */
const deliver = (reader: Reader, { group, stream }: StreamGroup): ReplyValue | undefined => {
  const { dialect } = reader.caller
  const entries = stream.range(group.lastId + 1n, maxId).slice(0, reader.limit)
  if (entries.length === 0 && !dialect.makesConsumers) return undefined
  const consumer = consumerOf(reader.caller, group, reader.consumer)
  if (entries.length === 0) return undefined
  for (const { id } of entries) {
    stream.advance(group, id, dialect.countsTrimmed)
    if (reader.acknowledged) continue
    // A group that was set back delivers again what others may hold: whoever reads it last holds it.
    group.pending.set(id, { consumer, deliveredAt: consumer.seenAt, deliveries: 1 })
    consumer.activeAt = consumer.seenAt
  }
  return array(entries.map(entryReply))
}

/** What the consumer holds behind an id; being read again counts as delivered again. */
const history = (reader: Reader, { group, stream }: StreamGroup, after: Id): ReplyValue => {
  const consumer = consumerOf(reader.caller, group, reader.consumer)
  const held = pendingOf(group, consumer).filter(([id]) => id > after).slice(0, reader.limit)
  return array(held.map(([id, pending]) => {
    const entry = stream.find(id)
    if (entry === undefined) return array([idReply(id), ReplyValue.NullArray()])
    pending.deliveredAt = consumer.seenAt
    pending.deliveries++
    return entryReply(entry)
  }))
}

const xreadgroup = (caller: Caller, args: ReadonlyArray<string>): Outcome => {
  const { acknowledged, count: limit, group, streams, timeout } = readOptions(caller, "XREADGROUP", args)
  const [name, consumer] = group ?? refuse(missingGroup)
  const { dialect } = caller
  const reader: Reader = { caller, consumer, limit, acknowledged }
  const readAll = (): ReplyValue | undefined => {
    const wanted = streams.map(([key, id]) => ({
      key,
      of: requireGroup(caller, key, name, " in XREADGROUP with GROUP option"),
      after: toWanted(caller, id)
    }))
    const found = wanted.flatMap(({ after, key, of }) => {
      const entries = after === "new" ? deliver(reader, of) : history(reader, of, after)
      return entries === undefined ? [] : [[key, entries] as const]
    })
    return found.length === 0 ? undefined : readReply(caller, found)
  }
  // What is new to the group, or that it is gone; other keys do not count as asking again.
  const isWoken = (): boolean =>
    streams.some(([key]) => {
      const stream = streamAt(caller, key)
      const group = stream?.groups.get(name)
      return group === undefined || (stream?.last !== undefined && stream.last.id > group.lastId)
    })
  const readAgain = (): ReplyValue | undefined => isWoken() ? readAll() : undefined
  const readFirst = (): ReplyValue | undefined => {
    for (const [key] of streams) {
      const stream = streamAt(caller, key)
      if (stream === undefined) return error("UNBLOCKED the stream key no longer exists")
      const group = stream.groups.get(name)
      if (group === undefined) {
        return error("NOGROUP the consumer group this client was blocked on no longer exists")
      }
      const entries = deliver(reader, { group, stream })
      // A wait ends with the first stream that has something.
      if (entries !== undefined) return readReply(caller, [[key, entries]])
    }
    return undefined
  }
  const found = readAll()
  if (found !== undefined) return found
  if (timeout === undefined) return ReplyValue.NullArray()
  return new Blocked(timeout, dialect.runsAgain ? readAgain : readFirst, ReplyValue.NullArray())
}

// ----- XACK, XPENDING, XCLAIM, XAUTOCLAIM -----

const xack = (caller: Caller, [key, name, ...args]: ReadonlyArray<string>): ReplyValue => {
  const group = findGroup(caller, key, name)
  // Redis does not look at the ids when there is no group to have them.
  if (group === undefined) return integer(0)
  const ids = args.map(toId)
  return integer(ids.filter((id) => group.pending.delete(id)).length)
}

const pendingSummary = (group: Group): ReplyValue => {
  const pending = pendingFrom(group, 0n)
  if (pending.length === 0) return array([integer(0), nil, nil, ReplyValue.NullArray()])
  const consumers = byName(group.consumers)
    .map(([name, consumer]) => [name, pendingOf(group, consumer).length] as const)
    .filter(([, held]) => held > 0)
  return array([
    integer(pending.length),
    idReply(pending[0][0]),
    idReply(pending[pending.length - 1][0]),
    array(consumers.map(([name, held]) => array([bulk(name), bulk(String(held))])))
  ])
}

const idleSince = (caller: Caller, moment: number): number => Math.max(now(caller) - moment, 0)

const xpending = (caller: Caller, [key, name, ...args]: ReadonlyArray<string>): ReplyValue => {
  if (args.length === 0) return pendingSummary(requireGroup(caller, key, name).group)
  if (args.length < 3 || args.length > 6) refuse(syntaxError)
  const filtered = args[0].toUpperCase() === "IDLE"
  const minIdle = filtered ? Number(toInteger(args[1])) : 0
  if (filtered && args.length < 5) refuse(syntaxError)
  const [from, to, many, consumerName] = (filtered ? args.slice(2) : args) as [string, string, string, string?]
  const limit = toLimit(many)
  const start = rangeStart(from)
  const end = rangeEnd(to)
  const { group } = requireGroup(caller, key, name)
  const found = pendingFrom(group, start)
    .filter(([id, pending]) =>
      id <= end &&
      (consumerName === undefined || pending.consumer.name === consumerName) &&
      (minIdle === 0 || idleSince(caller, pending.deliveredAt) >= minIdle)
    )
    .slice(0, limit)
  return array(
    found.map(([id, { consumer, deliveredAt, deliveries }]) =>
      array([idReply(id), bulk(consumer.name), integer(idleSince(caller, deliveredAt)), integer(deliveries)])
    )
  )
}

interface ClaimOptions {
  readonly ids: ReadonlyArray<Id>
  readonly deliveredAt: number
  readonly deliveries: number | undefined
  readonly force: boolean
  readonly justIds: boolean
  readonly lastId: Id
}

const claimOptions = (caller: Caller, args: ReadonlyArray<string>): ClaimOptions => {
  // What is no id is the first option.
  const ids = args.map((text) => parseId(text))
  const first = ids.indexOf(undefined)
  const options = first < 0 ? [] : args.slice(first)
  let deliveredAt = now(caller)
  let deliveries: number | undefined
  let force = false
  let justIds = false
  let lastId = 0n
  for (let at = 0; at < options.length; at++) {
    const option = options[at].toUpperCase()
    const more = at + 1 < options.length
    const next = (): number => Number(toInteger(options[++at], `ERR Invalid ${option} option argument for XCLAIM`))
    if (option === "FORCE") force = true
    else if (option === "JUSTID") justIds = true
    else if (option === "IDLE" && more) deliveredAt = now(caller) - next()
    else if (option === "TIME" && more) deliveredAt = next()
    else if (option === "RETRYCOUNT" && more) deliveries = next()
    else if (option === "LASTID" && more) lastId = toId(options[++at])
    else refuse(`ERR Unrecognized XCLAIM option '${options[at]}'`)
  }
  return {
    ids: (first < 0 ? ids : ids.slice(0, first)) as ReadonlyArray<Id>,
    // Moments before the first one and after the present one are mistakes to Redis, and mean now.
    deliveredAt: deliveredAt < 0 || deliveredAt > now(caller) ? now(caller) : deliveredAt,
    deliveries: deliveries === undefined || deliveries < 0 ? undefined : deliveries,
    force,
    justIds,
    lastId
  }
}

const toMinIdle = (text: string, command: string): number =>
  Number(toInteger(text, `ERR Invalid min-idle-time argument for ${command}`))

const xclaim = (caller: Caller, [key, name, consumerName, idle, ...args]: ReadonlyArray<string>): ReplyValue => {
  const { group, stream } = requireGroup(caller, key, name)
  const minIdle = toMinIdle(idle, "XCLAIM")
  const { deliveredAt, deliveries, force, ids, justIds, lastId } = claimOptions(caller, args)
  if (lastId > group.lastId) group.lastId = lastId
  if (caller.dialect.makesConsumers) consumerOf(caller, group, consumerName)
  const claimed: Array<ReplyValue> = []
  for (const id of ids) {
    const entry = stream.find(id)
    const pending = group.pending.get(id)
    // What was deleted meanwhile cannot be claimed, and nobody has to acknowledge it any more.
    if (entry === undefined) group.pending.delete(id)
    if (entry === undefined || (pending === undefined && !force)) continue
    if (pending !== undefined && idleSince(caller, pending.deliveredAt) < minIdle) continue
    const consumer = consumerOf(caller, group, consumerName)
    consumer.activeAt = consumer.seenAt
    group.pending.set(id, {
      consumer,
      deliveredAt,
      deliveries: deliveries ?? (pending?.deliveries ?? 1) + (justIds ? 0 : 1)
    })
    claimed.push(justIds ? idReply(id) : entryReply(entry))
  }
  return array(claimed)
}

// An XAUTOCLAIM looks at ten pending entries for each that it may claim, so that it ends soon.
const attemptsPerClaim = 10

const xautoclaim = (
  caller: Caller,
  [key, name, consumerName, idle, from, ...args]: ReadonlyArray<string>
): ReplyValue => {
  const minIdle = toMinIdle(idle, "XAUTOCLAIM")
  const start = rangeStart(from)
  // Redis claims up to 100 unless told otherwise.
  let room = 100
  let justIds = false
  for (let at = 0; at < args.length; at++) {
    const option = args[at].toUpperCase()
    if (option === "COUNT" && at + 1 < args.length) {
      room = toAtLeastOne(args[++at], "ERR COUNT must be > 0")
    } else if (option === "JUSTID") {
      justIds = true
    } else {
      refuse(syntaxError)
    }
  }
  const { group, stream } = requireGroup(caller, key, name)
  const queue = pendingFrom(group, start)
  const last = room * attemptsPerClaim
  if (caller.dialect.makesConsumers) consumerOf(caller, group, consumerName)
  const claimed: Array<ReplyValue> = []
  const deleted: Array<ReplyValue> = []
  let at = 0
  for (; at < queue.length && at < last && room > 0; at++) {
    const [id, pending] = queue[at]
    const entry = stream.find(id)
    if (entry === undefined) {
      group.pending.delete(id)
      deleted.push(idReply(id))
      room--
    } else if (idleSince(caller, pending.deliveredAt) >= minIdle) {
      const consumer = consumerOf(caller, group, consumerName)
      consumer.activeAt = consumer.seenAt
      pending.consumer = consumer
      pending.deliveredAt = now(caller)
      if (!justIds) pending.deliveries++
      claimed.push(justIds ? idReply(id) : entryReply(entry))
      room--
    }
  }
  return array([idReply(queue[at]?.[0] ?? 0n), array(claimed), array(deleted)])
}

// ----- XINFO -----

/** Named facts: RESP3 has maps for them. */
const facts = (entries: Readonly<Record<string, ReplyValue>>): ReplyValue =>
  ReplyValue.Map({ entries: Object.entries(entries).map(([name, value]) => [bulk(name), value] as const) })

const existing = (caller: Caller, key: string): Stream => caller.database.read(key, "stream") ?? refuse(noSuchKey)

const infoStream = (
  caller: Caller,
  [key, ...args]: ReadonlyArray<string>,
  subcommand: string
): ReplyValue => {
  const stream = existing(caller, key)
  if (args.length > 0) unknownOptions("XINFO", subcommand)
  const { first, last, nodes } = stream
  return facts({
    length: integer(stream.size),
    "radix-tree-keys": integer(nodes),
    // Of the tree itself there is none here: so many nodes it has for up to one key.
    "radix-tree-nodes": integer(nodes + 1),
    "last-generated-id": idReply(stream.lastId),
    "max-deleted-entry-id": idReply(stream.maxDeletedId),
    "entries-added": integer(stream.entriesAdded),
    "recorded-first-entry-id": idReply(first?.id ?? 0n),
    groups: integer(stream.groups.size),
    "first-entry": first === undefined ? nil : entryReply(first),
    "last-entry": last === undefined ? nil : entryReply(last)
  })
}

const integerOrNil = (value: bigint | undefined): ReplyValue => value === undefined ? nil : integer(value)

const infoGroups = (caller: Caller, [key]: ReadonlyArray<string>): ReplyValue => {
  const stream = existing(caller, key)
  return array(
    byName(stream.groups).map(([name, group]) =>
      facts({
        name: bulk(name),
        consumers: integer(group.consumers.size),
        pending: integer(group.pending.size),
        "last-delivered-id": idReply(group.lastId),
        "entries-read": integerOrNil(group.entriesRead),
        lag: integerOrNil(stream.lag(group, caller.dialect.countsTrimmed))
      })
    )
  )
}

const infoConsumers = (caller: Caller, [key, name]: ReadonlyArray<string>): ReplyValue => {
  const group = groupOf(existing(caller, key), key, name)
  return array(
    byName(group.consumers).map(([name, consumer]) =>
      facts({
        name: bulk(name),
        pending: integer(pendingOf(group, consumer).length),
        idle: integer(idleSince(caller, consumer.seenAt)),
        ...caller.dialect.tellsInactive && {
          inactive: integer(consumer.activeAt === undefined ? -1 : idleSince(caller, consumer.activeAt))
        }
      })
    )
  )
}

/** The commands of this file by name. */
export const consumerGroups: Record<string, Command<Caller>> = {
  XGROUP: container("XGROUP", {
    CREATE: { arity: -5, run: create },
    SETID: { arity: -5, run: setId },
    DESTROY: {
      arity: 4,
      run: (caller, [key, name]) => count(requireStream(caller, key).groups.delete(name))
    },
    CREATECONSUMER: { arity: 5, run: createConsumer },
    DELCONSUMER: { arity: 5, run: deleteConsumer }
  }),
  XREADGROUP: { arity: -7, run: xreadgroup },
  XACK: { arity: -4, run: xack },
  XPENDING: { arity: -3, run: xpending },
  XCLAIM: { arity: -6, run: xclaim },
  XAUTOCLAIM: { arity: -6, run: xautoclaim },
  XINFO: container("XINFO", {
    STREAM: { arity: -3, run: infoStream },
    GROUPS: { arity: 3, run: infoGroups },
    CONSUMERS: { arity: 4, run: infoConsumers }
  })
}
