/**
 * The HTTP API of the `simulate` command: what a client in any language needs to see a rehearsal and to direct it.
 *
 * It answers with JSON and speaks of steps as plans do: a body is a step of a plan, held against the plan's own rules.
 * It asks nobody for a password. So that no web page that is open on the same machine can drive it, it takes bodies as
 * `application/json` alone, which browsers do not send to another origin unasked, and refuses requests to a host that
 * is not its own, as a page sends them whose name was rebound to this address.
 *
 * **Details**
 *
 * What was refused is answered with `{ error, issues? }`, each issue naming the field and the rule it breaks. A step is
 * performed even when the one who asked for it does not wait for the answer.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { format } from "../Endpoint.ts"
import { library } from "../internal/library.ts"
import * as MaintenancePlan from "../testing/MaintenancePlan.ts"
import type { SimulatedRedis } from "../testing/SimulatedRedis.ts"
import type { Timeline } from "../testing/Timeline.ts"

/**
 * Where the API is, and what it shows and directs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly host: string
  /** 0 means any free one. */
  readonly port: number
  readonly deployment: SimulatedRedis
  /** When the timeline began, as ISO 8601 writes it. */
  readonly startedAt: string
  readonly timeline: () => Timeline
  /** Goes through a plan from now on, and ends with its last step. */
  readonly play: (plan: MaintenancePlan.MaintenancePlan) => Effect.Effect<void>
}

interface Action {
  readonly does: string
  /** The step that it performs; the body names it where this is left out. */
  readonly step?: MaintenancePlan.Step["step"] | undefined
  readonly example: object
}

/** What can be told to happen, by path. */
const actions: Readonly<Record<`/${string}`, Action>> = {
  "/push": {
    does: "sends a push of these elements to every connection of the node that opted in",
    step: "push",
    example: { node: "node-1", elements: ["SMIGRATING", 7, "0-99"] }
  },
  "/move": {
    does: "announces that the node is left for the target, or with null for nobody named, within that time",
    step: "moving",
    example: { node: "node-1", target: "node-2", time: "15 seconds" }
  },
  "/kill": {
    does: "destroys the connections of the node",
    step: "kill",
    example: { node: "node-1" }
  },
  "/steps": {
    does: `performs any step of a plan: ${Object.keys(MaintenancePlan.Step.cases).join(", ")}`,
    example: { step: "stall", node: "node-1", duration: "2 seconds" }
  }
}

/** What can be seen, by path. */
const views = {
  "/": "this list",
  "/nodes": "the nodes with their addresses and connections",
  "/timeline": "what happened so far; with ?text in words"
} as const

const directory = [
  ...Object.entries(views).map(([path, shows]) => ({ method: "GET", path, does: `shows ${shows}` })),
  ...Object.entries(actions).map(([path, { does, example }]) => ({ method: "POST", path, does, example }))
]

interface Issue {
  readonly field: string
  readonly rule: string
}

const refusal = (status: number, error: string, issues?: ReadonlyArray<Issue>): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ error, issues }, { status })

// ----- who may ask -----

/** The host that a request was sent to, without its port, as URLs write it. */
const hostOf = (authority: string | undefined): string | undefined =>
  authority !== undefined && URL.canParse(`http://${authority}`) ? new URL(`http://${authority}`).hostname : undefined

const isLoopback = (host: string): boolean => {
  const ip = NetAddress.ipFromString(host.replace(/^\[|\]$/g, ""))
  return host === "localhost" || (ip._tag === "Success" && NetAddress.isLoopback(ip.success))
}

// ----- steps -----

// A step has some hundred bytes; this leaves room for the largest push that anybody tries.
const largestBody = ByteSize.mebibytes(1)

type Body = Readonly<Record<string, unknown>>

const isObject = (u: unknown): u is Body => typeof u === "object" && u !== null && !Array.isArray(u)

/** The JSON object that was sent, or the answer to what is none. */
const bodyOf = Effect.fnUntraced(function*(
  request: HttpServerRequest.HttpServerRequest
): Effect.fn.Return<Body, HttpServerResponse.HttpServerResponse> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    return yield* Effect.fail(refusal(415, "the content type must be application/json"))
  }
  const body = yield* request.json.pipe(
    Effect.provideService(HttpServerRequest.MaxBodySize, largestBody),
    Effect.mapError(() => refusal(400, "the body must be JSON of at most 1 MiB"))
  )
  return isObject(body) ? body : yield* Effect.fail(refusal(400, "the body must be a JSON object"))
})

/** A plan of one step, or the answer to what is none. */
const planOf = (
  nodes: ReadonlyArray<string>,
  body: Body,
  kind: Action["step"]
): Effect.Effect<MaintenancePlan.MaintenancePlan, HttpServerResponse.HttpServerResponse> => {
  const refuse = (issues: ReadonlyArray<Issue>) => refusal(400, "this is no step", issues)
  if (kind !== undefined && "step" in body) {
    return Effect.fail(refuse([{ field: "step", rule: `is always ${kind} here; leave it out` }]))
  }
  const step = { at: 0, ...body, ...(kind !== undefined && { step: kind }) }
  return Effect.mapError(
    MaintenancePlan.fromJson(JSON.stringify({ nodes, steps: [step] })),
    ({ issues }) => refuse(issues.map(({ field, rule }) => ({ field, rule })))
  )
}

/**
 * Serves the API for the surrounding scope, and returns its URL.
 *
 * @category running
 * @since 0.1.0
 */
export const serve = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<string, HttpServerError.ServeError, Scope.Scope> {
  const { deployment, host, play, port, startedAt, timeline } = options
  const scope = yield* Effect.scope
  const node = Http.createServer()
  const server = yield* NodeHttpServer.make(() => node, { host, port })
  const ownHosts = new Set([host.includes(":") ? `[${host}]` : host, HttpServer.formatAddress(server.address)].map(
    (own) => hostOf(own.replace(/^http:\/\//, ""))
  ))

  const perform = ({ step: kind }: Action) => (request: HttpServerRequest.HttpServerRequest) =>
    Effect.gen(function*() {
      const plan = yield* planOf(deployment.nodes, yield* bodyOf(request), kind)
      const [step] = plan.steps
      const words = `${MaintenancePlan.subject(step)} ${MaintenancePlan.describe(step)}`
      const playing = yield* Effect.forkIn(play(plan), scope, { startImmediately: true })
      if (!Duration.isZero(step.at)) {
        return HttpServerResponse.jsonUnsafe({ scheduled: words, in: Duration.format(step.at) }, { status: 202 })
      }
      return yield* Fiber.join(playing).pipe(
        Effect.as(HttpServerResponse.jsonUnsafe({ performed: words })),
        Effect.catchCause((cause) => Effect.succeed(refusal(500, `${words}: ${Cause.squash(cause)}`)))
      )
    }).pipe(Effect.catch(Effect.succeed))

  const shown: Readonly<Record<keyof typeof views, HttpRouter.Route>> = {
    "/": HttpRouter.route(
      "GET",
      "/",
      HttpServerResponse.jsonUnsafe({ name: "hitless simulate", version: library.version, endpoints: directory })
    ),
    "/nodes": HttpRouter.route(
      "GET",
      "/nodes",
      Effect.forEach(deployment.nodes, (name) =>
        Effect.map(deployment.connections(name), (connections) => ({
          name,
          address: format(deployment.endpoint(name)),
          connections
        }))).pipe(Effect.map((nodes) => HttpServerResponse.jsonUnsafe({ nodes })))
    ),
    "/timeline": HttpRouter.route("GET", "/timeline", ({ originalUrl }) =>
      Effect.sync(() => {
        const { entries, text } = timeline()
        return new URL(originalUrl, "http://localhost").searchParams.has("text")
          ? HttpServerResponse.text(`${text}\n`)
          : HttpServerResponse.jsonUnsafe({ startedAt, entries })
      }))
  }
  const unknown = ({ method, url }: HttpServerRequest.HttpServerRequest) =>
    Effect.sync(() => {
      const path = url.replace(/\?.*$/, "")
      const known = directory.find((endpoint) => endpoint.path === path)
      return known === undefined
        ? refusal(404, `there is no ${path}; GET / shows what there is`)
        : HttpServerResponse.setHeader(
          refusal(405, `${path} takes ${known.method}, not ${method}`),
          "allow",
          known.method
        )
    })

  const router = yield* HttpRouter.make
  yield* router.addAll([
    ...Object.values(shown),
    ...Object.entries(actions).map(([path, action]) =>
      HttpRouter.route("POST", path as HttpRouter.PathInput, perform(action))
    ),
    HttpRouter.route("*", "/*", unknown)
  ])
  const answer = router.asHttpEffect()
  yield* server.serve(Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    const asked = hostOf(headers["host"])
    return asked !== undefined && (isLoopback(asked) || ownHosts.has(asked))
      ? answer
      : Effect.succeed(refusal(403, `the Host of a request must be ${host} or this machine's loopback`))
  }))
  // Closed before the server is, which would wait for connections that have sent half a request, or nothing.
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  return HttpServer.formatAddress(server.address)
})
