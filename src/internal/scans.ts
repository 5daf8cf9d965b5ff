/**
 * Scans as streams: one command a step, each of which goes wherever its client is connected then.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Command } from "../commands/command.ts"
import type { Cursor } from "../commands/decode.ts"
import type { HitlessError } from "../HitlessError.ts"
import type { Calls } from "./calls.ts"

/** All that the steps give, from the first to the last. @internal */
export const scanned = <Page extends { readonly cursor: Cursor }, A>(
  run: Calls["run"],
  step: (cursor: Cursor) => Command<Page>,
  items: (page: Page) => ReadonlyArray<A>
): Stream.Stream<A, HitlessError> =>
  Stream.paginate<Cursor, A, HitlessError>("0", (cursor) =>
    Effect.map(run(step(cursor)), (page) => [
      items(page),
      page.cursor === "0" ? Option.none() : Option.some(page.cursor)
    ]))
