/**
 * A stream as a value: its log of entries, its consumer groups, and the counters that tell how far a group lags.
 *
 * It knows neither commands nor clocks; whoever calls brings the time. A group holds what was delivered and not yet
 * acknowledged as one list; what a consumer holds are the elements of that list in its name.
 */

/** An id as one number, 64 bits of milliseconds above 64 bits of sequence number: its order is the order of entries. */
export type Id = bigint

const sequenceBits = 64n
export const maxSequence = 2n ** sequenceBits - 1n
export const maxId: Id = 2n ** (2n * sequenceBits) - 1n

export const makeId = (millis: bigint, sequence: bigint): Id => (millis << sequenceBits) | sequence
export const millisOf = (id: Id): bigint => id >> sequenceBits
export const formatId = (id: Id): string => `${millisOf(id)}-${id & maxSequence}`

export interface Entry {
  readonly id: Id
  /** Names and values in turn. */
  readonly fields: ReadonlyArray<string>
  /** The node that it is stored in. */
  readonly node: number
}

export interface Consumer {
  readonly name: string
  /** When it last asked for anything. */
  seenAt: number
  /** When it was last given anything, if ever. */
  activeAt: number | undefined
}

/** An entry that a consumer was given and has not acknowledged. */
export interface Pending {
  consumer: Consumer
  deliveredAt: number
  deliveries: number
}

export interface Group {
  /** The last entry that was delivered. */
  lastId: Id
  /** How many entries of the whole history are up to `lastId`; `undefined` where nobody can tell. */
  entriesRead: bigint | undefined
  readonly pending: Map<Id, Pending>
  readonly consumers: Map<string, Consumer>
}

// `stream-node-max-entries` of Redis' default configuration. Redis also begins a node after 4096 bytes of its own
// encoding, which is not counted here.
const nodeEntries = 100

/** One stream. */
export class Stream {
  lastId: Id = 0n
  maxDeletedId: Id = 0n
  /** Of the whole history, deleted ones included. */
  entriesAdded = 0n
  readonly groups = new Map<string, Group>()
  private readonly entries: Array<Entry> = []
  private node = 0
  private addedToNode = 0

  get size(): number {
    return this.entries.length
  }

  get first(): Entry | undefined {
    return this.entries[0]
  }

  get last(): Entry | undefined {
    return this.entries.at(-1)
  }

  get nodes(): number {
    return new Set(this.entries.map((entry) => entry.node)).size
  }

  /** How many entries are before `id`. */
  countBefore(id: Id): number {
    let low = 0
    let high = this.entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.entries[middle].id < id) low = middle + 1
      else high = middle
    }
    return low
  }

  find(id: Id): Entry | undefined {
    const entry = this.entries[this.countBefore(id)]
    return entry?.id === id ? entry : undefined
  }

  /** The entries from `start` to `end`, both included. */
  range(start: Id, end: Id): ReadonlyArray<Entry> {
    return this.entries.slice(this.countBefore(start), this.countBefore(end + 1n))
  }

  /** Adds an entry behind all others: `id` is above `lastId`. */
  append(id: Id, fields: ReadonlyArray<string>): void {
    // Deleted entries count for the size of a node, and a node that lost all of them is gone.
    if (this.last?.node !== this.node || this.addedToNode === nodeEntries) {
      this.node++
      this.addedToNode = 0
    }
    this.addedToNode++
    this.entries.push({ id, fields, node: this.node })
    this.entriesAdded++
    this.lastId = id
  }

  delete(id: Id): boolean {
    const index = this.countBefore(id)
    if (this.entries[index]?.id !== id) return false
    this.entries.splice(index, 1)
    if (id > this.maxDeletedId) this.maxDeletedId = id
    return true
  }

  /** Removes entries from the front and says how many. */
  trim(length: number): number {
    return this.entries.splice(0, length).length
  }

  /** How many entries are in the whole nodes at the front that have at most `length` entries together. */
  wholeNodes(length: number): number {
    let end = Math.min(length, this.entries.length)
    while (end > 0 && this.entries[end]?.node === this.entries[end - 1].node) end--
    return end
  }

  /** A stream of its own with the same content, groups and all. */
  copy(): Stream {
    const copy = new Stream()
    copy.lastId = this.lastId
    copy.maxDeletedId = this.maxDeletedId
    copy.entriesAdded = this.entriesAdded
    copy.entries.push(...this.entries)
    copy.node = this.node
    copy.addedToNode = this.addedToNode
    for (const [name, group] of this.groups) {
      const consumers = new Map([...group.consumers].map(([name, consumer]) => [name, { ...consumer }]))
      const pending = new Map(
        [...group.pending].map((
          [id, held]
        ) => [id, { ...held, consumer: consumers.get(held.consumer.name) ?? held.consumer }])
      )
      copy.groups.set(name, { ...group, consumers, pending })
    }
    return copy
  }

  /** Moves a group forward to an entry that is delivered; `countsTrimmed` is the dialect's. */
  advance(group: Group, id: Id, countsTrimmed: boolean): void {
    if (id <= group.lastId) return
    const follows = countsTrimmed
      ? this.first !== undefined && group.lastId >= this.first.id && !this.isBrokenFrom(group.lastId)
      : !this.isBrokenFrom(id)
    group.entriesRead = group.entriesRead !== undefined && follows
      ? group.entriesRead + 1n
      : this.entriesUpTo(id, countsTrimmed)
    group.lastId = id
  }

  /** How many entries a group has still to read, or `undefined` where nobody can tell. */
  lag(group: Group, countsTrimmed: boolean): bigint | undefined {
    if (this.entriesAdded === 0n) return 0n
    if (countsTrimmed) {
      if (this.first === undefined) return 0n
      if (group.lastId < this.first.id && this.maxDeletedId < this.first.id) return BigInt(this.size)
    }
    const read = group.entriesRead !== undefined && !this.isBrokenFrom(group.lastId)
      ? group.entriesRead
      : this.entriesUpTo(group.lastId, countsTrimmed)
    return read === undefined ? undefined : this.entriesAdded - read
  }

  /** Whether there is a gap from `id` on that a deletion left, so that counting on from there would be wrong. */
  private isBrokenFrom(id: Id): boolean {
    return this.first !== undefined && this.first.id <= this.maxDeletedId && id <= this.maxDeletedId
  }

  /** How many entries of the whole history are up to `id`, where its place tells. */
  private entriesUpTo(id: Id, countsTrimmed: boolean): bigint | undefined {
    if (this.first === undefined && id <= this.lastId) return this.entriesAdded
    if (countsTrimmed && id !== 0n && id < this.maxDeletedId) return undefined
    if (id === this.lastId) return this.entriesAdded
    if (this.first === undefined || id > this.lastId) return undefined
    // What was trimmed is all before the first entry; what was deleted may be anywhere.
    if (this.maxDeletedId >= this.first.id || id > this.first.id) return undefined
    const before = this.entriesAdded - BigInt(this.entries.length)
    return id < this.first.id ? before : before + 1n
  }
}

/** What a group has pending from `start` on, by id. */
export const pendingFrom = (group: Group, start: Id): ReadonlyArray<readonly [Id, Pending]> =>
  [...group.pending].filter(([id]) => id >= start).sort(([a], [b]) => (a < b ? -1 : 1))
