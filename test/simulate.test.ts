import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFile, spawn } from "node:child_process"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { createClient } from "redis"
import { type Message, simulate, type SimulateOptions } from "../src/cli/simulate.ts"
import * as Config from "../src/Config.ts"
import * as NodeTransport from "../src/node/NodeTransport.ts"
import type { Entry } from "../src/testing/Timeline.ts"

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url))

// A process starts within a second; a machine that runs all tests at once can take ten times that.
const timeout = 60_000

// ----- the command -----

type Line = Message | Extract<Entry, { _tag: "Deployment" | "Named" }>
type Listening = Extract<Message, { _tag: "Listening" }>

/** What the command prints. */
class Output {
  readonly lines: Array<Line> = []
  /** What is no line of JSON. */
  words = ""
  stderr = ""
  private readonly waiting = new Set<() => void>()

  readonly take = (text: string): void => {
    if (text.startsWith("{")) this.lines.push(JSON.parse(text))
    else this.words += `${text}\n`
    for (const look of this.waiting) look()
  }

  line(is: (line: Line) => boolean): Effect.Effect<Line> {
    return this.until(() => this.lines.find(is))
  }

  until<A>(find: () => A | undefined): Effect.Effect<A> {
    return Effect.callback((resume) => {
      const look = () => {
        const found = find()
        if (found !== undefined) resume(Effect.succeed(found))
      }
      this.waiting.add(look)
      look()
      return Effect.sync(() => this.waiting.delete(look))
    })
  }

  /** The tags of the events so far. */
  get events(): ReadonlyArray<string> {
    return this.lines.flatMap((line) => line._tag === "Deployment" ? [line.event._tag] : [])
  }
}

interface Running {
  readonly output: Output
  readonly listening: Listening
}

const isListening = (line: Line): line is Listening => line._tag === "Listening"

const listens = (output: Output): Effect.Effect<Listening> => output.until(() => output.lines.find(isListening))

const anyPorts = ["--port", "0", "--control-port", "0"]

interface Process extends Running {
  /** Ends it by a signal and returns its exit code. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<number | null>
}

/** Starts the command as a process of its own, on free ports. */
const started = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Pick<Process, "output" | "end"> & { readonly failed: Effect.Effect<never> }, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [main, "simulate", ...anyPorts, ...args], {
          env: { ...process.env, ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) =>
        Effect.promise(async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          child.kill("SIGKILL")
          await once(child, "exit")
        })
    )
    const output = new Output()
    const exited = once(child, "exit")
    createInterface({ input: child.stdout }).on("line", output.take)
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    return {
      output,
      failed: Effect.flatMap(Effect.promise(() => exited), () => Effect.die(new Error(output.stderr))),
      end: (signal) =>
        Effect.promise(async () => {
          child.kill(signal)
          const [code] = await exited
          return code
        })
    }
  })

/** Starts the command as a process of its own, and returns when it listens. */
const simulator = (
  args: ReadonlyArray<string>,
  env?: Readonly<Record<string, string>>
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { end, failed, output } = yield* started([...args, "--json"], env)
    const listening = yield* Effect.raceFirst(listens(output), failed)
    return { output, listening, end }
  })

/** What the command is told on a command line without flags, but for the ports. */
const told: SimulateOptions = {
  nodes: undefined,
  host: "127.0.0.1",
  port: 0,
  controlPort: 0,
  plan: undefined,
  builder: undefined,
  repeat: undefined,
  startAfter: undefined,
  maintenance: "supported",
  redisVersion: "8.0",
  password: undefined,
  upstream: undefined,
  json: true
}

/** Runs the command in this process, which saves starting one. */
const run = (output: Output, options: Partial<SimulateOptions>) =>
  simulate({ ...told, ...options }).pipe(
    Effect.provideService(
      Console.Console,
      Object.assign(Object.create(globalThis.console), {
        log: output.take,
        error: (text: string) => {
          output.stderr += text
        }
      })
    ),
    Effect.provide(NodeTransport.layer)
  )

/** Starts the command in this process, and returns when it listens. */
const simulated = (options: Partial<SimulateOptions>) =>
  Effect.gen(function*() {
    const output = new Output()
    const running = yield* Effect.forkScoped(run(output, options))
    const listening = yield* Effect.raceFirst(listens(output), Fiber.join(running))
    return { output, listening } satisfies Running
  })

/** The words with which it refuses to run. */
const refused = (options: Partial<SimulateOptions>): Effect.Effect<string> =>
  run(new Output(), options).pipe(
    Effect.flip,
    Effect.map(({ userMessage }) => userMessage ?? "")
  )

const upstreamAt = (url: string) =>
  Effect.map(Config.decode({ url: Redacted.make(url) }), (config) => ({ url: Redacted.make(url), config }))

const portOf = (address: string): number => Number(address.split(":").at(-1))

// ----- its control API -----

interface Answer {
  readonly status: number
  readonly text: string
}

/** `fetch` cannot set a Host. */
const ask = (
  { listening }: Running,
  method: string,
  path: string,
  body?: string,
  headers: Readonly<Record<string, string>> = { "content-type": "application/json" }
): Effect.Effect<Answer> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      request(`${listening.control}${path}`, { method, headers, agent: false }, (response) => {
        let text = ""
        response.setEncoding("utf8")
          .on("data", (part: string) => {
            text += part
          })
          .on("end", () => resolve({ status: response.statusCode!, text }))
      }).on("error", reject).end(body)
    })
  )

const get = <A>(running: Running, path: string): Effect.Effect<A> =>
  Effect.map(ask(running, "GET", path), ({ status, text }) => {
    assert.strictEqual(status, 200, text)
    return JSON.parse(text) as A
  })

const post = (running: Running, path: string, body: object): Effect.Effect<unknown> =>
  Effect.map(ask(running, "POST", path, JSON.stringify(body)), ({ status, text }) => {
    assert.strictEqual(status, 200, text)
    return JSON.parse(text)
  })

interface Nodes {
  readonly nodes: ReadonlyArray<{ readonly name: string; readonly address: string; readonly connections: number }>
}

const connections = (running: Running): Effect.Effect<ReadonlyArray<number>> =>
  Effect.map(get<Nodes>(running, "/nodes"), ({ nodes }) => nodes.map(({ connections }) => connections))

// ----- clients -----

type NodeRedis = ReturnType<typeof createClient>

/** A client that tries to connect, and tells of failures to nobody. */
const nodeRedis = (options: Parameters<typeof createClient>[0]): Effect.Effect<NodeRedis, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => createClient(options).on("error", () => {}) as NodeRedis),
    (client) => Effect.sync(() => client.isOpen && client.destroy())
  ).pipe(Effect.tap((client) => Effect.promise(() => client.connect())))

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "hitless-simulate-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Dies when the port is in use. */
const listenOn = (port: number): Effect.Effect<Server> =>
  Effect.promise(async () => {
    const server = createServer().listen(port, "127.0.0.1")
    await once(server, "listening")
    return server
  })

const close = (server: Server): Effect.Effect<void> =>
  Effect.promise(async () => {
    server.close()
    await once(server, "close")
  })

/** The first of so many free ports that follow each other. */
const freePorts = (count: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    const first = yield* listenOn(0)
    const { port } = first.address() as AddressInfo
    const others = yield* Effect.forEach(
      Array.from({ length: count - 1 }, (_, index) => port + 1 + index),
      (port) => Effect.exit(listenOn(port))
    )
    const taken = [first, ...others.flatMap((other) => Exit.isSuccess(other) ? [other.value] : [])]
    yield* Effect.forEach(taken, close)
    return taken.length === count ? port : yield* freePorts(count)
  })

/** Waits until it holds; what it looks at is on its way. */
const until = (holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.flatMap(holds, (done) => done ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(holds)))
  )

describe("hitless simulate", () => {
  it.live("teaches with --help", () =>
    Effect.callback<string>((resume) => {
      execFile(process.execPath, [main, "simulate", "--help"], (_, stdout) => resume(Effect.succeed(stdout)))
    }).pipe(Effect.map((help) => {
      const flags = ["nodes", "port", "host", "control-port", "plan", "builder", "repeat", "start-after", "maintenance"]
      for (const flag of [...flags, "redis-version", "password", "upstream", "json"]) assert.include(help, `--${flag} `)
      for (const example of ["redis-cli -3", "createClient(", "curl http", "/timeline?text"]) {
        assert.include(help, example)
      }
    })), timeout)

  it.live("says what is wrong with a flag", () =>
    Effect.gen(function*() {
      const expectations = [
        [["--port", "70000"], "a port, from 0 to 65535"],
        [["--plan", "/nowhere.json"], "File does not exist: /nowhere.json"],
        [["--builder", "upgrade"], "--builder"],
        [["--repeat", "0"], "at least 1"],
        [["--maintenance", "maybe"], "--maintenance"],
        [["--redis-version", "7.2"], "--redis-version"],
        [
          ["--upstream", "http://localhost"],
          "--upstream must start with redis://, rediss://, valkey://, valkeys://, tcp:// or unix://"
        ],
        [["--jsn"], "--jsn"]
      ] as const
      for (const [args, words] of expectations) {
        const { code, stderr } = yield* Effect.callback<{ readonly code: unknown; readonly stderr: string }>(
          (resume) => {
            execFile(
              process.execPath,
              [main, "simulate", ...args],
              (error, _, stderr) => resume(Effect.succeed({ code: error?.code, stderr }))
            )
          }
        )
        assert.include(stderr, words)
        assert.strictEqual(code, 2)
      }
    }), timeout)

  it.live("says what does not go together, by the name of the flag", () =>
    Effect.gen(function*() {
      const broken = JSON.stringify({ nodes: ["a"], steps: [{ step: "moving", at: 0, node: "a", target: "b" }] })
      const plan = JSON.stringify({ nodes: ["a", "b"], steps: [{ step: "kill", at: 0, node: "a" }] })
      const upstream = yield* upstreamAt("redis://127.0.0.1:1")
      const { listening: { control, nodes: { taken } } } = yield* simulated({ nodes: "taken" })
      const builder = "failover"
      const expectations: ReadonlyArray<readonly [Partial<SimulateOptions>, string]> = [
        [{ nodes: "0" }, "--nodes must be a number from 1 to 100, or names"],
        [{ nodes: "a,a" }, "--nodes: must be at least one name, each of 1 to 253 visible characters and there once"],
        [{ nodes: "a,c", plan }, "--nodes: Invalid maintenance plan:\n- nodes: the deployment has no node \"b\""],
        [{ port: 65_534 }, "--port: 3 nodes need the ports up to 65536"],
        [{ nodes: "1", port: portOf(taken) }, `--port: listen EADDRINUSE: address already in use ${taken}`],
        [{ controlPort: portOf(control) }, "--control-port: listen EADDRINUSE: address already in use 127.0.0.1:"],
        [{ host: "0.0.0.0" }, "--host must be an address that clients can dial"],
        [{ host: "203.0.113.1" }, "--host: listen EADDRNOTAVAIL"],
        [{ plan: broken }, "steps[0] (moving, at 0), time: must be a duration"],
        [{ plan: "{" }, "--plan: Invalid maintenance plan:\n- plan: must be JSON"],
        [{ plan, builder }, "--plan and --builder cannot both be given"],
        [{ builder: "rebind", nodes: "1" }, "--builder rebind needs at least two nodes"],
        [{ builder, repeat: 1_000_000 }, "--repeat: the plan would be too long"],
        [{ repeat: 2 }, "--repeat needs --plan or --builder"],
        [{ startAfter: "1 second" }, "--start-after needs --plan or --builder"],
        [{ builder, startAfter: "soon" }, "--start-after must be a duration such as \"10 seconds\""],
        [{ upstream }, "--upstream: Could not connect to 127.0.0.1:1"],
        [{ upstream, password: Redacted.make("x") }, "--password and --upstream cannot both be given"]
      ]
      for (const [options, words] of expectations) assert.include(yield* refused(options), words)
    }), timeout)

  it.live("gives the nodes consecutive ports", () =>
    Effect.gen(function*() {
      const port = yield* freePorts(2)
      const { listening } = yield* simulated({ nodes: "a,b", port })
      assert.deepStrictEqual(listening.nodes, { a: `127.0.0.1:${port}`, b: `127.0.0.1:${port + 1}` })
    }), timeout)

  it.live("keeps the port of a node that refuses connections, also a free one", () =>
    Effect.gen(function*() {
      const running = yield* simulated({ nodes: "a" })
      yield* post(running, "/steps", { step: "refuse", node: "a" })
      yield* post(running, "/steps", { step: "accept", node: "a" })
      const client = yield* nodeRedis({ url: `redis://${running.listening.nodes.a}` })
      assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
    }), timeout)

  it.live("says why a step could not be performed", () =>
    Effect.gen(function*() {
      const running = yield* simulated({ nodes: "a" })
      yield* post(running, "/steps", { step: "refuse", node: "a" })
      const port = portOf(running.listening.nodes.a)
      yield* Effect.acquireRelease(listenOn(port), close)
      const { status, text } = yield* ask(running, "POST", "/steps", JSON.stringify({ step: "accept", node: "a" }))
      assert.strictEqual(status, 500)
      assert.include(text, "a accepts new connections again: ")
    }), timeout)

  it.live("goes through a plan, and prints each event as JSON or in words", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "plan.json")
      const plan = {
        nodes: ["a", "b"],
        steps: [
          { step: "migrating", at: 0, node: "a", time: "1 second" },
          { step: "dns", at: 10, name: "redis.test", target: "b" },
          { step: "kill", at: 20, node: "b" }
        ],
        duration: 30
      }
      writeFileSync(path, JSON.stringify(plan))
      const args = ["--plan", path, "--repeat", "2", "--start-after", "100 millis"]
      const running = yield* simulator(args)
      const { lines } = running.output
      assert.deepStrictEqual(running.listening.plan, { steps: 6, begins: 100, ends: 160 })
      yield* running.output.line(({ _tag }) => _tag === "PlanEnded")
      const pass = (seq: number) => [
        { _tag: "Deployment", node: "a", event: { _tag: "Announced", push: "MIGRATING", seq, connections: 0 } },
        { _tag: "Named", name: "redis.test", node: "b" },
        { _tag: "Deployment", node: "b", event: { _tag: "Killed", connections: 0 } }
      ]
      assert.deepStrictEqual<unknown>(
        lines.slice(1).map(({ at: _, ...line }) => line),
        [...pass(1), ...pass(2), { _tag: "PlanEnded" }]
      )
      const { entries } = yield* get<{ readonly entries: ReadonlyArray<unknown> }>(running, "/timeline")
      assert.deepStrictEqual<ReadonlyArray<unknown>>(entries, lines.slice(1, -1))
      const { text } = yield* ask(running, "GET", "/timeline?text")
      assert.match(
        text,
        /^0:00:0\d\.\d{3} {2}a {11}announces MIGRATING 1 to 0 connections\n.* {2}redis\.test {2}leads to b\n/
      )

      const { end, output } = yield* started(args)
      yield* output.until(() => output.words.includes("is over") ? true : undefined)
      yield* end("SIGTERM")
      assert.match(
        output.words,
        /^a {11}redis:\/\/127\.0\.0\.1:\d+\nb .*\nhttp {8}http:\/\/127.*\nplan {8}6 steps from 100ms on/
      )
      assert.match(output.words, /a {11}announces MIGRATING 2 to 0 connections\n(.*\n)+.*plan {8}is over\n$/)
    }), timeout)

  it.live("makes the builders' plans for its nodes", () =>
    Effect.gen(function*() {
      const steps = {
        "rolling-upgrade": 8,
        failover: 3,
        "in-place-upgrade": 10,
        rebind: 2,
        "silent-failure": 4
      } as const
      for (const builder of Object.keys(steps) as Array<keyof typeof steps>) {
        const { listening, output } = yield* simulated({ builder, nodes: "x,y", startAfter: "1 milli" })
        assert.strictEqual(listening.plan?.steps, steps[builder])
        const first = yield* output.line(({ _tag }) => _tag === "Deployment")
        assert.strictEqual(first._tag === "Deployment" && first.node, "x")
      }
    }), timeout)

  it.live("ends by a signal and leaves no port, whoever is connected", () =>
    Effect.gen(function*() {
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        const { end, listening, output } = yield* simulator(["--nodes", "1", "--builder", "failover"])
        const ports = [portOf(listening.nodes["node-1"]), portOf(listening.control)]
        const sockets = yield* Effect.forEach(ports, (port) =>
          Effect.acquireRelease(
            Effect.promise(async (): Promise<Socket> => {
              const socket = connect(port, "127.0.0.1").on("error", () => {})
              await once(socket, "connect")
              return socket
            }),
            (socket) => Effect.sync(() => socket.destroy())
          ))
        sockets[1].write("POST /kill HT")
        yield* output.line((line) => line._tag === "Deployment" && line.event._tag === "Accepted")
        assert.strictEqual(yield* end(signal), 130)
        assert.strictEqual(output.stderr, "")
        yield* Effect.forEach(ports, (port) => Effect.flatMap(listenOn(port), close))
      }
    }), timeout)

  it.live("says so when it can be reached from outside", () =>
    Effect.gen(function*() {
      // A machine without a network has no outside.
      const outside = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
        .filter(({ family, internal }) => family === "IPv4" && !internal)
      for (const { address: host } of outside) {
        const running = yield* simulated({ host, nodes: "1" })
        assert.include(running.output.stderr, "reachable from outside this machine; the nodes and control API are open")
        assert.strictEqual(running.listening.nodes["node-1"].split(":")[0], host)
        assert.strictEqual((yield* ask(running, "GET", "/nodes")).status, 200)
        assert.strictEqual((yield* ask(running, "GET", "/nodes", undefined, { host: "203.0.113.1" })).status, 403)
      }
      assert.strictEqual((yield* simulated({})).output.stderr, "")
    }), timeout)

  it.live("asks for a password when it has one, and never shows it", () =>
    Effect.gen(function*() {
      const running = yield* simulator(["--nodes", "1"], { HITLESS_PASSWORD: "sesame-7" })
      const url = `redis://${running.listening.nodes["node-1"]}`
      const stranger = createClient({ url, RESP: 3, socket: { reconnectStrategy: false } }).on("error", () => {})
      const answer = yield* Effect.promise(() => stranger.connect().catch((error: Error) => error.message))
      assert.include(answer, "NOAUTH")
      const client = yield* nodeRedis({ url, password: "sesame-7" })
      assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
      const { text } = yield* ask(running, "GET", "/timeline")
      assert.notInclude(JSON.stringify(running.output) + text, "sesame")
    }), timeout)

  it.live("answers who asks for notifications as it was told", () =>
    Effect.gen(function*() {
      for (const [maintenance, words] of [["unsupported", "unknown subcommand"], ["disabled", "disabled"]] as const) {
        const { listening } = yield* simulated({ maintenance, nodes: "1" })
        const client = yield* nodeRedis({ url: `redis://${listening.nodes["node-1"]}` })
        const answer = yield* Effect.promise(() =>
          client.sendCommand(["CLIENT", "MAINT_NOTIFICATIONS", "ON"]).catch((error: Error) => error.message)
        )
        assert.include(String(answer), words)
      }
    }), timeout)

  it.live("answers as the Redis that it was told to be", () =>
    Effect.gen(function*() {
      for (const [redisVersion, score] of [["7.0", "0.10000000000000001"], ["8.0", "0.1"]] as const) {
        const { listening } = yield* simulated({ redisVersion, nodes: "1" })
        const client = yield* nodeRedis({ url: `redis://${listening.nodes["node-1"]}`, RESP: 2 })
        yield* Effect.promise(() => client.zAdd("z", { value: "m", score: 0.1 }))
        assert.strictEqual(String(yield* Effect.promise(() => client.sendCommand(["ZSCORE", "z", "m"]))), score)
        assert.include(yield* Effect.promise(() => client.info()), `redis_version:${redisVersion}.`)
      }
    }), timeout)

  it.live("stands in front of an upstream, which executes the commands", () =>
    Effect.gen(function*() {
      const behind = yield* simulated({ nodes: "1" })
      const url = `redis://${behind.listening.nodes["node-1"]}`
      const front = yield* simulated({ nodes: "1", upstream: yield* upstreamAt(url) })
      const client = yield* nodeRedis({
        url: `redis://${front.listening.nodes["node-1"]}`,
        RESP: 3,
        maintNotifications: "enabled"
      })
      const direct = yield* nodeRedis({ url })
      yield* Effect.promise(() => client.set("key", "value"))
      assert.strictEqual(yield* Effect.promise(() => direct.get("key")), "value")
      assert.include(front.output.events, "OptedIn")
    }), timeout)

  describe("control API", () => {
    it.live("tells what there is", () =>
      Effect.gen(function*() {
        const running = yield* simulated({ nodes: "2" })
        const { endpoints } = yield* get<
          {
            readonly endpoints: ReadonlyArray<
              { readonly method: string; readonly path: string; readonly example?: object }
            >
          }
        >(running, "/")
        assert.deepStrictEqual(endpoints.map(({ method, path }) => `${method} ${path}`), [
          "GET /",
          "GET /nodes",
          "GET /timeline",
          "POST /push",
          "POST /move",
          "POST /kill",
          "POST /steps"
        ])
        // What it shows as examples works.
        for (const { example, method, path } of endpoints) {
          if (method === "POST") yield* post(running, path, example!)
          else assert.strictEqual((yield* ask(running, "GET", path)).status, 200)
        }
        assert.deepStrictEqual(
          running.output.events,
          ["Pushed", "Announced", "Killed", "Stalled"]
        )
        const { nodes } = yield* get<Nodes>(running, "/nodes")
        assert.deepStrictEqual(
          nodes,
          Object.entries(running.listening.nodes).map(([name, address]) => ({ name, address, connections: 0 }))
        )
      }), timeout)

    it.live("refuses what is no step, and names the field and the rule", () =>
      Effect.gen(function*() {
        const running = yield* simulated({ nodes: "a,b" })
        const issues = (path: string, body: object) =>
          Effect.map(ask(running, "POST", path, JSON.stringify(body)), ({ status, text }) => {
            assert.strictEqual(status, 400, text)
            return (JSON.parse(text) as { readonly issues: ReadonlyArray<{ field: string; rule: string }> }).issues
              .map(({ field, rule }) => `${field} ${rule}`).join("; ")
          })
        assert.include(yield* issues("/kill", { node: "x" }), "node there is no node \"x\"")
        assert.include(yield* issues("/kill", {}), "node must be a name")
        assert.include(yield* issues("/kill", { node: "a", now: true }), "now is not a field of kill")
        assert.include(yield* issues("/kill", { node: "a", step: "drop" }), "step is always kill here")
        assert.include(yield* issues("/push", { node: "a", elements: [] }), "elements must be a list")
        assert.include(yield* issues("/push", { node: "a", elements: [1.5] }), "elements must be a list")
        assert.include(
          yield* issues("/move", { node: "a", target: "a", time: "1 second" }),
          "target must be another node"
        )
        const both = yield* issues("/move", { node: "a", time: "soon" })
        assert.include(both, "target must be")
        assert.include(both, "time must be a duration")
        assert.include(yield* issues("/steps", { node: "a" }), "step must be one of migrating")
        assert.include(
          yield* issues("/steps", { step: "stall", node: "a", duration: -1 }),
          "duration must be a duration"
        )
        const large = JSON.stringify({ node: "a".repeat(2 ** 20) })
        const noObjects = [
          ["{", "JSON of at most 1 MiB"],
          [large, "JSON of at most 1 MiB"],
          ["", "a JSON object"],
          ["[]", "a JSON object"],
          ["null", "a JSON object"]
        ] as const
        for (const [body, words] of noObjects) {
          const { status, text } = yield* ask(running, "POST", "/kill", body)
          assert.deepStrictEqual([status, text], [400, JSON.stringify({ error: `the body must be ${words}` })])
        }
        assert.strictEqual(running.output.lines.length, 1)
      }), timeout)

    it.live("refuses other paths and methods, and what a web page could send", () =>
      Effect.gen(function*() {
        const running = yield* simulated({ nodes: "a" })
        const kill = JSON.stringify({ node: "a" })
        const json = { "content-type": "application/json" }
        const expectations = [
          [404, "GET", "/nothing", undefined, {}],
          [404, "POST", "/kill/a", kill, json],
          [405, "GET", "/kill", undefined, {}],
          [405, "DELETE", "/nodes", undefined, {}],
          [415, "POST", "/kill", kill, {}],
          [415, "POST", "/kill", kill, { "content-type": "text/plain" }],
          [415, "POST", "/kill", kill, { "content-type": "application/x-www-form-urlencoded" }],
          [403, "POST", "/kill", kill, { ...json, host: "rebound.example" }],
          [403, "GET", "/timeline", undefined, { host: "localhost.rebound.example:8379" }],
          [403, "GET", "/timeline", undefined, { host: "192.0.2.7" }],
          [200, "GET", "/timeline", undefined, { host: "localhost:1" }],
          [200, "GET", "/timeline", undefined, { host: "[::1]" }]
        ] as const
        for (const [status, method, path, body, headers] of expectations) {
          const answer = yield* ask(running, method, path, body, headers)
          assert.strictEqual(answer.status, status, `${method} ${path} ${JSON.stringify(headers)} ${answer.text}`)
        }
        assert.strictEqual(running.output.lines.length, 1)
      }), timeout)

    it.live("performs a step at once, or at its time", () =>
      Effect.gen(function*() {
        const running = yield* simulated({ nodes: "a" })
        const drop = (at: string) => ask(running, "POST", "/steps", JSON.stringify({ step: "drop", at, node: "a" }))
        const { status, text } = yield* drop("1 hour")
        assert.deepStrictEqual([status, JSON.parse(text)], [202, {
          scheduled: "a closes its connections without notice",
          in: "1h"
        }])
        assert.deepStrictEqual(yield* post(running, "/kill", { node: "a" }), { performed: "a kills its connections" })
        assert.deepStrictEqual(running.output.events, ["Killed"])
        yield* drop("1 milli")
        yield* running.output.line((line) => line._tag === "Deployment" && line.event._tag === "Dropped")
      }), timeout)
  })
})

// ----- a client that is not ours -----

/**
 * What node-redis publishes on its diagnostics channels, in order, each with the address that the client dialled first,
 * of clients that dialled one of these.
 */
const publishedBy = (
  addresses: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const published: Array<string> = []
    const channel = (name: string, wordsFor: (message: Record<string, unknown>) => unknown) => {
      const hear = (message: unknown) => {
        const event = message as Record<string, unknown>
        // Its clients have ids such as 127.0.0.1:6379/0-4656bd7f.
        const address = addresses.find((address) => String(event.clientId).startsWith(`${address}/`))
        if (address !== undefined) published.push(`${address} ${wordsFor(event)}`)
      }
      return Effect.acquireRelease(
        Effect.sync(() => subscribe(name, hear)),
        () => Effect.sync(() => unsubscribe(name, hear))
      )
    }
    yield* channel("node-redis:maintenance", ({ notification }) => notification)
    yield* channel("node-redis:connection:relaxed-timeout", ({ value }) => value === 1 ? "relaxes" : "un-relaxes")
    yield* channel("node-redis:connection:handoff", () => "hands off")
    return published
  })

describe("node-redis on hitless simulate", () => {
  it.live(
    "hears every kind of event, relaxes its timeouts, and hands off without losing a command",
    () =>
      Effect.gen(function*() {
        const running = yield* simulator(["--nodes", "2"])
        const [first, second] = Object.values(running.listening.nodes)
        const published = yield* publishedBy([first, second])
        const client = yield* nodeRedis({ url: `redis://${first}`, RESP: 3, maintNotifications: "enabled" })
        const errors: Array<unknown> = []
        client.on("error", (error) => errors.push(error))
        /** Waits until the client that was dialled first has heard of something that often. */
        const heard = (what: string, times = 1) =>
          until(Effect.sync(() => published.filter((said) => said === `${first} ${what}`).length === times))

        const work = { acknowledged: 0, goesOn: true }
        const working = (async () => {
          while (work.goesOn) {
            await client.incr("counter")
            work.acknowledged++
          }
        })()

        yield* post(running, "/steps", { step: "migrating", node: "node-1", time: "10 seconds" })
        yield* heard("MIGRATING")
        yield* post(running, "/steps", { step: "migrated", node: "node-1" })
        yield* heard("MIGRATED")
        yield* post(running, "/steps", { step: "failingOver", node: "node-1", time: "10 seconds" })
        yield* heard("FAILING_OVER")
        yield* post(running, "/steps", { step: "failedOver", node: "node-1" })
        yield* heard("FAILED_OVER")

        yield* post(running, "/push", { node: "node-1", elements: ["SMIGRATING", 5, "123,456,789-1000"] })
        yield* heard("SMIGRATING")
        const slotsMoved = once(client, "__SMIGRATED")
        yield* post(running, "/push", {
          node: "node-1",
          elements: ["SMIGRATED", 6, [[first, second, "123,456,789-1000"]]]
        })
        // Alone it does no more with them; the cluster client would move the slots.
        assert.deepStrictEqual(yield* Effect.promise(() => slotsMoved), [{
          seqId: 6,
          entries: [{
            source: { host: "127.0.0.1", port: portOf(first) },
            destinations: [{ addr: { host: "127.0.0.1", port: portOf(second) }, slots: [123, 456, [789, 1000]] }]
          }]
        }])

        yield* post(running, "/move", { node: "node-1", target: "node-2", time: "1 second" })
        yield* heard("hands off")
        const { acknowledged } = work
        yield* until(Effect.sync(() => work.acknowledged > acknowledged))
        yield* until(Effect.map(connections(running), ([left]) => left === 0))
        assert.deepStrictEqual(yield* connections(running), [0, 1])
        yield* running.output.line((line) => line._tag === "Deployment" && line.event._tag === "Retired")
        yield* post(running, "/steps", { step: "migrating", node: "node-2", time: "10 seconds" })
        yield* heard("MIGRATING", 2)
        work.goesOn = false
        yield* Effect.promise(() => working)

        assert.deepStrictEqual(errors, [])
        assert.strictEqual(yield* Effect.promise(() => client.get("counter")), String(work.acknowledged))
        assert.deepStrictEqual(published, [
          `${first} MIGRATING`,
          `${first} relaxes`,
          `${first} MIGRATED`,
          `${first} un-relaxes`,
          `${first} FAILING_OVER`,
          `${first} relaxes`,
          `${first} FAILED_OVER`,
          `${first} un-relaxes`,
          `${first} SMIGRATING`,
          `${first} relaxes`,
          `${first} SMIGRATED`,
          `${first} un-relaxes`,
          `${first} MOVING`,
          `${first} relaxes`,
          // It dials as another client, and then takes that one's connection, which is told of the last completion.
          `${second} relaxes`,
          `${second} FAILED_OVER`,
          `${second} un-relaxes`,
          `${first} hands off`,
          `${first} MIGRATING`,
          `${second} relaxes`
        ])
        const { text } = yield* ask(running, "GET", "/timeline?text")
        yield* Console.log(text)
        assert.deepStrictEqual(text.trimEnd().split("\n").map((line) => line.replace(/^[\d:.]+ +/, "")), [
          "node-1  accepts connection 1",
          "node-1  is asked for notifications by connection 1 (external-ip)",
          "node-1  announces MIGRATING 1 to 1 connection",
          "node-1  announces MIGRATED 2 to 1 connection",
          "node-1  announces FAILING_OVER 3 to 1 connection",
          "node-1  announces FAILED_OVER 4 to 1 connection",
          "node-1  pushes a frame to 1 connection",
          "node-1  pushes a frame to 1 connection",
          "node-1  announces MOVING 5 to 1 connection",
          "node-2  accepts connection 2",
          "node-2  is asked for notifications by connection 2 (external-ip)",
          "node-1  loses connection 1 (client)",
          "node-1  retires, closing 0 connections",
          "node-2  announces MIGRATING 6 to 1 connection"
        ])
      }),
    timeout
  )
})
