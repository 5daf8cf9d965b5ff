/**
 * Functions that stand for Lua texts: their types, and what they see of the server.
 */

/**
 * What a command replies to a script, as Lua has it: no value is `false`, a status such as `OK` an object, and text a
 * byte string.
 *
 * @category models
 * @since 0.1.0
 */
export type ScriptReply = false | number | string | { readonly ok: string } | ReadonlyArray<ScriptReply>

/**
 * What a script replies.
 *
 * **Details**
 *
 * Converted as Lua's values are: `true` to 1, `false` to no value, numbers to integers by cutting off their fraction,
 * `{ err }` to an error and `{ ok }` to a status. An array ends before its first `null` or `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export type ScriptValue =
  | null
  | undefined
  | boolean
  | number
  | string
  | { readonly ok: string }
  | { readonly err: string }
  | ReadonlyArray<ScriptValue>

/**
 * What a script can do.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptRedis {
  /** Milliseconds of the deployment's clock. */
  readonly now: number
  /** Runs a command. An error ends the script and becomes its reply, unless the script catches it. */
  readonly call: <A extends ScriptReply = ScriptReply>(command: string, ...args: ReadonlyArray<string | number>) => A
  /** Runs a command and gives an error as `{ err }`. */
  readonly pcall: (
    command: string,
    ...args: ReadonlyArray<string | number>
  ) => ScriptReply | { readonly err: string }
}

/**
 * A function that stands for a Lua text, given as it is sent or by its SHA-1.
 *
 * **Details**
 *
 * Texts are byte strings in both directions: one character (0 … 255) for each byte, as in Lua.
 *
 * @category models
 * @since 0.1.0
 */
export type Script =
  & {
    readonly run: (
      redis: ScriptRedis,
      keys: ReadonlyArray<string>,
      argv: ReadonlyArray<string>
    ) => ScriptValue
  }
  & ({ readonly lua: string } | { readonly sha1: string })
