/**
 * The service on a simulated deployment: what does not need a real server to be shown.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import { type HitlessError, HitlessRedis } from "hitless"
import { connect, deploy, handoffsEnded, waitUntil } from "./support/deployment.ts"

const maintenance = { logLevel: "Error" } as const

describe("spans", () => {
  const record = () => {
    const spans: Array<{ readonly name: string; readonly attributes: Record<string, unknown> }> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push({
          name: options.name,
          get attributes() {
            return Object.fromEntries(span.attributes)
          }
        })
        return span
      }
    })
    return { spans, tracer }
  }

  it.live("surround each command, batch and handoff, and carry no argument", () =>
    Effect.gen(function*() {
      const { spans, tracer } = record()
      const sim = yield* deploy(["a", "b"])
      yield* Effect.gen(function*() {
        const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
        yield* client.redis.send("SET", "secret-key", "secret-value")
        yield* client.redis.pipeline([["GET", "secret-key"], ["PING"]])
        yield* client.redis.transaction([["INCR", "secret-counter"]])
        yield* sim.moving("a", { target: "b", time: "1 second" })
        yield* handoffsEnded(client, 1)
      }).pipe(Effect.provideService(Tracer.Tracer, tracer))
      assert.deepStrictEqual(spans.map(({ name }) => name), ["SET", "PIPELINE", "MULTI", "hitless.handoff"])
      assert.strictEqual(spans[0]!.attributes["db.system.name"], "redis")
      assert.strictEqual(spans[1]!.attributes["db.operation.batch.size"], 2)
      assert.notInclude(JSON.stringify(spans), "secret")
    }))
})

describe("a command that is not sent", () => {
  const refused = (effect: Effect.Effect<unknown, HitlessError.HitlessError>) =>
    Effect.map(Effect.flip(effect), (error) => {
      assert.strictEqual(error.reason._tag, "CommandRefused")
      assert.isFalse(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      return error.message
    })

  it.live("for an argument that is none, says which; other commands of the tick are answered", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, maintenance })
      const good = yield* Effect.forkScoped(redis.send("ECHO", "one"))
      const bad = yield* refused(redis.send("SET", "key", undefined as never))
      const batch = yield* refused(redis.pipeline([["SET", "key", 1], ["SET", "key", null as never]]))
      assert.strictEqual(yield* Fiber.join(good), "one")
      assert.include(bad, "argument 2")
      assert.include(batch, "argument 2")
      assert.strictEqual(yield* redis.send("GET", "key"), null)
    }))

  it.live("because it would change what other commands get, in any spelling and any batch", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, maintenance })
      const harmful: ReadonlyArray<HitlessRedis.Words> = [
        ["SUBSCRIBE", "ch"],
        ["Subscribe", "ch"],
        ["MONITOR"],
        ["select", 3],
        ["MULTI"],
        ["EXEC"],
        ["CLIENT", "reply", "off"],
        ["HELLO", 2],
        [""]
      ]
      for (const words of harmful) {
        yield* refused(redis.send(...words))
        yield* refused(redis.pipeline([["PING"], words]))
        yield* refused(redis.transaction([["PING"], words]))
      }
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))
})

describe("a pipeline", () => {
  it.live("is what it was when it started, whatever becomes of the caller's arrays", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, maintenance })
      yield* sim.stall("a", "100 millis")
      const first: [string, ...Array<string>] = ["ECHO", "1"]
      const commands: Array<[string, ...Array<string>]> = [first, ["ECHO", "2"]]
      const pipeline = yield* Effect.forkScoped(redis.pipeline(commands), { startImmediately: true })
      first[1] = "changed"
      commands.length = 0
      commands.push(["ECHO", "3"])
      const other = yield* redis.send("ECHO", "other")
      assert.deepStrictEqual(yield* Fiber.join(pipeline), [Result.succeed("1"), Result.succeed("2")])
      assert.strictEqual(other, "other")
    }))
})

describe("a server that has gone silent", () => {
  it.live("is left for a new connection when it has owed a reply for two timeouts without a byte", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "100 millis", maintenance })
      yield* sim.stall("a", "1 hour")
      const error = yield* Effect.flip(redis.send("PING"))
      assert.strictEqual(error.reason._tag, "CommandTimeout")
      yield* waitUntil(Effect.map(sim.accepted("a"), (count) => count >= 2))
    }))
})

describe("too much at once", () => {
  it.live("is refused, and what was accepted is answered", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "Infinity", maintenance })
      yield* sim.stall("a", "200 millis")
      const ping = ["PING"] as const
      const accepted = yield* Effect.forkScoped(redis.pipeline(Array.from({ length: 1_048_576 }, () => ping)), {
        startImmediately: true
      })
      const error = yield* Effect.flip(redis.send("PING"))
      assert.strictEqual(error.reason._tag, "Overloaded")
      assert.isFalse(error.mayHaveExecuted)
      const results = yield* Fiber.join(accepted)
      assert.isTrue(results.every((result) => Result.isSuccess(result) && result.success === "PONG"))
      assert.strictEqual((yield* redis.status).pending, 0)
    }), 60_000)
})

describe("a deadline of one's own", () => {
  it.live("is shorter than the configured one for one command, and shifts no reply", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const { redis } = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "10 seconds", maintenance })
      yield* sim.stall("a", "300 millis")
      const long = yield* Effect.forkScoped(redis.send("ECHO", "long"), { startImmediately: true })
      const error = yield* Effect.flip(
        Effect.provideService(redis.send("ECHO", "short"), HitlessRedis.CurrentCommandTimeout, "50 millis")
      )
      assert.strictEqual(error.reason._tag, "CommandTimeout")
      assert.isTrue(error.mayHaveExecuted)
      assert.strictEqual(yield* Fiber.join(long), "long")
      assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
    }))
})
