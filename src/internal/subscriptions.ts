/**
 * Subscriptions: what others publish, as streams that outlive the connections on which it arrives.
 *
 * All subscriptions of a client share one connection, which is a slot as any other. What `restore` brings to the next
 * connection are the subscriptions: a connection takes the place of another only when the server has confirmed them all.
 * While one is left for another a private message, the marker, is published once, and both listen to it: of the old one
 * counts what came before it, of the new one what came after it, so that nothing is lost and nothing heard twice. Where
 * that is not possible, and where a connection was lost without a word, the streams say so.
 *
 * This module never chooses where to connect, and never publishes anything but the marker.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Credentials } from "../Config.ts"
import type { Connection } from "../Connection.ts"
import { Closed, ConnectFailed, HitlessError, Overloaded } from "../HitlessError.ts"
import { type Gap, type Message, type Options, Published } from "../PubSub.ts"
import { ErrorReply } from "../Resp.ts"
import { Alarm } from "./alarm.ts"
import { flawOf, refused } from "./commands.ts"
import { dialUntil, isTurnedAway } from "./dialer.ts"
import { Fifo } from "./fifo.ts"
import { loginWords, protocolOf } from "./handshake.ts"
import { serverReplied } from "./replies.ts"
import type { Words } from "./request.ts"
import { finiteMillis } from "./runtime.ts"
import { outageOf, Slot, type Surroundings, type Tenant, unlessDown } from "./slot.ts"

const decoder = new TextDecoder()

type Kind = "channel" | "pattern" | "shard"

/** What is subscribed to: one channel or pattern. @internal */
export type Name = readonly [kind: Kind, name: string]

const verbs: Readonly<Record<Kind, readonly [subscribe: string, unsubscribe: string]>> = {
  channel: ["SUBSCRIBE", "UNSUBSCRIBE"],
  pattern: ["PSUBSCRIBE", "PUNSUBSCRIBE"],
  shard: ["SSUBSCRIBE", "SUNSUBSCRIBE"]
}

/** What a frame is, by its first word, and what kind of subscription it is about. */
const frames: Readonly<Record<string, readonly ["message" | "subscribe" | "unsubscribe", Kind]>> = {
  message: ["message", "channel"],
  pmessage: ["message", "pattern"],
  smessage: ["message", "shard"],
  subscribe: ["subscribe", "channel"],
  psubscribe: ["subscribe", "pattern"],
  ssubscribe: ["subscribe", "shard"],
  unsubscribe: ["unsubscribe", "channel"],
  punsubscribe: ["unsubscribe", "pattern"],
  sunsubscribe: ["unsubscribe", "shard"]
}

const defaultCapacity = 1024

/** How long both connections have to hear the marker, in milliseconds: many round trips around the world. */
const markerWithin = 2000

/** A connection on which nothing was heard for so long is asked for a sign of life, in milliseconds. */
const askAfter = 10_000

// ----- who listens -----

/** Who is given what is heard. @internal */
export interface Listener {
  readonly hear: (message: Message) => void
  readonly fail: (error: HitlessError) => void
}

/** One channel or pattern, and who listens to it. */
interface Entry {
  readonly kind: Kind
  readonly name: string
  readonly listeners: Set<Listener>
  /** Why it is over, if it is. */
  error: HitlessError | undefined
  /** Opens whenever it may have become heard, or over. */
  readonly changed: Latch.Latch
}

const keyOf = (kind: Kind, name: string): string => `${kind} ${name}`

const gap = (why: Gap["why"], count = 0): Gap => ({ _tag: "Gap", why, count })

const namesOf = ({ channels = [], patterns = [], shardChannels = [] }: Options): ReadonlyArray<Name> => [
  ...channels.map((name) => ["channel", name] as const),
  ...patterns.map((name) => ["pattern", name] as const),
  ...shardChannels.map((name) => ["shard", name] as const)
]

/** What is wrong with options, whose types nothing checks in JavaScript. */
const flawOfOptions = (options: Options): string | undefined => {
  if (typeof options !== "object" || options === null) return "its options are no object"
  const { capacity = defaultCapacity, channels, overflow = "dropOldest", patterns, shardChannels } = options
  for (const [member, names] of Object.entries({ channels, patterns, shardChannels })) {
    if (names !== undefined && !Array.isArray(names)) return `${member} must be an array of strings`
  }
  if (!Number.isInteger(capacity) || capacity < 1) return "capacity must be an integer of at least 1"
  return overflow === "dropOldest" || overflow === "fail" || overflow === "suspend"
    ? undefined
    : "overflow must be dropOldest, fail or suspend"
}

// ----- one connection -----

/** A command whose answer is still to come, or has come. */
interface Owed {
  readonly verb: "subscribe" | "unsubscribe" | "publish" | "auth"
  readonly kind: Kind
  readonly name: string
  state: "owed" | "done" | "refused"
  /** The error with which it was refused. */
  error: ErrorReply | undefined
}

/**
 * What counts of what a connection hears: everything (`live`); of the next one, nothing before the marker (`early`), and what
 * follows it as soon as the connection serves (`kept`); of the old one, what follows the marker only if the next one never
 * serves (`over`).
 */
type Hearing = "live" | "early" | "kept" | "over"

interface Heard {
  readonly key: string
  readonly message: Published
}

/** What is known of one connection. */
class Link {
  hearing: Hearing
  /** What was sent and is not answered: answers come in this order. */
  readonly owed = new Fifo<Owed>()
  /** What it is subscribed to, or will be when that is answered. */
  readonly current = new Map<string, Owed>()
  /** What was heard and may count later. */
  readonly kept: Array<Heard> = []
  /** What has to be told when it begins to serve. */
  gap: Gap | undefined
  /** Opens with every answer, with the marker, and with the end of the connection. */
  readonly progress = Latch.makeUnsafe(false)
  heardAt: number
  /** When it was asked for a sign of life that has not come. */
  askedAt: number | undefined

  constructor(hearing: Hearing, now: number) {
    this.hearing = hearing
    this.heardAt = now
  }
}

const textOf = (value: unknown): string | undefined =>
  value instanceof Uint8Array ? decoder.decode(value) : typeof value === "string" ? value : undefined

/** A push with its blobs as strings. */
const asText = (value: unknown): unknown =>
  value instanceof Uint8Array ? decoder.decode(value) : Array.isArray(value) ? value.map(asText) : value

/** The subscriptions of one client. @internal */
export class Subscriptions {
  private readonly around: Surroundings
  private readonly entries = new Map<string, Entry>()
  private readonly links = new Map<Connection, Link>()
  /** Connections that have a successor. */
  readonly draining = new Set<Connection>()
  private readonly alarm: Alarm
  /** Streams that are full and do not drop: while there are any nothing is read. */
  private readonly full = new Set<object>()
  private readonly mayRead = Latch.makeUnsafe(true)
  private slot: Slot | undefined
  private made = 0
  /** The channel of the marker, while a connection is left for another. */
  private marker: string | undefined

  constructor(around: Surroundings) {
    this.around = around
    this.alarm = new Alarm(around.runtime.context, () => this.review())
    around.runtime.recorder.observe({
      usedConnections: () => this.slot?.connection === undefined ? 0 : 1,
      idleConnections: () => 0,
      drainingConnections: () => this.draining.size,
      pendingRequests: () => 0
    })
  }

  /**
   * Subscribes for the surrounding scope, and is done when the server has confirmed it, for which it has `timeout`
   * milliseconds. Fails with what dialling failed with, with `ServerReplied` where it is refused, or with `CommandRefused`
   * for what is no name.
   */
  subscribe(
    names: ReadonlyArray<Name>,
    listener: Listener,
    timeout: number
  ): Effect.Effect<void, HitlessError, Scope.Scope> {
    return Effect.suspend(() => {
      for (const [kind, name] of names) {
        const flaw = typeof name === "string" ? flawOf(name) : "is no string"
        if (flaw !== undefined) {
          return refused(verbs[kind][0], `the ${kind === "pattern" ? "pattern" : "channel"} ${flaw}`)
        }
      }
      if (names.length === 0) return refused("SUBSCRIBE", "there is no channel and no pattern")
      const { runtime } = this.around
      return Effect.acquireRelease(
        Effect.onError(
          unlessDown(this.around, Effect.raceFirst(this.add(names, listener, timeout), runtime.closed)),
          () => Effect.sync(() => this.remove(names, listener))
        ),
        () => Effect.sync(() => this.remove(names, listener)),
        { interruptible: true }
      )
    })
  }

  /** The stream of what a subscription hears; it is subscribed when the effect is done, until the scope closes. */
  stream(
    options: Options,
    timeout: number
  ): Effect.Effect<Stream.Stream<Message, HitlessError>, HitlessError, Scope.Scope> {
    return Effect.suspend(() => {
      const flaw = flawOfOptions(options)
      if (flaw !== undefined) return refused("SUBSCRIBE", flaw)
      const { capacity = defaultCapacity, overflow = "dropOldest" } = options
      return Effect.flatMap(Queue.unbounded<Message, HitlessError | Cause.Done>(), (queue) => {
        let dropped = 0
        // Before it is subscribed the answers still have to be read, and afterwards nobody takes anything.
        let isOpen = false
        const fail = (error: HitlessError): void => {
          Queue.failCauseUnsafe(queue, Cause.fail(error))
        }
        const hear = (message: Message): void => {
          if (Queue.sizeUnsafe(queue) >= capacity) {
            if (overflow === "fail") return fail(tooMany(capacity))
            if (overflow === "dropOldest") {
              Queue.takeUnsafe(queue)
              dropped++
            } else if (isOpen) this.hold(queue)
          }
          Queue.offerUnsafe(queue, message)
        }
        const messages = Stream.fromQueue(queue).pipe(
          Stream.mapArray((messages): readonly [Message, ...Array<Message>] => {
            this.release(queue)
            if (dropped === 0) return messages
            const missing = gap("dropped", dropped)
            dropped = 0
            this.around.runtime.observer?.onGap(missing)
            return [missing, ...messages]
          })
        )
        return this.subscribe(namesOf(options), { hear, fail }, timeout).pipe(
          Effect.andThen(Effect.acquireRelease(
            Effect.sync(() => {
              isOpen = true
              if (overflow === "suspend" && Queue.sizeUnsafe(queue) >= capacity) this.hold(queue)
            }),
            () =>
              Effect.sync(() => {
                isOpen = false
                this.release(queue)
                Queue.endUnsafe(queue)
              })
          )),
          Effect.as(messages)
        )
      })
    })
  }

  /** Ends every subscription: the client closes. */
  close(): void {
    this.failAll(new HitlessError({ reason: new Closed({ mayHaveExecuted: false }) }))
  }

  // ----- who listens to what -----

  private add(names: ReadonlyArray<Name>, listener: Listener, timeout: number): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const { runtime } = this.around
      const startedAt = runtime.now()
      const mine = names.map((name) => this.entryOf(name))
      for (const { listeners } of mine) listeners.add(listener)
      for (const [connection, link] of this.links) this.ask(connection, link)
      this.connect(startedAt + timeout)
      return Effect.timeoutOrElse(
        Effect.forEach(mine, (entry) => this.covered(entry), { discard: true }),
        {
          duration: timeout,
          orElse: () => {
            const command = verbs[names[0][0]][0]
            return Effect.fail(
              late(command, `${command} was not confirmed within ${Math.round(runtime.now() - startedAt)} ms`)
            )
          }
        }
      )
    })
  }

  private entryOf([kind, name]: Name): Entry {
    const key = keyOf(kind, name)
    const known = this.entries.get(key)
    if (known !== undefined) return known
    const entry = {
      kind,
      name,
      listeners: new Set<Listener>(),
      error: undefined,
      changed: Latch.makeUnsafe(false)
    }
    this.entries.set(key, entry)
    return entry
  }

  /**
   * Waits until nothing that is published from now on is missed: every connection is subscribed to it that counts, or may soon
   * count instead.
   */
  private covered(entry: Entry): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      if (entry.error !== undefined) return Effect.fail(entry.error)
      const key = keyOf(entry.kind, entry.name)
      const links = Array.from(this.links.values())
      if (
        links.some(({ hearing }) => hearing === "live" || hearing === "over") &&
        links.every(({ current }) => current.get(key)?.state === "done")
      ) return Effect.void
      entry.changed.closeUnsafe()
      return Effect.andThen(entry.changed.await, this.covered(entry))
    })
  }

  /** Connections have come, gone, or changed places. */
  private relinked(): void {
    for (const { changed } of this.entries.values()) changed.openUnsafe()
  }

  private remove(names: ReadonlyArray<Name>, listener: Listener): void {
    for (const [kind, name] of names) {
      const key = keyOf(kind, name)
      const entry = this.entries.get(key)
      if (entry === undefined) continue
      entry.listeners.delete(listener)
      if (entry.listeners.size > 0) continue
      this.entries.delete(key)
      for (const [connection, link] of this.links) {
        if (link.current.delete(key)) this.tell(connection, link, "unsubscribe", kind, name)
      }
    }
    this.endIfUnused("nobody listens any more")
  }

  /** Begins to make the connection, if there is none; who subscribes waits for what it confirms. */
  private connect(until: number): void {
    if (this.slot !== undefined || this.entries.size === 0) return
    const { runtime } = this.around
    const slot: Slot = new Slot(this.around, this.tenantOf(() => this.slot === slot), this.made++)
    this.slot = slot
    this.alarm.set(runtime.now() + askAfter)
    const dialled = dialUntil(runtime, slot.open(), until, () => outageOf(this.around) !== undefined)
    runtime.fork(Effect.catchCause(dialled, (cause) =>
      Effect.sync(() => {
        if (this.slot !== slot) return
        this.failAll(Option.getOrElse(Cause.findErrorOption(cause), () => late("SUBSCRIBE", "dialling was given up")))
      })))
  }

  private tenantOf(isCurrent: () => boolean): Tenant {
    return {
      kind: "subscriber",
      draining: this.draining,
      restore: (next, old) => this.restore(next, old),
      logIn: (connection, credentials) => this.logIn(connection, credentials),
      takesBytes: true,
      // One that is about to take another's place is read on, or it would never be ready.
      mayRead: (connection) => this.links.get(connection)?.hearing === "live" ? this.mayRead.await : Effect.void,
      // Messages are not commands: nobody waits for the next connection.
      awaited: Effect.never,
      onPush: (connection, elements) => this.hear(connection, elements),
      onUnowed: (connection, value) => this.hearUnowed(connection, value),
      onOrphans: (connection, _cause, _orphans, wasDraining) => this.onLost(connection, wasDraining),
      onServing: () => this.onServing(),
      onDialFailed: (reason) => {
        // Where a connection serves, the dial was for its successor.
        if (isCurrent() && this.slot?.connection === undefined && isTurnedAway(reason)) {
          this.failAll(new HitlessError({ reason }))
        }
      },
      onChange: () => {},
      onUnwritten: () => {},
      onLess: () => {}
    }
  }

  private endIfUnused(why: string): void {
    if (this.entries.size > 0) return
    this.alarm.clear()
    const { slot } = this
    this.slot = undefined
    slot?.close()?.close(why)
    // Those that were to take its place, too.
    for (const connection of Array.from(this.links.keys())) connection.close(why)
  }

  private failAll(error: HitlessError): void {
    const all = Array.from(this.entries.values())
    this.entries.clear()
    for (const entry of all) fail(entry, error)
    this.endIfUnused("its subscriptions have failed")
  }

  private tellAll(told: Gap): void {
    this.around.runtime.observer?.onGap(told)
    const all = new Set(Array.from(this.entries.values()).flatMap(({ listeners }) => Array.from(listeners)))
    for (const listener of all) listener.hear(told)
  }

  // ----- what is heard -----

  private hear(connection: Connection, elements: ReadonlyArray<unknown>): void {
    const link = this.links.get(connection)
    const type = textOf(elements[0])
    const frame = type !== undefined && Object.hasOwn(frames, type) ? frames[type] : undefined
    if (link === undefined || frame === undefined) {
      return this.around.maintenance.hear(connection, asText(elements) as ReadonlyArray<unknown>)
    }
    this.livesOn(link)
    const [what, kind] = frame
    const name = textOf(elements[1])
    if (name === undefined) return
    if (what !== "message") return this.answered(connection, link, what, kind, name)
    const [channel, bytes] = kind === "pattern" ? [textOf(elements[2]), elements[3]] : [name, elements[2]]
    if (channel === undefined || !(bytes instanceof Uint8Array)) return
    if (kind === "channel" && channel === this.marker) return this.marked(link)
    const heard = {
      key: keyOf(kind, name),
      message: new Published(channel, kind === "pattern" ? name : undefined, bytes)
    }
    if (link.hearing === "live") this.give(heard)
    else if (link.hearing !== "early") link.kept.push(heard)
  }

  /** RESP2 has no pushes: all of it arrives as replies that nobody asked for. In both a refusal does. */
  private hearUnowed(connection: Connection, value: unknown): boolean {
    const link = this.links.get(connection)
    if (link === undefined) return false
    if (Array.isArray(value)) this.hear(connection, value)
    else if (value instanceof ErrorReply) {
      this.livesOn(link)
      this.refuse(connection, link, value)
    } else if (isAnswerTo(link.owed.peek()?.verb, value)) this.settle(link, "done")
    else return false
    return true
  }

  private livesOn(link: Link): void {
    link.heardAt = this.around.runtime.now()
    link.askedAt = undefined
  }

  private give({ key, message }: Heard): void {
    const entry = this.entries.get(key)
    if (entry !== undefined) { for (const listener of entry.listeners) listener.hear(message) }
  }

  /** The server confirmed what was asked first, or ended a subscription by itself, as a cluster does when a slot moves. */
  private answered(
    connection: Connection,
    link: Link,
    what: "subscribe" | "unsubscribe",
    kind: Kind,
    name: string
  ): void {
    const key = keyOf(kind, name)
    const isAnswered = (owed: Owed) => owed.verb === what && keyOf(owed.kind, owed.name) === key
    if (link.owed.some(isAnswered)) {
      // Answers come in order: what was sent before it gets none.
      for (let head = link.owed.peek(); head !== undefined && !isAnswered(head); head = link.owed.peek()) {
        this.settle(link, "refused")
      }
      this.settle(link, "done")
      return
    }
    const entry = this.entries.get(key)
    if (what === "subscribe" || !link.current.delete(key) || entry === undefined) return
    const lost = gap("lost")
    this.around.runtime.observer?.onGap(lost)
    for (const listener of entry.listeners) listener.hear(lost)
    this.ask(connection, link)
  }

  /** The server refused what was asked first: those who listen are told so, and it is not asked again. */
  private refuse(connection: Connection, link: Link, reply: ErrorReply): void {
    const asked = link.owed.peek()
    if (asked !== undefined) asked.error = reply
    const head = this.settle(link, "refused")
    if (head?.verb !== "subscribe") return
    const { kind, name } = head
    const key = keyOf(kind, name)
    const entry = this.entries.get(key)
    if (entry === undefined) return
    this.entries.delete(key)
    fail(entry, serverReplied(reply, verbs[kind][0], connection))
    for (const [other, { current }] of this.links) {
      const isHeard = current.delete(key)
      if (isHeard && other !== connection) this.tell(other, this.links.get(other), "unsubscribe", kind, name)
    }
    this.endIfUnused("its subscriptions have failed")
  }

  /** What was asked first has its answer. */
  private settle(link: Link, state: "done" | "refused"): Owed | undefined {
    const head = link.owed.shift()
    if (head === undefined) return undefined
    head.state = state
    this.entries.get(keyOf(head.kind, head.name))?.changed.openUnsafe()
    link.progress.openUnsafe()
    return head
  }

  // ----- connections -----

  /** Asks a connection for what it is not subscribed to. Gives what it owes last, if anything. */
  private ask(connection: Connection, link: Link): Owed | undefined {
    let last: Owed | undefined
    for (const [key, { kind, name }] of this.entries) {
      if (link.current.has(key)) continue
      last = this.tell(connection, link, "subscribe", kind, name)
      link.current.set(key, last)
    }
    return last
  }

  private tell(
    connection: Connection,
    link: Link | undefined,
    verb: Exclude<Owed["verb"], "auth">,
    kind: Kind,
    name: string
  ): Owed {
    const [subscribe, unsubscribe] = verbs[kind]
    return this.send(
      connection,
      link,
      { verb, kind, name, state: "owed", error: undefined },
      verb === "publish" ? ["PUBLISH", name, ""] : [verb === "subscribe" ? subscribe : unsubscribe, name]
    )
  }

  private send(connection: Connection, link: Link | undefined, owed: Owed, words: Words): Owed {
    if (connection.state === "Ready") {
      link?.owed.push(owed)
      connection.sendUnanswered(words)
    }
    return owed
  }

  /** Logs in anew. In RESP2 a connection that is subscribed takes no `AUTH`, and another takes its place. */
  private logIn(connection: Connection, credentials: Credentials): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const { slot } = this
      const link = this.links.get(connection)
      if (slot === undefined || link === undefined) return Effect.void
      if (protocolOf(connection.peer.greeting) === 2) {
        return Effect.andThen(slot.renew(0, false), () => {
          if (slot.connection !== connection) return Effect.void
          const detail = "no other connection could be made, and in RESP2 this one cannot log in while it is subscribed"
          const at = { endpoint: connection.address, mayHaveExecuted: false }
          return Effect.fail(new HitlessError({ reason: new ConnectFailed({ ...at, kind: "Rejected", detail }) }))
        })
      }
      const words = loginWords(credentials)
      connection.hide(words)
      const asked: Owed = { verb: "auth", kind: "channel", name: "", state: "owed", error: undefined }
      this.send(connection, link, asked, words)
      return Effect.andThen(
        this.until(connection, link, () => asked.state !== "owed"),
        () => connection.loggedIn(credentials, asked.error)
      )
    })
  }

  /** Waits until something holds of a connection, which is looked at whenever that has been heard from. */
  private until(connection: Connection, link: Link, holds: () => boolean): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      if (connection.end !== undefined) return Effect.fail(new HitlessError({ reason: connection.end.cause }))
      if (holds()) return Effect.void
      link.progress.closeUnsafe()
      return Effect.andThen(link.progress.await, this.until(connection, link, holds))
    })
  }

  /** Subscribes on a connection that is to take the place of `old`, and cuts what is heard exactly where both hear. */
  private restore(next: Connection, old: Connection | undefined): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      if (next.end !== undefined) return Effect.fail(new HitlessError({ reason: next.end.cause }))
      const before = old === undefined ? undefined : this.links.get(old)
      const link = new Link(before === undefined ? "kept" : "early", this.around.runtime.now())
      this.links.set(next, link)
      const last = this.ask(next, link)
      const { connectTimeout } = this.around.runtime.config
      const subscribed = Effect.timeoutOrElse(this.until(next, link, () => last?.state !== "owed"), {
        duration: connectTimeout,
        orElse: () =>
          Effect.fail(
            late("SUBSCRIBE", `not all was confirmed within ${Duration.format(connectTimeout)}`, next.address)
          )
      })
      return old === undefined || before === undefined
        ? subscribed
        : Effect.andThen(subscribed, this.takeOver(old, before, next, link))
    })
  }

  private takeOver(old: Connection, before: Link, next: Connection, link: Link): Effect.Effect<void, HitlessError> {
    return Effect.flatMap(this.cut(old, before, next, link), (isCut) => {
      if (isCut) return Effect.void
      if (next.end !== undefined) return Effect.fail(new HitlessError({ reason: next.end.cause }))
      // Better twice than never.
      this.revive(before)
      link.hearing = "kept"
      return Effect.map(this.fenced(old, before), (isComplete) => {
        // That it was lost has been told.
        if (old.end === undefined) link.gap = gap(isComplete ? "repeated" : "lost")
      })
    })
  }

  /** What a connection hears counts, and what was kept of it too. */
  private revive(link: Link): void {
    if (link.hearing === "live") return
    link.hearing = "live"
    for (const heard of link.kept.splice(0)) this.give(heard)
  }

  /** Has both connections hear one message. `false` where that is not possible in time. */
  private cut(old: Connection, before: Link, next: Connection, link: Link): Effect.Effect<boolean> {
    const marker = `hitless-marker-${this.around.runtime.unique()}`
    const pair = [[old, before], [next, link]] as const
    return Effect.suspend(() => {
      this.marker = marker
      const asked = pair.map(([connection, one]) => this.tell(connection, one, "subscribe", "channel", marker))
      return Effect.forEach(
        pair,
        ([connection, one], index) => this.until(connection, one, () => asked[index].state !== "owed"),
        { discard: true }
      ).pipe(
        Effect.andThen(Effect.suspend(() => {
          if (asked.some(({ state }) => state === "refused")) return Effect.succeed(false)
          // In RESP3, without which nobody announces a move, a connection that is subscribed can publish.
          this.tell(next, link, "publish", "channel", marker)
          return Effect.as(
            Effect.andThen(
              this.until(old, before, () => before.hearing === "over"),
              this.until(next, link, () => link.hearing === "kept")
            ),
            true
          )
        })),
        Effect.timeoutOrElse({ duration: markerWithin, orElse: () => Effect.succeed(false) }),
        Effect.catch(() => Effect.succeed(false)),
        Effect.ensuring(Effect.sync(() => {
          this.marker = undefined
          for (const [connection, one] of pair) this.tell(connection, one, "unsubscribe", "channel", marker)
        }))
      )
    })
  }

  /** A connection has heard the marker. */
  private marked(link: Link): void {
    if (link.hearing === "live") link.hearing = "over"
    else if (link.hearing === "early") link.hearing = "kept"
    link.progress.openUnsafe()
  }

  /** The slot has a connection that counts from now on; that of before, if any, has been retired. */
  private onServing(): void {
    const link = this.slot?.connection === undefined ? undefined : this.links.get(this.slot.connection)
    if (link === undefined) return
    if (link.gap !== undefined) this.tellAll(link.gap)
    link.gap = undefined
    this.revive(link)
    this.relinked()
  }

  /** Waits until everything has arrived that the server had sent before. `false` when it does not within a while. */
  private fenced(connection: Connection, link: Link): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const probe = this.probe(connection, link)
      return Effect.as(this.until(connection, link, () => probe?.state !== "owed"), true)
    }).pipe(
      Effect.timeoutOrElse({ duration: markerWithin, orElse: () => Effect.succeed(false) }),
      Effect.catch(() => Effect.succeed(false))
    )
  }

  private onLost(connection: Connection, wasDraining: boolean): void {
    const link = this.links.get(connection)
    this.links.delete(connection)
    if (link === undefined) return
    const others = Array.from(this.links.values())
    if (link.hearing === "early" || link.hearing === "kept") {
      // It never served: the one before it goes on as if nothing had been.
      for (const other of others) if (other.hearing === "over") this.revive(other)
    } else if (!wasDraining && !(link.hearing === "over" && others.some(({ hearing }) => hearing === "kept"))) {
      this.revive(link)
      this.tellAll(gap("lost"))
      for (const other of others) if (other.hearing === "early") other.hearing = "kept"
    }
    link.progress.openUnsafe()
    this.relinked()
  }

  // ----- signs of life -----

  /**
   * Asks for what is subscribed already, which every server answers in every protocol, and which shows whether it is still
   * permitted.
   */
  private probe(connection: Connection, link: Link): Owed | undefined {
    for (const { kind, name } of this.entries.values()) return this.tell(connection, link, "subscribe", kind, name)
    return undefined
  }

  /** Asks a connection on which nothing was heard for a while for a sign of life, and closes one that gives none. */
  private review(): void {
    const { maintenance, runtime } = this.around
    const connection = this.slot?.connection
    const link = connection === undefined ? undefined : this.links.get(connection)
    const now = runtime.now()
    let next = now + askAfter
    // What is not read says nothing.
    if (connection !== undefined && link !== undefined && this.full.size === 0) {
      if (link.askedAt === undefined && link.heardAt + askAfter <= now) {
        link.askedAt = now
        this.probe(connection, link)
      }
      if (link.askedAt === undefined) next = link.heardAt + askAfter
      else {
        const { commandTimeout, connectTimeout } = runtime.config
        const timeout = finiteMillis(commandTimeout, connectTimeout)
        next = maintenance.timeouts.deadline(link.askedAt, timeout, connection, now)
        if (next <= now) {
          connection.close("the server has gone silent")
          next = now + askAfter
        }
      }
    }
    if (this.slot !== undefined) this.alarm.set(next)
  }

  private hold(stream: object): void {
    this.full.add(stream)
    this.mayRead.closeUnsafe()
  }

  private release(stream: object): void {
    if (this.full.delete(stream) && this.full.size === 0) {
      // It was not silent: it was not read.
      for (const link of this.links.values()) this.livesOn(link)
      this.mayRead.openUnsafe()
    }
  }
}

/** Whether a reply that no request owns answers what was asked first; subscriptions are answered by pushes. */
const isAnswerTo = (verb: Owed["verb"] | undefined, value: unknown): boolean =>
  (verb === "publish" && typeof value === "number") || (verb === "auth" && value === "OK")

const fail = (entry: Entry, error: HitlessError): void => {
  entry.error = error
  entry.changed.openUnsafe()
  for (const listener of entry.listeners) listener.fail(error)
}

const late = (command: string, detail: string, endpoint?: string): HitlessError =>
  new HitlessError({
    reason: new ConnectFailed({
      command,
      kind: "TimedOut",
      detail,
      mayHaveExecuted: true,
      ...(endpoint === undefined ? {} : { endpoint })
    })
  })

const tooMany = (limit: number): HitlessError =>
  new HitlessError({
    reason: new Overloaded({ command: "SUBSCRIBE", limit, unit: "messages", mayHaveExecuted: false })
  })
