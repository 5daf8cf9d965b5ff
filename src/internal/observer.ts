/**
 * A look at every request of a client, for the test kit: what was asked, when, and how it ended.
 */
import * as Context from "effect/Context"
import type { RequestObserver } from "./request.ts"

/** Read once, when a client is made. @internal */
export const CurrentRequestObserver = Context.Reference<RequestObserver | undefined>("hitless/CurrentRequestObserver", {
  defaultValue: () => undefined
})
