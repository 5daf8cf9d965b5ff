/**
 * Credentials that change while connections are up: each connection logs in anew where it stands, whatever it is for, and
 * what cannot is told again; no command fails, none is lost and no secret is told.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { type Config, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import {
  type Client,
  clientList,
  connect,
  flushed,
  grow,
  host,
  printed,
  reasonOf,
  resume,
  stall,
  start
} from "./support/client.ts"
import { connect as connectTo, deploy, waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { type RedisServer, startRedis } from "./support/redisServer.ts"

const login = (username: string, password = `password of ${username}`): Config.Credentials => ({
  username,
  password: Redacted.make(password)
})

/** Lets a user log in on the server, and do everything. */
const admit = (admin: Client, username: string) =>
  admin.send("ACL", "SETUSER", username, "on", `>password of ${username}`, "~*", "&*", "+@all")

/** A stream of credentials that begins with those of ann, and its other end. */
const source = Effect.map(Queue.unbounded<Config.Credentials>(), (queue) => {
  Queue.offerUnsafe(queue, login("ann"))
  return { credentials: Stream.fromQueue(queue), change: (to: Config.Credentials) => Queue.offer(queue, to) }
})

/** A server that knows ann and ben, its administrator, and a client of ann's. */
const setUp = (client: Config.Options = {}) =>
  Effect.gen(function*() {
    const server = yield* startRedis()
    const admin = yield* connect(server, { poolSize: 1 })
    yield* admit(admin, "ann")
    yield* admit(admin, "ben")
    const { change, credentials } = yield* source
    const redis = yield* connect(server, { credentials, ...client })
    return { server, admin, redis, change }
  })

/** The clients of the server that are not its administrator's, as `id user`. */
const users = (admin: Client) =>
  Effect.map(
    clientList(admin),
    (clients) => clients.filter(({ user }) => user !== "default").map(({ id, user }) => ({ id, user }))
  )

const allAre = (admin: Client, name: string) =>
  waitUntil(Effect.map(users(admin), (all) => all.length > 0 && all.every(({ user }) => user === name)))

/** How often the server has refused somebody. */
const refusals = (admin: Client) =>
  Effect.map(
    admin.send<ReadonlyArray<{ readonly count: number; readonly reason: string }>>("ACL", "LOG"),
    (entries) => entries.reduce((sum, { count, reason }) => reason === "auth" ? sum + count : sum, 0)
  )

/** One of every kind, each in use: three shared connections, two leases, a command that waits, a subscription. */
const useAll = Effect.fnUntraced(function*(server: RedisServer, redis: Client) {
  yield* grow(server, redis, 3)
  const lease = yield* redis.reserve
  const watching = yield* redis.reserve
  yield* watching.send("WATCH", "watched")
  const popped = yield* start(redis.send("BLPOP", "list", 0))
  const stream = yield* redis.subscription({ channels: ["news"] })
  const heard = yield* start(Stream.runCollect(Stream.take(stream, 1)))
  yield* waitUntil(Effect.map(clientList(redis), (clients) => clients.some(({ cmd }) => cmd === "blpop")))
  return { lease, watching, popped, heard }
})

/** What a client logged, each line with its annotations. */
const logged = <A, E, R>(run: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    lines.push(`${logLevel} ${printed([message, fiber.getRef(References.CurrentLogAnnotations)])}`)
  })
  return Effect.provideService(
    Effect.provide(run(lines), Logger.layer([logger])),
    References.MinimumLogLevel,
    "Debug"
  )
}

describe("Credentials that change", { timeout: 30_000 }, () => {
  it.live("are told to connections of every kind where they stand", () =>
    Effect.gen(function*() {
      const { admin, change, redis, server } = yield* setUp()
      const { heard, lease, popped, watching } = yield* useAll(server, redis)
      const before = yield* users(admin)
      assert.isAtLeast(before.length, 7)
      yield* change(login("ben"))
      yield* allAre(admin, "ben")
      assert.deepStrictEqual((yield* users(admin)).map(({ id }) => id).sort(), before.map(({ id }) => id).sort())
      // Redis ends the connections of a user that it deletes.
      yield* admin.send("ACL", "DELUSER", "ann")
      yield* admin.send("RPUSH", "list", "element")
      assert.deepStrictEqual(yield* Fiber.join(popped), ["list", "element"])
      yield* admin.send("PUBLISH", "news", "story")
      assert.deepStrictEqual((yield* Fiber.join(heard)).map(({ _tag }) => _tag), ["Published"])
      assert.strictEqual(yield* lease.send("ACL", "WHOAMI"), "ben")
      yield* admin.send("SET", "watched", "another's")
      const { reason } = yield* Effect.flip(watching.transaction([["GET", "watched"]]))
      assert.strictEqual(reason._tag, "TransactionAborted")
    }).pipe(Effect.scoped))

  it.live("are what further connections begin with", () =>
    Effect.gen(function*() {
      const { admin, change, redis, server } = yield* setUp()
      yield* change(login("ben"))
      yield* allAre(admin, "ben")
      yield* admin.send("ACL", "DELUSER", "ann")
      yield* useAll(server, redis)
      yield* admin.send("CLIENT", "KILL", "TYPE", "normal", "USER", "ben")
      assert.strictEqual(yield* redis.send("ACL", "WHOAMI"), "ben")
    }).pipe(Effect.scoped))

  it.live("wait for the end of a transaction that a user has opened", () =>
    Effect.gen(function*() {
      const { admin, change, redis } = yield* setUp({ poolSize: 1 })
      const lease = yield* redis.reserve
      yield* lease.send("MULTI")
      yield* lease.send("INCR", "n")
      yield* change(login("ben"))
      // The shared connection shows that the news are there.
      yield* waitUntil(Effect.map(redis.send("ACL", "WHOAMI"), (name) => name === "ben"))
      assert.deepStrictEqual(yield* lease.send("EXEC"), [1])
      yield* waitUntil(Effect.map(lease.send("ACL", "WHOAMI"), (name) => name === "ben"))
      yield* allAre(admin, "ben")
    }).pipe(Effect.scoped))

  it.live("leave alone whoever logged in by himself", () =>
    Effect.gen(function*() {
      const { admin, change, redis } = yield* setUp({ poolSize: 1 })
      yield* admit(admin, "eve")
      const lease = yield* redis.reserve
      yield* lease.send("AUTH", "eve", "password of eve")
      yield* change(login("ben"))
      yield* waitUntil(Effect.map(redis.send("ACL", "WHOAMI"), (name) => name === "ben"))
      assert.strictEqual(yield* lease.send("ACL", "WHOAMI"), "eve")
    }).pipe(Effect.scoped))

  it.live("bring another connection to subscriptions in RESP2, and nothing is missed", () =>
    Effect.gen(function*() {
      const { admin, change, redis } = yield* setUp({ poolSize: 1, protocol: 2 })
      const stream = yield* redis.subscription({ channels: ["news"] })
      const heard = yield* start(Stream.runCollect(Stream.take(
        Stream.filter(stream, ({ _tag }) => _tag === "Published"),
        2
      )))
      yield* admin.send("PUBLISH", "news", "1")
      yield* change(login("ben"))
      yield* allAre(admin, "ben")
      yield* admin.send("ACL", "DELUSER", "ann")
      yield* admin.send("PUBLISH", "news", "2")
      assert.deepStrictEqual(
        (yield* Fiber.join(heard)).map((message) => message._tag === "Published" && message.message),
        ["1", "2"]
      )
    }).pipe(Effect.scoped))

  it.live("are told beside a subscription that is refused, and each gets its own answer", () =>
    Effect.gen(function*() {
      const { admin, change, redis, server } = yield* setUp({ poolSize: 1 })
      yield* admin.send("ACL", "SETUSER", "ann", "resetchannels", "&news")
      yield* admin.send("ACL", "SETUSER", "ben", "resetchannels", "&news")
      const stream = yield* redis.subscription({ channels: ["news"] })
      const [{ id }] = yield* Effect.map(clientList(admin), (clients) => clients.filter(({ sub }) => sub === "1"))
      yield* stall(server)
      const refused = yield* start(Effect.flip(Effect.scoped(redis.subscription({ channels: ["secret"] }))))
      yield* flushed
      yield* change(login("ben"))
      yield* Effect.sleep("50 millis")
      yield* resume(server)
      assert.strictEqual(reasonOf(yield* Fiber.join(refused), "ServerReplied").code, "NOPERM")
      yield* allAre(admin, "ben")
      assert.isTrue((yield* users(admin)).some((user) => user.id === id))
      yield* admin.send("PUBLISH", "news", "story")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Stream.take(stream, 1))).map(({ _tag }) => _tag),
        ["Published"]
      )
    }).pipe(Effect.scoped))

  it.live("are told again where the server does not know them yet, and every connection serves on", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const server = yield* startRedis()
        const admin = yield* connect(server, { poolSize: 1 })
        yield* admit(admin, "ann")
        const { change, credentials } = yield* source
        const redis = yield* HitlessRedis.make({ host, port: server.port, credentials }).pipe(
          Effect.provide(NodeTransport.layer)
        )
        const lease = yield* redis.reserve
        yield* Effect.asVoid(redis.subscription({ channels: ["news"] }))
        yield* change(login("zoe"))
        // Each of the three was refused, and more than once.
        yield* waitUntil(Effect.map(refusals(admin), (count) => count > 6))
        assert.isTrue(lines.some((line) => line.startsWith("Warn") && line.includes("could not log in anew")))
        assert.strictEqual(yield* redis.send("ACL", "WHOAMI"), "ann")
        assert.strictEqual(yield* lease.send("ACL", "WHOAMI"), "ann")
        yield* admit(admin, "zoe")
        yield* allAre(admin, "zoe")
        assert.isFalse(lines.some((line) => line.includes("password of")))
      })
    ).pipe(Effect.scoped))

  it.live("are tried at once where those before were revoked during a handshake", () =>
    Effect.gen(function*() {
      const { change, credentials } = yield* source
      const said: Array<string> = []
      const server = yield* rawServer((words, { id, socket }) => {
        if (words[0] === "HELLO") said.push(words[3])
        if (id > 1) return answerHandshake(words)
        if (words[1] === "MAINT_NOTIFICATIONS") {
          const refuse = Effect.sync(() => socket.write("-WRONGPASS revoked\r\n+OK\r\n+OK\r\n+OK\r\n-NOAUTH no\r\n"))
          Effect.runFork(Effect.andThen(change(login("ben")), Effect.delay(refuse, "20 millis")))
        }
        return undefined
      })
      yield* HitlessRedis.make({ host, port: server.port, credentials }).pipe(Effect.provide(NodeTransport.layer))
      assert.deepStrictEqual(said, ["ann", "ben"])
    }).pipe(Effect.scoped))

  it.live("leave subscriptions in RESP2 alone where they are refused", () =>
    Effect.gen(function*() {
      const { admin, change, redis } = yield* setUp({ poolSize: 1, protocol: 2, maintenance: { logLevel: "Error" } })
      const stream = yield* redis.subscription({ channels: ["news"] })
      const heard = yield* start(Stream.runCollect(Stream.take(stream, 1)))
      yield* change(login("zoe"))
      yield* waitUntil(Effect.map(refusals(admin), (count) => count > 2))
      yield* admin.send("PUBLISH", "news", "story")
      assert.deepStrictEqual((yield* Fiber.join(heard)).map(({ _tag }) => _tag), ["Published"])
    }).pipe(Effect.scoped))

  it.live("do not follow unwritten commands to another connection", () =>
    Effect.gen(function*() {
      const { change, credentials } = yield* source
      const said: Array<string> = []
      const next = yield* rawServer((words) => {
        if (words[0] === "HELLO" || words[0] === "AUTH") said.push(words.join(" "))
        return answerHandshake(words) ?? "+OK\r\n"
      })
      const server = yield* rawServer((words) => words[0] === "MULTI" ? undefined : answerHandshake(words) ?? "+OK\r\n")
      const redis = yield* HitlessRedis.make({ host, port: server.port, credentials, poolSize: 1 }).pipe(
        Effect.provide(NodeTransport.layer)
      )
      // Until MULTI is answered nothing follows it, and so no AUTH.
      yield* start(Effect.exit(redis.transaction([["SET", "k", 1]])))
      yield* flushed
      for (const name of ["ben", "cid"]) {
        yield* change(login(name))
        yield* Effect.sleep("30 millis")
      }
      const target = `${host}:${next.port}`
      server.connections[0].socket.write(`>4\r\n$6\r\nMOVING\r\n:1\r\n:10\r\n$${target.length}\r\n${target}\r\n`)
      yield* waitUntil(Effect.map(redis.status, ({ lastHandoff }) => lastHandoff?._tag === "Completed"))
      yield* redis.send("GET", "x")
      assert.deepStrictEqual(said, ["HELLO 3 AUTH cid password of cid"])
    }).pipe(Effect.scoped))

  it.live("are tried once where the first of them come late", () =>
    Effect.gen(function*() {
      let logins = 0
      const server = yield* rawServer(([command]) => {
        if (command !== "HELLO") return "+OK\r\n"
        logins++
        return "-WRONGPASS no\r\n"
      })
      const first = Stream.fromEffect(Effect.delay(Effect.succeed(login("ann")), "50 millis"))
      const credentials = Stream.concat(first, Stream.never)
      yield* Effect.flip(
        HitlessRedis.make({ host, port: server.port, credentials }).pipe(Effect.provide(NodeTransport.layer))
      )
      assert.strictEqual(logins, 1)
    }).pipe(Effect.scoped))

  const refuses = (credentials: Stream.Stream<Config.Credentials, unknown>, words: string) =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const error = yield* Effect.flip(connect(server, { credentials, maintenance: { logLevel: "Error" } }))
      assert.include(error.message, words)
      assert.notInclude(printed(error), "secret")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"), Effect.scoped)

  it.live("fail the connection where their stream ends, fails or dies before the first", () =>
    Effect.gen(function*() {
      yield* refuses(Stream.empty, "their stream ended before it gave any")
      yield* refuses(Stream.fail(new Error("secret")), "their stream failed with Error before it gave any")
      yield* refuses(Stream.die(new TypeError("secret")), "their stream died with TypeError before it gave any")
    }))

  it.live("count no more and no less when their stream ends, and what is none of them does not", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const server = yield* startRedis()
        const admin = yield* connect(server, { poolSize: 1 })
        yield* admit(admin, "ann")
        const given = [{ password: "secret" }, "secret", undefined, login("ann")] as unknown as ReadonlyArray<never>
        const credentials = Stream.concat(Stream.fromIterable(given), Stream.fail("secret"))
        const redis: Client = yield* HitlessRedis.make({ host, port: server.port, credentials }).pipe(
          Effect.provide(NodeTransport.layer)
        )
        assert.strictEqual(yield* redis.send("ACL", "WHOAMI"), "ann")
        // Two of them are wrong in the same way, which is told once.
        assert.lengthOf(lines.filter((line) => line.includes("what the stream of credentials gave cannot be used")), 2)
        assert.lengthOf(lines.filter((line) => line.includes("there will be no newer credentials")), 1)
        assert.isFalse(lines.some((line) => line.includes("secret")))
      })
    ).pipe(Effect.scoped))
})

describe("Credentials that change during a handoff", { timeout: 30_000 }, () => {
  it.live("are what every connection is logged in with in the end, and nothing fails", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const admin = yield* connect(server, { poolSize: 1 })
      const names = Array.from({ length: 12 }, (_, index) => `user-${index}`)
      for (const name of ["ann", ...names]) yield* admit(admin, name)
      const { change, credentials } = yield* source
      const deployment = yield* deploy(["a", "b"], { upstream: NodeSocket.makeNet({ path: server.socketPath }) })
      const { handoffs, redis } = yield* connectTo(deployment, "a", { credentials, poolSize: 1 })
      const lease = yield* redis.reserve
      const stream = yield* redis.subscription({ channels: ["news"] })
      const heard: Array<string> = []
      yield* start(Stream.runForEach(stream, (message) =>
        Effect.sync(() =>
          heard.push(message._tag === "Published" ? message.message : message.why)
        )))
      let calls = 0
      const working = yield* start(Effect.forever(Effect.gen(function*() {
        yield* redis.send("INCR", "calls")
        yield* lease.send("INCR", "calls")
        calls += 2
        yield* redis.send("PUBLISH", "news", calls)
      })))
      for (const [index, name] of names.entries()) {
        const [from, to] = index % 2 === 0 ? ["a", "b"] : ["b", "a"]
        // The next connection shakes hands with what it began with, while those of before log in anew.
        yield* deployment.handshake(to, { _tag: "Answer", delay: "30 millis" })
        yield* deployment.moving(from, { target: to, time: "3 seconds" })
        yield* Effect.sleep(index % 3 === 0 ? "15 millis" : "40 millis")
        yield* change(login(name))
        yield* waitUntil(Effect.sync(() =>
          handoffs.filter(({ _tag }) =>
            _tag === "Completed"
          ).length === 3 * (index + 1)
        ))
        yield* waitUntil(Effect.map(users(admin), (all) => all.filter(({ user }) => user === name).length >= 3))
      }
      assert.isUndefined(working.pollUnsafe())
      yield* Fiber.interrupt(working)
      const last = names[names.length - 1]
      yield* waitUntil(Effect.map(users(admin), (all) => all.length === 3 && all.every(({ user }) => user === last)))
      assert.isAtLeast(Number(yield* redis.send("GET", "calls")), calls)
      assert.deepStrictEqual(heard, heard.map((_, index) => String(2 * (index + 1))))
      assert.isAbove(heard.length, 0)
    }).pipe(Effect.scoped))
})
