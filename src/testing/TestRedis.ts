/**
 * Layers that put a service on a simulated deployment, with a client that hears of its maintenance.
 *
 * `layer` keeps everything in memory and in simulated time: no port is opened, an hour passes when the test says so, and
 * equal seeds give equal timelines. `layerLive` runs the same on TCP and in real time. Both provide the client under the
 * tags a service uses in production, so the service under test does not change.
 *
 * The nodes have the addresses `10.0.0.1:6379` and on, and clients know the database by a name that leads to the first
 * of them until a plan says otherwise. When the layer's scope closes, the client is closed first, time passing for it
 * if it must, then the deployment.
 *
 * **Gotchas**
 *
 * In simulated time a program that waits for something outside of the simulation, a real socket or a timer of another
 * library, is not waited for, and a loop that never sleeps holds the clock for ever. Finalizers of layers on top of this
 * one run before it closes, when nobody moves the clock: where one sleeps, or waits for a late answer, provide those
 * layers inside `MaintenanceClock.advanceUntil`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Dns from "effect/net/Dns"
import type * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import type { ConfigError, Options as ClientOptions } from "../Config.ts"
import { format } from "../Endpoint.ts"
import type { HitlessError } from "../HitlessError.ts"
import * as HitlessRedis from "../HitlessRedis.ts"
import { monotonicMillis } from "../internal/elapsed.ts"
import { CurrentObserver, type Observer } from "../internal/observer.ts"
import { Transport } from "../Transport.ts"
import { Handoffs } from "./internal/handoffs.ts"
import { Ledger, waitOf } from "./internal/ledger.ts"
import * as Network from "./internal/network.ts"
import { perform } from "./internal/perform.ts"
import { checkNodes, play } from "./internal/player.ts"
import * as Simulation from "./internal/simulation.ts"
import { MaintenanceClock } from "./MaintenanceClock.ts"
import { databaseName } from "./MaintenancePlan.ts"
import { type GapHeard, Rehearsal, type Tally } from "./Rehearsal.ts"
import * as SimulatedRedis from "./SimulatedRedis.ts"
import { type Entry, Timeline } from "./Timeline.ts"

/**
 * What a rehearsal is made of. Everything is optional.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The names of the nodes: `node-1`, `node-2` and `node-3` unless given. */
  readonly nodes?: ReadonlyArray<string> | undefined
  /** Options of the client. Its address is the deployment's, so there is none to give. */
  readonly client?: Omit<ClientOptions, "url" | "host" | "port" | "path" | "tls"> | undefined
  /** Options of the deployment: which Redis it is, what it answers to a handshake, who may log in, and its scripts. */
  readonly server?:
    | Omit<SimulatedRedis.Options, "listen" | "nodes" | "upstream" | "onEvent" | "onExecuted">
    | undefined
  /** How late everything comes that the nodes send, in the rehearsal's time. Default: 0. */
  readonly latency?: Duration.Input | undefined
  /** Decides what is random in the client and in the program, the jitter of retries for example. Default: 1. */
  readonly seed?: string | number | undefined
}

/**
 * What a rehearsal in real time is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface LiveOptions extends Omit<Options, "seed"> {
  /**
   * Opens a listener on a loopback port, 0 meaning any free one; see `SimulatedRedis.Options`. `NodeTestRedis.layerLive`
   * brings Node's.
   */
  readonly listen: SimulatedRedis.Options["listen"]
}

/**
 * What both layers provide. `Transport` and `Dns` lead into the simulated network, for clients beside the provided one.
 *
 * @category models
 * @since 0.1.0
 */
export type Provided =
  | HitlessRedis.HitlessRedis
  | Redis.Redis
  | SimulatedRedis.SimulatedRedis
  | MaintenanceClock
  | Rehearsal
  | Transport
  | Dns.Dns

/** Where time comes from. */
interface World {
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
  /** Runs an effect while time passes for it. Dies with the message when that takes longer. */
  readonly drive: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    atMost: Duration.Duration,
    message: string
  ) => Effect.Effect<A, E, R>
}

const defaultAtMost = Duration.hours(1)

const neverEnds = (atMost: Duration.Duration): string =>
  `MaintenanceClock.advanceUntil: the effect has not ended within ${Duration.format(atMost)}, or waits for something ` +
  "that time does not bring"

// A client closes within its own timeouts; an hour is longer than any.
const longestClose = Duration.hours(1)

const neverCloses = "The client does not close: something of it is still in use. A connection that the program has " +
  "reserved must be given back first: let the scope that it was reserved in close"

/** A clock that counts who sleeps on it. */
const countedClock = (clock: Clock.Clock): { readonly clock: Clock.Clock; readonly sleeping: () => number } => {
  let sleeping = 0
  return {
    clock: {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) =>
        Effect.suspend(() => {
          sleeping++
          return Effect.ensuring(clock.sleep(duration), Effect.sync(() => sleeping--))
        })
    },
    sleeping: () => sleeping
  }
}

/** A transport that counts the connections which are open. */
const countedTransport = (transport: Transport["Service"]) => {
  let connected = 0
  const count = Effect.acquireRelease(Effect.sync(() => connected++), () => Effect.sync(() => connected--))
  const service: Transport["Service"] = {
    resolve: transport.resolve,
    open: (endpoint, options) =>
      Effect.map(
        transport.open(endpoint, options),
        ({ reader, writer }) => Socket.make({ reader: Effect.tap(reader, count), writer })
      )
  }
  return { transport: service, connected: () => connected }
}

/** When something happened that could disturb a command, in milliseconds since the rehearsal began. */
const spansOf = (entry: Entry): ReadonlyArray<{ readonly from: number; readonly to: number }> => {
  const { at } = entry
  if (entry._tag === "Notified") return [{ from: at, to: at }]
  if (entry._tag !== "Deployment") return []
  switch (entry.event._tag) {
    case "Stalled":
    case "ReadOnly":
    case "Loading":
      return [{ from: at, to: at + entry.event.millis }]
    case "Retired":
    case "Killed":
    case "Dropped":
      return [{ from: at, to: at }]
    default:
      return []
  }
}

const defaultNodes = ["node-1", "node-2", "node-3"] as const

const build = Effect.fnUntraced(function*(
  world: World,
  network: Network.Network,
  nodes: ReadonlyArray<string>,
  options: Omit<Options, "seed">
): Effect.fn.Return<
  Context.Context<Provided>,
  HitlessError | ConfigError | SocketServer.SocketServerError,
  Scope.Scope
> {
  const clock = yield* Clock.Clock
  const begun = monotonicMillis(clock)
  const now = () => Math.floor(monotonicMillis(clock) - begun)
  const entries: Array<Entry> = []
  const ledger = new Ledger(clock, (command, error) => entries.push({ _tag: "Failed", at: now(), command, error }))
  const handoffs = new Handoffs(now)
  const gaps: Array<GapHeard> = []
  const clients = new Set<() => number>()
  const observer: Observer = {
    onSettled: ledger.onSettled,
    onClient: (pending) => {
      clients.add(pending)
      return () => clients.delete(pending)
    },
    onGap: ({ count, why }) => {
      const at = now()
      gaps.push({ at: Duration.millis(at), why, count })
      entries.push({ _tag: "Missed", at, why, count })
    }
  }

  const deployment = yield* SimulatedRedis.make({
    ...options.server,
    nodes,
    listen: (_port, node) => network.listen(node),
    onEvent: ({ event, node }) => entries.push({ _tag: "Deployment", at: now(), node, event }),
    onExecuted: ledger.onExecuted
  })
  const names = Network.makeNames(nodes)
  names.lead(databaseName, nodes[0])
  const transport = Network.makeTransport(network, names.dns)

  // Closed first, so that the deployment is there until nobody uses it.
  const clientScope = yield* Scope.make()
  const closeClient = world.drive(Scope.close(clientScope, Exit.void), longestClose, neverCloses)
  yield* Effect.addFinalizer(() => closeClient)
  const { clock: clientClock, sleeping } = countedClock(clock)
  const { connected, transport: clientTransport } = countedTransport(transport)
  const client = yield* Layer.buildWithScope(
    HitlessRedis.layer({ host: databaseName, ...options.client }),
    clientScope
  ).pipe(
    Effect.provideService(Clock.Clock, clientClock),
    Effect.provideService(CurrentObserver, observer),
    Effect.provideService(Transport, clientTransport)
  )
  const redis = Context.get(client, HitlessRedis.HitlessRedis)
  // From now on, since nobody moves the clock while the layer is built.
  const { latency } = options
  if (latency !== undefined) {
    yield* Effect.forEach(nodes, (node) => deployment.latency(node, latency), { discard: true })
  }
  const watch = <A>(stream: Stream.Stream<A>, see: (event: A) => void) =>
    Effect.forkIn(Stream.runForEach(stream, (event) => Effect.sync(() => see(event))), clientScope, {
      startImmediately: true
    })
  yield* watch(redis.notifications, (notification) => {
    entries.push({ _tag: "Notified", at: now(), notification })
    handoffs.heard(notification)
  })
  yield* watch(redis.handoffs, (event) => {
    entries.push({ _tag: "HandedOff", at: now(), event })
    handoffs.happened(event)
  })

  const lead = (name: string, node: string | null) =>
    Effect.sync(() => {
      names.lead(name, node)
      entries.push({ _tag: "Named", at: now(), name, node })
    })
  const scope = yield* Effect.scope
  const schedule: MaintenanceClock["Service"]["schedule"] = (plan) =>
    checkNodes(plan, nodes).pipe(
      Effect.andThen(
        Effect.forkIn(play(plan, (step) => perform(deployment, lead, step)), scope, { startImmediately: true })
      ),
      Effect.provideService(Clock.Clock, clock),
      Effect.asVoid
    )

  const underWay = () => Array.from(clients).reduce((sum, pending) => sum + pending(), 0)

  const report: Rehearsal["Service"]["report"] = Effect.map(redis.status, ({ pending }) => {
    const written: ReadonlyArray<Tally> = Array.from(ledger.written.values(), (one) => ({ ...one }))
    const { longest, requests } = ledger
    return {
      requests,
      pending,
      failed: entries.flatMap((entry) =>
        entry._tag === "Failed" ? [{ command: entry.command, at: Duration.millis(entry.at), error: entry.error }] : []
      ),
      writes: written,
      // What is under way, of whichever client, may have run and be on its way back.
      repeated: written.filter((one) => one.executed > one.acknowledged + one.uncertain + underWay()),
      lost: written.filter((one) => one.executed < one.acknowledged),
      handoffs: handoffs.outcomes(),
      announced: entries.filter(({ _tag }) => _tag === "Notified").length,
      moves: entries.filter((entry) =>
        entry._tag === "Deployment" && entry.event._tag === "Announced" && entry.event.push === "MOVING"
      ).length,
      underWay: handoffs.spans().concat(entries.flatMap(spansOf)).some(({ from, to }) =>
        ledger.underWay.some((span) =>
          span.from - begun < to + 1 && span.to - begun >= from
        )
      ),
      gaps: gaps.slice(),
      longestWait: longest && {
        command: longest.command,
        at: Duration.millis(Math.round(longest.endedAt - begun)),
        waited: Duration.millis(Math.round(waitOf(longest)))
      }
    }
  })

  const close: Rehearsal["Service"]["close"] = Effect.map(closeClient, () => ({
    connections: connected(),
    timers: sleeping()
  }))

  const addresses = new Map(nodes.map((node) => [format(deployment.endpoint(node)), node]))
  return client.pipe(
    Context.add(SimulatedRedis.SimulatedRedis, deployment),
    Context.add(Transport, transport),
    Context.add(Dns.Dns, names.dns),
    Context.add(CurrentObserver, observer),
    Context.add(MaintenanceClock, {
      schedule,
      advance: world.advance,
      advanceUntil: (effect, atMost = defaultAtMost) => {
        const limit = Duration.fromInputUnsafe(atMost)
        return world.drive(effect, limit, neverEnds(limit))
      },
      run: (plan) => Effect.andThen(schedule(plan), world.advance(plan.duration)),
      now: Effect.sync(() => Duration.millis(now())),
      timeline: Effect.sync(() => new Timeline(entries.slice(), addresses))
    }),
    Context.add(Rehearsal, { report, close })
  )
})

/**
 * A rehearsal in memory and in simulated time. Fails as `HitlessRedis.make` does.
 *
 * **Details**
 *
 * It brings its own clock, scheduler and randomness: effects that it is provided to, and fibers they fork, run in
 * simulated time, which begins at 0 and passes when `MaintenanceClock.advance`, `run` or `TestClock.adjust` say so.
 * It needs no test runner.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Provided, HitlessError | ConfigError> =>
  Layer.effectContext(Effect.gen(function*() {
    const { client, latency, nodes = defaultNodes, seed = 1, server } = options
    const simulation = yield* Simulation.make(seed)
    const world: World = {
      advance: (duration) => simulation.clock.adjust(duration),
      drive: simulation.drive
    }
    const provided = yield* Network.memory(nodes).pipe(
      Effect.flatMap((network) => build(world, network, nodes, { client, latency, server })),
      // A listener in memory does not fail.
      Effect.catchTag("SocketServerError", Effect.die),
      Effect.provideContext(simulation.context)
    )
    return Context.merge(simulation.context, provided)
  }))

/**
 * The same on TCP and in real time, over the `Transport` and the listeners of a platform. Fails as `HitlessRedis.make`
 * does, or when no port can be had.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLive = (
  options: LiveOptions
): Layer.Layer<Provided, HitlessError | ConfigError | SocketServer.SocketServerError, Transport> =>
  Layer.effectContext(Effect.gen(function*() {
    const { client, latency, listen, nodes = defaultNodes, server } = options
    const transport = yield* Transport
    const world: World = {
      advance: (duration) => Effect.sleep(duration),
      drive: (effect, atMost, message) =>
        Effect.timeoutOrElse(effect, { duration: atMost, orElse: () => Effect.die(new Error(message)) })
    }
    return yield* build(world, Network.tcp(nodes, listen, transport), nodes, { client, latency, server })
  }))
