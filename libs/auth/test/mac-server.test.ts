/** Keyed requests in the server's packet path, over the reference batch and a clock that is told what time it is. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { parseKeyFile } from "../src/symmetric/key-file.ts"
import { KeyTable, SymmetricKey } from "../src/symmetric/key-table.ts"
import { type DigestPort, SymmetricMacs } from "../src/symmetric/mac.ts"
import { macAlgorithms } from "../src/symmetric/mac-algorithms.ts"
import { digestPort } from "./digest-port.ts"
import { MAC_JOB_STRIDE, type MacBatch, macBatchOver } from "../src/symmetric/mac-batch.ts"
import { MacServer } from "../src/symmetric/mac-server.ts"

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")

const port: DigestPort = { ...digestPort, supports: (name) => name !== "RIPEMD160" }
const keys = parseKeyFile(fixture("ntp.keys"), "ntp.keys").table.withTrusted([{ first: 1, last: 65535 }])
const macs = new SymmetricMacs(port, keys)

const SLOT = 256
const SLOTS = 8

/** A server and the buffer that its slots lie in. */
const world = ({
  table = keys,
  monotonic = () => 0,
  batch = macBatchOver(port, monotonic)
}: { table?: KeyTable; monotonic?: () => number; batch?: MacBatch } = {}) => {
  const server = new MacServer(batch, SLOTS)
  server.useKeys(table)
  const packets = new Uint8Array(SLOT * SLOTS)
  const view = new DataView(packets.buffer)
  const admit = (slot: number, request: Uint8Array) => {
    packets.set(request, slot * SLOT)
    return server.admit(slot, view, slot * SLOT, slot * SLOT + 48, request.length - 48)
  }
  /** Turns the slot's request into a reply whose header is `header`. */
  const reply = (slot: number, header: Uint8Array) => {
    packets.set(header, slot * SLOT)
    return server.reply(slot, view, slot * SLOT)
  }
  const packet = (slot: number, length: number) => packets.slice(slot * SLOT, slot * SLOT + length)
  return { server, packets, view, admit, reply, packet }
}

const keyed = (id: number, fill = id, table = keys): Uint8Array => {
  const bytes = new Uint8Array(SLOT).fill(fill, 0, 48)
  const length = macs.append(new DataView(bytes.buffer), bytes, 0, 48, table.get(id)!)
  return bytes.slice(0, 48 + length)
}
const isVerified = (packet: Uint8Array): boolean =>
  macs.verify(new DataView(packet.buffer), packet, 0, 48, packet.length - 48) === "verified"

interface Exchange {
  readonly name: string
  readonly request: string
  readonly reply: string | null
}
const { exchanges } = JSON.parse(fixture("symmetric-exchanges.json")) as { exchanges: readonly Exchange[] }
const good = exchanges.filter(({ name }) => !/wrong|unknown/.test(name))

describe("recorded keyed exchanges", () => {
  it.each(good)("$name: the request verifies, and the reply gets the MAC it had", ({ request, reply }) => {
    const { server, packets, admit, reply: write, packet } = world()
    const recorded = hex(reply!)
    expect(admit(3, hex(request))).toBe("pending")
    server.verify(packets)
    expect(server.isVerified(3)).toBe(true)
    expect(write(3, recorded.subarray(0, 48))).toBe(recorded.length)
    server.seal(packets, 0)
    expect(packet(3, recorded.length)).toEqual(recorded)
  })

  it("with a wrong or unknown key are refused", () => {
    const outcomes = exchanges
      .filter((each) => !good.includes(each))
      .map(({ request }) => {
        const { server, packets, admit } = world()
        const verdict = admit(0, hex(request))
        server.verify(packets)
        return [verdict, server.isVerified(0)]
      })
    expect(outcomes).toHaveLength(3)
    expect(outcomes.filter(([verdict]) => verdict === "unknown-key")).toHaveLength(1)
    expect(outcomes.map(([, verified]) => verified)).toEqual([false, false, false])
  })
})

describe("a batch of keyed requests", () => {
  it("is decided and sealed slot by slot, whatever order replies are written in", () => {
    const { server, packets, admit, reply, packet } = world()
    const requests = [1, 2, 5, 6, 8].map((id) => keyed(id))
    const slots = [0, 1, 3, 4, 7]
    const forged = requests[2]!.with(10, 0xee)
    slots.forEach((slot, index) => expect(admit(slot, index === 2 ? forged : requests[index]!)).toBe("pending"))
    server.verify(packets)
    expect(slots.map((slot) => server.isVerified(slot))).toEqual([true, true, false, true, true])
    for (const index of [4, 0, 3, 1]) reply(slots[index]!, new Uint8Array(48).fill(100 + index))
    expect(slots.map((slot) => server.isVerified(slot))).toEqual([true, true, false, true, true])
    server.seal(packets, 0)
    for (const index of [4, 0, 3, 1]) {
      const sealed = packet(slots[index]!, requests[index]!.length)
      expect(sealed.subarray(0, 48)).toEqual(new Uint8Array(48).fill(100 + index))
      expect(sealed.subarray(48, 52)).toEqual(requests[index]!.subarray(48, 52))
      expect(isVerified(sealed)).toBe(true)
    }
    expect(packet(3, forged.length)).toEqual(forged)
  })

  it("costs two calls, forgets its slots, and an empty one costs none", () => {
    const counts: number[] = []
    const reference = macBatchOver(port, () => 0)
    const { server, packets, admit, reply } = world({
      batch: { ...reference, run: (...list) => (counts.push(list[1]), reference.run(...list)) }
    })
    server.verify(packets)
    server.seal(packets, 0)
    expect(counts).toEqual([])
    for (let round = 0; round < 3; round += 1) {
      for (const slot of [2, 5]) admit(slot, keyed(1))
      server.verify(packets)
      for (const slot of [2, 5]) reply(slot, new Uint8Array(48))
      server.seal(packets, 0)
    }
    expect(counts).toEqual([2, 2, 2, 2, 2, 2])
    expect([2, 5].map((slot) => server.holds(slot) || server.isVerified(slot))).toEqual([false, false])
  })

  it("names why it refuses before any digest is computed", () => {
    const table = keys.withTrusted([{ first: 2, last: 65535 }])
    const { server, admit } = world({ table, batch: { ...macBatchOver(port, () => 0), run: () => expect.fail() } })
    expect(admit(0, keyed(1))).toBe("untrusted-key")
    expect(admit(1, keyed(2).with(51, 99))).toBe("unknown-key")
    expect(admit(2, keyed(2).slice(0, 64))).toBe("wrong-length")
    expect(admit(3, keyed(2).slice(0, 52))).toBe("wrong-length")
    expect([0, 1, 2, 3].some((slot) => server.holds(slot))).toBe(false)
  })

  it("does not know keys of an algorithm that the platform lacks", () => {
    const key = new SymmetricKey(9, macAlgorithms.RIPEMD160, Uint8Array.of(1, 2, 3))
    const table = KeyTable.of([key, ...keys.keys]).withTrusted([{ first: 1, last: 9 }])
    const { server, packets, admit } = world({ table })
    expect(admit(0, keyed(9, 1, table))).toBe("unknown-key")
    expect(admit(1, keyed(8))).toBe("pending")
    server.verify(packets)
    expect(server.isVerified(1)).toBe(true)
  })

  it("is of the keys that were taken over last", () => {
    const { server, packets, admit } = world()
    const other = new SymmetricKey(1, macAlgorithms.MD5, Uint8Array.of(9))
    server.useKeys(KeyTable.of([other]).withTrusted([{ first: 1, last: 1 }]))
    expect(admit(0, keyed(1))).toBe("pending")
    expect(admit(1, keyed(5))).toBe("unknown-key")
    server.verify(packets)
    expect(server.isVerified(0)).toBe(false)
  })

  it("has room for as many as there are slots", () => {
    const { admit } = world()
    for (let slot = 0; slot < SLOTS; slot += 1) admit(slot, keyed(1))
    expect(() => admit(0, keyed(1))).toThrow(RangeError)
  })
})

describe("the transmit timestamp of a keyed reply", () => {
  const STAMP = 0xe4f0_0000_8000_0000n
  const header = (stamp: bigint): Uint8Array => {
    const bytes = new Uint8Array(48).fill(0x55)
    new DataView(bytes.buffer).setBigUint64(40, stamp)
    return bytes
  }
  /** Three replies whose clock reads these when each is sealed, after a batch that was taken up at 100 s. */
  const sealed = (readings: readonly number[], stamp = STAMP) => {
    let read = 0
    const { server, packets, admit, reply, packet, view } = world({ monotonic: () => readings[read++]! })
    for (const slot of [0, 1, 2]) admit(slot, keyed(slot + 1))
    server.verify(packets)
    expect(read).toBe(0)
    for (const slot of [0, 1, 2]) reply(slot, header(stamp))
    server.seal(packets, 100)
    for (const slot of [0, 1, 2]) expect(isVerified(packet(slot, keyed(slot + 1).length))).toBe(true)
    return [0, 1, 2].map((slot) => view.getBigUint64(slot * SLOT + 40))
  }

  it("is that of its sealing, though its batch was taken up before, and is under the MAC", () => {
    expect(sealed([100.25, 100.5, 100.75])).toEqual([STAMP + 0x4000_0000n, STAMP + 0x8000_0000n, STAMP + 0xc000_0000n])
  })

  it("stays where the clock went back, stood, or is a second and more ahead", () => {
    expect(sealed([99, 100, 101])).toEqual([STAMP, STAMP, STAMP])
  })

  it("stays 0 where there is no time to tell", () => {
    expect(sealed([100.25, 100.5, 100.75], 0n)).toEqual([0n, 0n, 0n])
  })
})

describe("the reference batch", () => {
  it("refuses keys that are not there and ranges outside the buffer", () => {
    const batch = macBatchOver(port, () => 0)
    batch.useKeys([keys.get(1)!])
    const run = (...job: number[]) =>
      batch.run(
        Int32Array.from({ length: MAC_JOB_STRIDE }, (_, at) => job[at] ?? 0),
        1,
        new Uint8Array(68),
        0
      )
    expect(() => run(0, 0, 0, 48, 52, 16)).not.toThrow()
    for (const job of [
      [0, 1, 0, 48, 52, 16],
      [0, 0, 21, 48, 52, 16],
      [0, 0, -1, 48, 52, 16],
      [0, 0, 0, 48, 53, 16]
    ])
      expect(() => run(...job)).toThrow(RangeError)
  })
})
