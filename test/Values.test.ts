/**
 * Commands whose values have a schema.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Commands, type HitlessError } from "hitless"
import { connect, printed, reasonOf, Server } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"

const User = Schema.Struct({
  name: Schema.String,
  age: Schema.Int.check(Schema.isGreaterThan(3)),
  born: Schema.optionalKey(Schema.Date),
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int))
})

type User = typeof User.Type

const users = Commands.schema(User)

const ada: User = { name: "Ada", age: 36, born: new Date("1815-12-10T00:00:00Z") }
const bob: User = { name: "Bob", age: 4 }

const secret = "s3cret-w0rd"

layer(Server.layer, { excludeTestServices: true })("Values of a schema", (it) => {
  const clients = (database: number) =>
    Effect.flatMap(
      Server,
      (server) => Effect.forEach([3, 2] as const, (protocol) => connect(server, { database, protocol }))
    )

  it.effect("are JSON in Redis, and typed values in strings, hashes and lists", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(1)) {
        const run = redis.run
        yield* run(Commands.flushDb())
        const ok: "OK" | null = yield* run(users.set("ada", ada, { expiration: "1 hour", condition: "NX" }))
        assert.strictEqual(ok, "OK")
        assert.deepStrictEqual(JSON.parse((yield* run(Commands.get("ada"))) ?? ""), {
          name: "Ada",
          age: 36,
          born: "1815-12-10T00:00:00.000Z"
        })
        const read: User | null = yield* run(users.get("ada"))
        assert.deepStrictEqual(read, ada)
        assert.isNull(yield* run(users.get("none")))
        assert.deepStrictEqual(yield* run(users.getEx("ada", "PERSIST")), ada)
        assert.deepStrictEqual(yield* run(users.set("ada", bob, { GET: true })), ada)
        assert.deepStrictEqual(yield* run(users.getSet("ada", ada)), bob)
        assert.strictEqual(yield* run(users.setNX("ada", bob)), 0)
        yield* run(users.mSet({ bob, carl: ada }))
        assert.deepStrictEqual(yield* run(users.mGet(["bob", "none", "ada"])), [bob, null, ada])
        assert.deepStrictEqual(yield* run(users.getDel("carl")), ada)

        assert.strictEqual(yield* run(users.hSet("h", { ada, bob })), 2)
        assert.strictEqual(yield* run(users.hSet("h", "carl", ada)), 1)
        assert.strictEqual(yield* run(users.hSetNX("h", "carl", bob)), 0)
        assert.deepStrictEqual(yield* run(users.hGet("h", "ada")), ada)
        assert.isNull(yield* run(users.hGet("h", "none")))
        assert.deepEqual(yield* run(users.hGetAll("h")), { ada, bob, carl: ada })
        assert.deepStrictEqual(yield* run(users.hmGet("h", ["bob", "none"])), [bob, null])
        assert.deepStrictEqual(yield* run(users.hVals("h")), [ada, bob, ada])

        assert.strictEqual(yield* run(users.rPush("l", [ada, bob])), 2)
        assert.strictEqual(yield* run(users.lPush("l", [bob])), 3)
        assert.strictEqual(yield* run(users.lSet("l", 0, ada)), "OK")
        assert.deepStrictEqual(yield* run(users.lRange("l", 0, -1)), [ada, ada, bob])
        assert.deepStrictEqual(yield* run(users.lIndex("l", -1)), bob)
        assert.deepStrictEqual(yield* run(users.lMove("l", "m", "RIGHT", "LEFT")), bob)
        assert.deepStrictEqual(yield* run(users.blMove("m", "l", "RIGHT", "RIGHT", "1 second")), bob)
        assert.deepStrictEqual(yield* run(users.blPop(["m", "l"], "1 second")), { key: "l", element: ada })
        assert.deepStrictEqual(yield* run(users.brPop("l", "1 second")), { key: "l", element: bob })
        assert.isNull(yield* run(users.blPop("m", "10 millis")))
        assert.deepStrictEqual(yield* run(users.lPop("l")), ada)
        assert.isNull(yield* run(users.rPop("l")))
      }
    }))

  it.effect("are the fields of entries of streams", () =>
    Effect.gen(function*() {
      for (const redis of yield* clients(2)) {
        const run = redis.run
        yield* run(Commands.flushDb())
        yield* run(Commands.xGroupCreate("s", "g", "0", { MKSTREAM: true }))
        yield* run(users.xAdd("s", "1-0", { user: ada }))
        yield* run(users.xAdd("s", "2-0", { user: bob, by: ada }))
        const entries = [{ id: "1-0", message: { user: ada } }, { id: "2-0", message: { user: bob, by: ada } }]
        assert.deepEqual(yield* run(users.xRange("s", "-", "+")), entries as never)
        assert.deepEqual(yield* run(users.xRevRange("s", "+", "-", { COUNT: 1 })), entries.slice(1) as never)
        assert.deepEqual(yield* run(users.xRead({ key: "s", id: "1-0" })), [
          { name: "s", messages: entries.slice(1) as never }
        ])
        assert.deepEqual(yield* run(users.xReadGroup("g", "c", { key: "s", id: ">" })), [
          { name: "s", messages: entries as never }
        ])
        yield* run(Commands.xDel("s", "1-0"))
        assert.deepEqual(yield* run(users.xReadGroup("g", "c", { key: "s", id: "0" })), [
          { name: "s", messages: [{ id: "1-0", message: null }, entries[1] as never] }
        ])
        assert.isNull(yield* run(users.xReadGroup("g", "c", { key: "s", id: ">" })))
      }
    }))

  it.effect("that are in Redis and are none name command, key and place, and nothing of themselves", () =>
    Effect.gen(function*() {
      const [redis] = yield* clients(3)
      const run = redis.run
      yield* run(Commands.flushDb())
      const json = (value: object) => JSON.stringify({ ...bob, ...value })
      const bad: ReadonlyArray<readonly [value: string, detail: string]> = [
        [`{"${secret}`, "Expected a valid JSON string"],
        [`"${secret}"`, "Expected object"],
        [json({ name: { secret } }), "Expected string at .name"],
        [json({ name: undefined }), "Missing value at .name"],
        [json({ age: 2 }), "Expected a value greater than 3 at .age"],
        [json({ born: secret }), "Expected a valid Date at .born"],
        [json({ tags: { [secret]: secret } }), "Expected number at .tags[…]"]
      ]
      for (const [value, expected] of bad) {
        yield* run(Commands.set("k", value))
        const error = yield* Effect.flip(run(users.get("k")))
        const { command, detail, key } = reasonOf(error, "InvalidValue")
        assert.deepStrictEqual({ command, key, detail }, { command: "GET", key: "k", detail: expected })
        assert.isTrue(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
        assert.notInclude(printed(error), secret)
      }
      yield* run(Commands.hSet("h", { good: JSON.stringify(bob), bad: secret }))
      yield* run(Commands.rPush("l", [JSON.stringify(bob), secret]))
      yield* run(Commands.xAdd("s", "1-1", { user: secret }))
      const wrong = "Expected a valid JSON string"
      const places: ReadonlyArray<readonly [Commands.Command<unknown>, string, string]> = [
        [users.mGet(["none", "k"]), "k", "Expected number at .tags[…]"],
        [users.hGetAll("h"), "h", `${wrong}, in its field "bad"`],
        [users.hGet(new TextEncoder().encode("h"), "bad"), "h", `${wrong}, in its field "bad"`],
        [users.hmGet("h", ["good", "bad"]), "h", `${wrong}, in its field "bad"`],
        [users.hVals("h"), "h", `${wrong}, in element 1 of the reply`],
        [users.lRange("l", 0, -1), "l", `${wrong}, in element 1 of the reply`],
        [users.xRead({ key: "s", id: "0" }), "s", `${wrong}, in the field "user" of its entry 1-1`],
        [users.brPop(["none", "l"], "1 second"), "l", wrong]
      ]
      for (const [command, key, detail] of places) {
        const reason = reasonOf(yield* Effect.flip(run(command)), "InvalidValue")
        assert.deepStrictEqual([reason.key, reason.detail], [key, detail])
      }
      // In a pipeline it is that command's own result.
      const results: ReadonlyArray<Result.Result<unknown, HitlessError.HitlessError>> = yield* redis.pipeline([
        users.hGet("h", "good"),
        users.hGet("h", "bad"),
        Commands.get("none")
      ])
      assert.deepStrictEqual(
        results.map((result) => Result.isSuccess(result) ? result.success : result.failure.reason._tag),
        [bob, "InvalidValue", null]
      )
    }))
})

describe("A value that its schema does not encode", () => {
  it.live("is not sent, and nothing of it is in the error", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const bad = { name: secret, age: 1 }
      const commands: ReadonlyArray<Commands.Command<unknown>> = [
        users.set("k", bad),
        users.mSet({ a: bob, b: bad }),
        users.hSet("h", "field", bad),
        users.rPush("l", [bob, bad]),
        users.xAdd("s", "*", { user: bad })
      ]
      for (const command of commands) {
        for (
          const refused of [
            redis.run(command),
            redis.pipeline([users.set("ok", bob), command]),
            redis.transaction([command])
          ]
        ) {
          const error = yield* Effect.flip(refused as Effect.Effect<unknown, HitlessError.HitlessError>)
          assert.match(
            reasonOf(error, "CommandRefused").detail,
            /^argument \d is not what its schema says: Expected a value greater than 3 at \.age$/
          )
          assert.isFalse(error.mayHaveExecuted)
          assert.notInclude(printed(error), secret)
        }
      }
      assert.strictEqual(yield* redis.run(Commands.dbSize()), 0)
    }))

  it.live("stays a value that is an array, where several are an array of them", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const points = Commands.schema(Schema.Array(Schema.Finite))
      yield* redis.run(points.rPush("l", [[1, 2], []]))
      assert.deepStrictEqual(yield* redis.run(points.lRange("l", 0, -1)), [[1, 2], []])
    }))
})
