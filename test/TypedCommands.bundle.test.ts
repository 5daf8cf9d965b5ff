/**
 * What importing a few commands costs a program that is bundled, by the bundler that Vitest brings.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { rolldown } from "rolldown"

const root = join(import.meta.dirname, "..")

/** A folder in the package, so that what is in it can import the package by name. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(root, "node_modules", ".bundle-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const bundle = (code: string) =>
  Effect.gen(function*() {
    const input = join(yield* folder, "program.ts")
    writeFileSync(input, code)
    return yield* Effect.promise(async () => {
      const build = await rolldown({
        input,
        external: /^effect\//,
        resolve: { alias: { hitless: join(root, "src", "index.ts") } }
      })
      const { output: [{ code }] } = await build.generate({ format: "esm", minify: true })
      await build.close()
      return code
    })
  })

describe("A bundle", () => {
  it.live("has of the commands those that it uses: get and set are less than 5 kB", () =>
    Effect.gen(function*() {
      const code = yield* bundle(`
        import { Commands } from "hitless"
        console.log(Commands.get("k"), Commands.set("k", "v", { expiration: "1 hour" }))
      `)
      assert.include(code, "GET")
      assert.notInclude(code, "XADD")
      assert.notInclude(code, "STRLEN")
      assert.isBelow(Buffer.byteLength(code), 5000)
    }))
})
