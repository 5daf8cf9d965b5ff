/**
 * A Unix socket that this user may not open. In a file of its own: root has to be somebody else meanwhile.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { chmodSync } from "node:fs"
import { refusal } from "./support/client.ts"
import { startRedis } from "./support/redisServer.ts"

const nobody = 65_534

it.live("a socket file without permission says so", () =>
  Effect.gen(function*() {
    const { socketPath } = yield* startRedis()
    chmodSync(socketPath, 0o000)
    const isRoot = process.geteuid?.() === 0
    const error = yield* Effect.acquireUseRelease(
      Effect.sync(() => isRoot && process.seteuid?.(nobody)),
      () => refusal({ path: socketPath }),
      () => Effect.sync(() => isRoot && process.seteuid?.(0))
    )
    assert.strictEqual(
      error.message,
      `Could not connect to unix:${socketPath}: permission denied (EACCES): this user may not open that`
    )
  }))
