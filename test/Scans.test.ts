/**
 * Scans as streams.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Commands } from "hitless"
import { type Client, connect, reasonOf, Server } from "./support/client.ts"

const numbers = Array.from({ length: 1000 }, (_, n) => String(n))

/** How often a server was sent a command. */
const called = (redis: Client, name: string) =>
  Effect.map(
    redis.run(Commands.info("commandstats")),
    (stats) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0)
  )

layer(Server.layer, { excludeTestServices: true })("A scan", (it) => {
  const clients = (database: number) =>
    Effect.flatMap(
      Server,
      (server) => Effect.forEach([3, 2] as const, (protocol) => connect(server, { database, protocol }))
    )

  it.effect("gives all keys, fields and members, on connections of one's own too", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(1)) {
        yield* redis.run(Commands.flushDb())
        yield* redis.run(Commands.mSet(numbers.map((n) => [`key:${n}`, n])))
        yield* redis.run(Commands.hSet("hash", numbers.map((n) => [n, `value ${n}`])))
        yield* redis.run(Commands.sAdd("set", numbers.map((n) => `m${n}`)))
        yield* redis.run(Commands.zAdd("zset", numbers.map((n) => ({ value: `m${n}`, score: Number(n) }))))
        for (const on of [redis, yield* redis.reserve]) {
          const all = <A>(stream: Stream.Stream<A, unknown>) =>
            Effect.map(Stream.runCollect(stream), (items) => new Set(items))
          assert.deepStrictEqual(
            yield* all(on.scan({ MATCH: "key:*", COUNT: 7 })),
            new Set(yield* redis.run(Commands.keys("key:*")))
          )
          assert.strictEqual((yield* all(on.scan())).size, 1003)
          assert.deepStrictEqual(yield* all(on.scan({ TYPE: "zset" })), new Set(["zset"]))
          const fields = yield* all(
            Stream.map(on.hScan("hash", { COUNT: 100 }), ({ field, value }) => `${field}=${value}`)
          )
          assert.deepStrictEqual(fields, new Set(numbers.map((n) => `${n}=value ${n}`)))
          assert.deepStrictEqual(yield* all(on.sScan("set")), new Set(numbers.map((n) => `m${n}`)))
          assert.deepStrictEqual(
            yield* all(on.sScan("set", { MATCH: "m99?" })),
            new Set(numbers.slice(990).map((n) => `m${n}`))
          )
          const members = yield* all(Stream.map(on.zScan("zset"), ({ score, value }) => `${value} ${score}`))
          assert.deepStrictEqual(members, new Set(numbers.map((n) => `m${n} ${n}`)))
          assert.strictEqual((yield* all(on.hScan("none"))).size, 0)
        }
      }
    }))

  it.effect("asks for a step when more is wanted, and for no more when its reader stops", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(2)
      yield* redis.run(Commands.flushDb())
      yield* redis.run(Commands.hSet("hash", numbers.map((n) => [n, n])))
      const before = yield* called(redis, "hscan")
      const few = yield* Stream.runCollect(Stream.take(redis.hScan("hash", { COUNT: 10 }), 5))
      assert.lengthOf(few, 5)
      assert.strictEqual(yield* called(redis, "hscan"), before + 1)
    }))

  it.effect("fails where the server refuses a step", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(3)
      yield* redis.run(Commands.set("text", "x"))
      const error = yield* Effect.flip(Stream.runCollect(redis.sScan("text")))
      assert.strictEqual(reasonOf(error, "ServerReplied").code, "WRONGTYPE")
    }))
})
