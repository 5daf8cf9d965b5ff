/**
 * Cases of streams, places, scripts, publishing and vector sets.
 */
import { createHash } from "node:crypto"
import { type Cases, vectors } from "./case.ts"

const fields = { x: "1", y: "2" }
const deleting = { redis: "8.2" }
const trim = { strategy: "MAXLEN", strategyModifier: "~", threshold: 100, limit: 10 }
const minute = "1 minute"

export const streams: Cases = {
  xAck: [{ args: ["st", "g", ["1-1", "3-1"]] }],
  xAckDel: [{ args: ["st", "g", ["1-1", "9-1"], "DELREF"], since: deleting }, {
    args: ["st", "g", "1-1"],
    since: deleting
  }],
  xAdd: [
    { args: ["st", "9-1", fields] },
    { args: ["st", "9-1", fields, { TRIM: trim }] },
    { args: ["st", "9-1", fields, { TRIM: { ...trim, policy: "ACKED" } }], since: deleting },
    { args: ["st", "*", fields, { IDMP: { pid: "p", iid: "1" } }], since: { redis: "8.6" } },
    { args: ["st", "*", fields, { IDMPAUTO: { pid: "p" }, policy: "KEEPREF" }], since: { redis: "8.6" } },
    { args: ["st", "*", fields], random: "the time" }
  ],
  xAddNoMkStream: [{ args: ["none", "*", fields] }, { args: ["st", "9-1", fields] }],
  xAutoClaim: [
    { args: ["st", "g", "bob", 0, "-"] },
    { args: ["st", "g", "bob", 0, "0", { COUNT: 1 }] },
    { args: ["st", "g", "bob", 0, "-"], setup: [["XDEL", "st", "1-1"]] },
    { args: ["st", "g", "bob", minute, "-"], node: ["st", "g", "bob", 60_000, "-"] }
  ],
  xAutoClaimJustId: [{ args: ["st", "g", "bob", 0, "-"] }],
  xClaim: [
    { args: ["st", "g", "bob", 0, ["1-1", "2-1"]] },
    {
      args: ["st", "g", "bob", 0, "3-1", { IDLE: minute, RETRYCOUNT: 3, FORCE: true, LASTID: "3-1" }],
      node: ["st", "g", "bob", 0, "3-1", { IDLE: 60_000, RETRYCOUNT: 3, FORCE: true, LASTID: "3-1" }]
    },
    { args: ["st", "g", "bob", 0, "1-1", { TIME: new Date(5) }] }
  ],
  xClaimJustId: [{ args: ["st", "g", "bob", 0, "1-1"] }],
  xCfgSet: [{
    args: ["st", { IDMP_DURATION: minute, IDMP_MAXSIZE: 10 }],
    node: ["st", { IDMP_DURATION: 60, IDMP_MAXSIZE: 10 }],
    since: { redis: "8.6" }
  }],
  xDel: [{ args: ["st", ["1-1", "9-1"]] }],
  xDelEx: [{ args: ["st", ["1-1", "9-1"], "KEEPREF"], since: deleting }],
  xGroupCreate: [
    { args: ["st", "new", "$"] },
    { args: ["none", "new", "0", { MKSTREAM: true, ENTRIESREAD: 1 }] },
    { args: ["st", "g", "0"], fails: true }
  ],
  xGroupCreateConsumer: [{ args: ["st", "g", "bob"] }],
  xGroupDelConsumer: [{ args: ["st", "g", "alice"] }],
  xGroupDestroy: [{ args: ["st", "g"] }],
  xGroupSetId: [{ args: ["st", "g", "0", { ENTRIESREAD: 0 }] }],
  xInfoConsumers: [{ args: ["st", "g"], random: "times" }],
  xInfoGroups: [{ args: ["st"] }],
  xInfoStream: [{ args: ["st"] }],
  xInfoStreamFull: [
    { args: ["st"], node: "none", random: "times" },
    { args: ["st", { COUNT: 1 }], node: "none", random: "times" }
  ],
  xLen: [{ args: ["st"] }],
  xNack: [{ args: ["st", "g", "FAIL", ["1-1"], { RETRYCOUNT: 2, FORCE: true }], since: { redis: "8.8" } }],
  xPending: [{ args: ["st", "g"] }, { args: ["st", "g"], setup: [["XACK", "st", "g", "1-1", "2-1"]] }],
  xPendingRange: [
    { args: ["st", "g", "-", "+", 10], random: "times" },
    {
      args: ["st", "g", "-", "+", 10, { IDLE: minute, consumer: "alice" }],
      node: ["st", "g", "-", "+", 10, { IDLE: 60_000, consumer: "alice" }]
    }
  ],
  xRange: [{ args: ["st", "-", "+"] }, { args: ["st", "(1-1", "+", { COUNT: 1 }] }],
  xRevRange: [{ args: ["st", "+", "-", { COUNT: 1 }] }],
  xRead: [
    { args: [{ key: "st", id: "1-1" }] },
    { args: [[{ key: "st", id: "0" }, { key: "none", id: "0" }], { COUNT: 1 }] },
    { args: [{ key: "none", id: "0" }, { BLOCK: 10 }] },
    { args: [{ key: "st", id: "0" }, { BLOCK: minute }], node: [{ key: "st", id: "0" }, { BLOCK: 60_000 }] },
    { args: [{ key: "st", id: "0" }, { MAXCOUNT: 5, MAXSIZE: 1000 }], since: { redis: "8.10" } }
  ],
  xReadGroup: [
    { args: ["g", "bob", { key: "st", id: ">" }] },
    { args: ["STREAMS", "bob", { key: "st", id: ">" }], fails: true },
    { args: ["g", "alice", { key: "st", id: "0" }, { COUNT: 1, NOACK: true }] },
    {
      args: ["g", "alice", { key: "st", id: "0" }],
      setup: [["XDEL", "st", "1-1"]],
      reply: "node-redis cannot read an entry that was deleted",
      of: () => [{ name: "st", messages: [{ id: "1-1", message: null }, { id: "2-1", message: { c: "3" } }] }]
    },
    { args: ["g", "bob", { key: "st", id: ">" }, { BLOCK: 10 }] },
    {
      args: ["g", "bob", { key: "st", id: ">" }, { CLAIM: minute }],
      node: ["g", "bob", { key: "st", id: ">" }, { CLAIM: 60_000 }],
      since: { redis: "8.4" }
    }
  ],
  xSetId: [{ args: ["st", "9-1", { ENTRIESADDED: 9, MAXDELETEDID: "1-0" }] }],
  xTrim: [
    { args: ["st", "MAXLEN", 1] },
    { args: ["st", "MINID", "2-1", { strategyModifier: "~", LIMIT: 5 }] },
    { args: ["st", "MAXLEN", 1, { policy: "ACKED" }], since: deleting }
  ]
}

const rome = { longitude: 12.5, latitude: 41.9 }
const near = { radius: 600, unit: "km" }
const box = { width: 1200, height: 1200, unit: "km" }
const all = ["WITHCOORD", "WITHDIST", "WITHHASH"]
const nearest = { SORT: "ASC", COUNT: 1 }

export const geo: Cases = {
  geoAdd: [
    { args: ["geo", { ...rome, member: "Rome" }] },
    { args: ["geo", [{ ...rome, member: "Palermo" }], { condition: "XX", CH: true }] }
  ],
  geoDist: [{ args: ["geo", "Palermo", "Catania"] }, { args: ["geo", "Palermo", "Catania", "km"] }, {
    args: ["geo", "Palermo", "none"]
  }],
  geoHash: [{ args: ["geo", ["Palermo", "none"]] }],
  geoPos: [{
    args: ["geo", ["Palermo", "none"]],
    reply: "node-redis leaves the numbers text in RESP2",
    of: (places: ReadonlyArray<{ readonly longitude: number; readonly latitude: number } | null>) =>
      places.map((place) =>
        place === null ? null : { longitude: Number(place.longitude), latitude: Number(place.latitude) }
      )
  }],
  geoSearch: [
    { args: ["geo", "Palermo", near] },
    { args: ["geo", rome, box, nearest] },
    { args: ["geo", rome, near, { COUNT: { value: 1, ANY: true } }] }
  ],
  geoSearchWith: [{ args: ["geo", rome, near, all] }, { args: ["geo", rome, near, ["WITHDIST"], nearest] }],
  geoSearchStore: [{ args: ["dest", "geo", rome, near] }, {
    args: ["dest", "geo", "Palermo", box, { STOREDIST: true }]
  }],
  geoRadius: [{ args: ["geo", rome, 600, "km", nearest] }],
  geoRadiusWith: [{ args: ["geo", rome, 600, "km", all] }],
  geoRadiusRo: [{ args: ["geo", rome, 600, "km"] }],
  geoRadiusRoWith: [{ args: ["geo", rome, 600, "km", ["WITHCOORD"]] }],
  geoRadiusStore: [{ args: ["geo", rome, 600, "km", "dest"] }, {
    args: ["geo", rome, 600, "km", "dest", { STOREDIST: true }]
  }],
  geoRadiusByMember: [{ args: ["geo", "Palermo", 600, "km"] }],
  geoRadiusByMemberWith: [{ args: ["geo", "Palermo", 600, "km", all] }],
  geoRadiusByMemberRo: [{ args: ["geo", "Palermo", 600, "km", nearest] }],
  geoRadiusByMemberRoWith: [{ args: ["geo", "Palermo", 600, "km", ["WITHHASH"]] }],
  geoRadiusByMemberStore: [{ args: ["geo", "Palermo", 600, "km", "dest"] }, {
    args: ["geo", "Palermo", 600, "km", "dest", { STOREDIST: true }]
  }]
}

const script = "return { KEYS[1] or 'no key', ARGV, #ARGV, false }"
const options = { keys: ["s"], arguments: ["x", "y"] }
const sha1 = createHash("sha1").update(script).digest("hex")
const known = [["SCRIPT", "LOAD", script]] as const
const library =
  "#!lua name=lib\nredis.register_function{function_name='f', callback=function(keys, args) return args end, flags={'no-writes'}}"
const loaded = [["FUNCTION", "LOAD", library]] as const

export const scripting: Cases = {
  eval: [{ args: [script, options] }, { args: [script] }],
  evalRo: [{ args: [script, options] }],
  evalSha: [
    { args: [sha1, options], setup: known },
    { args: ["e0e1f9fabfc9d4800c877a703b823ac0578ff8db"], fails: true }
  ],
  evalShaRo: [{ args: [sha1, options], setup: known }],
  fCall: [{ args: ["f", options], setup: loaded }],
  fCallRo: [{ args: ["f", options], setup: loaded }],
  functionDelete: [{ args: ["lib"], setup: loaded }],
  functionDump: [{ args: [] }],
  functionFlush: [{ args: [] }, { args: ["SYNC"] }],
  functionKill: [{ args: [], fails: true }],
  functionList: [{ args: [], setup: loaded }, { args: [{ LIBRARYNAME: "lib" }], setup: loaded }],
  functionListWithCode: [{ args: [], setup: loaded }],
  functionLoad: [{ args: [library] }, { args: [library, { REPLACE: true }], setup: loaded }],
  functionRestore: [{ args: ["no dump", { mode: "REPLACE" }], fails: true }],
  functionStats: [{ args: [], setup: loaded }],
  scriptExists: [{ args: [[sha1, "none"]], setup: known }],
  scriptFlush: [{ args: [] }, { args: ["ASYNC"] }],
  scriptKill: [{ args: [], fails: true }],
  scriptLoad: [{ args: [script] }]
}

export const pubSub: Cases = {
  publish: [{ args: ["news", "hello"] }],
  pubSubChannels: [{ args: [] }, { args: ["n*"] }],
  pubSubNumPat: [{ args: [] }],
  pubSubNumSub: [{ args: [["news", "sport"]] }, { args: [] }],
  pubSubShardChannels: [{ args: [] }, { args: ["n*"] }],
  pubSubShardNumSub: [{ args: [["news"]] }],
  sPublish: [{ args: ["news", "hello"] }]
}

const filled = [
  ["VADD", "v", "VALUES", 2, 1, 0, "x", "SETATTR", "{\"year\":1984}"],
  ["VADD", "v", "VALUES", 2, 0, 1, "y"]
] as const
const since = vectors
const setup = filled
const floats = new Uint8Array(new Float32Array([1, 2]).buffer)

export const vectorSets: Cases = {
  vAdd: [
    { args: ["v", [1, 2], "z"], since, setup },
    {
      args: ["v2", [1, 2], "z", { CAS: true, QUANT: "BIN", EF: 100, SETATTR: { a: 1 }, M: 8, REDUCE: 1 }],
      since
    },
    { args: ["v", floats, "z"], node: ["v", [1, 2], "z"], since, setup, words: "node-redis sends no bytes of floats" }
  ],
  vCard: [{ args: ["v"], since, setup }],
  vDim: [{ args: ["v"], since, setup }],
  vEmb: [{ args: ["v", "x"], since, setup }],
  vEmbRaw: [{ args: ["v", "x"], since, setup, reply: "bytes are no text", of: (value: object) => value }],
  vGetAttr: [{ args: ["v", "x"], since, setup }, { args: ["v", "y"], since, setup }],
  vInfo: [{ args: ["v"], since, setup, random: "ids of sets" }],
  vIsMember: [
    { args: ["v", "x"], since, setup, node: "none" },
    { args: ["v", "none"], since, setup, node: "none" }
  ],
  vLinks: [{ args: ["v", "x"], since, setup, racy: "levels are chance" }],
  vLinksWithScores: [{ args: ["v", "x"], since, setup, racy: "levels are chance" }],
  vRandMember: [{ args: ["v"], since, setup, random: "any element" }, {
    args: ["v", 2],
    since,
    setup,
    unordered: true
  }, { args: ["none"], since, setup }],
  vRange: [{ args: ["v", "-", "+", 1], since: { redis: "8.4" }, setup }],
  vRem: [{ args: ["v", "x"], since, setup }, { args: ["v", "none"], since, setup }],
  vSetAttr: [{ args: ["v", "y", { a: 1 }], since, setup }, { args: ["v", "none", ""], since, setup }],
  vSim: [
    { args: ["v", "x"], since, setup },
    {
      args: ["v", [1, 0], { COUNT: 1, EF: 10, FILTER: ".year > 1980", "FILTER-EF": 10, TRUTH: true, NOTHREAD: true }],
      since,
      setup
    },
    { args: ["v", "x", { EPSILON: 0.5 }], since, setup }
  ],
  vSimWithScores: [{ args: ["v", "x", { COUNT: 2 }], since, setup }]
}
