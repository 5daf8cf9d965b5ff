/**
 * Nothing is left over: shown by a process of its own, which ends when, and only when, no timer and no socket is open.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

it.live("a process whose client is closed in the middle of everything ends by itself", () =>
  Effect.gen(function*() {
    const exit = yield* Effect.callback<string>((resume) => {
      const child = spawn(process.execPath, [
        "--conditions=hitless-source",
        fileURLToPath(new URL("fixtures/closes.ts", import.meta.url))
      ], { stdio: ["ignore", "inherit", "inherit"] })
      child.once("exit", (code, signal) => resume(Effect.succeed(`code ${code}, signal ${signal}`)))
      return Effect.sync(() => child.kill("SIGKILL"))
    })
    assert.strictEqual(exit, "code 0, signal null")
  }), 30_000)
