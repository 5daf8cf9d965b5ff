/**
 * What is heard on subscriptions: messages, and that some are missing.
 *
 * @since 0.1.0
 */

const decoder = new TextDecoder()

/**
 * A message that was published.
 *
 * @category models
 * @since 0.1.0
 */
export class Published {
  readonly _tag = "Published"
  readonly channel: string
  /** The pattern that the channel matched, for subscriptions to patterns. */
  readonly pattern: string | undefined
  /** What was published, as it was. */
  readonly bytes: Uint8Array
  #text: string | undefined

  constructor(channel: string, pattern: string | undefined, bytes: Uint8Array) {
    this.channel = channel
    this.pattern = pattern
    this.bytes = bytes
  }

  /** What was published, as text. */
  get message(): string {
    return this.#text ??= decoder.decode(this.bytes)
  }

  toJSON(): object {
    const { _tag, channel, message, pattern } = this
    return { _tag, channel, pattern, message }
  }
}

/**
 * What a stream cannot tell by messages.
 *
 * - `lost`: the connection was lost; what was published until the next one was subscribed is missing.
 * - `dropped`: so many messages (`count`) were dropped, because nobody took them.
 * - `repeated`: the connection was left for another where no marker could be used; what follows may have come before.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gap {
  readonly _tag: "Gap"
  readonly why: "lost" | "dropped" | "repeated"
  /** How many messages were dropped; 0 where nobody can know. */
  readonly count: number
}

/**
 * What a subscription gives.
 *
 * @category models
 * @since 0.1.0
 */
export type Message = Published | Gap

/**
 * What to subscribe to, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly channels?: ReadonlyArray<string> | undefined
  readonly patterns?: ReadonlyArray<string> | undefined
  /** Channels that belong to one shard of a cluster (Redis 7). */
  readonly shardChannels?: ReadonlyArray<string> | undefined
  /** How many messages may wait for the one who reads the stream, at least 1. Default: 1024. */
  readonly capacity?: number | undefined
  /**
   * What becomes of a message that comes when so many wait: the oldest is dropped and the stream says how many were
   * (`dropOldest`), the stream fails with `Overloaded` (`fail`), or nothing more is read from the server until there is room
   * (`suspend`), for the client's other subscriptions neither: they share the connection, and a server ends one that is not
   * read for long. Default: `dropOldest`.
   */
  readonly overflow?: "dropOldest" | "fail" | "suspend" | undefined
}
