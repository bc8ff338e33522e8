/** One contract, two implementations, two address families. */
import { closeSync, openSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { addressFamilies } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import { socketAddressPort } from "../src/socket-address.ts"
import { adoptUdpFallback, bindUdpFallback } from "../src/udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor, duplicateDescriptor } from "../src/udp-native.ts"
import {
  BATCH_CAPACITY,
  LATENCY_BINS,
  SLOT_BYTES,
  SLOT_STRIDE,
  UdpAdoptError,
  type UdpBindError,
  type UdpBindOptions,
  type UdpSocket
} from "../src/udp.ts"
import { type Client, echo, everywhere, loopback, openClient, take, until } from "./udp-client.ts"

const implementations = {
  native: { bind: async (options: UdpBindOptions) => adoptUdp(bindUdpDescriptor(options)), adopt: adoptUdp },
  fallback: { bind: bindUdpFallback, adopt: adoptUdpFallback }
}

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const client = async (family: 4 | 6): Promise<Client> => {
  const opened = await openClient(family)
  cleanups.push(opened.close)
  return opened
}

const closing = (socket: UdpSocket): UdpSocket => {
  cleanups.push(socket.close)
  return socket
}

const payload = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff)

describe.each(["native", "fallback"] as const)("%s UDP socket", (kind) => {
  const { bind, adopt } = implementations[kind]
  const rejection = (options: UdpBindOptions): Promise<UdpBindError> =>
    bind(options).then(
      (socket) => {
        socket.close()
        throw new Error("it was bound")
      },
      (error: unknown) => error as UdpBindError
    )

  describe.each(addressFamilies("UDP sockets"))("over IPv%i", (family) => {
    const host = loopback(family)
    const bound = async (options: Partial<UdpBindOptions> = {}): Promise<UdpSocket> =>
      closing(await bind({ address: host, port: 0, ...options }))

    it("knows its family and port and answers", async () => {
      const socket = await bound()
      const peer = await client(family)
      expect(socket).toMatchObject({ kind, family })
      expect(socket.port).toBeGreaterThan(0)
      echo(socket)
      await peer.send(payload(48, 1), socket.port, host)
      await until(() => peer.answers.length === 1)
      expect(peer.answers.map((answer) => [...answer.bytes])).toEqual([[...payload(48, 1)]])
      expect(peer.answers[0]?.source).toMatchObject({ address: host, port: socket.port })
    })

    it("takes datagrams of every length in order, cutting only what exceeds a slot", async () => {
      const socket = await bound()
      const peer = await client(family)
      const lengths = [48, 0, 1, SLOT_BYTES, SLOT_BYTES + 1, 65_507, 68, 0, 1500]
      for (const [index, length] of lengths.entries()) await peer.send(payload(length, index), socket.port, host)
      const taken = await take(socket, lengths.length)
      expect(taken.map((each) => each.length)).toEqual(lengths)
      for (const [index, each] of taken.entries())
        expect(each.bytes).toEqual(payload(lengths[index]!, index).subarray(0, SLOT_BYTES))
    })

    it("tells where a datagram came from and when", async () => {
      const socket = await bound()
      const peer = await client(family)
      const before = Date.now() / 1e3
      await peer.send(payload(48, 1), socket.port, host)
      const [first] = await take(socket, 1)
      expect(socketAddressPort(first!.address, 0)).toBe(peer.socket.address().port)
      const address = family === 4 ? first!.address.slice(4, 8) : first!.address.slice(8, 24)
      expect([...address]).toEqual(family === 4 ? [127, 0, 0, 1] : [...Array.from({ length: 15 }, () => 0), 1])
      expect(first!.arrival).toBeGreaterThan(before - 0.002)
      expect(first!.arrival).toBeLessThanOrEqual(first!.now)
      expect(first!.now).toBeLessThan(Date.now() / 1e3 + 0.002)
    })

    it("sends only the slots with a reply length, in place, and counts what it cannot send", async () => {
      const socket = await bound()
      const peer = await client(family)
      for (let index = 0; index < 4; index++) await peer.send(payload(48, index), socket.port, host)
      let count = 0
      let sent = 0
      await until(() => {
        const more = socket.receive()
        for (let slot = 0; slot < more; slot++) {
          const index = socket.bytes[slot * SLOT_STRIDE]!
          socket.bytes[slot * SLOT_STRIDE] = index + 100
          socket.replyLengths[slot] = [0, 8, SLOT_BYTES + 1, 48][index]!
        }
        sent += more > 0 ? socket.send(more) : 0
        count += more
        return count === 4
      })
      await until(() => peer.answers.length === 2)
      expect(sent).toBe(2)
      expect(socket.sendErrors()).toBe(1)
      expect(peer.answers.map((answer) => [answer.bytes.length, answer.bytes[0]])).toEqual([
        [8, 101],
        [48, 103]
      ])
    })

    it("moves the stamp of replies that end with it on to when they leave, and no other", async () => {
      const socket = await bound()
      const peer = await client(family)
      const requests = [payload(48, 1), new Uint8Array(48), payload(68, 3)]
      for (const request of requests) await peer.send(request, socket.port, host)
      const from = performance.now()
      let held = 0
      let batches = 0
      socket.onReadable(() => {
        const count = socket.receive()
        batches += 1
        for (let slot = 0; slot < count; slot++) socket.replyLengths[slot] = socket.requestLengths[slot]!
        const received = performance.now()
        // Carries out of the fraction: the seconds of the stamp must go up with it.
        for (let slot = 0; slot < count; slot++)
          if (socket.requestLengths[slot] === 48 && socket.bytes[slot * SLOT_STRIDE + 43] !== 0)
            socket.view.setUint32(slot * SLOT_STRIDE + 44, 0xffff_ffff)
        while (performance.now() - received < 5) continue
        socket.send(count, 40)
        held = performance.now() - from
      })
      await until(() => peer.answers.length === 3)
      const answers = peer.answers.map(({ bytes }) => Buffer.from(bytes))
      const [stamped, zero, longer] = [1, 0, 3].map((first) => answers.find((it) => it[0] === payload(1, first)[0]))
      expect(stamped?.subarray(0, 40)).toEqual(Buffer.from(payload(40, 1)))
      const before = (BigInt(Buffer.from(payload(48, 1)).readUInt32BE(40)) << 32n) + 0xffff_ffffn
      const moved = Number((stamped?.readBigUInt64BE(40) ?? 0n) - before) / 2 ** 32
      expect(moved).toBeGreaterThanOrEqual(0.0049)
      expect(moved).toBeLessThanOrEqual(held / 1e3)
      expect(zero).toEqual(Buffer.alloc(48))
      expect(longer).toEqual(Buffer.from(payload(68, 3)))
      // Each batch was in hand for 5 ms or more, which is beyond 4.096 ms.
      const latencies = socket.latencies()
      const counted = latencies.slice(0, LATENCY_BINS)
      expect(counted.slice(0, 12).every((number) => number === 0)).toBe(true)
      expect(counted.reduce((sum, number) => sum + number, 0)).toBe(batches)
      expect(latencies[LATENCY_BINS]).toBeGreaterThan(batches * 4.9e6)
      expect(latencies[LATENCY_BINS]).toBeLessThan(held * 1e6)
    })

    it("hands out at most a batch at a time", async () => {
      const socket = await bound()
      const peer = await client(family)
      const received: Array<number> = []
      for (let index = 0; index < BATCH_CAPACITY; index++) await peer.send(payload(48, index), socket.port, host)
      socket.onReadable(() => received.push(socket.receive()))
      for (let index = 0; index < BATCH_CAPACITY * 2; index++) await peer.send(payload(48, index), socket.port, host)
      const sum = (): number => received.reduce((total, each) => total + each, 0)
      await until(() => sum() + socket.overflows() === 3 * BATCH_CAPACITY)
      expect(sum() + socket.overflows()).toBe(3 * BATCH_CAPACITY)
      expect(Math.max(...received)).toBeLessThanOrEqual(BATCH_CAPACITY)
    })

    it("answers when bound to every address", async () => {
      const socket = await bound({ address: everywhere(family) })
      const peer = await client(family)
      echo(socket)
      await peer.send(payload(48, 1), socket.port, host)
      await until(() => peer.answers.length === 1)
      expect(peer.answers[0]?.source.address).toBe(host)
    })

    it("refuses a port that is taken when it wants it for itself", async () => {
      const socket = await bound({ exclusive: true })
      const error = await rejection({ address: host, port: socket.port, exclusive: true })
      expect(error).toMatchObject({ _tag: "UdpBindError", code: "EADDRINUSE", address: host, port: socket.port })
      expect(error.message).toContain(String(socket.port))
      expect(error.message).toMatch(/in use .*choose another/)
    })

    it("shares a port with others, and the load with them", async () => {
      const first = await bound({ exclusive: true })
      const second = await bound({ port: first.port })
      const answered = [echo(first), echo(second)]
      const peers = await Promise.all(Array.from({ length: 256 }, () => client(family)))
      for (const peer of peers) await peer.send(payload(48, 0), first.port, host)
      const shares = (): Array<number> => answered.map((count) => count())
      await until(() => shares().reduce((sum, share) => sum + share, 0) === peers.length)
      expect(shares().reduce((sum, share) => sum + share, 0)).toBe(peers.length)
      expect(Math.min(...shares())).toBeGreaterThan(peers.length / 4)
    })

    it("adopts a descriptor and learns its family and port", async () => {
      const descriptor = bindUdpDescriptor({ address: host, port: 0 })
      const socket = closing(adopt(descriptor))
      const peer = await client(family)
      expect(socket.family).toBe(family)
      echo(socket)
      await peer.send(payload(48, 1), socket.port, host)
      await until(() => peer.answers.length === 1)
      expect(peer.answers).toHaveLength(1)
    })

    it("leaves to the next holder of the descriptor what arrives after a pause", async () => {
      const descriptor = bindUdpDescriptor({ address: host, port: 0 })
      const first = closing(adopt(duplicateDescriptor(descriptor)))
      const peer = await client(family)
      const answered = echo(first)
      await peer.send(payload(48, 0), first.port, host)
      await until(() => answered() === 1)
      first.pause()
      await sleep(1)
      for (let index = 1; index <= 3; index++) await peer.send(payload(48, index), first.port, host)
      await sleep(20)
      const next = closing(adopt(descriptor))
      expect((await take(next, 3)).map((each) => each.bytes[0])).toEqual([1, 2, 3])
      expect(answered()).toBe(1)
    })

    it("lets timers run while datagrams keep coming", async () => {
      const socket = await bound()
      const peer = await client(family)
      const answered = echo(socket)
      peer.socket.on("message", (bytes) => peer.socket.send(bytes, socket.port, host))
      for (let index = 0; index < 100; index++) await peer.send(payload(48, index), socket.port, host)
      const progress: Array<number> = []
      for (let tick = 0; tick < 20; tick++) {
        await sleep(1)
        progress.push(answered())
      }
      await until(() => answered() > progress.at(-1)!)
      expect(answered()).toBeGreaterThan(progress[0]!)
    })

    it("counts every datagram that found the queue full", async () => {
      const socket = await bound(kind === "native" ? { receiveBufferBytes: 8192 } : {})
      const peer = await client(family)
      const total = 200
      for (let index = 0; index < total; index++) await peer.send(payload(1000, index), socket.port, host)
      await until(() => kind === "native" || socket.overflows() === total - BATCH_CAPACITY)
      let taken = 0
      await until(() => (taken += socket.receive()) + socket.overflows() === total)
      const lost = socket.overflows()
      expect(lost).toBeGreaterThan(0)
      expect(taken).toBeGreaterThan(0)
      expect(taken + lost).toBe(total)
      socket.close()
      expect(socket.overflows()).toBe(lost)
    })

    it("can be closed twice, from its own callback, and does nothing afterwards", async () => {
      const socket = await bound()
      const peer = await client(family)
      let calls = 0
      socket.onReadable(() => {
        calls++
        socket.close()
        socket.close()
      })
      await peer.send(payload(48, 1), socket.port, host)
      await until(() => calls > 0)
      await peer.send(payload(48, 2), socket.port, host).catch(() => {})
      await sleep(5)
      socket.replyLengths[0] = 48
      expect(calls).toBe(1)
      expect(socket.receive()).toBe(0)
      expect(socket.send(1)).toBe(0)
      expect(() => socket.onReadable(() => {})).toThrow(expect.objectContaining({ _tag: "UdpClosedError" }))
      expect(() => socket.pause()).not.toThrow()
      const again = await bound({ port: socket.port, exclusive: true })
      expect(again.port).toBe(socket.port)
    })
  })

  it.each([
    [{ address: "192.0.2.1", port: 0 }, "EADDRNOTAVAIL"],
    [{ address: "2001:db8::1", port: 0 }, "EADDRNOTAVAIL"],
    [{ address: "localhost", port: 0 }, "EINVAL"],
    [{ address: "300.0.0.1", port: 0 }, "EINVAL"],
    [{ address: "", port: 0 }, "EINVAL"],
    [{ address: "127.0.0.1", port: 70_000 }, "EINVAL"],
    [{ address: "127.0.0.1", port: -1 }, "EINVAL"],
    [{ address: "127.0.0.1", port: 1.5 }, "EINVAL"],
    [{ address: "x".repeat(500), port: 0 }, "EINVAL"]
  ] as const)("refuses to bind %j: %s", async (options, code) => {
    expect(await rejection(options)).toMatchObject({ _tag: "UdpBindError", code, port: options.port })
  })

  it("refuses descriptors that are no bound UDP socket, and leaves a file alone", () => {
    const file = openSync("/dev/null", "r")
    expect(() => adopt(file)).toThrow(UdpAdoptError)
    closeSync(file)
    expect(() => adopt(file)).toThrow(UdpAdoptError)
    expect(() => adopt(-1)).toThrow(UdpAdoptError)
  })
})
