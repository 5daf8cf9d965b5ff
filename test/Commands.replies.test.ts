/**
 * What an error reply means: whether the command may have run, and whether trying again is worth while. Only Redis' own
 * words prove that a command did not run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { type Config, type HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { mayHaveRun } from "../src/internal/refusals.ts"
import { ErrorReply } from "../src/Resp.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"

const connect = (port: number, options: Config.Options = {}) =>
  HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1, maintenance: { logLevel: "Error" }, ...options }).pipe(
    Effect.provide(NodeTransport.layer)
  )

const oneReply = (name: string, text: string): boolean => mayHaveRun(new ErrorReply(text), name)

describe("an error reply in Redis' own words", () => {
  /** Texts of Redis 2.8 to 8 and of Valkey. */
  const always = [
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MASTERDOWN Link with MASTER is down and slave-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "READONLY You can't write against a read only slave.",
    "READONLY You can't write against a read only replica. script: 0a1b, on @user_script:1.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Redis is busy running a module command.",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN The cluster is down and only accepts read commands",
    "CLUSTERDOWN Hash slot not served",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 [::1]:6381",
    "REDIRECT 127.0.0.1:6381",
    "NOAUTH Authentication required.",
    "NOPERM this user has no permissions to run the 'set' command or its subcommand",
    "NOPERM this user has no permissions to access one of the keys used as arguments",
    "NOPERM User worker has no permissions to run the 'set' command",
    "NOPERM No permissions to access a key",
    "NOSCRIPT No matching script. Please use EVAL.",
    "ERR unknown command 'set', with args beginning with: 'key' ",
    "ERR unknown command `set`, with args beginning with: ",
    "ERR unknown subcommand 'nope'. Try CLIENT HELP.",
    "ERR Unknown subcommand or wrong number of arguments for 'nope'. Try CLIENT HELP."
  ]
  const unlessScript = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOREPLICAS Not enough good replicas to write.",
    "NOREPLICAS Not enough good slaves to write.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "BUSYKEY Target key name already exists.",
    "BUSYGROUP Consumer Group name already exists",
    "NOGROUP No such key 'key' or consumer group 'group' in XREADGROUP with GROUP option",
    "UNBLOCKED client unblocked via CLIENT UNBLOCK",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR wrong number of arguments for 'set' command",
    "ERR syntax error",
    "ERR value is not an integer or out of range",
    "ERR value is not a valid float",
    "ERR value is out of range, must be positive",
    "ERR hash value is not an integer",
    "ERR increment or decrement would overflow",
    "ERR no such key",
    "ERR index out of range",
    "ERR timeout is negative",
    "ERR invalid expire time in 'set' command",
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
  ]
  const never = [
    "ERR",
    "ERR upstream failure",
    "ERR Proxy lost backend",
    "ERR server closed connection",
    "ERR no healthy upstream",
    "ERR timed out",
    "ERR not an integer",
    "ERR Target instance replied with error: ERR syntax error",
    "IOERR error or timeout reading to target instance",
    "READONLY",
    "READONLY the backend went away",
    "LOADING",
    "LOADING please wait",
    "MASTERDOWN no master found by the proxy",
    "CLUSTERDOWN proxy: backend lost",
    "TRYAGAIN later",
    "BUSY too many requests",
    "OOM the proxy ran out of buffers",
    "NOAUTH backend connection lost",
    "NOPERM denied by policy",
    "WRONGTYPE",
    "MOVED",
    "NOREPLICAS",
    "upstream failure",
    "UPSTREAM connection lost",
    "constructor x",
    "__proto__ x",
    ""
  ]
  it("proves that the command did not run", () => {
    for (const text of [...always, ...unlessScript]) {
      for (const name of ["SET", "get", "JSON.SET"]) assert.isFalse(oneReply(name, text), text)
    }
  })

  it("proves the same of a script, where a script cannot have met it half-way", () => {
    for (const name of ["EVAL", "evalsha", "FCALL", "EVAL_RO", "Evalsha_ro", "FCALL_RO"]) {
      for (const text of always) assert.isFalse(oneReply(name, text), `${name}: ${text}`)
      for (const text of unlessScript) assert.isTrue(oneReply(name, text), `${name}: ${text}`)
    }
  })

  it("is not what others say with its codes: that proves nothing", () => {
    for (const text of never) {
      for (const name of ["SET", "GET", "EVAL"]) assert.isTrue(oneReply(name, text), text)
    }
  })
})

describe("a real server", () => {
  it.live("says so wherever it ran nothing", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const admin = yield* connect(port)
      const redis = yield* connect(port)
      const told = (...words: HitlessRedis.Words) =>
        Effect.map(Effect.flip(redis.send(...words)), ({ reason }) => {
          if (reason._tag !== "ServerReplied") return assert.fail(reason.message)
          return [reason.code, reason.mayHaveExecuted, reason.isRetryable]
        })
      yield* admin.send("SET", "text", "text")
      assert.deepStrictEqual(yield* told("LPUSH", "text", "1"), ["WRONGTYPE", false, false])
      assert.deepStrictEqual(yield* told("INCR", "text"), ["ERR", false, false])
      assert.deepStrictEqual(yield* told("SET", "key"), ["ERR", false, false])
      assert.deepStrictEqual(yield* told("NOSUCH"), ["ERR", false, false])
      assert.deepStrictEqual(yield* told("CLIENT", "NOSUCH"), ["ERR", false, false])
      assert.deepStrictEqual(yield* told("SET", "key", "1", "EX", "0"), ["ERR", false, false])
      assert.deepStrictEqual(yield* told("EVALSHA", "0".repeat(40), "0"), ["NOSCRIPT", false, false])
      // The script has written when it meets the error.
      const script = "redis.call('SET', 'key', '1') return redis.call('LPUSH', 'text', '1')"
      assert.deepStrictEqual(yield* told("EVAL", script, "0"), ["WRONGTYPE", true, false])
      yield* admin.send("CONFIG", "SET", "maxmemory", "1")
      assert.deepStrictEqual(yield* told("SET", "key", "1"), ["OOM", false, false])
      yield* admin.send("CONFIG", "SET", "maxmemory", "0")
      yield* admin.send("ACL", "SETUSER", "default", "-incr")
      assert.deepStrictEqual(yield* told("INCR", "text"), ["NOPERM", false, false])
    }))

  it.live(
    "that is busy with one script has not run another, and runs it when it is free",
    () =>
      Effect.gen(function*() {
        const { port } = yield* startRedis({ args: ["--busy-reply-threshold", "1"] })
        const admin = yield* connect(port, { commandTimeout: "1 minute" })
        const redis = yield* connect(port, { commandTimeout: "100 millis" })
        const patient = yield* connect(port, { commandTimeout: "1 minute" })
        const blocker = yield* connect(port, { commandTimeout: "1 minute" })
        const busy = yield* Effect.forkScoped(Effect.flip(blocker.send("EVAL", "while true do end", "0")))
        const incr = ["EVAL", "return redis.call('INCR', 'counter')", "0"] as const
        const isBusy = (error: HitlessError.HitlessError) =>
          error.reason._tag === "ServerReplied" && error.reason.code === "BUSY"
        yield* waitUntil(Effect.matchEffect(redis.send(...incr), {
          onFailure: (error) =>
            Effect.sync(() => {
              if (!isBusy(error)) return false
              assert.isFalse(error.mayHaveExecuted)
              assert.isTrue(error.isRetryable)
              return true
            }),
          onSuccess: () => Effect.succeed(false)
        }))
        const before = yield* Effect.forkScoped(patient.send(...incr), { startImmediately: true })
        yield* admin.send("SCRIPT", "KILL")
        assert.isTrue((yield* Fiber.join(busy)).mayHaveExecuted)
        assert.isNumber(yield* Fiber.join(before))
      }),
    20_000
  )
})

describe("an answer in other words", () => {
  /** A client of a server that answers `WRITE` with the given words at first, then with `OK`. */
  const told = (...texts: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      let asked = 0
      const server = yield* rawServer((words) => {
        if (words[0] !== "WRITE") return answerHandshake(words) ?? "+OK\r\n"
        const text = texts[asked++]
        return text === undefined ? "+OK\r\n" : `-${text}\r\n`
      })
      const redis = yield* connect(server.port)
      return { redis, asked: () => asked, dialled: () => server.connections.length }
    })

  for (
    const text of ["READONLY the backend went away", "LOADING please wait", "TRYAGAIN later", "BUSY", "CLUSTERDOWN"]
  ) {
    it.live(`is no reason to send the command again, nor to leave the server: ${text}`, () =>
      Effect.gen(function*() {
        const { asked, dialled, redis } = yield* told(text)
        const error = yield* Effect.flip(redis.send("WRITE"))
        assert.strictEqual(error.reason._tag, "ServerReplied")
        assert.isTrue(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
        assert.strictEqual(asked(), 1)
        assert.strictEqual(dialled(), 1)
      }))
  }

  it.live("is why a pipeline is not sent again, and tells of each command by itself", () =>
    Effect.gen(function*() {
      const loading = "LOADING Redis is loading the dataset in memory"
      const { asked, redis } = yield* told(loading, "LOADING please wait")
      const results = yield* redis.pipeline([["WRITE"], ["WRITE"]])
      assert.deepStrictEqual(
        results.map((result) => Result.isFailure(result) && result.failure.mayHaveExecuted),
        [false, true]
      )
      assert.strictEqual(asked(), 2)
    }))

  it.live("differs from Redis' own, after which the command is sent again", () =>
    Effect.gen(function*() {
      const { asked, redis } = yield* told(
        "LOADING Redis is loading the dataset in memory",
        "CLUSTERDOWN Hash slot not served",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "TRYAGAIN Multiple keys request during rehashing of slot"
      )
      assert.strictEqual(yield* redis.send("WRITE"), "OK")
      assert.strictEqual(asked(), 5)
    }))
})
