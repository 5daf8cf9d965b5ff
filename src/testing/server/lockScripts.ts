/**
 * The scripts of this package's own `Lock`, as functions with the same effect.
 */
import * as Lua from "../../internal/lockScripts.ts"
import type { Script } from "./script.ts"

/** @internal */
export const lockScripts: ReadonlyArray<Script> = [
  { lua: Lua.release, run: (redis, [key], [token]) => redis.call("GET", key) === token ? redis.call("DEL", key) : 0 },
  {
    lua: Lua.renew,
    run: (redis, [key], [token, millis]) => redis.call("GET", key) === token ? redis.call("PEXPIRE", key, millis) : 0
  }
]
