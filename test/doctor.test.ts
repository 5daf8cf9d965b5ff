/**
 * `hitless doctor`, run as a command, against real servers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import type { Check, Finding, Status } from "../src/cli/checkup.ts"
import { connectTo, host } from "./support/client.ts"
import { peer, webServer } from "./support/peers.ts"
import { answerHandshake, rawServer } from "./support/rawServer.ts"
import { freePort, startRedis, startSentinel } from "./support/redisServer.ts"
import { makeCertificates } from "./support/tls.ts"

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url))
const docs = fileURLToPath(new URL("../scripts/doctor-docs.ts", import.meta.url))

const secret = "s3cret-w0rd"

// A process starts within a second; a machine that runs all tests at once can take ten times that.
const timeout = 60_000

interface Outcome {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

const run = (
  script: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      [script, ...args],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => resume(Effect.succeed({ code: error === null ? 0 : error.code, stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

interface Report {
  readonly server: string
  readonly healthy: boolean
  readonly credentials: boolean
  readonly findings: ReadonlyArray<Finding>
}

/** What the command finds, as data, after checking that it says the same in words, and no secret in either. */
const examined = Effect.fnUntraced(
  function*(url: string, args: ReadonlyArray<string> = [], env: Readonly<Record<string, string>> = {}) {
    const given = url === "" ? args : [url, ...args]
    const [data, words] = yield* Effect.all(
      [run(main, ["doctor", ...given, "--json"], env), run(main, ["doctor", ...given], env)],
      { concurrency: 2 }
    )
    for (const { code, stderr, stdout } of [data, words]) {
      assert.strictEqual(stderr, "")
      assert.notInclude(stdout, secret)
      assert.strictEqual(code, (JSON.parse(data.stdout) as Report).healthy ? 0 : 1)
    }
    const report: Report = JSON.parse(data.stdout)
    for (const { check, status } of report.findings) {
      assert.match(words.stdout, new RegExp(`^${status} +${check}  `, "m"))
    }
    for (const line of words.stdout.split("\n")) {
      if (line.trim().includes(" ")) assert.isAtMost(line.length, 140, line)
    }
    const of = (check: Check): Finding => report.findings.find((finding) => finding.check === check)!
    return { report, words: words.stdout, of }
  }
)

const statuses = ({ findings }: Report): Readonly<Record<string, Status>> =>
  Object.fromEntries(findings.map(({ check, status }) => [check, status]))

const nothingAfter: Readonly<Record<string, Status>> = {
  auth: "skipped",
  resp3: "skipped",
  maintenance: "skipped",
  "endpoint type": "skipped",
  "round trip": "skipped"
}

const healthy: Readonly<Record<string, Status>> = {
  dns: "ok",
  tcp: "ok",
  tls: "skipped",
  redis: "ok",
  auth: "ok",
  resp3: "ok",
  maintenance: "note",
  "endpoint type": "ok",
  "round trip": "ok"
}

/** A real server on a TLS port, by default with a certificate for `localhost` and `127.0.0.1`. */
const startTls = Effect.fnUntraced(function*(which: "server" | "elsewhere" = "server") {
  const certificates = yield* makeCertificates
  const port = yield* freePort
  const { certFile, keyFile } = certificates[which]
  // dprint-ignore
  yield* startRedis({
    args: [
      "--tls-port", String(port), "--tls-cert-file", certFile, "--tls-key-file", keyFile,
      "--tls-ca-cert-file", certificates.ca.certFile, "--tls-auth-clients", "no"
    ]
  })
  return { port, certificates }
})

// Two processes at a time are enough for a small machine.
describe("hitless doctor", { concurrent: false }, () => {
  it.live("finds a plain Redis healthy, says what it is, and that it announces nothing", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const { of, report, words } = yield* examined(`redis://${host}:${port}`)
      assert.deepStrictEqual(statuses(report), healthy)
      assert.strictEqual(report.server, `127.0.0.1:${port}`)
      const redis = yield* connectTo({ host, port })
      // Valkey tells a version of Redis too, the one that it began from.
      const info = yield* redis.send<string>("INFO", "server")
      const [, name, version] = /(valkey)_version:(\S+)/.exec(info) ?? /(redis)_version:(\S+)/.exec(info) ?? []
      assert.strictEqual(of("redis").verdict, `${name} ${version}, standalone, master`)
      assert.include(of("maintenance").verdict, "unknown subcommand 'MAINT_NOTIFICATIONS'")
      assert.strictEqual(of("endpoint type").facts?.type, "internal-ip")
      const { maxMillis, medianMillis, minMillis } = of("round trip").facts as Record<string, number>
      assert.isTrue(0 < minMillis! && minMillis! <= medianMillis! && medianMillis! <= maxMillis!)
      assert.match(words, /Healthy: a client can work with this server\.\n$/)
    }), timeout)

  it.live("finds that a password is missing, wrong or right, and prints none", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis({ args: ["--requirepass", secret] })
      const missing = yield* examined(`redis://${host}:${port}`)
      assert.deepStrictEqual(statuses(missing.report), { ...healthy, ...nothingAfter, auth: "problem" })
      assert.include(missing.of("auth").verdict, "none is configured")
      assert.include(missing.of("auth").next, "REDIS_URL")
      const wrong = yield* examined(`redis://:${secret}-not@${host}:${port}`)
      assert.strictEqual(wrong.of("auth").status, "problem")
      assert.include(wrong.of("auth").verdict, "refuses the configured credentials")
      const right = yield* examined("", [], { REDIS_URL: `redis://:${secret}@${host}:${port}` })
      assert.deepStrictEqual(statuses(right.report), healthy)
      assert.isTrue(right.report.credentials)
    }), timeout)

  it.live(
    "finds that a certificate is for another name, says for which, and works with that",
    () =>
      Effect.gen(function*() {
        const { certificates: { ca }, port } = yield* startTls("elsewhere")
        const url = `rediss://${host}:${port}`
        const wrong = yield* examined(url, ["--ca", ca.certFile])
        assert.deepStrictEqual(statuses(wrong.report), {
          ...healthy,
          ...nothingAfter,
          tls: "problem",
          redis: "skipped"
        })
        assert.include(wrong.of("tls").verdict, "DNS:redis.example, and not for 127.0.0.1")
        assert.include(wrong.of("tls").verdict, "elsewhere signed by hitless-test-ca")
        assert.include(wrong.of("tls").next, "--servername redis.example")
        const right = yield* examined(url, ["--ca", ca.certFile, "--servername", "redis.example"])
        assert.deepStrictEqual(statuses(right.report), { ...healthy, tls: "ok" })
        assert.match(
          right.of("tls").verdict,
          /^TLSv1\.[23], elsewhere signed by hitless-test-ca, for .*DNS:redis\.example/
        )
        assert.strictEqual(right.of("endpoint type").facts?.type, "internal-fqdn")
      }),
    timeout
  )

  it.live("finds that a certificate's authority is unknown, and who it is", () =>
    Effect.gen(function*() {
      const { port } = yield* startTls()
      const { of } = yield* examined(`rediss://${host}:${port}`)
      assert.strictEqual(of("tls").status, "problem")
      assert.include(of("tls").verdict, "server signed by hitless-test-ca")
      assert.include(of("tls").next, "--ca")
    }), timeout)

  it.live("finds that a port has TLS, or has none, where the other was asked for", () =>
    Effect.gen(function*() {
      const { port } = yield* startTls()
      const without = yield* examined(`redis://${host}:${port}`)
      assert.strictEqual(without.of("redis").verdict, "that port speaks TLS, and was spoken to without")
      assert.include(without.of("redis").next, "rediss://")
      const web = yield* webServer
      const withTls = yield* examined(`rediss://${host}:${web}`)
      assert.strictEqual(withTls.of("tls").status, "problem")
      assert.include(withTls.of("tls").next, "redis://")
    }), timeout)

  it.live("finds that a server is down, or that its name leads nowhere", () =>
    Effect.gen(function*() {
      const down = yield* examined(`redis://${host}:${yield* freePort}`)
      const expected: typeof healthy = { ...healthy, ...nothingAfter, redis: "skipped" }
      assert.deepStrictEqual(statuses(down.report), { ...expected, tcp: "problem" })
      assert.include(down.of("tcp").verdict, "nothing listens at that address")
      const unknown = yield* examined("redis://no-such-host.invalid")
      assert.deepStrictEqual(statuses(unknown.report), { ...expected, dns: "problem", tcp: "skipped" })
      assert.include(unknown.of("dns").verdict, "no-such-host.invalid could not be resolved")
      const named = yield* examined(`redis://localhost:${(yield* startRedis()).port}`)
      assert.match(named.of("dns").verdict, /^localhost is .*127\.0\.0\.1/)
    }), timeout)

  it.live("finds that a port speaks HTTP, or hangs up", () =>
    Effect.gen(function*() {
      const web = yield* examined(`redis://${host}:${yield* webServer}`)
      assert.deepStrictEqual(statuses(web.report), { ...healthy, ...nothingAfter, redis: "problem" })
      assert.include(web.of("redis").verdict, "which is HTTP; is that Redis?")
      assert.include(web.of("redis").next, "the port that Redis listens at")
      const closing = yield* examined(`redis://${host}:${yield* peer((socket) => socket.end())}`)
      assert.include(closing.of("redis").verdict, "without a word: is that Redis?")
    }), timeout)

  it.live(
    "finds a simulated deployment healthy, that it announces maintenance, and that it does not",
    () =>
      Effect.gen(function*() {
        for (const [maintenance, status] of [["supported", "ok"], ["disabled", "note"]] as const) {
          const child = yield* Effect.acquireRelease(
            Effect.sync(() =>
              // dprint-ignore
              spawn(process.execPath, [
              main, "simulate", "--nodes", "1", "--port", "0", "--control-port", "0", "--json", "--maintenance", maintenance
            ], { stdio: ["ignore", "pipe", "inherit"] })
            ),
            (child) =>
              Effect.promise(async () => {
                const exited = once(child, "exit")
                child.kill()
                await exited
              })
          )
          const [line] = yield* Effect.promise(() => once(createInterface({ input: child.stdout }), "line"))
          const { of, report } = yield* examined(`redis://${JSON.parse(line).nodes["node-1"]}`)
          assert.deepStrictEqual(statuses(report), { ...healthy, maintenance: status })
          if (status === "note") assert.include(of("maintenance").next, "turn maintenance notifications on")
        }
      }),
    timeout
  )

  it.live(
    "tells a replica, a node of a cluster and a Sentinel from a server that serves everything",
    () =>
      Effect.gen(function*() {
        const primary = yield* startRedis()
        const replica = yield* startRedis({ args: ["--replicaof", host, String(primary.port)] })
        const second = yield* examined(`redis://${host}:${replica.port}`)
        assert.deepStrictEqual(statuses(second.report), { ...healthy, redis: "note" })
        assert.include(second.of("redis").next, "a replica refuses writes")
        const cluster = yield* startRedis({ args: ["--cluster-enabled", "yes"] })
        for (const [port, mode] of [[cluster.port, "cluster"], [yield* startSentinel, "sentinel"]] as const) {
          const { of, report } = yield* examined(`redis://${host}:${port}`)
          assert.deepStrictEqual(statuses(report), { ...healthy, ...nothingAfter, redis: "problem" })
          assert.strictEqual(of("redis").facts?.mode, mode)
        }
      }),
    timeout
  )

  it.live("looks at a socket file, and at a server without RESP3", () =>
    Effect.gen(function*() {
      const { socketPath } = yield* startRedis()
      const file = yield* examined(`unix://${socketPath}`)
      assert.deepStrictEqual(statuses(file.report), { ...healthy, dns: "skipped" })
      const old = yield* rawServer(([command = ""]) => command === "PING" ? "+PONG\r\n" : "-ERR unknown command\r\n")
      const without = yield* examined(`redis://${host}:${old.port}`)
      assert.deepStrictEqual(statuses(without.report), { ...healthy, resp3: "note", maintenance: "skipped" })
    }), timeout)

  it.live("finds that a server refuses the connection, and says what to do", () =>
    Effect.gen(function*() {
      const { port } = yield* startRedis()
      const database = yield* examined(`redis://${host}:${port}/16`)
      assert.include(database.of("redis").verdict, "DB index is out of range")
      assert.include(database.of("redis").next, "leave the number out of the URL")
      const redis = yield* connectTo({ host, port, poolSize: 1 })
      yield* redis.send("CONFIG", "SET", "maxclients", 1)
      const full = yield* examined(`redis://${host}:${port}`)
      assert.include(full.of("redis").verdict, "max number of clients reached")
      assert.include(full.of("redis").next, "CLIENT LIST")
    }), timeout)

  it.live(
    "shows neither a password that a server repeats nor more than a line of what it says",
    () =>
      Effect.gen(function*() {
        const version = `${secret} ${"9".repeat(10_000)}\x1b[31m`
        const { port } = yield* rawServer((words) => {
          if (words[0] === "HELLO") {
            return `%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nversion\r\n$${version.length}\r\n${version}\r\n`
          }
          return words[0] === "PING" ? "+PONG\r\n" : `-ERR ${words.join(" ")} ${secret}\r\n`
        })
        const { of, words } = yield* examined(`redis://:${secret}@${host}:${port}`)
        assert.match(of("redis").verdict, /^unknown \*\*\* 9+, unknown, unknown$/)
        assert.isBelow(words.length, 2500)
        assert.notInclude(words, "\x1b")
      }),
    timeout
  )

  it.live("says that PING is not answered", () =>
    Effect.gen(function*() {
      const { port } = yield* rawServer((words) =>
        words[0] === "PING" ? "-NOPERM no permission for 'ping'\r\n" : answerHandshake(words)
      )
      const { of } = yield* examined(`redis://${host}:${port}`)
      assert.strictEqual(of("round trip").verdict, "PING was answered NOPERM no permission for 'ping'")
    }), timeout)

  it.live(
    "ends with 2 and one line where the command line is wrong, without the URL in it",
    () =>
      Effect.gen(function*() {
        const expectations: ReadonlyArray<readonly [args: ReadonlyArray<string>, words: string]> = [
          [[`http://:${secret}@localhost`], "url must start with redis://"],
          [[`redis://:${secret}@localhost/x`], "database"],
          [["redis://localhost", "--ca", "/nowhere.pem"], "File does not exist: /nowhere.pem"],
          [["redis://localhost", "--jsno"], "there is no flag --jsno (did you mean --json?)"],
          [[], "Missing required argument: url"]
        ]
        for (const [args, words] of expectations) {
          const { code, stderr, stdout } = yield* run(main, ["doctor", ...args], { REDIS_URL: "" })
          assert.match(stderr, /^hitless doctor: [^\n]+\n$/)
          assert.include(stderr, words)
          assert.notInclude(stderr + stdout, secret)
          assert.strictEqual(code, 2)
        }
      }),
    timeout
  )

  it.live("says what its page in the docs says", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run(docs, ["--check"], { REDIS_SERVER: inject("redisServer") })
      assert.strictEqual(code, 0, stderr)
    }), timeout)
})
