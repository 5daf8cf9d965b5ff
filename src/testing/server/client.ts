/**
 * What commands see of the client that sent them, of its connection, and of the deployment: the ground on which the
 * commands of a session stand.
 */
import type * as Redacted from "effect/Redacted"
import type { Caller } from "./command.ts"
import type { Dialect } from "./dialect.ts"
import type { Keyspace } from "./keyspace.ts"
import type { ReplyValue } from "./replies.ts"
import type { Scripts } from "./scripts.ts"
import type { Subscriber, Subscribers } from "./subscribers.ts"
import type { Tracker, Tracking } from "./tracking.ts"
import type { Wait, Waiter, WaiterPeer, Waiting } from "./waiting.ts"

/** What a server understands of `HELLO`: both protocols, only RESP2, or no such command. */
export type Hello = "resp3" | "resp2" | "unknown"

/** Told of a command that ran; `ok` is false when its reply is an error. */
export type OnExecuted = (node: string, connection: number, words: ReadonlyArray<string>, ok: boolean) => void

/** What is shared by all sessions of a deployment. */
export interface Deployment {
  readonly keyspace: Keyspace
  readonly subscribers: Subscribers
  readonly tracking: Tracking
  readonly waiting: Waiting
  readonly scripts: Scripts
  /** What `CONFIG` tells. */
  readonly parameters: Map<string, string>
  readonly hello: Hello
  /** What it does where versions of Redis do not agree. */
  readonly dialect: Dialect
  /** Passwords by user name; empty when everybody may do everything. */
  readonly users: ReadonlyMap<string, Redacted.Redacted>
  /**
   * Called for every command that `counts` when it has run: also inside `EXEC`, once for a script, and for a command
   * that waited when it is given something.
   */
  readonly onExecuted: OnExecuted
}

/** The connection that a session speaks through. */
export interface Peer extends WaiterPeer {
  readonly id: number
  /** 2 until `HELLO 3`; the peer encodes by it. */
  protocol: 2 | 3
  /** Sends a message to a subscriber, when the node is awake. */
  readonly deliver: (message: ReplyValue) => void
  /** Sends the answer to `HELLO`. */
  readonly sendHello: (frames: ReadonlyArray<Uint8Array>) => void
  /** Answers `CLIENT MAINT_NOTIFICATIONS`, given as it was spelled, with these arguments. */
  readonly maintenance: (subcommand: string, args: ReadonlyArray<string>) => void
  /** Forgets that the client opted in to maintenance notifications. */
  readonly optOut: () => void
  /** Makes the node execute nothing more for some time. */
  readonly sleep: (millis: number) => void
  /** Tells the wait when its time is over, and executes nothing of the client until it has ended. */
  readonly wait: (wait: Wait) => void
  /** Closes the connection at once. */
  readonly kill: () => void
  /** The clients of the same node. */
  readonly clients: () => ReadonlyArray<Client>
}

/** One client. */
export interface Client extends Caller, Subscriber, Tracker, Waiter {
  readonly peer: Peer
  readonly deployment: Deployment
  name: string
  readonly library: { name: string; version: string }
  /** The index of the selected database. */
  readonly index: number
  readonly user: string | undefined
  /** What is open between `MULTI` and `EXEC`. */
  readonly transaction: { readonly queue: ReadonlyArray<unknown> } | undefined
  /** The name of the last command, as `CLIENT LIST` tells it. */
  readonly lastCommand: string
  /** Confirms a subscription or its end. */
  readonly confirm: (items: ReadonlyArray<ReplyValue>) => void
  /** How many keys it watches. */
  readonly watching: number
}
