/**
 * What commands that wait on the server cost the commands beside them: the latency of one `GET` after the other, alone, beside
 * ten workers that wait in `BLPOP` and get an element every 3 ms, and while the node of all of them is left for another.
 *
 * A real `redis-server` stands behind the nodes of a deployment that announces the moves, and everything shares one process, so
 * that absolute times are those of three programs at once. What counts are the ratios within a round.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HitlessRedis from "../../src/HitlessRedis.ts"
import * as NodeTransport from "../../src/node/NodeTransport.ts"
import * as SimulatedRedis from "../../src/testing/SimulatedRedis.ts"
import { fail } from "../kit/failure.ts"
import { digits, formatRange, machine, print, summarize, table, versionOf, writeResults } from "../kit/report.ts"
import { host, serverVersion, startServer } from "../kit/server.ts"

const nodes = ["a", "b", "c", "d", "e", "f"]

const workers = 10

/** Seconds of one phase. */
const phase = 0.4

const phases = ["alone", "beside waiting workers", "while their node is left"] as const

type Phase = (typeof phases)[number]

/** Microseconds of the calls in a phase: the middle one, and the slowest of a hundred. */
interface Latency {
  readonly p50: number
  readonly p99: number
}

const latencies = (redis: HitlessRedis.HitlessRedis["Service"]) =>
  Effect.gen(function*() {
    const taken: Array<number> = []
    const end = performance.now() + phase * 1000
    while (performance.now() < end) {
      const begun = performance.now()
      yield* redis.send("GET", "key")
      taken.push((performance.now() - begun) * 1000)
    }
    taken.sort((a, b) => a - b)
    const latency: Latency = { p50: taken[taken.length >> 1]!, p99: taken[Math.floor(taken.length * 0.99)]! }
    return latency
  })

/** Measures, prints, and writes `bench/results/beside.json`. */
export const beside = Effect.fnUntraced(
  function*(options: { readonly rounds: number }) {
    const redisServer = yield* serverVersion
    const port = yield* startServer
    const deployment = yield* SimulatedRedis.make({
      nodes,
      listen: (port) => NodeSocketServer.make({ host, port, noDelay: true }),
      upstream: NodeSocket.makeNet({ host, port })
    })
    const endpoint = deployment.endpoint("a")
    const redis = yield* HitlessRedis.make({ host, port: endpoint._tag === "Tcp" ? endpoint.port : 0, poolSize: 1 })
    const direct = yield* HitlessRedis.make({ host, port, poolSize: 1 })
    const rounds = Math.max(20, options.rounds)
    const results: Record<Phase, Array<Latency>> = {
      "alone": [],
      "beside waiting workers": [],
      "while their node is left": []
    }
    let taken = 0
    let given = 0
    let node = 0
    const worker = Effect.gen(function*() {
      while ((yield* redis.send<[string, string] | null>("BLPOP", "jobs", 0)) !== null) taken++
    })
    const state = { gives: false }
    const giver = Effect.gen(function*() {
      for (; state.gives; given++) {
        yield* direct.send("RPUSH", "jobs", "job")
        yield* Effect.sleep("3 millis")
      }
    })
    yield* latencies(redis)
    for (let round = 0; round < rounds; round++) {
      results.alone.push(yield* latencies(redis))
      const running = yield* Effect.forEach(Array.from({ length: workers }), () => Effect.forkChild(worker))
      state.gives = true
      const giving = yield* Effect.forkChild(giver)
      yield* Effect.sleep("50 millis")
      results["beside waiting workers"].push(yield* latencies(redis))
      const [from, to] = [nodes[node % nodes.length]!, nodes[(node + 1) % nodes.length]!]
      node++
      yield* deployment.moving(from, { target: to, time: "1 second" })
      results["while their node is left"].push(yield* latencies(redis))
      state.gives = false
      yield* Fiber.join(giving)
      yield* Effect.repeat(Effect.delay(Effect.sync(() => taken), "5 millis"), { until: (taken) => taken >= given })
      yield* Effect.forEach(
        running,
        (fiber) => fiber.pollUnsafe() === undefined ? Fiber.interrupt(fiber) : fail("a worker has failed"),
        { discard: true }
      )
    }
    if (taken !== given) {
      return yield* fail(`${given} elements were given and ${taken} taken`)
    }
    print(
      `\nredis-server ${redisServer}: GETs one by one, ${workers} workers in BLPOP, ${rounds} rounds with a move in each`
    )
    print(`${digits(given)} elements given, each taken once`)
    const ratioOf = (name: Phase, of: (latency: Latency) => number) =>
      summarize(results[name].map((latency, round) => of(latency) / of(results.alone[round]!)))
    const rows = phases.map((name) => ({
      phase: name,
      p50: summarize(results[name].map(({ p50 }) => p50)),
      p99: summarize(results[name].map(({ p99 }) => p99)),
      p50ToAlone: ratioOf(name, ({ p50 }) => p50),
      p99ToAlone: ratioOf(name, ({ p99 }) => p99)
    }))
    print(table(
      ["GET", "p50 µs", "× alone", "p99 µs", "× alone"],
      rows.map(({ p50, p50ToAlone, p99, p99ToAlone, phase }) => [
        phase,
        digits(p50.median),
        formatRange(p50ToAlone),
        digits(p99.median),
        formatRange(p99ToAlone)
      ])
    ))
    print(
      writeResults("beside", { machine: machine(), redisServer, effect: versionOf("effect"), elements: given, rows })
    )
  },
  Effect.provide(NodeTransport.layer),
  Effect.scoped
)
