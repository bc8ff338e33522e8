/** Autokey's packets, values, certificates and key files: read or a named fault. */
import assert from "node:assert/strict"
import { readCertificate } from "../../../libs/auth/src/autokey/certificate.ts"
import { readAutokeyFile } from "../../../libs/auth/src/autokey/key-file.ts"
import { readDsa, readPkcs8, readRsa } from "../../../libs/auth/src/autokey/private-keys.ts"
import {
  decodeAutokeyPacket,
  decodeAutokeyValues,
  decodeLeapSecondsValues
} from "../../../libs/wire/src/autokey-fields.ts"
import { readElements, readTime } from "../../../libs/wire/src/der.ts"
import { recordedPackets } from "../recorded-packets.ts"

export const seeds = recordedPackets

export const fuzz = (data: Buffer): void => {
  decodeAutokeyValues(data)
  decodeLeapSecondsValues(data)
  readCertificate(data)
  readPkcs8(data)
  readRsa(data)
  readDsa(data)
  readAutokeyFile(data.toString("latin1"))
  for (const element of readElements(data) ?? []) readTime(element)
  const packet = decodeAutokeyPacket(data)
  if (typeof packet === "string") return
  assert.equal(packet.macOffset + packet.macLength, data.length)
}
