/**
 * What tests of a moving client on real sockets share: a simulated deployment on loopback, a client on it, and what
 * happened. Tests in simulated time have `rehearsal.ts`.
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Config, Endpoint, Handoff, HitlessError, Notifications } from "hitless"
import { HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { SimulatedRedis } from "hitless/testing"
import { busyAt } from "../../src/Pool.ts"

/** Looks again every 5 ms until it holds; a test that waits in vain fails by the runner's time limit. */
export const waitUntil = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  condition.pipe(
    Effect.repeat({ schedule: Schedule.spaced("5 millis"), until: (holds) => holds }),
    Effect.asVoid
  )

export const deploy = (
  nodes: ReadonlyArray<string>,
  options: Partial<SimulatedRedis.Options> = {}
): Effect.Effect<SimulatedRedis.SimulatedRedis, never, Scope.Scope> =>
  Effect.orDie(
    SimulatedRedis.make({
      listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
      nodes,
      ...options
    })
  )

export interface Client {
  readonly redis: HitlessRedis.HitlessRedis["Service"]
  readonly handoffs: Array<Handoff.HandoffEvent>
  readonly notifications: Array<Notifications.Notification>
  /** Closes the client's scope now. */
  readonly close: Effect.Effect<void>
}

const port = (endpoint: Endpoint.Endpoint): number => endpoint._tag === "Tcp" ? endpoint.port : 0

/** A client of one node, closed with the surrounding scope at the latest. */
export const connect = (
  sim: SimulatedRedis.SimulatedRedis,
  node: string,
  options: Config.Options = {}
): Effect.Effect<Client, HitlessError.HitlessError | Config.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const redis = yield* HitlessRedis.make({
      host: "127.0.0.1",
      port: port(sim.endpoint(node)),
      ...options
    }).pipe(Scope.provide(scope), Effect.provide(NodeTransport.layer))
    const handoffs: Array<Handoff.HandoffEvent> = []
    const notifications: Array<Notifications.Notification> = []
    yield* Stream.runForEach(redis.handoffs, (event) => Effect.sync(() => handoffs.push(event))).pipe(
      Effect.forkIn(scope, { startImmediately: true })
    )
    yield* Stream.runForEach(redis.notifications, (event) => Effect.sync(() => notifications.push(event))).pipe(
      Effect.forkIn(scope, { startImmediately: true })
    )
    return {
      redis,
      handoffs,
      notifications,
      close: Scope.close(scope, Exit.void)
    }
  })

export const tags = (client: Client): ReadonlyArray<Handoff.HandoffEvent["_tag"]> =>
  client.handoffs.map((event) => event._tag)

/** Resolves when `count` handoffs have ended, well or not. */
export const handoffsEnded = (client: Client, count: number): Effect.Effect<void> =>
  waitUntil(
    Effect.sync(() => client.handoffs.filter(({ _tag }) => _tag === "Completed" || _tag === "Failed").length >= count)
  )

/** Puts so much on slow connections that the pool grows to `count` of them. */
export const openSlots = (
  sim: SimulatedRedis.SimulatedRedis,
  node: string,
  client: Client,
  count: number
): Effect.Effect<void, HitlessError.HitlessError> =>
  Effect.gen(function*() {
    const serving = Effect.map(
      client.redis.status,
      ({ slots }) => slots.filter(({ endpoint }) => endpoint !== undefined).length
    )
    yield* sim.latency(node, "20 millis")
    while ((yield* serving) < count) {
      yield* Effect.forEach(Array.from({ length: 2 * busyAt * count }), () => client.redis.send("PING"), {
        concurrency: "unbounded",
        discard: true
      })
    }
    yield* sim.latency(node, 0)
  })
