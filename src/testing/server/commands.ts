/**
 * Every data command of the simulated server by its name, with the replies and the error texts of Redis.
 */
import { array, bulk, type Caller, type Command, emptyArray, error, integer } from "./command.ts"
import { blocking } from "./commands/blocking.ts"
import { consumerGroups } from "./commands/consumerGroups.ts"
import { hashes } from "./commands/hashes.ts"
import { keys } from "./commands/keys.ts"
import { lists } from "./commands/lists.ts"
import { scans } from "./commands/scan.ts"
import { sets } from "./commands/sets.ts"
import { sortedSetAlgebra } from "./commands/sortedSetAlgebra.ts"
import { sortedSetRanges } from "./commands/sortedSetRanges.ts"
import { sortedSets } from "./commands/sortedSets.ts"
import { streams } from "./commands/streams.ts"
import { strings } from "./commands/strings.ts"
import { ReplyValue } from "./replies.ts"

const time = (caller: Caller): ReplyValue => {
  const now = caller.keyspace.now()
  return array([bulk(String(Math.floor(now / 1000))), bulk(String(Math.floor(now % 1000) * 1000))])
}

const commandInfo = (_caller: Caller, [subcommand]: ReadonlyArray<string>): ReplyValue => {
  switch (subcommand?.toUpperCase()) {
    case undefined:
      return emptyArray
    case "COUNT":
      return integer(dataCommands.size)
    // redis-cli asks for it when it starts, and is content with nothing.
    case "DOCS":
      return ReplyValue.Map({ entries: [] })
    default:
      return error(`ERR unknown subcommand '${subcommand}'. Try COMMAND HELP.`)
  }
}

const server: Record<string, Command<Caller>> = {
  ECHO: { arity: 2, run: (_, [text]) => bulk(text) },
  TIME: { arity: 1, run: time },
  COMMAND: { arity: -1, run: commandInfo }
}

/** Every data command by its name in capitals. */
export const dataCommands: ReadonlyMap<string, Command<Caller>> = new Map(
  Object.entries({
    ...strings,
    ...keys,
    ...hashes,
    ...lists,
    ...sets,
    ...sortedSets,
    ...blocking,
    ...sortedSetRanges,
    ...sortedSetAlgebra,
    ...scans,
    ...streams,
    ...consumerGroups,
    ...server
  })
)
