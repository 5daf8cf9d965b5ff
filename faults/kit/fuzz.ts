/**
 * Hostile servers and callers: bytes that no server sends, to the decoder and to what reads notifications, and arguments that
 * no caller should give, to the encoder.
 *
 * Input number `n` of seed `s` is that of seed `s + n`, so one that is found is found again alone. Everything is compared
 * with a parser that reads as the specification does and shares no line with the decoder.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Notifications from "hitless/Notifications"
import { type Arg, Encoder, ErrorReply, makeDecoder, Unreadable } from "../../src/Resp.ts"
import { parseAll, Push } from "../../test/support/naiveResp.ts"

/** Numbers from 0 to below 1 that are the same for the same seed: mulberry32. */
export const randomOf = (seed: number) => {
  let state = (seed * 2_654_435_761) >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

type Random = ReturnType<typeof randomOf>

const below = (random: Random, limit: number): number => Math.floor(random() * limit)

const pick = <A>(random: Random, values: ReadonlyArray<A>): A => values[below(random, values.length)]

// ----- what servers could say -----

const words = [
  "",
  "OK",
  "QUEUED",
  "a",
  "1",
  "-1",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "ERR no",
  "MOVED 1 a:1",
  "é",
  "😀",
  "null",
  "x".repeat(70),
  "MOVING",
  "message",
  "10.0.0.1:6379",
  "[::1]:1",
  "[\"1\",\"2\"]"
]

const integers = [
  "0",
  "1",
  "-1",
  "42",
  "9007199254740991",
  "9007199254740993",
  "-9223372036854775808",
  "18446744073709551615"
]

const doubles = ["0", "-0", "1.5", "inf", "-inf", "nan", "1e3", "-2.5e-3", "123456789.123"]

const blob = (type: string, text: string): string => `${type}${Buffer.byteLength(text)}\r\n${text}\r\n`

/** A legal value of any type; `depth` is how deep it may nest. */
const value = (random: Random, depth: number): string => {
  const types = depth > 0 ? "+-:$_#,(!=*~%|" : "+-:$_#,(!="
  const type = pick(random, Array.from(types))
  const many = (count: number) => Array.from({ length: count }, () => value(random, depth - 1)).join("")
  const count = below(random, 4)
  switch (type) {
    case "+":
      return `+${pick(random, words)}\r\n`
    case "-":
      return `-${pick(random, words)}\r\n`
    case ":":
      return `:${pick(random, integers.slice(0, -1))}\r\n`
    case "(":
      return `(${pick(random, integers)}${"7".repeat(below(random, 40))}\r\n`
    case ",":
      return `,${pick(random, doubles)}\r\n`
    case "_":
      return pick(random, ["_\r\n", "$-1\r\n", "*-1\r\n"])
    case "#":
      return pick(random, ["#t\r\n", "#f\r\n"])
    case "=":
      return blob("=", `txt:${pick(random, words)}`)
    case "$":
    case "!":
      return blob(type, pick(random, words))
    case "%":
      return `%${count}\r\n${many(2 * count)}`
    case "|":
      return `|${count}\r\n${many(2 * count)}${value(random, depth - 1)}`
    default:
      return `${type}${count}\r\n${many(count)}`
  }
}

const names = ["MOVING", "MIGRATING", "MIGRATED", "FAILING_OVER", "FAILED_OVER", "SMIGRATING", "SMIGRATED"]

/** A push about maintenance, mostly with what should not be in it. */
const announcement = (random: Random): string => {
  const count = below(random, 6)
  const rest = Array.from(
    { length: count },
    () => random() < 0.5 ? `:${pick(random, integers.slice(0, -1))}\r\n` : value(random, 2)
  )
  return `>${count + 1}\r\n${blob("$", pick(random, names))}${rest.join("")}`
}

const stream = (random: Random): Buffer =>
  Buffer.from(
    Array.from({ length: 1 + below(random, 5) }, () => random() < 0.3 ? announcement(random) : value(random, 4)).join(
      ""
    )
  )

const lengths = [
  "-2",
  "0",
  "00",
  "+1",
  "999999999",
  "1073741824",
  "9223372036854775807",
  "99999999999999999999",
  "1.5",
  "",
  "?"
]

/** Changes a few bytes, or cuts, repeats, or announces something else. */
const mutated = (random: Random, bytes: Buffer): Buffer => {
  let text = bytes.toString("latin1")
  for (let i = 1 + below(random, 3); i > 0; i--) {
    const at = below(random, text.length + 1)
    switch (below(random, 6)) {
      case 0:
        text = text.slice(0, at) + String.fromCharCode(below(random, 256)) + text.slice(at + 1)
        break
      case 1:
        text = text.slice(0, at) + text.slice(at + 1 + below(random, 8))
        break
      case 2:
        text = text.slice(0, at) + pick(random, ["\r", "\n", "\r\n", "*", "$", ">", "%", "|", "\0"]) + text.slice(at)
        break
      case 3:
        text = text.slice(0, at) + text.slice(below(random, text.length + 1))
        break
      case 4:
        text = text.slice(0, at) + text.slice(at).replace(/\d+/, () => pick(random, lengths))
        break
      default:
        text = text.slice(0, at) + pick(random, ["*", "%", "~", ">", "|", "$"]) + pick(random, lengths) + "\r\n" +
          text.slice(at)
    }
  }
  return Buffer.from(text, "latin1")
}

// ----- what was read -----

const limits = { maxFrameBytes: 64 * 1024, maxDepth: 16 } as const

/** One text for values that are equal, whichever parser made them. Entries of maps are in no order. */
const canonical = (value: unknown): string => {
  if (value === null) return "null"
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "boolean") return String(value)
  if (value instanceof Unreadable) return "unreadable"
  if (value instanceof ErrorReply || value instanceof Error) return `error ${JSON.stringify(value.message)}`
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString("utf8"))
  if (value instanceof Push) return `push ${canonical(value.elements)}`
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  // Of entries whose keys are equal, or read as the same text, the last one counts.
  const entries = new Map<string, string>()
  for (const [key, item] of value instanceof Map ? value : Object.entries(value as object)) {
    entries.set(keyOf(key), canonical(item))
  }
  return `{${Array.from(entries, (entry) => entry.join(":")).sort().join()}}`
}

/** Names of properties are text, whatever the key was. */
const keyOf = (key: unknown): string =>
  key instanceof Uint8Array ?
    Buffer.from(key).toString("utf8") :
    typeof key === "string" || typeof key === "number" || typeof key === "bigint" || typeof key === "boolean" ||
      key === null
    ? String(key)
    : canonical(key)

interface Reading {
  readonly values: ReadonlyArray<unknown>
  readonly error: string | undefined
}

const readIn = (chunks: ReadonlyArray<Uint8Array>): Reading => {
  const values: Array<unknown> = []
  const decoder = makeDecoder({
    blobsAsBytes: () => false,
    onReply: (value) => values.push(value),
    onPush: (elements) => values.push(new Push(elements))
  }, limits)
  let error: string | undefined
  for (const chunk of chunks) error ??= decoder.push(chunk)?.message
  return { values, error }
}

const chunksOf = (random: Random, bytes: Buffer): ReadonlyArray<Uint8Array> => {
  const most = pick(random, [1, 3, 20])
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const size = 1 + below(random, most)
    chunks.push(new Uint8Array(bytes.subarray(at, at + size)))
    at += size
  }
  return chunks
}

const isUnreadable = (text: string): boolean => text.includes("unreadable")

/** Whether a reading and the other parser's agree, as far as both went: a streamed value is one that only we know. */
const compare = (bytes: Buffer, { error, values }: Reading): string | undefined => {
  const other = parseAll(bytes, limits.maxDepth)
  const ours = values.map(canonical)
  const theirs = other.values.map(canonical)
  const both = Math.min(ours.length, theirs.length)
  for (let i = 0; i < both; i++) {
    if (ours[i] !== theirs[i] && !isUnreadable(ours[i])) {
      return `value ${i} is ${ours[i]}, and to the other ${theirs[i]}`
    }
  }
  if (ours.some(isUnreadable) || /[$*~%|>]\?/.test(bytes.toString("latin1"))) return undefined
  if (ours.length < theirs.length) return `${theirs[both]} was not read${error === undefined ? "" : `: ${error}`}`
  if (ours.length > theirs.length) return `read ${ours[both]}, which the other did not`
  // Of what is too large to be kept only the framing is looked at.
  const isSkipping = /[$=!*~%>|]\d{5}/.test(bytes.toString("latin1"))
  if (other.malformed && error === undefined && !isSkipping) {
    return `the rest from ${other.rest} on is no RESP, and was not refused`
  }
  return undefined
}

const isSane = (notification: Notifications.Notification): boolean =>
  /^-?\d{1,20}$/.test(notification.seq) && notification.endpoint === "a:1" &&
  Notifications.identity(notification) !== "" &&
  (!("time" in notification) ||
    (Duration.toMillis(notification.time) >= 0 && Duration.toMillis(notification.time) <= 600_000))

/** What is wrong with how bytes were read, if anything; `random` cuts them. */
export const checkBytes = (bytes: Buffer, random: Random, isLegal: boolean): string | undefined => {
  const announces = /\d{5}/.test(bytes.toString("latin1"))
  const heap = announces ? process.memoryUsage().arrayBuffers : 0
  const began = performance.now()
  try {
    const whole = readIn([new Uint8Array(bytes)])
    const cut = readIn(chunksOf(random, bytes))
    const [a, b] = [whole, cut].map(({ error, values }) => `${values.map(canonical).join()} ${error}`)
    if (a !== b) return `whole it is ${a}, and in chunks ${b}`
    const difference = compare(bytes, whole)
    if (difference !== undefined) return difference
    if (isLegal && whole.error !== undefined) return `legal, and refused: ${whole.error}`
    for (const value of whole.values) {
      if (!(value instanceof Push)) continue
      const notification = Notifications.decode(value.elements, "a:1")
      if (notification === undefined) continue
      if (Result.isSuccess(notification) ? !isSane(notification.success) : notification.failure.length > 1000) {
        return `a notification is ${String(notification)}`
      }
    }
  } catch (cause) {
    return `throws ${String(cause)}`
  }
  // Both readings, and what the pool of a garbage collector may hold beside them.
  const grown = announces ? process.memoryUsage().arrayBuffers - heap : 0
  if (grown > 4 * limits.maxFrameBytes + 4 * 1024 * 1024) return `takes ${grown} bytes for ${bytes.length}`
  if (performance.now() - began > 5000) return "takes more than 5 s"
  return undefined
}

/** What a server could say, or what one mutation has made of it. */
const input = (random: Random): { readonly bytes: Buffer; readonly isLegal: boolean } => {
  const legal = stream(random)
  const isLegal = random() < 0.4
  return { bytes: isLegal ? legal : mutated(random, legal), isLegal }
}

/** What is wrong with how one input was read, if anything. */
export const checkInput = (seed: number): string | undefined => {
  const random = randomOf(seed)
  const { bytes, isLegal } = input(random)
  return checkBytes(bytes, random, isLegal)
}

/** The input with a number. */
export const inputOf = (seed: number): Buffer => input(randomOf(seed)).bytes

// ----- hostile callers -----

const argument = (random: Random): Arg => {
  switch (below(random, 8)) {
    case 0:
      return pick(random, words)
    case 1:
      return new Uint8Array(Array.from({ length: below(random, 40) }, () => below(random, 256)))
    case 2:
      return pick(random, ["\ud800", "a\udc00b", "\udfff\ud800", "\ud83d\ude00", "\r\n$1\r\n", "\0"])
    case 3:
      return pick(random, [0, -0, 1.5, 2 ** 53, -(2 ** 31), 1e21])
    case 4:
      return BigInt(below(random, 2 ** 31)) ** 3n
    case 5:
      return new Uint8Array(below(random, 6000)).fill(below(random, 256))
    case 6:
      return pick(random, ["é", "x", "😀", "\ud800"]).repeat(below(random, 3000))
    default:
      return pick(random, ["__proto__", "constructor", "prototype"])
  }
}

const bytesOf = (arg: Arg): Buffer => typeof arg === "object" ? Buffer.from(arg) : Buffer.from(String(arg), "utf8")

/** The arguments in what was written, read as plainly as can be; `undefined` where it is no command. */
const argumentsIn = (bytes: Buffer): ReadonlyArray<Buffer> | undefined => {
  let at = 0
  const number = (type: string): number => {
    const end = bytes.indexOf("\r\n", at)
    const text = bytes.toString("latin1", at, end)
    at = end + 2
    return text.startsWith(type) && end >= 0 ? Number(text.slice(1)) : Number.NaN
  }
  const count = number("*")
  const args: Array<Buffer> = []
  for (let i = 0; i < count; i++) {
    const length = number("$")
    args.push(bytes.subarray(at, at + length))
    at += length + 2
  }
  return at === bytes.length && args.length === count ? args : undefined
}

/** What is wrong with how the arguments of one command were written, if anything. */
export const checkArguments = (seed: number, count: number): string | undefined => {
  const random = randomOf(seed)
  const args = Array.from({ length: count }, () => argument(random))
  const meant = args.map(bytesOf)
  try {
    const encoder = new Encoder()
    encoder.write(args)
    const chunks = encoder.take()
    // What is small was taken as it was at the call.
    for (const arg of args) if (typeof arg === "object" && arg.length < 2048) arg.fill(0)
    const written = argumentsIn(Buffer.concat(chunks.map((chunk) => Buffer.from(chunk as Uint8Array))))
    if (written === undefined) return "what was written is no command"
    const wrong = meant.findIndex((bytes, index) => !bytes.equals(written[index]))
    return wrong < 0 ? undefined : `argument ${wrong} was written as ${written[wrong].toString("latin1").slice(0, 60)}`
  } catch (cause) {
    return `throws ${String(cause)}`
  }
}
