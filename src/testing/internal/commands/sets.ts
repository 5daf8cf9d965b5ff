/** Sets. */
import { ReplyValue } from "../../../Resp.ts"
import { bulk, type Caller, type Command, count, integer } from "../command.ts"

/** The commands of this file by name. */
export const sets: Record<string, Command<Caller>> = {
  SADD: {
    arity: -3,
    run: (caller, [key, ...members]) => {
      const added = caller.database.update(key, "set", (set) => {
        const before = set.size
        for (const member of members) set.add(member)
        return set.size - before
      })
      return integer(added)
    }
  },
  SREM: {
    arity: -3,
    run: (caller, [key, ...members]) =>
      integer(caller.database.update(key, "set", (set) => members.filter((member) => set.delete(member)).length))
  },
  SMEMBERS: {
    arity: 2,
    run: (caller, [key]) => ReplyValue.Set({ items: [...caller.database.read(key, "set") ?? []].map(bulk) })
  },
  SISMEMBER: {
    arity: 3,
    run: (caller, [key, member]) => count(caller.database.read(key, "set")?.has(member) === true)
  },
  SCARD: { arity: 2, run: (caller, [key]) => integer(caller.database.read(key, "set")?.size ?? 0) }
}
