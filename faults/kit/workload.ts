/**
 * What users do with a client all the time: on connections that many share, on reserved ones, on such as wait, and on the
 * one that subscriptions are heard on. Everything is entered in a ledger.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { HitlessError, HitlessRedis } from "hitless"
import type { Admin } from "./admin.ts"
import type { Kind, Ledger } from "./ledger.ts"

export type Client = HitlessRedis.HitlessRedis["Service"]

export interface Options {
  /** Milliseconds that a call may take from beginning to end. */
  readonly allowed: number
  /** How many fibers share connections. */
  readonly sharing: number
  /** Where jobs and messages come from: past the network, and to another server after a failover. */
  readonly source: () => Admin
  /** Of how many milliseconds each pause is that is one as it comes. Default: 1. */
  readonly pace?: number
}

/** How long commands wait on the server, in milliseconds. */
const waits = 200

/** What is read: `fixed:3` holds `value 3`. */
export const fixed = 16

export interface Workload {
  /** Asks for nothing more, and keeps every connection; `false` goes on. */
  readonly pause: (isPaused: boolean) => Effect.Effect<void>
  /** Ends every loop; done when each has had the end of its call. */
  readonly stop: Effect.Effect<void>
}

export const startWorkload = (
  redis: Client,
  ledger: Ledger,
  { allowed, pace = 1, sharing, source }: Options
): Effect.Effect<Workload, never, Scope.Scope> =>
  Effect.gen(function*() {
    const state = { isWorking: true, isPaused: false, turn: 0 }

    /** One call, entered with what it writes; `check` says what is wrong with its reply. */
    const call = <A>(
      kind: Kind,
      effect: Effect.Effect<A, HitlessError.HitlessError>,
      ids: ReadonlyArray<string>,
      check: (reply: A) => string | undefined,
      time = allowed
    ) =>
      Effect.gen(function*() {
        const began = ledger.begin()
        const exit = yield* Effect.exit(effect)
        ledger.took(kind, began, time)
        if (Exit.isFailure(exit)) {
          if (Cause.hasInterruptsOnly(exit.cause)) return
          ledger.fail(kind, Cause.squash(exit.cause), ids)
          yield* Effect.sleep(5 * pace)
          return
        }
        const wrong = check(exit.value)
        if (wrong !== undefined) ledger.wrong(kind, wrong)
        ledger.succeeded(kind, began)
      })

    const shown = (reply: unknown) => JSON.stringify(reply)?.slice(0, 60)

    const write = (kind: Kind, commands: HitlessRedis.Sender) => {
      const id = ledger.unique()
      return call(kind, commands.send("RPUSH", "written", id), [id], (length) => {
        ledger.acknowledge(id)
        return typeof length === "number" && length > 0 ? undefined : `RPUSH answered ${shown(length)}`
      })
    }

    const read = (kind: Kind, commands: HitlessRedis.Sender) => {
      const index = state.turn++ % fixed
      return call(
        kind,
        commands.send("GET", `fixed:${index}`),
        [],
        (value) => value === `value ${index}` ? undefined : `GET fixed:${index} answered ${shown(value)}`
      )
    }

    const batch = (kind: Kind, commands: HitlessRedis.Sender, how: "pipeline" | "transaction") => {
      const ids = [ledger.unique(), ledger.unique()]
      return call(
        kind,
        commands[how]([["RPUSH", "written", ids[0]], ["GET", "fixed:0"], ["RPUSH", "written", ids[1]]]),
        ids,
        (results) => {
          if (results.length !== 3) return `${how} of 3 answered ${results.length}`
          for (const [index, id] of [[0, ids[0]], [2, ids[1]]] as const) {
            const result = results[index]
            if (Result.isSuccess(result)) ledger.acknowledge(id)
            else ledger.fail(kind, result.failure, [id], how === "pipeline")
          }
          const value = results[1]
          return Result.isSuccess(value) && value.success !== "value 0"
            ? `GET answered ${shown(value.success)}`
            : undefined
        }
      )
    }

    const turn = (kind: Kind, commands: HitlessRedis.Sender, number: number) =>
      number % 5 === 1
        ? write(kind, commands)
        : number % 10 === 3
        ? batch(kind, commands, "pipeline")
        : number % 10 === 8
        ? batch(kind, commands, "transaction")
        : read(kind, commands)

    const loop = (body: (number: number) => Effect.Effect<unknown>, pause: number) =>
      Effect.gen(function*() {
        for (let number = 0; state.isWorking; number++) {
          if (!state.isPaused) yield* body(number)
          yield* Effect.sleep(pause * pace)
        }
      })

    const take = <A>(use: (own: HitlessRedis.Sender) => Effect.Effect<A>) =>
      Effect.scoped(Effect.gen(function*() {
        const began = ledger.begin()
        const own = yield* Effect.exit(redis.reserve)
        ledger.took("reserved", began, allowed)
        if (Exit.isSuccess(own)) yield* use(own.value)
        else {
          ledger.fail("reserved", Cause.squash(own.cause), [])
          yield* Effect.sleep(5 * pace)
        }
      }))

    const wait = call(
      "blocking",
      redis.send<string | null>("BLMOVE", "jobs", "taken", "LEFT", "RIGHT", waits / 1000),
      [],
      (job) => {
        if (typeof job === "string" && job.startsWith("job ")) ledger.receive(job)
        else if (job !== null) return `BLMOVE answered ${shown(job)}`
        return undefined
      },
      allowed + waits
    )

    const listen = Effect.gen(function*() {
      while (state.isWorking) {
        const exit = yield* Stream.runForEach(redis.subscribe("news"), (message) =>
          Effect.sync(() =>
            ledger.hear(message._tag === "Gap" ? message.why : Number(message.message.split(" ")[0]))
          )).pipe(Effect.exit)
        if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return
        if (Exit.isFailure(exit)) ledger.fail("subscribing", Cause.squash(exit.cause), [])
        ledger.hear("lost")
        yield* Effect.sleep(5 * pace)
      }
    })

    const feed = loop(() =>
      Effect.gen(function*() {
        yield* Effect.ignore(source().send("RPUSH", "jobs", ledger.nextJob()))
        const message = ledger.nextMessage()
        // Entered before it can be heard.
        ledger.publish(message)
        const exit = yield* Effect.exit(source().send("PUBLISH", "news", message))
        if (Exit.isFailure(exit)) ledger.unpublish(message)
      }), 12)

    const running = yield* Effect.forEach([
      ...Array.from({ length: sharing }, () => loop((number) => turn("shared", redis, number), 6)),
      loop(() => take((own) => loop((number) => turn("reserved", own, number), 8)), 8),
      loop(() => take((own) => Effect.andThen(read("reserved", own), write("reserved", own))), 20),
      loop(() => wait, 5),
      loop(() => wait, 5)
    ], (fiber) => Effect.forkScoped(fiber))
    const listening = yield* Effect.forkScoped(listen)
    yield* Effect.forkScoped(feed)
    return {
      pause: (isPaused) =>
        Effect.sync(() => {
          state.isPaused = isPaused
        }),
      stop: Effect.gen(function*() {
        state.isWorking = false
        yield* Fiber.awaitAll(running)
        yield* Fiber.interrupt(listening)
      })
    }
  })
