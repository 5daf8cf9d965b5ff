/**
 * What a rehearsal must have had in it to show anything, and what it tells of subscriptions, leases and commands that wait.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal, SimulatedRedis, TestRedis } from "hitless/testing"

/** Two nodes in simulated time; what fails on purpose is not logged. */
const rehearsal = (options: TestRedis.Options) =>
  Effect.provide(
    TestRedis.layer({
      nodes: ["a", "b"],
      ...options,
      client: { ...options.client, maintenance: { logLevel: "Error", ...options.client?.maintenance } }
    })
  )

describe("a rehearsal that could not have shown anything fails, and says why", () => {
  const plan = MaintenancePlan.rebind({ from: "a", to: "b", time: "5 seconds" })
  const visits = Effect.flatMap(
    HitlessRedis.HitlessRedis,
    (redis) => Effect.forkChild(Effect.forever(redis.send("INCR", "n")), { startImmediately: true })
  )
  const rehearsed = (
    work: Effect.Effect<unknown, unknown, TestRedis.Provided | Scope.Scope>,
    options: TestRedis.Options = { latency: "5 millis" }
  ) =>
    Effect.gen(function*() {
      yield* work
      return yield* Effect.result(Rehearsal.assertHitless)
    }).pipe(Effect.scoped, rehearsal(options))
  const run = (plan: MaintenancePlan.MaintenancePlan) =>
    Effect.flatMap(MaintenanceClock.MaintenanceClock, (clock) => clock.run(plan))
  const nothingAnnounced = /^nothing was announced to the client/
  const noneMoved = /^no connection had to move/
  const noneUnderWay = /^no command was under way/

  const cases: ReadonlyArray<
    readonly [
      name: string,
      work: Effect.Effect<unknown, unknown, TestRedis.Provided | Scope.Scope>,
      options: TestRedis.Options | undefined,
      found: ReadonlyArray<RegExp>
    ]
  > = [
    ["where no plan was run", Effect.asVoid(visits), undefined, [nothingAnnounced, noneUnderWay]],
    ["where the client does not listen", Effect.andThen(visits, run(plan)), {
      latency: "5 millis",
      client: { maintenance: { mode: "disabled" } }
    }, [/^INCR at/]],
    [
      "where the server announces nothing",
      Effect.andThen(
        visits,
        run(MaintenancePlan.failover({ node: "a", stall: "100 millis" }))
      ),
      { latency: "5 millis", server: { maintenance: "unsupported" } },
      [nothingAnnounced]
    ],
    [
      "where another node is left",
      Effect.andThen(visits, run(MaintenancePlan.rebind({ from: "b", to: "a" }))),
      undefined,
      [
        nothingAnnounced,
        noneMoved
      ]
    ],
    [
      "where it hears of a move that does not concern it",
      Effect.gen(function*() {
        yield* visits
        const deployment = yield* SimulatedRedis.SimulatedRedis
        yield* deployment.migrating("a", { time: "5 seconds" })
        yield* deployment.moving("b", { target: "a", time: "5 seconds" })
        yield* (yield* MaintenanceClock.MaintenanceClock).advance("10 seconds")
      }),
      undefined,
      [noneMoved]
    ],
    ["where nobody sends anything", run(plan), undefined, [noneUnderWay]],
    [
      "where commands take no time",
      Effect.andThen(
        Effect.flatMap(
          HitlessRedis.HitlessRedis,
          (redis) => Effect.forkChild(Effect.forever(Effect.delay(redis.send("INCR", "n"), "10 millis")))
        ),
        run(plan)
      ),
      {},
      [noneUnderWay]
    ],
    [
      "where commands were sent before and after",
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const clock = yield* MaintenanceClock.MaintenanceClock
        yield* clock.advanceUntil(redis.send("INCR", "n"))
        yield* run(plan)
        yield* clock.advance("1 second")
        yield* clock.advanceUntil(redis.send("INCR", "n"))
      }),
      undefined,
      [noneUnderWay]
    ]
  ]

  for (const [name, work, options, found] of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const result = yield* rehearsed(work, options)
        const failure = Result.isFailure(result) ? result.failure : assert.fail("it passed")
        for (const [index, words] of found.entries()) assert.match(failure.found[index]!, words)
        if (found[0] !== undefined && !String(found[0]).includes("INCR")) assert.lengthOf(failure.found, found.length)
      }))
  }

  it.live("and one that could passes, with commands of every kind", () =>
    Effect.gen(function*() {
      const result = yield* rehearsed(Effect.gen(function*() {
        yield* visits
        const redis = yield* HitlessRedis.HitlessRedis
        const clock = yield* MaintenanceClock.MaintenanceClock
        const lease = yield* clock.advanceUntil(redis.reserve)
        const stream = yield* clock.advanceUntil(redis.subscription({ channels: ["news"] }))
        yield* Effect.forkScoped(Stream.runDrain(stream))
        yield* Effect.forkScoped(lease.send("BLPOP", "list", 0))
        yield* run(plan)
        const { handoffs, longestWait } = yield* Rehearsal.report
        assert.deepStrictEqual(
          handoffs.map(({ kind, outcome }) => `${kind} ${outcome}`).toSorted(),
          ["reserved completed", "shared completed", "subscriber completed"]
        )
        assert.notStrictEqual(longestWait?.command, "BLPOP")
      }))
      assert.isTrue(Result.isSuccess(result), String(result))
    }))

  it.live("as does one after which subscriptions may have missed something", () =>
    Effect.gen(function*() {
      const result = yield* rehearsed(Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const clock = yield* MaintenanceClock.MaintenanceClock
        const stream = yield* clock.advanceUntil(redis.subscription({ channels: ["news"] }))
        yield* Effect.forkScoped(Stream.runDrain(stream))
        yield* (yield* SimulatedRedis.SimulatedRedis).kill("a")
        yield* clock.advance("1 second")
        assert.include((yield* clock.timeline).text, "client  may have missed messages")
      }))
      const failure = Result.isFailure(result) ? result.failure : assert.fail("it passed")
      assert.deepStrictEqual(failure.expected, "subscriptions hear everything once")
      assert.match(failure.found[0]!, /^at .* the client may have missed messages$/)
    }))
})
