/**
 * What one client knows of maintenance: what servers announced, which windows are open because of it, and which endpoint is
 * being left for which, until when.
 *
 * There is one for all connections of a client, whatever they are for. A connection hands it every push as it is read,
 * and the windows that it announces are open before the next byte is; acting on it is up to those who consume `moves`
 * and `notifications`. Each event counts once, however often it is heard.
 *
 * This module never dials, never replaces a connection and never changes the configuration: where a dial goes instead of
 * the configured endpoint is an override that expires.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { AddressOverride, type Endpoint, format, isIp, type Move, parse } from "./Endpoint.ts"
import { Alarm } from "./internal/alarm.ts"
import { keepNewest } from "./internal/bounded.ts"
import * as Hub from "./internal/hub.ts"
import type { Runtime } from "./internal/runtime.ts"
import type { Scrub } from "./internal/secrets.ts"
import { decode, frameNames, type Moving, type Notification, SeenEvents } from "./Notifications.ts"
import { Timeouts, type Window } from "./Timeouts.ts"

/**
 * How long after its announced end a move's target is still worth a dial when nothing else answers, in milliseconds:
 * servers close the old socket, and names lead to the new address, up to 4 s after it (docs/wire.md, Timing).
 */
const targetOutlives = 30_000

/**
 * How soon a name is looked up again after a move without a target, in milliseconds: twice as long after each answer, at
 * last once a second, since names lag by seconds (docs/wire.md, Timing).
 */
const askFirstAfter = 100
const askAtMostEvery = 1000

/**
 * How long before the announced end the name is dialled whatever it leads to, in milliseconds, and at most a quarter of the
 * time: the new node serves the endpoint after little more than half of it, and the old sockets are closed after the end
 * (docs/wire.md, Timing).
 */
const beforeEnd = 2000

/** How many addresses that are being left are remembered: a client is connected to a few. */
const mostLeft = 64

/** Where something was heard. @internal */
export interface Heard {
  readonly endpoint: Endpoint
  /** The endpoint, as `host:port`. */
  readonly address: string
  /** The IP address of the peer, where it is known. */
  readonly peerAddress: string | undefined
  readonly scrub: Scrub
}

/**
 * The memory of one client. Made by `make`.
 *
 * @category models
 * @since 0.1.0
 */
export class Maintenance {
  readonly timeouts: Timeouts
  /** Each notification once. */
  readonly notifications: Stream.Stream<Notification>
  /**
   * The moves to be followed, one at the most for each endpoint that is left: who takes one gets the newest of its
   * endpoint. The stream has one consumer.
   */
  readonly moves: Stream.Stream<Move>

  private readonly runtime: Runtime
  private readonly hub: Hub.Hub<Notification>
  private readonly queue: Queue.Queue<Move>
  private readonly override = new AddressOverride()
  private readonly alarm: Alarm
  /** What was heard, and what was heard on which endpoint. */
  private readonly seen = new SeenEvents()
  private readonly seenAt = new SeenEvents()
  /** The IP addresses that are being left, until when: names lead to them for a while. */
  private readonly leftPeers = new Map<string, number>()
  /** The endpoints whose move is in the queue. */
  private readonly untaken = new Set<string>()

  /** @internal Use `make`. */
  constructor(runtime: Runtime, hub: Hub.Hub<Notification>, queue: Queue.Queue<Move>) {
    this.runtime = runtime
    this.hub = hub
    this.queue = queue
    this.notifications = hub.stream
    this.moves = Stream.map(Stream.fromQueue(queue), (move) => this.take(move))
    this.alarm = new Alarm(runtime.context, () => {
      this.timeouts.expire(runtime.now())
      this.alarm.set(this.timeouts.nextEnd)
    })
    this.timeouts = new Timeouts(runtime.config.maintenance.relaxedTimeout, (delta, window) => {
      this.windowChanged(delta, window)
    })
  }

  /** Takes in a push that is about maintenance, as the connection reads it; any other is left alone. */
  readonly hear = (at: Heard, elements: ReadonlyArray<unknown>): void => {
    const { log, recorder } = this.runtime
    if (this.runtime.isClosing) return
    const decoded = decode(elements, at.address)
    if (decoded === undefined) return
    if (Result.isFailure(decoded)) {
      recorder.notified("malformed")
      return log("Warn", "a maintenance notification could not be read and was ignored", {
        endpoint: at.address,
        why: at.scrub(decoded.failure)
      })
    }
    const notification = decoded.success
    const now = this.runtime.now()
    const first = this.seen.first(notification, now)
    if (first) {
      recorder.notified(frameNames[notification._tag])
      log("Info", frameNames[notification._tag], { seq: notification.seq, endpoint: at.address })
      this.runtime.fork(this.hub.publish(notification))
    }
    // One event concerns every endpoint on which it is heard: a node can be known by more than one name.
    if (!this.seenAt.first(notification, now, at.address)) return
    const target = notification._tag === "Moving" ? this.reached(at.endpoint, notification.target) : undefined
    const { addressMap } = this.runtime.config
    const isHere = target !== undefined && format(target) === at.address
    // Behind one translated address another node can be from some time on: that is a move without a name.
    const isTranslated = isHere && notification._tag === "Moving" && addressMap !== undefined &&
      notification.target !== undefined && format(notification.target) !== at.address
    if (isHere && !isTranslated) return
    this.timeouts.notify(notification, first, now)
    this.alarm.set(this.timeouts.nextEnd)
    if (notification._tag !== "Moving") return
    if (notification.target === undefined || isTranslated) this.runtime.fork(this.followName(at, notification, now))
    else if (target !== undefined) this.beginMove(at, target, notification, now)
  }

  /**
   * The places where the database that was configured as `endpoint` may be, the likeliest first: where its endpoint is
   * being moved to, the endpoint itself, and where the last move led, as long as that is worth a dial.
   */
  destinations(endpoint: Endpoint): ReadonlyArray<Endpoint> {
    const now = this.runtime.now()
    const places = new Map<string, Endpoint>()
    for (const place of [this.override.resolve(endpoint, now), endpoint, this.lastTarget]) {
      if (place !== undefined && !places.has(format(place))) places.set(format(place), place)
    }
    return [...places.values()]
  }

  /** The move by which an endpoint is being left. */
  moveOf(endpoint: Endpoint): Move | undefined {
    const move = this.override.moveOf(endpoint, this.runtime.now())
    return move === undefined ? undefined : this.onward(move)
  }

  /** The same move, to where its target has been moved on by now. */
  onward(move: Move): Move {
    return { ...move, target: this.override.resolve(move.target, this.runtime.now()) }
  }

  /** Where the last move led, as long as that is worth a dial. */
  get lastTarget(): Endpoint | undefined {
    const now = this.runtime.now()
    const last = this.override.last
    return last !== undefined && now < last.until + targetOutlives ? last.target : undefined
  }

  /** Puts a move where it is followed from, unless one of the same endpoint is there: what is followed is the newest. */
  tell(move: Move): void {
    const retiring = format(move.retiring)
    if (this.untaken.has(retiring)) return
    this.untaken.add(retiring)
    Queue.offerUnsafe(this.queue, move)
  }

  /** Relaxes a subject until a time, in elapsed milliseconds. */
  relax(subject: string, until: number): void {
    const now = this.runtime.now()
    this.timeouts.relaxAfterHandoff(subject, until - now, now)
    this.alarm.set(this.timeouts.nextEnd)
  }

  /** Closes every window and ends the streams. */
  get end(): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sync(() => {
        this.alarm.clear()
        this.timeouts.end(this.runtime.now())
      }),
      this.hub.end
    )
  }

  private take(move: Move): Move {
    this.untaken.delete(format(move.retiring))
    return this.moveOf(move.retiring) ?? this.onward(move)
  }

  private beginMove(
    { endpoint: retiring, peerAddress }: Heard,
    target: Endpoint,
    { seq, time }: Moving,
    now: number
  ): void {
    if (!this.mayFollow(retiring, target)) return
    const { handoffTimeout } = this.runtime.config.maintenance
    // The old connection is owed at least the time that one attempt may take.
    const until = now + Duration.toMillis(Duration.max(time, handoffTimeout))
    this.leave(peerAddress, until)
    const move = { retiring, target, until, seq }
    this.override.set(move)
    this.tell(move)
  }

  /**
   * A move without a target: the configured name will lead to the new address, some time before or after the announced
   * end. Asks until it does, and shortly before the end whatever it says, since an address can be bound to the new node
   * without a change of the name.
   */
  private readonly followName = Effect.fnUntraced(function*(
    this: Maintenance,
    { endpoint: retiring, peerAddress }: Heard,
    { seq, time }: Moving,
    heardAt: number
  ) {
    const { config, transport } = this.runtime
    const target = config.endpoint
    const announced = Duration.toMillis(time)
    const lastCall = heardAt + announced - Math.min(beforeEnd, announced / 4)
    let left = peerAddress
    const isLeft = (address: string): boolean =>
      address === left || (this.leftPeers.get(address) ?? 0) > this.runtime.now()
    for (
      let wait = askFirstAfter;
      target._tag === "Tcp" && !isIp(target.host);
      wait = Math.min(2 * wait, askAtMostEvery)
    ) {
      const addresses = yield* Effect.orElseSucceed(transport.resolve(target.host), (): ReadonlyArray<string> => [])
      // Without the peer's address the first answer is taken for it: names lag behind.
      if (left === undefined) left = addresses[0]
      if (addresses.length > 0 && !addresses.some(isLeft)) break
      const rest = lastCall - this.runtime.now()
      if (rest <= 0) break
      yield* Effect.sleep(Math.min(wait, rest))
    }
    const rest = lastCall - this.runtime.now()
    if (target._tag !== "Tcp" || isIp(target.host)) yield* Effect.sleep(Math.max(0, rest))
    if (!this.mayFollow(retiring, target)) return
    const { handoffTimeout } = config.maintenance
    const until = heardAt + Duration.toMillis(Duration.max(time, handoffTimeout))
    this.leave(left, until)
    const move: Move = { retiring, target, until, seq, before: this.runtime.now() }
    // From here on the name is right again for what was sent to another address before.
    this.override.set(move)
    this.tell(move)
  })

  private leave(peerAddress: string | undefined, until: number): void {
    if (peerAddress === undefined) return
    this.leftPeers.delete(peerAddress)
    this.leftPeers.set(peerAddress, until)
    keepNewest(this.leftPeers, mostLeft)
  }

  /** How this client reaches a target, if it has to be translated; `undefined` where that fails. */
  private reached(retiring: Endpoint, named: Endpoint | undefined): Endpoint | undefined {
    const { addressMap } = this.runtime.config
    if (named === undefined || addressMap === undefined) return named
    try {
      const reached = addressMap(named)
      // A function that is not typed may give anything.
      if (reached._tag === "Tcp") return Result.getOrThrow(parse(format(reached)))
    } catch {
      // What it threw can be secret.
    }
    this.refuse(retiring, named, "addressMap gave no host and port for the target")
    return undefined
  }

  /** Whether `maintenance.targets` lets credentials go there; a predicate that throws does not. */
  private mayFollow(retiring: Endpoint, target: Endpoint): boolean {
    const { targets } = this.runtime.config.maintenance
    if (targets === undefined) return true
    let why = "maintenance.targets does not allow the target"
    try {
      // A predicate that is not typed may give a promise.
      if (targets(target) === true) return true
    } catch {
      why = "the predicate maintenance.targets threw"
    }
    this.refuse(retiring, target, why)
    return false
  }

  private refuse(retiring: Endpoint, target: Endpoint, why: string): void {
    this.runtime.recorder.moveRefused()
    this.runtime.log("Warn", "a move was not followed, its connections serve until the server closes them", {
      from: format(retiring),
      to: format(target),
      why
    })
  }

  private windowChanged(delta: 1 | -1, { label, subject }: Window): void {
    this.runtime.recorder.windowChanged(delta)
    this.runtime.log("Info", delta === 1 ? "timeouts are relaxed" : "timeouts are no longer relaxed", {
      window: label,
      subject
    })
  }
}

/**
 * Makes the memory of one client; who closes the client runs its `end`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(runtime: Runtime) {
  return new Maintenance(runtime, yield* Hub.make<Notification>(), yield* Queue.unbounded<Move>())
})
