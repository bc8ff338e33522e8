import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { CookieJars, type Jar } from "../src/cookie-jar.ts"

let folder = ""
const file = (name: string): string => join(folder, name)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-jars-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("the cookie jars", () => {
  const jar: Jar = {
    aead: 15,
    c2s: new Uint8Array(32).fill(1),
    s2c: new Uint8Array(32).fill(2),
    cookies: [new Uint8Array(100).fill(3), new Uint8Array(100).fill(4)],
    address: "192.0.2.1",
    port: 123
  }

  it("come back once, and no more after that", () => {
    new CookieJars(folder).save(new Map([["a", jar]]))
    expect(new CookieJars(folder).take()).toEqual({ jars: new Map([["a", jar]]), problem: undefined })
    expect(new CookieJars(folder).take().jars.size).toBe(0)
  })

  it("are for the owner's eyes, and hold no key in the clear", () => {
    new CookieJars(folder).save(new Map([["a", jar]]))
    for (const name of ["nts-cookies", "nts-cookies.key"]) expect(statSync(file(name)).mode & 0o777).toBe(0o600)
    const box = readFileSync(file("nts-cookies"))
    expect(box.includes(Buffer.from(jar.c2s).toString("base64"))).toBe(false)
    expect(box.includes("192.0.2.1")).toBe(false)
  })

  it("are lost, with a sentence, when one bit is changed or the key is another", () => {
    const jars = new CookieJars(folder)
    jars.save(new Map([["a", jar]]))
    const box = readFileSync(file("nts-cookies"))
    const changed = Buffer.from(box)
    changed[40]! ^= 1
    writeFileSync(file("nts-cookies"), changed)
    expect(jars.take()).toEqual({ jars: new Map(), problem: expect.stringContaining("exchanged anew") })
    writeFileSync(file("nts-cookies"), box)
    writeFileSync(file("nts-cookies.key"), Buffer.alloc(32, 9))
    expect(jars.take().problem).toContain("does not open")
  })

  it("of one name are not those of another in the same directory", () => {
    new CookieJars(folder).save(new Map([["a", jar]]))
    new CookieJars(folder, "other").save(new Map([["b", jar]]))
    expect([...new CookieJars(folder, "other").take().jars.keys()]).toEqual(["b"])
    expect([...new CookieJars(folder).take().jars.keys()]).toEqual(["a"])
  })

  it("never throw for a file of any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        writeFileSync(file("nts-cookies"), bytes)
        expect(new CookieJars(folder).take().jars.size).toBe(0)
      }),
      { numRuns: 50 }
    )
  })
})
