import { assert, describe, it } from "@effect/vitest"
import { type Caller, run } from "../src/testing/server/command.ts"
import { dataCommands } from "../src/testing/server/commands.ts"
import { type Dialect, dialects } from "../src/testing/server/dialect.ts"
import { Keyspace } from "../src/testing/server/keyspace.ts"
import type { ReplyValue } from "../src/testing/server/replies.ts"
import { fromBytes } from "../src/testing/server/text.ts"
import { Tracking } from "../src/testing/server/tracking.ts"
import * as Blocking from "./keyspace/blocking.cases.ts"
import * as Client from "./keyspace/client.cases.ts"
import * as Hashes from "./keyspace/hashes.cases.ts"
import * as Keys from "./keyspace/keys.cases.ts"
import * as Lists from "./keyspace/lists.cases.ts"
import * as Pubsub from "./keyspace/pubsub.cases.ts"
import * as Scripts from "./keyspace/scripts.cases.ts"
import * as Sets from "./keyspace/sets.cases.ts"
import * as SortedSets from "./keyspace/sortedSets.cases.ts"
import * as Streams from "./keyspace/streams.cases.ts"
import * as Strings from "./keyspace/strings.cases.ts"
import * as Transactions from "./keyspace/transactions.cases.ts"
import { keyspaceSuite } from "./support/keyspaceSuite.ts"

keyspaceSuite("strings", Strings.cases)
keyspaceSuite("keys", Keys.cases)
keyspaceSuite("hashes", Hashes.cases)
keyspaceSuite("lists", Lists.cases)
keyspaceSuite("sets", Sets.cases)
keyspaceSuite("sorted sets", SortedSets.cases)
keyspaceSuite("streams", Streams.cases)
keyspaceSuite("blocking", Blocking.cases)
keyspaceSuite("client", Client.cases)
keyspaceSuite("pubsub", Pubsub.cases)
keyspaceSuite("transactions", Transactions.cases)
keyspaceSuite("scripts", Scripts.cases)

// Cursors are the server's own, so only what they promise can be compared with Redis: that is tested here.
describe("cursors", () => {
  const makeCaller = (dialect: Dialect = dialects["8.0"]): Caller => {
    const keyspace = new Keyspace(() => 0, new Tracking())
    return { keyspace, database: keyspace.databases[0], protocol: 3, dialect }
  }

  const send = (caller: Caller, name: string, ...args: ReadonlyArray<string | number>): ReplyValue =>
    run(dataCommands.get(name)!, caller, args.map(String)) as ReplyValue

  /** Follows the cursors to the end; `between` runs after each call. */
  const iterate = (
    caller: Caller,
    name: string,
    before: ReadonlyArray<string>,
    count: number,
    between: (call: number) => void = () => {}
  ): { readonly pages: ReadonlyArray<ReadonlyArray<string>>; readonly all: ReadonlyArray<string> } => {
    const texts = (value: ReplyValue): ReadonlyArray<string> => {
      assert(value._tag === "Array")
      return value.items.map((item) => {
        assert(item._tag === "Bulk" && typeof item.value !== "string")
        return fromBytes(item.value)
      })
    }
    const pages: Array<ReadonlyArray<string>> = []
    let cursor = "0"
    do {
      const page = send(caller, name, ...before, cursor, "COUNT", count)
      assert(page._tag === "Array" && page.items[0]._tag === "Bulk" && typeof page.items[0].value !== "string")
      cursor = fromBytes(page.items[0].value)
      pages.push(texts(page.items[1]))
      between(pages.length)
    } while (cursor !== "0")
    return { pages, all: pages.flat() }
  }

  it("return every key once, at most COUNT at a time", () => {
    const caller = makeCaller()
    const keys = Array.from({ length: 500 }, (_, i) => `key:${i}`)
    for (const key of keys) send(caller, "SET", key, "v")
    const { all, pages } = iterate(caller, "SCAN", [], 7)
    assert.strictEqual(pages.length, Math.ceil(keys.length / 7))
    assert.deepStrictEqual(all.toSorted(), keys.toSorted())
  })

  it("return what is there the whole time, whatever comes and goes meanwhile", () => {
    const caller = makeCaller()
    const stays = Array.from({ length: 200 }, (_, i) => `stays:${i}`)
    for (let i = 0; i < 200; i++) {
      send(caller, "SET", stays[i], "v")
      send(caller, "SET", `goes:${i}`, "v")
    }
    const { all } = iterate(caller, "SCAN", [], 5, (call) => {
      for (let i = 4 * call; i < 4 * call + 4; i++) send(caller, "DEL", `goes:${i}`)
      send(caller, "SET", `comes:${call}`, "v")
    })
    const seen = new Set(all)
    assert.deepStrictEqual(stays.filter((key) => !seen.has(key)), [])
  })

  it("return the members of sets and of large hashes and sorted sets in pages", () => {
    const caller = makeCaller()
    const members = Array.from({ length: 300 }, (_, i) => `m${i}`)
    send(caller, "SADD", "s", ...members)
    send(caller, "HSET", "h", ...members.flatMap((member) => [member, "v"]))
    send(caller, "ZADD", "z", ...members.flatMap((member) => ["1", member]))
    const scans = [["SSCAN", "s", 1], ["HSCAN", "h", 2], ["ZSCAN", "z", 2]] as const
    for (const [name, key, perElement] of scans) {
      const { all, pages } = iterate(caller, name, [key], 10)
      assert.strictEqual(pages.length, 30)
      assert.deepStrictEqual(all.filter((_, i) => i % perElement === 0).toSorted(), members.toSorted())
    }
  })

  it("return a small set whole as Redis 8.0, and in pages as 7.0", () => {
    const pagesOf = (dialect: Dialect): number => {
      const caller = makeCaller(dialect)
      send(caller, "SADD", "s", "a", "b", "c")
      return iterate(caller, "SSCAN", ["s"], 1).pages.length
    }
    assert.strictEqual(pagesOf(dialects["8.0"]), 1)
    assert.strictEqual(pagesOf(dialects["7.0"]), 3)
  })

  it("go the same way every time", () => {
    const order = (): ReadonlyArray<string> => {
      const caller = makeCaller()
      for (let i = 0; i < 50; i++) send(caller, "SET", `key:${i}`, "v")
      return iterate(caller, "SCAN", [], 3).all
    }
    assert.deepStrictEqual(order(), order())
  })
})
