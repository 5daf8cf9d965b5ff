/**
 * What is heard on subscriptions: everything once and in order while connections are left for others, and as data where
 * something may be missing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HitlessError, HitlessRedis, type PubSub } from "hitless"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { clientList, connect, connectTo, host, resume, stall } from "./support/client.ts"
import { confirm, frame, heard, isMarker, notPermitted } from "./support/listening.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { addresses, advance, announceMove, begin, connections, nodes, rehearse } from "./support/rehearsal.ts"

const reasonOf = (exit: Exit.Exit<unknown, HitlessError.HitlessError>): string =>
  Exit.isSuccess(exit) ? "it ended" : Cause.squash(exit.cause) instanceof HitlessError.HitlessError
    ? (Cause.squash(exit.cause) as HitlessError.HitlessError).reason._tag
    : "it died"

const service = HitlessRedis.HitlessRedis

describe("A subscription", () => {
  // Where the nodes are differently far, what is published on two connections overtakes itself.
  for (const latencies of [[0, 0, 0], [1, 1, 1], [100, 100, 100], [100, 1, 30]]) {
    const isEven = latencies[0] === latencies[1]
    const order = isEven ? " and in order" : ""
    const inOrder = (messages: ReadonlyArray<string>) => isEven ? messages : messages.toSorted()
    it.effect(`hears everything once${order} through 20 moves, with nodes ${latencies.join(", ")} ms away`, () =>
      Effect.gen(function*() {
        const redis = yield* service
        const deployment = yield* SimulatedRedis
        for (const [index, node] of nodes.entries()) yield* deployment.latency(node, latencies[index])
        const stream = yield* Effect.forkChild(
          redis.subscription({ channels: ["c1", "c2", "c3"], patterns: ["c*"], capacity: 100_000 }),
          { startImmediately: true }
        )
        yield* advance("2 seconds")
        const { messages } = yield* heard(yield* Fiber.join(stream))
        let sent = 0
        for (let move = 0; move < 20; move++) {
          const node = nodes[move % 3]
          yield* begin({
            step: "push",
            at: 0,
            node,
            elements: ["MOVING", move + 1, 5, addresses[nodes[(move + 1) % 3]]]
          })
          for (let step = 0; step < 60; step++) {
            for (const channel of ["c1", "c2", "c3"]) {
              yield* Effect.forkChild(redis.send("PUBLISH", channel, sent), { startImmediately: true })
            }
            sent++
            yield* advance("20 millis")
          }
        }
        yield* advance("3 seconds")
        const expected = Array.from({ length: sent }, (_, index) => String(index))
        for (const channel of ["c1", "c2", "c3"]) {
          const own = messages.filter((message) => message.startsWith(channel))
          const all = expected.map((index) => `${channel} ${index}`)
          assert.deepStrictEqual(inOrder(own), inOrder(all))
        }
        assert.deepStrictEqual(
          inOrder(messages.filter((message) => message.startsWith("c* "))),
          inOrder(expected.flatMap((index) => Array.from({ length: 3 }, () => `c* ${index}`)))
        )
        assert.lengthOf(messages, 6 * sent)
        // It has moved indeed, with the connection for commands.
        assert.deepStrictEqual(yield* connections(nodes[20 % 3]), 2)
      }).pipe(Effect.scoped, rehearse()))
  }

  it.effect("shares one connection with all others, and leaves with the last one", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const scope = yield* Scope.make()
      for (let i = 0; i < 100; i++) {
        yield* Effect.asVoid(Scope.provide(redis.subscription({ channels: [`c${i % 50}`] }), scope))
      }
      assert.strictEqual(yield* connections("a"), 2)
      yield* Effect.asVoid(Effect.scoped(redis.subscription({ channels: ["of one"] })))
      assert.strictEqual(yield* redis.send("PUBLISH", "of one", "x"), 0)
      assert.strictEqual(yield* redis.send("PUBLISH", "c1", "x"), 1)
      yield* Scope.close(scope, Exit.void)
      yield* advance("100 millis")
      assert.strictEqual(yield* connections("a"), 1)
    }).pipe(rehearse()))

  it.effect("says that something is missing when its connection was lost, and goes on", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      yield* redis.send("PUBLISH", "news", "one")
      yield* (yield* SimulatedRedis).kill("a")
      yield* advance("1 second")
      yield* redis.send("PUBLISH", "news", "two")
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["news one", "lost 0", "news two"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("hears on when the next node takes no connection, and follows when it does", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const deployment = yield* SimulatedRedis
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      yield* deployment.refuse("b")
      yield* begin(announceMove(0, 1, 30, addresses.b))
      yield* advance("100 millis")
      yield* redis.send("PUBLISH", "news", "one")
      yield* deployment.accept("b")
      yield* advance("10 seconds")
      yield* redis.send("PUBLISH", "news", "two")
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["news one", "news two"])
      assert.strictEqual(yield* connections("b"), 2)
    }).pipe(Effect.scoped, rehearse()))

  it.effect("is made when the server comes back in time, and fails with what dialling failed with when not", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const deployment = yield* SimulatedRedis
      yield* deployment.refuse("a")
      const waiting = yield* Effect.forkChild(Effect.scoped(redis.subscription({ channels: ["news"] })), {
        startImmediately: true
      })
      yield* advance("1 second")
      assert.isUndefined(waiting.pollUnsafe())
      yield* deployment.accept("a")
      yield* advance("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
      yield* deployment.refuse("a")
      const failing = yield* Effect.forkChild(Effect.flip(Effect.scoped(redis.subscription({ channels: ["news"] }))), {
        startImmediately: true
      })
      yield* advance("4 seconds")
      assert.strictEqual((yield* Fiber.join(failing)).reason._tag, "ConnectFailed")
    }).pipe(rehearse()))

  it.effect("of another stays when one leaves whose own was not confirmed, which is given up", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const deployment = yield* SimulatedRedis
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["two"] }))
      yield* deployment.latency("a", "100 millis")
      const [left, stays] = yield* Effect.forEach(
        ["one", "three"],
        (channel) => Effect.forkChild(redis.subscription({ channels: [channel] }), { startImmediately: true })
      )
      yield* advance("10 millis")
      yield* Fiber.interrupt(left)
      yield* advance("1 second")
      yield* Effect.asVoid(Fiber.join(stays))
      yield* deployment.latency("a", 0)
      assert.strictEqual(yield* redis.send("PUBLISH", "one", "x"), 0)
      assert.strictEqual(yield* redis.send("PUBLISH", "two", "y"), 1)
      assert.strictEqual(yield* redis.send("PUBLISH", "three", "z"), 1)
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["two y"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("leaves a server that has gone silent, and says so", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const deployment = yield* SimulatedRedis
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      // Long quiet is no silence.
      yield* advance("2 minutes")
      assert.deepStrictEqual(messages, [])
      yield* deployment.stall("a", "20 seconds")
      yield* advance("60 seconds")
      assert.deepStrictEqual(messages, ["lost 0"])
      yield* redis.send("PUBLISH", "news", "again")
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["lost 0", "news again"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("drops the oldest messages of a reader that is behind, and counts them", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const stream = yield* redis.subscription({ channels: ["news"], capacity: 3 })
      for (let i = 0; i < 10; i++) yield* redis.send("PUBLISH", "news", i)
      yield* advance("10 millis")
      const { messages } = yield* heard(stream)
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["dropped 7", "news 7", "news 8", "news 9"])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("fails for a reader that is behind, where it was told to", () =>
    Effect.gen(function*() {
      const redis = yield* service
      const stream = yield* redis.subscription({ channels: ["news"], capacity: 3, overflow: "fail" })
      for (let i = 0; i < 10; i++) yield* redis.send("PUBLISH", "news", i)
      yield* advance("10 millis")
      const { messages, running } = yield* heard(stream)
      yield* advance("10 millis")
      assert.deepStrictEqual(messages, ["news 0", "news 1", "news 2"])
      const exit = yield* Fiber.join(running)
      assert.strictEqual(reasonOf(exit), "Overloaded")
      assert.include(String(exit), "3 messages waited to be read")
    }).pipe(Effect.scoped, rehearse()))

  it.effect("is what a refused command is pointed to, as transactions are", () =>
    Effect.gen(function*() {
      const { send } = yield* service
      const cases = [["SUBSCRIBE", "`subscribe`"], ["psubscribe", "`psubscribe`"], ["WATCH", "`transaction`"], [
        "SELECT",
        "`reserve`"
      ]] as const
      for (const [command, member] of cases) {
        const { message, reason } = yield* Effect.flip(send(command, "x"))
        assert.strictEqual(reason._tag, "CommandRefused")
        assert.include(message, member)
      }
    }).pipe(rehearse()))

  it.effect("refuses what is no subscription, and says why", () =>
    Effect.gen(function*() {
      const { subscription } = yield* service
      const cases: ReadonlyArray<readonly [PubSub.Options, string]> = [
        [{}, "there is no channel and no pattern"],
        [{ channels: ["news"], capacity: 0 }, "capacity must be an integer of at least 1"],
        [{ channels: ["news"], capacity: 1.5 }, "capacity must be an integer of at least 1"],
        [{ channels: ["news"], overflow: "drop" as never }, "overflow must be dropOldest, fail or suspend"],
        [{ channels: "news" as never }, "channels must be an array of strings"],
        [undefined as never, "its options are no object"],
        [{ channels: ["\ud800"] }, "half of a surrogate pair"],
        [{ patterns: [1 as never] }, "the pattern is no string"]
      ]
      for (const [options, why] of cases) {
        const { message, reason } = yield* Effect.flip(subscription(options))
        assert.strictEqual(reason._tag, "CommandRefused")
        assert.include(message, why)
      }
      assert.strictEqual(yield* connections("a"), 1)
    }).pipe(Effect.scoped, rehearse()))
})

describe("A subscription to a real server", () => {
  for (const protocol of [2, 3] as const) {
    it.live(`gives text and bytes, and says of which pattern, in RESP${protocol}`, () =>
      Effect.gen(function*() {
        const server = yield* startRedis()
        const redis = yield* connect(server, { protocol })
        const stream = yield* redis.subscription({ channels: ["news"], patterns: ["new*"], shardChannels: ["shard"] })
        const bytes = new Uint8Array([255, 0, 254])
        yield* redis.send("PUBLISH", "news", bytes)
        yield* redis.send("SPUBLISH", "shard", "text")
        const messages = yield* Stream.runCollect(Stream.take(stream, 3))
        assert.deepStrictEqual(
          messages.map((message) =>
            message._tag === "Published" ? [message.channel, message.pattern, Array.from(message.bytes)] : []
          ),
          [["news", undefined, [255, 0, 254]], ["news", "new*", [255, 0, 254]], [
            "shard",
            undefined,
            Array.from(new TextEncoder().encode("text"))
          ]]
        )
        assert.strictEqual(
          JSON.stringify(messages[2]),
          `{"_tag":"Published","channel":"shard","message":"text"}`
        )
      }).pipe(Effect.scoped))
  }

  it.live("is what subscribe, psubscribe and ssubscribe give", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const cases = [
        [redis.subscribe("c1", "c2"), "PUBLISH", "c2"],
        [redis.psubscribe("p*"), "PUBLISH", "pattern"],
        [redis.ssubscribe("s1"), "SPUBLISH", "s1"]
      ] as const
      for (const [stream, verb, channel] of cases) {
        const first = yield* Effect.forkChild(Stream.runHead(stream), { startImmediately: true })
        while ((yield* redis.send<number>(verb, channel, "hello")) === 0) yield* Effect.sleep("10 millis")
        const message = yield* Effect.flatMap(Fiber.join(first), Effect.fromOption)
        assert.strictEqual(message._tag === "Published" && `${message.channel} ${message.message}`, `${channel} hello`)
      }
      // Who has taken enough is not subscribed any more.
      while ((yield* clientList(redis)).length > 1) yield* Effect.sleep("10 millis")
    }).pipe(Effect.scoped))

  it.live("fails where the server does not permit it, and when it does not any more", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const admin = yield* connect(server)
      yield* admin.send(
        "ACL",
        "SETUSER",
        "reader",
        "on",
        ">secret",
        "+@all",
        "allkeys",
        "resetchannels",
        "&news",
        "&more"
      )
      const redis = yield* connect(server, {
        credentials: { username: "reader", password: Redacted.make("secret") },
        maintenance: { logLevel: "Error" }
      })
      const refused = yield* Effect.flip(redis.subscription({ channels: ["other"] }))
      assert.strictEqual(refused.reason._tag === "ServerReplied" && refused.reason.code, "NOPERM")
      const news = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      const more = yield* heard(yield* redis.subscription({ channels: ["more"] }))
      yield* admin.send("ACL", "SETUSER", "reader", "resetchannels", "&more")
      assert.strictEqual(reasonOf(yield* Fiber.join(news.running)), "ServerReplied")
      while ((yield* admin.send<number>("PUBLISH", "more", "x")) === 0) yield* Effect.sleep("10 millis")
      while (!more.messages.includes("more x")) yield* Effect.sleep("10 millis")
      assert.deepStrictEqual(more.messages, ["lost 0", "more x"])
      yield* admin.send("ACL", "DELUSER", "reader")
      assert.strictEqual(reasonOf(yield* Fiber.join(more.running)), "AuthenticationFailed")
    }).pipe(Effect.scoped))

  it.live("loses nothing where its reader is waited for, and hears again when it has read", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* startRedis())
      const stream = yield* redis.subscription({ channels: ["news"], capacity: 10, overflow: "suspend" })
      const large = "x".repeat(10_000)
      for (let i = 0; i < 2000; i++) yield* redis.send("PUBLISH", "news", `${i} ${large}`)
      const messages = yield* Stream.runCollect(Stream.take(stream, 2000))
      assert.deepStrictEqual(
        messages.map((message) => message._tag === "Published" ? message.message.split(" ")[0] : message.why),
        Array.from({ length: 2000 }, (_, index) => String(index))
      )
    }).pipe(Effect.scoped))

  it.live("tells of a connection that the server closed because too much waited for it", () =>
    Effect.gen(function*() {
      const redis = yield* connect(
        yield* startRedis({ args: ["--client-output-buffer-limit", "pubsub", "1mb", "1mb", "1"] })
      )
      const stream = yield* redis.subscription({ channels: ["news"], capacity: 1, overflow: "suspend" })
      const large = "x".repeat(1_000_000)
      for (let i = 0; i < 40; i++) yield* redis.send("PUBLISH", "news", large)
      const { messages } = yield* heard(stream)
      while (!messages.includes("lost 0")) yield* Effect.sleep("10 millis")
      while ((yield* redis.send<number>("PUBLISH", "news", "after")) === 0) yield* Effect.sleep("10 millis")
      while (!messages.includes("news after")) yield* Effect.sleep("10 millis")
    }).pipe(Effect.scoped))

  it.live("ends with its client, whatever scope it has", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const client = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server), client)
      const { running } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      yield* Scope.close(client, Exit.void)
      assert.strictEqual(reasonOf(yield* Fiber.join(running)), "Closed")
      assert.strictEqual((yield* Effect.flip(redis.subscription({ channels: ["news"] }))).reason._tag, "Closed")
      const other = yield* connect(server)
      while ((yield* clientList(other)).length > 1) yield* Effect.sleep("10 millis")
    }).pipe(Effect.scoped))

  it.live("fails when a server that has gone silent does not confirm it", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { commandTimeout: "300 millis", maintenance: { logLevel: "Error" } })
      yield* Effect.asVoid(redis.subscription({ channels: ["one"] }))
      yield* stall(server)
      const { message, reason } = yield* Effect.flip(redis.subscription({ channels: ["two"] }))
      yield* resume(server)
      assert.strictEqual(reason._tag, "ConnectFailed")
      assert.include(message, "SUBSCRIBE was not confirmed within")
    }).pipe(Effect.scoped))
})

describe("A subscription to a server that does not do as others", () => {
  it.live("says that messages may come twice where no marker is permitted, and loses none", () =>
    Effect.gen(function*() {
      const answer = (words: ReadonlyArray<string>) =>
        isMarker(words)
          ? notPermitted
          : answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      const next = yield* rawServer(answer)
      const server = yield* rawServer(answer)
      const redis = yield* connectTo({ host, port: server.port })
      const { messages } = yield* heard(yield* redis.subscription({ channels: ["news"] }))
      const old = server.connections[1].socket
      old.write(frame("message", "news", "one"))
      for (const { socket } of server.connections) socket.write(frame("MOVING", "1", "30", `${host}:${next.port}`))
      while (!messages.includes("repeated 0")) yield* Effect.sleep("10 millis")
      for (const { socket } of next.connections) socket.write(frame("message", "news", "two"))
      while (!messages.includes("news two")) yield* Effect.sleep("10 millis")
      assert.sameMembers(messages, ["news one", "repeated 0", "news two"])
    }).pipe(Effect.scoped))

  it.live("is made anew when a shard ends it by itself", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const server = yield* rawServer((words) => {
        if (words[0] === "SSUBSCRIBE") asked.push("shard")
        return answerHandshake(words) ?? confirm(words) ?? "+OK\r\n"
      })
      const redis = yield* connectTo({ host, port: server.port })
      const { messages } = yield* heard(yield* redis.subscription({ shardChannels: ["shard"] }))
      const { socket } = server.connections[1]
      socket.write(frame("sunsubscribe", "shard", "0"))
      while (asked.length < 2) yield* Effect.sleep("10 millis")
      socket.write(frame("smessage", "shard", "hello"))
      while (messages.length < 2) yield* Effect.sleep("10 millis")
      assert.deepStrictEqual(messages, ["lost 0", "shard hello"])
    }).pipe(Effect.scoped))
})
