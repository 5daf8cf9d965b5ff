/**
 * One cell: one fault at one moment, to a client that uses every kind of connection, and what became of everything.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { Endpoint, HitlessRedis, Transport } from "hitless"
import { NodeTransport } from "hitless/node"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { makeAdmin } from "./admin.ts"
import { type Fault, steppedClock, type World } from "./faults.ts"
import { type Kind, kinds, Ledger, tallied } from "./ledger.ts"
import { makeNetwork, type Network } from "./network.ts"
import { makeServer, user } from "./server.ts"
import { fixed, startWorkload } from "./workload.ts"

/**
 * When a fault strikes: while nothing is under way, while everything is, or when a move was just announced, at the endpoint
 * that is left or at the one that it is left for.
 */
export const moments = ["idle", "loaded", "old endpoint", "target"] as const

export type Moment = (typeof moments)[number]

/** Whether there is such a cell: what hits both endpoints does so at one moment of a handoff. */
export const isCell = ({ hits }: Fault, moment: Moment): boolean => moment !== "target" || hits === "endpoint"

export interface Outcome {
  readonly fault: string
  readonly moment: Moment
  readonly calls: number
  readonly failed: ReadonlyArray<readonly [what: string, count: number]>
  /** What makes the cell fail; none if it is as it should be. */
  readonly problems: ReadonlyArray<string>
  /** Replies that were another command's. */
  readonly wrongReads: number
  /** What was told and was not so. */
  readonly untrue: ReadonlyArray<string>
  /** The longest call, of what it may take. */
  readonly longest: number
  /** Milliseconds from the end of the fault until every kind had an answer to what was asked after it, and who was last. */
  readonly recovery: number
  readonly last: Kind | undefined
  /** Whether the machine was so busy elsewhere that failures are not held against the client. */
  readonly isBusy: boolean
  /** Every health that was seen, in order. */
  readonly health: ReadonlyArray<string>
}

export const timing = { command: 800, relaxed: 1000, connect: 500 } as const

/** The options of the clients. */
export const options = {
  credentials: { username: user.name, password: Redacted.make(user.password) },
  clientName: "cell",
  poolSize: 2,
  maxReserved: 6,
  commandTimeout: timing.command,
  connectTimeout: timing.connect,
  maintenance: { relaxedTimeout: timing.relaxed, postHandoffRelaxedDuration: timing.relaxed, logLevel: "Debug" }
} as const

/** What a call may take: in a window that closes it has its own time again from there. */
export const allowed = (isHandoff: boolean): number => isHandoff ? timing.relaxed + timing.command : timing.command

/** Seconds that a move is announced for: longer than any fault of an endpoint lasts. */
const announced = 4

/** The patience with what has to come and has no deadline, in milliseconds. */
const patience = 15_000

export const until = (holds: Effect.Effect<boolean>): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const end = performance.now() + patience
    while (!(yield* holds)) {
      if (performance.now() > end) return false
      yield* Effect.sleep("10 millis")
    }
    return true
  })

const unknownName = NodeSocket.fromDuplex(
  Effect.fail(
    new Socket.SocketError({
      reason: new Socket.SocketOpenError({
        kind: "Unknown",
        cause: Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" })
      })
    })
  )
)

export const configured = "cache.test"

/** Node's sockets; the name of the endpoint leads to one of the nodes. */
export const transport = (network: Network, name: World["name"]) =>
  Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (transport) =>
      Transport.Transport.of({
        open: (endpoint, options) =>
          endpoint._tag !== "Tcp" || endpoint.host !== configured
            ? transport.open(endpoint, options)
            : Effect.suspend(() =>
              name.isUnknown
                ? unknownName
                : transport.open(Endpoint.tcp("127.0.0.1", network.ports[name.node]), options)
            ),
        resolve: () => Effect.succeed(["127.0.0.1"])
      }))
  ).pipe(Layer.provide(NodeTransport.layer))

export const textsOf = (reply: unknown): ReadonlyArray<string> => Array.isArray(reply) ? reply.map(String) : []

/** What is logged, at every level, looked through for the password. */
const listening = (secrets: Array<string>) =>
  Logger.layer([Logger.map(Logger.formatJson, (line) => {
    if (line.includes(user.password)) secrets.push(line)
  })])

/** The fibers of the client that have begun and not ended. */
export const counting = () => {
  let alive = 0
  const metrics: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      alive++
    },
    recordFiberEnd: () => {
      alive--
    }
  }
  return { metrics, alive: () => alive }
}

export const runCell = (program: string, fault: Fault, moment: Moment): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const isHandoff = moment === "old endpoint" || moment === "target"
    const server = yield* makeServer(program)
    const admin = yield* makeAdmin(server.socketPath)
    const replica = fault.needsReplica === true ? yield* makeServer(program) : undefined
    const replicaAdmin = replica === undefined ? undefined : yield* makeAdmin(replica.socketPath)
    if (replicaAdmin !== undefined) {
      yield* replicaAdmin.send("REPLICAOF", "127.0.0.1", server.port)
      yield* until(
        Effect.map(
          Effect.orDie(replicaAdmin.send("INFO", "replication")),
          (text) => String(text).includes("master_link_status:up")
        )
      )
    }
    for (let i = 0; i < fixed; i++) yield* admin.send("SET", `fixed:${i}`, `value ${i}`)
    const network = yield* makeNetwork(server.socketPath, 2)
    const name: World["name"] = { node: 0, isUnknown: false }
    const clock: World["clock"] = { ahead: 0 }
    const ledger = new Ledger()
    // After a failover the other server holds the truth.
    let isOver = false
    const fibers = counting()
    const secrets: Array<string> = []
    const scope = yield* Scope.fork(yield* Effect.scope)
    const redis = yield* HitlessRedis.make({ host: configured, port: network.ports[0], ...options }).pipe(
      Effect.retry({ times: 5 }),
      Scope.provide(scope),
      Effect.provide(transport(network, name)),
      Effect.provideService(Clock.Clock, steppedClock(yield* Clock.Clock, clock)),
      Effect.provide(listening(secrets)),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provideService(Metric.FiberRuntimeMetrics, fibers.metrics)
    )

    const health: Array<string> = []
    const watching = yield* Effect.forkScoped(Effect.forever(Effect.andThen(
      Effect.map(redis.status, (status) => {
        if (health.at(-1) !== status.health) health.push(status.health)
      }),
      Effect.sleep("20 millis")
    )))
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    yield* Effect.addFinalizer(() => Effect.sync(() => delay.disable()))

    const world: World = {
      server,
      admin,
      replica: replica === undefined || replicaAdmin === undefined
        ? undefined
        : { server: replica, admin: replicaAdmin },
      network,
      node: moment === "target" ? 1 : 0,
      redis,
      name,
      clock
    }
    const truth = () => isOver && replicaAdmin !== undefined ? replicaAdmin : admin
    const workload = yield* startWorkload(redis, ledger, {
      allowed: allowed(isHandoff),
      sharing: 6,
      source: truth
    })
    yield* Effect.sleep("200 millis")
    if (moment === "idle") {
      // Every kind has a connection, and none is in use.
      yield* workload.pause(true)
      yield* Effect.sleep("250 millis")
    }
    const struck = performance.now()
    if (moment === "target") yield* fault.begin(world)
    if (isHandoff) yield* network.announce(0, 1, announced)
    if (moment !== "target") yield* fault.begin(world)
    isOver = true
    yield* workload.pause(false)
    yield* Effect.sleep(fault.lasts)
    yield* fault.end(world)
    const healed = performance.now()
    const lasted = healed - struck

    const { problems } = ledger
    const last: { kind: Kind | undefined } = { kind: undefined }
    const answers = (kind: Kind) => {
      if (ledger.tallies[kind].lastSuccess > healed) return true
      last.kind = kind
      return false
    }
    if (!(yield* until(Effect.sync(() => kinds.every(answers))))) {
      problems.push(`${kinds.filter((kind) => !answers(kind)).join(", ")}: no recovery`)
    }
    const recovery = performance.now() - healed
    // The old endpoint has to be gone too.
    yield* Effect.sleep(isHandoff ? Math.max(0, announced * 1000 + 100 - fault.lasts - recovery) : 200)
    const state = { hasStopped: false }
    yield* Effect.forkScoped(Effect.tap(workload.stop, () => Effect.sync(() => (state.hasStopped = true))))
    if (!(yield* until(Effect.sync(() => state.hasStopped)))) problems.push("a call hangs")
    if (!(yield* until(Effect.map(redis.status, ({ health }) => health === "ok" || health === "maintenance")))) {
      problems.push(`health stays ${(yield* redis.status).health}`)
    }

    ledger.compare(
      textsOf(yield* truth().send("LRANGE", "written", 0, -1)),
      textsOf(yield* truth().send("LRANGE", "taken", 0, -1))
    )
    // A timer is as late as the event loop is, and the reply to a late one too.
    const late = 100 + 2 * delay.max / 1e6
    if (ledger.over > late) problems.push(`a call took ${Math.round(ledger.over - late)} ms more than its time`)
    const lastWrong = ledger.wrongReads.at(-1) ?? 0
    // At the target they slip in the handshake, whose end shows it.
    const slips = fault.slips === true && moment !== "target"
    // A slipped reply lives a second at most, and what is sent in it as long as a command may.
    const mayBeWrong = slips && lastWrong < healed + 1000 + timing.command
    if (ledger.wrongReads.length > 0 && !mayBeWrong) {
      problems.push(`${ledger.wrongReads.length} replies of other commands, the first: ${ledger.firstWrong}`)
    }
    const printed = ledger.failures.map(({ message }) => message)
    const told = [...secrets, ...printed].find((text) => text.includes(user.password))
    if (told !== undefined) problems.push(`tells the password: ${told.slice(0, 200)}`)
    // Where replies slip, so does what they say.
    if (!slips) problems.push(...ledger.untrue)
    const failed = tallied(ledger.failures)
    // Where the machine is busy elsewhere a fault lasts longer than it was meant to, and a move can take longer than announced.
    const isBusy = delay.max > 1e8 || lasted > fault.lasts + 200
    const isHarmless = !isBusy && (moment === "target" || fault.isHarmless === true)
    if (isHarmless) {
      const messages = ledger.failures.filter(({ isPartial }) => !isPartial).map(({ message }) => message)
      problems.push(...Array.from(new Set(messages), (message) => `fails, and need not: ${message}`))
    }

    yield* Fiber.interrupt(watching)
    yield* Scope.close(scope, Exit.void)
    const left = Effect.gen(function*() {
      const listed = String(yield* Effect.orDie(truth().send("CLIENT", "LIST")))
      return {
        connections: yield* network.links,
        listed: listed.split("\n").filter((line) => line.includes("name=cell ")).length,
        fibers: fibers.alive()
      }
    })
    if (!(yield* until(Effect.map(left, (left) => Object.values(left).every((count) => count === 0))))) {
      problems.push(`left after the scope: ${JSON.stringify(yield* left)}`)
    }
    return {
      fault: fault.name,
      moment,
      calls: kinds.reduce((sum, kind) => sum + ledger.tallies[kind].calls, 0),
      failed,
      problems,
      wrongReads: ledger.wrongReads.length,
      untrue: ledger.untrue,
      longest: ledger.longest,
      recovery,
      last: last.kind,
      isBusy,
      health
    }
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: 6 * patience,
      orElse: () => Effect.succeed(broken(fault, moment, "the cell hangs"))
    }),
    Effect.catch((error) => Effect.succeed(broken(fault, moment, error.message))),
    Effect.catchDefect((defect) => Effect.succeed(broken(fault, moment, String(defect))))
  )

const broken = ({ name }: Fault, moment: Moment, problem: string): Outcome => ({
  fault: name,
  moment,
  calls: 0,
  failed: [],
  problems: [problem],
  wrongReads: 0,
  untrue: [],
  longest: 0,
  recovery: 0,
  last: undefined,
  isBusy: false,
  health: []
})
