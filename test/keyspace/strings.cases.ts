import type { Case } from "../support/keyspaceSuite.ts"

const binary = Uint8Array.of(0, 255, 13, 10, 128, 42)

export const cases: ReadonlyArray<Case> = [
  {
    name: "sets and gets, binary values too",
    commands: [
      ["SET", "k", "v"],
      ["GET", "k"],
      ["SET", binary, binary],
      ["GET", binary],
      ["STRLEN", binary],
      ["SET", "empty", ""],
      ["GET", "empty"],
      ["GET", "none"],
      ["STRLEN", "none"],
      ["MGET", "k", "none", binary]
    ]
  },
  {
    name: "takes the options of SET in any order",
    commands: [
      ["SET", "k", "1", "XX"],
      ["SET", "k", "1", "EX", 100, "NX"],
      ["SET", "k", "2", "NX", "GET"],
      ["SET", "k", "3", "get", "keepttl", "xx"],
      ["TTL", "k"],
      ["SET", "k", "4"],
      ["TTL", "k"],
      ["SET", "k", "5", "PXAT", "99999999999999"],
      ["PEXPIRETIME", "k"],
      ["SET", "k", "6", "NX", "XX"],
      ["SET", "k", "6", "EX", 10, "PX", 10],
      ["SET", "k", "6", "EX"],
      ["SET", "k", "6", "EX", 0],
      ["SET", "k", "6", "EX", "x"],
      ["SET", "k", "6", "EX", "9223372036854775807"],
      ["SET", "k", "6", "SOON"],
      ["GET", "k"]
    ]
  },
  {
    name: "sets with an end, and only what is new",
    commands: [
      ["SETEX", "k", 100, "v"],
      ["TTL", "k"],
      ["PSETEX", "k", 100_000, "w"],
      ["TTL", "k"],
      ["SETEX", "k", 0, "v"],
      ["PSETEX", "k", -1, "v"],
      ["SETEX", "k", "x", "v"],
      ["SETNX", "k", "v"],
      ["SETNX", "new", "v"],
      ["MSET", "a", 1, "b", 2],
      ["MSETNX", "b", 3, "c", 3],
      ["EXISTS", "c"],
      ["MSETNX", "c", 3, "c", 4],
      ["MGET", "a", "b", "c"],
      ["MSET", "a"],
      ["MSET", "a", 1, "b"],
      ["MSETNX", "a", 1, "b"]
    ]
  },
  {
    name: "reads and changes at once",
    commands: [
      ["GETSET", "k", "1"],
      ["GETSET", "k", "2"],
      ["GETEX", "k", "EX", 100],
      ["TTL", "k"],
      ["GETEX", "k"],
      ["TTL", "k"],
      ["GETEX", "k", "PERSIST"],
      ["TTL", "k"],
      ["GETEX", "none", "EX", "x"],
      ["GETEX", "k", "EX", "x"],
      ["GETEX", "k", "EX", 0],
      ["GETEX", "k", "EX", 10, "PERSIST"],
      ["GETEX", "k", "KEEPTTL"],
      ["GETEX", "k", "PXAT", 1],
      ["EXISTS", "k"],
      ["SET", "k", "v"],
      ["GETDEL", "k"],
      ["GETDEL", "k"]
    ]
  },
  {
    name: "counts within 64 bits",
    commands: [
      ["INCR", "n"],
      ["INCRBY", "n", 41],
      ["DECR", "n"],
      ["DECRBY", "n", -9],
      ["INCRBY", "n", "9223372036854775807"],
      ["SET", "n", "9223372036854775807"],
      ["INCR", "n"],
      ["SET", "n", "-9223372036854775808"],
      ["DECR", "n"],
      ["DECRBY", "n", "-9223372036854775808"],
      ["INCRBY", "n", "9223372036854775808"],
      ["INCRBY", "n", "1.5"],
      ["INCRBY", "n", " 1"],
      ["SET", "n", "01"],
      ["INCR", "n"],
      ["SET", "n", "10", "EX", 100],
      ["INCR", "n"],
      ["TTL", "n"]
    ]
  },
  {
    name: "adds decimals as Redis does",
    commands: [
      ["INCRBYFLOAT", "f", "0.1"],
      ["INCRBYFLOAT", "f", "0.2"],
      ["INCRBYFLOAT", "f", "5e3"],
      ["INCRBYFLOAT", "f", "-5000.3"],
      ["INCRBYFLOAT", "f", "x"],
      ["INCRBYFLOAT", "f", "inf"],
      ["SET", "f", "abc"],
      ["INCRBYFLOAT", "f", "1"]
    ]
  },
  {
    name: "reads and writes parts",
    commands: [
      ["APPEND", "k", "Hello"],
      ["APPEND", "k", " World"],
      ["GETRANGE", "k", 0, 4],
      ["GETRANGE", "k", -5, -1],
      ["SUBSTR", "k", 6, 100],
      ["GETRANGE", "k", -1, -5],
      ["GETRANGE", "k", 0, -100],
      ["GETRANGE", "k", 5, 2],
      ["GETRANGE", "none", 0, -1],
      ["GETRANGE", "k", "x", 1],
      ["SETRANGE", "k", 6, "Redis"],
      ["SETRANGE", "gap", 3, "x"],
      ["GET", "gap"],
      ["SETRANGE", "none", 3, ""],
      ["EXISTS", "none"],
      ["SETRANGE", "k", -1, "x"],
      ["SETRANGE", "k", 536870911, "xy"],
      ["GET", "k"]
    ]
  },
  {
    name: "sets, reads and counts bits",
    commands: [
      ["SETBIT", "b", 7, 1],
      ["SETBIT", "b", 7, 0],
      ["SETBIT", "b", 17, 1],
      ["GET", "b"],
      ["GETBIT", "b", 17],
      ["GETBIT", "b", 1000],
      ["GETBIT", "none", 0],
      ["SET", "b", "foobar"],
      ["BITCOUNT", "b"],
      ["BITCOUNT", "b", 0, 0],
      ["BITCOUNT", "b", -2, -1],
      ["BITCOUNT", "b", 5, 30, "BIT"],
      ["BITCOUNT", "b", 1, 1, "byte"],
      ["BITCOUNT", "b", 1],
      ["BITCOUNT", "b", 1, 2, "WORD"],
      ["BITCOUNT", "b", -1, -2, "WORD"],
      ["BITCOUNT", "none", "x"],
      ["BITCOUNT", "none", "x", 1],
      ["BITCOUNT", "none", 0, 1, "WORD"],
      ["BITCOUNT", "none", -1, -2],
      ["BITCOUNT", "b", 0, 1, "BIT", 2],
      ["SETBIT", "b", -1, 1],
      ["SETBIT", "b", 4294967296, 1],
      ["SETBIT", "b", 1, 2]
    ]
  },
  {
    name: "refuses other types and wrong numbers of arguments",
    commands: [
      ["RPUSH", "l", "a"],
      ...["GET", "STRLEN", "INCR", "GETDEL", "GETEX", "BITCOUNT"].map((command) => [command, "l"]),
      ...["APPEND", "GETSET", "INCRBYFLOAT", "GETBIT"].map((command) => [command, "l", "1"]),
      ["BITCOUNT", "l", 0, 1, "WORD"],
      ["SET", "l", "v", "GET"],
      ["SETRANGE", "l", 0, "v"],
      ["GETRANGE", "l", 0, 1],
      ["SETBIT", "l", 0, 1],
      ["MGET", "l"],
      ["LRANGE", "l", 0, -1],
      ...["GET", "SET", "SETEX", "GETEX", "MSETNX", "SETRANGE", "SUBSTR", "SETBIT", "GETBIT", "BITCOUNT"].map((
        command
      ) => [command]),
      ["get", "a", "b"]
    ]
  },
  {
    name: "does not know what Redis does not know",
    commands: [
      ["NOSUCH"],
      ["nosuch", "a", "b"],
      ["NOSUCH", "x".repeat(200), "never quoted"],
      ["y".repeat(200)],
      ["", "a"]
    ]
  },
  {
    name: "sees every writer through WATCH",
    commands: [
      ["SETBIT", "k", 1, 1],
      ...[
        ["SETRANGE", "k", 0, "x"],
        ["SETBIT", "k", 1, 1],
        ["GETEX", "k", "EX", 100],
        ["GETEX", "k", "PERSIST"],
        ["GETSET", "k", "x"],
        ["APPEND", "k", ""],
        ["GETEX", "k"],
        ["GETRANGE", "k", 0, 1],
        ["SETRANGE", "k", 0, ""],
        ["MSETNX", "k", 1],
        ["GETDEL", "k"],
        ["MSETNX", "k", 1]
      ].flatMap((command) => [["WATCH", "k"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
