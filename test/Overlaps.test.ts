/**
 * Announcements that overlap, repeat, contradict each other or never end: which windows are open and where the connection is,
 * and how long a command really has that is sent at that instant to a server that has just gone silent.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, type MaintenancePlan } from "hitless/testing"
import * as SimulatedRedis from "hitless/testing/SimulatedRedis"
import { addresses, advance, begin, database, nodes, rehearse, slots, status } from "./support/rehearsal.ts"

/** In seconds: after how many a node, `a` unless given, tells something or loses its connections. */
type Event = readonly [at: number, what: ReadonlyArray<SimulatedRedis.PushElement> | "kill", node?: "a" | "b"]

/** What holds at an instant: how many seconds a command has, which windows are open and where the connection is. */
type Instant = readonly [at: number, has: number, windows: string, slot: string]

const migrating = (seq: number, time: number, shard = "1") => ["MIGRATING", seq, time, [shard]] as const
const migrated = (seq: number, shard = "1") => ["MIGRATED", seq, [shard]] as const
const failingOver = (seq: number, time: number) => ["FAILING_OVER", seq, time, ["1"]] as const
const failedOver = (seq: number) => ["FAILED_OVER", seq, ["1"]] as const
const moving = (seq: number, time: number, target: string) => ["MOVING", seq, time, target] as const

// A command has 1 s, and 10 s during maintenance; windows end that long after their announced time, and 3 s after a handoff.
const rows: ReadonlyArray<readonly [name: string, events: ReadonlyArray<Event>, instants: ReadonlyArray<Instant>]> = [
  ["nothing is announced", [], [[1, 1, "", "Serving redis.test"]]],
  ["a migration and its end", [[0, migrating(1, 20)], [14, migrated(1)]], [
    [1, 10, "MIGRATING 1", "Serving redis.test"],
    [15, 1, "", "Serving redis.test"]
  ]],
  ["a migration ends while a command waits, which has its own time from then on", [
    [0, migrating(1, 20)],
    [5, migrated(1)]
  ], [[4, 2, "MIGRATING 1", "Serving redis.test"]]],
  ["the end of a migration is lost", [[0, migrating(1, 5)]], [
    [4, 10, "MIGRATING 1", "Serving redis.test"],
    [14, 2, "MIGRATING 1", "Serving redis.test"],
    [16, 1, "", "Serving redis.test"]
  ]],
  ["a failover inside of a migration", [
    [0, migrating(1, 20)],
    [2, failingOver(2, 10)],
    [5, failedOver(2)],
    [8, migrated(1)]
  ], [
    [1, 8, "MIGRATING 1", "Serving redis.test"],
    [3, 6, "MIGRATING 1, FAILING_OVER 2", "Serving redis.test"],
    [6, 3, "MIGRATING 1", "Serving redis.test"],
    [9, 1, "", "Serving redis.test"]
  ]],
  ["a migration inside of a failover whose end is lost", [
    [0, failingOver(1, 5)],
    [2, migrating(2, 2)],
    [3, migrated(2)]
  ], [
    [2.5, 10, "FAILING_OVER 1, MIGRATING 2", "Serving redis.test"],
    [14, 2, "FAILING_OVER 1", "Serving redis.test"],
    [16, 1, "", "Serving redis.test"]
  ]],
  ["an end of another family", [[0, migrating(1, 20)], [1, failedOver(1)]], [
    [2, 10, "MIGRATING 1", "Serving redis.test"]
  ]],
  ["an end without a beginning", [[0, migrated(7)], [0, failedOver(8)]], [[1, 1, "", "Serving redis.test"]]],
  ["an end that was sent before the beginning that is heard first", [[0, migrating(4, 20)], [1, migrated(3)]], [
    [2, 10, "MIGRATING 4", "Serving redis.test"]
  ]],
  ["two migrations of one shard each, of which the second ends first", [
    [0, migrating(1, 20, "1")],
    [1, migrating(2, 20, "2")],
    [3, migrated(3, "2")]
  ], [[4, 10, "MIGRATING 1", "Serving redis.test"]]],
  ["the same migration is told twice", [[0, migrating(1, 20)], [1, migrating(1, 20)], [2, migrated(1)]], [
    [1.5, 1.5, "MIGRATING 1", "Serving redis.test"],
    [3, 1, "", "Serving redis.test"]
  ]],
  ["a migration of no time", [[0, migrating(1, 0)]], [
    [1, 10, "MIGRATING 1", "Serving redis.test"],
    [11, 1, "", "Serving redis.test"]
  ]],
  ["a migration of less than no time", [[0, migrating(1, -1)]], [
    [1, 10, "MIGRATING 1", "Serving redis.test"],
    [11, 1, "", "Serving redis.test"]
  ]],
  ["a migration of a hundred years, of which ten minutes are believed", [[0, migrating(1, 3_000_000_000)]], [
    [609, 2, "MIGRATING 1", "Serving redis.test"],
    [611, 1, "", "Serving redis.test"]
  ]],
  ["slots of a cluster", [[0, ["SMIGRATING", 1, "1,2,3-100"]], [5, ["SMIGRATED", 2, [[
    addresses.a,
    addresses.b,
    "1"
  ]]]]], [
    [1, 5, "SMIGRATING 1", "Serving redis.test"],
    [6, 1, "", "Serving redis.test"]
  ]],
  ["a connection is lost during a migration, and the next is relaxed too", [[0, migrating(1, 20)], [2, "kill"]], [
    [3, 10, "MIGRATING 1", "Serving redis.test"]
  ]],
  ["a failover that ends the connection, and its end on the next", [[0, failingOver(1, 10)], [2, "kill"], [
    4,
    failedOver(1)
  ]], [
    [3, 2, "FAILING_OVER 1", "Serving redis.test"],
    [5, 1, "", "Serving redis.test"]
  ]],
  ["a move", [[0, moving(1, 15, addresses.b)]], [
    [1, 3, "MOVING 1, after handoff", "Serving b"],
    [4, 1, "MOVING 1", "Serving b"]
  ]],
  ["a move of no time", [[0, moving(1, 0, addresses.b)]], [[1, 3, "MOVING 1, after handoff", "Serving b"]]],
  ["a move of less than no time", [[0, moving(1, -1, addresses.b)]], [[1, 3, "MOVING 1, after handoff", "Serving b"]]],
  ["a second move before the first has been followed", [
    [0, moving(1, 15, addresses.b)],
    [0, moving(2, 15, addresses.c)]
  ], [[1, 3, "MOVING 1, MOVING 2, after handoff", "Serving c"]]],
  ["the same move is told again when it has been followed", [
    [0, moving(1, 15, addresses.b)],
    [2, moving(1, 15, addresses.b)]
  ], [[3, 1, "MOVING 1", "Serving b"]]],
  ["a move to where it is", [[0, moving(1, 15, database)]], [[1, 1, "", "Serving redis.test"]]],
  ["a migration inside of a move", [[0, migrating(1, 20)], [1, moving(2, 15, addresses.b)], [3, migrated(1), "b"]], [
    [2, 3, "MIGRATING 1, MOVING 2, after handoff", "Serving b"],
    [5, 1, "MOVING 2", "Serving b"]
  ]]
]

const stepOf = ([at, what, node = "a"]: Event): MaintenancePlan.StepInput =>
  what === "kill"
    ? { step: "kill", at: at * 1000, node }
    : { step: "push", at: at * 1000, node, elements: what }

const relaxed = { relaxedTimeout: "10 seconds", postHandoffRelaxedDuration: "3 seconds" } as const

describe("Where announcements overlap", () => {
  for (const [name, events, instants] of rows) {
    it.effect(name, () =>
      Effect.forEach(instants, ([instant, has, windows, slot]) =>
        Effect.gen(function*() {
          yield* begin(...events.map(stepOf))
          yield* advance(instant * 1000)
          assert.strictEqual((yield* status).windows.map(({ label }) => label).join(", "), windows)
          assert.strictEqual((yield* slots).join(", "), slot)
          const { send } = yield* HitlessRedis.HitlessRedis
          const { now } = yield* MaintenanceClock.MaintenanceClock
          const deployment = yield* SimulatedRedis.SimulatedRedis
          for (const node of nodes) yield* deployment.stall(node, "1 hour")
          const before = yield* now
          const ended = yield* Effect.forkChild(Effect.andThen(Effect.flip(send("GET", "key")), now), {
            startImmediately: true
          })
          while (ended.pollUnsafe() === undefined) yield* advance("50 millis")
          assert.strictEqual(
            Duration.toSeconds(Duration.subtract(yield* Fiber.join(ended), before)),
            has,
            `at ${instant} s`
          )
        }).pipe(rehearse({ commandTimeout: "1 second", maintenance: relaxed })), { discard: true }))
  }
})
