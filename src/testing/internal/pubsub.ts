/**
 * Channels, patterns and shard channels of a deployment: who subscribed, and what subscribers are sent.
 *
 * A message reaches subscribers at every node. Confirmations and messages are pushes, which RESP2 spells as arrays.
 */
import type { ReplyValue } from "../../Resp.ts"
import { array, bulk, type Command, error, integer, nil } from "./command.ts"
import type { Session } from "./session.ts"
import { matches } from "./text.ts"

/** What one can subscribe to. */
type Kind = "channel" | "pattern" | "shard"

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

/** The subscribers of a deployment. */
export class Subscribers {
  readonly channel = new Map<string, Set<Session>>()
  readonly pattern = new Map<string, Set<Session>>()
  readonly shard = new Map<string, Set<Session>>()

  add(kind: Kind, name: string, session: Session): void {
    session.subscriptions[kind].add(name)
    const subscribers = this[kind].get(name)
    if (subscribers === undefined) this[kind].set(name, new Set([session]))
    else subscribers.add(session)
  }

  remove(kind: Kind, name: string, session: Session): void {
    session.subscriptions[kind].delete(name)
    const subscribers = this[kind].get(name)
    subscribers?.delete(session)
    if (subscribers?.size === 0) this[kind].delete(name)
  }

  /** Removes all subscriptions of a session. */
  leave(session: Session): void {
    for (const kind of ["channel", "pattern", "shard"] as const) {
      for (const name of session.subscriptions[kind]) this.remove(kind, name, session)
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

const send = (subscribers: ReadonlySet<Session> | undefined, items: ReadonlyArray<ReplyValue>): number => {
  for (const subscriber of subscribers ?? []) subscriber.message(items)
  return subscribers?.size ?? 0
}

// ----- commands -----

const subscribe = (kind: Kind, verb: string): Command<Session> => ({
  arity: -2,
  run: (session, names) => {
    for (const name of names) {
      session.deployment.subscribers.add(kind, name, session)
      session.message([bulk(verb), bulk(name), integer(session.subscriptions.count(kind))])
    }
    return undefined
  }
})

const unsubscribe = (kind: Kind, verb: string): Command<Session> => ({
  arity: -1,
  run: (session, given) => {
    const names = given.length > 0 ? given : [...session.subscriptions[kind]]
    for (const name of names) {
      session.deployment.subscribers.remove(kind, name, session)
      session.message([bulk(verb), bulk(name), integer(session.subscriptions.count(kind))])
    }
    // One answer is owed even when nothing was subscribed.
    if (names.length === 0) session.message([bulk(verb), nil, integer(session.subscriptions.count(kind))])
    return undefined
  }
})

const names = (kind: Kind): Command<Session> => ({
  arity: -2,
  run: (session, [subcommand, ...args]) => {
    if (args.length > 1) {
      return error(`ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try PUBSUB HELP.`)
    }
    const [pattern] = args as [string?]
    const all = [...session.deployment.subscribers[kind].keys()]
    return array(all.filter((name) => pattern === undefined || matches(pattern, name)).map(bulk))
  }
})

const counts = (kind: Kind): Command<Session> => ({
  arity: -2,
  run: (session, [, ...channels]) => {
    const subscribers = session.deployment.subscribers[kind]
    return array(channels.flatMap((name) => [bulk(name), integer(subscribers.get(name)?.size ?? 0)]))
  }
})

/** The commands of this file by name. */
export const pubsub: Record<string, Command<Session>> = {
  SUBSCRIBE: subscribe("channel", "subscribe"),
  PSUBSCRIBE: subscribe("pattern", "psubscribe"),
  SSUBSCRIBE: subscribe("shard", "ssubscribe"),
  UNSUBSCRIBE: unsubscribe("channel", "unsubscribe"),
  PUNSUBSCRIBE: unsubscribe("pattern", "punsubscribe"),
  SUNSUBSCRIBE: unsubscribe("shard", "sunsubscribe"),
  PUBLISH: {
    arity: 3,
    run: (session, [channel, text]) => integer(session.deployment.subscribers.publish(channel, text))
  },
  SPUBLISH: {
    arity: 3,
    run: (session, [channel, text]) => integer(session.deployment.subscribers.publishToShard(channel, text))
  },
  "PUBSUB|CHANNELS": names("channel"),
  "PUBSUB|SHARDCHANNELS": names("shard"),
  "PUBSUB|NUMSUB": counts("channel"),
  "PUBSUB|SHARDNUMSUB": counts("shard"),
  "PUBSUB|NUMPAT": { arity: 2, run: (session) => integer(session.deployment.subscribers.pattern.size) }
}
