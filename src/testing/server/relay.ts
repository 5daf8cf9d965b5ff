/**
 * Relays one client connection to a real Redis server: commands go there as they are and so do its replies come back.
 *
 * Only what a real server does not know is answered here: `CLIENT MAINT_NOTIFICATIONS`, a `HELLO` that the simulated
 * deployment refuses, and commands that the state of the node refuses, of those that the simulated server knows too.
 * Those answers, and every push, are put between two whole frames of the server. Order is kept by counting the replies
 * that are owed, so commands that switch replies off (`CLIENT REPLY`, `MONITOR`) are not supported.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { Encoder, ErrorReply, makeDecoder } from "../../Resp.ts"
import type { Deployment } from "./client.ts"
import { error } from "./command.ts"
import type { Backend, Connection } from "./connection.ts"
import { FrameCutter } from "./frames.ts"
import { encodeReply } from "./replies.ts"
import { counts, execAbort, noProtocol, refusalOf, unknownCommand } from "./session.ts"
import { fromBytes } from "./text.ts"

/**
 * What is owed to the client, in order: replies of the server, an answer that is made here when its turn comes, or an
 * error that replaces a reply of the server.
 */
type Owed =
  | { readonly _tag: "Local"; readonly answer: () => void }
  | { readonly _tag: "Refused"; readonly message: string }
  | {
    readonly _tag: "Remote"
    replies: number
    readonly command: string
    readonly words: ReadonlyArray<string>
    readonly protocol: 2 | 3
  }

/** The elements of an array reply, given as the bytes of its frame. */
const elements = (parts: ReadonlyArray<Uint8Array>): ReadonlyArray<unknown> => {
  let reply: unknown
  const decoder = makeDecoder({
    blobsAsBytes: () => true,
    onReply: (value) => {
      reply = value
    },
    onPush: () => {}
  })
  for (const part of parts) decoder.push(part)
  return Array.isArray(reply) ? reply : []
}

class Relay implements Backend {
  readonly session = undefined
  readonly settle: Effect.Effect<void, Socket.SocketError>
  private readonly connection: Connection
  private readonly deployment: Deployment
  private readonly encoder = new Encoder()
  private readonly owed: Array<Owed> = []
  /** The commands between `MULTI` and `EXEC` that the server has queued. */
  private queued: Array<ReadonlyArray<string>> | undefined
  /** The names of the commands that were forwarded since the last `MULTI`, answered or not. */
  private forwarded: Array<string> | undefined
  /** The protocol that the server speaks once it has seen everything that was forwarded. */
  private protocol: 2 | 3 = 2

  constructor(connection: Connection, deployment: Deployment, writer: Socket.Writer) {
    this.connection = connection
    this.deployment = deployment
    this.settle = Effect.suspend(() => {
      const [first, ...rest] = this.encoder.take()
      return first === undefined ? Effect.void : writer.writeAll([first, ...rest])
    })
  }

  handle(words: ReadonlyArray<Uint8Array>): void {
    const command = fromBytes(words[0]).toUpperCase()
    const args = words.slice(1).map(fromBytes)
    if (command === "CLIENT" && args[0]?.toUpperCase() === "MAINT_NOTIFICATIONS") {
      return this.answer(() => this.connection.maintenance(args[0], args.slice(1)))
    }
    if (command === "HELLO") {
      const { hello } = this.deployment
      if (hello === "unknown") return this.refuse(unknownCommand(fromBytes(words[0]), args))
      if (hello === "resp2" && args.length > 0 && args[0] !== "2") return this.refuse(noProtocol)
      if (args[0] === "2" || args[0] === "3") this.protocol = args[0] === "3" ? 3 : 2
    } else if (command === "RESET") {
      this.protocol = 2
    }
    const refused = refusalOf(this.connection.node, command, this.forwarded)
    if (command === "MULTI") this.forwarded = []
    else if (command === "EXEC" || command === "DISCARD" || command === "RESET") this.forwarded = undefined
    if (refused !== undefined) return this.refuseThere(command, refused)
    this.forwarded?.push(command)
    this.encoder.write(words)
    const replies = this.repliesTo(command, args.length)
    if (replies === 0) return
    this.owed.push({ _tag: "Remote", replies, command, words: words.map(fromBytes), protocol: this.protocol })
  }

  /**
   * In RESP3 a subscription is confirmed by pushes, in RESP2 by one reply for each channel; where all are left, which is
   * known to the server alone, one is counted.
   */
  private repliesTo(command: string, args: number): number {
    const [subscribes, un] = /^[PS]?(UN)?SUBSCRIBE$/.exec(command) ?? []
    // Without a channel to subscribe to there is nothing but an error.
    if (subscribes === undefined || (un === undefined && args === 0)) return 1
    return this.protocol === 3 ? 0 : Math.max(args, 1)
  }

  /** Makes the server refuse something in its place, so that it also spoils or ends the transaction that is open. */
  private refuseThere(command: string, message: string): void {
    const isExec = command === "EXEC"
    // `GET` without a key is an error everywhere.
    this.encoder.write([isExec ? "DISCARD" : "GET"])
    this.owed.push({ _tag: "Refused", message: isExec ? execAbort(message) : message })
  }

  private refuse(message: string): void {
    this.answer(() => this.connection.sendHello([encodeReply(error(message), this.connection.protocol)]))
  }

  private answer(answer: () => void): void {
    if (this.owed.length === 0) answer()
    else this.owed.push({ _tag: "Local", answer })
  }

  /** Tells of what has run, by the reply that came back. */
  private observe(
    command: string,
    words: ReadonlyArray<string>,
    parts: ReadonlyArray<Uint8Array>,
    type: string
  ): void {
    const ran = (words: ReadonlyArray<string>, ok: boolean) => {
      if (!counts(words[0].toUpperCase())) return
      this.deployment.onExecuted(this.connection.node.name, this.connection.id, words, ok)
    }
    const { queued } = this
    switch (command) {
      case "MULTI":
        if (type !== "-") this.queued = []
        return
      case "EXEC": {
        // An aborted transaction is answered with an error or null, and has run nothing.
        const replies = elements(parts)
        if (replies.length > 0) queued?.forEach((words, i) => ran(words, !(replies[i] instanceof ErrorReply)))
        this.queued = undefined
        return
      }
      case "DISCARD":
      case "RESET":
        this.queued = undefined
        return
    }
    if (queued === undefined) ran(words, type !== "-")
    else if (type === "+") queued.push(words)
  }

  /** Takes one whole frame of the server. */
  readonly onFrame = (parts: ReadonlyArray<Uint8Array>, type: string): void => {
    const owed = this.owed[0]
    if (type === ">" || owed === undefined || owed._tag === "Local") return this.connection.sendBytes(parts)
    if (owed._tag === "Refused") {
      this.connection.send(error(owed.message))
      // The answer to `DISCARD`.
      if (type === "+") this.queued = undefined
      return this.next()
    }
    if (owed.command === "HELLO" && type !== "-") this.connection.protocol = owed.protocol
    if (owed.command === "RESET" && type !== "-") {
      this.connection.protocol = 2
      this.connection.optOut()
    }
    if (owed.command === "HELLO") this.connection.sendHello(parts)
    else this.connection.sendBytes(parts)
    // An error is the only answer, however many channels a command names.
    if (--owed.replies > 0 && type !== "-") return
    this.observe(owed.command, owed.words, parts, type)
    this.next()
  }

  /** Goes on to what is owed next, and gives the answers that are made here as their turn comes. */
  private next(): void {
    this.owed.shift()
    while (this.owed[0]?._tag === "Local") {
      const { answer } = this.owed.shift() as Owed & { _tag: "Local" }
      answer()
    }
  }
}

/** Dials the server for one connection; when the server closes, so does the connection. */
export const makeRelay = Effect.fnUntraced(
  function*(
    connection: Connection,
    deployment: Deployment,
    upstream: Effect.Effect<Socket.Socket>
  ): Effect.fn.Return<Backend, Socket.SocketError, Scope.Scope> {
    const socket = yield* upstream
    const pull = yield* Socket.readerBytes(socket)
    const relay = new Relay(connection, deployment, yield* socket.writer)
    const cutter = new FrameCutter(relay.onFrame)
    yield* pull.pipe(
      Effect.tap(connection.awake),
      Effect.flatMap((chunks) => connection.batch(() => chunks.forEach((chunk) => cutter.push(chunk)))),
      Effect.forever({ disableYield: true }),
      Effect.catch(() => Effect.sync(() => connection.close("upstream"))),
      Effect.forkScoped
    )
    return relay
  }
)
