/**
 * How this library names itself: to servers with `CLIENT SETINFO`, and in the `hitless` command.
 *
 * `npm version` writes the version, from `package.json`, which is its one place.
 */

/** @internal */
export const library = { name: "hitless", version: "0.1.0" } as const
