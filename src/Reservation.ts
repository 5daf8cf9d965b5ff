/**
 * Reserved connections: each for one user, who may change its state.
 *
 * A reservation is a pool of one slot. As long as its user has not given the connection state that no other would have, it
 * reconnects, moves and waits as shared ones do. From then on it stays where it is, and what it is told after its
 * connection was lost fails: nothing of its user's runs in a state that it did not ask for.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HitlessError } from "./HitlessError.ts"
import { altersConnection, blocksFor, refusalOf, takeBytes } from "./internal/commands.ts"
import { Request } from "./internal/request.ts"
import { scrubber } from "./internal/secrets.ts"
import type { Surroundings } from "./internal/slot.ts"
import { Pool } from "./Pool.ts"
import type { Arg } from "./Resp.ts"

/**
 * Opens a connection for one user and gives its `send`; it closes with the surrounding scope. A command that blocks on the
 * server has its own time on top of the configured deadline, and none when it blocks without end.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  around: Surroundings
): Effect.fn.Return<
  (command: string, args: ReadonlyArray<Arg>) => Effect.Effect<unknown, HitlessError>,
  HitlessError,
  Scope.Scope
> {
  const { runtime } = around
  let isAltered = false
  const pool = new Pool(around, { kind: "reserved", size: 1, isBound: () => isAltered })
  const slot = pool.slots[0]
  yield* Effect.addFinalizer(() => Effect.sync(() => pool.abandon("its scope was closed")))
  yield* Effect.raceFirst(slot.open(), runtime.closed)
  const commandTimeout = Duration.toMillis(runtime.config.commandTimeout)

  return (command, args) =>
    Effect.callback((resume) => {
      const words = [command, ...args]
      const refusal = refusalOf(words, false)
      if (refusal === undefined) takeBytes(words)
      // What is no argument has no time either.
      const timeout = refusal === undefined ? commandTimeout + blocksFor(words) : commandTimeout
      const request = new Request({
        owner: pool.owner,
        kind: "command",
        words,
        batch: undefined,
        bytes: false,
        timeout,
        startedAt: runtime.now(),
        resume
      })
      if (refusal !== undefined) {
        request.fail(refusal)
        return request
      }
      isAltered ||= altersConnection(words)
      if (command.toUpperCase() === "AUTH" && slot.connection !== undefined) {
        // From here on its user's password is in what it was told, too.
        const { connection } = slot
        const own = connection.scrub
        const password = args.at(-1) ?? ""
        const scrub = scrubber(password instanceof Uint8Array ? password : String(password))
        connection.scrub = (text) => scrub(own(text))
      }
      pool.accept(request)
      return request
    })
})
