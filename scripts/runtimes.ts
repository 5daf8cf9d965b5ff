/**
 * Runs the packed package on other runtimes than the one of the tests, against a real server: Node 22 and 26, with the core of
 * the tests too, Bun and Deno. Each comes from npm; one that cannot be installed on this platform is said and fails nothing.
 *
 * `npm run test:runtimes` needs the registry and a `redis-server` on `PATH` or in `REDIS_SERVER`.
 */
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { library } from "../src/internal/library.ts"

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const root = resolve(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "hitless-runtimes-"))

/** The tests that every supported Node has to pass, beside the program below. */
const core = ["test/Resp.test.ts", "test/Handoff.test.ts", "test/HitlessRedis.commands.test.ts", "test/PubSub.test.ts"]

const program = `
import * as Effect from "effect/Effect"
import { Commands, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import { MaintenanceClock, MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"

const real = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  yield* redis.run(Commands.set("greeting", "hello", { expiration: "1 hour" }))
  const own = yield* redis.reserve
  yield* own.send("SELECT", 1)
  const { health } = yield* redis.status
  return (yield* redis.run(Commands.get("greeting"))) + " " + health
}).pipe(Effect.scoped, Effect.provide(NodeHitlessRedis.layer({ url: process.env.REDIS_URL })))

const rehearsed = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  const clock = yield* MaintenanceClock.MaintenanceClock
  yield* Effect.forkChild(Effect.forever(redis.send("INCR", "visits")))
  yield* clock.run(MaintenancePlan.rebind({ from: "node-1", to: "node-2" }))
  yield* Rehearsal.assertHitless
  return "hitless"
}).pipe(Effect.provide(TestRedis.layer({ latency: "20 millis" })))

console.log((await Effect.runPromise(real)) + " " + (await Effect.runPromise(rehearsed)))
`

const expected = "hello ok hitless"

const run = (command: string, args: ReadonlyArray<string>, cwd: string, env: Record<string, string> = {}) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 300_000
  })
  return { isOk: status === 0, output: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trim() }
}

/** Installs a package from npm under a name of its own; the path of a file in it, if that is there then. */
const installed = (name: string, spec: string, files: ReadonlyArray<string>): string | undefined => {
  const place = join(folder, name)
  mkdirSync(place)
  writeFileSync(join(place, "package.json"), "{ \"private\": true }")
  run("npm", ["install", "--no-audit", "--no-fund", spec], place)
  const found = files.map((file) => join(place, "node_modules", file)).find(existsSync)
  if (found !== undefined) chmodSync(found, 0o755)
  return found
}

const platform = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
const node = (version: string) =>
  installed(`node-${version}`, `node@npm:node-${platform}@${version}`, ["node/bin/node"])

const runtimes: ReadonlyArray<readonly [name: string, file: () => string | undefined, args: ReadonlyArray<string>]> = [
  ["Node 22.19", () => node("22.19.0"), []],
  ["Node 26", () => node("26"), []],
  ["Bun", () => installed("bun", "bun", ["bun/bin/bun.exe", "bun/bin/bun"]), []],
  [
    "Deno",
    () => installed("deno", "deno", ["@deno/linux-x64-glibc/deno", "@deno/darwin-arm64/deno", "deno/deno"]),
    ["run", "--allow-all", "--node-modules-dir=manual"]
  ]
]

const port = await new Promise<number>((resolve) => {
  const server = Net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resolve(port))
  })
})
const redis = spawn(process.env["REDIS_SERVER"] ?? "redis-server", ["--port", String(port), "--save", ""], {
  cwd: folder,
  stdio: "ignore"
})

let isOk = true
try {
  const app = join(folder, "app")
  mkdirSync(app)
  writeFileSync(join(app, "package.json"), "{ \"private\": true, \"type\": \"module\" }")
  writeFileSync(join(app, "program.mjs"), program)
  const packed = run("npm", ["pack", "--pack-destination", folder], root)
  const made = run("npm", [
    "install",
    "--no-audit",
    "--no-fund",
    join(folder, `hitless-${library.version}.tgz`),
    "effect@4.1.0",
    "@effect/platform-node@4.1.0"
  ], app)
  if (!packed.isOk || !made.isOk) throw new Error(`${packed.output}\n${made.output}`)
  await setTimeout(500)
  for (const [name, file, args] of runtimes) {
    const binary = file()
    if (binary === undefined) {
      say(`${name}: cannot be installed from npm here`)
      continue
    }
    const { output } = run(binary, [...args, "program.mjs"], app, { REDIS_URL: `redis://127.0.0.1:${port}` })
    const works = output.split("\n").includes(expected)
    say(`${name}: ${works ? "works" : `does not work: ${output}`}`)
    isOk &&= works
    if (!name.startsWith("Node")) continue
    const tests = run(binary, [join(root, "node_modules/vitest/vitest.mjs"), "run", ...core], root)
    say(`${name}: ${tests.isOk ? "passes" : "fails"} the core of the tests`)
    if (!tests.isOk) say(tests.output)
    isOk &&= tests.isOk
  }
} finally {
  redis.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = isOk ? 0 : 1
