/**
 * What a client can be told, and what it makes of that: `Options` in, a fully populated `ResolvedConfig` out.
 *
 * `decode` is the only way from one to the other. It fills in defaults, applies the sizing rules and fails with one
 * `ConfigError` that lists every violated field with its rule. `fromEnv` reads the same options from the environment.
 * This module never connects, never asks for credentials, and never puts a value it was given into an error: a
 * rule names the field, not what was found there, so that a password in a URL cannot reach a log.
 *
 * Precedence: an explicit field beats its counterpart in `url`, which beats the default. Field by field: `url` with
 * `host` takes the port, database and credentials of the URL and the host of the field.
 *
 * @since 0.1.0
 */
import * as EffectConfig from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as Stream from "effect/Stream"
import * as Endpoint from "./Endpoint.ts"
import { isDurationInput } from "./internal/duration.ts"
import * as Url from "./internal/url.ts"
import type { Arg } from "./Resp.ts"
import type { TlsOptions } from "./Transport.ts"

// ----- options -----

/**
 * What a client logs in with. Without `username` the server's default user is meant. Text is sent as UTF-8; bytes are for
 * what is in another encoding on the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  readonly username?: string | Uint8Array | undefined
  readonly password: Redacted.Redacted<string | Uint8Array>
}

/**
 * What a server is asked to announce as the target of a move: an address inside or outside its network, as an IP
 * address or as a name; `none` asks for no target, and the client resolves its configured name again.
 *
 * @category models
 * @since 0.1.0
 */
export const EndpointType = Schema.Literals(["internal-ip", "internal-fqdn", "external-ip", "external-fqdn", "none"])

/**
 * The type of `EndpointType`.
 *
 * @category models
 * @since 0.1.0
 */
export type EndpointType = typeof EndpointType.Type

/**
 * Which commands may be sent again after the connection that carried them was lost: none, read-only ones, or those
 * that a predicate accepts.
 *
 * @category models
 * @since 0.1.0
 */
export type Retry = "none" | "reads" | ((command: string, args: ReadonlyArray<Arg>) => boolean)

/**
 * The version of the protocol that is spoken: RESP3 where the server knows it and else RESP2, or one of them alone.
 *
 * @category models
 * @since 0.1.0
 */
export const Protocol = Schema.Literals(["auto", 2, 3])

/**
 * The type of `Protocol`.
 *
 * @category models
 * @since 0.1.0
 */
export type Protocol = typeof Protocol.Type

/**
 * How the client takes part in announced maintenance.
 *
 * @category models
 * @since 0.1.0
 */
export interface MaintenanceOptions {
  /**
   * `auto` uses notifications where the server offers them, `enabled` fails to connect where it does not, `disabled`
   * never asks for them. Default: `auto`.
   */
  readonly mode?: "disabled" | "enabled" | "auto" | undefined
  /** Which address a move should announce; `auto` asks for the kind of address that the connection itself has. Default: `auto`. */
  readonly endpointType?: "auto" | EndpointType | undefined
  /** Further attempts after a failed handoff, 0 to 10. Default: 3. */
  readonly maxHandoffRetries?: number | undefined
  /** Time for one whole attempt, dial and handshake; positive and finite. Default: 15 seconds. */
  readonly handoffTimeout?: Duration.Input | undefined
  /**
   * The least time a command has while maintenance is under way; positive and finite, or `"off"` to leave timeouts as
   * they are. It never shortens a timeout. Default: 10 seconds.
   */
  readonly relaxedTimeout?: Duration.Input | "off" | undefined
  /** How long timeouts stay relaxed after a handoff; finite, 0 or more. Default: twice `relaxedTimeout`. */
  readonly postHandoffRelaxedDuration?: Duration.Input | undefined
  /**
   * How many handoffs may run at once. `auto` is a third of `poolSize`, at least 1 and at most 10; a number below 10
   * counts as 10. Default: `auto`.
   */
  readonly maxWorkers?: number | "auto" | undefined
  /**
   * How many handoffs may wait. `auto` is 10 for each worker; never more than `poolSize`. Default: `auto`.
   */
  readonly handoffQueueSize?: number | "auto" | undefined
  /** The least severe level that maintenance is logged at; 0 to 3 mean the same in this order. Default: `Warn`. */
  readonly logLevel?: "Error" | "Warn" | "Info" | "Debug" | 0 | 1 | 2 | 3 | undefined
  /**
   * Where a move may lead, since credentials are sent there: host names and IP addresses, `*.example.com` for every name
   * below `example.com`, or a predicate. A move to any other target is reported and not followed. Default: anywhere.
   */
  readonly targets?: ReadonlyArray<string> | ((target: Endpoint.Endpoint) => boolean) | undefined
  /**
   * When handoffs to one endpoint stop being tried: after `failures` in a row (integer of at least 1, default 5), for
   * `openDuration` (positive and finite, default 60 seconds). Then one attempt at a time is let through until one
   * succeeds; Effect's circuit breaker has no other number of probes.
   */
  readonly circuitBreaker?: {
    readonly failures?: number | undefined
    readonly openDuration?: Duration.Input | undefined
  } | undefined
}

/**
 * What a client can be told. Everything is optional; without anything it is a client of `localhost:6379`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, or `unix:///path`. `valkey://` and `tcp://`
   * mean `redis://`, and `valkeys://` means `rediss://`. User name and password are percent-decoded, to bytes where
   * they are not UTF-8 then. Redact it where it contains a password.
   *
   * Of the query parameters that other clients read, `db` (or `database`), `protocol`, `family`, `client_name` (or
   * `clientName`) and `ssl_cert_reqs` (`none`, `optional`, `required`) mean the same here; others are refused by name.
   */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** A host name or an IP address, without a port. Default: `localhost`. */
  readonly host?: string | undefined
  /** 1 to 65535. Default: 6379. */
  readonly port?: number | undefined
  /** Which addresses of a name are dialled: those of IPv4, of IPv6, or of both (0). Default: 0. */
  readonly family?: 0 | 4 | 6 | undefined
  /** The path of a Unix socket, instead of `host` and `port`. */
  readonly path?: string | undefined
  /** `true` verifies the server against the system's roots. Default: `true` for `rediss://`, otherwise `false`. */
  readonly tls?: boolean | TlsOptions | undefined
  /** The index that every connection selects. Default: 0. */
  readonly database?: number | undefined
  /** The name that every connection takes: printable ASCII without spaces. Default: none. */
  readonly clientName?: string | undefined
  /**
   * What to log in with. An effect runs for every connection that is made. With each value of a stream connections that are
   * up log in anew, between two commands, and the next connections begin with it; the first dials wait for its first value.
   * Default: none.
   */
  readonly credentials?: Credentials | Effect.Effect<Credentials> | Stream.Stream<Credentials, unknown> | undefined
  /**
   * `auto` speaks RESP3 with `HELLO`, and RESP2 where the server or a proxy before it refuses `HELLO` or hangs up on it;
   * `3` fails to connect there, `2` never sends `HELLO` and hears nothing of maintenance. Default: `auto`.
   */
  readonly protocol?: Protocol | undefined
  /** The most connections that carry commands, 1 to 5000. Default: 10. */
  readonly poolSize?: number | undefined
  /**
   * The most connections for one user, 1 to 5000: those of `reserve`, and those on which commands wait on the server, such
   * as `BLPOP`. Further ones wait until one is given back, at most for the time that a command has. Default: 10.
   */
  readonly maxReserved?: number | undefined
  /**
   * The most commands that may wait for a connection or a reply, at least 1. One takes about 1.4 KiB of heap beside its
   * arguments, the fiber that waits for it included. Default: 262,144.
   */
  readonly maxPendingCommands?: number | undefined
  /**
   * The most bytes that the arguments of those commands may take, at least 1: as many as they have characters and bytes,
   * and 40 for each. Default: 268,435,456, which is 256 MiB.
   */
  readonly maxPendingBytes?: number | undefined
  /**
   * What becomes of a command that would exceed `maxPendingCommands` or `maxPendingBytes`: it fails with `Overloaded`,
   * or it waits in line until there is room, at most until its deadline. A command that is too large for a limit is
   * accepted when nothing else is outstanding. Default: `fail`.
   */
  readonly whenOverloaded?: "fail" | "wait" | undefined
  /** Time for one dial and handshake; positive and finite. Default: 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Time from call to reply; positive, `"Infinity"` for no limit. Default: 3 seconds. */
  readonly commandTimeout?: Duration.Input | undefined
  /** Which commands may be sent again after a lost connection. Default: `reads`. */
  readonly retry?: Retry | undefined
  /**
   * How this client reaches the addresses that servers name, where a network address translation is between them:
   * `{ "10.0.0.5:12000": "cache.example.com:7001" }`, or a function. `maintenance.targets` is asked about what comes of it.
   * Default: as they are named.
   */
  readonly addressMap?: Readonly<Record<string, string>> | ((named: Endpoint.Endpoint) => Endpoint.Endpoint) | undefined
  /** How the client takes part in announced maintenance. */
  readonly maintenance?: MaintenanceOptions | undefined
}

// ----- errors -----

/**
 * The options break one or more rules. `issues` has one entry for each: the field's name, as written in `Options`
 * (`maintenance.mode`), and the rule it breaks. No entry repeats a value.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigError extends Schema.Error<ConfigError>("hitless/Config/ConfigError")({
  // Not "ConfigError": that is the tag of Effect's own, and `layerConfig` can fail with either.
  _tag: Schema.tag("HitlessConfigError"),
  issues: Schema.Array(Schema.Struct({ field: Schema.String, rule: Schema.String }))
}) {
  override get message(): string {
    return `Invalid configuration:${this.issues.map(({ field, rule }) => `\n- ${field} ${rule}`).join("")}`
  }
}

const broken = (message: string): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message })

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const toConfigError = (error: Schema.SchemaError): ConfigError =>
  new ConfigError({
    issues: formatIssues(error.issue).issues.map(({ message, path = [] }) => ({
      field: path.length === 0 ? "options" : path.map(String).join("."),
      rule: message
    }))
  })

// ----- fields -----

/** An optional field with one rule, which is what it breaks whatever part of its schema is not satisfied. */
const field = <S extends Schema.Constraint>(schema: S, rule: string) =>
  Schema.optionalKey(
    Schema.UndefinedOr(schema).pipe(Schema.middlewareDecoding(Effect.mapError(() => broken(rule))))
  )

/** An optional group of fields, each with its own rule; `rule` is for what is not a group at all. */
const group = <S extends Schema.Constraint>(schema: S, rule: string) =>
  Schema.optional(schema).annotate({ message: rule })

// A misspelt key would otherwise be ignored, and its default used, without a word.
const known = { messageUnexpectedKey: "is not an option" }

const atLeast = (minimum: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(minimum))

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const duration = (holds: (self: Duration.Duration) => boolean) =>
  Schema.declare(isDurationInput).pipe(
    Schema.decodeTo(Schema.Duration.check(Schema.makeFilter(holds)), {
      decode: SchemaGetter.transform(Duration.fromInputUnsafe),
      encode: SchemaGetter.passthrough()
    })
  )

const isPositiveAndFinite = (self: Duration.Duration): boolean => Duration.isPositive(self) && Duration.isFinite(self)

const isFiniteAndNotNegative = (self: Duration.Duration): boolean =>
  Duration.isFinite(self) && !Duration.isNegative(self)

/** A name (container networks use underscores too), an IPv4 address, or an IPv6 address with or without a zone. */
const isHost = (host: string): boolean =>
  host.includes(":")
    ? Result.isSuccess(NetAddress.ipv6FromString(host.replace(/%[\w.-]+$/, "")))
    : /^[\w.-]+$/.test(host)

const withoutBrackets = (host: string): string => host.replace(/^\[(.*:.*)\]$/, "$1")

const Host = Schema.String.check(Schema.makeFilter((host) => isHost(withoutBrackets(host))))

const Port = between(1, 65535)

const Family = Schema.Literals([0, 4, 6])

const TargetHost = Schema.String.check(
  Schema.makeFilter((host) => isHost(withoutBrackets(host.replace(/^\*\./, ""))))
)

const isTranslator = (u: unknown): u is (named: Endpoint.Endpoint) => Endpoint.Endpoint => typeof u === "function"

const Addresses = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((addresses) =>
    Object.entries(addresses).flat().every((text) => Result.isSuccess(Endpoint.parse(text)))
  )
)

const isPredicate = (u: unknown): u is (target: Endpoint.Endpoint) => boolean => typeof u === "function"

const LogLevel = Schema.Literals(["Error", "Warn", "Info", "Debug"])

const Count = Schema.Union([Schema.Literal("auto"), atLeast(1)])

const Text = Schema.Union([Schema.String, Schema.Uint8Array])

const textRule = "must be text or bytes in PEM form"

const secretRule = "must be redacted text, so that it is never printed"

const Tls = Schema.Struct({
  servername: field(Schema.NonEmptyString, "must be a non-empty host name"),
  ca: field(Schema.Union([Text, Schema.Array(Text)]), `${textRule}, or an array of them`),
  cert: field(Text, textRule),
  key: field(Schema.Redacted(Text), `${textRule}, redacted so that it is never printed`),
  passphrase: field(Schema.Redacted(Schema.String), secretRule),
  rejectUnauthorized: field(Schema.Boolean, "must be true or false")
}).annotate(known)

const CredentialsSchema = Schema.Struct({
  username: field(
    Schema.Union([Schema.NonEmptyString, Schema.Uint8Array]),
    "must be a non-empty string; leave it out for the default user"
  ),
  password: Schema.Redacted(Text).pipe(
    Schema.middlewareDecoding(Effect.mapError(() => broken(secretRule))),
    Schema.annotateKey({ messageMissingKey: secretRule })
  )
}).annotate(known)

const credentialsShape = "must be { username?, password }"

const credentialsRule = `${credentialsShape}, or an effect or a stream of it`

const isCredentialsSource = (
  u: unknown
): u is Effect.Effect<Credentials | undefined> | Stream.Stream<Credentials, unknown> =>
  Effect.isEffect(u) || Stream.isStream(u)

const CredentialsSource = Schema.declare(isCredentialsSource)

const decodeCredentials = SchemaParser.decodeUnknownEffect(CredentialsSchema)

/**
 * What an effect or a stream of credentials gave: its type says nothing at run time. Fails with the rules that it breaks.
 *
 * @internal
 */
export const checkCredentials = (given: unknown): Effect.Effect<Credentials, string> => {
  if (typeof given !== "object" || given === null) return Effect.fail(credentialsShape)
  return Effect.mapError(
    decodeCredentials(given, { errors: "all" }),
    (issue) =>
      formatIssues(issue).issues.map(({ message, path = [] }) => [...path.map(String), message].join(" ")).join(", ")
  )
}

// An effect is an object too, so a union would report a mistyped password as "not an effect" as well.
const CredentialsInput = Schema.Unknown.pipe(
  Schema.decodeTo(CredentialsSource, {
    decode: SchemaGetter.transformEffect((input, options) => {
      if (isCredentialsSource(input)) return Effect.succeed(input)
      if (typeof input !== "object" || input === null) return Effect.fail(broken(credentialsRule))
      return Effect.map(decodeCredentials(input, options), (credentials) => Effect.succeed(credentials))
    }),
    encode: SchemaGetter.passthrough()
  })
)

// ----- the table of options -----

/** How the environment's text for an option is read, given its name there. */
type Read = (name: string) => EffectConfig.Config<unknown>

/**
 * An option as the table has it: what it may be, the rule that anything else breaks, what it is where nothing is said, and
 * how the environment's text is read, where there is such. What it is for is said where its type is, in `Options`.
 */
interface Option<S extends Schema.Constraint, D extends S["Type"] | undefined> {
  readonly schema: S
  readonly rule: string
  readonly default: D
  readonly env: Read | undefined
}

const option = <S extends Schema.Constraint, const D extends S["Type"] | undefined = undefined>(
  schema: S,
  rule: string,
  more: { readonly default?: D; readonly env?: Read } = {}
): Option<S, D> => ({ schema, rule, default: more.default as D, env: more.env })

type Table = Readonly<Record<string, Option<Schema.Constraint, unknown>>>

const literal = (schema: Parameters<typeof EffectConfig.schema>[0]): Read => (name) => EffectConfig.schema(schema, name)

const listed = (name: string): EffectConfig.Config<ReadonlyArray<string>> =>
  EffectConfig.map(
    EffectConfig.String(name),
    (text) => text.split(",").map((host) => host.trim()).filter((host) => host !== "")
  )

/** `10.0.0.5:12000=cache.example.com:7001,…` */
const pairs: Read = (name) =>
  EffectConfig.map(
    listed(name),
    (entries) => Object.fromEntries(entries.map((entry) => entry.split("=", 2)))
  )

const EnvCount = literal(Schema.Union([Schema.Literal("auto"), Schema.Int]))

const WhenOverloaded = Schema.Literals(["fail", "wait"])

const Mode = Schema.Literals(["disabled", "enabled", "auto"])

const EndpointTypeOrAuto = Schema.Union([Schema.Literal("auto"), EndpointType])

// The numbers are go-redis': 0 = errors, 1 = warnings, 2 = info, 3 = debug.
const LogLevelInput = Schema.Literals([...LogLevel.literals, 0, 1, 2, 3])

const RetryInput = Schema.Union([
  Schema.Literals(["none", "reads"]),
  Schema.declare((u): u is Exclude<Retry, string> => typeof u === "function")
])

/** Where the server is: what a URL can give as well. The environment's host and port are read together. */
const address = {
  host: option(Host, "must be a host name or an IP address, without a port"),
  port: option(Port, "must be an integer from 1 to 65535"),
  path: option(Schema.NonEmptyString, "must be the path of a Unix socket")
}

/** How it is spoken to: what a URL can give as well. */
const place = {
  family: option(Family, "must be 0, 4 or 6", { default: 0, env: literal(Family) }),
  database: option(atLeast(0), "must be an integer of at least 0: databases are numbered", {
    default: 0,
    env: EffectConfig.Int
  }),
  // What CLIENT SETNAME accepts: CLIENT LIST separates fields with spaces.
  clientName: option(
    Schema.String.check(Schema.isPattern(/^[!-~]+$/)),
    "must be printable ASCII without spaces: servers refuse any other name",
    { env: EffectConfig.String }
  ),
  protocol: option(Protocol, "must be \"auto\", 2 or 3", { default: "auto", env: literal(Protocol) })
}

// Where no reason is given a default is go-redis': 5 s to dial, 3 s for a reply, 3 retries, 15 s for a handoff, 10 s relaxed,
// a breaker of 5 failures and 60 s.
const general = {
  // The default of `maxclients` is 10,000, and while a pool moves each connection and its successor are open.
  poolSize: option(
    between(1, 5000),
    "must be an integer from 1 to 5000: servers take 10000 clients by default, and a pool that moves has two for each",
    // Each is multiplexed, so few are enough.
    { default: 10, env: EffectConfig.Int }
  ),
  maxReserved: option(
    between(1, 5000),
    "must be an integer from 1 to 5000: each reservation is a connection of its own",
    { default: 10, env: EffectConfig.Int }
  ),
  maxPendingCommands: option(
    atLeast(1),
    "must be an integer of at least 1: a command is pending until it is answered",
    // For a process with a heap of 1 GiB, like the next. Measured for `GET`s of as many fibers: 987 bytes each when they
    // were forked one by one, 1,358 by `Effect.forEach`, so that 262,144 take 340 MiB.
    { default: 262_144, env: EffectConfig.Int }
  ),
  maxPendingBytes: option(atLeast(1), "must be an integer of at least 1, in bytes", {
    // As text that is not Latin-1, which V8 keeps at two bytes a character, they take twice as much.
    default: 256 * 1024 * 1024,
    env: EffectConfig.Int
  }),
  whenOverloaded: option(
    WhenOverloaded,
    "must be \"fail\" or \"wait\"",
    { default: "fail", env: literal(WhenOverloaded) }
  ),
  connectTimeout: option(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: a dial without an end could hold its callers for ever",
    { default: Duration.seconds(5), env: EffectConfig.Duration }
  ),
  commandTimeout: option(
    duration(Duration.isPositive),
    "must be a positive duration; \"Infinity\" sets no limit",
    { default: Duration.seconds(3), env: EffectConfig.Duration }
  ),
  retry: option(RetryInput, "must be \"none\", \"reads\" or a predicate", {
    default: "reads",
    env: literal(Schema.Literals(["none", "reads"]))
  }),
  addressMap: option(
    Schema.Union([Addresses, Schema.declare(isTranslator)]),
    "must be an object that gives host:port for host:port, or a function",
    { env: pairs }
  )
}

const maintenance = {
  mode: option(Mode, "must be \"disabled\", \"enabled\" or \"auto\"", { default: "auto", env: literal(Mode) }),
  endpointType: option(
    EndpointTypeOrAuto,
    `must be "auto" or one of ${EndpointType.literals.map((type) => `"${type}"`).join(", ")}`,
    { default: "auto", env: literal(EndpointTypeOrAuto) }
  ),
  maxHandoffRetries: option(
    between(0, 10),
    "must be an integer from 0 to 10: all attempts have to fit inside the announced time",
    { default: 3, env: EffectConfig.Int }
  ),
  handoffTimeout: option(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: an attempt without an end would hold its worker",
    { default: Duration.seconds(15), env: EffectConfig.Duration }
  ),
  relaxedTimeout: option(
    Schema.Union([Schema.Literal("off"), duration(isPositiveAndFinite)]),
    "must be a positive, finite duration, or \"off\": a lost end of maintenance must not relax timeouts for ever",
    {
      default: Duration.seconds(10),
      env: literal(Schema.Union([Schema.Literal("off"), Schema.DurationFromString]))
    }
  ),
  postHandoffRelaxedDuration: option(
    duration(isFiniteAndNotNegative),
    "must be a finite duration of at least 0: relaxed timeouts have to end",
    // Its default is twice `relaxedTimeout`.
    { env: EffectConfig.Duration }
  ),
  maxWorkers: option(Count, "must be \"auto\" or an integer of at least 1: a handoff needs a worker", {
    default: "auto",
    env: EnvCount
  }),
  handoffQueueSize: option(
    Count,
    "must be \"auto\" or an integer of at least 1: a handoff waits in the queue",
    { default: "auto", env: EnvCount }
  ),
  targets: option(
    Schema.Union([Schema.Array(TargetHost), Schema.declare(isPredicate)]),
    "must be an array of host names and IP addresses without ports, also *.example.com, or a predicate",
    { env: listed }
  ),
  logLevel: option(
    LogLevelInput,
    "must be \"Error\", \"Warn\", \"Info\" or \"Debug\", or their number from 0 to 3",
    { default: "Warn", env: literal(LogLevelInput) }
  )
}

const circuitBreaker = {
  failures: option(atLeast(1), "must be an integer of at least 1: zero failures would never let a handoff run", {
    default: 5
  }),
  openDuration: option(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: an opened breaker has to try again",
    { default: Duration.seconds(60) }
  )
}

/** The fields that options are decoded from. */
const fieldsOf = <T extends Table>(table: T) =>
  Record.map(table, ({ rule, schema }) => field(schema, rule)) as {
    readonly [K in keyof T]: ReturnType<typeof field<T[K]["schema"]>>
  }

/** The fields of what options resolve to. */
const resolvedOf = <T extends Table>(table: T) =>
  Record.map(
    table,
    (option) =>
      option.default === undefined ? Schema.UndefinedOr(Schema.toType(option.schema)) : Schema.toType(option.schema)
  ) as {
    readonly [K in keyof T]: T[K]["default"] extends undefined ? Schema.UndefinedOr<Schema.toType<T[K]["schema"]>>
      : Schema.toType<T[K]["schema"]>
  }

/** Each option of a table as it is in the first source that has it, else its default. */
const settled = <T extends Table>(
  table: T,
  ...sources: ReadonlyArray<{ readonly [K in keyof T]?: T[K]["schema"]["Type"] | undefined } | undefined>
) =>
  Record.map(table, (option, name: keyof T) => {
    const source = sources.find((source) => source?.[name] !== undefined)
    return source === undefined ? option.default : source[name]
  }) as { readonly [K in keyof T]: T[K]["schema"]["Type"] | T[K]["default"] }

// ----- url -----

const UrlParts = Schema.Struct({
  ...fieldsOf(address),
  ...fieldsOf(place),
  tls: Schema.Boolean,
  rejectUnauthorized: Schema.UndefinedOr(Schema.Boolean),
  credentials: Schema.optional(CredentialsSchema)
})

/** The credentials of a URL have their form when they are redacted. */
const withCredentials = ({ password, username, ...parts }: Url.UrlParts): typeof UrlParts.Encoded => ({
  ...parts,
  credentials: password === undefined ? undefined : { username, password: Redacted.make(password) }
})

const UrlInput = Schema.Unknown.pipe(
  Schema.decodeTo(UrlParts, {
    decode: SchemaGetter.transformEffect((input) => {
      const text = Redacted.isRedacted(input) ? Redacted.value(input) : input
      if (typeof text !== "string") return Effect.fail(broken("must be text, or redacted text"))
      return Effect.fromResult(Result.mapBoth(Url.parseUrl(text), { onFailure: broken, onSuccess: withCredentials }))
    }),
    encode: SchemaGetter.forbidden(() => "options are only decoded")
  })
)

// ----- decoding -----

const Input = Schema.Struct({
  url: Schema.optional(UrlInput),
  ...fieldsOf(address),
  ...fieldsOf(place),
  tls: group(Schema.Union([Schema.Boolean, Tls]), "must be true, false or an object of TLS options"),
  credentials: Schema.optional(CredentialsInput),
  ...fieldsOf(general),
  maintenance: group(
    Schema.Struct({
      ...fieldsOf(maintenance),
      circuitBreaker: group(
        Schema.Struct(fieldsOf(circuitBreaker)).annotate(known),
        "must be an object with failures and openDuration"
      )
    }).annotate(known),
    "must be an object of maintenance options"
  )
})
  .annotate({ ...known, message: "must be an object" })
  .check(Schema.makeFilter(({ host, path, port }) =>
    path !== undefined && (host !== undefined || port !== undefined)
      ? { path: ["path"], issue: "must not be combined with host or port: it takes their place" }
      : undefined
  ))
  .check(
    Schema.makeFilter(({ maintenance, protocol, url }) =>
      (protocol ?? url?.protocol) === 2 && maintenance?.mode === "enabled"
        ? {
          path: ["maintenance", "mode"],
          issue: "must not be \"enabled\" with protocol 2: notifications are pushes, which RESP3 alone has"
        }
        : undefined
    )
  )

/**
 * Everything a client needs to know, each field populated and valid.
 *
 * **Details**
 *
 * `credentials` is an effect that is run for every connection that is made, or a stream. `maintenance.relaxedTimeout` is `undefined` where it is
 * switched off. `maintenance.handoffQueueSize` never exceeds `poolSize`.
 *
 * @category models
 * @since 0.1.0
 */
export class ResolvedConfig extends Schema.Class<ResolvedConfig>("hitless/Config/ResolvedConfig")(
  Schema.Struct({
    endpoint: Schema.Union([
      Schema.TaggedStruct("Tcp", { host: Host, port: Port }),
      Schema.TaggedStruct("Unix", { path: Schema.NonEmptyString })
    ]),
    tls: Schema.UndefinedOr(Tls),
    ...resolvedOf(place),
    credentials: CredentialsSource,
    ...resolvedOf(general),
    addressMap: Schema.UndefinedOr(Schema.declare(isTranslator)),
    maintenance: Schema.Struct({
      ...resolvedOf(maintenance),
      relaxedTimeout: Schema.UndefinedOr(Schema.Duration),
      postHandoffRelaxedDuration: Schema.Duration,
      maxWorkers: atLeast(1),
      handoffQueueSize: atLeast(1),
      targets: Schema.UndefinedOr(Schema.declare(isPredicate)),
      logLevel: LogLevel,
      circuitBreaker: Schema.Struct(resolvedOf(circuitBreaker))
    })
  }).check(Schema.makeFilter(({ maintenance, poolSize }) =>
    maintenance.handoffQueueSize > poolSize
      ? { path: ["maintenance", "handoffQueueSize"], issue: "must not exceed poolSize" }
      : undefined
  ))
) {}

const resolveEndpoint = ({ host, path, port, url }: typeof Input.Type): Endpoint.Endpoint => {
  if (path !== undefined) return Endpoint.unix(path)
  if (url?.path !== undefined && host === undefined && port === undefined) return Endpoint.unix(url.path)
  return Endpoint.tcp(withoutBrackets(host ?? url?.host ?? "localhost"), port ?? url?.port)
}

const resolveTls = ({ tls, url }: typeof Input.Type): TlsOptions | undefined => {
  if (typeof tls === "object") return tls
  if (!(tls ?? url?.tls ?? false)) return undefined
  return url?.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: url.rejectUnauthorized }
}

/** A third of the pool, within 1 and 10, or what was asked for, but then no less than 10 (go-redis' rule). */
const resolveWorkers = (workers: number | "auto", poolSize: number): number =>
  workers === "auto" ? Math.max(1, Math.min(10, Math.floor(poolSize / 3))) : Math.max(10, workers)

/** Ten handoffs for each worker, or what was asked for; a pool has no more connections to hand off than its size. */
const resolveQueueSize = (size: number | "auto", maxWorkers: number, poolSize: number): number =>
  Math.min(poolSize, size === "auto" ? 10 * maxWorkers : size)

const resolveMaintenance = (
  input: NonNullable<(typeof Input.Type)["maintenance"]>,
  poolSize: number
): ResolvedConfig["maintenance"] => {
  const given = settled(maintenance, input)
  const relaxedTimeout = given.relaxedTimeout === "off" ? undefined : given.relaxedTimeout
  const maxWorkers = resolveWorkers(given.maxWorkers, poolSize)
  return {
    ...given,
    relaxedTimeout,
    postHandoffRelaxedDuration: given.postHandoffRelaxedDuration ??
      (relaxedTimeout === undefined ? Duration.zero : Duration.times(relaxedTimeout, 2)),
    maxWorkers,
    handoffQueueSize: resolveQueueSize(given.handoffQueueSize, maxWorkers, poolSize),
    targets: typeof given.targets === "object" ? Endpoint.isAt(given.targets.map(withoutBrackets)) : given.targets,
    logLevel: typeof given.logLevel === "number" ? LogLevel.literals[given.logLevel] : given.logLevel,
    circuitBreaker: settled(circuitBreaker, input.circuitBreaker)
  }
}

const resolve = (input: typeof Input.Type): typeof ResolvedConfig.Encoded => {
  const given = settled(general, input)
  return {
    endpoint: resolveEndpoint(input),
    tls: resolveTls(input),
    ...settled(place, input, input.url),
    credentials: input.credentials ?? Effect.succeed(input.url?.credentials),
    ...given,
    addressMap: typeof given.addressMap === "object" ? Endpoint.translator(given.addressMap) : given.addressMap,
    maintenance: resolveMaintenance(input.maintenance ?? {}, given.poolSize)
  }
}

const ResolvedFromInput = Input.pipe(
  // The getter returns a plain object: constructing the class here would turn a failed check into a defect.
  Schema.decodeTo(ResolvedConfig, {
    decode: SchemaGetter.transform(resolve),
    encode: SchemaGetter.forbidden(() => "options are only decoded")
  })
)

const decodeOptions = Schema.decodeUnknownEffect(ResolvedFromInput, { errors: "all", onExcessProperty: "error" })

/**
 * Fills in and validates options. Fails with one error that lists every rule that is broken.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (options: Options | undefined): Effect.Effect<ResolvedConfig, ConfigError> =>
  Effect.mapError(decodeOptions(options === undefined ? {} : options), toConfigError)

// ----- environment -----

/** `undefined` where the variable is not set or empty. */
const optional = <A>(config: EffectConfig.Config<A>): EffectConfig.Config<A | undefined> =>
  EffectConfig.withDefault(config, undefined)

const envCredentials: EffectConfig.Config<Credentials | undefined> = EffectConfig.all({
  username: optional(EffectConfig.String("REDIS_USERNAME")),
  password: optional(EffectConfig.Redacted("REDIS_PASSWORD"))
}).pipe(EffectConfig.mapEffect(({ password, username }) => {
  if (username !== undefined && password === undefined) {
    const issue = broken("REDIS_USERNAME is set without REDIS_PASSWORD")
    return Effect.fail(new EffectConfig.ConfigError(new Schema.SchemaError(issue)))
  }
  return Effect.succeed(password && { username, password })
}))

/** The options of a table that the environment can give: `maxWorkers` as `REDIS_MAINTENANCE_MAX_WORKERS`. */
const readFrom = (table: Table, prefix: string) =>
  Record.filterMap(table, ({ env }, name) =>
    env === undefined
      ? Result.failVoid
      : Result.succeed(optional(env(`${prefix}_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`))))

/**
 * A port, or a link to a container. Kubernetes gives every container a `REDIS_PORT` of this form, asked or not, when there
 * is a service named `redis`.
 */
const EnvPort = Schema.String.pipe(
  Schema.decodeTo(Schema.Struct({ linked: Schema.UndefinedOr(Schema.String), port: Schema.Int }), {
    decode: SchemaGetter.transformEffect((
      text
    ): Effect.Effect<{ readonly linked: string | undefined; readonly port: number }, SchemaIssue.Issue> => {
      if (/^\d{1,5}$/.test(text)) return Effect.succeed({ linked: undefined, port: Number(text) })
      const link = /^tcp:\/\/([^/]+)\/?$/i.exec(text)?.[1]
      const endpoint = link === undefined ? undefined : Result.getOrUndefined(Endpoint.parse(link))
      return endpoint?._tag === "Tcp"
        ? Effect.succeed({ linked: endpoint.host, port: endpoint.port })
        : Effect.fail(broken("must be a port, or the link to a container: tcp://host:port"))
    }),
    encode: SchemaGetter.forbidden(() => "options are only decoded")
  })
)

/** A link is nobody's choice: it gives way to a URL, and its host to a host. */
const envLocation = EffectConfig.all({
  url: optional(EffectConfig.Redacted("REDIS_URL")),
  host: optional(EffectConfig.String("REDIS_HOST")),
  port: optional(EffectConfig.schema(EnvPort, "REDIS_PORT"))
}).pipe(
  EffectConfig.map(({ host, port, url }) =>
    port?.linked !== undefined && url !== undefined
      ? { url, host, port: undefined }
      : { url, host: host ?? port?.linked, port: port?.port }
  )
)

/**
 * Reads options from environment variables. Every variable is optional; an empty one counts as not set.
 *
 * **Details**
 *
 * - `REDIS_URL` (kept redacted), `REDIS_HOST`, `REDIS_PORT` (also as Kubernetes and Docker set it, `tcp://host:port`;
 *   then `REDIS_URL` and `REDIS_HOST` beat it), `REDIS_FAMILY` (`0`, `4`, `6`), `REDIS_USERNAME`, `REDIS_PASSWORD`,
 *   `REDIS_DATABASE`, `REDIS_TLS` (`true`, `false`), `REDIS_CLIENT_NAME`, `REDIS_PROTOCOL` (`auto`, `2`, `3`),
 *   `REDIS_POOL_SIZE`, `REDIS_MAX_RESERVED`, `REDIS_MAX_PENDING_COMMANDS`, `REDIS_MAX_PENDING_BYTES`, `REDIS_WHEN_OVERLOADED` (`fail`, `wait`),
 *   `REDIS_CONNECT_TIMEOUT`, `REDIS_COMMAND_TIMEOUT` (durations such as `5 seconds`), `REDIS_RETRY` (`none`, `reads`).
 * - `REDIS_MAINTENANCE_MODE`, `REDIS_MAINTENANCE_ENDPOINT_TYPE`, `REDIS_MAINTENANCE_MAX_HANDOFF_RETRIES`,
 *   `REDIS_MAINTENANCE_HANDOFF_TIMEOUT`, `REDIS_MAINTENANCE_RELAXED_TIMEOUT` (or `off`),
 *   `REDIS_MAINTENANCE_POST_HANDOFF_RELAXED_DURATION`, `REDIS_MAINTENANCE_MAX_WORKERS` (or `auto`),
 *   `REDIS_MAINTENANCE_HANDOFF_QUEUE_SIZE` (or `auto`), `REDIS_MAINTENANCE_TARGETS` (hosts, separated by commas),
 *   `REDIS_MAINTENANCE_LOG_LEVEL` (a name or 0 to 3).
 *
 * `Config.nested("CACHE")` turns them into `CACHE_REDIS_URL` and so on, for a second instance. What a variable says is
 * validated by `decode`; here it fails only where it cannot be read as a value of its type.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEnv: EffectConfig.Config<Options> = EffectConfig.all({
  location: envLocation,
  tls: optional(EffectConfig.Boolean("REDIS_TLS")),
  credentials: envCredentials,
  ...readFrom(place, "REDIS"),
  ...readFrom(general, "REDIS"),
  maintenance: EffectConfig.all(readFrom(maintenance, "REDIS_MAINTENANCE"))
}).pipe(EffectConfig.map(({ location, ...options }) => ({ ...location, ...options }) as Options))
