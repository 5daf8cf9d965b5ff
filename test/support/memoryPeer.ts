/**
 * A socket in memory whose peer says what the test lets it say: every sequence is the same each time, and thousands run in
 * seconds.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Socket from "effect/socket/Socket"
import { Transport } from "hitless"
import * as Resp from "../../src/Resp.ts"

/** A reply or a push as it is sent, and what a client is to make of it. */
export interface Frame {
  readonly bytes: string
  readonly value: unknown
  readonly isPush?: boolean
}

export const blob = (value: string): Frame => ({ bytes: `$${value.length}\r\n${value}\r\n`, value })

export const simple = (value: string): Frame => ({ bytes: `+${value}\r\n`, value })

export const error = (text: string): Frame => ({ bytes: `-${text}\r\n`, value: `-${text}` })

const bytesOf = (text: string) => new TextEncoder().encode(text)

export const makePeer = Effect.gen(function*() {
  const arriving = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
  const wire: Array<string> = []
  const unanswered: Array<string> = []
  let lastEcho = ""
  let gate = Deferred.makeUnsafe<void, Socket.SocketError>()
  Deferred.doneUnsafe(gate, Exit.void)
  // A command is an array of blobs, and so a reply to who reads it.
  const decoder = Resp.makeDecoder({
    blobsAsBytes: () => false,
    onReply: (words) => {
      const line = (words as ReadonlyArray<string>).join(" ")
      unanswered.push(line)
      wire.push(line.startsWith("ECHO") ? "ECHO" : line)
      if (line.startsWith("ECHO")) lastEcho = line.slice("ECHO ".length)
    },
    onPush: () => {}
  })
  return {
    /** What was written, command by command, of an `ECHO` without its text; and what of it has no answer yet. */
    wire,
    unanswered,
    lastEcho: () => lastEcho,
    say(text: string): void {
      Queue.offerUnsafe(arriving, bytesOf(text))
    },
    /** Whether what is written waits. */
    setFull(isFull: boolean): void {
      if (isFull) gate = Deferred.makeUnsafe()
      else Deferred.doneUnsafe(gate, Exit.void)
    },
    /** Ends it, as the reader sees it or a write that waits. */
    lose(reason: Socket.SocketReadError | Socket.SocketCloseError, isSeenByWriter: boolean): void {
      const error = new Socket.SocketError({ reason })
      if (isSeenByWriter) Deferred.doneUnsafe(gate, Exit.fail(error))
      else Queue.failCauseUnsafe(arriving, Cause.fail(error))
    },
    /** What a peer says that keeps its promises. */
    answerTo(line: string): Frame {
      const [name, ...words] = line.split(" ")
      switch (name) {
        case "HELLO":
          return { bytes: "%1\r\n+proto\r\n:3\r\n", value: {} }
        case "SET":
          return simple("QUEUED")
        case "EXEC": {
          const ran = blob(`ran ${words[0]}`)
          return { bytes: `*1\r\n${ran.bytes}`, value: [ran.value] }
        }
        case "ECHO":
          return blob(words[0])
        default:
          return name === "GET" || name === "SAY" ? blob(`value of ${line}`) : simple("OK")
      }
    },
    transport: Transport.Transport.of({
      open: () =>
        Effect.succeed(Socket.make({
          reader: Effect.succeed({ pull: Queue.takeAll(arriving), upgrade: () => Effect.void }),
          writer: Effect.as(Effect.addFinalizer(() => Deferred.succeed(gate, undefined)), {
            write: () => Effect.void,
            writeAll: (chunks) =>
              Effect.suspend(() => {
                for (const chunk of chunks) decoder.push(typeof chunk === "string" ? bytesOf(chunk) : chunk)
                return Deferred.await(gate)
              })
          })
        })),
      resolve: () => Effect.succeed([])
    })
  }
})
