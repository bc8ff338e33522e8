/** What an operator is told of `nts` lines that are valid and still hardly what was meant. */
import { expect, it } from "vitest"
import { parseText } from "../src/parse.ts"
import { effectiveSettings } from "../src/settings.ts"

const remarks = (text: string): readonly string[] => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return [...diagnostics, ...effective.diagnostics].map(
    ({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`
  )
}

it.each([
  "nts enable aead AES_SIV_CMAC_512",
  "nts aead AES_128_GCM_SIV\nnts enable",
  "nts cert a key b\nnts aead 16\nnts aead 17"
])("a server without the algorithm that everybody has is remarked on: %j", (text) => {
  expect(remarks(text)).toEqual([expect.stringMatching(/^warning \d:\d+ most clients .* nts aead AES_SIV_CMAC_256$/)])
})

it.each([
  "nts aead AES_SIV_CMAC_512",
  "nts enable aead AES_SIV_CMAC_512\nnts aead AES_SIV_CMAC_256",
  "nts enable",
  "nts aead 17\nnts disable"
])("a client may ask for one alone, and a server that has it needs no remark: %j", (text) => {
  expect(remarks(text)).toEqual([])
})
