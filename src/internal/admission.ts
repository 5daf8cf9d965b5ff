/**
 * How much may be outstanding: which requests are accepted at once, which wait in line until there is room, and which are
 * refused.
 *
 * Its owner counts what is outstanding and takes what is let in. Nothing here sends, and nothing keeps a timer: the owner
 * asks again when something is over, or at the time that `expire` gives.
 */
import type { ResolvedConfig } from "../Config.ts"
import { HitlessError, Overloaded } from "../HitlessError.ts"
import type { Request } from "./request.ts"

/** What was accepted and is not over, in commands and in bytes. @internal */
export interface Accepted {
  readonly commands: number
  readonly bytes: number
}

/** @internal */
export class Admission {
  private readonly config: ResolvedConfig
  /** What nobody waits for counts while it takes memory. */
  private readonly accepted: () => Accepted
  /** Requests that wait until there is room for them, in the order they came. */
  private readonly line = new Set<Request>()
  /** What may be accepted before what is outstanding has to be counted again: there is room for so much at least. */
  private commandsLeft = 0
  private bytesLeft = 0

  constructor(config: ResolvedConfig, accepted: () => Accepted) {
    this.config = config
    this.accepted = accepted
  }

  /** The commands that wait in line. */
  get commands(): number {
    let commands = 0
    for (const { size } of this.line) commands += size
    return commands
  }

  /**
   * Whether there is room for a request: `true` when it is accepted, `false` when it has to wait in line until its
   * deadline; where nothing may wait it fails with `Overloaded`.
   */
  accept(request: Request): boolean {
    this.commandsLeft -= request.size
    this.bytesLeft -= request.weight
    return (this.commandsLeft >= 0 && this.bytesLeft >= 0) || this.admit(request)
  }

  /** Something is outstanding that was not counted, or must not be overtaken: the next request is counted in full. */
  recount(): void {
    this.commandsLeft = 0
  }

  /** Takes from the front of the line what there is room for; one at a time, since each has to be counted. */
  next(): Request | undefined {
    for (const request of this.line) {
      if (this.exceeded(request) !== undefined) return undefined
      this.line.delete(request)
      return request
    }
    return undefined
  }

  /** Nobody waits for it any more; `false` when it is not in line. */
  forget(request: Request): boolean {
    return this.line.delete(request)
  }

  /** Takes what is overdue, and gives the time when the next is, in elapsed milliseconds. */
  expire(now: number, deadlineOf: (request: Request) => number, onOverdue: (request: Request) => void): number {
    let next = Infinity
    for (const request of this.line) {
      const deadline = deadlineOf(request)
      if (deadline <= now) {
        this.line.delete(request)
        onOverdue(request)
      } else next = Math.min(next, deadline)
    }
    // A long line in which one is overdue each millisecond is not looked through each millisecond.
    return Math.max(next, now + this.line.size / 1000)
  }

  takeAll(): ReadonlyArray<Request> {
    const requests = [...this.line]
    this.line.clear()
    return requests
  }

  forEach(f: (request: Request) => void): void {
    for (const request of this.line) f(request)
  }

  /** The same, counted in full. */
  private admit(request: Request): boolean {
    const exceeded = this.exceeded(request)
    if (exceeded === undefined && this.line.size === 0) return true
    if (exceeded !== undefined && this.config.whenOverloaded === "fail") {
      request.fail(this.overloaded(request, exceeded))
    } else {
      this.line.add(request)
      this.recount()
    }
    return false
  }

  /** The limit that a request would exceed; none when nothing is outstanding, or it could never run. */
  private exceeded(request: Request): "commands" | "bytes" | undefined {
    const { bytes, commands } = this.accepted()
    this.commandsLeft = this.config.maxPendingCommands - commands - request.size
    this.bytesLeft = this.config.maxPendingBytes - bytes - request.weight
    if (commands === 0) return undefined
    return this.commandsLeft < 0 ? "commands" : this.bytesLeft < 0 ? "bytes" : undefined
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
}
