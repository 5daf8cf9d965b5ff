/**
 * The process of one comparison: `overhead.ts <name> <port>`, forked by `parts/overhead.ts`. It opens two
 * clients, and runs their turns, as often as it is asked.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Socket from "effect/socket/Socket"
import { getHeapStatistics } from "node:v8"
import * as TypedCommands from "../../src/Commands.ts"
import * as HitlessRedis from "../../src/HitlessRedis.ts"
import { OperationDurations } from "../../src/Metrics.ts"
import * as NodeTransport from "../../src/node/NodeTransport.ts"
import { Transport } from "../../src/Transport.ts"
import { serve } from "../kit/child.ts"
import type { Client, Commands } from "../kit/contestants.ts"
import { host } from "../kit/server.ts"
import { type Cell, measure, type Sample, verify } from "../kit/workload.ts"
import { type Comparison, comparisons, type Variant } from "../parts/overhead.ts"

/** Opens the two clients anew, and runs pairs of turns of a cell. */
export interface Question {
  readonly cell: Cell
  /** The one to open first. */
  readonly first: keyof Pair
  readonly pairs: number
  /** Seconds of one turn, and of what each client runs before the first. */
  readonly turn: number
  readonly warmUp: number
}

/** What one turn gave. */
export interface Turn extends Sample {
  /** Bytes by which the heap grew per command; not positive if garbage was collected meanwhile. */
  readonly heapPerCommand: number
}

/** Two turns, one right after the other. */
export interface Pair {
  readonly without: Turn
  readonly with: Turn
}

// ----- a server that grants notifications -----

const askForNotifications = /\*5\r\n\$6\r\nCLIENT\r\n\$19\r\nMAINT_NOTIFICATIONS\r\n(?:\$\d+\r\n[\w-]+\r\n){3}/
// Its reply is `OK` too, it changes nothing, and replies keep their order.
const replyOn = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n"

/** In the first write, which is the handshake, puts a command that every server grants for the one it may not know. */
const grant = (writer: Socket.Writer): Socket.Writer => {
  let isFirst = true
  return {
    write: writer.write,
    writeAll: (chunks) => {
      if (!isFirst) return writer.writeAll(chunks)
      isFirst = false
      const burst = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk as Uint8Array))).toString("latin1")
      return writer.write(Buffer.from(burst.replace(askForNotifications, replyOn), "latin1"))
    }
  }
}

/**
 * Node's transport, over which every server seems to grant maintenance notifications: those that anybody can install
 * refuse them, and then there is nothing to compare.
 */
const granting = Layer.effect(
  Transport,
  Effect.map(Transport, (transport) =>
    Transport.of({
      ...transport,
      open: (endpoint, options) =>
        Effect.map(
          transport.open(endpoint, options),
          (socket) => Socket.make({ reader: socket.reader, writer: Effect.map(socket.writer, grant) })
        )
    }))
).pipe(Layer.provide(NodeTransport.layer))

// ----- the two clients -----

/** A connected client that can run a cell. */
const open = Effect.fnUntraced(function*(variant: Variant, transport: Layer.Layer<Transport>, port: number) {
  const context = yield* Layer.build(
    HitlessRedis.layer({ host, port, maintenance: { mode: variant.maintenance } }).pipe(
      Layer.provide(transport),
      Layer.provide(Layer.succeed(OperationDurations, variant.operationDurations))
    )
  )
  const redis = Context.get(context, HitlessRedis.HitlessRedis)
  let commands = 0
  const client: Client = {
    style: "fibers",
    // The one command of the cells.
    commands: {
      get: (key) => {
        commands++
        return variant.typed ? redis.run(TypedCommands.get(key)) : redis.send("GET", key)
      }
    } as Commands<Effect.Effect<unknown, unknown>>
  }
  const run = Effect.fnUntraced(function*(cell: Cell, seconds: number) {
    const before = getHeapStatistics().used_heap_size
    commands = 0
    const measured = measure(client, cell, seconds)
    const sample: Sample = yield* variant.readMetrics
      // In the middle of the turn, where it takes its time from the commands.
      ? Effect.zipWith(measured, Effect.delay(Metric.snapshot, seconds * 500), (sample) => sample, { concurrent: true })
      : measured
    const turn: Turn = { ...sample, heapPerCommand: (getHeapStatistics().used_heap_size - before) / commands }
    return turn
  })
  return { client, run }
})

const runPairs = Effect.fnUntraced(
  function*(comparison: Comparison, port: number, { cell, first, pairs, turn, warmUp }: Question) {
    const transport = comparison.granted ? granting : NodeTransport.layer
    const second = first === "with" ? "without" : "with"
    const clients = {
      [first]: yield* open(comparison[first], transport, port),
      [second]: yield* open(comparison[second], transport, port)
    } as Record<keyof Pair, Effect.Success<ReturnType<typeof open>>>
    for (const { client, run } of Object.values(clients)) {
      yield* verify(client, cell)
      yield* run(cell, warmUp)
    }
    const results: Array<Pair> = []
    for (let pair = 0; pair < pairs; pair++) {
      // Who goes first is a coin's: with any fixed order collections, which come every few turns, would fall into step.
      if (Math.random() < 0.5) {
        results.push({ without: yield* clients.without.run(cell, turn), with: yield* clients.with.run(cell, turn) })
      } else {
        results.push({ with: yield* clients.with.run(cell, turn), without: yield* clients.without.run(cell, turn) })
      }
    }
    return results
  },
  Effect.scoped
)

const program = Effect.gen(function*() {
  const [name, port] = process.argv.slice(2)
  const comparison = comparisons.find((comparison) => comparison.name === name)
  if (comparison === undefined) return yield* Effect.die(new Error(`no comparison is named ${name}`))
  // A collection before each turn, as `measure` has it, takes longer than a turn and leaves cold caches behind.
  globalThis.gc = undefined
  return yield* serve((question: Question) => runPairs(comparison, Number(port), question))
})

NodeRuntime.runMain(program)
