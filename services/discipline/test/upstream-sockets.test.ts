/** Which port requests leave from: a fresh one for each request of a client, the node's own for peers where it can be had. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, expect, it } from "vitest"
import type { Send } from "@meridian/protocol/associations"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { UpstreamSockets } from "../src/upstream-sockets.ts"

const ending: (() => void)[] = []
afterEach(() => {
  for (const end of ending.splice(0)) end()
})

const open = async (reusePort: boolean): Promise<Socket> => {
  const socket = createSocket({ type: "udp4", reusePort })
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  ending.push(() => socket.close())
  return socket
}

/** Sends as told from a node that serves on a socket's port; gives the ports that the other side saw. */
const portsSeen = async (serving: Socket, sends: readonly Pick<Send, "newSourcePort">[]) => {
  const remote = await open(false)
  const seen: number[] = []
  remote.on("message", (_bytes, from) => seen.push(from.port))
  const elsewhere: string[] = []
  const failed: string[] = []
  const sockets = new UpstreamSockets(
    {
      transmitted: () => {},
      datagram: () => {},
      failed: (_id, code) => failed.push(code),
      elsewhere: (_remote, why) => elsewhere.push(why.code)
    },
    () => ({ seconds: 0, nanoseconds: 0 }),
    [{ address: "127.0.0.1", port: serving.address().port }]
  )
  ending.push(() => sockets.closeAll())
  for (const [exchange, { newSourcePort }] of sends.entries()) {
    const to = { address: "127.0.0.1", port: remote.address().port }
    const bytes = new Uint8Array(48)
    await sockets.send(1, {
      _tag: "Send",
      exchange,
      bytes,
      to,
      expectTransmitStamp: true,
      newSourcePort,
      isAhead: false
    })
    for (let waited = 0; seen.length <= exchange && waited < PATIENCE_MS; waited += 10) await sleep(10)
  }
  return { seen, elsewhere, failed, own: serving.address().port }
}
const peer = { newSourcePort: false }
const client = { newSourcePort: true }

it("a peer is spoken to from the port that is served on, each time", async () => {
  const { seen, elsewhere, own } = await portsSeen(await open(true), [peer, peer])
  expect(seen).toEqual([own, own])
  expect(elsewhere).toEqual([])
})

it("a peer is spoken to from one other port, and it is said, where the node's port cannot be shared", async () => {
  const { seen, elsewhere, failed, own } = await portsSeen(await open(false), [peer, peer])
  expect(seen).toHaveLength(2)
  expect(seen[1]).toBe(seen[0])
  expect(seen).not.toContain(own)
  expect({ elsewhere, failed }).toEqual({ elsewhere: ["EADDRINUSE"], failed: [] })
})

it("a client's requests leave from a fresh port each, never the node's own", async () => {
  const { seen, own } = await portsSeen(await open(true), [client, client, client])
  expect(new Set([...seen, own]).size).toBe(4)
})
