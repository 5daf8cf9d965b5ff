/**
 * The one error of this package: `HitlessError`, with a `reason` that says what went wrong.
 *
 * Every reason carries where it happened (`endpoint`), what was being sent (`command`, the name alone: arguments and
 * credentials never enter an error, but for the key of an `InvalidValue`), whether the command may have run on the server (`mayHaveExecuted`), whether
 * sending it again is worth while and safe (`isRetryable`), and the maintenance window that was in force
 * (`window`), if any. Recover from one reason with
 * `Effect.catchReason("HitlessError", "CommandTimeout", (reason) => …)`.
 *
 * A failure is one `Error`; its reason is plain data. This module only describes failures. It never decides whether
 * something is retried.
 *
 * @since 0.1.0
 */
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Schema from "effect/Schema"
import { encoded, inspected, type Inspecting, recordNoTraces, recordTraces } from "./internal/printing.ts"

/** What every reason says: where it happened, what was being sent, and whether that may have run. */
const circumstances = {
  endpoint: Schema.optionalKey(Schema.String),
  command: Schema.optionalKey(Schema.String),
  window: Schema.optionalKey(Schema.String),
  mayHaveExecuted: Schema.Boolean
}

const at = (self: { readonly endpoint?: string; readonly window?: string }): string =>
  (self.endpoint === undefined ? "" : ` at ${self.endpoint}`) +
  (self.window === undefined ? "" : ` during ${self.window}`)

const what = (self: { readonly command?: string }): string => self.command ?? "the connection"

/**
 * Why a connection could not be opened, in one word.
 *
 * - `Refused`: nothing listens at that address.
 * - `TimedOut`: no connection, or no answer to the handshake, within the time allowed.
 * - `Unresolvable`: the host name has no address.
 * - `Untrusted`: the certificate, or the TLS handshake, was not accepted.
 * - `Unreachable`: no route, a missing socket file, or a denied permission.
 * - `Dropped`: the peer closed while the handshake was under way.
 * - `Rejected`: the server answered the handshake with an error that is not about credentials.
 *
 * @category models
 * @since 0.1.0
 */
export const ConnectFailureKind = Schema.Literals([
  "Refused",
  "TimedOut",
  "Unresolvable",
  "Untrusted",
  "Unreachable",
  "Dropped",
  "Rejected"
])

/**
 * The type of `ConnectFailureKind`.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectFailureKind = typeof ConnectFailureKind.Type

/**
 * A connection could not be opened; no command was sent on it. A command that waited for one may have run before, on a
 * connection that was lost.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectFailed extends Schema.Class<ConnectFailed>("hitless/HitlessError/ConnectFailed")({
  _tag: Schema.tag("ConnectFailed"),
  ...circumstances,
  kind: ConnectFailureKind,
  detail: Schema.String
}) {
  /** Connecting again can succeed, except where the certificate is not trusted; safe when the command never ran. */
  get isRetryable(): boolean {
    return !this.mayHaveExecuted && this.kind !== "Untrusted"
  }
  get message(): string {
    return `Could not connect${this.endpoint === undefined ? "" : ` to ${this.endpoint}`}: ${this.detail}`
  }
}

/**
 * The server did not accept the credentials, or asked for some where none are configured.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationFailed
  extends Schema.Class<AuthenticationFailed>("hitless/HitlessError/AuthenticationFailed")({
    _tag: Schema.tag("AuthenticationFailed"),
    ...circumstances,
    detail: Schema.String
  })
{
  /** The same credentials are refused again. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `Authentication failed${at(this)}: ${this.detail}`
  }
}

/**
 * `maintenance.mode` is `enabled` and the server does not send maintenance notifications.
 *
 * @category errors
 * @since 0.1.0
 */
export class MaintenanceRefused extends Schema.Class<MaintenanceRefused>("hitless/HitlessError/MaintenanceRefused")({
  _tag: Schema.tag("MaintenanceRefused"),
  ...circumstances,
  detail: Schema.String
}) {
  /** The server's answer does not change by asking again at once. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `Maintenance notifications are required (maintenance.mode "enabled") but were refused${
      at(this)
    }: ${this.detail}; ` +
      "mode \"auto\" connects all the same, and uses them where there are any"
  }
}

/**
 * No reply arrived within the deadline in force.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommandTimeout extends Schema.Class<CommandTimeout>("hitless/HitlessError/CommandTimeout")({
  _tag: Schema.tag("CommandTimeout"),
  ...circumstances,
  /** How long the command had, in milliseconds, relaxation included. */
  afterMillis: Schema.Finite
}) {
  /** Safe to send again only when it was never written. */
  get isRetryable(): boolean {
    return !this.mayHaveExecuted
  }
  get message(): string {
    return `${what(this)} got no reply within ${this.afterMillis} ms${at(this)} (${
      this.mayHaveExecuted ? "it may have run" : "it was never sent"
    })`
  }
}

/**
 * The connection that carried the command was lost before the reply.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionLost extends Schema.Class<ConnectionLost>("hitless/HitlessError/ConnectionLost")({
  _tag: Schema.tag("ConnectionLost"),
  ...circumstances,
  detail: Schema.String
}) {
  /** Safe to send again only when it was never written. */
  get isRetryable(): boolean {
    return !this.mayHaveExecuted
  }
  get message(): string {
    return `Connection lost${at(this)} before ${what(this)} was answered: ${this.detail} (${
      this.mayHaveExecuted ? "it may have run" : "it did not run"
    })`
  }
}

/**
 * Error codes with which a server says that it did not run the command and may run it soon. A proxy can use them in
 * words of its own for a command that ran, so they count only where `mayHaveExecuted` is `false`.
 *
 * @category constants
 * @since 0.1.0
 */
export const didNotRunCodes: ReadonlySet<string> = new Set([
  "READONLY",
  "LOADING",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "BUSY"
])

/**
 * The `code` of a reply that is legal and beyond the limits of this client: nested too deep, too large, or text that is
 * longer than a string can be. No server uses it.
 *
 * @category constants
 * @since 0.1.0
 */
export const unreadableCode = "UNREADABLE"

/** A node of a Redis Cluster names another one. */
const elsewhere = " (the key is on another node of a Redis Cluster, and this client does not follow it there)"

/** What the words of an error do not say. */
const hints: Readonly<Record<string, string>> = {
  MOVED: elsewhere,
  ASK: elsewhere,
  NOGROUP: " (make the group with XGROUP CREATE, or let `consume` make it with `createFrom`)"
}

/**
 * The server answered with an error reply. `code` is its first word, `detail` the whole text. With `unreadableCode` the
 * server answered with a reply that this client skipped, and `detail` says which limit it is beyond; the connection, and
 * the commands behind this one, go on.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerReplied extends Schema.Class<ServerReplied>("hitless/HitlessError/ServerReplied")({
  _tag: Schema.tag("ServerReplied"),
  ...circumstances,
  code: Schema.String,
  detail: Schema.String
}) {
  /** Only for codes that mean "did not run, may run soon" (`didNotRunCodes`), and only in Redis' own words. */
  get isRetryable(): boolean {
    return !this.mayHaveExecuted && didNotRunCodes.has(this.code)
  }
  get message(): string {
    const how = this.code === unreadableCode ? "beyond the limits of this client" : "with an error"
    const hint = Object.hasOwn(hints, this.code) ? hints[this.code] : ""
    return `${what(this)} was answered ${how}${at(this)}: ${this.detail}${hint}`
  }
}

/**
 * The peer sent bytes that are not RESP, or a reply where none was owed. That one connection is closed.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProtocolViolation extends Schema.Class<ProtocolViolation>("hitless/HitlessError/ProtocolViolation")({
  _tag: Schema.tag("ProtocolViolation"),
  ...circumstances,
  detail: Schema.String
}) {
  /** The command's fate is unknown, so it is not sent again. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `Protocol violation${at(this)}: ${this.detail}`
  }
}

/**
 * The server answered a typed command with something that it does not know: a reply of another shape, or an integer beyond
 * 2^53. The command ran, and the connection goes on.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnexpectedReply extends Schema.Class<UnexpectedReply>("hitless/HitlessError/UnexpectedReply")({
  _tag: Schema.tag("UnexpectedReply"),
  ...circumstances,
  /** What was expected and what came, without any value. */
  detail: Schema.String
}) {
  /** It ran, and would be answered alike. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `${what(this)} was answered with what it does not know${at(this)}: ${this.detail}`
  }
}

/**
 * A value that was read is not what its schema says: see `Commands.schema`. The command ran, and the connection goes on.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidValue extends Schema.Class<InvalidValue>("hitless/HitlessError/InvalidValue")({
  _tag: Schema.tag("InvalidValue"),
  ...circumstances,
  /** Where the value is. */
  key: Schema.String,
  /** Where in it the schema is not met, and what was expected there, by the words of the schema: nothing of the value. */
  detail: Schema.String
}) {
  /** It would be read again. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `${what(this)} read a value of ${JSON.stringify(this.key)}${
      at(this)
    } that is not what its schema says: ${this.detail}`
  }
}

/**
 * `EXEC` did not run: a watched key changed, or the server refused a command or `EXEC` itself. Nothing of the
 * transaction ran.
 *
 * @category errors
 * @since 0.1.0
 */
export class TransactionAborted extends Schema.Class<TransactionAborted>("hitless/HitlessError/TransactionAborted")({
  _tag: Schema.tag("TransactionAborted"),
  ...circumstances,
  /** The first word of the server's refusal; none where a watched key changed. */
  code: Schema.optionalKey(Schema.String),
  detail: Schema.String
}) {
  /**
   * When a watched key changed, or the refusal passes (`didNotRunCodes`); never when the transaction was sent before, on
   * a connection that was lost.
   */
  get isRetryable(): boolean {
    return !this.mayHaveExecuted && (this.code === undefined || didNotRunCodes.has(this.code))
  }
  get message(): string {
    return `Transaction aborted${at(this)}, ${
      this.mayHaveExecuted ? "it may have run before" : "nothing ran"
    }: ${this.detail}`
  }
}

/**
 * The client did not send the command: its arguments are none, or on that connection it would harm other commands.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommandRefused extends Schema.Class<CommandRefused>("hitless/HitlessError/CommandRefused")({
  _tag: Schema.tag("CommandRefused"),
  ...circumstances,
  detail: Schema.String
}) {
  /** It is refused again. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `${what(this)} was not sent: ${this.detail}`
  }
}

/**
 * Too many commands, or too many bytes of arguments, are outstanding, or too many connections are reserved; this one was
 * not accepted.
 *
 * @category errors
 * @since 0.1.0
 */
export class Overloaded extends Schema.Class<Overloaded>("hitless/HitlessError/Overloaded")({
  _tag: Schema.tag("Overloaded"),
  ...circumstances,
  /** The limit that it would have exceeded, and of what. */
  limit: Schema.Finite,
  unit: Schema.Literals(["commands", "bytes", "connections", "messages"])
}) {
  /** It did not run; later there may be room. */
  get isRetryable(): boolean {
    return true
  }
  get message(): string {
    if (this.unit === "connections") {
      return `${
        what(this)
      } found no connection of its own: all ${this.limit} were reserved the whole time; give them back sooner, or raise maxReserved`
    }
    if (this.unit === "messages") {
      return `${
        what(this)
      } came to an end: ${this.limit} messages waited to be read; read them sooner, raise capacity, or choose another overflow`
    }
    const [many, option] = this.unit === "commands"
      ? ["commands", "maxPendingCommands"]
      : ["bytes of arguments", "maxPendingBytes"]
    return `${
      what(this)
    } was not accepted: more than ${this.limit} ${many} would be outstanding; send fewer at a time, raise ${option}, or let commands wait for room with whenOverloaded: "wait"`
  }
}

/**
 * The client's scope is closed, or closing.
 *
 * @category errors
 * @since 0.1.0
 */
export class Closed extends Schema.Class<Closed>("hitless/HitlessError/Closed")({
  _tag: Schema.tag("Closed"),
  ...circumstances
}) {
  /** A closed client does not open again. */
  get isRetryable(): boolean {
    return false
  }
  get message(): string {
    return `The client is closed: ${what(this)} ${
      this.mayHaveExecuted ? "was not answered in time and may have run" : "was not sent"
    }`
  }
}

/**
 * Every reason a `HitlessError` can have.
 *
 * @category errors
 * @since 0.1.0
 */
export const HitlessErrorReason = Schema.Union([
  ConnectFailed,
  AuthenticationFailed,
  MaintenanceRefused,
  CommandTimeout,
  ConnectionLost,
  ServerReplied,
  ProtocolViolation,
  UnexpectedReply,
  InvalidValue,
  TransactionAborted,
  CommandRefused,
  Overloaded,
  Closed
])

/**
 * The type of `HitlessErrorReason`.
 *
 * @category errors
 * @since 0.1.0
 */
export type HitlessErrorReason = typeof HitlessErrorReason.Type

/**
 * What every failing operation of this package fails with.
 *
 * **Details**
 *
 * Its stack has no frames of this package: they would lead through a reader or an alarm, and recording them takes longer
 * than everything else about a failure. It ends in the caller's code where that is written with `Effect.fn` or runs in a
 * span. Printed in any way, as text, as JSON or by a logger, it shows the message.
 *
 * @category errors
 * @since 0.1.0
 */
export class HitlessError extends Schema.Error<HitlessError>("hitless/HitlessError")({
  _tag: Schema.tag("HitlessError"),
  reason: HitlessErrorReason
}) {
  // @effect-diagnostics-next-line overriddenSchemaConstructor:off
  constructor(props: { readonly reason: HitlessErrorReason }, options?: Schema.MakeOptions) {
    const limit = recordNoTraces()
    try {
      super(props, options)
    } finally {
      recordTraces(limit)
    }
  }
  /** Whether the command may have run on the server: `false` means that it certainly did not. */
  get mayHaveExecuted(): boolean {
    return this.reason.mayHaveExecuted
  }
  /** Whether sending the same thing again is safe and may succeed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  override get message(): string {
    return this.reason.message
  }
  override toJSON(): object {
    return encoded(this, { reason: this.reason })
  }
  /** @internal */
  override [NodeInspectSymbol](...inspecting: Inspecting): unknown {
    return inspected(this, { reason: this.reason }, inspecting)
  }
}
