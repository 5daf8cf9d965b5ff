import type { Case } from "../support/keyspaceSuite.ts"

const binary = Uint8Array.of(0, 255, 13, 10)

export const cases: ReadonlyArray<Case> = [
  {
    name: "pushes and pops at both ends",
    commands: [
      ["LPUSH", "l", "b", "a"],
      ["RPUSH", "l", "c", binary],
      ["LPUSHX", "l", "x", "y"],
      ["RPUSHX", "l", "z"],
      ["LPUSHX", "none", "x"],
      ["RPUSHX", "none", "x"],
      ["EXISTS", "none"],
      ["LRANGE", "l", 0, -1],
      ["LPOP", "l"],
      ["RPOP", "l"],
      ["LPOP", "l", 2],
      ["RPOP", "l", 0],
      ["RPOP", "l", 100],
      ["EXISTS", "l"],
      ["LPOP", "l"],
      ["LPOP", "l", 2],
      ["LPOP", "l", -1],
      ["LPOP", "l", "x"],
      ["LPOP", "l", 1, 2]
    ]
  },
  {
    name: "reads ranges and places",
    commands: [
      ["RPUSH", "l", "a", "b", "c", "d"],
      ["LLEN", "l"],
      ["LRANGE", "l", 1, 2],
      ["LRANGE", "l", -2, -1],
      ["LRANGE", "l", -100, 100],
      ["LRANGE", "l", 0, -100],
      ["LRANGE", "l", 0, -6],
      ["LRANGE", "l", 3, 1],
      ["LRANGE", "l", 4, 9],
      ["LRANGE", "l", "x", 1],
      ["LINDEX", "l", 0],
      ["LINDEX", "l", -1],
      ["LINDEX", "l", 4],
      ["LINDEX", "l", -5],
      ["LINDEX", "l", "x"],
      ["LINDEX", "none", "x"]
    ]
  },
  {
    name: "changes elements",
    commands: [
      ["RPUSH", "l", "a", "b", "a", "c", "a"],
      ["LSET", "l", -1, "z"],
      ["LSET", "l", 5, "z"],
      ["LSET", "l", -6, "z"],
      ["LSET", "l", "x", "z"],
      ["LSET", "none", 0, "z"],
      ["LINSERT", "l", "BEFORE", "b", "1"],
      ["LINSERT", "l", "after", "b", "2"],
      ["LINSERT", "l", "AFTER", "none", "3"],
      ["LINSERT", "none", "AFTER", "b", "3"],
      ["LINSERT", "l", "AT", "b", "3"],
      ["LREM", "l", -1, "a"],
      ["LREM", "l", 0, "none"],
      ["RPUSH", "l", "a", "a"],
      ["LREM", "l", 2, "a"],
      ["LREM", "l", 0, "a"],
      ["LREM", "l", "x", "a"],
      ["LRANGE", "l", 0, -1],
      ["LTRIM", "l", 1, -2],
      ["LRANGE", "l", 0, -1],
      ["LTRIM", "l", "x", 1],
      ["LTRIM", "none", 0, 1],
      ["LTRIM", "l", 5, 1],
      ["EXISTS", "l"]
    ]
  },
  {
    name: "finds elements",
    commands: [
      ["RPUSH", "l", "a", "b", "c", "1", "2", "c", "c"],
      ["LPOS", "l", "c"],
      ["LPOS", "l", "none"],
      ["LPOS", "l", "c", "RANK", 2],
      ["LPOS", "l", "c", "RANK", -1],
      ["LPOS", "l", "c", "COUNT", 0],
      ["LPOS", "l", "c", "count", 2, "rank", -1],
      ["LPOS", "l", "c", "MAXLEN", 2],
      ["LPOS", "l", "c", "MAXLEN", 3, "COUNT", 0, "RANK", -2],
      ["LPOS", "l", "none", "COUNT", 1],
      ["LPOS", "none", "c"],
      ["LPOS", "none", "c", "COUNT", 1],
      ["LPOS", "l", "c", "RANK", 0],
      ["LPOS", "l", "c", "COUNT", -1],
      ["LPOS", "l", "c", "MAXLEN", -1],
      ["LPOS", "l", "c", "RANK", "x"],
      ["LPOS", "l", "c", "COUNT"],
      ["LPOS", "l", "c", "FIRST", 1]
    ]
  },
  {
    name: "moves elements, and pops from the first list there is",
    commands: [
      ["RPUSH", "a", "1", "2", "3"],
      ["LMOVE", "a", "b", "LEFT", "RIGHT"],
      ["LMOVE", "a", "b", "right", "left"],
      ["LMOVE", "b", "b", "LEFT", "RIGHT"],
      ["RPOPLPUSH", "b", "b"],
      ["RPOPLPUSH", "a", "b"],
      ["LRANGE", "b", 0, -1],
      ["EXISTS", "a"],
      ["LMOVE", "a", "b", "LEFT", "RIGHT"],
      ["RPOPLPUSH", "a", "b"],
      ["LMOVE", "a", "b", "UP", "RIGHT"],
      ["LMPOP", 2, "a", "b", "RIGHT", "COUNT", 2],
      ["LMPOP", 2, "a", "b", "left"],
      ["LMPOP", 2, "a", "b", "LEFT"],
      ["LMPOP", 0, "a", "LEFT"],
      ["LMPOP", "x", "a", "LEFT"],
      ["LMPOP", 2, "a", "LEFT"],
      ["LMPOP", 1, "a", "UP"],
      ["LMPOP", 1, "a", "LEFT", "COUNT", 0],
      ["LMPOP", 1, "a", "LEFT", "COUNT"],
      ["LMPOP", 1, "a", "LEFT", "COUNT", 1, "COUNT", 1]
    ]
  },
  {
    name: "refuses other types and wrong numbers of arguments",
    commands: [
      ["SET", "s", "v"],
      ["RPUSH", "l", "a"],
      ...["LLEN", "LPOP", "RPOP"].map((command) => [command, "s"]),
      ...["LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LINDEX", "LPOS"].map((command) => [command, "s", "1"]),
      ...["LRANGE", "LSET", "LREM", "LTRIM"].map((command) => [command, "s", 0, 1]),
      ["LINSERT", "s", "BEFORE", "a", "b"],
      ["LMPOP", 1, "s", "LEFT"],
      ["LMOVE", "l", "s", "LEFT", "LEFT"],
      ["RPOPLPUSH", "s", "l"],
      ["LRANGE", "l", 0, -1],
      ...["LPUSH", "LPUSHX", "LPOP", "LINDEX", "LINSERT", "LSET", "LREM", "LTRIM", "LPOS", "LMOVE", "LMPOP"]
        .map((command) => [command, "l"].slice(0, command === "LPOP" ? 1 : 2))
    ]
  },
  {
    name: "sees every writer through WATCH",
    commands: [
      ["RPUSH", "l", "a", "b", "c", "d"],
      ...[
        ["LPUSHX", "l", "x"],
        ["LSET", "l", 0, "x"],
        ["LINSERT", "l", "BEFORE", "a", "x"],
        ["LINSERT", "l", "BEFORE", "none", "x"],
        ["LREM", "l", 1, "x"],
        ["LREM", "l", 1, "none"],
        ["LTRIM", "l", 0, -1],
        ["LPOS", "l", "a"],
        ["LMOVE", "l", "other", "LEFT", "LEFT"],
        ["RPOPLPUSH", "other", "l"],
        ["LMPOP", 1, "l", "LEFT"],
        ["LPOP", "l", 0],
        ["LTRIM", "l", 9, 9]
      ].flatMap((command) => [["WATCH", "l"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
