/**
 * The clients of a deployment that wait for data, and in which order they get it.
 *
 * A wait begins when a command finds nothing and ends exactly once: it is served, its time is over, somebody ends it
 * (`CLIENT UNBLOCK`), or its client is gone. Whoever changes data has all waits tried again, those that began first
 * first; nothing is taken for a client that has left. Time belongs to the connection.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { type Blocked, error } from "./command.ts"
import { type Conditions, forcedUnblock, isReplica, writes } from "./conditions.ts"
import { Refusal } from "./keyspace.ts"
import type { ReplyValue } from "./replies.ts"

/** The connection of who waits. */
export interface WaiterPeer {
  readonly node: Conditions
  /** Whether the node can answer clients that wait. */
  readonly serves: boolean
  /** Calls back once when the node can answer them again. */
  readonly whenServing: (then: () => void) => void
  readonly send: (value: ReplyValue) => void
  /** Closes the connection once everything sent before has been written. */
  readonly quit: () => void
}

/** Who waits. */
export interface Waiter {
  /** What it waits for; nothing else is executed for it meanwhile. */
  wait: Wait | undefined
  readonly deployment: { readonly waiting: Waiting }
  readonly peer: WaiterPeer
  /** Tells that the command which waited ran. */
  readonly observe: (words: ReadonlyArray<string>, reply: ReplyValue) => void
}

/** One client that waits. */
export class Wait {
  readonly words: ReadonlyArray<string>
  /** Milliseconds; 0 waits for ever. */
  readonly timeout: number
  /** Completed when the client need not wait any longer. */
  readonly ended = Deferred.makeUnsafe<void>()
  private readonly waiter: Waiter
  private readonly blocked: Blocked
  private readonly writes: boolean
  private isPostponed = false

  constructor(waiter: Waiter, blocked: Blocked, words: ReadonlyArray<string>) {
    this.waiter = waiter
    this.blocked = blocked
    this.words = words
    this.timeout = blocked.timeout
    this.writes = writes(words[0].toUpperCase())
  }

  /** Serves the client if there is something for it; says whether it did. */
  attempt(): boolean {
    const { peer } = this.waiter
    if (!peer.serves) {
      // What came meanwhile is looked for when the node serves again.
      if (!this.isPostponed) {
        peer.whenServing(() => {
          this.isPostponed = false
          this.waiter.deployment.waiting.retry()
        })
      }
      this.isPostponed = true
      return false
    }
    if (this.writes && isReplica(peer.node)) {
      // As a master that becomes a replica does.
      peer.quit()
      this.end(error(forcedUnblock))
      return false
    }
    const reply = this.find()
    if (reply === undefined) return false
    this.waiter.observe(this.words, reply)
    this.end(reply)
    return true
  }

  private find(): ReplyValue | undefined {
    try {
      return this.blocked.attempt()
    } catch (refusal) {
      if (refusal instanceof Refusal) return error(refusal.message)
      throw refusal
    }
  }

  /** Answers that the time is over. */
  expire(): void {
    this.end(this.blocked.timedOut)
  }

  /** Ends the wait, with an answer unless the client is gone. */
  end(reply: ReplyValue | undefined): void {
    if (!this.waiter.deployment.waiting.remove(this)) return
    this.waiter.wait = undefined
    if (reply !== undefined) this.waiter.peer.send(reply)
    Deferred.doneUnsafe(this.ended, Effect.void)
  }
}

/** Everybody who waits, in the order in which they began. */
export class Waiting {
  private readonly waits = new Set<Wait>()

  add(wait: Wait): void {
    this.waits.add(wait)
  }

  remove(wait: Wait): boolean {
    return this.waits.delete(wait)
  }

  /** Serves whoever can be served now. What one is given can be what another waits for, as with `BLMOVE`. */
  retry(): void {
    let served = this.waits.size > 0
    while (served) {
      served = false
      for (const wait of this.waits) served = wait.attempt() || served
    }
  }
}
