/**
 * One connection to a peer in memory, whose owner notes what it is told, and the model of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type HitlessError, Transport } from "hitless"
import { connect, type Connection, type Owner } from "../../src/Connection.ts"
import { monotonicMillis } from "../../src/internal/elapsed.ts"
import { Greetings } from "../../src/internal/handshake.ts"
import type { Request } from "../../src/internal/request.ts"
import * as Resp from "../../src/Resp.ts"
import { Timeouts } from "../../src/Timeouts.ts"
import {
  type Asked,
  commandTimeout,
  connectTimeout,
  Model,
  noted,
  notice,
  relaxed,
  welcome
} from "./connectionModel.ts"
import { makePeer } from "./memoryPeer.ts"

/** A request, and how it ended. */
export interface Asking {
  readonly asked: Asked
  readonly ends: Array<string>
  request: Request | undefined
  fiber?: Fiber.Fiber<unknown, HitlessError.HitlessError>
}

const plain = (value: unknown): unknown =>
  value instanceof Resp.ErrorReply ? `-${value.message}` : Array.isArray(value) ? value.map(plain) : value

export const told = (exit: Exit.Exit<unknown, HitlessError.HitlessError>): string =>
  Exit.match(exit, {
    onSuccess: (value) => JSON.stringify(plain(value)),
    onFailure: (cause) => {
      const error = Exit.findErrorOption(exit)
      if (error._tag === "None") return Cause.hasInterrupts(cause) ? "given up" : Cause.pretty(cause)
      return `${error.value.reason._tag} ${error.value.reason.mayHaveExecuted}`
    }
  })

/** A connection that is being made, its peer, its owner and its model. */
export const make = Effect.fnUntraced(function*(leaves: boolean) {
  const services = yield* Effect.context<never>()
  const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.runForkWith(services)(effect)
  const scope = yield* Scope.make()
  const peer = yield* makePeer
  const windows = new Timeouts(Duration.millis(relaxed), () => {})
  const asking: Array<Asking> = []
  const heard = noted()
  const it = { connection: undefined as Connection | undefined, mayProve: true, lesses: 0 }
  const nameOf = (one: Request) => asking.findIndex(({ request }) => request === one)
  const drain = (connection: Connection, until: number) => {
    for (const request of connection.drain(until)) heard.handed.push(`${nameOf(request)} ${request.promised}`)
  }
  const owner: Owner = {
    get mayProve() {
      return it.mayProve
    },
    restored: [],
    takesBytes: false,
    mayRead: undefined,
    onPush: (_, [, value]) => heard.pushes.push(value),
    onLess: () => it.lesses++,
    onUnowed: (_, value) => {
      heard.unowed.push(plain(value))
      return value === welcome
    },
    onSilent: (connection, until) => {
      notice(heard.silences, until)
      if (leaves) drain(connection, until)
    },
    onClosed: (_, { _tag }, orphans) => {
      const shown = orphans.map((request) => `${nameOf(request)} ${request.state} ${request.promised}`)
      heard.closes.push([_tag, ...shown].join(", "))
    }
  }
  const connecting = fork(
    connect({
      endpoint: { _tag: "Tcp", host: "peer", port: 1 },
      tls: undefined,
      family: 0,
      credentials: Effect.undefined,
      clientName: undefined,
      database: 0,
      restored: [],
      ask: () => Effect.undefined,
      required: false,
      greetings: new Greetings(3),
      timeout: Duration.millis(connectTimeout),
      commandTimeout,
      timeouts: windows,
      owner
    }).pipe(Scope.provide(scope), Effect.provideService(Transport.Transport, peer.transport))
  )
  connecting.addObserver((exit) => {
    if (Exit.isSuccess(exit)) it.connection = exit.value
    else heard.failures.push(told(exit))
  })
  yield* TestClock.adjust(0)
  const model = new Model(monotonicMillis(yield* Clock.Clock), leaves, peer.wire, peer.lastEcho)
  return { it, model, peer, heard, asking, windows, connecting, drain, fork, scope }
})
