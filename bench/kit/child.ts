/**
 * A process that answers questions: each contestant, and each thing that must not share a process, gets one.
 *
 * The parent forks a script and asks it; the script hands `serve` what to do with a question. One question is under way
 * at a time. A child ends with its parent, or when the scope it was started in closes.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import { type BenchFailure, fail } from "./failure.ts"

/** What became of a question. */
export type Answer<A> =
  | { readonly _tag: "Done"; readonly value: A }
  | { readonly _tag: "Failed"; readonly reason: string }

/** A running script. */
export interface Child {
  readonly name: string
  readonly process: ChildProcess
}

const bench = join(import.meta.dirname, "..")

/** Starts a script, given by its path in `bench`, with `gc` at its hands, and with the flags of this process: `--cpu-prof` for example. */
export const start = (
  name: string,
  script: string,
  args: ReadonlyArray<string>
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => ({
      name,
      process: fork(join(bench, script), args, {
        execArgv: [...process.execArgv, "--expose-gc"]
      })
    })),
    ({ process }) =>
      Effect.callback<void>((resume) => {
        if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
        process.once("exit", () => resume(Effect.void))
        process.kill()
      })
  )

/** Asks a child, and waits for its answer for at most a minute; `what` names the question if there is none. */
export const ask = <A>(
  { name, process }: Child,
  question: object,
  what: string
): Effect.Effect<Answer<A>, BenchFailure> =>
  Effect.callback<Answer<A>, BenchFailure>((resume) => {
    const onMessage = (answer: unknown) => {
      process.off("exit", onExit)
      resume(Effect.succeed(answer as Answer<A>))
    }
    const onExit = () => {
      process.off("message", onMessage)
      resume(fail(`the process of ${name} ended`))
    }
    process.once("message", onMessage)
    process.once("exit", onExit)
    if (process.exitCode === null) process.send(question)
    else onExit()
  }).pipe(
    // Longer than any deadline of a client: what has not ended by then hangs.
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () => fail(`${name} did not end ${what} within a minute`)
    })
  )

const nextQuestion = <Q>(): Effect.Effect<Q> =>
  Effect.callback((resume) => {
    process.once("message", (question) => resume(Effect.succeed(question as Q)))
  })

/** What a script does: it answers one question after the other, until its parent ends it. */
export const serve = <Q, A, R>(
  answer: (question: Q) => Effect.Effect<A, unknown, R>
): Effect.Effect<never, never, R> => {
  process.once("disconnect", () => process.exit())
  return Effect.forever(
    Effect.flatMap(nextQuestion<Q>(), (question) =>
      Effect.map(
        Effect.matchCause(answer(question), {
          onSuccess: (value): Answer<A> => ({ _tag: "Done", value }),
          onFailure: (cause): Answer<A> => ({ _tag: "Failed", reason: Cause.pretty(cause).split("\n")[0]! })
        }),
        (result) => process.send!(result)
      ))
  )
}
