/**
 * The client against a real redis-server.
 *
 * Tests that stop, kill, count or reconfigure a server start one of their own; the others share one. A server is stalled
 * with `SIGSTOP`: the kernel goes on accepting connections and bytes, nothing is answered, and `SIGCONT` ends it when
 * the test says so.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Config, type HitlessError, HitlessRedis, Transport } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { busyAt } from "../src/Pool.ts"
import { deploy, waitUntil } from "./support/deployment.ts"
import { freePort, type RedisServer, startRedis } from "./support/redisServer.ts"
import { makeCertificates } from "./support/tls.ts"

// ----- support -----

type Client = HitlessRedis.HitlessRedis["Service"]

/** Both services of a client that lives as long as the surrounding scope, without the warnings that tests provoke. */
const open = (options: Config.Options) =>
  Effect.provideService(
    Layer.build(NodeHitlessRedis.layer(options)),
    References.MinimumLogLevel,
    "Error"
  )

const connectTo = (options: Config.Options) => Effect.map(open(options), Context.get(HitlessRedis.HitlessRedis))

const host = "127.0.0.1"

const connect = (server: RedisServer, options: Config.Options = {}) =>
  connectTo({ host, port: server.port, ...options })

/** Why a client cannot be made. */
const refusal = (options: Config.Options) =>
  Effect.flip(connectTo(options)).pipe(
    Effect.map((error) => error._tag === "HitlessError" ? error : assert.fail(error.message))
  )

/** Narrows a reason by its tag. */
const reasonOf = <Tag extends HitlessError.HitlessErrorReason["_tag"]>(
  error: HitlessError.HitlessError,
  tag: Tag
): Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }> => {
  assert.strictEqual(error.reason._tag, tag, error.message)
  return error.reason as Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }>
}

const within = (timeout: Duration.Input) => Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)

/** Runs in the background at once; a command is handed to the socket before the next turn of the event loop. */
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

/** Until then what was sent so far has been written. */
const flushed = Effect.promise(() => Promise.resolve())

const stall = (server: RedisServer) => Effect.sync(() => server.process.kill("SIGSTOP"))

const resume = (server: RedisServer) => Effect.sync(() => server.process.kill("SIGCONT"))

const kill = (server: RedisServer) =>
  Effect.callback<void>((resume) => {
    server.process.once("exit", () => resume(Effect.void))
    server.process.kill("SIGKILL")
  })

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "hitless-data-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** One field of `INFO`. */
const info = (redis: Client, section: string, field: string) =>
  Effect.map(
    redis.send<string>("INFO", section),
    (text) => new RegExp(`^${field}:(.*)\r$`, "m").exec(text)?.[1]
  )

/** `CLIENT LIST`, each line as a record. */
const clientList = (redis: Client) =>
  Effect.map(
    redis.send<string>("CLIENT", "LIST"),
    (text) =>
      text.trim().split("\n").map((line) =>
        Object.fromEntries(
          line.split(" ").map((field) => {
            const at = field.indexOf("=")
            return [field.slice(0, at), field.slice(at + 1)] as const
          })
        )
      )
  )

const serving = (redis: Client) =>
  Effect.map(redis.status, ({ slots }) => slots.filter(({ state }) => state === "Serving").length)

/** Makes the pool grow to `count` connections: each round leaves more commands unanswered than one carries. */
const grow = (server: RedisServer, redis: Client, count: number) =>
  Effect.gen(function*() {
    while ((yield* serving(redis)) < count) {
      yield* stall(server)
      const round = yield* start(
        Effect.forEach(Array.from({ length: 2 * busyAt * count }), () => redis.send("PING"), {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* flushed
      yield* resume(server)
      yield* Fiber.join(round)
    }
  })

const printed = (u: unknown) => [String(u), JSON.stringify(u), inspect(u, { depth: Infinity, showHidden: true })].join()

/** A peer that accepts and does with the connection what the test says. */
const peer = (onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly sockets: ReadonlySet<Net.Socket>; readonly server: Net.Server }>(
      (resume) => {
        const sockets = new Set<Net.Socket>()
        const server = Net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => sockets.delete(socket))
          // An end that is not read is not seen.
          socket.resume()
          onConnection(socket)
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ port, sockets, server }))
        })
      }
    ),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

class Server extends Context.Service<Server, RedisServer>()("test/Server") {
  // DEBUG PROTOCOL answers with any type of RESP3.
  static readonly layer = Layer.effect(Server, startRedis({ args: ["--enable-debug-command", "yes"] }))
}

/** A client of the shared server. */
const shared = Effect.flatMap(Server, (server) => connect(server))

// ----- values -----

layer(Server.layer, { excludeTestServices: true })("values", (it) => {
  it.effect("arrive as strings, numbers, null and arrays", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.strictEqual(yield* redis.send("SET", "values:text", "line\r\nline"), "OK")
      assert.strictEqual(yield* redis.send("GET", "values:text"), "line\r\nline")
      assert.strictEqual(yield* redis.send("GET", "values:none"), null)
      assert.strictEqual(yield* redis.send("STRLEN", "values:text"), 10)
      assert.strictEqual(yield* redis.send("DECR", "values:counter"), -1)
      assert.strictEqual(yield* redis.send("SET", "values:empty", ""), "OK")
      assert.strictEqual(yield* redis.send("GET", "values:empty"), "")
      assert.strictEqual(yield* redis.send("RPUSH", "values:list", 1, 2n, "drei"), 3)
      assert.deepStrictEqual(yield* redis.send("LRANGE", "values:list", 0, -1), ["1", "2", "drei"])
      assert.deepStrictEqual(yield* redis.send("LRANGE", "values:none", 0, -1), [])
      assert.deepStrictEqual(yield* redis.send("MGET", "values:empty", "values:none"), ["", null])
      assert.strictEqual(yield* redis.send("BLPOP", "values:none", "0.01"), null)
    }))

  it.effect("keep text beyond ASCII, as value, key and field", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const text = "é ✓ 漢字 👩🏽‍🚀 \u0000"
      yield* redis.send("HSET", `values:${text}`, text, text.repeat(1000))
      assert.deepEqual(yield* redis.send("HGETALL", `values:${text}`), { [text]: text.repeat(1000) })
    }))

  it.effect("keep bytes, written as Uint8Array and read with sendBytes", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i % 256)
      yield* redis.send("SET", Uint8Array.of(0, 255), bytes)
      assert.deepStrictEqual(yield* redis.sendBytes("GET", Uint8Array.of(0, 255)), bytes)
      assert.deepStrictEqual(yield* redis.sendBytes("SUBSTR", Uint8Array.of(0, 255), 254, 257), bytes.slice(254, 258))
      assert.strictEqual(yield* redis.sendBytes("STRLEN", Uint8Array.of(0, 255)), 1024)
      yield* redis.send("HSET", "values:bytes", "field", bytes)
      assert.deepEqual(yield* redis.sendBytes("HGETALL", "values:bytes"), { field: bytes })
      assert.strictEqual(yield* redis.sendBytes("GET", "values:none"), null)
    }))

  it.effect("of many megabytes arrive whole", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const large = "0123456789abcdef".repeat(512 * 1024)
      yield* redis.send("SET", "values:large", large)
      const [back, bytes, after] = yield* Effect.all([
        redis.send<string>("GET", "values:large"),
        redis.sendBytes<Uint8Array>("GET", "values:large"),
        redis.send("ECHO", "after")
      ], { concurrency: "unbounded" })
      assert.isTrue(back === large)
      assert.isTrue(Buffer.from(large).equals(bytes))
      assert.strictEqual(after, "after")
    }))

  it.effect("beyond 2^53 are bigints, in both directions", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("SET", "values:max", 9223372036854775806n)
      assert.strictEqual(yield* redis.send("INCR", "values:max"), 9223372036854775807n)
      yield* redis.send("SET", "values:min", -9223372036854775807n)
      assert.strictEqual(yield* redis.send("DECR", "values:min"), -9223372036854775808n)
      yield* redis.send("SET", "values:safe", Number.MAX_SAFE_INTEGER - 1)
      assert.strictEqual(yield* redis.send("INCR", "values:safe"), Number.MAX_SAFE_INTEGER)
      assert.strictEqual(yield* redis.send("INCR", "values:safe"), 9007199254740992n)
    }))

  it.effect("that are doubles are numbers, the infinite ones too", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("ZADD", "values:scores", 1.5, "a", "inf", "b", "-inf", "c", 1e300, "d", 0.1, "e")
      const scores = yield* Effect.forEach(["a", "b", "c", "d", "e"], (member) =>
        redis.send("ZSCORE", "values:scores", member))
      assert.deepStrictEqual(scores, [1.5, Infinity, -Infinity, 1e300, 0.1])
      assert.deepStrictEqual(yield* redis.send("ZRANGE", "values:scores", 0, 1, "WITHSCORES"), [["c", -Infinity], [
        "e",
        0.1
      ]])
    }))

  it.effect("that are maps are objects without a prototype", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("HSET", "values:hash", "a", 1, "__proto__", "polluted")
      const hash = yield* redis.send<object>("HGETALL", "values:hash")
      assert.strictEqual(Object.getPrototypeOf(hash), null)
      assert.deepStrictEqual(Object.entries(hash), [["a", "1"], ["__proto__", "polluted"]])
      assert.deepEqual(yield* redis.send("CONFIG", "GET", "appendonly"), { appendonly: "no" })
      assert.deepEqual(yield* redis.send("HGETALL", "values:none"), {})
    }))

  it.effect("that are sets, or nested, are arrays and objects", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("SADD", "values:set", "a", "b")
      assert.sameMembers(yield* redis.send<Array<string>>("SMEMBERS", "values:set"), ["a", "b"])
      const id = yield* redis.send<string>("XADD", "values:stream", "*", "field", "value")
      assert.deepStrictEqual(yield* redis.send("XRANGE", "values:stream", "-", "+"), [[id, ["field", "value"]]])
      assert.deepEqual(yield* redis.send("XREAD", "STREAMS", "values:stream", 0), {
        "values:stream": [[id, ["field", "value"]]]
      })
      const docs = yield* redis.send<
        { readonly set: { readonly arguments: ReadonlyArray<{ readonly name: string }> } }
      >(
        "COMMAND",
        "DOCS",
        "set"
      )
      assert.deepStrictEqual(docs.set.arguments.slice(0, 2).map(({ name }) => name), ["key", "value"])
    }))

  it.effect.each([
    ["string", "Hello World"],
    ["integer", 12345],
    // oxlint-disable-next-line oxc/approx-constant -- it is what the server sends.
    ["double", 3.141],
    ["null", null],
    ["true", true],
    ["false", false],
    ["bignum", 1234567999999999999999999999999999999n],
    ["verbatim", "This is a verbatim\nstring"],
    ["attrib", "Some real reply following the attribute"],
    ["array", [0, 1, 2]],
    ["set", [0, 1, 2]],
    ["map", { 0: false, 1: true, 2: false }]
  ])("of RESP3 type %s are understood", ([type, expected]) =>
    Effect.gen(function*() {
      const redis = yield* shared
      const [value, after] = yield* Effect.all([redis.send("DEBUG", "PROTOCOL", String(type)), redis.send("PING")], {
        concurrency: "unbounded"
      })
      assert.deepEqual(value, expected)
      assert.strictEqual(after, "PONG")
    }))
})

// ----- errors -----

layer(Server.layer, { excludeTestServices: true })("error replies", (it) => {
  it.effect("carry the server's code and words, the command and the endpoint", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("SET", "errors:text", "text")
      const error = yield* Effect.flip(redis.send("LPUSH", "errors:text", "element"))
      const reason = reasonOf(error, "ServerReplied")
      assert.strictEqual(reason.code, "WRONGTYPE")
      assert.strictEqual(reason.detail, "WRONGTYPE Operation against a key holding the wrong kind of value")
      assert.strictEqual(reason.command, "LPUSH")
      assert.strictEqual(reason.endpoint, `127.0.0.1:${(yield* Server).port}`)
      assert.isFalse(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
    }))

  it.effect("never show an argument, though the server quotes it", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const secret = "s3cret"
      const single = yield* Effect.flip(redis.send("NOSUCHCOMMAND", secret, `${secret}'\n`, secret))
      assert.strictEqual(reasonOf(single, "ServerReplied").detail, "ERR unknown command 'NOSUCHCOMMAND'")
      const [inPipeline] = yield* redis.pipeline([["NOSUCHCOMMAND", secret]])
      const aborted = yield* Effect.flip(redis.transaction([["NOSUCHCOMMAND", secret]]))
      assert.strictEqual(reasonOf(aborted, "TransactionAborted").detail, "ERR unknown command 'NOSUCHCOMMAND'")
      const wrongType = yield* Effect.flip(redis.send("INCRBY", secret, secret))
      for (const u of [single, inPipeline, aborted, wrongType, Exit.fail(single)]) {
        assert.notInclude(printed(u), secret)
      }
    }))

  it.effect("of a script that failed half way say that it may have run", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      yield* redis.send("RPUSH", "errors:list", "element")
      const script = "redis.call('SET', KEYS[1], 'written') return redis.call('INCR', KEYS[2])"
      const error = yield* Effect.flip(redis.send("EVAL", script, 2, "errors:half", "errors:list"))
      assert.strictEqual(reasonOf(error, "ServerReplied").code, "WRONGTYPE")
      assert.isTrue(error.mayHaveExecuted)
      assert.strictEqual(yield* redis.send("GET", "errors:half"), "written")
      const unknown = yield* Effect.flip(redis.send("EVALSHA", "f".repeat(40), 0))
      assert.strictEqual(reasonOf(unknown, "ServerReplied").code, "NOSCRIPT")
      assert.isFalse(unknown.mayHaveExecuted)
    }))

  it.effect("are recovered from by reason", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const code = yield* redis.send<string>("NOSUCHCOMMAND").pipe(
        Effect.catchReason("HitlessError", "ServerReplied", (reason) => Effect.succeed(reason.code))
      )
      assert.strictEqual(code, "ERR")
    }))
})

// ----- pipelines and transactions -----

layer(Server.layer, { excludeTestServices: true })("pipelines", (it) => {
  it.effect("give each command its own result, in order", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const results = yield* redis.pipeline([
        ["SET", "pipelines:text", "text"],
        ["INCR", "pipelines:text"],
        ["GET", "pipelines:text"],
        ["HGETALL", "pipelines:none"]
      ])
      const [set, incr, get, hash] = results
      assert.deepStrictEqual([set, get], [Result.succeed("OK"), Result.succeed("text")])
      assert.deepEqual(hash, Result.succeed({}))
      assert.isTrue(Result.isFailure(incr!))
      const reason = reasonOf(Result.isFailure(incr!) ? incr.failure : assert.fail(), "ServerReplied")
      assert.strictEqual(reason.command, "INCR")
      assert.strictEqual(reason.detail, "ERR value is not an integer or out of range")
    }))

  it.effect("that are empty cost nothing", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      assert.deepStrictEqual(yield* redis.pipeline([]), [])
      assert.deepStrictEqual(yield* redis.transaction([]), [])
    }))

  it.effect("are contiguous on their connection", () =>
    Effect.gen(function*() {
      const redis = yield* connect(yield* Server, { poolSize: 1 })
      const increments = Array.from({ length: 20 }, () => ["INCR", "pipelines:counter"] as const)
      const all = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.zipWith(redis.pipeline(increments), redis.send("INCR", "pipelines:counter"), (results) => results),
        { concurrency: "unbounded" }
      )
      for (const results of all) {
        const values = results.map((result) => Number(Result.getOrThrow(result)))
        assert.deepStrictEqual(values, values.map((_, index) => values[0]! + index))
      }
    }))
})

layer(Server.layer, { excludeTestServices: true })("transactions", (it) => {
  it.effect("run as one unit, whatever others do on other connections", () =>
    Effect.gen(function*() {
      const clients = yield* Effect.all([shared, shared])
      const increments = Array.from({ length: 20 }, () => ["INCR", "transactions:counter"] as const)
      const all = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => clients[index % 2]!),
        (redis) => redis.transaction(increments),
        { concurrency: "unbounded" }
      )
      for (const results of all) {
        const values = results.map((result) => Number(Result.getOrThrow(result)))
        assert.deepStrictEqual(values, values.map((_, index) => values[0]! + index))
      }
    }))

  it.effect("go on past a command that fails inside EXEC, as the server does", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const [set, incr, get] = yield* redis.transaction([
        ["SET", "transactions:text", "text"],
        ["INCR", "transactions:text"],
        ["GET", "transactions:text"]
      ])
      assert.deepStrictEqual([set, get], [Result.succeed("OK"), Result.succeed("text")])
      const error = Result.isFailure(incr!) ? incr.failure : assert.fail()
      assert.strictEqual(reasonOf(error, "ServerReplied").command, "INCR")
    }))

  it.effect("abort as a whole when the server refuses to queue one command", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const error = yield* Effect.flip(redis.transaction([["SET", "transactions:none", 1], ["GET"], ["PING"]]))
      assert.strictEqual(
        reasonOf(error, "TransactionAborted").detail,
        "ERR wrong number of arguments for 'get' command"
      )
      assert.isFalse(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      assert.strictEqual(yield* redis.send("GET", "transactions:none"), null)
    }))
})

// ----- concurrency -----

layer(Server.layer, { excludeTestServices: true })("concurrency", (it) => {
  it.effect("answers each of 10,000 fibers with its own reply", () =>
    Effect.gen(function*() {
      const redis = yield* shared
      const words = Array.from({ length: 10_000 }, (_, index) => `word ${index}`)
      const replies = yield* Effect.forEach(words, (word) => redis.send("ECHO", word), { concurrency: "unbounded" })
      assert.deepStrictEqual(replies, words)
      assert.strictEqual((yield* redis.status).pending, 0)
    }))
})

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
        "WRONGPASS invalid username-password pair or user is disabled."
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
        `Could not connect to 127.0.0.1:${port}: dial and handshake took longer than 50ms`
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
        Effect.provideService(Transport.Transport, { ...transport, resolve: () => Effect.never })
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

// ----- deadlines and interruption -----

describe("a deadline", () => {
  // Half a second is far more than the replies take once the server goes on, also on a busy machine.
  it.live("ends a command that may have run; later commands get their own replies", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      yield* stall(server)
      const error = yield* redis.send("INCR", "counter").pipe(within("500 millis"), Effect.flip)
      const reason = reasonOf(error, "CommandTimeout")
      assert.strictEqual(reason.command, "INCR")
      assert.isAtLeast(reason.afterMillis, 500)
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      const later = yield* start(Effect.all([redis.send("ECHO", "a"), redis.send("GET", "counter")], {
        concurrency: "unbounded"
      }))
      yield* resume(server)
      assert.deepStrictEqual(yield* Fiber.join(later), ["a", "1"])
      assert.strictEqual(yield* info(redis, "stats", "total_connections_received"), "2")
    }))

  it.live("is the configured one, unless the effect has its own, which may be longer", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { commandTimeout: "500 millis" })
      const patient = yield* start(redis.send("GET", "key").pipe(within("Infinity")))
      yield* Fiber.join(patient)
      yield* stall(server)
      const waiting = yield* start(redis.send("GET", "key").pipe(within("1 minute")))
      const error = yield* Effect.flip(redis.pipeline([["GET", "key"], ["GET", "key"]]))
      assert.strictEqual(reasonOf(error, "CommandTimeout").command, "PIPELINE")
      yield* resume(server)
      assert.strictEqual(yield* Fiber.join(waiting), null)
    }))

  it.live("is not held up by a peer that went away without a word", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "100 millis", connectTimeout: "100 millis" })
      yield* stall(server)
      const errors = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.flip(redis.send("SET", "key", "value"))
      )
      assert.include(["CommandTimeout", "ConnectionLost", "ConnectFailed"], errors[0]!.reason._tag)
      // The silent connection was given up, and commands that never found another were not sent.
      assert.isFalse(errors[9]!.mayHaveExecuted)
      assert.strictEqual(reasonOf(errors[9]!, "ConnectFailed").kind, "TimedOut")
      yield* resume(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 1))
      // Neither the silent connection nor a dial that was given up is left.
      const observer = yield* connect(server, { clientName: "observer" })
      yield* waitUntil(Effect.map(clientList(observer), (clients) => clients.length === 2))
    }))
})

describe("an event loop that was busy", () => {
  it.live("reads what has arrived before it finds a command overdue", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { commandTimeout: "100 millis" })
      yield* redis.send("PING")
      const reply = yield* start(redis.send("ECHO", "in time"))
      // The command has left with the next microtask; its reply waits in the socket while the loop is blocked.
      yield* Effect.yieldNow
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
      assert.strictEqual(yield* Fiber.join(reply), "in time")
    }))
})

describe("an interrupted command", () => {
  it.live("in flight runs, and its reply goes to nobody", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      yield* stall(server)
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const batch = yield* start(redis.pipeline([["INCR", "counter"], ["INCR", "counter"]]))
      yield* flushed
      const later = yield* start(redis.send("GET", "counter"))
      yield* Fiber.interruptAll([interrupted, batch])
      yield* resume(server)
      assert.strictEqual(yield* Fiber.join(later), "3")
    }))

  it.live("that was not yet written never runs", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1 })
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const later = yield* start(redis.send("GET", "counter"))
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(yield* Fiber.join(later), null)
      assert.strictEqual((yield* redis.status).pending, 0)
    }))

  it.live("that waited for a connection never runs", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const interrupted = yield* start(redis.send("INCR", "counter"))
      const later = yield* start(redis.send("GET", "counter").pipe(within("1 minute")))
      yield* Fiber.interrupt(interrupted)
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(later), null)
    }))
})

// ----- unannounced loss -----

describe("a lost connection", () => {
  it.live("killed by the server is replaced, and commands go on", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1 })
      yield* redis.send("SET", "key", "value")
      for (let round = 0; round < 5; round++) {
        yield* observer.send("CLIENT", "KILL", "TYPE", "normal")
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
      }
      assert.strictEqual((yield* redis.status).health, "ok")
    }))

  it.live("replays reads in flight, fails writes in flight, and lets later commands wait", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const server = yield* startRedis({ args: ["--dir", dir] })
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* redis.send("SET", "key", "value")
      yield* redis.send("SAVE")
      yield* stall(server)
      const read = yield* start(redis.send("GET", "key"))
      const reads = yield* start(redis.pipeline([["GET", "key"], ["STRLEN", "key"]]))
      const write = yield* start(Effect.flip(redis.send("INCR", "counter")))
      const mixed = yield* start(Effect.flip(redis.pipeline([["GET", "key"], ["INCR", "counter"]])))
      // Its commands are not in flight before `MULTI` is accepted.
      const transaction = yield* start(redis.transaction([["INCR", "counter"]]))
      yield* flushed
      yield* kill(server)
      for (const fiber of [write, mixed]) {
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(reasonOf(error, "ConnectionLost").endpoint, `127.0.0.1:${server.port}`)
        assert.isTrue(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
      }
      assert.strictEqual((yield* redis.status).health, "down")
      const waiting = yield* start(redis.send("INCR", "counter"))
      // Both reads, the pipeline's two commands counted each, the transaction's three, and this one.
      assert.strictEqual((yield* redis.status).pending, 7)
      yield* startRedis({ port: server.port, args: ["--dir", dir] })
      assert.strictEqual(yield* Fiber.join(read), "value")
      assert.deepStrictEqual(yield* Fiber.join(reads), [Result.succeed("value"), Result.succeed(5)])
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed(1)])
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.strictEqual((yield* redis.status).health, "ok")
    }))

  it.live("replays what the retry policy says", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const seen: Array<string> = []
      const chosen = yield* connect(server, {
        commandTimeout: "1 minute",
        retry: (command, [key]) => {
          seen.push(`${command} ${key}`)
          return key !== "no"
        }
      })
      const none = yield* connect(server, { retry: "none" })
      yield* stall(server)
      const yes = yield* start(chosen.send("INCR", "yes"))
      const no = yield* start(Effect.flip(chosen.send("INCR", "no")))
      const read = yield* start(Effect.flip(none.send("GET", "yes")))
      yield* flushed
      yield* kill(server)
      assert.isTrue((yield* Fiber.join(no)).mayHaveExecuted)
      assert.isTrue((yield* Fiber.join(read)).mayHaveExecuted)
      assert.deepStrictEqual(seen, ["INCR yes", "INCR no"])
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(yes), 1)
    }))

  it.live("gives back what it had not written, to be sent on the next one", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute", retry: "none" })
      yield* stall(server)
      // More than the buffers of both sockets take: what follows waits until it has left.
      const large = yield* start(Effect.flip(redis.send("SET", "key", "x".repeat(32 * 1024 * 1024))))
      yield* flushed
      const small = yield* start(redis.send("INCR", "counter"))
      yield* flushed
      yield* kill(server)
      assert.isTrue((yield* Fiber.join(large)).mayHaveExecuted)
      yield* startRedis({ port: server.port })
      assert.strictEqual(yield* Fiber.join(small), 1)
    }))

  it.live("is remembered by what was written on it: a replay that found no other may have run", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server, { retry: () => true })
      yield* stall(server)
      const written = yield* start(redis.send("INCR", "counter").pipe(within("500 millis"), Effect.flip))
      yield* flushed
      yield* kill(server)
      const error = yield* Fiber.join(written)
      assert.match(
        reasonOf(error, "ConnectFailed").detail,
        /; INCR waited \d+ ms for a connection and was not sent again$/
      )
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
    }))

  it.live("of a server that is gone for good fails commands by their deadline, with what the dial met", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const error = yield* redis.send("GET", "key").pipe(within("300 millis"), Effect.flip)
      const reason = reasonOf(error, "ConnectFailed")
      assert.strictEqual(reason.kind, "Refused")
      assert.strictEqual(reason.command, "GET")
      assert.match(
        reason.detail,
        /^connection refused, .* \(ECONNREFUSED\); GET waited \d+ ms for a connection and was never sent$/
      )
      assert.isFalse(error.mayHaveExecuted)
      assert.isTrue(error.isRetryable)
      assert.strictEqual((yield* redis.status).pending, 0)
    }))
})

// ----- servers that cannot run commands for the moment -----

describe("a server that is a replica", () => {
  it.live("gets a write again until it is a master", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("INCR", "counter"))
      const refusals = Effect.map(info(observer, "errorstats", "errorstat_READONLY"), (count) => count ?? "count=0")
      yield* waitUntil(Effect.map(refusals, (count) => Number(count.replace("count=", "")) >= 3))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)
    }))

  it.live("is dialled again, because the name may lead to the master by now", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, clientName: "dialled", commandTimeout: "1 minute" })
      const ids = Effect.map(clientList(observer), (clients) =>
        clients.filter(({ name }) => name === "dialled").map(({ id }) => id))
      const before = yield* ids
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("INCR", "counter"))
      yield* waitUntil(Effect.map(ids, (now) =>
        now.length > 0 && now.every((id) => !before.includes(id))))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)
    }))

  it.live("answers the command itself when it stays one until the deadline", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const redis = yield* connect(server)
      yield* redis.send("REPLICAOF", "127.0.0.1", 1)
      for (
        const refused of [
          redis.send("INCR", "counter"),
          Effect.flatMap(redis.pipeline([["INCR", "counter"]]), ([result]) => Effect.fromResult(result!))
        ]
      ) {
        const error = yield* refused.pipe(within("200 millis"), Effect.flip)
        assert.strictEqual(reasonOf(error, "ServerReplied").code, "READONLY")
        assert.isFalse(error.mayHaveExecuted)
        assert.isTrue(error.isRetryable)
      }
      assert.strictEqual(yield* redis.send("GET", "counter"), null)
    }))
})

describe("a script", () => {
  it.live("that a replica stopped before its first write is run again; one that fails in words of its own is not", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const redis = yield* connect(server, { poolSize: 1, commandTimeout: "1 minute" })
      yield* observer.send("REPLICAOF", "127.0.0.1", 1)
      const write = yield* start(redis.send("EVAL", "return redis.call('INCR', KEYS[1])", 1, "counter"))
      const refusals = Effect.map(info(observer, "errorstats", "errorstat_READONLY"), (count) => count ?? "count=0")
      yield* waitUntil(Effect.map(refusals, (count) => Number(count.replace("count=", "")) >= 2))
      yield* observer.send("REPLICAOF", "NO", "ONE")
      assert.strictEqual(yield* Fiber.join(write), 1)

      const own = "redis.call('INCR', KEYS[1]) return redis.error_reply('TRYAGAIN later')"
      const error = yield* Effect.flip(redis.send("EVAL", own, 1, "counter"))
      assert.strictEqual(reasonOf(error, "ServerReplied").code, "TRYAGAIN")
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      assert.strictEqual(yield* redis.send("GET", "counter"), "2")
    }))
})

describe("a server that is loading its data", () => {
  it.live("gets commands again until it has loaded", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const port = yield* freePort
      yield* Effect.scoped(Effect.gen(function*() {
        const redis = yield* connect(yield* startRedis({ port, args: ["--dir", dir] }))
        const keys = Array.from({ length: 500 }, (_, index) => [`key:${index}`, "value".repeat(20)]).flat()
        yield* redis.send("MSET", ...keys)
        yield* redis.send("SAVE")
      }))
      // 500 keys with 1 ms each, and a look at the network after every KiB.
      const slowly = ["--dir", dir, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
      const redis = yield* connect(yield* startRedis({ port, args: slowly }))
      assert.strictEqual(yield* redis.send("STRLEN", "key:499"), 100)
      assert.match((yield* info(redis, "errorstats", "errorstat_LOADING"))!, /^count=[1-9]/)
    }))
})

// ----- shutdown -----

describe("shutdown", () => {
  it.live("delivers the replies that are owed and closes every connection", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const observer = yield* connect(server)
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server, { poolSize: 3 }), scope)
      yield* grow(server, redis, 3)
      yield* stall(server)
      const inFlight = yield* start(
        Effect.forEach(Array.from({ length: 1000 }), () => redis.send<number>("INCR", "counter"), {
          concurrency: "unbounded"
        })
      )
      const closing = yield* start(Scope.close(scope, Exit.void))
      const refused = yield* Effect.flip(redis.send("INCR", "counter"))
      assert.isFalse(reasonOf(refused, "Closed").mayHaveExecuted)
      yield* resume(server)
      assert.sameMembers(yield* Fiber.join(inFlight), Array.from({ length: 1000 }, (_, index) => index + 1))
      yield* Fiber.join(closing)
      yield* waitUntil(Effect.map(clientList(observer), (clients) => clients.length === 1))
      assert.strictEqual(yield* observer.send("GET", "counter"), "1000")
      const error = yield* Effect.flip(redis.send("GET", "counter"))
      assert.strictEqual(reasonOf(error, "Closed").command, "GET")
      assert.isFalse(error.isRetryable)
    }))

  it.live("waits for a silent server no longer than a command may take", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server, { commandTimeout: "100 millis" }), scope)
      yield* stall(server)
      const inFlight = yield* start(redis.send("INCR", "counter").pipe(within("Infinity"), Effect.flip))
      yield* flushed
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(inFlight)
      assert.strictEqual(reasonOf(error, "Closed").command, "INCR")
      assert.isTrue(error.mayHaveExecuted)
    }))

  it.live("ends commands that wait for a connection, and the dials", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const scope = yield* Scope.make()
      const redis = yield* Scope.provide(connect(server), scope)
      yield* kill(server)
      yield* waitUntil(Effect.map(serving(redis), (count) => count === 0))
      const waiting = yield* start(redis.send("GET", "key").pipe(within("Infinity"), Effect.flip))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(reasonOf(yield* Fiber.join(waiting), "Closed").mayHaveExecuted)
      const revived = yield* startRedis({ port: server.port })
      const observer = yield* connect(revived)
      assert.strictEqual((yield* clientList(observer)).length, 1)
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

// ----- Effect's own modules on our connections -----

const EffectRedis = Layer.unwrap(
  Effect.map(startRedis(), ({ port }) => NodeHitlessRedis.layer({ host: "127.0.0.1", port }))
)

layer(EffectRedis, { excludeTestServices: true })("effect/persistence", (it) => {
  it.effect("Redis sends, and wraps the client's error", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      assert.strictEqual(yield* redis.send("SET", "redis:key", "value"), "OK")
      const error = yield* Effect.flip(redis.send("INCR", "redis:key"))
      assert.strictEqual(error._tag, "RedisError")
      assert.include(String(error.cause), "ERR value is not an integer")
    }))

  it.effect("Redis.eval loads a script once, and again when the server forgot it", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const add = Redis.script((key: string, amount: number) => [key, amount], {
        lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
        numberOfKeys: 1
      }).withReturnType<number>()
      assert.strictEqual(yield* redis.eval(add)("redis:sum", 2), 2)
      yield* redis.send("SCRIPT", "FLUSH")
      assert.strictEqual(yield* redis.eval(add)("redis:sum", 3), 5)
    }))

  it.effect("Redis.reserve blocks on a connection of its own", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const hitless = yield* HitlessRedis.HitlessRedis
      const popped = yield* start(Effect.scoped(Effect.flatMap(
        redis.reserve,
        (connection) => connection.send("BLPOP", "redis:jobs", "0")
      )))
      yield* waitUntil(Effect.map(info(hitless, "clients", "blocked_clients"), (count) => count === "1"))
      assert.strictEqual(yield* redis.send("GET", "redis:none"), null)
      yield* redis.send("RPUSH", "redis:jobs", "job")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["redis:jobs", "job"])
    }))

  it.effect("Redis.reserve lets a command block for longer than others may take", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const services = yield* open({ host, port: server.port, commandTimeout: "100 millis" })
      const connection = yield* Context.get(services, Redis.Redis).reserve
      assert.strictEqual(yield* connection.send("BLPOP", "none", "0.3"), null)
    }))

  it.effect("Redis.reserve gives up the connection of an interrupted command", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const hitless = yield* HitlessRedis.HitlessRedis
      const blocked = Effect.map(clientList(hitless), (clients) => clients.filter(({ cmd }) => cmd === "brpop").length)
      const popping = yield* start(Effect.scoped(Effect.flatMap(
        redis.reserve,
        (connection) => connection.send("BRPOP", "redis:interrupted", "0")
      )))
      yield* waitUntil(Effect.map(blocked, (count) => count === 1))
      yield* Fiber.interrupt(popping)
      yield* waitUntil(Effect.map(blocked, (count) => count === 0))
      yield* redis.send("RPUSH", "redis:interrupted", "kept")
      assert.strictEqual(yield* redis.send("LLEN", "redis:interrupted"), 1)
    }))

  it.effect("Redis.subscribe receives what is published, also after its connection was lost", () =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const messages = yield* redis.subscribe("redis:channel")
      assert.strictEqual(yield* redis.send("PUBLISH", "redis:channel", "é ✓"), 1)
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "redis:channel", message: "é ✓" })
      yield* redis.send("CLIENT", "KILL", "TYPE", "pubsub")
      yield* waitUntil(Effect.map(redis.send("PUBLISH", "redis:channel", "again"), (receivers) => receivers === 1))
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "redis:channel", message: "again" })
    }))

  it.effect("RateLimiter limits", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const consume = limiter.consume({ key: "limited", limit: 2, window: "1 minute", onExceeded: "fail" })
      assert.strictEqual((yield* consume).remaining, 1)
      assert.strictEqual((yield* consume).remaining, 0)
      const error = yield* Effect.flip(consume)
      assert.strictEqual(error.reason._tag, "RateLimitExceeded")
      const bucket = yield* limiter.consume({ key: "bucket", limit: 5, window: "1 minute", algorithm: "token-bucket" })
      assert.strictEqual(bucket.remaining, 4)
    }).pipe(Effect.provide(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreRedis()))))

  it.effect("PersistedQueue delivers, and delivers again what failed", () =>
    Effect.gen(function*() {
      const queue = yield* PersistedQueue.make({
        name: "orders",
        schema: Schema.Struct({ id: Schema.Int }),
        retrySchedule: Schedule.spaced("1 millis")
      })
      yield* queue.offer({ id: 7 })
      const failed = yield* Effect.flip(queue.take((order, { attempts }) => Effect.fail({ order, attempts } as const)))
      assert.deepStrictEqual(failed, { order: { id: 7 }, attempts: 1 })
      const taken = yield* queue.take((order, { attempts }) => Effect.succeed({ order, attempts }))
      assert.deepStrictEqual(taken, { order: { id: 7 }, attempts: 2 })
    }).pipe(
      Effect.provide(Layer.provide(
        PersistedQueue.layer,
        PersistedQueue.layerStoreRedis({ pollInterval: "10 millis" })
      ))
    ))
})

// ----- configuration -----

describe("layers", () => {
  it.live("take the environment", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args: ["--requirepass", "s3cret"] })
      const env = ConfigProvider.fromEnvRecord({
        REDIS_URL: `redis://:s3cret@127.0.0.1:${server.port}/4`,
        REDIS_CLIENT_NAME: "from-env",
        REDIS_MAINTENANCE_MODE: "disabled"
      })
      const services = yield* Layer.build(
        NodeHitlessRedis.layerConfig(Config.fromEnv).pipe(Layer.provide(ConfigProvider.layer(env)))
      )
      const redis = Context.get(services, HitlessRedis.HitlessRedis)
      const [client] = yield* clientList(redis)
      assert.deepStrictEqual([client?.name, client?.db], ["from-env", "4"])
      assert.strictEqual((yield* redis.status).mode, "disabled")
    }))

  it.live("take single options from the environment, and fail by name where they cannot", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const build = (env: Record<string, string>) =>
        Layer.build(
          NodeHitlessRedis.layerConfig({
            host: EffectConfig.succeed(host),
            port: EffectConfig.Int("CACHE_PORT"),
            maintenance: { mode: EffectConfig.succeed("disabled") }
          }).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
        )
      const redis = Context.get(yield* build({ CACHE_PORT: String(server.port) }), HitlessRedis.HitlessRedis)
      assert.strictEqual((yield* redis.status).mode, "disabled")
      const missing = yield* Effect.flip(build({}))
      assert.strictEqual(missing._tag, "ConfigError")
      const invalid = yield* Effect.flip(build({ CACHE_PORT: "70000" }))
      assert.strictEqual(invalid._tag, "HitlessConfigError")
    }))

  it.live("make several named instances in one program", () =>
    Effect.gen(function*() {
      class Sessions extends Context.Service<Sessions, Client>()("test/Sessions") {}
      class Jobs extends Context.Service<Jobs, Client>()("test/Jobs") {}
      const server = yield* startRedis()
      const options = { host: "127.0.0.1", port: server.port }
      yield* Effect.gen(function*() {
        const sessions = yield* Sessions
        const jobs = yield* Jobs
        yield* sessions.send("SET", "key", "a session")
        yield* jobs.send("SET", "key", "a job")
        assert.strictEqual(yield* sessions.send("GET", "key"), "a session")
        const names = (yield* clientList(jobs)).map(({ db, name }) => `${name} ${db}`)
        assert.sameMembers(names, ["sessions 1", "jobs 2"])
      }).pipe(Effect.provide(
        Layer.mergeAll(
          Layer.effect(Sessions, HitlessRedis.make({ ...options, clientName: "sessions", database: 1 })),
          Layer.effect(Jobs, HitlessRedis.make({ ...options, clientName: "jobs", database: 2 }))
        ).pipe(Layer.provide(NodeTransport.layer))
      ))
    }))
})
