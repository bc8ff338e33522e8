/** The MACs of an installation without the addon. */
import { expect, it } from "vitest"
import { SymmetricKey } from "@meridian/auth/key-table"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { MAC_SEAL, MacJob } from "@meridian/auth/mac-batch"
import { nodeDigests } from "../src/digests.ts"
import { installedMacs } from "../src/macs-native.ts"
import { disableNative } from "@meridian/system/native"
import { systemClock } from "@meridian/clocks/system-clock"

it("are node:crypto's and @noble/ciphers', and their stamps move by a clock of Node's own", () => {
  disableNative("this test")
  const macs = installedMacs()
  expect(macs.kind).toBe("reference")
  const { monotonic } = systemClock()
  for (const name of ["MD5", "SHA1", "AES-128"] as const) {
    const key = new SymmetricKey(1, macAlgorithms[name], new Uint8Array(16).fill(3))
    expect(macs.supports(name)).toBe(true)
    macs.useKeys([key])
    const packets = new Uint8Array(100)
    const view = new DataView(packets.buffer)
    const jobs = Int32Array.of(MAC_SEAL, 0, 0, 48, 52, 16, 40, 0)
    // The machine may hold this process up for longer than a stamp is moved; then once more.
    for (let attempt = 0; attempt < 20 && view.getBigUint64(40) <= 1n; attempt += 1) {
      view.setBigUint64(40, 1n)
      macs.run(jobs, 1, packets, monotonic.seconds() - 0.25)
    }
    expect(jobs[MacJob.status]).toBe(1)
    expect(Number(view.getBigUint64(40)) / 2 ** 32).toBeGreaterThanOrEqual(0.249)
    const digest = new Uint8Array(64)
    nodeDigests().digest(name, key.secret, packets, 0, 48, digest)
    expect(packets.subarray(52, 68)).toEqual(digest.subarray(0, 16))
  }
})
