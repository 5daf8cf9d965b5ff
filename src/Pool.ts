/**
 * The connections for commands: slots, the choice of slot, growth, reconnect, and what happens to requests that lost
 * their connection.
 *
 * A slot holds at most one current connection:
 *
 * - `Empty`: never needed so far.
 * - `Serving`: its connection takes commands.
 * - `Moving`: the same, while a handoff prepares the connection's successor.
 * - `Reconnecting`: its connection was lost; a new one is dialled until it answers or the pool closes.
 *
 * Users of a slot never notice which connection it holds. The pool hears every push of its connections, opens and
 * closes the windows they announce, keeps the address override, and puts each `Move` that has to be acted on into
 * `moves`; `Handoff` takes it from there and comes back with `replace`. The pool never starts a handoff by itself.
 *
 * The scope given to `make` owns every connection. When it closes, the pool takes nothing more, lets the replies that
 * somebody waits for arrive for at most one command timeout, and closes.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { EndpointType, ResolvedConfig } from "./Config.ts"
import { connect, type Connection, type Owner, type Support } from "./Connection.ts"
import { AddressOverride, detectType, type Endpoint, format, isSameMove, type Move } from "./Endpoint.ts"
import { Closed, ConnectFailed, HitlessError, type HitlessErrorReason, Overloaded } from "./HitlessError.ts"
import { Alarm } from "./internal/alarm.ts"
import { endOf, kindOf } from "./internal/causes.ts"
import { isReadOnly } from "./internal/commands.ts"
import { monotonicMillis } from "./internal/elapsed.ts"
import { Greetings } from "./internal/handshake.ts"
import * as Hub from "./internal/hub.ts"
import { type Log, makeLog } from "./internal/log.ts"
import { CurrentRequestObserver } from "./internal/observer.ts"
import { type DialFailure, type Event, final, type Outcome, outcomeOf, settle } from "./internal/outcome.ts"
import { hasLostSession } from "./internal/refusals.ts"
import { passingRefusal } from "./internal/replies.ts"
import { type Request, type RequestObserver, type RequestOwner, type Site, type Words } from "./internal/request.ts"
import { Recorder } from "./Metrics.ts"
import { decode, frameNames, type Notification, SeenEvents } from "./Notifications.ts"
import { Timeouts } from "./Timeouts.ts"
import { tlsFor, Transport } from "./Transport.ts"

/**
 * What a slot holds.
 *
 * @category models
 * @since 0.1.0
 */
export type SlotState =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Serving"; readonly connection: Connection }
  | {
    readonly _tag: "Moving"
    readonly connection: Connection
    readonly move: Move
    /** Done when a newer move takes this one's place. */
    readonly superseded: Deferred.Deferred<void>
  }
  | { readonly _tag: "Reconnecting" }

/**
 * One place for a connection.
 *
 * @category models
 * @since 0.1.0
 */
export class Slot {
  readonly index: number
  state: SlotState = { _tag: "Empty" }
  /** Counts the connections this slot has had, so that a dial which was overtaken can tell. */
  generation = 0
  /** The move whose attempts are used up: the current connection serves until the server closes it. */
  failedMove: Move | undefined
  /** Whether a handoff worker has the slot, or will have it: it follows every newer move too. */
  handingOff = false
  /** When its connection was installed, in elapsed milliseconds, and how many in a row were lost soon after. */
  installedAt = 0
  soonLost = 0
  /** Where its last connection led, and until when its connections are relaxed after a handoff, in elapsed milliseconds. */
  address: string | undefined
  relaxedUntil = 0

  constructor(index: number) {
    this.index = index
  }

  get connection(): Connection | undefined {
    return this.state._tag === "Serving" || this.state._tag === "Moving" ? this.state.connection : undefined
  }
}

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

/** The time before which a request is not sent that waits for others to be sent again first. */
const held = Infinity

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

/** How long an endpoint that refused notifications is not asked again, in milliseconds. */
const askAgainAfter = 60_000

/** Of how many endpoints is known what they offer: a client dials a few, but servers can name any number of targets. */
const mostKnown = 64

/**
 * The waits between dials, in milliseconds: none before the first, then 50 ms doubling to 2 s, but while commands wait
 * for the connection not more than 400 ms, which jitter makes half a second at most.
 */
const dialAgainAfter = 50
const dialAgainAtMost = 2000
const dialAgainWhileAwaited = 400

/** The wait before a dial when so many have failed in a row. */
const backoff = (failures: number): number =>
  failures === 0 ? 0 : Math.min(dialAgainAfter * 2 ** (failures - 1), dialAgainAtMost)

/** A connection that lived shorter than the longest wait between dials, in milliseconds, counts as a failed dial. */
const livesAtLeast = dialAgainAtMost

/**
 * How far ahead of the next a dial is, where the database may be in more than one place: what RFC 8305 recommends for the
 * addresses of one name. Most handshakes are over by then, and one that hangs costs no more than this.
 */
const headStart = Duration.millis(250)

/**
 * How long after its announced end a move's target is still worth a dial when nothing else answers, in milliseconds:
 * servers close the old socket, and names lead to the new address, up to 4 s after it (docs/wire.md, Timing).
 */
const targetOutlives = 30_000

/** Whether another connection should have the next command, also where it would wait for an answer to `MULTI`. */
const isBusy = (connection: Connection, slowBefore: number): boolean =>
  connection.load >= busyAt || connection.bytesAhead >= busyBytes || connection.waitsSince < slowBefore ||
  connection.holdsBack

/** What is ahead of a new command, each KiB as one command. */
const backlogOf = (connection: Connection): number => connection.load + connection.bytesAhead / 1024

/** The subject of the window of a slot that has no connection. */
const nobody = ({ index }: Slot): string => `slot ${index}`

/** Whether the server is there and does not want this client: what the next dial does not change by itself. */
const isTurnedAway = ({ _tag }: HitlessErrorReason): boolean =>
  _tag === "AuthenticationFailed" || _tag === "MaintenanceRefused"

/**
 * A pool of connections to one database.
 *
 * @category models
 * @since 0.1.0
 */
export class Pool implements Owner, RequestOwner {
  readonly config: ResolvedConfig
  readonly slots: ReadonlyArray<Slot>
  readonly timeouts: Timeouts
  readonly override = new AddressOverride()
  readonly recorder: Recorder
  readonly log: Log
  readonly clock: Clock.Clock
  /** Each notification once, for whoever watches. */
  readonly notifications: Hub.Hub<Notification>
  /** The moves that slots have to follow: the work of `Handoff`. One at the most for each endpoint that is left. */
  readonly moves: Queue.Queue<Move>
  /** What each endpoint answered when it was asked for notifications, and when. */
  readonly support = new Map<string, { readonly support: Support; readonly at: number }>()

  /** How its endpoints are greeted. */
  private readonly greetings: Greetings
  /** Who looks at every command, if anybody does. */
  readonly observed: RequestOwner["onSettled"]
  /** The same, and the pool itself while it has something to learn from what becomes of commands. */
  onSettled: RequestOwner["onSettled"]

  private readonly transport: Transport["Service"]
  private readonly random: { readonly nextDoubleUnsafe: () => number }
  private readonly scope: Scope.Scope
  private readonly run: (effect: Effect.Effect<unknown, unknown>) => unknown
  private readonly closeLog: () => void
  private readonly alarm: Alarm
  /** What was heard, and what was heard on which endpoint. */
  private readonly seen = new SeenEvents()
  private readonly seenAt = new SeenEvents()
  private readonly draining = new Set<Connection>()
  private serving: ReadonlyArray<Connection> = []
  /** Where in `serving` the last command went. */
  private current = 0
  /** Requests that wait for a connection, and those that wait until there is room for them, in the order they came. */
  private readonly waiting = new Set<Request>()
  private waitingCommands = 0
  private waitingBytes = 0
  private readonly line = new Set<Request>()
  /** What may be accepted before what is outstanding has to be counted again: there is room for so much at least. */
  private commandsLeft = 0
  private bytesLeft = 0
  private lastMove: Move | undefined
  /** The endpoints whose move is in `moves`. */
  private readonly untaken = new Set<string>()
  /** Why no connection could be made for a slot the last time, if so. */
  private dialFailure: DialFailure | undefined
  /** Open while commands wait for a connection. */
  private readonly awaited = Latch.makeUnsafe(false)
  private growing = false
  /** Whether a fresh connection is being dialled because a server answered `READONLY`; when the last one was; how many. */
  private renewing = false
  private renewedAt = -Infinity
  private renewals = 0
  /** When a server last answered that it does not run commands for now, in elapsed milliseconds. */
  private refusedAt = -Infinity
  /** What is being sent again because its connection was lost, and how many of them at a time. */
  private readonly replaying = new Set<Request>()
  private replayedAtOnce = 1
  private closing = false
  /** Whether a command was called in this turn of the event loop, and when the first one was. */
  private isTurn = false
  private turnAt = 0
  private readonly closed = Deferred.makeUnsafe<never, HitlessError>()

  /** @internal Use `make`. */
  constructor(
    config: ResolvedConfig,
    transport: Transport["Service"],
    context: Context.Context<never>,
    scope: Scope.Scope,
    run: (effect: Effect.Effect<unknown, unknown>) => unknown,
    notifications: Hub.Hub<Notification>,
    moves: Queue.Queue<Move>
  ) {
    this.config = config
    this.greetings = new Greetings(config.protocol)
    this.transport = transport
    this.random = Context.get(context, Random.Random)
    this.scope = scope
    this.run = run
    this.notifications = notifications
    this.moves = moves
    this.clock = Context.get(context, Clock.Clock)
    this.slots = Array.from({ length: config.poolSize }, (_, index) => new Slot(index))
    this.recorder = new Recorder(context, config.clientName ?? format(config.endpoint))
    const { close, log } = makeLog(context, config.maintenance.logLevel)
    this.log = log
    this.closeLog = close
    this.alarm = new Alarm(context, this.onAlarm)
    this.timeouts = new Timeouts(config.maintenance.relaxedTimeout, (delta, window) => {
      this.recorder.windowChanged(delta)
      // What waits for a connection has its own deadline again.
      if (delta === -1 && this.waiting.size + this.line.size > 0) this.alarm.set(this.now())
      this.log("Info", delta === 1 ? "timeouts are relaxed" : "timeouts are no longer relaxed", {
        window: window.label,
        subject: window.subject
      })
    })
    const observer = Context.get(context, CurrentRequestObserver)
    this.observed = this.recorder.recordsOperations
      ? (request, exit) => {
        this.recorder.operationEnded(request.name, this.now() - request.startedAt)
        observer?.(request, exit)
      }
      : observer
    this.onSettled = this.observed
    this.recorder.observe({
      usedConnections: () => this.serving.filter((connection) => connection.load > 0).length,
      idleConnections: () => this.serving.filter((connection) => connection.load === 0).length,
      drainingConnections: () => this.draining.size,
      pendingRequests: () => this.outstanding
    })
  }

  /** Milliseconds that have elapsed, by the clock's monotonic reading. */
  now(): number {
    return monotonicMillis(this.clock)
  }

  /**
   * When the commands of this turn of the event loop are called, in elapsed milliseconds: read once for all of them,
   * because a reading takes as long as a twentieth of a small command. `endTurn` corrects it where it is wrong by more
   * than timers are.
   */
  turn(): number {
    if (!this.isTurn) {
      this.isTurn = true
      this.turnAt = this.now()
      queueMicrotask(this.endTurn)
    }
    return this.turnAt
  }

  /** In a long turn some commands were called late: all of them have their time from its end, so that none has less. */
  private readonly endTurn = (): void => {
    this.isTurn = false
    const now = this.now()
    if (now - this.turnAt < longTurn) return
    const restart = (request: Request): void => {
      if (request.startedAt === this.turnAt) request.startedAt = now
    }
    for (const connections of [this.serving, this.draining]) {
      for (const connection of connections) connection.forEach(restart)
    }
    for (const requests of [this.waiting, this.line]) for (const request of requests) restart(request)
  }

  /** Commands that are waiting or unanswered. */
  get outstanding(): number {
    let { commands } = this.accepted()
    for (const { size } of this.line) commands += size
    return commands
  }

  /** Whether a server answers that it does not run commands for now: it loads its data, is a replica, or the like. */
  isRefused(now: number): boolean {
    return now < this.refusedAt + refusalLasts
  }

  /** Connections that deliver what they owe and then close. */
  get drainingCount(): number {
    return this.draining.size
  }

  // ----- requests -----

  /** Takes a request from outside: at once if there is room for it, else it fails or waits in line until its deadline. */
  accept(request: Request): void {
    this.commandsLeft -= request.size
    this.bytesLeft -= request.weight
    if (this.commandsLeft >= 0 && this.bytesLeft >= 0) return this.route(request, request.startedAt)
    const exceeded = this.exceeded(request)
    if (exceeded === undefined && this.line.size === 0) this.route(request, request.startedAt)
    else if (this.closing) request.fail(this.closedError(request))
    else if (exceeded !== undefined && this.config.whenOverloaded === "fail") {
      request.fail(this.overloaded(request, exceeded))
    } else {
      this.line.add(request)
      // Nothing overtakes it.
      this.commandsLeft = 0
      this.alarm.set(this.deadlineOf(request))
    }
  }

  /** The limit that a request would exceed; none when nothing is outstanding, or it could never run. */
  private exceeded(request: Request): "commands" | "bytes" | undefined {
    const { bytes, commands } = this.accepted()
    this.commandsLeft = this.config.maxPendingCommands - commands - request.size
    this.bytesLeft = this.config.maxPendingBytes - bytes - request.weight
    if (commands === 0) return undefined
    return this.commandsLeft < 0 ? "commands" : this.bytesLeft < 0 ? "bytes" : undefined
  }

  /** What was accepted and is not over, in commands and in bytes. What nobody waits for counts while it takes memory. */
  private accepted(): { readonly commands: number; readonly bytes: number } {
    let commands = this.waitingCommands
    let bytes = this.waitingBytes
    for (const connections of [this.serving, this.draining]) {
      for (const { load, loadBytes } of connections) {
        commands += load
        bytes += loadBytes
      }
    }
    return { commands, bytes }
  }

  /** Lets in from the front of the line what there is room for now. */
  onLess(): void {
    for (const request of this.line) {
      if (this.exceeded(request) !== undefined) break
      this.line.delete(request)
      this.submit(request)
    }
  }

  /** Takes a request that was accepted: onto a connection if one serves, else it waits for one until its deadline. */
  submit(request: Request): void {
    this.route(request, this.now())
  }

  private route(request: Request, now: number): void {
    const connection = this.pick(now, Math.min(slowAfter, request.timeout / 4))
    if (connection === undefined) this.park(request, 0)
    else connection.send(request)
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
    const current = serving[this.current]
    if (current !== undefined && !isBusy(current, slowBefore)) return current
    let best: Connection | undefined
    let bestSince = 0
    let bestBacklog = 0
    for (let i = 0; i < serving.length; i++) {
      const connection = serving[i]!
      const since = Math.min(connection.waitsSince, slowBefore)
      const backlog = backlogOf(connection)
      if (best === undefined || since > bestSince || (since === bestSince && backlog < bestBacklog)) {
        best = connection
        bestSince = since
        bestBacklog = backlog
        this.current = i
        if (!isBusy(connection, slowBefore)) return connection
      }
    }
    if (best !== undefined) this.grow(patience)
    return best
  }

  private park(request: Request, notBefore: number): void {
    request.notBefore = notBefore
    this.keep(request)
    if (this.closing) return
    if (this.serving.length === 0) this.awaited.openUnsafe()
    this.alarm.set(Math.min(this.deadlineOf(request), notBefore === 0 ? Infinity : notBefore))
  }

  private keep(request: Request): void {
    if (this.closing) return request.fail(this.closedError(request))
    this.waiting.add(request)
    this.waitingCommands += request.size
    this.waitingBytes += request.weight
    // It may not have been counted on its way from a connection to here.
    this.commandsLeft = 0
  }

  onGivenUp(request: Request): void {
    if (this.waiting.delete(request)) {
      this.waitingCommands -= request.size
      this.waitingBytes -= request.weight
    } else if (!this.line.delete(request)) return
    this.onLess()
  }

  private overloaded(request: Request, exceeded: "commands" | "bytes"): HitlessError {
    const { maxPendingBytes, maxPendingCommands } = this.config
    return new HitlessError({
      reason: new Overloaded({
        command: request.name,
        limit: exceeded === "commands" ? maxPendingCommands : maxPendingBytes,
        unit: exceeded,
        mayHaveExecuted: false
      })
    })
  }

  private deadlineOf(request: Request): number {
    const { promised, startedAt, timeout } = request
    return Math.max(promised, this.timeouts.deadline(startedAt, timeout, undefined, undefined, this.now()))
  }

  /** Takes all that waits for a connection. */
  private takeWaiting(): ReadonlyArray<Request> {
    const waiting = [...this.waiting]
    this.waiting.clear()
    this.waitingCommands = 0
    this.waitingBytes = 0
    return waiting
  }

  /** Sends on what waits, where its time has come. */
  private unpark(): void {
    const now = this.now()
    let room = this.replaying.size === 0 ? this.replayedAtOnce : 0
    let next = Infinity
    for (const request of this.takeWaiting()) {
      if (request.state === "Settled") continue
      const deadline = this.deadlineOf(request)
      if (deadline <= now) {
        this.expire(request, now)
        continue
      }
      if (request.notBefore === held && room > 0) {
        room--
        this.replaying.add(request)
        this.onSettled = this.onWatched
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
    if (next !== Infinity && !this.closing) this.alarm.set(next)
  }

  /** Ends what waits in line at its deadline. */
  private expireLine(): void {
    const now = this.now()
    let next = Infinity
    for (const request of this.line) {
      const deadline = this.deadlineOf(request)
      if (deadline <= now) {
        this.line.delete(request)
        this.expire(request, now)
      } else next = Math.min(next, deadline)
    }
    // A long line in which one is overdue each millisecond is not looked through each millisecond.
    if (next !== Infinity && !this.closing) this.alarm.set(Math.max(next, now + this.line.size / 1000))
    this.onLess()
  }

  private readonly onAlarm = (): void => {
    this.timeouts.expire(this.now())
    this.unpark()
    this.expireLine()
    // A command that failed here may have been the reason to close.
    if (this.closing) return
    this.alarm.set(this.timeouts.nextEnd)
    this.askAgain()
  }

  onReplied(request: Request, value: unknown, site: Site): void {
    const passing = passingRefusal(request, value)
    const event: Event = { _tag: "Replied", value, site, passing }
    if (passing === undefined) return settle(request, outcomeOf(request, event, final))
    const now = this.now()
    this.refusedAt = now
    this.onSettled = this.onWatched
    this.survived(request)
    const lostSession = hasLostSession(passing)
    if (lostSession || passing.code === "READONLY") this.renew(site, lostSession)
    if (this.conclude(request, event, now, undefined)._tag === "Resend") request.refusal = { value, site }
  }

  /** Does what has to become of a request, but for what is sent again in its turn. */
  private conclude(request: Request, event: Event, now: number, window: string | undefined): Outcome {
    const outcome = outcomeOf(request, event, {
      now,
      window,
      deadline: this.deadlineOf(request),
      isClosing: this.closing,
      canResend: true,
      mayRepeat: this.mayRepeat,
      jitter: this.jittered(1)
    })
    if (outcome._tag !== "Resend") settle(request, outcome)
    else if (!outcome.inTurn) {
      request.rewind()
      if (outcome.after > 0) this.park(request, now + outcome.after)
      else this.submit(request)
    }
    return outcome
  }

  onFailed(error: HitlessError): void {
    this.recorder.failed(error.reason._tag === "ServerReplied" ? error.reason.code : error.reason._tag)
  }

  onThrown(thrown: unknown): void {
    this.log("Error", "code that was told of a command's end threw", { why: kindOf(thrown) })
  }

  /** 0.8 to 1.2 times, as `Schedule.jittered` does it. */
  private jittered(millis: number): number {
    return millis * (0.8 + 0.4 * this.random.nextDoubleUnsafe())
  }

  private readonly mayRepeat = ([command, ...args]: Words): boolean => {
    const { retry } = this.config
    if (retry === "none") return false
    const name = String(command)
    if (retry === "reads") return isReadOnly(name)
    try {
      return retry(name, args)
    } catch {
      this.log("Error", "the retry predicate threw; the command is not sent again", { command: name })
      return false
    }
  }

  private closedError(request: Request): HitlessError {
    return new HitlessError({
      reason: new Closed({ command: request.name, mayHaveExecuted: request.mayHaveExecuted })
    })
  }

  /** Ends a request that waits, at its deadline or because of what the last dial ended with. */
  private expire(request: Request, now: number): void {
    const failure = this.serving.length === 0 ? this.dialFailure : undefined
    const window = this.timeouts.inForce(undefined, undefined, now)?.label
    this.conclude(request, { _tag: "Expired", site: undefined, failure }, now, window)
  }

  /**
   * Sends written requests again that lost their connection together. One of them may be why: its reply is beyond the
   * server's limits, or the server crashes on it. So first one is sent again, and when it is answered two more, then four:
   * the others lose a few round trips, and who takes its connection with it when it is alone is known.
   */
  private replay(requests: ReadonlyArray<Request>): void {
    // Those that waited for their turn already are less suspicious than those that had it.
    const waiting = this.takeWaiting()
    for (const request of requests) {
      this.replaying.delete(request)
      request.replayed = true
      request.rewind()
      this.park(request, held)
    }
    for (const request of waiting) this.keep(request)
    this.replayedAtOnce = 1
    this.alarm.set(this.now())
  }

  /** A request that was sent again has an answer, or nobody waits for it any more. */
  private survived(request: Request): void {
    if (!this.replaying.delete(request) || this.replaying.size > 0) return
    this.replayedAtOnce *= 2
    if (!this.closing) this.alarm.set(this.now())
  }

  /** Sees what becomes of every command while there is something to learn from it, and costs nothing otherwise. */
  private readonly onWatched: RequestObserver = (request, exit) => {
    this.observed?.(request, exit)
    this.survived(request)
    // A pipeline succeeds with refusals in it.
    if (request.refusal !== undefined && request.kind !== "pipeline" && exit?._tag === "Success") {
      this.refusedAt = -Infinity
    }
    if (this.replaying.size === 0 && !this.isRefused(request.startedAt)) this.onSettled = this.observed
  }

  // ----- what connections report -----

  onPush(connection: Connection, elements: ReadonlyArray<unknown>): void {
    if (this.closing) return
    const decoded = decode(elements, connection.address)
    if (decoded === undefined) return
    if (Result.isFailure(decoded)) {
      this.recorder.notified("malformed")
      this.log("Warn", "a maintenance notification could not be read and was ignored", {
        endpoint: connection.address,
        why: connection.scrub(decoded.failure)
      })
      return
    }
    const notification = decoded.success
    const now = this.now()
    const first = this.seen.first(notification, now)
    if (first) {
      this.recorder.notified(frameNames[notification._tag])
      this.log("Info", frameNames[notification._tag], { seq: notification.seq, endpoint: connection.address })
      this.run(this.notifications.publish(notification))
    }
    // One event concerns every endpoint on which it is heard: a node can be known by more than one name.
    if (!this.seenAt.first(notification, now, connection.address)) return
    const staysHere = notification._tag === "Moving" && notification.target !== undefined &&
      format(notification.target) === connection.address
    if (!staysHere) {
      this.timeouts.notify(notification, first, now)
      this.alarm.set(this.timeouts.nextEnd)
      if (notification._tag === "Moving" && notification.target !== undefined) {
        this.beginMove({
          retiring: connection.endpoint,
          target: notification.target,
          // The old connection is owed at least the time that one attempt may take.
          until: now + Math.max(
            Duration.toMillis(notification.time),
            Duration.toMillis(this.config.maintenance.handoffTimeout)
          ),
          seq: notification.seq
        })
      }
    }
  }

  /** Whether `maintenance.targets` lets credentials go there; a predicate that throws does not. */
  private mayFollow({ retiring, target }: Move): boolean {
    const { targets } = this.config.maintenance
    if (targets === undefined) return true
    let why = "maintenance.targets does not allow the target"
    try {
      // A predicate that is not typed may give a promise.
      if (targets(target) === true) return true
    } catch {
      why = "the predicate maintenance.targets threw"
    }
    this.recorder.moveRefused()
    this.log("Warn", "a move was not followed, its connections serve until the server closes them", {
      from: format(retiring),
      to: format(target),
      why
    })
    return false
  }

  private beginMove(move: Move): void {
    if (!this.mayFollow(move)) return
    this.override.set(move)
    this.lastMove = move
    this.tell(move)
  }

  /** Puts a move where `Handoff` takes it, unless one of the same endpoint is there: what is followed is the newest. */
  private tell(move: Move): void {
    const retiring = format(move.retiring)
    if (this.untaken.has(retiring)) return
    this.untaken.add(retiring)
    Queue.offerUnsafe(this.moves, move)
  }

  onUnowed(): boolean {
    return false
  }

  onSilent(connection: Connection, until: number): void {
    this.leave(connection, until, "the server has gone silent")
  }

  onClosed(connection: Connection, cause: HitlessErrorReason, orphans: ReadonlyArray<Request>): void {
    const wasDraining = this.draining.delete(connection)
    const slot = this.slots.find((slot) => slot.connection === connection)
    if (slot !== undefined) {
      slot.soonLost = this.now() - slot.installedAt < livesAtLeast ? slot.soonLost + 1 : 0
      this.lose(slot, connection, "detail" in cause ? cause.detail : cause.message)
    }
    const now = this.now()
    const window = this.timeouts.inForce(connection.address, connection.subject, now)?.label
    const again: Array<Request> = []
    for (const request of orphans) {
      // It was sent again, alone, and nothing but its answer was expected next: it is most likely what ends connections. A
      // connection that drains is closed by its server, whatever it carries.
      const isPoison = this.replaying.size === 1 && this.replaying.has(request) && connection.owed === request &&
        !wasDraining
      const outcome = this.conclude(request, { _tag: "Lost", cause, site: connection, isPoison }, now, window)
      if (outcome._tag === "Resend" && outcome.inTurn) again.push(request)
    }
    if (again.length > 0) this.replay(again)
    this.onLess()
  }

  // ----- slots -----

  /** Takes a connection from its slot, which dials another. */
  private lose(slot: Slot, connection: Connection, why: string): void {
    const lost: SlotState = { _tag: "Reconnecting" }
    this.setState(slot, lost)
    if (this.closing) return
    // What waits for its next connection is relaxed too.
    this.relax(slot, nobody(slot), this.now())
    this.log("Warn", "a connection was lost", { endpoint: connection.address, why })
    this.run(this.reconnect(slot, lost))
  }

  /** Takes a connection that still lives from its slot: it has until `until` to deliver what it owes. */
  private leave(connection: Connection, until: number, why: string): void {
    const slot = this.slots.find((slot) => slot.connection === connection)
    if (slot === undefined || this.closing) return
    // What it took to find out is pause enough.
    slot.soonLost = 0
    this.lose(slot, connection, why)
    this.retire(connection, until)
  }

  private setState(slot: Slot, state: SlotState): void {
    slot.state = state
    // Once closing, the connections that are left only drain.
    if (this.closing) return
    const serving: Array<Connection> = []
    for (const { connection } of this.slots) if (connection !== undefined) serving.push(connection)
    this.serving = serving
  }

  /** Gives a slot its new connection, and the old one, if any, its time to finish. */
  private install(slot: Slot, connection: Connection, drainUntil: number): void {
    const old = slot.connection
    const now = this.now()
    slot.address = connection.address
    slot.generation++
    slot.installedAt = now
    slot.failedMove = undefined
    this.timeouts.forget(nobody(slot))
    this.relax(slot, connection.subject, now)
    this.setState(slot, { _tag: "Serving", connection })
    if (old !== undefined) this.retire(old, drainUntil)
    this.askAgain()
    // It may have been dialled before its endpoint was told to move.
    const move = this.override.moveOf(connection.endpoint, now)
    if (move !== undefined) this.tell(move)
    this.unpark()
  }

  /** What a slot has from now on is relaxed for a while, whatever becomes of its first connection. */
  private handedOff(slot: Slot, now: number): void {
    slot.relaxedUntil = now + Duration.toMillis(this.config.maintenance.postHandoffRelaxedDuration)
  }

  /** Relaxes what a slot has now, as long as its last handoff asks for. */
  private relax(slot: Slot, subject: string, now: number): void {
    this.timeouts.relaxAfterHandoff(subject, slot.relaxedUntil - now, now)
    this.alarm.set(this.timeouts.nextEnd)
  }

  /**
   * Lets a connection finish that has a successor: until `until`, and as long as a command that it owes may take by its
   * own deadline. A server that cannot wait closes it earlier.
   */
  private retire(connection: Connection, until: number): void {
    const { commandTimeout, maintenance: { handoffTimeout, relaxedTimeout = Duration.zero } } = this.config
    // Windows may yet open, and what may wait for ever has the time of one attempt.
    const graces = [commandTimeout, relaxedTimeout].map((timeout) =>
      Duration.toMillis(Duration.isFinite(timeout) ? timeout : handoffTimeout)
    )
    this.draining.add(connection)
    const end = Math.max(until, connection.owesUntil, this.now() + Math.max(...graces))
    for (const request of connection.drain(end)) this.submit(request)
  }

  /** Installs a connection that was dialled for `generation` of the slot, or closes it if another came first. */
  private installIfCurrent(slot: Slot, generation: number, connection: Connection): Effect.Effect<void, HitlessError> {
    if (this.closing || slot.generation !== generation) {
      connection.close(connection.lost("another connection took its place"))
      return Effect.void
    }
    if (connection.state !== "Ready") {
      return Effect.fail(
        new HitlessError({
          reason: new ConnectFailed({
            endpoint: connection.address,
            kind: "Dropped",
            detail: "the peer closed the connection right after the handshake",
            mayHaveExecuted: false
          })
        })
      )
    }
    const now = this.now()
    const { address } = connection
    const target = this.lastTarget(now)
    // The slot came by itself where a handoff would have brought it, had its connection lived to see one.
    if (slot.address !== undefined && slot.address !== address && target !== undefined && format(target) === address) {
      this.handedOff(slot, now)
    }
    this.install(slot, connection, now + Duration.toMillis(this.config.maintenance.handoffTimeout))
    return Effect.void
  }

  private grow(patience: number): void {
    if (this.growing || this.closing) return
    const slot = this.slots.find((slot) => slot.state._tag === "Empty")
    if (slot === undefined) return
    this.growing = true
    const isNeeded = () => {
      const slowBefore = this.now() - patience
      return this.serving.every((connection) => isBusy(connection, slowBefore))
    }
    this.run(
      // To a loop that was busy every server seems slow, until it has read what has arrived meanwhile. The first yield may
      // end in the turn in which it was busy.
      Effect.yieldNow.pipe(
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.suspend(() => isNeeded() ? this.dialInto(slot) : Effect.void)),
        // A server that takes no more connections is not asked again before this is over.
        Effect.catchCause(() => Effect.sleep("1 second")),
        Effect.ensuring(Effect.sync(() => {
          this.growing = false
        }))
      )
    )
  }

  /**
   * Dials until the slot that lost its connection has one again: nobody else looks after it, so this goes on whatever an
   * attempt ends with.
   */
  private readonly reconnect = Effect.fnUntraced(function*(this: Pool, slot: Slot, lost: SlotState) {
    // A server that answers the handshake and then hangs up would otherwise be dialled without a pause.
    let failures = slot.soonLost
    do yield* this.pause(failures++)
    while (slot.state === lost && Exit.isFailure(yield* Effect.exit(this.dialInto(slot))))
  })

  /** The wait before a dial when so many have failed in a row, cut short when commands wait for it. */
  private pause(failures: number): Effect.Effect<void> {
    const longest = this.jittered(backoff(failures))
    const shortest = Math.min(longest, this.jittered(dialAgainWhileAwaited))
    const rest = Effect.suspend(() => {
      if (this.serving.length > 0 || this.waiting.size === 0) this.awaited.closeUnsafe()
      return Effect.raceFirst(Effect.sleep(longest - shortest), this.awaited.await)
    })
    return longest === shortest ? Effect.sleep(longest) : Effect.andThen(Effect.sleep(shortest), rest)
  }

  /**
   * Dials a fresh connection for the slot whose server turned out to be a replica, since the name may lead to the master
   * by now, or has lost the session. One at a time, since all slots may lead to one server, and further apart the longer
   * it goes on.
   */
  private renew(site: Site, lostSession: boolean): void {
    const slot = this.slots.find((slot) => slot.connection === site && slot.state._tag === "Serving")
    if (slot === undefined || this.renewing || this.closing) return
    this.renewing = true
    if (this.now() - this.renewedAt > livesAtLeast) this.renewals = 0
    const pause = this.jittered(Math.min(backoff(this.renewals++), dialAgainWhileAwaited))
    this.run(
      Effect.suspend(() => slot.connection === site ? this.dialInto(slot) : Effect.void).pipe(
        Effect.delay(pause),
        Effect.tapError(({ reason }) =>
          Effect.sync(() => {
            const { connection } = slot
            if (!lostSession || connection !== site || !isTurnedAway(reason)) return
            // There is no session to be had, and without one it serves nothing.
            const until = this.now() + Duration.toMillis(this.config.maintenance.handoffTimeout)
            this.leave(connection, until, "the server has lost its session and turned the client away")
            this.couldNotConnect(reason)
          })
        ),
        Effect.exit,
        Effect.ensuring(Effect.sync(() => {
          this.renewing = false
          this.renewedAt = this.now()
        }))
      )
    )
  }

  /** Where the last move leads, while it is worth a dial. */
  private lastTarget(now: number): Endpoint | undefined {
    return this.lastMove !== undefined && now < this.lastMove.until + targetOutlives ? this.lastMove.target : undefined
  }

  private candidates(): ReadonlyArray<Endpoint> {
    const configured = this.config.endpoint
    const now = this.now()
    const target = this.lastTarget(now)
    const byKey = new Map<string, Endpoint>()
    for (const endpoint of [this.override.resolve(configured, now), configured, target]) {
      if (endpoint !== undefined && !byKey.has(format(endpoint))) byKey.set(format(endpoint), endpoint)
    }
    return [...byKey.values()]
  }

  /** Dials once, wherever the database may be, for the slot. */
  private dialInto(slot: Slot): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const generation = slot.generation
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          restore(Scope.provide(this.connectToAny(this), this.scope)),
          (connection) => this.installIfCurrent(slot, generation, connection)
        )
      )
    }).pipe(Effect.tapError(({ reason }) => Effect.sync(() => this.couldNotConnect(reason))))
  }

  /**
   * Remembers why, for those who wait. Where a server turned the client away they fail at once, as the first connection
   * does: its answer is not an outage that passes. Who comes later waits for what the next dial says, so that credentials
   * which were rotated are found soon.
   */
  private couldNotConnect(reason: HitlessErrorReason): void {
    if (!("detail" in reason)) return
    this.dialFailure = reason
    if (this.serving.length > 0 || !isTurnedAway(reason)) return
    const now = this.now()
    for (const request of this.takeWaiting()) this.expire(request, now)
  }

  // ----- dialling -----

  /** Which kind of address to ask an endpoint for; `undefined` to not ask. */
  private askFor(endpoint: Endpoint): Effect.Effect<EndpointType | undefined> {
    const { mode } = this.config.maintenance
    if (mode === "disabled" || this.config.protocol === 2) return Effect.undefined
    const known = this.support.get(format(endpoint))
    if (mode === "auto" && known?.support._tag === "Refused" && this.now() < known.at + askAgainAfter) {
      return Effect.undefined
    }
    return this.typeFor(endpoint)
  }

  private typeFor(endpoint: Endpoint): Effect.Effect<EndpointType> {
    const { endpointType } = this.config.maintenance
    if (endpointType !== "auto") return Effect.succeed(endpointType)
    const tls = this.config.tls !== undefined
    // A Unix socket is on this machine. A name that cannot be resolved fails the dial itself, with its own message.
    if (endpoint._tag === "Unix") return Effect.succeed(detectType(["127.0.0.1"], { tls }))
    return Effect.suspend(() => this.transport.resolve(endpoint.host)).pipe(
      Effect.map((addresses) => detectType(addresses, { tls })),
      Effect.catchCause(() => Effect.succeed(detectType([], { tls })))
    )
  }

  /** Opens one connection that reports to `owner`; the pool's scope owns it. */
  private dial(endpoint: Endpoint, timeout: Duration.Duration, owner: Owner): Effect.Effect<Connection, HitlessError> {
    return Scope.provide(this.connectTo(endpoint, timeout, owner), this.scope)
  }

  private connectTo(
    endpoint: Endpoint,
    timeout: Duration.Duration,
    owner: Owner
  ): Effect.Effect<Connection, HitlessError, Scope.Scope> {
    const attempt = Effect.suspend(() => {
      const startedAt = this.now()
      const { config } = this
      return Effect.tap(
        connect({
          endpoint,
          tls: tlsFor(config.tls, config.endpoint, endpoint),
          family: config.family,
          credentials: config.credentials,
          clientName: config.clientName,
          database: config.database,
          ask: Effect.suspend(() => this.askFor(endpoint)),
          required: config.maintenance.mode === "enabled",
          greetings: this.greetings,
          timeout,
          commandTimeout: Duration.toMillis(config.commandTimeout),
          timeouts: this.timeouts,
          shared: owner === this,
          owner
        }),
        (connection) =>
          Effect.sync(() => {
            this.dialFailure = undefined
            this.recorder.connectionCreated(this.now() - startedAt)
            this.learn(connection)
          })
      )
    }).pipe(
      // Credentials, and transports, are the program's own code: what ends them must not end the one who dials.
      Effect.catchCause((cause) => {
        const error = Cause.findErrorOption(cause)
        if (Option.isSome(error) && error.value instanceof HitlessError) return Effect.fail(error.value)
        return Effect.fail(
          new HitlessError({
            reason: new ConnectFailed({
              endpoint: format(endpoint),
              kind: "Unreachable",
              detail: `connecting ${endOf(cause)}`,
              mayHaveExecuted: false
            })
          })
        )
      }),
      Effect.tapError((error) =>
        Effect.sync(() => {
          this.recorder.failed(error.reason._tag)
          this.log("Info", "a dial failed", { endpoint: format(endpoint), why: error.message })
        })
      ),
      // The pool's, whoever asks for the connection.
      Effect.provideService(Transport, this.transport),
      Effect.provideService(Clock.Clock, this.clock)
    )
    return Effect.suspend(() => this.closing ? Deferred.await(this.closed) : attempt)
  }

  /**
   * Dials every place where the database may be, each when the one before it has failed or has had its head start. The
   * first connection that is ready is the one, the others are closed. Fails with what the configured endpoint said,
   * unless a server that answered turned the client away.
   */
  private connectToAny(owner: Owner): Effect.Effect<Connection, HitlessError, Scope.Scope> {
    return Effect.suspend(() => {
      const failures = new Map<string, HitlessError>()
      let mayFollow: Effect.Effect<void> = Effect.void
      const dials = this.candidates().map((endpoint, index) => {
        const failed = Deferred.makeUnsafe<void>()
        const dial = Effect.andThen(mayFollow, this.connectTo(endpoint, this.config.connectTimeout, owner))
        mayFollow = Effect.raceFirst(Deferred.await(failed), Effect.sleep(Duration.times(headStart, index + 1)))
        return dial.pipe(
          Effect.tapError((error) => {
            failures.set(format(endpoint), error)
            return Deferred.succeed(failed, undefined)
          })
        )
      })
      return Effect.catch(Effect.raceAll(dials), (error) => {
        const turnedAway = Array.from(failures.values()).find(({ reason }) => isTurnedAway(reason))
        return Effect.fail(turnedAway ?? failures.get(format(this.config.endpoint)) ?? error)
      })
    })
  }

  /**
   * Asks connections for notifications that were refused them, or that were not asked because others were refused: one of
   * an endpoint once a minute, and when that one is told yes the others at once.
   */
  private askAgain(): void {
    if (this.config.maintenance.mode !== "auto") return
    const now = this.now()
    for (const connection of this.serving) {
      const known = this.support.get(connection.address)
      if (known === undefined || !connection.isDeaf) continue
      const { support } = known
      const at = (support._tag === "Refused" ? known.at : connection.askedAt) + askAgainAfter
      this.alarm.set(at > now ? at : now + askAgainAfter)
      if (at > now) continue
      connection.askedAt = now
      // Whoever else wants to know waits for this answer.
      this.support.set(connection.address, { support, at: now })
      this.run(
        Effect.map(
          Effect.flatMap(this.typeFor(connection.endpoint), (endpointType) => connection.ask(endpointType)),
          (answered) => {
            if (answered) this.learn(connection)
          }
        )
      )
    }
  }

  private learn(connection: Connection): void {
    const support = connection.support
    if (support._tag === "Unknown") return
    this.support.delete(connection.address)
    if (this.support.size >= mostKnown) this.support.delete(this.support.keys().next().value!)
    this.support.set(connection.address, { support, at: this.now() })
    if (support._tag === "Supported") this.askAgain()
    if (support._tag === "Refused") {
      this.log("Debug", "the server does not offer maintenance notifications", {
        endpoint: connection.address,
        words: support.words
      })
    }
  }

  /** A connection of its own for the surrounding scope; maintenance pushes on it are heard like any other. */
  dedicated(owner: Owner): Effect.Effect<Connection, HitlessError, Scope.Scope> {
    return Effect.suspend(() => Effect.raceFirst(this.connectToAny(owner), Deferred.await(this.closed)))
  }

  // ----- handoff -----

  /**
   * Marks the slots that have to follow a move, and gives those that were not following one already, with where they go.
   * What leads on from a target concerns those that are on their way to it too.
   */
  follow(told: Move): ReadonlyArray<readonly [Slot, Move]> {
    const now = this.now()
    const retiring = format(told.retiring)
    this.untaken.delete(retiring)
    const newest = this.override.moveOf(told.retiring, now) ?? told
    const started: Array<readonly [Slot, Move]> = []
    for (const slot of this.slots) {
      const { connection, state } = slot
      if (connection === undefined) continue
      const own = connection.address === retiring ? newest : state._tag === "Moving" ? state.move : undefined
      if (own === undefined) continue
      const move = { ...own, target: this.override.resolve(own.target, now) }
      const known = state._tag === "Moving" ? state.move : slot.failedMove
      if (known !== undefined && isSameMove(known, move)) continue
      if (format(move.target) === connection.address) {
        // It leads back to where the slot is.
        if (state._tag === "Moving") this.setState(slot, { _tag: "Serving", connection })
      } else {
        this.setState(slot, { _tag: "Moving", connection, move, superseded: Deferred.makeUnsafe() })
        // The worker that has the slot goes on to the newer target.
        if (!slot.handingOff) {
          slot.handingOff = true
          started.push([slot, move])
        }
      }
      if (state._tag === "Moving") Deferred.doneUnsafe(state.superseded, Exit.void)
    }
    return started
  }

  /** Gives up what a slot was doing, if it still is: its connection serves until the server closes it. */
  giveUp(slot: Slot, moving: SlotState): void {
    if (slot.state !== moving || moving._tag !== "Moving") return
    slot.failedMove = moving.move
    this.setState(slot, { _tag: "Serving", connection: moving.connection })
  }

  /**
   * Takes a slot back from the worker that had it, whatever that came to. What it was told to follow after the worker's
   * last look is left to another.
   */
  handBack(slot: Slot, exit: Exit.Exit<void>): void {
    const { state } = slot
    slot.handingOff = false
    if (state._tag !== "Moving") return
    this.setState(slot, { _tag: "Serving", connection: state.connection })
    if (Exit.isFailure(exit)) slot.failedMove = state.move
    else this.tell(state.move)
  }

  /**
   * One attempt: dials the target and shakes hands, and only then swaps the slot's connection. A failure at any byte
   * leaves the old connection as it was. `timeout` is for dial and handshake. `false` when the slot had found another
   * connection meanwhile.
   */
  replace(slot: Slot, move: Move, timeout: Duration.Duration): Effect.Effect<boolean, HitlessError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(
        restore(this.dial(move.target, timeout, this)),
        (connection) => this.swap(slot, move, connection)
      )
    )
  }

  private swap(slot: Slot, move: Move, connection: Connection): boolean {
    const { state } = slot
    // The old one may have died meanwhile and its slot found another way to the target.
    if (this.closing || state._tag === "Serving" || connection.state !== "Ready") {
      connection.close(connection.lost("another connection took its place"))
      return false
    }
    this.handedOff(slot, this.now())
    this.install(slot, connection, move.until)
    // A newer target was named in the very moment: the slot goes on from here.
    if (state._tag === "Moving" && !isSameMove(state.move, move)) this.setState(slot, { ...state, connection })
    return true
  }

  // ----- life -----

  /** @internal The first connection; its failure is the layer's. */
  open(): Effect.Effect<void, HitlessError> {
    const dial = this.dialInto(this.slots[0]!)
    // A server that hangs up may have said first where to go.
    return Effect.catch(dial, (error) => this.lastMove === undefined ? Effect.fail(error) : dial)
  }

  /**
   * @internal Stops accepting, and ends `fibers`, so that nothing dials any more; waits for replies that somebody waits
   * for, and closes.
   */
  close(fibers: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { commandTimeout, connectTimeout } = this.config
      const grace = Duration.toMillis(Duration.isFinite(commandTimeout) ? commandTimeout : connectTimeout)
      const connections = [...this.serving, ...this.draining]
      const waiting = [...this.takeWaiting(), ...this.line]
      this.line.clear()
      this.closing = true
      this.serving = []
      this.alarm.clear()
      this.recorder.close()
      Deferred.doneUnsafe(this.closed, Exit.fail(new HitlessError({ reason: new Closed({ mayHaveExecuted: false }) })))
      for (const request of waiting) request.fail(this.closedError(request))
      return fibers.pipe(
        // What was sent in this tick is written before the drain, which would hand it back.
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.sync(() => {
          for (const connection of connections) {
            for (const request of connection.drain(this.now() + grace)) request.fail(this.closedError(request))
          }
        })),
        Effect.andThen(Effect.forEach(connections, (connection) => connection.closed, { discard: true })),
        Effect.andThen(Effect.sync(() => {
          this.timeouts.end(this.now())
          this.closeLog()
        })),
        Effect.andThen(this.notifications.end)
      )
    })
  }
}

/**
 * Makes a pool and its first connection.
 *
 * **Details**
 *
 * Fails as `connect` does when no connection can be made within `connectTimeout`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  config: ResolvedConfig
): Effect.fn.Return<Pool, HitlessError, Transport | Scope.Scope> {
  const context = yield* Effect.context<Transport>()
  const notifications = yield* Hub.make<Notification>()
  const moves = yield* Queue.unbounded<Move>()
  // Scopes of its own, because the surrounding one may close its finalizers in parallel: first the fibers stop, then the
  // pool closes its connections in order, then their scope ends.
  const fibers = yield* Scope.make("sequential")
  const scope = yield* Scope.make("sequential")
  const run = yield* Scope.provide(FiberSet.makeRuntime<never, unknown, unknown>(), fibers)
  const transport = Context.get(context, Transport)
  const pool = new Pool(config, transport, context, scope, run, notifications, moves)
  yield* Effect.addFinalizer((exit) => Effect.andThen(pool.close(Scope.close(fibers, exit)), Scope.close(scope, exit)))
  yield* pool.open()
  return pool
})
