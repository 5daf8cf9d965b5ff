/**
 * What becomes of replies and pushes that few servers send: keys that are no text, errors inside values, values beyond
 * the limits, and every kind of value where another is expected.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type Config, HitlessError, HitlessRedis, Metrics, Notifications } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import * as Resp from "../src/Resp.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { type RedisServer, startRedis } from "./support/redisServer.ts"

/** What fails on purpose is not logged. */
const maintenance = { logLevel: "Error" } as const

const connect = Effect.fnUntraced(function*(port: number, options: Config.Options = {}) {
  const context = yield* Layer.build(
    NodeHitlessRedis.layer({ host: "127.0.0.1", port, poolSize: 1, maintenance, ...options })
  )
  return { redis: Context.get(context, HitlessRedis.HitlessRedis), effectRedis: Context.get(context, Redis.Redis) }
})

/** A server that answers commands with the bytes of a table, by their first argument or their name. */
const scripted = Effect.fnUntraced(function*(
  answers: Readonly<Record<string, string | Uint8Array>>,
  options?: Config.Options
) {
  const server = yield* rawServer((words, { socket }) => {
    const bytes = answers[words[1] ?? words[0]!] ?? answers[words[0]!] ?? answerHandshake(words) ?? "+PONG\r\n"
    socket.write(bytes)
    return undefined
  })
  return { server, ...yield* connect(server.port, options) }
})

const utf8 = new TextEncoder()

const concat = (...parts: ReadonlyArray<string | Uint8Array>): Uint8Array => Buffer.concat(parts.map(Buffer.from))

const valueOf = (result: Result.Result<unknown, HitlessError.HitlessError>): unknown => Result.getOrThrow(result)

class Server extends Context.Service<Server, RedisServer>()("test/Replies/Server") {
  static readonly layer = Layer.effect(Server, startRedis())
}

const fresh: Effect.Effect<Effect.Success<ReturnType<typeof connect>>, unknown, Server | Scope.Scope> = Effect.flatMap(
  Server,
  ({ port }) => connect(port, { commandTimeout: "60 seconds" })
)

// ----- keys -----

layer(Server.layer, { excludeTestServices: true })("fields that are not UTF-8", (it) => {
  const fields = [Uint8Array.of(0xff), Uint8Array.of(0xfe), Uint8Array.of(0xc3, 0x28), Uint8Array.of(0xff, 0xfe)]
  const texts = ["a\uFFFD", "grüße", "__proto__"]
  const words = [...fields, ...texts].flatMap((field, index) => [field, String(index)])

  /** Entries in the order of their values, since a server keeps hashes in an order of its own. */
  const entriesOf = (reply: unknown, text: (value: unknown) => string): ReadonlyArray<readonly [unknown, string]> =>
    Array.from(reply as Map<unknown, unknown>, ([key, value]) => [key, text(value)] as const)
      .sort(([, a], [, b]) => a.localeCompare(b))

  const expected = [...fields, ...texts].map((field, index) => [field, String(index)] as const)
  const decoder = new TextDecoder()

  it.effect("are bytes in an ES map, whichever way the hash is read", () =>
    Effect.gen(function*() {
      const { redis } = yield* fresh
      yield* redis.send("HSET", "binary", ...words)
      assert.deepStrictEqual(entriesOf(yield* redis.send("HGETALL", "binary"), String), expected)
      const bytes = yield* redis.sendBytes("HGETALL", "binary")
      assert.deepStrictEqual(entriesOf(bytes, (value) => decoder.decode(value as Uint8Array)), expected)
      const [piped] = yield* redis.pipeline([["HGETALL", "binary"]])
      assert.deepStrictEqual(entriesOf(valueOf(piped!), String), expected)
      const [queued] = yield* redis.transaction([["HGETALL", "binary"]])
      assert.deepStrictEqual(entriesOf(valueOf(queued!), String), expected)
    }))

  it.effect("change nothing where all are UTF-8, or in an array", () =>
    Effect.gen(function*() {
      const { redis } = yield* fresh
      yield* redis.send("HSET", "text", "a\uFFFD", "1", "grüße", "2", "__proto__", "3")
      const reply = yield* redis.send<object>("HGETALL", "text")
      assert.isNull(Object.getPrototypeOf(reply))
      assert.deepStrictEqual<unknown>(
        new Set(Object.entries(reply)),
        new Set([["a\uFFFD", "1"], ["grüße", "2"], ["__proto__", "3"]])
      )
      yield* redis.send("HSET", "one", fields[0]!, "1")
      assert.deepStrictEqual(yield* redis.send("HKEYS", "one"), ["\uFFFD"])
      assert.deepStrictEqual(yield* redis.sendBytes("HKEYS", "one"), [fields[0]])
    }))
})

// ----- errors inside replies -----

/** What is known of an error inside a reply. */
const errorAt = (value: unknown) => {
  assert.instanceOf(value, HitlessError.HitlessError)
  const { reason } = value
  return reason._tag === "ServerReplied"
    ? [reason.command, reason.code, reason.detail, reason.mayHaveExecuted, reason.isRetryable] as const
    : assert.fail(value.message)
}

layer(Server.layer, { excludeTestServices: true })("errors inside a reply", (it) => {
  const script = `redis.setresp(3)
    local no = redis.error_reply("NOPE not that")
    return { "a", no, { no, { "b", no } }, { map = { k = no, n = { map = { l = no } } } } }`
  const error = (command: string) => [command, "NOPE", "NOPE not that", true, false] as const

  const assertErrors = (reply: unknown, command: string, text: (value: unknown) => unknown = (value) => value) => {
    const [a, first, [second, [b, third]], map] = reply as [unknown, unknown, [unknown, [unknown, unknown]], {
      readonly k: unknown
      readonly n: { readonly l: unknown }
    }]
    assert.deepStrictEqual([text(a), text(b)], ["a", "b"])
    for (const value of [first, second, third, map.k, map.n.l]) assert.deepStrictEqual(errorAt(value), error(command))
  }

  it.effect("are HitlessErrors, however the command was sent", () =>
    Effect.gen(function*() {
      const { effectRedis, redis } = yield* fresh
      assertErrors(yield* redis.send("EVAL", script, 0), "EVAL")
      assertErrors(yield* redis.sendBytes("EVAL", script, 0), "EVAL", (value) =>
        new TextDecoder().decode(value as Uint8Array))
      const [, piped] = yield* redis.pipeline([["PING"], ["EVAL", script, 0]])
      assertErrors(valueOf(piped!), "EVAL")
      yield* redis.send("SET", "text", "a")
      const [failed, queued] = yield* redis.transaction([["LPOP", "text"], ["EVAL", script, 0]])
      assert.deepStrictEqual(errorAt(Result.getOrThrow(Result.flip(failed!))).slice(0, 2), ["LPOP", "WRONGTYPE"])
      assertErrors(valueOf(queued!), "EVAL")
      const reserved = yield* effectRedis.reserve
      assertErrors(yield* reserved.send("EVAL", script, "0"), "EVAL")
    }))

  it.effect("are HitlessErrors in what EXEC answers on a connection of one's own", () =>
    Effect.gen(function*() {
      const { effectRedis } = yield* fresh
      const reserved = yield* effectRedis.reserve
      yield* reserved.send("MULTI")
      yield* reserved.send("SET", "text", "a")
      yield* reserved.send("INCR", "text")
      const [set, incr] = yield* reserved.send<[unknown, unknown]>("EXEC")
      assert.strictEqual(set, "OK")
      assert.deepStrictEqual(errorAt(incr), ["EXEC", "ERR", "ERR value is not an integer or out of range", true, false])
    }))
})

describe("errors inside a reply of any server", () => {
  it.live("are HitlessErrors in sets, in maps, and as their keys", () =>
    Effect.gen(function*() {
      const { redis } = yield* scripted({
        set: "~2\r\n:1\r\n-ERR one\r\n",
        values: "%2\r\n+__proto__\r\n-ERR one\r\n+a\r\n!7\r\nERR two\r\n",
        keys: "%2\r\n-ERR one\r\n+a\r\n*1\r\n-ERR two\r\n*1\r\n-ERR three\r\n",
        quoted: "*1\r\n-ERR unknown command 'X', with args beginning with: 'secret' \r\n"
      })
      const details = (...values: ReadonlyArray<unknown>) => values.map((value) => errorAt(value)[2])
      const [, inSet] = yield* redis.send<[number, unknown]>("GET", "set")
      assert.deepStrictEqual(details(inSet), ["ERR one"])
      const values = yield* redis.send<Record<string, unknown>>("GET", "values")
      assert.isNull(Object.getPrototypeOf(values))
      assert.deepStrictEqual(Object.keys(values), ["__proto__", "a"])
      assert.deepStrictEqual(details(...Object.values(values)), ["ERR one", "ERR two"])
      const [[key, a], [[two], [three]]] = [...yield* redis.send<Map<unknown, unknown>>("GET", "keys")] as [
        [unknown, unknown],
        [[unknown], [unknown]]
      ]
      assert.deepStrictEqual([...details(key, two, three), a], ["ERR one", "ERR two", "ERR three", "a"])
      const [quoted] = yield* redis.send<[unknown]>("GET", "quoted")
      assert.deepStrictEqual(details(quoted), ["ERR unknown command 'X'"])
    }))

  it.live("of EXEC belong to its commands, as many as there are", () =>
    Effect.gen(function*() {
      const { redis } = yield* scripted({ MULTI: "+OK\r\n", k: "+QUEUED\r\n", EXEC: "*2\r\n-ERR one\r\n-ERR two\r\n" })
      const { reason } = yield* Effect.flip(redis.transaction([["GET", "k"]]))
      assert.strictEqual(reason._tag, "ProtocolViolation")
      const results = yield* redis.transaction([["GET", "k"], ["SET", "k", "v"]])
      assert.deepStrictEqual(
        results.map((result) => errorAt(Result.getOrThrow(Result.flip(result))).slice(0, 3)),
        [["GET", "ERR", "ERR one"], ["SET", "ERR", "ERR two"]]
      )
    }))
})

// ----- limits -----

describe("a reply beyond the limits", () => {
  const deep = (levels: number) => "*1\r\n".repeat(levels) + ":1\r\n"
  const beyond: Readonly<Record<string, readonly [wire: string, why: string]>> = {
    deep: [deep(129), "a value nested deeper than 128 levels"],
    deeper: [deep(20_000), "a value nested deeper than 128 levels"],
    maps: ["%1\r\n+k\r\n".repeat(500) + "%0\r\n", "a value nested deeper than 128 levels"],
    attribute: ["|1\r\n+a\r\n" + deep(200) + "+OK\r\n", "a value nested deeper than 128 levels"],
    number: [`*2\r\n(${"7".repeat(200_000)}\r\n:1\r\n`, "a number of 200000 digits, of which at most 100000 are read"],
    numbers: ["~200\r\n" + deep(128).repeat(200), "a value nested deeper than 128 levels"]
  }
  const answers = Object.fromEntries(Object.entries(beyond).map(([key, [wire]]) => [key, wire]))

  const assertUnreadable = (error: HitlessError.HitlessError, command: string, why: string) => {
    const { reason } = error
    assert.strictEqual(reason._tag, "ServerReplied")
    assert.include(reason, { code: HitlessError.unreadableCode, command, detail: why, mayHaveExecuted: true })
    assert.isFalse(error.isRetryable)
    assert.strictEqual(
      error.message,
      `${command} was answered beyond the limits of this client at ${reason.endpoint}: ${why}`
    )
  }

  it.live("fails its command, and neither the connection nor the commands behind it", () =>
    Effect.gen(function*() {
      const { redis, server } = yield* scripted(answers)
      for (const [key, [, why]] of Object.entries(beyond)) {
        const [error, pong] = yield* Effect.all(
          [Effect.flip(redis.send("GET", key)), redis.send("PING"), redis.send("PING")],
          { concurrency: "unbounded" }
        )
        assertUnreadable(error, "GET", why)
        assert.strictEqual(pong, "PONG")
        assertUnreadable(yield* Effect.flip(redis.sendBytes("GET", key)), "GET", why)
        const [first, second, third] = yield* redis.pipeline([["PING"], ["SET", key], ["PING"]])
        assert.deepStrictEqual([first, third], [Result.succeed("PONG"), Result.succeed("PONG")])
        assertUnreadable(Result.getOrThrow(Result.flip(second!)), "SET", why)
      }
      assert.lengthOf(server.connections, 1)
      assert.deepStrictEqual(server.closed, [])
    }))

  it.live("of EXEC says that the transaction may have run", () =>
    Effect.gen(function*() {
      const { redis, server } = yield* scripted({ MULTI: "+OK\r\n", k: "+QUEUED\r\n", EXEC: deep(200) })
      const error = yield* Effect.flip(redis.transaction([["SET", "k", "v"]]))
      assertUnreadable(error, "EXEC", "a value nested deeper than 128 levels")
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual(server.closed, [])
    }))

  it.live("closes the connection where it is malformed, or announces what no server means", () =>
    Effect.gen(function*() {
      const { redis, server } = yield* scripted({
        malformed: deep(129).slice(0, -4) + "?",
        size: `$${10 ** 15}\r\n`,
        count: `*${2 ** 53}\r\n`,
        levels: deep(1_000_001)
      })
      for (const key of ["malformed", "size", "count", "levels"]) {
        const { reason } = yield* Effect.flip(redis.send("GET", key))
        assert.strictEqual(reason._tag, "ProtocolViolation", key)
      }
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.lengthOf(server.connections, 5)
    }))

  it.live("is counted as a malformed notification where it is a push", () =>
    Effect.gen(function*() {
      const clientName = "skipped-push"
      const push = ">2\r\n+MOVING\r\n" + deep(200)
      const { redis, server } = yield* scripted({ push: push + "+after\r\n" }, { clientName })
      assert.strictEqual(yield* redis.send("GET", "push"), "after")
      assert.deepStrictEqual(server.closed, [])
      const malformed = Metric.withAttributes(Metrics.notifications, {
        "db.client.connection.pool.name": clientName,
        "redis.client.connection.notification": "malformed"
      })
      assert.strictEqual((yield* Metric.value(malformed)).count, 1)
      const decoded = Notifications.decode([new Resp.Unreadable("too deep")], "a:1")
      assert.deepStrictEqual(decoded, Result.fail("a push was skipped: too deep"))
    }))
})

layer(Server.layer, { excludeTestServices: true })("a reply of a real server beyond the limits", (it) => {
  it.effect("that a script has nested fails its command alone", () =>
    Effect.gen(function*() {
      const { redis } = yield* fresh
      const script = "local root = {} local t = root for i = 1, tonumber(ARGV[1]) do t[1] = {} t = t[1] end return root"
      const [error, pong] = yield* Effect.all(
        [Effect.flip(redis.send("EVAL", script, 0, 500)), redis.send("PING")],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(error.reason._tag === "ServerReplied" && error.reason.code, HitlessError.unreadableCode)
      assert.strictEqual(pong, "PONG")
      assert.isArray(yield* redis.send("EVAL", script, 0, 127))
    }))

  it.effect(
    "is not the largest string that it stores: as bytes it can be read, as text it fails its command alone",
    () =>
      Effect.gen(function*() {
        const { redis } = yield* fresh
        const size = 512 * 1024 * 1024
        yield* redis.send("SET", "large", new Uint8Array(size).fill(0x61))
        const bytes = yield* redis.sendBytes<Uint8Array>("GET", "large")
        assert.deepStrictEqual([bytes.length, bytes[0], bytes[size - 1]], [size, 0x61, 0x61])
        const [error, pong] = yield* Effect.all([Effect.flip(redis.send("GET", "large")), redis.send("PING")], {
          concurrency: "unbounded"
        })
        assert.include(error.message, `a text of ${size} bytes, longer than a string can be`)
        assert.include(error.message, "sendBytes")
        assert.strictEqual(pong, "PONG")
      }),
    60_000
  )
})

// ----- values in the place of others -----

/** Every kind of value that a decoder makes, and some that are made to break who reads them. */
const strange: ReadonlyArray<unknown> = [
  null,
  true,
  0,
  -1,
  1.5,
  -0,
  NaN,
  Infinity,
  2 ** 53,
  10n ** 30n,
  10n ** 5000n,
  "",
  "null",
  "[",
  "[[[]]]",
  "{\"__proto__\":1}",
  "[{\"toString\":1},null,{}]",
  "[".repeat(100_000),
  "[".repeat(100_000) + "]".repeat(100_000),
  "__proto__",
  "a:1",
  "x".repeat(1_000_000),
  "\"".repeat(1_000_000),
  Uint8Array.of(0xff),
  new Resp.ErrorReply("ERR no"),
  new Resp.Unreadable("too deep"),
  [],
  [null],
  [[]],
  Object.create(null),
  Object.assign(Object.create(null), { toString: 1, valueOf: null }),
  [Object.create(null)],
  [[Object.create(null)]],
  [[Object.create(null), "b:1", "1"]],
  [["a:1", "b:1", Object.create(null)]],
  new Map(),
  new Map<unknown, unknown>([[Object.create(null), [Object.create(null)]]]),
  [new Map()],
  Array.from({ length: 127 }).reduce((inner: unknown) => [inner, Object.create(null)], Object.create(null))
]

const names = Object.values(Notifications.frameNames)

describe("a push with any value in any place", () => {
  const element: Arbitrary.Arbitrary<unknown> = Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: strange.length - 1 }))),
    (index) => strange[index]
  )

  const assertTyped = (elements: ReadonlyArray<unknown>) => {
    const decoded = Notifications.decode(elements, "a:1")
    if (!names.includes(elements[0] as never)) {
      return assert.strictEqual(decoded !== undefined, elements[0] instanceof Resp.Unreadable)
    }
    if (decoded === undefined) return assert.fail(`${String(elements[0])} is about maintenance`)
    if (Result.isFailure(decoded)) return assert.isBelow(decoded.failure.length, 1000)
    assert.isNotEmpty(Notifications.identity(decoded.success))
    if ("shards" in decoded.success) assert.isTrue(decoded.success.shards.every((shard) => typeof shard === "string"))
    if ("slots" in decoded.success) assert.isString(decoded.success.slots)
  }

  it("is a notification or a failure that says why, in each place of each frame", () => {
    for (const name of names) {
      for (const value of strange) {
        assertTyped([value])
        assertTyped([value, 1, 15, "a:1"])
        assertTyped([name, value])
        assertTyped([name, value, 15, "a:1"])
        assertTyped([name, 1, value])
        assertTyped([name, 1, value, "a:1"])
        assertTyped([name, 1, 15, value])
        assertTyped([name, 1, [value, value]])
        assertTyped([name, 1, 15, [value, value]])
        assertTyped([name, 1, [[value, "b:1", "1"]]])
      }
    }
    assertTyped([])
  })

  it.prop(
    "is a notification or a failure that says why, in all places at once",
    [Schema.Literals([...names, "message"]), Arbitrary.array(element, { maxLength: 6 })],
    ([name, rest]) => assertTyped([name, ...rest]),
    { arbitrary: { runs: 1000 } }
  )

  it("keeps of shards what is text or a number", () => {
    const shards = (value: unknown) => {
      const notification = Result.getOrThrow(Notifications.decode(["MIGRATED", 1, value], "a:1")!)
      return "shards" in notification ? notification.shards : assert.fail("no shards")
    }
    assert.deepStrictEqual(shards(["1", 2, 3n, null, Object.create(null), new Map(), [4]]), ["1", "2", "3"])
    assert.deepStrictEqual(shards("[\"1\",2,{\"toString\":1},null,[3]]"), ["1", "2"])
  })

  it.live("does not stop the connection from hearing what follows", () =>
    Effect.gen(function*() {
      const map = "%1\r\n+__proto__\r\n%0\r\n"
      const values = [
        map,
        "%1\r\n*1\r\n:1\r\n+a\r\n",
        "~1\r\n" + map,
        "*1\r\n*1\r\n" + map,
        "_\r\n",
        ",nan\r\n",
        "#t\r\n"
      ]
        .concat("-ERR no\r\n", "!6\r\nERR no\r\n", `(${"9".repeat(50_000)}\r\n`, "$?\r\n;0\r\n", "%0\r\n", "*-1\r\n")
      const pushes = values.flatMap((value) => [
        `>1\r\n${value}`,
        `|1\r\n${value}${value}>2\r\n${value}${value}`,
        ...[...names, "message", "subscribe", "invalidate"].flatMap((name) => [
          `>2\r\n+${name}\r\n${value}`,
          `>3\r\n+${name}\r\n:1\r\n${value}`,
          `>4\r\n+${name}\r\n:1\r\n:1\r\n${value}`,
          `>4\r\n+${name}\r\n:1\r\n${value}${value}`,
          `>3\r\n+${name}\r\n:1\r\n*1\r\n*3\r\n${value}${value}${value}`
        ])
      ])
      const { redis, server } = yield* scripted({ pushes: pushes.join("") + ">0\r\n+after\r\n" })
      assert.strictEqual(yield* redis.send("GET", "pushes"), "after")
      assert.strictEqual(yield* redis.send("PING"), "PONG")
      assert.deepStrictEqual(server.closed, [])
    }))
})

describe("a server that answers with other values than expected", () => {
  for (
    const value of ["%1\r\n+a\r\n%0\r\n", "%1\r\n*0\r\n+a\r\n", "*1\r\n%0\r\n", "_\r\n", ":1\r\n", "#t\r\n", "+YES\r\n"]
  ) {
    it.live(`${JSON.stringify(value)} to the question for notifications offers none`, () =>
      Effect.gen(function*() {
        const { redis } = yield* scripted({ MAINT_NOTIFICATIONS: value })
        assert.strictEqual(yield* redis.send("PING"), "PONG")
        const [endpoint] = (yield* redis.status).endpoints
        assert.deepStrictEqual(
          [endpoint?.support, endpoint?.words],
          ["refused", value === "+YES\r\n" ? "YES" : "neither OK nor an error"]
        )
      }))
  }

  it.live("gives a subscriber the messages that are text, and no others", () =>
    Effect.gen(function*() {
      const { effectRedis } = yield* scripted({
        SUBSCRIBE: concat(
          ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n",
          ...["%1\r\n+a\r\n%0\r\n", "*1\r\n%0\r\n", "_\r\n", "-ERR\r\n"].flatMap((value) => [
            `>3\r\n+message\r\n$2\r\nch\r\n${value}`,
            `>3\r\n+message\r\n${value}$1\r\na\r\n`,
            ">1\r\n+message\r\n",
            `>1\r\n${value}`,
            ">0\r\n"
          ]),
          utf8.encode(">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n")
        )
      })
      const messages = yield* effectRedis.subscribe("ch")
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "ch", message: "hello" })
    }))
})
