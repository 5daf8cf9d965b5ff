/**
 * Which writes can run twice, as `Commands.changesOnce` says: shown on a real server, with another writer in between.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Commands } from "hitless"
import { type Client, connect as connectDirectly, reasonOf, start } from "./support/client.ts"
import { connect, deploy, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

type Any = Commands.Command<unknown>

const { changesOnce } = Commands

const judge = ({ words: [name, ...args] }: Any) => changesOnce(String(name), args)

/** What is there before, the command, and what another does between its two runs. */
type Case = readonly [before: ReadonlyArray<Any>, command: Any, others: ReadonlyArray<Any>]

const stream = [
  Commands.xGroupCreate("s", "g", "0", { MKSTREAM: true }),
  Commands.xAdd("s", "1-1", { a: 1 }),
  Commands.xAdd("s", "2-1", { a: 1 }),
  Commands.xReadGroup("g", "c", { key: "s", id: ">" })
]

const addsAnother = [Commands.xAdd("s", "9-1", { b: 2 }), Commands.xReadGroup("g", "d", { key: "s", id: ">" })]

const safe: ReadonlyArray<Case> = [
  [[], Commands.set("k", "mine", { condition: "NX" }), [Commands.set("k", "theirs")]],
  [[], Commands.set("k", "mine", { condition: "NX", expiration: "1 day", GET: true }), [
    Commands.append("k", "theirs")
  ]],
  [[Commands.set("k", "old")], Commands.set("k", "mine", { condition: "NX" }), [Commands.set("k", "theirs")]],
  [[], Commands.setNX("k", "mine"), [Commands.set("k", "theirs")]],
  [[], Commands.mSetNX({ k: "mine", l: "mine" }), [Commands.set("l", "theirs")]],
  [[], Commands.hSetNX("h", "f", "mine"), [Commands.hSet("h", "f", "theirs")]],
  [[], Commands.zAdd("z", { value: "m", score: 1 }, { condition: "NX" }), [
    Commands.zAdd("z", { value: "m", score: 2 })
  ]],
  [stream, Commands.xAdd("s", "5-1", { mine: 1 }), addsAnother],
  [
    stream,
    Commands.xAdd("s", "5", { mine: 1 }, { TRIM: { strategy: "MAXLEN", strategyModifier: "=", threshold: 2 } }),
    [
      Commands.xTrim("s", "MAXLEN", 1)
    ]
  ],
  [stream, Commands.xAck("s", "g", ["1-1", "2-1"]), addsAnother],
  [stream, Commands.xDel("s", "1-1"), addsAnother],
  [stream, Commands.xGroupCreate("s", "h", "$"), [
    Commands.xAdd("s", "9-1", { b: 2 }),
    Commands.xGroupSetId("s", "h", "0")
  ]],
  [[], Commands.scriptLoad("return 1"), []]
]

const unsafe: ReadonlyArray<Case> = [
  [[], Commands.set("k", "mine"), [Commands.set("k", "theirs")]],
  [[Commands.set("k", "old")], Commands.set("k", "mine", { condition: "XX" }), [Commands.set("k", "theirs")]],
  [[], Commands.incr("k"), []],
  [[], Commands.append("k", "x"), []],
  [[], Commands.hSet("h", "f", "mine"), [Commands.hSet("h", "f", "theirs")]],
  [[], Commands.sAdd("set", "m"), [Commands.sRem("set", "m")]],
  [[], Commands.zAdd("z", { value: "m", score: 1 }), [Commands.zAdd("z", { value: "m", score: 2 })]],
  [[], Commands.zAdd("z", { value: "m", score: 5 }, { comparison: "GT" }), [
    Commands.zAdd("z", { value: "m", score: 2 })
  ]],
  [[Commands.set("k", "old")], Commands.del("k"), [Commands.set("k", "theirs")]],
  [[], Commands.rPush("l", "x"), []],
  [stream, Commands.xAdd("s", "*", { mine: 1 }), []],
  [stream, Commands.xAdd("s", "9-*", { mine: 1 }), []]
]

describe("Between two runs of a write", () => {
  // `DEBUG DIGEST` is of all databases.
  const own = Effect.flatMap(startRedis({ args: ["--enable-debug-command", "yes"] }), connectDirectly)

  const inOrder = (redis: Client, commands: ReadonlyArray<Any>) =>
    Effect.forEach(commands, (command) => Effect.result(redis.run(command)), { discard: true })

  /** All data, and what is pending in the group. */
  const state = (redis: Client) =>
    Effect.all([
      redis.send("DEBUG", "DIGEST"),
      Effect.result(redis.run(Commands.xPendingRange("s", "g", "-", "+", 10))).pipe(
        Effect.map((result) => result._tag === "Success" ? result.success.map(({ id, consumer }) => id + consumer) : [])
      ),
      Effect.result(redis.run(Commands.xInfoGroups("s"))).pipe(
        Effect.map((result) =>
          result._tag === "Success" ? result.success.map(({ name, ...of }) => [name, of["last-delivered-id"]]) : []
        )
      )
    ])

  /** Whether the second run leaves everything as it is. */
  const isOnce = (redis: Client, [before, command, others]: Case) =>
    Effect.gen(function*() {
      yield* redis.run(Commands.flushAll())
      yield* inOrder(redis, before)
      const empty = yield* state(redis)
      yield* inOrder(redis, [command])
      if (others.length > 0 && before.length === 0) assert.notDeepEqual(yield* state(redis), empty, "it does nothing")
      yield* inOrder(redis, others)
      const once = yield* state(redis)
      yield* inOrder(redis, [command])
      return JSON.stringify(yield* state(redis)) === JSON.stringify(once)
    })

  it.live("that changes the data once another can write what it likes", () =>
    Effect.gen(function*() {
      const redis = yield* own
      for (const one of safe) {
        assert.isTrue(judge(one[1]), one[1].words.join(" "))
        assert.isTrue(yield* isOnce(redis, one), one[1].words.join(" "))
      }
    }))

  it.live("that only looks so another's is lost, or it is there twice", () =>
    Effect.gen(function*() {
      const redis = yield* own
      for (const one of unsafe) {
        assert.isFalse(judge(one[1]), one[1].words.join(" "))
        assert.isFalse(yield* isOnce(redis, one), one[1].words.join(" "))
      }
    }))
})

describe("A write that can run twice", () => {
  it("is told by its words, however they are spelled and whatever its values are", () => {
    const bytes = (text: string) => new TextEncoder().encode(text)
    for (
      const [name, ...args] of [
        ["set", "k", "v", "px", 10, "nx"],
        ["SET", "k", "v", "IFEQ", "XX"],
        ["SET", "k", "v", "GET", "ifdeq", "0123"],
        ["SET", bytes("k"), bytes("v"), bytes("nx")],
        ["MSETEX", 1, "k", "v", "NX", "EX", 5],
        ["DELEX", "k", "IFEQ", "v"],
        ["ZADD", "z", "CH", "nx", 1, "m"],
        ["XADD", "s", "nomkstream", "MINID", "~", "1-1", "LIMIT", 5, "7-1", "f", "v"],
        ["XADD", "s", "IDMP", "p", "i", "*", "f", "v"],
        ["XADD", "s", "KEEPREF", "IDMPAUTO", "p", "MAXLEN", 5, "*", "f", "v"],
        ["XACKDEL", "s", "g", "IDS", 1, "1-1"],
        ["xgroup", "create", "s", "g", "$"]
      ] as const
    ) assert.isTrue(changesOnce(name, args), `${name} ${args}`)
    for (
      const [name, ...args] of [
        ["SET", "NX", "NX"],
        ["SET", "k", "v", "IFNE", "NX"],
        ["SET", "k", "v", "EX", 10, "XX"],
        ["MSETEX", 2, "k", "v", "l", "NX"],
        ["DELEX", "k", "IFNE", "IFEQ"],
        ["DELEX", "k"],
        ["ZADD", "z", "GT", 1, "NX"],
        ["XADD", "s", "*", "IDMP", "1-1"],
        ["XADD", "s", "MAXLEN", "=", 5, "*", "f", "1-1"],
        ["XADD", "s", "5-*", "f", "v"],
        ["XGROUP", "DESTROY", "s", "g"],
        ["toString"],
        ["EVAL", "return 1", 0],
        ["GET", "k"]
      ] as const
    ) assert.isFalse(changesOnce(name, args), `${name} ${args}`)
  })

  it.live("is sent again by a policy that knows it, and is given the answer to its second run", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const direct = yield* connectDirectly(server)
      const deployment = yield* deploy(["a"], { upstream: NodeSocket.makeNet({ path: server.socketPath }) })
      const asked: Array<string> = []
      const { redis } = yield* connect(deployment, "a", {
        poolSize: 1,
        maintenance: { logLevel: "Error" },
        retry: (command, args, readOnly) => {
          asked.push(`${command} ${readOnly}`)
          return readOnly || changesOnce(command, args)
        }
      })
      // They run, and their replies are lost.
      yield* deployment.latency("a", "300 millis")
      const lock = yield* start(redis.run(Commands.set("lock", "token", { condition: "NX" })))
      const took = yield* start(redis.run(Commands.set("other", "token", { condition: "NX", GET: true })))
      const added = yield* start(Effect.flip(redis.run(Commands.xAdd("s", "1-1", { a: 1 }))))
      const read = yield* start(redis.run(Commands.get("lock")))
      const counted = yield* start(Effect.flip(redis.run(Commands.incr("n"))))
      const own = yield* start(Effect.flip(redis.run(Commands.make(["GET", "lock"], String))))
      yield* waitUntil(Effect.map(direct.run(Commands.exists(["lock", "other", "s", "n"])), (count) => count === 4))
      yield* deployment.kill("a")
      yield* deployment.latency("a", 0)
      assert.isNull(yield* Fiber.join(lock))
      assert.strictEqual(yield* Fiber.join(took), "token")
      const error = yield* Fiber.join(added)
      assert.include(reasonOf(error, "ServerReplied").detail, "equal or smaller")
      assert.isTrue(error.mayHaveExecuted)
      assert.strictEqual(yield* Fiber.join(read), "token")
      assert.isTrue(reasonOf(yield* Fiber.join(counted), "ConnectionLost").mayHaveExecuted)
      // A command of one's own is what it says of itself.
      reasonOf(yield* Fiber.join(own), "ConnectionLost")
      assert.strictEqual(yield* direct.run(Commands.get("n")), "1")
      assert.deepStrictEqual(asked.toSorted(), [
        "GET false",
        "GET true",
        "INCR false",
        "SET false",
        "SET false",
        "XADD false"
      ])
    }))
})
