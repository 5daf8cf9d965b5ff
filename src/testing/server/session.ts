/**
 * One client's session with the simulated server: who it is, which protocol it speaks, its transaction and watches,
 * its subscriptions, and whether it waits. It runs data commands (`commands.ts`) and the commands that are about the
 * session itself.
 *
 * It is synchronous and sends through its `Peer`. Sockets, time, stalls and maintenance belong to the peer.
 */
import * as Redacted from "effect/Redacted"
import { administration, badName, makeParameters, printable, unknownSubcommand } from "./administration.ts"
import type { Client, Deployment, Hello, OnExecuted, Peer } from "./client.ts"
import {
  array,
  Blocked,
  bulk,
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
import { type Conditions, isReplica, refuses } from "./conditions.ts"
import { type Dialect, dialects, type Version } from "./dialect.ts"
import { type Database, Keyspace, type Watch } from "./keyspace.ts"
import { pubsub } from "./pubsub.ts"
import { encodeReply, ReplyValue } from "./replies.ts"
import type { Script } from "./script.ts"
import { scripting } from "./scripting.ts"
import { Scripts } from "./scripts.ts"
import { Subscribers, Subscriptions } from "./subscribers.ts"
import { fromBytes, parseInteger } from "./text.ts"
import { Tracking } from "./tracking.ts"
import { Wait, Waiting } from "./waiting.ts"

/** A deployment without data or clients. */
export const makeDeployment = (options: {
  readonly now: () => number
  readonly hello: Hello
  readonly version: Version
  readonly users: ReadonlyMap<string, Redacted.Redacted>
  readonly scripts: ReadonlyArray<Script>
  readonly onExecuted: OnExecuted
}): Deployment => {
  const tracking = new Tracking()
  return {
    keyspace: new Keyspace(options.now, tracking),
    subscribers: new Subscribers(),
    tracking,
    waiting: new Waiting(),
    scripts: new Scripts(options.scripts),
    parameters: makeParameters(),
    hello: options.hello,
    dialect: dialects[options.version],
    users: options.users,
    onExecuted: options.onExecuted
  }
}

/** The error reply to commands before a login. */
export const noAuth = "NOAUTH Authentication required."
/** The error reply to `HELLO` without credentials where they are needed. */
export const noAuthHello = "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
  "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol " +
  "version at the same time"
const wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."
/** The error reply to `HELLO` with a protocol version that is not spoken. */
export const noProtocol = "NOPROTO unsupported protocol version"

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
  readonly name: string
  readonly command: Command<Session>
  readonly words: ReadonlyArray<string>
}

/** What is open between `MULTI` and `EXEC`. `refused`: a command could not be queued, so `EXEC` runs none. */
interface Transaction {
  readonly queue: Array<Queued>
  refused: boolean
}

/**
 * Why a node refuses a command, named in capitals, if it does. `EXEC` stands for the commands that were queued before
 * the node's state changed.
 */
export const refusalOf = (
  node: Conditions,
  name: string,
  queued: ReadonlyArray<string> | undefined
): string | undefined => {
  for (const one of name === "EXEC" ? queued ?? [] : [name]) {
    const refused = refuses(node, one, dataCommands.has(one))
    if (refused !== undefined) return refused
  }
  return undefined
}

/** The error reply to `EXEC` when something that was queued is refused now. */
export const execAbort = (refused: string): string =>
  `EXECABORT Transaction discarded because of: ${refused.replace(/^ERR /, "")}`

/** The reply where nobody can wait. */
const answered = (outcome: Outcome): ReplyValue | undefined => outcome instanceof Blocked ? outcome.denied : outcome

/** The state of one client's session. */
export class Session implements Client {
  readonly peer: Peer
  readonly deployment: Deployment
  name = ""
  library = { name: "", version: "" }
  index = 0
  user: string | undefined
  transaction: Transaction | undefined
  /** What the client waits for; nothing else is executed meanwhile. */
  wait: Wait | undefined
  /** The name of the last command, as `CLIENT LIST` tells it. */
  lastCommand = "NULL"
  readonly subscriptions = new Subscriptions()
  private isRunning = false
  /** Messages of the client to itself, which follow the reply to its command. */
  private readonly postponed: Array<ReplyValue> = []
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

  get dialect(): Dialect {
    return this.deployment.dialect
  }

  get keyspace(): Keyspace {
    return this.deployment.keyspace
  }

  get database(): Database {
    return this.keyspace.databases[this.index]
  }

  /** Runs one command and sends its reply, or lets the client wait for it. */
  handle(given: ReadonlyArray<Uint8Array>): void {
    const words = given.map(fromBytes)
    this.deployment.tracking.during(this, () => this.answer(words))
    this.deployment.waiting.retry()
  }

  private answer(words: ReadonlyArray<string>): void {
    this.isRunning = true
    const outcome = this.dispatch(words)
    this.isRunning = false
    if (outcome instanceof Blocked) {
      this.wait = new Wait(this, outcome, words)
      this.deployment.waiting.add(this.wait)
      this.peer.wait(this.wait)
    } else if (outcome !== undefined) {
      if (/^hello$/i.test(words[0])) this.peer.sendHello([encodeReply(outcome, this.protocol)])
      else this.peer.send(outcome)
    }
    for (const message of this.postponed.splice(0)) this.peer.deliver(message)
  }

  private dispatch(words: ReadonlyArray<string>): Outcome {
    const [first, ...args] = words
    let name = first.toUpperCase()
    if (containers.has(name) && args.length > 0) {
      name = `${name}|${args[0].toUpperCase()}`
      if (!sessionCommands.has(name) || this.dialect.unknownSubcommands.has(name)) {
        return this.refuse(name, unknownSubcommand(first.toUpperCase(), args[0]))
      }
    }
    const command = name === "HELLO" && this.deployment.hello === "unknown"
      ? undefined
      : sessionCommands.get(name) ?? dataCommands.get(name)
    if (command === undefined) return this.refuse(name, unknownCommand(first, args))
    if (!fits(this.dialect, name, command, args.length)) return this.refuse(name, wrongArity(name.toLowerCase()))
    if (this.user === undefined && !beforeLogin.has(name)) return this.refuse(name, noAuth)
    const refused = refusalOf(this.peer.node, name, this.transaction?.queue.map(({ name }) => name))
    if (refused !== undefined) return this.refuse(name, refused)
    if (this.subscriptions.size > 0 && this.protocol === 2 && !whileSubscribed.has(name)) {
      return this.refuse(
        name,
        `ERR Can't execute '${name.toLowerCase()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET ` +
          "are allowed in this context"
      )
    }
    this.lastCommand = name.toLowerCase()
    if (this.transaction === undefined || notQueued.has(name)) return this.perform({ name, command, words })
    if (notInTransactions.has(name)) return this.refuse(name, "ERR Command not allowed inside a transaction")
    this.transaction.queue.push({ name, command, words })
    return ReplyValue.Simple({ text: "QUEUED" })
  }

  private perform({ command, words }: Queued): Outcome {
    const outcome = run(command, this, words.slice(1))
    this.deployment.tracking.ran(this, words)
    if (outcome !== undefined && !(outcome instanceof Blocked)) this.observe(words, outcome)
    return outcome
  }

  /** Tells that a command ran, if it is one that counts. */
  observe(words: ReadonlyArray<string>, reply: ReplyValue): void {
    if (!counts(words[0].toUpperCase())) return
    this.deployment.onExecuted(this.peer.node.name, this.peer.id, words, reply._tag !== "Error")
  }

  /** A refusal before execution: it also spoils the transaction that is open, and `EXEC` itself ends it. */
  private refuse(name: string, message: string): ReplyValue {
    if (name === "EXEC") {
      this.transaction = undefined
      this.endWatches()
      return error(execAbort(message))
    }
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
    return array(queue.map((queued) => {
      const outcome = this.perform(queued)
      if (outcome instanceof Blocked) this.observe(queued.words, outcome.denied)
      return answered(outcome) ?? nil
    }))
  }

  // Pushes, or the arrays that RESP2 makes of them.
  confirm(items: ReadonlyArray<ReplyValue>): void {
    this.peer.deliver(ReplyValue.Push({ items }))
  }

  message(items: ReadonlyArray<ReplyValue>): void {
    const message = ReplyValue.Push({ items })
    if (this.isRunning && this.dialect.repliesFirst) this.postponed.push(message)
    else this.peer.deliver(message)
  }

  /** Leaves nothing of this session in what the deployment shares. */
  end(): void {
    this.transaction = undefined
    this.wait?.end(undefined)
    this.endWatches()
    this.deployment.subscribers.leave(this)
    this.deployment.tracking.stop(this)
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

const subscribing = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"]

const beforeLogin = new Set(["AUTH", "HELLO", "QUIT", "RESET"])
const whileSubscribed = new Set([...subscribing, "PING", "QUIT", "RESET"])
const notQueued = new Set(["EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"])
// Their answers are not one element of EXEC's array, or change how the rest of it is spelled.
const notInTransactions = new Set([...subscribing, "HELLO", "CLIENT|MAINT_NOTIFICATIONS"])

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
    ["version", bulk(session.dialect.version)],
    ["proto", integer(protocol)],
    ["id", integer(session.peer.id)],
    ["mode", bulk("standalone")],
    ["role", bulk(isReplica(session.peer.node) ? "replica" : "master")],
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

const watch = (session: Session, keys: ReadonlyArray<string>): ReplyValue => {
  if (session.transaction !== undefined) return error("ERR WATCH inside MULTI is not allowed")
  session.addWatches(keys)
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
  ...pubsub,
  ...scripting,
  ...administration,
  // Only called without a subcommand, which is too little.
  CLIENT: { arity: -2, run: () => nil },
  CONFIG: { arity: -2, run: () => nil },
  PUBSUB: { arity: -2, run: () => nil },
  SCRIPT: { arity: -2, run: () => nil }
}))

/** Commands whose first argument is a part of their name. */
const containers = new Set(["CLIENT", "CONFIG", "PUBSUB", "SCRIPT"])

// They reach data, or other clients.
const countsToo = new Set(["EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "PUBLISH", "SPUBLISH"])

/** Whether a command, named in capitals, is no matter between client and server alone: on data, a script, a message. */
export const counts = (name: string): boolean => countsToo.has(name) || !sessionCommands.has(name)
