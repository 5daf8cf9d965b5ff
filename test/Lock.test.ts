/**
 * Locks: one holder at a time, on a real server and through moves in simulated time; what becomes of a holder that is late,
 * and of a lock that is another's by then.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Commands, HitlessRedis, Lock } from "hitless"
import { MaintenancePlan } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { connect, connectTo, host, info, reasonOf, resume as wake, stall, start } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { advance, nodes, rehearse, until } from "./support/rehearsal.ts"

type Redis = HitlessRedis.HitlessRedis["Service"]

const by = (redis: Redis) => Effect.provideService(HitlessRedis.HitlessRedis, redis)

const once = Schedule.recurs(0)

const often = Schedule.spaced("5 millis")

/** What is never done by two at a time, and how often it was done. */
const critical = () => {
  const state = { inside: 0, most: 0, done: 0 }
  const work = (duration: Duration.Input) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        state.most = Math.max(state.most, ++state.inside)
      }),
      () => Effect.sleep(duration),
      () =>
        Effect.sync(() => {
          state.inside--
          state.done++
        })
    )
  return { state, work }
}

/** Two clients of a server of their own. */
const setUp = Effect.gen(function*() {
  const server = yield* startRedis()
  return { server, redis: yield* connect(server), other: yield* connect(server) }
})

describe("A lock of a real server", () => {
  it.live("is had by one of many at a time, of two clients", () =>
    Effect.gen(function*() {
      const { other, redis } = yield* setUp
      const { state, work } = critical()
      yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => index % 2 === 0 ? redis : other),
        (client) => work("5 millis").pipe(Lock.withLock("lock", { retry: often }), by(client)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(state, { inside: 0, most: 1, done: 40 })
      assert.strictEqual(yield* redis.run(Commands.exists("lock")), 0)
    }).pipe(Effect.scoped))

  it.live("is not had in time by the next, who is told so, and is had by who waits", () =>
    Effect.gen(function*() {
      const { other, redis } = yield* setUp
      const scope = yield* Scope.make()
      yield* Lock.acquire("lock").pipe(by(redis), Scope.provide(scope))
      const failure = yield* Effect.flip(Effect.scoped(by(other)(Lock.acquire("lock", { retry: once }))))
      assert.instanceOf(failure, Lock.LockUnavailable)
      assert.strictEqual(failure.message, "The lock lock was held by another whenever it was asked for")
      const waiting = yield* start(Effect.succeed("had").pipe(Lock.withLock("lock", { retry: often }), by(other)))
      const impatient = yield* start(
        Effect.scoped(by(other)(Lock.acquire("lock", { retry: Schedule.spaced("1 hour") })))
      )
      yield* Effect.sleep("20 millis")
      assert.isUndefined(waiting.pollUnsafe())
      // Who knows that another has it leaves nothing to let go of.
      yield* Fiber.interrupt(impatient)
      assert.isUndefined(yield* info(other, "commandstats", "cmdstat_eval"))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(waiting), "had")
    }).pipe(Effect.scoped))

  it.live("is let go of by who is interrupted or fails", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      const holding = yield* start(Effect.never.pipe(Lock.withLock("lock"), by(redis)))
      yield* waitUntil(Effect.map(redis.run(Commands.exists("lock")), (count) => count === 1))
      assert.isAbove(yield* redis.run(Commands.pTTL("lock")), 0)
      yield* Fiber.interrupt(holding)
      assert.strictEqual(yield* redis.run(Commands.exists("lock")), 0)
      const failure = yield* Effect.flip(Effect.fail("mine").pipe(Lock.withLock("lock"), by(redis)))
      assert.strictEqual(failure, "mine")
      assert.strictEqual(yield* redis.run(Commands.exists("lock")), 0)
    }).pipe(Effect.scoped))

  it.live("is lost by a holder that cannot renew it, who is interrupted, and is not taken from who has it then", () =>
    Effect.gen(function*() {
      const { other, redis, server } = yield* setUp
      const interrupted = yield* Deferred.make<void>()
      const holding = yield* start(
        Effect.never.pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)),
          Lock.withLock("lock", { timeToLive: "1 second" }),
          by(redis),
          Effect.exit
        )
      )
      yield* waitUntil(Effect.map(other.run(Commands.exists("lock")), (count) => count === 1))
      yield* stall(server)
      yield* Deferred.await(interrupted)
      yield* wake(server)
      const exit = yield* Fiber.join(holding)
      assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, Lock.LockLost)
    }).pipe(Effect.scoped))

  it.live("is lost by a holder whose program was paused for longer than it lives, and is another's from then on", () =>
    Effect.gen(function*() {
      const { other, redis } = yield* setUp
      const held = yield* Lock.acquire("lock", { timeToLive: "50 millis" }).pipe(by(redis))
      // Nothing of this program runs meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120)
      const failure = yield* Effect.flip(held.lost)
      assert.instanceOf(failure, Lock.LockLost)
      assert.strictEqual(failure.message, "The lock lock was lost: it was not renewed in time")
      yield* Lock.acquire("lock", { retry: once }).pipe(by(other))
    }).pipe(Effect.scoped))

  it.live("is lost as soon as a renewal finds the value of another, which its release leaves alone", () =>
    Effect.gen(function*() {
      const { other, redis } = yield* setUp
      const scope = yield* Scope.make()
      const held = yield* Lock.acquire("lock", { timeToLive: "1 second" }).pipe(by(redis), Scope.provide(scope))
      yield* other.run(Commands.set("lock", "another's"))
      assert.match((yield* Effect.flip(held.lost)).message, /its key has the value of another, or none$/)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* other.run(Commands.get("lock")), "another's")
    }).pipe(Effect.scoped))

  it.live("is let go of by who is interrupted while asking, and refuses what is no time to live", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      for (let i = 0; i < 20; i++) {
        const asking = yield* start(Effect.scoped(Lock.acquire("lock")).pipe(by(redis)))
        yield* Fiber.interrupt(asking)
      }
      yield* waitUntil(Effect.map(redis.run(Commands.exists("lock")), (count) => count === 0))
      for (const timeToLive of ["9 millis", "Infinity", 0, -1] as const) {
        const failure = yield* Effect.flip(Effect.scoped(by(redis)(Lock.acquire("lock", { timeToLive }))))
        assert.strictEqual(failure._tag === "HitlessError" ? failure.reason._tag : "", "CommandRefused")
      }
    }).pipe(Effect.scoped))

  it.live("fails as commands do where it cannot be asked for", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      yield* redis.run(Commands.lPush("lock", "a list"))
      const failure = yield* Effect.flip(Effect.scoped(by(redis)(Lock.acquire("lock")))).pipe(
        // That it was not let go of is told in the log.
        Effect.provideService(References.MinimumLogLevel, "Error")
      )
      if (failure._tag !== "HitlessError") return assert.fail(failure.message)
      assert.strictEqual(reasonOf(failure, "ServerReplied").code, "WRONGTYPE")
    }).pipe(Effect.scoped))

  it.live("is known as one's own where the answer that gave it was lost", () =>
    Effect.gen(function*() {
      let token = ""
      let asked = 0
      const server = yield* rawServer((words, { socket }) => {
        if (words[0] === "SET") {
          asked++
          if (asked === 1) {
            token = words[2]
            socket.destroy()
            return undefined
          }
          assert.strictEqual(words[2], token)
          return `$${token.length}\r\n${token}\r\n`
        }
        return words[0] === "EVAL" ? ":1\r\n" : answerHandshake(words)
      })
      const redis = yield* connectTo({ host, port: server.port })
      assert.strictEqual(yield* Effect.succeed("had").pipe(Lock.withLock("lock", { retry: often }), by(redis)), "had")
      assert.strictEqual(asked, 2)
    }).pipe(Effect.scoped))
})

describe("A lock through maintenance", { timeout: 60_000 }, () => {
  it.effect("is held for longer than its time to live, and not for longer than its holder needs it", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const holding = yield* Effect.forkChild(
        Effect.sleep("1 minute").pipe(Lock.withLock("lock", { timeToLive: "300 millis" }))
      )
      yield* advance("10 millis")
      for (let i = 0; i < 590; i++) {
        assert.strictEqual(yield* redis.run(Commands.exists("lock")), 1)
        yield* advance("100 millis")
      }
      yield* advance("1 second")
      yield* Fiber.join(holding)
      assert.strictEqual(yield* redis.run(Commands.exists("lock")), 0)
    }).pipe(rehearse()))

  it.effect("is had by one of many at a time, of two clients, and by none too long, through 20 moves", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      const other = yield* HitlessRedis.make({ host: MaintenancePlan.databaseName, poolSize: 1 })
      for (const node of nodes) yield* deployment.latency(node, "2 millis")
      const { state, work } = critical()
      let isOver = false
      const workers = yield* Effect.forkChild(Effect.forEach(
        Array.from({ length: 6 }, (_, index) => index % 2 === 0 ? redis : other),
        (client) =>
          Effect.suspend(() =>
            work("120 millis").pipe(
              Lock.withLock("lock", {
                timeToLive: "300 millis",
                retry: Schedule.jittered(Schedule.spaced("30 millis"))
              }),
              by(client)
            )
          ).pipe(Effect.repeat({ until: () => isOver })),
        { concurrency: "unbounded", discard: true }
      ))
      for (let move = 0; move < 20; move++) {
        yield* deployment.moving(nodes[move % 3], { target: nodes[(move + 1) % 3], time: "1 second" })
        yield* advance("1500 millis")
      }
      isOver = true
      yield* until(Effect.sync(() => workers.pollUnsafe() !== undefined))
      yield* Fiber.join(workers)
      for (const node of nodes) yield* deployment.latency(node, 0)
      assert.strictEqual(state.most, 1)
      assert.isAbove(state.done, 150)
      assert.strictEqual(yield* redis.run(Commands.exists("lock")), 0)
    }).pipe(Effect.scoped, rehearse()))
})
