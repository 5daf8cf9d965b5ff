/**
 * One client's session with the simulated server: who it is, which protocol it speaks, its transaction and watches,
 * its subscriptions. It runs data commands (`commands.ts`) and the commands that are about the session itself.
 *
 * It is synchronous and sends through its `Peer`. Sockets, time, stalls and maintenance belong to the peer.
 */
import * as Redacted from "effect/Redacted"
import { encodeReply, ReplyValue } from "../../Resp.ts"
import {
  array,
  Blocked,
  bulk,
  type Caller,
  type Command,
  error,
  fits,
  integer,
  nil,
  ok,
  type Outcome,
  run,
  wrongArity
} from "./command.ts"
import { dataCommands } from "./commands.ts"
import type { Database, Keyspace, Watch } from "./keyspace.ts"
import { fromBytes, parseInteger } from "./text.ts"

/** What a server understands of `HELLO`: both protocols, only RESP2, or no such command. */
export type Hello = "resp3" | "resp2" | "unknown"

/** What is shared by all sessions of a deployment. */
export interface Deployment {
  readonly keyspace: Keyspace
  readonly channels: Map<string, Set<Session>>
  readonly hello: Hello
  /** Passwords by user name; empty when everybody may do everything. */
  readonly users: ReadonlyMap<string, Redacted.Redacted>
}

/** The connection that a session speaks through. */
export interface Peer {
  readonly id: number
  /** 2 until `HELLO 3`; the peer encodes by it. */
  protocol: 2 | 3
  readonly send: (value: ReplyValue) => void
  /** Sends the answer to `HELLO`. */
  readonly sendHello: (frames: ReadonlyArray<Uint8Array>) => void
  /** Answers `CLIENT MAINT_NOTIFICATIONS`, given as it was spelled, with these arguments. */
  readonly maintenance: (subcommand: string, args: ReadonlyArray<string>) => void
  /** Forgets that the client opted in to maintenance notifications. */
  readonly optOut: () => void
  /** Makes the node execute nothing more for some time. */
  readonly sleep: (millis: number) => void
  /** Closes the connection once everything sent before has been written. */
  readonly quit: () => void
  /** The sessions of the same node. */
  readonly sessions: () => ReadonlyArray<Session>
}

// The Redis whose replies are reproduced.
const version = "7.0.15"

/** The error reply to commands before a login. */
export const noAuth = "NOAUTH Authentication required."
/** The error reply to `HELLO` without credentials where they are needed. */
export const noAuthHello = "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
  "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol " +
  "version at the same time"
const wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."
/** The error reply to `HELLO` with a protocol version that is not spoken. */
export const noProtocol = "NOPROTO unsupported protocol version"

/** The error reply to a subcommand of `CLIENT` that is not known. */
export const unknownSubcommand = (subcommand: string): string =>
  `ERR unknown subcommand '${subcommand}'. Try CLIENT HELP.`

/** The error reply to a command that is not known; like Redis it quotes about 128 characters of arguments. */
export const unknownCommand = (name: string, args: ReadonlyArray<string>): string => {
  let quoted = ""
  for (const arg of args) {
    if (quoted.length >= 128) break
    quoted += `'${arg.slice(0, 128 - quoted.length)}' `
  }
  return `ERR unknown command '${name.slice(0, 128)}', with args beginning with: ${quoted}`
}

interface Queued {
  readonly command: Command<Session>
  readonly args: ReadonlyArray<string>
}

/** What is open between `MULTI` and `EXEC`. `refused`: a command could not be queued, so `EXEC` runs none. */
interface Transaction {
  readonly queue: Array<Queued>
  refused: boolean
}

/** The reply where nobody can wait. */
const answered = (outcome: Outcome): ReplyValue | undefined => outcome instanceof Blocked ? outcome.timedOut : outcome

/** The state of one client's session. */
export class Session implements Caller {
  readonly peer: Peer
  readonly deployment: Deployment
  name = ""
  library = { name: "", version: "" }
  index = 0
  user: string | undefined
  transaction: Transaction | undefined
  readonly subscriptions = new Set<string>()
  private watch: Watch = { broken: false }
  private watched: Array<readonly [Database, string]> = []

  constructor(deployment: Deployment, peer: Peer) {
    this.deployment = deployment
    this.peer = peer
    this.user = deployment.users.size === 0 ? "default" : undefined
  }

  get protocol(): 2 | 3 {
    return this.peer.protocol
  }

  get keyspace(): Keyspace {
    return this.deployment.keyspace
  }

  get database(): Database {
    return this.keyspace.databases[this.index]
  }

  /** Runs one command and sends its reply. */
  handle(words: ReadonlyArray<Uint8Array>): void {
    const [first, ...args] = words.map(fromBytes)
    const reply = this.dispatch(first, args)
    if (reply === undefined) return
    if (/^hello$/i.test(first)) this.peer.sendHello([encodeReply(reply, this.protocol)])
    else this.peer.send(reply)
  }

  private dispatch(first: string, args: ReadonlyArray<string>): ReplyValue | undefined {
    let name = first.toUpperCase()
    if (name === "CLIENT" && args.length > 0) {
      if (!sessionCommands.has(`CLIENT|${args[0].toUpperCase()}`)) return this.refuse(unknownSubcommand(args[0]))
      name = `CLIENT|${args[0].toUpperCase()}`
    }
    const command = name === "HELLO" && this.deployment.hello === "unknown"
      ? undefined
      : sessionCommands.get(name) ?? dataCommands.get(name)
    if (command === undefined) return this.refuse(unknownCommand(first, args))
    if (!fits(command, args.length)) return this.refuse(wrongArity(name.toLowerCase()))
    if (this.user === undefined && !beforeLogin.has(name)) return this.refuse(noAuth)
    if (this.subscriptions.size > 0 && this.protocol === 2 && !whileSubscribed.has(name)) {
      return this.refuse(
        `ERR Can't execute '${name.toLowerCase()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET ` +
          "are allowed in this context"
      )
    }
    if (this.transaction === undefined || notQueued.has(name)) return answered(run(command, this, args))
    if (notInTransactions.has(name)) return this.refuse("ERR Command not allowed inside a transaction")
    this.transaction.queue.push({ command, args })
    return ReplyValue.Simple({ text: "QUEUED" })
  }

  /** A refusal before execution: it also spoils the transaction that is open. */
  private refuse(message: string): ReplyValue {
    if (this.transaction !== undefined) this.transaction.refused = true
    return error(message)
  }

  addWatches(keys: ReadonlyArray<string>): void {
    for (const key of keys) {
      this.database.watch(key, this.watch)
      this.watched.push([this.database, key])
    }
  }

  get watching(): number {
    return this.watched.length
  }

  /** Ends all watches and says whether one was broken. */
  endWatches(): boolean {
    for (const [database, key] of this.watched) database.unwatch(key, this.watch)
    const { broken } = this.watch
    this.watched = []
    this.watch = { broken: false }
    return broken
  }

  execute(): ReplyValue {
    if (this.transaction === undefined) return error("ERR EXEC without MULTI")
    const { queue, refused } = this.transaction
    this.transaction = undefined
    const broken = this.endWatches()
    if (refused) return error("EXECABORT Transaction discarded because of previous errors.")
    if (broken) return ReplyValue.NullArray()
    return array(queue.map(({ args, command }) => answered(run(command, this, args)) ?? nil))
  }

  /** Sends to a subscriber: a push, or the array that RESP2 makes of it. */
  message(items: ReadonlyArray<ReplyValue>): void {
    this.peer.send(ReplyValue.Push({ items }))
  }

  unsubscribe(channel: string): void {
    this.subscriptions.delete(channel)
    const subscribers = this.deployment.channels.get(channel)
    subscribers?.delete(this)
    if (subscribers?.size === 0) this.deployment.channels.delete(channel)
  }

  /** Leaves nothing of this session in what the deployment shares. */
  end(): void {
    this.transaction = undefined
    this.endWatches()
    for (const channel of this.subscriptions) this.unsubscribe(channel)
  }

  login(user: string, password: string): boolean {
    const expected = this.deployment.users.get(user)
    const accepted = this.deployment.users.size === 0
      ? user === "default"
      : expected !== undefined && Redacted.value(expected) === password
    if (accepted) this.user = user
    return accepted
  }
}

// ----- the commands of a session -----

const beforeLogin = new Set(["AUTH", "HELLO", "QUIT", "RESET"])
const whileSubscribed = new Set(["PING", "SUBSCRIBE", "UNSUBSCRIBE", "QUIT", "RESET"])
const notQueued = new Set(["EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"])
// Their answers are not one element of EXEC's array, or change how the rest of it is spelled.
const notInTransactions = new Set(["SUBSCRIBE", "UNSUBSCRIBE", "HELLO", "CLIENT|MAINT_NOTIFICATIONS"])

const printable = (text: string): boolean => /^[!-~]*$/.test(text)

const badName = "ERR Client names cannot contain spaces, newlines or special characters."

const hello = (session: Session, args: ReadonlyArray<string>): ReplyValue => {
  let protocol: 2 | 3 = session.protocol
  if (args.length > 0) {
    const asked = parseInteger(args[0])
    if (asked === undefined) return error("ERR Protocol version is not an integer or out of range")
    if (asked !== 2n && (asked !== 3n || session.deployment.hello !== "resp3")) return error(noProtocol)
    protocol = asked === 3n ? 3 : 2
  }
  for (let i = 1; i < args.length; i++) {
    const option = args[i].toUpperCase()
    if (option === "AUTH" && i + 2 < args.length) {
      if (!session.login(args[++i], args[++i])) return error(wrongPassword)
    } else if (option === "SETNAME" && i + 1 < args.length) {
      if (!printable(args[++i])) return error(badName)
      session.name = args[i]
    } else {
      return error(`ERR Syntax error in HELLO option '${args[i]}'`)
    }
  }
  if (session.user === undefined) return error(noAuthHello)
  session.peer.protocol = protocol
  const facts: ReadonlyArray<readonly [string, ReplyValue]> = [
    ["server", bulk("redis")],
    ["version", bulk(version)],
    ["proto", integer(protocol)],
    ["id", integer(session.peer.id)],
    ["mode", bulk("standalone")],
    ["role", bulk("master")],
    ["modules", array([])]
  ]
  return ReplyValue.Map({ entries: facts.map(([key, value]) => [bulk(key), value] as const) })
}

const auth = (session: Session, args: ReadonlyArray<string>): ReplyValue => {
  if (args.length > 2) return error("ERR syntax error")
  if (args.length === 1 && session.deployment.users.size === 0) {
    return error(
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your " +
        "configuration is correct?"
    )
  }
  const [user, password] = args.length === 1 ? ["default", args[0]] : args
  return session.login(user, password) ? ok : error(wrongPassword)
}

const select = (session: Session, [index]: ReadonlyArray<string>): ReplyValue => {
  const number = parseInteger(index)
  if (number === undefined) return error("ERR value is not an integer or out of range")
  if (number < 0n || number >= BigInt(session.keyspace.databases.length)) return error("ERR DB index is out of range")
  session.index = Number(number)
  return ok
}

const reset = (session: Session): ReplyValue => {
  session.end()
  session.index = 0
  session.name = ""
  session.user = session.deployment.users.size === 0 ? "default" : undefined
  session.peer.protocol = 2
  session.peer.optOut()
  return ReplyValue.Simple({ text: "RESET" })
}

const ping = (session: Session, args: ReadonlyArray<string>): ReplyValue => {
  if (args.length > 1) return error(wrongArity("ping"))
  if (session.protocol === 2 && session.subscriptions.size > 0) return array([bulk("pong"), bulk(args[0] ?? "")])
  return args.length === 0 ? ReplyValue.Simple({ text: "PONG" }) : bulk(args[0])
}

const subscribe = (session: Session, channels: ReadonlyArray<string>): undefined => {
  for (const channel of channels) {
    session.subscriptions.add(channel)
    const subscribers = session.deployment.channels.get(channel)
    if (subscribers === undefined) session.deployment.channels.set(channel, new Set([session]))
    else subscribers.add(session)
    session.message([bulk("subscribe"), bulk(channel), integer(session.subscriptions.size)])
  }
}

const unsubscribe = (session: Session, given: ReadonlyArray<string>): undefined => {
  const channels = given.length > 0 ? given : [...session.subscriptions]
  for (const channel of channels) {
    session.unsubscribe(channel)
    session.message([bulk("unsubscribe"), bulk(channel), integer(session.subscriptions.size)])
  }
  // One answer is owed even when nothing was subscribed.
  if (channels.length === 0) session.message([bulk("unsubscribe"), nil, integer(0)])
}

const publish = (session: Session, [channel, text]: ReadonlyArray<string>): ReplyValue => {
  const subscribers = session.deployment.channels.get(channel) ?? new Set()
  for (const subscriber of subscribers) subscriber.message([bulk("message"), bulk(channel), bulk(text)])
  return integer(subscribers.size)
}

const watch = (session: Session, keys: ReadonlyArray<string>): ReplyValue => {
  if (session.transaction !== undefined) return error("ERR WATCH inside MULTI is not allowed")
  session.addWatches(keys)
  return ok
}

const setInfo = (session: Session, [, attribute, value]: ReadonlyArray<string>): ReplyValue => {
  const name = attribute.toLowerCase()
  if (name !== "lib-name" && name !== "lib-ver") return error(`ERR Unrecognized option '${attribute}'`)
  if (!printable(value)) return error(`ERR ${name} cannot contain spaces, newlines or special characters.`)
  session.library[name === "lib-name" ? "name" : "version"] = value
  return ok
}

const describe = (session: Session): string =>
  `id=${session.peer.id} name=${session.name} db=${session.index} sub=${session.subscriptions.size}` +
  ` multi=${session.transaction?.queue.length ?? -1} watch=${session.watching} user=${session.user ?? "default"}` +
  ` resp=${session.protocol} lib-name=${session.library.name} lib-ver=${session.library.version}\n`

const info = (session: Session): ReplyValue => {
  const databases = session.keyspace.databases
    .map((database, index) => [index, database.keys().length] as const)
    .filter(([, keys]) => keys > 0)
    .map(([index, keys]) => `db${index}:keys=${keys}`)
  const lines = [
    "# Server",
    `redis_version:${version}`,
    "redis_mode:standalone",
    "",
    "# Clients",
    `connected_clients:${session.peer.sessions().length}`,
    "",
    "# Replication",
    "role:master",
    "",
    "# Keyspace",
    ...databases,
    ""
  ]
  return ReplyValue.Verbatim({ format: "txt", text: lines.join("\r\n") })
}

const debug = (session: Session, [subcommand, seconds]: ReadonlyArray<string>): ReplyValue => {
  if (subcommand.toUpperCase() !== "SLEEP" || !(Number(seconds) >= 0)) {
    return error(`ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try DEBUG HELP.`)
  }
  session.peer.sleep(Number(seconds) * 1000)
  return ok
}

const setName = (session: Session, [, name]: ReadonlyArray<string>): ReplyValue => {
  if (!printable(name)) return error(badName)
  session.name = name
  return ok
}

const sessionCommands: ReadonlyMap<string, Command<Session>> = new Map<string, Command<Session>>(Object.entries({
  HELLO: { arity: -1, run: hello },
  AUTH: { arity: -2, run: auth },
  SELECT: { arity: 2, run: select },
  RESET: { arity: 1, run: reset },
  QUIT: {
    arity: -1,
    run: (session) => {
      session.peer.quit()
      return ok
    }
  },
  PING: { arity: -1, run: ping },
  MULTI: {
    arity: 1,
    run: (session) => {
      if (session.transaction !== undefined) return error("ERR MULTI calls can not be nested")
      session.transaction = { queue: [], refused: false }
      return ok
    }
  },
  EXEC: { arity: 1, run: (session) => session.execute() },
  DISCARD: {
    arity: 1,
    run: (session) => {
      if (session.transaction === undefined) return error("ERR DISCARD without MULTI")
      session.transaction = undefined
      session.endWatches()
      return ok
    }
  },
  WATCH: { arity: -2, run: watch },
  UNWATCH: {
    arity: 1,
    run: (session) => {
      session.endWatches()
      return ok
    }
  },
  SUBSCRIBE: { arity: -2, run: subscribe },
  UNSUBSCRIBE: { arity: -1, run: unsubscribe },
  PUBLISH: { arity: 3, run: publish },
  INFO: { arity: -1, run: info },
  DEBUG: { arity: -2, run: debug },
  // Only called without a subcommand, which is too little.
  CLIENT: { arity: -2, run: () => nil },
  "CLIENT|ID": { arity: 2, run: (session) => integer(session.peer.id) },
  "CLIENT|GETNAME": { arity: 2, run: (session) => session.name === "" ? nil : bulk(session.name) },
  "CLIENT|SETNAME": { arity: 3, run: setName },
  "CLIENT|SETINFO": { arity: 4, run: setInfo },
  "CLIENT|LIST": {
    arity: -2,
    run: (session) => ReplyValue.Verbatim({ format: "txt", text: session.peer.sessions().map(describe).join("") })
  },
  "CLIENT|MAINT_NOTIFICATIONS": {
    arity: -2,
    run: (session, args) => {
      session.peer.maintenance(args[0], args.slice(1))
      return undefined
    }
  }
}))
