/**
 * What is read as a duration, of what users and files give.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units: ReadonlySet<string> = new Set([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

// Our choice: more than any duration is written with. Millions of digits would take seconds to read.
const longestText = 64

const short = /^(-?\d+(?:\.\d+)?) ?(ms|s|m|h)$/

const inFull: Readonly<Record<string, Duration.Unit>> = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

const isAmount = (u: unknown): u is number => typeof u === "number" && !Number.isNaN(u)

/** Stricter than `Duration.fromInput`, which reads `NaN`, `{}` and `{ second: 1 }` as zero. */
const isInput = (u: unknown): u is Duration.Input => {
  if (typeof u !== "object" || u === null) return isAmount(u) || typeof u === "bigint"
  if (Duration.isDuration(u)) return true
  if (Array.isArray(u)) return u.length === 2 && u.every(isAmount)
  const parts = Object.entries(u).filter(([_, amount]) => amount !== undefined)
  return parts.length > 0 && parts.every(([unit, amount]) => units.has(unit) && isAmount(amount))
}

const ofText = (text: string): Duration.Duration | undefined => {
  if (text.length > longestText) return undefined
  const [, amount, unit] = short.exec(text) ?? []
  const input = unit === undefined ? text : `${amount} ${inFull[unit]}`
  return Option.getOrUndefined(Duration.fromInput(input as Duration.Input))
}

/**
 * Reads a `Duration.Input`, or text such as `5s`, `500ms`, `2m` and `1h`. `undefined` for anything else, also for an object
 * that only looks like a duration and throws.
 *
 * @internal
 */
export const durationOf = (u: unknown): Duration.Duration | undefined => {
  if (typeof u === "string") return ofText(u)
  try {
    return isInput(u) ? Duration.fromInputUnsafe(u) : undefined
  } catch {
    return undefined
  }
}
