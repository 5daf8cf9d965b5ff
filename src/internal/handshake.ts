/**
 * The one handshake of every connection (docs/wire.md, Handshake): what is said first, and what the answers mean.
 *
 * What a connection has to be before it serves is its `Session`. A `Greeting` turns that into steps, which leave as one
 * burst and whose replies are all consumed.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Credentials, EndpointType } from "../Config.ts"
import type { Support } from "../Connection.ts"
import { AuthenticationFailed, ConnectFailed, HitlessError, MaintenanceRefused } from "../HitlessError.ts"
import { type Arg, ErrorReply } from "../Resp.ts"
import { textOf, type Words } from "./request.ts"

/**
 * How this library names itself to the server, with `CLIENT SETINFO`.
 *
 * @internal
 */
export const library = { name: "hitless", version: "0.1.0" } as const

/** What a connection has to be before it serves. @internal */
export interface Session {
  readonly credentials: Credentials | undefined
  readonly clientName: string | undefined
  readonly database: number
  /** The kind of address to ask for, or `undefined` to not ask for notifications. */
  readonly ask: EndpointType | undefined
}

/** A command of the handshake, and whether an error in answer to it ends the attempt, says nothing, or is the answer. */
interface Step {
  readonly words: Words
  readonly on: "required" | "ignored" | "answer"
}

/**
 * - `hello`: all in one `HELLO 3`.
 * - `resp2`: the same in commands that every Redis knows.
 *
 * @internal
 */
export type Greeting = "hello" | "resp2"

/** What a handshake came to. @internal */
export interface Established {
  readonly greeting: Greeting
  readonly support: Support
}

const isOk = (reply: unknown): boolean => reply === "OK"

/** Servers without RESP3 answer `HELLO` so (docs/wire.md). */
const speaksNoResp3 = (reply: ErrorReply): boolean => reply.code === "NOPROTO" || /unknown command/i.test(reply.message)

const authCodes: ReadonlySet<string> = new Set(["NOAUTH", "WRONGPASS", "NOPERM"])

const isAuthError = (reply: ErrorReply): boolean =>
  authCodes.has(reply.code) || /invalid password|without any password/i.test(reply.message)

// ----- steps -----

const required = (...words: Words): Step => ({ words, on: "required" })

const ignored = (...words: Words): Step => ({ words, on: "ignored" })

const hello = ({ clientName, credentials }: Session): Step => {
  const words: Array<Arg> = ["HELLO", 3]
  if (credentials !== undefined) {
    words.push("AUTH", credentials.username ?? "default", Redacted.value(credentials.password))
  }
  if (clientName !== undefined) words.push("SETNAME", clientName)
  return required(...words)
}

/** Something has to be answered before a connection is believed, if only a `PING`. */
const login = ({ credentials }: Session): Step => {
  if (credentials === undefined) return required("PING")
  const { password, username } = credentials
  return username === undefined
    ? required("AUTH", Redacted.value(password))
    : required("AUTH", username, Redacted.value(password))
}

const select = ({ database }: Session): ReadonlyArray<Step> => database === 0 ? [] : [required("SELECT", database)]

const setName = ({ clientName }: Session): ReadonlyArray<Step> =>
  clientName === undefined ? [] : [required("CLIENT", "SETNAME", clientName)]

const setInfo: ReadonlyArray<Step> = [
  ignored("CLIENT", "SETINFO", "LIB-NAME", library.name),
  ignored("CLIENT", "SETINFO", "LIB-VER", library.version)
]

const ask = ({ ask }: Session): ReadonlyArray<Step> =>
  ask === undefined
    ? []
    : [{ words: ["CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", ask], on: "answer" }]

const steps: Record<Greeting, (session: Session) => ReadonlyArray<Step>> = {
  // The question comes last, so that the answer to it is the end of the handshake (docs/wire.md).
  hello: (session) => [hello(session), ...select(session), ...setInfo, ...ask(session)],
  resp2: (session) => [login(session), ...setName(session), ...select(session), ...setInfo]
}

// ----- the handshake -----

/** Sends commands for the connection itself and gives its replies, error replies as values. @internal */
export type Exchange = (batch: ReadonlyArray<Words>) => Effect.Effect<ReadonlyArray<unknown>, HitlessError>

/** What to say, and what to insist on. @internal */
export interface Terms {
  readonly session: Session
  /** Refused notifications, or a server without RESP3, fail the handshake. */
  readonly required: boolean
  /** The endpoint, as `host:port`. */
  readonly address: string
}

/**
 * Shakes hands, in RESP2 where the server does not know `HELLO`. Fails with `AuthenticationFailed`, `ConnectFailed` or
 * `MaintenanceRefused`, and as `exchange` does.
 *
 * @internal
 */
export const shakeHands = (exchange: Exchange, terms: Terms): Effect.Effect<Established, HitlessError> => {
  const { address, session } = terms
  const at = { endpoint: address, mayHaveExecuted: false }

  const refused = (words: string): Effect.Effect<Support, HitlessError> =>
    terms.required
      ? Effect.fail(
        new HitlessError({ reason: new MaintenanceRefused({ ...at, detail: `the server answered ${words}` }) })
      )
      : Effect.succeed({ _tag: "Refused", words })

  const supportOf = (answer: unknown): Effect.Effect<Support, HitlessError> =>
    session.ask === undefined
      ? Effect.succeed({ _tag: "Unknown" })
      : isOk(answer)
      ? Effect.succeed({ _tag: "Supported", endpointType: session.ask })
      : refused(answer instanceof ErrorReply ? textOf(answer) : String(answer))

  const greet = Effect.fnUntraced(function*(
    greeting: Greeting
  ): Effect.fn.Return<Established, HitlessError> {
    const burst = steps[greeting](session)
    const replies = yield* exchange(burst.map(({ words }) => words))
    const failed = burst.findIndex(({ on }, index) => on === "required" && replies[index] instanceof ErrorReply)
    if (failed === -1) {
      const answer = replies[burst.findIndex(({ on }) => on === "answer")]
      return { greeting, support: greeting === "hello" ? yield* supportOf(answer) : { _tag: "Unknown" } }
    }
    const reply = replies[failed] as ErrorReply
    if (failed === 0 && greeting === "hello" && speaksNoResp3(reply)) {
      // Without RESP3 there are no pushes.
      const support = yield* supportOf(reply)
      return { ...(yield* greet("resp2")), support }
    }
    return yield* new HitlessError({
      reason: isAuthError(reply)
        ? new AuthenticationFailed({ ...at, detail: textOf(reply) })
        : new ConnectFailed({ ...at, kind: "Rejected", detail: `the server answered ${textOf(reply)}` })
    })
  })

  return greet("hello")
}
