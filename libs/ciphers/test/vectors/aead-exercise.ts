/**
 * Runs random lists of AEAD jobs, right and wrong ones, through an addon built with sanitizers; each buffer is a heap
 * block of exactly its size. Run by aead-engine.test.ts. Arguments: path of the addon. Prints how many lists were
 * accepted and how many refused.
 */
import assert from "node:assert/strict"
import { aeadParameters, JOB_STRIDE } from "@meridian/auth/aead"
import { aeadBindingOf, AeadJobError, nativeBatch, nativeCmac } from "../../src/aead-native.ts"
import { loadNativeFrom } from "@meridian/system/native"
import { nativeClock } from "@meridian/clocks/system-clock"

const LISTS = 30_000
const { addon, reason } = loadNativeFrom(process.argv[2] ?? "")
if (addon === undefined) throw new Error(reason)
const { binding, reason: noEngine } = aeadBindingOf(addon)
if (binding === undefined) {
  process.stdout.write(`no engine: ${noEngine}\n`)
  process.exit(0)
}
const batch = nativeBatch(binding)
const { monotonic } = nativeClock(addon)
const cmac = nativeCmac(binding)

let state = 20_261_121
const below = (limit: number): number => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % limit
}
const pick = (values: readonly number[]): number => values[below(values.length)] ?? 0

/** Mostly within `size`, often at its edge, sometimes far outside. */
const offsetIn = (size: number): number => {
  const kind = below(150)
  if (kind === 0) return pick([-1, size + 1, 2 ** 31 - 1, -(2 ** 31)])
  return kind < 5 ? size - below(Math.min(size, 20) + 1) : below(Math.floor(size / 2) + 1)
}
const lengthIn = (size: number): number => {
  const kind = below(150)
  return kind === 0 ? pick([-1, size + 1, 2 ** 31 - 1]) : below(Math.floor(size / 3) + 1)
}

const randomJob = (packets: number, secrets: number): number[] => {
  const aead = below(150) === 0 ? pick([0, 14, 31, -15]) : pick([15, 16, 17, 30])
  const nonceLength = below(10) > 0 ? 12 : pick([16, 1, 64, 65, 0, 11, 13, lengthIn(packets)])
  const plaintextLength = lengthIn(packets)
  const ciphertextAt = offsetIn(packets)
  const inPlace = ciphertextAt + (aead === 30 ? 0 : 16)
  const plaintextAt = below(4) > 0 ? inPlace : offsetIn(packets)
  const key = below(3) === 0 ? 0 : offsetIn(secrets)
  const ad = [offsetIn(packets), lengthIn(packets)]
  return [below(8), aead, key, offsetIn(packets), nonceLength, ...ad, plaintextAt, plaintextLength, ciphertextAt, 9, below(2) * offsetIn(packets)]
}

/** The port's rules once more, written without looking at the C code. */
const isRight = (job: readonly number[], packets: number, secrets: number): boolean => {
  const [flags = 0, id = 0, key = 0, nonceAt = 0, nonceLength = 0, adAt = 0, adLength = 0, textAt = 0, text = 0, sealed = 0, , stamp = 0] = job
  const aead = aeadParameters(id)
  const fits = (at: number, length: number, size: number) => at >= 0 && length >= 0 && at + length <= size
  if (aead === undefined || !fits(key, aead.keyBytes, secrets)) return false
  if (!fits(nonceAt, nonceLength, packets) || !fits(adAt, adLength, packets)) return false
  if (stamp !== 0 && !fits(stamp, 8, packets)) return false
  const inSecrets = (flags & 2) !== 0
  if (!fits(textAt, text, inSecrets ? secrets : packets) || !fits(sealed, text + 16, packets)) return false
  const inPlace = textAt === sealed + (aead.tagFirst ? 16 : 0)
  const apart = textAt + text <= sealed || sealed + text + 16 <= textAt
  if (!inSecrets && text > 0 && !inPlace && !apart) return false
  const takesNonce = aead.tagFirst ? nonceLength >= 1 && nonceLength <= 64 : nonceLength === 12
  return takesNonce || (flags & 1) === 0
}

const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(256))

const counts = { accepted: 0, refused: 0 }
for (let list = 0; list < LISTS; list += 1) {
  const packets = random(200 + below(300))
  const secrets = random(64 + below(200))
  const rows = Array.from({ length: 1 + below(3) }, () => randomJob(packets.length, secrets.length))
  const jobs = Int32Array.from(rows.flat())
  const right = rows.every((row) => isRight(row, packets.length, secrets.length))
  const [packetsBefore, secretsBefore] = [packets.slice(), secrets.slice()]
  try {
    batch.run(jobs, rows.length, packets, secrets, below(2) * monotonic.seconds())
    assert.ok(right, `accepted ${rows.join(" | ")}`)
    for (let row = 0; row < rows.length; row += 1) assert.ok([0, 1].includes(jobs[row * JOB_STRIDE + 10] ?? -1))
    counts.accepted += 1
  } catch (error) {
    assert.ok(error instanceof AeadJobError, String(error))
    assert.ok(!right, `refused ${rows.join(" | ")} of ${packets.length}, ${secrets.length}: ${error.message}`)
    assert.deepEqual([packets, secrets], [packetsBefore, secretsBefore])
    counts.refused += 1
  }
}
for (let length = 0; length < 200; length += 1) {
  const bytes = random(length)
  for (const keyBytes of [16, 24, 32]) assert.equal(cmac(random(keyBytes), bytes, 0, length, new Uint8Array(16)), 16)
  assert.throws(() => cmac(random(16), bytes, 1, length, new Uint8Array(16)), RangeError)
}
for (const value of [undefined, null, 1, "x", [], {}, new Float64Array(4), new DataView(new ArrayBuffer(8))]) {
  assert.throws(() => batch.run(value as never, 1, new Uint8Array(1), new Uint8Array(1)))
  assert.throws(() => batch.run(new Int32Array(12), 1, value as never, new Uint8Array(1)))
  assert.throws(() => cmac(new Uint8Array(16), value as never, 0, 0, new Uint8Array(16)))
}
process.stdout.write(`${counts.accepted} accepted, ${counts.refused} refused\n`)
