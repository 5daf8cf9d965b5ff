/**
 * What the suite over all commands runs: a command, what node-redis is given for the same, and where both do not come to
 * the same on purpose.
 */
import type { Arg } from "../../../src/Resp.ts"

/** Since which version servers know it; never, where nothing is told of a server. */
export interface Since {
  readonly redis?: string
  readonly valkey?: string
}

export interface Case {
  /** The arguments of the command in `Commands`. */
  readonly args: ReadonlyArray<unknown>
  /** The arguments of node-redis' command, where they are others; `"none"` where node-redis has no such command. */
  readonly node?: ReadonlyArray<unknown> | "none"
  /** What is sent before it, after the fixture. */
  readonly setup?: ReadonlyArray<readonly [string, ...ReadonlyArray<Arg>]>
  /** Default: all servers that are tested. */
  readonly since?: Since
  /** It is answered with an error by every server that is tested, and only its words and that error are compared. */
  readonly fails?: boolean
  /** Why the reply is never the same twice: only its shape is compared. */
  readonly random?: string
  /** Why the words are others than node-redis'. */
  readonly words?: string
  /** Why the value is another than node-redis', in both protocols or in one, and what it is made of node-redis'. */
  readonly reply?: string
  readonly of?: (value: never, protocol: 2 | 3) => unknown
  /** The reply has lists in no order. */
  readonly unordered?: boolean
  /** The value has all that node-redis' has, and what newer servers tell. */
  readonly more?: boolean
  /** Why it succeeds or fails as it comes, or with what: only its words are compared. */
  readonly racy?: string
  /** It is run where a cluster is. */
  readonly cluster?: boolean
}

export type Cases = Readonly<Record<string, ReadonlyArray<Case>>>

/** What is in the database before each. */
export const fixture: ReadonlyArray<readonly [string, ...ReadonlyArray<Arg>]> = [
  ["FLUSHALL"],
  ["FUNCTION", "FLUSH"],
  ["CONFIG", "SET", "maxmemory-policy", "noeviction"],
  ["MSET", "s", "hello", "s2", "yellow", "n", 10, "f", "1.5", "int:1", "x", "int:2", "y"],
  ["SET", "ttl", "v", "EX", 1000],
  ["HSET", "h", "a", 1, "b", 2],
  ["RPUSH", "l", "a", "b", "c", "b"],
  ["RPUSH", "nums", 3, 1, 2],
  ["SADD", "set", "a", "b", "c"],
  ["SADD", "set2", "b", "c", "d"],
  ["SADD", "one", "only"],
  ["ZADD", "z", 1, "a", 2.5, "b", "inf", "c"],
  ["ZADD", "z2", 1, "b", 2, "c", "-inf", "d"],
  ["ZADD", "lex", 0, "a", 0, "b", 0, "c"],
  ["ZADD", "zone", 7, "only"],
  ["GEOADD", "geo", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"],
  ["PFADD", "hll", "a", "b"],
  ["PFADD", "hll2", "b", "c"],
  ["XADD", "st", "1-1", "a", 1, "b", 2],
  ["XADD", "st", "2-1", "c", 3],
  ["XADD", "st", "3-1", "d", 4],
  ["XGROUP", "CREATE", "st", "g", 0],
  ["XREADGROUP", "GROUP", "g", "alice", "COUNT", 2, "STREAMS", "st", ">"]
]

export const hashTime: Since = { redis: "7.4", valkey: "9" }
export const hash8: Since = { redis: "8", valkey: "9" }
export const vectors: Since = { redis: "8" }

/** 0 seconds since 1970 is past, and this is not. */
export const later = new Date(33_177_117_420_000)
export const laterInParts = new Date(33_177_117_420_123)

export const binary = new Uint8Array([0, 255, 13, 10])
