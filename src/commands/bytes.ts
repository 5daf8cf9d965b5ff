/**
 * Replies as bytes.
 *
 * @since 0.1.0
 */
import type { Command } from "./command.ts"

/**
 * A reply whose text is bytes: what is `string` becomes `Uint8Array`. What is known to be text stays it: names of fields in
 * a record, words such as `"OK"`, cursors and ids of streams.
 *
 * @category models
 * @since 0.1.0
 */
export type Bytes<A> = unknown extends A ? A
  : A extends string ? (string extends A ? Uint8Array : A)
  : A extends number | bigint | boolean | null | undefined | Uint8Array ? A
  : { [K in keyof A]: Bytes<A[K]> }

/**
 * The same command with its values as `Uint8Array`: `bytes(get("k"))`, for what is no text.
 *
 * @category combinators
 * @since 0.1.0
 */
export const bytes = <A>(command: Command<A>): Command<Bytes<A>> =>
  command.with(command.decode as Command<Bytes<A>>["decode"], true)
