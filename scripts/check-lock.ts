/**
 * Checks that `package-lock.json` is the same on every machine, and fails with one line for each thing that is wrong:
 *
 * - every package that another one may need is there, those for other platforms too: `npm ci` refuses a lock without them,
 *   and `npm install` writes it anew;
 * - none says where it was downloaded, since `.npmrc` leaves that out: registries have mirrors;
 * - none says which C library it needs: npm 10, which comes with Node 22, leaves that out and npm 11 does not.
 *
 * `--fix` mends it, without a registry: one that does not have the packages of a platform makes npm leave them out.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

interface Entry {
  readonly dev?: boolean
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  resolved?: string
  libc?: ReadonlyArray<string>
}

const file = join(resolve(import.meta.dirname, ".."), "package-lock.json")
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Entry> }
const { packages } = lock
const problems: Array<string> = []

/** Whether a package is found from another one's place, as Node looks for it. */
const isThere = (name: string, from: string): boolean => {
  for (let place = from;; place = place.slice(0, Math.max(0, place.lastIndexOf("node_modules/") - 1))) {
    if (`${place === "" ? "" : `${place}/`}node_modules/${name}` in packages) return true
    if (place === "") return false
  }
}

/** The entry of a package for one platform, which its name tells: `@dprint/linux-arm64-musl`, `@effect/tsgo-darwin-x64`. */
const entryOf = (name: string, version: string, { dev, license }: Entry): Entry | undefined => {
  const [, os, cpu] =
    /[/-](aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-(\w+)/.exec(name) ?? []
  if (os === undefined) return undefined
  const platform = { version, cpu: [cpu], ...(dev && { dev }), ...(license && { license }), optional: true, os: [os] }
  return platform
}

for (const [place, entry] of Object.entries(packages)) {
  const at = place === "" ? "the package itself" : place
  for (const [name, version] of Object.entries({ ...entry.dependencies, ...entry.optionalDependencies })) {
    if (isThere(name, place)) continue
    problems.push(`${name} ${version} is missing, which ${at} may need`)
    const added = entryOf(name, version, entry)
    if (added !== undefined) packages[`node_modules/${name}`] = added
  }
  if (entry.resolved !== undefined) problems.push(`${at} says where it was downloaded`)
  if (entry.libc !== undefined) problems.push(`${at} says which C library it needs`)
  delete entry.resolved
  delete entry.libc
}

if (process.argv.includes("--fix")) {
  // In npm's order.
  lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, "en")))
  writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`)
} else if (problems.length > 0) {
  process.stderr.write(problems.map((problem) => `package-lock.json: ${problem}\n`).join(""))
  process.stderr.write("Mend it with: node scripts/check-lock.ts --fix && npm install\n")
  process.exitCode = 1
}
