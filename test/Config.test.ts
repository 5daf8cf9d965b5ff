import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as EffectConfig from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as Config from "../src/Config.ts"
import * as Endpoint from "../src/Endpoint.ts"
import type { TlsOptions } from "../src/Transport.ts"
import { credentialsOf } from "./support/credentials.ts"

/** `decode` for what an untyped caller may pass. */
const decodeUnknown = (options: unknown) => Config.decode(options as Config.Options)

const fromEnv = (env: Record<string, string>) => Config.fromEnv.parse(ConfigProvider.fromEnvRecord(env))

const plain = (credentials: Config.Credentials | undefined) =>
  credentials && [credentials.username, Redacted.value(credentials.password)]

const printed = (u: unknown) => [String(u), JSON.stringify(u), inspect(u, { depth: Infinity, showHidden: true })].join()

describe("Config", () => {
  describe("defaults", () => {
    it.effect("populates every field", () =>
      Effect.gen(function*() {
        const { credentials, ...config } = yield* Config.decode(undefined)
        assert.isUndefined(yield* credentialsOf({ credentials }))
        assert.deepStrictEqual(config, {
          endpoint: Endpoint.tcp("localhost", 6379),
          tls: undefined,
          family: 0,
          database: 0,
          clientName: undefined,
          protocol: "auto",
          poolSize: 10,
          maxReserved: 10,
          maxPendingCommands: 262_144,
          maxPendingBytes: 268_435_456,
          whenOverloaded: "fail",
          startup: "connected",
          whenDown: "wait",
          connectTimeout: Duration.seconds(5),
          commandTimeout: Duration.seconds(3),
          retry: "reads",
          addressMap: undefined,
          maintenance: {
            mode: "auto",
            endpointType: "auto",
            maxHandoffRetries: 3,
            handoffTimeout: Duration.seconds(15),
            relaxedTimeout: Duration.seconds(10),
            postHandoffRelaxedDuration: Duration.seconds(20),
            maxWorkers: 3,
            handoffQueueSize: 10,
            targets: undefined,
            logLevel: "Warn",
            circuitBreaker: { failures: 5, openDuration: Duration.seconds(60) }
          }
        })
      }))

    it.effect("treats undefined fields, nested ones too, as not given", () =>
      Effect.gen(function*() {
        const config = yield* Config.decode({
          url: undefined,
          host: undefined,
          port: undefined,
          path: undefined,
          tls: undefined,
          family: undefined,
          database: undefined,
          clientName: undefined,
          credentials: undefined,
          protocol: undefined,
          poolSize: undefined,
          connectTimeout: undefined,
          commandTimeout: undefined,
          retry: undefined,
          maintenance: { mode: undefined, relaxedTimeout: undefined, circuitBreaker: { failures: undefined } }
        })
        const defaults = yield* Config.decode({})
        assert.deepStrictEqual({ ...config, credentials: undefined }, { ...defaults, credentials: undefined })
      }))

    it.effect("yields an instance whose TLS options fit the transport", () =>
      Effect.gen(function*() {
        const key = Redacted.make("key")
        const config = yield* Config.decode({ tls: { ca: ["a", new Uint8Array([1])], key, rejectUnauthorized: false } })
        const tls: TlsOptions | undefined = config.tls
        assert.instanceOf(config, Config.ResolvedConfig)
        assert.deepStrictEqual(tls, { ca: ["a", new Uint8Array([1])], key, rejectUnauthorized: false })
      }))
  })

  describe("sizing", () => {
    it.effect.each<[poolSize: number, workers: number | "auto", queue: number | "auto", expected: [number, number]]>([
      [1, "auto", "auto", [1, 1]],
      [2, "auto", "auto", [1, 2]],
      [6, "auto", "auto", [2, 6]],
      [10, "auto", "auto", [3, 10]],
      [30, "auto", "auto", [10, 30]],
      [100, "auto", "auto", [10, 100]],
      [200, "auto", "auto", [10, 100]],
      [10, 4, "auto", [10, 10]],
      [10, 10, "auto", [10, 10]],
      [10, 15, "auto", [15, 10]],
      [1000, 15, "auto", [15, 150]],
      [10, "auto", 50, [3, 10]],
      [100, "auto", 50, [10, 50]],
      [100, "auto", 1, [10, 1]]
    ])(
      "pool %d with workers %s and queue %s has workers and queue %j",
      ([poolSize, workers, queue, expected]) =>
        Effect.gen(function*() {
          const { maintenance } = yield* Config.decode({
            poolSize,
            maintenance: { maxWorkers: workers, handoffQueueSize: queue }
          })
          assert.deepStrictEqual([maintenance.maxWorkers, maintenance.handoffQueueSize], expected)
        })
    )

    const Size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))
    const Count = Schema.Union([Schema.Literal("auto"), Size])

    it.effect.prop(
      "always has a worker, and a queue between 1 and the pool's size",
      { poolSize: Size, maxWorkers: Count, handoffQueueSize: Count },
      ({ handoffQueueSize, maxWorkers, poolSize }) =>
        Effect.gen(function*() {
          const { maintenance } = yield* Config.decode({ poolSize, maintenance: { maxWorkers, handoffQueueSize } })
          assert.isAtLeast(maintenance.maxWorkers, 1)
          assert.isAtLeast(maintenance.handoffQueueSize, 1)
          assert.isAtMost(maintenance.handoffQueueSize, poolSize)
        })
    )

    it.effect("refuses to build a resolved configuration whose queue exceeds the pool", () =>
      Effect.gen(function*() {
        const config = yield* Config.decode({ poolSize: 10 })
        const issue = yield* Effect.flip(Config.ResolvedConfig.makeEffect({ ...config, poolSize: 9 }))
        assert.include(new Schema.SchemaError(issue).message, "must not exceed poolSize")
      }))
  })

  describe("maintenance", () => {
    it.effect("keeps what is given", () =>
      Effect.gen(function*() {
        const { maintenance } = yield* Config.decode({
          maintenance: {
            mode: "enabled",
            endpointType: "internal-fqdn",
            maxHandoffRetries: 0,
            handoffTimeout: { seconds: 1, milliseconds: 500 },
            relaxedTimeout: 2500,
            postHandoffRelaxedDuration: 0,
            maxWorkers: 12,
            handoffQueueSize: 4,
            logLevel: "Debug",
            circuitBreaker: { failures: 1, openDuration: "1 minute" }
          }
        })
        assert.deepStrictEqual(maintenance, {
          mode: "enabled",
          endpointType: "internal-fqdn",
          maxHandoffRetries: 0,
          handoffTimeout: Duration.millis(1500),
          relaxedTimeout: Duration.millis(2500),
          postHandoffRelaxedDuration: Duration.zero,
          maxWorkers: 12,
          handoffQueueSize: 4,
          targets: undefined,
          logLevel: "Debug",
          circuitBreaker: { failures: 1, openDuration: Duration.minutes(1) }
        })
      }))

    it.effect("relaxes for twice the relaxed timeout after a handoff", () =>
      Effect.gen(function*() {
        const { maintenance } = yield* Config.decode({ maintenance: { relaxedTimeout: "7 seconds" } })
        assert.deepStrictEqual(maintenance.postHandoffRelaxedDuration, Duration.seconds(14))
      }))

    it.effect("relaxes nothing where relaxation is off", () =>
      Effect.gen(function*() {
        const { maintenance } = yield* Config.decode({ maintenance: { relaxedTimeout: "off" } })
        assert.isUndefined(maintenance.relaxedTimeout)
        assert.deepStrictEqual(maintenance.postHandoffRelaxedDuration, Duration.zero)
      }))

    it.effect.each([[0, "Error"], [1, "Warn"], [2, "Info"], [3, "Debug"]] as const)(
      "reads log level %d as %s",
      ([logLevel, expected]) =>
        Effect.gen(function*() {
          const { maintenance } = yield* Config.decode({ maintenance: { logLevel } })
          assert.strictEqual(maintenance.logLevel, expected)
        })
    )
  })

  describe("url", () => {
    it.effect.each<[url: string, endpoint: string, tls: boolean, database: number, credentials: unknown]>([
      ["redis://cache", "cache:6379", false, 0, undefined],
      ["redis://my_redis.local:7000", "my_redis.local:7000", false, 0, undefined],
      ["rediss://cache:7000/3", "cache:7000", true, 3, undefined],
      ["REDISS://cache/", "cache:6379", true, 0, undefined],
      ["redis://cache?db=2", "cache:6379", false, 2, undefined],
      ["redis:///4", "localhost:6379", false, 4, undefined],
      ["redis://10.0.0.5:12000", "10.0.0.5:12000", false, 0, undefined],
      ["redis://[2001:db8::1]:7000", "[2001:db8::1]:7000", false, 0, undefined],
      ["redis://[::1]", "[::1]:6379", false, 0, undefined],
      ["redis://:hunter2@cache", "cache:6379", false, 0, [undefined, "hunter2"]],
      ["redis://us%3Aer:p%40%2Fss%25@cache/1", "cache:6379", false, 1, ["us:er", "p@/ss%"]],
      ["unix:///run/redis.sock", "unix:/run/redis.sock", false, 0, undefined],
      ["unix:///run/my%20redis@1.sock?db=5", "unix:/run/my redis@1.sock", false, 5, undefined]
    ])("reads %s", ([url, endpoint, tls, database, credentials]) =>
      Effect.gen(function*() {
        for (const form of [url, Redacted.make(url)]) {
          const config = yield* Config.decode({ url: form })
          assert.strictEqual(Endpoint.format(config.endpoint), endpoint)
          assert.deepStrictEqual(config.tls, tls ? {} : undefined)
          assert.strictEqual(config.database, database)
          assert.deepStrictEqual(plain(yield* credentialsOf(config)), credentials)
        }
      }))

    const url = "rediss://ann:one@cache:7000/3"

    it.effect.each<[field: string, options: Config.Options, endpoint: string, tls: unknown, database: number]>([
      ["host", { url, host: "other" }, "other:7000", {}, 3],
      ["port", { url, port: 1 }, "cache:1", {}, 3],
      ["tls: false", { url, tls: false }, "cache:7000", undefined, 3],
      ["tls: true", { url: "redis://cache", tls: true }, "cache:6379", {}, 0],
      ["tls options", { url, tls: { servername: "a" } }, "cache:7000", { servername: "a" }, 3],
      ["database", { url, database: 0 }, "cache:7000", {}, 0],
      ["path", { url: "redis://cache", path: "/run/r" }, "unix:/run/r", undefined, 0],
      ["host over a socket", { url: "unix:///run/r?db=1", host: "[::1]" }, "[::1]:6379", undefined, 1],
      ["host in a zone", { url, host: "fe80::1%eth0" }, "[fe80::1%eth0]:7000", {}, 3],
      ["port over a socket", { url: "unix:///run/r", port: 7 }, "localhost:7", undefined, 0]
    ])("gives way to %s", ([_, options, endpoint, tls, database]) =>
      Effect.gen(function*() {
        const config = yield* Config.decode(options)
        assert.strictEqual(Endpoint.format(config.endpoint), endpoint)
        assert.deepStrictEqual(config.tls, tls)
        assert.strictEqual(config.database, database)
      }))

    it.effect("gives way to credentials", () =>
      Effect.gen(function*() {
        const { credentials } = yield* Config.decode({ url, credentials: { password: Redacted.make("two") } })
        assert.deepStrictEqual(plain(yield* credentialsOf({ credentials })), [undefined, "two"])
      }))
  })

  describe("credentials", () => {
    it.effect("runs an effect each time they are asked for, and not before", () =>
      Effect.gen(function*() {
        let runs = 0
        const config = yield* Config.decode({
          credentials: Effect.sync(() => ({ username: "ann", password: Redacted.make(`token ${++runs}`) }))
        })
        assert.strictEqual(runs, 0)
        assert.deepStrictEqual(plain(yield* credentialsOf(config)), ["ann", "token 1"])
        assert.deepStrictEqual(plain(yield* credentialsOf(config)), ["ann", "token 2"])
      }))

    it("may not fail and may not require anything", () => {
      type Accepts<A> = A extends Config.Options["credentials"] ? true : false
      const pure: Accepts<Effect.Effect<Config.Credentials>> = true
      const failing: Accepts<Effect.Effect<Config.Credentials, Error>> = false
      const requiring: Accepts<Effect.Effect<Config.Credentials, never, "service">> = false
      assert.deepStrictEqual<Array<boolean>>([pure, failing, requiring], [true, false, false])
    })
  })

  describe("retry and timeouts", () => {
    it.effect("keeps a predicate and an infinite command timeout", () =>
      Effect.gen(function*() {
        const retry = (command: string) => command === "INCR"
        const config = yield* Config.decode({ retry, commandTimeout: "Infinity" })
        assert.strictEqual(config.retry, retry)
        assert.deepStrictEqual(config.commandTimeout, Duration.infinity)
      }))

    it.effect.each<[input: Duration.Input, millis: number]>([
      [1500, 1500],
      [1_000_000n, 1],
      ["2 seconds", 2000],
      [[1, 500_000_000], 1500],
      [{ minutes: 1, seconds: undefined }, 60_000],
      [Duration.hours(1), 3_600_000]
    ])("reads %o as %d milliseconds", ([input, millis]) =>
      Effect.gen(function*() {
        const { connectTimeout } = yield* Config.decode({ connectTimeout: input })
        assert.strictEqual(Duration.toMillis(connectTimeout), millis)
      }))
  })

  describe("violations", () => {
    const finite = "must be a positive, finite duration"
    const connectTimeout = `${finite}: a dial without an end could hold its callers for ever`
    const handoffTimeout = `${finite}: an attempt without an end would hold its worker`
    const relaxedTimeout = `${finite}, or "off": a lost end of maintenance must not relax timeouts for ever`
    const secret = "must be redacted text, so that it is never printed"
    const poolSize = "servers take 10000 clients by default, and a pool that moves has two for each"
    const validUrl = "must be a valid URL: a port is at most 65535, and a user name and a password are percent-encoded"
    const unixUrl = "must name the socket by its absolute path, as in unix:///run/redis.sock"
    const count = (why: string) => `must be "auto" or an integer of at least 1: ${why}`

    const rules: Array<[field: string, rule: string, broken: ReadonlyArray<unknown>]> = [
      ["options", "must be an object", [null, "redis://cache", 6379, []]],
      ["maintenence", "is not an option", [{ maintenence: {} }]],
      ["url", "must be text, or redacted text", [
        { url: 6379 },
        { url: null },
        { url: Redacted.make(1) },
        { url: new URL("redis://cache") }
      ]],
      ["url", "must start with redis://, rediss://, valkey://, valkeys://, tcp:// or unix://", [
        { url: "" },
        { url: "cache:6379" },
        { url: "http://cache" },
        { url: "redis:cache" }
      ]],
      ["url", validUrl, [
        { url: "redis://cache:65536" },
        { url: "redis://ca che" },
        { url: "redis://[::g]" },
        { url: "redis://ann:hunter#2@cache" },
        { url: "redis://ann:12#hunter2@cache" },
        { url: "redis://ann:12/hunter2@cache" },
        { url: "redis://ann:12?hunter2@cache" },
        { url: "unix://:hunter2@/run/redis.sock" }
      ]],
      ["url", "must be percent-encoded correctly: a % is followed by two hexadecimal digits", [
        { url: "redis://:100%@cache" }
      ]],
      [
        "url",
        "must not have the query parameter \"verify\": " +
        "only db, database, protocol, family, client_name, clientName, ssl_cert_reqs are read",
        [{ url: "redis://cache?db=1&verify=3" }]
      ],
      ["url", "must name the database once", [{ url: "redis://cache/1?db=1" }, { url: "redis://cache?db=1&db=2" }]],
      ["url", "must have a password where it has a user name", [{ url: "redis://ann@cache" }]],
      ["url", unixUrl, [{ url: "unix://" }, { url: "unix:///" }, { url: "unix://run/redis.sock" }]],
      ["url.host", "must be a host name or an IP address, without a port", [{ url: "redis://%00" }]],
      ["url.port", "must be an integer from 1 to 65535", [{ url: "redis://cache:0" }]],
      ["url.database", "must be an integer of at least 0: databases are numbered", [
        { url: "redis://cache/main" },
        { url: "redis://cache/-1" },
        { url: "redis://cache/1e2" },
        { url: "redis://cache/99999999999999999999" },
        { url: "unix:///run/r?db=" }
      ]],
      ["host", "must be a host name or an IP address, without a port", [
        { host: "" },
        { host: "cache:6379" },
        { host: "redis://cache" },
        { host: "[cache]" },
        { host: "a b" },
        { host: 1 },
        { host: null }
      ]],
      ["port", "must be an integer from 1 to 65535", [
        { port: 0 },
        { port: 65536 },
        { port: 1.5 },
        { port: "6379" },
        { port: Number.NaN }
      ]],
      ["path", "must be the path of a Unix socket", [{ path: "" }, { path: 1 }]],
      ["path", "must not be combined with host or port: it takes their place", [
        { path: "/run/r", host: "cache" },
        { path: "/run/r", port: 1 }
      ]],
      ["tls", "must be true, false or an object of TLS options", [{ tls: "yes" }, { tls: null }, { tls: [] }]],
      ["tls.cipher", "is not an option", [{ tls: { cipher: "x" } }]],
      ["tls.ca", "must be text or bytes in PEM form, or an array of them", [{ tls: { ca: [1] } }]],
      ["tls.cert", "must be text or bytes in PEM form", [{ tls: { cert: 1 } }]],
      ["tls.key", "must be text or bytes in PEM form, redacted so that it is never printed", [
        { tls: { key: "hunter2" } }
      ]],
      ["tls.passphrase", secret, [{ tls: { passphrase: "hunter2" } }]],
      ["tls.servername", "must be a non-empty host name", [{ tls: { servername: "" } }]],
      ["tls.rejectUnauthorized", "must be true or false", [{ tls: { rejectUnauthorized: 0 } }]],
      ["database", "must be an integer of at least 0: databases are numbered", [
        { database: -1 },
        { database: 0.5 },
        { database: "0" }
      ]],
      ["clientName", "must be printable ASCII without spaces: servers refuse any other name", [
        { clientName: "" },
        { clientName: "my app" },
        { clientName: "app\n" },
        { clientName: "café" }
      ]],
      ["credentials", "must be { username?, password }, or an effect or a stream of it", [
        { credentials: "hunter2" },
        { credentials: null },
        { credentials: Redacted.make }
      ]],
      ["credentials.username", "must be a non-empty string", [
        { credentials: { username: "", password: Redacted.make("hunter2") } }
      ]],
      ["credentials.password", secret, [
        { credentials: {} },
        { credentials: { password: "hunter2" } },
        { credentials: { password: undefined } },
        { credentials: { password: Redacted.make(1) } }
      ]],
      ["credentials.user", "is not an option", [{ credentials: { user: "a", password: Redacted.make("hunter2") } }]],
      ["protocol", "must be \"auto\", 2 or 3", [{ protocol: 1 }, { protocol: "3" }, { protocol: null }]],
      [
        "maintenance.mode",
        "must not be \"enabled\" with protocol 2: notifications are pushes, which RESP3 alone has",
        [{ protocol: 2, maintenance: { mode: "enabled" } }]
      ],
      ["poolSize", `must be an integer from 1 to 5000: ${poolSize}`, [
        { poolSize: 0 },
        { poolSize: 5001 },
        { poolSize: 2.5 },
        { poolSize: Infinity },
        { poolSize: null }
      ]],
      ["maxPendingCommands", "must be an integer of at least 1: a command is pending until it is answered", [
        { maxPendingCommands: 0 },
        { maxPendingCommands: 1.5 },
        { maxPendingCommands: Infinity },
        { maxPendingCommands: "100" }
      ]],
      ["maxPendingBytes", "must be an integer of at least 1, in bytes", [
        { maxPendingBytes: 0 },
        { maxPendingBytes: 0.5 },
        { maxPendingBytes: Infinity },
        { maxPendingBytes: "1 MiB" }
      ]],
      ["whenOverloaded", "must be \"fail\" or \"wait\"", [
        { whenOverloaded: "drop" },
        { whenOverloaded: true },
        { whenOverloaded: null }
      ]],
      ["startup", "must be \"connected\" or \"lazy\"", [{ startup: "eager" }, { startup: true }]],
      ["whenDown", "must be \"wait\" or \"fail\"", [{ whenDown: "drop" }, { whenDown: null }]],
      ["connectTimeout", connectTimeout, [
        { connectTimeout: 0 },
        { connectTimeout: -1 },
        { connectTimeout: Number.NaN },
        { connectTimeout: "Infinity" },
        { connectTimeout: {} },
        { connectTimeout: { second: 1 } },
        { connectTimeout: { seconds: "1" } },
        { connectTimeout: [1] },
        { connectTimeout: [Number.NaN, 1] },
        { connectTimeout: null },
        { connectTimeout: true }
      ]],
      ["connectTimeout", "\"soon\" is no duration", [{ connectTimeout: "soon" }]],
      ["connectTimeout", "\"5000\" is no duration", [{ connectTimeout: "5000" }]],
      ["connectTimeout", "\"5d\" is no duration", [{ connectTimeout: "5d" }]],
      ["commandTimeout", "must be a positive duration; \"Infinity\" sets no limit", [
        { commandTimeout: 0 },
        { commandTimeout: "-Infinity" }
      ]],
      ["retry", "must be \"none\", \"reads\" or a predicate", [{ retry: "all" }, { retry: true }]],
      ["maintenance", "must be an object of maintenance options", [{ maintenance: "auto" }, { maintenance: null }]],
      ["maintenance.maxWorker", "is not an option", [{ maintenance: { maxWorker: 10 } }]],
      ["maintenance.mode", "must be \"disabled\", \"enabled\" or \"auto\"", [{ maintenance: { mode: "on" } }]],
      [
        "maintenance.endpointType",
        "must be \"auto\" or one of \"internal-ip\", \"internal-fqdn\", \"external-ip\", \"external-fqdn\", \"none\"",
        [{ maintenance: { endpointType: "external" } }]
      ],
      [
        "maintenance.maxHandoffRetries",
        "must be an integer from 0 to 10: all attempts have to fit inside the announced time",
        [
          { maintenance: { maxHandoffRetries: -1 } },
          { maintenance: { maxHandoffRetries: 11 } },
          { maintenance: { maxHandoffRetries: 1.5 } }
        ]
      ],
      ["maintenance.handoffTimeout", handoffTimeout, [
        { maintenance: { handoffTimeout: 0 } },
        { maintenance: { handoffTimeout: Infinity } }
      ]],
      ["maintenance.relaxedTimeout", relaxedTimeout, [
        { maintenance: { relaxedTimeout: 0 } },
        { maintenance: { relaxedTimeout: Infinity } }
      ]],
      ["maintenance.relaxedTimeout", "\"on\" is no duration", [{ maintenance: { relaxedTimeout: "on" } }]],
      [
        "maintenance.postHandoffRelaxedDuration",
        "must be a finite duration of at least 0: relaxed timeouts have to end",
        [
          { maintenance: { postHandoffRelaxedDuration: -1 } },
          { maintenance: { postHandoffRelaxedDuration: Infinity } },
          { maintenance: { postHandoffRelaxedDuration: Number.NaN } },
          { maintenance: { postHandoffRelaxedDuration: {} } },
          { maintenance: { postHandoffRelaxedDuration: { second: 1 } } },
          { maintenance: { postHandoffRelaxedDuration: [Number.NaN, 1] } }
        ]
      ],
      ["maintenance.maxWorkers", count("a handoff needs a worker"), [
        { maintenance: { maxWorkers: 0 } },
        { maintenance: { maxWorkers: 1.5 } },
        { maintenance: { maxWorkers: "many" } }
      ]],
      ["maintenance.handoffQueueSize", count("a handoff waits in the queue"), [
        { maintenance: { handoffQueueSize: 0 } },
        { maintenance: { handoffQueueSize: Number.NaN } }
      ]],
      [
        "maintenance.targets",
        "must be an array of host names and IP addresses without ports, also *.example.com, or a predicate",
        [
          { maintenance: { targets: "cache" } },
          { maintenance: { targets: ["cache:6379"] } },
          { maintenance: { targets: ["*"] } },
          { maintenance: { targets: ["*.*.example.com"] } },
          { maintenance: { targets: ["redis://cache"] } },
          { maintenance: { targets: [""] } },
          { maintenance: { targets: [1] } },
          { maintenance: { targets: null } }
        ]
      ],
      ["maintenance.logLevel", "must be \"Error\", \"Warn\", \"Info\" or \"Debug\", or their number from 0 to 3", [
        { maintenance: { logLevel: "warn" } },
        { maintenance: { logLevel: 4 } }
      ]],
      ["maintenance.circuitBreaker", "must be an object with failures and openDuration", [
        { maintenance: { circuitBreaker: 5 } }
      ]],
      ["maintenance.circuitBreaker.probes", "is not an option", [{ maintenance: { circuitBreaker: { probes: 3 } } }]],
      [
        "maintenance.circuitBreaker.failures",
        "must be an integer of at least 1: zero failures would never let a handoff run",
        [{ maintenance: { circuitBreaker: { failures: 0 } } }]
      ],
      [
        "maintenance.circuitBreaker.openDuration",
        `${finite}: an opened breaker has to try again`,
        [
          { maintenance: { circuitBreaker: { openDuration: 0 } } },
          { maintenance: { circuitBreaker: { openDuration: "Infinity" } } }
        ]
      ]
    ]

    it.effect.each(rules)("%s %s", ([field, rule, broken]) =>
      Effect.gen(function*() {
        for (const options of broken) {
          const error = yield* Effect.flip(decodeUnknown(options))
          assert.strictEqual(error._tag, "HitlessConfigError")
          assert.deepStrictEqual(error.issues.map(({ field }) => field), [field], inspect(options))
          const [{ rule: told }] = error.issues
          const [broken, right] = told.split("; write ")
          assert.isTrue(broken.endsWith(rule), told)
          // What it could have been meant for, nobody knows.
          assert.strictEqual(right === undefined, rule === "is not an option", told)
          assert.strictEqual(error.message, `Invalid configuration:\n- ${field}: ${told}`)
        }
      }))

    it("gives every rule its own message", () => {
      assert.strictEqual(new Set(rules.map(([field, rule]) => `${field} ${rule}`)).size, rules.length)
    })

    it.effect("are listed together", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(decodeUnknown({
          url: "redis://cache:0/main",
          poolSize: 0,
          pool: 1,
          credentials: { password: "hunter2", token: "hunter2" },
          maintenance: { mode: "on", circuitBreaker: { failures: 0 } }
        }))
        assert.deepStrictEqual(error.issues.map((issue) => issue.field), [
          "pool",
          "url.port",
          "url.database",
          "credentials.token",
          "credentials.password",
          "poolSize",
          "maintenance.mode",
          "maintenance.circuitBreaker.failures"
        ])
        assert.strictEqual(error.message.split("\n").length, 1 + error.issues.length)
      }))

    it.effect("of options, of a URL and of variables are listed together, each under the name that it has there", () =>
      Effect.gen(function*() {
        const env = yield* fromEnv({
          REDIS_URL: "redis://ann:hunter2@cache:0/main",
          REDIS_COMMAND_TIMEOUT: "y",
          REDIS_CONNECT_TIMEOUT: "-1s",
          REDIS_MAX_RESERVED: "ten",
          REDIS_CLIENT_NAME: "my app",
          REDIS_MAINTENANCE_MODE: "on",
          REDIS_MAINTENANCE_RELAXED_TIMEOUT: "on",
          REDIS_MAINTENANCE_TARGETS: "redis://ann:hunter2@cache"
        })
        const error = yield* Effect.flip(Config.decode({ ...env, poolSize: 9000 }))
        assert.strictEqual(
          error.message,
          `Invalid configuration:
- REDIS_URL: must be an integer from 1 to 65535; write 6379
- REDIS_URL: must be an integer of at least 0: databases are numbered; write 0
- REDIS_CLIENT_NAME: must be printable ASCII without spaces: servers refuse any other name; write checkout
- poolSize: 9000 must be an integer from 1 to 5000: servers take 10000 clients by default, and a pool that moves has two for each; write 10
- REDIS_MAX_RESERVED: "ten" must be an integer from 1 to 5000: each reservation is a connection of its own; write 10
- REDIS_CONNECT_TIMEOUT: must be a positive, finite duration: a dial without an end could hold its callers for ever; write 5s, 500ms or 5 seconds
- REDIS_COMMAND_TIMEOUT: "y" is no duration; write 5s, 500ms or 5 seconds
- REDIS_MAINTENANCE_MODE: "on" must be "disabled", "enabled" or "auto"; write auto
- REDIS_MAINTENANCE_RELAXED_TIMEOUT: "on" is no duration; write 5s, 500ms or 5 seconds, or off
- REDIS_MAINTENANCE_TARGETS: must be an array of host names and IP addresses without ports, also *.example.com, or a predicate; write ["10.0.0.1", "*.example.com"], or in the environment 10.0.0.1,*.example.com`
        )
        assert.deepStrictEqual(error.issues[5], {
          field: "connectTimeout",
          variable: "REDIS_CONNECT_TIMEOUT",
          rule:
            "must be a positive, finite duration: a dial without an end could hold its callers for ever; write 5s, 500ms or 5 seconds"
        })
        assert.notInclude(printed(error), "hunter2")
        assert.notInclude(printed(env), "hunter2")
      }))

    // One entry per numeric field: how it is given, and the documented constraint written down a second time.
    const numeric: Record<string, [options: (n: number) => unknown, holds: (n: number) => boolean]> = {
      port: [(port) => ({ port }), (n) => Number.isSafeInteger(n) && n >= 1 && n <= 65535],
      database: [(database) => ({ database }), (n) => Number.isSafeInteger(n) && n >= 0],
      poolSize: [(poolSize) => ({ poolSize }), (n) => Number.isSafeInteger(n) && n >= 1 && n <= 5000],
      maxPendingCommands: [(maxPendingCommands) => ({ maxPendingCommands }), (n) => Number.isSafeInteger(n) && n >= 1],
      maxPendingBytes: [(maxPendingBytes) => ({ maxPendingBytes }), (n) => Number.isSafeInteger(n) && n >= 1],
      connectTimeout: [(connectTimeout) => ({ connectTimeout }), (n) => n > 0 && n < Infinity],
      commandTimeout: [(commandTimeout) => ({ commandTimeout }), (n) => n > 0],
      maxHandoffRetries: [
        (maxHandoffRetries) => ({ maintenance: { maxHandoffRetries } }),
        (n) => Number.isInteger(n) && n >= 0 && n <= 10
      ],
      handoffTimeout: [(handoffTimeout) => ({ maintenance: { handoffTimeout } }), (n) => n > 0 && n < Infinity],
      relaxedTimeout: [(relaxedTimeout) => ({ maintenance: { relaxedTimeout } }), (n) => n > 0 && n < Infinity],
      postHandoffRelaxedDuration: [
        (postHandoffRelaxedDuration) => ({ maintenance: { postHandoffRelaxedDuration } }),
        (n) => n >= 0 && n < Infinity
      ],
      maxWorkers: [(maxWorkers) => ({ maintenance: { maxWorkers } }), (n) => Number.isSafeInteger(n) && n >= 1],
      handoffQueueSize: [
        (handoffQueueSize) => ({ maintenance: { handoffQueueSize } }),
        (n) => Number.isSafeInteger(n) && n >= 1
      ],
      logLevel: [(logLevel) => ({ maintenance: { logLevel } }), (n) => [0, 1, 2, 3].includes(n)],
      failures: [
        (failures) => ({ maintenance: { circuitBreaker: { failures } } }),
        (n) => Number.isSafeInteger(n) && n >= 1
      ],
      openDuration: [
        (openDuration) => ({ maintenance: { circuitBreaker: { openDuration } } }),
        (n) => n > 0 && n < Infinity
      ]
    }

    it.effect.prop(
      "are found exactly where a number breaks its constraint",
      {
        field: Schema.Literals(Object.keys(numeric)),
        value: Schema.Union([
          Schema.Int.check(Schema.isBetween({ minimum: -2, maximum: 12 })),
          Schema.Int.check(Schema.isBetween({ minimum: 65530, maximum: 65540 })),
          // Literals of a schema are finite, so these are written as text.
          Schema.Literals(["Infinity", "-Infinity", "NaN", "-0", "0.5", "-0.5", "9007199254740992"])
        ])
      },
      ({ field, value }) =>
        Effect.gen(function*() {
          const [options, holds] = numeric[field]
          const number = Number(value)
          const exit = yield* Effect.exit(decodeUnknown(options(number)))
          assert.strictEqual(Exit.isSuccess(exit), holds(number), `${field}: ${value}`)
        }),
      { arbitrary: { runs: 500 } }
    )

    const Junk = Schema.Union([
      Schema.Null,
      Schema.Undefined,
      Schema.Boolean,
      Schema.Finite,
      Schema.BigInt,
      Schema.String,
      Schema.Symbol,
      Schema.Date,
      Schema.Duration,
      Schema.Uint8Array,
      Schema.Array(Schema.Finite),
      Schema.Record(Schema.String, Schema.Union([Schema.Finite, Schema.String, Schema.Null])),
      Schema.Redacted(Schema.Finite),
      Schema.Struct({ seconds: Schema.Union([Schema.Finite, Schema.String, Schema.BigInt]) }),
      Schema.TemplateLiteral([Schema.Literals(["redis://", "rediss://", "unix://", "redis:"]), Schema.String])
    ])

    it.effect.prop(
      "never are defects, whatever is passed",
      [Schema.Union([
        Junk,
        Schema.Struct({
          url: Junk,
          host: Junk,
          port: Junk,
          tls: Schema.Union([Junk, Schema.Struct({ ca: Junk, key: Junk })]),
          credentials: Schema.Union([Junk, Schema.Struct({ username: Junk, password: Junk })]),
          commandTimeout: Junk,
          retry: Junk,
          maintenance: Schema.Union([
            Junk,
            Schema.Struct({ mode: Junk, relaxedTimeout: Junk, maxWorkers: Junk, circuitBreaker: Junk })
          ])
        }),
        Schema.Struct({ url: Junk }),
        Schema.Struct({ connectTimeout: Junk })
      ])],
      ([options]) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(decodeUnknown(options))
          if (Exit.isSuccess(exit)) assert.instanceOf(exit.value, Config.ResolvedConfig)
          else assert.isFalse(Cause.hasDies(exit.cause), inspect(exit.cause))
        }),
      { arbitrary: { runs: 500 } }
    )
  })

  describe("environment", () => {
    it.effect("reads every variable by its exact name", () =>
      Effect.gen(function*() {
        const { credentials, ...config } = yield* Effect.flatMap(
          fromEnv({
            REDIS_URL: "redis://cache/1",
            REDIS_HOST: "other",
            REDIS_PORT: "7000",
            REDIS_FAMILY: "6",
            REDIS_USERNAME: "ann",
            REDIS_PASSWORD: "hunter2",
            REDIS_DATABASE: "2",
            REDIS_TLS: "true",
            REDIS_CLIENT_NAME: "app",
            REDIS_PROTOCOL: "3",
            REDIS_POOL_SIZE: "100",
            REDIS_MAX_PENDING_COMMANDS: "1000",
            REDIS_MAX_PENDING_BYTES: "1000000",
            REDIS_WHEN_OVERLOADED: "wait",
            REDIS_STARTUP: "lazy",
            REDIS_WHEN_DOWN: "fail",
            REDIS_CONNECT_TIMEOUT: "1 second",
            REDIS_COMMAND_TIMEOUT: "Infinity",
            REDIS_RETRY: "none",
            REDIS_MAINTENANCE_MODE: "enabled",
            REDIS_MAINTENANCE_ENDPOINT_TYPE: "external-ip",
            REDIS_MAINTENANCE_MAX_HANDOFF_RETRIES: "4",
            REDIS_MAINTENANCE_HANDOFF_TIMEOUT: "2 seconds",
            REDIS_MAINTENANCE_RELAXED_TIMEOUT: "30 seconds",
            REDIS_MAINTENANCE_POST_HANDOFF_RELAXED_DURATION: "1 minute",
            REDIS_MAINTENANCE_MAX_WORKERS: "20",
            REDIS_MAINTENANCE_HANDOFF_QUEUE_SIZE: "50",
            REDIS_MAINTENANCE_LOG_LEVEL: "3"
          }),
          Config.decode
        )
        assert.deepStrictEqual(plain(yield* credentialsOf({ credentials })), ["ann", "hunter2"])
        assert.deepStrictEqual(config, {
          endpoint: Endpoint.tcp("other", 7000),
          tls: {},
          family: 6,
          database: 2,
          clientName: "app",
          protocol: 3,
          poolSize: 100,
          maxReserved: 10,
          maxPendingCommands: 1000,
          maxPendingBytes: 1_000_000,
          whenOverloaded: "wait",
          startup: "lazy",
          whenDown: "fail",
          connectTimeout: Duration.seconds(1),
          commandTimeout: Duration.infinity,
          retry: "none",
          addressMap: undefined,
          maintenance: {
            mode: "enabled",
            endpointType: "external-ip",
            maxHandoffRetries: 4,
            handoffTimeout: Duration.seconds(2),
            relaxedTimeout: Duration.seconds(30),
            postHandoffRelaxedDuration: Duration.minutes(1),
            maxWorkers: 20,
            handoffQueueSize: 50,
            targets: undefined,
            logLevel: "Debug",
            circuitBreaker: { failures: 5, openDuration: Duration.seconds(60) }
          }
        })
      }))

    it.effect("means the defaults where nothing, or nothing but empty text, is set", () =>
      Effect.gen(function*() {
        const defaults = yield* Config.decode(undefined)
        for (const env of [{}, { REDIS_URL: "", REDIS_PORT: "", REDIS_USERNAME: "", REDIS_MAINTENANCE_MODE: "" }]) {
          const config = yield* Effect.flatMap(fromEnv(env), Config.decode)
          assert.deepStrictEqual({ ...config, credentials: undefined }, { ...defaults, credentials: undefined })
        }
      }))

    it.effect("takes words where numbers and durations have them", () =>
      Effect.gen(function*() {
        const { maintenance } = yield* Effect.flatMap(
          fromEnv({
            REDIS_MAINTENANCE_RELAXED_TIMEOUT: "off",
            REDIS_MAINTENANCE_MAX_WORKERS: "auto",
            REDIS_MAINTENANCE_HANDOFF_QUEUE_SIZE: "auto",
            REDIS_MAINTENANCE_LOG_LEVEL: "Info"
          }),
          Config.decode
        )
        assert.isUndefined(maintenance.relaxedTimeout)
        assert.strictEqual(maintenance.maxWorkers, 3)
        assert.strictEqual(maintenance.handoffQueueSize, 10)
        assert.strictEqual(maintenance.logLevel, "Info")
      }))

    it.effect("takes a prefix for a second instance", () =>
      Effect.gen(function*() {
        const provider = ConfigProvider.fromEnvRecord({ REDIS_URL: "redis://first", CACHE_REDIS_URL: "redis://second" })
        const options = yield* EffectConfig.nested(Config.fromEnv, "CACHE").parse(provider)
        const config = yield* Config.decode(options)
        assert.deepStrictEqual(config.endpoint, Endpoint.tcp("second"))
      }))

    const variables = [
      "REDIS_URL",
      "REDIS_HOST",
      "REDIS_PORT",
      "REDIS_FAMILY",
      "REDIS_DATABASE",
      "REDIS_TLS",
      "REDIS_CLIENT_NAME",
      "REDIS_PROTOCOL",
      "REDIS_POOL_SIZE",
      "REDIS_MAX_RESERVED",
      "REDIS_MAX_PENDING_COMMANDS",
      "REDIS_MAX_PENDING_BYTES",
      "REDIS_WHEN_OVERLOADED",
      "REDIS_STARTUP",
      "REDIS_WHEN_DOWN",
      "REDIS_CONNECT_TIMEOUT",
      "REDIS_COMMAND_TIMEOUT",
      "REDIS_RETRY",
      "REDIS_ADDRESS_MAP",
      "REDIS_MAINTENANCE_MODE",
      "REDIS_MAINTENANCE_ENDPOINT_TYPE",
      "REDIS_MAINTENANCE_MAX_HANDOFF_RETRIES",
      "REDIS_MAINTENANCE_HANDOFF_TIMEOUT",
      "REDIS_MAINTENANCE_RELAXED_TIMEOUT",
      "REDIS_MAINTENANCE_POST_HANDOFF_RELAXED_DURATION",
      "REDIS_MAINTENANCE_MAX_WORKERS",
      "REDIS_MAINTENANCE_HANDOFF_QUEUE_SIZE",
      "REDIS_MAINTENANCE_TARGETS",
      "REDIS_MAINTENANCE_LOG_LEVEL"
    ]

    it.effect("names every variable that breaks a rule, all of them at once, also with a prefix", () =>
      Effect.gen(function*() {
        const bad = Object.fromEntries(variables.map((name) => [`CACHE_${name}`, "no: such ✗"]))
        const provider = ConfigProvider.fromEnvRecord(bad)
        const options = yield* EffectConfig.nested(Config.fromEnv, "CACHE").parse(provider)
        const { issues } = yield* Effect.flip(Config.decode(options))
        assert.sameMembers(issues.map(({ variable }) => variable), Object.keys(bad))
      }))

    it.effect.each(variables)("%s is right as its rule says to write it", (name) =>
      Effect.gen(function*() {
        const options = yield* fromEnv({ [name]: "no: such ✗" })
        const { issues: [{ rule }] } = yield* Effect.flip(Config.decode(options))
        const written = rule.split("; write ")[1]
        assert.isDefined(written)
        for (const value of written.replace(/^.*in the environment /, "").split(/,? or |, /)) {
          yield* Effect.flatMap(fromEnv({ [name]: value }), Config.decode)
        }
      }))

    const texts: ReadonlyArray<readonly [text: string, millis: number]> = [
      ["5s", 5000],
      ["500ms", 500],
      ["5 seconds", 5000],
      ["0.5 s", 500],
      ["2m", 120_000],
      ["1h", 3_600_000]
    ]
    it.effect.each(texts)(
      "reads %s as %d milliseconds, as an option does",
      ([text, millis]) =>
        Effect.gen(function*() {
          const read = yield* Effect.flatMap(fromEnv({ REDIS_COMMAND_TIMEOUT: text }), Config.decode)
          const given = yield* decodeUnknown({ commandTimeout: text })
          assert.strictEqual(Duration.toMillis(read.commandTimeout), millis)
          assert.strictEqual(Duration.toMillis(given.commandTimeout), millis)
        })
    )

    it.effect("refuses a user name without a password", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatMap(fromEnv({ REDIS_USERNAME: "ann" }), Config.decode))
        assert.strictEqual(
          error.message,
          "Invalid configuration:\n- REDIS_USERNAME: must not be set without a password; write one as REDIS_PASSWORD"
        )
      }))
  })

  describe("secrets", () => {
    it.effect("are in no resolved configuration", () =>
      Effect.gen(function*() {
        for (
          const options of [
            { url: "redis://ann:hunter2@cache" },
            { url: Redacted.make("redis://ann:hunter2@cache") },
            { credentials: { username: "ann", password: Redacted.make("hunter2") } },
            { tls: { key: Redacted.make("hunter2"), passphrase: Redacted.make("hunter2") } }
          ]
        ) {
          assert.notInclude(printed(yield* Config.decode(options)), "hunter2")
        }
      }))

    it.effect("are in no options read from the environment, nor in the error about them", () =>
      Effect.gen(function*() {
        const env = { REDIS_URL: "redis://:hunter2@cache", REDIS_PASSWORD: "hunter2" }
        assert.notInclude(printed(yield* fromEnv(env)), "hunter2")
        for (
          const name of ["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_CLIENT_NAME", "REDIS_MAINTENANCE_TARGETS"]
        ) {
          const options = yield* fromEnv({ ...env, [name]: "redis://:hunter2@ca che" })
          assert.notInclude(printed(options), "hunter2")
          assert.notInclude(printed(yield* Effect.flip(Config.decode(options))), "hunter2")
        }
      }))

    it.effect("are in no error, whatever is wrong around them", () =>
      Effect.gen(function*() {
        for (
          const options of [
            { url: "hunter2" },
            { url: "http://ann:hunter2@cache" },
            { url: "redis://ann:hunter2@cache:65536" },
            { url: "redis://ann:hunter2@cache:0/main?db=1" },
            { url: "redis://ann:hunter2@cache?protocol=hunter2" },
            { url: "redis://ann:hunter2%@cache" },
            { url: "redis://ann:12#hunter2@cache" },
            { url: "redis://ann:12/hunter2@cache" },
            { url: "redis://ann:12?hunter2=1@cache" },
            { url: "redis://hunter2@cache" },
            { url: Redacted.make("redis://ann:hunter2@cache:0") },
            { credentials: "hunter2" },
            { credentials: { password: "hunter2" } },
            { credentials: { username: "", password: Redacted.make("hunter2") } },
            { tls: { key: "hunter2", passphrase: "hunter2" } }
          ]
        ) {
          const exit = yield* Effect.exit(decodeUnknown(options))
          assert.isTrue(Exit.isFailure(exit), inspect(options))
          assert.notInclude(printed(exit), "hunter2")
          assert.notInclude(printed(yield* Effect.flip(decodeUnknown(options))), "hunter2")
        }
      }))
  })
})
