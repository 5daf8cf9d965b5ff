/**
 * Requests without a client around them.
 */
import { final, outcomeOf, settle } from "../../src/internal/outcome.ts"
import type { Request, Site } from "../../src/internal/request.ts"

/** Gives the one who waits for a request what the replies mean, as an owner does that sends nothing again. */
export const answerRequest = (request: Request, value: unknown, site: Site): void =>
  settle(request, outcomeOf(request, { _tag: "Replied", value, site, passing: undefined }, final))
