/**
 * What a client meets before its first command: addresses and passwords as platforms write them, servers that repeat
 * secrets, certificates and keys that do not fit, and moves to where it may not go.
 */
import { assert, describe, it } from "@effect/vitest"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Config, Endpoint, HitlessRedis } from "hitless"
import { NodeTransport } from "hitless/node"
import { inspect } from "node:util"
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
