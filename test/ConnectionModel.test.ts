/**
 * One connection beside a plain model of it, in random orders of commands, replies, pushes, time, windows and ends: the two
 * agree on its state, on what became of each request, on all that was written, and on what the owner was told. Socket and
 * peer are the test's.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { type Connection, isLegal, type State } from "../src/Connection.ts"
import { Request, type RequestKind, type RequestOwner } from "../src/internal/request.ts"
import { asked, breakSilence, commandTimeout, isLive, relaxed, welcome } from "./support/connectionModel.ts"
import { blob, error, type Frame, simple } from "./support/memoryPeer.ts"
import { type Asking, make, told } from "./support/modelledConnection.ts"

/** How often each is tried, and what it takes: a connection that is ready, one that is not closed, or nothing. */
const operations = {
  "command": [10, "Ready"],
  "pipeline": [4, "Ready"],
  "transaction": [10, "Ready"],
  "send and give up": [4, "Ready"],
  "say": [5, "anything"],
  "give up": [6, "open"],
  "time": [10, "anything"],
  "answer": [16, "open"],
  "part": [5, "open"],
  "error": [6, "open"],
  "refuse MULTI": [14, "open"],
  "refuse ECHO": [14, "open"],
  "answer ECHO wrongly": [20, "open"],
  "push": [4, "open"],
  "extra": [7, "open"],
  "drop": [11, "open"],
  "fill": [7, "open"],
  "empty": [9, "open"],
  "relax": [7, "open"],
  "end relaxation": [9, "open"],
  "probes": [5, "anything"],
  "drain": [5, "anything"],
  "close": [3, "anything"],
  "hang up": [3, "open"],
  "reset": [3, "open"]
} as const

type Operation = keyof typeof operations

const names = Object.keys(operations) as ReadonlyArray<Operation>

const weighted = names.flatMap((name) => Array.from({ length: operations[name][0] }, () => name))

const ends: ReadonlySet<Operation> = new Set(["answer ECHO wrongly", "close", "hang up", "reset"])

/** What is kept from most connections at first, so that they live longer. */
const trouble: ReadonlySet<Operation> = new Set([...ends, "extra", "drop"])

const index = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

/** The place of an operation, and two numbers that say how. */
type Step = readonly [at: number, choice: number, second: number]

const step = Arbitrary.all([index(weighted.length - 1), index(5), index(2)])

const kinds = ["command", "pipeline", "transaction"] as const

const timeouts = [400, 2000, 2500, 9000, Infinity, Infinity]

const times = [100, 300, 1000, 1000, 1100, 2500]

const drainTimes = [0, 1500, 3000, 7000, 20_000, 60_000]

/** What was seen: each change of state, and each operation after each. */
const edges = new Set<string>()

const pairs = new Set<string>()

/** One connection from its dial to its end, for as many of the steps as it lives; the first of them make no trouble. */
const live = Effect.fnUntraced(function*(
  steps: ReadonlyArray<Step>,
  peace: number,
  isGreeted: boolean,
  leaves: boolean
) {
  const { asking, connecting, drain, fork, heard, it, model, peer, scope, windows } = yield* make(leaves)
  const story: Array<string> = []
  let seq = 0
  /** What the peer has begun to say. */
  let held: { readonly frame: Frame; readonly rest: string } | undefined

  const check = () => {
    const { connection, lesses } = it
    const state = connection?.state ?? (connecting.pollUnsafe() === undefined ? "Connecting" : "Closed")
    const requests = model.queued.map(({ name }) => asking[Number(name)]?.request)
    const sum = (of: "size" | "weight") => requests.reduce((sum, request) => sum + (request?.[of] ?? 0), 0)
    const facts: Array<readonly [string, unknown, unknown]> = [
      ["wire", peer.wire, model.wire],
      ["owner", heard, model.told],
      [
        "requests",
        asking.map(({ ends, request }) => `${request?.state ?? "Settled"} ${ends}`),
        asking.map(({ asked: { ends, state } }) => `${state} ${ends}`)
      ],
      ["state", state, model.state]
    ]
    if (connection !== undefined) {
      const { backlog } = connection
      facts.push(["commands", backlog.commands, sum("size")], ["bytes", backlog.bytes, sum("weight")])
      if (state !== "Closed") {
        facts.push(
          ["owesUntil", connection.owesUntil, model.owesUntil],
          ["waitsSince", backlog.waitsSince, model.waitsSince],
          ["holdsBack", backlog.holdsBack, model.opening !== undefined],
          ["onLess", lesses > 0, model.less],
          ["bytesToArrive", held === undefined ? backlog.bytesToArrive + 0 : 0, 0]
        )
      }
    }
    for (const [what, actual, expected] of facts) {
      // The assertion itself takes ten times as long.
      if (JSON.stringify(actual) === JSON.stringify(expected)) continue
      assert.deepStrictEqual(actual, expected, `${what} after ${story.join(", ")}`)
    }
  }

  /** It is not told that a request was given up: that nobody waits any more it may notice later. */
  const catchUp = () => {
    if (model.state === "Draining" && it.connection?.state === "Closed") model.closeIfDrained()
  }

  const settle = Effect.gen(function*() {
    model.flush()
    yield* TestClock.adjust(0)
    catchUp()
    check()
  })

  /** The peer says the rest of what it has begun to say, and then this, the last of it only to `cut`. */
  const say = (frames: ReadonlyArray<Frame>, cut = Infinity) => {
    const all = held === undefined ? frames : [held.frame, ...frames]
    const texts = [held?.rest ?? "", ...frames.map(({ bytes }) => bytes)]
    const last = texts.pop()!
    peer.say(texts.join("") + last.slice(0, cut))
    held = cut === Infinity ? undefined : { frame: all[all.length - 1], rest: last.slice(cut) }
    for (const frame of all) {
      if (frame === held?.frame || model.state === "Closed") continue
      if (frame.isPush === true) model.told.pushes.push(frame.value)
      else {
        model.reply(frame.value)
        breakSilence(model.told.silences)
        breakSilence(heard.silences)
      }
    }
  }

  const answers = (count: number) => peer.unanswered.splice(0, count).map(peer.answerTo)

  const ask = (connection: Connection, kind: Exclude<RequestKind, "own">, timeout: number): Asking => {
    const name = String(asking.length)
    const lines = {
      command: [`GET ${name}`],
      pipeline: [`GET ${name}`, `GET ${name}`],
      transaction: ["MULTI", `SET ${name}`, `EXEC ${name}`]
    }[kind]
    const words = lines.map((line) => line.split(" "))
    const ends: Array<string> = []
    const owner: RequestOwner = {
      onReplied: (request, value) => request.succeed(value),
      onFailed: () => {},
      onThrown: (thrown) => assert.fail(String(thrown)),
      onSettled: (_, exit) => {
        if (exit === undefined) ends.push("given up")
      }
    }
    const request = new Request({
      owner,
      kind,
      words: words[0],
      batch: kind === "command" ? undefined : words,
      bytes: false,
      timeout,
      startedAt: model.now,
      resume: (outcome) => ends.push(told(Effect.runSyncExit(outcome)))
    })
    const one = { asked: asked(kind, name, lines, timeout, model.now), ends, request }
    asking.push(one)
    connection.send(request)
    model.send(one.asked)
    return one
  }

  const giveUp = ({ asked, fiber, request }: Asking) => {
    if (fiber !== undefined) fiber.interruptUnsafe()
    else if (request !== undefined) Effect.runSync(request)
    model.end(asked, "given up")
  }

  const pass = Effect.fnUntraced(function*(millis: number) {
    const until = model.now + millis
    while (model.now < until) {
      const next = Math.min(until, model.next)
      yield* TestClock.adjust(next - model.now)
      // As the one does who keeps the windows.
      windows.expire(next)
      yield* TestClock.adjust(0)
      model.now = next
      model.tick()
      catchUp()
    }
  })

  /** `false` where it is impossible now. */
  const operate = (operation: Operation, choice: number, second: number): boolean | Effect.Effect<void> => {
    const { connection } = it
    const needs = operations[operation][1]
    if (needs === "Ready" ? model.state !== "Ready" : needs === "open" && model.state === "Closed") return false
    const [line] = peer.unanswered
    switch (operation) {
      case "command":
      case "pipeline":
      case "transaction":
      case "send and give up": {
        if (connection === undefined) return false
        if (operation === "send and give up") giveUp(ask(connection, kinds[second], timeouts[choice]))
        // How many of them a full socket is given depends on when they are many enough.
        else if (operation !== "command" || model.isFull) ask(connection, operation, timeouts[choice])
        else for (let i = 0; i <= 2 * second; i++) ask(connection, operation, timeouts[(choice + i) % 6])
        return true
      }
      case "say": {
        if (connection === undefined) return false
        const words = ["SAY", String(asking.length)]
        const one: Asking = {
          asked: asked("own", words[1], [words.join(" ")], commandTimeout, model.now),
          ends: [],
          request: undefined
        }
        asking.push(one)
        one.fiber = fork(connection.say(words, (request) => {
          one.request = request
        }))
        one.fiber.addObserver((exit) => one.ends.push(told(exit)))
        if (model.state === "Ready") model.send(one.asked)
        else model.end(one.asked, "ConnectionLost false")
        return true
      }
      case "give up": {
        const live = asking.filter(({ asked }) => isLive(asked) && model.queued.includes(asked))
        if (live.length > 0) giveUp(live[choice % live.length])
        return live.length > 0
      }
      case "time":
        return pass(times[choice])
      case "answer":
      case "part": {
        if (line === undefined) return false
        if (operation === "answer") say(answers(choice < 3 ? 1 : choice))
        else {
          const [frame] = answers(1)
          say([frame], 1 + (choice * 7 + second) % (frame.bytes.length - 1))
        }
        return true
      }
      case "error": {
        if (line === undefined || model.state === "Connecting") return false
        peer.unanswered.shift()
        const isDiscarded = line.startsWith("EXEC") && second > 0
        say([error(isDiscarded ? "EXECABORT discarded" : `WRONGTYPE no ${line.replace(/^ECHO.*/, "text")}`)])
        return true
      }
      case "refuse MULTI":
      case "refuse ECHO":
      case "answer ECHO wrongly": {
        const name = operation === "refuse MULTI" ? "MULTI" : "ECHO"
        const at = peer.unanswered.findIndex((line) => line.startsWith(name))
        if (at === -1) return false
        // Those before it have their answers first.
        const before = answers(at)
        const [answer] = answers(1)
        if (operation === "refuse MULTI") say([...before, error("NOPERM no MULTI for you")])
        else if (operation === "refuse ECHO") say([...before, error("ERR unknown command 'ECHO'")])
        else say([...before, ...(choice < 3 ? [blob("hitless")] : [answer, answer])])
        return true
      }
      case "push":
        say([{ bytes: `>2\r\n+any\r\n:${++seq}\r\n`, value: seq, isPush: true }])
        return true
      case "extra":
      case "drop":
        if (operation === "drop" && (line === undefined || model.state === "Connecting")) return false
        // What it has begun to say was before that.
        if (held !== undefined) say([])
        model.isOutOfStep ||= operation === "drop" || model.written.length > 0
        if (operation === "drop") peer.unanswered.shift()
        else say([simple(choice < 3 ? welcome : "extra")])
        return true
      case "fill":
        if (model.isFull) return false
        peer.setFull(true)
        model.isFull = true
        return true
      case "empty":
        if (!model.isFull) return false
        peer.setFull(false)
        model.empty()
        return true
      case "relax": {
        if (connection === undefined) return false
        const { address: endpoint, subject } = connection
        const millis = times[choice]
        const time = Duration.millis(millis)
        const isOfOne = second === 0
        if (isOfOne) windows.relaxAfterHandoff(subject, millis, model.now)
        else {windows.notify(
            { _tag: "Migrating", endpoint, seq: String(++seq), time, shards: [] },
            true,
            model.now
          )}
        model.windows.push(
          isOfOne ? { endsAt: model.now + millis, seq: 0 } : { endsAt: model.now + millis + relaxed, seq }
        )
        return true
      }
      case "end relaxation": {
        const window = model.windows.find(({ seq }) => seq > 0)
        if (connection === undefined || window === undefined) return false
        const { address: endpoint } = connection
        windows.notify({ _tag: "Migrated", endpoint, seq: String(window.seq), shards: [] }, true, model.now)
        model.endWindows((other) => other === window)
        model.tick()
        return true
      }
      case "probes":
        it.mayProve = model.mayProve = choice > 1
        return true
      case "drain":
        if (connection === undefined) return false
        drain(connection, model.now + drainTimes[choice])
        model.drain(model.now + drainTimes[choice])
        model.tick()
        return true
      case "close":
        if (connection === undefined) connecting.interruptUnsafe()
        else connection.close("it is not wanted")
        model.abandon()
        return true
      case "hang up":
        peer.lose(new Socket.SocketCloseError({ code: 1000 }), false)
        model.close("ConnectionLost")
        return true
      case "reset":
        peer.lose(new Socket.SocketReadError({ cause: new Error("reset") }), second > 0 && model.isWriting)
        model.close("ConnectionLost")
        return true
    }
  }

  if (isGreeted) say(answers(Infinity))
  yield* settle
  let before: Operation | undefined
  let left = 3
  let taken = 0
  for (const [at, choice, second] of steps) {
    taken++
    const from = model.state
    it.lesses = 0
    model.less = false
    // Some come later than the one before, so that probes are due.
    if (choice === 0) yield* pass(700)
    for (let tried = 0; tried < weighted.length; tried++) {
      // What is impossible now gives its turn to another.
      const operation = weighted[(at + tried * 37) % weighted.length]
      if (taken <= peace && trouble.has(operation)) continue
      const done = operate(operation, choice, second)
      if (done === false) continue
      story.push(`${operation} ${choice} ${second}`)
      if (done !== true) yield* done
      if (before !== undefined) pairs.add(`${before}, ${operation}`)
      before = operation
      break
    }
    yield* settle
    if (from !== model.state) edges.add(`${from} → ${model.state}`)
    // What comes after the end is looked at too, and not for long.
    if (model.state === "Closed" && left-- === 0) break
  }
  story.push("the end")
  it.lesses = 0
  model.less = false
  connecting.interruptUnsafe()
  yield* Scope.close(scope, Exit.void)
  model.abandon()
  yield* settle
  return taken
})

/** Defects that were found, as steps. */
const found: Readonly<Record<string, ReadonlyArray<readonly [Operation, choice: number, second: number]>>> = {
  "notices that its peer is silent behind a command that had more time": [
    ["probes", 1, 0],
    ["command", 4, 0],
    ["command", 1, 0],
    ["time", 5, 0],
    ["answer", 1, 0],
    ["time", 5, 0]
  ],
  "ends what it asked for itself in time when a window has ended": [
    ["relax", 5, 0],
    ["say", 1, 0],
    ["time", 5, 0],
    ["time", 5, 0]
  ]
}

describe("a connection", { concurrent: false }, () => {
  it.effect.prop(
    "is what its model is, in whatever order it is asked, answered, given up, left and lost",
    [index(7), Arbitrary.array(step, { minLength: 60, maxLength: 120 })],
    ([way, steps]) =>
      Effect.gen(function*() {
        let taken = 0
        for (let nth = way; taken < steps.length; nth++) {
          taken += yield* live(steps.slice(taken), 3 * (nth % 8), nth % 8 > 0, nth % 2 === 0)
        }
      }),
    { timeout: 120_000, arbitrary: { runs: 1000, seed: 1 } }
  )

  for (const [what, steps] of Object.entries(found)) {
    it.effect(what, () => live(steps.map(([name, ...how]) => [weighted.indexOf(name), ...how]), 0, true, false))
  }

  it("was seen to go from each state to each that may follow", () => {
    const states: ReadonlyArray<State> = ["Connecting", "Ready", "Draining", "Closed"]
    const legal = states.flatMap((from) => states.filter((to) => isLegal(from, to)).map((to) => `${from} → ${to}`))
    assert.deepStrictEqual(Array.from(edges).sort(), legal.sort())
  })

  it("was seen to do each thing after each, where that is possible", () => {
    const isPossible = (first: Operation, second: Operation) => {
      const needs = operations[second][1]
      if (ends.has(first)) return needs === "anything"
      if (first === second) return first !== "fill" && first !== "empty" && first !== "refuse ECHO"
      if (first === "refuse ECHO") return second !== "answer ECHO wrongly"
      return first !== "drain" || needs !== "Ready"
    }
    const possible = names.flatMap((first) =>
      names.filter((second) => isPossible(first, second)).map((second) => `${first}, ${second}`)
    )
    assert.deepStrictEqual(possible.filter((pair) => !pairs.has(pair)), [])
  })
})
