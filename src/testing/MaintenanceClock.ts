/**
 * The clock of a rehearsal: plans are scheduled on it, and time passes when it is told to.
 *
 * In simulated time `advance` goes from due moment to due moment, of the plan, the client, the deployment and the
 * program alike, and between two moments the clock stands still until nobody has anything to do. The same program
 * gives the same timeline each time. `TestClock.adjust` inside a rehearsal does the same. In real time `advance` waits.
 *
 * It schedules what the deployment does and keeps the timeline; it decides nothing about clients.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { MaintenancePlan, PlanError } from "./MaintenancePlan.ts"
import type { Timeline } from "./Timeline.ts"

/**
 * The service.
 *
 * @category services
 * @since 0.1.0
 */
export class MaintenanceClock extends Context.Service<MaintenanceClock, {
  /**
   * Makes the deployment go through a plan that begins now; steps at its very beginning are done when this returns.
   * Several plans can be under way. Fails when the plan names nodes that the deployment does not have.
   */
  readonly schedule: (plan: MaintenancePlan) => Effect.Effect<void, PlanError>
  /** Lets so much time pass. */
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
  /**
   * Runs an effect that takes time, and lets as much pass as it needs: for what the test itself waits for, such as a
   * reply that comes late. Dies when it has not ended within `atMost`, 1 hour unless given.
   */
  readonly advanceUntil: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    atMost?: Duration.Input
  ) => Effect.Effect<A, E, R>
  /** Goes through a whole plan: `schedule`, then `advance` by its length. */
  readonly run: (plan: MaintenancePlan) => Effect.Effect<void, PlanError>
  /** The time since the rehearsal began. */
  readonly now: Effect.Effect<Duration.Duration>
  /** What the deployment and its clients did so far. */
  readonly timeline: Effect.Effect<Timeline>
}>()("hitless/testing/MaintenanceClock") {}
