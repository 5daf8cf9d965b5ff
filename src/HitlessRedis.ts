/**
 * `HitlessRedis`, the service that applications hold: commands, pipelines, transactions, and a view of maintenance.
 *
 * It adds nothing to the flow: a command becomes a request, the pool finds it a connection, the reply resumes the fiber.
 * The layers also provide `effect/persistence/Redis`, so that `Persistence`, `PersistedQueue`, `RateLimiter` and
 * `CircuitBreaker` run on the same connections. The scope of `make`, or of the layer, owns every socket and fiber; when
 * it closes, commands in flight get at most one command timeout to be answered.
 *
 * Commands that wait on the server (`BLPOP`, `XREAD BLOCK`, …) get a connection of their own, so that they hold up nobody.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Cache from "./Cache.ts"
import { type Command, type Field, hScan, scan, type ScanOptions, type Scored, sScan, zScan } from "./Commands.ts"
import * as Config from "./Config.ts"
import type * as ConsumerGroup from "./ConsumerGroup.ts"
import { type Endpoint, format } from "./Endpoint.ts"
import * as Handoff from "./Handoff.ts"
import type { HitlessError } from "./HitlessError.ts"
import { Caches } from "./internal/cache.ts"
import { type Calls, makeCalls } from "./internal/calls.ts"
import { consume } from "./internal/consuming.ts"
import { Dialer } from "./internal/dialer.ts"
import { protocolOf } from "./internal/handshake.ts"
import { Logins } from "./internal/logins.ts"
import { optimistic } from "./internal/optimistic.ts"
import { toRedisError } from "./internal/redisError.ts"
import * as Runtime from "./internal/runtime.ts"
import { scanned } from "./internal/scans.ts"
import type { Slot, Surroundings } from "./internal/slot.ts"
import { type Listener, Subscriptions } from "./internal/subscriptions.ts"
import * as Maintenance from "./Maintenance.ts"
import type { Notification } from "./Notifications.ts"
import { Pool } from "./Pool.ts"
import type * as PubSub from "./PubSub.ts"
import { Reservations } from "./Reservation.ts"
import type { Arg } from "./Resp.ts"
import type { Transport } from "./Transport.ts"

/**
 * A command by its name, with its arguments.
 *
 * @category models
 * @since 0.1.0
 */
export type Words = readonly [command: string, ...args: ReadonlyArray<Arg>]

/**
 * What `pipeline` and `transaction` take: typed commands, and others by their names.
 *
 * @category models
 * @since 0.1.0
 */
export type Batch = ReadonlyArray<Command<unknown> | Words>

/**
 * A result for each command of a batch: what `run` gives of a typed one, and `unknown` for others.
 *
 * @category models
 * @since 0.1.0
 */
export type Results<B extends Batch> = {
  -readonly [K in keyof B]: Result.Result<B[K] extends Command<infer A> ? A : unknown, HitlessError>
}

/**
 * The arguments of one command: as many as it has, or one array of them all.
 *
 * @category models
 * @since 0.1.0
 */
export type Args = ReadonlyArray<Arg> | readonly [args: ReadonlyArray<Arg>]

/**
 * How the client is doing, from one look.
 *
 * - `ok`: commands are served and nothing is announced.
 * - `maintenance`: a relaxation window is open or a slot is moving; commands are served.
 * - `degraded`: commands are served, but a slot, of whatever kind, is reconnecting, or could not be handed off and its move is not over yet,
 *   or the server answers that it does not run commands for now (`LOADING`, `READONLY`, `MASTERDOWN`, …).
 * - `down`: no connection serves.
 *
 * @category models
 * @since 0.1.0
 */
export type Health = "ok" | "maintenance" | "degraded" | "down"

/**
 * A place for a connection that can be replaced, from one look.
 *
 * @category models
 * @since 0.1.0
 */
export interface SlotStatus {
  /** Which of its kind it is, from 0 on, as in the events of `handoffs`. */
  readonly index: number
  /** Whether it was never needed, has a connection, one that a handoff replaces, dials one anew, or is closed. */
  readonly state: "Empty" | "Serving" | "Moving" | "Reconnecting" | "Closed"
  readonly endpoint: string | undefined
  /** The target, while the slot is moving. */
  readonly target: string | undefined
  /** Commands that are waiting or unanswered on its connection. */
  readonly load: number
}

/**
 * A client-side cache, from one look.
 *
 * @category models
 * @since 0.1.0
 */
export interface CacheStatus extends SlotStatus {
  /**
   * Whether replies are kept. They are not while it has no connection, and where the server does not track what is read:
   * in RESP2, or where it refuses `CLIENT TRACKING`. Then what is read comes from the server.
   */
  readonly isTracking: boolean
  /** How many replies are kept. */
  readonly entries: number
}

/**
 * A snapshot of the client, which JSON carries as it is. Durations are what is left at the time of the look, in whole
 * milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly health: Health
  readonly mode: "disabled" | "enabled" | "auto"
  /** The protocol of the first serving connection. */
  readonly protocol: 2 | 3 | undefined
  /** What each endpoint answered when asked for notifications; `words` are the server's, when it refused. */
  readonly endpoints: ReadonlyArray<{
    readonly endpoint: string
    readonly support: "supported" | "refused" | "unknown"
    readonly words: string | undefined
  }>
  /** The connections that commands share. */
  readonly slots: ReadonlyArray<SlotStatus>
  /** Those of `reserve` and of commands that wait on the server, and such as are kept for the next user for a minute. */
  readonly leases: ReadonlyArray<SlotStatus>
  /** The one on which subscriptions are heard, where there are any. */
  readonly subscribers: ReadonlyArray<SlotStatus>
  /** Those of `cache`. */
  readonly caches: ReadonlyArray<CacheStatus>
  /** Replaced connections that deliver what they owe. */
  readonly draining: number
  /** Commands that are waiting or unanswered, all connections together. */
  readonly pending: number
  readonly windows: ReadonlyArray<{
    readonly label: string
    readonly subject: string
    readonly endsIn: Duration.Duration
  }>
  readonly lastHandoff: Handoff.Completed | Handoff.Failed | undefined
}

/**
 * Time from call to reply for the commands of an effect, instead of the configured `commandTimeout`.
 *
 * **Example** (One slow command)
 *
 * ```ts
 * import { Commands, HitlessRedis } from "hitless"
 * import * as Effect from "effect/Effect"
 *
 * export const count = Effect.gen(function*() {
 *   const redis = yield* HitlessRedis.HitlessRedis
 *   return yield* redis.run(Commands.dbSize()).pipe(
 *     Effect.provideService(HitlessRedis.CurrentCommandTimeout, "30 seconds")
 *   )
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CurrentCommandTimeout = Context.Reference<Config.DurationInput | undefined>(
  "hitless/HitlessRedis/CurrentCommandTimeout",
  { defaultValue: () => undefined }
)

/**
 * What can be sent, on connections that many share or on one of `reserve`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sender {
  /**
   * Runs a typed command. What it is answered with is checked: fails with `UnexpectedReply` where that is something else
   * than the command knows, and otherwise as `send` does.
   */
  readonly run: <A>(command: Command<A>) => Effect.Effect<A, HitlessError>
  /**
   * Sends one command. Its arguments may also be one array, for lists too long to spread: `send("DEL", keys)`. They are
   * taken as they are at the call, but for a `Uint8Array` of 2 KiB or more, which is not copied and must not change
   * before the command is answered.
   *
   * Maps arrive as null-prototype objects, sets as arrays, blobs as UTF-8 strings, integers beyond 2^53 as bigint, errors
   * inside a reply as `HitlessError` values. A key of a map that is not UTF-8 arrives as `Uint8Array`, and the map as an
   * ES `Map`, also where keys are aggregates or both `1` and `"1"`.
   *
   * Fails with `CommandTimeout`, `ConnectionLost`, `ConnectFailed`, `ServerReplied`, `ProtocolViolation`,
   * `CommandRefused`, `Overloaded` or `Closed`. Commands that are answered by pushes or that change the state of the
   * connection (`SUBSCRIBE`, `SELECT`, `MULTI`, …) are refused: other commands share it.
   *
   * A command that waits on the server (`BLPOP`, `BLMOVE`, `XREAD BLOCK`, …) takes one of the `maxReserved` connections while
   * it does, and has its own time and then that of any command. One that was given up pops nothing. `WAIT` and `WAITAOF`
   * count the writes of the connection that sends them, and so mean something on a connection of `reserve` only.
   */
  readonly send: <A = unknown>(command: string, ...args: Args) => Effect.Effect<A, HitlessError>
  /** The same, with blobs as `Uint8Array`; keys of maps are strings where they are UTF-8. */
  readonly sendBytes: <A = unknown>(command: string, ...args: Args) => Effect.Effect<A, HitlessError>
  /**
   * Sends commands contiguously on one connection, in order. Each has its own result; the effect itself fails when the
   * connection is lost or the deadline passes before the last reply.
   */
  readonly pipeline: <const B extends Batch>(commands: B) => Effect.Effect<Results<B>, HitlessError>
  /**
   * Runs commands as `MULTI … EXEC`, written as one unit when the server has accepted `MULTI`. Each has its own result;
   * when the server refuses to queue one nothing runs, and the effect fails with `TransactionAborted`.
   *
   * With `watch`, the commands are what `body` makes of what it reads, on a connection of its own: they run only if nobody
   * has changed the watched keys since it began to read, and otherwise `body` runs anew, as `retry` says. It may run several
   * times, and what it sends by itself is not undone. No commands, and a failure of `body`, end the watch, and nothing runs.
   */
  readonly transaction: {
    <const B extends Batch>(commands: B): Effect.Effect<Results<B>, HitlessError>
    <const B extends Batch, E, R>(
      options: TransactionOptions,
      body: (redis: Sender) => Effect.Effect<B, E, R>
    ): Effect.Effect<Results<B>, HitlessError | E, R>
  }
  /**
   * All keys, by `SCAN`: one command for each step, when more is wanted. What is there from the beginning to the end comes
   * at least once, and can come twice; what comes or goes meanwhile may be missing. A cursor means the same to one server
   * process alone: where a failover promotes another one in between, keys can be missing too.
   */
  readonly scan: (options?: ScanOptions & { readonly TYPE?: string | undefined }) => Stream.Stream<string, HitlessError>
  /** The same for the fields of a hash, with their values. */
  readonly hScan: (key: Arg, options?: ScanOptions) => Stream.Stream<Field, HitlessError>
  /** The same for the members of a set. */
  readonly sScan: (key: Arg, options?: ScanOptions) => Stream.Stream<string, HitlessError>
  /** The same for the members of a sorted set, with their scores. */
  readonly zScan: (key: Arg, options?: ScanOptions) => Stream.Stream<Scored, HitlessError>
}

/**
 * What a transaction depends on.
 *
 * @category models
 * @since 0.1.0
 */
export interface TransactionOptions {
  /** The keys that nobody else may change meanwhile, at least one. */
  readonly watch: ReadonlyArray<Arg>
  /**
   * When it is tried again after a watched key was changed, or the connection was lost that watched. Default: after 1 ms
   * doubling to 50 ms, with jitter, until the time of a command is over. Then it fails with `TransactionAborted`.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
}

/**
 * The Redis client.
 *
 * @category services
 * @since 0.1.0
 */
export class HitlessRedis extends Context.Service<
  HitlessRedis,
  Sender & {
    /**
     * Reserves a connection that nobody else uses, for the surrounding scope: for `SELECT`, `WATCH`, `CLIENT TRACKING` and
     * whatever else changes a connection, and for loops on commands that wait.
     *
     * It moves with maintenance between two commands, and what it was told is told to the next connection; while it watches
     * keys or has a transaction open it stays. When its connection is lost then, `EXEC` fails with `TransactionAborted`. Of
     * `maxReserved` connections the next waits until one is given back, at most for the time that a command has; then it
     * fails with `Overloaded`, and with what dialling failed with where there is no server. One that is given back with state
     * or with commands under way is closed, and not given to the next.
     */
    readonly reserve: Effect.Effect<Sender, HitlessError, Scope.Scope>
    /**
     * Makes a client-side cache for the surrounding scope, with a connection of its own that moves as well:
     * `cache.run(Commands.get("k"))` asks the server once, and again when anybody has changed the key. What it promises is
     * told in `Cache`. Fails with what dialling failed with.
     */
    readonly cache: (options: Cache.Options) => Effect.Effect<Cache.Cache, HitlessError, Scope.Scope>
    /**
     * What is published on channels, from when the server has confirmed them, which it has the time of a command for.
     * `Published` has the message as text and as bytes.
     *
     * The stream goes on through maintenance, where nothing is lost or heard twice, and through a loss of the connection,
     * where it says that something may be missing: a `Gap`. It fails where the server refuses the subscription, also later,
     * and with `Closed` when the client closes. All subscriptions of a client share one connection. A reader that is 1024
     * messages behind loses the oldest, and is told how many: `subscription` has other ways.
     */
    readonly subscribe: (...channels: ReadonlyArray<string>) => Stream.Stream<PubSub.Message, HitlessError>
    /** The same for patterns such as `news.*`. */
    readonly psubscribe: (...patterns: ReadonlyArray<string>) => Stream.Stream<PubSub.Message, HitlessError>
    /** The same for channels that belong to one shard of a cluster. */
    readonly ssubscribe: (...channels: ReadonlyArray<string>) => Stream.Stream<PubSub.Message, HitlessError>
    /**
     * Subscribes for the surrounding scope, to channels and patterns together: when it is done the server has confirmed
     * them, and what is published from then on is in the stream, whenever that is read. Fails as `send` does.
     */
    readonly subscription: (
      options: PubSub.Options
    ) => Effect.Effect<Stream.Stream<PubSub.Message, HitlessError>, HitlessError, Scope.Scope>
    /**
     * The entries of a stream for a consumer of a group: first those that it had and did not acknowledge, then those that
     * others have kept for `claimAfter`, then what is new, and so on. Who reads the stream handles each entry and then runs
     * its `ack`; one that is not acknowledged comes again, here or elsewhere: at least once, and once where all are
     * acknowledged in time.
     *
     * It waits on a connection of its own, of the `maxReserved`, which moves with maintenance, and it goes on after a loss of
     * the connection with what may have been lost. It fails as `send` does, with the code `NOGROUP` where there is no group
     * and `createFrom` is not set. Consumed anew, with `Stream.retry` for one, nothing is missing.
     */
    readonly consume: (options: ConsumerGroup.Options) => Stream.Stream<ConsumerGroup.Entry, HitlessError>
    /** Each maintenance event once, with the endpoint that told us; a subscriber that is 256 behind loses the oldest. */
    readonly notifications: Stream.Stream<Notification>
    /** What happens to handoffs; a subscriber that is 256 behind loses the oldest. */
    readonly handoffs: Stream.Stream<Handoff.HandoffEvent>
    /** How the client is doing. */
    readonly status: Effect.Effect<Status>
  }
>()("hitless/HitlessRedis") {}

/** The rooms of one client. */
interface Client {
  readonly around: Surroundings
  readonly pool: Pool
  readonly reservations: Reservations
  readonly subscriptions: Subscriptions
  readonly caches: Caches
  readonly calls: Calls
  readonly handoff: Handoff.Handoff
}

const timeoutOf = (fiber: Fiber.Fiber<unknown, unknown>): Config.DurationInput | undefined =>
  fiber.getRef(CurrentCommandTimeout)

/** `own` is a connection that nobody else uses: that of the calls, or another. */
const senderOf = (
  runtime: Runtime.Runtime,
  calls: Calls,
  own: Effect.Effect<Calls, HitlessError, Scope.Scope>
): Sender => ({
  run: calls.run,
  send: (...args) => calls.send(args, false),
  sendBytes: (...args) => calls.send(args, true),
  pipeline: ((commands: Batch) => calls.batch("pipeline", commands)) as Sender["pipeline"],
  transaction: ((
    options: Batch | TransactionOptions,
    body?: (redis: Sender) => Effect.Effect<Batch, unknown, unknown>
  ) =>
    body === undefined || !("watch" in options)
      ? calls.batch("transaction", options)
      : Effect.scoped(Effect.flatMap(own, (own) => {
        const read = Effect.suspend(() => body(senderOf(runtime, own, Effect.succeed(own))))
        return own.timed("WATCH", (time) => optimistic(runtime, own, options.watch, read, options.retry, time))
      }))) as Sender["transaction"],
  scan: (options) => scanned(calls.run, (cursor) => scan(cursor, options), ({ keys }) => keys),
  hScan: (key, options) => scanned(calls.run, (cursor) => hScan(key, cursor, options), ({ entries }) => entries),
  sScan: (key, options) => scanned(calls.run, (cursor) => sScan(key, cursor, options), ({ members }) => members),
  zScan: (key, options) => scanned(calls.run, (cursor) => zScan(key, cursor, options), ({ members }) => members)
})

const makeService = (client: Client): HitlessRedis["Service"] => {
  const { around: { maintenance, runtime }, caches, calls, handoff, reservations, subscriptions } = client
  const reserve = calls.timed("RESERVE", (timeout) => reservations.take(timeout, "RESERVE"))
  const subscription = (options: PubSub.Options) =>
    calls.timed("SUBSCRIBE", (timeout) => subscriptions.stream(options, timeout))
  return HitlessRedis.of({
    ...senderOf(runtime, calls, reserve),
    reserve: Effect.map(reserve, (own) => senderOf(runtime, own, Effect.succeed(own))),
    cache: (options) => calls.timed("CLIENT TRACKING", (timeout) => caches.make(options, timeout)),
    subscription,
    subscribe: (...channels) => Stream.unwrap(subscription({ channels })),
    psubscribe: (...patterns) => Stream.unwrap(subscription({ patterns })),
    ssubscribe: (...shardChannels) => Stream.unwrap(subscription({ shardChannels })),
    consume: (options) => consume(runtime, calls, reserve, options),
    notifications: maintenance.notifications,
    handoffs: handoff.events,
    status: Effect.sync(() => statusOf(client))
  })
}

const slotStatusOf = ({ connection, index, state }: Slot): SlotStatus => ({
  index,
  state: state._tag,
  endpoint: connection?.address,
  target: state._tag === "Moving" ? format(state.move.target) : undefined,
  load: connection?.backlog.commands ?? 0
})

const pendingOf = ({ caches, pool, reservations }: Client): number =>
  pool.outstanding + reservations.outstanding + caches.outstanding

const statusOf = (client: Client): Status => {
  const { around: { dialer, maintenance, runtime, slots }, caches, handoff, pool, reservations, subscriptions } = client
  const now = runtime.now()
  const windows = maintenance.timeouts.open(now)
  const serving = pool.slots.filter((slot) => slot.connection !== undefined)
  const peer = serving[0]?.connection?.peer
  const all = [...slots]
  const is = (tag: Slot["state"]["_tag"]) => all.some(({ state }) => state._tag === tag)
  return {
    health: serving.length === 0
      ? "down"
      : is("Reconnecting") || pool.isRefused(now) ||
          all.some(({ state }) => state._tag === "Serving" && state.gaveUp !== undefined && now < state.gaveUp.until)
      ? "degraded"
      : windows.length > 0 || is("Moving")
      ? "maintenance"
      : "ok",
    mode: runtime.config.maintenance.mode,
    protocol: peer === undefined ? undefined : protocolOf(peer.greeting),
    endpoints: Array.from(dialer.supports, ([endpoint, support]) => ({
      endpoint,
      support: support._tag === "Supported" ? "supported" : support._tag === "Refused" ? "refused" : "unknown",
      words: support._tag === "Refused" ? support.words : undefined
    })),
    slots: pool.slots.map(slotStatusOf),
    leases: all.filter(({ kind }) => kind === "reserved").map(slotStatusOf),
    subscribers: all.filter(({ kind }) => kind === "subscriber").map(slotStatusOf),
    caches: caches.looks.map(({ slot, ...look }) => ({ ...slotStatusOf(slot), ...look })),
    draining: pool.draining.size + reservations.draining + subscriptions.draining.size + caches.draining,
    pending: pendingOf(client),
    windows: windows.map(({ endsAt, label, subject }) => ({
      label,
      subject,
      endsIn: Duration.millis(Math.round(endsAt - now))
    })),
    lastHandoff: handoff.last()
  }
}

const makeRedis = ({ around, calls, subscriptions }: Client, service: HitlessRedis["Service"]) =>
  Redis.make({
    send: <A>(command: string, ...args: ReadonlyArray<string>) =>
      Effect.mapError(service.send<A>(command, args), toRedisError),
    // Its own pool has as many, and those that `send` takes for itself are bounded too.
    pool: { maxConnections: around.runtime.config.maxReserved },
    connect: Effect.gen(function*() {
      const scope = yield* Scope.make()
      // Effect's pool of reserved connections acquires uninterruptibly: a close would wait for a dial that hangs.
      const { send } = yield* Effect.interruptible(Scope.provide(service.reserve, scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return {
        send: <A>(command: string, ...args: ReadonlyArray<string>) =>
          Effect.mapError(send<A>(command, args), toRedisError),
        close: Scope.close(scope, Exit.void)
      }
    }).pipe(Effect.mapError(toRedisError)),
    subscribe: (channel, onMessage) =>
      Effect.suspend(() => {
        const failed = Deferred.makeUnsafe<never, Redis.RedisError>()
        const listener: Listener = {
          // Effect's subscriptions have no word for a gap.
          hear: (message) => {
            if (message._tag === "Published") onMessage({ channel: message.channel, message: message.message })
          },
          fail: (error) => Deferred.doneUnsafe(failed, Exit.fail(toRedisError(error)))
        }
        return calls.timed("SUBSCRIBE", (timeout) => subscriptions.subscribe([["channel", channel]], listener, timeout))
          .pipe(
            Effect.mapError(toRedisError),
            Effect.as(Deferred.await(failed))
          )
      })
  })

/** Makes the rooms of a client, in the order in which they stand on each other, and connects it once. */
const build = Effect.fnUntraced(function*(options: Config.Options | undefined) {
  const runtime = yield* Runtime.make(yield* Config.decode(options))
  const maintenance = yield* Maintenance.make(runtime)
  const slots = new Set<Slot>()
  const logins = new Logins(runtime, slots)
  const dialer = new Dialer(runtime, maintenance, logins)
  const around: Surroundings = { runtime, maintenance, dialer, logins, slots, whenDown: new Set() }
  const pool = new Pool(around, { kind: "shared", size: runtime.config.poolSize })
  const reservations = new Reservations(around, timeoutOf)
  const calls = makeCalls(runtime, pool, {
    isShared: true,
    timeoutOf,
    block: (words, bytes, grace, command) => reservations.block(words, bytes, grace, command)
  })
  const subscriptions = new Subscriptions(around)
  const caches = new Caches(around, calls, { timeoutOf })
  yield* Effect.addFinalizer(() =>
    runtime.close(
      () => {
        dialer.supports.clear()
        logins.close()
        subscriptions.close()
        reservations.refuse()
        caches.refuse()
        pool.refuse()
      },
      Effect.all([pool.drain(), reservations.drain(), caches.drain()], { concurrency: "unbounded", discard: true })
        .pipe(
          Effect.andThen(maintenance.end)
        )
    )
  )
  if (runtime.config.startup === "lazy") pool.begin()
  else yield* pool.open()
  const slotsAt = (endpoint: Endpoint) => Array.from(slots).filter((slot) => slot.isAt(endpoint))
  const handoff = yield* Handoff.make(runtime, { moves: maintenance.moves, slotsAt })
  const client: Client = { around, pool, reservations, subscriptions, caches, calls, handoff }
  const { observer } = runtime
  if (observer !== undefined) {
    const left = observer.onClient(() => pendingOf(client))
    yield* Effect.addFinalizer(() => Effect.sync(left))
  }
  return { client, service: makeService(client) }
})

/**
 * Makes a client, connected once unless `startup` is `lazy`, for the surrounding scope.
 *
 * **When to use**
 *
 * Use when one program needs several clients: give each its own service key, as in
 * `Layer.effect(Sessions, HitlessRedis.make({ … }))`.
 *
 * **Details**
 *
 * Fails with `ConfigError`, or with what the first connection failed with: `ConnectFailed`, `AuthenticationFailed` or
 * `MaintenanceRefused`. With `startup: "lazy"` that fails what is sent instead, and connecting goes on.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Config.Options
): Effect.Effect<HitlessRedis["Service"], HitlessError | Config.ConfigError, Transport | Scope.Scope> =>
  Effect.map(build(options), ({ service }) => service)

/**
 * Provides `HitlessRedis` and `effect/persistence/Redis` over the `Transport` of the environment. Fails as `make` does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Config.Options
): Layer.Layer<HitlessRedis | Redis.Redis, HitlessError | Config.ConfigError, Transport> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const { client, service } = yield* build(options)
      return Context.make(HitlessRedis, service).pipe(Context.add(Redis.Redis, yield* makeRedis(client, service)))
    })
  )
