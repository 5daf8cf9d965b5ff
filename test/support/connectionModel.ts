/**
 * A plain model of one connection: a queue of what waits, a queue of what is written, and the rules of who is answered, of
 * time, of proof and of the end. It walks all that there is at each moment, and keeps no alarm.
 */
import { assert } from "@effect/vitest"
import type { HitlessError } from "hitless"
import type { State } from "../../src/Connection.ts"
import type { RequestKind, RequestState } from "../../src/internal/request.ts"

export const connectTimeout = 5000
export const commandTimeout = 2000
export const relaxed = 6000
/** How long after one probe the next goes. */
const provenEvery = 1000

/** What the owner takes though no request owns it. */
export const welcome = "welcome"

/** What the owner of a connection is told, in order. */
export const noted = () => ({
  closes: [] as Array<string>,
  failures: [] as Array<string>,
  handed: [] as Array<string>,
  pushes: [] as Array<unknown>,
  unowed: [] as Array<unknown>,
  silences: [] as Array<number>
})

/** The owner is told of a silence again and again, later or sooner: what counts is the first time. */
export const notice = (silences: Array<number>, until: number) => {
  if ((silences.at(-1) ?? broken) === broken) silences.push(until)
}

/** What ends a silence. */
const broken = 0

export const breakSilence = (silences: Array<number>) => {
  if ((silences.at(-1) ?? broken) !== broken) silences.push(broken)
}

/** A request as the model has it. */
export interface Asked {
  readonly kind: RequestKind | "probe"
  /** Its commands; of a transaction only the first is written at first. */
  readonly lines: ReadonlyArray<string>
  readonly timeout: number
  readonly startedAt: number
  state: RequestState
  /** By what it is known; what it is answered with names it. */
  readonly name: string
  /** How it ended: never more than one way. */
  readonly ends: Array<string>
  /** Replies that are to come, and those that came. */
  owes: number
  readonly replies: Array<unknown>
}

export const isLive = ({ state }: Asked) => state !== "Settled"

export const asked = (
  kind: Asked["kind"],
  name: string,
  lines: ReadonlyArray<string>,
  timeout: number,
  startedAt: number
): Asked => ({ kind, name, lines, timeout, startedAt, state: "Waiting", ends: [], owes: lines.length, replies: [] })

const isError = (value: unknown): value is string => typeof value === "string" && value.startsWith("-")

export class Model {
  now: number
  state: State = "Connecting"
  private waiting: Array<Asked> = []
  written: Array<Asked> = []
  /** The transaction whose `MULTI` has no answer yet. */
  opening: Asked | undefined
  /** Whether something may leave at the end of this tick, and what is to: commands that the socket was not given yet. */
  private isDue = false
  private readonly pending: Array<string> = []
  readonly wire: Array<string>
  /** Whether the socket takes no more, and whether a write waits for it. */
  isFull = false
  isWriting = false
  private readonly connectUntil: number
  private drainUntil = Infinity
  private lastReplied: number
  private owesSince: number
  waitsSince: number
  windows: Array<{ readonly endsAt: number; readonly seq: number }> = []
  private closedAt = -Infinity
  mayProve = true
  /** From when on a command has a probe before it. */
  private probeFrom = Infinity
  /** Whether the text of the last probe may come back, and whether it just came. */
  private mayReturn = true
  private hasReturned = false
  private readonly lastEcho: () => string
  /** Whether a reply was added or lost since a probe last showed that none was. */
  isOutOfStep = false
  /** Whether a request has left its queue in this step. */
  less = false
  /** Whether the owner leaves a connection that is silent, and what it was told. */
  private readonly leaves: boolean
  readonly told = noted()

  constructor(now: number, leaves: boolean, handshake: ReadonlyArray<string>, lastEcho: () => string) {
    this.lastEcho = lastEcho
    this.now = now
    this.waitsSince = now
    this.owesSince = now
    this.lastReplied = now
    this.connectUntil = now + connectTimeout
    this.leaves = leaves
    this.wire = [...handshake]
    const own = (kind: Asked["kind"], lines: ReadonlyArray<string>): Asked => ({
      ...asked(kind, kind, lines, Infinity, now),
      state: "Written"
    })
    this.written = [own("own", handshake.slice(0, -1)), own("probe", ["ECHO"])]
  }

  get queued(): ReadonlyArray<Asked> {
    return [...this.written, ...this.waiting]
  }

  deadlineOf({ startedAt, timeout }: { readonly startedAt: number; readonly timeout: number }): number {
    if (timeout >= relaxed) return startedAt + timeout
    if (this.windows.length > 0) return startedAt + relaxed
    return this.closedAt > startedAt
      ? Math.min(startedAt + relaxed, this.closedAt + timeout)
      : startedAt + timeout
  }

  send(request: Asked): void {
    this.waiting.push(request)
    this.isDue = true
  }

  /** The socket takes bytes again. */
  empty(): void {
    this.isFull = false
    this.isDue ||= this.isWriting && (this.waiting.length > 0 || this.pending.length > 0)
    this.isWriting = false
  }

  /** The end of a tick: what may leave does, in its order. */
  flush(): void {
    const { isDue } = this
    this.isDue = false
    if (!isDue || this.state === "Closed" || this.isWriting) return
    if (this.probeFrom === -Infinity && this.opening === undefined && this.state === "Ready" && this.mayProve) {
      this.probe(this.now, this.waiting[0]?.timeout ?? commandTimeout)
    }
    while (this.opening === undefined && this.waiting.length > 0) {
      const next = this.waiting.shift()!
      if (!isLive(next)) {
        this.less = true
        continue
      }
      if (next.startedAt >= this.probeFrom && this.mayProve) this.probe(next.startedAt, next.timeout)
      const isTransaction = next.kind === "transaction"
      if (isTransaction) this.opening = next
      else next.state = "Written"
      next.owes = isTransaction ? 1 : next.lines.length
      this.put(next, next.lines.slice(0, next.owes))
    }
    if (this.pending.length === 0) return
    this.wire.push(...this.pending.splice(0))
    this.isWriting = this.isFull
  }

  private probe(startedAt: number, timeout: number): void {
    this.probeFrom = Infinity
    this.mayReturn = true
    this.hasReturned = false
    this.put({ ...asked("probe", "probe", ["ECHO"], timeout, startedAt), state: "Settled" }, ["ECHO"])
  }

  private put(request: Asked, lines: ReadonlyArray<string>): void {
    if (this.written.length === 0) this.owesSince = this.waitsSince = this.now
    this.written.push(request)
    this.pending.push(...lines)
  }

  /** The next reply belongs to the first request that is written: that is the whole rule. */
  reply(value: unknown): void {
    if (this.state === "Closed") return
    this.lastReplied = this.now
    const [head] = this.written
    if (head === undefined) {
      this.told.unowed.push(value)
      return value === welcome ? undefined : this.close("ProtocolViolation")
    }
    if (this.slips(head, value)) return this.close("ProtocolViolation")
    head.owes--
    head.replies.push(value)
    if (head === this.opening) this.opened(head)
    else if (head.owes === 0) this.answered(head)
    if (this.state === "Draining") this.closeIfDrained()
  }

  /** A text that was never used comes back at its own place, and once. An error in its stead proves nothing. */
  private slips(head: Asked, value: unknown): boolean {
    const isEcho = this.mayReturn && value === this.lastEcho()
    if (head.kind !== "probe") {
      if (this.hasReturned) this.mayReturn = false
      return isEcho
    }
    if (!isEcho && !isError(value)) return true
    if (isEcho) {
      this.hasReturned = true
      this.isOutOfStep = false
    }
    this.probeFrom = isError(value) && value.includes("'ECHO'") ? Infinity : head.startedAt + provenEvery
    return false
  }

  /** What follows `MULTI` goes only when it was accepted, and only if somebody still waits. */
  private opened(head: Asked): void {
    this.opening = undefined
    if (head.replies[0] !== "OK") this.answered(head)
    else {
      const rest = isLive(head) ? head.lines.slice(1) : ["DISCARD"]
      if (isLive(head)) head.state = "Written"
      head.owes = rest.length
      this.pending.push(...rest)
    }
    this.isDue = true
  }

  private answered(head: Asked): void {
    this.written.shift()
    this.less = true
    this.waitsSince = this.written.length === 0 ? Infinity : this.now
    if (head.kind === "probe") {
      if (this.state === "Connecting") this.state = "Ready"
      return
    }
    const { replies } = head
    const value = JSON.stringify(head.kind === "pipeline" || head.kind === "transaction" ? replies : replies[0])
    // Each value names whom it is for.
    const isOwn = Array.from(value.matchAll(/ (\d+)/g)).every(([, name]) => name === head.name)
    assert.isTrue(isOwn || this.isOutOfStep || !isLive(head), `${head.name} is given ${value}`)
    this.end(head, value)
    const last = replies.at(-1)
    // `EXEC` gave its results or discarded, `DISCARD` its `OK`, or `MULTI` was refused.
    const isOver = Array.isArray(last) || last === "OK" ||
      (isError(last) && (replies.length === 1 || last.startsWith("-EXECABORT")))
    if (head.kind === "transaction" && !isOver) this.close("ConnectionLost")
  }

  end(request: Asked, how: string): void {
    if (!isLive(request)) return
    request.state = "Settled"
    request.ends.push(how)
  }

  drain(until: number): void {
    if (this.state === "Draining") this.drainUntil = Math.min(until, this.drainUntil)
    if (this.state !== "Ready") return
    this.state = "Draining"
    this.drainUntil = until
    for (const request of this.waiting.splice(0)) {
      if (request.kind === "own") this.end(request, "ConnectionLost false")
      else if (isLive(request)) this.told.handed.push(`${request.name} ${this.deadlineOf(request)}`)
    }
    this.closeIfDrained()
  }

  closeIfDrained(): void {
    if (!this.written.some(isLive)) this.close("ConnectionLost")
  }

  close(why: HitlessError.HitlessErrorReason["_tag"]): void {
    if (this.state === "Closed") return
    const wasReady = this.state !== "Connecting"
    this.state = "Closed"
    const orphans: Array<string> = []
    for (const request of this.queued) {
      if (request.kind === "own" && wasReady) this.end(request, `${why} ${why === "ProtocolViolation"}`)
      else if (isLive(request)) orphans.push(`${request.name} ${request.state} ${this.deadlineOf(request)}`)
    }
    this.waiting = []
    this.written = []
    if (wasReady) this.told.closes.push([why, ...orphans].join(", "))
    else this.told.failures.push(`${why === "ConnectionLost" ? "ConnectFailed" : why} false`)
  }

  get owesUntil(): number {
    const deadlines = this.written.filter(isLive).map((request) => this.deadlineOf(request))
    return Math.max(this.now, ...deadlines.filter(Number.isFinite))
  }

  /** It is closed, or given up before it was made. */
  abandon(): void {
    if (this.state !== "Connecting") return this.close("ConnectionLost")
    this.state = "Closed"
    this.told.failures.push("given up")
  }

  /** What the peer works on: it may send an echo only with the answer to what is behind it. */
  private get underWay(): Asked | undefined {
    const [head, behind] = this.written
    return head?.kind === "probe" ? behind ?? head : head
  }

  /** When it last gave a reply, or owed none, and when that is too long ago; for ever if its command may take for ever. */
  private get silence(): readonly [since: number, noticed: number] {
    const since = Math.max(this.lastReplied, this.owesSince)
    const timeout = this.underWay === undefined ? Infinity : Math.max(commandTimeout, this.underWay.timeout)
    return [since, timeout === Infinity ? Infinity : this.deadlineOf({ startedAt: since, timeout })]
  }

  /** When something ends by itself next. */
  get next(): number {
    const [since, noticed] = this.silence
    const times = [
      ...this.queued.filter(isLive).map((request) => this.deadlineOf(request)),
      ...this.windows.map(({ endsAt }) => endsAt),
      noticed,
      noticed === Infinity ? Infinity : 2 * noticed - since,
      this.drainUntil,
      this.connectUntil
    ]
    return Math.min(...times.filter((time) => time > this.now))
  }

  endWindows(isOver: (window: { readonly endsAt: number; readonly seq: number }) => boolean): void {
    for (const window of this.windows.filter(isOver)) {
      this.closedAt = Math.max(this.closedAt, Math.min(window.endsAt, this.now))
    }
    this.windows = this.windows.filter((window) => !isOver(window))
  }

  /** What is over now. */
  tick(): void {
    this.endWindows(({ endsAt }) => endsAt <= this.now)
    if (this.state === "Connecting" && this.connectUntil <= this.now) this.close("ConnectFailed")
    if (this.state === "Connecting" || this.state === "Closed") return
    const [since, noticed] = this.silence
    const gone = noticed === Infinity ? Infinity : 2 * noticed - since
    const isOverdue = (request: Asked) => isLive(request) && this.deadlineOf(request) <= this.now
    const overdue = this.queued.filter(isOverdue)
    const holdsUp = this.underWay?.timeout === Infinity && this.now >= since + commandTimeout &&
      this.written.some(isOverdue)
    if (this.state === "Ready" && (noticed <= this.now || holdsUp)) {
      notice(this.told.silences, gone)
      if (this.leaves) this.drain(gone)
    }
    // What its owner was handed back is not its own any more.
    for (const request of overdue.filter((request) => this.queued.includes(request))) {
      this.end(request, `CommandTimeout ${request.state === "Written"}`)
      if (this.probeFrom !== Infinity) this.probeFrom = -Infinity
    }
    if (gone <= this.now || this.drainUntil <= this.now) this.close("ConnectionLost")
    else if (this.state === "Draining" && overdue.length > 0) this.closeIfDrained()
    this.isDue ||= overdue.length > 0
    this.flush()
  }
}
