/**
 * What the `hitless` command answers a wrong command line with: one line that says what is wrong, what was probably meant,
 * and where help is. Everything else is presented as Effect's commands do.
 *
 * @since 0.1.0
 */
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** What was typed can have anything in it. */
const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, "; ").replace(/\p{Cc}/gu, "?")

const alternatives = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : ` (did you mean ${names.join(" or ")}?)`

const described = (error: CliError.NonShowHelpErrors, commands: ReadonlyArray<string>): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `there is no flag ${error.option}${alternatives(error.suggestions)}`
    case "UnknownSubcommand":
      return `there is no command ${error.subcommand}` +
        (error.suggestions.length > 0 ? alternatives(error.suggestions) : `; there are ${commands.join(", ")}`)
    default:
      return error.message
  }
}

const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const command = event.commandPath.join(" ")
    const commands = (event.helpDoc.subcommands ?? []).flatMap((group) => group.commands.map(({ name }) => name))
    const wrong = event.errors.map((error) => described(error, commands)).join("; ")
    return Console.error(oneLine(`${command}: ${wrong}; see ${command} --help`))
  }
}

const formatter = Effect.map(TerminalCapabilities.TerminalCapabilities, ({ canColor }): CliOutput.Formatter => ({
  ...CliOutput.defaultFormatter({ colors: canColor }),
  formatError: ({ message }) => `hitless: ${oneLine(message)}`
}))

/**
 * How the command speaks.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.merge(
  CliOutput.layerPresenter(presenter),
  Layer.effect(CliOutput.Formatter, formatter)
)
