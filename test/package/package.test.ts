/**
 * The package as users get it: packed, installed into an empty project, and used from TypeScript in its strictest form and
 * from JavaScript, against a real server. `npm run test:package` runs it alone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { startRedis } from "../support/redisServer.ts"

const root = resolve(import.meta.dirname, "../..")
const bin = (name: string): string => join(root, "node_modules/.bin", name)

/** Everything that TypeScript can be strict about, and no declaration left out, Effect's neither. */
const strictest = {
  target: "ES2022",
  lib: ["ES2024", "DOM"],
  types: ["node"],
  strict: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  exactOptionalPropertyTypes: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
  noEmit: true
}

const resolutions = {
  NodeNext: { module: "NodeNext", moduleResolution: "NodeNext" },
  Bundler: { module: "ESNext", moduleResolution: "Bundler" }
}

/** A program that uses what each entry point is for, and prints what it got. */
const program = `
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Config as HitlessConfig, HitlessError, HitlessRedis } from "hitless"
import * as Endpoint from "hitless/Endpoint"
import { NodeHitlessRedis } from "hitless/node"
import { MaintenanceClock, MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"

const real = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  yield* redis.send("SET", "package", "works")
  const error = yield* Effect.flip(redis.send("INCR", "package"))
  const code = error.reason._tag === "ServerReplied" ? error.reason.code : undefined
  const status = yield* redis.status
  return [yield* redis.send("GET", "package"), code, status.health, error instanceof HitlessError.HitlessError]
}).pipe(Effect.provide(NodeHitlessRedis.layerConfig(HitlessConfig.fromEnv)))

const rehearsed = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  const clock = yield* MaintenanceClock.MaintenanceClock
  yield* Effect.forkChild(Effect.forever(redis.send("INCR", "n")))
  yield* clock.run(MaintenancePlan.rollingUpgrade({ nodes: ["node-1", "node-2", "node-3"] }))
  yield* Rehearsal.assertHitless
  return "hitless"
}).pipe(Effect.provide(TestRedis.layer({ latency: "100 millis" })))

const results = await Effect.runPromise(Effect.all([real, rehearsed]))
console.log(JSON.stringify([...results, Endpoint.format(Endpoint.tcp("::1", 1))]))
`

/** What the compiler should know without being told. */
const typed = `
import type * as Effect from "effect/Effect"
import type { Config, HitlessError, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

declare const redis: HitlessRedis.HitlessRedis["Service"]
export const reply: Effect.Effect<string, HitlessError.HitlessError> = redis.send<string>("GET", "key")
export const options: Config.Options = { url: "redis://localhost", commandTimeout: "5s", whenDown: "fail" }
export const layer = NodeHitlessRedis.layer(options)
// @ts-expect-error a misspelt option
export const wrong: Config.Options = { pool: 1 }
// @ts-expect-error a misspelt unit
export const wrongUnit: Config.Options = { commandTimeout: "5 sec" }
`

describe("the packed package", { timeout: 60_000 }, () => {
  const state = { folder: "", tarball: "", packed: new Set<string>() }

  const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
    const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
    if (error !== undefined) throw error
    assert.strictEqual(status, 0, `${command} ${args.join(" ")}\n${stdout}\n${stderr}`)
    return stdout
  }

  const project = (): string => join(state.folder, "project")

  const compile = (files: ReadonlyArray<string>, more: object): void => {
    const name = `tsconfig.${files[0]}.json`
    writeFileSync(join(project(), name), JSON.stringify({ compilerOptions: { ...strictest, ...more }, files }))
    run(bin("tsc"), ["--project", name, "--pretty", "false"], project())
  }

  /** Runs a program on a server of its own, and gives what it printed. */
  const output = (file: string) =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      return yield* Effect.callback<string>((resume) => {
        const child = spawn(process.execPath, [file], {
          cwd: project(),
          env: { ...process.env, REDIS_URL: `redis://127.0.0.1:${server.port}` }
        })
        let text = ""
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => text += String(chunk))
        child.once("close", () => resume(Effect.succeed(text.trim())))
        return Effect.sync(() => child.kill())
      })
    })

  const printed = JSON.stringify([["works", "ERR", "ok", true], "hitless", "[::1]:1"])

  beforeAll(() => {
    state.folder = mkdtempSync(join(tmpdir(), "hitless-package-"))
    // `prepare` builds it.
    run("npm", ["pack", "--silent", "--pack-destination", state.folder], root)
    state.tarball = join(state.folder, globSync("*.tgz", { cwd: state.folder })[0]!)
    mkdirSync(project())
    writeFileSync(join(project(), "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }))
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const peers = ["effect", "@effect/platform-node", "@effect/vitest", "vitest", "@types/node"].map((name) =>
      `${name}@${devDependencies[name]}`
    )
    run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", state.tarball, ...peers], project())
    const installed = join(project(), "node_modules/hitless")
    for (const path of globSync("**/*", { cwd: installed })) state.packed.add(path)
    writeFileSync(join(project(), "program.ts"), program)
    writeFileSync(join(project(), "program.js"), program)
    writeFileSync(join(project(), "typed.ts"), typed)
  }, 120_000)

  afterAll(() => rmSync(state.folder, { recursive: true, force: true }))

  it("has what its README shows and links to below docs, and no tests of its own", () => {
    const shown = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/\]\(((?:docs|bench\/results)\/[^)#]+)/g)]
    assert.isNotEmpty(shown)
    for (const [, path] of shown) assert.isTrue(state.packed.has(path!), path)
    for (const path of state.packed) assert.notMatch(path, /^(?:test|scripts|node_modules)\//)
  })

  it("resolves as it says", () => {
    run(bin("publint"), ["run", state.tarball, "--strict"], root)
    run(bin("attw"), [state.tarball, "--profile", "esm-only", "--format", "ascii"], root)
  })

  for (const [name, resolution] of Object.entries(resolutions)) {
    it(`compiles with ${name} and everything that is strict`, () => {
      compile(["program.ts", "typed.ts"], resolution)
    })
  }

  it("and the code of its documentation compiles as strictly", () => {
    const examples = join(root, "node_modules/.cache/doc-examples")
    run(process.execPath, ["scripts/check-docs.ts"], root)
    const files = globSync("*.ts", { cwd: examples })
    assert.isNotEmpty(files)
    for (const file of files) cpSync(join(examples, file), join(project(), file))
    compile(files, resolutions.NodeNext)
  })

  it.live("serves a TypeScript program", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* output("program.ts"), printed)
    }))

  it.live("serves a JavaScript program", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* output("program.js"), printed)
    }))

  it.live("serves a program in one file", () =>
    Effect.gen(function*() {
      run(bin("rolldown"), ["program.js", "--file", "bundle.js", "--platform", "node"], project())
      assert.strictEqual(yield* output("bundle.js"), printed)
    }))

  it("has its command", () => {
    const command = join(project(), "node_modules/.bin/hitless")
    assert.isTrue(existsSync(command), dirname(command))
    assert.include(run(command, ["--version"], project()), "0.1.0")
  })
})
