/**
 * Commands about channels: `SUBSCRIBE` and its like, `PUBLISH`, `PUBSUB`.
 *
 * Confirmations and messages are pushes, which RESP2 spells as arrays.
 */
import type { Client } from "./client.ts"
import { array, bulk, type Command, error, integer, nil } from "./command.ts"
import type { Kind } from "./subscribers.ts"
import { matches } from "./text.ts"

const subscribe = (kind: Kind, verb: string): Command<Client> => ({
  arity: -2,
  run: (session, names) => {
    for (const name of names) {
      session.deployment.subscribers.add(kind, name, session)
      session.confirm([bulk(verb), bulk(name), integer(session.subscriptions.count(kind))])
    }
    return undefined
  }
})

const unsubscribe = (kind: Kind, verb: string): Command<Client> => ({
  arity: -1,
  run: (session, given) => {
    const names = given.length > 0 ? given : [...session.subscriptions[kind]]
    for (const name of names) {
      session.deployment.subscribers.remove(kind, name, session)
      session.confirm([bulk(verb), bulk(name), integer(session.subscriptions.count(kind))])
    }
    // One answer is owed even when nothing was subscribed.
    if (names.length === 0) session.confirm([bulk(verb), nil, integer(session.subscriptions.count(kind))])
    return undefined
  }
})

const names = (kind: Kind): Command<Client> => ({
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

const counts = (kind: Kind): Command<Client> => ({
  arity: -2,
  run: (session, [, ...channels]) => {
    const subscribers = session.deployment.subscribers[kind]
    return array(channels.flatMap((name) => [bulk(name), integer(subscribers.get(name)?.size ?? 0)]))
  }
})

/** The commands of this file by name. */
export const pubsub: Record<string, Command<Client>> = {
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
