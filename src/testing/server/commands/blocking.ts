/**
 * Commands that wait for an element. Each is a command that does not wait, tried until it finds something.
 */
import {
  array,
  Blocked,
  bulk,
  type Caller,
  type Command,
  integer,
  nil,
  type Outcome,
  refuse,
  syntaxError,
  takeKeys,
  toInteger
} from "../command.ts"
import type { ValueType } from "../keyspace.ts"
import { ReplyValue } from "../replies.ts"
import { int64, parseDouble } from "../text.ts"
import { lists } from "./lists.ts"
import { sortedSets } from "./sortedSets.ts"

const negative = "ERR timeout is negative"

/** Reads seconds as milliseconds, and refuses what Redis does not count in 64 bits. */
const toTimeout = (caller: Caller, text: string): number => {
  const seconds = parseDouble(text) ?? refuse("ERR timeout is not a float or out of range")
  const millis = Math.ceil(seconds * 1000)
  if (millis > Number(int64.max)) refuse(caller.dialect.timeoutTooLong)
  return millis < 0 ? refuse(negative) : millis
}

const noArray = ReplyValue.NullArray()

/**
 * What is there at once, or a wait for it. A key of another type is an error at first; while the client waits it can
 * come and go, and is one again when `runsAgain` and another key has something. Of keys that one transaction fills, the client gets the one that it named first, where Redis gives
 * the one that was filled first. `attempt` is told the keys to look at.
 */
const waitFor = (
  caller: Caller,
  type: ValueType,
  keys: ReadonlyArray<string>,
  timeout: number,
  denied: ReplyValue,
  attempt: (keys: ReadonlyArray<string>) => ReplyValue | undefined
): Outcome =>
  attempt(keys) ?? new Blocked(
    timeout,
    () => {
      const filled = keys.filter((key) => caller.database.type(key) === type)
      if (filled.length === 0) return undefined
      return attempt(caller.dialect.runsAgain ? keys : filled)
    },
    noArray,
    denied
  )

/** What another command replies, if that is something. */
const something = (outcome: Outcome): ReplyValue | undefined => {
  if (outcome === undefined || outcome instanceof Blocked) return undefined
  const isEmpty = outcome._tag === "Null" || outcome._tag === "NullArray" ||
    (outcome._tag === "Array" && outcome.items.length === 0)
  return isEmpty ? undefined : outcome
}

/** Pops one element of the first key that has any, and names the key. */
const pop = (type: ValueType, command: Command<Caller>): Command<Caller> => ({
  arity: -3,
  run: (caller, args) => {
    const timeout = toTimeout(caller, args[args.length - 1])
    return waitFor(caller, type, args.slice(0, -1), timeout, noArray, (keys) => {
      for (const key of keys) {
        const popped = something(command.run(caller, [key]))
        if (popped !== undefined) return array([bulk(key), ...(popped._tag === "Array" ? popped.items : [popped])])
      }
      return undefined
    })
  }
})

/** Pops several elements: `timeout numkeys key … where [COUNT count]`. */
const multiPop = (type: ValueType, command: Command<Caller>): Command<Caller> => ({
  arity: -5,
  run: (caller, [seconds, ...args]) => {
    const timeout = toTimeout(caller, seconds)
    const [keys, rest] = takeKeys(args)
    if (rest.length === 0) refuse(syntaxError)
    const attempt = (keys: ReadonlyArray<string>) =>
      something(command.run(caller, [String(keys.length), ...keys, ...rest]))
    return waitFor(caller, type, keys, timeout, noArray, attempt)
  }
})

/** Moves an element; `args` are those of the command that does not wait. */
const move = (caller: Caller, command: Command<Caller>, args: ReadonlyArray<string>, seconds: string): Outcome =>
  waitFor(caller, "list", [args[0]], toTimeout(caller, seconds), nil, () => something(command.run(caller, args)))

const wait = (_caller: Caller, [replicas, timeout]: ReadonlyArray<string>): ReplyValue => {
  toInteger(replicas)
  if (toInteger(timeout, "ERR timeout is not an integer or out of range") < 0n) refuse(negative)
  // Nothing is replicated, and nothing ever will be: waiting could not change the answer.
  return integer(0)
}

/** The commands of this file by name. */
export const blocking: Record<string, Command<Caller>> = {
  BLPOP: pop("list", lists.LPOP),
  BRPOP: pop("list", lists.RPOP),
  BZPOPMIN: pop("zset", sortedSets.ZPOPMIN),
  BZPOPMAX: pop("zset", sortedSets.ZPOPMAX),
  BLMPOP: multiPop("list", lists.LMPOP),
  BZMPOP: multiPop("zset", sortedSets.ZMPOP),
  BLMOVE: { arity: 6, run: (caller, args) => move(caller, lists.LMOVE, args.slice(0, 4), args[4]) },
  BRPOPLPUSH: { arity: 4, run: (caller, args) => move(caller, lists.RPOPLPUSH, args.slice(0, 2), args[2]) },
  WAIT: { arity: 3, run: wait }
}
