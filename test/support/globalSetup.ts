/**
 * Finds the programs that the tests run, before any test does: a real `redis-server` (`REDIS_SERVER`, then `PATH`) and
 * `openssl`, which makes the certificates. What is missing is installed with `apt-get` on Debian or Ubuntu as root.
 * Otherwise the run fails and says what to do; no test is skipped.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    readonly redisServer: string
    readonly realServer: "redis" | "valkey"
    /** Which Redis to simulate beside that server: its own version, or the one of those there are that is next to it. */
    readonly simulatedVersion: "7.0" | "8.0"
  }
}

const onPath = (program: string): string | undefined => {
  const found = spawnSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).stdout.trim()
  return found === "" ? undefined : found
}

const named = (variable: string): string | undefined => {
  const path = process.env[variable]
  if (path !== undefined && !existsSync(path)) throw new Error(`${variable} is ${path}, and there is no such file`)
  return path
}

const install = (...packages: ReadonlyArray<string>): void => {
  const run = (...args: ReadonlyArray<string>) =>
    spawnSync("apt-get", args, {
      encoding: "utf8",
      // The package would otherwise start a server of its own on the default port, or ask questions.
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" }
    })
  run("update")
  const installed = run("install", "-y", "--no-install-recommends", ...packages)
  if (installed.status !== 0) throw new Error(`apt-get install ${packages.join(" ")} failed:\n${installed.stderr}`)
}

const need = (program: string, find: () => string | undefined, advice: string): string => {
  let path = find()
  if (path === undefined && existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    install(program)
    path = find()
  }
  if (path === undefined) throw new Error(`The tests need ${program} and found none. ${advice}`)
  return path
}

/** What `Redis server v=7.0.15 …` and `Valkey server v=8.1.1 …` say. */
const versionOf = (server: string): { readonly name: "redis" | "valkey"; readonly version: string } => {
  const told = spawnSync(server, ["--version"], { encoding: "utf8" }).stdout
  const [, name, version] = /^(redis|valkey) server v=([0-9.]+)/i.exec(told) ?? []
  if (name === undefined || version === undefined) throw new Error(`${server} --version tells no version: ${told}`)
  return { name: /^valkey$/i.test(name) ? "valkey" : "redis", version }
}

export default (project: TestProject): void => {
  const server = need(
    "redis-server",
    () => named("REDIS_SERVER") ?? onPath("redis-server"),
    "Install one (Debian/Ubuntu: apt-get install redis-server, macOS: brew install redis, Fedora: dnf install redis), " +
      "or set REDIS_SERVER to its path."
  )
  project.provide("redisServer", server)
  const { name, version } = versionOf(server)
  project.provide("realServer", name)
  project.provide("simulatedVersion", version.startsWith("7.0.") ? "7.0" : "8.0")
  need("openssl", () => onPath("openssl"), "Install it with your system's package manager.")
}
