/**
 * Commands of Lua scripts and functions. What a script gives is as `send` gives it.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import {
  callWords,
  type Command,
  countedKeysAfterOne,
  type EvalOptions,
  flag,
  many,
  noKeys,
  type OneOrMore,
  option,
  optional,
  read,
  write
} from "./command.ts"
import { bits, blob, listOf, ok, raw, record, recordOf } from "./decode.ts"

const evalScript = (script: Arg, options: EvalOptions = {}): Command<unknown> =>
  write(callWords("EVAL", script, options), raw, countedKeysAfterOne)

/**
 * Runs a script. Nobody else is served meanwhile.
 *
 * @category scripting
 * @since 0.1.0
 */
export { evalScript as eval }

/**
 * Runs a script that only reads.
 *
 * @category scripting
 * @since 0.1.0
 */
export const evalRo = (script: Arg, options: EvalOptions = {}): Command<unknown> =>
  read(callWords("EVAL_RO", script, options), raw, countedKeysAfterOne)

/**
 * Runs a script that the server has, by its SHA-1; an error with the code `NOSCRIPT` where it has not.
 *
 * @category scripting
 * @since 0.1.0
 */
export const evalSha = (sha1: string, options: EvalOptions = {}): Command<unknown> =>
  write(callWords("EVALSHA", sha1, options), raw, countedKeysAfterOne)

/**
 * The same for one that only reads.
 *
 * @category scripting
 * @since 0.1.0
 */
export const evalShaRo = (sha1: string, options: EvalOptions = {}): Command<unknown> =>
  read(callWords("EVALSHA_RO", sha1, options), raw, countedKeysAfterOne)

/**
 * Calls a function of a library.
 *
 * @category scripting
 * @since 0.1.0
 */
export const fCall = (name: string, options: EvalOptions = {}): Command<unknown> =>
  write(callWords("FCALL", name, options), raw, countedKeysAfterOne)

/**
 * Calls a function that only reads.
 *
 * @category scripting
 * @since 0.1.0
 */
export const fCallRo = (name: string, options: EvalOptions = {}): Command<unknown> =>
  read(callWords("FCALL_RO", name, options), raw, countedKeysAfterOne)

/**
 * Deletes a library.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionDelete = (library: string): Command<"OK"> => write(["FUNCTION", "DELETE", library], ok, noKeys)

/**
 * All libraries as `functionRestore` takes them: read it with `bytes`, since it is no text.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionDump = (): Command<string> => read(["FUNCTION", "DUMP"], blob, noKeys)

/**
 * Deletes all libraries.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionFlush = (mode?: "ASYNC" | "SYNC"): Command<"OK"> =>
  write(["FUNCTION", "FLUSH", ...optional(mode)], ok, noKeys)

/**
 * Stops the function that runs, if it has not written.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionKill = (): Command<"OK"> => write(["FUNCTION", "KILL"], ok, noKeys)

/**
 * A function of a library.
 *
 * @category models
 * @since 0.1.0
 */
export interface FunctionInfo {
  readonly name: string
  readonly description: string | null
  readonly flags: Array<string>
}

/**
 * A library of functions.
 *
 * @category models
 * @since 0.1.0
 */
export interface LibraryInfo {
  readonly library_name: string
  readonly engine: string
  readonly functions: Array<FunctionInfo>
}

const libraries = (reply: unknown) =>
  listOf(reply, (one) => recordOf(one, (value, name) => name === "functions" ? listOf(value, record) : value))

const libraryWords = (options: { readonly LIBRARYNAME?: string | undefined }): ReadonlyArray<Arg> => [
  "FUNCTION",
  "LIST",
  ...option("LIBRARYNAME", options.LIBRARYNAME)
]

/**
 * The libraries that the server has, or those whose names match a pattern.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionList = (
  options: { readonly LIBRARYNAME?: string | undefined } = {}
): Command<Array<LibraryInfo>> => read(libraryWords(options), libraries as (reply: unknown) => Array<never>, noKeys)

/**
 * The same, with their code.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionListWithCode = (
  options: { readonly LIBRARYNAME?: string | undefined } = {}
): Command<Array<LibraryInfo & { readonly library_code: string }>> =>
  read([...libraryWords(options), "WITHCODE"], libraries as (reply: unknown) => Array<never>, noKeys)

/**
 * Loads a library and gives its name; an error where there is one of that name, unless it is replaced.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionLoad = (
  code: Arg,
  options: { readonly REPLACE?: boolean | undefined } = {}
): Command<string> => write(["FUNCTION", "LOAD", ...flag("REPLACE", options.REPLACE), code], blob, noKeys)

/**
 * Loads what `functionDump` gave.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionRestore = (
  dump: Arg,
  options: { readonly mode?: "FLUSH" | "APPEND" | "REPLACE" | undefined } = {}
): Command<"OK"> => write(["FUNCTION", "RESTORE", dump, ...optional(options.mode)], ok, noKeys)

/**
 * What runs now, and how much is loaded for each engine.
 *
 * @category models
 * @since 0.1.0
 */
export interface FunctionStats {
  readonly running_script:
    | { readonly name: string; readonly command: Array<string>; readonly duration_ms: number }
    | null
  readonly engines: Record<string, { readonly libraries_count: number; readonly functions_count: number }>
}

const stats = (reply: unknown) =>
  recordOf(reply, (value, name) => value === null ? null : name === "engines" ? recordOf(value, record) : record(value))

/**
 * What runs now, and how much is loaded.
 *
 * @category scripting
 * @since 0.1.0
 */
export const functionStats = (): Command<FunctionStats> =>
  read(["FUNCTION", "STATS"], stats as (reply: unknown) => never, noKeys)

/**
 * Whether the server has scripts, by their SHA-1.
 *
 * @category scripting
 * @since 0.1.0
 */
export const scriptExists = (sha1: OneOrMore<string>): Command<Array<0 | 1>> =>
  read(["SCRIPT", "EXISTS", ...many(sha1)], bits, noKeys)

/**
 * Forgets all scripts.
 *
 * @category scripting
 * @since 0.1.0
 */
export const scriptFlush = (mode?: "ASYNC" | "SYNC"): Command<"OK"> =>
  write(["SCRIPT", "FLUSH", ...optional(mode)], ok, noKeys)

/**
 * Stops the script that runs, if it has not written.
 *
 * @category scripting
 * @since 0.1.0
 */
export const scriptKill = (): Command<"OK"> => write(["SCRIPT", "KILL"], ok, noKeys)

/**
 * Loads a script and gives its SHA-1.
 *
 * @category scripting
 * @since 0.1.0
 */
export const scriptLoad = (script: Arg): Command<string> => write(["SCRIPT", "LOAD", script], blob, noKeys)
