/**
 * The process of the deployment that moves: `handoffServer.ts <nodes>`, forked by `parts/handoff.ts`.
 *
 * It is the simulated deployment of `hitless/testing` on TCP, the one that `hitless simulate` serves: a server that
 * announces maintenance for the price of nothing. Nodes are named by numbers, and all share one keyspace.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"
import * as SimulatedRedis from "../../src/testing/SimulatedRedis.ts"
import { serve } from "../kit/child.ts"
import { host } from "../kit/server.ts"

/** Asks where the nodes are, has garbage collected, or moves everybody who is connected to one of the nodes. */
export type Question =
  | { readonly _tag: "Ports" }
  | { readonly _tag: "Collect" }
  | { readonly _tag: "Move"; readonly from: number; readonly to: number; readonly handshake: number }

/** How many connections were told to move, and the milliseconds until the last of them had left. */
export interface Moved {
  readonly told: number
  readonly arrived: number
  readonly millis: number
}

/** How long the announcement gives clients, in seconds; longer than any of them needs, so that nobody is cut off. */
const announced = 30

/** How often it is looked whether all have left, in milliseconds: a look costs nothing that a client could feel. */
const lookEvery = 10

// Its young generation stays at 1 MiB. Otherwise it grows to 64 MiB under load, and once 100 connections were open a
// collection took 10 ms: a pause in every phase that would hide what a handoff adds. The longest gap of a quiet phase
// went from 15 to 6 ms by this.
setFlagsFromString("--semi-space-growth-factor=1")

const program = Effect.gen(function*() {
  const names = Array.from({ length: Number(process.argv[2]) }, (_, node) => String(node))
  const simulator = yield* SimulatedRedis.make({
    nodes: names,
    listen: (port) => NodeSocketServer.make({ host, port, noDelay: true })
  })
  const move = Effect.fnUntraced(function*({ from, handshake, to }: Extract<Question, { _tag: "Move" }>) {
    const [source, target] = [String(from), String(to)]
    yield* simulator.handshake(target, { _tag: "Answer", delay: handshake })
    const told = yield* simulator.connections(source)
    const startedAt = performance.now()
    yield* simulator.moving(source, { target, time: announced * 1000 })
    yield* Effect.repeat(Effect.delay(simulator.connections(source), lookEvery), { until: (left) => left === 0 })
    const moved: Moved = {
      told,
      arrived: yield* simulator.connections(target),
      millis: performance.now() - startedAt
    }
    return moved
  })
  const ports = names.map((name) => {
    const endpoint = simulator.endpoint(name)
    return endpoint._tag === "Tcp" ? endpoint.port : 0
  })
  return yield* serve((question: Question): Effect.Effect<ReadonlyArray<number> | Moved | undefined> => {
    switch (question._tag) {
      case "Ports":
        return Effect.succeed(ports)
      case "Collect":
        return Effect.sync(() => {
          globalThis.gc?.()
          return undefined
        })
      case "Move":
        return move(question)
    }
  })
})

NodeRuntime.runMain(Effect.scoped(program))
