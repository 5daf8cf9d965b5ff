/**
 * Writes the version of `package.json` to where the library says it; `npm version` runs it before it commits.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }
const file = join(root, "src/internal/library.ts")
const text = readFileSync(file, "utf8")
const written = text.replace(/version: "[^"]*"/, `version: "${version}"`)
if (!written.includes(`version: "${version}"`)) throw new Error(`no version in ${file}`)
writeFileSync(file, written)
