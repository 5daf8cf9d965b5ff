/**
 * The environment's variables: their text as the options it means, and what is wrong with it carried along as it is, so
 * that it can be told together with all else that is wrong.
 *
 * It knows no option: each is read as its table says. What a variable says is never printed.
 */
import * as EffectConfig from "effect/Config"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "../Endpoint.ts"
import { durationOf } from "./duration.ts"

/** What a variable of the environment says that breaks a rule; printed it shows its name alone. @internal */
export class Variable {
  readonly name: string
  /** What it breaks, where that is not the rule of its option. */
  readonly rule: string | undefined
  readonly #value: unknown

  constructor(name: string, value: unknown, rule: string | undefined) {
    this.name = name
    this.rule = rule
    this.#value = value
  }

  get value(): unknown {
    return this.#value
  }
}

/** Puts what variables say in their place, and notes which fields that is. @internal */
export const unwrapped = (given: unknown, variables: Map<string, Variable>, path: string): unknown => {
  if (given instanceof Variable) {
    variables.set(path, given)
    return given.value
  }
  // Options of one level and those of maintenance; whatever else there is has none.
  if ((path !== "" && path !== "maintenance") || typeof given !== "object" || given === null) return given
  const fields = Object.entries(given)
  const read = fields.map(([name, value]) => {
    return [name, unwrapped(value, variables, path === "" ? name : `${path}.${name}`)] as const
  })
  return read.some(([_, value], index) => value !== fields[index][1]) ? Object.fromEntries(read) : given
}

/** Reads the environment's text for an option: as what it means, or, where it means nothing, as it is. @internal */
export type Read = (text: string) => unknown

/** @internal */
export const verbatim: Read = (text) => text

/** @internal */
export const numeric: Read = (text) => /^-?\d+$/.test(text) ? Number(text) : text

/** @internal */
export const time: Read = (text) => durationOf(text) ?? text

/** @internal */
export const listed = (text: string): ReadonlyArray<string> =>
  text.split(",").map((host) => host.trim()).filter((host) => host !== "")

/** `10.0.0.5:12000=cache.example.com:7001,…` @internal */
export const pairs: Read = (text) => Object.fromEntries(listed(text).map((entry) => entry.split("=", 2)))

/** @internal */
export const switched: Read = (text) =>
  /^(?:true|yes|on|y|1)$/.test(text) ? true : /^(?:false|no|off|n|0)$/.test(text) ? false : text

/**
 * A port, or a link to a container. Kubernetes gives every container a `REDIS_PORT` of this form, asked or not, when there
 * is a service named `redis`.
 *
 * @internal
 */
export const portOrLink: Read = (text) => {
  const link = /^tcp:\/\/([^/]+)\/?$/i.exec(text)?.[1]
  return link === undefined ? numeric(text) : Result.getOrElse(Endpoint.parse(link), () => text)
}

/** @internal */
export const isLinked = (u: unknown): u is Extract<Endpoint.Endpoint, { readonly _tag: "Tcp" }> =>
  typeof u === "object" && u !== null && "_tag" in u && u._tag === "Tcp"

/** `undefined` where the variable is not set or empty. @internal */
export const optional = <A>(config: EffectConfig.Config<A>): EffectConfig.Config<A | undefined> =>
  EffectConfig.withDefault(config, undefined)

const Refused = Schema.String.check(Schema.makeFilter(() => false))

/** The whole name of a variable that is set, which `Config.nested` makes longer. @internal */
export const nameOf = (name: string): EffectConfig.Config<string> =>
  EffectConfig.orElse(EffectConfig.schema(Refused, name), ({ cause }) =>
    EffectConfig.succeed(
      cause._tag === "SchemaError" && cause.issue._tag === "Pointer" ? cause.issue.path.map(String).join("_") : name
    ))

/** What a variable says, or the variable where that is not right, so that `decode` tells it with all that is wrong. @internal */
export const variable = (
  name: string,
  read: Read,
  schema: Schema.Constraint,
  rule?: string
): EffectConfig.Config<unknown> => {
  const isRight = Schema.decodeUnknownOption(schema as Schema.ConstraintDecoder<unknown>)
  return optional(EffectConfig.flatMap(EffectConfig.String(name), (text) => {
    const value = read(text)
    return isRight(value)._tag === "Some"
      ? EffectConfig.succeed(value)
      : EffectConfig.map(nameOf(name), (name) => new Variable(name, value, rule))
  }))
}
