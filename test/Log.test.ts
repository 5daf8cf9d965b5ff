/**
 * What a client writes to the log when the same thing happens again and again.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { makeLog } from "../src/internal/log.ts"
import { deploy, waitUntil } from "./support/deployment.ts"

const collecting = () => {
  const lines: Array<{ readonly message: string; readonly annotations: Record<string, unknown> }> = []
  const logger = Logger.make(({ fiber, message }) => {
    const annotations = { ...fiber.getRef(References.CurrentLogAnnotations) }
    lines.push({ message: String(Array.isArray(message) ? message[0] : message), annotations })
  })
  return { lines, layer: Logger.layer([logger]), messages: () => lines.map(({ message }) => message) }
}

/** A log on the simulated clock, and what it wrote. */
const make = Effect.fnUntraced(function*() {
  const collector = collecting()
  const context = yield* Effect.context<never>().pipe(Effect.provide(collector.layer))
  return { ...makeLog(context, "Info"), ...collector }
})

const settle = TestClock.adjust(0)

describe("a line that repeats", () => {
  it.effect("is written ten times, and then counted until ten seconds are over", () =>
    Effect.gen(function*() {
      const { lines, log, messages } = yield* make()
      for (let i = 0; i < 30_000; i++) log("Warn", "again", { i })
      yield* settle
      assert.lengthOf(lines, 10)
      yield* TestClock.adjust("9999 millis")
      assert.lengthOf(lines, 10)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(messages().at(-1), "hitless: again (the last of 29990 more like it in 10 s)")
      assert.deepStrictEqual(lines.at(-1)?.annotations, { i: 29_999 })
      assert.lengthOf(lines, 11)
    }))

  it.effect("is written at once again in the next period", () =>
    Effect.gen(function*() {
      const { log, messages } = yield* make()
      for (let i = 0; i < 11; i++) log("Warn", "again", {})
      yield* TestClock.adjust("10 seconds")
      log("Warn", "again", {})
      yield* settle
      assert.deepStrictEqual(messages().slice(10), [
        "hitless: again (the last of 1 more like it in 10 s)",
        "hitless: again"
      ])
    }))

  it.effect("is counted apart from others, which are written", () =>
    Effect.gen(function*() {
      const { log, messages } = yield* make()
      for (let i = 0; i < 100; i++) log("Warn", "again", {})
      log("Error", "another", {})
      yield* settle
      assert.strictEqual(messages().filter((message) => message === "hitless: another").length, 1)
    }))

  it.effect("is told when the log closes, once, and leaves no timer", () =>
    Effect.gen(function*() {
      const { close, lines, log, messages } = yield* make()
      for (let i = 0; i < 13; i++) log("Warn", "again", {})
      close()
      yield* settle
      assert.strictEqual(messages().at(-1), "hitless: again (the last of 3 more like it in 10 s)")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(lines, 11)
    }))

  it.effect("below the least level is neither written nor counted", () =>
    Effect.gen(function*() {
      const { close, lines, log } = yield* make()
      for (let i = 0; i < 100; i++) log("Debug", "again", {})
      close()
      yield* settle
      assert.lengthOf(lines, 0)
    }))
})

it.live("malformed notifications by the thousand are a few lines, and all are counted at the end", () =>
  Effect.gen(function*() {
    const { layer, lines, messages } = collecting()
    const sim = yield* deploy(["a"])
    const endpoint = sim.endpoint("a")
    const scope = yield* Scope.make()
    const redis = yield* HitlessRedis.make({
      host: "127.0.0.1",
      port: endpoint._tag === "Tcp" ? endpoint.port : 0,
      poolSize: 1
    }).pipe(Scope.provide(scope), Effect.provide([NodeTransport.layer, layer]))
    for (let i = 0; i < 500; i++) yield* sim.push("a", ["MOVING", "no number", i])
    // Pushes and replies keep their order.
    assert.strictEqual(yield* redis.send("PING"), "PONG")
    assert.lengthOf(lines, 10)
    yield* Scope.close(scope, Exit.void)
    yield* waitUntil(Effect.sync(() => lines.length === 11))
    assert.include(messages().at(-1), "the last of 490 more like it")
  }))
