/** The program without an interface: packets go through it one by one, beside the server that the workers run. */
import { ClockPageWriter, ClockPageReader, beginClockPage } from "@meridian/clocks/clock-page"
import { type Outcome, type Admission, NtpServer } from "@meridian/protocol"
import { type ClockCurve, Leap } from "@meridian/time/clock-curve"
import { type ClockLine, SERVED_NUMBERS, serveLine } from "@meridian/time/clock-line"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import { bpfAddon, type XdpMode } from "../src/bpf.ts"
import { type Told, XdpAnswering } from "../src/xdp-answering.ts"
import { IPV4, IPV6, MAC } from "./frames.ts"

export const VERDICT = { drop: 1, pass: 2, send: 3 } as const
export const PRECISION = -25
const MINIMUM_POLL = 3
const LONGEST = 2048

/** Whether programs can be loaded here; otherwise says on standard error which suite is skipped. */
export const canLoadPrograms = (suite: string): boolean => {
  try {
    XdpAnswering.unattached(1_024, "native").close()
    return true
  } catch (error) {
    process.stderr.write(`${suite}: skipped, ${error instanceof Error ? error.message : String(error)}\n`)
    return false
  }
}

const SETTINGS: Told = {
  answers: true,
  families: [4, 6],
  familiesFromNtpPort: [4, 6],
  precision: PRECISION,
  minimumPoll: MINIMUM_POLL,
  ipv4TimeToLive: 63,
  ipv6HopLimit: 62,
  limit: undefined,
  noteEvery: 0,
  ipv6Prefix: 64,
  mac: MAC
}

/** CLOCK_MONOTONIC in ns. */
export const monotonicNow = (): bigint => process.hrtime.bigint()

export interface Reply {
  readonly verdict: number
  readonly frame: Uint8Array
  /** CLOCK_MONOTONIC before and after. */
  readonly before: bigint
  readonly after: bigint
}

export class ProgramStage {
  readonly answering: XdpAnswering
  private readonly writer: ClockPageWriter
  private readonly reader: ClockPageReader
  private readonly out = new Uint8Array(LONGEST)
  private readonly slot = new Uint8Array(LONGEST)
  private readonly addresses = new Uint8Array(SOURCE_STRIDE)
  private readonly server: NtpServer

  constructor(mode: XdpMode = "native", clients = 4_096, object?: string) {
    this.answering = XdpAnswering.unattached(clients, mode, object)
    const { writable } = this.answering.clockPage
    beginClockPage(writable)
    this.writer = new ClockPageWriter(writable)
    this.reader = new ClockPageReader(writable)
    this.server = new NtpServer({ precision: PRECISION, minimumPoll: MINIMUM_POLL, longestRequest: LONGEST })
    this.answering.usePlaces([
      { address: IPV4, port: 123, vlan: 0 },
      { address: IPV6, port: 123, vlan: 0 },
      { address: IPV4, port: 123, vlan: 7 },
      { address: IPV6, port: 123, vlan: 7 }
    ])
    this.use({})
  }

  use(change: Partial<Told>): void {
    this.answering.use({ ...SETTINGS, ...change })
  }

  /** Publishes a clock that is good from now on for a hundred seconds. */
  write(change: Partial<ClockCurve> = {}): void {
    const now = Number(monotonicNow()) / 1e9
    const { seconds, nanoseconds } = this.writer.origin
    this.writer.write({
      baseSeconds: seconds,
      baseNanoseconds: nanoseconds,
      baseMonotonic: now,
      offset: 0.25,
      frequency: -37e-6,
      leap: Leap.none,
      stratum: 2,
      referenceId: 0xc0000201,
      referenceSeconds: seconds,
      referenceNanoseconds: 123_456_789,
      rootDelay: 0.0123,
      rootDispersion: 0.0045,
      dispersionRate: 15e-6,
      deadline: now + 100,
      ...change
    })
  }

  get line(): ClockLine {
    const line = this.reader.read()
    if (line === undefined) throw new Error("no line on the page")
    return line
  }

  run(packet: Uint8Array): Reply {
    const before = monotonicNow()
    const [verdict, length] = bpfAddon().bpfTestRun(this.answering.program, packet, this.out, 1)
    const after = monotonicNow()
    return { verdict, frame: this.out.slice(0, length), before, after }
  }

  /** What a worker makes of a payload that is taken up and arrived at a moment. */
  worker(
    payload: Uint8Array,
    line: ClockLine,
    monotonic: bigint,
    { port = 12_345, admission }: { readonly port?: number; readonly admission?: Admission } = {}
  ): { readonly outcome: Outcome; readonly reply: Uint8Array | undefined } {
    const { slot, addresses, server } = this
    const moment = new Uint32Array(SERVED_NUMBERS)
    serveLine(line, monotonic, moment)
    slot.fill(0)
    slot.set(payload.subarray(0, LONGEST))
    addresses.set([port >> 8, port & 0xff], 2)
    addresses.set([192, 0, 2, 9], sourceAddressAt(0, 4))
    server.admission = admission
    const batch = {
      bytes: slot,
      view: new DataView(slot.buffer),
      family: 4 as const,
      addresses,
      localAddresses: new Uint8Array(16)
    }
    server.beginBatch(batch, moment, 0, Number(monotonic) / 1e9)
    const outcome = server.handle(0, 0, payload.length, moment[7]!, moment[8]!)
    if (outcome._tag === "Pending") throw new Error("nothing here is authenticated")
    return { outcome, reply: outcome._tag === "Respond" ? slot.slice(0, server.replyLength) : undefined }
  }

  close(): void {
    this.answering.close()
  }
}
