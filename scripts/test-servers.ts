/**
 * `npm run test:servers -- PATH…`: what is tested against a real server, on each server whose program is given: the tests
 * that start one, the comparison of the simulated keyspace with it, and the faults. Fails when one of them does.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

const programs = process.argv.slice(2)

if (programs.length === 0) {
  process.stderr.write("Give the path of at least one redis-server or valkey-server.\n")
  process.exit(2)
}

/** The test files that start a server. */
const files = globSync("test/**/*.test.ts", { cwd: root }).filter((file) =>
  /support\/(?:redisServer|client|keyspaceSuite)\.ts"|faults\/kit\/cell\.ts"/.test(
    readFileSync(join(root, file), "utf8")
  )
).sort()

const run = (program: string, args: ReadonlyArray<string>): boolean =>
  spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, REDIS_SERVER: program } })
    .status === 0

const failed: Array<string> = []

for (const program of programs.map((program) => resolve(program))) {
  const version = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout.trim()
  process.stdout.write(`\n${version}\n${files.length} files of tests, then the faults\n\n`)
  if (!run(program, ["node_modules/vitest/vitest.mjs", "run", ...files])) failed.push(`${version}: tests`)
  if (!run(program, ["--conditions=hitless-source", "faults/main.ts"])) failed.push(`${version}: faults`)
}

for (const what of failed) process.stdout.write(`failed on ${what}\n`)
if (failed.length > 0) process.exitCode = 1
