/**
 * The states of a slot, and which may follow which.
 */
import { assert, describe, it } from "@effect/vitest"
import { isLegal, type SlotState } from "../../src/internal/slot.ts"

describe("a slot", () => {
  const states: ReadonlyArray<SlotState["_tag"]> = ["Empty", "Serving", "Moving", "Reconnecting", "Closed"]
  const legal = new Set([
    "Empty → Serving",
    "Empty → Reconnecting",
    "Empty → Closed",
    "Serving → Serving",
    "Serving → Moving",
    "Serving → Reconnecting",
    "Serving → Closed",
    "Moving → Serving",
    "Moving → Moving",
    "Moving → Reconnecting",
    "Moving → Closed",
    "Reconnecting → Serving",
    "Reconnecting → Closed"
  ])

  for (const from of states) {
    for (const to of states) {
      const edge = `${from} → ${to}`
      it(`${legal.has(edge) ? "may go" : "never goes"} ${edge}`, () => {
        assert.strictEqual(isLegal(from, to), legal.has(edge))
      })
    }
  }
})
