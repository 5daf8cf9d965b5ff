/**
 * The tests that the documentation shows: each passes as it stands there, and fails with a client that does not listen to
 * maintenance, since otherwise it would show nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as NodeTestRedis from "hitless/node/NodeTestRedis"
import * as Testing from "hitless/testing"
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"

type Live = NonNullable<Parameters<typeof NodeTestRedis.layerLive>[0]>

type Test = () => Effect.Effect<unknown, unknown, Scope.Scope>

const root = join(import.meta.dirname, "..")

/** The code blocks of a page that define a test. */
const testsOf = (page: string): ReadonlyArray<string> =>
  Array.from(readFileSync(join(root, page), "utf8").matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code)
    .filter((code) => /^it\.(?:effect|live)\(/m.test(code))

const deaf = <Options extends Testing.TestRedis.Options | Live>(options?: Options) => ({
  ...options,
  client: { ...options?.client, maintenance: { ...options?.client?.maintenance, mode: "disabled" as const } }
})

/** What the code imports, with clients that do not listen where they are not to. */
const modules = async (names: ReadonlyArray<string>, listens: boolean, tests: Array<Test>) => {
  const collect = {
    effect: (_name: string, test: Test) => tests.push(test),
    live: (_name: string, test: Test) => tests.push(test)
  }
  const known: Record<string, unknown> = {}
  for (const name of names) known[name] = await import(name)
  known["@effect/vitest"] = { it: collect }
  if (!listens) {
    known["hitless/testing"] = {
      ...Testing,
      TestRedis: {
        ...Testing.TestRedis,
        layer: (options?: Testing.TestRedis.Options) => Testing.TestRedis.layer(deaf(options))
      }
    }
    known["hitless/node/NodeTestRedis"] = {
      ...NodeTestRedis,
      layerLive: (options?: Live) => NodeTestRedis.layerLive(deaf(options))
    }
  }
  return known
}

/** Runs a block and gives the tests that it defines. */
const load = async (code: string, listens: boolean): Promise<ReadonlyArray<Test>> => {
  const tests: Array<Test> = []
  const names: Array<string> = []
  const body = stripTypeScriptTypes(code).replace(
    /^import (?:\* as (\w+)|(\{[^}]*\})) from "([^"]+)";?$/gm,
    (_, whole: string | undefined, members: string | undefined, name: string) => {
      names.push(name)
      return `const ${whole ?? members} = modules[${JSON.stringify(name)}]`
    }
  )
  new Function("modules", body)(await modules(names, listens, tests))
  return tests
}

const pages = ["README.md", "docs/testing.md"].flatMap((page) =>
  testsOf(page).map((code, index) => [`${page}, test ${index + 1}`, code] as const)
)

describe("The documentation's tests", { timeout: 60_000 }, () => {
  it("are found", () => {
    assert.isAtLeast(pages.length, 3)
  })

  for (const [name, code] of pages) {
    it.live(`pass as they are shown, and fail where the client does not listen: ${name}`, () =>
      Effect.gen(function*() {
        for (const listens of [true, false]) {
          const tests = yield* Effect.promise(() => load(code, listens))
          assert.lengthOf(tests, 1)
          const exit = yield* Effect.exit(Effect.scoped(tests[0]()))
          assert.strictEqual(Exit.isSuccess(exit), listens, String(exit))
          if (!listens) assert.include(String(exit), "RehearsalFailed")
        }
      }))
  }
})
