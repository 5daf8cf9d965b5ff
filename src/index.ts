/**
 * The platform-independent modules, as namespaces.
 *
 * @since 0.1.0
 */
import type { Arg as CommandArgument } from "./Resp.ts"

export * as Cache from "./Cache.ts"
export * as Commands from "./Commands.ts"
export * as Config from "./Config.ts"
export * as ConsumerGroup from "./ConsumerGroup.ts"
export * as Endpoint from "./Endpoint.ts"
export * as Handoff from "./Handoff.ts"
export * as HitlessError from "./HitlessError.ts"
export * as HitlessKeyValueStore from "./HitlessKeyValueStore.ts"
export * as HitlessRedis from "./HitlessRedis.ts"
export * as Lock from "./Lock.ts"
export * as Metrics from "./Metrics.ts"
export * as Notifications from "./Notifications.ts"
export * as PubSub from "./PubSub.ts"
export * as Transport from "./Transport.ts"

/** What of the codec is public: the type of an argument. */
export declare namespace Resp {
  /** An argument of a command: text is sent as UTF-8, a number or bigint as its decimal digits, bytes as they are. */
  export type Arg = CommandArgument
}
