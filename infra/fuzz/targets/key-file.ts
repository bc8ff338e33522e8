/** ntp.keys: every line is a key or a problem with its place, and what is written again says the same. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { formatKeyFile, parseKeyFile } from "../../../libs/auth/src/symmetric/key-file.ts"

export const seeds = (root: string): readonly Uint8Array[] => [
  readFileSync(join(root, "libs/auth/test/fixtures/ntp.keys")),
  Buffer.from(
    "1 MD5 secret\n2 SHA1 0123456789012345678901234567890123456789\n3 AES128 HEX:00112233445566778899aabbccddeeff\n"
  )
]

export const fuzz = (data: Buffer): void => {
  const text = data.toString("utf8")
  const { table, problems } = parseKeyFile(text, "keys")
  const lines = text.split("\n").length
  for (const { line } of problems) assert.ok(line >= 1 && line <= lines, `line ${line} of ${lines}`)
  const written = formatKeyFile(table)
  const again = parseKeyFile(written, "keys")
  assert.equal(formatKeyFile(again.table), written)
  assert.deepEqual(
    again.problems.filter(({ severity }) => severity === "error"),
    []
  )
}
