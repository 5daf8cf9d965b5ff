/**
 * SHA-1, by which Redis names scripts. Effect's `Digest` has it too, but asynchronously. It protects nothing here.
 */

const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))

// FIPS 180-4, section 4.2.1: a constant for each twenty rounds.
const constants = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6]

// FIPS 180-4, section 4.1.1: a function for each twenty rounds.
const functions: ReadonlyArray<(b: number, c: number, d: number) => number> = [
  (b, c, d) => (b & c) | (~b & d),
  (b, c, d) => b ^ c ^ d,
  (b, c, d) => (b & c) | (b & d) | (c & d),
  (b, c, d) => b ^ c ^ d
]

/** The digest of some bytes in lower-case hexadecimal. */
export const sha1 = (bytes: Uint8Array): string => {
  // One bit and zeros, then the length in bits as 8 bytes, fill the last block of 64 bytes.
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n)
  const hash = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  const words = new Int32Array(80)
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getInt32(block + i * 4)
    for (let i = 16; i < 80; i++) words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1)
    let [a, b, c, d, e] = hash
    for (let i = 0; i < 80; i++) {
      const stage = Math.floor(i / 20)
      const next = (rotate(a, 5) + functions[stage](b, c, d) + e + constants[stage] + words[i]) | 0
      ;[a, b, c, d, e] = [next, a, rotate(b, 30), c, d]
    }
    hash.set([hash[0] + a, hash[1] + b, hash[2] + c, hash[3] + d, hash[4] + e])
  }
  return [...hash].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("")
}
