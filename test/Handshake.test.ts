/**
 * How a client begins with peers of every kind: servers and proxies without `HELLO`, those that hang up on what they do
 * not know, those that want `AUTH` first, and those that refuse for another reason.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type Config, HitlessRedis } from "hitless"
import { NodeHitlessRedis, NodeTransport } from "hitless/node"
import { waitUntil } from "./support/deployment.ts"
import { answerHandshake, type RawConnection, rawServer } from "./support/rawServer.ts"
import { startRedis } from "./support/redisServer.ts"

const host = "127.0.0.1"

const maintenance = { logLevel: "Error" } as const

const credentials: Config.Credentials = { username: "default", password: Redacted.make("s3cret-w0rd") }

type Answer = (words: ReadonlyArray<string>, connection: RawConnection) => string | undefined

/** A peer that logs what it is told, by connection. */
const peer = (answer: Answer) =>
  Effect.gen(function*() {
    const told: Array<Array<string>> = []
    const server = yield* rawServer((words, connection) => {
      const name = words[0] === "CLIENT" ? `CLIENT ${words[1]}` : words[0]!
      ;(told[connection.id - 1] ??= []).push(name)
      return answer(words, connection)
    })
    return { ...server, told }
  })

/** What every proxy knows. */
const basics: Answer = ([command, argument]) => {
  switch (command) {
    case "AUTH":
      return argument === "s3cret-w0rd" ? "+OK\r\n" : "-ERR invalid password\r\n"
    case "PING":
      return "+PONG\r\n"
    case "SELECT":
      return "+OK\r\n"
    case "GET":
      return "$5\r\nvalue\r\n"
    default:
      return `-ERR unknown command '${command}'\r\n`
  }
}

const answering = (hello: string): Answer => (words, connection) =>
  words[0] === "HELLO" ? hello : basics(words, connection)

/** Nutcracker's way: what is not known ends the connection, and nothing more is answered on it. */
const hangingUp = (answer: (words: ReadonlyArray<string>) => string): Answer => {
  const over = new Set<number>()
  return (words, connection) => {
    const { id, socket } = connection
    if (over.has(id)) return undefined
    if (words[0] === "HELLO" || words[0] === "CLIENT") {
      over.add(id)
      socket.end(answer(words))
      return undefined
    }
    return basics(words, connection)
  }
}

const open = (options: Config.Options) =>
  Effect.provide(HitlessRedis.make({ host, poolSize: 1, maintenance, ...options }), NodeTransport.layer)

const refusal = (options: Config.Options) =>
  Effect.map(
    Effect.flip(open(options)),
    (error) => error._tag === "HitlessError" ? error.reason : assert.fail(error.message)
  )

/** A peer's connections end, as they do when it is started again. */
const drop = (connections: ReadonlyArray<RawConnection>) =>
  Effect.sync(() => {
    for (const { socket } of connections) socket.destroy()
  })

const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) => TestClock.withLive(waitUntil(condition))

describe("a peer that refuses HELLO", () => {
  for (
    const words of [
      "ERR unsupported command 'HELLO'",
      "ERR unsupported command",
      "ERR invalid command",
      "ERR Invalid command specified",
      "ERR command not allowed",
      "ERR command is not supported in proxy mode",
      "ERR Protocol error: unknown command",
      "ERR unknown command 'HELLO'",
      "ERR unknown command `HELLO`, with args beginning with: `3`, ",
      "ERR unknown command 'HELLO', with args beginning with: ",
      "ERR wrong number of arguments for 'hello' command",
      "ERR Syntax error in HELLO option 'setname'",
      "ERR Protocol version is not an integer or out of range",
      "ERR Proto version 3 is not supported",
      "NOPROTO unsupported protocol version",
      "NOPROTO",
      "ERR operation not permitted",
      "invalid request",
      "ERR",
      ""
    ]
  ) {
    it.live(`in the words "${words}" is served in RESP2, on the same connection`, () =>
      Effect.gen(function*() {
        const { connections, port, told } = yield* peer(answering(`-${words}\r\n`))
        const redis = yield* open({ port, credentials, database: 2, clientName: "app" })
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
        const status = yield* redis.status
        assert.strictEqual(status.protocol, 2)
        assert.deepStrictEqual(status.endpoints.map(({ support }) => support), ["refused"])
        assert.strictEqual(connections.length, 1)
        // First the burst that begins with HELLO, then what replaces it, then the command.
        assert.strictEqual(
          told[0]!.join(),
          "HELLO,SELECT,CLIENT SETINFO,CLIENT SETINFO,CLIENT MAINT_NOTIFICATIONS,ECHO," +
            "AUTH,SELECT,CLIENT SETNAME,CLIENT SETINFO,CLIENT SETINFO,ECHO,GET"
        )
      }))
  }

  for (
    const [how, hello] of [
      ["as a map", "%1\r\n$5\r\nproto\r\n:2\r\n"],
      ["as an array", "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n"]
    ] as const
  ) {
    it.live(`by naming protocol 2 ${how} is served in RESP2`, () =>
      Effect.gen(function*() {
        const { port } = yield* peer(answering(hello))
        const redis = yield* open({ port, credentials })
        assert.strictEqual((yield* redis.status).protocol, 2)
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
      }))
  }

  it.live("is not asked again at the next dial", () =>
    Effect.gen(function*() {
      const { connections, port, told } = yield* peer(answering("-ERR unsupported command\r\n"))
      const redis = yield* open({ port, credentials })
      yield* drop(connections)
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.deepStrictEqual(told[1], ["AUTH", "CLIENT SETINFO", "CLIENT SETINFO", "ECHO", "GET"])
    }))

  it.live("fails where maintenance notifications are required, and shows its words", () =>
    Effect.gen(function*() {
      const { port } = yield* peer(answering("-ERR unsupported command 'HELLO'\r\n"))
      const reason = yield* refusal({ port, maintenance: { mode: "enabled" } })
      assert.strictEqual(reason._tag, "MaintenanceRefused")
      assert.include(reason.message, "unsupported command")
    }))

  it.live("fails where it refuses the database", () =>
    Effect.gen(function*() {
      const { port } = yield* peer((words, connection) =>
        words[0] === "SELECT" ? "-ERR SELECT is not allowed\r\n" : answering("-ERR no\r\n")(words, connection)
      )
      const reason = yield* refusal({ port, database: 1 })
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Rejected")
      assert.include(reason.message, "SELECT is not allowed")
    }))

  it.live("fails by the name of the trouble where it does not accept the password", () =>
    Effect.gen(function*() {
      const { port } = yield* peer(answering("-ERR no\r\n"))
      const reason = yield* refusal({ port, credentials: { password: Redacted.make("wrong") } })
      assert.strictEqual(reason._tag, "AuthenticationFailed")
    }))
})

describe("a peer that hangs up on HELLO", () => {
  for (
    const [how, answer] of [
      ["without a word", () => ""],
      [
        "after an error about the command",
        ([command]: ReadonlyArray<string>) => `-ERR unknown command '${command}'\r\n`
      ],
      ["after an empty error", () => "-\r\n"]
    ] as const
  ) {
    it.live(`${how} is dialled again at once and told the bare words`, () =>
      Effect.gen(function*() {
        const { port, told } = yield* peer(hangingUp(answer))
        const redis = yield* open({ port, credentials, clientName: "app", database: 1 })
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
        assert.strictEqual(told.length, 2)
        assert.deepStrictEqual(told[1], ["AUTH", "SELECT", "GET"])
        const status = yield* redis.status
        assert.strictEqual(status.protocol, 2)
        assert.deepStrictEqual(status.endpoints.map(({ support }) => support), ["refused"])
      }))
  }

  it.live("is asked whether it is there, where there is no password to send", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => ""))
      const redis = yield* open({ port })
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.deepStrictEqual(told[1], ["PING", "GET"])
    }))

  it.live("costs no extra connection at the next dials", () =>
    Effect.gen(function*() {
      const { connections, port, told } = yield* peer(hangingUp(() => ""))
      const redis = yield* open({ port, credentials })
      for (const dials of [3, 4, 5]) {
        yield* drop(connections)
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
        assert.strictEqual(told.length, dials)
        assert.deepStrictEqual(told[dials - 1], ["AUTH", "GET"])
      }
    }))

  it.effect("is asked again after a while, and spoken to in RESP3 when it was upgraded", () =>
    Effect.gen(function*() {
      let upgraded = false
      const old = hangingUp(() => "")
      const { connections, port, told } = yield* peer((words, connection) =>
        upgraded ? answerHandshake(words) ?? basics(words, connection) : old(words, connection)
      )
      const redis = yield* open({ port, credentials })
      const serving = (protocol: 2 | 3) =>
        eventually(Effect.map(redis.status, (status) => status.health === "ok" && status.protocol === protocol))
      upgraded = true
      yield* TestClock.adjust("59 seconds")
      yield* drop(connections)
      yield* eventually(Effect.sync(() => told.length === 3))
      yield* serving(2)
      assert.deepStrictEqual(told[2], ["AUTH"])
      yield* TestClock.adjust("10 seconds")
      yield* drop(connections)
      yield* serving(3)
      assert.strictEqual((yield* redis.status).endpoints[0]?.support, "supported")
    }))

  it.effect("serves a subscriber that finds it out by itself", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer((words, connection) =>
        words[0] === "SUBSCRIBE"
          ? `*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n`
          : hangsUp(words, connection)
      )
      const hangsUp = hangingUp(() => "")
      const services = yield* Layer.build(NodeHitlessRedis.layer({ host, port, poolSize: 1, maintenance }))
      yield* TestClock.adjust("1 minute")
      const messages = yield* Context.get(services, Redis.Redis).subscribe("news")
      assert.deepStrictEqual(yield* Queue.take(messages), { channel: "news", message: "hello" })
      assert.deepStrictEqual(told.map(([first]) => first), ["HELLO", "PING", "HELLO", "PING"])
    }))

  it.live("is in trouble and not ignorant when the client has been understood before", () =>
    Effect.gen(function*() {
      let troubled = false
      const { connections, port, told } = yield* peer((words, connection) => {
        if (troubled) connection.socket.end()
        return troubled ? undefined : answerHandshake(words) ?? basics(words, connection)
      })
      const redis = yield* open({ port, credentials })
      troubled = true
      yield* drop(connections)
      yield* waitUntil(Effect.sync(() => told.length >= 4))
      troubled = false
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.strictEqual((yield* redis.status).protocol, 3)
      assert.deepStrictEqual(new Set(told.map(([first]) => first)), new Set(["HELLO"]))
    }))

  it.live("fails with its second answer where that is a failure too", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => ""))
      const reason = yield* refusal({ port, credentials: { password: Redacted.make("wrong") } })
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.strictEqual(told.length, 2)
    }))

  it.live("is dialled once where maintenance notifications are required", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => ""))
      const reason = yield* refusal({ port, maintenance: { mode: "enabled" } })
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Dropped")
      assert.strictEqual(told.length, 1)
    }))

  it.live("leaves no connection behind", () =>
    Effect.gen(function*() {
      const { closed, port } = yield* peer(hangingUp(() => ""))
      const scope = yield* Scope.make()
      yield* Scope.provide(open({ port }), scope)
      yield* Scope.close(scope, Exit.void)
      yield* waitUntil(Effect.sync(() => closed.length === 2))
    }))
})

describe("a peer that wants AUTH first", () => {
  const noauth = "-NOAUTH Authentication required.\r\n"

  /** Answers nobody before `AUTH`. */
  const guarded = (answer: Answer): Answer => {
    const known = new Set<number>()
    return (words, connection) => {
      if (words[0] === "AUTH") known.add(connection.id)
      return known.has(connection.id) ? answer(words, connection) : noauth
    }
  }

  it.live("gets it, and then HELLO, so that notifications are heard", () =>
    Effect.gen(function*() {
      const { connections, port, told } = yield* peer(
        guarded((words, connection) => answerHandshake(words) ?? basics(words, connection))
      )
      const redis = yield* open({ port, credentials, database: 1 })
      const status = yield* redis.status
      assert.deepStrictEqual([status.protocol, status.endpoints[0]?.support], [3, "supported"])
      yield* drop(connections)
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.strictEqual(connections.length, 2)
      assert.deepStrictEqual(told[1]!.slice(0, 3), ["AUTH", "HELLO", "SELECT"])
    }))

  it.live("is served in RESP2 where it does not know HELLO then", () =>
    Effect.gen(function*() {
      for (const answer of [guarded(basics), guarded(answering(noauth))]) {
        const { connections, port } = yield* peer(answer)
        const redis = yield* open({ port, credentials })
        assert.strictEqual(yield* redis.send("GET", "key"), "value")
        assert.strictEqual((yield* redis.status).protocol, 2)
        assert.strictEqual(connections.length, 1)
      }
    }))

  it.live("is AuthenticationFailed where there are no credentials", () =>
    Effect.gen(function*() {
      const { connections, port } = yield* peer(guarded(basics))
      const reason = yield* refusal({ port })
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.strictEqual(connections.length, 1)
    }))

  it.live("gets a user name only where it is not the default one: servers before Redis 6 know none", () =>
    Effect.gen(function*() {
      const logins: Array<ReadonlyArray<string>> = []
      const { port } = yield* peer((words, connection) => {
        if (words[0] === "AUTH") logins.push(words.slice(1))
        return words[0] === "AUTH" && words.length === 3
          ? "-ERR wrong number of arguments for 'auth' command\r\n"
          : answering("-ERR unknown command 'HELLO'\r\n")(words, connection)
      })
      yield* open({ port, credentials })
      const named = { ...credentials, username: "ann" }
      const reason = yield* refusal({ port, credentials: named })
      assert.deepStrictEqual(logins, [["s3cret-w0rd"], ["ann", "s3cret-w0rd"]])
      assert.strictEqual(reason._tag, "AuthenticationFailed")
    }))
})

describe("a peer that refuses for another reason", () => {
  for (
    const [words, tag] of [
      ["WRONGPASS invalid username-password pair or user is disabled.", "AuthenticationFailed"],
      ["NOPERM this user has no permissions to run the 'hello' command", "AuthenticationFailed"],
      ["ERR invalid password", "AuthenticationFailed"],
      ["ERR Client sent AUTH, but no password is set", "AuthenticationFailed"],
      ["LOADING Redis is loading the dataset in memory", "ConnectFailed"],
      ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "ConnectFailed"],
      ["CLUSTERDOWN The cluster is down", "ConnectFailed"],
      ["BUSY Redis is busy running a script.", "ConnectFailed"],
      ["ERR max number of clients reached", "ConnectFailed"],
      ["ERR max number of clients + cluster connections reached", "ConnectFailed"],
      ["ERR too many connections", "ConnectFailed"],
      ["DENIED Redis is running in protected mode", "ConnectFailed"]
    ] as const
  ) {
    it.live(`is not tried in RESP2: ${words}`, () =>
      Effect.gen(function*() {
        const { connections, port, told } = yield* peer(answering(`-${words}\r\n`))
        const reason = yield* refusal({ port, credentials })
        assert.strictEqual(reason._tag, tag)
        assert.include(reason.message, words)
        assert.strictEqual(connections.length, 1)
        assert.notInclude(told[0], "AUTH")
      }))
  }

  it.live("and hangs up is not dialled again for it", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => "-ERR max number of clients reached\r\n"))
      const reason = yield* refusal({ port })
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Rejected")
      assert.strictEqual(told.length, 1)
    }))
})

for (const words of ["WRONGPASS invalid username-password pair", "NOPERM no rights", "ERR invalid password"]) {
  it.live(`credentials that are refused with ${words.split(" ")[0]} and a hang-up are refused credentials`, () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => `-${words}\r\n`))
      const reason = yield* refusal({ port, credentials })
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.include(reason.message, words)
      assert.strictEqual(told.length, 1)
    }))
}

describe("protocol", () => {
  it.live("3 fails where RESP3 is refused, and says so", () =>
    Effect.gen(function*() {
      for (const hello of ["-ERR unknown command 'HELLO'\r\n", "-NOPROTO sorry\r\n", "%1\r\n$5\r\nproto\r\n:2\r\n"]) {
        const { connections, port } = yield* peer(answering(hello))
        const reason = yield* refusal({ port, credentials, protocol: 3 })
        assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Rejected")
        assert.include(reason.message, "does not speak RESP3")
        assert.strictEqual(connections.length, 1)
      }
    }))

  it.live("3 fails where the peer hangs up on HELLO, and says what that can mean", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(hangingUp(() => ""))
      const reason = yield* refusal({ port, protocol: 3 })
      assert.strictEqual(reason._tag === "ConnectFailed" && reason.kind, "Dropped")
      assert.include(reason.message, "RESP3")
      assert.strictEqual(told.length, 1)
    }))

  it.live("3 and auto are RESP3 on a server that has it, 2 is not, and each logs in, selects and is named", () =>
    Effect.gen(function*() {
      const server = yield* startRedis({ args: ["--requirepass", "s3cret-w0rd"] })
      for (const protocol of ["auto", 2, 3] as const) {
        const redis = yield* open({
          port: server.port,
          credentials,
          database: 3,
          clientName: `app-${protocol}`,
          protocol
        })
        const info = yield* redis.send<string>("CLIENT", "INFO")
        assert.match(info, new RegExp(` name=app-${protocol} .* db=3 .* resp=${protocol === 2 ? 2 : 3}`))
        assert.strictEqual((yield* redis.status).protocol, protocol === 2 ? 2 : 3)
      }
    }))

  it.live("2 never sends HELLO and asks for no notifications", () =>
    Effect.gen(function*() {
      const { port, told } = yield* peer(answering("-ERR unknown command 'HELLO'\r\n"))
      const redis = yield* open({ port, clientName: "app", protocol: 2 })
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.deepStrictEqual(told, [["PING", "CLIENT SETNAME", "CLIENT SETINFO", "CLIENT SETINFO", "ECHO", "GET"]])
      assert.deepStrictEqual((yield* redis.status).endpoints, [])
    }))

  it.live("2 reaches a proxy that hangs up on CLIENT", () =>
    Effect.gen(function*() {
      const { connections, port, told } = yield* peer(hangingUp(() => ""))
      const redis = yield* open({ port, credentials, protocol: 2 })
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      yield* drop(connections)
      assert.strictEqual(yield* redis.send("GET", "key"), "value")
      assert.deepStrictEqual(told.slice(1), [["AUTH", "GET"], ["AUTH", "GET"]])
    }))
})
