/**
 * The declarations that the package would ship, emitted by the compiler, and which modules of them users can import.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync, rmSync } from "node:fs"
import { join, matchesGlob, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")
const out = join(root, "node_modules/.cache/surface")

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>
}
const closed = Object.keys(exports).filter((path) => exports[path] === null && !path.endsWith("index"))

/** Whether users cannot import a module, given as it is named from `src`, without its extension. */
export const isClosed = (module: string): boolean =>
  closed.some((path) => matchesGlob(`./${module}`, path.replace("/*", "/**")))

/** The emitted text of a module. */
export const declarationsOf = (module: string): string => readFileSync(join(out, `${module}.d.ts`), "utf8")

/** Emits the declarations, and gives the names of the modules that are open to users, barrels included. */
export const emitDeclarations = (): ReadonlyArray<string> => {
  // What the compiler once wrote for another state of the sources would be taken for this one's.
  rmSync(out, { recursive: true, force: true })
  const emitted = spawnSync(
    join(root, "node_modules/.bin/tsc"),
    [
      "--project",
      "tsconfig.build.json",
      "--emitDeclarationOnly",
      "--outDir",
      out,
      "--tsBuildInfoFile",
      join(out, ".tsbuildinfo")
    ],
    { cwd: root, encoding: "utf8" }
  )
  if (emitted.status !== 0) {
    process.stderr.write(emitted.stdout)
    process.exit(1)
  }
  const sources = new Set(globSync("**/*.ts", { cwd: join(root, "src") }).map((path) => path.replace(/\.ts$/, "")))
  const open = globSync("**/*.d.ts", { cwd: out })
    .map((path) => path.replace(/\.d\.ts$/, ""))
    .filter((module) => sources.has(module) && !isClosed(module))
    .sort()
  if (open.length === 0) throw new Error(`no declarations in ${out}`)
  return open
}
