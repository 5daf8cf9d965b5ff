#!/usr/bin/env node
/**
 * The `hitless` command.
 *
 * It only reads the command line. Wrong input is answered with what is wrong and with the help of the command, and exit
 * code 1.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import { library } from "../Connection.ts"
import * as NodeTransport from "../node/NodeTransport.ts"
import { demo } from "./demo.ts"
import { shortestRun } from "./scenario.ts"

const flags = {
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
  upstream: Flag.Redacted("upstream").pipe(
    Flag.withMetavar("redis://host:port"),
    Flag.withDescription(
      "A real server behind the three nodes, which then only relay and announce. The demo writes keys that begin " +
        "with hitless:demo: and removes them"
    ),
    Flag.mapEffect((url) =>
      Config.decode({ url }).pipe(
        Effect.map((config) => ({ url, config })),
        Effect.mapError(({ issues }) =>
          new CliError.ValidationError({ message: `--upstream ${issues.map(({ rule }) => rule).join("; ")}` })
        )
      )
    ),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  ),
  svg: Flag.String("svg").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("Where the timeline is written; default hitless-timeline.svg"),
    Flag.withDefault("hitless-timeline.svg")
  )
}

const demoCommand = Command.make("demo", flags, demo).pipe(
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

const hitless = Command.make("hitless").pipe(
  Command.withDescription("A Redis client that keeps serving through maintenance: see it work."),
  Command.withSubcommands([demoCommand])
)

Command.run(hitless, { version: library.version }).pipe(
  Effect.provide(Layer.merge(NodeServices.layer, NodeTransport.layer)),
  NodeRuntime.runMain
)
