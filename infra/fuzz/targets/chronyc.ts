/** chronyc's requests: read, refused with a status, or not answered. */
import assert from "node:assert/strict"
import { decodeChronyRequest, readChronyAddress } from "../../../libs/wire/src/chronyc.ts"

export const seeds = (): readonly Uint8Array[] =>
  [33, 14, 15, 54, 44, 57].map((command) => {
    const bytes = Buffer.alloc(104)
    bytes[0] = 6
    bytes[1] = 1
    bytes.writeUInt16BE(command, 4)
    return bytes
  })

export const fuzz = (data: Buffer): void => {
  const request = decodeChronyRequest(data)
  if (request !== undefined) assert.equal(request.command, data.readUInt16BE(4))
  if (data.length >= 20) readChronyAddress(new DataView(data.buffer, data.byteOffset, data.byteLength))
}
