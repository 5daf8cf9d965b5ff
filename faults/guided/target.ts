/**
 * What Jazzer.js calls with each input, as a module of its own: what it throws is a finding.
 */
import { checkBytes, randomOf } from "../kit/fuzz.ts"

export const fuzz = (bytes: Buffer): void => {
  const problem = checkBytes(bytes, randomOf(bytes.length), false)
  if (problem !== undefined) throw new Error(problem)
}
