/**
 * What goes wrong under a connection: code that throws while replies are read or commands are written, servers that go
 * silent while they still send bytes, and sessions that a server loses.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { type Config, HitlessError, HitlessRedis, Transport } from "hitless"
import { NodeTransport } from "hitless/node"
import * as Net from "node:net"
import { connect as connectOne, type Connection, type Owner } from "../src/Connection.ts"
import { monotonicMillis } from "../src/internal/elapsed.ts"
import { Greetings } from "../src/internal/handshake.ts"
import type { RequestOwner, Words } from "../src/internal/request.ts"
import * as Resp from "../src/Resp.ts"
import { Timeouts } from "../src/Timeouts.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { answerRequest, command } from "./support/requests.ts"

const host = "127.0.0.1"

/** What fails on purpose is not logged. */
const maintenance = { logLevel: "Error" } as const

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

const now = { startImmediately: true } as const

const connectTo = (port: number, client: Config.Options = {}) =>
  HitlessRedis.make({ host, port, poolSize: 1, maintenance, ...client })

const connect = (port: number, client: Config.Options = {}) =>
  Effect.provide(connectTo(port, client), NodeTransport.layer)

const answer = (words: ReadonlyArray<string>) => answerHandshake(words) ?? "+PONG\r\n"

const failure = <A, R>(effect: Effect.Effect<A, HitlessError.HitlessError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

const boom = (): never => {
  throw new Error("secret")
}

/** The transport of Node, with sockets as `change` makes them. */
const withSockets = (change: (socket: Socket.Socket) => Socket.Socket) =>
  Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (transport) => ({
      ...transport,
      open: (endpoint, options) => Effect.map(transport.open(endpoint, options), change)
    }))
  ).pipe(Layer.provide(NodeTransport.layer))

/** A connection of the test's own, whose owner does as it says and notes why it closed. */
const single = Effect.fnUntraced(function*(port: number, behaviour: Partial<Owner> = {}) {
  const closes: Array<HitlessError.HitlessErrorReason> = []
  const owner: Owner = {
    mayProve: false,
    restored: [],
    takesBytes: false,
    mayRead: undefined,
    onPush: () => {},
    onLess: () => {},
    onUnowed: () => false,
    onSilent: () => {},
    onClosed: (_, cause, orphans) => {
      closes.push(cause)
      for (const request of orphans) request.fail(new HitlessError.HitlessError({ reason: cause }))
    },
    ...behaviour
  }
  const connection: Connection = yield* connectOne({
    endpoint: { _tag: "Tcp", host, port },
    tls: undefined,
    family: 0,
    credentials: Effect.undefined,
    clientName: undefined,
    database: 0,
    restored: [],
    ask: () => Effect.undefined,
    required: false,
    greetings: new Greetings("auto"),
    timeout: Duration.seconds(5),
    commandTimeout: 5000,
    timeouts: new Timeouts(undefined, () => {}),
    owner
  }).pipe(Effect.provide(NodeTransport.layer))
  const requestOwner: RequestOwner = {
    onReplied: (request, value, site) => answerRequest(request, value, site),
    onFailed: () => {},
    onThrown: boom,
    onSettled: undefined
  }
  const clock = yield* Clock.Clock
  const send = (words: Words, more: Partial<RequestOwner> = {}, timeout = Infinity) =>
    Effect.callback<unknown, HitlessError.HitlessError>((resume) => {
      const owner = { ...requestOwner, ...more }
      connection.send(command(owner, words, monotonicMillis(clock), resume, timeout))
    })
  return { connection, closes, send }
})

describe("the reader", () => {
  const faults: Readonly<Record<string, Effect.Effect<never>>> = {
    "dies": Effect.die(new Error("secret")),
    "throws": Effect.suspend(boom),
    "fails against its type": Effect.fail("secret") as unknown as Effect.Effect<never>,
    "fails with no error at all": Effect.fail(undefined) as unknown as Effect.Effect<never>,
    "interrupts itself": Effect.interrupt,
    "gives what are no bytes": Effect.succeed([null]) as unknown as Effect.Effect<never>,
    "gives nothing": Effect.undefined as unknown as Effect.Effect<never>
  }
  for (const [what, fault] of Object.entries(faults)) {
    it.live(`of a socket that ${what} closes its connection, and the slot finds another`, () =>
      Effect.gen(function*() {
        let broken = false
        const server = yield* rawServer((words, { id, socket }) => {
          if (words[0] !== "INCR") return answerHandshake(words) ?? `:${id}\r\n`
          broken = true
          socket.write("+anything\r\n")
          return undefined
        })
        const redis = yield* connectTo(server.port).pipe(
          Effect.provide(withSockets((socket) => ({
            ...socket,
            reader: Effect.map(socket.reader, (reader) => ({
              ...reader,
              pull: Effect.flatMap(reader.pull, (chunks) => {
                if (!broken) return Effect.succeed(chunks)
                broken = false
                return fault
              })
            }))
          })))
        )
        const reason = yield* failure(redis.send("INCR", "key"))
        assert.strictEqual(reason._tag, "ConnectionLost")
        assert.isTrue(reason.mayHaveExecuted)
        assert.notInclude(reason.message, "secret")
        assert.strictEqual(yield* redis.send("GET", "key"), 2)
        yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      }))

    it.live(`of a socket that ${what} in the handshake fails the dial`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(() => "+anything\r\n")
        const reason = yield* failure(
          connectTo(server.port).pipe(
            Effect.provide(withSockets((socket) => ({
              ...socket,
              reader: Effect.map(socket.reader, (reader) => ({ ...reader, pull: Effect.andThen(reader.pull, fault) }))
            }))),
            Effect.catchTag("HitlessConfigError", Effect.die)
          )
        )
        assert.strictEqual(reason._tag, "ConnectFailed")
        assert.notInclude(reason.message, "secret")
        yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      }))
  }

  const pushed = ">2\r\n+any\r\n+push\r\n"
  for (
    const [what, bytes, behaviour, more] of [
      ["hears a push", `${pushed}:1\r\n`, { onPush: boom }, {}],
      ["hears a reply that nobody asked for", ":1\r\n:2\r\n:3\r\n", { onUnowed: boom }, {}],
      ["judges an error reply", "-ERR refused\r\n", {}, { onReplied: boom }]
    ] as ReadonlyArray<readonly [string, string, Partial<Owner>, Partial<RequestOwner>]>
  ) {
    it.live(`closes its connection when its owner throws as it ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer((words) => answerHandshake(words) ?? (words[0] === "PING" ? bytes : undefined))
        const { closes, connection, send } = yield* single(server.port, behaviour)
        const asked = yield* Effect.forkScoped(Effect.exit(send(["PING"], more)), now)
        const behind = yield* Effect.forkScoped(Effect.exit(send(["GET", "key"])), now)
        yield* connection.closed
        assert.deepStrictEqual(closes.map(({ _tag }) => _tag), ["ConnectionLost"])
        assert.include(closes[0]!.message, "died with Error")
        assert.notInclude(closes[0]!.message, "secret")
        // Whatever they were told.
        yield* Fiber.join(asked)
        yield* Fiber.join(behind)
        yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      }))
  }
})

describe("code that is told of a command's end and throws", () => {
  /** Runs an effect as a program does that is no fiber itself, and throws when it is told of the end. */
  const runThrowing = <A, E>(effect: Effect.Effect<A, E>, ended: Array<Exit.Exit<A, E>>) =>
    Effect.sync(() => {
      Effect.runCallback(effect, {
        onExit: (exit) => {
          ended.push(exit)
          boom()
        }
      })
    })

  it.live("takes no answer from the commands behind it, nor their connection", () =>
    Effect.gen(function*() {
      const held: Array<string> = []
      const server = yield* rawServer((words, { socket }) => {
        if (words[0] !== "ECHO" || words[1].startsWith("hitless-")) return answerHandshake(words)
        // All answers in one chunk.
        held.push(`+${words[1]}\r\n`)
        if (held.length === 3) socket.write(held.join(""))
        return undefined
      })
      const redis = yield* connect(server.port).pipe(quiet)
      const ended: Array<Exit.Exit<unknown, unknown>> = []
      yield* runThrowing(redis.send("ECHO", "1"), ended)
      const second = yield* Effect.forkScoped(redis.send("ECHO", "2"), now)
      yield* runThrowing(redis.send("ECHO", "3"), ended)
      assert.strictEqual(yield* Fiber.join(second), "2")
      yield* waitUntil(Effect.sync(() => ended.length === 2))
      assert.deepStrictEqual(ended, [Exit.succeed("1"), Exit.succeed("3")])
      assert.strictEqual(server.closed.length, 0)
    }))

  it.live("keeps the end of a connection from no other command", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((words, { id, socket }) => {
        if (id === 1 && words[1] === "last") socket.destroy()
        return id === 1 ? answerHandshake(words) : answer(words)
      })
      const redis = yield* connect(server.port).pipe(quiet)
      const ended: Array<Exit.Exit<unknown, unknown>> = []
      yield* runThrowing(redis.send("INCR", "first"), ended)
      const second = yield* Effect.forkScoped(failure(redis.send("INCR", "second")), now)
      yield* runThrowing(redis.pipeline([["INCR", "third"]]), ended)
      const read = yield* Effect.forkScoped(redis.send("GET", "last"), now)
      assert.strictEqual((yield* Fiber.join(second))._tag, "ConnectionLost")
      assert.strictEqual(yield* Fiber.join(read), "PONG")
      assert.strictEqual(ended.length, 2)
    }))

  it.live("keeps no deadline from the commands behind it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(answerHandshake)
      const redis = yield* connect(server.port, { commandTimeout: "50 millis" }).pipe(quiet)
      const ended: Array<Exit.Exit<unknown, unknown>> = []
      yield* runThrowing(redis.send("GET", "first"), ended)
      const second = yield* Effect.forkScoped(failure(redis.send("GET", "second")), now)
      assert.strictEqual((yield* Fiber.join(second))._tag, "CommandTimeout")
      assert.strictEqual(ended.length, 1)
    }))
})

// ----- what cannot be written -----

const large = () => new Uint8Array(4096).fill(97)

const detach = (bytes: Uint8Array<ArrayBuffer>): void => {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
}

describe("an argument whose memory is gone when it is written", () => {
  const isRefused = (reason: HitlessError.HitlessErrorReason) => {
    assert.strictEqual(reason._tag, "CommandRefused")
    assert.isFalse(reason.mayHaveExecuted)
    assert.include(reason.message, "TypeError")
    assert.notInclude(reason.message, "key")
  }

  type Redis = HitlessRedis.HitlessRedis["Service"]
  const forms: Readonly<
    Record<string, (redis: Redis, bytes: Uint8Array) => Effect.Effect<unknown, HitlessError.HitlessError>>
  > = {
    "a command": (redis, bytes) => redis.send("SET", "key", bytes),
    "a command for bytes": (redis, bytes) => redis.sendBytes("SET", "key", bytes),
    "a pipeline": (redis, bytes) => redis.pipeline([["SET", "key", "1"], ["SET", "key", bytes]]),
    "a transaction": (redis, bytes) => redis.transaction([["SET", "key", "1"], ["SET", "key", bytes]])
  }
  for (const [what, form] of Object.entries(forms)) {
    it.live(`fails ${what}, which did not run, and neither the commands around it nor their connection`, () =>
      Effect.gen(function*() {
        const { port } = yield* startRedis()
        const redis = yield* connect(port)
        const before = yield* Effect.forkScoped(redis.send("ECHO", "before".repeat(1000)), now)
        const bytes = large()
        const broken = yield* Effect.forkScoped(failure(form(redis, bytes)), now)
        const after = yield* Effect.forkScoped(redis.send("ECHO", "after"), now)
        detach(bytes)
        isRefused(yield* Fiber.join(broken))
        assert.strictEqual(yield* Fiber.join(before), "before".repeat(1000))
        assert.strictEqual(yield* Fiber.join(after), "after")
        assert.strictEqual(yield* redis.send("GET", "key"), null)
        assert.match(yield* redis.send<string>("INFO", "stats"), /total_connections_received:[12]\r/)
        assert.strictEqual((yield* redis.status).pending, 0)
      }))
  }

  it.live("fails the command when its memory has shrunk, too", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const redis = yield* connect(port)
      const buffer = new ArrayBuffer(4096, { maxByteLength: 8192 })
      const broken = yield* Effect.forkScoped(failure(redis.send("SET", "key", new Uint8Array(buffer))), now)
      buffer.resize(8)
      isRefused(yield* Fiber.join(broken))
      assert.strictEqual(yield* redis.send("GET", "key"), null)
    }))

  it.live("has a transaction discarded that was begun", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const bytes = large()
      const server = yield* rawServer((words) => {
        const handshake = answerHandshake(words)
        if (handshake !== undefined) return handshake
        told.push(words[0]!)
        if (words[0] === "MULTI") detach(bytes)
        return words[0] === "GET" ? "+value\r\n" : "+OK\r\n"
      })
      const redis = yield* connect(server.port)
      const broken = yield* Effect.forkScoped(
        failure(redis.transaction([["SET", "key", "1"], ["SET", "key", bytes]])),
        now
      )
      const behind = yield* Effect.forkScoped(redis.send("GET", "key"), now)
      isRefused(yield* Fiber.join(broken))
      assert.strictEqual(yield* Fiber.join(behind), "value")
      assert.deepStrictEqual(told, ["MULTI", "DISCARD", "GET"])
      assert.strictEqual((yield* redis.status).pending, 0)
    }))

  it.live("fails the command of a reserved connection, which goes on", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const owner = yield* connect(port)
      const bytes = large()
      const { closes, send } = yield* single(port)
      const broken = yield* Effect.forkScoped(failure(send(["SET", "key", bytes])), now)
      detach(bytes)
      isRefused(yield* Fiber.join(broken))
      assert.strictEqual(yield* send(["GET", "key"]), null)
      assert.strictEqual(yield* owner.send("GET", "key"), null)
      assert.deepStrictEqual(closes, [])
    }))

  it.live("closes the connection where nobody waits for the command", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(answer)
      const { closes, connection } = yield* single(server.port)
      const bytes = large()
      detach(bytes)
      connection.sendUnanswered(["SUBSCRIBE", bytes])
      yield* connection.closed
      assert.include(closes[0]!.message, "TypeError")
    }))

  it.live("fails the dial where it is of the handshake", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(answer)
      const username = large()
      detach(username)
      const credentials = { username, password: Redacted.make("secret") } as unknown as Config.Credentials
      const reason = yield* failure(
        Effect.catchTag(connect(server.port, { credentials }), "HitlessConfigError", Effect.die)
      )
      assert.strictEqual(reason._tag, "ConnectFailed")
      assert.include(reason.message, "TypeError")
      yield* waitUntil(Effect.sync(() => server.closed.length === 1))
    }))
})

describe("an encoder that is rolled back", () => {
  const words: ReadonlyArray<Words> = [
    ["SET", "key", "short"],
    ["SET", "key", "x".repeat(900)],
    ["SET", "key", "é".repeat(1000)],
    ["SET", "key", "x".repeat(5000)],
    ["SET", "key", large()],
    ["SET", ...Array.from({ length: 300 }, () => "argument")]
  ]
  const bytesOf = (encoder: Resp.Encoder) =>
    Buffer.concat(encoder.take().map((chunk) => typeof chunk === "string" ? Buffer.from(chunk) : chunk)).toString()

  it("has what was written before, and goes on behind it", () => {
    const gone = large()
    detach(gone)
    for (const before of words) {
      for (const broken of words) {
        for (const after of words) {
          const encoder = new Resp.Encoder()
          const expected = new Resp.Encoder()
          encoder.write(before)
          encoder.mark()
          assert.throws(() => encoder.write([...broken, gone]))
          encoder.rollBack()
          encoder.write(after)
          expected.write(before)
          expected.write(after)
          assert.strictEqual(encoder.pendingBytes, expected.pendingBytes)
          assert.strictEqual(bytesOf(encoder), bytesOf(expected))
        }
      }
    }
  })
})

describe("the writer", () => {
  const faults: Readonly<Record<string, () => unknown>> = {
    "throws": boom,
    "gives nothing": () => undefined,
    "dies": () => Effect.die(new Error("secret")),
    "fails against its type": () => Effect.fail("secret"),
    "interrupts itself": () => Effect.interrupt
  }
  for (const [what, fault] of Object.entries(faults)) {
    it.live(`of a socket that ${what} closes its connection, and the slot finds another`, () =>
      Effect.gen(function*() {
        let broken = false
        const server = yield* rawServer(answer)
        const redis = yield* connectTo(server.port).pipe(
          Effect.provide(withSockets((socket) => ({
            ...socket,
            writer: Effect.map(socket.writer, (writer) => ({
              ...writer,
              writeAll: (chunks) => {
                if (!broken) return writer.writeAll(chunks)
                broken = false
                return fault() as Effect.Effect<void>
              }
            }))
          })))
        )
        broken = true
        const reason = yield* failure(redis.send("INCR", "key"))
        assert.strictEqual(reason._tag, "ConnectionLost")
        assert.notInclude(reason.message, "secret")
        assert.strictEqual(yield* redis.send("GET", "key"), "PONG")
        yield* waitUntil(Effect.sync(() => server.closed.length === 1))
      }))
  }
})

describe("credentials from an effect", () => {
  const shapes: ReadonlyArray<readonly [what: string, given: unknown, rule: string]> = [
    ["no password", { username: "secret" }, "password must be redacted text"],
    ["a password that is undefined", { password: undefined }, "password must be redacted text"],
    ["a password that is not redacted", { password: "secret" }, "password must be redacted text"],
    ["a redacted password that is undefined", { password: Redacted.make(undefined) }, "password must be redacted text"],
    ["a redacted password that is a number", { password: Redacted.make(7) }, "password must be redacted text"],
    ["a username that is no text", { username: 7, password: Redacted.make("secret") }, "username must be"],
    ["an empty username", { username: "", password: Redacted.make("secret") }, "username must be"],
    ["text", "secret", "must be { username?, password }"],
    ["null", null, "must be { username?, password }"],
    ["a redacted password alone", Redacted.make("secret"), "password must be redacted text"]
  ]
  for (const [what, given, rule] of shapes) {
    it.live(`that are ${what} fail the dial with the rule, and are asked for again`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(answer)
        let current: unknown = given
        let asked = 0
        const credentials = Effect.suspend(() => {
          asked++
          return Effect.succeed(current as Config.Credentials)
        })
        const reason = yield* failure(
          Effect.catchTag(connect(server.port, { credentials }), "HitlessConfigError", Effect.die)
        )
        assert.strictEqual(reason._tag, "ConnectFailed")
        assert.include(reason.message, rule)
        assert.notInclude(reason.message, "secret")
        current = { password: Redacted.make("secret") }
        const redis = yield* connect(server.port, { credentials })
        current = given
        asked = 0
        server.connections.at(-1)!.socket.destroy()
        yield* waitUntil(Effect.sync(() => asked >= 2))
        current = undefined
        assert.strictEqual(yield* redis.send("PING"), "PONG")
      }))
  }
})

// ----- silence -----

/** Waits in real time for what real sockets bring; deadlines are met in simulated time. */
const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) => TestClock.withLive(waitUntil(condition))

const within = (timeout: Duration.Input) => Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, now)

describe("a connection that owes a reply and gives none", () => {
  const commandTimeout = "1 second"

  /** A server whose first connection answers nothing but the handshake until `release`; each names itself. */
  const silentServer = Effect.gen(function*() {
    const owed: Array<() => void> = []
    const told: Array<string> = []
    const server = yield* rawServer((words, connection) => {
      const handshake = answerHandshake(words)
      const { id, socket } = connection
      const reply = handshake ?? `:${id}\r\n`
      if (handshake === undefined) told.push(`${id} ${words.join(" ")}`)
      // An ECHO behind commands is answered behind them.
      if (id > 1 || (handshake !== undefined && owed.length === 0)) return reply
      owed.push(() => socket.write(reply))
      return undefined
    })
    const release = Effect.sync(() => {
      for (const reply of owed.splice(0)) reply()
    })
    return { server, told, release }
  })

  const noises: Readonly<Record<string, readonly [first: string, then: string]>> = {
    "nothing at all": ["", ""],
    "pushes": ["", ">2\r\n+any\r\n+push\r\n"],
    "a string that has no end": ["$100000000\r\n", "x"],
    "a streamed string": ["$?\r\n", ";1\r\nx\r\n"],
    "an array, element by element": ["*1000000\r\n", ":1\r\n"],
    "what goes before a reply": ["", "|1\r\n+key\r\n+value\r\n"],
    "a reply that is skipped": ["*400000000\r\n", ":1\r\n"]
  }
  for (const [what, [first, then]] of Object.entries(noises)) {
    it.effect(`but ${what} is left after the time in force: the next command is served`, () =>
      Effect.gen(function*() {
        const { server } = yield* silentServer
        const redis = yield* connect(server.port, { commandTimeout })
        const { socket } = server.connections[0]!
        socket.write(first)
        yield* start(TestClock.withLive(
          Effect.repeat(Effect.sync(() => socket.write(then)), Schedule.spaced("2 millis"))
        ))
        // Whoever tries again at once does so in the moment in which the first is given up.
        const tried = yield* start(Effect.catch(redis.send("GET", "key"), () => redis.send("GET", "key")))
        yield* TestClock.adjust("500 millis")
        const other = yield* start(failure(redis.send("INCR", "key")))
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* Fiber.join(tried), 2)
        assert.strictEqual((yield* redis.status).health, "ok")
        yield* TestClock.adjust("1 second")
        const reason = yield* Fiber.join(other)
        assert.strictEqual(reason._tag, "CommandTimeout")
        assert.isTrue(reason.mayHaveExecuted)
        yield* eventually(Effect.sync(() => server.closed.includes(1)))
        assert.strictEqual((yield* redis.status).draining, 0)
      }))
  }

  it.effect("has as long once more to deliver what it owes", () =>
    Effect.gen(function*() {
      const { release, server } = yield* silentServer
      const redis = yield* connect(server.port, { commandTimeout })
      const slow = yield* start(failure(redis.send("EVAL", "script", 0)))
      const behind = yield* start(within("10 seconds")(redis.send("INCR", "key")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(slow))._tag, "CommandTimeout")
      assert.strictEqual(yield* redis.send("GET", "key"), 2)
      assert.strictEqual((yield* redis.status).draining, 1)
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(behind.pollUnsafe())
      yield* release
      assert.strictEqual(yield* Fiber.join(behind), 1)
      yield* eventually(Effect.sync(() => server.closed.includes(1)))
    }))

  it.effect("is closed then: what only reads is sent again, the rest may have run", () =>
    Effect.gen(function*() {
      const { server } = yield* silentServer
      const redis = yield* connect(server.port, { commandTimeout })
      yield* start(Effect.exit(redis.send("EVAL", "script", 0)))
      const write = yield* start(failure(within("10 seconds")(redis.send("INCR", "key"))))
      const read = yield* start(within("10 seconds")(redis.send("GET", "key")))
      yield* TestClock.adjust("1 second")
      yield* eventually(Effect.map(redis.status, ({ health }) => health === "ok"))
      yield* TestClock.adjust("1 second")
      const reason = yield* Fiber.join(write)
      assert.strictEqual(reason._tag, "ConnectionLost")
      assert.isTrue(reason.mayHaveExecuted)
      assert.include(reason.message, "the server has gone silent")
      assert.strictEqual(yield* Fiber.join(read), 2)
    }))

  it.effect("gives back what it has not written", () =>
    Effect.gen(function*() {
      const { server, told } = yield* silentServer
      const redis = yield* connect(server.port, { commandTimeout })
      yield* start(Effect.exit(redis.transaction([["INCR", "key"]])))
      const behind = yield* start(within("10 seconds")(redis.send("INCR", "key")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(behind), 2)
      assert.deepStrictEqual(told, ["1 MULTI", "2 INCR key"])
    }))

  it.effect("is a slot that reconnects, and the log says why", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const held: Array<() => void> = []
      // `HELLO`, twice `CLIENT SETINFO`, the question for notifications and `ECHO`.
      const handshake = 5
      const server = yield* rawServer((words, { id, socket }) => {
        if (id === 2 && held.length < handshake) {
          held.push(() => socket.write(answerHandshake(words)!))
          return undefined
        }
        return answerHandshake(words) ?? (id === 1 ? undefined : "+PONG\r\n")
      })
      const redis = yield* connect(server.port, { commandTimeout, maintenance: {} }).pipe(
        Effect.provide(Logger.layer([Logger.make(({ fiber, message }) => {
          lines.push(`${message} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`)
        })]))
      )
      yield* start(Effect.exit(redis.send("PING")))
      yield* TestClock.adjust("1 second")
      yield* eventually(Effect.sync(() => held.length === handshake))
      const { health, slots } = yield* redis.status
      assert.deepStrictEqual([health, slots[0]!.state], ["down", "Reconnecting"])
      assert.isTrue(lines.some((line) => line.includes("a connection was lost") && line.includes("gone silent")))
      for (const answer of held) answer()
      yield* eventually(Effect.map(redis.status, ({ health }) => health === "ok"))
    }))

  it.effect("is patient in a window, and with a command that may wait for ever", () =>
    Effect.gen(function*() {
      const { release, server } = yield* silentServer
      const redis = yield* connect(server.port, {
        commandTimeout,
        maintenance: { ...maintenance, relaxedTimeout: "10 seconds" }
      })
      const windows = Effect.map(redis.status, ({ windows }) => windows.length)
      const { socket } = server.connections[0]!
      socket.write(">4\r\n+MIGRATING\r\n:1\r\n:60\r\n+[]\r\n")
      yield* eventually(Effect.map(windows, (count) => count === 1))
      const relaxed = yield* start(redis.send("GET", "key"))
      yield* TestClock.adjust("9 seconds")
      yield* release
      assert.strictEqual(yield* Fiber.join(relaxed), 1)
      const patient = yield* start(within("Infinity")(redis.send("GET", "key")))
      const behind = yield* start(failure(redis.send("GET", "key")))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(behind))._tag, "CommandTimeout")
      // The next command goes another way, and the one that may wait still has its reply.
      assert.strictEqual(yield* redis.send("GET", "key"), 2)
      assert.strictEqual(server.connections.length, 2)
      yield* TestClock.adjust("10 hours")
      yield* release
      assert.strictEqual(yield* Fiber.join(patient), 1)
    }))

  it.effect("is closed after twice the time where nothing takes its place, pushes or not", () =>
    Effect.gen(function*() {
      const { server } = yield* silentServer
      const heard: Array<unknown> = []
      const { closes, connection, send } = yield* single(server.port, { onPush: () => heard.push("push") })
      const push = (count: number) =>
        Effect.andThen(
          Effect.sync(() => server.connections[0]!.socket.write(">2\r\n+any\r\n+push\r\n")),
          eventually(Effect.sync(() => heard.length === count))
        )
      const lost = yield* start(failure(send(["GET", "key"], {}, 10_000)))
      yield* TestClock.adjust("9 seconds")
      yield* push(1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(lost))._tag, "CommandTimeout")
      yield* TestClock.adjust("9 seconds")
      yield* push(2)
      assert.strictEqual(connection.state, "Ready")
      yield* TestClock.adjust("1 second")
      yield* connection.closed
      assert.include(closes[0]!.message, "the server has gone silent")
    }))
})

// ----- lost sessions -----

describe("a server that loses the session of a living connection", () => {
  /** A proxy that keeps its clients when it opens its connections to the server anew. */
  const proxy = Effect.fnUntraced(function*(port: number) {
    const clients = new Map<Net.Socket, Net.Socket>()
    let accepted = 0
    const open = (client: Net.Socket) => {
      const upstream = Net.connect(port, host)
      upstream.on("error", () => {})
      upstream.on("data", (chunk) => client.write(chunk))
      upstream.on("close", () => {
        if (clients.get(client) === upstream) client.destroy()
      })
      clients.set(client, upstream)
    }
    const server = Net.createServer((client) => {
      accepted++
      client.on("error", () => {})
      client.on("data", (chunk) => clients.get(client)!.write(chunk))
      client.on("close", () => clients.get(client)!.destroy())
      open(client)
    })
    yield* Effect.callback<void>((resume) => {
      server.listen(0, host, () => resume(Effect.void))
    })
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const client of clients.keys()) client.destroy()
      })
    )
    return {
      port: (server.address() as Net.AddressInfo).port,
      accepted: () => accepted,
      reopen: Effect.sync(() => {
        for (const [client, upstream] of clients) {
          open(client)
          upstream.destroy()
        }
      })
    }
  })

  const password = (text: string) => ({ password: Redacted.make(text) })

  it.live("is greeted again: every command has its answer, once, in its database and in RESP3", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", "s3cret"] })
      const between = yield* proxy(port)
      const redis = yield* connect(between.port, { credentials: password("s3cret"), database: 3 })
      yield* redis.send("HSET", "map", "field", "value")
      for (let round = 1; round <= 5; round++) {
        yield* between.reopen
        const [counter, map, bytes, pipeline, transaction] = yield* Effect.all([
          redis.send("INCR", "counter"),
          redis.send("HGETALL", "map"),
          redis.sendBytes("HGET", "map", "field"),
          redis.pipeline([["INCR", "pipelined"], ["HGET", "map", "field"]]),
          redis.transaction([["INCR", "transacted"], ["HGET", "map", "field"]])
        ], { concurrency: "unbounded" })
        assert.strictEqual(counter, round)
        assert.deepStrictEqual({ ...map as object }, { field: "value" })
        assert.strictEqual(Buffer.from(bytes as Uint8Array).toString(), "value")
        assert.deepStrictEqual(pipeline, [Result.succeed(round), Result.succeed("value")])
        assert.deepStrictEqual(transaction, [Result.succeed(round), Result.succeed("value")])
      }
      const { protocol, slots } = yield* redis.status
      assert.deepStrictEqual([protocol, slots[0]!.state], [3, "Serving"])
      assert.isAtMost(between.accepted(), 6)
    }))

  it.live("and refuses the credentials is AuthenticationFailed, until the right ones are given", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", "s3cret"] })
      const between = yield* proxy(port)
      let current = password("s3cret")
      const redis = yield* connect(between.port, { credentials: Effect.suspend(() => Effect.succeed(current)) })
      const admin = yield* connect(port, { credentials: password("s3cret") })
      yield* admin.send("CONFIG", "SET", "requirepass", "r0tated")
      yield* between.reopen
      const reason = yield* failure(within("1 minute")(redis.send("INCR", "counter")))
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.isFalse(reason.mayHaveExecuted)
      assert.strictEqual((yield* redis.status).health, "down")
      current = password("r0tated")
      yield* waitUntil(Effect.map(redis.status, ({ health }) => health !== "down"))
      assert.strictEqual(yield* redis.send("INCR", "counter"), 1)
    }))

  const signs = [
    "NOAUTH Authentication required.",
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> " +
    "option can be used to authenticate the client and select the RESP protocol version at the same time",
    "NOPROTO unsupported protocol version",
    "NOPROTO sorry, this protocol version is not supported",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "ERR Authentication required",
    "ERR Protocol error: HELLO must be called first"
  ]
  const others = [
    "NOPERM this user has no permissions to run the 'get' command",
    "ERR unknown command 'GET', with args beginning with: 'key' ",
    "ERR no such key",
    "ERR token: Authentication required",
    "NOAUTH the upstream was lost"
  ]
  const forms: Readonly<
    Record<string, (redis: HitlessRedis.HitlessRedis["Service"]) => Effect.Effect<unknown, unknown>>
  > = {
    "a command": (redis) => redis.send("INCR", "key"),
    "a pipeline": (redis) => redis.pipeline([["INCR", "key"], ["INCR", "key"]]),
    "a transaction": (redis) => redis.transaction([["INCR", "key"]])
  }

  /** The first connection answers everything with an error, the others as Redis does. */
  const forgetful = (error: string) =>
    rawServer((words, { id }) => {
      const handshake = answerHandshake(words)
      if (handshake !== undefined) return handshake
      if (id === 1) return `-${error}\r\n`
      return words[0] === "MULTI" ? "+OK\r\n" : words[0] === "EXEC" ? "*1\r\n:1\r\n" : ":1\r\n"
    })

  for (const sign of signs) {
    for (const [what, form] of Object.entries(forms)) {
      it.live(`with the words "${sign.slice(0, 40)}" has ${what} sent again on a fresh connection`, () =>
        Effect.gen(function*() {
          const server = yield* forgetful(sign)
          const redis = yield* connect(server.port)
          yield* form(redis)
          assert.strictEqual(server.connections.length, 2)
          yield* waitUntil(Effect.sync(() => server.closed.length === 1))
          assert.strictEqual((yield* redis.status).draining, 0)
        }))
    }
  }

  for (const other of others) {
    it.live(`is not one that says "${other}"`, () =>
      Effect.gen(function*() {
        const server = yield* forgetful(other)
        const redis = yield* connect(server.port)
        const reason = yield* failure(redis.send("GET", "key"))
        assert.strictEqual(reason._tag, "ServerReplied")
        assert.strictEqual((yield* failure(redis.send("GET", "key")))._tag, "ServerReplied")
        assert.strictEqual(server.connections.length, 1)
      }))
  }

  const alwaysForgetful = rawServer((words) => answerHandshake(words) ?? "-NOAUTH Authentication required.\r\n")

  it.live("each time is not stormed with dials", () =>
    Effect.gen(function*() {
      const server = yield* alwaysForgetful
      const redis = yield* connect(server.port, { commandTimeout: "500 millis", poolSize: 3 })
      yield* Effect.forEach(
        Array.from({ length: 30 }),
        () => Effect.andThen(Effect.flip(redis.send("GET", "key")), Effect.flip(redis.send("INCR", "key"))),
        { concurrency: "unbounded" }
      )
      // The commands were sent many hundred times.
      assert.isAtMost(server.connections.length, 12)
    }))

  it.live("each time is quoted in the end, and has run nothing", () =>
    Effect.gen(function*() {
      const redis = yield* connect((yield* alwaysForgetful).port, { commandTimeout: "100 millis" })
      // On a busy machine the last try may be one that has no answer in time.
      const reason = yield* Effect.repeat(failure(redis.send("INCR", "key")), {
        until: ({ _tag }) => _tag === "ServerReplied"
      })
      assert.strictEqual(reason._tag === "ServerReplied" && reason.code, "NOAUTH")
      assert.isFalse(reason.mayHaveExecuted)
      assert.isFalse(reason.isRetryable)
    }))
})
