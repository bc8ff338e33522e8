/** Certificates at other moments than now: a clock that is not set yet, and one that is. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { X509Certificate } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { afterAll, describe, expect, it } from "vitest"
import { canJudge, judgeChain } from "../src/certificate-time.ts"

const folder = mkdtempSync(join(tmpdir(), "meridian-certificate-time-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

/** Its own root, valid from 2026-11-28 or so for two days. */
const made = (name: string, names: string): { readonly chain: readonly Uint8Array[]; readonly roots: Uint8Array } => {
  const certificate = file(`${name}.pem`)
  makeCertificate({ key: file(`${name}.key`), certificate, subject: `/CN=${name}`, names })
  const pem = readFileSync(certificate)
  return { chain: [new Uint8Array(new X509Certificate(pem).raw)], roots: new Uint8Array(pem) }
}
const good = made("good", "DNS:time.example,IP:192.0.2.1")
const other = made("other", "DNS:time.example")
const now = Date.now() / 1e3
const YEAR = 31_557_600
const shown = { ...good, name: "time.example" }

describe.runIf(canJudge())("a certificate", () => {
  it("within its dates is good, for its names and addresses alone", () => {
    const time = { unix: now, notBefore: undefined }
    expect(judgeChain(shown, time)).toEqual({ _tag: "Good" })
    expect(judgeChain({ ...good, name: "192.0.2.1" }, time)).toEqual({ _tag: "Good" })
    for (const name of ["other.example", "192.0.2.2", "sub.time.example", ""])
      expect(judgeChain({ ...good, name }, time)).toMatchObject({ _tag: "Bad", reason: "certificate" })
  })

  it.each([
    ["in 1970", 0],
    ["in 2036", Date.UTC(2036, 0) / 1e3]
  ])("may pass %s while nobody knows the time, and is bad where that is the time", (_when, unix) => {
    expect(judgeChain(shown, { unix, notBefore: Number.NEGATIVE_INFINITY })).toEqual({ _tag: "Provisional" })
    expect(judgeChain(shown, { unix, notBefore: now - YEAR })).toEqual({ _tag: "Provisional" })
    expect(judgeChain(shown, { unix, notBefore: undefined })).toMatchObject({ _tag: "Bad", reason: "dates" })
  })

  it("that had expired when the time was known last does not pass", () => {
    const judged = judgeChain(shown, { unix: 0, notBefore: now + YEAR })
    expect(judged).toMatchObject({ _tag: "Bad", reason: "dates", what: expect.stringContaining("had expired") })
  })

  it("with another fault does not pass for its dates", () => {
    const time = { unix: 0, notBefore: Number.NEGATIVE_INFINITY }
    expect(judgeChain({ ...shown, roots: other.roots }, time)).toMatchObject({ _tag: "Bad", reason: "certificate" })
    expect(judgeChain({ ...shown, name: "other.example" }, time)).toMatchObject({ _tag: "Bad", reason: "certificate" })
    for (const chain of [[], [new Uint8Array(100)]])
      expect(judgeChain({ ...shown, chain }, time)).toMatchObject({ _tag: "Bad", reason: "certificate" })
  })
})
