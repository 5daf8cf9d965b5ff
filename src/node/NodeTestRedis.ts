/**
 * Rehearsals on Node's TCP, in real time.
 *
 * Not part of the `hitless/node` barrel, so that a program which does not test loads nothing of the test kit.
 *
 * @since 0.1.0
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Layer from "effect/Layer"
import type * as SocketServer from "effect/socket/SocketServer"
import type { ConfigError } from "../Config.ts"
import type { HitlessError } from "../HitlessError.ts"
import * as TestRedis from "../testing/TestRedis.ts"
import * as NodeTransport from "./NodeTransport.ts"

/**
 * `TestRedis.layerLive` on loopback ports that are free.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLive = (
  options?: Omit<TestRedis.LiveOptions, "listen">
): Layer.Layer<TestRedis.Provided, HitlessError | ConfigError | SocketServer.SocketServerError> =>
  Layer.provide(
    TestRedis.layerLive({
      ...options,
      listen: (port) => NodeSocketServer.make({ host: "127.0.0.1", port, noDelay: true })
    }),
    NodeTransport.layer
  )
