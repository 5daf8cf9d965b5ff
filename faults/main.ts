/**
 * `npm run faults`: every fault at every moment, on every kind of connection, with a real server behind real sockets.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { library } from "../src/internal/library.ts"
import { isCell, moments, type Outcome, runCell } from "./kit/cell.ts"
import { faults } from "./kit/faults.ts"
import { lineOf, writeTables } from "./kit/report.ts"

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const config = {
  cells: Flag.String("cells").pipe(
    Flag.withMetavar("text"),
    Flag.withDescription("Only cells whose names contain this, such as \"reset × loaded\""),
    Flag.withDefault("")
  ),
  server: Flag.String("server").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("The server's program; default REDIS_SERVER, then redis-server"),
    Flag.withDefault(process.env["REDIS_SERVER"] ?? "redis-server")
  ),
  atOnce: Flag.Int("at-once").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("How many cells run at once; default 4"),
    Flag.withDefault(4)
  ),
  write: Flag.Boolean("write").pipe(
    Flag.withDescription("Writes the tables of docs/reliability.md"),
    Flag.withDefault(false)
  )
}

const main = Command.make("faults", config, ({ atOnce, cells, server, write }) =>
  Effect.gen(function*() {
    const wanted = faults.flatMap((fault) =>
      moments.filter((moment) => isCell(fault, moment) && `${fault.name} × ${moment}`.includes(cells))
        .map((moment) => ({ fault, moment }))
    )
    const outcomes = new Map<string, Outcome>()
    const run = ({ fault, moment }: (typeof wanted)[number]) =>
      Effect.map(runCell(server, fault, moment), (outcome) => {
        outcomes.set(`${fault.name} × ${moment}`, outcome)
        print(lineOf(outcome))
      })
    yield* Effect.forEach(wanted.filter(({ fault }) => fault.isAlone !== true), run, { concurrency: atOnce })
    yield* Effect.forEach(wanted.filter(({ fault }) => fault.isAlone === true), run)
    const all = wanted.flatMap(({ fault, moment }) => outcomes.get(`${fault.name} × ${moment}`) ?? [])
    const bad = all.filter(({ problems }) => problems.length > 0)
    print(`\n${all.length} cells, ${bad.length} failed`)
    if (write) yield* writeTables(server, all)
    if (bad.length > 0) process.exitCode = 1
  })).pipe(
    Command.withDescription("Every fault at every moment, on every kind of connection, and what became of everything.")
  )

Command.run(main, { version: library.version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
