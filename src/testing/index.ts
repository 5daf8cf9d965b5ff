/**
 * What tests of services on Redis need: a simulated deployment under maintenance.
 *
 * @since 0.1.0
 */
export * as MaintenanceClock from "./MaintenanceClock.ts"
export * as MaintenancePlan from "./MaintenancePlan.ts"
export * as Rehearsal from "./Rehearsal.ts"
export * as SimulatedRedis from "./SimulatedRedis.ts"
export * as TestRedis from "./TestRedis.ts"
export * as Timeline from "./Timeline.ts"
