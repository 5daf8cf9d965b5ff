/**
 * The ledger of a rehearsal: how every command that clients sent ended, against what the deployment has run.
 *
 * Commands that write are told apart by their words alone, since nothing else of them is on the wire: of equal commands
 * it is known how often they were answered and how often they were run, not which of them.
 */
import * as Commands from "@ioredis/commands"
import type * as Clock from "effect/Clock"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { HitlessError } from "../../HitlessError.ts"
import { blocksFor } from "../../internal/commands.ts"
import { monotonicMillis } from "../../internal/elapsed.ts"
import { noScript } from "../../internal/replies.ts"
import type { Request, RequestObserver, RequestOwner, Words } from "../../internal/request.ts"
import type { Arg } from "../../Resp.ts"
import { fromBytes, toBytes } from "../server/text.ts"

/** Equal commands that write. */
export interface Written {
  readonly command: string
  /** The first key among its words. */
  readonly key: string | undefined
  /** How often a client was given their answer, how often it could not know whether they ran, and how often they did. */
  acknowledged: number
  uncertain: number
  executed: number
}

/** A request that is over; times are milliseconds of the clock. */
interface Ended {
  readonly command: string
  readonly startedAt: number
  readonly endedAt: number
}

/** How long a request took. */
export const waitOf = ({ endedAt, startedAt }: Ended): number => endedAt - startedAt

const writing: ReadonlySet<string> = new Set([
  ...Commands.list.filter((name) => Commands.hasFlag(name, "write")),
  // Its subcommands write, which are no commands of the list.
  "xgroup",
  // A script can write, and counts as the one command that called it.
  "eval",
  "evalsha",
  "fcall"
])

const encoder = new TextEncoder()

const decoder = new TextDecoder()

/** An argument as the server sees it. */
const byteString = (arg: Arg): string => fromBytes(typeof arg === "object" ? arg : encoder.encode(String(arg)))

/** See the module. */
export class Ledger {
  readonly written = new Map<string, Written>()
  /** How many requests are over, and which of them took longest. */
  requests = 0
  longest: Ended | undefined
  /** When requests were under way, those that took no time left out: spans that do not touch, in order. */
  readonly underWay: Array<{ from: number; readonly to: number }> = []
  /** What reserved connections have queued since `MULTI`; `EXEC` says whether it ran. */
  private readonly queued = new WeakMap<RequestOwner, Array<Words>>()
  private readonly clock: Clock.Clock
  private readonly onFailed: (command: string, error: HitlessError) => void

  constructor(clock: Clock.Clock, onFailed: (command: string, error: HitlessError) => void) {
    this.clock = clock
    this.onFailed = onFailed
  }

  /** What a client observes. */
  readonly onSettled: RequestObserver = (request, exit) => {
    const error = exit === undefined ? undefined : Option.getOrUndefined(Exit.findErrorOption(exit))
    const ended = {
      command: request.name,
      startedAt: request.startedAt,
      endedAt: monotonicMillis(this.clock)
    }
    this.requests++
    if (waitOf(ended) > 0) this.noteTime(ended)
    // What waits on the server takes as long as it was told to.
    const isToWait = request.batch === undefined && blocksFor(request.words) > 0
    if (!isToWait && (this.longest === undefined || waitOf(ended) > waitOf(this.longest))) this.longest = ended
    if (error !== undefined) this.onFailed(request.name, error)
    if (request.batch === undefined) this.noteCommand(request, exit, error)
    else this.noteBatch(request, request.batch, exit, error)
  }

  /** What the deployment has run. */
  readonly onExecuted = (execution: { readonly words: ReadonlyArray<string>; readonly ok: boolean }): void => {
    if (!execution.ok) return
    const entry = this.entry(execution.words)
    if (entry !== undefined) entry.executed++
  }

  /** Requests are noted in the order of their ends. */
  private noteTime({ endedAt, startedAt }: Ended): void {
    let from = startedAt
    for (let last = this.underWay.at(-1); last !== undefined && last.to >= from; last = this.underWay.at(-1)) {
      from = Math.min(from, last.from)
      this.underWay.pop()
    }
    this.underWay.push({ from, to: endedAt })
  }

  private noteCommand(
    { isNull, owner, words }: Request,
    exit: Exit.Exit<unknown, HitlessError> | undefined,
    error: HitlessError | undefined
  ): void {
    const queue = this.queued.get(owner)
    const name = String(words[0]).toUpperCase()
    if (name === "MULTI") {
      if (error === undefined) this.queued.set(owner, [])
    } else if (queue === undefined) {
      // For the deployment what waited in vain has not run, and a script that it does not have.
      const waitedInVain = isNull && blocksFor(words) > 0
      const wasUnknown = exit !== undefined && Exit.isSuccess(exit) && exit.value === noScript
      if (!waitedInVain && !wasUnknown) this.note(words, exit, error)
    } else if (name === "EXEC") {
      this.queued.delete(owner)
      const replies = exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
      // Null instead of an array: a watched key changed, and nothing ran.
      if (replies === null) return
      queue.forEach((words, index) => {
        const isRefused = Array.isArray(replies) && replies[index] instanceof HitlessError
        if (!isRefused) this.note(words, exit, error)
      })
    } else if (name === "DISCARD" || name === "RESET") {
      this.queued.delete(owner)
    } else if (error === undefined) {
      queue.push(words)
    }
  }

  private noteBatch(
    request: Request,
    batch: ReadonlyArray<Words>,
    exit: Exit.Exit<unknown, HitlessError> | undefined,
    error: HitlessError | undefined
  ): void {
    // MULTI and EXEC are no commands of the user's, and they write nothing.
    const commands = request.kind === "transaction" ? batch.slice(1, -1) : batch
    const results = exit !== undefined && Exit.isSuccess(exit)
      ? exit.value as ReadonlyArray<Result.Result<unknown, HitlessError>>
      : undefined
    commands.forEach((words, index) => {
      const result = results?.[index]
      if (result === undefined) this.note(words, exit, error)
      else if (Result.isSuccess(result)) {
        this.note(words, Exit.void, undefined)
      } else {
        this.onFailed(String(words[0]), result.failure)
        this.note(words, Exit.fail(result.failure), result.failure)
      }
    })
  }

  private note(
    words: Words,
    exit: Exit.Exit<unknown, HitlessError> | undefined,
    error: HitlessError | undefined
  ): void {
    const entry = this.entry(words.map(byteString))
    if (entry === undefined) return
    if (exit !== undefined && error === undefined && Exit.isSuccess(exit)) entry.acknowledged++
    else if (error === undefined || error.reason.mayHaveExecuted) entry.uncertain++
  }

  private entry(words: ReadonlyArray<string>): Written | undefined {
    const command = words[0].toUpperCase()
    if (!writing.has(command.toLowerCase())) return undefined
    const args = words.slice(1)
    const identity = JSON.stringify([command, ...args])
    let entry = this.written.get(identity)
    if (entry === undefined) {
      const [first] = Commands.getKeyIndexes(command, args, { nameCaseInsensitive: true })
      const key = first === undefined ? undefined : decoder.decode(toBytes(args[first]))
      entry = { command, key, acknowledged: 0, uncertain: 0, executed: 0 }
      this.written.set(identity, entry)
    }
    return entry
  }
}
