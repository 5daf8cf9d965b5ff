/**
 * A look at a client for the test kit: every request, and every gap that its subscriptions were told of.
 */
import * as Context from "effect/Context"
import type { Gap } from "../PubSub.ts"
import type { RequestObserver } from "./request.ts"

/** Who looks. Calls are synchronous. @internal */
export interface Observer {
  /** What was asked, when, and how it ended. */
  readonly onSettled: RequestObserver
  /** A client was made, of which so many commands are waiting or unanswered; ended by what it returns. */
  readonly onClient: (pending: () => number) => () => void
  /** A gap that a stream of messages has, or one that all of them have. */
  readonly onGap: (gap: Gap) => void
}

/** Read once, when a client is made. @internal */
export const CurrentObserver = Context.Reference<Observer | undefined>("hitless/CurrentObserver", {
  defaultValue: () => undefined
})
