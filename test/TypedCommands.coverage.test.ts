/**
 * What `Commands` has not, of what servers and node-redis have, against lists that were reviewed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Commands } from "hitless"
import { inject } from "vitest"
import { blocksFor, refusalOf } from "../src/internal/commands.ts"
import { connect } from "./support/client.ts"
import { cases } from "./support/commandCases/all.ts"
import { nodeNames } from "./support/nodeRedis.ts"
import { startRedis } from "./support/redisServer.ts"

const programs = [inject("redisServer"), ...(process.env["HITLESS_SERVERS"] ?? "").split(":")]
  .filter((program) => program !== "")

/** What makes commands or judges them, and is none. */
const makers = ["bytes", "changesOnce", "fromNodeRedis", "function", "make", "schema", "script"]

const stateful = "changes the state of its connection: `send` of a reserved one"
const pushed = "answered by pushes, or not at all: `subscribe`, or the client's own"
const admin = "administration of a server, once in its life: `send`"
const cluster = "changes a cluster: `send` to a node"
const replication = "replication's own"
const help = "help for people at a prompt"
const superseded = "superseded, by the command that is named"

/** What servers have and `Commands` has not, by `COMMAND LIST`'s names; a name with `|*` is all of a container. */
const unbuilt: Readonly<Record<string, string>> = {
  "acl|deluser": admin,
  "acl|help": help,
  "acl|load": admin,
  "acl|save": admin,
  "acl|setuser": admin,
  asking: stateful,
  auth: stateful,
  "client|caching": stateful,
  "client|capa": stateful,
  "client|help": help,
  "client|import-source": stateful,
  "client|no-evict": stateful,
  "client|no-touch": stateful,
  "client|reply": pushed,
  "client|setinfo": stateful,
  "client|setname": stateful,
  "client|tracking": stateful,
  "cluster|addslots": cluster,
  "cluster|addslotsrange": cluster,
  "cluster|bumpepoch": cluster,
  "cluster|delslots": cluster,
  "cluster|delslotsrange": cluster,
  "cluster|failover": cluster,
  "cluster|flushslots": cluster,
  "cluster|forget": cluster,
  "cluster|help": help,
  "cluster|meet": cluster,
  "cluster|replicate": cluster,
  "cluster|reset": cluster,
  "cluster|saveconfig": cluster,
  "cluster|set-config-epoch": cluster,
  "cluster|setslot": cluster,
  "cluster|slaves": `${superseded}: clusterReplicas`,
  "cluster|slot-stats": "of one server's newer versions: `send`",
  "command|help": help,
  "commandlog|*": "of one server's newer versions: `send`",
  "config|help": help,
  debug: "for tests of the server",
  discard: "`transaction`",
  exec: "`transaction`",
  failover: admin,
  "function|help": help,
  hello: "the client's own",
  hmset: `${superseded}: hSet`,
  "latency|help": help,
  "memory|help": help,
  "module|help": help,
  "module|load": admin,
  "module|loadex": admin,
  "module|unload": admin,
  monitor: pushed,
  multi: "`transaction`",
  "object|help": help,
  pfdebug: "for tests of the server",
  pfselftest: "for tests of the server",
  psubscribe: pushed,
  psync: replication,
  punsubscribe: pushed,
  "pubsub|help": help,
  quit: pushed,
  readonly: stateful,
  readwrite: stateful,
  replconf: replication,
  replicaof: admin,
  reset: stateful,
  "restore-asking": replication,
  "script|debug": pushed,
  "script|help": help,
  "script|show": "of one server's newer versions: `send`",
  select: stateful,
  shutdown: admin,
  slaveof: `${superseded}: replicaof`,
  "slowlog|help": help,
  ssubscribe: pushed,
  subscribe: pushed,
  substr: `${superseded}: getRange`,
  sunsubscribe: pushed,
  sync: replication,
  unsubscribe: pushed,
  unwatch: "`transaction`",
  watch: "`transaction`",
  "xgroup|help": help,
  "xinfo|help": help,
  zrevrange: `${superseded}: zRange with REV`,
  zrevrangebylex: `${superseded}: zRange with BY LEX and REV`,
  zrevrangebyscore: `${superseded}: zRange with BY SCORE and REV`
}

const arrays = "of Redis 8.8's arrays: `fromNodeRedis`"
const hot = "of Redis 8.6 and later, for people who look for hot keys: `fromNodeRedis`"

/** What node-redis has and `Commands` has not. */
const notNode: Readonly<Record<string, string>> = {
  aclDelUser: admin,
  aclLoad: admin,
  aclSave: admin,
  aclSetUser: admin,
  ...Object.fromEntries(nodeNames.filter((name) => /^ar[A-Z]/.test(name)).map((name) => [name, arrays])),
  asking: stateful,
  auth: stateful,
  ...Object.fromEntries(nodeNames.filter((name) => name.startsWith("bless")).map((name) => [name, hot])),
  clientCaching: stateful,
  clientNoEvict: stateful,
  clientNoTouch: stateful,
  clientSetName: stateful,
  clientTracking: stateful,
  clusterAddSlots: cluster,
  clusterAddSlotsRange: cluster,
  clusterBumpEpoch: cluster,
  clusterDelSlots: cluster,
  clusterDelSlotsRange: cluster,
  clusterFailover: cluster,
  clusterFlushSlots: cluster,
  clusterForget: cluster,
  clusterMeet: cluster,
  clusterReplicate: cluster,
  clusterReset: cluster,
  clusterSaveConfig: cluster,
  clusterSetConfigEpoch: cluster,
  clusterSetSlot: cluster,
  command: "`commandInfo` of all; its reply is large",
  hImportDiscard: stateful,
  hImportDiscardAll: stateful,
  hImportPrepare: stateful,
  hImportSet: "needs what `HIMPORT PREPARE` tells its connection",
  hello: "the client's own",
  hotkeysGet: hot,
  hotkeysReset: hot,
  hotkeysStart: hot,
  hotkeysStop: hot,
  moduleLoad: admin,
  moduleUnload: admin,
  readonly: stateful,
  replicaOf: admin,
  restoreAsking: replication,
  scriptDebug: pushed
}

const commands = Object.entries(Commands).filter(([name]) => !makers.includes(name))

/** The commands of all cases. */
const made = Object.entries(cases).flatMap(([name, all]) =>
  all.map(({ args }) =>
    (Commands as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Commands.Command<unknown>>)[name]!(
      ...args
    )
  )
)

/** The names that a server has for what is sent. */
const sent = new Set(
  made.flatMap(({ words: [word, next] }) => {
    const command = String(word).toLowerCase()
    return [command, `${command}|${String(next).toLowerCase()}`]
  })
)

describe("Commands", () => {
  it("have a case each in the suite that runs them on real servers", () => {
    assert.deepStrictEqual(
      commands.map(([name]) => name).filter((name) => cases[name] === undefined || cases[name].length === 0),
      []
    )
  })

  it("wait where `send` knows that they do, and are none that it refuses", () => {
    for (const { blocking, words } of made) {
      assert.strictEqual(blocksFor(words) > 0, blocking, String(words[0]))
      assert.isUndefined(refusalOf(words, true), String(words[0]))
    }
  })

  it("are those of node-redis, but for a reviewed list", () => {
    const names = new Set(commands.map(([name]) => name))
    assert.deepStrictEqual(nodeNames.filter((name) => !names.has(name)).sort(), Object.keys(notNode).sort())
  })

  for (const program of programs) {
    it.live(`are those of ${program}, but for a reviewed list`, () =>
      Effect.gen(function*() {
        const redis = yield* connect(yield* startRedis({ program }))
        const all = (yield* redis.run(Commands.commandList())).map((name) => name.toLowerCase())
        const containers = new Set(all.filter((name) => name.includes("|")).map((name) => name.split("|")[0]))
        const isReviewed = (name: string) => name in unbuilt || `${name.split("|")[0]}|*` in unbuilt
        assert.deepStrictEqual(
          all.filter((name) => !containers.has(name) && !sent.has(name) && !isReviewed(name)),
          []
        )
        assert.deepStrictEqual(Object.keys(unbuilt).filter((name) => sent.has(name)), [])
      }))
  }
})
