/**
 * The scripts of Effect 4.1.0's own modules on Redis, as functions with the same effect: `PersistedQueue`,
 * `RateLimiter`, `Persistence` and `CircuitBreaker`.
 *
 * Effect does not export the texts, so each function stands under the SHA-1 of its text. A release of Effect that
 * changes a text changes its name too, and the test of this file then says which one is missing.
 */
import type { Script, ScriptRedis, ScriptReply } from "./script.ts"
import { formatDigits, fromBytes, parseDouble, toBytes } from "./text.ts"

// ----- Lua's ways -----

/** `tonumber`: what is no number is `undefined`. */
const toNumber = (value: ScriptReply | undefined): number | undefined => {
  if (typeof value === "number") return value
  return typeof value === "string" ? parseDouble(value.trim()) : undefined
}

/** A number that must be one: arithmetic on `nil` is an error in Lua. */
const number = (value: ScriptReply | undefined): number => {
  const found = toNumber(value)
  if (found === undefined) throw new TypeError("attempt to perform arithmetic on a nil value")
  return found
}

/** The number in a field, 0 when there is no field. */
const fieldNumber = (redis: ScriptRedis, key: string, field: string): number => {
  const value = redis.call<string | false>("HGET", key, field)
  return value === false ? 0 : number(value)
}

// ----- PersistedQueue -----

/** Adds an element once for each id; it is kept out of reach of the trimming of ids until it completes. */
const isNewId = (redis: ScriptRedis, ids: string, id: string): boolean =>
  redis.call("ZADD", ids, "NX", "+inf", id) === 1

const offer: Script["run"] = (redis, [queue, ids], [id, payload]) => {
  if (isNewId(redis, ids, id)) redis.call("RPUSH", queue, payload)
}

const offerDelayed: Script["run"] = (redis, [delayed, ids], [id, payload, visibleAt]) => {
  if (isNewId(redis, ids, id)) redis.call("ZADD", delayed, visibleAt, payload)
}

/** Gives the elements back whose lock has expired, or files them as failed after their last attempt. */
const resetQueue: Script["run"] = (redis, [queue, pending, attemptsKey, failed, ids, owners], [max, now]) => {
  const entries = redis.call<ReadonlyArray<string>>("HGETALL", pending)
  for (let i = 0; i < entries.length; i += 2) {
    const [id, payload] = [entries[i], entries[i + 1]]
    const lock = redis.call<string | false>("HGET", owners, id)
    if (lock !== false && redis.call("EXISTS", lock) === 1) continue
    const attempts = fieldNumber(redis, attemptsKey, id)
    if (attempts >= number(max)) {
      const record = `${payload.slice(0, -1)},"attempts":${attempts},` +
        `"lastFailure":"Lock expired after final attempt","failedAt":${now}}`
      redis.call("RPUSH", failed, record)
      redis.call("HDEL", attemptsKey, id)
      redis.call("ZADD", ids, "XX", "+inf", id)
    } else {
      redis.call("RPUSH", queue, payload)
    }
    redis.call("HDEL", owners, id)
    redis.call("HDEL", pending, id)
  }
}

/** Gives up a claim; says whether it was still held. */
const release = (redis: ScriptRedis, owners: string, lock: string, pending: string, id: string): boolean => {
  if (redis.call("HGET", owners, id) !== lock) return false
  redis.call("HDEL", owners, id)
  redis.call("DEL", lock)
  redis.call("HDEL", pending, id)
  return true
}

const requeue: Script["run"] = (redis, [queue, pending, lock, attempts, owners], [id, payload]) => {
  if (!release(redis, owners, lock, pending, id)) return 0
  if (redis.call<number>("HINCRBY", attempts, id, -1) <= 0) redis.call("HDEL", attempts, id)
  redis.call("RPUSH", queue, payload)
  return null
}

const complete: Script["run"] = (redis, [pending, lock, attempts, ids, owners], [id, now]) => {
  if (!release(redis, owners, lock, pending, id)) return 0
  redis.call("HDEL", attempts, id)
  redis.call("ZADD", ids, "XX", now, id)
  return null
}

const retry: Script["run"] = (redis, [pending, lock, delayed, owners], [id, payload, visibleAt]) => {
  if (!release(redis, owners, lock, pending, id)) return 0
  redis.call("ZADD", delayed, visibleAt, payload)
  return null
}

const fail: Script["run"] = (redis, [pending, lock, failed, attempts, ids, owners], [id, payload]) => {
  if (!release(redis, owners, lock, pending, id)) return 0
  redis.call("HDEL", attempts, id)
  redis.call("RPUSH", failed, payload)
  redis.call("ZADD", ids, "XX", "+inf", id)
  return null
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The id that every record begins with: `{"id":"…"`. It alone is decoded, as the script does. */
const recordId = (payload: string): string => {
  const found = /^\{"id":("(?:\\[^]|[^"\\])*")/.exec(payload)
  if (found === null) throw new SyntaxError("Invalid queue record id")
  return fromBytes(encoder.encode(JSON.parse(decoder.decode(toBytes(found[1])))))
}

const take: Script["run"] = (redis, [queue, pending, delayed, attempts, owners], [lockPrefix, size, pttl, now]) => {
  // A hundred that are due, as the script moves at once.
  const due = redis.call<ReadonlyArray<string>>("ZRANGEBYSCORE", delayed, "-inf", now, "LIMIT", 0, 100)
  for (const payload of due) redis.call("RPUSH", queue, payload)
  if (due.length > 0) redis.call("ZREM", delayed, ...due)
  const payloads = redis.call<ReadonlyArray<string>>("LRANGE", queue, 0, number(size) - 1)
  if (payloads.length === 0) return null
  // A record that cannot be read is found before any is removed.
  const ids = payloads.map(recordId)
  redis.call("LTRIM", queue, payloads.length, -1)
  return ids.flatMap((id, i) => {
    const lock = `${lockPrefix}${i + 1}`
    redis.call("SET", lock, 1, "PX", pttl)
    redis.call("HSET", owners, id, lock)
    redis.call("HSET", pending, id, payloads[i])
    return [payloads[i], redis.call<number>("HINCRBY", attempts, id, 1), lock]
  })
}

/** Renews locks, also lapsed ones, as long as nobody else has the claim. `keys`: lock, owners, lock, owners, … */
const expireAll: Script["run"] = (redis, keys, [ttl, ...ids]) => {
  ids.forEach((id, i) => {
    const [lock, owners] = [keys[2 * i], keys[2 * i + 1]]
    if (redis.call("HGET", owners, id) === lock) redis.call("SET", lock, 1, "PX", ttl)
  })
}

// As many as the script removes in one call.
const trimBatch = 1000

const trimFailed: Script["run"] = (redis, [failed, ids], [cutoff]) => {
  for (let removed = 0; removed < trimBatch; removed++) {
    const head = redis.call<string | false>("LINDEX", failed, 0)
    if (head === false) return removed
    const id = readableId(head)
    if (id !== undefined) {
      const failedAt = toNumber(/,"failedAt":([^,}]+)\}$/.exec(head)?.[1])
      if (failedAt !== undefined && failedAt >= number(cutoff)) return removed
      redis.call("ZREM", ids, id)
    }
    redis.call("LPOP", failed)
  }
  return trimBatch
}

const readableId = (payload: string): string | undefined => {
  try {
    return recordId(payload)
  } catch {
    return undefined
  }
}

// ----- RateLimiter -----

const fixedWindow: Script["run"] = (redis, [key], argv) => {
  const [tokens, refillMillis] = argv.map(toNumber) as [number, number]
  const limit = toNumber(argv[2])
  const current = toNumber(redis.call<string | false>("GET", key))
  if (current === undefined) {
    const ttl = Math.max(1, Math.ceil(refillMillis * tokens))
    redis.call("SET", key, tokens, "PX", ttl)
    return [formatDigits(tokens), ttl]
  }
  const left = redis.call<number>("PTTL", key)
  const next = current + tokens
  if (limit !== undefined && next > limit) return [formatDigits(next), left]
  const ttl = Math.max(1, Math.ceil(left + refillMillis * tokens))
  redis.call("SET", key, next, "PX", ttl)
  return [formatDigits(next), ttl]
}

const tokenBucket: Script["run"] = (redis, [key, lastRefillKey], argv) => {
  const [tokens, refillMillis, limit, now] = argv.map(toNumber) as [number, number, number, number]
  const canOverflow = argv[4] === "1"
  let current = toNumber(redis.call<string | false>("GET", key)) ?? limit
  let lastRefill = toNumber(redis.call<string | false>("GET", lastRefillKey)) ?? now
  const refill = Math.floor((now - lastRefill) / refillMillis)
  if (refill > 0) {
    current = Math.min(current + refill, limit)
    lastRefill += refill * refillMillis
  }
  if (current >= limit) lastRefill = now
  const next = current - tokens
  const stored = next >= 0 || canOverflow ? next : current
  const elapsed = Math.max(0, now - lastRefill)
  const ttl = Math.max(1, Math.ceil(Math.ceil(limit - stored) * refillMillis - elapsed))
  redis.call("SET", key, stored, "PX", ttl)
  redis.call("SET", lastRefillKey, lastRefill, "PX", ttl)
  return [formatDigits(next), formatDigits(elapsed)]
}

/** Writes fields of a limit that learns, from an object. */
const setFields = (redis: ScriptRedis, key: string, fields: Readonly<Record<string, string | number>>): void => {
  redis.call("HSET", key, ...Object.entries(fields).flat())
}

const pexpire = (redis: ScriptRedis, key: string, millis: number): void => {
  redis.call("PEXPIRE", key, Math.max(1, Math.ceil(millis)))
}

/** What a limit that learns has learned, while it has learned nothing. */
const nothingLearned = { learningStartedAt: 0, observedTokens: 0, learnedLimit: 0, learnedWindowMillis: 0 }

const wholeNow = (redis: ScriptRedis): number => Math.floor(redis.now)

const adaptiveConsume: Script["run"] = (redis, [key], argv) => {
  const [tokens, fallbackWindow, ttlGrace] = argv.map(toNumber) as [number, number, number]
  const now = wholeNow(redis)
  const phase = redis.call<string | false>("HGET", key, "phase")
  if (phase === false) return [0, 0, "inactive"]
  const epoch = fieldNumber(redis, key, "epoch")
  if (phase === "cooldown") {
    const cooldownUntil = fieldNumber(redis, key, "cooldownUntil")
    if (cooldownUntil > now) return [Math.ceil(cooldownUntil - now), epoch, "cooldown"]
    setFields(redis, key, {
      ...nothingLearned,
      phase: "learning",
      epoch: epoch + 1,
      cooldownUntil: 0,
      learningStartedAt: now,
      observedTokens: tokens
    })
    pexpire(redis, key, fallbackWindow + ttlGrace)
    return [0, epoch + 1, "learning"]
  }
  if (phase === "learning") {
    redis.call("HSET", key, "observedTokens", fieldNumber(redis, key, "observedTokens") + tokens)
    return [0, epoch, "learning"]
  }
  if (phase !== "learned") return [0, epoch, phase]
  const learnedLimit = fieldNumber(redis, key, "learnedLimit")
  const learnedWindow = fieldNumber(redis, key, "learnedWindowMillis")
  const refillRate = learnedWindow / learnedLimit
  let cooldownUntil = fieldNumber(redis, key, "cooldownUntil")
  let observedTokens = fieldNumber(redis, key, "observedTokens")
  if (cooldownUntil <= now) {
    observedTokens = 0
    cooldownUntil = now
  }
  observedTokens += tokens
  cooldownUntil += refillRate * tokens
  const elapsed = observedTokens * refillRate - (cooldownUntil - now)
  const window = Math.floor((observedTokens - 1) / learnedLimit)
  const remaining = window * learnedWindow - elapsed
  redis.call("HSET", key, "observedTokens", observedTokens, "cooldownUntil", cooldownUntil)
  return [remaining <= 0 ? 0 : Math.ceil(remaining), epoch, "learned"]
}

const adaptiveFeedback: Script["run"] = (redis, [key], argv) => {
  const [feedbackEpoch, tokens, given, ttlGrace, maxWindow] = argv.map(toNumber) as [
    number,
    number,
    number,
    number,
    number
  ]
  const retryAfter = Math.min(given <= 0 ? 1 : given, maxWindow)
  const now = wholeNow(redis)
  const cooldownUntil = now + retryAfter
  const coolDown = (epoch: Readonly<Record<string, number>>): number => {
    setFields(redis, key, { ...nothingLearned, ...epoch, phase: "cooldown", cooldownUntil })
    pexpire(redis, key, retryAfter + ttlGrace)
    return 1
  }
  const phase = redis.call<string | false>("HGET", key, "phase")
  if (phase === false) return feedbackEpoch === 0 ? coolDown({ epoch: 0 }) : 0
  const epoch = fieldNumber(redis, key, "epoch")
  if (epoch !== feedbackEpoch) return 0
  switch (phase) {
    case "cooldown": {
      const until = Math.max(fieldNumber(redis, key, "cooldownUntil"), cooldownUntil)
      redis.call("HSET", key, "cooldownUntil", until)
      pexpire(redis, key, until - now + ttlGrace)
      return 1
    }
    case "learning": {
      const accepted = fieldNumber(redis, key, "observedTokens") - tokens
      if (accepted <= 0) return coolDown({})
      const startedAt = toNumber(redis.call<string | false>("HGET", key, "learningStartedAt")) ?? now
      const window = Math.min(Math.max(now - startedAt + retryAfter, 1), maxWindow)
      setFields(redis, key, {
        phase: "learned",
        epoch: epoch + 1,
        cooldownUntil: startedAt + window,
        observedTokens: accepted,
        learnedLimit: accepted,
        learnedWindowMillis: window
      })
      pexpire(redis, key, window + ttlGrace)
      return 1
    }
    case "learned":
      return coolDown({})
    default:
      return 0
  }
}

// ----- Persistence -----

/** `keys`: those to set, then those of them that expire; `argv`: how many of each, the values, the times to live. */
const setMany: Script["run"] = (redis, keys, [sets, , ...values]) => {
  const split = number(sets)
  keys.slice(0, split).forEach((key, i) => redis.call("SET", key, values[i]))
  keys.slice(split).forEach((key, i) => redis.call("PEXPIRE", key, number(values[split + i])))
}

// ----- CircuitBreaker -----

// 2^50, beyond which the scripts refuse a duration.
const maxDuration = 2 ** 50

const bounded = (text: string | undefined, min: number): number | undefined => {
  const value = toNumber(text)
  return value === undefined || value < min || value > maxDuration ? undefined : value
}

const invalid = (operation: string) => ({ err: `CircuitBreaker ${operation}: invalid arguments` })

/** Larger than the present one and than every one that was given out before, by the microseconds of the clock. */
const nextGeneration = (redis: ScriptRedis, current: string | false): string => {
  const [seconds, micros] = redis.call<ReadonlyArray<string>>("TIME")
  return Math.max((toNumber(current) ?? 0) + 1, number(seconds) * 1_000_000 + number(micros)).toFixed(0)
}

const expireIn = (redis: ScriptRedis, key: string, millis: number): void => {
  redis.call("PEXPIRE", key, millis.toFixed(0))
}

type Fields = ReadonlyArray<string | false>

const admit: Script["run"] = (redis, [key], argv) => {
  const lease = bounded(argv[0], 1)
  const idle = bounded(argv[1], 1)
  if (lease === undefined || idle === undefined) return invalid("admit")
  const now = wholeNow(redis)
  const wanted = ["state", "generation", "openUntil", "openings", "leaseUntil", "resetAt"]
  const [state, generation, openUntil, openings, leaseUntil, resetAt] = redis.call<Fields>("HMGET", key, ...wanted)
  if (state === false) {
    const first = nextGeneration(redis, "0")
    setFields(redis, key, { state: "Closed", generation: first })
    expireIn(redis, key, idle)
    return ["ok", first, 0, 0, 0]
  }
  let openedBefore = toNumber(openings) ?? 0
  if (state === "Closed") {
    if (openedBefore > 0 && now >= (toNumber(resetAt) ?? 0)) {
      openedBefore = 0
      redis.call("HSET", key, "openings", 0)
    }
    expireIn(redis, key, idle)
    return ["ok", generation, 0, openedBefore, 0]
  }
  if (state === "Open") {
    const until = toNumber(openUntil) ?? 0
    if (now < until) return ["open", until - now]
  } else if ((toNumber(leaseUntil) ?? 0) > now) {
    return ["halfopen"]
  }
  const next = nextGeneration(redis, generation)
  setFields(redis, key, { state: "HalfOpen", generation: next, leaseUntil: (now + lease).toFixed(0) })
  expireIn(redis, key, lease + idle)
  return ["ok", next, 1, openedBefore, state === "Open" ? 1 : 0]
}

interface Policy {
  /** Whether the circuit trips after this outcome, by the outcomes since it closed. */
  readonly trips: (streak: number, failures: number, calls: number) => boolean
  /** How many outcomes are remembered; none where only the streak counts. */
  readonly size: number
}

const policyOf = ([kind, first, minimumCalls, size]: ReadonlyArray<string>): Policy | undefined => {
  if (kind === "Consecutive") {
    const needed = bounded(first, 1)
    return needed === undefined ? undefined : { trips: (streak) => streak >= needed, size: 0 }
  }
  const threshold = bounded(first, 0)
  const minimum = bounded(minimumCalls, 1)
  const room = bounded(size, 1)
  if (kind !== "Rate" || threshold === undefined || minimum === undefined || room === undefined) return undefined
  if (threshold > 1 || minimum > room) return undefined
  return {
    trips: (_, failures, calls) => calls >= minimum && failures > 0 && failures / calls >= threshold,
    size: room
  }
}

const record: Script["run"] = (redis, [key], [expected, outcome, ...rest]) => {
  const policy = policyOf(rest)
  const openFor = bounded(rest[4], 0)
  const idle = bounded(rest[5], 1)
  const isOutcome = outcome === "Success" || outcome === "Failure" || outcome === "Ignored"
  if (policy === undefined || openFor === undefined || idle === undefined || !isOutcome) return invalid("record")
  const now = wholeNow(redis)
  const wanted = ["state", "generation", "streak", "ring", "failures", "openings", "lastOpenFor"]
  const [state, generation, ...counters] = redis.call<Fields>("HMGET", key, ...wanted)
  const [streakField, ringField, failuresField, openingsField, lastOpenFor] = counters
  if (state === false || generation !== expected) return ["none", 0]
  const openings = toNumber(openingsField) ?? 0
  const forgotten = { streak: 0, ring: "", failures: 0, leaseUntil: 0 }
  const open = (transition: string) => {
    setFields(redis, key, {
      ...forgotten,
      state: "Open",
      generation: nextGeneration(redis, generation),
      openUntil: (now + openFor).toFixed(0),
      openings: openings + 1,
      lastOpenFor: openFor.toFixed(0)
    })
    expireIn(redis, key, openFor + idle)
    return [transition, openings + 1]
  }
  const stay = () => {
    expireIn(redis, key, idle)
    return ["none", openings]
  }
  if (state === "HalfOpen") {
    if (outcome === "Failure") return open("halfopen-open")
    const next = nextGeneration(redis, generation)
    if (outcome === "Ignored") {
      setFields(redis, key, { generation: next, leaseUntil: 0 })
      return stay()
    }
    const resetAt = (now + (toNumber(lastOpenFor) ?? 0)).toFixed(0)
    setFields(redis, key, { ...forgotten, state: "Closed", generation: next, resetAt })
    expireIn(redis, key, idle)
    return ["halfopen-closed", openings]
  }
  if (state !== "Closed") return ["none", openings]
  if (outcome === "Ignored") return stay()
  const failed = outcome === "Failure"
  const streak = failed ? (toNumber(streakField) ?? 0) + 1 : 0
  let ring = ringField === false ? "" : ringField
  let failures = toNumber(failuresField) ?? 0
  if (policy.size > 0) {
    ring += failed ? "1" : "0"
    failures += failed ? 1 : 0
    const dropped = ring.slice(0, Math.max(0, ring.length - policy.size))
    failures -= dropped.replaceAll("0", "").length
    ring = ring.slice(dropped.length)
  }
  if (policy.trips(streak, failures, ring.length)) return open("closed-open")
  setFields(redis, key, { streak, ring, failures })
  return stay()
}

const readState: Script["run"] = (redis, [key]) => {
  const now = wholeNow(redis)
  const wanted = ["state", "openUntil", "openings", "leaseUntil"]
  const [state, openUntil, openings, leaseUntil] = redis.call<Fields>("HMGET", key, ...wanted)
  if (state === false) return ["Closed", 0, 0, 0]
  const probing = (toNumber(leaseUntil) ?? 0) > now ? 1 : 0
  return [state, Math.max(0, (toNumber(openUntil) ?? 0) - now), toNumber(openings) ?? 0, probing]
}

const renew: Script["run"] = (redis, [key], [expected, leaseMillis, idleMillis]) => {
  const lease = bounded(leaseMillis, 1)
  const idle = bounded(idleMillis, 1)
  if (lease === undefined || idle === undefined) return invalid("renew")
  const [state, generation] = redis.call<Fields>("HMGET", key, "state", "generation")
  if (state !== "HalfOpen" || generation !== expected) return 0
  redis.call("HSET", key, "leaseUntil", (wholeNow(redis) + lease).toFixed(0))
  expireIn(redis, key, lease + idle)
  return 1
}

/** All of them, by the SHA-1 of their text in Effect 4.1.0. */
export const effectScripts: ReadonlyArray<Script> = [
  { sha1: "ef283dc87ba95044fcfc85755d18473d34d361b0", run: offer },
  { sha1: "54d396b42f49e2a49fb8fbe28b4be84100fcc496", run: offerDelayed },
  { sha1: "35be2bf2136ab54846fa5de6c9e47a2dc83c1c59", run: resetQueue },
  { sha1: "e171b1062627ef8812bdb28755147e79d647f1dc", run: requeue },
  { sha1: "f85c8070ffeff2b0b0d201a8611dd138c332002a", run: complete },
  { sha1: "8fe3d2edb052cca3c11ce125c0ee3104177962c2", run: retry },
  { sha1: "a4ebe183b2449072c0d11c5bbcaed51840f6138f", run: fail },
  { sha1: "b7ac239e1bb6712c6aea94ca0b025fc3a5d1964e", run: take },
  { sha1: "11e106d29a3cf6f0752466b481a3585edfe666a8", run: expireAll },
  { sha1: "68012219bc9d67ea1eaad77b27e3458c2d272daf", run: trimFailed },
  { sha1: "d14ba1655ff5d9e32d330e17813cce09006efddf", run: fixedWindow },
  { sha1: "03031b54df92ef8e39a74347175629efda08efef", run: tokenBucket },
  { sha1: "6a57c585f2987d096e9c07cf49a7039600af0e83", run: adaptiveConsume },
  { sha1: "bf297d59476cc295bc228364af0d62c075a1d3ec", run: adaptiveFeedback },
  { sha1: "8e99b9746e46fdf5e0dde5349a316f886cda35ed", run: setMany },
  { sha1: "e93d3d281c3e7a8624b1c9a239fd00101cccc11f", run: admit },
  { sha1: "60fd55eb1ec538c0831b053992fb5b232b7fa532", run: record },
  { sha1: "4d613a000bb3e861e9a765d7944555036589d177", run: readState },
  { sha1: "9a83432a11654eeb346f4092e929185118249230", run: renew }
]
