/**
 * `npm run bench`: installs the rivals if they are missing, checks the types of this folder, and runs the parts that are
 * named, or all of them.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { library } from "../src/internal/library.ts"
import { type BenchFailure, fail } from "./kit/failure.ts"
import { print, versionOf } from "./kit/report.ts"
import type { Options } from "./parts/throughput.ts"

const here = import.meta.dirname

const run = (program: string, args: ReadonlyArray<string>): Effect.Effect<void, BenchFailure> =>
  Effect.suspend(() =>
    spawnSync(program, args, { stdio: "inherit" }).status === 0
      ? Effect.void
      : fail(`${program} ${args.join(" ")} failed`)
  )

const prepare = Effect.gen(function*() {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
    readonly dependencies: Record<string, string>
  }
  const missing = Object.entries(dependencies).filter(([name, version]) => versionOf(name) !== version)
  if (missing.length > 0) {
    print(`Installing ${missing.map((pin) => pin.join(" ")).join(", ")} into bench/node_modules`)
    yield* run("npm", ["ci", "--prefix", here])
  }
  yield* run(join(here, "..", "node_modules", ".bin", "tsc"), ["--project", here])
})

type Part = (options: Options) => Effect.Effect<unknown, unknown>

/** The parts by name. Each is imported when it runs: before `prepare` the rivals may be missing. */
const parts = {
  throughput: async () => (await import("./parts/throughput.ts")).throughput,
  codec: async () => (await import("./parts/codec.ts")).codec,
  memory: async () => (await import("./parts/memory.ts")).memory,
  handoff: async () => (await import("./parts/handoff.ts")).handoff,
  beside: async () => (await import("./parts/beside.ts")).beside,
  overhead: async () => (await import("./parts/overhead.ts")).overhead
} satisfies Record<string, () => Promise<Part>>

const names = Object.keys(parts) as Array<keyof typeof parts>

const config = {
  parts: Argument.Literals("part", names).pipe(
    Argument.withDescription(`What to measure: ${names.join(", ")}; all if none is named`),
    Argument.variadic()
  ),
  full: Flag.Boolean("full").pipe(
    Flag.withDescription("Every cell, turns of 1 s, 5 rounds: about an hour and a half"),
    Flag.withDefault(false)
  ),
  seconds: Flag.Finite("seconds").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("Length of a turn in a cell of throughput and codec; default 0.2, with --full 1"),
    Flag.filter((seconds) => seconds > 0, () => "more than 0"),
    Flag.withDefault(0)
  ),
  rounds: Flag.Int("rounds").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How often each contestant has its turn; default 3, with --full 5"),
    Flag.filter((rounds) => rounds >= 1, () => "at least 1"),
    Flag.withDefault(0)
  ),
  cells: Flag.String("cells").pipe(
    Flag.withMetavar("text"),
    Flag.withDescription("Only cells whose names contain this, such as \"GET 16 B × 100\""),
    Flag.withDefault("")
  ),
  rivals: Flag.String("rivals").pipe(
    Flag.withMetavar("text,text"),
    Flag.withDescription("Only rivals whose names contain one of these, such as redis,glide"),
    Flag.withDefault("")
  )
}

const bench = Command.make("bench", config, (given) =>
  Effect.gen(function*() {
    yield* prepare
    const options: Options = {
      full: given.full,
      seconds: given.seconds || (given.full ? 1 : 0.2),
      rounds: given.rounds || (given.full ? 5 : 3),
      cells: given.cells,
      rivals: given.rivals.split(",").filter((rival) => rival !== "")
    }
    const { draw } = yield* Effect.promise(() => import("./kit/chart.ts"))
    for (const part of given.parts.length === 0 ? names : given.parts) {
      const load: () => Promise<Part> = parts[part]
      const run = yield* Effect.promise(load)
      yield* run(options)
      for (const path of yield* draw(part)) print(path)
    }
  })).pipe(Command.withDescription("Measures hitless and its rivals side by side on one real redis-server."))

Command.run(bench, { version: library.version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
