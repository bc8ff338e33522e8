/** Packet loops: the addon's, which waits in libuv's place, and the fallback's. */
import { fork } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { loadNative } from "@meridian/system/native"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import { type PacketLoop, servePackets } from "../src/packet-loop.ts"
import { bindUdpFallback } from "../src/udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"
import { NOW_MONOTONIC, SLOT_STRIDE, type UdpBindOptions, type UdpSocket } from "../src/udp.ts"
import { type Client, openClient, take, until } from "./udp-client.ts"

const implementations = {
  native: async (options: UdpBindOptions) => adoptUdp(bindUdpDescriptor(options)),
  fallback: bindUdpFallback
}

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup()
})

const client = async (family: 4 | 6 = 4): Promise<Client> => {
  const opened = await openClient(family)
  cleanups.push(opened.close)
  return opened
}

/** Writes a reply of the request's bytes for each. */
const echoed = (socket: UdpSocket, count: number): number => {
  for (let slot = 0; slot < count; slot += 1) socket.replyLengths[slot] = socket.requestLengths[slot]!
  return count
}

const options = { stampAt: -1, gatherMicroseconds: 200 }

describe.each(["native", "fallback"] as const)("%s packet loop", (kind) => {
  const bind = async (address = "127.0.0.1"): Promise<UdpSocket> => {
    const socket = await implementations[kind]({ address, port: 0 })
    cleanups.push(socket.close)
    return socket
  }
  const serve = (sockets: readonly UdpSocket[], answer = echoed, gatherMicroseconds = 200): PacketLoop => {
    const loop = servePackets(sockets, answer, { stampAt: -1, gatherMicroseconds })
    cleanups.push(loop.stop)
    return loop
  }

  it("answers what comes to each of its sockets, and counts what was sent", async () => {
    const hosts = ["127.0.0.1", "127.0.0.2", ...loopbackAddresses("packet loops")]
    const sockets = await Promise.all(hosts.map(bind))
    serve(sockets)
    const peers = await Promise.all(sockets.map(({ family }) => client(family)))
    for (let request = 0; request < 150; request += 1)
      for (const [index, peer] of peers.entries())
        await peer.send(Uint8Array.of(index, request, 7), sockets[index]!.port, hosts[index]!)
    await until(() => peers.every(({ answers }) => answers.length === 150))
    for (const [index, { answers }] of peers.entries())
      expect(answers.map(({ bytes }) => [...bytes])).toEqual(
        Array.from({ length: 150 }, (_, request) => [index, request, 7])
      )
    expect(sockets.map((socket) => socket.sent())).toEqual(sockets.map(() => 150))
  })

  it("gives timers, immediates, promises and other sockets their turn while requests come without a pause", async () => {
    const socket = await bind()
    serve([socket], echoed, 1_000)
    const peer = await client()
    let isOver = false
    // Each answer is the next request, and there are always some under way.
    peer.socket.on("message", (bytes) => {
      if (!isOver) peer.socket.send(bytes, socket.port, "127.0.0.1")
    })
    for (let request = 0; request < 8; request += 1) await peer.send(Uint8Array.of(request), socket.port, "127.0.0.1")
    const seen = { timers: 0, immediates: 0, promises: 0 }
    const timer = setInterval(() => (seen.timers += 1), 1)
    const again = (): void => {
      seen.immediates += 1
      void Promise.resolve().then(() => (seen.promises += 1))
      if (!isOver) setImmediate(again)
    }
    setImmediate(again)
    const worker = new Worker(
      "require('node:worker_threads').parentPort.on('message', (m) => { require('node:worker_threads').parentPort.postMessage(m) })",
      { eval: true }
    )
    cleanups.push(() => void worker.terminate())
    for (let round = 0; round < 5; round += 1) {
      worker.postMessage(round)
      expect(await once(worker, "message")).toEqual([round])
    }
    await until(() => seen.timers > 20 && seen.immediates > 20 && seen.promises > 20 && socket.sent() > 200)
    isOver = true
    clearInterval(timer)
  })

  it("lets the process sleep where there is nothing to do, and a timer end that", async () => {
    const socket = await bind()
    serve([socket])
    const used = async (): Promise<number> => {
      const before = process.cpuUsage()
      await sleep(300)
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    // Threads that compile or collect may have something to do just then; a loop that never sleeps has each time.
    let least = await used()
    for (let again = 0; again < 9 && least >= 150_000; again += 1) least = Math.min(least, await used())
    expect(least).toBeLessThan(290_000)
  })

  it("ends when it is stopped within an answer, with that answer sent; what waits is for others to receive", async () => {
    const socket = await bind()
    let calls = 0
    const loop: PacketLoop = serve([socket], (own, count) => {
      calls += 1
      loop.stop()
      return echoed(own, count)
    })
    const peer = await client()
    await peer.send(Uint8Array.of(1), socket.port, "127.0.0.1")
    await until(() => peer.answers.length === 1)
    await peer.send(Uint8Array.of(2), socket.port, "127.0.0.1")
    loop.stop()
    const [waiting] = await take(socket, 1)
    expect([waiting?.length, calls]).toEqual([1, 1])
  })

  it("leaves errors to uncaughtException and goes on", async () => {
    const child = fork(fileURLToPath(new URL("throwing-answer.ts", import.meta.url)), [kind])
    expect(await once(child, "message")).toEqual([{ thrown: ["first"], answered: 1 }, undefined])
    expect(await once(child, "exit")).toEqual([0, null])
  })
})

describe("the addon's packet loop", () => {
  interface MacKeys {
    readonly add: (name: string, secret: Uint8Array) => boolean
    readonly run: (jobs: Int32Array, count: number, packets: Uint8Array, stampedAt: number) => number
  }
  const STAMP_AT = 40
  const KEY_ID = 48
  const DIGEST_AT = 52
  const REPLY = 68

  /** Seals the replies of every second slot of a batch, as a worker does at its end; says which have a length after that. */
  const sealing = (name: string, secret: Uint8Array) => {
    const { MacKeys } = loadNative().addon as unknown as { readonly MacKeys: new () => MacKeys }
    const keys = new MacKeys()
    expect(keys.add(name, secret)).toBe(true)
    const left: number[][] = []
    const answer = (socket: UdpSocket, count: number): number => {
      const jobs: number[] = []
      for (let slot = 0; slot < count; slot += 1) {
        const at = slot * SLOT_STRIDE
        const isSealed = slot % 2 === 0
        socket.bytes[at + STAMP_AT] = 1
        socket.replyLengths[slot] = isSealed ? REPLY : KEY_ID
        if (isSealed) jobs.push(1, 0, at, KEY_ID, at + DIGEST_AT, REPLY - DIGEST_AT, at + STAMP_AT, 0)
      }
      expect(keys.run(Int32Array.from(jobs), jobs.length / 8, socket.bytes, socket.now[NOW_MONOTONIC]!)).toBe(-1)
      left.push([...socket.replyLengths.subarray(0, count)])
      return count
    }
    return { answer, left }
  }

  it.each(["cmac", "md5", "sha1"])(
    "sends what is sealed under %s while it answers, once, and the rest after that",
    async (name) => {
      const secret = Uint8Array.from({ length: 16 }, (_, index) => index)
      const socket = await implementations.native({ address: "127.0.0.1", port: 0 })
      cleanups.push(() => socket.close())
      const peer = await client()
      // They wait in the queue, and are one batch.
      const request = (first: number): Uint8Array => new Uint8Array(REPLY).fill(first, 0, 1)
      for (let number = 0; number < 5; number += 1) await peer.send(request(number), socket.port, "127.0.0.1")
      const { answer, left } = sealing(name, secret)
      const loop = servePackets([socket], answer, { stampAt: STAMP_AT, gatherMicroseconds: 0 })
      cleanups.push(() => loop.stop())
      await until(() => peer.answers.length === 5)
      expect(left).toEqual([[0, KEY_ID, 0, KEY_ID, 0]])
      expect(peer.answers.map(({ bytes }) => [bytes[0], bytes.length])).toEqual([
        [0, REPLY],
        [2, REPLY],
        [4, REPLY],
        [1, KEY_ID],
        [3, KEY_ID]
      ])
      const stamps = peer.answers.map(({ bytes }) => Buffer.from(bytes).readBigUInt64BE(STAMP_AT))
      expect(stamps.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(stamps)
      expect(new Set(stamps).size).toBe(5)
      for (const { bytes } of peer.answers.slice(0, name === "cmac" ? 0 : 3))
        expect(Buffer.from(bytes).subarray(DIGEST_AT)).toEqual(
          createHash(name)
            .update(secret)
            .update(bytes.subarray(0, KEY_ID))
            .digest()
            .subarray(0, REPLY - DIGEST_AT)
        )
      await sleep(20)
      expect([peer.answers.length, socket.sent()]).toEqual([5, 5])
    }
  )

  it("sends what is sealed in a large batch when all of it is answered", async () => {
    const socket = await implementations.native({ address: "127.0.0.1", port: 0 })
    cleanups.push(() => socket.close())
    const peer = await client()
    for (let number = 0; number < 40; number += 1) await peer.send(new Uint8Array(REPLY), socket.port, "127.0.0.1")
    const { answer, left } = sealing("cmac", new Uint8Array(16))
    const loop = servePackets([socket], answer, { stampAt: STAMP_AT, gatherMicroseconds: 0 })
    cleanups.push(() => loop.stop())
    await until(() => peer.answers.length === 40)
    expect(left).toEqual([Array.from({ length: 40 }, (_, slot) => (slot % 2 === 0 ? REPLY : KEY_ID))])
    expect(socket.sent()).toBe(40)
  })

  it("gives each reply a stamp of its own in a large batch that it waited for", async () => {
    const socket = await implementations.native({ address: "127.0.0.1", port: 0 })
    cleanups.push(() => socket.close())
    const stamping = ({ bytes, replyLengths }: UdpSocket, count: number): number => {
      for (let slot = 0; slot < count; slot += 1) {
        bytes[slot * SLOT_STRIDE + STAMP_AT] = 1
        replyLengths[slot] = KEY_ID
      }
      return count
    }
    // Of a second's requests most come one by one, so it waits for them; now and then fifty come together.
    const loop = servePackets([socket], stamping, { stampAt: STAMP_AT, gatherMicroseconds: 100_000 })
    cleanups.push(() => loop.stop())
    const bursts = new Worker(new URL("bursts.ts", import.meta.url), { workerData: { port: socket.port, many: 50 } })
    cleanups.push(() => void bursts.terminate())
    const stamps: number[] = []
    bursts.on("message", (different: number) => stamps.push(different))
    await until(() => stamps.includes(50))
    expect(stamps).toContain(50)
  })

  it("sends nothing that a batch before left unsealed", async () => {
    const socket = await implementations.native({ address: "127.0.0.1", port: 0 })
    cleanups.push(() => socket.close())
    const peer = await client()
    const { answer } = sealing("cmac", new Uint8Array(16))
    let batches = 0
    const loop = servePackets(
      [socket],
      (own, count) => {
        const { bytes, replyLengths } = own
        // As where an answer threw before its end: the next one begins with sealing what is none of its replies.
        if (batches++ > 0)
          return replyLengths.subarray(0, count).some((length) => length !== 0) ? 0 : answer(own, count)
        bytes[STAMP_AT] = 1
        replyLengths[0] = REPLY
        return 0
      },
      { stampAt: STAMP_AT, gatherMicroseconds: 0 }
    )
    cleanups.push(() => loop.stop())
    await peer.send(new Uint8Array(REPLY).fill(1, 0, 1), socket.port, "127.0.0.1")
    await until(() => batches === 1)
    await peer.send(new Uint8Array(REPLY).fill(2, 0, 1), socket.port, "127.0.0.1")
    await until(() => peer.answers.length === 1)
    expect(peer.answers.map(({ bytes }) => bytes[0])).toEqual([2])
  })

  it("refuses sockets that are closed", async () => {
    const socket = await implementations.native({ address: "127.0.0.1", port: 0 })
    socket.close()
    expect(() => servePackets([socket], echoed, options)).toThrow("packet loop")
  })

  it("goes on when one of its sockets is closed under it", async () => {
    const [one, other] = await Promise.all([1, 2].map(() => implementations.native({ address: "127.0.0.1", port: 0 })))
    cleanups.push(other!.close)
    const loop = servePackets([one!, other!], echoed, options)
    cleanups.push(loop.stop)
    one!.close()
    const peer = await client()
    await peer.send(Uint8Array.of(1), other!.port, "127.0.0.1")
    await until(() => peer.answers.length === 1)
    expect([one!.sent(), other!.sent()]).toEqual([0, 1])
  })
})
