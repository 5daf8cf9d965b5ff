import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Notifications from "hitless/Notifications"
import * as Timeouts from "../src/Timeouts.ts"

const endpoint = "a:1"
const connection = "#1"
const at = { address: endpoint, subject: connection }

const notification = (elements: ReadonlyArray<unknown>, from = endpoint) =>
  Result.getOrThrow(Notifications.decode(elements, from) ?? Result.fail("not about maintenance"))

const shards = (...names: ReadonlyArray<string>) => JSON.stringify(names)

/** Windows with a relaxed timeout of ten seconds, and what `onChange` was told. */
const make = (relaxed: Duration.Duration = Duration.seconds(10)) => {
  const changes: Array<string> = []
  const timeouts = new Timeouts.Timeouts(
    relaxed,
    (delta, window) => changes.push(`${delta === 1 ? "+" : "-"} ${window.label} at ${window.subject}`)
  )
  return {
    timeouts,
    changes,
    notify: (elements: ReadonlyArray<unknown>, now: number, from?: string, first = true) =>
      timeouts.notify(notification(elements, from), first, now),
    labels: (now: number) => timeouts.open(now).map((window) => window.label),
    /** Milliseconds from the start of a command with a timeout of three seconds to its deadline. */
    allowed: (startedAt: number, now: number, timeout = 3000) =>
      timeouts.deadline(startedAt, timeout, at, now) - startedAt
  }
}

describe("Timeouts", () => {
  describe("windows", () => {
    it("are opened by announcements, and described", () => {
      const { changes, labels, notify, timeouts } = make()
      notify(["MIGRATING", 2, 10, shards("1", "2")], 1000)
      assert.deepStrictEqual(timeouts.open(1000), [{
        family: "migration",
        label: "MIGRATING 2",
        subject: endpoint,
        seq: 2n,
        shards: ["1", "2"],
        openedAt: 1000,
        endsAt: 21_000
      }])
      notify(["FAILING_OVER", 3, 10, shards("1")], 1000)
      notify(["SMIGRATING", 4, "1-5"], 1000)
      notify(["MOVING", 5, 15, null], 1000)
      const opened = ["MIGRATING 2", "FAILING_OVER 3", "SMIGRATING 4", "MOVING 5"]
      assert.deepStrictEqual(labels(1000), opened)
      assert.deepStrictEqual(changes, opened.map((label) => `+ ${label} at ${endpoint}`))
    })

    const pairs = [["MIGRATING", "MIGRATED"], ["FAILING_OVER", "FAILED_OVER"], ["SMIGRATING", "SMIGRATED"]] as const

    for (const [opening, closing] of pairs) {
      it(`${opening} is closed by ${closing}, and by no other completion`, () => {
        const { changes, labels, notify } = make()
        const [time, last] = opening === "SMIGRATING" ? ["1-5", undefined] : [10, shards("1")]
        notify([opening, 2, time, last], 0)
        for (const [, other] of pairs) if (other !== closing) notify([other, 3], 1)
        assert.deepStrictEqual(labels(1), [`${opening} 2`])
        notify([closing, 3], 1)
        assert.deepStrictEqual(labels(1), [])
        assert.deepStrictEqual(changes, [`+ ${opening} 2 at ${endpoint}`, `- ${opening} 2 at ${endpoint}`])
      })
    }

    it("are closed by a completion that is heard on another endpoint: the endpoint follows the data", () => {
      const { labels, notify } = make()
      notify(["MIGRATING", 2, 10, shards("1")], 0)
      notify(["MIGRATED", 3, shards("1")], 1, "b:1")
      assert.deepStrictEqual(labels(1), [])
    })

    it("change nothing on a completion without an open one", () => {
      const { allowed, changes, notify } = make()
      notify(["MIGRATED", 3, shards("1")], 0)
      notify(["FAILED_OVER", 3, shards("1")], 0)
      notify(["SMIGRATED", 3, []], 0)
      assert.deepStrictEqual(changes, [])
      assert.strictEqual(allowed(-1000, 0), 3000)
    })

    it("are not closed by a completion that was numbered before they were announced", () => {
      const { labels, notify } = make()
      notify(["MIGRATING", 7, 10, shards("1")], 0)
      notify(["MIGRATED", 6, shards("1")], 1)
      assert.deepStrictEqual(labels(1), ["MIGRATING 7"])
    })

    it("that overlap are closed one by one, those with the completion's shards before the oldest", () => {
      const { labels, notify } = make()
      notify(["MIGRATING", 1, 10, shards("1")], 0)
      notify(["MIGRATING", 2, 10, shards("2", "3")], 0)
      notify(["MIGRATING", 3, 10, shards("4")], 0)
      notify(["FAILING_OVER", 4, 10, shards("3")], 0)
      notify(["MIGRATED", 5, shards("3")], 1)
      assert.deepStrictEqual(labels(1), ["MIGRATING 1", "MIGRATING 3", "FAILING_OVER 4"])
      notify(["MIGRATED", 6, shards("9")], 1)
      assert.deepStrictEqual(labels(1), ["MIGRATING 3", "FAILING_OVER 4"])
      notify(["MIGRATED", 7], 1)
      assert.deepStrictEqual(labels(1), ["FAILING_OVER 4"])
    })

    it("that go on at a second endpoint are not closed by a completion that it repeats", () => {
      const { labels, notify } = make()
      for (const [from, first] of [["a:1", true], ["b:1", false]] as const) {
        notify(["MIGRATING", 2, 10, shards("1")], 0, from, first)
        notify(["MIGRATING", 3, 10, shards("2")], 0, from, first)
      }
      notify(["MIGRATED", 4, shards("1")], 1, "a:1", true)
      notify(["MIGRATED", 4, shards("1")], 1, "b:1", false)
      assert.deepStrictEqual(labels(1), ["MIGRATING 3", "MIGRATING 3"])
    })

    it("that a second endpoint announced late are closed by its own repetition of the completion", () => {
      const { labels, notify } = make()
      notify(["MIGRATING", 2, 10, shards("1")], 0, "a:1", true)
      notify(["MIGRATED", 3, shards("1")], 1, "a:1", true)
      notify(["MIGRATING", 2, 10, shards("1")], 2, "b:1", false)
      notify(["MIGRATED", 3, shards("1")], 2, "b:1", false)
      assert.deepStrictEqual(labels(2), [])
    })

    it("keep a command relaxed until the last of them is closed", () => {
      const { allowed, notify } = make()
      notify(["MIGRATING", 1, 10, shards("1")], 0)
      notify(["FAILING_OVER", 2, 10, shards("1")], 0)
      notify(["MIGRATED", 3, shards("1")], 1000)
      assert.strictEqual(allowed(0, 1000), 10_000)
      notify(["FAILED_OVER", 4, shards("1")], 2000)
      assert.strictEqual(allowed(0, 2000), 5000)
    })

    it("end by themselves when the announced time and the relaxed timeout are over", () => {
      const { changes, labels, notify, timeouts } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 1000)
      notify(["SMIGRATING", 2, "1"], 1000)
      assert.strictEqual(timeouts.nextEnd, 11_000)
      assert.deepStrictEqual(labels(10_999), ["MIGRATING 1", "SMIGRATING 2"])
      assert.deepStrictEqual(labels(11_000), ["MIGRATING 1"])
      assert.strictEqual(timeouts.nextEnd, 16_000)
      timeouts.expire(15_999)
      assert.lengthOf(changes, 3)
      timeouts.expire(16_000)
      assert.deepStrictEqual(changes.slice(2), [`- SMIGRATING 2 at ${endpoint}`, `- MIGRATING 1 at ${endpoint}`])
      assert.strictEqual(timeouts.nextEnd, Infinity)
    })

    it("end eleven minutes after the announcement at the latest, whatever time was announced", () => {
      const { notify, timeouts } = make(Duration.minutes(1))
      notify(["MIGRATING", 1, 2 ** 31, shards("1")], 0)
      assert.strictEqual(timeouts.nextEnd, Duration.toMillis(Duration.minutes(11)))
    })

    it("are closed late without effect: a completion after the end changes nothing", () => {
      const { changes, notify } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 0)
      notify(["MIGRATED", 2, shards("1")], 15_000)
      assert.lengthOf(changes, 2)
      notify(["MIGRATING", 3, 5, shards("1")], 15_000)
      notify(["MIGRATED", 2, shards("1")], 15_001)
      assert.lengthOf(changes, 3)
    })

    it("name themselves to errors, the oldest first, for their endpoint alone", () => {
      const { notify, timeouts } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 0)
      notify(["MOVING", 2, 15, null], 0)
      assert.strictEqual(timeouts.inForce(at, 0)?.label, "MIGRATING 1")
      assert.strictEqual(timeouts.inForce(at, 15_000)?.label, "MOVING 2")
      assert.isUndefined(timeouts.inForce(at, 25_000))
      assert.isUndefined(timeouts.inForce({ address: "b:1", subject: connection }, 0))
    })
  })

  describe("deadlines", () => {
    it("are the command's own without a window", () => {
      const { allowed } = make()
      assert.strictEqual(allowed(500, 1000), 3000)
    })

    it("are relaxed in a window, also for commands that were in flight when it opened", () => {
      const { allowed, notify } = make()
      assert.strictEqual(allowed(0, 1000), 3000)
      notify(["MIGRATING", 1, 5, shards("1")], 2999)
      assert.strictEqual(allowed(0, 2999), 10_000)
      assert.strictEqual(allowed(2999, 2999), 10_000)
    })

    it("are never shortened: a longer timeout stays, and an infinite one stays infinite", () => {
      const { allowed, notify } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 0)
      assert.strictEqual(allowed(0, 0, 10_000), 10_000)
      assert.strictEqual(allowed(0, 0, 30_000), 30_000)
      assert.strictEqual(allowed(0, 0, Infinity), Infinity)
      notify(["MIGRATED", 2, shards("1")], 1)
      assert.strictEqual(allowed(0, 1, 30_000), 30_000)
      assert.strictEqual(allowed(0, 1, Infinity), Infinity)
    })

    it("are infinite in a window where the relaxed timeout is", () => {
      const { allowed, notify } = make(Duration.infinity)
      notify(["MIGRATING", 1, 5, shards("1")], 0)
      assert.strictEqual(allowed(0, 0), Infinity)
      notify(["MIGRATED", 2, shards("1")], 1000)
      assert.strictEqual(allowed(0, 1000), 4000)
    })

    it("are relaxed for the announcing endpoint alone", () => {
      const { notify, timeouts } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 0)
      assert.strictEqual(timeouts.deadline(0, 3000, { address: "b:1", subject: connection }, 0), 3000)
    })

    it("count the own timeout from the close, for commands that lived in the window", () => {
      const { allowed, notify } = make()
      notify(["MIGRATING", 1, 5, shards("1")], 1000)
      notify(["MIGRATED", 2, shards("1")], 5000)
      assert.strictEqual(allowed(500, 5000), 7500)
      // The relaxed timeout stays the longest.
      assert.strictEqual(allowed(-3000, 5000), 10_000)
      // One that started at the close, or after it, never waited for the maintenance.
      assert.strictEqual(allowed(5000, 5000), 3000)
      assert.strictEqual(allowed(6000, 6000), 3000)
    })

    it("count from the end of a window that ended by itself, not from when that was noticed", () => {
      const { allowed, notify } = make()
      notify(["SMIGRATING", 1, "1"], 0)
      assert.strictEqual(allowed(5000, 60_000), 8000)
    })

    it("go by the later of two closes", () => {
      const { allowed, notify } = make()
      notify(["SMIGRATING", 1, "1"], 0)
      notify(["MIGRATING", 2, 5, shards("1")], 0)
      notify(["MIGRATED", 3, shards("1")], 12_000)
      assert.strictEqual(allowed(9000, 12_000), 6000)
      // Of two that ended by themselves, too, in whichever order they were opened.
      notify(["MIGRATING", 4, 5, shards("1")], 20_000)
      notify(["SMIGRATING", 5, "1"], 20_000)
      assert.strictEqual(allowed(29_000, 60_000), 9000)
    })

    it("are the command's own where relaxation is off", () => {
      const changes: Array<string> = []
      const timeouts = new Timeouts.Timeouts(undefined, (_, window) => changes.push(window.label))
      timeouts.notify(notification(["MIGRATING", 1, 5, shards("1")]), true, 0)
      timeouts.relaxAfterHandoff(connection, 1000, 0)
      assert.deepStrictEqual(timeouts.open(0), [])
      assert.strictEqual(timeouts.nextEnd, Infinity)
      assert.strictEqual(timeouts.deadline(0, 3000, at, 0), 3000)
      assert.deepStrictEqual(changes, [])
    })
  })

  describe("after a handoff", () => {
    it("the new connection alone is relaxed, for the time given", () => {
      const { allowed, changes, timeouts } = make()
      timeouts.relaxAfterHandoff(connection, 20_000, 1000)
      assert.deepStrictEqual(changes, [`+ after handoff at ${connection}`])
      assert.strictEqual(allowed(1000, 1000), 10_000)
      assert.strictEqual(timeouts.deadline(1000, 3000, { address: endpoint, subject: "#2" }, 1000), 4000)
      assert.strictEqual(timeouts.nextEnd, 21_000)
      assert.strictEqual(allowed(20_999, 20_999), 10_000)
      assert.strictEqual(allowed(21_000, 21_000), 3000)
      assert.lengthOf(changes, 2)
    })

    it("no completion closes its window", () => {
      const { notify, timeouts } = make()
      timeouts.relaxAfterHandoff(connection, 20_000, 0)
      for (const name of ["MIGRATED", "FAILED_OVER", "SMIGRATED"]) notify([name, 9], 1)
      assert.strictEqual(timeouts.inForce(at, 1)?.label, "after handoff")
    })

    it("nothing is relaxed where the duration is zero", () => {
      const { changes, timeouts } = make()
      timeouts.relaxAfterHandoff(connection, 0, 0)
      assert.deepStrictEqual(changes, [])
    })
  })

  it("forgets the windows and the closes of a connection that is gone, and no other", () => {
    const { allowed, changes, labels, notify, timeouts } = make()
    notify(["MIGRATING", 1, 5, shards("1")], 0, "b:1")
    timeouts.relaxAfterHandoff(connection, 20_000, 0)
    timeouts.relaxAfterHandoff("#2", 20_000, 0)
    timeouts.forget(connection)
    assert.deepStrictEqual(labels(0), ["MIGRATING 1", "after handoff"])
    assert.deepStrictEqual(changes.slice(3), [`- after handoff at ${connection}`])
    assert.strictEqual(allowed(-1000, 0), 3000)
  })

  const step = Arbitrary.all([
    Arbitrary.schema(Schema.Literals(["MIGRATING", "MIGRATED", "FAILING_OVER", "FAILED_OVER", "handoff", "forget"])),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8000 })))
  ])
  const command = Arbitrary.schema(Schema.Struct({
    startedAt: Schema.Int.check(Schema.isBetween({ minimum: -12_000, maximum: 0 })),
    timeout: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 15_000 }))
  }))

  it.prop(
    "a deadline is never before the command's own nor after the relaxed one, and every window that opens is closed",
    [Arbitrary.array(step), command],
    ([steps, { startedAt, timeout }]) => {
      const { changes, notify, timeouts } = make()
      let now = 0
      let seq = 0
      const check = () => {
        const deadline = timeouts.deadline(startedAt, timeout, at, now)
        assert.isAtLeast(deadline, startedAt + timeout)
        assert.isAtMost(deadline, startedAt + Math.max(timeout, 10_000))
        assert.strictEqual(timeouts.deadline(startedAt, Infinity, at, now), Infinity)
        if (timeouts.inForce(at, now) !== undefined) {
          assert.strictEqual(deadline, startedAt + Math.max(timeout, 10_000))
        }
      }
      for (const [what, wait] of steps) {
        now += wait
        if (what === "handoff") timeouts.relaxAfterHandoff(connection, 5000, now)
        else if (what === "forget") timeouts.forget(connection)
        else notify(what.endsWith("ING") || what === "FAILING_OVER" ? [what, ++seq, 5] : [what, ++seq], now)
        check()
      }
      timeouts.expire(Infinity)
      check()
      assert.strictEqual(timeouts.nextEnd, Infinity)
      assert.strictEqual(
        changes.filter((change) => change.startsWith("+")).length,
        changes.filter((change) => change.startsWith("-")).length
      )
    }
  )
})
