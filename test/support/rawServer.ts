/**
 * A server on loopback whose every byte the test decides: for what no Redis does, and so no simulation either.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Resp from "../../src/Resp.ts"

export interface RawConnection {
  /** Connections are numbered from 1 on. */
  readonly id: number
  readonly socket: Net.Socket
  /** The name of the command before the one that is asked. */
  readonly previous: string | undefined
}

export interface RawServer {
  readonly port: number
  /** Every connection that was accepted, in order. */
  readonly connections: ReadonlyArray<RawConnection>
  /** The numbers of those that ended, in order. */
  readonly closed: ReadonlyArray<number>
}

/**
 * The answers to what a client asks for itself, of a server that announces maintenance: the handshake, and the `ECHO` that
 * proves the order of replies. `undefined` for any other command.
 */
export const answerHandshake = ([command, text = ""]: ReadonlyArray<string>): string | undefined =>
  command === "HELLO"
    ? "%1\r\n$5\r\nproto\r\n:3\r\n"
    : command === "CLIENT"
    ? "+OK\r\n"
    : command === "ECHO" && text.startsWith("hitless-")
    ? `+${text}\r\n`
    : undefined

/** Whether it is the `ECHO` at the end of a handshake, and not one of later. */
export const provesHandshake = ([command]: ReadonlyArray<string>, { previous }: RawConnection): boolean =>
  command === "ECHO" && previous === "CLIENT"

/** Listens on a free port, with TLS where that is given; `answer` gives the bytes that answer a command, or nothing. */
export const rawServer = (
  answer: (words: ReadonlyArray<string>, connection: RawConnection) => string | undefined,
  tls?: Tls.TlsOptions
): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const connections: Array<RawConnection> = []
    const closed: Array<number> = []
    const accept = (socket: Net.Socket) => {
      const connection = { id: connections.length + 1, socket, previous: undefined as string | undefined }
      connections.push(connection)
      // A command is an array of blobs, and so a reply to who reads it.
      const decoder = Resp.makeDecoder({
        blobsAsBytes: () => false,
        onReply: (reply) => {
          const words = reply as ReadonlyArray<string>
          const bytes = answer(words, connection)
          connection.previous = words[0]
          if (bytes !== undefined) socket.write(bytes)
        },
        onPush: () => {}
      })
      socket.on("data", (chunk) => decoder.push(chunk))
      // A client that hangs up without reading is one of the cases.
      socket.on("error", () => {})
      socket.on("close", () => closed.push(connection.id))
    }
    const server = tls === undefined ? Net.createServer(accept) : Tls.createServer(tls, accept)
    yield* Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    })
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const { socket } of connections) socket.destroy()
      })
    )
    return { port: (server.address() as Net.AddressInfo).port, connections, closed }
  })
