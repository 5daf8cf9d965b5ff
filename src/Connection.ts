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
 * its reply is dropped; one that was not written yet is never written.
 *
 * The scope given to `connect` owns the socket and the reader; closing it closes the connection. This module never
 * chooses an endpoint, never retries a request and never acts on a notification.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Credentials, EndpointType } from "./Config.ts"
import { type Endpoint, format } from "./Endpoint.ts"
import {
  AuthenticationFailed,
  CommandTimeout,
  ConnectFailed,
  ConnectionLost,
  HitlessError,
  type HitlessErrorReason,
  MaintenanceRefused,
  ProtocolViolation
} from "./HitlessError.ts"
import { Alarm } from "./internal/alarm.ts"
import { monotonicMillis } from "./internal/elapsed.ts"
import { Fifo } from "./internal/fifo.ts"
import { Request, type RequestOwner, type Resume, textOf, type Words } from "./internal/request.ts"
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
 * What an endpoint answered when asked for maintenance notifications.
 *
 * @category models
 * @since 0.1.0
 */
export type Support =
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Supported"; readonly endpointType: EndpointType }
  | { readonly _tag: "Refused"; readonly words: string }

/**
 * Who a connection reports to. Every call is synchronous, and may close the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Owner {
  /** A push arrived, in any state but `Closed`. */
  readonly onPush: (connection: Connection, elements: ReadonlyArray<unknown>) => void
  /** Requests have left it: replies arrived, or what nobody waits for any more was not written. */
  readonly onLess: () => void
  /** A reply arrived that no request owns; `false` makes it a protocol violation. */
  readonly onUnowed: (connection: Connection, value: unknown) => boolean
  /** The connection is closed. `orphans` are the requests still waiting: each is `Waiting` or `Written`. */
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
  /** Run once for this connection. */
  readonly credentials: Effect.Effect<Credentials | undefined>
  readonly clientName: string | undefined
  readonly database: number
  /** The kind of address to ask for, or `undefined` to not ask for notifications; finding out may take a DNS lookup. */
  readonly ask: Effect.Effect<EndpointType | undefined, never, Transport.Transport>
  /** Refused notifications, or a server without RESP3, fail the connection. */
  readonly required: boolean
  /** From the dial to the last reply of the handshake, with all that it takes to know what to send. */
  readonly timeout: Duration.Duration
  /** How long a command usually has, in milliseconds: the measure of a server that has gone silent. */
  readonly commandTimeout: number
  readonly timeouts: Timeouts
  readonly owner: Owner
}

/**
 * How this library names itself to the server, with `CLIENT SETINFO`.
 *
 * @category constants
 * @since 0.1.0
 */
export const library = { name: "hitless", version: "0.1.0" } as const

let lastId = 0

/**
 * A live connection. Made by `connect`.
 *
 * @category models
 * @since 0.1.0
 */
export class Connection {
  readonly id: number = ++lastId
  readonly endpoint: Endpoint
  /** The endpoint as `host:port`, and this connection as `#id`: the subjects of relaxation windows. */
  readonly address: string
  readonly subject: string
  /** Set by the handshake. */
  protocol: 2 | 3 = 3
  support: Support = { _tag: "Unknown" }

  /** Why it closed; `undefined` before. */
  closedBy: HitlessErrorReason | undefined
  /** The first error reply of the handshake: why the server hangs up, if it does. */
  refusal: Resp.ErrorReply | undefined

  private current: State = "Connecting"
  private readonly owner: Owner
  private readonly commandTimeout: number
  private readonly timeouts: Timeouts
  private readonly clock: Clock.Clock
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => unknown
  private readonly writer: Socket.Writer
  private readonly scope: Scope.Closeable
  private readonly alarm: Alarm
  private readonly encoder = new Resp.Encoder()
  private readonly decoder: Resp.Decoder
  private readonly waiting = new Fifo<Request>()
  private readonly written = new Fifo<Request>()
  private readonly done = Deferred.makeUnsafe<void>()
  private outstanding = 0
  private outstandingBytes = 0
  /** Of the reply that has begun to arrive. */
  private bytesToArrive = 0
  private flushScheduled = false
  private writing = false
  private drainUntil = Infinity
  private lastHeard = 0
  /** When the queue of written requests was last empty. */
  private owesSince = 0
  private waitingSince = Infinity

  /** @internal Use `connect`. */
  constructor(options: Options, writer: Socket.Writer, scope: Scope.Closeable, context: Context.Context<never>) {
    this.endpoint = options.endpoint
    this.address = format(options.endpoint)
    this.subject = `#${this.id}`
    this.owner = options.owner
    this.commandTimeout = options.commandTimeout
    this.timeouts = options.timeouts
    this.clock = Context.get(context, Clock.Clock)
    this.runFork = Effect.runForkWith(context)
    this.writer = writer
    this.scope = scope
    this.alarm = new Alarm(context, this.onAlarm)
    this.decoder = Resp.makeDecoder({
      blobsAsBytes: () => this.written.peek()?.bytes === true,
      onReply: this.onReply,
      onPush: (elements) => this.owner.onPush(this, elements)
    })
    this.timeouts.onClose(this.subject, () => {
      if (this.outstanding > 0) this.alarm.set(monotonicMillis(this.clock))
    })
  }

  get state(): State {
    return this.current
  }

  /** Commands that are waiting or unanswered, the given-up ones included. */
  get load(): number {
    return this.outstanding
  }

  /** About how many bytes the words of those commands take. */
  get loadBytes(): number {
    return this.outstandingBytes
  }

  /** About how many bytes pass before the reply to a new command, as far as is known. */
  get bytesAhead(): number {
    return this.outstandingBytes + this.bytesToArrive
  }

  /** Since when the oldest written request is the oldest, in elapsed milliseconds; `Infinity` when there is none. */
  get waitsSince(): number {
    return this.waitingSince
  }

  /** Succeeds when the connection is closed, and its socket with it. */
  get closed(): Effect.Effect<void> {
    return Deferred.await(this.done)
  }

  /** Takes a request; it leaves by the end of this tick. The connection must be `Ready`. */
  send(request: Request): void {
    this.outstanding += request.size
    this.outstandingBytes += request.weight
    this.waiting.push(request)
    this.watch(request)
    const gathered = this.waiting.length
    if (gathered >= worthAWrite && gathered >= this.written.length) this.flush()
    else this.scheduleFlush()
  }

  /** Writes a command whose answer is a push, or none; it leaves with all others of this tick. */
  sendUnanswered(words: Words): void {
    this.encoder.write(words)
    this.scheduleFlush()
  }

  /**
   * Takes no more requests, and closes when the last reply that somebody waits for has arrived, at the latest at
   * `until` (elapsed milliseconds); of two calls the earlier time counts. Returns the requests that were not
   * written and that somebody waits for: they are the caller's again.
   */
  drain(until: number): ReadonlyArray<Request> {
    if (this.current === "Draining" && until < this.drainUntil) {
      this.drainUntil = until
      this.alarm.set(until)
    }
    if (this.current !== "Ready") return []
    this.transition("Draining")
    const unwritten = this.waiting.takeAll()
    for (const request of unwritten) this.release(request)
    this.drainUntil = until
    if (!this.closeIfDrained()) this.alarm.set(until)
    return unwritten.filter(isLive)
  }

  /** Closes at once. Idempotent; the first cause counts. */
  close(cause: HitlessErrorReason): void {
    if (this.current === "Closed") return
    this.transition("Closed")
    this.closedBy = cause
    this.decoder.stop()
    this.alarm.clear()
    const orphans: Array<Request> = []
    for (const request of [...this.written.takeAll(), ...this.waiting.takeAll()]) {
      this.release(request)
      if (request.kind === "raw") request.fail(new HitlessError({ reason: cause }))
      else if (isLive(request)) orphans.push(request)
    }
    this.timeouts.forget(this.subject)
    // Nothing is owed to anybody now. Without this the socket of a peer that does not read would wait for its last bytes.
    this.runFork(Effect.ignore(this.writer.write(new Socket.CloseEvent())))
    this.runFork(Effect.andThen(Scope.close(this.scope, Exit.void), Deferred.succeed(this.done, undefined)))
    this.owner.onClosed(this, cause, orphans)
  }

  /** Why requests fail when the connection ends for `detail`. */
  lost(detail: string): ConnectionLost {
    return new ConnectionLost({ endpoint: this.address, detail, mayHaveExecuted: false })
  }

  /** @internal Ends the handshake. */
  ready(): void {
    this.transition("Ready")
  }

  /** @internal What the reader calls for each chunk. */
  receive(chunk: Uint8Array): void {
    this.lastHeard = monotonicMillis(this.clock)
    const head = this.written.peek()
    const error = this.decoder.push(chunk)
    const next = this.written.peek()
    this.bytesToArrive = this.decoder.owed
    if (next !== head) {
      this.waitingSince = next === undefined ? Infinity : this.lastHeard
      this.owner.onLess()
    }
    if (error !== undefined && this.current !== "Closed") this.violate(error.message)
  }

  private transition(to: State): void {
    if (!isLegal(this.current, to)) throw new Error(`Connection: illegal transition ${this.current} → ${to}`)
    this.current = to
  }

  private violate(detail: string): void {
    this.close(new ProtocolViolation({ endpoint: this.address, detail, mayHaveExecuted: true }))
  }

  /** Lets go of a request, which has left its queue. */
  private release(request: Request): void {
    this.outstanding -= request.size
    this.outstandingBytes -= request.weight
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.writing) return
    this.flushScheduled = true
    queueMicrotask(this.flush)
  }

  private readonly flush = (): void => {
    this.flushScheduled = false
    if (this.current === "Closed" || this.writing) return
    if (this.written.length === 0) this.owesSince = monotonicMillis(this.clock)
    let dropped = false
    while (this.encoder.pendingBytes < mostPerWrite) {
      const request = this.waiting.shift()
      if (request === undefined) break
      if (request.state !== "Waiting") {
        this.release(request)
        dropped = true
        continue
      }
      request.state = "Written"
      if (request.batch === undefined) this.encoder.write(request.words)
      else for (const words of request.batch) this.encoder.write(words)
      this.written.push(request)
    }
    if (this.waitingSince === Infinity && this.written.length > 0) this.waitingSince = this.owesSince
    if (dropped) this.owner.onLess()
    const chunks = this.encoder.take()
    if (chunks.length === 0) return
    // The write runs at once, on this stack; only a full socket buffer leaves a fiber behind, and what is sent
    // meanwhile gathers for the next write.
    this.writing = true
    this.runFork(Effect.matchCauseEffect(
      this.writer.writeAll(chunks as [Uint8Array | string, ...Array<Uint8Array | string>]),
      { onSuccess: () => this.onWritten, onFailure: () => this.onWriteFailed }
    ))
  }

  private readonly onWritten = Effect.sync(() => {
    this.writing = false
    if (this.waiting.length > 0 || this.encoder.pendingBytes > 0) this.scheduleFlush()
  })

  private readonly onWriteFailed = Effect.sync(() => {
    this.close(this.lost("the socket refused a write"))
  })

  private readonly onReply = (value: unknown): void => {
    const request = this.written.peek()
    if (this.current === "Connecting" && value instanceof Resp.ErrorReply && request?.replies === undefined) {
      this.refusal ??= value
      // "Too many clients" and "protected mode" are told before anything was asked; then the server hangs up.
      if (request === undefined) return
    }
    if (request === undefined) {
      if (!this.owner.onUnowed(this, value)) this.violate("a reply arrived that no command asked for")
      return
    }
    const batch = request.batch
    if (batch === undefined) {
      this.written.shift()
      this.release(request)
      if (request.state !== "Settled") {
        if (value instanceof Resp.ErrorReply) request.owner.onReplied(request, value, this)
        else request.succeed(value)
      }
    } else {
      const replies = request.replies ??= []
      replies.push(value)
      if (replies.length === batch.length) {
        this.written.shift()
        this.release(request)
        if (request.state !== "Settled") request.owner.onReplied(request, replies, this)
      }
    }
    if (this.current === "Draining") this.closeIfDrained()
  }

  private closeIfDrained(): boolean {
    if (this.written.some(isLive)) return false
    this.close(this.lost("the connection was drained"))
    return true
  }

  /** Keeps the alarm at or before the request's deadline. */
  private watch(request: Request): void {
    // A window that opens moves the deadline later, and the alarm looks again when it rings; one that closes rings it.
    if (request.timeout !== Infinity) this.alarm.set(request.startedAt + request.timeout)
  }

  private readonly onAlarm = (): void => {
    const now = monotonicMillis(this.clock)
    if (now >= this.drainUntil) {
      return this.close(this.lost("its endpoint was retired and the time to answer is over"))
    }
    const silentAt = this.silentAt(now)
    let next = Math.min(this.drainUntil, silentAt)
    const check = (request: Request) => {
      if (request.state === "Settled" || request.timeout === Infinity) return
      const deadline = this.timeouts.deadline(request.startedAt, request.timeout, this.address, this.subject, now)
      if (deadline <= now) request.fail(this.timedOut(request, now))
      else next = Math.min(next, deadline)
    }
    this.written.forEach(check)
    this.waiting.forEach(check)
    // A command that failed here may have been the reason to close.
    if (this.current === "Closed") return
    if (silentAt <= now) return this.close(this.lost("the server has gone silent"))
    if (this.current === "Draining" && this.closeIfDrained()) return
    if (next !== Infinity) this.alarm.set(next)
  }

  /**
   * When the peer counts as gone without a word: it owes a reply, and not one byte has come for twice the time that the
   * command it works on has. One timeout is for the command that finds it out, one more so that a slow command does not
   * cut off others. A command that may wait for ever says nothing about the peer.
   */
  private silentAt(now: number): number {
    const head = this.written.peek()
    if (head === undefined || head.timeout === Infinity) return Infinity
    const since = Math.max(this.lastHeard, this.owesSince)
    const timeout = Math.max(this.commandTimeout, head.timeout)
    const deadline = this.timeouts.deadline(since, timeout, this.address, this.subject, now)
    return deadline + (deadline - since)
  }

  private timedOut(request: Request, now: number): HitlessError {
    const window = this.timeouts.inForce(this.address, this.subject, now)
    return new HitlessError({
      reason: new CommandTimeout({
        endpoint: this.address,
        command: request.name,
        ...(window === undefined ? {} : { window: window.label }),
        afterMillis: Math.round(now - request.startedAt),
        mayHaveExecuted: request.mayHaveExecuted
      })
    })
  }
}

const isLive = (request: Request): boolean => request.state !== "Settled"

// ----- connect -----

const rawOwner: RequestOwner = {
  onReplied: (request, value) => request.succeed(value),
  onFailed: () => {},
  onGivenUp: () => {},
  onSettled: undefined
}

/** Sends a batch for the connection itself and gives its replies, error replies as values. */
const exchange = (connection: Connection, batch: ReadonlyArray<Words>) =>
  Effect.callback<ReadonlyArray<unknown>, HitlessError>((resume) => {
    // The peer may have hung up while the credentials were fetched, and then neither a reply nor a close will come.
    const { closedBy } = connection
    if (closedBy !== undefined) return resume(Effect.fail(new HitlessError({ reason: closedBy })))
    const request = new Request(rawOwner, "raw", batch[0]!, batch, false, Infinity, 0, resume as Resume)
    connection.send(request)
    return request
  })

const isOk = (reply: unknown): boolean => reply === "OK"

/** Servers without RESP3 answer `HELLO` so (docs/wire.md). */
const speaksNoResp3 = (reply: Resp.ErrorReply): boolean =>
  reply.code === "NOPROTO" || /unknown command/i.test(reply.message)

const authCodes: ReadonlySet<string> = new Set(["NOAUTH", "WRONGPASS", "NOPERM"])

const isAuthError = (reply: Resp.ErrorReply): boolean =>
  authCodes.has(reply.code) || /invalid password|without any password/i.test(reply.message)

const setInfo: ReadonlyArray<Words> = [
  ["CLIENT", "SETINFO", "LIB-NAME", library.name],
  ["CLIENT", "SETINFO", "LIB-VER", library.version]
]

const handshake = Effect.fnUntraced(function*(
  connection: Connection,
  options: Options
): Effect.fn.Return<void, HitlessError, Transport.Transport> {
  const at = { endpoint: connection.address, mayHaveExecuted: false }
  const refuse = (reply: Resp.ErrorReply) =>
    new HitlessError({
      reason: isAuthError(reply)
        ? new AuthenticationFailed({ ...at, detail: textOf(reply) })
        : new ConnectFailed({ ...at, kind: "Rejected", detail: `the server answered ${textOf(reply)}` })
    })
  const credentials = yield* options.credentials
  const ask = yield* options.ask
  const select: ReadonlyArray<Words> = options.database === 0 ? [] : [["SELECT", options.database]]
  const hello: Array<Resp.Arg> = ["HELLO", 3]
  if (credentials !== undefined) {
    hello.push("AUTH", credentials.username ?? "default", Redacted.value(credentials.password))
  }
  if (options.clientName !== undefined) hello.push("SETNAME", options.clientName)

  const burst: Array<Words> = [hello, ...select, ...setInfo]
  // Last, so that the answer to it is the end of the handshake (docs/wire.md).
  if (ask !== undefined) {
    burst.push(["CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", ask])
  }
  let replies = yield* exchange(connection, burst)
  let first = replies[0]
  let answer = ask === undefined ? undefined : replies[replies.length - 1]

  if (first instanceof Resp.ErrorReply && speaksNoResp3(first)) {
    answer = first
    connection.protocol = 2
    const fallback: Array<Words> = [["PING"], ...select, ...setInfo]
    if (options.clientName !== undefined) fallback.unshift(["CLIENT", "SETNAME", options.clientName])
    if (credentials !== undefined) {
      const password = Redacted.value(credentials.password)
      fallback.unshift(
        credentials.username === undefined ? ["AUTH", password] : ["AUTH", credentials.username, password]
      )
    }
    if (!options.required) {
      connection.refusal = undefined
      replies = yield* exchange(connection, fallback)
      first = replies.slice(0, fallback.length - setInfo.length).find((reply) => reply instanceof Resp.ErrorReply)
    }
  } else if (!(first instanceof Resp.ErrorReply) && options.database !== 0) {
    first = replies[1]
  }
  if (first instanceof Resp.ErrorReply && !(options.required && connection.protocol === 2)) {
    return yield* refuse(first)
  }

  if (ask !== undefined) {
    if (isOk(answer)) {
      connection.support = { _tag: "Supported", endpointType: ask }
      return
    }
    const words = answer instanceof Resp.ErrorReply ? textOf(answer) : String(answer)
    connection.support = { _tag: "Refused", words }
    if (options.required) {
      return yield* new HitlessError({
        reason: new MaintenanceRefused({ ...at, detail: `the server answered ${words}` })
      })
    }
  }
})

const readLoop = (
  connection: Connection,
  pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>
): Effect.Effect<void> =>
  Effect.matchEffect(
    Effect.forever(
      Effect.map(pull, (chunks) => {
        for (let i = 0; i < chunks.length; i++) connection.receive(chunks[i]!)
      }),
      // A yield per chunk would put a turn of the event loop between a reply and the fiber that waits for it.
      { disableYield: true }
    ),
    {
      onSuccess: () => Effect.void,
      onFailure: (error) =>
        Effect.sync(() => {
          if (connection.state === "Connecting") {
            const { refusal } = connection
            const failure = refusal === undefined
              ? Transport.connectFailure(error)
              : { kind: "Rejected" as const, detail: `the server answered ${textOf(refusal)} and hung up` }
            connection.close(new ConnectFailed({ endpoint: connection.address, ...failure, mayHaveExecuted: false }))
          } else {
            connection.close(connection.lost(
              error.reason._tag === "SocketCloseError"
                ? "the server closed the connection"
                : Transport.connectFailure(error).detail
            ))
          }
        })
    }
  )

/**
 * Opens a connection: dial, then the one handshake of docs/wire.md, a pipelined burst whose replies are all consumed.
 *
 * **Details**
 *
 * `HELLO 3` with credentials and name, `SELECT`, `CLIENT SETINFO` (errors ignored), `CLIENT MAINT_NOTIFICATIONS` last.
 * Where the server refuses `HELLO` and notifications are not required, the same connection goes on in RESP2. The
 * surrounding scope owns the connection; a dial that fails, times out or is interrupted at any byte leaves nothing open.
 *
 * Fails with `ConnectFailed`, `AuthenticationFailed`, `MaintenanceRefused` or `ProtocolViolation`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = (
  options: Options
): Effect.Effect<Connection, HitlessError, Transport.Transport | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const address = format(options.endpoint)
      const opened = Effect.timeoutOrElse(open(options, scope), {
        duration: options.timeout,
        orElse: () =>
          Effect.fail(
            new HitlessError({
              reason: new ConnectFailed({
                endpoint: address,
                kind: "TimedOut",
                detail: `dial and handshake took longer than ${Duration.format(options.timeout)}`,
                mayHaveExecuted: false
              })
            })
          )
      })
      return yield* Effect.onError(restore(opened), (cause) => Scope.close(scope, Exit.failCause(cause)))
    })
  )

const open = Effect.fnUntraced(function*(
  options: Options,
  scope: Scope.Closeable
): Effect.fn.Return<Connection, HitlessError, Transport.Transport> {
  const transport = yield* Transport.Transport
  const context = yield* Effect.context<never>()
  const socket = yield* transport.open(options.endpoint, { tls: options.tls })
  const pull = yield* Socket.readerBytes(socket).pipe(
    Scope.provide(scope),
    Effect.mapError((error) =>
      new HitlessError({
        reason: new ConnectFailed({
          endpoint: format(options.endpoint),
          ...Transport.connectFailure(error),
          mayHaveExecuted: false
        })
      })
    )
  )
  const writer = yield* Scope.provide(socket.writer, scope)
  const connection = new Connection(options, writer, scope, context)
  // The scope closes in reverse: the connection is closed first, so that nobody waits on a dead socket, then the
  // reader stops, then the socket goes.
  yield* Effect.forkIn(readLoop(connection, pull), scope, { startImmediately: true })
  yield* Scope.addFinalizer(scope, Effect.sync(() => connection.close(connection.lost("its scope was closed"))))
  yield* handshake(connection, options)
  connection.ready()
  return connection
})
