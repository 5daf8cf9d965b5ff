/**
 * `npm run soak`: minutes or hours of random trouble; see `kit/soak.ts`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { library } from "../src/internal/library.ts"
import { soakMoves } from "./kit/moves.ts"
import { type Look, soak, soakSimulated } from "./kit/soak.ts"

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const config = {
  minutes: Flag.Finite("minutes").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("How long; simulated ones with --simulated. Default 1, simulated 1440, which is a day"),
    Flag.withDefault(0)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("Decides what happens; default 1"),
    Flag.withDefault(1)
  ),
  moves: Flag.Int("moves").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("So many announced moves in place of trouble, under which nothing may fail; four in a second"),
    Flag.withDefault(0)
  ),
  simulated: Flag.Boolean("simulated").pipe(
    Flag.withDescription("In memory and in simulated time, where a seed gives the same run each time"),
    Flag.withDefault(false)
  ),
  server: Flag.String("server").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("The server's program; default REDIS_SERVER, then redis-server"),
    Flag.withDefault(process.env["REDIS_SERVER"] ?? "redis-server")
  )
}

const total = { calls: 0, events: 0 }

/** What is shown of what happened, in characters. */
const most = 1000

const tell = ({ calls, connections, events, failed, fibers, heapMiB, look, problems }: Look): void => {
  const failures = failed.reduce((sum, [, count]) => sum + count, 0)
  total.calls += calls
  total.events += events.length
  print(
    `${String(look).padStart(4)}  ${calls} calls, ${failures} failed  heap ${
      heapMiB.toFixed(1)
    } MiB, ${connections} connections, ${fibers} fibers  ${events.length} events`
  )
  if (problems.length === 0) return
  print(`      ${events.join(", ").slice(0, most)}`)
  for (const problem of problems) print(`      ${problem}`)
}

const main = Command.make("soak", config, ({ minutes, moves, seed, server, simulated }) =>
  Effect.gen(function*() {
    const problems = simulated
      ? yield* soakSimulated(seed, Math.ceil((minutes || 1440) / 60), tell)
      : moves > 0
      ? yield* soakMoves(server, moves, tell)
      : yield* soak(server, seed, minutes || 1, tell)
    const run = moves > 0
      ? `${moves} moves with ${total.events} handoffs under ${total.calls} calls`
      : `seed ${seed} with ${total.events} events under ${total.calls} calls`
    const [first, ...others] = new Set(problems)
    const more = others.length === 0 ? "" : `, and ${others.length} more`
    print(first === undefined ? `${run}: nothing was found` : `${run} found: ${first}${more}`)
    if (problems.length > 0) process.exitCode = 1
  })).pipe(
    Command.withDescription("Random trouble for a client that uses every kind of connection, against what it said.")
  )

Command.run(main, { version: library.version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
