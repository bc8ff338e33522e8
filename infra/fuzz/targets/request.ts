/** A datagram to a worker with keys and NTS: no reply is longer, and no byte outside the request is touched. */
import assert from "node:assert/strict"
import { nobleBatch } from "../../../libs/auth/src/nts/aead-noble.ts"
import { nobleCmac } from "../../../libs/auth/src/symmetric/cmac-noble.ts"
import { KeyRing } from "../../../libs/auth/src/nts/key-ring.ts"
import { KeyTable, SymmetricKey } from "../../../libs/auth/src/symmetric/key-table.ts"
import { macAlgorithms } from "../../../libs/auth/src/symmetric/mac-algorithms.ts"
import { macBatchOver } from "../../../libs/auth/src/symmetric/mac-batch.ts"
import { MacServer } from "../../../libs/auth/src/symmetric/mac-server.ts"
import { NtsServer } from "../../../libs/auth/src/nts/nts-server.ts"
import { KeyedAuthenticator } from "../../../libs/protocol/src/keyed-authenticator.ts"
import { NtsAuthenticator } from "../../../libs/protocol/src/nts-authenticator.ts"
import { NtpServer } from "../../../libs/protocol/src/server.ts"
import { servedMoment } from "../../../libs/testkit/src/served-moment.ts"
import { Leap, unsynchronisedCurve } from "../../../libs/time/src/clock-curve.ts"
import { ntpSeconds } from "../../../libs/time/src/timestamp.ts"
import { SOURCE_STRIDE } from "../../../libs/wire/src/source-address.ts"
import { recordedPackets } from "../recorded-packets.ts"

const NOW = 1_795_000_000
const SLOT = 4_096
const UNTOUCHED = 0x5a

export const seeds = recordedPackets

const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: 2_048 })
const nts = new NtsServer({ batch: nobleBatch, fillRandom: (bytes) => void bytes.fill(7), slots: 1 })
nts.useRing(
  KeyRing.of([{ id: 5, key: new Uint8Array(32).fill(5), activation: NOW - 100, retirement: NOW + 100, revoked: false }])
)
const macs = new MacServer(
  macBatchOver(
    {
      supports: (name) => name.startsWith("AES"),
      digest: (_name, key, bytes, at, length, out) => nobleCmac(key, bytes, at, length, out)
    },
    () => 10
  ),
  1
)
macs.useKeys(
  KeyTable.of([new SymmetricKey(1, macAlgorithms["AES-128"], new Uint8Array(16).fill(1))]).withTrusted([
    { first: 1, last: 1 }
  ])
)
server.authenticators = [new NtsAuthenticator(nts, true), new KeyedAuthenticator(macs, true)]
const bytes = new Uint8Array(2 * SLOT)
const batch = {
  bytes,
  view: new DataView(bytes.buffer),
  family: 4,
  addresses: new Uint8Array(SOURCE_STRIDE),
  localAddresses: new Uint8Array(16)
} as const
const moment = servedMoment(
  { ...unsynchronisedCurve(), leap: Leap.none, stratum: 2, deadline: 1_000 },
  { seconds: NOW, nanoseconds: 0 },
  10
)

export const fuzz = (data: Buffer): void => {
  const length = Math.min(data.length, 2_048)
  bytes.fill(UNTOUCHED)
  bytes.set(data.subarray(0, length))
  server.beginBatch(batch, moment, NOW, 10)
  const first = server.handle(0, 0, length, ntpSeconds(NOW), 0)
  const outcome = first._tag === "Pending" ? server.finish(0, 0, ntpSeconds(NOW), 0) : first
  server.endBatch()
  if (outcome._tag === "Respond") assert.ok(server.replyLength <= length, `${server.replyLength} for ${length}`)
  assert.ok(bytes.subarray(length).every((byte) => byte === UNTOUCHED))
}
