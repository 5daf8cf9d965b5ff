/**
 * Processes of real servers: on a free port, ready when their socket file appears, gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import * as Net from "node:net"

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
