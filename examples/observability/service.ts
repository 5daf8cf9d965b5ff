/**
 * A service with all that is watched of its Redis: `GET /metrics` for Prometheus, `GET /health` for a probe, and, where
 * `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, spans too. `dashboard.json` is for Grafana, `alerts.yml` for Prometheus.
 *
 *     npm run example:observability
 *     curl http://localhost:9464/metrics
 *
 * Without `REDIS_URL` it brings its own deployment, two simulated nodes between which the service moves every ten seconds, so
 * that there is something to see.
 */
import { NodeHttpServer, NodeRuntime, NodeSocketServer } from "@effect/platform-node"
import { Config as EnvConfig, type Duration, Effect, Layer, Schedule } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import { OtlpSerialization, OtlpTracer, PrometheusMetrics } from "effect/observability"
import { Commands, Config, Endpoint, HitlessRedis, Metrics } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import { SimulatedRedis } from "hitless/testing"
import { createServer } from "node:http"

// ----- the service -----

/** What a service does with Redis: five fibers that count, and read through a cache, and a mistake every few seconds. */
const work = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  const cache = yield* redis.cache({ capacity: 100, timeToLive: "1 minute" })
  const order = Effect.all([redis.run(Commands.incr("example:orders")), cache.run(Commands.get("example:orders"))])
  const mistake = redis.run(Commands.lLen("example:orders"))
  // What fails is in the metrics, by its reason.
  const every = (what: typeof order | typeof mistake, pause: Duration.Input) =>
    Effect.repeat(Effect.ignore(what), Schedule.spaced(pause))
  yield* Effect.all([...Array.from({ length: 5 }, () => every(order, "20 millis")), every(mistake, "3 seconds")], {
    concurrency: "unbounded",
    discard: true
  })
})

const health = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis
    yield* router.add(
      "GET",
      "/health",
      Effect.flatMap(redis.status, ({ health, windows }) =>
        HttpServerResponse.json({ health, windows }, { status: health === "down" ? 503 : 200 }))
    )
  })
)

// ----- what is watched -----

/** Spans of commands and handoffs; the client makes none where there is no tracer. */
const tracing = Layer.unwrap(Effect.gen(function*() {
  const url = yield* EnvConfig.String("OTEL_EXPORTER_OTLP_ENDPOINT").pipe(EnvConfig.withDefault(undefined))
  if (url === undefined) return Layer.empty
  return OtlpTracer.layer({ url: `${url}/v1/traces`, resource: { serviceName: "orders" } }).pipe(
    Layer.provide(OtlpSerialization.layerJson),
    Layer.provide(FetchHttpClient.layer)
  )
}))

// ----- its Redis -----

/** Two nodes on loopback: one is left for the other, every ten seconds. */
const simulated = Effect.gen(function*() {
  const sim = yield* SimulatedRedis.make({
    listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
    nodes: ["a", "b"]
  })
  const move = (from: string, to: string) =>
    Effect.gen(function*() {
      yield* sim.migrating(from, { time: "2 seconds" })
      yield* Effect.sleep("1 second")
      yield* sim.migrated(from)
      yield* sim.moving(from, { target: to, time: "5 seconds" })
    })
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
      yield* Effect.sleep("1 second")
      yield* move(from, to)
      yield* Effect.sleep("8 seconds")
    }
  })))
  return `redis://${Endpoint.format(sim.endpoint("a"))}`
})

const layerRedis = Layer.unwrap(Effect.gen(function*() {
  const options = yield* Config.fromEnv
  const url = options.url ?? (yield* simulated)
  return NodeHitlessRedis.layer({ ...options, url, clientName: options.clientName ?? "orders" })
})).pipe(Layer.provide(Layer.succeed(Metrics.OperationDurations, true)))

// ----- the program -----

const layerServer = Layer.unwrap(Effect.gen(function*() {
  const port = yield* EnvConfig.Int("PORT").pipe(EnvConfig.withDefault(9464))
  return NodeHttpServer.layer(createServer, { port })
}))

const routes = Layer.mergeAll(health, PrometheusMetrics.layerHttp())

NodeRuntime.runMain(Layer.launch(
  Layer.mergeAll(
    HttpRouter.serve(routes, { disableLogger: true }).pipe(Layer.provide(layerServer)),
    Layer.effectDiscard(Effect.forkScoped(work))
  ).pipe(Layer.provide(layerRedis), Layer.provide(tracing))
))
