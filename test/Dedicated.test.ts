/**
 * Connections for one user, which are slots as the shared ones are: reservations and subscriptions, as they move and as they
 * come back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import { type HitlessError, HitlessRedis } from "hitless"
import { MaintenanceClock, Rehearsal } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { addresses, advance, announceMove, begin, connections, handoffs, rehearse, until } from "./support/rehearsal.ts"

const reserve = Effect.flatMap(HitlessRedis.HitlessRedis, ({ reserve }) => reserve)

/** How many connections the nodes a and b have. */
const both = Effect.all([connections("a"), connections("b")])

describe("a reserved connection", () => {
  it.effect("moves without being used, before its node hangs up, and goes on", () =>
    Effect.gen(function*() {
      const reserved = yield* reserve
      assert.strictEqual(yield* reserved.send("INCR", "n"), 1)
      assert.deepStrictEqual(yield* both, [2, 0])
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [0, 2])
      assert.strictEqual(yield* reserved.send("INCR", "n"), 2)
      assert.lengthOf((yield* handoffs).filter(({ _tag }) => _tag === "Completed"), 2)
    }).pipe(Effect.scoped, rehearse()))

  it.effect("waits on it for what is added to streams from now on, wherever it goes", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      yield* redis.send("XADD", "one", "1-1", "k", "before")
      const reads = yield* Effect.forEach([reserved, redis], (on) =>
        Effect.forkChild(
          on.send<Record<string, ReadonlyArray<readonly [string, unknown]>>>(
            "XREAD",
            ..."COUNT 10 BLOCK 0 STREAMS one two three $ $ 0".split(" ")
          ),
          { startImmediately: true }
        ))
      yield* advance("1500 millis")
      yield* begin({ step: "push", at: 0, node: "a", elements: ["MOVING", 1, 1, addresses.b] })
      yield* advance("1100 millis")
      yield* (yield* SimulatedRedis).kill("a")
      yield* redis.send("XADD", "one", "1-2", "k", "v")
      yield* until(Effect.sync(() => reads.every((read) => read.pollUnsafe() !== undefined)))
      for (const read of yield* Fiber.joinAll(reads)) {
        const ids = Object.entries(read).flatMap(([key, entries]) => entries.map(([id]) => `${key} ${id}`))
        assert.deepStrictEqual(ids.toSorted(), ["one 1-2"])
      }
    }).pipe(Effect.scoped, rehearse()))

  it.effect("leaves what is queued in a transaction, or means no stream, to the server", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      const words = "BLOCK 0 STREAMS text $".split(" ")
      yield* redis.send("SET", "text", "x")
      assert.strictEqual((yield* Effect.flip(redis.send("XREAD", ...words))).reason._tag, "ServerReplied")
      yield* reserved.send("MULTI")
      assert.strictEqual(yield* reserved.send("XREAD", ..."BLOCK 0 STREAMS stream $".split(" ")), "QUEUED")
      assert.deepStrictEqual(yield* reserved.send("EXEC"), [null])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("lets a command that it has begun be answered where that was sent", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      const popped = yield* Effect.forkChild(reserved.send("BLPOP", "list", "20"), { startImmediately: true })
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("300 millis")
      assert.deepStrictEqual(yield* both, [1, 2])
      yield* redis.send("RPUSH", "list", "element")
      yield* until(Effect.sync(() => popped.pollUnsafe() !== undefined))
      assert.deepStrictEqual(yield* Effect.flatten(Effect.sync(() => popped.pollUnsafe()!)), ["list", "element"])
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* both, [0, 2])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("is told again what its user told it, wherever it goes", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* reserved.send("SELECT", 3)
      yield* reserved.send("CLIENT", "SETNAME", "worker")
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* both, [0, 2])
      assert.include(yield* reserved.send<string>("CLIENT", "LIST"), "name=worker flags=N db=3")
      yield* deployment.kill("b")
      yield* advance("1 second")
      assert.include(yield* reserved.send<string>("CLIENT", "LIST"), "name=worker flags=N db=3")
    }).pipe(Effect.scoped, rehearse()))

  for (
    const [what, words, end] of [["watches a key", ["WATCH", "key"], "UNWATCH"], [
      "has a transaction open",
      ["MULTI"],
      "DISCARD"
    ]] as const
  ) {
    it.effect(`that ${what} stays until that is over, and moves then`, () =>
      Effect.gen(function*() {
        const reserved = yield* reserve
        yield* reserved.send(words[0], ...words.slice(1))
        yield* begin(announceMove(0, 1, 30, addresses.b))
        yield* advance("1 second")
        assert.deepStrictEqual(yield* both, [1, 1])
        yield* reserved.send(end)
        yield* advance("1 second")
        assert.deepStrictEqual(yield* both, [0, 2])
      }).pipe(Effect.scoped, rehearse()))
  }

  it.effect("stays too when its user begins to watch while its successor shakes hands", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* deployment.handshake("b", { _tag: "Answer", delay: "1 second" })
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("500 millis")
      yield* reserved.send("WATCH", "key")
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* both, [1, 1])
      yield* reserved.send("MULTI")
      yield* reserved.send("SET", "key", "mine")
      assert.deepStrictEqual(yield* reserved.send("EXEC"), ["OK"])
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* both, [0, 2])
    }).pipe(Effect.scoped, rehearse()))

  const tagOf = <A>(effect: Effect.Effect<A, HitlessError.HitlessError>) =>
    Effect.map(Effect.flip(effect), ({ mayHaveExecuted, reason }) => `${reason._tag}, ${mayHaveExecuted}`)

  it.effect("whose watches were lost with its connection aborts the transaction, and the next one runs", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      yield* reserved.send("WATCH", "key")
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      yield* redis.send("SET", "key", "another's")
      assert.strictEqual(yield* reserved.send("GET", "key"), "another's")
      yield* reserved.send("MULTI")
      yield* reserved.send("SET", "key", "mine")
      assert.strictEqual(yield* tagOf(reserved.send("EXEC")), "TransactionAborted, false")
      assert.strictEqual(yield* redis.send("GET", "key"), "another's")
      yield* reserved.send("WATCH", "key")
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      assert.strictEqual(yield* tagOf(reserved.transaction([["SET", "key", "mine"]])), "TransactionAborted, false")
      yield* reserved.transaction([["SET", "key", "mine"]])
      assert.strictEqual(yield* redis.send("GET", "key"), "mine")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("whose transaction was lost with its connection runs none of it, neither before nor after", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      yield* reserved.send("MULTI")
      yield* reserved.send("SET", "one", 1)
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      assert.strictEqual(yield* tagOf(reserved.send("SET", "two", 2)), "TransactionAborted, false")
      assert.strictEqual(yield* tagOf(reserved.send("EXEC")), "TransactionAborted, false")
      assert.deepStrictEqual(yield* redis.send("MGET", "one", "two"), [null, null])
      assert.strictEqual(yield* reserved.send("SET", "three", 3), "OK")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("keeps the order of its commands while it moves", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      const popped = yield* Effect.forkChild(reserved.send("BLPOP", "list", 20), { startImmediately: true })
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("100 millis")
      const next = yield* Effect.forkChild(reserved.send("SET", "after", 1), { startImmediately: true })
      yield* advance("100 millis")
      assert.isUndefined(next.pollUnsafe())
      yield* redis.send("RPUSH", "list", "element")
      yield* advance("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["list", "element"])
      assert.strictEqual(yield* Fiber.join(next), "OK")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that is lost without a word connects again, and what comes meanwhile waits", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
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

describe("connections of every kind", () => {
  it.effect("are told apart in what is told of their handoffs", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* redis.reserve
      yield* redis.reserve
      yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      const { handoffs } = yield* Rehearsal.report
      assert.deepStrictEqual(handoffs.map(({ kind, outcome, slot }) => `${kind} ${slot} ${outcome}`).toSorted(), [
        "reserved 0 completed",
        "reserved 1 completed",
        "shared 0 completed",
        "subscriber 0 completed"
      ])
      const { text } = yield* (yield* MaintenanceClock.MaintenanceClock).timeline
      assert.include(text, "completes the handoff of reserved 1 to b")
      assert.include(text, "completes the handoff of slot 0 to b")
    }).pipe(Effect.scoped, rehearse()))
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
