/**
 * Requests without a client around them.
 */
import { final, outcomeOf, settle } from "../../src/internal/outcome.ts"
import { Request, type RequestOwner, type Resume, type Site, type Words } from "../../src/internal/request.ts"

/** Gives the one who waits for a request what the replies mean, as an owner does that sends nothing again. */
export const answerRequest = (request: Request, value: unknown, site: Site): void =>
  settle(request, outcomeOf(request, { _tag: "Replied", value, site, passing: undefined }, final))

/** A request of one command that is answered with text. */
export const command = (
  owner: RequestOwner,
  words: Words,
  startedAt: number,
  resume: Resume,
  timeout: number = 3000
): Request => new Request({ owner, kind: "command", words, batch: undefined, bytes: false, timeout, startedAt, resume })
