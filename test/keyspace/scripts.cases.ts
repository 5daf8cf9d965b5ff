/** Scripts: on a real server the Lua, on the simulated one the function that stands for it. */
import { createHash } from "node:crypto"
import type { Case, Word } from "../support/keyspaceSuite.ts"
import { scripts } from "../support/scripts.ts"

type Name = keyof typeof scripts

const sha = (name: Name): string => createHash("sha1").update(scripts[name].lua).digest("hex")

const evaluate = (name: Name, ...args: ReadonlyArray<Word>): ReadonlyArray<Word> => ["EVAL", scripts[name].lua, ...args]

export const cases: ReadonlyArray<Case> = [
  {
    name: "a script is called by its text and by its name",
    commands: [
      ["EVALSHA", sha("set"), 1, "k", "v"],
      evaluate("set", 1, "k", "v"),
      ["GET", "k"],
      ["EVALSHA", sha("set"), 1, "k", "w"],
      ["EVALSHA", sha("set").toUpperCase(), 1, "k", "x"],
      ["GET", "k"],
      ["SCRIPT", "LOAD", scripts.get.lua],
      ["EVALSHA", sha("get"), 1, "k"],
      ["SCRIPT", "EXISTS", sha("get"), sha("get").toUpperCase(), "nope"],
      ["SCRIPT", "FLUSH"],
      ["SCRIPT", "EXISTS", sha("get")],
      ["EVALSHA", sha("get"), 1, "k"],
      ["SCRIPT", "LOAD", "return 'nobody runs this'"],
      ["SCRIPT", "FLUSH", "async"]
    ]
  },
  {
    name: "values become replies",
    commands: [
      evaluate("arguments", 2, "k1", "k2", "a1"),
      evaluate("arguments", 0, Uint8Array.of(0, 255), ""),
      evaluate("values", 0),
      evaluate("cut", 0),
      evaluate("nothing", 0),
      evaluate("no", 0),
      evaluate("yes", 0),
      evaluate("status", 0),
      evaluate("error", 0)
    ]
  },
  {
    name: "replies become values",
    commands: [
      ["HSET", "h", "f", "v"],
      ["ZADD", "z", 1.5, "m"],
      ["SET", "s", "x"],
      evaluate("typeOf", 3, "h", "z", "s"),
      evaluate("get", 1, "none"),
      evaluate("numbers", 1, "l")
    ]
  },
  {
    name: "errors end a script and keep what it wrote",
    commands: [
      ["SET", "s", "x"],
      evaluate("wrongType", 1, "s"),
      evaluate("half", 1, "s"),
      ["GET", "s"],
      evaluate("caught", 1, "s"),
      evaluate("caughtReply", 1, "s"),
      evaluate("unknown", 0),
      evaluate("arity", 0),
      evaluate("forbidden", 0),
      evaluate("blocking", 1, "l"),
      evaluate("mayBlock", 1, "l")
    ]
  },
  {
    name: "a read-only script does not write",
    commands: [
      ["EVAL_RO", scripts.set.lua, 1, "k", "v"],
      ["EVAL_RO", scripts.get.lua, 1, "k"],
      ["EVALSHA_RO", sha("set"), 1, "k", "v"],
      ["EVALSHA_RO", sha("get"), 1, "k"],
      ["EXISTS", "k"]
    ]
  },
  {
    name: "a script in a transaction, and its message",
    commands: [
      { client: "b", command: ["SUBSCRIBE", "news"] },
      ["MULTI"],
      evaluate("set", 1, "k", "v"),
      evaluate("get", 1, "k"),
      evaluate("publish", 1, "news", "text"),
      ["EXEC"],
      { client: "b", command: [] }
    ]
  },
  {
    name: "a script that publishes to who called it",
    commands: [{ command: ["SUBSCRIBE", "news"] }, evaluate("publish", 1, "news", "text"), ["PING"]]
  },
  {
    name: "a script serves who waits when it is over",
    commands: [
      { client: "b", command: ["BLPOP", "l", 0], replies: 0 },
      ["PING"],
      evaluate("push", 1, "l", "last", "first"),
      { client: "b", command: [] },
      ["LRANGE", "l", 0, -1]
    ]
  },
  {
    name: "a script in another database",
    commands: [["SELECT", 5], evaluate("set", 1, "k", "v"), ["DBSIZE"], ["SELECT", 0], ["DBSIZE"], ["SELECT", 5], [
      "DEL",
      "k"
    ]]
  },
  {
    name: "bad arguments",
    commands: [
      ["EVAL", "return 1"],
      ["EVAL", "return 1", "x"],
      ["EVAL", "return 1", 2, "k"],
      ["EVAL", "return 1", -1],
      ["EVALSHA", "short", 0],
      ["EVALSHA", sha("set")],
      ["EVALSHA", "0".repeat(40), 0],
      ["EVALSHA_RO", "0".repeat(40), 0],
      ["SCRIPT"],
      ["SCRIPT", "LOAD"],
      ["SCRIPT", "LOAD", "return 1", "x"],
      ["SCRIPT", "EXISTS"],
      ["SCRIPT", "FLUSH", "now"],
      ["SCRIPT", "FLUSH", "sync", "async"],
      ["SCRIPT", "NOPE"]
    ]
  }
]
