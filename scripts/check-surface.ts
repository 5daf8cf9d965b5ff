/**
 * Checks that the package is closed: emits the declarations that it would ship, and fails with one line for each public
 * module whose declarations name something of a module that the package's `exports` map to `null`, unless it exports that
 * itself. Of the codec the type `Arg` alone may be named.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { join, matchesGlob, posix, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const out = join(root, "node_modules/.cache/surface")

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

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>
}
const closed = Object.keys(exports).filter((path) => exports[path] === null && !path.endsWith("index"))

/** Whether users cannot import a module, given as it is named from `src`, without its extension. */
const isClosed = (module: string): boolean =>
  closed.some((path) => matchesGlob(`./${module}`, path.replace("/*", "/**")))

/** What an import or an export names; of a whole namespace, that it is one. */
const namesIn = (clause: string): ReadonlyArray<string> =>
  clause.startsWith("{")
    ? clause.replace(/[{}]|\btype\b/g, "").split(",").map((name) => name.trim().split(" ")[0]!)
    : [clause]

const declarations = globSync("**/*.d.ts", { cwd: out }).map((path) => path.replace(/\.d\.ts$/, "")).sort()
const sources = new Set(globSync("**/*.ts", { cwd: join(root, "src") }).map((path) => path.replace(/\.ts$/, "")))
const open = declarations.filter((module) => sources.has(module) && !isClosed(module))
if (open.length === 0) throw new Error(`no declarations in ${out}`)

let isFlawed = false
for (const module of open) {
  const text = readFileSync(join(out, `${module}.d.ts`), "utf8")
  const exported = new Set([...text.matchAll(/^export type (\{.*\}) from/gm)].flatMap(([, names]) => namesIn(names!)))
  for (const [line, names, from] of text.matchAll(/^import (?:type )?(.*) from "(\..*)\.ts";$/gm)) {
    const named = posix.join(posix.dirname(module), from!)
    const isOpen = (name: string): boolean => exported.has(name) || (named === "Resp" && name === "Arg")
    if (!isClosed(named) || namesIn(names!).every(isOpen)) continue
    process.stderr.write(`src/${module}.ts names what is closed in a public signature: ${line}\n`)
    isFlawed = true
  }
}
if (isFlawed) process.exitCode = 1
