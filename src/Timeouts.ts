/**
 * Relaxation windows: which timeout is in force for whom, and until when.
 *
 * A window is opened by an announcement for all connections to the endpoint that told us, or after a handoff for the
 * connection that was made. It is closed by the completion of its family, and ends by itself when the announced time
 * plus the relaxed timeout is over, because the completion may never arrive (docs/wire.md). In force is
 * `max(configured, relaxed)`: never shorter, and infinite stays infinite.
 *
 * This module keeps windows and computes deadlines from the time it is given. It never reads a clock, never sets a
 * timer and never ends a command.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { keepNewest } from "./internal/bounded.ts"
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
 * An open window. Times are elapsed milliseconds, by a monotonic clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Window {
  readonly family: Family | "after handoff"
  /** What opened it, as shown in errors and status: for example `MIGRATING 7`. */
  readonly label: string
  /** The endpoint (`host:port`), the connection (`#12`), or the slot that waits for one (`slot 3`), that is relaxed. */
  readonly subject: string
  readonly seq: bigint
  readonly shards: ReadonlyArray<string>
  readonly openedAt: number
  readonly endsAt: number
}

/**
 * What a command waits on: a connection (`subject`), and the endpoint to which it leads.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject {
  readonly subject: string
  readonly address: string
}

type Completion = Migrated | FailedOver | SlotsMigrated

/** A window as it is kept: announcements that come after it can prolong it. */
type Open = { -readonly [Key in keyof Window]: Window[Key] }

const isCompletion = (notification: Notification): notification is Completion =>
  notification._tag === "Migrated" || notification._tag === "FailedOver" || notification._tag === "SlotsMigrated"

const sharesShard = (window: Window, completion: Completion): boolean =>
  "shards" in completion && window.shards.some((shard) => completion.shards.includes(shard))

/**
 * How many windows of one family are kept for one endpoint: the pairs of a cascade overlap by a few (docs/wire.md). What is
 * announced beyond them prolongs the newest.
 */
const mostWindows = 16

/** Of how many subjects the last close is remembered: connections that are gone are forgotten, endpoints are not. */
const mostCloses = 4096

/** How many completions are remembered: connections hear the same one within seconds, a cascade has a few dozen. */
const rememberedCompletions = 64

/**
 * The windows of one client.
 *
 * @category models
 * @since 0.1.0
 */
export class Timeouts {
  /** Milliseconds, or `undefined` when relaxation is off. */
  private readonly relaxed: number | undefined
  private readonly onChange: (delta: 1 | -1, window: Window) => void
  /** In the order in which they were opened, all and by subject. */
  private readonly windows = new Set<Open>()
  private readonly bySubject = new Map<string, Set<Open>>()
  /** How many completions a window waits for that stands for several announcements. */
  private readonly awaited = new Map<Window, number>()
  /** When the next window ends; `undefined` when that has to be found out. */
  private earliest: number | undefined = Infinity
  private readonly closedAt = new Map<string, number>()
  private latestClose = -Infinity
  private readonly reviews = new Map<string, () => void>()
  /** Which announcement each of the last completions meant. */
  private readonly completed = new Map<string, bigint>()

  constructor(relaxed: Duration.Duration | undefined, onChange: (delta: 1 | -1, window: Window) => void) {
    this.relaxed = relaxed === undefined ? undefined : Duration.toMillis(relaxed)
    this.onChange = onChange
  }

  /** The windows that are open at `now`, oldest first. */
  open(now: number): ReadonlyArray<Window> {
    this.expire(now)
    return [...this.windows]
  }

  /** When the next window ends by itself; `Infinity` when none is open. */
  get nextEnd(): number {
    if (this.earliest === undefined) {
      this.earliest = Infinity
      for (const window of this.windows) this.earliest = Math.min(this.earliest, window.endsAt)
    }
    return this.earliest
  }

  /**
   * Opens or closes what a notification says, for the endpoint on which it was heard; a completion that is heard for the
   * first time (`first`) closes the window of that event everywhere, since all endpoints lead to one database. A
   * completion without an open window changes nothing.
   */
  notify(notification: Notification, first: boolean, now: number): void {
    if (this.relaxed === undefined) return
    this.expire(now)
    if (isCompletion(notification)) return this.complete(notification, first, now)
    // A completion with the number of an event that is new was that of another, and is not its own when it is repeated.
    if (first) this.completed.delete(`${familyOf(notification)} ${notification.seq}`)
    const time = "time" in notification ? Duration.toMillis(notification.time) : 0
    this.add({
      family: familyOf(notification),
      label: `${frameNames[notification._tag]} ${notification.seq}`,
      subject: notification.endpoint,
      seq: BigInt(notification.seq),
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
    if (now < this.nextEnd) return
    for (const window of this.windows) {
      if (window.endsAt <= now) this.close(window, window.endsAt)
    }
  }

  /** Closes every window. */
  end(now: number): void {
    for (const window of this.windows) this.close(window, now)
  }

  /** Calls `review` when a subject is not relaxed any more, until the connection is forgotten: deadlines are earlier then. */
  onClose(subject: string, review: () => void): void {
    this.reviews.set(subject, review)
  }

  /** Forgets a connection that no longer exists. */
  forget(subject: string): void {
    this.reviews.delete(subject)
    for (const window of this.of(subject)) this.close(window, -Infinity)
    this.closedAt.delete(subject)
  }

  /**
   * The window in force for a connection, as named in errors; `undefined` when there is none. For a command that waits for
   * a connection (no `subject`) any window counts: what is announced may be why.
   */
  inForce(subject: Subject | undefined, now: number): Window | undefined {
    this.expire(now)
    if (subject === undefined) return firstOf(this.windows)
    const there = firstOf(this.of(subject.address))
    const here = firstOf(this.of(subject.subject))
    return there === undefined || (here !== undefined && here.openedAt < there.openedAt) ? here : there
  }

  /**
   * The deadline of a command that started at `startedAt` with `timeout` milliseconds, on a connection or on none.
   *
   * A command that lived in a window which has closed has its own timeout again, counted from the close: the reply it
   * waits for was held up until then.
   */
  deadline(
    startedAt: number,
    timeout: number,
    subject: Subject | undefined,
    now: number
  ): number {
    const own = startedAt + timeout
    if (this.relaxed === undefined || timeout >= this.relaxed) return own
    const longest = startedAt + this.relaxed
    if (this.inForce(subject, now) !== undefined) return longest
    const closedAt = this.lastClosed(subject)
    return closedAt > startedAt ? Math.min(longest, closedAt + timeout) : own
  }

  /**
   * Of the windows that a completion can mean, the one with its number, else the one that names the same shards, else the
   * oldest: windows overlap, and the pairs complete in order. One that was announced after the completion was sent is not
   * meant.
   */
  private complete(completion: Completion, first: boolean, now: number): void {
    const family = familyOf(completion)
    const key = `${family} ${completion.seq}`
    if (first) {
      const completed = BigInt(completion.seq)
      const candidates = [...this.windows].filter((window) => window.family === family && window.seq <= completed)
      const meant = candidates.find((window) => window.seq === completed) ??
        candidates.find((window) => sharesShard(window, completion)) ?? candidates[0]
      if (meant === undefined) return
      this.completed.set(key, meant.seq)
      keepNewest(this.completed, rememberedCompletions)
    }
    // Heard again, it means the same event, and not the next one that is still going on.
    const seq = this.completed.get(key)
    for (const window of this.windows) {
      if (window.family !== family || window.seq !== seq) continue
      if (first || window.subject === completion.endpoint) this.completeOne(window, now)
    }
  }

  private lastClosed(subject: Subject | undefined): number {
    if (subject === undefined) return this.latestClose
    return Math.max(this.closedAt.get(subject.address) ?? -Infinity, this.closedAt.get(subject.subject) ?? -Infinity)
  }

  private of(subject: string): ReadonlySet<Open> {
    return this.bySubject.get(subject) ?? none
  }

  private add(window: Window): void {
    const known = [...this.of(window.subject)].filter(({ family }) => family === window.family)
    const newest = known.at(-1)
    if (newest !== undefined && known.length >= mostWindows) return this.prolong(newest, window)
    const open = { ...window }
    this.windows.add(open)
    const ofSubject = this.bySubject.get(window.subject)
    if (ofSubject === undefined) this.bySubject.set(window.subject, new Set([open]))
    else ofSubject.add(open)
    this.earliest = Math.min(this.nextEnd, open.endsAt)
    this.onChange(1, open)
  }

  /** Lets a window stand for one more announcement: it ends with the later, and when each of them is completed. */
  private prolong(window: Open, by: Window): void {
    this.awaited.set(window, (this.awaited.get(window) ?? 1) + 1)
    if (window.endsAt === this.earliest) this.earliest = undefined
    window.endsAt = Math.max(window.endsAt, by.endsAt)
    // A completion that was sent before the last of them means none of them for sure.
    if (by.seq > window.seq) window.seq = by.seq
  }

  /** Closes a window if this is the last completion that it waits for. */
  private completeOne(window: Open, now: number): void {
    const awaited = this.awaited.get(window) ?? 1
    if (awaited === 1) this.close(window, now)
    else this.awaited.set(window, awaited - 1)
  }

  private close(window: Open, at: number): void {
    const { subject } = window
    this.windows.delete(window)
    this.awaited.delete(window)
    if (window.endsAt === this.earliest) this.earliest = undefined
    this.closed(subject, at)
    this.onChange(-1, window)
    const others = this.bySubject.get(subject)
    others?.delete(window)
    if (others !== undefined && others.size > 0) return
    // Deadlines are earlier only when nothing relaxes the subject any more.
    this.bySubject.delete(subject)
    for (const review of this.reviews.values()) review()
  }

  private closed(subject: string, at: number): void {
    const last = this.closedAt.get(subject) ?? -Infinity
    this.closedAt.delete(subject)
    this.closedAt.set(subject, Math.max(at, last))
    keepNewest(this.closedAt, mostCloses)
    this.latestClose = Math.max(at, this.latestClose)
  }
}

const none: ReadonlySet<never> = new Set()

const firstOf = <A>(set: ReadonlySet<A>): A | undefined => set.values().next().value
