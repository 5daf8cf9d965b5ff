import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "hitless/Endpoint"
import * as Notifications from "hitless/Notifications"
import * as Resp from "../src/Resp.ts"

const endpoint = "10.0.0.4:12000"

/** What the wire's bytes mean: through the decoder, as on a connection whose next reply is asked for as bytes. */
const decodeBytes = (wire: string) => {
  const pushes: Array<ReadonlyArray<unknown>> = []
  const decoder = Resp.makeDecoder({
    blobsAsBytes: () => true,
    onReply: () => assert.fail("a push was taken for a reply"),
    onPush: (elements) => pushes.push(elements)
  })
  assert.isUndefined(decoder.push(new TextEncoder().encode(wire)))
  assert.strictEqual(pushes.length, 1)
  return Notifications.decode(pushes[0]!, endpoint)
}

const decode = (...elements: ReadonlyArray<unknown>) => Notifications.decode(elements, endpoint)

const succeeds = (result: Result.Result<Notifications.Notification, string> | undefined) =>
  Result.getOrThrow(result ?? Result.fail("not about maintenance"))

const moving = (fields: { readonly seq?: string; readonly seconds?: number; readonly target?: string }) =>
  succeeds(decode("MOVING", fields.seq ?? "1", fields.seconds ?? 15, fields.target ?? null))

describe("Notifications.decode", () => {
  describe("frames as servers send them", () => {
    const origin = { endpoint }
    const frames: ReadonlyArray<readonly [title: string, wire: string, expected: Notifications.Notification]> = [
      [
        "MOVING to an address",
        ">4\r\n$6\r\nMOVING\r\n:1\r\n:15\r\n$14\r\n10.0.0.5:12000\r\n",
        {
          _tag: "Moving",
          ...origin,
          seq: "1",
          time: Duration.seconds(15),
          target: Endpoint.tcp("10.0.0.5", 12000)
        }
      ],
      [
        "MOVING without a target",
        ">4\r\n$6\r\nMOVING\r\n:1\r\n:15\r\n_\r\n",
        { _tag: "Moving", ...origin, seq: "1", time: Duration.seconds(15), target: undefined }
      ],
      [
        "MIGRATING",
        ">4\r\n$9\r\nMIGRATING\r\n:2\r\n:10\r\n$9\r\n[\"1\",\"2\"]\r\n",
        { _tag: "Migrating", ...origin, seq: "2", time: Duration.seconds(10), shards: ["1", "2"] }
      ],
      [
        "MIGRATED",
        ">3\r\n$8\r\nMIGRATED\r\n:3\r\n$9\r\n[\"1\",\"2\"]\r\n",
        { _tag: "Migrated", ...origin, seq: "3", shards: ["1", "2"] }
      ],
      [
        "FAILING_OVER",
        ">4\r\n$12\r\nFAILING_OVER\r\n:2\r\n:10\r\n$9\r\n[\"1\",\"2\"]\r\n",
        { _tag: "FailingOver", ...origin, seq: "2", time: Duration.seconds(10), shards: ["1", "2"] }
      ],
      [
        "FAILED_OVER",
        ">3\r\n$11\r\nFAILED_OVER\r\n:3\r\n$9\r\n[\"1\",\"2\"]\r\n",
        { _tag: "FailedOver", ...origin, seq: "3", shards: ["1", "2"] }
      ],
      [
        "SMIGRATING",
        ">3\r\n$10\r\nSMIGRATING\r\n:4\r\n$16\r\n123,456,789-1000\r\n",
        { _tag: "SlotsMigrating", ...origin, seq: "4", slots: "123,456,789-1000" }
      ],
      [
        "SMIGRATED",
        ">3\r\n$9\r\nSMIGRATED\r\n:5\r\n*1\r\n*3\r\n$14\r\n127.0.0.1:6379\r\n$14\r\n127.0.0.1:6380\r\n$16\r\n123,456,789-1000\r\n",
        {
          _tag: "SlotsMigrated",
          ...origin,
          seq: "5",
          moves: [{ source: "127.0.0.1:6379", destination: "127.0.0.1:6380", slots: "123,456,789-1000" }]
        }
      ]
    ]

    for (const [title, wire, expected] of frames) {
      it(`reads ${title}`, () => {
        assert.deepStrictEqual(decodeBytes(wire), Result.succeed(expected))
      })

      it(`reads ${title} with simple strings and numbers as text`, () => {
        const simple = wire.replace(/\$\d+\r\n/g, "+").replace(/\n:(\d+)\r/g, "\n+$1\r")
        assert.deepStrictEqual(decodeBytes(simple), Result.succeed(expected))
      })

      it(`reads ${title} with elements that it does not know`, () => {
        const longer = wire.replace(/^>(\d)/, (_, count) => `>${Number(count) + 2}`) + ":7\r\n%1\r\n+a\r\n+b\r\n"
        assert.deepStrictEqual(decodeBytes(longer), Result.succeed(expected))
      })
    }
  })

  describe("MOVING", () => {
    const targets: ReadonlyArray<readonly [text: string, host: string, port: number]> = [
      ["10.0.0.5:12000", "10.0.0.5", 12000],
      ["name.example.com:12000", "name.example.com", 12000],
      ["[2001:db8::1]:12000", "2001:db8::1", 12000],
      ["2001:db8::1:12000", "2001:db8::1", 12000],
      ["name.example.com", "name.example.com", 6379],
      ["10.0.0.5", "10.0.0.5", 6379]
    ]

    for (const [text, host, port] of targets) {
      it(`leads to ${text}`, () => {
        const notification = succeeds(decodeBytes(`>4\r\n+MOVING\r\n:1\r\n:15\r\n$${text.length}\r\n${text}\r\n`))
        assert.deepStrictEqual(notification._tag === "Moving" && notification.target, Endpoint.tcp(host, port))
      })
    }

    it("has no target where it is null, the text null, RESP2's null, or missing", () => {
      for (const rest of ["4|_\r\n", "4|+null\r\n", "4|$-1\r\n", "3|"]) {
        const [count, target] = rest.split("|") as [string, string]
        const notification = succeeds(decodeBytes(`>${count}\r\n+MOVING\r\n:1\r\n:15\r\n${target}`))
        assert.deepStrictEqual(notification._tag === "Moving" && notification.target, undefined)
      }
    })
  })

  describe("announced times", () => {
    const timeOf = (value: unknown) => {
      const notification = succeeds(decode("MIGRATING", 1, value, "[]"))
      return "time" in notification ? Duration.toSeconds(notification.time) : assert.fail("no time")
    }

    it("are clamped to 0 … ten minutes", () => {
      assert.strictEqual(Duration.toMinutes(Notifications.longestAnnounced), 10)
      assert.strictEqual(timeOf(-1), 0)
      assert.strictEqual(timeOf("-9223372036854775808"), 0)
      assert.strictEqual(timeOf(0), 0)
      assert.strictEqual(timeOf(600), 600)
      assert.strictEqual(timeOf(601), 600)
      assert.strictEqual(timeOf(2 ** 53), 600)
      assert.strictEqual(timeOf(9223372036854775807n), 600)
      // A big number may be longer than any double.
      assert.strictEqual(timeOf(10n ** 400n), 600)
      assert.strictEqual(timeOf(-(10n ** 400n)), 0)
    })

    it.prop("are whole seconds", [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 }))], ([seconds]) => {
      assert.strictEqual(timeOf(seconds), seconds)
      assert.strictEqual(timeOf(BigInt(seconds)), seconds)
      assert.strictEqual(timeOf(String(seconds)), seconds)
    })
  })

  it("keeps sequence numbers exact beyond 2^53", () => {
    assert.strictEqual(succeeds(decodeBytes(">3\r\n+MIGRATED\r\n:9007199254740993\r\n+[]\r\n")).seq, "9007199254740993")
    assert.strictEqual(succeeds(decode("MIGRATED", "9007199254740993", "[]")).seq, "9007199254740993")
  })

  it("reads shards from JSON text, arrays, bare text, or does without", () => {
    const shardsOf = (...rest: ReadonlyArray<unknown>) => {
      const notification = succeeds(decode("MIGRATED", 1, ...rest))
      return "shards" in notification ? notification.shards : assert.fail("no shards")
    }
    assert.deepStrictEqual(shardsOf("[\"1\",\"2\"]"), ["1", "2"])
    assert.deepStrictEqual(shardsOf("[1,2]"), ["1", "2"])
    assert.deepStrictEqual(shardsOf(["1", 2]), ["1", "2"])
    assert.deepStrictEqual(shardsOf("1,2"), ["1,2"])
    assert.deepStrictEqual(shardsOf("{}"), [])
    assert.deepStrictEqual(shardsOf(""), [])
    assert.deepStrictEqual(shardsOf(null), [])
    assert.deepStrictEqual(shardsOf(), [])
  })

  it("reads SMIGRATED with several moves, with none, and with longer ones", () => {
    const movesOf = (...rest: ReadonlyArray<unknown>) => {
      const notification = succeeds(decode("SMIGRATED", 1, ...rest))
      return notification._tag === "SlotsMigrated" ? notification.moves : assert.fail("not SMIGRATED")
    }
    const first = { source: "a:1", destination: "b:1", slots: "1" }
    const second = { source: "a:1", destination: "c:1", slots: "2-5" }
    assert.deepStrictEqual(movesOf([["a:1", "b:1", "1"], ["a:1", "c:1", "2-5", 7]]), [first, second])
    assert.deepStrictEqual(movesOf([]), [])
    assert.deepStrictEqual(movesOf(null), [])
    assert.deepStrictEqual(movesOf(), [])
  })

  it("reads SMIGRATING without slots", () => {
    assert.deepStrictEqual(
      decode("SMIGRATING", 4),
      Result.succeed({ _tag: "SlotsMigrating", seq: "4", endpoint, slots: "" })
    )
  })

  it("leaves pushes about other things alone", () => {
    assert.isUndefined(decodeBytes(">3\r\n+message\r\n+channel\r\n+text\r\n"))
    assert.isUndefined(decode("invalidate", ["key"]))
    assert.isUndefined(decode("moving", 1, 15, null))
    assert.isUndefined(decode(null))
    assert.isUndefined(decode(new Map()))
    assert.isUndefined(decode())
  })

  describe("malformed frames", () => {
    const frames: ReadonlyArray<readonly [elements: ReadonlyArray<unknown>, why: string]> = [
      ...Object.values(Notifications.frameNames).flatMap((name) => [
        [[name], `${name} without a sequence number`] as const,
        [[name, null, 15, "[]"], `${name} without a sequence number`] as const,
        [[name, "first", 15, "[]"], `${name} without a sequence number`] as const,
        [[name, "", 15, "[]"], `${name} without a sequence number`] as const,
        [[name, 1.5, 15, "[]"], `${name} without a sequence number`] as const
      ]),
      ...["MOVING", "MIGRATING", "FAILING_OVER"].flatMap((name) => [
        [[name, 1], `${name} without an announced time`] as const,
        [[name, 1, null, "[]"], `${name} without an announced time`] as const,
        [[name, 1, "soon", "[]"], `${name} without an announced time`] as const,
        [[name, 1, NaN, "[]"], `${name} without an announced time`] as const,
        [[name, 1, Infinity, "[]"], `${name} without an announced time`] as const
      ]),
      [["MOVING", 1, 15, 7], "MOVING with a target that is not text"],
      [["MOVING", 1, 15, ["10.0.0.5", "12000"]], "MOVING with a target that is not text"],
      [["MOVING", 1, 15, ""], "MOVING with the target \"\": the host is empty"],
      [["MOVING", 1, 15, "a:0"], "MOVING with the target \"a:0\": the port is not a number from 1 to 65535"],
      [["MOVING", 1, 15, "a:b:1"], "MOVING with the target \"a:b:1\": it is neither host:port nor an IPv6 address"],
      [
        ["MOVING", 1, 15, "[a]:1"],
        "MOVING with the target \"[a]:1\": what stands in brackets is not an IPv6 address"
      ],
      ...["a:1 b:1 1", 7, ["a:1", "b:1", "1"], [["a:1", "b:1"]], [["a:1", "b:1", 1]], [["a:1", "b:1", "1"], null]].map(
        (moves) =>
          [["SMIGRATED", 5, moves], "SMIGRATED with moves that are not [source, destination, slots] triples"] as const
      )
    ]

    for (const [elements, why] of frames) {
      it(`refuses ${JSON.stringify(elements)}: ${why}`, () => {
        assert.deepStrictEqual(Notifications.decode(elements, endpoint), Result.fail(why))
      })
    }
  })

  const element = Schema.Union([
    Schema.Null,
    Schema.Finite,
    Schema.BigInt,
    Schema.String,
    Schema.Array(Schema.Union([Schema.String, Schema.Null, Schema.Array(Schema.String)]))
  ])

  it.prop(
    "never throws, and never passes a time that is not within its limits",
    [Schema.Literals(Object.values(Notifications.frameNames)), Schema.Array(element)],
    ([name, rest]) => {
      const result = Notifications.decode([name, ...rest], endpoint)
      if (result === undefined) return assert.fail(`${name} is about maintenance`)
      if (Result.isFailure(result)) return assert.isTrue(result.failure.startsWith(name))
      const notification = result.success
      assert.strictEqual(Notifications.frameNames[notification._tag], name)
      if ("time" in notification) {
        assert.isTrue(Duration.between(notification.time, {
          minimum: Duration.zero,
          maximum: Notifications.longestAnnounced
        }))
      }
    }
  )
})

describe("Notifications.familyOf", () => {
  it("puts what opens and what closes a window into one family", () => {
    const families = Object.entries({
      MOVING: "moving",
      MIGRATING: "migration",
      MIGRATED: "migration",
      FAILING_OVER: "failover",
      FAILED_OVER: "failover",
      SMIGRATING: "slot migration",
      SMIGRATED: "slot migration"
    })
    for (const [name, family] of families) {
      const notification = succeeds(decode(name, 1, name.startsWith("S") ? undefined : 15))
      assert.strictEqual(Notifications.familyOf(notification), family)
    }
  })
})

describe("Notifications.identity", () => {
  it("is the frame, the number and the target, not who told us or how long it takes", () => {
    assert.strictEqual(Notifications.identity(moving({ seq: "7", target: "b:1" })), "MOVING 7 b:1")
    assert.strictEqual(Notifications.identity(moving({ seq: "7" })), "MOVING 7 null")
    assert.strictEqual(Notifications.identity(succeeds(decode("MIGRATED", 7, "[]"))), "MIGRATED 7")
    const elsewhere = Notifications.decode(["MOVING", 7, 30, "b:1"], "10.0.0.9:1")
    assert.strictEqual(Notifications.identity(succeeds(elsewhere)), "MOVING 7 b:1")
  })

  it("differs for the same number with another target, and with another frame of the family", () => {
    const events = [
      moving({ seq: "7" }),
      moving({ seq: "7", target: "b:1" }),
      moving({ seq: "7", target: "b:2" }),
      moving({ seq: "8", target: "b:1" }),
      ...["MIGRATING", "MIGRATED", "FAILING_OVER", "FAILED_OVER"].map((name) => succeeds(decode(name, 7, 15))),
      ...["SMIGRATING", "SMIGRATED"].map((name) => succeeds(decode(name, 7)))
    ]
    assert.strictEqual(new Set(events.map(Notifications.identity)).size, events.length)
  })
})

describe("Notifications.SeenEvents", () => {
  it("hears an event once, however many connections bring it", () => {
    const seen = new Notifications.SeenEvents()
    assert.isTrue(seen.first(moving({ target: "b:1" }), 0))
    assert.isFalse(seen.first(moving({ target: "b:1" }), 0))
    assert.isFalse(seen.first(succeeds(Notifications.decode(["MOVING", 1, 14, "b:1"], "10.0.0.9:1")), 1000))
    assert.isTrue(seen.first(moving({ target: "c:1" }), 1000))
  })

  it("forgets an announcement when its time is over", () => {
    const seen = new Notifications.SeenEvents()
    assert.isTrue(seen.first(moving({ seconds: 15 }), 1000))
    assert.isFalse(seen.first(moving({ seconds: 15 }), 15_999))
    assert.isTrue(seen.first(moving({ seconds: 15 }), 16_000))
    assert.isFalse(seen.first(moving({ seconds: 15 }), 30_999))
  })

  it("hears an announcement without time once, although its connections hear it one after the other", () => {
    const seen = new Notifications.SeenEvents()
    assert.isTrue(seen.first(moving({ seconds: 0 }), 0))
    assert.isFalse(seen.first(moving({ seconds: 0 }), 1999))
    assert.isTrue(seen.first(moving({ seconds: 0 }), 2000))
  })

  it("remembers completions, which servers repeat for hours", () => {
    const seen = new Notifications.SeenEvents()
    const completions = ["MIGRATED", "FAILED_OVER", "SMIGRATED"].map((name) => succeeds(decode(name, 7)))
    for (const completion of completions) {
      assert.isTrue(seen.first(completion, 0))
      assert.isFalse(seen.first(completion, Duration.toMillis("10 hours")))
    }
  })

  it("remembers the last 1,024 events", () => {
    const seen = new Notifications.SeenEvents()
    const completion = (seq: number) => succeeds(decode("MIGRATED", seq))
    for (let seq = 1; seq <= 1024; seq++) assert.isTrue(seen.first(completion(seq), 0))
    for (let seq = 1; seq <= 1024; seq++) assert.isFalse(seen.first(completion(seq), 0))
    assert.isTrue(seen.first(completion(1025), 0))
    assert.isTrue(seen.first(completion(1), 0))
    assert.isFalse(seen.first(completion(3), 0))
  })

  it("counts an event that is heard again as the newest", () => {
    const seen = new Notifications.SeenEvents()
    const completion = (seq: number) => succeeds(decode("MIGRATED", seq))
    seen.first(moving({ seconds: 15 }), 0)
    for (let seq = 1; seq <= 1023; seq++) seen.first(completion(seq), 0)
    assert.isTrue(seen.first(moving({ seconds: 15 }), 15_000))
    seen.first(completion(1024), 15_000)
    assert.isFalse(seen.first(moving({ seconds: 15 }), 15_000))
    assert.isTrue(seen.first(completion(1), 15_000))
  })
})
