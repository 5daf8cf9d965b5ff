/**
 * Channels, patterns and shard channels of a deployment: who subscribed, and whom a message reaches.
 *
 * A message reaches subscribers at every node.
 */
import { bulk } from "./command.ts"
import type { ReplyValue } from "./replies.ts"
import { matches } from "./text.ts"

/** What one can subscribe to. */
export type Kind = "channel" | "pattern" | "shard"

/** The subscriptions of one session. */
export class Subscriptions {
  readonly channel = new Set<string>()
  readonly pattern = new Set<string>()
  readonly shard = new Set<string>()

  get size(): number {
    return this.count("channel") + this.count("shard")
  }

  /** The number that a confirmation tells: shard channels are counted by themselves. */
  count(kind: Kind): number {
    return kind === "shard" ? this.shard.size : this.channel.size + this.pattern.size
  }
}

/** Who can subscribe. */
export interface Subscriber {
  readonly subscriptions: Subscriptions
  /** Sends it a message. */
  readonly message: (items: ReadonlyArray<ReplyValue>) => void
}

/** The subscribers of a deployment. */
export class Subscribers {
  readonly channel = new Map<string, Set<Subscriber>>()
  readonly pattern = new Map<string, Set<Subscriber>>()
  readonly shard = new Map<string, Set<Subscriber>>()

  add(kind: Kind, name: string, subscriber: Subscriber): void {
    subscriber.subscriptions[kind].add(name)
    const subscribers = this[kind].get(name)
    if (subscribers === undefined) this[kind].set(name, new Set([subscriber]))
    else subscribers.add(subscriber)
  }

  remove(kind: Kind, name: string, subscriber: Subscriber): void {
    subscriber.subscriptions[kind].delete(name)
    const subscribers = this[kind].get(name)
    subscribers?.delete(subscriber)
    if (subscribers?.size === 0) this[kind].delete(name)
  }

  /** Removes all subscriptions of a session. */
  leave(subscriber: Subscriber): void {
    for (const kind of ["channel", "pattern", "shard"] as const) {
      for (const name of subscriber.subscriptions[kind]) this.remove(kind, name, subscriber)
    }
  }

  /** Sends a message and says how often it was sent; a session can get it by its channel and by patterns. */
  publish(channel: string, text: string): number {
    let sent = send(this.channel.get(channel), [bulk("message"), bulk(channel), bulk(text)])
    for (const [pattern, subscribers] of this.pattern) {
      if (!matches(pattern, channel)) continue
      sent += send(subscribers, [bulk("pmessage"), bulk(pattern), bulk(channel), bulk(text)])
    }
    return sent
  }

  publishToShard(channel: string, text: string): number {
    return send(this.shard.get(channel), [bulk("smessage"), bulk(channel), bulk(text)])
  }
}

const send = (subscribers: ReadonlySet<Subscriber> | undefined, items: ReadonlyArray<ReplyValue>): number => {
  for (const subscriber of subscribers ?? []) subscriber.message(items)
  return subscribers?.size ?? 0
}
