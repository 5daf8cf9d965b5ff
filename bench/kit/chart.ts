/**
 * Charts of the results, as SVG beside the JSON.
 *
 * They are drawn from the files alone, so that the same file always gives the same picture, and a part knows nothing of
 * its charts. vega-lite lays them out in Node without a browser; it only estimates how wide text is, so nothing here
 * depends on that. A chart has its own background, is readable where the page is dark, and fetches nothing.
 */
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Vega from "vega"
import * as VegaLite from "vega-lite"
import { attempt } from "./failure.ts"
import { type Condensed, resultsFolder, type Summary } from "./report.ts"

// ----- looks -----

/** Contestants have the same colour in every chart; two ways to use one client have two shades of it. */
const colours: Record<string, string> = {
  hitless: "#d9480f",
  "node-redis": "#1c4f9c",
  "node-redis, timeout 0": "#74a9e0",
  "node-redis, pool": "#74a9e0",
  ioredis: "#2b7a3d",
  "ioredis, auto-pipelining": "#8cc68f",
  "valkey-glide": "#7b3fa0",
  "Effect NodeRedis": "#8a8f98",
  "redis-parser": "#b08900"
}

const colourOf = (series: string): string => colours[series] ?? "#c9ccd1"

const ink = "#1f2328"

const config: VegaLite.Config = {
  background: "#ffffff",
  padding: 16,
  font: "Helvetica, Arial, sans-serif",
  // Pictures are shown by `img`, which hides from screen readers what is inside; it takes half of the file.
  aria: false,
  title: { anchor: "start", color: ink, fontSize: 15, subtitleColor: "#59636e", subtitleFontSize: 11, offset: 14 },
  axis: {
    domainColor: "#8a8f98",
    gridColor: "#e6e8eb",
    labelColor: ink,
    labelLimit: 300,
    tickColor: "#8a8f98",
    titleColor: ink,
    titleFontWeight: "normal",
    titlePadding: 10
  },
  legend: { labelColor: ink, labelLimit: 300, symbolStrokeWidth: 2, title: null },
  view: { stroke: null }
}

// ----- kinds of charts -----

/** One mark. Where `low` and `high` are given, a line shows from where to where the samples reach. */
export interface Row {
  readonly series: string
  readonly value: number
  readonly low?: number | undefined
  readonly high?: number | undefined
}

interface Axis {
  readonly title: string
  readonly log?: boolean | undefined
  /** Of d3; `~s` unless given, which is `1.2M` for a million and a bit. */
  readonly format?: string | undefined
}

interface Texts {
  readonly title: string
  readonly subtitle: ReadonlyArray<string>
}

/** In the order of the rows: hitless comes first in all results. */
const seriesOf = (rows: ReadonlyArray<Row>): Array<string> => Array.from(new Set(rows.map(({ series }) => series)))

const colour = (rows: ReadonlyArray<Row>) => {
  const domain = seriesOf(rows)
  return { field: "series", type: "nominal", sort: null, scale: { domain, range: domain.map(colourOf) } } as const
}

const isHitless = "datum.series === 'hitless'"

/** The steps of a logarithmic axis around some values: 1, 2, 5, 10 and so on, or tens alone where they span a lot. */
const stepsAround = (values: ReadonlyArray<number>): Array<number> => {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const steps = Array.from({ length: 25 }, (_, index) => index - 12).flatMap((exponent) =>
    (high / low > 1000 ? [1] : [1, 2, 5]).map((digit) => Number(`${digit}e${exponent}`))
  )
  return steps.slice(steps.findLastIndex((step) => step <= low), steps.findIndex((step) => step >= high) + 1)
}

const quantitative = ({ format = "~s", log = false, title }: Axis, values: ReadonlyArray<number>) => {
  if (!log) return { type: "quantitative", title, axis: { format }, scale: { zero: true } } as const
  const steps = stepsAround(values)
  const domain = [steps[0]!, steps.at(-1)!]
  return {
    type: "quantitative",
    title,
    axis: { format, values: steps },
    scale: { type: "log", domain, nice: false }
  } as const
}

const valuesOf = (rows: ReadonlyArray<Row>): ReadonlyArray<number> => rows.map(({ value }) => value)

const frame = ({ subtitle, title }: Texts) => ({ title: { text: title, subtitle: [...subtitle] }, config })

/** A bar for each series in each group, from the top down. */
export const bars = (
  options: Texts & { readonly x: Axis; readonly rows: ReadonlyArray<Row & { readonly group: string }> }
): VegaLite.TopLevelSpec => {
  const { rows, x } = options
  const y = { field: "group", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false } } as const
  const yOffset = { field: "series", type: "nominal", sort: null } as const
  return {
    ...frame(options),
    data: { values: [...rows] },
    width: 560,
    height: { step: 13, for: "offset" },
    encoding: { y: { ...y, scale: { paddingInner: 0.25, paddingOuter: 0.1 } }, yOffset },
    layer: [
      {
        mark: { type: "bar" },
        encoding: {
          x: { ...quantitative(x, valuesOf(rows)), field: "value" },
          color: colour(rows)
        }
      },
      {
        transform: [{ filter: "isValid(datum.low) && datum.low < datum.high" }],
        mark: { type: "rule", color: ink, opacity: 0.6 },
        encoding: { x: { field: "low", type: "quantitative" }, x2: { field: "high" } }
      },
      {
        mark: { type: "text", align: "left", dx: 5, fontSize: 9, color: ink },
        encoding: {
          // Right of the line of the samples.
          x: { field: "end", type: "quantitative" },
          text: { field: "value", type: "quantitative", format: x.format ?? ".3~s" }
        },
        transform: [{ calculate: "isValid(datum.high) ? datum.high : datum.value", as: "end" }]
      }
    ]
  }
}

type Point = Row & { readonly x: number }

const xOf = ({ x }: Point): number => x

/** A line for each series, with a dot for each row. */
export const lines = (
  options: Texts & { readonly x: Axis; readonly y: Axis; readonly rows: ReadonlyArray<Point> }
): VegaLite.TopLevelSpec => {
  const { rows, x, y } = options
  return {
    ...frame(options),
    data: { values: [...rows] },
    width: 560,
    height: 340,
    encoding: {
      x: { ...quantitative(x, rows.map(xOf)), field: "x" },
      y: { ...quantitative(y, valuesOf(rows)), field: "value" },
      color: colour(rows)
    },
    layer: [
      { mark: { type: "line", strokeWidth: 1.5, point: { size: 40 } } },
      // hitless once more, above the lines that came after it.
      { transform: [{ filter: isHitless }], mark: { type: "line", strokeWidth: 3, point: { size: 60 } } }
    ]
  }
}

/** A line for each series in a picture of its own, one below the other: for rows so many that lines would hide lines. */
export const strips = (
  options: Texts & { readonly x: Axis; readonly y: Axis; readonly rows: ReadonlyArray<Point> }
): VegaLite.TopLevelSpec => {
  const { rows, x, y } = options
  return {
    ...frame(options),
    data: { values: [...rows] },
    width: 700,
    height: 150,
    mark: { type: "line", strokeWidth: 1 },
    encoding: {
      row: { field: "series", type: "nominal", sort: null, title: null, header: { labels: false } },
      x: { ...quantitative(x, rows.map(xOf)), field: "x" },
      y: { ...quantitative(y, valuesOf(rows)), field: "value" },
      color: colour(rows)
    }
  }
}

/** A dot for the ratio to each series in each group, on both sides of 1. */
export const ratios = (
  options: Texts & { readonly x: string; readonly rows: ReadonlyArray<Row & { readonly group: string }> }
): VegaLite.TopLevelSpec => {
  const { rows, x } = options
  return {
    ...frame(options),
    data: { values: [...rows] },
    width: 560,
    height: { step: 22 },
    layer: [
      { data: { values: [{}] }, mark: { type: "rule", color: ink }, encoding: { x: { datum: 1 } } },
      {
        mark: { type: "point", filled: true, size: 90, opacity: 0.9 },
        encoding: {
          // 1 is on the axis whatever the ratios are.
          x: { ...quantitative({ title: x, log: true, format: "~r" }, [1, ...valuesOf(rows)]), field: "value" },
          y: { field: "group", type: "nominal", sort: null, title: null, axis: { grid: true } },
          color: colour(rows),
          shape: { ...colour(rows), scale: { domain: seriesOf(rows) } }
        }
      }
    ]
  }
}

// ----- what the parts have measured -----

/** What every file begins with. */
interface About {
  readonly date: string
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
}

const about = ({ date, machine }: About): string =>
  `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${date.slice(0, 10)}`

type Charts = Record<string, VegaLite.TopLevelSpec>

/** What a contestant gave; one that failed before its first turn has no figures. */
type Results<A> = Condensed<A> & {
  readonly contestant: string
  readonly turns: number
}

const rowOf = ({ high, low, median }: Summary, by = 1) => ({ value: median / by, low: low / by, high: high / by })

const hasFigures = ({ turns }: { readonly turns: number }): boolean => turns > 0

// ----- throughput -----

interface ThroughputSample {
  readonly commandsPerSecond: number
  readonly cpuPerCommand: number
}

interface Throughput extends About {
  readonly cells: ReadonlyArray<{
    readonly cell: string
    readonly command: string
    readonly size: number
    readonly concurrency: number
    readonly results: ReadonlyArray<
      Results<ThroughputSample> & {
        /** How many times the commands per second of this one hitless has, where both had all their turns. */
        readonly hitlessIs?: Summary
      }
    >
  }>
}

const throughput = (results: Throughput): Charts => {
  const small = results.cells.filter(({ command, size }) => command === "GET" && size === 16)
  const byConcurrency = (of: (result: Results<ThroughputSample>) => Summary) =>
    small.flatMap(({ concurrency, results }) =>
      results.filter(hasFigures).map((result) => ({ series: result.contestant, x: concurrency, ...rowOf(of(result)) }))
    )
  const x: Axis = { title: "GETs of 16 B in flight", log: true }
  return {
    rate: lines({
      title: "Commands per second",
      subtitle: ["more is better; medians of the rounds", about(results)],
      x,
      y: { title: "commands per second", log: true },
      rows: byConcurrency(({ commandsPerSecond }) => commandsPerSecond)
    }),
    cpu: lines({
      title: "CPU per command",
      subtitle: ["less is better; the client's whole process, medians of the rounds", about(results)],
      x,
      y: { title: "µs of CPU per command", log: true, format: "~r" },
      rows: byConcurrency(({ cpuPerCommand }) => cpuPerCommand)
    }),
    ratios: ratios({
      title: "How many times the commands per second of each rival hitless has",
      subtitle: ["right of 1: hitless is faster; medians of the rounds", about(results)],
      x: "commands per second of hitless ÷ those of the rival",
      rows: results.cells.flatMap(({ cell, results }) =>
        results.slice(1).flatMap(({ contestant, hitlessIs }) =>
          hitlessIs === undefined ? [] : [{ group: cell, series: contestant, value: hitlessIs.median }]
        )
      )
    })
  }
}

// ----- codec -----

interface Codec extends About {
  readonly cells: ReadonlyArray<{
    readonly cell: string
    readonly work: "decode" | "encode"
    readonly results: ReadonlyArray<Results<{ readonly perSecond: number }>>
  }>
}

const codec = (results: Codec): Charts => {
  const chart = (work: "decode" | "encode", title: string) => {
    const rows = results.cells.filter((cell) => cell.work === work).flatMap(({ cell, results }) => {
      const rates = results.map((result) => ({
        series: result.contestant,
        ...rowOf(result.perSecond)
      }))
      const best = Math.max(...rates.map(({ value }) => value))
      return rates.map(({ high, low, series, value }) => ({
        group: cell.replace(`${work} `, ""),
        series,
        value: value / best,
        low: low / best,
        high: high / best
      }))
    })
    return bars({
      title,
      subtitle: [
        "1 is the fastest in each row; medians, and lines from the slowest to the fastest round",
        about(results)
      ],
      x: { title: "rate ÷ that of the fastest", format: ".2f" },
      rows
    })
  }
  return {
    decode: chart("decode", "Decoders over the same bytes: replies per second"),
    encode: chart("encode", "Encoders of the same commands: commands per second")
  }
}

// ----- memory -----

interface Reading {
  readonly rss: number
  readonly heap: number
  readonly external: number
}

interface Memory extends About {
  readonly connections: ReadonlyArray<{
    readonly title: string
    readonly standings: ReadonlyArray<Results<{ readonly idle: Reading }>>
  }>
  readonly inFlight: {
    readonly commands: number
    readonly standings: ReadonlyArray<
      Results<{ readonly perCommand: { readonly used: number; readonly resident: number } }>
    >
  }
  readonly growth: {
    readonly points: ReadonlyArray<{ readonly handoffs: number; readonly readings: Record<string, Reading> }>
  }
}

const mib = 2 ** 20

const used = ({ external, heap }: Reading): number => heap + external

const memory = (results: Memory): Charts => ({
  connections: bars({
    title: "Resident memory of an idle process",
    subtitle: ["less is better; medians, and lines from the lowest to the highest sample", about(results)],
    x: { title: "MiB", format: ".0f" },
    rows: results.connections.flatMap(({ standings, title }) =>
      standings.filter(hasFigures).map(({ contestant, idle }) => ({
        group: title,
        series: contestant,
        ...rowOf(idle.rss, mib)
      }))
    )
  }),
  "in-flight": bars({
    title: "Memory per command in flight",
    subtitle: ["less is better; medians, and lines from the lowest to the highest sample", about(results)],
    x: { title: "bytes", format: ",.0f" },
    rows: ([["in use", "used"], ["resident", "resident"]] as const).flatMap(([group, figure]) =>
      results.inFlight.standings.filter(hasFigures).map(({ contestant, perCommand }) => ({
        group,
        series: contestant,
        ...rowOf(perCommand[figure])
      }))
    )
  }),
  growth: lines({
    title: "Memory in use after handoffs",
    subtitle: ["flat is good; heap and external memory after garbage collections", about(results)],
    x: { title: "handoffs", format: ",.0f" },
    y: { title: "MiB in use", format: "~r" },
    rows: results.growth.points.flatMap(({ handoffs, readings }) =>
      Object.entries(readings).map(([series, reading]) => ({ series, x: handoffs, value: used(reading) / mib }))
    )
  })
})

// ----- handoff -----

interface Handoff extends About {
  readonly groups: ReadonlyArray<{
    readonly cells: ReadonlyArray<{
      readonly connections: number
      /** Milliseconds that the new node takes for it. */
      readonly handshake: number
      readonly results: ReadonlyArray<
        & Condensed<
          { readonly quiet: { readonly longestGap: number }; readonly moving: { readonly longestGap: number } }
        >
        & {
          readonly client: string
          /** Of the round in the middle, the longest of each 10 ms, in one of the cells. */
          readonly latencies?: ReadonlyArray<number>
        }
      >
    }>
  }>
}

const handoff = (results: Handoff): Charts => {
  const cells = results.groups.flatMap(({ cells }) => cells)
  const drawn = cells.flatMap(({ results }) => results)
  return {
    latency: strips({
      title: "Latency while 10 connections move to a node that takes 200 ms for a handshake",
      subtitle: ["longest of each 10 ms, from when a command was due to its reply", about(results)],
      x: { title: "seconds", format: "~r" },
      y: { title: "ms", log: true, format: "~r" },
      rows: drawn.flatMap(({ client, latencies = [] }) =>
        latencies.map((latency, index) => ({ series: client, x: index / 100, value: latency }))
          // Nothing was due.
          .filter(({ value }) => value > 0)
      )
    }),
    gaps: bars({
      title: "Longest time without a reply",
      subtitle: [
        "connections × handshake of the new node; less is better; medians, and lines from the lowest to the highest round",
        about(results)
      ],
      x: { title: "ms", format: ".3~r" },
      rows: cells.flatMap(({ connections, handshake, results }) =>
        (["quiet", "moving"] as const).flatMap((phase) =>
          results.map((result) => ({
            group: `${connections} × ${handshake} ms, ${phase}`,
            series: result.client,
            ...rowOf(result[phase].longestGap)
          }))
        )
      )
    })
  }
}

// ----- drawing -----

const parts: Record<string, (results: never) => Charts> = { throughput, codec, memory, handoff }

/** Draws the charts of a part from its results, and gives their paths from the root of the repository. */
export const draw = Effect.fnUntraced(function*(part: string) {
  const chartsOf = parts[part]
  if (chartsOf === undefined) return []
  const results = JSON.parse(readFileSync(join(resultsFolder, `${part}.json`), "utf8")) as never
  // What is not drawn again belongs to other results.
  for (const file of readdirSync(resultsFolder)) {
    if (file.startsWith(`${part}-`) && file.endsWith(".svg")) rmSync(join(resultsFolder, file))
  }
  const paths: Array<string> = []
  for (const [name, spec] of Object.entries(chartsOf(results))) {
    const { values } = spec.data as { readonly values: ReadonlyArray<Row> }
    if (values.length === 0) continue
    const view = new Vega.View(Vega.parse(VegaLite.compile(spec).spec), { renderer: "none" })
    const svg = yield* attempt(`drawing ${part}-${name}`, () => view.toSVG())
    view.finalize()
    writeFileSync(join(resultsFolder, `${part}-${name}.svg`), `${svg}\n`)
    paths.push(`bench/results/${part}-${name}.svg`)
  }
  return paths
})
