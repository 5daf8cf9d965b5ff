/**
 * Consumers of groups as streams: on a real server, and where connections are lost.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it, layer } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Commands, type ConsumerGroup, type HitlessError } from "hitless"
import { type Client, connect as connectDirectly, reasonOf, Server, start } from "./support/client.ts"
import { connect, deploy, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

const options = (consumer: string, claimAfter: Duration.Input): ConsumerGroup.Options => ({
  stream: "s",
  group: "g",
  consumer,
  claimAfter
})

/** So many entries of a stream with ids from `1-0` on. */
const add = (redis: Client, from: number, to: number) =>
  Effect.forEach(
    Array.from({ length: to - from + 1 }, (_, index) => from + index),
    (n) => redis.run(Commands.xAdd("s", `${n}-0`, { n })),
    { discard: true }
  )

const ids = (entries: ReadonlyArray<ConsumerGroup.Entry>) => entries.map(({ id }) => id)

const idsTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => `${from + index}-0`)

/** The next so many entries, each acknowledged or not. */
const next = (
  stream: Stream.Stream<ConsumerGroup.Entry, HitlessError.HitlessError>,
  count: number,
  acknowledges = true
) =>
  stream.pipe(
    Stream.tap(({ ack }) => acknowledges ? ack : Effect.void),
    Stream.take(count),
    Stream.runCollect
  )

const pending = (redis: Client) => Effect.map(redis.run(Commands.xPending("s", "g")), ({ pending }) => pending)

layer(Server.layer, { excludeTestServices: true })("A consumer of a group", (it) => {
  /** A client in each protocol, with an empty stream and a group of it. */
  const clients = (database: number) =>
    Effect.flatMap(
      Server,
      (server) =>
        Effect.forEach(
          [3, 2] as const,
          (protocol) => connectDirectly(server, { database, protocol, poolSize: 1, maxReserved: 1 })
        )
    )

  const empty = (redis: Client) =>
    Effect.andThen(
      redis.run(Commands.flushDb()),
      redis.run(Commands.xGroupCreate("s", "g", "0", { MKSTREAM: true }))
    )

  it.effect("is given what it had, then what others have kept too long, then what is new", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(1)) {
        yield* empty(redis)
        yield* add(redis, 1, 9)
        yield* redis.run(Commands.xReadGroup("g", "me", { key: "s", id: ">" }, { COUNT: 3 }))
        yield* redis.run(Commands.xReadGroup("g", "other", { key: "s", id: ">" }, { COUNT: 3 }))
        yield* redis.run(Commands.xClaimJustId("s", "g", "other", 0, ["4-0", "6-0"], { IDLE: "2 hours" }))
        const given = yield* start(next(redis.consume({ ...options("me", "1 hour"), count: 2 }), 9))
        yield* waitUntil(Effect.map(pending(redis), (count) => count === 1))
        yield* add(redis, 10, 10)
        const entries = yield* Fiber.join(given)
        assert.deepStrictEqual(ids(entries), [...idsTo(1, 3), "4-0", "6-0", ...idsTo(7, 10)])
        assert.deepEqual(entries[8].message, { n: "10" } as never)
        // What the other has had for a moment is still its own.
        const [left] = yield* redis.run(Commands.xPendingRange("s", "g", "-", "+", 10))
        assert.deepStrictEqual([left.id, left.consumer], ["5-0", "other"])
      }
    }))

  it.effect("is given again what it did not acknowledge: at once when it begins anew, and else after a while", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(2)) {
        yield* empty(redis)
        yield* add(redis, 1, 3)
        assert.deepStrictEqual(ids(yield* next(redis.consume(options("me", "Infinity")), 2, false)), idsTo(1, 2))
        assert.deepStrictEqual(ids(yield* next(redis.consume(options("me", "Infinity")), 3, false)), idsTo(1, 3))
        // Within one stream, and by another.
        const again = next(redis.consume(options("me", "50 millis")), 5, false)
        assert.deepStrictEqual(ids(yield* again).toSorted(), ["1-0", "1-0", "2-0", "2-0", "3-0"])
        assert.deepStrictEqual(ids(yield* next(redis.consume(options("other", "1 milli")), 3)), idsTo(1, 3))
        assert.strictEqual(yield* pending(redis), 0)
      }
    }))

  it.effect("gives its connection back when its reader stops, in the middle of what it was given or while it waits", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(3)) {
        yield* empty(redis)
        yield* add(redis, 1, 5)
        assert.deepStrictEqual(ids(yield* next(redis.consume(options("me", "1 hour")), 2)), idsTo(1, 2))
        yield* Effect.scoped(redis.reserve)
        assert.strictEqual(yield* pending(redis), 3)
        const waiting = yield* start(next(redis.consume(options("me", "1 hour")), 4))
        yield* waitUntil(Effect.map(pending(redis), (count) => count === 0))
        yield* Fiber.interrupt(waiting)
        yield* Effect.scoped(redis.reserve)
        yield* add(redis, 6, 6)
        assert.deepStrictEqual(ids(yield* next(redis.consume(options("me", "1 hour")), 1)), ["6-0"])
      }
    }))

  it.effect("makes the group and the stream where it is told to, and else says what is missing and what to do", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(4)) {
        yield* redis.run(Commands.flushDb())
        const error = yield* Effect.flip(next(redis.consume(options("me", "1 hour")), 1))
        assert.strictEqual(reasonOf(error, "ServerReplied").code, "NOGROUP")
        assert.include(error.message, "or let `consume` make it with `createFrom`")
        yield* add(redis, 1, 2)
        const all = { ...options("me", "1 hour"), createFrom: "0" }
        assert.deepStrictEqual(ids(yield* next(redis.consume(all), 1)), ["1-0"])
        // There it is, and stays where it is.
        assert.deepStrictEqual(ids(yield* next(redis.consume(all), 1)), ["2-0"])
        const late = yield* start(
          next(redis.consume({ ...all, stream: "new", group: "late", createFrom: "$" }), 1)
        )
        yield* waitUntil(Effect.map(redis.run(Commands.exists("new")), (count) => count === 1))
        const id = yield* redis.run(Commands.xAdd("new", "*", { a: 1 }))
        assert.deepStrictEqual(ids(yield* Fiber.join(late)), [id])
      }
    }))

  it.effect("fails when its group is destroyed, and consumes anew, with what is there, where it is told to", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(6)) {
        yield* empty(redis)
        yield* add(redis, 1, 2)
        const failures: Array<string> = []
        const anew = redis.consume({ ...options("me", "1 hour"), createFrom: "0" }).pipe(
          Stream.tapError((error) => Effect.sync(() => failures.push(reasonOf(error, "ServerReplied").code))),
          Stream.retry(Schedule.forever)
        )
        const given = yield* start(next(anew, 5))
        yield* waitUntil(
          Effect.map(
            redis.run(Commands.xInfoGroups("s")),
            ([group]) => group["last-delivered-id"] === "2-0" && group.pending === 0
          )
        )
        yield* redis.run(Commands.xGroupDestroy("s", "g"))
        yield* waitUntil(Effect.sync(() => failures.length > 0))
        yield* add(redis, 3, 3)
        assert.deepStrictEqual(ids(yield* Fiber.join(given)), [...idsTo(1, 2), ...idsTo(1, 3)])
        assert.deepStrictEqual(failures, ["NOGROUP"])
      }
    }))

  it.effect("is not given what was deleted meanwhile, and nobody else is", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(5)) {
        yield* empty(redis)
        yield* add(redis, 1, 6)
        yield* redis.run(Commands.xReadGroup("g", "me", { key: "s", id: ">" }, { COUNT: 3 }))
        yield* redis.run(Commands.xReadGroup("g", "other", { key: "s", id: ">" }, { COUNT: 2 }))
        yield* redis.run(Commands.xDel("s", ["1-0", "3-0", "4-0"]))
        const own = redis.consume({ ...options("me", "Infinity"), count: 1 })
        assert.deepStrictEqual(ids(yield* next(own, 2)), ["2-0", "6-0"])
        const left = yield* redis.run(Commands.xPendingRange("s", "g", "-", "+", 10))
        assert.deepStrictEqual(left.map(({ id }) => id), ["4-0", "5-0"])
        assert.deepStrictEqual(ids(yield* next(redis.consume({ ...options("me", 0), count: 1 }), 1)), ["5-0"])
        assert.strictEqual(yield* pending(redis), 0)
      }
    }))
})

describe("A consumer whose connection is lost", { timeout: 30_000 }, () => {
  it.live("goes on with what was on its way to it, and misses and repeats nothing", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const direct = yield* connectDirectly(server)
      const deployment = yield* deploy(["a"], { upstream: NodeSocket.makeNet({ path: server.socketPath }) })
      const { redis } = yield* connect(deployment, "a", { poolSize: 1, maintenance: { logLevel: "Error" } })
      const given: Array<string> = []
      const consuming = yield* start(
        Stream.runForEach(
          redis.consume({ ...options("me", "1 hour"), createFrom: "0", count: 2 }),
          // They are still being handled when the connection is lost.
          ({ id }) => Effect.sync(() => given.push(id))
        )
      )
      yield* waitUntil(Effect.map(direct.run(Commands.exists("s")), (count) => count === 1))
      for (let round = 0; round < 10; round++) {
        // The consumer has entries in Redis, and their reply is lost on its way.
        yield* deployment.latency("a", "200 millis")
        yield* add(direct, 1 + 3 * round, 3 + 3 * round)
        yield* waitUntil(Effect.map(pending(direct), (count) => count > 3 * round))
        yield* deployment.kill("a")
        yield* deployment.latency("a", 0)
        yield* waitUntil(Effect.sync(() => given.length >= 3 + 3 * round))
      }
      assert.isUndefined(consuming.pollUnsafe())
      assert.deepStrictEqual(given, idsTo(1, 30))
    }))

  it.live("acknowledges again what it may not have acknowledged", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const direct = yield* connectDirectly(server)
      const deployment = yield* deploy(["a"], { upstream: NodeSocket.makeNet({ path: server.socketPath }) })
      const { redis } = yield* connect(deployment, "a", { poolSize: 1, maintenance: { logLevel: "Error" } })
      yield* add(direct, 1, 1)
      const [entry] = yield* next(redis.consume({ ...options("me", "1 hour"), createFrom: "0" }), 1, false)
      yield* deployment.latency("a", "200 millis")
      const acknowledging = yield* start(entry.ack)
      yield* waitUntil(Effect.map(pending(direct), (count) => count === 0))
      yield* deployment.kill("a")
      yield* deployment.latency("a", 0)
      yield* Fiber.join(acknowledging)
    }))
})
