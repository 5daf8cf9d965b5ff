/**
 * The `simulate` command: a simulated deployment on TCP, in real time, for clients in any language.
 *
 * It listens, plays the plan it was given, does what its HTTP API is told, and prints what happens at its nodes until it
 * is interrupted; then it closes every connection and every port. Readable lines have the words of the timeline; with
 * `json` each line is one JSON object, an entry of the timeline or a `Message`.
 *
 * It fails, in words for the person who ran it, when what it was given makes no plan, or a port or the upstream cannot
 * be had.
 *
 * @since 0.1.0
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as CliError from "effect/cli/CliError"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { defaultPort, format } from "../Endpoint.ts"
import { monotonicMillis } from "../internal/elapsed.ts"
import { perform } from "../testing/internal/perform.ts"
import { checkNodes, play } from "../testing/internal/player.ts"
import * as MaintenancePlan from "../testing/MaintenancePlan.ts"
import * as SimulatedRedis from "../testing/SimulatedRedis.ts"
import * as Timeline from "../testing/Timeline.ts"
import { Transport } from "../Transport.ts"
import * as Control from "./control.ts"
import { greet, type Upstream } from "./upstream.ts"

/**
 * The plans that need no file, by name: made for the nodes that there are, in their order.
 *
 * @category constants
 * @since 0.1.0
 */
export const builders = {
  "rolling-upgrade": (nodes) => MaintenancePlan.rollingUpgrade({ nodes }),
  failover: ([node]) => MaintenancePlan.failover({ node }),
  "in-place-upgrade": (nodes) => MaintenancePlan.inPlaceUpgrade({ nodes }),
  rebind: ([from, to]) => MaintenancePlan.rebind({ from, to }),
  "silent-failure": ([node, to]) => MaintenancePlan.silentFailure({ node, to })
} as const satisfies Record<string, (nodes: ReadonlyArray<string>) => MaintenancePlan.MaintenancePlan>

/** They lead from a node to another one. */
const needTwo: ReadonlySet<string> = new Set<keyof typeof builders>(["rolling-upgrade", "rebind", "silent-failure"])

/**
 * What the command is told on the command line.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulateOptions {
  /** How many nodes, or their names. */
  readonly nodes: string | undefined
  readonly host: string
  /** The first node's; 0 means any free ones. */
  readonly port: number
  readonly controlPort: number
  /** The text of a plan. */
  readonly plan: string | undefined
  readonly builder: keyof typeof builders | undefined
  readonly repeat: number | undefined
  readonly startAfter: string | undefined
  readonly maintenance: "supported" | "unsupported" | "disabled"
  readonly redisVersion: "7.0" | "8.0"
  readonly password: Redacted.Redacted | undefined
  readonly upstream: Upstream | undefined
  readonly json: boolean
}

/**
 * A line that is no entry of the timeline: where everything is, and the end of the plan.
 *
 * @category models
 * @since 0.1.0
 */
export type Message =
  | {
    readonly _tag: "Listening"
    readonly at: 0
    readonly startedAt: string
    readonly nodes: Readonly<Record<string, string>>
    readonly control: string
    readonly plan: { readonly steps: number; readonly begins: number; readonly ends: number } | null
  }
  | { readonly _tag: "PlanEnded"; readonly at: number }

const failed = (userMessage: string, cause: unknown) => new CliError.UserError({ cause, userMessage })

// ----- what it is given -----

// Our choice: more than a rehearsal has, and less than a machine has ports.
const mostNodes = 100

/**
 * What holds where the command line says nothing. The control API has a port that no usual service has, far enough from
 * Redis' own for all nodes between them.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaults = {
  nodes: "3",
  host: "127.0.0.1",
  port: defaultPort,
  controlPort: 8379,
  // Our choice: time to start a client, so that it does not miss the first step.
  startAfter: "5 seconds"
} as const

const nodesOf = (text: string): Effect.Effect<ReadonlyArray<string>, CliError.UserError> => {
  const count = /^\d+$/.test(text) ? Number(text) : undefined
  if (count !== undefined && (count < 1 || count > mostNodes)) {
    return Effect.fail(failed(`--nodes must be a number from 1 to ${mostNodes}, or names`, text))
  }
  const nodes = count === undefined
    ? text.split(",").map((name) => name.trim())
    : Array.from({ length: count }, (_, index) => `node-${index + 1}`)
  return MaintenancePlan.make({ nodes, steps: [] }).pipe(
    Effect.mapError((error) => failed(`--nodes: ${error.issues.map(({ rule }) => rule).join("; ")}`, error)),
    Effect.as(nodes)
  )
}

interface Rehearsal {
  readonly nodes: ReadonlyArray<string>
  readonly plan: MaintenancePlan.MaintenancePlan | undefined
  /** Until its first step, in milliseconds. */
  readonly begins: number
}

/** The nodes, and the plan that they go through. */
const rehearsalOf = Effect.fnUntraced(function*(
  { builder, nodes: given, plan: text, repeat, startAfter }: SimulateOptions
): Effect.fn.Return<Rehearsal, CliError.UserError> {
  if (text !== undefined && builder !== undefined) {
    return yield* failed("--plan and --builder cannot both be given", undefined)
  }
  const written = text === undefined
    ? undefined
    : yield* Effect.mapError(MaintenancePlan.fromJson(text), (error) => failed(`--plan: ${error.message}`, error))
  const nodes = given === undefined && written !== undefined ? written.nodes : yield* nodesOf(given ?? defaults.nodes)
  if (written !== undefined) {
    yield* Effect.mapError(checkNodes(written, nodes), (error) => failed(`--nodes: ${error.message}`, error))
  }
  if (builder !== undefined && needTwo.has(builder) && nodes.length < 2) {
    return yield* failed(`--builder ${builder} needs at least two nodes`, nodes)
  }
  const once = builder === undefined ? written : builders[builder](nodes)
  if (once === undefined) {
    const idle = repeat !== undefined ? "--repeat" : startAfter !== undefined ? "--start-after" : undefined
    return idle === undefined
      ? { nodes, plan: undefined, begins: 0 }
      : yield* failed(`${idle} needs --plan or --builder`, undefined)
  }
  // Both throw for numbers that make no plan.
  const repeated = yield* Effect.try({
    try: () => MaintenancePlan.repeat(once, repeat ?? 1),
    catch: (error) => failed(`--repeat: the plan would be too long, ${error}`, error)
  })
  const plan = yield* Effect.try({
    try: () => MaintenancePlan.delay(repeated, (startAfter ?? defaults.startAfter) as Duration.Input),
    catch: (error) => failed("--start-after must be a duration such as \"10 seconds\" or \"500 millis\"", error)
  })
  return { nodes, plan, begins: Duration.toMillis(plan.duration) - Duration.toMillis(repeated.duration) }
})

// ----- ports -----

/** What the system says about a port or an address that cannot be had, and which flag it is about. */
const notListening = (cause: unknown, portFlag: string): CliError.UserError => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  const flag = code === "EADDRINUSE" || code === "EACCES" ? portFlag : "--host"
  return failed(`${flag}: ${cause instanceof Error ? cause.message : cause}`, cause)
}

const isOn = (
  { endpoint, nodes }: SimulatedRedis.SimulatedRedis,
  is: (address: NetAddress.IpAddress) => boolean
): boolean =>
  nodes.some((node) => {
    const at = endpoint(node)
    const ip = at._tag === "Tcp" ? NetAddress.ipFromString(at.host) : undefined
    return ip !== undefined && Result.isSuccess(ip) && is(ip.success)
  })

/**
 * Runs the command. It ends by interruption only, or by failing.
 *
 * @category running
 * @since 0.1.0
 */
export const simulate = Effect.fnUntraced(function*(options: SimulateOptions) {
  const { controlPort, host, json, maintenance, password, port, redisVersion, upstream } = options
  const { begins, nodes, plan } = yield* rehearsalOf(options)
  if (port + nodes.length - 1 > 65_535) {
    return yield* failed(`--port: ${nodes.length} nodes need the ports up to ${port + nodes.length - 1}`, port)
  }
  if (upstream !== undefined) {
    if (password !== undefined) {
      return yield* failed("--password and --upstream cannot both be given: the upstream asks for its own", undefined)
    }
    yield* greet(upstream)
  }

  const clock = yield* Clock.Clock
  const console = yield* Console.Console
  const network = yield* Transport
  const begun = monotonicMillis(clock)
  const now = () => Math.floor(monotonicMillis(clock) - begun)
  const startedAt = DateTime.formatIso(DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()))

  // ----- what is printed -----

  const told = ["plan", ...nodes, ...plan === undefined ? [] : plan.steps.map(MaintenancePlan.subject)]
  const width = told.reduce((longest, who) => Math.max(longest, who.length), 0)
  const print = (line: object, words: string) => console.log(json ? JSON.stringify(line) : words)
  const entries: Array<Timeline.Entry> = []
  const addresses = new Map<string, string>()
  const nodeAt = (address: string) => addresses.get(address) ?? address
  const note = (entry: Timeline.Entry): void => {
    entries.push(entry)
    print(entry, Timeline.line(entry.at, ...Timeline.describe(entry, nodeAt), width))
  }

  // ----- what listens -----

  const deployment = yield* SimulatedRedis.make({
    nodes,
    maintenance,
    version: redisVersion,
    users: password && { default: password },
    upstream: upstream && network.open(upstream.config.endpoint, upstream.config),
    // A node begins on port 0, and asks for the port it had when it accepts again.
    listen: (again, node) => {
      const first = port === 0 ? 0 : port + nodes.indexOf(node)
      return NodeSocketServer.make({ host, port: again === 0 ? first : again, noDelay: true })
    },
    onEvent: ({ event, node }) => note({ _tag: "Deployment", at: now(), node, event })
  }).pipe(Effect.mapError(({ cause }) => notListening(cause, "--port")))
  for (const node of nodes) addresses.set(format(deployment.endpoint(node)), node)
  if (isOn(deployment, NetAddress.isUnspecified)) {
    return yield* failed("--host must be an address that clients can dial, because MOVING announces it", host)
  }

  const lead = (name: string, node: string | null) => Effect.sync(() => note({ _tag: "Named", at: now(), name, node }))
  const playHere = (plan: MaintenancePlan.MaintenancePlan) => play(plan, (step) => perform(deployment, lead, step))
  const control = yield* Control.serve({
    host,
    port: controlPort,
    deployment,
    startedAt,
    timeline: () => new Timeline.Timeline(entries.slice(), addresses),
    play: playHere
  }).pipe(Effect.mapError(({ cause }) => notListening(cause, "--control-port")))

  if (!isOn(deployment, NetAddress.isLoopback)) {
    const open = password === undefined && upstream === undefined ? "nodes and control API are" : "control API is"
    console.error(`hitless simulate: reachable from outside this machine; the ${open} open to anybody`)
  }
  const listening: Message = {
    _tag: "Listening",
    at: 0,
    startedAt,
    nodes: Object.fromEntries(nodes.map((node) => [node, format(deployment.endpoint(node))])),
    control,
    plan: plan === undefined
      ? null
      : { steps: plan.steps.length, begins, ends: Duration.toMillis(plan.duration) }
  }
  print(
    listening,
    [
      ...Object.entries(listening.nodes).map(([node, address]) => `${node.padEnd(width)}  redis://${address}`),
      `${"http".padEnd(width)}  ${control}`,
      plan === undefined
        ? "No plan: it does what it is told by HTTP."
        : `${"plan".padEnd(width)}  ${plan.steps.length} steps from ${Duration.format(Duration.millis(begins))} on, ` +
          `over after ${Duration.format(plan.duration)}`
    ].join("\n")
  )

  // ----- what happens -----

  if (plan !== undefined) {
    // A plan is not over with its last step, but with what that announced.
    yield* Effect.all([playHere(plan), Effect.sleep(plan.duration)], { concurrency: 2 }).pipe(
      Effect.catchDefect((cause) => Effect.fail(failed(`The plan broke off: ${cause}`, cause)))
    )
    const ended: Message = { _tag: "PlanEnded", at: now() }
    print(ended, Timeline.line(ended.at, "plan", "is over", width))
  }
  return yield* Effect.never
}, Effect.scoped)
