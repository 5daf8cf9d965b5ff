/**
 * An hour of `npm run soak -- --simulated`: moves, failovers, stalls and losses in no order, under a client that uses every
 * kind of connection.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Look, soakSimulated } from "../faults/kit/soak.ts"

it.live("an hour of random trouble leaves nothing untrue and nothing open", () =>
  Effect.gen(function*() {
    const looks: Array<Look> = []
    assert.deepStrictEqual(yield* soakSimulated(1, 1, (look) => looks.push(look)), [])
    assert.isAbove(looks[0].calls, 10_000)
    assert.isAbove(looks[0].failed.length, 0)
  }), 120_000)
