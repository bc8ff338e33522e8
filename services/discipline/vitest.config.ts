import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

// Suites mostly wait for real processes to poll each other.
export default mergeConfig(
  shared,
  defineProject({
    test: { name: "@meridian/discipline-service", maxWorkers: 2, maxConcurrency: 5 }
  })
)
