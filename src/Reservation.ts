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
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { HitlessError, Overloaded, TransactionAborted } from "./HitlessError.ts"
import { Alarm } from "./internal/alarm.ts"
import { type Caller as CallsOptions, type Calls, makeCalls } from "./internal/calls.ts"
import { blockingFor, blocksFor, statefulName } from "./internal/commands.ts"
import { isTurnedAway } from "./internal/dialer.ts"
import { Request, type RequestOwner, type Words } from "./internal/request.ts"
import { hiding } from "./internal/secrets.ts"
import type { Surroundings } from "./internal/slot.ts"
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

/** What the user of one reservation has made of its connection. */
class SessionState {
  /** What the next connection is told, in this order. */
  restored: ReadonlyArray<Words> = []
  private byKey = new Map<string, Words>()
  private isInMulti = false
  private isWatching = false
  /** Commands that change the state and are under way. */
  private underWay = 0
  /** It has state that is not known, or cannot be told to another. */
  private isUnknown = false
  /** What was lost with a connection: until its end nothing of it may run. */
  private lost: "transaction" | "watches" | undefined

  /** Whether its connection must not be replaced now. */
  get stays(): boolean {
    return this.isInMulti || this.isWatching || this.underWay > 0 || this.isUnknown
  }

  /** Whether it is as it was when it was made, so that anybody can have it. */
  get isClean(): boolean {
    return !this.stays && this.byKey.size === 0 && this.lost === undefined
  }

  /** Whether what was not sent may be sent on the next connection: not outside of its transaction. */
  get mayResend(): boolean {
    return this.lost !== "transaction"
  }

  /** The connection was lost while it stayed. `false` when no other can take its place. */
  onLost(): boolean {
    if (this.isUnknown || this.underWay > 0) return false
    this.lost = this.isInMulti ? "transaction" : "watches"
    this.isInMulti = false
    this.isWatching = false
    return true
  }

  /** A command was sent. */
  begin(words: Words): void {
    const name = statefulName(words)
    if (name === undefined || passing.has(name)) return
    this.underWay++
    // What is queued takes effect with `EXEC`, if at all.
    if (this.isInMulti && (restorable.has(name) || name === "WATCH")) this.isUnknown = true
  }

  /** A command has ended: `true` when it was done, `undefined` when nobody knows. */
  end(words: Words, isDone: boolean | undefined): void {
    const name = statefulName(words)
    if (name === undefined || passing.has(name)) return
    this.underWay--
    // EXEC ends the transaction also where it fails.
    if (name === "EXEC" || name === "DISCARD") {
      if (isDone === undefined) this.isUnknown = true
      this.isInMulti = false
      this.isWatching = false
    } else if (isDone === undefined) this.isUnknown = true
    else if (isDone) this.apply(name, words)
  }

  private apply(name: string, words: Words): void {
    if (name === "MULTI") this.isInMulti = true
    else if (name === "WATCH") this.isWatching = true
    else if (name === "UNWATCH") this.isWatching = this.lost === "watches"
    else if (restorable.has(name)) {
      this.byKey.set(keyOf(name, words), words)
      this.restored = [...this.byKey.values()]
    } else this.isUnknown = true
    if (name === "UNWATCH") this.lost = undefined
  }

  /** What becomes of commands because of what was lost before them; `undefined` when they are sent. */
  verdict(batch: ReadonlyArray<Words>): "abort" | "discard" | "done" | undefined {
    if (this.lost === undefined) return undefined
    const end = batch.map(statefulName).find((name) => name === "EXEC" || name === "DISCARD")
    if (this.lost === "transaction") {
      if (end !== undefined) this.lost = undefined
      return end === "DISCARD" && batch.length === 1 ? "done" : "abort"
    }
    if (end === undefined) return undefined
    this.lost = undefined
    // The server would run it: it knows nothing of the watches.
    return end === "EXEC" ? "discard" : undefined
  }
}

const aborted = (request: Request): HitlessError =>
  new HitlessError({
    reason: new TransactionAborted({
      command: request.name,
      detail: "the connection was lost that watched, or on which the transaction was open",
      mayHaveExecuted: false
    })
  })

/**
 * A connection for one user. Made by `make`; who has it calls `close`.
 *
 * @category models
 * @since 0.1.0
 */
export class Lease {
  /** Who owns the requests that it takes. */
  readonly owner: RequestOwner
  private readonly pool: Pool
  private readonly state = new SessionState()

  /** @internal Use `make`. */
  constructor(around: Surroundings) {
    const { runtime } = around
    this.pool = new Pool(around, {
      kind: "reserved",
      size: 1,
      restored: () => this.state.restored,
      stays: () => this.state.stays,
      survives: () => this.state.onLost(),
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

  /** Takes a request. */
  accept(request: Request): void {
    const words = request.batch ?? [request.words]
    const verdict = this.state.verdict(words)
    if (verdict === "done") return request.succeed("OK")
    if (verdict === "abort" || (verdict === "discard" && request.batch !== undefined)) {
      return request.fail(aborted(request))
    }
    if (verdict === "discard") return this.discard(request)
    for (const one of words) {
      this.state.begin(one)
      if (statefulName(one) === "AUTH") this.hide(one)
    }
    this.pool.accept(request)
  }

  close(): void {
    this.pool.abandon("its scope was closed")
  }

  private get slot() {
    return this.pool.slots[0]
  }

  /** Ends the transaction on the server, which would run it, and fails its `EXEC`. */
  private discard(request: Request): void {
    const { startedAt, timeout } = request
    const words = ["DISCARD"]
    this.state.begin(words)
    this.pool.accept(
      new Request({
        owner: this.owner,
        kind: "command",
        words,
        batch: undefined,
        bytes: false,
        timeout,
        startedAt,
        resume: () => request.fail(aborted(request))
      })
    )
  }

  private settled(request: Request, exit: Exit.Exit<unknown, HitlessError> | undefined): void {
    const { batch, kind, words } = request
    const wasStaying = this.state.stays
    const isDone = exit === undefined
      ? undefined
      : Exit.isSuccess(exit)
      ? true
      : exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error.mayHaveExecuted)
      ? undefined
      : false
    if (batch === undefined) this.state.end(words, isDone)
    else if (kind === "transaction") {
      for (const one of batch) {
        this.state.end(one, one[0] === "MULTI" ? false : isDone)
      }
    } else {
      const results = exit !== undefined && Exit.isSuccess(exit)
        ? exit.value as ReadonlyArray<Result.Result<unknown, HitlessError>>
        : undefined
      batch.forEach((one, index) =>
        this.state.end(one, results === undefined ? isDone : Result.isSuccess(results[index]))
      )
    }
    if (wasStaying && !this.state.stays) this.slot.catchUp()
  }

  /** From here on its user's password is in what the server was told, too. */
  private hide(words: Words): void {
    const { connection } = this.slot
    if (connection !== undefined) connection.scrub = hiding(connection.scrub, words)
  }
}

/**
 * How long a command waits on the server before it is sent again, in milliseconds. A third of what servers leave an old
 * connection (docs/wire.md, Timing), so that a command that began to wait before an announcement is over in time, and the
 * next goes to the new connection; and how long a server that has gone silent can hold one that waits without end.
 */
const slice = 5000

/** How long an idle connection is kept for the next user, in milliseconds. */
const idleFor = 60_000

/** The waits between dials for a reservation, in milliseconds. */
const dialAgainAfter = 50
const dialAgainAtMost = 400

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
  private readonly alarm: Alarm

  constructor(around: Surroundings, timeoutOf: CallsOptions["timeoutOf"]) {
    this.around = around
    this.timeoutOf = timeoutOf
    this.permits = Semaphore.makeUnsafe(around.runtime.config.maxReserved)
    this.alarm = new Alarm(around.runtime.context, () => this.dropIdle())
  }

  /** Takes a connection for the surrounding scope, for which it waits at most `timeout` milliseconds. */
  take(timeout: number, command: string): Effect.Effect<Calls, HitlessError, Scope.Scope> {
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
      return Effect.timeoutOrElse(this.permits.takeScoped(1), {
        duration: timeout,
        orElse: () => Effect.fail(late)
      }).pipe(
        Effect.andThen(Effect.acquireRelease(
          Effect.raceFirst(this.connected(until), runtime.closed),
          (lease) => Effect.sync(() => this.give(lease)),
          { interruptible: true }
        )),
        Effect.map((lease) => this.callsOf(lease))
      )
    })
  }

  /**
   * Sends a command that waits on the server, on a connection of its own: at most for as long as it says, in slices where
   * that makes no difference to what it waits for. An answer has `grace` milliseconds more.
   */
  block(words: Words, bytes: boolean, grace: number): Effect.Effect<unknown, HitlessError> {
    return Effect.scoped(
      Effect.flatMap(this.take(grace, String(words[0])), (calls) => this.blockOn(calls, words, bytes, grace))
    )
  }

  close(): void {
    this.alarm.clear()
    for (const { lease } of this.idle.splice(0)) lease.close()
  }

  private blockOn(calls: Calls, words: Words, bytes: boolean, grace: number): Effect.Effect<unknown, HitlessError> {
    const { runtime } = this.around
    return Effect.suspend(() => {
      const startedAt = runtime.now()
      const end = startedAt + blocksFor(words)
      const next: Effect.Effect<unknown, HitlessError> = Effect.suspend(() => {
        const left = Math.max(0, end - runtime.now())
        const sliced = left > slice ? blockingFor(words, slice) : undefined
        const time = sliced === undefined ? left : slice
        const sent = sliced ?? (runtime.now() === startedAt ? words : blockingFor(words, left) ?? words)
        return Effect.flatMap(
          calls.request("command", sent, undefined, bytes, time + grace),
          (reply) => reply === null && sliced !== undefined ? next : Effect.succeed(reply)
        )
      })
      return next
    })
  }

  private callsOf(lease: Lease): Calls {
    const calls: Calls = makeCalls(this.around.runtime, lease, {
      isShared: false,
      timeoutOf: this.timeoutOf,
      block: (words, bytes, grace) => this.blockOn(calls, words, bytes, grace)
    })
    return calls
  }

  /** One that was given back and is as it was, or a new one; dials again until `until`, unless the client is turned away. */
  private connected(until: number): Effect.Effect<Lease, HitlessError> {
    return Effect.suspend(() => {
      for (let kept = this.idle.pop(); kept !== undefined; kept = this.idle.pop()) {
        if (kept.lease.isClean) return Effect.succeed(kept.lease)
        kept.lease.close()
      }
      const { runtime } = this.around
      const lease = new Lease(this.around)
      const dial = (attempt: number): Effect.Effect<void, HitlessError> =>
        Effect.catch(lease.open(), (error) => {
          const wait = runtime.jittered(Math.min(dialAgainAfter * 2 ** attempt, dialAgainAtMost))
          if (isTurnedAway(error.reason) || runtime.now() + wait >= until) return Effect.fail(error)
          return Effect.delay(dial(attempt + 1), wait)
        })
      return dial(0).pipe(
        Effect.as(lease),
        Effect.onError(() => Effect.sync(() => lease.close()))
      )
    })
  }

  /** Keeps a connection for the next user, if it is what the next would expect; else it is closed. */
  private give(lease: Lease): void {
    if (!lease.isClean || this.around.runtime.isClosing) return lease.close()
    this.idle.push({ lease, until: this.around.runtime.now() + idleFor })
    this.alarm.set(this.idle[0].until)
  }

  private dropIdle(): void {
    const now = this.around.runtime.now()
    while (this.idle.length > 0 && this.idle[0].until <= now) this.idle.shift()?.lease.close()
    if (this.idle.length > 0) this.alarm.set(this.idle[0].until)
  }
}
