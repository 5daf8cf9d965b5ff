/**
 * The load of the demo: fibers that count, read, write and send small pipelines through one client, as users do.
 *
 * Every command is recorded with its latency and result, every acknowledged increment is counted, and every read is
 * compared with what the same fiber was last acknowledged. A failed command is recorded and the fiber goes on; nothing
 * is sent twice by the workload itself. It owns its keys, all under one prefix, and leaves their removal to its caller.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { HitlessError } from "../HitlessError.ts"
import type { HitlessRedis, Words } from "../HitlessRedis.ts"
import type { CommandLog, Counter } from "./statistics.ts"

/**
 * How many fibers use the client at the same time.
 *
 * @category constants
 * @since 0.1.0
 */
export const fibers = 50

/** Counters that all fibers increment, beside the one that each has of its own. */
const sharedCounters = 10

/** Commands of one pipeline. */
const pipelineSize = 8

// Between two commands a fiber rests 1 to 3 ms. Client, servers and measurement share one thread: without a rest the
// latency would be that of a saturated event loop.
const shortestRest = 1
const longestRest = 3

/**
 * A workload and what it found out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Workload {
  /** Runs the fibers until `stop`, and then until their last commands have ended. */
  readonly run: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  readonly counters: ReadonlyMap<string, Counter>
  /** Every key it writes. */
  readonly keys: ReadonlyArray<string>
  /** Reads that gave something else than the value last written. */
  readonly wrongReads: () => number
}

/**
 * Describes the workload of one run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly redis: HitlessRedis["Service"]
  readonly clock: Clock.Clock
  /** When the run began, in milliseconds of the clock's monotonic time. */
  readonly startedAt: number
  readonly log: CommandLog
  readonly prefix: string
  readonly seed: number
}): Workload => {
  const { clock, log, prefix, redis, startedAt } = options
  const indexes = Array.from({ length: fibers }, (_, index) => index)
  const shared = Array.from({ length: sharedCounters }, (_, index) => `${prefix}shared:${index}`)
  const own = indexes.map((index) => `${prefix}own:${index}`)
  const values = indexes.map((index) => `${prefix}value:${index}`)
  const counters = new Map(
    [...shared, ...own].map((key): [string, Counter] => [key, { acknowledged: 0, uncertain: 0 }])
  )
  const state = { wrongReads: 0, stopped: false }

  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6 - startedAt

  /** Runs what the client sends at once, and records each of its commands by `results`. */
  const timed = <A>(
    effect: Effect.Effect<A, HitlessError>,
    results: (all: Result.Result<A, HitlessError>) => ReadonlyArray<Result.Result<unknown, HitlessError>>
  ) =>
    Effect.suspend(() => {
      const calledAt = now()
      return Effect.map(Effect.result(effect), (all) => {
        const endedAt = now()
        for (const result of results(all)) {
          log.record(endedAt, endedAt - calledAt, Result.isFailure(result) ? result.failure.reason._tag : undefined)
        }
        return all
      })
    })

  const send = (...words: Words) => timed(redis.send(...words), (result) => [result])

  const counted = (key: string, result: Result.Result<unknown, HitlessError>): void => {
    const counter = counters.get(key)
    if (counter === undefined) return
    if (Result.isSuccess(result)) counter.acknowledged++
    else if (result.failure.mayHaveExecuted) counter.uncertain++
  }

  const increment = (key: string) => Effect.map(send("INCR", key), (result) => counted(key, result))

  const pipeline = (keys: ReadonlyArray<string>) =>
    timed(
      redis.pipeline(keys.map((key) => ["INCR", key])),
      (all) => Result.isSuccess(all) ? all.success : keys.map(() => all)
    ).pipe(
      Effect.map((all) => keys.forEach((key, index) => counted(key, Result.isSuccess(all) ? all.success[index] : all)))
    )

  const user = Effect.fnUntraced(function*(index: number) {
    const key = values[index]
    let written: string | null = null
    // Writes that failed but may have run, then or later: a read may find any of them.
    const uncertain = new Set<string | null>()
    let writes = 0
    while (!state.stopped) {
      const choice = yield* Random.next
      if (choice < 0.3) {
        yield* increment(own[index])
      } else if (choice < 0.4) {
        yield* increment(shared[yield* Random.nextIntBetween(0, sharedCounters - 1)])
      } else if (choice < 0.7) {
        const read = yield* send("GET", key)
        if (Result.isSuccess(read)) {
          const value = read.success as string | null
          if (value !== written && !uncertain.has(value)) state.wrongReads++
        }
      } else if (choice < 0.95) {
        const value = `${index}:${writes++}`
        const write = yield* send("SET", key, value)
        if (Result.isSuccess(write)) written = value
        else if (write.failure.mayHaveExecuted) uncertain.add(value)
      } else {
        yield* pipeline(Array.from({ length: pipelineSize }, (_, step) => step % 2 === 0 ? own[index] : shared[step]))
      }
      yield* Effect.sleep(yield* Random.nextBetween(shortestRest, longestRest))
    }
  })

  return {
    run: Effect.forEach(indexes, (index) => user(index).pipe(Random.withSeed(`${options.seed}:${index}`)), {
      concurrency: "unbounded",
      discard: true
    }),
    stop: Effect.sync(() => {
      state.stopped = true
    }),
    counters,
    keys: [...counters.keys(), ...values],
    wrongReads: () => state.wrongReads
  }
}
