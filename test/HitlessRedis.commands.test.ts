/**
 * Commands against a real redis-server: values, errors, pipelines, transactions, many at once.
 *
 * Tests that stop, kill, count or reconfigure a server start one of their own; the others share one. A server is stalled
 * with `SIGSTOP`: the kernel goes on accepting connections and bytes, nothing is answered, and `SIGCONT` ends it when
 * the test says so.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { connect, printed, reasonOf, Server, shared } from "./support/client.ts"

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
