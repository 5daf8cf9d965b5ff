/**
 * What becomes of a request that was answered, that lost its connection, or whose time is over: the one place where that
 * is decided, for every kind of connection.
 *
 * It decides and does nothing: who asks holds the queues, the clock and the connections, and gives what it knows as
 * facts.
 */
import * as Result from "effect/Result"
import type { Command } from "../commands/command.ts"
import {
  AuthenticationFailed,
  Closed,
  CommandTimeout,
  ConnectFailed,
  ConnectionLost,
  HitlessError,
  type HitlessErrorReason,
  MaintenanceRefused,
  ProtocolViolation
} from "../HitlessError.ts"
import type { ErrorReply } from "../Resp.ts"
import { resultOf } from "./replies.ts"
import type { Request, Site, Words } from "./request.ts"

/** Why a connection could not be made, in words. @internal */
export type DialFailure = Extract<HitlessErrorReason, { readonly detail: string }>

/**
 * What happened to a request.
 *
 * - `Replied`: its last reply arrived, an error or those of a batch. `passing` is how the server says that it ran nothing
 *   and may run it soon, if it does (`passingRefusal`).
 * - `Lost`: it was on a connection that is gone. `isPoison` when that connection was lost because of it, as far as can be
 *   told, and not for the first time.
 * - `Expired`: its time is over, on a connection (`site`) or in a queue; or in the queue it cannot be served, because of
 *   what the last dial ended with (`failure`).
 *
 * @internal
 */
export type Event =
  | {
    readonly _tag: "Replied"
    readonly value: unknown
    readonly site: Site
    readonly passing: ErrorReply | undefined
  }
  | { readonly _tag: "Lost"; readonly cause: HitlessErrorReason; readonly site: Site; readonly isPoison: boolean }
  | { readonly _tag: "Expired"; readonly site: Site | undefined; readonly failure: DialFailure | undefined }

/** What is known around a request. @internal */
export interface Facts {
  /** In elapsed milliseconds, as its deadline is. */
  readonly now: number
  readonly deadline: number
  /** The maintenance window in force, as named in errors. */
  readonly window: string | undefined
  readonly isClosing: boolean
  /** Whether another connection, or another time on this one, can have it: what did not run is sent again there. */
  readonly canResend: boolean
  /** Whether a command may run twice; never throws. */
  readonly mayRepeat: (words: Words, command: Command<unknown> | undefined) => boolean
  /** 0.8 to 1.2, so that those who were refused together do not come back together. */
  readonly jitter: number
}

/**
 * - `Answer`: the one who waits is given `value`.
 * - `Fail`: it is given `error`.
 * - `Resend`: nobody is told. `after` so many milliseconds it is sent again; `inTurn` when it may have run and may have been
 *   what its connection was lost for: such ones go one by one.
 *
 * @internal
 */
export type Outcome =
  | { readonly _tag: "Answer"; readonly value: unknown }
  | { readonly _tag: "Fail"; readonly error: HitlessError }
  | { readonly _tag: "Resend"; readonly after: number; readonly inTurn: boolean }

/** The first and the longest wait before a command that did not run is sent again, in milliseconds. */
const resendAfter = 20
const resendAtMost = 500

/** How much longer than the one before the last answer may take, in milliseconds: many round trips of a data center. */
const answeredWithin = 20

const atOnce: Outcome = { _tag: "Resend", after: 0, inTurn: false }

const inTurn: Outcome = { _tag: "Resend", after: 0, inTurn: true }

const failed = (reason: HitlessErrorReason): Outcome => ({ _tag: "Fail", error: new HitlessError({ reason }) })

const answered = (request: Request, value: unknown, site: Site): Outcome => {
  const result = resultOf(request, value, site)
  return Result.isFailure(result)
    ? { _tag: "Fail", error: result.failure }
    : { _tag: "Answer", value: result.success }
}

/** What becomes of `request` after `event`. @internal */
export const outcomeOf = (request: Request, event: Event, facts: Facts): Outcome => {
  switch (event._tag) {
    case "Replied":
      return replied(request, event, facts)
    case "Lost":
      return lost(request, event, facts)
    case "Expired":
      return expired(request, event, facts)
  }
}

/**
 * One that did not run is sent again after a while, unless its deadline comes before the answer could: that try would turn
 * a command which did not run into one that may have.
 */
const replied = (
  request: Request,
  { passing, site, value }: Extract<Event, { readonly _tag: "Replied" }>,
  { canResend, deadline, isClosing, jitter, now }: Facts
): Outcome => {
  // The next answer takes as long as this one did.
  const took = now - Math.max(request.startedAt, request.notBefore)
  const left = deadline - answeredWithin - took - now
  if (passing === undefined || !canResend || isClosing || left <= 0) return answered(request, value, site)
  const delay = jitter * Math.min(resendAfter * 2 ** request.attempts, resendAtMost)
  // Where the deadline is near the tries come closer together: the server may be well for the last part of the time.
  const latest = left > 2 * resendAfter ? left / 2 : left
  return { _tag: "Resend", after: Math.min(delay, latest), inTurn: false }
}

const lost = (
  request: Request,
  { cause, isPoison, site: { address: endpoint } }: Extract<Event, { readonly _tag: "Lost" }>,
  { canResend, isClosing, mayRepeat, window }: Facts
): Outcome => {
  const { batch, mayHaveExecuted, name: command, words } = request
  if (isClosing) return failed(new Closed({ command, mayHaveExecuted }))
  if (canResend && request.state === "Waiting") return atOnce
  const isViolation = cause._tag === "ProtocolViolation"
  // A reply that is no RESP would be no better the second time.
  const isRepeatable = () => (batch ?? [words]).every((words, index) => mayRepeat(words, request.commandAt(index)))
  if (canResend && !isViolation && !isPoison && isRepeatable()) return inTurn
  const detail = "detail" in cause ? cause.detail : cause.message
  const site = {
    endpoint,
    command,
    ...(window === undefined ? {} : { window }),
    detail: isPoison
      ? `${detail}; its connection was lost twice while it was being answered; it is not sent a third time`
      : detail,
    mayHaveExecuted
  }
  return failed(isViolation ? new ProtocolViolation(site) : new ConnectionLost(site))
}

/** The last dial's failure or the server's last answer says more than "timeout". */
const expired = (
  request: Request,
  { failure, site }: Extract<Event, { readonly _tag: "Expired" }>,
  { now, window }: Facts
): Outcome => {
  const { mayHaveExecuted, name: command, refusal } = request
  const waited = Math.round(now - request.startedAt)
  const at = { ...(window === undefined ? {} : { window }), command, mayHaveExecuted }
  if (failure !== undefined) {
    return failed(unconnected(failure, {
      ...at,
      ...(failure.endpoint === undefined ? {} : { endpoint: failure.endpoint }),
      detail: `${failure.detail}; ${command} waited ${waited} ms for a connection and was ${
        mayHaveExecuted ? "not sent again" : "never sent"
      }`
    }))
  }
  if (site === undefined && refusal !== undefined) return answered(request, refusal.value, refusal.site)
  return failed(
    new CommandTimeout({ ...(site === undefined ? {} : { endpoint: site.address }), ...at, afterMillis: waited })
  )
}

/** The same reason as the dial's, for a command that waited for it. */
const unconnected = (
  failure: DialFailure,
  site: {
    readonly endpoint?: string
    readonly window?: string
    readonly command: string
    readonly detail: string
    readonly mayHaveExecuted: boolean
  }
): HitlessErrorReason => {
  switch (failure._tag) {
    case "AuthenticationFailed":
      return new AuthenticationFailed(site)
    case "MaintenanceRefused":
      return new MaintenanceRefused(site)
    default:
      return new ConnectFailed({ ...site, kind: failure._tag === "ConnectFailed" ? failure.kind : "Rejected" })
  }
}

/** The facts for a request that has no other connection and no other time: what happened is what it comes to. @internal */
export const final: Facts = {
  now: 0,
  deadline: 0,
  window: undefined,
  isClosing: false,
  canResend: false,
  mayRepeat: () => false,
  jitter: 1
}

/** Ends a request as was decided; one that is to be sent again stays as it is. @internal */
export const settle = (request: Request, outcome: Outcome): void => {
  if (outcome._tag === "Answer") request.succeed(outcome.value)
  else if (outcome._tag === "Fail") request.fail(outcome.error)
}
