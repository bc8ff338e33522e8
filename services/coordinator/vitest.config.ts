import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

// Suites mostly wait for real servers: for leases to end, for rotations to come.
export default mergeConfig(shared, defineProject({ test: { name: "@meridian/coordinator-service", maxWorkers: 2 } }))
