import { defineConfig, defineProject, mergeConfig } from "vitest/config"
import shared from "../../infra/workspace/vitest.shared.ts"

/** What every implementation of src/tls-port.ts has to keep to. */
const contract = ["service", "hostile", "certificates", "clients"].map((name) => `test/${name}.test.ts`)

export default defineConfig({
  test: {
    projects: [
      mergeConfig(shared, defineProject({ test: { name: "@meridian/nts-ke-service" } })),
      mergeConfig(
        // Its list of files would be added to, and not replaced.
        { ...shared, test: { ...shared.test, include: contract } },
        defineProject({
          test: { name: "@meridian/nts-ke-service over node:tls", env: { MERIDIAN_NATIVE: "off" } }
        })
      )
    ]
  }
})
