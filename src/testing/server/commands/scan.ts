/**
 * Iteration with cursors: `SCAN` over keys, `HSCAN`, `SSCAN` and `ZSCAN` over the elements of a collection.
 *
 * No cursor is remembered. Every element has a place that depends on its name alone, and a cursor is the place to go on
 * from. So whatever comes and goes meanwhile, an element that is there from the first call to the last is returned, and
 * the same data is iterated in the same order every time.
 */
import { array, bulk, type Caller, type Command, refuse, syntaxError, toInteger } from "../command.ts"
import type { ValueType } from "../keyspace.ts"
import type { ReplyValue } from "../replies.ts"
import { formatDigits, matches } from "../text.ts"
import { ranked } from "./sortedSets.ts"

// What a call returns at most unless `COUNT` says otherwise.
const defaultCount = 10

// Up to so many elements Redis keeps hashes and sorted sets in one piece (`hash-max-listpack-entries`,
// `zset-max-listpack-entries`), and returns all of them whatever `COUNT` says.
const maxInOnePiece = 128

/** The place of a name, from 1 on: 32 bits of FNV-1a, whose constants these are. */
const placeOf = (name: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return (hash >>> 0) + 1
}

interface Options {
  readonly count: number
  readonly pattern: string | undefined
  readonly type: string | undefined
  readonly fieldsAlone: boolean
}

const toCursor = (caller: Caller, text: string): bigint => {
  // Redis reads it with `strtoul`: no text is 0, and what is less than 0 wraps around.
  const size = BigInt(text.replace(/[^0-9]/g, ""))
  if (size >= 2n ** 64n || !caller.dialect.cursor.test(text)) refuse("ERR invalid cursor")
  return BigInt.asUintN(64, text.includes("-") ? -size : size)
}

const scanOptions = (caller: Caller, args: ReadonlyArray<string>, over: "keys" | ValueType): Options => {
  let count = defaultCount
  let pattern: string | undefined
  let type: string | undefined
  let fieldsAlone = false
  for (let i = 0; i < args.length; i++) {
    const option = args[i].toUpperCase()
    if (option === "NOVALUES" && caller.dialect.scansFieldsAlone) {
      if (over !== "hash") refuse("ERR NOVALUES option can only be used in HSCAN")
      fieldsAlone = true
      continue
    }
    const value = args[++i] ?? refuse(syntaxError)
    if (option === "COUNT") {
      count = Number(toInteger(value))
      if (count < 1) refuse(syntaxError)
    } else if (option === "MATCH") pattern = value
    else if (option === "TYPE" && over === "keys") type = value.toLowerCase()
    else refuse(syntaxError)
  }
  return { count, pattern, type, fieldsAlone }
}

/** The elements of one call, before any of them is filtered out, and the cursor of the next call: 0 after the last. */
const step = (
  names: Iterable<string>,
  cursor: bigint,
  count: number
): readonly [names: Array<string>, next: number] => {
  const ahead = [...names].map((name) => [placeOf(name), name] as const).filter(([place]) => place >= cursor)
    .sort(([a], [b]) => a - b)
  // What shares a place cannot be told apart by a cursor, so it is returned together.
  let end = Math.min(count, ahead.length)
  while (end < ahead.length && ahead[end][0] === ahead[end - 1][0]) end++
  return [ahead.slice(0, end).map(([, name]) => name), end < ahead.length ? ahead[end][0] : 0]
}

const page = (next: number, items: ReadonlyArray<string>): ReplyValue =>
  array([bulk(String(next)), array(items.map(bulk))])

const scan = (caller: Caller, [start, ...args]: ReadonlyArray<string>): ReplyValue => {
  const cursor = toCursor(caller, start)
  const { count, pattern, type } = scanOptions(caller, args, "keys")
  const [names, next] = step(caller.database.keys(), cursor, count)
  return page(
    next,
    names.filter((key) =>
      (pattern === undefined || matches(pattern, key)) && (type === undefined || caller.database.type(key) === type)
    )
  )
}

/** `read` gives the names of the elements and what is returned for one of them. */
const scanElements = (
  type: ValueType,
  read: (caller: Caller, key: string) => Elements | undefined
): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, start, ...args]) => {
    const cursor = toCursor(caller, start)
    const elements = read(caller, key)
    if (elements === undefined) return page(0, [])
    const { count, fieldsAlone, pattern } = scanOptions(caller, args, type)
    const all = [...elements.names]
    const inOnePiece = elements.inOnePiece && all.length <= maxInOnePiece
    const [names, next] = inOnePiece ? [all, 0] : step(all, cursor, count)
    const found = names.filter((name) => pattern === undefined || matches(pattern, name))
    return page(next, fieldsAlone ? found : found.flatMap((name) => elements.show(name, inOnePiece)))
  }
})

interface Elements {
  readonly names: Iterable<string>
  readonly inOnePiece: boolean
  readonly show: (name: string, inOnePiece: boolean) => ReadonlyArray<string>
}

/** The commands of this file by name. */
export const scans: Record<string, Command<Caller>> = {
  SCAN: { arity: -2, run: scan },
  HSCAN: scanElements("hash", (caller, key) => {
    const hash = caller.database.read(key, "hash")
    return hash && { names: hash.keys(), inOnePiece: true, show: (field) => [field, hash.get(field) ?? ""] }
  }),
  SSCAN: scanElements("set", (caller, key) => {
    const set = caller.database.read(key, "set")
    return set && { names: set, inOnePiece: caller.dialect.hasSmallSets, show: (member) => [member] }
  }),
  ZSCAN: scanElements("zset", (caller, key) => {
    const zset = caller.database.read(key, "zset")
    return zset && {
      names: ranked(zset).map(([member]) => member),
      inOnePiece: true,
      // A large one is printed with all digits by every version.
      show: (member, inOnePiece) => {
        const format = inOnePiece ? caller.dialect.formatDouble : formatDigits
        return [member, format(zset.get(member) ?? 0)]
      }
    }
  })
}
