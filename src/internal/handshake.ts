/**
 * The one handshake of every connection (docs/wire.md, Handshake): what is said first, and what the answers mean.
 *
 * What a connection has to be before it serves is its `Session`. A `Greeting` turns that into steps, which leave as one
 * burst and whose replies are all consumed; that each is the answer to its own step is for the connection to prove.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Credentials, EndpointType, Protocol } from "../Config.ts"
import {
  AuthenticationFailed,
  ConnectFailed,
  didNotRunCodes,
  HitlessError,
  type HitlessErrorReason,
  MaintenanceRefused
} from "../HitlessError.ts"
import { type Arg, ErrorReply } from "../Resp.ts"
import { keepNewest } from "./bounded.ts"
import { refusal, refusedLogin } from "./diagnosis.ts"
import { library } from "./library.ts"
import { textOf } from "./replies.ts"
import type { Words } from "./request.ts"
import type { Scrub } from "./secrets.ts"

/** What an endpoint answered when asked for maintenance notifications. @internal */
export type Support =
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Supported"; readonly endpointType: EndpointType }
  | { readonly _tag: "Refused"; readonly words: string }

/** What a connection has to be before it serves. @internal */
export interface Session {
  readonly credentials: Credentials | undefined
  readonly clientName: string | undefined
  readonly database: number
  /** What the connection before it was told by its user, in this order. */
  readonly restored: ReadonlyArray<Words>
  /** The kind of address to ask for, or `undefined` to not ask for notifications. */
  readonly ask: EndpointType | undefined
}

/** A command of the handshake, and whether an error in answer to it ends the attempt, says nothing, or is the answer. */
interface Step {
  readonly words: Words
  readonly on: "required" | "ignored" | "answer"
}

/**
 * The ways to begin, from the one that is tried first to the one that every peer understands.
 *
 * - `hello`: all in one `HELLO 3`.
 * - `login`: the same behind `AUTH`, for peers that answer nobody before it.
 * - `resp2`: without `HELLO`, in commands that servers have known for long.
 * - `bare`: what a proxy knows that hangs up on any other command: `AUTH` or `PING`, and `SELECT` where it is needed.
 *
 * @internal
 */
export type Greeting = "hello" | "login" | "resp2" | "bare"

/** The version of the protocol that a greeting leads to. @internal */
export const protocolOf = (greeting: Greeting): 2 | 3 => greeting === "hello" || greeting === "login" ? 3 : 2

/** What a server says of itself in answer to `HELLO`. @internal */
export interface Introduction {
  readonly server: string
  readonly version: string
  readonly mode: string
  readonly role: string
}

/** What a handshake came to. @internal */
export interface Established {
  readonly greeting: Greeting
  readonly support: Support
  /** Only of those that understood `HELLO`. */
  readonly introduction?: Introduction
}

/** The peer hung up, and nothing that it said before speaks against another try with the bare words. @internal */
export class HungUp {
  readonly error: HitlessError
  readonly support: Support

  constructor(error: HitlessError, support: Support) {
    this.error = error
    this.support = support
  }
}

const unknown: Support = { _tag: "Unknown" }

// ----- what errors mean -----

const authCodes: ReadonlySet<string> = new Set(["NOAUTH", "WRONGPASS", "NOPERM"])

// Without a code: Redis before 6, and proxies.
const authWords = /invalid password|without any password|no password is set|for 'auth' command/i

/** Protected mode mentions that no password is set, too. */
const isAuthError = ({ code, message }: ErrorReply): boolean =>
  authCodes.has(code) || (code !== "DENIED" && authWords.test(message))

/** Codes of what a server says about its state; one that does not know `HELLO` uses none of them to say so. */
const stateCodes: ReadonlySet<string> = new Set([
  ...didNotRunCodes,
  "BUSY",
  "DENIED",
  "MISCONF",
  "OOM",
  "WRONGPASS",
  "NOPERM"
])

const stateWords = /max(?:imum)? number of clients|too many (?:clients|connections)|protected mode/i

/**
 * Whether an error in answer to `HELLO` can mean that the peer does not know it. Every proxy has words of its own for
 * that, so it is whatever does not mean something else; if it did, the next greeting is told the same.
 */
const refusesHello = (reply: ErrorReply): boolean =>
  !stateCodes.has(reply.code) && !stateWords.test(reply.message) && !authWords.test(reply.message)

/** A field of the answer to `HELLO`: a map, or an array of names and values. */
const fieldOf = (reply: unknown, name: string): unknown => {
  if (typeof reply !== "object" || reply === null || reply instanceof ErrorReply) return undefined
  if (!Array.isArray(reply)) return Object.hasOwn(reply, name) ? (reply as Record<string, unknown>)[name] : undefined
  const at = reply.indexOf(name)
  return at === -1 ? undefined : reply[at + 1]
}

/** The answer to `HELLO`; one that names another protocol than was asked for is a refusal too. */
const answerToHello = (reply: unknown): unknown =>
  fieldOf(reply, "proto") === 2 ? new ErrorReply("NOPROTO HELLO 3 was answered with protocol 2") : reply

/** Far more than any server says, and little enough to be kept for every connection. */
const mostOfField = 100

const introductionOf = (toHello: unknown, scrub: Scrub): Introduction => {
  const field = (name: string) => {
    const value = fieldOf(toHello, name)
    return typeof value === "string" ? scrub(value).slice(0, mostOfField) : "unknown"
  }
  return { server: field("server"), version: field("version"), mode: field("mode"), role: field("role") }
}

/** @internal */
export const isSentinel = ({ introduction }: Established): boolean => introduction?.mode === "sentinel"

/** What to say next on a connection whose `HELLO` was refused; `undefined` when that would be refused too. */
const nextGreeting = (greeting: Greeting, reply: ErrorReply, session: Session): Greeting | undefined => {
  if (!refusesHello(reply)) return undefined
  if (reply.code !== "NOAUTH") return "resp2"
  if (session.credentials === undefined) return undefined
  return greeting === "hello" ? "login" : "resp2"
}

// ----- steps -----

const required = (...words: Words): Step => ({ words, on: "required" })

const ignored = (...words: Words): Step => ({ words, on: "ignored" })

const hello = ({ clientName, credentials }: Session, withLogin: boolean): Step => {
  const words: Array<Arg> = ["HELLO", 3]
  if (withLogin && credentials !== undefined) {
    words.push("AUTH", credentials.username ?? "default", Redacted.value(credentials.password))
  }
  if (clientName !== undefined) words.push("SETNAME", clientName)
  return required(...words)
}

/** Logs in with credentials. @internal */
export const loginWords = ({ password, username }: Credentials): Words =>
  // Before Redis 6 there are no users; URLs of hosting platforms name the default one all the same.
  username === undefined || username === "default"
    ? ["AUTH", Redacted.value(password)]
    : ["AUTH", username, Redacted.value(password)]

/** Something has to be answered before a connection is believed, if only a `PING`. */
const login = ({ credentials }: Session): Step =>
  credentials === undefined ? required("PING") : required(...loginWords(credentials))

const select = ({ database }: Session): ReadonlyArray<Step> => database === 0 ? [] : [required("SELECT", database)]

const setName = ({ clientName }: Session): ReadonlyArray<Step> =>
  clientName === undefined ? [] : [ignored("CLIENT", "SETNAME", clientName)]

const setInfo: ReadonlyArray<Step> = [
  ignored("CLIENT", "SETINFO", "LIB-NAME", library.name),
  ignored("CLIENT", "SETINFO", "LIB-VER", library.version)
]

/** Asks for notifications that name addresses of such a kind. @internal */
export const question = (endpointType: EndpointType): Words => [
  "CLIENT",
  "MAINT_NOTIFICATIONS",
  "ON",
  "moving-endpoint-type",
  endpointType
]

/** What the answer to the question says. @internal */
export const answerOf = (answer: unknown, endpointType: EndpointType, scrub: Scrub): Support => {
  if (answer === "OK") return { _tag: "Supported", endpointType }
  if (answer instanceof ErrorReply) return { _tag: "Refused", words: textOf(answer) }
  return { _tag: "Refused", words: typeof answer === "string" ? scrub(answer) : "neither OK nor an error" }
}

/** Without these a command would mean something else; without the others the peer merely knows less. */
const matters = /^(?:AUTH|SELECT|TRACKING)$/i

const restore = ({ restored }: Session): ReadonlyArray<Step> =>
  restored.map((words): Step => ({
    words,
    on: matters.test(String(words[0])) || matters.test(String(words[1])) ? "required" : "ignored"
  }))

const ask = ({ ask }: Session): ReadonlyArray<Step> => ask === undefined ? [] : [{ words: question(ask), on: "answer" }]

const steps: Record<Greeting, (session: Session) => ReadonlyArray<Step>> = {
  // The question comes last: what is announced may follow its answer at once (docs/wire.md).
  hello: (session) => [hello(session, true), ...select(session), ...setInfo, ...restore(session), ...ask(session)],
  login: (
    session
  ) => [login(session), hello(session, false), ...select(session), ...setInfo, ...restore(session), ...ask(session)],
  resp2: (session) => [login(session), ...select(session), ...setName(session), ...setInfo, ...restore(session)],
  bare: (session) => [login(session), ...select(session), ...restore(session)]
}

// ----- what is known about peers -----

/** How long a peer that did not know `HELLO` is not asked again, in milliseconds: it may be upgraded. */
const askAgainAfter = 60_000

/** A client dials a few endpoints; targets of moves are named by servers, and those have no bound. */
const mostRemembered = 64

/**
 * How to greet which endpoint: what a client remembers of its handshakes.
 *
 * @internal
 */
export class Greetings {
  readonly protocol: Protocol
  /**
   * Whether a peer of this client has understood more than the bare words. One that hangs up then has another reason,
   * a restart for one, and must not be served without notifications for it.
   */
  private understood = false
  private readonly known = new Map<string, { readonly established: Established; readonly until: number }>()

  constructor(protocol: Protocol) {
    this.protocol = protocol
  }

  /** How to begin with an endpoint at `now`, in elapsed milliseconds. */
  first(address: string, now: number): Established {
    const known = this.known.get(address)
    if (known !== undefined && now < known.until) return known.established
    return { greeting: this.protocol === 2 ? "resp2" : "hello", support: unknown }
  }

  /** How to begin again with a peer that hung up; `undefined` where the words that it was told cannot be the reason. */
  afterHangUp({ support }: HungUp): Established | undefined {
    return this.understood ? undefined : { greeting: "bare", support }
  }

  learn(address: string, established: Established, now: number): void {
    this.understood ||= established.greeting !== "bare"
    // What was known already is not known for longer: it would never be asked again.
    if (this.first(address, now).greeting === established.greeting) return
    this.known.delete(address)
    this.known.set(address, { established: { ...established, support: unknown }, until: now + askAgainAfter })
    keepNewest(this.known, mostRemembered)
  }
}

// ----- the handshake -----

/** How far a burst came. @internal */
export interface Exchanged {
  /** Error replies are values. */
  readonly replies: ReadonlyArray<unknown>
  /** Why the connection closed before the last reply, if it did, and whether it was the peer who closed it in order. */
  readonly closedBy: HitlessErrorReason | undefined
  readonly hungUp: boolean
  /** The first error that was told, asked or not. */
  readonly refusal: ErrorReply | undefined
}

/** Sends commands for the connection itself, with a proof behind them that their replies are in order. @internal */
export type Exchange = (batch: ReadonlyArray<Words>, isProven: boolean) => Effect.Effect<Exchanged>

/** What to say, and what to insist on. @internal */
export interface Terms {
  readonly session: Session
  readonly protocol: Protocol
  /** Refused notifications, or a server without RESP3, fail the handshake. */
  readonly required: boolean
  /** The endpoint, as `host:port`. */
  readonly address: string
  /** Cuts the password out of what the peer says. Error replies come without it. */
  readonly scrub: Scrub
}

/**
 * Shakes hands, beginning with `first`; a peer that refuses `HELLO` is greeted again on the same connection. Fails with
 * what `exchange` ended with, with `AuthenticationFailed`, `ConnectFailed` or `MaintenanceRefused`, or with `HungUp`.
 *
 * @internal
 */
export const shakeHands = (
  exchange: Exchange,
  first: Established,
  terms: Terms
): Effect.Effect<Established, HitlessError | HungUp> => {
  const { address, session } = terms
  const at = { endpoint: address, mayHaveExecuted: false }

  const rejected = (detail: string) =>
    new HitlessError({ reason: new ConnectFailed({ ...at, kind: "Rejected", detail }) })

  const supportOf = (answer: unknown): Effect.Effect<Support, HitlessError> => {
    if (session.ask === undefined) return Effect.succeed(unknown)
    const support = answerOf(answer, session.ask, terms.scrub)
    if (support._tag !== "Refused" || !terms.required) return Effect.succeed(support)
    return Effect.fail(
      new HitlessError({ reason: new MaintenanceRefused({ ...at, detail: `the server answered ${support.words}` }) })
    )
  }

  /** Peers may hang up on words that they do not know, or after an error that says so. */
  const whyClosed = (
    greeting: Greeting,
    closedBy: HitlessErrorReason,
    { hungUp, refusal: told }: Exchanged,
    toHello: unknown
  ): HitlessError | HungUp => {
    const error = new HitlessError({
      reason: hungUp && told !== undefined && isAuthError(told)
        ? new AuthenticationFailed({ ...at, detail: refusedLogin(told, session.credentials !== undefined) })
        : closedBy
    })
    const wasUnderstood = toHello !== undefined && !(toHello instanceof ErrorReply)
    const forWords = hungUp && !wasUnderstood && (told === undefined || refusesHello(told))
    if (!forWords || greeting === "bare" || terms.required) return error
    if (terms.protocol === 3 && closedBy._tag === "ConnectFailed") {
      const detail = `${closedBy.detail}; if it always does, it does not speak RESP3, which protocol 3 asks for`
      return new HitlessError({ reason: new ConnectFailed({ ...at, kind: closedBy.kind, detail }) })
    }
    return new HungUp(
      error,
      session.ask === undefined ? unknown : { _tag: "Refused", words: "nothing, it hung up on HELLO" }
    )
  }

  const greet = Effect.fnUntraced(function*(
    { greeting, support }: Established
  ): Effect.fn.Return<Established, HitlessError | HungUp> {
    const burst = steps[greeting](session)
    const helloAt = burst.findIndex(({ words }) => words[0] === "HELLO")
    // The bare words are for peers that would hang up on one more.
    const exchanged = yield* exchange(burst.map(({ words }) => words), greeting !== "bare")
    const replies = exchanged.replies.map((reply, index) => index === helloAt ? answerToHello(reply) : reply)
    const toHello = replies[helloAt]
    if (exchanged.closedBy !== undefined) {
      return yield* Effect.fail(whyClosed(greeting, exchanged.closedBy, exchanged, toHello))
    }
    const failed = burst.findIndex(({ on }, index) => on === "required" && replies[index] instanceof ErrorReply)
    if (failed === -1) {
      if (helloAt === -1) return { greeting, support }
      const answer = replies[burst.findIndex(({ on }) => on === "answer")]
      const introduction = introductionOf(toHello, terms.scrub)
      return { greeting, support: yield* supportOf(answer), introduction }
    }
    const reply = replies[failed] as ErrorReply
    const next = failed === helloAt ? nextGreeting(greeting, reply, session) : undefined
    if (next === "login") return yield* greet({ greeting: next, support })
    if (next === "resp2") {
      if (terms.protocol === 3) {
        return yield* rejected(
          `the server does not speak RESP3, which protocol 3 asks for: it answered HELLO with ${textOf(reply)}`
        )
      }
      // Without RESP3 there are no pushes.
      return yield* greet({ greeting: next, support: yield* supportOf(reply) })
    }
    if (!isAuthError(reply)) {
      return yield* rejected(refusal(reply, introductionOf(toHello, terms.scrub).mode === "sentinel"))
    }
    // What its user told a connection was never configured.
    const detail = session.restored.includes(burst[failed].words)
      ? textOf(reply)
      : refusedLogin(reply, session.credentials !== undefined)
    return yield* new HitlessError({ reason: new AuthenticationFailed({ ...at, detail }) })
  })

  return greet(first)
}
