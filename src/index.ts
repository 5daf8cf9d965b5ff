/**
 * The platform-independent modules, as namespaces.
 *
 * @since 0.1.0
 */
export * as Config from "./Config.ts"
export * as Connection from "./Connection.ts"
export * as Endpoint from "./Endpoint.ts"
export * as Handoff from "./Handoff.ts"
export * as HitlessError from "./HitlessError.ts"
export * as HitlessRedis from "./HitlessRedis.ts"
export * as Metrics from "./Metrics.ts"
export * as Notifications from "./Notifications.ts"
export * as Pool from "./Pool.ts"
export * as Resp from "./Resp.ts"
export * as Timeouts from "./Timeouts.ts"
export * as Transport from "./Transport.ts"
