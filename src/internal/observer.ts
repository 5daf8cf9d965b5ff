/**
 * A look at every request of a client, for the test kit: what was asked, when, and how it ended.
 */
import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import type { HitlessError } from "../HitlessError.ts"
import type { Request } from "./request.ts"

/** Called when a request is over, synchronously; `exit` is `undefined` when nobody waited any more. @internal */
export type RequestObserver = (request: Request, exit: Exit.Exit<unknown, HitlessError> | undefined) => void

/** Read once, when a client is made. @internal */
export const CurrentRequestObserver = Context.Reference<RequestObserver | undefined>("hitless/CurrentRequestObserver", {
  defaultValue: () => undefined
})
