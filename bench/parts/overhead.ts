/**
 * What the features of `hitless` cost while nothing happens: `hitless` against itself, with one thing different.
 *
 * The question is whether two variants differ by 2%, on machines where a turn differs from the next by 20%. So the two
 * clients share a process, against the rule of `parts/throughput.ts`: they are the same code, and may share what Node compiled
 * of it. And turns are short, many, and in pairs, each pair in an order of its own: in the same time, pairs of 50 ms left
 * the ratio uncertain by 4%, and pairs of 10 ms by 0.8%.
 *
 * A ratio compares the turns of one pair; what counts is the median of the pairs, with the interval that holds it with
 * 95% certainty. At 1,000 workers a collection of garbage falls into about every fourth turn, and a median passes over
 * it; so what a variant leaves to be collected is measured by itself. The first comparison is that of a client with its
 * own like: what its intervals say of the yardstick holds for the others.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HitlessRedis } from "../../src/HitlessRedis.ts"
import * as NodeHitlessRedis from "../../src/node/NodeHitlessRedis.ts"
import type { Pair, Question, Turn } from "../children/overhead.ts"
import * as Child from "../kit/child.ts"
import { fail } from "../kit/failure.ts"
import { digits, machine, print, summarize, table, versionOf, writeResults } from "../kit/report.ts"
import { host, serverVersion, startServer } from "../kit/server.ts"
import { type Cell, nameOf, preparation } from "../kit/workload.ts"

/** How a run is measured. */
export interface Options {
  /** Ten times as long. */
  readonly full: boolean
}

// ----- comparisons -----

/** A client that takes part; what is not here is as it comes. */
export interface Variant {
  readonly maintenance: "disabled" | "enabled" | "auto"
  /** Whether it has `OperationDurations` on. */
  readonly operationDurations: boolean
  /** Whether its commands are values of `Commands`, and not sent by name. */
  readonly typed: boolean
  /** Whether all metrics are read once in each of its turns. */
  readonly readMetrics: boolean
}

/** Two variants that differ in one thing. */
export interface Comparison {
  readonly name: string
  readonly without: Variant
  readonly with: Variant
  /** Whether the server grants maintenance notifications to either. */
  readonly granted: boolean
  /** How many times the commands per second of the one `without` are enough; `undefined` where nothing is promised. */
  readonly reach: number | undefined
}

const disabled: Variant = { maintenance: "disabled", operationDurations: false, readMetrics: false, typed: false }
const auto: Variant = { ...disabled, maintenance: "auto" }

const yardstick: Comparison = {
  name: "disabled, against itself",
  without: disabled,
  with: disabled,
  granted: true,
  reach: undefined
}

export const comparisons: ReadonlyArray<Comparison> = [
  yardstick,
  {
    name: "maintenance enabled, against disabled",
    without: disabled,
    with: { ...disabled, maintenance: "enabled" },
    granted: true,
    reach: 0.98
  },
  {
    name: "maintenance auto and refused, against disabled",
    without: disabled,
    with: auto,
    granted: false,
    reach: 0.98
  },
  {
    name: "metrics read in each turn, against never",
    without: auto,
    with: { ...auto, readMetrics: true },
    granted: false,
    reach: 0.95
  },
  {
    name: "typed commands, against by name",
    without: auto,
    with: { ...auto, typed: true },
    granted: false,
    reach: 0.95
  },
  {
    name: "operation durations on, against off",
    without: auto,
    with: { ...auto, operationDurations: true },
    granted: false,
    reach: undefined
  }
]

const cells: ReadonlyArray<Cell> = [100, 1000].map((concurrency) => ({ command: "GET", size: 16, concurrency }))

// ----- statistics -----

/** A median, and the interval that holds the true one with 95% certainty. */
interface Estimate {
  readonly median: number
  readonly low: number
  readonly high: number
}

const estimate = (ratios: ReadonlyArray<number>): Estimate => {
  const sorted = ratios.toSorted((a, b) => a - b)
  // How many samples lie below the true median is binomial: 1.96 standard deviations of it are 0.98 √n. This assumes
  // nothing about how samples are spread, which on a shared machine is badly.
  const rank = Math.max(0, Math.floor(sorted.length / 2 - 0.98 * Math.sqrt(sorted.length)))
  return { median: summarize(ratios).median, low: sorted[rank]!, high: sorted.at(-1 - rank)! }
}

const rate = ({ commandsPerSecond }: Turn): number => commandsPerSecond
const cpu = ({ cpuPerCommand }: Turn): number => cpuPerCommand

const ratios = (pairs: ReadonlyArray<Pair>, of: (turn: Turn) => number): Array<number> =>
  pairs.map((pair) => of(pair.with) / of(pair.without))

const median = (turns: ReadonlyArray<Turn>, of: (turn: Turn) => number): number => summarize(turns.map(of)).median

/** Bytes that a command leaves to be collected: from the turns in which nothing was. */
const garbage = (turns: ReadonlyArray<Turn>): number =>
  median(turns.filter(({ heapPerCommand }) => heapPerCommand > 0), ({ heapPerCommand }) => heapPerCommand)

// ----- results -----

interface Row {
  readonly comparison: Comparison
  readonly cell: Cell
  readonly pairs: Array<Pair>
}

/** What the intervals say: commands per second and CPU per command both keep within the reach, or one does not. */
const verdict = ({ reach }: Comparison, rates: Estimate, cpus: Estimate): string => {
  if (reach === undefined) return ""
  if (rates.low >= reach && cpus.high <= 1 / reach) return `≥ ${reach}`
  return rates.high < reach || cpus.low > 1 / reach ? `missed ${reach}` : `undecided ${reach}`
}

const toResult = ({ cell, comparison, pairs }: Row) => {
  const without = pairs.map((pair) => pair.without)
  const rates = estimate(ratios(pairs, rate))
  const cpus = estimate(ratios(pairs, cpu))
  return {
    comparison: comparison.name,
    cell: nameOf(cell),
    ...cell,
    commandsPerSecond: median(without, rate),
    cpuPerCommand: median(without, cpu),
    rates,
    cpus,
    garbage: { without: garbage(without), with: garbage(pairs.map((pair) => pair.with)) },
    verdict: verdict(comparison, rates, cpus),
    pairs: pairs.length
  }
}

const formatEstimate = ({ high, low, median }: Estimate): string =>
  `${median.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`

const header = ["", "commands/s", "with it ×", "CPU µs", "with it ×", "garbage B", "with it", "reach"]

const printCell = (cell: Cell, results: ReadonlyArray<ReturnType<typeof toResult>>): void => {
  print(`\n${nameOf(cell)}`)
  const rows = results.map((result) => [
    result.comparison,
    digits(result.commandsPerSecond),
    formatEstimate(result.rates),
    digits(result.cpuPerCommand),
    formatEstimate(result.cpus),
    digits(result.garbage.without),
    digits(result.garbage.with),
    result.verdict
  ])
  print(table(header, rows).trimEnd())
}

const holdsOne = ({ high, low }: Estimate): boolean => low <= 1 && 1 <= high

// ----- running -----

/** Seconds; see the head of this file. A turn of 1,000 workers spends 3% of it on starting them. */
const turn = 0.01

/** Pairs of turns that two clients have before they are replaced: two clients of a kind can differ by chance. */
const pairsPerRound = 20

/** Seconds that new clients have before their first turn, to open their connections. */
const warmUp = 0.05
/** The same for the first clients of a process, to be compiled: as in `parts/throughput.ts`. */
const firstWarmUp = 0.4

/** Measures, prints, and writes `bench/results/overhead.json`. */
export const overhead = Effect.fnUntraced(function*(options: Options) {
  // Even, so that each client of a comparison is opened first as often. 120 pairs for each row, or 1,200.
  const rounds = options.full ? 60 : 6
  const redisServer = yield* serverVersion
  const port = yield* startServer
  const about = {
    part: "overhead",
    date: new Date().toISOString(),
    machine: machine(),
    versions: { "redis-server": redisServer, effect: versionOf("effect") },
    options
  }
  print(
    table(["", ""], Object.entries({ ...about.machine, ...about.versions }).map(([key, value]) => [key, String(value)]))
  )

  yield* Effect.gen(function*() {
    const redis = yield* HitlessRedis
    for (const command of preparation) yield* redis.send(...command)
  }).pipe(Effect.provide(NodeHitlessRedis.layer({ host, port })))

  const participants = yield* Effect.forEach(comparisons, (comparison) =>
    Effect.map(
      Child.start(comparison.name, "children/overhead.ts", [comparison.name, String(port)]),
      (child) => ({ child, comparison, rows: cells.map((cell): Row => ({ comparison, cell, pairs: [] })) })
    ))
  const [took] = yield* Effect.timed(Effect.gen(function*() {
    for (let round = 0; round < rounds; round++) {
      for (const { child, rows } of participants) {
        for (const { cell, pairs } of rows) {
          const question: Question = {
            cell,
            first: round % 2 === 0 ? "without" : "with",
            turn,
            pairs: pairsPerRound,
            warmUp: round === 0 ? firstWarmUp : warmUp
          }
          const answer = yield* Child.ask<ReadonlyArray<Pair>>(child, question, nameOf(cell))
          if (answer._tag === "Failed") return yield* fail(`${child.name}: ${answer.reason}`)
          pairs.push(...answer.value)
        }
      }
    }
  }))

  const results = participants.flatMap(({ rows }) => rows.map(toResult))
  for (const cell of cells) printCell(cell, results.filter(({ concurrency }) => concurrency === cell.concurrency))
  const own = results.filter(({ comparison }) => comparison === yardstick.name)
  print(
    own.every(({ cpus, rates }) => holdsOne(cpus) && holdsOne(rates))
      ? "\nThe yardstick holds: a client against itself is 1 within every interval."
      : "\nThe yardstick is off: a client against itself is not 1. Trust the other ratios by as much less."
  )
  const path = writeResults("overhead", { ...about, results })
  print(`${Math.round(Duration.toSeconds(took))} s; the medians of all pairs are in ${path}`)
}, Effect.scoped)
