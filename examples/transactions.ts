/**
 * Money from one account to another, by twenty fibers at once: each reads, decides, and writes only if nobody was faster.
 *
 *     npm run example:transactions
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const from = "example:account:ada"
const to = "example:account:ben"

/** Whether there was enough. */
const transfer = (amount: number) =>
  Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis
    const results = yield* redis.transaction({ watch: [from] }, (own) =>
      Effect.gen(function*() {
        const balance = Number(yield* own.run(Commands.get(from)))
        return balance < amount ? [] : [Commands.decrBy(from, amount), Commands.incrBy(to, amount)]
      }))
    return results.length > 0
  })

const program = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  yield* redis.run(Commands.mSet({ [from]: "100", [to]: "0" }))

  const done = yield* Effect.forEach(Array.from({ length: 20 }), () => transfer(8), { concurrency: "unbounded" })
  yield* Console.log(`${done.filter((enough) => enough).length} of ${done.length} transfers had enough`)

  const [left, arrived] = yield* redis.run(Commands.mGet([from, to]))
  yield* Console.log(`${left} left, ${arrived} arrived`)
})

NodeRuntime.runMain(program.pipe(Effect.provide(NodeHitlessRedis.layerConfig(Config.fromEnv))))
