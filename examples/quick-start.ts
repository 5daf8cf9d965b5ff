/**
 * A value, a counter and a pipeline.
 *
 *     npm run example:quick-start
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Result } from "effect"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const program = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis

  yield* redis.run(Commands.set("example:greeting", "hello", { expiration: "1 minute" }))
  yield* Console.log(yield* redis.run(Commands.get("example:greeting")))

  // Together in one write, with a result for each.
  const [, visits] = yield* redis.pipeline([Commands.set("example:visits", 41), Commands.incr("example:visits")])
  yield* Console.log(`${Result.getOrThrow(visits)} visits`)

  const { endpoints, health } = yield* redis.status
  yield* Console.log(`${health}, maintenance notifications are ${endpoints[0]?.support}`)
})

// `REDIS_URL` and its like say where the server is: localhost:6379 unless they do.
NodeRuntime.runMain(program.pipe(Effect.provide(NodeHitlessRedis.layerConfig(Config.fromEnv))))
