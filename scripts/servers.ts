/**
 * Runs the tests that need a real server, and the faults, on each server whose path is given, one after the other, and prints
 * what passed. The exit code is 1 where a test failed or could not run, and 2 without a path.
 *
 * `npm run test:servers -- /path/to/redis-server /path/to/valkey-server`
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

/** What is read of the report of vitest. */
interface Report {
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

const root = resolve(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "hitless-servers-"))

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** The files that start a real server: by themselves, or through the suite that compares it with the simulated one. */
const files = readdirSync(join(root, "test"))
  .filter((file) => file.endsWith(".test.ts"))
  .map((file) => join("test", file))
  .filter((file) => /redisServer|keyspaceSuite/.test(readFileSync(join(root, file), "utf8")))

/** The first line of a failure, and the next two where a comparison says what it compared; without the stack. */
const brief = (message: string): string =>
  message.split("\n").filter((line) => !/^\s*(at |$)/.test(line)).slice(0, 3).map((line) => `    ${line}`).join("\n")

const failuresOf = ({ testResults }: Report): ReadonlyArray<string> =>
  testResults.flatMap(({ assertionResults, message, name, status }) => {
    const failed = assertionResults.filter((one) => one.status === "failed")
    // A file that could not be loaded has no tests.
    if (status === "failed" && failed.length === 0) return [`${name.slice(root.length + 1)}\n${brief(message)}`]
    return failed.map(({ failureMessages, fullName }) =>
      `${name.slice(root.length + 1)} > ${fullName}\n${brief(failureMessages.join("\n"))}`
    )
  })

/** Runs the tests on one server and says whether all passed. */
const passes = (server: string, index: number): boolean => {
  if (!existsSync(server)) {
    say(`${server}: there is no such file`)
    return false
  }
  const version = spawnSync(server, ["--version"], { encoding: "utf8" }).stdout.split(" sha=")[0]
  say(`${version} (${server}): ${files.length} files …`)
  const output = join(folder, `${index}.json`)
  const { stderr } = spawnSync(
    process.execPath,
    [
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "--silent",
      "--reporter=json",
      `--outputFile=${output}`,
      ...files
    ],
    { cwd: root, encoding: "utf8", env: { ...process.env, REDIS_SERVER: server }, maxBuffer: Infinity }
  )
  if (!existsSync(output)) {
    say(`  nothing ran:\n${stderr}`)
    return false
  }
  const report = JSON.parse(readFileSync(output, "utf8")) as Report
  const failures = failuresOf(report)
  say(`  ${report.numPassedTests} passed, ${failures.length} failed`)
  for (const failure of failures) say(`  ${failure}`)
  const faults = spawnSync(process.execPath, ["--conditions=hitless-source", "faults/main.ts"], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, REDIS_SERVER: server }
  })
  say(`  the faults ${faults.status === 0 ? "pass" : "fail"}`)
  return failures.length === 0 && faults.status === 0
}

const servers = process.argv.slice(2).map((path) => resolve(path))
if (servers.length === 0) {
  say("usage: npm run test:servers -- PATH…, each of a redis-server or a valkey-server")
  process.exitCode = 2
} else {
  const passed = servers.map(passes)
  process.exitCode = passed.every(Boolean) ? 0 : 1
}
rmSync(folder, { recursive: true, force: true })
