/**
 * Outcomes as lines of a terminal and as the tables of `docs/reliability.md`.
 */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Outcome } from "./cell.ts"

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

const head = `| Fault | When | Calls | Failed | Wrong replies | Longest | Back in | Health | Verdict |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |`

const row = (outcome: Outcome): string =>
  `| ${
    [
      outcome.fault,
      outcome.moment,
      outcome.calls,
      failures(outcome),
      outcome.wrongReads,
      outcome.longest.toFixed(2),
      seconds(outcome.recovery),
      outcome.health.join(" → "),
      outcome.problems.length === 0 ? "true" : outcome.problems.join("; ")
    ].join(" | ")
  } |`

const mark = { begin: "<!-- faults: written by `npm run faults -- --write` -->", end: "<!-- end of faults -->" }

/** Writes the tables between the marks of the page. */
export const writeTables = (server: string, outcomes: ReadonlyArray<Outcome>): Effect.Effect<void> =>
  Effect.sync(() => {
    const text = readFileSync(page, "utf8")
    const begin = text.indexOf(mark.begin)
    const end = text.indexOf(mark.end)
    if (begin < 0 || end < begin) throw new Error(`${page} has no place for the tables`)
    const version = /v=([\d.]+)/.exec(spawnSync(server, ["--version"], { encoding: "utf8" }).stdout)?.[1]
    const table = [`Redis ${version}, Node ${process.versions.node}.`, "", head, ...outcomes.map(row)].join("\n")
    writeFileSync(page, `${text.slice(0, begin)}${mark.begin}\n\n${table}\n\n${text.slice(end)}`)
  })
