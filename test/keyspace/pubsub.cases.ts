/** Channels, patterns and shard channels. */
import type { Case } from "../support/keyspaceSuite.ts"

export const cases: ReadonlyArray<Case> = [
  {
    name: "subscriptions are confirmed one by one, with their number",
    commands: [
      { command: ["SUBSCRIBE", "a", "b", "a"], replies: 3 },
      { command: ["PSUBSCRIBE", "a*", "a*", "?"], replies: 3 },
      { command: ["SSUBSCRIBE", "s", "t", "s"], replies: 3 },
      { command: ["UNSUBSCRIBE", "a", "none"], replies: 2 },
      { command: ["PUNSUBSCRIBE", "a*"] },
      { command: ["SUNSUBSCRIBE", "s"] },
      { command: ["UNSUBSCRIBE"] },
      { command: ["UNSUBSCRIBE"] },
      { command: ["PUNSUBSCRIBE"] },
      { command: ["PUNSUBSCRIBE"] },
      { command: ["SUNSUBSCRIBE"] },
      { command: ["SUNSUBSCRIBE"] },
      ["PING"]
    ]
  },
  {
    name: "messages reach channels and patterns",
    commands: [
      { client: "b", command: ["SUBSCRIBE", "news"] },
      { client: "c", command: ["PSUBSCRIBE", "n?ws", "x*"], replies: 2 },
      { client: "d", command: ["SUBSCRIBE", "news"] },
      { client: "d", command: ["PSUBSCRIBE", "*"] },
      ["PUBLISH", "news", "hello"],
      { client: "b", command: [] },
      { client: "c", command: [] },
      { client: "d", command: [], replies: 2 },
      ["PUBLISH", "nows", ""],
      { client: "c", command: [] },
      { client: "d", command: [] },
      ["PUBLISH", "News", Uint8Array.of(0, 255, 13, 10)],
      { client: "d", command: [] }
    ]
  },
  {
    name: "nobody listens",
    commands: [["PUBLISH", "a", "x"], ["SPUBLISH", "a", "x"]]
  },
  {
    name: "shard channels are a world of their own",
    commands: [
      { client: "b", command: ["SSUBSCRIBE", "s"] },
      { client: "c", command: ["SUBSCRIBE", "s"] },
      { client: "d", command: ["PSUBSCRIBE", "*"] },
      ["SPUBLISH", "s", "one"],
      { client: "b", command: [] },
      ["PUBLISH", "s", "two"],
      { client: "c", command: [] },
      { client: "d", command: [] },
      { client: "b", command: ["SUNSUBSCRIBE"] },
      ["SPUBLISH", "s", "three"]
    ]
  },
  {
    name: "PUBSUB tells who listens",
    commands: [
      ["PUBSUB", "CHANNELS"],
      ["PUBSUB", "NUMSUB"],
      ["PUBSUB", "NUMPAT"],
      { client: "b", command: ["SUBSCRIBE", "a1", "a2", "b1"], replies: 3 },
      { client: "b", command: ["PSUBSCRIBE", "a*", "b*"], replies: 2 },
      { client: "b", command: ["SSUBSCRIBE", "s1", "s2"], replies: 2 },
      { client: "c", command: ["SUBSCRIBE", "a1"] },
      { client: "c", command: ["PSUBSCRIBE", "a*"] },
      { command: ["PUBSUB", "CHANNELS"], unordered: true },
      { command: ["PUBSUB", "channels", "a*"], unordered: true },
      ["PUBSUB", "NUMSUB", "a1", "b1", "none"],
      ["PUBSUB", "NUMPAT"],
      { command: ["PUBSUB", "SHARDCHANNELS"], unordered: true },
      ["PUBSUB", "SHARDCHANNELS", "*2"],
      ["PUBSUB", "SHARDNUMSUB", "s1", "a1"],
      { client: "b", command: ["UNSUBSCRIBE"], replies: 3, unordered: true, like: /unsubscribe/ },
      { client: "b", command: ["PUNSUBSCRIBE", "b*", "a*"], replies: 2 },
      ["PUBSUB", "CHANNELS"],
      ["PUBSUB", "NUMPAT"],
      ["PUBSUB"],
      ["PUBSUB", "NOPE"],
      ["PUBSUB", "CHANNELS", "a", "b"],
      ["PUBSUB", "NUMPAT", "x"]
    ]
  },
  {
    name: "what a subscriber may send",
    commands: [
      { command: ["SUBSCRIBE", "a"] },
      ["GET", "k"],
      ["CLIENT", "ID", "x"],
      ["CLIENT", "GETNAME"],
      ["PUBSUB", "NUMPAT"],
      ["NOPE"],
      ["SUBSCRIBE"],
      ["PING"],
      ["PING", "text"],
      ["PING", "one", "two"],
      { command: ["SSUBSCRIBE", "s"] },
      { command: ["UNSUBSCRIBE", "a"] },
      ["GET", "k"],
      { command: ["SUNSUBSCRIBE", "s"] },
      ["GET", "k"],
      ["PING"]
    ]
  },
  {
    name: "who publishes to itself gets the messages and the reply",
    commands: [
      { command: ["SUBSCRIBE", "a"] },
      { command: ["PSUBSCRIBE", "*"] },
      { command: ["SSUBSCRIBE", "a"] },
      ["PUBLISH", "a", "x"],
      ["SPUBLISH", "a", "x"],
      ["PING"]
    ]
  },
  {
    name: "RESET ends subscriptions",
    commands: [
      { command: ["SUBSCRIBE", "a"] },
      { command: ["PSUBSCRIBE", "a"] },
      { command: ["SSUBSCRIBE", "a"] },
      ["RESET"],
      ["GET", "k"],
      { client: "b", command: ["PUBLISH", "a", "x"] },
      { client: "b", command: ["SPUBLISH", "a", "x"] }
    ]
  },
  {
    name: "messages of a transaction are sent when it runs",
    commands: [
      { client: "b", command: ["SUBSCRIBE", "a"] },
      ["MULTI"],
      ["PUBLISH", "a", "1"],
      ["SPUBLISH", "a", "2"],
      ["EXEC"],
      { client: "b", command: [] }
    ]
  },
  {
    name: "bad arguments",
    commands: [
      ["SUBSCRIBE"],
      ["PSUBSCRIBE"],
      ["SSUBSCRIBE"],
      ["PUBLISH", "a"],
      ["SPUBLISH", "a", "b", "c"]
    ]
  }
]
