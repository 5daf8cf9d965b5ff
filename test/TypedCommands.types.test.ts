/**
 * The types of commands, of what `run` gives of them, and of batches: checked by the compiler.
 */
import { describe, expectTypeOf, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Commands, type HitlessError, type HitlessRedis } from "hitless"
import { nodeCommands } from "./support/nodeRedis.ts"

type Value<C> = C extends Commands.Command<infer A> ? A : never

declare const redis: HitlessRedis.Sender

declare const needy: Schema.Codec<string, string, HitlessRedis.HitlessRedis>

type R<A> = Result.Result<A, HitlessError.HitlessError>

/** Never run: only its types matter. */
const types = (check: () => void): () => void => () => void check

describe("The type of a command", () => {
  it(
    "says what run gives",
    types(() => {
      expectTypeOf(redis.run(Commands.get("k"))).toEqualTypeOf<
        Effect.Effect<string | null, HitlessError.HitlessError>
      >()
      expectTypeOf<Value<ReturnType<typeof Commands.mGet>>>().toEqualTypeOf<Array<string | null>>()
      expectTypeOf<Value<ReturnType<typeof Commands.hGetAll>>>().toEqualTypeOf<Record<string, string>>()
      expectTypeOf<Value<ReturnType<typeof Commands.hExists>>>().toEqualTypeOf<0 | 1>()
      expectTypeOf<Value<ReturnType<typeof Commands.zRangeWithScores>>>().toEqualTypeOf<Array<Commands.Scored>>()
      expectTypeOf<Value<ReturnType<typeof Commands.zScore>>>().toEqualTypeOf<number | null>()
      expectTypeOf<Value<ReturnType<typeof Commands.blPop>>>().toEqualTypeOf<Commands.Popped | null>()
      expectTypeOf<Value<ReturnType<typeof Commands.xAdd>>>().toEqualTypeOf<Commands.StreamId>()
      expectTypeOf<Value<ReturnType<typeof Commands.eval>>>().toEqualTypeOf<unknown>()
    })
  )

  it(
    "of set depends on whether the value from before is asked for",
    types(() => {
      expectTypeOf(Commands.set("k", "v")).toEqualTypeOf<Commands.Command<"OK" | null>>()
      expectTypeOf(Commands.set("k", "v", { GET: true })).toEqualTypeOf<Commands.Command<string | null>>()
      expectTypeOf(Commands.set("k", "v", { condition: "NX" })).toEqualTypeOf<Commands.Command<"OK" | null>>()
    })
  )

  it(
    "takes durations of Effect",
    types(() => {
      const time: Duration.Input = "5 seconds"
      Commands.set("k", "v", { expiration: time })
      Commands.set("k", "v", { expiration: new Date() })
      Commands.expire("k", { minutes: 5 })
    })
  )

  it(
    "refuses options that are none",
    types(() => {
      // @ts-expect-error there is no such option
      Commands.set("k", "v", { expires: "1 hour" })
      // @ts-expect-error no duration
      Commands.set("k", "v", { expiration: "1 parsec" })
      // @ts-expect-error no condition
      Commands.set("k", "v", { condition: "IF" })
      // @ts-expect-error nothing to compare with
      Commands.set("k", "v", { condition: "IFEQ" })
      // @ts-expect-error no mode
      Commands.expire("k", "1 hour", "ZZ")
      // @ts-expect-error both
      Commands.lMoveM("a", "b", "LEFT", "LEFT", { COUNT: 1, EXACTLY: 1, ORDER: "OBO" })
      // @ts-expect-error no argument of a command
      Commands.get({ key: "k" })
      // @ts-expect-error no cursor
      Commands.scan("next")
      // @ts-expect-error no command
      void redis.run(["GET", "k"])
      // @ts-expect-error no argument
      void redis.pipeline([["GET", {}]])
    })
  )

  it(
    "as bytes has bytes for text, but not for words and ids",
    types(() => {
      expectTypeOf(Commands.bytes(Commands.get("k"))).toEqualTypeOf<Commands.Command<Uint8Array | null>>()
      expectTypeOf<Value<ReturnType<typeof Commands.set>>>().toEqualTypeOf<string | null>()
      expectTypeOf(Commands.bytes(Commands.set("k", "v"))).toEqualTypeOf<Commands.Command<"OK" | null>>()
      expectTypeOf(Commands.bytes(Commands.hGetAll("k"))).toEqualTypeOf<
        Commands.Command<Record<string, Uint8Array>>
      >()
      expectTypeOf<Value<ReturnType<typeof scanned>>["cursor"]>().toEqualTypeOf<Commands.Cursor>()
      expectTypeOf<Value<ReturnType<typeof scanned>>["keys"]>().toEqualTypeOf<Array<Uint8Array>>()
      expectTypeOf<Value<ReturnType<typeof added>>>().toEqualTypeOf<Commands.StreamId>()
    })
  )

  it(
    "of node-redis' definitions is what they stand for",
    types(() => {
      const get = Commands.fromNodeRedis(nodeCommands.GET)
      expectTypeOf<Value<ReturnType<typeof get>>>().toEqualTypeOf<string | null>()
      const range = Commands.fromNodeRedis(nodeCommands.ZRANGE_WITHSCORES)
      expectTypeOf<Value<ReturnType<typeof range>>>().toEqualTypeOf<Array<{ value: string; score: number }>>()
      // @ts-expect-error no range
      range("k")
    })
  )
})

const scanned = () => Commands.bytes(Commands.scan("0"))
const added = () => Commands.bytes(Commands.xAdd("k", "*", { a: 1 }))

describe("The type of a batch", () => {
  it(
    "is a tuple of results, unknown for commands by name",
    types(() => {
      expectTypeOf(redis.pipeline([Commands.get("k"), ["GET", "k"], Commands.incr("n")])).toEqualTypeOf<
        Effect.Effect<[R<string | null>, R<unknown>, R<number>], HitlessError.HitlessError>
      >()
      expectTypeOf(redis.transaction([Commands.hGetAll("h")])).toEqualTypeOf<
        Effect.Effect<[R<Record<string, string>>], HitlessError.HitlessError>
      >()
    })
  )

  it(
    "is an array for arrays",
    types(() => {
      expectTypeOf(redis.pipeline(["a", "b"].map((key) => Commands.get(key)))).toEqualTypeOf<
        Effect.Effect<Array<R<string | null>>, HitlessError.HitlessError>
      >()
      expectTypeOf(redis.pipeline(["a", "b"].map((key) => ["GET", key] as const))).toEqualTypeOf<
        Effect.Effect<Array<R<unknown>>, HitlessError.HitlessError>
      >()
    })
  )

  it(
    "of a transaction that watches is that of what its body makes",
    types(() => {
      const run = (body: Effect.Effect<readonly [Commands.Command<number>], "mine", "needs">) =>
        redis.transaction({ watch: ["k"] }, () => body)
      expectTypeOf<ReturnType<typeof run>>().toEqualTypeOf<
        Effect.Effect<[R<number>], HitlessError.HitlessError | "mine", "needs">
      >()
    })
  )
})

describe("The type of a command of one's own", () => {
  it(
    "of a script and a function is what its parameters and its decoder say",
    types(() => {
      const script = Commands.script({
        lua: "",
        call: (key: string, by?: number) => ({ keys: [key], arguments: by === undefined ? [] : [by] }),
        decode: (reply) => reply === 1
      })
      expectTypeOf(script).toEqualTypeOf<(key: string, by?: number) => Commands.Command<boolean>>()
      const raw = Commands.function({ name: "f", call: () => ({}) })
      expectTypeOf(raw).toEqualTypeOf<() => Commands.Command<unknown>>()
      // @ts-expect-error a key is text
      script(1)
      // @ts-expect-error an argument is no object
      Commands.script({ lua: "", call: (key: object) => ({ keys: [key] }) })
    })
  )

  it(
    "of values of a schema has the schema's type, in batches too",
    types(() => {
      const users = Commands.schema(Schema.Struct({ name: Schema.String, born: Schema.Date }))
      type User = { readonly name: string; readonly born: Date }
      expectTypeOf(users.get("k")).toEqualTypeOf<Commands.Command<User | null>>()
      expectTypeOf(users.hGetAll("k")).toEqualTypeOf<Commands.Command<Record<string, User>>>()
      expectTypeOf(users.lRange("k", 0, -1)).toEqualTypeOf<Commands.Command<Array<User>>>()
      const user: User = { name: "Ada", born: new Date() }
      expectTypeOf(users.set("k", user)).toEqualTypeOf<Commands.Command<"OK" | null>>()
      expectTypeOf(users.set("k", user, { GET: true })).toEqualTypeOf<Commands.Command<User | null>>()
      expectTypeOf(redis.pipeline([users.get("k"), Commands.get("k")])).toEqualTypeOf<
        Effect.Effect<[R<User | null>, R<string | null>], HitlessError.HitlessError>
      >()
      // @ts-expect-error it has no birthday
      users.set("k", { name: "Ada" })
      // @ts-expect-error what needs services cannot be decoded here
      Commands.schema(needy)
    })
  )
})
