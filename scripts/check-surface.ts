/**
 * Checks that the package is closed: emits the declarations that it would ship, and fails with one line for each public
 * module whose declarations name something of a module that the package's `exports` map to `null`, unless it exports that
 * itself. Of the codec the type `Arg` alone may be named.
 */
import { posix } from "node:path"
import { declarationsOf, emitDeclarations, isClosed } from "./support/declarations.ts"

/** What an import or an export names; of a whole namespace, that it is one. */
const namesIn = (clause: string): ReadonlyArray<string> =>
  clause.startsWith("{")
    ? clause.replace(/[{}]|\btype\b/g, "").split(",").map((name) => name.trim().split(" ")[0]!)
    : [clause]

let isFlawed = false
for (const module of emitDeclarations()) {
  const text = declarationsOf(module)
  const exported = new Set([...text.matchAll(/^export type (\{.*\}) from/gm)].flatMap(([, names]) => namesIn(names!)))
  for (const [line, names, from] of text.matchAll(/^import (?:type )?(.*) from "(\..*)\.ts";$/gm)) {
    const named = posix.join(posix.dirname(module), from!)
    const isOpen = (name: string): boolean => exported.has(name) || (named === "Resp" && name === "Arg")
    if (!isClosed(named) || namesIn(names!).every(isOpen)) continue
    process.stderr.write(`src/${module}.ts names what is closed in a public signature: ${line}\n`)
    isFlawed = true
  }
}
if (isFlawed) process.exitCode = 1
