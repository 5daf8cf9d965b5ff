/**
 * A connection past the network, to tell the server what to do and to read what it really holds: no client of this
 * library, and with a parser of its own, so that a fault of the library cannot hide itself.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { parseAll } from "../../test/support/naiveResp.ts"

/** What the server answered, or that it was lost. */
export class AdminError extends Data.TaggedError("AdminError")<{ readonly message: string }> {}

export interface Admin {
  /** Sends a command once, and fails with the server's error or when the connection is lost. */
  readonly send: (...words: ReadonlyArray<string | number>) => Effect.Effect<unknown, AdminError>
}

const encode = (words: ReadonlyArray<string | number>): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join("")}`

export const makeAdmin = (socketPath: string): Effect.Effect<Admin, never, Scope.Scope> =>
  Effect.gen(function*() {
    let socket: Net.Socket | undefined
    let waiting: Array<(reply: Effect.Effect<unknown, AdminError>) => void> = []
    let received = Buffer.alloc(0)
    const dial = (): Net.Socket => {
      const dialled = Net.createConnection(socketPath)
      received = Buffer.alloc(0)
      dialled.on("data", (chunk) => {
        received = Buffer.concat([received, chunk])
        const { rest, values } = parseAll(received)
        received = Buffer.from(received.subarray(rest))
        for (const value of values) {
          waiting.shift()?.(
            value instanceof Error ? Effect.fail(new AdminError({ message: value.message })) : Effect.succeed(value)
          )
        }
      })
      dialled.on("error", () => {})
      dialled.on("close", () => {
        if (socket === dialled) socket = undefined
        const lost = waiting
        waiting = []
        for (const resume of lost) resume(Effect.fail(new AdminError({ message: "the connection was lost" })))
      })
      return dialled
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => socket?.destroy()))
    return {
      send: (...words) =>
        Effect.callback((resume) => {
          socket ??= dial()
          waiting.push(resume)
          socket.write(encode(words))
        })
    }
  })
