import { Job, JOB_STRIDE, PLAINTEXT_IN_SECRETS, SEAL } from "@meridian/auth/aead"
import { describe, expect, it } from "vitest"
import { aeadProviderWith } from "@meridian/ciphers/aead"
import { AeadJobError, loadAeadBinding } from "../src/aead-native.ts"
import { systemClock } from "@meridian/clocks/system-clock"
import { movedOn } from "./moved-stamp.ts"

const result = loadAeadBinding()

/** One job; positions that are not named are 0. */
const jobOf = (fields: Record<number, number>): number[] =>
  Array.from({ length: JOB_STRIDE }, (_, position) => fields[position] ?? 0)

const good = {
  [Job.aead]: 15,
  [Job.nonceLength]: 16,
  [Job.flags]: SEAL,
  [Job.plaintextAt]: 20,
  [Job.plaintextLength]: 10,
  [Job.ciphertextAt]: 64
}
const bad: readonly (readonly [string, Record<number, number>])[] = [
  ["an unknown AEAD", { [Job.aead]: 18 }],
  ["a key past the end", { [Job.keyAt]: 33 }],
  ["a key before the start", { [Job.keyAt]: -1 }],
  ["a nonce past the end", { [Job.nonceAt]: 113 }],
  ["a nonce of negative length", { [Job.nonceLength]: -1 }],
  ["associated data past the end", { [Job.adAt]: 128, [Job.adLength]: 1 }],
  ["associated data whose end wraps 32 bits", { [Job.adAt]: 0x7fffffff, [Job.adLength]: 0x7fffffff }],
  ["a plaintext of negative length", { [Job.plaintextLength]: -16 }],
  ["a plaintext past the end", { [Job.plaintextAt]: 119 }],
  ["a plaintext past the end of the secrets", { [Job.flags]: SEAL + PLAINTEXT_IN_SECRETS, [Job.plaintextAt]: 55 }],
  ["a ciphertext whose tag is past the end", { [Job.ciphertextAt]: 103 }],
  ["a stamp past the end", { [Job.stampAt]: 121 }],
  ["a stamp before the start", { [Job.stampAt]: -8 }],
  ["a plaintext half over its ciphertext", { [Job.plaintextAt]: 70 }]
]

describe.runIf(result.binding !== undefined)("what native code refuses", () => {
  const { batch, cmac } = aeadProviderWith(result)

  it.each(bad)("a list of jobs with %s: a typed error names the job, and no byte has changed", (_what, wrong) => {
    const jobs = Int32Array.from([...jobOf(good), ...jobOf({ ...good, ...wrong })])
    const packets = new Uint8Array(128).fill(7)
    const secrets = new Uint8Array(64).fill(8)
    let thrown: unknown
    try {
      batch.run(jobs, 2, packets, secrets)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(AeadJobError)
    expect(thrown).toBeInstanceOf(RangeError)
    expect(thrown).toMatchObject({ _tag: "AeadJobError", job: 1 })
    expect(packets).toEqual(new Uint8Array(128).fill(7))
    expect(secrets).toEqual(new Uint8Array(64).fill(8))
    batch.run(jobs, 1, packets, secrets)
    expect(jobs[Job.status]).toBe(1)
  })

  it("a list of jobs with a count beyond the list, a negative one, and buffers that are gone or no arrays", () => {
    const jobs = Int32Array.from(jobOf(good))
    const packets = new Uint8Array(128)
    const secrets = new Uint8Array(64)
    expect(() => batch.run(jobs, 2, packets, secrets)).toThrow(AeadJobError)
    expect(() => batch.run(jobs, -1, packets, secrets)).toThrow(AeadJobError)
    expect(() => batch.run(jobs, 1, packets, new Float64Array(8) as never)).toThrow(TypeError)
    expect(() => batch.run(jobs, 1, undefined as never, secrets)).toThrow(TypeError)
    packets.buffer.transfer()
    expect(() => batch.run(jobs, 1, packets, secrets)).toThrow(AeadJobError)
    batch.run(jobs, 0, packets, secrets)
  })

  it("a CMAC outside its message, of a wrong key, or without room", () => {
    const bytes = new Uint8Array(20)
    expect(() => cmac(new Uint8Array(15), bytes, 0, 20, new Uint8Array(16))).toThrow(RangeError)
    expect(() => cmac(new Uint8Array(16), bytes, 1, 20, new Uint8Array(16))).toThrow(RangeError)
    expect(() => cmac(new Uint8Array(16), bytes, -1, 20, new Uint8Array(16))).toThrow(RangeError)
    expect(() => cmac(new Uint8Array(16), bytes, 0, 20, new Uint8Array(15))).toThrow(RangeError)
  })
})

describe.runIf(result.binding !== undefined)("a stamp in native code", () => {
  const { aeads, batch } = aeadProviderWith(result)
  const STAMP = 0xe4f0_0000_0000_0001n
  /** Seals 10 bytes whose associated data are a stamp; how far it was moved, seconds. */
  const seal = (stampedAt?: number, stamp = STAMP): number => {
    const packets = new Uint8Array(128)
    const secrets = new Uint8Array(64).fill(8)
    const view = new DataView(packets.buffer)
    view.setBigUint64(32, stamp)
    const stamped = { ...good, [Job.adAt]: 32, [Job.adLength]: 8, [Job.stampAt]: 32 }
    batch.run(Int32Array.from(jobOf(stamped)), 1, packets, secrets, stampedAt)
    const opens = aeads
      .get(15)!
      .open(
        secrets.subarray(0, 32),
        packets.subarray(0, 16),
        packets.subarray(32, 40),
        packets.subarray(64, 90),
        new Uint8Array(10)
      )
    expect(opens).toBe(true)
    return Number(view.getBigUint64(32) - stamp) / 2 ** 32
  }

  it("is moved on by what CLOCK_MONOTONIC went since it was made, before its text is sealed", () => {
    const { moved, least, most } = movedOn(seal)
    expect(moved).toBeGreaterThanOrEqual(least)
    expect(moved).toBeLessThanOrEqual(most)
  })

  it("stays where it stands for no time, is not of the last second, or no reading is given", () => {
    const now = systemClock().monotonic.seconds()
    expect(seal(now - 0.25, 0n)).toBe(0)
    for (const stampedAt of [now + 1_000, now - 1_000, Number.NaN, undefined]) expect(seal(stampedAt)).toBe(0)
  })
})
