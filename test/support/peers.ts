/**
 * Peers on loopback that are no Redis.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"

const listening = (server: Net.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
  )

/** Does something with each connection, and returns its port. */
export const peer = (accept: (socket: Net.Socket) => void): Effect.Effect<number, never, Scope.Scope> =>
  Effect.suspend(() => {
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
      // A client that hangs up without reading is one of the cases.
      socket.on("error", () => {})
      accept(socket)
    })
    return Effect.tap(
      listening(server),
      () => Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
    )
  })

/** A web server, and its port. */
export const webServer: Effect.Effect<number, never, Scope.Scope> = Effect.suspend(() =>
  listening(Http.createServer((_, response) => response.end("hello")))
)
