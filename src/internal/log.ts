/**
 * Logging of maintenance, from synchronous code, at the level the configuration allows.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** From most to least severe, as in `maintenance.logLevel`. @internal */
export const levels = ["Error", "Warn", "Info", "Debug"] as const

/** @internal */
export type Level = (typeof levels)[number]

/** @internal */
export type Log = (level: Level, message: string, annotations: Record<string, unknown>) => void

/** @internal */
export const makeLog = (context: Context.Context<never>, least: Level): Log => {
  const run = Effect.runForkWith(context)
  const allowed = levels.indexOf(least)
  return (level, message, annotations) => {
    if (levels.indexOf(level) > allowed) return
    run(Effect.annotateLogs(Effect.logWithLevel(level)(`hitless: ${message}`), annotations))
  }
}
