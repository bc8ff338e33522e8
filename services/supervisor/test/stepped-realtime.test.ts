/**
 * Somebody sets CLOCK_REALTIME by an hour under a whole node, while its clock's process runs, is stopped, and is gone. Every
 * reply that claims to be good is held against the time that this process reads, whose clock nobody touches.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { systemClock } from "@meridian/clocks/system-clock"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { shortToSeconds } from "@meridian/time/short"
import { differenceSeconds, fromUnix, type NtpTimestamp, shiftInPlace } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, HEADER_BYTES, Mode, type NtpHeader } from "@meridian/wire/ntp"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const HOUR = 3_600
/** Asked before and after each step. */
const REQUESTS = 300
const PAUSE_MS = 2
/** Reading a clock and a packet's way through two processes are no one moment. */
const SLACK = 1e-3

const clock = systemClock()
const now = (shift = 0): NtpTimestamp => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  shiftInPlace(time, shift)
  return fromUnix(time)
}

/** This machine's time, as it is. */
const startSource = async (address: string) => {
  const socket = createSocket("udp4")
  socket.on("message", (packet, from) => {
    const asked = decodeHeader(packet)
    if ("_tag" in asked) return
    const receive = now()
    const said = { leap: 0, version: asked.version, mode: Mode.server, stratum: 1, poll: asked.poll, precision: -20 }
    const root = { rootDelay: 0x10, rootDispersion: 0x20, referenceId: 0x47505300, reference: now(-8) }
    const reply = { ...said, ...root, origin: asked.transmit, receive, transmit: now() } as NtpHeader
    socket.send(encodeHeader(reply), from.port, from.address)
  })
  socket.bind(0, address)
  await once(socket, "listening")
  return { port: socket.address().port, close: () => void socket.close() }
}

interface Judged {
  readonly isGood: boolean
  /** Seconds by which a stamp lies outside of what the reply claims; 0 mostly. */
  readonly beyond: number
}

/** Seconds that a stamp lies outside of the time that passed here, less what is claimed. */
const beyondClaim = (stamp: NtpTimestamp, asked: NtpTimestamp, heard: NtpTimestamp, claim: number): number =>
  Math.max(0, differenceSeconds(asked, stamp) - claim, differenceSeconds(stamp, heard) - claim)

const askWith = (port: number) => {
  const socket = createSocket("udp4")
  const request = new Uint8Array(HEADER_BYTES)
  request[0] = 0x23
  const TRANSMIT_AT = 40
  return {
    ask: async (): Promise<Judged | undefined> => {
      const asked = now()
      new DataView(request.buffer).setBigUint64(TRANSMIT_AT, asked)
      const late = AbortSignal.timeout(4_000)
      socket.send(request, port, "127.0.0.1")
      let header: NtpHeader | undefined
      // What comes too late is no answer to the next question.
      while (header?.origin !== asked) {
        const packet = await once(socket, "message", { signal: late }).catch(() => undefined)
        if (packet === undefined) return undefined
        const decoded = decodeHeader(packet[0] as Buffer)
        header = "_tag" in decoded ? undefined : decoded
      }
      const heard = now()
      const claim = shortToSeconds(header.rootDelay) / 2 + shortToSeconds(header.rootDispersion) + SLACK
      const beyond = [header.receive, header.transmit].map((stamp) => beyondClaim(stamp, asked, heard, claim))
      return { isGood: header.leap !== 3, beyond: Math.max(...beyond) }
    },
    close: () => void socket.close()
  }
}

const childrenOf = (node: RunningNode): readonly number[] =>
  readFileSync(`/proc/${node.process.pid}/task/${node.process.pid}/children`, "utf8")
    .split(" ")
    .filter((pid) => pid !== "")
    .map(Number)

const clockProcessOf = (node: RunningNode): number | undefined =>
  childrenOf(node).find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("discipline"))

const theClockProcess = async (node: RunningNode): Promise<number> => {
  for (let waited = 0; waited < PATIENCE_MS; waited += 50) {
    const pid = clockProcessOf(node)
    if (pid !== undefined) return pid
    await sleep(50)
  }
  throw new Error("the clock's process is not there")
}

describe.each([
  ["with a source", true],
  ["without a source", false]
])("a node %s", (_what, hasSource) => {
  let folder: string
  let realtime: SteppedRealtime
  let source: Awaited<ReturnType<typeof startSource>>
  let node: RunningNode
  let client: ReturnType<typeof askWith>

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "meridian-stepped-"))
    realtime = new SteppedRealtime()
    source = await startSource("127.0.4.1")
    const file = join(folder, "ntp.conf")
    const lines = hasSource
      ? `server 127.0.4.1:${source.port} iburst minpoll 0 maxpoll 0\n`
      : "server 127.127.1.0\nfudge 127.127.1.0 stratum 5\n"
    writeFileSync(file, lines)
    const args = ["--workers", "2", "--listen", "127.0.0.1", "--config", file]
    node = await startNode({ args, env: realtime.environment })
    client = askWith(node.port)
    for (let waited = 0; waited < PATIENCE_MS && (await client.ask())?.isGood !== true; waited += 50) await sleep(50)
  })
  afterAll(async () => {
    await node.stop()
    client.close()
    source.close()
    realtime.close()
    rmSync(folder, { recursive: true })
  })

  /** Asks all the while, with a step in the middle; how many replies were good, and the worst that one was off. */
  const askAcross = async (seconds: number, until: () => boolean = () => true) => {
    const judged: (Judged | undefined)[] = []
    const some = async (): Promise<void> => {
      for (let asked = 0; asked < REQUESTS; asked += 1) {
        judged.push(await client.ask())
        await sleep(PAUSE_MS)
      }
    }
    await some()
    realtime.step(seconds)
    await some()
    const deadline = performance.now() + PATIENCE_MS
    while (!until() && performance.now() < deadline) judged.push(await client.ask())
    const good = judged.filter((each) => each?.isGood === true)
    return { asked: judged.length, good: good.length, worst: Math.max(...good.map((each) => each?.beyond ?? 0)) }
  }

  it.each([HOUR, -2 * HOUR, HOUR, 0.25, -0.25])("serves on through a step by %d s", async (seconds) => {
    const { asked, good, worst } = await askAcross(seconds)
    expect(worst).toBe(0)
    expect(good).toBe(asked)
  })

  it.each([HOUR, -HOUR])("stamps a request that waited for its worker through a step by %d s", async (seconds) => {
    const pids = (await node.status()).workers.map(({ pid }) => pid)
    for (const pid of pids) process.kill(pid, "SIGSTOP")
    const answer = client.ask()
    await sleep(100)
    realtime.step(seconds)
    await sleep(100)
    for (const pid of pids) process.kill(pid, "SIGCONT")
    expect(await answer).toEqual({ isGood: true, beyond: 0 })
  })

  it("serves on while its clock's process is stopped, and once it goes on", async () => {
    const pid = await theClockProcess(node)
    process.kill(pid, "SIGSTOP")
    try {
      const { asked, good, worst } = await askAcross(HOUR)
      expect(worst).toBe(0)
      expect(good).toBe(asked)
    } finally {
      process.kill(pid, "SIGCONT")
    }
    const after = await askAcross(-HOUR)
    expect(after.worst).toBe(0)
    expect(after.good).toBeGreaterThan(REQUESTS)
  })

  it("serves on while its clock's process is gone, and once another has its place", async () => {
    const gone = await theClockProcess(node)
    process.kill(gone, "SIGKILL")
    const restarting = await askAcross(HOUR, () => {
      const pid = clockProcessOf(node)
      return pid !== undefined && pid !== gone
    })
    expect(restarting.worst).toBe(0)
    expect(restarting.good).toBeGreaterThan(REQUESTS)
    const after = await askAcross(-HOUR)
    expect(after.worst).toBe(0)
    for (let waited = 0; waited < PATIENCE_MS && (await client.ask())?.isGood !== true; waited += 50) await sleep(50)
    expect(await client.ask()).toEqual({ isGood: true, beyond: 0 })
  })

  it("was under a clock that was set, and says so", async () => {
    realtime.step(HOUR)
    for (let waited = 0; waited < PATIENCE_MS && !node.stderr().includes("CLOCK_REALTIME"); waited += 50)
      await sleep(50)
    // The clock's process looks four times a second, and reports each second.
    const offset = async (): Promise<number> =>
      ((await node.status()) as unknown as { readonly clock: { readonly offset: number } }).clock.offset
    await expect.poll(offset, { timeout: PATIENCE_MS, interval: 200 }).toBeCloseTo(-HOUR, 0)
    expect(node.stderr().includes("restart the node")).toBe(!hasSource)
  })

  it("gives its clock's process the page to write, and every other one to read", async () => {
    const clockProcess = await theClockProcess(node)
    const held = childrenOf(node).flatMap((pid) =>
      readdirSync(`/proc/${pid}/fd`)
        .filter((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`).includes("meridian-clock-page"))
        .map((descriptor) => ({ pid, flags: readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, "utf8") }))
    )
    const writers = held.filter(({ flags }) => /^flags:\s*\d*2$/m.test(flags))
    expect(writers.map(({ pid }) => pid)).toEqual([clockProcess])
    expect(held.length).toBeGreaterThan(3)
  })
})
