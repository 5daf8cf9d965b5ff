/**
 * Typed commands as values: `Commands.get("k")` is a `Command<string | null>`, which `run`, `pipeline` and `transaction` of
 * a client take. It opens nothing and sends nothing.
 *
 * Names, arguments and the values of options are those of node-redis; durations are `Duration.Input`, where a bare number
 * is milliseconds, and points in time `DateTime` or `Date`. Text is UTF-8: see `bytes` for the rest. Integers beyond 2^53,
 * which no `number` can be, are an `UnexpectedReply`; `send` gives them as bigint. Where a server's version is told, older
 * ones answer with an error.
 *
 * Commands that change the state of their connection, or that are answered by pushes, are not here: `send` of a reserved
 * connection and `subscribe` are for those.
 *
 * @since 0.1.0
 */

export * from "./commands/bitmaps.ts"
export { type Bytes, bytes } from "./commands/bytes.ts"
export * from "./commands/clients.ts"
export * from "./commands/cluster.ts"
export type { Command, Decode, EvalOptions, KeyValues, OneOrMore, ScanOptions } from "./commands/command.ts"
export * from "./commands/consumerGroups.ts"
export {
  fromNodeRedis,
  make,
  type MakeOptions,
  type NodeRedisDefinition,
  type NodeRedisReply
} from "./commands/custom.ts"
export type { Cursor, Scored, Text } from "./commands/decode.ts"
export * from "./commands/geo.ts"
export * from "./commands/hashes.ts"
export * from "./commands/hyperLogLog.ts"
export * from "./commands/keys.ts"
export * from "./commands/lists.ts"
export * from "./commands/pubSub.ts"
export * from "./commands/repeating.ts"
export * from "./commands/schema.ts"
export * from "./commands/scripting.ts"
export * from "./commands/scripts.ts"
export * from "./commands/server.ts"
export * from "./commands/sets.ts"
export * from "./commands/sortedSets.ts"
export type {
  Deletion,
  DeletionPolicy,
  StreamEntries,
  StreamEntry,
  StreamId,
  StreamPosition,
  XReadOptions
} from "./commands/streamEntries.ts"
export * from "./commands/streams.ts"
export * from "./commands/strings.ts"
export type { Expiration, Instant } from "./commands/time.ts"
export * from "./commands/vectorSets.ts"
