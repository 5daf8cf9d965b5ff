/**
 * From a call to a request: what a caller gives is judged and taken as it is at the call, has its deadline and its span,
 * and goes to where requests are accepted.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Result from "effect/Result"
import { Command, ScriptCall } from "../commands/command.ts"
import { HitlessError } from "../HitlessError.ts"
import type { Arg } from "../Resp.ts"
import { arePlain, blocksFor, copyOf, isPlain, refusalOf, refusalOfArguments, refused, takeBytes } from "./commands.ts"
import { durationOf } from "./duration.ts"
import { located } from "./printing.ts"
import { noScript } from "./replies.ts"
import { nameOf, Request, type RequestKind, type RequestOwner, type Resume, type Typed, type Words } from "./request.ts"
import type { Runtime } from "./runtime.ts"
import { clientAttributes, isTraced, traced } from "./tracing.ts"

/** Where requests go. @internal */
export interface Target {
  readonly owner: RequestOwner
  readonly accept: (request: Request) => void
  /** When the commands of this turn of the event loop are called, in elapsed milliseconds. */
  readonly turn: () => number
}

/** Who calls. @internal */
export interface Caller {
  /** Whether others use the same connections. */
  readonly isShared: boolean
  /** The time that the commands of a fiber have, where it is not the configured one. */
  readonly timeoutOf: (fiber: Fiber.Fiber<unknown, unknown>) => unknown
  /** Sends a command that can wait on the server, whose caller's own time for it is `timeout` milliseconds. */
  readonly block: (
    words: Words,
    bytes: boolean,
    timeout: number,
    command: Command<unknown> | undefined
  ) => Effect.Effect<unknown, HitlessError>
}

/** @internal */
export interface Calls {
  readonly send: <A>(args: ReadonlyArray<unknown>, bytes: boolean) => Effect.Effect<A, HitlessError>
  readonly run: <A>(command: Command<A>) => Effect.Effect<A, HitlessError>
  readonly batch: (
    kind: "pipeline" | "transaction",
    commands: unknown
  ) => Effect.Effect<Array<Result.Result<unknown, HitlessError>>, HitlessError>
  /** Does something in the time that a command of the fiber has, in milliseconds. */
  readonly timed: <A, E, R>(
    name: string,
    run: (timeout: number) => Effect.Effect<A, HitlessError | E, R>
  ) => Effect.Effect<A, HitlessError | E, R>
  /** Sends what was judged and taken already, with so many milliseconds from now to its deadline. */
  readonly request: <A>(
    kind: RequestKind,
    words: Words,
    batch: ReadonlyArray<Words> | undefined,
    bytes: boolean,
    timeout: number,
    typed: Typed
  ) => Effect.Effect<A, HitlessError>
}

const multi: Words = ["MULTI"]
const exec: Words = ["EXEC"]

/** Milliseconds of a timeout that users set; `undefined` for what is no positive duration. */
const readTimeout = (timeout: unknown): number | undefined => {
  const duration = durationOf(timeout)
  return duration !== undefined && Duration.isPositive(duration) ? Duration.toMillis(duration) : undefined
}

/** Why a typed command may not be sent: of ours only its arguments can be at fault. */
const refusalOfTyped = ({ isKnown }: Command<unknown>, words: Words, isShared: boolean): HitlessError | undefined =>
  isKnown ? refusalOfArguments(words) : refusalOf(words, isShared)

const isBlocking = (words: Words, command: Command<unknown> | undefined): boolean =>
  command === undefined ? blocksFor(words) > 0 : command.blocking

const typedOf = (command: unknown): Command<unknown> | undefined => command instanceof Command ? command : undefined

/** The commands of a batch as they are at the call, or why they are not sent. */
const takeBatch = (
  kind: RequestKind,
  copies: ReadonlyArray<unknown>,
  isShared: boolean
): Array<Words> | HitlessError => {
  const batch: Array<Words> = []
  for (let i = 0; i < copies.length; i++) {
    const command = typedOf(copies[i])
    // Between others it is too late to learn that the server does not have a script.
    const given = command instanceof ScriptCall ? command.inFull.words : command?.words ?? copies[i]
    const words = copyOf(given) as Array<Arg> | undefined
    if (words === undefined) return refused(nameOf(kind, []), `command ${i} is no array, or cannot be read`)
    const refusal = command === undefined ? refusalOf(words, isShared) : refusalOfTyped(command, words, isShared)
    if (refusal !== undefined) return refusal
    if (isBlocking(words, command)) {
      return refused(
        String(words[0]),
        kind === "transaction"
          ? "in a transaction it does not wait; send it by itself"
          : "it waits on the server, and would hold up the commands behind it; send it by itself"
      )
    }
    takeBytes(words)
    batch.push(words)
  }
  return batch
}

const locate = <E>(error: E): Effect.Effect<never, E> =>
  error instanceof HitlessError ? located(error, Exit.fail(error)) : Effect.fail(error)

/** @internal */
export const makeCalls = (
  { config }: Runtime,
  target: Target,
  { block, isShared, timeoutOf }: Caller
): Calls => {
  const commandTimeout = Duration.toMillis(config.commandTimeout)
  const attributes = clientAttributes(config.endpoint, config.database)

  const refuse = (refusal: HitlessError): Effect.Effect<never, HitlessError> =>
    Effect.suspend(() => {
      target.owner.onFailed(refusal)
      return located(refusal, Exit.fail(refusal))
    })

  const request = <A>(
    kind: RequestKind,
    words: Words,
    batch: ReadonlyArray<Words> | undefined,
    bytes: boolean,
    timeout: number,
    typed: Typed
  ): Effect.Effect<A, HitlessError> =>
    Effect.callback<A, HitlessError>((resume) => {
      const request = new Request({
        owner: target.owner,
        kind,
        words,
        batch,
        bytes,
        timeout,
        typed,
        startedAt: target.turn(),
        resume: resume as Resume
      })
      target.accept(request)
      return request
    })

  /** The time that a fiber has for a command, in milliseconds; `undefined` for what is no positive duration. */
  const timeOf = (fiber: Fiber.Fiber<unknown, unknown>): number | undefined => {
    const own = timeoutOf(fiber)
    return own === undefined ? commandTimeout : readTimeout(own)
  }

  const noTime = (kind: RequestKind, words: Words) =>
    refuse(refused(nameOf(kind, words), "CurrentCommandTimeout must be a positive duration"))

  const spanned = <A>(
    running: Effect.Effect<A, HitlessError>,
    kind: RequestKind,
    words: Words,
    batch: ReadonlyArray<Words> | undefined
  ): Effect.Effect<A, HitlessError> => {
    const name = nameOf(kind, words)
    return traced(running, name, {
      ...attributes,
      "db.operation.name": name,
      ...(batch === undefined ? {} : { "db.operation.batch.size": batch.length })
    })
  }

  const submit = <A>(
    kind: RequestKind,
    words: Words,
    batch: ReadonlyArray<Words> | undefined,
    bytes: boolean,
    typed: Typed
  ): Effect.Effect<A, HitlessError> =>
    Effect.withFiber((fiber) => {
      const timeout = timeOf(fiber)
      if (timeout === undefined) return noTime(kind, words)
      const running = request<A>(kind, words, batch, bytes, timeout, typed)
      return isTraced(fiber) ? spanned(running, kind, words, batch) : running
    })

  const timed: Calls["timed"] = (name, run) =>
    Effect.withFiber((fiber) => {
      const timeout = timeOf(fiber)
      if (timeout === undefined) return noTime("command", [name])
      return Effect.catch(run(timeout), locate)
    })

  const wait = <A>(
    words: Words,
    bytes: boolean,
    command: Command<unknown> | undefined
  ): Effect.Effect<A, HitlessError> =>
    timed(String(words[0]), (timeout) =>
      Effect.withFiber((fiber) => {
        const running = block(words, bytes, timeout, command) as Effect.Effect<A, HitlessError>
        return isTraced(fiber) ? spanned(running, "command", words, undefined) : running
      }))

  const sendOther = <A>(args: ReadonlyArray<unknown>, bytes: boolean): Effect.Effect<A, HitlessError> => {
    const list = args.length === 2 ? copyOf(args[1]) : undefined
    const words = (list === undefined ? args : [args[0], ...list]) as Array<Arg>
    const refusal = refusalOf(words, isShared)
    if (refusal !== undefined) return refuse(refusal)
    takeBytes(words)
    return isBlocking(words, undefined)
      ? wait(words, bytes, undefined)
      : submit("command", words, undefined, bytes, undefined)
  }

  /** Calls a script by its SHA-1, and in full where the server does not have it, all in the time of one command. */
  const runScript = <A>(call: ScriptCall<A>): Effect.Effect<A, HitlessError> => {
    const refusal = refusalOf(call.words, isShared)
    if (refusal !== undefined) return refuse(refusal)
    const words = Array.from(call.words)
    takeBytes(words)
    const askInFull = (timeout: number): Effect.Effect<A, HitlessError> => {
      const { inFull } = call
      const full = [...inFull.words.slice(0, 2), ...words.slice(2)]
      const refusal = refusalOf(full, isShared)
      return refusal === undefined
        ? request("command", full, undefined, call.bytes, timeout, inFull)
        : refuse(refusal)
    }
    return Effect.withFiber((fiber) => {
      const timeout = timeOf(fiber)
      if (timeout === undefined) return noTime("command", words)
      const until = target.turn() + timeout
      const running = Effect.flatMap(
        request<A | typeof noScript>("command", words, undefined, call.bytes, timeout, call),
        (answer) => answer === noScript ? askInFull(Math.max(0, until - target.turn())) : Effect.succeed(answer)
      )
      return isTraced(fiber) ? spanned(running, "command", words, undefined) : running
    })
  }

  const runOther = <A>(command: Command<A>): Effect.Effect<A, HitlessError> => {
    if (!(command instanceof Command)) return refuse(refused("", "what `run` was given is no command of `Commands`"))
    if (command instanceof ScriptCall) return runScript(command)
    const refusal = refusalOfTyped(command, command.words, isShared)
    if (refusal !== undefined) return refuse(refusal)
    const words = Array.from(command.words)
    takeBytes(words)
    return isBlocking(words, command)
      ? wait(words, command.bytes, command)
      : submit("command", words, undefined, command.bytes, command)
  }

  return {
    send: (args, bytes) =>
      isPlain(args)
        ? submit("command", args as Words, undefined, bytes, undefined)
        : sendOther(args, bytes),
    run: (command) =>
      command instanceof Command && command.isKnown && !command.blocking && arePlain(command.words)
        ? submit("command", command.words, undefined, command.bytes, command)
        : runOther(command),
    batch: (kind, commands) => {
      const copies = copyOf(commands)
      if (copies === undefined) {
        return refuse(refused(nameOf(kind, []), "its commands are no array, or cannot be read"))
      }
      const taken = takeBatch(kind, copies, isShared)
      if (!Array.isArray(taken)) return refuse(taken)
      if (taken.length === 0) return Effect.succeed([])
      const typed = copies.some(typedOf) ? copies.map(typedOf) : undefined
      const bytes = typed !== undefined && typed.some((command) => command?.bytes === true)
      return kind === "pipeline"
        ? submit(kind, taken[0], taken, bytes, typed)
        : submit(kind, multi, [multi, ...taken, exec], bytes, typed && [undefined, ...typed, undefined])
    },
    timed,
    request
  }
}
