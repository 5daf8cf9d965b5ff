/**
 * What a configuration says to log in with, where that is no stream.
 */
import { assert } from "@effect/vitest"
import * as Stream from "effect/Stream"
import type { Config } from "hitless"

export const credentialsOf = ({ credentials }: Pick<Config.ResolvedConfig, "credentials">) =>
  Stream.isStream(credentials) ? assert.fail("the credentials are a stream") : credentials
