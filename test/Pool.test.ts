/**
 * The pool where it is under strain: nodes with two names, servers that misbehave, commands without a connection, and
 * the end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Config, Endpoint, HitlessRedis, Metrics } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { Rehearsal, type SimulatedRedis } from "hitless/testing"
import { busyAt } from "../src/Pool.ts"
import { type Client, connect, deploy, handoffsEnded, waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import {
  addresses,
  advance,
  announceMove,
  begin,
  database,
  dials,
  notifications,
  openSlots,
  rehearse,
  send,
  slots,
  status
} from "./support/rehearsal.ts"

/** What fails on purpose is not logged. */
const maintenance = { handoffTimeout: "250 millis", postHandoffRelaxedDuration: 0, logLevel: "Error" } as const

const address = (sim: SimulatedRedis.SimulatedRedis, node: string) => Endpoint.format(sim.endpoint(node))

const portOf = (sim: SimulatedRedis.SimulatedRedis, node: string): number => {
  const endpoint = sim.endpoint(node)
  return endpoint._tag === "Tcp" ? endpoint.port : 0
}

/** Nothing answers any more, and the client has noticed. */
const takeAway = Effect.fnUntraced(function*(sim: SimulatedRedis.SimulatedRedis, client: Client) {
  yield* sim.refuse("a")
  yield* sim.kill("a")
  yield* waitUntil(Effect.map(client.redis.status, ({ slots }) => slots[0]!.state === "Reconnecting"))
})

/** A client of a raw server, and the effect that closes it. */
const connectRaw = Effect.fnUntraced(function*(port: number, options: Config.Options = {}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const redis = yield* HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1, maintenance, ...options }).pipe(
    Scope.provide(scope),
    Effect.provide(NodeTransport.layer)
  )
  return { redis, close: Scope.close(scope, Exit.void) }
})

const now = { startImmediately: true } as const

describe("a database that is known by two addresses", () => {
  it.effect("is left at both of them when both are told to move", () =>
    Effect.gen(function*() {
      yield* begin(
        announceMove(0, 1, 0, addresses.a),
        { step: "moving", at: "20 seconds", node: "a", target: "b", time: "30 seconds", seq: 2 }
      )
      // The override of the first move is over, and the second connection is to the name again.
      yield* advance("15 seconds")
      yield* openSlots("a", 2)
      assert.deepStrictEqual(yield* slots, ["Serving a", "Serving redis.test"])
      yield* advance("10 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b"])
      assert.strictEqual((yield* dials("b")).length, 2)
      assert.deepStrictEqual((yield* notifications).map(({ seq }) => seq), ["1", "2"])
    }).pipe(rehearse({ poolSize: 2, maintenance })))

  it.effect("is relaxed wherever its announcement is heard, and nowhere after the completion", () =>
    Effect.gen(function*() {
      const windows = Effect.map(status, ({ windows }) => windows.map(({ subject }) => subject))
      yield* begin(announceMove(0, 1, 0, addresses.b))
      yield* advance("15 seconds")
      yield* Effect.provideService(openSlots("b", 2), HitlessRedis.CurrentCommandTimeout, "30 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving b", "Serving redis.test"])
      yield* begin(
        { step: "push", at: 0, node: "a", elements: ["FAILING_OVER", 50, 30, "[\"1\"]"] },
        { step: "push", at: "1 second", node: "b", elements: ["FAILING_OVER", 50, 30, "[\"1\"]"] },
        { step: "stall", at: "1 second", node: "b", duration: "5 seconds" },
        { step: "push", at: "7 seconds", node: "a", elements: ["FAILED_OVER", 51, "[\"1\"]"] }
      )
      yield* advance("1 milli")
      assert.deepStrictEqual(yield* windows, [database])
      yield* advance("999 millis")
      assert.deepStrictEqual(yield* windows, [database, addresses.b])
      const reply = yield* send("INCR", "counter")
      yield* advance("5 seconds")
      assert.strictEqual(yield* Fiber.join(reply), 1)
      yield* advance("1 second")
      assert.deepStrictEqual(yield* windows, [])
      assert.deepStrictEqual((yield* notifications).map(({ _tag }) => _tag), ["Moving", "FailingOver", "FailedOver"])
    }).pipe(rehearse({ poolSize: 2, commandTimeout: "100 millis", maintenance })))
})

describe("a command that waits for a connection", () => {
  it.effect("has the relaxed time whichever endpoint announced maintenance", () =>
    Effect.gen(function*() {
      yield* begin(
        announceMove(0, 1, 0, addresses.b),
        { step: "failingOver", at: "15 seconds", node: "b", time: "30 seconds" },
        { step: "refuse", at: "16 seconds", node: "a" },
        { step: "refuse", at: "16 seconds", node: "b" },
        { step: "kill", at: "16 seconds", node: "b" },
        // The next dial is at most 2.4 s later.
        { step: "accept", at: "23 seconds", node: "b" }
      )
      yield* advance("16 seconds")
      assert.deepStrictEqual(yield* slots, ["Reconnecting"])
      const reply = yield* send("INCR", "counter")
      yield* advance("9999 millis")
      assert.strictEqual(yield* Fiber.join(reply), 1)
    }).pipe(rehearse({ commandTimeout: "100 millis", maintenance })))

  it.live("fails with the name of the window that it waited in", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        commandTimeout: "50 millis",
        maintenance: { ...maintenance, relaxedTimeout: "200 millis" }
      })
      yield* sim.failingOver("a", { time: "30 seconds", seq: 7 })
      yield* waitUntil(Effect.map(client.redis.status, ({ windows }) => windows.length === 1))
      yield* takeAway(sim, client)
      const { reason } = yield* Effect.flip(client.redis.send("PING"))
      assert.strictEqual(reason._tag, "ConnectFailed")
      assert.strictEqual(reason.window, "FAILING_OVER 7")
      assert.isFalse(reason.mayHaveExecuted)
    }))

  it.live("is let go of when it is interrupted, however many there are", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "Infinity", maintenance })
      yield* takeAway(sim, client)
      const kept = yield* Effect.forkScoped(client.redis.send("ECHO", "kept"), now)
      for (let i = 0; i < 5000; i++) {
        yield* Fiber.interrupt(yield* Effect.forkScoped(client.redis.send("PING"), now))
      }
      // Those that were interrupted are thrown out at each doubling, for the first time at 1,024.
      assert.isAtMost((yield* client.redis.status).pending, 2048)
      yield* sim.accept("a")
      assert.strictEqual(yield* Fiber.join(kept), "kept")
      assert.strictEqual((yield* client.redis.status).pending, 0)
    }))

  it.live("fails as closed when another one's failure is why the client is closed", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "100 millis", maintenance })
      yield* takeAway(sim, client)
      const patient = Effect.provideService(
        Effect.flip(client.redis.send("PING")),
        HitlessRedis.CurrentCommandTimeout,
        "Infinity"
      )
      const before = yield* Effect.forkScoped(patient, now)
      const closer = yield* Effect.forkScoped(Effect.catch(client.redis.send("PING"), () => client.close), now)
      const after = yield* Effect.forkScoped(patient, now)
      yield* Fiber.join(closer)
      for (const fiber of [before, after]) {
        const { reason } = yield* Fiber.join(fiber)
        assert.strictEqual(reason._tag, "Closed")
        assert.isFalse(reason.mayHaveExecuted)
      }
    }))
})

describe("a server that misbehaves", () => {
  /** How many dials half a second may see: the pauses double from 50 ms, or are 100 ms each. Without any it sees hundreds. */
  const fewDials = 12

  it.live("is not stormed when it hangs up after each handshake", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((words, { id, socket }) => {
        if (words[1] !== "MAINT_NOTIFICATIONS" || id === 1) return answerHandshake(words)
        socket.end("+OK\r\n")
        return undefined
      })
      yield* connectRaw(server.port)
      server.connections[0]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => server.connections.length >= 3))
      yield* Effect.sleep("500 millis")
      assert.isAtMost(server.connections.length, fewDials)
    }))

  it.live("is not stormed by a subscriber when it hangs up after each subscription", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((words, { id, socket }) => {
        if (words[0] !== "SUBSCRIBE") return answerHandshake(words)
        const subscribed = ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
        if (id === 2) return subscribed
        socket.end(subscribed)
        return undefined
      })
      const context = yield* Layer.build(
        NodeHitlessRedis.layer({ host: "127.0.0.1", port: server.port, poolSize: 1, maintenance })
      )
      yield* Context.get(context, Redis.Redis).subscribe("ch")
      server.connections[1]!.socket.destroy()
      yield* waitUntil(Effect.sync(() => server.connections.length >= 4))
      yield* Effect.sleep("500 millis")
      assert.isAtMost(server.connections.length, fewDials)
    }))

  it.live("is not asked again what it has answered with no RESP", () =>
    Effect.gen(function*() {
      let asked = 0
      const server = yield* rawServer((words) => {
        if (words[0] !== "GET") return answerHandshake(words) ?? "+PONG\r\n"
        asked++
        return "?no RESP\r\n"
      })
      const { redis } = yield* connectRaw(server.port)
      const { reason } = yield* Effect.flip(redis.send("GET", "key"))
      assert.strictEqual(reason._tag, "ProtocolViolation")
      assert.isTrue(reason.mayHaveExecuted)
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.strictEqual(asked, 1)
    }))

  it.live("is dialled again by the slot to which it answered READONLY, and by no other", () =>
    Effect.gen(function*() {
      const held: Array<() => void> = []
      // Only the second connection leads to a replica.
      const server = yield* rawServer((words, { id, socket }) => {
        if (words[0] === "HOLD") held.push(() => socket.write("+OK\r\n"))
        else if (words[0] === "INCR") return id === 2 ? "-READONLY You can't write against a replica.\r\n" : ":1\r\n"
        return answerHandshake(words)
      })
      const { redis } = yield* connectRaw(server.port, { poolSize: 2, commandTimeout: "30 seconds" })
      const holding = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: busyAt + 1 }), () => redis.send("HOLD"), {
          concurrency: "unbounded",
          discard: true
        }),
        now
      )
      yield* waitUntil(Effect.sync(() => held.length === busyAt + 1))
      yield* waitUntil(Effect.map(redis.status, ({ slots }) => slots[1]!.state === "Serving"))
      assert.strictEqual(yield* redis.send("INCR", "counter"), 1)
      for (const release of held) release()
      yield* Fiber.join(holding)
      yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      assert.deepStrictEqual(server.closed, [2])
      assert.strictEqual(server.connections.length, 3)
    }))
})

describe("a retry predicate that throws", () => {
  it.live("fails its own command as not sent again, and no other", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance,
        retry: (command) => {
          if (command === "INCR") throw new Error("the predicate is wrong")
          return true
        }
      }).pipe(Effect.provide(Logger.layer([])))
      yield* client.redis.send("SET", "key", "value")
      yield* sim.latency("a", "1 hour")
      const bad = yield* Effect.forkScoped(Effect.flip(client.redis.send("INCR", "counter")), now)
      const good = yield* Effect.forkScoped(client.redis.send("GET", "key"), now)
      yield* sim.latency("a", 0)
      yield* sim.kill("a")
      const { reason } = yield* Fiber.join(bad)
      assert.strictEqual(reason._tag, "ConnectionLost")
      assert.isTrue(reason.mayHaveExecuted)
      assert.strictEqual(yield* Fiber.join(good), "value")
    }))
})

describe("the target of a move", () => {
  /** The client has followed a move, which is over after 250 ms, and has lost its target; then nothing else answers. */
  const lose = (at: Duration.Input) =>
    begin(
      announceMove(0, 1, 0, addresses.b),
      { step: "kill", at: "10 seconds", node: "b" },
      { step: "refuse", at, node: "a" },
      { step: "kill", at, node: "a" }
    )

  it.effect("is where the slot goes when nothing else answers within 30 seconds of the move", () =>
    Effect.gen(function*() {
      yield* lose("30 seconds")
      yield* advance("29 seconds")
      assert.deepStrictEqual(yield* slots, ["Serving redis.test"])
      yield* advance("1 second")
      const redis = yield* HitlessRedis.HitlessRedis
      assert.strictEqual(yield* redis.send("GET", "key"), null)
      assert.deepStrictEqual(yield* slots, ["Serving b"])
    }).pipe(rehearse({ maintenance })))

  it.effect("is not dialled any more after that", () =>
    Effect.gen(function*() {
      yield* lose("31 seconds")
      yield* advance("31 seconds")
      const reply = yield* send("GET", "key")
      yield* advance("300 millis")
      const { reason } = yield* Effect.flip(Fiber.join(reply))
      assert.strictEqual(reason._tag, "ConnectFailed")
      assert.strictEqual(reason.endpoint, database)
      assert.deepStrictEqual(yield* dials("b"), [0])
    }).pipe(rehearse({ commandTimeout: "300 millis", maintenance })))
})

describe("closing", () => {
  it.live("leaves no socket where a reconnect was under way", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance: { ...maintenance, handoffTimeout: "30 seconds" }
      })
      yield* sim.handshake("b", { _tag: "HangBeforeHello" })
      yield* sim.push("a", ["MOVING", 1, 30, address(sim, "b")])
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 1))
      yield* sim.kill("a")
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 2))
      yield* client.close
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 0))
      // Connections are accepted in order: what the client dialled at the end would come before this one.
      const other = yield* connect(sim, "a", { poolSize: 1, maintenance })
      assert.strictEqual(yield* other.redis.send("PING"), "PONG")
      assert.strictEqual(yield* sim.accepted("a"), 2)
      assert.strictEqual(yield* sim.connections("a"), 1)
    }))

  it.live("waits one command timeout for a replaced connection too, whatever its commands and their windows allow", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout: "100 millis", maintenance })
      yield* sim.stall("a", "2 seconds")
      const send = Effect.flip(client.redis.send("INCR", "counter"))
      const relaxed = yield* Effect.forkScoped(send, now)
      const unlimited = yield* Effect.forkScoped(
        Effect.provideService(send, HitlessRedis.CurrentCommandTimeout, "Infinity"),
        now
      )
      yield* sim.push("a", ["MOVING", 1, 30, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      assert.strictEqual((yield* client.redis.status).draining, 1)
      yield* client.close
      // A close that had waited for the replies would have let them in.
      for (const fiber of [relaxed, unlimited]) {
        const { reason } = yield* Fiber.join(fiber)
        assert.strictEqual(reason._tag, "Closed")
        assert.isTrue(reason.mayHaveExecuted)
      }
    }))

  it.effect("leaves no timer, also when maintenance is announced meanwhile", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "stall", at: 0, node: "a", duration: "100 millis" },
        { step: "migrating", at: "50 millis", node: "a", time: "30 seconds" }
      )
      const reply = yield* send("INCR", "counter")
      yield* Rehearsal.assertNothingLeftOpen
      assert.strictEqual(yield* Fiber.join(reply), 1)
    }).pipe(rehearse({ maintenance })))

  it.effect("leaves no timer, also when a command that failed is the reason and a window is open", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin(
        { step: "failingOver", at: 0, node: "a", time: "30 seconds" },
        { step: "refuse", at: "1 second", node: "a" },
        { step: "kill", at: "1 second", node: "a" }
      )
      yield* advance("1 second")
      assert.strictEqual((yield* status).windows.length, 1)
      const closing = yield* Effect.forkChild(
        redis.send("PING").pipe(
          Effect.provideService(HitlessRedis.CurrentCommandTimeout, "100 millis"),
          Effect.flip,
          Effect.andThen(Rehearsal.assertNothingLeftOpen)
        )
      )
      yield* advance("200 millis")
      yield* Fiber.join(closing)
    }).pipe(rehearse({ maintenance: { ...maintenance, relaxedTimeout: "200 millis" } })))

  it.live("drops what a peer that does not read has not taken", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(answerHandshake)
      const { close, redis } = yield* connectRaw(server.port, { commandTimeout: "100 millis" })
      const { socket } = server.connections[0]!
      socket.pause()
      // Linux buffers at most 4 MiB where it is sent and 6 MiB where it is received (tcp_wmem, tcp_rmem).
      const size = 64_000_000
      const { reason } = yield* Effect.flip(redis.send("SET", "key", new Uint8Array(size)))
      assert.strictEqual(reason._tag, "CommandTimeout")
      yield* close
      socket.resume()
      yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      assert.isBelow(socket.bytesRead, size)
    }))

  it.live("ends the streams of notifications and handoffs, after the last event, and those that come later", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
      const notifications = yield* Effect.forkScoped(Stream.runCollect(client.redis.notifications), now)
      const handoffs = yield* Effect.forkScoped(Stream.runCollect(client.redis.handoffs), now)
      yield* sim.moving("a", { target: "b", time: "30 seconds" })
      yield* handoffsEnded(client, 1)
      yield* client.close
      assert.deepStrictEqual((yield* Fiber.join(notifications)).map(({ _tag }) => _tag), ["Moving"])
      assert.deepStrictEqual((yield* Fiber.join(handoffs)).map(({ _tag }) => _tag), ["Queued", "Started", "Completed"])
      assert.deepStrictEqual(yield* Stream.runCollect(client.redis.notifications), [])
      assert.deepStrictEqual(yield* Stream.runCollect(client.redis.handoffs), [])
    }))

  it.live("takes the open windows back from the count of relaxed timeouts", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const clientName = "closed-in-a-window"
      const client = yield* connect(sim, "a", { poolSize: 1, clientName, maintenance })
      const relaxed = Effect.map(
        Metric.value(Metric.withAttributes(Metrics.relaxedTimeouts, { "db.client.connection.pool.name": clientName })),
        ({ count }) => count
      )
      yield* sim.migrating("a", { time: "30 seconds" })
      yield* waitUntil(Effect.sync(() => client.notifications.length === 1))
      assert.strictEqual(yield* relaxed, 1)
      yield* client.close
      assert.strictEqual(yield* relaxed, 0)
    }))

  it.live("does not wait for the dial of a reserved connection", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const clientName = "closed-while-reserving"
      const scope = yield* Scope.fork(yield* Effect.scope)
      const context = yield* Layer.buildWithScope(
        NodeHitlessRedis.layer({
          host: "127.0.0.1",
          port: portOf(sim, "a"),
          poolSize: 1,
          clientName,
          connectTimeout: "2 seconds",
          maintenance
        }),
        scope
      )
      yield* sim.handshake("a", { _tag: "HangBeforeHello" })
      const reserved = yield* Effect.forkScoped(Effect.scoped(Context.get(context, Redis.Redis).reserve), now)
      yield* waitUntil(Effect.map(sim.connections("a"), (count) => count === 2))
      yield* Scope.close(scope, Exit.void)
      // Effect's pool interrupts who waits for a connection of it when it shuts down.
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(reserved)))
      // A close that had waited would have let the dial fail.
      const failures = Metric.withAttributes(Metrics.errors, {
        "db.client.connection.pool.name": clientName,
        "error.type": "ConnectFailed"
      })
      assert.strictEqual((yield* Metric.value(failures)).count, 0)
      yield* waitUntil(Effect.map(sim.connections("a"), (count) => count === 0))
    }))
})
