/**
 * The process of one contestant: `contestant.ts <name> <port>`, forked by `parts/parts/throughput.ts`. It connects, then verifies or
 * measures cells as it is asked.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { serve } from "../kit/child.ts"
import { contestants, harness } from "../kit/contestants.ts"
import { type Cell, measure, type Sample, verify } from "../kit/workload.ts"

/** Verifies the replies of a cell, or runs it. */
export type Question =
  | { readonly _tag: "Verify"; readonly cell: Cell }
  | { readonly _tag: "Measure"; readonly cell: Cell; readonly seconds: number; readonly warmUp: number }

const program = Effect.gen(function*() {
  const [name, port] = process.argv.slice(2)
  const contestant = [...contestants, ...harness].find((contestant) => contestant.name === name)
  if (contestant === undefined) return yield* Effect.die(new Error(`no contestant is named ${name}`))
  const client = yield* contestant.open(Number(port))
  return yield* serve((question: Question): Effect.Effect<Sample | undefined, unknown> => {
    const { cell } = question
    return question._tag === "Verify"
      ? Effect.as(verify(client, cell), undefined)
      : Effect.andThen(measure(client, cell, question.warmUp), measure(client, cell, question.seconds))
  })
})

NodeRuntime.runMain(Effect.scoped(program))
