/**
 * The simulated deployment as a client meets it: handshakes, announcements, faults, conditions, what has run.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Endpoint from "../src/Endpoint.ts"
import type * as SimulatedRedis from "../src/testing/SimulatedRedis.ts"
import {
  bulk,
  bytes,
  command,
  connect,
  events,
  hello,
  make,
  optIn,
  untilConnections,
  untilExists
} from "./support/byteClient.ts"
import { startRedis } from "./support/redisServer.ts"

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
})
