/** What clients of a whole node read on the day of a leap second, and while it is smeared. The node's one server is told by us what to say. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { systemClock } from "@meridian/native-io/system-clock"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { startNode } from "@meridian/testkit/running-node"
import { fromUnix, type NtpTimestamp, shiftInPlace } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, HEADER_BYTES, Mode, type NtpHeader } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"

/** 2017-01-01T00:00:00Z, after a leap second; an hour before it. */
const LEAP_AT = 1_483_228_800
const HOUR = 3_600

const clock = systemClock()
const stamp = (shift: number): NtpTimestamp => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  shiftInPlace(time, shift)
  return fromUnix(time)
}

/** Announces an inserted leap second, at a time that is `shift` seconds ahead. */
const announcingServer = async (shift: number) => {
  const socket = createSocket("udp4")
  socket.on("message", (packet, from) => {
    const asked = decodeHeader(packet)
    if ("_tag" in asked) return
    const now = stamp(shift)
    const said = { leap: 1, version: asked.version, mode: Mode.server, stratum: 2, poll: asked.poll, precision: -23 }
    const root = { rootDelay: 0x10, rootDispersion: 0x20, referenceId: 0xc0000201, reference: stamp(shift - 8) }
    const stamps = { origin: asked.transmit, receive: now, transmit: stamp(shift) }
    socket.send(encodeHeader({ ...said, ...root, ...stamps } as NtpHeader), from.port, from.address)
  })
  socket.bind(0, "127.0.3.1")
  await once(socket, "listening")
  return { port: socket.address().port, close: () => void socket.close() }
}

const ask = async (port: number): Promise<NtpHeader | undefined> => {
  const socket = createSocket("udp4")
  try {
    const request = new Uint8Array(HEADER_BYTES)
    request[0] = 0x23
    const answered = once(socket, "message", { signal: AbortSignal.timeout(5_000) })
    socket.send(request, port, "127.0.0.1")
    const [packet] = (await answered) as [Buffer]
    const header = decodeHeader(packet)
    return "_tag" in header ? undefined : header
  } catch {
    return undefined
  } finally {
    socket.close()
  }
}

const firstGoodReply = async (lines: string, until: (reply: NtpHeader) => boolean): Promise<NtpHeader> => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-leap-"))
  const shift = LEAP_AT - HOUR - Date.now() / 1e3
  const server = await announcingServer(shift)
  const file = join(folder, "ntp.conf")
  writeFileSync(file, `server 127.0.3.1:${server.port} iburst minpoll 3\ntinker panic 0\n${lines}`)
  const node = await startNode({ args: ["--workers", "1", "--listen", "127.0.0.1", "--config", file] })
  let last: NtpHeader | undefined
  try {
    for (let waited = 0; waited < PATIENCE_MS; waited += 200) {
      last = (await ask(node.port)) ?? last
      if (last !== undefined && last.leap !== 3 && until(last)) return last
      await sleep(200)
    }
    throw new Error(`no such reply came; the last was ${JSON.stringify(last, (_, value) => String(value))}`)
  } finally {
    await node.stop()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

describe.concurrent("a node's replies an hour before a leap second", () => {
  it("announce it", async () => {
    const reply = await firstGoodReply("", ({ leap }) => leap !== 0)
    expect(reply).toMatchObject({ leap: 1, stratum: 3, referenceId: 0x7f000301 })
    expect(Number(reply.transmit >> 32n) - 2_208_988_800).toBeGreaterThan(LEAP_AT - HOUR - 60)
  })

  it("say nothing of it while it is smeared, and their reference id says that it is", async () => {
    const reply = await firstGoodReply(`leapsmearinterval ${2 * HOUR}\n`, (it) => it.referenceId >>> 24 === 254)
    expect(reply).toMatchObject({ leap: 0, stratum: 3 })
    // 254 and the smear so far in units of 2^-22 s: half a second slow.
    expect(((reply.referenceId << 8) >> 8) / 2 ** 22).toBeCloseTo(-0.5, 1)
  })
})
