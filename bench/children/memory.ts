/**
 * The process of one measurement of memory: `memory.ts <name>`, compiled and forked by `parts/memory.ts`. It loads a
 * client, connects, sends, and reads its own memory, as it is asked.
 *
 * What a process has loaded is a part of what is measured. So everything is imported where it is needed, and `child.ts`
 * and `contestants.ts` not at all, which load Effect and every client; the messages are those of `child.ts`. The clients
 * are used as `contestants.ts` uses them.
 */
import type * as Effect from "effect/Effect"
import { subscribe } from "node:diagnostics_channel"
import { readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import type { Answer } from "../kit/child.ts"

/** A step of a measurement; it is answered when it is done. */
export type Question =
  | { readonly _tag: "Load" }
  /** Makes a client of so many connections, or of as many as it has by itself. */
  | { readonly _tag: "Connect"; readonly port: number; readonly connections: number | undefined }
  /** Opens every connection, of a pool that does so when it has much to send; `Settle` waits for the replies. */
  | { readonly _tag: "Open" }
  /** Sends commands at once; `Settle` waits for their replies. */
  | { readonly _tag: "Send"; readonly commands: number }
  | { readonly _tag: "Settle" }
  /** Waits until so many handoffs have been completed in all. */
  | { readonly _tag: "Handoffs"; readonly total: number }
  | { readonly _tag: "Read" }

/** What a process uses, in bytes. */
export interface Reading {
  readonly rss: number
  /** The highest RSS so far; 0 where the system does not tell. */
  readonly peak: number
  readonly heap: number
  /** What the heap refers to outside of it; `buffers` is a part of it. */
  readonly external: number
  readonly buffers: number
}

const host = "127.0.0.1"

const key = "key"
const value = "0123456789abcdef"

// ----- clients -----

interface Client {
  /** Sends so many `SET`s in one tick, and gives a promise of all replies. */
  readonly send: (commands: number) => Promise<unknown>
  /** Opens all connections of a pool that does so when it needs them, and gives the replies to what that took. */
  readonly open?: (() => Promise<ReadonlyArray<Promise<unknown>>>) | undefined
}

type Connect = (port: number, connections: number | undefined, onHandoff: () => void) => Promise<Client>

/** As many clients of one connection each, and which of them has the n-th turn. */
const clientsOf = async <A>(connections = 1, connect: () => Promise<A>): Promise<(n: number) => A> => {
  const clients: Array<A> = []
  while (clients.length < connections) clients.push(await connect())
  return (n) => clients[n % connections]!
}

const promises = (set: (n: number) => Promise<unknown>): Client["send"] => (commands) =>
  Promise.all(Array.from({ length: commands }, (_, n) => set(n)))

/** A fiber for each command. */
const fibers = async (set: (n: number) => Effect.Effect<unknown, unknown>): Promise<Client["send"]> => {
  const Effect = await import("effect/Effect")
  return (commands) =>
    Effect.runPromise(
      Effect.all(Array.from({ length: commands }, (_, n) => set(n)), { concurrency: "unbounded", discard: true })
    )
}

const hitless = async (): Promise<Connect> => {
  // As in the README, and what runs it.
  const Effect = await import("effect/Effect")
  const { HitlessRedis: { HitlessRedis } } = await import("../../src/index.ts")
  const { busyAt } = await import("../../src/Pool.ts")
  const { NodeHitlessRedis } = await import("../../src/node/index.ts")
  const ManagedRuntime = await import("effect/ManagedRuntime")
  const Stream = await import("effect/Stream")
  return async (port, poolSize, onHandoff) => {
    const runtime = ManagedRuntime.make(NodeHitlessRedis.layer({ host, port, poolSize }))
    const redis = await runtime.runPromise(HitlessRedis)
    const completed = Stream.filter(redis.handoffs, ({ _tag }) => _tag === "Completed")
    runtime.runFork(Stream.runForEach(completed, () => Effect.sync(onHandoff)))

    const unopened = async () => {
      const { slots } = await runtime.runPromise(redis.status)
      return slots.filter(({ endpoint }) => endpoint === undefined).length
    }
    return {
      send: await fibers(() => redis.send("SET", key, value)),
      open: async () => {
        const replies: Array<Promise<unknown>> = []
        const burst = Array.from({ length: busyAt }, () => ["SET", key, value] as const)
        const busy = new Set<Promise<unknown>>()
        for (let left = await unopened(); left > 0;) {
          // A pipeline makes a connection busy at the least cost; when all are, the next command has one more opened.
          while (busy.size < poolSize! - left) {
            const sent = runtime.runPromise(redis.pipeline(burst))
            const over = () => busy.delete(sent)
            sent.then(over, over)
            busy.add(sent)
            replies.push(sent)
          }
          replies.push(runtime.runPromise(redis.send("SET", key, value)))
          const before = left
          // Where nothing holds up the replies, they can come before the connection does.
          do {
            await setTimeout(1)
            left = await unopened()
          } while (left === before && busy.size > 0)
        }
        return replies
      }
    }
  }
}

const nodeRedis = async (): Promise<Connect> => {
  const { createClient } = await import("redis")
  return async (port, connections, onHandoff) => {
    subscribe("node-redis:connection:handoff", onHandoff)
    const client = await clientsOf(connections, () => {
      const client = createClient({ socket: { host, port } })
      // A failure shows in the commands; without a listener it would end the process.
      client.on("error", () => {})
      return client.connect()
    })
    return { send: promises((n) => client(n).set(key, value)) }
  }
}

const nodeRedisPool = async (): Promise<Connect> => {
  const { createClientPool } = await import("redis")
  return async (port, connections = 1) => {
    const pool = createClientPool({ socket: { host, port } }, { minimum: connections, maximum: connections })
    pool.on("error", () => {})
    await pool.connect()
    return { send: promises(() => pool.set(key, value)) }
  }
}

const ioredis = async (): Promise<Connect> => {
  const { Redis } = await import("ioredis")
  return async (port, connections) => {
    const client = await clientsOf(connections, async () => {
      const client = new Redis({ host, port, lazyConnect: true })
      client.on("error", () => {})
      await client.connect()
      return client
    })
    return { send: promises((n) => client(n).set(key, value)) }
  }
}

const valkeyGlide = async (): Promise<Connect> => {
  const { GlideClient } = await import("@valkey/valkey-glide")
  return async (port, connections) => {
    const client = await clientsOf(connections, () =>
      // Its own limits refuse the 1,001st command, and fail what is held for 250 ms.
      GlideClient.createClient({ addresses: [{ host, port }], inflightRequestsLimit: 20_000, requestTimeout: 5000 }))
    return { send: promises((n) => client(n).set(key, value)) }
  }
}

const effectNodeRedis = async (): Promise<Connect> => {
  const { layer } = await import("@effect/platform-node/NodeRedis")
  const { Redis } = await import("effect/persistence/Redis")
  const ManagedRuntime = await import("effect/ManagedRuntime")
  return async (port, connections) => {
    const client = await clientsOf(
      connections,
      () => ManagedRuntime.make(layer({ socket: { host, port } })).runPromise(Redis)
    )
    return { send: await fibers((n) => client(n).send("SET", key, value)) }
  }
}

/** What a process can load, by name. */
const loads = {
  "node alone": async () => {},
  "effect/Effect": async () => void await import("effect/Effect"),
  "effect, all of it": async () => void await import("effect"),
  hitless,
  "node-redis": nodeRedis,
  "node-redis, pool": nodeRedisPool,
  ioredis,
  "valkey-glide": valkeyGlide,
  "Effect NodeRedis": effectNodeRedis
}

export type Name = keyof typeof loads

// ----- steps -----

let connect: Connect | void
let client: Client
let replies: Array<Promise<unknown>> = []
const completed = { handoffs: 0 }

/** A failure is told by `Settle`, and must not end the process before. */
const expect = (sent: Promise<unknown>): void => {
  sent.catch(() => {})
  replies.push(sent)
}

/** Longer than any client takes for ten handoffs on loopback. */
const longestHandoffs = 10_000

const handedOff = async (total: number): Promise<void> => {
  const until = performance.now() + longestHandoffs
  while (completed.handoffs < total) {
    if (performance.now() > until) throw new Error(`${completed.handoffs} of ${total} handoffs were completed`)
    await setTimeout(1)
  }
}

/** The highest RSS so far, which Linux tells in KiB. */
const peak = (): number => {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

const read = async (): Promise<Reading> => {
  // What a collection leaves to finalizers and to other threads is done some turns of the event loop later.
  for (let collection = 0; collection < 5; collection++) {
    globalThis.gc!()
    await setTimeout(10)
  }
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
  return { rss, peak: peak(), heap: heapUsed, external, buffers: arrayBuffers }
}

const answer = async (question: Question): Promise<Reading | void> => {
  switch (question._tag) {
    case "Load":
      connect = await loads[process.argv[2] as Name]()
      return
    case "Connect":
      client = await connect!(question.port, question.connections, () => completed.handoffs++)
      return
    case "Open":
      for (const reply of await client.open?.() ?? []) expect(reply)
      return
    case "Send":
      return expect(client.send(question.commands))
    case "Settle":
      await Promise.all(replies)
      replies = []
      return
    case "Handoffs":
      return handedOff(question.total)
    case "Read":
      return read()
  }
}

process.once("disconnect", () => process.exit())
process.on("message", (question: Question) =>
  answer(question).then(
    (value): Answer<Reading | void> => ({ _tag: "Done", value }),
    (error): Answer<Reading | void> => ({ _tag: "Failed", reason: String(error).split("\n")[0]! })
  ).then((told) => process.send!(told)))
