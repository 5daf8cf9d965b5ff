/**
 * Client-side caches: what is kept and what is not, with a real server, with servers that say what no server does in that
 * order, and through moves in simulated time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { Commands, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { clientList, connect, connectTo, host, info, reasonOf, start, within } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, type RawConnection, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { addresses, advance, nodes, rehearse } from "./support/rehearsal.ts"

type Redis = HitlessRedis.HitlessRedis["Service"]

const options = { capacity: 100, timeToLive: "1 hour" } as const

/** A client with a cache, and one beside it, of a server of their own, whose statistics and connections count. */
const setUp = Effect.gen(function*() {
  const server = yield* startRedis({ args: ["--enable-debug-command", "yes"] })
  const redis = yield* connect(server)
  return { server, redis, other: yield* connect(server), cache: yield* redis.cache(options) }
})

/** How often the server ran a command. */
const calls = (redis: Redis, command: string) =>
  Effect.map(
    info(redis, "commandstats", `cmdstat_${command}`),
    (stat) => Number(/calls=(\d+)/.exec(stat ?? "")?.[1] ?? 0)
  )

const entries = (redis: Redis) => Effect.map(redis.status, ({ caches }) => caches.map(({ entries }) => entries))

/** What the caches of a client of that name counted, by metric and attribute. */
const counts = (client: string) =>
  Effect.map(Metric.snapshot, (snapshot) => {
    const counted = new Map(
      snapshot.flatMap(({ attributes = {}, id, state }) => {
        const { "db.client.connection.pool.name": name, ...rest } = attributes as Record<string, string>
        if (!id.startsWith("redis.client.csc.") || name !== client) return []
        const { count, value } = state as { readonly count?: number; readonly value?: number }
        return [[[id.slice("redis.client.csc.".length), ...Object.values(rest)].join(" "), count ?? value]] as const
      })
    )
    return (series: string) => counted.get(series) ?? 0
  })

const becomes = <A>(effect: Effect.Effect<A, unknown>, value: A) =>
  waitUntil(Effect.map(Effect.orDie(effect), (now) => Object.is(now, value)))

describe("A cache of a real server", () => {
  it.live("asks once for what is not changed", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      yield* other.run(Commands.set("k", "v"))
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* cache.run(Commands.get("k")), "v")
      assert.isNull(yield* cache.run(Commands.get("missing")))
      assert.isNull(yield* cache.run(Commands.get("missing")))
      assert.strictEqual(yield* calls(other, "get"), 2)
      assert.deepStrictEqual(
        (yield* redis.status).caches.map(({ entries, isTracking, state }) => [state, isTracking, entries]),
        [
          ["Serving", true, 2]
        ]
      )
    }).pipe(Effect.scoped))

  it.live("asks again for what was changed, by others and by its own client, set, deleted or flushed", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      const get = cache.run(Commands.get("k"))
      assert.isNull(yield* get)
      yield* other.run(Commands.set("k", "1"))
      yield* becomes(get, "1")
      yield* redis.run(Commands.set("k", "2"))
      yield* becomes(get, "2")
      yield* other.run(Commands.del("k"))
      yield* becomes(get, null)
      yield* redis.transaction([Commands.set("k", "3"), Commands.get("k")])
      yield* becomes(get, "3")
      yield* other.run(Commands.flushAll())
      yield* becomes(get, null)
    }).pipe(Effect.scoped))

  it.live("knows each of the keys of a command, also such as are no text, and tells replies apart by what was asked", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      const bytes = Uint8Array.of(0xff, 0x00, 0xfe)
      yield* other.run(Commands.mSet([["a", "1"], [bytes, "2"]]))
      const both = Effect.map(cache.run(Commands.mGet(["a", bytes])), String)
      assert.strictEqual(yield* both, "1,2")
      assert.deepStrictEqual(yield* cache.run(Commands.bytes(Commands.get("a"))), Uint8Array.of(0x31))
      assert.strictEqual(yield* cache.run(Commands.get("a")), "1")
      const length = Commands.make(["GET", "a"], (reply) => String(reply).length, { keys: ["a"], readOnly: true })
      assert.strictEqual(yield* cache.run(length), 1)
      assert.deepStrictEqual(yield* entries(redis), [3])
      yield* other.run(Commands.set(bytes, "3"))
      yield* becomes(both, "1,3")
      yield* other.run(Commands.set("a", "10"))
      yield* becomes(both, "10,3")
      yield* becomes(cache.run(length), 2)
    }).pipe(Effect.scoped))

  it.live("sends one command for many who ask at once, whoever of them is interrupted", () =>
    Effect.gen(function*() {
      const { cache, other } = yield* setUp
      yield* other.run(Commands.set("k", "v"))
      const first = yield* start(cache.run(Commands.get("k")))
      const rest = yield* start(
        Effect.all(Array.from({ length: 100 }, () => cache.run(Commands.get("k"))), { concurrency: "unbounded" })
      )
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual([...new Set(yield* Fiber.join(rest))], ["v"])
      assert.strictEqual(yield* calls(other, "get"), 1)
    }).pipe(Effect.scoped))

  it.live("gives nothing any longer than its key lives", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      // A server that looks for what has expired only when it is asked.
      yield* other.send("DEBUG", "SET-ACTIVE-EXPIRE", "0")
      yield* other.run(Commands.set("k", "v", { expiration: "1 second" }))
      assert.strictEqual(yield* cache.run(Commands.get("k")), "v")
      assert.deepStrictEqual(yield* entries(redis), [1])
      yield* Effect.sleep("1010 millis")
      assert.isNull(yield* cache.run(Commands.get("k")))
      yield* other.send("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    }).pipe(Effect.scoped))

  it.live("keeps as much as it may, and what was read last", () =>
    Effect.gen(function*() {
      const { other, redis } = yield* setUp
      const cache = yield* redis.cache({ capacity: 2, timeToLive: "1 hour" })
      const get = (key: string) => cache.run(Commands.get(key))
      for (const key of ["a", "b", "a", "c"]) yield* get(key)
      assert.strictEqual(yield* calls(other, "get"), 3)
      yield* get("a")
      yield* get("c")
      assert.strictEqual(yield* calls(other, "get"), 3)
      yield* get("b")
      assert.strictEqual(yield* calls(other, "get"), 4)
      assert.deepStrictEqual(yield* entries(redis), [0, 2])
    }).pipe(Effect.scoped))

  it.live("does not keep errors, and tells them to all who asked", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      yield* other.run(Commands.lPush("list", "x"))
      const get = Effect.flip(cache.run(Commands.get("list")))
      for (const error of yield* Effect.all([get, get], { concurrency: "unbounded" })) {
        assert.strictEqual(reasonOf(error, "ServerReplied").code, "WRONGTYPE")
      }
      assert.deepStrictEqual(yield* entries(redis), [0])
      const wrong = Commands.make(["GET", "k"], () => assert.fail("mine"), { keys: ["k"], readOnly: true })
      for (let i = 0; i < 2; i++) reasonOf(yield* Effect.flip(cache.run(wrong)), "UnexpectedReply")
    }).pipe(Effect.scoped))

  it.live("refuses what changes anything, has no keys, waits, or depends on more than its keys", () =>
    Effect.gen(function*() {
      const { cache } = yield* setUp
      for (
        const command of [
          Commands.set("k", "v"),
          Commands.dbSize(),
          Commands.ttl("k"),
          Commands.sRandMember("k"),
          Commands.evalRo("return 1", { keys: ["k"] }),
          Commands.make(["get", "k"], String, { readOnly: true }),
          Commands.make(["GET", "k"], String, { keys: ["k"] })
        ]
      ) {
        const reason = reasonOf(yield* Effect.flip(cache.run<unknown>(command)), "CommandRefused")
        assert.strictEqual(reason.command, String(command.words[0]))
      }
      reasonOf(yield* Effect.flip(cache.run({ words: ["GET", "k"] } as never)), "CommandRefused")
    }).pipe(Effect.scoped))

  it.live("refuses options that are none", () =>
    Effect.gen(function*() {
      const { redis } = yield* setUp
      for (
        const wrong of [{ ...options, capacity: 0 }, { ...options, capacity: 1.5 }, { ...options, timeToLive: 0 }, {}]
      ) {
        reasonOf(yield* Effect.flip(redis.cache(wrong as typeof options)), "CommandRefused")
      }
    }).pipe(Effect.scoped))

  it.live("is empty before the next read when its connection was lost", () =>
    Effect.gen(function*() {
      const { cache, other, redis } = yield* setUp
      const get = cache.run(Commands.get("k"))
      for (let round = 0; round < 5; round++) {
        yield* other.run(Commands.set("k", round))
        yield* becomes(get, String(round))
        // It dies and the key changes in one step of the server, so that nobody tells the client of the change.
        const tracker = (yield* clientList(other)).find(({ flags }) => flags.includes("t"))
        yield* other.transaction([["CLIENT", "KILL", "ID", tracker?.["id"] ?? ""], Commands.set("k", "changed")])
        yield* becomes(Effect.map(redis.status, ({ caches }) => caches[0].entries), 0)
        assert.strictEqual(yield* get, "changed")
      }
    }).pipe(Effect.scoped))

  it.live("is as `run` in RESP2, and where tracking is not permitted, and says so", () =>
    Effect.gen(function*() {
      const { other, server } = yield* setUp
      yield* other.send("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all", "-client|tracking")
      yield* other.run(Commands.set("k", "v"))
      const reader = { username: "reader", password: "any" }
      for (
        const redis of [
          yield* connect(server, { protocol: 2 }),
          yield* connectTo({ url: `redis://${reader.username}:${reader.password}@${host}:${server.port}` })
        ]
      ) {
        yield* other.send("CONFIG", "RESETSTAT")
        const cache = yield* redis.cache(options)
        for (let i = 0; i < 3; i++) assert.strictEqual(yield* cache.run(Commands.get("k")), "v")
        assert.strictEqual(yield* calls(other, "get"), 3)
        const [{ entries, isTracking, state }] = (yield* redis.status).caches
        assert.deepStrictEqual([state, isTracking, entries], ["Serving", false, 0])
        reasonOf(yield* Effect.flip(cache.run(Commands.dbSize())), "CommandRefused")
      }
    }).pipe(Effect.scoped))

  it.live("keeps nothing of which it may not ask how long it lives, and says why", () =>
    Effect.gen(function*() {
      const { other, server } = yield* setUp
      yield* other.send("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all", "-pttl")
      yield* other.run(Commands.set("k", "v"))
      const lines: Array<unknown> = []
      const logger = Logger.make<unknown, void>(({ message }) => void lines.push(message))
      const redis = yield* HitlessRedis.make({ url: `redis://reader:any@${host}:${server.port}` }).pipe(
        Effect.provide([NodeTransport.layer, Logger.layer([logger])])
      )
      const cache = yield* redis.cache(options)
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* cache.run(Commands.get("k")), "v")
      assert.strictEqual(yield* calls(other, "get"), 3)
      assert.deepStrictEqual(yield* entries(redis), [0])
      yield* waitUntil(Effect.sync(() => lines.length > 0))
      assert.include(String(lines[0]), "nothing is cached")
    }).pipe(Effect.scoped))

  it.live("gives each who decodes in place a reply of its own", () =>
    Effect.gen(function*() {
      const { cache, other } = yield* setUp
      yield* other.run(Commands.hSet("h", { b: "2", a: "1" }))
      const fields = Commands.make(["HGETALL", "h"], (reply) => {
        const record = reply as Record<string, string>
        record["a"] += "!"
        return record["a"]
      }, { keys: ["h"], readOnly: true })
      const reads = yield* Effect.all([cache.run(fields), cache.run(fields)], { concurrency: "unbounded" })
      assert.deepStrictEqual([...reads, yield* cache.run(fields)], ["1!", "1!", "1!"])
      assert.strictEqual(yield* calls(other, "hgetall"), 1)
    }).pipe(Effect.scoped))

  it.live("gives its connection back with its scope, and ends with its client", () =>
    Effect.gen(function*() {
      const { other, redis, server } = yield* setUp
      const trackers = Effect.map(
        clientList(other),
        (clients) => clients.filter(({ flags }) => flags.includes("t")).length
      )
      assert.strictEqual(yield* trackers, 1)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* redis.cache(options)
        assert.strictEqual(yield* trackers, 2)
      }))
      yield* becomes(trackers, 1)
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(connect(server), scope)
      const cache = yield* client.cache(options)
      yield* cache.run(Commands.get("k"))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(cache.run(Commands.get("k")))).reason._tag, "Closed")
      assert.strictEqual((yield* Effect.flip(client.cache(options))).reason._tag, "Closed")
      yield* becomes(trackers, 1)
    }).pipe(Effect.scoped))

  it.live("counts what it is asked for and what it drops", () =>
    Effect.gen(function*() {
      const { other, server } = yield* setUp
      const client = yield* connect(server, { clientName: "counting" })
      const cache = yield* client.cache({ capacity: 1, timeToLive: "1 hour" })
      for (const key of ["a", "a", "b"]) yield* cache.run(Commands.get(key))
      yield* other.run(Commands.set("b", "1"))
      yield* becomes(Effect.map(client.status, ({ caches }) => caches[0].entries), 0)
      const counted = yield* counts("counting")
      assert.deepStrictEqual(
        ["requests hit", "requests miss", "evictions full", "evictions invalidation", "items"].map(counted),
        [1, 2, 1, 1, 0]
      )
    }).pipe(Effect.scoped))
})

describe("A cache of a server that says what it is told", () => {
  const invalidate = (...keys: ReadonlyArray<string>) =>
    `>2\r\n$10\r\ninvalidate\r\n*${keys.length}\r\n${keys.map((key) => `$${key.length}\r\n${key}\r\n`).join("")}`

  /** It answers `PTTL` and `GET` when the test does, and what follows them too; `asked` are connections of `GET`s. */
  const setUp = Effect.gen(function*() {
    const asked: Array<RawConnection> = []
    let owed = 0
    const echoes: Array<string> = []
    const server = yield* rawServer((words, connection) => {
      if (words[0] === "GET") {
        asked.push(connection)
        owed++
      } else if (words[0] === "ECHO" && owed > 0) echoes.push(answerHandshake(words) ?? "")
      else if (words[0] !== "PTTL") return answerHandshake(words)
      return undefined
    })
    const redis = yield* connectTo({ host, port: server.port, commandTimeout: "10 seconds" })
    const cache = yield* redis.cache(options)
    const wasAsked = (times: number) => waitUntil(Effect.sync(() => asked.length === times))
    const say = (bytes: string) =>
      Effect.sync(() => {
        owed = 0
        asked.at(-1)?.socket.write(bytes)
      })
    const get = cache.run(Commands.get("k"))
    return { asked, cache, echoes, get, redis, say, server, wasAsked }
  })

  /** That the key does not expire, and its value. */
  const answered = (text: string) => `:-1\r\n$${text.length}\r\n${text}\r\n`

  it.live("does not keep what was invalidated before it was answered, and lets nobody wait for it any more", () =>
    Effect.gen(function*() {
      const { get, redis, say, wasAsked } = yield* setUp
      const first = yield* start(get)
      yield* wasAsked(1)
      yield* say(invalidate("other", "k"))
      yield* Effect.sleep("50 millis")
      const second = yield* start(get)
      yield* wasAsked(2)
      yield* say(answered("old"))
      assert.strictEqual(yield* Fiber.join(first), "old")
      assert.deepStrictEqual(yield* entries(redis), [0])
      yield* say(answered("new"))
      assert.strictEqual(yield* Fiber.join(second), "new")
      assert.strictEqual(yield* get, "new")
    }))

  it.live("keeps nothing of what is under way when all is flushed", () =>
    Effect.gen(function*() {
      const { get, redis, say, wasAsked } = yield* setUp
      const first = yield* start(get)
      // Who has another time does not wait for the first.
      const second = yield* start(within("5 seconds")(get))
      yield* wasAsked(2)
      yield* say(`>2\r\n$10\r\ninvalidate\r\n_\r\n${answered("old")}${answered("old")}`)
      assert.strictEqual(yield* Fiber.join(first), "old")
      assert.strictEqual(yield* Fiber.join(second), "old")
      assert.deepStrictEqual(yield* entries(redis), [0])
    }))

  it.live("drops what was answered and invalidated in one piece", () =>
    Effect.gen(function*() {
      const { get, redis, say, wasAsked } = yield* setUp
      const first = yield* start(get)
      yield* wasAsked(1)
      yield* say(answered("old") + invalidate("k"))
      assert.strictEqual(yield* Fiber.join(first), "old")
      // Who waited goes on as soon as the reply is read.
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* entries(redis), [0])
    }))

  it.live("keeps no answer of a connection that has been left, and asks the next one", () =>
    Effect.gen(function*() {
      const { asked, cache, get, redis, say, wasAsked } = yield* setUp
      const next = yield* setUp
      const late = cache.run(Commands.get("late"))
      const kept = yield* start(get)
      yield* wasAsked(1)
      yield* say(answered("kept"))
      assert.strictEqual(yield* Fiber.join(kept), "kept")
      assert.strictEqual(yield* get, "kept")
      const waiting = yield* start(late)
      yield* wasAsked(2)
      const address = `${host}:${next.server.port}`
      yield* say(`>4\r\n$6\r\nMOVING\r\n:1\r\n:30\r\n$${address.length}\r\n${address}\r\n`)
      yield* waitUntil(Effect.map(redis.status, ({ caches }) => caches[0].endpoint === address))
      assert.deepStrictEqual(yield* entries(redis), [0])
      const reading = yield* start(get)
      yield* next.wasAsked(1)
      yield* next.say(answered("new"))
      assert.strictEqual(yield* Fiber.join(reading), "new")
      asked[1].socket.write(answered("old"))
      assert.strictEqual(yield* Fiber.join(waiting), "old")
      assert.deepStrictEqual(yield* entries(redis), [1])
      const again = yield* start(late)
      yield* next.wasAsked(2)
      yield* next.say(answered("newer"))
      assert.strictEqual(yield* Fiber.join(again), "newer")
    }))

  it.live("gives nothing that is older than a second where invalidations do not come, and one asks for all", () =>
    Effect.gen(function*() {
      const { cache, get, say, wasAsked } = yield* setUp
      const other = cache.run(Commands.get("other"))
      for (const [index, read] of [get, other].entries()) {
        const reading = yield* start(read)
        yield* wasAsked(index + 1)
        yield* say(answered("old"))
        assert.strictEqual(yield* Fiber.join(reading), "old")
      }
      yield* Effect.sleep("1010 millis")
      const proving = yield* start(get)
      const waiting = yield* start(Effect.all(Array.from({ length: 10 }, () => other), { concurrency: "unbounded" }))
      yield* wasAsked(3)
      yield* Effect.sleep("20 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* say(invalidate("nothing") + answered("new"))
      assert.strictEqual(yield* Fiber.join(proving), "new")
      // It has been proven that nobody changed it.
      assert.deepStrictEqual([...new Set(yield* Fiber.join(waiting))], ["old"])
      yield* wasAsked(3)
    }))

  it.live("lets everybody ask who waited for one who was not answered, at once", () =>
    Effect.gen(function*() {
      const { asked, cache, echoes, get, say, wasAsked } = yield* setUp
      const others = ["one", "other"].map((key) => cache.run(Commands.get(key)))
      for (const [index, read] of [get, ...others].entries()) {
        const reading = yield* start(read)
        yield* wasAsked(index + 1)
        yield* say(answered("old"))
        yield* Fiber.join(reading)
      }
      yield* Effect.sleep("1010 millis")
      const proving = yield* start(Effect.flip(within("50 millis")(get)))
      yield* wasAsked(4)
      const waiting = yield* start(Effect.all(others, { concurrency: "unbounded" }))
      assert.strictEqual((yield* Fiber.join(proving)).reason._tag, "CommandTimeout")
      yield* wasAsked(6)
      yield* say(answered("late") + echoes.join("") + answered("new") + answered("newer"))
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["new", "newer"])
      assert.strictEqual(asked.length, 6)
    }))
})

describe("A cache through maintenance", () => {
  const setUp = Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis
    return { redis, cache: yield* redis.cache(options) }
  })

  it.effect("gives no value older than one that was acknowledged and heard of, through 20 moves", () =>
    Effect.gen(function*() {
      const { cache, redis } = yield* setUp
      const deployment = yield* SimulatedRedis
      for (const node of nodes) yield* deployment.latency(node, "2 millis")
      const state = { running: true, floor: 0, written: 0, reads: 0, changes: 0, late: 0 }
      const writing = yield* Effect.forkChild(Effect.gen(function*() {
        while (state.running) {
          yield* redis.run(Commands.set("n", ++state.written))
          // What an acknowledgement takes, an invalidation does.
          yield* Effect.sleep("2 millis")
          state.floor = state.written
          yield* Effect.sleep("37 millis")
        }
      }))
      const reading = yield* Effect.forkChild(Effect.forEach([0, 1, 2, 3], (id) =>
        Effect.gen(function*() {
          yield* Effect.sleep(id)
          let last = 0
          while (state.running) {
            const { floor } = state
            const value = Number(yield* cache.run(Commands.get("n")))
            if (value < floor) state.late++
            assert.isAtLeast(value, floor)
            state.reads++
            if (value !== last) state.changes++
            last = value
            yield* Effect.sleep("3 millis")
          }
        }), { concurrency: "unbounded", discard: true }))
      for (let move = 0; move < 20; move++) {
        const [from, to] = [nodes[move % 3], nodes[(move + 1) % 3]]
        yield* deployment.moving(from, { target: to, time: "1 second" })
        yield* advance("2500 millis")
        assert.strictEqual((yield* redis.status).caches[0].endpoint, addresses[to])
      }
      state.running = false
      yield* advance("1 second")
      yield* Fiber.join(writing)
      yield* Fiber.join(reading)
      assert.strictEqual(state.late, 0)
      assert.isAbove(state.written, 1000)
      assert.isAbove(state.changes, 1000)
      const counted = yield* counts("moving")
      assert.isAbove(counted("requests hit"), counted("requests miss"))
    }).pipe(Effect.scoped, rehearse({ clientName: "moving" })))

  it.effect("keeps nothing while a shard migrates, and starts anew when it is over", () =>
    Effect.gen(function*() {
      const { cache, redis } = yield* setUp
      const deployment = yield* SimulatedRedis
      const get = cache.run(Commands.get("k"))
      yield* get
      assert.deepStrictEqual(yield* entries(redis), [1])
      yield* deployment.migrating("a", { shards: ["1"], time: "5 seconds" })
      yield* advance("10 millis")
      assert.deepStrictEqual(yield* entries(redis), [0])
      yield* get
      assert.deepStrictEqual(yield* entries(redis), [0])
      yield* deployment.migrated("a")
      yield* advance("10 millis")
      yield* get
      assert.deepStrictEqual(yield* entries(redis), [1])
    }).pipe(Effect.scoped, rehearse()))

  it.effect("keeps a reply as long as it was told to, by the clock of the program", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const cache = yield* redis.cache({ capacity: 10, timeToLive: "10 seconds" })
      const get = cache.run(Commands.get("k"))
      const pass = (millis: number) => Effect.andThen(advance(millis), cache.run(Commands.get("other")))
      yield* get
      for (let second = 1; second < 10; second++) yield* pass(999)
      const before = (yield* counts("patient"))("requests miss")
      yield* get
      assert.strictEqual((yield* counts("patient"))("requests miss"), before)
      yield* pass(1010)
      yield* get
      assert.isAbove((yield* counts("patient"))("requests miss"), before + 1)
    }).pipe(Effect.scoped, rehearse({ clientName: "patient" })))
})
