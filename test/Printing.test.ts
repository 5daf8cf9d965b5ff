/**
 * How failures look wherever they end up: on a console, in JSON, in logs, uncaught.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Redis from "effect/persistence/Redis"
import { HitlessError, HitlessRedis } from "hitless"
import { MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { host, open } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"

const argument = "s3cret-key"

const words = /INCR was answered with an error at 127\.0\.0\.1:\d+: ERR value is not an integer or out of range/

const timesSaid = (text: string) => text.match(new RegExp(words, "g"))?.length ?? 0

/** What the same command fails with through both services of a client of a real server. */
const failures = Effect.gen(function*() {
  const { port } = yield* startRedis()
  const services = yield* open({ host, port })
  const redis = Context.get(services, HitlessRedis.HitlessRedis)
  yield* redis.send("SET", argument, "no number")
  return [
    yield* Effect.flip(redis.send("INCR", argument)),
    yield* Effect.flip(Context.get(services, Redis.Redis).send("INCR", argument))
  ] as const
})

const logged = Effect.fnUntraced(
  function*(logger: Logger.Logger<unknown, unknown>, ...message: ReadonlyArray<unknown>) {
    const lines: Array<string> = []
    const write = Logger.make<unknown, void>((options) => {
      const line = logger.log(options)
      lines.push(typeof line === "string" ? line : inspect(line, { depth: Infinity }))
    })
    yield* Effect.provide(Effect.logError(...message), Logger.layer([write]))
    assert.lengthOf(lines, 1)
    return lines[0]!
  }
)

/** The pretty logger writes to a console, whose text this gives. */
const loggedPretty = (...message: ReadonlyArray<unknown>) =>
  Effect.gen(function*() {
    const printed: Array<string> = []
    const print = (...parts: ReadonlyArray<unknown>) => {
      printed.push(parts.map((part) => typeof part === "string" ? part : inspect(part)).join(" "))
    }
    const console = { ...globalThis.console, log: print, error: print, group: print, groupEnd: () => {} }
    yield* Effect.logError(...message).pipe(
      Effect.provide(Logger.layer([Logger.consolePretty({ colors: false })])),
      Effect.provideService(Console.Console, console)
    )
    return printed.join("\n")
  })

describe("a failure", () => {
  it.live("says its message on every way out, and no argument", () =>
    Effect.gen(function*() {
      for (const error of yield* failures) {
        const cause = Cause.fail(error)
        const outputs = {
          string: String(error),
          message: error.message,
          template: `failed: ${error}`,
          json: JSON.stringify(error),
          jsonInside: JSON.stringify({ request: [{ error }] }),
          inspected: inspect(error),
          inspectedInside: inspect({ request: [{ error }] }),
          inspectedShallow: inspect(error, { depth: 0 }),
          prettyCause: Cause.pretty(cause),
          logFmt: yield* logged(Logger.formatLogFmt, error),
          logFmtCause: yield* logged(Logger.formatLogFmt, "failed", cause),
          logJson: yield* logged(Logger.formatJson, error),
          logJsonCause: yield* logged(Logger.formatJson, "failed", cause),
          logSimple: yield* logged(Logger.formatSimple, "failed", error),
          logStructured: yield* logged(Logger.formatStructured, "failed", error),
          logPretty: yield* loggedPretty("failed", error),
          logPrettyCause: yield* loggedPretty("failed", cause)
        }
        for (const [way, text] of Object.entries(outputs)) {
          assert.match(text, words, way)
          assert.notInclude(text, argument, way)
          assert.notInclude(text, "[object Object]", way)
        }
      }
    }))

  it.live("keeps its data in JSON", () =>
    Effect.gen(function*() {
      const [error] = yield* failures
      const { _tag, reason } = JSON.parse(JSON.stringify(error))
      assert.deepStrictEqual([_tag, reason._tag, reason.command, reason.code], [
        "HitlessError",
        "ServerReplied",
        "INCR",
        "ERR"
      ])
    }))

  it.live("of Effect's service has the reason as its cause, and no trace", () =>
    Effect.gen(function*() {
      const [, error] = yield* failures
      assert.instanceOf(error, Redis.RedisError)
      assert.strictEqual(error._tag, "RedisError")
      assert.instanceOf(error.cause, HitlessError.HitlessError)
      assert.strictEqual(error.message, (error.cause as HitlessError.HitlessError).message)
      assert.notInclude(error.stack, "\n    at ")
    }))
})

describe("what the test kit fails with", () => {
  it.effect("says its message on every way out", () =>
    Effect.gen(function*() {
      const plan = yield* Effect.flip(MaintenancePlan.make({ nodes: [], steps: [] }))
      const rehearsal = yield* Effect.flip(Effect.provide(
        Effect.gen(function*() {
          yield* Effect.ignore((yield* HitlessRedis.HitlessRedis).send("INCR", "a", "b"))
          yield* Rehearsal.assertNoneFailed
        }),
        TestRedis.layer({ nodes: ["a"] })
      ))
      for (const error of [plan, rehearsal]) {
        const [summary] = error.message.split("\n")
        for (const text of [String(error), JSON.stringify(error), inspect(error), inspect({ inside: { error } })]) {
          assert.include(text, summary)
          assert.strictEqual(text.split(summary!).length, 2)
        }
      }
    }))
})

describe("the stack of a failure", () => {
  it.live("leads to the functions of the caller's code, whatever failed", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const redis = Context.get(yield* open({ host, port, maxReserved: 1 }), HitlessRedis.HitlessRedis)
      yield* redis.send("SET", argument, "no number")
      yield* redis.reserve
      const operations = {
        command: redis.send("INCR", argument),
        refused: redis.send("SUBSCRIBE", "news"),
        blocking: redis.send("BLPOP", argument, 1),
        batch: redis.transaction([["INCR", argument], ["SUBSCRIBE", "news"]]),
        reserve: Effect.asVoid(redis.reserve)
      }
      for (const [name, operation] of Object.entries(operations)) {
        const called = Effect.fn(`call ${name}`)(function*() {
          return yield* operation
        })
        const error = yield* Effect.flip(called()).pipe(
          Effect.provideService(HitlessRedis.CurrentCommandTimeout, "100 millis")
        )
        assert.match(
          error.stack ?? "",
          new RegExp(`\n    at call ${name} \\(.*Printing\\.test\\.ts:\\d+:\\d+\\)`),
          name
        )
        error.stack = "mine"
        assert.strictEqual(error.stack, "mine")
      }
    }))
})

describe("an uncaught failure", () => {
  const uncaught = fileURLToPath(new URL("support/uncaught.ts", import.meta.url))

  const run = (...args: ReadonlyArray<string>) =>
    Effect.callback<string>((resume) => {
      const child = execFile(
        process.execPath,
        ["--conditions=hitless-source", uncaught, ...args],
        { env: { ...process.env, NO_COLOR: "1" } },
        (error, stdout, stderr) => {
          assert.strictEqual(error?.code, 1)
          resume(Effect.succeed(stdout + stderr))
        }
      )
      return Effect.sync(() => child.kill())
    })

  for (const runner of ["promise", "main"]) {
    for (const service of ["hitless", "effect"]) {
      it.live(
        `of ${
          service === "hitless" ? "this package" : "Effect's service"
        } by run${runner} is told once, and ends in the caller's code`,
        () =>
          Effect.gen(function*() {
            const { port } = yield* startRedis()
            const text = yield* run(runner, "fn", service, String(port))
            // A RedisError says what its cause says.
            assert.strictEqual(timesSaid(text), service === "hitless" ? 1 : 2, text)
            assert.strictEqual(text.match(/at countVisit \((?!definition).*uncaught\.ts:\d+:\d+\)/g)?.length, 1, text)
            assert.notMatch(text, /\/src\//)
            assert.notInclude(text, argument)
          }),
        30_000
      )

      it.live(
        `of ${
          service === "hitless" ? "this package" : "Effect's service"
        } by run${runner} has no frames where the caller's code left none`,
        () =>
          Effect.gen(function*() {
            const { port } = yield* startRedis()
            const text = yield* run(runner, "gen", service, String(port))
            assert.strictEqual(timesSaid(text), service === "hitless" ? 1 : 2, text)
            assert.notMatch(text, /\n +at (?!ModuleJob|node:|async)/)
            assert.notInclude(text, argument)
          }),
        30_000
      )
    }
  }
})
