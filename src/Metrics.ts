/**
 * The metrics of this package, under the names that the official Redis clients use, and the recorder that feeds them.
 *
 * Counters and histograms are updated when something happens; gauges are read from the live client when a snapshot is
 * taken, so that an idle client does no work and the hot path pays nothing. All series carry
 * `db.client.connection.pool.name`: the configured `clientName`, else the endpoint; clients of one name share their series,
 * and their gauges are sums. Durations are in seconds, as OpenTelemetry has them.
 * This module never decides anything.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { HitlessErrorReason, unreadableCode } from "./HitlessError.ts"

const seconds = (name: string, description: string) =>
  Metric.histogram(name, {
    description,
    // From 100 µs, a loopback round trip, to 52 s, past the longest default timeout; the last of them is Infinity.
    boundaries: Metric.exponentialBoundaries({ start: 0.0001, factor: 2, count: 21 })
  })

/**
 * Handoffs that ended, by `result`: `success` or `failure`; and moves to a target that `maintenance.targets` does not
 * allow, as `refused`.
 *
 * @category constants
 * @since 0.1.0
 */
export const handoffs = Metric.counter("redis.client.connection.handoff", {
  description: "Connection handoffs that ended, by result"
})

/**
 * Relaxation windows that are open now: counted up and down.
 *
 * @category constants
 * @since 0.1.0
 */
export const relaxedTimeouts = Metric.counter("redis.client.connection.relaxed_timeout", {
  description: "Relaxation windows that are open"
})

/**
 * Maintenance notifications, each event once, by `redis.client.connection.notification`: the frame's name, or `malformed`.
 *
 * @category constants
 * @since 0.1.0
 */
export const notifications = Metric.counter("redis.client.maintenance.notifications", {
  description: "Maintenance notifications received, each event once",
  incremental: true
})

/**
 * Commands that failed and connections that could not be made, by `error.type`: the reason's tag, or the code of a
 * server's error reply. A code that is not one of Redis' own is `_OTHER`.
 *
 * @category constants
 * @since 0.1.0
 */
export const errors = Metric.counter("redis.client.errors", {
  description: "Errors given to callers, and dials that failed",
  incremental: true
})

/**
 * Connections for commands, by `db.client.connection.state`: `used` (something outstanding), `idle` or `draining`.
 *
 * @category constants
 * @since 0.1.0
 */
export const connectionCount = Metric.gauge("db.client.connection.count", {
  description: "Connections for commands, by state"
})

/**
 * Seconds from the dial to the last reply of the handshake.
 *
 * @category constants
 * @since 0.1.0
 */
export const connectionCreateTime = seconds("db.client.connection.create_time", "Time to dial and to shake hands")

/**
 * Commands that are waiting or unanswered.
 *
 * @category constants
 * @since 0.1.0
 */
export const pendingRequests = Metric.gauge("db.client.connection.pending_requests", {
  description: "Commands waiting or unanswered"
})

/**
 * What caches were asked for, by `redis.client.csc.result`: `hit` or `miss`.
 *
 * @category constants
 * @since 0.1.0
 */
export const cacheRequests = Metric.counter("redis.client.csc.requests", {
  description: "Reads of client-side caches, by result",
  incremental: true
})

/**
 * What caches dropped, by `redis.client.csc.reason`: `full`, or `invalidation` by the server.
 *
 * @category constants
 * @since 0.1.0
 */
export const cacheEvictions = Metric.counter("redis.client.csc.evictions", {
  description: "Replies that client-side caches dropped, by reason",
  incremental: true
})

/**
 * Replies that caches keep.
 *
 * @category constants
 * @since 0.1.0
 */
export const cacheItems = Metric.gauge("redis.client.csc.items", { description: "Replies in client-side caches" })

/**
 * Seconds from call to reply, by `db.operation.name`; only where `OperationDurations` is on.
 *
 * @category constants
 * @since 0.1.0
 */
export const operationDuration = seconds("db.client.operation.duration", "Time from call to reply")

/**
 * Seconds from a handoff's first attempt to its end.
 *
 * @category constants
 * @since 0.1.0
 */
export const handoffDuration = seconds("hitless.handoff.duration", "Time from a handoff's first attempt to its end")

/**
 * Handoffs that wait for a worker.
 *
 * @category constants
 * @since 0.1.0
 */
export const handoffQueueDepth = Metric.gauge("hitless.handoff.queue.depth", {
  description: "Handoffs that wait for a worker"
})

/**
 * Handoff worker fibers, by `state`: `active` or `idle`.
 *
 * @category constants
 * @since 0.1.0
 */
export const handoffWorkers = Metric.gauge("hitless.handoff.workers", { description: "Handoff workers, by state" })

/**
 * Whether clients record `db.client.operation.duration`. Off by default: with small commands by the hundred it costs
 * a fifth to a quarter of the throughput (`npm run bench -- overhead`). Read once, when a client is made.
 *
 * @category services
 * @since 0.1.0
 */
export const OperationDurations = Context.Reference<boolean>("hitless/Metrics/OperationDurations", {
  defaultValue: () => false
})

/** What OpenTelemetry has instead of a value that is not one of a bounded set. */
const otherwise = "_OTHER"

/** There are some 500 commands; more names than this, in whatever spelling, share one series. */
const mostOperations = 2048

/**
 * The tags of reasons, and the codes that Redis and Valkey give their error replies, cluster and sentinel included. A
 * script can make up any code, and each would be a series of its own for ever.
 */
const errorTypes: ReadonlySet<string> = new Set([
  ...HitlessErrorReason.members.map(({ identifier }) => identifier.slice(identifier.lastIndexOf("/") + 1)),
  unreadableCode,
  "ASK",
  "BADAUTH",
  "BUSY",
  "BUSYGROUP",
  "BUSYKEY",
  "CLUSTERDOWN",
  "CROSSSLOT",
  "DENIED",
  "ERR",
  "EXECABORT",
  "INPROG",
  "INVALIDOBJ",
  "IOERR",
  "LOADING",
  "MASTERDOWN",
  "MISCONF",
  "MOVED",
  "NOADDR",
  "NOAUTH",
  "NOGOODSLAVE",
  "NOGROUP",
  "NOMASTERLINK",
  "NOPERM",
  "NOPROTO",
  "NOREPLICAS",
  "NOSCRIPT",
  "NOTBUSY",
  "NOTREADY",
  "OOM",
  "READONLY",
  "REDIRECT",
  "SYNTAX",
  "TRYAGAIN",
  "UNBLOCKED",
  "UNKILLABLE",
  "WRONGPASS",
  "WRONGTYPE"
])

/** What a live client shows to the gauges. @internal */
export interface Observed {
  readonly usedConnections: () => number
  readonly idleConnections: () => number
  readonly drainingConnections: () => number
  readonly pendingRequests: () => number
}

/** The readings that add up to one gauge, of however many pools and clients. */
interface Gauge {
  readonly readings: Set<() => number>
  readonly registration: Metric.Registration
}

/** The gauges in each registry, by metric and attributes. */
const gaugesOf = new WeakMap<object, Map<string, Gauge>>()

/** Feeds the metrics of one client. Every method is synchronous and cheap. @internal */
export class Recorder {
  readonly recordsOperations: boolean
  private readonly context: Context.Context<never>
  private readonly attributes: Record<string, string>
  private readonly extra: Readonly<Record<string, string>>
  private readonly gauges: Map<string, Gauge>
  /** What ends each of its readings. */
  private readonly readings = new Set<() => void>()
  /** The series of operations by name. Made anew for each command, they cost more than the rest of it. */
  private readonly operations = new Map<string, Metric.Histogram<number>>()
  /** The series of failures by type: they come by the hundred thousand when they come. */
  private readonly failures = new Map<string, Metric.Counter<number>>()
  /** The series of reads of caches by result: they are what a hit does beside a look-up. */
  private readonly cacheReads: { hit?: Metric.Counter<number>; miss?: Metric.Counter<number> } = {}

  constructor(context: Context.Context<never>, poolName: string) {
    this.context = context
    this.attributes = { "db.client.connection.pool.name": poolName }
    this.recordsOperations = Context.get(context, OperationDurations)
    this.extra = Context.get(context, Metric.CurrentMetricAttributes)
    const registry = Context.get(context, Metric.MetricRegistry)
    const known = gaugesOf.get(registry)
    this.gauges = known ?? new Map()
    if (known === undefined) gaugesOf.set(registry, this.gauges)
  }

  /** Adds live values to the gauges, until `close` or until the effect of what it returns. */
  observe(observed: Observed): () => void {
    const ends = [
      this.gauge(connectionCount, observed.usedConnections, { "db.client.connection.state": "used" }),
      this.gauge(connectionCount, observed.idleConnections, { "db.client.connection.state": "idle" }),
      this.gauge(connectionCount, observed.drainingConnections, { "db.client.connection.state": "draining" }),
      this.gauge(pendingRequests, observed.pendingRequests)
    ]
    return () => {
      for (const end of ends) end()
    }
  }

  /** Adds the handoff workers to the gauges until `close`. */
  observeHandoffs(observed: {
    readonly queueDepth: () => number
    readonly activeWorkers: () => number
    readonly idleWorkers: () => number
  }): void {
    this.gauge(handoffQueueDepth, observed.queueDepth)
    this.gauge(handoffWorkers, observed.activeWorkers, { state: "active" })
    this.gauge(handoffWorkers, observed.idleWorkers, { state: "idle" })
  }

  /** Adds what caches keep to the gauges until `close`. */
  observeCaches(items: () => number): void {
    this.gauge(cacheItems, items)
  }

  cacheRead(result: "hit" | "miss"): void {
    const series = this.cacheReads[result] ??= this.series(cacheRequests, { "redis.client.csc.result": result })
    series.updateUnsafe(1, this.context)
  }

  cacheEvicted(reason: "full" | "invalidation", count: number): void {
    this.update(cacheEvictions, count, { "redis.client.csc.reason": reason })
  }

  connectionCreated(millis: number): void {
    this.update(connectionCreateTime, millis / 1000)
  }

  notified(name: string): void {
    this.update(notifications, 1, { "redis.client.connection.notification": name })
  }

  windowChanged(delta: 1 | -1): void {
    this.update(relaxedTimeouts, delta)
  }

  handoffEnded(result: "success" | "failure", millis: number): void {
    this.update(handoffs, 1, { result })
    this.update(handoffDuration, millis / 1000, { result })
  }

  moveRefused(): void {
    this.update(handoffs, 1, { result: "refused" })
  }

  /** Counts a failure by its reason's tag, or by the code of the server's error reply. */
  failed(type: string): void {
    const known = errorTypes.has(type) ? type : otherwise
    let series = this.failures.get(known)
    if (series === undefined) {
      series = this.series(errors, { "error.type": known })
      this.failures.set(known, series)
    }
    series.updateUnsafe(1, this.context)
  }

  operationEnded(name: string, millis: number): void {
    let series = this.operations.get(name)
    if (series === undefined) {
      const known = this.operations.size < mostOperations
      series = this.series(operationDuration, { "db.operation.name": known ? name : otherwise })
      if (known) this.operations.set(name, series)
    }
    series.updateUnsafe(millis / 1000, this.context)
  }

  /** Removes the gauges of this client; counters and histograms keep what they counted. */
  close(): void {
    for (const end of this.readings) end()
  }

  private update<State>(
    metric: Metric.Metric<number, State>,
    value: number,
    attributes?: Record<string, string>
  ): void {
    this.series(metric, attributes).updateUnsafe(value, this.context)
  }

  private series<State>(
    metric: Metric.Metric<number, State>,
    attributes: Record<string, string> | undefined
  ): Metric.Metric<number, State> {
    return Metric.withAttributes(metric, { ...this.attributes, ...attributes })
  }

  private gauge(metric: Metric.Gauge<number>, read: () => number, attributes?: Record<string, string>): () => void {
    const key = JSON.stringify([metric.id, { ...this.attributes, ...attributes }, this.extra])
    const gauge = this.gauges.get(key) ?? this.register(metric, attributes)
    this.gauges.set(key, gauge)
    gauge.readings.add(read)
    const end = () => {
      this.readings.delete(end)
      gauge.readings.delete(read)
      if (gauge.readings.size > 0) return
      gauge.registration.remove()
      this.gauges.delete(key)
    }
    this.readings.add(end)
    return end
  }

  private register(metric: Metric.Gauge<number>, attributes: Record<string, string> | undefined): Gauge {
    const readings = new Set<() => number>()
    const registration = Metric.registerUnsafe(this.series(metric, attributes), this.context, {
      get: () => {
        let value = 0
        for (const read of readings) value += read()
        return { value }
      },
      update: () => {},
      modify: () => {}
    })
    return { readings, registration }
  }
}
