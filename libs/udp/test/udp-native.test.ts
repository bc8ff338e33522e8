/** What only the kernel can do: the address asked, arrival stamps from before the read, and failing messages. */
import { execFileSync, fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { SERVED } from "@meridian/time/clock-line"
import { afterEach, describe, expect, it } from "vitest"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  LOCAL_ADDRESS_STRIDE,
  SLOT_STRIDE,
  udpBindError,
  type UdpSocket
} from "../src/udp.ts"
import { echo, openClient, take, until } from "./udp-client.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const open = (address: string): UdpSocket => {
  const socket = adoptUdp(bindUdpDescriptor({ address, port: 0 }))
  cleanups.push(socket.close)
  return socket
}

const client = async () => {
  const opened = await openClient(4)
  cleanups.push(opened.close)
  return opened
}

describe("native UDP socket", () => {
  it("replies from the address that was asked", async () => {
    const socket = open("0.0.0.0")
    const peer = await client()
    echo(socket)
    const asked = ["127.0.0.2", "127.0.0.77", "127.0.0.1", "127.3.2.1"]
    for (const address of asked) await peer.send(new Uint8Array(48), socket.port, address)
    await until(() => peer.answers.length === asked.length)
    expect(peer.answers.map((answer) => answer.source.address)).toEqual(asked)
  })

  it("tells which address was asked", async () => {
    const socket = open("0.0.0.0")
    const peer = await client()
    await peer.send(new Uint8Array(48), socket.port, "127.0.0.9")
    await take(socket, 1)
    expect([...socket.localAddresses.subarray(0, 4)]).toEqual([127, 0, 0, 9])
    const fixed = open("127.0.0.5")
    const last = (BATCH_CAPACITY - 1) * LOCAL_ADDRESS_STRIDE
    expect([...fixed.localAddresses.subarray(last, last + 4)]).toEqual([127, 0, 0, 5])
  })

  it("stamps arrivals in the kernel, however late they are read", async () => {
    const socket = open("127.0.0.1")
    const peer = await client()
    const lateness = async (): Promise<number> => {
      await peer.send(new Uint8Array(48), socket.port, "127.0.0.1")
      await sleep(50)
      const [first] = await take(socket, 1)
      return first!.now - first!.arrival
    }
    // Where this is the machine's first socket that asks for stamps, the kernel takes them from a moment later on.
    let found = await lateness()
    for (let again = 0; again < 4 && found < 0.03; again++) found = await lateness()
    expect(found).toBeGreaterThan(0.03)
  })

  it.each([
    { size: 20, address: "127.0.0.1", together: 1 },
    { size: 32, address: "127.0.0.1", together: 1 },
    { size: BATCH_CAPACITY, address: "127.0.0.1", together: 8 },
    { size: 10, address: "0.0.0.0", together: 1 },
    { size: 20, address: "0.0.0.0", together: 2 },
    { size: BATCH_CAPACITY, address: "0.0.0.0", together: 8 }
  ])(
    "stamps each reply of a batch of $size, asked on $address, no later than it came, and $together by $together later than the one before came",
    async ({ size, address, together }) => {
      const socket = open(address)
      const peer = await client()
      let batch = 0
      for (let attempt = 0; attempt < 50 && batch !== size; attempt++) {
        while (socket.receive() > 0);
        for (let index = 0; index < size; index++) await peer.send(new Uint8Array(48), socket.port, "127.0.0.1")
        await sleep(20)
        batch = socket.receive()
      }
      for (let index = 0; index < batch; index++) {
        const reply = index * SLOT_STRIDE
        socket.view.setUint32(reply + 40, socket.served[SERVED.seconds]!)
        socket.view.setUint32(reply + 44, socket.served[SERVED.fraction]!)
        // They go to the socket itself, which tells times by one line: over loopback the kernel stamps what comes while it is being sent.
        new DataView(socket.addresses.buffer, socket.addresses.byteOffset).setUint16(
          index * ADDRESS_STRIDE + 2,
          socket.port
        )
      }
      socket.replyLengths.fill(48, 0, batch)
      expect(socket.send(batch, 40)).toBe(batch)
      expect(socket.receive()).toBe(batch)
      let before = 0n
      for (let index = 0; index < batch; index++) {
        const stamp = socket.view.getBigUint64(index * SLOT_STRIDE + 40)
        const came = (BigInt(socket.arrivalSeconds[index]!) << 32n) | BigInt(socket.arrivalFractions[index]!)
        expect(stamp).toBeLessThanOrEqual(came)
        expect(stamp > before).toBe(index % together === 0)
        before = came
      }
    }
  )

  it("sends the replies after one that fails", async () => {
    const socket = open("127.0.0.1")
    const peers = await Promise.all([client(), client(), client(), client()])
    // A busy kernel may deliver them one after the other; what is wanted is a batch of four.
    let batch = 0
    for (let attempt = 0; attempt < 50 && batch !== peers.length; attempt++) {
      for (const peer of peers) await peer.send(new Uint8Array(48), socket.port, "127.0.0.1")
      await sleep(20)
      batch = socket.receive()
    }
    expect(batch).toBe(4)
    socket.replyLengths.fill(48, 0, 4)
    /** Port 0 cannot be sent to, and an address family of 0 is none. */
    socket.addresses.fill(0, 2, 4)
    socket.addresses.fill(0, 2 * ADDRESS_STRIDE, 3 * ADDRESS_STRIDE)
    expect(socket.send(4)).toBe(2)
    expect(socket.sendErrors()).toBe(2)
    await until(() => peers[1]!.answers.length + peers[3]!.answers.length === 2)
    expect(peers.map((peer) => peer.answers.length)).toEqual([0, 1, 0, 1])
  })

  it("takes a count beyond a batch for a batch, and one below zero for none", () => {
    const socket = open("127.0.0.1")
    socket.replyLengths.fill(0)
    expect(socket.send(1000)).toBe(0)
    expect(socket.send(-1)).toBe(0)
  })

  it("says what to do about a privileged port", () => {
    expect(udpBindError("EACCES", "0.0.0.0", 123).message).toMatch(
      /port 123 cannot be bound: .*root or CAP_NET_BIND_SERVICE/
    )
  })
})

describe.each(["native", "fallback"])("a throwing callback (%s)", (kind) => {
  it("reaches uncaughtException, leaves the socket working, and the process ends by itself after close", async () => {
    const script = fileURLToPath(new URL("throwing-callback.ts", import.meta.url))
    const child = fork(script, [kind], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    const reports: Array<unknown> = []
    child.on("message", (message) => reports.push(message))
    const [code] = (await once(child, "exit")) as [number]
    // What it said may be read after its end is known.
    await until(() => reports.length > 0)
    expect(reports).toEqual([{ thrown: ["first", "second"], answered: 1 }])
    expect(code).toBe(0)
  })
})

describe.skipIf(!canMakeNamespaces("a link that fragments"))("a link that takes 700 octets at once", () => {
  it.each(["127.0.0.1", "0.0.0.0"])(
    "has replies beyond that in fragments, asked at %s, and short ones between them",
    (address) => {
      const network = new NetworkNamespace()
      cleanups.push(() => network.remove())
      execFileSync("ip", ["-n", network.name, "link", "set", "lo", "mtu", "700"])
      const script = fileURLToPath(new URL("answer-short-and-long.ts", import.meta.url))
      const lengths = [48, 1000, 48, 548, 549, 2000, 232]
      const args = [...network.within.slice(1), process.execPath, ...process.execArgv, script, address]
      const answered = execFileSync("ip", [...args, ...lengths.map(String)], { encoding: "utf8" })
      expect(JSON.parse(answered)).toEqual(lengths)
    }
  )
})
