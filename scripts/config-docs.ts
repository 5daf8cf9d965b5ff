/**
 * Writes `docs/configuration.md` from `src/Config.ts`: the doc lines of `Options`, the table of options with their rules and
 * defaults, and the variables that `fromEnv` really reads. With `--check` it writes nothing, and fails where the page is not
 * what it would write.
 *
 * It fails too where an option has no doc lines, where these tell another default than the table has, and where a variable
 * belongs to no option.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fromEnv, tables } from "../src/Config.ts"
import { keep, paragraphs } from "./support/page.ts"

const root = resolve(import.meta.dirname, "..")

// ----- what the sources say -----

interface Documented {
  readonly name: string
  readonly text: string
}

/** The members of an interface, with their comments as one line per paragraph. */
const membersOf = (file: string, name: string): ReadonlyArray<Documented> => {
  const source = readFileSync(join(root, file), "utf8")
  const body = new RegExp(`export interface ${name} \\{\n([\\s\\S]*?)\n\\}\n`).exec(source)?.[1]
  if (body === undefined) throw new Error(`${file} has no interface ${name}`)
  return Array.from(
    body.matchAll(/^ {2}\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2}readonly (\w+)\??:/gm),
    ([, comment, member]) => ({ name: member!, text: paragraphs(comment!).join("\n\n") })
  )
}

/** The fields of an interface whose comment tells of all of them together, and that. */
const detailsOf = (file: string, name: string): string => {
  const source = readFileSync(join(root, file), "utf8")
  const [, comment, body] = new RegExp(
    `/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\nexport interface ${name} \\{\n([\\s\\S]*?)\n\\}\n`
  ).exec(source)!
  const fields = Array.from(body!.matchAll(/readonly (\w+)/g), ([, field]) => `\`${field}\``)
  const [summary, , ...details] = paragraphs(comment!).filter((paragraph) => !paragraph.startsWith("@"))
  return [`${summary!.replace(/\.$/, "")}: ${fields.join(", ")}.`, ...details].join("\n\n")
}

/** The names of the variables that are read, told by one who has none of them. */
const variables: ReadonlySet<string> = await Effect.gen(function*() {
  const names = new Set<string>()
  yield* fromEnv.parse(ConfigProvider.make((path) =>
    Effect.sync(() => {
      names.add(path.join("_"))
      return undefined
    })
  ))
  return names
}).pipe(Effect.runPromise)

const variableOf = (prefix: string, name: string): string => `${prefix}_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`

const variablesOf = (prefix: string, name: string): ReadonlyArray<string> =>
  (name === "credentials" ? ["REDIS_USERNAME", "REDIS_PASSWORD"] : [variableOf(prefix, name)])
    .filter((variable) => variables.has(variable))

// ----- the page -----

type Table = Readonly<Record<string, { readonly rule: (given: unknown) => string; readonly default: unknown }>>

/** What is said of something that it cannot be, with an example of what it can be. */
const ruleOf = ({ rule }: Table[string]): string => rule(undefined).replaceAll("*", "\\*")

const told = (value: unknown): string =>
  Duration.isDuration(value)
    ? `${Duration.toSeconds(value)} seconds`
    : typeof value === "number"
    ? value.toLocaleString("en-US")
    : `\`${value}\``

const listed = new Set<string>()

const section = (prefix: string, path: string, table: Table) => ({ name, text }: Documented): string => {
  const [, about, fallback] = /^([\s\S]*?)(?: Default: ([^\n]*)\.)?$/.exec(text)!
  const entry = table[name]
  const value = entry?.default
  if (value !== undefined && !(fallback?.includes(told(value)) ?? false)) {
    throw new Error(`the doc lines of ${path}${name} tell no default of ${told(value)}`)
  }
  const own = variablesOf(prefix, name)
  for (const variable of own) listed.add(variable)
  const facts = [
    ...own.length > 0 ? [`Environment: ${own.map((variable) => `\`${variable}\``).join(", ")}`] : [],
    ...fallback === undefined ? [] : [`Default: ${fallback}`],
    ...entry === undefined ? [] : [`Rule: ${ruleOf(entry)}`]
  ]
  return [`### \`${path}${name}\``, "", about, ...facts.length > 0 ? ["", ...facts.map((fact) => `- ${fact}`)] : []]
    .join("\n")
}

const rules = (path: string, table: Table): string =>
  Object.entries(table)
    .map(([name, entry]) => `- \`${path}.${name}\`: ${ruleOf(entry)}. Default: ${told(entry.default)}`)
    .join("\n")

const general = section("REDIS", "", { ...tables.address, ...tables.place, ...tables.general })
const maintenance = section("REDIS_MAINTENANCE", "maintenance.", tables.maintenance)

const options = membersOf("src/Config.ts", "Options").filter(({ name }) => name !== "maintenance")
const ofMaintenance = membersOf("src/Config.ts", "MaintenanceOptions")
for (
  const [table, documented] of [
    [{ ...tables.address, ...tables.place, ...tables.general }, options],
    [tables.maintenance, ofMaintenance]
  ] as const
) {
  for (const name of Object.keys(table)) {
    if (!documented.some((option) => option.name === name)) throw new Error(`${name} has no doc lines`)
  }
}

const page = `# Options

Every option is optional. What is given in code beats what a URL says, and that beats the default; with
\`layerConfig(Config.fromEnv)\` the variables of the environment are what is given. An empty variable counts as not set.
Durations are \`5s\`, \`500ms\`, \`2m\`, \`1h\`, or what Effect reads as one; in code a number is milliseconds.

\`\`\`ts
import * as EffectConfig from "effect/Config"
import { Config } from "hitless"
import { NodeHitlessRedis } from "hitless/node"

/** From code. */
export const fixed = NodeHitlessRedis.layer({ url: "redis://localhost:6379", commandTimeout: "1 second" })

/** From the environment. */
export const deployed = NodeHitlessRedis.layerConfig(Config.fromEnv)

/** From the environment as well, with the prefix \`CACHE_\`: \`CACHE_REDIS_URL\` and so on. */
export const second = NodeHitlessRedis.layerConfig(Config.fromEnv.pipe(EffectConfig.nested("CACHE")))
\`\`\`

A configuration that breaks rules fails with one error, of the tag \`HitlessConfigError\`, that lists every one of them, by
field or by variable, and repeats no secret. This page is what \`node scripts/config-docs.ts\` makes of \`src/Config.ts\`.

## The server, connections and commands

${options.map(general).join("\n\n")}

### Options of \`tls\`

${detailsOf("src/Transport.ts", "TlsOptions")}

## Maintenance

${ofMaintenance.map(maintenance).join("\n\n")}

${rules("maintenance.circuitBreaker", tables.circuitBreaker)}
`

const strangers = [...variables].filter((variable) => !listed.has(variable))
if (strangers.length > 0) throw new Error(`no option has ${strangers.join(", ")}`)

keep("docs/configuration.md", page)
