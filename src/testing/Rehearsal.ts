/**
 * What a rehearsal shows about the clients that went through it, as data and as ready assertions.
 *
 * A rehearsal records every command of every `HitlessRedis` client that is made inside it, what the deployment has run,
 * and every handoff of the client that `TestRedis` provides. `report` sums that up at any time; the assertions read the
 * same report and fail with words that show what was expected, what was found and the timeline. Recording never changes
 * what clients do.
 *
 * **Gotchas**
 *
 * Commands that write are told apart by their words: of two equal ones it is known how often they were answered and how
 * often they ran, not which. Give commands that matter arguments of their own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Schema from "effect/Schema"
import type { HitlessError } from "../HitlessError.ts"
import { encoded } from "../internal/printing.ts"
import type { Gap } from "../PubSub.ts"
import { MaintenanceClock } from "./MaintenanceClock.ts"
import { missed } from "./Timeline.ts"

/**
 * A command that failed. A command of a pipeline or a transaction counts by itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedCommand {
  readonly command: string
  readonly at: Duration.Duration
  readonly error: HitlessError
}

/**
 * A command that writes, by its name in capitals and its first key, with how often clients got its answer, how often
 * they could not know whether it ran, and how often it did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tally {
  readonly command: string
  readonly key: string | undefined
  readonly acknowledged: number
  readonly uncertain: number
  readonly executed: number
}

/**
 * A handoff of one slot: `took` from the announcement to its end, of the time that was `announced` for it. `unfinished`
 * when it has not ended, `took` being the time so far.
 *
 * @category models
 * @since 0.1.0
 */
export interface HandoffOutcome {
  /** What its connection is for: commands of all, one user, subscriptions, or a cache. */
  readonly kind: "shared" | "reserved" | "subscriber" | "cache"
  readonly slot: number
  readonly from: string
  readonly to: string
  readonly outcome: "completed" | "superseded" | "failed" | "unfinished"
  readonly announced: Duration.Duration
  readonly took: Duration.Duration
}

/**
 * A gap in what subscriptions heard, of the provided client or any other; `count` is how many messages were dropped.
 *
 * @category models
 * @since 0.1.0
 */
export interface GapHeard extends Omit<Gap, "_tag"> {
  readonly at: Duration.Duration
}

/**
 * What happened so far.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  /** How many requests are over; a pipeline or a transaction is one. */
  readonly requests: number
  /** How many commands of the provided client are waiting or unanswered. */
  readonly pending: number
  readonly failed: ReadonlyArray<FailedCommand>
  /** Every command that writes, equal ones counted together. */
  readonly writes: ReadonlyArray<Tally>
  /** Commands that ran more often than clients asked for. */
  readonly repeated: ReadonlyArray<Tally>
  /** Commands that were answered and did not run. */
  readonly lost: ReadonlyArray<Tally>
  readonly handoffs: ReadonlyArray<HandoffOutcome>
  /** How many notifications of maintenance the provided client heard. */
  readonly announced: number
  /** How often a node announced that its endpoint is left, whoever heard it. */
  readonly moves: number
  /**
   * Whether a request was under way while something happened: an announcement came, a handoff went on, a node stalled,
   * refused commands, or closed connections. One that takes no time is never under way.
   */
  readonly underWay: boolean
  /** What subscriptions were told that they may have missed, or hear twice. */
  readonly gaps: ReadonlyArray<GapHeard>
  /**
   * The longest time from a call to its end, in the rehearsal's time: which command waited, and when it ended. Commands that
   * wait on the server, such as `BLPOP`, are left out.
   */
  readonly longestWait:
    | { readonly command: string; readonly at: Duration.Duration; readonly waited: Duration.Duration }
    | undefined
}

/**
 * What the provided client left open when it was closed: connections and timers.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeftOpen {
  readonly connections: number
  readonly timers: number
}

/**
 * The record of the rehearsal that is going on.
 *
 * @category services
 * @since 0.1.0
 */
export class Rehearsal extends Context.Service<Rehearsal, {
  readonly report: Effect.Effect<Report>
  /** Closes the provided client, time passing for it, and says what it left open. Safe to call again. */
  readonly close: Effect.Effect<LeftOpen>
}>()("hitless/testing/Rehearsal") {}

/**
 * An assertion did not hold: `expected` says which, `found` what was there instead. The message has the timeline too.
 *
 * @category errors
 * @since 0.1.0
 */
export class RehearsalFailed extends Schema.Error<RehearsalFailed>("hitless/testing/RehearsalFailed")({
  _tag: Schema.tag("RehearsalFailed"),
  expected: Schema.String,
  found: Schema.Array(Schema.String),
  timeline: Schema.String
}) {
  override get message(): string {
    const shown = this.found.slice(0, mostShown)
    const rest = this.found.length - shown.length
    return [
      `${this.expected}, but:`,
      ...shown.map((line) => `  ${line}`),
      ...(rest > 0 ? [`  and ${rest} more`] : []),
      "",
      this.timeline
    ].join("\n")
  }
  override toJSON(): object {
    return encoded(this, { expected: this.expected, found: this.found, timeline: this.timeline })
  }
  /** @internal */
  override [NodeInspectSymbol](): unknown {
    return this.stack ?? `${this}`
  }
}

/** So many findings are enough to see what is wrong. */
const mostShown = 10

const check = (
  expected: string,
  find: (rehearsal: Rehearsal["Service"]) => Effect.Effect<ReadonlyArray<string>>
): Effect.Effect<void, RehearsalFailed, Rehearsal | MaintenanceClock> =>
  Effect.gen(function*() {
    const found = yield* find(yield* Rehearsal)
    if (found.length === 0) return
    const { timeline } = yield* MaintenanceClock
    return yield* new RehearsalFailed({ expected, found, timeline: (yield* timeline).text })
  })

const inReport = (expected: string, find: (report: Report) => ReadonlyArray<string>) =>
  check(expected, (rehearsal) => Effect.map(rehearsal.report, find))

const counts = ({ acknowledged, command, executed, key, uncertain }: Tally): string =>
  `${command}${key === undefined ? "" : ` ${key}`}: answered ${acknowledged}, uncertain ${uncertain}, ran ${executed}`

/**
 * Sums up what happened so far.
 *
 * @category getters
 * @since 0.1.0
 */
export const report: Effect.Effect<Report, never, Rehearsal> = Effect.flatMap(Rehearsal, ({ report }) => report)

/**
 * Closes the provided client and says what it left open.
 *
 * @category running
 * @since 0.1.0
 */
export const close: Effect.Effect<LeftOpen, never, Rehearsal> = Effect.flatMap(Rehearsal, ({ close }) => close)

/**
 * Fails unless the rehearsal could have shown something: maintenance was announced to the provided client, one of its
 * connections had to move if any node announced a move, and a request was under way while something happened.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertShown = inReport(
  "the rehearsal can show something",
  ({ announced, handoffs, moves, underWay }) => [
    ...(announced > 0 ? [] : [
      "nothing was announced to the client: no plan was run, none of its nodes announces anything to the client, or the client " +
      "does not listen (maintenance.mode)"
    ]),
    ...(moves === 0 || handoffs.length > 0 ? [] : [
      "no connection had to move: nodes announced that they are left, and the client had no connection to them or did not listen"
    ]),
    ...(underWay ? [] : [
      "no command was under way while something happened: send commands all the time, and give the deployment a latency, " +
      "TestRedis.layer({ latency: \"2 millis\" }), without which they take no time"
    ])
  ]
)

/**
 * Fails unless no command failed.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertNoneFailed = inReport(
  "no command fails",
  ({ failed }) => failed.map(({ at, command, error }) => `${command} at ${Duration.format(at)}: ${error.message}`)
)

/**
 * Fails unless no command ran more often than it was asked for, and none that was answered has not run.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertEachRanOnce = inReport(
  "each command runs once",
  ({ lost, repeated }) => [...repeated, ...lost].map(counts)
)

/**
 * Fails unless every handoff completed within the time that was announced for it, or was left for a newer one.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertHandoffsInTime = inReport(
  "every handoff completes within the announced time",
  ({ handoffs }) =>
    handoffs
      .filter(({ announced, outcome, took }) =>
        outcome === "failed" || outcome === "unfinished" ||
        (outcome === "completed" && Duration.isGreaterThan(took, announced))
      )
      .map(({ announced, from, kind, outcome, slot, to, took }) =>
        `${kind === "shared" ? "slot" : kind} ${slot} from ${from} to ${to}: ${outcome} after ${
          Duration.format(took)
        } of ${Duration.format(announced)}`
      )
)

/**
 * Fails unless no command waited longer than this, in the rehearsal's time.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertLongestWait = (
  atMost: Duration.Input
): Effect.Effect<void, RehearsalFailed, Rehearsal | MaintenanceClock> => {
  const limit = Duration.fromInputUnsafe(atMost)
  return inReport(
    `no command waits longer than ${Duration.format(limit)}`,
    ({ longestWait }) =>
      longestWait !== undefined && Duration.isGreaterThan(longestWait.waited, limit)
        ? [
          `${longestWait.command} waited ${Duration.format(longestWait.waited)}, until ${
            Duration.format(longestWait.at)
          }`
        ]
        : []
  )
}

/**
 * Fails unless subscriptions heard everything, and once. Messages that were dropped because nobody read them are not the
 * maintenance's fault, and do not count.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertNothingMissed = inReport(
  "subscriptions hear everything once",
  ({ gaps }) =>
    gaps.flatMap(({ at, count, why }) =>
      why === "dropped" ? [] : [`at ${Duration.format(at)} the client ${missed(why, count)}`]
    )
)

/**
 * Closes the provided client and fails unless it leaves no connection and no timer. Nothing can be sent afterwards.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertNothingLeftOpen = check(
  "the closed client leaves nothing open",
  ({ close }) =>
    Effect.map(close, ({ connections, timers }) => [
      ...(connections > 0 ? [`connections: ${connections}`] : []),
      ...(timers > 0 ? [`timers: ${timers}`] : [])
    ])
)

/**
 * Fails unless the rehearsal was hitless and could have shown that it is not: no command failed, each ran once, handoffs were
 * in time, subscriptions heard everything once, and, once the client is closed, nothing is left open.
 *
 * @category assertions
 * @since 0.1.0
 */
export const assertHitless: Effect.Effect<void, RehearsalFailed, Rehearsal | MaintenanceClock> = Effect.all([
  assertNoneFailed,
  assertEachRanOnce,
  assertHandoffsInTime,
  assertNothingMissed,
  assertShown,
  assertNothingLeftOpen
], { discard: true })
