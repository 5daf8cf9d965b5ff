/**
 * The replies of the simulated server, as they are spelled.
 */
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "../../src/Resp.ts"
import { encodeReply, ReplyValue } from "../../src/testing/server/replies.ts"

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Every reply, in the order of its tags, and how both protocols spell it. */
const replies: ReadonlyArray<readonly [value: ReplyValue, resp2: string, resp3: string]> = [
  [ReplyValue.Simple({ text: "OK" }), "+OK\r\n", "+OK\r\n"],
  [ReplyValue.Simple({ text: "a\r\n:1" }), "+a  :1\r\n", "+a  :1\r\n"],
  [ReplyValue.Error({ text: "ERR no\nway" }), "-ERR no way\r\n", "-ERR no way\r\n"],
  [ReplyValue.Integer({ value: -12 }), ":-12\r\n", ":-12\r\n"],
  [ReplyValue.Integer({ value: 9007199254740993n }), ":9007199254740993\r\n", ":9007199254740993\r\n"],
  [ReplyValue.Bulk({ value: "" }), "$0\r\n\r\n", "$0\r\n\r\n"],
  [ReplyValue.Bulk({ value: "日本" }), "$6\r\n日本\r\n", "$6\r\n日本\r\n"],
  [ReplyValue.Bulk({ value: Uint8Array.of(97, 0) }), "$2\r\na\0\r\n", "$2\r\na\0\r\n"],
  [ReplyValue.Null(), "$-1\r\n", "_\r\n"],
  [ReplyValue.NullArray(), "*-1\r\n", "_\r\n"],
  [ReplyValue.Double({ value: 1.5 }), "$3\r\n1.5\r\n", ",1.5\r\n"],
  [ReplyValue.Double({ value: -0 }), "$2\r\n-0\r\n", ",-0\r\n"],
  [ReplyValue.Double({ value: -Infinity }), "$4\r\n-inf\r\n", ",-inf\r\n"],
  [ReplyValue.Double({ value: NaN }), "$3\r\nnan\r\n", ",nan\r\n"],
  [ReplyValue.BigNumber({ value: -12n }), "$3\r\n-12\r\n", "(-12\r\n"],
  [ReplyValue.Boolean({ value: true }), ":1\r\n", "#t\r\n"],
  [ReplyValue.Boolean({ value: false }), ":0\r\n", "#f\r\n"],
  [ReplyValue.Verbatim({ format: "txt", text: "é" }), "$2\r\né\r\n", "=6\r\ntxt:é\r\n"],
  [ReplyValue.Array({ items: [ReplyValue.Null()] }), "*1\r\n$-1\r\n", "*1\r\n_\r\n"],
  [ReplyValue.Set({ items: [ReplyValue.Integer({ value: 1 })] }), "*1\r\n:1\r\n", "~1\r\n:1\r\n"],
  [
    ReplyValue.Map({ entries: [[ReplyValue.Simple({ text: "a" }), ReplyValue.Boolean({ value: true })]] }),
    "*2\r\n+a\r\n:1\r\n",
    "%1\r\n+a\r\n#t\r\n"
  ],
  [ReplyValue.Push({ items: [ReplyValue.Bulk({ value: "x" })] }), "*1\r\n$1\r\nx\r\n", ">1\r\n$1\r\nx\r\n"]
]

describe("encodeReply", () => {
  it("spells every reply as its protocol does", () => {
    for (const [value, resp2, resp3] of replies) {
      assert.strictEqual(textOf(encodeReply(value, 2)), resp2)
      assert.strictEqual(textOf(encodeReply(value, 3)), resp3)
    }
  })

  it("returns bytes that later replies leave alone, also for large ones", () => {
    const texts = ["a", "b".repeat(3000), "c".repeat(100_000), "é".repeat(2000), "d"]
    const encoded = [...texts, ...texts].map((value) => encodeReply(ReplyValue.Bulk({ value }), 3))
    const decoded: Array<unknown> = []
    const decoder = makeDecoder({
      blobsAsBytes: () => false,
      onReply: (value) => decoded.push(value),
      onPush: () => {}
    })
    for (const bytes of encoded) decoder.push(bytes)
    assert.deepStrictEqual(decoded, [...texts, ...texts])
  })

  it("does not hand out the bytes it was given", () => {
    const value = new Uint8Array(100_000)
    const encoded = encodeReply(ReplyValue.Bulk({ value }), 3)
    value.fill(1)
    assert.strictEqual(encoded[50_000], 0)
  })
})
