import { describe, expect, it } from "vitest"
import { localMode, noLocalMode } from "../src/local-mode.ts"

const orphan = { localStratum: undefined, orphanStratum: 6, orphanWait: 300 }

describe("local and orphan mode", () => {
  it("serves nothing that it was not told to serve", () => {
    expect(localMode(noLocalMode, 1e9)).toEqual({ _tag: "None" })
    expect(localMode({ ...noLocalMode, localStratum: 16 }, 1e9)).toEqual({ _tag: "None" })
  })

  it("serves the local clock at once", () => {
    expect(localMode({ ...noLocalMode, localStratum: 10 }, 0)).toEqual({ _tag: "Local", stratum: 10 })
  })

  it("waits before it becomes an orphan", () => {
    expect(localMode(orphan, 299)).toEqual({ _tag: "None" })
    expect(localMode(orphan, 300)).toEqual({ _tag: "OrphanParent", stratum: 6 })
  })
})
