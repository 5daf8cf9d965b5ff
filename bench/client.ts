/**
 * The process of one contestant: `node --expose-gc bench/client.ts <name> <port>`, forked by `throughput.ts`.
 *
 * It connects, then answers each `Ask` with an `Answer`, and ends with its parent.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { contestants, harness } from "./contestants.ts"
import { type Cell, measure, type Sample, verify } from "./workload.ts"

/** Verifies the replies of a cell, or runs it. */
export type Ask =
  | { readonly _tag: "Verify"; readonly cell: Cell }
  | { readonly _tag: "Measure"; readonly cell: Cell; readonly seconds: number; readonly warmUp: number }

/** What became of it; a verification that succeeds has no sample. */
export type Answer =
  | { readonly _tag: "Done"; readonly sample: Sample | undefined }
  | { readonly _tag: "Failed"; readonly reason: string }

const nextAsk: Effect.Effect<Ask> = Effect.callback((resume) => {
  process.once("message", (ask) => resume(Effect.succeed(ask as Ask)))
})

const program = Effect.gen(function*() {
  const [name, port] = process.argv.slice(2)
  const contestant = [...contestants, ...harness].find((contestant) => contestant.name === name)
  if (contestant === undefined) return yield* Effect.die(new Error(`no contestant is named ${name}`))
  const client = yield* contestant.open(Number(port))
  while (true) {
    const ask = yield* nextAsk
    const { cell } = ask
    const work: Effect.Effect<Sample | undefined, unknown> = ask._tag === "Verify"
      ? Effect.as(verify(client, cell), undefined)
      : Effect.andThen(measure(client, cell, ask.warmUp), measure(client, cell, ask.seconds))
    const answer = yield* Effect.matchCause(work, {
      onSuccess: (sample): Answer => ({ _tag: "Done", sample }),
      onFailure: (cause): Answer => ({ _tag: "Failed", reason: Cause.pretty(cause).split("\n")[0]! })
    })
    process.send!(answer)
  }
})

process.once("disconnect", () => process.exit())

NodeRuntime.runMain(Effect.scoped(program))
