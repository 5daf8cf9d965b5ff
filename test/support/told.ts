/**
 * What a user is told who configured the wrong thing, or reached the wrong place.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Config } from "hitless"
import { host, refusal } from "./client.ts"

export const secret = "s3cret-w0rd"

/** The reason, by its tag or kind, and the message of what no client can be made with. */
export const told = (options: Config.Options) =>
  Effect.map(refusal({ host, ...options }), ({ message, reason }) => {
    assert.notInclude(message, secret)
    return { what: reason._tag === "ConnectFailed" ? reason.kind : reason._tag, message }
  })

export const expectTold = Effect.fnUntraced(
  function*(options: Config.Options, expected: string, ...words: ReadonlyArray<string | RegExp>) {
    const { message, what } = yield* told(options)
    assert.strictEqual(what, expected, message)
    for (const word of words) {
      if (typeof word === "string") assert.include(message, word)
      else assert.match(message, word)
    }
  }
)
