/**
 * What a client writes to the log when the same thing happens again and again.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type Config, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { TestRedis } from "hitless/testing"
import { makeLog } from "../src/internal/log.ts"
import { deploy, waitUntil } from "./support/deployment.ts"
import { advance, begin, nodes, openSlots } from "./support/rehearsal.ts"

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
  it.effect("is written once, and then counted until ten seconds are over", () =>
    Effect.gen(function*() {
      const { lines, log, messages } = yield* make()
      for (let i = 0; i < 30_000; i++) log("Warn", "again", { why: "same" })
      yield* settle
      assert.lengthOf(lines, 1)
      yield* TestClock.adjust("9999 millis")
      assert.lengthOf(lines, 1)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(messages().at(-1), "hitless: again (the last of 29999 more like it in 10 s)")
      assert.lengthOf(lines, 2)
    }))

  it.effect("is written for each new thing that it says, ten at the most, and the last is told with the count", () =>
    Effect.gen(function*() {
      const { lines, log, messages } = yield* make()
      for (let i = 0; i < 30_000; i++) log("Warn", "again", { i: i % 100 })
      yield* settle
      assert.deepStrictEqual(lines.map(({ annotations }) => annotations.i), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(messages().at(-1), "hitless: again (the last of 29990 more like it in 10 s)")
      assert.deepStrictEqual(lines.at(-1)?.annotations, { i: 99 })
    }))

  it.effect("is the same line whatever was measured, and shows the last measure", () =>
    Effect.gen(function*() {
      const { lines, log } = yield* make()
      for (const took of [1, 2, 3]) log("Warn", "again", { why: "same" }, { took })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(lines.map(({ annotations }) => annotations), [
        { why: "same", took: 1 },
        { why: "same", took: 3 }
      ])
    }))

  it.effect("is written at once again when none has come for ten seconds", () =>
    Effect.gen(function*() {
      const { log, messages } = yield* make()
      for (let i = 0; i < 2; i++) log("Warn", "again", {})
      yield* TestClock.adjust("10 seconds")
      log("Warn", "again", {})
      yield* settle
      assert.deepStrictEqual(messages(), [
        "hitless: again",
        "hitless: again (the last of 1 more like it in 10 s)",
        "hitless: again"
      ])
    }))

  it.effect("that goes on for hours is told in ever fewer lines, and a last time when it has ended", () =>
    Effect.gen(function*() {
      const { log, messages } = yield* make()
      for (let i = 0; i < 3600; i++) {
        log("Warn", "again", {})
        yield* TestClock.adjust("2 seconds")
      }
      const hours = messages()
      assert.deepStrictEqual(hours.slice(0, 5), [
        "hitless: again",
        "hitless: again (the last of 4 more like it in 10 s)",
        "hitless: again (the last of 30 more like it in 60 s)",
        "hitless: again (the last of 180 more like it in 360 s)",
        "hitless: again (the last of 300 more like it in 600 s)"
      ])
      assert.lengthOf(hours, 15)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(messages(), 16)
      const told = messages().slice(1).map((message) => Number(/the last of (\d+) more/.exec(message)?.[1]))
      assert.strictEqual(told.reduce((sum, count) => sum + count, 1), 3600)
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
      assert.strictEqual(messages().at(-1), "hitless: again (the last of 12 more like it in 0 s)")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(lines, 2)
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
    assert.lengthOf(lines, 1)
    yield* Scope.close(scope, Exit.void)
    yield* waitUntil(Effect.sync(() => lines.length === 2))
    assert.include(messages().at(-1), "the last of 499 more like it")
  }))

describe("an outage", () => {
  /** In simulated time, with all that is logged at the configured level. */
  const rehearsed = (client: Config.Options = {}) => {
    const collector = collecting()
    const layer = TestRedis.layer({ nodes, client: { poolSize: 1, ...client } })
    return { ...collector, rehearse: Effect.provide(Layer.provide(layer, collector.layer)) }
  }

  const refused =
    "Could not connect to redis.test:6379: connection refused, nothing listens at that address (ECONNREFUSED)"

  it.effect("is told by its loss, by why redials fail, seldom again with a count, and by its end and how long it was", () => {
    const { lines, rehearse } = rehearsed()
    return Effect.gen(function*() {
      yield* begin({ step: "refuse", at: 0, node: "a" }, { step: "kill", at: 0, node: "a" }, {
        step: "accept",
        at: "1 hour",
        node: "a"
      })
      yield* advance("2 hours")
      const told = lines.map(({ annotations, message }) => [message.replace(/\d+ more/, "N more"), annotations])
      const again = (seconds: number) => [
        `hitless: no connection can be made, dialling goes on (the last of N more like it in ${seconds} s)`,
        { endpoint: "redis.test:6379", why: refused }
      ]
      assert.deepStrictEqual(told.slice(0, 5), [
        ["hitless: a connection was lost", { endpoint: "redis.test:6379", why: "the server closed the connection" }],
        ["hitless: no connection can be made, dialling goes on", { endpoint: "redis.test:6379", why: refused }],
        again(10),
        again(60),
        again(360)
      ])
      const end = lines.findIndex(({ message }) => message === "hitless: a connection is there again")
      const { down, failedDials, ...where } = lines[end]!.annotations
      assert.deepStrictEqual(where, { endpoint: "redis.test:6379" })
      assert.match(String(down), /^1h [0-2]s/)
      // At least every 2.4 s, after the first few.
      assert.isAtLeast(Number(failedDials), 3600 / 2.4)
      assert.isBelow(lines.length, 15)
      assert.lengthOf(lines.filter(({ message }) => message === "hitless: a connection is there again"), 1)
    }).pipe(rehearse)
  })

  it.effect("whose reason changes is told with the new one at once", () => {
    const { lines, rehearse } = rehearsed()
    return Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "a" },
        { step: "kill", at: 0, node: "a" },
        { step: "handshake", at: "1 minute", node: "a", handshake: { _tag: "NoAuth" } },
        { step: "accept", at: "1 minute", node: "a" }
      )
      yield* advance("63 seconds")
      const reasons = lines.flatMap(({ annotations, message }) => message.endsWith("goes on") ? [annotations.why] : [])
      assert.lengthOf(reasons, 2)
      assert.strictEqual(reasons[0], refused)
      assert.match(String(reasons[1]), /^Authentication failed at redis.test:6379/)
    }).pipe(rehearse)
  })

  it.effect("at the start of a lazy client is told too, and its first connection", () => {
    const { lines, rehearse } = rehearsed({ host: "late.test", startup: "lazy" })
    return Effect.gen(function*() {
      yield* begin({ step: "dns", at: "5 seconds", name: "late.test", target: "a" })
      yield* advance("9 seconds")
      assert.deepStrictEqual(lines.map(({ message }) => message), [
        "hitless: no connection can be made, dialling goes on",
        "hitless: a connection is there again"
      ])
    }).pipe(rehearse)
  })

  it.effect("that there was none is not told: a lazy client that connects at once says nothing", () => {
    const { lines, rehearse } = rehearsed({ startup: "lazy" })
    return Effect.gen(function*() {
      yield* advance("1 minute")
      assert.lengthOf(lines, 0)
    }).pipe(rehearse)
  })

  it.effect("of many connections at once is one line for the loss and one for the end, with counts", () => {
    const { lines, messages, rehearse } = rehearsed({ poolSize: 3 })
    return Effect.gen(function*() {
      yield* openSlots("a", 3)
      yield* begin({ step: "kill", at: 0, node: "a" })
      yield* advance("1 minute")
      assert.deepStrictEqual(messages(), [
        "hitless: a connection was lost",
        "hitless: a connection is there again",
        "hitless: a connection was lost (the last of 2 more like it in 10 s)",
        "hitless: a connection is there again (the last of 2 more like it in 10 s)"
      ])
      assert.lengthOf(lines, 4)
    }).pipe(rehearse)
  })
})

describe("a command that waits and is given up", () => {
  it.live("is no loss to tell of: its connection was its own", () => {
    const collector = collecting()
    return Effect.gen(function*() {
      const deployment = yield* deploy(["a"])
      const endpoint = deployment.endpoint("a")
      const port = endpoint._tag === "Tcp" ? endpoint.port : 0
      const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1 }).pipe(
        Effect.provide(NodeTransport.layer)
      )
      for (let i = 0; i < 3; i++) yield* Effect.timeoutOption(redis.send("BLPOP", "list", 0), "20 millis")
      yield* waitUntil(Effect.map(deployment.connections("a"), (count) => count === 1))
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual(collector.messages(), [])
    }).pipe(Effect.scoped, Effect.provide(collector.layer))
  })
})
