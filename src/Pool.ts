/**
 * The shared connections: which slot has a command, when another is opened, and the queue of requests that wait for a
 * connection.
 *
 * Commands of many share each connection. A pool of `poolSize` slots opens one at first and another when all that it has
 * are busy. What a slot holds, and how it gets the next, is `internal/slot`'s; what becomes of a request that was
 * answered, lost or out of time is `internal/outcome`'s, and the pool does it: it sends it again, makes it wait, or ends
 * it.
 *
 * The client's scope owns every connection. `close` takes nothing more, lets the replies that somebody waits for arrive
 * for at most one command timeout, and ends the rest.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Command } from "./commands/command.ts"
import type { Connection } from "./Connection.ts"
import { Closed, ConnectionLost, HitlessError, type HitlessErrorReason } from "./HitlessError.ts"
import { type Accepted, Admission } from "./internal/admission.ts"
import { Alarm } from "./internal/alarm.ts"
import { kindOf } from "./internal/causes.ts"
import { isReadOnly } from "./internal/commands.ts"
import { isTurnedAway } from "./internal/dialer.ts"
import { type Event, final, type Outcome, outcomeOf, settle } from "./internal/outcome.ts"
import { hasLostSession, isForcedOut } from "./internal/refusals.ts"
import { Replays, untilItsTurn } from "./internal/replays.ts"
import { passingRefusal } from "./internal/replies.ts"
import type { Request, RequestObserver, RequestOwner, Site, Words } from "./internal/request.ts"
import { finiteMillis, type Runtime } from "./internal/runtime.ts"
import { livesAtLeast, outageOf, renewAfter, Slot, type Surroundings, type Tenant } from "./internal/slot.ts"
import type { Maintenance } from "./Maintenance.ts"

/**
 * How many outstanding commands make a connection busy: until then it gets the next one too, from then on the next
 * connection does, and when all are busy the pool grows.
 *
 * **Details**
 *
 * One connection writes and reads more commands in one system call than several do. Measured with `GET`s of 10,000
 * workers: 0.75 times as many commands per second at 256, 0.85 at 512, the same at 4096. But more connections are what
 * keeps the threads of a server or a proxy busy, so not more than it takes.
 *
 * @category constants
 * @since 0.1.0
 */
export const busyAt = 1024

/**
 * How long a server that refused a command for now counts as refusing when nothing else is heard, in milliseconds: longer
 * than the longest wait before such a command is sent again.
 */
const refusalLasts = 2000

/**
 * So many bytes that have to pass first make a connection busy too, however few commands they are. Measured with `SET`s of
 * 64 KiB by 100 workers, against one connection: 1 MiB, which spreads them over seven, is 0.87 times as fast, 4 MiB as
 * fast.
 */
const busyBytes = 4 * 1024 * 1024

/**
 * A connection whose oldest command has waited so long for its reply, in milliseconds, is busy too: a large reply may be
 * on its way, or none any more. That is a round trip to another continent, and a quarter of the time that a command has
 * where that is less.
 */
const slowAfter = 100

/** How long a turn of the event loop may take, in milliseconds, without its commands' deadlines being set anew. */
const longTurn = 10

/** Whether another connection should have the next command, also where it would wait for an answer to `MULTI`. */
const isBusy = ({ backlog }: Connection, slowBefore: number): boolean =>
  backlog.commands >= busyAt || backlog.bytesAhead >= busyBytes || backlog.waitsSince < slowBefore || backlog.holdsBack

/** What is ahead of a new command, each KiB as one command. */
const aheadOf = ({ backlog }: Connection): number => backlog.commands + backlog.bytesAhead / 1024

const never = (): boolean => false
const always = (): boolean => true

let lastId = 0

/**
 * What the connections of a pool are for, and how many there may be. Commands of a reservation keep their order whatever
 * becomes of its connection, so none waits for another chance while others go on.
 */
interface Options
  extends Pick<Tenant, "kind" | "restore" | "restored" | "stays" | "survives" | "isItsUsers" | "mayProve" | "onPush">
{
  readonly size: number
  /** The number of its first slot among those of its kind. Default: 0. */
  readonly firstIndex?: number
  /** Sees what becomes of every request. */
  readonly onSettled?: RequestObserver
  /** Whether what was not written may go to the next connection; it may where nothing is said. */
  readonly mayResend?: () => boolean
  /** A slot has another connection, or none. */
  readonly onChange?: () => void
}

/**
 * Connections of a client to one database that are interchangeable for the requests that the pool is given.
 *
 * @category models
 * @since 0.1.0
 */
export class Pool {
  readonly slots: ReadonlyArray<Slot>
  /** Who owns the requests that it takes. */
  readonly owner: RequestOwner
  /** Connections that have a successor: they deliver what they owe and then close. */
  readonly draining = new Set<Connection>()

  private readonly runtime: Runtime
  private readonly maintenance: Maintenance
  private readonly around: Surroundings
  private readonly alarm: Alarm
  private readonly admission: Admission
  private readonly keepsOrder: boolean
  private readonly mayResend: () => boolean
  private readonly observed: RequestObserver | undefined
  private readonly unobserve: () => void
  /** The subject of what waits for a connection. */
  private readonly subject = `pool ${++lastId}`
  /** Whether it takes requests: not when the client closes, and not without a slot that has, or may yet have, a connection. */
  private isOpen = true
  private serving: ReadonlyArray<Connection> = []
  /** What it still waited for when it began to close. */
  private leaving: ReadonlyArray<Connection> = []
  /** Where in `serving` the last command went. */
  private lastUsed = 0
  /** Requests that wait for a connection, or for their time, in the order they came. */
  private readonly waiting = new Set<Request>()
  private waitingCommands = 0
  private waitingBytes = 0
  private readonly replays = new Replays()
  /** Open while commands wait for a connection. */
  private readonly awaited = Latch.makeUnsafe(false)
  private isGrowing = false
  /** When the last connection was renewed because of what a server answered, and how many times in a row. */
  private renewedAt = -Infinity
  private renewals = 0
  /** When a server last answered that it does not run commands for now, in elapsed milliseconds. */
  private refusedAt = -Infinity
  /** Whether a command was called in this turn of the event loop, and when the first one was. */
  private isTurn = false
  private turnAt = 0

  constructor(around: Surroundings, { firstIndex = 0, mayResend, onChange, onSettled, size, ...use }: Options) {
    const { maintenance, runtime } = around
    this.around = around
    this.runtime = runtime
    this.maintenance = maintenance
    this.keepsOrder = use.kind === "reserved"
    this.mayResend = mayResend ?? always
    this.observed = onSettled ?? runtime.observed
    this.alarm = new Alarm(runtime.context, () => this.onAlarm())
    this.admission = new Admission(runtime.config, () => this.accepted())
    this.owner = {
      onReplied: (request, value, site) => this.onReplied(request, value, site),
      onFailed: ({ reason }) => runtime.recorder.failed(reason._tag === "ServerReplied" ? reason.code : reason._tag),
      onGivenUp: (request) => this.onGivenUp(request),
      onThrown: (thrown) =>
        runtime.log("Error", "code that was told of a command's end threw", { why: kindOf(thrown) }),
      onSettled: this.observed
    }
    const tenant: Tenant = {
      ...use,
      draining: this.draining,
      awaited: Effect.suspend(() => {
        if (this.serving.length > 0 || this.waiting.size === 0) this.awaited.closeUnsafe()
        return this.awaited.await
      }),
      onChange: () => {
        this.lookAround()
        onChange?.()
      },
      onServing: () => this.unpark(),
      onDialFailed: (reason) => this.onDialFailed(reason),
      onUnwritten: (requests) => {
        for (const request of requests) this.submit(request)
      },
      onOrphans: (...lost) => this.onOrphans(...lost),
      onLess: () => this.letIn()
    }
    this.slots = Array.from({ length: size }, (_, index) => new Slot(around, tenant, firstIndex + index))
    // When nothing relaxes what waits for a connection any more, it has its own deadline again.
    maintenance.timeouts.onClose(this.subject, () => {
      if (this.waiting.size > 0 || this.admission.commands > 0) this.alarm.set(runtime.now())
    })
    around.whenDown.add(this.onDown)
    this.unobserve = runtime.recorder.observe({
      usedConnections: () => this.serving.filter(({ backlog }) => backlog.commands > 0).length,
      idleConnections: () => this.serving.filter(({ backlog }) => backlog.commands === 0).length,
      drainingConnections: () => this.draining.size,
      pendingRequests: () => this.outstanding
    })
  }

  private readonly onDown = (): void => {
    if (this.waiting.size > 0) this.alarm.set(this.runtime.now())
  }

  /** Commands that are waiting or unanswered. */
  get outstanding(): number {
    return this.accepted().commands + this.admission.commands
  }

  /** Whether a server answers that it does not run commands for now: it loads its data, is a replica, or the like. */
  isRefused(now: number): boolean {
    return now < this.refusedAt + refusalLasts
  }

  /**
   * When the commands of this turn of the event loop are called, in elapsed milliseconds: read once for all of them,
   * because a reading takes as long as a twentieth of a small command. `endTurn` corrects it where it is wrong by more
   * than timers are.
   */
  turn(): number {
    if (!this.isTurn) {
      this.isTurn = true
      this.turnAt = this.runtime.now()
      queueMicrotask(this.endTurn)
    }
    return this.turnAt
  }

  /** Takes a request from outside: at once if there is room for it, else it fails or waits in line until its deadline. */
  accept(request: Request): void {
    if (!this.isOpen) return this.turnAway(request)
    if (this.admission.accept(request)) this.route(request, request.startedAt)
    else if (request.state === "Waiting") this.alarm.set(this.deadlineOf(request))
  }

  /** Begins to make the first connection, which goes on until there is one. */
  begin(): void {
    this.slots[0].begin()
  }

  /** Makes the first connection; its failure is the client's. */
  open(): Effect.Effect<void, HitlessError> {
    const dial = this.slots[0].open()
    // A server that hangs up may have said first where to go.
    return Effect.catch(
      dial,
      (error) => this.maintenance.lastTarget === undefined ? Effect.fail(error) : dial
    )
  }

  /** Closes at once, with all that it has. */
  abandon(why: string): void {
    this.isOpen = false
    this.around.whenDown.delete(this.onDown)
    this.unobserve()
    this.maintenance.timeouts.forget(this.subject)
    this.turnAllAway()
    for (const connection of [...this.slots.map((slot) => slot.close()), ...this.draining]) {
      connection?.close(why)
    }
  }

  /** Fails what waits, and takes nothing more. What has a connection goes on: `drain` is its end. */
  refuse(): void {
    this.isOpen = false
    this.leaving = [...this.serving, ...this.draining]
    this.serving = []
    this.turnAllAway()
  }

  /** Waits for the replies that somebody waits for, at most one command timeout, and closes. */
  drain(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { commandTimeout, connectTimeout } = this.runtime.config
      const until = this.runtime.now() + finiteMillis(commandTimeout, connectTimeout)
      for (const connection of this.leaving) for (const request of connection.drain(until)) this.turnAway(request)
      return Effect.forEach(this.leaving, ({ closed }) => closed, { discard: true })
    })
  }

  // ----- choice -----

  /** Takes a request that was accepted: onto a connection if one serves, else it waits for one until its deadline. */
  private submit(request: Request): void {
    this.route(request, this.runtime.now())
  }

  private route(request: Request, now: number): void {
    const mustWait = this.keepsOrder && this.draining.size + this.waiting.size > 0
    const connection = mustWait ? undefined : this.pick(now, Math.min(slowAfter, request.timeout / 4))
    if (connection !== undefined) connection.send(request)
    else if (this.mustNotWait) this.expire(request, now)
    else this.park(request, 0)
  }

  /** Whether nothing is to wait for a connection. */
  private get mustNotWait(): boolean {
    return this.serving.length === 0 && outageOf(this.around) !== undefined
  }

  /**
   * The connection that got the last command while it is not busy, else the next that is not; else the pool grows, and
   * the best is the one that answers, of several the least loaded, or the one that answered last. Commands so stay
   * together on as few connections as carry them well. A connection is slow when its oldest command waits longer than
   * `patience`.
   */
  private pick(now: number, patience: number): Connection | undefined {
    const serving = this.serving
    const slowBefore = now - patience
    const last = serving[this.lastUsed]
    if (last !== undefined && !isBusy(last, slowBefore)) return last
    let best: Connection | undefined
    let bestSince = 0
    let bestAhead = 0
    for (let i = 0; i < serving.length; i++) {
      const connection = serving[i]
      const since = Math.min(connection.backlog.waitsSince, slowBefore)
      const ahead = aheadOf(connection)
      if (best === undefined || since > bestSince || (since === bestSince && ahead < bestAhead)) {
        best = connection
        bestSince = since
        bestAhead = ahead
        this.lastUsed = i
        if (!isBusy(connection, slowBefore)) return connection
      }
    }
    if (best !== undefined) this.grow(patience)
    return best
  }

  private grow(patience: number): void {
    if (this.isGrowing || !this.isOpen) return
    const slot = this.slots.find((slot) => slot.state._tag === "Empty")
    if (slot === undefined) return
    this.isGrowing = true
    const isNeeded = () => {
      const slowBefore = this.runtime.now() - patience
      return this.serving.every((connection) => isBusy(connection, slowBefore))
    }
    this.runtime.fork(
      // To a loop that was busy every server seems slow, until it has read what has arrived meanwhile. The first yield may
      // end in the turn in which it was busy.
      Effect.yieldNow.pipe(
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.suspend(() => isNeeded() ? slot.open() : Effect.void)),
        // A server that takes no more connections is not asked again before this is over.
        Effect.catchCause(() => Effect.sleep("1 second")),
        Effect.ensuring(Effect.sync(() => {
          this.isGrowing = false
        }))
      )
    )
  }

  private lookAround(): void {
    // Once closing, the connections that are left only drain.
    if (!this.isOpen) return
    this.isOpen = this.slots.some(({ state }) => state._tag !== "Closed")
    const serving: Array<Connection> = []
    for (const { connection } of this.slots) if (connection !== undefined) serving.push(connection)
    this.serving = serving
    this.tellIfDown()
  }

  /** Of the shared connections the last may be gone: what waits for one, here and elsewhere, may have to fail now. */
  private tellIfDown(): void {
    if (!this.keepsOrder && this.serving.length === 0 && outageOf(this.around) !== undefined) {
      for (const told of this.around.whenDown) told()
    }
  }

  // ----- waiting -----

  private park(request: Request, notBefore: number): void {
    request.notBefore = notBefore
    this.keep(request)
    if (!this.isOpen) return
    if (this.serving.length === 0) this.awaited.openUnsafe()
    this.alarm.set(Math.min(this.deadlineOf(request), notBefore === 0 ? Infinity : notBefore))
  }

  private keep(request: Request): void {
    if (!this.isOpen) return this.turnAway(request)
    this.waiting.add(request)
    this.waitingCommands += request.size
    this.waitingBytes += request.weight
    // It may not have been counted on its way from a connection to here.
    this.admission.recount()
  }

  private onGivenUp(request: Request): void {
    if (this.waiting.delete(request)) {
      this.waitingCommands -= request.size
      this.waitingBytes -= request.weight
    } else if (!this.admission.forget(request)) return
    this.letIn()
  }

  private takeWaiting(): ReadonlyArray<Request> {
    const waiting = [...this.waiting]
    this.waiting.clear()
    this.waitingCommands = 0
    this.waitingBytes = 0
    return waiting
  }

  /** Sends on what waits, where its time has come. */
  private unpark(): void {
    const now = this.runtime.now()
    let room = this.replays.room
    let next = Infinity
    const overdue: Array<Request> = []
    const isOver = this.mustNotWait
    for (const request of this.takeWaiting()) {
      if (request.state === "Settled") continue
      const deadline = this.deadlineOf(request)
      if (isOver || deadline <= now) {
        overdue.push(request)
        continue
      }
      if (request.notBefore === untilItsTurn && room > 0) {
        room--
        this.replays.begin(request)
        this.owner.onSettled = this.onWatched
        request.notBefore = 0
      }
      if (request.notBefore <= now && this.serving.length > 0) {
        request.notBefore = now
        request.promised = deadline
        this.submit(request)
      } else {
        this.keep(request)
        next = Math.min(next, deadline, request.notBefore > now ? request.notBefore : Infinity)
      }
    }
    if (next !== Infinity && this.isOpen) this.alarm.set(next)
    // Who is told may send more at once, and that goes behind what was there before.
    for (const request of overdue) this.expire(request, now)
  }

  /** Lets in from the front of the line what there is room for now. */
  private letIn(): void {
    for (let request = this.admission.next(); request !== undefined; request = this.admission.next()) {
      this.submit(request)
    }
  }

  private readonly onAlarm = (): void => {
    const now = this.runtime.now()
    this.maintenance.timeouts.expire(now)
    this.unpark()
    const next = this.admission.expire(now, (request) => this.deadlineOf(request), (request) => {
      this.expire(request, now)
    })
    this.letIn()
    // A command that failed here may have been the reason to close.
    if (this.isOpen) this.alarm.set(next)
  }

  private accepted(): Accepted {
    let commands = this.waitingCommands
    let bytes = this.waitingBytes
    for (const connections of [this.serving, this.draining]) {
      for (const { backlog } of connections) {
        commands += backlog.commands
        bytes += backlog.bytes
      }
    }
    return { commands, bytes }
  }

  /** In a long turn some commands were called late: all of them have their time from its end, so that none has less. */
  private readonly endTurn = (): void => {
    this.isTurn = false
    const now = this.runtime.now()
    if (now - this.turnAt < longTurn) return
    const restart = (request: Request): void => {
      if (request.startedAt === this.turnAt) request.startedAt = now
    }
    for (const connections of [this.serving, this.draining]) {
      for (const connection of connections) connection.forEach(restart)
    }
    this.waiting.forEach(restart)
    this.admission.forEach(restart)
  }

  // ----- outcomes -----

  private onReplied(request: Request, value: unknown, site: Site): void {
    const passing = passingRefusal(request, value)
    const event: Event = { _tag: "Replied", value, site, passing }
    if (passing === undefined) return settle(request, outcomeOf(request, event, final))
    const now = this.runtime.now()
    this.refusedAt = now
    this.owner.onSettled = this.onWatched
    this.survived(request)
    const lostSession = hasLostSession(passing)
    if (lostSession || passing.code === "READONLY" || isForcedOut(passing)) this.renew(site, lostSession)
    if (this.conclude(request, event, now, undefined)._tag === "Resend") request.refusal = { value, site }
  }

  private onOrphans(
    connection: Connection,
    cause: HitlessErrorReason,
    orphans: ReadonlyArray<Request>,
    wasDraining: boolean
  ): void {
    const now = this.runtime.now()
    const window = this.maintenance.timeouts.inForce(connection, now)?.label
    const again: Array<Request> = []
    // What goes on does so before anybody is told of a failure, and may send more.
    const inOrder = [
      ...orphans.filter(({ state }) => state === "Waiting"),
      ...orphans.filter(({ state }) => state !== "Waiting")
    ]
    for (const request of inOrder) {
      // It was sent again, alone, and nothing but its answer was expected next: it is most likely what ends connections. A
      // connection that drains is closed by its server, whatever it carries.
      const isPoison = this.replays.isAlone(request) && connection.end?.owed === request && !wasDraining
      const outcome = this.conclude(request, { _tag: "Lost", cause, site: connection, isPoison }, now, window)
      if (outcome._tag === "Resend" && outcome.inTurn) again.push(request)
    }
    if (again.length > 0) this.replay(again)
    if (wasDraining && this.keepsOrder) this.unpark()
    this.letIn()
  }

  /** Does what has to become of a request, but for what is sent again in its turn. */
  private conclude(request: Request, event: Event, now: number, window: string | undefined): Outcome {
    const outcome = outcomeOf(request, event, {
      now,
      window,
      deadline: this.deadlineOf(request),
      isClosing: this.runtime.isClosing,
      canResend: this.isOpen && (!this.keepsOrder || this.isAlone(request, event)),
      mayRepeat: this.keepsOrder ? never : this.mayRepeat,
      jitter: this.runtime.jittered(1)
    })
    if (outcome._tag !== "Resend") settle(request, outcome)
    else if (!outcome.inTurn) {
      request.rewind()
      if (outcome.after > 0) this.park(request, now + outcome.after)
      else this.submit(request)
    }
    return outcome
  }

  /** Whether nothing of a reservation's would overtake a request that is sent again. */
  private isAlone(request: Request, { _tag }: Event): boolean {
    const { commands } = this.accepted()
    return _tag === "Lost" ? request.state === "Waiting" && this.mayResend() : commands === 0
  }

  private readonly mayRepeat = ([word, ...args]: Words, command: Command<unknown> | undefined): boolean => {
    const { retry } = this.runtime.config
    if (retry === "none") return false
    const name = String(word)
    const readOnly = command?.readOnly ?? isReadOnly(name)
    if (retry === "reads") return readOnly
    try {
      return retry(name, args, readOnly)
    } catch {
      this.runtime.log("Error", "the retry predicate threw; the command is not sent again", { command: name })
      return false
    }
  }

  /** Sends written requests again that lost their connection together, in their turn. */
  private replay(requests: ReadonlyArray<Request>): void {
    // Those that waited for their turn already are less suspicious than those that had it.
    const waiting = this.takeWaiting()
    for (const request of requests) {
      this.replays.failed(request)
      request.replayed = true
      request.rewind()
      this.park(request, untilItsTurn)
    }
    for (const request of waiting) this.keep(request)
    this.alarm.set(this.runtime.now())
  }

  private survived(request: Request): void {
    if (this.replays.survived(request) && this.isOpen) this.alarm.set(this.runtime.now())
  }

  /** Sees what becomes of every command while there is something to learn from it, and costs nothing otherwise. */
  private readonly onWatched: RequestObserver = (request, exit) => {
    this.observed?.(request, exit)
    this.survived(request)
    // A pipeline succeeds with refusals in it.
    if (request.refusal !== undefined && request.kind !== "pipeline" && exit?._tag === "Success") {
      this.refusedAt = -Infinity
    }
    if (this.replays.isIdle && !this.isRefused(request.startedAt)) this.owner.onSettled = this.observed
  }

  /**
   * Renews the slot whose server turned out to be a replica or has lost the session. One at a time, since all slots may
   * lead to one server, and further apart the longer it goes on.
   */
  private renew(site: Site, lostSession: boolean): void {
    if (!this.isOpen) return
    if (this.slots.some(({ state }) => state._tag === "Serving" && state.isRenewing)) return
    const slot = this.slots.find(({ state }) => state._tag === "Serving" && state.connection === site)
    if (slot === undefined) return
    if (this.runtime.now() - this.renewedAt > livesAtLeast) this.renewals = 0
    this.runtime.fork(
      Effect.ensuring(
        slot.renew(this.runtime.jittered(renewAfter(this.renewals++)), lostSession),
        Effect.sync(() => {
          this.renewedAt = this.runtime.now()
        })
      )
    )
  }

  /**
   * Where a server turned the client away those who wait fail at once, as the first connection does: its answer is not an
   * outage that passes. Who comes later waits for what the next dial says, so that credentials which were rotated are
   * found soon; unless nobody is to wait.
   */
  private onDialFailed(reason: HitlessErrorReason): void {
    this.tellIfDown()
    if (this.serving.length > 0 || !(isTurnedAway(reason) || this.mustNotWait)) return
    const now = this.runtime.now()
    for (const request of this.takeWaiting()) this.expire(request, now)
  }

  /** Ends a request that waits, at its deadline or because of what the last dial ended with. */
  private expire(request: Request, now: number): void {
    const failure = this.serving.length === 0 ? outageOf(this.around) ?? this.around.dialer.failure : undefined
    const window = this.maintenance.timeouts.inForce(undefined, now)?.label
    this.conclude(request, { _tag: "Expired", site: undefined, failure }, now, window)
  }

  private deadlineOf({ promised, startedAt, timeout }: Request): number {
    const { timeouts } = this.maintenance
    return Math.max(promised, timeouts.deadline(startedAt, timeout, undefined, this.runtime.now()))
  }

  /** Ends a request that came, or has to go on, when there is no way any more. */
  private turnAway(request: Request): void {
    const { mayHaveExecuted, name: command } = request
    const gone = { command, mayHaveExecuted, detail: "the connection that was reserved for it is closed" }
    request.fail(
      new HitlessError({
        reason: this.runtime.isClosing ? new Closed({ command, mayHaveExecuted }) : new ConnectionLost(gone)
      })
    )
  }

  private turnAllAway(): void {
    this.alarm.clear()
    for (const request of [...this.takeWaiting(), ...this.admission.takeAll()]) this.turnAway(request)
  }
}
