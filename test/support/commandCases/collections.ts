/**
 * Cases of hashes, lists, sets and sorted sets.
 */
import { type Cases, hash8, hashTime, later, laterInParts } from "./case.ts"

const setOrder = { unordered: true }

const fields = ["a", "none"]

export const hashes: Cases = {
  hDel: [{ args: ["h", ["a", "none"]] }, { args: ["h", "a"] }],
  hExists: [{ args: ["h", "a"] }, { args: ["h", "none"] }],
  hExpire: [
    { args: ["h", fields, "10 seconds"], node: ["h", fields, 10], since: hashTime },
    { args: ["h", "a", "10 seconds", "NX"], node: ["h", "a", 10, "NX"], since: hashTime }
  ],
  hExpireAt: [{ args: ["h", fields, later], since: hashTime }, { args: ["h", "a", later, "GT"], since: hashTime }],
  hExpireTime: [{ args: ["h", fields], since: hashTime }],
  hGet: [{ args: ["h", "a"] }, { args: ["h", "none"] }],
  hGetAll: [{ args: ["h"] }, { args: ["none"] }],
  hGetDel: [{ args: ["h", fields], since: { redis: "8" } }],
  hGetEx: [
    { args: ["h", fields], since: hash8 },
    {
      args: ["h", fields, { expiration: "10 seconds" }],
      node: ["h", fields, { expiration: { type: "EX", value: 10 } }],
      since: hash8
    },
    { args: ["h", "a", { expiration: "PERSIST" }], since: hash8 }
  ],
  hIncrBy: [{ args: ["h", "a", 5] }],
  hIncrByFloat: [{ args: ["h", "a", 0.5] }],
  hKeys: [{ args: ["h"] }],
  hLen: [{ args: ["h"] }],
  hmGet: [{ args: ["h", fields] }, { args: ["h", "a"] }],
  hPersist: [{ args: ["h", fields], since: hashTime }],
  hpExpire: [{ args: ["h", fields, "10 seconds", "LT"], node: ["h", fields, 10_000, "LT"], since: hashTime }],
  hpExpireAt: [{ args: ["h", fields, laterInParts], since: hashTime }],
  hpExpireTime: [{ args: ["h", fields], since: hashTime }],
  hpTTL: [{ args: ["h", fields], since: hashTime }],
  hRandField: [{ args: ["h"], random: "any field" }, { args: ["none"] }],
  hRandFieldCount: [{ args: ["h", 5], ...setOrder }],
  hRandFieldCountWithValues: [{ args: ["h", -1], random: "any field" }, { args: ["none", 1] }],
  hScan: [{ args: ["h", "0", { MATCH: "a", COUNT: 5 }] }, { args: ["none", "0"] }],
  hScanNoValues: [{ args: ["h", "0"], since: { redis: "7.4", valkey: "8" } }],
  hSet: [
    { args: ["h", "a", "5"] },
    { args: ["h", { c: 3, d: 4 }] },
    { args: ["h", [["c", "3"], ["d", "4"]]] },
    { args: ["h", new Map([["c", "3"]])] }
  ],
  hSetEx: [
    { args: ["h", { a: "1", c: "3" }], since: hash8 },
    {
      args: ["h", { a: "1" }, { mode: "FNX", expiration: "10 seconds" }],
      node: ["h", { a: "1" }, { mode: "FNX", expiration: { type: "EX", value: 10 } }],
      since: hash8
    },
    { args: ["h", { a: "1" }, { expiration: "KEEPTTL" }], since: hash8 }
  ],
  hSetNX: [{ args: ["h", "a", "1"] }, { args: ["h", "c", "1"] }],
  hStrLen: [{ args: ["h", "a"] }],
  hTTL: [{ args: ["h", fields], since: hashTime }],
  hVals: [{ args: ["h"] }]
}

const second = "1 seconds"

export const lists: Cases = {
  blMove: [{ args: ["l", "l", "LEFT", "RIGHT", second], node: ["l", "l", "LEFT", "RIGHT", 1] }],
  blMoveM: [
    { args: ["l", "nums", "LEFT", "RIGHT", second], node: ["l", "nums", "LEFT", "RIGHT", 1], since: { redis: "8.10" } },
    {
      args: ["l", "nums", "LEFT", "RIGHT", second, { EXACTLY: 2, ORDER: "OBO" }],
      node: ["l", "nums", "LEFT", "RIGHT", 1, { EXACTLY: 2, ORDER: "OBO" }],
      since: { redis: "8.10" }
    }
  ],
  blmPop: [
    { args: [second, ["none", "l"], "LEFT", { COUNT: 2 }], node: [1, ["none", "l"], "LEFT", { COUNT: 2 }] },
    { args: [0.5, "none", "RIGHT"], node: [0.0005, "none", "RIGHT"], words: "a wait is whole milliseconds" }
  ],
  blPop: [{ args: [["none", "l"], second], node: [["none", "l"], 1] }, { args: ["none", 10], node: ["none", 0.01] }],
  brPop: [{ args: ["l", "Infinity"], node: ["l", 0] }],
  brPopLPush: [{ args: ["l", "nums", 1500], node: ["l", "nums", 1.5] }],
  lIndex: [{ args: ["l", -1] }, { args: ["l", 9] }],
  lInsert: [{ args: ["l", "BEFORE", "b", "x"] }],
  lLen: [{ args: ["l"] }],
  lMove: [{ args: ["l", "nums", "LEFT", "RIGHT"] }, { args: ["none", "nums", "LEFT", "RIGHT"] }],
  lMoveM: [
    { args: ["l", "nums", "LEFT", "RIGHT"], since: { redis: "8.10" } },
    { args: ["l", "nums", "LEFT", "RIGHT", { COUNT: 2, ORDER: "BULK" }], since: { redis: "8.10" } }
  ],
  lmPop: [{ args: [["none", "l"], "LEFT", { COUNT: 2 }] }, { args: ["none", "RIGHT"] }],
  lPop: [{ args: ["l"] }, { args: ["none"] }],
  lPopCount: [{ args: ["l", 2] }, { args: ["none", 2] }],
  lPos: [{ args: ["l", "b"] }, { args: ["l", "b", { RANK: -1, MAXLEN: 3 }] }, { args: ["l", "x"] }],
  lPosCount: [{ args: ["l", "b", 0] }, { args: ["l", "b", 1, { RANK: 2 }] }],
  lPush: [{ args: ["l", ["x", "y"]] }],
  lPushX: [{ args: ["none", "x"] }],
  lRange: [{ args: ["l", 0, -1] }],
  lRem: [{ args: ["l", 0, "b"] }],
  lSet: [{ args: ["l", 0, "x"] }, { args: ["l", 9, "x"], fails: true }],
  lTrim: [{ args: ["l", 1, 2] }],
  rPop: [{ args: ["l"] }],
  rPopCount: [{ args: ["l", 2] }],
  rPopLPush: [{ args: ["l", "nums"] }],
  rPush: [{ args: ["l", "x"] }],
  rPushX: [{ args: ["l", ["x", "y"]] }]
}

const both = ["set", "set2"]

export const sets: Cases = {
  sAdd: [{ args: ["set", ["a", "x"]] }],
  sCard: [{ args: ["set"] }],
  sDiff: [{ args: [both], ...setOrder }],
  sDiffCard: [{ args: [both, { LIMIT: 1 }], since: { redis: "8.10" } }],
  sDiffStore: [{ args: ["dest", both] }],
  sInter: [{ args: [both], ...setOrder }],
  sInterCard: [{ args: [both] }, { args: [both, { LIMIT: 1 }] }],
  sInterStore: [{ args: ["dest", both] }],
  sIsMember: [{ args: ["set", "a"] }],
  sMembers: [{ args: ["set"], ...setOrder }, { args: ["none"] }],
  smIsMember: [{ args: ["set", ["a", "x"]] }],
  sMove: [{ args: ["set", "set2", "a"] }],
  sPop: [{ args: ["one"] }, { args: ["none"] }],
  sPopCount: [{ args: ["set", 5], ...setOrder }],
  sRandMember: [{ args: ["one"] }],
  sRandMemberCount: [{ args: ["one", -2] }],
  sRem: [{ args: ["set", ["a", "x"]] }],
  sScan: [{ args: ["one", "0", { COUNT: 10 }] }],
  sUnion: [{ args: [both], ...setOrder }],
  sUnionCard: [{ args: [both, { APPROX: true, LIMIT: 3 }], since: { redis: "8.10" } }],
  sUnionStore: [{ args: ["dest", "set"] }]
}

const zBoth = ["z", "z2"]
const weighted = [{ key: "z", weight: 2 }, { key: "z2", weight: 0.5 }]

export const sortedSets: Cases = {
  bzMove: [{ args: ["z", "z2", "MIN", second, { COUNT: 2 }], node: "none", since: { redis: "8.12" } }],
  bzmPop: [
    { args: [second, ["none", "z"], "MIN", { COUNT: 2 }], node: [1, ["none", "z"], "MIN", { COUNT: 2 }] },
    { args: [10, "none", "MAX"], node: [0.01, "none", "MAX"] }
  ],
  bzPopMax: [{ args: ["z", second], node: ["z", 1] }, { args: ["none", 10], node: ["none", 0.01] }],
  bzPopMin: [{ args: [["none", "z2"], second], node: [["none", "z2"], 1] }],
  zAdd: [
    { args: ["z", { value: "x", score: 1.5 }] },
    { args: ["z", [{ value: "a", score: -Infinity }, { value: "y", score: 2 }], { CH: true, comparison: "LT" }] },
    { args: ["z", { value: "a", score: 3 }, { condition: "NX" }] }
  ],
  zAddIncr: [
    { args: ["z", { value: "a", score: 1.5 }] },
    { args: ["z", { value: "none", score: 1 }, { condition: "XX" }] }
  ],
  zCard: [{ args: ["z"] }],
  zCount: [{ args: ["z", "(1", Infinity] }, { args: ["z", "-inf", 2] }],
  zDiff: [{ args: [zBoth] }],
  zDiffWithScores: [{ args: [zBoth] }],
  zDiffStore: [{ args: ["dest", zBoth] }],
  zIncrBy: [{ args: ["z", 0.5, "a"] }],
  zInter: [{ args: [zBoth] }, { args: [weighted, { AGGREGATE: "MAX" }] }],
  zInterWithScores: [{ args: [zBoth] }, { args: [weighted] }],
  zInterCard: [{ args: [zBoth] }, { args: [zBoth, { LIMIT: 1 }] }],
  zInterStore: [{ args: ["dest", weighted, { AGGREGATE: "MIN" }] }],
  zLexCount: [{ args: ["lex", "[a", "(c"] }],
  zmPop: [{ args: [["none", "z"], "MAX", { COUNT: 2 }] }, { args: ["none", "MIN"] }],
  zmScore: [{ args: ["z", ["a", "none", "c"]] }],
  zPopMax: [{ args: ["z"] }, { args: ["none"] }],
  zPopMaxCount: [{ args: ["z", 2] }],
  zPopMin: [{ args: ["z"] }],
  zPopMinCount: [{ args: ["z", 2] }, { args: ["none", 2] }],
  zRandMember: [{ args: ["zone"] }],
  zRandMemberCount: [{ args: ["zone", -2] }],
  zRandMemberCountWithScores: [{ args: ["zone", -2] }],
  zRange: [
    { args: ["z", 0, -1] },
    { args: ["z", "(1", Infinity, { BY: "SCORE", LIMIT: { offset: 0, count: 1 } }] },
    { args: ["lex", "+", "[b", { BY: "LEX", REV: true }] }
  ],
  zRangeWithScores: [{ args: ["z", 0, -1] }, { args: ["z2", Infinity, -Infinity, { BY: "SCORE", REV: true }] }],
  zRangeByLex: [{ args: ["lex", "-", "+", { LIMIT: { offset: 1, count: 1 } }] }],
  zRangeByScore: [{ args: ["z", 1, 3] }, { args: ["z", "-inf", "+inf", { LIMIT: { offset: 1, count: 1 } }] }],
  zRangeByScoreWithScores: [{ args: ["z", 1, Infinity] }],
  zRangeStore: [{ args: ["dest", "z", 0, 1] }, { args: ["dest", "z", 3, 1, { BY: "SCORE", REV: true }] }],
  zRank: [{ args: ["z", "b"] }, { args: ["z", "none"] }],
  zRankWithScore: [
    { args: ["z", "b"], since: { redis: "7.2", valkey: "7.2" } },
    { args: ["z", "none"], since: { redis: "7.2", valkey: "7.2" } }
  ],
  zRem: [{ args: ["z", ["a", "none"]] }],
  zRemRangeByLex: [{ args: ["lex", "[a", "[b"] }],
  zRemRangeByRank: [{ args: ["z", 0, 1] }],
  zRemRangeByScore: [{ args: ["z", "(1", Infinity] }],
  zRevRank: [{ args: ["z", "a"] }],
  zRevRankWithScore: [{ args: ["z", "a"], since: { redis: "7.2", valkey: "7.2" } }],
  zScan: [{ args: ["z", "0", { MATCH: "*" }] }],
  zScore: [{ args: ["z", "c"] }, { args: ["z", "none"] }],
  zUnion: [{ args: ["z"] }, { args: [zBoth, { AGGREGATE: "SUM" }] }],
  zUnionWithScores: [{ args: [weighted] }, { args: [{ key: "z", weight: 3 }] }],
  zUnionStore: [{ args: ["dest", zBoth] }]
}
