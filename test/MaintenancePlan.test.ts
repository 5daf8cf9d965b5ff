import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Schema from "effect/Schema"
import * as MaintenancePlan from "../src/testing/MaintenancePlan.ts"

const {
  concat,
  delay,
  failover,
  format,
  fromJson,
  inPlaceUpgrade,
  make,
  rebind,
  repeat,
  rollingUpgrade,
  silentFailure,
  toJson
} = MaintenancePlan

/** What `make` says of something that is no plan, without the heading that all messages have. */
const complaints = (input: unknown) =>
  Effect.map(Effect.flip(make(input as MaintenancePlan.PlanInput)), ({ message }) => {
    const [heading, ...lines] = message.split("\n- ")
    assert.strictEqual(heading, "Invalid maintenance plan:")
    return lines
  })

const timeRule = "must be a duration of at least 0 in whole milliseconds, such as \"15 seconds\" or 15000"
const nameRule = "must be a name of 1 to 253 visible characters"
const nodesRule = "must be at least one name, each of 1 to 253 visible characters and there once"
const handshakeRule = "must be { _tag: \"Answer\", delay? }, { _tag: \"DropAfterBytes\", bytes }, or a _tag of " +
  "\"HangBeforeHello\", \"HangAfterHello\" or \"NoAuth\" alone"
const elementsRule = "must be a list of at least one text, integer, null or list of them, nested no deeper than 127"
const shardsRule = "must be a list of at least one shard's name; leave it out for a shard \"1\""
const targetRule = "must be the name of a node, or null"
const stepsRule = "must be a list of at most 100000 steps"
const kinds = [
  "migrating",
  "migrated",
  "failingOver",
  "failedOver",
  "moving",
  "stall",
  "latency",
  "handshake",
  "kill",
  "drop",
  "refuse",
  "accept",
  "duplicate",
  "replay",
  "malformed",
  "push",
  "dns",
  "readonly",
  "loading"
]
const stepRule = `must be one of ${kinds.join(", ")}`

/** One step of every kind, with all its fields, and their words. */
const everyStep: ReadonlyArray<readonly [MaintenancePlan.StepInput, words: string]> = [
  [
    { step: "migrating", at: 0, node: "a", time: "1500 millis", shards: ["1", "2"] },
    "announces MIGRATING of shards 1, 2 within 2s"
  ],
  [{ step: "migrated", at: 1, node: "a", shards: ["1"] }, "announces MIGRATED of shard 1"],
  [{ step: "failingOver", at: 2, node: "a", time: "10 seconds" }, "announces FAILING_OVER within 10s"],
  [{ step: "failedOver", at: 3, node: "a" }, "announces FAILED_OVER"],
  [
    { step: "moving", at: 4, node: "a", target: "b", time: "15 seconds", seq: 7 },
    "announces MOVING to b within 15s as number 7"
  ],
  [{ step: "moving", at: 5, node: "a", target: null, time: 0 }, "announces MOVING without a target within 0"],
  [{ step: "stall", at: 6, node: "a", duration: { minutes: 1, seconds: 30 } }, "executes nothing for 1m 30s"],
  [{ step: "latency", at: 7, node: "a", delay: "20 millis" }, "sends everything 20ms late"],
  [{ step: "latency", at: 8, node: "a", delay: 0 }, "sends everything at once"],
  [{ step: "handshake", at: 9, node: "a", handshake: { _tag: "Answer" } }, "answers handshakes as usual"],
  [
    { step: "handshake", at: 10, node: "a", handshake: { _tag: "Answer", delay: [1, 0] } },
    "answers HELLO 1s late"
  ],
  [
    { step: "handshake", at: 11, node: "a", handshake: { _tag: "HangBeforeHello" } },
    "accepts connections and never answers"
  ],
  [
    { step: "handshake", at: 12, node: "a", handshake: { _tag: "HangAfterHello" } },
    "answers the first command of a connection and no other"
  ],
  [{ step: "handshake", at: 13, node: "a", handshake: { _tag: "NoAuth" } }, "answers every command with NOAUTH"],
  [
    { step: "handshake", at: 14, node: "a", handshake: { _tag: "DropAfterBytes", bytes: 10 } },
    "closes new connections after 10 bytes of answers"
  ],
  [{ step: "kill", at: 15, node: "a" }, "kills its connections"],
  [{ step: "drop", at: 16, node: "a" }, "closes its connections without notice"],
  [{ step: "refuse", at: 17, node: "a" }, "refuses new connections"],
  [{ step: "accept", at: 18, node: "a" }, "accepts new connections again"],
  [{ step: "duplicate", at: 19, node: "a" }, "sends its last announcement once more"],
  [{ step: "replay", at: 20, node: "a" }, "sends the database's last completion once more"],
  [{ step: "malformed", at: 21, node: "a" }, "sends a MOVING that cannot be read"],
  [
    { step: "push", at: 22, node: "a", elements: ["SMIGRATED", 5, [["a:1", "b:2", "1\n7-9"]], null] },
    "pushes [\"SMIGRATED\",5,[[\"a:1\",\"b:2\",\"1\\n7-9\"]],null]"
  ],
  [{ step: "push", at: 23, node: "a", elements: ["x".repeat(1000)] }, `pushes ["${"x".repeat(77)}…`],
  [{ step: "dns", at: 24, name: "redis.test", target: "b" }, "leads to b"],
  [{ step: "dns", at: 25, name: "redis.test", target: null }, "does not resolve"],
  [{ step: "readonly", at: 26, node: "a", duration: 2000n * 1_000_000n }, "refuses writes for 2s"],
  [{ step: "loading", at: 27, node: "a", duration: Duration.seconds(3) }, "is loading its data for 3s"]
]

const everything: MaintenancePlan.PlanInput = { nodes: ["a", "b"], steps: everyStep.map(([step]) => step) }

/** Plans of steps at a few times, so that many steps are at the same one. */
const Generated = Schema.Struct({
  steps: Schema.Array(Schema.Struct({
    index: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: everyStep.length - 1 })),
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
  })).check(Schema.isMaxLength(12)),
  name: Schema.Literals(["b", "c", "__proto__", "é ü"]),
  rest: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
})

const generate = ({ name, rest, steps }: typeof Generated.Type): Effect.Effect<MaintenancePlan.MaintenancePlan> =>
  Effect.orDie(make({
    nodes: ["a", name],
    steps: steps.map(({ at, index }) => {
      const [step] = everyStep[index]
      return "target" in step && step.target !== null
        ? { ...step, at: at * 700, target: name }
        : { ...step, at: at * 700 }
    }),
    duration: 5 * 700 + rest
  }))

describe("MaintenancePlan", () => {
  describe("make", () => {
    it.effect("knows every kind of step", () =>
      Effect.gen(function*() {
        const plan = yield* make(everything)
        assert.deepStrictEqual([...new Set(plan.steps.map(({ step }) => step))], kinds)
      }))

    it.effect("sorts steps by their time and keeps the order of those at the same time", () =>
      Effect.gen(function*() {
        const plan = yield* make({
          nodes: ["a"],
          steps: [
            { step: "accept", at: "2 seconds", node: "a" },
            { step: "refuse", at: 1000, node: "a" },
            { step: "kill", at: "1 second", node: "a" },
            { step: "drop", at: { seconds: 1 }, node: "a" },
            { step: "replay", at: 0, node: "a" }
          ]
        })
        assert.deepStrictEqual(plan.steps.map(({ step }) => step), ["replay", "refuse", "kill", "drop", "accept"])
      }))

    it.effect.each<[what: string, steps: ReadonlyArray<MaintenancePlan.StepInput>, expected: Duration.Duration]>([
      ["no time without steps", [], Duration.zero],
      ["until its last step", [{ step: "kill", at: "3 seconds", node: "a" }], Duration.seconds(3)],
      [
        "until the announced time is over, in whole seconds",
        [{ step: "moving", at: 500, node: "a", target: null, time: 1200 }, { step: "kill", at: 1, node: "a" }],
        Duration.millis(2500)
      ],
      [
        "until a state is over",
        [{ step: "loading", at: 500, node: "a", duration: 1200 }, { step: "kill", at: 1600, node: "a" }],
        Duration.millis(1700)
      ]
    ])("lasts %s unless a duration is given", ([_, steps, expected]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* make({ nodes: ["a"], steps, duration: undefined })).duration, expected)
        assert.deepStrictEqual(
          (yield* make({ nodes: ["a"], steps, duration: "1 hour" })).duration,
          Duration.hours(1)
        )
      }))

    it.effect("treats undefined fields as not given", () =>
      Effect.gen(function*() {
        const plan = yield* make({
          nodes: ["a"],
          steps: [{ step: "migrated", at: 0, node: "a", shards: undefined }]
        })
        assert.deepStrictEqual(plan.steps, [{ step: "migrated", at: Duration.zero, node: "a" }])
      }))

    it.effect("takes a plan for what it is", () =>
      Effect.gen(function*() {
        const plan = yield* make(everything)
        assert.deepStrictEqual(yield* make(plan), plan)
      }))
  })

  describe("bad plans", () => {
    const at = "1 minute"

    it.effect.each<[what: string, input: unknown, expected: ReadonlyArray<string>]>([
      ["nothing", undefined, ["plan: must be an object with nodes, steps and duration"]],
      ["a list", [], ["plan: must be an object with nodes, steps and duration"]],
      ["an empty object", {}, [`nodes: ${nodesRule}`, `steps: ${stepsRule}`]],
      ["no nodes", { nodes: [], steps: [] }, [`nodes: ${nodesRule}`]],
      ["a node twice", { nodes: ["a", "b", "a"], steps: [] }, [`nodes: ${nodesRule}`]],
      ["a node without a name", { nodes: ["a", ""], steps: [] }, [`nodes: ${nodesRule}`]],
      ["a name with a line break", { nodes: ["a\nb"], steps: [] }, [`nodes: ${nodesRule}`]],
      ["a name with an escape sequence", { nodes: ["\u001B[2J"], steps: [] }, [`nodes: ${nodesRule}`]],
      ["a name of 254 characters", { nodes: ["a".repeat(254)], steps: [] }, [`nodes: ${nodesRule}`]],
      [
        "an unknown field",
        { nodes: ["a"], steps: [], length: 1 },
        ["length: is not a field of a plan, which has nodes, steps and duration"]
      ],
      ["a negative duration", { nodes: ["a"], steps: [], duration: -1 }, [`duration: ${timeRule}`]],
      ["an endless duration", { nodes: ["a"], steps: [], duration: "Infinity" }, [`duration: ${timeRule}`]],
      [
        "a length beyond what a clock counts",
        { nodes: ["a"], steps: [{ step: "stall", at: 1, node: "a", duration: Number.MAX_SAFE_INTEGER }] },
        [`duration: ${timeRule}`]
      ],
      ["steps that are none", { nodes: ["a"], steps: "kill" }, [`steps: ${stepsRule}`]]
    ])("names what is wrong with %s", ([_, input, expected]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* complaints(input), expected)
      }))

    it.effect.each<[what: string, step: unknown, expected: ReadonlyArray<string>]>([
      ["null", null, ["steps[1]: must be an object with step, at and the fields of that step"]],
      ["a list", [], ["steps[1]: must be an object with step, at and the fields of that step"]],
      ["no kind", { at }, [`steps[1] (at 1m), step: ${stepRule}`]],
      ["an unknown kind", { step: "move", at }, [`steps[1] (at 1m), step: ${stepRule}`]],
      ["an inherited kind", { step: "constructor" }, [`steps[1], step: ${stepRule}`]],
      [
        "missing fields",
        { step: "moving" },
        [
          `steps[1] (moving), at: ${timeRule}`,
          `steps[1] (moving), node: ${nameRule}`,
          `steps[1] (moving), target: ${targetRule}`,
          `steps[1] (moving), time: ${timeRule}`
        ]
      ],
      [
        "an unknown field",
        { step: "kill", at, node: "a", target: "c" },
        ["steps[1] (kill, at 1m), target: is not a field of kill, which has at, node"]
      ],
      [
        "a prototype as a field",
        JSON.parse("{\"step\":\"kill\",\"at\":60000,\"node\":\"a\",\"__proto__\":{\"node\":\"b\"}}"),
        ["steps[1] (kill, at 1m), __proto__: is not a field of kill, which has at, node"]
      ],
      ["a negative time", { step: "kill", at: -1, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["no number", { step: "kill", at: NaN, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["an endless time", { step: "kill", at: Infinity, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["half a millisecond", { step: "kill", at: 0.5, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["text that is no time", { step: "kill", at: "soon", node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["an unknown unit", { step: "kill", at: { second: 1 }, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["no unit", { step: "kill", at: {}, node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      ["seconds that are no number", { step: "kill", at: [NaN, 0], node: "a" }, [`steps[1] (kill), at: ${timeRule}`]],
      [
        "a time of a thousand digits",
        { step: "kill", at: `1.${"0".repeat(1000)} seconds`, node: "a" },
        [`steps[1] (kill), at: ${timeRule}`]
      ],
      [
        "an object that passes for a duration",
        { step: "kill", at: { "~effect/time/Duration": 1 }, node: "a" },
        [`steps[1] (kill), at: ${timeRule}`]
      ],
      [
        "a time after the end",
        { step: "kill", at: "61 minutes", node: "a" },
        ["steps[1] (kill, at 1h 1m), at: must not be after the end of the plan, 1h"]
      ],
      [
        "an unknown node",
        { step: "kill", at, node: "c" },
        ["steps[1] (kill, at 1m), node: there is no node \"c\"; the plan's nodes are a, b"]
      ],
      [
        "an unknown target",
        { step: "moving", at: "90 seconds", node: "a", target: "c", time: 1 },
        ["steps[1] (moving, at 1m 30s), target: there is no node \"c\"; the plan's nodes are a, b"]
      ],
      [
        "a name that leads to no node",
        { step: "dns", at, name: "redis.test", target: "c" },
        ["steps[1] (dns, at 1m), target: there is no node \"c\"; the plan's nodes are a, b"]
      ],
      [
        "a move to where it starts",
        { step: "moving", at, node: "a", target: "a", time: 1 },
        ["steps[1] (moving, at 1m), target: must be another node than the one that is left"]
      ],
      [
        "a target that is no name",
        { step: "moving", at, node: "a", target: 1, time: 1 },
        [`steps[1] (moving, at 1m), target: ${targetRule}`]
      ],
      [
        "a negative number of an announcement",
        { step: "moving", at, node: "a", target: "b", time: 1, seq: -1 },
        ["steps[1] (moving, at 1m), seq: must be an integer of at least 0"]
      ],
      [
        "no shards",
        { step: "migrated", at, node: "a", shards: [] },
        [`steps[1] (migrated, at 1m), shards: ${shardsRule}`]
      ],
      [
        "no elements",
        { step: "push", at, node: "a", elements: [] },
        [`steps[1] (push, at 1m), elements: ${elementsRule}`]
      ],
      [
        "an element that RESP has no integer for",
        { step: "push", at, node: "a", elements: ["MOVING", 1.5] },
        [`steps[1] (push, at 1m), elements: ${elementsRule}`]
      ],
      [
        "an unknown handshake",
        { step: "handshake", at, node: "a", handshake: { _tag: "Refuse" } },
        [`steps[1] (handshake, at 1m), handshake: ${handshakeRule}`]
      ],
      [
        "a handshake with a field of another",
        { step: "handshake", at, node: "a", handshake: { _tag: "NoAuth", bytes: 1 } },
        [`steps[1] (handshake, at 1m), handshake: ${handshakeRule}`]
      ],
      [
        "mistakes of every sort",
        { step: "moving", at: "61 minutes", node: "c", target: "c", time: "soon", sequence: 1 },
        [
          "steps[1] (moving, at 1h 1m), sequence: is not a field of moving, which has at, node, target, time, seq",
          `steps[1] (moving, at 1h 1m), time: ${timeRule}`,
          "steps[1] (moving, at 1h 1m), at: must not be after the end of the plan, 1h",
          "steps[1] (moving, at 1h 1m), node: there is no node \"c\"; the plan's nodes are a, b",
          "steps[1] (moving, at 1h 1m), target: there is no node \"c\"; the plan's nodes are a, b",
          "steps[1] (moving, at 1h 1m), target: must be another node than the one that is left"
        ]
      ]
    ])("names the step and the rule for a step with %s", ([_, step, expected]) =>
      Effect.gen(function*() {
        const input = { nodes: ["a", "b"], steps: [{ step: "kill", at: 0, node: "a" }, step], duration: "1 hour" }
        assert.deepStrictEqual(yield* complaints(input), expected)
      }))

    it.effect("lists mistakes of the plan and of all its steps, by the index as given", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(make({
          nodes: ["a"],
          steps: [
            { step: "kill", at: "2 seconds", node: "b" },
            { step: "kill", at: "1 second", node: "a" },
            { step: "stall", at: 0, node: "c", duration: -1 }
          ],
          duration: "3 weeks ago" as "3 weeks"
        }))
        assert.deepStrictEqual(error.issues, [
          { step: undefined, field: "duration", rule: timeRule },
          {
            step: 0,
            kind: "kill",
            at: Duration.seconds(2),
            field: "node",
            rule: "there is no node \"b\"; the plan's nodes are a"
          },
          { step: 2, kind: "stall", at: Duration.zero, field: "duration", rule: timeRule },
          {
            step: 2,
            kind: "stall",
            at: Duration.zero,
            field: "node",
            rule: "there is no node \"c\"; the plan's nodes are a"
          }
        ])
      }))

    it.effect("does not repeat a long list of nodes", () =>
      Effect.gen(function*() {
        const nodes = Array.from({ length: 12 }, (_, index) => `n${index}`)
        assert.deepStrictEqual(yield* complaints({ nodes, steps: [{ step: "kill", at: 0, node: "n12" }] }), [
          "steps[0] (kill, at 0), node: there is no node \"n12\"; " +
          "the plan's nodes are n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and others"
        ])
      }))

    it.effect("refuses more steps than a plan can have without reading them", () =>
      Effect.gen(function*() {
        const steps = Array.from({ length: MaintenancePlan.maxSteps + 1 })
        assert.deepStrictEqual(yield* complaints({ nodes: ["a"], steps }), [`steps: ${stepsRule}`])
      }))

    it.effect("takes the holes of a list for steps that are none", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* complaints({ nodes: ["a"], steps: new Array(2) }), [
          "steps[0]: must be an object with step, at and the fields of that step",
          "steps[1]: must be an object with step, at and the fields of that step"
        ])
      }))

    it("cannot be constructed past the rules", () => {
      const fields = { nodes: ["a"], duration: Duration.seconds(1) }
      const kill = (at: number, node: string) => ({ step: "kill" as const, at: Duration.millis(at), node })
      assert.lengthOf(new MaintenancePlan.MaintenancePlan({ ...fields, steps: [kill(0, "a"), kill(0, "a")] }).steps, 2)
      assert.throws(() => new MaintenancePlan.MaintenancePlan({ ...fields, steps: [kill(0, "b")] }))
      assert.throws(() => new MaintenancePlan.MaintenancePlan({ ...fields, steps: [kill(1001, "a")] }))
      assert.throws(() => new MaintenancePlan.MaintenancePlan({ ...fields, steps: [kill(1, "a"), kill(0, "a")] }))
      assert.throws(() => new MaintenancePlan.MaintenancePlan({ ...fields, nodes: [], steps: [] }))
    })
  })

  describe("JSON", () => {
    it.effect("has durations as text", () =>
      Effect.gen(function*() {
        const plan = yield* make({
          nodes: ["a", "b"],
          steps: [
            { step: "stall", at: 0, node: "a", duration: 1000 },
            { step: "moving", at: 4400, node: "a", target: null, time: 15_000 },
            { step: "handshake", at: 90_000, node: "b", handshake: { _tag: "Answer", delay: 120_000 } }
          ],
          duration: 86_400_000
        })
        assert.deepStrictEqual(JSON.parse(toJson(plan)), {
          nodes: ["a", "b"],
          steps: [
            { step: "stall", at: "0 millis", node: "a", duration: "1 second" },
            { step: "moving", at: "4400 millis", node: "a", target: null, time: "15 seconds" },
            { step: "handshake", at: "90 seconds", node: "b", handshake: { _tag: "Answer", delay: "2 minutes" } }
          ],
          duration: "1 day"
        })
      }))

    it.effect("reads what people write", () =>
      Effect.gen(function*() {
        const plan = yield* fromJson(`{
          "nodes": ["a"],
          "steps": [
            { "step": "latency", "at": "4.4 seconds", "node": "a", "delay": 20 },
            { "step": "kill", "at": { "seconds": 1, "milliseconds": 5 }, "node": "a" }
          ]
        }`)
        assert.deepStrictEqual(plan.steps, [
          { step: "kill", at: Duration.millis(1005), node: "a" },
          { step: "latency", at: Duration.millis(4400), node: "a", delay: Duration.millis(20) }
        ])
      }))

    it.effect("gives back every step as it was", () =>
      Effect.gen(function*() {
        const plan = yield* make(everything)
        assert.deepStrictEqual(yield* fromJson(toJson(plan)), plan)
      }))

    it.effect.prop(
      "gives back any plan as it was",
      { generated: Generated },
      ({ generated }) =>
        Effect.gen(function*() {
          const plan = yield* generate(generated)
          const again = yield* fromJson(toJson(plan))
          assert.deepStrictEqual(again, plan)
          assert.instanceOf(again, MaintenancePlan.MaintenancePlan)
          const json: unknown = JSON.parse(toJson(plan))
          assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(MaintenancePlan.MaintenancePlan)(json), plan)
        })
    )

    it.effect("says that text is no JSON", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(fromJson("{ nodes: [] }"))
        assert.strictEqual(error._tag, "PlanError")
        assert.match(error.message, /^Invalid maintenance plan:\n- plan: must be JSON: SyntaxError/)
      }))

    it.effect("refuses what is nested without end", () =>
      Effect.gen(function*() {
        const nested = (levels: number) => `${"[".repeat(levels)}1${"]".repeat(levels)}`
        const push = (elements: string) =>
          fromJson(`{"nodes":["a"],"steps":[{"step":"push","at":0,"node":"a","elements":${elements}}]}`)
        assert.lengthOf((yield* push(nested(127))).steps, 1)
        for (const levels of [128, 1_000_000]) {
          const error = yield* Effect.flip(push(nested(levels)))
          assert.deepStrictEqual(error.issues.map(({ rule }) => rule), [elementsRule])
        }
      }))

    it.effect("takes a prototype for the key that it is", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(fromJson("{\"__proto__\":{\"nodes\":[\"a\"],\"steps\":[]}}"))
        assert.deepStrictEqual(error.issues.map(({ field }) => field), ["__proto__", "nodes", "steps"])
        assert.isUndefined(Object.getOwnPropertyDescriptor(Object.prototype, "nodes"))
        const plan = yield* fromJson(
          "{\"nodes\":[\"__proto__\"],\"steps\":[{\"step\":\"kill\",\"at\":0,\"node\":\"__proto__\"}]}"
        )
        assert.strictEqual(format(plan), "0  __proto__  kills its connections\n0  end")
      }))
  })

  describe("words", () => {
    it.effect("has words for every step", () =>
      Effect.gen(function*() {
        const { steps } = yield* make(everything)
        assert.deepStrictEqual(steps.map(MaintenancePlan.describe), everyStep.map(([_, words]) => words))
      }))

    it.effect("names the node of a step, or the name that changes", () =>
      Effect.gen(function*() {
        const { steps } = yield* make({
          nodes: ["a"],
          steps: [{ step: "kill", at: 0, node: "a" }, { step: "dns", at: 1, name: "redis.test", target: null }]
        })
        assert.deepStrictEqual(steps.map(MaintenancePlan.subject), ["a", "redis.test"])
      }))
  })

  describe("builders", () => {
    const timelines: ReadonlyArray<readonly [name: string, plan: MaintenancePlan.MaintenancePlan, timeline: string]> = [
      [
        "a rolling upgrade in a circle",
        rollingUpgrade({ nodes: ["node-1", "node-2", "node-3"] }),
        `
0             node-1      announces MIGRATING within 15s
2s            node-1      announces MIGRATED
4s            node-1      announces MOVING to node-2 within 15s
11s 500ms     redis.test  leads to node-2
39s           node-2      announces MIGRATING within 15s
41s           node-2      announces MIGRATED
43s           node-2      announces MOVING to node-3 within 15s
50s 500ms     redis.test  leads to node-3
1m 18s        node-3      announces MIGRATING within 15s
1m 20s        node-3      announces MIGRATED
1m 22s        node-3      announces MOVING to node-1 within 15s
1m 29s 500ms  redis.test  leads to node-1
1m 57s        end`
      ],
      [
        "a rolling upgrade with times and a name of its own",
        rollingUpgrade({ nodes: ["a", "b"], name: "db.test", time: "1500 millis", pause: "1 second", quiet: 0 }),
        `
0   a        announces MIGRATING within 2s
1s  a        announces MIGRATED
2s  a        announces MOVING to b within 2s
3s  db.test  leads to b
4s  b        announces MIGRATING within 2s
5s  b        announces MIGRATED
6s  b        announces MOVING to a within 2s
7s  db.test  leads to a
8s  end`
      ],
      [
        "a failover",
        failover({ node: "node-1" }),
        `
0    node-1  announces FAILING_OVER within 15s
2s   node-1  executes nothing for 5s
7s   node-1  announces FAILED_OVER
15s  end`
      ],
      [
        "a failover that takes longer than it was announced",
        failover({ node: "node-1", time: "1 second", pause: 0, stall: "1 minute" }),
        `
0   node-1  announces FAILING_OVER within 1s
0   node-1  executes nothing for 1m
1m  node-1  announces FAILED_OVER
1m  end`
      ],
      [
        "an upgrade in place",
        inPlaceUpgrade({ nodes: ["node-1", "node-2"] }),
        `
0    node-1  announces FAILING_OVER within 15s
2s   node-1  refuses new connections
2s   node-1  closes its connections without notice
3s   node-1  accepts new connections again
5s   node-1  announces FAILED_OVER
25s  node-2  announces FAILING_OVER within 15s
27s  node-2  refuses new connections
27s  node-2  closes its connections without notice
28s  node-2  accepts new connections again
30s  node-2  announces FAILED_OVER
50s  end`
      ],
      [
        "an endpoint that moves to a named target",
        rebind({ from: "node-1", to: "node-2" }),
        `
0         node-1      announces MOVING to node-2 within 15s
4s 400ms  redis.test  leads to node-2
15s       end`
      ],
      [
        "an endpoint that moves without a target",
        rebind({ from: "node-1", to: "node-2", target: "null", time: "10 seconds", dnsDelay: "19 seconds" }),
        `
0    node-1      announces MOVING without a target within 10s
19s  redis.test  leads to node-2
19s  end`
      ],
      [
        "a failure that nothing announces",
        silentFailure({ node: "node-1", to: "node-2" }),
        `
0    node-1      refuses new connections
0    node-1      kills its connections
5s   redis.test  leads to node-2
30s  node-1      accepts new connections again
30s  end`
      ]
    ]

    it.each(timelines)("prints %s", (_, plan, timeline) => {
      assert.strictEqual(`\n${format(plan)}`, timeline)
    })

    it.effect.each(timelines)("makes %s a plan that keeps the rules", ([_, plan]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* fromJson(toJson(plan)), plan)
      }))

    it.each<[what: string, build: () => unknown, message: string]>([
      [
        "a rolling upgrade of one node",
        () => rollingUpgrade({ nodes: ["a"] }),
        "MaintenancePlan.rollingUpgrade: Invalid maintenance plan:\n" +
        "- steps[2] (moving, at 4s), target: must be another node than the one that is left"
      ],
      [
        "an upgrade in place of no nodes",
        () => inPlaceUpgrade({ nodes: [] }),
        `MaintenancePlan.inPlaceUpgrade: Invalid maintenance plan:\n- nodes: ${nodesRule}`
      ],
      ["a negative stall", () => failover({ node: "a", stall: -1 }), `MaintenancePlan.failover: stall ${timeRule}`],
      [
        "an endless time",
        () => rebind({ from: "a", to: "b", time: Infinity }),
        `MaintenancePlan.rebind: time ${timeRule}`
      ],
      [
        "a failure that leads to itself",
        () => silentFailure({ node: "a", to: "a" }),
        `MaintenancePlan.silentFailure: Invalid maintenance plan:\n- nodes: ${nodesRule}`
      ]
    ])("throws for %s", (_, build, message) => {
      assert.throws(build, RangeError, message)
    })
  })

  describe("combinators", () => {
    const upgrade = rollingUpgrade({ nodes: ["a", "b"] })
    const quiet = (duration: Duration.Input) => make({ nodes: ["a"], steps: [], duration })

    it("begins the second plan at the end of the first and merges their nodes", () => {
      const plan = pipe(rebind({ from: "a", to: "b" }), concat(silentFailure({ node: "b", to: "c", outage: 6000 })))
      assert.deepStrictEqual(plan.nodes, ["a", "b", "c"])
      assert.strictEqual(
        format(plan),
        `
0         a           announces MOVING to b within 15s
4s 400ms  redis.test  leads to b
15s       b           refuses new connections
15s       b           kills its connections
20s       redis.test  leads to c
21s       b           accepts new connections again
21s       end`.trimStart()
      )
    })

    it.effect("keeps steps of the first plan before those of the second at the same time", () =>
      Effect.gen(function*() {
        const first = yield* make({ nodes: ["a"], steps: [{ step: "refuse", at: 10, node: "a" }] })
        const second = yield* make({ nodes: ["a"], steps: [{ step: "accept", at: 0, node: "a" }] })
        assert.strictEqual(
          format(concat(first, second)),
          "10ms  a    refuses new connections\n10ms  a    accepts new connections again\n10ms  end"
        )
      }))

    it.effect.prop(
      "makes the same of three plans however they are grouped",
      { a: Generated, b: Generated, c: Generated },
      ({ a, b, c }) =>
        Effect.gen(function*() {
          const [first, second, third] = [yield* generate(a), yield* generate(b), yield* generate(c)]
          assert.deepStrictEqual(
            concat(concat(first, second), third),
            concat(first, concat(second, third))
          )
        })
    )

    it.effect("leaves a plan as it is when nothing comes before or after it", () =>
      Effect.gen(function*() {
        const nothing = yield* quiet(0)
        assert.deepStrictEqual(concat(upgrade, nothing), upgrade)
        assert.deepStrictEqual(concat(nothing, upgrade), upgrade)
      }))

    it.effect.prop(
      "adds up delays, none being a delay too",
      {
        generated: Generated,
        first: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })),
        second: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
      },
      ({ first, generated, second }) =>
        Effect.gen(function*() {
          const plan = yield* generate(generated)
          assert.deepStrictEqual(delay(plan, 0), plan)
          assert.deepStrictEqual(pipe(plan, delay(first), delay(second)), delay(plan, first + second))
          assert.deepStrictEqual(delay(plan, first), concat(yield* quiet(first), plan))
        })
    )

    it.effect.prop(
      "repeats a plan as if it were written so many times",
      { generated: Generated, times: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })) },
      ({ generated, times }) =>
        Effect.gen(function*() {
          const plan = yield* generate(generated)
          assert.deepStrictEqual(repeat(plan, 1), plan)
          assert.deepStrictEqual(plan.pipe(repeat(2), delay("1 second")), delay(repeat(plan, 2), "1 second"))
          assert.deepStrictEqual(pipe(plan, repeat(times + 1)), concat(plan, repeat(plan, times)))
        })
    )

    it("keeps the rules of what it puts together", () => {
      const plan = pipe(upgrade, repeat(3), delay("1 hour"), concat(failover({ node: "c" })))
      assert.deepStrictEqual(
        new MaintenancePlan.MaintenancePlan({ nodes: plan.nodes, steps: plan.steps, duration: plan.duration }),
        plan
      )
    })

    it.effect("repeats a plan without steps however often", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(repeat(yield* quiet(1), 1_000_000_000).duration, Duration.millis(1_000_000_000))
      }))

    it.each<[what: string, combine: () => unknown, message: string]>([
      ["a delay that is no time", () => delay(upgrade, -1), `MaintenancePlan.delay: duration ${timeRule}`],
      [
        "no repetition",
        () => repeat(upgrade, 0),
        "MaintenancePlan.repeat: times must be an integer of at least 1, got 0"
      ],
      [
        "half a repetition",
        () => repeat(upgrade, 1.5),
        "MaintenancePlan.repeat: times must be an integer of at least 1, got 1.5"
      ],
      ["too many steps", () => repeat(upgrade, 1e9), `MaintenancePlan.repeat: steps ${stepsRule}`],
      [
        "a length beyond what a clock counts",
        () => concat(delay(upgrade, Number.MAX_SAFE_INTEGER - 1_000_000), delay(upgrade, "1 hour")),
        `MaintenancePlan.concat: duration ${timeRule}`
      ]
    ])("throws for %s", (_, combine, message) => {
      assert.throws(combine, RangeError, message)
    })
  })
})
