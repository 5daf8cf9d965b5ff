/**
 * What is left of public values when JSON has carried them, into a health endpoint, a log, a file: all that somebody on
 * call reads there. Nothing throws, and nothing becomes `{}`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Struct from "effect/Struct"
import { Config, HitlessError, HitlessRedis, Notifications, PubSub } from "hitless"
import { MaintenanceClock, Rehearsal } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import {
  addresses,
  advance,
  announceMove,
  begin,
  database,
  ended,
  handoffs,
  rehearse,
  send,
  status
} from "./support/rehearsal.ts"

const carried = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const millis = (millis: number) => ({ _id: "Duration", _tag: "Millis", millis })

describe("a notification", () => {
  const endpoint = "10.0.0.1:6379"
  const target = { _tag: "Tcp", host: "10.0.0.2", port: 6379 }
  // Beyond 2^53, where a number in JSON is another one when it is read.
  const seq = "9007199254740993"
  const time = millis(15_000)
  const shards = ["1", "2"]
  const moves = [{ source: "10.0.0.1:6379", destination: "10.0.0.2:6379", slots: "1-5" }]
  for (
    const [elements, read] of [
      [["MOVING", seq, 15, "10.0.0.2:6379"], { _tag: "Moving", seq, endpoint, time, target }],
      [["MOVING", seq, 15, null], { _tag: "Moving", seq, endpoint, time }],
      [["MIGRATING", seq, 15, "[\"1\",\"2\"]"], { _tag: "Migrating", seq, endpoint, time, shards }],
      [["MIGRATED", seq, "[\"1\",\"2\"]"], { _tag: "Migrated", seq, endpoint, shards }],
      [["FAILING_OVER", seq, 15, "[\"1\",\"2\"]"], { _tag: "FailingOver", seq, endpoint, time, shards }],
      [["FAILED_OVER", seq, "[\"1\",\"2\"]"], { _tag: "FailedOver", seq, endpoint, shards }],
      [["SMIGRATING", seq, "1,5,7-9"], { _tag: "SlotsMigrating", seq, endpoint, slots: "1,5,7-9" }],
      [["SMIGRATED", seq, [["10.0.0.1:6379", "10.0.0.2:6379", "1-5"]]], { _tag: "SlotsMigrated", seq, endpoint, moves }]
    ] as const
  ) {
    it(`${elements[0]}${elements[3] === null ? " without a target" : ""} is read with its number, time and places`, () => {
      const decoded = Notifications.decode(elements, endpoint)
      assert.deepStrictEqual(carried(decoded && Result.getOrThrow(decoded)), read)
    })
  }
})

describe("a handoff", () => {
  const base = (seq: string, to: string) => ({ kind: "shared", slot: 0, from: database, to, seq })

  it.effect("is read in each of its events, with durations in milliseconds and the error's message", () =>
    Effect.gen(function*() {
      yield* begin(
        { step: "refuse", at: 0, node: "b" },
        announceMove(0, 1, 30, addresses.b),
        { step: "handshake", at: "20 seconds", node: "c", handshake: { _tag: "HangBeforeHello" } },
        announceMove("20 seconds", 2, 30, addresses.c),
        { step: "accept", at: "21 seconds", node: "b" },
        announceMove("21 seconds", 3, 30, addresses.b)
      )
      yield* advance("30 seconds")
      assert.isTrue(yield* ended(2))
      const { events, read } = { events: yield* handoffs, read: carried(yield* handoffs) }
      const refused = {
        _tag: "HitlessError",
        message:
          `Could not connect to ${addresses.b}: connection refused, nothing listens at that address (ECONNREFUSED)`,
        reason: {
          _tag: "ConnectFailed",
          endpoint: addresses.b,
          mayHaveExecuted: false,
          kind: "Refused",
          detail: "connection refused, nothing listens at that address (ECONNREFUSED)"
        }
      }
      const retry = events.find((event) => event._tag === "Retried")
      const failure = events.find((event) => event._tag === "Failed")
      assert.deepStrictEqual(read, [
        { at: 0, _tag: "Queued", ...base("1", addresses.b), waited: false },
        { at: 0, _tag: "Started", ...base("1", addresses.b) },
        {
          at: 0,
          _tag: "Retried",
          ...base("1", addresses.b),
          attempt: 2,
          // With jitter.
          delay: carried(retry?.delay),
          error: refused
        },
        {
          at: failure?.at,
          _tag: "Failed",
          ...base("1", addresses.b),
          duration: carried(failure?.duration),
          error: refused
        },
        { at: 20_000, _tag: "Queued", ...base("2", addresses.c), waited: false },
        { at: 20_000, _tag: "Started", ...base("2", addresses.c) },
        { at: 21_000, _tag: "Superseded", ...base("2", addresses.c), duration: millis(1000) },
        { at: 21_000, _tag: "Started", ...base("3", addresses.b) },
        { at: 21_000, _tag: "Completed", ...base("3", addresses.b), duration: millis(0) }
      ])
      for (const duration of [retry?.delay, failure?.duration]) {
        assert.hasAllKeys(carried(duration), ["_id", "_tag", "millis"])
      }
    }).pipe(rehearse({ maintenance: { maxHandoffRetries: 1 } })))
})

describe("the status", () => {
  const slot = { index: 0, state: "Serving", endpoint: database, load: 0 }
  const quiet = {
    health: "ok",
    mode: "auto",
    protocol: 3,
    endpoints: [{ endpoint: database, support: "supported" }],
    slots: [slot],
    leases: [],
    subscribers: [],
    caches: [],
    draining: 0,
    pending: 0,
    windows: []
  }

  it.effect("of a client that is well is read", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(carried(yield* status), quiet)
    }).pipe(rehearse()))

  it.effect("during maintenance is read, with the window and the last handoff", () =>
    Effect.gen(function*() {
      yield* begin(announceMove(0, 1, 30, addresses.b), {
        step: "migrating",
        at: "1 second",
        node: "b",
        time: "20 seconds"
      })
      yield* advance("1500 millis")
      const moved = { seq: "1", kind: "shared", slot: 0, from: database, to: addresses.b, duration: millis(0) }
      const { windows, ...rest } = carried(yield* status) as {
        readonly windows: ReadonlyArray<{ readonly label: string; readonly endsIn: unknown }>
      }
      const { windows: _, ...well } = quiet
      assert.deepStrictEqual(rest, {
        ...well,
        health: "maintenance",
        endpoints: [...quiet.endpoints, { endpoint: addresses.b, support: "supported" }],
        slots: [{ ...slot, endpoint: addresses.b }],
        lastHandoff: { _tag: "Completed", ...moved }
      })
      const relaxed = windows.map((window) => Struct.pick(window, ["label", "endsIn"]))
      assert.deepStrictEqual(relaxed, [
        { label: "MOVING 1", endsIn: millis(38_500) },
        { label: "after handoff", endsIn: millis(18_500) },
        { label: "MIGRATING 1", endsIn: millis(29_500) }
      ])
    }).pipe(rehearse()))

  it.effect("of a client whose server is loading is read as degraded", () =>
    Effect.gen(function*() {
      yield* begin({ step: "loading", at: 0, node: "a", duration: "10 seconds" })
      yield* send("GET", "key")
      yield* advance("100 millis")
      assert.deepStrictEqual(carried(yield* status), { ...quiet, health: "degraded", pending: 1 })
    }).pipe(rehearse()))

  it.effect("of a client without a server is read as down", () =>
    Effect.gen(function*() {
      yield* begin({ step: "refuse", at: 0, node: "a" }, { step: "kill", at: 0, node: "a" })
      yield* advance("1 second")
      const { protocol: _, ...down } = quiet
      const lost = { index: 0, state: "Reconnecting", load: 0 }
      assert.deepStrictEqual(carried(yield* status), { ...down, health: "down", slots: [lost] })
    }).pipe(rehearse()))
})

describe("an error", () => {
  const at = { endpoint: "10.0.0.1:6379", command: "GET", window: "MIGRATING 7", mayHaveExecuted: false }
  const {
    AuthenticationFailed,
    Closed,
    CommandRefused,
    CommandTimeout,
    ConnectFailed,
    ConnectionLost,
    InvalidValue,
    MaintenanceRefused,
    Overloaded,
    ProtocolViolation,
    ServerReplied,
    TransactionAborted,
    UnexpectedReply
  } = HitlessError
  const detail = "why"
  const reasons = [
    [new ConnectFailed({ ...at, kind: "Refused", detail }), { kind: "Refused", detail }],
    [new AuthenticationFailed({ ...at, detail }), { detail }],
    [new MaintenanceRefused({ ...at, detail }), { detail }],
    [new CommandTimeout({ ...at, afterMillis: 3000 }), { afterMillis: 3000 }],
    [new ConnectionLost({ ...at, detail }), { detail }],
    [new ServerReplied({ ...at, code: "WRONGTYPE", detail }), { code: "WRONGTYPE", detail }],
    [new ProtocolViolation({ ...at, detail }), { detail }],
    [new UnexpectedReply({ ...at, detail }), { detail }],
    [new InvalidValue({ ...at, key: "k", detail }), { key: "k", detail }],
    [new TransactionAborted({ ...at, detail }), { detail }],
    [new CommandRefused({ ...at, detail }), { detail }],
    [new Overloaded({ ...at, limit: 10, unit: "connections" }), { limit: 10, unit: "connections" }],
    [new Closed(at), {}]
  ] as const

  it("is read for every reason that there is", () => {
    assert.sameMembers(
      reasons.map(([{ _tag }]) => _tag),
      HitlessError.HitlessErrorReason.members.map(({ fields }) => fields._tag.schema.literal)
    )
  })

  for (const [reason, more] of reasons) {
    it(`${reason._tag} is read with its message, place, fate and facts`, () => {
      const { _tag, message } = reason
      assert.isNotEmpty(message)
      assert.deepStrictEqual(carried(new HitlessError.HitlessError({ reason })), {
        _tag: "HitlessError",
        message,
        reason: { _tag, ...at, ...more }
      })
    })
  }

  it.effect("of a configuration is read with every field and rule", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Config.decode({ port: 0, database: -1 }))
      assert.deepStrictEqual(carried(error), {
        _tag: "HitlessConfigError",
        message: error.message,
        issues: [
          { field: "port", rule: "must be an integer from 1 to 65535; write 6379" },
          { field: "database", rule: "-1 must be an integer of at least 0: databases are numbered; write 0" }
        ]
      })
    }))
})

describe("what a subscription hears", () => {
  it("is read with the channel and the text", () => {
    const bytes = new TextEncoder().encode("grüezi")
    assert.deepStrictEqual(carried(new PubSub.Published("news", undefined, bytes)), {
      _tag: "Published",
      channel: "news",
      message: "grüezi"
    })
    assert.deepStrictEqual(carried(new PubSub.Published("news.de", "news.*", bytes)), {
      _tag: "Published",
      channel: "news.de",
      pattern: "news.*",
      message: "grüezi"
    })
  })
})

describe("what the test kit tells", () => {
  it.effect("is read: the report, the timeline, and the deployment's log", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin(announceMove(0, 1, 30, addresses.b), { step: "kill", at: "1 second", node: "b" })
      yield* redis.send("SET", "key", "value")
      yield* advance("500 millis")
      const deployment = yield* SimulatedRedis
      yield* deployment.stall("b", "1 second")
      yield* send("INCR", "n")
      yield* advance("4 seconds")

      const { timeline } = yield* MaintenanceClock.MaintenanceClock
      const { failed, ...report } = yield* Rehearsal.report
      const lost = {
        _tag: "HitlessError",
        message: `Connection lost at ${addresses.b} before INCR was answered: ` +
          "the server closed the connection (it may have run)",
        reason: {
          _tag: "ConnectionLost",
          endpoint: addresses.b,
          command: "INCR",
          mayHaveExecuted: true,
          detail: "the server closed the connection"
        }
      }
      assert.deepStrictEqual(carried(failed), [{ command: "INCR", at: millis(1000), error: lost }])
      assert.deepStrictEqual(carried(report), {
        requests: 2,
        pending: 0,
        writes: [
          { command: "SET", key: "key", acknowledged: 1, uncertain: 0, executed: 1 },
          { command: "INCR", key: "n", acknowledged: 0, uncertain: 1, executed: 0 }
        ],
        repeated: [],
        lost: [],
        gaps: [],
        announced: 1,
        moves: 0,
        underWay: true,
        // The connection that was lost had moved, and so did the next.
        handoffs: [0, 1500].map((took) => ({
          kind: "shared",
          slot: 0,
          from: database,
          to: addresses.b,
          outcome: "completed",
          announced: millis(30_000),
          took: millis(took)
        })),
        longestWait: { command: "INCR", at: millis(1000), waited: millis(500) }
      })
      const { entries } = carried(yield* timeline) as { readonly entries: ReadonlyArray<unknown> }
      assert.deepInclude(entries, { _tag: "Failed", at: 1000, command: "INCR", error: lost })
      const moving = { _tag: "Moving", seq: "1", endpoint: database, time: millis(30_000) }
      const target = { _tag: "Tcp", host: "10.0.0.2", port: 6379 }
      assert.deepInclude(entries, { _tag: "Notified", at: 0, notification: { ...moving, target } })
      const log = carried(yield* deployment.log) as ReadonlyArray<{ readonly event: object }>
      assert.deepInclude(log.map(({ event }) => event), { _tag: "Stalled", millis: 1000 })
    }).pipe(rehearse()))
})
