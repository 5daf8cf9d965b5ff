import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { frame } from "../src/cli/display.ts"
import { report, violations } from "../src/cli/report.ts"
import { phases, shortestRun } from "../src/cli/scenario.ts"
import {
  audit,
  buckets,
  CommandLog,
  count,
  failures,
  latency,
  type Mark,
  millis,
  percentile,
  type Run,
  summarize
} from "../src/cli/statistics.ts"
import { placeLabels, render } from "../src/cli/timeline.ts"
import type { Status } from "../src/HitlessRedis.ts"

type Sample = readonly [endedAt: number, took: number, reason?: string]

const logOf = (...samples: ReadonlyArray<Sample>): CommandLog => {
  const log = new CommandLog()
  for (const sample of samples) log.record(...sample)
  return log
}

const runOf = (mode: Run["mode"], samples: ReadonlyArray<Sample>, more: Partial<Run> = {}): Run => ({
  mode,
  length: 10_000,
  log: logOf(...samples),
  spans: [
    { name: "quiet", from: 0, to: 5000 },
    { name: "200 ms handshake", from: 5000, to: 10_000 }
  ],
  marks: [],
  audit: { counters: 2, acknowledged: 5, uncertain: 0, lost: 0, doubled: 0 },
  wrongReads: 0,
  ...more
})

describe("statistics", () => {
  it("takes percentiles by nearest rank", () => {
    const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert.deepStrictEqual([0.5, 0.9, 0.91, 1].map((share) => percentile(values, share)), [5, 9, 10, 10])
    assert.strictEqual(percentile([3], 0.001), 3)
    assert.isNaN(percentile([], 0.5))
    assert.deepStrictEqual(latency([30, 9, 100]), { p50: 30, p99: 100, p999: 100, max: 100 })
  })

  it("keeps every command, over more than one block", () => {
    const log = new CommandLog()
    const total = 70_000
    for (let index = 0; index < total; index++) log.record(index, 0.5, index === 66_000 ? "ConnectionLost" : undefined)
    assert.strictEqual(log.length, total)
    assert.strictEqual(log.failed, 1)
    assert.deepStrictEqual(log.at(66_000), {
      startedAt: 65_999.5,
      endedAt: 66_000,
      took: 0.5,
      reason: "ConnectionLost"
    })
    assert.deepStrictEqual([...log.entries(total - 2)].map(({ endedAt }) => endedAt), [total - 2, total - 1])
  })

  it("counts a command where it was called and measures answered ones only", () => {
    const log = logOf([90, 10], [100, 20], [210, 120], [700, 500, "CommandTimeout"])
    const summary = summarize(log, { name: "first", from: 0, to: 100 })
    assert.deepInclude(summary, { commands: 3, failed: 0, p50: 20, max: 120 })
    assert.deepInclude(summarize(log, { name: "second", from: 100, to: 800 }), { commands: 1, failed: 1 })
    assert.isNaN(summarize(log, { name: "second", from: 100, to: 800 }).p99)
  })

  it("finds the longest gap inside a span, at its edges too, and takes a failure for no reply", () => {
    const log = logOf([40, 1], [60, 1, "ConnectionLost"], [90, 1], [95, 1], [300, 1])
    const gap = (from: number, to: number) => summarize(log, { name: "", from, to }).longestGap
    assert.strictEqual(gap(30, 96), 50)
    assert.strictEqual(gap(0, 50), 40)
    assert.strictEqual(gap(85, 200), 105)
    assert.strictEqual(gap(400, 450), 50)
  })

  it("counts failures by reason, the most frequent first", () => {
    const log = logOf([1, 1, "ConnectionLost"], [2, 1, "CommandTimeout"], [3, 1], [4, 1, "CommandTimeout"])
    assert.deepStrictEqual(failures(log), [["CommandTimeout", 2], ["ConnectionLost", 1]])
  })

  it("cuts the log into buckets by the time of the call and leaves empty ones out", () => {
    const log = logOf([10, 5], [49, 9], [260, 200], [400, 195, "CommandTimeout"])
    assert.deepStrictEqual(buckets(log, 50), [
      { from: 0, p50: 5, max: 9, failed: 0, failedAfter: 0 },
      { from: 50, p50: 200, max: 200, failed: 0, failedAfter: 0 },
      { from: 200, p50: NaN, max: NaN, failed: 1, failedAfter: 195 }
    ])
  })

  it("finds lost and doubled increments, and forgives those that may have run", () => {
    const counters = new Map([
      ["exact", { acknowledged: 5, uncertain: 0 }],
      ["lost", { acknowledged: 5, uncertain: 1 }],
      ["doubled", { acknowledged: 5, uncertain: 1 }],
      ["uncertain", { acknowledged: 5, uncertain: 2 }]
    ])
    const stored: Record<string, number> = { exact: 5, lost: 3, doubled: 9, uncertain: 6 }
    assert.deepStrictEqual(audit(counters, (key) => stored[key]), {
      counters: 4,
      acknowledged: 20,
      uncertain: 4,
      lost: 2,
      doubled: 3
    })
  })

  it("writes numbers short", () => {
    assert.deepStrictEqual([0.444, 12.34, 812.6, NaN].map(millis), ["0.44", "12.3", "813", "–"])
    assert.strictEqual(count(1_234_567), "1,234,567")
  })
})

describe("scenario", () => {
  it("fills the time that the upgrade leaves with quiet", () => {
    const lengthOf = (seconds: number) => phases(seconds).reduce((sum, { length }) => sum + length, 0)
    assert.closeTo(lengthOf(12), 12_000, 1)
    assert.closeTo(lengthOf(shortestRun), shortestRun * 1000, 1)
    assert.isAtLeast(phases(shortestRun).find(({ name }) => name === "quiet")!.length, 500)
  })
})

describe("report", () => {
  const enabled = runOf("enabled", [[10, 1], [6000, 2]])
  const disabled = runOf("disabled", [[10, 1], [6000, 2, "CommandTimeout"]], {
    audit: { counters: 2, acknowledged: 4, uncertain: 1, lost: 0, doubled: 0 }
  })

  it("shows both runs side by side within 100 columns", () => {
    const lines = report([enabled, disabled], "a simulated keyspace")
    for (const line of lines) assert.isAtMost(line.length, 100, line)
    assert.strictEqual(lines[0].length, 100)
    const row = lines.find((line) => line.startsWith("200 ms handshake"))!
    assert.match(row, /^200 ms handshake\s+1\s+0\s+2\.00 .*\s1\s+1\s+–\s+–/)
    assert.isTrue(lines.some((line) => /^ {2}CommandTimeout\s+0\s+1$/.test(line)))
    assert.isTrue(lines.some((line) => /^failed increments that may have run\s+0\s+1$/.test(line)))
  })

  it("shows the slow handshake against the quiet time, for both", () => {
    const lines = report([enabled, disabled], "a simulated keyspace")
    const rows = lines.filter((line) => /^(enabled|disabled), /.test(line))
    assert.deepStrictEqual(rows.map((row) => row.split(/ {2,}/)), [
      ["enabled, quiet", "1.00 ms", "4990 ms"],
      ["enabled, 200 ms handshake", "2.00 ms", "4000 ms"],
      ["disabled, quiet", "1.00 ms", "4990 ms"],
      ["disabled, 200 ms handshake", "– ms", "5000 ms"]
    ])
  })

  it("takes anything failed, lost, doubled or wrongly read for a violation", () => {
    assert.deepStrictEqual(violations(enabled), [])
    assert.deepStrictEqual(violations(disabled), ["1 failed"])
    assert.deepStrictEqual(
      violations(runOf("enabled", [], {
        audit: { counters: 1, acknowledged: 9, uncertain: 0, lost: 2, doubled: 3 },
        wrongReads: 4
      })),
      ["2 increments lost", "3 increments doubled", "4 wrong reads"]
    )
  })
})

describe("display", () => {
  it("looks at phase, rate, failures, latency, slots and the last events", () => {
    const log = logOf([100, 1], [200, 3], [300, 9, "CommandTimeout"])
    const slot = (state: Status["slots"][number]["state"], index: number) => ({
      index,
      state,
      endpoint: undefined,
      target: undefined,
      load: 0
    })
    const status: Status = {
      health: "maintenance",
      mode: "enabled",
      protocol: 3,
      endpoints: [],
      slots: [slot("Serving", 0), slot("Moving", 1), slot("Empty", 2), slot("Empty", 3)],
      leases: [],
      subscribers: [],
      caches: [],
      draining: 1,
      pending: 0,
      windows: [],
      lastHandoff: undefined
    }
    const marks: ReadonlyArray<Mark> = [
      { kind: "phase", at: 0, label: "moving: node-1 is left for node-2" },
      ...[5, 1, 2, 3, 4].map((at): Mark => ({ kind: "announced", at: at * 100, label: `MOVING ${at}` }))
    ]
    const view = {
      mode: "enabled",
      length: 12_000,
      elapsed: () => 6000,
      log,
      marks,
      status: Effect.succeed(status)
    } as const
    assert.deepStrictEqual(frame(view, status, [...log.entries()], 250), [
      `maintenance enabled  ${"█".repeat(15)}${"░".repeat(15)}   6.0 s of 12 s`,
      "phase     moving: node-1 is left for node-2",
      "commands  12/s, 1 failed",
      "latency   p50 1.00 ms, p99 3.00 ms, max 3.00 ms",
      "slots     1 serving · 1 moving · 0 reconnecting · 2 empty · 1 draining, health maintenance",
      "  0.2 s    announced: MOVING 2",
      "  0.3 s    announced: MOVING 3",
      "  0.4 s    announced: MOVING 4",
      "  0.5 s    announced: MOVING 5"
    ])
  })
})

/** The names of all elements, after checking that each is closed in its turn and that text and values are escaped. */
const elementsOf = (xml: string): ReadonlyArray<string> => {
  const names: Array<string> = []
  const open: Array<string> = []
  const rest = xml.replace(
    /<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<>]*")*)(\/?)>/g,
    (_, end, name, _attributes, empty) => {
      if (end === "/") assert.strictEqual(open.pop(), name)
      else {
        names.push(name)
        if (empty === "") open.push(name)
      }
      return ""
    }
  )
  assert.deepStrictEqual(open, [])
  assert.notMatch(rest, /[<>]/)
  assert.notMatch(xml.replace(/&(amp|lt|gt|quot);/g, ""), /&/)
  return names
}

describe("timeline", () => {
  const marks: ReadonlyArray<Mark> = [
    { kind: "phase", at: 0, label: "quiet: nothing happens" },
    { kind: "announced", at: 5000, label: "MOVING <\"7\" & more>" },
    { kind: "handoff", at: 5200, label: "handed off to node-2, 200 ms", took: 200 },
    { kind: "deployment", at: 6000, label: "node-1 retires, closes 0", cuts: 0 },
    { kind: "deployment", at: 7000, label: "node-2 stalls 1000 ms", lasts: 1000 }
  ]
  const enabled = runOf("enabled", [[10, 1], [6000, 2]], { marks })
  const disabled = runOf("disabled", [[10, 1], [5500, 500, "CommandTimeout"], [8000, 3, "ConnectionLost"]], {
    marks: [
      { kind: "unheard", at: 5000, label: "MOVING 7" },
      { kind: "deployment", at: 5000, label: "node-2 stalls 1000 ms", lasts: 1000 },
      { kind: "deployment", at: 8000, label: "node-1 retires, closes 3", cuts: 3 }
    ]
  })
  const svg = render([enabled, disabled], "Runs & more.")

  it("is well-formed and needs nothing from outside", () => {
    const names = elementsOf(svg)
    assert.strictEqual(names[0], "svg")
    assert.notInclude(names, "script")
    assert.notMatch(svg.replace("xmlns=\"http://www.w3.org/2000/svg\"", ""), /https?:|href|url\(/)
  })

  it("marks failures, announcements, handoffs, nodes and phases", () => {
    assert.strictEqual(elementsOf(svg).filter((name) => name === "circle").length, 2)
    assert.include(svg, "1 failed at 5.00 s")
    assert.include(svg, ">MOVING &lt;&quot;7&quot; &amp; more&gt;<")
    assert.include(svg, ">handed off to node-2, 200 ms<")
    assert.include(svg, ">node-1 retires, closes 0<")
    assert.include(svg, ">MOVING 7<")
    assert.strictEqual(svg.split(">200 ms handshake<").length, 3)
  })

  it("says in large how many failed, and of how many", () => {
    assert.include(svg, "class=\"number handoff\">0<")
    assert.include(svg, ">of 2 commands failed, maintenance enabled<")
    assert.include(svg, "class=\"number failed\">2<")
    assert.include(svg, ">of 3 commands failed, maintenance disabled<")
  })

  it("says in both panels what the server's stall is, and what the client made of it", () => {
    assert.strictEqual(svg.split(">the server's stall, 1000 ms<").length, 3)
    assert.strictEqual(svg.split(">waits, nothing fails<").length, 2)
    assert.strictEqual(svg.split(">gives up on 1<").length, 2)
    assert.strictEqual(svg.split(">is cut off, 2 failed<").length, 2)
  })

  it("has its own background, on a light page and on a dark one", () => {
    const [light, dark] = svg.split("@media(prefers-color-scheme:dark)")
    assert.include(svg, "class=\"page\"")
    for (const style of [light, dark]) {
      for (const name of ["page", "ink", "failed", "handoff", "deployment"]) {
        assert.match(style, new RegExp(`\\.${name}\\{fill:#[0-9a-f]{6}\\}`))
      }
    }
  })

  it("gives both panels the same time axis", () => {
    const seconds = [...svg.matchAll(/x="([\d.]+)"[^>]*>(\d+) s</g)].map(([_, x, second]) => `${second}@${x}`)
    assert.strictEqual(seconds.length, 22)
    assert.deepStrictEqual(seconds.slice(0, 11), seconds.slice(11))
  })

  it("puts labels that would overlap into rows of their own, and keeps them inside", () => {
    const at = (x: number, label: string, from = x) => ({ label, x, from })
    const placed = placeLabels(
      [at(0, "0123456789"), at(10, "a"), at(30, "b"), at(200, "cccc"), at(290, "0123456789")],
      300
    )
    assert.deepStrictEqual(placed.map(({ anchor, row }) => [row, anchor]), [
      [0, "start"],
      [1, "start"],
      [1, "start"],
      [0, "start"],
      [1, "end"]
    ])
    assert.deepStrictEqual(placeLabels([at(0, "a"), at(40, "b", 10)], 300).map(({ row }) => row), [0, 1])
  })
})

// ----- the command itself -----

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url))

const hitless = (...args: ReadonlyArray<string>): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const child = execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
    })
    return Effect.sync(() => child.kill())
  })

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "hitless-cli-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("hitless", () => {
  it.live(
    "says in one line what is wrong with a command line, and what was probably meant",
    () =>
      Effect.gen(function*() {
        const expectations: ReadonlyArray<readonly [args: ReadonlyArray<string>, words: string]> = [
          [["demo", "--seconds", "3"], `at least ${shortestRun}`],
          [["demo", "--seconds", "many"], "Invalid value for flag --seconds: \"many\""],
          [["demo", "--seconds"], "Missing value for flag --seconds"],
          [
            ["demo", "--upstream", "http://localhost"],
            "--upstream must start with redis://, rediss://, valkey://, valkeys://, tcp:// or unix://"
          ],
          [["demo", "--secnds", "9"], "there is no flag --secnds (did you mean --seconds?); see hitless demo --help"],
          [["demo", "--secnds", "9", "--sed", "2"], "there is no flag --sed (did you mean --seed?)"],
          [["demo", "extra"], "Unexpected positional argument: \"extra\""],
          [["simualte"], "hitless: there is no command simualte (did you mean simulate?); see hitless --help"],
          [["upgrade\n\x1b[31m"], "there is no command upgrade; ?[31m; there are demo, simulate"],
          [["simulate", "--maintenance", "maybe"], "\"supported\" | \"unsupported\" | \"disabled\""]
        ]
        for (const [args, words] of expectations) {
          const { code, stderr, stdout } = yield* hitless(...args)
          assert.match(stderr, /^hitless[^\n]+\n$/)
          assert.include(stderr, words)
          assert.strictEqual(stdout, "")
          assert.strictEqual(code, 2)
        }
      }),
    60_000
  )

  it.live("says in one line what it cannot do", () =>
    Effect.gen(function*() {
      const expectations = [
        [["demo", "--upstream", "redis://127.0.0.1:1"], "--upstream: Could not connect to 127.0.0.1:1"],
        [["demo", "--svg", "/nowhere/x.svg"], "--svg: nothing can be written to /nowhere"],
        [["simulate", "--nodes", "0"], "--nodes must be a number from 1 to 100, or names"]
      ] as const
      for (const [args, words] of expectations) {
        const { code, stderr } = yield* hitless(...args)
        assert.match(stderr, /^hitless: [^\n]+\n$/)
        assert.include(stderr, words)
        assert.strictEqual(code, 1)
      }
    }), 60_000)

  it.live("teaches with --help", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* hitless("demo", "--help")
      assert.strictEqual(code, 0)
      for (const flag of ["--seconds", "--seed", "--upstream", "--svg"]) assert.include(stdout, flag)
    }), 60_000)

  it.live(
    "gets through a rolling upgrade with nothing failed, lost or doubled, and shows what happens without",
    () =>
      Effect.gen(function*() {
        const svg = join(yield* folder, "timeline.svg")
        const { code, stderr, stdout } = yield* hitless("demo", "--seconds", String(shortestRun), "--svg", svg)
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0, stdout)
        assert.match(stdout, /maintenance enabled: [\d,]+ commands, none failed, none lost, none doubled/)
        // While a shard stalls the client may open a second connection, which is handed off too.
        assert.strictEqual(new Set(stdout.match(/client: handed off to node-[123]/g)).size, 3)
        assert.match(stdout, /\nfailed +0 +[1-9]/)
        assert.match(stdout, /\nlost: acknowledged and not stored +0 /)
        assert.match(stdout, /\ndoubled: stored and never asked for +0 /)
        assert.include(stdout, `Timeline: ${svg}`)
        assert.include(elementsOf(readFileSync(svg, "utf8")), "circle")
      }),
    120_000
  )
})
