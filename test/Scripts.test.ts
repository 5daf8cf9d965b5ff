/**
 * Scripts and functions as typed commands, on servers that have them, do not have them, or forget them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { Commands, type HitlessError, HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { type Client, connect, flushed, kill, reasonOf, stall, start } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"
import { advance, rehearse } from "./support/rehearsal.ts"

/** Counts, and gives what it was called with. */
const count = Commands.script({
  lua: "return {redis.call('INCR', KEYS[1]), ARGV[1]}",
  call: (key: string, word: string | Uint8Array) => ({ keys: [key], arguments: [word] }),
  decode: (reply) => {
    const [count, word] = reply as [number, string]
    return { count, word }
  }
})

const length = Commands.script({
  lua: "return redis.call('STRLEN', KEYS[1])",
  call: (key: string) => ({ keys: [key] }),
  readOnly: true
})

const setUp = Effect.gen(function*() {
  const server = yield* startRedis()
  return { server, redis: yield* connect(server, { poolSize: 1 }) }
})

/** How often a server was sent commands by name, whatever it answered. */
const called = (redis: Client, ...names: ReadonlyArray<string>) =>
  Effect.map(
    redis.run(Commands.info("commandstats")),
    (stats) => names.map((name) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0))
  )

const values = (results: ReadonlyArray<Result.Result<unknown, HitlessError.HitlessError>>) =>
  results.map(Result.getOrThrow)

describe("A script", () => {
  it.live("is sent in full once, and by its SHA-1 before and after", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      for (let i = 1; i <= 3; i++) {
        assert.deepStrictEqual(yield* redis.run(count("n", "é")), { count: i, word: "é" })
      }
      assert.deepStrictEqual(yield* called(redis, "evalsha", "eval"), [3, 1])
      yield* redis.run(Commands.scriptFlush())
      const reply = yield* redis.run(Commands.bytes(count("n", new Uint8Array([0, 255]))))
      assert.deepStrictEqual(reply, { count: 4, word: new Uint8Array([0, 255]) })
      assert.deepStrictEqual(yield* called(redis, "evalsha", "eval"), [4, 2])
    }))

  it("names its keys, and says whether it only reads", () => {
    assert.deepStrictEqual(count("n", "word").keys, ["n"])
    assert.isFalse(count("n", "word").readOnly)
    assert.isTrue(length("n").readOnly)
  })

  it.live("is sent in full between others, in their order", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      for (const how of ["pipeline", "transaction"] as const) {
        const results = yield* redis[how]([
          Commands.set("n", 41),
          count("n", how),
          Commands.get("n"),
          length("n"),
          Commands.bytes(count("n", how))
        ])
        assert.deepStrictEqual(values(results), [
          "OK",
          { count: 42, word: how },
          "42",
          2,
          { count: 43, word: new TextEncoder().encode(how) as never }
        ])
      }
      assert.deepStrictEqual(yield* called(redis, "evalsha", "eval", "eval_ro"), [0, 4, 2])
    }))

  it.live("is run on a connection of one's own, and between the reads and the commands of a transaction that watches", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      yield* Effect.scoped(Effect.gen(function*() {
        const own = yield* redis.reserve
        assert.deepStrictEqual(yield* own.run(count("n", "a")), { count: 1, word: "a" })
        yield* own.run(Commands.scriptFlush())
        assert.deepStrictEqual(yield* own.run(count("n", "b")), { count: 2, word: "b" })
        yield* own.run(Commands.scriptFlush())
        const results = yield* own.transaction(
          { watch: ["n"] },
          (own) =>
            Effect.map(
              own.run(count("other", "c")),
              ({ count: found }) => [count("n", found === 1 ? "d" : "e")] as const
            )
        )
        assert.deepStrictEqual(values(results), [{ count: 3, word: "d" }])
      }))
    }))

  it.live("that only reads is refused its writes, and is run again after a lost connection, by a server without it", () =>
    Effect.gen(function*() {
      const { redis, server } = yield* setUp
      const writes = Commands.script({
        lua: "return redis.call('SET', KEYS[1], 'x')",
        call: (key: string) => ({ keys: [key] }),
        readOnly: true
      })
      const error = yield* Effect.flip(redis.run(writes("n")))
      assert.include(reasonOf(error, "ServerReplied").detail, "Write commands are not allowed from read-only scripts")
      assert.strictEqual(yield* redis.run(length("n")), 0)
      yield* stall(server)
      const written = yield* start(redis.run(length("n")))
      const lost = yield* start(Effect.flip(redis.run(count("n", "x"))))
      yield* flushed
      yield* kill(server)
      assert.isTrue((yield* Fiber.join(lost)).mayHaveExecuted)
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(written), 0)
      assert.deepStrictEqual(yield* called(redis, "evalsha_ro", "eval_ro"), [1, 1])
    }))

  it.live("is not run twice for an error of its own that begins with the same word", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      const odd = Commands.script({
        lua: "redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT for this scene')",
        call: (key: string) => ({ keys: [key] })
      })
      yield* redis.run(
        Commands.scriptLoad("redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT for this scene')")
      )
      const { detail } = reasonOf(yield* Effect.flip(redis.run(odd("n"))), "ServerReplied")
      assert.match(detail, /^NOSCRIPT for this scene/)
      assert.strictEqual(yield* redis.run(Commands.get("n")), "1")
    }))

  it.live("that gives what `decode` does not know is an UnexpectedReply, and one that no server can be sent is refused", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      const picky = Commands.script({
        lua: "return 1",
        call: () => ({}),
        decode: (): never => {
          throw new RangeError("secret")
        }
      })
      const error = yield* Effect.flip(redis.run(picky()))
      assert.strictEqual(reasonOf(error, "UnexpectedReply").detail, "what decodes it threw RangeError")
      const broken = Commands.script({ lua: "return '\ud800'", call: () => ({}) })
      reasonOf(yield* Effect.flip(redis.run(broken())), "CommandRefused")
      reasonOf(yield* Effect.flip(redis.pipeline([broken()])), "CommandRefused")
    }))

  it.effect("has the time of one command, sent in full or not", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      yield* deployment.latency("a", "2 seconds")
      const running = yield* Effect.forkChild(Effect.flip(redis.run(count("n", "x"))), { startImmediately: true })
      yield* advance("2900 millis")
      assert.isUndefined(running.pollUnsafe())
      yield* advance("200 millis")
      const reason = reasonOf(yield* Fiber.join(running), "CommandTimeout")
      assert.strictEqual(reason.command, "EVAL")
    }).pipe(rehearse({ commandTimeout: "3 seconds" })))
})

describe("A function", () => {
  it.live("is called by its name with typed parameters and reply, by itself and between others", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      yield* redis.run(Commands.functionLoad(`#!lua name=lib
        redis.register_function('add', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)
        redis.register_function{
          function_name = 'size',
          callback = function(keys) return redis.call('STRLEN', keys[1]) end,
          flags = {'no-writes'}
        }`))
      const add = Commands.function({
        name: "add",
        call: (key: string, by: number) => ({ keys: [key], arguments: [by] }),
        decode: Number
      })
      const size = Commands.function({ name: "size", call: (key: string) => ({ keys: [key] }), readOnly: true })
      const sum: number = yield* redis.run(add("n", 40))
      assert.strictEqual(sum, 40)
      assert.deepStrictEqual(values(yield* redis.transaction([add("n", 2), size("n")])), [42, 2])
      assert.deepStrictEqual(values(yield* redis.pipeline([add("n", 2), size("n")])), [44, 2])
      assert.deepStrictEqual(yield* called(redis, "fcall", "fcall_ro"), [3, 2])
      assert.deepStrictEqual(size("n").keys, ["n"])
    }))
})

describe("In a rehearsal", () => {
  const add = Commands.script({
    lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    call: (key: string, by: number) => ({ keys: [key], arguments: [by] }),
    decode: Number
  })

  it.effect("a script that the server has to be sent first is no failure, and is one write", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const clock = yield* MaintenanceClock.MaintenanceClock
      const state = { isWorking: true, calls: 0 }
      const working = yield* Effect.forkChild(Effect.gen(function*() {
        while (state.isWorking) {
          yield* redis.run(add("n", 2))
          state.calls++
        }
        return yield* redis.run(Commands.get("n"))
      }))
      yield* clock.run(MaintenancePlan.rollingUpgrade({ nodes: ["node-1", "node-2", "node-3"] }))
      state.isWorking = false
      yield* advance("1 second")
      assert.strictEqual(Number(yield* Fiber.join(working)), 2 * state.calls)
      assert.isAbove(state.calls, 100)
      yield* Rehearsal.assertHitless
    }).pipe(Effect.provide(TestRedis.layer({
      latency: "20 millis",
      server: {
        scripts: [{
          lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
          run: (redis, [key], [by]) => redis.call("INCRBY", key, by)
        }]
      }
    }))))
})
