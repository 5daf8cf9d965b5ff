/**
 * Locks that several programs share: at any time at most one of all who use the same key has it, as far as one Redis can
 * promise that.
 *
 * A lock is a key with a random value, set only where there is none (`SET NX PX`). While it is held it is renewed every third
 * of its time to live; it is let go of by a script that deletes the key only if it still has that value. So a holder that
 * dies keeps others out for one time to live at the most, and nobody ever deletes the lock of another.
 *
 * What it cannot promise:
 *
 * - It tells its holder that it is lost, and cannot stop what the holder has begun. A program that is paused for longer than
 *   the time to live, by its host or by a loop that does not yield, goes on for a moment in the belief that it has the lock.
 * - It gives no fencing token: what the lock protects cannot tell a late holder from the present one. Where two at a time
 *   do damage, let that check a version, or use a transaction with `watch`.
 * - Redis replicates asynchronously: a failover may forget a lock that was just taken, and another may take it while the
 *   first still holds it, for at most a third of the time to live if the next renewal is answered.
 * - It relies on the clocks of the server and of the program to run at about the same speed.
 *
 * Who waits asks again as a schedule says: there is no order among those who wait.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Commands from "./Commands.ts"
import type { HitlessError } from "./HitlessError.ts"
import { CurrentCommandTimeout, HitlessRedis } from "./HitlessRedis.ts"
import { refused } from "./internal/commands.ts"
import { durationOf } from "./internal/duration.ts"
import { monotonicMillis } from "./internal/elapsed.ts"
import * as Lua from "./internal/lockScripts.ts"

/**
 * How a lock is taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How long it outlives its holder, and how long its renewal may fail before it counts as lost: finite, and at least 10 ms.
   * Default: 30 s.
   */
  readonly timeToLive?: Duration.Input | undefined
  /** When it is asked for again while another has it. Default: every 100 ms with jitter, for 10 s. */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
}

/**
 * Another had the lock whenever it was asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export class LockUnavailable extends Schema.Error<LockUnavailable>("hitless/Lock/LockUnavailable")({
  _tag: Schema.tag("LockUnavailable"),
  key: Schema.String
}) {
  override get message(): string {
    return `The lock ${this.key} was held by another whenever it was asked for`
  }
}

/**
 * The lock was lost while it was held: another may have it.
 *
 * @category errors
 * @since 0.1.0
 */
export class LockLost extends Schema.Error<LockLost>("hitless/Lock/LockLost")({
  _tag: Schema.tag("LockLost"),
  key: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The lock ${this.key} was lost: ${this.detail}`
  }
}

/**
 * A lock that is held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Held {
  readonly key: string
  /** Fails as soon as the lock is lost, and never ends before. */
  readonly lost: Effect.Effect<never, LockLost>
}

const defaultTimeToLive = Duration.seconds(30)

const shortest = Duration.millis(10)

const defaultRetry = Schedule.spaced("100 millis").pipe(Schedule.jittered, Schedule.upTo({ duration: "10 seconds" }))

/** Asking again does no harm, since the value tells whose it is. */
const mayAskAgain = (error: HitlessError | LockUnavailable): boolean =>
  error._tag === "LockUnavailable" || error.isRetryable || error.mayHaveExecuted

/** One holder, from when it asks for the lock. */
class Holder {
  readonly key: string
  readonly lost = Deferred.makeUnsafe<never, LockLost>()
  private readonly redis: HitlessRedis["Service"]
  private readonly clock: Clock.Clock
  private readonly timeToLive: number
  private readonly token: string = crypto.randomUUID()
  /** Until when it has the lock for sure, in elapsed milliseconds. */
  private until = -Infinity
  /** It has asked, and has not been answered that another has it. */
  private mayHave = false

  constructor(redis: HitlessRedis["Service"], clock: Clock.Clock, key: string, timeToLive: number) {
    this.redis = redis
    this.clock = clock
    this.key = key
    this.timeToLive = timeToLive
  }

  /** Asks for it once. */
  readonly ask: Effect.Effect<void, HitlessError | LockUnavailable> = Effect.suspend(() => {
    const { key, timeToLive, token } = this
    const startedAt = this.now()
    this.mayHave = true
    const set = Commands.set(key, token, { condition: "NX", GET: true, expiration: timeToLive })
    return Effect.flatMap(this.redis.run(set), (holder) => {
      // The answer to an earlier question was lost with its connection.
      const asked = holder === token ? this.renew : Effect.succeed(holder === null)
      return Effect.flatMap(asked, (isMine): Effect.Effect<void, LockUnavailable> => {
        this.mayHave = isMine
        if (!isMine) return Effect.fail(new LockUnavailable({ key }))
        this.until = Math.max(this.until, startedAt + timeToLive)
        return Effect.void
      })
    })
  })

  readonly release: Effect.Effect<unknown, HitlessError> = Effect.suspend(() =>
    this.mayHave
      ? this.redis.run(Commands.eval(Lua.release, { keys: [this.key], arguments: [this.token] }))
      : Effect.void
  )

  /** Renews it until it is lost. */
  readonly keep: Effect.Effect<void> = Effect.suspend(() => {
    const { timeToLive } = this
    let why = "it was not renewed in time"
    const renewed: Effect.Effect<boolean> = Effect.catch(this.renew, (error) => {
      why = error.message
      return Effect.delay(renewed, timeToLive / 10)
    }).pipe(
      // Who waits for an answer that cannot come in time waits in vain.
      Effect.provideService(CurrentCommandTimeout, timeToLive / 3)
    )
    const inTime = Effect.suspend(() => this.left > 0 ? Effect.timeoutOption(renewed, this.left) : Effect.succeedNone)
    return Effect.delay(inTime, Math.max(0, this.left - timeToLive * 2 / 3)).pipe(
      Effect.flatMap((isMine) =>
        Option.isNone(isMine)
          ? this.lose(why)
          : isMine.value
          ? this.keep
          : this.lose("its key has the value of another, or none")
      )
    )
  })

  /** Whether it still was ours, and so is for longer. */
  private readonly renew: Effect.Effect<boolean, HitlessError> = Effect.suspend(() => {
    const { key, timeToLive, token } = this
    const startedAt = this.now()
    return Effect.map(
      this.redis.run(Commands.eval(Lua.renew, { keys: [key], arguments: [token, timeToLive] })),
      (answer) => {
        if (answer !== 1) return false
        this.until = startedAt + timeToLive
        return true
      }
    )
  })

  private lose(detail: string): Effect.Effect<void> {
    return Effect.asVoid(Deferred.fail(this.lost, new LockLost({ key: this.key, detail })))
  }

  private get left(): number {
    return this.until - this.now()
  }

  private now(): number {
    return monotonicMillis(this.clock)
  }
}

/**
 * Takes a lock for the surrounding scope. What is done with it has to look at `lost`: `withLock` does.
 *
 * **Details**
 *
 * Fails with `LockUnavailable` when the schedule is over, and as commands of the client do. Who is interrupted while it
 * asks, or fails, lets go of what it may have been given.
 *
 * @category constructors
 * @since 0.1.0
 */
export const acquire = (
  key: string,
  { retry = defaultRetry, timeToLive = defaultTimeToLive }: Options = {}
): Effect.Effect<Held, HitlessError | LockUnavailable, HitlessRedis | Scope.Scope> =>
  Effect.gen(function*() {
    const duration = durationOf(timeToLive)
    if (duration === undefined || !Duration.isFinite(duration) || Duration.isLessThan(duration, shortest)) {
      return yield* refused("SET", "timeToLive of a lock must be a finite duration of at least 10 ms")
    }
    const holder = new Holder(
      yield* HitlessRedis,
      yield* Clock.Clock,
      key,
      Math.ceil(Duration.toMillis(duration))
    )
    const release = Effect.ignore(holder.release, { log: "Warn", message: `the lock ${key} was not let go of` })
    yield* Effect.acquireRelease(
      Effect.onError(Effect.retry(holder.ask, { while: mayAskAgain, schedule: retry }), () => release),
      () => release,
      { interruptible: true }
    )
    yield* Effect.forkScoped(holder.keep)
    return { key, lost: Deferred.await(holder.lost) }
  })

/**
 * Runs an effect while it holds a lock: it waits for it, interrupts the effect when the lock is lost, and lets go of it at
 * the end.
 *
 * **Example** (One at a time)
 *
 * ```ts
 * import { Lock } from "hitless"
 * import * as Console from "effect/Console"
 *
 * export const program = Console.log("nobody else does this now").pipe(
 *   Lock.withLock("nightly-report", { timeToLive: "30 seconds" })
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLock = (key: string, options?: Options) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | HitlessError | LockUnavailable | LockLost, R | HitlessRedis> =>
  // The effect has its own scope, if any.
  Effect.scopedWith((scope) =>
    Effect.flatMap(Scope.provide(acquire(key, options), scope), ({ lost }) => Effect.raceFirst(effect, lost))
  )
