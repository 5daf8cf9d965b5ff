/**
 * What the documentation shows: each of its tests passes as it stands there, and those about maintenance fail with a client that
 * does not listen to it, since otherwise they would show nothing; its programs do what it says and print what is below them; and
 * what there is one of in the sources there is one of in its page.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { Commands, HitlessError, HitlessRedis, Metrics } from "hitless"
import { execFile } from "node:child_process"
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { host, open, start } from "./support/client.ts"
import { waitUntil } from "./support/deployment.ts"
import { blocksOf, load, testsOf } from "./support/pages.ts"
import { startRedis } from "./support/redisServer.ts"

const root = join(import.meta.dirname, "..")

const testsIn = (...pages: ReadonlyArray<string>) =>
  pages.flatMap((page) => testsOf(page).map((code, index) => [`${page}, test ${index + 1}`, code] as const))

/** Those that show what maintenance does, and others. */
const pages = testsIn("README.md", "docs/testing.md")
const others = testsIn("docs/caching-and-locks.md")

describe("The documentation's tests", { timeout: 60_000 }, () => {
  it("are found", () => {
    assert.isAtLeast(pages.length, 3)
    assert.lengthOf(others, 3)
  })

  for (const [name, code] of others) {
    it.live(`pass as they are shown: ${name}`, () =>
      Effect.gen(function*() {
        const { tests } = yield* Effect.promise(() => load(code, true))
        assert.lengthOf(tests, 1)
        yield* Effect.scoped(tests[0]())
      }))
  }

  for (const [name, code] of pages) {
    it.live(`pass as they are shown, and fail where the client does not listen: ${name}`, () =>
      Effect.gen(function*() {
        for (const listens of [true, false]) {
          const { tests } = yield* Effect.promise(() => load(code, listens))
          assert.lengthOf(tests, 1)
          const exit = yield* Effect.exit(Effect.scoped(tests[0]()))
          assert.strictEqual(Exit.isSuccess(exit), listens, String(exit))
          if (!listens) assert.include(String(exit), "RehearsalFailed")
        }
      }))
  }
})

describe("The programs of docs/commands.md", () => {
  /** A server of their own, and what each block of code exports. */
  const setUp = Effect.gen(function*() {
    const server = yield* startRedis()
    const context = yield* open({ host, port: server.port })
    const exported: Array<Record<string, unknown>> = []
    for (const code of blocksOf("docs/commands.md")) {
      exported.push((yield* Effect.promise(() => load(code, true))).exported)
    }
    /** The only block that has it. */
    const named = <A>(name: string): A => {
      const [found, ...others] = exported.filter((members) => name in members)
      assert.lengthOf(others, 0)
      return found[name] as A
    }
    return { context, redis: Context.get(context, HitlessRedis.HitlessRedis), exported, named }
  })

  it.live("do what the page says", () =>
    Effect.gen(function*() {
      const { context, exported, named, redis } = yield* setUp
      type Program<A> = Effect.Effect<A, HitlessError.HitlessError, HitlessRedis.HitlessRedis>
      const results: Array<unknown> = []
      for (const { program } of exported) {
        if (program !== undefined) results.push(yield* Effect.provideContext(program as Program<unknown>, context))
      }
      assert.deepStrictEqual(results, [
        { greeting: "hello", count: 1, best: Result.succeed([]), name: Result.succeed(null) },
        { first: true, second: false },
        1815
      ])

      yield* redis.run(Commands.mSet({ "some:1": 1, "some:2": 2, other: 3 }))
      const clear = named<(prefix: string) => Program<number>>("clear")
      assert.strictEqual(yield* Effect.provideContext(clear("some:"), context), 2)
      assert.strictEqual(yield* redis.run(Commands.exists(["some:1", "some:2", "other"])), 1)

      const handled: Array<unknown> = []
      const work = named<(handle: (order: unknown) => Effect.Effect<void>) => Program<void>>("work")
      yield* start(Effect.provideContext(work((order) => Effect.sync(() => handled.push(order))), context))
      yield* redis.run(Commands.xAdd("orders", "*", { item: "tea" }))
      yield* redis.run(Commands.xAdd("orders", "*", { item: "cup" }))
      yield* waitUntil(Effect.sync(() => handled.length === 2))
      assert.deepEqual(handled, [{ item: "tea" }, { item: "cup" }])
    }))
})

// ----- programs -----

interface Program {
  readonly code: string
  readonly output: string
}

/** The code blocks of a page that are followed by what they print. */
const programsOf = (page: string): ReadonlyArray<Program> =>
  Array.from(
    readFileSync(join(root, page), "utf8").matchAll(/```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g),
    ([, code, output]) => ({ code, output })
  )

/** A folder outside of this package, in which it and Effect are as if they were installed. */
const project = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "hitless-docs-"))
    mkdirSync(join(folder, "node_modules/@effect"), { recursive: true })
    symlinkSync(root, join(folder, "node_modules/hitless"), "dir")
    for (const name of ["effect", "@effect/platform-node"]) {
      symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name), "dir")
    }
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** What a program prints, errors included, with a server of the test's in place of the usual one. */
const run = (folder: string, code: string, port: number): Effect.Effect<string> =>
  Effect.callback((done) => {
    const file = join(folder, "program.ts")
    writeFileSync(file, code.replaceAll("localhost:6379", `localhost:${port}`))
    execFile(process.execPath, ["--conditions=hitless-source", file], (_error, stdout, stderr) => {
      done(Effect.succeed(stdout + stderr))
    })
  })

describe("The documentation's programs", { timeout: 60_000 }, () => {
  it.live("print what is below them: docs/getting-started.md", () =>
    Effect.gen(function*() {
      const programs = programsOf("docs/getting-started.md")
      assert.isAtLeast(programs.length, 5)
      const { port } = yield* startRedis()
      const folder = yield* project
      for (const { code, output } of programs) assert.strictEqual(yield* run(folder, code, port), output)
    }))
})

// ----- pages -----

/** The headings of a page's second level. */
const sectionsOf = (page: string): ReadonlyArray<string> =>
  Array.from(readFileSync(join(root, page), "utf8").matchAll(/^## (.+)$/gm), ([, heading]) => heading)

/** The anchor that a heading has, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")

const anchorsOf = (path: string): ReadonlySet<string> =>
  new Set(Array.from(readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm), ([, heading]) => anchorOf(heading)))

describe("The documentation", () => {
  it("leads nowhere that is not there", () => {
    const lost: Array<string> = []
    const all = globSync(["*.md", "docs/**/*.md", "examples/**/*.md", "bench/*.md"], { cwd: root })
    assert.isAtLeast(all.length, 20)
    for (const page of all) {
      const text = readFileSync(join(root, page), "utf8").replace(/```[\s\S]*?```/g, "")
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [file, anchor] = target.split("#")
        const path = file === "" ? join(root, page) : join(root, dirname(page), file)
        const isThere = existsSync(path) && (anchor === undefined || anchorsOf(path).has(anchor))
        if (!isThere) lost.push(`${page}: ${target}`)
      }
    }
    assert.deepStrictEqual(lost, [])
  })

  it("has a section for each reason of an error, with what happened, whether it may have run and what to do", () => {
    const tags = HitlessError.HitlessErrorReason.members.map(({ identifier }) => identifier.split("/").at(-1) ?? "")
    assert.deepStrictEqual(sectionsOf("docs/errors.md"), tags)
    for (const section of readFileSync(join(root, "docs/errors.md"), "utf8").split(/^## /m).slice(1)) {
      for (const question of ["What happened.", "May it have run?", "What to do."]) {
        assert.include(section, `- **${question}** `)
      }
    }
  })

  it("tells of each metric, and of no other", () => {
    const rows = Array.from(
      readFileSync(join(root, "docs/observability.md"), "utf8").matchAll(
        /^\| `([a-z_.]+)` +\| (?:counter|gauge|histogram) /gm
      ),
      ([, name]) => name
    )
    const names = Object.values(Metrics).flatMap((value) =>
      typeof value === "object" && value !== null && "id" in value ? [String(value.id)] : []
    )
    assert.deepStrictEqual([...rows].sort(), [...names].sort())
  })
})
