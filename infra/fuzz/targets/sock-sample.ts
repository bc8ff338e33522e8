/** Samples that programs write to a SOCK reference clock. */
import assert from "node:assert/strict"
import { decodeSockSample, SOCK_SAMPLE_BYTES } from "../../../libs/wire/src/sock-sample.ts"

export const seeds = (): readonly Uint8Array[] => [Buffer.alloc(SOCK_SAMPLE_BYTES)]

export const fuzz = (data: Buffer): void => {
  for (const littleEndian of [true, false]) {
    const sample = decodeSockSample(data, data.length, littleEndian)
    if (typeof sample !== "string") assert.ok(Number.isFinite(sample.offset))
  }
}
