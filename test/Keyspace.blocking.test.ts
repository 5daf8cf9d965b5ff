import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { inject } from "vitest"
import * as Resp from "../src/Resp.ts"
import { deploy, waitUntil } from "./support/deployment.ts"
import { startRedis } from "./support/redisServer.ts"

interface Client {
  readonly id: number
  /** Writes a command whose answer is taken with `next`. */
  readonly write: (...words: ReadonlyArray<Resp.Arg>) => Effect.Effect<void, Socket.SocketError>
  readonly next: Effect.Effect<unknown>
  readonly send: (...words: ReadonlyArray<Resp.Arg>) => Effect.Effect<unknown, Socket.SocketError>
  readonly close: Effect.Effect<void>
}

const errorText = (value: unknown): unknown => value instanceof Resp.ErrorReply ? value.message : value

/** A connection; once the server has closed it, every answer is `closed`. */
const connect = Effect.fnUntraced(function*(port: number) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const replies = yield* Queue.unbounded<unknown>()
  const socket = yield* NodeSocket.makeNet({ host: "127.0.0.1", port, noDelay: true })
  const pull = yield* Scope.provide(Socket.readerBytes(socket), scope)
  const writer = yield* Scope.provide(socket.writer, scope)
  const decoder = Resp.makeDecoder({
    blobsAsBytes: () => false,
    onReply: (value) => Queue.offerUnsafe(replies, errorText(value)),
    onPush: () => {}
  })
  yield* pull.pipe(
    Effect.map((chunks) => chunks.forEach((chunk) => decoder.push(chunk))),
    Effect.forever,
    Effect.catch(() => Effect.forever(Queue.offer(replies, "closed").pipe(Effect.andThen(Effect.sleep(1))))),
    Effect.forkIn(scope)
  )
  const write = (...words: ReadonlyArray<Resp.Arg>) => {
    const encoder = new Resp.Encoder()
    encoder.write(words)
    return Effect.forEach(encoder.take(), (bytes) => writer.write(bytes), { discard: true })
  }
  const send = (...words: ReadonlyArray<Resp.Arg>) => Effect.andThen(write(...words), Queue.take(replies))
  const client: Client = {
    id: Number(yield* send("CLIENT", "ID")),
    write,
    next: Queue.take(replies),
    send,
    close: Scope.close(scope, Exit.void)
  }
  return client
})

class Port extends Context.Service<Port, number>()("test/Keyspace.blocking/Port") {}

const simulated = Layer.effect(
  Port,
  Effect.map(deploy(["only"], { version: inject("simulatedVersion") }), (redis) => {
    const endpoint = redis.endpoint("only")
    return endpoint._tag === "Tcp" ? endpoint.port : 0
  })
)

const real = Layer.effect(Port, Effect.map(startRedis(), ({ port }) => port))

const three = Effect.gen(function*() {
  const port = yield* Port
  const clients = [yield* connect(port), yield* connect(port), yield* connect(port)] as const
  yield* clients[0].send("FLUSHALL")
  return clients
})

/** Begins to wait, and returns when the server has begun with it. */
const begin = Effect.fnUntraced(function*(client: Client, other: Client, ...words: ReadonlyArray<Resp.Arg>) {
  yield* client.write(...words)
  yield* waitUntil(
    Effect.map(Effect.orDie(other.send("CLIENT", "LIST", "ID", client.id)), (list) => /flags=b/.test(String(list)))
  )
})

for (const [name, server] of [["a simulated server", simulated], ["a real server", real]] as const) {
  layer(server, { excludeTestServices: true, concurrent: false })(`waiting at ${name}`, (it) => {
    it.effect("a client is told by another that its time is over", () =>
      Effect.gen(function*() {
        const [one, two] = yield* three
        yield* begin(two, one, "BLPOP", "l", 0)
        assert.strictEqual(yield* one.send("CLIENT", "UNBLOCK", two.id), 1)
        assert.isNull(yield* two.next)
        yield* begin(two, one, "BZPOPMIN", "z", 0)
        assert.strictEqual(yield* one.send("CLIENT", "UNBLOCK", two.id, "timeout"), 1)
        assert.isNull(yield* two.next)
        assert.strictEqual(yield* one.send("CLIENT", "UNBLOCK", two.id), 0)
        assert.strictEqual(yield* one.send("RPUSH", "l", "kept"), 1)
        assert.strictEqual(yield* one.send("LLEN", "l"), 1)
      }))

    it.effect("a client is told by another with an error", () =>
      Effect.gen(function*() {
        const [one, two] = yield* three
        yield* begin(two, one, "BLMOVE", "l", "m", "LEFT", "LEFT", 0)
        assert.strictEqual(yield* one.send("CLIENT", "UNBLOCK", two.id, "ERROR"), 1)
        assert.strictEqual(yield* two.next, "UNBLOCKED client unblocked via CLIENT UNBLOCK")
        assert.strictEqual(yield* two.send("PING"), "PONG")
      }))

    it.effect("a client that is killed takes nothing", () =>
      Effect.gen(function*() {
        const [one, two, three_] = yield* three
        yield* begin(two, one, "BLPOP", "l", 0)
        yield* two.write("SET", "after", 1)
        yield* begin(three_, one, "BLPOP", "l", 0)
        assert.strictEqual(yield* one.send("CLIENT", "KILL", "ID", two.id), 1)
        assert.strictEqual(yield* one.send("RPUSH", "l", "x", "y"), 2)
        assert.deepStrictEqual(yield* three_.next, ["l", "x"])
        assert.strictEqual(yield* two.next, "closed")
        assert.deepStrictEqual(yield* one.send("LRANGE", "l", 0, -1), ["y"])
        assert.strictEqual(yield* one.send("EXISTS", "after"), 0)
      }))

    it.effect("a client that hangs up takes nothing", () =>
      Effect.gen(function*() {
        const [one, two] = yield* three
        yield* begin(two, one, "BLPOP", "l", 0)
        yield* two.close
        yield* waitUntil(Effect.map(Effect.orDie(one.send("CLIENT", "LIST", "ID", two.id)), (list) => list === ""))
        assert.strictEqual(yield* one.send("RPUSH", "l", "x"), 1)
        assert.deepStrictEqual(yield* one.send("LRANGE", "l", 0, -1), ["x"])
      }))

    it.effect("a client is killed by the address that the list tells", () =>
      Effect.gen(function*() {
        const [one, two] = yield* three
        const address = / addr=(\S+) /.exec(String(yield* two.send("CLIENT", "INFO")))![1]!
        assert.strictEqual(yield* one.send("CLIENT", "KILL", address), "OK")
        assert.strictEqual(yield* two.next, "closed")
        assert.strictEqual(yield* one.send("CLIENT", "KILL", address), "ERR No such client")
      }))

    it.effect("a client kills itself when it is told to, and is answered", () =>
      Effect.gen(function*() {
        const [one] = yield* three
        assert.strictEqual(yield* one.send("CLIENT", "KILL", "ID", one.id), 0)
        assert.strictEqual(yield* one.send("CLIENT", "KILL", "ID", one.id, "SKIPME", "no"), 1)
        assert.strictEqual(yield* one.next, "closed")
      }))

    it.effect("subscribers are killed by their type", () =>
      Effect.gen(function*() {
        const [one, two, three_] = yield* three
        yield* two.send("SUBSCRIBE", "news")
        yield* three_.send("PSUBSCRIBE", "n*")
        assert.strictEqual(yield* one.send("CLIENT", "KILL", "TYPE", "pubsub"), 2)
        assert.strictEqual(yield* two.next, "closed")
        assert.strictEqual(yield* one.send("PUBLISH", "news", "x"), 0)
      }))
  })
}
