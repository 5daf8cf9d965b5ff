/**
 * Text as Redis sees it: byte strings, numbers written and read by its rules, and its glob patterns.
 *
 * Inside the simulated server every key, field and value is a *byte string*: a JavaScript string with one character
 * (0 … 255) per byte. It is binary-safe, hashes as a `Map` key, and its `<` is the byte order of sorted sets.
 * Everything here is pure.
 */

// `String.fromCharCode` takes its characters as arguments, and engines limit those to some ten thousands.
const charsPerCall = 8192

/** The byte string of some bytes. */
export const fromBytes = (bytes: Uint8Array): string => {
  if (bytes.length <= charsPerCall) return String.fromCharCode.apply(null, bytes as unknown as Array<number>)
  let text = ""
  for (let at = 0; at < bytes.length; at += charsPerCall) {
    const part = bytes.subarray(at, at + charsPerCall)
    text += String.fromCharCode.apply(null, part as unknown as Array<number>)
  }
  return text
}

/** The bytes of a byte string. */
export const toBytes = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** The signed 64-bit range that Redis counts in. */
export const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const

/** Reads an integer as Redis does: no sign `+`, no spaces, no leading zeros, within 64 bits. */
export const parseInteger = (text: string): bigint | undefined => {
  if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) return undefined
  const value = BigInt(text)
  return value < int64.min || value > int64.max ? undefined : value
}

/** Reads a double as `strtod` does, without its hexadecimal form. */
export const parseDouble = (text: string): number | undefined => {
  const infinite = /^([+-]?)inf(inity)?$/i.exec(text)
  if (infinite !== null) return infinite[1] === "-" ? -Infinity : Infinity
  return /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i.test(text) ? Number(text) : undefined
}

const formatSpecial = (value: number): string | undefined => {
  if (value === Infinity) return "inf"
  if (value === -Infinity) return "-inf"
  return value === 0 ? (Object.is(value, -0) ? "-0" : "0") : undefined
}

/** Writes a double with 17 digits, as C's `%.17g` does. */
export const formatDigits = (value: number): string => {
  const special = formatSpecial(value)
  if (special !== undefined) return special
  // C rounds what is half way to the even digit, JavaScript up. What is half way has one digit more and ends there.
  // oxlint-disable-next-line oxc/number-arg-out-of-range -- engines write 100 digits since ES2018
  const exact = value.toExponential(40)
  const isHalfWay = /^-?[0-9]\.[0-9]{15}[02468]50*e/.test(exact)
  const [mantissa, power] = (isHalfWay ? exact.replace(/50*e/, "e") : value.toExponential(16))
    .split("e") as [string, string]
  const exponent = Number(power)
  // %g turns to exponents below 1e-4 and from 1e17 on, written with two digits at least.
  if (exponent < -4 || exponent >= 17) {
    return `${trimZeros(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`
  }
  return trimZeros(placePoint(mantissa, exponent))
}

/**
 * Writes a double with the fewest digits that tell it from all others, as Redis does since 7.2. Redis' own algorithm
 * prints a digit more for one of a thousand.
 */
export const formatShortest = (value: number): string => {
  const special = formatSpecial(value)
  if (special !== undefined) return special
  // What is an integer of less than 63 bits is written as one.
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 62) return String(BigInt(value))
  const [mantissa, power] = value.toExponential().split("e") as [string, string]
  const exponent = Number(power)
  const size = mantissa.replace(/[-.]/g, "").length
  const last = exponent + 1 - size
  const isPlain = last >= 0 ? exponent < size + 7 : last > -7 || Math.abs(exponent) < 4
  if (isPlain) return placePoint(mantissa, exponent)
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`
}

/** Writes a number without an exponent, given with one digit before the point of its mantissa. */
const placePoint = (mantissa: string, exponent: number): string => {
  const sign = mantissa.startsWith("-") ? "-" : ""
  const digits = mantissa.replace(/[-.]/g, "")
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0")
  const fraction = digits.slice(exponent + 1)
  return sign + (fraction === "" ? whole : `${whole}.${fraction}`)
}

const trimZeros = (text: string): string => text.includes(".") ? text.replace(/\.?0+$/, "") : text

// INCRBYFLOAT prints 17 digits after the point; decimals are kept here as integers of that scale.
const decimals = 17
const scale = 10n ** BigInt(decimals)

/** Divides to the nearest integer, to the even one of two. */
const divideRounded = (numerator: bigint, denominator: bigint): bigint => {
  const quotient = numerator / denominator
  const rest = 2n * (numerator % denominator)
  return rest > denominator || (rest === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient
}

// Redis adds `long double`s, whose mantissa has 64 bits on x86-64: JavaScript's doubles would print 0.1 + 0.2 as
// 0.30000000000000004, and exact decimals would print digits that Redis has lost.
const mantissaBits = 64

const roundToLongDouble = (scaled: bigint): bigint => {
  const size = scaled < 0n ? -scaled : scaled
  const whole = size / scale
  // Below 1 the mantissa reaches further than the digits that are printed.
  if (whole === 0n) return scaled
  const fraction = mantissaBits - whole.toString(2).length
  const rounded = fraction >= 0
    ? divideRounded(divideRounded(size << BigInt(fraction), scale) * scale, 1n << BigInt(fraction))
    : (divideRounded(size, scale << BigInt(-fraction)) * scale) << BigInt(-fraction)
  return scaled < 0n ? -rounded : rounded
}

const parseDecimal = (text: string): bigint | undefined => {
  const parts = /^([+-]?)([0-9]*)\.?([0-9]*)(?:e([+-]?[0-9]{1,4}))?$/i.exec(text)
  if (parts === null || (parts[2] === "" && parts[3] === "")) return undefined
  const shift = decimals - parts[3].length + Number(parts[4] ?? 0)
  const digits = BigInt(parts[2] + parts[3])
  const scaled = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift)
  return roundToLongDouble(parts[1] === "-" ? -scaled : scaled)
}

/** Adds two decimal numbers and prints the sum as `INCRBYFLOAT` does. */
export const addDecimals = (left: string, right: string): string | undefined => {
  const a = parseDecimal(left)
  const b = parseDecimal(right)
  if (a === undefined || b === undefined) return undefined
  const sum = roundToLongDouble(a + b)
  const digits = String(sum < 0n ? -sum : sum).padStart(decimals + 1, "0")
  return (sum < 0n ? "-" : "") + trimZeros(`${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`)
}

/** Whether `text` matches a glob pattern of Redis: `*`, `?`, `[a-c]`, `[^a]` and `\` to escape. */
export const matches = (pattern: string, text: string): boolean => {
  let p = 0
  let t = 0
  // Where to resume when a character does not fit: the last `*` takes one more. Earlier ones need no second try.
  let star = -1
  let taken = 0
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++
      taken = t
      continue
    }
    const next = matchOne(pattern, p, text[t])
    if (next !== undefined) {
      p = next
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++taken
    } else {
      return false
    }
  }
  while (pattern[p] === "*") p++
  return p >= pattern.length
}

/** Matches one character at `p`, which is not a `*`; returns where the pattern goes on. */
const matchOne = (pattern: string, p: number, char: string): number | undefined => {
  if (p >= pattern.length) return undefined
  if (pattern[p] === "?") return p + 1
  if (pattern[p] === "[") return matchClass(pattern, p, char)
  const at = pattern[p] === "\\" && p + 1 < pattern.length ? p + 1 : p
  return pattern[at] === char ? at + 1 : undefined
}

const matchClass = (pattern: string, open: number, char: string): number | undefined => {
  const inverted = pattern[open + 1] === "^"
  let p = open + (inverted ? 2 : 1)
  let found = false
  while (p < pattern.length && pattern[p] !== "]") {
    if (pattern[p] === "\\" && p + 1 < pattern.length) {
      found ||= pattern[p + 1] === char
      p += 2
    } else if (pattern[p + 1] === "-" && p + 2 < pattern.length) {
      const [from, to] = [pattern[p], pattern[p + 2]].sort()
      found ||= from <= char && char <= to
      p += 3
    } else {
      found ||= pattern[p] === char
      p++
    }
  }
  return found === inverted ? undefined : p + 1
}
