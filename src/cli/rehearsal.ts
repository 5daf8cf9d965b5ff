/**
 * One run of the demo: a fresh deployment, one client, the workload, and the upgrade; and at the end the check of every
 * counter.
 *
 * The two runs that are compared differ in `maintenance.mode` alone. Everything a run opens lives in its scope: the
 * client is closed first, then the deployment.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Options } from "../Config.ts"
import type { HandoffEvent } from "../Handoff.ts"
import * as HitlessRedis from "../HitlessRedis.ts"
import { frameNames, type Notification } from "../Notifications.ts"
import { databaseName } from "../testing/MaintenancePlan.ts"
import type { LogEntry } from "../testing/SimulatedRedis.ts"
import { Transport } from "../Transport.ts"
import * as Display from "./display.ts"
import { deploy, type Deployment, phases, play } from "./scenario.ts"
import { audit, CommandLog, type Mark, type Run, type Span } from "./statistics.ts"
import type { Upstream } from "./upstream.ts"
import * as Workload from "./workload.ts"

/**
 * What a run is told.
 *
 * @category models
 * @since 0.1.0
 */
export interface RehearsalOptions {
  readonly mode: Run["mode"]
  readonly seconds: number
  readonly seed: number
  readonly upstream: Upstream | undefined
}

/**
 * Time from call to reply in both runs: shorter than the stalls of the scenario, so that only relaxed timeouts save the
 * commands that meet one, and longer than the pauses of a busy machine.
 *
 * @category constants
 * @since 0.1.0
 */
export const commandTimeout = Duration.millis(750)

// Announced times are 1 s instead of the usual 15 s, and so is what belongs to them.
const handoffTimeout = Duration.seconds(2)

const announced = (notification: Notification, at: number): Mark => ({
  kind: "announced",
  at,
  label: `${frameNames[notification._tag]} ${notification.seq}`
})

const handoff = (event: HandoffEvent, at: number, nameOf: Deployment["nameOf"]): ReadonlyArray<Mark> => {
  switch (event._tag) {
    case "Queued":
    case "Started":
    case "Superseded":
      return []
    case "Retried":
      return [{ kind: "handoff", at, label: `attempt ${event.attempt - 1} failed` }]
    case "Completed":
    case "Failed": {
      const took = Duration.toMillis(event.duration)
      const what = event._tag === "Completed" ? "handed off" : "handoff failed"
      return [{ kind: "handoff", at, took, label: `${what} to ${nameOf(event.to)}, ${took} ms` }]
    }
  }
}

/** The deployment's side, where it is not what the client was told anyway. */
const happened = ({ event, node }: LogEntry, at: number): ReadonlyArray<Mark> => {
  const mark = (label: string, more?: Pick<Mark, "cuts" | "lasts">): ReadonlyArray<Mark> => [
    { kind: "deployment", at, label, ...more }
  ]
  switch (event._tag) {
    case "Announced":
      return event.connections === 0 ? [{ kind: "unheard", at, label: `${event.push} ${event.seq}` }] : []
    case "Retired":
      return mark(`${node} retires, closes ${event.connections}`, { cuts: event.connections })
    case "Stalled":
      return mark(`${node} stalls ${event.millis} ms`, { lasts: event.millis })
    case "Refusing":
      return mark(`${node} refuses`)
    case "Accepting":
      return mark(`${node} accepts`)
    default:
      return []
  }
}

/**
 * Makes one run.
 *
 * @category running
 * @since 0.1.0
 */
export const rehearse = Effect.fnUntraced(function*(options: RehearsalOptions) {
  const { mode, seconds, seed, upstream } = options
  const clock = yield* Clock.Clock
  const deployment = yield* deploy(upstream?.config)
  const connect = (options: Options) =>
    HitlessRedis.make({ ...(upstream === undefined ? {} : { url: upstream.url }), ...options }).pipe(
      Effect.provideService(Transport, deployment.transport)
    )
  /** Asks beside the client that is rehearsed. */
  const ask = <A>(command: string, args: ReadonlyArray<string>) =>
    connect({ ...(upstream === undefined ? { host: databaseName } : {}), maintenance: { mode: "disabled" } }).pipe(
      Effect.flatMap((redis) => redis.send<A>(command, ...args)),
      Effect.scoped
    )
  const redis = yield* connect({
    host: databaseName,
    port: 6379,
    tls: false,
    commandTimeout,
    // The disabled run loses connections by design, which is no news.
    maintenance: { mode, handoffTimeout, logLevel: "Error" }
  })

  const log = new CommandLog()
  const spans: Array<Span> = []
  const marks: Array<Mark> = []
  const startedAt = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const elapsed = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6 - startedAt
  const workload = Workload.make({
    redis,
    clock,
    startedAt,
    log,
    seed,
    prefix: `hitless:demo:${clock.currentTimeMillisUnsafe()}:${mode}:`
  })
  const length = seconds * 1000

  yield* Effect.addFinalizer(() => Effect.ignore(ask("DEL", workload.keys)))
  yield* redis.notifications.pipe(
    Stream.runForEach((notification) => Effect.sync(() => marks.push(announced(notification, elapsed())))),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* redis.handoffs.pipe(
    Stream.runForEach((event) => Effect.sync(() => marks.push(...handoff(event, elapsed(), deployment.nameOf)))),
    Effect.forkScoped({ startImmediately: true })
  )
  let seen = 0
  const collect = Effect.map(deployment.nodes.log, (events) => {
    for (const event of events.slice(seen)) marks.push(...happened(event, event.at - startedAt))
    seen = events.length
  })

  yield* Effect.scoped(Effect.gen(function*() {
    yield* Display.show({ mode, length, elapsed, log, marks, status: redis.status }, collect)
    const load = yield* Effect.forkChild(workload.run, { startImmediately: true })
    yield* play(deployment, phases(seconds), (phase, at) =>
      Effect.sync(() => {
        const from = at - startedAt
        const last = spans.pop()
        if (last !== undefined) spans.push({ ...last, to: from })
        if (phase === undefined) return
        spans.push({ name: phase.name, from, to: length })
        marks.push({ kind: "phase", at: from, label: `${phase.name}: ${phase.note}` })
      }))
    yield* workload.stop
    yield* Fiber.join(load)
  }))

  const stored = new Map<string, number>()
  const keys = [...workload.counters.keys()]
  const values = yield* ask<ReadonlyArray<string | null>>("MGET", keys)
  keys.forEach((key, index) => stored.set(key, Number(values[index] ?? 0)))
  const run: Run = {
    mode,
    length,
    log,
    spans,
    marks: marks.toSorted((one, other) => one.at - other.at),
    audit: audit(workload.counters, (key) => stored.get(key) ?? 0),
    wrongReads: workload.wrongReads()
  }
  return run
}, Effect.scoped)
