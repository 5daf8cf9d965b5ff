/**
 * The `doctor` command: looks at a server as a client would, and tells what it found, line by line.
 *
 * It fails, without more words, where it found a problem.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { ResolvedConfig } from "../Config.ts"
import { format } from "../Endpoint.ts"
import { checks, examine, type Finding, hasCredentials } from "./checkup.ts"

/**
 * What the command is told on the command line.
 *
 * @category models
 * @since 0.1.0
 */
export interface DoctorOptions {
  readonly config: ResolvedConfig
  readonly json: boolean
}

/**
 * What ends the command where it found a problem; everything was said.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unhealthy extends Data.TaggedError("Unhealthy")<{ readonly problems: ReadonlyArray<string> }> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 1
}

const width = Math.max(...checks.map((check) => check.length))

const begin = "problem  ".length + width + 2

/** As wide as the other commands' reports. */
const columns = 100

/** Breaks text between words, and begins further lines where the first began. */
const wrapped = (text: string, from: number): string => {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1]
    if (line === "") lines[lines.length - 1] = word
    else if (from + line.length + 1 + word.length <= columns) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines.join(`\n${" ".repeat(from)}`)
}

const line = ({ check, next, status, verdict }: Finding): string =>
  `${status.padEnd(7)}  ${check.padEnd(width)}  ${wrapped(verdict, begin)}` +
  (next === undefined ? "" : `\n${" ".repeat(begin)}→ ${wrapped(next, begin + 2)}`)

/**
 * Runs the command.
 *
 * @category running
 * @since 0.1.0
 */
export const doctor = Effect.fnUntraced(function*({ config, json }: DoctorOptions) {
  const isConfigured = yield* hasCredentials(config)
  const findings = yield* examine(config)
  const problems = findings.filter(({ status }) => status === "problem").map(({ check }) => check)
  const server = format(config.endpoint)
  if (json) {
    yield* Console.log(JSON.stringify({
      server,
      database: config.database,
      tls: config.tls !== undefined,
      credentials: isConfigured,
      healthy: problems.length === 0,
      findings
    }))
  } else {
    const how = `${config.tls === undefined ? "without" : "with"} TLS, ${isConfigured ? "with" : "without"} credentials`
    yield* Console.log([
      `${server}, database ${config.database}, ${how}`,
      "",
      ...findings.map(line),
      "",
      problems.length === 0 ? "Healthy: a client can work with this server." : `Not healthy: ${problems.join(", ")}.`
    ].join("\n"))
  }
  if (problems.length > 0) return yield* new Unhealthy({ problems })
})
