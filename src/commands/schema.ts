/**
 * Commands whose values have a schema: JSON in Redis, typed values in the program.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import { unencodable } from "../internal/commands.ts"
import { describeIssue } from "../internal/schemaIssues.ts"
import type { Arg } from "../Resp.ts"
import type { Command, OneOrMore } from "./command.ts"
import { type DeliveredEntry, xReadGroup, type XReadGroupOptions } from "./consumerGroups.ts"
import { Undecodable } from "./decode.ts"
import { hGet, hGetAll, hmGet, hSet, hSetNX, hVals } from "./hashes.ts"
import { blMove, blPop, brPop, lIndex, type ListSide, lMove, lPop, lPush, lRange, lSet, rPop, rPush } from "./lists.ts"
import type { StreamEntries, StreamEntry, StreamId, StreamPosition, XReadOptions } from "./streamEntries.ts"
import { xAdd, type XAddOptions, xRange, xRead, xRevRange } from "./streams.ts"
import { get, getDel, getEx, getSet, mGet, mSet, set, setNX, type SetOptions } from "./strings.ts"
import type { Expiration } from "./time.ts"

/**
 * An entry of a stream whose fields have values of a schema.
 *
 * @category models
 * @since 0.1.0
 */
export interface EntryOf<Message> {
  readonly id: StreamId
  readonly message: Message
}

/**
 * Commands as those of the same names in `Commands`, with values of a schema in place of text. Several values are an array.
 *
 * @category models
 * @since 0.1.0
 */
export interface Values<A> {
  readonly get: (key: Arg) => Command<A | null>
  readonly getDel: (key: Arg) => Command<A | null>
  readonly getEx: (key: Arg, expiration: Expiration | "PERSIST") => Command<A | null>
  readonly getSet: (key: Arg, value: A) => Command<A | null>
  readonly mGet: (keys: ReadonlyArray<Arg>) => Command<Array<A | null>>
  readonly mSet: (values: Readonly<Record<string, A>>) => Command<"OK">
  readonly set: {
    (key: Arg, value: A, options: SetOptions & { readonly GET: true }): Command<A | null>
    (key: Arg, value: A, options?: SetOptions & { readonly GET?: false | undefined }): Command<"OK" | null>
  }
  readonly setNX: (key: Arg, value: A) => Command<0 | 1>

  readonly hGet: (key: Arg, field: Arg) => Command<A | null>
  readonly hGetAll: (key: Arg) => Command<Record<string, A>>
  readonly hmGet: (key: Arg, fields: ReadonlyArray<Arg>) => Command<Array<A | null>>
  readonly hSet: {
    (key: Arg, field: Arg, value: A): Command<number>
    (key: Arg, values: Readonly<Record<string, A>>): Command<number>
  }
  readonly hSetNX: (key: Arg, field: Arg, value: A) => Command<0 | 1>
  readonly hVals: (key: Arg) => Command<Array<A>>

  readonly blMove: (
    source: Arg,
    destination: Arg,
    sourceSide: ListSide,
    destinationSide: ListSide,
    timeout: Duration.Input
  ) => Command<A | null>
  readonly blPop: (
    keys: OneOrMore<Arg>,
    timeout: Duration.Input
  ) => Command<{ readonly key: string; readonly element: A } | null>
  readonly brPop: (
    keys: OneOrMore<Arg>,
    timeout: Duration.Input
  ) => Command<{ readonly key: string; readonly element: A } | null>
  readonly lIndex: (key: Arg, index: number) => Command<A | null>
  readonly lMove: (
    source: Arg,
    destination: Arg,
    sourceSide: ListSide,
    destinationSide: ListSide
  ) => Command<A | null>
  readonly lPop: (key: Arg) => Command<A | null>
  readonly lPush: (key: Arg, elements: ReadonlyArray<A>) => Command<number>
  readonly lRange: (key: Arg, start: number, stop: number) => Command<Array<A>>
  readonly lSet: (key: Arg, index: number, element: A) => Command<"OK">
  readonly rPop: (key: Arg) => Command<A | null>
  readonly rPush: (key: Arg, elements: ReadonlyArray<A>) => Command<number>

  readonly xAdd: (
    key: Arg,
    id: Arg,
    message: Readonly<Record<string, A>>,
    options?: XAddOptions
  ) => Command<StreamId>
  readonly xRange: (
    key: Arg,
    start: Arg,
    end: Arg,
    options?: { readonly COUNT?: number | undefined }
  ) => Command<Array<EntryOf<Record<string, A>>>>
  readonly xRead: (
    of: OneOrMore<StreamPosition>,
    options?: XReadOptions
  ) => Command<Array<StreamEntries<EntryOf<Record<string, A>>>> | null>
  /** The message of one of its own that was deleted meanwhile is `null`. */
  readonly xReadGroup: (
    group: Arg,
    consumer: Arg,
    of: OneOrMore<StreamPosition>,
    options?: XReadGroupOptions
  ) => Command<
    Array<StreamEntries<Omit<DeliveredEntry, "message"> & EntryOf<Record<string, A> | null>>> | null
  >
  readonly xRevRange: (
    key: Arg,
    end: Arg,
    start: Arg,
    options?: { readonly COUNT?: number | undefined }
  ) => Command<Array<EntryOf<Record<string, A>>>>
}

const utf8 = /* @__PURE__ */ new TextDecoder()

const keyText = (key: Arg): string => typeof key === "object" ? utf8.decode(key) : String(key)

const mapped = <A, B>(command: Command<A>, map: (value: A) => B): Command<B> =>
  command.with((reply, protocol) => map(command.decode(reply, protocol)), command.bytes)

const orNull = <A, B>(map: (value: A) => B) => (value: A | null): B | null => value === null ? null : map(value)

const mapRecord = <A, B>(
  record: Readonly<Record<string, A>>,
  map: (value: A, name: string) => B
): Record<string, B> => {
  const result: Record<string, B> = Object.create(null)
  for (const name of Object.keys(record)) result[name] = map(record[name], name)
  return result
}

/**
 * Commands whose values have a schema. In Redis they are JSON, as `Schema.toCodecJson` makes it: dates are text, `undefined`
 * is left out.
 *
 * **Details**
 *
 * A value that cannot be encoded is not sent: its command is a `CommandRefused`. One that was read and cannot be decoded is
 * an `InvalidValue`, which names the command, the key and what the schema expected where, and nothing of the value; the
 * command has run then. A key that is missing is `null`. The schema must need no services, and decode without waiting.
 *
 * **Example** (Users)
 *
 * ```ts
 * import { Commands, HitlessRedis } from "hitless"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const User = Schema.Struct({ name: Schema.String, born: Schema.Date })
 *
 * const users = Commands.schema(User)
 *
 * export const program = Effect.gen(function*() {
 *   const redis = yield* HitlessRedis.HitlessRedis
 *   yield* redis.run(users.set("user:1", { name: "Ada", born: new Date("1815-12-10") }, { expiration: "1 hour" }))
 *   return yield* redis.run(users.get("user:1")) // { name: string, born: Date } | null
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const schema = <A, I>(schema: Schema.Codec<A, I>): Values<A> => {
  const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
  const toJson = SchemaParser.encodeUnknownResult(codec)
  const fromJson = SchemaParser.decodeUnknownResult(codec)

  const encode = (value: A): Arg =>
    Result.getOrElse(
      toJson(value),
      (issue) => unencodable(`is not what its schema says: ${describeIssue(issue)}`)
    )

  /** `place` is where in the key. */
  const decode = (text: string, key: Arg, place = ""): A =>
    Result.getOrElse(fromJson(text), (issue) => {
      throw new Undecodable({ key: keyText(key), detail: `${describeIssue(issue)}${place}` })
    })

  const one = (key: Arg, command: Command<string | null>): Command<A | null> =>
    mapped(command, orNull((text) => decode(text, key)))

  const field = (key: Arg, name: Arg): (text: string) => A => (text) =>
    decode(text, key, `, in its field ${JSON.stringify(keyText(name))}`)

  const elements = (key: Arg, command: Command<Array<string>>): Command<Array<A>> =>
    mapped(command, (texts) => texts.map((text, index) => decode(text, key, `, in element ${index} of the reply`)))

  const popped = (command: Command<{ readonly key: string; readonly element: string } | null>) =>
    mapped(command, orNull(({ element, key }) => ({ key, element: decode(element, key) })))

  const message = (key: Arg, id: StreamId, texts: Readonly<Record<string, string>>): Record<string, A> =>
    mapRecord(texts, (text, name) => decode(text, key, `, in the field ${JSON.stringify(name)} of its entry ${id}`))

  const entry = (key: Arg) => ({ id, message: texts }: StreamEntry): EntryOf<Record<string, A>> => ({
    id,
    message: message(key, id, texts)
  })

  const encodeAll = (values: Readonly<Record<string, A>>): Record<string, Arg> => mapRecord(values, encode)

  return {
    get: (key) => one(key, get(key)),
    getDel: (key) => one(key, getDel(key)),
    getEx: (key, expiration) => one(key, getEx(key, expiration)),
    getSet: (key, value) => one(key, getSet(key, encode(value))),
    mGet: (keys) =>
      mapped(mGet(keys), (texts) => texts.map((text, index) => text === null ? null : decode(text, keys[index]))),
    mSet: (values) => mSet(encodeAll(values)),
    set: ((key: Arg, value: A, options?: SetOptions) =>
      options?.GET === true
        ? one(key, set(key, encode(value), options))
        : set(key, encode(value), options)) as Values<A>["set"],
    setNX: (key, value) => setNX(key, encode(value)),

    hGet: (key, name) => mapped(hGet(key, name), orNull(field(key, name))),
    hGetAll: (key) => mapped(hGetAll(key), (texts) => mapRecord(texts, (text, name) => field(key, name)(text))),
    hmGet: (key, fields) =>
      mapped(hmGet(key, fields), (texts) => texts.map((text, index) => orNull(field(key, fields[index]))(text))),
    hSet: (key: Arg, ...args: readonly [field: Arg, value: A] | readonly [values: Readonly<Record<string, A>>]) =>
      args.length === 2 ? hSet(key, args[0], encode(args[1])) : hSet(key, encodeAll(args[0])),
    hSetNX: (key, name, value) => hSetNX(key, name, encode(value)),
    hVals: (key) => elements(key, hVals(key)),

    blMove: (source, destination, from, to, timeout) => one(source, blMove(source, destination, from, to, timeout)),
    blPop: (keys, timeout) => popped(blPop(keys, timeout)),
    brPop: (keys, timeout) => popped(brPop(keys, timeout)),
    lIndex: (key, index) => one(key, lIndex(key, index)),
    lMove: (source, destination, from, to) => one(source, lMove(source, destination, from, to)),
    lPop: (key) => one(key, lPop(key)),
    lPush: (key, values) => lPush(key, values.map(encode)),
    lRange: (key, start, stop) => elements(key, lRange(key, start, stop)),
    lSet: (key, index, value) => lSet(key, index, encode(value)),
    rPop: (key) => one(key, rPop(key)),
    rPush: (key, values) => rPush(key, values.map(encode)),

    xAdd: (key, id, values, options) => xAdd(key, id, encodeAll(values), options),
    xRange: (key, start, end, options) =>
      mapped(xRange(key, start, end, options), (entries) => entries.map(entry(key))),
    xRead: (of, options) =>
      mapped(
        xRead(of, options),
        orNull((streams) => streams.map(({ messages, name }) => ({ name, messages: messages.map(entry(name)) })))
      ),
    xReadGroup: (group, consumer, of, options) =>
      mapped(
        xReadGroup(group, consumer, of, options),
        orNull((streams) =>
          streams.map(({ messages, name }) => ({
            name,
            messages: messages.map(({ message: texts, ...delivered }) => ({
              ...delivered,
              message: texts === null ? null : message(name, delivered.id, texts)
            }))
          }))
        )
      ),
    xRevRange: (key, end, start, options) =>
      mapped(xRevRange(key, end, start, options), (entries) => entries.map(entry(key)))
  }
}
