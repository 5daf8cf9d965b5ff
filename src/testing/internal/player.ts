/**
 * Plays plans on a deployment, each step at its time of Effect's `Clock`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../../internal/elapsed.ts"
import { type MaintenancePlan, PlanError, type Step } from "../MaintenancePlan.ts"

/** Fails unless a deployment of these nodes can go through the plan. */
export const checkNodes = (plan: MaintenancePlan, nodes: ReadonlyArray<string>): Effect.Effect<void, PlanError> => {
  const missing = plan.nodes.filter((node) => !nodes.includes(node))
  return missing.length === 0 ? Effect.void : Effect.fail(
    new PlanError({
      issues: missing.map((node) => ({
        step: undefined,
        field: "nodes",
        rule: `the deployment has no node "${node}"; its nodes are ${nodes.join(", ")}`
      }))
    })
  )
}

/** Goes through the steps from now on, and ends with the last one. */
export const play = Effect.fnUntraced(function*(
  plan: MaintenancePlan,
  perform: (step: Step) => Effect.Effect<void>
): Effect.fn.Return<void> {
  const clock = yield* Clock.Clock
  const beginning = monotonicMillis(clock)
  for (const step of plan.steps) {
    const wait = beginning + Duration.toMillis(step.at) - monotonicMillis(clock)
    if (wait > 0) yield* Effect.sleep(wait)
    yield* perform(step)
  }
})
