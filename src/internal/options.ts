/**
 * What the table of options is made of: fields that tell the one rule they break, and the kinds of options.
 *
 * A rule is what is wrong and what would be right, after the name of the field. What was given is repeated for numbers,
 * lengths of time and words alone; what users make up could be a secret, or contain one.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { durationOf } from "./duration.ts"
import type { Read } from "./variables.ts"

/** @internal */
export const broken = (message: string): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message })

/** What is wrong with what was given, and what would be right. */
type Rule = (given: unknown) => string

/** An optional field with one rule, which is what it breaks whatever part of its schema is not satisfied. @internal */
export const field = <S extends Schema.Constraint>(schema: S, rule: string | Rule) => {
  const decodeField = SchemaParser.decodeUnknownEffect(Schema.UndefinedOr(schema))
  return Schema.optionalKey(
    Schema.Unknown.pipe(
      Schema.decodeTo(Schema.UndefinedOr(Schema.toType(schema)), {
        decode: SchemaGetter.transformEffect((given, options) =>
          Effect.mapError(
            decodeField(given, options),
            () => broken(typeof rule === "string" ? rule : rule(given))
          )
        ),
        encode: SchemaGetter.forbidden(() => "options are only decoded")
      })
    )
  )
}

/** An optional group of fields, each with its own rule; `rule` is for what is not a group at all. @internal */
export const group = <S extends Schema.Constraint>(schema: S, rule: string) =>
  Schema.optional(schema).annotate({ message: rule })

// A misspelt key would otherwise be ignored, and its default used, without a word.
/** @internal */
export const known = { messageUnexpectedKey: "is not an option" }

/** @internal */
export const atLeast = (minimum: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(minimum))

/** @internal */
export const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** @internal */
export const duration = (holds: (self: Duration.Duration) => boolean) =>
  Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Duration.check(Schema.makeFilter(holds)), {
      decode: SchemaGetter.transformEffect((given) => {
        const duration = durationOf(given)
        return duration === undefined ? Effect.fail(broken("is no duration")) : Effect.succeed(duration)
      }),
      encode: SchemaGetter.passthrough()
    })
  )

/** @internal */
export const isPositiveAndFinite = (self: Duration.Duration): boolean =>
  Duration.isPositive(self) && Duration.isFinite(self)

/** @internal */
export const isFiniteAndNotNegative = (self: Duration.Duration): boolean =>
  Duration.isFinite(self) && !Duration.isNegative(self)

// ----- kinds of options -----

/**
 * An option as the table has it: what it may be, the rule that anything else breaks, what it is where nothing is said, and
 * how the environment's text is read, where there is such. What it is for is said where its type is, in `Options`.
 *
 * @internal
 */
export interface Option<S extends Schema.Constraint, D extends S["Type"] | undefined> {
  readonly schema: S
  readonly rule: Rule
  readonly default: D
  readonly env: Read | undefined
}

/** An option that takes what users make up, which is not repeated: a URL with a password is easily mistaken for a host. @internal */
export const option = <S extends Schema.Constraint, const D extends S["Type"] | undefined = undefined>(
  schema: S,
  rule: string,
  more: { readonly example: string; readonly default?: D; readonly env?: Read }
): Option<S, D> => ({
  schema,
  rule: () => `${rule}; write ${more.example}`,
  default: more.default as D,
  env: more.env
})

/** What was given, if it is short and plain, and a space. */
const shown = (given: unknown): string =>
  typeof given === "string" && given.length <= 32
    ? `${JSON.stringify(given)} `
    : (typeof given === "number" && !Number.isNaN(given)) || typeof given === "boolean"
    ? `${given} `
    : ""

/** An option that is a number or one of a few words. @internal */
export const choice = <S extends Schema.Constraint, const D extends S["Type"]>(
  schema: S,
  rule: string,
  more: { readonly default: D & (string | number); readonly env?: Read }
): Option<S, D> => ({
  schema,
  rule: (given) => `${shown(given)}${rule}; write ${more.default}`,
  default: more.default,
  env: more.env
})

/** An option that is a length of time; `others` are words that it can be as well. @internal */
export const length = <S extends Schema.Constraint, const D extends S["Type"] | undefined = undefined>(
  schema: S,
  rule: string,
  more: { readonly default?: D; readonly env?: Read; readonly others?: string } = {}
): Option<S, D> => ({
  schema,
  rule: (given) => {
    const what = typeof given === "string" && durationOf(given) === undefined ? "is no duration" : rule
    return `${shown(given)}${what}; write 5s, 500ms or 5 seconds${more.others ?? ""}`
  },
  default: more.default as D,
  env: more.env
})

/** @internal */
export type Table = Readonly<Record<string, Option<Schema.Constraint, unknown>>>
