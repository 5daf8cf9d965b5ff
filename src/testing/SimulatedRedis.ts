/**
 * A simulated deployment of Redis: named endpoints that share one keyspace, announce maintenance, move, stall and fail
 * when told to.
 *
 * Every node listens on its own address, speaks RESP2 and RESP3 with their handshake, and answers either from a
 * keyspace of its own (strings, hashes, lists, sets, sorted sets, streams with groups, blocking commands, expiry, scans,
 * transactions, pub/sub with patterns and shard channels, tracking, scripts as registered functions) or by relaying to a real
 * Redis server. The *verbs* make it behave as a deployment under maintenance does: `moving`, `migrating`, `migrated`,
 * `failingOver`, `failedOver` announce on every connection of a node that opted in, and `duplicate`, `replay` and `push`
 * say more; `stall`, `latency`, `readonly`, `loading`, `kill`, `drop`, `refuse`, `accept` and `handshake` change what a
 * client meets.
 *
 * **Details**
 *
 * A node is *accepting* from the start; `refuse` and `accept` lead from one state to the other. A connection that was
 * accepted lives until its client closes it, `kill`, `drop` or the retirement after `moving` ends it, or the scope
 * closes: then nothing is accepted any more, all connections are closed, and a client that does not read is cut off.
 * Time is read and waited for through Effect's `Clock` alone, and sockets come from `Options.listen`, so the same
 * deployment runs on TCP in real time or in memory under a simulated clock.
 *
 * **Gotchas**
 *
 * Nothing is persisted or replicated, no Lua is run, no cluster commands and no inline commands are known, and `HELLO`
 * and subscribing are refused in a transaction. Running a command takes no time, and one event loop serves all nodes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Endpoint from "../Endpoint.ts"
import { monotonicMillis } from "../internal/elapsed.ts"
import {
  type Announcement,
  type Backend,
  type Behaviour,
  type ClosedBy,
  Connection,
  type Node
} from "./server/connection.ts"
import { makeRelay } from "./server/relay.ts"
import { ReplyValue } from "./server/replies.ts"
import type { Script } from "./server/script.ts"
import { makeDeployment, Session } from "./server/session.ts"

/**
 * Functions that stand for the Lua scripts of the program under test, and the values that they see and give.
 *
 * @category models
 * @since 0.1.0
 */
export type { Script, ScriptRedis, ScriptReply, ScriptValue } from "./server/script.ts"

/**
 * What a simulated deployment is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Opens a listener on a port, 0 meaning any free one; closing its scope must stop it from accepting. In Node this is
   * `(port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true })`; without `noDelay` a lone reply can
   * wait for the client's delayed acknowledgement, 40 ms on Linux. `node` is the name of the node that listens there.
   */
  readonly listen: (
    port: number,
    node: string
  ) => Effect.Effect<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Scope.Scope>
  /** The names of the nodes. */
  readonly nodes: ReadonlyArray<string>
  /**
   * The answer to `CLIENT MAINT_NOTIFICATIONS`: `+OK`, the error of servers that do not know it, or the error of servers
   * where it is switched off. `"supported"` unless given.
   */
  readonly maintenance?: "supported" | "unsupported" | "disabled" | undefined
  /**
   * What `HELLO` can do: `"resp3"` (unless given), `"resp2"` when protocol 3 is answered with `-NOPROTO`, `"unknown"`
   * when there is no such command.
   */
  readonly hello?: "resp3" | "resp2" | "unknown" | undefined
  /**
   * The Redis whose replies are reproduced, also in what `HELLO` and `INFO` tell. `"8.0"` unless given. It is not used
   * with `upstream`, which has a version of its own.
   */
  readonly version?: "7.0" | "8.0" | undefined
  /**
   * Passwords by user name, where `default` is the user of `AUTH password`. Everybody may do everything unless given.
   * It is not used with `upstream`, which checks credentials itself.
   */
  readonly users?: Readonly<Record<string, Redacted.Redacted>> | undefined
  /**
   * A socket to a real Redis server that executes the commands; each connection dials its own. Commands that switch
   * replies off (`CLIENT REPLY`, `MONITOR`) cannot be relayed.
   */
  readonly upstream?: Effect.Effect<Socket.Socket> | undefined
  /**
   * Functions that stand for the Lua scripts of the program under test; no Lua is run. Those of Effect's own modules
   * (`PersistedQueue`, `RateLimiter`, `Persistence`, `CircuitBreaker`) are there already.
   */
  readonly scripts?: ReadonlyArray<Script> | undefined
  /** Called with every event when it happens, synchronously. */
  readonly onEvent?: ((entry: LogEntry) => void) | undefined
  /** Called with every command on data when it has run, synchronously. */
  readonly onExecuted?: ((execution: Execution) => void) | undefined
}

/**
 * A command that a node has run. `words` are byte strings, one character per byte; `ok` is `false` when it was
 * answered with an error. The commands of a transaction count one by one, a script as the one command that called it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Execution {
  readonly node: string
  readonly connection: number
  readonly words: ReadonlyArray<string>
  readonly ok: boolean
}

/**
 * How a node treats the handshake of connections that it accepts from now on.
 *
 * - `Answer`: as usual; the answer to `HELLO`, and what comes after it, is delayed by `delay`.
 * - `HangBeforeHello`: the connection is accepted and nothing is ever answered.
 * - `HangAfterHello`: the first command is answered and no other.
 * - `NoAuth`: every command is answered with `-NOAUTH`.
 * - `DropAfterBytes`: the connection is closed once that many bytes of answers were sent; 0 closes instead of the first
 *   answer.
 *
 * @category models
 * @since 0.1.0
 */
export type Handshake =
  | { readonly _tag: "Answer"; readonly delay?: Duration.Input | undefined }
  | { readonly _tag: "HangBeforeHello" }
  | { readonly _tag: "HangAfterHello" }
  | { readonly _tag: "NoAuth" }
  | { readonly _tag: "DropAfterBytes"; readonly bytes: number }

/**
 * An element of a push: text, an integer, null, or an array of them.
 *
 * @category models
 * @since 0.1.0
 */
export type PushElement = string | number | null | ReadonlyArray<PushElement>

/**
 * What `moving` announces.
 *
 * **Details**
 *
 * `target` is the node to move to, `null`, or text that is sent as it is. A connection that asked for
 * `moving-endpoint-type none` is told `null` instead of a node. `time` is announced in whole seconds, rounded up, and
 * so long the node's connections have from then on; one that opts in later is told the same time. `seq` is the number
 * after the last one used, unless given.
 *
 * @category models
 * @since 0.1.0
 */
export interface MovingOptions {
  readonly target: string | null | { readonly raw: string }
  readonly time: Duration.Input
  readonly seq?: number | undefined
}

/**
 * What `migrating` and `failingOver` announce: `time` in whole seconds, rounded up, and the shards, `["1"]` unless
 * given.
 *
 * @category models
 * @since 0.1.0
 */
export interface BeginOptions extends EndOptions {
  readonly time: Duration.Input
}

/**
 * What `migrated` and `failedOver` announce.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndOptions {
  readonly shards?: ReadonlyArray<string> | undefined
  readonly seq?: number | undefined
}

/**
 * What ended a connection: its client, a verb or the end of the deployment, a handshake that was cut short, bytes that
 * are no command, or the server behind it.
 *
 * @category models
 * @since 0.1.0
 */
export type { ClosedBy } from "./server/connection.ts"

/**
 * Something that happened at a node. `connection` numbers the connections of the deployment from 1 on.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Accepted"; readonly connection: number }
  | { readonly _tag: "OptedIn"; readonly connection: number; readonly endpointType: string }
  | { readonly _tag: "Closed"; readonly connection: number; readonly by: ClosedBy }
  | { readonly _tag: "Announced"; readonly push: string; readonly seq: number; readonly connections: number }
  | { readonly _tag: "Pushed"; readonly connections: number }
  | { readonly _tag: "Retired"; readonly connections: number }
  | { readonly _tag: "Killed"; readonly connections: number }
  | { readonly _tag: "Dropped"; readonly connections: number }
  | { readonly _tag: "Stalled"; readonly millis: number }
  | { readonly _tag: "Delayed"; readonly millis: number }
  | { readonly _tag: "HandshakeChanged"; readonly handshake: Handshake["_tag"]; readonly millis: number }
  | { readonly _tag: "ReadOnly"; readonly millis: number }
  | { readonly _tag: "Loading"; readonly millis: number }
  | { readonly _tag: "Refusing" }
  | { readonly _tag: "Accepting" }

/**
 * An event with the node it happened at and when: milliseconds of the clock's monotonic reading, which a clock that is
 * set does not move.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogEntry {
  readonly at: number
  readonly node: string
  readonly event: Event
}

/**
 * A simulated deployment. Nodes are named as in `Options.nodes`; an unknown name is a defect.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedRedis {
  /** The names of its nodes, as they were given. */
  readonly nodes: ReadonlyArray<string>
  /** Where a node listens; it keeps its port while it refuses. */
  readonly endpoint: (node: string) => Endpoint.Endpoint
  /**
   * Announces that this endpoint is being left. When the announced time is over the node closes all its connections,
   * also those that came after the announcement. It goes on listening.
   */
  readonly moving: (node: string, options: MovingOptions) => Effect.Effect<void>
  readonly migrating: (node: string, options: BeginOptions) => Effect.Effect<void>
  readonly migrated: (node: string, options?: EndOptions) => Effect.Effect<void>
  readonly failingOver: (node: string, options: BeginOptions) => Effect.Effect<void>
  readonly failedOver: (node: string, options?: EndOptions) => Effect.Effect<void>
  /** Sends the node's last announcement once more, as it was, number included; nothing where there was none. */
  readonly duplicate: (node: string) => Effect.Effect<void>
  /** Sends the database's last completion once more, as a server does to who opts in; nothing where there was none. */
  readonly replay: (node: string) => Effect.Effect<void>
  /** Sends a push made of these elements, or these bytes, to every connection that opted in. */
  readonly push: (node: string, frame: ReadonlyArray<PushElement> | Uint8Array) => Effect.Effect<void>
  /**
   * Executes no command for that long, then all that came meanwhile, in order. Published messages wait as well, and
   * announcements do not. Of two stalls the later end counts.
   */
  readonly stall: (node: string, duration: Duration.Input) => Effect.Effect<void>
  /** Delays everything the node sends from now on, keeping its order. */
  readonly latency: (node: string, delay: Duration.Input) => Effect.Effect<void>
  readonly handshake: (node: string, handshake: Handshake) => Effect.Effect<void>
  /** Answers commands that write with `-READONLY` for that long, as a replica does. */
  readonly readonly: (node: string, duration: Duration.Input) => Effect.Effect<void>
  /** Answers commands on data with `-LOADING` for that long, as a server does that has just started. */
  readonly loading: (node: string, duration: Duration.Input) => Effect.Effect<void>
  /** Destroys all connections of a node; answers that were not yet written are lost. */
  readonly kill: (node: string) => Effect.Effect<void>
  /** Closes all connections of a node in order, without notice. */
  readonly drop: (node: string) => Effect.Effect<void>
  /** Stops listening: new connections are refused, the present ones stay. */
  readonly refuse: (node: string) => Effect.Effect<void>
  /** Listens again, on the same port. */
  readonly accept: (node: string) => Effect.Effect<void, SocketServer.SocketServerError>
  /** How many connections a node has now. */
  readonly connections: (node: string) => Effect.Effect<number>
  /** How many connections a node has accepted in all. */
  readonly accepted: (node: string) => Effect.Effect<number>
  /** Everything that happened so far, oldest first. */
  readonly log: Effect.Effect<ReadonlyArray<LogEntry>>
}

/**
 * The service under which a test kit provides its deployment.
 *
 * @category services
 * @since 0.1.0
 */
export const SimulatedRedis: Context.Service<SimulatedRedis, SimulatedRedis> = Context.Service<SimulatedRedis>(
  "hitless/testing/SimulatedRedis"
)

/** A listener: where it lives, and the fiber that hands its connections over. */
interface Listener {
  readonly scope: Scope.Closeable
  readonly accepting: Fiber.Fiber<never, SocketServer.SocketServerError>
}

interface Announced {
  readonly push: string
  readonly seq: number
  readonly announcement: Announcement
}

interface NodeState extends Node {
  readonly name: string
  /** Each with the fiber that serves it. */
  readonly connections: Map<Connection, Fiber.Fiber<unknown, unknown>>
  readonly inProgress: Map<string, Announcement>
  lastAnnounced: Announced | undefined
  endpoint: Endpoint.Endpoint
  listener: Listener | undefined
  accepted: number
  latency: number
  behaviour: Behaviour
}

const endpointOf = (address: NetAddress.SocketAddress): Endpoint.Endpoint =>
  address._tag === "UnixPathAddress"
    ? Endpoint.unix(address.path)
    : Endpoint.tcp(NetAddress.formatIp(address.address), address.port)

const toElement = (value: PushElement): ReplyValue => {
  if (value === null) return ReplyValue.Null()
  if (typeof value === "string") return ReplyValue.Bulk({ value })
  if (typeof value === "number") return ReplyValue.Integer({ value })
  return ReplyValue.Array({ items: value.map(toElement) })
}

const toPush = (elements: ReadonlyArray<PushElement>): ReplyValue => ReplyValue.Push({ items: elements.map(toElement) })

// Announced times are whole seconds on the wire.
const toSeconds = (time: Duration.Input): number => Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(time)))
const toMillis = (time: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(time))

/**
 * Starts a simulated deployment that lives as long as the scope; all its nodes listen when this returns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<SimulatedRedis, SocketServer.SocketServerError, Scope.Scope> {
    const clock = yield* Clock.Clock
    const now = () => monotonicMillis(clock)
    const runFork = Effect.runForkWith(yield* Effect.context())
    const deployment = makeDeployment({
      // Keys expire by the time of day, as on a real server; all else goes by time that passes.
      now: () => clock.currentTimeMillisUnsafe(),
      hello: options.hello ?? "resp3",
      version: options.version ?? "8.0",
      users: new Map(Object.entries(options.users ?? {})),
      scripts: options.scripts ?? [],
      onExecuted: (node, connection, words, ok) => options.onExecuted?.({ node, connection, words, ok })
    })
    const nodes = new Map<string, NodeState>()
    const log: Array<LogEntry> = []
    let lastConnection = 0
    let lastSeq = 0
    // A database remembers its last completion, wherever that was announced.
    let lastCompletion: Announced | undefined

    const note = (node: NodeState, event: Event): void => {
      const entry: LogEntry = { at: now(), node: node.name, event }
      log.push(entry)
      options.onEvent?.(entry)
    }

    const nodeNamed = (name: string): NodeState => {
      const node = nodes.get(name)
      if (node === undefined) throw new RangeError(`SimulatedRedis: there is no node named "${name}"`)
      return node
    }

    // On close: first nothing is accepted any more, then connections and timers end, then listeners, because Node's
    // are closed only after the last connection they accepted.
    const background = yield* Scope.make()
    const closers: Array<Fiber.Fiber<void>> = []
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        for (const node of nodes.values()) yield* stopListening(node)
        for (const node of nodes.values()) yield* closeConnections(node, "shutdown")
        yield* Scope.close(background, Exit.void)
        yield* Fiber.awaitAll(closers)
      })
    )

    // ----- connections -----

    const serve = Effect.fnUntraced(
      function*(node: NodeState, socket: Socket.Socket) {
        const scope = yield* Effect.scope
        const fiber = yield* Effect.withFiber((fiber) => Effect.succeed(fiber))
        const pull = yield* Socket.readerBytes(socket)
        const writer = yield* socket.writer
        const connection = new Connection(++lastConnection, node, node.behaviour, {
          writer,
          // A write fails when the client is gone, and then the reader fails too.
          fork: (effect) => Fiber.runIn(runFork(Effect.ignore(effect)), scope)
        })
        node.accepted++
        node.connections.set(connection, fiber)
        note(node, { _tag: "Accepted", connection: connection.id })
        yield* Effect.addFinalizer(() =>
          Effect.suspend(() => {
            node.connections.delete(connection)
            connection.session?.end()
            note(node, { _tag: "Closed", connection: connection.id, by: connection.closedBy })
            // An abnormal code destroys the socket at once, without what it has not yet sent. Otherwise that would keep
            // the socket open for as long as a client does not read, beyond the end of the deployment.
            return connection.closedBy === "kill" || connection.isWriting
              ? Effect.ignore(writer.write(new Socket.CloseEvent(1006)))
              : Effect.void
          })
        )
        const backend = options.upstream === undefined
          ? Effect.succeed(makeLocal(connection))
          : Effect.tapError(
            makeRelay(connection, deployment, options.upstream),
            () => Effect.sync(() => connection.close("upstream"))
          )
        yield* Effect.raceFirst(
          Effect.flatMap(backend, (backend) => connection.serve(pull, backend)),
          Deferred.await(connection.closing)
        )
      },
      Effect.scoped,
      Effect.tapDefect((defect) => Effect.logError("SimulatedRedis: a connection died", defect))
    )

    const makeLocal = (connection: Connection): Backend => {
      const session = new Session(deployment, connection)
      return { session, handle: (words) => session.handle(words), settle: Effect.void }
    }

    const closeConnections = (node: NodeState, by: ClosedBy): Effect.Effect<void> =>
      Effect.suspend(() => {
        for (const connection of node.connections.keys()) connection.close(by)
        return Effect.asVoid(Fiber.awaitAll(node.connections.values()))
      })

    // ----- listeners -----

    const listen = (node: NodeState, port: number) =>
      Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const scope = yield* Scope.make()
        const server = yield* restore(Scope.provide(options.listen(port, node.name), scope)).pipe(
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
        node.endpoint = endpointOf(server.address)
        // The connection outlives its handler, whose end neither reads nor closes the socket: so `refuse` can close
        // the listener and leave its connections alone.
        const accepting = runFork(server.run((socket) =>
          Effect.sync(() => {
            Fiber.runIn(runFork(Effect.ignore(serve(node, socket))), background)
          })
        ))
        node.listener = { scope, accepting }
      }))

    const stopListening = (node: NodeState): Effect.Effect<void> =>
      Effect.uninterruptible(Effect.suspend(() => {
        const listener = node.listener
        if (listener === undefined) return Effect.void
        node.listener = undefined
        // Closing stops the listener at once, and then waits for the connections that it accepted.
        const close = Effect.sync(() => {
          closers.push(runFork(Scope.close(listener.scope, Exit.void)))
        })
        return Effect.andThen(Fiber.interrupt(listener.accepting), close)
      }))

    for (const name of options.nodes) {
      const node: NodeState = {
        name,
        maintenance: options.maintenance ?? "supported",
        now,
        connections: new Map(),
        inProgress: new Map(),
        lastCompletion: () => lastCompletion?.announcement,
        onOptIn: (connection, endpointType) => note(node, { _tag: "OptedIn", connection: connection.id, endpointType }),
        endpoint: Endpoint.tcp("", 0),
        lastAnnounced: undefined,
        listener: undefined,
        accepted: 0,
        stalledUntil: 0,
        readonlyUntil: 0,
        loadingUntil: 0,
        latency: 0,
        behaviour: { _tag: "Answer", delay: 0 }
      }
      yield* listen(node, 0)
      nodes.set(name, node)
    }

    // ----- announcements -----

    const nextSeq = (given: number | undefined): number => {
      const seq = given ?? lastSeq + 1
      lastSeq = Math.max(lastSeq, seq)
      return seq
    }

    const hearing = (node: NodeState): ReadonlyArray<Connection> =>
      [...node.connections.keys()].filter(({ hears }) => hears)

    const announce = (node: NodeState, announced: Announced): void => {
      const connections = hearing(node)
      note(node, { _tag: "Announced", push: announced.push, seq: announced.seq, connections: connections.length })
      node.lastAnnounced = announced
      for (const connection of connections) connection.announce(announced.announcement)
    }

    const begin = (push: string) => (name: string, options: BeginOptions): Effect.Effect<void> =>
      Effect.sync(() => {
        const node = nodeNamed(name)
        const seq = nextSeq(options.seq)
        const { shards = ["1"], time } = options
        const announcement = () => toPush([push, seq, toSeconds(time), JSON.stringify(shards)])
        node.inProgress.set(push, announcement)
        announce(node, { push, seq, announcement })
      })

    const end = (push: string, began: string) => (name: string, options: EndOptions = {}): Effect.Effect<void> =>
      Effect.sync(() => {
        const node = nodeNamed(name)
        const seq = nextSeq(options.seq)
        const { shards = ["1"] } = options
        const announcement = () => toPush([push, seq, JSON.stringify(shards)])
        node.inProgress.delete(began)
        lastCompletion = { push, seq, announcement }
        announce(node, lastCompletion)
      })

    const again = (name: string, find: (node: NodeState) => Announced | undefined): Effect.Effect<void> =>
      Effect.sync(() => {
        const node = nodeNamed(name)
        const announced = find(node)
        if (announced !== undefined) announce(node, announced)
      })

    const moving = (name: string, options: MovingOptions): Effect.Effect<void> =>
      Effect.sync(() => {
        const node = nodeNamed(name)
        const seq = nextSeq(options.seq)
        const seconds = toSeconds(options.time)
        const { target } = options
        const isNode = typeof target === "string"
        const address = isNode ? Endpoint.format(nodeNamed(target).endpoint) : target?.raw ?? null
        const announcement: Announcement = ({ endpointType }) =>
          toPush(["MOVING", seq, seconds, isNode && endpointType === "none" ? null : address])
        node.inProgress.set("MOVING", announcement)
        announce(node, { push: "MOVING", seq, announcement })
        const retire = Effect.suspend(() => {
          // A later announcement stays in progress.
          if (node.inProgress.get("MOVING") === announcement) node.inProgress.delete("MOVING")
          note(node, { _tag: "Retired", connections: node.connections.size })
          return closeConnections(node, "retirement")
        })
        Fiber.runIn(runFork(Effect.delay(retire, Duration.seconds(seconds))), background)
      })

    return {
      nodes: options.nodes,
      endpoint: (name) => nodeNamed(name).endpoint,
      moving,
      migrating: begin("MIGRATING"),
      migrated: end("MIGRATED", "MIGRATING"),
      failingOver: begin("FAILING_OVER"),
      failedOver: end("FAILED_OVER", "FAILING_OVER"),
      duplicate: (name) => again(name, ({ lastAnnounced }) => lastAnnounced),
      replay: (name) => again(name, () => lastCompletion),
      push: (name, frame) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          const connections = hearing(node)
          note(node, { _tag: "Pushed", connections: connections.length })
          for (const connection of connections) {
            if (frame instanceof Uint8Array) connection.sendBytes([frame])
            else connection.send(toPush(frame))
          }
        }),
      stall: (name, duration) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          const millis = toMillis(duration)
          node.stalledUntil = Math.max(node.stalledUntil, now() + millis)
          note(node, { _tag: "Stalled", millis })
        }),
      latency: (name, delay) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          node.latency = toMillis(delay)
          note(node, { _tag: "Delayed", millis: node.latency })
        }),
      handshake: (name, handshake) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          node.behaviour = handshake._tag === "Answer"
            ? { _tag: "Answer", delay: toMillis(handshake.delay ?? 0) }
            : handshake
          const millis = node.behaviour._tag === "Answer" ? node.behaviour.delay : 0
          note(node, { _tag: "HandshakeChanged", handshake: handshake._tag, millis })
        }),
      readonly: (name, duration) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          const millis = toMillis(duration)
          node.readonlyUntil = now() + millis
          // Who waits for an element at this node is sent away.
          deployment.waiting.retry()
          note(node, { _tag: "ReadOnly", millis })
        }),
      loading: (name, duration) =>
        Effect.sync(() => {
          const node = nodeNamed(name)
          const millis = toMillis(duration)
          node.loadingUntil = now() + millis
          note(node, { _tag: "Loading", millis })
        }),
      kill: (name) =>
        Effect.suspend(() => {
          const node = nodeNamed(name)
          note(node, { _tag: "Killed", connections: node.connections.size })
          return closeConnections(node, "kill")
        }),
      drop: (name) =>
        Effect.suspend(() => {
          const node = nodeNamed(name)
          note(node, { _tag: "Dropped", connections: node.connections.size })
          return closeConnections(node, "drop")
        }),
      refuse: (name) =>
        Effect.suspend(() => {
          const node = nodeNamed(name)
          if (node.listener === undefined) return Effect.void
          note(node, { _tag: "Refusing" })
          return stopListening(node)
        }),
      accept: (name) =>
        Effect.suspend(() => {
          const node = nodeNamed(name)
          if (node.listener !== undefined) return Effect.void
          const port = node.endpoint._tag === "Tcp" ? node.endpoint.port : 0
          return Effect.andThen(listen(node, port), Effect.sync(() => note(node, { _tag: "Accepting" })))
        }),
      connections: (name) => Effect.sync(() => nodeNamed(name).connections.size),
      accepted: (name) => Effect.sync(() => nodeNamed(name).accepted),
      log: Effect.sync(() => log.slice())
    }
  }
)
