/**
 * Every example does what it says, run by the command that runs it, against a real server where it needs one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Metrics } from "hitless"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { freePort, startRedis } from "./support/redisServer.ts"

const root = join(import.meta.dirname, "..")

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}

type Env = Readonly<Record<string, string>>

/** The command of an example, on the Node that runs the tests. */
const start = (example: string, env: Env): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const [node, ...args] = scripts[`example:${example}`].split(" ")
      assert.strictEqual(node, "node")
      return spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })
    }),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGTERM")
        await once(child, "exit")
      })
  )

/** Runs an example to its end, which has to be a good one, and gives what it printed but for the client's log. */
const printed = (example: string, env: Env): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* start(example, env)
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data) => output += String(data))
    const [code] = yield* Effect.promise(() => once(child, "close"))
    assert.strictEqual(code, 0, output)
    return output.replace(/^\[[\d:.]+\] WARN .*\n(?: .*\n)*\}?\n?/gm, "").split("\n").filter((line) => line !== "")
  })

const server = Effect.map(startRedis(), ({ port }) => ({ REDIS_URL: `redis://localhost:${port}` }))

/** What each prints; a part that differs from run to run is a pattern. */
const programs: Readonly<Record<string, ReadonlyArray<string | RegExp>>> = {
  "quick-start": ["hello", "42 visits", "ok, maintenance notifications are refused"],
  "cache": ["looking up the price of tea", "it is 42", "it is 42"],
  "rate-limiter": [
    "ada is served, 2 left",
    "ada is served, 1 left",
    "ada is served, 0 left",
    /^ada has to wait \d+ s$/,
    "ben is served, 2 left"
  ],
  "job-queue": ["delivered to ada", "ben is not at home, another time", "delivered to ben"],
  "pub-sub": ["example:news: a client that does not drop", "example:weather.oslo: snow", "example:weather.rome: sun"],
  "transactions": ["12 of 20 transfers had enough", "4 left, 96 arrived"],
  "several-databases": ["a session, something cached", "known to the server as sessions and cache"],
  "credentials-rotation": [
    "no command failed",
    "on the same connection",
    "and the next one logs in with the second password too"
  ]
}

/** Asks until the answer is as it should be; the test's own time is the limit. */
const until = async (url: string, holds: (status: number, body: string) => boolean) => {
  for (;;) {
    const answer = await fetch(url).then(async (response) => ({ status: response.status, body: await response.text() }))
      // Nobody listens yet.
      .catch(() => undefined)
    if (answer !== undefined && holds(answer.status, answer.body)) return answer
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

// ----- what is watched -----

const observability = join(root, "examples/observability")

/** The expressions of the dashboard and of the rules. */
const expressions = (): ReadonlyArray<string> => {
  const dashboard = readFileSync(join(observability, "dashboard.json"), "utf8")
  const rules = readFileSync(join(observability, "alerts.yml"), "utf8")
  return [
    ...Array.from(dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g), ([, text]) => String(JSON.parse(text))),
    ...Array.from(rules.matchAll(/^ +expr: (?:>\n((?: {10,}.*\n)+)|(.*))/gm), ([, folded, plain]) => folded ?? plain)
  ]
}

/** The metrics that an expression names, each with the labels that it selects or groups by. */
const named = (expression: string): ReadonlyArray<readonly [name: string, labels: ReadonlyArray<string>]> => {
  const grouped = Array.from(expression.matchAll(/(?:by|on) \(([^)]*)\)/g), ([, labels]) => labels.split(/,\s*/)).flat()
  return Array.from(expression.matchAll(/\b((?:redis|db|hitless)_[a-z_]+)(?:\{([^}]*)\})?(?=[\s[)>]|$)/g), (match) =>
    [
      match[1],
      [
        ...Array.from((match[2] ?? "").matchAll(/(\w+)(?:=~?|!=)/g), ([, label]) => label),
        // Buckets are summed up by their bounds, which nothing else has.
        ...grouped.filter((label) => label !== "le" || match[1].endsWith("_bucket"))
      ]
    ] as const).filter(([name]) => !grouped.includes(name))
}

/** What a scrape has: the labels of each series, by the name of its samples. */
const scraped = (text: string): ReadonlyMap<string, ReadonlySet<string>> => {
  const found = new Map<string, Set<string>>()
  for (const [, name, labels] of text.matchAll(/^([a-z_]+)\{(.*)\} \S+$/gm)) {
    const known = found.get(name) ?? new Set<string>()
    for (const [, label] of labels.matchAll(/(\w+)="/g)) known.add(label)
    found.set(name, known)
  }
  return found
}

// One after the other: each is a process or two of its own.
describe("The examples", { concurrent: false, timeout: 60_000 }, () => {
  it("all have a command, and all commands are in their page and are run by the tests", () => {
    const commands = Object.keys(scripts).filter((name) => name.startsWith("example:"))
    const page = readFileSync(join(root, "examples/README.md"), "utf8")
    for (const command of commands) assert.include(page, `\`npm run ${command}\``)
    // `testing` is among the tests' own files, and `hours` is that of testing/determinism.test.ts a thousand times.
    const others = ["http-service", "metrics", "observability", "testing", "hours"]
    assert.sameMembers(commands, [...Object.keys(programs), ...others].map((name) => `example:${name}`))
  })

  for (const [example, lines] of Object.entries(programs)) {
    it.live(`do what they say: ${example}`, () =>
      Effect.gen(function*() {
        const found = yield* printed(example, yield* server)
        assert.lengthOf(found, lines.length, found.join("\n"))
        for (const [index, line] of lines.entries()) {
          if (typeof line === "string") assert.strictEqual(found[index], line)
          else assert.match(found[index], line)
        }
      }))
  }

  it.live("do what they say: http-service, which starts before its Redis does", () =>
    Effect.gen(function*() {
      const [port, redisPort] = [yield* freePort, yield* freePort]
      yield* start("http-service", { PORT: String(port), REDIS_URL: `redis://localhost:${redisPort}` })
      const at = (path: string) => `http://localhost:${port}${path}`

      const down = yield* Effect.promise(() => until(at("/health"), () => true))
      assert.strictEqual(down.status, 503)
      assert.strictEqual(JSON.parse(down.body).health, "down")
      assert.strictEqual((yield* Effect.promise(() => fetch(at("/visits/home")))).status, 503)

      yield* startRedis({ port: redisPort })
      const up = yield* Effect.promise(() => until(at("/health"), (status) => status === 200))
      assert.strictEqual(JSON.parse(up.body).health, "ok")
      const visits = yield* Effect.promise(() => fetch(at("/visits/home")).then((response) => response.json()))
      assert.deepStrictEqual(visits, { visits: 1 })
    }))

  it.live("do what they say: metrics", () =>
    Effect.gen(function*() {
      const lines = yield* printed("metrics", {})
      assert.include(lines, "Handoffs       18 succeeded (67 %), 9 failed (33 %)")
    }))

  it.live("do what they say: observability, whose dashboard and rules name only what is in a scrape", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* start("observability", { PORT: String(port) })
      // The first move is after two seconds, and the mistake is made at once.
      const { body } = yield* Effect.promise(() =>
        until(
          `http://localhost:${port}/metrics`,
          (_, body) => body.includes("hitless_handoff_duration_count") && body.includes("redis_client_errors{")
        )
      )
      const series = scraped(body)

      const all = expressions().flatMap(named)
      assert.isAtLeast(all.length, 30)
      for (const [name, labels] of all) {
        const known = series.get(name)
        assert.isDefined(known, `${name} is not in the scrape`)
        for (const label of labels) {
          // Prometheus adds the instance.
          if (label !== "instance") assert.isTrue(known?.has(label), `${name} has no label ${label}`)
        }
      }

      // And the other way round: what the client counts is shown.
      const shown = new Set(all.map(([name]) => name.replace(/_(?:bucket|count|sum)$/, "")))
      for (const metric of Object.values(Metrics)) {
        if (typeof metric !== "object" || !("id" in metric)) continue
        const name = String(metric.id).replaceAll(".", "_").replace(/_count$/, "")
        assert.isTrue(shown.has(name), `${name} is on no panel and in no rule`)
      }
      // Histograms can be summed up only where each bucket has those below it.
      const buckets = Array.from(
        body.matchAll(/^hitless_handoff_duration_bucket\{.*le="([^"]+)".*\} (\d+)$/gm),
        ([, , count]) => Number(count)
      )
      assert.deepStrictEqual(buckets, buckets.toSorted((one, other) => one - other))
      assert.isAtLeast(buckets.at(-1) ?? 0, 1)
    }))
})
