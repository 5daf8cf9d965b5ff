/**
 * Finds a real `redis-server` before any test runs: `REDIS_SERVER`, then `PATH`, then `apt-get` on Debian or Ubuntu as
 * root. Without one the run fails; no test is skipped.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    readonly redisServer: string
  }
}

const find = (): string | undefined => {
  const named = process.env.REDIS_SERVER
  if (named !== undefined) {
    if (!existsSync(named)) throw new Error(`REDIS_SERVER is ${named}, and there is no such file`)
    return named
  }
  const found = spawnSync("sh", ["-c", "command -v redis-server"], { encoding: "utf8" }).stdout.trim()
  return found === "" ? undefined : found
}

const install = (): void => {
  const run = (...args: ReadonlyArray<string>) =>
    spawnSync("apt-get", args, {
      encoding: "utf8",
      // The package would otherwise start a server of its own on the default port, or ask questions.
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" }
    })
  run("update")
  const installed = run("install", "-y", "--no-install-recommends", "redis-server")
  if (installed.status !== 0) throw new Error(`apt-get install redis-server failed:\n${installed.stderr}`)
}

export default (project: TestProject): void => {
  let path = find()
  if (path === undefined && existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    install()
    path = find()
  }
  if (path === undefined) {
    throw new Error(
      "The tests need a real redis-server and found none. Install one (Debian/Ubuntu: apt-get install redis-server, " +
        "macOS: brew install redis, Fedora: dnf install redis), or set REDIS_SERVER to its path."
    )
  }
  project.provide("redisServer", path)
}
