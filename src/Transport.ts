/**
 * `Transport` opens byte connections to endpoints: the only door to the network.
 *
 * The service yields an `effect/socket/Socket` for an `Endpoint`; acquiring the socket's reader dials, and the scope of
 * that acquisition owns the connection. `hitless/node` provides it over `node:net` and `node:tls`. This module also
 * says what a failed dial means (`connectFailure`), by the error codes that Node, Bun and Deno share. It never speaks
 * RESP, never retries and never keeps a connection.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Dns from "effect/net/Dns"
import type * as Redacted from "effect/Redacted"
import type * as Socket from "effect/socket/Socket"
import { type Endpoint, isAt, isIp } from "./Endpoint.ts"
import type { ConnectFailureKind } from "./HitlessError.ts"

/**
 * How a TLS connection is verified and what it presents.
 *
 * **Details**
 *
 * The peer is verified against the system's roots, or `ca` when given, unless `rejectUnauthorized` is `false`.
 * `servername` is what the certificate is checked for, and the name of SNI unless it is an IP address; without it the
 * endpoint's host is used. A connection to the target of a move is checked for the target where that is a name, and for
 * the same as before where it is an IP address.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsOptions {
  readonly servername?: string | undefined
  readonly ca?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  readonly cert?: string | Uint8Array | undefined
  readonly key?: Redacted.Redacted<string | Uint8Array> | undefined
  readonly passphrase?: Redacted.Redacted<string> | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

/**
 * The TLS options for a dial to `endpoint` by a client that was configured for another.
 *
 * @internal
 */
export const tlsFor = (
  tls: TlsOptions | undefined,
  configured: Endpoint,
  endpoint: Endpoint
): TlsOptions | undefined => {
  const host = configured._tag === "Tcp" ? configured.host : undefined
  if (tls === undefined || endpoint._tag === "Unix" || (host !== undefined && isAt([host])(endpoint))) return tls
  const configuredName = host === undefined || isIp(host) ? undefined : host
  const servername = isIp(endpoint.host) ? tls.servername ?? configuredName : endpoint.host
  return servername === undefined ? tls : { ...tls, servername }
}

/**
 * TLS options that no connection can be made with: the cause of the `SocketOpenError` that a transport fails with. The
 * message names the option.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnusableTls extends Data.TaggedError("UnusableTls")<{ readonly message: string }> {}

/**
 * How an endpoint is dialled: in plain or by TLS, and which addresses of its name: IPv4's, IPv6's, or both (0).
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions {
  readonly tls: TlsOptions | undefined
  readonly family?: 0 | 4 | 6 | undefined
  /**
   * Told the IP address of the peer once the socket is connected to it, before TLS is agreed on: so that a name that leads
   * elsewhere is noticed, and how far a dial came.
   */
  readonly onPeer?: ((address: string) => void) | undefined
  /** Told what TLS came to, for who examines a server. @internal */
  readonly onTls?: ((session: TlsSession) => void) | undefined
}

/** What TLS came to, and the certificates that the peer showed, its own first. @internal */
export interface TlsSession {
  readonly version: string
  readonly chain: ReadonlyArray<{
    readonly subject: string
    readonly issuer: string
    /** As in `DNS:localhost, IP Address:127.0.0.1`; empty where it has none. */
    readonly names: string
    readonly validTo: string
  }>
}

/**
 * The service that opens sockets and resolves names.
 *
 * **Details**
 *
 * `open` itself does no I/O: acquiring the returned socket's `reader` dials, and fails with a `SocketOpenError` whose
 * cause carries the platform's error code. What is written to the socket is bytes and text, and text goes out as UTF-8. `resolve` gives the IP addresses of a host name, as text, in the resolver's
 * order; an IP address resolves to itself.
 *
 * @category services
 * @since 0.1.0
 */
export class Transport extends Context.Service<Transport, {
  readonly open: (endpoint: Endpoint, options: OpenOptions) => Effect.Effect<Socket.Socket>
  readonly resolve: (host: string) => Effect.Effect<ReadonlyArray<string>, Dns.DnsError>
}>()("hitless/Transport") {}

const codeOf = (cause: unknown): string => {
  if (typeof cause !== "object" || cause === null) return ""
  if ("code" in cause && typeof cause.code === "string") return cause.code
  // Happy Eyeballs reports one AggregateError for all addresses of a name.
  if ("errors" in cause && Array.isArray(cause.errors) && cause.errors.length > 0) return codeOf(cause.errors[0])
  return ""
}

const untrusted =
  /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO|HOSTNAME_MISMATCH|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|UNSPECIFIED/

/** What the codes of OpenSSL and Node mean for who configures a client, the more special first. */
const tlsHints: ReadonlyArray<readonly [code: RegExp, hint: string]> = [
  [
    /ALERT_(?:CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)/,
    "the server asks clients for a certificate: give tls.cert and tls.key, or look whether both have a cipher in common"
  ],
  [/ALERT_(?:UNKNOWN_CA|BAD_CERT|CERT|UNSUPPORTED_CERT)/, "the server does not accept the certificate in tls.cert"],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, "client and server have no version of TLS in common"],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH|UNKNOWN_PROTOCOL|HTTP_REQUEST|UNEXPECTED_MESSAGE|RECORD_/,
    "what answered is not TLS: take redis:// or no option tls, or name the port that has TLS"
  ],
  [/ALTNAME_INVALID|HOSTNAME_MISMATCH/, "give the name that it is for as tls.servername, or dial it by that name"],
  [/CERT_HAS_EXPIRED/, "the server's certificate has expired: it needs a new one"],
  [/CERT_NOT_YET_VALID/, "the server's certificate is not valid yet: is the clock of this machine right?"],
  [
    /INVALID_(?:CA|PURPOSE)|PATH_LENGTH/,
    "the server's certificate, or one of those that signed it, is for another purpose: it needs one for servers"
  ],
  [/DEPTH_ZERO_SELF_SIGNED/, "the server's certificate is signed by itself: if it is the right one give it as tls.ca"],
  [
    /SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|CERT_(?:UNTRUSTED|SIGNATURE_FAILURE)/,
    "nobody whom this client trusts signed the server's certificate: give its authority's certificate as tls.ca"
  ]
]

/** The names of a certificate that is for somebody else, as far as the platform tells them. */
const namesIn = (cause: unknown): string => {
  if (typeof cause !== "object" || cause === null || !("cert" in cause) || !("host" in cause)) return ""
  const { cert, host } = cause
  if (typeof cert !== "object" || cert === null || !("subjectaltname" in cert)) return ""
  const names = String(cert.subjectaltname).replace(/[^ -~]/g, "?")
  return `it is for ${names.length > mostNames ? `${names.slice(0, mostNames)}…` : names}, and not for ${host}: `
}

/** How much of a certificate's list of names is shown, in characters. */
const mostNames = 200

/**
 * What a socket error means when it ends a dial or a handshake: the kind of failure and a sentence for people.
 *
 * @category getters
 * @since 0.1.0
 */
export const connectFailure = (
  error: Socket.SocketError
): { readonly kind: ConnectFailureKind; readonly detail: string } => {
  const reason = error.reason
  if (reason._tag === "SocketCloseError") {
    return { kind: "Dropped", detail: "the peer closed the connection during the handshake" }
  }
  if (reason._tag === "SocketOpenError" && reason.kind === "Timeout") {
    return { kind: "TimedOut", detail: "no answer within the time allowed" }
  }
  if (reason.cause instanceof UnusableTls) return { kind: "Untrusted", detail: reason.cause.message }
  const code = codeOf(reason.cause)
  switch (code) {
    case "ECONNREFUSED":
      return { kind: "Refused", detail: "connection refused, nothing listens at that address (ECONNREFUSED)" }
    case "ETIMEDOUT":
      return { kind: "TimedOut", detail: "the network gave no answer (ETIMEDOUT)" }
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NONAME":
      return { kind: "Unresolvable", detail: `the host name could not be resolved (${code})` }
    case "ENOENT":
      return { kind: "Unreachable", detail: "the socket file does not exist (ENOENT)" }
    case "EACCES":
    case "EPERM":
      return { kind: "Unreachable", detail: `permission denied (${code}): this user may not open that` }
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
    case "EHOSTDOWN":
    case "ENETDOWN":
      return { kind: "Unreachable", detail: `no route to that address (${code})` }
    case "ECONNRESET":
    case "EPIPE":
      return { kind: "Dropped", detail: `the peer reset the connection (${code})` }
  }
  const text = reason.cause instanceof Error ? reason.cause.message : String(reason.cause)
  if (untrusted.test(code)) {
    // Of a certificate that OpenSSL refuses for a reason of its own, a weak key for one, its words are all that is known.
    const hint = code === "UNSPECIFIED" ? text : tlsHints.find(([codes]) => codes.test(code))?.[1]
    return {
      kind: "Untrusted",
      detail: `the TLS handshake was not accepted (${code})` +
        (hint === undefined ? "" : `: ${namesIn(reason.cause)}${hint}`)
    }
  }
  return { kind: "Unreachable", detail: code === "" ? text : `${text} (${code})` }
}
