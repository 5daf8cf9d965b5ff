import type { Case } from "../support/keyspaceSuite.ts"

const binary = Uint8Array.of(0, 255, 13, 10)

export const cases: ReadonlyArray<Case> = [
  {
    name: "adds, removes and finds members",
    commands: [
      ["SADD", "s", "a", "b", "a", binary],
      ["SADD", "s", "a"],
      { command: ["SMEMBERS", "s"], unordered: true },
      ["SCARD", "s"],
      ["SISMEMBER", "s", binary],
      ["SISMEMBER", "s", "none"],
      ["SMISMEMBER", "s", "a", "none", "b"],
      ["SMISMEMBER", "none", "a", "b"],
      ["SREM", "s", "a", "a", "none"],
      ["SREM", "s", "b", binary],
      ["EXISTS", "s"],
      ["SMEMBERS", "s"],
      ["SREM", "s", "a"]
    ]
  },
  {
    name: "moves members",
    commands: [
      ["SADD", "a", "1", "2"],
      ["SADD", "b", "2"],
      ["SMOVE", "a", "b", "1"],
      ["SMOVE", "a", "b", "none"],
      ["SMOVE", "a", "a", "2"],
      ["SMOVE", "a", "b", "2"],
      ["EXISTS", "a"],
      ["SMOVE", "a", "b", "2"],
      { command: ["SMEMBERS", "b"], unordered: true }
    ]
  },
  {
    name: "chooses members",
    commands: [
      ["SADD", "s", "a", "b", "c"],
      { command: ["SRANDMEMBER", "s"], like: /^"[abc]"$/ },
      { command: ["SRANDMEMBER", "s", 2], like: /^\*\["[abc]", "[abc]"\]$/ },
      { command: ["SRANDMEMBER", "s", 9], unordered: true },
      { command: ["SRANDMEMBER", "s", -5], like: /^\*\[("[abc]"(, )?){5}\]$/ },
      ["SRANDMEMBER", "s", 0],
      ["SRANDMEMBER", "none"],
      ["SRANDMEMBER", "none", 3],
      ["SRANDMEMBER", "s", "x"],
      ["SRANDMEMBER", "s", "-9223372036854775808"],
      ["SRANDMEMBER", "s", 1, 2],
      { command: ["SPOP", "s"], like: /^"[abc]"$/ },
      ["SCARD", "s"],
      { command: ["SPOP", "s", 1], like: /^[*~]\["[abc]"\]$/ },
      ["SCARD", "s"],
      ["SPOP", "s", 0],
      { command: ["SPOP", "s", 9], like: /^[*~]\["[abc]"\]$/ },
      ["EXISTS", "s"],
      ["SPOP", "s"],
      ["SPOP", "s", 1],
      ["SPOP", "s", -1],
      ["SPOP", "s", 1, 2]
    ]
  },
  {
    name: "intersects, unites and subtracts",
    commands: [
      ["SADD", "a", "1", "2", "3"],
      ["SADD", "b", "2", "3", "4"],
      ["SADD", "c", "3"],
      { command: ["SINTER", "a", "b"], unordered: true },
      ["SINTER", "a", "b", "c"],
      ["SINTER", "a", "none"],
      { command: ["SUNION", "a", "none", "b"], unordered: true },
      ["SUNION", "none"],
      { command: ["SDIFF", "a", "c"], unordered: true },
      ["SDIFF", "none", "a"],
      ["SDIFF", "a", "b", "none"],
      ["SINTERSTORE", "d", "a", "b"],
      { command: ["SMEMBERS", "d"], unordered: true },
      ["SUNIONSTORE", "d", "d", "c"],
      ["SDIFFSTORE", "a", "a", "b"],
      ["SMEMBERS", "a"],
      ["SET", "s", "v", "EX", 100],
      ["SUNIONSTORE", "s", "c"],
      ["TTL", "s"],
      ["SINTERSTORE", "s", "c", "none"],
      ["EXISTS", "s"],
      ["SINTERCARD", 2, "b", "d"],
      ["SINTERCARD", 2, "b", "d", "LIMIT", 1],
      ["SINTERCARD", 2, "b", "d", "limit", 0],
      ["SINTERCARD", 2, "b", "none"],
      ["SINTERCARD", 0, "b"],
      ["SINTERCARD", "x", "b"],
      ["SINTERCARD", 3, "b", "d"],
      ["SINTERCARD", 1, "b", "LIMIT", -1],
      ["SINTERCARD", 1, "b", "LIMIT"],
      ["SINTERCARD", 1, "b", "MOST", 1]
    ]
  },
  {
    name: "refuses other types and wrong numbers of arguments",
    commands: [
      ["SET", "t", "v"],
      ["SADD", "s", "a"],
      ...["SMEMBERS", "SCARD", "SPOP", "SRANDMEMBER"].map((command) => [command, "t"]),
      ...["SADD", "SREM", "SISMEMBER", "SMISMEMBER"].map((command) => [command, "t", "a"]),
      ["SMOVE", "s", "t", "a"],
      ["SMOVE", "t", "s", "a"],
      ["SMOVE", "none", "t", "a"],
      ...["SINTER", "SUNION", "SDIFF"].flatMap((command) => [
        [command, "s", "t"],
        [command, "none", "t"],
        [`${command}STORE`, "s", "s", "t"],
        [command],
        [`${command}STORE`, "s"]
      ]),
      ["SINTERCARD", 2, "s", "t"],
      ["SMEMBERS", "s"],
      ...["SADD", "SREM", "SMOVE", "SISMEMBER", "SMISMEMBER", "SINTERCARD"].map((command) => [command, "s"]),
      ["SPOP"],
      ["SRANDMEMBER"]
    ]
  },
  {
    name: "sees every writer through WATCH",
    commands: [
      ["SADD", "s", "a"],
      ["SADD", "other", "b"],
      ...[
        ["SADD", "s", "a"],
        ["SMOVE", "other", "s", "none"],
        ["SMOVE", "other", "s", "b"],
        ["SMOVE", "s", "other", "b"],
        ["SUNIONSTORE", "s", "s"],
        ["SINTERSTORE", "s", "none"],
        ["SINTERSTORE", "s", "none"],
        ["SUNIONSTORE", "s", "other"],
        ["SRANDMEMBER", "s"],
        ["SPOP", "s", 0],
        ["SPOP", "s"]
      ].flatMap((command) => [["WATCH", "s"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
