/**
 * What a user is told who configured the wrong thing, or reached the wrong place: each against the real situation.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Net from "node:net"
import { networkInterfaces } from "node:os"
import { connectTo, host } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { peer, webServer } from "./support/peers.ts"
import { rawServer } from "./support/rawServer.ts"
import { freePort, startRedis, startSentinel } from "./support/redisServer.ts"
import { expectTold, secret, told } from "./support/told.ts"

describe("a password", () => {
  it.live("that is missing was not configured", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", secret] })
      yield* expectTold({ port }, "AuthenticationFailed", "asks for a password and none is configured", "NOAUTH")
      yield* expectTold({ port, protocol: 2 }, "AuthenticationFailed", "none is configured", "NOAUTH")
    }))

  it.live("that is wrong was the configured one", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", "another"] })
      const credentials = { password: Redacted.make(secret) }
      for (const protocol of [2, 3] as const) {
        yield* expectTold(
          { port, credentials, protocol },
          "AuthenticationFailed",
          "refuses the configured credentials",
          "WRONGPASS"
        )
      }
    }))

  it.live("where the server has none says so, as far as the server does", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      yield* expectTold(
        { port, credentials: { password: Redacted.make(secret) }, protocol: 2 },
        "AuthenticationFailed",
        "a password is configured and the server has none"
      )
    }))

  it.live("of a user who may not connect is about the user", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--user", "ann", "on", `>${secret}`, "-@all", "+auth", "+hello"] })
      yield* expectTold(
        { port, credentials: { username: "ann", password: Redacted.make(secret) }, database: 1 },
        "AuthenticationFailed",
        "the configured user may not do",
        "NOPERM"
      )
    }))

  it.live("that does not come from its effect is what the time went to", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      yield* expectTold(
        { port, credentials: Effect.never, connectTimeout: "1 second" },
        "TimedOut",
        "the credentials effect has not come to its end"
      )
    }))
})

describe("a peer that is no Redis", () => {
  it.live("shows its first bytes, and is asked about", () =>
    Effect.gen(function*() {
      const web = yield* webServer
      yield* expectTold(
        { port: web },
        "ProtocolViolation",
        String.raw`it began with "HTTP/1.1 400 Bad Request\r\n`,
        "which is HTTP; is that Redis?"
      )
      const greetings = [
        ["SSH-2.0-OpenSSH_9.6\r\n", "which is SSH"],
        ["220 mail.example ESMTP Postfix\r\n", "which is SMTP or FTP"],
        ["J\0\0\0\n8.0.36\0\b\0\0\0", "which is MySQL"],
        ["INFO {\"server_id\":\"NB\"}\r\n", "which is NATS"],
        ["ERROR\r\n", "which is memcached"],
        ["AMQP\0\0\x09\x01", "which is AMQP"],
        ["hello\x1b[31m\xff\"", String.raw`it began with "hello\x1b[31m\xff\""; is that Redis?`]
      ] as const
      for (const [greeting, words] of greetings) {
        const port = yield* peer((socket) => socket.write(Buffer.from(greeting, "latin1")))
        yield* expectTold({ port }, "ProtocolViolation", words, "is that Redis?")
      }
    }))

  it.live("and says a lot is shown with its beginning alone", () =>
    Effect.gen(function*() {
      const port = yield* peer((socket) => socket.write("x".repeat(100_000)))
      const { message } = yield* told({ port })
      assert.include(message, `it began with "${"x".repeat(64)}…"`)
    }))

  it.live("and repeats the password is shown without it", () =>
    Effect.gen(function*() {
      for (const quote of [(text: string) => text, encodeURIComponent, (text: string) => JSON.stringify(text)]) {
        const port = yield* peer((socket) => {
          socket.once("data", () => socket.end(`what is ${quote(secret)}?`))
        })
        yield* expectTold(
          { port, credentials: { password: Redacted.make(secret) } },
          "ProtocolViolation",
          /began with "what is (\\")?\*\*\*/
        )
      }
    }))

  it.live("closes at once, and may want TLS", () =>
    Effect.gen(function*() {
      for (const close of [(socket: Net.Socket) => socket.end(), (socket: Net.Socket) => socket.resetAndDestroy()]) {
        const port = yield* peer(close)
        yield* expectTold({ port }, "Dropped", "without a word: is that Redis?", "rediss://")
      }
    }))

  it.live("accepts and is silent", () =>
    Effect.gen(function*() {
      const port = yield* peer(() => {})
      yield* expectTold(
        { port, connectTimeout: "1 second" },
        "TimedOut",
        "accepted the connection and said nothing: is that Redis?"
      )
    }))

  it.live("is told from one that begins to answer and stops", () =>
    Effect.gen(function*() {
      const { port } = yield* rawServer(([command]) => command === "HELLO" ? "%1\r\n$5\r\nproto\r\n:3\r\n" : undefined)
      yield* expectTold({ port, connectTimeout: "1 second" }, "TimedOut", "did not come to the end of the handshake")
    }))
})

describe("an address", () => {
  it.live("that does not exist, that nobody listens at, and a file that is none say so", () =>
    Effect.gen(function*() {
      yield* expectTold(
        { host: "no-such-host.invalid" },
        "Unresolvable",
        "no-such-host.invalid:6379",
        "could not be resolved"
      )
      yield* expectTold({ port: yield* freePort }, "Refused", "nothing listens at that address")
      yield* expectTold(
        { url: "unix:///nowhere/redis.sock", host: undefined },
        "Unreachable",
        "unix:/nowhere/redis.sock",
        "the socket file does not exist"
      )
    }))
})

describe("a server", () => {
  it.live("that refuses notifications which are required names auto", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      yield* expectTold(
        { port, maintenance: { mode: "enabled" } },
        "MaintenanceRefused",
        "maintenance.mode \"enabled\"",
        "unknown subcommand 'MAINT_NOTIFICATIONS'",
        "mode \"auto\" connects all the same"
      )
    }))

  it.live("without that database names the option", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      yield* expectTold({ port, database: 16 }, "Rejected", "DB index is out of range", "the option database")
    }))

  it.live("with as many clients as it takes says so", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const redis = yield* connectTo({ host, port, poolSize: 1 })
      yield* redis.send("CONFIG", "SET", "maxclients", 1)
      yield* expectTold({ port }, "Rejected", "max number of clients reached", "lower poolSize")
    }))

  it.live("in protected mode says what to do, in less than its own page", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--bind", "0.0.0.0", "--protected-mode", "yes"] })
      const outside = Object.values(networkInterfaces()).flat().find((at) => at?.family === "IPv4" && !at.internal)
      // It speaks up only to clients from elsewhere, as far as there are such addresses.
      const at = outside === undefined
        ? {
          port: (yield* rawServer((_, { socket }) => {
            socket.end(`-DENIED Redis is running in protected mode because ${"and so on ".repeat(100)}\r\n`)
            return undefined
          })).port
        }
        : { host: outside.address, port }
      const { message, what } = yield* told(at)
      assert.strictEqual(what, "Rejected", message)
      assert.match(message, /DENIED .*running in protected mode .*….*requirepass/i)
      assert.isBelow(message.length, 500)
    }))

  it.live("that is a Sentinel is called one where it does not know a command", () =>
    Effect.gen(function*() {
      const port = yield* startSentinel
      yield* expectTold({ port, database: 1 }, "Rejected", "it is a Sentinel", "SENTINEL get-master-addr-by-name")
      const redis = yield* connectTo({ host, port })
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      const error = yield* Effect.flip(redis.send("GET", "key"))
      assert.include(error.message, "GET was answered with an error")
      assert.include(error.message, "it is a Sentinel")
    }))

  it.live("that is a node of a cluster is called one", () =>
    Effect.gen(function*() {
      const [a, b] = [
        yield* startRedis({ args: ["--cluster-enabled", "yes"] }),
        yield* startRedis({ args: ["--cluster-enabled", "yes"] })
      ]
      yield* expectTold(
        { port: a.port, database: 1 },
        "Rejected",
        "SELECT is not allowed in cluster mode",
        "no database but 0"
      )
      const [redis, other] = [yield* connectTo({ host, port: a.port }), yield* connectTo({ host, port: b.port })]
      yield* redis.send("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
      yield* other.send("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
      yield* redis.send("CLUSTER", "MEET", "127.0.0.1", b.port)
      yield* waitUntil(
        Effect.map(redis.send<string>("CLUSTER", "INFO"), (info) => info.includes("cluster_state:ok"))
      )
      // Its slot is 12182.
      const error = yield* Effect.flip(redis.send("GET", "foo"))
      assert.strictEqual(error.reason._tag, "ServerReplied")
      assert.match(error.message, /MOVED 12182 127\.0\.0\.1:\d+ \(the key is on another node of a Redis Cluster/)
    }), 30_000)
})
