/**
 * What a client logs in with: the configured credentials, those of an effect that runs for every connection, or the latest
 * of a stream, with which connections that are up log in anew.
 *
 * A connection whose peer refuses the latest serves on with those before, and is told again after a while; one that has a
 * successor is not told any more. Nothing here dials or closes a connection.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { checkCredentials, type Credentials } from "../Config.ts"
import type { Connection } from "../Connection.ts"
import { type Endpoint, format } from "../Endpoint.ts"
import { ConnectFailed, HitlessError } from "../HitlessError.ts"
import { Alarm } from "./alarm.ts"
import { backoff } from "./backoff.ts"
import { endOf } from "./causes.ts"
import type { Runtime } from "./runtime.ts"

/** The longest wait before a connection that could not log in anew is told again, in milliseconds. */
const tellAgainAtMost = 30_000

/** Who has a connection. @internal */
export interface Holder {
  readonly connection: Connection | undefined
  /** Whether what its connection is told now would be taken for something else. */
  readonly mayLogIn: boolean
  readonly logIn: (connection: Connection, credentials: Credentials) => Effect.Effect<void, HitlessError>
}

/** A connection that could not log in anew. */
interface Refused {
  readonly credentials: Credentials
  readonly failures: number
  /** When it is told again, in elapsed milliseconds. */
  readonly until: number
}

/** @internal */
export class Logins {
  /** What a stream gave last. */
  latest: Credentials | undefined
  private readonly runtime: Runtime
  private readonly holders: Iterable<Holder>
  private readonly first = Deferred.makeUnsafe<Credentials, string>()
  private readonly telling = new Set<Connection>()
  private readonly refused = new WeakMap<Connection, Refused>()
  private readonly alarm: Alarm

  constructor(runtime: Runtime, holders: Iterable<Holder>) {
    this.runtime = runtime
    this.holders = holders
    this.alarm = new Alarm(runtime.context, () => this.review())
    const { credentials } = runtime.config
    if (Stream.isStream(credentials)) runtime.fork(this.follow(credentials))
  }

  /** What the next connection to an endpoint logs in with. */
  next(endpoint: Endpoint): Effect.Effect<Credentials | undefined, HitlessError> {
    const { credentials } = this.runtime.config
    const checked = (given: Effect.Effect<Credentials, string>) =>
      Effect.mapError(given, (why) =>
        new HitlessError({
          reason: new ConnectFailed({
            endpoint: format(endpoint),
            kind: "Unreachable",
            detail: `there are no credentials that can be used: ${why}`,
            mayHaveExecuted: false
          })
        }))
    if (Stream.isStream(credentials)) {
      return Effect.suspend(() =>
        this.latest === undefined ? checked(Deferred.await(this.first)) : Effect.succeed(this.latest)
      )
    }
    return Effect.flatMap(
      credentials,
      (given) => given === undefined ? Effect.undefined : checked(checkCredentials(given))
    )
  }

  /** Tells the latest to every connection that is logged in with something else and can be told now. */
  review(): void {
    const { latest } = this
    if (latest === undefined || this.runtime.isClosing) return
    const now = this.runtime.now()
    for (const { connection, logIn, mayLogIn } of this.holders) {
      if (connection === undefined || connection.credentials === latest || !mayLogIn) continue
      if (this.telling.has(connection)) continue
      const refused = this.refused.get(connection)
      if (refused?.credentials === latest && now < refused.until) {
        this.alarm.set(refused.until)
        continue
      }
      this.telling.add(connection)
      this.runtime.fork(
        Effect.onExit(logIn(connection, latest), (exit) =>
          Effect.sync(() => {
            this.telling.delete(connection)
            if (Exit.isFailure(exit)) this.failed(connection, latest, exit.cause)
            // There may be newer ones.
            this.review()
          }))
      )
    }
  }

  close(): void {
    this.alarm.clear()
  }

  private failed(connection: Connection, credentials: Credentials, cause: Cause.Cause<HitlessError>): void {
    const { log, recorder } = this.runtime
    if (connection.state !== "Ready" || this.runtime.isClosing) return
    const before = this.refused.get(connection)
    const failures = before?.credentials === credentials ? before.failures + 1 : 1
    const until = this.runtime.now() + this.runtime.jittered(backoff(failures, tellAgainAtMost))
    this.refused.set(connection, { credentials, failures, until })
    const error = Option.getOrUndefined(Exit.findErrorOption(Exit.failCause(cause)))
    if (error !== undefined) recorder.failed(error.reason._tag)
    log(failures === 1 ? "Warn" : "Debug", "a connection could not log in anew, it serves on as it is logged in", {
      endpoint: connection.address,
      why: error?.message ?? endOf(cause)
    })
  }

  private follow(credentials: Stream.Stream<Credentials, unknown>): Effect.Effect<void> {
    const { log } = this.runtime
    const take = (given: Credentials) =>
      Effect.match(checkCredentials(given), {
        onFailure: (why) => log("Error", "what the stream of credentials gave cannot be used", { why }),
        onSuccess: (credentials) => {
          this.latest = credentials
          Deferred.doneUnsafe(this.first, Exit.succeed(credentials))
          log("Info", "there are new credentials", {})
          this.review()
        }
      })
    return Effect.onExit(Stream.runForEach(credentials, take), (exit) =>
      Effect.sync(() => {
        if (this.runtime.isClosing) return
        const why = Exit.isSuccess(exit) ? "ended" : endOf(exit.cause)
        if (Exit.isFailure(exit)) log("Error", "there will be no newer credentials", { why: `their stream ${why}` })
        Deferred.doneUnsafe(this.first, Exit.fail(`their stream ${why} before it gave any`))
      })).pipe(Effect.ignoreCause)
  }
}
