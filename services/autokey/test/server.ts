/** A server of Autokey's requests for a test: its credentials, and datagrams that come as a socket hands them over. */
import { generateKeyPairSync, randomFillSync } from "node:crypto"
import { issueHostCertificate } from "@meridian/auth/autokey/certificate-issue"
import { BadCredentials } from "@meridian/auth/autokey/host"
import { randomBelowFrom } from "@meridian/auth/autokey/identity"
import { openParty } from "@meridian/auth/autokey/party"
import { SecretRing } from "@meridian/auth/autokey/server-secret"
import { PUBLIC_COOKIE, SessionKeys } from "@meridian/auth/autokey/session-key"
import { schemeByName } from "@meridian/auth/autokey/signature-schemes"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { nodeDigests } from "@meridian/ciphers/digests"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { NtpServer } from "@meridian/protocol"
import { servedMoment } from "@meridian/testkit/served-moment"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import {
  autokeyFieldLength,
  AutokeyOperation,
  type AutokeyValue,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES, Offset } from "@meridian/wire/ntp"
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  LOCAL_ADDRESS_STRIDE,
  SLOT_BYTES,
  SLOT_STRIDE,
  type UdpSocket
} from "@meridian/udp/udp"
import { sourceAddressAt } from "@meridian/wire/source-address"
import { Answering } from "../src/answering.ts"

export const NOW = 1_795_180_974
export const OURS = Uint8Array.of(192, 0, 2, 1)
const digests = nodeDigests()
export const keys = new SessionKeys(digests, "MD5")
const pair = generateKeyPairSync("rsa", { modulusLength: 1024 })
const hostKey = pair.privateKey.export({ type: "pkcs8", format: "der" })
export const publicKey = pair.publicKey.export({ type: "pkcs1", format: "der" })
const about = { name: "alice", serial: 1, from: NOW - 1_000, lifetimeSeconds: 86_400, kind: "trusted" } as const
const certificate = issueHostCertificate(
  { ...about, gqPublic: undefined },
  nodeRsa.openPrivateKey(hostKey)!,
  schemeByName("RSA-MD5")!
)
const stamps = { hostFilestamp: 5, certificateFilestamp: 5 }
const credentials = { hostKey, signKey: undefined, certificate, identity: [], digest: "MD5", ...stamps } as const
const party = openParty(credentials, {
  rsa: nodeRsa,
  digests,
  randomBelow: randomBelowFrom((random) => void randomFillSync(random)),
  leapSeconds: undefined,
  autokeyValues: () => undefined
})
if (party instanceof BadCredentials) throw new Error(party.message)
export const { host } = party
const { responder } = party

const synchronised = { ...unsynchronisedCurve(), leap: 0, stratum: 6, deadline: Infinity } as const
export const address = (index: number): Uint8Array => Uint8Array.of(198, 51, index >> 8, index & 0xff)

/** One request's field from an address; its origin is what shows that a reply was got there. */
export const request = (
  operation: AutokeyOperation,
  source: Uint8Array,
  content?: Uint8Array,
  origin = 0n
): Uint8Array => {
  const value: AutokeyValue | undefined = content && {
    timestamp: 1,
    filestamp: 1,
    value: content,
    signature: new Uint8Array(0)
  }
  const field = { isResponse: false, isError: false, operation, associationId: 7, content: value }
  const end = HEADER_BYTES + autokeyFieldLength(field)
  const packet = new Uint8Array(end + keys.macBytes)
  packet.set(clientRequest(4, ntpTimestamp(1, 2)))
  new DataView(packet.buffer).setBigUint64(Offset.origin, origin)
  writeAutokeyField(packet, HEADER_BYTES, field)
  keys.append(packet, end, { source, destination: OURS }, 0x6a61_934b, PUBLIC_COOKIE)
  return packet
}

export interface Asked {
  readonly source: Uint8Array
  readonly packet: Uint8Array
}

/** A server with its credentials, and datagrams that come as a socket hands them over. Its time stands still until it is told to go on. */
export const makeServer = () => {
  const bytes = new Uint8Array(SLOT_STRIDE * BATCH_CAPACITY)
  const socket = {
    bytes,
    view: new DataView(bytes.buffer),
    family: 4 as const,
    requestLengths: new Uint32Array(BATCH_CAPACITY),
    replyLengths: new Uint32Array(BATCH_CAPACITY),
    arrivalSeconds: new Uint32Array(BATCH_CAPACITY).fill(ntpSeconds(NOW)),
    arrivalFractions: new Uint32Array(BATCH_CAPACITY),
    served: servedMoment(synchronised, { seconds: NOW, nanoseconds: 0 }, 10),
    now: Float64Array.of(NOW, 10, 0),
    addresses: new Uint8Array(ADDRESS_STRIDE * BATCH_CAPACITY),
    localAddresses: new Uint8Array(LOCAL_ADDRESS_STRIDE * BATCH_CAPACITY),
    receive: () => waiting.length,
    send: (count: number) => socket.replyLengths.subarray(0, count).filter((length) => length > 0).length
  }
  let waiting: readonly Asked[] = []
  let monotonic = 10
  const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: SLOT_BYTES })
  const answering = new Answering(server, () => monotonic)
  answering.answerer = {
    responder,
    keys,
    secrets: new SecretRing([{ value: 0x1234_5678, activation: NOW - 100, retirement: NOW + 100_000 }])
  }
  const batch = (asked: readonly Asked[]): readonly Uint8Array[] => {
    waiting = asked
    asked.forEach(({ source, packet }, slot) => {
      bytes.set(packet.subarray(0, SLOT_BYTES), slot * SLOT_STRIDE)
      socket.requestLengths[slot] = packet.length
      socket.addresses.set(source, sourceAddressAt(slot, 4))
      socket.localAddresses.set(OURS, slot * LOCAL_ADDRESS_STRIDE)
    })
    answering.serve(socket as unknown as UdpSocket)
    return asked.map((_, slot) =>
      bytes.slice(slot * SLOT_STRIDE, slot * SLOT_STRIDE + (socket.replyLengths[slot] ?? 0))
    )
  }
  /** Any number of them, a batch at a time. */
  const serve = (asked: readonly Asked[]): readonly Uint8Array[] =>
    Array.from({ length: Math.ceil(asked.length / BATCH_CAPACITY) }, (_, index) =>
      batch(asked.slice(index * BATCH_CAPACITY, (index + 1) * BATCH_CAPACITY))
    ).flat()
  const advance = (seconds: number): void => {
    monotonic += seconds
    const now = NOW + monotonic - 10
    socket.now.set([now, monotonic])
    socket.arrivalSeconds.fill(ntpSeconds(now))
    socket.served = servedMoment(synchronised, { seconds: Math.floor(now), nanoseconds: 0 }, monotonic)
  }
  return { serve, answering, advance }
}
