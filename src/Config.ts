/**
 * What a client can be told, and what it makes of that: `Options` in, a fully populated `ResolvedConfig` out.
 *
 * `decode` is the only way from one to the other. It fills in defaults, applies the sizing rules and fails with one
 * `ConfigError` that lists every violation with its rule and what would be right. `fromEnv` reads the same options from
 * the environment and judges nothing by itself: what is wrong there is told by `decode`, under the variable's name and
 * together with the rest. This module never connects, never asks for credentials, and never puts into an error
 * what could be a secret or contain one: of addresses, names, texts and credentials it tells the rule alone.
 *
 * Precedence: an explicit field beats its counterpart in `url`, which beats the default. Field by field: `url` with
 * `host` takes the port, database and credentials of the URL and the host of the field.
 *
 * @since 0.1.0
 */
import * as EffectConfig from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
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
import {
  atLeast,
  between,
  broken,
  choice,
  duration,
  field,
  group,
  isFiniteAndNotNegative,
  isPositiveAndFinite,
  known,
  length,
  option,
  type Table
} from "./internal/options.ts"
import { encoded } from "./internal/printing.ts"
import * as Url from "./internal/url.ts"
import {
  isLinked,
  listed,
  nameOf,
  numeric,
  optional,
  pairs,
  portOrLink,
  switched,
  time,
  unwrapped,
  Variable,
  variable,
  verbatim
} from "./internal/variables.ts"
import type { Arg } from "./Resp.ts"
import type { TlsOptions } from "./Transport.ts"

// ----- options -----

/**
 * A length of time: what Effect reads as one, where a number is milliseconds, or text such as `5s`, `500ms`, `2m` and
 * `1h`.
 *
 * @category models
 * @since 0.1.0
 */
export type DurationInput = Duration.Input | `${number}${"ms" | "s" | "m" | "h"}`

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
 * that a predicate accepts. It is told whether the command only reads, by what a typed command says of itself, and else by
 * its name. `Commands.changesOnce` knows which writes can run twice.
 *
 * @category models
 * @since 0.1.0
 */
export type Retry =
  | "none"
  | "reads"
  | ((command: string, args: ReadonlyArray<Arg>, readOnly: boolean) => boolean)

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
  readonly handoffTimeout?: DurationInput | undefined
  /**
   * The least time a command has while maintenance is under way; positive and finite, or `"off"` to leave timeouts as
   * they are. It never shortens a timeout. Default: 10 seconds.
   */
  readonly relaxedTimeout?: DurationInput | "off" | undefined
  /** How long timeouts stay relaxed after a handoff; finite, 0 or more. Default: twice `relaxedTimeout`. */
  readonly postHandoffRelaxedDuration?: DurationInput | undefined
  /**
   * How many handoffs may run at once. `auto` is a third of `poolSize`, at least 1 and at most 10; a number below 10
   * counts as 10. Default: `auto`.
   */
  readonly maxWorkers?: number | "auto" | undefined
  /**
   * How many handoffs may wait. `auto` is 10 for each worker; never more than `poolSize`. Default: `auto`.
   */
  readonly handoffQueueSize?: number | "auto" | undefined
  /** The least severe level that maintenance, losses and recoveries are logged at; 0 to 3 mean the same in this order. Default: `Warn`. */
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
    readonly openDuration?: DurationInput | undefined
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
  /**
   * Whether a client is made only when a connection is: `connected` fails with what the first dial failed with, `lazy`
   * succeeds at once, also where there is no server or it turns the client away, and dials until there is a connection;
   * `status.health` is `down` until then. Default: `connected`.
   */
  readonly startup?: "connected" | "lazy" | undefined
  /**
   * What becomes of a command while no connection for commands serves (`status.health` is `down`): it waits for one until
   * its deadline, or it fails at once with why there is none; so do `reserve`, commands that wait on the server and new
   * subscriptions. While the first dial of a client is under way nothing is known to be down, and what is sent waits for
   * its end. With `fail`, what would be sent again after a loss is not sent again either. Default: `wait`.
   */
  readonly whenDown?: "wait" | "fail" | undefined
  /** Time for one dial and handshake; positive and finite. Default: 5 seconds. */
  readonly connectTimeout?: DurationInput | undefined
  /** Time from call to reply; positive, `"Infinity"` for no limit. Default: 3 seconds. */
  readonly commandTimeout?: DurationInput | undefined
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
 * The options break one or more rules, wherever they came from. `issues` has one entry for each: the field's name, as
 * written in `Options` (`maintenance.mode`), the variable of the environment that it came from, if it did, and the rule
 * that it breaks, with what would be right. A number, a length of time or a word that breaks it is repeated before the
 * rule; what could be a secret, or contain one, never is.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigError extends Schema.Error<ConfigError>("hitless/Config/ConfigError")({
  // Not "ConfigError": that is the tag of Effect's own, and `layerConfig` can fail with either.
  _tag: Schema.tag("HitlessConfigError"),
  issues: Schema.Array(Schema.Struct({
    field: Schema.String,
    variable: Schema.optionalKey(Schema.String),
    rule: Schema.String
  }))
}) {
  override get message(): string {
    const lines = this.issues.map(({ field, rule, variable }) => `\n- ${variable ?? field}: ${rule}`)
    return `Invalid configuration:${lines.join("")}`
  }
  override toJSON(): object {
    return encoded(this, { issues: this.issues })
  }
  /** @internal */
  override [NodeInspectSymbol](): unknown {
    return this.stack ?? `${this}`
  }
}

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const toConfigError = (error: Schema.SchemaError, variables: ReadonlyMap<string, Variable>): ConfigError =>
  new ConfigError({
    issues: formatIssues(error.issue).issues.map(({ message, path = [] }) => {
      const field = path.length === 0 ? "options" : path.map(String).join(".")
      // The parts of a URL break rules by themselves, and come from one variable.
      const variable = variables.get(field) ?? variables.get(String(path[0]))
      return { field, ...(variable && { variable: variable.name }), rule: variable?.rule ?? message }
    })
  })

// ----- fields -----

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

const pem = "must be text or bytes in PEM form"

const asPem = "write \"-----BEGIN CERTIFICATE-----…\", the content of the file"

const secretRule = "must be redacted text, so that it is never printed; write Redacted.make(…)"

const Tls = Schema.Struct({
  servername: field(Schema.NonEmptyString, "must be a non-empty host name; write cache.example.com"),
  ca: field(Schema.Union([Text, Schema.Array(Text)]), `${pem}, or an array of them; ${asPem}`),
  cert: field(Text, `${pem}; ${asPem}`),
  key: field(
    Schema.Redacted(Text),
    `${pem}, redacted so that it is never printed; write Redacted.make("-----BEGIN PRIVATE KEY-----…")`
  ),
  passphrase: field(Schema.Redacted(Schema.String), secretRule),
  rejectUnauthorized: field(Schema.Boolean, "must be true or false; write true")
}).annotate(known)

const CredentialsSchema = Schema.Struct({
  username: field(
    Schema.Union([Schema.NonEmptyString, Schema.Uint8Array]),
    "must be a non-empty string; write a name, or leave it out for the default user"
  ),
  password: Schema.Redacted(Text).pipe(
    Schema.middlewareDecoding(Effect.mapError(() => broken(secretRule))),
    Schema.annotateKey({ messageMissingKey: secretRule })
  )
}).annotate(known)

const credentialsShape = "must be { username?, password }"

const credentialsRule = `${credentialsShape}, or an effect or a stream of it; write { password: Redacted.make(…) }`

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

const WhenOverloaded = Schema.Literals(["fail", "wait"])

const Startup = Schema.Literals(["connected", "lazy"])

const WhenDown = Schema.Literals(["wait", "fail"])

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
  host: option(Host, "must be a host name or an IP address, without a port", {
    example: "localhost, cache.example.com or 10.0.0.1"
  }),
  port: option(Port, "must be an integer from 1 to 65535", { example: "6379" }),
  path: option(Schema.NonEmptyString, "must be the path of a Unix socket", { example: "/run/redis.sock" })
}

/** How it is spoken to: what a URL can give as well. */
const place = {
  family: choice(Family, "must be 0, 4 or 6", { default: 0, env: numeric }),
  database: choice(atLeast(0), "must be an integer of at least 0: databases are numbered", {
    default: 0,
    env: numeric
  }),
  // What CLIENT SETNAME accepts: CLIENT LIST separates fields with spaces.
  clientName: option(
    Schema.String.check(Schema.isPattern(/^[!-~]+$/)),
    "must be printable ASCII without spaces: servers refuse any other name",
    { example: "checkout", env: verbatim }
  ),
  protocol: choice(Protocol, "must be \"auto\", 2 or 3", { default: "auto", env: numeric })
}

// Where no reason is given a default is go-redis': 5 s to dial, 3 s for a reply, 3 retries, 15 s for a handoff, 10 s relaxed,
// a breaker of 5 failures and 60 s.
const general = {
  // The default of `maxclients` is 10,000, and while a pool moves each connection and its successor are open.
  poolSize: choice(
    between(1, 5000),
    "must be an integer from 1 to 5000: servers take 10000 clients by default, and a pool that moves has two for each",
    // Each is multiplexed, so few are enough.
    { default: 10, env: numeric }
  ),
  maxReserved: choice(
    between(1, 5000),
    "must be an integer from 1 to 5000: each reservation is a connection of its own",
    { default: 10, env: numeric }
  ),
  maxPendingCommands: choice(
    atLeast(1),
    "must be an integer of at least 1: a command is pending until it is answered",
    // For a process with a heap of 1 GiB, like the next. Measured for `GET`s of as many fibers: 987 bytes each when they
    // were forked one by one, 1,358 by `Effect.forEach`, so that 262,144 take 340 MiB.
    { default: 262_144, env: numeric }
  ),
  maxPendingBytes: choice(atLeast(1), "must be an integer of at least 1, in bytes", {
    // As text that is not Latin-1, which V8 keeps at two bytes a character, they take twice as much.
    default: 256 * 1024 * 1024,
    env: numeric
  }),
  whenOverloaded: choice(WhenOverloaded, "must be \"fail\" or \"wait\"", { default: "fail", env: verbatim }),
  startup: choice(Startup, "must be \"connected\" or \"lazy\"", { default: "connected", env: verbatim }),
  whenDown: choice(WhenDown, "must be \"wait\" or \"fail\"", { default: "wait", env: verbatim }),
  connectTimeout: length(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: a dial without an end could hold its callers for ever",
    { default: Duration.seconds(5), env: time }
  ),
  commandTimeout: length(
    duration(Duration.isPositive),
    "must be a positive duration; \"Infinity\" sets no limit",
    { default: Duration.seconds(3), env: time }
  ),
  retry: choice(RetryInput, "must be \"none\", \"reads\" or a predicate", { default: "reads", env: verbatim }),
  addressMap: option(
    Schema.Union([Addresses, Schema.declare(isTranslator)]),
    "must be an object that gives host:port for host:port, or a function",
    {
      example:
        "{ \"10.0.0.5:12000\": \"cache.example.com:7001\" }, or in the environment 10.0.0.5:12000=cache.example.com:7001",
      env: pairs
    }
  )
}

const maintenance = {
  mode: choice(Mode, "must be \"disabled\", \"enabled\" or \"auto\"", { default: "auto", env: verbatim }),
  endpointType: choice(
    EndpointTypeOrAuto,
    `must be "auto" or one of ${EndpointType.literals.map((type) => `"${type}"`).join(", ")}`,
    { default: "auto", env: verbatim }
  ),
  maxHandoffRetries: choice(
    between(0, 10),
    "must be an integer from 0 to 10: all attempts have to fit inside the announced time",
    { default: 3, env: numeric }
  ),
  handoffTimeout: length(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: an attempt without an end would hold its worker",
    { default: Duration.seconds(15), env: time }
  ),
  relaxedTimeout: length(
    Schema.Union([Schema.Literal("off"), duration(isPositiveAndFinite)]),
    "must be a positive, finite duration, or \"off\": a lost end of maintenance must not relax timeouts for ever",
    { default: Duration.seconds(10), env: time, others: ", or off" }
  ),
  // Its default is twice `relaxedTimeout`.
  postHandoffRelaxedDuration: length(
    duration(isFiniteAndNotNegative),
    "must be a finite duration of at least 0: relaxed timeouts have to end",
    { env: time }
  ),
  maxWorkers: choice(Count, "must be \"auto\" or an integer of at least 1: a handoff needs a worker", {
    default: "auto",
    env: numeric
  }),
  handoffQueueSize: choice(Count, "must be \"auto\" or an integer of at least 1: a handoff waits in the queue", {
    default: "auto",
    env: numeric
  }),
  targets: option(
    Schema.Union([Schema.Array(TargetHost), Schema.declare(isPredicate)]),
    "must be an array of host names and IP addresses without ports, also *.example.com, or a predicate",
    { example: "[\"10.0.0.1\", \"*.example.com\"], or in the environment 10.0.0.1,*.example.com", env: listed }
  ),
  logLevel: choice(LogLevelInput, "must be \"Error\", \"Warn\", \"Info\" or \"Debug\", or their number from 0 to 3", {
    default: "Warn",
    env: numeric
  })
}

const circuitBreaker = {
  failures: choice(atLeast(1), "must be an integer of at least 1: zero failures would never let a handoff run", {
    default: 5
  }),
  openDuration: length(
    duration(isPositiveAndFinite),
    "must be a positive, finite duration: an opened breaker has to try again",
    { default: Duration.seconds(60) }
  )
}

/**
 * The table of options, in its groups: what the page of options is written from.
 *
 * @internal
 */
export const tables = { address, place, general, maintenance, circuitBreaker }

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

const asUrl = "write redis://localhost:6379 or rediss://user:password@cache.example.com:6379/0"

const UrlInput = Schema.Unknown.pipe(
  Schema.decodeTo(UrlParts, {
    decode: SchemaGetter.transformEffect((input) => {
      const text = Redacted.isRedacted(input) ? Redacted.value(input) : input
      if (typeof text !== "string") return Effect.fail(broken(`must be text, or redacted text; ${asUrl}`))
      return Effect.fromResult(Result.mapBoth(Url.parseUrl(text), {
        onFailure: (rule) => broken(`${rule}; ${asUrl}`),
        onSuccess: withCredentials
      }))
    }),
    encode: SchemaGetter.forbidden(() => "options are only decoded")
  })
)

// ----- decoding -----

const Input = Schema.Struct({
  url: Schema.optional(UrlInput),
  ...fieldsOf(address),
  ...fieldsOf(place),
  tls: group(Schema.Union([Schema.Boolean, Tls]), "must be true, false or an object of TLS options; write true"),
  credentials: Schema.optional(CredentialsInput),
  ...fieldsOf(general),
  maintenance: group(
    Schema.Struct({
      ...fieldsOf(maintenance),
      circuitBreaker: group(
        Schema.Struct(fieldsOf(circuitBreaker)).annotate(known),
        "must be an object with failures and openDuration; write { failures: 5 }"
      )
    }).annotate(known),
    "must be an object of maintenance options; write { mode: \"auto\" }"
  )
})
  .annotate({ ...known, message: "must be an object; write { url: \"redis://localhost:6379\" }" })
  .check(Schema.makeFilter(({ host, path, port }) =>
    path !== undefined && (host !== undefined || port !== undefined)
      ? {
        path: ["path"],
        issue: "must not be combined with host or port: it takes their place; write one or the others"
      }
      : undefined
  ))
  .check(
    Schema.makeFilter(({ maintenance, protocol, url }) =>
      (protocol ?? url?.protocol) === 2 && maintenance?.mode === "enabled"
        ? {
          path: ["maintenance", "mode"],
          issue:
            "must not be \"enabled\" with protocol 2: notifications are pushes, which RESP3 alone has; write protocol 3"
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
 * Fills in and validates options. Fails with one error that lists every rule that is broken, by what was given, by a URL
 * and by variables of the environment.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (options: Options | undefined): Effect.Effect<ResolvedConfig, ConfigError> =>
  Effect.suspend(() => {
    const variables = new Map<string, Variable>()
    const given = options === undefined ? {} : unwrapped(options, variables, "")
    return Effect.mapError(decodeOptions(given), (error) => toConfigError(error, variables))
  })

// ----- environment -----

const envCredentials: EffectConfig.Config<unknown> = EffectConfig.all({
  username: optional(EffectConfig.String("REDIS_USERNAME")),
  password: optional(EffectConfig.Redacted("REDIS_PASSWORD"))
}).pipe(
  EffectConfig.flatMap(({ password, username }): EffectConfig.Config<unknown> =>
    username === undefined || password !== undefined
      ? EffectConfig.succeed(password && { username, password })
      : EffectConfig.map(
        nameOf("REDIS_USERNAME"),
        (name) => new Variable(name, { username }, "must not be set without a password; write one as REDIS_PASSWORD")
      )
  )
)

/** The options of a table that the environment can give: `maxWorkers` as `REDIS_MAINTENANCE_MAX_WORKERS`. */
const readFrom = (table: Table, prefix: string) =>
  Record.filterMap(table, ({ env, schema }, name) =>
    env === undefined
      ? Result.failVoid
      : Result.succeed(variable(`${prefix}_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`, env, schema)))

/** A link is nobody's choice: it gives way to a URL, and its host to a host. */
const envLocation = EffectConfig.all({
  url: variable("REDIS_URL", Redacted.make, UrlInput),
  host: variable("REDIS_HOST", verbatim, Host),
  port: variable(
    "REDIS_PORT",
    portOrLink,
    Schema.Union([Port, Schema.declare(isLinked)]),
    "must be a port, or the link to a container; write 6379 or tcp://host:6379"
  )
}).pipe(
  EffectConfig.map(({ host, port, url }) => {
    if (!isLinked(port)) return { url, host, port }
    return url === undefined ? { url, host: host ?? port.host, port: port.port } : { url, host, port: undefined }
  })
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
 *   `REDIS_STARTUP` (`connected`, `lazy`), `REDIS_WHEN_DOWN` (`wait`, `fail`),
 *   `REDIS_CONNECT_TIMEOUT`, `REDIS_COMMAND_TIMEOUT` (durations such as `5s`, `500ms` or `5 seconds`), `REDIS_RETRY` (`none`, `reads`).
 * - `REDIS_MAINTENANCE_MODE`, `REDIS_MAINTENANCE_ENDPOINT_TYPE`, `REDIS_MAINTENANCE_MAX_HANDOFF_RETRIES`,
 *   `REDIS_MAINTENANCE_HANDOFF_TIMEOUT`, `REDIS_MAINTENANCE_RELAXED_TIMEOUT` (or `off`),
 *   `REDIS_MAINTENANCE_POST_HANDOFF_RELAXED_DURATION`, `REDIS_MAINTENANCE_MAX_WORKERS` (or `auto`),
 *   `REDIS_MAINTENANCE_HANDOFF_QUEUE_SIZE` (or `auto`), `REDIS_MAINTENANCE_TARGETS` (hosts, separated by commas),
 *   `REDIS_MAINTENANCE_LOG_LEVEL` (a name or 0 to 3).
 *
 * `Config.nested("CACHE")` turns them into `CACHE_REDIS_URL` and so on, for a second instance. It fails only where the
 * environment itself cannot be read: what a variable says is judged by `decode`, which tells what is wrong with all of
 * them, and with all other options, in one failure. Until then such a field holds something that is no option.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEnv: EffectConfig.Config<Options> = EffectConfig.all({
  location: envLocation,
  tls: variable("REDIS_TLS", switched, Schema.Boolean, "must be true or false; write true"),
  credentials: envCredentials,
  ...readFrom(place, "REDIS"),
  ...readFrom(general, "REDIS"),
  maintenance: EffectConfig.all(readFrom(maintenance, "REDIS_MAINTENANCE"))
}).pipe(EffectConfig.map(({ location, ...options }) => ({ ...location, ...options }) as Options))
