/**
 * The data of a simulated deployment: sixteen databases of typed values with expiry, and the watches on them.
 *
 * It owns values and when they end; it knows neither commands nor connections. Expiry is lazy: an entry whose time is
 * over is removed by the first look at it. Time is asked of the function that the keyspace is made with.
 */

import { Stream } from "./stream.ts"

/** What each type of value is stored as. Texts are byte strings (see `text.ts`). */
export interface Values {
  readonly string: string
  readonly hash: Map<string, string>
  readonly list: Array<string>
  readonly set: Set<string>
  readonly zset: Map<string, number>
  readonly stream: Stream
}

/** The name of a type, as the command `TYPE` prints it. */
export type ValueType = keyof Values

interface Entry {
  readonly type: ValueType
  readonly value: Values[ValueType]
  /** Milliseconds of the clock, or `undefined` for never. */
  expiresAt: number | undefined
}

/** What `WATCH` leaves behind: broken once a watched key changed. */
export interface Watch {
  broken: boolean
}

/** An error reply as an exception: thrown by the code of a command, caught where commands are run. */
export class Refusal {
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

const empty: { readonly [T in Exclude<ValueType, "string">]: () => Values[T] } = {
  hash: () => new Map(),
  list: () => [],
  set: () => new Set(),
  zset: () => new Map(),
  stream: () => new Stream()
}

const copyOf = (value: Values[ValueType]): Values[ValueType] => {
  if (typeof value === "string") return value
  if (Array.isArray(value)) return [...value]
  if (value instanceof Stream) return value.copy()
  return value instanceof Set ? new Set(value) : new Map(value as Map<string, never>)
}

/** Who is told of every change. */
export interface Witness {
  readonly changed: (key: string) => void
  readonly flushed: () => void
}

/** One numbered database. */
export class Database {
  private readonly entries = new Map<string, Entry>()
  private readonly watches = new Map<string, Set<Watch>>()
  private readonly now: () => number
  private readonly witness: Witness

  constructor(now: () => number, witness: Witness) {
    this.now = now
    this.witness = witness
  }

  private find(key: string): Entry | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    // A value set for 100 ms is gone once a simulated clock has moved by 100 ms; Redis asks for one more.
    if (entry.expiresAt === undefined || this.now() < entry.expiresAt) return entry
    this.delete(key)
    return undefined
  }

  /** Every key that has not expired. */
  keys(): Array<string> {
    return [...this.entries.keys()].filter((key) => this.find(key) !== undefined)
  }

  type(key: string): ValueType | undefined {
    return this.find(key)?.type
  }

  /** The value of a key; a value of another type is refused. */
  read<T extends ValueType>(key: string, type: T): Values[T] | undefined {
    const entry = this.find(key)
    if (entry === undefined) return undefined
    if (entry.type !== type) {
      throw new Refusal("WRONGTYPE Operation against a key holding the wrong kind of value")
    }
    return entry.value as Values[T]
  }

  /**
   * Changes the collection of a key, which is empty where there is none. `change` says how much it changed: after
   * nothing nothing happens, and a collection that is left empty is removed, as Redis does, except for a stream.
   */
  update<T extends Exclude<ValueType, "string">>(key: string, type: T, change: (value: Values[T]) => number): number {
    const current = this.read(key, type)
    const value = current ?? empty[type]()
    const changes = change(value)
    if (changes === 0) return 0
    const size = Array.isArray(value) ? value.length : value.size
    if (size === 0 && type !== "stream") this.entries.delete(key)
    else if (current === undefined) this.entries.set(key, { type, value, expiresAt: undefined })
    this.touch(key)
    return changes
  }

  /** Sets a string and when it ends. */
  write(key: string, text: string, expiresAt: number | undefined): void {
    this.entries.set(key, { type: "string", value: text, expiresAt })
    this.touch(key)
  }

  /** Replaces whatever a key holds by a collection that never ends; an empty one removes the key. */
  store<T extends "list" | "set" | "zset">(key: string, type: T, value: Values[T]): void {
    this.delete(key)
    if ((Array.isArray(value) ? value.length : value.size) === 0) return
    this.entries.set(key, { type, value, expiresAt: undefined })
    this.touch(key)
  }

  /** Gives the value and the end of an existing key to another one, which loses its own, and leaves nothing behind. */
  rename(from: string, to: string): void {
    const entry = this.find(from)
    if (entry === undefined || from === to) return
    this.delete(from)
    this.entries.set(to, entry)
    this.touch(to)
  }

  /** Does the same with a copy, in any database. */
  copy(from: string, target: Database, to: string): void {
    const entry = this.find(from)
    if (entry === undefined) return
    target.entries.set(to, { ...entry, value: copyOf(entry.value) })
    target.touch(to)
  }

  /** When a key ends: `undefined` for never and for a key that does not exist. */
  expiresAt(key: string): number | undefined {
    return this.find(key)?.expiresAt
  }

  /** Sets when an existing key ends; a moment that is over removes it. */
  expire(key: string, at: number | undefined): void {
    const entry = this.find(key)
    if (entry === undefined) return
    entry.expiresAt = at
    this.touch(key)
    this.find(key)
  }

  delete(key: string): boolean {
    const existed = this.entries.delete(key)
    if (existed) this.touch(key)
    return existed
  }

  /** Removes everything; see `Keyspace.flush`. */
  clear(): void {
    for (const key of this.entries.keys()) {
      this.entries.delete(key)
      this.breakWatches(key)
    }
  }

  /** Breaks `watch` when `key` changes from now on. */
  watch(key: string, watch: Watch): void {
    // What expired before is no change.
    this.find(key)
    const watches = this.watches.get(key)
    if (watches === undefined) this.watches.set(key, new Set([watch]))
    else watches.add(watch)
  }

  unwatch(key: string, watch: Watch): void {
    // What expired since is a change, although nobody has looked at it yet.
    this.find(key)
    const watches = this.watches.get(key)
    if (watches === undefined) return
    watches.delete(watch)
    if (watches.size === 0) this.watches.delete(key)
  }

  private touch(key: string): void {
    this.witness.changed(key)
    this.breakWatches(key)
  }

  private breakWatches(key: string): void {
    const watches = this.watches.get(key)
    if (watches === undefined) return
    for (const watch of watches) watch.broken = true
  }
}

// Redis is configured with 16 databases unless told otherwise.
const databaseCount = 16

/** All databases of a deployment. */
export class Keyspace {
  readonly databases: ReadonlyArray<Database>
  readonly now: () => number
  private readonly witness: Witness

  constructor(now: () => number, witness: Witness) {
    this.now = now
    this.witness = witness
    this.databases = Array.from({ length: databaseCount }, () => new Database(now, witness))
  }
  /** Empties databases, which is told once. */
  flush(databases: ReadonlyArray<Database>): void {
    for (const database of databases) database.clear()
    this.witness.flushed()
  }
}
