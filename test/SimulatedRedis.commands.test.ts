/**
 * What the simulated server runs: transactions, subscriptions, waits, scripts, data, and a real server behind it.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import type * as SimulatedRedis from "../src/testing/SimulatedRedis.ts"
import {
  bulk,
  type Client,
  command,
  connect,
  connectTo,
  events,
  hello,
  make,
  untilConnections
} from "./support/byteClient.ts"
import { startRedis } from "./support/redisServer.ts"

describe("SimulatedRedis", () => {
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

    it.live("tells who tracks what changed, as a real server does", () =>
      Effect.gen(function*() {
        const simulated = yield* make()
        const real = yield* startRedis()
        const servers = [connect(simulated, "a"), connectTo({ host: "127.0.0.1", port: real.port })]
        for (const [index, connecting] of servers.entries()) {
          const [tracker, other] = yield* Effect.all([connecting, connecting])
          const changed = (...keys: ReadonlyArray<string>) =>
            keys.map((key) => `>2\r\n${bulk("invalidate")}*1\r\n${bulk(key)}`).join("")
          const change = (...commands: ReadonlyArray<string>) =>
            Effect.andThen(other.send(...commands), other.take(commands.length * "+OK\r\n".length))
          // In RESP2 it is taken, and nothing comes of it.
          yield* tracker.send("CLIENT TRACKING ON", "GET k")
          yield* tracker.expect("+OK\r\n$-1\r\n")
          yield* change("SET k 1")
          yield* tracker.send("HELLO 3", "ECHO ready")
          const introduction = yield* tracker.take(index === 0 ? hello(3, 1).length : 0)
          if (index === 1) {
            let read = introduction
            while (!read.endsWith(bulk("ready"))) read += yield* tracker.take(1)
          } else yield* tracker.expect(bulk("ready"))
          // Each key once, however it was changed, and only what was read.
          yield* tracker.send("MGET k x", "PTTL y")
          yield* tracker.expect("*2\r\n$1\r\n1\r\n_\r\n:-2\r\n")
          yield* change("SET k 2", "SET k 3", "SET z 1", "MSET y 1 x 1")
          yield* tracker.expect(changed("k", "y", "x"))
          yield* change("SET k 4")
          // What it changes itself comes after the reply.
          yield* tracker.send("GET k", "SET k 5", "GET k", "MULTI", "SET k 6", "GET k", "EXEC")
          yield* tracker.expect(`${bulk("4")}+OK\r\n${changed("k")}${bulk("5")}`)
          yield* tracker.expect(`+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n${bulk("6")}${changed("k")}`)
          // A key of that name in any database.
          yield* tracker.send("GET k")
          yield* tracker.expect(bulk("6"))
          yield* change("SELECT 1", "SET k other", "SELECT 0")
          yield* tracker.expect(changed("k"))
          yield* change("FLUSHALL")
          yield* tracker.expect(`>2\r\n${bulk("invalidate")}_\r\n`)
          yield* tracker.send("GET k", "CLIENT TRACKING OFF")
          yield* tracker.expect("_\r\n+OK\r\n")
          yield* change("SET k 7")
          yield* tracker.send("GET k")
          yield* tracker.expect(bulk("7"))
        }
      }).pipe(Effect.scoped))

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

    it.effect("counts a consumer that waits as idle, whatever happens to other keys", () =>
      Effect.gen(function*() {
        const redis = yield* make()
        const client = yield* connect(redis, "a")
        const other = yield* connect(redis, "a")
        yield* other.send("XGROUP CREATE s g 0 MKSTREAM")
        yield* other.expect("+OK\r\n")
        yield* client.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        yield* untilBlocked(redis, "a", 1)
        yield* TestClock.adjust("1 second")
        yield* other.send("SET k v", "XINFO CONSUMERS s g")
        yield* other.expect(`+OK\r\n*1\r\n*8\r\n${bulk("name")}${bulk("c")}${bulk("pending")}:0\r\n`)
        yield* other.expect(`${bulk("idle")}:1000\r\n${bulk("inactive")}:-1\r\n`)
      }))

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
    // Each line is what a real Redis answers as well, which the last test of this group proves.
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
      ["ZSCORE z c", inject("simulatedVersion") === "7.0" ? "$19\r\n0.10000000000000001\r\n" : "$3\r\n0.1\r\n"],
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
          const redis = yield* make({ version: inject("simulatedVersion") })
          yield* replay(yield* connect(redis, "a"), group)
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
        let refusal = ""
        while (!refusal.endsWith("\r\n")) refusal += yield* client.take(1)
        assert.match(refusal, /^-NOPERM /)
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
