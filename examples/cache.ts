/**
 * A cache in Redis before something slow: Effect's `PersistedCache`, shared by all processes, with a small one in memory.
 *
 *     npm run example:cache
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Persistable, PersistedCache, Persistence } from "effect/persistence"
import { Config } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

/** What is asked for, and what the answer is. */
class Price extends Persistable.Class<{ payload: { product: string } }>()("Price", {
  primaryKey: ({ product }) => product,
  success: Schema.Finite
}) {}

const lookUp = ({ product }: Price) =>
  Console.log(`looking up the price of ${product}`).pipe(Effect.andThen(Effect.sleep("100 millis")), Effect.as(42))

/** One process: its memory is empty when it begins. */
const process = Effect.gen(function*() {
  const prices = yield* PersistedCache.make(lookUp, {
    storeId: "example:prices",
    timeToLive: () => "1 minute",
    inMemoryTTL: () => "10 seconds"
  })
  yield* Console.log(`it is ${yield* prices.get(new Price({ product: "tea" }))}`)
  return prices
}).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  yield* process
  // The second one finds it in Redis.
  const prices = yield* process
  yield* prices.invalidate(new Price({ product: "tea" }))
})

NodeRuntime.runMain(program.pipe(
  Effect.provide(Layer.provide(Persistence.layerRedis, NodeHitlessRedis.layerConfig(Config.fromEnv)))
))
