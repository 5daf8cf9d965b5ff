/**
 * Cases of strings, bitmaps, HyperLogLogs and keys.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { binary, type Cases, later, laterInParts } from "./case.ts"

const floats = {
  reply: "node-redis leaves them text in RESP2",
  of: (numbers: ReadonlyArray<unknown>) => numbers.map(Number)
}
const digested = { redis: "8.4" }
const records = { a: "1", b: "2" }

export const strings: Cases = {
  append: [{ args: ["s", " you"] }, { args: ["new", binary], node: ["new", Buffer.from(binary)] }],
  decr: [{ args: ["n"] }, { args: ["s"], fails: true }],
  decrBy: [{ args: ["n", 3] }, { args: ["n", 3n], node: ["n", 3] }],
  delEx: [
    { args: ["s"], since: digested },
    { args: ["s", { condition: "IFEQ", matchValue: "hello" }], since: digested },
    { args: ["s", { condition: "IFDNE", matchValue: "0" }], since: digested }
  ],
  digest: [{ args: ["s"], since: digested }],
  get: [{ args: ["s"] }, { args: ["none"] }, { args: ["l"], fails: true }],
  getDel: [{ args: ["s"] }, { args: ["none"] }],
  getEx: [
    { args: ["s", "10 seconds"], node: ["s", { type: "EX", value: 10 }] },
    { args: ["s", Duration.millis(1500)], node: ["s", { type: "PX", value: 1500 }] },
    { args: ["s", later], node: ["s", { type: "EXAT", value: later }] },
    { args: ["s", DateTime.makeUnsafe(laterInParts)], node: ["s", { type: "PXAT", value: laterInParts }] },
    { args: ["s", "PERSIST"], node: ["s", { type: "PERSIST" }] }
  ],
  getRange: [{ args: ["s", 1, -2] }, { args: ["none", 0, -1] }],
  getSet: [{ args: ["s", "new"] }, { args: ["none", "new"] }],
  incr: [{ args: ["n"] }, { args: ["none"] }],
  incrBy: [{ args: ["n", 5] }],
  incrByFloat: [{ args: ["f", 0.25] }],
  increx: [
    { args: ["n"], since: { redis: "8.8" } },
    {
      args: ["n", { by: 5, lowerBound: 0, upperBound: 12, saturate: true, expiration: "10 seconds", ENX: true }],
      node: ["n", {
        by: 5,
        lowerBound: 0,
        upperBound: 12,
        saturate: true,
        expiration: { type: "EX", value: 10, ENX: true }
      }],
      since: { redis: "8.8" }
    },
    {
      args: ["n", { expiration: "PERSIST" }],
      node: ["n", { expiration: { type: "PERSIST" } }],
      since: { redis: "8.8" }
    }
  ],
  incrExByFloat: [
    { args: ["f", 0.5], since: { redis: "8.8" }, ...floats },
    { args: ["f", 0.5, { lowerBound: -Infinity, upperBound: 2 }], since: { redis: "8.8" }, ...floats }
  ],
  lcs: [{ args: ["s", "s2"] }],
  lcsLen: [{ args: ["s", "s2"] }],
  lcsIdx: [{ args: ["s", "s2"] }, { args: ["s", "s2", { MINMATCHLEN: 3 }] }],
  lcsIdxWithMatchLen: [{ args: ["s", "s2"] }, { args: ["s", "s2", { MINMATCHLEN: 3 }] }],
  mGet: [{ args: [["s", "none", "l"]] }, { args: ["s"] }],
  mSet: [{ args: [records] }, { args: [[["a", "1"], ["b", "2"]]] }, {
    args: [new Map([["a", "1"]])],
    node: [[["a", "1"]]]
  }],
  mSetEx: [
    { args: [records], since: { redis: "8.4" } },
    {
      args: [records, { mode: "NX", expiration: "10 seconds" }],
      node: [records, { mode: "NX", expiration: { type: "EX", value: 10 } }],
      since: { redis: "8.4" }
    },
    {
      args: [records, { expiration: "KEEPTTL" }],
      node: [records, { expiration: { type: "KEEPTTL" } }],
      since: { redis: "8.4" }
    }
  ],
  mSetNX: [{ args: [records] }, { args: [{ s: "1", t: "2" }] }],
  pSetEx: [{ args: ["s", "1 seconds", "v"], node: ["s", 1000, "v"] }],
  set: [
    { args: ["s", "v"] },
    { args: ["s", 5] },
    { args: ["s", "v", { expiration: "1 hour" }], node: ["s", "v", { expiration: { type: "EX", value: 3600 } }] },
    { args: ["s", "v", { expiration: 1500 }], node: ["s", "v", { expiration: { type: "PX", value: 1500 } }] },
    {
      args: ["s", "v", { expiration: later }],
      node: ["s", "v", { expiration: { type: "EXAT", value: later.getTime() / 1000 } }]
    },
    {
      args: ["s", "v", { expiration: laterInParts }],
      node: ["s", "v", { expiration: { type: "PXAT", value: laterInParts.getTime() } }]
    },
    { args: ["s", "v", { expiration: "KEEPTTL" }] },
    { args: ["s", "v", { condition: "NX" }] },
    { args: ["none", "v", { condition: "NX" }] },
    { args: ["s", "v", { condition: "XX", GET: true }] },
    {
      args: ["s", "v", { condition: "IFEQ", matchValue: "hello" }],
      since: { redis: "8.4", valkey: "8.1" }
    },
    { args: ["s", "v", { condition: "IFNE", matchValue: "hello" }], since: digested },
    { args: ["s", "v", { condition: "IFDEQ", matchValue: "0" }], since: digested },
    { args: ["s", "v", { condition: "IFDNE", matchValue: "0" }], since: digested }
  ],
  setEx: [
    { args: ["s", "10 seconds", "v"], node: ["s", 10, "v"] },
    {
      args: ["s", 1500, "v"],
      node: ["s", 1.5, "v"],
      words: "SETEX takes whole seconds, so PSETEX is sent",
      reply: "node-redis' is refused",
      of: () => "OK"
    }
  ],
  setNX: [{ args: ["s", "v"] }, { args: ["none", "v"] }],
  setRange: [{ args: ["s", 2, "LL"] }],
  strLen: [{ args: ["s"] }, { args: ["none"] }]
}

export const bitmaps: Cases = {
  bitCount: [
    { args: ["s"] },
    { args: ["s", { start: 0, end: -1 }] },
    { args: ["s", { start: 5, end: 30, mode: "BIT" }] }
  ],
  bitField: [{
    args: ["b", [
      { operation: "SET", encoding: "u8", offset: 0, value: 250 },
      { operation: "OVERFLOW", behavior: "FAIL" },
      { operation: "INCRBY", encoding: "u8", offset: 0, increment: 10 },
      { operation: "GET", encoding: "i8", offset: "#0" }
    ]]
  }],
  bitFieldRo: [{ args: ["s", [{ encoding: "u8", offset: 0 }]] }],
  bitOp: [{ args: ["AND", "dest", ["s", "s2"]] }, { args: ["NOT", "dest", "s"] }, {
    args: ["DIFF", "dest", ["s", "s2"]],
    since: { redis: "8.2" }
  }],
  bitPos: [{ args: ["s", 1] }, { args: ["s", 1, 2] }, { args: ["s", 0, 0, -1] }, { args: ["s", 1, 2, 30, "BIT"] }],
  getBit: [{ args: ["s", 1] }],
  setBit: [{ args: ["s", 1, 0] }]
}

export const hyperLogLog: Cases = {
  pfAdd: [{ args: ["hll", ["c", "d"]] }, { args: ["hll", "a"] }, { args: ["hll"] }],
  pfCount: [{ args: [["hll", "hll2"]] }, { args: ["hll"] }],
  pfMerge: [{ args: ["dest", ["hll", "hll2"]] }, { args: ["dest"] }]
}

export const keys: Cases = {
  copy: [{ args: ["s", "t"] }, { args: ["s", "n", { REPLACE: true }] }, { args: ["s", "s", { DB: 1 }] }],
  del: [{ args: [["s", "none"]] }, { args: ["s"] }],
  dump: [{ args: ["s"] }, { args: ["none"] }],
  exists: [{ args: [["s", "s", "none"]] }, { args: ["s"] }],
  expire: [
    { args: ["s", "10 seconds"], node: ["s", 10] },
    { args: ["s", "10 seconds", "NX"], node: ["s", 10, "NX"] },
    {
      args: ["s", 1500],
      node: ["s", 1.5],
      words: "EXPIRE takes whole seconds, so PEXPIRE is sent",
      reply: "node-redis' is refused",
      of: () => 1
    }
  ],
  expireAt: [
    { args: ["s", later] },
    { args: ["s", DateTime.makeUnsafe(later), "XX"], node: ["s", later, "XX"] },
    {
      args: ["s", laterInParts],
      words: "node-redis forgets the parts of a second; PEXPIREAT has them"
    }
  ],
  expireTime: [{ args: ["s"] }, { args: ["none"] }],
  keys: [{ args: ["int:*"], unordered: true }],
  migrate: [
    {
      args: ["127.0.0.1", 1, "none", 0, "1 seconds"],
      node: ["127.0.0.1", 1, "none", 0, 1000]
    },
    {
      args: ["127.0.0.1", 1, ["none", "none2"], 0, "1 seconds", { COPY: true, REPLACE: true }],
      node: ["127.0.0.1", 1, ["none", "none2"], 0, 1000, { COPY: true, REPLACE: true }]
    }
  ],
  move: [{ args: ["s", 1] }],
  objectEncoding: [{ args: ["n"] }, { args: ["none"] }],
  objectFreq: [
    { args: ["s"], fails: true },
    { args: ["s"], setup: [["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"], ["SET", "s", "v"]] }
  ],
  objectIdleTime: [{ args: ["s"] }],
  objectRefCount: [{ args: ["s"] }],
  persist: [{ args: ["ttl"] }, { args: ["s"] }],
  pExpire: [{ args: ["s", "10 seconds"], node: ["s", 10_000] }, { args: ["s", 10_000, "GT"] }],
  pExpireAt: [{ args: ["s", laterInParts] }, { args: ["s", later, "LT"] }],
  pExpireTime: [{ args: ["s"] }],
  pTTL: [{ args: ["s"] }, { args: ["none"] }],
  randomKey: [{ args: [], random: "any key" }],
  rename: [{ args: ["s", "t"] }, { args: ["none", "t"], fails: true }],
  renameNX: [{ args: ["s", "n"] }, { args: ["s", "t"] }],
  restore: [
    {
      args: ["t", 0, "no dump"],
      fails: true
    },
    {
      args: ["t", later, "no dump", { REPLACE: true, IDLETIME: "10 seconds" }],
      node: ["t", later.getTime(), "no dump", { REPLACE: true, ABSTTL: true, IDLETIME: 10 }],
      fails: true
    },
    { args: ["t", "1 seconds", "no dump", { FREQ: 3 }], node: ["t", 1000, "no dump", { FREQ: 3 }], fails: true }
  ],
  scan: [
    {
      args: ["0", { MATCH: "int:*", COUNT: 1000 }],
      unordered: true
    },
    { args: ["0", { COUNT: 1000, TYPE: "hash" }] }
  ],
  sort: [
    { args: ["nums"] },
    { args: ["l", { ALPHA: true, DIRECTION: "DESC", LIMIT: { offset: 0, count: 2 } }] },
    { args: ["nums", { BY: "w_*", GET: ["#", "int:*"] }] },
    { args: ["nums", { GET: "int:*" }] }
  ],
  sortRo: [{ args: ["nums", { DIRECTION: "DESC" }] }],
  sortStore: [{ args: ["nums", "dest", { LIMIT: { offset: 0, count: 2 } }] }],
  touch: [{ args: [["s", "none"]] }],
  ttl: [{ args: ["s"] }, { args: ["none"] }],
  type: [{ args: ["z"] }, { args: ["none"] }],
  unlink: [{ args: [["s", "n"]] }],
  wait: [{ args: [0, "1 seconds"], node: [0, 1000] }]
}
