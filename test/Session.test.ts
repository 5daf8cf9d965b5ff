/**
 * What the user of a reserved connection has made of it, when the connection is lost, refused, replaced or given back in the
 * middle: nothing of a transaction runs alone, no watch is lost in silence, and no other user finds what was left.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { Commands, HitlessRedis } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { connect, connectTo, host } from "./support/client.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { addresses, advance, announceMove, begin, connections, handoffs, rehearse, until } from "./support/rehearsal.ts"

const reserve = Effect.flatMap(HitlessRedis.HitlessRedis, ({ reserve }) => reserve)
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Its connection is lost, and there is another. */
const lose = Effect.gen(function*() {
  yield* (yield* SimulatedRedis).kill("a")
  yield* advance("1 second")
})

/** Another client changes what is watched. */
const changed = Effect.flatMap(HitlessRedis.HitlessRedis, (redis) => redis.send("SET", "key", "another's"))

describe("A command that waits on a reserved connection", () => {
  it.live("is not taken into a transaction that its user opens beside it", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const lease = yield* redis.reserve
      for (const pop of [lease.send("BLPOP", "list", 5), lease.run(Commands.blPop("list", "5 seconds"))]) {
        const popped = yield* Effect.forkChild(pop, { startImmediately: true })
        yield* Effect.sleep("50 millis")
        assert.strictEqual(yield* lease.send("MULTI"), "OK")
        yield* lease.send("SET", "k", 1)
        // Longer than a slice.
        yield* Effect.sleep("1200 millis")
        assert.deepStrictEqual(yield* lease.send("EXEC"), ["OK"])
        yield* redis.send("RPUSH", "list", "element")
        assert.include(JSON.stringify(yield* Fiber.join(popped)), "element")
      }
    }).pipe(Effect.scoped))

  it.live("takes nothing when it was given up, and the connection goes on", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const lease = yield* redis.reserve
      yield* lease.send("SELECT", 3)
      const other = yield* redis.reserve
      yield* other.send("SELECT", 3)
      const givenUp = [
        lease.send("BLPOP", "list", 0),
        lease.send("BLPOP", "list", 1),
        lease.run(Commands.blPop("list", 0))
      ]
      for (const [index, pop] of givenUp.entries()) {
        yield* Effect.timeoutOption(pop, "100 millis")
        // Within the time that the server would have waited.
        yield* other.send("RPUSH", "list", `job ${index}`)
        assert.deepStrictEqual(yield* lease.send("BLPOP", "list", 1), ["list", `job ${index}`])
      }
    }).pipe(Effect.scoped))

  it.live("is typed only where it is answered: inside a transaction of its user's it is refused", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const lease = yield* redis.reserve
      yield* lease.send("MULTI")
      const { message, reason } = yield* Effect.flip(lease.run(Commands.incr("n")))
      assert.strictEqual(reason._tag, "CommandRefused")
      assert.include(message, "`transaction`")
      assert.deepStrictEqual(yield* lease.send("EXEC"), [])
    }).pipe(Effect.scoped))
})

describe("A session", () => {
  it.effect("tells the next connection what was answered while it moved", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const reserved = yield* reserve
      yield* reserved.send("MULTI")
      yield* lose
      yield* Effect.flip(reserved.send("EXEC"))
      const popped = yield* fork(reserved.send("BLPOP", "list", 20))
      const selected = yield* fork(reserved.send("SELECT", 3))
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("300 millis")
      yield* redis.send("RPUSH", "list", "element")
      yield* advance("1 second")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["list", "element"])
      assert.strictEqual(yield* Fiber.join(selected), "OK")
      yield* advance("1 second")
      assert.include(yield* reserved.send<string>("CLIENT", "LIST"), "db=3")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("does not restore what was refused, in a transaction either", () =>
    Effect.gen(function*() {
      const reserved = yield* reserve
      const [selected] = yield* reserved.transaction([["SELECT", 9999]])
      assert.isTrue(Result.isFailure(selected))
      yield* lose
      assert.strictEqual(yield* reserved.send("PING"), "PONG")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("does not restore what was discarded", () =>
    Effect.gen(function*() {
      const reserved = yield* reserve
      yield* reserved.pipeline([["MULTI"], ["SELECT", 3], ["DISCARD"]])
      yield* reserved.send("SET", "k", "v")
      yield* lose
      assert.strictEqual(yield* reserved.send("GET", "k"), "v")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("is over with a database that a transaction chose and nobody can tell the next connection", () =>
    Effect.gen(function*() {
      const reserved = yield* reserve
      yield* reserved.pipeline([["MULTI"], ["SELECT", 3], ["EXEC"]])
      assert.include(yield* reserved.send<string>("CLIENT", "LIST"), "db=3")
      yield* lose
      assert.strictEqual((yield* Effect.flip(reserved.send("GET", "k"))).reason._tag, "ConnectionLost")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("keeps its watches when a DISCARD was refused", () =>
    Effect.gen(function*() {
      const reserved = yield* reserve
      yield* reserved.send("WATCH", "key")
      yield* Effect.flip(reserved.send("DISCARD"))
      yield* lose
      yield* changed
      const { reason } = yield* Effect.flip(reserved.transaction([["SET", "key", "mine"]]))
      assert.strictEqual(reason._tag, "TransactionAborted")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("gives nobody the transaction whose EXEC was never sent", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const reserved = yield* reserve
        yield* reserved.send("MULTI")
        const queued = yield* fork(reserved.send("SET", "a", 1))
        const { reason } = yield* Effect.flip(reserved.send("EXEC"))
        assert.strictEqual(reason._tag, "Overloaded")
        yield* Fiber.join(queued)
      }))
      const next = yield* reserve
      assert.isNull(yield* next.send("GET", "x"))
    }).pipe(Effect.scoped, rehearse({ maxPendingCommands: 1, whenOverloaded: "fail" })))

  for (const what of ["transaction", "watch"]) {
    it.effect(`does not leave its ${what} behind on a server that has become a replica`, () =>
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const reserved = yield* reserve
        yield* what === "watch" ? reserved.send("WATCH", "key") : reserved.send("MULTI")
        yield* begin({ step: "readonly", at: 0, node: "a", duration: "200 millis" })
        yield* advance("1 milli")
        const set = yield* fork(Effect.exit(reserved.send("SET", "k", "v")))
        yield* advance("1 second")
        yield* Fiber.join(set)
        yield* changed
        if (what === "watch") yield* Effect.exit(reserved.transaction([["SET", "key", "mine"]]))
        assert.strictEqual(yield* redis.send("GET", "key"), "another's")
        // It was queued, or refused; alone it runs only without a transaction.
        assert.strictEqual(yield* redis.send("GET", "k"), what === "watch" ? "v" : null)
      }).pipe(Effect.scoped, rehearse()))
  }

  it.effect("is not replaced by a connection that was made before its user chose a database", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* begin({ step: "readonly", at: 0, node: "a", duration: "10 millis" })
      yield* deployment.handshake("a", { _tag: "Answer", delay: "300 millis" })
      yield* advance("1 milli")
      const set = yield* fork(reserved.send("SET", "k", "v"))
      yield* advance("100 millis")
      yield* Fiber.join(set)
      assert.strictEqual(yield* reserved.send("SELECT", 3), "OK")
      yield* reserved.send("SET", "in3", "v")
      yield* advance("1 second")
      assert.strictEqual(yield* reserved.send("GET", "in3"), "v")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("keeps its order when one that came earlier is sent again after one that came later has expired", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* deployment.refuse("a")
      yield* deployment.kill("a")
      yield* advance("10 millis")
      const later = yield* fork(Effect.andThen(
        Effect.exit(Effect.provideService(reserved.send("GET", "x"), HitlessRedis.CurrentCommandTimeout, "100 millis")),
        reserved.send("RPUSH", "l", "later")
      ))
      const earlier = yield* fork(reserved.send("RPUSH", "l", "earlier"))
      yield* advance("300 millis")
      yield* deployment.accept("a")
      yield* until(Effect.sync(() => earlier.pollUnsafe() !== undefined && later.pollUnsafe() !== undefined))
      assert.deepStrictEqual(yield* reserved.send("LRANGE", "l", 0, -1), ["earlier", "later"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("goes on with a transaction whose connection was lost before it began", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* deployment.latency("a", "1 second")
      const transaction = yield* fork(reserved.transaction([["SET", "k", 1]]))
      yield* advance("10 millis")
      yield* deployment.kill("a")
      yield* deployment.latency("a", 0)
      yield* advance("1 second")
      // Nothing of it had been sent but its MULTI, so it was sent again.
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed("OK")])
      assert.strictEqual(yield* reserved.send("GET", "k"), "1")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("moves when a watch that nobody waited for is over", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const reserved = yield* reserve
      yield* deployment.latency("a", "200 millis")
      const watched = yield* fork(
        Effect.exit(Effect.provideService(reserved.send("WATCH", "k"), HitlessRedis.CurrentCommandTimeout, "50 millis"))
      )
      yield* advance("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(watched)))
      const unwatched = yield* fork(reserved.send("UNWATCH"))
      yield* advance("1 second")
      yield* Fiber.join(unwatched)
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("2 seconds")
      assert.deepStrictEqual(yield* Effect.all([connections("a"), connections("b")]), [0, 2])
    }).pipe(Effect.scoped, rehearse()))

  it.live("does not hand on a transaction that a wrong DISCARD left open", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      yield* Effect.scoped(Effect.gen(function*() {
        const reserved = yield* redis.reserve
        yield* reserved.send("MULTI")
        yield* Effect.flip(reserved.send("DISCARD", "x"))
      }))
      const next = yield* redis.reserve
      assert.isNull(yield* next.send("GET", "x"))
    }).pipe(Effect.scoped))

  it.live("shows its user's password nowhere, not even where the next connection is refused", () =>
    Effect.gen(function*() {
      let logins = 0
      const server = yield* rawServer((words, { socket }) => {
        if (words[0] === "AUTH") return ++logins === 1 ? "+OK\r\n" : "-ERR cannot log in with s3cr3tpass now\r\n"
        if (words[0] === "DIE") socket.destroy()
        return answerHandshake(words) ?? "+OK\r\n"
      })
      const redis = yield* connectTo({ host, port: server.port, commandTimeout: "800 millis" })
      const reserved = yield* redis.reserve
      yield* reserved.send("AUTH", "s3cr3tpass")
      yield* Effect.exit(reserved.send("DIE"))
      const { message } = yield* Effect.flip(reserved.send("PING"))
      assert.include(message, "cannot log in with")
      assert.notInclude(message, "s3cr3tpass")
      assert.isAbove(logins, 1)
    }).pipe(Effect.scoped))
})

describe("A reservation that is over", () => {
  it.effect("gives its place back when no connection could be made", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      yield* deployment.refuse("a")
      const failing = yield* fork(Effect.flip(reserve))
      yield* until(Effect.sync(() => failing.pollUnsafe() !== undefined))
      assert.strictEqual((yield* Fiber.join(failing)).reason._tag, "ConnectFailed")
      yield* deployment.accept("a")
      yield* advance("1 second")
      const next = yield* fork(Effect.exit(reserve))
      yield* until(Effect.sync(() => next.pollUnsafe() !== undefined))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(next)))
    }).pipe(Effect.scoped, rehearse({ maxReserved: 1, commandTimeout: "1 second" })))

  it.effect("ends its handoff: one of the client's fails, and its own was superseded", () =>
    Effect.gen(function*() {
      const deployment = yield* SimulatedRedis
      const scope = yield* Scope.make()
      const reserved = yield* Scope.provide(reserve, scope)
      yield* reserved.send("CLIENT", "SETNAME", "x")
      yield* deployment.refuse("b")
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("100 millis")
      yield* Scope.close(scope, Exit.void)
      yield* advance("60 seconds")
      const ended = (yield* handoffs).map(({ _tag }) => _tag).filter((tag) => tag !== "Queued" && tag !== "Retried")
      assert.sameMembers(ended, ["Started", "Started", "Superseded", "Failed"])
    }).pipe(Effect.scoped, rehearse({ maintenance: { maxWorkers: 2 } })))

  it.effect("leaves no window behind", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      const scope = yield* Scope.make()
      const reserved = yield* Scope.provide(redis.reserve, scope)
      yield* reserved.send("CLIENT", "SETNAME", "x")
      yield* begin(announceMove(0, 1, 2, addresses.b))
      yield* advance("1 second")
      yield* deployment.refuse("a")
      yield* deployment.refuse("b")
      yield* deployment.kill("b")
      yield* advance("10 millis")
      const before = (yield* redis.status).windows.length
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* redis.status).windows.length, before - 1)
    }).pipe(Effect.scoped, rehearse()))

  for (const commandTimeout of ["3 seconds", "Infinity"] as const) {
    it.live(`fails what waits, and what comes, when its client closes, with a command timeout of ${commandTimeout}`, () =>
      Effect.gen(function*() {
        const server = yield* startRedis()
        const client = yield* Scope.make()
        const redis = yield* Scope.provide(
          connect(server, { commandTimeout, maxReserved: 1, maintenance: { logLevel: "Error" } }),
          client
        )
        const reserved = yield* redis.reserve
        const second = yield* fork(Effect.flip(Effect.scoped(redis.reserve)))
        const blocked = yield* fork(Effect.flip(redis.send("BLPOP", "list", 0)))
        const popped = yield* fork(Effect.flip(reserved.send("BLPOP", "list", 0)))
        server.process.kill("SIGKILL")
        yield* Effect.sleep("100 millis")
        const parked = yield* fork(Effect.flip(reserved.send("PING")))
        yield* Scope.close(client, Exit.void)
        const ends = yield* Effect.forEach([second, blocked, parked], Fiber.join)
        assert.deepStrictEqual(ends.map(({ reason }) => reason._tag), ["Closed", "Closed", "Closed"])
        assert.include(["Closed", "ConnectionLost"], (yield* Fiber.join(popped)).reason._tag)
        assert.strictEqual((yield* Effect.flip(reserved.send("PING"))).reason._tag, "Closed")
      }).pipe(Effect.scoped))
  }
})
