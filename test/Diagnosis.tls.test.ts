/**
 * What a user is told about TLS that cannot be agreed on: each against the real situation.
 *
 * Certificates are made before any test runs: that takes the whole process, and the tests have connections that time out.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { peer, webServer } from "./support/peers.ts"
import { rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { makeCertificates } from "./support/tls.ts"
import { startTls } from "./support/tlsNodes.ts"
import { expectTold, told } from "./support/told.ts"

const scope = Scope.makeUnsafe()
const make = () => Effect.runPromise(Scope.provide(makeCertificates, scope))
const { ca, client, elsewhere, expired, future, server, weak } = await make()
const { client: stranger } = await make()

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

describe("TLS", () => {
  it.live("to a port without it says that the port may have none", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { message } = yield* told({ port, tls: true, connectTimeout: "1 second" })
      // Servers differ in what they take for the end of a line: one waits for it, another answers with an error.
      assert.match(message, /is that a port with TLS\?|what answered is not TLS/)
      assert.include(message, "redis://")
    }))

  it.live("to a peer that says nothing says how far it came", () =>
    Effect.gen(function*() {
      const connectTimeout = "1 second"
      const port = yield* peer(() => {})
      yield* expectTold({ port, connectTimeout, tls: true }, "TimedOut", "does not answer the TLS handshake")
      const behindTls = yield* rawServer(() => undefined, server)
      yield* expectTold(
        { port: behindTls.port, connectTimeout, tls: { ca: ca.cert } },
        "TimedOut",
        "agreed on TLS and then said nothing"
      )
    }))

  it.live("to what answers in the clear says that it is not TLS", () =>
    Effect.gen(function*() {
      for (const port of [yield* webServer, yield* peer((socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"))]) {
        yield* expectTold({ port, tls: true }, "Untrusted", "what answered is not TLS", "redis://")
      }
    }))

  it.live("to a peer that hangs up says where", () =>
    Effect.gen(function*() {
      const port = yield* peer((socket) => socket.end())
      yield* expectTold({ port, tls: true }, "Dropped", "in the middle of the TLS handshake: is that a port with TLS?")
    }))

  it.live("is what a port with it is told to want, by a client without", () =>
    Effect.gen(function*() {
      yield* expectTold({ port: (yield* startTls(server, ca)).port }, "Dropped", "A port with TLS does so", "rediss://")
    }))

  it.live("is recognised by its first bytes where it answers a client without", () =>
    Effect.gen(function*() {
      const port = yield* peer((socket) => socket.write(Buffer.from("15030100020246", "hex")))
      yield* expectTold(
        { port },
        "ProtocolViolation",
        String.raw`began with "\x15\x03\x01\x00\x02\x02F", which is TLS`,
        "rediss://"
      )
      const listening = yield* rawServer(() => undefined, server)
      // It ends with an alert or without a word, as the two come across.
      assert.include((yield* told({ port: listening.port })).message, "rediss://")
    }))

  it.live("with an authority that is unknown here names tls.ca", () =>
    Effect.gen(function*() {
      const { port } = yield* startTls(server, ca)
      yield* expectTold({ port, tls: true }, "Untrusted", "tls.ca")
      yield* expectTold({ port, tls: { ca: elsewhere.cert } }, "Untrusted", "tls.ca")
    }))

  it.live("with a certificate signed by itself names tls.ca", () =>
    Effect.gen(function*() {
      yield* expectTold({ port: (yield* startTls(ca, ca)).port, tls: true }, "Untrusted", "signed by itself", "tls.ca")
    }))

  it.live("with a certificate for another name says for which, and names tls.servername", () =>
    Effect.gen(function*() {
      yield* expectTold(
        { port: (yield* startTls(elsewhere, ca)).port, tls: { ca: ca.cert } },
        "Untrusted",
        "DNS:redis.example",
        "not for 127.0.0.1",
        "tls.servername"
      )
    }))

  it.live("with a certificate out of its time says so", () =>
    Effect.gen(function*() {
      for (const [certificate, words] of [[expired, "has expired"], [future, "is not valid yet"]] as const) {
        const { port } = yield* startTls(certificate, ca)
        yield* expectTold({ port, tls: { ca: ca.cert } }, "Untrusted", words)
      }
    }))

  it.live("with a certificate that is for clients, or has a weak key, says so", () =>
    Effect.gen(function*() {
      for (const [certificate, words] of [[client, "for another purpose"], [weak, "key too weak"]] as const) {
        const { port } = yield* rawServer(() => undefined, { ...certificate, ciphers: "DEFAULT@SECLEVEL=0" })
        yield* expectTold({ port, tls: { ca: ca.cert } }, "Untrusted", words)
      }
    }))

  it.live("where the server asks for a certificate names tls.cert, and says when that is not accepted", () =>
    Effect.gen(function*() {
      const { port } = yield* startTls(server, ca, "--tls-auth-clients", "yes")
      yield* expectTold({ port, tls: { ca: ca.cert } }, "Untrusted", "tls.cert and tls.key")
      const { cert, key } = stranger
      yield* expectTold(
        { port, tls: { ca: ca.cert, cert, key: Redacted.make(key) } },
        "Untrusted",
        "does not accept the certificate in tls.cert"
      )
    }))

  it.live("of an old version says that none is common to both", () =>
    Effect.gen(function*() {
      const old = yield* rawServer(() => undefined, {
        ...server,
        minVersion: "TLSv1.1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0"
      })
      yield* expectTold({ port: old.port, tls: { ca: ca.cert } }, "Untrusted", "no version of TLS in common")
    }))
})
