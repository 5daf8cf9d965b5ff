/**
 * Commands about the server and its clients: `CLIENT`, `CONFIG`, `INFO`, `ROLE`, `DEBUG SLEEP`.
 *
 * A node knows its own clients only; parameters belong to the deployment. What is set is remembered and told, and
 * nothing else depends on it.
 */
import type { Client } from "./client.ts"
import { array, bulk, type Command, error, integer, nil, notAnInteger, ok, syntaxError } from "./command.ts"
import { isReplica } from "./conditions.ts"
import { ReplyValue } from "./replies.ts"
import { int64, matches, parseInteger } from "./text.ts"

/** The error reply to a subcommand that is not known. */
export const unknownSubcommand = (container: string, subcommand: string): string =>
  `ERR unknown subcommand '${subcommand.slice(0, 128)}'. Try ${container} HELP.`

export const badName = "ERR Client names cannot contain spaces, newlines or special characters."

/** Whether a client can be named so: `CLIENT LIST` parts its fields by spaces. */
export const printable = (text: string): boolean => /^[!-~]*$/.test(text)

// ----- CLIENT -----

const setName = (session: Client, [, name]: ReadonlyArray<string>): ReplyValue => {
  if (!printable(name)) return error(badName)
  session.name = name
  return ok
}

const setInfo = (session: Client, [, attribute, value]: ReadonlyArray<string>): ReplyValue => {
  const name = attribute.toLowerCase()
  if (name !== "lib-name" && name !== "lib-ver") return error(`ERR Unrecognized option '${attribute}'`)
  if (!printable(value)) return error(`ERR ${name} cannot contain spaces, newlines or special characters.`)
  session.library[name === "lib-name" ? "name" : "version"] = value
  return ok
}

// Sockets of a simulation need have no address; this one tells clients apart as a real one does.
const addressOf = (session: Client): string => `client:${session.peer.id}`

const flagsOf = (session: Client): string => {
  const flags = [
    session.subscriptions.size > 0 ? "P" : "",
    session.transaction === undefined ? "" : "x",
    session.wait === undefined ? "" : "b"
  ]
  return flags.join("") || "N"
}

const describe = (session: Client): string => {
  const { channel, pattern, shard } = session.subscriptions
  return `id=${session.peer.id} addr=${addressOf(session)} name=${session.name} flags=${flagsOf(session)}` +
    ` db=${session.index} sub=${channel.size} psub=${pattern.size} ssub=${shard.size}` +
    ` multi=${session.transaction?.queue.length ?? -1} watch=${session.watching} cmd=${session.lastCommand}` +
    ` user=${session.user ?? "default"} redir=-1 resp=${session.protocol}` +
    ` lib-name=${session.library.name} lib-ver=${session.library.version}\n`
}

const described = (sessions: ReadonlyArray<Client>): ReplyValue =>
  ReplyValue.Verbatim({ format: "txt", text: sessions.map(describe).join("") })

const types = new Set(["normal", "master", "replica", "slave", "pubsub"])

const typeOf = (session: Client): string => session.subscriptions.size > 0 ? "pubsub" : "normal"

const list = (session: Client, [, option, ...values]: ReadonlyArray<string>): ReplyValue => {
  const sessions = session.peer.clients()
  if (option === undefined) return described(sessions)
  if (option.toUpperCase() === "TYPE" && values.length === 1) {
    const type = values[0].toLowerCase()
    if (!types.has(type)) return error(`ERR Unknown client type '${values[0]}'`)
    return described(sessions.filter((one) => typeOf(one) === type))
  }
  if (option.toUpperCase() !== "ID" || values.length === 0) return error(syntaxError)
  const ids = values.map(parseInteger)
  if (ids.some((id) => id === undefined)) return error("ERR Invalid client ID")
  return described(sessions.filter((one) => ids.includes(BigInt(one.peer.id))))
}

type Filter = (session: Client) => boolean

/** Reads one filter of `CLIENT KILL`, or says what is wrong with it. */
const killFilter = (session: Client, option: string, value: string): Filter | string => {
  switch (option.toUpperCase()) {
    case "ID": {
      const id = parseInteger(value)
      if (id === undefined || id < 1n) return "ERR client-id should be greater than 0"
      return (one) => BigInt(one.peer.id) === id
    }
    case "ADDR":
      return (one) => addressOf(one) === value
    case "USER":
      if (value !== "default" && !session.deployment.users.has(value)) return `ERR No such user '${value}'`
      return (one) => one.user === value
    case "TYPE":
      if (!types.has(value.toLowerCase())) return `ERR Unknown client type '${value}'`
      return (one) => typeOf(one) === value.toLowerCase()
    default:
      return syntaxError
  }
}

/** Closes a client; one that closes itself gets its answer first. */
const close = (session: Client, victim: Client): void => {
  if (victim === session) session.peer.quit()
  else victim.peer.kill()
}

const kill = (session: Client, [, ...args]: ReadonlyArray<string>): ReplyValue => {
  if (args.length === 1) {
    const victim = session.peer.clients().find((one) => addressOf(one) === args[0])
    if (victim === undefined) return error("ERR No such client")
    close(session, victim)
    return ok
  }
  if (args.length % 2 !== 0) return error(syntaxError)
  const filters: Array<Filter> = []
  let skipsMe = true
  for (let i = 0; i < args.length; i += 2) {
    const [option, value] = [args[i], args[i + 1]]
    if (option.toUpperCase() === "SKIPME") {
      if (!/^(yes|no)$/i.test(value)) return error(syntaxError)
      skipsMe = /^yes$/i.test(value)
      continue
    }
    const filter = killFilter(session, option, value)
    if (typeof filter === "string") return error(filter)
    filters.push(filter)
  }
  const victims = session.peer.clients().filter((one) =>
    (one !== session || !skipsMe) && filters.every((filter) => filter(one))
  )
  for (const victim of victims) close(session, victim)
  return integer(victims.length)
}

const unblock = (session: Client, [, id, reason = "TIMEOUT"]: ReadonlyArray<string>): ReplyValue => {
  if (!/^(timeout|error)$/i.test(reason)) return error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
  const number = parseInteger(id)
  if (number === undefined) return error(notAnInteger)
  const wait = session.peer.clients().find((one) => BigInt(one.peer.id) === number)?.wait
  if (wait === undefined) return integer(0)
  if (/^error$/i.test(reason)) wait.end(error("UNBLOCKED client unblocked via CLIENT UNBLOCK"))
  else wait.expire()
  return integer(1)
}

const isSwitch = (text: string): boolean => /^(on|off)$/i.test(text)

// ----- CONFIG -----

/** What a parameter may be set to: gives the value as it is told afterwards, or `{ wrong }`. */
type Reader = (text: string) => string | { readonly wrong: string }

const anything: Reader = (text) => text

const oneOf = (wrong: string, ...choices: ReadonlyArray<string>): Reader => (text) =>
  choices.includes(text.toLowerCase()) ? text.toLowerCase() : { wrong }

const yesOrNo = oneOf("argument must be 'yes' or 'no'", "yes", "no")

const choice = (...choices: ReadonlyArray<string>): Reader =>
  oneOf(`argument(s) must be one of the following: ${choices.join(", ")}`, ...choices)

const between = (min: bigint, max: bigint): Reader => (text) => {
  const value = parseInteger(text)
  if (value === undefined) return { wrong: "argument couldn't be parsed into an integer" }
  return value < min || value > max
    ? { wrong: `argument must be between ${min} and ${max} inclusive` }
    : String(value)
}

const units: Readonly<Record<string, bigint>> = {
  "": 1n,
  b: 1n,
  k: 1000n,
  kb: 1024n,
  m: 1000n ** 2n,
  mb: 1024n ** 2n,
  g: 1000n ** 3n,
  gb: 1024n ** 3n
}

const memory: Reader = (text) => {
  const parts = /^([0-9]+)([kmg]?b?)$/i.exec(text)
  const bytes = parts === null ? undefined : BigInt(parts[1]) * units[parts[2].toLowerCase()]
  return bytes === undefined || bytes > int64.max ? { wrong: "argument must be a memory value" } : String(bytes)
}

/** Classes of events in the order in which Redis names them; `A` stands for all of these, and hides `n`. */
const eventClasses = "g$lshzxetd"

const events: Reader = (text) => {
  if (/[^Ag$lshzxeKEtmdn]/.test(text)) {
    return { wrong: "Invalid event class character. Use 'Ag$lshzxeKEtmdn'." }
  }
  const has = (one: string) => text.includes(one) || (eventClasses.includes(one) && text.includes("A"))
  const classes = [...eventClasses].filter(has).join("")
  return (classes === eventClasses ? "A" : classes + (has("n") ? "n" : "")) + [..."KEm"].filter(has).join("")
}

// The largest `int` of C.
const int = between(0n, 2n ** 31n - 1n)

/** Parameters with the value that Redis starts with; those without a reader cannot be set. */
const parameters: Readonly<Record<string, readonly [value: string, read?: Reader]>> = {
  appendfsync: ["everysec", choice("everysec", "always", "no")],
  appendonly: ["no", yesOrNo],
  "client-output-buffer-limit": ["normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", anything],
  "cluster-enabled": ["no"],
  databases: ["16"],
  "lazyfree-lazy-user-del": ["no", yesOrNo],
  maxclients: ["10000", between(1n, 2n ** 32n - 1n)],
  maxmemory: ["0", memory],
  // dprint-ignore
  "maxmemory-policy": ["noeviction", choice(
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random",
    "noeviction"
  )],
  "notify-keyspace-events": ["", events],
  "proto-max-bulk-len": ["536870912", memory],
  save: ["3600 1 300 100 60 10000", anything],
  "slowlog-log-slower-than": ["10000", between(-1n, int64.max)],
  "tcp-keepalive": ["300", int],
  timeout: ["0", int]
}

/** The parameters of a deployment and what they are set to. */
export const makeParameters = (): Map<string, string> =>
  new Map(Object.entries(parameters).map(([name, [value]]) => [name, value]))

const configGet = (session: Client, [, ...patterns]: ReadonlyArray<string>): ReplyValue => {
  const { parameters } = session.deployment
  const found = new Map<string, string>()
  for (const asked of patterns) {
    const pattern = asked.toLowerCase()
    const value = parameters.get(pattern)
    // A name is told as it was spelled, what a pattern finds as it is.
    if (value !== undefined) found.set(asked, value)
    else for (const [name, value] of parameters) if (matches(pattern, name)) found.set(name, value)
  }
  return ReplyValue.Map({ entries: [...found].map(([name, value]) => [bulk(name), bulk(value)] as const) })
}

const configSet = (session: Client, [, ...args]: ReadonlyArray<string>): ReplyValue => {
  if (args.length % 2 !== 0) return error(syntaxError)
  const failed = (name: string, why: string) =>
    error(`ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`)
  const set = new Map<string, string>()
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i].toLowerCase()
    if (!Object.hasOwn(parameters, name)) {
      return error(`ERR Unknown option or number of arguments for CONFIG SET - '${args[i]}'`)
    }
    const [, read] = parameters[name]
    if (read === undefined) return failed(args[i], "can't set immutable config")
    if (set.has(name)) return failed(args[i], "duplicate parameter")
    const value = read(args[i + 1])
    if (typeof value !== "string") return failed(args[i], value.wrong)
    set.set(name, value)
  }
  // All or nothing.
  for (const [name, value] of set) session.deployment.parameters.set(name, value)
  return ok
}

// ----- the server -----

const role = (session: Client): ReplyValue =>
  isReplica(session.peer.node)
    // Its master is no part of the simulation.
    ? array([bulk("slave"), bulk(""), integer(0), bulk("connect"), integer(-1)])
    : array([bulk("master"), integer(0), array([])])

const info = (session: Client): ReplyValue => {
  const databases = session.keyspace.databases
    .map((database, index) => [index, database.keys().length] as const)
    .filter(([, keys]) => keys > 0)
    .map(([index, keys]) => `db${index}:keys=${keys}`)
  const sessions = session.peer.clients()
  const lines = [
    "# Server",
    `redis_version:${session.dialect.version}`,
    "redis_mode:standalone",
    "",
    "# Clients",
    `connected_clients:${sessions.length}`,
    `blocked_clients:${sessions.filter(({ wait }) => wait !== undefined).length}`,
    "",
    "# Replication",
    `role:${isReplica(session.peer.node) ? "slave" : "master"}`,
    "",
    "# Keyspace",
    ...databases,
    ""
  ]
  return ReplyValue.Verbatim({ format: "txt", text: lines.join("\r\n") })
}

const debug = (session: Client, [subcommand, seconds]: ReadonlyArray<string>): ReplyValue => {
  if (subcommand.toUpperCase() !== "SLEEP" || !(Number(seconds) >= 0)) {
    return error(`ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try DEBUG HELP.`)
  }
  session.peer.sleep(Number(seconds) * 1000)
  return ok
}

/** The commands of this file by name. */
export const administration: Record<string, Command<Client>> = {
  INFO: { arity: -1, run: info },
  ROLE: { arity: 1, run: role },
  DEBUG: { arity: -2, run: debug },
  "CLIENT|ID": { arity: 2, run: (session) => integer(session.peer.id) },
  "CLIENT|GETNAME": { arity: 2, run: (session) => session.name === "" ? nil : bulk(session.name) },
  "CLIENT|SETNAME": { arity: 3, run: setName },
  "CLIENT|SETINFO": { arity: 4, run: setInfo },
  "CLIENT|LIST": { arity: -2, run: list },
  "CLIENT|INFO": { arity: 2, run: (session) => described([session]) },
  "CLIENT|KILL": { arity: -3, run: kill },
  "CLIENT|UNBLOCK": { arity: -3, run: unblock },
  "CLIENT|NO-EVICT": { arity: 3, run: (_, [, state]) => isSwitch(state) ? ok : error(syntaxError) },
  "CLIENT|GETREDIR": { arity: 2, run: () => integer(-1) },
  "CLIENT|TRACKING": {
    arity: -3,
    run: (session, [, state, ...options]) => {
      if (!isSwitch(state) || options.length > 0) return error(syntaxError)
      if (/^on$/i.test(state)) session.deployment.tracking.start(session)
      else session.deployment.tracking.stop(session)
      return ok
    }
  },
  "CLIENT|MAINT_NOTIFICATIONS": {
    arity: -2,
    run: (session, args) => {
      session.peer.maintenance(args[0], args.slice(1))
      return undefined
    }
  },
  "CONFIG|GET": { arity: -3, run: configGet },
  "CONFIG|SET": { arity: -4, run: configSet },
  "CONFIG|RESETSTAT": { arity: 2, run: () => ok },
  "CONFIG|REWRITE": { arity: 2, run: () => error("ERR The server is running without a config file") }
}
