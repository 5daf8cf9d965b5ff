/**
 * The handoffs of one client, each from its announcement to its end.
 */
import * as Duration from "effect/Duration"
import { format } from "../../Endpoint.ts"
import type { HandoffEvent } from "../../Handoff.ts"
import type { Moving, Notification } from "../../Notifications.ts"
import type { HandoffOutcome } from "../Rehearsal.ts"

const ended: Partial<Record<HandoffEvent["_tag"], HandoffOutcome["outcome"]>> = {
  Completed: "completed",
  Superseded: "superseded",
  Failed: "failed"
}

interface HandoffRecord {
  readonly event: HandoffEvent
  /** Milliseconds: when it was announced, or else queued, and the time that was announced for it. */
  readonly since: number
  readonly announced: Duration.Duration
  outcome: HandoffOutcome["outcome"]
  endedAt: number | undefined
}

/** See the module. `now` gives milliseconds. */
export class Handoffs {
  private readonly now: () => number
  private readonly announced: Array<{ readonly at: number; readonly moving: Moving }> = []
  private readonly records: Array<HandoffRecord> = []
  /** Those under way, by slot and target. */
  private readonly open = new Map<string, HandoffRecord>()

  constructor(now: () => number) {
    this.now = now
  }

  heard(notification: Notification): void {
    if (notification._tag === "Moving") this.announced.push({ at: this.now(), moving: notification })
  }

  happened(event: HandoffEvent): void {
    const key = `${event.kind} ${event.slot} ${event.to}`
    const record = this.open.get(key) ?? this.begin(event)
    const outcome = ended[event._tag]
    if (outcome === undefined) {
      this.open.set(key, record)
    } else {
      record.outcome = outcome
      record.endedAt = this.now()
      this.open.delete(key)
    }
  }

  private begin(event: HandoffEvent): HandoffRecord {
    // An announcement without a target leads wherever the name does.
    const announcements = this.announced.filter(({ moving }) => moving.seq === event.seq)
    const announcement =
      announcements.findLast(({ moving: { target } }) => target === undefined || format(target) === event.to) ??
        // The target has been moved on by now, or is reached at another address.
        announcements.at(-1)
    const record: HandoffRecord = {
      event,
      since: announcement?.at ?? this.now(),
      announced: announcement?.moving.time ?? Duration.zero,
      outcome: "unfinished",
      endedAt: undefined
    }
    this.records.push(record)
    return record
  }

  /** When each was going on, in milliseconds. */
  spans(): Array<{ readonly from: number; readonly to: number }> {
    return this.records.map(({ endedAt, since }) => ({ from: since, to: endedAt ?? this.now() }))
  }

  outcomes(): ReadonlyArray<HandoffOutcome> {
    return this.records.map(({ announced, endedAt, event: { from, kind, slot, to }, outcome, since }) => ({
      kind,
      slot,
      from,
      to,
      outcome,
      announced,
      took: Duration.millis((endedAt ?? this.now()) - since)
    }))
  }
}
