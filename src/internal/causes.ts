/**
 * How code of the program's own ended, for errors and logs: without the words of what it failed or died with, since they
 * can be secret.
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** @internal */
export const kindOf = (thrown: unknown): string => thrown instanceof Error ? thrown.name : typeof thrown

/** @internal */
export const endOf = (cause: Cause.Cause<unknown>): string =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: (error) => `failed with ${kindOf(error)}`,
    onNone: () =>
      Result.match(Cause.findDefect(cause), {
        onFailure: () => "was interrupted",
        onSuccess: (defect) => `died with ${kindOf(defect)}`
      })
  })
