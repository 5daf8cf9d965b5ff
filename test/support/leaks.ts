/**
 * Runs with every test file: when its tests are over, the process holds no socket, listener, timer, process or thread more than
 * before them. A socket that was closed may take a few turns of the event loop to be gone.
 */
import { afterAll, assert, beforeAll } from "@effect/vitest"

/** What keeps the process alive, and who listens to it, by kind. */
const held = (): Map<string, number> => {
  const counts = new Map<string, number>()
  const kinds = process.getActiveResourcesInfo().filter((kind) =>
    /^(?:TCP|TLS|Pipe|UDP|Process|Timeout|Immediate|MessagePort|Worker|FSReqCallback|GetAddrInfo)/.test(kind)
  )
  const listeners = process.eventNames().flatMap((event) =>
    process.listeners(event as NodeJS.Signals).map(() => `listener for ${String(event)}`)
  )
  for (const kind of [...kinds, ...listeners]) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

let before = new Map<string, number>()

const left = (): ReadonlyArray<string> =>
  Array.from(held()).flatMap(([kind, count]) => {
    const more = count - (before.get(kind) ?? 0)
    return more > 0 ? [`${more} × ${kind}`] : []
  })

beforeAll(() => {
  before = held()
})

afterAll(async () => {
  const end = performance.now() + 10_000
  while (left().length > 0 && performance.now() < end) await new Promise((resume) => setImmediate(resume))
  assert.deepStrictEqual(left(), [], "is left over when the tests of the file are done")
}, 20_000)
