/**
 * The order in which written requests are sent again that lost their connection together.
 *
 * One of them may be why: its reply is beyond the server's limits, or the server crashes on it. So first one is sent again,
 * and when it is answered two more, then four: the others lose a few round trips, and who takes its connection with it
 * when it is alone is known.
 */
import type { Request } from "./request.ts"

/** The time before which a request is not sent that waits for its turn. @internal */
export const untilItsTurn = Infinity

/** @internal */
export class Replays {
  /** Those that were sent again and have no answer. */
  private readonly under = new Set<Request>()
  private atOnce = 1

  get isIdle(): boolean {
    return this.under.size === 0
  }

  /** How many may be sent now. */
  get room(): number {
    return this.isIdle ? this.atOnce : 0
  }

  /** A request is sent again. */
  begin(request: Request): void {
    this.under.add(request)
  }

  /** It is the only one that was sent again: what is lost now is lost because of it. */
  isAlone(request: Request): boolean {
    return this.under.size === 1 && this.under.has(request)
  }

  /** Its connection was lost again: from now on one at a time. */
  failed(request: Request): void {
    this.under.delete(request)
    this.atOnce = 1
  }

  /** It has an answer, or nobody waits for it any more; `true` when the next may be sent. */
  survived(request: Request): boolean {
    if (!this.under.delete(request) || this.under.size > 0) return false
    this.atOnce *= 2
    return true
  }
}
