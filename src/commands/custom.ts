/**
 * Commands of one's own, and those of node-redis' packages.
 *
 * @since 0.1.0
 */
import { blocksFor } from "../internal/commands.ts"
import type { Arg } from "../Resp.ts"
import { Command, type Decode, many, type OneOrMore } from "./command.ts"

/**
 * What has to be known about a command that is made by hand.
 *
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions {
  /** The keys that it reads or writes. Default: none. */
  readonly keys?: ReadonlyArray<Arg> | undefined
  /** Whether it changes nothing, so that it may run twice. Default: `false`. */
  readonly readOnly?: boolean | undefined
  /**
   * Whether it may wait on the server, and so needs a connection of its own. It has the time of any command, unless `send`
   * knows by its name for how long it waits. Default: what `send` knows.
   */
  readonly blocking?: boolean | undefined
}

/**
 * Makes a command of one's own, for a module or a server that this package does not know. `decode` gets the reply as `send`
 * gives it; what it throws becomes an `UnexpectedReply`. What `send` refuses, `run` refuses.
 *
 * **Example** (A command of a module)
 *
 * ```ts
 * import { Commands, HitlessRedis } from "hitless"
 * import * as Effect from "effect/Effect"
 *
 * const has = (filter: string, item: string) =>
 *   Commands.make(["BF.EXISTS", filter, item], (reply) => reply === 1 || reply === true, {
 *     keys: [filter],
 *     readOnly: true
 *   })
 *
 * export const program = Effect.gen(function*() {
 *   const redis = yield* HitlessRedis.HitlessRedis
 *   return yield* redis.run(has("seen", "you"))
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(
  words: readonly [name: string, ...args: ReadonlyArray<Arg>],
  decode: Decode<A>,
  { blocking = blocksFor(words) > 0, keys = [], readOnly = false }: MakeOptions = {}
): Command<A> => {
  const own = keys.slice()
  return new Command(words.slice(), decode, () => own, readOnly, blocking, false, false)
}

// ----- node-redis -----

/** How a definition makes its reply, for one protocol. */
type Transform<R> = (reply: never, preserve: never, typeMapping: never) => R

/**
 * A command definition of node-redis and its packages, as far as it is needed. `redis` itself is not.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeRedisDefinition<Args extends ReadonlyArray<unknown>, R> {
  readonly IS_READ_ONLY?: boolean
  parseCommand(this: void, parser: never, ...args: Args): void
  readonly transformReply: Transform<R> | {
    readonly 2: Transform<unknown> | undefined
    readonly 3: Transform<R> | undefined
  }
}

/**
 * A reply of node-redis' types as the value that it stands for.
 *
 * @category models
 * @since 0.1.0
 */
export type NodeRedisReply<R> = unknown extends R ? R
  : R extends { readonly RESP_TYPE: unknown; readonly DEFAULT: infer Value } ? NodeRedisReply<Value>
  : R extends string | number | bigint | boolean | null | undefined | Uint8Array | Date | Error ? R
  : R extends Map<infer K, infer V> ? Map<NodeRedisReply<K>, NodeRedisReply<V>>
  : { [K in keyof R]: NodeRedisReply<R[K]> }

/** What a definition writes its words to. */
class Parser {
  readonly redisArgs: Array<Arg> = []
  readonly keys: Array<Arg> = []
  /** What it keeps from its arguments for its reply. */
  preserve: unknown = undefined

  get firstKey(): Arg | undefined {
    return this.keys[0]
  }

  readonly push = (...words: ReadonlyArray<Arg>): void => {
    for (const word of words) this.redisArgs.push(word)
  }
  readonly pushVariadic = (words: OneOrMore<Arg>): void => {
    for (const word of many(words)) this.redisArgs.push(word)
  }
  readonly pushVariadicWithLength = (words: OneOrMore<Arg>): void => {
    this.redisArgs.push(many(words).length)
    this.pushVariadic(words)
  }
  readonly pushVariadicNumber = (words: OneOrMore<number>): void => this.pushVariadic(words)
  readonly pushKey = (key: Arg): void => {
    this.keys.push(key)
    this.redisArgs.push(key)
  }
  readonly pushKeys = (keys: OneOrMore<Arg>): void => {
    for (const key of many(keys)) this.pushKey(key)
  }
  readonly pushKeysLength = (keys: OneOrMore<Arg>): void => {
    this.redisArgs.push(many(keys).length)
    this.pushKeys(keys)
  }
}

/**
 * Makes a function that makes commands of a command definition of node-redis' packages (JSON, Search, Bloom, time series):
 * its words, and its reply with node-redis' own types of it, but for `typeMapping`.
 *
 * **Details**
 *
 * What the definition throws at its arguments is thrown by the function; what it throws at a reply becomes an
 * `UnexpectedReply`. One that waits on the server takes a connection of its own where `send` knows its name.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromNodeRedis = <Args extends ReadonlyArray<unknown>, R>(
  definition: NodeRedisDefinition<Args, R>
): (...args: Args) => Command<NodeRedisReply<R>> => {
  const { IS_READ_ONLY: readOnly = false, parseCommand, transformReply } = definition
  const transforms = typeof transformReply === "object" ? transformReply : { 2: transformReply, 3: transformReply }
  return (...args) => {
    const parser = new Parser()
    parseCommand(parser as never, ...args)
    const { keys, preserve, redisArgs } = parser
    const decode: Decode<NodeRedisReply<R>> = (reply, protocol) => {
      const transform = transforms[protocol] as ((reply: unknown, preserve: unknown) => unknown) | undefined
      return (transform === undefined ? reply : transform(reply, preserve)) as NodeRedisReply<R>
    }
    return new Command(redisArgs, decode, () => keys, readOnly, blocksFor(redisArgs) > 0, false, false)
  }
}
