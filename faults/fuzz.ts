/**
 * `npm run fuzz`: so many hostile inputs to what reads a server's bytes, and so many hostile commands to what writes them.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { library } from "../src/internal/library.ts"
import { checkArguments, checkInput, inputOf } from "./kit/fuzz.ts"
import { fuzzGuided } from "./kit/guided.ts"
import { checkLarge } from "./kit/large.ts"

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const config = {
  count: Flag.Int("count").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("How many inputs; default 100000"),
    Flag.withDefault(100_000)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("The first one's seed; each has the next. Default 1"),
    Flag.withDefault(1)
  ),
  guided: Flag.Boolean("guided").pipe(
    Flag.withDescription("Lets Jazzer.js find the inputs, by what they reach; it is installed if it is missing"),
    Flag.withDefault(false)
  ),
  large: Flag.Boolean("large").pipe(
    Flag.withDescription(
      "Values of 512 MiB and more to a real server in place of inputs, for which it takes 4 GiB of memory"
    ),
    Flag.withDefault(false)
  ),
  server: Flag.String("server").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("The server's program; default REDIS_SERVER, then redis-server"),
    Flag.withDefault(process.env["REDIS_SERVER"] ?? "redis-server")
  )
}

/** The most findings that are shown: more of them say nothing new. */
const most = 20

const fuzz = (count: number, seed: number): Effect.Effect<boolean> =>
  Effect.sync(() => {
    let found = 0
    const report = (what: string) => {
      print(what)
      return ++found >= most
    }
    for (let i = seed; i < seed + count; i++) {
      const problem = checkInput(i)
      if (
        problem !== undefined &&
        report(`--seed ${i} --count 1: ${problem}\n  ${JSON.stringify(inputOf(i).toString("latin1")).slice(0, 400)}`)
      ) break
    }
    for (let i = seed; i < seed + count / 100; i++) {
      const problem = checkArguments(i, 1 + i % 50)
      if (problem !== undefined && report(`--seed ${i}, arguments: ${problem}`)) break
    }
    const problem = count >= 100_000 ? checkArguments(seed, 1_000_000) : undefined
    if (problem !== undefined) report(`a million arguments: ${problem}`)
    print(`${count} inputs from seed ${seed} on, ${found} findings`)
    return found > 0
  })

const large = (server: string): Effect.Effect<boolean, Error> =>
  Effect.map(checkLarge(server), (problems) => {
    for (const problem of problems) print(problem)
    print(`values of 512 MiB and more, ${problems.length} findings`)
    return problems.length > 0
  })

const main = Command.make("fuzz", config, ({ count, guided, seed, server, ...options }) =>
  Effect.gen(function*() {
    const found = options.large
      ? yield* large(server)
      : guided
      ? yield* fuzzGuided(count, seed)
      : yield* fuzz(count, seed)
    if (found) process.exitCode = 1
  })).pipe(Command.withDescription("Hostile bytes to what reads them, hostile arguments to what writes them."))

Command.run(main, { version: library.version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
