/**
 * What each step of a plan makes a deployment do.
 */
import * as Effect from "effect/Effect"
import type { Step } from "../MaintenancePlan.ts"
import type { SimulatedRedis } from "../SimulatedRedis.ts"

// The number is text where an integer belongs, the time is missing, and so is the target.
const malformed = ["MOVING", "soon"]

/** Performs one step. Where a name leads is told to `lead`, since names are no business of the nodes. */
export const perform = (
  deployment: SimulatedRedis,
  lead: (name: string, node: string | null) => Effect.Effect<void>,
  step: Step
): Effect.Effect<void> => {
  switch (step.step) {
    case "migrating":
      return deployment.migrating(step.node, step)
    case "migrated":
      return deployment.migrated(step.node, step)
    case "failingOver":
      return deployment.failingOver(step.node, step)
    case "failedOver":
      return deployment.failedOver(step.node, step)
    case "moving":
      return deployment.moving(step.node, step)
    case "stall":
      return deployment.stall(step.node, step.duration)
    case "latency":
      return deployment.latency(step.node, step.delay)
    case "handshake":
      return deployment.handshake(step.node, step.handshake)
    case "kill":
      return deployment.kill(step.node)
    case "drop":
      return deployment.drop(step.node)
    case "refuse":
      return deployment.refuse(step.node)
    case "accept":
      // A port that was taken meanwhile is the fault of the machine, not of the plan.
      return Effect.orDie(deployment.accept(step.node))
    case "duplicate":
      return deployment.duplicate(step.node)
    case "replay":
      return deployment.replay(step.node)
    case "malformed":
      return deployment.push(step.node, malformed)
    case "push":
      return deployment.push(step.node, step.elements)
    case "dns":
      return lead(step.name, step.target)
    case "readonly":
      return deployment.readonly(step.node, step.duration)
    case "loading":
      return deployment.loading(step.node, step.duration)
  }
}
