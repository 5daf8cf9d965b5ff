/**
 * The hour a thousand times, or as often as the first argument says: all of them have one timeline.
 */
import { Console, Duration, Effect, References } from "effect"
import { createHash } from "node:crypto"
import { hour } from "./hour.ts"

const program = Effect.gen(function*() {
  const runs = Number(process.argv[2] ?? 1000)
  const timelines = new Map<string, number>()
  let took = Duration.zero
  for (let run = 0; run < runs; run++) {
    const [duration, { text }] = yield* Effect.timed(hour())
    took = Duration.sum(took, duration)
    const hash = createHash("sha256").update(text).digest("hex")
    timelines.set(hash, (timelines.get(hash) ?? 0) + 1)
  }
  const each = Duration.toMillis(took) / runs
  yield* Console.log(`${runs} hours, ${each.toFixed(0)} ms each, different timelines: ${timelines.size}`)
  for (const [hash, count] of timelines) yield* Console.log(`  ${hash.slice(0, 16)}  ${count} times`)
  if (timelines.size !== 1) process.exitCode = 1
  // Of what fails in that hour nobody needs a thousand logs.
}).pipe(Effect.provideService(References.MinimumLogLevel, "None"))

await Effect.runPromise(program)
