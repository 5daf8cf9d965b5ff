/**
 * What a node refuses because of the state it is in: writes where it is a replica, data while it is loading.
 */
import { isReadOnly } from "../../internal/commands.ts"

/** The state of a node that its sessions see. Times are milliseconds of the clock. */
export interface Conditions {
  readonly name: string
  readonly now: () => number
  /** Until when writing is refused. */
  readonly readonlyUntil: number
  /** Until when only commands that need no data are answered. */
  readonly loadingUntil: number
}

const readOnly = "READONLY You can't write against a read only replica."
const loading = "LOADING Redis is loading the dataset in memory"

/** The error reply to a client that waits for an element when its node becomes a replica. */
export const forcedUnblock =
  "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

// Neither read nor write a key, or are not known by their subcommands.
const neutral = new Set(["COMMAND", "ECHO", "TIME", "XINFO"])

/** Whether a data command, named in capitals, may change a key. */
export const writes = (name: string): boolean => {
  const [first] = name.split("|")
  return !neutral.has(first) && !isReadOnly(first)
}

// What `COMMAND` of Redis 7.0.15 flags as `loading`. Of the containers listed here it is every subcommand.
// dprint-ignore
const whileLoading = new Set([
  "AUTH", "CLIENT", "COMMAND", "CONFIG", "DEBUG", "DISCARD", "ECHO", "EXEC", "HELLO", "INFO", "MULTI", "PSUBSCRIBE",
  "PUBLISH", "PUBSUB", "PUNSUBSCRIBE", "QUIT", "RESET", "ROLE", "SELECT", "SPUBLISH", "SSUBSCRIBE", "SUBSCRIBE",
  "SUNSUBSCRIBE", "TIME", "UNSUBSCRIBE", "UNWATCH", "WATCH"
])

/** Whether a node takes no writes. */
export const isReplica = (node: Conditions): boolean => node.now() < node.readonlyUntil

/** Why a node refuses to write, if it does. */
export const refusesWrites = (node: Conditions): string | undefined => isReplica(node) ? readOnly : undefined

/** Why a node refuses a command, named in capitals, if it does. */
export const refuses = (node: Conditions, name: string, isData: boolean): string | undefined => {
  if (isData && isReplica(node) && writes(name)) return readOnly
  return node.now() < node.loadingUntil && !whileLoading.has(name.split("|")[0]) ? loading : undefined
}
