/**
 * Handoff under load on a simulated deployment, with the interleavings forced by what the simulated servers do.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { Endpoint, Handoff } from "hitless"
import type { SimulatedRedis } from "hitless/testing"
import {
  type Client,
  connect,
  deploy,
  handoffsEnded,
  type Load,
  load,
  openSlots,
  tags,
  waitUntil
} from "./support/deployment.ts"

/** Announced times are whole seconds on the wire. What fails on purpose is not logged. */
const maintenance = { handoffTimeout: "10 seconds", logLevel: "Error" } as const

/** So short that a target which hangs, and the waits between attempts, cost a test little. */
const brief = { ...maintenance, handoffTimeout: "250 millis" } as const

const address = (sim: SimulatedRedis.SimulatedRedis, node: string) => Endpoint.format(sim.endpoint(node))

const nothingWrong = (load: Load) =>
  Effect.map(load.stop, ({ acknowledged, failures, stored }) => {
    assert.deepStrictEqual(failures.map((failure) => failure.message), [])
    assert.strictEqual(stored, acknowledged)
  })

/** What happened to handoffs, with the node each was for. */
const story = (sim: SimulatedRedis.SimulatedRedis, client: Client) => {
  const nodes = new Map(["a", "b", "c"].map((node) => [address(sim, node), node] as const))
  return client.handoffs.map(({ _tag, to }) => `${_tag} ${nodes.get(to)}`)
}

describe("a move to a target that answers", () => {
  it.live("takes every slot there, the idle ones too, without one failed command", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 3, maintenance })
      yield* openSlots(sim, "a", client, 3)
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "1 second" })
      yield* handoffsEnded(client, 3)
      const { slots } = yield* client.redis.status
      assert.deepStrictEqual(slots.map(({ endpoint }) => endpoint), [1, 2, 3].map(() => address(sim, "b")))
      yield* waitUntil(Effect.map(sim.connections("a"), (count) => count === 0))
      yield* nothingWrong(traffic)
      assert.strictEqual(yield* sim.accepted("b"), 3)
    }))

  it.live("never has fewer connections than slots: the old one closes after the new one has answered", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance
      })
      yield* sim.handshake("b", { _tag: "Answer", delay: "200 millis" })
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* waitUntil(Effect.map(sim.accepted("b"), (count) => count === 1))
      assert.strictEqual(yield* sim.connections("a"), 1)
      yield* handoffsEnded(client, 1)
      yield* nothingWrong(traffic)
      const log = yield* sim.log
      const at = (node: string, tag: string) =>
        log.findIndex((entry) => entry.node === node && entry.event._tag === tag)
      assert.isBelow(at("b", "OptedIn"), at("a", "Closed"))
    }))

  it.live("sends new dials to the target until the announced time is over", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 4,
        maintenance
      })
      yield* sim.moving("a", { target: "b", time: "30 seconds" })
      yield* handoffsEnded(client, 1)
      yield* openSlots(sim, "b", client, 4)
      assert.strictEqual(yield* sim.accepted("a"), 1)
      assert.strictEqual(yield* sim.accepted("b"), 4)
    }))

  it.live("moves a connection that was being dialled when its endpoint was told to move", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 2,
        maintenance
      })
      yield* sim.handshake("a", { _tag: "Answer", delay: "300 millis" })
      yield* sim.latency("a", "20 millis")
      const burst = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 600 }), () => client.redis.send("PING"), { concurrency: "unbounded" })
      )
      yield* waitUntil(Effect.map(sim.accepted("a"), (count) => count === 2))
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* handoffsEnded(client, 2)
      yield* Fiber.join(burst)
      const { slots } = yield* client.redis.status
      assert.deepStrictEqual(slots.map(({ endpoint }) => endpoint), [address(sim, "b"), address(sim, "b")])
    }))

  it.live("acts once on a frame that arrives twice and on every connection", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 2, maintenance })
      yield* openSlots(sim, "a", client, 2)
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "1 second", seq: 9 })
      yield* sim.push("a", ["MOVING", 9, 1, address(sim, "b")])
      yield* handoffsEnded(client, 2)
      yield* nothingWrong(traffic)
      assert.deepStrictEqual(tags(client).filter((tag) => tag === "Completed").length, 2)
      assert.strictEqual(yield* sim.accepted("b"), 2)
      assert.strictEqual(client.notifications.length, 1)
    }))

  it.live("ignores a move to where it already is", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
      const traffic = yield* load(client.redis)
      yield* sim.push("a", ["MOVING", 4, 1, address(sim, "a")])
      yield* waitUntil(Effect.sync(() => client.notifications.length === 1))
      // A second, real move shows that the first one queued nothing.
      yield* sim.moving("a", { target: "b", time: "1 second" })
      yield* handoffsEnded(client, 1)
      yield* nothingWrong(traffic)
      assert.deepStrictEqual(client.handoffs.map(({ to }) => to), [1, 2, 3].map(() => address(sim, "b")))
      assert.strictEqual(yield* sim.accepted("a"), 1)
    }))

  it.live("follows the newest of two targets announced at once", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const client = yield* connect(sim, "a", {
        poolSize: 2,
        maintenance
      })
      yield* openSlots(sim, "a", client, 2)
      yield* sim.handshake("b", { _tag: "Answer", delay: "100 millis" })
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* waitUntil(Effect.map(sim.accepted("b"), (count) => count > 0))
      yield* sim.moving("a", { target: "c", time: "5 seconds" })
      yield* waitUntil(
        Effect.map(client.redis.status, ({ slots }) =>
          slots.every(({ endpoint, state }) => state === "Serving" && endpoint === address(sim, "c")))
      )
      yield* nothingWrong(traffic)
    }))

  it.live("goes on from node to node", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "1 second" })
      yield* handoffsEnded(client, 1)
      yield* sim.moving("b", { target: "c", time: "1 second" })
      yield* handoffsEnded(client, 2)
      yield* sim.moving("c", { target: "a", time: "1 second" })
      yield* handoffsEnded(client, 3)
      yield* nothingWrong(traffic)
      assert.deepStrictEqual((yield* client.redis.status).slots[0]!.endpoint, address(sim, "a"))
    }))
})

describe("a target in trouble", () => {
  it.live("is tried again while it refuses its first dials", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance: brief })
      yield* sim.refuse("b")
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "1 second" })
      yield* waitUntil(Effect.sync(() => tags(client).includes("Retried")))
      yield* sim.accept("b")
      yield* handoffsEnded(client, 1)
      yield* nothingWrong(traffic)
      assert.strictEqual(tags(client).at(-1), "Completed")
      const retried = client.handoffs.find((event) => event._tag === "Retried")
      assert.strictEqual(retried?._tag === "Retried" && retried.error.reason._tag, "ConnectFailed")
    }))

  for (
    const handshake of [
      { _tag: "HangBeforeHello" },
      { _tag: "HangAfterHello" },
      { _tag: "NoAuth" },
      { _tag: "DropAfterBytes", bytes: 0 },
      { _tag: "DropAfterBytes", bytes: 1 },
      { _tag: "DropAfterBytes", bytes: 60 },
      { _tag: "DropAfterBytes", bytes: 140 }
    ] satisfies ReadonlyArray<SimulatedRedis.Handshake>
  ) {
    const name = "bytes" in handshake ? `${handshake._tag} ${handshake.bytes}` : handshake._tag
    it.live(`leaves the old connection as it was and tries again (${name})`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a", "b"])
        const client = yield* connect(sim, "a", { poolSize: 1, maintenance: brief })
        yield* sim.handshake("b", handshake)
        const traffic = yield* load(client.redis)
        yield* sim.moving("a", { target: "b", time: "2 seconds" })
        yield* waitUntil(Effect.sync(() => tags(client).includes("Retried")))
        assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, address(sim, "a"))
        yield* sim.handshake("b", { _tag: "Answer" })
        yield* handoffsEnded(client, 1)
        yield* nothingWrong(traffic)
        assert.strictEqual(tags(client).at(-1), "Completed")
        yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 1))
      }))
  }

  it.live("makes the handoff fail in the end, and the old connection serves on", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance: { ...brief, maxHandoffRetries: 1 } })
      yield* sim.handshake("b", { _tag: "NoAuth" })
      const traffic = yield* load(client.redis)
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      yield* nothingWrong(traffic)
      assert.deepStrictEqual(tags(client), ["Queued", "Started", "Retried", "Failed"])
      const status = yield* client.redis.status
      assert.strictEqual(status.health, "degraded")
      assert.strictEqual(status.slots[0]!.endpoint, address(sim, "a"))
      const failed = status.lastHandoff
      assert.strictEqual(failed?._tag === "Failed" && failed.error.reason._tag, "AuthenticationFailed")
    }))

  it.live("is not dialled any more while its circuit is open", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance: { ...brief, maxHandoffRetries: 0, circuitBreaker: { failures: 1 } }
      })
      yield* sim.handshake("b", { _tag: "NoAuth" })
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      yield* sim.push("a", ["MOVING", 2, 1, address(sim, "b")])
      yield* handoffsEnded(client, 2)
      const failed = client.handoffs.at(-1)
      assert.strictEqual(failed?._tag === "Failed" && failed.error.reason._tag, "CircuitOpen")
      assert.strictEqual(yield* sim.accepted("b"), 1)
    }))

  it.live("is found by ordinary reconnect when the server closes the old connection after all attempts", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance: { ...brief, maxHandoffRetries: 0 } })
      yield* sim.refuse("b")
      yield* sim.push("a", ["MOVING", 1, 30, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      yield* sim.accept("b")
      yield* sim.refuse("a")
      yield* sim.kill("a")
      assert.strictEqual(yield* client.redis.send("GET", "nothing"), null)
      assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, address(sim, "b"))
    }))

  it.live("and reached in the end leaves no trace in the client's health", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance: { ...brief, maxHandoffRetries: 0, relaxedTimeout: "50 millis" }
      })
      yield* sim.refuse("b")
      yield* sim.push("a", ["MOVING", 1, 0, address(sim, "b")])
      yield* handoffsEnded(client, 1)
      assert.strictEqual((yield* client.redis.status).health, "degraded")
      yield* sim.accept("b")
      yield* sim.refuse("a")
      yield* sim.kill("a")
      assert.strictEqual(yield* client.redis.send("GET", "nothing"), null)
      yield* waitUntil(Effect.map(client.redis.status, ({ health }) => health === "ok"))
      assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, address(sim, "b"))
    }))
})

describe("the announced time", () => {
  const handoffs = (handoffTimeout: "1 second" | "600 millis") =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance: { ...maintenance, handoffTimeout } })
      yield* sim.handshake("b", { _tag: "HangBeforeHello" })
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      const dialled = (count: number) =>
        TestClock.withLive(waitUntil(Effect.map(sim.accepted("b"), (accepted) => accepted === count)))
      yield* dialled(1)
      return { client, dialled, ended: TestClock.withLive(handoffsEnded(client, 1)) }
    })

  it.effect("that one attempt uses up leaves none for another", () =>
    Effect.gen(function*() {
      const { client, ended } = yield* handoffs("1 second")
      yield* TestClock.adjust("1 second")
      yield* ended
      assert.deepStrictEqual(tags(client), ["Queued", "Started", "Failed"])
    }))

  it.effect("is the limit of the last attempt too", () =>
    Effect.gen(function*() {
      const { client, dialled, ended } = yield* handoffs("600 millis")
      yield* TestClock.adjust("600 millis")
      // The first wait of three retries in a second is 63 ms, at most 1.2 times.
      yield* TestClock.adjust("100 millis")
      yield* dialled(2)
      yield* TestClock.adjust("300 millis")
      yield* ended
      assert.deepStrictEqual(tags(client), ["Queued", "Started", "Retried", "Failed"])
    }))
})

describe("a newer target", () => {
  it.live("ends the attempts at the older one at once, though that one hangs", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance: { ...maintenance, handoffTimeout: "1 hour" }
      })
      yield* sim.handshake("b", { _tag: "HangBeforeHello" })
      const traffic = yield* load(client.redis)
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 1))
      yield* sim.push("a", ["MOVING", 2, 1, address(sim, "c")])
      yield* handoffsEnded(client, 1)
      yield* nothingWrong(traffic)
      assert.deepStrictEqual(story(sim, client), [
        "Queued b",
        "Started b",
        "Superseded b",
        "Started c",
        "Completed c"
      ])
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 0))
    }))

  it.live("is not left for the older one, whose answer comes late", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
      yield* sim.handshake("b", { _tag: "Answer", delay: "300 millis" })
      yield* sim.push("a", ["MOVING", 1, 1, address(sim, "b")])
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 1))
      yield* sim.push("a", ["MOVING", 2, 1, address(sim, "c")])
      yield* waitUntil(Effect.sync(() => story(sim, client).includes("Completed c")))
      // The older target has answered, or was hung up on before it did.
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 0))
      const { slots } = yield* client.redis.status
      assert.deepStrictEqual(slots.map(({ endpoint, state }) => [state, endpoint]), [["Serving", address(sim, "c")]])
      assert.notInclude(story(sim, client), "Completed b")
    }))
})

describe("an old server in trouble", () => {
  it.live("closes early, while the target shakes hands: reads are answered by the target", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance
      })
      yield* client.redis.send("SET", "key", "value")
      yield* sim.handshake("b", { _tag: "Answer", delay: "100 millis" })
      yield* sim.stall("a", "10 seconds")
      const reads = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 50 }), () => client.redis.send("GET", "key"), { concurrency: "unbounded" })
      )
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* waitUntil(Effect.map(sim.accepted("b"), (count) => count > 0))
      yield* sim.kill("a")
      assert.deepStrictEqual([...new Set(yield* Fiber.join(reads))], ["value"])
      yield* waitUntil(Effect.map(sim.connections("b"), (count) => count === 1))
      yield* waitUntil(Effect.map(client.redis.status, ({ slots }) => slots[0]!.endpoint === address(sim, "b")))
    }))

  for (const [fate, handshake] of [["hangs", "HangBeforeHello"], ["answers late", "Answer"]] as const) {
    it.live(`closes, and a new connection to it is made while the attempt ${fate}: that one moves too`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a", "b"])
        const client = yield* connect(sim, "a", {
          poolSize: 1,
          connectTimeout: "100 millis",
          maintenance: { ...maintenance, handoffTimeout: "600 millis", maxHandoffRetries: 0 }
        })
        yield* sim.handshake(
          "b",
          handshake === "Answer" ? { _tag: handshake, delay: "500 millis" } : { _tag: handshake }
        )
        yield* sim.push("a", ["MOVING", 1, 30, address(sim, "b")])
        yield* waitUntil(Effect.map(sim.accepted("b"), (count) => count === 1))
        yield* sim.kill("a")
        yield* waitUntil(Effect.map(sim.accepted("a"), (count) => count === 2))
        yield* sim.handshake("b", { _tag: "Answer" })
        const onTarget = Effect.map(
          client.redis.status,
          ({ slots }) => slots[0]!.state === "Serving" && slots[0]!.endpoint === address(sim, "b")
        )
        yield* waitUntil(onTarget)
        const outcomes = () => tags(client).filter((tag) => tag !== "Queued" && tag !== "Retried")
        yield* waitUntil(Effect.sync(() => outcomes().length % 2 === 0))
        outcomes().forEach((tag, i) => assert.strictEqual(tag === "Started", i % 2 === 0, outcomes().join()))
        assert.isTrue(yield* onTarget)
      }))
  }

  it.live("owes replies at the swap: they are delivered by the old connection before it closes", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance
      })
      yield* sim.stall("a", "400 millis")
      const writes = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 50 }), () => client.redis.send("INCR", "owed"), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* handoffsEnded(client, 1)
      assert.strictEqual((yield* client.redis.status).draining, 1)
      const replies = yield* Fiber.join(writes)
      assert.deepStrictEqual(
        replies.toSorted((a, b) => Number(a) - Number(b)),
        Array.from({ length: 50 }, (_, i) => i + 1)
      )
      assert.strictEqual(yield* client.redis.send("GET", "owed"), "50")
      yield* waitUntil(Effect.map(sim.connections("a"), (count) => count === 0))
    }))
})

describe("what does not move anything", () => {
  it.live("a completion that is replayed to a new connection opens and closes no window", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const first = yield* connect(sim, "a", { poolSize: 1, maintenance })
      yield* sim.migrating("a", { time: "1 second" })
      yield* sim.migrated("a")
      yield* waitUntil(Effect.sync(() => first.notifications.length === 2))
      const second = yield* connect(sim, "a", { poolSize: 1, maintenance })
      yield* second.redis.send("PING")
      const status = yield* second.redis.status
      assert.deepStrictEqual(status.windows, [])
      assert.strictEqual(status.health, "ok")
    }))

  it.live("a null target, a malformed frame and an unknown push leave the connection serving", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance })
      yield* sim.push("a", ["MOVING", "what", 1, "nowhere"])
      yield* sim.push("a", ["MOVING", 3, 1, "not:an:address"])
      yield* sim.push("a", ["SOMETHING_NEW", 3])
      yield* sim.moving("a", { target: null, time: "30 seconds" })
      yield* waitUntil(Effect.sync(() => client.notifications.length === 1))
      assert.strictEqual(yield* client.redis.send("PING"), "PONG")
      assert.strictEqual(yield* sim.accepted("a"), 1)
      assert.deepStrictEqual(client.handoffs, [])
    }))

  it.live("mode disabled: nothing is asked for and nothing is heard", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, maintenance: { mode: "disabled" } })
      yield* client.redis.send("PING")
      assert.isFalse((yield* sim.log).some(({ event }) => event._tag === "OptedIn"))
      assert.deepStrictEqual((yield* client.redis.status).endpoints, [])
    }))
})

describe("relaxed timeouts", () => {
  const commandTimeout = "150 millis"

  it.live("carry commands through a stall that was announced, also those in flight", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout, maintenance })
      yield* sim.stall("a", "600 millis")
      const inFlight = yield* Effect.forkScoped(client.redis.send("PING"), { startImmediately: true })
      yield* sim.migrating("a", { time: "5 seconds" })
      yield* waitUntil(Effect.sync(() => client.notifications.length === 1))
      assert.strictEqual((yield* client.redis.status).health, "maintenance")
      assert.deepStrictEqual([yield* client.redis.send("PING"), yield* Fiber.join(inFlight)], ["PONG", "PONG"])
    }))

  it.live("end with the completion: then a stall fails commands by their own deadline, and says so", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout, maintenance })
      yield* sim.failingOver("a", { time: "30 seconds" })
      yield* sim.failedOver("a")
      yield* waitUntil(Effect.sync(() => client.notifications.length === 2))
      yield* sim.stall("a", "1 second")
      const error = yield* Effect.flip(client.redis.send("PING"))
      assert.strictEqual(error.reason._tag, "CommandTimeout")
      assert.isTrue(error.mayHaveExecuted)
    }))

  it.live("hold for a while on the connection that a handoff made", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", { poolSize: 1, commandTimeout, maintenance })
      yield* sim.moving("a", { target: "b", time: "1 second" })
      yield* handoffsEnded(client, 1)
      yield* sim.stall("b", "500 millis")
      assert.strictEqual(yield* client.redis.send("PING"), "PONG")
    }))
})

describe("the queue and its workers", () => {
  it.live("waits for room when it is full, says so, and loses no handoff", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 6,
        maintenance: { ...maintenance, handoffQueueSize: 1 }
      })
      yield* openSlots(sim, "a", client, 6)
      yield* sim.handshake("b", { _tag: "Answer", delay: "50 millis" })
      const traffic = yield* load(client.redis)
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* handoffsEnded(client, 6)
      yield* nothingWrong(traffic)
      assert.strictEqual(tags(client).filter((tag) => tag === "Completed").length, 6)
      assert.isTrue(client.handoffs.some((event) => event._tag === "Queued" && event.waited))
    }))

  it.live("gives a slot that waited for a worker past the announced time a whole attempt", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 6,
        maintenance: { ...maintenance, handoffTimeout: "1 second", maxHandoffRetries: 0 }
      })
      yield* openSlots(sim, "a", client, 6)
      // Two workers are held by the first two slots until the announced time is over.
      yield* sim.handshake("b", { _tag: "HangBeforeHello" })
      yield* sim.push("a", ["MOVING", 1, 0, address(sim, "b")])
      yield* waitUntil(Effect.map(sim.accepted("b"), (count) => count === 2))
      yield* sim.handshake("b", { _tag: "Answer" })
      yield* handoffsEnded(client, 6)
      assert.strictEqual(tags(client).filter((tag) => tag === "Failed").length, 2)
      assert.strictEqual(tags(client).filter((tag) => tag === "Completed").length, 4)
    }))

  it.effect("spreads the waits of all retries over half of the time there is", () =>
    Effect.gen(function*() {
      for (const [retries, seconds] of [[1, 15], [3, 15], [10, 30]] as const) {
        const waits: Array<number> = []
        const step = yield* Schedule.toStep(Handoff.retrySchedule(retries, Duration.seconds(seconds)))
        for (let now = 0;;) {
          const exit = yield* Effect.exit(step(now, undefined))
          if (exit._tag === "Failure") break
          const wait = Duration.toMillis(exit.value[1])
          waits.push(wait)
          now += wait
        }
        assert.strictEqual(waits.length, retries)
        const sum = waits.reduce((a, b) => a + b, 0)
        // Jitter is 0.8 to 1.2 times.
        assert.isAtMost(sum, seconds * 1000 / 2 * 1.2)
        assert.isAtLeast(sum, seconds * 1000 / 4 * 0.8)
      }
    }))
})

describe("closing", () => {
  for (
    const handshake of [
      { _tag: "HangBeforeHello" },
      { _tag: "HangAfterHello" }
    ] satisfies ReadonlyArray<SimulatedRedis.Handshake>
  ) {
    it.live(`in the middle of a handoff leaves nothing open (${handshake._tag})`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a", "b"])
        const client = yield* connect(sim, "a", {
          poolSize: 2,
          maintenance: { ...maintenance, handoffTimeout: "1 hour" }
        })
        yield* openSlots(sim, "a", client, 2)
        yield* sim.handshake("b", handshake)
        yield* sim.moving("a", { target: "b", time: "30 seconds" })
        yield* waitUntil(Effect.map(sim.connections("b"), (count) => count > 0))
        yield* client.close
        yield* waitUntil(
          Effect.map(
            Effect.all([sim.connections("a"), sim.connections("b")]),
            ([a, b]) => a === 0 && b === 0
          )
        )
        const error = yield* Effect.flip(client.redis.send("PING"))
        assert.strictEqual(error.reason._tag, "Closed")
      }))
  }

  it.live("while an old connection drains delivers what it owes", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b"])
      const client = yield* connect(sim, "a", {
        poolSize: 1,
        maintenance
      })
      yield* sim.stall("a", "300 millis")
      const owed = yield* Effect.forkScoped(client.redis.send("PING"), { startImmediately: true })
      yield* sim.moving("a", { target: "b", time: "5 seconds" })
      yield* handoffsEnded(client, 1)
      yield* client.close
      assert.strictEqual(yield* Fiber.join(owed), "PONG")
      yield* waitUntil(Effect.map(sim.connections("a"), (count) => count === 0))
    }))
})
