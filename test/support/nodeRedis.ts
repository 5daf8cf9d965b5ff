/**
 * node-redis, as the other one who knows what commands are written and read like.
 */
import { BasicCommandParser } from "@redis/client/dist/lib/client/parser.js"
import type * as NodeCommands from "@redis/client/dist/lib/commands/index.js"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { createRequire } from "node:module"
import { createClient } from "redis"

/** Its definitions; required, since loaders do not agree on what it exports by default. */
export const { default: nodeCommands } = createRequire(import.meta.url)(
  "@redis/client/dist/lib/commands/index.js"
) as typeof NodeCommands.default

type Transform = ((reply: unknown) => unknown) | undefined

interface Definition {
  readonly transformReply: Transform | { readonly 2: Transform; readonly 3: Transform }
  parseCommand(parser: BasicCommandParser, ...args: ReadonlyArray<unknown>): void
}

const definitions = nodeCommands as unknown as Record<string, Definition>

/** The names of all its commands, without those in capitals. */
export const nodeNames: ReadonlyArray<string> = Object.keys(definitions).filter((name) => name !== name.toUpperCase())

/** It has some in capitals only. */
const nameOf = (name: string): string => name in definitions ? name : name.toUpperCase()

export const nodeWords = (name: string, args: ReadonlyArray<unknown>) => {
  const parser = new BasicCommandParser()
  const definition = definitions[nameOf(name)]
  if (definition === undefined) throw new Error(`node-redis has no ${name}`)
  definition.parseCommand(parser, ...args)
  return {
    words: parser.redisArgs as ReadonlyArray<string | Buffer>,
    keys: parser.keys as ReadonlyArray<string | Buffer>
  }
}

/** What it makes of a reply. */
export const nodeReply = (name: string, reply: unknown, protocol: 2 | 3): unknown => {
  const { transformReply } = definitions[nameOf(name)]!
  const transform = typeof transformReply === "object" ? transformReply[protocol] : transformReply
  return transform === undefined ? reply : transform(reply)
}

export interface NodeClient {
  /** What it makes of the reply, or the words of the error. */
  readonly call: (name: string, args: ReadonlyArray<unknown>) => Effect.Effect<Result.Result<unknown, string>>
}

export const connectNode = (port: number, protocol: 2 | 3): Effect.Effect<NodeClient, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = createClient({ socket: { host: "127.0.0.1", port }, RESP: protocol })
        client.on("error", () => {})
        return await client.connect()
      }),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client) => ({
      call: (name, args) =>
        Effect.promise(() =>
          (client as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Promise<unknown>>)[nameOf(name)]!(
            ...args
          )
            .then(Result.succeed, (error: Error) => Result.fail(error.message))
        )
    })
  )
