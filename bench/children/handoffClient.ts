/**
 * The process of a client whose connections move: `handoffClient.ts <name> <port> <connections>`, forked by
 * `parts/handoff.ts`. It opens all its connections, then runs the loads it is asked for.
 *
 * The load is an open loop: commands are due at the beginning of each millisecond, whatever became of those before, and
 * a latency counts from that moment. So what a stall keeps from being sent is not left out of the figures, and neither
 * is what the loop itself is late: its timers and garbage collections are in every phase of every client alike.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { createClient } from "redis"
import { HitlessRedis } from "../../src/HitlessRedis.ts"
import * as NodeHitlessRedis from "../../src/node/NodeHitlessRedis.ts"
import { busyAt } from "../../src/Pool.ts"
import { serve } from "../kit/child.ts"
import { attempt, type BenchFailure, fail } from "../kit/failure.ts"
import { host } from "../kit/server.ts"

/** Asks for the highest rate, or for a load of so many commands per second. */
export type Question =
  | { readonly _tag: "Saturate"; readonly seconds: number }
  | { readonly _tag: "Load"; readonly commandsPerSecond: number; readonly seconds: number }

/** What one load met. Times are milliseconds. */
export interface Phase {
  readonly replies: number
  readonly failed: number
  /** Replied to and not executed; executed more often than sent. */
  readonly lost: number
  readonly doubled: number
  /** Why the first command failed that did. */
  readonly failure: string | undefined
  /** The longest time without a reply while one was due, and when it ended. */
  readonly longestGap: number
  readonly longestGapAt: number
  readonly longest: number
  /** Latencies with how many commands had them, in buckets. */
  readonly histogram: ReadonlyArray<readonly [millis: number, commands: number]>
  /** For each 10 ms of the phase: the longest latency of the commands due then, and the replies that came then. */
  readonly latencies: ReadonlyArray<number>
  readonly arrivals: ReadonlyArray<number>
}

// ----- clients -----

/** What the loads need of a client: they are ended by callbacks, so that a promise or a fiber is the client's own. */
interface Client {
  readonly increment: (onReply: () => void, onFailure: (failure: unknown) => void) => void
  /** What the server has counted. */
  readonly count: Effect.Effect<number, unknown>
}

const counter = "counter"

const hitless = Effect.fnUntraced(function*(port: number, connections: number) {
  const context = yield* Layer.build(NodeHitlessRedis.layer({ host, port, poolSize: connections }))
  const redis = Context.get(context, HitlessRedis)
  const opened = Effect.map(redis.status, ({ slots }) => slots.filter(({ endpoint }) => endpoint !== undefined).length)
  // A blocking pop and what waits behind it: a connection is busy with it, and the server is not.
  const pings = Array.from({ length: busyAt - 1 }, () => ["PING"] as const)
  const busy: Array<Fiber.Fiber<unknown, unknown>> = []
  for (let open = yield* opened; open < connections; open = yield* opened) {
    // The first goes to the newest connection; the second finds all of them busy.
    busy.push(
      yield* Effect.forkChild(redis.pipeline([["BLPOP", "nothing", 1], ...pings])),
      yield* Effect.forkChild(redis.send("PING"))
    )
    yield* Effect.repeat(Effect.delay(opened, "1 millis"), { until: (now) => now > open }).pipe(
      Effect.timeoutOption("1 second")
    )
  }
  yield* Fiber.awaitAll(busy)

  const increment = redis.send("INCR", counter)
  const runFork = Effect.runForkWith(context)
  const client: Client = {
    // A fiber for each command, as the requests of a service are.
    increment: (onReply, onFailure) =>
      runFork(increment).addObserver((exit) => Exit.isSuccess(exit) ? onReply() : onFailure(exit.cause)),
    count: Effect.map(redis.send("GET", counter), Number)
  }
  return client
})

/**
 * node-redis, whose maintenance notifications are on by default. As many clients as connections take turns, because its
 * own pool has one command on a connection at a time. Its deadlines are off: with them gaps of a quiet phase were 80 to
 * 680 ms at 134,000 commands/s on 10 connections, and the load would be too much for it before anything moves.
 */
const nodeRedis = Effect.fnUntraced(function*(port: number, connections: number) {
  const clients = yield* Effect.forEach(
    Array.from({ length: connections }),
    () =>
      Effect.acquireRelease(
        attempt("connecting", async () => {
          const client = createClient({ commandOptions: { timeout: 0 }, socket: { host, port } })
          client.on("error", () => {})
          await client.connect()
          return client
        }),
        (client) => Effect.sync(() => client.destroy())
      ),
    { concurrency: "unbounded" }
  )
  let turn = 0
  const client: Client = {
    increment: (onReply, onFailure) => {
      clients[turn++ % connections]!.incr(counter).then(onReply, onFailure)
    },
    count: Effect.map(attempt("GET", () => clients[0]!.get(counter)), Number)
  }
  return client
})

const open: Record<string, (port: number, connections: number) => Effect.Effect<Client, unknown, Scope.Scope>> = {
  hitless,
  "node-redis, timeout 0": nodeRedis
}

// ----- loads -----

/**
 * Commands in flight when the highest rate is looked for. With 300 both clients come to higher rates, but at 80% of those
 * the open loop runs away from node-redis: latencies of a second in quiet phases, on 1 and on 10 connections.
 */
const mostInFlight = 100

/** Commands per second when each reply is followed by the next command. */
const saturate = Effect.fnUntraced(function*(client: Client, seconds: number) {
  const before = yield* client.count
  const [replies, millis] = yield* Effect.callback<readonly [replies: number, millis: number], BenchFailure>(
    (resume) => {
      const startedAt = performance.now()
      const endsAt = startedAt + seconds * 1000
      let replies = 0
      let inFlight = mostInFlight
      const onFailure = (failure: unknown) => resume(fail(`INCR: ${failure}`))
      const onReply = (): void => {
        replies++
        const now = performance.now()
        if (now < endsAt) client.increment(onReply, onFailure)
        else if (--inFlight === 0) resume(Effect.succeed([replies, now - startedAt]))
      }
      for (let i = 0; i < mostInFlight; i++) client.increment(onReply, onFailure)
    }
  )
  // A client that replied by itself would set the rate of all.
  const executed = (yield* client.count) - before
  if (executed !== replies) return yield* fail(`${replies} replies to ${executed} commands`)
  return (replies / millis) * 1000
})

/** Buckets per doubling of the latency: two neighbours are 4.4% apart. */
const resolution = 16
/** Milliseconds per point of the time series. */
const step = 10

class Load {
  private readonly millis: number
  private readonly perMilli: number
  private readonly startedAt = performance.now()
  private nextMilli = 0
  private sent = 0
  private replies = 0
  private failed = 0
  private failure: string | undefined
  /** The later of the last reply and the moment since which a reply has been due. */
  private silentSince = this.startedAt
  private longestGap = 0
  private longestGapAt = 0
  private longest = 0
  // From 1 µs to a minute, which is 2^26 µs.
  private readonly histogram = new Float64Array(26 * resolution)
  private readonly latencies: Float64Array
  private readonly arrivals: Float64Array
  private readonly client: Client
  private readonly onEnd: () => void

  constructor(client: Client, commandsPerSecond: number, seconds: number, onEnd: () => void) {
    this.client = client
    this.onEnd = onEnd
    this.millis = seconds * 1000
    this.perMilli = commandsPerSecond / 1000
    // What comes later than ten seconds after the end counts for the last point.
    this.latencies = new Float64Array((this.millis + 10_000) / step)
    this.arrivals = new Float64Array(this.latencies.length)
    this.tick()
  }

  /** Sends what has become due. */
  private readonly tick = (): void => {
    const now = performance.now() - this.startedAt
    while (this.nextMilli <= now && this.nextMilli < this.millis) this.send(this.nextMilli++)
    if (this.nextMilli < this.millis) setTimeout(this.tick, 1)
    else this.endIfDone()
  }

  private send(milli: number): void {
    const due = this.startedAt + milli
    const onReply = () => this.onReply(due)
    if (this.replies + this.failed === this.sent) this.silentSince = Math.max(this.silentSince, due)
    const upTo = Math.floor((milli + 1) * this.perMilli)
    while (this.sent < upTo) {
      this.sent++
      this.client.increment(onReply, this.onFailure)
    }
  }

  private onReply(due: number): void {
    const now = performance.now()
    this.replies++
    const latency = now - due
    this.histogram[Math.log2(latency * 1000 + 1) * resolution | 0]!++
    if (latency > this.longest) this.longest = latency
    if (now - this.silentSince > this.longestGap) {
      this.longestGap = now - this.silentSince
      this.longestGapAt = now - this.startedAt
    }
    this.silentSince = now
    const at = this.pointAt(due)
    if (latency > this.latencies[at]!) this.latencies[at] = latency
    this.arrivals[this.pointAt(now)]!++
    this.endIfDone()
  }

  private readonly onFailure = (failure: unknown): void => {
    this.failed++
    this.failure ??= String(failure)
    this.endIfDone()
  }

  private pointAt(time: number): number {
    return Math.min((time - this.startedAt) / step | 0, this.arrivals.length - 1)
  }

  private endIfDone(): void {
    if (this.nextMilli === this.millis && this.replies + this.failed === this.sent) this.onEnd()
  }

  /** `executed` is how often the server has counted meanwhile. */
  finish(executed: number): Phase {
    const points = this.arrivals.findLastIndex((count) => count > 0) + 1
    return {
      replies: this.replies,
      failed: this.failed,
      lost: Math.max(0, this.replies - executed),
      doubled: Math.max(0, executed - this.sent),
      failure: this.failure,
      longestGap: this.longestGap,
      longestGapAt: this.longestGapAt,
      longest: this.longest,
      histogram: Array.from(this.histogram).flatMap((commands, bucket) =>
        commands === 0 ? [] : [[(2 ** ((bucket + 0.5) / resolution) - 1) / 1000, commands] as const]
      ),
      latencies: Array.from(this.latencies.subarray(0, points), (millis) => Math.round(millis * 1000) / 1000),
      arrivals: Array.from(this.arrivals.subarray(0, points))
    }
  }
}

const load = Effect.fnUntraced(function*(client: Client, commandsPerSecond: number, seconds: number) {
  const before = yield* client.count
  // Nobody pays for the garbage of the phase before. The flag is given by `kit/child.ts`.
  globalThis.gc?.()
  const ended = yield* Effect.callback<Load>((resume) => {
    const load: Load = new Load(client, commandsPerSecond, seconds, () => resume(Effect.sync(() => load)))
  })
  return ended.finish((yield* client.count) - before)
})

const program = Effect.gen(function*() {
  const [name, port, connections] = process.argv.slice(2)
  const client = yield* open[name!]!(Number(port), Number(connections))
  return yield* serve((question: Question): Effect.Effect<number | Phase, unknown> =>
    question._tag === "Saturate"
      ? saturate(client, question.seconds)
      : load(client, question.commandsPerSecond, question.seconds)
  )
})

NodeRuntime.runMain(Effect.scoped(program))
