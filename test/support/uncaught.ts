/**
 * A program that fails with what a command failed with and catches nothing, run as a process of its own:
 * `node uncaught.ts <promise|main> <fn|gen> <hitless|effect> <port>`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

const [, , runner, style, service, port] = process.argv

const body = function*(key: string) {
  return service === "hitless"
    ? yield* (yield* HitlessRedis.HitlessRedis).send("INCR", key)
    : yield* (yield* Redis.Redis).send("INCR", key)
}

const countVisit = style === "fn" ? Effect.fn("countVisit")(body) : Effect.fnUntraced(body)

const program = Effect.gen(function*() {
  const redis = yield* HitlessRedis.HitlessRedis
  yield* redis.send("SET", "s3cret-key", "no number")
  return yield* countVisit("s3cret-key")
}).pipe(Effect.provide(NodeHitlessRedis.layer({ host: "127.0.0.1", port: Number(port) })))

if (runner === "main") NodeRuntime.runMain(program)
else await Effect.runPromise(program)
