import type { Case, Line } from "../support/keyspaceSuite.ts"

const add = (key: string, ...ids: ReadonlyArray<string>): ReadonlyArray<Line> =>
  ids.map((id, index) => ["XADD", key, id, "n", index])

/** Three entries, and a group that has delivered none of them. */
const groupOfThree: ReadonlyArray<Line> = [...add("s", "1-1", "2-1", "3-1"), ["XGROUP", "CREATE", "s", "g", 0]]

const read = (consumer: string, count: number): Line => [
  "XREADGROUP",
  "GROUP",
  "g",
  consumer,
  "COUNT",
  count,
  "STREAMS",
  "s",
  ">"
]

/** Everything that is pending in the group, by id, with whatever it has been idle. */
const pending = (...entries: ReadonlyArray<readonly [id: string, consumer: string, deliveries: number]>): Line => ({
  command: ["XPENDING", "s", "g", "-", "+", 10],
  like: new RegExp(
    `^\\*\\[${
      entries.map(([id, consumer, deliveries]) => `\\*\\["${id}", "${consumer}", :\\d+, :${deliveries}\\]`).join(", ")
    }\\]$`
  )
})

/** All consumers of the group, with whatever they have been idle. */
const consumers: Line = {
  command: ["XINFO", "CONSUMERS", "s", "g"],
  varying: /(?<="(?:idle|inactive)"(?:,| =>) :)\d+/g
}

const groups: Line = ["XINFO", "GROUPS", "s"]
const info: Line = ["XINFO", "STREAM", "s"]

/** All commands on a key of another type. */
const wrongType: ReadonlyArray<Line> = [
  "XADD k * a b",
  "XLEN k",
  "XRANGE k - +",
  "XREVRANGE k + -",
  "XDEL k 1",
  "XTRIM k MAXLEN 1",
  "XSETID k 1",
  "XREAD STREAMS k 0",
  "XREADGROUP GROUP g a STREAMS k >",
  "XGROUP CREATE k g 0 MKSTREAM",
  "XGROUP DESTROY k g",
  "XACK k g 1",
  "XPENDING k g",
  "XCLAIM k g a 0 1",
  "XAUTOCLAIM k g a 0 0",
  "XINFO STREAM k",
  "XINFO GROUPS k",
  "XINFO CONSUMERS k g"
].map((command) => command.split(" "))

/** What a watch of `s` makes of a command: an answer of `EXEC` where the key did not change. */
const watched = (command: Line): ReadonlyArray<Line> => [["WATCH", "s"], command, ["MULTI"], ["PING"], ["EXEC"]]

export const cases: ReadonlyArray<Case> = [
  // ----- the log -----
  {
    name: "adds entries under given ids, in order only",
    commands: [
      ...add("s", "5-1", "5-1", "5-0", "4-9", "5-*", "5-*", "6", "6-*", "5-*", "0-0", "0", "7-x", "x", "-1", ""),
      ...add("s", "18446744073709551616", "-", "+", "18446744073709551615-18446744073709551615", "*", "99-*"),
      ["XLEN", "s"],
      ["XRANGE", "s", "-", "+"],
      ...add("t", "0-*")
    ]
  },
  {
    name: "adds entries under ids of its clock",
    commands: [
      { command: ["XADD", "s", "*", "a", "1"], like: /^"\d{13}-0"$/ },
      { command: ["XADD", "s", "*", "a", "2"], like: /^"\d{13}-\d+"$/ },
      ["XADD", "s", "99999999999999-7", "a", "3"],
      ["XADD", "s", "*", "a", "4"],
      ["XADD", "s", "99999999999999-18446744073709551615", "a", "5"],
      ["XADD", "s", "*", "a", "6"],
      ["XLEN", "s"]
    ]
  },
  {
    name: "refuses entries that have half a field, or none",
    commands: [
      ["XADD", "s", "1-1"],
      ["XADD", "s", "1-1", "a"],
      ["XADD", "s", "1-1", "a", "b", "c"],
      ["XADD", "s", "MAXLEN", "1", "1-1", "a"],
      ["XADD", "s", "MAXLEN"],
      ["EXISTS", "s"]
    ]
  },
  {
    name: "keeps binary and repeated fields",
    commands: [
      ["XADD", "s", "1", new Uint8Array([0, 13, 10, 255]), new Uint8Array([200, 0]), "f", "1", "f", "2", "", ""],
      ["XRANGE", "s", "1", "1"]
    ]
  },
  {
    name: "makes no stream where it must not",
    commands: [
      ["XADD", "s", "NOMKSTREAM", "1-1", "a", "b"],
      ["EXISTS", "s"],
      ...add("s", "1-1"),
      ["XADD", "s", "nomkstream", "MAXLEN", "1", "2-1", "a", "b"],
      ["XRANGE", "s", "-", "+"]
    ]
  },
  {
    name: "reads ranges in both directions",
    commands: [
      ...add("s", "1-1", "1-2", "2-1", "3-0", "3-5"),
      ...([["-", "+"], ["1", "1"], ["(1-1", "(3-5"], ["2", "3"], ["(1", "+"], ["3-1", "(3-5"], ["3", "1"], ["5", "9"]]
        .flatMap(([from, to]): ReadonlyArray<Line> => [["XRANGE", "s", from, to], ["XREVRANGE", "s", to, from]])),
      ["XRANGE", "s", "-", "+", "COUNT", 2],
      ["XREVRANGE", "s", "+", "-", "count", 2],
      ["XRANGE", "s", "-", "+", "COUNT", 0],
      ["XRANGE", "s", "-", "+", "COUNT", -1],
      ["XRANGE", "s", "-", "+", "COUNT", 1, "COUNT", 3],
      ["XRANGE", "s", "-", "+", "COUNT", "x"],
      ["XRANGE", "s", "-", "+", "COUNT"],
      ["XRANGE", "s", "-", "+", "LIMIT", 1],
      ["XRANGE", "s", "-"],
      ["XRANGE", "s", "(-", "+"],
      ["XRANGE", "s", "(", "+"],
      ["XRANGE", "s", "x", "+"],
      ["XRANGE", "s", "(18446744073709551615-18446744073709551615", "+"],
      ["XRANGE", "s", "-", "(0-0"],
      ["XRANGE", "none", "-", "+", "COUNT", 0]
    ]
  },
  {
    name: "keeps a stream that has become empty, and what it knows",
    commands: [
      ...add("s", "1-1", "2-1"),
      ["XDEL", "s", "1-1", "2-1", "2-1", "9"],
      ["XLEN", "s"],
      ["EXISTS", "s"],
      ["TYPE", "s"],
      info,
      ...add("s", "2-1", "3-1"),
      ["XTRIM", "s", "MAXLEN", 0],
      ["XRANGE", "s", "-", "+"],
      info,
      ["XDEL", "s", "x"],
      ["XDEL", "none", "x"],
      ["XDEL", "s"]
    ]
  },
  {
    name: "trims to a length or from an id on",
    commands: [
      ...add("s", "1-1", "2-1", "3-1", "4-1", "5-1"),
      ["XTRIM", "s", "MAXLEN", 4],
      ["XTRIM", "s", "MAXLEN", "=", 9],
      ["XTRIM", "s", "MINID", "3"],
      ["XTRIM", "s", "minid", "=", "4-1"],
      ["XADD", "s", "MAXLEN", "=", 2, "6-1", "a", "b"],
      ["XADD", "s", "MINID", "6-1", "7-1", "a", "b"],
      ["XRANGE", "s", "-", "+"],
      ["XADD", "s", "MAXLEN", 0, "8-1", "a", "b"],
      info,
      ["XTRIM", "none", "MAXLEN", 1]
    ]
  },
  {
    name: "trims only whole nodes when that is enough",
    commands: [
      ...add("s", ...Array.from({ length: 350 }, (_, index) => `${index + 1}-0`)),
      ["XTRIM", "s", "MAXLEN", "~", 300],
      ["XTRIM", "s", "MAXLEN", "~", 249],
      ["XTRIM", "s", "MINID", "~", 201, "LIMIT", 99],
      ["XTRIM", "s", "MINID", "~", 201, "LIMIT", 100],
      ["XADD", "s", "MAXLEN", "~", 150, "LIMIT", 0, "351-0", "a", "b"],
      ["XLEN", "s"],
      ["XADD", "s", "MAXLEN", "~", 50, "352-0", "a", "b"],
      ["XLEN", "s"],
      ["XRANGE", "s", "-", "+", "COUNT", 1]
    ]
  },
  {
    name: "refuses trims that contradict themselves",
    commands: [
      ...add("s", "1-1"),
      ["XTRIM", "s", "MAXLEN"],
      ["XTRIM", "s", "FOO", 1],
      ["XTRIM", "s", "MAXLEN", "x"],
      ["XTRIM", "s", "MAXLEN", -1],
      ["XTRIM", "s", "MINID", "x"],
      ["XTRIM", "s", "MAXLEN", 1, "MINID", 1],
      ["XTRIM", "s", "MAXLEN", 1, "LIMIT", 1],
      ["XTRIM", "s", "MAXLEN", "~", 1, "LIMIT", -1],
      ["XTRIM", "s", "LIMIT", 1],
      ["XTRIM", "s", "LIMIT", 0],
      ["XADD", "s", "LIMIT", 1, "*", "a", "b"],
      ["XADD", "s", "MAXLEN", "~", 1, "LIMIT", "x", "*", "a", "b"],
      ["XADD", "s", "MAXLEN", "x", "a", "b"]
    ]
  },
  {
    name: "sets the last id and the counters",
    commands: [
      ...add("s", "1-1", "2-1"),
      ["XSETID", "s", "5-1"],
      ...add("s", "5-1", "5-*"),
      ["XSETID", "s", "9-1", "ENTRIESADDED", 10, "MAXDELETEDID", "4-1"],
      info,
      ["XSETID", "s", "4"],
      ["XSETID", "s", "9-1", "ENTRIESADDED", 2],
      ["XSETID", "s", "9-1", "ENTRIESADDED", -1],
      ["XSETID", "s", "9-1", "MAXDELETEDID", "9-2"],
      ["XSETID", "s", "9-1", "FOO", 1],
      ["XSETID", "s", "9-1", "ENTRIESADDED"],
      ["XSETID", "none", "1"]
    ]
  },
  {
    name: "reads what is behind an id, from several streams",
    commands: [
      ...add("s", "1-1", "2-1", "3-1"),
      ...add("t", "2-5"),
      ["XREAD", "STREAMS", "s", "t", "none", "1-1", "0", "0"],
      ["XREAD", "COUNT", 1, "STREAMS", "s", "t", "1", "2-5"],
      ["XREAD", "count", 0, "streams", "s", "0"],
      ["XREAD", "STREAMS", "s", "3-1"],
      ["XREAD", "STREAMS", "s", "$"],
      ["XREAD", "BLOCK", 1, "STREAMS", "s", "none", "$", "$"],
      ["XREAD", "BLOCK", 1, "STREAMS", "s", "2-1"]
    ]
  },
  {
    name: "refuses reads that it does not understand",
    commands: [
      ["XREAD", "STREAMS", "s"],
      ["XREAD", "STREAMS", "s", "t", "0"],
      ["XREAD", "STREAMS", "s", "x"],
      ["XREAD", "STREAMS", "s", ">"],
      ["XREAD", "COUNT", "x", "STREAMS", "s", "0"],
      ["XREAD", "BLOCK", "x", "STREAMS", "s", "0"],
      ["XREAD", "BLOCK", -1, "STREAMS", "s", "0"],
      ["XREAD", "FOO", 1, "STREAMS", "s", "0"],
      ["XREAD", "COUNT", 1, "s", "0"],
      ["XREAD", "NOACK", "STREAMS", "s", "0"],
      ["XREAD", "GROUP", "g", "a", "STREAMS", "s", "0"],
      ["XREADGROUP", "COUNT", 1, "NOACK", "STREAMS", "s", ">"],
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", ">"],
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s"],
      ["XREADGROUP", "GROUP", "g", "a", "COUNT", 1, "STREAMS", "s", "t", "0"],
      ["XGROUP", "CREATE", "s", "g", 0, "MKSTREAM"],
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", "+"]
    ]
  },
  {
    name: "reads the last entry",
    commands: [
      ["XREAD", "STREAMS", "s", "+"],
      ...add("s", "1-1", "2-1"),
      ["XREAD", "STREAMS", "s", "+"],
      ["XREAD", "COUNT", 5, "STREAMS", "s", "none", "+", "+"],
      ["XDEL", "s", "1-1", "2-1"],
      ["XREAD", "STREAMS", "s", "+"],
      { command: ["XREAD", "BLOCK", 2000, "STREAMS", "none", "s", "0", "+"], client: "reader", replies: 0 },
      ["PING"],
      ["PING"],
      ["XADD", "s", "3-1", "a", "b"],
      { command: [], client: "reader" }
    ]
  },
  { name: "refuses other types", commands: [["SET", "k", "v"], ...wrongType] },
  {
    name: "copies and renames a stream with its groups",
    commands: [
      ...groupOfThree,
      read("a", 2),
      ["COPY", "s", "t"],
      ["XACK", "s", "g", "1-1"],
      read("a", 1),
      ["XDEL", "s", "3-1"],
      ["XPENDING", "t", "g"],
      ["XINFO", "GROUPS", "t"],
      ["XINFO", "STREAM", "t"],
      ["RENAME", "t", "s"],
      groups,
      read("a", 1)
    ]
  },
  {
    name: "breaks watches by new and lost entries alone",
    commands: [
      ...groupOfThree,
      read("a", 2),
      ...watched(["XADD", "s", "1-1", "a", "b"]),
      ...watched(["XADD", "s", "4-1", "a", "b"]),
      ...watched(["XDEL", "s", "9-9"]),
      ...watched(["XDEL", "s", "1-1"]),
      ...watched(["XTRIM", "s", "MAXLEN", 3]),
      ...watched(["XTRIM", "s", "MAXLEN", 2]),
      ...watched(["XSETID", "s", "9-1"]),
      ...watched(["XGROUP", "CREATE", "s", "h", 0]),
      ...watched(["XGROUP", "CREATECONSUMER", "s", "g", "b"]),
      ...watched(read("b", 1)),
      ...watched(["XCLAIM", "s", "g", "b", 0, "2-1", "JUSTID"]),
      ...watched(["XACK", "s", "g", "3-1"]),
      ...watched(["XGROUP", "DESTROY", "s", "g"]),
      ["DEL", "s"],
      ...watched(["XGROUP", "CREATE", "s", "g", 0]),
      ...watched(["XGROUP", "CREATE", "s", "g", 0, "MKSTREAM"])
    ]
  },

  // ----- groups -----
  {
    name: "makes groups, also before there is a stream",
    commands: [
      ["XGROUP", "CREATE", "s", "g", "$"],
      ["XGROUP", "CREATE", "s", "g", "x", "MKSTREAM"],
      ["EXISTS", "s"],
      ["XGROUP", "CREATE", "s", "g", "$", "mkstream"],
      ["XGROUP", "CREATE", "s", "g", 0],
      ["XLEN", "s"],
      info,
      groups,
      ...add("s", "1-1", "2-1"),
      ["XGROUP", "create", "s", "f", "$", "ENTRIESREAD", 2],
      ["XGROUP", "CREATE", "s", "h", "1-1", "ENTRIESREAD", -1],
      groups,
      ["XGROUP", "DESTROY", "s", "f"],
      ["XGROUP", "DESTROY", "s", "f"],
      ["XGROUP", "CREATE", "s", "i", "x"],
      ["XGROUP", "CREATE", "s", "i", "-"],
      ["XGROUP", "CREATE", "s", "i", 0, "ENTRIESREAD", -2],
      ["XGROUP", "CREATE", "s", "i", 0, "ENTRIESREAD"],
      ["XGROUP", "Create", "s", "i", 0, "FOO"],
      ["XGROUP", "SETID", "s", "g", 0, "MKSTREAM"]
    ]
  },
  {
    name: "refuses groups and subcommands that are not there",
    commands: [
      ["XGROUP"],
      ["XGROUP", "FOO"],
      ["XGROUP", "foo", "s", "g"],
      ["XGROUP", "CREATE", "s", "g"],
      ["XGROUP", "DESTROY", "s"],
      ["XGROUP", "DESTROY", "s", "g"],
      ["XINFO"],
      ["XINFO", "FOO", "s"],
      ["XINFO", "STREAM"],
      ["XINFO", "STREAM", "s"],
      ["XINFO", "GROUPS", "s"],
      ["XINFO", "CONSUMERS", "s"],
      ["XINFO", "CONSUMERS", "s", "g"],
      ...add("s", "1-1"),
      ["XINFO", "CONSUMERS", "s", "g"],
      ["XINFO", "stream", "s", "FOO"],
      ["XINFO", "GROUPS", "s", "x"],
      ["XGROUP", "SETID", "s", "g", 0],
      ["XGROUP", "CREATECONSUMER", "s", "g", "a"],
      ["XGROUP", "DELCONSUMER", "s", "g", "a"],
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", ">"],
      ["XACK", "s", "g", "x"],
      ["XPENDING", "s", "g"],
      ["XCLAIM", "s", "g", "a", 0, "1-1"],
      ["XAUTOCLAIM", "s", "g", "a", 0, 0]
    ]
  },
  {
    name: "delivers each entry of a group once, and to one consumer its history",
    commands: [
      ...groupOfThree,
      read("a", 2),
      read("b", 5),
      read("a", 1),
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", 0],
      ["XREADGROUP", "GROUP", "g", "a", "COUNT", 1, "STREAMS", "s", "1-1"],
      ["XREADGROUP", "GROUP", "g", "b", "STREAMS", "s", "3-1"],
      ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", 0],
      ["XREADGROUP", "GROUP", "g", "b", "STREAMS", "s", "s", ">", 0],
      ["XREADGROUP", "GROUP", "g", "b", "STREAMS", "s", "$"],
      ["XREADGROUP", "GROUP", "g", "b", "STREAMS", "s", "x"],
      pending(["1-1", "a", 2], ["2-1", "a", 3], ["3-1", "b", 2]),
      ["XREADGROUP", "GROUP", "g", "b", "BLOCK", 1, "STREAMS", "s", ">"]
    ]
  },
  {
    name: "acknowledges once",
    commands: [
      ...groupOfThree,
      read("a", 3),
      ["XACK", "s", "g", "1-1", "1-1", "9-9"],
      ["XACK", "s", "g", "1-1"],
      ["XACK", "s", "g", "2-1", "x"],
      ["XACK", "s", "h", "x"],
      ["XACK", "none", "g", "2-1"],
      ["XPENDING", "s", "g"]
    ]
  },
  {
    name: "leaves nothing pending of what needs no acknowledgement",
    commands: [
      ...groupOfThree,
      ["XREADGROUP", "GROUP", "g", "a", "NOACK", "STREAMS", "s", ">"],
      ["XPENDING", "s", "g"],
      ["XPENDING", "s", "g", "-", "+", 10],
      groups
    ]
  },
  {
    name: "says what is pending",
    commands: [
      ...groupOfThree,
      read("b", 1),
      read("a", 2),
      ["XPENDING", "s", "g"],
      pending(["1-1", "b", 1], ["2-1", "a", 1], ["3-1", "a", 1]),
      { command: ["XPENDING", "s", "g", "-", "+", 1, "a"], like: /^\*\[\*\["2-1", "a", :\d+, :1\]\]$/ },
      { command: ["XPENDING", "s", "g", "(1-1", "2", 9], like: /^\*\[\*\["2-1", "a", :\d+, :1\]\]$/ },
      ["XPENDING", "s", "g", "-", "+", 9, "nobody"],
      ["XPENDING", "s", "g", "-", "+", 0],
      ["XPENDING", "s", "g", "-", "+", -1],
      ["XCLAIM", "s", "g", "a", 0, "3-1", "IDLE", 100_000, "JUSTID"],
      { command: ["XPENDING", "s", "g", "idle", 50_000, "-", "+", 9], like: /^\*\[\*\["3-1", "a", :1\d{5}, :1\]\]$/ },
      ["XPENDING", "s", "g", "IDLE", 50_000, "-", "+", 9, "b"],
      ["XPENDING", "s", "g", "IDLE", 50_000, "-", "+"],
      ["XPENDING", "s", "g", "IDLE", "x", "-", "+", 9],
      ["XPENDING", "s", "g", "-", "+"],
      ["XPENDING", "s", "g", "-", "+", "x"],
      ["XPENDING", "s", "g", "x", "+", 9],
      ["XPENDING", "s", "g", "-", "+", 9, "a", "b", "c", "d"]
    ]
  },
  {
    name: "claims for another consumer what was idle long enough",
    commands: [
      ...groupOfThree,
      read("a", 2),
      ["XCLAIM", "s", "g", "b", 100_000, "1-1"],
      ["XINFO", "GROUPS", "s"],
      ["XCLAIM", "s", "g", "b", 0, "1-1", "3-1", "7-7"],
      ["XCLAIM", "s", "g", "c", 0, "1-1", "2-1", "JUSTID"],
      pending(["1-1", "c", 2], ["2-1", "c", 1]),
      ["XCLAIM", "s", "g", "b", 0, "3-1", "force"],
      ["XCLAIM", "s", "g", "b", 0, "2-1", "RETRYCOUNT", 7],
      pending(["1-1", "c", 2], ["2-1", "b", 7], ["3-1", "b", 2]),
      ["XCLAIM", "s", "g", "a", 0, "2-1", "TIME", 1],
      ["XCLAIM", "s", "g", "b", 100_000, "1-1", "2-1", "JUSTID"],
      ["XCLAIM", "s", "g", "b", 0, "9-9", "LASTID", "3-1"],
      groups
    ]
  },
  {
    name: "refuses claims that it does not understand",
    commands: [
      ...groupOfThree,
      ["XCLAIM", "s", "g", "a", 0],
      ["XCLAIM", "s", "g", "a", "x", "1-1"],
      ["XCLAIM", "s", "g", "a", 0, "x"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "foo"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "JUSTID", "2-1"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "IDLE"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "idle", "x"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "TIME", "x"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "RETRYCOUNT", "x"],
      ["XCLAIM", "s", "g", "a", 0, "1-1", "LASTID", "x"],
      ["XAUTOCLAIM", "s", "g", "a", "x", 0],
      ["XAUTOCLAIM", "s", "g", "a", 0, "x"],
      ["XAUTOCLAIM", "s", "g", "a", 0, 0, "COUNT", 0],
      ["XAUTOCLAIM", "s", "g", "a", 0, 0, "COUNT", "x"],
      ["XAUTOCLAIM", "s", "g", "a", 0, 0, "COUNT"],
      ["XAUTOCLAIM", "s", "g", "a", 0, 0, "FOO"],
      ["XAUTOCLAIM", "s", "g", "a", 0],
      groups
    ]
  },
  {
    name: "claims one after the other, and says where to go on",
    commands: [
      ...groupOfThree,
      read("a", 3),
      ["XAUTOCLAIM", "s", "g", "b", 100_000, 0],
      ["XAUTOCLAIM", "s", "g", "b", 0, "-", "COUNT", 2],
      ["XAUTOCLAIM", "s", "g", "b", 0, "3-1", "justid"],
      ["XAUTOCLAIM", "s", "g", "b", 0, "(3-1"],
      pending(["1-1", "b", 2], ["2-1", "b", 2], ["3-1", "b", 1])
    ]
  },
  {
    name: "forgets what was deleted before it was acknowledged",
    commands: [
      ...groupOfThree,
      ...add("s", "4-1"),
      read("a", 4),
      ["XDEL", "s", "1-1", "2-1", "4-1"],
      ["XPENDING", "s", "g"],
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", 0],
      pending(["1-1", "a", 1], ["2-1", "a", 1], ["3-1", "a", 2], ["4-1", "a", 1]),
      ["XCLAIM", "s", "g", "b", 0, "1-1"],
      ["XCLAIM", "s", "g", "b", 0, "1-1", "FORCE"],
      ["XAUTOCLAIM", "s", "g", "b", 0, 0, "COUNT", 2],
      ["XAUTOCLAIM", "s", "g", "b", 0, 0],
      ["XPENDING", "s", "g"]
    ]
  },
  {
    name: "knows how far a group lags, as long as it can be told",
    commands: [
      ...groupOfThree,
      groups,
      read("a", 2),
      groups,
      ...add("s", "4-1", "5-1"),
      ["XTRIM", "s", "MAXLEN", 1],
      groups,
      read("a", 5),
      ...add("s", "6-1", "7-1", "8-1"),
      ["XDEL", "s", "7-1"],
      groups,
      read("a", 1),
      groups,
      read("a", 1),
      groups,
      ["XGROUP", "SETID", "s", "g", "6-1"],
      groups,
      ["XGROUP", "SETID", "s", "g", "6-1", "ENTRIESREAD", 3],
      groups,
      ["XGROUP", "SETID", "s", "g", "-"],
      groups,
      ["XGROUP", "SETID", "s", "g", "$"],
      groups,
      ["XGROUP", "SETID", "s", "g", "9-1"],
      groups
    ]
  },
  {
    name: "gives what is delivered again to whoever reads it last",
    commands: [
      ...groupOfThree,
      read("a", 2),
      ["XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", 0],
      ["XGROUP", "SETID", "s", "g", 0],
      read("b", 1),
      pending(["1-1", "b", 1], ["2-1", "a", 2]),
      ["XPENDING", "s", "g"]
    ]
  },
  {
    name: "makes and removes consumers",
    commands: [
      ...groupOfThree,
      ["XGROUP", "CREATECONSUMER", "s", "g", "b"],
      ["XGROUP", "CREATECONSUMER", "s", "g", "b"],
      ["XGROUP", "SETID", "s", "g", "$"],
      read("nobody", 1),
      ["XGROUP", "SETID", "s", "g", 0],
      read("a", 2),
      consumers,
      groups,
      ["XGROUP", "DELCONSUMER", "s", "g", "a"],
      ["XGROUP", "DELCONSUMER", "s", "g", "a"],
      ["XPENDING", "s", "g"],
      groups
    ]
  },

  {
    name: "tells when consumers asked, and when they got something",
    commands: [
      ...groupOfThree,
      ["XGROUP", "CREATECONSUMER", "s", "g", "made"],
      ["XREADGROUP", "GROUP", "g", "history", "STREAMS", "s", 0],
      read("reader", 1),
      ["XREADGROUP", "GROUP", "g", "noack", "NOACK", "COUNT", 1, "STREAMS", "s", ">"],
      ["XCLAIM", "s", "g", "early", 100_000, "1-1"],
      ["XCLAIM", "s", "g", "claimer", 0, "1-1"],
      ["XAUTOCLAIM", "s", "g", "tooEarly", 100_000, 0],
      ["XAUTOCLAIM", "s", "g", "autoclaimer", 0, 0],
      ["XDEL", "s", "1-1"],
      ["XAUTOCLAIM", "s", "g", "late", 0, 0],
      consumers
    ]
  },

  // ----- waiting -----
  // Two answers to PING later, what another client has written before is certainly waiting.
  {
    name: "hands new entries to who waits for them",
    commands: [
      ...add("s", "1-1"),
      { command: ["XREAD", "BLOCK", 2000, "STREAMS", "none", "s", 0, "$"], client: "reader", replies: 0 },
      ["PING"],
      ["PING"],
      ["XADD", "s", "1-1", "a", "b"],
      ["XADD", "s", "2-1", "a", "b"],
      { command: [], client: "reader" }
    ]
  },
  {
    name: "hands a new entry to one consumer of those that wait",
    commands: [
      ["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"],
      { command: ["XREADGROUP", "GROUP", "g", "a", "BLOCK", 2000, "STREAMS", "s", ">"], client: "a", replies: 0 },
      ["PING"],
      ["PING"],
      { command: ["XREADGROUP", "GROUP", "g", "b", "BLOCK", 2000, "STREAMS", "s", ">"], client: "b", replies: 0 },
      ["PING"],
      ["PING"],
      ["XADD", "s", "1-1", "a", "b"],
      { command: [], client: "a" },
      ["XADD", "s", "2-1", "a", "b"],
      { command: [], client: "b" },
      ["XPENDING", "s", "g"]
    ]
  },
  ...[["XGROUP", "DESTROY", "s", "g"], ["DEL", "s"], ["SET", "s", "x"], ["RENAME", "s", "t"], ["FLUSHALL"]].map(
    (command): Case => ({
      name: `wakes a waiting consumer by ${command[0]} of what it waits for`,
      commands: [
        ["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"],
        {
          command: ["XREADGROUP", "GROUP", "g", "a", "BLOCK", 2000, "STREAMS", "s", ">"],
          client: "reader",
          replies: 0
        },
        ["PING"],
        ["PING"],
        command,
        { command: [], client: "reader" }
      ]
    })
  ),
  {
    name: "hands over what one transaction has added to several streams",
    commands: [
      ...["s", "t"].map((key) => ["XGROUP", "CREATE", key, "g", "$", "MKSTREAM"]),
      { command: ["XREAD", "BLOCK", 2000, "STREAMS", "s", "t", "$", "$"], client: "reader", replies: 0 },
      {
        command: ["XREADGROUP", "GROUP", "g", "a", "BLOCK", 2000, "STREAMS", "s", "t", ">", ">"],
        client: "consumer",
        replies: 0
      },
      ["PING"],
      ["PING"],
      ["MULTI"],
      ...add("s", "1-1", "2-1"),
      ...add("t", "3-1"),
      ["EXEC"],
      { command: [], client: "reader" },
      { command: [], client: "consumer" }
    ]
  },
  {
    name: "waits on while a stream is something else, until another has an entry",
    commands: [
      ...add("s", "1-1"),
      { command: ["XREAD", "BLOCK", 2000, "STREAMS", "s", "t", "$", "$"], client: "reader", replies: 0 },
      ["PING"],
      ["PING"],
      ["SET", "s", "x"],
      ["XADD", "t", "1-1", "a", "b"],
      { command: [], client: "reader" }
    ]
  },
  {
    name: "does not wait in a transaction",
    commands: [
      ["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"],
      ["MULTI"],
      ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"],
      ["XREADGROUP", "GROUP", "g", "a", "BLOCK", 0, "STREAMS", "s", ">"],
      ["EXEC"]
    ]
  }
]
