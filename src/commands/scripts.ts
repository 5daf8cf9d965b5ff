/**
 * Scripts and functions of one's own: each becomes a function that makes commands of its parameters.
 *
 * @since 0.1.0
 */
import { sha1 } from "../internal/sha1.ts"
import {
  callWords,
  type Command,
  countedKeysAfterOne,
  type Decode,
  type EvalOptions,
  read,
  ScriptCall,
  write
} from "./command.ts"
import { raw } from "./decode.ts"

/**
 * What a script or a function is called with, and what it gives.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions<P extends ReadonlyArray<unknown>, A> {
  /** Makes its `KEYS` and its `ARGV` of the parameters. A cluster needs all keys that it uses among them. */
  readonly call: (...parameters: P) => EvalOptions
  /**
   * Makes a value of what it gives: integers, text, `null` for `nil` and `false`, arrays of them. What it throws becomes an
   * `UnexpectedReply`. Default: as `send` gives it.
   */
  readonly decode?: Decode<A> | undefined
  /** Whether it only reads, so that it may run twice. The server refuses writes of it then. Default: `false`. */
  readonly readOnly?: boolean | undefined
}

/**
 * Makes a function that makes calls of a Lua script.
 *
 * **Details**
 *
 * `run` sends `EVALSHA`, and where the server does not have the script, after a restart or a failover for one, `EVAL` with
 * the script, in the time of one command. `pipeline` and `transaction` send `EVAL` at once: there it would be too late to
 * send the script when the others are under way. With `readOnly` it is `EVALSHA_RO` and `EVAL_RO`, of Redis 7.0. The
 * SHA-1 is computed once.
 *
 * **Example** (A counter with a limit)
 *
 * ```ts
 * import { Commands, HitlessRedis } from "hitless"
 * import * as Effect from "effect/Effect"
 *
 * const take = Commands.script({
 *   lua: `local taken = tonumber(redis.call("GET", KEYS[1]) or "0")
 *     if taken >= tonumber(ARGV[1]) then return 0 end
 *     redis.call("INCR", KEYS[1])
 *     return 1`,
 *   call: (user: string, limit: number) => ({ keys: [`taken:${user}`], arguments: [limit] }),
 *   decode: (reply) => reply === 1
 * })
 *
 * export const program = Effect.gen(function*() {
 *   const redis = yield* HitlessRedis.HitlessRedis
 *   return yield* redis.run(take("ada", 10)) // boolean
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const script = <P extends ReadonlyArray<unknown>, A = unknown>(
  { call, decode = raw as Decode<A>, lua, readOnly = false }: CallOptions<P, A> & { readonly lua: string }
): (...parameters: P) => Command<A> => {
  const name = readOnly ? "EVALSHA_RO" : "EVALSHA"
  let digest: string | undefined
  return (...parameters) => {
    digest ??= sha1(new TextEncoder().encode(lua))
    return new ScriptCall(callWords(name, digest, call(...parameters)), lua, decode, readOnly)
  }
}

const libraryFunction = <P extends ReadonlyArray<unknown>, A = unknown>(
  { call, decode = raw as Decode<A>, name, readOnly = false }: CallOptions<P, A> & { readonly name: string }
): (...parameters: P) => Command<A> => {
  const [command, make] = readOnly ? ["FCALL_RO", read] as const : ["FCALL", write] as const
  return (...parameters) => make(callWords(command, name, call(...parameters)), decode, countedKeysAfterOne)
}

/**
 * Makes a function that makes calls of a function that is loaded on the server: `FCALL`, or `FCALL_RO` with `readOnly`.
 * Functions are part of the data, and are there after a restart and a failover as data is.
 *
 * @category constructors
 * @since 0.1.0
 */
export { libraryFunction as function }
