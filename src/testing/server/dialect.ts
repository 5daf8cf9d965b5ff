/**
 * What differs between the versions of Redis that a simulated server can be: one entry for each difference, and for each
 * version what it does. Commands ask for the entry, never for the version.
 */
import { formatDigits, formatShortest } from "./text.ts"

/** The versions whose replies are reproduced. */
export type Version = "7.0" | "8.0"

/** How one version answers, where versions do not agree. */
export interface Dialect {
  /** What `HELLO` and `INFO` tell. */
  readonly version: string
  /** Subcommands of other versions that this one does not know. */
  readonly unknownSubcommands: ReadonlySet<string>
  /** The arity of commands that take other arguments in other versions. */
  readonly arities: Readonly<Record<string, number>>
  /** Blocking commands that a script may not call; the others find nothing to wait for there. */
  readonly notInScripts: ReadonlySet<string>
  /** How a score is spelled in RESP2, and a number of Lua in an argument. */
  readonly formatDouble: (value: number) => string
  /** What is a cursor, as far as its spelling goes. */
  readonly cursor: RegExp
  /** Whether small sets are one piece to `SSCAN`, as small hashes are to `HSCAN`. */
  readonly hasSmallSets: boolean
  /** Whether `HSCAN` knows `NOVALUES`. */
  readonly scansFieldsAlone: boolean
  /** Whether `BITCOUNT` reads its arguments before it looks for the key. */
  readonly bitcountReadsFirst: boolean
  /** The refusal of a timeout that does not fit 64 bits of milliseconds. */
  readonly timeoutTooLong: string
  /** Whether a key that wakes a waiting client makes it run its whole command again, with its errors. */
  readonly runsAgain: boolean
  /** Whether whoever publishes to itself gets the messages after the reply to its command. */
  readonly repliesFirst: boolean
  /** Whether `XREAD` knows the id `+`, the last entry there is. */
  readonly readsLastEntry: boolean
  /** The refusal of keys without ids, to `XREAD` or `XREADGROUP`. */
  readonly unbalanced: (command: "XREAD" | "XREADGROUP") => string
  /** Whether a consumer exists from the first time it asks for something, also when it gets nothing. */
  readonly makesConsumers: boolean
  /** Whether `XINFO CONSUMERS` tells when a consumer last got something. */
  readonly tellsInactive: boolean
  /** Whether groups count on over what was trimmed, and stop at what was deleted. */
  readonly countsTrimmed: boolean
  /** Whether `XSETID` refuses ids before the last deleted one. */
  readonly xsetidMindsDeleted: boolean
}

/** Every version and what it does. */
export const dialects: Readonly<Record<Version, Dialect>> = {
  "7.0": {
    version: "7.0.15",
    unknownSubcommands: new Set(["CLIENT|SETINFO"]),
    arities: { ZRANK: 3, ZREVRANK: 3 },
    notInScripts: new Set(["BLMOVE", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZPOPMAX", "BZPOPMIN", "WAIT"]),
    formatDouble: formatDigits,
    cursor: /^([+-]?[0-9]+)?$/,
    hasSmallSets: false,
    scansFieldsAlone: false,
    bitcountReadsFirst: false,
    // An overflow of the milliseconds makes them negative.
    timeoutTooLong: "ERR timeout is negative",
    runsAgain: false,
    repliesFirst: false,
    readsLastEntry: false,
    unbalanced: () => "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
    makesConsumers: false,
    tellsInactive: false,
    countsTrimmed: false,
    xsetidMindsDeleted: false
  },
  "8.0": {
    version: "8.0.2",
    unknownSubcommands: new Set(),
    arities: {},
    notInScripts: new Set(),
    formatDouble: formatShortest,
    cursor: /^\s*(\+?[0-9]+|-0[0-9]*)$/,
    hasSmallSets: true,
    scansFieldsAlone: true,
    bitcountReadsFirst: true,
    timeoutTooLong: "ERR timeout is out of range",
    runsAgain: true,
    repliesFirst: true,
    readsLastEntry: true,
    unbalanced: (command) =>
      `ERR Unbalanced '${command.toLowerCase()}' list of streams: for each stream key an ID` +
      `${command === "XREAD" ? ", '+', or '$'" : " or '>'"} must be specified.`,
    makesConsumers: true,
    tellsInactive: true,
    countsTrimmed: true,
    xsetidMindsDeleted: true
  }
}
