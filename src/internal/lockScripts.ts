/**
 * The scripts of `Lock`: each does something to a key only where that has the value of the one who asks.
 */

/** Lets go of `KEYS[1]` if it has the value `ARGV[1]`: 1, else 0. @internal */
export const release = `if redis.call("GET", KEYS[1]) == ARGV[1] then
  return redis.call("DEL", KEYS[1])
end
return 0`

/** Lets `KEYS[1]` live for `ARGV[2]` more milliseconds if it has the value `ARGV[1]`: 1, else 0. @internal */
export const renew = `if redis.call("GET", KEYS[1]) == ARGV[1] then
  return redis.call("PEXPIRE", KEYS[1], ARGV[2])
end
return 0`
