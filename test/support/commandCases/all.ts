/**
 * All cases.
 */
import type { Cases } from "./case.ts"
import { hashes, lists, sets, sortedSets } from "./collections.ts"
import { geo, pubSub, scripting, streams, vectorSets } from "./others.ts"
import { clients, clusters, server } from "./servers.ts"
import { bitmaps, hyperLogLog, keys, strings } from "./strings.ts"

export const cases: Cases = {
  ...bitmaps,
  ...clients,
  ...clusters,
  ...geo,
  ...hashes,
  ...hyperLogLog,
  ...keys,
  ...lists,
  ...pubSub,
  ...scripting,
  ...server,
  ...sets,
  ...sortedSets,
  ...streams,
  ...strings,
  ...vectorSets
}
