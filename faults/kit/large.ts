/**
 * The largest that Redis takes, 512 MiB, and more than that, to a real server and back: what fits arrives, what does not is
 * refused by a name, and the client serves on.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { Commands, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { makeServer, user } from "./server.ts"

/** `proto-max-bulk-len` of a server that was not told otherwise. */
const most = 512 * 1024 * 1024

/** What a text of V8 can have at most: 2^29 - 24 units. */
const longest = 2 ** 29 - 24

/** What is wrong, one line each. */
export const checkLarge = (program: string): Effect.Effect<ReadonlyArray<string>, Error> =>
  Effect.gen(function*() {
    const { socketPath } = yield* makeServer(program)
    const redis = yield* HitlessRedis.make({
      path: socketPath,
      credentials: { username: user.name, password: Redacted.make(user.password) },
      poolSize: 1,
      commandTimeout: "2 minutes",
      maintenance: { logLevel: "Error" }
    })
    const problems: Array<string> = []

    const expect = <A>(what: string, call: Effect.Effect<A, Error>, isRight: (value: A) => boolean) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(call)
        if (Result.isFailure(result)) problems.push(`${what} failed: ${result.failure.message}`)
        else if (!isRight(result.success)) problems.push(`${what} was answered with something else`)
      })

    const expectFailure = (what: string, call: Effect.Effect<unknown, Error>, words: RegExp) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(call)
        if (Result.isSuccess(result)) problems.push(`${what} did not fail`)
        else if (!words.test(result.failure.message)) problems.push(`${what} failed with ${result.failure.message}`)
        yield* expect(`PING after ${what}`, redis.run(Commands.ping()), (reply) => reply === "PONG")
      })

    const bytes = new Uint8Array(most).fill(65)
    bytes[most - 1] = 66
    yield* expect("SET of 512 MiB", redis.send("SET", "bytes", bytes), (reply) => reply === "OK")
    yield* expect(
      "GET of 512 MiB",
      redis.sendBytes<Uint8Array>("GET", "bytes"),
      (reply) => Buffer.compare(reply, bytes) === 0
    )
    yield* expectFailure("GET of 512 MiB as text", redis.send("GET", "bytes"), /sendBytes/)
    yield* expectFailure("APPEND to 512 MiB", redis.send("APPEND", "bytes", "more"), /proto-max-bulk-len/)
    yield* expect("DEL of 512 MiB", redis.send("DEL", "bytes"), (reply) => reply === 1)
    const text = "x".repeat(longest)
    yield* expect("SET of the longest text", redis.send("SET", "text", text), (reply) => reply === "OK")
    yield* expect("GET of the longest text", redis.send("GET", "text"), (reply) => reply === text)
    const tooLarge = /invalid bulk length|Connection lost/
    yield* expectFailure("SET of 512 MiB and a byte", redis.send("SET", "more", new Uint8Array(most + 1)), tooLarge)
    yield* expectFailure(
      "a pipeline with it",
      redis.pipeline([["PING"], ["SET", "more", new Uint8Array(most + 1)], ["PING"]]),
      tooLarge
    )
    yield* expectFailure(
      "a transaction with it",
      redis.transaction([["SET", "part", "1"], ["SET", "more", new Uint8Array(most + 1)]]),
      tooLarge
    )
    yield* expect("EXISTS of what was in it", redis.send("EXISTS", "part"), (reply) => reply === 0)
    return problems
  }).pipe(Effect.scoped, Effect.provide(NodeTransport.layer))
