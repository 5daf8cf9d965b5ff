/**
 * The client-side caches of one client: replies that are kept until the server invalidates a key of theirs.
 *
 * Each cache is a pool of one slot whose connection tracks what is read on it. Reads and invalidations share the
 * connection, so their order is the server's: an invalidation that precedes a reply was sent before that was read, and an
 * answer proves that all invalidations before it have been heard. What is kept belongs to the connection that the slot
 * holds, and goes with it.
 *
 * A cache never writes, and never decides what becomes of a connection. What it cannot keep is read as if there was none.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Cache, Options } from "../Cache.ts"
import { Command } from "../commands/command.ts"
import { pTTL } from "../commands/keys.ts"
import type { Connection } from "../Connection.ts"
import type { HitlessError } from "../HitlessError.ts"
import { Pool } from "../Pool.ts"
import { type Arg, ErrorReply } from "../Resp.ts"
import { type Caller, type Calls, makeCalls } from "./calls.ts"
import { refused } from "./commands.ts"
import { dialUntil } from "./dialer.ts"
import { durationOf } from "./duration.ts"
import { unexpected } from "./replies.ts"
import type { Words } from "./request.ts"
import { outageOf, type Slot, type Surroundings } from "./slot.ts"

const track: Words = ["CLIENT", "TRACKING", "ON"]

/** A value is given for so long after its connection was proven to have told of every change, in milliseconds. */
const provenFor = 1000

/** Commands that only read and whose replies depend on more than their keys: on time, on chance, on keys that none names. */
const dependsOnMore: ReadonlySet<string> = new Set([
  "TTL",
  "PTTL",
  "HTTL",
  "HPTTL",
  "OBJECT",
  "MEMORY",
  "TOUCH",
  "XINFO",
  "XPENDING",
  "SRANDMEMBER",
  "HRANDFIELD",
  "ZRANDMEMBER",
  "VRANDMEMBER",
  "SORT_RO",
  "EVAL_RO",
  "EVALSHA_RO",
  "FCALL_RO"
])

/** Why a command cannot be cached, if it cannot. */
const refusalOf = ({ blocking, keys, readOnly, words }: Command<unknown>): HitlessError | undefined => {
  const name = String(words[0])
  return !readOnly || blocking
    ? refused(name, "only commands that only read can be cached")
    : keys.length === 0
    ? refused(name, "only commands with keys can be cached: the server tells which keys have changed")
    : dependsOnMore.has(name.toUpperCase())
    ? refused(name, "its reply changes without a change of its keys, and cannot be cached")
    : undefined
}

// ----- names -----

// As the decoder of connections reads keys; what is not UTF-8 is told apart no better there.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** A key as invalidations name it. */
const keyOf = (key: Arg): string => typeof key === "object" ? utf8.decode(key) : String(key)

/** What a command asks, as text: alike for two whose replies are alike. */
const questionOf = ({ bytes, words }: Command<unknown>): string => {
  let question = bytes ? "bytes" : "text"
  for (const word of words) {
    if (typeof word !== "object") {
      const text = String(word)
      question += ` ${text.length}:${text}`
      continue
    }
    question += ` #${word.length}:`
    for (const byte of word) question += String.fromCharCode(byte)
  }
  return question
}

// ----- what is kept -----

/** A reply before it was decoded: who made the command decodes it, each time. */
interface Reply {
  readonly value: unknown
  readonly protocol: 2 | 3
}

const undecoded = (value: unknown, protocol: 2 | 3): Reply => ({ value, protocol })

/** A reply that is kept. */
interface Kept {
  readonly question: string
  readonly keys: ReadonlyArray<string>
  readonly reply: Reply
  /** In elapsed milliseconds. */
  readonly expiresAt: number
}

/** A read that is under way. */
class Read {
  readonly question: string
  readonly keys: ReadonlyArray<string>
  readonly startedAt: number
  readonly connection: Connection
  /** The time that who asked has for it. */
  readonly timeout: unknown
  readonly done = Deferred.makeUnsafe<Reply, HitlessError>()
  /** One of its keys may have changed since it was asked. */
  isStale = false

  constructor(
    question: string,
    keys: ReadonlyArray<string>,
    startedAt: number,
    connection: Connection,
    timeout: unknown
  ) {
    this.question = question
    this.keys = keys
    this.startedAt = startedAt
    this.connection = connection
    this.timeout = timeout
  }
}

/** What one cache is, from one look. @internal */
export interface Look {
  readonly slot: Slot
  readonly isTracking: boolean
  readonly entries: number
}

/** One cache. */
class ClientCache implements Cache {
  readonly pool: Pool
  private readonly around: Surroundings
  private readonly caller: Pick<Caller, "timeoutOf">
  /** How what cannot be kept is read. */
  private readonly others: Calls
  private readonly own: Calls
  private readonly capacity: number
  private readonly timeToLive: number
  /** Connections that track what is read on them. */
  private readonly tracking = new WeakSet<Connection>()
  /** The one that serves, if it tracks: all that is kept was read on it. */
  private connection: Connection | undefined
  /** In the order in which they were last read. */
  private readonly kept = new Map<string, Kept>()
  /** The reads that are under way, and of those with one question the one that others can wait for. */
  private readonly underWay = new Set<Read>()
  private readonly reads = new Map<string, Read>()
  private readonly byKey = new Map<string, Set<Kept | Read>>()
  /** Changes that were made on the server before were heard of by now, in elapsed milliseconds. */
  private provenAt = -Infinity
  /** The read that will prove more. */
  private proving: Read | undefined

  constructor(
    around: Surroundings,
    others: Calls,
    caller: Pick<Caller, "timeoutOf">,
    index: number,
    capacity: number,
    timeToLive: number
  ) {
    this.around = around
    this.others = others
    this.caller = caller
    this.capacity = capacity
    this.timeToLive = timeToLive
    this.pool = new Pool(around, {
      kind: "cache",
      firstIndex: index,
      size: 1,
      restore: (next) => this.track(next),
      onPush: (connection, elements) => this.hear(connection, elements),
      onChange: () => this.changed()
    })
    this.own = makeCalls(around.runtime, this.pool, {
      ...caller,
      isShared: true,
      // Nothing that waits is cached.
      block: () => Effect.die(new Error("a cache was given a command that waits"))
    })
  }

  get look(): Look {
    return { slot: this.pool.slots[0], isTracking: this.connection !== undefined, entries: this.kept.size }
  }

  readonly run = <A>(command: Command<A>): Effect.Effect<A, HitlessError> =>
    Effect.withFiber((fiber) => command instanceof Command ? this.read(command, fiber, true) : this.others.run(command))

  /** Takes nothing more from what it has. */
  refuse(): void {
    this.pool.refuse()
    this.connection = undefined
    this.clear()
  }

  close(): void {
    this.pool.abandon("the scope of its cache was closed")
  }

  // ----- reading -----

  private read<A>(
    command: Command<A>,
    fiber: Fiber.Fiber<unknown, unknown>,
    mayWait: boolean
  ): Effect.Effect<A, HitlessError> {
    const { connection } = this
    if (connection === undefined) return refusalOf(command) ?? this.others.run(command)
    const { recorder } = this.around.runtime
    const question = questionOf(command)
    const now = this.around.runtime.now()
    const kept = this.kept.get(question)
    if (kept !== undefined) {
      if (kept.expiresAt <= now) this.discard(kept)
      else if (now < this.provenAt + provenFor) {
        this.kept.delete(question)
        this.kept.set(question, kept)
        recorder.cacheRead("hit")
        return decoded(command, kept.reply, connection)
      } else if (this.proving !== undefined && mayWait) {
        return Effect.andThen(
          Effect.exit(Deferred.await(this.proving.done)),
          Effect.suspend(() => this.read(command, fiber, false))
        )
      }
    }
    // What is kept has been found good.
    const refusal = refusalOf(command)
    if (refusal !== undefined) return Effect.fail(refusal)
    recorder.cacheRead("miss")
    const timeout = this.caller.timeoutOf(fiber)
    let read = this.reads.get(question)
    if (read === undefined || read.timeout !== timeout) {
      read = new Read(question, command.keys.map(keyOf), now, connection, timeout)
      this.begin(read, command, fiber)
    }
    return Effect.flatMap(Deferred.await(read.done), (reply) => decoded(command, reply, connection))
  }

  /** Reads for all who ask: none of them ends it when it is interrupted. */
  private begin(read: Read, command: Command<unknown>, fiber: Fiber.Fiber<unknown, unknown>): void {
    this.underWay.add(read)
    this.reads.set(read.question, read)
    this.link(read)
    if (read.startedAt >= this.provenAt + provenFor) this.proving ??= read
    // All leave in this turn, in this order: first the questions for how long the keys live.
    const commands = [...command.keys.map((key) => pTTL(key)), command.with(undecoded, command.bytes)]
    const asked = Effect.forEach(commands, (one) => Effect.result(this.own.run<unknown>(one)), {
      concurrency: "unbounded"
    })
    const kept = Effect.map(asked, (answers) => {
      const reply = answers.pop() as Result.Result<Reply, HitlessError>
      this.end(read)
      if (Result.isSuccess(reply)) this.keep(read, reply.success, answers)
      Deferred.doneUnsafe(read.done, Effect.fromResult(reply))
    })
    // Whatever it ends with: none of those who wait may do so for ever.
    Effect.runForkWith(fiber.context)(Effect.onError(kept, (cause) =>
      Effect.sync(() => {
        this.end(read)
        Deferred.doneUnsafe(read.done, Exit.failCause(cause))
      })))
  }

  private end(read: Read): void {
    this.unlink(read)
    this.underWay.delete(read)
    if (this.reads.get(read.question) === read) this.reads.delete(read.question)
    if (this.proving === read) this.proving = undefined
  }

  /** Keeps a reply, unless its keys may have changed since. */
  private keep(
    { connection, isStale, keys, question, startedAt }: Read,
    reply: Reply,
    times: ReadonlyArray<Result.Result<unknown, HitlessError>>
  ): void {
    if (connection !== this.connection) return
    this.provenAt = Math.max(this.provenAt, startedAt)
    if (isStale || this.isLosingTrack(connection)) return
    let time = this.timeToLive
    for (const left of times) {
      if (Result.isFailure(left)) return this.isOff(connection, left.failure.message)
      // Negative where a key does not expire, or is not there.
      if (Number(left.success) >= 0) time = Math.min(time, Number(left.success))
    }
    const before = this.kept.get(question)
    if (before !== undefined) this.discard(before)
    else if (this.kept.size >= this.capacity) {
      const [oldest] = this.kept.values()
      this.discard(oldest)
      this.around.runtime.recorder.cacheEvicted("full", 1)
    }
    const kept: Kept = { question, keys, reply, expiresAt: startedAt + time }
    this.kept.set(question, kept)
    this.link(kept)
  }

  /** Whether the data may be getting another owner, who does not know what was read. */
  private isLosingTrack({ address }: Connection): boolean {
    const { maintenance, runtime } = this.around
    return maintenance.timeouts.open(runtime.now()).some(({ family, subject }) =>
      subject === address && family !== "moving" && family !== "after handoff"
    )
  }

  private link(one: Kept | Read): void {
    for (const key of one.keys) {
      const linked = this.byKey.get(key)
      if (linked === undefined) this.byKey.set(key, new Set([one]))
      else linked.add(one)
    }
  }

  private unlink(one: Kept | Read): void {
    for (const key of one.keys) {
      const linked = this.byKey.get(key)
      linked?.delete(one)
      if (linked?.size === 0) this.byKey.delete(key)
    }
  }

  private discard(kept: Kept): void {
    this.unlink(kept)
    this.kept.delete(kept.question)
  }

  /** Forgets everything, and keeps nothing of what is under way. */
  private clear(): void {
    for (const read of this.underWay) read.isStale = true
    this.reads.clear()
    this.kept.clear()
    this.byKey.clear()
    this.proving = undefined
  }

  // ----- its connection -----

  /** Asks a connection to track, before it takes the place of another. One that does not is only not used for more. */
  private track(next: Connection): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() =>
      next.protocol === 2
        ? Effect.sync(() => this.isOff(next, "the server sends no invalidations in RESP2"))
        : Effect.map(next.say(track), (answer) => {
          if (answer instanceof ErrorReply) this.isOff(next, answer.message)
          else this.tracking.add(next)
        })
    )
  }

  private isOff({ address: endpoint }: Connection, why: string): void {
    this.around.runtime.log("Warn", "nothing is cached: what is read comes from the server", { endpoint, why })
  }

  private changed(): void {
    const next = this.pool.slots[0].connection
    this.connection = next !== undefined && this.tracking.has(next) ? next : undefined
    this.provenAt = -Infinity
    this.clear()
  }

  private hear(connection: Connection, elements: ReadonlyArray<unknown>): void {
    if (elements[0] === "invalidate") {
      if (connection === this.connection) this.invalidated(elements[1])
      return
    }
    this.around.maintenance.hear(connection, elements)
    if (connection === this.connection) this.clear()
  }

  /** Keys have changed; without a list all have. */
  private invalidated(keys: unknown): void {
    const { recorder } = this.around.runtime
    if (!Array.isArray(keys)) {
      recorder.cacheEvicted("invalidation", this.kept.size)
      return this.clear()
    }
    let dropped = 0
    for (const key of keys) {
      for (const one of this.byKey.get(String(key)) ?? []) {
        if (one instanceof Read) {
          one.isStale = true
          if (this.reads.get(one.question) === one) this.reads.delete(one.question)
        } else {
          this.discard(one)
          dropped++
        }
      }
    }
    if (dropped > 0) recorder.cacheEvicted("invalidation", dropped)
  }
}

const decoded = <A>(
  command: Command<A>,
  { protocol, value }: Reply,
  { address }: Connection
): Effect.Effect<A, HitlessError> => {
  try {
    return Effect.succeed(command.decode(command.isKnown ? value : copyOf(value), protocol))
  } catch (thrown) {
    return Effect.fail(unexpected(command, thrown, { address, protocol }))
  }
}

/** A reply for a decoder of somebody else's, which may work in place. */
const copyOf = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(copyOf)
    : value instanceof Map
    ? new Map(Array.from(value, ([key, one]) => [copyOf(key), copyOf(one)]))
    : value instanceof Uint8Array
    ? value.slice()
    : isRecord(value)
    ? Object.assign(
      Object.create(null),
      Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copyOf(one)]))
    )
    : value

/** Maps arrive as null-prototype objects. */
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null

/** The caches of one client. @internal */
export class Caches {
  private readonly around: Surroundings
  private readonly calls: Calls
  private readonly caller: Pick<Caller, "timeoutOf">
  private readonly caches = new Set<ClientCache>()
  private made = 0

  constructor(around: Surroundings, calls: Calls, caller: Pick<Caller, "timeoutOf">) {
    this.around = around
    this.calls = calls
    this.caller = caller
  }

  get looks(): ReadonlyArray<Look> {
    return Array.from(this.caches, ({ look }) => look)
  }

  /** Commands that are waiting or unanswered. */
  get outstanding(): number {
    return this.sum(({ pool }) => pool.outstanding)
  }

  /** How many connections have a successor. */
  get draining(): number {
    return this.sum(({ pool }) => pool.draining.size)
  }

  /** Makes a cache for the surrounding scope, with a connection for which it has `timeout` milliseconds. */
  make(options: Options, timeout: number): Effect.Effect<Cache, HitlessError, Scope.Scope> {
    return Effect.suspend(() => {
      const timeToLive = durationOf(options?.timeToLive)
      if (timeToLive === undefined || !Duration.isPositive(timeToLive)) {
        return Effect.fail(refused("CLIENT TRACKING", "timeToLive must be a positive duration"))
      }
      const { capacity } = options
      if (!Number.isInteger(capacity) || capacity < 1) {
        return Effect.fail(refused("CLIENT TRACKING", "capacity must be an integer of at least 1"))
      }
      const { runtime } = this.around
      if (this.made === 0) runtime.recorder.observeCaches(() => this.sum(({ look }) => look.entries))
      const cache = new ClientCache(
        this.around,
        this.calls,
        this.caller,
        this.made++,
        capacity,
        Duration.toMillis(timeToLive)
      )
      this.caches.add(cache)
      const end = Effect.sync(() => {
        this.caches.delete(cache)
        cache.close()
      })
      const isOut = () => outageOf(this.around) !== undefined
      const opened = dialUntil(runtime, cache.pool.slots[0].open(), runtime.now() + timeout, isOut).pipe(
        Effect.raceFirst(runtime.closed),
        Effect.onError(() => end)
      )
      return Effect.acquireRelease(
        Effect.as(opened, cache),
        () => runtime.isClosing ? Effect.void : end,
        { interruptible: true }
      )
    })
  }

  /** Takes nothing more, and fails what waits. */
  refuse(): void {
    for (const cache of this.caches) cache.refuse()
  }

  /** Waits for the replies that somebody waits for, at most one command timeout, and closes. */
  drain(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(this.caches, ({ pool }) => pool.drain(), { concurrency: "unbounded", discard: true })
    )
  }

  private sum(of: (cache: ClientCache) => number): number {
    let sum = 0
    for (const cache of this.caches) sum += of(cache)
    return sum
  }
}
