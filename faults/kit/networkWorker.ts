/**
 * The network between a client and a server, in a thread of its own: so that it goes on while the client's event loop is
 * blocked, and none of its sockets is the client's.
 *
 * Each node listens on a port and relays whole frames to one real server, whatever their content. Two things are not the
 * server's: the answer to `CLIENT MAINT_NOTIFICATIONS`, since no open server has it, and the pushes of `announce`.
 */
import * as Net from "node:net"
import { parentPort } from "node:worker_threads"
import { FrameCutter } from "../../src/testing/server/frames.ts"

/** What befalls the links of a node while it lasts. Those that end a reply befall each link once, at its next reply. */
export type NetworkFault =
  | "refuse"
  | "silence"
  | "half-open"
  | "partition"
  | "reset"
  | "fin"
  | "FIN inside a reply"
  | "reset inside a reply"
  | "drip"
  | "pause"
  | "garbage"
  | "truncated frame"
  | "one reply too many"
  | "one reply too few"
  | "pushes without replies"

/** What the main thread asks for; each is answered with its number. */
export type Request =
  | { readonly id: number; readonly op: "listen" }
  | { readonly id: number; readonly op: "lead"; readonly upstream: string }
  | { readonly id: number; readonly op: "fault"; readonly node: number; readonly fault: NetworkFault | undefined }
  | {
    readonly id: number
    readonly op: "announce"
    readonly node: number
    readonly target: string | null
    readonly seconds: number
  }
  | { readonly id: number; readonly op: "links"; readonly node: number }

interface Link {
  readonly down: Net.Socket
  readonly up: Net.Socket
  hasOptedIn: boolean
  /** Cuts what comes from the server into frames. */
  cutter: FrameCutter
  /** The fault that it has had its share of. */
  had: number
  /** Whether it never says anything again. */
  isDead: boolean
  /** What waits to be delivered to each side. */
  readonly toClient: Array<Uint8Array>
  readonly toServer: Array<Uint8Array>
}

interface Node {
  readonly server: Net.Server
  readonly port: number
  readonly links: Set<Link>
  fault: NetworkFault | undefined
  /** How many faults it has had. */
  faults: number
  /** What it announces of itself now. */
  leaving: Uint8Array | undefined
}

const push = Buffer.from(">2\r\n$10\r\ninvalidate\r\n_\r\n")
const noise = Buffer.from([0x07, 0xff, 0x00, 0x41, 0x0d, 0x0a])
/** What the server is asked in place of the opt-in: it answers `+OK`. */
const acceptable = Buffer.from("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n")

/** How often what is held back is looked at, in milliseconds, and how many bytes drip then. */
const tick = 4
const drop = 3

const nodes: Array<Node> = []

/** The Unix socket of the server that new connections lead to. */
let upstream = ""

const destroy = (link: Link): void => {
  link.down.destroy()
  link.up.destroy()
}

/** A reply, or a push, of the server. */
const deliver = (node: Node, link: Link, frame: Uint8Array, type: string): void => {
  if (link.isDead) return
  const { fault } = node
  if (fault === "silence" || fault === "partition" || fault === "pause") {
    link.toClient.push(frame)
    return
  }
  if (fault === "pushes without replies" && type !== ">") {
    link.toClient.push(frame)
    link.down.write(push)
    return
  }
  if (fault === "drip" || link.toClient.length > 0) {
    link.toClient.push(frame)
    return
  }
  if (link.had === node.faults || type === ">") {
    link.down.write(frame)
    return
  }
  const half = frame.subarray(0, Math.max(1, frame.length >> 1))
  const had = () => {
    link.had = node.faults
  }
  switch (fault) {
    case "FIN inside a reply":
      had()
      link.isDead = true
      link.down.end(half)
      link.up.destroy()
      return
    case "reset inside a reply":
      had()
      link.isDead = true
      // A reset discards what was not sent yet.
      link.down.write(half, () => link.down.resetAndDestroy())
      link.up.destroy()
      return
    case "garbage":
      had()
      link.down.write(noise)
      link.down.write(frame)
      return
    case "truncated frame":
      had()
      link.down.write(half)
      return
    case "one reply too many":
      had()
      link.down.write(frame)
      link.down.write(frame)
      return
    case "one reply too few":
      had()
      return
    default:
      link.down.write(frame)
  }
}

/** A few bytes at a time of what drips, and, when that is over, all that was held back. */
const flow = (node: Node): void => {
  for (const link of node.links) {
    if (link.isDead) continue
    if (node.fault === "drip") {
      const [first] = link.toClient
      if (first === undefined) continue
      link.down.write(first.subarray(0, drop))
      if (first.length <= drop) link.toClient.shift()
      else link.toClient[0] = first.subarray(drop)
    } else if (node.fault === "pushes without replies") link.down.write(push)
    else if (node.fault !== "silence" && node.fault !== "partition" && node.fault !== "pause") {
      for (const frame of link.toClient.splice(0)) link.down.write(frame)
      for (const bytes of link.toServer.splice(0)) link.up.write(bytes)
    }
  }
}

const accept = (node: Node, down: Net.Socket): void => {
  const up = Net.createConnection(upstream)
  down.setNoDelay(true)
  const link: Link = {
    down,
    up,
    hasOptedIn: false,
    cutter: new FrameCutter((parts, type) => deliver(node, link, Buffer.concat(parts), type)),
    had: 0,
    isDead: false,
    toClient: [],
    toServer: []
  }
  node.links.add(link)
  const fromClient = new FrameCutter((parts) => {
    let bytes = Buffer.concat(parts)
    if (bytes.length < 200 && bytes.includes("MAINT_NOTIFICATIONS")) {
      link.hasOptedIn = true
      bytes = acceptable
      // What is under way is told to those that come.
      if (node.leaving !== undefined) down.write(node.leaving)
    }
    if (link.isDead) return
    if (node.fault === "silence" || node.fault === "partition" || link.toServer.length > 0) link.toServer.push(bytes)
    else up.write(bytes)
  })
  down.on("data", (chunk) => fromClient.push(chunk))
  up.on("data", (chunk) => link.cutter.push(chunk))
  down.on("error", () => {})
  up.on("error", () => {})
  down.on("close", () => {
    node.links.delete(link)
    up.destroy()
  })
  up.on("close", () => {
    // Behind a partition nobody hears of it.
    if (link.isDead || node.fault === "partition" || node.fault === "silence") return
    down.end()
  })
}

/** Another process may have the port for a moment, for a connection of its own. */
const listenAgain = (node: Node): void => {
  node.server.once("error", () => setTimeout(() => listenAgain(node), 20))
  node.server.listen(node.port, "127.0.0.1", () => node.server.removeAllListeners("error"))
}

const begin = (node: Node, fault: NetworkFault | undefined): void => {
  const before = node.fault
  node.fault = fault
  node.faults++
  if (before === "refuse") listenAgain(node)
  if (before === "partition" || before === "silence") {
    for (const link of node.links) if (link.up.destroyed) link.down.destroy()
  }
  switch (fault) {
    case undefined:
      return
    case "refuse":
      node.server.close()
      for (const link of node.links) link.down.resetAndDestroy()
      return
    case "silence":
      // Those that come are accepted, and nothing is ever answered; those that are there are cut off.
      for (const link of node.links) destroy(link)
      return
    case "half-open":
      for (const link of node.links) {
        link.isDead = true
        link.up.destroy()
      }
      return
    case "reset":
      for (const link of node.links) link.down.resetAndDestroy()
      return
    case "fin":
      for (const link of node.links) link.down.end()
      return
  }
}

const announcement = (seq: number, seconds: number, target: string | null): string =>
  `>4\r\n$6\r\nMOVING\r\n:${seq}\r\n:${seconds}\r\n${target === null ? "_" : `$${target.length}\r\n${target}`}\r\n`

let seq = 0

const announce = (node: Node, target: string | null, seconds: number): void => {
  const frame = Buffer.from(announcement(++seq, seconds, target))
  node.leaving = frame
  for (const link of node.links) if (link.hasOptedIn && !link.isDead) link.down.write(frame)
  setTimeout(() => {
    if (node.leaving === frame) node.leaving = undefined
    for (const link of node.links) if (!link.isDead) destroy(link)
  }, seconds * 1000)
}

const answer = (id: number, value: number): void => parentPort?.postMessage({ id, value })

const listen = (id: number): void => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    const node: Node = { server, port, links: new Set(), fault: undefined, faults: 0, leaving: undefined }
    server.on("connection", (socket) => accept(node, socket))
    nodes.push(node)
    answer(id, port)
  })
}

setInterval(() => nodes.forEach(flow), tick)

parentPort?.on("message", (request: Request) => {
  switch (request.op) {
    case "listen":
      return listen(request.id)
    case "lead":
      upstream = request.upstream
      break
    case "fault":
      begin(nodes[request.node], request.fault)
      break
    case "announce":
      announce(nodes[request.node], request.target, request.seconds)
      break
    case "links":
      return answer(request.id, nodes[request.node].links.size)
  }
  answer(request.id, 0)
})
