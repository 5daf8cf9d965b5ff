import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as HitlessError from "hitless/HitlessError"
import * as Metrics from "hitless/Metrics"

/** A recorder on a registry of its own. */
const make = (poolName = "sessions", recordsOperations = false) => {
  const context = Context.make(Metric.MetricRegistry, new Map()).pipe(
    Context.add(Metrics.OperationDurations, recordsOperations)
  )
  const recorder = new Metrics.Recorder(context, poolName)
  /** The series of one metric, as `attribute values → state`, without the pool's name. */
  const series = (metric: { readonly id: string }): Record<string, unknown> =>
    Object.fromEntries(
      Metric.snapshotUnsafe(context)
        .filter(({ id }) => id === metric.id)
        .map(({ attributes = {}, state, type }) => {
          const { "db.client.connection.pool.name": pool, ...rest } = attributes
          assert.strictEqual(pool, poolName)
          const key = Object.entries(rest).map(([name, value]) => `${name}=${value}`).join(" ")
          return [key, type === "Histogram" ? state : (state as { count?: number; value?: number }).count ?? state]
        })
    )
  const names = () => [...new Set(Metric.snapshotUnsafe(context).map(({ id }) => id))].sort()
  return { context, recorder, series, names }
}

const pool = () => {
  const live = { used: 1, idle: 2, draining: 3, pending: 4 }
  return {
    live,
    observed: {
      usedConnections: () => live.used,
      idleConnections: () => live.idle,
      drainingConnections: () => live.draining,
      pendingRequests: () => live.pending
    }
  }
}

const handoffs = () => {
  const live = { depth: 1, active: 2, idle: 3 }
  return {
    live,
    observed: { queueDepth: () => live.depth, activeWorkers: () => live.active, idleWorkers: () => live.idle }
  }
}

describe("Metrics", () => {
  it("has the names of the official clients, and its own", () => {
    const { names, recorder } = make()
    recorder.observe(pool().observed)
    recorder.observeHandoffs(handoffs().observed)
    recorder.connectionCreated(1)
    recorder.notified("MOVING")
    recorder.windowChanged(1)
    recorder.handoffEnded("success", 1)
    recorder.failed("CommandTimeout")
    recorder.operationEnded("GET", 1)
    assert.deepStrictEqual(names(), [
      "db.client.connection.count",
      "db.client.connection.create_time",
      "db.client.connection.pending_requests",
      "db.client.operation.duration",
      "hitless.handoff.duration",
      "hitless.handoff.queue.depth",
      "hitless.handoff.workers",
      "redis.client.connection.handoff",
      "redis.client.connection.relaxed_timeout",
      "redis.client.errors",
      "redis.client.maintenance.notifications"
    ])
  })

  it("counts handoffs by result", () => {
    const { recorder, series } = make()
    recorder.handoffEnded("success", 10)
    recorder.handoffEnded("success", 10)
    recorder.handoffEnded("failure", 10)
    assert.deepStrictEqual(series(Metrics.handoffs), { "result=success": 2, "result=failure": 1 })
  })

  it("counts notifications by the frame's name, and malformed ones", () => {
    const { recorder, series } = make()
    for (const name of ["MOVING", "MIGRATING", "MOVING", "malformed"]) recorder.notified(name)
    assert.deepStrictEqual(series(Metrics.notifications), {
      "redis.client.connection.notification=MOVING": 2,
      "redis.client.connection.notification=MIGRATING": 1,
      "redis.client.connection.notification=malformed": 1
    })
  })

  it("counts errors by type", () => {
    const { recorder, series } = make()
    for (const type of ["CommandTimeout", "WRONGTYPE", "WRONGTYPE"]) recorder.failed(type)
    assert.deepStrictEqual(series(Metrics.errors), { "error.type=CommandTimeout": 1, "error.type=WRONGTYPE": 2 })
  })

  it("counts what is no code of Redis, and what scripts make up, as one type", () => {
    const { recorder, series } = make()
    for (const type of ["NOPROTO", "MYERR", "wrongtype", "", "__proto__", "toString", "ERR\n"]) recorder.failed(type)
    for (let i = 0; i < 3000; i++) recorder.failed(`CODE${i}`)
    assert.deepStrictEqual(series(Metrics.errors), { "error.type=NOPROTO": 1, "error.type=_OTHER": 3006 })
  })

  it("knows each reason of the error, and what the codec itself says of a reply", () => {
    const { recorder, series } = make()
    const types = [
      ...HitlessError.HitlessErrorReason.members.map((reason) => reason.identifier.replace(/^.*\//, "")),
      HitlessError.unreadableCode
    ]
    for (const type of types) recorder.failed(type)
    assert.deepStrictEqual(Object.keys(series(Metrics.errors)).sort(), types.map((type) => `error.type=${type}`).sort())
  })

  it("keeps a bounded number of operations apart", () => {
    const { recorder, series } = make("sessions", true)
    for (let i = 0; i < 5000; i++) recorder.operationEnded(`command${i}`, 1)
    const operations = Object.keys(series(Metrics.operationDuration))
    assert.lengthOf(operations, 2049)
    assert.include(operations, "db.operation.name=_OTHER")
  })

  it("counts open windows up and down", () => {
    const { recorder, series } = make()
    for (const delta of [1, 1, -1] as const) recorder.windowChanged(delta)
    assert.deepStrictEqual(series(Metrics.relaxedTimeouts), { "": 1 })
    recorder.windowChanged(-1)
    assert.deepStrictEqual(series(Metrics.relaxedTimeouts), { "": 0 })
  })

  it("measures durations in seconds, with buckets from 100 µs to 52 s", () => {
    const { recorder, series } = make()
    recorder.connectionCreated(1)
    recorder.connectionCreated(2500)
    const state = series(Metrics.connectionCreateTime)[""] as Metric.HistogramState
    assert.strictEqual(state.count, 2)
    assert.strictEqual(state.min, 0.001)
    assert.strictEqual(state.max, 2.5)
    assert.strictEqual(state.sum, 2.501)
    const bounds = state.buckets.map(([bound]) => bound)
    assert.strictEqual(bounds[0], 0.0001)
    assert.closeTo(bounds.at(-2)!, 52.4, 0.1)
    assert.strictEqual(bounds.at(-1), Infinity)
  })

  it("measures handoffs by result, and operations by name", () => {
    const { recorder, series } = make()
    recorder.handoffEnded("success", 250)
    recorder.handoffEnded("failure", 15_000)
    recorder.operationEnded("GET", 4)
    const sums = (metric: { readonly id: string }) =>
      Object.entries(series(metric)).map(([key, state]) => [key, (state as Metric.HistogramState).sum])
    assert.deepStrictEqual(sums(Metrics.handoffDuration), [["result=success", 0.25], ["result=failure", 15]])
    assert.deepStrictEqual(sums(Metrics.operationDuration), [["db.operation.name=GET", 0.004]])
  })

  it("records operations only where it is asked to", () => {
    assert.isFalse(new Metrics.Recorder(Context.empty(), "sessions").recordsOperations)
    assert.isFalse(make("sessions", false).recorder.recordsOperations)
    assert.isTrue(make("sessions", true).recorder.recordsOperations)
  })

  it("reads gauges from the live client", () => {
    const { recorder, series } = make()
    const { live, observed } = pool()
    const workers = handoffs()
    recorder.observe(observed)
    recorder.observeHandoffs(workers.observed)
    const state = (name: string) => `db.client.connection.state=${name}`
    assert.deepStrictEqual(series(Metrics.connectionCount), {
      [state("used")]: { value: 1 },
      [state("idle")]: { value: 2 },
      [state("draining")]: { value: 3 }
    })
    assert.deepStrictEqual(series(Metrics.pendingRequests), { "": { value: 4 } })
    assert.deepStrictEqual(series(Metrics.handoffQueueDepth), { "": { value: 1 } })
    assert.deepStrictEqual(series(Metrics.handoffWorkers), {
      "state=active": { value: 2 },
      "state=idle": { value: 3 }
    })
    live.used = 7
    live.pending = 0
    workers.live.depth = 9
    assert.deepStrictEqual(series(Metrics.connectionCount)[state("used")], { value: 7 })
    assert.deepStrictEqual(series(Metrics.pendingRequests), { "": { value: 0 } })
    assert.deepStrictEqual(series(Metrics.handoffQueueDepth), { "": { value: 9 } })
  })

  it("removes its gauges on close, and keeps what was counted", () => {
    const { names, recorder } = make()
    recorder.observe(pool().observed)
    recorder.observeHandoffs(handoffs().observed)
    recorder.failed("CommandTimeout")
    recorder.close()
    assert.deepStrictEqual(names(), ["redis.client.errors"])
  })

  it("keeps clients of different names apart, and closes one without the other", () => {
    const { context } = make()
    const sessions = new Metrics.Recorder(context, "sessions")
    const cache = new Metrics.Recorder(context, "cache")
    sessions.observe(pool().observed)
    cache.observe(pool().observed)
    sessions.failed("Closed")
    sessions.close()
    const left = Metric.snapshotUnsafe(context).map(({ attributes = {}, id }) => [
      id,
      attributes["db.client.connection.pool.name"]
    ])
    assert.deepStrictEqual(left, [
      ["db.client.connection.count", "cache"],
      ["db.client.connection.count", "cache"],
      ["db.client.connection.count", "cache"],
      ["db.client.connection.pending_requests", "cache"],
      ["redis.client.errors", "sessions"]
    ])
  })

  it("adds up what the pools of a client and clients of one name have, and takes away what is gone", () => {
    const { context, recorder, series } = make()
    const other = new Metrics.Recorder(context, "sessions")
    const [first, second, third] = [pool(), pool(), pool()]
    recorder.observe(first.observed)
    const forget = recorder.observe(second.observed)
    other.observe(third.observed)
    recorder.observeHandoffs(handoffs().observed)
    other.observeHandoffs(handoffs().observed)
    third.live.pending = 100
    assert.deepStrictEqual(series(Metrics.pendingRequests), { "": { value: 108 } })
    assert.deepStrictEqual(series(Metrics.handoffQueueDepth), { "": { value: 2 } })
    forget()
    assert.deepStrictEqual(series(Metrics.pendingRequests), { "": { value: 104 } })
    other.close()
    assert.deepStrictEqual(series(Metrics.pendingRequests), { "": { value: 4 } })
    assert.deepStrictEqual(series(Metrics.handoffQueueDepth), { "": { value: 1 } })
    recorder.close()
    assert.deepStrictEqual(series(Metrics.pendingRequests), {})
  })

  it("describes every metric", () => {
    for (const metric of Object.values(Metrics)) {
      if (Metric.isMetric(metric)) assert.isNotEmpty((metric as { readonly description?: string }).description)
    }
  })
})
