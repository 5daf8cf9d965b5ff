/**
 * What a handoff does to commands: latencies and the longest gap while all connections of a client move to another node,
 * beside a quiet phase of the same length at the same load, for `hitless` and node-redis on one simulated deployment.
 *
 * Each client has a process of its own for each number of connections, and the deployment has one too. A round is a quiet
 * phase and a phase with one handoff for each client in turn, so that both phases of a ratio meet the machine in the same
 * mood. The load is an open loop at 80% of the rate that the slower client reaches, the same for both.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Phase, Question as ClientQuestion } from "../children/handoffClient.ts"
import type { Moved, Question as ServerQuestion } from "../children/handoffServer.ts"
import * as Child from "../kit/child.ts"
import { fail } from "../kit/failure.ts"
import {
  condense,
  digits,
  machine,
  print,
  summarize,
  type Summary,
  table,
  versionOf,
  writeResults
} from "../kit/report.ts"

/** How a run is measured. */
export interface Options {
  /** All cells with five rounds, instead of two cells with two. */
  readonly full: boolean
  /** Only cells whose names contain this. */
  readonly cells: string
}

// ----- cells -----

interface Cell {
  readonly connections: number
  /** How long the new node takes to answer a handshake, in milliseconds. */
  readonly handshake: number
}

const sizes = [1, 10, 100]
const allCells: ReadonlyArray<Cell> = sizes.flatMap((connections) =>
  [0, 50, 200].map((handshake) => ({ connections, handshake }))
)
// With 200 ms, 100 connections of hitless take over 2 s, because ten of them dial at a time.
const quickCells: ReadonlyArray<Cell> = [
  { connections: 10, handshake: 200 },
  { connections: 100, handshake: 50 }
]

/** The cell whose latencies are drawn: it is in every run. */
export const drawn: Cell = { connections: 10, handshake: 200 }

const nameOf = ({ connections, handshake }: Cell): string =>
  `${connections} ${connections === 1 ? "connection" : "connections"}, handshakes of ${handshake} ms`

/** Seconds of a phase: a handoff and the time that a client needs to work off what it kept waiting. */
const secondsOf = ({ connections, handshake }: Cell): number => connections * handshake > 10_000 ? 2.5 : 1.1

/** Seconds of the same load before a round of a client, which are not counted. */
const leadIn = 1

/** When the nodes announce the move, from the beginning of a phase. */
const announceAfter = "100 millis"

const clients = ["hitless", "node-redis, timeout 0"]
const share = 0.8

// ----- results -----

interface Round {
  readonly quiet: Phase
  readonly moving: Phase
  /** Until the last connection had left the old node, in milliseconds. */
  readonly moved: number
}

interface Result {
  readonly client: string
  readonly rounds: ReadonlyArray<Round>
}

interface CellResult extends Cell {
  readonly cell: string
  readonly results: ReadonlyArray<Result>
}

const gap = ({ longestGap }: Phase): number => longestGap
const gapRatio = ({ moving, quiet }: Round): number => moving.longestGap / quiet.longestGap

type Histogram = Phase["histogram"]

/** The latencies of several phases. */
const merge = (phases: ReadonlyArray<Phase>): Histogram => {
  const commands = new Map<number, number>()
  for (const { histogram } of phases) {
    for (const [millis, count] of histogram) commands.set(millis, (commands.get(millis) ?? 0) + count)
  }
  return Array.from(commands).sort(([a], [b]) => a - b)
}

const percentile = (histogram: Histogram, part: number): number => {
  let left = part * histogram.reduce((sum, [, commands]) => sum + commands, 0)
  return histogram.find(([, commands]) => (left -= commands) <= 0)?.[0] ?? NaN
}

/** The round in the middle, to be drawn. */
const representative = (rounds: ReadonlyArray<Round>): Round =>
  rounds.toSorted((a, b) => gapRatio(a) - gapRatio(b))[rounds.length >> 1]!

const percentiles = (phases: ReadonlyArray<Phase>) => {
  const histogram = merge(phases)
  return { p50: percentile(histogram, 0.5), p99: percentile(histogram, 0.99), p999: percentile(histogram, 0.999) }
}

/** A result as it is kept; the latencies of one round are, where they are drawn. */
const toJson = ({ connections, handshake }: Cell, { client, rounds }: Result) => ({
  client,
  rounds: rounds.length,
  ...condense(rounds),
  percentiles: {
    quiet: percentiles(rounds.map(({ quiet }) => quiet)),
    moving: percentiles(rounds.map(({ moving }) => moving))
  },
  ...(connections === drawn.connections && handshake === drawn.handshake
    ? { latencies: representative(rounds).moving.latencies }
    : {})
})

// ----- tables -----

const formatRange = ({ high, low, median }: Summary): string => `${digits(median)} (${digits(low)}–${digits(high)})`

const header = [
  "",
  "p50 ms",
  "p99 ms",
  "p99.9 ms",
  "longest ms",
  "longest gap ms",
  "× quiet",
  "moved in ms",
  "failed",
  "lost",
  "doubled"
]

const rowOf = (name: string, phases: ReadonlyArray<Phase>, moved: ReadonlyArray<string>): ReadonlyArray<string> => {
  const histogram = merge(phases)
  const longest = Math.max(...phases.map(({ longest }) => longest))
  const total = (of: (phase: Phase) => number): string => String(phases.reduce((sum, phase) => sum + of(phase), 0))
  return [
    name,
    // The middle of the last bucket can be more than what is in it.
    ...[0.5, 0.99, 0.999].map((part) => digits(Math.min(percentile(histogram, part), longest))),
    digits(longest),
    formatRange(summarize(phases.map(gap))),
    ...moved,
    total(({ failed }) => failed),
    total(({ lost }) => lost),
    total(({ doubled }) => doubled)
  ]
}

const printCell = ({ cell, results }: CellResult): void => {
  print(`\n${cell}`)
  const rows = results.flatMap(({ client, rounds }) => [
    rowOf(`${client}: quiet`, rounds.map(({ quiet }) => quiet), ["", ""]),
    rowOf(`${client}: moving`, rounds.map(({ moving }) => moving), [
      formatRange(summarize(rounds.map(gapRatio))),
      digits(summarize(rounds.map(({ moved }) => moved)).median)
    ])
  ])
  print(table(header, rows).trimEnd())
  for (const { client, rounds } of results) {
    const failure = rounds.flatMap(({ moving, quiet }) => [quiet, moving]).find(({ failure }) => failure !== undefined)
    if (failure !== undefined) print(`${client}: ${failure.failure}`)
  }
}

const printSummary = (cells: ReadonlyArray<CellResult>): void => {
  const columns = clients.flatMap((client) => [`${client}: quiet`, "moving", "×"])
  const rows = cells.map(({ cell, results }) => [
    cell,
    ...results.flatMap(({ rounds }) => [
      digits(summarize(rounds.map(({ quiet }) => gap(quiet))).median),
      digits(summarize(rounds.map(({ moving }) => gap(moving))).median),
      summarize(rounds.map(gapRatio)).median.toFixed(2)
    ])
  ])
  print("\nlongest gap between two replies in ms, medians of the rounds")
  print(table(["", ...columns], rows))
}

// ----- running -----

const answered = <A>(answer: Child.Answer<A>, who: string) =>
  answer._tag === "Done" ? Effect.succeed(answer.value) : fail(`${who}: ${answer.reason}`)

const askClient = <A>(client: Child.Child, question: ClientQuestion) =>
  Effect.flatMap(Child.ask<A>(client, question, question._tag), (answer) => answered(answer, client.name))

const askServer = <A>(server: Child.Child, question: ServerQuestion) =>
  Effect.flatMap(Child.ask<A>(server, question, question._tag), (answer) => answered(answer, server.name))

/** The nodes of the deployment. No client ever returns to one that it has left. */
interface Nodes {
  readonly server: Child.Child
  readonly ports: ReadonlyArray<number>
  next: number
}

/** A client, and the node that it is connected to. */
interface Participant {
  readonly client: Child.Child
  node: number
}

const participant = Effect.fnUntraced(function*(name: string, nodes: Nodes, connections: number) {
  const node = nodes.next++
  const args = [name, String(nodes.ports[node]), String(connections)]
  const started: Participant = { client: yield* Child.start(name, "children/handoffClient.ts", args), node }
  return started
})

/** The highest rates in turns, the first of which warms up: the medians, of which the lowest counts. */
const highestRate = Effect.fnUntraced(function*(participants: ReadonlyArray<Participant>) {
  const rates: Record<string, Array<number>> = {}
  for (let turn = 0; turn < 4; turn++) {
    for (const { client } of participants) {
      const rate = yield* askClient<number>(client, { _tag: "Saturate", seconds: 0.3 })
      if (turn > 0) (rates[client.name] ??= []).push(rate)
    }
  }
  return Object.fromEntries(Object.entries(rates).map(([name, samples]) => [name, summarize(samples).median]))
})

const phase = (client: Child.Child, { server }: Nodes, commandsPerSecond: number, seconds: number) =>
  // A phase pays for no garbage but its own.
  Effect.andThen(
    askServer(server, { _tag: "Collect" }),
    askClient<Phase>(client, { _tag: "Load", commandsPerSecond, seconds })
  )

const measureRound = Effect.fnUntraced(function*(
  participant: Participant,
  nodes: Nodes,
  cell: Cell,
  commandsPerSecond: number
) {
  const { client, node: from } = participant
  const seconds = secondsOf(cell)
  const to = nodes.next++
  // What the turn of the other client left behind, in its own process and in the deployment's, is over after this.
  yield* phase(client, nodes, commandsPerSecond, leadIn)
  const quiet = yield* phase(client, nodes, commandsPerSecond, seconds)
  const move = askServer<Moved>(nodes.server, { _tag: "Move", from, to, handshake: cell.handshake })
  const [moving, moved] = yield* Effect.all(
    [phase(client, nodes, commandsPerSecond, seconds), Effect.delay(move, announceAfter)],
    { concurrency: 2 }
  )
  participant.node = to
  if (moved.told !== cell.connections || moved.arrived !== cell.connections) {
    return yield* fail(`${client.name}: ${moved.arrived} of ${moved.told} connections moved, not ${cell.connections}`)
  }
  const round: Round = { quiet, moving, moved: moved.millis }
  return round
})

const measureSize = Effect.fnUntraced(function*(cells: ReadonlyArray<Cell>, nodes: Nodes, rounds: number) {
  const { connections } = cells[0]!
  const participants = yield* Effect.forEach(clients, (name) => participant(name, nodes, connections))
  const maxima = yield* highestRate(participants)
  const load = Math.round(share * Math.min(...Object.values(maxima)))
  const figures = clients.map((name) => `${name} ${digits(maxima[name]!)}`).join(", ")
  print(`\n${connections} connections: at most ${figures} commands/s; the load is ${digits(load)}`)

  // Nothing of a handoff has run in these processes yet, nor has it in a service whose first maintenance begins.
  const first: Array<Result> = []
  for (const participant of participants) {
    first.push({
      client: participant.client.name,
      rounds: [yield* measureRound(participant, nodes, cells[0]!, load)]
    })
  }
  const firstResult: CellResult = { ...cells[0]!, cell: `${nameOf(cells[0]!)}: the first of a process`, results: first }
  printCell(firstResult)

  const results: Array<CellResult> = []
  for (const cell of cells) {
    const measured = participants.map((participant) => ({ participant, rounds: new Array<Round>() }))
    for (let round = 0; round < rounds; round++) {
      for (const { participant, rounds } of measured) {
        rounds.push(yield* measureRound(participant, nodes, cell, load))
      }
    }
    const result: CellResult = {
      ...cell,
      cell: nameOf(cell),
      results: measured.map(({ participant, rounds }) => ({ client: participant.client.name, rounds }))
    }
    printCell(result)
    results.push(result)
  }
  return { connections, maxima, load, first: firstResult, cells: results }
}, Effect.scoped)

/** Measures, prints, and writes `bench/results/handoff.json`. */
export const handoff = Effect.fnUntraced(function*(options: Options) {
  const cells = (options.full ? allCells : quickCells).filter((cell) => nameOf(cell).includes(options.cells))
  if (cells.length === 0) return yield* fail(`no cell's name contains "${options.cells}"`)
  const rounds = options.full ? 5 : 2
  const bySize = sizes.map((size) => cells.filter(({ connections }) => connections === size)).filter((group) =>
    group.length > 0
  )
  const about = {
    part: "handoff",
    date: new Date().toISOString(),
    machine: machine(),
    versions: { effect: versionOf("effect"), redis: versionOf("redis") },
    options
  }
  print(
    table(["", ""], Object.entries({ ...about.machine, ...about.versions }).map(([key, value]) => [key, String(value)]))
  )

  // For each client: where it begins, and where it goes in each round and in the one before them.
  const count = clients.length * bySize.reduce((sum, group) => sum + 2 + group.length * rounds, 0)
  const server = yield* Child.start("the deployment", "children/handoffServer.ts", [String(count)])
  const nodes: Nodes = { server, ports: yield* askServer<ReadonlyArray<number>>(server, { _tag: "Ports" }), next: 0 }
  const [took, groups] = yield* Effect.timed(
    Effect.forEach(bySize, (group) => measureSize(group, nodes, rounds))
  )
  printSummary(groups.flatMap(({ cells }) => cells))
  const resultOf = ({ results, ...cell }: CellResult) => ({
    ...cell,
    results: results.map((result) => toJson(cell, result))
  })
  const path = writeResults("handoff", {
    ...about,
    groups: groups.map(({ cells, first, ...group }) => ({
      ...group,
      first: resultOf(first),
      cells: cells.map(resultOf)
    }))
  })
  print(`${Math.round(Duration.toSeconds(took))} s; the medians of the rounds are in ${path}`)
}, Effect.scoped)
