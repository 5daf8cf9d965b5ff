/**
 * The error replies which prove that a command did not run, by their code and Redis' own wording after it.
 *
 * Redis and Valkey check before they change anything, so nearly all of their errors mean "did not run"; a proxy in
 * between uses the same codes, above all `ERR`, for a server that it lost after the command ran. Hence a code alone
 * proves nothing, and words that are not here mean "may have run". The words are those of `createSharedObjects` and of
 * the checks in `processCommand`, from Redis 2.8 to 8 and Valkey; names of the product and of its roles have changed.
 */
import type { ErrorReply } from "../Resp.ts"

/** Said before a command is begun, scripts, functions and `EXEC` included. */
const beforeAny: Readonly<Record<string, RegExp>> = {
  LOADING: /^\S+ is loading/,
  MASTERDOWN: /^Link with MASTER is down/,
  // A script meets it at its first write.
  READONLY: /^You can't write against a/,
  BUSY: /^\S+ is busy running a (?:script|module command)/,
  CLUSTERDOWN: /^(?:The cluster is down|Hash slot not served)/,
  TRYAGAIN: /^Multiple keys request during rehashing of slot/,
  CROSSSLOT: /^Keys in request don't hash to the same slot/,
  MOVED: /^\d+ \S+$/,
  ASK: /^\d+ \S+$/,
  REDIRECT: /^\S+:\d+$/,
  NOPERM: /^(?:this user has no|User .* has no|No) permissions /,
  NOSCRIPT: /^No matching script/,
  EXECABORT: /^Transaction discarded because of/,
  ERR: /^(?:unknown (?:command|subcommand)\b|Transaction contains write commands but instance is now a read-only)/i
}

/** Said by a command of its own arguments and keys before it changes any; a script can meet it after it has written. */
const beforeOne: Readonly<Record<string, RegExp>> = {
  OOM: /^command not allowed/,
  NOREPLICAS: /^Not enough good (?:replicas|slaves) to write/,
  MISCONF: /^(?:\S+ is configured to save RDB snapshots|Errors writing to the AOF file)/,
  WRONGTYPE: /^Operation against a key/,
  BUSYKEY: /^Target key name already exists/,
  BUSYGROUP: /^Consumer Group name already exists/,
  NOGROUP: /^No such (?:key|consumer group)/,
  NOTBUSY: /^No scripts in execution/,
  UNBLOCKED: /^(?:client unblocked via CLIENT UNBLOCK|force unblock from blocking operation)/,
  ERR: new RegExp(
    "^(?:" + [
      "wrong number of arguments for ",
      "syntax error",
      "value is not an integer or out of range",
      "value is not a valid float",
      "value is out of range",
      "hash value is not an? (?:integer|float)",
      "increment or decrement would overflow",
      "no such key",
      "index out of range",
      "offset is out of range",
      "bit offset is not an integer or out of range",
      "string exceeds maximum allowed size",
      "min or max is not a float",
      "min or max not valid string range item",
      "invalid expire time",
      "timeout is (?:negative|not an integer or out of range|not a float or out of range)",
      "invalid cursor",
      "(?:invalid DB index|DB index is out of range)",
      "source and destination objects are the same",
      "Invalid stream ID specified as stream command argument",
      "The ID specified in XADD is equal or smaller",
      "Can't execute '"
    ].join("|") + ")"
  )
}

/**
 * Said to a client with which the server has not shaken hands. After a handshake it has lost the session: it was reopened
 * behind a proxy, or the user was reset. A proxy that logs in for its clients is told that it no longer can.
 */
const toStrangers: Readonly<Record<string, RegExp>> = {
  NOAUTH: /^(?:Authentication required|HELLO must be called)/,
  WRONGPASS: /^invalid username-password pair/,
  NOPROTO: /^(?:unsupported protocol version|sorry,? this protocol version is not supported)/i,
  ERR: /^(?:Authentication required|.*\bHELLO must be called)/
}

/** Said to commands that wait, by a server that becomes a replica or loses their slot. */
const forcedOut = /^UNBLOCKED force unblock from blocking operation/

const scripts: ReadonlySet<string> = new Set(["EVAL", "EVALSHA", "FCALL", "EVAL_RO", "EVALSHA_RO", "FCALL_RO"])

const says = (table: Readonly<Record<string, RegExp>>, { code, message }: ErrorReply): boolean =>
  Object.hasOwn(table, code) && table[code].test(message.slice(code.length + 1))

/** Whether the server does not know the client that it shook hands with. @internal */
export const hasLostSession = (reply: ErrorReply): boolean => says(toStrangers, reply)

/**
 * Whether the server ended a wait because it can serve it no longer: whoever has the role now can.
 *
 * @internal
 */
export const isForcedOut = ({ message }: ErrorReply): boolean => forcedOut.test(message)

/** Whether the server did not even begin, whatever the command. @internal */
export const wasNotBegun = (reply: ErrorReply): boolean => says(beforeAny, reply) || hasLostSession(reply)

/** Whether the server may have run the command that it answered so. @internal */
export const mayHaveRun = (reply: ErrorReply, command: string): boolean =>
  !wasNotBegun(reply) && (scripts.has(command.toUpperCase()) || !says(beforeOne, reply))
