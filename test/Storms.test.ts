/**
 * Storms of announcements: what is kept of them is bounded in count and in size, what is done for each is a constant
 * amount, and after them everything is as it should be. Counted, never timed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { HitlessRedis } from "hitless"
import * as Endpoint from "hitless/Endpoint"
import * as Notifications from "hitless/Notifications"
import { Rehearsal } from "hitless/testing"
import type { MaintenancePlan } from "hitless/testing"
import * as Timeouts from "../src/Timeouts.ts"
import {
  addresses,
  advance,
  announceMove,
  begin,
  connections,
  dials,
  load,
  openSlots,
  rehearse,
  slots,
  status,
  story
} from "./support/rehearsal.ts"

const storm = 10_000

const decode = (...elements: ReadonlyArray<unknown>) =>
  Notifications.decode(elements, "a:1") ?? assert.fail("not about maintenance")

const decoded = (...elements: ReadonlyArray<unknown>) => Result.getOrThrow(decode(...elements))

const opening = ["MIGRATING", "FAILING_OVER", "SMIGRATING", "MOVING"] as const

const announcement = (name: string, seq: number, seconds = 30) =>
  name === "SMIGRATING"
    ? decoded(name, seq, String(seq))
    : decoded(name, seq, seconds, name === "MOVING" ? null : JSON.stringify([String(seq)]))

const completion = (name: string, seq: number, ...rest: ReadonlyArray<unknown>) => decoded(name, seq, ...rest)

/** Windows with a relaxed timeout of ten seconds, a hundred connections, and how often who was called. */
const make = () => {
  const calls = { opened: 0, closed: 0, reviews: 0 }
  const timeouts = new Timeouts.Timeouts(Duration.seconds(10), (delta) => {
    calls[delta === 1 ? "opened" : "closed"]++
  })
  for (let i = 0; i < 100; i++) timeouts.onClose(`#${i}`, () => calls.reviews++)
  const isRelaxed = (now: number) =>
    timeouts.deadline(now, 3000, { address: "a:1", subject: "#1" }, now) === now + 10_000
  return { timeouts, calls, isRelaxed }
}

describe("windows in a storm", () => {
  for (const name of opening) {
    it(`of ${name} are a few, and end with the last that was announced`, () => {
      const { calls, isRelaxed, timeouts } = make()
      for (let i = 1; i <= storm; i++) timeouts.notify(announcement(name, i), true, i)
      assert.isAtMost(timeouts.open(storm).length, 16)
      assert.strictEqual(calls.opened, timeouts.open(storm).length)
      const end = storm + (name === "SMIGRATING" ? 0 : 30_000) + 10_000
      assert.isTrue(isRelaxed(end - 1))
      assert.isFalse(isRelaxed(end))
      assert.deepStrictEqual([timeouts.open(end), timeouts.nextEnd], [[], Infinity])
      assert.strictEqual(calls.closed, calls.opened)
      // Once for each connection: the endpoint was relaxed once.
      assert.strictEqual(calls.reviews, 100)
    })
  }

  it("end with the longest of them, whichever came last", () => {
    const { isRelaxed, timeouts } = make()
    for (let i = 1; i <= storm; i++) timeouts.notify(announcement("MIGRATING", i, i === 5000 ? 300 : 5), true, 0)
    assert.isTrue(isRelaxed(309_999))
    assert.isFalse(isRelaxed(310_000))
  })

  for (
    const [opens, closes] of [["MIGRATING", "MIGRATED"], ["FAILING_OVER", "FAILED_OVER"], ["SMIGRATING", "SMIGRATED"]]
  ) {
    it(`of ${opens} stay until each was completed by its ${closes}`, () => {
      const { calls, isRelaxed, timeouts } = make()
      for (let i = 1; i <= storm; i++) timeouts.notify(announcement(opens!, i), true, 0)
      for (let i = 1; i < storm; i++) timeouts.notify(completion(closes!, storm + i), true, 1)
      assert.isTrue(isRelaxed(1))
      timeouts.notify(completion(closes!, 2 * storm), true, 1)
      assert.isFalse(isRelaxed(1))
      assert.strictEqual(calls.closed, calls.opened)
    })
  }

  it("are not closed by completions from before the last announcement, but by the time", () => {
    const { isRelaxed, timeouts } = make()
    for (let i = 1; i <= 100; i++) timeouts.notify(announcement("MIGRATING", 10 * i), true, 0)
    for (let seq = 500; seq < 1000; seq++) timeouts.notify(completion("MIGRATED", seq), true, 1)
    assert.isTrue(isRelaxed(39_999))
    assert.isFalse(isRelaxed(40_000))
  })

  it("of one family leave room for the others, and of one endpoint for another", () => {
    const { timeouts } = make()
    for (let i = 1; i <= storm; i++) timeouts.notify(announcement("MIGRATING", i), true, 0)
    timeouts.notify(announcement("FAILING_OVER", storm + 1), true, 0)
    timeouts.notify(Result.getOrThrow(Notifications.decode(["MIGRATING", 1, 30], "b:1")!), false, 0)
    assert.deepStrictEqual(timeouts.open(0).slice(-2).map(({ label, subject }) => [label, subject]), [
      [`FAILING_OVER ${storm + 1}`, "a:1"],
      ["MIGRATING 1", "b:1"]
    ])
    assert.strictEqual(timeouts.inForce({ address: "b:1", subject: "#1" }, 0)?.label, "MIGRATING 1")
  })

  it("that open and close in turn leave nothing behind", () => {
    const { calls, timeouts } = make()
    for (let i = 1; i <= storm; i++) {
      timeouts.notify(announcement("MIGRATING", 2 * i), true, i)
      timeouts.notify(completion("MIGRATED", 2 * i + 1), true, i)
      timeouts.notify(completion("MIGRATED", 2 * i + 1), false, i)
    }
    assert.deepStrictEqual(timeouts.open(storm), [])
    assert.deepStrictEqual([calls.opened, calls.closed], [storm, storm])
    // The close is still known to a command that lived in the last of them.
    assert.strictEqual(timeouts.deadline(0, 3000, { address: "a:1", subject: "#1" }, storm), 10_000)
    assert.strictEqual(timeouts.deadline(storm - 1, 3000, undefined, storm), storm + 3000)
  })

  it("on connections are forgotten with them, one by one", () => {
    const { calls, timeouts } = make()
    for (let i = 0; i < storm; i++) timeouts.relaxAfterHandoff(`#${i}`, 20_000, 0)
    assert.strictEqual(timeouts.open(0).length, storm)
    for (let i = 0; i < storm; i++) timeouts.forget(`#${i}`)
    assert.deepStrictEqual([timeouts.open(0), timeouts.nextEnd, calls.closed], [[], Infinity, storm])
    assert.strictEqual(timeouts.deadline(-1, 3000, undefined, 0), 2999)
  })
})

describe("what is kept of one announcement", () => {
  const megabyte = "x".repeat(1_000_000)
  const many = Array.from({ length: 1_000_000 }, (_, i) => String(i))

  for (
    const [what, ...elements] of [
      ["an array of a million shards", "MIGRATING", 1, 5, many],
      ["a text of a million shards", "MIGRATING", 1, 5, JSON.stringify(many)],
      ["a shard of a megabyte", "FAILING_OVER", 1, 5, [megabyte]],
      ["a text of a megabyte that is no JSON", "FAILING_OVER", 1, 5, megabyte],
      ["a shorter text that is no JSON", "FAILING_OVER", 1, 5, "x".repeat(1000)],
      ["a million shards that are completed", "MIGRATED", 1, many],
      ["slots of a megabyte", "SMIGRATING", 1, megabyte],
      ["a million moves", "SMIGRATED", 1, many.map((slot) => ["a:1", "b:1", slot])],
      ["moves from a host of a megabyte", "SMIGRATED", 1, [[megabyte, "b:1", "1"]]],
      ["moves to a host of a megabyte", "SMIGRATED", 1, [["a:1", megabyte, "1"]]],
      ["moves of a megabyte of slots", "SMIGRATED", 1, [["a:1", "b:1", megabyte]]]
    ] as const
  ) {
    it(`is without ${what}, and it is heard`, () => {
      const heard = decoded(...elements)
      assert.isBelow(JSON.stringify(heard).length, 300)
    })
  }

  it("is all of it where it is as long as a database can make it", () => {
    const shards = Array.from({ length: 512 }, (_, i) => String(i))
    const slotsText = Array.from({ length: 16_384 }, (_, i) => i).join()
    const migrating = decoded("MIGRATING", 1, 5, JSON.stringify(shards))
    assert.deepStrictEqual(migrating._tag === "Migrating" && migrating.shards, shards)
    const slotsMigrating = decoded("SMIGRATING", 1, slotsText)
    assert.strictEqual(slotsMigrating._tag === "SlotsMigrating" && slotsMigrating.slots, slotsText)
    const moves = Array.from({ length: 16_384 }, (_, i) => ["a:1", "b:1", String(i)])
    const slotsMigrated = decoded("SMIGRATED", 1, moves)
    assert.strictEqual(slotsMigrated._tag === "SlotsMigrated" && slotsMigrated.moves.length, 16_384)
  })

  const tooLong = 10n ** 100_000n
  for (const name of [...opening, "MIGRATED", "FAILED_OVER", "SMIGRATED"]) {
    it(`is nothing where the sequence number of ${name} has more than 64 bits`, () => {
      for (const seq of [tooLong, -tooLong, 2n ** 64n, -(2n ** 63n) - 1n, 1e300]) {
        assert.deepStrictEqual(
          decode(name, seq, name === "SMIGRATED" ? [] : 5),
          Result.fail(`${name} with a sequence number beyond 64 bits`)
        )
      }
      for (const seq of [2n ** 64n - 1n, -(2n ** 63n), 0n]) {
        assert.strictEqual(decoded(name, seq, name === "SMIGRATED" ? [] : 5).seq, String(seq))
      }
    })
  }

  it("is the longest time that is believed where the announced one has any number of digits", () => {
    const migrating = decoded("MIGRATING", 1, tooLong)
    assert.deepStrictEqual(migrating._tag === "Migrating" && migrating.time, Notifications.longestAnnounced)
  })

  it("makes a key of a few hundred bytes at the most, whatever was announced", () => {
    const target = `${"x".repeat(253)}:65535`
    const keys = opening.map((name) => Notifications.identity(announcement(name, Number.MAX_SAFE_INTEGER)))
    keys.push(Notifications.identity(decoded("MOVING", 2n ** 64n - 1n, 5, target)))
    for (const key of keys) assert.isAtMost(key.length, 300)
  })
})

describe("a target", () => {
  for (
    const [what, text, why] of [
      ["a name of 254 bytes", "x".repeat(254), "the host is longer than 253 bytes"],
      ["a name of 254 bytes with a port", `${"x".repeat(254)}:6379`, "the host is longer than 253 bytes"],
      ["a name of 254 bytes in fewer characters", `${"é".repeat(127)}:6379`, "the host is longer than 253 bytes"],
      ["a name of a megabyte", `${"x".repeat(1_000_000)}:6379`, "the host is longer than 253 bytes"],
      ["an address of a megabyte", `[${"0".repeat(1_000_000)}::1]:6379`, "the host is longer than 253 bytes"],
      ["a megabyte of colons", ":".repeat(1_000_000), "the host is longer than 253 bytes"],
      ["a zone in brackets", "[fe80::1%eth0]:6379", "what stands in brackets is not an IPv6 address"],
      ["a zone without brackets", "fe80::1%eth0:6379", "it is neither host:port nor an IPv6 address"],
      ["a zone of an IPv4 address", "10.0.0.1%eth0:6379", "a zone means nothing on another machine"],
      ["a zone of a name", "name%eth0", "a zone means nothing on another machine"]
    ] as const
  ) {
    it(`is refused with ${what}`, () => {
      assert.deepStrictEqual(Endpoint.parse(text), Result.fail(why))
      const refused = decode("MOVING", 1, 5, text)
      assert.isTrue(Result.isFailure(refused) && refused.failure.endsWith(why) && refused.failure.length < 400)
    })
  }

  it("may have a name of 253 bytes", () => {
    const name = "x".repeat(253)
    assert.deepStrictEqual(Endpoint.parse(`${name}:65535`), Result.succeed(Endpoint.tcp(name, 65535)))
    assert.deepStrictEqual(Endpoint.parse(name), Result.succeed(Endpoint.tcp(name)))
  })
})

describe("the address override in a storm", () => {
  const host = (i: number) => Endpoint.tcp(`host-${i}`)

  it("comes to an end in a few steps, however long the chain that was announced", () => {
    const override = new Endpoint.AddressOverride()
    for (let i = 0; i < storm; i++) {
      override.set({ retiring: host(i), target: host(i + 1), until: 100, seq: String(i) })
    }
    let known = 0
    for (let i = 0; i < storm; i++) if (override.moveOf(host(i), 0) !== undefined) known++
    assert.strictEqual(known, 64)
    assert.deepStrictEqual(override.resolve(host(storm - 64), 0), host(storm))
    assert.deepStrictEqual(override.resolve(host(0), 0), host(0))
  })

  it("keeps the newest move of one endpoint, and those of others", () => {
    const override = new Endpoint.AddressOverride()
    override.set({ retiring: host(-2), target: host(-1), until: 100, seq: "0" })
    for (let i = 0; i < storm; i++) override.set({ retiring: host(-1), target: host(i), until: 100, seq: String(i) })
    assert.deepStrictEqual(override.resolve(host(-2), 0), host(storm - 1))
  })
})

describe("a client in a storm", () => {
  const size = 500
  const push = (elements: ReadonlyArray<string | number | null>): MaintenancePlan.StepInput => ({
    step: "push",
    at: 0,
    node: "a",
    elements: [...elements]
  })
  const pushes = (of: (seq: number) => ReadonlyArray<string | number | null>) =>
    Array.from({ length: size }, (_, i) => push(of(i + 1)))

  for (
    const [name, of] of [
      ["MIGRATING", (seq) => ["MIGRATING", seq, 30, `["${seq}"]`]],
      ["FAILING_OVER", (seq) => ["FAILING_OVER", seq, 30, `["${seq}"]`]],
      ["SMIGRATING", (seq) => ["SMIGRATING", seq, `${seq}`]],
      ["MOVING without a target", (seq) => ["MOVING", seq, 30, null]]
    ] satisfies ReadonlyArray<readonly [string, (seq: number) => ReadonlyArray<string | number | null>]>
  ) {
    it.effect(`of ${name} keeps a few windows, follows the MOVING that comes then, and is well in the end`, () =>
      Effect.gen(function*() {
        yield* openSlots("a", 2)
        yield* begin(...pushes(of))
        yield* advance("1 second")
        assert.strictEqual((yield* status).windows.length, 16)
        yield* begin(announceMove(0, size + 1, 15, addresses.b))
        yield* advance("1 second")
        assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b"])
        yield* advance("1 minute")
        const { health, windows } = yield* status
        assert.deepStrictEqual([health, windows], ["ok", []])
        yield* Rehearsal.assertNoneFailed
      }).pipe(rehearse({ poolSize: 2 })))
  }

  it.effect("of moves to as many targets goes to the last, with a dial for each slot", () =>
    Effect.gen(function*() {
      yield* openSlots("a", 2)
      const traffic = yield* load
      yield* begin(
        ...pushes((seq) => ["MOVING", seq, 15, `10.1.${seq >> 8}.${seq & 255}:6379`]),
        announceMove(0, size + 1, 15, addresses.b)
      )
      yield* advance("1 second")
      yield* traffic.stop
      assert.deepStrictEqual(yield* slots, ["Serving b", "Serving b"])
      assert.strictEqual((yield* dials("b")).length, 2)
      assert.strictEqual(yield* connections("a"), 0)
      // Not one event for each announcement.
      assert.isBelow((yield* story).length, 30)
      yield* Rehearsal.assertNoneFailed
      yield* Rehearsal.assertEachRanOnce
    }).pipe(rehearse({ poolSize: 2 })))

  it.effect("has the timeouts that are configured when all was completed", () =>
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      yield* begin(
        ...pushes((seq) => ["MIGRATING", seq, 300, `["${seq}"]`]),
        ...pushes((seq) => ["MIGRATED", size + seq, `["${seq}"]`]),
        { step: "stall", at: "1 second", node: "a", duration: "1 second" }
      )
      yield* advance("1 second")
      assert.deepStrictEqual((yield* status).windows, [])
      const ping = yield* Effect.forkChild(Effect.flip(redis.send("PING")), { startImmediately: true })
      yield* advance("150 millis")
      const exit = ping.pollUnsafe()
      assert.strictEqual(exit?._tag === "Success" && exit.value.reason._tag, "CommandTimeout")
    }).pipe(rehearse({ commandTimeout: "150 millis" })))
})
