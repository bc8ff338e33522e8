/** Reading an event quickly gives what JSON.parse and the schemas give, or nothing. */
import * as fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type AnyEvent, judgeEventBySchema, readEventQuickly } from "../src/catalogue.ts"
import { GOLDEN, type Golden } from "./golden.ts"

const written = readdirSync(GOLDEN).map(
  (file) => (JSON.parse(readFileSync(join(GOLDEN, file), "utf8")) as Golden).written as AnyEvent
)
/** What the log would have if it read nothing quickly. */
const bySchema = (text: string): unknown => {
  try {
    const judged = judgeEventBySchema(JSON.parse(text))
    return "_tag" in judged ? undefined : judged
  } catch {
    return undefined
  }
}
const quickly = (text: string): AnyEvent | undefined => readEventQuickly(text, 0, text.length)

const sample = fc.constantFrom(...written).map((event) => JSON.stringify(event))

describe("an event that is read quickly", () => {
  it("is any of the newest version, wherever it stands in a text", () => {
    let read = 0
    for (const event of written) {
      const text = JSON.stringify(event)
      const now = judgeEventBySchema(event)
      const isNewest = !("_tag" in now) && now.schema === event.schema
      expect([event.type, quickly(text)]).toEqual([event.type, isNewest ? event : undefined])
      expect(readEventQuickly(`[${text}]`, 1, text.length + 1)).toEqual(quickly(text))
      expect(readEventQuickly(`[${text},{}]`, 1, text.length + 4)).toBeUndefined()
      if (isNewest) read += 1
    }
    expect(read).toBeGreaterThan(10)
  })

  it("is on every day but the 29th of February", () => {
    const text = JSON.stringify(written.find((event) => event.type === "SourceReachabilityChanged"))
    const time = fc.oneof(
      fc
        .date({ min: new Date("0000-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59.999Z") })
        .map((it) => it.getTime()),
      fc.nat(400).map((days) => Date.UTC(2027, 11, 1) + days * 86_400_000)
    )
    fc.assert(
      fc.property(
        time.filter((it) => Number.isFinite(it)),
        (moment) => {
          const iso = new Date(moment).toISOString()
          const event = text.replace(/"time":"[^"]*"/, `"time":"${iso}"`)
          expect(quickly(event)).toEqual(iso.slice(5, 10) === "02-29" ? undefined : bySchema(event))
        }
      ),
      { numRuns: 2_000 }
    )
    for (const no of ["2026-02-30", "2026-04-31", "2026-00-10", "2026-13-01", "2026-01-00", "2026-01-32"])
      expect(quickly(text.replace(/"time":"[^"]*"/, `"time":"${no}T00:00:00.000Z"`))).toBeUndefined()
  })

  it("is what the schemas come to, whatever is done to the text", () => {
    let read = 0
    const piece = fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.constantFrom(
        `"`,
        `\\"`,
        `\\u0061`,
        "{",
        "}",
        "},{",
        `,"data":{}`,
        `,"type":"x"`,
        "é",
        "0",
        "-1",
        "1e3",
        " ",
        ".",
        ":"
      )
    )
    fc.assert(
      fc.property(sample, fc.nat(), fc.nat(3), piece, (text, place, gone, put) => {
        const at = place % (text.length + 1)
        const changed = text.slice(0, at) + put + text.slice(at + gone)
        const found = quickly(changed)
        if (found === undefined) return
        read += 1
        expect(found).toEqual(bySchema(changed))
      }),
      { numRuns: 10_000 }
    )
    expect(read).toBeGreaterThan(200)
  })

  it("keeps nothing of the one before but what is the same", () => {
    fc.assert(
      fc.property(sample, sample, (one, other) => {
        const alone = quickly(other)
        quickly(one)
        expect(quickly(other)).toEqual(alone)
        quickly(one.replace(/"subject":"[^"]*"/, `"subject":"clock.node-a"`))
        expect(quickly(other)).toEqual(alone)
      })
    )
  })
})
