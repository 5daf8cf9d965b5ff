/**
 * The server's end of one client connection: what it executes, and how it behaves in the handshake.
 *
 * Commands of one pulled chunk are executed synchronously, and their replies form a *batch* of its `Outbox`. What
 * commands mean is decided by a `Backend`: a session with the simulated keyspace, or a relay to a real server.
 *
 * The connection closes nothing by itself: it completes `closing`, and whoever runs it closes the socket.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import { makeDecoder } from "../../Resp.ts"
import { unknownSubcommand } from "./administration.ts"
import type { Client, Peer } from "./client.ts"
import { error, ok, wrongArity } from "./command.ts"
import type { Conditions } from "./conditions.ts"
import { Outbox, type Output } from "./outbox.ts"
import { encodeReply, type ReplyValue } from "./replies.ts"
import { noAuth, noAuthHello, type Session } from "./session.ts"
import { fromBytes } from "./text.ts"
import type { Wait } from "./waiting.ts"

/** How a connection treats its client's handshake; see `Handshake` of `SimulatedRedis`. */
export type Behaviour =
  | { readonly _tag: "Answer"; readonly delay: number }
  | { readonly _tag: "HangBeforeHello" }
  | { readonly _tag: "HangAfterHello" }
  | { readonly _tag: "NoAuth" }
  | { readonly _tag: "DropAfterBytes"; readonly bytes: number }

/** What ended a connection; see `ClosedBy` of `SimulatedRedis`. */
export type ClosedBy = "client" | "drop" | "handshake" | "kill" | "protocol" | "retirement" | "shutdown" | "upstream"

/** A push that depends on what the connection asked for. */
export type Announcement = (connection: Connection) => ReplyValue

/** What a connection knows of the node it belongs to. */
export interface Node extends Conditions {
  readonly connections: ReadonlyMap<Connection, unknown>
  readonly maintenance: "supported" | "unsupported" | "disabled"
  /** Until when nothing is executed, in milliseconds of the clock. */
  stalledUntil: number
  readonlyUntil: number
  loadingUntil: number
  /** Delay of everything that is sent, in milliseconds. */
  readonly latency: number
  /** Events that have begun and not ended, by name. */
  readonly inProgress: ReadonlyMap<string, Announcement>
  /** The last completion that was announced in the deployment. */
  readonly lastCompletion: () => Announcement | undefined
  readonly onOptIn: (connection: Connection, endpointType: string) => void
}

/** What answers commands. */
export interface Backend {
  readonly session: Session | undefined
  readonly handle: (words: ReadonlyArray<Uint8Array>) => void
  /** Sends on what the commands of one chunk left to be sent. */
  readonly settle: Effect.Effect<void, Socket.SocketError>
}

const endpointTypes = new Set(["internal-ip", "internal-fqdn", "external-ip", "external-fqdn", "none"])

/** One client's connection, as the server sees it. */
export class Connection implements Peer {
  readonly id: number
  readonly node: Node
  /** Completed to close the connection. */
  readonly closing = Deferred.makeUnsafe<void>()
  closedBy: ClosedBy = "client"
  protocol: 2 | 3 = 2
  /** The endpoint type the client asked for when it opted in (`""` when it named none); otherwise `undefined`. */
  endpointType: string | undefined
  private readonly behaviour: Behaviour
  private readonly output: Output
  private backend: Backend | undefined
  private commands: Array<ReadonlyArray<Uint8Array>> = []
  /** What the client sent that is not a command. */
  private violation: string | undefined
  private answered = 0
  private executing = false
  private quitting = false
  private readonly outbox: Outbox
  /**
   * What is sent when the node wakes up: the answer to the command that made it sleep (`DEBUG SLEEP`), and messages that
   * others published meanwhile.
   */
  private late: Array<Uint8Array> = []

  constructor(id: number, node: Node, behaviour: Behaviour, output: Output) {
    this.id = id
    this.node = node
    this.behaviour = behaviour
    this.output = output
    const allowance = behaviour._tag === "DropAfterBytes" ? behaviour.bytes : Infinity
    this.outbox = new Outbox(output, allowance, () => this.close("handshake"), Effect.suspend(() => this.flush))
  }

  /** Whether a write has begun that the client has not taken: it goes on, or was interrupted. */
  get isWriting(): boolean {
    return this.outbox.isWriting
  }

  get session(): Session | undefined {
    return this.backend?.session
  }

  close(by: ClosedBy): void {
    if (Deferred.isDoneUnsafe(this.closing)) return
    this.closedBy = by
    Deferred.doneUnsafe(this.closing, Effect.void)
    // From now on nothing is taken from the data for this client, nor executed for it.
    this.session?.wait?.end(undefined)
  }

  kill(): void {
    this.close("kill")
  }

  // ----- commands -----

  /** Reads, executes and answers until the socket ends. */
  serve(
    pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>,
    backend: Backend
  ): Effect.Effect<never, Socket.SocketError> {
    this.backend = backend
    const decoder = makeDecoder({
      blobsAsBytes: () => true,
      onReply: (value) => this.receive(value),
      onPush: () => this.receive(undefined)
    })
    const take = (chunks: ReadonlyArray<Uint8Array>) => {
      for (const chunk of chunks) {
        const malformed = decoder.push(chunk)
        if (malformed !== undefined) this.violation ??= malformed.message
      }
      return this.work
    }
    return Effect.forever(Effect.flatMap(pull, take), { disableYield: true })
  }

  private receive(value: unknown): void {
    // What follows something that is no command is not executed.
    if (this.violation !== undefined) return
    const words: ReadonlyArray<unknown> = Array.isArray(value) ? value : []
    if (words.length > 0 && words.every((word) => word instanceof Uint8Array)) this.commands.push(words)
    else this.violation = "expected an array of bulk strings"
  }

  /** Executes what was received, waiting where the node stalls, until the client waits for something itself. */
  private readonly work: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() => {
    if (!this.isBusy) return Effect.void
    if (this.isStalled) return Effect.andThen(this.awake, this.work)
    this.execute()
    this.seal(0)
    const sent = Effect.andThen(this.backend?.settle ?? Effect.void, this.flush)
    return this.late.length === 0 ? sent : Effect.andThen(sent, this.work)
  })

  /** Whether there is something to execute or to answer now or after a stall. */
  private get isBusy(): boolean {
    // What is left of a client that was sent away is not executed.
    if (Deferred.isDoneUnsafe(this.closing)) return false
    if (this.late.length > 0) return true
    return (this.commands.length > 0 || this.violation !== undefined) && !this.isWaiting && !this.quitting
  }

  private get isWaiting(): boolean {
    return this.session?.wait !== undefined
  }

  /** Executes until nothing is left, the client waits, or a command stalls the node. */
  private execute(): void {
    this.executing = true
    this.outbox.put(this.late)
    this.late = []
    const commands = this.commands
    let done = 0
    while (done < commands.length && !this.quitting && !this.isWaiting && this.late.length === 0) {
      const mark = this.outbox.length
      this.answer(commands[done++])
      if (this.isStalled) this.late = this.outbox.takeBack(mark)
    }
    this.commands = commands.slice(done)
    const isDone = this.commands.length === 0 && this.late.length === 0 && !this.isWaiting
    if (this.violation !== undefined && isDone && !this.quitting) {
      this.send(error(`ERR Protocol error: ${this.violation}`))
      this.closedBy = "protocol"
      this.quit()
    }
    this.executing = false
  }

  private answer(words: ReadonlyArray<Uint8Array>): void {
    const isHello = words[0].length === 5 && fromBytes(words[0]).toUpperCase() === "HELLO"
    switch (this.behaviour._tag) {
      case "HangBeforeHello":
        return
      case "HangAfterHello":
        if (this.answered > 0) return
        break
      case "NoAuth":
        return this.send(error(isHello ? noAuthHello : noAuth))
    }
    this.answered++
    this.backend?.handle(words)
  }

  // ----- stalls -----

  private get isStalled(): boolean {
    return this.node.stalledUntil > this.node.now()
  }

  /** Waits until the node executes again. */
  readonly awake: Effect.Effect<void> = Effect.suspend(() =>
    this.isStalled
      ? Effect.andThen(Effect.sleep(this.node.stalledUntil - this.node.now()), this.awake)
      : Effect.void
  )

  /** A node that sleeps or loads answers nobody who waits. */
  private get servesAt(): number {
    return Math.max(this.node.stalledUntil, this.node.loadingUntil)
  }

  get serves(): boolean {
    return this.servesAt <= this.node.now()
  }

  private readonly serving: Effect.Effect<void> = Effect.suspend(() =>
    this.serves ? Effect.void : Effect.andThen(Effect.sleep(this.servesAt - this.node.now()), this.serving)
  )

  whenServing(then: () => void): void {
    this.output.fork(Effect.andThen(this.serving, Effect.sync(then)))
  }

  wait(wait: Wait): void {
    const over = wait.timeout === 0
      ? Effect.never
      : Effect.andThen(Effect.sleep(wait.timeout), Effect.andThen(this.serving, Effect.sync(() => wait.expire())))
    // What the client sent meanwhile is executed when everybody who waits for the same has been served.
    const next = Effect.andThen(Effect.yieldNow, this.work)
    this.output.fork(Effect.andThen(Effect.raceFirst(over, Deferred.await(wait.ended)), next))
  }

  sleep(millis: number): void {
    this.node.stalledUntil = Math.max(this.node.stalledUntil, this.node.now() + millis)
  }

  // ----- maintenance -----

  /** Answers `CLIENT MAINT_NOTIFICATIONS`. */
  maintenance(subcommand: string, args: ReadonlyArray<string>): void {
    if (this.node.maintenance === "unsupported") return this.send(error(unknownSubcommand("CLIENT", subcommand)))
    if (this.node.maintenance === "disabled") {
      return this.send(error("ERR maintenance notifications are disabled for this database"))
    }
    const [state, option, endpointType] = args
    if (state === undefined) return this.send(error(wrongArity("client|maint_notifications")))
    if (/^off$/i.test(state) && args.length === 1) {
      this.optOut()
      return this.send(ok)
    }
    const named = args.length === 3 && /^moving-endpoint-type$/i.test(option) && endpointTypes.has(endpointType)
    if (!/^on$/i.test(state) || !(args.length === 1 || named)) return this.send(error("ERR syntax error"))
    this.endpointType = endpointType ?? ""
    this.node.onOptIn(this, this.endpointType)
    // Servers send what is going on before or after they answer. Here the events in progress come before the answer
    // and the last completion after it, so that a client meets both.
    for (const announcement of this.node.inProgress.values()) this.announce(announcement)
    this.send(ok)
    const completion = this.node.lastCompletion()
    if (completion !== undefined) this.announce(completion)
  }

  optOut(): void {
    this.endpointType = undefined
  }

  /** Whether maintenance pushes reach this client: it opted in, and RESP2 has no pushes. */
  get hears(): boolean {
    return this.endpointType !== undefined && this.protocol === 3
  }

  announce(announcement: Announcement): void {
    if (this.hears) this.send(announcement(this))
  }

  clients(): ReadonlyArray<Client> {
    return [...this.node.connections.keys()].flatMap(({ session }) => session ?? [])
  }

  // ----- output -----

  send(value: ReplyValue): void {
    this.sendBytes([encodeReply(value, this.protocol)])
  }

  deliver(message: ReplyValue): void {
    if (this.executing || !this.isStalled) return this.send(message)
    this.late.push(encodeReply(message, this.protocol))
    if (this.late.length === 1) this.output.fork(this.work)
  }

  /** Makes one batch of everything that `make` sends, and writes what is due. */
  batch(make: () => void): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      this.executing = true
      make()
      this.executing = false
      this.seal(0)
      return this.flush
    })
  }

  /** Sends whole frames: with the batch while commands are executed, else at once. */
  sendBytes(frames: ReadonlyArray<Uint8Array>): void {
    this.outbox.put(frames)
    if (this.executing) return
    this.seal(0)
    this.output.fork(this.flush)
  }

  /** Sends the answer to `HELLO`, which alone is delayed by what the handshake behaviour says. */
  sendHello(frames: ReadonlyArray<Uint8Array>): void {
    this.seal(0)
    this.outbox.put(frames)
    this.seal(this.behaviour._tag === "Answer" ? this.behaviour.delay : 0)
  }

  private seal(delay: number): void {
    this.outbox.seal(delay + this.node.latency)
  }

  /** Writes what is due; the last of it closes the connection of a client that quits. */
  private readonly flush: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() => {
    const written = this.outbox.flush()
    if (!this.quitting || !this.outbox.isEmpty) return written
    return Effect.andThen(written, Effect.sync(() => this.close(this.closedBy)))
  })

  quit(): void {
    this.quitting = true
  }
}
