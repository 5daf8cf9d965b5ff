/**
 * Hostile bytes that Jazzer.js finds: it keeps and changes those inputs which reach something in the decoder, or in what reads
 * notifications, that no input had reached before.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { rolldown } from "rolldown"
import { inputOf } from "./fuzz.ts"

const folder = join(import.meta.dirname, "../guided")
const modules = join(folder, "node_modules")
const made = join(modules, ".cache")

/** How many inputs of grammar and mutation it begins with. */
const seeds = 1000

/** Jazzer.js is not there, or cannot be used. */
class NotGuided extends Data.TaggedError("NotGuided")<{ readonly message: string }> {}

const run = (args: ReadonlyArray<string>, stdio: "inherit" | "pipe") =>
  spawnSync(process.execPath, args, { cwd: folder, stdio, encoding: "utf8" })

const install = Effect.suspend(() => {
  if (existsSync(join(modules, "@jazzer.js/core"))) return Effect.void
  const { status } = spawnSync("npm", ["ci", "--prefix", folder], { stdio: "inherit" })
  return status === 0 ? Effect.void : Effect.fail(new NotGuided({ message: "npm ci failed" }))
})

/** It is a native module, and older systems do not have the C library that it was built for. */
const load = Effect.suspend(() => {
  const { status, stderr } = run(["-e", "import(\"@jazzer.js/fuzzer\")"], "pipe")
  if (status === 0) return Effect.void
  const why = stderr.split("\n").find((line) => line.startsWith("Error:")) ?? stderr
  return Effect.fail(new NotGuided({ message: `Jazzer.js cannot be loaded on this system: ${why}` }))
})

/** What it changes has to be one module of the older kind, which it can instrument. */
const build = Effect.promise(async () => {
  const bundle = await rolldown({
    input: join(folder, "target.ts"),
    platform: "node",
    resolve: { conditionNames: ["hitless-source", "import", "node"] }
  })
  await bundle.write({ file: join(made, "target.cjs"), format: "cjs" })
})

/** Tries so many inputs, and says whether one is a finding; which one, Jazzer.js prints. */
export const fuzzGuided = (count: number, seed: number): Effect.Effect<boolean, NotGuided> =>
  Effect.gen(function*() {
    yield* install
    yield* load
    rmSync(made, { recursive: true, force: true })
    yield* build
    const corpus = join(made, "corpus")
    mkdirSync(corpus, { recursive: true })
    for (let i = seed; i < seed + seeds; i++) writeFileSync(join(corpus, String(i)), inputOf(i))
    const limits = [`-runs=${count}`, `-seed=${seed}`, "-max_len=4096", "-timeout=10", `-artifact_prefix=${made}/`]
    const jazzer = join(modules, "@jazzer.js/core/dist/cli.js")
    const { status } = run(
      [jazzer, join(made, "target.cjs"), corpus, "--sync", "-i", "target.cjs", "--", ...limits],
      "inherit"
    )
    return status !== 0
  })
