/** Requests with fields, in batches: what is answered, and what bounds it. */
import { PUBLIC_COOKIE } from "@meridian/auth/autokey/session-key"
import { compileAccess } from "@meridian/protocol/access/access-list"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { gateOf } from "@meridian/protocol/access/access-plan"
import { AutokeyOperation, decodeAutokeyPacket } from "@meridian/wire/autokey-fields"
import { Offset } from "@meridian/wire/ntp"
import { BATCH_CAPACITY } from "@meridian/udp/udp"
import { describe, expect, it } from "vitest"
import { SIGNATURES_PER_SECOND, UNPROVED_ANSWERS_PER_SECOND } from "../src/answering.ts"

import { address, type Asked, host, keys, makeServer, OURS, publicKey, request } from "./server.ts"
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
