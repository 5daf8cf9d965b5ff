/**
 * Effect's own modules, and layers, against a real redis-server.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { type Client, clientList, host, info, open, start } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

// ----- Effect's own modules on our connections -----

const EffectRedis = Layer.unwrap(
  Effect.map(startRedis(), ({ port }) => NodeHitlessRedis.layer({ host: "127.0.0.1", port }))
)

layer(EffectRedis, { excludeTestServices: true })("effect/persistence", (it) => {
  it.effect("Redis sends, and wraps the client's error", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      assert.strictEqual(yield* redis.send("SET", "redis:key", "value"), "OK")
      const error = yield* Effect.flip(redis.send("INCR", "redis:key"))
      assert.strictEqual(error._tag, "RedisError")
      assert.include(String(error.cause), "ERR value is not an integer")
    }))

  it.effect("Redis.eval loads a script once, and again when the server forgot it", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const add = Redis.script((key: string, amount: number) => [key, amount], {
        lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
        numberOfKeys: 1
      }).withReturnType<number>()
      assert.strictEqual(yield* redis.eval(add)("redis:sum", 2), 2)
      yield* redis.send("SCRIPT", "FLUSH")
      assert.strictEqual(yield* redis.eval(add)("redis:sum", 3), 5)
    }))

  it.effect("Redis.reserve blocks on a connection of its own", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const hitless = yield* HitlessRedis.HitlessRedis
      const popped = yield* start(Effect.scoped(Effect.flatMap(
        redis.reserve,
        (connection) => connection.send("BLPOP", "redis:jobs", "0")
      )))
      yield* waitUntil(Effect.map(info(hitless, "clients", "blocked_clients"), (count) => count === "1"))
      assert.strictEqual(yield* redis.send("GET", "redis:none"), null)
      yield* redis.send("RPUSH", "redis:jobs", "job")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["redis:jobs", "job"])
    }))

  it.effect("Redis.reserve lets a command block for longer than others may take", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const services = yield* open({ host, port: server.port, commandTimeout: "100 millis" })
      const connection = yield* Context.get(services, Redis.Redis).reserve
      assert.strictEqual(yield* connection.send("BLPOP", "none", "0.3"), null)
    }))

  it.effect("Redis.reserve gives up the connection of an interrupted command", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const hitless = yield* HitlessRedis.HitlessRedis
      const blocked = Effect.map(clientList(hitless), (clients) => clients.filter(({ cmd }) => cmd === "brpop").length)
      const popping = yield* start(Effect.scoped(Effect.flatMap(
        redis.reserve,
        (connection) => connection.send("BRPOP", "redis:interrupted", "0")
      )))
      yield* waitUntil(Effect.map(blocked, (count) => count === 1))
      yield* Fiber.interrupt(popping)
      yield* waitUntil(Effect.map(blocked, (count) => count === 0))
      yield* redis.send("RPUSH", "redis:interrupted", "kept")
      assert.strictEqual(yield* redis.send("LLEN", "redis:interrupted"), 1)
    }))

  it.effect("Redis.subscribe receives what is published, also after its connection was lost", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const messages = yield* redis.subscribe("redis:channel")
      assert.strictEqual(yield* redis.send("PUBLISH", "redis:channel", "é ✓"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "redis:channel", message: "é ✓" })
      yield* redis.send("CLIENT", "KILL", "TYPE", "pubsub")
      yield* waitUntil(Effect.map(redis.send("PUBLISH", "redis:channel", "again"), (receivers) => receivers === 1))
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "redis:channel", message: "again" })
    }))

  it.effect("RateLimiter limits", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const consume = limiter.consume({ key: "limited", limit: 2, window: "1 minute", onExceeded: "fail" })
      assert.strictEqual((yield* consume).remaining, 1)
      assert.strictEqual((yield* consume).remaining, 0)
      const error = yield* Effect.flip(consume)
      assert.strictEqual(error.reason._tag, "RateLimitExceeded")
      const bucket = yield* limiter.consume({ key: "bucket", limit: 5, window: "1 minute", algorithm: "token-bucket" })
      assert.strictEqual(bucket.remaining, 4)
    }).pipe(Effect.provide(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreRedis()))))

  it.effect("PersistedQueue delivers, and delivers again what failed", () =>
    Effect.gen(function*() {
      const queue = yield* PersistedQueue.make({
        name: "orders",
        schema: Schema.Struct({ id: Schema.Int }),
        retrySchedule: Schedule.spaced("1 millis")
      })
      yield* queue.offer({ id: 7 })
      const failed = yield* Effect.flip(queue.take((order, { attempts }) => Effect.fail({ order, attempts } as const)))
      assert.deepStrictEqual(failed, { order: { id: 7 }, attempts: 1 })
      const taken = yield* queue.take((order, { attempts }) => Effect.succeed({ order, attempts }))
      assert.deepStrictEqual(taken, { order: { id: 7 }, attempts: 2 })
    }).pipe(
      Effect.provide(Layer.provide(
        PersistedQueue.layer,
        PersistedQueue.layerStoreRedis({ pollInterval: "10 millis" })
      ))
    ))
})

// ----- configuration -----

describe("layers", () => {
  it.live("take the environment", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args: ["--requirepass", "s3cret"] })
      const env = ConfigProvider.fromEnvRecord({
        REDIS_URL: `redis://:s3cret@127.0.0.1:${server.port}/4`,
        REDIS_CLIENT_NAME: "from-env",
        REDIS_MAINTENANCE_MODE: "disabled"
      })
      const services = yield* Layer.build(
        NodeHitlessRedis.layerConfig(Config.fromEnv).pipe(Layer.provide(ConfigProvider.layer(env)))
      )
      const redis = Context.get(services, HitlessRedis.HitlessRedis)
      const [client] = yield* clientList(redis)
      assert.deepStrictEqual([client?.name, client?.db], ["from-env", "4"])
      assert.strictEqual((yield* redis.status).mode, "disabled")
    }))

  it.live("take single options from the environment, and fail by name where they cannot", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const build = (env: Record<string, string>) =>
        Layer.build(
          NodeHitlessRedis.layerConfig({
            host: EffectConfig.succeed(host),
            port: EffectConfig.Int("CACHE_PORT"),
            maintenance: { mode: EffectConfig.succeed("disabled") }
          }).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
        )
      const redis = Context.get(yield* build({ CACHE_PORT: String(server.port) }), HitlessRedis.HitlessRedis)
      assert.strictEqual((yield* redis.status).mode, "disabled")
      const missing = yield* Effect.flip(build({}))
      assert.strictEqual(missing._tag, "ConfigError")
      const invalid = yield* Effect.flip(build({ CACHE_PORT: "70000" }))
      assert.strictEqual(invalid._tag, "HitlessConfigError")
    }))

  it.live("make several named instances in one program", () =>
    Effect.gen(function*() {
      class Sessions extends Context.Service<Sessions, Client>()("test/Sessions") {}
      class Jobs extends Context.Service<Jobs, Client>()("test/Jobs") {}
      const server = yield* startRedis()
      const options = { host: "127.0.0.1", port: server.port }
      yield* Effect.gen(function*() {
        const sessions = yield* Sessions
        const jobs = yield* Jobs
        yield* sessions.send("SET", "key", "a session")
        yield* jobs.send("SET", "key", "a job")
        assert.strictEqual(yield* sessions.send("GET", "key"), "a session")
        const names = (yield* clientList(jobs)).map(({ db, name }) => `${name} ${db}`)
        assert.sameMembers(names, ["sessions 1", "jobs 2"])
      }).pipe(Effect.provide(
        Layer.mergeAll(
          Layer.effect(Sessions, HitlessRedis.make({ ...options, clientName: "sessions", database: 1 })),
          Layer.effect(Jobs, HitlessRedis.make({ ...options, clientName: "jobs", database: 2 }))
        ).pipe(Layer.provide(NodeTransport.layer))
      ))
    }))
})
