/**
 * Commands about a server: what it holds, how it is set and how it does.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import {
  type Command,
  flag,
  type KeyValues,
  many,
  noKeys,
  type OneOrMore,
  option,
  optional,
  pairs,
  read,
  secondKey,
  waiting,
  write
} from "./command.ts"
import {
  array,
  blob,
  blobRecord,
  blobs,
  double,
  integer,
  integerOrNull,
  listOf,
  mismatch,
  ok,
  ownText,
  pairsOf,
  record,
  recordOf,
  type Text,
  text,
  tuple
} from "./decode.ts"
import { patienceMillis } from "./time.ts"

// ----- data -----

/**
 * How many keys the database has.
 *
 * @category server
 * @since 0.1.0
 */
export const dbSize = (): Command<number> => read(["DBSIZE"], integer, noKeys)

/**
 * Deletes all keys of all databases; `ASYNC` frees their memory later.
 *
 * @category server
 * @since 0.1.0
 */
export const flushAll = (mode?: "ASYNC" | "SYNC"): Command<"OK"> => write(["FLUSHALL", ...optional(mode)], ok, noKeys)

/**
 * Deletes all keys of the database; `ASYNC` frees their memory later.
 *
 * @category server
 * @since 0.1.0
 */
export const flushDb = (mode?: "ASYNC" | "SYNC"): Command<"OK"> => write(["FLUSHDB", ...optional(mode)], ok, noKeys)

/**
 * Lets two databases change places.
 *
 * @category server
 * @since 0.1.0
 */
export const swapDb = (first: number, second: number): Command<"OK"> => write(["SWAPDB", first, second], ok, noKeys)

/**
 * Writes the data to disk, and serves nobody meanwhile: see `bgSave`.
 *
 * @category server
 * @since 0.1.0
 */
export const save = (): Command<"OK"> => write(["SAVE"], ok, noKeys)

/**
 * Begins to write the data to disk, in the background.
 *
 * @category server
 * @since 0.1.0
 */
export const bgSave = (options: { readonly SCHEDULE?: boolean | undefined } = {}): Command<Text> =>
  write(["BGSAVE", ...flag("SCHEDULE", options.SCHEDULE)], ownText, noKeys)

/**
 * Begins to write its log of commands anew, in the background.
 *
 * @category server
 * @since 0.1.0
 */
export const bgRewriteAof = (): Command<Text> => write(["BGREWRITEAOF"], ownText, noKeys)

/**
 * When the data was last written to disk, in seconds since 1970.
 *
 * @category server
 * @since 0.1.0
 */
export const lastSave = (): Command<number> => read(["LASTSAVE"], integer, noKeys)

/**
 * Waits until the log of so many servers has what this connection has written, and gives how many have: this one, and
 * replicas. Use it on one of `reserve`. Redis 7.2.
 *
 * @category server
 * @since 0.1.0
 */
export const waitAof = (
  local: 0 | 1,
  replicas: number,
  timeout: Duration.Input
): Command<[local: number, replicas: number]> =>
  waiting(
    ["WAITAOF", local, replicas, patienceMillis(timeout)],
    (reply) => {
      const [local, replicas] = tuple(reply, 2)
      return [integer(local), integer(replicas)]
    },
    noKeys
  )

// ----- how it does -----

/**
 * What the server tells about itself, as lines of text; all, or one section.
 *
 * @category server
 * @since 0.1.0
 */
export const info = (section?: string): Command<Text> => read(["INFO", ...optional(section)], ownText, noKeys)

/**
 * A picture, and the version.
 *
 * @category server
 * @since 0.1.0
 */
export const lolwut = (version?: number, ...args: ReadonlyArray<number>): Command<Text> =>
  read(["LOLWUT", ...option("VERSION", version), ...args], ownText, noKeys)

/**
 * What the server is: a master with its replicas, a replica with its master, or a sentinel.
 *
 * @category models
 * @since 0.1.0
 */
export type Role =
  | {
    readonly role: "master"
    readonly replicationOffset: number
    readonly replicas: Array<{ readonly host: Text; readonly port: number; readonly replicationOffset: number }>
  }
  | {
    readonly role: "slave"
    readonly master: { readonly host: Text; readonly port: number }
    readonly state: Text
    readonly dataReceived: number
  }
  | { readonly role: "sentinel"; readonly masterNames: Array<string> }

const roleOf = (reply: unknown): Role => {
  const [role, first, second, third, fourth] = tuple(reply, 2)
  switch (text(role)) {
    case "master":
      return {
        role: "master",
        replicationOffset: integer(first),
        replicas: listOf(second, (one) => {
          const [host, port, offset] = tuple(one, 3)
          return { host: ownText(host), port: double(port), replicationOffset: double(offset) }
        })
      }
    case "slave":
      return {
        role: "slave",
        master: { host: ownText(first), port: integer(second) },
        state: ownText(third),
        dataReceived: integer(fourth)
      }
    case "sentinel":
      return { role: "sentinel", masterNames: blobs(first) }
    default:
      return mismatch("a role", role)
  }
}

/**
 * What the server is in its replication.
 *
 * @category server
 * @since 0.1.0
 */
export const role = (): Command<Role> => read(["ROLE"], roleOf, noKeys)

/**
 * The time of the server: seconds since 1970, and microseconds of them.
 *
 * @category server
 * @since 0.1.0
 */
export const time = (): Command<[seconds: `${number}`, microseconds: `${number}`]> =>
  read(["TIME"], (reply) => tuple(reply, 2).map(text) as [`${number}`, `${number}`], noKeys)

// ----- memory -----

/**
 * What the server thinks about its memory.
 *
 * @category server
 * @since 0.1.0
 */
export const memoryDoctor = (): Command<Text> => read(["MEMORY", "DOCTOR"], ownText, noKeys)

/**
 * What its allocator tells.
 *
 * @category server
 * @since 0.1.0
 */
export const memoryMallocStats = (): Command<Text> => read(["MEMORY", "MALLOC-STATS"], ownText, noKeys)

/**
 * Gives memory back to the system.
 *
 * @category server
 * @since 0.1.0
 */
export const memoryPurge = (): Command<"OK"> => write(["MEMORY", "PURGE"], ok, noKeys)

/**
 * What its memory is used for, by the server's own names; a map for each database.
 *
 * @category server
 * @since 0.1.0
 */
export const memoryStats = (): Command<Record<string, number | Record<string, number>>> =>
  read(
    ["MEMORY", "STATS"],
    (reply) =>
      recordOf(
        reply,
        (value) =>
          typeof value === "object" && !(value instanceof Uint8Array) ? recordOf(value, integer) : double(value)
      ),
    noKeys
  )

/**
 * How many bytes a key takes, about; `null` without it. Looks at `SAMPLES` elements (5 by default), at all for 0.
 *
 * @category server
 * @since 0.1.0
 */
export const memoryUsage = (
  key: Arg,
  options: { readonly SAMPLES?: number | undefined } = {}
): Command<number | null> =>
  read(["MEMORY", "USAGE", key, ...option("SAMPLES", options.SAMPLES)], integerOrNull, secondKey)

// ----- latency -----

/**
 * What the server thinks about its latency.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyDoctor = (): Command<Text> => read(["LATENCY", "DOCTOR"], ownText, noKeys)

/**
 * A picture of the latency of an event, such as `command`.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyGraph = (event: string): Command<Text> => read(["LATENCY", "GRAPH", event], ownText, noKeys)

/**
 * How often a command was called, and how often it took at most so many microseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface LatencyHistogram {
  readonly calls: number
  readonly histogram_usec: Record<string, number>
}

/**
 * How long commands have taken: all, or those that are named.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyHistogram = (...commands: ReadonlyArray<string>): Command<Record<string, LatencyHistogram>> =>
  read(
    ["LATENCY", "HISTOGRAM", ...commands],
    (reply) =>
      recordOf(reply, (one) =>
        recordOf(one, (value, name) =>
          name === "calls" ? value : recordOf(value, integer)) as unknown as LatencyHistogram),
    noKeys
  )

/**
 * The last spikes of an event: seconds since 1970, and milliseconds.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyHistory = (event: string): Command<Array<[timestamp: number, latency: number]>> =>
  read(["LATENCY", "HISTORY", event], array as (reply: unknown) => Array<never>, noKeys)

/**
 * The last spike of each event, and the longest; newer servers tell more.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyLatest = (): Command<
  Array<[name: string, timestamp: number, latest: number, max: number, ...rest: Array<number>]>
> => read(["LATENCY", "LATEST"], array as (reply: unknown) => Array<never>, noKeys)

/**
 * Forgets the spikes of events, or of all, and gives of how many.
 *
 * @category server
 * @since 0.1.0
 */
export const latencyReset = (...events: ReadonlyArray<string>): Command<number> =>
  write(["LATENCY", "RESET", ...events], integer, noKeys)

/**
 * A command that took long.
 *
 * @category models
 * @since 0.1.0
 */
export interface SlowLogEntry {
  readonly id: number
  /** Seconds since 1970. */
  readonly timestamp: number
  /** Microseconds, without what it waited for. */
  readonly duration: number
  /** Cut where it is long. */
  readonly command: Array<string>
  readonly client: string
  readonly name: string
}

const slowLog = (reply: unknown): Array<SlowLogEntry> =>
  listOf(reply, (one) => {
    const [id, timestamp, duration, command, client, name] = tuple(one, 6)
    return {
      id: integer(id),
      timestamp: integer(timestamp),
      duration: integer(duration),
      command: blobs(command),
      client: client as string,
      name: name as string
    }
  })

/**
 * The last commands that took long, 10 unless `count` says how many, all at -1.
 *
 * @category server
 * @since 0.1.0
 */
export const slowLogGet = (count?: number): Command<Array<SlowLogEntry>> =>
  read(["SLOWLOG", "GET", ...optional(count)], slowLog, noKeys)

/**
 * How many it remembers.
 *
 * @category server
 * @since 0.1.0
 */
export const slowLogLen = (): Command<number> => read(["SLOWLOG", "LEN"], integer, noKeys)

/**
 * Forgets them.
 *
 * @category server
 * @since 0.1.0
 */
export const slowLogReset = (): Command<"OK"> => write(["SLOWLOG", "RESET"], ok, noKeys)

// ----- configuration -----

/**
 * Settings by their names, or by patterns such as `maxmemory*`.
 *
 * @category server
 * @since 0.1.0
 */
export const configGet = (parameters: OneOrMore<string>): Command<Record<string, string>> =>
  read(["CONFIG", "GET", ...many(parameters)], blobRecord, noKeys)

/**
 * Sets the counts of `info` back to zero.
 *
 * @category server
 * @since 0.1.0
 */
export const configResetStat = (): Command<"OK"> => write(["CONFIG", "RESETSTAT"], ok, noKeys)

/**
 * Writes the settings into the server's file.
 *
 * @category server
 * @since 0.1.0
 */
export const configRewrite = (): Command<"OK"> => write(["CONFIG", "REWRITE"], ok, noKeys)

/**
 * Changes a setting, or several at once: all or none.
 *
 * @category server
 * @since 0.1.0
 */
export const configSet: {
  (parameter: string, value: Arg): Command<"OK">
  (parameters: KeyValues): Command<"OK">
} = (parameter: string | KeyValues, value?: Arg): Command<"OK"> =>
  write(
    ["CONFIG", "SET", ...(value === undefined ? pairs(parameter as KeyValues) : [parameter as string, value])],
    ok,
    noKeys
  )

/**
 * A module that is loaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface ModuleInfo {
  readonly name: string
  readonly ver: number
  readonly path?: string
  readonly args?: Array<string>
}

/**
 * The modules that are loaded.
 *
 * @category server
 * @since 0.1.0
 */
export const moduleList = (): Command<Array<ModuleInfo>> =>
  read(["MODULE", "LIST"], (reply) => listOf(reply, record as (reply: unknown) => never), noKeys)

// ----- commands -----

/**
 * How many commands the server knows.
 *
 * @category server
 * @since 0.1.0
 */
export const commandCount = (): Command<number> => read(["COMMAND", "COUNT"], integer, noKeys)

const commandDoc = (reply: unknown): Record<string, unknown> =>
  recordOf(
    reply,
    (value, name) =>
      name === "arguments" ? listOf(value, commandDoc) : name === "subcommands" ? recordOf(value, commandDoc) : value
  )

/**
 * What the server tells about commands, by the server's own names: all, or those that are named.
 *
 * @category server
 * @since 0.1.0
 */
export const commandDocs = (commands: OneOrMore<string> = []): Command<Record<string, Record<string, unknown>>> =>
  read(["COMMAND", "DOCS", ...many(commands)], (reply) => recordOf(reply, commandDoc), noKeys)

/**
 * The keys of a command, as the server finds them; an error where it has none.
 *
 * @category server
 * @since 0.1.0
 */
export const commandGetKeys = (words: ReadonlyArray<Arg>): Command<Array<string>> =>
  read(["COMMAND", "GETKEYS", ...words], blobs, noKeys)

/**
 * A key of a command, and what is done with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyWithFlags {
  readonly key: string
  readonly flags: Array<string>
}

/**
 * The keys of a command, and what is done with them.
 *
 * @category server
 * @since 0.1.0
 */
export const commandGetKeysAndFlags = (words: ReadonlyArray<Arg>): Command<Array<KeyWithFlags>> =>
  read(
    ["COMMAND", "GETKEYSANDFLAGS", ...words],
    (reply) => pairsOf(reply, (key, flags) => ({ key: key as string, flags: blobs(flags) })),
    noKeys
  )

/**
 * What the server knows about a command.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommandInfo {
  readonly name: Text
  /** How many words it has, below zero at least. */
  readonly arity: number
  readonly flags: Array<string>
  readonly firstKeyIndex: number
  readonly lastKeyIndex: number
  readonly step: number
  readonly categories: Array<string>
  readonly tips: Array<string>
  readonly subcommands: Array<CommandInfo>
}

const commandInfoOf = (reply: unknown): CommandInfo => {
  const [name, arity, flags, firstKeyIndex, lastKeyIndex, step, categories, tips, , subcommands] = tuple(reply, 10)
  return {
    name: ownText(name),
    arity: integer(arity),
    flags: blobs(flags),
    firstKeyIndex: integer(firstKeyIndex),
    lastKeyIndex: integer(lastKeyIndex),
    step: integer(step),
    categories: blobs(categories),
    tips: blobs(tips),
    subcommands: listOf(subcommands, commandInfoOf)
  }
}

/**
 * What the server knows about commands; `null` for one that it does not know.
 *
 * @category server
 * @since 0.1.0
 */
export const commandInfo = (commands: ReadonlyArray<string>): Command<Array<CommandInfo | null>> =>
  read(
    ["COMMAND", "INFO", ...commands],
    (reply) => listOf(reply, (one) => one === null ? null : commandInfoOf(one)),
    noKeys
  )

/**
 * The names of all commands, or of those of a module, a category, or a pattern.
 *
 * @category server
 * @since 0.1.0
 */
export const commandList = (
  options: {
    readonly FILTERBY?: { readonly type: "MODULE" | "ACLCAT" | "PATTERN"; readonly value: string } | undefined
  } = {}
): Command<Array<string>> =>
  read(
    [
      "COMMAND",
      "LIST",
      ...(options.FILTERBY === undefined ? [] : ["FILTERBY", options.FILTERBY.type, options.FILTERBY.value])
    ],
    blobs,
    noKeys
  )

// ----- permissions -----

/**
 * The categories of commands, or the commands of one.
 *
 * @category server
 * @since 0.1.0
 */
export const aclCat = (category?: string): Command<Array<string>> =>
  read(["ACL", "CAT", ...optional(category)], blobs, noKeys)

/**
 * Whether a user may run a command: `"OK"`, or why not.
 *
 * @category server
 * @since 0.1.0
 */
export const aclDryRun = (user: string, words: ReadonlyArray<Arg>): Command<Text> =>
  read(["ACL", "DRYRUN", user, ...words], ownText, noKeys)

/**
 * A password from the server's source of chance, of 256 bits unless said otherwise.
 *
 * @category server
 * @since 0.1.0
 */
export const aclGenPass = (bits?: number): Command<string> => write(["ACL", "GENPASS", ...optional(bits)], blob, noKeys)

/**
 * What a user may do.
 *
 * @category models
 * @since 0.1.0
 */
export interface AclUser {
  readonly flags: Array<string>
  readonly passwords: Array<string>
  readonly commands: string
  readonly keys: string
  readonly channels: string
  readonly selectors: Array<{ readonly commands: string; readonly keys: string; readonly channels: string }>
}

/**
 * What a user may do; `null` where there is none of that name.
 *
 * @category server
 * @since 0.1.0
 */
export const aclGetUser = (user: string): Command<AclUser | null> =>
  read(
    ["ACL", "GETUSER", user],
    (reply) =>
      reply === null
        ? null
        : recordOf(
          reply,
          (value, name) => name === "selectors" ? listOf(value, record) : value
        ) as unknown as AclUser,
    noKeys
  )

/**
 * The rules of all users, as in a file.
 *
 * @category server
 * @since 0.1.0
 */
export const aclList = (): Command<Array<string>> => read(["ACL", "LIST"], blobs, noKeys)

/**
 * Something that was not permitted.
 *
 * @category models
 * @since 0.1.0
 */
export interface AclLogEntry {
  readonly count: number
  readonly reason: string
  readonly context: string
  readonly object: string
  readonly username: string
  readonly "age-seconds": number
  readonly "client-info": string
  readonly "entry-id"?: number
  readonly "timestamp-created"?: number
  readonly "timestamp-last-updated"?: number
}

const aclLogEntry = (reply: unknown) => recordOf(reply, (value, name) => name === "age-seconds" ? double(value) : value)

/**
 * What was not permitted lately.
 *
 * @category server
 * @since 0.1.0
 */
export const aclLog = (count?: number): Command<Array<AclLogEntry>> =>
  read(["ACL", "LOG", ...optional(count)], (reply) => listOf(reply, aclLogEntry as (reply: unknown) => never), noKeys)

/**
 * Forgets that.
 *
 * @category server
 * @since 0.1.0
 */
export const aclLogReset = (): Command<"OK"> => write(["ACL", "LOG", "RESET"], ok, noKeys)

/**
 * The names of all users.
 *
 * @category server
 * @since 0.1.0
 */
export const aclUsers = (): Command<Array<string>> => read(["ACL", "USERS"], blobs, noKeys)

/**
 * The user of this connection.
 *
 * @category server
 * @since 0.1.0
 */
export const aclWhoAmI = (): Command<string> => read(["ACL", "WHOAMI"], blob, noKeys)
