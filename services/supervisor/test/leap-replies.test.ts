/** What clients of a whole node read on the day of a leap second, and while it is smeared. The node's one server is told by us what to say. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { systemClock } from "@meridian/clocks/system-clock"
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

type Change = "insert" | "delete"

/** What a clock that leaps adds to one that does not, at `unix` of the latter. */
const leapt = (change: Change, unix: number): number =>
  change === "insert" ? (unix >= LEAP_AT ? -1 : 0) : unix >= LEAP_AT - 1 ? 1 : 0

/**
 * Announces a leap second and carries it out.
 * @param ahead seconds by which its time is ahead, told when it is asked for the first time
 */
const announcingServer = async (address: string, begin: () => number, change: Change = "insert") => {
  let ahead: number | undefined
  const socket = createSocket("udp4")
  socket.on("message", (packet, from) => {
    const asked = decodeHeader(packet)
    if ("_tag" in asked) return
    ahead ??= begin()
    const passed = leapt(change, Date.now() / 1e3 + ahead)
    const shift = ahead + passed
    const now = stamp(shift)
    const leap = passed === 0 ? (change === "insert" ? 1 : 2) : 0
    const said = { leap, version: asked.version, mode: Mode.server, stratum: 2, poll: asked.poll, precision: -23 }
    const root = { rootDelay: 0x10, rootDispersion: 0x20, referenceId: 0xc0000201, reference: stamp(shift - 8) }
    const stamps = { origin: asked.transmit, receive: now, transmit: stamp(shift) }
    socket.send(encodeHeader({ ...said, ...root, ...stamps } as NtpHeader), from.port, from.address)
  })
  socket.bind(0, address)
  await once(socket, "listening")
  return { port: socket.address().port, ahead: () => ahead, close: () => void socket.close() }
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
  const server = await announcingServer("127.0.3.1", () => shift)
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

/** Follows a node over a leap second; what its replies were off by, and which leap indicators they had before and after. */
const overTheLeap = async (address: string, change: Change) => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-leaping-"))
  const file = join(folder, "ntp.conf")
  const server = await announcingServer(address, () => LEAP_AT - 45 - Date.now() / 1e3, change)
  writeFileSync(file, `server ${address}:${server.port} iburst minpoll 3\ntinker panic 0\n`)
  const node = await startNode({ args: ["--workers", "1", "--listen", "127.0.0.1", "--config", file] })
  const wrong: string[] = []
  const seen = new Set<string>()
  try {
    for (let unix = 0; unix < LEAP_AT + 12; await sleep(100)) {
      const asked = Date.now() / 1e3
      const reply = await ask(node.port)
      const ahead = server.ahead()
      if (ahead === undefined) continue
      unix = Date.now() / 1e3 + ahead
      // The clock's process looks four times a second, and a busy machine keeps it waiting.
      if (reply === undefined || reply.leap === 3 || Math.abs(unix - LEAP_AT) < 2) continue
      const served = Number(reply.transmit >> 32n) - 2_208_988_800 + Number(reply.transmit & 0xffffffffn) / 2 ** 32
      // It left at some moment between the two: this process, too, is kept waiting.
      const left = Math.min(unix, Math.max(asked + ahead, served - leapt(change, unix)))
      const error = served - (left + leapt(change, unix))
      if (Math.abs(error) > 0.4) wrong.push(`${(unix - LEAP_AT).toFixed(1)} s from it: ${error.toFixed(3)} s off`)
      seen.add(`${unix < LEAP_AT ? "before" : "after"} ${reply.leap}`)
    }
  } finally {
    await node.stop()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { wrong, seen: [...seen].filter((it) => it !== "before 0").toSorted() }
}

describe("a node's replies while a leap second passes", () => {
  it("go with it, inserted or deleted: announced before, taken once, and gone", async () => {
    const [inserted, deleted] = await Promise.all([
      overTheLeap("127.0.3.2", "insert"),
      overTheLeap("127.0.3.3", "delete")
    ])
    expect(inserted).toEqual({ wrong: [], seen: ["after 0", "before 1"] })
    expect(deleted).toEqual({ wrong: [], seen: ["after 0", "before 2"] })
  })
})
