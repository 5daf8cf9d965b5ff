/**
 * The codec alone: decoders over the same bytes, encoders over the same commands, without sockets or promises.
 *
 * Each contestant has a process of its own, `children/codec.ts`, and they take turns as in `parts/parts/throughput.ts`.
 * Before anything is timed, each has verified every cell: what comes out is compared with what the cell says, and the code
 * has been compiled for every kind of reply, as in a program that sends more than one command.
 *
 * Decoding: a stream of about 1 MiB comes again and again in chunks of 64 KiB, each in memory of its own, as Node's
 * sockets give them; a reply is read when the handler has it, text as a flat string. Encoding: from the arguments in
 * memory to the bytes that a socket hands to the system. Clients that hand text to the socket leave half of the work to
 * it, so `toSocket` does for everyone what Node's stream does with text.
 */
import { Decoder as NodeRedisDecoder, RESP_TYPES } from "@redis/client/dist/lib/RESP/decoder.js"
import encoderModule from "@redis/client/dist/lib/RESP/encoder.js"
import { Command } from "ioredis"
import { Decoder as IORedisDecoder } from "ioredis/built/resp/decoder.js"
import { convertBufferToString } from "ioredis/built/utils/index.js"
import { createRequire } from "node:module"
import { setImmediate } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import * as Resp from "../../src/Resp.ts"

// ----- cells -----

type Argument = string | Buffer

/** A reply as it is on the wire and as it reads. */
interface Reply {
  readonly wire: string
  readonly value: unknown
}

export type Cell =
  & { readonly name: string }
  & (
    | {
      readonly work: "decode"
      /** What the stream repeats. */
      readonly replies: ReadonlyArray<Reply>
      readonly blobs: "strings" | "bytes"
      readonly protocol: 2 | 3
    }
    | {
      readonly work: "encode"
      /** What is written at once. */
      readonly commands: ReadonlyArray<ReadonlyArray<Argument>>
    }
  )

const kib = 1024
const mib = 1024 * kib

/** ASCII, so that its length is its size. */
const valueOf = (size: number): string => "0123456789abcdef".repeat(Math.ceil(size / 16)).slice(0, size)

const ok: Reply = { wire: "+OK\r\n", value: "OK" }
const integer = (value: number): Reply => ({ wire: `:${value}\r\n`, value })
const null2: Reply = { wire: "$-1\r\n", value: null }
const null3: Reply = { wire: "_\r\n", value: null }
const blob = (text: string): Reply => ({ wire: `$${text.length}\r\n${text}\r\n`, value: text })
const array = (items: ReadonlyArray<Reply>): Reply => ({
  wire: `*${items.length}\r\n${items.map(({ wire }) => wire).join("")}`,
  value: items.map(({ value }) => value)
})
const map = (entries: ReadonlyArray<readonly [key: string, value: string]>): Reply => ({
  wire: `%${entries.length}\r\n${entries.flat().map((text) => blob(text).wire).join("")}`,
  value: Object.fromEntries(entries)
})

const keys = Array.from({ length: 100 }, (_, index) => `batch:${index}`)
const values = keys.map((_, index) => String(index).padStart(16, "0"))
const hash = values.slice(0, 20).map((value, index) => [`field:${index}`, value] as const)

const decode = (
  name: string,
  replies: ReadonlyArray<Reply>,
  { blobs = "strings", protocol = 2 }: { readonly blobs?: "strings" | "bytes"; readonly protocol?: 2 | 3 } = {}
): Cell => ({ name: `decode ${name}`, work: "decode", replies, blobs, protocol })

const encode = (name: string, ...commands: ReadonlyArray<ReadonlyArray<Argument>>): Cell => ({
  name: `encode ${name}`,
  work: "encode",
  commands
})

const sizes = [16, kib, 64 * kib, mib]

const sizeName = (size: number): string =>
  size >= mib ? `${size / mib} MiB` : size >= kib ? `${size / kib} KiB` : `${size} B`

export const cells: ReadonlyArray<Cell> = [
  decode("OK", [ok]),
  decode("integer", [integer(7), integer(1234567), integer(-42)]),
  decode("null", [null2]),
  decode("null, RESP3", [null3], { protocol: 3 }),
  // 16 bytes are as much as hitless reads with loops of its own: 100 go through Node for everyone.
  ...[100, ...sizes].sort((a, b) => a - b).map((size) => decode(sizeName(size), [blob(valueOf(size))])),
  ...sizes.map((size) => decode(`${sizeName(size)}, bytes`, [blob(valueOf(size))], { blobs: "bytes" })),
  decode("map of 20 fields, RESP3", [map(hash)], { protocol: 3 }),
  decode("the same as array, RESP2", [array(hash.flat().map(blob))]),
  decode("array of 100", [array(values.map(blob))]),
  // What a cache with counters and lists might reply; no errors, which cost node-redis and ioredis a stack trace each.
  decode("mixed", [
    blob(valueOf(16)),
    ok,
    blob(valueOf(100)),
    integer(1),
    blob(valueOf(16)),
    ok,
    null2,
    blob(valueOf(kib)),
    integer(1234567),
    array(values.slice(0, 10).map(blob))
  ]),
  encode("GET", ["GET", "read:16"]),
  ...sizes.map((size) => encode(`SET ${sizeName(size)}`, ["SET", `write:${size}`, valueOf(size)])),
  encode("SET 64 KiB, bytes", ["SET", "write:65536", Buffer.from(valueOf(64 * kib))]),
  encode("MGET of 100", ["MGET", ...keys]),
  encode("batch of 100", ...keys.map((key, index) => index % 5 === 0 ? ["SET", key, values[index]!] : ["GET", key]))
]

/** The bytes of a stream: about 1 MiB, and at least 4 replies. */
const streamOf = (replies: ReadonlyArray<Reply>): Buffer => {
  const once = replies.map(({ wire }) => wire).join("")
  return Buffer.from(once.repeat(Math.max(4, Math.ceil(mib / once.length))))
}

/** As large as the chunks of Node's sockets at most are, and like those each alone in its memory. */
const chunksOf = (bytes: Buffer): ReadonlyArray<Buffer> =>
  Array.from({ length: Math.ceil(bytes.length / (64 * kib)) }, (_, index) => {
    const part = bytes.subarray(index * 64 * kib, (index + 1) * 64 * kib)
    const chunk = Buffer.allocUnsafeSlow(part.length)
    part.copy(chunk)
    return chunk
  })

export const wireOf = (commands: ReadonlyArray<ReadonlyArray<Argument>>): string =>
  commands.map((args) => array(args.map((arg) => blob(String(arg)))).wire).join("")

// ----- contestants -----

export interface Codec {
  readonly name: string
  /** The package whose version is reported. */
  readonly package?: string | undefined
  readonly protocols: ReadonlyArray<2 | 3>
  /** What takes the chunks of a new connection. */
  readonly decoder: (blobs: "strings" | "bytes", onReply: (reply: unknown) => void) => (chunk: Buffer) => void
  /** What encodes the commands once, and gives what the client hands to its socket. */
  readonly encoder?:
    | ((commands: ReadonlyArray<ReadonlyArray<Argument>>) => () => ReadonlyArray<string | Uint8Array>)
    | undefined
}

const hitless: Codec = {
  name: "hitless",
  protocols: [2, 3],
  decoder: (blobs, onReply) => {
    const asBytes = blobs === "bytes"
    const decoder = Resp.makeDecoder({ blobsAsBytes: () => asBytes, onReply, onPush: () => {} })
    return (chunk) => {
      const error = decoder.push(chunk)
      if (error !== undefined) throw error
    }
  },
  encoder: (commands) => {
    const encoder = new Resp.Encoder()
    return () => {
      for (const command of commands) encoder.write(command)
      return encoder.take()
    }
  }
}

const rethrow = (error: unknown): never => {
  throw error
}

// A CommonJS module, so its default export is a field of the default import.
const encodeCommand = encoderModule.default

const nodeRedis: Codec = {
  name: "node-redis",
  package: "redis",
  protocols: [2, 3],
  decoder: (blobs, onReply) => {
    const typeMapping = blobs === "bytes" ? { [RESP_TYPES.BLOB_STRING]: Buffer } : {}
    const getTypeMapping = () => typeMapping
    const decoder = new NodeRedisDecoder({ getTypeMapping, onReply, onErrorReply: rethrow, onPush: () => {} })
    return (chunk) => decoder.write(chunk)
  },
  // Its socket writes the parts of one command after those of the other, corked.
  encoder: (commands) => () => commands.length === 1 ? encodeCommand(commands[0]!) : commands.flatMap(encodeCommand)
}

/** What ioredis does itself since version 6: everything is read as bytes, and then made text. */
const ioredis: Codec = {
  name: "ioredis",
  package: "ioredis",
  protocols: [2, 3],
  decoder: (blobs, onReply) => {
    // Its `replyMapping: "resp3"`, where maps are objects; by default they are arrays which each command then maps.
    const { BLOB_STRING, SIMPLE_STRING } = RESP_TYPES
    const typeMapping = { [SIMPLE_STRING]: Buffer, [BLOB_STRING]: Buffer }
    const decoder = new IORedisDecoder({
      getTypeMapping: () => typeMapping,
      onReply: blobs === "bytes" ? onReply : (reply) => onReply(convertBufferToString(reply, "utf8")),
      onErrorReply: rethrow,
      onPush: () => {}
    })
    return (chunk) => decoder.write(chunk)
  },
  encoder: (commands) => {
    // Made before the turn: a command makes its promise as well.
    const made = commands.map(([name, ...args]) => new Command(String(name), args))
    const socket = {}
    if (made.length === 1) return () => [made[0]!.toWritable(socket)]
    // As its pipelines do.
    return () => {
      let text = ""
      for (const command of made) text += String(command.toWritable(socket))
      return [text]
    }
  }
}

interface RedisParserOptions {
  readonly returnReply: (reply: unknown) => void
  readonly returnError: (error: Error) => void
  readonly returnBuffers: boolean
}

/** A package without types, which older versions of ioredis and node-redis used. */
const RedisParser = createRequire(import.meta.url)("redis-parser") as new(
  options: RedisParserOptions
) => { readonly execute: (chunk: Buffer) => void }

const redisParser: Codec = {
  name: "redis-parser",
  package: "redis-parser",
  protocols: [2],
  decoder: (blobs, onReply) => {
    const parser = new RedisParser({ returnReply: onReply, returnError: rethrow, returnBuffers: blobs === "bytes" })
    return (chunk) => parser.execute(chunk)
  }
}

/** In the order of their turns; the first is the one that all others are compared with. */
export const codecs: ReadonlyArray<Codec> = [hitless, nodeRedis, ioredis, redisParser]

export const takesPart = (codec: Codec, cell: Cell): boolean =>
  cell.work === "decode" ? codec.protocols.includes(cell.protocol) : codec.encoder !== undefined

// ----- the socket's share -----

/** Text that needs no more room than this Node's streams encode on the stack. */
const scratch = Buffer.allocUnsafeSlow(16 * kib)

/**
 * Does what Node's stream does with what is written to it at once, short of the system call: text becomes UTF-8 in one
 * block, with room for three bytes a unit, or for as many as were counted if the text is long; bytes stay where they
 * are. Returns how many bytes the system would get. Each call of `write` costs about 27 ns to enter native code, which
 * a socket has entered already: by so much a piece of text, figures of short commands flatter hitless.
 */
const toSocket = (parts: ReadonlyArray<string | Uint8Array>): number => {
  let room = 0
  for (const part of parts) {
    if (typeof part === "string") room += part.length > 65_535 ? Buffer.byteLength(part) : part.length * 3
  }
  const block = room <= scratch.length ? scratch : Buffer.allocUnsafeSlow(room)
  let written = 0
  let byReference = 0
  for (const part of parts) {
    if (typeof part === "string") written += block.write(part, written)
    else byReference += part.length
  }
  return written + byReference
}

// ----- work -----

/** What a turn repeats. */
export interface Work {
  readonly pass: () => void
  /** Replies or commands in a pass. */
  readonly units: number
}

/**
 * Text of this length and more may be a rope of the chunks it came in, which whoever reads it pays for. Measured: for
 * 1 MiB from 16 chunks that is 650 of 750 µs.
 */
const ropeLength = 1024

export const workOf = (codec: Codec, cell: Cell): Work => {
  if (cell.work === "encode") {
    const encode = codec.encoder!(cell.commands)
    const size = wireOf(cell.commands).length
    // 64 KiB are long enough to look at the clock once, which takes as long as to encode a short command.
    const calls = Math.ceil(64 * kib / size)
    return {
      pass: () => {
        let bytes = 0
        for (let call = 0; call < calls; call++) bytes += toSocket(encode())
        if (bytes !== calls * size) throw new Error(`${bytes} bytes instead of ${calls * size}`)
      },
      units: calls * cell.commands.length
    }
  }
  const stream = streamOf(cell.replies)
  const chunks = chunksOf(stream)
  const units = stream.length / cell.replies.map(({ wire }) => wire).join("").length * cell.replies.length
  let replies = 0
  let read = 0
  const decode = codec.decoder(cell.blobs, (reply) => {
    replies++
    // Reading one unit makes a rope flat, if something is done with the unit: otherwise V8 leaves the reading out.
    if (typeof reply === "string" && reply.length >= ropeLength) read += reply.charCodeAt(reply.length - 1)
  })
  return {
    pass: () => {
      replies = 0
      read = 0
      for (const chunk of chunks) decode(chunk)
      if (replies !== units || !Number.isFinite(read)) throw new Error(`${replies} replies instead of ${units}`)
    },
    units
  }
}

/** Views of memory as text, and objects with the usual prototype. */
const plain = (reply: unknown): unknown =>
  reply instanceof Uint8Array
    ? Buffer.from(reply.buffer, reply.byteOffset, reply.length).toString("latin1")
    : typeof reply === "object" && reply !== null && !Array.isArray(reply)
    ? { ...reply }
    : reply

/** Fails unless what the codec makes of a cell is what the cell says. */
export const verify = (codec: Codec, cell: Cell): void => {
  if (cell.work === "encode") {
    const bytes = Buffer.concat(codec.encoder!(cell.commands)().map((part) => Buffer.from(part)))
    if (bytes.toString("latin1") !== wireOf(cell.commands)) {
      throw new Error(`${codec.name} encodes ${cell.name} as ${JSON.stringify(bytes.toString("latin1").slice(0, 200))}`)
    }
    return
  }
  let replies = 0
  const decode = codec.decoder(cell.blobs, (reply) => {
    const { value } = cell.replies[replies++ % cell.replies.length]!
    const isBytes = reply instanceof Uint8Array
    if (!isDeepStrictEqual(plain(reply), value) || isBytes !== (cell.blobs === "bytes")) {
      throw new Error(`${codec.name} reads ${cell.name} as ${JSON.stringify(reply)?.slice(0, 200)}`)
    }
  })
  for (const chunk of chunksOf(streamOf(cell.replies))) decode(chunk)
}

// ----- measuring -----

/** What one turn gave. */
export interface Sample {
  /** Replies or commands. */
  readonly perSecond: number
  /** Microseconds of the whole process per reply or command, the threads of the garbage collector included. */
  readonly cpu: number
}

/**
 * Milliseconds until timers and finalizers have their turn, as between the reads of a socket: redis-parser gives memory
 * back in one of its own, and would take ever more in a loop without end.
 */
const slice = 5

export const measure = async ({ pass, units }: Work, seconds: number): Promise<Sample> => {
  // Nobody pays for the garbage of the turn before. The flag is given by `kit/child.ts`.
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  let now = startedAt
  let passes = 0
  while (now < startedAt + seconds * 1000) {
    const sliceEndsAt = now + slice
    do {
      pass()
      passes++
      now = performance.now()
    } while (now < sliceEndsAt)
    await setImmediate()
  }
  const { system, user } = process.cpuUsage(cpu)
  return { perSecond: passes * units / (now - startedAt) * 1000, cpu: (user + system) / (passes * units) }
}

export type Question =
  | { readonly _tag: "Verify" }
  | { readonly _tag: "Measure"; readonly cell: string; readonly seconds: number; readonly warmUp: number }
