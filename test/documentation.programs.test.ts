/**
 * The programs of the pages that tell what a client does: each runs against a server of its own, and does what its page says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Commands, HitlessRedis } from "hitless"
import { host, open, start } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { blocksOf, load } from "./support/pages.ts"
import { startRedis } from "./support/redisServer.ts"

type Program<A> = Effect.Effect<A, never, HitlessRedis.HitlessRedis | Scope.Scope>

/** A server and a client of it, and what the blocks of a page export, which say `localhost:6379` for the server. */
const setUp = Effect.fnUntraced(function*(page: string) {
  const server = yield* startRedis()
  const context = yield* open({ host, port: server.port })
  const exported: Array<Record<string, unknown>> = []
  for (const code of blocksOf(page)) {
    const block = code.replaceAll("localhost:6379", `localhost:${server.port}`)
    exported.push((yield* Effect.promise(() => load(block, true))).exported)
  }
  const named = <A>(name: string, nth = 0): A => exported.filter((members) => name in members)[nth][name] as A
  const run = <A>(program: Program<A>) => Effect.provideContext(program, context)
  return { server, context, redis: Context.get(context, HitlessRedis.HitlessRedis), exported, named, run }
})

describe("The programs of the pages", { timeout: 60_000 }, () => {
  it.live("of docs/blocking-and-transactions.md take jobs, and spend what there is", () =>
    Effect.gen(function*() {
      const { named, redis, run } = yield* setUp("docs/blocking-and-transactions.md")
      const done: Array<string> = []
      const work = named<(take: (job: string) => Effect.Effect<void>) => Program<never>>("work")
      yield* start(run(work((job) => Effect.sync(() => done.push(job)))))
      yield* redis.run(Commands.rPush("jobs", ["one", "two"]))
      yield* waitUntil(Effect.sync(() => done.length === 2))
      assert.deepStrictEqual(done, ["one", "two"])
      yield* redis.run(Commands.set("balance", 25))
      const spend = named<(amount: number) => Program<boolean>>("spend")
      assert.deepStrictEqual([yield* run(spend(10)), yield* run(spend(10)), yield* run(spend(10))], [true, true, false])
      assert.strictEqual(yield* redis.run(Commands.get("balance")), "5")
    }))

  it.live("of docs/pubsub.md print what is published, and wait for an answer", () =>
    Effect.gen(function*() {
      const { named, redis, run } = yield* setUp("docs/pubsub.md")
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => {
        lines.push(String(message))
      })
      yield* start(Effect.provide(run(named<Program<void>>("printNews")), Logger.layer([logger])))
      yield* waitUntil(Effect.map(redis.run(Commands.publish("news", "story")), (count) => count === 1))
      yield* redis.run(Commands.publish("weather", "rain"))
      yield* waitUntil(Effect.sync(() => lines.length >= 2))
      assert.deepStrictEqual(lines, ["news: story", "weather: rain"])
      yield* start(Effect.forever(Effect.delay(redis.run(Commands.publish("answers", "well")), "10 millis")))
      assert.include(JSON.stringify(yield* run(named<Program<unknown>>("ask"))), "well")
    }))

  it.live("of docs/errors.md count, and take a cache that is out of reach for an empty one", () =>
    Effect.gen(function*() {
      const { named, redis, run } = yield* setUp("docs/errors.md")
      assert.strictEqual(yield* run(named<(amount: number) => Program<number>>("add")(5)), 5)
      const cached = named<(key: string) => Program<string | null>>("cached")
      assert.isNull(yield* run(cached("key")))
      yield* redis.run(Commands.set("key", "value"))
      assert.strictEqual(yield* run(cached("key")), "value")
      const nowhere = yield* open({ host, port: 1, startup: "lazy", whenDown: "fail" })
      assert.isNull(yield* Effect.provideContext(cached("key"), nowhere))
    }))

  it.live("of docs/migrating.md do the same as before, on this client", () =>
    Effect.gen(function*() {
      const { exported, redis } = yield* setUp("docs/migrating.md")
      yield* redis.run(Commands.rPush("jobs", "job"))
      const programs = exported.flatMap(({ program }) =>
        program === undefined ? [] : [program as Effect.Effect<unknown>]
      )
      const results = yield* Effect.forEach(programs, (program) => program)
      assert.deepEqual(results, [
        { visits: 2, name: Result.succeed(null), member: Result.succeed(0) },
        { incremented: 2, job: { key: "jobs", element: "job" } }
      ] as ReadonlyArray<unknown>)
      const layers = exported.flatMap(({ layer }) => layer === undefined ? [] : [layer as Layer.Layer<never>])
      assert.lengthOf(layers, 2)
      for (const layer of layers) yield* Effect.asVoid(Layer.build(layer))
    }))

  it.live("of docs/configuration.md and docs/observability.md make clients", () =>
    Effect.gen(function*() {
      const { named, server } = yield* setUp("docs/configuration.md")
      const observed = yield* setUp("docs/observability.md")
      const url = `redis://localhost:${server.port}`
      const env = ConfigProvider.fromEnvRecord({ REDIS_URL: url, CACHE_REDIS_URL: url })
      for (const name of ["fixed", "deployed", "second"]) {
        const layer = named<Layer.Layer<HitlessRedis.HitlessRedis>>(name)
        const client = yield* Effect.provideService(Layer.build(layer), ConfigProvider.ConfigProvider, env)
        assert.strictEqual(yield* Context.get(client, HitlessRedis.HitlessRedis).run(Commands.ping()), "PONG")
      }
      yield* observed.run(observed.named<Program<void>>("tellHandoffs"))
      for (const name of ["health", "prometheus", "otlp", "layer"]) assert.isTrue(Layer.isLayer(observed.named(name)))
    }))

  it.live("of README.md greet, and spend what nobody has changed", () =>
    Effect.gen(function*() {
      const { named, redis, run } = yield* setUp("README.md")
      // The first runs as it is read.
      yield* waitUntil(Effect.map(redis.run(Commands.get("greeting")), (value) => value === "hello"))
      yield* redis.run(Commands.set("balance", 25))
      yield* start(run(named<Program<void>>("program")))
      yield* waitUntil(Effect.map(redis.run(Commands.get("balance")), (balance) => balance === "15"))
    }))
})
