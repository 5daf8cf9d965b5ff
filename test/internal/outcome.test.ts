/**
 * What becomes of a request: every event, on every state that a request can have, under every policy.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  AuthenticationFailed,
  Closed,
  CommandTimeout,
  ConnectFailed,
  ConnectionLost,
  type HitlessErrorReason,
  MaintenanceRefused,
  ProtocolViolation
} from "hitless/HitlessError"
import { type DialFailure, type Event, type Facts, type Outcome, outcomeOf } from "../../src/internal/outcome.ts"
import { passingRefusal } from "../../src/internal/replies.ts"
import { Request, type RequestKind, type Words } from "../../src/internal/request.ts"
import { ErrorReply } from "../../src/Resp.ts"

const site = { address: "a:1", protocol: 3 as const }

const nobody = { onReplied: () => {}, onFailed: () => {}, onThrown: () => {}, onSettled: undefined }

type State = "waiting" | "written" | "sent again" | "refused before"

const states: ReadonlyArray<State> = ["waiting", "written", "sent again", "refused before"]

const loading = new ErrorReply("LOADING Redis is loading the dataset in memory")

/** A request that was called at 0 with a second of time. */
const request = (kind: RequestKind, state: State, ...commands: ReadonlyArray<Words>): Request => {
  const made = new Request({
    owner: nobody,
    kind,
    words: commands[0]!,
    batch: kind === "command" ? undefined : commands,
    bytes: false,
    timeout: 1000,
    startedAt: 0,
    resume: () => {}
  })
  if (state === "written" || state === "sent again") made.state = "Written"
  if (state === "sent again") made.replayed = true
  if (state === "refused before") made.refusal = { value: loading, site: { address: "b:1", protocol: 3 as const } }
  return made
}

const facts: Facts = {
  now: 100,
  deadline: 1000,
  window: "MIGRATING 7",
  isClosing: false,
  canResend: true,
  mayRepeat: () => false,
  jitter: 1
}

/** The policies: which commands may run twice, and whether there is any other connection for them. */
const policies: Readonly<Record<string, Partial<Facts>>> = {
  none: {},
  reads: { mayRepeat: ([name]) => name === "GET" },
  all: { mayRepeat: () => true },
  "own connection": { canResend: false },
  closing: { isClosing: true, mayRepeat: () => true }
}

/** An outcome in words. */
const told = (outcome: Outcome): string => {
  switch (outcome._tag) {
    case "Answer":
      return `answer ${JSON.stringify(outcome.value)}`
    case "Resend":
      return outcome.inTurn ? "in turn" : outcome.after === 0 ? "at once" : `after ${outcome.after}`
    case "Fail": {
      const { mayHaveExecuted, reason } = outcome.error
      return `${reason._tag}${mayHaveExecuted ? ", may have run" : ""}`
    }
  }
}

const outcome = (made: Request, event: Event, policy: string, more: Partial<Facts> = {}): string =>
  told(outcomeOf(made, event, { ...facts, ...policies[policy], ...more }))

const causes: ReadonlyArray<HitlessErrorReason> = [
  new ConnectionLost({ ...site, detail: "reset", mayHaveExecuted: false }),
  new ConnectFailed({ kind: "Dropped", detail: "hung up", mayHaveExecuted: false }),
  new CommandTimeout({ afterMillis: 1, mayHaveExecuted: false }),
  new Closed({ mayHaveExecuted: false })
]

describe("A request whose connection is lost", () => {
  // By policy: what becomes of GET and of INCR that were not written, were written, and were sent again before.
  const table: Readonly<Record<string, Readonly<Record<"GET" | "INCR", ReadonlyArray<string>>>>> = {
    none: {
      GET: ["at once", "ConnectionLost, may have run", "ConnectionLost, may have run", "at once"],
      INCR: ["at once", "ConnectionLost, may have run", "ConnectionLost, may have run", "at once"]
    },
    reads: {
      GET: ["at once", "in turn", "in turn", "at once"],
      INCR: ["at once", "ConnectionLost, may have run", "ConnectionLost, may have run", "at once"]
    },
    all: {
      GET: ["at once", "in turn", "in turn", "at once"],
      INCR: ["at once", "in turn", "in turn", "at once"]
    },
    "own connection": {
      GET: ["ConnectionLost", "ConnectionLost, may have run", "ConnectionLost, may have run", "ConnectionLost"],
      INCR: ["ConnectionLost", "ConnectionLost, may have run", "ConnectionLost, may have run", "ConnectionLost"]
    },
    closing: {
      GET: ["Closed", "Closed, may have run", "Closed, may have run", "Closed"],
      INCR: ["Closed", "Closed, may have run", "Closed, may have run", "Closed"]
    }
  }

  for (const [policy, commands] of Object.entries(table)) {
    for (const [name, expected] of Object.entries(commands)) {
      it(`is ${[...new Set(expected)].join(" or ")}: ${name} with policy ${policy}, whatever the cause`, () => {
        for (const cause of causes) {
          const event: Event = { _tag: "Lost", cause, site, isPoison: false }
          assert.deepStrictEqual(
            states.map((state) => outcome(request("command", state, [name]), event, policy)),
            expected,
            cause._tag
          )
        }
      })
    }
  }

  it("is not sent again for bytes that are no RESP, unless it was not written", () => {
    const cause = new ProtocolViolation({ detail: "no RESP", mayHaveExecuted: true })
    const event: Event = { _tag: "Lost", cause, site, isPoison: false }
    const ends = states.map((state) => outcome(request("command", state, ["GET"]), event, "all"))
    const violation = "ProtocolViolation, may have run"
    assert.deepStrictEqual(ends, ["at once", violation, violation, "at once"])
  })

  it("is not sent a third time where it is what connections are lost for, and says so", () => {
    const event: Event = { _tag: "Lost", cause: causes[0]!, site, isPoison: true }
    const ended = outcomeOf(request("command", "sent again", ["GET"]), event, { ...facts, mayRepeat: () => true })
    assert.strictEqual(told(ended), "ConnectionLost, may have run")
    assert.include(ended._tag === "Fail" ? ended.error.message : "", "it is not sent a third time")
    assert.include(ended._tag === "Fail" ? ended.error.message : "", "at a:1 during MIGRATING 7")
  })

  it("is sent again as a batch only if each of its commands may run twice", () => {
    const event: Event = { _tag: "Lost", cause: causes[0]!, site, isPoison: false }
    const batch = (kind: RequestKind, ...names: ReadonlyArray<string>) =>
      outcome(request(kind, "written", ...names.map((name) => [name])), event, "reads")
    assert.strictEqual(batch("pipeline", "GET", "GET"), "in turn")
    assert.strictEqual(batch("pipeline", "GET", "INCR"), "ConnectionLost, may have run")
    assert.strictEqual(batch("transaction", "MULTI", "GET", "EXEC"), "ConnectionLost, may have run")
  })
})

describe("A request that is answered", () => {
  const answered = (made: Request, value: unknown, policy: string, more: Partial<Facts> = {}) =>
    outcome(made, { _tag: "Replied", value, site, passing: passingRefusal(made, value) }, policy, more)

  const passing = [
    loading,
    new ErrorReply("READONLY You can't write against a read only replica."),
    new ErrorReply("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    new ErrorReply("CLUSTERDOWN The cluster is down"),
    new ErrorReply("TRYAGAIN Multiple keys request during rehashing of slot"),
    new ErrorReply("BUSY Redis is busy running a script."),
    new ErrorReply("NOAUTH Authentication required."),
    new ErrorReply("NOPROTO unsupported protocol version")
  ]

  for (const reply of passing) {
    it(`with ${reply.code} did not run, and is sent again where it can be, whatever the retry policy`, () => {
      for (const policy of ["none", "reads", "all"]) {
        assert.strictEqual(answered(request("command", "written", ["INCR"]), reply, policy), "after 20", policy)
      }
      for (const policy of ["own connection", "closing"]) {
        assert.strictEqual(answered(request("command", "written", ["INCR"]), reply, policy), "ServerReplied", policy)
      }
    })
  }

  const lasting: ReadonlyArray<readonly [text: string, end: string]> = [
    ["ERR value is not an integer or out of range", "ServerReplied"],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "ServerReplied"],
    ["NOPERM this user has no permissions to run the 'incr' command", "ServerReplied"],
    // In words of a proxy's own a code proves nothing.
    ["LOADING please wait", "ServerReplied, may have run"],
    ["ERR backend gone", "ServerReplied, may have run"]
  ]

  for (const [text, end] of lasting) {
    it(`with "${text}" is told so, whatever the policy`, () => {
      for (const policy of Object.keys(policies)) {
        assert.strictEqual(answered(request("command", "written", ["INCR"]), new ErrorReply(text), policy), end, policy)
      }
    })
  }

  it("waits longer from one refusal to the next, half a second at most", () => {
    const waits = [0, 1, 2, 3, 4, 5, 10].map((attempts) => {
      const made = request("command", "written", ["GET"])
      made.attempts = attempts
      return answered(made, loading, "none", { deadline: 10_000 })
    })
    assert.deepStrictEqual(
      waits,
      ["after 20", "after 40", "after 80", "after 160", "after 320", "after 500", "after 500"]
    )
  })

  it("is tried closer together near its deadline, and not at all where an answer could not be in time", () => {
    const at = (deadline: number, attempts: number) => {
      const made = request("command", "written", ["GET"])
      made.attempts = attempts
      return answered(made, loading, "none", { now: 10, deadline })
    }
    // Ten milliseconds for the last answer, twenty more for the next.
    assert.strictEqual(at(140, 9), "after 50")
    assert.strictEqual(at(41, 9), "after 1")
    assert.strictEqual(at(40, 9), "ServerReplied")
  })

  it("keeps the values of a pipeline, with an error for each command that has one", () => {
    const made = request("pipeline", "written", ["GET"], ["INCR"])
    const ended = outcomeOf(
      made,
      { _tag: "Replied", value: ["v", new ErrorReply("ERR syntax error")], site, passing: undefined },
      facts
    )
    assert.match(told(ended), /^answer \[.*"v".*ServerReplied.*\]$/)
  })

  it("sends a pipeline again only when nothing of it ran", () => {
    const made = () => request("pipeline", "written", ["GET"], ["INCR"])
    assert.strictEqual(answered(made(), [loading, loading], "none"), "after 20")
    assert.match(answered(made(), ["v", loading], "none"), /^answer/)
  })
})

describe("A request whose time is over", () => {
  const failures: ReadonlyArray<readonly [failure: DialFailure, tag: string]> = [
    [new ConnectFailed({ kind: "Refused", detail: "refused", mayHaveExecuted: false }), "ConnectFailed"],
    [new AuthenticationFailed({ detail: "WRONGPASS", mayHaveExecuted: false }), "AuthenticationFailed"],
    [new MaintenanceRefused({ detail: "ERR", mayHaveExecuted: false }), "MaintenanceRefused"],
    [new ProtocolViolation({ detail: "no RESP", mayHaveExecuted: false }), "ConnectFailed"]
  ]

  const expired = (state: State, at: typeof site | undefined, failure: DialFailure | undefined) =>
    outcome(request("command", state, ["GET"]), { _tag: "Expired", site: at, failure }, "all")

  it("on a connection timed out, and may have run if it was written", () => {
    assert.deepStrictEqual(states.map((state) => expired(state, site, undefined)), [
      "CommandTimeout",
      "CommandTimeout, may have run",
      "CommandTimeout, may have run",
      "CommandTimeout"
    ])
  })

  it("in a queue is told what the server answered last, if it did", () => {
    assert.strictEqual(expired("waiting", undefined, undefined), "CommandTimeout")
    assert.strictEqual(expired("refused before", undefined, undefined), "ServerReplied")
  })

  for (const [failure, tag] of failures) {
    it(`in a queue is told why there is no connection: ${failure._tag}`, () => {
      assert.strictEqual(expired("waiting", undefined, failure), tag)
      assert.strictEqual(expired("refused before", undefined, failure), tag)
      assert.strictEqual(expired("sent again", undefined, failure), `${tag}, may have run`)
    })
  }
})
