/**
 * What goes wrong against a real redis-server: deadlines, interruption, lost connections, servers that cannot serve, shutdown.
 *
 * Tests that stop, kill, count or reconfigure a server start one of their own; the others share one. A server is stalled
 * with `SIGSTOP`: the kernel goes on accepting connections and bytes, nothing is answered, and `SIGCONT` ends it when
 * the test says so.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import {
  clientList,
  connect,
  flushed,
  folder,
  grow,
  info,
  kill,
  reasonOf,
  resume,
  serving,
  stall,
  start,
  within
} from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { freePort, startRedis } from "./support/redisServer.ts"

// ----- deadlines and interruption -----

describe("a deadline", () => {
  // Half a second is far more than the replies take once the server goes on, also on a busy machine.
  it.live("ends a command that may have run; later commands get their own replies", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      yield* stall(server)
      const error = yield* redis.send("INCR", "counter").pipe(within("500 millis"), Effect.flip)
      const reason = reasonOf(error, "CommandTimeout")
      assert.strictEqual(reason.command, "INCR")
      assert.isAtLeast(reason.afterMillis, 500)
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      const later = yield* start(Effect.all([redis.send("ECHO", "a"), redis.send("GET", "counter")], {
        concurrency: "unbounded"
      }))
      yield* resume(server)
      assert.deepStrictEqual(yield* Fiber.join(later), ["a", "1"])
      assert.strictEqual(yield* info(redis, "stats", "total_connections_received"), "2")
    }))

  it.live("is the configured one, unless the effect has its own, which may be longer", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { commandTimeout: "500 millis" })
      const patient = yield* start(redis.send("GET", "key").pipe(within("Infinity")))
      yield* Fiber.join(patient)
      yield* stall(server)
      const waiting = yield* start(redis.send("GET", "key").pipe(within("1 minute")))
      const error = yield* Effect.flip(redis.pipeline([["GET", "key"], ["GET", "key"]]))
      assert.strictEqual(reasonOf(error, "CommandTimeout").command, "PIPELINE")
      yield* resume(server)
      assert.strictEqual(yield* Fiber.join(waiting), null)
    }))

  it.live("is not held up by a peer that went away without a word", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "100 millis", connectTimeout: "100 millis" })
      yield* stall(server)
      const errors = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.flip(redis.send("SET", "key", "value"))
      )
      assert.include(["CommandTimeout", "ConnectionLost", "ConnectFailed"], errors[0]!.reason._tag)
      // The silent connection was given up, and commands that never found another were not sent.
      assert.isFalse(errors[9]!.mayHaveExecuted)
      assert.strictEqual(reasonOf(errors[9]!, "ConnectFailed").kind, "TimedOut")
      yield* resume(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 1))
      // Neither the silent connection nor a dial that was given up is left.
      const observer = yield* connect(server, { clientName: "observer" })
      yield* waitUntil(Effect.map(clientList(observer), (clients) => clients.length === 2))
    }))
})

describe("an event loop that was busy", () => {
  it.live("reads what has arrived before it finds a command overdue", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { commandTimeout: "100 millis" })
      yield* redis.send("PING")
      const reply = yield* start(redis.send("ECHO", "in time"))
      // The command has left with the next microtask; its reply waits in the socket while the loop is blocked.
      yield* Effect.yieldNow
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
      assert.strictEqual(yield* Fiber.join(reply), "in time")
    }))
})

describe("an interrupted command", () => {
  it.live("in flight runs, and its reply goes to nobody", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      yield* stall(server)
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const batch = yield* start(redis.pipeline([["INCR", "counter"], ["INCR", "counter"]]))
      yield* flushed
      const later = yield* start(redis.send("GET", "counter"))
      yield* Fiber.interruptAll([interrupted, batch])
      yield* resume(server)
      assert.strictEqual(yield* Fiber.join(later), "3")
    }))

  it.live("that was not yet written never runs", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const later = yield* start(redis.send("GET", "counter"))
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(yield* Fiber.join(later), null)
      assert.strictEqual((yield* redis.status).pending, 0)
    }))

  it.live("that waited for a connection never runs", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const later = yield* start(redis.send("GET", "counter").pipe(within("1 minute")))
      yield* Fiber.interrupt(interrupted)
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(later), null)
    }))
})

// ----- unannounced loss -----

describe("a lost connection", () => {
  it.live("killed by the server is replaced, and commands go on", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1 })
      yield* redis.send("SET", "key", "value")
      for (let round = 0; round < 5; round++) {
        yield* observer.send("CLIENT", "KILL", "TYPE", "normal")
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
      }
      assert.strictEqual((yield* redis.status).health, "ok")
    }))

  it.live("replays reads in flight, fails writes in flight, and lets later commands wait", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const server = yield* startRedis({ args: ["--dir", dir] })
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* redis.send("SET", "key", "value")
      yield* redis.send("SAVE")
      yield* stall(server)
      const read = yield* start(redis.send("GET", "key"))
      const reads = yield* start(redis.pipeline([["GET", "key"], ["STRLEN", "key"]]))
      const write = yield* start(Effect.flip(redis.send("INCR", "counter")))
      const mixed = yield* start(Effect.flip(redis.pipeline([["GET", "key"], ["INCR", "counter"]])))
      // Its commands are not in flight before `MULTI` is accepted.
      const transaction = yield* start(redis.transaction([["INCR", "counter"]]))
      yield* flushed
      yield* kill(server)
      for (const fiber of [write, mixed]) {
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(reasonOf(error, "ConnectionLost").endpoint, `127.0.0.1:${server.port}`)
        assert.isTrue(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
      }
      assert.strictEqual((yield* redis.status).health, "down")
      const waiting = yield* start(redis.send("INCR", "counter"))
      // Both reads, the pipeline's two commands counted each, the transaction's three, and this one.
      assert.strictEqual((yield* redis.status).pending, 7)
      yield* startRedis({ port: server.port, args: ["--dir", dir] })
      assert.strictEqual(yield* Fiber.join(read), "value")
      assert.deepStrictEqual(yield* Fiber.join(reads), [Result.succeed("value"), Result.succeed(5)])
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed(1)])
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.strictEqual((yield* redis.status).health, "ok")
    }))

  it.live("replays what the retry policy says", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const seen: Array<string> = []
      const chosen = yield* connect(server, {
        commandTimeout: "1 minute",
        retry: (command, [key]) => {
          seen.push(`${command} ${key}`)
          return key !== "no"
        }
      })
      const none = yield* connect(server, { retry: "none" })
      yield* stall(server)
      const yes = yield* start(chosen.send("INCR", "yes"))
      const no = yield* start(Effect.flip(chosen.send("INCR", "no")))
      const read = yield* start(Effect.flip(none.send("GET", "yes")))
      yield* flushed
      yield* kill(server)
      assert.isTrue((yield* Fiber.join(no)).mayHaveExecuted)
      assert.isTrue((yield* Fiber.join(read)).mayHaveExecuted)
      assert.deepStrictEqual(seen, ["INCR yes", "INCR no"])
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(yes), 1)
    }))

  it.live("gives back what it had not written, to be sent on the next one", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute", retry: "none" })
      yield* stall(server)
      // More than the buffers of both sockets take: what follows waits until it has left.
      const large = yield* start(Effect.flip(redis.send("SET", "key", "x".repeat(32 * 1024 * 1024))))
      yield* flushed
      const small = yield* start(redis.send("INCR", "counter"))
      yield* flushed
      yield* kill(server)
      assert.isTrue((yield* Fiber.join(large)).mayHaveExecuted)
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(small), 1)
    }))

  it.live("is remembered by what was written on it: a replay that found no other may have run", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { retry: () => true })
      yield* stall(server)
      const written = yield* start(redis.send("INCR", "counter").pipe(within("500 millis"), Effect.flip))
      yield* flushed
      yield* kill(server)
      const error = yield* Fiber.join(written)
      assert.match(
        reasonOf(error, "ConnectFailed").detail,
        /; INCR waited \d+ ms for a connection and was not sent again$/
      )
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
    }))

  it.live("of a server that is gone for good fails commands by their deadline, with what the dial met", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const error = yield* redis.send("GET", "key").pipe(within("300 millis"), Effect.flip)
      const reason = reasonOf(error, "ConnectFailed")
      assert.strictEqual(reason.kind, "Refused")
      assert.strictEqual(reason.command, "GET")
      assert.match(
        reason.detail,
        /^connection refused, .* \(ECONNREFUSED\); GET waited \d+ ms for a connection and was never sent$/
      )
      assert.isFalse(error.mayHaveExecuted)
      assert.isTrue(error.isRetryable)
      assert.strictEqual((yield* redis.status).pending, 0)
    }))
})

// ----- servers that cannot run commands for the moment -----

describe("a server that is a replica", () => {
  it.live("gets a write again until it is a master", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("INCR", "counter"))
      const refusals = Effect.map(info(observer, "errorstats", "errorstat_READONLY"), (count) => count ?? "count=0")
      yield* waitUntil(Effect.map(refusals, (count) => Number(count.replace("count=", "")) >= 3))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)
    }))

  it.live("is dialled again, because the name may lead to the master by now", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, clientName: "dialled", commandTimeout: "1 minute" })
      const ids = Effect.map(clientList(observer), (clients) =>
        clients.filter(({ name }) => name === "dialled").map(({ id }) => id))
      const before = yield* ids
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("INCR", "counter"))
      yield* waitUntil(Effect.map(ids, (now) =>
        now.length > 0 && now.every((id) => !before.includes(id))))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)
    }))

  it.live("ends waits when it becomes one, and they go on at the master", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      const direct = yield* connect(server)
      const waits = yield* start(
        Effect.all([redis.send("BLPOP", "list", 0), redis.send("BLMPOP", 0, 1, "other", "LEFT")], {
          concurrency: "unbounded"
        })
      )
      const blocked = Effect.map(info(direct, "clients", "blocked_clients"), Number)
      yield* waitUntil(Effect.map(blocked, (count) => count === 2))
      yield* direct.send("REPLICAOF", "127.0.0.1", yield* freePort)
      yield* waitUntil(Effect.map(blocked, (count) => count === 0))
      yield* direct.send("REPLICAOF", "NO", "ONE")
      yield* direct.pipeline([["RPUSH", "list", "one"], ["RPUSH", "other", "two"]])
      assert.deepStrictEqual(yield* Fiber.join(waits), [["list", "one"], ["other", ["two"]]])
    }))

  it.live("answers the command itself when it stays one until the deadline", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* redis.send("REPLICAOF", "127.0.0.1", 1)
      for (
        const refused of [
          redis.send("INCR", "counter"),
          Effect.flatMap(redis.pipeline([["INCR", "counter"]]), ([result]) => Effect.fromResult(result!))
        ]
      ) {
        const error = yield* refused.pipe(within("200 millis"), Effect.flip)
        assert.strictEqual(reasonOf(error, "ServerReplied").code, "READONLY")
        assert.isFalse(error.mayHaveExecuted)
        assert.isTrue(error.isRetryable)
      }
      assert.strictEqual(yield* redis.send("GET", "counter"), null)
    }))
})

describe("a script", () => {
  it.live("that a replica stopped before its first write is run again; one that fails in words of its own is not", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("EVAL", "return redis.call('INCR', KEYS[1])", 1, "counter"))
      const refusals = Effect.map(info(observer, "errorstats", "errorstat_READONLY"), (count) => count ?? "count=0")
      yield* waitUntil(Effect.map(refusals, (count) => Number(count.replace("count=", "")) >= 2))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)

      const own = "redis.call('INCR', KEYS[1]) return redis.error_reply('TRYAGAIN later')"
      const error = yield* Effect.flip(redis.send("EVAL", own, 1, "counter"))
      assert.strictEqual(reasonOf(error, "ServerReplied").code, "TRYAGAIN")
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      assert.strictEqual(yield* redis.send("GET", "counter"), "2")
    }))
})

describe("a server that is loading its data", () => {
  it.live("gets commands again until it has loaded", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const port = yield* freePort
      yield* Effect.scoped(Effect.gen(function*() {
        const redis = yield* connect(yield* startRedis({ port, args: ["--dir", dir] }))
        const keys = Array.from({ length: 500 }, (_, index) => [`key:${index}`, "value".repeat(20)]).flat()
        yield* redis.send("MSET", ...keys)
        yield* redis.send("SAVE")
      }))
      // 500 keys with 5 ms each, and a look at the network after every KiB.
      const slowly = ["--dir", dir, "--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"]
      const redis = yield* connect(yield* startRedis({ port, args: slowly }), { commandTimeout: "1 minute" })
      assert.strictEqual(yield* redis.send("STRLEN", "key:499"), 100)
      assert.match((yield* info(redis, "errorstats", "errorstat_LOADING"))!, /^count=[1-9]/)
    }))
})

// ----- shutdown -----

describe("shutdown", () => {
  it.live("delivers the replies that are owed and closes every connection", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server, { poolSize: 3 }), scope)
      yield* grow(server, redis, 3)
      yield* stall(server)
      const inFlight = yield* start(
        Effect.forEach(Array.from({ length: 1000 }), () => redis.send<number>("INCR", "counter"), {
          concurrency: "unbounded"
        })
      )
      const closing = yield* start(Scope.close(scope, Exit.void))
      const refused = yield* Effect.flip(redis.send("INCR", "counter"))
      assert.isFalse(reasonOf(refused, "Closed").mayHaveExecuted)
      yield* resume(server)
      assert.sameMembers(yield* Fiber.join(inFlight), Array.from({ length: 1000 }, (_, index) => index + 1))
      yield* Fiber.join(closing)
      yield* waitUntil(Effect.map(clientList(observer), (clients) => clients.length === 1))
      assert.strictEqual(yield* observer.send("GET", "counter"), "1000")
      const error = yield* Effect.flip(redis.send("GET", "counter"))
      assert.strictEqual(reasonOf(error, "Closed").command, "GET")
      assert.isFalse(error.isRetryable)
    }))

  it.live("waits for a silent server no longer than a command may take", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server, { commandTimeout: "100 millis" }), scope)
      yield* stall(server)
      const inFlight = yield* start(redis.send("INCR", "counter").pipe(within("Infinity"), Effect.flip))
      yield* flushed
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(inFlight)
      assert.strictEqual(reasonOf(error, "Closed").command, "INCR")
      assert.isTrue(error.mayHaveExecuted)
    }))

  it.live("ends commands that wait for a connection, and the dials", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server), scope)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const waiting = yield* start(redis.send("GET", "key").pipe(within("Infinity"), Effect.flip))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(reasonOf(yield* Fiber.join(waiting), "Closed").mayHaveExecuted)
      const revived = yield* startRedis({ port: server.port })
      const observer = yield* connect(revived)
      assert.strictEqual((yield* clientList(observer)).length, 1)
    }))
})
