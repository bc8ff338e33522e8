/** What `npm run release` writes besides manifests and changelog. */
import { describe, expect, it } from "vitest"
import { lockAt } from "../../../infra/release/lock.ts"

describe("the lock of a release", () => {
  it("has the version in the root and the workspaces, and in nothing that a workspace has of others", () => {
    const packages = {
      "": { version: "0.2.0" },
      "libs/wire": { version: "0.2.0" },
      "services/cli": { version: "0.2.0" },
      "services/cli/node_modules/smol-toml": { version: "1.9.1" },
      "node_modules/smol-toml": { version: "1.9.0" },
      "node_modules/@meridian/wire": {}
    }
    expect(lockAt({ name: "meridian", version: "0.2.0", packages }, "0.2.1")).toEqual({
      name: "meridian",
      version: "0.2.1",
      packages: {
        ...packages,
        "": { version: "0.2.1" },
        "libs/wire": { version: "0.2.1" },
        "services/cli": { version: "0.2.1" }
      }
    })
  })
})
