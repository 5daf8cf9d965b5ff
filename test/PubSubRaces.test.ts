/**
 * Subscriptions that are made, left, refused or lost in the instant in which connections change places: what is heard twice
 * or missing is told, and nobody waits for a connection that does not come.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { HitlessRedis } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { connectTo, host } from "./support/client.ts"
import { confirm, frame, heard, isMarker, notPermitted } from "./support/listening.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { addresses, advance, announceMove, begin, connections, rehearse } from "./support/rehearsal.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("A subscription that is made", () => {
  it.effect("with messages that suspend before it is confirmed is confirmed all the same", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["busy"] }))
      yield* deployment.latency("a", "100 millis")
      const second = yield* fork(
        Effect.exit(
          Effect.scoped(redis.subscription({ channels: ["busy", "new"], overflow: "suspend", capacity: 1 }))
        )
      )
      for (let i = 0; i < 5; i++) yield* fork(redis.send("PUBLISH", "busy", i))
      yield* advance("10 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(second)))
      yield* deployment.latency("a", 0)
      yield* redis.send("PUBLISH", "busy", "after")
      yield* advance("1 second")
      assert.strictEqual(messages.at(-1), "busy after")
    }).pipe(Effect.scoped, rehearse()))

  for (const at of [50, 150, 250, 350, 450]) {
    it.effect(`when the last one leaves ${at} ms into its dial has a connection of its own`, () =>
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const deployment = yield* SimulatedRedis
        yield* deployment.latency("a", "100 millis")
        const first = yield* fork(Effect.scoped(redis.subscription({ channels: ["x"] })))
        yield* advance(at)
        yield* Fiber.interrupt(first)
        const second = yield* fork(redis.subscription({ channels: ["y"] }))
        while (second.pollUnsafe() === undefined) yield* advance("1 milli")
        const { messages } = yield* heard(yield* Fiber.join(second))
        yield* fork(redis.send("PUBLISH", "y", "one"))
        yield* advance("1 second")
        assert.deepStrictEqual(messages, ["y one"])
        assert.strictEqual(yield* connections("a"), 2)
      }).pipe(Effect.scoped, rehearse()))
  }

  it.effect("to what others hear waits for a connection when there is none", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
      yield* deployment.refuse("a")
      yield* deployment.kill("a")
      yield* advance("500 millis")
      const second = yield* fork(redis.subscription({ channels: ["news"] }))
      yield* advance("500 millis")
      assert.isUndefined(second.pollUnsafe())
      yield* deployment.accept("a")
      yield* advance("2 seconds")
      const { messages } = yield* heard(yield* Fiber.join(second))
      yield* redis.send("PUBLISH", "news", "one")
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["news one"])
    }).pipe(Effect.scoped, rehearse()))

  it.live("during a move is confirmed when both connections have it", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      // The old server confirms it when the test says so.
      const server = yield* rawServer((words) => {
        if (isMarker(words) && words[0] === "SUBSCRIBE") return undefined
        if (words[1] === "new") {
          asked.push("old")
          return undefined
        }
        return answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      })
      const next = yield* rawServer((words) => {
        if (isMarker(words)) asked.push("marker")
        if (words[1] === "new") asked.push("next")
        return answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      })
      const redis = yield* connectTo({ host, port: server.port })
      yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
      for (const { socket } of server.connections) socket.write(frame("MOVING", "1", "30", `${host}:${next.port}`))
      while (!asked.includes("marker")) yield* Effect.sleep("5 millis")
      const made = yield* fork(redis.subscription({ channels: ["new"] }))
      while (!asked.includes("old") || !asked.includes("next")) yield* Effect.sleep("5 millis")
      // What the next connection confirms arrives, and counts for nothing yet.
      yield* redis.send("PING")
      yield* Effect.sleep("50 millis")
      assert.isUndefined(made.pollUnsafe())
      for (const { socket } of server.connections) socket.write(frame("subscribe", "new", "1"))
      yield* Effect.asVoid(Fiber.join(made))
    }).pipe(Effect.scoped))
})

describe("Subscriptions", () => {
  for (
    const [here, there, at] of [
      [100, 100, 650],
      [100, 300, 250],
      [100, 300, 450],
      [100, 300, 650],
      [30, 300, 750],
      [300, 100, 350]
    ] as const
  ) {
    it.effect(`hear nothing twice when the old connection is lost ${at} ms into a move from ${here} to ${there} ms away`, () =>
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const deployment = yield* SimulatedRedis
        const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
        yield* deployment.latency("a", here)
        yield* deployment.latency("b", there)
        yield* begin(announceMove(0, 1, 30, addresses.b))
        yield* advance(at)
        yield* deployment.kill("a")
        for (let i = 0; i < 60; i++) {
          yield* fork(redis.send("PUBLISH", "news", i))
          yield* advance("25 millis")
        }
        yield* advance("5 seconds")
        const numbers = messages.filter((message) => message.startsWith("news"))
        assert.isNotEmpty(numbers)
        assert.lengthOf(numbers, new Set(numbers).size)
        assert.isAtMost(messages.length - numbers.length, 1)
        assert.strictEqual(messages.at(-1), "news 59")
      }).pipe(Effect.scoped, rehearse()))
  }

  it.effect("that have all failed keep no connection, and those that follow notice a silent server", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const deployment = yield* SimulatedRedis
      const first = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      yield* deployment.handshake("a", { _tag: "NoAuth" })
      yield* deployment.kill("a")
      yield* advance("1 second")
      assert.isDefined(first.running.pollUnsafe())
      yield* deployment.handshake("a", { _tag: "Answer" })
      yield* advance("30 seconds")
      assert.strictEqual(yield* connections("a"), 1)
      const second = yield* heard(yield* redis.subscription({ channels: ["more"] }))
      yield* deployment.stall("a", "5 minutes")
      yield* advance("2 minutes")
      assert.deepStrictEqual(second.messages, ["lost 0"])
    }).pipe(Effect.scoped, rehearse()))

  it.live("hear on at the old node when a move without a marker is taken back, and nothing twice", () =>
    Effect.gen(function*() {
      const answer = (words: ReadonlyArray<string>) =>
        isMarker(words) ? notPermitted : answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      const next = yield* rawServer(answer)
      const asked: Array<string> = []
      const server = yield* rawServer((words) => {
        if (words[1] === "news") asked.push("news")
        // What shows that the old connection has delivered everything comes late.
        return words[1] === "news" && asked.length > 1 ? undefined : answer(words)
      })
      const redis = yield* connectTo({ host, port: server.port })
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      const tell = (connections: typeof server.connections, ...words: ReadonlyArray<string>) => {
        for (const { socket } of connections) socket.write(frame(...words))
      }
      tell(server.connections, "MOVING", "1", "30", `${host}:${next.port}`)
      while (asked.length < 2) yield* Effect.sleep("5 millis")
      tell([...next.connections, ...server.connections], "message", "news", "one")
      while (messages.length === 0) yield* Effect.sleep("5 millis")
      tell([...server.connections, ...next.connections], "MOVING", "2", "30", `${host}:${server.port}`)
      while (next.closed.length === 0) yield* Effect.sleep("5 millis")
      tell(server.connections, "message", "news", "two")
      while (messages.at(-1) !== "news two") yield* Effect.sleep("5 millis")
      assert.deepStrictEqual(messages, ["news one", "news two"])
    }).pipe(Effect.scoped))

  it.live("are not ended by the refusal of a marker that comes late", () =>
    Effect.gen(function*() {
      const answer = (words: ReadonlyArray<string>) => answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      const next = yield* rawServer(answer)
      // The old server holds back its answers from the marker on, until it is asked for what shows that it has sent everything.
      const later: Array<string> = []
      const server = yield* rawServer((words) => {
        if (later.length === 0 && !isMarker(words)) return answer(words)
        later.push(isMarker(words) && words[0] === "SUBSCRIBE" ? notPermitted : answer(words))
        return words[1] === "news" ? later.join("") : undefined
      })
      const redis = yield* connectTo({ host, port: server.port })
      const { messages, running } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      for (const { socket } of server.connections) socket.write(frame("MOVING", "1", "30", `${host}:${next.port}`))
      while (!messages.includes("repeated 0") && running.pollUnsafe() === undefined) yield* Effect.sleep("5 millis")
      assert.isUndefined(running.pollUnsafe())
    }).pipe(Effect.scoped), 10_000)
})
