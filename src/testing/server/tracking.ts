/**
 * What `CLIENT TRACKING ON` asks for: who read which keys, and is told when they change. Redis knows a key by its name
 * alone, whatever database it is in, and forgets who read it once it has told them.
 *
 * A client is told of what it changes itself after the reply to its command, and of what others change at once. RESP2 has
 * no invalidations. Keys that a script reads are not tracked.
 */
import * as Commands from "@ioredis/commands"
import { isReadOnly } from "../../internal/commands.ts"
import { array, bulk, nil } from "./command.ts"
import type { ReplyValue } from "./replies.ts"

/** Who tracks. */
export interface Tracker {
  readonly protocol: 2 | 3
  /** Sends a push, when the node is awake. */
  readonly message: (items: ReadonlyArray<ReplyValue>) => void
}

const invalidated = (keys: ReplyValue): ReadonlyArray<ReplyValue> => [bulk("invalidate"), keys]

/** The tracking of a deployment. */
export class Tracking {
  private readonly trackers = new Set<Tracker>()
  private readonly readers = new Map<string, Set<Tracker>>()
  /** Whose command runs, and what it is told after its reply. */
  private current: Tracker | undefined
  private late: Array<ReadonlyArray<ReplyValue>> = []

  start(tracker: Tracker): void {
    this.trackers.add(tracker)
  }

  stop(tracker: Tracker): void {
    if (!this.trackers.delete(tracker)) return
    for (const readers of this.readers.values()) readers.delete(tracker)
  }

  /** Runs a command of a client, and its reply, and tells it then what it changed. */
  during(tracker: Tracker, run: () => void): void {
    this.current = tracker
    run()
    this.current = undefined
    for (const items of this.late.splice(0)) tracker.message(items)
  }

  /** A client ran a command. */
  ran(tracker: Tracker, [name, ...args]: ReadonlyArray<string>): void {
    if (!this.trackers.has(tracker) || !isReadOnly(name)) return
    for (const index of Commands.getKeyIndexes(name.toLowerCase(), args)) {
      const readers = this.readers.get(args[index])
      if (readers === undefined) this.readers.set(args[index], new Set([tracker]))
      else readers.add(tracker)
    }
  }

  /** A key was changed, or is gone. */
  changed(key: string): void {
    const readers = this.readers.get(key)
    if (readers === undefined) return
    this.readers.delete(key)
    for (const tracker of readers) this.tell(tracker, array([bulk(key)]))
  }

  /** A database was emptied. */
  flushed(): void {
    this.readers.clear()
    for (const tracker of this.trackers) this.tell(tracker, nil)
  }

  private tell(tracker: Tracker, keys: ReplyValue): void {
    if (tracker.protocol === 2) return
    if (tracker === this.current) this.late.push(invalidated(keys))
    else tracker.message(invalidated(keys))
  }
}
