/** TLS in C: what node:tls has no counterpart of. The contract of both is in the other files; see vitest.config.ts. */
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as fc from "fast-check"
import { ADDON_PATH, loadNative } from "@meridian/system/native"
import type { TlsBinding } from "@meridian/tls/tls-listener"
import { encodeRecords, MAXIMUM_MESSAGE_BYTES, RecordDecoder } from "@meridian/wire/nts-ke"
import { probes } from "./requests.ts"
import { type Folder, makeFolder } from "./running-service.ts"

const run = promisify(execFile)

let folder: Folder
beforeAll(() => {
  folder = makeFolder()
})
afterAll(() => folder.remove())

describe("the end of a message", () => {
  const ends = (loadNative().addon as unknown as TlsBinding).ntsKeMessageEnds!
  const isFinal = (bytes: Uint8Array): boolean => new RecordDecoder().push(bytes) !== "reading"

  const records = fc
    .array(
      fc.record({
        critical: fc.boolean(),
        type: fc.oneof(fc.constantFrom(0, 1, 4, 1024), fc.integer({ min: 0, max: 0x7fff })),
        body: fc.oneof(
          { weight: 20, arbitrary: fc.uint8Array({ maxLength: 6 }) },
          { weight: 1, arbitrary: fc.integer({ min: 0, max: 17_000 }).map((length) => new Uint8Array(length)) }
        )
      }),
      { maxLength: 8 }
    )
    .map((list) => encodeRecords(list))

  it("is seen in C where the decoder sees it, at every byte of messages good, bad and cut short", () => {
    fc.assert(
      fc.property(records, fc.uint8Array({ maxLength: 20 }), fc.nat(), (message, tail, cut) => {
        const bytes = new Uint8Array([...message, ...tail])
        const piece = bytes.subarray(0, cut % (bytes.length + 1))
        for (const each of [bytes, piece]) expect(ends(each)).toBe(isFinal(each))
      }),
      { numRuns: 2_000 }
    )
  })

  it("is seen in every message of the probes, and at the limits", () => {
    const many = (count: number): Uint8Array => new Uint8Array(4 * count).fill(1).map((_, at) => (at % 4 === 1 ? 9 : 0))
    for (const bytes of [
      ...probes.map((probe) => probe.bytes),
      ...[127, 128, 129, 130].map(many),
      ...[-1, 0, 1].map((more) =>
        Uint8Array.of(0x3f, 0xff, ((MAXIMUM_MESSAGE_BYTES - 4 + more) >> 8) & 0xff, (252 + more) & 0xff)
      ),
      ...[-1, 0, 1].map((more) => new Uint8Array(randomBytes(MAXIMUM_MESSAGE_BYTES + more)).fill(1)),
      new Uint8Array(0)
    ])
      for (const each of [bytes, bytes.subarray(0, bytes.length - 1)]) expect(ends(each)).toBe(isFinal(each))
  })
})

describe("under AddressSanitizer and UBSan", () => {
  it("the listener survives its owner's mistakes and its clients'", { timeout: 600_000 }, async () => {
    const build = fileURLToPath(new URL("../../../libs/system/build.mjs", import.meta.url))
    await run(process.execPath, [build, "--sanitize"])
    const libasan = (await run(process.env["CC"] ?? "cc", ["-print-file-name=libasan.so"])).stdout.trim()
    const files = folder.certificate("exercise", ["localhost"])
    const exercise = fileURLToPath(new URL("exercise-tls.ts", import.meta.url))
    const { stdout, stderr } = await run(
      process.execPath,
      [
        "--expose-gc",
        exercise,
        ADDON_PATH.replace("meridian.node", "meridian-asan.node"),
        files.certificate,
        files.key
      ],
      {
        env: {
          ...process.env,
          LD_PRELOAD: libasan,
          ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0",
          UBSAN_OPTIONS: "print_stacktrace=1"
        }
      }
    )
    expect(stderr).not.toMatch(/Sanitizer|runtime error/)
    expect(stdout.trim()).toBe("exercised")
  })
})
