/**
 * Simulated time in which nothing is left to chance: a `TestClock` that moves from due sleep to due sleep, a scheduler
 * that knows when no fiber can go on, and seeded randomness.
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
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"

/** A running simulation. */
export interface Simulation {
  /** The clock, the scheduler and the randomness: what the simulated program runs with. */
  readonly context: Context.Context<never>
  readonly clock: TestClock.TestClock
  /** Runs an effect while time passes for it: whenever it waits, the clock moves to the next due sleep. */
  readonly drive: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

// A command and its reply in memory take about ten turns; nothing that ends needs a million within one moment.
const mostTurns = 1_000_000

const neverSettles =
  "The simulated clock cannot go on: after a million turns of the event loop some fiber still runs. " +
  "A loop that never waits for time, such as a command repeated for ever, holds the clock; let it sleep between rounds"

// About a second, as long as something outside of the simulation may take while a client is closed.
const mostIdleTurns = 100_000

// In milliseconds. A client closes within its own timeouts; an hour is longer than any, and soon simulated.
const longestDrive = 3_600_000

const neverEnds = "The client does not close: something of it is still in use. A connection that the program has " +
  "reserved must be given back first: let the scope that it was reserved in close"

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

/** When sleeps are due, in order. */
class Dues {
  private readonly sorted: Array<number> = []

  get size(): number {
    return this.sorted.length
  }

  get first(): number {
    return this.sorted[0] ?? Infinity
  }

  add(at: number): void {
    this.sorted.splice(this.indexOf(at), 0, at)
  }

  remove(at: number): void {
    this.sorted.splice(this.indexOf(at), 1)
  }

  /** Where `at` is, or would be. */
  private indexOf(at: number): number {
    let low = 0
    let high = this.sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.sorted[middle]! < at) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Starts a simulation whose time is 0; equal seeds give equal randomness. */
export const make = Effect.fnUntraced(
  function*(seed: string | number): Effect.fn.Return<Simulation, never, Scope.Scope> {
    const scheduler = new CountingScheduler(yield* Scheduler.Scheduler)
    const test = yield* TestClock.make()
    const dues = new Dues()
    const now = () => test.currentTimeMillisUnsafe()

    // One fiber at a time moves the clock: of two, each would wait for the other to settle.
    const moving = Semaphore.makeUnsafe(1)

    /** Goes on to `end` with a stop at each due sleep, unless `until` says that there is no more reason to. */
    const advanceTo = Effect.fnUntraced(function*(end: number, until: () => boolean) {
      if (!Number.isFinite(end)) return yield* Effect.die(new RangeError("The simulated clock cannot go on for ever"))
      yield* scheduler.settle
      while (dues.first <= end && !until()) {
        yield* test.setTime(dues.first)
        yield* scheduler.settle
      }
      if (!until()) yield* test.setTime(Math.max(end, now()))
    }, moving.withPermit)
    const never = () => false

    const clock: TestClock.TestClock = {
      ...test,
      adjust: (duration) =>
        Effect.suspend(() => advanceTo(now() + Duration.toMillis(Duration.fromInputUnsafe(duration)), never)),
      setTime: (timestamp) => advanceTo(timestamp, never),
      sleep: (duration) =>
        Effect.suspend(() => {
          // Timers count whole milliseconds everywhere.
          const millis = Math.ceil(Duration.toMillis(duration))
          // Both as Effect's own clock does: a sleep of no length lets others run, and one without end is never due.
          if (!(millis > 0)) return Effect.yieldNow
          if (millis === Infinity) return Effect.never
          const at = now() + millis
          dues.add(at)
          return Effect.ensuring(test.sleep(Duration.millis(millis)), Effect.sync(() => dues.remove(at)))
        })
    }
    // A clock that nobody has moved yet warns in the middle of the first sleep's clean-up.
    yield* test.adjust(0)

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
      drive: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.gen(function*() {
          // No child: what cannot be interrupted and never ends would hold its parent for ever.
          const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
          const done = () => fiber.pollUnsafe() !== undefined
          const limit = now() + longestDrive
          for (let idle = 0; !done();) {
            yield* advanceTo(now(), done)
            if (done()) break
            if (idle === mostIdleTurns || now() > limit) return yield* Effect.die(new Error(neverEnds))
            if (dues.size > 0) {
              idle = 0
              yield* advanceTo(dues.first, done)
            } else {
              // It waits for something outside, which takes real turns of the event loop.
              idle++
              yield* Effect.yieldNow
            }
          }
          return yield* Fiber.join(fiber)
        }).pipe(Effect.provideContext(context))
    }
  }
)
