/**
 * Commands of HyperLogLogs: how many different elements there were, within 0.81 %.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import { allKeys, type Command, many, type OneOrMore, read, write } from "./command.ts"
import { bit, integer, ok } from "./decode.ts"

/**
 * Adds elements; 1 where that changed what `pfCount` gives. Without elements it makes the key.
 *
 * @category hyperLogLog
 * @since 0.1.0
 */
export const pfAdd = (key: Arg, elements: OneOrMore<Arg> = []): Command<0 | 1> =>
  write(["PFADD", key, ...many(elements)], bit)

/**
 * About how many different elements there are, in all of the keys together. O(n) for several.
 *
 * @category hyperLogLog
 * @since 0.1.0
 */
export const pfCount = (keys: OneOrMore<Arg>): Command<number> => read(["PFCOUNT", ...many(keys)], integer, allKeys)

/**
 * Puts the elements of several keys together in one.
 *
 * @category hyperLogLog
 * @since 0.1.0
 */
export const pfMerge = (destination: Arg, sources: OneOrMore<Arg> = []): Command<"OK"> =>
  write(["PFMERGE", destination, ...many(sources)], ok, allKeys)
