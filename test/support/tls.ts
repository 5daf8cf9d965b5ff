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
  /** For `localhost` and `127.0.0.1`, and no longer valid, or not yet, or with a key that is too weak. */
  readonly expired: Certificate
  readonly future: Certificate
  readonly weak: Certificate
}

/** A certificate authority of our own, and a server's and a client's certificate that it signed. */
export const makeCertificates: Effect.Effect<Certificates, never, Scope.Scope> = Effect.gen(function*() {
  const folder = mkdtempSync(join(tmpdir(), "hitless-tls-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))

  const openssl = (...args: ReadonlyArray<string>) => {
    const { error, status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" })
    if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
  }
  const usual = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
  const newKey = (name: string, kind = usual) => [...kind, "-nodes", "-keyout", `${name}.key`] as const
  const read = (name: string): Certificate => {
    const certFile = join(folder, `${name}.crt`)
    const keyFile = join(folder, `${name}.key`)
    return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") }
  }
  const forLoopback = "subjectAltName=DNS:localhost,IP:127.0.0.1"
  const requested = (name: string, extensions: string, kind = usual): void => {
    writeFileSync(join(folder, `${name}.ext`), extensions)
    openssl("req", "-new", ...newKey(name, kind), "-subj", `/CN=${name}`, "-out", `${name}.csr`)
  }
  const signed = (name: string, extensions: string, kind = usual): Certificate => {
    requested(name, extensions, kind)
    // dprint-ignore
    openssl(
      "x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
      "-days", "1", "-extfile", `${name}.ext`, "-out", `${name}.crt`
    )
    return read(name)
  }
  /** Valid for one year of another time, which only this command can say in every version. */
  const signedIn = (year: number, name: string, extensions: string): Certificate => {
    requested(name, extensions)
    writeFileSync(join(folder, "index.txt"), "")
    writeFileSync(
      join(folder, "ca.cnf"),
      "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n" +
        "[any]\ncommonName=supplied\n"
    )
    // dprint-ignore
    openssl(
      "ca", "-batch", "-config", "ca.cnf", "-in", `${name}.csr`, "-cert", "ca.crt", "-keyfile", "ca.key", "-notext",
      "-startdate", `${year}0101000000Z`, "-enddate", `${year + 1}0101000000Z`, "-extfile", `${name}.ext`,
      "-out", `${name}.crt`
    )
    return read(name)
  }

  openssl("req", "-x509", ...newKey("ca"), "-subj", "/CN=hitless-test-ca", "-days", "1", "-out", "ca.crt")
  return {
    ca: read("ca"),
    server: signed("server", forLoopback),
    elsewhere: signed("elsewhere", "subjectAltName=IP:10.9.8.7,IP:fd00::7,DNS:redis.example"),
    client: signed("client", "extendedKeyUsage=clientAuth"),
    expired: signedIn(2001, "expired", forLoopback),
    future: signedIn(2098, "future", forLoopback),
    weak: signed("weak", forLoopback, ["-newkey", "rsa:1024"])
  }
})
