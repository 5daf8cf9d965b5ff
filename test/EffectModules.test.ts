import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Persistence from "effect/persistence/Persistence"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { NodeHitlessRedis } from "hitless/node"
import { createHash } from "node:crypto"
import { inject } from "vitest"
import { effectScripts } from "../src/testing/server/effectScripts.ts"
import { deploy, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

// ----- which scripts there are -----

interface Sent {
  readonly module: string
  readonly lua: string
}

/** The scripts that a module's layer prepares when it is built. */
const scriptsOf = <A>(module: string, store: Layer.Layer<A, unknown, Redis.Redis>) =>
  Effect.gen(function*() {
    const sent: Array<Sent> = []
    const redis: Redis.Redis["Service"] = {
      send: () => Effect.never,
      subscribe: () => Effect.never,
      reserve: Effect.never,
      eval: ({ lua }) => {
        sent.push({ module, lua })
        return () => Effect.never
      }
    }
    yield* Effect.scoped(Layer.build(Layer.provide(store, Layer.succeed(Redis.Redis, redis))))
    return sent
  })

const sha1 = (text: string): string => createHash("sha1").update(text).digest("hex")

describe("the scripts of Effect's modules", () => {
  it.effect("are all registered, and nothing else", () =>
    Effect.gen(function*() {
      const sent = [
        ...(yield* scriptsOf("PersistedQueue", PersistedQueue.layerStoreRedis())),
        ...(yield* scriptsOf("RateLimiter", RateLimiter.layerStoreRedis())),
        ...(yield* scriptsOf("Persistence", Persistence.layerBackingRedis)),
        ...(yield* scriptsOf("CircuitBreaker", CircuitBreaker.layerStoreRedis()))
      ]
      const registered = new Set(effectScripts.map((script) => "sha1" in script ? script.sha1 : sha1(script.lua)))
      const missing = sent.filter(({ lua }) => !registered.has(sha1(lua)))
      assert.deepStrictEqual(
        missing,
        [],
        "scripts of Effect without a function in src/testing/server/effectScripts.ts"
      )
      const known = new Set(sent.map(({ lua }) => sha1(lua)))
      assert.deepStrictEqual(
        [...registered].filter((sha) => !known.has(sha)),
        [],
        "functions without a script in Effect"
      )
    }))
})

// ----- what they do -----

const simulated = Layer.unwrap(Effect.map(deploy(["only"], { version: inject("simulatedVersion") }), (redis) => {
  const endpoint = redis.endpoint("only")
  return NodeHitlessRedis.layer({ host: "127.0.0.1", port: endpoint._tag === "Tcp" ? endpoint.port : 0 })
}))

const real = Layer.unwrap(
  Effect.map(startRedis(), ({ port }) => NodeHitlessRedis.layer({ host: "127.0.0.1", port }))
)

/** What differs from run to run: moments, generations (microseconds), what was measured, names of locks. */
const blurred = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "uuid")
    .replace(/\b1[0-9]{12,15}(\.[0-9]+)?\b/g, "moment")
    .replace(/("learnedWindowMillis",")[0-9]+/g, "$1measured")

/** Everything that is stored, and whether it expires. */
const stored = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const all: Record<string, unknown> = {}
  for (const key of (yield* redis.send<ReadonlyArray<string>>("KEYS", "*")).toSorted()) {
    const type = yield* redis.send<string>("TYPE", key)
    const value = type === "string"
      ? yield* redis.send("GET", key)
      : type === "hash"
      ? Object.entries(yield* redis.send<Record<string, string>>("HGETALL", key)).toSorted()
      : type === "list"
      ? yield* redis.send("LRANGE", key, "0", "-1")
      : yield* redis.send("ZRANGE", key, "0", "-1", "WITHSCORES")
    const expires = (yield* redis.send<number>("PTTL", key)) > 0
    all[blurred(key)] = { value: blurred(JSON.stringify(value)), expires }
  }
  return all
})

/** To tens of seconds: what is measured here takes some milliseconds. */
const roughly = (millis: number): number => Math.round(millis / 10_000)

type Story = Effect.Effect<unknown, unknown, Redis.Redis | Scope.Scope>

/** What happened, step by step, and what is stored after it. */
const story = <R>(
  store: Layer.Layer<R, never, Redis.Redis>,
  tell: (note: (what: unknown) => Effect.Effect<void>) => Effect.Effect<void, unknown, R | Redis.Redis | Scope.Scope>
): Story =>
  Effect.gen(function*() {
    const told: Array<unknown> = []
    const note = (what: unknown) =>
      Effect.gen(function*() {
        told.push(JSON.parse(blurred(JSON.stringify(what) ?? "null")))
        told.push(yield* Effect.orDie(stored))
      }).pipe(Effect.provideContext(context))
    const context = yield* Effect.context<Redis.Redis>()
    yield* tell(note).pipe(Effect.provide(store))
    told.push(yield* stored)
    return told
  })

const stories: Readonly<Record<string, Story>> = {
  "RateLimiter: fixed window and token bucket": story(
    RateLimiter.layerStoreRedis(),
    Effect.fnUntraced(function*(note) {
      const store = yield* RateLimiter.RateLimiterStore
      const window = (key: string, tokens: number, limit: number | undefined) =>
        Effect.flatMap(
          store.fixedWindow({ key, tokens, refillRate: Duration.seconds(60), limit }),
          ([count, ttl]) => note([count, roughly(ttl)])
        )
      for (const tokens of [1, 1, 1, 0.1, 0.2]) yield* window("limited", tokens, 2)
      for (const tokens of [0.1, 0.2, 5]) yield* window("free", tokens, undefined)
      const bucket = (tokens: number, allowOverflow: boolean, refillRate: Duration.Duration, key = "bucket") =>
        Effect.flatMap(
          store.tokenBucket({ key, tokens, limit: 3, refillRate, allowOverflow }),
          ([remaining, elapsed]) => note([remaining, roughly(elapsed)])
        )
      for (const tokens of [2, 2, 0.5, 0.5, 1]) yield* bucket(tokens, false, Duration.seconds(60))
      for (const tokens of [2, 2]) yield* bucket(tokens, true, Duration.seconds(60))
      yield* bucket(3, false, Duration.seconds(1), "fast")
      yield* Effect.sleep("1200 millis")
      for (const tokens of [1, 1]) yield* bucket(tokens, false, Duration.seconds(1), "fast")
    })
  ),
  "RateLimiter: what it learns": story(
    RateLimiter.layerStoreRedis({ prefix: "learn:" }),
    Effect.fnUntraced(function*(note) {
      const store = yield* RateLimiter.RateLimiterStore
      const consume = (key: string, tokens = 1) =>
        Effect.flatMap(
          store.adaptiveConsume({ key, tokens, fallbackLimit: 10, fallbackWindow: Duration.seconds(60) }),
          ({ delay, epoch, phase }) =>
            note([roughly(Duration.toMillis(delay)), Duration.isGreaterThan(delay, Duration.zero), epoch, phase])
        )
      const refused = (key: string, epoch: number, tokens: number, retryAfter: Duration.Duration) =>
        Effect.andThen(
          store.adaptiveFeedback({ key, epoch, tokens, status: 429, retryAfter }),
          note(["refused", epoch])
        )
      yield* consume("a")
      yield* refused("a", 3, 1, Duration.millis(50))
      yield* refused("a", 0, 1, Duration.millis(50))
      yield* refused("a", 0, 1, Duration.millis(800))
      yield* consume("a")
      yield* Effect.sleep("1 second")
      for (const tokens of [1, 1, 2]) yield* consume("a", tokens)
      yield* refused("a", 0, 1, Duration.seconds(600))
      yield* refused("a", 1, 2, Duration.seconds(600))
      for (const tokens of [1, 1, 3, 0.5]) yield* consume("a", tokens)
      yield* refused("a", 2, 1, Duration.seconds(1200))
      yield* consume("a")
      yield* refused("b", 0, 1, Duration.millis(1))
      yield* Effect.sleep("50 millis")
      yield* consume("b")
      yield* refused("b", 1, 1, Duration.seconds(60 * 60 * 24))
      yield* consume("b")
    })
  ),
  "Persistence: values that stay and values that expire": story(
    Persistence.layerBackingRedis,
    Effect.fnUntraced(function*(note) {
      const store = yield* (yield* Persistence.BackingPersistence).make("things")
      yield* store.set("a", { x: "é\0" }, undefined)
      yield* store.set("b", { x: 2 }, Duration.minutes(1))
      yield* store.setMany([["c", { x: 3 }, undefined], ["d", { x: 4 }, Duration.minutes(1)], [
        "a",
        { x: 5 },
        undefined
      ]])
      yield* note(yield* store.getMany(["a", "b", "none", "c", "d"]))
      yield* store.remove("a")
      yield* note((yield* store.get("a")) ?? "gone")
      yield* store.setMany([["short", { x: 1 }, Duration.millis(30)]])
      yield* Effect.sleep("80 millis")
      yield* note((yield* store.get("short")) ?? "expired")
      yield* store.clear
    })
  ),
  "CircuitBreaker: from closed to open and back": story(
    CircuitBreaker.layerStoreRedis({ probeLease: "600 millis", idleTimeToLive: "1 minute" }),
    Effect.fnUntraced(function*(note) {
      const store = yield* CircuitBreaker.CircuitBreakerStore
      const state = (key: string) =>
        Effect.flatMap(store.state(key), (state) => note({ ...state, retryAfter: undefined }))
      const reasonOf = ({ reason }: CircuitBreaker.CircuitBreakerError) => reason._tag
      const admit = (key: string) =>
        Effect.gen(function*() {
          const admission = yield* Effect.result(Effect.mapError(store.admit(key), reasonOf))
          if (admission._tag === "Failure") yield* note(admission.failure)
          else yield* note({ ...admission.success, generation: "some" })
          return admission._tag === "Success" ? admission.success.generation : 0
        })
      const record = (
        key: string,
        generation: number,
        outcome: "Success" | "Failure" | "Ignored",
        tripPolicy = CircuitBreaker.consecutive(2)
      ) =>
        Effect.flatMap(
          store.record({ key, generation, outcome, tripPolicy, openFor: Duration.millis(500) }),
          (transition) => note(transition ?? "stays")
        )
      yield* state("c")
      const closed = yield* admit("c")
      for (const outcome of ["Failure", "Success", "Ignored", "Failure", "Failure", "Failure"] as const) {
        yield* record("c", closed, outcome)
      }
      yield* state("c")
      yield* admit("c")
      yield* Effect.sleep("700 millis")
      // A probe is alone as long as its lease is renewed, which here is longer than the lease.
      yield* Effect.scoped(Effect.gen(function*() {
        const probe = yield* admit("c")
        yield* admit("c")
        yield* Effect.sleep("1 second")
        yield* admit("c")
        yield* state("c")
        yield* record("c", probe, "Ignored")
      }))
      const second = yield* Effect.scoped(admit("c"))
      yield* record("c", second, "Failure")
      yield* state("c")
      yield* Effect.sleep("700 millis")
      const third = yield* Effect.scoped(admit("c"))
      yield* record("c", third, "Success")
      yield* admit("c")
      yield* Effect.sleep("700 millis")
      yield* admit("c")
      const policy = CircuitBreaker.rate({ threshold: 0.5, minimumCalls: 3, size: 4 })
      const rated = yield* admit("r")
      for (const outcome of ["Failure", "Success", "Success", "Success", "Failure", "Failure"] as const) {
        yield* record("r", rated, outcome, policy)
      }
      yield* state("r")
    })
  ),
  "PersistedQueue: offers, takes, failures and what is left": story(
    PersistedQueue.layerStoreRedis({
      pollInterval: "10 millis",
      lockRefreshInterval: "200 millis",
      lockExpiration: "1 second"
    }),
    Effect.fnUntraced(function*(note) {
      const store = yield* PersistedQueue.PersistedQueueStore
      const redis = yield* Redis.Redis
      const name = "q"
      const offer = (id: string, element: unknown, isCustomId: boolean, delay?: Duration.Duration) =>
        store.offer({ name, id, element, isCustomId, delay })
      const take = <A, E, R>(use: (element: unknown) => Effect.Effect<A, E, R>, maxAttempts = 2) =>
        Effect.scoped(Effect.flatMap(
          store.take({ name, maxAttempts, retryDelay: () => Effect.succeed(Duration.millis(20)) }),
          ({ attempts, element, id }) => Effect.andThen(note([id, attempts, element]), use(element))
        ))
      yield* offer("plain", { text: "é\"\\{" }, false)
      yield* offer("é\"\\\u2028", { n: 1 }, true)
      yield* offer("é\"\\\u2028", { n: 2 }, true)
      yield* note("offered")
      yield* take(() => Effect.void)
      yield* take(() => Effect.void)
      yield* offer("é\"\\\u2028", { n: 3 }, true)
      yield* offer("later", { n: 4 }, true, Duration.millis(50))
      yield* offer("later too", { n: 5 }, false, Duration.seconds(1))
      yield* take(() => Effect.void)
      yield* take(() => Effect.void)
      // Fails, is tried again, fails for good.
      yield* offer("bad", { n: 6 }, true)
      yield* Effect.exit(take(() => Effect.fail("no")))
      yield* Effect.exit(take(() => Effect.fail("no")))
      // Interrupted, and so taken as if for the first time.
      yield* offer("again", { n: 7 }, true)
      const held = yield* Effect.forkChild(take(() => Effect.never))
      yield* waitUntil(
        Effect.map(Effect.orDie(redis.send<number>("HLEN", "effectq:q:pending")), (length) => length === 1)
      )
      // Longer than a lock lasts unless it is renewed.
      yield* Effect.sleep("1500 millis")
      yield* Fiber.interrupt(held)
      yield* take(() => Effect.void)
      // Left behind by workers that are gone: one for another attempt, one that had its last.
      yield* redis.send("HSET", "effectq:q:attempts", "lost", "1", "dead", "9")
      yield* redis.send(
        "HSET",
        "effectq:q:pending",
        "lost",
        `{"id":"lost","element":8}`,
        "dead",
        `{"id":"dead","element":9}`
      )
      yield* redis.send("ZADD", "effectq:q:ids", "+inf", "dead")
      yield* take(() => Effect.void, 9)
      yield* waitUntil(
        Effect.map(Effect.orDie(redis.send<number>("HLEN", "effectq:q:pending")), (length) => length === 0)
      )
      yield* note("recovered")
      yield* redis.send("RPUSH", "effectq:q:failed", "what cannot be read")
      yield* Effect.sleep("5 millis")
      yield* store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: undefined })
      yield* note("cleaned")
      yield* store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: Duration.minutes(1) })
      yield* note("young failures stay")
      yield* store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: Duration.zero })
    })
  )
}

/** Runs a story on a server of its own. */
const tellOn = (server: Layer.Layer<Redis.Redis, unknown>, told: Story): Effect.Effect<unknown> =>
  Effect.scoped(told).pipe(Effect.provide(server), Effect.orDie)

// Stories wait for leases and delays of seconds that no clock shortens.
const limit = 30_000

describe("Effect's modules on a simulated server", () => {
  for (const [name, told] of Object.entries(stories)) {
    it.live(`${name}, as on a real one`, () =>
      Effect.gen(function*() {
        const both = [tellOn(simulated, told), tellOn(real, told)]
        const [onSimulated, onReal] = yield* Effect.all(both, { concurrency: 2 })
        assert.deepStrictEqual(onSimulated, onReal)
      }), limit)
  }
})
