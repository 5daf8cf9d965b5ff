/**
 * Certificates for tests, made with the `openssl` binary in a folder that is gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

export interface Certificates {
  readonly ca: Certificate
  /** For `localhost` and `127.0.0.1`. */
  readonly server: Certificate
  /** For `10.9.8.7`, `fd00::7` and `redis.example`, where nobody listens. */
  readonly elsewhere: Certificate
  readonly client: Certificate
}

/** A certificate authority of our own, and a server's and a client's certificate that it signed. */
export const makeCertificates: Effect.Effect<Certificates, never, Scope.Scope> = Effect.gen(function*() {
  const folder = mkdtempSync(join(tmpdir(), "hitless-tls-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))

  const openssl = (...args: ReadonlyArray<string>) => {
    const { error, status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" })
    if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
  }
  const newKey = (name: string) =>
    ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`] as const
  const read = (name: string): Certificate => {
    const certFile = join(folder, `${name}.crt`)
    const keyFile = join(folder, `${name}.key`)
    return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") }
  }
  const signed = (name: string, extensions: string): Certificate => {
    writeFileSync(join(folder, `${name}.ext`), extensions)
    openssl("req", "-new", ...newKey(name), "-subj", `/CN=${name}`, "-out", `${name}.csr`)
    // dprint-ignore
    openssl(
      "x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
      "-days", "1", "-extfile", `${name}.ext`, "-out", `${name}.crt`
    )
    return read(name)
  }

  openssl("req", "-x509", ...newKey("ca"), "-subj", "/CN=hitless-test-ca", "-days", "1", "-out", "ca.crt")
  return {
    ca: read("ca"),
    server: signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    elsewhere: signed("elsewhere", "subjectAltName=IP:10.9.8.7,IP:fd00::7,DNS:redis.example"),
    client: signed("client", "extendedKeyUsage=clientAuth")
  }
})
