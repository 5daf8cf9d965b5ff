/**
 * `HitlessRedis` for Node, ready to provide: the client's layers with Node's transport inside.
 *
 * @since 0.1.0
 */
import * as EffectConfig from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type { ConfigError, Options } from "../Config.ts"
import type { HitlessError } from "../HitlessError.ts"
import * as HitlessRedis from "../HitlessRedis.ts"
import * as NodeTransport from "./NodeTransport.ts"

/**
 * Provides `HitlessRedis` and `effect/persistence/Redis`, connected. Fails as `HitlessRedis.make` does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<HitlessRedis.HitlessRedis | Redis.Redis, HitlessError | ConfigError> =>
  Layer.provide(HitlessRedis.layer(options), NodeTransport.layer)

/**
 * The same from Effect's `Config`: each option that is given is a `Config`, or one `Config` has them all, as
 * `Config.fromEnv` of this package does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: EffectConfig.Wrap<Options>
): Layer.Layer<HitlessRedis.HitlessRedis | Redis.Redis, HitlessError | ConfigError | EffectConfig.ConfigError> =>
  Layer.unwrap(Effect.map(EffectConfig.unwrap(options), layer))
