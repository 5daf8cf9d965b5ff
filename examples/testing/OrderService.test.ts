import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { hour } from "./hour.ts"

it.effect("an hour of maintenance costs no order, and nobody waits for what is announced", () => hour(), 20_000)

it.effect("fails with a client that connects again only once its connection is closed", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(hour({ maintenance: { mode: "disabled" } }))
    assert.strictEqual(error._tag, "RehearsalFailed")
  }), 20_000)
