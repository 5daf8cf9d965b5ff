/**
 * The RESP2 and RESP3 codec: bytes in, values out, and back.
 *
 * It owns the grammar, the size and nesting limits, and the memory that commands are encoded into. It never touches a
 * socket, never reads a clock, never looks at what a command or a push means, and knows no session state, not even the
 * protocol version: a decoder reads every type of both.
 *
 * A decoder is fed chunks cut anywhere and calls its handler once per whole top-level value, in order, synchronously
 * inside `push`. Total work is linear in the bytes: a value cut by a chunk boundary is continued, never read again.
 * - reading: the only state in which the handler is called
 * - skipping: a legal value turned out to be beyond the limits; its rest is read and not kept, and the handler is given
 *   `Unreadable` in its place
 * - failed: after malformed input; every later `push` returns the same error
 * - stopped: after `stop`; no callback follows, not even for the rest of the current chunk
 *
 * Values: maps are null-prototype objects, sets are arrays, integers are numbers and beyond 2^53 bigints, verbatim
 * strings lose their format prefix, all three nulls are `null`, attributes are checked and dropped, and errors are
 * `ErrorReply` values. Text that is not UTF-8 reads as U+FFFD, but as a key of a map it stays bytes. A map is an ES
 * `Map` where property names cannot tell its keys apart: where bytes or an aggregate are among them, or both `1` and
 * `"1"`.
 *
 * Lifetimes: chunks given to a decoder must not be rewritten afterwards, since a large byte value is a view of its
 * chunk. What an `Encoder` hands out is never rewritten, and byte arguments it took by reference must not be either.
 * Between two replies a decoder keeps little more than 1 MiB of memory, however large the values it has decoded.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

// ----- models -----

/**
 * One argument of a command.
 *
 * @category models
 * @since 0.1.0
 */
export type Arg = string | number | bigint | Uint8Array

/**
 * An error reply as a value. It is not an `Error`, whose stack trace would cost more than decoding dozens of replies.
 *
 * @category models
 * @since 0.1.0
 */
export class ErrorReply {
  /** The first word of the text, such as `ERR` or `MOVED`. */
  readonly code: string
  /** The whole text, code included. */
  readonly message: string

  constructor(message: string) {
    const space = message.indexOf(" ")
    this.code = space === -1 ? message : message.slice(0, space)
    this.message = message
  }
}

/**
 * What takes the place of a legal value that is beyond the limits: an error reply of the decoder's own making, so that
 * the command which asked for that value fails, and no other.
 *
 * @category models
 * @since 0.1.0
 */
export class Unreadable extends ErrorReply {
  /** No server's word. */
  override readonly code = ""
}

/**
 * Input that is not RESP, or that no server means seriously: a length or a nesting that is not even worth skipping.
 *
 * @category errors
 * @since 0.1.0
 */
export class RespError extends Data.TaggedError("RespError")<{
  /** Offset in the stream, counted from the first byte the decoder was given. */
  readonly offset: number
  readonly expected: string
  readonly message: string
}> {}

/**
 * What a decoder calls. No function may throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  /**
   * Asked once per reply, at its first byte: shall its blob strings be `Uint8Array`s? Keys of maps that are UTF-8 are
   * strings all the same.
   */
  readonly blobsAsBytes: () => boolean
  /** `hasErrors` tells that there may be error replies inside the value; it says nothing about the value itself. */
  readonly onReply: (value: unknown, hasErrors: boolean) => void
  /** What the text of an error reply becomes before anybody sees it; it stays as it is unless given. */
  readonly onErrorText?: ((text: string) => string) | undefined
  /** Whether the blobs of pushes are `Uint8Array`s; strings unless it says so. */
  readonly pushesAsBytes?: boolean | undefined
  /** A push, between two replies. One beyond the limits has one element, `Unreadable`. */
  readonly onPush: (elements: ReadonlyArray<unknown>) => void
}

/**
 * What a decoder keeps of one top-level value, attributes before it included. What is beyond is skipped.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /** Bytes on the wire; 513 MiB unless given: a string of the server's own limit, and what is around it. */
  readonly maxFrameBytes?: number | undefined
  /** Aggregates inside each other; 128 unless given. */
  readonly maxDepth?: number | undefined
}

/**
 * An incremental decoder of one connection's byte stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoder {
  /** Decodes one chunk. Returns the error once input is malformed, then for ever the same. Not re-entrant. */
  readonly push: (chunk: Uint8Array) => RespError | undefined
  /** Ends all callbacks at once; may be called from one. */
  readonly stop: () => void
  /** About how many bytes of a value that has begun to arrive are still to come; elements like those that came before. */
  readonly owed: number
}

// ----- bytes and text -----

const CR = 13
const LF = 10
const Minus = 45
const Plus = 43
const Dot = 46
const Zero = 48
const Question = 63
const LetterE = 101
const LetterF = 102
const LetterK = 75
const LetterO = 79
const LetterT = 116

/** The type bytes. */
const Type = {
  Simple: 43, // +
  Error: 45, // -
  Integer: 58, // :
  Blob: 36, // $
  Array: 42, // *
  Null: 95, // _
  Boolean: 35, // #
  Double: 44, // ,
  BigNumber: 40, // (
  BlobError: 33, // !
  Verbatim: 61, // =
  Map: 37, // %
  Set: 126, // ~
  Attribute: 124, // |
  Push: 62, // >
  Part: 59, // ; of a streamed string
  End: 46 // . of a streamed aggregate
} as const

const emptyBytes = new Uint8Array(0)

interface NativeText {
  readonly utf8Slice: (this: Uint8Array, start: number, end: number) => string
  readonly utf8Write: (this: Uint8Array, text: string, offset: number, length: number) => number
}

interface NativeBuffer {
  readonly prototype: Partial<NativeText>
  readonly byteLength: (text: string) => number
}

const nativeBuffer = (globalThis as unknown as { readonly Buffer?: NativeBuffer }).Buffer

/** Node's and Bun's own converters, which work on any Uint8Array and skip TextDecoder's set-up. */
const native: NativeText | undefined = (() => {
  const prototype = nativeBuffer?.prototype
  return typeof prototype?.utf8Slice === "function" && typeof prototype.utf8Write === "function"
    ? prototype as NativeText
    : undefined
})()

const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true })
const textEncoder = new TextEncoder()

const utf8Slice: (bytes: Uint8Array, start: number, end: number) => string = native === undefined
  ? (bytes, start, end) => textDecoder.decode(bytes.subarray(start, end))
  : (bytes, start, end) => native.utf8Slice.call(bytes, start, end)

const utf8Write: (bytes: Uint8Array, text: string, offset: number) => number = native === undefined
  ? (bytes, text, offset) => textEncoder.encodeInto(text, bytes.subarray(offset)).written
  : (bytes, text, offset) => native.utf8Write.call(bytes, text, offset, bytes.length - offset)

/**
 * The length of text in UTF-8; -1 if the runtime only knows it by encoding the text. What becomes of a lone surrogate
 * is for whoever encodes it to say, and a length that another encoder disagrees with would garble the whole stream.
 */
const utf8Length = (text: string): number =>
  nativeBuffer !== undefined && (text as unknown as { isWellFormed?(): boolean }).isWellFormed?.() === true
    ? nativeBuffer.byteLength(text)
    : -1

/**
 * The longest text that is put together here instead of by the runtime's own converter. Measured: `utf8Slice` takes
 * 68 ns whatever the length, `String.fromCharCode` 10 ns for 1 byte, 30 for 8 and 43 for 16; appending one character at
 * a time takes as long as the converter at 8 already.
 */
const shortText = 16

/** Decodes at most `shortText` bytes; `undefined` if they are not ASCII. */
const decodeShortText = (b: Uint8Array, i: number, end: number): string | undefined => {
  let bits = 0
  for (let j = i; j < end; j++) {
    bits |= b[j]
  }
  if (bits > 127) {
    return undefined
  }
  const char = String.fromCharCode
  // dprint-ignore
  switch (end - i) {
    case 0: return ""
    case 1: return char(b[i])
    case 2: return char(b[i], b[i + 1])
    case 3: return char(b[i], b[i + 1], b[i + 2])
    case 4: return char(b[i], b[i + 1], b[i + 2], b[i + 3])
    case 5: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4])
    case 6: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5])
    case 7: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6])
    case 8: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7])
    case 9: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7], b[i + 8])
    case 10: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7], b[i + 8], b[i + 9])
    case 11: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10])
    case 12: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10], b[i + 11])
    case 13: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10], b[i + 11], b[i + 12])
    case 14: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10], b[i + 11], b[i + 12], b[i + 13])
    case 15: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10], b[i + 11], b[i + 12], b[i + 13], b[i + 14])
    default: return char(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7],
      b[i + 8], b[i + 9], b[i + 10], b[i + 11], b[i + 12], b[i + 13], b[i + 14], b[i + 15])
  }
}

/** Not `subarray`, which looks up the species and makes a Node Buffer of a Node Buffer. */
const viewOf = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)

/** Whether the bytes are the UTF-8 of the text they were decoded to. */
const isUtf8Of = (text: string, bytes: Uint8Array): boolean => {
  const encoded = textEncoder.encode(text)
  return encoded.length === bytes.length && encoded.every((byte, index) => byte === bytes[index])
}

/** Decodes a key, or copies it if it is not UTF-8 or longer than a string can be. */
const decodeKey = (bytes: Uint8Array, start: number, end: number): string | Uint8Array => {
  try {
    const text = utf8Slice(bytes, start, end)
    // What is not UTF-8 reads as U+FFFD, which can also be meant.
    if (!text.includes("\uFFFD") || isUtf8Of(text, viewOf(bytes, start, end))) {
      return text
    }
  } catch {
    // The copy does as well.
  }
  return new Uint8Array(viewOf(bytes, start, end))
}

/** Bytes gathered from several chunks, in memory that doubles so that gathering stays linear. */
class Gather {
  bytes: Uint8Array = emptyBytes
  length = 0

  append(source: Uint8Array, start: number, end: number): void {
    const length = this.length + end - start
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(64, length, this.bytes.length * 2))
      grown.set(new Uint8Array(this.bytes.buffer, 0, this.length))
      this.bytes = grown
    }
    this.bytes.set(viewOf(source, start, end), this.length)
    this.length = length
  }

  clear(): void {
    this.bytes = emptyBytes
    this.length = 0
  }
}

// ----- decoding -----

/** What `readLength` answers where there is no length. */
const Length = {
  Null: -1,
  Streamed: -2,
  /** The line is not complete, or not valid: `pos` is at the end, or the decoder has failed. */
  None: -3
} as const

/** As many digits as are exact in a double, whatever they are. */
const exactDigits = 15

/** A signed 64-bit integer, the protocol's range, has no more. */
const maxIntegerDigits = 19

/**
 * Reading a big number takes more than linear time. Measured: 6 ms for 100 000 digits, 112 ms for a million, 2 s for
 * ten million.
 */
const maxBigNumberDigits = 100_000

/**
 * The most entries of a map and elements of another aggregate. Measured: an object takes 8.6 s for eight million names
 * and more than 200 s for nine, since it is at its best up to 2^23, and an ES `Map` throws at 2^24; an array throws
 * somewhere below 2^27.
 */
const mostEntries = 2 ** 23
const mostItems = 2 ** 26

/** Room for a string of 512 MiB, which is as much as servers take unless told otherwise, and for what is around it. */
const defaultFrameBytes = 513 * 1024 * 1024

/** Bytes of a payload, or elements, beyond which nothing is skipped: no server has memory for a reply of 1 TiB. */
const mostSkipped = 2 ** 40

/**
 * Levels of nesting beyond which nothing is skipped. Each costs 8 bytes while it is open. Servers nest what their
 * scripts do, which is less than the 8,000 slots of Lua's stack.
 */
const mostSkippedLevels = 1_000_000

const powersOf10 = Array.from({ length: exactDigits + 1 }, (_, exponent) => 10 ** exponent)

/**
 * The longest array V8 keeps in its heap. Measured: a copy of 64 bytes takes 55 ns, one of 65 takes 325, and 70 where
 * its memory is shared with others.
 */
const heapBytes = 64

/**
 * The largest payload whose memory is used again when the payload became text: 1 MiB and CRLF. Measured over loopback,
 * ten at a time, against new memory for each: values of 64 KiB to 1 MiB take 0.7 to 0.9 times the processor time. What
 * is saved is mostly garbage collection: the more such memory is allocated, the more often V8 collects.
 */
const scratchBytes = 1024 * 1024 + 2

/** That memory, while no decoder has it. One for all of them: replies seldom arrive on two connections at once. */
let spareScratch: Uint8Array = emptyBytes

/** Memory that values up to an eighth of it share; a value that is kept keeps no more alive than in Node's own pool. */
const slabBytes = 8 * 1024

/** Memory for small byte values, which is shared by many of them and written once. */
class Slab {
  private bytes: Uint8Array = emptyBytes
  private used = 0

  allocate(length: number): Uint8Array {
    if (length <= heapBytes || length > slabBytes / 8) {
      return new Uint8Array(length)
    }
    if (this.used + length > this.bytes.length) {
      this.bytes = new Uint8Array(slabBytes)
      this.used = 0
    }
    this.used += length
    return viewOf(this.bytes, this.used - length, this.used)
  }

  copy(bytes: Uint8Array, length: number): Uint8Array {
    if (length <= heapBytes) {
      return new Uint8Array(bytes)
    }
    const copy = this.allocate(length)
    copy.set(bytes)
    return copy
  }
}

const noItems: Array<unknown> = []

/** An open aggregate. One per level is kept and used again. */
class Frame {
  type = 0
  /** Elements still to come; in a streamed aggregate, those it may have. */
  remaining = 0
  streamed = false
  items: Array<unknown> = noItems
}

/**
 * Consumes the rest of one top-level value and keeps nothing of it but a number for each open aggregate. Of what is
 * skipped only the framing is checked: types, lengths and line ends.
 */
class Skipper {
  readonly why: string
  /** Whether the value is a push; after an attribute its first byte is still to come. */
  isPush: boolean
  /** Whether the value has ended; or what should have been where it stopped. */
  done = false
  expected: string | undefined = undefined

  /** Elements to come of each open aggregate: `Infinity` where it is streamed; negative in an attribute, which is none. */
  private readonly open: Array<number>
  /** Inside a streamed string, between its parts or in one. */
  private streamed: boolean
  /** Bytes to come of a payload and its CRLF. */
  private payload = 0
  /** The line under way: its type, or 0, and whether that has a length; then the sign, the digits and the length. */
  private type = 0
  private hasLength = false
  private sign = 0
  private digits = 0
  private length = 0
  private previous = 0

  constructor(why: string, open: Array<number>, isPush: boolean, streamed: boolean) {
    this.why = why
    this.open = open
    this.isPush = isPush
    this.streamed = streamed
  }

  /** Goes on with bytes, and returns where the value ended, where it is malformed, or the end. */
  push(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    // What the header said may be wrong already.
    while (at < end && !this.done && this.expected === undefined) {
      if (this.payload > 2) {
        const taken = Math.min(this.payload - 2, end - at)
        this.payload -= taken
        at += taken
      } else {
        this.take(bytes[at])
        if (this.expected === undefined) at++
      }
    }
    return at
  }

  private take(byte: number): void {
    if (this.payload > 0) {
      if (byte !== (this.payload === 2 ? CR : LF)) {
        this.expected = "CRLF after a payload"
      } else if (--this.payload === 0 && !this.streamed) {
        this.endValue()
      }
    } else if (this.type === 0) {
      this.begin(byte)
    } else if (byte === LF) {
      if (this.previous === CR) {
        this.endLine()
      } else {
        this.expected = "CR before LF"
      }
    } else if (this.previous === CR) {
      this.expected = "LF after CR"
    } else if (this.hasLength && byte !== CR) {
      this.takeLength(byte)
    }
    this.previous = byte
  }

  private begin(type: number): void {
    if (this.streamed && type !== Type.Part) {
      this.expected = "a part of a streamed string"
      return
    }
    switch (type) {
      case Type.Simple:
      case Type.Error:
      case Type.Integer:
      case Type.Null:
      case Type.Boolean:
      case Type.Double:
      case Type.BigNumber:
      case Type.End:
        this.hasLength = false
        break
      case Type.Blob:
      case Type.BlobError:
      case Type.Verbatim:
      case Type.Array:
      case Type.Map:
      case Type.Set:
      case Type.Attribute:
        this.hasLength = true
        break
      case Type.Push:
        this.hasLength = true
        if (this.open.length > 0) {
          this.expected = "a value that is not a push"
        }
        break
      default:
        this.hasLength = true
        if (!this.streamed) {
          this.expected = "a type byte"
        }
    }
    this.type = type
    this.sign = 0
    this.digits = 0
    this.length = 0
  }

  private takeLength(byte: number): void {
    const digit = byte - Zero
    if (digit >= 0 && digit <= 9) {
      this.length = this.length * 10 + digit
      this.digits++
    } else if ((byte === Minus || byte === Question) && this.sign === 0 && this.digits === 0) {
      this.sign = byte
    } else {
      this.expected = "a decimal length"
    }
  }

  private endLine(): void {
    const { digits, length, sign, type } = this
    this.type = 0
    if (type === Type.End) {
      if (this.open.pop() === Infinity) {
        this.endValue()
      } else {
        this.expected = "a value"
      }
    } else if (!this.hasLength) {
      this.endValue()
    } else if (sign === 0 && digits > 0) {
      this.header(type, length)
    } else if (sign === Minus && digits === 1 && length === 1 && (type === Type.Blob || type === Type.Array)) {
      this.endValue()
    } else if (
      sign === Question && digits === 0 &&
      (type === Type.Blob || type === Type.Array || type === Type.Set || type === Type.Map)
    ) {
      this.header(type, Length.Streamed)
    } else {
      this.expected = "a decimal length"
    }
  }

  /** Goes on after the line of a value that has a length. */
  header(type: number, length: number): void {
    if (length > mostSkipped) {
      this.expected = `a length of at most ${mostSkipped}`
      return
    }
    switch (type) {
      case Type.Array:
      case Type.Map:
      case Type.Set:
      case Type.Attribute:
      case Type.Push:
        return this.openAggregate(type, length)
      case Type.Part:
        if (length === 0) {
          this.streamed = false
          return this.endValue()
        }
        break
      case Type.Blob:
        if (length === Length.Streamed) {
          this.streamed = true
          return
        }
    }
    this.payload = length + 2
  }

  private openAggregate(type: number, length: number): void {
    if (type === Type.Push) {
      this.isPush = true
    }
    if (this.open.length === mostSkippedLevels) {
      this.expected = `at most ${mostSkippedLevels} levels of nesting`
    } else if (length === Length.Streamed) {
      this.open.push(Infinity)
    } else if (length > 0) {
      this.open.push(type === Type.Attribute ? -2 * length : type === Type.Map ? 2 * length : length)
    } else if (type !== Type.Attribute) {
      this.endValue()
    }
  }

  /** Goes on after a whole value, which may be the last of the aggregates it is in. */
  endValue(): void {
    const { open } = this
    while (open.length > 0) {
      const last = open.length - 1
      if (open[last] < 0) {
        // The value that an attribute belongs to is still to come.
        if (++open[last] === 0) {
          open.pop()
        }
        return
      }
      if (--open[last] > 0) {
        return
      }
      open.pop()
    }
    this.done = true
  }
}

class DecoderImpl implements Decoder {
  private readonly handler: Handler
  private readonly maxFrameBytes: number
  private readonly maxDepth: number
  /** `maxFrameBytes`, or less than any value has once `unreadable` says what else is wrong with the value. */
  private limit: number
  private unreadable: string | undefined = undefined

  private failure: RespError | undefined = undefined
  /** Failed or stopped. */
  private halted = false

  /** What is being decoded: the chunk, or `line` while that is completed. */
  private bytes: Uint8Array = emptyBytes
  private pos = 0
  private end = 0
  /** Offset in the stream of `bytes[0]`, and of the next chunk. */
  private base = 0
  private received = 0

  /** The open aggregates are the first `depth` ones. */
  private readonly frames: Array<Frame> = []
  private depth = 0
  /** Where in `bytes` the current top-level value starts: negative if that was in an earlier chunk. */
  private frameStart = 0
  private asked = false
  private asBytes = false
  /** An error was read inside the current top-level value. */
  private hasErrors = false
  /** An attribute has ended, and the value it belongs to has not begun. */
  private attributed = false

  /** A line cut by a chunk boundary, from its type byte on. */
  private readonly line = new Gather()

  /** A payload the chunk ended within: its type, or 0; its length; and what has come of it and its CRLF. */
  private payloadType = 0
  private payloadLength = 0
  private payload: Uint8Array = emptyBytes
  private payloadFilled = 0

  /** The parts so far of a streamed string. */
  private streamed: Gather | undefined = undefined

  /** What reads the rest of a value that is not kept. */
  private skipper: Skipper | undefined = undefined

  private readonly slab = new Slab()

  constructor(handler: Handler, limits: Limits | undefined) {
    this.handler = handler
    this.maxFrameBytes = limits?.maxFrameBytes ?? defaultFrameBytes
    this.maxDepth = limits?.maxDepth ?? 128
    this.limit = this.maxFrameBytes
  }

  readonly stop = (): void => {
    this.halted = true
  }

  get owed(): number {
    let arrived = 1
    let expected = 0
    for (let i = 0; i < this.depth; i++) {
      const { items, remaining } = this.frames[i]
      arrived += items.length
      expected += Math.max(0, remaining)
    }
    const ofPayload = this.payloadType === 0 ? 0 : this.payloadLength - this.payloadFilled
    // Between two chunks, which is when it is asked, a value that is not complete began so many bytes ago.
    return ofPayload - this.frameStart * expected / arrived
  }

  readonly push = (chunk: Uint8Array): RespError | undefined => {
    if (this.halted) {
      return this.failure
    }
    const at = this.line.length > 0 ? this.resumeLine(chunk) : 0
    this.bytes = chunk
    this.base = this.received
    this.pos = at
    this.end = chunk.length
    if (this.payloadType !== 0) {
      this.resumePayload()
    } else if (this.skipper !== undefined) {
      this.resumeSkip(this.skipper)
    }
    this.run()
    this.received += chunk.length
    this.frameStart -= chunk.length
    // The chunk may be large, and the next one far away.
    this.bytes = emptyBytes
    return this.failure
  }

  /** Takes the rest of a cut line from the chunk and decodes it. Returns how much was taken. */
  private resumeLine(chunk: Uint8Array): number {
    const line = this.line
    const before = line.length
    let previous = line.bytes[before - 1]
    let at = 0
    let complete = false
    // A line ends with its line feed, or with whatever follows its carriage return: `run` finds out which of them is
    // wrong. Only new bytes are looked at, so a line that comes byte by byte still costs linear work.
    while (at < chunk.length && !complete) {
      const byte = chunk[at++]
      complete = byte === LF || previous === CR
      previous = byte
    }
    if (at - this.frameStart > this.maxFrameBytes) {
      // Only what was kept of the line; `push` skips the chunk from its first byte on.
      this.enterLine(before)
      this.resumeSkip(this.startSkip(this.tooLarge()))
      return 0
    }
    line.append(chunk, 0, at)
    if (complete) {
      this.enterLine(before)
      this.frameStart += before
      this.run()
      this.frameStart -= before
    }
    return at
  }

  /** Makes the line what is being decoded; so many bytes of it came in earlier chunks. */
  private enterLine(before: number): void {
    this.bytes = this.line.bytes
    this.base = this.received - before
    this.pos = 0
    this.end = this.line.length
    this.line.clear()
  }

  /** Takes the rest of a payload from the chunk, as far as it goes. */
  private resumePayload(): void {
    const total = this.payloadLength + 2
    const start = this.pos
    if (start === this.end) {
      return
    }
    if (this.payloadFilled === 0 && this.end - start >= total) {
      // Only its header was in an earlier chunk.
      const type = this.payloadType
      this.payloadType = 0
      this.pos = start + total
      return this.onPayload(type, this.bytes, start, start + this.payloadLength)
    }
    if (this.payloadFilled === 0) {
      // All of it at once although the peer has only announced it: the length is within the limit, and memory that is
      // not written to costs nothing. Measured: 512 MiB add nothing to the resident set, and 100 MB in chunks of
      // 64 KiB take 51 ms like this, 52 as a list of chunks that is joined and 97 in memory that doubles.
      this.payload = this.payloadMemory(total)
    }
    const taken = Math.min(total - this.payloadFilled, this.end - start)
    this.payload.set(viewOf(this.bytes, start, start + taken), this.payloadFilled)
    this.payloadFilled += taken
    this.pos = start + taken
    if (this.payloadFilled === total) {
      const type = this.payloadType
      const payload = this.payload
      this.payloadType = 0
      this.payload = emptyBytes
      this.payloadFilled = 0
      const isScratch = !this.asBytes && payload.length <= scratchBytes
      this.onPayload(type, payload, 0, this.payloadLength)
      if (isScratch && payload.length > spareScratch.length) {
        spareScratch = payload
      }
    }
  }

  private payloadMemory(length: number): Uint8Array {
    // Bytes are the handler's to keep, and a large payload is too much memory to keep.
    if (this.asBytes || length > scratchBytes) {
      return this.slab.allocate(length)
    }
    const scratch = spareScratch.length < length ? new Uint8Array(length) : spareScratch
    spareScratch = emptyBytes
    return scratch
  }

  /** Decodes value after value until the bytes end or the decoder is halted. */
  private run(): void {
    const bytes = this.bytes
    while (this.pos < this.end && !this.halted) {
      const start = this.pos
      const type = bytes[start]
      if (this.streamed !== undefined) {
        if (type !== Type.Part) {
          return this.fail(start, "a part of a streamed string")
        }
      } else if (this.depth === 0) {
        this.begin(type, start)
      }
      switch (type) {
        case Type.Blob: {
          if (bytes[start + 1] === Minus && this.isNullBlob(start)) {
            this.pos = start + 5
            this.deliver(null)
            break
          }
          const length = this.readLength(start)
          if (length >= 0) {
            this.readPayload(type, length)
          } else if (length === Length.Null) {
            this.deliver(null)
          } else if (length === Length.Streamed) {
            this.streamed = new Gather()
          }
          break
        }
        case Type.Simple: {
          if (this.isOK(start)) {
            this.pos = start + 5
            this.deliver("OK")
            break
          }
          const stop = this.readLine(start)
          if (stop !== -1) {
            this.deliver(this.textOrKey(bytes, start + 1, stop))
          }
          break
        }
        case Type.Integer: {
          this.readInteger(start)
          break
        }
        case Type.Null: {
          if (start + 3 <= this.end && bytes[start + 1] === CR && bytes[start + 2] === LF) {
            this.pos = start + 3
            this.deliver(null)
          } else {
            this.readOther(type, start)
          }
          break
        }
        case Type.Array:
        case Type.Map:
        case Type.Set:
        case Type.Attribute:
        case Type.Push: {
          if (type === Type.Push && this.depth > 0) {
            return this.fail(start, "a value that is not a push")
          }
          const length = this.readLength(start)
          if (length === Length.Null) {
            this.deliver(null)
          } else if (length !== Length.None) {
            this.open(type, length)
          }
          break
        }
        default:
          this.readOther(type, start)
      }
    }
  }

  /** The types that do not come by the thousand. */
  private readOther(type: number, start: number): void {
    const bytes = this.bytes
    switch (type) {
      case Type.Error: {
        const stop = this.readLine(start)
        if (stop !== -1) {
          this.deliverError(this.text(bytes, start + 1, stop))
        }
        break
      }
      case Type.BlobError:
      case Type.Verbatim: {
        const length = this.readLength(start)
        if (length >= 0) {
          this.readPayload(type, length)
        }
        break
      }
      case Type.Null: {
        const stop = this.readLine(start)
        if (stop !== -1 && this.endsLine(start + 1, stop)) {
          this.deliver(null)
        }
        break
      }
      case Type.Boolean: {
        const stop = this.readLine(start)
        if (stop !== -1) {
          const letter = bytes[start + 1]
          if (letter !== LetterT && letter !== LetterF) {
            return this.fail(start + 1, "t or f")
          }
          if (this.endsLine(start + 2, stop)) {
            this.deliver(letter === LetterT)
          }
        }
        break
      }
      case Type.Double: {
        this.readDouble(start)
        break
      }
      case Type.BigNumber: {
        const stop = this.readLine(start)
        if (stop !== -1) {
          this.onBigInteger(start + 1, stop, maxBigNumberDigits)
        }
        break
      }
      case Type.Part: {
        if (this.streamed === undefined) {
          return this.fail(start, "a type byte")
        }
        const length = this.readLength(start)
        if (length > 0) {
          this.readPayload(type, length)
        } else if (length === 0) {
          const parts = this.streamed
          this.streamed = undefined
          this.onBlob(parts.bytes, 0, parts.length)
        }
        break
      }
      case Type.End: {
        const stop = this.readLine(start)
        if (stop !== -1 && this.endsLine(start + 1, stop)) {
          this.onEnd(start)
        }
        break
      }
      default:
        return this.fail(start, "a type byte")
    }
  }

  /** Sees the first byte of a top-level value, and sees it again if its line was cut. */
  private begin(type: number, start: number): void {
    if (!this.attributed) {
      this.frameStart = start
    }
    if (type === Type.Push) {
      this.asBytes = this.handler.pushesAsBytes === true
    } else if (type !== Type.Attribute && !this.asked) {
      this.asked = true
      this.asBytes = this.handler.blobsAsBytes()
    }
  }

  // ----- lines -----

  /** Finds the CR of the line whose type byte is at `start` and moves past its LF; -1 if that is not possible. */
  private readLine(start: number): number {
    const bytes = this.bytes
    const end = this.end
    for (let i = start + 1; i < end; i++) {
      const byte = bytes[i]
      if (byte === CR) {
        if (i + 1 === end) {
          break
        }
        if (bytes[i + 1] !== LF) {
          this.fail(i + 1, "LF after CR")
          return -1
        }
        this.pos = i + 2
        return i
      }
      if (byte === LF) {
        this.fail(i, "CR before LF")
        return -1
      }
    }
    if (end - this.frameStart > this.maxFrameBytes) {
      this.pos = start
      this.resumeSkip(this.startSkip(this.tooLarge()))
    } else {
      this.pos = end
      this.line.append(bytes, start, end)
    }
    return -1
  }

  /** The answer to most writes. Measured: 7 ns with this test, 25 without. */
  private isOK(start: number): boolean {
    const bytes = this.bytes
    return start + 5 <= this.end && bytes[start + 1] === LetterO && bytes[start + 2] === LetterK &&
      bytes[start + 3] === CR && bytes[start + 4] === LF
  }

  /** The answer where there is nothing, in RESP2. Measured in turns: 2.3 times as many with this test as without. */
  private isNullBlob(start: number): boolean {
    const bytes = this.bytes
    return start + 5 <= this.end && bytes[start + 2] === Zero + 1 && bytes[start + 3] === CR && bytes[start + 4] === LF
  }

  private endsLine(at: number, stop: number): boolean {
    if (at !== stop) {
      this.fail(at, "CRLF")
    }
    return at === stop
  }

  /** Reads digits from `start` on and moves to the first byte that is none. */
  private readDigits(start: number): number {
    const bytes = this.bytes
    const end = this.end
    let value = 0
    let i = start
    for (; i < end; i++) {
      const digit = bytes[i] - Zero
      if (digit < 0 || digit > 9) {
        break
      }
      value = value * 10 + digit
    }
    this.pos = i
    return value
  }

  /** Moves past the CRLF at `pos`, if it is there. */
  private skipLineEnd(): boolean {
    const at = this.pos
    if (at + 1 < this.end && this.bytes[at] === CR && this.bytes[at + 1] === LF) {
      this.pos = at + 2
      return true
    }
    return false
  }

  /** Reads the length or count of the line whose type byte is at `start`, and moves past it. */
  private readLength(start: number): number {
    const length = this.readDigits(start + 1)
    return this.pos > start + 1 && this.skipLineEnd() ? length : this.readSpecialLength(start)
  }

  /** The lengths that are not digits, and the lines that are not complete or not valid. */
  private readSpecialLength(start: number): number {
    const stop = this.readLine(start)
    if (stop === -1) {
      return Length.None
    }
    const bytes = this.bytes
    const type = bytes[start]
    const first = bytes[start + 1]
    if (first === Minus && (type === Type.Blob || type === Type.Array)) {
      if (bytes[start + 2] !== Zero + 1) {
        this.fail(start + 2, "1, for -1 is the only negative length")
        return Length.None
      }
      return this.endsLine(start + 3, stop) ? Length.Null : Length.None
    }
    if (first === Question && (type === Type.Blob || type === Type.Array || type === Type.Set || type === Type.Map)) {
      return this.endsLine(start + 2, stop) ? Length.Streamed : Length.None
    }
    this.readDigits(start + 1)
    this.fail(this.pos, "a decimal length")
    return Length.None
  }

  private readInteger(start: number): void {
    const negative = this.bytes[start + 1] === Minus
    const first = negative ? start + 2 : start + 1
    const value = this.readDigits(first)
    const count = this.pos - first
    if (count > 0 && count <= exactDigits && this.skipLineEnd()) {
      // Not `-value`, which makes a negative zero.
      return this.deliver(negative ? 0 - value : value)
    }
    const stop = this.readLine(start)
    if (stop !== -1) {
      this.onBigInteger(start + 1, stop, maxIntegerDigits)
    }
  }

  private onBigInteger(start: number, stop: number, maxDigits: number): void {
    const bytes = this.bytes
    const next = this.pos
    const first = bytes[start] === Minus || bytes[start] === Plus ? start + 1 : start
    this.readDigits(first)
    if (this.pos !== stop || first === stop) {
      return this.fail(this.pos, "a digit")
    }
    if (stop - first > maxDigits && bytes[start - 1] === Type.Integer) {
      return this.fail(first + maxDigits, `an integer of at most ${maxDigits} digits`)
    }
    this.pos = next
    if (stop - first > maxDigits) {
      this.refuse(`a number of ${stop - first} digits, of which at most ${maxDigits} are read`)
      return this.deliver(null)
    }
    const magnitude = BigInt(this.text(bytes, first, stop))
    const value = bytes[start] === Minus ? -magnitude : magnitude
    if (bytes[start - 1] === Type.Integer && Number.isSafeInteger(Number(value))) {
      return this.deliver(Number(value))
    }
    this.deliver(value)
  }

  private readDouble(start: number): void {
    const negative = this.bytes[start + 1] === Minus
    const first = negative ? start + 2 : start + 1
    const whole = this.readDigits(first)
    const point = this.pos
    if (point > first && point + 1 < this.end && this.bytes[point] === Dot) {
      const fraction = this.readDigits(point + 1)
      const decimals = this.pos - point - 1
      if (point - first + decimals <= exactDigits && this.skipLineEnd()) {
        // Both are exact, so the one rounding of the division gives the nearest double.
        const value = (whole * powersOf10[decimals] + fraction) / powersOf10[decimals]
        return this.deliver(negative ? -value : value)
      }
    } else if (point > first && point - first <= exactDigits && this.skipLineEnd()) {
      return this.deliver(negative ? -whole : whole)
    }
    const stop = this.readLine(start)
    if (stop !== -1) {
      this.onDoubleText(start + 1, stop)
    }
  }

  private onDoubleText(start: number, stop: number): void {
    const text = this.text(this.bytes, start, stop)
    switch (text) {
      case "inf":
      case "+inf":
        return this.deliver(Infinity)
      case "-inf":
        return this.deliver(-Infinity)
      // Some servers print the sign of a NaN.
      case "nan":
      case "-nan":
        return this.deliver(NaN)
    }
    const bytes = this.bytes
    const next = this.pos
    this.pos = start
    this.skipSign()
    if (!this.skipDigits()) {
      return this.fail(this.pos, "a digit")
    }
    if (bytes[this.pos] === Dot) {
      this.readDigits(this.pos + 1)
    }
    if (bytes[this.pos] === LetterE || bytes[this.pos] === LetterE - 32) {
      this.pos++
      this.skipSign()
      if (!this.skipDigits()) {
        return this.fail(this.pos, "a digit")
      }
    }
    if (this.endsLine(this.pos, stop)) {
      this.pos = next
      this.deliver(Number(text))
    }
  }

  private skipSign(): void {
    const byte = this.bytes[this.pos]
    if (byte === Minus || byte === Plus) {
      this.pos++
    }
  }

  /** Moves past digits, and tells whether there were any. */
  private skipDigits(): boolean {
    const start = this.pos
    this.readDigits(start)
    return this.pos > start
  }

  // ----- payloads -----

  /** Decodes the payload at `pos` if all of it is there, else waits for it. */
  private readPayload(type: number, length: number): void {
    const start = this.pos
    const stop = start + length
    if (stop + 2 - this.frameStart > this.maxFrameBytes) {
      return this.skipAfter(type, length, this.tooLarge())
    }
    if (stop + 2 <= this.end) {
      this.pos = stop + 2
      return this.onPayload(type, this.bytes, start, stop)
    }
    this.payloadType = type
    this.payloadLength = length
    this.resumePayload()
  }

  /** A whole payload, in the chunk or in memory of its own. `pos` is past it. */
  private onPayload(type: number, bytes: Uint8Array, start: number, stop: number): void {
    if (bytes[stop] !== CR || bytes[stop + 1] !== LF) {
      return this.fail(this.pos - (bytes[stop] === CR ? 1 : 2), "CRLF after a payload")
    }
    switch (type) {
      case Type.Blob:
        return this.onBlob(bytes, start, stop)
      case Type.BlobError:
        return this.deliverError(this.text(bytes, start, stop))
      case Type.Verbatim:
        if (stop - start < 4 || bytes[start + 3] !== Type.Integer) {
          return this.fail(this.pos - 2 - (stop - start), "a format of three letters and a colon")
        }
        return this.deliver(this.textOrKey(bytes, start + 4, stop))
      default:
        return this.streamed?.append(bytes, start, stop)
    }
  }

  private onBlob(bytes: Uint8Array, start: number, stop: number): void {
    this.deliver(
      this.asBytes && !this.atMapKey() ? this.ownBytes(bytes, start, stop) : this.textOrKey(bytes, start, stop)
    )
  }

  /** Text; a key of a map that is not UTF-8 stays bytes, since two keys must not become one. */
  private textOrKey(bytes: Uint8Array, start: number, stop: number): string | Uint8Array {
    const text = stop - start <= shortText ? decodeShortText(bytes, start, stop) : undefined
    if (text !== undefined) {
      return text
    }
    return this.depth > 0 && this.atMapKey() ? decodeKey(bytes, start, stop) : this.longText(bytes, start, stop)
  }

  private text(bytes: Uint8Array, start: number, stop: number): string {
    const text = stop - start <= shortText ? decodeShortText(bytes, start, stop) : undefined
    return text ?? this.longText(bytes, start, stop)
  }

  private longText(bytes: Uint8Array, start: number, stop: number): string {
    try {
      return utf8Slice(bytes, start, stop)
    } catch {
      // V8's longest string is 24 bytes shorter than 512 MiB.
      const hint = this.asked && !this.asBytes ? ": ask for it as bytes, with sendBytes" : ""
      this.refuse(`a text of ${stop - start} bytes, longer than a string can be${hint}`)
      return ""
    }
  }

  /** Bytes that the caller may keep without keeping much else alive. */
  private ownBytes(bytes: Uint8Array, start: number, stop: number): Uint8Array {
    const view = viewOf(bytes, start, stop)
    // A view keeps the whole chunk alive, so it will do for a value that is at least half of it.
    if (view.length * 2 >= bytes.buffer.byteLength) {
      return view
    }
    return this.slab.copy(view, view.length)
  }

  // ----- aggregates -----

  private atMapKey(): boolean {
    if (this.depth === 0) {
      return false
    }
    const frame = this.frames[this.depth - 1]
    return frame.type === Type.Map && frame.items.length % 2 === 0
  }

  /** Begins an aggregate of that many elements or entries. */
  private open(type: number, length: number): void {
    if (this.depth >= this.maxDepth) {
      return this.skipAfter(type, length, `a value nested deeper than ${this.maxDepth} levels`)
    }
    const isMap = type === Type.Map || type === Type.Attribute
    const count = isMap ? length * 2 : length
    // No element is shorter than `_` CR LF.
    if (this.pos + count * 3 - this.frameStart > this.maxFrameBytes) {
      return this.skipAfter(type, length, this.tooLarge())
    }
    const most = isMap ? mostEntries : mostItems
    if (length > most) {
      return this.skipAfter(type, length, tooMany(isMap, most))
    }
    if (this.depth === this.frames.length) {
      this.frames.push(new Frame())
    }
    const frame = this.frames[this.depth++]
    frame.type = type
    // It grows as elements come, since the count is only announced. Measured: making room in advance gains 5 % at most.
    frame.items = []
    frame.streamed = length === Length.Streamed
    frame.remaining = frame.streamed ? (isMap ? 2 * most : most) + 1 : count
    this.attributed = false
    if (count === 0) {
      this.finish(frame)
    }
  }

  /** Hands a whole value to the aggregate it belongs to, or to the handler. */
  private deliver(value: unknown): void {
    // The handler may have stopped the decoder when it was asked.
    if (this.halted) {
      return
    }
    if (this.pos - this.frameStart > this.limit) {
      return this.skipValue()
    }
    this.attributed = false
    if (this.depth === 0) {
      const { hasErrors } = this
      this.asked = false
      this.hasErrors = false
      return this.handler.onReply(value, hasErrors)
    }
    const frame = this.frames[this.depth - 1]
    frame.items.push(value)
    if (--frame.remaining === 0) {
      this.finish(frame)
    }
  }

  private deliverError(text: string): void {
    if (this.depth > 0) {
      this.hasErrors = true
    }
    const { onErrorText } = this.handler
    this.deliver(new ErrorReply(onErrorText === undefined ? text : onErrorText(text)))
  }

  /** The end of a streamed aggregate. */
  private onEnd(start: number): void {
    const frame = this.depth > 0 ? this.frames[this.depth - 1] : undefined
    if (
      frame === undefined || !frame.streamed || this.attributed ||
      (frame.type === Type.Map && frame.items.length % 2 === 1)
    ) {
      return this.fail(start, "a value")
    }
    this.finish(frame)
  }

  /** Ends the innermost aggregate. */
  private finish(frame: Frame): void {
    if (frame.streamed && frame.remaining === 0) {
      const isMap = frame.type === Type.Map
      return this.resumeSkip(this.startSkip(tooMany(isMap, isMap ? mostEntries : mostItems)))
    }
    this.depth--
    const items = frame.items
    frame.items = noItems
    if (frame.type === Type.Attribute) {
      this.attributed = true
    } else if (frame.type === Type.Push) {
      this.hasErrors = false
      this.handler.onPush(items)
    } else {
      this.deliver(frame.type === Type.Map ? makeMap(items) : items)
    }
  }

  // ----- limits -----

  private tooLarge(): string {
    return `a value larger than ${this.maxFrameBytes} bytes: ask for it in parts`
  }

  /** Marks the value that is about to be delivered: what it is in cannot be read. */
  private refuse(why: string): void {
    this.unreadable ??= why
    this.limit = 0
  }

  /** Skips the rest of a top-level value from a value on that was read. */
  private skipValue(): void {
    const skipper = this.startSkip(this.unreadable ?? this.tooLarge())
    skipper.endValue()
    this.resumeSkip(skipper)
  }

  /** Skips the rest of a top-level value from a header on that was read. */
  private skipAfter(type: number, length: number, why: string): void {
    const skipper = this.startSkip(why)
    skipper.header(type, length)
    this.resumeSkip(skipper)
  }

  /** Lets go of what was kept of the top-level value. */
  private startSkip(why: string): Skipper {
    const open: Array<number> = []
    for (let i = 0; i < this.depth; i++) {
      const frame = this.frames[i]
      open.push(frame.type === Type.Attribute ? -frame.remaining : frame.streamed ? Infinity : frame.remaining)
      frame.items = noItems
    }
    const isPush = this.depth > 0 && this.frames[0].type === Type.Push
    this.skipper = new Skipper(why, open, isPush, this.streamed !== undefined)
    this.depth = 0
    this.attributed = false
    this.hasErrors = false
    this.streamed = undefined
    this.unreadable = undefined
    this.limit = this.maxFrameBytes
    return this.skipper
  }

  private resumeSkip(skipper: Skipper): void {
    this.pos = skipper.push(this.bytes, this.pos, this.end)
    if (skipper.expected !== undefined) {
      this.skipper = undefined
      return this.fail(this.pos, skipper.expected)
    }
    if (!skipper.done) {
      return
    }
    this.skipper = undefined
    const value = new Unreadable(skipper.why)
    if (skipper.isPush) {
      this.handler.onPush([value])
    } else {
      this.asked = false
      this.handler.onReply(value, false)
    }
  }

  // ----- errors -----

  private fail(at: number, expected: string): void {
    const offset = this.base + at
    this.halted = true
    this.failure = new RespError({ offset, expected, message: `Resp: expected ${expected} at offset ${offset}` })
  }
}

const tooMany = (isMap: boolean, most: number): string =>
  `${isMap ? "a map" : "an array or set"} of more than ${most} ${isMap ? "entries" : "elements"}: ask for it in parts`

const makeMap = (items: Array<unknown>): unknown => {
  const object: Record<string, unknown> = Object.create(null)
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]
    if (typeof key !== "string") {
      return makeMapOf(items)
    }
    object[key] = items[i + 1]
  }
  return object
}

/**
 * The map that has more than text among its keys. It is an ES map if no property name stands for one of them, which is
 * an aggregate or bytes, or if one name stands for two.
 */
const makeMapOf = (items: Array<unknown>): unknown => {
  const map = new Map<unknown, unknown>()
  const object: Record<string, unknown> = Object.create(null)
  let named = true
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]
    map.set(key, items[i + 1])
    if (typeof key === "object" && key !== null) {
      named = false
    } else if (named) {
      object[String(key)] = items[i + 1]
    }
  }
  return named && Object.keys(object).length === map.size ? object : map
}

/**
 * Makes a decoder at the start of a stream.
 *
 * @category decoding
 * @since 0.1.0
 */
export const makeDecoder = (handler: Handler, limits?: Limits): Decoder => new DecoderImpl(handler, limits)

// ----- encoding -----

/** The size of one block of output: the high-water mark of a Node stream, where it asks its writer to wait. */
const blockBytes = 64 * 1024

/**
 * The first block, enough for a handshake; each is four times the one before until they have their size. When a hundred
 * connections move at once, blocks of 64 KiB make V8 collect. Measured in alternating runs with handshakes of 50 ms: the
 * longest gap between replies was 2.5 to 3.2 times that of a quiet phase, and is 1.6 to 1.9 times. Single runs of
 * `npm run bench -- handoff` differ by more than that.
 */
const firstBlockBytes = 1024

/**
 * From here on bytes and text travel as a chunk of their own. The socket encodes text into memory that it frees when it
 * is written, and no copy or block is left to the garbage collector. Measured over loopback, ten and a hundred at a
 * time, against a copy in a block: text of 1 KiB takes 0.8 to 1.3 times the processor time, of 2 KiB 0.4 to 0.9 times,
 * of 4 KiB 0.5, of 16 KiB 0.2; bytes of 1 to 4 KiB take 0.4 to 0.8 times.
 *
 * @internal
 */
export const byReferenceBytes = 2 * 1024

const argumentSlab = new Slab()

/** Copies an argument of so many bytes, fewer than those that are sent by reference. @internal */
export const copyArgument = (bytes: Uint8Array, length: number): Uint8Array => argumentSlab.copy(bytes, length)

/**
 * With more than this to write, text is encoded here. Node fails a write whose text might need more than 2 GiB, at
 * three bytes for each UTF-16 unit.
 */
const mostPendingText = 512 * 1024 * 1024

/** Up to here ASCII is copied by a loop. Measured: 2 ns a character, against 30 to 60 ns for a call of `utf8Write`. */
const shortWrite = 16

/** A type byte, a count, which is exact up to 16 digits, and two CRLF. */
const frameOverhead = 1 + 16 + 2 + 2

/** Output: views of blocks that are filled once and then replaced, never rewritten, and what is referred to. */
class Writer {
  private block: Uint8Array = emptyBytes
  /** Where the next byte goes, and the first byte that is not in `chunks` yet. */
  private at = 0
  private start = 0
  private chunks: Array<Uint8Array | string> = []
  private chunkBytes = 0
  /** What the fields above were at the mark. */
  private markedBlock: Uint8Array = emptyBytes
  private markedAt = 0
  private markedStart = 0
  private markedChunks = 0
  private markedBytes = 0

  get pendingBytes(): number {
    return this.chunkBytes + this.at - this.start
  }

  mark(): void {
    this.markedBlock = this.block
    this.markedAt = this.at
    this.markedStart = this.start
    this.markedChunks = this.chunks.length
    this.markedBytes = this.chunkBytes
  }

  /** Nothing before the mark was written to since: blocks are filled from front to back. */
  rollBack(): void {
    this.block = this.markedBlock
    this.at = this.markedAt
    this.start = this.markedStart
    this.chunks.length = this.markedChunks
    this.chunkBytes = this.markedBytes
  }

  take(): Array<Uint8Array | string> {
    this.cut()
    const chunks = this.chunks
    this.chunks = []
    this.chunkBytes = 0
    return chunks
  }

  /** A type byte, a count and CRLF. */
  header(type: number, count: number): void {
    this.reserve(frameOverhead)
    this.putHeader(type, count)
  }

  /** Text as a payload with its length in bytes. */
  text(type: number, text: string): void {
    const length = text.length
    if (length >= byReferenceBytes) {
      const size = this.pendingBytes + length <= mostPendingText ? utf8Length(text) : -1
      return size === -1 ? this.bytes(type, textEncoder.encode(text)) : this.reference(type, text, size)
    }
    // One UTF-16 unit becomes at most three bytes.
    this.reserve(length * 3 + frameOverhead)
    const start = this.at
    // Most text is ASCII, as long in bytes as it is in units, so the header is written before that is known.
    this.putHeader(type, length)
    const body = this.at
    const written = length <= shortWrite ? this.putShortText(text) : utf8Write(this.block, text, body)
    if (written !== length) {
      const moved = body + countDigits(written) - countDigits(length)
      if (moved !== body) {
        this.block.copyWithin(moved, body, body + written)
      }
      this.at = start
      this.putHeader(type, written)
    }
    this.at += written
    this.putLineEnd()
  }

  /** Bytes as a payload. */
  bytes(type: number, bytes: Uint8Array): void {
    if (bytes.length >= byReferenceBytes) {
      return this.reference(type, bytes, bytes.length)
    }
    this.reserve(bytes.length + frameOverhead)
    this.putHeader(type, bytes.length)
    this.block.set(bytes, this.at)
    this.at += bytes.length
    this.putLineEnd()
  }

  private reference(type: number, payload: Uint8Array | string, size: number): void {
    this.header(type, size)
    this.cut()
    this.chunks.push(payload)
    this.chunkBytes += size
    this.reserve(2)
    this.putLineEnd()
  }

  private putShortText(text: string): number {
    const block = this.block
    const at = this.at
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) {
        return utf8Write(block, text, at)
      }
      block[at + i] = unit
    }
    return text.length
  }

  private putHeader(type: number, count: number): void {
    const block = this.block
    block[this.at] = type
    let rest = count
    let at = this.at + countDigits(count)
    this.at = at + 1
    do {
      const digit = rest % 10
      block[at--] = Zero + digit
      rest = (rest - digit) / 10
    } while (rest > 0)
    this.putLineEnd()
  }

  private putLineEnd(): void {
    this.block[this.at++] = CR
    this.block[this.at++] = LF
  }

  private reserve(length: number): void {
    if (this.block.length - this.at < length) {
      this.cut()
      this.block = new Uint8Array(Math.max(Math.min(blockBytes, firstBlockBytes + 4 * this.block.length), length))
      this.at = 0
      this.start = 0
    }
  }

  private cut(): void {
    if (this.at > this.start) {
      this.chunks.push(viewOf(this.block, this.start, this.at))
      this.chunkBytes += this.at - this.start
      this.start = this.at
    }
  }
}

const countDigits = (value: number): number => {
  let digits = 1
  for (let limit = 10; value >= limit; limit *= 10) {
    digits++
  }
  return digits
}

/** A number as Redis reads it: as JavaScript prints it, which for -0 is 0, but for the values that are not finite. */
const formatNumber = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf"

/**
 * Encodes commands, one after the other, until they are taken.
 *
 * @category encoding
 * @since 0.1.0
 */
export class Encoder {
  private readonly writer = new Writer()

  /** Bytes written and not taken. */
  get pendingBytes(): number {
    return this.writer.pendingBytes
  }

  /** Remembers what is written so far, for `rollBack`; a `take` forgets it. */
  mark(): void {
    this.writer.mark()
  }

  /** Takes back what was written since the mark. */
  rollBack(): void {
    this.writer.rollBack()
  }

  /**
   * Encodes one command, its name first. Byte arguments of 2 KiB and more are not copied. Throws for bytes whose memory
   * is gone, and where there is no memory for the command; then a part of it is written.
   */
  write(args: ReadonlyArray<Arg>): void {
    const writer = this.writer
    writer.header(Type.Array, args.length)
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]
      if (typeof arg === "string") {
        writer.text(Type.Blob, arg)
      } else if (typeof arg === "number") {
        writer.text(Type.Blob, formatNumber(arg))
      } else if (typeof arg === "bigint") {
        writer.text(Type.Blob, String(arg))
      } else {
        writer.bytes(Type.Blob, arg)
      }
    }
  }

  /** What was written since the last call, in order. Nothing writes to the views again; text is sent as its UTF-8. */
  take(): Array<Uint8Array | string> {
    return this.writer.take()
  }
}
