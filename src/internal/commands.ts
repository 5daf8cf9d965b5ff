/**
 * What is known about commands by name: which only read, how long one can block, and which may not be sent at all.
 */
import * as Commands from "@ioredis/commands"
import { CommandRefused, HitlessError } from "../HitlessError.ts"
import type { Words } from "./request.ts"

const readOnly: ReadonlySet<string> = new Set(Commands.list.filter((name) => Commands.hasFlag(name, "readonly")))

/** Whether running it twice changes nothing. Unknown commands, and those with subcommands, count as writing. @internal */
export const isReadOnly = (command: string): boolean => readOnly.has(command.toLowerCase())

// ----- blocking -----

/** Where a command has its time to block: the index of the argument, from the end when negative, and its unit. */
const blockingTime: Readonly<Record<string, readonly [index: number, millis: number]>> = {
  BLPOP: [-1, 1000],
  BRPOP: [-1, 1000],
  BRPOPLPUSH: [-1, 1000],
  BLMOVE: [-1, 1000],
  BZPOPMIN: [-1, 1000],
  BZPOPMAX: [-1, 1000],
  BLMPOP: [1, 1000],
  BZMPOP: [1, 1000],
  WAIT: [2, 1],
  WAITAOF: [3, 1]
}

/** How long the server may hold the reply back, in milliseconds: 0 when the command does not block. @internal */
export const blocksFor = (words: Words): number => {
  const name = String(words[0]).toUpperCase()
  let time: number | undefined
  if (Object.hasOwn(blockingTime, name)) {
    const [index, millis] = blockingTime[name]!
    time = Number(words.at(index)) * millis
  } else if (name === "XREAD" || name === "XREADGROUP") {
    // Names of groups and streams can be spelled like options.
    const options = name === "XREAD" ? 1 : 4
    const at = (option: string) =>
      words.findIndex((word, index) => index >= options && String(word).toUpperCase() === option)
    const block = at("BLOCK")
    if (block === -1 || block > at("STREAMS")) return 0
    time = Number(words[block + 1])
  } else {
    return 0
  }
  // Zero blocks without end; what is no number is refused by the server at once.
  return time === 0 ? Infinity : time > 0 ? time : 0
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
  "HELLO",
  "RESET",
  "QUIT"
])

/** Change the state of the connection, which other commands share. */
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
  "READWRITE"
])

type Verdict = "send" | "unanswered" | "stateful" | "client"

const judge = (name: string): Verdict =>
  unanswered.has(name) ? "unanswered" : stateful.has(name) ? "stateful" : name === "CLIENT" ? "client" : "send"

/** Verdicts by the name as it was spelled: a look-up is cheaper than upper case for each command. */
const verdicts = new Map<unknown, Verdict>()

const verdictOf = (command: unknown): Verdict => {
  let verdict = verdicts.get(command)
  if (verdict === undefined) {
    verdict = judge(String(command).toUpperCase())
    // There are some 500 commands; more spellings than this are not names.
    if (verdicts.size < 2048) verdicts.set(command, verdict)
  }
  return verdict
}

const refused = (command: string, detail: string): HitlessError =>
  new HitlessError({ reason: new CommandRefused({ command, detail, mayHaveExecuted: false }) })

const isArg = (word: unknown): boolean =>
  typeof word === "string" || typeof word === "number" || typeof word === "bigint" || word instanceof Uint8Array

/**
 * Why a command may not be sent, `undefined` when it may. On a reserved connection (`shared: false`) its user may change
 * its state, and has to change it back: Effect's `Redis` gives a healthy one to the next user.
 *
 * @internal
 */
export const refusalOf = (words: Words, shared: boolean): HitlessError | undefined => {
  const name = words[0]
  if (typeof name !== "string" || name === "") return refused("", "a command has no name")
  for (let i = 1; i < words.length; i++) {
    if (!isArg(words[i])) return refused(name, `argument ${i} is no string, number, bigint or Uint8Array`)
  }
  const verdict = verdictOf(name)
  if (verdict === "send") return undefined
  if (verdict === "client") {
    const subcommand = String(words[1]).toUpperCase()
    return subcommand === "REPLY" || subcommand === "MAINT_NOTIFICATIONS"
      ? refused(`${name} ${subcommand}`, "the client itself decides how this connection is answered")
      : undefined
  }
  if (verdict === "unanswered") return refused(name, "it is not answered by exactly one reply")
  return shared ? refused(name, "it would change the state of a connection that other commands share") : undefined
}
