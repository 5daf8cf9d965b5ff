/**
 * The networks a simulated deployment can be on: in memory, or TCP behind the same addresses.
 *
 * Every node has an address of its own, `10.0.0.1:6379` and on, whatever carries its bytes, so that a rehearsal in
 * memory and one over TCP tell the same story. In memory a connection is two ends; what one writes, a close included,
 * reaches the other as one task of Effect's scheduler, in order. There is no network latency, no limit on what is in
 * flight and no loss: the deployment's verbs make those.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Dns from "effect/net/Dns"
import * as NetAddress from "effect/net/NetAddress"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Endpoint from "../../Endpoint.ts"
import type { Transport } from "../../Transport.ts"

/** What a deployment and its clients meet on. */
export interface Network {
  /** Opens the listener of a node, on that node's address. */
  readonly listen: (
    node: string
  ) => Effect.Effect<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Scope.Scope>
  /** A socket to an IP address; acquiring its reader dials. */
  readonly dial: (address: Endpoint.Endpoint) => Effect.Effect<Socket.Socket>
}

// Private by RFC 1918, so a client that derives its endpoint type from what it dials asks for an internal one. 250 to an
// octet keep clear of 0 and 255, which can be no host.
const addressOf = (index: number): NetAddress.InetAddress =>
  NetAddress.inetAddressFromIpStringUnsafe(`10.0.${Math.floor(index / 250)}.${1 + index % 250}`, Endpoint.defaultPort)

/** The address of each node. */
const addressesOf = (nodes: ReadonlyArray<string>) => (node: string): NetAddress.InetAddress =>
  addressOf(nodes.indexOf(node))

// ----- in memory -----

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]
type Resume = (effect: Effect.Effect<Chunks, Socket.SocketError>) => void

const closed = (code: number): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const encoder = new TextEncoder()

/** One end of a connection. What has arrived is read before the end of the connection is noticed. */
class End {
  private readonly run: (task: () => void) => void
  private peer: End | undefined
  private arrived: Array<Uint8Array> = []
  private ended: Socket.SocketError | undefined
  private waiting: Resume | undefined

  constructor(run: (task: () => void) => void) {
    this.run = run
  }

  static pair(run: (task: () => void) => void): readonly [End, End] {
    const ends = [new End(run), new End(run)] as const
    ends[0].peer = ends[1]
    ends[1].peer = ends[0]
    return ends
  }

  readonly pull = Effect.callback<Chunks, Socket.SocketError>((resume) => {
    this.waiting = resume
    this.deliver()
    if (this.waiting !== resume) return
    return Effect.sync(() => {
      if (this.waiting === resume) this.waiting = undefined
    })
  })

  readonly writer: Socket.Writer = {
    write: (chunk) => Effect.suspend(() => this.send([chunk])),
    writeAll: (chunks) => Effect.suspend(() => this.send(chunks))
  }

  /** Closes both ends: this one at once, the other, which is told no code as on TCP, after all that was written. */
  close(code: number): void {
    if (this.ended !== undefined) return
    this.end(code)
    this.run(() => this.peer?.end(1000))
  }

  private send(
    chunks: ReadonlyArray<Uint8Array | string | Socket.CloseEvent>
  ): Effect.Effect<void, Socket.SocketError> {
    const { ended, peer } = this
    if (ended !== undefined) return Effect.fail(ended)
    for (const chunk of chunks) {
      if (Socket.isCloseEvent(chunk)) this.close(chunk.code)
      else {
        // The writer may use its buffer again; a network does not show that to the reader.
        const bytes = typeof chunk === "string" ? encoder.encode(chunk) : chunk.slice()
        this.run(() => peer?.arrive(bytes))
      }
    }
    return Effect.void
  }

  private arrive(bytes: Uint8Array): void {
    if (this.ended !== undefined) return
    this.arrived.push(bytes)
    this.deliver()
  }

  private end(code: number): void {
    this.ended ??= closed(code)
    this.deliver()
  }

  private deliver(): void {
    const { arrived, ended, waiting } = this
    if (waiting === undefined) return
    const [first, ...rest] = arrived
    if (first !== undefined) {
      this.arrived = []
      this.waiting = undefined
      waiting(Effect.succeed([first, ...rest]))
    } else if (ended !== undefined) {
      this.waiting = undefined
      waiting(Effect.fail(ended))
    }
  }
}

/** A socket that dials with `open` whenever its reader is acquired. */
const makeSocket = (open: Effect.Effect<End, Socket.SocketError>): Socket.Socket => {
  const connected = Latch.makeUnsafe(false)
  let current: End | undefined
  const whenConnected = <A extends ReadonlyArray<unknown>>(
    write: (end: End, ...args: A) => Effect.Effect<void, Socket.SocketError>
  ) =>
  (...args: A) =>
    connected.whenOpen(Effect.suspend(() => current === undefined ? Effect.void : write(current, ...args)))
  return Socket.make({
    reader: Effect.map(
      Effect.acquireRelease(open, (end) =>
        Effect.sync(() => {
          connected.closeUnsafe()
          end.close(1000)
        })),
      (end) => {
        current = end
        connected.openUnsafe()
        return { pull: end.pull, upgrade: Socket.SocketUpgradeError.unsupported }
      }
    ),
    writer: Effect.succeed({
      write: whenConnected((end, chunk) => end.writer.write(chunk)),
      writeAll: whenConnected((end, chunks) => end.writer.writeAll(chunks))
    })
  })
}

/** A dial that fails as Node's does; `connectFailure` of `Transport` knows these codes. */
const unreachable = (code: "ECONNREFUSED" | "EHOSTUNREACH" | "ENOTFOUND", host: string): Socket.SocketError =>
  new Socket.SocketError({
    reason: new Socket.SocketOpenError({
      kind: "Unknown",
      cause: Object.assign(new Error(`connect ${code} ${host}`), { code })
    })
  })

/** A network in this process. */
export const memory = (nodes: ReadonlyArray<string>): Effect.Effect<Network> =>
  Effect.map(Effect.context(), (context) => {
    const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    const run = (task: () => void) => dispatcher.scheduleTask(task, 0)
    const known = addressesOf(nodes)
    const hosts = new Set(nodes.map((node) => NetAddress.formatSocketAddress(known(node))))
    const listeners = new Map<string, (end: End) => void>()

    const listen: Network["listen"] = (node) => {
      const address = known(node)
      const key = NetAddress.formatSocketAddress(address)
      // Who dials before the listener runs waits in the backlog, as in a kernel's.
      const backlog: Array<End> = []
      return Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => listeners.set(key, (end) => backlog.push(end))),
          () => Effect.sync(() => listeners.delete(key))
        ),
        {
          address,
          run: <R, E, _>(handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>) =>
            Effect.scoped(Effect.gen(function*() {
              const fork = yield* FiberSet.makeRuntime<R>()
              const take = (end: End) => {
                fork(handler(makeSocket(Effect.succeed(end))))
              }
              listeners.set(key, take)
              backlog.splice(0).forEach(take)
              return yield* Effect.never
            }))
        }
      )
    }

    const dial: Network["dial"] = (endpoint) => {
      const host = Endpoint.format(endpoint)
      return Effect.succeed(makeSocket(Effect.callback((resume) => {
        run(() => {
          const accept = listeners.get(host)
          if (accept === undefined) {
            return resume(Effect.fail(unreachable(hosts.has(host) ? "ECONNREFUSED" : "EHOSTUNREACH", host)))
          }
          const [client, server] = End.pair(run)
          accept(server)
          resume(Effect.succeed(client))
        })
      })))
    }

    return { listen, dial }
  })

// ----- TCP -----

/** TCP that carries the same addresses: each stands for the port that its node really listens on. */
export const tcp = (
  nodes: ReadonlyArray<string>,
  open: (port: number, node: string) => ReturnType<Network["listen"]>,
  transport: Transport["Service"]
): Network => {
  const known = addressesOf(nodes)
  const real = new Map<string, NetAddress.SocketAddress>()
  return {
    listen: (node) =>
      Effect.suspend(() => {
        const address = known(node)
        const key = NetAddress.formatSocketAddress(address)
        const before = real.get(key)
        return Effect.map(
          open(before !== undefined && NetAddress.isInetAddress(before) ? before.port : 0, node),
          (server) => {
            real.set(key, server.address)
            return { address, run: server.run }
          }
        )
      }),
    dial: (endpoint) =>
      Effect.suspend(() => {
        const host = Endpoint.format(endpoint)
        const address = real.get(host)
        return address === undefined || !NetAddress.isInetAddress(address)
          ? Effect.succeed(makeSocket(Effect.fail(unreachable("EHOSTUNREACH", host))))
          : transport.open(Endpoint.tcp(NetAddress.formatIp(address.address), address.port), { tls: undefined })
      })
  }
}

// ----- names -----

/** Names that lead to nodes, and can be told to lead elsewhere. */
export interface Names {
  readonly dns: Dns.Dns["Service"]
  /** The name leads to this node from now on, or nowhere. */
  readonly lead: (name: string, node: string | null) => void
}

/** Names that lead nowhere at first. Names are not case-sensitive. */
export const makeNames = (nodes: ReadonlyArray<string>): Names => {
  const known = addressesOf(nodes)
  const leads = new Map<string, NetAddress.IpAddress>()
  return {
    dns: Dns.make({
      lookup: (name) =>
        Effect.sync(() => {
          const address = leads.get(name.toLowerCase())
          return address === undefined ? [] : [address]
        })
    }),
    lead: (name, node) => {
      const address = node === null || !nodes.includes(node) ? undefined : known(node).address
      if (address === undefined) leads.delete(name.toLowerCase())
      else leads.set(name.toLowerCase(), address)
    }
  }
}

/** How clients reach a network: they look a name up with each dial, as a real transport does. */
export const makeTransport = (network: Network, dns: Dns.Dns["Service"]): Transport["Service"] => {
  const resolve = (host: string): Effect.Effect<ReadonlyArray<string>, Dns.DnsError> =>
    NetAddress.ipFromString(host)._tag === "Success"
      ? Effect.succeed([host])
      : Effect.map(dns.lookup(host), (found) => found.map(NetAddress.formatIp))
  return {
    resolve,
    open: (endpoint, { onPeer }) => {
      if (endpoint._tag === "Unix") return network.dial(endpoint)
      return resolve(endpoint.host).pipe(
        Effect.tap(([host]) => Effect.sync(() => onPeer?.(host))),
        Effect.flatMap(([host]) => network.dial(Endpoint.tcp(host, endpoint.port))),
        Effect.orElseSucceed(() => makeSocket(Effect.fail(unreachable("ENOTFOUND", endpoint.host))))
      )
    }
  }
}
