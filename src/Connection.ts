/**
 * One connection to one endpoint: dial, handshake, pipelined request and reply, deadlines, pushes, drain, close.
 *
 * A connection is a state machine with one owner:
 *
 * - `Connecting`: the socket is open, the handshake is under way. Pushes are already handed over.
 * - `Ready`: takes requests; those of one tick leave together, in one write or a few.
 * - `Draining`: takes none; delivers the replies that it owes, then closes.
 * - `Closed`: the end. Whoever was still waiting has been handed back to the owner.
 *
 * Legal moves: `Connecting → Ready | Closed`, `Ready → Draining | Closed`, `Draining → Closed`; every one goes through
 * `transition`. Replies come in the order of requests, so the queue of written requests is the whole bookkeeping, and
 * one alarm on the earliest deadline serves them all. An interrupted or timed-out request keeps its place there, and
 * its reply is dropped; one that was not written yet is never written. Of a transaction `MULTI` is written first, and
 * nothing else until it is accepted. That replies are in step with requests is proven by an `ECHO`, at the end of the
 * handshake and now and then.
 *
 * The scope given to `connect` owns the socket and the reader; closing it closes the connection. This module never
 * chooses an endpoint, never retries a request and never acts on a notification.
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
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Credentials, EndpointType } from "./Config.ts"
import { type Endpoint, format } from "./Endpoint.ts"
import {
  AuthenticationFailed,
  CommandRefused,
  ConnectFailed,
  ConnectionLost,
  HitlessError,
  type HitlessErrorReason,
  ProtocolViolation
} from "./HitlessError.ts"
import { Alarm } from "./internal/alarm.ts"
import { Alignment } from "./internal/alignment.ts"
import { endOf, kindOf } from "./internal/causes.ts"
import * as Diagnosis from "./internal/diagnosis.ts"
import { monotonicMillis } from "./internal/elapsed.ts"
import { Fifo } from "./internal/fifo.ts"
import {
  answerOf,
  type Established,
  type Exchanged,
  type Greetings,
  HungUp,
  isSentinel,
  loginWords,
  protocolOf,
  question,
  shakeHands
} from "./internal/handshake.ts"
import { final, outcomeOf, settle } from "./internal/outcome.ts"
import { answer, leavesOpen, withErrors } from "./internal/replies.ts"
import { Request, type RequestOwner, type Resume, type Words } from "./internal/request.ts"
import { type Scrub, Secrets, unscrubbed } from "./internal/secrets.ts"
import * as Resp from "./Resp.ts"
import type { Timeouts } from "./Timeouts.ts"
import * as Transport from "./Transport.ts"

/**
 * Where a connection is in its life; see the module's header for the legal moves.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "Connecting" | "Ready" | "Draining" | "Closed"

/**
 * From here on requests may leave before the tick is over, if they are as many as those that are not answered yet: the
 * server works on one half while the fibers that wait for the other are resumed, and neither sleeps. Against one write
 * per tick, `GET`s of 10, 30, 100 workers became 1.1 to 1.35, 1.6 and 1.5 times as many, with less CPU for each because the
 * process is put to sleep and woken less often; 1,000 workers, which keep it busy anyway, stayed where they were.
 * Two to five make no difference, 8 gains nothing for 10 workers. Without the second condition, at 32 and 48, 1,000
 * workers lost a third.
 */
const worthAWrite = 4

/**
 * When this many bytes are encoded they are written, and the rest of the requests wait until the socket has taken them.
 * Node gives each write memory of its own for its text, at three bytes for each UTF-16 unit; beyond some ten MiB the
 * allocator takes it from the system anew each time. Measured for `SET` with 64 to 100 MiB in flight, against one
 * write: 2.2 times as many of 64 KiB, twice as many of 1 MiB. 256 KiB to 4 MiB made little difference, 16 MiB gained
 * nothing.
 */
const mostPerWrite = 1024 * 1024

const legal: Record<State, ReadonlyArray<State>> = {
  Connecting: ["Ready", "Closed"],
  Ready: ["Draining", "Closed"],
  Draining: ["Closed"],
  Closed: []
}

/**
 * Whether a connection may move from one state to another.
 *
 * @category getters
 * @since 0.1.0
 */
export const isLegal = (from: State, to: State): boolean => legal[from].includes(to)

/**
 * Who a connection reports to. Every call is synchronous, and may close the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Owner {
  /** Whether an `ECHO` may go among its commands now, and changes nothing for them. */
  readonly mayProve: boolean
  /** What has to be told to a connection before it serves, beside what the configuration says. */
  readonly restored: ReadonlyArray<Words>
  /** Whether the blobs of pushes, and of replies that no request owns, are `Uint8Array`s. */
  readonly takesBytes: boolean
  /** Done when the connection may be read on; it always may where this is `undefined`. */
  readonly mayRead: ((connection: Connection) => Effect.Effect<void>) | undefined
  /** A push arrived, in any state but `Closed`. */
  readonly onPush: (connection: Connection, elements: ReadonlyArray<unknown>) => void
  /** Requests have left it: replies arrived, or what nobody waits for any more was not written. */
  readonly onLess: () => void
  /** A reply arrived that no request owns; `false` makes it a protocol violation. */
  readonly onUnowed: (connection: Connection, value: unknown) => boolean
  /**
   * The connection owes a reply and has given none for the time in force. It closes at `until`, when it has had such a
   * time once more, and may be drained until then; never where the command that it works on may wait for ever. Called
   * again while it is `Ready` and says nothing.
   */
  readonly onSilent: (connection: Connection, until: number) => void
  /**
   * The connection is closed, and was `Ready` before: one that never was is the failure of `connect`. `orphans` are the
   * requests still waiting: each is `Waiting` or `Written`.
   */
  readonly onClosed: (connection: Connection, cause: HitlessErrorReason, orphans: ReadonlyArray<Request>) => void
}

/**
 * What a connection needs to know.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly endpoint: Endpoint
  readonly tls: Transport.TlsOptions | undefined
  readonly family: Transport.OpenOptions["family"]
  /** Run once for this connection. */
  readonly credentials: Effect.Effect<Credentials | undefined, HitlessError>
  readonly clientName: string | undefined
  readonly database: number
  /** What its user told the connection whose place it is to take. */
  readonly restored: ReadonlyArray<Words>
  /**
   * The kind of address to ask for, or `undefined` to not ask for notifications; finding out takes a DNS lookup where the
   * transport does not tell the peer's address.
   */
  readonly ask: (peerAddress: string | undefined) => Effect.Effect<EndpointType | undefined>
  /** Refused notifications, or a server without RESP3, fail the connection. */
  readonly required: boolean
  /** What the client knows about how its peers are greeted. */
  readonly greetings: Greetings
  /** From the dial to the last reply of the handshake, with all that it takes to know what to send. */
  readonly timeout: Duration.Duration
  /** How long a command usually has, in milliseconds: the measure of a server that has gone silent. */
  readonly commandTimeout: number
  readonly timeouts: Timeouts
  readonly owner: Owner
}

/**
 * What a connection has not answered: the measure of how busy it is.
 *
 * @category models
 * @since 0.1.0
 */
export class Backlog {
  /** Commands that are waiting or unanswered, the given-up ones included, and about how many bytes their words take. */
  commands = 0
  bytes = 0
  /** What is missing of the reply that has begun to arrive. */
  bytesToArrive = 0
  /** Since when the oldest written request is the oldest, in elapsed milliseconds; `Infinity` when there is none. */
  waitsSince = Infinity
  /** Whether what is sent now waits until a server has accepted `MULTI`. */
  holdsBack = false

  /** About how many bytes pass before the reply to a new command, as far as is known. */
  get bytesAhead(): number {
    return this.bytes + this.bytesToArrive
  }
}

/**
 * How a connection ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface End {
  readonly cause: HitlessErrorReason
  /** The request that the next reply would have been for. */
  readonly owed: Request | undefined
}

let lastId = 0

/**
 * A live connection. Made by `connect`.
 *
 * @category models
 * @since 0.1.0
 */
export class Connection {
  readonly endpoint: Endpoint
  /** The endpoint as `host:port`, and this connection as `#id`: the subjects of relaxation windows. */
  readonly address: string
  readonly subject: string
  /** The IP address of the peer, where the transport tells it. */
  peerAddress: string | undefined
  /** What it was told beside what the configuration says. */
  readonly restored: ReadonlyArray<Words>
  /** What the peer has shown of itself: the handshake's end, and what it answered when it was asked again. */
  peer: Established = { greeting: "hello", support: { _tag: "Unknown" } }
  /** What it is logged in with, as it was given. */
  credentials: Credentials | undefined
  /** Cuts the passwords that were sent on this connection out of what the peer says. */
  scrub: Scrub = unscrubbed
  /** How it ended; `undefined` before. */
  end: End | undefined
  readonly backlog = new Backlog()

  /** What it speaks, once the handshake is done. */
  protocol: 2 | 3 = 3

  private readonly secrets = new Secrets()
  private life: State = "Connecting"
  private readonly owner: Owner
  private readonly hasTls: boolean
  private readonly commandTimeout: number
  private readonly timeouts: Timeouts
  private readonly clock: Clock.Clock
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly writer: Socket.Writer
  private readonly scope: Scope.Closeable
  private readonly alarm: Alarm
  private readonly alignment: Alignment
  private readonly encoder = new Resp.Encoder()
  private readonly decoder: Resp.Decoder
  private readonly waiting = new Fifo<Request>()
  private readonly written = new Fifo<Request>()
  private readonly done = Deferred.makeUnsafe<void>()
  /** The transaction whose `MULTI` is not answered yet: until then nothing follows it. */
  private opening: Request | undefined
  /** The question for notifications that is under way. */
  private asking: Request | undefined
  private flushScheduled = false
  private writing = false
  private drainUntil = Infinity
  /** Replies that were given, and when the last was. */
  private replies = 0
  private lastReplied = 0
  /** When the queue of written requests was last empty. */
  private owesSince = 0
  /** The first error reply of the handshake: why the server hangs up, if it does. */
  private refusal: Resp.ErrorReply | undefined
  /** Whether the peer closed the connection, and in order. */
  private hungUp = false
  /** What the peer began with, until that was a reply. */
  private firstBytes: Uint8Array | undefined

  /** @internal Use `connect`. */
  constructor(options: Options, writer: Socket.Writer, scope: Scope.Closeable, context: Context.Context<never>) {
    this.endpoint = options.endpoint
    this.address = format(options.endpoint)
    this.subject = `#${++lastId}`
    this.restored = options.restored
    this.owner = options.owner
    this.hasTls = options.tls !== undefined
    this.commandTimeout = options.commandTimeout
    this.timeouts = options.timeouts
    this.clock = Context.get(context, Clock.Clock)
    this.runFork = Effect.runForkWith(context)
    this.writer = writer
    this.scope = scope
    this.alarm = new Alarm(context, this.onAlarm)
    this.alignment = new Alignment(Context.get(context, Random.Random))
    this.decoder = Resp.makeDecoder({
      blobsAsBytes: () => this.written.peek()?.takesBytes ?? this.owner.takesBytes,
      pushesAsBytes: this.owner.takesBytes,
      onReply: this.onReply,
      onErrorText: (text) => this.scrub(text),
      onPush: (elements) => this.owner.onPush(this, elements)
    })
    this.timeouts.onClose(this.subject, () => {
      // What it asks for itself has a deadline too, and is not in the backlog.
      if (this.written.length > 0 || this.waiting.length > 0) this.alarm.set(monotonicMillis(this.clock))
    })
  }

  get state(): State {
    return this.life
  }

  /** Whether the peer has given any reply. */
  get hasAnswered(): boolean {
    return this.replies > 0
  }

  /** Whether the peer calls itself a Sentinel: it knows few commands, and holds no data. */
  get isSentinel(): boolean {
    return isSentinel(this.peer)
  }

  /** The latest deadline of the commands that it has not answered, in elapsed milliseconds, as far as they have one. */
  get owesUntil(): number {
    const now = monotonicMillis(this.clock)
    let last = now
    this.written.forEach((request) => {
      const deadline = this.deadlineOf(request, now)
      if (isLive(request) && deadline !== Infinity) last = Math.max(last, deadline)
    })
    return last
  }

  /** Succeeds when the connection is closed, and its socket with it. */
  get closed(): Effect.Effect<void> {
    return Deferred.await(this.done)
  }

  /** Calls `f` for each request that it has. */
  forEach(f: (request: Request) => void): void {
    this.written.forEach(f)
    this.waiting.forEach(f)
  }

  /** Takes a request; it leaves by the end of this tick. The connection must be `Ready`. */
  send(request: Request): void {
    this.backlog.commands += request.size
    this.backlog.bytes += request.weight
    this.waiting.push(request)
    this.watch(request)
    const gathered = this.waiting.length
    if (gathered >= worthAWrite && gathered >= this.written.length) this.flush()
    else this.scheduleFlush()
  }

  /** Writes a command whose answer is a push, or none; it leaves with all others of this tick. */
  sendUnanswered(words: Words): void {
    try {
      this.encoder.write(words)
    } catch (thrown) {
      // Nobody waits for its answer, so the end of the connection is what tells.
      return this.breakDown(unwritable(thrown))
    }
    this.scheduleFlush()
  }

  /** Sends a command of the client's own, between the commands of others; an error reply is a value. */
  say(words: Words, onSent?: (request: Request) => void): Effect.Effect<unknown, HitlessError> {
    return Effect.callback((resume) => {
      if (this.life !== "Ready") {
        return resume(Effect.fail(new HitlessError({ reason: this.lost("the connection is being left") })))
      }
      const request = own(words, undefined, this.commandTimeout, monotonicMillis(this.clock), resume as Resume)
      onSent?.(request)
      this.send(request)
      return request
    })
  }

  /** Asks for notifications; `false` when no answer came. */
  ask(endpointType: EndpointType): Effect.Effect<boolean> {
    const asked = this.say(question(endpointType), (request) => {
      this.asking = request
    })
    return Effect.match(asked, {
      onFailure: () => false,
      onSuccess: (answer) => {
        this.peer = { ...this.peer, support: answerOf(answer, endpointType, this.scrub) }
        return true
      }
    })
  }

  /**
   * Logs in anew. Fails with `AuthenticationFailed` where the peer refuses, and then it is
   * logged in as before, or with what became of the connection.
   */
  logIn(credentials: Credentials): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const words = loginWords(credentials)
      this.hide(words)
      return Effect.flatMap(this.say(words), (answer) => this.loggedIn(credentials, answer))
    })
  }

  /** What the answer to new credentials says. */
  loggedIn(credentials: Credentials, answer: unknown): Effect.Effect<void, HitlessError> {
    if (answer instanceof Resp.ErrorReply) {
      const detail = Diagnosis.refusedLogin(answer, true)
      return Effect.fail(
        new HitlessError({
          reason: new AuthenticationFailed({ endpoint: this.address, detail, mayHaveExecuted: false })
        })
      )
    }
    this.credentials = credentials
    return Effect.void
  }

  /** From here on the password that an `AUTH` tells is cut out of what the peer says, too. */
  hide(auth: Words): void {
    const told = this.secrets.hide(auth[auth.length - 1])
    // That of before may be refused to be left, and stays the valid one.
    this.scrub = this.credentials === undefined ? told : this.secrets.hide(Redacted.value(this.credentials.password))
  }

  /**
   * Takes no more requests, and closes when the last reply that somebody waits for has arrived, at the latest at
   * `until` (elapsed milliseconds); of two calls the earlier time counts. Returns the requests that were not
   * written and that somebody waits for: they are the caller's again.
   */
  drain(until: number): ReadonlyArray<Request> {
    if (this.life === "Draining" && until < this.drainUntil) {
      this.drainUntil = until
      this.alarm.set(until)
    }
    if (this.life !== "Ready") return []
    this.transition("Draining")
    // What its endpoint announces from now on is of no use here.
    this.asking?.fail(new HitlessError({ reason: this.lost("the connection is being left") }))
    const unwritten = this.waiting.takeAll()
    const now = monotonicMillis(this.clock)
    for (const request of unwritten) {
      this.release(request)
      // It is about this connection, and means nothing on another.
      if (request.kind === "own") request.fail(new HitlessError({ reason: this.lost("the connection is being left") }))
      request.promised = this.deadlineOf(request, now)
    }
    this.drainUntil = until
    if (!this.closeIfDrained()) this.alarm.set(until)
    return unwritten.filter(isLive)
  }

  /** Closes at once, for a reason or for what `ConnectionLost` tells. Idempotent; the first cause counts. */
  close(why: HitlessErrorReason | string): void {
    if (this.life === "Closed") return
    const cause = typeof why === "string" ? this.lost(why) : why
    const hadOwner = this.life !== "Connecting"
    this.transition("Closed")
    this.decoder.stop()
    const written = this.written.takeAll()
    // A server that ends while it runs what follows a probe has not sent the echo yet.
    this.end = { cause, owed: written.find((request) => request !== this.alignment.probe) }
    const orphans: Array<Request> = []
    const now = monotonicMillis(this.clock)
    for (const request of [...written, ...this.waiting.takeAll()]) {
      this.release(request)
      if (request.kind === "own") request.fail(new HitlessError({ reason: cause }))
      else if (isLive(request)) {
        request.promised = this.deadlineOf(request, now)
        orphans.push(request)
      }
    }
    this.timeouts.forget(this.subject)
    this.alarm.clear()
    // Nothing is owed to anybody now. Without this the socket of a peer that does not read would wait for its last bytes.
    this.runFork(Effect.ignore(this.writer.write(new Socket.CloseEvent())))
    this.runFork(Effect.andThen(Scope.close(this.scope, Exit.void), Deferred.succeed(this.done, undefined)))
    if (hadOwner) this.owner.onClosed(this, cause, orphans)
  }

  private lost(detail: string): ConnectionLost {
    return new ConnectionLost({ endpoint: this.address, detail, mayHaveExecuted: false })
  }

  /** @internal Ends the handshake. */
  ready(peer: Established): void {
    this.peer = peer
    this.firstBytes = undefined
    this.protocol = protocolOf(peer.greeting)
    this.transition("Ready")
  }

  /** @internal Sends commands for the connection itself, and an `ECHO` behind them that proves the order of their replies. */
  exchange(batch: ReadonlyArray<Words>, isProven: boolean): Effect.Effect<Exchanged> {
    return Effect.callback((resume) => {
      const end = (replies: ReadonlyArray<unknown>) => {
        const { end, hungUp, refusal } = this
        // Who goes on after a refusal does not hang up for it.
        if (end === undefined) this.refusal = undefined
        resume(Effect.succeed({ replies, closedBy: end?.cause, hungUp, refusal }))
      }
      // The peer may have hung up while the credentials were fetched, and then neither a reply nor a close will come.
      if (this.end !== undefined) return end([])
      const ended = () => end(request.replies ?? [])
      const request = own(batch[0], batch, Infinity, 0, isProven ? () => {} : ended)
      this.send(request)
      if (isProven) this.send(this.alignment.ask(monotonicMillis(this.clock), Infinity, ended))
    })
  }

  /** @internal Reads until the socket ends. Whatever else ends it closes the connection too: one nobody reads is deaf. */
  read(pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>): Effect.Effect<void> {
    const { mayRead } = this.owner
    const next = mayRead === undefined ? pull : Effect.andThen(Effect.suspend(() => mayRead(this)), pull)
    return Effect.onError(
      Effect.forever(
        Effect.map(next, (chunks) => {
          for (let i = 0; i < chunks.length; i++) this.receive(chunks[i])
        }),
        // A yield per chunk would put a turn of the event loop between a reply and the fiber that waits for it.
        { disableYield: true }
      ),
      (cause) => Effect.sync(() => this.readingEnded(cause))
    ).pipe(Effect.ignoreCause)
  }

  private readingEnded(cause: Cause.Cause<Socket.SocketError>): void {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (!Socket.isSocketError(error)) return this.breakDown(`reading from the socket ${endOf(cause)}`)
    this.hungUp = error.reason._tag === "SocketCloseError"
    if (this.life !== "Connecting") {
      const detail = this.hungUp ? "the server closed the connection" : Transport.connectFailure(error).detail
      return this.close(detail)
    }
    const { refusal } = this
    const failure = refusal === undefined
      ? whyLost(error, this.hasAnswered ? "answered" : "handshake", this.hasTls)
      : { kind: "Rejected" as const, detail: `${Diagnosis.refusal(refusal)} and hung up` }
    this.close(new ConnectFailed({ endpoint: this.address, ...failure, mayHaveExecuted: false }))
  }

  private receive(chunk: Uint8Array): void {
    const { replies } = this
    const head = this.written.peek()
    const { underWay } = this
    if (this.life === "Connecting" && replies === 0) this.firstBytes ??= chunk.slice(0, Diagnosis.mostRead)
    const error = this.decoder.push(chunk)
    const next = this.written.peek()
    this.backlog.bytesToArrive = this.decoder.owed
    // Pushes and the parts of a reply say that the peer is there, not that it serves.
    if (replies !== this.replies) this.lastReplied = monotonicMillis(this.clock)
    if (next !== head) {
      this.backlog.waitsSince = next === undefined ? Infinity : this.lastReplied
      const { underWay: following } = this
      // The alarm may be set for the time that the answered command had, and what is behind it has less.
      if (following !== undefined && underWay !== undefined && following.timeout < underWay.timeout) {
        this.alarm.set(this.lastReplied + Math.max(this.commandTimeout, following.timeout))
      }
      this.owner.onLess()
    }
    if (error === undefined || this.life === "Closed") return
    const { firstBytes } = this
    const isForeign = firstBytes !== undefined && this.replies === 0
    this.violate(isForeign ? Diagnosis.foreign(firstBytes, this.scrub) : error.message)
  }

  /** Closes for a fault on this side: in what the connection was given, or in the client itself. */
  private breakDown(detail: string): void {
    this.close(
      this.life === "Connecting"
        ? new ConnectFailed({ endpoint: this.address, kind: "Unreachable", detail, mayHaveExecuted: false })
        : this.lost(detail)
    )
  }

  private transition(to: State): void {
    if (!isLegal(this.life, to)) throw new Error(`Connection: illegal transition ${this.life} → ${to}`)
    this.life = to
  }

  private violate(detail: string): void {
    const mayHaveExecuted = this.life !== "Connecting"
    this.close(new ProtocolViolation({ endpoint: this.address, detail, mayHaveExecuted }))
  }

  /** Lets go of a request, which has left its queue. */
  private release(request: Request): void {
    this.backlog.commands -= request.size
    this.backlog.bytes -= request.weight
  }

  /**
   * Writes an `ECHO` before what is written next. A server that reads both at once sends the echo only when it has run the
   * other too, so the time which that has is the echo's.
   */
  private prove(now: number, next: Request | undefined): void {
    const probe = this.alignment.ask(now, next?.timeout ?? this.commandTimeout)
    this.written.push(probe)
    this.encoder.write(probe.words)
    this.watch(probe)
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.writing) return
    this.flushScheduled = true
    queueMicrotask(this.flush)
  }

  private readonly flush = (): void => {
    this.flushScheduled = false
    if (this.life === "Closed" || this.writing) return
    if (this.written.length === 0) this.owesSince = monotonicMillis(this.clock)
    let dropped = false
    const { dueAt } = this.alignment
    if (dueAt === -Infinity && this.opening === undefined && this.life === "Ready" && this.owner.mayProve) {
      this.prove(monotonicMillis(this.clock), this.waiting.peek())
    }
    while (this.opening === undefined && this.encoder.pendingBytes < mostPerWrite) {
      const request = this.waiting.shift()
      if (request === undefined) break
      if (request.state !== "Waiting" || !this.put(request)) {
        this.release(request)
        dropped = true
      }
    }
    if (this.backlog.waitsSince === Infinity && this.written.length > 0) this.backlog.waitsSince = this.owesSince
    if (dropped) this.owner.onLess()
    const chunks = this.encoder.take()
    if (chunks.length === 0) return
    // The write runs at once, on this stack; only a full socket buffer leaves a fiber behind, and what is sent
    // meanwhile gathers for the next write.
    this.writing = true
    try {
      const write = this.writer.writeAll(chunks as [Uint8Array | string, ...Array<Uint8Array | string>])
      this.runFork(write).addObserver(this.onWritten)
    } catch (thrown) {
      this.breakDown(`writing to the socket died with ${kindOf(thrown)}`)
    }
  }

  private readonly onWritten = (exit: Exit.Exit<unknown, unknown>): void => {
    if (Exit.isFailure(exit)) return this.breakDown(`writing to the socket ${endOf(exit.cause)}`)
    this.writing = false
    if (this.waiting.length > 0 || this.encoder.pendingBytes > 0) this.scheduleFlush()
  }

  /** Encodes a request, or the beginning of a transaction; `false` when that is not possible. */
  private put(request: Request): boolean {
    if (request.startedAt >= this.alignment.dueAt && this.owner.mayProve) this.prove(request.startedAt, request)
    if (request.batch !== undefined) return this.putBatch(request, request.batch)
    if (!this.encode(request, 0, 1)) return false
    this.written.push(request)
    request.state = "Written"
    return true
  }

  private putBatch(request: Request, batch: ReadonlyArray<Words>): boolean {
    const isTransaction = request.kind === "transaction"
    if (!this.encode(request, 0, isTransaction ? 1 : batch.length)) return false
    this.written.push(request)
    if (isTransaction) {
      this.opening = request
      this.backlog.holdsBack = true
    } else request.state = "Written"
    return true
  }

  /** Encodes a request's commands from one index to another. `false` when that is not possible; then it is over. */
  private encode(request: Request, from: number, to: number): boolean {
    const { encoder } = this
    const { batch } = request
    encoder.mark()
    try {
      if (batch === undefined) encoder.write(request.words)
      else for (let i = from; i < to; i++) encoder.write(batch[i])
      return true
    } catch (thrown) {
      encoder.rollBack()
      // Who is told may send more at once, and here the queues are in between.
      queueMicrotask(() => this.refuse(request, thrown))
      return false
    }
  }

  private refuse(request: Request, thrown: unknown): void {
    const detail = unwritable(thrown)
    // Without what the connection itself has to say it is none.
    if (request.kind === "own") this.breakDown(detail)
    const { mayHaveExecuted, name: command } = request
    request.fail(
      new HitlessError({ reason: new CommandRefused({ endpoint: this.address, command, detail, mayHaveExecuted }) })
    )
  }

  private readonly onReply = (value: unknown, hasErrors: boolean): void => {
    this.replies++
    const request = this.written.peek()
    if (this.life === "Connecting" && value instanceof Resp.ErrorReply && request?.replies === undefined) {
      this.refusal ??= value
      // "Too many clients" and "protected mode" are told before anything was asked; then the server hangs up.
      if (request === undefined) return
    }
    if (request === undefined) {
      if (!this.owner.onUnowed(this, value)) this.violate("a reply arrived that no command asked for")
      return
    }
    if (this.alignment.echo !== undefined && this.isOfProbe(request, value)) return
    const batch = request.batch
    if (batch === undefined) {
      this.written.shift()
      this.release(request)
      if (request.state !== "Settled") {
        if (value instanceof Resp.ErrorReply) this.replied(request, value)
        else answer(request, hasErrors ? withErrors(request, value, this) : value, this)
      }
    } else {
      const replies = request.replies ??= []
      replies.push(hasErrors ? withErrors(request, value, this) : value)
      if (request === this.opening) this.opened(request, batch, replies)
      else if (replies.length === batch.length) this.repliedToBatch(request, replies)
    }
    if (this.life === "Draining") this.closeIfDrained()
  }

  /** Whether a reply is for nobody: it answers a probe, or shows that it and others are out of step. */
  private isOfProbe(request: Request, value: unknown): boolean {
    const isAnswer = request === this.alignment.probe
    const slip = this.alignment.slipIn(request, value)
    if (slip !== undefined) {
      const consequence = this.life === "Connecting" ? "" : ", and commands may have been given each other's answers"
      this.violate(`${slip}${consequence}; something between the client and the server loses replies or adds some`)
      return true
    }
    if (!isAnswer) return false
    this.written.shift()
    request.succeed(value)
    if (this.life === "Draining") this.closeIfDrained()
    return true
  }

  private replied(request: Request, value: unknown): void {
    try {
      request.owner.onReplied(request, value, this)
    } catch (thrown) {
      // It has left the queue, and would not end with the connection.
      const { name: command } = request
      const detail = `what judges its answer died with ${kindOf(thrown)}`
      request.fail(
        new HitlessError({
          reason: new ConnectionLost({ endpoint: this.address, command, detail, mayHaveExecuted: true })
        })
      )
      throw thrown
    }
  }

  private repliedToBatch(request: Request, replies: ReadonlyArray<unknown>): void {
    this.written.shift()
    this.release(request)
    if (request.state !== "Settled") this.replied(request, replies)
    // What follows would be queued, and each reply the wrong one.
    if (request.kind === "transaction" && leavesOpen(replies) && this.life !== "Closed") {
      this.close("a transaction on it may still be open")
    }
  }

  /**
   * `MULTI` was answered. A server that refused it would run the commands one by one, so they leave only now; permission
   * can be taken away at any time, so that it was given before says nothing. Until here nothing of the transaction ran,
   * and who gave it up meanwhile has it discarded.
   */
  private opened(request: Request, batch: ReadonlyArray<Words>, replies: Array<unknown>): void {
    this.opening = undefined
    this.backlog.holdsBack = false
    if (replies[0] !== "OK") this.repliedToBatch(request, replies)
    else if (request.state !== "Settled" && this.encode(request, 1, batch.length)) request.state = "Written"
    else {
      this.encoder.write(discard)
      // One reply is owed in place of those of the commands and `EXEC`.
      replies.length = batch.length - 1
    }
    this.scheduleFlush()
  }

  private closeIfDrained(): boolean {
    if (this.written.some(isLive)) return false
    this.close("the connection was drained")
    return true
  }

  /** Keeps the alarm at or before the request's deadline. */
  private watch(request: Request): void {
    // A window that opens moves the deadline later, and the alarm looks again when it rings; one that closes rings it.
    if (request.timeout !== Infinity) this.alarm.set(Math.max(request.promised, request.startedAt + request.timeout))
  }

  private deadlineOf({ promised, startedAt, timeout }: Request, now: number): number {
    return Math.max(promised, this.timeouts.deadline(startedAt, timeout, this, now))
  }

  private readonly onAlarm = (): void => {
    const now = monotonicMillis(this.clock)
    const silentAt = this.silentAt(now)
    // One time is for the commands that find it out, one more so that a slow command does not cut off others.
    const goneAt = silentAt + (silentAt - this.servedUntil)
    // Before commands fail: whoever tries again at once is not to wait behind it too.
    if (this.life === "Ready") {
      if (silentAt <= now) this.owner.onSilent(this, goneAt)
      else if (this.holdsUp(now)) this.owner.onSilent(this, Infinity)
    }
    let next = Math.min(this.drainUntil, silentAt > now ? silentAt : goneAt)
    const check = (request: Request) => {
      if (request.state === "Settled" || request.timeout === Infinity) return
      const deadline = this.deadlineOf(request, now)
      if (deadline <= now) this.expire(request, now)
      else next = Math.min(next, deadline)
    }
    this.written.forEach(check)
    this.waiting.forEach(check)
    // A command that failed here may have been the reason to close.
    if (this.state === "Closed") return
    if (goneAt <= now) return this.close("the server has gone silent")
    if (this.drainUntil <= now) {
      return this.close("another connection took its place and the time to answer is over")
    }
    if (this.life === "Draining" && this.closeIfDrained()) return
    if (next !== Infinity) this.alarm.set(next)
  }

  /**
   * When the peer counts as silent: it owes a reply, and none has come for the time that the command it works on has. A
   * command that may wait for ever says nothing about the peer, and one that was promised more time has it.
   */
  private silentAt(now: number): number {
    const head = this.underWay
    if (head === undefined || head.timeout === Infinity) return Infinity
    const timeout = Math.max(this.commandTimeout, head.timeout)
    const deadline = this.timeouts.deadline(this.servedUntil, timeout, this, now)
    return Math.max(head.promised, deadline)
  }

  /**
   * Whether a command that may wait for ever keeps others from their replies: it has all the time it wants, and they are
   * better off elsewhere.
   */
  private holdsUp(now: number): boolean {
    if (this.underWay?.timeout !== Infinity || now < this.servedUntil + this.commandTimeout) return false
    return this.written.some((request) => isLive(request) && this.deadlineOf(request, now) <= now)
  }

  /** What the peer works on: behind a probe, whose answer it may send only with the next. */
  private get underWay(): Request | undefined {
    const head = this.written.peek()
    return head === this.alignment.probe ? this.written.second() ?? head : head
  }

  /** When it last gave a reply, or owed none. */
  private get servedUntil(): number {
    return Math.max(this.lastReplied, this.owesSince)
  }

  private expire(request: Request, now: number): void {
    const window = this.timeouts.inForce(this, now)?.label
    const expired = { _tag: "Expired", site: this, failure: undefined } as const
    settle(request, outcomeOf(request, expired, { ...final, now, window }))
    this.alignment.doubt()
    this.scheduleFlush()
  }
}

const discard: Words = ["DISCARD"]

const isLive = (request: Request): boolean => request.state !== "Settled"

const unwritable = (thrown: unknown): string =>
  `it could not be encoded (${kindOf(thrown)}): a Uint8Array of 2 KiB or more has to stay as it is until the command ` +
  "is answered, and there must be memory for what is sent"

// ----- connect -----

/** Of what a connection asks for itself: answers are taken as they are, and what throws is the connection's own fault. */
const itself: RequestOwner = {
  onReplied: (request, value) => request.succeed(value),
  onFailed: () => {},
  onThrown: (thrown) => {
    throw thrown
  },
  onSettled: undefined
}

const own = (
  words: Words,
  batch: ReadonlyArray<Words> | undefined,
  timeout: number,
  startedAt: number,
  ended: (exit: Exit.Exit<unknown, HitlessError>) => void
): Request =>
  new Request({ owner: itself, kind: "own", words, batch, bytes: false, timeout, startedAt, resume: ended as Resume })

/**
 * Opens a connection: dial, then the one handshake of docs/wire.md, a pipelined burst whose replies are all consumed.
 *
 * **Details**
 *
 * `HELLO 3` with credentials and name, `SELECT`, `CLIENT SETINFO` (errors ignored), `CLIENT MAINT_NOTIFICATIONS`, and an
 * `ECHO` that shows whether each was given its own answer. Where the peer refuses `HELLO` and notifications are not
 * required, the same connection goes on in RESP2; one that hangs up on it is dialled once more and told the bare words,
 * without `ECHO`. The surrounding scope owns the connection; a dial that fails, times out or is interrupted at any byte
 * leaves nothing open.
 *
 * Fails with `ConnectFailed`, `AuthenticationFailed`, `MaintenanceRefused` or `ProtocolViolation`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = (
  options: Options
): Effect.Effect<Connection, HitlessError, Transport.Transport | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (parent) => {
    const scope = Scope.forkUnsafe(parent)
    const progress: Progress = { stage: "dial", connection: undefined }
    return abandonable(open(options, scope, progress)).pipe(
      Effect.timeoutOrElse({
        duration: options.timeout,
        orElse: () =>
          Effect.fail(
            new HitlessError({
              reason: new ConnectFailed({
                endpoint: format(options.endpoint),
                kind: "TimedOut",
                detail: `dial and handshake took longer than ${Duration.format(options.timeout)}; ` +
                  Diagnosis.tooLong(stageOf(progress), options.tls !== undefined),
                mayHaveExecuted: false
              })
            })
          )
      }),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })

/** How far an attempt has come, for who has to say why it failed. */
interface Progress {
  stage: Diagnosis.Stage
  connection: Connection | undefined
}

const stageOf = ({ connection, stage }: Progress): Diagnosis.Stage =>
  stage === "handshake" && connection?.hasAnswered === true ? "answered" : stage

/** Why a socket was lost before the connection was ready. */
const whyLost = (
  error: Socket.SocketError,
  stage: Diagnosis.Stage,
  tls: boolean
): ReturnType<typeof Transport.connectFailure> => {
  const { detail, kind } = Transport.connectFailure(error)
  return {
    kind,
    detail: kind === "Dropped" && stage !== "answered" ? `${detail} ${Diagnosis.hungUp(stage, tls)}` : detail
  }
}

/**
 * Credentials and transports are the program's own code, and it may not be interruptible: who waits for it goes on at
 * once when interrupted, and what it comes to later finds its scope closed.
 */
const abandonable = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(effect, { startImmediately: true }),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

const open = Effect.fnUntraced(function*(
  options: Options,
  scope: Scope.Closeable,
  progress: Progress
): Effect.fn.Return<Connection, HitlessError, Transport.Transport> {
  const { clientName, database, greetings, required, restored } = options
  const clock = yield* Clock.Clock
  const address = format(options.endpoint)

  const greet = Effect.fnUntraced(function*(
    first: Established
  ): Effect.fn.Return<Connection, HitlessError | HungUp, Transport.Transport> {
    progress.stage = "dial"
    const connection = yield* dial(options, yield* Scope.fork(scope), progress)
    progress.stage = "credentials"
    const credentials = yield* options.credentials
    connection.credentials = credentials
    progress.stage = "handshake"
    progress.connection = connection
    if (credentials !== undefined) connection.hide(loginWords(credentials))
    for (const words of restored) if (words[0] === "AUTH") connection.hide(words)
    const session = { credentials, ask: yield* options.ask(connection.peerAddress), clientName, database, restored }
    const terms = { session, required, address, protocol: greetings.protocol, scrub: connection.scrub }
    const established = yield* shakeHands((batch, isProven) => connection.exchange(batch, isProven), first, terms)
    greetings.learn(address, established, monotonicMillis(clock))
    connection.ready(established)
    return connection
  })

  return yield* greet(greetings.first(address, monotonicMillis(clock))).pipe(
    Effect.catchIf((error) => error instanceof HungUp, (hungUp) => {
      const again = greetings.afterHangUp(hungUp)
      return again === undefined ? Effect.fail(hungUp) : greet(again)
    }),
    Effect.mapError((error) => error instanceof HungUp ? error.error : error)
  )
})

/** Opens the socket and starts to read from it; `scope` owns both. */
const dial = Effect.fnUntraced(function*(
  options: Options,
  scope: Scope.Closeable,
  progress: Progress
): Effect.fn.Return<Connection, HitlessError, Transport.Transport> {
  const transport = yield* Transport.Transport
  const context = yield* Effect.context<never>()
  let peerAddress: string | undefined
  const socket = yield* transport.open(options.endpoint, {
    tls: options.tls,
    family: options.family,
    onPeer: (address) => {
      peerAddress = address
      progress.stage = options.tls === undefined ? "handshake" : "tls"
    }
  })
  const pull = yield* Socket.readerBytes(socket).pipe(
    Scope.provide(scope),
    Effect.mapError((error) =>
      new HitlessError({
        reason: new ConnectFailed({
          endpoint: format(options.endpoint),
          ...whyLost(error, progress.stage, options.tls !== undefined),
          mayHaveExecuted: false
        })
      })
    )
  )
  const writer = yield* Scope.provide(socket.writer, scope)
  const connection = new Connection(options, writer, scope, context)
  connection.peerAddress = peerAddress
  // The scope closes in reverse: the connection is closed first, so that nobody waits on a dead socket, then the
  // reader stops, then the socket goes.
  yield* Effect.forkIn(connection.read(pull), scope, { startImmediately: true })
  yield* Scope.addFinalizer(scope, Effect.sync(() => connection.close("its scope was closed")))
  return connection
})
