/**
 * Simulated time in which nothing is left to chance: a clock that moves from due sleep to due sleep, a scheduler that
 * knows when no fiber can go on, and seeded randomness. The clock is a `TestClock`, so `TestClock.adjust` moves it too;
 * Effect's own would not wait for what goes on beside its scheduler's tasks, as writes of one tick that leave together.
 *
 * Between two moments everything *settles*: the clock stands still until no fiber of the simulation is runnable, so
 * what happens at a moment does not depend on how fast the machine is. Fibers that wait for something outside, a real
 * socket or a promise of another library, are not waited for.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Semaphore from "effect/Semaphore"
import type * as TestClock from "effect/testing/TestClock"

/** A running simulation. */
export interface Simulation {
  /** The clock, the scheduler and the randomness: what the simulated program runs with. */
  readonly context: Context.Context<never>
  readonly clock: TestClock.TestClock
  /**
   * Runs an effect while time passes for it: whenever it waits, and does not move the clock itself, the clock moves to
   * the next due sleep. Dies with the message when it has not ended when so much time is over, or waits for nothing
   * that time brings.
   */
  readonly drive: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    atMost: Duration.Duration,
    message: string
  ) => Effect.Effect<A, E, R>
}

// A command and its reply in memory take about ten turns; nothing that ends needs a million within one moment.
const mostTurns = 1_000_000

const neverSettles =
  "The simulated clock cannot go on: after a million turns of the event loop some fiber still runs. " +
  "A loop that never waits for time, such as a command repeated for ever, holds the clock; let it sleep between rounds"

// About a second, as long as something outside of the simulation may take.
const mostIdleTurns = 100_000

/** A scheduler that counts the tasks it has not yet run. */
class CountingScheduler implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  pending = 0
  private readonly parent: Scheduler.Scheduler

  constructor(parent: Scheduler.Scheduler) {
    this.parent = parent
    this.executionMode = parent.executionMode
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.parent.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.parent.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.pending++
        dispatcher.scheduleTask(() => {
          this.pending--
          task()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }

  /** Waits until no task is left. */
  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    // A task can leave a microtask behind that schedules the next one, so nothing must be found in two turns in a row.
    for (let turns = 0, idle = 0; idle < 2; turns++) {
      if (turns === mostTurns) return yield* Effect.die(new Error(neverSettles))
      yield* Effect.yieldNow
      idle = this.pending === 0 ? idle + 1 : 0
    }
  })
}

/** A fiber that waits for its moment. */
interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Who sleeps. The next to wake is the last; of equals that is who came first. */
class Sleepers {
  private readonly sorted: Array<Sleeper> = []

  /** When the next one wakes: `Infinity` when nobody sleeps. */
  get next(): number {
    return this.sorted.at(-1)?.at ?? Infinity
  }

  add(sleeper: Sleeper): void {
    let low = 0
    let high = this.sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.sorted[middle].at > sleeper.at) low = middle + 1
      else high = middle
    }
    this.sorted.splice(low, 0, sleeper)
  }

  remove(sleeper: Sleeper): void {
    const index = this.sorted.indexOf(sleeper)
    if (index >= 0) this.sorted.splice(index, 1)
  }

  /** Wakes everybody whose moment has come, also who lies down meanwhile. */
  wakeAt(now: number): void {
    while (this.next <= now) this.sorted.pop()?.wake()
  }
}

/** Starts a simulation whose time is 0; equal seeds give equal randomness. */
export const make = Effect.fnUntraced(
  function*(seed: string | number): Effect.fn.Return<Simulation> {
    const scheduler = new CountingScheduler(yield* Scheduler.Scheduler)
    const real = yield* Clock.Clock
    const sleepers = new Sleepers()
    let millis = 0
    // How far the time of day is ahead of the time that has passed: a clock that is set back is behind it.
    let wallAhead = 0
    const nanos = () => BigInt(millis) * 1_000_000n
    const wall = () => millis + wallAhead
    const wallNanos = () => BigInt(wall()) * 1_000_000n

    // One fiber at a time moves the clock: of two, each would wait for the other to settle.
    const moving = Semaphore.makeUnsafe(1)
    let movers = 0

    const wakeNext = Effect.suspend(() => {
      millis = Math.max(millis, sleepers.next)
      sleepers.wakeAt(millis)
      return scheduler.settle
    })

    /** Goes on with a stop at each due sleep, to the end that is given from where the clock is then. */
    const advanceTo = Effect.fnUntraced(function*(endFrom: (now: number) => number) {
      const end = endFrom(millis)
      if (!Number.isFinite(end)) return yield* Effect.die(new RangeError("The simulated clock cannot go on for ever"))
      yield* scheduler.settle
      while (sleepers.next <= end) yield* wakeNext
      millis = Math.max(millis, Math.ceil(end))
    }, moving.withPermit)

    const move = (endFrom: (now: number) => number): Effect.Effect<void> =>
      Effect.suspend(() => {
        movers++
        return Effect.ensuring(advanceTo(endFrom), Effect.sync(() => movers--))
      })

    const clock: TestClock.TestClock = {
      currentTimeMillisUnsafe: wall,
      currentTimeMillis: Effect.sync(wall),
      currentTimeNanosUnsafe: wallNanos,
      currentTimeNanos: Effect.sync(wallNanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      adjust: (duration) => move((now) => now + Duration.toMillis(Duration.fromInputUnsafe(duration))),
      // As Effect's own clock does it: time passes on the way to a later time, and setting an earlier one undoes none.
      setTime: (timestamp) =>
        Effect.suspend(() => {
          if (timestamp >= wall()) return move(() => timestamp - wallAhead)
          wallAhead = timestamp - millis
          return Effect.void
        }),
      sleep: (duration) => {
        // Timers count whole milliseconds everywhere.
        const length = Math.ceil(Duration.toMillis(duration))
        // Both as Effect's own clock does: a sleep of no length lets others run, and one without end is never due.
        if (!(length > 0)) return Effect.yieldNow
        if (length === Infinity) return Effect.never
        return Effect.callback((resume) => {
          const sleeper = { at: millis + length, wake: () => resume(Effect.void) }
          sleepers.add(sleeper)
          return Effect.sync(() => sleepers.remove(sleeper))
        })
      },
      withLive: (effect) =>
        "withLive" in real
          ? (real as TestClock.TestClock).withLive(effect)
          : Effect.provideService(effect, Clock.Clock, real)
    }

    const random = yield* Random.withSeed(
      Effect.withFiber<Random.Random>((fiber) => Effect.succeed(fiber.getRef(Random.Random))),
      seed
    )
    const context = Context.make(Clock.Clock, clock as Clock.Clock).pipe(
      Context.add(Scheduler.Scheduler, scheduler as Scheduler.Scheduler),
      Context.add(Random.Random, random)
    )

    return {
      context,
      clock,
      drive: <A, E, R>(effect: Effect.Effect<A, E, R>, atMost: Duration.Duration, message: string) =>
        Effect.gen(function*() {
          const end = millis + Duration.toMillis(atMost)
          // No child: what cannot be interrupted and never ends would hold its parent for ever.
          const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
          const done = () => fiber.pollUnsafe() !== undefined
          const step = moving.withPermit(Effect.andThen(
            scheduler.settle,
            Effect.suspend(() =>
              // Who moves the clock by himself knows better how far.
              done() || movers > 0 || sleepers.next > end ? Effect.void : wakeNext
            )
          ))
          const drive = Effect.gen(function*() {
            for (let idle = 0; !done();) {
              yield* step
              if (done() || movers > 0 || sleepers.next <= end) {
                idle = 0
              } else if (sleepers.next < Infinity || ++idle === mostIdleTurns) {
                return yield* Effect.die(new Error(message))
              } else {
                // It waits for something outside, which takes real turns of the event loop.
                yield* Effect.yieldNow
              }
            }
            return yield* Fiber.join(fiber)
          })
          return yield* Effect.onExit(drive, () => Effect.forkDetach(Fiber.interrupt(fiber)))
        }).pipe(Effect.provideContext(context))
    }
  }
)
