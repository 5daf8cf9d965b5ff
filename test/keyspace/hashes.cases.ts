import type { Case } from "../support/keyspaceSuite.ts"

const binary = Uint8Array.of(0, 255, 13, 10)

export const cases: ReadonlyArray<Case> = [
  {
    name: "sets and reads fields",
    commands: [
      ["HSET", "h", "a", 1, "b", 2, "a", 3],
      ["HSET", "h", "a", 1],
      ["HMSET", "h", "c", "", binary, binary],
      ["HSETNX", "h", "a", 9],
      ["HSETNX", "h", "d", 9],
      ["HGET", "h", "a"],
      ["HGET", "h", binary],
      ["HGET", "h", "none"],
      ["HMGET", "h", "a", "none", "c"],
      ["HLEN", "h"],
      ["HEXISTS", "h", "a"],
      ["HEXISTS", "h", "none"],
      ["HSTRLEN", "h", binary],
      ["HSTRLEN", "h", "none"],
      ["HGETALL", "h"],
      ["HKEYS", "h"],
      ["HVALS", "h"],
      ["HDEL", "h", "a", "a", "none"],
      ["HDEL", "h", "b", "c", "d", binary],
      ["EXISTS", "h"]
    ]
  },
  {
    name: "counts in fields",
    commands: [
      ["HINCRBY", "h", "n", 5],
      ["HINCRBY", "h", "n", -7],
      ["HINCRBY", "h", "n", "x"],
      ["HINCRBY", "h", "n", "9223372036854775807"],
      ["HINCRBY", "h", "n", "9223372036854775807"],
      ["HSET", "h", "t", "text"],
      ["HINCRBY", "h", "t", 1],
      ["HINCRBYFLOAT", "h", "t", 1],
      ["HINCRBYFLOAT", "h", "f", "0.1"],
      ["HINCRBYFLOAT", "h", "f", "0.2"],
      ["HINCRBYFLOAT", "h", "f", "inf"],
      ["HINCRBYFLOAT", "h", "f", "x"],
      ["HGETALL", "h"]
    ]
  },
  {
    name: "chooses fields",
    commands: [
      ["HSET", "h", "a", 1, "b", 2],
      { command: ["HRANDFIELD", "h"], like: /^"[ab]"$/ },
      { command: ["HRANDFIELD", "h", 1], like: /^\*\["[ab]"\]$/ },
      { command: ["HRANDFIELD", "h", 5], unordered: true },
      { command: ["HRANDFIELD", "h", 5, "WITHVALUES"], unordered: true },
      { command: ["HRANDFIELD", "h", -3], like: /^\*\["[ab]", "[ab]", "[ab]"\]$/ },
      { command: ["HRANDFIELD", "h", -1, "withvalues"], like: /^\*\[(\*\[)?("a", "1"|"b", "2")\]+$/ },
      ["HRANDFIELD", "h", 0],
      ["HRANDFIELD", "none"],
      ["HRANDFIELD", "none", 2],
      ["HRANDFIELD", "h", "x"],
      ["HRANDFIELD", "h", 1, "WITHSCORES"],
      ["HRANDFIELD", "h", "9223372036854775807", "WITHVALUES"],
      ["HRANDFIELD", "h", "-9223372036854775808"]
    ]
  },
  {
    name: "answers for keys that are missing or of another type, and for too few arguments",
    commands: [
      ["SET", "s", "v"],
      ...["none", "s"].flatMap((key) => [
        ["HGET", key, "f"],
        ["HMGET", key, "f", "g"],
        ["HGETALL", key],
        ["HKEYS", key],
        ["HVALS", key],
        ["HLEN", key],
        ["HDEL", key, "f"],
        ["HEXISTS", key, "f"],
        ["HSTRLEN", key, "f"],
        ["HRANDFIELD", key]
      ]),
      ["HSET", "s", "f", "v"],
      ["HSETNX", "s", "f", "v"],
      ["HINCRBY", "s", "f", 1],
      ["HINCRBYFLOAT", "s", "f", 1],
      ["HSET", "h", "f"],
      ["HSET", "h", "f", 1, "g"],
      ["HMSET", "h", "f", 1, "g"],
      ["HGET", "h"],
      ["HSETNX", "h", "f"],
      ["HRANDFIELD"]
    ]
  },
  {
    name: "sees every writer through WATCH",
    commands: [
      ["HSET", "h", "b", 1],
      ...[
        ["HSETNX", "h", "a", 1],
        ["HSETNX", "h", "a", 1],
        ["HMSET", "h", "a", 1],
        ["HINCRBYFLOAT", "h", "a", 0],
        ["HLEN", "h"],
        ["HDEL", "h", "none"],
        ["HDEL", "h", "a"]
      ].flatMap((command) => [["WATCH", "h"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
