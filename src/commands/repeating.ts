/**
 * What may run twice although it writes, by a command's name and its arguments.
 *
 * @since 0.1.0
 */
import { spelled } from "../internal/commands.ts"
import type { Arg } from "../Resp.ts"

/** Judges by the arguments, in capitals. */
type Judge = (args: ReadonlyArray<string>) => boolean

const always: Judge = () => true

/** Where the options end that begin at an index, by how many words each has, itself included. */
const endOf = (args: ReadonlyArray<string>, from: number, sizes: Readonly<Record<string, number>>): number => {
  let at = from
  while (at < args.length && Object.hasOwn(sizes, args[at])) at += sizes[args[at]]
  return at
}

const optionsOfSet = { IFNE: 2, IFDNE: 2, EX: 2, PX: 2, EXAT: 2, PXAT: 2, KEEPTTL: 1, GET: 1, XX: 1 }

const setsOnce: Judge = (args) => /^(?:NX|IFEQ|IFDEQ)$/.test(args[endOf(args, 2, optionsOfSet)])

const optionsOfZAdd = { XX: 1, GT: 1, LT: 1, CH: 1, INCR: 1 }

const optionsOfAdd = { NOMKSTREAM: 1, KEEPREF: 1, DELREF: 1, ACKED: 1, LIMIT: 2, MAXLEN: 2, MINID: 2 }

/** Whether an entry has an id of its own, or its producer has named it. */
const addsOnce: Judge = (args) => {
  // Between a limit and its kind there may be a word that says how exact it is.
  const plain = args.filter((word, index) => !(/^[=~]$/.test(word) && /^(?:MAXLEN|MINID)$/.test(args[index - 1])))
  return /^(?:\d+(?:-\d+)?|IDMP|IDMPAUTO)$/.test(plain[endOf(plain, 1, optionsOfAdd)])
}

const judges: Readonly<Record<string, Judge>> = {
  SET: setsOnce,
  SETNX: always,
  MSETNX: always,
  MSETEX: (args) => args.indexOf("NX", 1 + 2 * Number(args[0])) !== -1,
  DELEX: (args) => args[1] === "IFEQ" || args[1] === "IFDEQ",
  HSETNX: always,
  ZADD: (args) => args[endOf(args, 1, optionsOfZAdd)] === "NX",
  XADD: addsOnce,
  XACK: always,
  XDEL: always,
  XACKDEL: always,
  XDELEX: always,
  XGROUP: ([subcommand]) => subcommand === "CREATE",
  SCRIPT: ([subcommand]) => subcommand === "LOAD"
}

/**
 * Whether a command that writes can run twice and has changed the data once, whatever others do in between: for `retry`.
 *
 * **Details**
 *
 * These are, each as long as nobody undoes in between what the first run did, and it does not expire:
 *
 * - `SETNX`, `MSETNX`, `HSETNX`, and `SET`, `MSETEX` and `ZADD` with `NX`: the second finds what the first has set.
 * - `SET` and `DELEX` with `IFEQ` or `IFDEQ`: the second finds another value, or none.
 * - `XADD` with an id of its own, and with `IDMP` or `IDMPAUTO`: the second is refused, or gives the id of the first.
 * - `XACK`, `XDEL`, `XACKDEL`, `XDELEX`: an id does not come again.
 * - `XGROUP CREATE` and `SCRIPT LOAD`.
 *
 * **Gotchas**
 *
 * The caller is given the answer to the second run: `null` or 0 where the first one did it, and for `XADD` and `XGROUP
 * CREATE` an error. Who has to know writes a value of its own and reads it, as `SET … NX GET` does in one.
 *
 * `SET`, `HSET`, `DEL`, `EXPIRE`, `SADD`, `ZADD` and their like only look safe: between two runs another may have written,
 * and is overwritten. So do `SET … XX` and `IFNE`.
 *
 * **Example** (A policy)
 *
 * ```ts
 * import { Commands } from "hitless"
 * import { NodeHitlessRedis } from "hitless/node"
 *
 * export const layer = NodeHitlessRedis.layer({
 *   retry: (command, args, readOnly) => readOnly || Commands.changesOnce(command, args)
 * })
 * ```
 *
 * @category retries
 * @since 0.1.0
 */
export const changesOnce = (command: string, args: ReadonlyArray<Arg>): boolean => {
  const name = command.toUpperCase()
  return Object.hasOwn(judges, name) && judges[name](args.map(spelled))
}
