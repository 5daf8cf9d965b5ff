/**
 * Reserved connections: each for one user, who may change its state.
 *
 * A reservation is a pool of one slot, and moves, reconnects and waits as shared connections do. What its user told a
 * connection (`SELECT`, `CLIENT TRACKING`, …) is told to the next before that serves. While a transaction is open, or keys
 * are watched, it stays where it is; when its connection is lost then, nothing of the transaction runs anywhere, and
 * `EXEC` fails with `TransactionAborted`. Commands keep their order: none goes to a new connection while one that was sent
 * before it is still to be answered.
 *
 * This module never decides whether a connection is given to another user.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Command } from "./commands/command.ts"
import { HitlessError, Overloaded, TransactionAborted } from "./HitlessError.ts"
import { Alarm } from "./internal/alarm.ts"
import { type Caller as CallsOptions, type Calls, makeCalls } from "./internal/calls.ts"
import { blockingFor, blocksFor, lastEntriesIn, refused, statefulName } from "./internal/commands.ts"
import { dialUntil } from "./internal/dialer.ts"
import { Request, type RequestOwner, type Words } from "./internal/request.ts"
import { outageOf, type Surroundings, unlessDown } from "./internal/slot.ts"
import { Pool } from "./Pool.ts"

/** Commands whose last word counts, and by which the next connection is made what the last one was. */
const restorable: ReadonlySet<string> = new Set([
  "AUTH",
  "SELECT",
  "READONLY",
  "READWRITE",
  "CLIENT SETNAME",
  "CLIENT SETINFO",
  "CLIENT TRACKING",
  "CLIENT NO-EVICT",
  "CLIENT NO-TOUCH",
  "CLIENT CAPA",
  "CLIENT IMPORT-SOURCE"
])

/** They concern the next command alone. */
const passing: ReadonlySet<string> = new Set(["ASKING", "CLIENT CACHING"])

/** What a later command of a kind takes the place of. */
const keyOf = (name: string, words: Words): string =>
  name === "READWRITE" ? "READONLY" : name === "CLIENT SETINFO" ? `${name} ${String(words[2]).toUpperCase()}` : name

/** A command that changes the state of its connection, from when it is sent until it has ended. */
interface Change {
  readonly name: string
  readonly words: Words
  /** It was sent inside a transaction, and takes effect with `EXEC`, if at all. */
  readonly isQueued: boolean
  /** Its connection was lost before it was answered. */
  isLost: boolean
}

/** How a command has ended: it was done, it did not run, the server answered with this error, or nobody knows. */
type Ending = "done" | "not run" | "unknown" | HitlessError

/** Errors in answer to `EXEC` with which the transaction is over. */
const endsTransaction = (error: HitlessError): boolean =>
  error.reason._tag === "TransactionAborted" ||
  (error.reason._tag === "ServerReplied" &&
    (/^(?:EXECABORT|MOVED|ASK|CLUSTERDOWN|TRYAGAIN|CROSSSLOT)$/.test(error.reason.code) ||
      /without MULTI/.test(error.reason.detail)))

/**
 * What the user of one reservation has made of its connection, as far as the server may have it: what was sent counts until
 * it is known not to have run.
 */
class SessionState {
  /** What the next connection is told, in this order. */
  restored: ReadonlyArray<Words> = []
  private readonly byKey = new Map<string, Words>()
  private readonly underWay = new Set<Change>()
  isInMulti = false
  /** The open transaction would change more of the connection than its data. */
  private queuesChanges = false
  private isWatching = false
  /** It has state that is not known, or cannot be told to another. */
  private isUnknown = false
  /** It has had a command that concerns the next alone, and there may be more. */
  private isParticular = false
  /** What was lost with a connection: until its end nothing of it may run. */
  private lost: "transaction" | "watches" | undefined

  /** Whether its connection must not be replaced now. */
  get stays(): boolean {
    return this.isInMulti || this.isWatching || this.isUnknown || this.isChanging
  }

  /** Whether what is sent may be queued in its transaction, or it logs in by itself. */
  get isItsUsers(): boolean {
    return this.isInMulti || this.isUnknown || this.isChanging || this.byKey.has("AUTH")
  }

  /** Whether an `ECHO` of the client's own would be answered as itself, and not be the next command for one before it. */
  get mayProve(): boolean {
    return !this.isInMulti && !this.isUnknown && !this.isParticular
  }

  /** Whether it is as it was when it was made, so that anybody can have it. */
  get isClean(): boolean {
    return !this.stays && !this.isParticular && this.underWay.size === 0 && this.byKey.size === 0 &&
      this.lost === undefined
  }

  /** Whether what was not sent may be sent on the next connection: not outside of its transaction. */
  get mayResend(): boolean {
    return this.lost !== "transaction"
  }

  /** Whether what the next connection would have to be told is not known yet. */
  private get isChanging(): boolean {
    return [...this.underWay].some(({ isLost, isQueued, name }) => !isLost && !isQueued && restorable.has(name))
  }

  /** The connection was lost while it stayed. `false` when no other can take its place. */
  onLost(): boolean {
    if (this.isUnknown || this.isChanging) return false
    this.lost = this.isInMulti ? "transaction" : this.isWatching ? "watches" : this.lost
    for (const change of this.underWay) change.isLost = true
    this.endTransaction()
    return true
  }

  /** Commands are sent, in this order. */
  begin(batch: ReadonlyArray<Words>, isTransaction: boolean): ReadonlyArray<Change> {
    const changes: Array<Change> = []
    for (const words of batch) {
      const name = statefulName(words)
      if (name !== undefined && passing.has(name)) this.isParticular = true
      if (name === undefined || passing.has(name)) continue
      const change: Change = { name, words, isQueued: this.isInMulti && !isTransaction, isLost: false }
      if (isTransaction) {
        if (name === "MULTI" || name === "EXEC") continue
      } else if (name === "MULTI") this.isInMulti = true
      else if (name === "WATCH") this.isWatching = true
      else if (change.isQueued && name !== "EXEC" && name !== "DISCARD") this.queuesChanges = true
      changes.push(change)
      this.underWay.add(change)
    }
    return changes
  }

  /** One of them has ended. */
  end(change: Change, ending: Ending): void {
    const { isLost, isQueued, name, words } = change
    this.underWay.delete(change)
    if (name === "EXEC" || name === "DISCARD") {
      const isOver = ending === "done" || (name === "EXEC" && typeof ending === "object" && endsTransaction(ending))
      // A transaction that was lost with its connection is over when its user was told so.
      if (isLost) this.lost = undefined
      else if (ending === "unknown" || (name === "EXEC" && ending === "done" && this.queuesChanges)) {
        this.isUnknown = true
      }
      if (isOver && !isLost) this.endTransaction()
    } else if (isLost) {
      if (restorable.has(name)) this.isUnknown = true
    } else if (name === "MULTI") {
      // One that is refused inside of another leaves that open.
      this.isInMulti = ending === "done" || ending === "unknown" || (isQueued && this.isInMulti)
    } else if (name === "UNWATCH") {
      // Keys may be watched from before, and what is not known to be over is not.
      if (ending === "done" && !isQueued) {
        this.isWatching = false
        this.lost = undefined
      }
    } else if (name !== "WATCH" && !isQueued && ending !== "not run" && typeof ending !== "object") {
      if (ending === "unknown" || !restorable.has(name)) this.isUnknown = true
      else this.remember(name, words)
    }
  }

  /** `MULTI … EXEC` as one has been answered, and with it every watch is over. */
  endTransaction(): void {
    // The next may have been sent behind it.
    this.isInMulti = [...this.underWay].some(({ isLost, name }) => name === "MULTI" && !isLost)
    this.queuesChanges = false
    this.isWatching = false
  }

  /** What becomes of commands because of what was lost before them; `undefined` when they are sent. */
  verdict(batch: ReadonlyArray<Words>): "abort" | "discard" | "done" | undefined {
    if (this.lost === undefined) return undefined
    const names = batch.map(statefulName)
    const end = names.find((name) => name === "EXEC" || name === "DISCARD")
    if (this.lost === "transaction") {
      // Its user has been told that the last one failed, and begins anew.
      if (names[0] === "MULTI") this.lost = undefined
      if (this.lost === undefined) return undefined
      if (end !== undefined) this.lost = undefined
      return end === "DISCARD" && batch.length === 1 ? "done" : "abort"
    }
    if (end === undefined) return undefined
    this.lost = undefined
    // The server would run it: it knows nothing of the watches.
    return end === "EXEC" ? "discard" : undefined
  }

  private remember(name: string, words: Words): void {
    // The name as it is judged by those who look at what is restored.
    this.byKey.set(keyOf(name, words), name === "AUTH" ? ["AUTH", ...words.slice(1)] : words)
    this.restored = [...this.byKey.values()]
  }
}

const endingOfError = (error: HitlessError): Ending =>
  error.reason._tag === "ServerReplied" || error.reason._tag === "TransactionAborted"
    ? error
    : error.mayHaveExecuted
    ? "unknown"
    : "not run"

const endingOf = (exit: Exit.Exit<unknown, HitlessError> | undefined): Ending => {
  if (exit === undefined) return "unknown"
  return Exit.isSuccess(exit)
    ? "done"
    : Option.match(Exit.findErrorOption(exit), { onNone: () => "unknown", onSome: endingOfError })
}

const endingOfResult = (result: Result.Result<unknown, HitlessError>): Ending =>
  Result.isSuccess(result) ? "done" : endingOfError(result.failure)

const aborted = (request: Request): HitlessError =>
  new HitlessError({
    reason: new TransactionAborted({
      command: request.name,
      detail: "the connection was lost that watched, or on which the transaction was open",
      mayHaveExecuted: false
    })
  })

/**
 * A connection for one user; who has it calls `close`.
 *
 * @category models
 * @since 0.1.0
 */
export class Lease {
  /** Who owns the requests that it takes. */
  readonly owner: RequestOwner
  private readonly pool: Pool
  private readonly state = new SessionState()
  /** Open while no transaction of its user is: inside one a command is queued, and does not wait. */
  readonly mayWait = Latch.makeUnsafe(true)
  /** How many commands of its user have waited for a slice: a probe for each slice would double what they ask. */
  waits = 0
  /** What commands under way change. */
  private readonly changes = new Map<Request, ReadonlyArray<Change>>()

  constructor(around: Surroundings, index: number) {
    const { runtime } = around
    this.pool = new Pool(around, {
      kind: "reserved",
      firstIndex: index,
      size: 1,
      restored: () => this.state.restored,
      stays: () => this.state.stays,
      survives: () => {
        const survives = this.state.onLost()
        this.lookAround()
        return survives
      },
      isItsUsers: () => this.state.isItsUsers,
      mayProve: () => this.waits === 0 && this.state.mayProve,
      mayResend: () => this.state.mayResend,
      onSettled: (request, exit) => {
        runtime.observed?.(request, exit)
        this.settled(request, exit)
      }
    })
    this.owner = this.pool.owner
  }

  /** Dials once. */
  open(): Effect.Effect<void, HitlessError> {
    return this.slot.open()
  }

  /** When the commands of this turn of the event loop are called. */
  turn(): number {
    return this.pool.turn()
  }

  /** Whether another user can have it: it has a connection that owes nothing, in the state in which it was made. */
  get isClean(): boolean {
    return this.slot.connection?.backlog.commands === 0 && this.pool.outstanding === 0 && this.state.isClean
  }

  /** Whether its user has opened a transaction. */
  get isInMulti(): boolean {
    return this.state.isInMulti
  }

  /** Takes a request. */
  accept(request: Request): void {
    const words = request.batch ?? [request.words]
    const verdict = this.state.verdict(words)
    if (verdict === "done") return request.succeed("OK")
    if (verdict === "abort" || (verdict === "discard" && request.batch !== undefined)) {
      return request.fail(aborted(request))
    }
    if (verdict === "discard") return this.discard(request)
    this.begin(request, words)
    this.pool.accept(request)
  }

  /** Commands that are waiting or unanswered. */
  get outstanding(): number {
    return this.pool.outstanding
  }

  /** How many of its connections have a successor. */
  get draining(): number {
    return this.pool.draining.size
  }

  close(): void {
    this.pool.abandon("its scope was closed")
  }

  /** Takes no more, and fails what waits; `drain` is the end of what has a connection. */
  refuse(): void {
    this.pool.refuse()
  }

  /** Waits for the replies that somebody waits for, at most one command timeout, and closes. */
  drain(): Effect.Effect<void> {
    return this.pool.drain()
  }

  private begin(request: Request, words: ReadonlyArray<Words>): void {
    const changes = this.state.begin(words, request.kind === "transaction")
    if (changes.length > 0) this.changes.set(request, changes)
    this.lookAround()
    for (const one of words) if (statefulName(one) === "AUTH") this.hide(one)
  }

  /** Closes the connections on which a command waits that nobody waits for any more: it would take what comes next. */
  disarm(): void {
    for (const connection of [this.slot.connection, ...this.pool.draining]) {
      let isArmed = false
      connection?.forEach(({ state, words }) => {
        isArmed ||= state === "Settled" && blocksFor(words) > 0
      })
      if (isArmed) connection?.close("a command that waited on it was given up")
    }
  }

  private lookAround(): void {
    if (this.state.isInMulti) this.mayWait.closeUnsafe()
    else this.mayWait.openUnsafe()
  }

  private get slot() {
    return this.pool.slots[0]
  }

  /** Ends the transaction on the server, which would run it, and fails its `EXEC`. */
  private discard(request: Request): void {
    const { startedAt, timeout } = request
    const words = ["DISCARD"]
    const discard = new Request({
      owner: this.owner,
      kind: "command",
      words,
      batch: undefined,
      bytes: false,
      timeout,
      startedAt,
      resume: () => request.fail(aborted(request))
    })
    this.begin(discard, [words])
    this.pool.accept(discard)
  }

  private settled(request: Request, exit: Exit.Exit<unknown, HitlessError> | undefined): void {
    const { batch, kind } = request
    const changes = this.changes.get(request)
    const { isItsUsers, stays } = this.state
    const ending = endingOf(exit)
    if (kind === "transaction" && (ending === "done" || (typeof ending === "object" && endsTransaction(ending)))) {
      this.state.endTransaction()
    }
    if (changes !== undefined) {
      this.changes.delete(request)
      const results = batch !== undefined && exit !== undefined && Exit.isSuccess(exit)
        ? exit.value as ReadonlyArray<Result.Result<unknown, HitlessError>>
        : undefined
      for (const change of changes) {
        const at = batch === undefined ? -1 : batch.indexOf(change.words) - (kind === "transaction" ? 1 : 0)
        this.state.end(change, results === undefined ? ending : endingOfResult(results[at]))
      }
    }
    this.lookAround()
    if ((stays && !this.state.stays) || (isItsUsers && !this.state.isItsUsers)) this.slot.catchUp()
  }

  /** From here on its user's password is in what the server was told, too. */
  private hide(words: Words): void {
    const { connection } = this.slot
    connection?.hide(words)
  }
}

/**
 * How long a command waits on the server before it is sent again, in milliseconds: the shortest time that can be announced,
 * so that a command that began to wait before an announcement is over in time, and the next goes to the new connection; and
 * how long a server that has gone silent can hold one that waits without end. `CLIENT UNBLOCK` would be no better: behind a
 * proxy or a load balancer its number can be another client's.
 */
const slice = 1000

/**
 * A command that waits, with the entries' ids where it means the last entries of streams, so that what is added between two
 * slices is not missed. Where they cannot be read it stays as it is.
 */
const withLastEntries = (calls: Calls, words: Words): Effect.Effect<Words, HitlessError> => {
  const places = lastEntriesIn(words)
  if (places.length === 0) return Effect.succeed(words)
  const read = calls.batch("pipeline", places.map(([, key]) => ["XREVRANGE", key, "+", "-", "COUNT", 1]))
  return Effect.map(read, (results) =>
    results.every(Result.isSuccess)
      ? places.reduce<Words>((words, [index], i) => {
        const [last] = results[i].success as ReadonlyArray<readonly [id: string]>
        return words.with(index, last?.[0] ?? "0-0")
      }, words)
      : words)
}

/** What a slice comes to that has found nothing; another command's value can be `null` for something. */
const waiting = Symbol("waiting")

const waitingFor = ({ decode }: Command<unknown>): Command<unknown>["decode"] => (reply, protocol) =>
  reply === null ? waiting : decode(reply, protocol)

/** How long an idle connection is kept for the next user, in milliseconds. */
const idleFor = 60_000

/**
 * The reserved connections of one client, a bounded number of them.
 *
 * @category models
 * @since 0.1.0
 */
export class Reservations {
  private readonly around: Surroundings
  private readonly timeoutOf: CallsOptions["timeoutOf"]
  private readonly permits: Semaphore.Semaphore
  private readonly idle: Array<{ readonly lease: Lease; readonly until: number }> = []
  /** All that are open, idle ones too. */
  private readonly leases = new Set<Lease>()
  private made = 0
  private readonly alarm: Alarm

  constructor(around: Surroundings, timeoutOf: CallsOptions["timeoutOf"]) {
    this.around = around
    this.timeoutOf = timeoutOf
    this.permits = Semaphore.makeUnsafe(around.runtime.config.maxReserved)
    this.alarm = new Alarm(around.runtime.context, () => this.dropIdle())
  }

  /** Commands that are waiting or unanswered. */
  get outstanding(): number {
    return this.sum(({ outstanding }) => outstanding)
  }

  /** How many connections have a successor. */
  get draining(): number {
    return this.sum(({ draining }) => draining)
  }

  /** Takes a connection for the surrounding scope, for which it waits at most `timeout` milliseconds. */
  take(timeout: number, command: string): Effect.Effect<Calls, HitlessError, Scope.Scope> {
    return Effect.map(this.lease(timeout, command), (lease) => this.callsOf(lease))
  }

  private lease(timeout: number, command: string): Effect.Effect<Lease, HitlessError, Scope.Scope> {
    const { runtime } = this.around
    return Effect.suspend(() => {
      const until = runtime.now() + timeout
      const late = new HitlessError({
        reason: new Overloaded({
          command,
          limit: runtime.config.maxReserved,
          unit: "connections",
          mayHaveExecuted: false
        })
      })
      const taken = Effect.timeoutOrElse(this.permits.takeScoped(1), {
        duration: timeout,
        orElse: () => Effect.fail(late)
      }).pipe(
        Effect.andThen(Effect.acquireRelease(
          this.connected(until),
          (lease) => Effect.sync(() => this.give(lease)),
          { interruptible: true }
        )),
        Effect.raceFirst(runtime.closed)
      )
      // What fails gives its permit back at once, and not when the scope of the one who tried closes.
      return Effect.flatMap(Effect.scope, (parent) => {
        const scope = Scope.forkUnsafe(parent)
        const waits = unlessDown(this.around, Scope.provide(taken, scope))
        return Effect.onError(waits, (cause) => Scope.close(scope, Exit.failCause(cause)))
      })
    })
  }

  /**
   * Sends a command that waits on the server, on a connection of its own: at most for as long as it says, in slices where
   * that makes no difference to what it waits for. An answer has `grace` milliseconds more.
   */
  block(
    words: Words,
    bytes: boolean,
    grace: number,
    command: Command<unknown> | undefined
  ): Effect.Effect<unknown, HitlessError> {
    return Effect.scoped(
      Effect.flatMap(this.lease(grace, String(words[0])), (lease) => this.blockOn(lease, words, bytes, grace, command))
    )
  }

  /** Takes no more, and fails what waits. */
  refuse(): void {
    this.alarm.clear()
    for (const { lease } of this.idle.splice(0)) this.end(lease)
    for (const lease of this.leases) lease.refuse()
  }

  /** Waits for the replies that somebody waits for, at most one command timeout, and closes. */
  drain(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach([...this.leases], (lease) => lease.drain(), { concurrency: "unbounded", discard: true })
    )
  }

  private blockOn(
    lease: Lease,
    given: Words,
    bytes: boolean,
    grace: number,
    command: Command<unknown> | undefined
  ): Effect.Effect<unknown, HitlessError> {
    const { runtime } = this.around
    const calls = this.callsOf(lease)
    return Effect.suspend(() => {
      let isWaiting = false
      const wait = Effect.flatMap(withLastEntries(calls, given), (words) => {
        const startedAt = runtime.now()
        const end = startedAt + blocksFor(words)
        const next: Effect.Effect<unknown, HitlessError> = Effect.suspend(() => {
          const left = Math.max(0, end - runtime.now())
          const sliced = left > slice ? blockingFor(words, slice) : undefined
          const time = sliced === undefined ? left : slice
          const sent = sliced ?? (runtime.now() === startedAt ? words : blockingFor(words, left) ?? words)
          const reply = calls.request(
            "command",
            sent,
            undefined,
            bytes,
            time + grace,
            sliced === undefined ? command : command?.with(waitingFor(command), bytes)
          )
          return Effect.flatMap(reply, (reply) => {
            const isOver = sliced === undefined || !(reply === waiting || (command === undefined && reply === null))
            if (isOver) return Effect.succeed(reply)
            if (!isWaiting) lease.waits++
            isWaiting = true
            return Effect.andThen(lease.mayWait.await, next)
          })
        })
        return next
      })
      return Effect.ensuring(
        wait,
        Effect.sync(() => {
          if (isWaiting) lease.waits--
        })
      )
    })
  }

  private sum(of: (lease: Lease) => number): number {
    let sum = 0
    for (const lease of this.leases) sum += of(lease)
    return sum
  }

  private callsOf(lease: Lease): Calls {
    const calls: Calls = makeCalls(this.around.runtime, lease, {
      isShared: false,
      timeoutOf: this.timeoutOf,
      block: (words, bytes, grace, command) =>
        // It is queued, and does not wait.
        lease.isInMulti
          ? calls.request("command", words, undefined, bytes, grace, command)
          : Effect.onError(
            this.blockOn(lease, words, bytes, grace, command),
            () => Effect.sync(() => lease.disarm())
          )
    })
    return {
      ...calls,
      run: (command) =>
        Effect.suspend(() =>
          lease.isInMulti
            ? refused(
              String(command.words[0]),
              "in a transaction that is open it is queued, and has no reply to decode; use `transaction`, or `send`"
            )
            : calls.run(command)
        )
    }
  }

  /** One that was given back and is as it was, or a new one; dials again until `until`, unless the client is turned away. */
  private connected(until: number): Effect.Effect<Lease, HitlessError> {
    return Effect.suspend(() => {
      for (let kept = this.idle.pop(); kept !== undefined; kept = this.idle.pop()) {
        if (kept.lease.isClean) return Effect.succeed(kept.lease)
        this.end(kept.lease)
      }
      const { runtime } = this.around
      const lease = new Lease(this.around, this.made++)
      this.leases.add(lease)
      return dialUntil(runtime, lease.open(), until, () => outageOf(this.around) !== undefined).pipe(
        Effect.as(lease),
        Effect.onError(() => Effect.sync(() => this.end(lease)))
      )
    })
  }

  /** Keeps a connection for the next user, if it is what the next would expect; else it is closed. */
  private give(lease: Lease): void {
    if (this.around.runtime.isClosing) return
    if (!lease.isClean) return this.end(lease)
    this.idle.push({ lease, until: this.around.runtime.now() + idleFor })
    this.alarm.set(this.idle[0].until)
  }

  private end(lease: Lease): void {
    this.leases.delete(lease)
    lease.close()
  }

  private dropIdle(): void {
    const now = this.around.runtime.now()
    while (this.idle.length > 0 && this.idle[0].until <= now) {
      const oldest = this.idle.shift()
      if (oldest !== undefined) this.end(oldest.lease)
    }
    if (this.idle.length > 0) this.alarm.set(this.idle[0].until)
  }
}
