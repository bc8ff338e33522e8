import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

// Most of it waits for real servers, which on a machine with much else to do take minutes for what else takes seconds.
const LIMIT_MS = 300_000
export default mergeConfig(
  shared,
  defineProject({ test: { name: "@meridian/event-log", testTimeout: LIMIT_MS, hookTimeout: LIMIT_MS } })
)
