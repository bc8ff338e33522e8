/** Packet loops: the addon's, which waits in libuv's place, and the fallback's. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import { type PacketLoop, servePackets } from "../src/packet-loop.ts"
import { bindUdpFallback } from "../src/udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"
import type { UdpBindOptions, UdpSocket } from "../src/udp.ts"
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
    await sleep(20)
    const before = process.cpuUsage()
    await sleep(300)
    const { user, system } = process.cpuUsage(before)
    expect(user + system).toBeLessThan(290_000)
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
