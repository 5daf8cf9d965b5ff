/**
 * Moves under TLS, over real sockets: what a target is asked and checked for, targets that no TLS can be agreed on with, and
 * every kind of connection on its way between nodes that speak nothing else.
 *
 * Certificates are made before any test runs: that takes the whole process, and the tests have connections that time out.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Commands, type HitlessRedis } from "hitless"
import { createPrivateKey } from "node:crypto"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { connect as connectDirectly, folder, host, printed, start } from "./support/client.ts"
import { connect, deploy, waitUntil } from "./support/deployment.ts"
import { peer } from "./support/peers.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { makeCertificates } from "./support/tls.ts"
import { clientOf, loudClientOf, nodeOf, startTls } from "./support/tlsNodes.ts"

const scope = Scope.makeUnsafe()
const make = () => Effect.runPromise(Scope.provide(makeCertificates, scope))
const certificates = await make()
const { ca, client, elsewhere, expired, future, server, weak } = certificates
const stranger = await make()
const tls = { ca: ca.cert }

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** Reads one after the other; what is given looks whether one has failed. */
const busy = (redis: HitlessRedis.Sender) =>
  Effect.map(
    start(Effect.forever(Effect.delay(redis.send("GET", "key"), "1 millis"))),
    (fiber) => () => assert.isUndefined(fiber.pollUnsafe(), "a command has failed")
  )

/** For a server that trusts nobody but them. */
const strangersOnly = ["--tls-auth-clients", "yes", "--tls-ca-cert-file", stranger.ca.certFile]

const encrypted = (passphrase: string) =>
  createPrivateKey(client.key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase }).toString()

describe("a target with TLS", () => {
  // Also the names that are asked for by SNI, and what it comes to.
  it.live.each<[string, string | undefined, string, "server" | "elsewhere", ReadonlyArray<string>, RegExp]>([
    // An address stands for what is configured.
    ["localhost", "redis.example", host, "elsewhere", ["redis.example"], /^Completed/],
    ["localhost", "redis.example", host, "server", ["redis.example"], /^Untrusted: .*not for redis\.example/],
    ["localhost", "10.9.8.7", host, "elsewhere", [], /^Completed/],
    ["localhost", "10.9.8.7", host, "server", [], /^Untrusted: .*not for 10\.9\.8\.7/],
    ["localhost", undefined, host, "server", ["localhost"], /^Completed/],
    ["localhost", undefined, host, "elsewhere", ["localhost"], /^Untrusted: .*not for localhost/],
    [host, undefined, host, "server", [], /^Completed/],
    [host, undefined, host, "elsewhere", [], /^Untrusted: .*not for 127\.0\.0\.1/],
    // A name is what it is asked and checked for itself.
    [host, "redis.example", "localhost", "server", ["localhost"], /^Completed/],
    [host, "redis.example", "localhost", "elsewhere", ["localhost"], /^Untrusted: .*not for localhost/],
    [host, "10.9.8.7", "localhost", "server", ["localhost"], /^Completed/],
    [host, undefined, "localhost", "server", ["localhost"], /^Completed/],
    // Names of SNI have no dot at their end.
    ["localhost", "redis.example.", host, "elsewhere", ["redis.example"], /^Completed/]
  ])(
    "of a client of %s with servername %s, at %s with the certificate %s",
    ([configured, servername, target, shown, asked, end]) =>
      Effect.gen(function*() {
        const from = yield* nodeOf("FROM", servername === undefined ? server : elsewhere)
        const to = yield* nodeOf("TO", certificates[shown])
        const { follow, where } = yield* clientOf(from.port, { host: configured, tls: { ...tls, servername } })
        const cameTo = yield* follow(from, `${target}:${to.port}`)
        assert.match(cameTo, end)
        assert.deepStrictEqual(to.asked, asked)
        assert.strictEqual(yield* where, cameTo === "Completed" ? "TO" : "FROM")
      })
  )

  it.live("is asked and checked for where addressMap leads", () =>
    Effect.gen(function*() {
      const from = yield* nodeOf("FROM", elsewhere)
      const to = yield* nodeOf("TO", server)
      const { follow, where } = yield* clientOf(from.port, {
        tls: { ...tls, servername: "redis.example" },
        addressMap: { "node-1.internal:7000": `localhost:${to.port}` }
      })
      assert.strictEqual(yield* follow(from, "node-1.internal:7000"), "Completed")
      assert.strictEqual(yield* where, "TO")
      assert.deepStrictEqual(to.asked, ["localhost"])
    }))

  it.live("that is not named is asked and checked for what is configured", () =>
    Effect.gen(function*() {
      const node = yield* nodeOf("", elsewhere, (_, { id }) => `+${id}\r\n`)
      const { follow, where } = yield* clientOf(node.port, {
        host: "localhost",
        tls: { ...tls, servername: "redis.example" }
      })
      assert.strictEqual(yield* follow(node, null), "Completed")
      assert.strictEqual(yield* where, "2")
      assert.deepStrictEqual(node.asked, ["redis.example", "redis.example"])
    }))

  it.live("is followed whatever it shows where rejectUnauthorized is false", () =>
    Effect.gen(function*() {
      let at = yield* nodeOf("FROM", stranger.server)
      const { follow, where } = yield* clientOf(at.port, { tls: { rejectUnauthorized: false } })
      for (const shown of [stranger.ca, expired, elsewhere, client]) {
        const to = yield* nodeOf("TO", shown)
        assert.strictEqual(yield* follow(at, `localhost:${to.port}`), "Completed")
        assert.deepStrictEqual(to.asked, ["localhost"])
        at = to
      }
      assert.strictEqual(yield* where, "TO")
    }))

  it.live.each(["TLSv1.2", "TLSv1.3"])(
    "that knows %s alone is shown the client's certificate, and may refuse it",
    (version) =>
      Effect.gen(function*() {
        const from = yield* nodeOf("FROM", server)
        const { follow, redis, where } = yield* clientOf(from.port, {
          tls: {
            ca: [stranger.ca.cert, Buffer.from(ca.cert)],
            cert: Buffer.from(client.cert),
            key: Redacted.make(Buffer.from(encrypted("s3cret"))),
            passphrase: Redacted.make("s3cret")
          }
        })
        const noneFailed = yield* busy(redis)
        const refusing = yield* startTls(server, ca, ...strangersOnly, "--tls-protocols", version)
        const end = yield* follow(from, `localhost:${refusing.port}`)
        assert.match(end, /^Untrusted: .*does not accept the certificate in tls\.cert/)
        assert.strictEqual(yield* where, "FROM")
        const { port } = yield* startTls(server, ca, "--tls-auth-clients", "yes", "--tls-protocols", version)
        assert.strictEqual(yield* follow(from, `localhost:${port}`), "Completed")
        assert.deepStrictEqual(yield* redis.send("CONFIG", "GET", "tls-protocols"), { "tls-protocols": version })
        noneFailed()
        const without = yield* clientOf(from.port, { tls })
        assert.match(yield* without.follow(from, `localhost:${port}`), /^Untrusted: .*give tls\.cert and tls\.key/)
        assert.strictEqual(yield* without.where, "FROM")
      })
  )
})

describe("a target that no TLS can be agreed on with", () => {
  const peerThat = (accept: (socket: Net.Socket) => void) => Effect.map(peer(accept), (port) => ({ port }))
  /** The client's first bytes are there: in the middle of the handshake. */
  const midway = (end: (socket: Net.Socket) => void) => peerThat((socket) => socket.once("data", () => end(socket)))
  const lax = { ciphers: "DEFAULT@SECLEVEL=0" }
  const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1" } as const
  // The beginning of a ServerHello whose rest never comes.
  const half = Buffer.from("160303007a0200007603", "hex")

  it.live("is told as what it is, and the connection before it serves until it has to be left, or a good one is named", () =>
    Effect.gen(function*() {
      const from = yield* nodeOf("FROM", server)
      const { follow, nextEnd, redis, where } = yield* clientOf(from.port, { tls })
      const noneFailed = yield* busy(redis)
      const targets = [
        [nodeOf("", stranger.server), /^Untrusted: .*give its authority's certificate as tls\.ca/],
        [nodeOf("", stranger.ca), /^Untrusted: .*signed by itself/],
        [nodeOf("", elsewhere), /^Untrusted: .*it is for .*redis\.example, and not for 127\.0\.0\.1/],
        [nodeOf("", expired), /^Untrusted: .*has expired/],
        [nodeOf("", future), /^Untrusted: .*is not valid yet/],
        [nodeOf("", client), /^Untrusted: .*for another purpose/],
        [nodeOf("", { ...weak, ...lax }), /^Untrusted: .*key too weak/],
        [nodeOf("", { ...server, ...lax, ...old }), /^Untrusted: .*no version of TLS in common/],
        [midway((socket) => socket.end("-ERR Protocol error\r\n")), /^Untrusted: .*what answered is not TLS/],
        [peerThat((socket) => socket.end()), /^Dropped: .*in the middle of the TLS handshake/],
        [midway((socket) => socket.end(half)), /^Dropped: .*in the middle of the TLS handshake/],
        [midway((socket) => socket.resetAndDestroy()), /^Dropped: .*in the middle of the TLS handshake/],
        [rawServer((_, { socket }) => void socket.end(), server), /^Dropped: .*after it agreed on TLS/]
      ] as const
      for (const [target, why] of targets) {
        assert.match(yield* follow(from, `${host}:${(yield* target).port}`), why)
        assert.strictEqual(yield* where, "FROM")
      }
      assert.deepStrictEqual([from.connections.length, from.closed], [1, []])
      // The announced time of the last one is not over.
      assert.match(yield* nextEnd(() => from.connections[0]!.socket.end()), /^Dropped/)
      assert.strictEqual(from.connections.length, 2)
      const to = yield* nodeOf("TO", server)
      assert.strictEqual(yield* follow(from, `${host}:${to.port}`), "Completed")
      assert.strictEqual(yield* where, "TO")
      noneFailed()
    }))

  it.live("is tried again in time, and followed when it has another certificate by then", () =>
    Effect.gen(function*() {
      const from = yield* nodeOf("FROM", server)
      const contexts = [expired, stranger.server, server].map((shown) => Tls.createSecureContext(shown))
      const to = yield* nodeOf("TO", { ...server, SNICallback: (_, done) => done(null, contexts.shift()) })
      const maintenance = { maxHandoffRetries: 3, handoffTimeout: "4 seconds" } as const
      const { follow, handoffs, where } = yield* clientOf(from.port, { tls, maintenance })
      assert.strictEqual(yield* follow(from, `localhost:${to.port}`), "Completed")
      assert.strictEqual(yield* where, "TO")
      const whys = handoffs.flatMap((event) => event._tag === "Retried" ? [event.error.message] : [])
      assert.lengthOf(whys, 2)
      assert.include(whys[0], "has expired")
      assert.include(whys[1], "tls.ca")
    }))

  const silent = Effect.gen(function*() {
    const open = new Set<Net.Socket>()
    const { port } = yield* peerThat((socket) => {
      open.add(socket.resume())
      socket.on("close", () => open.delete(socket))
    })
    return { open, at: `${host}:${port}` }
  })

  it.live("because it says nothing has its time, and keeps no socket", () =>
    Effect.gen(function*() {
      const from = yield* nodeOf("FROM", server)
      const { at, open } = yield* silent
      const { follow, where } = yield* clientOf(from.port, { tls, maintenance: { handoffTimeout: "1 second" } })
      assert.match(yield* follow(from, at), /^TimedOut: .*does not answer the TLS handshake/)
      assert.strictEqual(yield* where, "FROM")
      yield* waitUntil(Effect.sync(() => open.size === 0))
    }))

  it.live("because it says nothing is not waited for when another is named, and keeps no socket", () =>
    Effect.gen(function*() {
      const from = yield* nodeOf("FROM", server)
      const to = yield* nodeOf("TO", server)
      const { at, open } = yield* silent
      const maintenance = { handoffTimeout: "1 hour" } as const
      const { announce, follow, handoffs, where } = yield* clientOf(from.port, { tls, maintenance })
      announce(from, at)
      yield* waitUntil(Effect.sync(() => open.size === 1))
      assert.strictEqual(yield* follow(from, `${host}:${to.port}`), "Completed")
      assert.deepStrictEqual(handoffs.slice(-3).map(({ _tag }) => _tag), ["Superseded", "Started", "Completed"])
      assert.strictEqual(yield* where, "TO")
      yield* waitUntil(Effect.sync(() => open.size === 0))
    }))

  it.live("brings no secret into an event, an error or a line of the log, whatever it says", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = Logger.layer([Logger.make(({ cause, fiber, message }) => {
        lines.push(printed([message, cause, fiber.getRef(References.CurrentLogAnnotations)]))
      })])
      const key = encrypted("s3cret-phrase")
      const from = yield* nodeOf("FROM", server)
      const { follow, handoffs, redis } = yield* loudClientOf(from.port, {
        tls: { ...tls, cert: client.cert, key: Redacted.make(key), passphrase: Redacted.make("s3cret-phrase") },
        credentials: { password: Redacted.make("s3cret-word") },
        maintenance: { maxHandoffRetries: 1, handoffTimeout: "2 seconds", logLevel: "Debug" }
      }).pipe(Effect.provide(log), Effect.provideService(References.MinimumLogLevel, "Trace"))
      const parrot = yield* rawServer((words) => `-ERR do not know ${words.join(" ")}\r\n`, server)
      const refusing = yield* startTls(server, ca, ...strangersOnly)
      const said: Array<string> = []
      for (const { port } of [parrot, refusing, yield* nodeOf("", expired)]) {
        said.push(yield* follow(from, `${host}:${port}`))
      }
      assert.include(said[0], "***")
      const text = [...said, ...lines, printed(handoffs), printed(yield* redis.status)].join("\n")
      assert.include(text, "handoff failed")
      for (const secret of ["s3cret", "PRIVATE", key.split("\n")[1]!]) assert.notInclude(text, secret)
    }))
})

describe("a move of connections with TLS", () => {
  it.live("loses, doubles and fails nothing on any kind of them, before a real server with TLS", () =>
    Effect.gen(function*() {
      const real = yield* startTls(server, ca)
      const direct = yield* connectDirectly(real, { tls })
      const deployment = yield* deploy(["a", "b", "c"], {
        listen: (port) => NodeSocketServer.makeTls({ host, port, noDelay: true, cert: server.cert, key: server.key }),
        upstream: NodeSocket.makeTls({ host, port: real.port, ...tls })
      })
      const { handoffs, redis } = yield* connect(deployment, "a", { poolSize: 1, tls })
      const reserved = yield* redis.reserve
      const cache = yield* redis.cache({ capacity: 10, timeToLive: "1 hour" })
      const [heard, taken]: [Array<string>, Array<string>] = [[], []]
      const counts = { shared: 0, reserved: 0, cached: 0, given: 0 }
      const stream = yield* redis.subscription({ channels: ["news"] })
      yield* start(
        Stream.runForEach(
          stream,
          (message) => Effect.sync(() => heard.push(message._tag === "Published" ? message.message : message.why))
        )
      )
      const blocking = yield* start(Effect.forever(Effect.map(
        redis.send<[string, string]>("BLPOP", "list", 0),
        ([, job]) => taken.push(job)
      )))
      const state = { isWorking: true }
      const untilDone = <E>(work: Effect.Effect<unknown, E>) =>
        Effect.repeat(Effect.delay(work, "2 millis"), { while: () => state.isWorking })
      const count = (on: HitlessRedis.Sender, name: "shared" | "reserved") =>
        untilDone(Effect.tap(on.send("INCR", name), () => Effect.sync(() => counts[name]++)))
      const working = yield* start(Effect.all([
        count(redis, "shared"),
        count(redis, "shared"),
        count(reserved, "reserved"),
        untilDone(Effect.map(cache.run(Commands.get("shared")), (value) => {
          assert.isAtLeast(Number(value), counts.cached)
          counts.cached = Number(value)
        })),
        untilDone(Effect.suspend(() => {
          const number = counts.given++
          return direct.pipeline([["PUBLISH", "news", number], ["RPUSH", "list", number]])
        }))
      ], { concurrency: "unbounded", discard: true }))
      for (const [from, to, name] of [["a", "b", host], ["b", "c", "localhost"]] as const) {
        const before = { ...counts }
        yield* waitUntil(Effect.sync(() => counts.cached > before.cached && taken.length > before.given))
        const target = `${name}:${(deployment.endpoint(to) as { readonly port: number }).port}`
        yield* deployment.moving(from, { target: { raw: target }, time: "10 seconds" })
        for (const kind of ["shared", "reserved", "subscriber", "cache"]) {
          yield* waitUntil(
            Effect.sync(() =>
              handoffs.some((event) => event._tag === "Completed" && event.to === target && event.kind === kind)
            )
          )
        }
        yield* waitUntil(Effect.map(deployment.connections(from), (connections) => connections === 0))
      }
      state.isWorking = false
      yield* Fiber.join(working)
      yield* waitUntil(Effect.sync(() => heard.length >= counts.given && taken.length >= counts.given))
      const all = Array.from({ length: counts.given }, (_, number) => String(number))
      assert.deepStrictEqual([heard, taken], [all, all])
      assert.isUndefined(blocking.pollUnsafe(), "it has ended")
      assert.deepStrictEqual(
        yield* direct.send("MGET", "shared", "reserved"),
        [String(counts.shared), String(counts.reserved)]
      )
      assert.deepStrictEqual(handoffs.filter(({ _tag }) => _tag === "Failed" || _tag === "Retried"), [])
    }).pipe(Effect.scoped))

  it.live.each<[how: string, end: (socket: Net.Socket) => void]>([
    ["answers and says that it ends, as TLS does", (socket) => socket.end("+LATE\r\n")],
    ["answers and ends without a word of TLS", (socket) => socket.write("+LATE\r\n", () => socket.destroy())],
    ["answers and waits for the client to end", (socket) => socket.write("+LATE\r\n")]
  ])("has what the old node owes when that %s", ([_, end]) =>
    Effect.gen(function*() {
      const asked: Array<string | undefined> = []
      const from = yield* nodeOf("FROM", server, ([name]) => void asked.push(name))
      const to = yield* nodeOf("TO", server)
      const { follow, redis, where } = yield* clientOf(from.port, { tls })
      const slow = yield* start(redis.send("SLOW"))
      yield* waitUntil(Effect.sync(() => asked.includes("SLOW")))
      assert.strictEqual(yield* follow(from, `localhost:${to.port}`), "Completed")
      assert.strictEqual(yield* where, "TO")
      end(from.connections[0]!.socket)
      assert.strictEqual(yield* Fiber.join(slow), "LATE")
      yield* waitUntil(Effect.map(redis.status, ({ draining }) => draining === 0 && from.closed.length === 1))
    }))
})

describe("a client without TLS", () => {
  it.live.each(["port", "socket"])("starts none for a move from a %s", (node) =>
    Effect.gen(function*() {
      const path = `${yield* folder}/node.sock`
      const deployment = yield* deploy([node], {
        listen: (port) => NodeSocketServer.make(node === "socket" ? { path } : { host, port, noDelay: true })
      })
      const { handoffs, redis } = yield* connect(deployment, node, {
        ...(node === "socket" ? { path, host: undefined, port: undefined } : {}),
        poolSize: 1,
        maintenance: { maxHandoffRetries: 0 }
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
      const begun: Array<number | undefined> = []
      const watched = yield* peer((socket) =>
        socket.once("data", (chunk) => {
          begun.push(chunk[0])
          socket.destroy()
        })
      )
      const secure = yield* nodeOf("SECURE", server)
      const plain = yield* rawServer((words) => answerHandshake(words) ?? "+PLAIN\r\n")
      const ends = () => handoffs.flatMap(({ _tag }) => _tag === "Completed" || _tag === "Failed" ? [_tag] : [])
      for (const [index, port] of [watched, secure.port, plain.port].entries()) {
        yield* deployment.push(node, ["MOVING", index + 1, 1, `localhost:${port}`])
        yield* waitUntil(Effect.sync(() => ends().length > index))
      }
      assert.deepStrictEqual(ends(), ["Failed", "Failed", "Completed"])
      // The beginning of an array, and not of a TLS record.
      assert.deepStrictEqual(begun, [0x2a])
      assert.deepStrictEqual(secure.connections, [])
      assert.strictEqual(yield* redis.send("WHERE"), "PLAIN")
    }))
})
