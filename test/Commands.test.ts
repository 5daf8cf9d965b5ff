/**
 * What the client takes from its callers: names and arguments of any type and shape, judged by their bytes, taken as they
 * are at the call, and refused with a reason where they cannot be sent.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import { type Config, type HitlessError, HitlessRedis, type Resp } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { inspect } from "node:util"
import { runInNewContext } from "node:vm"
import { blocksFor, refusalOf } from "../src/internal/commands.ts"
import type { Words } from "../src/internal/request.ts"
import { startRedis } from "./support/redisServer.ts"

const connect = (port: number, options: Config.Options = {}) =>
  HitlessRedis.make({ host: "127.0.0.1", port, ...options }).pipe(Effect.provide(NodeTransport.layer))

const client = Effect.gen(function*() {
  const { port } = yield* startRedis()
  return yield* connect(port, { poolSize: 1 })
})

const bytesOf = (word: string): Uint8Array => new TextEncoder().encode(word)

/** Fails where the effect does anything but refuse; gives the message. */
const refused = (effect: Effect.Effect<unknown, HitlessError.HitlessError>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.reason._tag, "CommandRefused", error.message)
    assert.isFalse(error.mayHaveExecuted)
    assert.isFalse(error.isRetryable)
    return error.message
  })

describe("a name or subcommand", () => {
  const everywhere: ReadonlyArray<readonly [string, ...Array<string>]> = [
    ["CLIENT", "REPLY", "SKIP"],
    ["CLIENT", "REPLY", "OFF"],
    ["CLIENT", "MAINT_NOTIFICATIONS", "OFF"],
    ["SCRIPT", "DEBUG", "YES"],
    ["SCRIPT", "DEBUG", "SYNC"],
    ["REPLCONF", "ACK", "1"],
    ["REPLCONF", "GETACK", "*"],
    ["REPLCONF", "listening-port", "1"],
    ["CLUSTER", "SYNCSLOTS", "SNAPSHOT"],
    ["SYNC"],
    ["PSYNC", "?", "-1"],
    ["MONITOR"],
    ["SSUBSCRIBE", "channel"],
    ["POST", "/"],
    ["HOST:", "localhost"]
  ]
  const onlyShared: ReadonlyArray<readonly [string, ...Array<string>]> = [
    ["CLIENT", "TRACKING", "ON"],
    ["CLIENT", "SETNAME", "name"],
    ["CLIENT", "SETINFO", "LIB-NAME", "name"],
    ["CLIENT", "NO-EVICT", "ON"],
    ["CLIENT", "NO-TOUCH", "ON"],
    ["CLIENT", "CAPA", "redirect"],
    ["CLIENT", "CACHING", "YES"],
    ["CLIENT", "IMPORT-SOURCE", "ON"],
    ["HIMPORT", "PREPARE", "fields", "one", "two"],
    ["HIMPORT", "DISCARD", "fields"],
    ["HIMPORT", "DISCARDALL"],
    ["SELECT", "1"],
    ["ASKING"]
  ]
  const nowhere: ReadonlyArray<readonly [string, ...Array<string>]> = [
    ["CLIENT", "LIST"],
    ["CLIENT", "GETNAME"],
    ["CLIENT", "TRACKINGINFO"],
    ["CLIENT", "UNBLOCK", "1"],
    ["CLIENT", "KILL", "ID", "REPLY"],
    ["SCRIPT", "LOAD", "DEBUG"],
    ["SCRIPT"],
    ["CLUSTER", "SLOTS"],
    ["HIMPORT", "SET", "key", "fields", "1", "2"],
    ["SET", "REPLY", "REPLY"],
    ["GET", "CLIENT REPLY"],
    ["CLIENTREPLY"]
  ]
  const carriers: ReadonlyArray<readonly [string, (word: string) => Resp.Arg]> = [
    ["as it is", (word) => word],
    ["in lower case", (word) => word.toLowerCase()],
    ["in both cases", (word) => word.toLowerCase().replace(/[a-m]/g, (letter) => letter.toUpperCase())],
    ["as a Uint8Array", bytesOf],
    ["as a Buffer", (word) => Buffer.from(word.toLowerCase())],
    ["as part of larger memory", (word) => bytesOf(`xx${word}xx`).subarray(2, -2)]
  ]
  const table = [
    { commands: everywhere, shared: true, reserved: true, where: "on every connection" },
    { commands: onlyShared, shared: true, reserved: false, where: "on a shared connection alone" },
    { commands: nowhere, shared: false, reserved: false, where: "nowhere" }
  ]
  for (const { commands, reserved, shared, where } of table) {
    for (const [name, ...args] of commands) {
      it(`is refused ${where}, however it is spelled: ${[name, ...args].join(" ")}`, () => {
        for (const [how, spell] of carriers) {
          const spelled = spell(name)
          const words = [typeof spelled === "string" ? spelled : name, ...args.map(spell)]
          assert.strictEqual(refusalOf(words, true) !== undefined, shared, how)
          assert.strictEqual(refusalOf(words, false) !== undefined, reserved, how)
        }
      })
    }
  }

  it("that is refused for what it leaves behind is named, and the reason says where it can be sent", () => {
    const error = refusalOf(["client", bytesOf("tracking"), "ON"], true)
    assert.strictEqual(error?.reason.command, "CLIENT TRACKING")
    assert.include(error?.message, "reserve")
  })

  it.live("in bytes shifts no reply of a real server", () =>
    Effect.gen(function*() {
      const redis = yield* client
      for (
        const words of [["CLIENT", "REPLY", "SKIP"], ["SCRIPT", "DEBUG", "YES"], ["REPLCONF", "ACK", "1"]] as const
      ) {
        yield* refused(redis.send(words[0], ...words.slice(1).map(bytesOf)))
        yield* refused(redis.pipeline([["PING"], [words[0], ...words.slice(1).map(bytesOf)]]))
      }
      const echoed = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => `${index}`),
        (text) => Effect.map(redis.send("ECHO", text), (reply) => reply === text),
        { concurrency: "unbounded" }
      )
      assert.isTrue(echoed.every((same) => same))
    }))

  it.live("that leaves state is sent on a reserved connection", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const services = yield* Layer.build(NodeHitlessRedis.layer({ host: "127.0.0.1", port }))
      const redis = Context.get(services, Redis.Redis)
      yield* Effect.flip(redis.send("CLIENT", "SETNAME", "mine"))
      const name = yield* Effect.scoped(Effect.gen(function*() {
        const reserved = yield* redis.reserve
        yield* reserved.send("CLIENT", "SETNAME", "mine")
        const name = yield* reserved.send("CLIENT", "GETNAME")
        yield* reserved.send("CLIENT", "SETNAME", "")
        return name
      }))
      assert.strictEqual(name, "mine")
    }))

  it("of a command that blocks has its time read from bytes too", () => {
    assert.strictEqual(blocksFor(["BLPOP", "key", bytesOf("5")]), 5000)
    assert.strictEqual(blocksFor(["BLPOP", "key", bytesOf("0")]), Infinity)
    assert.strictEqual(blocksFor(["XREAD", bytesOf("block"), bytesOf("250"), bytesOf("STREAMS"), "s", "$"]), 250)
    assert.strictEqual(blocksFor(["XREAD", "STREAMS", bytesOf("BLOCK"), "0"]), 0)
  })
})

describe("a list of arguments", () => {
  const million = Array.from({ length: 1_000_000 }, (_, index) => `${index}`)

  it.live("that is too long to spread is given as an array", () =>
    Effect.gen(function*() {
      const redis = yield* client
      assert.strictEqual(yield* redis.send("RPUSH", ["list", ...million]), million.length)
      assert.strictEqual(yield* redis.send("LLEN", ["list"]), million.length)
      const bytes = yield* redis.sendBytes<ReadonlyArray<Uint8Array>>("MGET", million)
      assert.strictEqual(bytes.length, million.length)
      assert.strictEqual(yield* redis.send("DEL", million), 0)
      assert.deepStrictEqual(yield* redis.sendBytes("ECHO", ["text"]), bytesOf("text"))
      assert.strictEqual(yield* redis.send("PING", []), "PONG")
    }), 60_000)

  it.live("is what it was at the call, whatever becomes of the array", () =>
    Effect.gen(function*() {
      const redis = yield* client
      const list = ["key", "value"]
      const set = redis.send("SET", list)
      list[1] = "changed"
      list.push("NX")
      yield* set
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
    }))

  it.live("is refused where there are further arguments, or arrays in it", () =>
    Effect.gen(function*() {
      const redis = yield* client
      assert.include(yield* refused(redis.send("SET", ["key"] as never, "value")), "argument 1")
      assert.include(yield* refused(redis.send("SET", "key", ["value"] as never)), "argument 2")
      assert.include(yield* refused(redis.send("SET", ["key", ["value"]] as never)), "argument 2")
      assert.include(yield* refused(redis.send("CLIENT", ["REPLY", "OFF"])), "CLIENT REPLY")
    }))
})

describe("a value that is no argument", () => {
  const throwing = {
    get length(): number {
      throw new Error("the getter threw")
    },
    toString() {
      throw new Error("toString threw")
    }
  }
  const detached = (size: number) => {
    const bytes = new Uint8Array(size)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    return bytes
  }
  const cut = () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 })
    const bytes = new Uint8Array(buffer, 8, 8)
    buffer.resize(4)
    return bytes
  }
  const values: ReadonlyArray<readonly [string, unknown]> = [
    ["undefined", undefined],
    ["null", null],
    ["a boolean", true],
    ["a symbol", Symbol("secret")],
    ["a function", () => "secret"],
    ["an object", {}],
    ["an object whose getters and toString throw", throwing],
    ["a date", new Date(0)],
    ["a boxed string", Object("text")],
    ["an ArrayBuffer", new ArrayBuffer(1)],
    ["a DataView", new DataView(new ArrayBuffer(1))],
    ["a Uint16Array", new Uint16Array(1)],
    ["a Float64Array", new Float64Array(1)],
    ["a proxy of bytes", new Proxy(new Uint8Array(1), {})],
    ["an object that only looks like bytes", Object.create(Uint8Array.prototype)],
    [
      "a revoked proxy",
      (() => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      })()
    ],
    ["bytes whose memory was transferred", detached(8)],
    ["many bytes whose memory was transferred", detached(8192)],
    ["bytes whose memory was cut off", cut()]
  ]

  it.live("is refused with its place, in every form, and those beside it are answered", () =>
    Effect.gen(function*() {
      const redis = yield* client
      for (const [what, value] of values) {
        const bad = value as Resp.Arg
        const forms = [
          redis.send("SET", "key", bad),
          redis.send("SET", ["key", bad]),
          redis.sendBytes("SET", "key", bad),
          redis.pipeline([["PING"], ["SET", "key", bad]]),
          redis.transaction([["SET", "key", bad]])
        ]
        for (const form of forms) {
          const [good, message] = yield* Effect.all([redis.send("ECHO", what), refused(form)], {
            concurrency: "unbounded"
          })
          assert.strictEqual(good, what)
          assert.include(message, "argument 2", what)
          assert.notInclude(message, "secret")
        }
      }
      assert.strictEqual(yield* redis.send("EXISTS", "key"), 0)
    }))

  it.live("is no name either", () =>
    Effect.gen(function*() {
      const redis = yield* client
      for (const name of [...values.map(([, value]) => value), 1, 1n, bytesOf("PING"), "", ["PING"]]) {
        yield* refused(redis.send(name as string))
        yield* refused(redis.send(name as string, ["argument"]))
        yield* refused(redis.pipeline([[name as string]]))
      }
      assert.strictEqual(yield* redis.send("PING"), "PONG")
    }))
})

describe("the commands of a batch", () => {
  const evil = new Proxy<Array<unknown>>([], {
    get: () => {
      throw new Error("the getter threw")
    }
  })
  const batches: ReadonlyArray<readonly [string, unknown]> = [
    ["undefined", undefined],
    ["null", null],
    ["text", "PING"],
    ["an array-like", { length: 1, 0: ["PING"] }],
    ["a set", new Set([["PING"]])],
    [
      "a generator",
      (function*() {
        yield ["PING"]
      })()
    ],
    ["an array that throws", evil],
    ["nothing in an array", [null]],
    ["a hole", Array(1)],
    ["text in an array", ["PING"]],
    ["an array-like in an array", [{ length: 1, 0: "PING" }]],
    ["bytes in an array", [bytesOf("PING")]],
    ["an array that throws in an array", [["PING"], evil]],
    ["an empty command", [[]]]
  ]
  for (const [what, batch] of batches) {
    it.live(`are refused where they are ${what}`, () =>
      Effect.gen(function*() {
        const redis = yield* client
        yield* refused(redis.pipeline(batch as never))
        yield* refused(redis.transaction(batch as never))
        assert.strictEqual(yield* redis.send("PING"), "PONG")
      }))
  }

  it.live("can be arrays of a subclass, or of another realm", () =>
    Effect.gen(function*() {
      const redis = yield* client
      class Own extends Array<unknown> {
        override slice(): Array<unknown> {
          throw new Error("not to be called")
        }
      }
      const own = Own.from([Own.from(["ECHO", "own"])])
      const foreign = runInNewContext(`[["ECHO", "foreign"], ["ECHO", new Uint8Array([104, 105])]]`)
      assert.deepStrictEqual(yield* redis.pipeline(own as never), [Result.succeed("own")])
      assert.deepStrictEqual(yield* redis.pipeline(foreign), [Result.succeed("foreign"), Result.succeed("hi")])
    }))
})

describe("a deadline of one's own", () => {
  const unreadable = [
    "soon",
    "",
    "5 parsecs",
    null,
    {},
    { second: 1 },
    NaN,
    [],
    [1],
    true,
    Symbol("time"),
    0,
    -1,
    "-1 second",
    "-Infinity",
    {
      get seconds() {
        throw new Error("the getter threw")
      }
    }
  ]
  it.live("is refused where it is no positive duration", () =>
    Effect.gen(function*() {
      const redis = yield* client
      for (const timeout of unreadable) {
        const within = Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout as never)
        assert.include(yield* refused(within(redis.send("PING"))), "CurrentCommandTimeout", inspect(timeout))
        yield* refused(within(redis.pipeline([["PING"]])))
      }
      for (const timeout of ["5 seconds", "5s", 5000, 5_000_000_000n, [5, 0], { seconds: 5 }, "Infinity"] as const) {
        const within = Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)
        assert.strictEqual(yield* within(redis.send("PING")), "PONG")
      }
    }))
})

describe("text", () => {
  const high = "\uD83D"
  const low = "\uDE00"
  const halves = [
    high,
    low,
    `key${high}`,
    `${low}key`,
    low + high,
    `${high}x${low}`,
    `日本${high}`,
    "x".repeat(5000) + low
  ]

  it.live("with half of a surrogate pair is refused wherever it stands, so that two keys are never one", () =>
    Effect.gen(function*() {
      const redis = yield* client
      for (const text of halves) {
        const forms = [
          redis.send("SET", text, "value"),
          redis.send("SET", "key", text),
          redis.send("SET", [text, "value"]),
          redis.sendBytes("GET", text),
          redis.pipeline([["PING"], ["SET", text, "value"]]),
          redis.transaction([["SET", "key", text]]),
          redis.send(`GET${text}`, "key")
        ]
        for (const form of forms) assert.include(yield* refused(form), "surrogate")
      }
      assert.strictEqual(yield* redis.send("DBSIZE"), 0)
      yield* redis.send("SET", `key${high}${low}`, "whole")
      assert.strictEqual(yield* redis.send("GET", "key😀"), "whole")
    }))

  it.live("with half of a surrogate pair is no channel", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const services = yield* Layer.build(NodeHitlessRedis.layer({ host: "127.0.0.1", port }))
      const messages = yield* Context.get(services, Redis.Redis).subscribe(`news${high}`)
      const error = yield* Effect.flip(Queue.take(messages))
      assert.include(String(error.cause), "surrogate")
    }))

  it("is refused with a message that is text itself", () => {
    assert.isTrue(refusalOf([`GET${high}`], true)!.message.isWellFormed())
    assert.isTrue(refusalOf([`GET${high}`, high] as Words, true)!.message.isWellFormed())
  })
})

describe("bytes", () => {
  for (const size of [0, 1, 64, 2047]) {
    it.live(`are what they were at the call, when they are ${size}`, () =>
      Effect.gen(function*() {
        const redis = yield* client
        const bytes = new Uint8Array(size).fill(1)
        const calls = [
          redis.sendBytes("ECHO", bytes),
          redis.sendBytes("ECHO", [bytes]),
          redis.pipeline([["ECHO", bytes]]),
          redis.transaction([["ECHO", bytes]])
        ]
        bytes.fill(2)
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
        const [one, list, pipeline, transaction] = yield* Effect.all(calls, { concurrency: "unbounded" })
        const text = "\u0001".repeat(size)
        assert.deepStrictEqual([one, list], [new Uint8Array(size).fill(1), new Uint8Array(size).fill(1)])
        assert.deepStrictEqual([pipeline, transaction], [[Result.succeed(text)], [Result.succeed(text)]])
      }))
  }

  it.live("are not copied from 2 KiB on, so that what is changed before they are written is sent", () =>
    Effect.gen(function*() {
      const redis = yield* client
      const bytes = new Uint8Array(2048).fill(1)
      const call = redis.sendBytes("ECHO", bytes)
      bytes.fill(2)
      assert.deepStrictEqual(yield* call, new Uint8Array(2048).fill(2))
    }))

  for (const size of [8, 4096]) {
    it.live(`of a class that lies about its ${size} bytes are what they are`, () =>
      Effect.gen(function*() {
        class Liar extends Uint8Array {
          override get length(): number {
            throw new Error("the getter threw")
          }
          override get byteLength(): number {
            return 3
          }
        }
        const redis = yield* client
        const liar = new Liar(new Uint8Array(size).fill(7).buffer)
        assert.deepStrictEqual(yield* redis.sendBytes("ECHO", liar), new Uint8Array(size).fill(7))
        yield* refused(redis.send("CLIENT", new Liar(Array.from(bytesOf("REPLY"))), "OFF"))
        yield* Effect.flip(redis.send("CLIENT", liar))
        const shared = new Uint8Array(new SharedArrayBuffer(size)).fill(7)
        assert.deepStrictEqual(yield* redis.sendBytes("ECHO", shared), new Uint8Array(size).fill(7))
        assert.deepStrictEqual(yield* redis.sendBytes("ECHO", Buffer.alloc(size, 7)), new Uint8Array(size).fill(7))
        assert.strictEqual(yield* redis.send("PING"), "PONG")
      }))
  }
})
