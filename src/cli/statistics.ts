/**
 * What a run measured, and what follows from it: a log of every command, and pure functions over the finished log.
 *
 * While a run is under way only `CommandLog.record` is called, which writes three numbers; percentiles, gaps and buckets
 * are computed afterwards, so measuring does not disturb what is measured. Times are milliseconds since the run began.
 * Nothing here reads a clock.
 *
 * @since 0.1.0
 */

/** Commands per block: blocks are filled and never copied, so a run of any length records without a pause. */
const blockSize = 65_536

interface Block {
  readonly endedAt: Float64Array
  readonly took: Float64Array
  /** 0 for an answered command, else 1 more than the index of the failure's reason. */
  readonly outcome: Uint8Array
}

/**
 * A command that ended. `reason` is the tag of its failure; answered commands have none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly startedAt: number
  readonly endedAt: number
  readonly took: number
  readonly reason: string | undefined
}

/**
 * Every command of a run, in the order in which they ended.
 *
 * @category models
 * @since 0.1.0
 */
export class CommandLog {
  length = 0
  failed = 0
  private readonly blocks: Array<Block> = []
  private readonly reasons: Array<string> = []

  /** Adds a command; `endedAt` must not go back. */
  record(endedAt: number, took: number, reason?: string): void {
    const index = this.length % blockSize
    if (index === 0) {
      this.blocks.push({
        endedAt: new Float64Array(blockSize),
        took: new Float64Array(blockSize),
        outcome: new Uint8Array(blockSize)
      })
    }
    const block = this.blocks[this.blocks.length - 1]
    block.endedAt[index] = endedAt
    block.took[index] = took
    if (reason !== undefined) {
      block.outcome[index] = this.outcomeOf(reason)
      this.failed++
    }
    this.length++
  }

  private outcomeOf(reason: string): number {
    const known = this.reasons.indexOf(reason)
    return known === -1 ? this.reasons.push(reason) : known + 1
  }

  at(index: number): Entry {
    const block = this.blocks[Math.floor(index / blockSize)]
    const endedAt = block.endedAt[index % blockSize]
    const took = block.took[index % blockSize]
    const outcome = block.outcome[index % blockSize]
    return { startedAt: endedAt - took, endedAt, took, reason: outcome === 0 ? undefined : this.reasons[outcome - 1] }
  }

  /** The commands from `first` on. */
  *entries(first: number = 0): Generator<Entry> {
    for (let index = first; index < this.length; index++) yield this.at(index)
  }
}

/**
 * A part of a run with a name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Span {
  readonly name: string
  readonly from: number
  readonly to: number
}

/**
 * What a span came to. A command belongs to the span in which it was called; latency is that of answered commands, in
 * milliseconds, `NaN` when there were none. The gap is the longest time within the span without a reply.
 *
 * @category models
 * @since 0.1.0
 */
export interface Summary {
  readonly name: string
  readonly commands: number
  readonly failed: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly longestGap: number
}

/**
 * Milliseconds in at most five characters.
 *
 * @category formatting
 * @since 0.1.0
 */
export const millis = (value: number): string =>
  Number.isNaN(value) ? "–" : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)

/**
 * A number of things, with separated thousands.
 *
 * @category formatting
 * @since 0.1.0
 */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/**
 * The value that `share` of the values do not exceed (nearest rank); `NaN` of none. `sorted` is ascending.
 *
 * @category getters
 * @since 0.1.0
 */
export const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted.length === 0 ? NaN : sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]

/** Ascending numbers: typed arrays compare numbers natively. */
const ascending = (values: Iterable<number>): Float64Array => Float64Array.from(values).sort()

/**
 * The latency figures of some commands, whatever order they are in.
 *
 * @category getters
 * @since 0.1.0
 */
export const latency = (values: Iterable<number>): Pick<Summary, "p50" | "p99" | "p999" | "max"> => {
  const sorted = ascending(values)
  return {
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
    max: percentile(sorted, 1)
  }
}

/**
 * Sums up a span of the log.
 *
 * @category getters
 * @since 0.1.0
 */
export const summarize = (log: CommandLog, span: Span): Summary => {
  const took: Array<number> = []
  let failed = 0
  let lastReply = span.from
  let longestGap = 0
  for (const entry of log.entries()) {
    if (entry.startedAt >= span.from && entry.startedAt < span.to) {
      if (entry.reason === undefined) took.push(entry.took)
      else failed++
    }
    if (entry.reason === undefined && entry.endedAt >= span.from && entry.endedAt < span.to) {
      longestGap = Math.max(longestGap, entry.endedAt - lastReply)
      lastReply = entry.endedAt
    }
  }
  longestGap = Math.max(longestGap, span.to - lastReply)
  return { name: span.name, commands: took.length + failed, failed, ...latency(took), longestGap }
}

/**
 * How often each reason made a command fail, the most frequent first.
 *
 * @category getters
 * @since 0.1.0
 */
export const failures = (log: CommandLog): ReadonlyArray<readonly [reason: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const { reason } of log.entries()) {
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  return [...counts].sort(([, one], [, other]) => other - one)
}

/**
 * The commands called within a short time: `p50` and `max` of those answered, and how many failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bucket {
  readonly from: number
  readonly p50: number
  readonly max: number
  readonly failed: number
  /** The longest time a command took to fail; 0 when none did. */
  readonly failedAfter: number
}

/**
 * Cuts the log into buckets of `width` milliseconds; those in which nothing was called are left out.
 *
 * @category getters
 * @since 0.1.0
 */
export const buckets = (log: CommandLog, width: number): ReadonlyArray<Bucket> => {
  const byIndex = new Map<number, { readonly took: Array<number>; failed: number; failedAfter: number }>()
  for (const { reason, startedAt, took } of log.entries()) {
    const index = Math.floor(startedAt / width)
    let bucket = byIndex.get(index)
    if (bucket === undefined) byIndex.set(index, bucket = { took: [], failed: 0, failedAfter: 0 })
    if (reason === undefined) bucket.took.push(took)
    else {
      bucket.failed++
      bucket.failedAfter = Math.max(bucket.failedAfter, took)
    }
  }
  return [...byIndex].sort(([one], [other]) => one - other).map(([index, { failed, failedAfter, took }]) => {
    const { max, p50 } = latency(took)
    return { from: index * width, p50, max, failed, failedAfter }
  })
}

/**
 * A counter as its users saw it: increments that were acknowledged, and increments that failed but may have run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counter {
  acknowledged: number
  uncertain: number
}

/**
 * The counters compared with what is stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Audit {
  readonly counters: number
  readonly acknowledged: number
  readonly uncertain: number
  /** Increments that were acknowledged and are not there. */
  readonly lost: number
  /** Increments that are there and that nobody asked for. */
  readonly doubled: number
}

/**
 * Compares each counter with its stored value. An increment that failed but may have run can be there or not.
 *
 * @category getters
 * @since 0.1.0
 */
export const audit = (
  counters: ReadonlyMap<string, Counter>,
  stored: (key: string) => number
): Audit => {
  const sum = { counters: counters.size, acknowledged: 0, uncertain: 0, lost: 0, doubled: 0 }
  for (const [key, { acknowledged, uncertain }] of counters) {
    const value = stored(key)
    sum.acknowledged += acknowledged
    sum.uncertain += uncertain
    sum.lost += Math.max(0, acknowledged - value)
    sum.doubled += Math.max(0, value - acknowledged - uncertain)
  }
  return sum
}

/**
 * Something that happened during a run. `announced` is what the client was told and `unheard` what it did not ask
 * for, `handoff` what it did about it, `deployment` what the nodes did, `phase` the beginning of a phase.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mark {
  readonly kind: "phase" | "announced" | "unheard" | "handoff" | "deployment"
  readonly at: number
  readonly label: string
  /** How long it had taken when it was over, at `at`. */
  readonly took?: number | undefined
  /** How long it goes on from `at`: a node that answers nothing. */
  readonly lasts?: number | undefined
  /** How many connections of clients it closed. */
  readonly cuts?: number | undefined
}

/**
 * A finished run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly mode: "enabled" | "disabled"
  /** Milliseconds. */
  readonly length: number
  readonly log: CommandLog
  readonly spans: ReadonlyArray<Span>
  readonly marks: ReadonlyArray<Mark>
  readonly audit: Audit
  readonly wrongReads: number
}
