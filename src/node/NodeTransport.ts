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
import * as Net from "node:net"
import type * as Tls from "node:tls"
import type { Endpoint } from "../Endpoint.ts"
import { type OpenOptions, type TlsOptions, Transport } from "../Transport.ts"

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

const secure = (endpoint: Endpoint, tls: TlsOptions, family: OpenOptions["family"]): Tls.ConnectionOptions => {
  const name = tls.servername ?? (endpoint._tag === "Tcp" ? endpoint.host : undefined)
  return {
    ...address(endpoint, family),
    // An IP address is not a legal SNI name; without one the certificate is checked against the address itself.
    ...(name === undefined || Net.isIP(name) !== 0 ? {} : { servername: name }),
    ...(tls.ca === undefined
      ? {}
      : { ca: typeof tls.ca === "string" || tls.ca instanceof Uint8Array ? text(tls.ca) : tls.ca.map(text) }),
    ...(tls.cert === undefined ? {} : { cert: text(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: text(Redacted.value(tls.key)) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: Redacted.value(tls.passphrase) }),
    ...(tls.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: tls.rejectUnauthorized })
  }
}

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
      open: (endpoint, { family, tls }) =>
        tls === undefined
          ? NodeSocket.makeNet(address(endpoint, family))
          : Effect.suspend(() => NodeSocket.makeTls(secure(endpoint, tls, family))),
      resolve: (host) =>
        Net.isIP(host) === 0
          ? Effect.map(dns.lookup(host), (addresses) => addresses.map(NetAddress.formatIp))
          : Effect.succeed([host])
    }))
).pipe(Layer.provide(NodeDns.layer))
