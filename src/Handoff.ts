/**
 * Handoffs: moves become requests in a bounded queue, worker fibers dial the target and swap the slot.
 *
 * The flow, in one line each:
 *
 * 1. The consumer takes each `Move` from the stream and asks which slots have to follow it.
 * 2. Each slot is offered to the bounded queue; when it is full the request waits for room, which is said, and nothing is
 *    lost. The consumer goes on: the next move may be what frees the workers.
 * 3. Workers are forked when there is work, up to `maxWorkers`, and end when they have been idle for a while.
 * 4. A worker makes attempts, each bounded by its share of the time, on a jittered exponential schedule that fits inside
 *    the announced time, behind the circuit breaker of the target; while that lets nothing through the worker waits for
 *    it. Each attempt is `Slot.replace`: dial, handshake, swap.
 * 5. When all attempts have failed the old connection serves on.
 *
 * It knows slots, and not what they are for. It never touches a connection and never blocks a command. The scope given to `make` owns the consumer and
 * the workers.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Endpoint, format, type Move } from "./Endpoint.ts"
import { ConnectFailed, HitlessError } from "./HitlessError.ts"
import { endOf } from "./internal/causes.ts"
import { monotonicClock } from "./internal/elapsed.ts"
import * as Hub from "./internal/hub.ts"
import type { Log } from "./internal/log.ts"
import type { Runtime } from "./internal/runtime.ts"
import type { Moving, Slot, SlotState } from "./internal/slot.ts"
import { clientAttributes, isTraced, traced } from "./internal/tracing.ts"

interface Base {
  /** What the connection is for: commands of all, one user, subscriptions, or a cache. */
  readonly kind: "shared" | "reserved" | "subscriber" | "cache"
  /** Which of its kind it is, from 0 on. */
  readonly slot: number
  /** The endpoint being left, and the target, as `host:port`. */
  readonly from: string
  readonly to: string
  /** The sequence number of the announcement, in decimal digits. */
  readonly seq: string
}

/**
 * A slot waits for a worker. `waited` says that the queue was full and the request had to wait for room first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Queued extends Base {
  readonly _tag: "Queued"
  readonly waited: boolean
}

/**
 * A worker makes the first attempt.
 *
 * @category models
 * @since 0.1.0
 */
export interface Started extends Base {
  readonly _tag: "Started"
}

/**
 * An attempt failed for `error`; the next, number `attempt`, follows after `delay`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retried extends Base {
  readonly _tag: "Retried"
  readonly attempt: number
  readonly delay: Duration.Duration
  readonly error: HitlessError
}

/**
 * The slot is on the target, `duration` after the first attempt began.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completed extends Base {
  readonly _tag: "Completed"
  readonly duration: Duration.Duration
}

/**
 * A newer target, or a connection that the slot found by itself, took this handoff's place after `duration`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Superseded extends Base {
  readonly _tag: "Superseded"
  readonly duration: Duration.Duration
}

/**
 * All attempts failed, or the target's circuit is open; the old connection serves on until the server closes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed extends Base {
  readonly _tag: "Failed"
  readonly duration: Duration.Duration
  readonly error: HitlessError | CircuitBreaker.CircuitBreakerError
}

/**
 * What happens to a handoff, in order.
 *
 * @category models
 * @since 0.1.0
 */
export type HandoffEvent = Queued | Started | Retried | Completed | Superseded | Failed

/** The handoffs of one client. @internal */
export interface Handoff {
  /** Every event; a subscriber that is 256 behind loses the oldest. */
  readonly events: Stream.Stream<HandoffEvent>
  /** The last `Completed` or `Failed`, if any. */
  readonly last: () => Completed | Failed | undefined
}

/** How long a worker waits for more work before it ends: longer than the pauses within one rolling upgrade's burst. */
const workerIdle = Duration.seconds(1)

/**
 * The waits between attempts: `base · 2^k`, jittered, with the base chosen so that the waits of all retries add up to
 * half of the time there is, and the attempts themselves have the other half.
 *
 * @internal
 */
export const retrySchedule = (retries: number, time: Duration.Duration) =>
  Schedule.exponential(Duration.times(time, 1 / 2 ** (retries + 1))).pipe(
    Schedule.jittered,
    Schedule.upTo({ times: retries })
  )

/** What an attempt has at the least while another may follow it, in milliseconds: a few round trips around the world. */
const leastAttempt = 1000

/**
 * How long an attempt may take, in milliseconds: `min(handoffTimeout, max(least, left / attempts))`.
 *
 * **Details**
 *
 * `left` is what is left of the announced time, and `attempts` how many may still be made, this one included; the first
 * has at least the `connectTimeout` that any dial has, the others a second. Where that is all there is, no other follows
 * it: it has what is left. The first then has its whole `handoffTimeout`, however long the slot waited for a worker:
 * servers close the old connection some time after the announced end (docs/wire.md).
 *
 * @internal
 */
export const attemptTime = (
  options: { readonly isFirst: boolean; readonly attempts: number; readonly left: number },
  { connectTimeout, handoffTimeout }: { readonly connectTimeout: number; readonly handoffTimeout: number }
): number => {
  const { attempts, isFirst, left } = options
  const share = Math.max(isFirst ? connectTimeout : leastAttempt, left / attempts)
  if (share < left) return Math.min(handoffTimeout, share)
  return isFirst ? handoffTimeout : Math.min(handoffTimeout, left)
}

/** How often a slot asks whether the one that tries a target for all has succeeded, in milliseconds: a handshake or two. */
const probedEvery = 100

/** What there is to hand off. @internal */
export interface Work {
  readonly moves: Stream.Stream<Move>
  /** The slots that are at an endpoint or on their way to it. */
  readonly slotsAt: (endpoint: Endpoint) => Iterable<Slot>
}

/** Starts handing off what moves ask for. @internal */
export const make = Effect.fnUntraced(function*(
  runtime: Runtime,
  { moves, slotsAt }: Work
): Effect.fn.Return<Handoff, never, Scope.Scope> {
  const { config, recorder } = runtime
  const { circuitBreaker, handoffQueueSize, handoffTimeout, maxHandoffRetries, maxWorkers } = config.maintenance
  const queue = yield* Queue.bounded<readonly [Slot, Moving]>(handoffQueueSize)
  const hub = yield* Hub.make<HandoffEvent>()
  yield* Effect.addFinalizer(() => hub.end)
  const workers = yield* FiberSet.make<void>()
  const waiting = yield* FiberSet.make<void>()
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(circuitBreaker.failures),
    openDuration: circuitBreaker.openDuration
  }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
  const elapsing = monotonicClock(runtime.clock)
  const limits = {
    connectTimeout: Duration.toMillis(config.connectTimeout),
    handoffTimeout: Duration.toMillis(handoffTimeout)
  }
  /** The slots that wait for a worker or have one: it follows every newer move too. */
  const inHand = new Set<Slot>()
  let active = 0
  let alive = 0
  let last: Completed | Failed | undefined

  recorder.observeHandoffs({
    queueDepth: () => Queue.sizeUnsafe(queue),
    activeWorkers: () => active,
    idleWorkers: () => alive - active
  })

  const publish = (event: HandoffEvent) =>
    Effect.suspend(() => {
      report(runtime.log, event)
      if (event._tag === "Completed" || event._tag === "Failed") {
        last = event
        recorder.handoffEnded(
          event._tag === "Completed" ? "success" : "failure",
          Duration.toMillis(event.duration)
        )
      }
      return hub.publish(event)
    })

  const attempts = (slot: Slot, move: Move) => {
    let attempt = 1
    const left = () => Math.max(0, move.until - runtime.now())
    const schedule = retrySchedule(maxHandoffRetries, Duration.millis(left())).pipe(
      Schedule.setInputType<HitlessError>(),
      // After an attempt that hung a wait leaves the next one its time, where there is so much.
      Schedule.modifyDelay(({ duration }) =>
        Effect.sync(() =>
          left() > leastAttempt ? Duration.min(duration, Duration.millis(left() - leastAttempt)) : duration
        )
      ),
      Schedule.while(({ duration }) => Duration.toMillis(duration) < left()),
      Schedule.tap(({ duration, input }) =>
        publish({
          _tag: "Retried",
          ...base(slot, move),
          attempt: ++attempt,
          delay: Duration.millis(Math.round(Duration.toMillis(duration))),
          error: input
        })
      )
    )
    const once = Effect.suspend(() => {
      const timeout = attemptTime(
        { isFirst: attempt === 1, attempts: maxHandoffRetries + 2 - attempt, left: left() },
        limits
      )
      return slot.replace(move, Duration.millis(timeout))
    })
    // What the breaker does not let through is tried when it does, if that is in time.
    const admission = Schedule.spaced(probedEvery).pipe(
      Schedule.jittered,
      Schedule.setInputType<HitlessError | CircuitBreaker.CircuitBreakerError>(),
      Schedule.modifyDelay(({ duration, input }) =>
        Effect.succeed(input.reason._tag === "CircuitOpen" ? input.reason.retryAfter : duration)
      ),
      Schedule.while(({ duration, input }) =>
        input._tag === "CircuitBreakerError" && Duration.toMillis(duration) < left()
      ),
      Schedule.tap(({ duration }) =>
        Effect.sync(() =>
          runtime.log("Debug", "a handoff waits for the circuit of its target", {
            kind: slot.kind,
            slot: slot.index,
            to: format(move.target),
            delay: Duration.format(duration)
          })
        )
      )
    )
    // The breaker sees one outcome per handoff: a target that refuses its first dials is not a broken one.
    return breaker.execute(Effect.retry(once, schedule), { key: format(move.target) }).pipe(
      Effect.retry(admission),
      // It counts its pause by the time of day, which can be set back.
      Effect.provideService(Clock.Clock, elapsing)
    )
  }

  const tracedAttempts = (slot: Slot, move: Move) =>
    Effect.withFiber((fiber) =>
      isTraced(fiber)
        ? traced(attempts(slot, move), "hitless.handoff", {
          ...clientAttributes(move.target, config.database),
          "hitless.handoff.from": format(move.retiring),
          "hitless.handoff.kind": slot.kind,
          "hitless.handoff.slot": slot.index
        })
        : attempts(slot, move)
    )

  /** Whether its slot had to move until the end: one that was closed does not, and one with another connection has. */
  const failedFor = (state: SlotState, moving: Moving): boolean => state === moving || state._tag === "Reconnecting"

  /** Hands one slot off, and on, until it does not have to move any more. */
  const handOff = Effect.fnUntraced(function*(slot: Slot, queued: Moving) {
    if (slot.state !== queued) {
      // While it waited here its connection was lost, and reconnecting leads to the target too; or a newer target came.
      yield* publish({ _tag: "Superseded", ...base(slot, queued.move), duration: Duration.zero })
    }
    while (slot.state._tag === "Moving") {
      const moving = slot.state
      const { move, superseded } = moving
      const startedAt = runtime.now()
      yield* publish({ _tag: "Started", ...base(slot, move) })
      // A newer target does not wait until the attempts at this one are over.
      const exit = yield* Effect.raceFirst(
        tracedAttempts(slot, move),
        Effect.as(Deferred.await(superseded), false)
      ).pipe(
        Effect.catchCause((cause) =>
          Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), () => broken(move, cause)))
        ),
        Effect.result
      )
      const ended = { ...base(slot, move), duration: Duration.millis(Math.round(runtime.now() - startedAt)) }
      if (exit._tag === "Success") {
        yield* publish({ _tag: exit.success ? "Completed" : "Superseded", ...ended })
      } else if (failedFor(slot.state, moving)) {
        slot.giveUp(moving)
        yield* publish({ _tag: "Failed", ...ended, error: exit.failure })
      } else {
        yield* publish({ _tag: "Superseded", ...ended })
      }
    }
  }, (handingOff, slot) =>
    Effect.onExit(handingOff, (exit) => {
      inHand.delete(slot)
      if (slot.state._tag !== "Moving") return Effect.void
      if (Exit.isFailure(exit)) return Effect.sync(() => slot.giveUp(slot.state as Moving))
      // It was told to move on after the worker's last look.
      return enqueue(slot, slot.state)
    }))

  const worker: Effect.Effect<void> = Effect.gen(function*() {
    while (true) {
      const taken = yield* Effect.timeoutOption(Queue.take(queue), workerIdle)
      if (Option.isSome(taken)) {
        active++
        yield* Effect.ensuring(
          // Its slot has been given back; those that wait in the queue still need a worker.
          Effect.catchCause(
            handOff(...taken.value),
            (cause) => Effect.sync(() => runtime.log("Error", "a handoff broke off", { why: endOf(cause) }))
          ),
          Effect.sync(() => {
            active--
          })
        )
      } else if (Queue.sizeUnsafe(queue) === 0) {
        // No one can offer between this look and the end of the worker: both are one synchronous step.
        alive--
        return
      }
    }
  })

  const employ = Effect.suspend(() => {
    if (alive >= maxWorkers || alive - active >= Queue.sizeUnsafe(queue)) return Effect.void
    alive++
    return FiberSet.run(workers, Effect.onError(worker, () => Effect.sync(() => alive--)))
  })

  const enqueue = Effect.fnUntraced(function*(slot: Slot, moving: Moving): Effect.fn.Return<void> {
    inHand.add(slot)
    const waited = Queue.isFullUnsafe(queue)
    if (waited) {
      runtime.log("Info", "the handoff queue is full, a handoff waits for room", {
        kind: slot.kind,
        slot: slot.index,
        size: handoffQueueSize
      })
    }
    yield* publish({ _tag: "Queued", ...base(slot, moving.move), waited })
    const offer = Effect.andThen(Queue.offer(queue, [slot, moving]), employ)
    // The queue keeps the order of those that wait, and a slot that waits does not ask again.
    yield* waited ? FiberSet.run(waiting, offer, { startImmediately: true }) : offer
  })

  const follow = Effect.fnUntraced(function*(move: Move) {
    // All of them first: an event's subscriber may look at the others.
    const following = Array.from(slotsAt(move.retiring)).filter((slot) => slot.follow(move) && !inHand.has(slot))
    for (const slot of following) if (slot.state._tag === "Moving") yield* enqueue(slot, slot.state)
  })

  yield* Effect.forkScoped(Stream.runForEach(moves, follow))

  return { events: hub.stream, last: () => last }
})

const base = (slot: Slot, move: Move): Base => ({
  kind: slot.kind,
  slot: slot.index,
  from: format(move.retiring),
  to: format(move.target),
  seq: move.seq
})

/** Why a handoff failed in which code of the program's own broke: a tracer that throws, for one. */
const broken = ({ target }: Move, cause: Cause.Cause<unknown>): HitlessError =>
  new HitlessError({
    reason: new ConnectFailed({
      endpoint: format(target),
      kind: "Unreachable",
      detail: `the handoff ${endOf(cause)}`,
      mayHaveExecuted: false
    })
  })

const report = (log: Log, event: HandoffEvent): void => {
  const { from, slot, to } = event
  switch (event._tag) {
    case "Queued":
    case "Started":
    case "Superseded":
      return log("Debug", `handoff ${event._tag.toLowerCase()}`, { slot, from, to })
    case "Retried":
      return log("Info", "a handoff attempt failed", { slot, from, to, why: event.error.message })
    case "Completed":
      return log("Info", "handoff completed", { slot, from, to, duration: Duration.format(event.duration) })
    case "Failed":
      return log("Error", "handoff failed, the slot keeps the connection it has", {
        slot,
        from,
        to,
        why: event.error.message
      })
  }
}
