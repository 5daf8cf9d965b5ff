/**
 * How errors of this package are shown: their message first, their data after it, and the caller's code where the
 * program told of it.
 *
 * An error is made on the stack of a reader or an alarm, never on its caller's, and to record where each command was
 * called takes about half as long as the command (0.9 µs for one frame). What is free are the frames that `Effect.fn` and
 * spans leave in the fiber: only a failure looks at them.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { StackFrame } from "effect/References"

/** Where the engine cannot be told how much of the stack to record, it records what it likes. */
const tracesCanBeLimited = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")?.writable === true

/** From here on errors record no stack. Returns what `recordTraces` takes. @internal */
export const recordNoTraces = (): number => {
  const limit = Error.stackTraceLimit
  if (tracesCanBeLimited) Error.stackTraceLimit = 0
  return limit
}

/** @internal */
export const recordTraces = (limit: number): void => {
  if (tracesCanBeLimited) Error.stackTraceLimit = limit
}

/** The parameters of a method under `NodeInspectSymbol`, as far as an engine gives them. @internal */
export type Inspecting = readonly [
  depth?: number,
  options?: object,
  inspect?: (value: unknown, options?: object) => string
]

/** What `console.log` shows of an error: as of any other, its stack and its data. @internal */
export const inspected = (error: Error, data: object, [, options, inspect]: Inspecting): unknown =>
  inspect === undefined ? `${error}` : `${error.stack ?? error} ${inspect(data, options)}`

/** What `JSON.stringify` and the loggers of JSON show of an error. @internal */
export const encoded = (error: Error & { readonly _tag: string }, data: object): object => ({
  _tag: error._tag,
  message: error.message,
  ...data
})

/** Effect shows ten, too. */
const mostFrames = 10

/** As Effect writes the frames of a fiber. */
const framesOf = (innermost: StackFrame): string => {
  let lines = ""
  let frame: StackFrame | undefined = innermost
  for (let shown = 0; frame !== undefined && shown < mostFrames; shown++) {
    const stack: string = frame.stack() ?? ""
    const place = /\((.*)\)/.exec(stack)?.[1] ?? stack.replace(/^\s*at /, "")
    lines += `\n    at ${frame.name}${place === "" ? "" : ` (${place})`}`
    frame = frame.parent
  }
  return lines
}

/**
 * Fails as `exit` does, with a stack that leads through the frames of the fiber that fails.
 *
 * @internal
 */
export const located = <E extends Error>(error: E, exit: Exit.Exit<never, E>): Effect.Effect<never, E> =>
  Effect.withFiber(({ cache: { stackFrame } }) => {
    if (stackFrame !== undefined) {
      Object.defineProperty(error, "stack", {
        configurable: true,
        // To write them out takes longer than everything else about a failure. Effect leaves a stack out from a frame of
        // its own on, and then shows the frames itself where it has the cause: they are not shown twice.
        get: () => `${error}\n    at ~effect/Effect${framesOf(stackFrame)}`,
        // Any other error's can be set.
        set: (value: unknown) => {
          Object.defineProperty(error, "stack", { configurable: true, writable: true, value })
        }
      })
    }
    return exit
  })
