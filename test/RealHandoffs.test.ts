/**
 * Every kind of connection through 20 announced moves in real time: over TCP, with a real redis-server behind the nodes. A
 * node closes all its connections when the second that it announced is over.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Commands, type Config, HitlessRedis, Lock, Transport } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import type { SimulatedRedis } from "hitless/testing"
import { connect as connectDirectly, host, start } from "./support/client.ts"
import { type Client, connect, deploy, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

const moves = 20

/** One is left every 250 ms and left again when its second is long over. */
const nodes = ["a", "b", "c", "d", "e", "f", "g"]

const after = (node: string) => nodes[(nodes.indexOf(node) + 1) % nodes.length]

/** A real server, a deployment in front of it, and a client of the server itself. */
const setUp = (latency: Duration.Input = 0) =>
  Effect.gen(function*() {
    const server = yield* startRedis()
    const deployment = yield* deploy(nodes, { upstream: NodeSocket.makeNet({ path: server.socketPath }) })
    for (const node of nodes) yield* deployment.latency(node, latency)
    const direct = yield* connectDirectly(server)
    return { deployment, direct }
  })

/** Leaves one node after the other, and looks on until every move has been followed by a connection of each kind. */
const move = Effect.fnUntraced(function*(
  deployment: SimulatedRedis.SimulatedRedis,
  { handoffs }: Pick<Client, "handoffs">,
  kinds: ReadonlyArray<"shared" | "reserved" | "subscriber" | "cache">,
  every: Duration.Input = "250 millis"
) {
  const address = (node: string) => {
    const endpoint = deployment.endpoint(node)
    return endpoint._tag === "Tcp" ? `${endpoint.host}:${endpoint.port}` : ""
  }
  let node = nodes[0]
  for (let i = 0; i < moves; i++, node = after(node)) {
    const begun = handoffs.length
    yield* deployment.moving(node, { target: after(node), time: "1 second" })
    yield* Effect.sleep(every)
    for (const kind of kinds) {
      yield* waitUntil(
        Effect.sync(() =>
          handoffs.slice(begun).some((event) =>
            event._tag === "Completed" && event.kind === kind && event.to === address(after(node))
          )
        )
      )
    }
  }
  // The last second that was announced.
  yield* Effect.sleep("1100 millis")
  assert.deepStrictEqual(handoffs.filter(({ _tag }) => _tag === "Failed"), [])
})

// One after the other: each is as much as two cores carry.
describe("Through 20 moves before a real server", { concurrent: false, timeout: 60_000 }, () => {
  for (const latency of [0, 100]) {
    it.live(`1,000 messages a second are heard once and in order, with nodes ${latency} ms away`, () =>
      Effect.gen(function*() {
        const { deployment, direct } = yield* setUp(latency)
        const client = yield* connect(deployment, "a", { poolSize: 1 })
        const channels = ["c1", "c2", "c3"]
        const stream = yield* client.redis.subscription({ channels, patterns: ["c*"], capacity: 100_000 })
        const heard: Array<string> = []
        yield* start(Stream.runForEach(stream, (message) =>
          Effect.sync(() => {
            heard.push(
              message._tag === "Published"
                ? `${message.pattern ?? message.channel} ${message.message}`
                : `gap ${message.why}`
            )
          })))
        let sent = 0
        const publishing = yield* start(Effect.forever(Effect.andThen(
          Effect.suspend(() =>
            direct.pipeline(Array.from({ length: 10 }, () => ["PUBLISH", channels[sent % 3], sent++] as const))
          ),
          Effect.sleep("10 millis")
        )))
        yield* move(deployment, client, ["shared", "subscriber"], latency === 0 ? "250 millis" : "500 millis")
        yield* Fiber.interrupt(publishing)
        yield* waitUntil(Effect.sync(() => heard.length >= 2 * sent))
        yield* Effect.sleep("300 millis")
        assert.isAbove(sent, 3000)
        const all = Array.from({ length: sent }, (_, index) => index)
        for (const [index, channel] of channels.entries()) {
          assert.deepStrictEqual(
            heard.filter((line) => line.startsWith(channel)),
            all.filter((number) => number % 3 === index).map((number) => `${channel} ${number}`)
          )
        }
        assert.deepStrictEqual(heard.filter((line) => line.startsWith("c*")), all.map((number) => `c* ${number}`))
        assert.lengthOf(heard, 2 * sent)
      }).pipe(Effect.scoped))
  }

  it.live("10 workers that wait take each element once, and none fails", () =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      yield* direct.send("XGROUP", "CREATE", "stream", "group", "$", "MKSTREAM")
      const client = yield* connect(deployment, "a", { poolSize: 1 })
      const done: Array<string> = []
      const takes = [
        (redis: HitlessRedis.Sender) =>
          Effect.map(redis.send<[string, string] | null>("BLPOP", "list", 0), (popped) => popped?.[1]),
        (redis: HitlessRedis.Sender) =>
          Effect.map(redis.send<string | null>("BLMOVE", "other list", "done", "LEFT", "RIGHT", 1), (job) =>
            job ?? undefined),
        (redis: HitlessRedis.Sender) =>
          Effect.map(
            redis.send<Record<string, ReadonlyArray<[string, ReadonlyArray<string>]>> | null>(
              "XREADGROUP",
              ..."GROUP group worker COUNT 1 BLOCK 700 STREAMS stream >".split(" ")
            ),
            (read) =>
              read?.["stream"]?.[0]?.[1][1]
          )
      ]
      const workers = yield* Effect.forEach(
        Array.from({ length: 10 }, (_, id) => id),
        (id) =>
          start(Effect.scoped(Effect.gen(function*() {
            // Half of them have a connection of their own.
            const on = id % 2 === 0 ? client.redis : yield* client.redis.reserve
            while (true) {
              const job = yield* takes[id % 3](on)
              if (job !== undefined) done.push(job)
            }
          })))
      )
      let given = 0
      const giving = yield* start(Effect.forever(Effect.andThen(
        Effect.suspend(() => {
          const job = `job ${given++}`
          return given % 3 === 0
            ? direct.send("XADD", "stream", "*", "job", job)
            : direct.send("RPUSH", given % 3 === 1 ? "list" : "other list", job)
        }),
        Effect.sleep("3 millis")
      )))
      let read = 0
      const reading = yield* start(Effect.forever(Effect.tap(client.redis.send("GET", "key"), () =>
        Effect.sync(() => {
          read++
        }))))
      yield* move(deployment, client, ["shared", "reserved"])
      yield* Fiber.interrupt(giving)
      yield* waitUntil(Effect.sync(() => done.length >= given))
      yield* Effect.sleep("100 millis")
      assert.isAbove(given, 500)
      assert.deepStrictEqual(done.toSorted(), Array.from({ length: given }, (_, index) => `job ${index}`).toSorted())
      assert.isAbove(read, 1000)
      for (const fiber of [...workers, reading]) assert.isUndefined(fiber.pollUnsafe(), "it has ended")
    }).pipe(Effect.scoped))

  it.live("1,000 optimistic increments are exact, and what changed meanwhile is never overwritten", () =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      const client = yield* connect(deployment, "a", { poolSize: 1, commandTimeout: "20 seconds" })
      const increment = client.redis.transaction(
        { watch: ["n"] },
        (own) => Effect.map(own.send<string | null>("GET", "n"), (n) => [["SET", "n", Number(n) + 1]] as const)
      )
      let others = 0
      const counting = yield* start(
        Effect.forEach(Array.from({ length: 1000 }), () => Effect.delay(increment, "10 millis"), {
          concurrency: 4,
          discard: true
        })
      )
      const counted = yield* start(Effect.forever(Effect.andThen(
        Effect.tap(direct.send("INCR", "n"), () => Effect.sync(() => others++)),
        Effect.sleep("20 millis")
      )))
      yield* waitUntil(Effect.map(direct.send("GET", "n"), (n) => Number(n) > 20))
      yield* move(deployment, client, ["shared", "reserved"])
      yield* Fiber.join(counting)
      yield* Fiber.interrupt(counted)
      assert.isAbove(others, 100)
      assert.strictEqual(Number(yield* direct.send("GET", "n")), 1000 + others)
    }).pipe(Effect.scoped))

  it.live("Effect's PersistedQueue does each of 10,000 jobs once", () =>
    Effect.gen(function*() {
      const { deployment } = yield* setUp()
      const endpoint = deployment.endpoint("a")
      const redis = NodeHitlessRedis.layer({ host, port: endpoint._tag === "Tcp" ? endpoint.port : 0, poolSize: 1 })
      const queues = Layer.provide(PersistedQueue.layer, PersistedQueue.layerStoreRedis())
      const services = yield* Layer.build(Layer.provideMerge(queues, redis))
      const handoffs: Client["handoffs"] = []
      yield* start(Stream.runForEach(
        Context.get(services, HitlessRedis.HitlessRedis).handoffs,
        (event) => Effect.sync(() => handoffs.push(event))
      ))
      const queue = yield* Effect.provide(PersistedQueue.make({ name: "jobs", schema: Schema.String }), services)
      const jobs = Array.from({ length: 10_000 }, (_, index) => `job ${index}`)
      const done: Array<string> = []
      const workers = yield* Effect.forEach(Array.from({ length: 8 }), () =>
        start(Effect.forever(queue.take((job) => Effect.sync(() => done.push(job))))))
      // Most of them while the nodes are left, and what is left then afterwards.
      let given = 0
      const state = { isMoving: true }
      const giving = yield* start(Effect.gen(function*() {
        for (; state.isMoving && given < 9900; given++) {
          yield* queue.offer(jobs[given])
          if (given % 20 === 0) {
            yield* Effect.sleep("15 millis")
          }
        }
      }))
      yield* move(deployment, { handoffs }, ["shared"])
      state.isMoving = false
      yield* Fiber.join(giving)
      yield* Effect.forEach(jobs.slice(given), (job) =>
        queue.offer(job), { discard: true })
      yield* waitUntil(Effect.sync(() => done.length >= jobs.length))
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(done.toSorted(), jobs.toSorted())
      for (const worker of workers) assert.isUndefined(worker.pollUnsafe(), "it has ended")
    }).pipe(Effect.scoped))
})

// ----- moves without a target -----

const ips: Readonly<Record<string, string>> = { a: "10.0.0.1", b: "10.0.0.2" }

/** Real sockets, whose addresses are what `leads` says at the time: a name leads to a node, or an address is bound to one. */
const network = (
  deployment: SimulatedRedis.SimulatedRedis,
  leads: (host: string) => readonly [node: string, ip: string]
) =>
  Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (transport) =>
      Transport.Transport.of({
        open: (endpoint, options) =>
          Effect.suspend(() => {
            const [node, ip] = leads(endpoint._tag === "Tcp" ? endpoint.host : "")
            return transport.open(deployment.endpoint(node), { ...options, onPeer: () => options.onPeer?.(ip) })
          }),
        resolve: (host) => Effect.sync(() => [leads(host)[1]])
      }))
  ).pipe(Layer.provide(NodeTransport.layer))

const cases: ReadonlyArray<readonly [string, string, (hasChanged: boolean) => readonly [node: string, ip: string]]> = [
  ["whose name leads elsewhere 5 s later", "cache.test", (hasChanged) => hasChanged ? ["b", ips.b] : ["a", ips.a]],
  ["whose name never leads elsewhere, and whose address is bound to another node", "cache.test", (hasChanged) => [
    hasChanged ? "b" : "a",
    ips.a
  ]],
  ["that is an IP address, bound to another node", ips.a, (hasChanged) => [hasChanged ? "b" : "a", ips.a]]
]

describe("A move without a target before a real server", { timeout: 60_000 }, () => {
  it.live.each(cases)("fails nothing at an endpoint %s", ([_, name, leads]) =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      let hasChanged = false
      const options: Config.Options = { host: name, poolSize: 1 }
      const redis = yield* HitlessRedis.make(options).pipe(
        Effect.provide(network(deployment, () => leads(hasChanged)))
      )
      const own = yield* redis.reserve
      const stream = yield* redis.subscription({ channels: ["news"] })
      const heard: Array<string> = []
      yield* start(Stream.runForEach(stream, (message) =>
        Effect.sync(() =>
          heard.push(message._tag === "Published" ? message.message : message.why)
        )))
      const state = { isWorking: true, calls: 0, published: 0 }
      const worker = (commands: HitlessRedis.Sender) =>
        Effect.gen(function*() {
          while (state.isWorking) {
            yield* commands.send("INCR", "calls")
            state.calls++
            yield* Effect.sleep("1 millis")
          }
        })
      const working = yield* start(
        Effect.all([
          ...Array.from({ length: 10 }, () =>
            worker(redis)),
          worker(own)
        ], {
          concurrency: "unbounded",
          discard: true
        })
      )
      const publishing = yield* start(Effect.forever(Effect.andThen(
        Effect.suspend(() => direct.send("PUBLISH", "news", state.published++)),
        Effect.sleep("5 millis")
      )))
      yield* deployment.moving("a", { target: null, time: "8 seconds" })
      yield* Effect.sleep("5 seconds")
      hasChanged = true
      yield* waitUntil(Effect.map(deployment.connections("b"), (count) => count === 3))
      // The node that was left closes all its connections when the time is over.
      yield* waitUntil(Effect.map(deployment.connections("a"), (count) => count === 0))
      yield* Effect.sleep("4 seconds")
      yield* Fiber.interrupt(publishing)
      state.isWorking = false
      yield* Fiber.join(working)
      yield* waitUntil(Effect.sync(() => heard.length >= state.published))
      assert.strictEqual(Number(yield* direct.send("GET", "calls")), state.calls)
      assert.deepStrictEqual(heard, heard.map((_, index) => String(index)))
      assert.isAbove(state.calls, 1000)
    }).pipe(Effect.scoped))
})

describe("Streams through 20 moves before a real server", { timeout: 60_000, concurrent: false }, () => {
  it.live("4 consumers of a group are given each entry once, and scans miss nothing", () =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      const client = yield* connect(deployment, "a", { poolSize: 1 })
      const { redis } = client
      const done: Array<string> = []
      const consumers = yield* Effect.forEach([1, 2, 3, 4], (id) =>
        start(
          Stream.runForEach(
            redis.consume({
              stream: "stream",
              group: "group",
              consumer: `consumer ${id}`,
              claimAfter: "2 seconds",
              createFrom: "0"
            }),
            ({ ack, message }) => Effect.andThen(Effect.sync(() => done.push(message["job"] ?? "")), ack)
          )
        ))
      let given = 0
      const giving = yield* start(Effect.forever(Effect.andThen(
        Effect.suspend(() => direct.run(Commands.xAdd("stream", "*", { job: `job ${given++}` }))),
        Effect.sleep("8 millis")
      )))
      const members = Array.from({ length: 1000 }, (_, member) => `member ${member}`)
      yield* direct.run(Commands.sAdd("set", members))
      let scans = 0
      const scanning = yield* start(Effect.forever(Effect.delay(
        Effect.tap(Stream.runCollect(redis.sScan("set", { COUNT: 100 })), (seen) =>
          Effect.sync(() => {
            assert.deepStrictEqual([...new Set(seen)].toSorted(), members.toSorted())
            scans++
          })),
        "100 millis"
      )))
      yield* move(deployment, client, ["shared", "reserved"])
      yield* Fiber.interrupt(giving)
      yield* waitUntil(Effect.sync(() => done.length >= given))
      yield* waitUntil(Effect.map(direct.run(Commands.xPending("stream", "group")), ({ pending }) => pending === 0))
      yield* Effect.sleep("100 millis")
      assert.isAbove(given, 200)
      assert.isAbove(scans, 10)
      assert.deepStrictEqual(done.toSorted(), Array.from({ length: given }, (_, index) => `job ${index}`).toSorted())
      for (const fiber of [...consumers, scanning]) assert.isUndefined(fiber.pollUnsafe(), "it has ended")
    }).pipe(Effect.scoped))
})

describe("Through 20 moves before a real server, one after the other", { concurrent: false, timeout: 60_000 }, () => {
  it.live("a cache gives what it promises: never what was changed a second ago, and never an older value than before", () =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      const client = yield* connect(deployment, "a", { poolSize: 1 })
      const cache = yield* client.redis.cache({ capacity: 10, timeToLive: "1 hour" })
      const now = Effect.sync(() => performance.now())
      /** Values that were acknowledged, and when. */
      const written: Array<readonly [at: number, value: number]> = [[-Infinity, 0]]
      const state = { isWorking: true, reads: 0, changes: 0 }
      const writing = yield* start(Effect.gen(function*() {
        while (state.isWorking) {
          yield* direct.run(Commands.set("n", written.length))
          written.push([yield* now, written.length])
          yield* Effect.sleep("20 millis")
        }
      }))
      const reader = Effect.gen(function*() {
        let last = 0
        while (state.isWorking) {
          const at = yield* now
          const value = Number(yield* cache.run(Commands.get("n")))
          const [, due] = written.findLast(([acknowledgedAt]) => acknowledgedAt <= at - 1000) ?? [0, 0]
          assert.isAtLeast(value, Math.max(last, due))
          if (value > last) state.changes++
          last = value
          state.reads++
          yield* Effect.sleep("1 millis")
        }
      })
      const reading = yield* start(Effect.all([reader, reader, reader], { concurrency: "unbounded", discard: true }))
      yield* move(deployment, client, ["shared", "cache"])
      state.isWorking = false
      yield* Fiber.join(writing)
      yield* Fiber.join(reading)
      assert.isAbove(state.changes, written.length)
      assert.isAbove(state.reads, 2 * state.changes)
    }).pipe(Effect.scoped))

  it.live("a lock is had by one of many at a time", () =>
    Effect.gen(function*() {
      const { deployment, direct } = yield* setUp()
      const client = yield* connect(deployment, "a", { poolSize: 1 })
      const state = { isWorking: true, inside: 0, most: 0, done: 0 }
      const work = Effect.acquireUseRelease(
        Effect.sync(() => {
          state.most = Math.max(state.most, ++state.inside)
        }),
        () => Effect.sleep("5 millis"),
        () =>
          Effect.sync(() => {
            state.inside--
            state.done++
          })
      )
      const workers = yield* start(Effect.forEach(
        [client.redis, client.redis, client.redis, direct, direct],
        (redis) =>
          work.pipe(
            Lock.withLock("lock", { timeToLive: "5 seconds", retry: Schedule.jittered(Schedule.spaced("5 millis")) }),
            Effect.provideService(HitlessRedis.HitlessRedis, redis),
            Effect.repeat({ while: () => state.isWorking })
          ),
        { concurrency: "unbounded", discard: true }
      ))
      yield* move(deployment, client, ["shared"])
      state.isWorking = false
      yield* Fiber.join(workers)
      assert.strictEqual(state.most, 1)
      assert.isAbove(state.done, 100)
    }).pipe(Effect.scoped))
})
