/**
 * Memory of every contestant: with 1, 10 and 100 connections, with 10,000 commands in flight, and over 1,000 handoffs.
 *
 * Each figure comes from a process of its own, which did nothing before but what the figure is about; it is read after
 * garbage collections. What runs in it was compiled to JavaScript first, as packages are: Node's own type stripping keeps
 * a compiler in the process, of 20 MiB.
 *
 * The pool of `hitless` opens a connection when all others are busy, so it has its ten only after some commands, which
 * `CLIENT PAUSE` keeps in flight to get by with the fewest. The rivals are measured without them, to their advantage;
 * and all are measured after the same commands.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { HitlessRedis } from "../../src/HitlessRedis.ts"
import * as NodeHitlessRedis from "../../src/node/NodeHitlessRedis.ts"
import type { Name, Question, Reading } from "../children/memory.ts"
import * as Child from "../kit/child.ts"
import { attempt, type BenchFailure, fail } from "../kit/failure.ts"
import {
  condense,
  digits,
  formatRange,
  machine,
  print,
  ratio,
  spread,
  summarize,
  table,
  versionOf,
  writeResults
} from "../kit/report.ts"
import { host, serverVersion, startServer } from "../kit/server.ts"

/** How a run is measured. */
export interface Options {
  /** Ten times as many handoffs. */
  readonly full: boolean
  /** How many processes of each kind are measured. */
  readonly rounds: number
}

const withoutClient: ReadonlyArray<Name> = ["node alone", "effect/Effect", "effect, all of it"]

/** In the order of their turns; the first is the one that all others are compared with. */
const contestants: ReadonlyArray<Name> = [
  "hitless",
  "node-redis",
  "node-redis, pool",
  "ioredis",
  "valkey-glide",
  "Effect NodeRedis"
]

// ----- processes -----

const bench = join(import.meta.dirname, "..")
const root = join(bench, "..")
/** In `bench/node_modules`, where the rivals are found. */
const cache = join("node_modules", ".cache", "memory")
const script = join(cache, "bench", "children", "memory.js")

/** Compiles the script and what it imports of `src`, as `npm run build` does. */
const compile: Effect.Effect<void, BenchFailure> = Effect.suspend(() => {
  const folder = join(bench, cache)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, "src"), { recursive: true })
  // `hitless` has the dependencies of its own package, where a rival brings another version of one.
  symlinkSync(join(root, "node_modules"), join(folder, "src", "node_modules"))
  const write = (name: string, content: object) => writeFileSync(join(folder, name), JSON.stringify(content))
  write("package.json", { type: "module" })
  write("tsconfig.json", {
    extends: join(root, "bench", "tsconfig.json"),
    include: [],
    files: [join(bench, "children", "memory.ts")],
    compilerOptions: { noEmit: false, rootDir: root, outDir: folder, incremental: false, declaration: false }
  })
  const { status, stdout } = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["--project", folder], {
    encoding: "utf8"
  })
  return status === 0 ? Effect.void : fail(`tsc failed: ${stdout}`)
})

interface Process {
  readonly tell: (question: Question) => Effect.Effect<void, BenchFailure>
  readonly read: Effect.Effect<Reading, BenchFailure>
}

const start = (name: Name): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.map(Child.start(name, script, [name]), (child) => {
    const ask = <A>(question: Question) =>
      Effect.flatMap(
        Child.ask<A>(child, question, question._tag),
        (answer) => answer._tag === "Done" ? Effect.succeed(answer.value) : fail(`${name}: ${answer.reason}`)
      )
    return { tell: ask<void>, read: ask<Reading>({ _tag: "Read" }) }
  })

/** Has the server leave writes unanswered meanwhile; all else goes on, new connections too. */
const whileHeld = <A>(step: Effect.Effect<A, BenchFailure>) =>
  Effect.flatMap(HitlessRedis, (redis) =>
    Effect.acquireUseRelease(
      // At most for less than the shortest deadline of a contestant, the 3 s of `hitless`.
      Effect.orDie(redis.send("CLIENT", "PAUSE", 2500, "WRITE")),
      () => step,
      () => Effect.orDie(redis.send("CLIENT", "UNPAUSE"))
    ))

// ----- what is measured in one process -----

const loaded = Effect.fnUntraced(function*(name: Name) {
  const process = yield* start(name)
  yield* process.tell({ _tag: "Load" })
  return { idle: yield* process.read }
}, Effect.scoped)

/** How many commands for each connection are in flight at once where connections have worked. */
const commandsPerConnection = 256

/** How many connections, and whether they have worked. */
const arrangements = [
  { title: "1 connection, just opened", count: 1, worked: false },
  { title: "10 connections, just opened", count: 10, worked: false },
  ...[10, 100].map((count) => ({
    title: `${count} connections, after ${(count * commandsPerConnection).toLocaleString("en")} commands in flight`,
    count,
    worked: true
  }))
]

const connected = Effect.fnUntraced(function*(name: Name, port: number, connections: number, worked: boolean) {
  const process = yield* start(name)
  yield* process.tell({ _tag: "Load" })
  yield* process.tell({ _tag: "Connect", port, connections })
  yield* whileHeld(process.tell({ _tag: "Open" }))
  yield* process.tell({ _tag: "Settle" })
  if (worked) {
    yield* whileHeld(process.tell({ _tag: "Send", commands: connections * commandsPerConnection }))
    yield* process.tell({ _tag: "Settle" })
  }
  return { idle: yield* process.read }
}, Effect.scoped)

const commandsInFlight = 10_000

const inFlight = Effect.fnUntraced(function*(name: Name, port: number) {
  const process = yield* start(name)
  yield* process.tell({ _tag: "Load" })
  yield* process.tell({ _tag: "Connect", port, connections: undefined })
  // The first ones pay for what is compiled, and for queues that have grown.
  yield* process.tell({ _tag: "Send", commands: commandsInFlight })
  yield* process.tell({ _tag: "Settle" })
  const before = yield* process.read
  const during = yield* whileHeld(
    Effect.andThen(process.tell({ _tag: "Send", commands: commandsInFlight }), process.read)
  )
  yield* process.tell({ _tag: "Settle" })
  return { before, during, after: yield* process.read }
}, Effect.scoped)

// ----- rounds -----

interface Standing<A> {
  readonly contestant: Name
  readonly samples: ReadonlyArray<A>
  /** Why there are fewer samples than rounds. */
  readonly failure: string | undefined
}

/** A process of each name in each round, one after the other. */
const inTurns = Effect.fnUntraced(function*<A, R>(
  names: ReadonlyArray<Name>,
  rounds: number,
  measure: (name: Name) => Effect.Effect<A, BenchFailure, R>
) {
  const standings = names.map((contestant) => ({
    contestant,
    samples: new Array<A>(),
    failure: undefined as string | undefined
  }))
  for (let round = 0; round < rounds; round++) {
    for (const standing of standings) {
      if (standing.failure !== undefined) continue
      const measured = yield* Effect.result(measure(standing.contestant))
      if (Result.isSuccess(measured)) standing.samples.push(measured.success)
      else standing.failure = measured.failure.message
    }
  }
  return standings satisfies ReadonlyArray<Standing<A>>
})

const printFailures = (standings: ReadonlyArray<Standing<unknown>>): void => {
  for (const { contestant, failure } of standings) if (failure !== undefined) print(`${contestant}: ${failure}`)
}

const median = <A>({ samples }: Standing<A>, of: (sample: A) => number): number => summarize(samples.map(of)).median

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
const kib = (bytes: number): string => (bytes / 2 ** 10).toFixed(1)

type Idle = Standing<{ readonly idle: Reading }>

const printIdle = (title: string, standings: ReadonlyArray<Idle>): void => {
  const first = standings.find(({ contestant }) => contestant === "hitless")!
  const rows = standings.map((standing) => {
    const { contestant, samples } = standing
    if (samples.length === 0) return [contestant, "failed", "", "", "", "", ""]
    const rss = summarize(samples.map(({ idle }) => idle.rss))
    return [
      contestant,
      mib(rss.median),
      `${digits(spread(rss) * 100)}%`,
      standing === first ? "" : formatRange(ratio(first, standing, ({ idle }) => idle.rss)),
      mib(median(standing, ({ idle }) => idle.peak)),
      mib(median(standing, ({ idle }) => idle.heap)),
      mib(median(standing, ({ idle }) => idle.external))
    ]
  })
  print(`\n${title}`)
  print(table(["", "RSS MiB", "spread", "hitless is ×", "peak MiB", "heap MiB", "outside MiB"], rows).trimEnd())
  printFailures(standings)
}

/** What is in use: what the garbage collector left, and not what it keeps for later. */
const used = ({ external, heap }: Reading): number => heap + external

interface Measured {
  readonly count: number
  readonly standings: ReadonlyArray<Idle>
}

const printPerConnection = (few: Measured, many: Measured): void => {
  const perConnection = (index: number): string => {
    const [low, high] = [few, many].map(({ standings }) => median(standings[index]!, ({ idle }) => used(idle)))
    return kib((high! - low!) / (many.count - few.count))
  }
  const rows = many.standings.map(({ contestant }, index) => [contestant, perConnection(index)])
  print(`\neach of the connections ${few.count + 1} to ${many.count}`)
  print(table(["", "used KiB"], rows).trimEnd())
}

type InFlight = Effect.Success<ReturnType<typeof inFlight>>

const printInFlight = (standings: ReadonlyArray<Standing<InFlight>>): void => {
  const perCommand = (standing: Standing<InFlight>, of: (reading: Reading) => number): string =>
    digits(median(standing, ({ before, during }) => (of(during) - of(before)) / commandsInFlight))
  const rows = standings.map((standing) =>
    standing.samples.length === 0 ? [standing.contestant, "failed", "", "", ""] : [
      standing.contestant,
      mib(median(standing, ({ during }) => during.rss)),
      perCommand(standing, used),
      perCommand(standing, ({ rss }) => rss),
      mib(median(standing, ({ after }) => after.rss))
    ]
  )
  print(`\n${commandsInFlight.toLocaleString("en")} commands in flight`)
  print(table(["", "RSS MiB", "used B/command", "RSS B/command", "RSS MiB after"], rows).trimEnd())
  printFailures(standings)
}

// ----- growth over handoffs -----

const connectionsMoved = 10

/** How often memory is read. */
const timesRead = 20

/** A node is retired 1 s after it was left, the shortest time that can be announced, and can be moved to again then. */
const moveTakes = Duration.millis(20)
const nodes = 60

/** Commands per move, for connections that have something to drain. */
const commandsPerMove = 100

/** Clients whose handoffs are followed. */
const movers = ["hitless", "node-redis"] as const satisfies ReadonlyArray<Name>

interface Deployment {
  readonly addresses: ReadonlyArray<string>
  /** Announces that a node moves to another one. */
  readonly announce: (from: number, to: number) => Effect.Effect<void, BenchFailure>
}

/** `hitless simulate` in a process of its own. */
const simulate: Effect.Effect<Deployment, BenchFailure, Scope.Scope> = Effect.gen(function*() {
  const main = join(root, "src", "cli", "main.ts")
  const args = ["simulate", "--nodes", String(nodes), "--port", "0", "--control-port", "0", "--json"]
  const simulator = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "inherit"] })),
    (simulator) => Effect.sync(() => simulator.kill())
  )
  const listening = yield* attempt("hitless simulate", async () => {
    // The first line tells where everything is; the others are not needed, but have to be read.
    const lines = createInterface({ input: simulator.stdout })
    const line = await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve)
      simulator.once("exit", () => reject(new Error("it ended")))
    })
    return JSON.parse(line) as { readonly nodes: Record<string, string>; readonly control: string }
  })
  const names = Object.keys(listening.nodes)
  return {
    addresses: Object.values(listening.nodes),
    announce: (from, to) =>
      attempt("a move", async () => {
        const response = await fetch(`${listening.control}/move`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ node: names[from], target: names[to], time: "1 second" })
        })
        if (!response.ok) throw new Error(await response.text())
      })
  }
})

interface Point {
  readonly handoffs: number
  readonly readings: Readonly<Record<typeof movers[number], Reading>>
}

/** Both clients follow the same moves from node to node, round and round. */
const growth = Effect.fnUntraced(function*(handoffs: number) {
  const { addresses, announce } = yield* simulate
  const port = Number(addresses[0]!.split(":").at(-1))
  const processes = yield* Effect.forEach(movers, start)
  const all = (question: Question) => Effect.forEach(processes, ({ tell }) => tell(question), { discard: true })
  yield* all({ _tag: "Load" })
  yield* all({ _tag: "Connect", port, connections: connectionsMoved })
  yield* all({ _tag: "Open" })
  yield* all({ _tag: "Settle" })

  const points: Array<Point> = []
  const sample = Effect.fnUntraced(function*(handoffs: number) {
    const [hitless, nodeRedis] = yield* Effect.forEach(processes, ({ read }) => read)
    points.push({ handoffs, readings: { hitless: hitless!, "node-redis": nodeRedis! } })
  })
  yield* sample(0)
  const moves = handoffs / connectionsMoved
  for (let moved = 1; moved <= moves; moved++) {
    const move = Effect.gen(function*() {
      yield* all({ _tag: "Send", commands: commandsPerMove })
      yield* announce((moved - 1) % nodes, moved % nodes)
      yield* all({ _tag: "Handoffs", total: moved * connectionsMoved })
      yield* all({ _tag: "Settle" })
    })
    yield* Effect.all([move, Effect.sleep(moveTakes)], { concurrency: 2 })
    if (moved % (moves / timesRead) === 0) yield* sample(moved * connectionsMoved)
  }
  return points
}, Effect.scoped)

/** The line of least squares through some points: its slope, and the standard error of that. */
const slopeOf = (points: ReadonlyArray<readonly [x: number, y: number]>) => {
  const count = points.length
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count
  const squares = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / squares
  const residues = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  return { slope, error: Math.sqrt(residues / (count - 2) / squares) }
}

/** Bytes in use per handoff in the second half: in the first one code is compiled, and buffers grow. */
const slopes = (points: ReadonlyArray<Point>) => {
  const half = points.filter(({ handoffs }) => handoffs >= points.at(-1)!.handoffs / 2)
  return movers.map((contestant) => ({
    contestant,
    ...slopeOf(half.map(({ handoffs, readings }) => [handoffs, used(readings[contestant])]))
  }))
}

const printGrowth = (points: ReadonlyArray<Point>): void => {
  const { handoffs } = points.at(-1)!
  const shown = [0, 0.25, 0.5, 0.75, 1].map((part) => points.find((point) => point.handoffs >= part * handoffs)!)
  const rows = slopes(points).flatMap(({ contestant, error, slope }) => [
    [
      `${contestant}, used MiB`,
      ...shown.map(({ readings }) => mib(used(readings[contestant]))),
      `${digits(slope)} ± ${digits(error)}`
    ],
    [`${contestant}, RSS MiB`, ...shown.map(({ readings }) => mib(readings[contestant].rss)), ""]
  ])
  print(`\nafter handoffs of ${connectionsMoved} connections`)
  print(table(["", ...shown.map(({ handoffs }) => handoffs.toLocaleString("en")), "B per handoff"], rows).trimEnd())
}

// ----- results -----

interface Results {
  readonly loaded: ReadonlyArray<Idle>
  readonly connections: ReadonlyArray<(typeof arrangements)[number] & { readonly standings: ReadonlyArray<Idle> }>
  readonly inFlight: { readonly commands: number; readonly standings: ReadonlyArray<Standing<InFlight>> }
  readonly growth: { readonly points: ReadonlyArray<Point>; readonly slopes: ReturnType<typeof slopes> }
}

/** Results as they are kept. */
export const toJson = ({ connections, growth, inFlight, loaded }: Results) => {
  const kept = <A extends object>({ contestant, failure, samples }: Standing<A>) => ({
    contestant,
    failure,
    turns: samples.length,
    ...condense(samples)
  })
  return {
    loaded: loaded.map(kept),
    connections: connections.map(({ standings, ...arrangement }) => ({
      ...arrangement,
      standings: standings.map(kept)
    })),
    inFlight: {
      commands: inFlight.commands,
      standings: inFlight.standings.map((standing) => ({
        ...kept(standing),
        perCommand: condense(standing.samples.map(({ before, during }) => ({
          used: (used(during) - used(before)) / inFlight.commands,
          resident: (during.rss - before.rss) / inFlight.commands
        })))
      }))
    },
    growth
  }
}

// ----- running -----

/** Measures, prints, and writes `bench/results/memory.json`. */
export const memory = Effect.fnUntraced(function*({ full, rounds }: Options) {
  const redisServer = yield* serverVersion
  const about = {
    part: "memory",
    date: new Date().toISOString(),
    machine: machine(),
    versions: {
      "redis-server": redisServer,
      ...Object.fromEntries(
        ["effect", "@effect/platform-node", "redis", "ioredis", "@valkey/valkey-glide"].map((name) => [
          name,
          versionOf(name)
        ])
      )
    },
    options: { full, rounds }
  }
  print(
    table(["", ""], Object.entries({ ...about.machine, ...about.versions }).map(([key, value]) => [key, String(value)]))
  )
  yield* compile

  const [took, results] = yield* Effect.timed(Effect.gen(function*() {
    const port = yield* startServer
    const measured = yield* Effect.gen(function*() {
      const withoutConnection = yield* inTurns([...withoutClient, ...contestants], rounds, loaded)
      printIdle("loaded, not connected", withoutConnection)
      const connections = yield* Effect.forEach(
        arrangements,
        Effect.fnUntraced(function*(arrangement) {
          const { count, title, worked } = arrangement
          const standings = yield* inTurns(contestants, rounds, (name) => connected(name, port, count, worked))
          printIdle(title, standings)
          return { ...arrangement, standings }
        })
      )
      const [ten, hundred] = connections.filter(({ worked }) => worked)
      printPerConnection(ten!, hundred!)
      const flying = yield* inTurns(contestants, rounds, (name) => inFlight(name, port))
      printInFlight(flying)
      return { loaded: withoutConnection, connections, inFlight: { commands: commandsInFlight, standings: flying } }
    }).pipe(Effect.provide(NodeHitlessRedis.layer({ host, port })))
    // A thousand, or ten thousand, without the warm-up that the first half is.
    const points = yield* growth(full ? 20_000 : 2000)
    printGrowth(points)
    return { ...measured, growth: { points, slopes: slopes(points) } }
  }))
  const path = writeResults("memory", { ...about, ...toJson(results) })
  print(`${Math.round(Duration.toSeconds(took))} s; the medians are in ${path}`)
}, Effect.scoped)
