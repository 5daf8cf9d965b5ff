/**
 * The `demo` command: the same upgrade once with maintenance notifications and once without, the report on both, and
 * the timeline.
 *
 * It fails, in words for the person who ran it, when the server cannot be reached and when the run with notifications
 * failed, lost or doubled anything. What the run without them failed at is reported and is no failure of the demo.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { format } from "../Endpoint.ts"
import { type RehearsalOptions, rehearse } from "./rehearsal.ts"
import { report, violations } from "./report.ts"
import { count, type Run } from "./statistics.ts"
import { render } from "./timeline.ts"
import { greet } from "./upstream.ts"
import { fibers } from "./workload.ts"

/**
 * What the demo is told on the command line.
 *
 * @category models
 * @since 0.1.0
 */
export interface DemoOptions extends Omit<RehearsalOptions, "mode"> {
  /** Where the timeline is written. */
  readonly svg: string
}

const failed = (userMessage: string, cause: unknown) => new CliError.UserError({ cause, userMessage })

const conclusion = (run: Run): string => {
  const found = violations(run)
  return `maintenance ${run.mode}: ${count(run.log.length)} commands, ` +
    (found.length === 0 ? "none failed, none lost, none doubled" : found.join(", "))
}

/**
 * Runs the demo.
 *
 * @category running
 * @since 0.1.0
 */
export const demo = Effect.fnUntraced(function*({ svg, ...options }: DemoOptions) {
  const { seconds, upstream } = options
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const path = paths.resolve(svg)
  // Before the first run, which takes its time.
  yield* Effect.mapError(
    fs.access(paths.dirname(path), { writable: true }),
    (error) => failed(`--svg: nothing can be written to ${paths.dirname(path)}`, error)
  )
  if (upstream !== undefined) yield* greet(upstream)
  const run = Effect.fnUntraced(function*(mode: Run["mode"]) {
    yield* Console.log(`A rolling upgrade of three nodes in ${seconds} s, maintenance ${mode}`)
    const run = yield* Effect.mapError(
      rehearse({ ...options, mode }),
      (error) => failed(`The run with maintenance ${mode} broke off: ${error.message}`, error)
    )
    yield* Console.log(`${conclusion(run)}\n`)
    return run
  })
  const enabled = yield* run("enabled")
  const disabled = yield* run("disabled")

  const server = upstream === undefined ? "a simulated keyspace" : format(upstream.config.endpoint)
  yield* Console.log(report([enabled, disabled], server).join("\n"))

  yield* fs.writeFileString(
    path,
    render([enabled, disabled], `${fibers} fibers on ${server}, three nodes on loopback.`)
  ).pipe(
    Effect.mapError((error) => failed(`--svg: ${error.message}`, error))
  )
  yield* Console.log(`\nTimeline: ${path}`)

  const found = violations(enabled)
  if (found.length > 0) {
    return yield* failed(`With maintenance enabled nothing may fail: ${found.join(", ")}`, conclusion(enabled))
  }
})
