/**
 * Prints what the built package costs who uses it: the size of a bundle, with Effect left out, and the time that an import
 * takes, with Effect's modules, which every program has that uses them. `npm run size` builds it before.
 *
 * Times are medians of processes of their own, on a warm disk; they differ from machine to machine.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

const root = resolve(import.meta.dirname, "..")
const folder = join(root, "node_modules/.cache/size")
const processes = 9

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`

/** One entry point as a program would bundle it: what of it is ours, and which modules of Effect it imports. */
const bundled = async (name: string) => {
  const bundle = await rolldown({
    input: join(root, "dist", name, "index.js"),
    external: [/^effect(?:\/|$)/, /^@effect\//, /^node:/],
    platform: "node"
  })
  const { output: [chunk] } = await bundle.generate({ format: "esm", minify: true, codeSplitting: false })
  const commands = Object.entries(chunk.modules).filter(([path]) => path.includes("@ioredis/commands"))
  return {
    bytes: Buffer.byteLength(chunk.code),
    zipped: gzipSync(chunk.code).length,
    // As they are written out, before the whole is minified.
    table: commands.reduce((sum, [, { renderedLength }]) => sum + renderedLength, 0),
    effect: chunk.imports.filter((path) => !path.startsWith("node:"))
  }
}

/** Milliseconds that importing takes, in the middle of several processes. */
const importTime = (name: string, modules: ReadonlyArray<string>): number => {
  const file = join(folder, `${name}.mjs`)
  const imports = modules.map((module) => `import(${JSON.stringify(module)})`).join(", ")
  writeFileSync(
    file,
    `const begun = performance.now()\nawait Promise.all([${imports}])\nprocess.stdout.write(String(performance.now() - begun))\n`
  )
  // The first one reads from the disk.
  const times = Array.from({ length: 1 + processes }, () => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [file], { encoding: "utf8" })
    if (status !== 0) throw new Error(stderr)
    return Number(stdout)
  })
  return times.slice(1).sort((a, b) => a - b)[Math.floor(processes / 2)]!
}

rmSync(folder, { recursive: true, force: true })
// A package below `node_modules` cannot name itself, so it is linked there as if it were installed.
mkdirSync(join(folder, "node_modules"), { recursive: true })
symlinkSync(root, join(folder, "node_modules", "hitless"), "dir")

const rows: Array<ReadonlyArray<string>> = [["", "bundle", "zipped", "table of commands", "import", "of which Effect"]]
for (const name of ["", "node", "testing"]) {
  const { bytes, effect, table, zipped } = await bundled(name)
  const entry = name === "" ? "hitless" : `hitless/${name}`
  const [whole, theirs] = [importTime(`${name}-whole`, [entry]), importTime(`${name}-effect`, effect)]
  rows.push([
    entry,
    kilobytes(bytes),
    kilobytes(zipped),
    kilobytes(table),
    `${whole.toFixed(0)} ms`,
    `${theirs.toFixed(0)} ms`
  ])
}
const table = importTime("commands", ["@ioredis/commands"])

for (const row of rows) {
  process.stdout.write(`${row.map((cell, at) => at === 0 ? cell.padEnd(16) : cell.padStart(18)).join("")}\n`)
}
process.stdout.write(`\n@ioredis/commands alone: ${table.toFixed(1)} ms of an import\n`)
