import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

// Whole clusters are waited for, and what takes seconds takes minutes on a machine with much else to do.
const LIMIT_MS = 300_000
export default mergeConfig(
  shared,
  defineProject({ test: { name: "@meridian/cli", testTimeout: LIMIT_MS, hookTimeout: LIMIT_MS } })
)
