/**
 * Logging of maintenance and of what becomes of connections, from synchronous code, at the level the configuration allows.
 *
 * What repeats is told once and then counted: what a server or a network does a thousand times a second, or every two
 * seconds for a night, must not become as many lines. A line that says something new, another endpoint or another reason,
 * is written out. `close` writes what was counted and leaves nothing behind.
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

/**
 * Logs one line. `message` is one of a few sentences; what differs from line to line belongs into `annotations`, and what
 * was measured, and does not make it another line, into `measured`. @internal
 */
export type Log = (
  level: Level,
  message: string,
  annotations: Record<string, unknown>,
  measured?: Record<string, unknown>
) => void

/** How many different lines with one message are written out: each connection of a default pool can say it once. */
const mostDifferent = 10

/**
 * How long repeated lines are gathered at first, in milliseconds: short enough to follow on a screen. When nothing like
 * them has come for as long they are over, and the next is written out.
 */
const shortest = 10_000

/** How many times longer the next time is while they go on, and the longest: a few lines for each hour of an outage. */
const growth = 6
const longest = 600_000

interface Gathered {
  readonly level: Level
  /** The different lines that were written out. */
  readonly written: Set<string>
  /** When the counting began, how long it lasts, and when the last such line came. */
  since: number
  period: number
  heardAt: number
  /** How many were not written out, and what the last of them said. */
  more: number
  last: Record<string, unknown>
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

  const isOver = ({ heardAt }: Gathered, now: number): boolean => heardAt + shortest <= now

  /** Tells what was counted of a message. */
  const tell = (message: string, lines: Gathered, now: number): void => {
    const { last, level, more, since } = lines
    const seconds = Math.round((now - since) / 1000)
    if (more > 0) write(level, `${message} (the last of ${more} more like it in ${seconds} s)`, last)
    lines.more = 0
  }

  const review = (now: number): void => {
    let next = Infinity
    for (const [message, lines] of gathered) {
      const ended = isOver(lines, now)
      if (ended || lines.since + lines.period <= now) {
        tell(message, lines, now)
        lines.since = now
        lines.period = Math.min(growth * lines.period, longest)
      }
      if (ended) gathered.delete(message)
      // Only what has to be told later needs an alarm: a client that logs nothing keeps no timer.
      else if (lines.more > 0) next = Math.min(next, lines.since + lines.period, lines.heardAt + shortest)
    }
    alarm.set(next)
  }

  const alarm = new Alarm(context, () => review(monotonicMillis(clock)))

  return {
    log: (level, message, annotations, measured) => {
      if (levels.indexOf(level) > allowed) return
      const now = monotonicMillis(clock)
      let lines = gathered.get(message)
      if (lines === undefined || isOver(lines, now)) {
        review(now)
        lines = { level, written: new Set(), since: now, period: shortest, heardAt: now, more: 0, last: annotations }
        gathered.set(message, lines)
      }
      lines.heardAt = now
      const line = Object.values(annotations).join("\n")
      const all = { ...annotations, ...measured }
      if (!lines.written.has(line) && lines.written.size < mostDifferent) {
        lines.written.add(line)
        return write(level, message, all)
      }
      lines.more++
      lines.last = all
      alarm.set(Math.min(lines.since + lines.period, now + shortest))
    },
    close: () => {
      alarm.clear()
      const now = monotonicMillis(clock)
      for (const [message, lines] of gathered) tell(message, lines, now)
      gathered.clear()
    }
  }
}
