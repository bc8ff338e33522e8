import { defaultTinker, defaultTos, type DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import { describe, expect, it } from "vitest"
import { disciplineOptions } from "../src/settings.ts"

describe("the options of the discipline", () => {
  const options = (change: Partial<DisciplineConfiguration>) =>
    disciplineOptions({
      sources: [],
      referenceClocks: [],
      tinker: defaultTinker,
      tos: defaultTos,
      ...change
    } as DisciplineConfiguration)

  it("have fallbackdrift, and maxupdateskew as a share of a second", () => {
    const { fallbackDrift, maxUpdateSkew } = options({ fallbackDrift: { min: 16, max: 19 }, maxUpdateSkew: 100 })
    expect(fallbackDrift).toEqual({ min: 16, max: 19 })
    expect(maxUpdateSkew).toBeCloseTo(1e-4, 12)
  })

  it("have neither where no line says so", () => {
    for (const none of [{}, { fallbackDrift: null, maxUpdateSkew: null }])
      expect(options(none)).toMatchObject({ maxUpdateSkew: Number.POSITIVE_INFINITY })
    expect(options({}).fallbackDrift).toBeUndefined()
  })
})
