/** Commands that wait: what they say at once, and what they are given by others. */
import type { Case, Line, Word } from "../support/keyspaceSuite.ts"

/** Begins to wait on a connection of its own; the answer to `PING` says that the server has begun with it. */
const waits = (client: string, ...command: ReadonlyArray<Word>): ReadonlyArray<Line> => [
  { client, command, replies: 0 },
  ["PING"]
]

const gets = (client: string): Line => ({ client, command: [] })

export const cases: ReadonlyArray<Case> = [
  {
    name: "what is there is popped at once, from the first key that has something",
    commands: [
      ["RPUSH", "l", "a", "b", "c", "d", "e", "f"],
      ["BLPOP", "l", 0],
      ["BRPOP", "none", "l", 1],
      ["BLMPOP", 0, 2, "none", "l", "LEFT"],
      ["BLMPOP", 0, 2, "none", "l", "RIGHT", "COUNT", 2],
      ["BLMOVE", "l", "m", "LEFT", "RIGHT", 0],
      ["BRPOPLPUSH", "m", "m", 0],
      ["EXISTS", "l", "m"],
      ["LRANGE", "m", 0, -1],
      ["ZADD", "z", 1, "a", 2.5, "b", 3, "c", 4, "d", 5, "e"],
      ["BZPOPMIN", "none", "z", 0],
      ["BZPOPMAX", "z", 0],
      ["BZMPOP", 0, 2, "none", "z", "MIN"],
      ["BZMPOP", 0, 1, "z", "MAX", "COUNT", 5],
      ["EXISTS", "z"]
    ]
  },
  {
    name: "nothing comes in time",
    commands: [
      ["BLPOP", "a", "b", 0.02],
      ["BRPOP", "a", 0.02],
      ["BLMOVE", "a", "b", "LEFT", "RIGHT", 0.02],
      ["BRPOPLPUSH", "a", "b", 0.02],
      ["BLMPOP", 0.02, 1, "a", "LEFT"],
      ["BZPOPMIN", "a", 0.02],
      ["BZPOPMAX", "a", ".02"],
      ["BZMPOP", 0.02, 1, "a", "MAX"],
      ["BLPOP", "a", "0.00001"]
    ]
  },
  {
    name: "bad arguments",
    commands: [
      ["BLPOP"],
      ["BLPOP", "a"],
      ["BLPOP", "a", "x"],
      ["BLPOP", "a", ""],
      ["BLPOP", "a", -1],
      ["BRPOP", "a", -0.5],
      ["BLPOP", "a", "inf"],
      ["BLPOP", "a", "nan"],
      ["BLPOP", "a", "1e30"],
      ["BLMOVE", "a", "b", "UP", "LEFT", 0],
      ["BLMOVE", "a", "b", "LEFT", "LEFT", "x"],
      ["BLMOVE", "a", "b", "LEFT", "LEFT"],
      ["BRPOPLPUSH", "a", "b", "x"],
      ["BLMPOP", "x", 1, "a", "LEFT"],
      ["BLMPOP", 0, 0, "a", "LEFT"],
      ["BLMPOP", 0, "x", "a", "LEFT"],
      ["BLMPOP", 0, -1, "a", "LEFT"],
      ["BLMPOP", 0, 2, "a", "LEFT"],
      ["BLMPOP", 0, 9, "a", "LEFT"],
      ["BLMPOP", 0, 1, "a", "UP"],
      ["BLMPOP", 0, 1, "a", "LEFT", "COUNT"],
      ["BLMPOP", 0, 1, "a", "LEFT", "COUNT", 0],
      ["BLMPOP", 0, 1, "a", "LEFT", "MANY", 1],
      ["BZPOPMIN", "a", "x"],
      ["BZPOPMAX", "a"],
      ["BZMPOP", 0, 0, "a", "MIN"],
      ["BZMPOP", 0, 1, "a", "LEFT"],
      ["BZMPOP", 0, 1, "a", "MIN", "COUNT", "x"],
      ["BZMPOP", -1, 1, "a", "MIN"]
    ]
  },
  {
    name: "keys of another type",
    commands: [
      ["SET", "s", "v"],
      ["RPUSH", "l", "a"],
      ["ZADD", "z", 1, "a"],
      ["BLPOP", "s", 0],
      ["BLPOP", "none", "s", 0],
      ["BLPOP", "l", "s", 0],
      ["BRPOP", "z", 0],
      ["RPUSH", "l", "a"],
      ["BLMOVE", "l", "s", "LEFT", "LEFT", 0],
      ["LRANGE", "l", 0, -1],
      ["BRPOPLPUSH", "s", "l", 0],
      ["BLMPOP", 0, 2, "s", "l", "LEFT"],
      ["BZPOPMIN", "l", 0],
      ["BZPOPMAX", "s", "z", 0],
      ["BZMPOP", 0, 1, "l", "MIN"]
    ]
  },
  {
    name: "who waits is served by a push",
    commands: [
      ...waits("b", "BLPOP", "l", 0),
      ["RPUSH", "l", "a", "b"],
      gets("b"),
      ["LRANGE", "l", 0, -1],
      ...waits("c", "BRPOP", "other", "next", 0),
      ["LPUSH", "next", "x", "y"],
      gets("c"),
      ...waits("d", "BLMPOP", 0, 2, "u", "v", "LEFT", "COUNT", 10),
      ["RPUSH", "v", "1", "2", "3"],
      gets("d"),
      ["EXISTS", "v"]
    ]
  },
  {
    name: "who waits is served from a sorted set",
    commands: [
      ...waits("b", "BZPOPMIN", "y", "z", 0),
      ["ZADD", "z", 2, "b", 1, "a"],
      gets("b"),
      ...waits("c", "BZPOPMAX", "y", 0),
      ["ZADD", "y", 2, "b", 1, "a"],
      gets("c"),
      ...waits("d", "BZMPOP", 0, 2, "v", "w", "MAX", "COUNT", 2),
      ["ZADD", "w", 1.5, "a", 2, "b", 3, "c"],
      gets("d"),
      ["ZRANGE", "w", 0, -1, "WITHSCORES"]
    ]
  },
  {
    name: "clients are served in the order in which they began to wait",
    commands: [
      ...waits("b", "BLPOP", "l", 0),
      ...waits("c", "BRPOP", "l", 0),
      ...waits("d", "BLPOP", "l", 0),
      ["RPUSH", "l", "1", "2", "3", "4"],
      gets("b"),
      gets("c"),
      gets("d"),
      ["LRANGE", "l", 0, -1]
    ]
  },
  {
    name: "what one is given is what another waits for",
    commands: [
      ...waits("b", "BLPOP", "third", 0),
      ...waits("c", "BLMOVE", "second", "third", "LEFT", "RIGHT", 0),
      ...waits("d", "BRPOPLPUSH", "first", "second", 0),
      ["RPUSH", "first", "x"],
      gets("d"),
      gets("c"),
      gets("b"),
      ["DBSIZE"]
    ]
  },
  {
    name: "everybody who waits is served before anybody goes on",
    commands: [
      { client: "b", command: ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"], replies: 0 },
      { client: "b", command: ["SET", "s", "text"], replies: 0 },
      ["PING"],
      ...waits("c", "XREAD", "BLOCK", 0, "STREAMS", "s", "$"),
      ["XADD", "s", "1-1", "f", "v"],
      gets("b"),
      gets("c"),
      gets("b"),
      ["GET", "s"]
    ]
  },
  {
    name: "a client that waits sends more, which waits too",
    commands: [
      { client: "b", command: ["BLPOP", "l", 0], replies: 0 },
      { client: "b", command: ["SET", "after", "1"], replies: 0 },
      { client: "b", command: ["BLPOP", "m", 0], replies: 0 },
      ["PING"],
      ["EXISTS", "after"],
      ["RPUSH", "l", "x"],
      gets("b"),
      gets("b"),
      ["GET", "after"],
      ["RPUSH", "m", "y"],
      gets("b")
    ]
  },
  {
    name: "a transaction and a script are over before anybody is served",
    commands: [
      ...waits("b", "BLPOP", "l", 0),
      ["MULTI"],
      ["RPUSH", "l", "a"],
      ["LPUSH", "l", "b"],
      ["EXEC"],
      gets("b"),
      ...waits("c", "BLPOP", "gone", 0.1),
      ["MULTI"],
      ["RPUSH", "gone", "a"],
      ["DEL", "gone"],
      ["EXEC"],
      gets("c")
    ]
  },
  {
    name: "in a transaction nobody waits",
    commands: [
      ["MULTI"],
      ["BLPOP", "l", 0],
      ["BLMOVE", "l", "m", "LEFT", "LEFT", 0],
      ["BRPOPLPUSH", "l", "m", 0],
      ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"],
      ["BLMPOP", 0, 1, "l", "LEFT"],
      ["BZPOPMIN", "z", 0],
      ["BZMPOP", 0, 1, "z", "MIN"],
      ["RPUSH", "l", "a"],
      ["BLPOP", "l", 0],
      ["WAIT", 0, 0],
      ["EXEC"]
    ]
  },
  {
    name: "a key that becomes something else is waited for until it is a list again",
    commands: [
      ...waits("b", "BLPOP", "l", "m", 0),
      ["SET", "l", "text"],
      ["RPUSH", "m", "x"],
      gets("b"),
      ["GET", "l"],
      ...waits("c", "BLMPOP", 0, 2, "l", "m", "LEFT"),
      ["RPUSH", "m", "y"],
      gets("c"),
      ...waits("d", "BLMOVE", "m", "l", "LEFT", "LEFT", 0),
      ["RPUSH", "m", "z"],
      gets("d"),
      ["LRANGE", "m", 0, -1]
    ]
  },
  {
    name: "other commands that make a list serve who waits for it",
    commands: [
      ...waits("b", "BLPOP", "l", 0),
      ["RPUSH", "from", "x"],
      ["RENAME", "from", "l"],
      gets("b"),
      ...waits("c", "BLPOP", "l", 0),
      ["RPUSH", "from", "y"],
      ["LMOVE", "from", "l", "LEFT", "LEFT"],
      gets("c"),
      ...waits("d", "BLPOP", "l", 0),
      ["RPUSH", "from", "z"],
      ["COPY", "from", "l"],
      gets("d"),
      ["LRANGE", "from", 0, -1]
    ]
  },
  {
    name: "waiting is about the selected database",
    commands: [
      { client: "b", command: ["SELECT", 3] },
      ...waits("b", "BLPOP", "l", 0),
      ["RPUSH", "l", "here"],
      ["LLEN", "l"],
      ["SELECT", 3],
      ["RPUSH", "l", "there"],
      gets("b"),
      ["EXISTS", "l"]
    ]
  },
  {
    name: "a watched key that a waiting client empties is changed",
    commands: [
      ["RPUSH", "l", "a"],
      ["WATCH", "l"],
      { client: "b", command: ["BLPOP", "l", 0] },
      ["MULTI"],
      ["PING"],
      ["EXEC"]
    ]
  },
  {
    name: "WAIT has nobody to wait for",
    commands: [
      ["WAIT", 0, 100],
      ["WAIT", 0, 0],
      ["WAIT", "x", 0],
      ["WAIT", 0, "x"],
      ["WAIT", 0, -1],
      ["WAIT", 0]
    ]
  }
]
