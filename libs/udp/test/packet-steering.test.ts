/** Which socket of a group a packet goes to: as the program says, and as the kernel does it. */
import fc from "fast-check"
import { createSocket } from "node:dgram"
import { afterEach, describe, expect, it } from "vitest"
import { msSntpRequestLength } from "@meridian/wire/ms-sntp"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"
import { type PacketKind, steeringProgram, steerPackets } from "../src/packet-steering.ts"
import type { UdpSocket } from "../src/udp.ts"
import { runClassicProgram } from "./classic-bpf-machine.ts"
import { until } from "./udp-client.ts"

const every: readonly PacketKind[] = ["control", "signd", "autokey"]
const WORKERS = 3

const ipv4 = (source: number): Uint8Array => {
  const header = new Uint8Array(20)
  new DataView(header.buffer).setUint32(12, source)
  return header
}
const ipv6 = (...source: readonly number[]): Uint8Array => {
  const header = new Uint8Array(40)
  source.forEach((word, index) => new DataView(header.buffer).setUint32(8 + 4 * index, word))
  return header
}

/** "worker", or the kind whose socket it is. */
const placeOf = (packet: Uint8Array, kinds: readonly PacketKind[] = every): string => {
  const program = steeringProgram({ family: 4, workers: WORKERS, kinds, seed: 7 })
  const index = runClassicProgram(program, ipv4(0xc000_0207), packet)
  return index < WORKERS ? "worker" : (kinds[index - WORKERS] ?? `socket ${index}`)
}

const packet = (version: number, mode: number, ...trailer: readonly number[]): Uint8Array =>
  Uint8Array.from([(version << 3) | mode, ...Array.from({ length: 47 }, () => 9), ...trailer])
const zeros = (count: number): readonly number[] => Array.from({ length: count }, () => 0)
const digest = (count = 16): readonly number[] => Array.from({ length: count }, () => 0xab)
const RID = [0x4f, 4, 0, 0]
const SESSION = [0x12, 0x34, 0x56, 0x78]
const field = (type: number, length: number): readonly number[] => [
  type >> 8,
  type & 0xff,
  length >> 8,
  length & 0xff,
  ...Array.from({ length: length - 4 }, () => 3)
]
const extended = (hashHints = 1): readonly number[] => [...RID, 0, 0, hashHints, 0, ...zeros(64)]

describe("a packet goes to", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["a plain request", packet(4, 3), "worker"],
    ["a symmetric active one", packet(4, 1), "worker"],
    ["an empty datagram", new Uint8Array(0), "worker"],
    ["one octet of mode 6", Uint8Array.of(0x26), "control"],
    ["a query, mode 6", packet(2, 6).subarray(0, 12), "control"],
    ["a private query, mode 7", packet(2, 7), "control"],
    ["a reply", packet(4, 4, ...RID, ...zeros(16)), "worker"],
    ["a broadcast with Autokey's field", packet(4, 5, ...field(0x8204, 28), ...SESSION, ...digest()), "worker"],
    ["a keyed request", packet(4, 3, 0, 0, 0, 7, ...digest()), "worker"],
    ["one with a digest of zeros under no key", packet(3, 3, 0, 0, 0, 0, ...zeros(16)), "worker"],
    ["Windows' request", packet(3, 3, ...RID, ...zeros(16)), "signd"],
    ["that in version 4", packet(4, 1, ...RID, ...zeros(16)), "signd"],
    ["that in version 2", packet(2, 3, ...RID, ...zeros(16)), "worker"],
    ["that for the previous password", packet(3, 3, 0x4f, 4, 0, 0x80, ...zeros(16)), "signd"],
    ["one for the previous password of nobody", packet(3, 3, 0, 0, 0, 0x80, ...zeros(16)), "worker"],
    ["one whose last octet is set", packet(3, 3, ...RID, ...zeros(15), 1), "worker"],
    ["the extended authenticator", packet(3, 3, ...extended()), "signd"],
    ["that without the hash", packet(3, 3, ...extended(0)), "worker"],
    ["that with an octet set", packet(3, 3, ...extended().with(-40, 1)), "worker"],
    ["Autokey's association request", packet(4, 3, ...field(0x0201, 28), ...SESSION, ...digest()), "autokey"],
    ["that in version 3", packet(3, 3, ...field(0x0201, 28), ...SESSION, ...digest()), "autokey"],
    ["that without a MAC and too short for one", packet(4, 3, ...field(0x0201, 24)), "worker"],
    ["its answer of an active peer", packet(4, 1, ...field(0x8201, 100), ...SESSION, ...digest(20)), "autokey"],
    ["an error", packet(4, 1, ...field(0xc203, 8), ...SESSION, ...digest()), "autokey"],
    ["the autokey request", packet(4, 3, ...field(0x0204, 8), ...SESSION, ...digest()), "autokey"],
    ["the autokey answer", packet(4, 1, ...field(0x8204, 36), ...SESSION, ...digest()), "autokey"],
    ["a session-keyed request without fields", packet(4, 3, ...SESSION, ...digest()), "worker"],
    ["an NTS request", packet(4, 3, ...field(0x0104, 36), ...field(0x0204, 104), ...field(0x0404, 40)), "worker"],
    ["an NTS request, cookie first", packet(4, 3, ...field(0x0204, 104), ...field(0x0104, 36)), "worker"],
    ["placeholders first", packet(4, 3, ...field(0x0304, 104), ...field(0x0104, 36)), "worker"],
    ["the authenticator first", packet(4, 3, ...field(0x0404, 104)), "worker"],
    ["a checksum complement", packet(4, 3, ...field(0x2005, 28)), "worker"]
  ])("%s: %#", (_name, bytes, place) => {
    expect(placeOf(bytes)).toBe(place)
    // Without a service of its own it stays with the workers, whichever services the others have.
    for (const kinds of [
      [],
      ["control"],
      ["signd"],
      ["autokey"],
      ["autokey", "control"],
      ["signd", "autokey"]
    ] as const)
      expect(placeOf(bytes, kinds)).toBe((kinds as readonly string[]).includes(place) ? place : "worker")
  })

  it("signd wherever the worker would know it for Windows', and only there", () => {
    const trailer = fc.oneof(
      fc
        .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.nat({ max: 16 }))
        .map(([id, dirty]) => [...id, ...zeros(16).map((_, at) => (at === dirty ? 1 : 0))]),
      fc
        .tuple(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.nat({ max: 90 }))
        .map(([head, dirty]) => [...head, ...zeros(64).map((_, at) => (at === dirty ? 1 : 0))]),
      fc.uint8Array({ maxLength: 100 }).map((bytes) => [...bytes])
    )
    fc.assert(
      fc.property(fc.nat({ max: 7 }), fc.nat({ max: 7 }), trailer, (version, mode, rest) => {
        const bytes = packet(version, mode, ...rest)
        const isWindows = msSntpRequestLength(new DataView(bytes.buffer), 0, bytes.length) !== 0
        expect(placeOf(bytes, ["signd"])).toBe(isWindows ? "signd" : "worker")
      }),
      { numRuns: 3_000 }
    )
  })
})

describe("requests are spread", () => {
  const request = packet(4, 3)
  const shares = (family: 4 | 6, workers: number, headers: readonly Uint8Array[]): readonly number[] => {
    const program = steeringProgram({ family, workers, kinds: every, seed: 0x5eed_5eed })
    const counts = Array.from({ length: workers }, () => 0)
    for (const header of headers) counts[runClassicProgram(program, header, request)]! += 1
    return counts.map((count) => (count * workers) / headers.length)
  }
  const many = Array.from({ length: 6_000 }, (_, index) => index)

  it.each([
    ["neighbours", 4, many.map((index) => ipv4(0x0a00_0000 + index))],
    ["gateways", 4, many.map((index) => ipv4(0x0a00_0001 + index * 65_536))],
    ["sites of IPv6", 6, many.map((index) => ipv6(0x2001_0db8, index, 0, 1))],
    ["providers of IPv6", 6, many.map((index) => ipv6(0x2a00_0000 + index, 0, 0, 1))]
  ] as const)("evenly: %s", (_name, family, headers) => {
    for (const workers of [2, 3, 7, 16])
      for (const share of shares(family, workers, headers)) expect(Math.abs(share - 1)).toBeLessThan(0.2)
  })
  it("by nothing of an IPv6 address but its network", () => {
    const program = steeringProgram({ family: 6, workers: 16, kinds: [], seed: 1 })
    const places = many.map((index) => runClassicProgram(program, ipv6(0x2001_0db8, 5, index * 77, index), request))
    expect(new Set(places).size).toBe(1)
  })
  it("differently by each seed", () => {
    const by = (seed: number) => {
      const program = steeringProgram({ family: 4, workers: 4, kinds: [], seed })
      return many.slice(0, 100).map((index) => runClassicProgram(program, ipv4(index), request))
    }
    expect(by(1)).toEqual(by(1))
    expect(by(1)).not.toEqual(by(2))
  })
})

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A group with its program, as the supervisor opens it: workers first, then the kinds. */
const openGroup = (address: string, port: number, kinds: readonly PacketKind[]) => {
  const sockets: UdpSocket[] = []
  const descriptors: number[] = []
  for (let index = 0; index < WORKERS + kinds.length; index += 1) {
    const descriptor = bindUdpDescriptor({ address, port: sockets[0]?.port ?? port, exclusive: index === 0 })
    const socket = adoptUdp(descriptor)
    descriptors.push(descriptor)
    sockets.push(socket)
    cleanups.push(socket.close)
  }
  const family = address.includes(":") ? 6 : 4
  expect(steerPackets(descriptors[0]!, { family, workers: WORKERS, kinds, seed: 99 })).toBeUndefined()
  return sockets
}

/** Sends each packet from an address of its own and says at which socket it arrived. */
const arrivals = async (
  sockets: readonly UdpSocket[],
  to: string,
  packets: readonly { readonly from: string; readonly bytes: Uint8Array }[]
): Promise<readonly number[]> => {
  const places: number[] = []
  for (const { from, bytes } of packets) {
    const client = createSocket(to.includes(":") ? "udp6" : "udp4")
    await new Promise<void>((resolve) => client.bind(0, from, resolve))
    await new Promise((resolve) => client.send(bytes, sockets[0]!.port, to, resolve))
    let place = -1
    await until(() => {
      place = sockets.findIndex((socket) => socket.receive() > 0)
      return place >= 0
    })
    client.close()
    places.push(place)
  }
  return places
}

describe("the kernel", () => {
  const kindsOfPackets = [
    { bytes: packet(4, 6), place: WORKERS },
    { bytes: packet(3, 3, ...RID, ...zeros(16)), place: WORKERS + 1 },
    { bytes: packet(4, 3, ...field(0x0201, 28), ...SESSION, ...digest()), place: WORKERS + 2 }
  ]

  it.each(["127.0.0.1", "0.0.0.0"])("sends each packet to %s where the program says, by IPv4", async (address) => {
    const sockets = openGroup(address, 0, every)
    const program = steeringProgram({ family: 4, workers: WORKERS, kinds: every, seed: 99 })
    const requests = Array.from({ length: 12 }, (_, index) => ({ from: `127.0.1.${index + 1}`, bytes: packet(4, 3) }))
    const expected = requests.map((_, index) => runClassicProgram(program, ipv4(0x7f00_0101 + index), packet(4, 3)))
    expect(new Set(expected)).toEqual(new Set([0, 1, 2]))
    expect(await arrivals(sockets, "127.0.0.1", [...requests, ...requests])).toEqual([...expected, ...expected])
    const others = kindsOfPackets.map(({ bytes }) => ({ from: "127.0.1.1", bytes }))
    expect(await arrivals(sockets, "127.0.0.1", others)).toEqual(kindsOfPackets.map(({ place }) => place))
    expect(await arrivals(sockets, "127.0.0.1", [{ from: "127.0.1.9", bytes: new Uint8Array(0) }])).toEqual([0])
  })

  it("does so on a port that both families listen on, each by its own group", async () => {
    const four = openGroup("0.0.0.0", 0, every)
    const six = openGroup("::", four[0]!.port, every)
    const program = steeringProgram({ family: 6, workers: WORKERS, kinds: every, seed: 99 })
    const loopback = runClassicProgram(program, ipv6(0, 0, 0, 1), packet(4, 3))
    const packets = [packet(4, 3), packet(4, 3, 0, 0, 0, 7, ...digest()), ...kindsOfPackets.map(({ bytes }) => bytes)]
    const places = [loopback, loopback, WORKERS, WORKERS + 1, WORKERS + 2]
    expect(
      await arrivals(
        six,
        "::1",
        packets.map((bytes) => ({ from: "::1", bytes }))
      )
    ).toEqual(places)
    const [place] = await arrivals(four, "127.0.0.1", [{ from: "127.0.0.1", bytes: packet(4, 6) }])
    expect(place).toBe(WORKERS)
  })

  it("names what keeps it from taking a program", () => {
    expect(steerPackets(99_999, { family: 4, workers: 1, kinds: [], seed: 0 })).toBe(
      "the kernel takes no program for the sockets: it was closed, or is not of the kind expected"
    )
  })
})
