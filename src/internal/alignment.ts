/**
 * The proof that a reply is the answer to the command it is taken for.
 *
 * Replies carry no name. Where a server or a proxy drops one, or sends one too many, every later command is given its
 * neighbour's answer, each looks right, and it never ends. So an `ECHO` of a text that was never used ends the handshake,
 * and goes among the commands now and then: it has to come back at its own place, and once; anything else shows a slip.
 */
import type * as Random from "effect/Random"
import { ErrorReply, Unreadable } from "../Resp.ts"
import { textOf } from "./replies.ts"
import { Request, type RequestOwner } from "./request.ts"
import { uniqueWord } from "./unique.ts"

/**
 * How long after one probe a busy connection gets the next, in milliseconds: a slip lives no longer, and among the
 * thousands of commands of a second one more cannot be measured.
 */
const provenEvery = 1000

const nobody: RequestOwner = {
  onReplied: () => {},
  onFailed: () => {},
  onThrown: () => {},
  onSettled: undefined
}

const refusal = "unknown|unsupported|unrecogni[sz]ed|forbidden|disabled"

/** A refusal of a command that it does not name. */
const refusesCommand = new RegExp(
  `^NOPERM\\b|\\b(?:${refusal}|invalid) (?:command|request)\\b|\\bcommand (?:is |was )?(?:${refusal}|denied|blocked|` +
    "not (?:\\w+ )?(?:allowed|supported|permitted|known|found|recogni[sz]ed|implemented|enabled))\\b",
  "i"
)

/** Whether a peer says that it never answers `ECHO`, in Redis' words or in those of a proxy, which may not name it. */
const refusesEcho = (reply: ErrorReply): boolean => {
  const text = textOf(reply)
  return /\becho\b/i.test(text) || (!/['"`]/.test(text) && refusesCommand.test(text))
}

/** What is known of the order of one connection's replies. @internal */
export class Alignment {
  /**
   * From when on a command that was started gets a probe before it, in elapsed milliseconds: `-Infinity` when one is
   * overdue, command or not; `Infinity` while none may go.
   */
  dueAt = Infinity
  /** The probe that has its answer to come. */
  probe: Request | undefined
  /**
   * The text that may come back. It outlives a probe that was answered with an error, which proves nothing: it may be
   * another's, and the text still on its way. It outlives by one reply a probe that was answered with it, which shows
   * whether that answer came twice.
   */
  echo: string | undefined
  private hasReturned = false
  private readonly random: Random.Random

  constructor(random: Random.Random) {
    this.random = random
  }

  /** A command was not answered in time: its reply may be lost, and the next that comes be taken for it. */
  doubt(): void {
    if (this.dueAt !== Infinity) this.dueAt = -Infinity
  }

  /**
   * The probe to write now; silence after it is measured by `timeout`, in milliseconds. `ended` is told when it was
   * answered, whatever that proves, or cannot be.
   */
  ask(now: number, timeout: number, ended?: () => void): Request {
    this.echo = `hitless-${uniqueWord(this.random)}${uniqueWord(this.random)}`
    this.hasReturned = false
    this.probe = new Request({
      owner: nobody,
      kind: "own",
      words: ["ECHO", this.echo],
      batch: undefined,
      bytes: false,
      timeout,
      startedAt: now,
      resume: ended ?? (() => {})
    })
    // Where nobody waits for it, as for a command that was given up, no drain does, and no deadline ends it.
    if (ended === undefined) this.probe.state = "Settled"
    this.dueAt = Infinity
    return this.probe
  }

  /** How a reply that is about to be taken for the answer to `request` shows a slip; `undefined` when it does not. */
  slipIn(request: Request, value: unknown): string | undefined {
    const isEcho = this.isEcho(value)
    if (request !== this.probe) {
      if (isEcho) {
        return this.hasReturned
          ? "an ECHO was answered twice"
          : "the answer to an ECHO arrived at the place of a command before it: a reply is missing"
      }
      if (this.hasReturned) this.echo = undefined
      return undefined
    }
    this.probe = undefined
    if (isEcho) this.hasReturned = true
    else if (!(value instanceof ErrorReply) || value instanceof Unreadable) {
      return "an ECHO was answered with something else: there is a reply too many, or its own is missing"
    } else if (refusesEcho(value)) return undefined
    this.dueAt = request.startedAt + provenEvery
    return undefined
  }

  private isEcho(value: unknown): boolean {
    const { echo } = this
    if (typeof value === "string" || echo === undefined) return value === echo
    return value instanceof Uint8Array && value.length === echo.length &&
      value.every((byte, index) => byte === echo.charCodeAt(index))
  }
}
