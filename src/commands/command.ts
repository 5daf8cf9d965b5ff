/**
 * `Command`, a command as a value, and what commands are made with.
 *
 * A command is data: it opens nothing, sends nothing and never changes. What has to be known about it is in the value, so
 * that nobody looks its name up.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"

/**
 * Makes a value of a reply, which is as `send` gives it, or as `sendBytes` does for a command of `bytes`; RESP2 has flat
 * arrays for maps, text for doubles, and 0 and 1 for booleans. What it throws becomes an `UnexpectedReply`.
 *
 * @category models
 * @since 0.1.0
 */
export type Decode<A> = (reply: unknown, protocol: 2 | 3) => A

/** Finds the keys among the words of a command. @internal */
export type KeysOf = (words: ReadonlyArray<Arg>) => ReadonlyArray<Arg>

/**
 * A command as a value: good for `run`, `pipeline` and `transaction`, any number of times.
 *
 * @category models
 * @since 0.1.0
 */
export class Command<out A> {
  /** Its name and its arguments, as they are sent. */
  readonly words: ReadonlyArray<Arg>
  /** Makes what `run` gives of the reply. */
  readonly decode: Decode<A>
  /** Whether it changes nothing, so that it can run twice. */
  readonly readOnly: boolean
  /** Whether it may wait on the server, and so takes a connection of its own. */
  readonly blocking: boolean
  /** Whether the blobs of its reply are read as `Uint8Array`. */
  readonly bytes: boolean
  /** Whether it is one of ours: well-behaved on a connection that others use. @internal */
  readonly isKnown: boolean
  private readonly keysOf: KeysOf

  /** @internal */
  constructor(
    words: ReadonlyArray<Arg>,
    decode: Decode<A>,
    keysOf: KeysOf,
    readOnly: boolean,
    blocking: boolean,
    isKnown: boolean,
    bytes: boolean
  ) {
    this.words = words
    this.decode = decode
    this.keysOf = keysOf
    this.readOnly = readOnly
    this.blocking = blocking
    this.isKnown = isKnown
    this.bytes = bytes
  }

  /** The keys that it reads or writes. */
  get keys(): ReadonlyArray<Arg> {
    return this.keysOf(this.words)
  }

  /** The same command with another reply. @internal */
  with<B>(decode: Decode<B>, bytes: boolean): Command<B> {
    return new Command(this.words, decode, this.keysOf, this.readOnly, this.blocking, this.isKnown, bytes)
  }
}

/**
 * A call of a script, by the script's SHA-1. Servers forget scripts, so that it is no command which has only to be sent.
 *
 * @internal
 */
export class ScriptCall<out A> extends Command<A> {
  readonly lua: string

  constructor(words: ReadonlyArray<Arg>, lua: string, decode: Decode<A>, readOnly: boolean, bytes = false) {
    super(words, decode, countedKeysAfterOne, readOnly, false, false, bytes)
    this.lua = lua
  }

  /** The same with the script itself, which any server can run. */
  get inFull(): Command<A> {
    const words = [this.readOnly ? "EVAL_RO" : "EVAL", this.lua, ...this.words.slice(2)]
    return new Command(words, this.decode, countedKeysAfterOne, this.readOnly, false, false, this.bytes)
  }

  override with<B>(decode: Decode<B>, bytes: boolean): ScriptCall<B> {
    return new ScriptCall(this.words, this.lua, decode, this.readOnly, bytes)
  }
}

/** A command that only reads. @internal */
export const read = <A>(words: ReadonlyArray<Arg>, decode: Decode<A>, keysOf: KeysOf = firstKey): Command<A> =>
  new Command(words, decode, keysOf, true, false, true, false)

/** A command that changes something, or whose reply is never the same. @internal */
export const write = <A>(words: ReadonlyArray<Arg>, decode: Decode<A>, keysOf: KeysOf = firstKey): Command<A> =>
  new Command(words, decode, keysOf, false, false, true, false)

/** A command that waits on the server. @internal */
export const waiting = <A>(
  words: ReadonlyArray<Arg>,
  decode: Decode<A>,
  keysOf: KeysOf,
  readOnly = false
): Command<A> => new Command(words, decode, keysOf, readOnly, true, true, false)

// ----- keys -----

const none: ReadonlyArray<Arg> = []

/** @internal */
export const noKeys: KeysOf = () => none
/** @internal */
export const firstKey: KeysOf = (words) => [words[1]]
/** Behind a subcommand. @internal */
export const secondKey: KeysOf = (words) => [words[2]]
/** @internal */
export const firstTwoKeys: KeysOf = (words) => words.slice(1, 3)
/** All words but the name. @internal */
export const allKeys: KeysOf = (words) => words.slice(1)
/** The same, but for the last word, which is a time. @internal */
export const allKeysButLast: KeysOf = (words) => words.slice(1, -1)

/** The keys whose number stands at an index. */
const counted = (words: ReadonlyArray<Arg>, at: number): ReadonlyArray<Arg> =>
  words.slice(at + 1, at + 1 + Number(words[at]))

/** Behind their number. @internal */
export const countedKeys: KeysOf = (words) => counted(words, 1)
/** Behind one word and their number. @internal */
export const countedKeysAfterOne: KeysOf = (words) => counted(words, 2)
/** The first, and others behind their number. @internal */
export const firstAndCountedKeys: KeysOf = (words) => [words[1], ...counted(words, 2)]

// ----- words -----

/**
 * One value or several.
 *
 * @category models
 * @since 0.1.0
 */
export type OneOrMore<A> = A | ReadonlyArray<A>

/** @internal */
export const many = <A extends Arg>(values: OneOrMore<A>): ReadonlyArray<A> =>
  Array.isArray(values) ? values : [values as A]

/** The number of values, and the values. @internal */
export const countOf = (values: OneOrMore<Arg>): ReadonlyArray<Arg> => {
  const all = many(values)
  return [all.length, ...all]
}

/** An option with its value, where one is given. @internal */
export const option = (name: string, value: Arg | undefined): ReadonlyArray<Arg> =>
  value === undefined ? none : [name, value]

/** A word that is there or not. @internal */
export const flag = (name: string, isSet: boolean | undefined): ReadonlyArray<Arg> => isSet === true ? [name] : none

/** A word, where one is given. @internal */
export const optional = (value: Arg | undefined): ReadonlyArray<Arg> => value === undefined ? none : [value]

/** A number as Redis reads one that may be infinite; text as it is, for `(1` and the like. @internal */
export const double = (value: Arg): Arg => value === Infinity ? "+inf" : value === -Infinity ? "-inf" : value

/**
 * Keys or fields with their values: a record, or pairs such as those of a `Map`, which can have bytes for keys.
 *
 * @category models
 * @since 0.1.0
 */
export type KeyValues = Readonly<Record<string, Arg>> | Iterable<readonly [key: Arg, value: Arg]>

/** @internal */
export const pairs = (values: KeyValues): ReadonlyArray<Arg> =>
  Array.from(Symbol.iterator in values ? values as Iterable<readonly [Arg, Arg]> : Object.entries(values)).flat()

/**
 * What a scan looks for, and about how much it looks at in one step (10 by default).
 *
 * @category models
 * @since 0.1.0
 */
export interface ScanOptions {
  readonly MATCH?: Arg | undefined
  readonly COUNT?: number | undefined
}

/** @internal */
export const scanWords = ({ COUNT, MATCH }: ScanOptions): ReadonlyArray<Arg> => [
  ...option("MATCH", MATCH),
  ...option("COUNT", COUNT)
]

/**
 * The keys that a script may use, and what else it is given.
 *
 * @category models
 * @since 0.1.0
 */
export interface EvalOptions {
  readonly keys?: ReadonlyArray<Arg> | undefined
  readonly arguments?: ReadonlyArray<Arg> | undefined
}

/** @internal */
export const callWords = (
  name: string,
  script: Arg,
  { arguments: args = [], keys = [] }: EvalOptions
): ReadonlyArray<Arg> => [
  name,
  script,
  keys.length,
  ...keys,
  ...args
]
