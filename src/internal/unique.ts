/**
 * Words that nobody else uses.
 */
import type * as Random from "effect/Random"

/** 13 hexadecimal digits, of 52 random bits. @internal */
export const uniqueWord = (random: Random.Random): string =>
  Math.floor(random.nextDoubleUnsafe() * 2 ** 52).toString(16).padStart(13, "0")
