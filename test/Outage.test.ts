/**
 * A client whose server is down: when it starts, and while it lives; what waits, what fails at once, and how it comes back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Config, HitlessError, HitlessRedis } from "hitless"
import { MaintenanceClock } from "hitless/testing"
import { type Client, connectTo, host, kill, open, reasonOf, start, within } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { freePort, startRedis } from "./support/redisServer.ts"
import { advance, begin, rehearse, send, status } from "./support/rehearsal.ts"

const becomes = (redis: Client, health: HitlessRedis.Health) =>
  waitUntil(Effect.map(redis.status, (status) => status.health === health))

/** What fails at once fails however long a command may take. */
const patient = within("1 hour")

/** Each way in which something is sent, under the name of the command that it becomes. */
const ways = (redis: Client): ReadonlyArray<readonly [string, Effect.Effect<unknown, HitlessError.HitlessError>]> => [
  ["send", redis.send("INCR", "n")],
  ["sendBytes", redis.sendBytes("GET", "n")],
  ["pipeline", redis.pipeline([["INCR", "n"]])],
  ["transaction", redis.transaction([["INCR", "n"]])],
  ["watched transaction", redis.transaction({ watch: ["n"] }, () => Effect.succeed([["INCR", "n"]]))],
  ["blocking", redis.send("BLPOP", "jobs", 0)],
  ["reserve", Effect.scoped(redis.reserve)],
  ["subscribe", Stream.runDrain(redis.subscribe("news"))],
  ["subscription", Effect.scoped(redis.subscription({ patterns: ["news.*"] }))]
]

/** It fails, by the reason of the dial that failed: nothing ran, and it may be sent again. */
const refused = <A, R>(effect: Effect.Effect<A, HitlessError.HitlessError, R>) =>
  Effect.map(Effect.flip(patient(effect)), (error) => {
    const reason = reasonOf(error, "ConnectFailed")
    assert.deepStrictEqual([error.mayHaveExecuted, error.isRetryable], [false, true])
    return reason
  })

describe("a client that starts lazily", () => {
  it.live("is made while its server is down, and serves when there is one", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const redis = yield* connectTo({ host, port, startup: "lazy" })
      assert.strictEqual((yield* redis.status).health, "down")
      const waiting = yield* start(redis.send("SET", "key", "value"))
      yield* waitUntil(Effect.map(redis.status, ({ pending }) => pending === 1))
      yield* startRedis({ port })
      assert.strictEqual(yield* Fiber.join(waiting), "OK")
      assert.strictEqual((yield* redis.status).health, "ok")
    }))

  it.live("fails what waits with what dialling failed with", () =>
    Effect.gen(function*() {
      const redis = yield* connectTo({ host, port: yield* freePort, startup: "lazy" })
      const error = yield* Effect.flip(within("200 millis")(redis.send("GET", "key")))
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "Refused")
      assert.isFalse(error.mayHaveExecuted)
    }))

  it.live("is made where the server turns it away, says so to who sends, and serves when its credentials are right", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args: ["--requirepass", "right"] })
      const state = { password: "wrong" }
      const credentials = Effect.sync(() => ({ password: Redacted.make(state.password) }))
      const redis = yield* connectTo({ host, port: server.port, credentials, startup: "lazy" })
      assert.strictEqual((yield* Effect.flip(redis.send("PING"))).reason._tag, "AuthenticationFailed")
      state.password = "right"
      yield* becomes(redis, "ok")
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))

  it.live("whose server is there sends the first command on the first connection, also where nothing is to wait", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connectTo({ host, port: server.port, startup: "lazy", whenDown: "fail" })
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.lengthOf((yield* redis.send<string>("CLIENT", "LIST")).trim().split("\n"), 1)
    }))

  it.live("closes while it is still dialling", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connectTo({ host, port: yield* freePort, startup: "lazy" }), scope)
      const waiting = yield* start(Effect.flip(patient(redis.send("PING"))))
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "Closed")
    }))

  const late = { host: "late.test", startup: "lazy" } as const

  it.effect("dials on with growing pauses, and serves within the longest one", () =>
    Effect.gen(function*() {
      yield* advance("1 hour")
      assert.strictEqual((yield* status).health, "down")
      yield* begin({ step: "dns", at: 0, name: "late.test", target: "a" })
      yield* advance("2400 millis")
      assert.strictEqual((yield* status).health, "ok")
      const redis = yield* HitlessRedis.HitlessRedis
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }).pipe(rehearse(late)))

  it.effect("is a client as any other from then on: it reconnects and is handed off", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "dns", at: 0, name: "late.test", target: "a" },
        { step: "kill", at: "5 seconds", node: "a" },
        { step: "moving", at: "10 seconds", node: "a", target: "b", time: "5 seconds" }
      )
      yield* advance("1 minute")
      assert.strictEqual((yield* status).lastHandoff?._tag, "Completed")
      assert.strictEqual((yield* status).health, "ok")
    }).pipe(rehearse(late)))
})

describe("a client whose commands are not to wait", () => {
  const failing = { whenDown: "fail" } as const

  it.live("fails everything at once while its server is down, and serves everything when it is back", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connectTo({ host, port: server.port, ...failing })
      const reserved = yield* redis.reserve
      yield* reserved.send("PING")
      yield* kill(server)
      yield* becomes(redis, "down")
      for (const [way, effect] of ways(redis)) {
        const { endpoint, message } = yield* refused(effect)
        assert.strictEqual(endpoint, `${host}:${server.port}`, way)
        assert.include(message, "Could not connect", way)
      }
      yield* refused(reserved.send("PING"))

      yield* startRedis({ port: server.port })
      yield* becomes(redis, "ok")
      assert.strictEqual(yield* redis.send("INCR", "n"), 1)
      assert.strictEqual(yield* Effect.scoped(Effect.flatMap(redis.reserve, (own) => own.send("INCR", "n"))), 2)
      assert.deepStrictEqual(yield* redis.send("BLPOP", "none", 0.01), null)
      yield* Effect.asVoid(Effect.scoped(redis.subscription({ channels: ["news"] })))
    }))

  it.live("is told why by the last dial: there is nothing, or a server that turns it away", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connectTo({ host, port: server.port, ...failing })
      yield* kill(server)
      yield* becomes(redis, "down")
      yield* waitUntil(
        Effect.map(
          Effect.flip(redis.send("PING")),
          ({ reason }) => reason._tag === "ConnectFailed" && reason.kind === "Refused"
        )
      )
      yield* startRedis({ port: server.port, args: ["--requirepass", "secret"] })
      yield* waitUntil(
        Effect.map(Effect.flip(redis.send("PING")), ({ reason }) => reason._tag === "AuthenticationFailed")
      )
    }))

  it.live("is made lazily without a server, fails what waited for the first dial, and serves when there is one", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const redis = yield* connectTo({ host, port, startup: "lazy", ...failing })
      for (const [way, effect] of ways(redis)) assert.strictEqual((yield* refused(effect)).kind, "Refused", way)
      yield* startRedis({ port })
      yield* becomes(redis, "ok")
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))

  it.live("fails at once through Effect's own Redis too", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const services = yield* open({ host, port: server.port, ...failing })
      const effectRedis = Context.get(services, Redis.Redis)
      yield* kill(server)
      yield* becomes(Context.get(services, HitlessRedis.HitlessRedis), "down")
      const { cause } = yield* Effect.flip(patient(effectRedis.send("PING")))
      assert.instanceOf(cause, HitlessError.HitlessError)
    }))

  /** Nobody answers any more, and no dial is refused either: it hangs. */
  const hang = begin(
    { step: "handshake", at: 0, node: "a", handshake: { _tag: "HangBeforeHello" } },
    { step: "kill", at: 0, node: "a" }
  )

  it.effect("does not wait for a dial that hangs", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* hang
      yield* advance("100 millis")
      const clock = yield* MaintenanceClock.MaintenanceClock
      const before = yield* clock.now
      for (const [, effect] of ways(redis)) yield* refused(effect)
      assert.deepStrictEqual(yield* clock.now, before)
      const { detail } = yield* refused(redis.send("GET", "key"))
      assert.include(detail, "and the next is being dialled")
    }).pipe(rehearse(failing)))

  it.effect("fails what the loss left over, and says of it whether it may have run", () =>
    Effect.gen(function*() {
      yield* begin({ step: "stall", at: 0, node: "a", duration: "1 minute" })
      yield* advance("10 millis")
      const [read, write] = [yield* send("GET", "key"), yield* send("INCR", "n")]
      yield* advance("10 millis")
      yield* hang
      yield* advance("100 millis")
      const [lostRead, lostWrite] = [yield* Effect.flip(Fiber.join(read)), yield* Effect.flip(Fiber.join(write))]
      assert.deepStrictEqual([lostRead.mayHaveExecuted, lostWrite.mayHaveExecuted], [true, true])
    }).pipe(rehearse(failing)))

  it.effect("fails a subscription that was to be confirmed when everything went down", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
      yield* begin({ step: "handshake", at: 0, node: "a", handshake: { _tag: "HangBeforeHello" } })
      yield* advance("10 millis")
      yield* redis.send("CLIENT", "KILL", "TYPE", "pubsub")
      yield* advance("10 millis")
      const waiting = yield* start(refused(redis.subscription({ channels: ["sports"] })))
      yield* advance("10 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* begin({ step: "refuse", at: 0, node: "a" }, { step: "kill", at: 0, node: "a" })
      yield* advance("10 millis")
      assert.isDefined(waiting.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(waiting)).kind, "Dropped")
    }).pipe(Effect.scoped, rehearse(failing)))

  it.effect("goes on with what it had subscribed to", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const heard: Array<string> = []
      const messages = yield* redis.subscription({ channels: ["news"] })
      yield* Effect.forkScoped(Stream.runForEach(messages, (message) =>
        Effect.sync(() =>
          heard.push(message._tag === "Gap" ? message.why : message.message)
        )))
      yield* begin({ step: "refuse", at: 0, node: "a" }, { step: "kill", at: 0, node: "a" }, {
        step: "accept",
        at: "10 seconds",
        node: "a"
      })
      yield* advance("5 seconds")
      yield* refused(redis.send("PUBLISH", "news", "lost"))
      yield* advance("10 seconds")
      yield* redis.send("PUBLISH", "news", "heard")
      yield* advance("1 second")
      assert.deepStrictEqual(heard, ["lost", "heard"])
    }).pipe(Effect.scoped, rehearse(failing)))

  it.effect("is handed off, and fails nothing, where nothing is down", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin({ step: "moving", at: 0, node: "a", target: "b", time: "5 seconds" })
      for (let i = 0; i < 100; i++) {
        yield* redis.send("INCR", "n")
        yield* advance("100 millis")
      }
      assert.strictEqual(yield* redis.send("GET", "n"), "100")
    }).pipe(rehearse(failing)))
})

describe("what waits for a connection of its own when everything goes down", () => {
  for (const [index, what] of ["a reservation", "a command that waits on the server", "a subscription"].entries()) {
    it.live(`fails at once: ${what}`, () =>
      Effect.gen(function*() {
        // The second connection is accepted and never greeted.
        const server = yield* rawServer((words, { id }) => id > 1 ? undefined : answerHandshake(words) ?? "+OK\r\n")
        const redis = yield* connectTo({
          host,
          port: server.port,
          poolSize: 1,
          connectTimeout: "1 hour",
          whenDown: "fail"
        })
        const ways = [
          Effect.scoped(redis.reserve),
          redis.send("BLPOP", "list", 0),
          Effect.scoped(redis.subscription({ channels: ["news"] }))
        ]
        const waiting = yield* start(patient(Effect.flip(Effect.asVoid(ways[index]))))
        yield* waitUntil(Effect.sync(() => server.connections.length === 2))
        server.connections[0].socket.destroy()
        const { mayHaveExecuted, reason } = yield* Fiber.join(waiting)
        assert.deepStrictEqual([reason._tag, mayHaveExecuted], ["ConnectFailed", false])
      }).pipe(Effect.scoped))
  }

  it.effect("fails at once: a command of a reservation that has lost its connection", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const lease = yield* redis.reserve
      const id = yield* lease.send<number>("CLIENT", "ID")
      yield* begin({ step: "handshake", at: 0, node: "a", handshake: { _tag: "HangBeforeHello" } })
      yield* advance("10 millis")
      yield* redis.send("CLIENT", "KILL", "ID", id)
      yield* advance("10 millis")
      const waiting = yield* Effect.forkChild(patient(Effect.flip(lease.send("INCR", "n"))), { startImmediately: true })
      yield* advance("10 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* begin({ step: "kill", at: 0, node: "a" })
      yield* advance("10 millis")
      assert.isDefined(waiting.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(waiting)).mayHaveExecuted, false)
    }).pipe(Effect.scoped, rehearse({ whenDown: "fail" })))
})

describe("a client whose commands are to wait", () => {
  it.live("waits for its server until the deadline, as it does where nothing is said", () =>
    Effect.gen(function*() {
      for (const options of [{}, { whenDown: "wait" }] satisfies ReadonlyArray<Config.Options>) {
        const server = yield* startRedis()
        const redis = yield* connectTo({ host, port: server.port, ...options })
        yield* kill(server)
        yield* becomes(redis, "down")
        const waiting = yield* start(patient(redis.send("PING")))
        yield* waitUntil(Effect.map(redis.status, ({ pending }) => pending === 1))
        yield* startRedis({ port: server.port })
        assert.strictEqual(yield* Fiber.join(waiting), "PONG")
      }
    }))
})
