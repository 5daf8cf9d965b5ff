/**
 * The real server that can stand behind a command's simulated nodes.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { ResolvedConfig } from "../Config.ts"
import * as HitlessRedis from "../HitlessRedis.ts"

/**
 * The server that executes the commands, when it is a real one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Upstream {
  readonly url: Redacted.Redacted
  readonly config: ResolvedConfig
}

/**
 * Finds out before anything else whether the server answers, so that a wrong address is told as what it is.
 *
 * @category running
 * @since 0.1.0
 */
export const greet = Effect.fnUntraced(
  function*({ url }: Upstream) {
    const redis = yield* HitlessRedis.make({ url, maintenance: { mode: "disabled" } })
    yield* redis.send("PING")
  },
  Effect.scoped,
  Effect.mapError((error) => new CliError.UserError({ cause: error, userMessage: `--upstream: ${error.message}` }))
)
