/**
 * Where Valkey 8.1 answers otherwise than Redis 8.0, by case and command, and why. It began as Redis 7.2 and went its own way: it has
 * what came until then, and not what Redis changed since. No version of the simulated server is Valkey.
 */
const noScript = "it does not recommend EVAL"
const noName = "its errors do not name Redis"
const notNested = "it refuses these as any command that a transaction cannot have, and then the transaction is spoiled"
const ids = "it checks ids of clients as one list"

/** Why replies differ: by suite and case, then by the words of a command. */
export const valkeyDiffers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "strings > sets, reads and counts bits": {
    "BITCOUNT b 1": "it counts from a start to the end",
    "BITCOUNT none x": "the same, so it reads the start"
  },
  "keys > scans keys by pattern and type": { "SCAN 0 TYPE nosuch COUNT 1000": "it knows which types there are" },
  "streams > refuses reads that it does not understand": { "XREAD STREAMS s t 0": "it has no id +" },
  "streams > knows how far a group lags, as long as it can be told": {
    "XINFO GROUPS s": "it does not count on over trims"
  },
  "client > identity": { "CLIENT LIST ID 0": ids, "CLIENT LIST ID x": ids },
  "client > KILL by what is not there": { "CLIENT KILL ID x": ids },
  "transactions > wrong order": { MULTI: notNested, "WATCH a": notNested, EXEC: notNested, "GET a": notNested },
  "scripts > a script is called by its text and by its name": {
    "EVALSHA d8f2fad9f8e86a53d2a6ebd960b33c4972cacc37 1 k v": noScript,
    "EVALSHA d3c21d0c2b9ca22f82737626a27bcaf5d288f99f 1 k": noScript
  },
  "scripts > errors end a script and keep what it wrote": {
    "EVAL return redis.call('NOPE') 0": noName,
    "EVAL return redis.call('GET') 0": noName
  },
  "scripts > bad arguments": {
    "EVALSHA short 0": noScript,
    "EVALSHA 0000000000000000000000000000000000000000 0": noScript,
    "EVALSHA_RO 0000000000000000000000000000000000000000 0": noScript
  }
}
