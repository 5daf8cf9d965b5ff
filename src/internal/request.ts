/**
 * A request is what waits in queues: one command, or a batch that is written contiguously, and who waits for it.
 *
 * - `Waiting`: held by the pool or a connection, not one byte written.
 * - `Written`: its bytes were handed to the socket; it owns the next replies of its connection.
 * - `Settled`: answered, failed or given up. If it was written, it keeps its place in the reply queue until its replies
 *   have arrived, and they are dropped, so that no later request can receive them.
 *
 * Only `succeed`, `fail` and running it as an effect end a request; the first one counts.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type { Command } from "../commands/command.ts"
import type { HitlessError } from "../HitlessError.ts"
import type { Arg } from "../Resp.ts"
import { located } from "./printing.ts"

/** One command as it is written: its name and its arguments. @internal */
export type Words = ReadonlyArray<Arg>

/** @internal */
export type RequestState = "Waiting" | "Written" | "Settled"

/** Where a request was when something happened to it. @internal */
export interface Site {
  /** The endpoint, as `host:port`. */
  readonly address: string
  /** Whether what answers there is no database. */
  readonly isSentinel?: boolean
  readonly protocol: 2 | 3
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
  /** The request is over; `undefined` while nobody wants to know. */
  onSettled: RequestObserver | undefined
}

/** What a request is for; `own` is a connection's own question: its handshake, and what it asks now and then. @internal */
export type RequestKind = "command" | "pipeline" | "transaction" | "own"

/** The name of a request in errors, metrics and spans: never an argument. @internal */
export const nameOf = (kind: RequestKind, words: Words): string => {
  switch (kind) {
    case "command":
      return String(words[0])
    case "pipeline":
      return "PIPELINE"
    case "transaction":
      return "MULTI"
    case "own":
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

/** Told how a request ended, in a form that a fiber can go on with; what a connection asks for itself is told the exit. @internal */
export type Resume = (outcome: Effect.Effect<unknown, HitlessError>) => void

/** A typed command, or those of a batch, each at its place; `undefined` where none is typed. @internal */
export type Typed = Command<unknown> | ReadonlyArray<Command<unknown> | undefined> | undefined

/** What is asked, by whom, and until when. @internal */
export interface Asked {
  readonly owner: RequestOwner
  readonly kind: RequestKind
  /** The words of a single command, or of a batch's first. */
  readonly words: Words
  readonly batch: ReadonlyArray<Words> | undefined
  readonly typed?: Typed
  /** Whether blobs are answered as bytes; in a pipeline of typed commands each says so itself. */
  readonly bytes: boolean
  /** Milliseconds from `startedAt` to the deadline; may be `Infinity`. */
  readonly timeout: number
  /** When it was called, in elapsed milliseconds. */
  readonly startedAt: number
  /** Called once, with how it ended. */
  readonly resume: Resume
}

/**
 * Run as an effect, a request is given up: what interruption does. It is its own finalizer because one made for each
 * command cost an effect and a closure, a tenth of the time that the command spent in Effect, and a fifth of it with
 * 10,000 in flight, where memory is what is slow.
 *
 * @internal
 */
export class Request extends Effectable.Class<void> {
  readonly owner: Asked["owner"]
  readonly kind: Asked["kind"]
  readonly words: Asked["words"]
  readonly batch: Asked["batch"]
  readonly typed: Asked["typed"]
  /** How many commands it is, and so how many replies it is owed; a connection's own question counts as none. */
  readonly size: number
  /** About how many bytes its words take. */
  readonly weight: number
  readonly bytes: Asked["bytes"]
  readonly timeout: Asked["timeout"]
  startedAt: Asked["startedAt"]
  state: RequestState = "Waiting"
  replies: Array<unknown> | undefined
  /** Whether the server answered null, whatever that is decoded to. */
  isNull = false
  /** It was written and put back without an answer: a server may have run it already. */
  replayed = false
  /** The last answer that meant "did not run": what counts when there is no time for another try. */
  refusal: { readonly value: unknown; readonly site: Site } | undefined
  /** How often it was put back into a queue, and before when it may not be sent again. */
  attempts = 0
  notBefore = 0
  /** The deadline that it had where it was before, in elapsed milliseconds: being sent does not make it earlier. */
  promised = 0
  private readonly resume: Asked["resume"]

  constructor({ batch, bytes, kind, owner, resume, startedAt, timeout, typed, words }: Asked) {
    super()
    this.owner = owner
    this.kind = kind
    this.words = words
    this.batch = batch
    this.typed = typed
    this.size = batch !== undefined ? batch.length : kind === "own" ? 0 : 1
    this.weight = kind === "own" ? 0 : batch === undefined ? weightOf(words) : weightOfBatch(batch)
    this.bytes = bytes
    this.timeout = timeout
    this.startedAt = startedAt
    this.resume = resume
  }

  get name(): string {
    return nameOf(this.kind, this.words)
  }

  /** Whether the blobs of its next reply are read as bytes. */
  get takesBytes(): boolean {
    return this.typed === undefined || this.kind !== "pipeline"
      ? this.bytes
      : this.commandAt(this.replies?.length ?? 0)?.bytes === true
  }

  /** The typed command at an index of the batch, or the one that it is. */
  commandAt(index: number): Command<unknown> | undefined {
    const { typed } = this
    return typed === undefined || "words" in typed ? typed : typed[index]
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
    const exit = Exit.fail(error)
    // What a connection asks for itself has no caller.
    this.settle(exit, this.kind === "own" ? exit : located(error, exit))
  }

  /** `exit` is how it ended, and `outcome` what the one who waits goes on with. */
  private settle(
    exit: Exit.Exit<unknown, HitlessError>,
    outcome: Effect.Effect<unknown, HitlessError> = exit
  ): void {
    if (this.state === "Settled") return
    this.state = "Settled"
    // Here the program's own code runs, on the stack of a reader, an alarm or a loop over other requests: what it throws
    // must not end those.
    try {
      if (this.owner.onSettled !== undefined) this.tell(exit)
      this.resume(outcome)
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
