/**
 * The timeline of the demo as one self-contained SVG: a panel per run with the same axes, latency over time, failures,
 * what the server said and did, and what the client made of it.
 *
 * Pure: finished runs in, text out. The picture has its own background, a light and a dark one, no scripts and no outside
 * resources.
 *
 * @since 0.1.0
 */
import { handshakePhase, quietPhase } from "./scenario.ts"
import { buckets, count, type Mark, type Run, type Span, summarize } from "./statistics.ts"

// ----- elements -----

type Attributes = Readonly<Record<string, string | number>>

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;" }

const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => escapes[character])

// A tenth of a pixel is finer than any screen shows.
const attribute = (value: string | number): string =>
  typeof value === "number" ? String(Math.round(value * 10) / 10) : value

const element = (name: string, attributes: Attributes, ...content: ReadonlyArray<string>): string => {
  const open = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(attribute(value))}"`).join("")
  return content.length === 0 ? `<${name}${open}/>` : `<${name}${open}>${content.join("")}</${name}>`
}

const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  element("text", { x, y, class: "ink", ...attributes }, escape(content))

const line = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string =>
  element("line", { x1, y1, x2, y2, ...attributes })

// ----- geometry, in pixels -----

const width = 1280
const left = 100
const right = 24
const plotWidth = width - left - right
const plotHeight = 240
const rowHeight = 17
const headerHeight = 112
const panelGap = 34

/** Latency per bucket of time: narrower ones show noise, wider ones hide short spikes. */
const bucketMillis = 50

/** The latency axis is logarithmic, because a spike of 800 ms and an ordinary 0.5 ms have to be seen together. */
const lowest = 0.1
const highest = 3000

/** On a light page, and on a dark one. */
const colours = {
  ink: ["#1f2328", "#e6edf3"],
  faint: ["#59636e", "#9198a1"],
  grid: ["#d8dee4", "#30363d"],
  band: ["#f3f5f8", "#161b22"],
  page: ["#ffffff", "#0d1117"],
  latency: ["#0b5394", "#79c0ff"],
  worst: ["#9fc5e8", "#265d91"],
  failed: ["#cf222e", "#ff7b72"],
  announced: ["#8250df", "#d2a8ff"],
  unheard: ["#59636e", "#9198a1"],
  handoff: ["#1a7f37", "#56d364"],
  deployment: ["#9a6700", "#e3b341"]
} as const

type Colour = keyof typeof colours

const painted = (index: 0 | 1): string =>
  Object.entries(colours).map(([name, pair]) => `.${name}{fill:${pair[index]}}.${name}-line{stroke:${pair[index]}}`)
    .join("") + `.label{stroke:${colours.page[index]}}`

// Two renderers of three do not read variables in attributes, so colours are classes. The rim of a label keeps it legible
// where lines cross it.
const style = `text{font:12px system-ui,"Segoe UI",Helvetica,Arial,"DejaVu Sans",sans-serif}` +
  `.title{font-size:19px;font-weight:600}.number{font-size:46px;font-weight:700}.heading{font-size:17px;font-weight:600}` +
  `.small{font-size:11px}.caption{font-size:12px;font-weight:600}` +
  `.label{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}` +
  `${painted(0)}@media(prefers-color-scheme:dark){${painted(1)}}`

/** About what a character of the 11 px labels, and a digit of the headline, takes; wide enough for the fonts in `style`. */
const characterWidth = 6.3
const digitWidth = 33

const xOf = (run: Run) => (at: number): number => left + Math.min(1, Math.max(0, at / run.length)) * plotWidth

const yOf = (top: number) => (millis: number): number => {
  const share = Math.log(Math.min(highest, Math.max(lowest, millis)) / lowest) / Math.log(highest / lowest)
  return top + plotHeight * (1 - share)
}

// ----- labels -----

type Placed<A> = A & { readonly row: number; readonly anchor: "start" | "end" }

interface Label {
  readonly label: string
  readonly x: number
  /** Where its bar begins; `x` when there is none. */
  readonly from: number
  /** Where it is not that of its lane. */
  readonly colour?: Colour
}

/**
 * Puts labels into rows so that none overlaps another: each into the first row that is free where it begins. A mark
 * reaches from `from` to `x`; its label stands to the right of it, or to the left where it would pass `limit`.
 *
 * @category layout
 * @since 0.1.0
 */
export const placeLabels = <A extends { readonly label: string; readonly x: number; readonly from: number }>(
  items: ReadonlyArray<A>,
  limit: number
): ReadonlyArray<Placed<A>> => {
  const taken: Array<number> = []
  return items.map((item) => {
    const length = item.label.length * characterWidth + 10
    const anchor = item.x + length > limit ? "end" : "start"
    const free = taken.findIndex((end) => end <= (anchor === "end" ? item.from - length : item.from))
    const row = free === -1 ? taken.length : free
    taken[row] = anchor === "end" ? item.x : item.x + length
    return { ...item, row, anchor }
  })
}

const rowsOf = (placed: ReadonlyArray<{ readonly row: number }>): number =>
  Math.max(1, ...placed.map(({ row }) => row + 1))

interface Lane {
  readonly title: string
  readonly colour: Colour
  readonly placed: ReadonlyArray<Placed<Label>>
}

const laneTitles: ReadonlyArray<readonly [title: string, kind: Exclude<Mark["kind"], "phase">]> = [
  ["server says", "announced"],
  ["nobody hears", "unheard"],
  ["client does", "handoff"],
  ["server does", "deployment"]
]

/** How many commands that were called in a span failed. */
const failedIn = ({ log }: Run, { from, to }: Pick<Span, "from" | "to">): number => {
  let failed = 0
  for (const entry of log.entries()) {
    if (entry.reason !== undefined && entry.startedAt >= from && entry.startedAt < to) failed++
  }
  return failed
}

/** What the client made of a stall, and of a connection that was closed under it. */
const suffered = (
  run: Run,
  { at, cuts, lasts }: Mark
): ReadonlyArray<Pick<Mark, "at" | "label"> & { readonly colour?: Colour }> => {
  if (lasts !== undefined) {
    const failed = failedIn(run, { from: at - bucketMillis, to: at + lasts })
    return [
      failed === 0
        ? { at, label: "waits, nothing fails" }
        : { at, label: `gives up on ${count(failed)}`, colour: "failed" }
    ]
  }
  if (cuts === undefined || cuts === 0) return []
  const span = run.spans.find(({ from, to }) => at >= from && at < to)
  const failed = span === undefined ? 0 : failedIn(run, span)
  return [{ at, label: `is cut off, ${count(failed)} failed`, ...(failed === 0 ? {} : { colour: "failed" }) }]
}

const lanesOf = (run: Run): ReadonlyArray<Lane> => {
  const x = xOf(run)
  return laneTitles.flatMap(([title, kind]) => {
    const marks = run.marks.filter((mark) => mark.kind === kind)
    const more = kind === "handoff" ? run.marks.flatMap((mark) => suffered(run, mark)) : []
    const labels = [...marks, ...more]
      .toSorted((one, other) => one.at - other.at)
      .map(({ at, label, ...rest }): Label => ({
        label,
        x: x(at),
        from: x("took" in rest ? at - (rest.took ?? 0) : at),
        ...("colour" in rest && rest.colour !== undefined ? { colour: rest.colour } : {})
      }))
    return labels.length === 0
      ? []
      : [{ title, colour: kind, placed: placeLabels(labels, width) }]
  })
}

// ----- parts of a panel -----

const labelText = ({ anchor, from, label, row, x }: Placed<Label>, top: number, colour: Colour): string =>
  text(anchor === "start" ? x + 4 : from - 4, top + row * rowHeight + 12, label, {
    "text-anchor": anchor,
    class: `small label ${colour}`
  })

const laneLabels = (lane: Lane, top: number): ReadonlyArray<string> => [
  text(left - 10, top + 12, lane.title, { "text-anchor": "end", class: "small faint" }),
  ...lane.placed.flatMap((label) => [
    // A handoff is a bar from its first attempt to its end.
    element("rect", {
      x: label.from,
      y: top + label.row * rowHeight + 3,
      width: label.x - label.from,
      height: 10,
      class: lane.colour,
      opacity: 0.3
    }),
    labelText(label, top, label.colour ?? lane.colour)
  ])
]

/** From the label down through the plot. */
const laneLines = (lane: Lane, top: number, bottom: number): ReadonlyArray<string> =>
  lane.placed.map(({ colour = lane.colour, row, x }) =>
    line(x, top + row * rowHeight + 2, x, bottom, { class: `${colour}-line`, "stroke-width": 1, opacity: 0.45 })
  )

const bands = (run: Run, top: number, bottom: number): ReadonlyArray<string> =>
  run.spans.flatMap(({ from, to }, index) => {
    const x = xOf(run)
    return index % 2 === 1
      ? []
      : [element("rect", { x: x(from), y: top, width: x(to) - x(from), height: bottom - top, class: "band" })]
  })

const axes = (run: Run, top: number): ReadonlyArray<string> => {
  const x = xOf(run)
  const y = yOf(top)
  const bottom = top + plotHeight
  const step = [1, 2, 5, 10, 30, 60].find((step) => run.length / 1000 / step <= 15) ?? 300
  const seconds = Array.from({ length: Math.floor(run.length / 1000 / step) + 1 }, (_, index) => index * step)
  return [
    ...[0.1, 1, 10, 100, 1000].flatMap((millis) => [
      line(left, y(millis), left + plotWidth, y(millis), { class: "grid-line" }),
      text(left - 10, y(millis) + 4, `${millis} ms`, { "text-anchor": "end", class: "small ink" })
    ]),
    ...seconds.flatMap((second) => [
      line(x(second * 1000), bottom, x(second * 1000), bottom + 4, { class: "faint-line" }),
      text(x(second * 1000), bottom + 17, `${second} s`, { "text-anchor": "middle", class: "small ink" })
    ]),
    line(left, bottom, left + plotWidth, bottom, { class: "faint-line" })
  ]
}

const latencies = (run: Run, top: number): ReadonlyArray<string> => {
  const x = xOf(run)
  const y = yOf(top)
  const all = buckets(run.log, bucketMillis)
  // One rectangle per bucket, so that a time without commands stays empty.
  const each = (draw: (x: number, width: number, bucket: typeof all[number]) => string) =>
    all.filter(({ p50 }) => !Number.isNaN(p50)).map((bucket) =>
      draw(x(bucket.from), x(bucket.from + bucketMillis) - x(bucket.from), bucket)
    )
  return [
    ...each((x, width, { max, p50 }) =>
      element("rect", { x, y: y(max), width, height: y(p50) - y(max) + 1, class: "worst" })
    ),
    ...each((x, width, { p50 }) => element("rect", { x, y: y(p50) - 1, width, height: 2, class: "latency" })),
    ...all.filter(({ failed }) => failed > 0).map(({ failed, failedAfter, from }) =>
      element(
        "circle",
        // The area says how many failed.
        { cx: x(from), cy: y(failedAfter), r: 3 + Math.sqrt(failed) / 2, class: "failed", opacity: 0.85 },
        element("title", {}, escape(`${failed} failed at ${(from / 1000).toFixed(2)} s`))
      )
    )
  ]
}

/** Where the server holds back its answers, which is the same in both runs; what the clients make of it is not. */
const stalls = (run: Run, top: number): ReadonlyArray<string> => {
  const x = xOf(run)
  return run.marks.flatMap(({ at, lasts }) => {
    if (lasts === undefined) return []
    const [left, right] = [x(at), x(at + lasts)]
    const middle = (left + right) / 2 + 4
    return [
      element("rect", { x: left, y: top, width: right - left, height: plotHeight, class: "deployment", opacity: 0.16 }),
      text(middle, top + plotHeight / 2, `the server's stall, ${Math.round(lasts)} ms`, {
        class: "caption label deployment",
        "text-anchor": "middle",
        transform: `rotate(-90 ${attribute(middle)} ${attribute(top + plotHeight / 2)})`
      })
    ]
  })
}

/** What the run came to, so that it is read from across a room. */
const headline = (run: Run, top: number): ReadonlyArray<string> => {
  const gaps = [handshakePhase, quietPhase].flatMap((phase) =>
    run.spans.filter(({ name }) => name === phase).map((span) =>
      `${phase} ${summarize(run.log, span).longestGap.toFixed(0)} ms`
    )
  )
  const failed = count(run.log.failed)
  const right = left + failed.length * digitWidth + 14
  return [
    text(left, top + 40, failed, { class: `number ${run.log.failed === 0 ? "handoff" : "failed"}` }),
    text(right, top + 20, `of ${count(run.log.length)} commands failed, maintenance ${run.mode}`, {
      class: "heading ink"
    }),
    text(
      right,
      top + 40,
      `${count(run.audit.lost)} increments lost, ${count(run.audit.doubled)} doubled; ` +
        `longest time without an answer: ${gaps.join(", ")}`,
      { class: "faint" }
    )
  ]
}

const panel = (run: Run, top: number): { readonly svg: string; readonly height: number } => {
  const x = xOf(run)
  const names = placeLabels(
    run.spans.map(({ from, name }) => ({ label: name, x: x(from), from: x(from) })),
    width
  )
  const lanes = lanesOf(run)
  const bandsTop = top + 56
  let y = bandsTop + rowsOf(names) * rowHeight
  const tops = lanes.map((lane) => {
    const laneTop = y
    y += rowsOf(lane.placed) * rowHeight + 4
    return laneTop
  })
  const plotTop = y + 6
  const bottom = plotTop + plotHeight
  const parts = [
    ...bands(run, bandsTop, bottom),
    ...headline(run, top),
    text(left - 10, bandsTop + 13, "phase", { "text-anchor": "end", class: "small faint" }),
    ...names.map((name) => labelText(name, bandsTop + 1, "ink")),
    ...axes(run, plotTop),
    ...lanes.flatMap((lane, index) => laneLines(lane, tops[index], bottom)),
    ...latencies(run, plotTop),
    ...lanes.flatMap((lane, index) => laneLabels(lane, tops[index])),
    ...stalls(run, plotTop)
  ]
  return { svg: element("g", {}, ...parts), height: bottom + 22 - top }
}

const legend = (y: number): ReadonlyArray<string> => {
  const entries: ReadonlyArray<readonly [colour: Colour, label: string]> = [
    ["latency", "median latency"],
    ["worst", "up to the slowest"],
    ["failed", "failed commands (area: how many)"],
    ["handoff", "what the client does"],
    ["deployment", "what the server does"],
    ["announced", "what it announces"],
    ["unheard", "and nobody hears"]
  ]
  let x = left
  return entries.flatMap(([colour, label]) => {
    const at = x
    x += 20 + label.length * 7 + 12
    return [
      element("rect", { x: at, y: y - 10, width: 14, height: 10, class: colour }),
      text(at + 20, y, label)
    ]
  })
}

/**
 * Draws the runs, one panel below the other.
 *
 * @category formatting
 * @since 0.1.0
 */
export const render = (runs: ReadonlyArray<Run>, subtitle: string): string => {
  let y = headerHeight
  const panels = runs.map((run) => {
    const { height, svg } = panel(run, y)
    y += height + panelGap
    return svg
  })
  const title = "A rolling upgrade, with and without maintenance notifications"
  const parts = [
    element("title", {}, escape(title)),
    element("style", {}, style),
    element("rect", { width, height: y, class: "page" }),
    text(left, 30, title, { class: "title ink" }),
    text(left, 50, `${subtitle} Latency by the time of the call, per ${bucketMillis} ms; logarithmic.`, {
      class: "faint"
    }),
    ...legend(74),
    ...panels
  ]
  return element(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width, height: y, viewBox: `0 0 ${width} ${Math.round(y)}`, role: "img" },
    ...parts
  ) + "\n"
}
