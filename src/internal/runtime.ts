/**
 * What the rooms of one client share: its configuration, time, chance, log, metrics, transport, where its fibers run and
 * what owns its connections, and whether it is closing.
 *
 * It never decides anything. `make` adds no finalizer: `close` is called by who made the client, in its own order.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { ResolvedConfig } from "../Config.ts"
import { format } from "../Endpoint.ts"
import { Closed, HitlessError } from "../HitlessError.ts"
import { Recorder } from "../Metrics.ts"
import { Transport } from "../Transport.ts"
import { monotonicMillis } from "./elapsed.ts"
import { type Log, makeLog } from "./log.ts"
import { CurrentObserver, type Observer } from "./observer.ts"
import type { RequestObserver } from "./request.ts"
import { uniqueWord } from "./unique.ts"

/** @internal */
export class Runtime {
  readonly config: ResolvedConfig
  readonly transport: Transport["Service"]
  readonly clock: Clock.Clock
  readonly recorder: Recorder
  readonly log: Log
  /** The services that the client was made with, for alarms and other fibers of their own. */
  readonly context: Context.Context<never>
  /** Owns every connection. */
  readonly scope: Scope.Closeable
  /** Runs what nobody waits for; it ends when the client closes. */
  readonly fork: (effect: Effect.Effect<unknown, unknown>) => unknown
  /** Fails when the client closes. */
  readonly closed: Effect.Effect<never, HitlessError>
  /** Who looks at every request that is over, if anybody does. */
  readonly observed: RequestObserver | undefined
  /** Who looks at the client, if anybody does. */
  readonly observer: Observer | undefined
  isClosing = false

  private readonly random: Random.Random
  private readonly fibers: Scope.Closeable
  private readonly closing = Deferred.makeUnsafe<never, HitlessError>()
  private readonly closeLog: () => void

  /** @internal Use `make`. */
  constructor(
    config: ResolvedConfig,
    context: Context.Context<Transport>,
    scope: Scope.Closeable,
    fibers: Scope.Closeable,
    fork: Runtime["fork"]
  ) {
    this.config = config
    this.context = context
    this.transport = Context.get(context, Transport)
    this.clock = Context.get(context, Clock.Clock)
    this.random = Context.get(context, Random.Random)
    this.recorder = new Recorder(context, config.clientName ?? format(config.endpoint))
    const { close, log } = makeLog(context, config.maintenance.logLevel)
    this.log = log
    this.closeLog = close
    const observer = Context.get(context, CurrentObserver)
    this.observer = observer
    const onSettled = observer?.onSettled
    this.observed = this.recorder.recordsOperations
      ? (request, exit) => {
        this.recorder.operationEnded(request.name, this.now() - request.startedAt)
        onSettled?.(request, exit)
      }
      : onSettled
    this.scope = scope
    this.fibers = fibers
    this.fork = fork
    this.closed = Deferred.await(this.closing)
  }

  /** Milliseconds that have elapsed, by the clock's monotonic reading. */
  now(): number {
    return monotonicMillis(this.clock)
  }

  /** A word that nobody else uses. */
  unique(): string {
    return uniqueWord(this.random)
  }

  /** 0.8 to 1.2 times, as `Schedule.jittered` does it. */
  jittered(millis: number): number {
    return millis * (0.8 + 0.4 * this.random.nextDoubleUnsafe())
  }

  /**
   * Closes in order: everything is refused from now on, and `refuse` fails what waits; what `fork` started is stopped, so
   * that nothing dials any more; `drain` ends what is under way; what is left is closed.
   */
  close(refuse: () => void, drain: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosing = true
      this.recorder.close()
      Deferred.doneUnsafe(
        this.closing,
        Exit.fail(new HitlessError({ reason: new Closed({ mayHaveExecuted: false }) }))
      )
      refuse()
      return Scope.close(this.fibers, Exit.void).pipe(
        // What was sent in this tick is written before the drain, which would hand it back.
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(drain),
        Effect.andThen(Effect.sync(this.closeLog)),
        Effect.andThen(Scope.close(this.scope, Exit.void))
      )
    })
  }
}

/** @internal */
export const make = Effect.fnUntraced(function*(config: ResolvedConfig) {
  const context = yield* Effect.context<Transport>()
  // Scopes of their own, because the surrounding one may close its finalizers in parallel.
  const fibers = yield* Scope.make("sequential")
  const scope = yield* Scope.make("sequential")
  const fork = yield* Scope.provide(FiberSet.makeRuntime<never, unknown, unknown>(), fibers)
  return new Runtime(config, context, scope, fibers, fork)
})

/** Milliseconds of a duration, and of `otherwise` where it never ends. @internal */
export const finiteMillis = (duration: Duration.Duration, otherwise: Duration.Duration): number =>
  Duration.toMillis(Duration.isFinite(duration) ? duration : otherwise)
