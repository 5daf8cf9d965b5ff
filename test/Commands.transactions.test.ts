/**
 * Transactions that the server, or a proxy, refuses in part or as a whole: what did not begin with `MULTI` does not run,
 * and trying again is worth while only where the refusal passes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type Config, type HitlessError, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { Request } from "../src/internal/request.ts"
import { ErrorReply } from "../src/Resp.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, type RawConnection, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { answerRequest } from "./support/requests.ts"

const connect = (port: number, options: Config.Options = {}) =>
  HitlessRedis.make({ host: "127.0.0.1", port, poolSize: 1, maintenance: { logLevel: "Error" }, ...options }).pipe(
    Effect.provide(NodeTransport.layer)
  )

/** Runs in the background at once. */
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

const reasonOf = <Tag extends HitlessError.HitlessErrorReason["_tag"]>(
  error: HitlessError.HitlessError,
  tag: Tag
): Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }> => {
  assert.strictEqual(error.reason._tag, tag, error.message)
  return error.reason as Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }>
}

const both: ReadonlyArray<HitlessRedis.Words> = [["INCR", "one"], ["INCR", "two"]]

describe("a user without permission for MULTI", () => {
  /** A server, its administrator, and a client of a user who may do all but these. */
  const withUser = (...rules: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const admin = yield* connect(port)
      yield* admin.send("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all", ...rules)
      const credentials = { username: "worker", password: Redacted.make("secret") }
      return { admin, connect: (options?: Config.Options) => connect(port, { credentials, ...options }) }
    })

  it.live("runs nothing of a transaction", () =>
    Effect.gen(function*() {
      const { admin, connect } = yield* withUser("-multi")
      const redis = yield* connect()
      const error = yield* Effect.flip(redis.transaction(both))
      const reason = reasonOf(error, "ServerReplied")
      assert.deepStrictEqual([reason.code, reason.command], ["NOPERM", "MULTI"])
      assert.isFalse(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
      assert.deepStrictEqual(yield* admin.send("MGET", "one", "two"), [null, null])
      assert.strictEqual(yield* redis.send("INCR", "one"), 1)
    }))

  it.live("runs nothing of the next one when the permission is taken away while it is connected", () =>
    Effect.gen(function*() {
      const { admin, connect } = yield* withUser()
      const redis = yield* connect()
      yield* redis.transaction(both)
      yield* admin.send("ACL", "SETUSER", "worker", "-multi")
      const error = yield* Effect.flip(redis.transaction(both))
      assert.isFalse(error.mayHaveExecuted)
      assert.deepStrictEqual(yield* admin.send("MGET", "one", "two"), ["1", "1"])
      yield* admin.send("ACL", "SETUSER", "worker", "+multi")
      yield* redis.transaction(both)
      assert.deepStrictEqual(yield* admin.send("MGET", "one", "two"), ["2", "2"])
    }))

  it.live(
    "runs those that were accepted and no other, when the permission comes and goes under load",
    () =>
      Effect.gen(function*() {
        const { admin, connect } = yield* withUser()
        const redis = yield* connect({ poolSize: 3 })
        const seen = { accepted: 0, refused: 0, others: 0, over: false }
        const worker = (index: number) =>
          Effect.gen(function*() {
            while (!seen.over) {
              const done = yield* Effect.result(redis.transaction([["INCR", "one"], ["INCR", "two"], ["ECHO", "x"]]))
              if (Result.isSuccess(done)) seen.accepted++
              else {
                assert.isFalse(done.failure.mayHaveExecuted, done.failure.message)
                seen.refused++
              }
              assert.strictEqual(yield* redis.send("ECHO", `${index}`), `${index}`)
              seen.others++
            }
          })
        const workers = yield* start(
          Effect.forEach(Array.from({ length: 30 }, (_, index) => index), worker, { concurrency: "unbounded" })
        )
        for (let i = 0; i < 20; i++) {
          const { accepted, refused } = seen
          yield* waitUntil(Effect.sync(() => seen.accepted > accepted))
          yield* admin.send("ACL", "SETUSER", "worker", "-multi")
          yield* waitUntil(Effect.sync(() => seen.refused > refused))
          yield* admin.send("ACL", "SETUSER", "worker", "+multi")
        }
        seen.over = true
        yield* Fiber.join(workers)
        assert.deepStrictEqual(yield* admin.send("MGET", "one", "two"), [`${seen.accepted}`, `${seen.accepted}`])
        assert.isAbove(seen.others, 0)
      }),
    30_000
  )

  for (const rule of ["-exec", "-incr", "-@write"]) {
    it.live(`and one with ${rule} run nothing either, and their connection goes on`, () =>
      Effect.gen(function*() {
        const { admin, connect } = yield* withUser(rule)
        const redis = yield* connect()
        const error = yield* Effect.flip(redis.transaction(both))
        const reason = reasonOf(error, "TransactionAborted")
        assert.strictEqual(reason.code, "NOPERM")
        assert.isFalse(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
        assert.deepStrictEqual(yield* admin.send("MGET", "one", "two"), [null, null])
        assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      }))
  }
})

/** A server that runs what it is sent outside of a transaction, as Redis does, and answers by these words in it. */
const serverThat = (
  answers: (words: ReadonlyArray<string>, connection: RawConnection) => string | undefined
) =>
  Effect.gen(function*() {
    const ran: Array<string> = []
    const seen: Array<string> = []
    const server = yield* rawServer((words, connection) => {
      const handshake = answerHandshake(words)
      if (handshake !== undefined) return handshake
      const line = words.join(" ")
      seen.push(line)
      const answer = answers(words, connection)
      if (answer !== undefined) return answer
      ran.push(line)
      return words[0] === "ECHO" ? `+${words[1]}\r\n` : "+OK\r\n"
    })
    return { ran, seen, server }
  })

describe("a server or proxy that knows no MULTI", () => {
  const refusals = [
    "ERR unknown command 'MULTI'",
    "ERR unsupported command 'multi'",
    "unsupported command 'multi'",
    "invalid request",
    "ERR Proxy error"
  ]
  for (const text of refusals) {
    it.live(`and says "${text}" gets none of the commands`, () =>
      Effect.gen(function*() {
        const { ran, server } = yield* serverThat(([name]) => name === "MULTI" ? `-${text}\r\n` : undefined)
        const redis = yield* connect(server.port)
        const [error, echoed] = yield* Effect.all([Effect.flip(redis.transaction(both)), redis.send("ECHO", "other")], {
          concurrency: "unbounded"
        })
        assert.strictEqual(reasonOf(error, "ServerReplied").detail, text)
        assert.isFalse(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
        assert.strictEqual(echoed, "other")
        assert.deepStrictEqual(ran, ["ECHO other"])
        assert.strictEqual(server.connections.length, 1)
      }))
  }

  it.live("and answers it with something else is left, and gets none of the commands", () =>
    Effect.gen(function*() {
      const { ran, server } = yield* serverThat(([name]) => name === "MULTI" ? "+QUEUED\r\n" : undefined)
      const redis = yield* connect(server.port)
      const error = yield* Effect.flip(redis.transaction(both))
      reasonOf(error, "ProtocolViolation")
      assert.isFalse(error.mayHaveExecuted)
      assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      assert.deepStrictEqual(ran, ["ECHO after"])
      assert.deepStrictEqual(server.closed, [1])
    }))

  it.live("for a while, because it is loading, gets the transaction again", () =>
    Effect.gen(function*() {
      let asked = 0
      const { ran, server } = yield* serverThat(([name]) =>
        name === "MULTI"
          ? asked++ < 2 ? "-LOADING Redis is loading the dataset in memory\r\n" : "+OK\r\n"
          : name === "INCR"
          ? "+QUEUED\r\n"
          : name === "EXEC"
          ? "*2\r\n:1\r\n:1\r\n"
          : undefined
      )
      const redis = yield* connect(server.port)
      assert.deepStrictEqual(yield* redis.transaction(both), [Result.succeed(1), Result.succeed(1)])
      assert.strictEqual(asked, 3)
      assert.deepStrictEqual(ran, [])
    }))
})

describe("a transaction whose MULTI is not answered yet", () => {
  /** Answers to `MULTI` are held back until they are let go. */
  const holding = Effect.gen(function*() {
    const held: Array<RawConnection> = []
    const { ran, seen, server } = yield* serverThat(([name], connection) => {
      switch (name) {
        case "MULTI":
          held.push(connection)
          return ""
        case "INCR":
          return "+QUEUED\r\n"
        case "EXEC":
          return "*2\r\n:1\r\n:1\r\n"
        default:
          return undefined
      }
    })
    const isHeld = (count: number) => waitUntil(Effect.sync(() => held.length >= count))
    const release = Effect.sync(() => held.at(-1)!.socket.write("+OK\r\n"))
    return { isHeld, ran, release, seen, server, held }
  })

  it.live("holds back what follows on its connection, and nothing on another", () =>
    Effect.gen(function*() {
      const { isHeld, release, seen, server } = yield* holding
      const redis = yield* connect(server.port, { poolSize: 2 })
      const transaction = yield* start(redis.transaction(both))
      const behind = yield* start(redis.send("ECHO", "behind"))
      yield* isHeld(1)
      yield* waitUntil(
        Effect.andThen(
          start(redis.send("ECHO", "elsewhere")),
          Effect.sync(() => seen.includes("ECHO elsewhere"))
        )
      )
      assert.notInclude(seen, "ECHO behind")
      assert.notInclude(seen, "INCR one")
      yield* release
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed(1), Result.succeed(1)])
      assert.strictEqual(yield* Fiber.join(behind), "behind")
    }))

  it.live("is discarded when nobody waits for it any more, and shifts no reply", () =>
    Effect.gen(function*() {
      const { isHeld, ran, release, seen, server } = yield* holding
      const redis = yield* connect(server.port)
      const transaction = yield* start(redis.transaction(both))
      const behind = yield* start(redis.send("ECHO", "behind"))
      yield* isHeld(1)
      yield* Fiber.interrupt(transaction)
      yield* release
      assert.strictEqual(yield* Fiber.join(behind), "behind")
      assert.deepStrictEqual(seen, ["MULTI", "DISCARD", "ECHO behind"])
      assert.deepStrictEqual(ran, ["DISCARD", "ECHO behind"])
      assert.strictEqual((yield* redis.status).pending, 0)
    }))

  it.live("did not run when its time is over", () =>
    Effect.gen(function*() {
      const { isHeld, release, seen, server } = yield* holding
      const redis = yield* connect(server.port, { commandTimeout: "200 millis" })
      const transaction = yield* start(Effect.flip(redis.transaction(both)))
      yield* isHeld(1)
      const error = yield* Fiber.join(transaction)
      reasonOf(error, "CommandTimeout")
      assert.isFalse(error.mayHaveExecuted)
      yield* release
      assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      assert.notInclude(seen, "INCR one")
    }))

  it.live("is sent again when its connection is lost: nothing of it ran", () =>
    Effect.gen(function*() {
      const { held, isHeld, release, seen, server } = yield* holding
      const redis = yield* connect(server.port, { retry: "none" })
      const transaction = yield* start(redis.transaction(both))
      yield* isHeld(1)
      held[0]!.socket.destroy()
      yield* isHeld(2)
      assert.notInclude(seen, "INCR one")
      yield* release
      assert.deepStrictEqual(yield* Fiber.join(transaction), [Result.succeed(1), Result.succeed(1)])
    }))

  it.live("leaves whole and together with what follows when it is accepted", () =>
    Effect.gen(function*() {
      const { isHeld, release, seen, server } = yield* holding
      const redis = yield* connect(server.port)
      const first = yield* start(redis.transaction(both))
      const between = yield* start(redis.send("ECHO", "between"))
      const second = yield* start(redis.transaction(both))
      yield* isHeld(1)
      yield* release
      yield* isHeld(2)
      yield* release
      yield* Effect.all([Fiber.join(first), Fiber.join(between), Fiber.join(second)])
      const unit = ["MULTI", "INCR one", "INCR two", "EXEC"]
      assert.deepStrictEqual(seen, [...unit, "ECHO between", ...unit])
    }))
})

describe("a transaction whose MULTI was accepted", () => {
  const queuing = Effect.gen(function*() {
    const held: Array<RawConnection> = []
    const { server } = yield* serverThat(([name], connection) => {
      switch (name) {
        case "MULTI":
          return "+OK\r\n"
        case "INCR":
          return "+QUEUED\r\n"
        case "EXEC":
          held.push(connection)
          return ""
        default:
          if (held.pop() !== undefined) connection.socket.write("*2\r\n:1\r\n:1\r\n")
          return undefined
      }
    })
    const redis = yield* connect(server.port, { commandTimeout: "1 minute" })
    return { held, isHeld: waitUntil(Effect.sync(() => held.length === 1)), redis, server }
  })

  it.live("may have run when its connection is lost", () =>
    Effect.gen(function*() {
      const { held, isHeld, redis } = yield* queuing
      const transaction = yield* start(Effect.flip(redis.transaction(both)))
      yield* isHeld
      held[0]!.socket.destroy()
      const error = yield* Fiber.join(transaction)
      reasonOf(error, "ConnectionLost")
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
    }))

  it.live("keeps its place when nobody waits for it any more", () =>
    Effect.gen(function*() {
      const { held, isHeld, redis, server } = yield* queuing
      const transaction = yield* start(redis.transaction(both))
      yield* isHeld
      yield* Fiber.interrupt(transaction)
      // It is answered together with the command behind it.
      assert.strictEqual(yield* redis.send("ECHO", "behind"), "behind")
      assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      assert.deepStrictEqual([server.connections.length, held.length], [1, 0])
    }))
})

describe("EXEC", () => {
  /** Redis from `MULTI` on, but for what these answer; it goes on to queue until `EXEC` ends the transaction. */
  const redisThat = (exec: string, queued: Readonly<Record<string, string>> = {}, ends = true) =>
    Effect.gen(function*() {
      const open = new Set<number>()
      const { ran, seen, server } = yield* serverThat(([name], { id }) => {
        if (name === "MULTI") {
          open.add(id)
          return "+OK\r\n"
        }
        if (name === "EXEC") {
          if (ends) open.delete(id)
          return exec
        }
        return open.has(id) ? queued[name!] ?? "+QUEUED\r\n" : undefined
      })
      const redis = yield* connect(server.port)
      return { ran, redis, seen, server }
    })

  const discarded = "EXECABORT Transaction discarded because of previous errors."
  const because = (text: string) => `EXECABORT Transaction discarded because of: ${text}`
  const loading = "LOADING Redis is loading the dataset in memory"
  const replica = "READONLY You can't write against a read only replica."
  const noMemory = "OOM command not allowed when used memory > 'maxmemory'."
  const notPermitted = "NOPERM User u has no permissions to run the 'x' command"

  /** Why `EXEC` was refused: what it was told, what the second command was told, and whether that passes. */
  const aborted: ReadonlyArray<
    readonly [what: string, exec: string | null, queued: string, code: string | undefined, retryable: boolean]
  > = [
    ["a watched key changed", null, "QUEUED", undefined, true],
    ["an unknown command", discarded, "ERR unknown command 'INCRR', with args beginning with: 'two' ", "ERR", false],
    ["a wrong number of arguments", discarded, "ERR wrong number of arguments for 'incr' command", "ERR", false],
    ["no permission", discarded, notPermitted, "NOPERM", false],
    ["no memory", discarded, noMemory, "OOM", false],
    ["another node", discarded, "MOVED 1 127.0.0.1:1", "MOVED", false],
    ["words of a proxy", discarded, "ERR upstream failure", "ERR", false],
    ["a replica", discarded, replica, "READONLY", true],
    ["a server that loads", discarded, loading, "LOADING", true],
    ["a slot that nobody serves", discarded, "CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", true],
    ["a slot that moves", discarded, "TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN", true],
    ["errors that are not told", discarded, "QUEUED", "EXECABORT", false],
    ["EXEC on a replica", because(replica), "QUEUED", "READONLY", true],
    ["EXEC while a script runs", because("BUSY Redis is busy running a script."), "QUEUED", "BUSY", true],
    ["EXEC without memory", because(noMemory), "QUEUED", "OOM", false],
    ["EXEC without permission", because(notPermitted), "QUEUED", "NOPERM", false],
    ["EXEC on another node", "MOVED 1 127.0.0.1:1", "QUEUED", "MOVED", false],
    [
      "EXEC on a replica, in the words of Redis 6.0",
      "ERR Transaction contains write commands but instance is now a read-only replica. EXEC aborted.",
      "QUEUED",
      "ERR",
      false
    ],
    ["EXEC in a cluster that is down", "CLUSTERDOWN The cluster is down", "QUEUED", "CLUSTERDOWN", true]
  ]
  const replyOf = (text: string | null) => text === null || text === "QUEUED" ? text : new ErrorReply(text)

  /** What the one who waits is told of these replies. */
  const told = (replies: ReadonlyArray<unknown>, replayed = false): HitlessError.HitlessError => {
    const exits: Array<Exit.Exit<unknown, HitlessError.HitlessError>> = []
    const owner = { onReplied: () => {}, onFailed: () => {}, onThrown: () => {}, onSettled: undefined }
    const batch = [["MULTI"], ...both, ["EXEC"]]
    const request = new Request({
      owner,
      kind: "transaction",
      words: ["MULTI"],
      batch,
      bytes: false,
      timeout: 3000,
      startedAt: 0,
      resume: (outcome) => exits.push(Effect.runSyncExit(outcome))
    })
    request.replayed = replayed
    answerRequest(request, replies, { address: "a:1", protocol: 3 as const })
    return Option.getOrThrow(Exit.findErrorOption(exits[0]!))
  }

  for (const [what, exec, queued, code, retryable] of aborted) {
    it(`that is refused for ${what} ran nothing, and trying again is ${retryable ? "worth while" : "in vain"}`, () => {
      const replies = ["OK", "QUEUED", replyOf(queued), replyOf(exec)]
      const error = told(replies)
      assert.strictEqual(reasonOf(error, "TransactionAborted").code, code)
      assert.isFalse(error.mayHaveExecuted)
      assert.strictEqual(error.isRetryable, retryable)
      const sentBefore = told(replies, true)
      assert.isTrue(sentBefore.mayHaveExecuted)
      assert.isFalse(sentBefore.isRetryable)
    })
  }

  it.live("that is refused for what passes is tried again in time", () =>
    Effect.gen(function*() {
      let asked = 0
      const { ran, server } = yield* serverThat(([name]) =>
        name === "MULTI"
          ? "+OK\r\n"
          : name === "INCR"
          ? "+QUEUED\r\n"
          : name === "EXEC"
          ? asked++ < 2 ? `-${because(loading)}\r\n` : "*2\r\n:1\r\n:1\r\n"
          : undefined
      )
      const redis = yield* connect(server.port)
      assert.deepStrictEqual(yield* redis.transaction(both), [Result.succeed(1), Result.succeed(1)])
      assert.strictEqual(asked, 3)
      assert.deepStrictEqual(ran, [])
    }))

  it.live("that is refused for two reasons is not tried again where one of them stays", () =>
    Effect.gen(function*() {
      const { redis, seen } = yield* redisThat(`-${discarded}\r\n`, {
        INCR: `-${loading}\r\n`,
        NOSUCH: "-ERR unknown command 'NOSUCH'\r\n"
      })
      const error = yield* Effect.flip(redis.transaction([["INCR", "one"], ["NOSUCH"]]))
      assert.strictEqual(reasonOf(error, "TransactionAborted").code, "ERR")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(seen.filter((line) => line === "MULTI").length, 1)
    }))

  const inOtherWords = [
    "ERR upstream failure",
    "ERR Proxy lost backend",
    "READONLY the backend went away",
    "EXECABORT the backend went away",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR"
  ]
  for (const text of inOtherWords) {
    it.live(`that is answered "${text}" may have run, and is not tried again`, () =>
      Effect.gen(function*() {
        const { redis, seen } = yield* redisThat(`-${text}\r\n`)
        const error = yield* Effect.flip(redis.transaction(both))
        assert.strictEqual(reasonOf(error, "ServerReplied").command, "EXEC")
        assert.isTrue(error.mayHaveExecuted)
        assert.isFalse(error.isRetryable)
        assert.strictEqual(seen.filter((line) => line === "MULTI").length, 1)
      }))
  }

  it.live("may have run what was not queued when it was sent", () =>
    Effect.gen(function*() {
      const { redis } = yield* redisThat(`-${discarded}\r\n`, { INCR: ":1\r\n" })
      const error = yield* Effect.flip(redis.transaction(both))
      assert.isTrue(error.mayHaveExecuted)
      assert.isFalse(error.isRetryable)
    }))

  for (const answer of ["*1\r\n:1\r\n", "*3\r\n:1\r\n:1\r\n-ERR a third\r\n", ":1\r\n", "+QUEUED\r\n"]) {
    it.live(`that is answered with ${JSON.stringify(answer)} is a protocol violation`, () =>
      Effect.gen(function*() {
        const { redis } = yield* redisThat(answer)
        const error = yield* Effect.flip(redis.transaction(both))
        reasonOf(error, "ProtocolViolation")
        assert.isTrue(error.mayHaveExecuted)
        assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      }))
  }

  it.live("that does not end the transaction ends the connection, so that nobody is told QUEUED", () =>
    Effect.gen(function*() {
      const { redis, server } = yield* redisThat("-ERR unknown command 'EXEC'\r\n", {}, false)
      const transaction = yield* start(Effect.flip(redis.transaction(both)))
      const reads = yield* start(redis.send("ECHO", "behind").pipe(Effect.result))
      const error = yield* Fiber.join(transaction)
      assert.isFalse(error.mayHaveExecuted)
      const behind = yield* Fiber.join(reads)
      if (Result.isSuccess(behind)) assert.strictEqual(behind.success, "behind")
      else assert.strictEqual(behind.failure.reason._tag, "ConnectionLost")
      assert.strictEqual(yield* redis.send("ECHO", "after"), "after")
      assert.deepStrictEqual(server.closed, [1])
    }))
})
