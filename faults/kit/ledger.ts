/**
 * What was asked of a client and what it said became of that, and then whether the server agrees.
 *
 * Every value that is written is unique, and written once by the one who asks: so what the server holds in the end tells
 * for each what became of it. A write that was acknowledged is there once; one that failed with `mayHaveExecuted: false` is
 * not there; any other is there once or not. What `BLMOVE` took was given to one, or to one whose call failed with
 * `mayHaveExecuted: true`. What was published is heard once and in order, or a gap says that it was not.
 */
import { HitlessError, type PubSub } from "hitless"

export const kinds = ["shared", "reserved", "blocking", "subscribing"] as const

/** A kind of connection. */
export type Kind = (typeof kinds)[number]

/** A call that failed. */
export interface Failure {
  readonly kind: Kind
  /** The reason's tag, and the code of a server's error. */
  readonly reason: string
  readonly mayHaveExecuted: boolean
  readonly message: string
  /** Whether others of the same pipeline may have been served: it is not sent again then. */
  readonly isPartial: boolean
}

interface Tally {
  calls: number
  /** When the last call began that succeeded, or the last message was published that was heard. */
  lastSuccess: number
}

const reasonOf = ({ reason }: HitlessError.HitlessError): string =>
  reason._tag === "ServerReplied"
    ? `${reason._tag} ${reason.code}`
    : reason._tag === "ConnectFailed"
    ? `${reason._tag} ${reason.kind}`
    : reason._tag

export class Ledger {
  readonly tallies: Record<Kind, Tally> = {
    shared: { calls: 0, lastSuccess: -1 },
    reserved: { calls: 0, lastSuccess: -1 },
    blocking: { calls: 0, lastSuccess: -1 },
    subscribing: { calls: 0, lastSuccess: -1 }
  }
  readonly failures: Array<Failure> = []
  /** What cannot be, one line each. */
  readonly problems: Array<string> = []
  /** What a client was told that is not so, one line each: a reply was another command's. */
  readonly untrue: Array<string> = []
  /** When each reply came that was another command's. */
  readonly wrongReads: Array<number> = []
  firstWrong = ""
  /** The longest call, of what the longest may take. */
  longest = 0
  /** How long the longest call was over its time, in milliseconds. */
  over = 0
  private readonly acknowledged = new Set<string>()
  private readonly failed = new Map<string, boolean>()
  private readonly received: Array<string> = []
  private blockingUnknown = 0
  private readonly published = new Map<number, number>()
  private readonly heard: Array<number | PubSub.Gap["why"]> = []
  private last: number
  private readonly now: () => number

  /** `first` is below every number that it gives, and `now` counts milliseconds. */
  constructor(now: () => number = () => performance.now(), first = 0) {
    this.now = now
    this.last = first
  }

  /** A value that nobody else writes. */
  unique(): string {
    return `id-${++this.last}`
  }

  /** A job that nobody else is given. */
  nextJob(): string {
    return `job ${++this.last}`
  }

  /** The number of the next message, later than any before. */
  nextMessage(): number {
    return ++this.last
  }

  /** When a call begins that is told of with `took`. */
  begin(): number {
    return this.now()
  }

  /** A call is over: it began at `began` and might take `allowed` milliseconds. */
  took(kind: Kind, began: number, allowed: number): void {
    const took = this.now() - began
    this.tallies[kind].calls++
    this.longest = Math.max(this.longest, took / allowed)
    this.over = Math.max(this.over, took - allowed)
  }

  succeeded(kind: Kind, began: number): void {
    this.tallies[kind].lastSuccess = Math.max(this.tallies[kind].lastSuccess, began)
  }

  acknowledge(...ids: ReadonlyArray<string>): void {
    for (const id of ids) this.acknowledged.add(id)
  }

  fail(kind: Kind, error: unknown, ids: ReadonlyArray<string>, isPartial = false): void {
    if (!(error instanceof HitlessError.HitlessError)) {
      this.problems.push(`${kind}: failed with what is no HitlessError: ${String(error)}`)
      return
    }
    const { mayHaveExecuted, message } = error
    this.failures.push({ kind, reason: reasonOf(error), mayHaveExecuted, message, isPartial })
    for (const id of ids) this.failed.set(id, mayHaveExecuted)
    if (kind === "blocking" && mayHaveExecuted) this.blockingUnknown++
  }

  wrong(kind: Kind, what: string): void {
    if (this.wrongReads.length === 0) this.firstWrong = `${kind}: ${what}`
    this.wrongReads.push(this.now())
  }

  receive(job: string): void {
    this.received.push(job)
  }

  publish(message: number): void {
    this.published.set(message, this.now())
  }

  /** Whether it was published is not known. */
  unpublish(message: number): void {
    this.published.delete(message)
  }

  /** A message, or that some are missing or come again. */
  hear(message: number | PubSub.Gap["why"]): void {
    this.heard.push(message)
    if (typeof message === "number") this.succeeded("subscribing", this.published.get(message) ?? -1)
  }

  /** Where something may be missing of what was published, or comes again. */
  get gaps(): ReadonlyArray<PubSub.Gap["why"]> {
    return this.heard.filter((heard) => typeof heard !== "number")
  }

  /** Compares with what the server holds: the values written, and the jobs that were taken. */
  compare(stored: ReadonlyArray<string>, taken: ReadonlyArray<string>): void {
    const times = new Map<string, number>()
    for (const id of stored) times.set(id, (times.get(id) ?? 0) + 1)
    const of = (ids: Iterable<string>, isWrong: (count: number) => boolean) =>
      Array.from(ids).filter((id) => isWrong(times.get(id) ?? 0)).length
    const report = (count: number, what: string, where = this.problems) => {
      if (count > 0) where.push(`${count} ${what}`)
    }
    report(of(times.keys(), (count) => count > 1), "stored twice")
    report(of(this.acknowledged, (count) => count === 0), "acknowledged and not stored", this.untrue)
    report(
      Array.from(this.failed).filter(([id, may]) => !may && times.has(id)).length,
      "stored that \"certainly did not run\"",
      this.untrue
    )
    const all = new Set(taken)
    const given = new Set(this.received)
    report(taken.length - all.size, "jobs taken twice")
    report(this.received.length - given.size, "jobs given twice")
    report(this.received.filter((job) => !all.has(job)).length, "jobs given that were not taken", this.untrue)
    const lost = taken.filter((job) => !given.has(job)).length
    if (lost > this.blockingUnknown) {
      this.untrue.push(`${lost} jobs taken for nobody, of which ${this.blockingUnknown} may be`)
    }
    this.compareHeard()
  }

  private compareHeard(): void {
    let before: number | undefined
    let hasGap = false
    let mayRepeat = false
    let missing = 0
    let again = 0
    for (const message of this.heard) {
      if (typeof message !== "number") {
        hasGap = true
        mayRepeat = message === "repeated"
        continue
      }
      if (mayRepeat && before !== undefined && message <= before) continue
      mayRepeat = false
      if (before !== undefined) {
        if (message <= before) again++
        for (let id = before + 1; id < message; id++) if (this.published.has(id) && !hasGap) missing++
      }
      before = Math.max(message, before ?? 0)
      hasGap = false
    }
    if (missing > 0) this.problems.push(`${missing} messages lost without a gap`)
    if (again > 0) this.problems.push(`${again} messages heard twice or late`)
  }
}

/** How often each failure was met, the most frequent first. */
export const tallied = (failures: ReadonlyArray<Failure>): ReadonlyArray<readonly [what: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const { kind, mayHaveExecuted, reason } of failures) {
    const what = `${kind} ${reason}${mayHaveExecuted ? ", may have run" : ""}`
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return Array.from(counts).sort(([, a], [, b]) => b - a)
}
