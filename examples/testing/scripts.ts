/**
 * What the service's Lua does, for the simulated server, which runs none.
 */
import type { SimulatedRedis } from "hitless/testing"
import { takeStock } from "./OrderService.ts"

export const scripts: ReadonlyArray<SimulatedRedis.Script> = [{
  lua: takeStock.lua,
  run: (redis, [stock, orders], [id, quantity]) => {
    if (redis.call("HEXISTS", orders, id) === 1) return 1
    if (Number(redis.call("GET", stock)) < Number(quantity)) return 0
    redis.call("DECRBY", stock, quantity)
    redis.call("HSET", orders, id, quantity)
    return 1
  }
}]
