/**
 * Every command that the real server knows, sent as the client would let it through: each must be answered exactly once,
 * or every later reply of a connection would go to the wrong command.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { refusalOf } from "../src/internal/commands.ts"
import * as Resp from "../src/Resp.ts"
import { startRedis } from "./support/redisServer.ts"

type Words = ReadonlyArray<string>

/** What the script gives that goes behind each command. */
const script = 1_234_567

/**
 * A connection that counts what arrives in answer to some words. Behind them go a script, which a debugger would answer
 * in its own way, and an `ECHO` that is never the same.
 */
const counter = (port: number, protocol: 2 | 3) =>
  Effect.gen(function*() {
    const encoder = new Resp.Encoder()
    let replies: Array<unknown> = []
    let wake = () => {}
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => false,
      onReply: (value) => {
        replies.push(value)
        wake()
      },
      onPush: () => {}
    })
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(port, "127.0.0.1")),
      (socket) => Effect.sync(() => socket.destroy())
    )
    let ended = false
    socket.on("data", (chunk) => decoder.push(chunk))
    socket.on("error", () => {})
    socket.on("close", () => {
      ended = true
      wake()
    })
    let nonces = 0
    const ask = (words: Words): Effect.Effect<ReadonlyArray<unknown> | "closed" | "no answer"> => {
      const nonce = `nonce-${++nonces}`
      return Effect.callback<ReadonlyArray<unknown> | "closed">((resume) => {
        replies = []
        wake = () => {
          if (replies.at(-1) === nonce) resume(Effect.succeed(replies.slice(0, replies.at(-2) === script ? -2 : -1)))
          else if (ended) resume(Effect.succeed("closed"))
        }
        encoder.write(words)
        encoder.write(["EVAL", `return ${script}`, "0"])
        encoder.write(["ECHO", nonce])
        for (const chunk of encoder.take()) socket.write(chunk)
        wake()
      }).pipe(Effect.timeoutOrElse({ duration: "50 seconds", orElse: () => Effect.succeed("no answer" as const) }))
    }
    if (protocol === 3) yield* ask(["HELLO", "3"])
    return ask
  })

interface Known {
  readonly words: Words
  readonly blocks: boolean
}

/** The commands of a server, subcommands as two words. */
const known = (answer: unknown): ReadonlyArray<Known> =>
  (answer as ReadonlyArray<ReadonlyArray<unknown>>).flatMap((entry) => {
    const [name, , flags] = entry as [string, number, ReadonlyArray<string>]
    const words = name.split("|")
    const nested = (entry[9] ?? []) as ReadonlyArray<unknown>
    return [{ words, blocks: flags.includes("blocking") }, ...known(nested)]
  })

/** Arguments that suit some commands and not others; every one of them is answered, if only with an error. */
const guesses: ReadonlyArray<Words> = [
  [],
  ["key"],
  ["key", "1"],
  ["key", "field", "1"],
  ["key", "1", "2"],
  ["1", "key"],
  ["key", "*", "field", "value"],
  ["HELP"],
  // What changes how a connection is answered takes one of these.
  ["ON"],
  ["OFF"],
  ["YES"],
  ["SKIP"],
  ["ACK", "1"],
  ["GETACK", "*"],
  ["listening-port", "1"]
]

/** Whoever blocks does so for 10 ms at most. */
const blockingGuesses: ReadonlyArray<Words> = [
  [],
  ["key"],
  ["key", "0.01"],
  ["key", "other", "0.01"],
  ["key", "other", "LEFT", "RIGHT", "0.01"],
  ["0.01", "1", "key", "LEFT"],
  ["0.01", "1", "key", "MIN"],
  ["BLOCK", "10", "STREAMS", "key", "$"],
  ["GROUP", "group", "consumer", "BLOCK", "10", "STREAMS", "key", ">"]
]

/** Commands that are sent with these arguments alone, and why. */
const guarded: Readonly<Record<string, ReadonlyArray<Words>>> = {
  // It would end the server, and with it the sweep: its answer is the end of the connection.
  shutdown: [["ABORT"], ["NOSAVE", "SAVE"]],
  // The server would be a replica of nobody for the rest.
  replicaof: [["NO", "ONE"], ["key"]],
  slaveof: [["NO", "ONE"], ["key"]],
  // Other arguments make the server resolve a name that is none, or wait for a peer.
  migrate: [["127.0.0.1", "1", "key", "0", "10"], ["key"]],
  // Others (SEGFAULT, PANIC, RESTART, …) end the server, and the connection with it.
  debug: [
    ["HELP"],
    ["JMAP"],
    ["SLEEP", "0"],
    ["OBJECT", "key"],
    ["LISTPACK", "key"],
    ["DIGEST"],
    ["DIGEST-VALUE", "key"],
    ["RELOAD"],
    ["CHANGE-REPL-ID"],
    ["SET-ACTIVE-EXPIRE", "1"],
    ["STRINGMATCH-LEN", "10", "*"],
    ["ERROR", "text"],
    ["LOG", "text"],
    ["HTSTATS", "0"],
    ...["string", "integer", "double", "null", "array", "set", "map", "attrib", "push", "verbatim", "true", "false"]
      .map(
        (type) => ["PROTOCOL", type]
      ),
    ["PROTOCOL", "bignum"]
  ],
  // Its time is in milliseconds.
  wait: [["1", "10"], ["key", "10"]],
  // It would pause the sweep itself.
  "client|pause": [[], ["1"], ["1", "WRITE"]]
}

const bytesOf = (word: string): Uint8Array => new TextEncoder().encode(word)

/** Whether the client lets a command through: in either case, and with its arguments as bytes, the same. */
const isSent = (words: Words): boolean => {
  const verdicts = [words, words.map((word) => word.toUpperCase())].flatMap(([name, ...args]) => [
    refusalOf([name!, ...args], true) === undefined,
    refusalOf([name!, ...args.map(bytesOf)], true) === undefined
  ])
  assert.isTrue(verdicts.every((verdict) => verdict === verdicts[0]), words.join(" "))
  return verdicts[0]!
}

describe("the sweep over COMMAND", () => {
  for (const protocol of [2, 3] as const) {
    it.live(
      `finds no command that is let through and not answered once, in RESP${protocol}`,
      () =>
        Effect.gen(function*() {
          const { port } = yield* startRedis({ args: ["--enable-debug-command", "yes"] })
          const ask = yield* counter(port, protocol)
          const [list] = (yield* ask(["COMMAND"])) as ReadonlyArray<unknown>
          const commands = known(list)
          assert.isAbove(commands.length, 350)
          const wrong: Array<string> = []
          let asked = 0
          for (const { blocks, words } of commands) {
            const variants = guarded[words.join("|")] ?? (blocks ? blockingGuesses : guesses)
            for (const args of variants) {
              const whole = [...words, ...args]
              if (!isSent(whole)) continue
              asked++
              const answer = yield* ask(whole)
              if (typeof answer !== "string" && answer.length === 1) continue
              wrong.push(`${whole.join(" ")}: ${typeof answer === "string" ? answer : `${answer.length} replies`}`)
              if (typeof answer === "string") return assert.deepStrictEqual(wrong, [])
            }
          }
          assert.deepStrictEqual(wrong, [])
          assert.isAbove(asked, 4000)
        }),
      120_000
    )
  }

  it.live("includes the commands of a cluster", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--cluster-enabled", "yes"] })
      const ask = yield* counter(port, 3)
      const [list] = (yield* ask(["COMMAND"])) as ReadonlyArray<unknown>
      const wrong: Array<string> = []
      for (const { words } of known(list).filter(({ words }) => words[0] === "cluster")) {
        for (const args of guesses) {
          const whole = [...words, ...args]
          if (!isSent(whole)) continue
          const answer = yield* ask(whole)
          if (typeof answer === "string" || answer.length !== 1) wrong.push(`${whole.join(" ")}: ${answer}`)
        }
      }
      assert.deepStrictEqual(wrong, [])
    }), 60_000)
})
