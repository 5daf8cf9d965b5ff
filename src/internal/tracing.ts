/**
 * Spans around what users see: a command, a batch, a handoff. Only where the program brought a tracer of its own;
 * Effect's built-in one exports nothing, and a span costs more than the rest of a command.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import type { Endpoint } from "../Endpoint.ts"

/** The attributes that all spans of one client share, by OpenTelemetry's names. @internal */
export const clientAttributes = (endpoint: Endpoint, database: number): Record<string, unknown> => ({
  "db.system.name": "redis",
  "db.namespace": String(database),
  ...(endpoint._tag === "Tcp"
    ? { "server.address": endpoint.host, "server.port": endpoint.port }
    : { "server.address": endpoint.path })
})

/** Whether the fiber's program brought a tracer. Asked for each command: the fiber's cache costs no look-up. @internal */
export const isTraced = ({ cache: { tracer } }: Fiber.Fiber<unknown, unknown>): boolean =>
  tracer !== undefined && tracer !== Tracer.nativeTracer

/** Runs the effect in a client span. @internal */
export const traced = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: string,
  attributes: Record<string, unknown>
): Effect.Effect<A, E, R> => Effect.useSpan(name, { kind: "client", attributes }, () => effect)
