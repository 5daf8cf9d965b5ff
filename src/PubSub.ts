/**
 * Subscriptions: connections on which a server sends what is published.
 *
 * A subscription is one slot, and what `restore` brings to each connection of it is the `SUBSCRIBE`: a connection takes the
 * place of another only when the server has confirmed it.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Connection.ts"
import { ConnectFailed, HitlessError } from "./HitlessError.ts"
import { flawOf, refused } from "./internal/commands.ts"
import { serverReplied } from "./internal/replies.ts"
import type { Runtime } from "./internal/runtime.ts"
import { Slot, type Surroundings, type Tenant } from "./internal/slot.ts"
import { ErrorReply } from "./Resp.ts"

/** What is heard on the connections of one subscription. */
class Listener {
  private readonly runtime: Runtime
  private readonly channel: string
  private readonly onMessage: (channel: string, message: string) => void
  /** The connections whose `SUBSCRIBE` is not answered yet. */
  private readonly unconfirmed = new Map<Connection, Deferred.Deferred<void, HitlessError>>()

  constructor(runtime: Runtime, channel: string, onMessage: (channel: string, message: string) => void) {
    this.runtime = runtime
    this.channel = channel
    this.onMessage = onMessage
  }

  /** Subscribes, and is done when the server has confirmed it. */
  subscribe(connection: Connection): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const { config } = this.runtime
      const confirmed = Deferred.makeUnsafe<void, HitlessError>()
      const startedAt = this.runtime.now()
      if (connection.end !== undefined) return Effect.fail(new HitlessError({ reason: connection.end.cause }))
      this.unconfirmed.set(connection, confirmed)
      connection.sendUnanswered(["SUBSCRIBE", this.channel])
      return Effect.timeoutOrElse(Deferred.await(confirmed), {
        duration: config.connectTimeout,
        orElse: () =>
          Effect.fail(
            new HitlessError({
              reason: new ConnectFailed({
                endpoint: connection.address,
                command: "SUBSCRIBE",
                kind: "TimedOut",
                detail: `SUBSCRIBE was not confirmed within ${Math.round(this.runtime.now() - startedAt)} ms`,
                mayHaveExecuted: true
              })
            })
          )
      }).pipe(Effect.ensuring(Effect.sync(() => this.unconfirmed.delete(connection))))
    })
  }

  /** Takes a push that is about the subscription; `false` for any other. */
  hear(connection: Connection, [kind, channel, message]: ReadonlyArray<unknown>): boolean {
    if (kind === "message" && typeof channel === "string" && typeof message === "string") {
      this.onMessage(channel, message)
    } else if (kind === "subscribe") this.confirm(connection, Exit.void)
    else return false
    return true
  }

  /** RESP2 has no pushes: messages arrive as replies that nobody asked for; a refused `SUBSCRIBE` does in both. */
  hearUnowed(connection: Connection, value: unknown): boolean {
    if (Array.isArray(value)) return this.hear(connection, value)
    return value instanceof ErrorReply &&
      this.confirm(connection, Exit.fail(serverReplied(value, "SUBSCRIBE", connection)))
  }

  confirm(connection: Connection, exit: Exit.Exit<void, HitlessError>): boolean {
    const confirmed = this.unconfirmed.get(connection)
    return confirmed !== undefined && Deferred.doneUnsafe(confirmed, exit)
  }
}

let lastIndex = 0

/**
 * Subscribes for the surrounding scope, and is done when the server has confirmed it. Fails as a connection does that cannot
 * be made, or with `ServerReplied`. From then on the subscription moves and reconnects until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const subscribe = Effect.fnUntraced(function*(
  around: Surroundings,
  channel: string,
  onMessage: (channel: string, message: string) => void
): Effect.fn.Return<void, HitlessError, Scope.Scope> {
  const flaw = flawOf(channel)
  if (flaw !== undefined) return yield* refused("SUBSCRIBE", `the channel ${flaw}`)
  const { maintenance, runtime } = around
  const listener = new Listener(runtime, channel, onMessage)
  const tenant: Tenant = {
    kind: "subscriber",
    draining: new Set(),
    restore: (next) => listener.subscribe(next),
    awaited: Effect.never,
    onPush: (connection, elements) => {
      if (!listener.hear(connection, elements)) maintenance.hear(connection, elements)
    },
    onUnowed: (connection, value) => listener.hearUnowed(connection, value),
    onOrphans: (connection, cause) => {
      listener.confirm(connection, Exit.fail(new HitlessError({ reason: cause })))
    },
    onChange: () => {},
    onServing: () => {},
    onDialFailed: () => {},
    onUnwritten: () => {},
    onLess: () => {}
  }
  const slot = new Slot(around, tenant, lastIndex++)
  yield* Effect.addFinalizer(() => Effect.sync(() => slot.close()?.close("its scope was closed")))
  yield* Effect.raceFirst(slot.open(), runtime.closed)
})
