/**
 * Any plan, any interleaving: what must hold whatever a deployment does to its clients.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { HitlessRedis } from "hitless"
import { MaintenanceClock, MaintenancePlan, Rehearsal, type SimulatedRedis, TestRedis } from "hitless/testing"

const nodes = ["a", "b", "c"] as const

const fibers = 20

// ----- plans -----

const oneOf = <const A extends ReadonlyArray<string | number | null>>(values: A) =>
  Arbitrary.schema(Schema.Literals(values as ReadonlyArray<string | number>)) as Arbitrary.Arbitrary<A[number]>

const upTo = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

/** Every step, and moves more often. */
const kinds = [
  ...(Object.keys(MaintenancePlan.Step.cases) as ReadonlyArray<MaintenancePlan.Step["step"]>),
  "moving",
  "moving"
] as const

const handshakes: ReadonlyArray<MaintenancePlan.Handshake> = [
  { _tag: "Answer", delay: Duration.millis(200) },
  { _tag: "Answer" },
  { _tag: "HangBeforeHello" },
  { _tag: "HangAfterHello" },
  { _tag: "NoAuth" },
  { _tag: "DropAfterBytes", bytes: 20 }
]

const elements: ReadonlyArray<ReadonlyArray<SimulatedRedis.PushElement>> = [
  ["SMIGRATING", 900, "1,5,7-9"],
  ["SMIGRATED", 901, [["10.0.0.1:6379", "10.0.0.2:6379", "1,5,7-9"]]],
  ["MOVING", 902, -5, "null"],
  ["MOVING", "903", "2", "[2001:db8::1]:12000"],
  ["message", "news", "not subscribed"],
  [null]
]

/** One step at a time of the first minute. */
const step = Arbitrary.map(
  Arbitrary.all([oneOf(kinds), upTo(60_000), upTo(2), upTo(2), upTo(5000), upTo(5)]),
  ([step, at, from, to, amount, choice]): MaintenancePlan.StepInput => {
    const node = nodes[from]!
    const other = nodes[(from + 1 + to % 2) % 3]!
    switch (step) {
      case "migrating":
      case "failingOver":
        return { step, at, node, time: amount * 4 }
      case "moving":
        return { step, at, node, time: amount * 4, target: choice === 0 ? null : other }
      case "stall":
        return { step, at, node, duration: amount }
      case "readonly":
      case "loading":
        return { step, at, node, duration: amount }
      case "latency":
        return { step, at, node, delay: Math.floor(amount / 10) }
      case "handshake":
        return { step, at, node, handshake: handshakes[choice]! }
      case "push":
        return { step, at, node, elements: elements[choice]! }
      case "dns":
        return { step, at, name: MaintenancePlan.databaseName, target: choice === 0 ? null : node }
      default:
        return { step, at, node }
    }
  }
)

// Commands are under way when something happens only if they take time.
const distance: ReadonlyArray<MaintenancePlan.StepInput> = nodes.map((node) => ({
  step: "latency",
  at: 0,
  node,
  delay: 10
}))

/** After a minute of trouble everything is as it was, and nothing happens any more. */
const calm: ReadonlyArray<MaintenancePlan.StepInput> = [
  { step: "dns", at: "61 seconds", name: MaintenancePlan.databaseName, target: "a" },
  ...nodes.flatMap((node): ReadonlyArray<MaintenancePlan.StepInput> => [
    { step: "accept", at: "61 seconds", node },
    { step: "latency", at: "61 seconds", node, delay: 0 },
    { step: "handshake", at: "61 seconds", node, handshake: { _tag: "Answer" } }
  ])
]

// ----- what the fibers do -----

/** A reply that is not the one of its command. */
const mixedUp = (command: string, got: unknown) => Effect.die(new Error(`${command} was answered with ${String(got)}`))

/** Random commands with random pauses; every reply is checked to be the one of its command. */
const work = Effect.fnUntraced(function*(id: number, running: () => boolean) {
  const redis = yield* HitlessRedis.HitlessRedis
  for (let round = 0; running(); round++) {
    const tag = `${id}:${round}`
    const kind = yield* Random.nextIntBetween(0, 6)
    const command = Effect.gen(function*() {
      switch (kind) {
        case 0: {
          const reply = yield* redis.send("ECHO", tag)
          if (reply !== tag) return yield* mixedUp(`ECHO ${tag}`, reply)
          return
        }
        case 1: {
          const replies = yield* redis.pipeline([["ECHO", tag], ["INCR", `pipelined:${tag}`], ["ECHO", `${tag}!`]])
          const [first, , last] = replies
          if (Result.isSuccess(first!) && first.success !== tag) return yield* mixedUp("the first ECHO", first.success)
          if (Result.isSuccess(last!) && last.success !== `${tag}!`) {
            return yield* mixedUp("the last ECHO", last.success)
          }
          return
        }
        case 2: {
          const replies = yield* redis.transaction([["INCR", `transacted:${tag}`], ["ECHO", tag]])
          if (Result.isSuccess(replies[1]!) && replies[1].success !== tag) {
            return yield* mixedUp("ECHO in a transaction", replies[1].success)
          }
          return
        }
        default:
          return yield* redis.send("INCR", `counter:${id}`)
      }
    })
    // One in ten is given up after up to 50 ms, wherever it is then.
    const impatient = (yield* Random.nextIntBetween(0, 10)) === 0
    yield* Effect.ignore(impatient ? Effect.timeout(command, yield* Random.nextIntBetween(0, 50)) : command)
    yield* Effect.sleep(yield* Random.nextIntBetween(1, 500))
  }
})

const nothing = { acknowledged: 0, uncertain: 0 }

const rehearse = Effect.fnUntraced(function*(plan: MaintenancePlan.MaintenancePlan) {
  const redis = yield* HitlessRedis.HitlessRedis
  const clock = yield* MaintenanceClock.MaintenanceClock
  let running = true
  const all = yield* Effect.forkChild(
    Effect.forEach(Array.from({ length: fibers }, (_, id) => id), (id) => work(id, () => running), {
      concurrency: "unbounded",
      discard: true
    }),
    { startImmediately: true }
  )
  yield* clock.run(plan)
  // What works again is used again, for as long as the longest wait between two dials.
  yield* clock.advance("5 seconds")
  running = false
  // Windows end by themselves after the announced time, at most 20 s here, and twice the relaxed 10 s after a handoff.
  yield* clock.advance("2 minutes")
  yield* Fiber.join(all)

  const { handoffs, lost, pending, repeated, writes } = yield* Rehearsal.report
  assert.deepStrictEqual({ lost, repeated, pending }, { lost: [], repeated: [], pending: 0 })
  assert.deepStrictEqual(handoffs.filter(({ outcome }) => outcome === "unfinished"), [])

  const status = yield* redis.status
  assert.deepStrictEqual(status.windows, [])
  assert.strictEqual(status.draining, 0)
  assert.deepStrictEqual(status.slots.filter(({ state }) => state === "Moving" || state === "Reconnecting"), [])

  // Whatever was acknowledged is stored, and nothing that cannot be explained by a command whose end was unknown.
  for (let id = 0; id < fibers; id++) {
    const stored = Number(yield* redis.send<string | null>("GET", `counter:${id}`))
    const { acknowledged, uncertain } = writes.find(({ key }) => key === `counter:${id}`) ?? nothing
    assert.isAtLeast(stored, acknowledged, `counter:${id} lost increments`)
    assert.isAtMost(stored, acknowledged + uncertain, `counter:${id} was incremented too often`)
  }
  yield* Rehearsal.assertNothingLeftOpen
})

describe("whatever happens to a deployment", () => {
  it.live.prop(
    "replies match their commands, nothing is lost or doubled, and all windows and handoffs end",
    [Arbitrary.array(step, { minLength: 10, maxLength: 30 }), upTo(1_000_000)],
    ([steps, seed]) =>
      MaintenancePlan.make({ nodes, steps: [...distance, ...steps, ...calm] }).pipe(
        Effect.flatMap((plan) =>
          rehearse(plan).pipe(
            Effect.provide(TestRedis.layer({
              nodes,
              seed,
              client: { poolSize: 4, maintenance: { logLevel: "Error" } }
            }))
          )
        )
      ),
    { timeout: 300_000, arbitrary: { runs: 30 } }
  )
})
