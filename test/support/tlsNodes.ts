/**
 * Nodes with TLS that the test answers for, real servers with TLS, and clients that are told to move between them.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { type Config, type Handoff, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import type * as Tls from "node:tls"
import { host, start } from "./client.ts"
import { waitUntil } from "./deployment.ts"
import { answerHandshake, type RawConnection, type RawServer, rawServer } from "./rawServer.ts"
import { freePort, startRedis } from "./redisServer.ts"
import type { Certificate } from "./tls.ts"

/** A node that answers every command with its name, unless told otherwise, and notes the names of SNI. */
export const nodeOf = Effect.fnUntraced(function*(
  name: string,
  tls: Tls.TlsOptions,
  answer: (words: ReadonlyArray<string>, connection: RawConnection) => string | undefined = () => `+${name}\r\n`
) {
  const asked: Array<string> = []
  const node = yield* rawServer((words, connection) => answerHandshake(words) ?? answer(words, connection), {
    SNICallback: (name, done) => {
      asked.push(name)
      done(null)
    },
    ...tls
  })
  return { ...node, asked }
})

/** A real server with a TLS port, which is the one that is given; of two equal `args` the later counts. */
export const startTls = Effect.fnUntraced(function*(
  { certFile, keyFile }: Certificate,
  ca: Certificate,
  ...args: ReadonlyArray<string>
) {
  const port = yield* freePort
  // dprint-ignore
  const real = yield* startRedis({
    args: [
      "--tls-port", String(port), "--tls-cert-file", certFile, "--tls-key-file", keyFile,
      "--tls-ca-cert-file", ca.certFile, "--tls-auth-clients", "no", ...args
    ]
  })
  return { ...real, port }
})

/** A client of one connection, and what becomes of the moves that it is told. */
export const loudClientOf = Effect.fnUntraced(function*(port: number, options: Config.Options) {
  const redis = yield* Effect.provide(HitlessRedis.make({ host, port, poolSize: 1, ...options }), NodeTransport.layer)
  const handoffs: Array<Handoff.HandoffEvent> = []
  yield* start(Stream.runForEach(redis.handoffs, (event) => Effect.sync(() => handoffs.push(event))))
  const ends = () => handoffs.filter((event) => event._tag === "Completed" || event._tag === "Failed")
  let seq = 0
  /** Tells every connection of a node to be on the target within a second. */
  const announce = (at: RawServer, target: string | null) => {
    const text = target === null ? "_" : `+${target}`
    seq++
    for (const { socket } of at.connections) {
      if (!socket.destroyed) socket.write(`>4\r\n+MOVING\r\n:${seq}\r\n:1\r\n${text}\r\n`)
    }
  }
  /** What the first handoff from here on comes to: `Completed`, or why not. */
  const nextEnd = Effect.fnUntraced(function*(begin: () => void) {
    const count = ends().length
    begin()
    yield* waitUntil(Effect.sync(() => ends().length > count))
    const end = ends()[count]!
    if (end._tag === "Completed") return end._tag
    const { error } = end
    if (error._tag !== "HitlessError" || error.reason._tag !== "ConnectFailed") return error.message
    return `${error.reason.kind}: ${error.reason.detail}`
  })
  const follow = (at: RawServer, target: string | null) => nextEnd(() => announce(at, target))
  return { redis, handoffs, announce, nextEnd, follow, where: redis.send<string>("WHERE") }
})

/** The same without a log: that a handoff fails is what many of these tests are about. */
export const clientOf = (port: number, options: Config.Options) =>
  Effect.provideService(
    loudClientOf(port, { ...options, maintenance: { maxHandoffRetries: 0, ...options.maintenance } }),
    References.MinimumLogLevel,
    "None"
  )
