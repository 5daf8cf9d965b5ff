/**
 * Lua scripts and the functions that stand for them, for tests that run both.
 */
import type { SimulatedRedis } from "hitless/testing"

export const scripts = {
  set: {
    lua: "return redis.call('SET', KEYS[1], ARGV[1])",
    run: (redis, [key], [value]) => redis.call("SET", key, value)
  },
  get: { lua: "return redis.call('GET', KEYS[1])", run: (redis, [key]) => redis.call("GET", key) },
  push: {
    lua: "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LPUSH', KEYS[1], ARGV[2])",
    run: (redis, [key], [last, first]) => {
      redis.call("RPUSH", key, last)
      return redis.call("LPUSH", key, first)
    }
  },
  arguments: { lua: "return {KEYS, ARGV}", run: (_, keys, argv) => [keys, argv] },
  values: {
    lua: "return {1, 2.9, -2.9, 'text', true, false, {ok='FINE'}, {err='ODD one'}, {}, {{3}}, 1e30}",
    run: () => [1, 2.9, -2.9, "text", true, false, { ok: "FINE" }, { err: "ODD one" }, [], [[3]], 1e30]
  },
  cut: { lua: "return {1, false, 2, nil, 3}", run: () => [1, false, 2, null, 3] },
  nothing: { lua: "return", run: () => {} },
  no: { lua: "return false", run: () => false },
  yes: { lua: "return true", run: () => true },
  status: { lua: "return {ok='FINE'}", run: () => ({ ok: "FINE" }) },
  error: { lua: "return {err='ODD one'}", run: () => ({ err: "ODD one" }) },
  thrown: {
    lua: "error('boom', 0)",
    run: () => {
      throw new Error("boom")
    }
  },
  typeOf: {
    lua: "return {redis.call('HGETALL', KEYS[1]), redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), " +
      "redis.call('MGET', KEYS[3], 'none', KEYS[3]), redis.call('PING2' == 'x' and 'x' or 'TYPE', KEYS[1])}",
    run: (redis, [hash, zset, text]) => [
      redis.call("HGETALL", hash),
      redis.call("ZRANGE", zset, 0, -1, "WITHSCORES"),
      redis.call("MGET", text, "none", text),
      redis.call("TYPE", hash)
    ]
  },
  numbers: {
    lua: "redis.call('RPUSH', KEYS[1], 1, 1.5, -0.1, 1e16, 1e19, 1/3) " +
      "return redis.call('LRANGE', KEYS[1], 0, -1)",
    run: (redis, [key]) => {
      redis.call("RPUSH", key, 1, 1.5, -0.1, 1e16, 1e19, 1 / 3)
      return redis.call("LRANGE", key, 0, -1)
    }
  },
  wrongType: { lua: "return redis.call('LPUSH', KEYS[1], 'x')", run: (redis, [key]) => redis.call("LPUSH", key, "x") },
  half: {
    lua: "redis.call('SET', KEYS[1], 'half') redis.call('LPUSH', KEYS[1], 'x') redis.call('SET', KEYS[1], 'whole')",
    run: (redis, [key]) => {
      redis.call("SET", key, "half")
      redis.call("LPUSH", key, "x")
      redis.call("SET", key, "whole")
    }
  },
  caught: {
    lua: "local r = redis.pcall('LPUSH', KEYS[1], 'x') return {'caught', r.err}",
    run: (redis, [key]) => ["caught", (redis.pcall("LPUSH", key, "x") as { readonly err: string }).err]
  },
  caughtReply: {
    lua: "return redis.pcall('LPUSH', KEYS[1], 'x')",
    run: (redis, [key]) => redis.pcall("LPUSH", key, "x")
  },
  unknown: { lua: "return redis.call('NOPE')", run: (redis) => redis.call("NOPE") },
  arity: { lua: "return redis.call('GET')", run: (redis) => redis.call("GET") },
  forbidden: { lua: "return redis.call('SUBSCRIBE', 'x')", run: (redis) => redis.call("SUBSCRIBE", "x") },
  blocking: { lua: "return redis.call('BLPOP', KEYS[1], 0)", run: (redis, [key]) => redis.call("BLPOP", key, 0) },
  mayBlock: {
    lua: "return redis.call('BLMPOP', 0, 1, KEYS[1], 'LEFT')",
    run: (redis, [key]) => redis.call("BLMPOP", 0, 1, key, "LEFT")
  },
  publish: {
    lua: "return redis.call('PUBLISH', KEYS[1], ARGV[1])",
    run: (redis, [channel], [text]) => redis.call("PUBLISH", channel, text)
  }
} satisfies Readonly<Record<string, SimulatedRedis.Script>>
