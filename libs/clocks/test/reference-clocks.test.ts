import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ADDON_PATH } from "@meridian/system/native"
import { ClockFeeder } from "@meridian/testkit/clock-feeder"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { openPhcDevice, openPpsDevice } from "../src/clock-devices.ts"
import { openClockSocket } from "../src/clock-socket.ts"
import type { ShmTime } from "@meridian/wire/shm-time"
import { ReferenceClockError, type ShmPort } from "../src/reference-clock-ports.ts"
import { openShmSegment } from "../src/shm-segment.ts"

const folder = mkdtempSync(join(tmpdir(), "meridian-reference-"))
const feeders: ClockFeeder[] = []
const startFeeder = (): ClockFeeder => {
  const feeder = ClockFeeder.start()
  feeders.push(feeder)
  return feeder
}
afterAll(async () => {
  for (const feeder of feeders) await feeder.end()
  rmSync(folder, { recursive: true })
})

/** The error that opening throws. */
const refusal = (open: () => { close: () => void }): ReferenceClockError => {
  try {
    open().close()
  } catch (error) {
    if (error instanceof ReferenceClockError) return error
    throw error
  }
  throw new Error("it was opened")
}

const fieldsOf = (taken: ReturnType<ShmPort["take"]>): ShmTime => {
  if (typeof taken === "string") throw new Error(`no fields, but ${taken}`)
  return taken
}

/** Little-endian numbers one after the other: bytes each, and value. */
const hex = (...fields: readonly (readonly [4 | 8, number])[]): string =>
  Buffer.concat(
    fields.map(([bytes, value]) => {
      const one = Buffer.alloc(8)
      one.writeBigInt64LE(BigInt(value))
      return one.subarray(0, bytes)
    })
  ).toString("hex")

const LATE = 2 ** 32 + 5
const wide = hex(
  ...([4, 4, 8, 4, 4, 8, 4, 4, 4, 4, 4, 4, 4] as const).map(
    (bytes, index) => [bytes, [1, 6, LATE, 7, 0, -3, 8, 1, -20, 3, 1, 7_001, 8_002][index]!] as const
  )
)
const narrow = hex(...[1, 6, 5, 7, 9, 8, 1, -20, 3, 1, 7_001, 8_002, 1, 0].map((value) => [4, value] as const))
const expected = {
  mode: 1,
  count: 6,
  clockSeconds: LATE,
  clockMicroseconds: 7,
  clockNanoseconds: 7_001,
  receiveMicroseconds: 8,
  receiveNanoseconds: 8_002,
  leap: 1,
  precision: -20,
  samples: 3
}

describe("a shared memory segment", () => {
  it.each([
    ["64-bit", 96, wide, 48, -3],
    ["32-bit", 80, narrow, 36, 9]
  ])("of %s writers is read, once, and marked as read", async (_name, bytes, contents, valid, receiveSeconds) => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment(bytes)
    const segment = openShmSegment(unit, false)
    expect(segment.take()).toBe("nothing")
    await feeder.ask(`put 0 ${contents}`)
    expect(segment.take()).toEqual({ ...expected, receiveSeconds })
    expect(await feeder.tell(`get ${valid} 4`)).toBe("00000000")
    expect(segment.take()).toBe("nothing")
    segment.close()
    expect(() => segment.take()).toThrow(/EBADF|Bad file/)
  })

  it("is made as ntpd makes it where there is none, and found again after it was replaced", async () => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment()
    const segment = openShmSegment(unit, true)
    await feeder.ask("remove")
    expect(segment.take()).toBe("replaced")
    segment.close()
    const made = openShmSegment(unit, true)
    expect(made.take()).toBe("nothing")
    // The writer comes later, and finds it.
    expect(await feeder.tell(`create ${(0x4e545030 + unit).toString(16)} 96 600`)).toBe("exists")
    await feeder.ask(`adopt ${(0x4e545030 + unit).toString(16)}`)
    await feeder.ask(`put 0 ${wide}`)
    expect(fieldsOf(made.take()).clockSeconds).toBe(LATE)
    made.close()
  })

  it("of another size is refused", async () => {
    for (const bytes of [1, 79, 97]) {
      const feeder = startFeeder()
      const unit = await feeder.createSegment(bytes)
      const error = refusal(() => openShmSegment(unit, false))
      expect(error.reason).toBe("size")
      expect(error.message).toContain(`has ${bytes} bytes, expected 96 or 80`)
      await feeder.end()
    }
  })

  it("that is to be private is refused when others may write it", async () => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment(96, 0o660)
    expect(refusal(() => openShmSegment(unit, true))).toMatchObject({ reason: "permissions" })
    openShmSegment(unit, false).close()
  })

  it.runIf(process.geteuid?.() === 0)("that is to be private is refused when it is another user's", async () => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment()
    await feeder.ask("owner 65534")
    const error = refusal(() => openShmSegment(unit, true))
    expect(error.reason).toBe("owner")
    expect(error.message).toContain("belongs to user 65534")
    openShmSegment(unit, false).close()
  })

  it("gives whole samples or none while its writer is at work", async () => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment()
    const segment = openShmSegment(unit, false)
    await feeder.ask("hammer 3")
    let taken = 0
    const deadline = Date.now() + PATIENCE_MS
    while (taken < 2_000 && Date.now() < deadline) {
      const found = segment.take()
      if (typeof found === "string") continue
      taken += 1
      // The writer puts one number everywhere.
      expect(found.clockMicroseconds).toBe(found.clockSeconds)
      expect(found.receiveSeconds).toBe(found.clockSeconds)
      expect(found.receiveNanoseconds).toBe(found.clockSeconds)
    }
    expect(taken).toBe(2_000)
    segment.close()
  })

  it("full of anything is whole numbers", async () => {
    const feeder = startFeeder()
    const unit = await feeder.createSegment()
    const segment = openShmSegment(unit, false)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 96, maxLength: 96 }), async (bytes) => {
        bytes[48] = 1
        await feeder.ask(`put 0 ${Buffer.from(bytes).toString("hex")}`)
        for (const field of Object.values(fieldsOf(segment.take()))) expect(Number.isInteger(field)).toBe(true)
      }),
      { numRuns: 200 }
    )
    segment.close()
  })
})

describe("a clock's socket", () => {
  let feeder: ClockFeeder
  beforeAll(() => {
    feeder = startFeeder()
  })
  const isSocket = (path: string): boolean => existsSync(path) && statSync(path).isSocket()

  it("takes datagrams of any length in their order, and its file goes with it", async () => {
    const path = join(folder, "clock.sock")
    const socket = openClockSocket(path, false)
    expect(statSync(path).mode & 0o777).toBe(0o660)
    expect(socket.receive()).toBeUndefined()
    for (const text of ["", "00", "0102", "ab".repeat(64), "cd".repeat(65), "ef".repeat(900)])
      await feeder.ask(`send ${path} ${text}`)
    const lengths: number[] = []
    for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
      lengths.push(datagram.length)
      expect(datagram.bytes).toHaveLength(Math.min(64, datagram.length))
    }
    expect(lengths).toEqual([0, 1, 2, 64, 65, 900])
    socket.close()
    expect(existsSync(path)).toBe(false)
    expect(socket.receive()).toBeUndefined()
    socket.close()
  })

  it("is reached through a link as well, where its sender wants another path", async () => {
    const [path, link] = [join(folder, "own.sock"), join(folder, "chrony.ttyS0.sock")]
    const socket = openClockSocket(path, false)
    symlinkSync(path, link)
    await feeder.ask(`send ${link} 0102`)
    expect(socket.receive()).toMatchObject({ length: 2 })
    socket.close()
  })

  it("is open to everybody where that is asked for, whatever the umask", () => {
    const path = join(folder, "open.sock")
    const before = process.umask(0o077)
    const socket = openClockSocket(path, true)
    process.umask(before)
    expect(statSync(path).mode & 0o777).toBe(0o666)
    socket.close()
  })

  it("takes the place of one that a dead process left, and of nothing else", async () => {
    const path = join(folder, "stale.sock")
    const code = `require(${JSON.stringify(ADDON_PATH)}).unixDatagramBind(${JSON.stringify(path)}, 0o600); process.kill(process.pid, "SIGKILL")`
    await once(spawn(process.execPath, ["-e", code], { stdio: "ignore" }), "exit")
    expect(isSocket(path)).toBe(true)
    const socket = openClockSocket(path, false)
    expect(refusal(() => openClockSocket(path, false))).toMatchObject({
      reason: "in-use",
      message: expect.stringContaining("another program receives") as string
    })
    expect(isSocket(path)).toBe(true)
    socket.close()

    const file = join(folder, "a-file")
    writeFileSync(file, "precious")
    symlinkSync(file, join(folder, "a-link"))
    for (const name of ["a-file", "a-link"])
      expect(refusal(() => openClockSocket(join(folder, name), false))).toMatchObject({ reason: "in-use" })
    expect(refusal(() => openClockSocket(folder, false))).toMatchObject({ reason: "in-use" })
    expect(existsSync(file)).toBe(true)
  })

  it("leaves a path alone that another has taken meanwhile", () => {
    const path = join(folder, "taken.sock")
    const first = openClockSocket(path, false)
    unlinkSync(path)
    const second = openClockSocket(path, false)
    first.close()
    expect(isSocket(path)).toBe(true)
    second.close()
    expect(existsSync(path)).toBe(false)
  })

  it.each([
    ["/no/such/folder/clock.sock", "ENOENT"],
    [`/tmp/${"x".repeat(110)}`, "ENAMETOOLONG"],
    ["", "ENAMETOOLONG"]
  ])("at %s cannot be: %s", (path, reason) => {
    expect(refusal(() => openClockSocket(path, false))).toMatchObject({ reason })
  })
})

/** Devices are there or not, and mostly root's: what a test finds depends on the machine. */
const mayRead = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

describe("devices", () => {
  it("that are not there, or are something else, are refused with what to do", () => {
    expect(refusal(() => openPpsDevice("/dev/pps250", false))).toMatchObject({
      reason: "ENOENT",
      message: "/dev/pps250 cannot be used as pulses per second: there is no such device"
    })
    expect(refusal(() => openPhcDevice("/dev/ptp250"))).toMatchObject({ reason: "ENOENT" })
    expect(refusal(() => openPpsDevice("/dev/null", true))).toMatchObject({ reason: "ENOTTY" })
    expect(refusal(() => openPhcDevice("/dev/null"))).toMatchObject({ reason: expect.stringMatching(/^E/) as string })
    const file = join(folder, "no-device")
    writeFileSync(file, "")
    chmodSync(file, 0o600)
    expect(refusal(() => openPpsDevice(file, false))).toMatchObject({ reason: "ENOTTY" })
  })

  it.runIf(mayRead("/dev/ptp0"))("/dev/ptp0 is read between two readings of the system's clock", () => {
    const device = openPhcDevice("/dev/ptp0")
    const readings = device.read()
    expect(readings.length).toBeGreaterThan(0)
    for (const { before, after } of readings)
      expect(after.seconds - before.seconds + (after.nanoseconds - before.nanoseconds) / 1e9).toBeGreaterThanOrEqual(0)
    device.close()
  })

  it.runIf(mayRead("/dev/pps0"))("/dev/pps0 counts its pulses", async () => {
    const device = openPpsDevice("/dev/pps0", false)
    const first = device.fetch().sequence
    let last = first
    for (let waited = 0; waited < PATIENCE_MS && last === first; waited += 50) {
      await sleep(50)
      last = device.fetch().sequence
    }
    expect(last).not.toBe(first)
    device.close()
  })
})
