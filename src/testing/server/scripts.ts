/**
 * The scripts of a deployment: texts that were loaded, and the functions that stand for them.
 *
 * No Lua is run. A text may be loaded whatever it says, as a server would do; one that nobody registered a function for
 * is answered with an error when it is called.
 */
import { sha1 } from "../../internal/sha1.ts"
import { effectScripts } from "./effectScripts.ts"
import { lockScripts } from "./lockScripts.ts"
import type { Script } from "./script.ts"
import { toBytes } from "./text.ts"

type Run = Script["run"]

// Lua texts are given as JavaScript strings, and sent as UTF-8.
const encoder = new TextEncoder()

/** The scripts of a deployment. */
export class Scripts {
  private readonly functions: ReadonlyMap<string, Run>
  private readonly loaded = new Map<string, string>()

  constructor(scripts: ReadonlyArray<Script>) {
    this.functions = new Map(
      [...effectScripts, ...lockScripts, ...scripts].map((script) => [
        "lua" in script ? sha1(encoder.encode(script.lua)) : script.sha1.toLowerCase(),
        script.run
      ])
    )
  }

  /** Remembers a text, a byte string, and gives its name. */
  load(text: string): string {
    const sha = sha1(toBytes(text))
    this.loaded.set(sha, text)
    return sha
  }

  has(sha: string): boolean {
    return this.loaded.has(sha)
  }

  flush(): void {
    this.loaded.clear()
  }

  /** The function of a loaded script, or what is wrong. */
  find(sha: string): Run | string {
    const text = this.loaded.get(sha)
    if (text === undefined) return "NOSCRIPT No matching script. Please use EVAL."
    const line = text.split("\n").find((line) => line.trim() !== "") ?? ""
    return this.functions.get(sha) ??
      `ERR script ${sha} (${JSON.stringify(line.trim())}) is not registered: the simulated server runs no Lua, so ` +
        "give it a function in the option scripts: [{ lua, run }]"
  }
}
