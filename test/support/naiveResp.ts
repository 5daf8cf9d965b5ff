/**
 * RESP as its specification reads, without any care for speed: what the decoder is compared to. It reads a buffer from its
 * beginning, anew whenever more has come, and shares no line with the decoder.
 */

/** A push, which is no reply. */
export class Push {
  readonly elements: ReadonlyArray<unknown>
  constructor(elements: ReadonlyArray<unknown>) {
    this.elements = elements
  }
}

/** The bytes are not RESP. */
export class Malformed extends Error {}

/** The value is not complete. */
const incomplete = Symbol("incomplete")

const line = (bytes: Buffer, at: number): readonly [text: string, next: number] => {
  const end = bytes.indexOf("\r\n", at)
  // A line holds neither of both, and where it does that is known before its end comes.
  const known = bytes.subarray(at, end < 0 ? bytes.length : end)
  const stray = known.indexOf("\r")
  if (known.includes("\n") || (stray >= 0 && stray < known.length - (end < 0 ? 1 : 0))) {
    throw new Malformed("no end of a line")
  }
  if (end < 0) throw incomplete
  return [bytes.toString("utf8", at, end), end + 2]
}

const lengthOf = (text: string): number => {
  if (!/^(?:\d+|-1)$/.test(text)) throw new Malformed(`no length: ${text}`)
  return Number(text)
}

const blob = (bytes: Buffer, at: number, length: number): readonly [bytes: Buffer, next: number] => {
  if (bytes.length < at + length + 2) throw incomplete
  if (bytes.toString("latin1", at + length, at + length + 2) !== "\r\n") throw new Malformed("no end of a blob")
  return [bytes.subarray(at, at + length), at + length + 2]
}

const integer = (text: string): number | bigint => {
  // Those of 64 bits have no more digits.
  if (!/^[+-]?\d{1,19}$/.test(text)) throw new Malformed(`no integer: ${text}`)
  const value = BigInt(text)
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

const double = (text: string): number => {
  // With a sign that some servers print.
  const known: Record<string, number> = { inf: Infinity, "+inf": Infinity, "-inf": -Infinity, nan: NaN, "-nan": NaN }
  if (Object.hasOwn(known, text)) return known[text]
  if (!/^[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$/.test(text)) throw new Malformed(`no double: ${text}`)
  return Number(text)
}

const many = (bytes: Buffer, at: number, count: number, levels: number): readonly [Array<unknown>, next: number] => {
  // What is in it is not looked at, and so neither is what follows.
  if (levels === 0) throw incomplete
  const values: Array<unknown> = []
  for (let i = 0; i < count; i++) {
    const [value, next] = read(bytes, at, levels - 1, true)
    values.push(value)
    at = next
  }
  return [values, at]
}

const mapOf = (flat: ReadonlyArray<unknown>): Map<unknown, unknown> => {
  const map = new Map<unknown, unknown>()
  for (let i = 0; i < flat.length; i += 2) map.set(flat[i], flat[i + 1])
  return map
}

const read = (
  bytes: Buffer,
  at: number,
  levels: number,
  isInside: boolean
): readonly [value: unknown, next: number] => {
  if (at >= bytes.length) throw incomplete
  const type = String.fromCharCode(bytes[at])
  // The end of what is streamed, which is not read here, is refused when its line is over.
  if (type === ".") line(bytes, at + 1)
  if (!"+-:$*_#,(!=%~|>".includes(type)) throw new Malformed(`no type: ${type}`)
  const [text, next] = line(bytes, at + 1)
  switch (type) {
    case "+":
      return [text, next]
    case "-":
      return [new Error(text), next]
    case ":":
      return [integer(text), next]
    case "_":
      if (text !== "") throw new Malformed(`no null: ${text}`)
      return [null, next]
    case "#":
      if (text !== "t" && text !== "f") throw new Malformed(`no boolean: ${text}`)
      return [text === "t", next]
    case ",":
      return [double(text), next]
    case "(": {
      if (!/^[+-]?\d+$/.test(text)) throw new Malformed(`no big number: ${text}`)
      return [BigInt(text), next]
    }
  }
  const length = lengthOf(text)
  if ((type === "$" || type === "*") && length === -1) return [null, next]
  if (length < 0) throw new Malformed(`no length: ${text}`)
  switch (type) {
    case "$":
    case "!":
    case "=": {
      const [content, end] = blob(bytes, next, length)
      const words = content.toString("utf8")
      if (type === "=" && !/^[^]{3}:/.test(content.toString("latin1"))) throw new Malformed("no format")
      return [type === "$" ? words : type === "!" ? new Error(words) : content.toString("utf8", 4), end]
    }
    case "%": {
      const [flat, end] = many(bytes, next, 2 * length, levels)
      return [mapOf(flat), end]
    }
    case "|":
      return read(bytes, many(bytes, next, 2 * length, levels)[1], levels, isInside)
    case ">": {
      if (isInside) throw new Malformed("a push inside a value")
      const [elements, end] = many(bytes, next, length, levels)
      return [new Push(elements), end]
    }
    default:
      return many(bytes, next, length, levels)
  }
}

/**
 * The whole values at the beginning of a buffer, where the rest begins, and whether that is not RESP. It goes no further
 * than a value that is nested deeper than so many levels.
 */
export const parseAll = (
  bytes: Buffer,
  levels = Infinity
): { readonly values: ReadonlyArray<unknown>; readonly rest: number; readonly malformed: boolean } => {
  const values: Array<unknown> = []
  let rest = 0
  while (rest < bytes.length) {
    try {
      const [value, next] = read(bytes, rest, levels, false)
      values.push(value)
      rest = next
    } catch (reason) {
      if (reason === incomplete) break
      if (reason instanceof Malformed) return { values, rest, malformed: true }
      throw reason
    }
  }
  return { values, rest, malformed: false }
}
