#!/usr/bin/env node
/**
 * The `hitless` command.
 *
 * It only reads the command line. A wrong one is answered with one line that says what is wrong, and exit code 2; what
 * goes wrong later has exit code 1.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as EffectConfig from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Config from "../Config.ts"
import { library } from "../internal/library.ts"
import * as NodeTransport from "../node/NodeTransport.ts"
import { demo } from "./demo.ts"
import { doctor } from "./doctor.ts"
import * as Output from "./output.ts"
import { shortestRun } from "./scenario.ts"
import { builders, defaults, simulate } from "./simulate.ts"

const optional = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  flag.pipe(Flag.optional, Flag.map(Option.getOrUndefined))

/** What the flags say together, where each alone is right. */
const misused = (command: string, message: string) =>
  new CliError.ShowHelp({
    commandPath: ["hitless", command],
    errors: [new CliError.ValidationError({ message })]
  })

/** The URL of a real server that executes the commands. */
const upstream = (description: string) =>
  Flag.Redacted("upstream").pipe(
    Flag.withMetavar("redis://host:port"),
    Flag.withDescription(description),
    Flag.mapEffect((url) =>
      Config.decode({ url }).pipe(
        Effect.map((config) => ({ url, config })),
        Effect.mapError(({ issues }) =>
          new CliError.ValidationError({ message: `--upstream ${issues.map(({ rule }) => rule).join("; ")}` })
        )
      )
    ),
    optional
  )

// ----- demo -----

const demoFlags = {
  seconds: Flag.Int("seconds").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`Length of each of the two runs, at least ${shortestRun}; default 12`),
    Flag.filter(
      (seconds) => seconds >= shortestRun,
      () => `at least ${shortestRun}, because the upgrade itself takes most of that`
    ),
    Flag.withDefault(12)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("Decides which commands each fiber sends; default 1"),
    Flag.withDefault(1)
  ),
  upstream: upstream(
    "A real server behind the three nodes, which then only relay and announce. The demo writes keys that begin " +
      "with hitless:demo: and removes them"
  ),
  svg: Flag.String("svg").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("Where the timeline is written; default hitless-timeline.svg"),
    Flag.withDefault("hitless-timeline.svg")
  )
}

const demoCommand = Command.make("demo", demoFlags, demo).pipe(
  Command.withDescription(
    "Rehearses a rolling upgrade of a simulated deployment under load: every node is left in turn, a shard stalls, a " +
      "node fails over, one target refuses its first dials and two take 200 ms to shake hands. It runs once with " +
      "maintenance notifications and once without, compares both, and writes a timeline. The exit code is 1 if the " +
      "run with notifications failed, lost or doubled anything."
  ),
  Command.withShortDescription("Rehearse a rolling upgrade and see what it does to a client"),
  Command.withExamples([
    { command: "hitless demo", description: "Everything in this process" },
    { command: "hitless demo --upstream redis://localhost:6379", description: "Over a real server" },
    { command: "hitless demo --seconds 30 --seed 7", description: "Longer runs, another mix of commands" }
  ])
)

// ----- simulate -----

const port = (name: string, fallback: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`${description}; default ${fallback}, 0 for any free port`),
    Flag.filter((port) => port >= 0 && port <= 65_535, () => "a port, from 0 to 65535"),
    Flag.withDefault(fallback)
  )

const simulateFlags = {
  nodes: Flag.String("nodes").pipe(
    Flag.withMetavar("N|names"),
    Flag.withDescription(`How many nodes, or their names with commas; default the plan's, else ${defaults.nodes}`),
    optional
  ),
  port: port("port", defaults.port, "Port of the first node; the others follow it"),
  host: Flag.String("host").pipe(
    Flag.withMetavar("address"),
    Flag.withDescription(
      `Where nodes and control API listen, and what MOVING announces; default ${defaults.host}. Any address that is ` +
        "not loopback lets others in: the control API has no password"
    ),
    Flag.withDefault(defaults.host)
  ),
  controlPort: port("control-port", defaults.controlPort, "Port of the HTTP control API"),
  plan: Flag.FileText("plan").pipe(
    Flag.withMetavar("file.json"),
    Flag.withDescription("A plan to go through: { nodes, steps: [{ step, at, node, … }], duration? }"),
    optional
  ),
  builder: Flag.Literals("builder", Object.keys(builders) as Array<keyof typeof builders>).pipe(
    Flag.withMetavar("name"),
    Flag.withDescription("A plan that needs no file, made for the nodes in their order"),
    optional
  ),
  repeat: Flag.Int("repeat").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How many times to go through the plan; default 1"),
    Flag.filter((times) => times >= 1, () => "at least 1"),
    optional
  ),
  startAfter: Flag.String("start-after").pipe(
    Flag.withMetavar("duration"),
    Flag.withDescription(`When the plan begins; default "${defaults.startAfter}"`),
    optional
  ),
  maintenance: Flag.Literals("maintenance", ["supported", "unsupported", "disabled"]).pipe(
    Flag.withMetavar("answer"),
    Flag.withDescription(
      "What CLIENT MAINT_NOTIFICATIONS is answered with: +OK, the error of servers that do not know it, or that of " +
        "servers where it is off; default supported"
    ),
    Flag.withDefault("supported")
  ),
  redisVersion: Flag.Literals("redis-version", ["7.0", "8.0"]).pipe(
    Flag.withMetavar("version"),
    Flag.withDescription("The Redis whose replies the nodes give, 7.0 or 8.0; default 8.0"),
    Flag.withDefault("8.0")
  ),
  password: Flag.Redacted("password").pipe(
    Flag.withDescription("What clients must log in with; better given as HITLESS_PASSWORD, which ps does not show"),
    Flag.withFallbackConfig(EffectConfig.Redacted("HITLESS_PASSWORD")),
    optional
  ),
  upstream: upstream(
    "A real server that executes the commands; the nodes then only relay and announce. Clients log in there"
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object per line; the first, Listening, has all addresses"),
    Flag.withDefault(false)
  )
}

const controlUrl = `http://${defaults.host}:${defaults.controlPort}`

const post = (path: string, body: object): string =>
  `curl ${controlUrl}${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`

const simulateCommand = Command.make("simulate", simulateFlags, simulate).pipe(
  Command.withDescription(
    "Serves a simulated Redis deployment on TCP, in real time, so that a client in any language can rehearse " +
      "maintenance: its nodes announce (MIGRATING, MIGRATED, FAILING_OVER, FAILED_OVER, MOVING, and any push), move, " +
      "stall and fail. What happens comes from a plan, from a builder, or over HTTP while it runs; every event is " +
      "printed. A client must speak RESP3 and send CLIENT MAINT_NOTIFICATIONS ON; connect it to the first node. The " +
      "nodes share one keyspace in memory. Where a plan says that a name leads elsewhere (dns) that is only printed: " +
      "the resolver of another program is out of reach. It runs until it is interrupted."
  ),
  Command.withShortDescription("Serve a deployment under maintenance to any client, on TCP"),
  Command.withExamples([
    {
      command: "hitless simulate --builder rolling-upgrade",
      description: "Three nodes, each left for the next in turn"
    },
    {
      command: "hitless simulate --plan upgrade.json --start-after '30 seconds' --json",
      description: "A plan of yours"
    },
    { command: "hitless simulate --upstream redis://localhost:7000", description: "In front of a real server" },
    {
      command: `redis-cli -3 -p ${defaults.port}`,
      description: "Listen by hand: type CLIENT MAINT_NOTIFICATIONS ON, then PING to see the pushes that came"
    },
    {
      command:
        `createClient({ url: "redis://${defaults.host}:${defaults.port}", RESP: 3, maintNotifications: "enabled" })`,
      description: "Connect node-redis"
    },
    { command: `curl ${controlUrl}`, description: "See what the control API has" },
    { command: `curl '${controlUrl}/timeline?text'`, description: "Read what happened so far" },
    {
      command: post("/move", { node: "node-1", target: "node-2", time: "15 seconds" }),
      description: "Announce that node-1 is left for node-2"
    },
    {
      command: post("/push", { node: "node-1", elements: ["SMIGRATING", 7, "0-99"] }),
      description: "Send any push"
    },
    { command: post("/kill", { node: "node-1" }), description: "Destroy a node's connections" },
    {
      command: post("/steps", { step: "stall", node: "node-1", duration: "2 seconds" }),
      description: "Perform any step of a plan"
    }
  ])
)

// ----- doctor -----

const pemFile = (name: string, description: string) =>
  Flag.FileText(name).pipe(Flag.withMetavar("file.pem"), Flag.withDescription(description), optional)

const doctorFlags = {
  url: Argument.Redacted("url").pipe(
    Argument.withDescription("redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path"),
    Argument.withFallbackConfig(EffectConfig.Redacted("REDIS_URL"))
  ),
  ca: pemFile("ca", "The certificate of the authority that signed the server's; default the system's authorities"),
  cert: pemFile("cert", "The certificate of the client, where the server asks for one"),
  key: pemFile("key", "Its private key"),
  servername: Flag.String("servername").pipe(
    Flag.withMetavar("name"),
    Flag.withDescription("The name that the server's certificate is for; default the host"),
    optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object"),
    Flag.withDefault(false)
  )
}

const doctorCommand = Command.make(
  "doctor",
  doctorFlags,
  Effect.fnUntraced(function*({ ca, cert, json, key, servername, url }) {
    const hasTls = [ca, cert, key, servername].some((option) => option !== undefined)
    const tls = hasTls ? { ca, cert, key: key === undefined ? undefined : Redacted.make(key), servername } : undefined
    const config = yield* Effect.mapError(
      Config.decode({ url, tls, maintenance: { mode: "auto", logLevel: "Error" } }),
      ({ issues }) => misused("doctor", issues.map(({ field, rule }) => `${field} ${rule}`).join("; "))
    )
    yield* doctor({ config, json })
  })
).pipe(
  Command.withDescription(
    "Looks at a server as a client would, step by step: its name, the connection, TLS and certificate, the login, the " +
      "protocol, server and version, whether it announces maintenance, and the time of a round trip. Each line has a " +
      "verdict and, where there is one, the next step. It prints no password and changes nothing. A password is better " +
      "given in REDIS_URL, which ps does not show. The exit code is 0 where a client can work with the server, 1 where " +
      "there is a problem, and 2 where the command line is wrong."
  ),
  Command.withShortDescription("Find out why a server cannot be used, or that it can"),
  Command.withExamples([
    { command: "hitless doctor redis://localhost:6379", description: "A server on this machine" },
    {
      command: "hitless doctor rediss://redis.example.com:6380 --ca ca.pem",
      description: "With TLS, and an authority of your own"
    },
    { command: "REDIS_URL=redis://:secret@localhost hitless doctor --json", description: "As data, with a password" }
  ])
)

const hitless = Command.make("hitless").pipe(
  Command.withDescription("A Redis client that keeps serving through maintenance: see it work."),
  Command.withSubcommands([demoCommand, simulateCommand, doctorCommand])
)

const teardown: Runtime.Teardown = (exit, onExit) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const isUsage = CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length > 0
  Runtime.defaultTeardown(exit, (code) => onExit(isUsage ? 2 : code))
}

Command.run(hitless, { version: library.version }).pipe(
  Effect.provide(Layer.mergeAll(NodeServices.layer, NodeTransport.layer, Output.layer)),
  NodeRuntime.runMain({ teardown })
)
