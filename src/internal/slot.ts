/**
 * The one place for a connection that can be replaced: shared, reserved and subscribing ones alike.
 *
 * - `Empty`: never needed so far.
 * - `Serving`: its connection takes commands.
 * - `Moving`: the same, while a handoff prepares the connection's successor.
 * - `Reconnecting`: its connection was lost, or could not be made at first; a new one is dialled until it answers.
 * - `Closed`: the end.
 *
 * Every fact about a slot is in its state, and every change of it goes through `transition`. Whoever uses a slot never
 * notices which connection it holds; what has to be brought to a new one before it serves, and what becomes of requests
 * that lost theirs, is up to the slot's tenant. A slot never chooses a request and never starts a handoff by itself.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Credentials } from "../Config.ts"
import type { Connection, Owner } from "../Connection.ts"
import { type Endpoint, format, isSameMove, type Move } from "../Endpoint.ts"
import { ConnectFailed, HitlessError, type HitlessErrorReason } from "../HitlessError.ts"
import type { Maintenance } from "../Maintenance.ts"
import { backoff } from "./backoff.ts"
import { endOf } from "./causes.ts"
import { dialAgainWhileAwaited, type Dialer, isTurnedAway } from "./dialer.ts"
import type { Holder, Logins } from "./logins.ts"
import type { DialFailure } from "./outcome.ts"
import type { Request, Words } from "./request.ts"
import { finiteMillis, type Runtime } from "./runtime.ts"

/** What is known about the connection that a slot holds; times are elapsed milliseconds. */
interface Held {
  readonly connection: Connection
  readonly since: number
  /** How many of the slot's connections before it, in a row, were lost soon after they were made. */
  readonly soonLost: number
  /** Until when its connections are relaxed after a handoff. */
  readonly relaxedUntil: number
}

/** @internal */
export interface Serving extends Held {
  readonly _tag: "Serving"
  /** The move whose attempts are used up: the connection serves until the server closes it. */
  readonly gaveUp: Move | undefined
  /** Whether a fresh connection is being dialled in place of this one, which still lives. */
  readonly isRenewing: boolean
}

/** @internal */
export interface Moving extends Held {
  readonly _tag: "Moving"
  readonly move: Move
  /** Done when a newer move takes this one's place. */
  readonly superseded: Deferred.Deferred<void>
}

/** @internal */
export interface Reconnecting extends Omit<Held, "connection"> {
  readonly _tag: "Reconnecting"
  /** Where the lost connection led, or the first is to lead, as `host:port`. */
  readonly from: string
  /** Why it was lost; `undefined` where there was none. */
  readonly why: string | undefined
  /** How many dials have failed since. */
  failures: number
}

/** What a slot holds. @internal */
export type SlotState =
  | { readonly _tag: "Empty" }
  | Serving
  | Moving
  | Reconnecting
  | { readonly _tag: "Closed" }

const legal: Record<SlotState["_tag"], ReadonlyArray<SlotState["_tag"]>> = {
  Empty: ["Serving", "Reconnecting", "Closed"],
  Serving: ["Serving", "Moving", "Reconnecting", "Closed"],
  Moving: ["Serving", "Moving", "Reconnecting", "Closed"],
  Reconnecting: ["Serving", "Closed"],
  Closed: []
}

/** Whether a slot may go from one state to another. @internal */
export const isLegal = (from: SlotState["_tag"], to: SlotState["_tag"]): boolean => legal[from].includes(to)

/** What a slot is for. @internal */
export type SlotKind = "shared" | "reserved" | "subscriber" | "cache"

/** Who uses a slot. Every call is synchronous but for the effects. @internal */
export interface Tenant {
  readonly kind: SlotKind
  /** Connections that have a successor and deliver what they owe. */
  readonly draining: Set<Connection>
  /** Brings to a connection what it needs before it takes the place of `old`, if there is one; failing gives it up. */
  readonly restore?: (next: Connection, old: Connection | undefined) => Effect.Effect<void, HitlessError>
  /** What its connections have to be told before they serve; another array whenever that changes. None by default. */
  readonly restored?: (() => ReadonlyArray<Words>) | undefined
  /** Whether its connection has state that another would not have, and so must not be replaced now. */
  readonly stays?: (() => boolean) | undefined
  /** Its connection was lost while it stayed; `false` when no other can take its place, which is the slot's end. */
  readonly survives?: (() => boolean) | undefined
  /** Whether what its connection is sent may be queued in a transaction of its user, or be its user's own affair. */
  readonly isItsUsers?: (() => boolean) | undefined
  /** Whether an `ECHO` of the client's own may go among its commands now; where nothing is said it may. */
  readonly mayProve?: (() => boolean) | undefined
  /** Logs in anew on its connection, where that is not a command like others. */
  readonly logIn?: ((connection: Connection, credentials: Credentials) => Effect.Effect<void, HitlessError>) | undefined
  /** Done as soon as somebody waits for a connection, which makes the slot dial sooner. */
  readonly awaited: Effect.Effect<void>
  /** The slot has another connection, or none. */
  readonly onChange: () => void
  /** A connection was installed and takes requests. */
  readonly onServing: () => void
  /** No connection could be made. */
  readonly onDialFailed: (reason: HitlessErrorReason) => void
  /** Requests that a connection handed back unwritten, because it has a successor. */
  readonly onUnwritten: (requests: ReadonlyArray<Request>) => void
  /** Requests that a connection had when it closed, `wasDraining` or not. */
  readonly onOrphans: (
    connection: Connection,
    cause: HitlessErrorReason,
    orphans: ReadonlyArray<Request>,
    wasDraining: boolean
  ) => void
  /** Whether what it hears without having asked has blobs as bytes. */
  readonly takesBytes?: boolean | undefined
  readonly mayRead?: Owner["mayRead"]
  readonly onPush?: Owner["onPush"]
  readonly onUnowed?: Owner["onUnowed"]
  readonly onLess: Owner["onLess"]
}

/** What all slots of one client share. @internal */
export interface Surroundings {
  readonly runtime: Runtime
  readonly maintenance: Maintenance
  readonly dialer: Dialer
  readonly logins: Logins
  /** The client's slots that are not closed. */
  readonly slots: Set<Slot>
  /** Told when nothing is to wait for a connection any more: see `outageOf`. */
  readonly whenDown: Set<() => void>
}

/**
 * Why nothing is to wait for a connection: `whenDown` is `fail` and no shared connection serves. `undefined` otherwise, and
 * while the first dial of a client has not ended: nothing is known to be down.
 *
 * @internal
 */
export const outageOf = ({ dialer, runtime, slots }: Surroundings): DialFailure | undefined => {
  if (runtime.config.whenDown === "wait") return undefined
  let lost: Reconnecting | undefined
  for (const { connection, isShared, state } of slots) {
    if (!isShared) continue
    if (connection !== undefined) return undefined
    if (state._tag === "Reconnecting") lost ??= state
  }
  if (dialer.failure !== undefined || lost?.why === undefined) return dialer.failure
  const detail = `the connection was lost (${lost.why}), and the next is being dialled`
  return new ConnectFailed({ endpoint: lost.from, kind: "Dropped", detail, mayHaveExecuted: false })
}

/** What waits for a connection, and fails at once when nothing is to wait, also when that comes later. @internal */
export const unlessDown = <A, R>(
  around: Surroundings,
  waits: Effect.Effect<A, HitlessError, R>
): Effect.Effect<A, HitlessError, R> => {
  if (around.runtime.config.whenDown === "wait") return waits
  const down = Effect.callback<never, HitlessError>((resume) => {
    const look = () => {
      const outage = outageOf(around)
      if (outage !== undefined) resume(Effect.fail(new HitlessError({ reason: outage })))
    }
    around.whenDown.add(look)
    look()
    return Effect.sync(() => around.whenDown.delete(look))
  })
  return Effect.raceFirst(down, waits)
}

/** The longest wait between dials, in milliseconds; while somebody waits it is `dialAgainWhileAwaited`. */
const dialAgainAtMost = 2000

/** A connection that lived shorter than the longest wait between dials, in milliseconds, counts as a failed dial. @internal */
export const livesAtLeast = dialAgainAtMost

/** @internal */
export class Slot implements Owner, Holder {
  readonly kind: SlotKind
  /** Which of its kind it is. */
  readonly index: number
  readonly onPush: Owner["onPush"]
  readonly takesBytes: boolean
  readonly mayRead: Owner["mayRead"]
  state: SlotState = { _tag: "Empty" }
  private readonly around: Surroundings
  private readonly tenant: Tenant

  constructor(around: Surroundings, tenant: Tenant, index: number) {
    this.kind = tenant.kind
    this.index = index
    this.around = around
    this.tenant = tenant
    this.onPush = tenant.onPush ?? around.maintenance.hear
    this.takesBytes = tenant.takesBytes === true
    this.mayRead = tenant.mayRead
    around.slots.add(this)
  }

  get connection(): Connection | undefined {
    return this.state._tag === "Serving" || this.state._tag === "Moving" ? this.state.connection : undefined
  }

  get restored(): ReadonlyArray<Words> {
    return this.tenant.restored?.() ?? nothing
  }

  get mayLogIn(): boolean {
    return this.tenant.isItsUsers?.() !== true
  }

  get mayProve(): boolean {
    return this.tenant.mayProve?.() ?? true
  }

  get isShared(): boolean {
    return this.kind === "shared" || this.kind === "cache"
  }

  /** Whether it is at an endpoint or on its way there. */
  isAt(endpoint: Endpoint): boolean {
    const address = format(endpoint)
    const { connection, state } = this
    return connection?.address === address || (state._tag === "Moving" && format(state.move.target) === address)
  }

  /** Begins to dial until it has a connection, the first one. */
  begin(): void {
    const { runtime } = this.around
    if (this.state._tag !== "Empty") return
    const { endpoint } = runtime.config
    this.goWithout({ from: format(endpoint), why: undefined, soonLost: 0, relaxedUntil: 0 })
  }

  /** Dials once, wherever the database may be. */
  open(): Effect.Effect<void, HitlessError> {
    return Effect.suspend(() => {
      const before = this.state
      if (before._tag === "Closed") return Effect.void
      return Effect.uninterruptibleMask((restore) =>
        restore(this.around.dialer.dialAny(this)).pipe(
          // Where another came first it is closed, and needs nothing.
          Effect.tap((connection) => this.isStill(before) ? this.prepare(connection, restore) : Effect.void),
          Effect.flatMap((connection) => this.installIfStill(before, connection))
        )
      )
    }).pipe(Effect.tapError(({ reason }) => Effect.sync(() => this.tenant.onDialFailed(reason))))
  }

  /**
   * Begins to follow a move, if it concerns this slot: it is at the endpoint that is being left, or on its way there.
   * Whether it is on its way to a target now that it was not on its way to before.
   */
  follow(told: Move): boolean {
    const { state } = this
    if (state._tag !== "Serving" && state._tag !== "Moving") return false
    if (this.tenant.stays?.() === true) return false
    const { address } = state.connection
    const isHere = address === format(told.retiring) && state.since < (told.before ?? Infinity)
    if (!isHere && state._tag !== "Moving") return false
    const move = isHere ? told : this.around.maintenance.onward((state as Moving).move)
    const known = state._tag === "Moving" ? state.move : state.gaveUp
    if (known !== undefined && isSameMove(known, move)) return false
    const isBack = format(move.target) === address && move.before === undefined
    if (!isBack) this.transition({ ...held(state), _tag: "Moving", move, superseded: Deferred.makeUnsafe() })
    else if (state._tag === "Moving") this.serve(state, undefined)
    if (state._tag === "Moving") Deferred.doneUnsafe(state.superseded, Exit.void)
    return !isBack
  }

  /** Gives up what it was doing, if it still is: its connection serves until the server closes it. */
  giveUp(moving: Moving): void {
    if (this.state === moving) this.serve(moving, moving.move)
  }

  /**
   * One attempt at a handoff: dials the target, shakes hands, and only then swaps the connection. A failure at any byte
   * leaves the old connection as it was. `timeout` is for dial and handshake. `false` when the slot had found another
   * connection meanwhile.
   */
  replace(move: Move, timeout: Duration.Duration): Effect.Effect<boolean, HitlessError> {
    return Effect.uninterruptibleMask((restore) =>
      restore(this.around.dialer.dial(move.target, timeout, this)).pipe(
        Effect.tap((connection) => this.prepare(connection, restore)),
        Effect.flatMap((connection) => this.swap(move, connection))
      )
    )
  }

  /**
   * Dials a fresh connection after `pause` milliseconds, to take the place of the one it has: its server turned out to be
   * a replica, since the name may lead to the master by now, or has lost the session.
   */
  renew(pause: number, lostSession: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { state } = this
      if (state._tag !== "Serving" || state.isRenewing || this.tenant.stays?.() === true) return Effect.void
      const { connection } = state
      this.transition({ ...state, isRenewing: true })
      return Effect.suspend(() => this.connection === connection ? this.open() : Effect.void).pipe(
        Effect.delay(pause),
        Effect.catch(({ reason }) =>
          Effect.sync(() => {
            if (!lostSession || this.connection !== connection || !isTurnedAway(reason)) return
            // There is no session to be had, and without one it serves nothing.
            this.leave(connection, this.drainEnd(), "the server has lost its session and turned the client away")
            this.tenant.onDialFailed(reason)
          })
        ),
        Effect.ensuring(Effect.sync(() => {
          const { state } = this
          if (state._tag === "Serving" && state.connection === connection) {
            this.transition({ ...state, isRenewing: false })
          }
        }))
      )
    })
  }

  readonly logIn = (connection: Connection, credentials: Credentials): Effect.Effect<void, HitlessError> =>
    this.tenant.logIn?.(connection, credentials) ?? connection.logIn(credentials)

  /** Takes in what it could not before: new credentials, and the move of its connection's endpoint, if one is in force. */
  catchUp(): void {
    const { connection } = this
    this.around.logins.review()
    const move = connection === undefined ? undefined : this.around.maintenance.moveOf(connection.endpoint)
    if (move !== undefined) this.around.maintenance.tell(move)
  }

  /** Ends it for good. Its connection, if it has one, is the caller's to close. */
  close(): Connection | undefined {
    const { connection, state } = this
    if (state._tag === "Closed") return undefined
    this.around.slots.delete(this)
    this.transition({ _tag: "Closed" })
    this.around.maintenance.timeouts.forget(this.subject)
    // Nobody dials for it any more.
    if (state._tag === "Moving") Deferred.doneUnsafe(state.superseded, Exit.void)
    return connection
  }

  onLess(): void {
    this.tenant.onLess()
  }

  onUnowed(connection: Connection, value: unknown): boolean {
    return this.tenant.onUnowed?.(connection, value) ?? false
  }

  onSilent(connection: Connection, until: number): void {
    if (this.isShared) this.leave(connection, until, "the server has gone silent")
  }

  onClosed(connection: Connection, cause: HitlessErrorReason, orphans: ReadonlyArray<Request>): void {
    const wasDraining = this.tenant.draining.delete(connection)
    const { state } = this
    if (connection === this.connection && (state._tag === "Serving" || state._tag === "Moving")) {
      const isSoon = this.around.runtime.now() - state.since < livesAtLeast
      this.lose(state, isSoon ? state.soonLost + 1 : 0, "detail" in cause ? cause.detail : cause.message)
    }
    this.tenant.onOrphans(connection, cause, orphans, wasDraining)
  }

  /** The one place where the state changes. */
  private transition(to: SlotState): void {
    const { connection, state: from } = this
    if (!isLegal(from._tag, to._tag)) throw new Error(`Slot: illegal transition ${from._tag} → ${to._tag}`)
    this.state = to
    if (this.connection !== connection) this.tenant.onChange()
  }

  /** The subject of the window of what waits for its connection. */
  private get subject(): string {
    return `${this.kind === "shared" ? "slot" : this.kind} ${this.index}`
  }

  private serve(state: Moving, gaveUp: Move | undefined): void {
    this.transition({ ...held(state), _tag: "Serving", gaveUp, isRenewing: false })
  }

  private prepare(
    connection: Connection,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<void, HitlessError> {
    if (this.tenant.restore === undefined) return Effect.void
    return Effect.onError(
      restore(this.tenant.restore(connection, this.connection)),
      () => Effect.sync(() => connection.close("it could not be made what the one before it was"))
    )
  }

  private swap(move: Move, connection: Connection): Effect.Effect<boolean, HitlessError> {
    const { state } = this
    // The old one may have died meanwhile and its slot found another way to the target.
    const isFree = state._tag === "Moving" || state._tag === "Reconnecting"
    if (this.around.runtime.isClosing || !isFree || connection.state !== "Ready") {
      connection.close("another connection took its place")
      return Effect.succeed(false)
    }
    if (state._tag === "Moving" && this.tenant.stays?.() === true) {
      // Its user began something meanwhile. When that is over the move is followed anew.
      connection.close("the connection before it must not be replaced now")
      this.serve(state, undefined)
      return Effect.succeed(false)
    }
    if (connection.restored !== this.restored) {
      connection.close("the connection before it was told more meanwhile")
      return Effect.fail(dropped(connection, "what it was told is not what its user told the one before it any more"))
    }
    this.install(state, connection, move.until, true)
    // A newer target was named in the very moment: the slot goes on from here.
    if (state._tag === "Moving" && !isSameMove(state.move, move)) {
      this.transition({
        ...held(this.state as Serving),
        _tag: "Moving",
        move: state.move,
        superseded: state.superseded
      })
    }
    return Effect.succeed(true)
  }

  /** Whether it has the connection, or waits for the one, that it had or waited for then. */
  private isStill(before: SlotState): boolean {
    const { state } = this
    return state === before ||
      ("connection" in state && "connection" in before && state.connection === before.connection)
  }

  /** Installs a connection that was dialled when the slot was as `before`, or closes it if another came first. */
  private installIfStill(before: SlotState, connection: Connection): Effect.Effect<void, HitlessError> {
    const { runtime } = this.around
    const { state } = this
    const isOutdated = "connection" in state &&
      (this.tenant.stays?.() === true || connection.restored !== this.restored)
    if (runtime.isClosing || !this.isStill(before) || isOutdated || state._tag === "Closed") {
      connection.close("another connection took its place")
      return Effect.void
    }
    if (connection.state !== "Ready") {
      return Effect.fail(dropped(connection, "the peer closed the connection right after the handshake"))
    }
    const { address } = connection
    const from = state._tag === "Empty"
      ? address
      : state._tag === "Reconnecting"
      ? state.from
      : state.connection.address
    const target = this.around.maintenance.lastTarget
    // It may have come by itself where a handoff would have brought it, had its connection lived to see one.
    const isHandedOff = from !== address && target !== undefined && format(target) === address
    this.install(state, connection, this.drainEnd(), isHandedOff)
    return Effect.void
  }

  /** Gives the slot a new connection, and the old one, if any, its time to finish. */
  private install(
    state: Exclude<SlotState, { readonly _tag: "Closed" }>,
    connection: Connection,
    drainUntil: number,
    isHandedOff: boolean
  ): void {
    const { dialer, maintenance, runtime } = this.around
    const since = runtime.now()
    const relaxedUntil = isHandedOff
      ? since + Duration.toMillis(runtime.config.maintenance.postHandoffRelaxedDuration)
      : state._tag === "Empty"
      ? 0
      : state.relaxedUntil
    maintenance.timeouts.forget(this.subject)
    maintenance.relax(connection.subject, relaxedUntil)
    this.transition({
      _tag: "Serving",
      connection,
      since,
      soonLost: state._tag === "Empty" ? 0 : state.soonLost,
      relaxedUntil,
      gaveUp: undefined,
      isRenewing: false
    })
    if ("connection" in state) this.retire(state.connection, drainUntil)
    else if (state._tag === "Reconnecting") this.recovered(state, connection)
    // Its answer would come among what is published, where nobody can tell it from a refused subscription.
    if (this.kind !== "subscriber") dialer.supports.watch(connection)
    // It may have been dialled before its endpoint was told to move.
    this.catchUp()
    this.tenant.onServing()
  }

  /** As loud as the loss: who reads that something is down has to read that it is not any more. */
  private recovered({ failures, since, why }: Reconnecting, { address: endpoint }: Connection): void {
    const { runtime } = this.around
    // One that was made at the first dial is no news.
    if (why === undefined && failures === 0) return
    const down = Duration.format(Duration.millis(Math.max(1, Math.round(runtime.now() - since))))
    runtime.log("Warn", "a connection is there again", { endpoint }, { down, failedDials: failures })
  }

  /** When a connection with a successor has had its time, where nothing was announced. */
  private drainEnd(): number {
    const { runtime } = this.around
    return runtime.now() + Duration.toMillis(runtime.config.maintenance.handoffTimeout)
  }

  /**
   * Lets a connection finish that has a successor: until `until`, and as long as a command that it owes may take by its
   * own deadline. A server that cannot wait closes it earlier.
   */
  private retire(connection: Connection, until: number): void {
    const { runtime } = this.around
    const { config } = runtime
    const { commandTimeout, maintenance: { handoffTimeout, relaxedTimeout = Duration.zero } } = config
    // Windows may yet open, and what may wait for ever has the time of one attempt.
    const grace = Math.max(finiteMillis(commandTimeout, handoffTimeout), Duration.toMillis(relaxedTimeout))
    this.tenant.draining.add(connection)
    const end = Math.max(until, connection.owesUntil, runtime.now() + grace)
    this.tenant.onUnwritten(connection.drain(end))
  }

  /** Takes a connection that still lives from its slot: it has until `until` to deliver what it owes. */
  private leave(connection: Connection, until: number, why: string): void {
    const { state } = this
    if (!("connection" in state) || state.connection !== connection || this.around.runtime.isClosing) return
    // What it took to find out is pause enough.
    this.lose(state, 0, why)
    this.retire(connection, until)
  }

  /** Takes its connection from the slot, which dials another. */
  private lose({ connection, relaxedUntil }: Serving | Moving, soonLost: number, why: string): void {
    const { maintenance, runtime } = this.around
    if (this.tenant.stays?.() === true && this.tenant.survives?.() !== true) {
      this.close()
      return
    }
    this.goWithout({ from: connection.address, why, soonLost, relaxedUntil })
    if (runtime.isClosing) return
    // What waits for its next connection is relaxed too.
    maintenance.relax(this.subject, relaxedUntil)
    runtime.log("Warn", "a connection was lost", { endpoint: connection.address, why })
  }

  /** It has no connection from now on, and dials one. */
  private goWithout(lost: Omit<Reconnecting, "_tag" | "since" | "failures">): void {
    const { runtime } = this.around
    const state: Reconnecting = { _tag: "Reconnecting", ...lost, since: runtime.now(), failures: 0 }
    this.transition(state)
    if (!runtime.isClosing) runtime.fork(this.reconnect(state))
  }

  /**
   * Dials until the slot that has no connection has one: nobody else looks after it, so this goes on whatever an attempt
   * ends with.
   */
  private readonly reconnect = Effect.fnUntraced(function*(this: Slot, lost: Reconnecting) {
    // A server that answers the handshake and then hangs up would otherwise be dialled without a pause.
    let failures = lost.soonLost
    do yield* this.pause(failures++)
    while (this.state === lost && (yield* this.redial(lost)))
  })

  /** Dials once for the slot that has no connection, and says so where that fails. Whether it did. */
  private redial(lost: Reconnecting): Effect.Effect<boolean> {
    return this.open().pipe(
      Effect.as(false),
      Effect.catchCause((cause) =>
        Effect.sync(() => {
          // It has another by now, or needs none.
          if (this.state !== lost || this.around.runtime.isClosing) return true
          lost.failures++
          const error = Cause.findErrorOption(cause)
          const why = Option.isSome(error) ? error.value.message : endOf(cause)
          this.around.runtime.log("Warn", "no connection can be made, dialling goes on", { endpoint: lost.from, why })
          return true
        })
      )
    )
  }

  /** The wait before a dial when so many have failed in a row, cut short when somebody waits for it. */
  private pause(failures: number): Effect.Effect<void> {
    const { runtime } = this.around
    const longest = runtime.jittered(backoff(failures, dialAgainAtMost))
    const shortest = Math.min(longest, runtime.jittered(dialAgainWhileAwaited))
    const rest = Effect.raceFirst(Effect.sleep(longest - shortest), this.tenant.awaited)
    return longest === shortest ? Effect.sleep(longest) : Effect.andThen(Effect.sleep(shortest), rest)
  }
}

/** The wait before a renewal when there were so many in a row, in milliseconds: commands wait for it. @internal */
export const renewAfter = (renewals: number): number => backoff(renewals, dialAgainWhileAwaited)

const nothing: ReadonlyArray<Words> = []

const dropped = ({ address: endpoint }: Connection, detail: string): HitlessError =>
  new HitlessError({ reason: new ConnectFailed({ endpoint, kind: "Dropped", detail, mayHaveExecuted: false }) })

const held = ({ connection, relaxedUntil, since, soonLost }: Serving | Moving): Held => ({
  connection,
  since,
  soonLost,
  relaxedUntil
})
