/**
 * What happened in a rehearsal, in order: what the deployment did and what its clients did.
 *
 * Pure data and its text. Entries are made while the rehearsal runs; this module never changes them.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { format } from "../Endpoint.ts"
import type { HandoffEvent } from "../Handoff.ts"
import type { HitlessError } from "../HitlessError.ts"
import { frameNames, type Notification } from "../Notifications.ts"
import type { Gap } from "../PubSub.ts"
import type { Event, Handshake } from "./SimulatedRedis.ts"

/**
 * One thing that happened, `at` milliseconds after the rehearsal began.
 *
 * - `Deployment`: something happened at a node.
 * - `Named`: a name leads to a node from now on, or nowhere.
 * - `Notified`: a client heard of maintenance, for the first time.
 * - `HandedOff`: something happened to a client's handoff.
 * - `Failed`: a command failed.
 * - `Missed`: a subscription was told of a gap; see `PubSub.Gap`.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry =
  | { readonly _tag: "Deployment"; readonly at: number; readonly node: string; readonly event: Event }
  | { readonly _tag: "Named"; readonly at: number; readonly name: string; readonly node: string | null }
  | { readonly _tag: "Notified"; readonly at: number; readonly notification: Notification }
  | { readonly _tag: "HandedOff"; readonly at: number; readonly event: HandoffEvent }
  | { readonly _tag: "Failed"; readonly at: number; readonly command: string; readonly error: HitlessError }
  | { readonly _tag: "Missed"; readonly at: number; readonly why: Gap["why"]; readonly count: number }

/**
 * How a timeline shows the address of a node.
 *
 * @category models
 * @since 0.1.0
 */
export type NodeAt = (address: string) => string

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const span = (duration: Duration.Duration): string => Duration.isZero(duration) ? "0ms" : Duration.format(duration)

/**
 * What a gap means, in words.
 *
 * @category encoding
 * @since 0.1.0
 */
export const missed = (why: Gap["why"], count: number): string => {
  switch (why) {
    case "lost":
      return "may have missed messages"
    case "repeated":
      return "may hear messages twice"
    case "dropped":
      return `drops ${plural(count, "message")} that nobody has read`
  }
}

const handshakes = (handshake: Handshake["_tag"], delay: number): string => {
  switch (handshake) {
    case "Answer":
      return delay === 0 ? "shakes hands at once" : `takes ${span(Duration.millis(delay))} to shake hands`
    case "HangBeforeHello":
      return "answers nothing on new connections"
    case "HangAfterHello":
      return "answers HELLO alone on new connections"
    case "NoAuth":
      return "answers NOAUTH on new connections"
    case "DropAfterBytes":
      return "closes new connections in the middle of an answer"
  }
}

const happened = (event: Event): string => {
  switch (event._tag) {
    case "Accepted":
      return `accepts connection ${event.connection}`
    case "OptedIn":
      return `is asked for notifications by connection ${event.connection}` +
        (event.endpointType === "" ? "" : ` (${event.endpointType})`)
    case "Closed":
      return `loses connection ${event.connection} (${event.by})`
    case "Announced":
      return `announces ${event.push} ${event.seq} to ${plural(event.connections, "connection")}`
    case "Pushed":
      return `pushes a frame to ${plural(event.connections, "connection")}`
    case "Retired":
      return `retires, closing ${plural(event.connections, "connection")}`
    case "Killed":
      return `is killed, losing ${plural(event.connections, "connection")}`
    case "Dropped":
      return `drops ${plural(event.connections, "connection")}`
    case "Stalled":
      return `executes nothing for ${span(Duration.millis(event.millis))}`
    case "Delayed":
      return event.millis === 0
        ? "sends everything at once"
        : `sends everything ${span(Duration.millis(event.millis))} late`
    case "HandshakeChanged":
      return handshakes(event.handshake, event.millis)
    case "ReadOnly":
      return `refuses writes for ${span(Duration.millis(event.millis))}`
    case "Loading":
      return `is loading its data for ${span(Duration.millis(event.millis))}`
    case "Refusing":
      return "refuses new connections"
    case "Accepting":
      return "accepts new connections again"
  }
}

const heard = (notification: Notification, nodeAt: NodeAt): string => {
  const where = `hears ${frameNames[notification._tag]} ${notification.seq} on ${nodeAt(notification.endpoint)}`
  if (notification._tag !== "Moving") return where
  const { target, time } = notification
  const to = target === undefined ? "no target" : nodeAt(format(target))
  return `${where}: ${to}, within ${span(time)}`
}

const handedOff = (event: HandoffEvent, nodeAt: NodeAt): string => {
  const what = `${event.kind === "shared" ? "slot" : event.kind} ${event.slot} to ${nodeAt(event.to)}`
  switch (event._tag) {
    case "Queued":
      return `queues a handoff of ${what}${event.waited ? ", after it waited for room" : ""}`
    case "Started":
      return `begins the handoff of ${what}`
    case "Retried":
      return `tries ${what} again in ${span(event.delay)}: ${event.error.message}`
    case "Completed":
      return `completes the handoff of ${what} after ${span(event.duration)}`
    case "Superseded":
      return `leaves the handoff of ${what} for a newer one`
    case "Failed":
      return `gives up the handoff of ${what}: ${event.error.message}`
  }
}

/**
 * Whom an entry is about, and what happened, in words.
 *
 * @category encoding
 * @since 0.1.0
 */
export const describe = (entry: Entry, nodeAt: NodeAt): readonly [who: string, what: string] => {
  switch (entry._tag) {
    case "Deployment":
      return [entry.node, happened(entry.event)]
    case "Named":
      return [entry.name, entry.node === null ? "does not resolve" : `leads to ${entry.node}`]
    case "Notified":
      return ["client", heard(entry.notification, nodeAt)]
    case "HandedOff":
      return ["client", handedOff(entry.event, nodeAt)]
    case "Missed":
      return ["client", missed(entry.why, entry.count)]
    case "Failed":
      return ["client", `fails ${entry.command}: ${entry.error.message}`]
  }
}

const two = (value: number): string => String(value).padStart(2, "0")

const time = (at: number): string => {
  const seconds = Math.floor(at / 1000)
  const rest = Math.floor(at - seconds * 1000).toString().padStart(3, "0")
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${rest}`
}

/**
 * One line of a timeline: time as `h:mm:ss.mmm`, who, in a column of that width, and what.
 *
 * @category encoding
 * @since 0.1.0
 */
export const line = (at: number, who: string, what: string, width: number): string =>
  `${time(at)}  ${who.padEnd(width)}  ${what}`

/**
 * A timeline as data and as text.
 *
 * @category models
 * @since 0.1.0
 */
export class Timeline {
  /** Oldest first. */
  readonly entries: ReadonlyArray<Entry>
  private readonly nodes: ReadonlyMap<string, string>

  /** `nodes` names the nodes by their `host:port`. */
  constructor(entries: ReadonlyArray<Entry>, nodes: ReadonlyMap<string, string>) {
    this.entries = entries
    this.nodes = nodes
  }

  /** One line for each entry. */
  get text(): string {
    const nodeAt: NodeAt = (address) => this.nodes.get(address) ?? address
    const rows = this.entries.map((entry) => [entry.at, ...describe(entry, nodeAt)] as const)
    const width = rows.reduce((longest, [, who]) => Math.max(longest, who.length), 0)
    return rows.map(([at, who, what]) => line(at, who, what, width)).join("\n")
  }

  toJSON(): object {
    return { entries: this.entries }
  }
}
