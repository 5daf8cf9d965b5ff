/**
 * What is shown while a run is under way: on a terminal a few lines that are drawn again four times a second, otherwise
 * one line for each thing that happens.
 *
 * The display only looks. It reads the run's log and marks and the client's status, and never keeps the run waiting.
 *
 * @since 0.1.0
 */
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Terminal from "effect/Terminal"
import type { Status } from "../HitlessRedis.ts"
import { type CommandLog, count, type Entry, latency, type Mark, millis, type Run } from "./statistics.ts"

/**
 * A run, as it can be looked at while it goes on.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly mode: Run["mode"]
  readonly length: number
  readonly elapsed: () => number
  readonly log: CommandLog
  readonly marks: ReadonlyArray<Mark>
  readonly status: Effect.Effect<Status>
}

/** Milliseconds between two looks: often enough to seem live, seldom enough to leave the run alone. */
const period = 250

/** How many of the last events are on the screen. */
const shownMarks = 4

const seconds = (at: number): string => `${(at / 1000).toFixed(1).padStart(5)} s`

const who: Readonly<Record<Mark["kind"], string>> = {
  phase: "",
  announced: "  announced: ",
  unheard: "  announced, not asked for: ",
  handoff: "  client: ",
  deployment: "  "
}

const line = ({ at, kind, label }: Mark): string => `${seconds(at)}  ${who[kind]}${label}`

const bar = (share: number): string => {
  const width = 30
  const done = Math.round(Math.min(1, share) * width)
  return "█".repeat(done) + "░".repeat(width - done)
}

const slotsByState = (status: Status): string => {
  const counts = new Map<string, number>()
  for (const { state } of status.slots) counts.set(state, (counts.get(state) ?? 0) + 1)
  const states = ["Serving", "Moving", "Reconnecting", "Empty"].map((state) =>
    `${counts.get(state) ?? 0} ${state.toLowerCase()}`
  )
  return [...states, `${status.draining} draining`].join(" · ")
}

/**
 * The lines of one look. `recent` are the commands that ended since the look before, `period` milliseconds ago.
 *
 * @category formatting
 * @since 0.1.0
 */
export const frame = (
  view: View,
  status: Status,
  recent: ReadonlyArray<Entry>,
  period: number
): ReadonlyArray<string> => {
  const elapsed = view.elapsed()
  const answered = recent.flatMap(({ reason, took }) => reason === undefined ? [took] : [])
  const { max, p50, p99 } = latency(answered)
  const phase = view.marks.findLast(({ kind }) => kind === "phase")
  const events = view.marks.filter(({ kind }) => kind !== "phase").sort((one, other) => one.at - other.at).slice(
    -shownMarks
  )
  return [
    `maintenance ${view.mode}  ${bar(elapsed / view.length)} ${seconds(elapsed)} of ${view.length / 1000} s`,
    `phase     ${phase?.label ?? ""}`,
    `commands  ${count(recent.length / period * 1000)}/s, ${count(view.log.failed)} failed`,
    `latency   p50 ${millis(p50)} ms, p99 ${millis(p99)} ms, max ${millis(max)} ms`,
    `slots     ${slotsByState(status)}, health ${status.health}`,
    ...Array.from({ length: shownMarks }, (_, index) => {
      const mark = events[index]
      return mark === undefined ? "" : line(mark)
    })
  ]
}

/** Draws over the frame before, until the scope closes; then the lines are free again. */
const animate = Effect.fnUntraced(function*(view: View) {
  const terminal = yield* Terminal.Terminal
  const write = (text: string) => Effect.ignore(terminal.display(text))
  let drawn = 0
  let next = view.log.length
  let lookedAt = view.elapsed()
  // In these sequences `A` moves up, `J` clears what is below, `K` the rest of the line, `?25` shows the cursor.
  const home = () => drawn === 0 ? "" : `\u001b[${drawn}A`
  yield* Effect.acquireRelease(write("\u001b[?25l"), () => write(`${home()}\u001b[J\u001b[?25h`))
  const draw = Effect.gen(function*() {
    const now = view.elapsed()
    const recent = [...view.log.entries(next)]
    const lines = frame(view, yield* view.status, recent, Math.max(1, now - lookedAt))
    next += recent.length
    lookedAt = now
    const columns = yield* terminal.columns
    // A line that wraps would count as two.
    const cut = lines.map((line) => `${line.slice(0, Math.max(1, columns - 1))}\u001b[K\n`)
    yield* write(home() + cut.join(""))
    drawn = lines.length
  })
  return { draw }
})

/** Prints what happened since it was last asked. */
const list = (view: View): Effect.Effect<void> => {
  let next = 0
  return Effect.suspend(() => {
    const news = view.marks.slice(next).sort((one, other) => one.at - other.at)
    next += news.length
    return Effect.forEach(news, (mark) => Console.log(line(mark)), { discard: true })
  })
}

/**
 * Shows a run until the scope closes. `look` runs before each look, four times a second.
 *
 * @category running
 * @since 0.1.0
 */
export const show = Effect.fnUntraced(function*(
  view: View,
  look: Effect.Effect<void>
): Effect.fn.Return<void, never, Terminal.Terminal | Scope.Scope> {
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  const { draw } = canAnimate ? yield* animate(view) : { draw: list(view) }
  const refresh = Effect.andThen(look, draw)
  // What happened since the last look is still shown at the end.
  yield* Effect.addFinalizer(() => refresh)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(refresh, Effect.sleep(period))))
})
