/**
 * An HTTP service that counts visits, with a probe that says whether it can.
 *
 * It starts without its Redis, answers 503 at once while there is none, and serves as soon as there is one:
 *
 *     npm run example:http-service
 *     curl http://localhost:3000/visits/home
 *     curl http://localhost:3000/health
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config as EnvConfig, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import { createServer } from "node:http"

const routes = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis

    yield* router.add(
      "GET",
      "/visits/:page",
      Effect.gen(function*() {
        const { page = "" } = yield* HttpRouter.params
        return yield* HttpServerResponse.json({ visits: yield* redis.run(Commands.incr(`example:visits:${page}`)) })
      }).pipe(
        Effect.catchTag("HitlessError", (error) =>
          Effect.as(
            Effect.logWarning(error.message),
            HttpServerResponse.text("come back later", { status: 503, headers: { "retry-after": "1" } })
          ))
      )
    )

    // Ready while commands are served, during maintenance too.
    yield* router.add(
      "GET",
      "/health",
      Effect.flatMap(redis.status, (status) =>
        HttpServerResponse.json(status, { status: status.health === "down" ? 503 : 200 }))
    )
  })
)

const layerRedis = NodeHitlessRedis.layerConfig(
  Config.fromEnv.pipe(EnvConfig.map((options) => ({ ...options, startup: "lazy", whenDown: "fail" } as const)))
)

const layerServer = Layer.unwrap(Effect.gen(function*() {
  const port = yield* EnvConfig.Int("PORT").pipe(EnvConfig.withDefault(3000))
  return NodeHttpServer.layer(createServer, { port })
}))

NodeRuntime.runMain(Layer.launch(HttpRouter.serve(routes).pipe(Layer.provide(layerRedis), Layer.provide(layerServer))))
