/**
 * Writes `docs/doctor.md`: what `hitless doctor` says of six servers, each started here and looked at by the real command.
 * With `--check` it writes nothing, and fails where the page is not what it would write.
 *
 * It needs `redis-server` (`REDIS_SERVER`, then `PATH`) and `openssl`. Ports are written as the usual ones, times and dates
 * as an ellipsis, so that the page stays the same; which server it is and its version are not compared.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { webServer } from "../test/support/peers.ts"
import { makeCertificates } from "../test/support/tls.ts"

const root = resolve(import.meta.dirname, "..")
const page = join(root, "docs/doctor.md")
const main = join(root, "src/cli/main.ts")

// ----- servers -----

const running = (start: () => ChildProcess): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(start), (child) =>
    Effect.promise(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill("SIGKILL")
      await once(child, "exit")
    }))

const freePort: Effect.Effect<number> = Effect.callback((done) => {
  const server = Net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => done(Effect.succeed(port)))
  })
})

const accepts = (port: number): Effect.Effect<boolean> =>
  Effect.callback((done) => {
    const socket = Net.createConnection(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      done(Effect.succeed(true))
    })
    socket.once("error", () => done(Effect.succeed(false)))
  })

const redis = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const [port, tlsPort] = [yield* freePort, yield* freePort]
  const child = yield* running(() =>
    spawn(
      process.env.REDIS_SERVER ?? "redis-server",
      ["--port", String(port), "--bind", "127.0.0.1", "--save", ""].concat(
        args.length > 0 && args[0]!.startsWith("--tls") ? ["--tls-port", String(tlsPort), ...args] : args
      ),
      { stdio: "ignore" }
    )
  )
  while (!(yield* accepts(port))) {
    if (child.exitCode !== null) return yield* Effect.die(new Error("redis-server did not start"))
    yield* Effect.sleep("20 millis")
  }
  return { port, tlsPort }
})

const simulated = Effect.gen(function*() {
  const child = yield* running(() =>
    spawn(process.execPath, [main, "simulate", "--nodes", "1", "--port", "0", "--control-port", "0", "--json"], {
      stdio: ["ignore", "pipe", "inherit"]
    })
  )
  const lines = createInterface({ input: child.stdout! })
  const [first] = yield* Effect.promise(() => once(lines, "line"))
  return Number(/:(\d+)$/.exec(JSON.parse(first).nodes["node-1"])![1])
})

// ----- reports -----

interface Example {
  /** As it stands in the page. */
  readonly command: string
  readonly port: number
  readonly shownPort: number
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

/** A number that is different each time. */
const volatile = (report: string, port: number, shownPort: number): string =>
  report
    .replaceAll(`:${port}`, `:${shownPort}`)
    .replace(/\bin [\d.]+ ms/g, "in … ms")
    .replace(/min [\d.]+, median [\d.]+, max [\d.]+ ms/g, "min …, median …, max … ms")
    .replace(/until [A-Z][a-z]{2} [^)\n]*GMT/g, "until …")

const report = ({ args, command, env, port, shownPort }: Example): Effect.Effect<string> =>
  Effect.callback((done) => {
    execFile(
      process.execPath,
      [main, "doctor", ...args],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code
        const text = volatile(stdout + stderr, port, shownPort).trimEnd()
        done(Effect.succeed(["```console", `$ ${command}`, text, "", "$ echo $?", String(code), "```"].join("\n")))
      }
    )
  })

const written = Effect.gen(function*() {
  const plain = yield* redis()
  const guarded = yield* redis("--requirepass", "s3cret-w0rd")
  const { ca, elsewhere } = yield* makeCertificates
  // dprint-ignore
  const misnamed = yield* redis(
    "--tls-cert-file", elsewhere.certFile, "--tls-key-file", elsewhere.keyFile, "--tls-ca-cert-file", ca.certFile,
    "--tls-auth-clients", "no"
  )
  const down = yield* freePort
  const web = yield* webServer
  const node = yield* simulated
  const at = (port: number, scheme = "redis") => `${scheme}://127.0.0.1:${port}`

  const plainReport = yield* report({
    command: "hitless doctor redis://127.0.0.1:6379",
    port: plain.port,
    shownPort: 6379,
    args: [at(plain.port)]
  })
  const withoutPassword = yield* report({
    command: "hitless doctor redis://127.0.0.1:6379",
    port: guarded.port,
    shownPort: 6379,
    args: [at(guarded.port)]
  })
  const withPassword = yield* report({
    command: "REDIS_URL=redis://:s3cret-w0rd@127.0.0.1:6379 hitless doctor",
    port: guarded.port,
    shownPort: 6379,
    args: [],
    env: { REDIS_URL: `redis://:s3cret-w0rd@127.0.0.1:${guarded.port}` }
  })
  const wrongName = yield* report({
    command: "hitless doctor rediss://127.0.0.1:6380 --ca ca.pem",
    port: misnamed.tlsPort,
    shownPort: 6380,
    args: [at(misnamed.tlsPort, "rediss"), "--ca", ca.certFile]
  })
  const downReport = yield* report({
    command: "hitless doctor redis://127.0.0.1:6379",
    port: down,
    shownPort: 6379,
    args: [at(down)]
  })
  const webReport = yield* report({
    command: "hitless doctor redis://127.0.0.1:8080",
    port: web,
    shownPort: 8080,
    args: [at(web)]
  })
  const simulatedReport = yield* report({
    command: "hitless doctor redis://127.0.0.1:6379",
    port: node,
    shownPort: 6379,
    args: [at(node)]
  })

  return `# Why can this server not be used?

\`hitless doctor <url>\` looks at a server as a client would, from its name to the time of a round trip. Each line has a verdict and,
where there is one, the next step; what comes after a problem is not looked at. It changes nothing on the server and prints no
password. Without a URL it takes \`REDIS_URL\`, which \`ps\` does not show.

| Word      | Meaning                                                           |
| --------- | ----------------------------------------------------------------- |
| \`ok\`      | as it should be                                                   |
| \`note\`    | a client works with it, and something is missing or can be better |
| \`problem\` | no client can work with it                                        |
| \`skipped\` | not asked for, or behind a problem                                |

The exit code is 0 where a client can work with the server, 1 where there is a problem, and 2 where the command line is wrong.
\`--json\` prints one object: \`server\`, \`healthy\`, and \`findings\`, each with \`check\`, \`status\`, \`verdict\`, \`next\` and \`facts\`.

The reports below are what the command says of six servers; \`node scripts/doctor-docs.ts\` starts them and writes this page. Ports
are written as the usual ones, times and dates as an ellipsis.

## A plain Redis

${plainReport}

## One with a password

Nothing is configured:

${withoutPassword}

And with it:

${withPassword}

## TLS with a certificate for another name

${wrongName}

## One that is down

${downReport}

## A port that speaks HTTP

${webReport}

## \`hitless simulate\`

${simulatedReport}
`
})

// ----- the run -----

const comparable = (text: string): string => text.replace(/(redis|valkey) \d+\.\d+\.\d+/g, "redis X.Y.Z")

const text = await Effect.runPromise(Effect.scoped(written))

if (!process.argv.includes("--check")) writeFileSync(page, text)
else if (comparable(readFileSync(page, "utf8")) !== comparable(text)) {
  process.stderr.write(`docs/doctor.md is not what scripts/doctor-docs.ts writes, which is:\n\n${text}`)
  process.exitCode = 1
}
