/**
 * What is known about commands by name, from the tables of `@ioredis/commands`.
 */
import * as Commands from "@ioredis/commands"

const withFlag = (flag: string): ReadonlySet<string> =>
  new Set(Commands.list.filter((name) => Commands.hasFlag(name, flag)))

const readOnly = withFlag("readonly")
const blocking = withFlag("blocking")

/** Whether running it twice changes nothing. Unknown commands, and those with subcommands, count as writing. @internal */
export const isReadOnly = (command: string): boolean => readOnly.has(command.toLowerCase())

/** Whether it can wait on the server for something to happen. @internal */
export const isBlocking = (command: string): boolean => blocking.has(command.toLowerCase())
