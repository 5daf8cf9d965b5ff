/**
 * Real `redis-server` processes for tests: each in a folder of its own, on a free port, gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inject } from "vitest"
import { accepting, freePort, running } from "./processes.ts"

export { freePort } from "./processes.ts"

export interface RedisServer {
  readonly port: number
  readonly socketPath: string
  readonly process: ChildProcess
}

/** Starts a server without persistence, the one of all tests or another; `args` are added to its command line. */
export const startRedis = (
  options: { readonly port?: number; readonly args?: ReadonlyArray<string>; readonly program?: string } = {}
): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = mkdtempSync(join(tmpdir(), "hitless-redis-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    const port = options.port ?? (yield* freePort)
    const socketPath = join(folder, "redis.sock")
    const child = yield* running(() =>
      spawn(
        options.program ?? inject("redisServer"),
        `--port ${port} --bind 127.0.0.1 --appendonly no --dir ${folder} --unixsocket ${socketPath} --loglevel warning`
          .split(" ").concat("--save", "", options.args ?? []),
        { stdio: "ignore" }
      )
    )
    yield* accepting(socketPath)
    return { port, socketPath, process: child }
  })

/** Starts a Sentinel that watches nobody, and returns its port. */
export const startSentinel: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function*() {
  const folder = mkdtempSync(join(tmpdir(), "hitless-sentinel-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
  const port = yield* freePort
  const socketPath = join(folder, "sentinel.sock")
  const file = join(folder, "sentinel.conf")
  writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${folder}\nunixsocket ${socketPath}\n`)
  yield* running(() => spawn(inject("redisServer"), [file, "--sentinel"], { stdio: "ignore" }))
  yield* accepting(socketPath)
  return port
})
