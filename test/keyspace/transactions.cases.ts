/** `MULTI`, `EXEC`, `WATCH`. */
import type { Case } from "../support/keyspaceSuite.ts"
import { scripts } from "../support/scripts.ts"

export const cases: ReadonlyArray<Case> = [
  {
    name: "commands are queued and run as one",
    commands: [
      ["MULTI"],
      ["SET", "a", "1"],
      ["INCR", "a"],
      ["HSET", "h", "f", "v"],
      ["HGETALL", "h"],
      ["PING", "x"],
      ["GET", "none"],
      { client: "b", command: ["GET", "a"] },
      ["EXEC"],
      ["GET", "a"]
    ]
  },
  {
    name: "an error in between stops nothing",
    commands: [
      ["SET", "s", "text"],
      ["MULTI"],
      ["INCR", "s"],
      ["LPUSH", "s", "x"],
      ["SET", "s", "after"],
      ["EXEC"],
      ["GET", "s"]
    ]
  },
  {
    name: "a command that cannot be queued spoils all",
    commands: [
      ["MULTI"],
      ["SET", "a", "1"],
      ["NOPE"],
      ["EXEC"],
      ["MULTI"],
      ["GET"],
      ["SET", "a", "1"],
      ["EXEC"],
      ["MULTI"],
      ["CLIENT", "NOPE"],
      ["EXEC"],
      ["EXISTS", "a"]
    ]
  },
  {
    name: "wrong order",
    commands: [
      ["EXEC"],
      ["DISCARD"],
      ["MULTI"],
      ["MULTI"],
      ["WATCH", "a"],
      ["SET", "a", "1"],
      ["EXEC"],
      ["MULTI"],
      ["SET", "a", "2"],
      ["DISCARD"],
      ["GET", "a"],
      ["MULTI"],
      ["EXEC"],
      ["EXEC", "now"],
      ["MULTI", "x"],
      ["WATCH"]
    ]
  },
  {
    name: "a watched key that changed aborts",
    commands: [
      ["WATCH", "a", "b"],
      { client: "b", command: ["SET", "b", "1"] },
      ["MULTI"],
      ["SET", "c", "1"],
      ["EXEC"],
      ["EXISTS", "c"],
      ["MULTI"],
      ["SET", "c", "1"],
      ["EXEC"]
    ]
  },
  {
    name: "watches that hold, or are given up",
    commands: [
      ["SET", "a", "1"],
      ["WATCH", "a"],
      { client: "b", command: ["GET", "a"] },
      { client: "b", command: ["DEL", "none"] },
      ["MULTI"],
      ["PING"],
      ["EXEC"],
      ["WATCH", "a"],
      ["SET", "a", "2"],
      ["UNWATCH"],
      ["MULTI"],
      ["PING"],
      ["EXEC"],
      ["WATCH", "a"],
      ["SET", "a", "3"],
      ["MULTI"],
      ["DISCARD"],
      ["MULTI"],
      ["PING"],
      ["EXEC"]
    ]
  },
  {
    name: "watched keys change by every kind of writing",
    commands: (
      [
        ["RPUSH", "k", "x"],
        ["HSET", "k", "f", "v"],
        ["SADD", "k", "m"],
        ["ZADD", "k", 1, "m"],
        ["EVAL", scripts.set.lua, 1, "k", "v"],
        ["FLUSHALL"]
      ] as const
    ).flatMap((write) => [
      ["FLUSHALL"],
      write[0] === "FLUSHALL" ? ["SET", "k", "v"] : ["GET", "k"],
      ["WATCH", "k"],
      { client: "b", command: write },
      ["MULTI"],
      ["PING"],
      ["EXEC"]
    ])
  },
  {
    name: "a watched key that expires aborts",
    commands: [
      ["SET", "k", "v", "PX", 30],
      ["WATCH", "k"],
      ["BLPOP", "none", 0.1],
      ["MULTI"],
      ["PING"],
      ["EXEC"]
    ]
  },
  {
    name: "RESET ends a transaction",
    commands: [["MULTI"], ["SET", "a", "1"], ["RESET"], ["EXEC"], ["EXISTS", "a"]]
  }
]
