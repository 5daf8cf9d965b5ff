/**
 * Commands that publish, and that ask who listens. To listen is the client's `subscribe`.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import { type Command, firstKey, many, noKeys, type OneOrMore, optional, read, write } from "./command.ts"
import { blobs, integer, recordOf } from "./decode.ts"

const counts = (reply: unknown): Record<string, number> => recordOf(reply, integer)

/**
 * Publishes a message and gives how many have heard it; in a cluster, of this node.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const publish = (channel: Arg, message: Arg): Command<number> =>
  write(["PUBLISH", channel, message], integer, noKeys)

/**
 * The channels that somebody subscribes to, without those by patterns.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const pubSubChannels = (pattern?: Arg): Command<Array<string>> =>
  read(["PUBSUB", "CHANNELS", ...optional(pattern)], blobs, noKeys)

/**
 * How many patterns are subscribed to.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const pubSubNumPat = (): Command<number> => read(["PUBSUB", "NUMPAT"], integer, noKeys)

/**
 * How many subscribe to channels, without those by patterns.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const pubSubNumSub = (channels: OneOrMore<Arg> = []): Command<Record<string, number>> =>
  read(["PUBSUB", "NUMSUB", ...many(channels)], counts, noKeys)

/**
 * The channels of shards that somebody subscribes to.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const pubSubShardChannels = (pattern?: Arg): Command<Array<string>> =>
  read(["PUBSUB", "SHARDCHANNELS", ...optional(pattern)], blobs, noKeys)

/**
 * How many subscribe to channels of shards.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const pubSubShardNumSub = (channels: OneOrMore<Arg> = []): Command<Record<string, number>> =>
  read(["PUBSUB", "SHARDNUMSUB", ...many(channels)], counts, noKeys)

/**
 * Publishes to a channel of a shard, where its name counts as a key, and gives how many have heard it.
 *
 * @category pubSub
 * @since 0.1.0
 */
export const sPublish = (channel: Arg, message: Arg): Command<number> =>
  write(["SPUBLISH", channel, message], integer, firstKey)
