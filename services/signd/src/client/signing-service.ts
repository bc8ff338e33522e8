/**
 * Answers Windows clients: takes their requests off the sockets, has the replies signed, sends those that are. Nothing here waits;
 * a request that cannot be signed in time is dropped and counted, and whoever sent it asks again.
 */
import type { ServedClock } from "@meridian/clocks/clock-page"
import type { Admission, NtpServer } from "@meridian/protocol"
import { SERVED_NUMBERS } from "@meridian/time/clock-line"
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  LOCAL_ADDRESS_STRIDE,
  NOW_MONOTONIC,
  NOW_NUMBERS,
  NOW_UNIX,
  SLOT_BYTES,
  SLOT_STRIDE,
  type UdpSocket
} from "@meridian/udp/udp"
import { MS_SNTP_BYTES, msSntpRequestLength } from "@meridian/wire/ms-sntp"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { SigningCounters } from "./signing-counters.ts"
import { SigningJob, type SigningOutcome } from "./signing-job.ts"
import { DEFAULT_POOL, type PoolLimits, SigningPool } from "./signing-pool.ts"

/** Full batches taken before the event loop gets its turn. */
const BATCHES_PER_WAKE = 8

interface SigningServiceOptions {
  readonly sockets: readonly UdpSocket[]
  /** Writes the replies' headers. Who may ask is not its question but this service's. */
  readonly server: NtpServer
  readonly clock: Pick<ServedClock, "read">
  /** The socket on which signd is asked. */
  readonly path: string
  readonly limits?: PoolLimits
  /** Signd cannot be reached, for this reason; undefined once it can be again. */
  readonly onReachable: (errno: string | undefined) => void
}

export class SigningService {
  readonly counters = new SigningCounters()
  /** Who is signed for; undefined: nobody. Replaced between batches. */
  admission: Admission | undefined
  readonly pool: SigningPool
  private readonly options: SigningServiceOptions
  private readonly free: SigningJob[]
  private readonly jobs: number
  private readonly moment = new Uint32Array(SERVED_NUMBERS)
  private readonly now = new Float64Array(NOW_NUMBERS)

  constructor(options: SigningServiceOptions) {
    this.options = options
    const limits = options.limits ?? DEFAULT_POOL
    this.pool = new SigningPool(options.path, limits, {
      prepare: (job) => this.writeHeader(job),
      finished: (job, outcome) => this.finish(job, outcome),
      reachable: options.onReachable
    })
    this.jobs = limits.queue + limits.connections
    this.free = Array.from({ length: this.jobs }, () => new SigningJob())
  }

  /** Whether anything that was taken in has not ended. */
  get isBusy(): boolean {
    return this.free.length < this.jobs
  }

  start(): void {
    this.options.sockets.forEach((socket, index) => socket.onReadable(() => this.takeWaiting(index)))
  }

  /** What arrives from here on waits for whoever reads the sockets next; what was taken in is finished or late. */
  stop(): void {
    for (const socket of this.options.sockets) socket.pause()
  }

  private takeWaiting(index: number): void {
    const socket = this.options.sockets[index]!
    for (let batch = 0; batch < BATCHES_PER_WAKE; batch += 1) {
      const count = socket.receive()
      if (count === 0) return
      this.admission?.begin(socket, socket.now[NOW_MONOTONIC]!)
      for (let slot = 0; slot < count; slot += 1) this.take(socket, index, slot)
      if (count < BATCH_CAPACITY) return
    }
  }

  private take(socket: UdpSocket, index: number, slot: number): void {
    const { counters } = this
    counters.received += 1
    const at = slot * SLOT_STRIDE
    const length = socket.requestLengths[slot]!
    const form = length > SLOT_BYTES ? 0 : msSntpRequestLength(socket.view, at, length)
    if (form === 0) return counters.drop("not-ms-sntp")
    const refusal = this.admission?.judge(slot, socket.bytes[at]!, length) ?? this.admission?.judgeProof(slot, false)
    if (refusal !== undefined) return counters.drop(refusal.reason)
    if (this.admission?.signsFor(slot) !== true) return counters.drop("mssntp-not-allowed")
    if (form !== MS_SNTP_BYTES) return counters.drop("extended")
    const job = this.free.pop()
    if (job === undefined) return counters.drop("queue-full")
    this.fill(job, socket, index, slot)
    this.pool.submit(job)
  }

  private fill(job: SigningJob, socket: UdpSocket, index: number, slot: number): void {
    const at = slot * SLOT_STRIDE
    const from = slot * ADDRESS_STRIDE
    const local = slot * LOCAL_ADDRESS_STRIDE
    job.request.set(socket.bytes.subarray(at, at + MS_SNTP_BYTES))
    job.family = socket.family
    job.addresses.set(socket.addresses.subarray(from, from + ADDRESS_STRIDE))
    job.localAddresses.set(socket.localAddresses.subarray(local, local + LOCAL_ADDRESS_STRIDE))
    job.socket = index
    job.arrivalSeconds = socket.arrivalSeconds[slot]!
    job.arrivalFraction = socket.arrivalFractions[slot]!
    job.since = performance.now()
    job.closedOn = 0
  }

  /** As late as can be: what is signed holds the transmit timestamp. */
  private writeHeader(job: SigningJob): void {
    const { server, clock } = this.options
    const { moment, now } = this
    job.bytes.set(job.request)
    clock.read(moment, now)
    server.beginBatch(job, moment, now[NOW_UNIX]!, now[NOW_MONOTONIC]!)
    server.handle(0, 0, HEADER_BYTES, job.arrivalSeconds, job.arrivalFraction)
    server.endBatch()
  }

  private finish(job: SigningJob, outcome: SigningOutcome): void {
    const took = performance.now() - job.since
    if (outcome !== "signed") this.counters.drop(outcome, took)
    else this.counters.sign(took, this.send(job))
    this.free.push(job)
  }

  /** Through the first slot of the socket's batch, which nobody needs between two batches. */
  private send(job: SigningJob): boolean {
    const socket = this.options.sockets[job.socket]!
    socket.bytes.set(job.bytes)
    socket.addresses.set(job.addresses)
    socket.localAddresses.set(job.localAddresses)
    socket.replyLengths[0] = MS_SNTP_BYTES
    return socket.send(1) === 1
  }
}
