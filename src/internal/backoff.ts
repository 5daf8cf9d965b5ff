/** The wait before another try. */

/** After so many failures in a row, in milliseconds: none, then 50 ms doubling to `atMost`. @internal */
export const backoff = (failures: number, atMost: number): number =>
  failures === 0 ? 0 : Math.min(50 * 2 ** (failures - 1), atMost)
