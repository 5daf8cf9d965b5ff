/**
 * What a dashboard shows of hitless upgrades, read from a live run: handoff success and failure rates, handoff
 * duration, queue depth, worker utilisation, and the lives of connections.
 *
 * The client updates Effect metrics by itself; any exporter (Prometheus, OpenTelemetry) finds them under the names that
 * `hitless/Metrics` defines. This example has no exporter: it reads `Metric.snapshot` and prints.
 *
 * It brings its own deployment of two simulated nodes, on loopback:
 *
 *     npm run example:metrics
 */
import { NodeRuntime, NodeSocketServer } from "@effect/platform-node"
import { Console, Effect, Metric, References, Stream } from "effect"
import { type Config, HitlessRedis, Metrics } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import { SimulatedRedis } from "hitless/testing"

// ----- reading -----

type Snapshots = ReadonlyArray<Metric.Metric.Snapshot>

/** The series of a metric that have these attributes. */
const seriesOf = (snapshots: Snapshots, metric: { readonly id: string }, attributes: Record<string, string>) =>
  snapshots.filter((snapshot) =>
    snapshot.id === metric.id &&
    Object.entries(attributes).every(([name, value]) => snapshot.attributes?.[name] === value)
  )

/** The sum of a counter's or a gauge's series. */
const total = (snapshots: Snapshots, metric: { readonly id: string }, attributes: Record<string, string> = {}) => {
  let sum = 0
  for (const series of seriesOf(snapshots, metric, attributes)) {
    if (series.type === "Counter") sum += Number(series.state.count)
    if (series.type === "Gauge") sum += Number(series.state.value)
  }
  return sum
}

/** How often, how long on average and how long at most, in seconds. */
const durations = (snapshots: Snapshots, metric: { readonly id: string }, attributes: Record<string, string> = {}) => {
  let count = 0
  let sum = 0
  let longest = 0
  for (const series of seriesOf(snapshots, metric, attributes)) {
    if (series.type !== "Histogram" || series.state.count === 0) continue
    count += series.state.count
    sum += series.state.sum
    longest = Math.max(longest, series.state.max)
  }
  return { count, mean: count === 0 ? 0 : sum / count, longest }
}

/** The values that an attribute of a counter has, with their counts. */
const countsBy = (snapshots: Snapshots, metric: { readonly id: string }, attribute: string) =>
  seriesOf(snapshots, metric, {}).map((series) => {
    const value = series.attributes?.[attribute] ?? ""
    return `${value} ${total(snapshots, metric, { [attribute]: value })}`
  })

// ----- printing -----

const seconds = (value: number): string => `${value.toFixed(3)} s`

const percent = (part: number, whole: number): string => whole === 0 ? "–" : `${(100 * part / whole).toFixed(0)} %`

const connectionsNow = (snapshots: Snapshots): string =>
  ["used", "idle", "draining"]
    .map((state) => `${total(snapshots, Metrics.connectionCount, { "db.client.connection.state": state })} ${state}`)
    .join(", ")

/** One line while things happen: the gauges. */
const printGauges = Effect.flatMap(Metric.snapshot, (snapshots) => {
  const active = total(snapshots, Metrics.handoffWorkers, { state: "active" })
  const workers = active + total(snapshots, Metrics.handoffWorkers, { state: "idle" })
  return Console.log(
    `  queue depth ${total(snapshots, Metrics.handoffQueueDepth)}` +
      ` · workers ${active} of ${workers} active (${percent(active, workers)})` +
      ` · connections ${connectionsNow(snapshots)}` +
      ` · ${total(snapshots, Metrics.pendingRequests)} commands pending` +
      ` · ${total(snapshots, Metrics.relaxedTimeouts)} windows open`
  )
})

/** The totals at the end: counters and histograms. */
const printTotals = Effect.flatMap(Metric.snapshot, (snapshots) => {
  const succeeded = total(snapshots, Metrics.handoffs, { result: "success" })
  const failed = total(snapshots, Metrics.handoffs, { result: "failure" })
  const ended = succeeded + failed
  const moves = durations(snapshots, Metrics.handoffDuration, { result: "success" })
  const dials = durations(snapshots, Metrics.connectionCreateTime)
  return Console.log([
    "",
    `Handoffs       ${succeeded} succeeded (${percent(succeeded, ended)}), ${failed} failed (${
      percent(failed, ended)
    })`,
    `Duration       ${seconds(moves.mean)} on average, ${seconds(moves.longest)} at most, of those that succeeded`,
    `Connections    ${dials.count} made, in ${seconds(dials.mean)} on average; now ${connectionsNow(snapshots)}`,
    `Notifications  ${countsBy(snapshots, Metrics.notifications, "redis.client.connection.notification").join(", ")}`,
    `Errors         ${countsBy(snapshots, Metrics.errors, "error.type").join(", ") || "none"}`
  ].join("\n"))
})

// ----- the run -----

const poolSize = 9

/** Bursts of commands on slow connections, until all slots of the pool are open. */
const grow = Effect.fn("grow")(function*(sim: SimulatedRedis.SimulatedRedis) {
  const redis = yield* HitlessRedis.HitlessRedis
  // The pool opens its next connection when all that it has are busy, which a thousand commands make each.
  const burst = Array.from({ length: 2000 * poolSize }, () => redis.send("PING"))
  yield* sim.latency("a", "100 millis")
  yield* Effect.all(burst, { concurrency: "unbounded", discard: true }).pipe(
    Effect.andThen(redis.status),
    Effect.repeat({ until: ({ slots }) => slots.every(({ endpoint }) => endpoint !== undefined) })
  )
  yield* sim.latency("a", 0)
})

/** Commands that run on, whatever happens to their connections. */
const load = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  const worker = redis.send("INCR", "counter").pipe(Effect.andThen(Effect.sleep("1 millis")), Effect.forever)
  yield* Effect.all(Array.from({ length: 50 }, () => worker), { concurrency: "unbounded", discard: true })
})

/** Waits until that many more handoffs have ended, and prints the gauges meanwhile. */
const whileHandingOff = <E>(announce: Effect.Effect<void, E>, count: number) =>
  Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis
    const ended = yield* redis.handoffs.pipe(
      Stream.filter(({ _tag }) => _tag === "Completed" || _tag === "Failed"),
      Stream.take(count),
      Stream.runDrain,
      Effect.forkChild({ startImmediately: true })
    )
    yield* announce
    yield* printGauges.pipe(
      Effect.delay("200 millis"),
      Effect.repeat({ until: () => ended.pollUnsafe() !== undefined })
    )
  })

const program = (sim: SimulatedRedis.SimulatedRedis) =>
  Effect.gen(function*() {
    yield* grow(sim)
    yield* Effect.forkChild(load)
    yield* Console.log("Under load, before any maintenance:")
    yield* printGauges

    yield* Console.log("\nNode a moves to node b, whose handshakes take 200 ms:")
    yield* sim.handshake("b", { _tag: "Answer", delay: "200 millis" })
    yield* whileHandingOff(sim.moving("a", { target: "b", time: "5 seconds" }), poolSize)

    yield* Console.log("\nNode b moves back to node a, which refuses every connection:")
    yield* whileHandingOff(
      Effect.andThen(sim.refuse("a"), sim.moving("b", { target: "a", time: "3 seconds" })),
      poolSize
    )

    yield* Console.log("\nThe connections to node b serve on, until node a accepts again and is announced once more:")
    yield* whileHandingOff(
      Effect.andThen(sim.accept("a"), sim.moving("b", { target: "a", time: "3 seconds" })),
      poolSize
    )
    yield* printTotals
  })

const options = (endpoint: ReturnType<SimulatedRedis.SimulatedRedis["endpoint"]>): Config.Options => ({
  ...(endpoint._tag === "Tcp" ? { host: endpoint.host, port: endpoint.port } : { path: endpoint.path }),
  poolSize,
  maintenance: {
    // One attempt and one more, so that the refused move is given up soon.
    handoffTimeout: "1 second",
    maxHandoffRetries: 1,
    // The refused move would otherwise keep the breaker from trying node a once more.
    circuitBreaker: { failures: 100 }
  }
})

const main = Effect.gen(function*() {
  const sim = yield* SimulatedRedis.make({
    listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
    nodes: ["a", "b"]
  })
  yield* program(sim).pipe(Effect.provide(NodeHitlessRedis.layer(options(sim.endpoint("a")))))
})

// The figures alone, without the client's log.
NodeRuntime.runMain(Effect.scoped(main).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
