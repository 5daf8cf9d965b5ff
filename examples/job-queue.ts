/**
 * A queue of jobs that outlives its workers: Effect's `PersistedQueue` on Redis. A job that fails is given out again; one that
 * is offered twice under the same id is there once.
 *
 *     npm run example:job-queue
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schedule, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { Config } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const Job = Schema.Struct({ to: Schema.String })

class NotReached extends Schema.TaggedError<NotReached>()("NotReached", { to: Schema.String }) {}

const program = Effect.gen(function*() {
  const letters = yield* PersistedQueue.make({
    name: "example:letters",
    schema: Job,
    retrySchedule: Schedule.spaced("50 millis")
  })
  // Ids are remembered beyond the job, so each run has its own.
  const run = crypto.randomUUID()
  yield* letters.offer({ to: "ada" }, { id: `${run}-1` })
  yield* letters.offer({ to: "ada" }, { id: `${run}-1` })
  yield* letters.offer({ to: "ben" }, { id: `${run}-2` })

  let delivered = 0
  const deliver = letters.take(({ to }, { attempts }) =>
    Effect.gen(function*() {
      if (to === "ben" && attempts < 2) return yield* new NotReached({ to })
      delivered++
      yield* Console.log(`delivered to ${to}`)
    })
  )
  yield* deliver.pipe(
    Effect.catchTag("NotReached", ({ to }) => Console.log(`${to} is not at home, another time`)),
    Effect.repeat({ until: () => delivered === 2 })
  )
})

NodeRuntime.runMain(program.pipe(
  Effect.provide(
    PersistedQueue.layer.pipe(
      Layer.provide(PersistedQueue.layerStoreRedis({ pollInterval: "100 millis" })),
      Layer.provide(NodeHitlessRedis.layerConfig(Config.fromEnv))
    )
  )
))
