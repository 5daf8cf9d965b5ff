/**
 * Connections to a real redis-server: the handshake, credentials, TLS, state, dials that fail, RESP2.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import { HitlessRedis, Transport } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import {
  clientList,
  connect,
  connectTo,
  grow,
  host,
  info,
  open,
  peer,
  printed,
  reasonOf,
  refusal,
  serving
} from "./support/client.ts"
import { deploy, waitUntil } from "./support/deployment.ts"
import { freePort, startRedis } from "./support/redisServer.ts"
import { makeCertificates } from "./support/tls.ts"

// ----- maintenance that is not offered -----

describe("a server without maintenance notifications", () => {
  it.live("is served silently in auto, over one connection", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const lines: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => lines.push(message))])
      const redis = yield* Layer.build(NodeHitlessRedis.layer({ host, port: server.port })).pipe(
        Effect.map(Context.get(HitlessRedis.HitlessRedis)),
        Effect.provideService(References.MinimumLogLevel, "Trace"),
        Effect.provide(logger)
      )
      const words = Array.from({ length: 200 }, (_, index) => `word ${index}`)
      const replies = yield* Effect.forEach(words, (word) => redis.send("ECHO", word), { concurrency: "unbounded" })
      assert.deepStrictEqual(replies, words)
      assert.deepStrictEqual(lines, [])
      // One is the probe that waited for the server to start.
      assert.strictEqual(yield* info(redis, "stats", "total_connections_received"), "2")
      const status = yield* redis.status
      assert.strictEqual(status.health, "ok")
      assert.strictEqual(status.mode, "auto")
      assert.strictEqual(status.protocol, 3)
      assert.deepStrictEqual(status.endpoints, [{
        endpoint: `127.0.0.1:${server.port}`,
        support: "refused",
        words: "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."
      }])
    }))

  it.live("fails the connection in enabled, with the server's words", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const error = yield* refusal({ host, port: server.port, maintenance: { mode: "enabled" } })
      const reason = reasonOf(error, "MaintenanceRefused")
      assert.include(reason.detail, "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.")
      assert.strictEqual(reason.endpoint, `127.0.0.1:${server.port}`)
      assert.isFalse(error.isRetryable)
      const observer = yield* connect(server, { clientName: "observer" })
      yield* waitUntil(Effect.map(clientList(observer), (clients) => clients.length === 1))
    }))

  it.live("is not asked in disabled", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { maintenance: { mode: "disabled" } })
      assert.deepStrictEqual((yield* redis.status).endpoints, [])
      const stats = yield* redis.send<string>("INFO", "commandstats")
      assert.notInclude(stats.toLowerCase(), "maint")
    }))
})

// ----- credentials -----

const password = (text: string) => ({ password: Redacted.make(text) })

describe("credentials", () => {
  const protectedServer = startRedis({
    args: ["--requirepass", "s3cret", "--user", "app", "on", ">appS3cret", "~app:*", "+@all"]
  })

  it.live("log in as the default user with a password, from an option or the URL", () =>
    Effect.gen(function*() {
      const server = yield* protectedServer
      const byOption = yield* connect(server, { credentials: password("s3cret") })
      assert.strictEqual(yield* byOption.send("ACL", "WHOAMI"), "default")
      const byUrl = yield* connectTo({ url: Redacted.make(`redis://:s3cret@127.0.0.1:${server.port}`) })
      assert.strictEqual(yield* byUrl.send("ACL", "WHOAMI"), "default")
    }))

  it.live("log in as an ACL user, with what that user may do", () =>
    Effect.gen(function*() {
      const server = yield* protectedServer
      const redis = yield* connect(server, { credentials: { username: "app", ...password("appS3cret") } })
      assert.strictEqual(yield* redis.send("ACL", "WHOAMI"), "app")
      assert.strictEqual(yield* redis.send("SET", "app:key", 1), "OK")
      const error = yield* Effect.flip(redis.send("SET", "key", 1))
      assert.strictEqual(reasonOf(error, "ServerReplied").code, "NOPERM")
    }))

  it.live("that are wrong or missing fail the connection, and are not shown", () =>
    Effect.gen(function*() {
      const server = yield* protectedServer
      const wrong = yield* refusal({ host, port: server.port, credentials: password("wr0ng") })
      assert.strictEqual(
        reasonOf(wrong, "AuthenticationFailed").detail,
        "the server refuses the configured credentials: WRONGPASS invalid username-password pair or user is disabled."
      )
      assert.notInclude(printed(wrong), "wr0ng")
      const missing = yield* refusal({ host, port: server.port })
      assert.include(reasonOf(missing, "AuthenticationFailed").detail, "NOAUTH")
      for (const error of [wrong, missing]) {
        assert.strictEqual(error.reason.endpoint, `127.0.0.1:${server.port}`)
        assert.isFalse(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
      }
    }))

  it.live("are asked for again for every connection, so that they can rotate", () =>
    Effect.gen(function*() {
      const server = yield* protectedServer
      const observer = yield* connect(server, { credentials: password("s3cret") })
      let current = "s3cret"
      let asked = 0
      const credentials = Effect.sync(() => {
        asked++
        return password(current)
      })
      const redis = yield* connect(server, { credentials })
      assert.strictEqual(asked, 1)
      current = "r0tated"
      yield* observer.send("CONFIG", "SET", "requirepass", current)
      yield* observer.send("CLIENT", "KILL", "TYPE", "normal")
      yield* waitUntil(Effect.map(serving(redis), (count) => asked === 2 && count === 1))
      assert.strictEqual(yield* redis.send("ACL", "WHOAMI"), "default")
    }))
})

// ----- TLS -----

const startTls = (auth: "yes" | "no") =>
  Effect.gen(function*() {
    const certificates = yield* makeCertificates
    const port = yield* freePort
    const { ca, server } = certificates
    // dprint-ignore
    const args = [
      "--port", "0", "--tls-port", String(port), "--tls-auth-clients", auth, "--tls-ca-cert-file", ca.certFile,
      "--tls-cert-file", server.certFile, "--tls-key-file", server.keyFile
    ]
    yield* startRedis({ args })
    return { certificates, port }
  })

describe("TLS", () => {
  it.live("is verified against the authority that is given", () =>
    Effect.gen(function*() {
      const { certificates, port } = yield* startTls("no")
      const ca = certificates.ca.cert
      const byAddress = yield* connectTo({ host, port, tls: { ca } })
      assert.strictEqual(yield* byAddress.send("PING"), "PONG")
      const byName = yield* connectTo({ url: `rediss://127.0.0.1:${port}`, tls: { ca, servername: "localhost" } })
      assert.strictEqual(yield* byName.send("PING"), "PONG")
      const unverified = yield* connectTo({ host, port, tls: { rejectUnauthorized: false } })
      assert.strictEqual(yield* unverified.send("PING"), "PONG")
    }))

  it.live("is not trusted without the authority, nor under another name", () =>
    Effect.gen(function*() {
      const { certificates, port } = yield* startTls("no")
      const unknown = reasonOf(yield* refusal({ host, port, tls: true }), "ConnectFailed")
      assert.strictEqual(unknown.kind, "Untrusted")
      assert.match(
        unknown.detail,
        /^the TLS handshake was not accepted \((SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_)/
      )
      const tls = { ca: certificates.ca.cert, servername: "redis.example.com" }
      const misnamed = reasonOf(yield* refusal({ host, port, tls }), "ConnectFailed")
      assert.strictEqual(misnamed.kind, "Untrusted")
      assert.include(misnamed.detail, "ERR_TLS_CERT_ALTNAME_INVALID")
      for (const reason of [unknown, misnamed]) {
        assert.isFalse(reason.isRetryable)
        assert.strictEqual(reason.endpoint, `127.0.0.1:${port}`)
      }
    }))

  it.live("presents the client's certificate where the server asks for one", () =>
    Effect.gen(function*() {
      const { certificates, port } = yield* startTls("yes")
      const { ca, client } = certificates
      const redis = yield* connectTo({
        host,
        port,
        tls: { ca: ca.cert, cert: client.cert, key: Redacted.make(client.key) }
      })
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      const without = reasonOf(yield* refusal({ host, port, tls: { ca: ca.cert } }), "ConnectFailed")
      assert.strictEqual(without.kind, "Untrusted")
    }))

  it.live("spoken to a server without it, or the reverse, fails the dial", () =>
    Effect.gen(function*() {
      const plain = yield* peer((socket) => socket.once("data", () => socket.write("-ERR unknown command\r\n")))
      const tlsToPlain = reasonOf(yield* refusal({ host, port: plain.port, tls: true }), "ConnectFailed")
      assert.strictEqual(tlsToPlain.kind, "Untrusted")
      const { port } = yield* startTls("no")
      const plainToTls = reasonOf(yield* refusal({ host, port }), "ConnectFailed")
      assert.strictEqual(plainToTls.kind, "Dropped")
    }))
})

// ----- the state of connections -----

describe("every connection", () => {
  it.live("has the database and the name that are configured, a new one after a loss too", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { database: 7, clientName: "orders-api", poolSize: 3 })
      yield* grow(server, redis, 3)
      const ours = Effect.map(clientList(observer), (clients) => clients.filter(({ name }) => name === "orders-api"))
      const before = yield* ours
      assert.deepStrictEqual(before.map(({ db, resp }) => [db, resp]), [["7", "3"], ["7", "3"], ["7", "3"]])
      for (const client of before) {
        // Servers from 7.2 on list the library.
        assert.include([undefined, "hitless"], client["lib-name"])
        yield* observer.send("CLIENT", "KILL", "ID", client.id!)
      }
      yield* waitUntil(Effect.map(ours, (clients) =>
        clients.length === 3 &&
        clients.every(({ db, id }) => db === "7" && before.every((client) => client.id !== id))))
      yield* redis.send("SET", "key", "in 7")
      assert.strictEqual(yield* observer.send("GET", "key"), null)
    }))

  it.live("can be a Unix socket, from an option or the URL", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const byPath = yield* connectTo({ path: server.socketPath, database: 2 })
      yield* byPath.send("SET", "key", "value")
      const byUrl = yield* connectTo({ url: `unix://${server.socketPath}?db=2` })
      assert.strictEqual(yield* byUrl.send("GET", "key"), "value")
      assert.strictEqual((yield* byUrl.status).endpoints[0]?.endpoint, `unix:${server.socketPath}`)
      const reason = reasonOf(yield* refusal({ path: `${server.socketPath}.none` }), "ConnectFailed")
      assert.strictEqual(reason.kind, "Unreachable")
      assert.strictEqual(reason.detail, "the socket file does not exist (ENOENT)")
    }))
})

// ----- dials that fail -----

describe("a dial", () => {
  it.live("to a port where nothing listens is refused", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const error = yield* refusal({ host, port })
      const reason = reasonOf(error, "ConnectFailed")
      assert.strictEqual(reason.kind, "Refused")
      assert.strictEqual(
        error.message,
        `Could not connect to 127.0.0.1:${port}: connection refused, nothing listens at that address (ECONNREFUSED)`
      )
      assert.isTrue(error.isRetryable)
    }))

  it.live("to a name that has no address is unresolvable", () =>
    Effect.gen(function*() {
      const error = yield* refusal({ host: "no-such-host.invalid" })
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "Unresolvable")
      assert.match(
        error.message,
        /^Could not connect to no-such-host\.invalid:6379: the host name could not be resolved \((ENOTFOUND|EAI_AGAIN)\)$/
      )
    }))

  it.live("to a peer that accepts and never answers times out, and leaves no connection behind", () =>
    Effect.gen(function*() {
      const { port, sockets } = yield* peer(() => {})
      const error = yield* refusal({ host, port, connectTimeout: "50 millis" })
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "TimedOut")
      assert.strictEqual(
        error.message,
        `Could not connect to 127.0.0.1:${port}: dial and handshake took longer than 50ms; ` +
          "the peer accepted the connection and said nothing: is that Redis? If it is, it does not get to work"
      )
      yield* waitUntil(Effect.sync(() => sockets.size === 0))
    }))

  it.live("to a peer that hangs up was dropped", () =>
    Effect.gen(function*() {
      const { port } = yield* peer((socket) => socket.end())
      const error = yield* refusal({ host, port })
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "Dropped")
    }))

  it.live("to a peer that hangs up while the credentials are fetched does not wait for its time limit", () =>
    Effect.gen(function*() {
      const { port, sockets } = yield* peer((socket) => socket.end())
      const closed = waitUntil(Effect.sync(() => sockets.size === 0))
      const credentials = Effect.andThen(closed, Effect.succeed(password("s3cret")))
      const error = yield* refusal({ host, port, connectTimeout: "1 day", credentials })
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "Dropped")
    }))

  it.live("has one time limit, also where names are resolved or credentials fetched without an end", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const transport = yield* Effect.provide(Transport.Transport, NodeTransport.layer)
      const options = { host, port: server.port, connectTimeout: "50 millis" } as const
      const unresolved = yield* Effect.flip(HitlessRedis.make(options)).pipe(
        Effect.provideService(Transport.Transport, {
          ...transport,
          open: (endpoint, { onPeer: _, ...options }) => transport.open(endpoint, options),
          resolve: () => Effect.never
        })
      )
      const reason = reasonOf(unresolved._tag === "HitlessError" ? unresolved : assert.fail(), "ConnectFailed")
      assert.strictEqual(reason.kind, "TimedOut")
      const error = yield* refusal({ ...options, credentials: Effect.never })
      assert.strictEqual(reasonOf(error, "ConnectFailed").kind, "TimedOut")
    }))

  it.live("to a peer that does not speak RESP is a protocol violation", () =>
    Effect.gen(function*() {
      const { port, sockets } = yield* peer((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"))
      const error = yield* refusal({ host, port })
      assert.isFalse(reasonOf(error, "ProtocolViolation").isRetryable)
      yield* waitUntil(Effect.sync(() => sockets.size === 0))
    }))

  it.live("for a database that does not exist is rejected", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const reason = reasonOf(yield* refusal({ host, port: server.port, database: 99 }), "ConnectFailed")
      assert.strictEqual(reason.kind, "Rejected")
      assert.include(reason.detail, "ERR DB index is out of range")
    }))
})

// ----- RESP2 -----

describe("a server without RESP3", () => {
  const args = ["--rename-command", "HELLO", "", "--requirepass", "s3cret"]

  it.live("is served in RESP2, with password, database and name", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args })
      const redis = yield* connect(server, { credentials: password("s3cret"), database: 3, clientName: "old" })
      const status = yield* redis.status
      assert.strictEqual(status.protocol, 2)
      assert.strictEqual(status.endpoints[0]?.support, "refused")
      assert.notInclude(printed(status), "s3cret")
      const [client] = yield* clientList(redis)
      assert.deepStrictEqual([client?.name, client?.db, client?.resp], ["old", "3", "2"])
      assert.strictEqual(yield* redis.send("GET", "none"), null)
      assert.strictEqual(yield* redis.send("BLPOP", "none", "0.01"), null)
      const results = yield* redis.transaction([["SET", "key", "value"], ["GET", "key"]])
      assert.deepStrictEqual(results, [Result.succeed("OK"), Result.succeed("value")])
    }))

  it.live("refuses wrong credentials by name, and shows none", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args })
      const wrong = yield* refusal({ host, port: server.port, credentials: password("wr0ng") })
      assert.include(reasonOf(wrong, "AuthenticationFailed").detail, "WRONGPASS")
      assert.notInclude(printed(wrong), "wr0ng")
      const missing = yield* refusal({ host, port: server.port })
      assert.include(reasonOf(missing, "AuthenticationFailed").detail, "NOAUTH")
    }))

  it.live("fails the connection in enabled", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args })
      const error = yield* refusal({
        host,
        port: server.port,
        credentials: password("s3cret"),
        maintenance: { mode: "enabled" }
      })
      assert.include(reasonOf(error, "MaintenanceRefused").detail, "ERR unknown command 'HELLO'")
      assert.notInclude(printed(error), "s3cret")
    }))

  it.live("is recognised by NOPROTO too", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"], { hello: "resp2" })
      const endpoint = sim.endpoint("a")
      const port = endpoint._tag === "Tcp" ? endpoint.port : assert.fail()
      const redis = yield* connectTo({ host, port })
      assert.strictEqual((yield* redis.status).protocol, 2)
      assert.strictEqual(yield* redis.send("SET", "key", "value"), "OK")
      const error = yield* refusal({ host, port, maintenance: { mode: "enabled" } })
      assert.include(reasonOf(error, "MaintenanceRefused").detail, "NOPROTO")
    }))

  it.live("delivers messages to subscribers", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args })
      const services = yield* open({ host, port: server.port, credentials: password("s3cret") })
      const redis = Context.get(services, Redis.Redis)
      const messages = yield* redis.subscribe("channel")
      assert.strictEqual(yield* redis.send("PUBLISH", "channel", "hello"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "channel", message: "hello" })
    }))
})
