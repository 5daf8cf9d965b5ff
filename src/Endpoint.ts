/**
 * Where a Redis server is reached: parsing, printing, endpoint-type detection and the expiring address override.
 *
 * Everything here is pure and synchronous. It never dials, never resolves a name and never reads a clock: an override
 * is data with an expiry, and the caller passes in the time.
 *
 * @since 0.1.0
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { keepNewest } from "./internal/bounded.ts"

/**
 * A TCP host and port, or a Unix socket's path. `host` is without brackets.
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint =
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/**
 * The port of Redis where none is written.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPort = 6379

/**
 * Makes a TCP endpoint.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tcp = (host: string, port: number = defaultPort): Endpoint => ({ _tag: "Tcp", host, port })

/**
 * Makes a Unix-socket endpoint.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unix = (path: string): Endpoint => ({ _tag: "Unix", path })

/**
 * Prints an endpoint as `host:port`, `[v6]:port` or `unix:path`: the form used in errors, logs, metrics and as a key.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (self: Endpoint): string =>
  self._tag === "Unix"
    ? `unix:${self.path}`
    : self.host.includes(":")
    ? `[${self.host}]:${self.port}`
    : `${self.host}:${self.port}`

/** Whether a host is an IP address and not a name. @internal */
export const isIp = (host: string): boolean => Result.isSuccess(NetAddress.ipFromString(host))

const isIpv6 = (host: string): boolean => host.includes(":") && isIp(host)

/** The longest name that can be looked up, in bytes, and what else can stand beside it: brackets, a colon and a port. */
const longestHost = 253
const longestText = longestHost + 8

const tooLong = Result.fail(`the host is longer than ${longestHost} bytes`)

const encoder = new TextEncoder()

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535

const withPort = (host: string, port: string | undefined): Result.Result<Endpoint, string> => {
  if (host === "") return Result.fail("the host is empty")
  if (encoder.encode(host).length > longestHost) return tooLong
  // It names an interface of the machine that wrote it.
  if (host.includes("%")) return Result.fail("a zone means nothing on another machine")
  if (port === undefined) return Result.succeed(tcp(host))
  return isPort(port)
    ? Result.succeed(tcp(host, Number(port)))
    : Result.fail("the port is not a number from 1 to 65535")
}

/**
 * Reads the forms in which servers write an address (docs/wire.md): `10.0.0.5:12000`, `name.example.com:12000`,
 * `[2001:db8::1]:12000`, IPv6 without brackets but with a last `:port`, and any of them without a port (then 6379).
 *
 * **Details**
 *
 * Fails with a phrase that says what is wrong with the text.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Endpoint, string> => {
  if (text.length > longestText) return tooLong
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (bracketed !== null) {
    const [, host, port] = bracketed
    return isIpv6(host) ? withPort(host, port) : Result.fail("what stands in brackets is not an IPv6 address")
  }
  const colon = text.lastIndexOf(":")
  if (colon === -1) return withPort(text, undefined)
  const host = text.slice(0, colon)
  if (!host.includes(":")) return withPort(host, text.slice(colon + 1))
  const port = text.slice(colon + 1)
  // The last group of an address is read as a port wherever it can be one: servers write the port (docs/wire.md).
  if (isIpv6(host) && (isPort(port) || !isIpv6(text))) return withPort(host, port)
  return isIpv6(text) ? withPort(text, undefined) : Result.fail("it is neither host:port nor an IPv6 address")
}

/** One spelling for each name and address. */
const canonicalHost = (host: string): string =>
  Result.match(NetAddress.ipFromString(host), {
    onFailure: () => host.toLowerCase().replace(/\.$/, ""),
    onSuccess: NetAddress.formatIp
  })

/**
 * Makes the predicate that holds for endpoints at one of these hosts: names and IP addresses, and `*.example.com` for
 * every name below `example.com`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAt = (hosts: ReadonlyArray<string>): (self: Endpoint) => boolean => {
  const exact = new Set(hosts.map(canonicalHost))
  const suffixes = [...exact].filter((host) => host.startsWith("*.")).map((host) => host.slice(1))
  return (self) => {
    if (self._tag === "Unix") return false
    const host = canonicalHost(self.host)
    return exact.has(host) || (!isIp(host) && suffixes.some((suffix) => host.endsWith(suffix)))
  }
}

/** One spelling for each endpoint. */
const canonical = (self: Endpoint): string =>
  format(self._tag === "Unix" ? self : tcp(canonicalHost(self.host), self.port))

/**
 * Makes the function that gives what a record of addresses says instead of an endpoint, and the endpoint itself where the
 * record does not have it. Addresses are written as `parse` reads them; what it does not read is left out.
 *
 * @category getters
 * @since 0.1.0
 */
export const translator = (addresses: Readonly<Record<string, string>>): (self: Endpoint) => Endpoint => {
  const known = new Map<string, Endpoint>()
  for (const [from, to] of Object.entries(addresses)) {
    Result.match(Result.all([parse(from), parse(to)]), {
      onFailure: () => {},
      onSuccess: ([from, to]) => known.set(canonical(from), to)
    })
  }
  return (self) => known.get(canonical(self)) ?? self
}

/**
 * The kinds of address a server can be asked to name as the target of a move.
 *
 * @category models
 * @since 0.1.0
 */
export type DetectedType = "internal-ip" | "internal-fqdn" | "external-ip" | "external-fqdn"

/** 100.64.0.0/10 (RFC 6598): between a carrier, or a cloud, and its customers, and as little routed as private ones. */
const isCarrierGrade = (ip: NetAddress.Ipv4Address): boolean =>
  /^100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(NetAddress.formatIp(ip))

const isInternal = (address: string): boolean =>
  Result.match(NetAddress.ipFromString(address), {
    onFailure: () => false,
    onSuccess: (given) => {
      const ip = NetAddress.isIpv4Address(given)
        ? given
        : Option.getOrElse(NetAddress.fromIpv4Mapped(given), () => given)
      return NetAddress.isLoopback(ip) || NetAddress.isLinkLocal(ip) ||
        (NetAddress.isIpv4Address(ip) ? NetAddress.isPrivate(ip) || isCarrierGrade(ip) : NetAddress.isUniqueLocal(ip))
    }
  })

/**
 * The kind of address to ask for, from how this client reaches the server: by name under TLS, so that certificates can
 * be verified, else by IP; internal when every address given is loopback, link-local, private or of a carrier (100.64/10).
 *
 * @category getters
 * @since 0.1.0
 */
export const detectType = (
  addresses: ReadonlyArray<string>,
  options: { readonly tls: boolean }
): DetectedType => {
  const internal = addresses.length > 0 && addresses.every(isInternal)
  return options.tls
    ? internal ? "internal-fqdn" : "external-fqdn"
    : internal
    ? "internal-ip"
    : "external-ip"
}

/** That one endpoint is being left for another, until when. @internal */
export interface Move {
  readonly retiring: Endpoint
  readonly target: Endpoint
  /** The announced end, in elapsed milliseconds, by a monotonic clock. */
  readonly until: number
  /** As the notification has it. */
  readonly seq: string
  /**
   * Of a move without a named target: connections that were made before this leave, in elapsed milliseconds, also where
   * the target is written as what they were dialled by.
   */
  readonly before?: number
}

/** Whether two moves of one endpoint are the same announcement, with the same target. @internal */
export const isSameMove = (self: Move, that: Move): boolean =>
  self.seq === that.seq && self.until === that.until && format(self.target) === format(that.target)

/** How many moves are remembered: a client is connected to a few endpoints, and those that are long over are the oldest. */
const mostMoves = 64

/**
 * Which endpoints are being left for which: the expiring address override. Configuration is never changed for it.
 *
 * **Details**
 *
 * A later move of the same endpoint replaces the earlier one. Chains (`A → B`, `B → C`) are followed. The last 64 moves
 * are remembered.
 *
 * @internal
 */
export class AddressOverride {
  /** The move that was recorded last, whether it is in force or over. */
  last: Move | undefined
  private readonly moves = new Map<string, Move>()

  /**
   * Records a move, unless it leads to where it starts. Where it would close a circle (`A → B`, then `B → A`), what is
   * moved to now is not being left any more, so its own move ends.
   */
  set(move: Move): void {
    const retiring = format(move.retiring)
    if (retiring === format(move.target)) return
    this.moves.delete(retiring)
    if (format(this.resolve(move.target, -Infinity)) === retiring) this.moves.delete(format(move.target))
    this.moves.set(retiring, move)
    this.last = move
    keepNewest(this.moves, mostMoves)
  }

  /** The move of exactly this endpoint that is in force at `now`. */
  moveOf(endpoint: Endpoint, now: number): Move | undefined {
    const key = format(endpoint)
    const move = this.moves.get(key)
    if (move === undefined || move.until > now) return move
    this.moves.delete(key)
    return undefined
  }

  /** Where a dial meant for `endpoint` goes at `now`. */
  resolve(endpoint: Endpoint, now: number): Endpoint {
    // It comes to an end, after a few steps: `set` never closes a circle.
    let at = endpoint
    for (let move = this.moveOf(at, now); move !== undefined; move = this.moveOf(at, now)) at = move.target
    return at
  }
}
