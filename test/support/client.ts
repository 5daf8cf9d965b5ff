/**
 * Clients of a real redis-server, and what tests do to the server and ask it.
 */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { type Config, type HitlessError, HitlessRedis } from "hitless"
import { NodeHitlessRedis } from "hitless/node"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { busyAt } from "../../src/Pool.ts"
import { type RedisServer, startRedis } from "./redisServer.ts"

export type Client = HitlessRedis.HitlessRedis["Service"]

/** Both services of a client that lives as long as the surrounding scope, without the warnings that tests provoke. */
export const open = (options: Config.Options) =>
  Effect.provideService(
    Layer.build(NodeHitlessRedis.layer(options)),
    References.MinimumLogLevel,
    "Error"
  )

export const connectTo = (options: Config.Options) => Effect.map(open(options), Context.get(HitlessRedis.HitlessRedis))

export const host = "127.0.0.1"

export const connect = (server: RedisServer, options: Config.Options = {}) =>
  connectTo({ host, port: server.port, ...options })

/** Why a client cannot be made. */
export const refusal = (options: Config.Options) =>
  Effect.flip(connectTo(options)).pipe(
    Effect.map((error) => error._tag === "HitlessError" ? error : assert.fail(error.message))
  )

/** Narrows a reason by its tag. */
export const reasonOf = <Tag extends HitlessError.HitlessErrorReason["_tag"]>(
  error: HitlessError.HitlessError,
  tag: Tag
): Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }> => {
  assert.strictEqual(error.reason._tag, tag, error.message)
  return error.reason as Extract<HitlessError.HitlessErrorReason, { readonly _tag: Tag }>
}

export const within = (timeout: Duration.Input) => Effect.provideService(HitlessRedis.CurrentCommandTimeout, timeout)

/** Runs in the background at once; a command is handed to the socket before the next turn of the event loop. */
export const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

/** Until then what was sent so far has been written. */
export const flushed = Effect.promise(() => Promise.resolve())

/** Stops the server, and is done when it does nothing any more: the signal alone can come after what is sent next. */
export const stall = (server: RedisServer) =>
  Effect.sync(() => {
    server.process.kill("SIGSTOP")
    while (
      !execFileSync("ps", ["-o", "stat=", "-p", String(server.process.pid)], { encoding: "utf8" }).startsWith("T")
    );
  })

export const resume = (server: RedisServer) => Effect.sync(() => server.process.kill("SIGCONT"))

export const kill = (server: RedisServer) =>
  Effect.callback<void>((resume) => {
    server.process.once("exit", () => resume(Effect.void))
    server.process.kill("SIGKILL")
  })

export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "hitless-data-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** One field of `INFO`. */
export const info = (redis: Client, section: string, field: string) =>
  Effect.map(
    redis.send<string>("INFO", section),
    (text) => new RegExp(`^${field}:(.*)\r$`, "m").exec(text)?.[1]
  )

/** `CLIENT LIST`, each line as a record. */
export const clientList = (redis: Client) =>
  Effect.map(
    redis.send<string>("CLIENT", "LIST"),
    (text) =>
      text.trim().split("\n").map((line) =>
        Object.fromEntries(
          line.split(" ").map((field) => {
            const at = field.indexOf("=")
            return [field.slice(0, at), field.slice(at + 1)] as const
          })
        )
      )
  )

export const serving = (redis: Client) =>
  Effect.map(redis.status, ({ slots }) => slots.filter(({ state }) => state === "Serving").length)

/** Makes the pool grow to `count` connections: each round leaves more commands unanswered than one carries. */
export const grow = (server: RedisServer, redis: Client, count: number) =>
  Effect.gen(function*() {
    while ((yield* serving(redis)) < count) {
      yield* stall(server)
      const round = yield* start(
        Effect.forEach(Array.from({ length: 2 * busyAt * count }), () => redis.send("PING"), {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* flushed
      yield* resume(server)
      yield* Fiber.join(round)
    }
  })

export const printed = (u: unknown) =>
  [String(u), JSON.stringify(u), inspect(u, { depth: Infinity, showHidden: true })].join()

/** A peer that accepts and does with the connection what the test says. */
export const peer = (onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly sockets: ReadonlySet<Net.Socket>; readonly server: Net.Server }>(
      (resume) => {
        const sockets = new Set<Net.Socket>()
        const server = Net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => sockets.delete(socket))
          // An end that is not read is not seen.
          socket.resume()
          onConnection(socket)
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ port, sockets, server }))
        })
      }
    ),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

export class Server extends Context.Service<Server, RedisServer>()("test/Server") {
  // DEBUG PROTOCOL answers with any type of RESP3.
  static readonly layer = Layer.effect(Server, startRedis({ args: ["--enable-debug-command", "yes"] }))
}

/** A client of the shared server. */
export const shared = Effect.flatMap(Server, (server) => connect(server))
