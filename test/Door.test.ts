/**
 * What a client meets before its first command: addresses and passwords as platforms write them, servers that repeat
 * secrets, certificates and keys that do not fit, and moves to where it may not go.
 */
import { assert, describe, it } from "@effect/vitest"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { Config, Endpoint, type HitlessError, HitlessRedis, Metrics, Transport } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import type { SimulatedRedis } from "hitless/testing"
import { createPrivateKey } from "node:crypto"
import * as Net from "node:net"
import { inspect } from "node:util"
import { scrubber, Secrets } from "../src/internal/secrets.ts"
import { credentialsOf } from "./support/credentials.ts"
import { connect, deploy, handoffsEnded, waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"
import { type Certificate, makeCertificates } from "./support/tls.ts"

const host = "127.0.0.1"

const maintenance = { logLevel: "Error" } as const

const open = (options: Config.Options) =>
  Effect.provide(HitlessRedis.make({ poolSize: 1, maintenance, ...options }), NodeTransport.layer)

const printed = (u: unknown) => [String(u), JSON.stringify(u), inspect(u, { depth: Infinity, showHidden: true })].join()

const failureOf = (error: HitlessError.HitlessError | Config.ConfigError): HitlessError.ConnectFailed =>
  error._tag === "HitlessError" && error.reason._tag === "ConnectFailed" ? error.reason : assert.fail(error.message)

describe("the environment of a container", () => {
  const decoded = (env: Record<string, string>) =>
    Effect.flatMap(Config.fromEnv.parse(ConfigProvider.fromEnvRecord(env)), Config.decode)

  it.effect.each<[env: Record<string, string>, endpoint: string]>([
    [{ REDIS_PORT: "tcp://10.0.0.1:6379" }, "10.0.0.1:6379"],
    [{ REDIS_PORT: "tcp://172.17.0.5:7000" }, "172.17.0.5:7000"],
    [{ REDIS_PORT: "TCP://redis:7000/" }, "redis:7000"],
    [{ REDIS_PORT: "tcp://[fd00:10:96::1]:6379" }, "[fd00:10:96::1]:6379"],
    [{ REDIS_PORT: "tcp://10.0.0.1:6380", REDIS_HOST: "redis" }, "redis:6380"],
    [{ REDIS_PORT: "tcp://10.0.0.1:6379", REDIS_URL: "redis://cache:7000" }, "cache:7000"],
    [{ REDIS_PORT: "tcp://10.0.0.1:6379", REDIS_URL: "redis://cache:7000", REDIS_HOST: "other" }, "other:7000"],
    [{ REDIS_PORT: "tcp://10.0.0.1:6379", REDIS_URL: "unix:///run/redis.sock" }, "unix:/run/redis.sock"],
    [{ REDIS_PORT: "7000", REDIS_URL: "redis://cache:6379" }, "cache:7000"],
    [{ REDIS_URL: "tcp://10.0.0.1:6380" }, "10.0.0.1:6380"]
  ])("%j leads to %s", ([env, endpoint]) =>
    Effect.gen(function*() {
      assert.strictEqual(Endpoint.format((yield* decoded(env)).endpoint), endpoint)
    }))

  it.effect("is read with a prefix too", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromEnvRecord({
        REDIS_PORT: "tcp://10.0.0.1:6379",
        CACHE_REDIS_PORT: "tcp://10.0.0.2:6380"
      })
      const config = yield* Effect.flatMap(EffectConfig.nested(Config.fromEnv, "CACHE").parse(provider), Config.decode)
      assert.strictEqual(Endpoint.format(config.endpoint), "10.0.0.2:6380")
    }))

  it.effect.each(["udp://10.0.0.1:6379", "tcp://10.0.0.1:70000", "tcp://:6379", "10.0.0.1:6379", "6379x", "-1", "1e3"])(
    "that says %s as the port is refused with what a port is, and without the value",
    (port) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(decoded({ REDIS_PORT: port }))
        assert.include(error.message, "REDIS_PORT")
        assert.include(error.message, "must be a port, or the link to a container; write 6379 or tcp://host:6379")
        assert.notInclude(printed(error), port)
      })
  )
})

describe("a URL", () => {
  const decode = (url: string) => Config.decode({ url })

  it.effect.each<[url: string, endpoint: string, tls: boolean]>([
    ["valkey://cache", "cache:6379", false],
    ["valkeys://cache:7000/1", "cache:7000", true],
    ["VALKEYS://cache", "cache:6379", true],
    ["tcp://10.0.0.1:6379", "10.0.0.1:6379", false]
  ])("%s is understood", ([url, endpoint, tls]) =>
    Effect.gen(function*() {
      const config = yield* decode(url)
      assert.strictEqual(Endpoint.format(config.endpoint), endpoint)
      assert.deepStrictEqual(config.tls, tls ? {} : undefined)
    }))

  it.effect("has the parameters that platforms and other clients write", () =>
    Effect.gen(function*() {
      const config = yield* decode("rediss://cache?db=2&protocol=3&family=6&client_name=app&ssl_cert_reqs=none")
      assert.deepStrictEqual(
        [config.database, config.protocol, config.family, config.clientName, config.tls],
        [2, 3, 6, "app", { rejectUnauthorized: false }]
      )
      for (const [text, family] of [["0", 0], ["4", 4], ["IPv6", 6]] as const) {
        assert.strictEqual((yield* decode(`redis://cache?family=${text}`)).family, family)
      }
      for (const [text, protocol] of [["auto", "auto"], ["2", 2], ["3", 3]] as const) {
        assert.strictEqual((yield* decode(`redis://cache?protocol=${text}`)).protocol, protocol)
      }
      for (const text of ["required", "CERT_REQUIRED", "optional"]) {
        assert.deepStrictEqual((yield* decode(`valkeys://c?ssl_cert_reqs=${text}`)).tls, { rejectUnauthorized: true })
      }
      assert.strictEqual((yield* decode("redis://cache?database=3&clientName=app")).database, 3)
    }))

  it.effect("gives way to explicit fields, parameter by parameter", () =>
    Effect.gen(function*() {
      const url = "rediss://cache?protocol=3&family=6&client_name=app&ssl_cert_reqs=none"
      const config = yield* Config.decode({ url, protocol: "auto", family: 0, clientName: "other", tls: { ca: "ca" } })
      assert.deepStrictEqual(
        [config.protocol, config.family, config.clientName, config.tls],
        ["auto", 0, "other", { ca: "ca" }]
      )
    }))

  it.effect.each<[url: string, says: string]>([
    ["redis://cache?timeout=s3cret", "\"timeout\": give it as commandTimeout or connectTimeout"],
    ["redis://cache?socket_timeout=s3cret", "\"socket_timeout\": give it as commandTimeout"],
    ["redis://cache?max_connections=s3cret", "\"max_connections\": give it as poolSize"],
    ["rediss://cache?ssl_ca_certs=s3cret", "\"ssl_ca_certs\": give it as tls.ca"],
    ["redis://cache?password=s3cret", "\"password\": give it as credentials"],
    ["redis://cache?constructor=s3cret", "\"constructor\": only db,"],
    ["redis://cache?family=s3cret", "0, 4 or 6 as family"],
    ["redis://cache?family=5", "0, 4 or 6 as family"],
    ["unix:///run/redis.sock?family=4", "only where there is a host"],
    ["redis://cache?protocol=s3cret", "auto, 2 or 3 as protocol"],
    ["redis://cache?ssl_cert_reqs=none", "only where the scheme means TLS"],
    ["rediss://cache?ssl_cert_reqs=s3cret", "none, optional or required as ssl_cert_reqs"],
    ["redis://cache?client_name=s3cret%20name", "printable ASCII"],
    ["redis://cache?protocol=2&protocol=3", "name the protocol once"],
    ["redis://cache/1?database=1", "name the database once"],
    ["redis+tls://cache", "must start with redis://, rediss://, valkey://, valkeys://, tcp:// or unix://"]
  ])("%s is refused: %s", ([url, says]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode(url))
      assert.include(error.message, says)
      assert.notInclude(printed(error), "s3cret")
    }))

  it.effect("may not ask for RESP2 where maintenance notifications are required", () =>
    Effect.gen(function*() {
      const options = { url: "redis://cache?protocol=2", maintenance: { mode: "enabled" } } as const
      const error = yield* Effect.flip(Config.decode(options))
      assert.deepStrictEqual(error.issues.map(({ field }) => field), ["maintenance.mode"])
    }))

  it.live("dials the addresses of the family that it names", () =>
    Effect.gen(function*() {
      const { port } = yield* rawServer(answerHandshake)
      const families = Effect.forEach([0, 4, 6], (family) =>
        Effect.map(
          Effect.result(open({ url: `redis://localhost:${port}?family=${family}` })),
          ({ _tag }) => _tag
        ))
      // The server listens on IPv4's loopback alone.
      assert.deepStrictEqual(yield* families, ["Success", "Success", "Failure"])
    }))

  it.effect.each<[password: string, bytes: ReadonlyArray<number> | string]>([
    ["caf%E9", [0x63, 0x61, 0x66, 0xe9]],
    ["%ff%00%FE", [0xff, 0x00, 0xfe]],
    // The first half of a character alone is no UTF-8.
    ["%C3", [0xc3]],
    ["%C3%A9", "é"],
    ["é", "é"],
    ["%25E9", "%E9"],
    ["a+b%20c", "a+b c"]
  ])("has the password %s as what it says", ([password, bytes]) =>
    Effect.gen(function*() {
      const config = yield* decode(`redis://${password}:${password}@cache`)
      const credentials = yield* credentialsOf(config)
      const expected = typeof bytes === "string" ? bytes : Uint8Array.from(bytes)
      assert.deepStrictEqual(credentials?.username, expected)
      assert.deepStrictEqual(credentials && Redacted.value(credentials.password), expected)
      assert.notInclude(printed(credentials?.password), "99")
    }))

  it.effect("has a Unix socket's path as text, or is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode("unix:///run/%E9.sock"))
      assert.include(error.message, "UTF-8")
    }))

  it.live("logs in with a user and a password that are no UTF-8", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const admin = yield* open({ host, port })
      const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))
      yield* admin.send("ACL", "SETUSER", bytes("ren\xe9"), "on", bytes(">caf\xe9"), "~*", "&*", "+@all")
      yield* admin.send("CONFIG", "SET", "requirepass", bytes("\xff\xfe"))
      for (const protocol of ["auto", 2] as const) {
        const named = yield* open({ url: `redis://ren%E9:caf%E9@${host}:${port}`, protocol })
        assert.deepStrictEqual(yield* named.sendBytes("ACL", "WHOAMI"), bytes("ren\xe9"))
        const unnamed = yield* open({ url: `redis://:%FF%FE@${host}:${port}`, protocol })
        assert.strictEqual(yield* unnamed.send("ACL", "WHOAMI"), "default")
      }
    }))
})

describe("a secret", () => {
  // Quotes, a backslash, letters beyond ASCII and a line end: every way of quoting changes something.
  const secret = "p\"4'ss\\w\u00f6rd\n+/\u20ac-9"

  const utf8 = Buffer.from(secret)

  const wordings: ReadonlyArray<readonly [how: string, text: string]> = [
    ["as it is", `got ${secret.replace("\n", " ")} there`],
    ["in the form of JSON", `[${JSON.stringify(secret)}]`],
    ["in the form of JSON that is ASCII", "\"p\\\"4'ss\\\\w\\u00f6rd\\n+/\\u20ac-9\""],
    ["as MONITOR shows it", "\"p\\\"4'ss\\\\w\\xc3\\xb6rd\\n+/\\xe2\\x82\\xac-9\""],
    ["percent-encoded", encodeURIComponent(secret)],
    ["percent-encoded in small letters", encodeURIComponent(secret).toLowerCase()],
    ["in hexadecimal", utf8.toString("hex")],
    ["in hexadecimal capitals", utf8.toString("hex").toUpperCase()],
    ["in Base64", utf8.toString("base64")],
    ["in Base64 for URLs", utf8.toString("base64url")],
    ["in capitals", secret.toUpperCase().replace("\n", " ")]
  ]

  for (const [how, text] of wordings) {
    it(`is cut out where it is repeated ${how}`, () => {
      const clean = scrubber(secret)(`ERR do not know ${text} and others`)
      assert.match(clean, /^ERR do not know (got )?[^a-z0-9]*\*\*\*[^a-z0-9]* (there )?and others$/)
    })
  }

  it.each([
    ["a", "ERR a proxy cannot handle AUTH default a", "ERR *** proxy cannot handle AUTH default ***"],
    ["1", "ERR word 1 of 10 is '1'", "ERR word *** of 10 is '***'"],
    ["E", "ERR Every word of AUTH,E,", "ERR Every word of AUTH,***,"],
    ["", "ERR nothing to hide", "ERR nothing to hide"],
    ["loading", "LOADING Redis is loading", "LOADING Redis is ***"],
    ["hunter2", "hunter2 is no password", "*** is no password"],
    ["hunter2", "-hunter2hunter2", "-******"],
    ["12345678901234567890", "ERR args: '1234567890123456", "ERR args: '***"],
    ["12345678901234567890", "ERR 123456789012345 of them", "ERR 123456789012345 of them"]
  ])("%j turns %j into %j", (secret, text, expected) => {
    assert.strictEqual(scrubber(secret)(text), expected)
  })

  it("that is no UTF-8 is cut out as the text that becomes of it", () => {
    const clean = scrubber(Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x21))
    assert.strictEqual(clean("ERR no caf\ufffd! here, no \"caf\\xe9!\" either"), "ERR no *** here, no \"***\" either")
  })

  // A server that repeats what it was told, in words of its own, in answer to all that `repeats` names.
  const password = "s3cret-t0ken"

  const parrot = (repeats: (words: ReadonlyArray<string>) => boolean, frame = (text: string) => `-ERR ${text}\r\n`) => {
    const told = new Map<number, Array<string>>()
    return rawServer((words, { id }) => {
      const all = told.get(id) ?? []
      told.set(id, [...all, ...words])
      if (repeats(words)) return frame(`do not know <${[...all, ...words].join("|")}>`)
      return answerHandshake(words) ?? "+OK\r\n"
    })
  }

  const credentials = { password: Redacted.make(password) }

  for (
    const [where, repeats] of [
      ["HELLO and AUTH", ([name]: ReadonlyArray<string>) => name === "HELLO" || name === "AUTH"],
      ["HELLO and SELECT", ([name]: ReadonlyArray<string>) => name === "HELLO" || name === "SELECT"],
      ["every command", () => true]
    ] as const
  ) {
    for (const [protocol, mode] of [["auto", "auto"], ["auto", "enabled"], [2, "auto"], [3, "auto"]] as const) {
      it.live(`is in no error when it is repeated to ${where}, with protocol ${protocol} and mode ${mode}`, () =>
        Effect.gen(function*() {
          const { port } = yield* parrot(repeats)
          const options = { host, port, credentials, database: 1, protocol, maintenance: { ...maintenance, mode } }
          const error = yield* Effect.flip(open(options))
          assert.include(error.message, "***")
          assert.notInclude(printed(error), password)
        }))
    }
  }

  for (const sign of ["-", "+"]) {
    it.live(`is in no status when notifications are refused with it (${sign})`, () =>
      Effect.gen(function*() {
        const { port } = yield* parrot((words) => words[1] === "MAINT_NOTIFICATIONS", (text) => `${sign}${text}\r\n`)
        const { endpoints } = yield* (yield* open({ host, port, credentials })).status
        assert.strictEqual(endpoints[0]?.support, "refused")
        assert.include(endpoints[0].words, "do not know")
        assert.notInclude(printed(endpoints), password)
      }))
  }

  it.live("is in no error when the server repeats it and hangs up", () =>
    Effect.gen(function*() {
      const { port } = yield* rawServer((words, { socket }) => {
        socket.end(`-ERR too many connections, do not know ${words.join(" ")}\r\n`)
        return undefined
      })
      const error = yield* Effect.flip(open({ host, port, credentials }))
      assert.include(error.message, "do not know")
      assert.notInclude(printed(error), password)
    }))

  it.live("is in no error that a later command is answered with, alone or in a batch", () =>
    Effect.gen(function*() {
      const { port } = yield* parrot(
        ([name]) => !["HELLO", "CLIENT", "MULTI", "EXEC", "SET"].includes(name!),
        (text) => `-${text}\r\n`
      )
      const redis = yield* open({ host, port, credentials })
      const results = [
        yield* Effect.flip(redis.send("GET", "key")),
        yield* Effect.flip(redis.sendBytes("GET", "key")),
        yield* redis.pipeline([["GET", "key"], ["SET", "key", "value"]])
      ]
      for (const result of results) {
        assert.include(printed(result), "do not know")
        assert.notInclude(printed(result), password)
      }
    }))

  it.live("is in no error inside the reply of EXEC", () =>
    Effect.gen(function*() {
      const { port } = yield* rawServer((words) =>
        words[0] === "EXEC"
          ? `*1\r\n-OOPS ${password} again\r\n`
          : words[0] === "GET"
          ? "+QUEUED\r\n"
          : answerHandshake(words) ?? "+OK\r\n"
      )
      const redis = yield* open({ host, port, credentials })
      const results = yield* redis.transaction([["GET", "key"]])
      assert.include(printed(results), "*** again")
      assert.notInclude(printed(results), password)
    }))

  it.live("is cut out of each connection's own texts when it rotates", () =>
    Effect.gen(function*() {
      const { connections, port } = yield* parrot(([name]) => name === "GET")
      let runs = 0
      const rotating = Effect.sync(() => ({ password: Redacted.make(`s3cret-t0ken-${++runs}`) }))
      const redis = yield* open({ host, port, credentials: rotating })
      for (const run of [1, 2, 3]) {
        const error = yield* Effect.flip(redis.send("GET", "key"))
        assert.strictEqual(runs, run)
        assert.include(error.message, "AUTH|default|***|")
        yield* Effect.sync(() => connections.at(-1)!.socket.destroy())
        yield* waitUntil(Effect.sync(() => connections.length > run))
      }
    }))

  it.live("is in no error on a reserved connection whose user logs in with one", () =>
    Effect.gen(function*() {
      const { port } = yield* parrot(([name]) => ["auth", "GET"].includes(name!))
      const services = yield* Layer.build(NodeHitlessRedis.layer({ host, port, credentials, maintenance }))
      const connection = yield* Context.get(services, Redis.Redis).reserve
      const errors = [
        yield* Effect.flip(connection.send("auth", "ann", "an0ther-s3cret")),
        yield* Effect.flip(connection.send("GET", "key"))
      ]
      for (const error of errors) {
        assert.include(printed(error), "ann|***")
        assert.notInclude(printed(error), "an0ther-s3cret")
        assert.notInclude(printed(error), password)
      }
    }))

  it.live("is in no log, also where a notification that cannot be read has it", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const { connections, port } = yield* parrot(() => false)
      yield* open({ host, port, credentials, maintenance: { logLevel: "Debug" } }).pipe(
        Effect.provide(Logger.layer([Logger.make((options) => {
          lines.push(printed([options.message, options.fiber.getRef(References.CurrentLogAnnotations)]))
        })])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      const target = `[AUTH ${password}]`
      connections[0]!.socket.write(`>4\r\n+MOVING\r\n:1\r\n:1\r\n$${target.length}\r\n${target}\r\n`)
      yield* waitUntil(Effect.sync(() => lines.some((line) => line.includes("could not be read"))))
      assert.notInclude(lines.join(), password)
      assert.include(lines.join(), "AUTH ***")
    }))
})

describe("the secrets of a connection that logs in anew", () => {
  it("are cut out, text and bytes, and after any number of logins those that count", () => {
    const secrets = new Secrets()
    secrets.hide("the first one")
    const both = secrets.hide(new TextEncoder().encode("as bytes"))
    assert.strictEqual(both("ERR the first one and as bytes"), "ERR *** and ***")
    for (let i = 0; i < 20_000; i++) secrets.hide(`${i} is the token`)
    const clean = secrets.hide("the valid one")
    assert.strictEqual(clean("ERR the valid one, 19999 is the token"), "ERR ***, ***")
    // The same again is no other one.
    for (let i = 0; i < 100; i++) secrets.hide("refused again")
    assert.strictEqual(secrets.hide("refused again")("ERR the valid one, refused again"), "ERR ***, ***")
  })
})

describe("TLS", () => {
  const tlsServer = ({ cert, key }: Certificate, answer: typeof answerHandshake = answerHandshake) =>
    rawServer((words) => answer(words) ?? "+OK\r\n", { cert, key })

  it.live("checks the certificate for an IP address that is the servername, wherever it dials", () =>
    Effect.gen(function*() {
      const { ca, elsewhere, server } = yield* makeCertificates
      const rightly = yield* tlsServer(elsewhere)
      const wrongly = yield* tlsServer(server)
      for (const servername of ["10.9.8.7", "fd00::7", "[fd00::7]", "FD00:0:0::7", "redis.example"]) {
        yield* open({ host, port: rightly.port, tls: { ca: ca.cert, servername } })
      }
      for (const servername of ["10.9.8.7", "fd00::7", "redis.example"]) {
        const error = yield* Effect.flip(open({ host, port: wrongly.port, tls: { ca: ca.cert, servername } }))
        assert.strictEqual(failureOf(error).kind, "Untrusted")
      }
      const unnamed = yield* Effect.flip(open({ host, port: rightly.port, tls: { ca: ca.cert } }))
      assert.strictEqual(failureOf(unnamed).kind, "Untrusted")
      yield* open({ host, port: wrongly.port, tls: { ca: ca.cert, servername: "10.9.8.7", rejectUnauthorized: false } })
    }))

  it.live("says by name which option cannot be used, and shows none", () =>
    Effect.gen(function*() {
      const { ca, client, server } = yield* makeCertificates
      const encrypted = createPrivateKey(client.key).export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase: "s3cret"
      }) as string
      const { port } = yield* tlsServer(server)
      const key = Redacted.make(client.key)
      const usable = { ca: ca.cert, cert: client.cert, key }
      const garbage = "s3cret"
      const cases: ReadonlyArray<readonly [tls: Transport.TlsOptions, says: string]> = [
        [{ ...usable, key: Redacted.make(server.key) }, "tls.key is not the private key of tls.cert"],
        [{ ...usable, cert: server.cert }, "tls.key is not the private key of tls.cert"],
        [{ ...usable, key: Redacted.make(garbage) }, "tls.key is no private key"],
        [{ ...usable, key: Redacted.make(client.cert) }, "tls.key is no private key"],
        [{ ...usable, cert: garbage }, "tls.cert is no certificate"],
        [{ ...usable, cert: Buffer.from(client.key) }, "tls.cert is no certificate"],
        [{ ...usable, ca: garbage }, "tls.ca is no certificate"],
        [{ ...usable, ca: [ca.cert, "-----BEGIN CERTIFICATE-----\ns3cret"] }, "tls.ca is no certificate"],
        [{ ...usable, key: Redacted.make(encrypted) }, "tls.key is encrypted and there is no tls.passphrase"],
        [
          { ...usable, key: Redacted.make(encrypted), passphrase: Redacted.make("s3cret?") },
          "tls.key cannot be decrypted with tls.passphrase"
        ]
      ]
      for (const [tls, says] of cases) {
        const error = yield* Effect.flip(open({ host, port, tls }))
        assert.strictEqual(failureOf(error).kind, "Untrusted", says)
        assert.include(error.message, says)
        assert.isFalse(failureOf(error).isRetryable)
        assert.notInclude(printed(error), "s3cret")
        assert.notInclude(printed(error), "PRIVATE")
      }
      yield* open({ host, port, tls: usable })
      yield* open({
        host,
        port,
        tls: { ...usable, ca: [ca.cert], key: Redacted.make(encrypted), passphrase: Redacted.make("s3cret") }
      })
    }))

  it.live("is what a move leads to, and never plain: a plain target is told nothing", () =>
    Effect.gen(function*() {
      const { ca, server } = yield* makeCertificates
      const received: Array<Buffer> = []
      const plain = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const listener = Net.createServer((socket) => {
            socket.on("error", () => {})
            // What a Redis without TLS does with it.
            socket.on("data", (chunk) => {
              received.push(chunk)
              socket.end("-ERR Protocol error\r\n")
            })
          })
          listener.listen(0, host, () => resume(Effect.succeed(listener)))
        }),
        (listener) => Effect.sync(() => listener.close())
      )
      const { connections, port } = yield* tlsServer(server)
      const redis = yield* open({
        host,
        port,
        tls: { ca: ca.cert },
        credentials: { password: Redacted.make("s3cret") },
        maintenance: { ...maintenance, maxHandoffRetries: 1, handoffTimeout: "100 millis" }
      })
      const failed = yield* Effect.forkScoped(
        Stream.runHead(Stream.filter(redis.handoffs, ({ _tag }) => _tag === "Failed")),
        { startImmediately: true }
      )
      const target = `${host}:${(plain.address() as Net.AddressInfo).port}`
      connections[0]!.socket.write(`>4\r\n+MOVING\r\n:1\r\n:1\r\n+${target}\r\n`)
      yield* Fiber.join(failed)
      assert.isAbove(received.length, 0)
      for (const chunk of received) {
        // The type of a TLS record: a handshake.
        assert.strictEqual(chunk[0], 0x16)
        assert.notInclude(chunk.toString("latin1"), "s3cret")
      }
      assert.strictEqual(yield* redis.send("PING"), "OK")
    }))

  it.live("follows a move to a server whose certificate is that of the target, and to no other", () =>
    Effect.gen(function*() {
      const { ca, elsewhere, server } = yield* makeCertificates
      const from = yield* tlsServer(elsewhere)
      const to = yield* tlsServer(server, (words) => words[0] === "PING" ? "+TO\r\n" : answerHandshake(words))
      const impostor = yield* tlsServer(elsewhere)
      const redis = yield* open({ host, port: from.port, tls: { ca: ca.cert, servername: "redis.example" } })
      const move = (seq: number, port: number) =>
        Effect.sync(() => from.connections[0]!.socket.write(`>4\r\n+MOVING\r\n:${seq}\r\n:1\r\n+localhost:${port}\r\n`))
      const retried = yield* Effect.forkScoped(
        Stream.runHead(Stream.filter(redis.handoffs, (event) => event._tag === "Retried")),
        { startImmediately: true }
      )
      yield* move(1, impostor.port)
      const event = Option.getOrThrow(yield* Fiber.join(retried))
      assert.strictEqual(failureOf(event.error).kind, "Untrusted")
      yield* move(2, to.port)
      yield* waitUntil(Effect.map(redis.send("PING"), (reply) => reply === "TO"))
      assert.strictEqual((yield* redis.status).slots[0]!.endpoint, `localhost:${to.port}`)
    }))

  it.effect.each<[configured: string, servername: string | undefined, target: string, expected: string | undefined]>([
    // A name is what it is checked for itself.
    ["redis.example", undefined, "node-2.example", "node-2.example"],
    ["redis.example", "proxy.example", "node-2.example", "node-2.example"],
    ["10.0.0.1", undefined, "node-2.example", "node-2.example"],
    ["10.0.0.1", "redis.example", "node-2.example", "node-2.example"],
    // An address stands for the configured name.
    ["redis.example", undefined, "10.0.0.2", "redis.example"],
    ["redis.example", "proxy.example", "10.0.0.2", "proxy.example"],
    ["10.0.0.1", "redis.example", "10.0.0.2", "redis.example"],
    ["10.0.0.1", "10.9.8.7", "10.0.0.2", "10.9.8.7"],
    ["redis.example", undefined, "fd00::2", "redis.example"],
    // Without any, for itself.
    ["10.0.0.1", undefined, "10.0.0.2", undefined],
    // The configured host is checked as configured, whatever its port.
    ["redis.example", "proxy.example", "redis.example", "proxy.example"],
    ["redis.example", undefined, "redis.example", undefined],
    ["redis.example", "proxy.example", "Redis.Example.", "proxy.example"]
  ])(
    "of a client of %s with servername %s that is moved to %s is checked for %s",
    ([from, name, to, expected]) =>
      Effect.gen(function*() {
        const tls = { ca: "ca", ...(name === undefined ? {} : { servername: name }) }
        const checked = Transport.tlsFor(tls, Endpoint.tcp(from), Endpoint.tcp(to, 7000))
        assert.deepStrictEqual(checked, expected === undefined ? tls : { ...tls, servername: expected })
        assert.isUndefined(Transport.tlsFor(undefined, Endpoint.tcp(from), Endpoint.tcp(to, 7000)))
      })
  )
})

describe("maintenance.targets", () => {
  const targetsOf = (targets: Config.MaintenanceOptions["targets"]) =>
    Effect.map(Config.decode({ maintenance: { targets } }), ({ maintenance }) => maintenance.targets)

  it.effect.each<[targets: ReadonlyArray<string>, allowed: ReadonlyArray<string>, other: ReadonlyArray<string>]>([
    [["redis.example"], ["redis.example", "REDIS.example", "redis.example."], ["a.redis.example", "redis.example.com"]],
    [["*.redis.example"], ["a.redis.example", "a.b.Redis.Example"], ["redis.example", "aredis.example", "10.0.0.1"]],
    [["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.3", "10.0.0.1.example"]],
    [["fd00::7"], ["fd00::7", "FD00:0:0:0::7"], ["fd00::8"]],
    [["[fd00::7]"], ["fd00::7"], ["fd00::8"]],
    [["*.0.0.1"], [], ["10.0.0.1"]],
    [[], [], ["redis.example", "10.0.0.1"]]
  ])("%j is the hosts that it names", ([targets, allowed, other]) =>
    Effect.gen(function*() {
      const isAllowed = (yield* targetsOf(targets))!
      for (const host of allowed) assert.isTrue(isAllowed(Endpoint.tcp(host, 7000)), host)
      for (const host of other) assert.isFalse(isAllowed(Endpoint.tcp(host, 7000)), host)
      assert.isFalse(isAllowed(Endpoint.unix("/run/redis.sock")))
    }))

  it.effect("is read from the environment, separated by commas", () =>
    Effect.gen(function*() {
      const env = { REDIS_MAINTENANCE_TARGETS: "10.0.0.1, *.redis.example ,," }
      const options = yield* Config.fromEnv.parse(ConfigProvider.fromEnvRecord(env))
      assert.deepStrictEqual(options.maintenance?.targets, ["10.0.0.1", "*.redis.example"])
    }))

  const watched = (
    sim: SimulatedRedis.SimulatedRedis,
    targets: Config.MaintenanceOptions["targets"],
    addressMap?: Config.Options["addressMap"]
  ) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const clientName = `targets-${port(sim, "a")}`
      const client = yield* connect(sim, "a", { poolSize: 2, clientName, addressMap, maintenance: { targets } }).pipe(
        Effect.provide(Logger.layer([Logger.make((options) => {
          lines.push(
            `${options.logLevel} ${printed([options.message, options.fiber.getRef(References.CurrentLogAnnotations)])}`
          )
        })]))
      )
      const refused = Effect.map(
        Metric.value(Metric.withAttributes(Metrics.handoffs, {
          "db.client.connection.pool.name": clientName,
          result: "refused"
        })),
        ({ count }) => Number(count)
      )
      return { ...client, lines, refused }
    })

  const port = (sim: SimulatedRedis.SimulatedRedis, node: string): number => {
    const endpoint = sim.endpoint(node)
    return endpoint._tag === "Tcp" ? endpoint.port : 0
  }

  for (
    const [what, targets] of [
      ["is not in the list", ["10.0.0.1", "*.example"]],
      ["the predicate refuses", () => false],
      ["a predicate throws about", () => {
        throw new Error("s3cret")
      }],
      ["the predicate promises", (() => Promise.resolve(true)) as unknown as () => boolean]
    ] as const
  ) {
    it.live(`keeps the client away from a target that ${what}`, () =>
      Effect.gen(function*() {
        const sim = yield* deploy(["a", "b"])
        const client = yield* watched(sim, targets)
        yield* sim.push("a", ["MOVING", 1, 30, `${host}:${port(sim, "b")}`])
        yield* waitUntil(Effect.sync(() => client.lines.some((line) => line.includes("maintenance.targets"))))
        const status = yield* client.redis.status
        assert.strictEqual(status.slots[0]!.state, "Serving")
        assert.strictEqual(status.slots[0]!.endpoint, `${host}:${port(sim, "a")}`)
        // What is announced is relaxed for and reported all the same.
        assert.isAbove(status.windows.length, 0)
        assert.deepStrictEqual(client.notifications.map(({ _tag }) => _tag), ["Moving"])
        assert.strictEqual(yield* client.refused, 1)
        const line = client.lines.find((line) => line.includes("maintenance.targets"))!
        assert.include(line, "Warn")
        assert.include(line, `${host}:${port(sim, "b")}`)
        assert.notInclude(line, "s3cret")
        // A connection that is lost meanwhile is dialled where it was.
        yield* sim.kill("a")
        assert.strictEqual(yield* client.redis.send("GET", "key"), null)
        assert.strictEqual(yield* sim.accepted("b"), 0)
        assert.deepStrictEqual(client.handoffs, [])
      }))
  }

  it.live("lets it go to one that it allows, by host whatever its port", () =>
    Effect.gen(function*() {
      for (const targets of [[host], (target: Endpoint.Endpoint) => target._tag === "Tcp" && target.host === host]) {
        const sim = yield* deploy(["a", "b"])
        const client = yield* watched(sim, targets)
        yield* sim.push("a", ["MOVING", 1, 30, `${host}:${port(sim, "b")}`])
        yield* handoffsEnded(client, 1)
        assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, `${host}:${port(sim, "b")}`)
        assert.strictEqual(yield* client.refused, 0)
      }
    }))

  it.live("is asked about the address that a translation gives, by which the target is reached", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const inside = "10.9.8.7:12000"
      const outside = `${host}:${port(sim, "b")}`
      const asked: Array<string> = []
      const targets = (target: Endpoint.Endpoint) => {
        asked.push(Endpoint.format(target))
        return true
      }
      for (const addressMap of [{ [inside]: outside }, () => Endpoint.tcp(host, port(sim, "b"))]) {
        const client = yield* watched(sim, targets, addressMap)
        yield* sim.push("a", ["MOVING", 1, 30, inside])
        yield* handoffsEnded(client, 1)
        assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, outside)
        assert.strictEqual(client.handoffs[0]!.to, outside)
        // Others are reached as they are named.
        if (typeof addressMap === "object") {
          yield* sim.push("b", ["MOVING", 2, 30, `${host}:${port(sim, "c")}`])
          yield* handoffsEnded(client, 2)
          assert.strictEqual(yield* client.refused, 0)
        }
        yield* client.close
      }
      assert.deepStrictEqual(asked, [outside, `${host}:${port(sim, "c")}`, outside])
    }))

  it.live("may lead to where the client is, behind which another node is bound before the end", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a"])
      const here = `${host}:${port(sim, "a")}`
      const client = yield* watched(sim, undefined, () => Endpoint.tcp(host, port(sim, "a")))
      yield* sim.push("a", ["MOVING", 1, 1, "10.9.8.7:12000"])
      yield* handoffsEnded(client, 1)
      assert.deepStrictEqual(client.handoffs.map(({ _tag, from, to }) => [_tag, from, to]).at(-1), [
        "Completed",
        here,
        here
      ])
      assert.strictEqual(yield* sim.accepted("a"), 2)
      assert.include((yield* client.redis.status).windows.map(({ label }) => label).join(), "MOVING 1")
    }))

  it.live("is not asked, and nothing followed, where a translation throws or gives no address", () =>
    Effect.gen(function*() {
      const translations = [
        () => {
          throw new Error("s3cret")
        },
        () => undefined,
        () => Promise.resolve(Endpoint.tcp(host)),
        () => ({ _tag: "Tcp", host: "", port: 1 }),
        () => ({ _tag: "Tcp", host, port: 70_000 }),
        () => Endpoint.unix("/tmp/redis.sock")
      ] as unknown as ReadonlyArray<() => Endpoint.Endpoint>
      for (const addressMap of translations) {
        const sim = yield* deploy(["a", "b"])
        const client = yield* watched(sim, () => assert.fail("it was asked"), addressMap)
        yield* sim.push("a", ["MOVING", 1, 30, `${host}:${port(sim, "b")}`])
        yield* waitUntil(Effect.sync(() => client.lines.some((line) => line.includes("addressMap gave no host"))))
        assert.strictEqual(yield* client.refused, 1)
        assert.strictEqual((yield* client.redis.status).slots[0]!.state, "Serving")
        assert.isFalse(client.lines.some((line) => line.includes("s3cret")))
      }
    }))

  it.effect("and the translation are read from the environment and checked", () =>
    Effect.gen(function*() {
      const read = (REDIS_ADDRESS_MAP: string) =>
        Effect.flatMap(Config.fromEnv.parse(ConfigProvider.fromEnvRecord({ REDIS_ADDRESS_MAP })), Config.decode)
      const { addressMap } = yield* read("10.0.0.5:12000=cache.example.com:7001, [2001:DB8::1]:7=10.0.0.6")
      assert.deepStrictEqual(addressMap?.(Endpoint.tcp("10.0.0.5", 12000)), Endpoint.tcp("cache.example.com", 7001))
      assert.deepStrictEqual(addressMap?.(Endpoint.tcp("2001:db8:0::1", 7)), Endpoint.tcp("10.0.0.6", 6379))
      assert.deepStrictEqual(addressMap?.(Endpoint.tcp("10.0.0.5", 12001)), Endpoint.tcp("10.0.0.5", 12001))
      for (const bad of ["10.0.0.5:12000", "10.0.0.5:0=10.0.0.6", "=10.0.0.6:1", "10.0.0.5=10.0.0.6:http"]) {
        const error = yield* Effect.flip(read(bad))
        assert.include(
          error.message,
          "REDIS_ADDRESS_MAP: must be an object that gives host:port for host:port, or a function; write"
        )
      }
    }))

  it.live("is asked again at the next move", () =>
    Effect.gen(function*() {
      const sim = yield* deploy(["a", "b", "c"])
      const client = yield* watched(sim, (target) => target._tag === "Tcp" && target.port === port(sim, "c"))
      yield* sim.push("a", ["MOVING", 1, 30, `${host}:${port(sim, "b")}`])
      yield* sim.push("a", ["MOVING", 2, 30, `${host}:${port(sim, "c")}`])
      yield* handoffsEnded(client, 1)
      assert.strictEqual((yield* client.redis.status).slots[0]!.endpoint, `${host}:${port(sim, "c")}`)
      assert.strictEqual(yield* sim.accepted("b"), 0)
    }))
})
