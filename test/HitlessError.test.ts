import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { answerHandshake, provesHandshake, rawServer } from "./support/rawServer.ts"

const timedOut = () =>
  new HitlessError.HitlessError({
    reason: new HitlessError.CommandTimeout({
      endpoint: "10.0.0.1:6379",
      command: "GET",
      afterMillis: 3000,
      mayHaveExecuted: true
    })
  })

describe("a failure", () => {
  it("is one Error, whose reason is data", () => {
    const error = timedOut()
    assert.instanceOf(error, Error)
    for (const member of HitlessError.HitlessErrorReason.members) {
      assert.notInstanceOf(member.prototype, Error, member.identifier)
    }
    assert.notProperty(error.reason, "stack")
  })

  it("has no trace, and says what its reason says", () => {
    const error = timedOut()
    assert.strictEqual(error.stack, `hitless/HitlessError: ${error.message}`)
    assert.strictEqual(error.message, "GET got no reply within 3000 ms at 10.0.0.1:6379 (it may have run)")
  })

  it("leaves the traces of other errors alone, also when it cannot be made", () => {
    const limit = Error.stackTraceLimit
    timedOut()
    assert.strictEqual(Error.stackTraceLimit, limit)
    assert.throws(() => new HitlessError.HitlessError({ reason: {} as HitlessError.HitlessErrorReason }))
    assert.strictEqual(Error.stackTraceLimit, limit)
    assert.match(new Error("mine").stack ?? "", /\n {4}at /)
  })

  it("survives a trip through JSON", () => {
    const codec = Schema.toCodecJson(HitlessError.HitlessError)
    const back = Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(timedOut()))))
    assert.instanceOf(back, HitlessError.HitlessError)
    assert.strictEqual(back.message, timedOut().message)
  })

  it.effect("is recovered from by its reason", () =>
    Effect.gen(function*() {
      const after = yield* Effect.fail(timedOut()).pipe(
        Effect.catchReason("HitlessError", "CommandTimeout", ({ afterMillis }) => Effect.succeed(afterMillis))
      )
      assert.strictEqual(after, 3000)
    }))

  it.live("by the ten thousand is made without one trace", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((words, connection) =>
        words[0] === "ECHO" && !provesHandshake(words, connection) ? undefined : answerHandshake(words)
      )
      const redis = yield* Effect.provide(
        HitlessRedis.make({
          host: "127.0.0.1",
          port: server.port,
          poolSize: 1,
          maintenance: { mode: "disabled", logLevel: "Error" }
        }),
        NodeTransport.layer
      )
      const errors = yield* Effect.forEach(
        Array.from({ length: 10_000 }),
        () => Effect.flip(redis.send("GET", "key")),
        { concurrency: "unbounded" }
      ).pipe(Effect.provideService(HitlessRedis.CurrentCommandTimeout, "200 millis"))
      assert.deepStrictEqual(new Set(errors.map(({ reason }) => reason._tag)), new Set(["CommandTimeout"]))
      assert.isUndefined(errors.find(({ stack }) => stack?.includes("\n    at ")))
    }))
})
