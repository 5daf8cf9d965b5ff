/**
 * What parts of the benchmark have in common when they report: statistics of few samples, tables, result files, and the
 * machine and versions that belong to every figure.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Os from "node:os"
import { join } from "node:path"

// ----- statistics -----

/** The median of some samples, with the lowest and the highest. */
export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
}

export const summarize = (samples: ReadonlyArray<number>): Summary => {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return {
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    low: sorted[0]!,
    high: sorted.at(-1)!
  }
}

/** How far apart samples are, as a part of their median. */
export const spread = ({ high, low, median }: Summary): number => (high - low) / median

/** What the turns of a contestant gave, round by round. */
export interface Samples<A> {
  readonly samples: ReadonlyArray<A>
}

/** The ratio of one contestant to another, round by round; `undefined` where one of them has failed. */
export const ratio = <A>(one: Samples<A>, other: Samples<A>, of: (sample: A) => number): Summary | undefined =>
  one.samples.length === 0 || one.samples.length !== other.samples.length
    ? undefined
    : summarize(one.samples.map((sample, round) => of(sample) / of(other.samples[round]!)))

// ----- tables -----

/** Rows as text: the first column to the left, the others to the right. */
export const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>): string =>
    row.map((text, column) => column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)).join("  ")
  return [header, ...rows].map(line).join("\n") + "\n"
}

/** The median, and the lowest and the highest in parentheses. */
export const formatRange = (summary: Summary | undefined): string =>
  summary === undefined ? "–" : `${summary.median.toFixed(2)} (${summary.low.toFixed(2)}–${summary.high.toFixed(2)})`

/** Three significant digits, and separators of thousands. */
export const digits = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 })

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

// ----- machine and versions -----

const bench = join(import.meta.dirname, "..")

const versionIn = (folder: string): string | undefined => {
  try {
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version: string }
    return version
  } catch {
    return undefined
  }
}

/** The installed version of a package, where `bench` finds it; `undefined` if it is missing. */
export const versionOf = (name: string): string | undefined =>
  versionIn(join(bench, "node_modules", name)) ?? versionIn(join(bench, "..", "node_modules", name))

export const machine = () => ({
  cpu: Os.cpus()[0]?.model ?? "unknown",
  cores: Os.availableParallelism(),
  memoryGib: Math.round(Os.totalmem() / 2 ** 30),
  os: `${Os.type()} ${Os.arch()}`,
  node: process.versions.node,
  // What else the machine was doing: figures of a busy machine are worth less.
  loadBefore: Os.loadavg()[0]!
})

// ----- files -----

/** Samples as they are kept: of each number in them the median, the lowest and the highest. */
export type Condensed<A> = {
  readonly [K in keyof A as A[K] extends number | object ? K : never]: A[K] extends number ? Summary : Condensed<A[K]>
}

/** Condenses samples of one shape; of none there is nothing. What is neither a number nor an object is left out. */
export const condense = <A extends object>(samples: ReadonlyArray<A>): Condensed<A> | undefined => {
  const [first] = samples
  if (first === undefined) return undefined
  const of = (key: keyof A) => samples.map((sample) => sample[key])
  const entries = (Object.keys(first) as Array<keyof A>).flatMap((key) =>
    typeof first[key] === "number"
      ? [[key, summarize(of(key) as Array<number>)]]
      : typeof first[key] === "object" && first[key] !== null && !Array.isArray(first[key])
      ? [[key, condense(of(key) as Array<object>)]]
      : []
  )
  return Object.fromEntries(entries)
}

export const resultsFolder = join(bench, "results")

/** Four digits are more than any figure is worth; what has no other object in it stands on one line. */
const print4 = (results: object): string =>
  JSON.stringify(
    results,
    (_, value) => typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    2
  ).replace(/([{[])\n\s+([^{}[\]]*?)\n\s+([}\]])/g, (_, open, inner) =>
    open === "{" ? `{ ${inner.replace(/\n\s+/g, " ")} }` : `[${inner.replace(/\n\s+/g, " ")}]`)

/** Writes `bench/results/<part>.json`, and gives its path from the root of the repository. */
export const writeResults = (part: string, results: object): string => {
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(join(resultsFolder, `${part}.json`), `${print4(results)}\n`)
  return `bench/results/${part}.json`
}
