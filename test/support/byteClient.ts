/**
 * A client of the simulated deployment that sees bytes.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as SimulatedRedis from "../../src/testing/SimulatedRedis.ts"

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1")

export const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

export const command = (words: ReadonlyArray<string>): string => `*${words.length}\r\n${words.map(bulk).join("")}`

export interface Client {
  /** Writes commands, each of words parted by one space, as one chunk. */
  readonly send: (...commands: ReadonlyArray<string | ReadonlyArray<string>>) => Effect.Effect<void, Socket.SocketError>
  readonly sendRaw: (text: string) => Effect.Effect<void, Socket.SocketError>
  /** Takes as many bytes as `text` has and compares them. */
  readonly expect: (text: string) => Effect.Effect<void, Socket.SocketError>
  readonly take: (length: number) => Effect.Effect<string, Socket.SocketError>
  /** Everything not yet taken when the server closes. */
  readonly rest: Effect.Effect<string>
}

export const connectTo = Effect.fnUntraced(function*(options: Parameters<typeof NodeSocket.makeNet>[0]) {
  const socket = yield* NodeSocket.makeNet(options)
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  let received = ""
  const more = Effect.map(pull, (chunks) => {
    received += Buffer.concat(chunks).toString("latin1")
  })
  const take = (length: number) =>
    Effect.gen(function*() {
      while (received.length < length) yield* more
      const text = received.slice(0, length)
      received = received.slice(length)
      return text
    })
  const client: Client = {
    send: (...commands) =>
      writer.write(bytes(commands.map((one) => command(typeof one === "string" ? one.split(" ") : one)).join(""))),
    sendRaw: (text) => writer.write(bytes(text)),
    take,
    expect: (text) => Effect.map(take(text.length), (taken) => assert.strictEqual(taken, text)),
    rest: Effect.ignore(Effect.forever(more)).pipe(Effect.map(() => received))
  }
  return client
})

export const connect = (redis: SimulatedRedis.SimulatedRedis, node: string) => {
  const endpoint = redis.endpoint(node)
  assert(endpoint._tag === "Tcp")
  return connectTo({ host: endpoint.host, port: endpoint.port })
}

/** A connection on RESP3 that opted in. */
export const optIn = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, node: string, endpointType?: string) {
    const client = yield* connect(redis, node)
    yield* client.send("HELLO 3")
    yield* client.take(hello(3, 1).length)
    yield* client.send(
      endpointType === undefined
        ? "CLIENT MAINT_NOTIFICATIONS ON"
        : `CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type ${endpointType}`
    )
    yield* client.expect("+OK\r\n")
    return client
  }
)

export const hello = (protocol: 2 | 3, id: number): string =>
  (protocol === 3 ? "%7\r\n" : "*14\r\n") +
  `$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n8.0.2\r\n$5\r\nproto\r\n:${protocol}\r\n$2\r\nid\r\n:${id}\r\n` +
  "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"

export const make = (options: Partial<SimulatedRedis.Options> = {}) =>
  SimulatedRedis.make({
    listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true }),
    nodes: ["a", "b"],
    ...options
  })

/** Waits, in real time, until a client on `node` sees that `key` exists. */
export const untilExists = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, node: string, key: string) {
    const client = yield* connect(redis, node)
    while (true) {
      yield* client.send(`EXISTS ${key}`)
      if ((yield* client.take(4)) === ":1\r\n") return
    }
  },
  Effect.scoped
)

export const untilConnections = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, node: string, connections: number) {
    while ((yield* redis.connections(node)) !== connections) yield* TestClock.withLive(Effect.sleep(1))
  }
)

export const events = Effect.fnUntraced(
  function*(redis: SimulatedRedis.SimulatedRedis, ...tags: ReadonlyArray<string>) {
    return (yield* redis.log).filter(({ event }) => tags.includes(event._tag)).map(({ event, node }) => ({
      node,
      ...event
    }))
  }
)
