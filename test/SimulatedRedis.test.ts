import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Endpoint from "../src/Endpoint.ts"
import * as SimulatedRedis from "../src/testing/SimulatedRedis.ts"
import { startRedis } from "./support/redisServer.ts"

// ----- a client that sees bytes -----

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1")

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

const command = (words: ReadonlyArray<string>): string => `*${words.length}\r\n${words.map(bulk).join("")}`

interface Client {
  /** Writes commands, each of words parted by one space, as one chunk. */
  readonly send: (...commands: ReadonlyArray<string | ReadonlyArray<string>>) => Effect.Effect<void, Socket.SocketError>
  readonly sendRaw: (text: string) => Effect.Effect<void, Socket.SocketError>
  /** Takes as many bytes as `text` has and compares them. */
  readonly expect: (text: string) => Effect.Effect<void, Socket.SocketError>
  readonly take: (length: number) => Effect.Effect<string, Socket.SocketError>
  /** Everything not yet taken when the server closes. */
  readonly rest: Effect.Effect<string>
}

const connectTo = Effect.fnUntraced(function*(options: Parameters<typeof NodeSocket.makeNet>[0]) {
  const socket = yield* NodeSocket.makeNet(options)
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  let received = ""
  const more = Effect.map(pull, (chunks) => {
    received += Buffer.concat(chunks).toString("latin1")
  })
  const take = (length: number) =>
    Effect.gen(function*() {
      while (received.length < length) yield* more
      const text = received.slice(0, length)
      received = received.slice(length)
      return text
    })
  const client: Client = {
    send: (...commands) =>
      writer.write(bytes(commands.map((one) => command(typeof one === "string" ? one.split(" ") : one)).join(""))),
    sendRaw: (text) => writer.write(bytes(text)),
    take,
    expect: (text) => Effect.map(take(text.length), (taken) => assert.strictEqual(taken, text)),
    rest: Effect.ignore(Effect.forever(more)).pipe(Effect.map(() => received))
  }
  return client
})

const connect = (redis: SimulatedRedis.SimulatedRedis, node: string) => {
  const endpoint = redis.endpoint(node)
  assert(endpoint._tag === "Tcp")
  return connectTo({ host: endpoint.host, port: endpoint.port })
}

/** A connection on RESP3 that opted in. */
const optIn = Effect.fnUntraced(function*(redis: SimulatedRedis.SimulatedRedis, node: string, endpointType?: string) {
  const client = yield* connect(redis, node)
  yield* client.send("HELLO 3")
  yield* client.take(hello(3, 1).length)
  yield* client.send(
    endpointType === undefined
      ? "CLIENT MAINT_NOTIFICATIONS ON"
      : `CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type ${endpointType}`
  )
  yield* client.expect("+OK\r\n")
  return client
})

const hello = (protocol: 2 | 3, id: number): string =>
  (protocol === 3 ? "%7\r\n" : "*14\r\n") +
  `$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:${protocol}\r\n$2\r\nid\r\n:${id}\r\n` +
  "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"

const make = (options: Partial<SimulatedRedis.Options> = {}) =>
  SimulatedRedis.make({
    listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
    nodes: ["a", "b"],
    ...options
  })

/** Waits, in real time, until a client on `node` sees that `key` exists. */
const untilExists = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, node: string, key: string) {
    const client = yield* connect(redis, node)
    while (true) {
      yield* client.send(`EXISTS ${key}`)
      if ((yield* client.take(4)) === ":1\r\n") return
    }
  },
  Effect.scoped
)

const untilConnections = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, node: string, connections: number) {
    while ((yield* redis.connections(node)) !== connections) yield* TestClock.withLive(Effect.sleep(1))
  }
)

const events = Effect.fnUntraced(function*(redis: SimulatedRedis.SimulatedRedis, ...tags: ReadonlyArray<string>) {
  return (yield* redis.log).filter(({ event }) => tags.includes(event._tag)).map(({ event, node }) => ({
    node,
    ...event
  }))
})

describe("SimulatedRedis", () => {
  describe("handshake", () => {
    it.effect("answers the burst of a RESP3 client in order", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        yield* client.send(
          "HELLO 3 SETNAME app",
          "SELECT 2",
          "CLIENT SETINFO LIB-NAME hitless",
          "CLIENT SETINFO LIB-VER 0.1.0",
          "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip",
          "CLIENT GETNAME",
          "CLIENT ID"
        )
        yield* client.expect(`${hello(3, 1)}+OK\r\n+OK\r\n+OK\r\n+OK\r\n$3\r\napp\r\n:1\r\n`)
        const list = "id=1 addr=client:1 name=app flags=N db=2 sub=0 psub=0 ssub=0 multi=-1 watch=0 cmd=client|list " +
          "user=default redir=-1 resp=3 lib-name=hitless lib-ver=0.1.0\n"
        yield* client.send("CLIENT LIST")
        yield* client.expect(`=${list.length + 4}\r\ntxt:${list}\r\n`)
      }))

    it.effect("answers a RESP2 client", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        yield* client.send("HELLO 2", "HELLO", "CLIENT GETNAME", "HGETALL none", "PING")
        yield* client.expect(`${hello(2, 1)}${hello(2, 1)}$-1\r\n*0\r\n+PONG\r\n`)
      }))

    it.effect("refuses RESP3 as servers without it do", () =>
      Effect.gen(function*() {
        const resp2 = yield* connect(yield* make({ hello: "resp2" }), "a")
        yield* resp2.send("HELLO 3", "HELLO 2")
        yield* resp2.expect(`-NOPROTO unsupported protocol version\r\n${hello(2, 1)}`)
        const unknown = yield* connect(yield* make({ hello: "unknown" }), "a")
        yield* unknown.send("HELLO 3", "PING")
        yield* unknown.expect("-ERR unknown command 'HELLO', with args beginning with: '3' \r\n+PONG\r\n")
      }))

    it.effect("refuses maintenance notifications as other servers do", () =>
      Effect.gen(function*() {
        const unsupported = yield* connect(yield* make({ maintenance: "unsupported" }), "a")
        yield* unsupported.send("CLIENT MAINT_NOTIFICATIONS ON")
        yield* unsupported.expect("-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n")
        const disabled = yield* connect(yield* make({ maintenance: "disabled" }), "a")
        yield* disabled.send("CLIENT MAINT_NOTIFICATIONS ON")
        yield* disabled.expect("-ERR maintenance notifications are disabled for this database\r\n")
        const supported = yield* connect(yield* make(), "a")
        yield* supported.send("CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type nonsense")
        yield* supported.expect("-ERR syntax error\r\n")
      }))

    it.effect("checks credentials where there are users", () =>
      Effect.gen(function*() {
        const redis = yield* make({ users: { default: Redacted.make("one"), app: Redacted.make("two") } })
        const client = yield* connect(redis, "a")
        const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        yield* client.send("GET k", "AUTH no", "HELLO 3 AUTH app one", "AUTH one", "GET k")
        yield* client.expect(`-NOAUTH Authentication required.\r\n${wrong}${wrong}+OK\r\n$-1\r\n`)
        yield* client.send("RESET", "HELLO 3", "HELLO 3 AUTH app two")
        yield* client.expect("+RESET\r\n-NOAUTH HELLO must be called with the client already authenticated, otherwise ")
        yield* client.expect("the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and ")
        yield* client.expect(`select the RESP protocol version at the same time\r\n${hello(3, 1)}`)
      }))

    it.effect("can hang before or after HELLO, for connections accepted from then on", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const before = yield* connect(redis, "a")
        yield* untilConnections(redis, "a", 1)
        yield* redis.handshake("a", { _tag: "HangBeforeHello" })
        const silent = yield* connect(redis, "a")
        yield* untilConnections(redis, "a", 2)
        yield* redis.handshake("a", { _tag: "HangAfterHello" })
        const late = yield* connect(redis, "a")
        yield* silent.send("HELLO 3", "PING")
        yield* late.send("HELLO 3", "PING")
        yield* late.expect(hello(3, 3))
        yield* before.send("PING")
        yield* before.expect("+PONG\r\n")
        yield* redis.kill("a")
        assert.strictEqual(yield* silent.rest, "")
        assert.strictEqual(yield* late.rest, "")
      }))

    it.effect("can answer NOAUTH, or cut the answer after some bytes", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        yield* redis.handshake("a", { _tag: "NoAuth" })
        const refused = yield* connect(redis, "a")
        yield* refused.send("PING")
        yield* refused.expect("-NOAUTH Authentication required.\r\n")
        yield* redis.handshake("a", { _tag: "DropAfterBytes", bytes: 9 })
        const cut = yield* connect(redis, "a")
        yield* cut.send("HELLO 3", "PING")
        assert.strictEqual(yield* cut.rest, hello(3, 2).slice(0, 9))
        yield* redis.handshake("a", { _tag: "DropAfterBytes", bytes: 0 })
        const dropped = yield* connect(redis, "a")
        yield* dropped.send("HELLO 3")
        assert.strictEqual(yield* dropped.rest, "")
        assert.deepStrictEqual((yield* events(redis, "Closed")).map((event) => "by" in event && event.by), [
          "handshake",
          "handshake"
        ])
      }))

    it.effect("delays the answer to HELLO and what comes after it", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        yield* redis.handshake("a", { _tag: "Answer", delay: "200 millis" })
        const slow = yield* connect(redis, "a")
        const never = yield* connect(redis, "a")
        yield* never.send("HELLO 3", "SET never 1")
        yield* untilExists(redis, "b", "never")
        yield* redis.kill("a")
        assert.strictEqual(yield* never.rest, "")
        assert.strictEqual(yield* slow.rest, "")
        const client = yield* connect(redis, "a")
        yield* client.send("PING", "HELLO 3", "SET k 1")
        yield* client.expect("+PONG\r\n")
        yield* untilExists(redis, "b", "k")
        yield* TestClock.adjust("200 millis")
        yield* client.take(hello(3, 1).length)
        yield* client.expect("+OK\r\n")
      }))

    it.effect("says what is wrong with bytes that are no command, and closes", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.sendRaw(`${command(["PING"])}*1\r\n:1\r\n${command(["PING"])}`)
        const answer = "+PONG\r\n-ERR Protocol error: expected an array of bulk strings\r\n"
        assert.strictEqual(yield* client.rest, answer)
        const other = yield* connect(redis, "a")
        yield* other.sendRaw("*x\r\n")
        assert.match(yield* other.rest, /^-ERR Protocol error: .*\r\n$/)
      }))

    it.effect("answers QUIT and closes", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        yield* client.send("PING", "QUIT", "PING")
        assert.strictEqual(yield* client.rest, "+PONG\r\n+OK\r\n")
      }))
  })

  describe("announcements", () => {
    it.effect("sends each as servers do, with numbers that all types share", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* optIn(redis, "a")
        const target = Endpoint.format(redis.endpoint("b"))
        yield* redis.migrating("a", { time: "10 seconds", shards: ["1", "2"] })
        yield* client.expect(">4\r\n$9\r\nMIGRATING\r\n:1\r\n:10\r\n$9\r\n[\"1\",\"2\"]\r\n")
        yield* redis.migrated("a", { shards: ["1", "2"] })
        yield* client.expect(">3\r\n$8\r\nMIGRATED\r\n:2\r\n$9\r\n[\"1\",\"2\"]\r\n")
        yield* redis.failingOver("a", { time: "1500 millis", seq: 40 })
        yield* client.expect(">4\r\n$12\r\nFAILING_OVER\r\n:40\r\n:2\r\n$5\r\n[\"1\"]\r\n")
        yield* redis.failedOver("a")
        yield* client.expect(">3\r\n$11\r\nFAILED_OVER\r\n:41\r\n$5\r\n[\"1\"]\r\n")
        yield* redis.moving("a", { target: "b", time: "15 seconds" })
        yield* client.expect(`>4\r\n$6\r\nMOVING\r\n:42\r\n:15\r\n${bulk(target)}`)
        yield* redis.moving("a", { target: null, time: "15 seconds" })
        yield* client.expect(">4\r\n$6\r\nMOVING\r\n:43\r\n:15\r\n_\r\n")
        yield* redis.moving("a", { target: { raw: "null" }, time: "15 seconds", seq: 43 })
        yield* client.expect(">4\r\n$6\r\nMOVING\r\n:43\r\n:15\r\n$4\r\nnull\r\n")
      }))

    it.effect("sends any push, malformed ones too", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* optIn(redis, "a")
        yield* redis.push("a", ["SMIGRATED", 5, [["127.0.0.1:6379", "127.0.0.1:6380", "123,456,789-1000"]]])
        yield* client.expect(
          ">3\r\n$9\r\nSMIGRATED\r\n:5\r\n*1\r\n*3\r\n$14\r\n127.0.0.1:6379\r\n$14\r\n127.0.0.1:6380\r\n" +
            "$16\r\n123,456,789-1000\r\n"
        )
        yield* redis.push("a", bytes(">2\r\n+MOVING\r\n"))
        yield* client.expect(">2\r\n+MOVING\r\n")
      }))

    it.effect("reaches the connections of the node that opted in, and no others", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const first = yield* optIn(redis, "a")
        const second = yield* optIn(redis, "a", "external-fqdn")
        const elsewhere = yield* optIn(redis, "b")
        const optedOut = yield* optIn(redis, "a")
        yield* optedOut.send("CLIENT MAINT_NOTIFICATIONS OFF")
        yield* optedOut.expect("+OK\r\n")
        const resp2 = yield* connect(redis, "a")
        yield* resp2.send("CLIENT MAINT_NOTIFICATIONS ON")
        yield* resp2.expect("+OK\r\n")
        const silent = yield* connect(redis, "a")
        yield* silent.send("PING")
        yield* silent.expect("+PONG\r\n")
        yield* redis.migrating("a", { time: "1 second" })
        const push = ">4\r\n$9\r\nMIGRATING\r\n:1\r\n:1\r\n$5\r\n[\"1\"]\r\n"
        yield* first.expect(push)
        yield* second.expect(push)
        for (const client of [first, second, elsewhere, optedOut, resp2, silent]) {
          yield* client.send("PING")
          yield* client.expect("+PONG\r\n")
        }
        assert.deepStrictEqual((yield* events(redis, "Announced")) as ReadonlyArray<unknown>, [
          { node: "a", _tag: "Announced", push: "MIGRATING", seq: 1, connections: 2 }
        ])
      }))

    it.effect("names no target to a connection that asked for none", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* optIn(redis, "a", "none")
        yield* redis.moving("a", { target: "b", time: "15 seconds" })
        yield* client.expect(">4\r\n$6\r\nMOVING\r\n:1\r\n:15\r\n_\r\n")
      }))

    it.effect("repeats what is in progress before, and the last completion after, the answer to opting in", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        yield* redis.migrating("a", { time: "10 seconds" })
        yield* redis.moving("a", { target: { raw: "10.0.0.5:12000" }, time: "15 seconds" })
        yield* redis.failingOver("b", { time: "10 seconds" })
        yield* redis.failedOver("b")
        const client = yield* connect(redis, "a")
        yield* client.send("HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON", "PING")
        yield* client.expect(hello(3, 1))
        yield* client.expect(">4\r\n$9\r\nMIGRATING\r\n:1\r\n:10\r\n$5\r\n[\"1\"]\r\n")
        yield* client.expect(">4\r\n$6\r\nMOVING\r\n:2\r\n:15\r\n$14\r\n10.0.0.5:12000\r\n")
        yield* client.expect("+OK\r\n>3\r\n$11\r\nFAILED_OVER\r\n:4\r\n$5\r\n[\"1\"]\r\n+PONG\r\n")
        yield* redis.migrated("a")
        yield* TestClock.adjust("15 seconds")
        const next = yield* connect(redis, "a")
        yield* next.send("HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON", "PING")
        yield* next.expect(`${hello(3, 2)}+OK\r\n>3\r\n$8\r\nMIGRATED\r\n:5\r\n$5\r\n["1"]\r\n+PONG\r\n`)
      }))

    it.effect("closes the connections of a retired node when the announced time is over, and goes on listening", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const old = yield* optIn(redis, "a")
        const elsewhere = yield* optIn(redis, "b")
        yield* redis.moving("a", { target: "b", time: "15 seconds" })
        const late = yield* connect(redis, "a")
        yield* TestClock.adjust("14999 millis")
        yield* late.send("PING")
        yield* late.expect("+PONG\r\n")
        yield* TestClock.adjust("1 millis")
        assert.match(yield* old.rest, /MOVING/)
        assert.strictEqual(yield* late.rest, "")
        yield* elsewhere.send("PING")
        yield* elsewhere.expect("+PONG\r\n")
        const again = yield* connect(redis, "a")
        yield* again.send("PING")
        yield* again.expect("+PONG\r\n")
        assert.strictEqual(yield* redis.accepted("a"), 3)
        assert.strictEqual(yield* redis.connections("a"), 1)
        assert.deepStrictEqual((yield* events(redis, "Retired", "Closed")) as ReadonlyArray<unknown>, [
          { node: "a", _tag: "Retired", connections: 2 },
          { node: "a", _tag: "Closed", connection: 1, by: "retirement" },
          { node: "a", _tag: "Closed", connection: 3, by: "retirement" }
        ])
      }))
  })

  describe("faults", () => {
    it.effect("refuses new connections while the present ones stay, and accepts on the same port again", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* untilConnections(redis, "a", 1)
        const endpoint = redis.endpoint("a")
        yield* redis.refuse("a")
        yield* redis.refuse("a")
        const refused = yield* Effect.flip(connect(redis, "a"))
        assert(refused.reason._tag === "SocketOpenError")
        assert.propertyVal(refused.reason.cause, "code", "ECONNREFUSED")
        yield* client.send("PING")
        yield* client.expect("+PONG\r\n")
        yield* redis.accept("a")
        yield* redis.accept("a")
        assert.deepStrictEqual(redis.endpoint("a"), endpoint)
        const next = yield* connect(redis, "a")
        yield* next.send("PING")
        yield* next.expect("+PONG\r\n")
        yield* client.send("PING")
        yield* client.expect("+PONG\r\n")
        assert.strictEqual(yield* redis.connections("a"), 2)
      }))

    it.effect("executes nothing while it stalls, and everything in order after it", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* optIn(redis, "a")
        yield* redis.stall("a", "2 seconds")
        yield* redis.stall("a", "1 second")
        yield* client.send("SET k 1", "INCR k")
        yield* client.send("INCR k", "GET k")
        yield* TestClock.adjust("1999 millis")
        yield* redis.migrating("a", { time: "1 second" })
        yield* client.expect(">4\r\n$9\r\nMIGRATING\r\n:1\r\n:1\r\n$5\r\n[\"1\"]\r\n")
        const elsewhere = yield* connect(redis, "b")
        yield* elsewhere.send("GET k")
        yield* elsewhere.expect("$-1\r\n")
        yield* TestClock.adjust("1 millis")
        yield* client.expect("+OK\r\n:2\r\n:3\r\n$1\r\n3\r\n")
      }))

    it.live("sleeps in DEBUG SLEEP and answers it when it wakes up", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("SET k 1", "DEBUG SLEEP 0.05", "INCR k")
        yield* client.expect("+OK\r\n")
        const elsewhere = yield* connect(redis, "b")
        yield* elsewhere.send("GET k")
        yield* elsewhere.expect("$1\r\n1\r\n")
        yield* client.expect("+OK\r\n:2\r\n")
      }))

    it.effect("delays what it sends and keeps its order", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* optIn(redis, "a")
        yield* redis.latency("a", "100 millis")
        yield* client.send("SET first 1")
        yield* untilExists(redis, "b", "first")
        yield* redis.migrating("a", { time: "1 second" })
        // What is sent without latency may not overtake what was sent with it.
        yield* redis.latency("a", 0)
        yield* client.send("SET second 1", "PING")
        yield* untilExists(redis, "b", "second")
        const killed = yield* connect(redis, "b")
        yield* redis.latency("b", "1 hour")
        yield* killed.send("SET third 1")
        yield* untilExists(redis, "a", "third")
        yield* redis.kill("b")
        assert.strictEqual(yield* killed.rest, "")
        yield* TestClock.adjust("100 millis")
        yield* client.expect("+OK\r\n>4\r\n$9\r\nMIGRATING\r\n:1\r\n:1\r\n$5\r\n[\"1\"]\r\n+OK\r\n+PONG\r\n")
      }))

    it.effect("kills the connections of a node", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const killed = yield* connect(redis, "a")
        const elsewhere = yield* connect(redis, "b")
        yield* untilConnections(redis, "a", 1)
        yield* redis.kill("a")
        assert.strictEqual(yield* redis.connections("a"), 0)
        assert.strictEqual(yield* killed.rest, "")
        yield* elsewhere.send("PING")
        yield* elsewhere.expect("+PONG\r\n")
      }))

    it.effect("forgets a connection that its client closed", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* connect(redis, "a")
          yield* client.send("SUBSCRIBE news")
          yield* client.expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        }))
        yield* untilConnections(redis, "a", 0)
        const client = yield* connect(redis, "a")
        yield* client.send("PUBLISH news x")
        yield* client.expect(":0\r\n")
        assert.deepStrictEqual((yield* events(redis, "Closed")) as ReadonlyArray<unknown>, [
          { node: "a", _tag: "Closed", connection: 1, by: "client" }
        ])
      }))

    it.effect("does not wait for a client that does not read when it closes it", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const redis = yield* Scope.provide(make(), scope)
        for (const node of ["a", "b"]) {
          const endpoint = redis.endpoint(node)
          assert(endpoint._tag === "Tcp")
          const idle = yield* NodeSocket.makeNet({ host: endpoint.host, port: endpoint.port })
          yield* idle.reader
          const writer = yield* idle.writer
          // More than the kernel holds for who does not read.
          yield* writer.write(bytes(command(["SET", "k", "x".repeat(8_000_000)]) + command(["GET", "k"])))
          yield* untilExists(redis, node, "k")
          yield* untilConnections(redis, node, 1)
        }
        yield* redis.drop("a")
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* Effect.all([redis.connections("a"), redis.connections("b")]), [0, 0])
      }))

    it.effect("leaves nothing open when its scope closes", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const redis = yield* Scope.provide(make(), scope)
        const first = yield* optIn(redis, "a")
        const second = yield* connect(redis, "b")
        yield* untilConnections(redis, "b", 1)
        yield* redis.moving("a", { target: "b", time: "15 seconds" })
        yield* redis.latency("b", "1 hour")
        yield* redis.stall("a", "1 hour")
        yield* second.send("PING")
        yield* first.send("PING")
        yield* redis.refuse("b")
        yield* Scope.close(scope, Exit.void)
        assert.match(yield* first.rest, /MOVING/)
        assert.strictEqual(yield* second.rest, "")
        assert.deepStrictEqual((yield* events(redis, "Closed")) as ReadonlyArray<unknown>, [
          { node: "a", _tag: "Closed", connection: 1, by: "shutdown" },
          { node: "b", _tag: "Closed", connection: 2, by: "shutdown" }
        ])
        yield* TestClock.adjust("15 seconds")
        assert.deepStrictEqual(yield* events(redis, "Retired"), [])
        for (const node of ["a", "b"]) {
          assert.strictEqual(yield* redis.connections(node), 0)
          assert.strictEqual((yield* Effect.flip(connect(redis, node))).reason._tag, "SocketOpenError")
        }
      }))
  })

  describe("transactions and subscriptions", () => {
    it.effect("runs a transaction, or none of it", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        yield* client.send("MULTI", "SET k 1", "INCR k", "LPUSH k x", "EXEC")
        yield* client.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:2\r\n")
        yield* client.expect("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
        yield* client.send("MULTI", "INCR k", "NOPE", "EXEC", "GET k")
        yield* client.expect("+OK\r\n+QUEUED\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n")
        yield* client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n2\r\n")
        yield* client.send("MULTI", "INCR k", "DISCARD", "GET k", "EXEC", "DISCARD")
        yield* client.expect("+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n2\r\n")
        yield* client.expect("-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n")
        yield* client.send("MULTI", "MULTI", "WATCH k", "EXEC")
        yield* client.expect("+OK\r\n-ERR MULTI calls can not be nested\r\n")
        yield* client.expect("-ERR WATCH inside MULTI is not allowed\r\n*0\r\n")
      }))

    it.effect("aborts a transaction whose watched key changed or expired", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* client.send("SET k 1", "WATCH k x")
        yield* client.expect("+OK\r\n+OK\r\n")
        yield* other.send("SET x 1")
        yield* other.expect("+OK\r\n")
        yield* client.send("MULTI", "INCR k", "EXEC", "MULTI", "INCR k", "EXEC")
        yield* client.expect("+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n")
        yield* client.send("WATCH k", "UNWATCH")
        yield* client.expect("+OK\r\n+OK\r\n")
        yield* other.send("INCR k")
        yield* other.expect(":3\r\n")
        yield* client.send("HELLO 3", "MULTI", "GET k", "EXEC", "PEXPIRE k 100", "WATCH k")
        yield* client.take(hello(3, 1).length)
        yield* client.expect("+OK\r\n+QUEUED\r\n*1\r\n$1\r\n3\r\n:1\r\n+OK\r\n")
        yield* TestClock.adjust("100 millis")
        yield* client.send("MULTI", "GET k", "EXEC")
        yield* client.expect("+OK\r\n+QUEUED\r\n_\r\n")
      }))

    it.effect("carries messages between nodes", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const resp3 = yield* connect(redis, "a")
        const resp2 = yield* connect(redis, "b")
        yield* resp3.send("HELLO 3", "SUBSCRIBE news sport", "GET k")
        yield* resp3.expect(`${hello(3, 1)}>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n`)
        yield* resp3.expect(">3\r\n$9\r\nsubscribe\r\n$5\r\nsport\r\n:2\r\n_\r\n")
        yield* resp2.send("SUBSCRIBE news", "GET k", "PING", "PING hi")
        yield* resp2.expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n-ERR Can't execute 'get': only ")
        yield* resp2.expect("(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n")
        yield* resp2.expect("*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$2\r\nhi\r\n")
        const publisher = yield* connect(redis, "b")
        yield* publisher.send("PUBLISH news hello", "PUBLISH none hello")
        yield* publisher.expect(":2\r\n:0\r\n")
        yield* resp3.expect(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")
        yield* resp2.expect("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")
        yield* resp2.send("UNSUBSCRIBE", "UNSUBSCRIBE", "GET k")
        yield* resp2.expect("*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n")
        yield* resp2.expect("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n$-1\r\n")
      }))
  })

  describe("waiting", () => {
    /** Waits, in real time, until so many clients of `node` wait for an element. */
    const untilBlocked = Effect.fnUntraced(
      function*(redis: SimulatedRedis.SimulatedRedis, node: string, clients: number) {
        const client = yield* connect(redis, node)
        yield* client.send("CLIENT SETNAME watcher")
        yield* client.expect("+OK\r\n")
        while (true) {
          yield* client.send("CLIENT LIST")
          const length = Number((yield* takeLine(client)).slice(1))
          const list = yield* client.take(length + 2)
          if ((list.match(/flags=\w*b/g) ?? []).length === clients) return
        }
      },
      Effect.scoped
    )

    const takeLine = Effect.fnUntraced(function*(client: Client) {
      let line = ""
      while (!line.endsWith("\r\n")) line += yield* client.take(1)
      return line.slice(0, -2)
    })

    const popped = (key: string, value: string) => `*2\r\n${bulk(key)}${bulk(value)}`

    it.effect("ends a wait when the clock says so, and not before", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("BLPOP l 60", "SET after 1")
        yield* untilBlocked(redis, "a", 1)
        yield* TestClock.adjust("59999 millis")
        yield* untilBlocked(redis, "a", 1)
        yield* TestClock.adjust("1 millis")
        yield* client.expect("*-1\r\n+OK\r\n")
        // A wait that was served is not ended a second time.
        yield* client.send("BLPOP l 60")
        yield* untilBlocked(redis, "a", 1)
        const other = yield* connect(redis, "b")
        yield* other.send("RPUSH l x")
        yield* client.expect(popped("l", "x"))
        yield* TestClock.adjust("60 seconds")
        yield* client.send("PING")
        yield* client.expect("+PONG\r\n")
      }))

    it.effect("waits for ever", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("BRPOP l 0")
        yield* untilBlocked(redis, "a", 1)
        yield* TestClock.adjust("365 days")
        yield* untilBlocked(redis, "a", 1)
        const other = yield* connect(redis, "b")
        yield* other.send("RPUSH l x y")
        yield* client.expect(popped("l", "y"))
      }))

    it.effect("serves a client at a stalled node when it executes again, and others before", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const stalled = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* stalled.send("BLPOP l 0")
        yield* untilBlocked(redis, "a", 1)
        yield* redis.stall("a", "5 seconds")
        yield* other.send("RPUSH l 1", "LLEN l", "BLPOP l 0", "RPUSH l 2", "LLEN l")
        yield* other.expect(`:1\r\n:1\r\n${popped("l", "1")}:1\r\n:1\r\n`)
        yield* TestClock.adjust("5 seconds")
        yield* stalled.expect(popped("l", "2"))
      }))

    it.effect("ends a wait at a stalled node when it executes again", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* client.send("HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON", "BLPOP l 1")
        yield* client.expect(`${hello(3, 1)}+OK\r\n`)
        yield* untilBlocked(redis, "a", 1)
        yield* redis.stall("a", "5 seconds")
        yield* TestClock.adjust("2 seconds")
        // Announcements do not wait, so the order tells when the answer came.
        yield* redis.push("a", ["X"])
        yield* TestClock.adjust("3 seconds")
        yield* client.expect(">1\r\n$1\r\nX\r\n_\r\n")
        yield* other.send("RPUSH l x", "LLEN l")
        yield* other.expect(":1\r\n:1\r\n")
      }))

    it.effect("passes messages on to subscribers at a stalled node when it executes again", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* client.send("HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON", "SUBSCRIBE c")
        yield* client.expect(`${hello(3, 1)}+OK\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n`)
        yield* redis.stall("a", "5 seconds")
        yield* other.send("PUBLISH c 1", "PUBLISH c 2")
        yield* other.expect(":1\r\n:1\r\n")
        yield* TestClock.adjust("4999 millis")
        yield* redis.push("a", ["X"])
        yield* TestClock.adjust("1 millis")
        const message = (text: string) => `>3\r\n$7\r\nmessage\r\n${bulk("c")}${bulk(text)}`
        yield* client.expect(`>1\r\n$1\r\nX\r\n${message("1")}${message("2")}`)
        yield* other.send("PUBLISH c 3")
        yield* client.expect(message("3"))
      }))

    it.effect("gives nothing to a client that was killed or closed", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const killed = yield* connect(redis, "a")
        yield* killed.send("BLPOP l 0", "SET after 1")
        const scope = yield* Scope.make()
        const closed = yield* Scope.provide(connect(redis, "b"), scope)
        yield* closed.send("BLPOP l 0")
        yield* untilBlocked(redis, "a", 1)
        yield* untilBlocked(redis, "b", 1)
        yield* redis.kill("a")
        yield* Scope.close(scope, Exit.void)
        yield* untilConnections(redis, "b", 0)
        const other = yield* connect(redis, "b")
        yield* other.send("RPUSH l x", "LRANGE l 0 -1", "EXISTS after")
        yield* other.expect(`:1\r\n*1\r\n${bulk("x")}:0\r\n`)
        assert.strictEqual(yield* killed.rest, "")
      }))

    it.effect("gives nothing to a client that was killed a moment ago, and executes nothing of it", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("BLPOP l 0", "SET after 1")
        yield* untilBlocked(redis, "a", 1)
        const other = yield* connect(redis, "a")
        yield* other.send("CLIENT KILL ID 1", "RPUSH l x", "LLEN l")
        yield* other.expect(":1\r\n:1\r\n:1\r\n")
        yield* untilConnections(redis, "a", 1)
        yield* other.send("EXISTS after")
        yield* other.expect(":0\r\n")
      }))

    it.effect("unblocks clients of the same node alone", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("CLIENT ID", "BLPOP l 0")
        yield* client.expect(":1\r\n")
        yield* untilBlocked(redis, "a", 1)
        const elsewhere = yield* connect(redis, "b")
        yield* elsewhere.send("CLIENT UNBLOCK 1 ERROR")
        yield* elsewhere.expect(":0\r\n")
        const beside = yield* connect(redis, "a")
        yield* beside.send("CLIENT UNBLOCK 1 ERROR")
        yield* beside.expect(":1\r\n")
        yield* client.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
      }))

    it.effect("reads on while a client waits, and answers what is no command in its turn", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("BLPOP l 0")
        yield* untilBlocked(redis, "a", 1)
        yield* client.send("PING")
        yield* client.sendRaw("*1\r\n:1\r\n")
        const together = yield* connect(redis, "a")
        yield* together.sendRaw(`${command(["BLPOP", "l", "0"])}*1\r\n:1\r\n`)
        yield* untilBlocked(redis, "a", 2)
        const other = yield* connect(redis, "b")
        yield* other.send("RPUSH l x y")
        const violation = "-ERR Protocol error: expected an array of bulk strings\r\n"
        assert.strictEqual(yield* client.rest, `${popped("l", "x")}+PONG\r\n${violation}`)
        assert.strictEqual(yield* together.rest, `${popped("l", "y")}${violation}`)
      }))

    it.effect("answers what made the node sleep before what came after it", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        yield* client.send("DEBUG SLEEP 2", "BLPOP l 1", "PING")
        const other = yield* connect(redis, "b")
        yield* other.send("PING")
        yield* other.expect("+PONG\r\n")
        yield* TestClock.adjust("2 seconds")
        yield* client.expect("+OK\r\n")
        yield* untilBlocked(redis, "a", 1)
        yield* TestClock.adjust("1 seconds")
        yield* client.expect("*-1\r\n+PONG\r\n")
        yield* client.sendRaw(`${command(["DEBUG", "SLEEP", "1"])}*1\r\n:1\r\n`)
        const another = yield* connect(redis, "b")
        yield* another.send("PING")
        yield* another.expect("+PONG\r\n")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* client.rest, "+OK\r\n-ERR Protocol error: expected an array of bulk strings\r\n")
      }))
  })

  describe("conditions", () => {
    const readOnly = "READONLY You can't write against a read only replica."
    const loading = "LOADING Redis is loading the dataset in memory"

    it.effect("a replica refuses to write, alone or in a transaction or a script", () =>
      Effect.gen(function*() {
        const set = "return redis.call('SET', KEYS[1], 'x')"
        const redis = yield* make({ scripts: [{ lua: set, run: (redis, [key]) => redis.call("SET", key, "x") }] })
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* client.send("SET k 1", "MULTI", "SET k 2")
        yield* client.expect("+OK\r\n+OK\r\n+QUEUED\r\n")
        yield* redis.readonly("a", "10 seconds")
        yield* client.send("EXEC", "GET k", "SET k 2", "MULTI", "GET k", "DEL k", "EXEC", ["EVAL", set, "1", "k"])
        yield* client.expect(`-EXECABORT Transaction discarded because of: ${readOnly}\r\n$1\r\n1\r\n-${readOnly}\r\n`)
        yield* client.expect(`+OK\r\n+QUEUED\r\n-${readOnly}\r\n`)
        yield* client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n")
        yield* client.expect(`-${readOnly} script: bd6f3018b28bbdb36260f19d3c44afed740db987, on @user_script:1.\r\n`)
        yield* client.send("BLPOP l 1", "TIME", "PUBLISH c x", "ROLE")
        yield* client.expect(`-${readOnly}\r\n*2\r\n$1\r\n0\r\n$1\r\n0\r\n:0\r\n`)
        yield* client.expect("*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:-1\r\n")
        yield* other.send("SET k 3")
        yield* other.expect("+OK\r\n")
        yield* TestClock.adjust("10 seconds")
        yield* client.send("SET k 4", "ROLE")
        yield* client.expect("+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
      }))

    it.effect("a node that becomes a replica sends away who waits there for an element", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "b")
        yield* other.send("BLPOP l 0")
        yield* client.send("SET k 1", "BLPOP l 0")
        yield* client.expect("+OK\r\n")
        yield* redis.readonly("a", "10 seconds")
        assert.strictEqual(
          yield* client.rest,
          "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
        )
        const third = yield* connect(redis, "b")
        yield* third.send("RPUSH l x")
        yield* other.expect("*2\r\n$1\r\nl\r\n$1\r\nx\r\n")
      }))

    it.effect("a node that loads answers the handshake and nothing about data", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        yield* redis.loading("a", "3 seconds")
        const client = yield* connect(redis, "a")
        yield* client.send(
          "HELLO 3",
          "CLIENT SETNAME app",
          "SELECT 1",
          "CLIENT MAINT_NOTIFICATIONS ON",
          "CONFIG GET save"
        )
        yield* client.expect(`${hello(3, 1)}+OK\r\n+OK\r\n+OK\r\n%1\r\n$4\r\nsave\r\n`)
        yield* client.expect(bulk("3600 1 300 100 60 10000"))
        yield* client.send("PING", "GET k", "SET k 1", "SCRIPT FLUSH", "MULTI", "GET k", "EXEC", "ECHO x")
        yield* client.expect(`-${loading}\r\n-${loading}\r\n-${loading}\r\n-${loading}\r\n+OK\r\n-${loading}\r\n`)
        yield* client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\nx\r\n")
        yield* TestClock.adjust("3 seconds")
        yield* client.send("PING")
        yield* client.expect("+PONG\r\n")
      }))
  })

  describe("what has run", () => {
    const observed = () => {
      const executions: Array<string> = []
      const onExecuted = ({ connection, node, ok, words }: SimulatedRedis.Execution) => {
        executions.push(`${node}/${connection} ${words.join(" ")}${ok ? "" : " failed"}`)
      }
      return { executions, onExecuted }
    }

    const script = "return redis.call('INCR', KEYS[1])"

    const commands = [
      "SET k text",
      "GET k",
      "INCR k",
      "INCR",
      "NOPE",
      "PING",
      "MULTI",
      "INCR n",
      "CLIENT GETNAME",
      "LPUSH k x",
      "EXEC",
      "MULTI",
      "INCR n",
      "DISCARD",
      "WATCH n",
      "INCR n",
      "MULTI",
      "INCR n",
      "EXEC",
      "RPUSH l x",
      "BLPOP l 0",
      ["EVAL", script, "1", "n"],
      "PUBLISH c x"
    ]

    const ran = [
      "a/1 SET k text",
      "a/1 GET k",
      "a/1 INCR k failed",
      "a/1 INCR n",
      "a/1 LPUSH k x failed",
      "a/1 INCR n",
      "a/1 RPUSH l x",
      "a/1 BLPOP l 0",
      `a/1 EVAL ${script} 1 n`,
      "a/1 PUBLISH c x"
    ]

    it.effect("is told command by command", () =>
      Effect.gen(function*() {
        const { executions, onExecuted } = observed()
        const redis = yield* make({
          onExecuted,
          scripts: [{ lua: script, run: (redis, [key]) => redis.call("INCR", key) }]
        })
        const client = yield* connect(redis, "a")
        yield* client.send(...commands, "QUIT")
        yield* client.rest
        assert.deepStrictEqual(executions, ran)
      }))

    it.effect("is told of a command that waited when it is given something", () =>
      Effect.gen(function*() {
        const { executions, onExecuted } = observed()
        const redis = yield* make({ onExecuted })
        const client = yield* connect(redis, "a")
        yield* client.send("BLPOP l 1")
        const other = yield* connect(redis, "a")
        yield* other.send("ECHO x")
        yield* other.expect("$1\r\nx\r\n")
        yield* TestClock.adjust("1 seconds")
        yield* client.expect("*-1\r\n")
        yield* client.send("BLPOP l 1")
        yield* other.send("RPUSH l x")
        yield* other.expect(":1\r\n")
        yield* client.expect("*2\r\n$1\r\nl\r\n$1\r\nx\r\n")
        assert.deepStrictEqual(executions, ["a/2 ECHO x", "a/2 RPUSH l x", "a/1 BLPOP l 1"])
      }))

    it.live("is told by the replies of a real server behind it", () =>
      Effect.gen(function*() {
        const { executions, onExecuted } = observed()
        const server = yield* startRedis()
        const redis = yield* make({ onExecuted, upstream: NodeSocket.makeNet({ path: server.socketPath }) })
        const client = yield* connect(redis, "a")
        yield* client.send(...commands, "QUIT")
        yield* client.rest
        // Commands that the server refuses are told with their error, because only it knows them.
        assert.deepStrictEqual(executions.filter((one) => !/INCR failed|NOPE failed/.test(one)), ran)
      }))
  })

  describe("scripts", () => {
    it.effect("an unregistered script is named, and how to register it", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        const text = "\n  return 1\n"
        yield* client.send(["SCRIPT", "LOAD", text], ["EVAL", text, "0"])
        const name = (yield* client.take("$40\r\n".length + 40 + 2)).slice(5, 45)
        yield* client.expect(
          `-ERR script ${name} ("return 1") is not registered: the simulated server runs no Lua, so give it a function ` +
            "in the option scripts: [{ lua, run }]\r\n"
        )
      }))

    it.effect("a script is registered by its name, and sees bytes and the clock", () =>
      Effect.gen(function*() {
        const redis = yield* make({
          scripts: [{
            sha1: "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB",
            run: (redis, _, [text]) => [redis.now, text!.length, text]
          }]
        })
        yield* TestClock.adjust("7 millis")
        const client = yield* connect(redis, "a")
        yield* client.send(["EVAL", "return 1", "0", "\xc3\xa9"])
        yield* client.expect("*3\r\n:7\r\n:2\r\n$2\r\n\xc3\xa9\r\n")
      }))

    it.effect("text that is no byte string is an error", () =>
      Effect.gen(function*() {
        const redis = yield* make({ scripts: [{ lua: "return 1", run: () => "1 €" }] })
        const client = yield* connect(redis, "a")
        yield* client.send(["EVAL", "return 1", "0"], "PING")
        assert.match(yield* client.take(64), /^-ERR user_script:1: a byte string has no character/)
      }))
  })

  describe("keyspace", () => {
    // Each line is what a real Redis 7.0 answers as well, which the last test of this group proves.
    const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    const notAnInteger = "-ERR value is not an integer or out of range\r\n"
    const strings: ReadonlyArray<readonly [string | ReadonlyArray<string>, string]> = [
      [["SET", "bin\xff\r\n\0", "\x80\xfe\r\n"], "+OK\r\n"],
      [["GET", "bin\xff\r\n\0"], "$4\r\n\x80\xfe\r\n\r\n"],
      ["SET s 1 NX", "+OK\r\n"],
      ["SET s 2 NX", "$-1\r\n"],
      ["SET s 2 XX GET", "$1\r\n1\r\n"],
      ["SET none 2 XX", "$-1\r\n"],
      ["SET s 3 EX 100", "+OK\r\n"],
      ["SET s 4 KEEPTTL", "+OK\r\n"],
      ["TTL s", ":100\r\n"],
      ["SET s 5", "+OK\r\n"],
      ["TTL s", ":-1\r\n"],
      ["TTL none", ":-2\r\n"],
      ["SET s 5 PX 0", "-ERR invalid expire time in 'set' command\r\n"],
      ["SET s 5 PX x", notAnInteger],
      ["SET s 5 NX XX", "-ERR syntax error\r\n"],
      ["SETNX s 6", ":0\r\n"],
      ["MSET m 1 n 2", "+OK\r\n"],
      ["MSET m", "-ERR wrong number of arguments for 'mset' command\r\n"],
      ["MGET m none n", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"],
      ["GETDEL n", "$1\r\n2\r\n"],
      ["INCR m", ":2\r\n"],
      ["DECRBY m 5", ":-3\r\n"],
      ["INCRBY m x", notAnInteger],
      ["SET m 9223372036854775807", "+OK\r\n"],
      ["INCR m", "-ERR increment or decrement would overflow\r\n"],
      ["DECR m", ":9223372036854775806\r\n"],
      ["SET f 0.1", "+OK\r\n"],
      ["INCRBYFLOAT f 0.2", "$3\r\n0.3\r\n"],
      ["INCRBYFLOAT f 1e1", "$4\r\n10.3\r\n"],
      ["INCRBYFLOAT f x", "-ERR value is not a valid float\r\n"],
      ["APPEND f !", ":5\r\n"],
      ["STRLEN f", ":5\r\n"],
      ["LPUSH f x", wrongType]
    ]
    const keys: typeof strings = [
      ["MSET k1 1 k2 2 other 3", "+OK\r\n"],
      ["EXISTS k1 k1 none", ":2\r\n"],
      ["TYPE k1", "+string\r\n"],
      ["TYPE none", "+none\r\n"],
      ["KEYS o[a-t]*r", "*1\r\n$5\r\nother\r\n"],
      ["SCAN 0 MATCH oth?r COUNT 100", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\nother\r\n"],
      ["EXPIRE k1 100", ":1\r\n"],
      ["EXPIRE k1 50 GT", ":0\r\n"],
      ["EXPIRE k1 50 LT", ":1\r\n"],
      ["EXPIRE none 50", ":0\r\n"],
      ["EXPIRE k1 50 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"],
      ["PERSIST k1", ":1\r\n"],
      ["PERSIST k1", ":0\r\n"],
      ["PEXPIRE k1 -1", ":1\r\n"],
      ["PTTL k1", ":-2\r\n"],
      ["DBSIZE", ":2\r\n"],
      ["DEL k2 k2 none", ":1\r\n"],
      ["SELECT 1", "+OK\r\n"],
      ["UNLINK other", ":0\r\n"],
      ["SELECT 16", "-ERR DB index is out of range\r\n"],
      ["FLUSHALL", "+OK\r\n"],
      ["SELECT 0", "+OK\r\n"],
      ["DBSIZE", ":0\r\n"],
      ["FLUSHDB now", "-ERR syntax error\r\n"],
      ["GET", "-ERR wrong number of arguments for 'get' command\r\n"],
      ["NOPE a b", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b' \r\n"],
      ["CLIENT NOPE", "-ERR unknown subcommand 'NOPE'. Try CLIENT HELP.\r\n"],
      ["CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n"],
      ["ECHO hi", "$2\r\nhi\r\n"],
      ["PING hi", "$2\r\nhi\r\n"]
    ]
    const collections: typeof strings = [
      ["HSET h a 1 b 2", ":2\r\n"],
      ["HSET h b 3 c", "-ERR wrong number of arguments for 'hset' command\r\n"],
      ["HGET h a", "$1\r\n1\r\n"],
      ["HMGET h a none", "*2\r\n$1\r\n1\r\n$-1\r\n"],
      ["HINCRBY h a 4", ":5\r\n"],
      ["HGETALL h", "*4\r\n$1\r\na\r\n$1\r\n5\r\n$1\r\nb\r\n$1\r\n2\r\n"],
      ["HLEN h", ":2\r\n"],
      ["HEXISTS h none", ":0\r\n"],
      ["HDEL h a b none", ":2\r\n"],
      ["EXISTS h", ":0\r\n"],
      ["RPUSH l a b c", ":3\r\n"],
      ["LPUSH l z", ":4\r\n"],
      ["LRANGE l -3 -2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"],
      ["LRANGE l 5 9", "*0\r\n"],
      ["RPOP l 2", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"],
      ["LPOP l", "$1\r\nz\r\n"],
      ["LPOP l -1", "-ERR value is out of range, must be positive\r\n"],
      ["LPOP none", "$-1\r\n"],
      ["LPOP none 1", "*-1\r\n"],
      ["LLEN l", ":1\r\n"],
      ["SADD t x", ":1\r\n"],
      ["SADD t x y", ":1\r\n"],
      ["SISMEMBER t y", ":1\r\n"],
      ["SREM t y none", ":1\r\n"],
      ["SMEMBERS t", "*1\r\n$1\r\nx\r\n"],
      ["SCARD t", ":1\r\n"],
      ["SCARD l", wrongType],
      ["ZADD z 1 a 2 b 0.1 c", ":3\r\n"],
      ["ZADD z XX CH 5 a 7 none", ":1\r\n"],
      ["ZADD z GT INCR 1 a", "$1\r\n6\r\n"],
      ["ZADD z NX INCR 1 a", "$-1\r\n"],
      ["ZADD z x a", "-ERR value is not a valid float\r\n"],
      ["ZSCORE z c", "$19\r\n0.10000000000000001\r\n"],
      ["ZSCORE z none", "$-1\r\n"],
      ["ZRANGE z 0 0 REV WITHSCORES", "*2\r\n$1\r\na\r\n$1\r\n6\r\n"],
      ["ZRANGE z (0.1 +inf BYSCORE LIMIT 0 1", "*1\r\n$1\r\nb\r\n"],
      ["ZRANGE z - + BYLEX LIMIT 1 1", "*1\r\n$1\r\nb\r\n"],
      ["ZREM z a b none", ":2\r\n"],
      ["ZCARD z", ":1\r\n"]
    ]
    const resp3: typeof strings = [
      ["GET none", "_\r\n"],
      ["HSET h a 1", ":1\r\n"],
      ["HGETALL h", "%1\r\n$1\r\na\r\n$1\r\n1\r\n"],
      ["SADD t x", ":1\r\n"],
      ["SMEMBERS t", "~1\r\n$1\r\nx\r\n"],
      ["ZADD z 1.5 a", ":1\r\n"],
      ["ZSCORE z a", ",1.5\r\n"],
      ["ZRANGE z 0 -1 WITHSCORES", "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"],
      ["LPOP none 1", "_\r\n"],
      ["CLIENT GETNAME", "_\r\n"]
    ]
    const groups = { strings, keys, collections, resp3 }

    const replay = Effect.fnUntraced(function*(client: Client, group: keyof typeof groups) {
      if (group === "resp3") {
        yield* client.send("HELLO 3", ["ECHO", "hello is done"])
        let greeting = ""
        while (!greeting.endsWith("hello is done\r\n")) greeting += yield* client.take(1)
      }
      yield* client.send(...groups[group].map(([command]) => command))
      for (const [command, reply] of groups[group]) {
        assert.deepStrictEqual([command, yield* client.take(reply.length)], [command, reply])
      }
    })

    for (const group of ["strings", "keys", "collections", "resp3"] as const) {
      it.effect(`answers as Redis does: ${group}`, () =>
        Effect.gen(function*() {
          yield* replay(yield* connect(yield* make(), "a"), group)
        }))
    }

    it.live("expects of itself what a real Redis answers", () =>
      Effect.gen(function*() {
        const { socketPath } = yield* startRedis()
        for (const group of ["strings", "keys", "collections", "resp3"] as const) {
          const client = yield* connectTo({ path: socketPath })
          yield* client.send("FLUSHALL")
          yield* client.expect("+OK\r\n")
          yield* replay(client, group)
        }
      }))

    it.effect("ends keys when the clock says so", () =>
      Effect.gen(function*() {
        const client = yield* connect(yield* make(), "a")
        yield* client.send("SET k 1 PX 1500", "SET l 1 EX 2", "PTTL k", "TIME")
        yield* client.expect("+OK\r\n+OK\r\n:1500\r\n*2\r\n$1\r\n0\r\n$1\r\n0\r\n")
        yield* TestClock.adjust("1499 millis")
        yield* client.send("PTTL k", "GET k")
        yield* client.expect(":1\r\n$1\r\n1\r\n")
        yield* TestClock.adjust("1 millis")
        yield* client.send("GET k", "TTL k", "KEYS *", "DBSIZE", "TIME")
        yield* client.expect("$-1\r\n:-2\r\n*1\r\n$1\r\nl\r\n:1\r\n*2\r\n$1\r\n1\r\n$6\r\n500000\r\n")
      }))
  })

  describe("with a real server behind it", () => {
    const makeRelayed = (options: Partial<SimulatedRedis.Options> = {}) =>
      Effect.flatMap(
        startRedis(),
        ({ socketPath }) => make({ upstream: NodeSocket.makeNet({ path: socketPath }), ...options })
      )

    /** The answer to HELLO differs by version and connection; what follows it is announced by an ECHO. */
    const skipHello = Effect.fnUntraced(function*(client: Client) {
      yield* client.send(["ECHO", "hello is done"])
      let greeting = ""
      while (!greeting.endsWith("$13\r\nhello is done\r\n")) greeting += yield* client.take(1)
      return greeting
    })

    it.live("relays commands, and answers what the server does not know in its place", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed()
        const client = yield* connect(redis, "a")
        yield* client.send("HELLO 3 SETNAME app", "SELECT 1")
        assert.match(yield* skipHello(client), /^%7\r\n\$6\r\nserver\r\n.*\+OK\r\n/s)
        yield* client.send("SET k 1", "CLIENT MAINT_NOTIFICATIONS ON", "CLIENT GETNAME", "EVAL return{1,{2}} 0")
        yield* client.expect("+OK\r\n+OK\r\n$3\r\napp\r\n*2\r\n:1\r\n*1\r\n:2\r\n")
        const other = yield* connect(redis, "b")
        yield* other.send("SELECT 1", "GET k", "HGETALL none")
        yield* other.expect("+OK\r\n$1\r\n1\r\n*0\r\n")
      }))

    it.live("puts pushes between whole replies", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed()
        const client = yield* connect(redis, "a")
        yield* client.send("HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON")
        yield* skipHello(client)
        // Some chunks of the socket long, so that pushes come while it arrives.
        const value = "x".repeat(4 * 1024 * 1024)
        yield* client.send(["SET", "big", value])
        yield* client.expect("+OK\r\n")
        const push = ">3\r\n$8\r\nMIGRATED\r\n:7\r\n$5\r\n[\"1\"]\r\n"
        yield* client.send("GET big", "GET big", "PING")
        for (let i = 0; i < 20; i++) {
          yield* redis.migrated("a", { seq: 7 })
          yield* Effect.sleep(1)
        }
        const all = yield* client.take(2 * bulk(value).length + "+PONG\r\n".length + 20 * push.length)
        const replies = all.replaceAll(push, "")
        assert.isTrue(replies === `${bulk(value)}${bulk(value)}+PONG\r\n`)
      }))

    it.live("keeps the order of replies and confirmations when a client subscribes", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed()
        const client = yield* connect(redis, "a")
        yield* client.send("SUBSCRIBE x y", "CLIENT MAINT_NOTIFICATIONS ON", "PING")
        yield* client.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n")
        yield* client.expect("+OK\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        const resp3 = yield* connect(redis, "b")
        yield* resp3.send("HELLO 3")
        yield* skipHello(resp3)
        yield* resp3.send("SUBSCRIBE x y", "PING", "CLIENT MAINT_NOTIFICATIONS ON", "PUBLISH x 1")
        yield* resp3.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n")
        yield* resp3.expect("+PONG\r\n+OK\r\n")
        yield* client.expect("*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\n1\r\n")
      }))

    it.live("keeps the order when a subscription is refused", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed()
        const client = yield* connect(redis, "a")
        const optIn = "CLIENT MAINT_NOTIFICATIONS ON"
        const arity = "-ERR wrong number of arguments for 'subscribe' command\r\n"
        yield* client.send("HELLO 3")
        yield* skipHello(client)
        yield* client.send("SUBSCRIBE", "INCR n", optIn, "INCR n")
        yield* client.expect(`${arity}:1\r\n+OK\r\n:2\r\n`)
        yield* client.send("ACL SETUSER limited on nopass +@all ~* resetchannels", "AUTH limited x", "HELLO 2")
        yield* client.take("+OK\r\n+OK\r\n".length)
        yield* skipHello(client)
        yield* client.send("SUBSCRIBE x y", "INCR n", optIn, "INCR n")
        yield* client.expect("-NOPERM this user has no permissions to access one of the channels used as arguments\r\n")
        yield* client.expect(":3\r\n+OK\r\n:4\r\n")
      }))

    it.live("refuses what the state of the node refuses, alone and in a transaction", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed()
        const client = yield* connect(redis, "a")
        const readOnly = "READONLY You can't write against a read only replica.\r\n"
        const loading = "LOADING Redis is loading the dataset in memory\r\n"
        yield* client.send("SET k 1", "MULTI", "SET k 2")
        yield* client.expect("+OK\r\n+OK\r\n+QUEUED\r\n")
        yield* redis.readonly("a", "1 hour")
        yield* client.send("EXEC", "GET k", "SET k 3", "MULTI", "GET k", "SET k 3", "EXEC", "GET k", "EXEC")
        yield* client.expect(`-EXECABORT Transaction discarded because of: ${readOnly}$1\r\n1\r\n-${readOnly}`)
        yield* client.expect(`+OK\r\n+QUEUED\r\n-${readOnly}`)
        yield* client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n")
        yield* client.expect("-ERR EXEC without MULTI\r\n")
        const other = yield* connect(redis, "b")
        yield* redis.loading("b", "1 hour")
        yield* other.send("GET k", "CLIENT MAINT_NOTIFICATIONS ON", "ECHO x")
        yield* other.expect(`-${loading}+OK\r\n$1\r\nx\r\n`)
      }))

    it.live("refuses RESP3 and hears the server close", () =>
      Effect.gen(function*() {
        const redis = yield* makeRelayed({ hello: "resp2" })
        const client = yield* connect(redis, "a")
        yield* client.send("PING", "HELLO 3", "PING", "QUIT")
        assert.strictEqual(
          yield* client.rest,
          "+PONG\r\n-NOPROTO unsupported protocol version\r\n+PONG\r\n+OK\r\n"
        )
      }))

    it.live("closes a connection when the server behind it cannot be reached", () =>
      Effect.gen(function*() {
        const redis = yield* make({ upstream: NodeSocket.makeNet({ path: "/nonexistent/redis.sock" }) })
        const client = yield* connect(redis, "a")
        assert.strictEqual(yield* client.rest, "")
        assert.deepStrictEqual((yield* events(redis, "Closed")) as ReadonlyArray<unknown>, [
          { node: "a", _tag: "Closed", connection: 1, by: "upstream" }
        ])
      }))
  })
})
