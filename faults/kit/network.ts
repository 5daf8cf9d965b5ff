/**
 * The handle of a network that misbehaves as it is told: see `networkWorker.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import type { NetworkFault, Request } from "./networkWorker.ts"

export type { NetworkFault }

type Body<R> = R extends Request ? Omit<R, "id"> : never

export interface Network {
  /** The ports of its nodes, which all lead to one server. */
  readonly ports: ReadonlyArray<number>
  /** Begins a fault at a node, or ends the one that it has. */
  readonly fault: (node: number, fault: NetworkFault | undefined) => Effect.Effect<void>
  /** Announces that a node is left for another one, or for `null`; when the time is over it closes all its connections. */
  readonly announce: (node: number, target: number | null, seconds: number) => Effect.Effect<void>
  /** New connections to any node lead to another server from now on. */
  readonly lead: (upstream: string) => Effect.Effect<void>
  /** How many connections clients have to its nodes. */
  readonly links: Effect.Effect<number>
}

/** So many nodes before the server that listens on a Unix socket; gone when the scope closes. */
export const makeNetwork = (upstream: string, count: number): Effect.Effect<Network, never, Scope.Scope> =>
  Effect.gen(function*() {
    const waiting = new Map<number, (value: number) => void>()
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(new URL("./networkWorker.ts", import.meta.url))),
      (worker) => Effect.promise(() => worker.terminate())
    )
    worker.on("message", ({ id, value }: { readonly id: number; readonly value: number }) => {
      waiting.get(id)?.(value)
      waiting.delete(id)
    })
    worker.on("error", (error) => {
      throw error
    })
    let last = 0
    const ask = (body: Body<Request>): Effect.Effect<number> =>
      Effect.callback((resume) => {
        const id = ++last
        waiting.set(id, (value) => resume(Effect.succeed(value)))
        worker.postMessage({ ...body, id })
      })
    yield* ask({ op: "lead", upstream })
    const ports = yield* Effect.forEach(Array.from({ length: count }), () => ask({ op: "listen" }))
    return {
      ports,
      fault: (node, fault) => Effect.asVoid(ask({ op: "fault", node, fault })),
      announce: (node, target, seconds) =>
        Effect.asVoid(
          ask({ op: "announce", node, target: target === null ? null : `127.0.0.1:${ports[target]}`, seconds })
        ),
      lead: (upstream) => Effect.asVoid(ask({ op: "lead", upstream })),
      links: Effect.map(
        Effect.forEach(ports, (_, node) => ask({ op: "links", node })),
        (counts) => counts.reduce((a, b) => a + b, 0)
      )
    }
  })
