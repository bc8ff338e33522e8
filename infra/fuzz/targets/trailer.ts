/** What follows a header: every field and MAC that is found lies inside the packet, and NTS's fields inside theirs. */
import assert from "node:assert/strict"
import { HEADER_BYTES } from "../../../libs/wire/src/ntp.ts"
import { findNtsFields, newNtsFields, NtsShape, walkEncryptedFields } from "../../../libs/wire/src/nts-fields.ts"
import { fieldLength, newTrailer, scanTrailer, TrailerShape } from "../../../libs/wire/src/trailer.ts"
import { recordedPackets } from "../recorded-packets.ts"

export const seeds = recordedPackets

const trailer = newTrailer()
const fields = newNtsFields()

export const fuzz = (data: Buffer): void => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  walkEncryptedFields(view, 0, data.length, (_type, at, length) => assert.ok(at + length <= data.length))
  if (data.length < HEADER_BYTES) return
  const shape = scanTrailer(view, 0, data.length, (data[0]! >> 3) & 7, trailer)
  if (shape === TrailerShape.malformed) return
  if (trailer.macOffset > 0) assert.equal(trailer.macOffset + trailer.macLength, data.length)
  for (const at of trailer.fieldOffsets.subarray(0, trailer.fieldCount))
    assert.ok(at >= HEADER_BYTES && at + fieldLength(view, at) <= data.length)
  if (findNtsFields(view, trailer, fields) !== NtsShape.authenticated) return
  assert.ok(fields.uniqueIdentifierOffset + fields.uniqueIdentifierLength <= fields.authenticatorOffset)
  assert.ok(fields.cookieOffset + fields.cookieLength <= fields.authenticatorOffset)
  assert.ok(fields.nonceOffset + fields.nonceLength <= fields.ciphertextOffset)
  assert.ok(fields.ciphertextOffset + fields.ciphertextLength <= data.length)
}
