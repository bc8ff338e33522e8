/** Frames of ntp_signd, both ways. */
import assert from "node:assert/strict"
import { readSigndAnswer, readSignRequest } from "../../../libs/wire/src/signd-frames.ts"
import { recordedPackets } from "../recorded-packets.ts"

export const seeds = (root: string): readonly Uint8Array[] => recordedPackets(root).slice(0, 100)

export const fuzz = (data: Buffer): void => {
  const request = readSignRequest(data)
  if (request !== undefined) assert.ok(request.packet.length < data.length)
  readSigndAnswer(data)
}
