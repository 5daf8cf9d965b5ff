/**
 * Two clients in one program, each with options of its own and a service of its own: sessions and a cache, here two
 * databases of one server.
 *
 *     npm run example:several-databases
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer } from "effect"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"

class Sessions extends Context.Service<Sessions, HitlessRedis.HitlessRedis["Service"]>()("examples/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    // `Config.fromEnv.pipe(EnvConfig.nested("SESSIONS"))` would read `SESSIONS_REDIS_URL` and its like.
    Effect.flatMap(
      Config.fromEnv,
      (options) => HitlessRedis.make({ ...options, database: 1, clientName: "sessions", commandTimeout: "1 second" })
    )
  )
}

class Cache extends Context.Service<Cache, HitlessRedis.HitlessRedis["Service"]>()("examples/Cache") {
  static readonly layer = Layer.effect(
    Cache,
    Effect.flatMap(Config.fromEnv, (options) =>
      // A cache that cannot be asked is an empty cache: better at once than late.
      HitlessRedis.make({
        ...options,
        database: 2,
        clientName: "cache",
        whenDown: "fail",
        commandTimeout: "100 millis"
      }))
  )
}

const program = Effect.gen(function*() {
  const sessions = yield* Sessions
  const cache = yield* Cache
  yield* sessions.run(Commands.set("example:key", "a session", { expiration: "1 minute" }))
  yield* cache.run(Commands.set("example:key", "something cached", { expiration: "1 minute" }))
  yield* Console.log(
    `${yield* sessions.run(Commands.get("example:key"))}, ${yield* cache.run(Commands.get("example:key"))}`
  )
  const names = yield* Effect.forEach([sessions, cache], (redis) => redis.send<string>("CLIENT", "GETNAME"))
  yield* Console.log(`known to the server as ${names.join(" and ")}`)
})

NodeRuntime.runMain(program.pipe(
  Effect.provide(Layer.mergeAll(Sessions.layer, Cache.layer).pipe(Layer.provide(NodeTransport.layer)))
))
