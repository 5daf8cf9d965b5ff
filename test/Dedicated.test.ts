/**
 * Connections for one user, which are slots as the shared ones are: reservations and subscriptions, as they move and as they
 * come back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import { HitlessError, HitlessRedis } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { addresses, advance, announceMove, begin, connections, handoffs, rehearse, until } from "./support/rehearsal.ts"

const causeOf = (error: Redis.RedisError) =>
  error.cause instanceof HitlessError.HitlessError ? error.cause : assert.fail(String(error.cause))

/** How many connections the nodes a and b have. */
const both = Effect.all([connections("a"), connections("b")])

describe("a reserved connection", () => {
  it.effect("moves without being used, before its node hangs up, and goes on", () =>
    Effect.gen(function*() {
      const reserved = yield* (yield* Redis.Redis).reserve
      assert.strictEqual(yield* reserved.send("INCR", "n"), 1)
      assert.deepStrictEqual(yield* both, [2, 0])
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [0, 2])
      assert.strictEqual(yield* reserved.send("INCR", "n"), 2)
      assert.lengthOf((yield* handoffs).filter(({ _tag }) => _tag === "Completed"), 2)
    }).pipe(Effect.scoped, rehearse()))

  it.effect("lets a command that it has begun be answered where that was sent", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* (yield* Redis.Redis).reserve
      const popped = yield* Effect.forkChild(reserved.send("BLPOP", "list", "20"), { startImmediately: true })
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [1, 2])
      yield* redis.send("RPUSH", "list", "element")
      yield* until(Effect.sync(() => popped.pollUnsafe() !== undefined))
      assert.deepStrictEqual(yield* Effect.flatten(Effect.sync(() => popped.pollUnsafe()!)), ["list", "element"])
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* both, [0, 2])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that has state of its user's stays until its node hangs up, and then runs nothing in another state", () =>
    Effect.gen(function*() {
      const reserved = yield* (yield* Redis.Redis).reserve
      yield* reserved.send("SELECT", "3")
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [1, 1])
      assert.strictEqual(yield* reserved.send("SET", "key", "three"), "OK")
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      const error = causeOf(yield* Effect.flip(reserved.send("SET", "key", "elsewhere")))
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      assert.isFalse(error.mayHaveExecuted)
      assert.deepStrictEqual(yield* both, [0, 1])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that is lost without a word connects again, and what comes meanwhile waits", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* (yield* Redis.Redis).reserve
      assert.strictEqual(yield* reserved.send("INCR", "n"), 1)
      yield* deployment.refuse("a")
      yield* deployment.kill("a")
      yield* advance("10 millis")
      const waiting = yield* Effect.forkChild(reserved.send("INCR", "n"), { startImmediately: true })
      yield* advance("500 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* deployment.accept("a")
      yield* until(Effect.sync(() => waiting.pollUnsafe() !== undefined))
      assert.strictEqual(yield* Effect.flatten(Effect.sync(() => waiting.pollUnsafe()!)), 2)
    }).pipe(Effect.scoped, rehearse({ maintenance: { logLevel: "Error" } })))
})

describe("a subscription", () => {
  it.effect("moves without a message, and hears what is published after its node has hung up", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const messages = yield* redis.subscribe("news")
      assert.deepStrictEqual(yield* both, [2, 0])
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [0, 2])
      assert.strictEqual(yield* redis.send("PUBLISH", "news", "one"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "news", message: "one" })
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that is lost without a word subscribes again", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const messages = yield* redis.subscribe("news")
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      assert.strictEqual(yield* redis.send("PUBLISH", "news", "two"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "news", message: "two" })
    }).pipe(Effect.scoped, rehearse()))
})
