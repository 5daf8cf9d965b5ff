/**
 * One cell of each family of `npm run faults`: every kind of connection of one client, a real server, and a network or a
 * server that misbehaves under it. What was acknowledged is compared with what the server holds.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { type Moment, runCell } from "../faults/kit/cell.ts"
import { faults } from "../faults/kit/faults.ts"

const cells: ReadonlyArray<readonly [fault: string, moment: Moment]> = [
  ["refuse", "loaded"],
  ["silence", "target"],
  ["partition", "idle"],
  ["FIN inside a reply", "loaded"],
  ["reset inside a reply", "old endpoint"],
  ["garbage", "target"],
  ["drip", "loaded"],
  ["one reply too few", "loaded"],
  ["kill", "old endpoint"],
  ["READONLY", "loaded"],
  ["failover with the socket open", "loaded"],
  ["ACL user deleted", "idle"],
  ["CLIENT KILL every 100 ms", "loaded"],
  ["DNS leads elsewhere", "loaded"],
  ["wall clock stepped", "old endpoint"]
]

describe("A client tells the truth, comes back, and leaves nothing behind", { timeout: 90_000 }, () => {
  for (const [name, moment] of cells) {
    it.live(`${name} × ${moment}`, () =>
      Effect.gen(function*() {
        const fault = faults.find((fault) => fault.name === name) ?? assert.fail(`no fault is called ${name}`)
        const outcome = yield* runCell(inject("redisServer"), fault, moment)
        assert.deepStrictEqual(outcome.problems, [])
        assert.isAbove(outcome.calls, 20)
      }))
  }
})
