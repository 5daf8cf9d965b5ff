/**
 * What waits in queues: how it ends, and what its replies mean.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { HitlessError } from "hitless/HitlessError"
import { textOf } from "../../src/internal/replies.ts"
import { Request, type RequestKind, type RequestOwner, type Words } from "../../src/internal/request.ts"
import { ErrorReply } from "../../src/Resp.ts"
import { answerRequest } from "../support/requests.ts"

describe("Request", () => {
  const site = { address: "a:1", protocol: 3 as const }

  /** A request, and everything that its owner and the one who waits were told. */
  const make = (kind: RequestKind, words: Words, batch?: ReadonlyArray<Words>) => {
    const told: Array<string> = []
    const exits: Array<Exit.Exit<unknown, HitlessError>> = []
    const owner: RequestOwner = {
      onReplied: () => told.push("replied"),
      onFailed: (error) => told.push(`failed: ${error.reason._tag}`),
      onThrown: () => told.push("thrown"),
      onSettled: () => told.push("settled")
    }
    const request = new Request({
      owner,
      kind,
      words,
      batch,
      bytes: false,
      timeout: 3000,
      startedAt: 0,
      resume: (outcome) => exits.push(Effect.runSyncExit(outcome))
    })
    request.state = "Written"
    return { request, told, exits }
  }

  const answer = (kind: RequestKind, words: Words, batch: ReadonlyArray<Words> | undefined, value: unknown) => {
    const { exits, request } = make(kind, words, batch)
    answerRequest(request, value, site)
    assert.lengthOf(exits, 1)
    return exits[0]!
  }

  const reasonOf = (
    exit: Exit.Exit<unknown, HitlessError> | Result.Result<unknown, HitlessError>
  ): Record<string, unknown> => ({
    ...Option.getOrThrow(Result.isResult(exit) ? Result.getFailure(exit) : Exit.findErrorOption(exit)).reason
  })

  const command = (value: unknown, ...words: Words) => answer("command", words, undefined, value)
  const pipeline = (batch: ReadonlyArray<Words>, replies: ReadonlyArray<unknown>) =>
    answer("pipeline", batch[0]!, batch, replies)
  const transaction = (commands: ReadonlyArray<Words>, replies: ReadonlyArray<unknown>) =>
    answer("transaction", ["MULTI"], [["MULTI"], ...commands, ["EXEC"]], replies)

  const serverReplied = (command: string, code: string, detail: string, mayHaveExecuted = false) => ({
    _tag: "ServerReplied",
    code,
    detail,
    command,
    endpoint: "a:1",
    mayHaveExecuted
  })
  const aborted = (detail: string, code?: string) => ({
    _tag: "TransactionAborted",
    ...(code === undefined ? {} : { code }),
    detail,
    command: "MULTI",
    endpoint: "a:1",
    mayHaveExecuted: false
  })

  describe("of one command", () => {
    it("gives the reply, null and arrays too, whatever it is", () => {
      for (const value of ["OK", null, 1, [new ErrorReply("ERR inside")]]) {
        assert.deepStrictEqual(command(value, "GET", "k"), Exit.succeed(value))
      }
    })

    it("fails with what the server replied", () => {
      assert.deepStrictEqual(
        reasonOf(command(new ErrorReply("WRONGTYPE Operation against a key"), "GET", "k")),
        serverReplied("GET", "WRONGTYPE", "WRONGTYPE Operation against a key")
      )
    })

    it("may have run where a script failed, unless the server did not start it", () => {
      const mayHaveRun = (name: string, text: string) => reasonOf(command(new ErrorReply(text), name)).mayHaveExecuted
      for (const name of ["EVAL", "evalsha", "FCALL"]) assert.isTrue(mayHaveRun(name, "ERR in script"))
      assert.isFalse(mayHaveRun("EVALSHA", "NOSCRIPT No matching script"))
      assert.isFalse(mayHaveRun("EVAL", "READONLY You can't write against a read only replica"))
      assert.isFalse(mayHaveRun("SET", "OOM command not allowed"))
    })

    it("never shows the arguments that servers quote", () => {
      const text = "ERR unknown command 'HELO', with args beginning with: '3' 'AUTH' 'default' 'secret\n' "
      assert.strictEqual(textOf(new ErrorReply(text)), "ERR unknown command 'HELO'")
      assert.notInclude(JSON.stringify(reasonOf(command(new ErrorReply(text), "HELO", "secret"))), "secret")
    })
  })

  describe("of a pipeline", () => {
    it("gives each command its own result", () => {
      const exit = pipeline([["SET", "k", "v"], ["INCR", "k"], ["GET", "k"]], [
        "OK",
        new ErrorReply("ERR syntax error"),
        null
      ])
      const results = Exit.isSuccess(exit) ? exit.value as Array<Result.Result<unknown, HitlessError>> : []
      assert.deepStrictEqual(results[0], Result.succeed("OK"))
      assert.deepStrictEqual(reasonOf(results[1]!), serverReplied("INCR", "ERR", "ERR syntax error"))
      assert.deepStrictEqual(results[2], Result.succeed(null))
      assert.lengthOf(results, 3)
    })
  })

  describe("of a transaction", () => {
    const commands: ReadonlyArray<Words> = [["SET", "k", "v"], ["INCR", "k"]]

    it("gives each command its own result, without MULTI's and EXEC's", () => {
      const exit = transaction(commands, ["OK", "QUEUED", "QUEUED", [
        "OK",
        new ErrorReply("ERR value is not an integer or out of range")
      ]])
      const results = Exit.isSuccess(exit) ? exit.value as Array<Result.Result<unknown, HitlessError>> : []
      assert.deepStrictEqual(results[0], Result.succeed("OK"))
      assert.deepStrictEqual(
        reasonOf(results[1]!),
        serverReplied("INCR", "ERR", "ERR value is not an integer or out of range")
      )
      assert.lengthOf(results, 2)
    })

    it("is aborted where a watched key changed", () => {
      const reason = reasonOf(transaction(commands, ["OK", "QUEUED", "QUEUED", null]))
      assert.deepStrictEqual(reason, aborted("a watched key changed"))
    })

    it("is aborted with the words of the command that the server did not queue", () => {
      const exec = new ErrorReply("EXECABORT Transaction discarded because of previous errors.")
      const refused = new ErrorReply("ERR wrong number of arguments for 'incr' command")
      assert.deepStrictEqual(
        reasonOf(transaction(commands, ["OK", "QUEUED", refused, exec])),
        aborted("ERR wrong number of arguments for 'incr' command", "ERR")
      )
      assert.deepStrictEqual(
        reasonOf(transaction(commands, ["OK", "QUEUED", "QUEUED", exec])),
        aborted("EXECABORT Transaction discarded because of previous errors.", "EXECABORT")
      )
    })

    it("did not run where MULTI was refused, since no command followed it", () => {
      const exit = transaction(commands, [new ErrorReply("LOADING Redis is loading")])
      assert.deepStrictEqual(reasonOf(exit), serverReplied("MULTI", "LOADING", "LOADING Redis is loading"))
      assert.isTrue(Option.getOrThrow(Exit.findErrorOption(exit)).isRetryable)
    })

    it("is a protocol violation where EXEC is answered with anything else", () => {
      const reason = reasonOf(transaction(commands, ["OK", "QUEUED", "QUEUED", "OK"]))
      assert.strictEqual(reason._tag, "ProtocolViolation")
      assert.isTrue(reason.mayHaveExecuted)
    })
  })

  it("of the handshake gives its replies as they are", () => {
    const replies = ["OK", new ErrorReply("ERR no")]
    assert.deepStrictEqual(answer("own", ["HELLO"], [["HELLO"], ["PING"]], replies), Exit.succeed(replies))
  })

  it("is named by its command or kind, never by an argument", () => {
    const batch: ReadonlyArray<Words> = [["SET", "secret", "secret"]]
    assert.strictEqual(make("command", ["GET", "secret"]).request.name, "GET")
    assert.strictEqual(make("pipeline", batch[0]!, batch).request.name, "PIPELINE")
    assert.strictEqual(make("transaction", ["MULTI"], batch).request.name, "MULTI")
    assert.strictEqual(make("own", batch[0]!, batch).request.name, "handshake")
  })

  it("ends once: what comes second is dropped", () => {
    const first = make("command", ["GET", "k"])
    answerRequest(first.request, new ErrorReply("ERR no"), site)
    first.request.succeed("late")
    answerRequest(first.request, new ErrorReply("ERR late"), site)
    assert.strictEqual(first.request.state, "Settled")
    assert.lengthOf(first.exits, 1)
    assert.deepStrictEqual(first.told, ["failed: ServerReplied", "settled"])

    const second = make("command", ["GET", "k"])
    second.request.succeed("OK")
    answerRequest(second.request, new ErrorReply("ERR late"), site)
    assert.deepStrictEqual(second.exits, [Exit.succeed("OK")])
    assert.deepStrictEqual(second.told, ["settled"])
  })

  it.effect("that is run as an effect is given up: it resumes nobody, and keeps its place as settled", () =>
    Effect.gen(function*() {
      const { exits, request } = make("command", ["GET", "k"])
      yield* request
      request.succeed("late")
      request.rewind()
      assert.strictEqual(request.state, "Settled")
      assert.lengthOf(exits, 0)
    }))

  it("is rewound to before its first byte, and counts it", () => {
    const { request } = make("pipeline", ["GET", "k"], [["GET", "k"], ["GET", "l"]])
    request.replies = ["v"]
    request.rewind()
    assert.strictEqual(request.state, "Waiting")
    assert.isUndefined(request.replies)
    assert.strictEqual(request.attempts, 1)
    request.succeed([])
    request.rewind()
    assert.strictEqual(request.state, "Settled")
    assert.strictEqual(request.attempts, 1)
  })
})
