/**
 * Maintenance notifications: from push frames to typed values, each event once.
 *
 * This module owns the reading of `MOVING`, `MIGRATING`, `MIGRATED`, `FAILING_OVER`, `FAILED_OVER`, `SMIGRATING` and
 * `SMIGRATED` (docs/wire.md), strict in what is required and tolerant of the rest, and the memory of which events were seen:
 * servers broadcast an event on every connection and repeat it to each new one. It never acts on a notification;
 * `Timeouts` and `Handoff` do.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { type Endpoint, format, parse } from "./Endpoint.ts"
import { keepNewest } from "./internal/bounded.ts"
import { Unreadable } from "./Resp.ts"

interface Origin {
  /**
   * The sequence number the server gave the event, in decimal digits: it has 64 bits. Shared by all types, growing with
   * gaps.
   */
  readonly seq: string
  /** The endpoint of the connection on which it was heard, as `host:port`. */
  readonly endpoint: string
}

/**
 * The endpoint is being re-bound: be on `target` within `time`. Without a target, the configured name will lead there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Moving extends Origin {
  readonly _tag: "Moving"
  readonly time: Duration.Duration
  readonly target: Endpoint | undefined
}

/**
 * Shards are about to move: replies may be slow.
 *
 * @category models
 * @since 0.1.0
 */
export interface Migrating extends Origin {
  readonly _tag: "Migrating"
  readonly time: Duration.Duration
  readonly shards: ReadonlyArray<string>
}

/**
 * The shards have moved.
 *
 * @category models
 * @since 0.1.0
 */
export interface Migrated extends Origin {
  readonly _tag: "Migrated"
  readonly shards: ReadonlyArray<string>
}

/**
 * A failover is about to happen: replies may be slow.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailingOver extends Origin {
  readonly _tag: "FailingOver"
  readonly time: Duration.Duration
  readonly shards: ReadonlyArray<string>
}

/**
 * The failover is over.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedOver extends Origin {
  readonly _tag: "FailedOver"
  readonly shards: ReadonlyArray<string>
}

/**
 * Cluster API: slots are about to move. `slots` is the server's text, for example `123,456,789-1000`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SlotsMigrating extends Origin {
  readonly _tag: "SlotsMigrating"
  readonly slots: string
}

/**
 * Cluster API: slots have moved. The same source or destination may repeat.
 *
 * @category models
 * @since 0.1.0
 */
export interface SlotsMigrated extends Origin {
  readonly _tag: "SlotsMigrated"
  readonly moves: ReadonlyArray<{ readonly source: string; readonly destination: string; readonly slots: string }>
}

/**
 * What a server can tell about maintenance.
 *
 * @category models
 * @since 0.1.0
 */
export type Notification =
  | Moving
  | Migrating
  | Migrated
  | FailingOver
  | FailedOver
  | SlotsMigrating
  | SlotsMigrated

/**
 * The frame's name of each notification, as servers write it.
 *
 * @category constants
 * @since 0.1.0
 */
export const frameNames = {
  Moving: "MOVING",
  Migrating: "MIGRATING",
  Migrated: "MIGRATED",
  FailingOver: "FAILING_OVER",
  FailedOver: "FAILED_OVER",
  SlotsMigrating: "SMIGRATING",
  SlotsMigrated: "SMIGRATED"
} as const

/**
 * Notifications of one family open and close the same windows.
 *
 * @category models
 * @since 0.1.0
 */
export type Family = "moving" | "migration" | "failover" | "slot migration"

/**
 * The family of a notification.
 *
 * @category getters
 * @since 0.1.0
 */
export const familyOf = (self: Notification): Family => {
  switch (self._tag) {
    case "Moving":
      return "moving"
    case "Migrating":
    case "Migrated":
      return "migration"
    case "FailingOver":
    case "FailedOver":
      return "failover"
    case "SlotsMigrating":
    case "SlotsMigrated":
      return "slot migration"
  }
}

/**
 * The longest announced time that is believed, ten minutes. Deployments announce 15 s to a few minutes (docs/wire.md,
 * Timing); a longer one would keep timeouts relaxed because of a server's mistake.
 *
 * @category constants
 * @since 0.1.0
 */
export const longestAnnounced: Duration.Duration = Duration.minutes(10)

/** The longest host name and its port. */
const longestAddress = 259

/**
 * Of how many shards or slots an event is told, and in how many characters: twice the shards that a database can have,
 * and each of a cluster's 16,384 slots by itself. What is longer counts as missing: the event is acted on without it.
 */
const mostShards = 1024
const longestShard = 64
const mostSlots = 16_384
const longestSlots = mostSlots * 6

const integer = (value: unknown): bigint | undefined => {
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : undefined
  if (typeof value === "bigint") return value
  return typeof value === "string" && /^-?\d{1,19}$/.test(value) ? BigInt(value) : undefined
}

/** Servers count in 64 bits; a number of any length would be kept with all that remembers the event. */
const isSequence = (seq: bigint): boolean => seq === BigInt.asIntN(64, seq) || seq === BigInt.asUintN(64, seq)

const announced = (value: unknown): Duration.Duration | undefined => {
  const seconds = integer(value)
  if (seconds === undefined) return undefined
  return Duration.clamp(Duration.seconds(Number(seconds)), { minimum: Duration.zero, maximum: longestAnnounced })
}

/** Text, as servers may also write it as a number; `undefined` for anything else, which `String` can throw at. */
const text = (value: unknown): string | undefined =>
  typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? String(value) : undefined

const texts = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) && value.length <= mostShards
    ? value.map(text).filter((item) => item !== undefined).filter(({ length }) => length <= longestShard)
    : []

/** Shards are information only, so text that is not JSON is no reason to refuse the event. */
const shardsOf = (value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "string") return texts(value)
  if (value.length > mostShards * longestShard) return []
  try {
    return texts(JSON.parse(value))
  } catch {
    return value === "" ? [] : texts([value])
  }
}

const slotMoves = (value: unknown): SlotsMigrated["moves"] | undefined => {
  if (!Array.isArray(value)) return undefined
  if (value.length > mostSlots) return []
  const moves: Array<SlotsMigrated["moves"][number]> = []
  for (const move of value) {
    if (!Array.isArray(move) || move.length < 3 || !move.slice(0, 3).every((part) => typeof part === "string")) {
      return undefined
    }
    const [source, destination, slots] = move
    if (source.length > longestAddress || destination.length > longestAddress || slots.length > longestSlots) continue
    moves.push({ source, destination, slots })
  }
  return moves
}

/**
 * Reads a push frame's elements.
 *
 * **Details**
 *
 * Returns `undefined` for a push that is not about maintenance, and a failure that says what is wrong with one that is
 * but cannot be read. Announced times are clamped to 0 … `longestAnnounced`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  elements: ReadonlyArray<unknown>,
  endpoint: string
): Result.Result<Notification, string> | undefined => {
  const name = elements[0]
  // It may have been about maintenance.
  if (name instanceof Unreadable) return Result.fail(`a push was skipped: ${name.message}`)
  switch (name) {
    case "MOVING":
    case "MIGRATING":
    case "MIGRATED":
    case "FAILING_OVER":
    case "FAILED_OVER":
    case "SMIGRATING":
    case "SMIGRATED":
      break
    default:
      return undefined
  }
  const seq = integer(elements[1])
  if (seq === undefined) return Result.fail(`${name} without a sequence number`)
  if (!isSequence(seq)) return Result.fail(`${name} with a sequence number beyond 64 bits`)
  const origin = { seq: String(seq), endpoint }
  const time = announced(elements[2])
  switch (name) {
    case "MOVING": {
      if (time === undefined) return Result.fail("MOVING without an announced time")
      const target = elements[3]
      if (target === undefined || target === null || target === "null") {
        return Result.succeed({ _tag: "Moving", ...origin, time, target: undefined })
      }
      if (typeof target !== "string") return Result.fail("MOVING with a target that is not text")
      return Result.mapBoth(parse(target), {
        onFailure: (why) => `MOVING with the target ${JSON.stringify(target.slice(0, longestAddress))}: ${why}`,
        onSuccess: (target) => ({ _tag: "Moving", ...origin, time, target })
      })
    }
    case "MIGRATING":
    case "FAILING_OVER":
      return time === undefined
        ? Result.fail(`${name} without an announced time`)
        : Result.succeed({
          _tag: name === "MIGRATING" ? "Migrating" : "FailingOver",
          ...origin,
          time,
          shards: shardsOf(elements[3])
        })
    case "MIGRATED":
    case "FAILED_OVER":
      return Result.succeed({
        _tag: name === "MIGRATED" ? "Migrated" : "FailedOver",
        ...origin,
        shards: shardsOf(elements[2])
      })
    case "SMIGRATING": {
      const slots = text(elements[2] ?? "")
      return slots === undefined
        ? Result.fail("SMIGRATING with slots that are not text")
        : Result.succeed({ _tag: "SlotsMigrating", ...origin, slots: slots.length > longestSlots ? "" : slots })
    }
    case "SMIGRATED": {
      const moves = slotMoves(elements[2] ?? [])
      return moves === undefined
        ? Result.fail("SMIGRATED with moves that are not [source, destination, slots] triples")
        : Result.succeed({ _tag: "SlotsMigrated", ...origin, moves })
    }
  }
}

/**
 * What makes an event the same event: its frame, sequence number and target. The frame stands for the family and for
 * whether the event opens or closes, since sequence numbers are shared by all types.
 *
 * @category getters
 * @since 0.1.0
 */
export const identity = (self: Notification): string =>
  `${frameNames[self._tag]} ${self.seq}` +
  (self._tag === "Moving" ? ` ${self.target === undefined ? "null" : format(self.target)}` : "")

/**
 * How many identities are remembered: a rolling upgrade of a large cluster announces a few hundred events, and each
 * costs about 250 bytes.
 */
const rememberedEvents = 1024

/**
 * How long an announcement is remembered at the least, in milliseconds: its time may be 0, and a pool's connections
 * hear it one after the other. Servers leave 2 s between an announcement and what it announces (docs/wire.md, Timing).
 */
const rememberedAtLeast = 2000

/**
 * Remembers which events were seen, the last 1,024 of them.
 *
 * **Details**
 *
 * An announcement is forgotten when its time is over, after 2 s at the earliest, and after `longestAnnounced` where it
 * has none, so that a server which counts from the beginning again after a restart is heard; a completion is
 * remembered, since servers repeat the last one to every new connection for hours.
 *
 * @category models
 * @since 0.1.0
 */
export class SeenEvents {
  private readonly seen = new Map<string, number>()

  /**
   * Whether this is the first time, anywhere or (`at`) on a connection to that endpoint; `now` is in milliseconds of the
   * clock.
   */
  first(notification: Notification, now: number, at = ""): boolean {
    const key = `${identity(notification)} ${at}`
    const until = this.seen.get(key)
    if (until !== undefined && until > now) return false
    this.seen.delete(key)
    const time = "time" in notification
      ? notification.time
      : notification._tag === "SlotsMigrating"
      ? longestAnnounced
      : Duration.infinity
    this.seen.set(key, now + Math.max(Duration.toMillis(time), rememberedAtLeast))
    keepNewest(this.seen, rememberedEvents)
    return true
  }
}
