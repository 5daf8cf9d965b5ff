/**
 * The failures of `effect/persistence/Redis`: Effect's `RedisError` has a cause and no message of its own.
 */
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Redis from "effect/persistence/Redis"
import type { HitlessError } from "../HitlessError.ts"
import { encoded, inspected, type Inspecting, recordNoTraces, recordTraces } from "./printing.ts"

class RedisFailure extends Redis.RedisError {
  override get message(): string {
    return this.cause instanceof Error ? this.cause.message : ""
  }
  override toJSON(): object {
    return encoded(this, { cause: this.cause })
  }
  override [NodeInspectSymbol](...inspecting: Inspecting): unknown {
    return inspected(this, { cause: this.cause }, inspecting)
  }
}

/** @internal */
export const toRedisError = (cause: HitlessError): Redis.RedisError => {
  const limit = recordNoTraces()
  try {
    return new RedisFailure({ cause })
  } finally {
    recordTraces(limit)
  }
}
