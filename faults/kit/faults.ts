/**
 * The faults, each with how it begins, how long it lasts and how it ends.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Admin } from "./admin.ts"
import type { Network, NetworkFault } from "./network.ts"
import { type Server, user } from "./server.ts"
import type { Client } from "./workload.ts"

/** What a fault can lay hands on. */
export interface World {
  readonly server: Server
  readonly admin: Admin
  /** A replica of the server, where the fault asked for one. */
  readonly replica: { readonly server: Server; readonly admin: Admin } | undefined
  readonly network: Network
  /** The node that is hit. */
  readonly node: number
  readonly redis: Client
  /** What the client's name leads to, or that it cannot be resolved. */
  readonly name: { node: number; isUnknown: boolean }
  /** Sets the client's time of day, in milliseconds from now. */
  readonly clock: { ahead: number }
}

export interface Fault {
  readonly name: string
  /** Whom it hits: one endpoint, the server behind all of them, or the client itself. */
  readonly hits: "endpoint" | "server" | "client"
  /** Milliseconds. */
  readonly lasts: number
  readonly begin: (world: World) => Effect.Effect<void, Error, Scope.Scope>
  readonly end: (world: World) => Effect.Effect<void, Error>
  readonly needsReplica?: boolean
  /** Whether it makes replies slip, so that a reply can be another command's until the order is proven anew. */
  readonly slips?: boolean
  /** Whether no command may fail: the server says that it did not run, and is itself again before the deadline. */
  readonly isHarmless?: boolean
  /** Whether it stops the whole process, and so must be alone there. */
  readonly isAlone?: boolean
}

const endpoint = (name: NetworkFault, lasts: number, rest: Partial<Fault> = {}): Fault => ({
  name,
  hits: "endpoint",
  lasts,
  begin: ({ network, node }) => network.fault(node, name),
  end: ({ network, node }) => network.fault(node, undefined),
  ...rest
})

const server = (
  name: string,
  lasts: number,
  begin: Fault["begin"],
  end: Fault["end"] = () => Effect.void,
  rest: Partial<Fault> = {}
): Fault => ({ name, hits: "server", lasts, begin, end, ...rest })

const all = (admin: Admin, ...commands: ReadonlyArray<string>) =>
  Effect.forEach(commands, (command) => admin.send(...command.split(" ")), { discard: true })

/** Ends all connections of the user, those that subscribe and wait included. */
const killAll = (admin: Admin) => admin.send("CLIENT", "KILL", "USER", user.name)

/** While a server loads its log a reload would end that in the middle: what is written then is in no log, and lost. */
const loaded = (admin: Admin): Effect.Effect<void, Error> =>
  Effect.gen(function*() {
    while (!String(yield* admin.send("INFO", "persistence")).includes("loading:0")) yield* Effect.sleep("5 millis")
  })

/** No server listens there. */
const nowhere = "REPLICAOF 127.0.0.1 1"

const killing = new WeakMap<World, Fiber.Fiber<unknown>>()

export const faults: ReadonlyArray<Fault> = [
  endpoint("refuse", 600),
  endpoint("silence", 600),
  endpoint("half-open", 600),
  endpoint("partition", 1000),
  endpoint("reset", 300),
  endpoint("fin", 300),
  endpoint("FIN inside a reply", 400),
  endpoint("reset inside a reply", 400),
  endpoint("drip", 600),
  endpoint("pause", 500),
  endpoint("garbage", 400),
  endpoint("truncated frame", 400, { slips: true }),
  endpoint("one reply too many", 400, { slips: true }),
  endpoint("one reply too few", 400, { slips: true }),
  endpoint("pushes without replies", 1000),
  server(
    "restart",
    300,
    ({ server }) => Effect.andThen(server.signal("SIGTERM"), server.gone),
    ({ server }) => server.start
  ),
  server(
    "kill",
    300,
    ({ server }) => Effect.andThen(server.signal("SIGKILL"), server.gone),
    ({ server }) => server.start
  ),
  server(
    "stop, then continue",
    1000,
    ({ server }) => server.signal("SIGSTOP"),
    ({ server }) => server.signal("SIGCONT")
  ),
  server("CLIENT PAUSE", 300, ({ admin }) => all(admin, "CLIENT PAUSE 300 ALL"), undefined, { isHarmless: true }),
  server("CLIENT PAUSE of writes", 300, ({ admin }) => all(admin, "CLIENT PAUSE 300 WRITE"), undefined, {
    isHarmless: true
  }),
  server(
    "LOADING",
    300,
    ({ admin }) =>
      Effect.gen(function*() {
        yield* loaded(admin)
        yield* all(
          admin,
          "DEBUG POPULATE 150 filler 2048",
          "CONFIG SET key-load-delay 2000",
          "CONFIG SET loading-process-events-interval-bytes 1024"
        )
        yield* Effect.forkScoped(Effect.ignore(admin.send("DEBUG", "RELOAD")))
      }),
    ({ admin }) => all(admin, "CONFIG SET key-load-delay 0"),
    { isHarmless: true }
  ),
  server("READONLY", 300, ({ admin }) => all(admin, nowhere), ({ admin }) => all(admin, "REPLICAOF NO ONE"), {
    isHarmless: true
  }),
  server(
    "failover with the socket open",
    500,
    ({ admin, network, replica }) =>
      Effect.gen(function*() {
        if (replica === undefined) return
        yield* all(admin, `FAILOVER TO 127.0.0.1 ${replica.server.port}`)
        while (!String(yield* replica.admin.send("INFO", "replication")).includes("role:master")) {
          yield* Effect.sleep("10 millis")
        }
        yield* network.lead(replica.server.socketPath)
      }),
    undefined,
    { needsReplica: true }
  ),
  server(
    "MASTERDOWN",
    300,
    ({ admin }) => all(admin, "CONFIG SET replica-serve-stale-data no", nowhere),
    ({ admin }) => all(admin, "REPLICAOF NO ONE"),
    { isHarmless: true }
  ),
  server(
    "OOM",
    300,
    ({ admin }) => all(admin, "CONFIG SET maxmemory 1"),
    ({ admin }) => all(admin, "CONFIG SET maxmemory 0")
  ),
  server(
    "max clients",
    600,
    ({ admin }) => Effect.andThen(all(admin, "CONFIG SET maxclients 1"), killAll(admin)),
    ({ admin }) => all(admin, "CONFIG SET maxclients 1000")
  ),
  server(
    "password changed",
    600,
    ({ admin }) => Effect.andThen(all(admin, `ACL SETUSER ${user.name} resetpass >another`), killAll(admin)),
    ({ admin }) => all(admin, `ACL SETUSER ${user.name} resetpass >${user.password}`)
  ),
  server(
    "ACL user deleted",
    600,
    ({ admin }) => all(admin, `ACL DELUSER ${user.name}`),
    ({ admin }) => all(admin, `ACL SETUSER ${user.name} on >${user.password} ~* &* +@all`)
  ),
  server(
    "CLIENT KILL every 100 ms",
    800,
    (world) =>
      Effect.gen(function*() {
        const every = Effect.andThen(Effect.ignore(killAll(world.admin)), Effect.sleep("100 millis"))
        killing.set(world, yield* Effect.forkScoped(Effect.forever(every)))
      }),
    (world) =>
      Effect.suspend(() => {
        const fiber = killing.get(world)
        return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
      })
  ),
  server(
    "idle connections closed",
    2500,
    ({ admin }) => all(admin, "CONFIG SET timeout 1"),
    ({ admin }) => all(admin, "CONFIG SET timeout 0")
  ),
  server(
    "output buffer exceeded",
    400,
    ({ admin, redis }) =>
      Effect.gen(function*() {
        yield* admin.send("SET", "large", "x".repeat(1_000_000))
        yield* admin.send("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0 pubsub 100000 0 0")
        // The one that reads it fails, and takes its neighbours' connection with it.
        yield* Effect.forkScoped(Effect.ignore(redis.send("GET", "large")))
        yield* admin.send("PUBLISH", "other", "x".repeat(1_000_000))
      }),
    ({ admin }) => Effect.asVoid(admin.send("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0 pubsub 0 0 0"))
  ),
  {
    name: "DNS fails",
    hits: "client",
    lasts: 600,
    begin: ({ name, network, node }) =>
      Effect.suspend(() => {
        name.isUnknown = true
        return network.fault(node, "reset")
      }),
    end: ({ name, network, node }) =>
      Effect.suspend(() => {
        name.isUnknown = false
        return network.fault(node, undefined)
      })
  },
  {
    name: "DNS leads elsewhere",
    hits: "client",
    lasts: 600,
    begin: ({ name, network, node }) =>
      Effect.suspend(() => {
        name.node = 1
        return network.fault(node, "refuse")
      }),
    end: ({ network, node }) => network.fault(node, undefined)
  },
  {
    name: "event loop blocked",
    hits: "client",
    lasts: 100,
    isAlone: true,
    begin: () =>
      Effect.sync(() => {
        const until = performance.now() + 900
        while (performance.now() < until);
      }),
    end: () => Effect.void
  },
  {
    name: "wall clock stepped",
    hits: "client",
    lasts: 400,
    isHarmless: true,
    begin: ({ clock }) =>
      Effect.sync(() => {
        clock.ahead = 3_600_000
      }),
    end: ({ clock }) =>
      Effect.sync(() => {
        clock.ahead = -3_600_000
      })
  }
]

/** The real clock, with a time of day that is set. */
export const steppedClock = (real: Clock.Clock, state: World["clock"]): Clock.Clock => {
  const millis = () => real.currentTimeMillisUnsafe() + state.ahead
  const nanos = () => real.currentTimeNanosUnsafe() + BigInt(state.ahead) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  }
}
