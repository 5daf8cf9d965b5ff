/**
 * Commands about connections. Commands share connections, so what is about "this" one means something on a connection of
 * `reserve` only.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Arg } from "../Resp.ts"
import { type Command, many, noKeys, type OneOrMore, option, optional, read, write } from "./command.ts"
import { bit, blob, blobOrNull, integer, mismatch, ok, record, type Text, text } from "./decode.ts"
import { millis } from "./time.ts"

/**
 * A connection, as the server sees it; newer servers tell more.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientInfo {
  readonly id: number
  readonly addr: Text
  readonly laddr?: Text
  readonly fd: number
  readonly name: Text
  /** Seconds since it was opened, and since it was used. */
  readonly age: number
  readonly idle: number
  readonly flags: Text
  readonly db: number
  readonly sub: number
  readonly psub: number
  readonly ssub?: number
  readonly multi: number
  readonly watch?: number
  readonly qbuf: number
  readonly qbufFree: number
  readonly argvMem: number
  readonly multiMem?: number
  readonly rbs?: number
  readonly rbp?: number
  readonly obl: number
  readonly oll: number
  readonly omem: number
  readonly totMem: number
  readonly events: Text
  readonly cmd: Text
  readonly user: Text
  readonly redir?: number
  readonly resp?: number
  readonly libName?: Text
  readonly libVer?: Text
}

const texts: ReadonlySet<string> = /* @__PURE__ */ new Set([
  "addr",
  "laddr",
  "name",
  "flags",
  "events",
  "cmd",
  "user",
  "lib-name",
  "lib-ver",
  "capa"
])

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

const infoOf = (line: string): ClientInfo => {
  const info: Record<string, string | number> = {}
  for (const [, name = "", value = ""] of line.matchAll(/([^\s=]+)=(\S*)/g)) {
    info[camelCase(name)] = texts.has(name) ? value : Number(value)
  }
  return typeof info["id"] === "number" ? info as unknown as ClientInfo : mismatch("a line about a client", line)
}

const clientInfoOf = (reply: unknown): ClientInfo => infoOf(text(reply))

const clientInfosOf = (reply: unknown): Array<ClientInfo> =>
  text(reply).split("\n").filter((line) => line !== "").map(infoOf)

/**
 * The name of this connection; `null` without one.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientGetName = (): Command<string | null> => read(["CLIENT", "GETNAME"], blobOrNull, noKeys)

/**
 * Which connection is told what this one tracks: 0 itself, -1 none.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientGetRedir = (): Command<number> => read(["CLIENT", "GETREDIR"], integer, noKeys)

/**
 * The id of this connection.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientId = (): Command<number> => read(["CLIENT", "ID"], integer, noKeys)

/**
 * What the server knows about this connection.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientInfo = (): Command<ClientInfo> => read(["CLIENT", "INFO"], clientInfoOf, noKeys)

/**
 * Which connections are meant: all that fit.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientKillFilter {
  readonly ID?: OneOrMore<number> | undefined
  readonly ADDR?: string | undefined
  readonly LADDR?: string | undefined
  readonly TYPE?: "normal" | "master" | "replica" | "pubsub" | undefined
  readonly USER?: string | undefined
  /** Whether the connection that asks is spared, as it is by default. */
  readonly SKIPME?: boolean | undefined
  /** Only those that are older, in whole seconds. Redis 7.4, Valkey 8. */
  readonly MAXAGE?: Duration.Input | undefined
}

/**
 * Closes connections and gives how many.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientKill = ({ ADDR, ID, LADDR, MAXAGE, SKIPME, TYPE, USER }: ClientKillFilter): Command<number> =>
  write(
    [
      "CLIENT",
      "KILL",
      ...(ID === undefined ? [] : ["ID", ...many(ID)]),
      ...option("ADDR", ADDR),
      ...option("LADDR", LADDR),
      ...option("TYPE", TYPE),
      ...option("USER", USER),
      ...option("SKIPME", SKIPME === undefined ? undefined : SKIPME ? "yes" : "no"),
      ...option("MAXAGE", MAXAGE === undefined ? undefined : Math.ceil(millis(MAXAGE) / 1000))
    ],
    integer,
    noKeys
  )

/**
 * All connections, or those of a type, or by their ids. O(n).
 *
 * @category clients
 * @since 0.1.0
 */
export const clientList = (
  filter: {
    readonly TYPE?: "normal" | "master" | "replica" | "pubsub" | undefined
    readonly ID?: OneOrMore<number> | undefined
  } = {}
): Command<Array<ClientInfo>> =>
  read(
    ["CLIENT", "LIST", ...option("TYPE", filter.TYPE), ...(filter.ID === undefined ? [] : ["ID", ...many(filter.ID)])],
    clientInfosOf,
    noKeys
  )

/**
 * Lets all clients wait for so long, with all that they send or with writes alone.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientPause = (timeout: Duration.Input, mode?: "WRITE" | "ALL"): Command<"OK"> =>
  write(["CLIENT", "PAUSE", millis(timeout), ...optional(mode)], ok, noKeys)

/**
 * What this connection tracks.
 *
 * @category models
 * @since 0.1.0
 */
export interface TrackingInfo {
  readonly flags: Array<string>
  readonly redirect: number
  readonly prefixes: Array<string>
}

/**
 * What this connection tracks.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientTrackingInfo = (): Command<TrackingInfo> =>
  read(["CLIENT", "TRACKINGINFO"], record as (reply: unknown) => never, noKeys)

/**
 * Ends the wait of a connection, as if its time were over, or with an error; 0 where it did not wait.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientUnblock = (id: number, mode?: "TIMEOUT" | "ERROR"): Command<0 | 1> =>
  write(["CLIENT", "UNBLOCK", id, ...optional(mode)], bit, noKeys)

/**
 * Ends a pause.
 *
 * @category clients
 * @since 0.1.0
 */
export const clientUnpause = (): Command<"OK"> => write(["CLIENT", "UNPAUSE"], ok, noKeys)

/**
 * Gives what it is given.
 *
 * @category clients
 * @since 0.1.0
 */
export const echo = (message: Arg): Command<string> => read(["ECHO", message], blob, noKeys)

/**
 * Whether the server answers: with `"PONG"`, or the message.
 *
 * @category clients
 * @since 0.1.0
 */
export const ping: {
  (): Command<"PONG">
  (message: Arg): Command<string>
} = (message?: Arg): Command<never> => read(["PING", ...optional(message)], blob as () => never, noKeys)
