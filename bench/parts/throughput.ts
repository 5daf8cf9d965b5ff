/**
 * Throughput, CPU and latency of every contestant in every cell, in one run against one server.
 *
 * Each contestant has a process of its own, which lives for the whole run. In one process they would share what decides
 * the figures: Node's streams and promises would be compiled for all of them at once, one's garbage would be collected in
 * another's turn, and CPU time (also of valkey-glide's own threads) could not be told apart. To share the machine's moods
 * all the same, they take turns within each round of each cell; a ratio compares two turns of one round.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HitlessRedis } from "../../src/HitlessRedis.ts"
import * as NodeHitlessRedis from "../../src/node/NodeHitlessRedis.ts"
import type { Question } from "../children/contestant.ts"
import * as Child from "../kit/child.ts"
import { type Contestant, contestants, harness } from "../kit/contestants.ts"
import { fail } from "../kit/failure.ts"
import {
  condense,
  digits,
  formatRange,
  machine,
  print,
  ratio,
  spread,
  summarize,
  type Summary,
  table,
  versionOf,
  writeResults
} from "../kit/report.ts"
import { host, redisBenchmark, serverVersion, startServer } from "../kit/server.ts"
import { allCells, type Cell, nameOf, preparation, quickCells, readKey, type Sample } from "../kit/workload.ts"

/** How a run is measured. */
export interface Options {
  /** All cells, instead of those of a quick run. */
  readonly full: boolean
  /** The length of one turn. */
  readonly seconds: number
  readonly rounds: number
  /** Only cells whose names contain this. */
  readonly cells: string
  /** Only contestants whose names contain one of these; the first contestant takes part always. */
  readonly rivals: ReadonlyArray<string>
}

// ----- results -----

interface Result {
  readonly contestant: string
  readonly samples: ReadonlyArray<Sample>
  /** Why there are fewer samples than rounds. */
  readonly failure: string | undefined
}

interface CellResult extends Cell {
  readonly cell: string
  readonly results: ReadonlyArray<Result>
  /** What the loops cost by themselves. */
  readonly harness: ReadonlyArray<Result>
  /** `GET`s per second of `redis-benchmark`, by the shape of its connections. */
  readonly limits: ReadonlyArray<{ readonly shape: string; readonly commandsPerSecond: ReadonlyArray<number> }>
}

/** A result as it is kept. */
export const toJson = ({ harness, limits, results, ...cell }: CellResult) => {
  const kept = ({ contestant, failure, samples }: Result) => ({
    contestant,
    failure,
    turns: samples.length,
    ...condense(samples)
  })
  return {
    ...cell,
    results: results.map((result) => ({ ...kept(result), hitlessIs: ratio(results[0]!, result, rate) })),
    harness: harness.map(kept),
    limits: limits.map(({ commandsPerSecond, shape }) => ({ shape, commandsPerSecond: summarize(commandsPerSecond) }))
  }
}

const rate = ({ commandsPerSecond }: Sample): number => commandsPerSecond
const cpu = ({ cpuPerCommand }: Sample): number => cpuPerCommand

const formatRatio = (summary: Summary | undefined): string => summary === undefined ? "–" : summary.median.toFixed(2)

const header = ["", "commands/s", "spread", "hitless is ×", "CPU µs", "hitless uses ×", "p50 ms", "p99 ms"]

const rowOf = (first: Result | undefined, result: Result): ReadonlyArray<string> => {
  if (result.samples.length === 0) return [result.contestant, "failed", "", "", "", "", "", ""]
  const rates = summarize(result.samples.map(rate))
  const median = (of: (sample: Sample) => number): string => digits(summarize(result.samples.map(of)).median)
  const compared = first !== undefined && first !== result
  return [
    result.contestant,
    digits(rates.median),
    `${Math.round(spread(rates) * 100)}%`,
    compared ? formatRange(ratio(first, result, rate)) : "",
    median(cpu),
    compared ? formatRange(ratio(first, result, cpu)) : "",
    median(({ p50 }) => p50),
    median(({ p99 }) => p99)
  ]
}

const printCell = ({ cell, harness, limits, results }: CellResult): void => {
  print(`\n${cell}`)
  const first = results[0]!
  const rows = [
    ...results.map((result) => rowOf(first, result)),
    ...harness.map((result) => rowOf(undefined, result)),
    ...limits.map(({ commandsPerSecond, shape }) => {
      const rates = summarize(commandsPerSecond)
      const ratios = first.samples.length === commandsPerSecond.length
        ? summarize(first.samples.map((sample, round) => rate(sample) / commandsPerSecond[round]!))
        : undefined
      return [shape, digits(rates.median), `${Math.round(spread(rates) * 100)}%`, formatRange(ratios), "", "", "", ""]
    })
  ]
  print(table(header, rows).trimEnd())
  for (const { contestant, failure } of results) if (failure !== undefined) print(`${contestant}: ${failure}`)
}

const printSummary = (results: ReadonlyArray<CellResult>, of: (sample: Sample) => number): void => {
  const rivals = results[0]!.results.slice(1).map(({ contestant }) => contestant)
  const rows = results.map(({ cell, results: [first, ...others] }) => [
    cell,
    ...others.map((other) => formatRatio(ratio(first!, other, of)))
  ])
  print(table(["", ...rivals], rows))
}

// ----- running -----

/** The shapes in which `redis-benchmark` keeps as many commands in flight as a cell does. */
const shapesOf = (concurrency: number) =>
  // One connection is what the rivals use; ten is the size of the pool of hitless.
  [1, 10].filter((connections) => connections === 1 || concurrency > connections).map((connections) => ({
    connections,
    depth: concurrency / connections
  }))

/** Seconds before the first turn in a cell: hitless and node-redis reached their pace 0.3 s after their first command. */
const firstWarmUp = 0.4

const start = ({ name }: Contestant, port: number) => Child.start(name, "children/contestant.ts", [name, String(port)])

/** What a participant has got in a cell so far. */
interface Standing {
  readonly participant: Child.Child
  readonly samples: Array<Sample>
  failure: string | undefined
}

const begin = (participant: Child.Child): Standing => ({ participant, samples: [], failure: undefined })

const toResult = ({ failure, participant, samples }: Standing): Result => ({
  contestant: participant.name,
  samples,
  failure
})

const turn = Effect.fnUntraced(function*(standing: Standing, question: Question) {
  if (standing.failure !== undefined) return
  const answer = yield* Child.ask<Sample | undefined>(standing.participant, question, nameOf(question.cell))
  if (answer._tag === "Failed") standing.failure = answer.reason
  else if (answer.value !== undefined) standing.samples.push(answer.value)
})

const measureCell = Effect.fnUntraced(function*(
  cell: Cell,
  participants: ReadonlyArray<Child.Child>,
  loops: ReadonlyArray<Child.Child>,
  port: number,
  { rounds, seconds }: Options
) {
  const standings = participants.map(begin)
  for (const standing of standings) {
    yield* turn(standing, { _tag: "Verify", cell })
    if (standing.failure !== undefined) return yield* fail(`${standing.participant.name}: ${standing.failure}`)
  }

  const isSmallGet = cell.command === "GET" && cell.size === 16
  const limits = (isSmallGet ? shapesOf(cell.concurrency) : []).map((shape) => ({
    ...shape,
    key: readKey(cell.size),
    // One command at a time takes about 20 µs, and many at once down to 1 µs each.
    commands: Math.ceil(seconds * Math.min(cell.concurrency * 50_000, 1_000_000)),
    rates: new Array<number>()
  }))
  for (let round = 0; round < rounds; round++) {
    const warmUp = round === 0 ? firstWarmUp : seconds / 4
    for (const standing of standings) yield* turn(standing, { _tag: "Measure", cell, seconds, warmUp })
    for (const limit of limits) limit.rates.push(yield* redisBenchmark(port, limit))
  }

  const loopStandings = (isSmallGet ? loops : []).map(begin)
  for (const standing of loopStandings) yield* turn(standing, { _tag: "Measure", cell, seconds, warmUp: firstWarmUp })

  const cellResult: CellResult = {
    cell: nameOf(cell),
    ...cell,
    results: standings.map(toResult),
    harness: loopStandings.map(toResult),
    limits: limits.map(({ connections, depth, rates }) => ({
      shape: `redis-benchmark -c ${connections} -P ${depth}`,
      commandsPerSecond: rates
    }))
  }
  printCell(cellResult)
  return cellResult
})

/** Measures, prints, and writes `bench/results/throughput.json`. */
export const throughput = Effect.fnUntraced(function*(options: Options) {
  const cells = (options.full ? allCells : quickCells).filter((cell) => nameOf(cell).includes(options.cells))
  const chosen = contestants.filter(({ name }, index) =>
    index === 0 || options.rivals.length === 0 || options.rivals.some((rival) => name.includes(rival))
  )
  if (cells.length === 0) return yield* fail(`no cell's name contains "${options.cells}"`)

  const redisServer = yield* serverVersion
  const port = yield* startServer
  const about = {
    part: "throughput",
    date: new Date().toISOString(),
    machine: machine(),
    versions: {
      "redis-server": redisServer,
      effect: versionOf("effect"),
      ...Object.fromEntries(
        chosen.flatMap((contestant) =>
          contestant.package === undefined ? [] : [[contestant.package, versionOf(contestant.package)]]
        )
      )
    },
    options
  }
  print(
    table(["", ""], Object.entries({ ...about.machine, ...about.versions }).map(([key, value]) => [key, String(value)]))
  )

  yield* Effect.gen(function*() {
    const redis = yield* HitlessRedis
    for (const command of preparation) yield* redis.send(...command)
  }).pipe(Effect.provide(NodeHitlessRedis.layer({ host, port })))

  const participants = yield* Effect.forEach(chosen, (contestant) => start(contestant, port))
  const loops = yield* Effect.forEach(harness, (contestant) => start(contestant, port))
  const [took, results] = yield* Effect.timed(
    Effect.forEach(cells, (cell) => measureCell(cell, participants, loops, port, options))
  )
  print("\nhow many times the commands per second of each rival hitless has (more is better)")
  printSummary(results, rate)
  print("how many times the CPU of each rival hitless uses per command (less is better)")
  printSummary(results, cpu)
  const path = writeResults("throughput", { ...about, cells: results.map(toJson) })
  print(`${Math.round(Duration.toSeconds(took))} s; the medians are in ${path}`)
}, Effect.scoped)
