import type { Case } from "../support/keyspaceSuite.ts"

export const cases: ReadonlyArray<Case> = [
  {
    name: "counts, types and deletes keys",
    commands: [
      ["MSET", "a", 1, "b", 2],
      ["RPUSH", "l", "x"],
      ["EXISTS", "a", "a", "none", "l"],
      ["TOUCH", "a", "none", "b"],
      ["TYPE", "a"],
      ["TYPE", "l"],
      ["TYPE", "none"],
      ["DBSIZE"],
      { command: ["KEYS", "*"], unordered: true },
      ["KEYS", "[ab]x*"],
      ["DEL", "a", "a", "none"],
      ["UNLINK", "b", "none"],
      ["RANDOMKEY"],
      ["DEL", "l"],
      ["RANDOMKEY"],
      ["DBSIZE"]
    ]
  },
  {
    name: "renames with the end, over what is there",
    commands: [
      ["SET", "a", 1, "EX", 100],
      ["RPUSH", "l", "x"],
      ["RENAME", "a", "l"],
      ["TTL", "l"],
      ["TYPE", "l"],
      ["EXISTS", "a"],
      ["RENAME", "a", "b"],
      ["RENAMENX", "a", "b"],
      ["SET", "b", 2],
      ["RENAMENX", "l", "b"],
      ["RENAMENX", "l", "c"],
      ["RENAME", "c", "c"],
      ["RENAMENX", "c", "c"],
      ["GET", "c"],
      ["RENAME", "c"]
    ]
  },
  {
    name: "copies every type, between databases too",
    commands: [
      ["SET", "s", "v", "EX", 100],
      ["COPY", "s", "t"],
      ["TTL", "t"],
      ["COPY", "s", "t"],
      ["COPY", "s", "t", "REPLACE"],
      ["COPY", "none", "t", "REPLACE"],
      ["COPY", "s", "s"],
      ["COPY", "s", "s", "DB", 1],
      ["COPY", "s", "s", "replace", "db", 1],
      ["COPY", "s", "t", "DB", 99],
      ["COPY", "s", "t", "DB", "x"],
      ["COPY", "s", "t", "DB"],
      ["COPY", "s", "t", "NOW"],
      ["RPUSH", "l", "a"],
      ["COPY", "l", "l2"],
      ["RPUSH", "l2", "b"],
      ["LRANGE", "l", 0, -1],
      ["HSET", "h", "f", "v"],
      ["COPY", "h", "h2"],
      ["HSET", "h2", "f", "w"],
      ["HGETALL", "h"],
      ["ZADD", "z", 1, "a"],
      ["COPY", "z", "z2"],
      ["ZREM", "z2", "a"],
      ["ZRANGE", "z", 0, -1],
      ["SADD", "m", "a"],
      ["COPY", "m", "m2"],
      ["SMEMBERS", "m2"],
      ["SELECT", 1],
      ["GET", "s"]
    ]
  },
  {
    name: "ends keys, then or after a time",
    commands: [
      ["SET", "k", "v"],
      ["TTL", "k"],
      ["EXPIRETIME", "k"],
      ["EXPIRE", "k", 100],
      ["TTL", "k"],
      ["EXPIREAT", "k", 9999999999],
      ["EXPIRETIME", "k"],
      ["PEXPIREAT", "k", 9999999999501],
      ["EXPIRETIME", "k"],
      ["PEXPIRETIME", "k"],
      ["PERSIST", "k"],
      ["PERSIST", "k"],
      ["PEXPIRE", "k", 100_000],
      ["EXPIREAT", "k", 1],
      ["EXISTS", "k"],
      ...["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"].map((command) => [command, "k"]),
      ["EXPIRE", "k", 100],
      ["SET", "k", "v"],
      ["EXPIRE", "k", -1],
      ["GET", "k"]
    ]
  },
  {
    name: "weighs the options of EXPIRE",
    commands: [
      ["SET", "k", "v"],
      ["EXPIRE", "k", 100, "XX"],
      ["EXPIRE", "k", 100, "GT"],
      ["EXPIRE", "k", 100, "LT"],
      ["EXPIRE", "k", 200, "NX"],
      ["EXPIRE", "k", 200, "lt", "xx"],
      ["EXPIRE", "k", 200, "GT"],
      ["TTL", "k"],
      ["EXPIRE", "k", 1, "NX", "GT"],
      ["EXPIRE", "k", 1, "GT", "LT"],
      ["EXPIRE", "k", 1, "NOW"],
      ["EXPIRE", "k", "x"],
      ["EXPIRE", "k", "9223372036854775807"],
      ["EXPIREAT", "k", "-9223372036854775808"],
      ["PEXPIRE", "k", "9223372036854775807"],
      ["EXPIRE", "k"]
    ]
  },
  {
    name: "scans keys by pattern and type",
    commands: [
      ["MSET", "a1", 1, "a2", 2, "b1", 3],
      ["RPUSH", "a3", "x"],
      { command: ["SCAN", 0, "COUNT", 1000], unordered: true },
      { command: ["SCAN", 0, "match", "a*", "COUNT", 1000], unordered: true },
      { command: ["SCAN", 0, "TYPE", "STRING", "COUNT", 1000, "MATCH", "a*"], unordered: true },
      ["SCAN", 0, "TYPE", "nosuch", "COUNT", 1000],
      ["SCAN", "x"],
      ...["", "+0", "-0", "00", " 0"].map((cursor) => ({ command: ["SCAN", cursor, "COUNT", 1000], unordered: true })),
      ...["-1", "1 ", "99999999999999999999"].map((cursor) => ["SCAN", cursor, "MATCH", "none", "COUNT", 1000]),
      ["SCAN", 0, "COUNT"],
      ["SCAN", 0, "COUNT", 0],
      ["SCAN", 0, "COUNT", "x"],
      ["SCAN", 0, "LIMIT", 1],
      ["SCAN"]
    ]
  },
  {
    name: "scans collections",
    commands: [
      ["HSET", "h", "f", "v", "g", "w"],
      { command: ["HSCAN", "h", 0], unordered: true },
      ["HSCAN", "h", 0, "MATCH", "g*", "COUNT", 1],
      { command: ["HSCAN", "h", 0, "NOVALUES"], unordered: true },
      { command: ["HSCAN", "h", 0, "COUNT", 5, "novalues"], unordered: true },
      ["HSCAN", "none", 0, "NOVALUES"],
      ["SCAN", 0, "NOVALUES"],
      ["SADD", "s", "a", "b", "c"],
      { command: ["SSCAN", "s", 0, "COUNT", 100], unordered: true },
      ["SSCAN", "s", 0, "COUNT", 100, "MATCH", "b"],
      ["ZADD", "z", 1.5, "a", 0.5, "b", "inf", "c"],
      ["ZSCAN", "z", 0],
      ["ZSCAN", "z", 0, "MATCH", "b"],
      ["ZADD", "z", 0.1, "c", "1e-7", "d", "1e20", "e"],
      ["ZSCAN", "z", 0],
      ["ZADD", "large", ...Array.from({ length: 129 }, (_, i) => [i + 0.1, `m${i}`]).flat()],
      { command: ["ZSCAN", "large", 0, "COUNT", 1000], unordered: true },
      ["HSCAN", "none", 0, "NOSUCH"],
      ["HSCAN", "h", 0, "TYPE", "hash"],
      ["HSCAN", "h", "x"],
      ["SSCAN", "h", 0],
      ["ZSCAN", "z", 0, "COUNT", 0],
      ["ZSCAN", "z", 0, "NOVALUES"],
      ["SSCAN", "s", 0, "NOVALUES"],
      ["ZSCAN", "z"]
    ]
  },
  {
    name: "sees every change of a key through WATCH",
    commands: [
      ["SET", "k", "v"],
      ...[
        ["EXPIRE", "k", 100],
        ["PERSIST", "k"],
        ["PERSIST", "k"],
        ["TOUCH", "k"],
        ["COPY", "k", "other"],
        ["COPY", "other", "k", "REPLACE"],
        ["RENAME", "k", "third"],
        ["RENAME", "third", "k"],
        ["RENAMENX", "other", "k"],
        ["EXPIREAT", "k", 1],
        ["DEL", "k"],
        ["RENAMENX", "other", "k"],
        ["FLUSHALL"]
      ].flatMap((command) => [["WATCH", "k"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
