/**
 * Keeps a secret out of texts that a peer wrote: servers and proxies repeat what they were told, each in its own way.
 *
 * The secret itself is cut out, in any of the spellings that quoting makes of it, and not what stands around it, since
 * no list of wordings would ever be complete.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import { keepNewest } from "./bounded.ts"

/** A text without the secret. @internal */
export type Scrub = (text: string) => string

/** Nothing to hide. @internal */
export const unscrubbed: Scrub = (text) => text

const mark = "***"

/** Shorter secrets are parts of ordinary words, and are cut only where they are a word of their own. */
const shortest = 4

/** Where a text was cut short, so much of a secret's beginning gives it away. */
const telling = 16

const spelled = (bytes: Uint8Array, plain: RegExp, escape: (byte: number) => string): string => {
  let text = ""
  for (const byte of bytes) {
    const char = String.fromCharCode(byte)
    text += plain.test(char) ? char : escape(byte)
  }
  return text
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

const percent = (byte: number): string => `%${hex(byte)}`

const reprEscapes: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  13: "\\r",
  34: "\\\"",
  92: "\\\\"
}

/** The ways in which a secret is written, the longest first. */
const spellings = (secret: string | Uint8Array): ReadonlyArray<string> => {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret
  const text = typeof secret === "string" ? secret : new TextDecoder().decode(secret)
  const forms = new Set([text, text.replace(/[\r\n]/g, " ")])
  if (text.length >= shortest) {
    const json = JSON.stringify(text).slice(1, -1)
    forms.add(json)
    forms.add(json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`))
    forms.add(text.replace(/[\\']/g, "\\$&"))
    // As Redis itself quotes, in MONITOR for one.
    forms.add(spelled(bytes, /[ !#-[\]-~]/, (byte) => reprEscapes[byte] ?? `\\x${hex(byte)}`))
    forms.add(spelled(bytes, /[\w.~-]/, percent))
    forms.add(spelled(bytes, /[\w.!~*'()-]/, percent))
    forms.add(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))
    forms.add(Base64.encode(bytes).replace(/=+$/, ""))
    forms.add(Base64Url.encode(bytes))
    forms.add(Hex.encode(bytes))
  }
  forms.delete("")
  return [...forms].sort((a, b) => b.length - a.length)
}

const isWord = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}_]/u.test(char)

/** Cuts one spelling out of a text from an index on; `folded` is the text in which it is searched. */
const cut = (text: string, folded: string, form: string, from: number): string => {
  const beginning = form.slice(0, telling)
  let result = ""
  let done = 0
  for (let at = folded.indexOf(beginning, from); at !== -1; at = folded.indexOf(beginning, done)) {
    let end = at + beginning.length
    while (end - at < form.length && folded[end] === form[end - at]) end++
    const isPart = form.length < shortest && (isWord(folded[at - 1]) || isWord(folded[end]))
    result += isPart ? text.slice(done, end) : text.slice(done, at) + mark
    done = end
  }
  return result + text.slice(done)
}

/** In lower case, where that leaves each character in its place. */
const fold = (text: string): string => {
  const lower = text.toLowerCase()
  return lower.length === text.length ? lower : text
}

/** Makes what cuts a secret out of a text. @internal */
export const scrubber = (secret: string | Uint8Array): Scrub => {
  const exact = spellings(secret)
  const folded = [...new Set(exact.map(fold))]
  return (text) => {
    let clean = text
    for (const form of exact) clean = cut(clean, clean, form, 0)
    // A password can be spelled like an error's code, in small letters; the code is needed.
    const afterCode = clean.indexOf(" ")
    if (afterCode === -1) return clean
    let small = fold(clean)
    for (const form of folded) {
      const cleaner = cut(clean, small, form, afterCode)
      if (cleaner !== clean) small = fold(cleaner)
      clean = cleaner
    }
    return clean
  }
}

/** How many secrets are kept out at once: a connection that logs in anew has told a few, and only the last is valid. */
const mostSecrets = 16

/** Several secrets, the newest of them. @internal */
export class Secrets {
  private readonly scrubs = new Map<string, Scrub>()

  /** Keeps one more out of texts. Gives what cuts them all out. */
  hide(secret: unknown): Scrub {
    const value = secret instanceof Uint8Array ? secret : String(secret)
    const key = typeof value === "string" ? `text ${value}` : `bytes ${Hex.encode(value)}`
    const known = this.scrubs.get(key)
    this.scrubs.delete(key)
    this.scrubs.set(key, known ?? scrubber(value))
    keepNewest(this.scrubs, mostSecrets)
    const scrubs = [...this.scrubs.values()]
    return scrubs.length === 1 ? scrubs[0] : (text) => scrubs.reduce((clean, scrub) => scrub(clean), text)
  }
}
