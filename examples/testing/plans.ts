/**
 * An hour of maintenance, and the network it happens on.
 *
 * The plans fit commands that come once a minute, at 0:00:10, 0:01:10 and so on: just then a node announces that it is
 * left, retires, begins to stall, or fails.
 */
import { MaintenancePlan as Plan } from "hitless/testing"

const nodes = ["node-1", "node-2", "node-3"]

/** 6 minutes: each of the three nodes is left for the next. */
export const upgrade = Plan.rollingUpgrade({ nodes, pause: "5 seconds", time: "1 minute", quiet: "50 seconds" })

/** A minute: the shard behind the endpoint fails over, and answers nothing for 5 seconds. */
export const failover = Plan.delay(Plan.failover({ node: "node-1", time: "52 seconds" }), "8 seconds")

/** A minute: the node dies without a word, and its name leads to another 5 seconds later. */
export const failure = (node: string, to: string) =>
  Plan.delay(Plan.silentFailure({ node, to, outage: "50 seconds" }), "10 seconds")

/** 42, 8 and 10 minutes of these. */
export const upgrades = Plan.repeat(upgrade, 7)
export const failovers = Plan.repeat(failover, 8)
export const failures = Plan.repeat(Plan.concat(failure("node-1", "node-2"), failure("node-2", "node-1")), 5)

/** Answers come 20 ms late, and a new connection takes 200 ms to shake hands. */
export const network = Plan.make({
  nodes,
  steps: nodes.flatMap((node): ReadonlyArray<Plan.StepInput> => [
    { step: "latency", at: 0, node, delay: "20 millis" },
    { step: "handshake", at: 0, node, handshake: { _tag: "Answer", delay: "200 millis" } }
  ])
})
