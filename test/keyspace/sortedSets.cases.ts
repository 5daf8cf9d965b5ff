import type { Case } from "../support/keyspaceSuite.ts"

const abc = ["ZADD", "z", 1, "a", 2, "b", 3, "c"]

export const cases: ReadonlyArray<Case> = [
  {
    name: "adds members and tells their scores",
    commands: [
      ["ZADD", "z", 1, "a", "2.5", "b", 1, "a"],
      ["ZADD", "z", "CH", 1, "a", 9, "b"],
      ["ZADD", "z", "NX", 5, "a", 5, "c"],
      ["ZADD", "z", "ch", "xx", 5, "a", 5, "none"],
      ["ZADD", "z", "GT", 1, "a", 9, "c"],
      ["ZADD", "z", "LT", "CH", 1, "a"],
      ["ZADD", "z", "INCR", 2, "a"],
      ["ZADD", "z", "NX", "INCR", 2, "a"],
      ["ZADD", "z", "inf", "d", "-inf", "e", "0.1", "f"],
      ["ZSCORE", "z", "f"],
      ["ZSCORE", "z", "d"],
      ["ZSCORE", "z", "none"],
      ["ZMSCORE", "z", "a", "none", "e"],
      ["ZMSCORE", "none", "a"],
      ["ZCARD", "z"],
      ["ZADD", "z", "NX", "XX", 1, "a"],
      ["ZADD", "z", "GT", "LT", 1, "a"],
      ["ZADD", "z", "INCR", 1, "a", 2, "b"],
      ["ZADD", "z", 1],
      ["ZADD", "z", 1, "a", 2],
      ["ZADD", "z", "x", "a"],
      ["ZADD", "z", "nan", "a"],
      ["ZREM", "z", "a", "a", "none"],
      ["ZREM", "z", "b", "c", "d", "e", "f"],
      ["EXISTS", "z"]
    ]
  },
  {
    name: "adds to scores",
    commands: [
      ["ZINCRBY", "z", "1.5", "a"],
      ["ZINCRBY", "z", -2, "a"],
      ["ZINCRBY", "z", "inf", "a"],
      ["ZINCRBY", "z", "-inf", "a"],
      ["ZINCRBY", "z", "x", "a"],
      ["ZINCRBY", "z", "-0", "b"],
      ["ZSCORE", "z", "b"],
      ["ZINCRBY", "z", "1e300", "b"],
      ["ZINCRBY", "z", "0.1", "c"],
      ["ZINCRBY", "z", "0.2", "c"]
    ]
  },
  {
    name: "ranks members",
    commands: [
      ["ZADD", "z", 1, "a", 1, "B", 1, Uint8Array.of(255), 0, "z"],
      ["ZRANGE", "z", 0, -1],
      ["ZRANK", "z", "a"],
      ["ZREVRANK", "z", "a"],
      ["ZRANK", "z", "none"],
      ["ZREVRANK", "none", "a"],
      ["ZRANK", "z", "a", "WITHSCORE"],
      ["ZREVRANK", "z", "z", "withscore"],
      ["ZRANK", "z", "none", "WITHSCORE"],
      ["ZREVRANK", "none", "a", "WITHSCORE"],
      ["ZRANK", "z", "a", "WITHSCORES"],
      ["ZRANK", "z", "a", "WITHSCORE", "x"],
      ["MULTI"],
      ["ZRANK", "z", "a", "WITHSCORE"],
      ["EXEC"]
    ]
  },
  {
    name: "spells scores",
    commands: [
      "0.1",
      "-0.1",
      "1e16",
      "1e17",
      "4611686018427387904",
      "1e19",
      "123456789012345678",
      "1.5e300",
      "-1e21",
      "1e-4",
      "0.00001234",
      "1e-7",
      "123e-12",
      "5e-324",
      "9042728884415.03125",
      "0.30000000000000004",
      "-inf"
    ].flatMap((score) => [["ZADD", "z", score, "m"], ["ZSCORE", "z", "m"], ["ZRANGE", "z", 0, -1, "WITHSCORES"]])
  },
  {
    name: "reads ranges by rank",
    commands: [
      abc,
      ["ZRANGE", "z", 0, 1, "WITHSCORES"],
      ["ZRANGE", "z", 0, 1, "withscores", "rev"],
      ["ZRANGE", "z", -2, -1],
      ["ZRANGE", "z", -100, 100],
      ["ZRANGE", "z", 0, -9],
      ["ZRANGE", "z", 2, 1],
      ["ZREVRANGE", "z", 0, 0, "WITHSCORES"],
      ["ZREVRANGE", "z", 1, -1],
      ["ZRANGE", "none", 0, -1],
      ["ZRANGE", "z", "x", 1],
      ["ZRANGE", "z", 0, 1, "LIMIT", 0, 1],
      ["ZRANGE", "z", 0, 1, "REV", "REV"],
      ["ZREVRANGE", "z", 0, 1, "REV"],
      ["ZREVRANGE", "z", 0]
    ]
  },
  {
    name: "reads ranges by score",
    commands: [
      abc,
      ["ZRANGEBYSCORE", "z", "-inf", "+inf", "WITHSCORES"],
      ["ZRANGEBYSCORE", "z", "(1", 3, "LIMIT", 1, 5],
      ["ZRANGEBYSCORE", "z", 1, "(3", "limit", 0, 1, "withscores"],
      ["ZRANGEBYSCORE", "z", 1, 3, "LIMIT", -1, 5],
      ["ZRANGEBYSCORE", "z", 1, 3, "LIMIT", 1, -1],
      ["ZREVRANGEBYSCORE", "z", 3, "(1"],
      ["ZREVRANGEBYSCORE", "z", 1, 3],
      ["ZRANGE", "z", "(1", "+inf", "BYSCORE"],
      ["ZRANGE", "z", 3, 1, "REV", "LIMIT", 0, 2, "BYSCORE"],
      ["ZCOUNT", "z", 2, "inf"],
      ["ZCOUNT", "z", "(3", 9],
      ["ZCOUNT", "none", 0, 1],
      ["ZCOUNT", "z", "x", 1],
      ["ZRANGEBYSCORE", "z", 1, "(x"],
      ["ZRANGEBYSCORE", "z", 1, 2, "LIMIT", 1],
      ["ZRANGEBYSCORE", "z", 1, 2, "LIMIT", "x", 1],
      ["ZRANGEBYSCORE", "z", 1, 2, "BYLEX"]
    ]
  },
  {
    name: "reads ranges by the bytes of members",
    commands: [
      ["ZADD", "z", 0, "a", 0, "b", 0, "c", 0, "d", 0, ""],
      ["ZRANGEBYLEX", "z", "-", "+"],
      ["ZRANGEBYLEX", "z", "[b", "(d"],
      ["ZRANGEBYLEX", "z", "(a", "+", "LIMIT", 1, 1],
      ["ZRANGEBYLEX", "z", "+", "-"],
      ["ZREVRANGEBYLEX", "z", "[c", "-"],
      ["ZRANGE", "z", "[c", "[a", "BYLEX", "REV"],
      ["ZLEXCOUNT", "z", "[", "(c"],
      ["ZLEXCOUNT", "none", "-", "+"],
      ["ZRANGEBYLEX", "z", "a", "+"],
      ["ZLEXCOUNT", "z", "a", "+"],
      ["ZRANGE", "z", "-", "+", "BYLEX", "WITHSCORES"],
      ["ZRANGEBYLEX", "z", "-", "+", "WITHSCORES"]
    ]
  },
  {
    name: "stores and removes ranges",
    commands: [
      abc,
      ["SET", "d", "v", "EX", 100],
      ["ZRANGESTORE", "d", "z", 0, 1],
      ["TTL", "d"],
      ["ZRANGE", "d", 0, -1, "WITHSCORES"],
      ["ZRANGESTORE", "d", "z", 3, 2, "BYSCORE", "REV", "LIMIT", 0, 1],
      ["ZRANGE", "d", 0, -1, "WITHSCORES"],
      ["ZRANGESTORE", "d", "z", 9, 10],
      ["EXISTS", "d"],
      ["ZRANGESTORE", "d", "none", 0, -1],
      ["ZRANGESTORE", "d", "z", 0, -1, "WITHSCORES"],
      ["ZREMRANGEBYRANK", "z", 0, 0],
      ["ZREMRANGEBYRANK", "z", 0, -9],
      ["ZREMRANGEBYSCORE", "z", "(2", "inf"],
      ["ZREMRANGEBYLEX", "z", "[a", "[b"],
      ["EXISTS", "z"],
      ["ZREMRANGEBYRANK", "none", 0, 1],
      ["ZREMRANGEBYRANK", "z", "x", 1],
      ["ZREMRANGEBYSCORE", "z", "x", 1],
      ["ZREMRANGEBYLEX", "z", "x", "+"]
    ]
  },
  {
    name: "pops from both ends",
    commands: [
      ["ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d", 5, "e", 6, "f"],
      ["ZPOPMIN", "z"],
      ["ZPOPMAX", "z"],
      ["ZPOPMAX", "z", 2],
      ["ZPOPMIN", "z", 0],
      ["ZMPOP", 2, "none", "z", "MAX"],
      ["ZMPOP", 2, "none", "z", "min", "COUNT", 9],
      ["EXISTS", "z"],
      ["ZMPOP", 1, "z", "MIN"],
      ["ZPOPMIN", "z"],
      ["ZPOPMIN", "z", 2],
      ["ZPOPMIN", "z", -1],
      ["ZPOPMIN", "z", "x"],
      ["ZPOPMIN", "z", 1, 2],
      ["ZMPOP", 0, "z", "MIN"],
      ["ZMPOP", 1, "z", "LEFT"],
      ["ZMPOP", 1, "z", "MIN", "COUNT", 0],
      ["ZMPOP", 9, "z", "MIN"]
    ]
  },
  {
    name: "chooses members",
    commands: [
      ["ZADD", "z", 1, "a", 2, "b"],
      { command: ["ZRANDMEMBER", "z"], like: /^"[ab]"$/ },
      { command: ["ZRANDMEMBER", "z", 9], unordered: true },
      { command: ["ZRANDMEMBER", "z", 2, "WITHSCORES"], unordered: true },
      { command: ["ZRANDMEMBER", "z", -3], like: /^\*\["[ab]", "[ab]", "[ab]"\]$/ },
      ["ZRANDMEMBER", "none"],
      ["ZRANDMEMBER", "none", 1],
      ["ZRANDMEMBER", "z", "x"],
      ["ZRANDMEMBER", "z", 1, "WITHVALUES"],
      ["ZRANDMEMBER", "z", "9223372036854775807", "WITHSCORES"]
    ]
  },
  {
    name: "unites, intersects and subtracts, sets too",
    commands: [
      ["ZADD", "a", 1, "x", 2, "y", "inf", "i"],
      ["ZADD", "b", 3, "y", 4, "z", "-inf", "i"],
      ["SADD", "s", "x", "y"],
      ["ZUNION", 2, "a", "b", "WITHSCORES"],
      ["ZUNION", 2, "a", "s"],
      ["ZUNION", 2, "a", "b", "withscores", "aggregate", "max", "weights", 2, "0.5"],
      ["ZUNION", 2, "a", "b", "WEIGHTS", 0, -1, "WITHSCORES"],
      ["ZINTER", 2, "a", "b", "AGGREGATE", "MIN", "WITHSCORES"],
      ["ZINTER", 2, "a", "none"],
      ["ZDIFF", 2, "a", "s", "WITHSCORES"],
      ["ZDIFF", 2, "none", "a"],
      ["ZUNIONSTORE", "d", 2, "a", "s", "WEIGHTS", 1, 10],
      ["ZRANGE", "d", 0, -1, "WITHSCORES"],
      ["ZINTERSTORE", "d", 2, "d", "b"],
      ["ZRANGE", "d", 0, -1, "WITHSCORES"],
      ["ZDIFFSTORE", "d", 2, "d", "d"],
      ["EXISTS", "d"],
      ["ZINTERCARD", 2, "a", "b"],
      ["ZINTERCARD", 2, "a", "b", "LIMIT", 1],
      ["ZINTERCARD", 2, "a", "b", "LIMIT", -1],
      ["ZUNION", 0, "a"],
      ["ZUNION", "x", "a"],
      ["ZUNION", 3, "a", "b"],
      ["ZUNION", 2, "a", "b", "WEIGHTS", 1],
      ["ZUNION", 2, "a", "b", "WEIGHTS", 1, "x"],
      ["ZUNION", 2, "a", "b", "AGGREGATE", "AVG"],
      ["ZDIFF", 2, "a", "b", "WEIGHTS", 1, 1],
      ["ZUNIONSTORE", "d", 2, "a", "b", "WITHSCORES"],
      ["ZUNIONSTORE", "d", 0, "a"],
      ["ZINTERCARD", 0, "a"]
    ]
  },
  {
    name: "refuses other types and wrong numbers of arguments",
    commands: [
      ["SET", "t", "v"],
      abc,
      ...["ZCARD", "ZPOPMIN", "ZPOPMAX", "ZRANDMEMBER"].map((command) => [command, "t"]),
      ...["ZSCORE", "ZMSCORE", "ZRANK", "ZREVRANK", "ZREM"].map((command) => [command, "t", "a"]),
      ...["ZADD", "ZINCRBY", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCOUNT", "ZREMRANGEBYRANK"]
        .map((command) => [command, "t", 1, 2]),
      ...["ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZLEXCOUNT", "ZREMRANGEBYLEX"].map((command) => [command, "t", "-", "+"]),
      ["ZRANGESTORE", "z", "t", 0, -1],
      ["ZPOPMIN", "t", 0],
      ["ZMPOP", 1, "t", "MIN"],
      ...["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"].map((command) => [command, 2, "z", "t"]),
      ...["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"].map((command) => [command, "z", 2, "none", "t"]),
      ["ZCARD", "z"],
      ...["ZADD", "ZINCRBY", "ZSCORE", "ZMSCORE", "ZRANK", "ZREM", "ZRANGE", "ZCOUNT", "ZLEXCOUNT", "ZRANGESTORE"]
        .map((command) => [command, "z"]),
      ...["ZMPOP", "ZUNION", "ZUNIONSTORE", "ZINTERCARD", "ZREMRANGEBYRANK"].map((command) => [command, "z"]),
      ...["ZPOPMIN", "ZRANDMEMBER", "ZCARD"].map((command) => [command])
    ]
  },
  {
    name: "sees every writer through WATCH",
    commands: [
      ["ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d", 5, "e"],
      ...[
        ["ZADD", "z", 1, "a"],
        ["ZINCRBY", "z", 0, "a"],
        ["ZINCRBY", "z", 1, "a"],
        ["ZREMRANGEBYRANK", "z", 9, 9],
        ["ZREMRANGEBYRANK", "z", 0, 0],
        ["ZREMRANGEBYSCORE", "z", 5, 5],
        ["ZPOPMIN", "z", 0],
        ["ZPOPMIN", "z"],
        ["ZMPOP", 1, "z", "MAX"],
        ["ZUNIONSTORE", "z", 1, "z"],
        ["ZRANGESTORE", "z", "z", 9, 9],
        ["ZRANGESTORE", "z", "z", 9, 9]
      ].flatMap((command) => [["WATCH", "z"], command, ["MULTI"], ["PING"], ["EXEC"]])
    ]
  }
]
