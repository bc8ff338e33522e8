/** Sockets and packet loops of an addon, driven rightly and wrongly; see exercise-addon.ts. */
import assert from "node:assert/strict"
import { createSocket } from "node:dgram"
import { setTimeout as sleep } from "node:timers/promises"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import type { NativeUdpHandle } from "../src/native.ts"
import { addon } from "./exercised-addon.ts"

export const addresses = loopbackAddresses("sockets under the sanitizers")
export const open = (address: string): NativeUdpHandle =>
  new addon.UdpHandle(addon.udpBind(address, 0, false, 1 << 20, false), -1)

/** Has a client send bursts of every kind of length, and waits until all are echoed or the time is over. */
export const burst = async (
  socket: NativeUdpHandle,
  host: string,
  lengths: ReadonlyArray<number>,
  waits = 12_000
): Promise<number> => {
  const peer = createSocket(host.includes(":") ? "udp6" : "udp4")
  let answers = 0
  peer.on("message", () => answers++)
  for (const length of lengths) peer.send(new Uint8Array(length), socket.port, host)
  for (let wait = 0; wait < waits && answers < lengths.length; wait++) await sleep(5)
  peer.close()
  return answers
}

export const echo = (socket: NativeUdpHandle): void => {
  const { udpLayout: layout } = addon
  const requests = new Uint32Array(socket.block, layout.requestLengths, layout.batchCapacity)
  const replies = new Uint32Array(socket.block, layout.replyLengths, layout.batchCapacity)
  socket.onReadable(() => {
    const count = socket.receive()
    for (let slot = 0; slot < count; slot++) replies[slot] = Math.min(Math.max(requests[slot]!, 1), layout.slotBytes)
    socket.send(count)
  })
}

export const exerciseSockets = async (): Promise<void> => {
  const lengths = [0, 48, 68, 2048, 2049, 65_507, ...Array.from({ length: 90 }, (_, index) => index)]
  const places = [
    ["0.0.0.0", "127.0.0.3"],
    ["127.0.0.1", "127.0.0.1"],
    ["::", "::1"],
    ["::1", "::1"]
  ] as const
  for (const [address, host] of places) {
    if (host === "::1" && !addresses.includes(host)) continue
    const socket = open(address)
    echo(socket)
    echo(socket)
    assert.equal(await burst(socket, host, lengths), lengths.length)
    new Uint8Array(socket.block).fill(255)
    socket.send(64)
    socket.send(2 ** 31 - 1)
    socket.pause()
    socket.pause()
    assert.equal(await burst(socket, host, [48], 4), 0)
    socket.onReadable(() => {
      socket.close()
      socket.receive()
    })
    await sleep(5)
    socket.close()
    assert.equal(socket.receive(), 0)
    assert.throws(() => socket.onReadable(() => {}))
    assert.equal(
      typeof socket.overflows() + typeof socket.sendErrors() + typeof socket.receiveErrors(),
      "numbernumbernumber"
    )
  }
}

/** An answer that echoes, for the sockets of a packet loop. */
export const echoAnswer = (sockets: readonly NativeUdpHandle[]): ((index: number, count: number) => number) => {
  const { udpLayout: layout } = addon
  return (index, count) => {
    const { block } = sockets[index]!
    const requests = new Uint32Array(block, layout.requestLengths, layout.batchCapacity)
    const replies = new Uint32Array(block, layout.replyLengths, layout.batchCapacity)
    for (let slot = 0; slot < count; slot++) replies[slot] = Math.min(Math.max(requests[slot]!, 1), layout.slotBytes)
    return count
  }
}

/** A packet loop whose answers are asked for as JavaScript would have them. */
export const packetLoop = (
  sockets: readonly NativeUdpHandle[],
  answer: (index: number, count: number) => number,
  gather: number
): InstanceType<typeof addon.PacketLoop> => {
  const told = new Int32Array(3)
  return new addon.PacketLoop(
    sockets,
    () => {
      told[2] = answer(told[0]!, told[1]!)
    },
    told,
    40,
    gather
  )
}

export const exercisePacketLoops = async (): Promise<void> => {
  for (const gather of [0, 200_000]) {
    const sockets = addresses.map(open)
    const loop = packetLoop(sockets, echoAnswer(sockets), gather)
    const lengths = [0, 48, 2049, ...Array.from({ length: 90 }, (_, index) => index)]
    for (const [index, socket] of sockets.entries())
      assert.equal(await burst(socket, addresses[index]!, lengths), lengths.length)
    if (gather === 0) for (const socket of sockets) socket.close()
    loop.stop()
    loop.stop()
    for (const socket of sockets) socket.close()
  }
  // Stopped and let go of from within an answer, with its socket.
  const last = open("127.0.0.1")
  const loop = packetLoop(
    [last],
    () => {
      last.close()
      loop.stop()
      globalThis.gc?.()
      return 64
    },
    200_000
  )
  await burst(last, "127.0.0.1", [48], 4)
  for (const wrong of [[], [1], [{}], undefined, Array.from({ length: 65 }, () => last)] as never[])
    assert.throws(() => packetLoop(wrong, () => 0, 0))
  assert.throws(() => packetLoop([last], () => 0, 0))
  assert.throws(() => packetLoop([open("127.0.0.1")], () => 0, -1))
  for (const told of [new Int32Array(2), new Uint8Array(12), [0, 0, 0], undefined] as never[])
    assert.throws(() => new addon.PacketLoop([open("127.0.0.1")], () => {}, told, 40, 0))
  assert.throws(() => addon.attachReuseportProgram(-1, new Uint8Array(8)))
  assert.throws(() => addon.attachReuseportProgram(0, new Uint8Array(7)))
  for (let round = 0; round < 5; round++) {
    await sleep(10)
    globalThis.gc?.()
  }
}

/** Memory must outlive the socket where JavaScript still looks at it, and the object where the socket is still watched. */
export const exerciseLifetimes = async (): Promise<void> => {
  const moved = open("127.0.0.1")
  /** The block cannot be given away: it would be gone while the kernel still writes into it. */
  assert.throws(() => structuredClone(moved.block, { transfer: [moved.block] }))
  const views = [new Uint8Array(moved.block)]
  assert.equal(moved.receive(), 0)
  moved.send(64)
  moved.close()
  views[0]!.fill(1)
  for (let count = 0; count < 20; count++) {
    const forgotten = open("127.0.0.1")
    if (count % 2 === 0) forgotten.onReadable(() => {})
    if (count % 4 === 0) forgotten.pause()
    if (count % 5 === 0) forgotten.close()
    if (count % 2 === 0 && count % 5 !== 0) setTimeout(() => forgotten.close(), 20)
  }
  for (let round = 0; round < 5; round++) {
    await sleep(10)
    globalThis.gc?.()
  }
}
