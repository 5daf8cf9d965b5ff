/**
 * What tests of services on Redis need: a simulated deployment under maintenance.
 *
 * @since 0.1.0
 */
export * as SimulatedRedis from "./SimulatedRedis.ts"
