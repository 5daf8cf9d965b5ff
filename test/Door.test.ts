/**
 * What a client meets before its first command: addresses and passwords as platforms write them, servers that repeat
 * secrets, certificates and keys that do not fit, and moves to where it may not go.
 */
import { assert, describe, it } from "@effect/vitest"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import { Config, Endpoint, HitlessRedis } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { inspect } from "node:util"
import { scrubber } from "../src/internal/secrets.ts"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"

const host = "127.0.0.1"

const maintenance = { logLevel: "Error" } as const

const open = (options: Config.Options) =>
  Effect.provide(HitlessRedis.make({ poolSize: 1, maintenance, ...options }), NodeTransport.layer)

const printed = (u: unknown) => [String(u), JSON.stringify(u), inspect(u, { depth: Infinity, showHidden: true })].join()

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
        const error = yield* Effect.flip(Config.fromEnv.parse(ConfigProvider.fromEnvRecord({ REDIS_PORT: port })))
        assert.include(error.message, "REDIS_PORT")
        assert.include(error.message, "must be a port, or the link to a container: tcp://host:port")
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
      const credentials = yield* config.credentials
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
