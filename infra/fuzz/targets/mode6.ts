/** Mode 6 requests and replies, and the text in them: read or refused, and nothing outside the datagram is looked at. */
import assert from "node:assert/strict"
import { decodeControlReply, decodeControlRequest } from "../../../libs/wire/src/mode6.ts"
import { parseControlItems } from "../../../libs/wire/src/mode6-text.ts"

export const seeds = (): readonly Uint8Array[] => [
  Buffer.from("16010001000000000000000000000000", "hex"),
  Buffer.concat([Buffer.from("1602000200000000000000", "hex"), Buffer.from("\x0cversion,refid")]),
  Buffer.concat([Buffer.from("160a00030000000000000018", "hex"), Buffer.from("nonce=0123, frags=32, laddr=")])
]

export const fuzz = (data: Buffer): void => {
  parseControlItems(data)
  decodeControlReply(data)
  const request = decodeControlRequest(data)
  if (typeof request === "string") return
  assert.ok(request.data.length <= data.length - 12)
  for (const at of request.macOffsets) assert.ok(at >= 12 + request.data.length && at < data.length)
}
