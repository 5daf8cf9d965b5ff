/**
 * What a command of the simulated server is, and what all of them share: replies, arguments, and how one is run.
 *
 * A command is its arity and a function from arguments to an outcome. It sees the databases and the protocol of its
 * caller, nothing of connections or endpoints. Arguments and values are byte strings (see `text.ts`). What a command
 * refuses is thrown as a `Refusal` and becomes an error reply in `run`.
 */
import type { Dialect } from "./dialect.ts"
import { type Database, type Keyspace, Refusal } from "./keyspace.ts"
import { ReplyValue } from "./replies.ts"
import { int64, parseDouble, parseInteger, toBytes } from "./text.ts"

/** Whoever runs a command. */
export interface Caller {
  readonly keyspace: Keyspace
  /** The selected database. */
  readonly database: Database
  readonly protocol: 2 | 3
  /** What the server does where versions of Redis do not agree. */
  readonly dialect: Dialect
}

/**
 * A command that has to wait: it is tried again whenever something changed, in the order of the waiting clients.
 * In a transaction and in a script nobody can wait.
 */
export class Blocked {
  /** Milliseconds; 0 waits for ever. */
  readonly timeout: number
  /** The reply once there is something, and what it takes away is gone; `undefined` while there is nothing. */
  readonly attempt: () => ReplyValue | undefined
  readonly timedOut: ReplyValue
  /** The reply where nobody can wait. */
  readonly denied: ReplyValue

  constructor(timeout: number, attempt: () => ReplyValue | undefined, timedOut: ReplyValue, denied = timedOut) {
    this.timeout = timeout
    this.attempt = attempt
    this.timedOut = timedOut
    this.denied = denied
  }
}

/** What running a command gives: its reply, a wait, or nothing when it has sent its answers itself. */
export type Outcome = ReplyValue | Blocked | undefined

/** `arity` counts the command's name as Redis does: exact when positive, a minimum when negative. */
export interface Command<C> {
  readonly arity: number
  readonly run: (caller: C, args: ReadonlyArray<string>) => Outcome
}

// ----- replies -----

/** `+OK`. */
export const ok = ReplyValue.Simple({ text: "OK" })
/** No value. */
export const nil = ReplyValue.Null()
/** An integer reply. */
export const integer = (value: number | bigint): ReplyValue => ReplyValue.Integer({ value })
/** An error reply; its text begins with its code. */
export const error = (text: string): ReplyValue => ReplyValue.Error({ text })
/** A bulk reply of a byte string. */
export const bulk = (text: string): ReplyValue => ReplyValue.Bulk({ value: toBytes(text) })
/** An array reply. */
export const array = (items: ReadonlyArray<ReplyValue>): ReplyValue => ReplyValue.Array({ items })
export const bulkOrNil = (text: string | undefined): ReplyValue => text === undefined ? nil : bulk(text)
export const count = (yes: boolean): ReplyValue => integer(yes ? 1 : 0)
export const emptyArray = array([])

// RESP2 has no doubles.
export const double = (caller: Caller, value: number): ReplyValue =>
  caller.protocol === 3 ? ReplyValue.Double({ value }) : bulk(caller.dialect.formatDouble(value))

/** Values that belong together in twos: arrays of two in RESP3, one flat array in RESP2. */
export const pairs = (caller: Caller, items: ReadonlyArray<readonly [ReplyValue, ReplyValue]>): ReplyValue =>
  array(caller.protocol === 3 ? items.map(array) : items.flat())

// ----- arguments -----

export const notAnInteger = "ERR value is not an integer or out of range"
export const notAFloat = "ERR value is not a valid float"
export const noSuchKey = "ERR no such key"
export const syntaxError = "ERR syntax error"

export const refuse = (message: string): never => {
  throw new Refusal(message)
}

export const toInteger = (text: string, message: string = notAnInteger): bigint => parseInteger(text) ?? refuse(message)
export const toIndex = (text: string): number => Number(toInteger(text))
export const toDouble = (text: string, message: string = notAFloat): number => parseDouble(text) ?? refuse(message)

const notPositive = "ERR value is out of range, must be positive"

/** Reads a count that may be 0. */
export const toCount = (text: string, message: string = notPositive): number => {
  const value = toInteger(text, message)
  return value < 0n ? refuse(message) : Number(value)
}

/** Reads a count that must be 1 at least. */
export const toAtLeastOne = (text: string, message: string): number => toCount(text, message) || refuse(message)

/** Reads a count whose sign has a meaning, so that the least integer, which cannot be negated, is refused. */
export const toSigned = (text: string): number => {
  const value = toInteger(text)
  if (value === int64.min) refuse(`ERR value is out of range, value must between -${int64.max} and ${int64.max}`)
  return Number(value)
}

/** A count of pairs must have room for two elements each. */
export const refuseHalf = (count: number): void => {
  if (Math.abs(count) > Number(int64.max) / 2) refuse("ERR value is out of range")
}

/** The error reply to a wrong number of arguments. */
export const wrongArity = (name: string): string => `ERR wrong number of arguments for '${name}' command`

/** Turns what is given into the index of a list of `length` elements. */
export const clampRange = (start: number, stop: number, length: number): readonly [from: number, end: number] => [
  Math.max(start < 0 ? start + length : start, 0),
  Math.max(Math.min(stop < 0 ? stop + length : stop, length - 1) + 1, 0)
]

/** Takes the keys of a command that says first how many there are. */
export const takeKeys = (
  [given, ...rest]: ReadonlyArray<string>,
  tooMany: string = syntaxError
): readonly [keys: ReadonlyArray<string>, rest: ReadonlyArray<string>] => {
  const count = toAtLeastOne(given, "ERR numkeys should be greater than 0")
  if (count > rest.length) refuse(tooMany)
  return [rest.slice(0, count), rest.slice(count)]
}

/** Reads the `COUNT` that may end a pop from one of several keys; 1 unless given. */
export const popCount = (options: ReadonlyArray<string>): number => {
  if (options.length === 0) return 1
  if (options.length === 1 || options[0].toUpperCase() !== "COUNT") refuse(syntaxError)
  const count = toAtLeastOne(options[1], "ERR count should be greater than 0")
  return options.length > 2 ? refuse(syntaxError) : count
}

/**
 * Stands for a choice that Redis makes at random, so that rehearsals repeat themselves: the first `count` elements in
 * the order of the collection; for a negative count that many, beginning again from the first after the last.
 */
export const sample = <A>(items: ReadonlyArray<A>, count: number): ReadonlyArray<A> =>
  count >= 0 || items.length === 0
    ? items.slice(0, Math.max(count, 0))
    : Array.from({ length: -count }, (_, i) => items[i % items.length])

// ----- running -----

/** Whether a command, by its name in capitals, may be called with that many arguments, its name not counted. */
export const fits = (dialect: Dialect, name: string, command: Command<never>, args: number): boolean => {
  const arity = dialect.arities[name] ?? command.arity
  return arity < 0 ? args + 1 >= -arity : args + 1 === arity
}

/** Runs a command; what it refuses becomes its error reply. */
export const run = <C>(command: Command<C>, caller: C, args: ReadonlyArray<string>): Outcome => {
  try {
    return command.run(caller, args)
  } catch (refusal) {
    if (refusal instanceof Refusal) return error(refusal.message)
    throw refusal
  }
}
