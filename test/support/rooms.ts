/**
 * The rooms of a client without the service on top, for tests that look into them or break something there.
 */
import * as Effect from "effect/Effect"
import { Config, type Endpoint } from "hitless"
import { Dialer } from "../../src/internal/dialer.ts"
import { Logins } from "../../src/internal/logins.ts"
import * as Runtime from "../../src/internal/runtime.ts"
import type { Slot, Surroundings } from "../../src/internal/slot.ts"
import * as Maintenance from "../../src/Maintenance.ts"
import { Pool } from "../../src/Pool.ts"

/** The rooms of a client that is connected once, and closed with the scope. */
export const makeRooms = Effect.fnUntraced(function*(options: Config.Options) {
  const runtime = yield* Runtime.make(yield* Config.decode(options))
  const maintenance = yield* Maintenance.make(runtime)
  const slots = new Set<Slot>()
  const logins = new Logins(runtime, slots)
  const dialer = new Dialer(runtime, maintenance, logins)
  const around: Surroundings = { runtime, maintenance, dialer, logins, slots, whenDown: new Set() }
  const pool = new Pool(around, { kind: "shared", size: runtime.config.poolSize })
  yield* Effect.addFinalizer(() => runtime.close(() => pool.refuse(), Effect.andThen(pool.drain(), maintenance.end)))
  yield* pool.open()
  const slotsAt = (endpoint: Endpoint.Endpoint) => Array.from(slots).filter((slot) => slot.isAt(endpoint))
  return { around, maintenance, pool, runtime, slotsAt }
})
