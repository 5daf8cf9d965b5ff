/**
 * The modules for Node, as namespaces.
 *
 * @since 0.1.0
 */
export * as NodeHitlessRedis from "./NodeHitlessRedis.ts"
export * as NodeTransport from "./NodeTransport.ts"
