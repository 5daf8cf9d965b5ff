/**
 * Hours of trouble in no order: random faults and moves under a client that uses every kind of connection, and now and then
 * a look at whether what it said is so, and whether it takes no more memory, sockets and fibers than before.
 *
 * The seed decides what happens and when, so one that failed happens again: exactly so on the simulated clock, and as nearly
 * as a machine can with a real server.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal, TestRedis } from "hitless/testing"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { type Admin, AdminError, makeAdmin } from "./admin.ts"
import { allowed, configured, counting, options, textsOf, timing, transport, until } from "./cell.ts"
import { type Fault, faults, steppedClock, type World } from "./faults.ts"
import { randomOf } from "./fuzz.ts"
import { kinds, Ledger, tallied } from "./ledger.ts"
import { makeNetwork } from "./network.ts"
import { makeServer } from "./server.ts"
import { type Client, fixed, startWorkload, type Workload } from "./workload.ts"

/** One look. */
export interface Look {
  readonly look: number
  /** What happened since the one before, in order. */
  readonly events: ReadonlyArray<string>
  readonly calls: number
  readonly failed: ReadonlyArray<readonly [what: string, count: number]>
  readonly heapMiB: number
  readonly connections: number
  readonly fibers: number
  /** What makes the run fail. */
  readonly problems: ReadonlyArray<string>
}

type Random = ReturnType<typeof randomOf>

const pick = <A>(random: Random, values: ReadonlyArray<A>): A => values[Math.floor(random() * values.length)]

/** Numbers of one look are below those of the next. */
const apart = 10_000_000

const heap = Effect.sync(() => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
})

/** Whether the least of a series of numbers grows: in its last third against its first, the first two looks aside. */
const grows = (numbers: ReadonlyArray<number>, by: number): boolean => {
  const settled = numbers.slice(2)
  const third = Math.floor(settled.length / 3)
  return third >= 2 && Math.min(...settled.slice(-third)) > Math.min(...settled.slice(0, third)) + by
}

/** What is seen to grow, over all looks. */
const growth = (looks: ReadonlyArray<Look>): ReadonlyArray<string> => [
  ...(grows(looks.map(({ heapMiB }) => heapMiB), 6) ? ["the heap grows"] : []),
  ...(grows(looks.map(({ fibers }) => fibers), 5) ? ["fibers are left"] : []),
  ...(grows(looks.map(({ connections }) => connections), 2) ? ["connections are left"] : [])
]

/** Compares what was said since the last look with what the server holds, and begins anew. */
const settle = Effect.fnUntraced(function*(ledger: Ledger, workload: Workload, admin: Admin) {
  yield* workload.stop
  ledger.compare(
    textsOf(yield* admin.send("LRANGE", "written", 0, -1)),
    textsOf(yield* admin.send("LRANGE", "taken", 0, -1))
  )
  yield* admin.send("DEL", "written", "taken", "jobs")
  if (ledger.wrongReads.length > 0) ledger.problems.push(`a reply of another command: ${ledger.firstWrong}`)
  return [...ledger.problems, ...ledger.untrue]
})

const calls = (ledger: Ledger): number => kinds.reduce((sum, kind) => sum + ledger.tallies[kind].calls, 0)

// ----- in real time -----

const usable = faults.filter(({ needsReplica, slips }) => needsReplica !== true && slips !== true)

/** Milliseconds between two looks. */
const every = 12_000

/** What a run in real time has: a client of a real server behind so many nodes, and what is needed to look at both. */
export const makeStage = Effect.fnUntraced(function*(program: string, nodes: number) {
  const server = yield* makeServer(program)
  const admin = yield* makeAdmin(server.socketPath)
  for (let i = 0; i < fixed; i++) yield* admin.send("SET", `fixed:${i}`, `value ${i}`)
  const network = yield* makeNetwork(server.socketPath, nodes)
  const name: World["name"] = { node: 0, isUnknown: false }
  const clock: World["clock"] = { ahead: 0 }
  const fibers = counting()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const redis = yield* HitlessRedis.make({ host: configured, port: network.ports[0], ...options }).pipe(
    Effect.retry({ times: 5 }),
    Scope.provide(scope),
    Effect.provide(transport(network, name)),
    Effect.provideService(Clock.Clock, steppedClock(yield* Clock.Clock, clock)),
    Effect.provideService(References.MinimumLogLevel, "Fatal"),
    Effect.provideService(Metric.FiberRuntimeMetrics, fibers.metrics)
  )
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  yield* Effect.addFinalizer(() => Effect.sync(() => delay.disable()))
  return { server, admin, network, name, clock, fibers, redis, delay, scope }
})

type Stage = Effect.Success<ReturnType<typeof makeStage>>

/** Works while `happen` does, and looks then; `judge` says what is wrong with what was said. */
export const look = Effect.fnUntraced(function*(
  { admin, delay, fibers, network, redis }: Stage,
  number: number,
  happen: (events: Array<string>) => Effect.Effect<unknown, Error>,
  judge: (ledger: Ledger) => ReadonlyArray<string> = () => []
): Effect.fn.Return<Look, Error> {
  const ledger = new Ledger(undefined, number * apart)
  const events: Array<string> = []
  delay.reset()
  const problems = yield* Effect.scoped(Effect.gen(function*() {
    const workload = yield* startWorkload(redis, ledger, { allowed: allowed(true), sharing: 6, source: () => admin })
    yield* happen(events)
    const healed = performance.now()
    const isBack = yield* until(Effect.sync(() => kinds.every((kind) => ledger.tallies[kind].lastSuccess > healed)))
    // What a server that was stopped, or a connection that was held back, still has to run.
    yield* Effect.sleep(timing.command + timing.relaxed)
    const problems = yield* settle(ledger, workload, admin)
    const late = 100 + 2 * delay.max / 1e6
    return [
      ...problems,
      ...(isBack ? [] : ["no recovery"]),
      ...(ledger.over > late ? [`a call took ${Math.round(ledger.over - late)} ms more than its time`] : []),
      ...judge(ledger)
    ]
  }))
  return {
    look: number,
    events,
    calls: calls(ledger),
    failed: tallied(ledger.failures),
    heapMiB: yield* heap,
    connections: yield* network.links,
    fibers: fibers.alive(),
    problems
  }
})

/** Closes the client; what all looks found, and what grew or is left. */
export const conclude = Effect.fnUntraced(function*(
  { fibers, network, scope }: Stage,
  looks: ReadonlyArray<Look>
): Effect.fn.Return<ReadonlyArray<string>> {
  yield* Scope.close(scope, Exit.void)
  const hasClosed = yield* until(Effect.map(network.links, (links) => links === 0 && fibers.alive() === 0))
  return [
    ...looks.flatMap(({ problems }) => problems),
    ...growth(looks),
    ...(hasClosed ? [] : [`left after the scope: ${yield* network.links} connections, ${fibers.alive()} fibers`])
  ]
})

/** Runs for so long against a real server, and tells of each look; gives the problems. */
export const soak = (
  program: string,
  seed: number,
  minutes: number,
  tell: (look: Look) => void
): Effect.Effect<ReadonlyArray<string>, Error> =>
  Effect.gen(function*() {
    const random = randomOf(seed)
    const stage = yield* makeStage(program, 2)
    const { name, network } = stage

    const happen = Effect.fnUntraced(function*(fault: Fault, events: Array<string>) {
      const node = random() < 0.5 ? 0 : 1
      const isMoving = random() < 0.3
      const lasts = fault.lasts * (0.3 + random())
      events.push(`${fault.name}${fault.hits === "endpoint" ? ` at ${node}` : ""}${isMoving ? " in a move" : ""}`)
      const world: World = { ...stage, replica: undefined, node }
      const from = random() < 0.5 ? 0 : 1
      if (isMoving && random() < 0.5) yield* network.announce(from, 1 - from, 2)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* fault.begin(world)
        if (isMoving) yield* network.announce(from, 1 - from, 2)
        yield* Effect.sleep(lasts)
        yield* fault.end(world)
      }))
      name.node = 0
    })

    const looks: Array<Look> = []
    const end = performance.now() + minutes * 60_000
    while (performance.now() < end) {
      const next = Math.min(performance.now() + every, end)
      const seen = yield* look(stage, looks.length, (events) =>
        Effect.gen(function*() {
          while (performance.now() < next) {
            yield* Effect.sleep(1000 * random())
            yield* happen(pick(random, usable), events)
          }
        }))
      looks.push(seen)
      tell(seen)
      if (seen.problems.length > 0) break
    }
    return yield* conclude(stage, looks)
  }).pipe(Effect.scoped)

// ----- on the simulated clock -----

const nodes = ["a", "b", "c", "past"] as const

/** Nothing befalls this one: what is said there is so. */
const past = "10.0.0.4"

const troubles = [
  "moving",
  "migrating",
  "failingOver",
  "stall",
  "readonly",
  "loading",
  "kill",
  "drop",
  "refuse",
  "latency"
] as const

/** What happens in the first 50 minutes of an hour, and that all is well then. */
const hourOf = (random: Random): ReadonlyArray<MaintenancePlan.StepInput> => {
  const steps = Array.from({ length: 60 }, (): MaintenancePlan.StepInput => {
    const at = Math.floor(random() * 50 * 60_000)
    const index = Math.floor(random() * 3)
    const node = nodes[index]
    const step = pick(random, troubles)
    const amount = Math.floor(random() * 5000)
    switch (step) {
      case "moving":
        return { step, at, node, time: 1000 + 4 * amount, target: random() < 0.2 ? null : nodes[(index + 1) % 3] }
      case "migrating":
      case "failingOver":
        return { step, at, node, time: 1000 + 4 * amount }
      case "stall":
      case "readonly":
      case "loading":
        return { step, at, node, duration: amount }
      case "latency":
        return { step, at, node, delay: Math.floor(amount / 50) }
      default:
        return { step, at, node }
    }
  })
  const again = steps.flatMap((step): ReadonlyArray<MaintenancePlan.StepInput> =>
    step.step === "refuse" ? [{ step: "accept", at: Number(step.at) + 2000, node: step.node }] : []
  )
  // A command is under way when something happens only if it takes time.
  const distance = nodes.slice(0, 3).map((node): MaintenancePlan.StepInput => ({
    step: "latency",
    at: 0,
    node,
    delay: 1
  }))
  const calm = nodes.slice(0, 3).flatMap((node): ReadonlyArray<MaintenancePlan.StepInput> => [
    { step: "accept", at: "51 minutes", node },
    { step: "latency", at: "51 minutes", node, delay: 1 }
  ])
  return [...distance, ...steps, ...again, ...calm]
}

/** Runs for so many simulated hours, and tells of each; gives the problems. */
export const soakSimulated = (
  seed: number,
  hours: number,
  tell: (look: Look) => void
): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.gen(function*() {
    const random = randomOf(seed)
    const looks: Array<Look> = []
    const problems: Array<string> = []
    const { clientName, maxReserved, poolSize, commandTimeout, connectTimeout, maintenance } = options
    const fibers = counting()
    for (let hour = 0; hour < hours && problems.length === 0; hour++) {
      const look = yield* Effect.gen(function*() {
        const redis: Client = yield* HitlessRedis.HitlessRedis
        const time = yield* MaintenanceClock.MaintenanceClock
        const clock = yield* Clock.Clock
        const direct = yield* HitlessRedis.make({ host: past, poolSize: 1, maintenance: { mode: "disabled" } })
        const admin: Admin = {
          send: (command, ...args) =>
            Effect.mapError(direct.send(String(command), ...args), ({ message }) => new AdminError({ message }))
        }
        for (let i = 0; i < fixed; i++) yield* admin.send("SET", `fixed:${i}`, `value ${i}`)
        const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
        const ledger = new Ledger(now, hour * apart)
        const workload = yield* startWorkload(redis, ledger, {
          allowed: allowed(true),
          sharing: 4,
          source: () => admin,
          pace: 40
        })
        const steps = hourOf(random)
        yield* time.run(yield* MaintenancePlan.make({ nodes, steps }))
        const healed = now()
        yield* time.advance("5 minutes")
        const isBack = kinds.every((kind) => ledger.tallies[kind].lastSuccess > healed)
        const found = yield* time.advanceUntil(settle(ledger, workload, admin))
        yield* time.advance("2 minutes")
        const status = yield* redis.status
        yield* Rehearsal.assertNothingLeftOpen
        return {
          look: hour,
          events: steps.map(({ step }) => step),
          calls: calls(ledger),
          failed: tallied(ledger.failures),
          heapMiB: yield* heap,
          connections: status.slots.length + status.leases.length + status.subscribers.length,
          fibers: fibers.alive(),
          problems: [
            ...found,
            ...(isBack ? [] : ["no recovery"]),
            ...(status.health === "ok" ? [] : [`health stays ${status.health}`]),
            ...(ledger.over > 1 ? [`a call took ${ledger.over} ms more than its time`] : [])
          ]
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(TestRedis.layer({
          nodes,
          seed: `${seed}/${hour}`,
          client: { clientName, maxReserved, poolSize, commandTimeout, connectTimeout, maintenance }
        })),
        Effect.provideService(Metric.FiberRuntimeMetrics, fibers.metrics),
        Effect.provideService(References.MinimumLogLevel, "Fatal")
      )
      looks.push(look)
      problems.push(...look.problems)
      tell(look)
    }
    return [...problems, ...growth(looks)]
  })
