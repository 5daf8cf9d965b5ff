/**
 * A connection of its own, for one user: what reserved connections and subscribers are made of.
 *
 * It hears maintenance like any other and never moves: when its server closes it, its requests fail.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Connection, Owner } from "../Connection.ts"
import { ConnectFailed, ConnectionLost, HitlessError, type HitlessErrorReason } from "../HitlessError.ts"
import type { Pool } from "../Pool.ts"
import { type Arg, ErrorReply } from "../Resp.ts"
import { blocksFor, flawOf, refusalOf, refused, takeBytes } from "./commands.ts"
import { final, outcomeOf, settle } from "./outcome.ts"
import { serverReplied } from "./replies.ts"
import { Request, type RequestOwner, type Site } from "./request.ts"
import { scrubber } from "./secrets.ts"

class Dedicated implements Owner, RequestOwner {
  readonly onSettled: RequestOwner["onSettled"]
  protected readonly pool: Pool

  constructor(pool: Pool) {
    this.pool = pool
    this.onSettled = pool.observed
  }

  onPush(connection: Connection, elements: ReadonlyArray<unknown>): void {
    this.pool.onPush(connection, elements)
  }

  onUnowed(_connection: Connection, _value: unknown): boolean {
    return false
  }

  onLess(): void {}

  /** Its state is nowhere else, so it has all the time there is. */
  onSilent(): void {}

  onClosed(connection: Connection, cause: HitlessErrorReason, orphans: ReadonlyArray<Request>): void {
    for (const request of orphans) {
      settle(request, outcomeOf(request, { _tag: "Lost", site: connection, cause, isPoison: false }, final))
    }
  }

  onReplied(request: Request, value: unknown, site: Site): void {
    settle(request, outcomeOf(request, { _tag: "Replied", site, value, passing: undefined }, final))
  }

  onFailed(error: HitlessError): void {
    this.pool.onFailed(error)
  }

  onThrown(thrown: unknown): void {
    this.pool.onThrown(thrown)
  }
}

/**
 * Opens a connection for one user and gives its `send`. A command that blocks on the server has its own time on top of
 * the configured deadline, and none when it blocks without end.
 *
 * @internal
 */
export const reserve = Effect.fnUntraced(function*(pool: Pool) {
  const owner = new Dedicated(pool)
  const connection = yield* pool.dedicated(owner)
  const commandTimeout = Duration.toMillis(pool.config.commandTimeout)
  const ownScrub = connection.scrub
  return (command: string, args: ReadonlyArray<Arg>): Effect.Effect<unknown, HitlessError> =>
    Effect.callback((resume) => {
      const words = [command, ...args]
      const refusal = refusalOf(words, false)
      if (refusal === undefined) takeBytes(words)
      // What is no argument has no time either.
      const timeout = refusal === undefined ? commandTimeout + blocksFor(words) : commandTimeout
      const request = new Request(owner, "command", words, undefined, false, timeout, pool.now(), resume)
      if (refusal !== undefined) request.fail(refusal)
      else if (connection.state === "Ready") {
        if (command.toUpperCase() === "AUTH") {
          // From here on its user's password is in what it was told, too.
          const password = args.at(-1) ?? ""
          const scrub = scrubber(password instanceof Uint8Array ? password : String(password))
          connection.scrub = (text) => scrub(ownScrub(text))
        }
        connection.send(request)
      } else {
        request.fail(
          new HitlessError({
            reason: new ConnectionLost({
              endpoint: connection.address,
              command,
              detail: "the reserved connection is closed",
              mayHaveExecuted: false
            })
          })
        )
      }
      return request
    })
})

class Subscriber extends Dedicated {
  connection: Connection | undefined
  readonly subscribed = Deferred.makeUnsafe<void, HitlessError>()
  private readonly onMessage: (channel: string, message: string) => void

  constructor(pool: Pool, onMessage: (channel: string, message: string) => void) {
    super(pool)
    this.onMessage = onMessage
  }

  override onPush(connection: Connection, elements: ReadonlyArray<unknown>): void {
    const [kind, channel, message] = elements
    if (kind === "message" && typeof channel === "string" && typeof message === "string") {
      this.onMessage(channel, message)
    } else if (kind === "subscribe") Deferred.doneUnsafe(this.subscribed, Exit.void)
    else super.onPush(connection, elements)
  }

  /** RESP2 has no pushes: messages arrive as replies that nobody asked for; a refused `SUBSCRIBE` does in both. */
  override onUnowed(connection: Connection, value: unknown): boolean {
    if (Array.isArray(value)) {
      this.onPush(connection, value)
      return true
    }
    return value instanceof ErrorReply &&
      Deferred.doneUnsafe(this.subscribed, Exit.fail(serverReplied(value, "SUBSCRIBE", connection)))
  }

  override onClosed(connection: Connection, cause: HitlessErrorReason, orphans: ReadonlyArray<Request>): void {
    // Of the places that were dialled for it only one became its connection.
    if (connection === this.connection) {
      Deferred.doneUnsafe(this.subscribed, Exit.fail(new HitlessError({ reason: cause })))
    }
    super.onClosed(connection, cause, orphans)
  }
}

/**
 * Subscribes on a connection of its own and gives the effect that ends when that connection does.
 *
 * @internal
 */
export const subscribe = Effect.fnUntraced(function*(
  pool: Pool,
  channel: string,
  onMessage: (channel: string, message: string) => void
): Effect.fn.Return<Effect.Effect<void>, HitlessError, Scope.Scope> {
  const flaw = flawOf(channel)
  if (flaw !== undefined) return yield* refused("SUBSCRIBE", `the channel ${flaw}`)
  const owner = new Subscriber(pool, onMessage)
  const connection = yield* pool.dedicated(owner)
  if (connection.closedBy !== undefined) return yield* new HitlessError({ reason: connection.closedBy })
  owner.connection = connection
  const startedAt = pool.now()
  connection.sendUnanswered(["SUBSCRIBE", channel])
  yield* Effect.timeoutOrElse(Deferred.await(owner.subscribed), {
    duration: pool.config.connectTimeout,
    orElse: () =>
      Effect.fail(
        new HitlessError({
          reason: new ConnectFailed({
            endpoint: connection.address,
            command: "SUBSCRIBE",
            kind: "TimedOut",
            detail: `SUBSCRIBE was not confirmed within ${Math.round(pool.now() - startedAt)} ms`,
            mayHaveExecuted: true
          })
        })
      )
  })
  return connection.closed
})
