/**
 * Processes of real servers: on a free port, ready when their socket file appears, gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import * as Net from "node:net"

// A port that the system hands out may go to any connection of another test before its server is there. Those that it
// never hands out by itself begin at 10000; each process of a run takes from 2,000 of them, in turn.
const share = 2000
const first = 10_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 10) * share
let taken = Math.floor(Math.random() * share)

/** Fails where the port is in use. */
const listening = (port: number): Effect.Effect<number, Error> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  })

/** A port that nobody has, and that no other test of the run is given. */
export const freePort: Effect.Effect<number> = Effect.suspend(() => listening(first + taken++ % share)).pipe(
  Effect.retry(Schedule.recurs(share)),
  Effect.orDie
)

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
export const running = (start: () => ChildProcess): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(start), (child) =>
    Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    }))

/** The socket file appears once the server accepts: at most 10 s on a machine under load. */
export const accepting = (socketPath: string): Effect.Effect<void> =>
  Effect.retry(accepts(socketPath), Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)])).pipe(
    Effect.orDie
  )
