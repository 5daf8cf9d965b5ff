/**
 * What the package lets its users import, asked of Node itself.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Hitless from "hitless"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { library } from "../src/internal/library.ts"

const imports = (paths: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  JSON.parse(execFileSync(
    process.execPath,
    [
      "--conditions=hitless-source",
      "--input-type=module",
      "--eval",
      `const ends = {}
       for (const path of ${JSON.stringify(paths)}) {
         ends[path] = await import(path).then(() => "imported", ({ code }) => code)
       }
       process.stdout.write(JSON.stringify(ends))`
    ],
    { encoding: "utf8" }
  ))

const open = [
  "hitless",
  "hitless/Commands",
  "hitless/Config",
  "hitless/ConsumerGroup",
  "hitless/Endpoint",
  "hitless/Handoff",
  "hitless/HitlessError",
  "hitless/HitlessRedis",
  "hitless/Metrics",
  "hitless/Notifications",
  "hitless/PubSub",
  "hitless/Transport",
  "hitless/node",
  "hitless/testing"
]

const closed = [
  "hitless/Connection",
  "hitless/Maintenance",
  "hitless/Pool",
  "hitless/Reservation",
  "hitless/Resp",
  "hitless/Timeouts",
  "hitless/internal/request",
  "hitless/commands/strings",
  "hitless/testing/internal/network",
  "hitless/testing/server/session",
  "hitless/cli/main",
  "hitless/index",
  "hitless/node/index"
]

describe("The package", () => {
  it("names itself to servers with its own version", () => {
    const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    assert.deepStrictEqual({ ...library }, { name, version })
  })

  it("opens its public modules and no others", () => {
    assert.deepStrictEqual(imports(open), Object.fromEntries(open.map((path) => [path, "imported"])))
    assert.deepStrictEqual(
      imports(closed),
      Object.fromEntries(closed.map((path) => [path, "ERR_PACKAGE_PATH_NOT_EXPORTED"]))
    )
  })

  it("has its platform-independent public modules as namespaces of the root, and of the codec no value", () => {
    assert.deepStrictEqual(Object.keys(Hitless).sort(), [
      "Cache",
      "Commands",
      "Config",
      "ConsumerGroup",
      "Endpoint",
      "Handoff",
      "HitlessError",
      "HitlessKeyValueStore",
      "HitlessRedis",
      "Lock",
      "Metrics",
      "Notifications",
      "PubSub",
      "Transport"
    ])
  })
})
