import { defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

export default mergeConfig(
  shared,
  defineProject({ test: { name: "@meridian/xdp", globalSetup: "../../infra/workspace/build-addon.ts" } })
)
