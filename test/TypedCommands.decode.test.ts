/**
 * What commands make of replies that no server at hand gives: those of newer servers as their documentation has them, beside
 * node-redis, and those that no server should give.
 */
import { assert, describe, it } from "@effect/vitest"
import { Commands } from "hitless"
import { nodeReply } from "./support/nodeRedis.ts"

/** A command, its name in node-redis, its reply in RESP3 and RESP2, and what is made of either. */
type Documented = readonly [
  command: Commands.Command<unknown>,
  name: string,
  resp3: unknown,
  resp2: unknown,
  value: unknown
]

const documented: ReadonlyArray<Documented> = [
  [Commands.delEx("k"), "delEx", 1, 1, 1],
  [Commands.digest("k"), "digest", "b6acb9d84a38ff74", "b6acb9d84a38ff74", "b6acb9d84a38ff74"],
  [Commands.digest("k"), "digest", null, null, null],
  [Commands.increx("k"), "increx", [12, 2], [12, 2], [12, 2]],
  [Commands.mSetEx({ k: "v" }), "mSetEx", 0, 0, 0],
  [Commands.lMoveM("a", "b", "LEFT", "RIGHT"), "lMoveM", ["x", "y"], ["x", "y"], ["x", "y"]],
  [Commands.blMoveM("a", "b", "LEFT", "RIGHT", 0), "blMoveM", null, null, null],
  [Commands.sDiffCard("a"), "sDiffCard", 3, 3, 3],
  [Commands.sUnionCard("a"), "sUnionCard", 3, 3, 3],
  [Commands.xAckDel("k", "g", "1-1"), "xAckDel", [1, -1, 2], [1, -1, 2], [1, -1, 2]],
  [Commands.xDelEx("k", "1-1"), "xDelEx", [1, -1], [1, -1], [1, -1]],
  [Commands.xCfgSet("k", {}), "xCfgSet", "OK", "OK", "OK"],
  [Commands.xNack("k", "g", "FAIL", "1-1"), "xNack", 1, 1, 1],
  [Commands.vRange("k", "-", "+"), "vRange", ["a", "b"], ["a", "b"], ["a", "b"]],
  [
    Commands.xReadGroup("g", "c", { key: "k", id: ">" }, { CLAIM: "1 minute" }),
    "xReadGroup",
    { k: [["1-1", ["a", "1"], 5000, 2]] },
    [["k", [["1-1", ["a", "1"], 5000, 2]]]],
    [{
      name: "k",
      messages: [{ id: "1-1", message: { a: "1" }, millisElapsedFromDelivery: 5000, deliveriesCounter: 2 }]
    }]
  ]
]

describe("The reply that is documented", () => {
  for (const [command, name, resp3, resp2, value] of documented) {
    it(`of ${name} becomes in both protocols what it does in node-redis: ${JSON.stringify(value)}`, () => {
      for (const [protocol, reply] of [[3, resp3], [2, resp2]] as const) {
        assert.deepEqual(command.decode(structuredClone(reply), protocol), value)
        assert.deepEqual(nodeReply(name, structuredClone(reply), protocol), value)
      }
    })
  }

  it("of incrExByFloat becomes numbers also in RESP2, where node-redis leaves it text", () => {
    const command = Commands.incrExByFloat("k", 0.5)
    assert.deepStrictEqual(command.decode([2, 0.5], 3), [2, 0.5])
    assert.deepStrictEqual(command.decode(["2", "0.5"], 2), [2, 0.5])
  })

  it("of bzMove is given as it is", () => {
    const command = Commands.bzMove("a", "b", "MIN", 0)
    assert.deepStrictEqual(command.decode(["x", 1], 3), ["x", 1])
    assert.isNull(command.decode(null, 3))
  })
})

const strange: ReadonlyArray<readonly [command: Commands.Command<unknown>, reply: unknown, expected: string]> = [
  [Commands.get("k"), 1, "a string"],
  [Commands.get("k"), ["v"], "a string"],
  [Commands.incr("k"), "1", "an integer"],
  [Commands.incr("k"), 2n ** 60n, "2^53"],
  [Commands.setNX("k", "v"), 2, "0 or 1"],
  [Commands.bitField("k", []), [2n ** 60n], "2^53"],
  [Commands.pSetEx("k", 1, "v"), "QUEUED", "OK"],
  [Commands.set("k", "v"), "QUEUED", "OK"],
  [Commands.zScore("k", "m"), "high", "a number"],
  [Commands.zScore("k", "m"), "", "a number"],
  [Commands.lRange("k", 0, -1), null, "an array"],
  [Commands.hGetAll("k"), ["a"], "pairs"],
  [Commands.hGetAll("k"), 5, "pairs"],
  [Commands.hGetAll("k"), new Map([[new Uint8Array([255]), "v"]]), "UTF-8"],
  [Commands.zRangeWithScores("k", 0, -1), [["a"]], "an array of 2"],
  [Commands.zRangeWithScores("k", 0, -1), ["a", {}], "text"],
  [Commands.scan("0"), ["0"], "an array of 2"],
  [Commands.blPop("k", 0), "k", "an array of 2"],
  [Commands.xRange("k", "-", "+"), [["1-1"]], "an array of 2"],
  [Commands.xRead({ key: "k", id: "0" }), 5, "pairs"],
  [Commands.vGetAttr("k", "e"), "{", "JSON"],
  [Commands.role(), ["nobody", 1], "a role"],
  [Commands.clientInfo(), "nothing", "a client"],
  [Commands.migrate("h", 1, "k", 0, 1), "QUEUED", "OK or NOKEY"]
]

describe("A reply that a command does not know", () => {
  for (const [command, reply, expected] of strange) {
    it(`is none of ${String(command.words[0])}, which expects ${expected}: ${typeof reply} ${String(reply)}`, () => {
      for (const protocol of [3, 2] as const) {
        try {
          command.decode(reply, protocol)
        } catch (mismatch) {
          assert.include((mismatch as { readonly detail: string }).detail, expected)
          continue
        }
        assert.fail("it was read")
      }
    })
  }
})
