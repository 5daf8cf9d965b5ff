/**
 * Connections of one's own, as many as there may be: who waits for one, what is given to the next, and commands that wait on
 * the server, which take one for themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Commands from "@ioredis/commands"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { type HitlessError, HitlessRedis, Metrics } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { blocksFor } from "../src/internal/commands.ts"
import { addresses, advance, announceMove, begin, connections, rehearse } from "./support/rehearsal.ts"

const tagOf = <A, R>(effect: Effect.Effect<A, HitlessError.HitlessError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** How many connections of the client `every-kind` are in which state. */
const gauges = Effect.map(Metric.snapshot, (metrics) =>
  Object.fromEntries(
    metrics.flatMap(({ attributes, id, state }) =>
      id === Metrics.connectionCount.id && attributes?.["db.client.connection.pool.name"] === "every-kind"
        ? [[attributes["db.client.connection.state"], (state as Metric.GaugeState<number>).value]]
        : []
    )
  ))

const at = Effect.all([connections("a"), connections("b")])

describe("status", () => {
  it.effect("and the gauges count the connections of every kind, and say what they are doing", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      const seen = Effect.map(redis.status, ({ draining, health, leases, pending, slots, subscribers }) => ({
        health,
        states: [slots, leases, subscribers].map((kind) => kind.map(({ state }) => state).join(" ")),
        loads: [slots, leases, subscribers].map((kind) => kind.map(({ load }) => load).join(" ")),
        pending,
        draining
      }))
      const quiet = { loads: ["0", "0", "0"], pending: 0, draining: 0 }
      const lease = yield* redis.reserve
      yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
      assert.deepStrictEqual(yield* seen, { health: "ok", states: ["Serving", "Serving", "Serving"], ...quiet })
      yield* fork(lease.send("BLPOP", "list", 1))
      yield* fork(redis.send("BLPOP", "list", 1))
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* seen, {
        health: "ok",
        states: ["Serving", "Serving Serving", "Serving"],
        loads: ["0", "1 1", "0"],
        pending: 2,
        draining: 0
      })
      assert.deepStrictEqual(yield* gauges, { used: 3, idle: 1, draining: 0 })
      yield* advance("2 seconds")
      yield* deployment.handshake("b", { _tag: "Answer", delay: "1 second" })
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("500 millis")
      const { health, states } = yield* seen
      assert.strictEqual(health, "maintenance")
      assert.deepStrictEqual(states, ["Moving", "Moving Moving", "Moving"])
      assert.isTrue(
        [...(yield* redis.status).leases, ...(yield* redis.status).subscribers].every(({ target }) =>
          target === addresses.b
        )
      )
      yield* advance("10 seconds")
      assert.deepStrictEqual((yield* seen).states, ["Serving", "Serving Serving", "Serving"])
      // Nobody hears anything, though commands are served again at once.
      yield* deployment.handshake("b", { _tag: "HangBeforeHello" })
      yield* deployment.kill("b")
      yield* advance("10 millis")
      assert.deepStrictEqual((yield* seen).states[2], "Reconnecting")
    }).pipe(Effect.scoped, rehearse({ clientName: "every-kind" })))
})

describe("reserve", () => {
  it.effect("gives as many as there may be, and the next one when one is given back", () =>
    Effect.gen(function*() {
      const { reserve } = yield* HitlessRedis.HitlessRedis
      const scope = yield* Scope.make()
      yield* Scope.provide(reserve, scope)
      yield* reserve
      assert.strictEqual((yield* at)[0], 3)
      const third = yield* Effect.forkChild(Effect.scoped(reserve), { startImmediately: true })
      yield* advance("1 second")
      assert.isUndefined(third.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(third)
      // It was clean, and is used again.
      assert.strictEqual((yield* at)[0], 3)
    }).pipe(Effect.scoped, rehearse({ maxReserved: 2 })))

  it.effect("says what there is too much of when none is given back in time", () =>
    Effect.gen(function*() {
      const { reserve } = yield* HitlessRedis.HitlessRedis
      yield* reserve
      const second = yield* Effect.forkChild(Effect.flip(Effect.scoped(reserve)), { startImmediately: true })
      yield* advance("3 seconds")
      const { message, reason } = yield* Fiber.join(second)
      assert.strictEqual(reason._tag, "Overloaded")
      assert.include(message, "maxReserved")
      assert.include(message, "all 1 were reserved")
    }).pipe(Effect.scoped, rehearse({ maxReserved: 1 })))

  it.effect("waits for a server that restarts as other commands do, and fails with what dialling failed with", () =>
    Effect.gen(function*() {
      const { reserve } = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      yield* deployment.refuse("a")
      const waiting = yield* Effect.forkChild(Effect.scoped(reserve), { startImmediately: true })
      yield* advance("2 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* deployment.accept("a")
      yield* advance("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
      yield* deployment.refuse("a")
      yield* deployment.kill("a")
      // The one that was given back is dead, and is not handed out.
      yield* advance("10 millis")
      const failing = yield* Effect.forkChild(tagOf(Effect.scoped(reserve)), { startImmediately: true })
      yield* advance("4 seconds")
      assert.strictEqual(yield* Fiber.join(failing), "ConnectFailed")
    }).pipe(rehearse()))

  const dirt: Readonly<Record<string, (redis: HitlessRedis.Sender) => Effect.Effect<unknown, unknown>>> = {
    "another database": (redis) => redis.send("SELECT", 3),
    "a name": (redis) => redis.send("CLIENT", "SETNAME", "mine"),
    "watched keys": (redis) => redis.send("WATCH", "key"),
    "an open transaction": (redis) => redis.send("MULTI"),
    "a database of a pipeline": (redis) => redis.pipeline([["SELECT", 3]])
  }

  for (const [what, make] of Object.entries(dirt)) {
    it.effect(`does not hand on ${what}`, () =>
      Effect.gen(function*() {
        const { reserve } = yield* HitlessRedis.HitlessRedis
        yield* Effect.scoped(Effect.flatMap(reserve, make))
        yield* advance("10 millis")
        assert.strictEqual((yield* at)[0], 1)
        yield* Effect.scoped(Effect.flatMap(reserve, (redis) =>
          Effect.gen(function*() {
            assert.match(
              yield* redis.send<string>("CLIENT", "LIST"),
              /name= flags=N db=0 .* multi=-1 watch=0 cmd=client/
            )
          })))
      }).pipe(rehearse({ poolSize: 1 })))
  }

  it.effect("does not hand on a connection that still owes an answer", () =>
    Effect.gen(function*() {
      const { reserve } = yield* HitlessRedis.HitlessRedis
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(reserve, scope)
      yield* (yield* SimulatedRedis).latency("a", "500 millis")
      const owed = yield* Effect.forkChild(redis.send("GET", "key"), { startImmediately: true })
      yield* advance("10 millis")
      yield* Fiber.interrupt(owed)
      yield* Scope.close(scope, Exit.void)
      yield* advance("10 millis")
      assert.strictEqual((yield* at)[0], 1)
    }).pipe(rehearse({ poolSize: 1 })))

  it.effect("hands on a connection that ran commands, and drops it when nobody wants it for a minute", () =>
    Effect.gen(function*() {
      const { reserve } = yield* HitlessRedis.HitlessRedis
      yield* Effect.scoped(Effect.flatMap(reserve, (redis) => redis.send("INCR", "n")))
      assert.strictEqual((yield* at)[0], 2)
      yield* advance("59 seconds")
      assert.strictEqual((yield* at)[0], 2)
      yield* advance("2 seconds")
      assert.strictEqual((yield* at)[0], 1)
    }).pipe(rehearse({ poolSize: 1 })))
})

describe("a command that waits on the server", () => {
  it("is known wherever the list of commands says that it blocks", () => {
    const calls: Readonly<Record<string, ReadonlyArray<string | number>>> = {
      blmove: ["a", "b", "LEFT", "RIGHT", 1],
      blmovem: ["a", "b", "LEFT", "RIGHT", 1, "COUNT", 2, "OBO"],
      blmpop: [1, 1, "a", "LEFT"],
      blpop: ["a", 1],
      brpop: ["a", 1],
      brpoplpush: ["a", "b", 1],
      bzmpop: [1, 1, "a", "MIN"],
      bzpopmax: ["a", 1],
      bzpopmin: ["a", 1],
      wait: [1, 1000],
      waitaof: [1, 1, 1000],
      xread: ["BLOCK", 1000, "STREAMS", "a", "0"],
      xreadgroup: ["GROUP", "g", "c", "BLOCK", 1000, "STREAMS", "a", ">"]
    }
    assert.deepStrictEqual(
      Commands.list.filter((name) => Commands.hasFlag(name, "blocking")).sort(),
      Object.keys(calls)
    )
    for (const [name, args] of Object.entries({ ...calls, bzmove: ["a", "b", "MIN", 1, "COUNT", 2] })) {
      assert.strictEqual(blocksFor([name, ...args]), 1000, name)
    }
  })

  it.effect("holds up nobody, and is answered when there is something", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* Effect.forkChild(redis.send("BLPOP", "queue", 0), { startImmediately: true })
      yield* advance("20 seconds")
      assert.strictEqual(yield* redis.send("INCR", "n"), 1)
      yield* redis.send("RPUSH", "queue", "element")
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["queue", "element"])
    }).pipe(rehearse({ poolSize: 1 })))

  it.effect("ends when its own time is over, to the millisecond, however often it was asked", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* Effect.forkChild(redis.send("BLPOP", "queue", 12), { startImmediately: true })
      yield* advance("11999 millis")
      assert.isUndefined(popped.pollUnsafe())
      yield* advance("1 millis")
      assert.isNull(yield* Fiber.join(popped))
    }).pipe(rehearse()))

  it.effect("takes no element when it was given up", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* Effect.forkChild(redis.send("BLPOP", "queue", 0), { startImmediately: true })
      yield* advance("1 second")
      yield* Fiber.interrupt(popped)
      yield* advance("10 millis")
      yield* redis.send("RPUSH", "queue", "element")
      assert.strictEqual(yield* redis.send("LLEN", "queue"), 1)
      assert.strictEqual((yield* at)[0], 1)
    }).pipe(rehearse({ poolSize: 1 })))

  it.effect("goes on at the new node when its own has been left, and gets what comes in the meantime", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* Effect.forkChild(
        Effect.forEach(["one", "two"], () => redis.send("BLPOP", "queue", 0)),
        { startImmediately: true }
      )
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("1 second")
      // The first wait goes on at the old node.
      yield* redis.send("RPUSH", "queue", "one")
      yield* advance("10 seconds")
      assert.deepStrictEqual(yield* at, [0, 2])
      yield* redis.send("RPUSH", "queue", "two")
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* Fiber.join(popped), [["queue", "one"], ["queue", "two"]])
    }).pipe(rehearse({ poolSize: 1 })))

  it.effect("is refused in pipelines and transactions, with the reason", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const messages = yield* Effect.forEach(
        [redis.pipeline([["BLPOP", "queue", 1]]), redis.transaction([["XREAD", "BLOCK", 1, "STREAMS", "s", "0"]])],
        (refused) => Effect.map(Effect.flip(refused), ({ message }) => message)
      )
      assert.include(messages[0], "hold up the commands behind it")
      assert.include(messages[1], "does not wait")
      // Without an end to wait for they are commands as any other.
      yield* redis.pipeline([["XREAD", "STREAMS", "s", "0"]])
    }).pipe(rehearse()))

  it.effect("waits for a connection when all are taken, and then for its own time", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const first = yield* Effect.forkChild(redis.send("BLPOP", "first", 2), { startImmediately: true })
      const second = yield* Effect.forkChild(redis.send("BLPOP", "second", 2), { startImmediately: true })
      yield* advance("2 seconds")
      assert.isNull(yield* Fiber.join(first))
      assert.isUndefined(second.pollUnsafe())
      yield* advance("2 seconds")
      assert.isNull(yield* Fiber.join(second))
    }).pipe(rehearse({ maxReserved: 1 })))
})
