/**
 * What the worker needs beyond plain NTP. Loaded when the first keys arrive: a node without keys does not carry the
 * ciphers' memory.
 */
import { randomFillSync } from "node:crypto"
import { MacServer } from "@meridian/auth/mac-server"
import { NtsServer } from "@meridian/auth/nts-server"
import type { ParsedKeys } from "@meridian/auth/serving-keys"
import { aeadProvider } from "@meridian/ciphers/aead"
import { installedMacs } from "@meridian/ciphers/macs-native"
import { BATCH_CAPACITY } from "@meridian/udp/udp"
import type { Authentication } from "@meridian/protocol/server"

const provider = aeadProvider()
const macs = new MacServer(installedMacs(), BATCH_CAPACITY)
const nts = new NtsServer({
  batch: provider.batch,
  fillRandom: (bytes) => void randomFillSync(bytes),
  slots: BATCH_CAPACITY
})

/** Takes these keys into use; what the server held before is gone. To be called between batches. */
export const authenticationWith = (keys: ParsedKeys): Authentication => {
  nts.useRing(keys.ring)
  macs.useKeys(keys.table)
  return {
    macs,
    sendCryptoNak: keys.sendCryptoNak,
    nts,
    servesNts: keys.ring.generations.length > 0
  }
}
