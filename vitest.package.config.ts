import { defineConfig } from "vitest/config"

/** The packed package, apart from the rest: it is built, and what it needs comes from the registry. */
export default defineConfig({
  test: {
    include: ["test/package/*.test.ts"],
    globalSetup: "test/support/globalSetup.ts"
  }
})
