/**
 * What `hitless doctor` looks at, from the name of a server to the time of a round trip: each as a finding with a verdict
 * and, where something can be done, the next step.
 *
 * It uses the rooms of the client itself, so that what it finds is what a client would: the transport dials, the dialer
 * shakes hands. What comes after a problem is not looked at. It never fails, changes nothing on the server, and puts no
 * secret into a finding.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { ResolvedConfig } from "../Config.ts"
import type { Connection, Owner } from "../Connection.ts"
import { detectType, format, isIp } from "../Endpoint.ts"
import type { HitlessError, HitlessErrorReason } from "../HitlessError.ts"
import { bounded, printable } from "../internal/diagnosis.ts"
import { Dialer } from "../internal/dialer.ts"
import { monotonicMillis } from "../internal/elapsed.ts"
import { protocolOf } from "../internal/handshake.ts"
import { Logins } from "../internal/logins.ts"
import * as Runtime from "../internal/runtime.ts"
import * as Maintenance from "../Maintenance.ts"
import { ErrorReply } from "../Resp.ts"
import { connectFailure, type OpenOptions, type TlsSession, Transport } from "../Transport.ts"
import { millis } from "./statistics.ts"

/**
 * - `ok`: as it should be.
 * - `note`: a client works with it, and something is missing or could be better.
 * - `problem`: no client can work with it.
 * - `skipped`: not asked for, or behind a problem.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = "ok" | "note" | "problem" | "skipped"

/**
 * One thing that was looked at. `facts` has the figures and words of the verdict, as data.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  readonly check: Check
  readonly status: Status
  readonly verdict: string
  /** What to do about it, where there is anything. */
  readonly next?: string
  readonly facts?: Readonly<Record<string, unknown>>
}

/**
 * What is looked at, in this order.
 *
 * @category constants
 * @since 0.1.0
 */
export const checks = [
  "dns",
  "tcp",
  "tls",
  "redis",
  "auth",
  "resp3",
  "maintenance",
  "endpoint type",
  "round trip"
] as const

/**
 * The name of one of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Check = (typeof checks)[number]

/** Enough for a median; a client far away waits a few seconds for them. */
const pings = 10

// ----- before Redis -----

const lookUp = Effect.fnUntraced(
  function*({ endpoint }: ResolvedConfig): Effect.fn.Return<Finding, never, Transport> {
    const check = "dns"
    if (endpoint._tag === "Unix") return { check, status: "skipped", verdict: "a socket file has no name to look up" }
    const { host } = endpoint
    if (isIp(host)) return { check, status: "ok", verdict: `${host} is an address` }
    const { resolve } = yield* Transport
    return yield* Effect.match(resolve(host), {
      onSuccess: (addresses): Finding => ({
        check,
        status: "ok",
        verdict: `${host} is ${addresses.join(", ")}`,
        facts: { addresses }
      }),
      onFailure: ({ isTemporary, reason }): Finding => ({
        check,
        status: "problem",
        verdict: `${host} could not be resolved (${reason})`,
        next: isTemporary
          ? "try again; if it stays so, the name server of this machine does not answer"
          : `look for a typing error; "getent hosts ${host}" asks the same resolver`
      })
    })
  }
)

interface Opened {
  readonly took: number
  readonly address: string | undefined
  readonly session: TlsSession | undefined
}

/** Opens a connection, and closes it. */
const open = (
  { connectTimeout, endpoint, family }: ResolvedConfig,
  tls: OpenOptions["tls"]
): Effect.Effect<Opened, Socket.SocketError, Transport> =>
  Effect.gen(function*() {
    const { open } = yield* Transport
    const clock = yield* Clock.Clock
    let address: string | undefined
    let session: TlsSession | undefined
    const socket = yield* open(endpoint, {
      tls,
      family,
      onPeer: (at) => {
        address = at
      },
      onTls: (agreed) => {
        session = agreed
      }
    })
    const startedAt = monotonicMillis(clock)
    yield* Effect.asVoid(Socket.readerBytes(socket))
    return { took: monotonicMillis(clock) - startedAt, address, session }
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: connectTimeout,
      orElse: () =>
        Effect.fail(
          new Socket.SocketError({
            reason: new Socket.SocketOpenError({ kind: "Timeout", cause: Duration.format(connectTimeout) })
          })
        )
    })
  )

const afterDial: Readonly<Record<string, string>> = {
  Refused: "start the server there, or correct host and port",
  TimedOut: "look for a firewall or a security group on the way, and whether the host is up",
  Unreachable: "correct the address, or look at the route to it and the permissions of the file",
  Dropped: "look at what is in front of the server: something there takes connections and closes them"
}

const connect = (config: ResolvedConfig): Effect.Effect<Finding, never, Transport> =>
  Effect.match(open(config, undefined), {
    onSuccess: ({ address, took }): Finding => ({
      check: "tcp",
      status: "ok",
      verdict: `connected to ${address ?? format(config.endpoint)} in ${millis(took)} ms`,
      facts: { ...(address === undefined ? {} : { address }), tookMillis: took }
    }),
    onFailure: (error): Finding => {
      const { detail, kind } = connectFailure(error)
      const next = afterDial[kind]
      return {
        check: "tcp",
        status: "problem",
        verdict: detail,
        ...(next === undefined ? {} : { next }),
        facts: { kind }
      }
    }
  })

const shown = (text: string): string => bounded(printable(text), 200)

/** The version, and who signed whom. */
const agreed = ({ chain, version }: TlsSession): string => {
  const root = chain.at(-1)
  const signers = chain.map(({ subject }) => subject)
  if (root !== undefined && root.issuer !== root.subject) signers.push(root.issuer)
  return [version, signers.map(shown).join(" signed by ")].join(", ")
}

const certificate = ({ chain: [own] }: TlsSession): string =>
  own === undefined ? "" : `, for ${own.names === "" ? "no name" : shown(own.names)}, until ${shown(own.validTo)}`

/** A name that the certificate is for, better than an address. */
const nameIn = (session: TlsSession | undefined): string | undefined => {
  const names = session?.chain[0]?.names ?? ""
  return (/DNS:([^,]+)/.exec(names) ?? /IP Address:([^,]+)/.exec(names))?.[1]
}

/** By what the transport says, what to do, on this command line and in a client. */
const afterTls: ReadonlyArray<readonly [words: RegExp, next: (session: TlsSession | undefined) => string]> = [
  [/not TLS|port with TLS/, () => "if that is the right port try redis:// in place of rediss://"],
  [
    /tls\.servername/,
    (session) => `try --servername ${shown(nameIn(session) ?? "NAME")}; in a client that is tls.servername`
  ],
  [/tls\.ca/, () => "try --ca FILE with the authority's certificate; in a client that is tls.ca"],
  [/tls\.cert/, () => "try --cert FILE and --key FILE; in a client these are tls.cert and tls.key"],
  [/expired|not valid yet/, () => "give the server a certificate that is valid now"]
]

const afterTlsFailure = (detail: string, session: TlsSession | undefined): { readonly next?: string } => {
  const next = afterTls.find(([words]) => words.test(detail))?.[1](session)
  return next === undefined ? {} : { next }
}

const agreeOnTls = Effect.fnUntraced(
  function*(config: ResolvedConfig): Effect.fn.Return<Finding, never, Transport> {
    const check = "tls"
    const { tls } = config
    if (tls === undefined) return { check, status: "skipped", verdict: "not asked for" }
    const result = yield* Effect.result(open(config, tls))
    if (Result.isSuccess(result)) {
      const { session } = result.success
      const isVerified = tls.rejectUnauthorized !== false
      return {
        check,
        status: isVerified ? "ok" : "note",
        verdict: session === undefined ? "agreed" : `${agreed(session)}${certificate(session)}`,
        ...(isVerified ? {} : { next: "the certificate is not verified: anybody can be the server" }),
        facts: { ...session }
      }
    }
    const { detail, kind } = connectFailure(result.failure)
    // Who the server says it is can be shown, and helps, when that is not believed.
    const unverified = kind === "Untrusted"
      ? yield* Effect.option(open(config, { ...tls, rejectUnauthorized: false }))
      : undefined
    const session = unverified?._tag === "Some" ? unverified.value.session : undefined
    const words = kind === "TimedOut" ? `${detail}: is that a port with TLS?` : detail
    return {
      check,
      status: "problem",
      verdict: session === undefined ? words : `${words} (${agreed(session)})`,
      ...afterTlsFailure(words, session),
      facts: { kind, ...session }
    }
  }
)

// ----- Redis -----

/** Of a connection that nobody sends commands on. */
const owner: Owner = {
  mayProve: false,
  restored: [],
  takesBytes: false,
  mayRead: undefined,
  onPush: () => {},
  onLess: () => {},
  onUnowed: () => false,
  onSilent: () => {},
  onClosed: () => {}
}

/** A connection as a client makes it. */
const shakeHands = Effect.fnUntraced(
  function*(config: ResolvedConfig): Effect.fn.Return<Connection, HitlessError, Transport | Scope.Scope> {
    const runtime = yield* Runtime.make(config)
    const maintenance = yield* Maintenance.make(runtime)
    const dialer = new Dialer(runtime, maintenance, new Logins(runtime, []))
    yield* Effect.addFinalizer(() => runtime.close(() => dialer.supports.clear(), maintenance.end))
    return yield* dialer.dial(config.endpoint, config.connectTimeout, owner)
  }
)

/** By what a server refuses a connection with, what to do. */
const afterRejection: ReadonlyArray<readonly [words: RegExp, next: string]> = [
  [/database|SELECT/, "leave the number out of the URL, or give one that the server has"],
  [/protected mode/, "run this on the server's own machine, or give the server a password"],
  [/maxclients/, "see who is connected with CLIENT LIST, on a connection that is open"],
  [/loading/i, "wait until the server has loaded its data"]
]

const afterRefusal = (reason: HitlessErrorReason, isConfigured: boolean): string | undefined => {
  switch (reason._tag) {
    case "AuthenticationFailed":
      return isConfigured
        ? "compare it with the server's requirepass or ACL LIST; in a URL what is no letter or digit is percent-encoded"
        : "put it into the URL, redis://:PASSWORD@HOST, which REDIS_URL keeps off the command line"
    case "ProtocolViolation":
      return "look for the port that Redis listens at"
    case "ConnectFailed":
      return reason.kind === "Rejected"
        ? afterRejection.find(([words]) => words.test(reason.detail))?.[1]
        : "look for what is in front of the server, and whether the server is busy: redis-cli -h HOST -p PORT PING"
    default:
      return undefined
  }
}

const refused = Effect.fnUntraced(
  function*(
    { reason }: HitlessError,
    config: ResolvedConfig,
    isConfigured: boolean
  ): Effect.fn.Return<ReadonlyArray<Finding>, never, Transport> {
    const detail = "detail" in reason ? reason.detail : reason.message
    const problem = (check: Check, verdict: string, next: string | undefined): Finding => ({
      check,
      status: "problem",
      verdict,
      ...(next === undefined ? {} : { next }),
      facts: { reason: reason._tag }
    })
    const next = afterRefusal(reason, isConfigured)
    if (reason._tag === "AuthenticationFailed") {
      return [{ check: "redis", status: "ok", verdict: "it speaks RESP" }, problem("auth", detail, next)]
    }
    // Under TLS 1.3 a server says that it misses a certificate when it has agreed already.
    if (reason._tag === "ConnectFailed" && reason.kind === "Untrusted") {
      return [problem("tls", detail, afterTlsFailure(detail, undefined).next)]
    }
    const isUnexplained = reason._tag === "ProtocolViolation" ||
      (reason._tag === "ConnectFailed" && (reason.kind === "Dropped" || reason.kind === "TimedOut"))
    if (config.tls === undefined && isUnexplained) {
      const secured = yield* Effect.option(open(config, { rejectUnauthorized: false }))
      if (secured._tag === "Some") {
        return [problem(
          "redis",
          "that port speaks TLS, and was spoken to without",
          "try rediss:// in place of redis://; in a client that can also be the option tls"
        )]
      }
    }
    return [problem("redis", detail, next)]
  }
)

const introduced = ({ peer: { introduction } }: Connection): Finding => {
  const check = "redis"
  if (introduction === undefined) {
    return { check, status: "ok", verdict: "it speaks RESP, and does not say what it is (no HELLO)" }
  }
  const [server, version, mode, role] = [
    introduction.server,
    introduction.version,
    introduction.mode,
    introduction.role
  ]
    .map(shown)
  const facts = { ...introduction }
  const verdict = `${server} ${version}, ${mode}, ${role}`
  if (mode === "sentinel") {
    return {
      check,
      status: "problem",
      verdict: `${verdict}: it knows where the database is, and is none`,
      next: "ask it with SENTINEL MASTERS, and take the address that it gives",
      facts
    }
  }
  if (mode === "cluster") {
    return {
      check,
      status: "problem",
      verdict: `${verdict}: a node answers for its own slots alone, and this client does not follow the others`,
      next: "take the address of a proxy or an endpoint that serves all keys",
      facts
    }
  }
  return role === "replica" || role === "slave"
    ? { check, status: "note", verdict, next: "a replica refuses writes: take the primary's address for those", facts }
    : { check, status: "ok", verdict, facts }
}

const loggedIn = (isConfigured: boolean): Finding =>
  isConfigured
    ? { check: "auth", status: "ok", verdict: "the server takes the credentials that are configured" }
    : { check: "auth", status: "ok", verdict: "the server asks for no password, and none is configured" }

const answersIn = (protocol: 2 | 3): Finding =>
  protocol === 3
    ? { check: "resp3", status: "ok", verdict: "RESP3, in which a server can announce maintenance" }
    : {
      check: "resp3",
      status: "note",
      verdict: "RESP2, in which no announcement can arrive",
      next: "RESP3 needs Redis 6 or later, and no proxy before it that refuses HELLO"
    }

const announces = ({ peer: { greeting, support } }: Connection): Finding => {
  const check = "maintenance"
  if (protocolOf(greeting) === 2) return { check, status: "skipped", verdict: "there is no RESP3" }
  switch (support._tag) {
    case "Supported":
      return { check, status: "ok", verdict: "the server announces maintenance" }
    case "Unknown":
      return { check, status: "skipped", verdict: "not asked for" }
    case "Refused": {
      const words = shown(support.words)
      return {
        check,
        status: "note",
        verdict: `the server does not announce maintenance: it answered ${words}`,
        next: /unknown (?:sub)?command|syntax error/i.test(words)
          ? "nothing, where it is Redis or Valkey: these have no such notifications, and mode auto does without"
          : "turn maintenance notifications on at the server; until then mode auto does without",
        facts: { words }
      }
    }
  }
}

const addressedBy = ({ endpoint, peerAddress }: Connection, config: ResolvedConfig): Finding => {
  const tls = config.tls !== undefined
  const at = endpoint._tag === "Unix" ? "127.0.0.1" : peerAddress
  const type = detectType(at === undefined ? [] : [at], { tls })
  const where = endpoint._tag === "Unix"
    ? "the socket file is on this machine"
    : `${at ?? format(endpoint)} is ${type.startsWith("internal") ? "an internal address" : "a public address"}`
  const how = tls ? "under TLS targets are dialled by name" : "without TLS targets are dialled by address"
  return { check: "endpoint type", status: "ok", verdict: `${type}: ${where}, and ${how}`, facts: { type } }
}

const measured = Effect.fnUntraced(
  function*(connection: Connection, { commandTimeout }: ResolvedConfig): Effect.fn.Return<Finding> {
    const check = "round trip"
    const clock = yield* Clock.Clock
    const times: Array<number> = []
    while (times.length < pings) {
      const startedAt = monotonicMillis(clock)
      const exchanged = yield* Effect.timeoutOption(connection.exchange([["PING"]], false), commandTimeout)
      if (exchanged._tag === "None") {
        return {
          check,
          status: "problem",
          verdict: `PING ${times.length + 1} got no reply within ${Duration.format(commandTimeout)}`,
          next: "look at what the server is busy with: SLOWLOG GET, and INFO commandstats"
        }
      }
      const { closedBy, replies: [reply] } = exchanged.value
      if (closedBy !== undefined || reply instanceof ErrorReply) {
        const why = reply instanceof ErrorReply
          ? `was answered ${shown(reply.message)}`
          : "was not answered: the server hung up"
        return { check, status: "problem", verdict: `PING ${why}` }
      }
      times.push(monotonicMillis(clock) - startedAt)
    }
    times.sort((a, b) => a - b)
    const [min, median, max] = [times[0], times[Math.floor(pings / 2)], times[pings - 1]]
    const verdict = `${pings} PINGs: min ${millis(min)}, median ${millis(median)}, max ${millis(max)} ms`
    return { check, status: "ok", verdict, facts: { pings, minMillis: min, medianMillis: median, maxMillis: max } }
  }
)

/**
 * Whether there is something to log in with.
 *
 * @category getters
 * @since 0.1.0
 */
export const hasCredentials = ({ credentials }: ResolvedConfig): Effect.Effect<boolean> =>
  Stream.isStream(credentials) ? Effect.succeed(true) : Effect.map(credentials, (given) => given !== undefined)

/**
 * Looks at everything, in order, and gives a finding for each.
 *
 * @category running
 * @since 0.1.0
 */
export const examine = (config: ResolvedConfig): Effect.Effect<ReadonlyArray<Finding>, never, Transport> =>
  Effect.gen(function*() {
    const findings = new Map<Check, Finding>()
    const note = (finding: Finding): boolean => {
      findings.set(finding.check, finding)
      return finding.status !== "problem"
    }
    const isReachable = note(yield* lookUp(config)) && note(yield* connect(config)) && note(yield* agreeOnTls(config))
    if (isReachable) {
      const isConfigured = yield* hasCredentials(config)
      const result = yield* Effect.result(shakeHands(config))
      if (Result.isFailure(result)) (yield* refused(result.failure, config, isConfigured)).forEach(note)
      else {
        const connection = result.success
        if (note(introduced(connection))) {
          note(loggedIn(isConfigured))
          note(answersIn(protocolOf(connection.peer.greeting)))
          note(announces(connection))
          note(addressedBy(connection, config))
          note(yield* measured(connection, config))
        }
      }
    }
    return checks.map((check): Finding => findings.get(check) ?? { check, status: "skipped", verdict: "not reached" })
  }).pipe(Effect.scoped)
