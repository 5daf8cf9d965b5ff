/**
 * Transactions that run only if nobody changed what they were made from.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { HitlessRedis } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { clientList, connect } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"
import { addresses, advance, announceMove, begin, connections, nodes, rehearse } from "./support/rehearsal.ts"

type Client = HitlessRedis.HitlessRedis["Service"]

/** One more, as a program does it that cannot use `INCR`. */
const increment = (redis: HitlessRedis.Sender, retry?: Schedule.Schedule<unknown>) =>
  redis.transaction(
    { watch: ["n"], ...(retry === undefined ? {} : { retry }) },
    (own) => Effect.map(own.send<string | null>("GET", "n"), (n) => [["SET", "n", Number(n ?? 0) + 1]] as const)
  )

/** Reads, and has another client change the key before it decides, so many times. */
const disturbed = (redis: Client, times: number, retry?: Schedule.Schedule<unknown>) => {
  let left = times
  return redis.transaction({ watch: ["n"], retry }, (own) =>
    Effect.gen(function*() {
      const n = Number(yield* own.send("GET", "n"))
      if (left-- > 0) yield* redis.send("INCR", "n")
      return [["SET", "n", n + 10], ["GET", "n"]] as const
    }))
}

describe("A transaction that watches", () => {
  it.live("runs when nobody changed what it read, with its results", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      assert.deepStrictEqual(yield* disturbed(redis, 0), [Result.succeed("OK"), Result.succeed("10")])
      // Its connection is clean, and kept for the next.
      assert.lengthOf(yield* clientList(redis), 2)
      yield* disturbed(redis, 0)
      assert.lengthOf(yield* clientList(redis), 2)
    }).pipe(Effect.scoped))

  it.live("reads anew when somebody did, and never overwrites", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      assert.deepStrictEqual(yield* disturbed(redis, 5), [Result.succeed("OK"), Result.succeed("15")])
    }).pipe(Effect.scoped))

  it.live("fails with TransactionAborted when its schedule is over, and nothing ran", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const { mayHaveExecuted, message, reason } = yield* Effect.flip(disturbed(redis, 5, Schedule.recurs(2)))
      assert.strictEqual(reason._tag, "TransactionAborted")
      assert.isFalse(mayHaveExecuted)
      assert.include(message, "a watched key changed")
      assert.strictEqual(yield* redis.send("GET", "n"), "3")
    }).pipe(Effect.scoped))

  it.live("gives up by itself when the time of a command is over", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis(), { commandTimeout: "300 millis" })
      const { reason } = yield* Effect.flip(disturbed(redis, Infinity))
      assert.strictEqual(reason._tag, "TransactionAborted")
    }).pipe(Effect.scoped))

  it.live("runs nothing when its body decides so, fails, dies, or is interrupted, and leaves no watch behind", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const mine = yield* redis.reserve
      assert.deepStrictEqual(yield* mine.transaction({ watch: ["n"] }, () => Effect.succeed([])), [])
      assert.strictEqual(
        yield* Effect.flip(mine.transaction({ watch: ["n"] }, () => Effect.fail("no funds"))),
        "no funds"
      )
      const refused = yield* Effect.flip(mine.transaction({ watch: ["n"] }, () => Effect.succeed([["BLPOP", "q", 0]])))
      assert.strictEqual(refused.reason._tag, "CommandRefused")
      const never = yield* Effect.forkChild(mine.transaction({ watch: ["n"] }, () => Effect.never), {
        startImmediately: true
      })
      yield* mine.send("PING")
      yield* Fiber.interrupt(never)
      yield* mine.send("PING")
      // A change would abort what is watched still.
      yield* redis.send("SET", "n", 1)
      assert.deepStrictEqual(yield* mine.transaction([["GET", "n"]]), [Result.succeed("1")])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(mine.transaction({ watch: ["n"] }, () => Effect.die("a defect")))))
      yield* redis.send("SET", "n", 2)
      assert.deepStrictEqual(yield* mine.transaction([["GET", "n"]]), [Result.succeed("2")])
    }).pipe(Effect.scoped))

  it.live("says what is wrong with its keys", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const none = yield* Effect.flip(redis.transaction({ watch: [] }, () => Effect.succeed([])))
      assert.strictEqual(none.reason._tag, "ServerReplied")
      const half = yield* Effect.flip(redis.transaction({ watch: ["\ud800"] }, () => Effect.succeed([])))
      assert.strictEqual(half.reason._tag, "CommandRefused")
    }).pipe(Effect.scoped))

  it.live("counts exactly where many count at once", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis(), { commandTimeout: "20 seconds" })
      yield* Effect.forEach(Array.from({ length: 100 }), () => increment(redis), { concurrency: 10, discard: true })
      assert.strictEqual(yield* redis.send("GET", "n"), "100")
    }).pipe(Effect.scoped), 30_000)

  it.effect("counts exactly 1,000 times through 20 moves", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      for (const node of nodes) yield* deployment.latency(node, "3 millis")
      const counting = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 1000 }), () => increment(redis), { concurrency: 4, discard: true }),
        { startImmediately: true }
      )
      let moves = 0
      let movesWhileCounting = 0
      while (counting.pollUnsafe() === undefined) {
        const [from, to] = [nodes[moves % 3], nodes[(moves + 1) % 3]]
        yield* begin({ step: "push", at: 0, node: from, elements: ["MOVING", moves + 1, 5, addresses[to]] })
        yield* advance("500 millis")
        moves++
        if (yield* Effect.map(redis.status, ({ lastHandoff }) => lastHandoff?.to === addresses[to])) {
          movesWhileCounting++
        }
      }
      yield* Fiber.join(counting)
      assert.isAtLeast(movesWhileCounting, 20)
      for (const node of nodes) yield* deployment.latency(node, 0)
      assert.strictEqual(yield* redis.send("GET", "n"), "1000")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("begins anew when the connection is lost that watched", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      let attempts = 0
      const running = yield* Effect.forkChild(
        redis.transaction({ watch: ["n"] }, (own) =>
          Effect.gen(function*() {
            attempts++
            const n = Number(yield* own.send("GET", "n"))
            if (attempts === 1) {
              yield* deployment.kill("a")
              yield* Effect.sleep("500 millis")
              yield* redis.send("INCR", "n")
            }
            return [["SET", "n", n + 10]] as const
          })),
        { startImmediately: true }
      )
      yield* advance("2 seconds")
      yield* Fiber.join(running)
      assert.strictEqual(attempts, 2)
      assert.strictEqual(yield* redis.send("GET", "n"), "11")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("that is announced to move while it is open runs where it began", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const running = yield* Effect.forkChild(
        redis.transaction({ watch: ["n"] }, (own) =>
          Effect.as(Effect.andThen(own.send("GET", "n"), Effect.sleep("2 seconds")), [["SET", "n", 1]] as const)),
        { startImmediately: true }
      )
      yield* advance("10 millis")
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      assert.strictEqual(yield* connections("a"), 1)
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(running), [Result.succeed("OK")])
    }).pipe(Effect.scoped, rehearse()))
})
