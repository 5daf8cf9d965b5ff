/**
 * Commands about scripts: `EVAL`, `EVALSHA`, `SCRIPT`.
 *
 * A function that stands for a text runs at once and alone, sees values as Lua would see them (RESP2, whatever its caller
 * speaks), and what it has written before it fails stays written.
 */
import type { Client } from "./client.ts"
import {
  array,
  Blocked,
  bulk,
  type Caller,
  type Command,
  error,
  fits,
  integer,
  nil,
  notAnInteger,
  ok,
  run
} from "./command.ts"
import { dataCommands } from "./commands.ts"
import { refusesWrites, writes } from "./conditions.ts"
import { pubsub } from "./pubsub.ts"
import { ReplyValue } from "./replies.ts"
import type { ScriptRedis, ScriptReply, ScriptValue } from "./script.ts"
import { formatDigits, fromBytes, int64, parseInteger } from "./text.ts"

// ----- values -----

/** What ends a script: an error reply. */
class Abort extends Error {}

const toByteString = (value: string): string => {
  // oxlint-disable-next-line no-control-regex
  if (/^[\x00-\xff]*$/.test(value)) return value
  throw new RangeError(`a byte string has no character ${JSON.stringify([...value].find((char) => char > "\xff"))}`)
}

const toReply = (value: ScriptValue): ReplyValue => {
  if (value === null || value === undefined || value === false) return nil
  if (value === true) return integer(1)
  // What does not fit 64 bits becomes the least integer, as it does on x86-64.
  if (typeof value === "number") return integer(Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : int64.min)
  if (typeof value === "string") return bulk(toByteString(value))
  if ("err" in value) return error(value.err)
  if ("ok" in value) return ReplyValue.Simple({ text: value.ok })
  const end = value.findIndex((item) => item === null || item === undefined)
  return array((end < 0 ? value : value.slice(0, end)).map(toReply))
}

/** A reply in RESP2 as Lua has it; errors inside others are not known there. */
const fromReply = (reply: ReplyValue): ScriptReply => {
  switch (reply._tag) {
    case "Simple":
      return { ok: reply.text }
    case "Error":
      throw new Abort(reply.text)
    case "Integer":
      return Number(reply.value)
    case "BigNumber":
      return String(reply.value)
    case "Bulk":
      return typeof reply.value === "string" ? reply.value : fromBytes(reply.value)
    case "Null":
    case "NullArray":
      return false
    case "Double":
      return formatDigits(reply.value)
    case "Boolean":
      return reply.value ? 1 : 0
    case "Verbatim":
      return reply.text
    case "Map":
      return reply.entries.flatMap(([key, value]) => [fromReply(key), fromReply(value)])
    default:
      return reply.items.map(fromReply)
  }
}

// ----- running -----

/** What a script may call besides data commands. */
const published = (name: string): Command<Client> | undefined =>
  name === "PUBLISH" || name === "SPUBLISH" ? pubsub[name] : undefined

// What `COMMAND` of every version flags as `noscript`, and here also what Redis lets a script ask about itself.
// dprint-ignore
const notAllowed = new Set([
  "AUTH", "CLIENT", "CONFIG", "DEBUG", "DISCARD", "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "EXEC", "HELLO", "INFO",
  "MULTI", "PING", "PSUBSCRIBE", "PUBSUB", "PUNSUBSCRIBE", "QUIT", "RESET", "ROLE", "SCRIPT", "SELECT", "SSUBSCRIBE",
  "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE", "UNWATCH", "WATCH"
])

const makeRedis = (session: Client, isReadOnly: boolean): ScriptRedis => {
  const { database, dialect, keyspace } = session
  const caller: Caller = { keyspace, database, protocol: 2, dialect }
  const call = <A extends ScriptReply>(command: string, ...given: ReadonlyArray<string | number>): A => {
    const name = command.toUpperCase()
    const args = given.map((value) => typeof value === "number" ? dialect.formatDouble(value) : toByteString(value))
    if (notAllowed.has(name) || dialect.notInScripts.has(name)) {
      throw new Abort("ERR This Redis command is not allowed from script")
    }
    const data = dataCommands.get(name)
    const known = data ?? published(name)
    if (known === undefined) throw new Abort("ERR Unknown Redis command called from script")
    if (!fits(dialect, name, known, args.length)) {
      throw new Abort("ERR Wrong number of args calling Redis command from script")
    }
    if (data !== undefined && writes(name)) {
      if (isReadOnly) throw new Abort("ERR Write commands are not allowed from read-only scripts.")
      const refused = refusesWrites(session.peer.node)
      if (refused !== undefined) throw new Abort(refused)
    }
    const outcome = data === undefined ? run(known, session, args) : run(data, caller, args)
    return fromReply(outcome instanceof Blocked ? outcome.denied : outcome ?? nil) as A
  }
  return {
    now: keyspace.now(),
    call,
    pcall: (command, ...args) => {
      try {
        return call(command, ...args)
      } catch (abort) {
        if (abort instanceof Abort) return { err: abort.message }
        throw abort
      }
    }
  }
}

const evaluate = (
  session: Client,
  isReadOnly: boolean,
  [given, ...args]: ReadonlyArray<string>,
  find: () => string
): ReplyValue => {
  const keys = parseInteger(given)
  if (keys === undefined) return error(notAnInteger)
  if (keys > BigInt(args.length)) return error("ERR Number of keys can't be greater than number of args")
  if (keys < 0n) return error("ERR Number of keys can't be negative")
  const sha = find()
  const script = session.deployment.scripts.find(sha)
  if (typeof script === "string") return error(script)
  const split = Number(keys)
  try {
    return toReply(script(makeRedis(session, isReadOnly), args.slice(0, split), args.slice(split)))
  } catch (cause) {
    // Functions have no lines of Lua to tell about, so all errors are those of the first.
    const message = cause instanceof Abort ? cause.message : `ERR user_script:1: ${messageOf(cause)}`
    return error(`${message} script: ${sha}, on @user_script:1.`)
  }
}

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

// ----- commands -----

const evalCommand = (isReadOnly: boolean): Command<Client> => ({
  arity: -3,
  run: (session, [text, ...args]) => evaluate(session, isReadOnly, args, () => session.deployment.scripts.load(text))
})

const evalShaCommand = (isReadOnly: boolean): Command<Client> => ({
  arity: -3,
  run: (session, [sha, ...args]) => evaluate(session, isReadOnly, args, () => sha.toLowerCase())
})

/** The commands of this file by name. */
export const scripting: Record<string, Command<Client>> = {
  EVAL: evalCommand(false),
  EVAL_RO: evalCommand(true),
  EVALSHA: evalShaCommand(false),
  EVALSHA_RO: evalShaCommand(true),
  "SCRIPT|LOAD": { arity: 3, run: (session, [, text]) => bulk(session.deployment.scripts.load(text)) },
  "SCRIPT|EXISTS": {
    arity: -3,
    run: (session, [, ...shas]) =>
      array(shas.map((sha) => integer(session.deployment.scripts.has(sha.toLowerCase()) ? 1 : 0)))
  },
  "SCRIPT|FLUSH": {
    arity: -2,
    run: (session, [, mode, ...rest]) => {
      if (mode !== undefined && (rest.length > 0 || !/^(a?sync)$/i.test(mode))) {
        return error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
      }
      session.deployment.scripts.flush()
      return ok
    }
  }
}
