/**
 * A reserved connection beside a plain model of one Redis session: whatever its user does, and whenever its connection moves
 * or is lost in between, each reply is the one that the model gives, or the failure that it foresees.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { type HitlessError, HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan } from "hitless/testing"
import { SimulatedRedis } from "hitless/testing/SimulatedRedis"
import { addresses, nodes, rehearse } from "./support/rehearsal.ts"

const operations = [
  "INCR",
  "GET",
  "SELECT",
  "WATCH",
  "WATCH",
  "WATCH",
  "UNWATCH",
  "MULTI",
  "MULTI",
  "EXEC",
  "EXEC",
  "EXEC",
  "DISCARD",
  "CLIENT SETNAME",
  "CLIENT GETNAME",
  "another's INCR",
  "another's INCR",
  "move",
  "move",
  "kill",
  "kill"
] as const

type Operation = (typeof operations)[number]

const index = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const step = Arbitrary.all([index(operations.length - 1), index(1)])

const aborted = "TransactionAborted"

/** One session as the documentation of Redis tells it, and what this library promises for a lost connection. */
class Model {
  private readonly data = new Map<string, number>()
  private readonly watched = new Set<string>()
  private database = 0
  private name: string | null = null
  private queue: Array<() => unknown> | undefined
  private isDirty = false
  private lost: "transaction" | "watches" | undefined

  /** Whether it is worth doing now: what a server refuses in every state is not looked at here. */
  allows(operation: Operation): boolean {
    const isOpen = this.queue !== undefined || this.lost === "transaction"
    switch (operation) {
      case "EXEC":
      case "DISCARD":
        return isOpen
      case "MULTI":
      case "WATCH":
      case "UNWATCH":
      case "SELECT":
      case "CLIENT SETNAME":
      case "CLIENT GETNAME":
        return !isOpen
      default:
        return true
    }
  }

  kill(): void {
    if (this.queue !== undefined) this.lost = "transaction"
    else if (this.watched.size > 0) this.lost = "watches"
    this.end()
  }

  increment(database: number, key: string): number {
    const place = `${database} ${key}`
    const value = (this.data.get(place) ?? 0) + 1
    this.data.set(place, value)
    if (this.watched.has(place)) this.isDirty = true
    return value
  }

  /** The reply, or the reason of the failure. */
  run(operation: Operation, choice: number): unknown {
    const key = `key ${choice}`
    if (this.lost === "transaction") {
      if (operation === "DISCARD") {
        this.lost = undefined
        return "OK"
      }
      if (operation === "EXEC") this.lost = undefined
      return aborted
    }
    switch (operation) {
      case "SELECT":
        this.database = choice
        return "OK"
      case "CLIENT SETNAME":
        this.name = `name-${choice}`
        return "OK"
      case "CLIENT GETNAME":
        return this.name
      case "WATCH":
        this.watched.add(`${this.database} ${key}`)
        return "OK"
      case "UNWATCH":
        this.end()
        this.lost = undefined
        return "OK"
      case "MULTI":
        this.queue = []
        return "OK"
      case "DISCARD":
        this.end()
        this.lost = undefined
        return "OK"
      case "EXEC": {
        const { isDirty, lost, queue = [] } = this
        this.end()
        this.lost = undefined
        return lost === "watches" ? aborted : isDirty ? null : queue.map((command) => command())
      }
      default: {
        const { database } = this
        const command = () =>
          operation === "INCR"
            ? this.increment(database, key)
            : this.data.has(`${database} ${key}`)
            ? String(this.data.get(`${database} ${key}`))
            : null
        if (this.queue === undefined) return command()
        this.queue.push(command)
        return "QUEUED"
      }
    }
  }

  private end(): void {
    this.queue = undefined
    this.watched.clear()
    this.isDirty = false
  }
}

const wordsOf = (operation: Operation, choice: number): readonly [string, ...ReadonlyArray<string | number>] => {
  switch (operation) {
    case "INCR":
    case "GET":
    case "WATCH":
      return [operation, `key ${choice}`]
    case "SELECT":
      return [operation, choice]
    case "CLIENT SETNAME":
      return ["CLIENT", "SETNAME", `name-${choice}`]
    case "CLIENT GETNAME":
      return ["CLIENT", "GETNAME"]
    default:
      return [operation]
  }
}

const told = (exit: Exit.Exit<unknown, HitlessError.HitlessError>): unknown =>
  Exit.match(exit, {
    onSuccess: (reply) => reply,
    onFailure: () => {
      const error = Exit.findErrorOption(exit)
      return error._tag === "Some" ? error.value.reason._tag : String(exit)
    }
  })

describe("a reservation", () => {
  it.live.prop(
    "answers as one session would, through every order of moves and losses",
    [Arbitrary.array(step, { minLength: 10, maxLength: 60 })],
    ([steps]) =>
      Effect.gen(function*() {
        const redis = yield* HitlessRedis.HitlessRedis
        const clock = yield* MaintenanceClock.MaintenanceClock
        const deployment = yield* SimulatedRedis
        const own = yield* redis.reserve
        const model = new Model()
        let seq = 0
        const story: Array<string> = []
        for (const [at, choice] of steps) {
          // A transaction is what most depends on the connection.
          const operation = operations[at] === "EXEC" && !model.allows("EXEC") ? "MULTI" : operations[at]
          if (!model.allows(operation)) continue
          story.push(`${operation} ${choice}`)
          switch (operation) {
            case "move":
              // Nobody hangs up when the time is over: what stays where it is is not lost.
              for (const [place, node] of nodes.entries()) {
                const elements = ["MOVING", ++seq, 20, addresses[nodes[(place + 1) % nodes.length]]]
                yield* clock.schedule(
                  yield* MaintenancePlan.make({ nodes, steps: [{ step: "push", at: 0, node, elements }] })
                )
                if (choice === 0) break
              }
              yield* clock.advance("1 second")
              break
            case "kill":
              for (const node of nodes) yield* deployment.kill(node)
              model.kill()
              yield* clock.advance("3 seconds")
              break
            case "another's INCR":
              assert.strictEqual(
                yield* clock.advanceUntil(redis.send("INCR", `key ${choice}`)),
                model.increment(0, `key ${choice}`)
              )
              break
            default: {
              const expected = model.run(operation, choice)
              const exit = yield* clock.advanceUntil(Effect.exit(own.send(...wordsOf(operation, choice))))
              assert.deepStrictEqual(told(exit), expected, story.join(", "))
            }
          }
        }
      }).pipe(Effect.scoped, rehearse()),
    { timeout: 120_000, arbitrary: { runs: 250 } }
  )
})
