/** What each driver of a reference clock makes of what it finds: readings, or drops with a name. */
import { endianness } from "node:os"
import type { ReferenceReading } from "@meridian/algorithms"
import type { ClockSocketPort, PhcPort, PhcReading, PpsPort, Pulse, ShmPort } from "@meridian/clocks/reference-clocks"
import { openPhcDevice, openPpsDevice, openClockSocket, openShmSegment } from "@meridian/clocks/reference-clocks"
import type { ReferenceClockConfiguration } from "@meridian/ipc/discipline-report"
import { shiftInPlace, unixDifferenceSeconds } from "@meridian/time/timestamp"
import { shmTimes } from "@meridian/wire/shm-time"
import { decodeSockSample } from "@meridian/wire/sock-sample"

/** How the outside world is reached; tests put simulated ports here. Each throws ReferenceClockError. */
export interface ReferencePorts {
  readonly shm: (unit: number, isPrivate: boolean) => ShmPort
  readonly socket: (path: string, forEverybody: boolean) => ClockSocketPort
  readonly pps: (path: string, clear: boolean) => PpsPort
  readonly phc: (path: string) => PhcPort
}

export const nativePorts: ReferencePorts = {
  shm: openShmSegment,
  socket: openClockSocket,
  pps: openPpsDevice,
  phc: openPhcDevice
}

/** Something came that is no reading. */
interface Dropped {
  readonly dropped: string
}

export interface ReferenceDriver {
  /** What came since the last time. `reopen`: what it reads from is gone. Throws ReferenceClockError. */
  readonly read: () => readonly (ReferenceReading | Dropped)[] | "reopen"
  readonly close: () => void
}

/** Units that only root's programs may write, by ntpd's rule; others are private where `mode` has bit 0. */
const PRIVATE_UNITS = 2
/** Datagrams taken in one look: a sender that floods waits for the next. */
const MOST_DATAGRAMS = 64
/** TAI minus UTC since 2017: near enough to look up what it is. */
const TAI_OFFSET = 37
const LITTLE_ENDIAN = endianness() === "LE"

/** TAI minus UTC at a Unix second, as the leap second file has it; undefined without one. */
export type TaiOffset = (unix: number) => number | undefined

/** @param precision of our own clock, log2 seconds: for drivers whose clocks claim none */
export const openDriver = (
  configuration: ReferenceClockConfiguration,
  ports: ReferencePorts,
  precision: number,
  taiOffset: TaiOffset
): ReferenceDriver => {
  const { driver, unit, mode, flags } = configuration
  const path = configuration.path ?? ""
  switch (driver) {
    case "shm":
      return shmDriver(ports.shm(unit, unit < PRIVATE_UNITS || (mode & 1) === 1), (claimed) =>
        knownPrecision(configuration, claimed)
      )
    case "sock":
      return sockDriver(ports.socket(path, flags[0] === true), knownPrecision(configuration, precision))
    case "pps":
      return ppsDriver(ports.pps(path, flags[1] === true), knownPrecision(configuration, precision))
    case "phc":
      return phcDriver(
        ports.phc(path),
        knownPrecision(configuration, precision),
        flags[0] === true ? taiOffset : () => 0
      )
  }
}

/**
 * What sentences of a receiver are right to, log2 seconds, where nobody has calibrated them: a serial line at 4800 baud takes most of
 * a second for them. gpsd claims so itself since 3.23.
 */
export const SENTENCES_PRECISION = -1

/**
 * Whether a clock has what a receiver says, and no pulses: by gpsd's convention even units of shared memory, and sockets called
 * chrony.clk.DEVICE.sock.
 */
export const hasSentences = ({ driver, unit, path }: ReferenceClockConfiguration): boolean =>
  (driver === "shm" && unit % 2 === 0) || (driver === "sock" && /\/chrony\.clk\.[^/]+$/.test(path ?? ""))

/** log2 seconds: what the configuration says, else what is claimed, which for sentences is never believed to be better than it can be. */
export const knownPrecision = (configuration: ReferenceClockConfiguration, claimed: number): number => {
  const { precision, driver, time2 } = configuration
  if (typeof precision === "number") return Math.log2(precision)
  const isCalibrated = driver === "sock" && time2 > 0
  return hasSentences(configuration) && !isCalibrated ? Math.max(claimed, SENTENCES_PRECISION) : claimed
}

const shmDriver = (port: ShmPort, known: (claimed: number) => number): ReferenceDriver => ({
  read: () => {
    const found = port.take()
    if (found === "nothing") return []
    if (found === "replaced") return "reopen"
    if (found === "torn") return [{ dropped: "torn" }]
    const times = shmTimes(found)
    if (typeof times === "string") return [{ dropped: times }]
    const { leap, precision } = found
    const offset = unixDifferenceSeconds(times.clock, times.receive)
    return [{ system: times.receive, offset, leap, precision: known(precision), pulse: false }]
  },
  close: () => port.close()
})

const sockDriver = (port: ClockSocketPort, precision: number): ReferenceDriver => ({
  read: () => {
    const found: (ReferenceReading | Dropped)[] = []
    for (let taken = 0; taken < MOST_DATAGRAMS; taken += 1) {
      const datagram = port.receive()
      if (datagram === undefined) break
      const sample = decodeSockSample(datagram.bytes, datagram.length, LITTLE_ENDIAN)
      // A pulse's offset is what our clock showed when it came, as chronyd's RCL_AddPulse has it: above 0 for one that is fast.
      if (typeof sample === "string") found.push({ dropped: sample })
      else found.push({ ...sample, offset: sample.pulse ? -sample.offset : sample.offset, precision })
    }
    return found
  },
  close: () => port.close()
})

/** A pulse marks the beginning of a second: it says by how much our second begins late, up to whole seconds. */
const pulseReading = ({ at }: Pulse, precision: number): ReferenceReading => ({
  system: at,
  offset: at.nanoseconds < 5e8 ? -at.nanoseconds / 1e9 : 1 - at.nanoseconds / 1e9,
  leap: 0,
  precision,
  pulse: true
})

const ppsDriver = (port: PpsPort, precision: number): ReferenceDriver => {
  // What was there before we came may be of any age.
  let last: number | undefined
  return {
    read: () => {
      const pulse = port.fetch()
      const isNew = pulse.sequence !== 0 && last !== undefined && pulse.sequence !== last
      last = pulse.sequence
      return isNew ? [pulseReading(pulse, precision)] : []
    },
    close: () => port.close()
  }
}

/** The reading that the least time went by in: true offset lies within half of that. */
const phcReading = (
  readings: readonly PhcReading[],
  precision: number,
  taiOffset: TaiOffset
): ReferenceReading | Dropped => {
  const between = ({ before, after }: PhcReading): number => unixDifferenceSeconds(after, before)
  const [best] = readings.toSorted((a, b) => between(a) - between(b))
  if (best === undefined || !(between(best) >= 0)) return { dropped: "not-finite" }
  const system = { ...best.before }
  shiftInPlace(system, between(best) / 2)
  const tai = taiOffset(best.device.seconds - TAI_OFFSET)
  if (tai === undefined) return { dropped: "no-tai-offset" }
  const offset = unixDifferenceSeconds(best.device, system) - tai
  return {
    system,
    offset,
    leap: 0,
    precision: Math.max(precision, Math.log2(between(best) / 2 + 2 ** -32)),
    pulse: false
  }
}

const phcDriver = (port: PhcPort, precision: number, taiOffset: TaiOffset): ReferenceDriver => ({
  read: () => [phcReading(port.read(), precision, taiOffset)],
  close: () => port.close()
})
