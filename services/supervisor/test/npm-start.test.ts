import { describe, expect, it } from "vitest"
import { takenByNpm } from "../src/npm-start.ts"

describe("flags that npm has taken", () => {
  it("are named, with how they reach the node", () => {
    const said = takenByNpm({ npm_lifecycle_event: "start", npm_config_nts: "true", npm_config_nts_port: "true" })
    expect(said).toBe("npm took --nts, --nts-port for its own; the node's flags stand behind `--`: npm start -- FLAGS")
  })

  it("are none where npm has settings of its own, or something else was started", () => {
    const own = {
      npm_config_userconfig: "/home/ann/.npmrc",
      npm_config_cache: "/home/ann/.npm",
      npm_config_loglevel: "error"
    }
    expect(takenByNpm({ npm_lifecycle_event: "start", ...own })).toBeUndefined()
    expect(takenByNpm({ npm_lifecycle_event: "test", npm_config_nts: "true" })).toBeUndefined()
    expect(takenByNpm({})).toBeUndefined()
  })
})
