/**
 * What our own tests on the test kit share: three nodes, a client of the first, plans, load, and what happened.
 */
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type Handoff, HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, TestRedis, type Timeline } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { busyAt } from "../../src/Pool.ts"

export const nodes = ["a", "b", "c"] as const

type Node = (typeof nodes)[number]

/** Where the nodes are; the client knows the first by the name of the database until it is told to move. */
export const addresses: Readonly<Record<Node, string>> = {
  a: "10.0.0.1:6379",
  b: "10.0.0.2:6379",
  c: "10.0.0.3:6379"
}

export const database = `${MaintenancePlan.databaseName}:6379`

/** What fails on purpose is not logged. */
const maintenance = { handoffTimeout: "10 seconds", logLevel: "Error" } as const

/** The options of a rehearsal in which the client has one connection, unless these say otherwise. */
export const options = (client: NonNullable<TestRedis.Options["client"]> = {}) => ({
  nodes,
  client: { poolSize: 1, ...client, maintenance: { ...maintenance, ...client.maintenance } }
})

/** In memory and in simulated time. */
export const rehearse = (client?: TestRedis.Options["client"]) => Effect.provide(TestRedis.layer(options(client)))

// ----- time and plans -----

/** Lets so much time pass. */
export const advance = (duration: Duration.Input) =>
  Effect.flatMap(MaintenanceClock.MaintenanceClock, (clock) => clock.advance(duration))

/** Begins a plan; time passes with `advance`. */
export const begin = (...steps: ReadonlyArray<MaintenancePlan.StepInput>) =>
  Effect.flatMap(
    MaintenanceClock.MaintenanceClock,
    (clock) => Effect.flatMap(MaintenancePlan.make({ nodes, steps }), clock.schedule)
  )

/** Goes through a whole plan, up to the end of what it announces. */
export const run = (...steps: ReadonlyArray<MaintenancePlan.StepInput>) =>
  Effect.flatMap(
    MaintenanceClock.MaintenanceClock,
    (clock) => Effect.flatMap(MaintenancePlan.make({ nodes, steps }), clock.run)
  )

/** A move that is announced and after which the node keeps its connections, unlike after the step `moving`. */
export const announceMove = (
  at: Duration.Input,
  seq: number,
  seconds: number,
  target: string
): MaintenancePlan.StepInput => ({
  step: "push",
  at,
  node: "a",
  elements: ["MOVING", seq, seconds, target]
})

/** Lets time pass in small steps until it holds: for what is true in real time too. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function*() {
    while (!(yield* condition)) yield* advance("5 millis")
  })

/** Sends a command that is not answered at once; join the fiber when its time has come. */
export const send = (...words: readonly [command: string, ...args: ReadonlyArray<string | number>]) =>
  Effect.flatMap(
    HitlessRedis.HitlessRedis,
    (redis) => Effect.forkChild(redis.send(...words), { startImmediately: true })
  )

// ----- load -----

/** Puts so much on slow connections to a node that the pool grows to `count` of them. */
export const openSlots = (node: Node, count: number) =>
  Effect.gen(function*() {
    const redis = yield* HitlessRedis.HitlessRedis
    const deployment = yield* SimulatedRedis
    const open = Effect.map(
      redis.status,
      ({ slots }) => slots.filter(({ endpoint }) => endpoint !== undefined).length
    )
    yield* deployment.latency(node, "20 millis")
    while ((yield* open) < count) {
      const burst = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 2 * busyAt * count }), () => redis.send("PING"), {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* until(Effect.sync(() => burst.pollUnsafe() !== undefined))
    }
    yield* deployment.latency(node, 0)
  })

/**
 * Fibers that increment one counter and read their own values back, one command after the other. Replies take 2 ms and
 * fibers begin 5 ms apart, so that at any moment one of them is under way. `stop` checks that each increment is stored.
 */
export const load = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  const deployment = yield* SimulatedRedis
  for (const node of nodes) yield* deployment.latency(node, "2 millis")
  const state = { running: true }
  let acknowledged = 0
  const worker = (id: number) =>
    Effect.gen(function*() {
      yield* Effect.sleep(5 * id)
      for (let i = 0; state.running; i++) {
        yield* redis.send("INCR", "load:counter")
        acknowledged++
        yield* redis.send("SET", `load:${id}`, i)
        assert.strictEqual(yield* redis.send("GET", `load:${id}`), String(i))
        yield* Effect.sleep("19 millis")
      }
    })
  const ids = Array.from({ length: 5 }, (_, id) => id)
  const all = yield* Effect.forkChild(Effect.forEach(ids, worker, { concurrency: "unbounded", discard: true }))
  const stop = Effect.gen(function*() {
    state.running = false
    yield* until(Effect.sync(() => all.pollUnsafe() !== undefined))
    yield* Fiber.join(all)
    for (const node of nodes) yield* deployment.latency(node, 0)
    assert.isAbove(acknowledged, 0)
    assert.strictEqual(yield* redis.send("GET", "load:counter"), String(acknowledged))
  })
  return { stop }
})

// ----- what happened -----

const entries = Effect.flatMap(
  MaintenanceClock.MaintenanceClock,
  ({ timeline }) => Effect.map(timeline, (timeline) => timeline.entries)
)

const entriesOf = <Tag extends Timeline.Entry["_tag"]>(tag: Tag) =>
  Effect.map(
    entries,
    (entries) => entries.filter((entry): entry is Extract<Timeline.Entry, { readonly _tag: Tag }> => entry._tag === tag)
  )

const names: ReadonlyMap<string | undefined, string> = new Map([
  [database, MaintenancePlan.databaseName],
  ...nodes.map((node) => [addresses[node], node] as const)
])

/** What happened to handoffs, each with its time in milliseconds since the rehearsal began. */
export const handoffs: Effect.Effect<
  ReadonlyArray<Handoff.HandoffEvent & { readonly at: number }>,
  never,
  MaintenanceClock.MaintenanceClock
> = Effect.map(entriesOf("HandedOff"), (entries) => entries.map(({ at, event }) => ({ at, ...event })))

/** What happened to handoffs, as `Queued b`. */
export const story = Effect.map(handoffs, (events) => events.map(({ _tag, to }) => `${_tag} ${names.get(to)}`))

/** The same with times, as `150 Queued b`. */
export const timedStory = Effect.map(
  handoffs,
  (events) => events.map(({ _tag, at, to }) => `${at} ${_tag} ${names.get(to)}`)
)

/** The notifications that the client heard, each once. */
export const notifications = Effect.map(
  entriesOf("Notified"),
  (entries) => entries.map(({ notification }) => notification)
)

/** What happened at the nodes, in order. */
export const deeds = entriesOf("Deployment")

/** When a node accepted its connections, in milliseconds since the rehearsal began. */
export const dials = (node: Node) =>
  Effect.map(
    deeds,
    (deeds) => deeds.filter((deed) => deed.node === node && deed.event._tag === "Accepted").map(({ at }) => at)
  )

/** How many connections a node has. */
export const connections = (node: Node) => Effect.flatMap(SimulatedRedis, (deployment) => deployment.connections(node))

export const status = Effect.flatMap(HitlessRedis.HitlessRedis, (redis) => redis.status)

/** What the slots hold, as `Serving b`. */
export const slots = Effect.map(
  status,
  ({ slots }) => slots.map(({ endpoint, state }) => endpoint === undefined ? state : `${state} ${names.get(endpoint)}`)
)

/** Holds when so many handoffs have ended, well or not. */
export const ended = (count: number) =>
  Effect.map(
    handoffs,
    (events) => events.filter(({ _tag }) => _tag === "Completed" || _tag === "Failed").length >= count
  )
