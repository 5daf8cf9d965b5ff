/**
 * What is known about commands by name: which only read, how long one can block, and which may not be sent at all.
 */
import * as Commands from "@ioredis/commands"
import { CommandRefused, HitlessError } from "../HitlessError.ts"
import { type Arg, byReferenceBytes, copyArgument } from "../Resp.ts"
import type { Words } from "./request.ts"

const readOnly: ReadonlySet<string> = new Set(Commands.list.filter((name) => Commands.hasFlag(name, "readonly")))

/** Whether running it twice changes nothing. Unknown commands, and those with subcommands, count as writing. @internal */
export const isReadOnly = (command: string): boolean => readOnly.has(command.toLowerCase())

// ----- words -----

const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype)

/**
 * What typed arrays have, asked of a value itself: its class, and properties of its own, can say otherwise or throw.
 * Called 6 ns a time; `Reflect.get` takes 26.
 */
const getter = (property: string | symbol): (() => unknown) | undefined =>
  Object.getOwnPropertyDescriptor(typedArray, property)?.get

const tag = getter(Symbol.toStringTag) as (this: unknown) => string | undefined
const length = getter("length") as (this: Uint8Array) => number
const buffer = getter("buffer") as (this: Uint8Array) => ArrayBuffer
const byteOffset = getter("byteOffset") as (this: Uint8Array) => number

/** More than any word that is judged here has; what is longer is a key or a value. */
const longestWord = 32

/** A word as the server reads it, whatever type carries its bytes, in upper case, in which it has no meaning of its own. @internal */
export const spelled = (word: Arg | undefined): string => {
  if (typeof word !== "object") return String(word).toUpperCase()
  let text = ""
  const end = Math.min(length.call(word), longestWord + 1)
  for (let i = 0; i < end; i++) text += String.fromCharCode(word[i])
  return text.toUpperCase()
}

// ----- blocking -----

/** Where a command has its time to block: the index of the argument, from the end when negative, and its unit. */
const blockingTime: Readonly<Record<string, readonly [index: number, millis: number]>> = {
  BLPOP: [-1, 1000],
  BRPOP: [-1, 1000],
  BRPOPLPUSH: [-1, 1000],
  BLMOVE: [-1, 1000],
  BLMOVEM: [5, 1000],
  BZPOPMIN: [-1, 1000],
  BZPOPMAX: [-1, 1000],
  BZMOVE: [4, 1000],
  BLMPOP: [1, 1000],
  BZMPOP: [1, 1000],
  WAIT: [2, 1],
  WAITAOF: [3, 1]
}

/** Of these a later call would not wait for the same as an earlier one. */
const waitsOnce: ReadonlySet<string> = new Set(["WAIT", "WAITAOF"])

const readsStreams: ReadonlySet<string> = new Set(["XREAD", "XREADGROUP"])

/** Where the time to block stands among the words, and its unit; `undefined` when the command does not block. */
const blockingSite = (words: Words): readonly [index: number, millis: number] | undefined => {
  const name = spelled(words[0])
  if (Object.hasOwn(blockingTime, name)) {
    const [index, millis] = blockingTime[name]
    return [index < 0 ? words.length + index : index, millis]
  }
  if (!readsStreams.has(name)) return undefined
  // Names of groups and streams can be spelled like options.
  const options = name === "XREAD" ? 1 : 4
  const at = (option: string) => words.findIndex((word, index) => index >= options && spelled(word) === option)
  const block = at("BLOCK")
  return block === -1 || block > at("STREAMS") ? undefined : [block + 1, 1]
}

/** How long the server may hold the reply back, in milliseconds: 0 when the command does not block. @internal */
export const blocksFor = (words: Words): number => {
  const site = blockingSite(words)
  if (site === undefined) return 0
  const time = Number(spelled(words[site[0]])) * site[1]
  // Zero blocks without end; what is no number is refused by the server at once.
  return time === 0 ? Infinity : time > 0 ? time : 0
}

/**
 * The words of an `XREAD` that waits which mean the last entry of a stream at the time, each with the stream's key: a later
 * command would take a later entry for it.
 *
 * @internal
 */
export const lastEntriesIn = (words: Words): ReadonlyArray<readonly [index: number, key: Arg]> => {
  if (spelled(words[0]) !== "XREAD" || blockingSite(words) === undefined) return []
  const first = words.findIndex((word) => spelled(word) === "STREAMS") + 1
  const count = (words.length - first) / 2
  return words.flatMap((word, index) =>
    index >= first + count && spelled(word) === "$" ? [[index, words[index - count]]] : []
  )
}

/**
 * The same command with another time to block, in milliseconds; `undefined` where two of them, one after the other, do not
 * wait for what one would.
 *
 * @internal
 */
export const blockingFor = (words: Words, time: number): Words | undefined => {
  const name = spelled(words[0])
  const site = blockingSite(words)
  if (site === undefined || waitsOnce.has(name)) return undefined
  // "$" and "+" name another entry the next time.
  if (readsStreams.has(name) && words.some((word) => /^[$+]$/.test(spelled(word)))) return undefined
  const [index, millis] = site
  const whole = Math.max(1, Math.ceil(time))
  return words.with(index, millis === 1 ? whole : String(whole / millis))
}

// ----- refused -----

/** Answered by pushes, or not by exactly one reply: every later reply would go to the wrong command. */
const unanswered: ReadonlySet<string> = new Set([
  "SUBSCRIBE",
  "PSUBSCRIBE",
  "SSUBSCRIBE",
  "UNSUBSCRIBE",
  "PUNSUBSCRIBE",
  "SUNSUBSCRIBE",
  "MONITOR",
  "SYNC",
  "PSYNC",
  "REPLCONF",
  "CLUSTER SYNCSLOTS",
  "HELLO",
  "RESET",
  "QUIT",
  "CLIENT REPLY",
  "CLIENT MAINT_NOTIFICATIONS",
  // The next script is answered by the debugger.
  "SCRIPT DEBUG",
  // Redis takes them for HTTP, and hangs up.
  "POST",
  "HOST:"
])

/** Change the state of the connection, which other commands share, and which its successor would not have. */
const stateful: ReadonlySet<string> = new Set([
  "SELECT",
  "AUTH",
  "MULTI",
  "EXEC",
  "DISCARD",
  "WATCH",
  "UNWATCH",
  "ASKING",
  "READONLY",
  "READWRITE",
  "CLIENT SETNAME",
  "CLIENT SETINFO",
  "CLIENT TRACKING",
  "CLIENT CACHING",
  "CLIENT NO-EVICT",
  "CLIENT NO-TOUCH",
  "CLIENT CAPA",
  "CLIENT IMPORT-SOURCE",
  "HIMPORT PREPARE",
  "HIMPORT DISCARD",
  "HIMPORT DISCARDALL"
])

/** Names whose verdict depends on the word after them. */
const containers: ReadonlySet<string> = new Set(
  [...unanswered, ...stateful].filter((name) => name.includes(" ")).map((name) => name.slice(0, name.indexOf(" ")))
)

type Verdict = "send" | "blocking" | "unanswered" | "stateful" | "container" | "malformed"

const judge = (name: string): Verdict =>
  unanswered.has(name)
    ? "unanswered"
    : stateful.has(name)
    ? "stateful"
    : containers.has(name)
    ? "container"
    : Object.hasOwn(blockingTime, name) || readsStreams.has(name)
    ? "blocking"
    : "send"

/** Verdicts by the name as it was spelled: a look-up is cheaper than upper case for each command. */
const verdicts = new Map<string, Verdict>()

const verdictOf = (command: string): Verdict => {
  let verdict = verdicts.get(command)
  if (verdict === undefined) {
    verdict = command.isWellFormed() ? judge(command.toUpperCase()) : "malformed"
    // There are some 500 commands; more spellings than this are not names.
    if (verdicts.size < 2048) verdicts.set(command, verdict)
  }
  return verdict
}

/** @internal */
export const refused = (command: string, detail: string): HitlessError =>
  new HitlessError({ reason: new CommandRefused({ command, detail, mayHaveExecuted: false }) })

/** By identity: a value can be anything, a proxy that throws whatever it is asked too. */
const flaws = /* @__PURE__ */ new WeakMap<object, string>()

/** An argument that could not be made; what it is in is refused with `flaw`, which has no value in it. @internal */
export const unencodable = (flaw: string): Arg => {
  const word = {}
  flaws.set(word, flaw)
  return word as Arg
}

const isReadable = (bytes: Uint8Array): boolean => {
  if (length.call(bytes) > 0) return true
  try {
    // It throws for memory that is detached, or was resized to end before the bytes begin.
    return new Uint8Array(bytes).length === 0
  } catch {
    return false
  }
}

/** Why a value is no argument; `undefined` when it is one. @internal */
export const flawOf = (word: unknown): string | undefined => {
  switch (typeof word) {
    case "string":
      return word.isWellFormed()
        ? undefined
        : "has half of a surrogate pair, which UTF-8 cannot carry: another string would become the same bytes"
    case "number":
    case "bigint":
      return undefined
    default:
      return tag.call(word) !== "Uint8Array"
        ? flaws.get(word as object) ?? "is no string, number, bigint or Uint8Array"
        : isReadable(word as Uint8Array)
        ? undefined
        : "is a Uint8Array whose memory is gone"
  }
}

/** Why a command may not be sent because of its arguments, `undefined` when they are some. @internal */
export const refusalOfArguments = (words: Words): HitlessError | undefined => {
  for (let i = 1; i < words.length; i++) {
    const flaw = flawOf(words[i])
    if (flaw !== undefined) return refused(String(words[0]).toWellFormed(), `argument ${i} ${flaw}`)
  }
  return undefined
}

/**
 * Why a command may not be sent, `undefined` when it may. On a reserved connection (`shared: false`) its user may change
 * its state, and has to change it back: Effect's `Redis` gives a healthy one to the next user.
 *
 * @internal
 */
export const refusalOf = (words: Words, shared: boolean): HitlessError | undefined => {
  const name = words[0]
  if (typeof name !== "string" || name === "") return refused("", "a command has no name")
  const flaw = refusalOfArguments(words)
  if (flaw !== undefined) return flaw
  const verdict = verdictOf(name)
  if (verdict === "send" || verdict === "blocking") return undefined
  if (verdict !== "container") return refusalBy(verdict, name, shared)
  const whole = `${name.toUpperCase()} ${spelled(words[1])}`
  return refusalBy(judge(whole), whole, shared)
}

/**
 * The name of a command that gives its connection state which no other has, in capitals and with its subcommand;
 * `undefined` for any other command.
 *
 * @internal
 */
export const statefulName = (words: Words): string | undefined => {
  const name = spelled(words[0])
  if (stateful.has(name)) return name
  if (!containers.has(name)) return undefined
  const whole = `${name} ${spelled(words[1])}`
  return stateful.has(whole) ? whole : undefined
}

/**
 * Whether a command is one of the many that have only to be sent: known by its name, and with text and numbers alone, so
 * that nothing of it is to be refused or copied. `false` says nothing. One short loop for these takes 3 % off the client's
 * part of a `GET`.
 *
 * @internal
 */
export const isPlain = (words: ReadonlyArray<unknown>): boolean =>
  verdicts.get(words[0] as string) === "send" && arePlain(words)

/** Whether the arguments are text and numbers alone. @internal */
export const arePlain = (words: ReadonlyArray<unknown>): boolean => {
  for (let i = 1; i < words.length; i++) {
    const word = words[i]
    if (typeof word === "string" ? !word.isWellFormed() : typeof word !== "number") return false
  }
  return true
}

const refusalBy = (verdict: Verdict, command: string, shared: boolean): HitlessError | undefined => {
  switch (verdict) {
    case "malformed":
      return refused(command.toWellFormed(), "its name has half of a surrogate pair, which UTF-8 cannot carry")
    case "unanswered":
      return refused(
        command,
        /SUBSCRIBE$/i.test(command)
          ? "it is answered by pushes, on a connection of its own; use the client's `subscribe`, `psubscribe` or `ssubscribe`"
          : "it changes how the connection is answered, which the client itself decides"
      )
    case "stateful":
      return shared
        ? refused(
          command,
          /^(?:MULTI|EXEC|DISCARD|WATCH|UNWATCH)$/i.test(command)
            ? "it would change the state of a connection that other commands share; use `transaction`, or one of `reserve`"
            : "it would change the state of a connection that other commands share; use one of `reserve`"
        )
        : undefined
    default:
      return undefined
  }
}

// ----- taken -----

/**
 * Makes the byte arguments of a command what they are now: short ones are copied. Long ones, which the encoder does not
 * copy either, stay the caller's memory, and are its to leave alone until the command is answered.
 *
 * @internal
 */
export const takeBytes = (words: Array<Arg>): void => {
  for (let i = 1; i < words.length; i++) {
    const word = words[i]
    if (typeof word !== "object") continue
    const size = length.call(word)
    words[i] = size < byReferenceBytes
      ? copyArgument(word, size)
      : new Uint8Array(buffer.call(word), byteOffset.call(word), size)
  }
}

/** Copies an array that a caller gave; `undefined` for what is none, or throws when it is read. @internal */
export const copyOf = (value: unknown): Array<unknown> | undefined => {
  if (!Array.isArray(value)) return undefined
  try {
    const copy: Array<unknown> = []
    for (let i = 0; i < value.length; i++) copy.push(value[i])
    return copy
  } catch {
    return undefined
  }
}
