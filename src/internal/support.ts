/**
 * What endpoints offer: which of them send maintenance notifications, what those that do not have answered, and when they
 * are asked again.
 *
 * One that refused is asked again once a minute, on one connection that is open anyway; when it says yes, its other
 * connections are asked at once. Nothing here dials or closes a connection.
 */
import * as Effect from "effect/Effect"
import type { EndpointType } from "../Config.ts"
import type { Connection } from "../Connection.ts"
import { detectType, type Endpoint, format } from "../Endpoint.ts"
import { Alarm } from "./alarm.ts"
import { keepNewest } from "./bounded.ts"
import { protocolOf, type Support } from "./handshake.ts"
import type { Runtime } from "./runtime.ts"

/** How long an endpoint that refused notifications is not asked again, in milliseconds. */
const askAgainAfter = 60_000

/** How long a lookup may take that tells where the server is, in milliseconds; the connection goes on without. */
const lookupWithin = 2000

/** Of how many endpoints is known what they offer: a client dials a few, but servers can name any number of targets. */
const mostKnown = 64

/** Whether a connection speaks the protocol of pushes and its endpoint has not agreed to send any. */
const isDeaf = ({ peer: { greeting, support }, state }: Connection): boolean =>
  state === "Ready" && protocolOf(greeting) === 3 && support._tag !== "Supported"

/** What the endpoints of one client answered. @internal */
export class Supports {
  private readonly runtime: Runtime
  private readonly alarm: Alarm
  private readonly known = new Map<string, { readonly support: Support; readonly at: number }>()
  /** Connections that hear nothing of maintenance though their protocol could carry it, and when each was asked last. */
  private readonly deaf = new Map<Connection, number>()

  constructor(runtime: Runtime) {
    this.runtime = runtime
    this.alarm = new Alarm(runtime.context, () => this.askAgain())
  }

  /** What each endpoint answered when it was asked. */
  *[Symbol.iterator](): Iterator<readonly [address: string, support: Support]> {
    for (const [address, { support }] of this.known) yield [address, support]
  }

  /** Which kind of address to ask an endpoint for, that turned out to be at `peerAddress`; `undefined` to not ask. */
  questionFor(endpoint: Endpoint, peerAddress: string | undefined): Effect.Effect<EndpointType | undefined> {
    const { maintenance: { mode }, protocol } = this.runtime.config
    if (mode === "disabled" || protocol === 2) return Effect.undefined
    const known = this.known.get(format(endpoint))
    if (mode === "auto" && known?.support._tag === "Refused" && this.runtime.now() < known.at + askAgainAfter) {
      return Effect.undefined
    }
    return this.typeFor(endpoint, peerAddress)
  }

  /** Takes in what the endpoint of a connection answered, if it was asked. */
  learn({ address, peer: { support } }: Connection): void {
    if (support._tag === "Unknown") return
    this.known.delete(address)
    this.known.set(address, { support, at: this.runtime.now() })
    keepNewest(this.known, mostKnown)
    if (support._tag === "Supported") this.askAgain()
    else {
      this.runtime.log("Debug", "the server does not offer maintenance notifications", {
        endpoint: address,
        words: support.words
      })
    }
  }

  /** Asks a connection that serves, when it is time to, if it hears nothing of maintenance; until it closes. */
  watch(connection: Connection): void {
    if (!isDeaf(connection) || this.runtime.config.maintenance.mode !== "auto") return
    this.deaf.set(connection, -Infinity)
    this.askAgain()
  }

  clear(): void {
    this.alarm.clear()
    this.deaf.clear()
  }

  private askAgain(): void {
    const now = this.runtime.now()
    for (const [connection, askedAt] of this.deaf) {
      if (!isDeaf(connection)) this.deaf.delete(connection)
      const known = this.known.get(connection.address)
      if (known === undefined || !isDeaf(connection)) continue
      const { support } = known
      const at = (support._tag === "Refused" ? known.at : askedAt) + askAgainAfter
      this.alarm.set(at > now ? at : now + askAgainAfter)
      if (at > now) continue
      this.deaf.set(connection, now)
      // Whoever else wants to know waits for this answer.
      this.known.set(connection.address, { support, at: now })
      this.runtime.fork(
        Effect.map(
          Effect.flatMap(
            this.typeFor(connection.endpoint, connection.peerAddress),
            (endpointType) => connection.ask(endpointType)
          ),
          (answered) => {
            if (answered) this.learn(connection)
          }
        )
      )
    }
  }

  private typeFor(endpoint: Endpoint, peerAddress: string | undefined): Effect.Effect<EndpointType> {
    const { maintenance: { endpointType }, tls: options } = this.runtime.config
    if (endpointType !== "auto") return Effect.succeed(endpointType)
    const tls = options !== undefined
    // A Unix socket is on this machine.
    if (endpoint._tag === "Unix") return Effect.succeed(detectType(["127.0.0.1"], { tls }))
    if (peerAddress !== undefined) return Effect.succeed(detectType([peerAddress], { tls }))
    return Effect.suspend(() => this.runtime.transport.resolve(endpoint.host)).pipe(
      Effect.timeout(lookupWithin),
      Effect.map((addresses) => detectType(addresses, { tls })),
      // What is asked for is not worth a connection.
      Effect.catchCause(() => Effect.succeed(detectType([], { tls })))
    )
  }
}
