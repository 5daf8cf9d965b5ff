/**
 * A real server that can be killed and started again without forgetting what it acknowledged.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { accepting, freePort } from "../../test/support/processes.ts"

/** The user that clients log in as. */
export const user = { name: "app", password: "s3cret-w0rd" } as const

export interface Server {
  readonly socketPath: string
  readonly port: number
  readonly start: Effect.Effect<void>
  readonly signal: (signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM") => Effect.Effect<void>
  /** Done when the process is gone. */
  readonly gone: Effect.Effect<void>
}

const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Starts `program`, which is gone with its folder when the scope closes. */
export const makeServer = (program: string): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = mkdtempSync(join(tmpdir(), "hitless-faults-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    const port = yield* freePort
    const socketPath = join(folder, "redis.sock")
    // The log of writes is not synced: what a process wrote outlives its end, and the machine is not switched off.
    const args = `--port ${port} --bind 127.0.0.1 --unixsocket ${socketPath} --dir ${folder} --loglevel warning ` +
      `--appendonly yes --appendfsync no --enable-debug-command yes --user ${user.name} on >${user.password} ~* &* +@all`
    let child: ChildProcess | undefined
    const gone = Effect.promise(async () => {
      if (child !== undefined && !ended(child)) await once(child, "exit")
    })
    const start = Effect.suspend(() => {
      rmSync(socketPath, { force: true })
      child = spawn(program, args.split(" ").concat("--save", ""), { stdio: "ignore" })
      return accepting(socketPath)
    })
    yield* Effect.addFinalizer(() => Effect.andThen(Effect.sync(() => child?.kill("SIGKILL")), gone))
    yield* start
    return { socketPath, port, start, signal: (signal) => Effect.sync(() => child?.kill(signal)), gone }
  })
