/**
 * The shared suite of the keyspace: the same commands to a simulated server and to a real one, and the same replies.
 * The simulated one is of the real one's version; where Valkey answers otherwise `valkey.ts` of the cases says why.
 *
 * A case runs after `FLUSHALL`, on connections of its own, once in RESP2 and once in RESP3. Replies are compared as
 * they are spelled on the wire: the type and the content of every value, doubles by what they mean.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { inject } from "vitest"
import * as Resp from "../../src/Resp.ts"
import { valkeyDiffers } from "../keyspace/valkey.ts"
import { deploy } from "./deployment.ts"
import { startRedis } from "./redisServer.ts"
import { scripts } from "./scripts.ts"

export type Word = string | number | Uint8Array

export type Line = ReadonlyArray<Word> | {
  /** A command; one without words sends nothing, to see what arrives by itself. */
  readonly command: ReadonlyArray<Word>
  /** The connection it is written to; every name opens another one. */
  readonly client?: string
  /** How many answers are awaited, pushes included; 1 unless given. What is not awaited is compared at the end. */
  readonly replies?: number
  /** Elements may come in any order. */
  readonly unordered?: boolean
  /** What may differ, in replies spelled as `reading` does: it is left out of the comparison. */
  readonly varying?: RegExp
  /** Both replies, spelled as `reading` does, must match this instead of being equal. */
  readonly like?: RegExp
}

export interface Case {
  readonly name: string
  readonly commands: ReadonlyArray<Line>
}

// ----- replies -----

/** A value and its type as they are on the wire. */
type Reply =
  | { readonly type: string; readonly text: string }
  | { readonly type: string; readonly items: ReadonlyArray<Reply> }

/** Decodes the reply at `start`, or nothing while it is not whole. */
const decode = (bytes: Buffer, start: number): readonly [reply: Reply, end: number] | undefined => {
  const lineEnd = bytes.indexOf("\r\n", start, "latin1")
  if (lineEnd < 0) return undefined
  const type = String.fromCharCode(bytes[start])
  const line = bytes.toString("latin1", start + 1, lineEnd)
  const body = lineEnd + 2
  if (line === "-1" && (type === "$" || type === "*")) return [{ type: `null ${type}`, text: "" }, body]
  if (type === "$" || type === "=") {
    const end = body + Number(line)
    if (bytes.length < end + 2) return undefined
    return [{ type, text: bytes.toString("latin1", body, end) }, end + 2]
  }
  if (!"*~>%".includes(type)) return [{ type, text: line }, body]
  const items: Array<Reply> = []
  let at = body
  for (let left = Number(line) * (type === "%" ? 2 : 1); left > 0; left--) {
    const item = decode(bytes, at)
    if (item === undefined) return undefined
    items.push(item[0])
    at = item[1]
  }
  return [{ type, items }, at]
}

/** Spells a reply on one line, the same for equal ones: `*["a", :1, ,1.5]`, `%["field" => "value"]`, `-ERR no`. */
export const reading = (reply: Reply, unordered = false): string => {
  if ("items" in reply) {
    const all = reply.items.map((item) => reading(item, unordered))
    const parts = reply.type === "%"
      ? Array.from({ length: all.length / 2 }, (_, i) => `${all[2 * i]} => ${all[2 * i + 1]}`)
      : all
    return `${reply.type}[${(unordered ? parts.toSorted() : parts).join(", ")}]`
  }
  if (reply.type === "$") return JSON.stringify(reply.text)
  // Servers may choose the digits of a double, but not its value.
  if (reply.type === "," && reply.text.trim() !== "" && !Number.isNaN(Number(reply.text))) {
    return `,${Number(reply.text)}`
  }
  return reply.type + reply.text
}

// ----- connections -----

const closed: Reply = { type: "closed", text: "" }
const silence: Reply = { type: "silence", text: "" }

interface Client {
  readonly write: (words: ReadonlyArray<Word>) => Effect.Effect<void, Socket.SocketError>
  /** The next reply, or `closed` or `silence` in its place. */
  readonly reply: Effect.Effect<Reply>
}

const connect = Effect.fnUntraced(
  function*(port: number, protocol: 2 | 3): Effect.fn.Return<Client, Socket.SocketError, Scope.Scope> {
    const socket = yield* NodeSocket.makeNet({ host: "127.0.0.1", port, noDelay: true })
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    let received: Buffer = Buffer.alloc(0)
    const next: Effect.Effect<Reply, Socket.SocketError> = Effect.suspend(() => {
      const decoded = decode(received, 0)
      if (decoded === undefined) {
        return Effect.flatMap(pull, (chunks) => {
          received = Buffer.concat([received, ...chunks])
          return next
        })
      }
      received = received.subarray(decoded[1])
      return Effect.succeed(decoded[0])
    })
    const client: Client = {
      write: (words) => {
        const encoder = new Resp.Encoder()
        encoder.write(words)
        const write = Effect.forEach(encoder.take(), (bytes) => writer.write(bytes), { discard: true })
        // To an open socket it writes at once; one that its peer has closed keeps its writer waiting for a connection
        // that will not come, and the next reply says `closed`.
        return Effect.raceFirst(write, Effect.sleep("100 millis"))
      },
      // The blocking commands of the cases wait for a second at most.
      reply: next.pipe(
        Effect.timeoutOrElse({ duration: "3 seconds", orElse: () => Effect.succeed(silence) }),
        Effect.orElseSucceed(() => closed)
      )
    }
    yield* client.write(["HELLO", protocol])
    yield* client.reply
    return client
  }
)

// ----- both servers -----

class Servers extends Context.Service<Servers, { readonly simulated: number; readonly real: number }>()(
  "test/keyspaceSuite/Servers"
) {
  static readonly layer = Layer.effect(
    Servers,
    Effect.gen(function*() {
      const options = { scripts: Object.values(scripts), version: inject("simulatedVersion") }
      const endpoint = (yield* deploy(["only"], options)).endpoint("only")
      assert(endpoint._tag === "Tcp")
      return { simulated: endpoint.port, real: (yield* startRedis()).port }
    })
  )
}

interface Pair {
  readonly simulated: Client
  readonly real: Client
  /** Commands that are known to be answered otherwise; each must have been at the end of the case. */
  readonly expected: ReadonlySet<string>
  readonly differed: Set<string>
}

/** Awaits one reply of both servers, compares them, and gives the real one. */
const compare = Effect.fnUntraced(function*(pair: Pair, line: Exclude<Line, ReadonlyArray<Word>>) {
  const spell = (reply: Reply) => {
    const text = reading(reply, line.unordered)
    return line.varying === undefined ? text : text.replace(line.varying, "…")
  }
  const simulated = spell(yield* pair.simulated.reply)
  const real = spell(yield* pair.real.reply)
  // A case that awaits what no server sends is wrong itself.
  const command = line.command.map(String).join(" ")
  if (real === silence.type) return assert.fail(`${command}\nreal: ${real}`)
  const agree = line.like === undefined ? simulated === real : line.like.test(simulated) && line.like.test(real)
  if (agree) return real
  if (pair.expected.has(command)) {
    pair.differed.add(command)
    return real
  }
  const expected = line.like === undefined ? "" : `\nboth must match ${String(line.like)}`
  return assert.fail(`${command}\nsimulated: ${simulated}\nreal:      ${real}${expected}`)
})

const run = Effect.fnUntraced(function*(protocol: 2 | 3, title: string, { commands, name }: Case) {
  const servers = yield* Servers
  const known = inject("realServer") === "valkey" ? valkeyDiffers[`${title} > ${name}`] ?? {} : {}
  const expected = new Set(Object.keys(known))
  const differed = new Set<string>()
  const connectBoth = Effect.all({
    simulated: connect(servers.simulated, protocol),
    real: connect(servers.real, protocol),
    expected: Effect.succeed(expected),
    differed: Effect.succeed(differed)
  })
  const pairs = new Map<string, Pair>()
  const first = yield* connectBoth
  pairs.set("", first)
  yield* first.simulated.write(["FLUSHALL"])
  yield* first.real.write(["FLUSHALL"])
  yield* compare(first, { command: ["FLUSHALL"] })
  for (const given of commands) {
    const line = "command" in given ? given : { command: given }
    const pair = pairs.get(line.client ?? "") ?? (yield* connectBoth)
    pairs.set(line.client ?? "", pair)
    if (line.command.length > 0) {
      yield* pair.simulated.write(line.command)
      yield* pair.real.write(line.command)
    }
    for (let replies = line.replies ?? 1; replies > 0; replies--) yield* compare(pair, line)
  }
  // What is left over is compared too: a server that is told to quit sends it before it hangs up.
  for (const pair of pairs.values()) {
    yield* pair.simulated.write(["QUIT"])
    yield* pair.real.write(["QUIT"])
    while ((yield* compare(pair, { command: ["QUIT"] })) !== closed.type) continue
  }
  assert.deepStrictEqual(differed, expected, "what is known to differ, and does not")
})

/** Describes `title` and registers two tests for each case. */
export const keyspaceSuite = (title: string, cases: ReadonlyArray<Case>): void =>
  layer(Servers.layer, { excludeTestServices: true, concurrent: false })(title, (it) => {
    for (const one of cases) {
      for (const protocol of [2, 3] as const) {
        it.effect(`${one.name} (RESP${protocol})`, () => run(protocol, title, one))
      }
    }
  })
