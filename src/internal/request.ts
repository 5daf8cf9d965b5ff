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
import { didNotRunCodes, HitlessError, ProtocolViolation, ServerReplied, TransactionAborted } from "../HitlessError.ts"
import { type Arg, ErrorReply } from "../Resp.ts"

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
  readonly onGivenUp: (request: Request) => void
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
  /** How many commands it is, and so how many replies it is owed. */
  readonly size: number
  /** About how many bytes its words take. */
  readonly weight: number
  readonly bytes: boolean
  /** Milliseconds from `startedAt` to the deadline; may be `Infinity`. */
  readonly timeout: number
  readonly startedAt: number
  state: RequestState = "Waiting"
  replies: Array<unknown> | undefined
  /** It was written and put back without an answer: a server may have run it already. */
  replayed = false
  /** The last answer that meant "did not run": what counts when there is no time for another try. */
  refusal: { readonly value: unknown; readonly site: Site } | undefined
  /** How often it was put back into a queue, and before when it may not be sent again. */
  attempts = 0
  notBefore = 0
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
    this.size = batch === undefined ? 1 : batch.length
    this.weight = batch === undefined ? weightOf(words) : weightOfBatch(batch)
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
    this.owner.onSettled?.(this, exit)
    this.resume(exit)
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
      this.owner.onGivenUp(this)
      this.owner.onSettled?.(this, undefined)
    })
  }
}

/** A script can fail after it has written; every other command checks before it changes anything. */
const scripts = new Set(["EVAL", "EVALSHA", "FCALL"])

/** What Redis itself says before a script has written; a script can return any code in words of its own. */
const refusesScripts =
  /^(?:NOSCRIPT|READONLY You can't write against a read only|LOADING \S+ is loading|MASTERDOWN Link with MASTER is down)/

const mayHaveRun = (reply: ErrorReply, command: string): boolean =>
  scripts.has(command.toUpperCase()) && !refusesScripts.test(reply.message)

/** Whether the server says that it did not run the command and may run it soon. @internal */
export const isRefusal = (reply: unknown, [command]: Words): reply is ErrorReply =>
  reply instanceof ErrorReply && didNotRunCodes.has(reply.code) && !mayHaveRun(reply, String(command))

/**
 * The text of an error reply without the arguments that Redis quotes in it: `HELLO 3 AUTH …` on a server that does not
 * know `HELLO` would otherwise show the password.
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
      code: reply.code,
      detail: textOf(reply),
      command,
      endpoint: site.address,
      mayHaveExecuted
    })
  })

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

const transactionMeaning = (
  request: Request,
  batch: ReadonlyArray<Words>,
  replies: ReadonlyArray<unknown>,
  site: Site
): Result.Result<unknown, HitlessError> => {
  const multi = replies[0]
  // Without MULTI the server has run each command on its own.
  if (multi instanceof ErrorReply) return Result.fail(serverReplied(multi, "MULTI", site, true))
  const exec = replies[replies.length - 1]
  if (Array.isArray(exec)) return Result.succeed(toResults(exec, batch.slice(1, -1), site, request.replayed))
  if (exec === null || exec instanceof ErrorReply) {
    const refused = replies.slice(1, -1).find((reply): reply is ErrorReply => reply instanceof ErrorReply)
    return Result.fail(
      new HitlessError({
        reason: new TransactionAborted({
          detail: refused !== undefined ? textOf(refused) : exec === null ? "a watched key changed" : textOf(exec),
          command: request.name,
          endpoint: site.address,
          mayHaveExecuted: request.replayed
        })
      })
    )
  }
  return Result.fail(
    new HitlessError({
      reason: new ProtocolViolation({
        detail: "EXEC was answered with neither an array, null nor an error",
        command: request.name,
        endpoint: site.address,
        mayHaveExecuted: true
      })
    })
  )
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
