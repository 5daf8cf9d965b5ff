/**
 * The server that all contestants talk to: a real `redis-server` without persistence, on a free port, gone when the
 * scope closes; and `redis-benchmark`, which shows how much of it can be had at all.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { execFile, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BenchFailure, fail } from "./failure.ts"

export const host = "127.0.0.1"

/** A port that was free a moment ago. */
const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = Net.createServer()
  server.listen(0, host, () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const accepts = (port: number): Effect.Effect<void, BenchFailure> =>
  Effect.callback((resume) => {
    const socket = Net.createConnection({ host, port })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(fail(`redis-server: ${error.message}`)))
  })

/** What a program prints. */
const output = (program: string, args: ReadonlyArray<string>): Effect.Effect<string, BenchFailure> =>
  Effect.callback((resume) => {
    const child = execFile(program, args, (error, stdout) => {
      resume(error === null ? Effect.succeed(stdout) : fail(`${program}: ${error.message}`))
    })
    return Effect.sync(() => child.kill())
  })

/** Starts a server and gives its port. */
export const startServer: Effect.Effect<number, BenchFailure, Scope.Scope> = Effect.gen(function*() {
  const folder = mkdtempSync(join(tmpdir(), "hitless-bench-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const settings = `--port ${port} --bind ${host} --appendonly no --dir ${folder} --loglevel warning`
      return spawn("redis-server", [...settings.split(" "), "--save", ""], { stdio: "ignore" })
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  // At most 10 s on a machine under load.
  yield* Effect.retry(accepts(port), Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)]))
  return port
})

/** The version of `redis-server`, as in `7.0.15`. */
export const serverVersion: Effect.Effect<string, BenchFailure> = Effect.map(
  output("redis-server", ["--version"]),
  (line) => /v=(\S+)/.exec(line)?.[1] ?? line
)

/** `GET`s per second of `redis-benchmark` over `connections`, each with `depth` commands in flight. */
export const redisBenchmark = (
  port: number,
  options: {
    readonly key: string
    readonly connections: number
    readonly depth: number
    readonly commands: number
  }
): Effect.Effect<number, BenchFailure> => {
  const settings = `-h ${host} -p ${port} -c ${options.connections} -P ${options.depth} -n ${options.commands} --csv`
  return Effect.map(
    output("redis-benchmark", [...settings.split(" "), "GET", options.key]),
    // The second line is the command's own; its second field the rate.
    (csv) => Number(csv.trim().split("\n")[1]!.split(",")[1]!.replaceAll("\"", ""))
  )
}
