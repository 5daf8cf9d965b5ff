/**
 * A password that changes while the client is connected: credentials are a stream, and with each value every connection
 * logs in anew where it stands, between two commands. None is closed, and no command fails.
 *
 * The stream here is a queue. In a service it would be what a vault or a cloud's identity service says, asked every so often:
 * `Stream.fromEffectSchedule(askTheVault, Schedule.spaced("5 minutes"))`.
 *
 *     npm run example:credentials-rotation
 *
 * It makes a user `example` on the server, and deletes it in the end.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Queue, Redacted, Stream } from "effect"
import { Commands, Config, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"

const login = (password: string): Config.Credentials => ({ username: "example", password: Redacted.make(password) })

const program = Effect.gen(function*() {
  const options = yield* Config.fromEnv
  const admin = yield* HitlessRedis.make(options)
  const may = (...rules: ReadonlyArray<string>) => admin.send("ACL", "SETUSER", "example", ...rules)
  yield* Effect.acquireRelease(
    may("on", ">first", "~example:*", "&*", "+@all"),
    () => Effect.ignore(admin.send("ACL", "DELUSER", "example"), { log: true })
  )

  const credentials = yield* Queue.unbounded<Config.Credentials>()
  yield* Queue.offer(credentials, login("first"))
  const redis = yield* HitlessRedis.make({
    ...options,
    clientName: "rotating",
    credentials: Stream.fromQueue(credentials)
  })
  const id = yield* redis.send<number>("CLIENT", "ID")

  // Commands all the time, whatever happens to the password.
  const counting = yield* Effect.forkScoped(Effect.forever(redis.run(Commands.incr("example:counter"))))

  yield* may(">second")
  yield* Queue.offer(credentials, login("second"))
  // The old password ends when nobody needs it.
  yield* Effect.sleep("200 millis")
  yield* may("<first")
  yield* Effect.sleep("200 millis")

  yield* Console.log(counting.pollUnsafe() === undefined ? "no command failed" : "a command failed")
  yield* Fiber.interrupt(counting)
  yield* Console.log(
    (yield* redis.send<number>("CLIENT", "ID")) === id ? "on the same connection" : "on another connection"
  )

  // A new connection logs in with the second password.
  yield* admin.send("CLIENT", "KILL", "ID", id)
  yield* redis.run(Commands.get("example:counter"))
  yield* Console.log("and the next one logs in with the second password too")
}).pipe(Effect.scoped)

NodeRuntime.runMain(program.pipe(Effect.provide(NodeTransport.layer)))
