/**
 * The contestants: each client behind the same few commands, used as its own documentation advises.
 *
 * What a client does not do by default it does not do here, except that valkey-glide's limits are raised (see there): with
 * its own it refuses some cells. Contestants whose commands are effects are run by fibers, the others by promises. The
 * adapters add one call to a command, and leave replies as the client gives them.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Batch, GlideClient } from "@valkey/valkey-glide"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as IORedis from "ioredis"
import * as NodeRedisClient from "redis"
import { HitlessRedis } from "../../src/HitlessRedis.ts"
import * as NodeHitlessRedis from "../../src/node/NodeHitlessRedis.ts"
import { attempt } from "./failure.ts"
import { host } from "./server.ts"

/** The commands that are measured; `A` is a promise or an effect of the reply. */
export interface Commands<A> {
  readonly get: (key: string) => A
  readonly set: (key: string, value: string) => A
  readonly incr: (key: string) => A
  readonly hgetall: (key: string) => A
  readonly mget: (keys: Array<string>) => A
  /** One `GET` for each key, written together. */
  readonly pipeline: (keys: ReadonlyArray<string>) => A
}

/** A connected client. */
export type Client =
  & (
    | { readonly style: "promises"; readonly commands: Commands<Promise<unknown>> }
    | { readonly style: "fibers"; readonly commands: Commands<Effect.Effect<unknown, unknown>> }
  )
  & {
    /** The fields of a hash from the reply to `hgetall`, where it is not an object of them. */
    readonly readHash?: ((reply: never) => Record<string, unknown>) | undefined
    /** The replies in a reply to `pipeline`, where it is not an array of them. */
    readonly readPipeline?: ((reply: never) => Array<unknown>) | undefined
  }

/** A client that takes part. */
export interface Contestant {
  readonly name: string
  /** The package whose version is reported. */
  readonly package?: string | undefined
  readonly open: (port: number) => Effect.Effect<Client, unknown, Scope.Scope>
}

const acquire = <A>(open: () => Promise<A>, close: (client: A) => unknown): Effect.Effect<A, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    attempt("connecting", open),
    (client) => Effect.promise(async () => close(client))
  )

// ----- hitless -----

const hitless: Contestant = {
  name: "hitless",
  open: (port) =>
    Effect.map(Layer.build(NodeHitlessRedis.layer({ host, port })), (context) => {
      const redis = Context.get(context, HitlessRedis)
      return {
        style: "fibers",
        commands: {
          get: (key) => redis.send("GET", key),
          set: (key, value) => redis.send("SET", key, value),
          incr: (key) => redis.send("INCR", key),
          hgetall: (key) => redis.send("HGETALL", key),
          mget: (keys) => redis.send("MGET", ...keys),
          pipeline: (keys) => redis.pipeline(keys.map((key) => ["GET", key]))
        },
        readPipeline: (replies: Array<Result.Result<unknown, unknown>>) => replies.map(Result.getOrThrow)
      }
    })
}

// ----- Effect's NodeRedis -----

const effectNodeRedis: Contestant = {
  name: "Effect NodeRedis",
  package: "@effect/platform-node",
  open: (port) =>
    Effect.map(Layer.build(NodeRedis.layer({ socket: { host, port } })), (context) => {
      const redis = Context.get(context, Redis.Redis)
      const nodeRedis = Context.get(context, NodeRedis.NodeRedis)
      return {
        style: "fibers",
        commands: {
          get: (key) => redis.send("GET", key),
          set: (key, value) => redis.send("SET", key, value),
          incr: (key) => redis.send("INCR", key),
          hgetall: (key) => redis.send("HGETALL", key),
          mget: (keys) => redis.send("MGET", ...keys),
          // Effect's service has no pipelines; the client under it has.
          pipeline: (keys) =>
            nodeRedis.use((client) => {
              const batch = client.multi()
              for (const key of keys) batch.get(key)
              return batch.execAsPipeline()
            })
        }
      }
    })
}

// ----- node-redis -----

const nodeRedis = (name: string, options: NodeRedisClient.RedisClientOptions): Contestant => ({
  name,
  package: "redis",
  open: (port) =>
    Effect.map(
      acquire(
        async () => {
          const client = NodeRedisClient.createClient({ ...options, socket: { host, port } })
          // A failure shows in the commands; without a listener it would end the process.
          client.on("error", () => {})
          await client.connect()
          return client
        },
        (client) => client.close()
      ),
      (client) => ({
        style: "promises",
        commands: {
          get: (key) => client.get(key),
          set: (key, value) => client.set(key, value),
          incr: (key) => client.incr(key),
          hgetall: (key) => client.hGetAll(key),
          mget: (keys) => client.mGet(keys),
          pipeline: (keys) => {
            const batch = client.multi()
            for (const key of keys) batch.get(key)
            return batch.execAsPipeline()
          }
        }
      })
    )
})

// ----- ioredis -----

const ioredis = (name: string, enableAutoPipelining: boolean): Contestant => ({
  name,
  package: "ioredis",
  open: (port) =>
    Effect.map(
      acquire(
        async () => {
          const client = new IORedis.Redis({ host, port, enableAutoPipelining, lazyConnect: true })
          client.on("error", () => {})
          await client.connect()
          return client
        },
        (client) => client.quit()
      ),
      (client) => ({
        style: "promises",
        commands: {
          get: (key) => client.get(key),
          set: (key, value) => client.set(key, value),
          incr: (key) => client.incr(key),
          hgetall: (key) => client.hgetall(key),
          mget: (keys) => client.mget(keys),
          pipeline: (keys) => {
            const batch = client.pipeline()
            for (const key of keys) batch.get(key)
            return batch.exec()
          }
        },
        readPipeline: (replies: Array<[error: Error | null, value: unknown]>) => replies.map(([, value]) => value)
      })
    )
})

// ----- valkey-glide -----

const valkeyGlide: Contestant = {
  name: "valkey-glide",
  package: "@valkey/valkey-glide",
  open: (port) =>
    Effect.map(
      acquire(
        () =>
          GlideClient.createClient({
            addresses: [{ host, port }],
            // Its default refuses the 1,001st command in flight.
            inflightRequestsLimit: 20_000,
            // Its default, 250 ms, fails the cells of 10,000 in flight; this is node-redis' deadline.
            requestTimeout: 5000
          }),
        (client) => client.close()
      ),
      (client) => ({
        style: "promises",
        commands: {
          get: (key) => client.get(key),
          set: (key, value) => client.set(key, value),
          incr: (key) => client.incr(key),
          hgetall: (key) => client.hgetall(key),
          mget: (keys) => client.mget(keys),
          pipeline: (keys) => {
            const batch = new Batch(false)
            for (const key of keys) batch.get(key)
            return client.exec(batch, true)
          }
        },
        readHash: (reply: Array<{ readonly field: string; readonly value: string }>) =>
          Object.fromEntries(reply.map(({ field, value }) => [field, value]))
      })
    )
}

// ----- the harness itself -----

const answered = Promise.resolve(undefined)
const answer = (): Promise<unknown> => answered
const succeed = (): Effect.Effect<unknown> => Effect.void

/** What the loops of `workload.ts` cost without a client in them, by the style of the client. */
export const harness: ReadonlyArray<Contestant> = [
  {
    name: "no client, promises",
    open: () =>
      Effect.succeed({
        style: "promises",
        commands: { get: answer, set: answer, incr: answer, hgetall: answer, mget: answer, pipeline: answer }
      })
  },
  {
    name: "no client, fibers",
    open: () =>
      Effect.succeed({
        style: "fibers",
        commands: { get: succeed, set: succeed, incr: succeed, hgetall: succeed, mget: succeed, pipeline: succeed }
      })
  }
]

/** The contestants in the order of their turns; the first is the one that all others are compared with. */
export const contestants: ReadonlyArray<Contestant> = [
  hitless,
  nodeRedis("node-redis", {}),
  nodeRedis("node-redis, timeout 0", { commandOptions: { timeout: 0 } }),
  ioredis("ioredis", false),
  ioredis("ioredis, auto-pipelining", true),
  valkeyGlide,
  effectNodeRedis
]
