/**
 * The code of the documentation: its blocks, and what they export or define when they run.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as NodeTestRedis from "hitless/node/NodeTestRedis"
import * as Testing from "hitless/testing"
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"

type Live = NonNullable<Parameters<typeof NodeTestRedis.layerLive>[0]>

export type Test = () => Effect.Effect<unknown, unknown, Scope.Scope>

const root = join(import.meta.dirname, "../..")

export const blocksOf = (page: string): ReadonlyArray<string> =>
  Array.from(readFileSync(join(root, page), "utf8").matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code)

/** The code blocks of a page that define a test. */
export const testsOf = (page: string): ReadonlyArray<string> =>
  blocksOf(page).filter((code) => /^it\.(?:effect|live)\(/m.test(code))

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

/** Runs a block and gives the tests that it defines, and what it exports. */
export const load = async (code: string, listens: boolean) => {
  const tests: Array<Test> = []
  const exported: Record<string, unknown> = {}
  const names: Array<string> = []
  const body = stripTypeScriptTypes(code).replace(
    /^import (?:\* as (\w+)|(\{[^}]*\})) from "([^"]+)";?$/gm,
    (_, whole: string | undefined, members: string | undefined, name: string) => {
      names.push(name)
      return `const ${whole ?? members} = modules[${JSON.stringify(name)}]`
    }
  ).replace(/^export const (\w+) =/gm, "exported.$1 =")
  new Function("modules", "exported", body)(await modules(names, listens, tests), exported)
  return { tests, exported }
}
