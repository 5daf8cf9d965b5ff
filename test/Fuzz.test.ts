/**
 * The short form of `npm run fuzz`: what servers and callers should never do. A finding names its seed.
 */
import { assert, describe, it } from "@effect/vitest"
import { checkArguments, checkInput, inputOf } from "../faults/kit/fuzz.ts"
import { makeDecoder } from "../src/Resp.ts"

const seeds = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

describe("hostile bytes", () => {
  it("are read as another parser reads them, cut anywhere, or refused", { timeout: 60_000 }, () => {
    const findings = seeds(1, 30_000).flatMap((seed) => {
      const problem = checkInput(seed)
      return problem === undefined ? [] : [`--seed ${seed}: ${problem} ${inputOf(seed)}`]
    })
    assert.deepStrictEqual(findings, [])
  })

  it("are refused in the same words wherever they are cut", () => {
    const bytes = new TextEncoder().encode(">1\r\n$9223372036854775807\r\nMOVING\r\n")
    const words = [bytes.length, 1].map((size) => {
      const decoder = makeDecoder({ blobsAsBytes: () => false, onReply: () => {}, onPush: () => {} })
      for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.slice(at, at + size))
      return decoder.push(bytes)?.message
    })
    assert.deepStrictEqual(words, Array(2).fill("Resp: expected a length of at most 1099511627776 at offset 26"))
  })
})

describe("hostile arguments", () => {
  it("are written as the bytes that they were at the call", () => {
    const findings = seeds(1, 500).flatMap((seed) => checkArguments(seed, 1 + seed % 50) ?? [])
    assert.deepStrictEqual(findings, [])
  })

  it("are written when they are a hundred thousand", { timeout: 60_000 }, () => {
    assert.isUndefined(checkArguments(1, 100_000))
  })
})
