/** NTS-KE's records, in pieces of any size: the same as in one piece, and what they say is a request or a refusal. */
import assert from "node:assert/strict"
import { negotiate } from "../../../libs/auth/src/nts/nts-ke-server.ts"
import { encodeRecords, RecordDecoder } from "../../../libs/wire/src/nts-ke.ts"
import { recordedPackets } from "../recorded-packets.ts"

export const seeds = (root: string): readonly Uint8Array[] => recordedPackets(root).filter((it) => it[0] === 0x80)

export const fuzz = (data: Buffer): void => {
  const whole = new RecordDecoder()
  whole.push(data)
  const pieces = new RecordDecoder()
  const size = 1 + ((data[0] ?? 0) % 7)
  for (let at = 0; at < data.length; at += size) pieces.push(data.subarray(at, at + size))
  assert.equal(pieces.state, whole.state)
  assert.deepEqual(pieces.records, whole.records)
  if (whole.state !== "complete") return
  const length = data.length - whole.trailingBytes
  assert.deepEqual(Buffer.from(encodeRecords(whole.records)), data.subarray(0, length))
  const answer = negotiate(whole.records, whole.trailingBytes, new Set([15, 30]))
  assert.ok(["Agreed", "Declined", "Refused"].includes(answer._tag))
}
