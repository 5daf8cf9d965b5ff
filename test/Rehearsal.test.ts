/**
 * What a rehearsal must have had in it to show anything, and what it tells of subscriptions, leases and commands that wait.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Commands, HitlessRedis } from "hitless"
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

describe("a rehearsal", () => {
  const passes = (
    work: Effect.Effect<unknown, unknown, TestRedis.Provided | Scope.Scope>,
    options: TestRedis.Options
  ) => work.pipe(Effect.scoped, rehearsal({ nodes: ["a", "b", "c"], latency: "5 millis", ...options }))

  for (
    const [name, pop] of [
      ["in slices", Commands.blPop("list", "3 seconds")],
      ["of one's own", Commands.make(["BLPOP", "list", 0.5], (reply) => Option.fromNullishOr(reply))]
    ] as const
  ) {
    it.live(`takes a typed command that waited in vain for one that has not run: ${name}`, () =>
      passes(
        Effect.gen(function*() {
          const redis = yield* HitlessRedis.HitlessRedis
          const clock = yield* MaintenanceClock.MaintenanceClock
          yield* clock.advanceUntil(redis.run<unknown>(pop))
          yield* Rehearsal.assertEachRanOnce
        }),
        {}
      ))
  }

  const announce = (at: string, node: string, seq: number, target: string) =>
    ({ step: "push", at: at as never, node, elements: ["MOVING", seq, 30, target] }) as const

  it.live("knows the announced time of a handoff to a translated address", () =>
    passes(
      Effect.gen(function*() {
        const clock = yield* MaintenanceClock.MaintenanceClock
        const steps = [announce("1 second", "a", 1, "192.168.7.2:6379")]
        yield* clock.run(yield* MaintenancePlan.make({ nodes: ["a", "b"], steps }))
        yield* clock.advance("5 seconds")
        assert.deepStrictEqual((yield* Rehearsal.report).handoffs.map(({ outcome, to }) => [outcome, to]), [
          ["completed", "10.0.0.2:6379"]
        ])
        yield* Rehearsal.assertHandoffsInTime
      }),
      { client: { poolSize: 1, addressMap: { "192.168.7.2:6379": "10.0.0.2:6379" } } }
    ))

  it.live("knows it of one to where its target has moved meanwhile", () =>
    passes(
      Effect.gen(function*() {
        const clock = yield* MaintenanceClock.MaintenanceClock
        const redis = yield* HitlessRedis.HitlessRedis
        const lease = yield* clock.advanceUntil(redis.reserve)
        yield* clock.advanceUntil(lease.send("WATCH", "k"))
        const steps = [announce("1 second", "a", 1, "10.0.0.2:6379"), announce("5 seconds", "b", 2, "10.0.0.3:6379")]
        yield* clock.schedule(yield* MaintenancePlan.make({ nodes: ["a", "b", "c"], steps }))
        yield* clock.advance("10 seconds")
        yield* clock.advanceUntil(lease.send("UNWATCH"))
        yield* clock.advance("5 seconds")
        assert.isAtLeast((yield* Rehearsal.report).handoffs.length, 3)
        yield* Rehearsal.assertHandoffsInTime
      }),
      { client: { poolSize: 1 } }
    ))

  it.live("does not take what another client has under way for what ran too often", () =>
    passes(
      Effect.gen(function*() {
        const clock = yield* MaintenanceClock.MaintenanceClock
        const other = yield* clock.advanceUntil(HitlessRedis.make({ host: "10.0.0.2", port: 6379 }))
        yield* Effect.forkScoped(Effect.forever(other.send("INCR", "n")), { startImmediately: true })
        yield* clock.advance("1 second")
        yield* Rehearsal.assertEachRanOnce
      }),
      {}
    ))
})
