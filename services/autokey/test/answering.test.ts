/** Requests with fields, in batches: what is answered, and what bounds it. */
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
import { compileAccess } from "@meridian/protocol/access/access-list"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { gateOf } from "@meridian/protocol/access/access-plan"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { NtpServer } from "@meridian/protocol"
import { servedMoment } from "@meridian/testkit/served-moment"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import {
  autokeyFieldLength,
  AutokeyOperation,
  type AutokeyValue,
  decodeAutokeyPacket,
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
import { describe, expect, it } from "vitest"
import { Answering, SIGNATURES_PER_SECOND, UNPROVED_ANSWERS_PER_SECOND } from "../src/answering.ts"

const NOW = 1_795_180_974
const OURS = Uint8Array.of(192, 0, 2, 1)
const digests = nodeDigests()
const keys = new SessionKeys(digests, "MD5")
const pair = generateKeyPairSync("rsa", { modulusLength: 1024 })
const hostKey = pair.privateKey.export({ type: "pkcs8", format: "der" })
const publicKey = pair.publicKey.export({ type: "pkcs1", format: "der" })
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
const { host, responder } = party

const synchronised = { ...unsynchronisedCurve(), leap: 0, stratum: 6, deadline: Infinity } as const
const address = (index: number): Uint8Array => Uint8Array.of(198, 51, index >> 8, index & 0xff)

/** One request's field from an address; its origin is what shows that a reply was got there. */
const request = (operation: AutokeyOperation, source: Uint8Array, content?: Uint8Array, origin = 0n): Uint8Array => {
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

interface Asked {
  readonly source: Uint8Array
  readonly packet: Uint8Array
}

/** A server with its credentials, and datagrams that come as a socket hands them over. Its time stands still. */
const makeServer = () => {
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
    now: Float64Array.of(NOW, 10),
    addresses: new Uint8Array(ADDRESS_STRIDE * BATCH_CAPACITY),
    localAddresses: new Uint8Array(LOCAL_ADDRESS_STRIDE * BATCH_CAPACITY),
    receive: () => waiting.length,
    send: () => socket.replyLengths.filter((length) => length > 0).length
  }
  let waiting: readonly Asked[] = []
  const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: SLOT_BYTES })
  const answering = new Answering(server, () => 10)
  answering.answerer = {
    responder,
    keys,
    secrets: new SecretRing([{ value: 0x1234_5678, activation: NOW - 100, retirement: NOW + 100_000 }])
  }
  const batch = (asked: readonly Asked[]): readonly Uint8Array[] => {
    waiting = asked
    asked.forEach(({ source, packet }, slot) => {
      bytes.set(packet, slot * SLOT_STRIDE)
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
  return { serve, answering }
}

const name = new TextEncoder().encode("bob")
const hello = (source: Uint8Array): Asked => ({ source, packet: request(AutokeyOperation.association, source, name) })
const alice = new TextEncoder().encode("alice")

describe("requests with fields", () => {
  it("are answered with the certificate to whoever shows that the reply before arrived", () => {
    const { serve, answering } = makeServer()
    const source = address(1)
    const [first] = serve([hello(source)])
    expect(first!.length).toBe(hello(source).packet.length + 4)
    const transmit = new DataView(first!.buffer).getBigUint64(Offset.transmit)
    const [reply] = serve([{ source, packet: request(AutokeyOperation.certificate, source, alice, transmit) }])
    const read = decodeAutokeyPacket(reply!)
    if (typeof read === "string") throw new Error(read)
    expect(read.fields[0]).toMatchObject({ isResponse: true, isError: false })
    expect(read.fields[0]?.content?.value).toEqual(host.certificate.der)
    expect(keys.verify(reply!, read.macOffset, { source: OURS, destination: source }, PUBLIC_COOKIE)).toBe(true)
    expect(answering.outcomes).toEqual({ association: 1, certificate: 1 })
  })

  it("under a wrong MAC, or cut short, get nothing", () => {
    const { serve, answering } = makeServer()
    const source = address(1)
    const { packet } = hello(source)
    const wrong = packet.with(packet.length - 1, packet.at(-1)! ^ 1)
    const replies = serve(
      [wrong, packet.subarray(0, 60), packet.subarray(0, 52)].map((each) => ({ source, packet: each }))
    )
    expect(replies.map(({ length }) => length)).toEqual([0, 0, 0])
    expect(answering.outcomes["bad-mac"]).toBe(1)
  })

  it("of one address are bounded, and no other address pays for it", () => {
    const { serve, answering } = makeServer()
    const flood = Array.from({ length: 200 }, () => hello(address(1)))
    const replies = serve([...flood, hello(address(2))])
    expect(replies.filter(({ length }) => length > 0)).toHaveLength(9)
    expect(replies.at(-1)).not.toHaveLength(0)
    expect(answering.outcomes).toEqual({ association: 9, "limited-address": 192 })
  })

  it("from made-up addresses get few answers that are longer than they are", () => {
    const { serve, answering } = makeServer()
    const sources = Array.from({ length: 500 }, (_, index) => address(index))
    const forged = sources.map((source) => ({
      source,
      packet: request(AutokeyOperation.certificate, source, alice, 99n)
    }))
    const replies = serve(forged)
    const longer = replies.filter(({ length }, index) => length > forged[index]!.packet.length)
    expect(longer).toHaveLength(UNPROVED_ANSWERS_PER_SECOND)
    expect(answering.outcomes["limited-unproved"]).toBe(500 - UNPROVED_ANSWERS_PER_SECOND)
  })

  it("of those whom the access list ignores get nothing, and take nothing that is bounded from others", () => {
    const { serve, answering } = makeServer()
    const ignored = { family: 4, bytes: [198, 51, 0, 0], length: 24, ntpPort: false, flags: AccessFlag.ignore } as const
    answering.admission = gateOf(
      {
        layers: [compileAccess([ignored])],
        limit: { law: "score", average: 1, burst: 20, kod: 0.5 },
        manners: { limited: false, kod: false, queriesOfAnyVersion: false },
        clients: null
      },
      undefined,
      1,
      BATCH_CAPACITY
    )
    const asks = (index: number): Asked => {
      const source = address(index)
      return { source, packet: request(AutokeyOperation.certificate, source, alice, 99n) }
    }
    const strangers = Array.from({ length: 200 }, (_, index) => asks(index))
    const replies = serve([...strangers, asks(256)])
    expect(replies.filter(({ length }) => length > 0)).toHaveLength(1)
    expect(replies.at(-1)).not.toHaveLength(0)
    expect(answering.outcomes).toEqual({ "access-ignored": 200, certificate: 1 })
  })

  it.each([
    ["over their limit", [], "rate-limited"],
    ["refused with a reason", [AccessFlag.noserve | AccessFlag.kodDeny], "access-refused"],
    ["restricted with a reason", [AccessFlag.noserve | AccessFlag.kodRstr], "access-refused"]
  ] as const)("of those %s get silence in place of a kiss, under the name of what it is", (_who, rules, counted) => {
    const { serve, answering } = makeServer()
    const anywhere = { family: 4, bytes: [0, 0, 0, 0], length: 0, ntpPort: false } as const
    answering.admission = gateOf(
      {
        layers: rules.map((flags) => compileAccess([{ ...anywhere, flags }])),
        limit: { law: "score", average: 1, burst: 2, kod: 0.5 },
        manners: { limited: true, kod: true, queriesOfAnyVersion: false },
        clients: { bytes: 2 ** 16, maxAge: 3_600, minAge: 1, ipv6Prefix: 64 } as never
      },
      new ArrayBuffer(2 ** 16),
      1,
      BATCH_CAPACITY
    )
    const replies = serve(Array.from({ length: 60 }, () => hello(address(3))))
    const { association = 0, ...refused } = answering.outcomes
    expect(replies.filter(({ length }) => length > 0)).toHaveLength(association)
    expect(Object.keys(refused).filter((name) => !name.startsWith("limited-"))).toEqual([counted])
  })

  it("for cookies cost no more than so many signatures a second, from true addresses too", () => {
    const { serve, answering } = makeServer()
    const sources = Array.from({ length: 400 }, (_, index) => address(index))
    const greeted = serve(sources.map(hello))
    const asked = sources.map((source, index) => {
      const transmit = new DataView(greeted[index]!.buffer).getBigUint64(Offset.transmit)
      return { source, packet: request(AutokeyOperation.cookie, source, publicKey, transmit) }
    })
    const replies = serve(asked)
    expect(replies.filter(({ length }) => length > 0)).toHaveLength(SIGNATURES_PER_SECOND)
    expect(answering.outcomes).toEqual({
      association: 400,
      cookie: SIGNATURES_PER_SECOND,
      "limited-signatures": 400 - SIGNATURES_PER_SECOND
    })
  })
})
