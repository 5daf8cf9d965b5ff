/**
 * Effect's `KeyValueStore` on Redis: a string key of Redis for each entry, under a prefix of one's own.
 *
 * Values are stored as they are, so that others can read them: text as UTF-8, bytes as bytes. As text, bytes that are no
 * UTF-8 are given in Base64. `modify` is atomic: its function runs again where the value was changed meanwhile, and an entry
 * that expires goes on to. `keys`, `size`, `isEmpty`, `clear` and `clearPrefix` go through all keys of the database in small
 * steps (`SCAN`), beside which others are served; what is written meanwhile may be seen or not.
 *
 * It keeps nothing by itself, and never touches a key without its prefix.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Commands from "./Commands.ts"
import type { HitlessError } from "./HitlessError.ts"
import { HitlessRedis } from "./HitlessRedis.ts"

/**
 * What a store is made with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What the store's keys begin with, such as `"sessions:"`. With `""` all keys of the database are the store's. */
  readonly prefix: string
}

/** About how many keys are looked at in one step, which takes a server less than a tenth of a millisecond. */
const step = 500

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textOf = (bytes: Uint8Array): string => {
  try {
    return strict.decode(bytes)
  } catch {
    return Base64.encode(bytes)
  }
}

/** A pattern that matches what begins with a text, whatever characters that has. */
const beginningWith = (text: string): string => `${text.replace(/[\\*?[\]]/g, "\\$&")}*`

/**
 * Makes a store on the client of the environment.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ prefix }: Options): Effect.Effect<KeyValueStore.KeyValueStore, never, HitlessRedis> =>
  Effect.map(HitlessRedis, (redis) => {
    const failing = (method: string, key?: string) =>
      Effect.mapError((cause: HitlessError) =>
        new KeyValueStore.KeyValueStoreError({
          method,
          message: cause.message,
          cause,
          ...(key === undefined ? {} : { key })
        })
      )

    const read = (on: Pick<HitlessRedis["Service"], "run">, key: string) =>
      Effect.map(on.run(Commands.bytes(Commands.get(prefix + key))), (value) => value ?? undefined)

    /** The keys that begin with the prefix and a text, some at a time; a key may come twice. */
    const pages = (text: string) =>
      Stream.paginate("0" as Commands.Cursor, (cursor) =>
        Effect.map(
          redis.run(Commands.scan(cursor, { MATCH: beginningWith(prefix + text), COUNT: step })),
          ({ cursor, keys }) => [keys.length === 0 ? [] : [keys], cursor === "0" ? Option.none() : Option.some(cursor)]
        ))

    const keys = Effect.map(
      Stream.runFold(pages(""), () => new Set<string>(), (all, page) => {
        for (const key of page) all.add(key.slice(prefix.length))
        return all
      }),
      (all): ReadonlyArray<string> => [...all]
    )

    const clear = (text: string) => Stream.runForEach(pages(text), (page) => redis.run(Commands.unlink(page)))

    const modify = <A extends string | Uint8Array>(key: string, f: (bytes: Uint8Array) => A) =>
      Effect.suspend(() => {
        let next: A | undefined
        const commands = (value: Uint8Array | undefined) => {
          next = value === undefined ? undefined : f(value)
          return next === undefined ? [] : [Commands.set(prefix + key, next, { expiration: "KEEPTTL" })]
        }
        return redis.transaction({ watch: [prefix + key] }, (own) => Effect.map(read(own, key), commands)).pipe(
          Effect.flatMap(([result = Result.succeed(null)]) => Effect.fromResult(result)),
          Effect.map(() => next)
        )
      })

    return KeyValueStore.make({
      get: (key) =>
        Effect.map(read(redis, key), (value) => value === undefined ? undefined : textOf(value)).pipe(
          failing("get", key)
        ),
      getUint8Array: (key) => read(redis, key).pipe(failing("getUint8Array", key)),
      set: (key, value) => Effect.asVoid(redis.run(Commands.set(prefix + key, value))).pipe(failing("set", key)),
      remove: (key) => Effect.asVoid(redis.run(Commands.unlink(prefix + key))).pipe(failing("remove", key)),
      has: (key) =>
        Effect.map(redis.run(Commands.exists(prefix + key)), (count) => count > 0).pipe(failing("has", key)),
      modify: (key, f) => modify(key, (value) => f(textOf(value))).pipe(failing("modify", key)),
      modifyUint8Array: (key, f) => modify(key, f).pipe(failing("modifyUint8Array", key)),
      keys: keys.pipe(failing("keys")),
      size: Effect.map(keys, (keys) => keys.length).pipe(failing("size")),
      isEmpty: Effect.map(Stream.runHead(pages("")), Option.isNone).pipe(failing("isEmpty")),
      clear: clear("").pipe(failing("clear")),
      clearPrefix: (text) => clear(text).pipe(failing("clearPrefix", text))
    })
  })

/**
 * Provides Effect's `KeyValueStore` on the client of the environment.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<KeyValueStore.KeyValueStore, never, HitlessRedis> =>
  Layer.effect(KeyValueStore.KeyValueStore, make(options))
