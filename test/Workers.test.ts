/**
 * Workers that wait on the server while its nodes are left one after the other: each job is done once, by one of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Commands, HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { addresses, advance, begin, connections, nodes, rehearse, until } from "./support/rehearsal.ts"

type Client = HitlessRedis.HitlessRedis["Service"]

const jobs = Array.from({ length: 1000 }, (_, index) => `job ${index}`)

/** How a worker takes one job; nothing where its time was over. */
const takes: Readonly<
  Record<string, (redis: HitlessRedis.Sender, worker: number) => Effect.Effect<string | undefined, unknown>>
> = {
  "BLPOP": (redis) => Effect.map(redis.send<[string, string] | null>("BLPOP", "jobs", 2), (popped) => popped?.[1]),
  "BLPOP without end": (redis) =>
    Effect.map(redis.send<[string, string] | null>("BLPOP", "jobs", 0), (popped) => popped?.[1]),
  "BLMOVE": (redis, worker) =>
    Effect.map(
      redis.send<string | null>("BLMOVE", "jobs", `done by ${worker}`, "LEFT", "RIGHT", 1),
      (moved) => moved ?? undefined
    ),
  "XREADGROUP": (redis, worker) =>
    Effect.map(
      redis.send<Record<string, ReadonlyArray<[string, ReadonlyArray<string>]>> | null>(
        ...[
          "XREADGROUP",
          "GROUP",
          "group",
          `worker ${worker}`,
          "COUNT",
          1,
          "BLOCK",
          1500,
          "STREAMS",
          "stream",
          ">"
        ] as const
      ),
      (read) => read?.["stream"]?.[0]?.[1][1]
    )
}

const give = (redis: Client, how: string, job: string) =>
  how === "XREADGROUP" ? redis.send("XADD", "stream", "*", "job", job) : redis.send("RPUSH", "jobs", job)

/** 20 moves, one every 300 ms; the target of each is what the next leaves. */
const moving = Effect.gen(function*() {
  for (let move = 0; move < 20; move++) {
    const [from, to] = [nodes[move % 3], nodes[(move + 1) % 3]]
    yield* begin({ step: "push", at: 0, node: from, elements: ["MOVING", move + 1, 5, addresses[to]] })
    yield* advance("300 millis")
  }
})

describe("Workers", { timeout: 30_000 }, () => {
  for (const [how, take] of Object.entries(takes)) {
    for (const own of [false, true]) {
      it.effect(`take each job once with ${how}${own ? " on connections of their own" : ""}, through 20 moves`, () =>
        Effect.gen(function*() {
          const redis = yield* HitlessRedis.HitlessRedis
          if (how === "XREADGROUP") yield* redis.send("XGROUP", "CREATE", "stream", "group", "$", "MKSTREAM")
          const deployment = yield* SimulatedRedis
          for (const node of nodes) yield* deployment.latency(node, "1 milli")
          const done: Array<string> = []
          const worker = (id: number) =>
            Effect.gen(function*() {
              const on = own ? yield* redis.reserve : redis
              while (true) {
                const job = yield* take(on, id)
                if (job !== undefined) done.push(job)
              }
            }).pipe(Effect.scoped)
          const workers = yield* Effect.forEach(
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            (id) => Effect.forkChild(worker(id), { startImmediately: true })
          )
          const giving = yield* Effect.forkChild(
            Effect.forEach(jobs, (job, index) => Effect.delay(give(redis, how, job), index % 3 === 0 ? 10 : 2), {
              discard: true
            }),
            { startImmediately: true }
          )
          yield* moving
          yield* until(Effect.sync(() => giving.pollUnsafe() !== undefined))
          yield* Fiber.join(giving)
          yield* until(Effect.sync(() => done.length >= jobs.length))
          yield* advance("100 millis")
          // None has failed.
          assert.isTrue(workers.every((fiber) => fiber.pollUnsafe() === undefined))
          assert.deepStrictEqual(done.toSorted(), jobs.toSorted())
          // The node of the last move has the connection for commands and those of the workers.
          yield* until(Effect.map(connections(nodes[20 % 3]), (count) => count === 11))
          yield* Fiber.interruptAll(workers)
        }).pipe(Effect.scoped, rehearse()))
    }
  }
})

describe("Consumers of a group", { timeout: 30_000 }, () => {
  it.effect("are given each entry once through 20 moves, and all are acknowledged", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      for (const node of nodes) yield* deployment.latency(node, "1 milli")
      const done: Array<string> = []
      const consumers = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (id) =>
        Effect.forkChild(
          Stream.runForEach(
            redis.consume({
              stream: "stream",
              group: "group",
              consumer: `consumer ${id}`,
              claimAfter: "1 second",
              createFrom: "0"
            }),
            ({ ack, message }) => Effect.andThen(Effect.sync(() => done.push(message["job"] ?? "")), ack)
          ),
          { startImmediately: true }
        ))
      const giving = yield* Effect.forkChild(
        Effect.forEach(jobs, (job, index) =>
          Effect.delay(redis.run(Commands.xAdd("stream", "*", { job })), index % 3 === 0 ? 10 : 2), { discard: true }),
        { startImmediately: true }
      )
      yield* moving
      yield* until(Effect.sync(() =>
        giving.pollUnsafe() !== undefined && done.length >= jobs.length
      ))
      yield* Fiber.join(giving)
      yield* advance("5 seconds")
      assert.isTrue(consumers.every((fiber) => fiber.pollUnsafe() === undefined))
      assert.deepStrictEqual(done.toSorted(), jobs.toSorted())
      yield* until(Effect.map(connections(nodes[20 % 3]), (count) => count === 11))
      yield* Fiber.interruptAll(consumers)
      const pending = yield* Effect.forkChild(redis.run(Commands.xPending("stream", "group")), {
        startImmediately: true
      })
      yield* advance("10 millis")
      assert.strictEqual((yield* Fiber.join(pending)).pending, 0)
    }).pipe(Effect.scoped, rehearse()))

  it.effect("one after the other of which stops lose no entry, and are given each that was acknowledged once", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      for (const node of nodes) yield* deployment.latency(node, "1 milli")
      const acknowledged: Array<string> = []
      // Each stops after so many entries, in the middle of what it was given, without a word about the last one.
      const consumer = (id: number) =>
        Effect.gen(function*() {
          for (let life = 0; life < 100; life++) {
            const entries = redis.consume({
              stream: "stream",
              group: "group",
              consumer: `consumer ${id} ${life}`,
              claimAfter: "200 millis",
              createFrom: "0"
            })
            let left = 5 + id
            yield* Stream.runForEachWhile(entries, ({ ack, message }) =>
              --left === 0
                ? Effect.succeed(false)
                : Effect.as(Effect.tap(ack, () => Effect.sync(() => acknowledged.push(message["job"] ?? ""))), true))
          }
        })
      const consumers = yield* Effect.forEach(
        [1, 2, 3],
        (id) => Effect.forkChild(consumer(id), { startImmediately: true })
      )
      const some = jobs.slice(0, 300)
      const giving = yield* Effect.forkChild(
        Effect.forEach(some, (job) => Effect.delay(redis.run(Commands.xAdd("stream", "*", { job })), 15), {
          discard: true
        }),
        { startImmediately: true }
      )
      yield* moving
      yield* until(Effect.sync(() => giving.pollUnsafe() !== undefined && acknowledged.length >= some.length))
      yield* Fiber.join(giving)
      yield* advance("2 seconds")
      assert.deepStrictEqual(acknowledged.toSorted(), some.toSorted())
      yield* Fiber.interruptAll(consumers)
    }).pipe(Effect.scoped, rehearse()))
})

describe("A consumer in a rehearsal", { timeout: 30_000 }, () => {
  it.effect("fails nothing, is given all, and waits as long as it likes", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const done: Array<string> = []
      const consuming = yield* Effect.forkChild(Stream.runForEach(
        redis.consume({ stream: "s", group: "g", consumer: "c", claimAfter: "10 seconds", createFrom: "0" }),
        ({ ack, message }) => Effect.andThen(Effect.sync(() => done.push(message["job"] ?? "")), ack)
      ))
      const giving = yield* Effect.forkChild(
        Effect.forEach(
          jobs.slice(0, 20),
          (job) => Effect.delay(redis.run(Commands.xAdd("s", "*", { job })), "3 seconds")
        )
      )
      yield* clock.run(MaintenancePlan.rollingUpgrade({ nodes: ["node-1", "node-2", "node-3"] }))
      yield* advance("90 seconds")
      yield* Fiber.join(giving)
      assert.deepStrictEqual(done, jobs.slice(0, 20))
      yield* Fiber.interrupt(consuming)
      yield* Rehearsal.assertHitless
    }).pipe(Effect.provide(TestRedis.layer({ latency: "20 millis" }))))
})

describe("Effect's PersistedQueue", { timeout: 30_000 }, () => {
  it.effect("does each job once through 20 moves", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      for (const node of nodes) yield* deployment.latency(node, "1 milli")
      const queue = yield* PersistedQueue.make({ name: "jobs", schema: Schema.String })
      const done: Array<string> = []
      const worker = Effect.forever(queue.take((job) => Effect.sync(() => done.push(job))))
      const workers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(worker, { startImmediately: true }))
      const giving = yield* Effect.forkChild(
        Effect.forEach(jobs, (job) => Effect.delay(queue.offer(job), 5), { discard: true }),
        { startImmediately: true }
      )
      yield* moving
      yield* until(Effect.sync(() => giving.pollUnsafe() !== undefined && done.length >= jobs.length))
      yield* Fiber.join(giving)
      assert.deepStrictEqual(done.toSorted(), jobs.toSorted())
      yield* Fiber.interruptAll(workers)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provide(PersistedQueue.layer, PersistedQueue.layerStoreRedis())),
      rehearse()
    ))
})
