/** One contract of client sockets, two implementations, two address families. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { addressFamilies } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import { disableNative, loadNative, loadNativeFrom, ADDON_PATH } from "@meridian/system/native"
import { openUdpClientFallback } from "../src/udp-client-fallback.ts"
import { openUdpClientNative } from "../src/udp-client-native.ts"
import { openUdpClient } from "../src/udp-client-open.ts"
import {
  CLIENT_DATAGRAM_BYTES,
  UdpClientError,
  type UdpClientEvent,
  type UdpClientOptions,
  type UdpClientSocket
} from "../src/udp-client.ts"
import { loopback, until } from "./udp-client.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const openers = {
  native: async (options: UdpClientOptions) => openUdpClientNative(loadNative().addon!, options),
  fallback: openUdpClientFallback
}

/** A server that answers each datagram with its bytes, and one byte more where `more` says so. */
const openServer = async (
  family: 4 | 6,
  address = loopback(family)
): Promise<{ socket: Socket; port: number; seen: number[] }> => {
  const socket = createSocket(family === 4 ? "udp4" : "udp6")
  const seen: number[] = []
  socket.on("message", (message, source) => {
    seen.push(source.port)
    socket.send(message, source.port, source.address)
  })
  socket.bind(0, address)
  await once(socket, "listening")
  cleanups.push(() => socket.close())
  return { socket, port: socket.address().port, seen }
}

const collect = (socket: UdpClientSocket): UdpClientEvent[] => {
  const events: UdpClientEvent[] = []
  socket.onReadable(() => {
    for (let event = socket.receive(); event !== undefined; event = socket.receive()) events.push(event)
  })
  return events
}
const datagrams = (events: readonly UdpClientEvent[]) => events.filter((event) => event._tag === "Datagram")
const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return error instanceof UdpClientError ? error.code : String(error)
  }
  return "nothing was thrown"
}

describe.each(["native", "fallback"] as const)("%s client socket", (kind) => {
  const open = async (options: UdpClientOptions): Promise<UdpClientSocket> => {
    const socket = await openers[kind](options)
    cleanups.push(socket.close)
    return socket
  }
  const refusal = (options: UdpClientOptions): Promise<string> =>
    openers[kind](options).then(
      (socket) => {
        socket.close()
        return "it was opened"
      },
      (error: unknown) => (error instanceof UdpClientError ? error.code : String(error))
    )

  describe.each(addressFamilies("client sockets"))("over IPv%i", (family) => {
    const address = loopback(family)

    it("asks and is answered, connected", async () => {
      const server = await openServer(family)
      const socket = await open({ remote: { address, port: server.port } })
      expect(socket).toMatchObject({ kind, family })
      const events = collect(socket)
      const before = Date.now() / 1e3
      expect([1, 2, 3].map((fill) => socket.send(new Uint8Array(48).fill(fill)))).toEqual([0, 1, 2])
      await until(() => datagrams(events).length === 3)
      expect(datagrams(events).map(({ bytes }) => [bytes.length, bytes[0]])).toEqual([
        [48, 1],
        [48, 2],
        [48, 3]
      ])
      expect(server.seen).toEqual([socket.localPort, socket.localPort, socket.localPort])
      for (const { from, arrival } of datagrams(events)) {
        expect(from).toEqual({ address, port: server.port })
        const at = arrival.seconds + arrival.nanoseconds / 1e9
        expect(at).toBeGreaterThan(before - 0.002)
        expect(at).toBeLessThan(Date.now() / 1e3 + 0.002)
      }
    })

    it("asks anybody and is answered by anybody, unconnected", async () => {
      const [first, second] = [await openServer(family), await openServer(family)]
      const socket = await open({ local: { address, port: 0 } })
      const events = collect(socket)
      socket.send(new Uint8Array([1]), { address, port: first.port })
      socket.send(new Uint8Array([2]), { address, port: second.port })
      await until(() => datagrams(events).length === 2)
      const answers = datagrams(events).map(({ bytes, from }) => `${bytes.join()} ${from.address} ${from.port}`)
      expect(answers.sort()).toEqual([`1 ${address} ${first.port}`, `2 ${address} ${second.port}`])
    })

    it("connected, hears nobody else", async () => {
      const server = await openServer(family)
      const stranger = await openServer(family)
      const socket = await open({ remote: { address, port: server.port } })
      const events = collect(socket)
      await new Promise((resolve) =>
        stranger.socket.send(new Uint8Array(48).fill(9), socket.localPort, address, resolve)
      )
      socket.send(new Uint8Array([7]))
      await until(() => datagrams(events).length > 0)
      expect(datagrams(events).map(({ bytes }) => [...bytes])).toEqual([[7]])
    })

    it("takes a fresh port each time", async () => {
      const remote = { address, port: 9 }
      const ports = await Promise.all(Array.from({ length: 20 }, async () => (await open({ remote })).localPort))
      expect(new Set(ports).size).toBe(20)
      const inOrder = ports.slice(1).filter((port, index) => port === ports[index]! + 1)
      expect(inOrder.length).toBeLessThan(10)
      expect(Math.min(...ports)).toBeGreaterThan(1023)
    })

    it("sends from the port that is asked for, once", async () => {
      const first = await open({ local: { address, port: 0 } })
      expect(await refusal({ local: { address, port: first.localPort } })).toBe("EADDRINUSE")
      first.close()
      await until(() => false, 20)
      const again = await open({ local: { address, port: first.localPort }, remote: { address, port: 9 } })
      expect(again.localPort).toBe(first.localPort)
    })

    it("shares a port with those who serve on it: what its remote sends comes to it, everything else to them", async () => {
      const type = family === 4 ? "udp4" : "udp6"
      const peer = await openServer(family)
      let served = 0
      const serving = [0, 1].map(() => createSocket({ type, reusePort: true }))
      const port = { number: 0 }
      for (const socket of serving) {
        socket.on("message", () => (served += 1))
        // The wildcard address, as nodes listen.
        socket.bind(port.number)
        await once(socket, "listening")
        cleanups.push(() => socket.close())
        port.number = socket.address().port
      }
      const client = await open({ local: { address, port: port.number }, remote: { address, port: peer.port } })
      expect(client.localPort).toBe(port.number)
      const events = collect(client)
      const strangers = await Promise.all(Array.from({ length: 20 }, () => openServer(family)))
      for (let count = 0; count < 20; count += 1) peer.socket.send("peer", port.number, address)
      for (const { socket } of strangers) socket.send("stranger", port.number, address)
      await until(() => datagrams(events).length >= 20 && served >= 20)
      expect(datagrams(events).map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(Array(20).fill("peer"))
      expect(served).toBe(20)
      client.send(new Uint8Array([1]))
      await until(() => peer.seen.length > 0)
      expect(peer.seen).toEqual([port.number])
    })

    it("cuts what is longer than any NTP packet, and takes empty datagrams", async () => {
      const server = await openServer(family)
      const socket = await open({ remote: { address, port: server.port } })
      const events = collect(socket)
      for (const length of [0, CLIENT_DATAGRAM_BYTES, CLIENT_DATAGRAM_BYTES + 1, 9000])
        socket.send(new Uint8Array(length))
      await until(() => datagrams(events).length === 4)
      expect(datagrams(events).map(({ bytes }) => bytes.length)).toEqual([0, 2048, 2048, 2048])
    })

    it("tells that nothing listens there, and goes on", async () => {
      const server = await openServer(family)
      const { port } = server
      server.socket.removeAllListeners()
      cleanups.pop()
      server.socket.close()
      const socket = await open({ remote: { address, port } })
      const events = collect(socket)
      socket.send(new Uint8Array(48))
      await until(() => events.some(({ _tag }) => _tag === "Failed"))
      expect(events.filter(({ _tag }) => _tag === "Failed")).toEqual([{ _tag: "Failed", code: "ECONNREFUSED" }])
      socket.send(new Uint8Array(48))
      await until(() => events.filter(({ _tag }) => _tag === "Failed").length === 2)
      expect(events.filter(({ _tag }) => _tag === "Failed")).toHaveLength(2)
    })
  })

  it("tells nothing when there is nothing, and nothing after close", async () => {
    const socket = await open({ remote: { address: "127.0.0.1", port: 9 } })
    expect(socket.receive()).toBeUndefined()
    socket.close()
    socket.close()
    expect(socket.receive()).toBeUndefined()
    expect(codeOf(() => socket.send(new Uint8Array(48)))).toBe("EBADF")
    expect(codeOf(() => socket.onReadable(() => {}))).toBe("EBADF")
  })

  it("may be closed by its own callback", async () => {
    const server = await openServer(4)
    const socket = await open({ remote: { address: "127.0.0.1", port: server.port } })
    let calls = 0
    socket.onReadable(() => {
      calls += 1
      socket.close()
    })
    socket.send(new Uint8Array(48))
    await until(() => calls > 0)
    await until(() => false, 20)
    expect(calls).toBe(1)
  })

  it("sends to one place connected, and must be told one otherwise", async () => {
    const connected = await open({ remote: { address: "127.0.0.1", port: 9 } })
    expect(codeOf(() => connected.send(new Uint8Array(1), { address: "127.0.0.1", port: 9 }))).toBe("EISCONN")
    const free = await open({ local: { address: "127.0.0.1", port: 0 } })
    expect(codeOf(() => free.send(new Uint8Array(1)))).toBe("EDESTADDRREQ")
    for (const to of [
      { address: "::1", port: 9 },
      { address: "localhost", port: 9 },
      { address: "127.0.0.1", port: 0 },
      { address: "127.0.0.1", port: 65_536 }
    ])
      expect(codeOf(() => free.send(new Uint8Array(1), to))).toBe("EINVAL")
  })

  it.each<[UdpClientOptions, string]>([
    [{}, "EINVAL"],
    [{ remote: { address: "localhost", port: 123 } }, "EINVAL"],
    [{ remote: { address: "127.0.0.1", port: 0 } }, "EINVAL"],
    [{ remote: { address: "127.0.0.1", port: 1.5 } }, "EINVAL"],
    [{ remote: { address: "127.0.0.1", port: 123 }, local: { address: "::1", port: 0 } }, "EINVAL"],
    [{ local: { address: "127.0.0.1", port: 65_536 } }, "EINVAL"],
    [{ local: { address: "192.0.2.77", port: 0 } }, "EADDRNOTAVAIL"]
  ])("is not opened with %o: %s", async (options, code) => {
    expect(await refusal(options)).toBe(code)
  })
})

it("the fallback is taken where there is no addon", async () => {
  const remote = { address: "127.0.0.1", port: 9 }
  const kinds: string[] = []
  for (const isDisabled of [false, true]) {
    if (isDisabled) disableNative("for this test")
    const socket = await openUdpClient({ remote })
    kinds.push(socket.kind)
    socket.close()
  }
  expect(kinds).toEqual(["native", "fallback"])
  expect(loadNativeFrom(ADDON_PATH).addon).toBeDefined()
})
