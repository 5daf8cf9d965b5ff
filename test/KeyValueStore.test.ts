/**
 * Effect's `KeyValueStore` on Redis: on a real server and on the simulated one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Schema from "effect/Schema"
import { Commands, HitlessError, HitlessKeyValueStore, HitlessRedis } from "hitless"
import { connect } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"
import { rehearse, until } from "./support/rehearsal.ts"

const encoder = new TextEncoder()

/** A store with nothing in it, whose prefix means something to `SCAN`. */
const store = HitlessKeyValueStore.make({ prefix: "a[b]*?\\:" })

type Body = Effect.Effect<void, unknown, HitlessRedis.HitlessRedis>

const real = Layer.effect(HitlessRedis.HitlessRedis, Effect.flatMap(startRedis(), (server) => connect(server)))

/** Runs it while simulated time passes. */
const passing = (body: Body) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(body, { startImmediately: true })
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined))
    yield* Fiber.join(fiber)
  }).pipe(rehearse())

const onReal = (body: Body) => Effect.scoped(Effect.provide(body, real))

for (const [server, run] of [["a real server", onReal], ["the simulated server", passing]] as const) {
  describe(`A store on ${server}`, () => {
    const test = (name: string, body: Body) =>
      server === "a real server" ? it.live(name, () => run(body)) : it.effect(name, () => run(body))

    test(
      "gives what was set last, and nothing that was not",
      Effect.gen(function*() {
        const kv = yield* store
        assert.isUndefined(yield* kv.get("key"))
        assert.isUndefined(yield* kv.getUint8Array("key"))
        assert.isFalse(yield* kv.has("key"))
        assert.isTrue(yield* kv.isEmpty)
        for (const value of ["value", "", "héllo 👋", "\ufeffwith a mark", "Zm9v"]) {
          yield* kv.set("key", value)
          assert.strictEqual(yield* kv.get("key"), value)
          assert.deepStrictEqual(yield* kv.getUint8Array("key"), encoder.encode(value))
        }
        assert.isTrue(yield* kv.has("key"))
        assert.isFalse(yield* kv.isEmpty)
        assert.strictEqual(yield* kv.size, 1)
        yield* kv.remove("key")
        yield* kv.remove("key")
        assert.isFalse(yield* kv.has("key"))
        assert.strictEqual(yield* kv.size, 0)
      })
    )

    test(
      "keeps bytes as they are, and gives them as Base64 where they are no text",
      Effect.gen(function*() {
        const kv = yield* store
        const bytes = Uint8Array.of(0, 42, 255, 128)
        yield* kv.set("binary", bytes)
        assert.deepStrictEqual(yield* kv.getUint8Array("binary"), bytes)
        assert.strictEqual(yield* kv.get("binary"), Base64.encode(bytes))
        assert.deepStrictEqual(
          yield* (yield* HitlessRedis.HitlessRedis).run(Commands.bytes(Commands.get("a[b]*?\\:binary"))),
          bytes
        )
      })
    )

    test(
      "sees and clears its own keys alone, of however many there are",
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const kv = yield* store
        const others = ["ab*?\\:1", "a[b]xy\\:1", "a[b]*?:1", "A[b]*?\\:1", "1"]
        for (const key of others) yield* redis.run(Commands.set(key, "theirs"))
        const mine = Array.from({ length: 3000 }, (_, index) => `${index % 2 === 0 ? "even" : "odd"}/${index}`)
        yield* Effect.forEach(mine, (key) => kv.set(key, "mine"), { concurrency: "unbounded" })
        assert.strictEqual(yield* kv.size, 3000)
        assert.sameMembers([...(yield* kv.keys)], mine)
        yield* kv.clearPrefix("even/")
        assert.sameMembers([...(yield* kv.keys)], mine.filter((key) => key.startsWith("odd")))
        yield* kv.clearPrefix("*")
        assert.strictEqual(yield* kv.size, 1500)
        yield* kv.clear
        assert.isTrue(yield* kv.isEmpty)
        assert.strictEqual(yield* redis.run(Commands.exists(others)), others.length)
      })
    )

    test(
      "modifies what there is, once for each who does at the same time, and leaves its expiration",
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const kv = yield* store
        assert.isUndefined(yield* kv.modify("n", () => assert.fail("there is nothing")))
        assert.isUndefined(yield* kv.modifyUint8Array("n", () => assert.fail("there is nothing")))
        assert.isFalse(yield* kv.has("n"))
        yield* redis.run(Commands.set("a[b]*?\\:n", "0", { expiration: "1 hour" }))
        const results = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () => kv.modify("n", (value) => String(Number(value) + 1)),
          { concurrency: 5 }
        )
        assert.strictEqual(new Set(results).size, 20)
        assert.strictEqual(yield* kv.get("n"), "20")
        assert.isAbove(yield* redis.run(Commands.ttl("a[b]*?\\:n")), 0)
        assert.deepStrictEqual(
          yield* kv.modifyUint8Array("n", (value) => Uint8Array.of(...value, 255)),
          Uint8Array.of(0x32, 0x30, 255)
        )
      })
    )

    test(
      "fails with its own error, which has the message of the client's",
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const kv = yield* store
        yield* redis.run(Commands.lPush("a[b]*?\\:list", "x"))
        const failing: ReadonlyArray<readonly [string, Effect.Effect<unknown, KeyValueStore.KeyValueStoreError>]> = [
          ["get", kv.get("list")],
          ["getUint8Array", kv.getUint8Array("list")],
          ["modify", kv.modify("list", (value) => value)]
        ]
        for (const [method, effect] of failing) {
          const error = yield* Effect.flip(effect)
          assert.instanceOf(error, KeyValueStore.KeyValueStoreError)
          assert.instanceOf(error.cause, HitlessError.HitlessError)
          assert.deepInclude(error, { method, key: "list", message: error.cause.message })
          assert.match(error.message, /WRONGTYPE/)
        }
      })
    )

    test(
      "is what Effect's own views stand on",
      Effect.gen(function*() {
        const kv = yield* store
        const users = KeyValueStore.toSchemaStore(
          KeyValueStore.prefix(kv, "users/"),
          Schema.Struct({ name: Schema.String, born: Schema.Date })
        )
        const user = { name: "Ada", born: new Date(0) }
        yield* users.set("1", user)
        assert.deepStrictEqual((yield* users.get("1"))._tag, "Some")
        assert.strictEqual(yield* users.size, 1)
        yield* kv.set("other", "x")
        yield* users.clear
        assert.deepStrictEqual([...(yield* kv.keys)], ["other"])
      })
    )
  })
}
