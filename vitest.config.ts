import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["hitless-source"] } },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/package/**"],
    globalSetup: "test/support/globalSetup.ts",
    setupFiles: "test/support/leaks.ts",
    sequence: { concurrent: true },
    // For a test that waits in vain; on a busy machine those that do not take seconds.
    testTimeout: 60_000
  }
})
