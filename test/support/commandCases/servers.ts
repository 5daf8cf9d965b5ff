/**
 * Cases about clients, servers and clusters.
 */
import type { Cases } from "./case.ts"

const ids = "ids and times"

export const clients: Cases = {
  clientGetName: [{ args: [] }],
  clientGetRedir: [{ args: [] }],
  clientId: [{ args: [], random: ids }],
  clientInfo: [{ args: [], random: ids, more: true }],
  clientKill: [
    { args: [{ ID: 999_999 }], node: [{ filter: "ID", id: 999_999 }] },
    {
      args: [{ ADDR: "1.2.3.4:5", LADDR: "1.2.3.4:6", TYPE: "pubsub", USER: "default", SKIPME: false }],
      node: [[
        { filter: "ADDR", address: "1.2.3.4:5" },
        { filter: "LADDR", localAddress: "1.2.3.4:6" },
        { filter: "TYPE", type: "pubsub" },
        { filter: "USER", username: "default" },
        { filter: "SKIPME", skipMe: false }
      ]]
    },
    {
      args: [{ TYPE: "pubsub", MAXAGE: "1 minute" }],
      node: [[{ filter: "TYPE", type: "pubsub" }, { filter: "MAXAGE", maxAge: 60 }]],
      since: { redis: "7.4", valkey: "8" }
    }
  ],
  clientList: [
    { args: [], random: ids, more: true },
    { args: [{ TYPE: "pubsub" }] },
    { args: [{ ID: [999_998, 999_999] }], node: [{ ID: ["999998", "999999"] }] }
  ],
  clientPause: [{ args: [1, "WRITE"] }, { args: [1] }],
  clientTrackingInfo: [{ args: [] }],
  clientUnblock: [{ args: [999_999] }, { args: [999_999, "ERROR"] }],
  clientUnpause: [{ args: [] }],
  echo: [{ args: ["hello"] }],
  ping: [{ args: [] }, { args: ["hello"] }]
}

const slow = [
  ["SLOWLOG", "RESET"],
  ["CONFIG", "SET", "slowlog-log-slower-than", 0],
  ["GET", "s"],
  ["CONFIG", "SET", "slowlog-log-slower-than", 10_000]
] as const

const doc = { random: "it is about now" }

export const server: Cases = {
  dbSize: [{ args: [] }],
  flushAll: [{ args: [] }, { args: ["ASYNC"] }],
  flushDb: [{ args: [] }, { args: ["SYNC"] }],
  swapDb: [{ args: [0, 1] }],
  save: [{ args: [], node: "none" }],
  bgSave: [{ args: [], racy: "the server does one after the other" }, {
    args: [{ SCHEDULE: true }],
    racy: "the server does one after the other"
  }],
  bgRewriteAof: [{ args: [], racy: "the server does one after the other" }],
  lastSave: [{ args: [], random: "a time" }],
  waitAof: [{ args: [0, 0, "1 seconds"], node: "none", since: { redis: "7.2", valkey: "7.2" } }],
  info: [{ args: ["server"], ...doc }, { args: [], ...doc }],
  lolwut: [{ args: [5, 3, 3, 3], random: "art" }, { args: [], random: "art" }],
  role: [{
    args: [],
    reply: "node-redis misspells the offset",
    of: ({ replicationOffest: replicationOffset, ...role }: { readonly replicationOffest: number }) => ({
      ...role,
      replicationOffset
    })
  }],
  time: [{ args: [], ...doc }],
  memoryDoctor: [{ args: [], ...doc }],
  memoryMallocStats: [{ args: [], ...doc }],
  memoryPurge: [{ args: [] }],
  memoryStats: [{
    args: [],
    ...doc,
    reply: "node-redis leaves the map of a database flat in RESP2",
    of: (value: Record<string, unknown>, protocol: 2 | 3) => ({
      ...value,
      "db.0": protocol === 3 ? value["db.0"] : fromFlat(value["db.0"] as ReadonlyArray<unknown>)
    })
  }],
  memoryUsage: [{ args: ["s"] }, { args: ["l", { SAMPLES: 0 }] }, { args: ["none"] }],
  latencyDoctor: [{ args: [], ...doc }],
  latencyGraph: [{ args: ["command"], fails: true }],
  latencyHistogram: [{ args: ["get"], ...doc }],
  latencyHistory: [{ args: ["command"], ...doc }],
  latencyLatest: [{ args: [], ...doc }],
  latencyReset: [{ args: ["command"], ...doc }, { args: [], ...doc }],
  slowLogGet: [{ args: [], node: "none", setup: slow, random: "times" }, {
    args: [1],
    node: "none",
    setup: slow,
    random: "times"
  }],
  slowLogLen: [{ args: [], node: "none" }],
  slowLogReset: [{ args: [], node: "none" }],
  configGet: [{ args: [["maxmemory", "appendonly"]] }, { args: ["maxmemory"] }],
  configResetStat: [{ args: [] }],
  configRewrite: [{ args: [], fails: true }],
  configSet: [{ args: ["hz", "10"] }, { args: [{ hz: "10", "maxmemory-samples": "5" }] }],
  moduleList: [{ args: [] }],
  commandCount: [{ args: [] }],
  commandDocs: [{ args: [["get", "set"]] }, { args: ["get"] }],
  commandGetKeys: [{ args: [["MSET", "a", "1", "b", "2"]] }, { args: [["PING"]], fails: true }],
  commandGetKeysAndFlags: [{ args: [["SET", "a", "1"]] }],
  commandInfo: [{
    args: [["get", "none", "memory"]],
    more: true,
    reply: "node-redis makes sets, and more of tips and of where keys stand",
    of: (infos: ReadonlyArray<NodeCommand | null>) => infos.map((info) => info === null ? null : infoOf(info))
  }],
  commandList: [
    {
      args: [{ FILTERBY: { type: "PATTERN", value: "ge*" } }],
      unordered: true
    },
    { args: [], unordered: true }
  ],
  aclCat: [{ args: [] }, { args: ["pubsub"], unordered: true }],
  aclDryRun: [{ args: ["default", ["GET", "s"]] }],
  aclGenPass: [{ args: [], random: "a secret" }, { args: [5], random: "a secret" }],
  aclGetUser: [{ args: ["default"] }, { args: ["none"] }],
  aclList: [{ args: [] }],
  aclLog: [{ args: [] }, { args: [1] }],
  aclLogReset: [{ args: [] }],
  aclUsers: [{ args: [] }],
  aclWhoAmI: [{ args: [] }]
}

const fromFlat = (pairs: ReadonlyArray<unknown>): unknown =>
  Object.fromEntries(pairs.flatMap((key, index) => index % 2 === 0 ? [[key, pairs[index + 1]]] : []))

interface NodeCommand {
  readonly name: string
  readonly arity: number
  readonly flags: ReadonlySet<string>
  readonly firstKeyIndex: number
  readonly lastKeyIndex: number
  readonly step: number
  readonly categories: ReadonlySet<string>
  readonly subcommands: ReadonlyArray<NodeCommand>
}

const infoOf = (
  { arity, categories, firstKeyIndex, flags, lastKeyIndex, name, step, subcommands }: NodeCommand
): unknown => ({
  name,
  arity,
  flags: [...flags],
  firstKeyIndex,
  lastKeyIndex,
  step,
  categories: [...categories],
  subcommands: subcommands.map(infoOf)
})

const cluster = true
const nobody = "0000000000000000000000000000000000000000"

export const clusters: Cases = {
  clusterCountFailureReports: [{ args: [nobody], cluster, fails: true }],
  clusterCountKeysInSlot: [{ args: [5], cluster }],
  clusterGetKeysInSlot: [{ args: [5, 10], cluster }],
  clusterInfo: [{ args: [], cluster, ...doc }],
  clusterKeySlot: [{ args: ["{s}1"], cluster }],
  clusterLinks: [{ args: [], cluster }],
  clusterMyId: [{ args: [], cluster }],
  clusterMyShardId: [{ args: [], cluster, since: { redis: "7.2", valkey: "7.2" } }],
  clusterNodes: [{ args: [], cluster, ...doc }],
  clusterReplicas: [{ args: [nobody], cluster, fails: true }],
  clusterShards: [{ args: [], cluster, node: "none" }],
  clusterSlots: [{ args: [], cluster }]
}
