/**
 * Replies of the simulated server, and how each version of the protocol spells them.
 */
import * as Data from "effect/Data"

/** A reply as a server means it, before the protocol version decides how it is spelled. */
export type ReplyValue = Data.TaggedEnum<{
  Simple: { readonly text: string }
  Error: { readonly text: string }
  Integer: { readonly value: number | bigint }
  Bulk: { readonly value: string | Uint8Array }
  Null: {}
  /** What RESP2 spells `*-1`: no `EXEC` result, no element popped in time. */
  NullArray: {}
  Double: { readonly value: number }
  BigNumber: { readonly value: bigint }
  Boolean: { readonly value: boolean }
  /** `format` is the three-letter prefix, such as `txt`. */
  Verbatim: { readonly format: string; readonly text: string }
  Array: { readonly items: ReadonlyArray<ReplyValue> }
  Set: { readonly items: ReadonlyArray<ReplyValue> }
  Map: { readonly entries: ReadonlyArray<readonly [key: ReplyValue, value: ReplyValue]> }
  Push: { readonly items: ReadonlyArray<ReplyValue> }
}>

/** Constructors of `ReplyValue`, one per tag. */
export const ReplyValue = Data.taggedEnum<ReplyValue>()

const encoder = new TextEncoder()

/** A line of its own. Servers do the same: a line end inside it would begin another reply. */
const line = (type: string, text: string): string => `${type}${text.replace(/[\r\n]/g, " ")}\r\n`

/** A number as Redis writes it. */
const formatNumber = (value: number): string =>
  Number.isNaN(value)
    ? "nan"
    : Number.isFinite(value)
    ? Object.is(value, -0) ? "-0" : String(value)
    : value > 0
    ? "inf"
    : "-inf"

/** Encodes one reply as a server that speaks this version of the protocol spells it. */
export const encodeReply = (value: ReplyValue, protocol: 2 | 3): Uint8Array => {
  const parts: Array<Uint8Array> = []
  let text = ""
  let length = 0
  const put = (bytes: Uint8Array): void => {
    parts.push(bytes)
    length += bytes.length
  }
  const flush = (): void => {
    if (text !== "") put(encoder.encode(text))
    text = ""
  }
  const payload = (type: string, payload: string | Uint8Array): void => {
    const bytes = typeof payload === "string" ? encoder.encode(payload) : payload
    text += `${type}${bytes.length}\r\n`
    flush()
    put(bytes)
    text = "\r\n"
  }
  const items = (type: string, values: ReadonlyArray<ReplyValue>): void => {
    text += `${type}${values.length}\r\n`
    for (const value of values) write(value)
  }
  const isNew = protocol === 3
  const write = (value: ReplyValue): void => {
    switch (value._tag) {
      case "Simple":
        text += line("+", value.text)
        return
      case "Error":
        text += line("-", value.text)
        return
      case "Integer":
        text += line(":", String(value.value))
        return
      case "Bulk":
        return payload("$", value.value)
      case "Null":
        text += isNew ? "_\r\n" : "$-1\r\n"
        return
      case "NullArray":
        text += isNew ? "_\r\n" : "*-1\r\n"
        return
      case "Double":
        if (!isNew) return payload("$", formatNumber(value.value))
        text += line(",", formatNumber(value.value))
        return
      case "BigNumber":
        if (!isNew) return payload("$", String(value.value))
        text += line("(", String(value.value))
        return
      case "Boolean":
        text += isNew ? line("#", value.value ? "t" : "f") : line(":", value.value ? "1" : "0")
        return
      case "Verbatim":
        return isNew ? payload("=", `${value.format}:${value.text}`) : payload("$", value.text)
      case "Array":
        return items("*", value.items)
      case "Set":
        return items(isNew ? "~" : "*", value.items)
      case "Push":
        return items(isNew ? ">" : "*", value.items)
      case "Map":
        text += isNew ? `%${value.entries.length}\r\n` : `*${value.entries.length * 2}\r\n`
        for (const [key, item] of value.entries) {
          write(key)
          write(item)
        }
    }
  }
  write(value)
  flush()
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
