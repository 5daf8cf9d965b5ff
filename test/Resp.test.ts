import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Resp from "../src/Resp.ts"
import { encodeReply, ReplyValue } from "../src/testing/server/replies.ts"

type Event = readonly ["reply", unknown] | readonly ["push", ReadonlyArray<unknown>]

const reply = (value: unknown): Event => ["reply", value]
const push = (...elements: ReadonlyArray<unknown>): Event => ["push", elements]

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The bytes of chunks one after the other; text counts as its UTF-8, which is what a socket sends. */
const concat = (parts: ReadonlyArray<Uint8Array | string>): Uint8Array => {
  const chunks = parts.map((part) => typeof part === "string" ? bytesOf(part) : part)
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** Cuts bytes into chunks of the given sizes, taken in turn. Each chunk has memory of its own, as a socket's have. */
const cut = (bytes: Uint8Array, ...sizes: ReadonlyArray<number>): Array<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const chunk = bytes.slice(at, at + sizes[chunks.length % sizes.length])
    chunks.push(chunk)
    at += chunk.length
  }
  return chunks
}

interface Decoded {
  readonly events: Array<Event>
  readonly error: Resp.RespError | undefined
}

interface DecodeOptions extends Resp.Limits {
  readonly asBytes?: boolean | undefined
}

const decode = (chunks: ReadonlyArray<Uint8Array>, options: DecodeOptions = {}): Decoded => {
  const events: Array<Event> = []
  const decoder = Resp.makeDecoder({
    blobsAsBytes: () => options.asBytes === true,
    onReply: (value) => events.push(reply(value)),
    onPush: (elements) => events.push(push(...elements))
  }, options)
  let error: Resp.RespError | undefined
  for (const chunk of chunks) {
    error = decoder.push(chunk)
  }
  return { events, error }
}

/** Asserts the same result for the whole, for every cut in two, for every byte alone and for odd cuts. */
const assertAtEveryCut = (wire: string | Uint8Array, check: (decoded: Decoded) => void, options?: DecodeOptions) => {
  const bytes = typeof wire === "string" ? bytesOf(wire) : wire
  check(decode([bytes], options))
  for (let at = 0; at <= bytes.length; at++) {
    check(decode([bytes.slice(0, at), bytes.slice(at)], options))
  }
  check(decode(cut(bytes, 1), options))
  check(decode(cut(bytes, 2, 3), options))
}

const error = (message: string) => new Resp.ErrorReply(message)
const record = (entries: Record<string, unknown>): unknown => Object.assign(Object.create(null), entries)

const goldens: ReadonlyArray<readonly [name: string, wire: string, ...events: ReadonlyArray<Event>]> = [
  ["the simple string OK", "+OK\r\n", reply("OK")],
  ["simple strings that only resemble OK", "+O\r\n+OKAY\r\n+OM\r\n", reply("O"), reply("OKAY"), reply("OM")],
  ["an empty simple string", "+\r\n", reply("")],
  ["a simple string beyond ASCII", "+grüß dich, 世界\r\n", reply("grüß dich, 世界")],
  ["a simple error", "-ERR unknown command 'FOO'\r\n", reply(error("ERR unknown command 'FOO'"))],
  ["a simple error of one word", "-NOAUTH\r\n", reply(error("NOAUTH"))],
  ["a blob error", "!21\r\nSYNTAX invalid syntax\r\n", reply(error("SYNTAX invalid syntax"))],
  ["an integer", ":1000\r\n", reply(1000)],
  ["signed integers", ":-42\r\n:+42\r\n:-0\r\n:0\r\n", reply(-42), reply(42), reply(0), reply(0)],
  [
    "the largest integers that are numbers",
    ":9007199254740991\r\n:-9007199254740991\r\n",
    reply(9007199254740991),
    reply(-9007199254740991)
  ],
  [
    "integers beyond 2^53",
    ":9007199254740993\r\n:-9223372036854775808\r\n",
    reply(9007199254740993n),
    reply(-9223372036854775808n)
  ],
  ["a blob", "$5\r\nhello\r\n", reply("hello")],
  ["an empty blob", "$0\r\n\r\n", reply("")],
  ["a blob that looks like RESP", "$11\r\n$3\r\nfoo\r\n:1\r\n", reply("$3\r\nfoo\r\n:1")],
  ["a blob with NUL, CR and LF", "$5\r\n\0\r\n\r\n\r\n", reply("\0\r\n\r\n")],
  [
    "blobs of two, three and four byte characters",
    "$2\r\né\r\n$9\r\n日本語\r\n$4\r\n😀\r\n",
    reply("é"),
    reply("日本語"),
    reply("😀")
  ],
  ["a blob longer than short text", `$40\r\n${"0123456789".repeat(4)}\r\n`, reply("0123456789".repeat(4))],
  ["a long blob beyond ASCII", `$48\r\n${"日".repeat(16)}\r\n`, reply("日".repeat(16))],
  ["a blob with a byte order mark", "$4\r\n\uFEFFa\r\n", reply("\uFEFFa")],
  ["all three nulls", "_\r\n$-1\r\n*-1\r\n", reply(null), reply(null), reply(null)],
  ["booleans", "#t\r\n#f\r\n", reply(true), reply(false)],
  ["doubles", ",1.23\r\n,10\r\n,-0.5\r\n,+2.5\r\n,10.\r\n", reply(1.23), reply(10), reply(-0.5), reply(2.5), reply(10)],
  ["the negative zero of doubles", ",-0\r\n,-0.0\r\n", reply(-0), reply(-0)],
  ["doubles with an exponent", ",1e3\r\n,1.5E+300\r\n,-2e-7\r\n", reply(1000), reply(1.5e300), reply(-2e-7)],
  [
    "doubles with more digits than are exact",
    ",3.1415926535897931\r\n,0.1000000000000000055511151231257827\r\n,12345678901234567890\r\n",
    reply(Math.PI),
    reply(0.1),
    reply(12345678901234567000)
  ],
  ["infinities", ",inf\r\n,+inf\r\n,-inf\r\n", reply(Infinity), reply(Infinity), reply(-Infinity)],
  ["not a number", ",nan\r\n,-nan\r\n", reply(NaN), reply(NaN)],
  [
    "big numbers, small ones too",
    "(3492890328409238509324850943850943825024385\r\n(-7\r\n(+7\r\n",
    reply(3492890328409238509324850943850943825024385n),
    reply(-7n),
    reply(7n)
  ],
  ["a verbatim string", "=15\r\ntxt:Some string\r\n", reply("Some string")],
  ["an empty verbatim string", "=4\r\nmkd:\r\n", reply("")],
  ["an array", "*3\r\n$1\r\na\r\n:2\r\n_\r\n", reply(["a", 2, null])],
  ["an empty array", "*0\r\n", reply([])],
  ["nested arrays", "*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n*1\r\n+x\r\n", reply([[1, []], [["x"]]])],
  ["an error inside an array", "*2\r\n+OK\r\n-ERR no\r\n", reply(["OK", error("ERR no")])],
  ["a set", "~3\r\n+a\r\n+b\r\n+a\r\n", reply(["a", "b", "a"])],
  ["a map", "%2\r\n$1\r\na\r\n:1\r\n+b\r\n*1\r\n#t\r\n", reply(record({ a: 1, b: [true] }))],
  ["an empty map", "%0\r\n", reply(record({}))],
  ["maps inside maps", "%1\r\n+a\r\n%1\r\n+b\r\n%0\r\n", reply(record({ a: record({ b: record({}) }) }))],
  [
    "a map with scalar keys",
    "%5\r\n:1\r\n+a\r\n#t\r\n+b\r\n,1.5\r\n+c\r\n_\r\n+d\r\n(12\r\n+e\r\n",
    reply(record({ 1: "a", true: "b", 1.5: "c", null: "d", 12: "e" }))
  ],
  [
    "a map with an aggregate among its keys",
    "%2\r\n+a\r\n:1\r\n*1\r\n:2\r\n:3\r\n",
    reply(new Map<unknown, unknown>([["a", 1], [[2], 3]]))
  ],
  ["an attribute before a reply", "|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", reply("a")],
  ["attributes before an attribute", "|1\r\n+a\r\n:1\r\n|0\r\n|1\r\n+b\r\n:2\r\n:3\r\n", reply(3)],
  ["an attribute before an element", "*3\r\n:1\r\n|1\r\n+ttl\r\n:3600\r\n:2\r\n:3\r\n", reply([1, 2, 3])],
  ["an attribute before an empty streamed array", "|0\r\n*?\r\n.\r\n", reply([])],
  ["an attribute inside an attribute", "|1\r\n|1\r\n+a\r\n+b\r\n+c\r\n*1\r\n+d\r\n:1\r\n", reply(1)],
  ["an attribute before a key", "%1\r\n|1\r\n+a\r\n+b\r\n+k\r\n|0\r\n+v\r\n", reply(record({ k: "v" }))],
  ["an attribute before a push", "|1\r\n+a\r\n+b\r\n>1\r\n+p\r\n", push("p")],
  ["a push before any reply", ">2\r\n+message\r\n$1\r\na\r\n+OK\r\n", push("message", "a"), reply("OK")],
  [
    "pushes between the replies of a pipeline",
    "+OK\r\n>1\r\n+a\r\n>1\r\n+b\r\n*1\r\n:1\r\n>1\r\n+c\r\n$1\r\nx\r\n",
    reply("OK"),
    push("a"),
    push("b"),
    reply([1]),
    push("c"),
    reply("x")
  ],
  ["an empty push", ">0\r\n", push()],
  [
    "maintenance pushes",
    ">4\r\n$6\r\nMOVING\r\n:1\r\n:15\r\n_\r\n>3\r\n$9\r\nSMIGRATED\r\n:5\r\n*1\r\n*2\r\n+a:1\r\n+b:2\r\n",
    push("MOVING", 1, 15, null),
    push("SMIGRATED", 5, [["a:1", "b:2"]])
  ],
  ["a streamed string", "$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", reply("Hello word")],
  ["an empty streamed string", "$?\r\n;0\r\n", reply("")],
  ["a streamed array", "*?\r\n:1\r\n+a\r\n*?\r\n.\r\n.\r\n", reply([1, "a", []])],
  ["a streamed set", "~?\r\n:1\r\n:2\r\n.\r\n", reply([1, 2])],
  ["a streamed map", "%?\r\n+a\r\n:1\r\n+b\r\n$?\r\n;1\r\nc\r\n;0\r\n.\r\n", reply(record({ a: 1, b: "c" }))],
  [
    "streamed aggregates inside others",
    "*2\r\n~?\r\n*1\r\n:1\r\n.\r\n%?\r\n.\r\n",
    reply([[[1]], record({})])
  ]
]

const malformed: ReadonlyArray<readonly [name: string, wire: string, offset: number, expected: string]> = [
  ["an unknown type byte", "+OK\r\nHTTP/1.1 400\r\n", 5, "a type byte"],
  ["a part outside a streamed string", ";1\r\na\r\n", 0, "a type byte"],
  ["an end outside a streamed aggregate", ".\r\n", 0, "a value"],
  ["an end inside a counted array", "*2\r\n:1\r\n.\r\n", 8, "a value"],
  ["an end with more text", "*?\r\n.x\r\n", 5, "CRLF"],
  ["an end between key and value", "%?\r\n+a\r\n.\r\n", 8, "a value"],
  ["an end after an attribute", "*?\r\n|0\r\n.\r\n", 8, "a value"],
  ["a push inside an array", "*1\r\n>1\r\n+a\r\n", 4, "a value that is not a push"],
  ["a push inside an attribute", "|1\r\n+a\r\n>0\r\n", 8, "a value that is not a push"],
  ["a push inside a streamed string", "$?\r\n>0\r\n", 4, "a part of a streamed string"],
  ["a blob inside a streamed string", "$?\r\n;1\r\na\r\n$1\r\nb\r\n", 11, "a part of a streamed string"],
  ["a line feed without carriage return", "+a\nb\r\n", 2, "CR before LF"],
  ["a carriage return without line feed", "+a\rb\r\n", 3, "LF after CR"],
  ["a carriage return without line feed before the line is whole", "+a\rb", 3, "LF after CR"],
  ["two carriage returns", "+a\r\r\n", 3, "LF after CR"],
  ["a blob longer than announced", "$1\r\nab\r\n", 5, "CRLF after a payload"],
  ["a blob that ends in CR alone", "$1\r\na\rb\r\n", 6, "CRLF after a payload"],
  ["a length with garbage", "$1x\r\na\r\n", 2, "a decimal length"],
  ["an empty length", "$\r\n\r\n", 1, "a decimal length"],
  ["a length with a sign", "$+1\r\na\r\n", 1, "a decimal length"],
  ["a length with a space", "* 1\r\n:1\r\n", 1, "a decimal length"],
  ["a negative length other than -1", "$-2\r\n", 2, "1, for -1 is the only negative length"],
  ["a null length with garbage", "*-10\r\n", 3, "CRLF"],
  ["a negative map", "%-1\r\n", 1, "a decimal length"],
  ["a negative blob error", "!-1\r\n", 1, "a decimal length"],
  ["a streamed length with garbage", "$?1\r\n", 2, "CRLF"],
  ["a streamed push", ">?\r\n", 1, "a decimal length"],
  ["a streamed attribute", "|?\r\n", 1, "a decimal length"],
  ["an integer with garbage", ":12a\r\n", 3, "a digit"],
  ["an empty integer", ":\r\n", 1, "a digit"],
  ["an integer that is only a sign", ":-\r\n", 2, "a digit"],
  ["an integer with two signs", ":+-1\r\n", 2, "a digit"],
  ["an integer of twenty digits", ":10000000000000000000\r\n", 20, "an integer of at most 19 digits"],
  ["a big number with garbage", "(12 \r\n", 3, "a digit"],
  ["an empty big number", "(\r\n", 1, "a digit"],
  ["an empty double", ",\r\n", 1, "a digit"],
  ["a double without a whole part", ",.5\r\n", 1, "a digit"],
  ["a double with garbage", ",1.5x\r\n", 4, "CRLF"],
  ["a double with two points", ",1.5.2\r\n", 4, "CRLF"],
  ["a double with an empty exponent", ",1e\r\n", 3, "a digit"],
  ["a hexadecimal double", ",0x10\r\n", 2, "CRLF"],
  ["a spelled-out infinity", ",Infinity\r\n", 1, "a digit"],
  ["a null with text", "_x\r\n", 1, "CRLF"],
  ["a boolean that is neither", "#x\r\n", 1, "t or f"],
  ["an empty boolean", "#\r\n", 1, "t or f"],
  ["a boolean with more text", "#tt\r\n", 2, "CRLF"],
  ["a verbatim string without a format", "=3\r\ntxt\r\n", 4, "a format of three letters and a colon"],
  ["a verbatim string of one byte", "=1\r\na\r\n:1\r\n", 4, "a format of three letters and a colon"],
  ["a verbatim string without a colon", "=6\r\ntxt-ab\r\n", 4, "a format of three letters and a colon"]
]

const nested = (levels: number): string => "*1\r\n".repeat(levels) + ":1\r\n"

describe("decoder", () => {
  for (const [name, wire, ...events] of goldens) {
    it(`decodes ${name}`, () => {
      assertAtEveryCut(wire, (decoded) => assert.deepStrictEqual(decoded, { events, error: undefined }))
    })
  }

  it("decodes all goldens as one stream", () => {
    const wire = bytesOf(goldens.map(([, wire]) => wire).join(""))
    const events = goldens.flatMap(([, , ...events]) => events)
    for (const size of [1, 7, 64, 1000, wire.length]) {
      assert.deepStrictEqual(decode(cut(wire, size)), { events, error: undefined })
    }
  })

  it("joins the parts of a streamed string before it decodes them as text", () => {
    const [first, second] = cut(bytesOf("é"), 1)
    const wire = concat([bytesOf("$?\r\n;1\r\n"), first, bytesOf("\r\n;1\r\n"), second, bytesOf("\r\n;0\r\n")])
    assertAtEveryCut(wire, ({ events }) => assert.deepStrictEqual(events, [reply("é")]))
  })

  it("reads bytes that are not UTF-8 as replacement characters", () => {
    const wire = concat([
      bytesOf("$2\r\n"),
      Uint8Array.of(0xff, 0x61),
      bytesOf("\r\n+"),
      Uint8Array.of(0xc3),
      bytesOf("\r\n")
    ])
    assertAtEveryCut(wire, ({ events }) => assert.deepStrictEqual(events, [reply("\uFFFDa"), reply("\uFFFD")]))
  })

  it("decodes short text of every length", () => {
    const texts = Array.from(
      { length: 40 },
      (_, length) => "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop".slice(0, length)
    )
    const wire = bytesOf(texts.map((text) => `$${text.length}\r\n${text}\r\n+${text}\r\n`).join(""))
    assert.deepStrictEqual(decode([wire]).events, texts.flatMap((text) => [reply(text), reply(text)]))
  })

  it("reads the code of an error from its first word", () => {
    assert.strictEqual(error("WRONGTYPE Operation against a key").code, "WRONGTYPE")
    assert.strictEqual(error("NOAUTH").code, "NOAUTH")
  })

  it("makes maps without a prototype, so that no key is special", () => {
    const { events } = decode([bytesOf("%3\r\n+__proto__\r\n+a\r\n+constructor\r\n+b\r\n+toString\r\n+c\r\n")])
    const map = events[0][1] as object
    assert.strictEqual(Object.getPrototypeOf(map), null)
    assert.deepStrictEqual(Object.entries(map), [["__proto__", "a"], ["constructor", "b"], ["toString", "c"]])
  })

  /** A map of two entries whose keys are those bytes, in every spelling. */
  const mapsOf = (...keys: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
    const spellings: ReadonlyArray<(key: Uint8Array) => ReadonlyArray<Uint8Array | string>> = [
      (key) => [`$${key.length}\r\n`, key, "\r\n"],
      (key) => ["+", key, "\r\n"],
      (key) => [`=${key.length + 4}\r\ntxt:`, key, "\r\n"],
      (key) => [`$?\r\n;1\r\n`, key.slice(0, 1), `\r\n;${key.length - 1}\r\n`, key.slice(1), "\r\n;0\r\n"]
    ]
    return spellings.map((spell) =>
      concat([`%${keys.length}\r\n`, ...keys.flatMap((key, index) => [...spell(key), `:${index}\r\n`])])
    )
  }

  it("keeps keys that are not UTF-8 as bytes, in an ES map, however they are asked for", () => {
    const padding = bytesOf("a key of more than short text, as".padEnd(70, "."))
    const bytes = [
      Uint8Array.of(0x61, 0xff),
      Uint8Array.of(0x61, 0xfe),
      Uint8Array.of(0xc3, 0x28),
      Uint8Array.of(0xed, 0xa0, 0x80),
      Uint8Array.of(0xe2, 0x82),
      concat([padding, Uint8Array.of(0xff)]),
      concat([padding, Uint8Array.of(0xfe)])
    ]
    const texts = ["a\uFFFD", "a\u00E9", "\uFEFFa", "plain", textOf(padding)]
    const keys = [...bytes, ...texts.map(bytesOf)]
    const expected = [...bytes, ...texts].map((key, index) => [key, index])
    for (const wire of mapsOf(...keys)) {
      for (const asBytes of [false, true]) {
        assertAtEveryCut(wire, ({ events, error }) => {
          assert.isUndefined(error)
          assert.deepStrictEqual<unknown>(Array.from(events[0][1] as Map<unknown, unknown>), expected)
        }, { asBytes })
      }
    }
  })

  it("keeps keys that are UTF-8 as the names of an object, U+FFFD and a byte order mark among them", () => {
    const keys = ["a\uFFFD", "\uFFFD".repeat(20), "\uFEFFa", "\u00E9".repeat(10), "__proto__"]
    const expected = Object.create(null) as Record<string, unknown>
    keys.forEach((key, index) => {
      expected[key] = index
    })
    for (const wire of mapsOf(...keys.map(bytesOf))) {
      for (const asBytes of [false, true]) {
        assertAtEveryCut(wire, ({ events }) => assert.deepStrictEqual(events, [reply(expected)]), { asBytes })
      }
    }
  })

  it("gives keys that are bytes memory which later values leave alone", () => {
    const keyOf = (byte: number) => new Uint8Array(70_000).fill(byte)
    const chunks = [0xff, 0xfe, 0xfd].flatMap((byte) => cut(mapsOf(keyOf(byte))[0], 65_536))
    const keys = decode(chunks).events.flatMap(([, value]) => Array.from((value as Map<unknown, unknown>).keys()))
    assert.deepStrictEqual(keys, [keyOf(0xff), keyOf(0xfe), keyOf(0xfd)])
  })

  it("keeps maps inside other values apart: only the one with such a key is an ES map", () => {
    const inner = mapsOf(Uint8Array.of(0x61, 0xff))[0]
    const wire = concat(["*2\r\n%1\r\n+a\r\n", inner, "%1\r\n+b\r\n:1\r\n"])
    const expected = [record({ a: new Map([[Uint8Array.of(0x61, 0xff), 0]]) }), record({ b: 1 })]
    assertAtEveryCut(wire, ({ events }) => assert.deepStrictEqual(events, [reply(expected)]))
  })

  it("tells keys apart that have the same name: a number, a big number, a boolean, a null, and text", () => {
    for (
      const [wire, ...entries] of [
        ["%2\r\n:1\r\n+a\r\n$1\r\n1\r\n+b\r\n", [1, "a"], ["1", "b"]],
        ["%2\r\n$1\r\n1\r\n+a\r\n:1\r\n+b\r\n", ["1", "a"], [1, "b"]],
        ["%2\r\n(7\r\n+a\r\n:7\r\n+b\r\n", [7n, "a"], [7, "b"]],
        ["%2\r\n#t\r\n+a\r\n+true\r\n+b\r\n", [true, "a"], ["true", "b"]],
        ["%2\r\n_\r\n+a\r\n+null\r\n+b\r\n", [null, "a"], ["null", "b"]],
        ["%2\r\n,nan\r\n+a\r\n+NaN\r\n+b\r\n", [NaN, "a"], ["NaN", "b"]],
        ["%3\r\n,1.5\r\n+a\r\n+1.5\r\n+b\r\n+__proto__\r\n+c\r\n", [1.5, "a"], ["1.5", "b"], ["__proto__", "c"]]
      ] as const
    ) {
      assertAtEveryCut(wire, ({ events }) => {
        assert.deepStrictEqual(Array.from(events[0][1] as Map<unknown, unknown>), entries as unknown)
      })
    }
  })

  it("takes the last of equal keys", () => {
    const wire = "%2\r\n+a\r\n:1\r\n$1\r\na\r\n:2\r\n%2\r\n,nan\r\n:1\r\n,nan\r\n:2\r\n"
    assert.deepStrictEqual(decode([bytesOf(wire)]).events, [reply(record({ a: 2 })), reply(record({ NaN: 2 }))])
  })

  it("tells where there are errors inside a reply, and only there", () => {
    const told: Array<boolean> = []
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => false,
      onReply: (_, hasErrors) => told.push(hasErrors),
      onPush: () => {}
    })
    const inside = ["*1\r\n-E\r\n", "*1\r\n*1\r\n!1\r\nE\r\n", "%1\r\n-E\r\n:1\r\n", "~?\r\n-E\r\n.\r\n"]
    const none = [":1\r\n", "-E\r\n", "!1\r\nE\r\n", "*1\r\n$2\r\n-E\r\n", ">1\r\n-E\r\n:1\r\n", "*0\r\n"]
    for (const wire of [...inside, ...none]) {
      for (const chunk of cut(bytesOf(wire + "+OK\r\n"), 1)) assert.isUndefined(decoder.push(chunk))
    }
    assert.deepStrictEqual(told, [...inside.flatMap(() => [true, false]), ...none.flatMap(() => [false, false])])
  })

  it("decodes the blobs of a reply as bytes when asked to, and nothing else", () => {
    const wire =
      "*5\r\n$2\r\nab\r\n+cd\r\n%1\r\n$1\r\nk\r\n$1\r\nv\r\n$?\r\n;1\r\ns\r\n;0\r\n=5\r\ntxt:t\r\n>1\r\n$1\r\np\r\n$0\r\n\r\n"
    const expected = [
      reply([Uint8Array.of(97, 98), "cd", record({ k: Uint8Array.of(118) }), Uint8Array.of(115), "t"]),
      push("p"),
      reply(new Uint8Array(0))
    ]
    assertAtEveryCut(wire, ({ events }) => assert.deepStrictEqual(events, expected), { asBytes: true })
  })

  it("asks once per reply, at its first byte", () => {
    const log: Array<string> = []
    let asked = 0
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => {
        log.push("(ask)")
        return ++asked === 2
      },
      onReply: (value) => log.push(Array.isArray(value) ? "(array of bytes)" : "(text)"),
      onPush: () => log.push("(push)")
    })
    for (const chunk of cut(bytesOf(">1\r\n+p\r\n$1\r\na\r\n|1\r\n+a\r\n+b\r\n*1\r\n$1\r\nb\r\n"), 1)) {
      decoder.push(chunk)
      log.push(textOf(chunk).trim())
    }
    assert.strictEqual(log.join(""), ">1+p(push)(ask)$1a(text)|1+a+b(ask)*1$1b(array of bytes)")
  })

  it("gives bytes of every size that later chunks and later values leave alone", () => {
    const sizes = [0, 1, 64, 65, 200, 1024, 1025, 5000, 70_000]
    const values = [...sizes, ...sizes].map((size, index) => new Uint8Array(size).fill(index + 1))
    const wire = concat(values.flatMap((value) => [bytesOf(`$${value.length}\r\n`), value, bytesOf("\r\n")]))
    for (const size of [wire.length, 65_536, 1460, 33]) {
      const { events } = decode(cut(wire, size), { asBytes: true })
      assert.deepStrictEqual(events, values.map(reply))
    }
  })

  it("does not keep a large chunk alive for a small byte value", () => {
    const wire = bytesOf("$100\r\n" + "a".repeat(100) + "\r\n$60000\r\n" + "b".repeat(60_000) + "\r\n")
    const [small, large] = decode([wire], { asBytes: true }).events.map(([, value]) => value as Uint8Array)
    assert.isAtMost(small.buffer.byteLength, 8192)
    assert.strictEqual(large.buffer, wire.buffer)
  })

  it("decodes a large blob that comes in chunks of 64 KiB, among others", () => {
    const value = new Uint8Array(20_000_000)
    for (let i = 0; i < value.length; i++) {
      value[i] = i % 127
    }
    const wire = concat([bytesOf("*3\r\n:1\r\n$20000000\r\n"), value, bytesOf("\r\n:2\r\n+next\r\n")])
    const chunks = cut(wire, 65_536)
    assert.deepStrictEqual(decode(chunks).events, [reply([1, textOf(value), 2]), reply("next")])
    const bytes = decode(chunks, { asBytes: true }).events
    assert.isTrue(textOf((bytes[0][1] as [number, Uint8Array, number])[1]) === textOf(value))
  })

  it("keeps values apart that pass through the same memory, one after the other and on two connections", () => {
    const sizes = [70_000, 100, 69_999, 2_000_000, 1_048_576, 70_000, 3]
    const values = sizes.map((size, index) => String.fromCharCode(97 + index).repeat(size - 2) + "é")
    const wire = bytesOf(values.map((value, index) => `$${sizes[index]}\r\n${value}\r\n`).join(""))
    const decoded: ReadonlyArray<Array<unknown>> = [[], []]
    const decoders = decoded.map((replies) =>
      Resp.makeDecoder({
        // Every other value is bytes, which must outlive the text after them.
        blobsAsBytes: () => replies.length % 2 === 1,
        onReply: (value) => replies.push(value),
        onPush: () => {}
      })
    )
    for (const chunk of cut(wire, 1000, 65_536, 10)) {
      for (const decoder of decoders) {
        assert.isUndefined(decoder.push(chunk))
      }
    }
    for (const replies of decoded) {
      assert.deepStrictEqual(replies.map((value) => value instanceof Uint8Array), values.map((_, i) => i % 2 === 1))
      const texts = replies.map((value) => value instanceof Uint8Array ? textOf(value) : value)
      assert.isTrue(texts.length === values.length && texts.every((text, index) => text === values[index]))
    }
  })

  it("decodes a long line and a large array that come byte by byte", () => {
    const line = "x".repeat(100_000)
    const wire = bytesOf(`+${line}\r\n*20000\r\n${":1\r\n".repeat(20_000)}`)
    assert.deepStrictEqual(decode(cut(wire, 1)).events, [reply(line), reply(new Array(20_000).fill(1))])
  })

  it("ignores empty chunks", () => {
    const chunks = cut(bytesOf("$5\r\nhello\r\n:1\r\n"), 1).flatMap((chunk) => [new Uint8Array(0), chunk])
    assert.deepStrictEqual(decode(chunks), { events: [reply("hello"), reply(1)], error: undefined })
  })

  it("makes no callback after it was stopped by one", () => {
    for (const stopAt of [1, 2, 3, 4]) {
      const log: Array<string> = []
      const decoder = Resp.makeDecoder({
        blobsAsBytes: () => note("ask"),
        onReply: () => note("reply"),
        onPush: () => note("push")
      })
      const note = (name: string): boolean => {
        if (log.push(name) === stopAt) {
          decoder.stop()
        }
        return false
      }
      assert.isUndefined(decoder.push(bytesOf("+a\r\n>1\r\n+p\r\n*0\r\n+b\r\n")))
      assert.isUndefined(decoder.push(bytesOf("+c\r\nnonsense")))
      assert.deepStrictEqual(log, ["ask", "reply", "push", "ask"].slice(0, stopAt))
    }
  })
})

describe("malformed input", () => {
  for (const [name, wire, offset, expected] of malformed) {
    it(`refuses ${name}`, () => {
      assertAtEveryCut(wire, (decoded) => {
        assert.strictEqual(decoded.error?._tag, "RespError")
        assert.deepStrictEqual([decoded.error?.offset, decoded.error?.expected], [offset, expected])
        assert.strictEqual(decoded.error?.message, `Resp: expected ${expected} at offset ${offset}`)
      })
    })
  }

  it("hands over what came before it", () => {
    assertAtEveryCut("+a\r\n>1\r\n+p\r\n$x\r\n+b\r\n", ({ events, error }) => {
      assert.deepStrictEqual(events, [reply("a"), push("p")])
      assert.strictEqual(error?.offset, 13)
    })
  })

  it("is final: every later push returns the same error and nothing is decoded", () => {
    const events: Array<unknown> = []
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => false,
      onReply: (value) => events.push(value),
      onPush: (elements) => events.push(elements)
    })
    const first = decoder.push(bytesOf("?"))
    assert.strictEqual(first?.offset, 0)
    assert.strictEqual(decoder.push(bytesOf("+OK\r\n")), first)
    assert.deepStrictEqual(events, [])
  })

  it("counts offsets over all chunks", () => {
    const chunk = bytesOf("$5\r\nhello\r\n")
    const { error } = decode([...new Array(1000).fill(chunk), bytesOf("+a\r\nX")])
    assert.strictEqual(error?.offset, 11_004)
  })
})

describe("limits", () => {
  const unreadable = (why: string) => new Resp.Unreadable(why)
  const tooLarge = (bytes: number) => unreadable(`a value larger than ${bytes} bytes: ask for it in parts`)
  const tooDeep = (levels: number) => unreadable(`a value nested deeper than ${levels} levels`)

  /** The kind of each event, for streams of which nothing is kept. */
  const kinds = (events: ReadonlyArray<Event>) => events.map(([kind]) => kind)
  const isSkipped = ([kind, value]: Event) =>
    kind === "push" ? value.length === 1 && value[0] instanceof Resp.Unreadable : value instanceof Resp.Unreadable

  for (
    const wire of [
      "$10\r\n0123456789\r\n",
      "+0123456789abcd\r\n",
      "-ERR 0123456789\r\n",
      ":000000000000012\r\n",
      "*2\r\n$1\r\na\r\n:23\r\n",
      "%1\r\n+a\r\n*1\r\n_\r\n",
      "%1\r\n$6\r\n012345\r\n_\r\n",
      "|1\r\n+a\r\n_\r\n:12345\r\n",
      "*?\r\n+abc\r\n_\r\n.\r\n",
      "$?\r\n;1\r\na\r\n;0\r\n"
    ]
  ) {
    it(`takes ${JSON.stringify(wire)} at the frame limit and skips it one byte below`, () => {
      const stream = "+a\r\n" + wire + "+b\r\n>1\r\n+p\r\n"
      assertAtEveryCut(stream, ({ events, error }) => {
        assert.isUndefined(error)
        assert.deepStrictEqual([events[0], events[2], events[3]], [reply("a"), reply("b"), push("p")])
        assert.isFalse(isSkipped(events[1]))
      }, { maxFrameBytes: wire.length })
      const maxFrameBytes = wire.length - 1
      const expected = [reply("a"), reply(tooLarge(maxFrameBytes)), reply("b"), push("p")]
      assertAtEveryCut(stream, ({ events, error }) => {
        assert.isUndefined(error)
        assert.deepStrictEqual(events, expected)
      }, { maxFrameBytes })
    })
  }

  it("skips every kind of value to its last byte, and nothing after it", () => {
    for (const [name, wire, ...events] of goldens) {
      for (const limits of [{ maxFrameBytes: 2 }, { maxFrameBytes: 7 }, { maxDepth: 0 }, { maxDepth: 1 }]) {
        assertAtEveryCut(wire + "+b\r\n", (decoded) => {
          assert.isUndefined(decoded.error, name)
          assert.deepStrictEqual(kinds(decoded.events), [...kinds(events), "reply"], name)
          if (limits.maxFrameBytes === 2) assert.isTrue(decoded.events.every(isSkipped), name)
          else assert.deepStrictEqual(decoded.events[events.length], reply("b"), name)
        }, limits)
      }
    }
  })

  it("skips what is announced before any of it has come, and keeps no memory for it", () => {
    const mib = new Uint8Array(1024 * 1024)
    const size = 4096 * mib.length
    for (const [before, after] of [["", ""], ["*2\r\n$1\r\na\r\n", ""], ["%1\r\n", "_\r\n"], ["$?\r\n;", ";0\r\n"]]) {
      const header = `${before}${before!.endsWith(";") ? "" : "$"}${size}\r\n`
      const log: Array<unknown> = []
      const decoder = Resp.makeDecoder({
        blobsAsBytes: () => true,
        onReply: (value) => log.push(value),
        onPush: () => {}
      })
      assert.isUndefined(decoder.push(bytesOf(header)))
      const resident = process.memoryUsage.rss()
      for (let i = 0; i < 4096; i++) assert.isUndefined(decoder.push(mib))
      assert.isBelow(process.memoryUsage.rss() - resident, 256 * mib.length)
      assert.isUndefined(decoder.push(bytesOf(`\r\n${after}+next\r\n`)))
      assert.deepStrictEqual(log, [tooLarge(513 * 1024 * 1024), "next"])
    }
  })

  it("skips a push as one with a single element, also where its type comes after an attribute", () => {
    for (
      const wire of [
        ">2\r\n+a\r\n*1\r\n*0\r\n",
        "|1\r\n+a\r\n*1\r\n*0\r\n>1\r\n+b\r\n",
        ">1\r\n|1\r\n*1\r\n*0\r\n:1\r\n:2\r\n"
      ]
    ) {
      assertAtEveryCut(wire + ":1\r\n", (decoded) => {
        assert.deepStrictEqual(decoded, { events: [push(tooDeep(2)), reply(1)], error: undefined })
      }, { maxDepth: 2 })
    }
  })

  it("asks anew for the reply that follows a skipped one", () => {
    let asked = 0
    const values: Array<unknown> = []
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => ++asked === 2,
      onReply: (value) => values.push(value),
      onPush: () => {}
    }, { maxFrameBytes: 10 })
    for (const chunk of cut(bytesOf("$20\r\n01234567890123456789\r\n$1\r\na\r\n"), 1)) decoder.push(chunk)
    assert.deepStrictEqual([asked, values], [2, [tooLarge(10), bytesOf("a")]])
  })

  it("makes no callback for what it skips after it was stopped", () => {
    const values: Array<unknown> = []
    const decoder = Resp.makeDecoder({
      blobsAsBytes: () => false,
      onReply: (value) => {
        values.push(value)
        decoder.stop()
      },
      onPush: () => {}
    }, { maxFrameBytes: 10 })
    assert.isUndefined(decoder.push(bytesOf("$20\r\n0123")))
    assert.isUndefined(decoder.push(bytesOf("4567890123456789\r\n+a\r\n")))
    assert.deepStrictEqual(values, [tooLarge(10)])
  })

  it("refuses lengths and counts that no server means", () => {
    for (const type of ["$", "!", "=", "*", "~", ">", "%", "|"]) {
      assert.isUndefined(decode([bytesOf(`${type}${2 ** 40}\r\n`)]).error)
      for (const length of [2 ** 40 + 1, 2 ** 53, 10 ** 15, "9".repeat(400)]) {
        const header = `${type}${length}\r\n`
        assertAtEveryCut(header, ({ error }) => {
          assert.deepStrictEqual([error?.offset, error?.expected], [header.length, "a length of at most 1099511627776"])
        })
        // Also where it is skipped already.
        const outer = "*1\r\n".repeat(129)
        assert.strictEqual(decode([bytesOf(outer + header)]).error?._tag, "RespError")
      }
    }
  })

  it("keeps 128 levels of nesting unless told otherwise, and skips up to a million", () => {
    assert.isFalse(isSkipped(decode([bytesOf(nested(128))]).events[0]))
    for (const levels of [129, 1000, 1_000_000]) {
      const { error, events } = decode(cut(bytesOf(nested(levels) + "+next\r\n"), 65_536))
      assert.isUndefined(error)
      assert.deepStrictEqual(events, [reply(tooDeep(128)), reply("next")])
    }
    const { error, events } = decode(cut(bytesOf(nested(10_000_000)), 65_536))
    assert.deepStrictEqual([error?.offset, error?.expected], [4_000_003, "at most 1000000 levels of nesting"])
    assert.deepStrictEqual(events, [])
  })

  it("counts every kind of aggregate as a level, empty ones too", () => {
    for (const inner of ["*0\r\n", "~0\r\n", "%0\r\n", "|0\r\n:1\r\n", "*?\r\n.\r\n"]) {
      for (
        const [outer, skipped] of [
          ["*1\r\n", reply(tooDeep(1))],
          ["~1\r\n", reply(tooDeep(1))],
          [">1\r\n", push(tooDeep(1))],
          ["%1\r\n:1\r\n", reply(tooDeep(1))]
        ] as const
      ) {
        assertAtEveryCut(outer + inner, ({ events }) => {
          assert.lengthOf(events, 1)
          assert.isFalse(isSkipped(events[0]))
        }, { maxDepth: 2 })
        assertAtEveryCut(outer + inner, ({ events }) => assert.deepStrictEqual(events, [skipped]), { maxDepth: 1 })
      }
    }
    assert.deepStrictEqual(decode([bytesOf("*-1\r\n")], { maxDepth: 0 }).events, [reply(null)])
  })

  it("skips maps and arrays of more than V8 holds", () => {
    const limits = { maxFrameBytes: 2 ** 40 }
    const pairs = bytesOf("_\r\n_\r\n".repeat(2 ** 16))
    const chunks = [bytesOf("%?\r\n"), ...new Array<Uint8Array>(2 ** 7 + 1).fill(pairs), bytesOf(".\r\n+next\r\n")]
    const tooMany = unreadable("a map of more than 8388608 entries: ask for it in parts")
    assert.deepStrictEqual(decode(chunks, limits), { events: [reply(tooMany), reply("next")], error: undefined })
    // Skipping so much to its end takes seconds, but what the decoder expects tells whether it skips.
    const expectedIn = (header: string) => decode([bytesOf(`${header}\r\n$?1\r\n`)], limits).error?.expected
    for (
      const [type, most] of [["*", 2 ** 26], ["~", 2 ** 26], [">", 2 ** 26], ["%", 2 ** 23], ["|", 2 ** 23]] as const
    ) {
      assert.strictEqual(expectedIn(`${type}${most}`), "CRLF")
      assert.strictEqual(expectedIn(`${type}${most + 1}`), "a decimal length")
    }
  })

  it("skips big numbers that would take long to read", () => {
    const digits = "7".repeat(100_000)
    assert.deepStrictEqual(decode([bytesOf(`(${digits}\r\n`)]).events, [reply(BigInt(digits))])
    for (const sign of ["", "-", "+"]) {
      const wire = bytesOf(`*2\r\n(${sign}${digits}7\r\n:1\r\n:2\r\n`)
      const why = "a number of 100001 digits, of which at most 100000 are read"
      assert.deepStrictEqual(decode(cut(wire, 65_536)), {
        events: [reply(unreadable(why)), reply(2)],
        error: undefined
      })
    }
    assert.strictEqual(decode([bytesOf(`(${digits}7x\r\n`)]).error?.expected, "a digit")
  })

  for (
    const [name, wire, expected] of [
      ["an unknown type byte", "HTTP", "a type byte"],
      ["a part outside a streamed string", ";1\r\na\r\n", "a type byte"],
      ["another value inside a streamed string", "$?\r\n:1\r\n", "a part of a streamed string"],
      ["an end inside a counted array", "*2\r\n:1\r\n.\r\n", "a value"],
      ["a push", ">1\r\n+a\r\n", "a value that is not a push"],
      ["a line feed without carriage return", "+a\nb\r\n", "CR before LF"],
      ["a carriage return without line feed", "+a\rb\r\n", "LF after CR"],
      ["a blob longer than announced", "$1\r\nab\r\n", "CRLF after a payload"],
      ["a blob that ends in CR alone", "$1\r\na\rb\r\n", "CRLF after a payload"],
      ["a length with garbage", "$1x\r\na\r\n", "a decimal length"],
      ["an empty length", "$\r\n\r\n", "a decimal length"],
      ["a length with a sign", "$+1\r\na\r\n", "a decimal length"],
      ["a negative length other than -1", "$-2\r\n", "a decimal length"],
      ["a negative map", "%-1\r\n", "a decimal length"],
      ["a streamed length with garbage", "$?1\r\n", "a decimal length"],
      ["a streamed attribute", "|?\r\n", "a decimal length"]
    ] as const
  ) {
    it(`refuses ${name} in what it skips`, () => {
      assertAtEveryCut("*2\r\n*1\r\n:1\r\n" + wire, ({ events, error }) => {
        assert.strictEqual(error?.expected, expected)
        assert.deepStrictEqual(events, [])
      }, { maxDepth: 1 })
    })
  }
})

/** Reads text the way the wire carries it: without lone surrogates. */
const wellFormed = (text: string): string => textOf(bytesOf(text))
const oneLine = (text: string): string => wellFormed(text.replace(/[\r\n]/g, " "))

/** ES maps as lists, since the assertion sorts their keys by text, which null-prototype objects do not have. */
const listed = (value: unknown): unknown =>
  value instanceof Map
    ? { map: Array.from(value, listed) }
    : value instanceof Uint8Array
    ? value
    : Array.isArray(value)
    ? value.map(listed)
    : value instanceof Resp.ErrorReply || typeof value !== "object" || value === null
    ? value
    : record(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, listed(item)])))

const keyOf = (key: ReplyValue): unknown => {
  const text = decodedAs(key)
  return key._tag === "Bulk" && typeof key.value === "object" && concat([text as string]).join() !== key.value.join()
    ? key.value
    : text
}

/** What a decoder is to make of a reply that was sent as RESP3. */
const decodedAs = (value: ReplyValue): unknown => {
  switch (value._tag) {
    case "Simple":
      return oneLine(value.text)
    case "Error":
      return error(oneLine(value.text))
    case "Integer":
      return Number.isSafeInteger(Number(value.value)) ? Number(value.value) : value.value
    case "Bulk":
      return typeof value.value === "string" ? wellFormed(value.value) : textOf(value.value)
    case "Null":
    case "NullArray":
      return null
    case "Verbatim":
      return wellFormed(value.text)
    case "Array":
    case "Set":
    case "Push":
      return value.items.map(decodedAs)
    case "Map": {
      const map = new Map(value.entries.map(([key, item]) => [keyOf(key), decodedAs(item)]))
      const keys = Array.from(map.keys())
      const isObject = keys.every((key) => typeof key !== "object" || key === null) &&
        new Set(keys.map(String)).size === keys.length
      return isObject ? record(Object.fromEntries(Array.from(map, ([key, item]) => [String(key), item]))) : map
    }
    default:
      return value.value
  }
}

const scalars = Schema.Union([
  Schema.TaggedStruct("Simple", { text: Schema.String }),
  Schema.TaggedStruct("Error", { text: Schema.String }),
  // -0 is not written as such: integers have one zero.
  Schema.TaggedStruct("Integer", { value: Schema.Int.check(Schema.makeFilter((value) => !Object.is(value, -0))) }),
  Schema.TaggedStruct("Integer", {
    value: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n }))
  }),
  Schema.TaggedStruct("Bulk", { value: Schema.String }),
  Schema.TaggedStruct("Bulk", { value: Schema.Uint8Array }),
  Schema.TaggedStruct("Null", {}),
  Schema.TaggedStruct("NullArray", {}),
  // @effect-diagnostics-next-line schemaNumber:off
  Schema.TaggedStruct("Double", { value: Schema.Number }),
  Schema.TaggedStruct("BigNumber", { value: Schema.BigInt }),
  Schema.TaggedStruct("Boolean", { value: Schema.Boolean }),
  Schema.TaggedStruct("Verbatim", { format: Schema.Literals(["txt", "mkd"]), text: Schema.String })
])

/** Aggregates of the given replies, and those replies themselves. */
const aggregatesOf = (item: Arbitrary.Arbitrary<ReplyValue>): Arbitrary.Arbitrary<ReplyValue> => {
  const items = Arbitrary.array(item, { maxLength: 4 })
  const entries = Arbitrary.array(Arbitrary.all([item, item]), { maxLength: 4 })
  return Arbitrary.flatMap(
    Arbitrary.schema(Schema.Literals(["Item", "Array", "Set", "Map"])),
    (tag): Arbitrary.Arbitrary<ReplyValue> => {
      switch (tag) {
        case "Item":
          return item
        case "Map":
          return Arbitrary.map(entries, (entries) => ReplyValue.Map({ entries }))
        default:
          return Arbitrary.map(items, (items) => ReplyValue[tag]({ items }))
      }
    }
  )
}

const nestedReplies = aggregatesOf(aggregatesOf(aggregatesOf(Arbitrary.schema(scalars))))
const chunkSizes = Arbitrary.array(
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))),
  { minLength: 1, maxLength: 8 }
)

describe("round trip", () => {
  it.prop(
    "decodes whatever replies and pushes were encoded, however they are cut",
    [Arbitrary.array(nestedReplies, { maxLength: 6 }), chunkSizes],
    ([values, sizes]) => {
      // Every other one is sent as a push as well, between the replies.
      const sent = values.flatMap((value, index) =>
        index % 2 === 0 ? [value] : [ReplyValue.Push({ items: [value, ReplyValue.Null()] }), value]
      )
      const events = sent.map((value) =>
        value._tag === "Push" ? push(...value.items.map(decodedAs)) : reply(decodedAs(value))
      )
      const chunks = sent.map((value) => encodeReply(value, 3))
      const decoded = decode(cut(concat(chunks), ...sizes))
      assert.isUndefined(decoded.error)
      assert.deepStrictEqual(decoded.events.map(listed), events.map(listed))
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop(
    "skips whatever is beyond the limits, to its last byte, however it is cut",
    [
      Arbitrary.array(nestedReplies, { maxLength: 6 }),
      chunkSizes,
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))),
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 })))
    ],
    ([values, sizes, maxFrameBytes, maxDepth]) => {
      const sent = values.map((value, index) => index % 2 === 0 ? value : ReplyValue.Push({ items: [value] }))
      const wire = concat(sent.map((value) => encodeReply(value, 3)))
      const kept = decode([wire]).events
      const { error, events } = decode(cut(wire, ...sizes), { maxFrameBytes, maxDepth })
      assert.isUndefined(error)
      assert.lengthOf(events, kept.length)
      events.forEach(([kind, value], index) => {
        const [first] = kind === "push" ? value : [value]
        if (first instanceof Resp.Unreadable) assert.strictEqual(kind, kept[index][0])
        else assert.deepStrictEqual(listed([kind, value]), listed(kept[index]))
      })
    },
    { arbitrary: { runs: 300 } }
  )

  const argument = Arbitrary.schema(
    Schema.Union([Schema.String, Schema.Uint8Array, Schema.Int, Schema.BigInt])
  )

  it.prop(
    "encodes commands that read as arrays of their arguments",
    [Arbitrary.array(Arbitrary.array(argument, { minLength: 1, maxLength: 5 }), { maxLength: 20 }), chunkSizes],
    ([commands, sizes]) => {
      const encoder = new Resp.Encoder()
      const chunks = commands.flatMap((command, index) => {
        encoder.write(command)
        return index % 3 === 0 ? encoder.take() : []
      })
      const wire = concat([...chunks, ...encoder.take()])
      const events = commands.map((command) =>
        reply(command.map((arg) => typeof arg === "object" ? arg : bytesOf(String(arg))))
      )
      assert.deepStrictEqual(decode(cut(wire, ...sizes), { asBytes: true }), { events, error: undefined })
    },
    { arbitrary: { runs: 300 } }
  )
})

const encode = (...args: ReadonlyArray<Resp.Arg>): string => {
  const encoder = new Resp.Encoder()
  encoder.write(args)
  return textOf(concat(encoder.take()))
}

describe("Encoder", () => {
  it("encodes every kind of argument with its length in bytes", () => {
    assert.strictEqual(encode("PING"), "*1\r\n$4\r\nPING\r\n")
    assert.strictEqual(encode("GET", ""), "*2\r\n$3\r\nGET\r\n$0\r\n\r\n")
    assert.strictEqual(encode("é", "日本語", "😀"), "*3\r\n$2\r\né\r\n$9\r\n日本語\r\n$4\r\n😀\r\n")
    assert.strictEqual(encode(0, -12, 1.5, 1e21), "*4\r\n$1\r\n0\r\n$3\r\n-12\r\n$3\r\n1.5\r\n$5\r\n1e+21\r\n")
    // A server takes "-0" for no integer.
    assert.strictEqual(encode(-0), "*1\r\n$1\r\n0\r\n")
    assert.strictEqual(encode(NaN, Infinity, -Infinity), "*3\r\n$3\r\nnan\r\n$3\r\ninf\r\n$4\r\n-inf\r\n")
    assert.strictEqual(encode(-(2n ** 64n)), "*1\r\n$21\r\n-18446744073709551616\r\n")
    assert.strictEqual(encode(Uint8Array.of(13, 10, 0)), "*1\r\n$3\r\n\r\n\0\r\n")
    assert.strictEqual(encode(new Uint8Array(0)), "*1\r\n$0\r\n\r\n")
    assert.strictEqual(encode("\uD800"), "*1\r\n$3\r\n\uFFFD\r\n")
  })

  it("encodes text of every length, whether its length in bytes has as many digits or more", () => {
    for (const character of ["a", "é", "日", "😀"]) {
      for (const count of [...new Array(60).keys(), 99, 100, 333, 334, 999, 1000, 4095, 4096, 30_000, 70_000]) {
        const text = character.repeat(count)
        const expected = `*1\r\n$${bytesOf(text).length}\r\n${text}\r\n`
        assert.isTrue(encode(text) === expected, `${count} times ${character}`)
      }
    }
  })

  it("encodes text that is ASCII only at its start", () => {
    for (let count = 0; count < 40; count++) {
      const text = "a".repeat(count) + "é"
      assert.strictEqual(encode(text), `*1\r\n$${count + 2}\r\n${text}\r\n`)
    }
  })

  it("begins with little memory, then puts small commands into one chunk", () => {
    const encoder = new Resp.Encoder()
    const write = () => {
      for (let i = 0; i < 100; i++) {
        encoder.write(["SET", `key:${i}`, new Uint8Array(100)])
      }
      return encoder.take()
    }
    const first = write()
    assert.isAtMost(first[0]!.length, 1024)
    assert.isAtMost(first.length, 3)
    assert.strictEqual(write().length, 1)
  })

  it("takes large bytes by reference", () => {
    const encoder = new Resp.Encoder()
    const large = new Uint8Array(10_000)
    encoder.write(["SET", "key", large, "NX"])
    const chunks = encoder.take()
    assert.strictEqual(chunks.length, 3)
    assert.strictEqual(chunks[1], large)
    assert.strictEqual(textOf(concat([chunks[2]])), "\r\n$2\r\nNX\r\n")
  })

  it("hands large text to the socket as it is, with its length in bytes before it", () => {
    for (const text of ["a".repeat(10_000), "é".repeat(10_000), "日".repeat(10_000), "😀".repeat(10_000)]) {
      const encoder = new Resp.Encoder()
      encoder.write(["SET", "key", text, "NX"])
      const pending = encoder.pendingBytes
      const chunks = encoder.take()
      assert.strictEqual(chunks.length, 3)
      assert.isTrue(chunks[1] === text)
      assert.strictEqual(pending, concat(chunks).length)
      const wire = `*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$${bytesOf(text).length}\r\n${text}\r\n$2\r\nNX\r\n`
      assert.isTrue(textOf(concat(chunks)) === wire)
    }
  })

  it("encodes large text with a lone surrogate itself, so that nobody else decides on its length", () => {
    for (const surrogate of ["\uD800", "\uDC00", "\uDC00\uD800"]) {
      const encoder = new Resp.Encoder()
      encoder.write(["a".repeat(5000) + surrogate + "é".repeat(5000)])
      const chunks = encoder.take()
      assert.isTrue(chunks.every((chunk) => chunk instanceof Uint8Array))
      const replaced = "a".repeat(5000) + "\uFFFD".repeat(surrogate.length) + "é".repeat(5000)
      assert.isTrue(textOf(concat(chunks)) === `*1\r\n$${bytesOf(replaced).length}\r\n${replaced}\r\n`)
    }
  })

  it("hands no more text to the socket at once than one write of Node can take", () => {
    const encoder = new Resp.Encoder()
    const text = "a".repeat(64 * 1024 * 1024)
    encoder.write(new Array(8).fill(text))
    const chunks = encoder.take()
    assert.strictEqual(chunks.filter((chunk) => chunk === text).length, 7)
    assert.isTrue(chunks.some((chunk) => typeof chunk !== "string" && chunk.length === text.length))
    encoder.write([text])
    assert.strictEqual(encoder.take()[1], text)
  })

  it("counts what is pending and starts again after a take", () => {
    const encoder = new Resp.Encoder()
    assert.strictEqual(encoder.pendingBytes, 0)
    assert.deepStrictEqual(encoder.take(), [])
    encoder.write(["PING"])
    encoder.write(["SET", "k", new Uint8Array(100_000)])
    const pending = encoder.pendingBytes
    assert.strictEqual(pending, concat(encoder.take()).length)
    assert.strictEqual(encoder.pendingBytes, 0)
    encoder.write(["PING"])
    assert.deepStrictEqual(encoder.take(), [bytesOf("*1\r\n$4\r\nPING\r\n")])
  })

  it("never rewrites what it handed out, also where one command spans blocks", () => {
    const encoder = new Resp.Encoder()
    const taken: Array<Uint8Array | string> = []
    const copies: Array<Uint8Array | string> = []
    for (let i = 0; i < 2000; i++) {
      encoder.write(["SET", `key:${i}`, "日".repeat(i % 700), new Uint8Array(i)])
      if (i % 7 === 0) {
        const chunks = encoder.take()
        taken.push(...chunks)
        copies.push(...chunks.map((chunk) => chunk.slice()))
      }
    }
    assert.deepStrictEqual(taken, copies)
    const { events } = decode([concat([...taken, ...encoder.take()])])
    assert.strictEqual(events.length, 2000)
    const [, [, key, text]] = events[1234] as ["reply", Array<string>]
    assert.deepStrictEqual([key, text], ["key:1234", "日".repeat(534)])
  })
})
