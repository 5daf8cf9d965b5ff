/**
 * Commands that ask about a cluster, as the node that answers sees it. An error where the server is none of a cluster.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import { type Command, noKeys, read, secondKey } from "./command.ts"
import { blob, blobs, integer, listOf, ownText, record, recordOf, type Text, text, tuple } from "./decode.ts"

/**
 * How many other nodes say that a node fails.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterCountFailureReports = (nodeId: string): Command<number> =>
  read(["CLUSTER", "COUNT-FAILURE-REPORTS", nodeId], integer, noKeys)

/**
 * How many keys this node has in a slot.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterCountKeysInSlot = (slot: number): Command<number> =>
  read(["CLUSTER", "COUNTKEYSINSLOT", slot], integer, noKeys)

/**
 * Keys that this node has in a slot.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterGetKeysInSlot = (slot: number, count: number): Command<Array<string>> =>
  read(["CLUSTER", "GETKEYSINSLOT", slot, count], blobs, noKeys)

/**
 * How the cluster does, as lines of text.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterInfo = (): Command<Text> => read(["CLUSTER", "INFO"], ownText, noKeys)

/**
 * The slot of a key.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterKeySlot = (key: Arg): Command<number> => read(["CLUSTER", "KEYSLOT", key], integer, secondKey)

/**
 * A connection between nodes.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterLink {
  readonly direction: "to" | "from"
  readonly node: string
  readonly "create-time": number
  readonly events: string
  readonly "send-buffer-allocated": number
  readonly "send-buffer-used": number
}

const link = (reply: unknown) => recordOf(reply, (value, name) => name === "direction" ? text(value) : value)

/**
 * The connections of this node to others.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterLinks = (): Command<Array<ClusterLink>> =>
  read(["CLUSTER", "LINKS"], (reply) => listOf(reply, link as (reply: unknown) => never), noKeys)

/**
 * The id of this node.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterMyId = (): Command<string> => read(["CLUSTER", "MYID"], blob, noKeys)

/**
 * The id of its shard. Redis 7.2.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterMyShardId = (): Command<string> => read(["CLUSTER", "MYSHARDID"], blob, noKeys)

/**
 * All nodes, as lines of text.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterNodes = (): Command<Text> => read(["CLUSTER", "NODES"], ownText, noKeys)

/**
 * The replicas of a node, as lines of text.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterReplicas = (nodeId: string): Command<Array<string>> =>
  read(["CLUSTER", "REPLICAS", nodeId], blobs, noKeys)

/**
 * A shard: its slots, as pairs of first and last, and its nodes by the server's own names.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterShard {
  readonly slots: Array<number>
  readonly nodes: Array<Record<string, unknown>>
}

/**
 * The shards, with their nodes.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterShards = (): Command<Array<ClusterShard>> =>
  read(
    ["CLUSTER", "SHARDS"],
    (reply) =>
      listOf(
        reply,
        (shard) =>
          recordOf(shard, (value, name) => name === "nodes" ? listOf(value, record) : value) as unknown as ClusterShard
      ),
    noKeys
  )

/**
 * A node that serves slots.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterNode {
  readonly host: Text | null
  readonly port: number
  readonly id: Text
}

/**
 * A range of slots, both ends included, with who serves it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterSlots {
  readonly from: number
  readonly to: number
  readonly master: ClusterNode
  readonly replicas: Array<ClusterNode>
}

const node = (reply: unknown): ClusterNode => {
  const [host, port, id] = tuple(reply, 3)
  return { host: host === null ? null : ownText(host), port: integer(port), id: ownText(id) }
}

/**
 * Which slots are served by whom. `clusterShards` tells more.
 *
 * @category cluster
 * @since 0.1.0
 */
export const clusterSlots = (): Command<Array<ClusterSlots>> =>
  read(
    ["CLUSTER", "SLOTS"],
    (reply) =>
      listOf(reply, (range) => {
        const [from, to, master, ...replicas] = tuple(range, 3)
        return { from: integer(from), to: integer(to), master: node(master), replicas: replicas.map(node) }
      }),
    noKeys
  )
