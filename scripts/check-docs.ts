/**
 * Checks the documentation, and fails with one line for each thing that is wrong:
 *
 * - every public module of `src` begins with a header: a summary and `@since`;
 * - every exported declaration there has a summary, one `@category` and one `@since`, unless it is marked `@internal`;
 * - the rooms of CONTRIBUTING.md stand in an order in which each imports only from rooms further down, and no imports of
 *   `src` go in a circle, types included;
 * - every `ts` example in `README.md`, `docs` and the comments of `src` type-checks with the project's own options; those
 *   of `docs/api` are the comments' own.
 *
 * It reads lines, not syntax trees: an export is a line that begins with `export`, as dprint formats it. Examples are
 * written to `node_modules/.cache/doc-examples`, each at the line numbers it has in its source, so that the compiler's
 * messages lead to the source.
 */
import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

const problems: Array<string> = []

const report = (path: string, index: number, what: string): void => {
  problems.push(`${path}:${index + 1}: ${what}`)
}

const linesOf = (path: string): ReadonlyArray<string> => readFileSync(join(root, path), "utf8").split("\n")

const files = (...patterns: ReadonlyArray<string>): ReadonlyArray<string> => globSync(patterns, { cwd: root }).sort()

// ----- comments -----

/** A comment's text, without its frame. */
const textOf = (comment: ReadonlyArray<string>): ReadonlyArray<string> =>
  comment.map((line) => line.trim().replace(/^\/\*\* ?|^\*(?!\/) ?/, "").replace(/ ?\*\/$/, ""))

const hasSummary = (text: ReadonlyArray<string>): boolean => {
  const first = text.find((line) => line.trim() !== "")
  return first !== undefined && !/^(@|\*\*|```)/.test(first)
}

const valuesOf = (text: ReadonlyArray<string>, tag: string): ReadonlyArray<string> =>
  text.filter((line) => new RegExp(`^@${tag}\\b`).test(line)).map((line) => line.slice(tag.length + 1).trim())

const lacksSince = (text: ReadonlyArray<string>): boolean => {
  const since = valuesOf(text, "since")
  return since.length !== 1 || !/^\d+\.\d+\.\d+$/.test(since[0]!)
}

/** The documentation comment that ends right above a line, if there is one. */
const commentAbove = (lines: ReadonlyArray<string>, index: number): ReadonlyArray<string> | undefined => {
  let end = index - 1
  // Switches for one line of a linter stand between.
  while (end >= 0 && lines[end]!.startsWith("//")) end--
  if (end < 0 || !lines[end]!.endsWith("*/")) return undefined
  let start = end
  while (start > 0 && !lines[start]!.startsWith("/*")) start--
  return lines[start]!.startsWith("/**") ? lines.slice(start, end + 1) : undefined
}

// ----- modules -----

const checkHeader = (path: string, lines: ReadonlyArray<string>): void => {
  const end = lines.findIndex((line) => line.endsWith("*/"))
  const next = lines[end + 1] ?? ""
  // A comment right above a declaration is that declaration's.
  if (!lines[0]!.startsWith("/**") || !(next === "" || next.startsWith("import "))) {
    return report(path, 0, "the module has no header comment")
  }
  const text = textOf(lines.slice(0, end + 1))
  if (!hasSummary(text)) report(path, 0, "the header comment has no summary")
  if (lacksSince(text)) report(path, 0, "the header comment needs one @since with a version")
}

const declaration =
  /^export (?:declare |abstract |async |default )*(?:const|let|function\*?|class|interface|type) (\w+)/

const checkExports = (path: string, lines: ReadonlyArray<string>): void => {
  let overloaded: string | undefined
  for (const [index, line] of lines.entries()) {
    // What is exported again has its documentation where it is declared.
    if (!line.startsWith("export ") || /^export (?:type )?[*{]/.test(line)) continue
    const name = declaration.exec(line)?.[1] ?? line
    // The overloads of a function share the documentation of the first.
    const isOverload = name === overloaded
    overloaded = line.startsWith("export function") ? name : undefined
    if (isOverload) continue
    const comment = commentAbove(lines, index)
    if (comment === undefined) {
      report(path, index, `${name} is not documented`)
      continue
    }
    const text = textOf(comment)
    if (text.some((line) => line.includes("@internal"))) continue
    if (!hasSummary(text)) report(path, index, `${name} has no summary`)
    const categories = valuesOf(text, "category")
    if (categories.length !== 1 || categories[0] === "") report(path, index, `${name} needs one @category`)
    if (lacksSince(text)) report(path, index, `${name} needs one @since with a version`)
  }
}

const isPublic = (path: string): boolean =>
  !/^src\/(?:internal|testing\/(?:internal|server))\//.test(path) && !path.startsWith("src/cli/") &&
  basename(path) !== "index.ts"

// ----- rooms -----

/** The files of `src` that a file imports, types included. */
const importsOf = (path: string): ReadonlyArray<string> =>
  linesOf(path).flatMap((line) => /from "(\.[^"]+)"/.exec(line)?.[1] ?? []).map((from) => join(dirname(path), from))

/** Where a circle of imports comes back to a file that is on the way, if one does. */
const circleFrom = (path: string, way: ReadonlyArray<string>, safe: Set<string>): ReadonlyArray<string> | undefined => {
  if (way.includes(path)) return [...way.slice(way.indexOf(path)), path]
  if (safe.has(path)) return undefined
  for (const imported of importsOf(path)) {
    const circle = circleFrom(imported, [...way, path], safe)
    if (circle !== undefined) return circle
  }
  safe.add(path)
  return undefined
}

const checkRooms = (): void => {
  const contributing = "CONTRIBUTING.md"
  const rooms = new Map<string, number>()
  for (const [index, line] of linesOf(contributing).entries()) {
    if (!line.startsWith("| `")) continue
    for (const [, name] of line.matchAll(/`([\w/]+\.ts)`/g)) {
      if (existsSync(join(root, "src", name!))) rooms.set(`src/${name}`, index)
      else report(contributing, index, `there is no src/${name}`)
    }
  }
  for (const path of files("src/*.ts")) {
    if (!rooms.has(path) && basename(path) !== "index.ts") report(contributing, 0, `${path} is in no row of the rooms`)
  }
  for (const [path, index] of rooms) {
    for (const imported of importsOf(path)) {
      if ((rooms.get(imported) ?? Infinity) < index) {
        report(contributing, index, `${path} imports from above: ${imported}`)
      }
    }
  }
  const safe = new Set<string>()
  for (const path of files("src/**/*.ts")) {
    const circle = circleFrom(path, [], safe)
    if (circle !== undefined) report(path, 0, `imports go in a circle: ${circle.join(" → ")}`)
  }
}

// ----- examples -----

interface Example {
  readonly path: string
  /** The index of the line that opens the fence. */
  readonly index: number
  readonly code: ReadonlyArray<string>
}

const fence = /^( *)```(ts|typescript)(\s|$)/

/** The examples of a file; in sources they are looked for in comments only. */
const examplesOf = (path: string): ReadonlyArray<Example> => {
  const isSource = path.endsWith(".ts")
  const lines = linesOf(path).map((line) => isSource ? /^ *\*(?!\/) ?(.*)$/.exec(line)?.[1] : line)
  const examples: Array<Example> = []
  for (let index = 0; index < lines.length; index++) {
    const indent = fence.exec(lines[index] ?? "")?.[1]
    if (indent === undefined) continue
    const end = lines.findIndex((line, at) => at > index && (line === undefined || line.startsWith(`${indent}\`\`\``)))
    if (end === -1 || lines[end] === undefined) {
      report(path, index, "the example has no end")
      return examples
    }
    examples.push({ path, index, code: lines.slice(index + 1, end).map((line) => line!.slice(indent.length)) })
    index = end
  }
  return examples
}

const folder = "node_modules/.cache/doc-examples"

const checkExamples = (examples: ReadonlyArray<Example>): void => {
  const target = join(root, folder)
  rmSync(target, { recursive: true, force: true })
  // A package below `node_modules` cannot name itself, so it is linked there as if it were installed.
  mkdirSync(join(target, "node_modules"), { recursive: true })
  symlinkSync(root, join(target, "node_modules", "hitless"), "dir")
  const sources = new Map<string, string>()
  for (const { code, index, path } of examples) {
    const file = `${path.replaceAll("/", "-")}-${index + 1}.ts`
    sources.set(file, path)
    writeFileSync(join(target, file), "\n".repeat(index + 1) + code.join("\n") + "\n")
  }
  writeFileSync(
    join(target, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      files: [...sources.keys()],
      include: [],
      compilerOptions: {
        // A project of its own, outside the build.
        composite: false,
        incremental: false,
        declaration: false,
        declarationMap: false,
        // What an example shows last is not used.
        noUnusedLocals: false
      }
    })
  )
  if (sources.size === 0) return
  const tsc = spawnSync(join(root, "node_modules/.bin/tsc"), ["--project", target, "--pretty", "false"], {
    cwd: target,
    encoding: "utf8"
  })
  if (tsc.error !== undefined) throw tsc.error
  const output = tsc.stdout.trim()
  if (tsc.status === 0) return
  problems.push(
    output.replace(/^(\S+?\.ts)\((\d+),\d+\): /gm, (whole, file: string, line: string) => {
      const source = sources.get(file)
      return source === undefined ? whole : `${source}:${line}: `
    })
  )
}

// ----- the run -----

const sources = files("src/**/*.ts")
const modules = sources.filter(isPublic)

for (const path of modules) {
  const lines = linesOf(path)
  checkHeader(path, lines)
  checkExports(path, lines)
}

checkRooms()

const pages = files("docs/**/*.md").filter((path) => !path.startsWith("docs/api/"))
const examples = [...pages, ...sources].flatMap(examplesOf)
if (existsSync(join(root, "README.md"))) examples.unshift(...examplesOf("README.md"))
checkExamples(examples)

if (problems.length > 0) {
  process.stderr.write(`${problems.join("\n")}\n`)
  process.exitCode = 1
} else {
  process.stdout.write(`The documentation of ${modules.length} modules and ${examples.length} examples is in order.\n`)
}
