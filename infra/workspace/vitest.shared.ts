/**
 * Settings every package's vitest.config.ts extends. The timeouts are for what hangs: a suite waits for conditions, with the
 * patience of libs/testkit/src/patience.ts, and what takes seconds on a quiet machine takes a minute on one that is loaded.
 */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    include: ["test/**/*.test.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    restoreMocks: true,
    unstubEnvs: true
  }
})
