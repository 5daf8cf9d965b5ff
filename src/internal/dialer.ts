/**
 * How a client makes its connections: to one endpoint, or to the first of several places that answers.
 *
 * It knows how its peers are greeted and what they offer, and why no connection could be made the last time. It never
 * retries; whoever asks for a connection decides what follows a failure. The client's scope owns what is made.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { connect, type Connection, type Owner } from "../Connection.ts"
import { type Endpoint, format } from "../Endpoint.ts"
import { ConnectFailed, HitlessError, type HitlessErrorReason } from "../HitlessError.ts"
import type { Maintenance } from "../Maintenance.ts"
import { tlsFor, Transport } from "../Transport.ts"
import { backoff } from "./backoff.ts"
import { endOf } from "./causes.ts"
import { Greetings } from "./handshake.ts"
import type { Logins } from "./logins.ts"
import type { DialFailure } from "./outcome.ts"
import type { Runtime } from "./runtime.ts"
import { Supports } from "./support.ts"

/**
 * How far ahead of the next a dial is, where the database may be in more than one place: what RFC 8305 recommends for the
 * addresses of one name. Most handshakes are over by then, and one that hangs costs no more than this.
 */
const headStart = Duration.millis(250)

/** Whether the server is there and does not want this client: what the next dial does not change by itself. @internal */
export const isTurnedAway = ({ _tag }: HitlessErrorReason): boolean =>
  _tag === "AuthenticationFailed" || _tag === "MaintenanceRefused"

/** The longest wait between dials while somebody waits for the connection, in milliseconds; jitter adds a fifth. @internal */
export const dialAgainWhileAwaited = 400

/** Dials again until `until` (elapsed milliseconds), unless the client is turned away, or must not wait. @internal */
export const dialUntil = (
  runtime: Runtime,
  dial: Effect.Effect<void, HitlessError>,
  until: number,
  mustNotWait: () => boolean
): Effect.Effect<void, HitlessError> => {
  const attempt = (failures: number): Effect.Effect<void, HitlessError> =>
    Effect.catch(dial, (error) => {
      const wait = runtime.jittered(backoff(failures + 1, dialAgainWhileAwaited))
      if (isTurnedAway(error.reason) || mustNotWait() || runtime.now() + wait >= until) return Effect.fail(error)
      return Effect.delay(attempt(failures + 1), wait)
    })
  return attempt(0)
}

/** @internal */
export class Dialer {
  readonly supports: Supports
  /** Why the last dial to anywhere failed; `undefined` when a connection was made since. */
  failure: DialFailure | undefined
  private readonly runtime: Runtime
  private readonly maintenance: Maintenance
  private readonly logins: Logins
  private readonly greetings: Greetings

  constructor(runtime: Runtime, maintenance: Maintenance, logins: Logins) {
    this.runtime = runtime
    this.maintenance = maintenance
    this.logins = logins
    this.greetings = new Greetings(runtime.config.protocol)
    this.supports = new Supports(runtime)
  }

  /** Opens one connection to `endpoint` within `timeout`. */
  dial(endpoint: Endpoint, timeout: Duration.Duration, owner: Owner): Effect.Effect<Connection, HitlessError> {
    return Scope.provide(this.connectTo(endpoint, timeout, owner), this.runtime.scope)
  }

  /**
   * Dials every place where the database may be, each when the one before it has failed or has had its head start. The
   * first connection that is ready is the one, the others are closed. Fails with what the configured endpoint said,
   * unless a server that answered turned the client away.
   */
  dialAny(owner: Owner): Effect.Effect<Connection, HitlessError> {
    const { connectTimeout, endpoint: configured } = this.runtime.config
    const attempt = Effect.suspend(() => {
      const failures = new Map<string, HitlessError>()
      const ready: Array<Connection> = []
      let mayFollow: Effect.Effect<void> = Effect.void
      const dials = this.maintenance.destinations(configured).map((endpoint, index) => {
        const failed = Deferred.makeUnsafe<void>()
        const dial = Effect.andThen(mayFollow, this.connectTo(endpoint, connectTimeout, owner))
        mayFollow = Effect.raceFirst(Deferred.await(failed), Effect.sleep(Duration.times(headStart, index + 1)))
        return dial.pipe(
          Effect.tap((connection) => Effect.sync(() => ready.push(connection))),
          Effect.tapError((error) => {
            failures.set(format(endpoint), error)
            return Deferred.succeed(failed, undefined)
          })
        )
      })
      // Two can be ready in one instant, and who asked can be interrupted while the others are being closed.
      const first = Effect.onExit(Effect.raceAll(dials), (exit) =>
        Effect.sync(() => {
          for (const connection of ready) {
            if (Exit.isFailure(exit) || exit.value !== connection) {
              connection.close("another connection was ready first")
            }
          }
        }))
      return Effect.catch(first, (error) => {
        const turnedAway = Array.from(failures.values()).find(({ reason }) => isTurnedAway(reason))
        return Effect.fail(turnedAway ?? failures.get(format(configured)) ?? error)
      })
    })
    return Scope.provide(attempt, this.runtime.scope).pipe(
      Effect.tapError(({ reason }) =>
        Effect.sync(() => {
          if ("detail" in reason) this.failure = reason
        })
      )
    )
  }

  private connectTo(
    endpoint: Endpoint,
    timeout: Duration.Duration,
    owner: Owner
  ): Effect.Effect<Connection, HitlessError, Scope.Scope> {
    const { config, log, recorder } = this.runtime
    const attempt: Effect.Effect<Connection, HitlessError, Scope.Scope | Transport> = Effect.suspend(() => {
      const startedAt = this.runtime.now()
      const { latest } = this.logins
      return Effect.tap(
        connect({
          endpoint,
          tls: tlsFor(config.tls, config.endpoint, endpoint),
          family: config.family,
          credentials: this.logins.next(endpoint),
          clientName: config.clientName,
          database: config.database,
          restored: owner.restored,
          ask: (peerAddress) => this.supports.questionFor(endpoint, peerAddress),
          required: config.maintenance.mode === "enabled",
          greetings: this.greetings,
          timeout,
          commandTimeout: Duration.toMillis(config.commandTimeout),
          timeouts: this.maintenance.timeouts,
          owner
        }),
        (connection) =>
          Effect.sync(() => {
            this.failure = undefined
            recorder.connectionCreated(this.runtime.now() - startedAt)
            this.supports.learn(connection)
          })
      ).pipe(
        // They were replaced while it shook hands.
        Effect.catchIf(
          ({ reason }) =>
            reason._tag === "AuthenticationFailed" && latest !== undefined && latest !== this.logins.latest,
          () => attempt
        )
      )
    })
    const guarded = attempt.pipe(
      // Credentials, and transports, are the program's own code: what ends them must not end the one who dials.
      Effect.catchCause((cause) => {
        const error = Cause.findErrorOption(cause)
        if (Option.isSome(error) && error.value instanceof HitlessError) return Effect.fail(error.value)
        return Effect.fail(
          new HitlessError({
            reason: new ConnectFailed({
              endpoint: format(endpoint),
              kind: "Unreachable",
              detail: `connecting ${endOf(cause)}`,
              mayHaveExecuted: false
            })
          })
        )
      }),
      Effect.tapError((error) =>
        Effect.sync(() => {
          recorder.failed(error.reason._tag)
          log("Info", "a dial failed", { endpoint: format(endpoint), why: error.message })
        })
      ),
      // The client's, whoever asks for the connection.
      Effect.provideService(Transport, this.runtime.transport),
      Effect.provideService(Clock.Clock, this.runtime.clock)
    )
    return Effect.suspend(() => this.runtime.isClosing ? this.runtime.closed : guarded)
  }
}
