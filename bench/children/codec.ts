/**
 * The process of one codec: `codec.ts <name>`, forked by `parts/codec.ts`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Child from "../kit/child.ts"
import { attempt, type BenchFailure } from "../kit/failure.ts"

import {
  cells,
  codecs,
  measure,
  type Question,
  type Sample,
  takesPart,
  verify,
  type Work,
  workOf
} from "../kit/codecs.ts"

/** The process of one contestant: verifies all cells at once, then measures them as it is asked. */
const program = Effect.suspend(() => {
  const codec = codecs.find(({ name }) => name === process.argv[2])!
  // The cell at hand: its stream and its connection last for all rounds.
  let current: { readonly cell: string; readonly work: Work } | undefined
  return Child.serve((question: Question): Effect.Effect<Sample | undefined, BenchFailure> => {
    if (question._tag === "Verify") {
      return attempt("verifying", async () => {
        for (const cell of cells) if (takesPart(codec, cell)) verify(codec, cell)
        return undefined
      })
    }
    return attempt(question.cell, async () => {
      if (current?.cell !== question.cell) {
        current = { cell: question.cell, work: workOf(codec, cells.find(({ name }) => name === question.cell)!) }
      }
      await measure(current.work, question.warmUp)
      return await measure(current.work, question.seconds)
    })
  })
})

NodeRuntime.runMain(program)
