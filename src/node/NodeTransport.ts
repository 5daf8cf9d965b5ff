/**
 * `Transport` for Node: TCP and Unix sockets over `node:net`, TLS over `node:tls`, names through the system's resolver.
 *
 * Sockets have Nagle's algorithm off and TCP keep-alive on. TLS verifies the peer unless told otherwise. This module
 * only translates options; the sockets are Effect's `NodeSocket`.
 *
 * @since 0.1.0
 */
import * as NodeDns from "@effect/platform-node/NodeDns"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Dns from "effect/net/Dns"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { Endpoint } from "../Endpoint.ts"
import { type OpenOptions, type TlsOptions, type TlsSession, Transport, UnusableTls } from "../Transport.ts"

/** How long a TCP connection is idle before the kernel probes it, in milliseconds: what node-redis uses. */
const keepAliveInitialDelay = 5000

const address = (endpoint: Endpoint, family: OpenOptions["family"]): Net.NetConnectOpts =>
  endpoint._tag === "Unix"
    ? { path: endpoint.path }
    : {
      host: endpoint.host,
      port: endpoint.port,
      family: family ?? 0,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay
    }

const text = (value: string | Uint8Array): string | Buffer => typeof value === "string" ? value : Buffer.from(value)

const isUsable = (options: Tls.SecureContextOptions): boolean => {
  try {
    Tls.createSecureContext(options)
    return true
  } catch {
    return false
  }
}

const faultOf = (tls: TlsOptions, { cert, key, passphrase }: Tls.SecureContextOptions): string => {
  if (!isUsable({ cert })) return "tls.cert is no certificate in PEM form"
  if (isUsable({ key, passphrase })) return "tls.key is not the private key of tls.cert"
  if (!String(key).includes("ENCRYPTED")) return "tls.key is no private key in PEM form"
  return tls.passphrase === undefined
    ? "tls.key is encrypted and there is no tls.passphrase"
    : "tls.key cannot be decrypted with tls.passphrase"
}

const codeOf = (cause: unknown): string => cause instanceof Error && "code" in cause ? ` (${cause.code})` : ""

/** The certificates and the key that the options give; OpenSSL's words for what is wrong with them name no option. */
const secureContext = (tls: TlsOptions): Effect.Effect<Tls.SecureContext, UnusableTls> =>
  Effect.suspend(() => {
    const authorities = tls.ca === undefined ? undefined : [tls.ca].flat().map(text)
    const options: Tls.SecureContextOptions = {
      ca: authorities,
      cert: tls.cert && text(tls.cert),
      key: tls.key && text(Redacted.value(tls.key)),
      passphrase: tls.passphrase && Redacted.value(tls.passphrase)
    }
    return Effect.andThen(
      Effect.try({
        // OpenSSL takes no notice of an authority that is no certificate.
        try: () => authorities?.forEach((authority) => new Crypto.X509Certificate(authority)),
        catch: (cause) => new UnusableTls({ message: `tls.ca is no certificate in PEM form${codeOf(cause)}` })
      }),
      Effect.try({
        try: () => Tls.createSecureContext(options),
        catch: (cause) => new UnusableTls({ message: `${faultOf(tls, options)}${codeOf(cause)}` })
      })
    )
  })

/** What the certificate is checked for. A name of SNI is no IP address, and has no dot at its end (RFC 6066). */
const identity = (name: string | undefined): Tls.ConnectionOptions =>
  name === undefined
    ? {}
    : Net.isIP(name) === 0
    ? { servername: name.replace(/\.$/, "") }
    : { checkServerIdentity: (_, certificate) => Tls.checkServerIdentity(name, certificate) }

const distinguished = ({ CN, O }: Tls.Certificate): string => [CN ?? O ?? ""].flat().join(", ")

const sessionOf = (socket: Tls.TLSSocket): TlsSession => {
  const chain: Array<TlsSession["chain"][number]> = []
  const seen = new Set<string>()
  let certificate: Tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  // The last one is its own issuer; a peer that shows none has an empty one.
  while (certificate?.fingerprint256 !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    chain.push({
      subject: distinguished(certificate.subject),
      issuer: distinguished(certificate.issuer),
      names: certificate.subjectaltname ?? "",
      validTo: certificate.valid_to
    })
    certificate = certificate.issuerCertificate
  }
  return { version: socket.getProtocol() ?? "unknown", chain }
}

/** A socket that `connect` dials when its reader is acquired, and that is ready with the event `ready`. */
const dialled = (
  connect: () => Net.Socket,
  ready: "connect" | "secureConnect",
  onPeer: OpenOptions["onPeer"]
): Effect.Effect<Socket.Socket> =>
  NodeSocket.fromDuplex(
    Effect.gen(function*() {
      let socket: Net.Socket | undefined
      let isOpen = false
      // What was written before the end leaves; a dial that is given up does not.
      yield* Effect.addFinalizer(() => Effect.sync(() => isOpen ? socket?.destroySoon() : socket?.destroy()))
      return yield* Effect.callback<Net.Socket, Socket.SocketError>((resume) => {
        const dialling = connect()
        socket = dialling
        // Before TLS, which may never be agreed on.
        dialling.once("connect", () => {
          if (dialling.remoteAddress !== undefined) onPeer?.(dialling.remoteAddress)
        })
        dialling.once(ready, () => {
          isOpen = true
          resume(Effect.succeed(dialling))
        })
        dialling.on("error", (cause) => {
          resume(Effect.fail(
            new Socket.SocketError({
              reason: new Socket.SocketOpenError({ kind: "Unknown", cause })
            })
          ))
        })
      })
    })
  )

const openTls = (
  endpoint: Endpoint,
  tls: TlsOptions,
  { family, onPeer, onTls }: OpenOptions
): Effect.Effect<Socket.Socket> =>
  Effect.matchEffect(secureContext(tls), {
    onFailure: (cause) =>
      NodeSocket.fromDuplex(
        Effect.fail(new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) }))
      ),
    onSuccess: (secureContext) => {
      const options: Tls.ConnectionOptions = {
        ...address(endpoint, family),
        ...identity(
          tls.servername?.replace(/^\[(.*)\]$/, "$1") ?? (endpoint._tag === "Tcp" ? endpoint.host : undefined)
        ),
        secureContext,
        ...(tls.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: tls.rejectUnauthorized })
      }
      const connect = () => {
        const socket = Tls.connect(options)
        if (onTls !== undefined) socket.once("secureConnect", () => onTls(sessionOf(socket)))
        return socket
      }
      return dialled(connect, "secureConnect", onPeer)
    }
  })

/**
 * Provides `Transport` over Node's sockets.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Transport> = Layer.effect(
  Transport,
  Effect.map(Dns.Dns, (dns) =>
    Transport.of({
      open: (endpoint, options) =>
        options.tls === undefined
          ? dialled(() => Net.createConnection(address(endpoint, options.family)), "connect", options.onPeer)
          : openTls(endpoint, options.tls, options),
      resolve: (host) =>
        Net.isIP(host) === 0
          ? Effect.map(dns.lookup(host), (addresses) => addresses.map(NetAddress.formatIp))
          : Effect.succeed([host])
    }))
).pipe(Layer.provide(NodeDns.layer))
