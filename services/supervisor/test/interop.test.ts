/** Real clients ask a real node: chronyd 4.3 and the newest, NTPsec's ntpdig, classic sntp, a Windows-style request. */
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { ntpdigOnPort, peer, type PeerCommand, peersAvailable, type PeerName } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader } from "@meridian/wire/ntp"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const clients = [
  "chronyd-4.3",
  "chronyd-newest",
  "ntpsec-ntpdig",
  "classic-sntp"
] as const satisfies readonly PeerName[]
const available = peersAvailable("interop with real clients", clients)

let node: RunningNode
beforeAll(async () => {
  node = await startNode()
})
afterAll(async () => {
  await node.stop()
})

const run = (command: PeerCommand, args: readonly string[]): Promise<{ code: number | null; output: string }> =>
  new Promise((done) => {
    execFile(
      command.command,
      [...command.args, ...args],
      { env: command.env, timeout: 2 * PATIENCE_MS },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null
        done({ code, output: stdout + stderr })
      }
    )
  })

/** The server and the client read the same clock, so what a client measures is only the path's asymmetry. Seconds. */
const SANE_OFFSET = 0.05

describe.runIf(available)("real clients", () => {
  const addresses = loopbackAddresses("interop with real clients")
  const chronyds = ["chronyd-4.3", "chronyd-newest"] as const

  it.concurrent.each(chronyds.flatMap((name) => addresses.map((address) => [name, address] as const)))(
    "%s -Q -x over %s",
    async (name, address) => {
      const { code, output } = await run(peer(name)!, [
        "-Q",
        "-x",
        "-t",
        "60",
        `server ${address} port ${node.port} iburst`
      ])
      expect(output).toMatch(/System clock wrong by -?[0-9.]+ seconds/)
      expect(Math.abs(Number(/wrong by (-?[0-9.]+) seconds/.exec(output)?.[1]))).toBeLessThan(SANE_OFFSET)
      expect(code).toBe(0)
    }
  )

  it.concurrent.each(addresses)("ntpdig over %s", async (address) => {
    // It stamps by itself, so that what it waits for a processor is in its offset: of several one finds it free.
    await vi.waitFor(
      async () => {
        const { code, output } = await run(ntpdigOnPort(node.port)!, ["-j", address])
        expect(code).toBe(0)
        const report = JSON.parse(output) as { offset: number; stratum: number }
        expect(report.stratum).toBe(10)
        expect(Math.abs(report.offset)).toBeLessThan(SANE_OFFSET)
      },
      { timeout: PATIENCE_MS }
    )
  })
})

describe("clients of other versions and habits", () => {
  const ask = async (bytes: Uint8Array): Promise<Uint8Array> => {
    const socket = createSocket("udp4")
    try {
      socket.connect(node.port, "127.0.0.1")
      await once(socket, "connect")
      socket.send(bytes)
      const [reply] = (await once(socket, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Uint8Array]
      return reply
    } finally {
      socket.close()
    }
  }

  it.each([1, 2, 3, 4])("version %d", async (version) => {
    const reply = decodeHeader(await ask(clientRequest(version, ntpTimestamp(1, version))))
    expect(reply).toMatchObject({ version, mode: 4, origin: ntpTimestamp(1, version), stratum: 10 })
  })
  it("Windows: version 3 in symmetric active mode is answered in symmetric passive", async () => {
    const request = clientRequest(3, ntpTimestamp(7, 9))
    request[0] = (3 << 3) | 1
    expect(decodeHeader(await ask(request))).toMatchObject({ version: 3, mode: 2, origin: ntpTimestamp(7, 9) })
  })
  it("a reply leaves from the address that was asked", async () => {
    const socket = createSocket("udp4")
    socket.send(clientRequest(4, ntpTimestamp(3, 3)), node.port, "127.0.0.9")
    const [, from] = (await once(socket, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })) as [
      Uint8Array,
      { address: string }
    ]
    socket.close()
    expect(from.address).toBe("127.0.0.9")
  })
})
