import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

// Suites mostly wait for real servers: for leases to end, for rotations to come. What they wait for comes on a slow machine
// too, only later.
const LIMIT_MS = 300_000
export default mergeConfig(
  shared,
  defineProject({
    test: { name: "@meridian/coordinator-service", maxWorkers: 2, testTimeout: LIMIT_MS, hookTimeout: LIMIT_MS }
  })
)
