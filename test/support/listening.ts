/**
 * What tests of subscriptions share: what a stream gives as words, and servers whose frames the test writes.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { HitlessError, PubSub } from "hitless"

/** Everything that a stream gives, as it comes, until the scope closes; a gap as its reason and count. */
export const heard = Effect.fnUntraced(function*(stream: Stream.Stream<PubSub.Message, HitlessError.HitlessError>) {
  const messages: Array<string> = []
  const running = yield* Stream.runForEach(stream, (message) =>
    Effect.sync(() => {
      messages.push(
        message._tag === "Gap"
          ? `${message.why} ${message.count}`
          : `${message.pattern ?? message.channel} ${message.message}`
      )
    })).pipe(Effect.exit, Effect.forkScoped({ startImmediately: true }))
  return { messages, running }
})

/** A push of words. */
export const frame = (...words: ReadonlyArray<string>) =>
  `>${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`

/** The answer to a command that subscribes or ends a subscription; `undefined` for any other. */
export const confirm = ([verb = "", name = ""]: ReadonlyArray<string>): string | undefined =>
  /^(?:UN)?S?SUBSCRIBE$|^SUNSUBSCRIBE$/.test(verb) ? frame(verb.toLowerCase(), name, "1") : undefined

/** Whether a command is about the message that both connections hear. */
export const isMarker = ([, channel]: ReadonlyArray<string>): boolean => channel?.startsWith("hitless-marker") === true

export const notPermitted = "-NOPERM no permissions to access a channel used as argument\r\n"
