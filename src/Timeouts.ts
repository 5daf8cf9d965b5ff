/**
 * Relaxation windows: which timeout is in force for whom, and until when.
 *
 * A window is opened by an announcement for all connections to the endpoint that told us, or after a handoff for the
 * connection that was made. It is closed by the completion of its family, and ends by itself when the announced time
 * plus the relaxed timeout is over, because the completion may never arrive (WIRE.md). In force is
 * `max(configured, relaxed)`: never shorter, and infinite stays infinite.
 *
 * This module keeps windows and computes deadlines from the time it is given. It never reads a clock, never sets a
 * timer and never ends a command.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import {
  type FailedOver,
  type Family,
  familyOf,
  frameNames,
  type Migrated,
  type Notification,
  type SlotsMigrated
} from "./Notifications.ts"

/**
 * An open window. Times are milliseconds of the clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Window {
  readonly family: Family | "after handoff"
  /** What opened it, as shown in errors and status: for example `MIGRATING 7`. */
  readonly label: string
  /** The endpoint (`host:port`) or the connection (`#12`) that is relaxed. */
  readonly subject: string
  readonly seq: bigint
  readonly shards: ReadonlyArray<string>
  readonly openedAt: number
  readonly endsAt: number
}

type Completion = Migrated | FailedOver | SlotsMigrated

const isCompletion = (notification: Notification): notification is Completion =>
  notification._tag === "Migrated" || notification._tag === "FailedOver" || notification._tag === "SlotsMigrated"

const sharesShard = (window: Window, completion: Completion): boolean =>
  "shards" in completion && window.shards.some((shard) => completion.shards.includes(shard))

/**
 * The windows of one pool.
 *
 * @category models
 * @since 0.1.0
 */
export class Timeouts {
  /** Milliseconds, or `undefined` when relaxation is off. */
  private readonly relaxed: number | undefined
  private readonly onChange: (delta: 1 | -1, window: Window) => void
  private windows: ReadonlyArray<Window> = []
  private readonly closedAt = new Map<string, number>()

  constructor(relaxed: Duration.Duration | undefined, onChange: (delta: 1 | -1, window: Window) => void) {
    this.relaxed = relaxed === undefined ? undefined : Duration.toMillis(relaxed)
    this.onChange = onChange
  }

  /** The windows that are open at `now`, oldest first. */
  open(now: number): ReadonlyArray<Window> {
    this.expire(now)
    return this.windows
  }

  /** When the next window ends by itself; `Infinity` when none is open. */
  get nextEnd(): number {
    return this.windows.reduce((next, window) => Math.min(next, window.endsAt), Infinity)
  }

  /** Opens or closes what a notification says. A completion without an open window changes nothing. */
  notify(notification: Notification, now: number): void {
    if (this.relaxed === undefined) return
    this.expire(now)
    if (isCompletion(notification)) return this.complete(notification, now)
    const time = "time" in notification ? Duration.toMillis(notification.time) : 0
    this.add({
      family: familyOf(notification),
      label: `${frameNames[notification._tag]} ${notification.seq}`,
      subject: notification.endpoint,
      seq: notification.seq,
      shards: "shards" in notification ? notification.shards : [],
      openedAt: now,
      endsAt: now + time + this.relaxed
    })
  }

  /** Relaxes one connection after its handoff, for `duration` milliseconds. */
  relaxAfterHandoff(subject: string, duration: number, now: number): void {
    if (this.relaxed === undefined || duration <= 0) return
    this.add({
      family: "after handoff",
      label: "after handoff",
      subject,
      seq: 0n,
      shards: [],
      openedAt: now,
      endsAt: now + duration
    })
  }

  /** Closes the windows whose time is over. */
  expire(now: number): void {
    for (const window of this.windows) {
      if (window.endsAt <= now) this.close(window, window.endsAt)
    }
  }

  /** Forgets a connection that no longer exists. */
  forget(subject: string): void {
    for (const window of this.windows) {
      if (window.subject === subject) this.close(window, window.endsAt)
    }
    this.closedAt.delete(subject)
  }

  /** The window in force for a connection, as named in errors; `undefined` when there is none. */
  inForce(endpoint: string, connection: string, now: number): Window | undefined {
    this.expire(now)
    return this.windows.find((window) => window.subject === endpoint || window.subject === connection)
  }

  /**
   * The deadline of a command that started at `startedAt` with `timeout` milliseconds, on a connection to `endpoint`.
   *
   * A command that lived in a window which has closed has its own timeout again, counted from the close: the reply it
   * waits for was held up until then.
   */
  deadline(startedAt: number, timeout: number, endpoint: string, connection: string, now: number): number {
    const own = startedAt + timeout
    if (this.relaxed === undefined || timeout >= this.relaxed) return own
    const longest = startedAt + this.relaxed
    if (this.inForce(endpoint, connection, now) !== undefined) return longest
    const closedAt = Math.max(this.closedAt.get(endpoint) ?? -Infinity, this.closedAt.get(connection) ?? -Infinity)
    return closedAt > startedAt ? Math.min(longest, closedAt + timeout) : own
  }

  /**
   * Of the windows that a completion can mean, the one that names the same shards, else the oldest: windows overlap,
   * and the pairs complete in order. One that was announced after the completion was sent is not meant.
   */
  private complete(completion: Completion, now: number): void {
    const family = familyOf(completion)
    const candidates = this.windows.filter((window) => window.family === family && window.seq < completion.seq)
    const window = candidates.find((window) => sharesShard(window, completion)) ?? candidates[0]
    if (window !== undefined) this.close(window, now)
  }

  private add(window: Window): void {
    this.windows = [...this.windows, window]
    this.onChange(1, window)
  }

  private close(window: Window, at: number): void {
    this.windows = this.windows.filter((other) => other !== window)
    this.closedAt.set(window.subject, Math.max(at, this.closedAt.get(window.subject) ?? -Infinity))
    this.onChange(-1, window)
  }
}
