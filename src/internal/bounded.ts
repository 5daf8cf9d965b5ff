/**
 * Memory that has a bound: of what is kept in the order in which it came, the oldest is forgotten.
 */

/** Forgets the oldest entries until there are no more than `most`. @internal */
export const keepNewest = <K>(entries: Map<K, unknown> | Set<K>, most: number): void => {
  for (const key of entries.keys()) {
    if (entries.size <= most) return
    entries.delete(key)
  }
}
