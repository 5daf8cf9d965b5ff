/**
 * One slot beside a plain model of where its connection must be, in random orders of announcements, dials that end well or
 * not, losses, renewals and the end. Connections and dials are the test's.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { Endpoint, HitlessError } from "hitless"
import type { Connection } from "../../src/Connection.ts"
import { isLegal, Slot, type SlotState, type Surroundings, type Tenant } from "../../src/internal/slot.ts"

const places = ["a", "b", "c"] as const

const endpoints = places.map((place) => Endpoint.tcp(place, 1))

/** What a slot asks of a connection. */
class FakeConnection {
  state: "Ready" | "Draining" | "Closed" = "Ready"
  readonly place: number
  readonly endpoint: Endpoint.Endpoint
  readonly address: string
  readonly subject = "#"
  readonly owesUntil = 0
  readonly restored: ReadonlyArray<never>

  constructor(place: number, restored: ReadonlyArray<never>) {
    this.place = place
    this.endpoint = endpoints[place]
    this.address = Endpoint.format(this.endpoint)
    this.restored = restored
  }

  drain(): ReadonlyArray<never> {
    this.state = "Draining"
    return []
  }

  close(): void {
    this.state = "Closed"
  }
}

interface Dial {
  readonly done: Deferred.Deferred<Connection, HitlessError.HitlessError>
  /** Where it leads; anywhere for a reconnect, which the deployment decides. */
  readonly place: number
  /** The announcement that it follows, if any. */
  readonly seq: string | undefined
}

const lost = new HitlessError.ConnectFailed({ kind: "Dropped", detail: "lost", mayHaveExecuted: false })

const operations = [
  "move",
  "move",
  "move",
  "attempt",
  "attempt",
  "attempt",
  "succeed",
  "succeed",
  "succeed",
  "succeed",
  "fail",
  "lose",
  "lose",
  "renew",
  "give up",
  "time",
  "close"
] as const

const index = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const step = Arbitrary.all([index(operations.length - 1), index(2), index(2)])

const make = Effect.gen(function*() {
  const services = yield* Effect.context<never>()
  const nothing: ReadonlyArray<never> = []
  const connections: Array<FakeConnection> = []
  const dials: Array<Dial> = []
  const dial = (place: number) =>
    Effect.suspend(() => {
      const done = Deferred.makeUnsafe<Connection, HitlessError.HitlessError>()
      const entry = { done, place, seq: state.attempting }
      dials.push(entry)
      return Effect.onInterrupt(Deferred.await(done), () =>
        Effect.sync(() => {
          dials.splice(dials.indexOf(entry), 1)
        }))
    })
  let now = 0
  const state: { home: number; attempting: string | undefined } = { home: 0, attempting: undefined }
  // As little of the rooms as a slot looks at.
  const around = {
    runtime: {
      isClosing: false,
      now: () => ++now,
      log: () => {},
      jittered: (millis: number) => millis,
      fork: (effect: Effect.Effect<unknown>) => Effect.runForkWith(services)(effect),
      config: {
        endpoint: endpoints[0],
        commandTimeout: Duration.seconds(1),
        maintenance: {
          handoffTimeout: Duration.seconds(1),
          relaxedTimeout: Duration.seconds(1),
          postHandoffRelaxedDuration: Duration.seconds(2)
        }
      }
    },
    maintenance: {
      hear: () => {},
      onward: (move: Endpoint.Move) => move,
      moveOf: () => undefined,
      tell: () => {},
      relax: () => {},
      lastTarget: undefined,
      timeouts: { forget: () => {} }
    },
    dialer: {
      dialAny: () => Effect.suspend(() => dial(state.home)),
      dial: (target: Endpoint.Endpoint) =>
        dial(endpoints.findIndex((endpoint) => Endpoint.format(endpoint) === Endpoint.format(target))),
      supports: { watch: () => {} }
    },
    logins: { review: () => {} },
    slots: new Set<Slot>(),
    whenDown: new Set<() => void>()
  } as unknown as Surroundings
  const draining = new Set<Connection>()
  const tenant: Tenant = {
    kind: "shared",
    draining,
    restored: () => nothing,
    awaited: Effect.never,
    onChange: () => {},
    onServing: () => {},
    onDialFailed: () => {},
    onUnwritten: () => {},
    onOrphans: () => {},
    onLess: () => {}
  }
  const slot = new Slot(around, tenant, 0)
  return { slot, draining, connections, dials, nothing, world: state, fork: around.runtime.fork }
})

/** Every change of state that was seen. */
const edges = new Set<string>()

const fakeOf = (connection: Connection | undefined) => connection as unknown as FakeConnection | undefined

describe("a slot", { concurrent: false }, () => {
  it.effect.prop(
    "is where it was told to be, loses no connection out of sight, and is never left without a dial",
    [Arbitrary.array(step, { minLength: 10, maxLength: 80 })],
    ([steps]) =>
      Effect.gen(function*() {
        const { connections, dials, draining, fork, nothing, slot, world } = yield* make
        const story: Array<string> = []
        let seq = 0n
        /** The target of the announcement that is followed, as the model has it. */
        let target: number | undefined
        let followed: string | undefined
        let isClosed = false
        const moving = () => slot.state._tag === "Moving" ? slot.state : undefined

        const check = () => {
          const { state } = slot
          const held = fakeOf(slot.connection)
          const what = `${story.join(", ")}: ${state._tag}`
          // Every connection that was made is the slot's, or delivers what it owes, or is closed.
          for (const connection of connections) {
            if (connection === held) assert.strictEqual(connection.state, "Ready", what)
            else if (connection.state !== "Closed") {
              assert.isTrue(draining.has(connection as unknown as Connection), `${what}, and one is left open`)
            }
          }
          assert.strictEqual(state._tag === "Closed", isClosed, what)
          assert.strictEqual(state._tag === "Moving", target !== undefined, what)
          if (state._tag === "Moving") {
            assert.strictEqual(Endpoint.format(state.move.target), `${places[target ?? 0]}:1`, what)
          }
          assert.strictEqual(held !== undefined, state._tag === "Serving" || state._tag === "Moving", what)
        }

        // A client that starts without its server dials on.
        if (steps[0][1] > 0) fork(Effect.ignore(slot.open()))
        else {
          slot.begin()
          edges.add(`Empty → ${slot.state._tag}`)
        }
        yield* TestClock.adjust(0)
        for (const [at, place, second] of steps) {
          const operation = operations[at]
          const before: SlotState = slot.state
          const held = fakeOf(slot.connection)
          // Announcements of other endpoints are some, and not most.
          const first = place < 2 && held !== undefined ? held.place : place
          story.push(`${operation} ${places[first]} ${places[second]}`)
          switch (operation) {
            case "move": {
              const retiring = endpoints[first]
              const move = { retiring, target: endpoints[second], until: 1e9, seq: String(++seq) }
              world.home = second
              const follows = slot.follow(move)
              // Back to where it is ends a move; anywhere else begins one. What is not here is not its move.
              if (held?.place === first) {
                target = second === first ? undefined : second
                followed = String(seq)
              }
              assert.strictEqual(follows, held?.place === first && second !== first, story.join(", "))
              break
            }
            case "attempt": {
              const state = moving()
              if (state === undefined) break
              world.attempting = state.move.seq
              fork(Effect.ignore(slot.replace(state.move, Duration.seconds(1))))
              yield* TestClock.adjust(0)
              world.attempting = undefined
              break
            }
            case "succeed":
            case "fail": {
              const dial = dials.shift()
              if (dial === undefined) break
              if (operation === "fail") {
                yield* Deferred.fail(dial.done, new HitlessError.HitlessError({ reason: lost }))
                break
              }
              const connection = new FakeConnection(dial.place, nothing)
              connections.push(connection)
              yield* Deferred.succeed(dial.done, connection as unknown as Connection)
              yield* TestClock.adjust(0)
              // A new connection is the end of every move but of one that was announced after the one that led to it.
              const isOvertaken = dial.seq !== undefined && target !== undefined && dial.seq !== followed
              if (fakeOf(slot.connection) === connection && !isOvertaken) target = undefined
              break
            }
            case "lose":
              if (held === undefined) break
              held.state = "Closed"
              slot.onClosed(held as unknown as Connection, lost, [])
              target = undefined
              break
            case "renew":
              fork(slot.renew(10, false))
              break
            case "give up": {
              const state = moving()
              if (state !== undefined) slot.giveUp(state)
              target = undefined
              break
            }
            case "time":
              yield* TestClock.adjust("3 seconds")
              break
            case "close":
              // What comes after it is looked at too, but not in most runs.
              if (place !== 0 || second === 2) break
              fakeOf(slot.close())?.close()
              target = undefined
              isClosed = true
              break
          }
          yield* TestClock.adjust(0)
          check()
          if (before._tag !== slot.state._tag) edges.add(`${before._tag} → ${slot.state._tag}`)
        }
        yield* TestClock.adjust("5 seconds")
        if (slot.state._tag === "Reconnecting") assert.isAbove(dials.length, 0, `${story.join(", ")}: nobody dials`)
      }),
    { timeout: 120_000, arbitrary: { runs: 600, seed: 1 } }
  )

  it("was seen to go from each state to each that may follow", () => {
    const tags: ReadonlyArray<SlotState["_tag"]> = ["Empty", "Serving", "Moving", "Reconnecting", "Closed"]
    const legal = tags.flatMap((from) =>
      tags.filter((to) => from !== to && isLegal(from, to)).map((to) => `${from} → ${to}`)
    )
    assert.deepStrictEqual(Array.from(edges).sort(), legal.sort())
  })
})
