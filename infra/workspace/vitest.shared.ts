/** Settings every package's vitest.config.ts extends. Suites that run real daemons raise the timeouts of their own tests. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    unstubEnvs: true
  }
})
