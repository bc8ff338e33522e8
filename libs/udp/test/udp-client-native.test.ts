/** What only the kernel can tell a client: when its datagrams left, and when answers came, however late they are read. */
import { execFile } from "node:child_process"
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { addressFamilies } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import type { UnixTime } from "@meridian/time/timestamp"
import { ADDON_PATH, loadNative } from "@meridian/system/native"
import { openUdpClientNative } from "../src/udp-client-native.ts"
import type { UdpClientEvent, UdpClientSocket } from "../src/udp-client.ts"
import { BUILD_SCRIPT, SANITIZED } from "../../../infra/workspace/build-addon.ts"
import { until } from "./udp-client.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const openServer = async (family: 4 | 6): Promise<Socket> => {
  const socket = createSocket(family === 4 ? "udp4" : "udp6")
  socket.on("message", (message, source) => socket.send(message, source.port, source.address))
  socket.bind(0, family === 4 ? "127.0.0.1" : "::1")
  await once(socket, "listening")
  cleanups.push(() => socket.close())
  return socket
}
const connect = (server: Socket): UdpClientSocket => {
  const { address, port } = server.address()
  const socket = openUdpClientNative(loadNative().addon!, { remote: { address, port } })
  cleanups.push(socket.close)
  return socket
}
const drain = (socket: UdpClientSocket): UdpClientEvent[] => {
  const events: UdpClientEvent[] = []
  for (let event = socket.receive(); event !== undefined; event = socket.receive()) events.push(event)
  return events
}
const seconds = (time: UnixTime): number => time.seconds + time.nanoseconds / 1e9
const stampOf = (event: UdpClientEvent): number =>
  event._tag === "Transmitted" ? seconds(event.stamp) : event._tag === "Datagram" ? seconds(event.arrival) : NaN
const wallClock = (): number => {
  const now = new Float64Array(3)
  loadNative().addon!.readClocks(now)
  return now[0]! + now[1]! / 1e9
}

describe.each(addressFamilies("native client sockets"))("a native client socket over IPv%i", (family) => {
  it("numbers transmit stamps as it numbers datagrams, and tells them before the answers", async () => {
    const socket = connect(await openServer(family))
    expect(socket.stampsTransmits).toBe(true)
    const around = [1, 2, 3].map((fill) => {
      const before = wallClock()
      const sequence = socket.send(new Uint8Array(48).fill(fill))
      return { sequence, before, after: wallClock() }
    })
    const events: UdpClientEvent[] = []
    await until(() => events.push(...drain(socket)) >= 6)
    expect(events.map(({ _tag }) => _tag)).toEqual([
      "Transmitted",
      "Transmitted",
      "Transmitted",
      "Datagram",
      "Datagram",
      "Datagram"
    ])
    const stamps = events.slice(0, 3)
    expect(stamps.map((event) => event._tag === "Transmitted" && event.sequence)).toEqual([0, 1, 2])
    for (const [index, { before, after }] of around.entries()) {
      /** A double holds Unix seconds to a quarter of a microsecond. */
      expect(stampOf(stamps[index]!)).toBeGreaterThan(before - 1e-6)
      expect(stampOf(stamps[index]!)).toBeLessThan(after + 1e-6)
      expect(stampOf(events[index + 3]!)).toBeGreaterThan(stampOf(stamps[index]!))
    }
  })

  it("stamps what came when it came", async () => {
    const server = await openServer(family)
    server.removeAllListeners("message")
    const socket = connect(server)
    const lateness = async (): Promise<number> => {
      const answered = new Promise((sent) =>
        server.once("message", (message, source) => server.send(message, source.port, source.address, sent))
      )
      socket.send(new Uint8Array(48))
      await answered
      await sleep(60)
      let answer: UdpClientEvent | undefined
      await until(() => (answer = drain(socket).find(({ _tag }) => _tag === "Datagram")) !== undefined)
      return wallClock() - stampOf(answer!)
    }
    // Where this is the machine's first socket that asks for stamps, the kernel takes them from a moment later on.
    let found = await lateness()
    for (let again = 0; again < 4 && found < 0.03; again++) found = await lateness()
    expect(found).toBeGreaterThan(0.03)
  })

  it("calls back for a transmit stamp alone, and rests when it was taken", async () => {
    const silent = await openServer(family)
    silent.removeAllListeners("message")
    const socket = connect(silent)
    const seen: string[] = []
    let calls = 0
    socket.onReadable(() => {
      calls += 1
      seen.push(...drain(socket).map(({ _tag }) => _tag))
    })
    for (let count = 0; count < 3; count += 1) {
      socket.send(new Uint8Array(48))
      await sleep(10)
    }
    await until(() => seen.length >= 3)
    await sleep(50)
    expect(seen).toEqual(["Transmitted", "Transmitted", "Transmitted"])
    expect(calls).toBeLessThanOrEqual(6)
  })

  it("keeps its numbers right after a datagram that could not be sent", async () => {
    const socket = connect(await openServer(family))
    const sequences: unknown[] = []
    for (const length of [48, 70_000, 48, 70_000, 70_000, 48]) {
      try {
        sequences.push(socket.send(new Uint8Array(length)))
      } catch (error) {
        sequences.push((error as { code: string }).code)
      }
      const events: UdpClientEvent[] = []
      await until(() => events.push(...drain(socket)) > 0 || length > 65_507)
      for (const event of events) if (event._tag === "Transmitted") sequences.push(`left ${event.sequence}`)
    }
    expect(sequences).toEqual([0, "left 0", "EMSGSIZE", 1, "left 1", "EMSGSIZE", "EMSGSIZE", 2, "left 2"])
  })
})

describe("the client socket under AddressSanitizer and UBSan", () => {
  it("goes through the exercise without a report", SANITIZED, async () => {
    const run = promisify(execFile)
    await run(process.execPath, [BUILD_SCRIPT, "--sanitize"])
    const { stdout: library } = await run(process.env["CC"] ?? "cc", ["-print-file-name=libasan.so"])
    const exercise = fileURLToPath(new URL("exercise-udp-client.ts", import.meta.url))
    const addon = ADDON_PATH.replace("meridian.node", "meridian-asan.node")
    const { stdout, stderr } = await run(process.execPath, ["--expose-gc", exercise, addon], {
      env: {
        ...process.env,
        LD_PRELOAD: library.trim(),
        ASAN_OPTIONS: "detect_leaks=0",
        UBSAN_OPTIONS: "print_stacktrace=1"
      }
    })
    expect(stderr).not.toMatch(/Sanitizer|runtime error/)
    expect(stdout.trim()).toBe("exercised")
  })
})
