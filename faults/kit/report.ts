/**
 * Outcomes as lines of a terminal and as the tables of `docs/reliability.md`.
 */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Moment, moments, type Outcome } from "./cell.ts"

const page = join(import.meta.dirname, "../../docs/reliability.md")

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

const failures = ({ failed }: Outcome): string =>
  failed.length === 0 ? "none" : failed.map(([what, count]) => `${count} × ${what}`).join("; ")

export const lineOf = (outcome: Outcome): string =>
  [
    `${outcome.problems.length === 0 ? "ok  " : "FAIL"}  ${outcome.fault} × ${outcome.moment}`.padEnd(52),
    `${outcome.calls} calls`.padEnd(11),
    `longest ${outcome.longest.toFixed(2)}`,
    `back in ${seconds(outcome.recovery)}${outcome.recovery > 1000 ? ` (${outcome.last})` : ""}`,
    outcome.wrongReads === 0 ? "" : `${outcome.wrongReads} wrong`,
    outcome.health.join(" → "),
    `failed: ${failures(outcome)}`,
    outcome.isBusy ? "(on a busy machine)" : "",
    ...outcome.untrue.map((what) => `\n      slipped: ${what}`),
    ...outcome.problems.map((problem) => `\n      ${problem}`)
  ].filter((part) => part !== "").join("  ")

/** The same, shorter: kinds by reason, and an asterisk where they may have run. */
const byReason = ({ failed }: Outcome): string => {
  const reasons = new Map<string, Array<string>>()
  for (const [what, count] of failed) {
    const [, kind, reason, may] = /^(\w+) (.*?)(, may have run)?$/.exec(what) ?? []
    const key = may === undefined ? reason : `${reason}\\*`
    reasons.set(key, [...reasons.get(key) ?? [], `${count} ${kind}`])
  }
  return Array.from(reasons, ([reason, kinds]) => `${reason}: ${kinds.join(", ")}`).join("; ") || "none"
}

const verdict = ({ problems, untrue, wrongReads }: Outcome): string =>
  problems.length > 0
    ? problems.join("; ")
    : wrongReads === 0 && untrue.length === 0
    ? "true"
    : ["replies slipped", ...(wrongReads === 0 ? [] : [`${wrongReads} of others`]), ...untrue].join(", ")

const titles: Record<Moment, string> = {
  idle: "While nothing is under way",
  loaded: "While everything is",
  "old endpoint": "In a move, at the endpoint that is left",
  target: "In a move, at the endpoint that it leads to"
}

const head = `| Fault | Failed | Longest | Back in | Health | Verdict |
| --- | --- | --- | --- | --- | --- |`

const row = (outcome: Outcome): string =>
  `| ${
    [
      outcome.fault,
      byReason(outcome),
      outcome.longest.toFixed(2),
      seconds(outcome.recovery),
      outcome.health.join(" → "),
      verdict(outcome)
    ].join(" | ")
  } |`

const tableOf = (outcomes: ReadonlyArray<Outcome>, moment: Moment): string =>
  [`### ${titles[moment]}`, "", head, ...outcomes.filter((outcome) => outcome.moment === moment).map(row)].join("\n")

const mark = {
  begin: "<!-- dprint-ignore-start -->",
  end: "<!-- dprint-ignore-end -->"
}

/** Writes the tables between the marks of the page. */
export const writeTables = (server: string, outcomes: ReadonlyArray<Outcome>): Effect.Effect<void> =>
  Effect.sync(() => {
    const text = readFileSync(page, "utf8")
    const begin = text.indexOf(mark.begin)
    const end = text.indexOf(mark.end)
    if (begin < 0 || end < begin) throw new Error(`${page} has no place for the tables`)
    const [, product, version] =
      /^(\w+).*?v=([\d.]+)/.exec(spawnSync(server, ["--version"], { encoding: "utf8" }).stdout) ?? []
    const about = `${outcomes.length} cells on ${product} ${version} and Node ${process.versions.node}.`
    const tables = moments.map((moment) => tableOf(outcomes, moment))
    writeFileSync(
      page,
      `${text.slice(0, begin)}${mark.begin}\n\n${[about, ...tables].join("\n\n")}\n\n${text.slice(end)}`
    )
  })
