/**
 * What happens to a deployment, and when: one vocabulary of timed steps that a rehearsal carries out, that JSON can
 * hold, and that people can read.
 *
 * A plan names its nodes, lists its steps in the order of their times, and has a length. `make` and `fromJson` are the
 * ways in for what users write: they sort the steps, find the length where it is left out, and fail with one `PlanError`
 * that lists every step that breaks a rule. The builders make the plans that deployments follow in reality, and
 * `concat`, `delay` and `repeat` put plans together. Everything here is pure: it never reads a clock, never opens a
 * socket and never runs a plan.
 *
 * **Details**
 *
 * `MaintenancePlan` itself is a Schema whose encoded form is JSON with durations as text (`"15 seconds"`). All times are
 * whole milliseconds, what clocks count, so that adding them up loses nothing. The builders and combinators return
 * plans, not effects: their arguments are constants of a program, and plans nest as expressions. They throw a
 * `RangeError` for arguments that make no plan; what comes from outside goes through `make`.
 *
 * **Gotchas**
 *
 * A plan does not say where a name leads before its first `dns` step; the builders take it to lead to the first of the
 * plan's nodes.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Pipeable } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { durationOf } from "../internal/duration.ts"
import { encoded } from "../internal/printing.ts"
import type { PushElement } from "./SimulatedRedis.ts"

/**
 * The name by which clients know the database; `.test` is reserved for names that resolve nowhere else (RFC 6761).
 *
 * @category constants
 * @since 0.1.0
 */
export const databaseName = "redis.test"

/**
 * The most steps a plan can have. It keeps an endless `repeat` or a forged file from filling the memory, and is far
 * beyond a timeline that anybody reads.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxSteps = 100_000

// ----- values -----

const broken = (message: string): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message })

/** A field with one rule, which is what it breaks whatever part of its schema is not satisfied. */
const field = <S extends Schema.Constraint>(schema: S, rule: string) =>
  Schema.middlewareDecoding<S, S["DecodingServices"]>(Effect.mapError(() => broken(rule)))(schema)
    .annotateKey({ messageMissingKey: rule })

const optionalField = <S extends Schema.Constraint>(schema: S, rule: string) =>
  Schema.optionalKey(field(Schema.UndefinedOr(schema), rule))

/** Milliseconds that a clock can count to exactly, or `NaN` for what is no such time. */
const toMillis = (u: unknown): number => {
  const duration = durationOf(u)
  const millis = duration === undefined ? Number.NaN : Duration.toMillis(duration)
  return isTime(millis) ? millis : Number.NaN
}

const isTime = (millis: number): boolean => Number.isSafeInteger(millis) && millis >= 0

const toDuration = (u: unknown): Duration.Duration | undefined => {
  const millis = toMillis(u)
  return Number.isNaN(millis) ? undefined : Duration.millis(millis)
}

const textUnits = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]] as const

/** The text that `Duration.fromInput` reads as this very duration, in the largest unit that divides it. */
const toText = (duration: Duration.Duration): Duration.Input => {
  const millis = Duration.toMillis(duration)
  const [unit, length] = textUnits.find(([_, length]) => millis >= length && millis % length === 0) ?? ["milli", 1]
  const count = millis / length
  return count === 1 ? `${count} ${unit}` : `${count} ${unit}s`
}

const Time = Schema.declare((u): u is Duration.Input => !Number.isNaN(toMillis(u))).pipe(
  Schema.decodeTo(Schema.Duration.check(Schema.makeFilter((duration) => isTime(Duration.toMillis(duration)))), {
    decode: SchemaGetter.transform((input) => Duration.millis(toMillis(input))),
    encode: SchemaGetter.transform(toText)
  })
)

const timeRule = "must be a duration of at least 0 in whole milliseconds, such as \"15 seconds\" or 15000"

// As long as a name of the DNS can be (RFC 1035). Invisible characters would spoil, or forge, a printed timeline.
const Name = Schema.String.check(Schema.isPattern(/^[^\p{C}\p{Zl}\p{Zp}]{1,253}$/u))

const nameRule = "must be a name of 1 to 253 visible characters"

const Nodes = Schema.Array(Name).check(
  Schema.makeFilter((names) => names.length > 0 && new Set(names).size === names.length)
)

const nodesRule = "must be at least one name, each of 1 to 253 visible characters and there once"

// What this package's decoder reads: 128 levels (Resp), one of which is the push itself.
const maxNesting = 127

const isElement = (u: unknown, nesting: number): u is PushElement =>
  Array.isArray(u)
    ? nesting < maxNesting && u.every((element) => isElement(element, nesting + 1))
    : u === null || typeof u === "string" || Number.isSafeInteger(u)

const Elements = Schema.declare((u): u is ReadonlyArray<PushElement> =>
  Array.isArray(u) && u.length > 0 && isElement(u, 0)
)

/**
 * How a node treats the handshake of connections that it accepts from now on.
 *
 * - `Answer`: as usual; the answer to `HELLO`, and what comes after it, is delayed by `delay`.
 * - `HangBeforeHello`: the connection is accepted and nothing is ever answered.
 * - `HangAfterHello`: the first command is answered and no other.
 * - `NoAuth`: every command is answered with `-NOAUTH`.
 * - `DropAfterBytes`: the connection is closed once that many bytes of answers were sent.
 *
 * @category models
 * @since 0.1.0
 */
export const Handshake = Schema.Union([
  Schema.TaggedStruct("Answer", { delay: Schema.optional(Time) }),
  Schema.TaggedStruct("HangBeforeHello", {}),
  Schema.TaggedStruct("HangAfterHello", {}),
  Schema.TaggedStruct("NoAuth", {}),
  Schema.TaggedStruct("DropAfterBytes", { bytes: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)) })
]).pipe(Schema.toTaggedUnion("_tag"))

/**
 * The type of `Handshake`.
 *
 * @category models
 * @since 0.1.0
 */
export type Handshake = typeof Handshake.Type

const handshakeRule = "must be { _tag: \"Answer\", delay? }, { _tag: \"DropAfterBytes\", bytes }, or a _tag of " +
  "\"HangBeforeHello\", \"HangAfterHello\" or \"NoAuth\" alone"

// ----- steps -----

const time = field(Time, timeRule)

const atNode = { at: time, node: field(Name, nameRule) }

const shards = optionalField(
  Schema.NonEmptyArray(Name),
  "must be a list of at least one shard's name; leave it out for a shard \"1\""
)

const target = field(Schema.NullOr(Name), "must be the name of a node, or null")

/**
 * Something that happens, `at` a time since the plan's beginning. `step` says what.
 *
 * **Details**
 *
 * - `migrating`, `failingOver`: the node announces that shards move, or fail over, within `time`. `migrated` and
 *   `failedOver` announce the end of it. Announced times are whole seconds on the wire, rounded up.
 * - `moving`: the node announces that its endpoint is left for the node `target` within `time`; `null` names nobody.
 *   `seq` is the announcement's number, the next one unless given.
 * - `stall`: the node executes nothing for `duration`, then all that came meanwhile.
 * - `latency`: everything the node sends comes `delay` late from now on; 0 ends that.
 * - `handshake`: how the node treats connections that it accepts from now on.
 * - `kill`: the node's connections are destroyed, and what it had not yet written is lost. `drop`: they are closed in
 *   order, without notice.
 * - `refuse`: the node takes no new connections; `accept`: it takes them again.
 * - `duplicate`: the node's last announcement is sent once more, with its number. `replay`: the database's last
 *   completion is, as servers do to a connection that opts in. `malformed`: a `MOVING` that cannot be read is sent.
 * - `push`: any push, for what has no step of its own.
 * - `dns`: the name leads to the node `target` from now on; with `null` it does not resolve.
 * - `readonly`, `loading`: for `duration` the node refuses writes, or all commands, as Redis does in these states.
 *
 * @category models
 * @since 0.1.0
 */
export const Step = Schema.Union([
  Schema.Struct({ step: Schema.Literal("migrating"), ...atNode, time, shards }),
  Schema.Struct({ step: Schema.Literal("migrated"), ...atNode, shards }),
  Schema.Struct({ step: Schema.Literal("failingOver"), ...atNode, time, shards }),
  Schema.Struct({ step: Schema.Literal("failedOver"), ...atNode, shards }),
  Schema.Struct({
    step: Schema.Literal("moving"),
    ...atNode,
    target,
    time,
    seq: optionalField(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)), "must be an integer of at least 0")
  }),
  Schema.Struct({ step: Schema.Literal("stall"), ...atNode, duration: time }),
  Schema.Struct({ step: Schema.Literal("latency"), ...atNode, delay: time }),
  Schema.Struct({ step: Schema.Literal("handshake"), ...atNode, handshake: field(Handshake, handshakeRule) }),
  Schema.Struct({ step: Schema.Literal("kill"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("drop"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("refuse"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("accept"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("duplicate"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("replay"), ...atNode }),
  Schema.Struct({ step: Schema.Literal("malformed"), ...atNode }),
  Schema.Struct({
    step: Schema.Literal("push"),
    ...atNode,
    elements: field(
      Elements,
      `must be a list of at least one text, integer, null or list of them, nested no deeper than ${maxNesting}`
    )
  }),
  Schema.Struct({ step: Schema.Literal("dns"), at: time, name: field(Name, nameRule), target }),
  Schema.Struct({ step: Schema.Literal("readonly"), ...atNode, duration: time }),
  Schema.Struct({ step: Schema.Literal("loading"), ...atNode, duration: time })
]).pipe(Schema.toTaggedUnion("step"))

/**
 * The type of `Step`.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = typeof Step.Type

/**
 * A step as it is written down: with any form of `Duration.Input` for its times.
 *
 * @category models
 * @since 0.1.0
 */
export type StepInput = typeof Step.Encoded

/** A rule that a field breaks. */
interface Violation {
  readonly field: string
  readonly rule: string
}

/** What of a step concerns the plan around it, as far as it could be read. */
interface Relations {
  readonly at?: Duration.Duration | undefined
  readonly node?: unknown
  readonly target?: unknown
}

/** The names, but not more of them than a message can hold. */
const someOf = (names: ReadonlySet<string>): string =>
  [...names].slice(0, 10).join(", ") + (names.size > 10 ? " and others" : "")

const violationsOfPlan = (
  { at, node, target }: Relations,
  nodes: ReadonlySet<string> | undefined,
  duration: Duration.Duration | undefined
): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const mustBeThere = (field: string, name: unknown): void => {
    if (nodes === undefined || typeof name !== "string" || nodes.has(name)) return
    found.push({ field, rule: `there is no node "${name}"; the plan's nodes are ${someOf(nodes)}` })
  }
  if (at !== undefined && duration !== undefined && Duration.isGreaterThan(at, duration)) {
    found.push({ field: "at", rule: `must not be after the end of the plan, ${Duration.format(duration)}` })
  }
  mustBeThere("node", node)
  mustBeThere("target", target)
  // Only a move has both.
  if (typeof target === "string" && target === node) {
    found.push({ field: "target", rule: "must be another node than the one that is left" })
  }
  return found
}

// ----- plans -----

const stepsRule = `must be a list of at most ${maxSteps} steps`

/**
 * A plan: at least one node, the steps in the order of their times, and a length that no step lies beyond.
 *
 * **Details**
 *
 * It is the Schema of its own JSON, in which every field is there and the steps are in order; `fromJson` reads what
 * people write. The constructor throws for what is no plan.
 *
 * @category models
 * @since 0.1.0
 */
export class MaintenancePlan extends Schema.Class<MaintenancePlan>("hitless/testing/MaintenancePlan")(
  Schema.Struct({
    nodes: field(Nodes, nodesRule),
    steps: Schema.Array(Step).check(Schema.isMaxLength(maxSteps)),
    duration: time
  }).check(Schema.makeFilter(({ duration, nodes, steps }) => {
    const names = new Set(nodes)
    return steps.flatMap((step, index) => {
      const found = violationsOfPlan(step, names, duration).map(({ field, rule }) => ({
        path: ["steps", index, field],
        issue: rule
      }))
      if (index > 0 && Duration.isLessThan(step.at, steps[index - 1].at)) {
        found.push({ path: ["steps", index, "at"], issue: "must not be before the step it follows" })
      }
      return found
    })
  }))
) {
  // Schema's classes have it, and their types do not say so.
  declare readonly pipe: Pipeable["pipe"]
}

/**
 * What `make` takes. `steps` can be in any order; without `duration` a plan lasts until the effect of its last step is
 * over: an announced time, or the duration of a state.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlanInput {
  readonly nodes: ReadonlyArray<string>
  readonly steps: ReadonlyArray<StepInput>
  readonly duration?: Duration.Input | undefined
}

/**
 * What was written down is no plan. `issues` has one entry for each rule that is broken.
 *
 * **Details**
 *
 * `step` is the step's index as it was given, from 0 on, `undefined` for what concerns the whole plan; `kind` and `at`
 * are what could be read of that step.
 *
 * @category errors
 * @since 0.1.0
 */
export class PlanError extends Schema.Error<PlanError>("hitless/testing/MaintenancePlan/PlanError")({
  _tag: Schema.tag("PlanError"),
  issues: Schema.Array(Schema.Struct({
    step: Schema.UndefinedOr(Schema.Int),
    kind: Schema.optionalKey(Schema.String),
    at: Schema.optionalKey(Schema.Duration),
    field: Schema.String,
    rule: Schema.String
  }))
}) {
  override get message(): string {
    return `Invalid maintenance plan:${this.issues.map((issue) => `\n- ${place(issue)}: ${issue.rule}`).join("")}`
  }
  override toJSON(): object {
    return encoded(this, { issues: this.issues })
  }
  /** @internal */
  override [NodeInspectSymbol](): unknown {
    return this.stack ?? `${this}`
  }
}

type Issue = PlanError["issues"][number]

const place = ({ at, field, kind, step }: Issue): string => {
  if (step === undefined) return field
  const known = [kind, at && `at ${Duration.format(at)}`].filter((part) => part !== undefined)
  return `steps[${step}]${known.length === 0 ? "" : ` (${known.join(", ")})`}${field === "" ? "" : `, ${field}`}`
}

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const violationsOfSchema = ({ issue }: Schema.SchemaError): ReadonlyArray<Violation> =>
  formatIssues(issue).issues.map(({ message, path = [] }) => ({ field: path.map(String).join("."), rule: message }))

// A misspelt field would otherwise be ignored, and its default used, without a word.
const strict = { errors: "all", onExcessProperty: "error" } as const

const decodeInput = Schema.decodeUnknownResult(
  Schema.Struct({
    nodes: field(Nodes, nodesRule),
    steps: field(Schema.Array(Schema.Unknown).check(Schema.isMaxLength(maxSteps)), stepsRule),
    duration: optionalField(Time, timeRule)
  }).annotate({ messageUnexpectedKey: "is not a field of a plan, which has nodes, steps and duration" }),
  strict
)

const decodeNodes = Schema.decodeUnknownResult(Nodes)

const stepDecoders = new Map(
  Object.entries(Step.cases).map(([kind, schema]: [string, Schema.Decoder<Step> & { readonly fields: object }]) => {
    const fields = Object.keys(schema.fields).filter((name) => name !== "step")
    const messageUnexpectedKey = `is not a field of ${kind}, which has ${fields.join(", ")}`
    return [kind, Schema.decodeUnknownResult(schema.annotate({ messageUnexpectedKey }), strict)] as const
  })
)

const isObject = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/** The object without the keys that are `undefined`, which JSON does not know. */
const withoutUndefined = (self: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(self).filter(([_, value]) => value !== undefined))

/** The time an announcement gives, as the wire has it: whole seconds, rounded up (docs/wire.md). */
const announced = (time: Duration.Duration): Duration.Duration => Duration.seconds(Math.ceil(Duration.toSeconds(time)))

const endOf = (step: Step): Duration.Duration => {
  if ("time" in step) return Duration.sum(step.at, announced(step.time))
  return "duration" in step ? Duration.sum(step.at, step.duration) : step.at
}

/** Undefined for what is no step, or breaks a rule; then `issues` say why. */
const readStep = (
  input: unknown,
  index: number,
  nodes: ReadonlySet<string> | undefined,
  duration: Duration.Duration | undefined,
  issues: Array<Issue>
): Step | undefined => {
  if (!isObject(input)) {
    issues.push({ step: index, field: "", rule: "must be an object with step, at and the fields of that step" })
    return undefined
  }
  const kind = typeof input.step === "string" ? input.step : ""
  const at = toDuration(input.at)
  const decode = stepDecoders.get(kind)
  const report = ({ field, rule }: Violation) =>
    issues.push({ step: index, ...(decode !== undefined && { kind }), ...(at !== undefined && { at }), field, rule })
  if (decode === undefined) {
    report({ field: "step", rule: `must be one of ${[...stepDecoders.keys()].join(", ")}` })
    return undefined
  }
  const step = decode(withoutUndefined(input))
  const unreadable = Result.isFailure(step) ? violationsOfSchema(step.failure) : []
  const misplaced = violationsOfPlan({ at, node: input.node, target: input.target }, nodes, duration)
    .filter(({ field }) => unreadable.every((violation) => violation.field !== field))
  unreadable.forEach(report)
  misplaced.forEach(report)
  return misplaced.length > 0 ? undefined : Result.getOrUndefined(step)
}

const read = (input: unknown): Result.Result<MaintenancePlan, PlanError> => {
  const issues: Array<Issue> = []
  const report = ({ field, rule }: Violation) => issues.push({ step: undefined, field, rule })
  if (!isObject(input)) {
    report({ field: "plan", rule: "must be an object with nodes, steps and duration" })
    return Result.fail(new PlanError({ issues }))
  }
  const decoded = decodeInput(input)
  if (Result.isFailure(decoded)) violationsOfSchema(decoded.failure).forEach(report)
  // A step is held against those parts of the plan that could be read, so that one attempt shows all mistakes.
  const nodes = Result.getOrUndefined(Result.map(decodeNodes(input.nodes), (names) => new Set(names)))
  const duration = toDuration(input.duration)
  const given: ReadonlyArray<unknown> = Array.isArray(input.steps) && input.steps.length <= maxSteps ? input.steps : []
  // `Array.from` also visits the holes of an array.
  const steps = Array.from(given, (step, index) => readStep(step, index, nodes, duration, issues))
    .filter((step) => step !== undefined)
    .sort((a, b) => Duration.toMillis(a.at) - Duration.toMillis(b.at))
  const end = duration ?? steps.reduce((end, step) => Duration.max(end, endOf(step)), Duration.zero)
  if (!isTime(Duration.toMillis(end))) report({ field: "duration", rule: timeRule })
  return nodes === undefined || issues.length > 0
    ? Result.fail(new PlanError({ issues }))
    // All of it has just been checked.
    : Result.succeed(new MaintenancePlan({ nodes: [...nodes], steps, duration: end }, { disableChecks: true }))
}

/**
 * Makes a plan of what was written down. Fails with one error that lists every rule that is broken.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: PlanInput): Effect.Effect<MaintenancePlan, PlanError> =>
  Effect.suspend(() => Effect.fromResult(read(input)))

/**
 * Reads a plan from JSON. Durations are text (`"15 seconds"`, `"4.4 seconds"`, `"500 millis"`) or milliseconds.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = (text: string): Effect.Effect<MaintenancePlan, PlanError> =>
  Effect.suspend(() =>
    Result.try((): unknown => JSON.parse(text)).pipe(
      Result.mapError((cause) =>
        new PlanError({ issues: [{ step: undefined, field: "plan", rule: `must be JSON: ${cause}` }] })
      ),
      Result.flatMap(read),
      Effect.fromResult
    )
  )

const encode = Schema.encodeSync(MaintenancePlan)

/**
 * Prints a plan as JSON that `fromJson` reads.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toJson = (self: MaintenancePlan): string => JSON.stringify(encode(self), undefined, 2)

// ----- words -----

const ofShards = (shards: ReadonlyArray<string> | undefined): string =>
  shards === undefined ? "" : ` of shard${shards.length === 1 ? "" : "s"} ${shards.join(", ")}`

const within = (time: Duration.Duration): string => ` within ${Duration.format(announced(time))}`

/** JSON text, cut where a line of a timeline would become unreadable. */
const excerpt = (elements: ReadonlyArray<PushElement>): string => {
  const text = JSON.stringify(elements)
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`
}

const describeHandshake = (handshake: Handshake): string =>
  Handshake.match(handshake, {
    Answer: ({ delay }) =>
      delay === undefined || Duration.isZero(delay)
        ? "answers handshakes as usual"
        : `answers HELLO ${Duration.format(delay)} late`,
    HangBeforeHello: () => "accepts connections and never answers",
    HangAfterHello: () => "answers the first command of a connection and no other",
    NoAuth: () => "answers every command with NOAUTH",
    DropAfterBytes: ({ bytes }) => `closes new connections after ${bytes} bytes of answers`
  })

/**
 * What happens in a step, in words: without its time, and without the node or name that `subject` gives.
 *
 * @category encoding
 * @since 0.1.0
 */
export const describe = (self: Step): string =>
  Step.match(self, {
    migrating: ({ shards, time }) => `announces MIGRATING${ofShards(shards)}${within(time)}`,
    migrated: ({ shards }) => `announces MIGRATED${ofShards(shards)}`,
    failingOver: ({ shards, time }) => `announces FAILING_OVER${ofShards(shards)}${within(time)}`,
    failedOver: ({ shards }) => `announces FAILED_OVER${ofShards(shards)}`,
    moving: ({ seq, target, time }) =>
      `announces MOVING ${target === null ? "without a target" : `to ${target}`}${within(time)}` +
      (seq === undefined ? "" : ` as number ${seq}`),
    stall: ({ duration }) => `executes nothing for ${Duration.format(duration)}`,
    latency: ({ delay }) =>
      Duration.isZero(delay) ? "sends everything at once" : `sends everything ${Duration.format(delay)} late`,
    handshake: ({ handshake }) => describeHandshake(handshake),
    kill: () => "kills its connections",
    drop: () => "closes its connections without notice",
    refuse: () => "refuses new connections",
    accept: () => "accepts new connections again",
    duplicate: () => "sends its last announcement once more",
    replay: () => "sends the database's last completion once more",
    malformed: () => "sends a MOVING that cannot be read",
    push: ({ elements }) => `pushes ${excerpt(elements)}`,
    dns: ({ target }) => target === null ? "does not resolve" : `leads to ${target}`,
    readonly: ({ duration }) => `refuses writes for ${Duration.format(duration)}`,
    loading: ({ duration }) => `is loading its data for ${Duration.format(duration)}`
  })

/**
 * Whom a step happens to: a node, or the name that a `dns` step changes.
 *
 * @category getters
 * @since 0.1.0
 */
export const subject = (self: Step): string => self.step === "dns" ? self.name : self.node

/**
 * Prints a plan as a timeline: one line for each step, with its time, node and words, and one for the end.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (self: MaintenancePlan): string => {
  const rows = self.steps.map((step) => [Duration.format(step.at), subject(step), describe(step)])
  rows.push([Duration.format(self.duration), "end", ""])
  const widest = (column: number) => rows.reduce((width, row) => Math.max(width, row[column].length), 0)
  const times = widest(0)
  const names = widest(1)
  return rows.map(([at, name, words]) => `${at.padEnd(times)}  ${name.padEnd(names)}  ${words}`.trimEnd()).join("\n")
}

// ----- builders -----

// Measured on real deployments with an announced time of 15 s (docs/wire.md, "Timing"): DNS answers with the new address
// after 4.4 s at the earliest, 2 s lie between an announcement and its operation, records live for 5 s.
const defaults = {
  time: Duration.seconds(15),
  pause: Duration.seconds(2),
  dnsDelay: Duration.millis(4400),
  dnsTtl: Duration.seconds(5),
  // A client's timeouts stay relaxed for so long after a handoff: the next node finds ordinary ones.
  quiet: Duration.seconds(20),
  // More than a command's 3 s and less than the relaxed 10 s: only who relaxes gets all its replies.
  stall: Duration.seconds(5),
  // Less than a command's 3 s, so that one that waits for a connection still runs.
  restart: Duration.seconds(1),
  // Our choice: many times what a client needs to find the other node.
  outage: Duration.seconds(30)
} as const

/** The times of a builder in milliseconds, each given or its default. */
const timesOf = <K extends keyof typeof defaults>(
  builder: string,
  given: { readonly [P in K]?: Duration.Input | undefined },
  keys: ReadonlyArray<K>
): Readonly<Record<K, number>> => {
  const times = {} as Record<K, number>
  for (const key of keys) {
    times[key] = toMillis(given[key] ?? defaults[key])
    if (Number.isNaN(times[key])) throw new RangeError(`MaintenancePlan.${builder}: ${key} ${timeRule}`)
  }
  return times
}

const build = (builder: string, input: PlanInput): MaintenancePlan =>
  Result.getOrThrowWith(
    read(input),
    (error) => new RangeError(`MaintenancePlan.${builder}: ${error.message}`, { cause: error })
  )

const wholeSeconds = (millis: number): number => 1000 * Math.ceil(millis / 1000)

/**
 * A rolling upgrade: every node is left for the next one in turn, in a circle, so that it ends where it began. Needs at
 * least two nodes.
 *
 * **Details**
 *
 * Of each node: `MIGRATING`; after `pause` (default 2 seconds) `MIGRATED`; after another `pause` `MOVING` to the next
 * node, to which `name` leads at half the announced time; and when that is over, `quiet` (default 20 seconds) in which
 * nothing happens. `time` (default 15 seconds) is what `MIGRATING` and `MOVING` announce.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rollingUpgrade = (options: {
  readonly nodes: ReadonlyArray<string>
  readonly name?: string | undefined
  readonly time?: Duration.Input | undefined
  readonly pause?: Duration.Input | undefined
  readonly quiet?: Duration.Input | undefined
}): MaintenancePlan => {
  const { name = databaseName, nodes } = options
  const { pause, quiet, time } = timesOf("rollingUpgrade", options, ["pause", "quiet", "time"])
  const length = 2 * pause + wholeSeconds(time) + quiet
  return build("rollingUpgrade", {
    nodes,
    steps: nodes.flatMap((node, index): ReadonlyArray<StepInput> => {
      const at = index * length
      const next = nodes[(index + 1) % nodes.length]
      const moving = at + 2 * pause
      return [
        { step: "migrating", at, node, time },
        { step: "migrated", at: at + pause, node },
        { step: "moving", at: moving, node, target: next, time },
        { step: "dns", at: moving + wholeSeconds(time) / 2, name, target: next }
      ]
    }),
    duration: nodes.length * length
  })
}

/**
 * A failover behind an endpoint that stays where it is: `FAILING_OVER`; after `pause` (default 2 seconds) nothing is
 * executed for `stall` (default 5 seconds); then `FAILED_OVER`. `time` (default 15 seconds) is what is announced.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failover = (options: {
  readonly node: string
  readonly time?: Duration.Input | undefined
  readonly pause?: Duration.Input | undefined
  readonly stall?: Duration.Input | undefined
}): MaintenancePlan => {
  const { node } = options
  const { pause, stall, time } = timesOf("failover", options, ["pause", "stall", "time"])
  return build("failover", {
    nodes: [node],
    steps: [
      { step: "failingOver", at: 0, node, time },
      { step: "stall", at: pause, node, duration: stall },
      { step: "failedOver", at: pause + stall, node }
    ]
  })
}

/**
 * An upgrade in place: the nodes restart one after the other, and every endpoint stays where it is.
 *
 * **Details**
 *
 * Of each node: `FAILING_OVER` of its shards; after `pause` (default 2 seconds) its connections are closed and new ones
 * refused for `restart` (default 1 second); after another `pause`, in which clients come back, `FAILED_OVER`; then
 * `quiet` (default 20 seconds). `time` (default 15 seconds) is what is announced.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inPlaceUpgrade = (options: {
  readonly nodes: ReadonlyArray<string>
  readonly time?: Duration.Input | undefined
  readonly pause?: Duration.Input | undefined
  readonly restart?: Duration.Input | undefined
  readonly quiet?: Duration.Input | undefined
}): MaintenancePlan => {
  const { nodes } = options
  const { pause, quiet, restart, time } = timesOf("inPlaceUpgrade", options, ["pause", "quiet", "restart", "time"])
  const length = 2 * pause + restart + quiet
  return build("inPlaceUpgrade", {
    nodes,
    steps: nodes.flatMap((node, index): ReadonlyArray<StepInput> => {
      const at = index * length
      const down = at + pause
      return [
        { step: "failingOver", at, node, time },
        // In this order: nobody can come back between the two.
        { step: "refuse", at: down, node },
        { step: "drop", at: down, node },
        { step: "accept", at: down + restart, node },
        { step: "failedOver", at: down + restart + pause, node }
      ]
    }),
    duration: nodes.length * length
  })
}

/**
 * An endpoint alone is bound to another node: `MOVING`, which names the node `to` or, with `target: "null"`, nobody, and
 * `name` leads there after `dnsDelay` (default 4.4 seconds). `time` (default 15 seconds) is what is announced.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rebind = (options: {
  readonly from: string
  readonly to: string
  /** Default: `"named"`. */
  readonly target?: "named" | "null" | undefined
  readonly name?: string | undefined
  readonly time?: Duration.Input | undefined
  readonly dnsDelay?: Duration.Input | undefined
}): MaintenancePlan => {
  const { from, name = databaseName, target = "named", to } = options
  const { dnsDelay, time } = timesOf("rebind", options, ["dnsDelay", "time"])
  return build("rebind", {
    nodes: [from, to],
    steps: [
      { step: "moving", at: 0, node: from, target: target === "null" ? null : to, time },
      { step: "dns", at: dnsDelay, name, target: to }
    ]
  })
}

/**
 * A node fails, and nothing announces it: its connections are killed and new ones refused, `name` leads to the node `to`
 * once records of it have aged out (`dnsTtl`, default 5 seconds), and the node is back after `outage` (default 30
 * seconds).
 *
 * @category constructors
 * @since 0.1.0
 */
export const silentFailure = (options: {
  readonly node: string
  readonly to: string
  readonly name?: string | undefined
  readonly dnsTtl?: Duration.Input | undefined
  readonly outage?: Duration.Input | undefined
}): MaintenancePlan => {
  const { name = databaseName, node, to } = options
  const { dnsTtl, outage } = timesOf("silentFailure", options, ["dnsTtl", "outage"])
  return build("silentFailure", {
    nodes: [node, to],
    steps: [
      // In this order: nobody can come back between the two.
      { step: "refuse", at: 0, node },
      { step: "kill", at: 0, node },
      { step: "dns", at: dnsTtl, name, target: to },
      { step: "accept", at: outage, node }
    ]
  })
}

// ----- combinators -----

const shift = (steps: ReadonlyArray<Step>, by: number): ReadonlyArray<Step> =>
  steps.map((step) => ({ ...step, at: Duration.millis(Duration.toMillis(step.at) + by) }))

/** A plan of parts that keep all rules but those on how many steps there are and how long they take. */
const combined = (
  combinator: string,
  nodes: ReadonlyArray<string>,
  stepCount: number,
  millis: number,
  steps: () => ReadonlyArray<Step>
): MaintenancePlan => {
  if (stepCount > maxSteps) throw new RangeError(`MaintenancePlan.${combinator}: steps ${stepsRule}`)
  if (!isTime(millis)) throw new RangeError(`MaintenancePlan.${combinator}: duration ${timeRule}`)
  return new MaintenancePlan({ nodes, steps: steps(), duration: Duration.millis(millis) }, { disableChecks: true })
}

/**
 * One plan after the other: the second begins when the first is over. The nodes of both are its nodes.
 *
 * @category combinators
 * @since 0.1.0
 */
export const concat: {
  (that: MaintenancePlan): (self: MaintenancePlan) => MaintenancePlan
  (self: MaintenancePlan, that: MaintenancePlan): MaintenancePlan
} = dual(2, (self: MaintenancePlan, that: MaintenancePlan): MaintenancePlan => {
  const begin = Duration.toMillis(self.duration)
  return combined(
    "concat",
    [...new Set([...self.nodes, ...that.nodes])],
    self.steps.length + that.steps.length,
    begin + Duration.toMillis(that.duration),
    () => [...self.steps, ...shift(that.steps, begin)]
  )
})

/**
 * A plan that begins later: nothing happens before.
 *
 * @category combinators
 * @since 0.1.0
 */
export const delay: {
  (by: Duration.Input): (self: MaintenancePlan) => MaintenancePlan
  (self: MaintenancePlan, by: Duration.Input): MaintenancePlan
} = dual(2, (self: MaintenancePlan, by: Duration.Input): MaintenancePlan => {
  const millis = toMillis(by)
  const end = millis + Duration.toMillis(self.duration)
  return combined("delay", self.nodes, self.steps.length, end, () => shift(self.steps, millis))
})

/**
 * A plan so many times, one after the other.
 *
 * @category combinators
 * @since 0.1.0
 */
export const repeat: {
  (times: number): (self: MaintenancePlan) => MaintenancePlan
  (self: MaintenancePlan, times: number): MaintenancePlan
} = dual(2, (self: MaintenancePlan, times: number): MaintenancePlan => {
  if (!Number.isSafeInteger(times) || times < 1) {
    throw new RangeError(`MaintenancePlan.repeat: times must be an integer of at least 1, got ${times}`)
  }
  const length = Duration.toMillis(self.duration)
  // A plan without steps can be repeated without making any, however often.
  const count = self.steps.length === 0 ? 0 : times
  return combined(
    "repeat",
    self.nodes,
    self.steps.length * count,
    length * times,
    () => Array.from({ length: count }, (_, index) => shift(self.steps, index * length)).flat()
  )
})
