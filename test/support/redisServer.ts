/**
 * Real `redis-server` processes for tests: each in a folder of its own, on a free port, gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inject } from "vitest"

export interface RedisServer {
  readonly port: number
  readonly socketPath: string
  readonly process: ChildProcess
}

/** A port that was free a moment ago. */
export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const accepts = (socketPath: string): Effect.Effect<void, Error> =>
  Effect.callback((resume) => {
    const socket = Net.createConnection(socketPath)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
  })

/** A process that is gone when the scope closes. */
const running = (start: () => ChildProcess): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(start), (child) =>
    Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    }))

/** The socket file appears once the server accepts: at most 10 s on a machine under load. */
const accepting = (socketPath: string): Effect.Effect<void> =>
  Effect.retry(accepts(socketPath), Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)])).pipe(
    Effect.orDie
  )

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
