/**
 * Typed commands on a client: what `run`, `pipeline` and `transaction` make of them.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { Commands, HitlessError, HitlessRedis } from "hitless"
import { connect, flushed, kill, reasonOf, Server, stall, start } from "./support/client.ts"
import { nodeCommands } from "./support/nodeRedis.ts"
import { freePort, startRedis } from "./support/redisServer.ts"
import { advance, connections, rehearse } from "./support/rehearsal.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const binary = new Uint8Array([0, 255, 13, 10])

const values = (results: ReadonlyArray<Result.Result<unknown, HitlessError.HitlessError>>) =>
  results.map(Result.match({ onSuccess: (value): unknown => value, onFailure: ({ reason }) => reason._tag }))

/** A client in each protocol, with a database of its own. */
const clients = (database: number) =>
  Effect.flatMap(
    Server,
    (server) => Effect.forEach([3, 2] as const, (protocol) => connect(server, { database, protocol }))
  )

layer(Server.layer, { excludeTestServices: true })("A typed command", (it) => {
  it.effect("is run any number of times, and gives the same in both protocols", () =>
    Effect.gen(function*() {
      const fill = Commands.hSet("hash", { a: 1, b: "two" })
      for (const redis of yield* clients(1)) {
        yield* redis.run(Commands.del(["hash", "z"]))
        assert.strictEqual(yield* redis.run(fill), 2)
        assert.strictEqual(yield* redis.run(fill), 0)
        assert.deepEqual(yield* redis.run(Commands.hGetAll("hash")), { a: "1", b: "two" })
        yield* redis.run(Commands.zAdd("z", [{ value: "x", score: -Infinity }, { value: "y", score: 1.5 }]))
        assert.deepStrictEqual(yield* redis.run(Commands.zRangeWithScores("z", 0, -1)), [
          { value: "x", score: -Infinity },
          { value: "y", score: 1.5 }
        ])
      }
    }))

  it.effect("gives a typed result for each of a pipeline, between commands by name, and bytes where it wants them", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(2)) {
        const results = yield* redis.pipeline([
          Commands.set("k", "value"),
          ["STRLEN", "k"],
          Commands.bytes(Commands.get("k")),
          Commands.get("k"),
          Commands.lLen("k"),
          ["GET", "k"]
        ])
        assert.deepStrictEqual(values(results), ["OK", 5, bytes("value"), "value", "ServerReplied", "value"])
      }
    }))

  it.effect("gives the same in a transaction, where bytes and text come in one reply", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(3)) {
        const results = yield* redis.transaction([
          Commands.hSet("h", "field", "é"),
          Commands.bytes(Commands.hGetAll("h")),
          Commands.hGetAll("h"),
          ["HGET", "h", "field"],
          Commands.hScan("h", "0")
        ])
        yield* redis.run(Commands.del("h"))
        assert.deepEqual(values(results), [
          1,
          { field: bytes("é") },
          { field: "é" },
          "é",
          { cursor: "0", entries: [{ field: "field", value: "é" }] }
        ])
      }
    }))

  it.effect("runs in a transaction that watches what it was made of", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(4)
      yield* redis!.run(Commands.set("balance", 25))
      const results = yield* redis!.transaction({ watch: ["balance"] }, (own) =>
        Effect.map(own.run(Commands.get("balance")), (balance) => [Commands.decrBy("balance", Number(balance) - 5)]))
      assert.deepStrictEqual(values(results), [5])
    }))

  it.effect("keeps what is inside a reply that is an error", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(5)
      const reply = yield* redis!.run(Commands.eval("return { 1, redis.error_reply('MINE own') }"))
      assert.isTrue(Array.isArray(reply) && reply[1] instanceof HitlessError.HitlessError)
    }))

  it.effect("fails with its name where the reply is none that it knows, and the connection goes on", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(6)) {
        yield* redis.run(Commands.set("big", "9007199254740993"))
        const beyond = yield* Effect.flip(redis.run(Commands.incr("big")))
        const reason = reasonOf(beyond, "UnexpectedReply")
        assert.strictEqual(reason.command, "INCR")
        assert.include(reason.detail, "2^53")
        assert.isTrue(beyond.mayHaveExecuted)
        assert.isFalse(beyond.isRetryable)
        const secret = Commands.make(["GET", "big"], () => {
          throw new TypeError("secret")
        })
        const thrown = yield* Effect.flip(redis.run(secret))
        assert.strictEqual(reasonOf(thrown, "UnexpectedReply").detail, "what decodes it threw TypeError")
        assert.deepStrictEqual(values(yield* redis.pipeline([secret, Commands.strLen("big")])), [
          "UnexpectedReply",
          16
        ])
        assert.deepStrictEqual(values(yield* redis.transaction([Commands.strLen("big"), secret])), [
          16,
          "UnexpectedReply"
        ])
      }
    }))

  it.effect("takes bytes as they are when it is run, and refuses what is no argument", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(7)
      const value = bytes("before")
      const command = Commands.set("k", value)
      const running = redis!.run(command)
      value.set(bytes("AFTER!"))
      yield* running
      assert.strictEqual(yield* redis!.run(Commands.get("k")), "before")
      yield* redis!.run(command)
      assert.strictEqual(yield* redis!.run(Commands.get("k")), "AFTER!")
      const halved = yield* Effect.flip(redis!.run(Commands.get("\ud800")))
      assert.strictEqual(reasonOf(halved, "CommandRefused").command, "GET")
      const none = yield* Effect.flip(redis!.run({ words: ["GET", "k"] } as never))
      assert.strictEqual(none.reason._tag, "CommandRefused")
    }))

  it.effect("restores what it dumped, which is no text", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(11)) {
        yield* redis.run(Commands.rPush("list", [binary, "text"]))
        const dump = yield* redis.run(Commands.bytes(Commands.dump("list")))
        assert.instanceOf(dump, Uint8Array)
        yield* redis.run(Commands.del("list"))
        assert.strictEqual(yield* redis.run(Commands.restore("list", "1 hour", dump!)), "OK")
        assert.deepStrictEqual(yield* redis.run(Commands.bytes(Commands.lRange("list", 0, -1))), [
          binary,
          bytes("text")
        ])
        assert.isAbove(yield* redis.run(Commands.ttl("list")), 0)
        const library = "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
        yield* redis.run(Commands.functionLoad(library, { REPLACE: true }))
        const functions = yield* redis.run(Commands.bytes(Commands.functionDump()))
        assert.strictEqual(yield* redis.run(Commands.functionRestore(functions, { mode: "FLUSH" })), "OK")
        assert.strictEqual(yield* redis.run(Commands.fCall("f")), 1)
        yield* redis.run(Commands.del("list"))
      }
    }))

  it.effect("of one's own is refused where `send` is, and not on a reserved connection", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(8)
      const select = Commands.make(["SELECT", 9], (reply) => reply)
      assert.strictEqual((yield* Effect.flip(redis!.run(select))).reason._tag, "CommandRefused")
      const subscribe = Commands.make(["subscribe", "news"], (reply) => reply)
      assert.strictEqual((yield* Effect.flip(redis!.pipeline([subscribe]))).reason._tag, "CommandRefused")
      const own = yield* redis!.reserve
      assert.strictEqual(yield* own.run(select), "OK")
      yield* own.run(Commands.set("there", "1"))
      assert.isNull(yield* redis!.run(Commands.get("there")))
      assert.strictEqual((yield* Effect.flip(own.run(subscribe))).reason._tag, "CommandRefused")
    }).pipe(Effect.scoped))

  it.effect("of node-redis gives what node-redis does, from the definition alone", () =>
    Effect.gen(function*() {
      const range = Commands.fromNodeRedis(nodeCommands.ZRANGE_WITHSCORES)
      const search = Commands.fromNodeRedis(nodeCommands.GEOSEARCH_WITH)
      for (const redis of yield* clients(10)) {
        yield* redis.send("DEL", "z", "geo")
        yield* redis.send("ZADD", "z", 1, "a", 2.5, "b")
        yield* redis.send("GEOADD", "geo", 13, 38, "here")
        assert.deepStrictEqual(range("z", 0, -1).keys, ["z"])
        assert.deepEqual(yield* redis.run(range("z", 0, -1)), [{ value: "a", score: 1 }, { value: "b", score: 2.5 }])
        const [place] = yield* redis.run(search("geo", "here", { radius: 1, unit: "m" }, ["WITHDIST"]))
        assert.deepEqual(place, { member: "here", distance: 0 } as never)
      }
    }))
})

describe("A typed command that was lost", () => {
  it.live("says itself whether it is sent again after a lost connection", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const server = yield* startRedis({ port })
      const redis = yield* connect(server, { commandTimeout: "20 seconds" })
      yield* stall(server)
      const take = <A>(command: Commands.Command<A>) => start(redis.run(command))
      const known = yield* take(Commands.get("k"))
      const written = yield* take(Commands.set("k", "v"))
      const read = yield* take(Commands.make(["SETNX", "k", "v"], (reply) => reply, { readOnly: true }))
      const own = yield* take(Commands.make(["GET", "k"], (reply) => reply))
      yield* flushed
      yield* Effect.sleep("10 millis")
      yield* kill(server)
      yield* startRedis({ port })
      assert.deepStrictEqual(
        values([
          yield* Effect.result(Fiber.join(known)),
          yield* Effect.result(Fiber.join(written)),
          yield* Effect.result(Fiber.join(read)),
          yield* Effect.result(Fiber.join(own))
        ]),
        [null, "ConnectionLost", 1, "ConnectionLost"]
      )
    }))
})

describe("A typed command that waits", () => {
  it.effect("takes a connection of its own, holds up nobody, and gives its own value", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* start(redis.run(Commands.blPop("queue", 0)))
      yield* advance("20 seconds")
      assert.strictEqual((yield* connections("a")) > 1, true)
      assert.strictEqual(yield* redis.run(Commands.incr("n")), 1)
      yield* redis.run(Commands.rPush("queue", "element"))
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* Fiber.join(popped), { key: "queue", element: "element" })
    }).pipe(Effect.scoped, rehearse({ poolSize: 1 })))

  it.effect("ends with what it makes of nothing when its time is over, and not before", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* start(redis.run(Commands.blPop("queue", "12 seconds")))
      const own = yield* start(
        redis.run(Commands.make(["BLPOP", "queue", 12], (reply) => reply === null ? "nothing" : null))
      )
      yield* advance("11999 millis")
      assert.isUndefined(popped.pollUnsafe())
      assert.isUndefined(own.pollUnsafe())
      yield* advance("1 millis")
      assert.isNull(yield* Fiber.join(popped))
      assert.strictEqual(yield* Fiber.join(own), "nothing")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("whose value is null for something is not asked again", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const popped = yield* start(redis.run(Commands.make(["BLPOP", "queue", 0], () => null)))
      yield* advance("1 second")
      yield* redis.run(Commands.rPush("queue", ["one", "two"]))
      yield* advance("10 millis")
      assert.isNull(yield* Fiber.join(popped))
      assert.strictEqual(yield* redis.run(Commands.lLen("queue")), 1)
    }).pipe(Effect.scoped, rehearse()))

  it.effect("is refused in a pipeline, as by name", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const refused = yield* Effect.flip(redis.pipeline([Commands.xRead({ key: "s", id: "$" }, { BLOCK: 0 })]))
      assert.strictEqual(reasonOf(refused, "CommandRefused").command, "XREAD")
    }).pipe(rehearse()))
})
