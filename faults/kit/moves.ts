/**
 * One announced move after the other under a client that uses every kind of connection, and nothing else: no call may fail,
 * nothing may be missed, and each kind follows each move.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Handoff } from "hitless"
import { until } from "./cell.ts"
import { conclude, type Look, look, makeStage } from "./soak.ts"

/** One is left every 250 ms, and left again when its second is long over. */
const nodes = 7
const announced = 1
const every = "250 millis"

/** Moves between two looks. */
const perLook = 40

const moving = ["shared", "reserved", "subscriber"] as const

/** Makes so many moves against a real server, and tells of each look, whose events are handoffs; gives the problems. */
export const soakMoves = (
  program: string,
  count: number,
  tell: (look: Look) => void
): Effect.Effect<ReadonlyArray<string>, Error> =>
  Effect.gen(function*() {
    const stage = yield* makeStage(program, nodes)
    const { name, network, redis } = stage
    const completed: Array<Handoff.Completed> = []
    yield* redis.handoffs.pipe(
      Stream.runForEach((event) => Effect.sync(() => event._tag === "Completed" && completed.push(event))),
      Effect.forkScoped({ startImmediately: true })
    )

    /** Leaves the node that the name leads to for the next; which kinds did not follow. */
    const move = Effect.gen(function*() {
      const begun = completed.length
      const from = name.node
      const to = (from + 1) % nodes
      yield* network.announce(from, to, announced)
      name.node = to
      const stays = () =>
        moving.filter((kind) =>
          !completed.slice(begun).some((one) => one.kind === kind && one.to === `127.0.0.1:${network.ports[to]}`)
        )
      yield* Effect.sleep(every)
      yield* until(Effect.sync(() => stays().length === 0))
      return stays()
    })

    const looks: Array<Look> = []
    for (let made = 0; made < count; made += perLook) {
      const behind: Array<string> = []
      const seen = yield* look(
        stage,
        looks.length,
        (events) =>
          Effect.gen(function*() {
            // One that is dialled in a move may come to the next node by itself.
            yield* until(Effect.map(redis.status, ({ leases, subscribers }) =>
              [leases, subscribers].every((held) =>
                held.some(({ state }) => state === "Serving")
              )))
            const begun = completed.length
            for (let i = made; i < Math.min(count, made + perLook); i++) {
              behind.push(...yield* move)
            }
            events.push(
              ...completed.slice(begun).map(({ kind }) =>
                kind
              )
            )
          }),
        ({ failures, gaps }) => [
          ...new Set(failures.map(({ message }) =>
            `failed: ${message}`
          )),
          ...gaps.map((why) => `a gap: ${why}`),
          ...behind.map((kind) => `${kind} did not follow a move`)
        ]
      )
      looks.push(seen)
      tell(seen)
      if (seen.problems.length > 0) break
    }
    return yield* conclude(stage, looks)
  }).pipe(Effect.scoped)
