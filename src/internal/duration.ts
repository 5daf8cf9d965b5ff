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

const isAmount = (u: unknown): u is number => typeof u === "number" && !Number.isNaN(u)

/** Stricter than `Duration.fromInput`, which reads `NaN`, `{}` and `{ second: 1 }` as zero. @internal */
export const isDurationInput = (u: unknown): u is Duration.Input => {
  if (typeof u === "string") {
    return u.length <= longestText && Option.isSome(Duration.fromInput(u as Duration.Input))
  }
  if (typeof u !== "object" || u === null) return isAmount(u) || typeof u === "bigint"
  if (Duration.isDuration(u)) return true
  if (Array.isArray(u)) return u.length === 2 && u.every(isAmount)
  const parts = Object.entries(u).filter(([_, amount]) => amount !== undefined)
  return parts.length > 0 && parts.every(([unit, amount]) => units.has(unit) && isAmount(amount))
}
