/**
 * Logging of maintenance, from synchronous code, at the level the configuration allows.
 *
 * A line that comes again and again is written out a few times and then counted: what a server or a network does a
 * thousand times a second must not become a thousand lines. `close` writes what was counted and leaves nothing behind.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Alarm } from "./alarm.ts"
import { monotonicMillis } from "./elapsed.ts"

/** From most to least severe, as in `maintenance.logLevel`. @internal */
export const levels = ["Error", "Warn", "Info", "Debug"] as const

/** @internal */
export type Level = (typeof levels)[number]

/** Logs one line. `message` is one of a few sentences; what differs from line to line belongs into `annotations`. @internal */
export type Log = (level: Level, message: string, annotations: Record<string, unknown>) => void

/** How many lines with one message are written out in a period: each connection of a default pool can say it once. */
const mostInPeriod = 10

/** How long lines are gathered, in milliseconds: short enough to follow on a screen. */
const period = 10_000

interface Gathered {
  readonly level: Level
  readonly until: number
  lines: number
  /** Of the last line that was not written out. */
  annotations: Record<string, unknown>
}

/** @internal */
export const makeLog = (
  context: Context.Context<never>,
  least: Level
): { readonly log: Log; readonly close: () => void } => {
  const run = Effect.runForkWith(context)
  const clock = Context.get(context, Clock.Clock)
  const allowed = levels.indexOf(least)
  const gathered = new Map<string, Gathered>()

  const write = (level: Level, message: string, annotations: Record<string, unknown>): void => {
    run(Effect.annotateLogs(Effect.logWithLevel(level)(`hitless: ${message}`), annotations))
  }

  const tell = (until: number): void => {
    for (const [message, { annotations, level, lines, until: end }] of gathered) {
      if (end > until) continue
      gathered.delete(message)
      const more = lines - mostInPeriod
      if (more > 0) write(level, `${message} (the last of ${more} more like it in ${period / 1000} s)`, annotations)
    }
  }

  const alarm = new Alarm(context, () => {
    tell(monotonicMillis(clock))
    for (const { lines, until } of gathered.values()) if (lines > mostInPeriod) alarm.set(until)
  })

  return {
    log: (level, message, annotations) => {
      if (levels.indexOf(level) > allowed) return
      const now = monotonicMillis(clock)
      let lines = gathered.get(message)
      if (lines === undefined || lines.until <= now) {
        tell(now)
        lines = { level, until: now + period, lines: 0, annotations }
        gathered.set(message, lines)
      }
      if (++lines.lines <= mostInPeriod) return write(level, message, annotations)
      lines.annotations = annotations
      // Only what has to be told later needs an alarm: a client that logs nothing keeps no timer.
      alarm.set(lines.until)
    },
    close: () => {
      alarm.clear()
      tell(Infinity)
    }
  }
}
