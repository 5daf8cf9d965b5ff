/**
 * What the replies to a request mean: values, errors as this library gives them, results of pipelines and transactions.
 *
 * Which errors prove that nothing ran is in `refusals`; what becomes of a request because of its replies is `outcome`'s.
 */
import * as Result from "effect/Result"
import { type Command, ScriptCall } from "../commands/command.ts"
import { Mismatch, Undecodable } from "../commands/decode.ts"
import {
  didNotRunCodes,
  HitlessError,
  InvalidValue,
  ProtocolViolation,
  ServerReplied,
  TransactionAborted,
  UnexpectedReply,
  unreadableCode
} from "../HitlessError.ts"
import { ErrorReply, Unreadable } from "../Resp.ts"
import { kindOf } from "./causes.ts"
import { hasLostSession, isForcedOut, mayHaveRun, wasNotBegun } from "./refusals.ts"
import type { Request, Site, Words } from "./request.ts"

/** Whether the server says that it did not run the command and may run it soon. */
const isRefusal = (reply: unknown): reply is ErrorReply =>
  reply instanceof ErrorReply && (isForcedOut(reply) || didNotRunCodes.has(reply.code) && wasNotBegun(reply))

/**
 * The text of an error reply without the arguments that Redis quotes in it; a connection's own password is in no text that
 * it receives.
 *
 * @internal
 */
export const textOf = (reply: ErrorReply): string => reply.message.replace(/, with args beginning with:.*$/s, "")

const isUnknown = /^ERR unknown (?:sub)?command/

/** @internal */
export const sentinelHint =
  "it is a Sentinel, which knows where the database is and is none: ask it with SENTINEL get-master-addr-by-name"

/** @internal */
export const serverReplied = (
  reply: ErrorReply,
  command: string,
  site: Site,
  mayHaveExecuted: boolean = mayHaveRun(reply, command)
): HitlessError =>
  new HitlessError({
    reason: new ServerReplied({
      code: reply instanceof Unreadable ? unreadableCode : reply.code,
      detail: site.isSentinel && isUnknown.test(reply.message) ? `${textOf(reply)} (${sentinelHint})` : textOf(reply),
      command,
      endpoint: site.address,
      mayHaveExecuted
    })
  })

/** A value as its user is given it: error replies inside it are errors of this library. Arrays and objects are reused. */
const publicValue = (value: unknown, command: string, site: Site): unknown => {
  // Without something that ran there would be nothing around the error.
  if (value instanceof ErrorReply) return serverReplied(value, command, site, true)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value
  if (value instanceof Map) {
    return new Map(Array.from(value, (entry) => publicValue(entry, command, site) as [unknown, unknown]))
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = publicValue(value[i], command, site)
    return value
  }
  const entries = value as Record<string, unknown>
  for (const key of Object.keys(entries)) entries[key] = publicValue(entries[key], command, site)
  return value
}

/**
 * The next reply of a request, where there are error replies inside it, as `publicValue` makes it.
 *
 * @internal
 */
export const withErrors = ({ batch, kind, name, replies }: Request, value: unknown, site: Site): unknown => {
  if (kind === "own") return value
  if (batch === undefined) return publicValue(value, name, site)
  const index = replies?.length ?? 0
  if (kind === "pipeline" || index < batch.length - 1 || !Array.isArray(value)) {
    return publicValue(value, String(batch[index][0]), site)
  }
  // EXEC's reply has those of the commands, and an error there is a command's own.
  return value.map((reply, at) =>
    reply instanceof ErrorReply ? reply : publicValue(reply, String(batch[at + 1]?.[0]), site)
  )
}

// ----- typed -----

/** What becomes of what a command's decoder threw. @internal */
export const unexpected = ({ words: [name] }: Command<unknown>, thrown: unknown, site: Site): HitlessError => {
  const at = { command: String(name), endpoint: site.address, mayHaveExecuted: true }
  return new HitlessError({
    reason: thrown instanceof Undecodable
      ? new InvalidValue({ ...at, key: thrown.key, detail: thrown.detail })
      : new UnexpectedReply({
        ...at,
        detail: thrown instanceof Mismatch ? thrown.detail : `what decodes it threw ${kindOf(thrown)}`
      })
  })
}

/**
 * Ends a request of one command with its reply, which is no error.
 *
 * @internal
 */
export const answer = (request: Request, value: unknown, site: Site): void => {
  const command = request.commandAt(0)
  request.isNull = value === null
  if (command === undefined) return request.succeed(value)
  let decoded: unknown
  try {
    decoded = command.decode(value, site.protocol)
  } catch (thrown) {
    return request.fail(unexpected(command, thrown, site))
  }
  request.succeed(decoded)
}

const utf8 = new TextDecoder()

/** A reply that was read as bytes because of others in the same transaction. Arrays and objects are reused. */
const asText = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return utf8.decode(value)
  if (typeof value !== "object" || value === null || value instanceof HitlessError) return value
  if (value instanceof Map) return new Map(Array.from(value, ([key, one]) => [key, asText(one)]))
  const entries = value as Record<string, unknown>
  for (const key of Object.keys(entries)) entries[key] = asText(entries[key])
  return value
}

// ----- batches -----

/** What each command of a batch is answered with; `first` is where the first one stands in it. */
const toResults = (
  request: Request,
  batch: ReadonlyArray<Words>,
  first: number,
  values: ReadonlyArray<unknown>,
  site: Site
): Array<Result.Result<unknown, HitlessError>> => {
  const { bytes, kind, replayed } = request
  const wereBytes = kind === "transaction" && bytes
  return values.map((value, index) => {
    if (value instanceof ErrorReply) {
      const command = String(batch[first + index][0])
      return Result.fail(serverReplied(value, command, site, replayed || mayHaveRun(value, command)))
    }
    const command = request.commandAt(first + index)
    const reply = wereBytes && command?.bytes !== true ? asText(value) : value
    if (command === undefined) return Result.succeed(reply)
    try {
      return Result.succeed(command.decode(reply, site.protocol))
    } catch (thrown) {
      return Result.fail(unexpected(command, thrown, site))
    }
  })
}

// ----- transactions -----

/** What `EXEC` says when it was refused itself, before the words of the refusal (Redis 6.2 and later). */
const execRefused = "EXECABORT Transaction discarded because of: "

/** Codes with which `EXEC` is refused and the transaction is over, in every version. */
const endsTransaction: ReadonlySet<string> = new Set([
  "EXECABORT",
  "MOVED",
  "ASK",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "CROSSSLOT"
])

/**
 * Whether the connection may still be inside a transaction after its last reply, and would queue what follows: a server
 * may know `MULTI` and no `EXEC`, and before Redis 6.2 a refused `EXEC` did not end it.
 *
 * @internal
 */
export const leavesOpen = (replies: ReadonlyArray<unknown>): boolean => {
  const last = replies[replies.length - 1]
  if (last instanceof Unreadable) return false
  if (last instanceof ErrorReply) return replies.length > 1 && !endsTransaction.has(last.code)
  // `OK` is the answer to `DISCARD`.
  return !(last === null || Array.isArray(last) || last === "OK")
}

/** Whether the server dropped the transaction: each command was queued or refused, and then none was run. */
const wasDiscarded = (replies: ReadonlyArray<unknown>): boolean => {
  const exec = replies[replies.length - 1]
  return (exec === null || (exec instanceof ErrorReply && wasNotBegun(exec))) &&
    replies.slice(1, -1).every((reply) => reply === "QUEUED" || reply instanceof ErrorReply)
}

/** Why the server ran nothing of a transaction: what the refused commands were told, else what `EXEC` or `MULTI` was. */
const refusalsOf = (replies: ReadonlyArray<unknown>): ReadonlyArray<ErrorReply> => {
  const refused = replies.slice(0, -1).filter((reply) => reply instanceof ErrorReply)
  const exec = replies[replies.length - 1]
  if (refused.length > 0 || !(exec instanceof ErrorReply)) return refused
  return [exec.message.startsWith(execRefused) ? new ErrorReply(exec.message.slice(execRefused.length)) : exec]
}

const transactionMeaning = (
  request: Request,
  batch: ReadonlyArray<Words>,
  replies: ReadonlyArray<unknown>,
  site: Site
): Result.Result<unknown, HitlessError> => {
  const multi = replies[0]
  // Without MULTI no command was sent.
  if (multi instanceof ErrorReply) return Result.fail(serverReplied(multi, "MULTI", site, request.replayed))
  const exec = replies[replies.length - 1]
  if (Array.isArray(exec) && exec.length === batch.length - 2) {
    return Result.succeed(toResults(request, batch, 1, exec, site))
  }
  if (exec instanceof Unreadable) return Result.fail(serverReplied(exec, "EXEC", site))
  if (wasDiscarded(replies)) {
    const refusals = refusalsOf(replies)
    // What would be refused again is why trying again is in vain.
    const why = refusals.find((reply) => !isRefusal(reply)) ?? refusals[0]
    return Result.fail(
      new HitlessError({
        reason: new TransactionAborted({
          ...(why === undefined ? { detail: "a watched key changed" } : { code: why.code, detail: textOf(why) }),
          command: request.name,
          endpoint: site.address,
          mayHaveExecuted: request.replayed
        })
      })
    )
  }
  if (exec instanceof ErrorReply) return Result.fail(serverReplied(exec, "EXEC", site, true))
  return Result.fail(
    new HitlessError({
      reason: new ProtocolViolation({
        detail: replies.length === 1
          ? "MULTI was answered with neither OK nor an error"
          : "EXEC was answered with neither a reply for each command, null nor an error",
        command: request.name,
        endpoint: site.address,
        mayHaveExecuted: replies.length > 1 || request.replayed
      })
    })
  )
}

/** Whether the server may run the command soon, on this connection or on another. */
const isPassing = (reply: unknown): reply is ErrorReply =>
  isRefusal(reply) || (reply instanceof ErrorReply && hasLostSession(reply))

/**
 * How the server says that it ran nothing of this request and may run it soon; `undefined` when it may have run
 * something, or would refuse it again.
 *
 * @internal
 */
export const passingRefusal = ({ batch, kind }: Request, value: unknown): ErrorReply | undefined => {
  if (batch === undefined) return isPassing(value) ? value : undefined
  const replies = value as ReadonlyArray<unknown>
  const refusals = kind !== "transaction" ? replies : wasDiscarded(replies) ? refusalsOf(replies) : []
  // A session that was lost between them is what matters.
  return refusals.every(isPassing) ? refusals.find(hasLostSession) ?? refusals[0] : undefined
}

/** What a call of a script comes to where the server does not have the script: it is sent in full then. @internal */
export const noScript = Symbol("noScript")

/** Whether a server says of the script that is called, in Redis' own words, that it does not have it. */
const lacksScript = (request: Request, { message }: ErrorReply): boolean =>
  request.commandAt(0) instanceof ScriptCall && message.startsWith("NOSCRIPT No matching script")

/** What the replies of a request mean for the one who waits. @internal */
export const resultOf = (request: Request, value: unknown, site: Site): Result.Result<unknown, HitlessError> => {
  const batch = request.batch
  if (batch === undefined) {
    if (!(value instanceof ErrorReply)) return Result.succeed(value)
    return lacksScript(request, value)
      ? Result.succeed(noScript)
      : Result.fail(serverReplied(value, request.name, site, request.replayed || mayHaveRun(value, request.name)))
  }
  const replies = value as ReadonlyArray<unknown>
  switch (request.kind) {
    case "transaction":
      return transactionMeaning(request, batch, replies, site)
    case "pipeline":
      return Result.succeed(toResults(request, batch, 0, replies, site))
    default:
      return Result.succeed(replies)
  }
}
