/** Lists. */
import { ReplyValue } from "../../../Resp.ts"
import {
  array,
  bulk,
  type Caller,
  clampRange,
  type Command,
  integer,
  nil,
  refuse,
  toIndex,
  toInteger,
  wrongArity
} from "../command.ts"

const push = (put: (list: Array<string>, value: string) => void): Command<Caller> => ({
  arity: -3,
  run: (caller, [key, ...values]) => {
    const length = caller.database.update(key, "list", (list) => {
      for (const value of values) put(list, value)
      return list.length
    })
    return integer(length)
  }
})

const pop = (command: string, take: (list: Array<string>) => string): Command<Caller> => ({
  arity: -2,
  run: (caller, args) => {
    if (args.length > 2) refuse(wrongArity(command))
    const [key, many] = args as [string, string | undefined]
    const notPositive = "ERR value is out of range, must be positive"
    const wanted = many === undefined ? 1n : toInteger(many, notPositive)
    if (wanted < 0n) refuse(notPositive)
    const list = caller.database.read(key, "list")
    if (list === undefined) return many === undefined ? nil : ReplyValue.NullArray()
    const length = wanted < BigInt(list.length) ? Number(wanted) : list.length
    const popped: Array<ReplyValue> = []
    caller.database.update(key, "list", (list) => {
      while (popped.length < length) popped.push(bulk(take(list)))
      return length
    })
    return many === undefined ? popped[0] : array(popped)
  }
})

/** The commands of this file by name. */
export const lists: Record<string, Command<Caller>> = {
  LPUSH: push((list, value) => list.unshift(value)),
  RPUSH: push((list, value) => list.push(value)),
  LPOP: pop("lpop", (list) => list.shift()!),
  RPOP: pop("rpop", (list) => list.pop()!),
  LLEN: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "list")?.length ?? 0) },
  LRANGE: {
    arity: 4,
    run: (caller, [key, start, stop]) => {
      const range = [toIndex(start), toIndex(stop)] as const
      const list = caller.database.read(key, "list") ?? []
      return array(list.slice(...clampRange(...range, list.length)).map(bulk))
    }
  }
}
