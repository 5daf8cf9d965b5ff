/**
 * The codec alone: rates of decoders and encoders; see `kit/codecs.ts`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Child from "../kit/child.ts"
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
  table,
  versionOf,
  writeResults
} from "../kit/report.ts"
import type { Options } from "../parts/throughput.ts"

import { type Cell, cells, type Codec, codecs, type Question, type Sample, takesPart, wireOf } from "../kit/codecs.ts"

// ----- results -----

interface Result {
  readonly contestant: string
  readonly samples: ReadonlyArray<Sample>
}

interface CellResult {
  readonly cell: string
  readonly work: "decode" | "encode"
  /** Per reply or command, on the wire. */
  readonly bytes: number
  readonly results: ReadonlyArray<Result>
}

/** A result as it is kept. */
export const toJson = ({ results, ...cell }: CellResult) => ({
  ...cell,
  results: results.map(({ contestant, samples }) => ({ contestant, turns: samples.length, ...condense(samples) }))
})

const rate = ({ perSecond }: Sample): number => perSecond
const cpu = ({ cpu }: Sample): number => cpu

const printCell = ({ bytes, cell, results, work }: CellResult): void => {
  const first = results[0]!
  const header = [
    cell,
    work === "decode" ? "replies/s" : "commands/s",
    "MB/s",
    "spread",
    "hitless is ×",
    "CPU µs",
    "hitless uses ×"
  ]
  const rows = results.map((result) => {
    const rates = summarize(result.samples.map(rate))
    return [
      result.contestant,
      digits(rates.median),
      digits(rates.median * bytes / 1e6),
      `${Math.round(spread(rates) * 100)}%`,
      result === first ? "" : formatRange(ratio(first, result, rate)),
      digits(summarize(result.samples.map(cpu)).median),
      result === first ? "" : formatRange(ratio(first, result, cpu))
    ]
  })
  print(table(header, rows))
}

const printSummary = (results: ReadonlyArray<CellResult>, rivals: ReadonlyArray<string>): void => {
  const rows = results.map(({ cell, results: [first, ...others] }) => [
    cell,
    ...rivals.map((rival) => {
      const other = others.find(({ contestant }) => contestant === rival)
      return other === undefined ? "–" : ratio(first!, other, rate)!.median.toFixed(2)
    })
  ])
  print(table(["", ...rivals], rows))
}

// ----- running -----

const turn = Effect.fnUntraced(function*(child: Child.Child, question: Question) {
  const what = question._tag === "Verify" ? "verifying" : question.cell
  const answer = yield* Child.ask<Sample | undefined>(child, question, what)
  return answer._tag === "Failed" ? yield* fail(`${child.name}: ${answer.reason}`) : answer.value
})

interface Participant {
  readonly codec: Codec
  readonly child: Child.Child
}

const measureCell = Effect.fnUntraced(function*(
  cell: Cell,
  participants: ReadonlyArray<Participant>,
  { rounds, seconds }: Options
) {
  // A turn without server and sockets has less to average out than one of `parts/throughput.ts`.
  const length = seconds / 2
  const standings = participants.filter(({ codec }) => takesPart(codec, cell)).map(({ child }) => ({
    child,
    samples: new Array<Sample>()
  }))
  for (let round = 0; round < rounds; round++) {
    const warmUp = round === 0 ? length / 2 : length / 4
    for (const { child, samples } of standings) {
      const sample = yield* turn(child, { _tag: "Measure", cell: cell.name, seconds: length, warmUp })
      samples.push(sample!)
    }
  }
  const wire = cell.work === "decode" ? cell.replies.map((reply) => reply.wire).join("") : wireOf(cell.commands)
  const result: CellResult = {
    cell: cell.name,
    work: cell.work,
    bytes: wire.length / (cell.work === "decode" ? cell.replies.length : cell.commands.length),
    results: standings.map(({ child, samples }) => ({ contestant: child.name, samples }))
  }
  printCell(result)
  return result
})

/** Measures, prints, and writes `bench/results/codec.json`. */
export const codec = Effect.fnUntraced(function*(options: Options) {
  const chosenCells = cells.filter(({ name }) => name.includes(options.cells))
  const chosen = codecs.filter(({ name }, index) =>
    index === 0 || options.rivals.length === 0 || options.rivals.some((rival) => name.includes(rival))
  )
  if (chosenCells.length === 0) return yield* fail(`no cell's name contains "${options.cells}"`)

  const about = {
    part: "codec",
    date: new Date().toISOString(),
    machine: machine(),
    versions: Object.fromEntries(
      chosen.flatMap((codec) => codec.package === undefined ? [] : [[codec.package, versionOf(codec.package)]])
    ),
    options
  }
  print(
    table(["", ""], Object.entries({ ...about.machine, ...about.versions }).map(([key, value]) => [key, String(value)]))
  )

  const participants = yield* Effect.forEach(
    chosen,
    (codec) =>
      Effect.map(Child.start(codec.name, "children/codec.ts", [codec.name]), (child): Participant => ({ codec, child }))
  )
  for (const { child } of participants) yield* turn(child, { _tag: "Verify" })
  const [took, results] = yield* Effect.timed(
    Effect.forEach(chosenCells, (cell) => measureCell(cell, participants, options))
  )
  print("how many times the replies or commands per second of each rival hitless has (more is better)")
  printSummary(results, chosen.slice(1).map(({ name }) => name))
  const path = writeResults("codec", { ...about, cells: results.map(toJson) })
  print(`${Math.round(Duration.toSeconds(took))} s; the medians are in ${path}`)
}, Effect.scoped)
