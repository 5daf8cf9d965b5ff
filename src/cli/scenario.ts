/**
 * The deployment of the demo and what happens to it: three nodes on loopback, a name that leads to the one that serves,
 * and a rolling upgrade in which every node is left in turn.
 *
 * It does to the nodes what servers do (docs/wire.md), with announced times of 1 s where real ones are 15 s: announce,
 * stall, close the retired node's connections when the announced time is over. Clients know the database by its name
 * alone, and the name follows the database, so a client that hears no announcement finds it again when it reconnects.
 *
 * @since 0.1.0
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as SocketServer from "effect/socket/SocketServer"
import type { ResolvedConfig } from "../Config.ts"
import type { Endpoint } from "../Endpoint.ts"
import { perform } from "../testing/internal/perform.ts"
import { play as playPlan } from "../testing/internal/player.ts"
import * as MaintenancePlan from "../testing/MaintenancePlan.ts"
import * as SimulatedRedis from "../testing/SimulatedRedis.ts"
import { Transport } from "../Transport.ts"

const nodeNames = ["node-1", "node-2", "node-3"] as const

/**
 * A running deployment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Deployment {
  readonly nodes: SimulatedRedis.SimulatedRedis
  /** What clients reach it through: the network, in which the database's name leads to the node that serves. */
  readonly transport: Transport["Service"]
  /** Makes a node, or the database's name, do what a step says. */
  readonly perform: (step: MaintenancePlan.Step) => Effect.Effect<void>
  /** The node's name, for an address of it. */
  readonly nameOf: (address: string) => string
}

/**
 * Starts the deployment for the surrounding scope. With an upstream, commands run on that server, and the nodes only
 * relay and announce.
 *
 * @category constructors
 * @since 0.1.0
 */
export const deploy = Effect.fnUntraced(function*(
  upstream: ResolvedConfig | undefined
): Effect.fn.Return<Deployment, SocketServer.SocketServerError, Transport | Scope.Scope> {
  const network = yield* Transport
  const nodes = yield* SimulatedRedis.make({
    listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
    nodes: nodeNames,
    upstream: upstream && network.open(upstream.endpoint, upstream)
  })
  let serving: string = nodeNames[0]
  const lead = (_name: string, node: string | null) =>
    Effect.sync(() => {
      if (node !== null) serving = node
    })
  const isDatabase = (endpoint: Endpoint) => endpoint._tag === "Tcp" && endpoint.host === MaintenancePlan.databaseName
  const names = new Map<string, string>()
  for (const node of nodeNames) {
    const endpoint = nodes.endpoint(node)
    if (endpoint._tag === "Tcp") names.set(`${endpoint.host}:${endpoint.port}`, node)
  }
  return {
    nodes,
    transport: {
      open: (endpoint, options) =>
        Effect.suspend(() => network.open(isDatabase(endpoint) ? nodes.endpoint(serving) : endpoint, options)),
      resolve: (host) => host === MaintenancePlan.databaseName ? Effect.succeed(["127.0.0.1"]) : network.resolve(host)
    },
    perform: (step) => perform(nodes, lead, step),
    nameOf: (address) => names.get(address) ?? address.replace(/:6379$/, "")
  }
})

// ----- the upgrade -----

/** Milliseconds; the shortest time that can be announced, since the wire counts in whole seconds. */
const announcedTime = 1000

/** How long a stalled shard answers nothing, in milliseconds: longer than the demo's command timeout. */
const stallTime = 1000

/** How long the targets of the second and third move take to answer `HELLO`, in milliseconds. */
const handshakeTime = 200

/** How long the target of the third move refuses dials, in milliseconds: the first attempt and at least one retry. */
const refusalTime = 250

/**
 * A part of the run: what happens to the deployment from its beginning on, and how long it is, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Phase {
  readonly name: string
  readonly note: string
  readonly length: number
  readonly steps: ReadonlyArray<MaintenancePlan.StepInput>
}

/**
 * The phase that shows ordinary latency, before anything happens.
 *
 * @category constants
 * @since 0.1.0
 */
export const quietPhase = "quiet"

/**
 * The phase in which the target takes its time to shake hands.
 *
 * @category constants
 * @since 0.1.0
 */
export const handshakePhase = `${handshakeTime} ms handshake`

// The retirement is 1 s after the announcement, and what follows from it should fall into the same phase.
const movingLength = 1300

/** A node is left for another one, and the name follows at half time. */
const move = (node: string, target: string): ReadonlyArray<MaintenancePlan.StepInput> => [
  { step: "moving", at: 0, node, target, time: announcedTime },
  { step: "dns", at: announcedTime / 2, name: MaintenancePlan.databaseName, target }
]

const upgrade: ReadonlyArray<Phase> = [
  {
    name: "migrating, stall",
    note: `node-1 migrates its shard, which answers nothing for ${stallTime} ms`,
    length: stallTime + 400,
    steps: [
      { step: "migrating", at: 0, node: "node-1", time: "2 seconds" },
      { step: "stall", at: 200, node: "node-1", duration: stallTime },
      { step: "migrated", at: stallTime + 300, node: "node-1" }
    ]
  },
  {
    name: "moving",
    note: "node-1 is left for node-2",
    length: movingLength,
    steps: move("node-1", "node-2")
  },
  {
    name: "migrating",
    note: "node-2 migrates its shard",
    length: 400,
    steps: [
      { step: "migrating", at: 0, node: "node-2", time: "2 seconds" },
      { step: "migrated", at: 300, node: "node-2" }
    ]
  },
  {
    name: handshakePhase,
    note: `node-2 is left for node-3, which takes ${handshakeTime} ms to shake hands`,
    length: movingLength,
    steps: [
      { step: "handshake", at: 0, node: "node-3", handshake: { _tag: "Answer", delay: handshakeTime } },
      ...move("node-2", "node-3")
    ]
  },
  {
    name: "failover, stall",
    note: `node-3 fails over and answers nothing for ${stallTime} ms`,
    length: stallTime + 400,
    steps: [
      { step: "failingOver", at: 0, node: "node-3", time: "2 seconds" },
      { step: "stall", at: 200, node: "node-3", duration: stallTime },
      { step: "failedOver", at: stallTime + 300, node: "node-3" }
    ]
  },
  {
    name: "refused dials",
    note: `node-3 is left for node-1, which refuses dials for ${refusalTime} ms, then shakes hands slowly`,
    length: movingLength,
    steps: [
      { step: "handshake", at: 0, node: "node-1", handshake: { _tag: "Answer", delay: handshakeTime } },
      { step: "refuse", at: 0, node: "node-1" },
      ...move("node-3", "node-1"),
      { step: "accept", at: refusalTime, node: "node-1" }
    ]
  }
]

const upgradeLength = upgrade.reduce((sum, { length }) => sum + length, 0)

/**
 * The least number of seconds a run can have: the upgrade, and a second of quiet around it.
 *
 * @category constants
 * @since 0.1.0
 */
export const shortestRun = Math.ceil((upgradeLength + 1000) / 1000)

/**
 * The phases of a run of so many seconds. The upgrade takes the same time in every run; what is left is quiet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const phases = (seconds: number): ReadonlyArray<Phase> => {
  const quiet = seconds * 1000 - upgradeLength
  return [
    // Node compiles the hot functions in the first second or so, which is not what ordinary latency means.
    { name: "warm-up", note: "nothing happens", length: 0.25 * quiet, steps: [] },
    { name: quietPhase, note: "nothing happens", length: 0.5 * quiet, steps: [] },
    ...upgrade,
    { name: "quiet again", note: "nothing happens", length: 0.25 * quiet, steps: [] }
  ]
}

/**
 * Goes through the phases. `enter` is told of each with its time on the monotonic clock in milliseconds, and of the end.
 *
 * @category running
 * @since 0.1.0
 */
export const play = Effect.fnUntraced(function*(
  deployment: Deployment,
  phases: ReadonlyArray<Phase>,
  enter: (phase: Phase | undefined, at: number) => Effect.Effect<void>
) {
  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
  let next = yield* now
  for (const phase of phases) {
    yield* enter(phase, yield* now)
    // Each phase ends when it should have, so that the phases of two runs are at the same times.
    next += phase.length
    const end = next
    const plan = yield* Effect.orDie(MaintenancePlan.make({ nodes: nodeNames, steps: phase.steps }))
    yield* playPlan(plan, deployment.perform)
    yield* Effect.sleep(Math.max(0, end - (yield* now)))
  }
  yield* enter(undefined, yield* now)
})
