/**
 * What others publish, as a stream: it says so where something may be missing, and goes on.
 *
 *     npm run example:pub-sub
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Stream } from "effect"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const program = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis

  // Subscribed when this is done, so nothing that is published from here on is missed.
  const messages = yield* redis.subscription({ channels: ["example:news"], patterns: ["example:weather.*"] })
  const reader = yield* messages.pipe(
    Stream.take(3),
    Stream.runForEach((message) =>
      message._tag === "Published"
        ? Console.log(`${message.channel}: ${message.message}`)
        : Console.log(`something may be missing: ${message.why}`)
    ),
    Effect.forkChild
  )

  yield* redis.run(Commands.publish("example:news", "a client that does not drop"))
  yield* redis.run(Commands.publish("example:weather.oslo", "snow"))
  yield* redis.run(Commands.publish("example:weather.rome", "sun"))
  yield* Fiber.join(reader)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program.pipe(Effect.provide(NodeHitlessRedis.layerConfig(Config.fromEnv))))
