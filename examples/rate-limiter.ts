/**
 * So many calls a minute for each customer, over all processes: Effect's `RateLimiter` on Redis.
 *
 *     npm run example:rate-limiter
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { Config } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const call = Effect.fn("call")(
  function*(customer: string) {
    const limiter = yield* RateLimiter.RateLimiter
    const { remaining } = yield* limiter.consume({ key: `example:${customer}`, limit: 3, window: "1 minute" })
    yield* Console.log(`${customer} is served, ${remaining} left`)
  },
  (effect, customer) =>
    Effect.catchReason(
      effect,
      "RateLimiterError",
      "RateLimitExceeded",
      ({ retryAfter }) => Console.log(`${customer} has to wait ${Math.ceil(Duration.toSeconds(retryAfter))} s`)
    )
)

const program = Effect.forEach(["ada", "ada", "ada", "ada", "ben"], call, { discard: true })

NodeRuntime.runMain(program.pipe(
  Effect.provide(
    RateLimiter.layer.pipe(
      Layer.provide(RateLimiter.layerStoreRedis()),
      Layer.provide(NodeHitlessRedis.layerConfig(Config.fromEnv))
    )
  )
))
