import { describe, expect, it } from "vitest"
import { localMode, noLocalMode } from "@meridian/algorithms/local-mode"

const orphan = { localStratum: undefined, orphanStratum: 6, orphanWait: 300 }
const peer = (id: string, number: number, stratum = 6) => ({ id, number, stratum })

describe("local and orphan mode", () => {
  it("serves nothing that it was not told to serve", () => {
    expect(localMode(noLocalMode, 1e9, 1, [peer("a", 0)])).toEqual({ _tag: "None" })
    expect(localMode({ ...noLocalMode, localStratum: 16 }, 1e9, 1, [])).toEqual({ _tag: "None" })
  })

  it("serves the local clock at once", () => {
    expect(localMode({ ...noLocalMode, localStratum: 10 }, 0, 1, [])).toEqual({ _tag: "Local", stratum: 10 })
  })

  it("waits before it becomes an orphan", () => {
    expect(localMode(orphan, 299, 5, [])).toEqual({ _tag: "None" })
    expect(localMode(orphan, 300, 5, [])).toEqual({ _tag: "OrphanParent", stratum: 6 })
  })

  it("follows the lowest number among orphans, and nobody when its own is lower", () => {
    expect(localMode(orphan, 300, 5, [peer("a", 4), peer("b", 3)])).toEqual({
      _tag: "OrphanChild",
      parent: "b",
      stratum: 7
    })
    expect(localMode(orphan, 300, 5, [peer("a", 9)])).toEqual({ _tag: "OrphanParent", stratum: 6 })
    expect(localMode(orphan, 300, 5, [peer("a", 1, 3)])).toEqual({ _tag: "OrphanParent", stratum: 6 })
  })
})
