/**
 * A request is what waits in queues: one command, or a batch that is written contiguously, and who waits for it.
 *
 * - `Waiting`: held by the pool or a connection, not one byte written.
 * - `Written`: its bytes were handed to the socket; it owns the next replies of its connection.
 * - `Settled`: answered, failed or given up. If it was written, it keeps its place in the reply queue until its replies
 *   have arrived, and they are dropped, so that no later request can receive them.
 *
 * Only `succeed`, `fail`, `answer` and running it as an effect end a request; the first one counts.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import {
  didNotRunCodes,
  HitlessError,
  ProtocolViolation,
  ServerReplied,
  TransactionAborted,
  unreadableCode
} from "../HitlessError.ts"
import { type Arg, ErrorReply, Unreadable } from "../Resp.ts"
import { hasLostSession, mayHaveRun, wasNotBegun } from "./refusals.ts"

/** @internal */
export type Words = ReadonlyArray<Arg>

/** @internal */
export type RequestState = "Waiting" | "Written" | "Settled"

/** Where a request was when something happened to it. @internal */
export interface Site {
  /** The endpoint, as `host:port`. */
  readonly address: string
}

/** Called when a request is over, synchronously; `exit` is `undefined` when nobody waited any more. @internal */
export type RequestObserver = (request: Request, exit: Exit.Exit<unknown, HitlessError> | undefined) => void

/** Who decides what an answer or a loss means for a request. @internal */
export interface RequestOwner {
  /** All replies have arrived: an error reply, or the replies of a batch. */
  readonly onReplied: (request: Request, value: unknown, site: Site) => void
  /** The one who waits was given an error. */
  readonly onFailed: (error: HitlessError) => void
  /** The one who waits was interrupted. */
  readonly onGivenUp?: (request: Request) => void
  /** The program's code threw that was told of the end: an observer of the fiber that waited, for one. */
  readonly onThrown: (thrown: unknown) => void
  /** The request is over; `undefined` when nobody wants to know. */
  readonly onSettled: RequestObserver | undefined
}

/** @internal */
export type RequestKind = "command" | "pipeline" | "transaction" | "raw"

/** The name of a request in errors, metrics and spans: never an argument. @internal */
export const nameOf = (kind: RequestKind, words: Words): string => {
  switch (kind) {
    case "command":
      return String(words[0])
    case "pipeline":
      return "PIPELINE"
    case "transaction":
      return "MULTI"
    case "raw":
      return "handshake"
  }
}

/**
 * What a word takes beside its characters: its place in the array and its header. Measured as heap that was still in use
 * after a collection, while an `MGET` of 100,000 keys of 9 characters waited for its reply: 48 bytes for each.
 */
const wordBytes = 40

/** About how many bytes the words take: names are short, and of a text no more than its length is known at once. */
const weightOf = (words: Words): number => {
  let weight = wordBytes * words.length
  for (let i = 1; i < words.length; i++) {
    const word = words[i]
    if (typeof word === "string" || word instanceof Uint8Array) weight += word.length
  }
  return weight
}

const weightOfBatch = (batch: ReadonlyArray<Words>): number => {
  let weight = 0
  for (const words of batch) weight += weightOf(words)
  return weight
}

/** @internal */
export type Resume = (exit: Exit.Exit<unknown, HitlessError>) => void

/**
 * Run as an effect, a request is given up: what interruption does. It is its own finalizer because one made for each
 * command cost an effect and a closure, a tenth of the time that the command spent in Effect, and a fifth of it with
 * 10,000 in flight, where memory is what is slow.
 *
 * @internal
 */
export class Request extends Effectable.Class<void> {
  readonly owner: RequestOwner
  readonly kind: RequestKind
  /** The words of a single command, or of a batch's first. */
  readonly words: Words
  readonly batch: ReadonlyArray<Words> | undefined
  /** How many commands it is, and so how many replies it is owed; a connection's own question counts as none. */
  readonly size: number
  /** About how many bytes its words take. */
  readonly weight: number
  readonly bytes: boolean
  /** Milliseconds from `startedAt` to the deadline; may be `Infinity`. */
  readonly timeout: number
  /** When it was called, in elapsed milliseconds. */
  startedAt: number
  state: RequestState = "Waiting"
  replies: Array<unknown> | undefined
  /** It was written and put back without an answer: a server may have run it already. */
  replayed = false
  /** The last answer that meant "did not run": what counts when there is no time for another try. */
  refusal: { readonly value: unknown; readonly site: Site } | undefined
  /** How often it was put back into a queue, and before when it may not be sent again. */
  attempts = 0
  notBefore = 0
  /** The deadline that it had where it was before, in elapsed milliseconds: being sent does not make it earlier. */
  promised = 0
  private readonly resume: Resume

  constructor(
    owner: RequestOwner,
    kind: RequestKind,
    words: Words,
    batch: ReadonlyArray<Words> | undefined,
    bytes: boolean,
    timeout: number,
    startedAt: number,
    resume: Resume
  ) {
    super()
    this.owner = owner
    this.kind = kind
    this.words = words
    this.batch = batch
    this.size = batch !== undefined ? batch.length : kind === "raw" ? 0 : 1
    this.weight = kind === "raw" ? 0 : batch === undefined ? weightOf(words) : weightOfBatch(batch)
    this.bytes = bytes
    this.timeout = timeout
    this.startedAt = startedAt
    this.resume = resume
  }

  get name(): string {
    return nameOf(this.kind, this.words)
  }

  /** Whether a server may have run it, as far as is known without an answer. */
  get mayHaveExecuted(): boolean {
    return this.replayed || this.state === "Written"
  }

  succeed(value: unknown): void {
    this.settle(Exit.succeed(value))
  }

  fail(error: HitlessError): void {
    if (this.state === "Settled") return
    this.owner.onFailed(error)
    this.settle(Exit.fail(error))
  }

  /** Gives the one who waits what the replies mean. */
  answer(value: unknown, site: Site): void {
    const result = meaningOf(this, value, site)
    if (Result.isFailure(result)) this.fail(result.failure)
    else this.succeed(result.success)
  }

  private settle(exit: Exit.Exit<unknown, HitlessError>): void {
    if (this.state === "Settled") return
    this.state = "Settled"
    // Here the program's own code runs, on the stack of a reader, an alarm or a loop over other requests: what it throws
    // must not end those.
    try {
      if (this.owner.onSettled !== undefined) this.tell(exit)
      this.resume(exit)
    } catch (thrown) {
      this.owner.onThrown(thrown)
    }
  }

  /** Who watches may throw too, and the one who waits is resumed all the same. */
  private tell(exit: Exit.Exit<unknown, HitlessError>): void {
    try {
      this.owner.onSettled?.(this, exit)
    } catch (thrown) {
      this.owner.onThrown(thrown)
    }
  }

  /** Puts it back before its first byte: it did not run, or may run again. */
  rewind(): void {
    if (this.state === "Settled") return
    this.state = "Waiting"
    this.replies = undefined
    this.attempts++
  }

  /** Nobody waits any more, and nobody is resumed. */
  override asEffect(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.state === "Settled") return
      this.state = "Settled"
      this.owner.onGivenUp?.(this)
      this.owner.onSettled?.(this, undefined)
    })
  }
}

/** Whether the server says that it did not run the command and may run it soon. */
const isRefusal = (reply: unknown): reply is ErrorReply =>
  reply instanceof ErrorReply && didNotRunCodes.has(reply.code) && wasNotBegun(reply)

/**
 * The text of an error reply without the arguments that Redis quotes in it; a connection's own password is in no text that
 * it receives.
 *
 * @internal
 */
export const textOf = (reply: ErrorReply): string => reply.message.replace(/, with args beginning with:.*$/s, "")

/** @internal */
export const serverReplied = (
  reply: ErrorReply,
  command: string,
  site: Site,
  mayHaveExecuted: boolean = mayHaveRun(reply, command)
): HitlessError =>
  new HitlessError({
    reason: new ServerReplied({
      code: reply instanceof Unreadable ? unreadableCode : reply.code,
      detail: textOf(reply),
      command,
      endpoint: site.address,
      mayHaveExecuted
    })
  })

/** A value as its user is given it: error replies inside it are errors of this library. Arrays and objects are reused. */
const publicValue = (value: unknown, command: string, site: Site): unknown => {
  // Without something that ran there would be nothing around the error.
  if (value instanceof ErrorReply) return serverReplied(value, command, site, true)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value
  if (value instanceof Map) {
    return new Map(Array.from(value, (entry) => publicValue(entry, command, site) as [unknown, unknown]))
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = publicValue(value[i], command, site)
    return value
  }
  const entries = value as Record<string, unknown>
  for (const key of Object.keys(entries)) entries[key] = publicValue(entries[key], command, site)
  return value
}

/**
 * The next reply of a request, where there are error replies inside it, as `publicValue` makes it.
 *
 * @internal
 */
export const withErrors = ({ batch, kind, name, replies }: Request, value: unknown, site: Site): unknown => {
  if (kind === "raw") return value
  if (batch === undefined) return publicValue(value, name, site)
  const index = replies?.length ?? 0
  if (kind === "pipeline" || index < batch.length - 1 || !Array.isArray(value)) {
    return publicValue(value, String(batch[index]![0]), site)
  }
  // EXEC's reply has those of the commands, and an error there is a command's own.
  return value.map((reply, at) =>
    reply instanceof ErrorReply ? reply : publicValue(reply, String(batch[at + 1]?.[0]), site)
  )
}

const toResults = (
  values: ReadonlyArray<unknown>,
  commands: ReadonlyArray<Words>,
  site: Site,
  replayed: boolean
): Array<Result.Result<unknown, HitlessError>> =>
  values.map((value, index) => {
    if (!(value instanceof ErrorReply)) return Result.succeed(value)
    const command = String(commands[index]![0])
    return Result.fail(serverReplied(value, command, site, replayed || mayHaveRun(value, command)))
  })

// ----- transactions -----

/** What `EXEC` says when it was refused itself, before the words of the refusal (Redis 6.2 and later). */
const execRefused = "EXECABORT Transaction discarded because of: "

/** Codes with which `EXEC` is refused and the transaction is over, in every version. */
const endsTransaction: ReadonlySet<string> = new Set([
  "EXECABORT",
  "MOVED",
  "ASK",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "CROSSSLOT"
])

/**
 * Whether the connection may still be inside a transaction after its last reply, and would queue what follows: a server
 * may know `MULTI` and no `EXEC`, and before Redis 6.2 a refused `EXEC` did not end it.
 *
 * @internal
 */
export const leavesOpen = (replies: ReadonlyArray<unknown>): boolean => {
  const last = replies[replies.length - 1]
  if (last instanceof Unreadable) return false
  if (last instanceof ErrorReply) return replies.length > 1 && !endsTransaction.has(last.code)
  // `OK` is the answer to `DISCARD`.
  return !(last === null || Array.isArray(last) || last === "OK")
}

/** Whether the server dropped the transaction: each command was queued or refused, and then none was run. */
const wasDiscarded = (replies: ReadonlyArray<unknown>): boolean => {
  const exec = replies[replies.length - 1]
  return (exec === null || (exec instanceof ErrorReply && wasNotBegun(exec))) &&
    replies.slice(1, -1).every((reply) => reply === "QUEUED" || reply instanceof ErrorReply)
}

/** Why the server ran nothing of a transaction: what the refused commands were told, else what `EXEC` or `MULTI` was. */
const refusalsOf = (replies: ReadonlyArray<unknown>): ReadonlyArray<ErrorReply> => {
  const refused = replies.slice(0, -1).filter((reply) => reply instanceof ErrorReply)
  const exec = replies[replies.length - 1]
  if (refused.length > 0 || !(exec instanceof ErrorReply)) return refused
  return [exec.message.startsWith(execRefused) ? new ErrorReply(exec.message.slice(execRefused.length)) : exec]
}

const transactionMeaning = (
  request: Request,
  batch: ReadonlyArray<Words>,
  replies: ReadonlyArray<unknown>,
  site: Site
): Result.Result<unknown, HitlessError> => {
  const multi = replies[0]
  // Without MULTI no command was sent.
  if (multi instanceof ErrorReply) return Result.fail(serverReplied(multi, "MULTI", site, request.replayed))
  const exec = replies[replies.length - 1]
  const commands = batch.slice(1, -1)
  if (Array.isArray(exec) && exec.length === commands.length) {
    return Result.succeed(toResults(exec, commands, site, request.replayed))
  }
  if (exec instanceof Unreadable) return Result.fail(serverReplied(exec, "EXEC", site))
  if (wasDiscarded(replies)) {
    const refusals = refusalsOf(replies)
    // What would be refused again is why trying again is in vain.
    const why = refusals.find((reply) => !isRefusal(reply)) ?? refusals[0]
    return Result.fail(
      new HitlessError({
        reason: new TransactionAborted({
          ...(why === undefined ? { detail: "a watched key changed" } : { code: why.code, detail: textOf(why) }),
          command: request.name,
          endpoint: site.address,
          mayHaveExecuted: request.replayed
        })
      })
    )
  }
  if (exec instanceof ErrorReply) return Result.fail(serverReplied(exec, "EXEC", site, true))
  return Result.fail(
    new HitlessError({
      reason: new ProtocolViolation({
        detail: replies.length === 1
          ? "MULTI was answered with neither OK nor an error"
          : "EXEC was answered with neither a reply for each command, null nor an error",
        command: request.name,
        endpoint: site.address,
        mayHaveExecuted: replies.length > 1 || request.replayed
      })
    })
  )
}

/** Whether the server may run the command soon, on this connection or on another. */
const isPassing = (reply: unknown): reply is ErrorReply =>
  isRefusal(reply) || (reply instanceof ErrorReply && hasLostSession(reply))

/**
 * How the server says that it ran nothing of this request and may run it soon; `undefined` when it may have run
 * something, or would refuse it again.
 *
 * @internal
 */
export const passingRefusal = ({ batch, kind }: Request, value: unknown): ErrorReply | undefined => {
  if (batch === undefined) return isPassing(value) ? value : undefined
  const replies = value as ReadonlyArray<unknown>
  const refusals = kind !== "transaction" ? replies : wasDiscarded(replies) ? refusalsOf(replies) : []
  // A session that was lost between them is what matters.
  return refusals.every(isPassing) ? refusals.find(hasLostSession) ?? refusals[0] : undefined
}

/** What the replies of a request mean for the one who waits. */
const meaningOf = (request: Request, value: unknown, site: Site): Result.Result<unknown, HitlessError> => {
  const batch = request.batch
  if (batch === undefined) {
    return value instanceof ErrorReply
      ? Result.fail(serverReplied(value, request.name, site, request.replayed || mayHaveRun(value, request.name)))
      : Result.succeed(value)
  }
  const replies = value as ReadonlyArray<unknown>
  switch (request.kind) {
    case "transaction":
      return transactionMeaning(request, batch, replies, site)
    case "pipeline":
      return Result.succeed(toResults(replies, batch, site, request.replayed))
    default:
      return Result.succeed(replies)
  }
}
