/**
 * The tables at the end of the demo: both runs side by side, 100 columns wide.
 *
 * Pure formatting of finished runs, and the one judgement that the exit code is made of: `violations`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { commandTimeout } from "./rehearsal.ts"
import { handshakePhase, quietPhase } from "./scenario.ts"
import { count, failures, millis, type Run, summarize, type Summary } from "./statistics.ts"

/**
 * What a run may have none of, with the numbers it had.
 *
 * @category getters
 * @since 0.1.0
 */
export const violations = (run: Run): ReadonlyArray<string> => {
  const found: ReadonlyArray<readonly [number: number, what: string]> = [
    [run.log.failed, "failed"],
    [run.audit.lost, "increments lost"],
    [run.audit.doubled, "increments doubled"],
    [run.wrongReads, "wrong reads"]
  ]
  return found.flatMap(([number, what]) => number === 0 ? [] : [`${count(number)} ${what}`])
}

const nameWidth = 16

// Two runs of these columns and the names of the phases are 100 characters.
const columns: ReadonlyArray<readonly [title: string, width: number, value: (summary: Summary) => string]> = [
  ["commands", 9, (summary) => count(summary.commands)],
  ["failed", 7, (summary) => count(summary.failed)],
  ["p50", 5, (summary) => millis(summary.p50)],
  ["p99", 5, (summary) => millis(summary.p99)],
  ["p99.9", 6, (summary) => millis(summary.p999)],
  ["max", 5, (summary) => millis(summary.max)],
  ["gap", 5, (summary) => millis(summary.longestGap)]
]

const runWidth = columns.reduce((sum, [, width]) => sum + width, 0)

const cells = (value: (column: typeof columns[number]) => string): string =>
  columns.map((column) => value(column).padStart(column[1])).join("")

const heading = (run: Run): string => ` ${` maintenance ${run.mode} `.padStart(30, "─").padEnd(runWidth - 1, "─")}`

/** Both runs have the same phases, in the same order. */
const phaseTable = (runs: ReadonlyArray<Run>): ReadonlyArray<string> => [
  " ".repeat(nameWidth) + runs.map(heading).join(""),
  "phase".padEnd(nameWidth) + runs.map(() => cells(([title]) => title)).join(""),
  ...runs[0].spans.map(({ name }, index) =>
    name.padEnd(nameWidth) + runs.map((run) => {
      const summary = summarize(run.log, run.spans[index])
      return cells(([_title, _width, value]) => value(summary))
    }).join("")
  )
]

const table = (rows: ReadonlyArray<ReadonlyArray<string>>, widths: ReadonlyArray<number>): ReadonlyArray<string> =>
  rows.map((row) =>
    row.map((cell, index) => index === 0 ? cell.padEnd(widths[index]) : cell.padStart(widths[index])).join("")
  )

const checkTable = (runs: ReadonlyArray<Run>): ReadonlyArray<string> => {
  const row = (name: string, value: (run: Run) => number) => [name, ...runs.map((run) => count(value(run)))]
  return table([
    ["", ...runs.map(({ mode }) => mode)],
    row("commands", ({ log }) => log.length),
    row("failed", ({ log }) => log.failed),
    ...reasons(runs).map((reason) => row(`  ${reason}`, ({ log }) => new Map(failures(log)).get(reason) ?? 0)),
    row("acknowledged increments", ({ audit }) => audit.acknowledged),
    row("failed increments that may have run", ({ audit }) => audit.uncertain),
    row("lost: acknowledged and not stored", ({ audit }) => audit.lost),
    row("doubled: stored and never asked for", ({ audit }) => audit.doubled),
    row("reads of another value than written", ({ wrongReads }) => wrongReads)
  ], [37, 12, 12])
}

const reasons = (runs: ReadonlyArray<Run>): ReadonlyArray<string> => [
  ...new Set(runs.flatMap(({ log }) => failures(log).map(([reason]) => reason)))
]

/** The phase in which a client that dials late would show it, beside the ordinary one. */
const handshakeTable = (runs: ReadonlyArray<Run>): ReadonlyArray<string> => {
  const rows = runs.flatMap((run) =>
    run.spans.filter(({ name }) => name === quietPhase || name === handshakePhase).map((span) => {
      const { longestGap, p999 } = summarize(run.log, span)
      return [`${run.mode}, ${span.name}`, `${millis(p999)} ms`, `${millis(longestGap)} ms`]
    })
  )
  return table([["", "p99.9", "longest gap"], ...rows], [37, 12, 14])
}

/**
 * The report on both runs, as lines.
 *
 * @category formatting
 * @since 0.1.0
 */
export const report = (runs: ReadonlyArray<Run>, server: string): ReadonlyArray<string> => [
  ...phaseTable(runs),
  "Latency (of answered commands) and the longest gap without a reply are in milliseconds.",
  "",
  `Every counter checked (${runs[0].audit.counters} in each run)`,
  ...checkTable(runs),
  "",
  "A target that is slow to shake hands, against a quiet time",
  ...handshakeTable(runs),
  "",
  `Both runs use ${server}, the same workload, name and upgrade, and time out after`,
  `${Duration.toMillis(commandTimeout)} ms; they differ in maintenance.mode alone. From half the announced time on the`,
  "name leads to the next node, so the disabled client, which loses its connection when a node retires,",
  "reconnects to the right place."
]
