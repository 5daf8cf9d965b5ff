/**
 * From what a peer did or said while a connection was being made to what that probably means, and which option to change:
 * sentences for people.
 *
 * Nothing here decides whether an attempt failed, or as what.
 */
import type { ErrorReply } from "../Resp.ts"
import { sentinelHint, textOf } from "./replies.ts"
import type { Scrub } from "./secrets.ts"

/** How far the making of a connection has come. @internal */
export type Stage = "dial" | "tls" | "credentials" | "handshake" | "answered"

/** What it can mean that an attempt did not end in time. @internal */
export const tooLong = (stage: Stage, tls: boolean): string => {
  switch (stage) {
    case "dial":
      return "there is no connection yet: the host does not answer, or a firewall drops what is sent to it"
    case "tls":
      return "the peer accepted the connection and does not answer the TLS handshake: is that a port with TLS? " +
        "Redis without it waits in silence, and wants redis:// or no option tls"
    case "credentials":
      return "the credentials effect has not come to its end"
    case "handshake":
      return tls
        ? "the peer agreed on TLS and then said nothing: is that Redis?"
        : "the peer accepted the connection and said nothing: is that Redis? If it is, it does not get to work"
    case "answered":
      return "the server began to answer and did not come to the end of the handshake"
  }
}

/** What it can mean that the peer closed the connection before it said anything. @internal */
export const hungUp = (stage: Stage, tls: boolean): string => {
  // A peer can be so quick that the dial never was over.
  if (tls && stage !== "handshake") {
    return "in the middle of the TLS handshake: is that a port with TLS? Where it has none take redis:// or no option tls"
  }
  return tls
    ? "without a word, after it agreed on TLS: is that Redis?"
    : "without a word: is that Redis? A port with TLS does so, and wants rediss:// or the option tls"
}

// ----- first bytes -----

/** How many of a peer's first bytes are searched for secrets. @internal */
export const mostRead = 1024

/** How many characters of them are shown. */
const mostShown = 64

const escapes: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  "\"": "\\\"",
  "\\": "\\\\"
}

/** Text of a peer's as it can stand in a message: one line of ASCII, spelled as Redis itself quotes. @internal */
export const printable = (text: string): string =>
  text.replace(
    /[^ -~]|["\\]/g,
    (char) => escapes[char] ?? (char <= "\xff" ? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}` : "?")
  )

/** @internal */
export const bounded = (text: string, most: number): string => text.length > most ? `${text.slice(0, most)}…` : text

/** What other protocols begin with, as far as their servers speak first or answer Redis' own commands. */
const protocols: ReadonlyArray<readonly [beginning: RegExp, name: string]> = [
  [/^HTTP\//, "HTTP"],
  [/^SSH-/, "SSH"],
  // An alert, and the major version.
  // oxlint-disable-next-line no-control-regex
  [/^\x15\x03/, "TLS, and wants rediss:// or the option tls"],
  [/^220[ -]/, "SMTP or FTP"],
  [/^[^]{3}\0[\n\xff]/, "MySQL"],
  [/^AMQP/, "AMQP"],
  [/^INFO \{/, "NATS"],
  [/^ERROR\r\n/, "memcached"]
]

/** What a peer speaks that does not speak RESP, by its first bytes. @internal */
export const foreign = (first: Uint8Array, scrub: Scrub): string => {
  let text = ""
  for (let i = 0; i < first.length && i < mostRead; i++) text += String.fromCharCode(first[i])
  const name = protocols.find(([beginning]) => beginning.test(text))?.[1]
  return `the peer does not speak RESP: it began with "${bounded(scrub(printable(text)), mostShown)}"` +
    (name === undefined ? "" : `, which is ${name}`) + "; is that Redis?"
}

// ----- what the server says -----

const serverHints: ReadonlyArray<readonly [words: RegExp, hint: string]> = [
  [
    /^DENIED .*protected mode/,
    "without a password it serves clients on its own machine alone: give it one (requirepass) or turn off protected-mode"
  ],
  [
    /max(?:imum)? number of clients|too many (?:clients|connections)/i,
    "it has as many clients as it takes (maxclients): lower poolSize, run fewer clients, or raise its limit"
  ],
  [
    /DB index is out of range|invalid DB index/i,
    "the option database, or the number in the URL, is beyond what it has: 16 databases, 0 to 15, unless it was told otherwise"
  ],
  [
    /SELECT is not allowed in cluster mode/,
    "it is a node of a Redis Cluster, which has no database but 0; this client does not follow a cluster's slots"
  ]
]

/** Protected mode explains itself in a page of text, and `NOAUTH` teaches the syntax of `HELLO`. */
const mostWords = 240
const mostWordsOfNoAuth = 72

/** What a server refused a connection with, and what to do about it. @internal */
export const refusal = (reply: ErrorReply, isSentinel = false): string => {
  const hint = isSentinel ? sentinelHint : serverHints.find(([words]) => words.test(reply.message))?.[1]
  return `the server answered ${bounded(textOf(reply), mostWords)}${hint === undefined ? "" : ` (${hint})`}`
}

/** What a server refused the login with, and what was configured. @internal */
export const refusedLogin = (reply: ErrorReply, isConfigured: boolean): string => {
  const words = textOf(reply)
  if (!isConfigured) {
    return "the server asks for a password and none is configured: set credentials, or give it in the URL " +
      `(${bounded(words, mostWordsOfNoAuth)})`
  }
  if (/without any password|no password is set/i.test(words)) {
    return `a password is configured and the server has none: ${words}`
  }
  return reply.code === "NOPERM"
    ? `the configured user may not do what a connection begins with: ${words}`
    : `the server refuses the configured credentials: ${words}`
}
