/**
 * Every command of `Commands` on real servers, beside node-redis: the words that both write, where the keys are, what both
 * make of the reply in RESP3 and RESP2, that bytes make the same value, and what the server itself knows about the command.
 *
 * `HITLESS_SERVERS` names further servers, as paths with `:` between them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Commands } from "hitless"
import { inject } from "vitest"
import type { Arg } from "../src/Resp.ts"
import { type Client, connect } from "./support/client.ts"
import { cases } from "./support/commandCases/all.ts"
import { type Case, fixture, type Since } from "./support/commandCases/case.ts"
import { connect as connectToSimulated, deploy } from "./support/deployment.ts"
import { connectNode, type NodeClient, nodeWords } from "./support/nodeRedis.ts"
import { startRedis } from "./support/redisServer.ts"

const programs = [inject("redisServer"), ...(process.env["HITLESS_SERVERS"] ?? "").split(":")]
  .filter((program) => program !== "")

const made = (name: string, { args }: Case): Commands.Command<unknown> =>
  (Commands as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Commands.Command<unknown>>)[name]!(
    ...args
  )

// ----- how values are compared -----

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

/** The same for any prototype, without what is undefined. */
const plain = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(plain)
    : isRecord(value)
    ? Object.fromEntries(
      Object.entries(value).filter(([, one]) => one !== undefined).map(([key, one]) => [key, plain(one)]).sort()
    )
    : value

const utf8 = new TextDecoder()

const asText = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? utf8.decode(value)
    : Array.isArray(value)
    ? value.map(asText)
    : isRecord(value)
    ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, asText(one)]))
    : value

const inOrder = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(inOrder).sort()
    : isRecord(value)
    ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, inOrder(one)]))
    : value

/** Of records what another has, too. */
const common = (value: unknown, other: unknown): unknown =>
  Array.isArray(value) && Array.isArray(other)
    ? value.map((one, index) => common(one, other[index]))
    : isRecord(value) && isRecord(other)
    ? Object.fromEntries(
      Object.entries(value).filter(([key]) => key in other).map(([key, one]) => [key, common(one, other[key])])
    )
    : value

/** What kind of value it is, and of what. */
const shape = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.slice(0, 1).map(shape)
    : isRecord(value)
    ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shape(one)]))
    : value instanceof Uint8Array
    ? "bytes"
    : typeof value

const written = (words: ReadonlyArray<Arg>): ReadonlyArray<string> =>
  words.map((word) => Buffer.from(typeof word === "object" ? word : String(word)).toString("latin1"))

// ----- what a server is -----

interface Facts {
  readonly kind: keyof Since
  readonly version: string
  readonly clustered: boolean
}

const factsOf = (redis: Client): Effect.Effect<Facts, unknown> =>
  Effect.map(redis.run(Commands.info("server")), (text) => {
    const field = (name: string): string | undefined => new RegExp(`^${name}:(.*)\r$`, "m").exec(text)?.[1]
    const valkey = field("valkey_version")
    return {
      kind: valkey === undefined ? "redis" : "valkey",
      version: valkey ?? field("redis_version") ?? "",
      clustered: field("redis_mode") === "cluster" || field("server_mode") === "cluster"
    }
  })

/** Versions in order: 8.4 is before 8.10. */
const order = (version: string): number => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return 1000 * major + minor
}

const isKnown = ({ kind, version }: Facts, { since }: Case): boolean =>
  since === undefined || (since[kind] !== undefined && order(since[kind]) <= order(version))

const flagsOf = (redis: Client, words: ReadonlyArray<Arg>) =>
  Effect.map(
    redis.run(Commands.commandInfo([String(words[0])])),
    ([info]) =>
      info === null || info === undefined
        ? undefined
        : (info.subcommands.find(({ name }) => name.endsWith(`|${String(words[1]).toLowerCase()}`)) ?? info).flags
  )

// ----- what is checked -----

type Report = (what: string, ours: unknown, expected: unknown) => void

const checkWords = (name: string, one: Case, report: Report): void => {
  const command = made(name, one)
  if (one.node === "none") return
  const { keys, words } = nodeWords(name, one.node ?? one.args)
  const isSame = JSON.stringify(written(command.words)) === JSON.stringify(written(words))
  if (isSame !== (one.words === undefined)) report("words", written(command.words), written(words))
  if (JSON.stringify(written(command.keys)) !== JSON.stringify(written(keys))) {
    report("keys", written(command.keys), written(keys))
  }
}

/** What the server itself says about a command: where its keys are, whether it writes, and whether it waits. */
const checkTraits = Effect.fnUntraced(function*(redis: Client, name: string, one: Case, report: Report) {
  const { blocking, keys, readOnly, words } = made(name, one)
  const flags = yield* flagsOf(redis, words)
  if (flags === undefined) return
  if (flags.includes("readonly") && !readOnly) report("readOnly", readOnly, flags)
  if (flags.includes("write") && readOnly) report("readOnly", readOnly, flags)
  // Redis 7.0 does not count `WAIT`.
  const mayWait = name === "wait" ||
    (flags.includes("blocking") && (!name.startsWith("xRead") || words.includes("BLOCK")))
  if (blocking !== mayWait) report("blocking", blocking, flags)
  const found = yield* Effect.result(redis.run(Commands.commandGetKeys(words)))
  // A server that has not this option finds no keys.
  const expected = Result.isSuccess(found) ? found.success : []
  if (JSON.stringify(written(keys)) !== JSON.stringify(expected) && Result.isSuccess(found)) {
    report("the server's keys", written(keys), expected)
  }
})

/** Puts the fixture there, and what comes before the command where the server knows it. */
const prepare = (redis: Client, one: Case, facts: Facts) =>
  Effect.flatMap(
    redis.pipeline(
      facts.clustered ? [["FLUSHALL"]] : [...fixture, ...(isKnown(facts, one) ? one.setup ?? [] : [])]
    ),
    Effect.forEach((result) => Effect.fromResult(result))
  )

/** What a value, or an error, is compared as; of an error without the arguments that a server quotes. */
const outcome = (result: Result.Result<unknown, string>, { random, unordered }: Case): unknown =>
  Result.match(result, {
    onFailure: (error) => ({ error: error.replace(/, with args beginning with:.*$/s, "") }),
    onSuccess: (value) => {
      const ordered = unordered === true ? inOrder(plain(value)) : plain(value)
      return { value: random === undefined ? ordered : shape(ordered) }
    }
  })

/** The value of a command, or the words of its error. */
const answerOf = (redis: Client, command: Commands.Command<unknown>) =>
  Effect.map(
    Effect.result(redis.run(command)),
    Result.mapError(({ message, reason }) => reason._tag === "ServerReplied" ? reason.detail : message)
  )

const checkReply = Effect.fnUntraced(function*(
  redis: Client,
  node: NodeClient,
  protocol: 2 | 3,
  facts: Facts,
  bytesOf: Map<Case, string>,
  name: string,
  one: Case,
  report: Report
) {
  yield* prepare(redis, one, facts)
  const ours = yield* answerOf(redis, made(name, one))
  if (one.racy !== undefined) {
    if (Result.isFailure(ours) && !/^[A-Z]+ /.test(ours.failure)) report("ends", ours.failure, "a value or an error")
    return
  }
  const succeeds = isKnown(facts, one) && one.fails !== true
  if (Result.isSuccess(ours) !== succeeds) {
    return report("ends", outcome(ours, one), succeeds ? "a value" : "an error")
  }
  if (succeeds && one.random === undefined) {
    yield* prepare(redis, one, facts)
    const bytes = yield* answerOf(redis, Commands.bytes(made(name, one)))
    const read = outcome(Result.map(bytes, asText), one)
    const kinds = JSON.stringify(shape(Result.getOrUndefined(bytes)))
    const before = bytesOf.get(one)
    if (before !== undefined && before !== kinds) report("bytes in RESP3 and RESP2", before, kinds)
    bytesOf.set(one, kinds)
    const text = outcome(ours, one)
    if (JSON.stringify(read) !== JSON.stringify(text)) report(`bytes in RESP${protocol}`, read, text)
  }
  if (one.node === "none") return
  yield* prepare(redis, one, facts)
  const theirs = yield* node.call(name, one.node ?? one.args)
  const of = one.of as ((value: unknown, protocol: 2 | 3) => unknown) | undefined
  const expected = outcome(
    of !== undefined && succeeds ? Result.succeed(of(Result.getOrUndefined(theirs), protocol)) : theirs,
    one
  )
  const all = outcome(ours, one)
  const actual = one.more === true ? common(all, expected) : all
  if (JSON.stringify(actual) !== JSON.stringify(expected)) report(`RESP${protocol}`, actual, expected)
})

const suite = (program: string, args: ReadonlyArray<string>, isOfServer: (one: Case) => boolean) =>
  Effect.gen(function*() {
    const server = yield* startRedis({ program, args })
    const problems: Array<unknown> = []
    /** What kind of value each is as bytes. */
    const bytesOf = new Map<Case, string>()
    for (const protocol of [3, 2] as const) {
      const redis = yield* connect(server, { protocol })
      if (args.length > 0) yield* joinCluster(redis)
      const facts = yield* factsOf(redis)
      const node = yield* connectNode(server.port, protocol)
      for (const [name, all] of Object.entries(cases)) {
        for (const one of all.filter(isOfServer)) {
          const report: Report = (what, ours, expected) => problems.push({ name, args: one.args, what, ours, expected })
          if (protocol === 3) {
            checkWords(name, one, report)
            yield* checkTraits(redis, name, one, report)
          }
          yield* checkReply(redis, node, protocol, facts, bytesOf, name, one, report)
        }
      }
    }
    assert.deepStrictEqual(problems, [])
  })

const joinCluster = (redis: Client) =>
  Effect.gen(function*() {
    yield* Effect.ignore(redis.send("CLUSTER", "ADDSLOTSRANGE", 0, 16383))
    while (!(yield* redis.run(Commands.clusterInfo())).includes("cluster_state:ok")) yield* Effect.sleep("10 millis")
  })

for (const program of programs) {
  describe(`Commands on ${program}`, () => {
    it.live(
      "write, and read in both protocols, what those of node-redis do, or differ for a reason",
      () => suite(program, [], ({ cluster }) => cluster !== true),
      120_000
    )

    it.live(
      "do so where they ask about a cluster",
      () => suite(program, ["--cluster-enabled", "yes"], ({ cluster }) => cluster === true),
      120_000
    )
  })
}

/** What the simulated server answers otherwise, though it knows the command. */
const simulatedOtherwise: Readonly<Record<string, string>> = {
  clientKill: "it knows fewer filters",
  commandCount: "it knows fewer commands",
  commandDocs: "it has none",
  configSet: "it has fewer settings",
  dbSize: "it has no places and no HyperLogLogs, which are of the fixture",
  eval: "it runs no Lua",
  evalRo: "it runs no Lua",
  evalSha: "it runs no Lua",
  evalShaRo: "it runs no Lua"
}

describe("Commands on the simulated server", () => {
  it.live("are answered as the real one does, where it knows them", () =>
    Effect.gen(function*() {
      const server = yield* startRedis()
      const version = inject("simulatedVersion")
      const simulation = yield* deploy(["a"], { version })
      const problems: Array<unknown> = []
      let same = 0
      for (const protocol of [3, 2] as const) {
        const real = yield* connect(server, { protocol })
        const { redis: simulated } = yield* connectToSimulated(simulation, "a", { protocol })
        const facts = yield* factsOf(real)
        // A newer server knows more than the version that is simulated.
        const isNewer = (one: Case) =>
          isKnown(facts, one) && !isKnown({ kind: "redis", version, clustered: false }, one)
        const comparable = (one: Case) =>
          [one.cluster, one.racy, one.random].every((why) => why === undefined) && !isNewer(one)
        for (const [name, all] of Object.entries(cases).filter(([name]) => !(name in simulatedOtherwise))) {
          for (const one of all.filter(comparable)) {
            const answer = (redis: Client) =>
              Effect.andThen(redis.pipeline([...fixture, ...one.setup ?? []]), answerOf(redis, made(name, one)))
            const simulatedAnswer = yield* answer(simulated)
            if (
              Result.isFailure(simulatedAnswer) && /^ERR unknown (?:sub)?command/i.test(simulatedAnswer.failure)
            ) continue
            const [actual, expected] = [outcome(simulatedAnswer, one), outcome(yield* answer(real), one)]
            if (JSON.stringify(actual) === JSON.stringify(expected)) same++
            else problems.push({ name, args: one.args, protocol, actual, expected })
          }
        }
      }
      assert.deepStrictEqual(problems, [])
      assert.isAbove(same, 600)
    }), 120_000)
})
