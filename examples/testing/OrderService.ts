/**
 * A small order service, as it would run in production: a customer may place so many orders a minute, nobody is sold
 * what is not there, and a worker ships what was ordered.
 *
 * Everything it knows is in Redis. Each step of an order is idempotent by the order's id, so a step whose connection was
 * lost is sent again even where nobody can say whether it ran. Nothing in here knows of maintenance, or of tests.
 */
import { Context, Effect, flow, Layer, Result, Schedule, Schema } from "effect"
import { Persistable, PersistedCache, PersistedQueue, Persistence, RateLimiter, Redis } from "effect/persistence"
import { HitlessError, HitlessRedis } from "hitless"

export class Order extends Schema.Class<Order>("Order")({
  id: Schema.String,
  customer: Schema.String,
  product: Schema.String,
  quantity: Schema.Int.check(Schema.isGreaterThan(0))
}) {}

export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { product: Schema.String }) {}

export class TooManyOrders extends Schema.TaggedError<TooManyOrders>()("TooManyOrders", {
  customer: Schema.String,
  retryAfter: Schema.DurationFromMillis
}) {}

/** Redis could not be asked. The same order may be placed again. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { cause: Schema.Defect() }) {}

class Price extends Persistable.Class<{ payload: { product: string } }>()("Price", {
  primaryKey: ({ product }) => product,
  success: Schema.Finite
}) {}

/** Takes the stock of an order, once for each order: 1 if it has it, 0 if there is not enough. */
export const takeStock = Redis.script(
  (order: Order) => [`stock:${order.product}`, "orders", order.id, order.quantity],
  {
    numberOfKeys: 2,
    lua: `
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 1 then return 1 end
if tonumber(redis.call("GET", KEYS[1]) or "0") < tonumber(ARGV[2]) then return 0 end
redis.call("DECRBY", KEYS[1], ARGV[2])
redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
return 1
`
  }
).withReturnType<0 | 1>()

const lostReasons: ReadonlySet<string> = new Set(["ConnectFailed", "ConnectionLost", "CommandTimeout"])

/** Whether something failed for want of a connection, be it that it ran or not. */
const isLost = ({ cause }: Redis.RedisError): boolean =>
  cause instanceof HitlessError.HitlessError && (cause.isRetryable || lostReasons.has(cause.reason._tag))

const patiently = <A>(command: Effect.Effect<A, Redis.RedisError>) =>
  Effect.retry(command, {
    while: isLost,
    schedule: Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(Schedule.jittered)
  })

/**
 * Redis for what may run twice, as the scripts of the limiter, the queue and this service may: what was lost is sent
 * again until it is answered.
 */
const layerPatient = Layer.effect(
  Redis.Redis,
  Effect.map(Redis.Redis, (redis) =>
    Redis.Redis.of({
      ...redis,
      send: (command, ...args) => patiently(redis.send(command, ...args)),
      eval: (script) => flow(redis.eval(script), patiently)
    }))
)

export class OrderService extends Context.Service<OrderService, {
  /** Accepts an order and gives what it costs. */
  readonly place: (order: Order) => Effect.Effect<number, OutOfStock | TooManyOrders | Unavailable>
  readonly restock: (product: string, quantity: number) => Effect.Effect<void, Unavailable>
  /** What is left of a product, and the quantities that were shipped, by the ids of the orders. */
  readonly inventory: (
    product: string
  ) => Effect.Effect<{ readonly inStock: number; readonly shipped: Record<string, number> }, Unavailable>
}>()("examples/OrderService") {
  static readonly layer = Layer.effect(
    OrderService,
    Effect.gen(function*() {
      const redis = yield* HitlessRedis.HitlessRedis
      const limiter = yield* RateLimiter.RateLimiter
      const take = (yield* Redis.Redis).eval(takeStock)
      const shipments = yield* PersistedQueue.make({ name: "shipments", schema: Order })
      const prices = yield* PersistedCache.make((price: Price) => lookUp(price.product), {
        storeId: "prices",
        timeToLive: () => "1 hour",
        inMemoryTTL: () => "5 minutes"
      })

      const place = Effect.fn("OrderService.place")(
        function*(order: Order) {
          const { customer, id, product, quantity } = order
          yield* limiter.consume({ key: customer, limit: 10, window: "1 minute" })
          // A cache that cannot be asked is no reason to lose an order.
          const price = yield* Effect.catch(prices.get(new Price({ product })), () => lookUp(product))
          if ((yield* take(order)) === 0) return yield* new OutOfStock({ product })
          yield* shipments.offer(order, { id })
          return price * quantity
        },
        Effect.timeout("1 minute"),
        (effect, { customer }) =>
          Effect.mapError(effect, (error) => {
            if (error._tag === "OutOfStock") return error
            return error._tag === "RateLimiterError" && error.reason._tag === "RateLimitExceeded"
              ? new TooManyOrders({ customer, retryAfter: error.reason.retryAfter })
              : new Unavailable({ cause: error })
          })
      )

      const restock = Effect.fn("OrderService.restock")(
        function*(product: string, quantity: number) {
          yield* redis.send("INCRBY", `stock:${product}`, quantity)
        },
        // Twice is not once: it is sent again only where it surely did not run.
        Effect.retry({ while: ({ isRetryable }) => isRetryable, times: 3 }),
        Effect.mapError((cause) => new Unavailable({ cause }))
      )

      const inventory = Effect.fn("OrderService.inventory")(
        function*(product: string) {
          const replies = yield* redis.transaction([["GET", `stock:${product}`], ["HGETALL", `shipped:${product}`]])
          const [stock, shipped] = yield* Effect.fromResult(Result.all(replies))
          return {
            inStock: Number(stock),
            shipped: Object.fromEntries(
              Object.entries(shipped as Record<string, string>).map(([id, quantity]) => [id, Number(quantity)])
            )
          }
        },
        Effect.mapError((cause) => new Unavailable({ cause }))
      )

      // An order that is delivered twice is shipped once; one whose shipping fails is delivered again.
      yield* shipments.take(({ id, product, quantity }) => redis.send("HSETNX", `shipped:${product}`, id, quantity))
        .pipe(
          Effect.sandbox,
          Effect.ignore({ log: true }),
          Effect.forever,
          Effect.forkScoped
        )

      return { place, restock, inventory }
    })
  ).pipe(
    Layer.provide([
      RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreRedis())),
      // What this process offers it takes at once; it polls for what others offer.
      PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreRedis({ pollInterval: "10 seconds" })))
    ]),
    Layer.provide(layerPatient),
    Layer.provide(Persistence.layerRedis)
  )
}

/** Stands for a question to the catalogue, which takes its time. */
const lookUp = (product: string) => Effect.delay(Effect.succeed(product.length), "50 millis")
