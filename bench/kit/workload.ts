/**
 * What is measured: the cells, the data they need, and the loops that keep commands in flight.
 *
 * A cell is a command, a size of value and a number of workers. Each worker sends, waits for the reply, and sends again
 * until the time is over; what is in flight then is still counted, and the clock stops at the last reply. A command costs
 * the loop one look at the clock and one bucket of a histogram; nothing is allocated for it.
 */
import * as Effect from "effect/Effect"
import { isDeepStrictEqual } from "node:util"
import type { Client, Commands } from "./contestants.ts"
import { attempt, type BenchFailure, fail } from "./failure.ts"

// ----- cells -----

const commands = ["GET", "SET", "GET 80% SET 20%", "INCR", "HGETALL", "MGET", "PIPELINE"] as const

export interface Cell {
  readonly command: typeof commands[number]
  /** Bytes per value. */
  readonly size: number
  readonly concurrency: number
}

const kib = 1024
const mib = 1024 * kib

/** Keys per `MGET`, and commands per pipeline. */
const batch = 100
const fields = 20

const sizeName = (size: number): string =>
  size >= mib ? `${size / mib} MiB` : size >= kib ? `${size / kib} KiB` : `${size} B`

/** Such as `GET 16 B × 100`. */
export const nameOf = ({ command, concurrency, size }: Cell): string => {
  const what = command === "GET" || command === "SET" || command === "GET 80% SET 20%"
    ? `${command} ${sizeName(size)}`
    : command === "HGETALL"
    ? `HGETALL of ${fields}`
    : command === "MGET"
    ? `MGET of ${batch}`
    : command === "PIPELINE"
    ? `pipeline of ${batch} GET`
    : command
  return `${what} × ${concurrency.toLocaleString("en")}`
}

/** How many commands one call sends. */
export const commandsPerCall = (cell: Cell): number => cell.command === "PIPELINE" ? batch : 1

const cells = (command: Cell["command"], size: number, concurrencies: ReadonlyArray<number>): Array<Cell> =>
  concurrencies.map((concurrency) => ({ command, size, concurrency }))

const concurrencies = [1, 10, 100, 1000, 10_000]

/** Commands in flight at once, at most: a pipeline by 10,000 workers would be a million. */
const mostCommands = 100_000
/** Bytes of values in flight at once, at most: 10,000 values of 1 MiB would be 10 GiB in the server's buffers. */
const mostBytes = 100 * mib

const isReasonable = (cell: Cell): boolean =>
  cell.concurrency * commandsPerCall(cell) <= mostCommands && cell.concurrency * cell.size <= mostBytes

/** Every cell that fits into memory. */
export const allCells: ReadonlyArray<Cell> = [
  ...commands.flatMap((command) => cells(command, 16, concurrencies)),
  ...[kib, 64 * kib, mib].flatMap((size) => [
    ...cells("GET", size, concurrencies),
    ...cells("SET", size, concurrencies)
  ])
].filter(isReasonable)

/** The cells of a quick run: each concurrency once, each command and size once. */
export const quickCells: ReadonlyArray<Cell> = [
  ...cells("GET", 16, concurrencies),
  ...cells("SET", 16, [100]),
  ...cells("GET 80% SET 20%", 16, [100]),
  ...cells("INCR", 16, [100]),
  ...cells("HGETALL", 16, [100]),
  ...cells("MGET", 16, [10]),
  ...cells("PIPELINE", 16, [10]),
  ...cells("GET", kib, [100]),
  ...cells("GET", 64 * kib, [10]),
  ...cells("SET", 64 * kib, [10]),
  ...cells("GET", mib, [10]),
  ...cells("SET", mib, [10])
]

// ----- data -----

const sizes = Array.from(new Set(allCells.map(({ size }) => size)))

/** ASCII, so that its length is its size. */
const valueOf = (size: number): string => "0123456789abcdef".repeat(size / 16)

/** The key that `GET`s of a size read. */
export const readKey = (size: number): string => `read:${size}`
/** The key that `SET`s of a size write. */
const writeKey = (size: number): string => `write:${size}`
const counterKey = "counter"
const hashKey = "hash"
const batchKeys = Array.from({ length: batch }, (_, index) => `batch:${index}`)

const batchValues = batchKeys.map((_, index) => String(index).padStart(16, "0"))
const hash = Object.fromEntries(
  Array.from({ length: fields }, (_, index) => [`field:${index}`, String(index).padStart(16, "0")])
)

/** The commands that write what the cells read. */
export const preparation: ReadonlyArray<readonly [command: string, ...args: ReadonlyArray<string>]> = [
  ...sizes.map((size) => ["SET", readKey(size), valueOf(size)] as const),
  ["MSET", ...batchKeys.flatMap((key, index) => [key, batchValues[index]!])],
  ["HSET", hashKey, ...Object.entries(hash).flat()]
]

// ----- operations -----

/** The call that a worker of the cell repeats. */
const callOf = <A>(commands: Commands<A>, { command, size }: Cell): () => A => {
  const from = readKey(size)
  const to = writeKey(size)
  const value = valueOf(size)
  switch (command) {
    case "GET":
      return () => commands.get(from)
    case "SET":
      return () => commands.set(to, value)
    case "GET 80% SET 20%": {
      let calls = 0
      return () => calls++ % 5 === 0 ? commands.set(to, value) : commands.get(from)
    }
    case "INCR":
      return () => commands.incr(counterKey)
    case "HGETALL":
      return () => commands.hgetall(hashKey)
    case "MGET":
      return () => commands.mget(batchKeys)
    case "PIPELINE":
      return () => commands.pipeline(batchKeys)
  }
}

/** Fails unless the client replies what the server has, with what it wrote read back. */
export const verify = (client: Client, { command, size }: Cell): Effect.Effect<void, unknown> => {
  const run = (call: (commands: Commands<never>) => unknown): Effect.Effect<unknown, unknown> => {
    const pending = call(client.commands as Commands<never>)
    return Effect.isEffect(pending)
      ? pending as Effect.Effect<unknown, unknown>
      : attempt(command, () => pending as Promise<unknown>)
  }
  const expect = (what: string, reply: unknown, expected: unknown): Effect.Effect<void, BenchFailure> =>
    isDeepStrictEqual(reply, expected)
      ? Effect.void
      : fail(`${what} replied ${JSON.stringify(reply)?.slice(0, 200)}`)
  return Effect.gen(function*() {
    switch (command) {
      case "GET":
        return yield* expect("GET", yield* run((_) => _.get(readKey(size))), valueOf(size))
      case "SET":
      case "GET 80% SET 20%": {
        // Not the value that is measured: that one may be there already.
        const value = valueOf(size).replace(/^0/, String.fromCharCode(97 + Math.floor(Math.random() * 26)))
        yield* expect("SET", yield* run((_) => _.set(writeKey(size), value)), "OK")
        return yield* expect("GET", yield* run((_) => _.get(writeKey(size))), value)
      }
      case "INCR": {
        const before = yield* run((_) => _.incr(counterKey))
        return yield* expect("INCR", yield* run((_) => _.incr(counterKey)), Number(before) + 1)
      }
      case "HGETALL": {
        const reply = yield* run((_) => _.hgetall(hashKey))
        return yield* expect("HGETALL", { ...(client.readHash?.(reply as never) ?? reply as object) }, hash)
      }
      case "MGET":
        return yield* expect("MGET", yield* run((_) => _.mget(batchKeys)), batchValues)
      case "PIPELINE": {
        const reply = yield* run((_) => _.pipeline(batchKeys))
        return yield* expect("the pipeline", client.readPipeline?.(reply as never) ?? reply, batchValues)
      }
    }
  })
}

// ----- measuring -----

/** What one run of a cell gave. Times are milliseconds, CPU is microseconds of the client's whole process. */
export interface Sample {
  readonly commandsPerSecond: number
  readonly cpuPerCommand: number
  readonly p50: number
  readonly p99: number
}

/** Buckets per doubling of the latency: two neighbours are 2.2% apart. */
const resolution = 32

class Run {
  readonly endsAt: number
  calls = 0
  private readonly startedAt = performance.now()
  private endedAt = this.startedAt
  private readonly cpu = process.cpuUsage()
  // From 1 µs to a minute, which is 2^26 µs.
  private readonly histogram = new Float64Array(26 * resolution)

  constructor(seconds: number) {
    this.endsAt = this.startedAt + seconds * 1000
  }

  /** Notes the end of a call that began at `startedAt`, and gives the time. */
  record(startedAt: number): number {
    const now = performance.now()
    this.calls++
    this.histogram[Math.log2((now - startedAt) * 1000 + 1) * resolution | 0]!++
    this.endedAt = now
    return now
  }

  finish(cell: Cell): Sample {
    const cpu = process.cpuUsage(this.cpu)
    const commands = this.calls * commandsPerCall(cell)
    return {
      commandsPerSecond: commands / (this.endedAt - this.startedAt) * 1000,
      cpuPerCommand: (cpu.user + cpu.system) / commands,
      p50: this.percentile(0.5),
      p99: this.percentile(0.99)
    }
  }

  private percentile(part: number): number {
    let left = part * this.calls
    const bucket = this.histogram.findIndex((count) => (left -= count) <= 0)
    return (2 ** ((bucket + 0.5) / resolution) - 1) / 1000
  }
}

const promiseWorker = async (call: () => Promise<unknown>, run: Run): Promise<void> => {
  let now = performance.now()
  while (now < run.endsAt) {
    await call()
    now = run.record(now)
  }
}

const fiberWorker = (call: () => Effect.Effect<unknown, unknown>, run: Run): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    let now = performance.now()
    return Effect.whileLoop({
      while: () => now < run.endsAt,
      body: call,
      step: () => {
        now = run.record(now)
      }
    })
  })

/** Runs a cell once. */
export const measure = (client: Client, cell: Cell, seconds: number): Effect.Effect<Sample, unknown> =>
  Effect.gen(function*() {
    const workers = Array.from({ length: cell.concurrency }, (_, index) => index)
    // Nobody pays for the garbage of the run before. The flag is given by `parts/throughput.ts`.
    globalThis.gc?.()
    const run = new Run(seconds)
    if (client.style === "promises") {
      const call = callOf(client.commands, cell)
      yield* attempt(cell.command, () => Promise.all(workers.map(() => promiseWorker(call, run))))
    } else {
      const call = callOf(client.commands, cell)
      yield* Effect.forEach(workers, () => fiberWorker(call, run), { concurrency: "unbounded", discard: true })
    }
    return run.finish(cell)
  })
