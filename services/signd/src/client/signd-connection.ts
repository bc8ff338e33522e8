/** A connection to signd with one request outstanding at most, so that what ends it takes down nobody else's. */
import { connect, type Socket } from "node:net"
import { errnoName } from "@meridian/system/native"
import { MsSntpOffset } from "@meridian/wire/ms-sntp"
import {
  FRAME_HEADER_BYTES,
  FrameReader,
  readSigndAnswer,
  SIGN_REQUEST_BYTES,
  SIGNED_BYTES,
  writeSignRequest
} from "@meridian/wire/signd-frames"
import type { SigningJob } from "./signing-job.ts"

/** What a connection tells its pool. After `closed` nothing more comes. */
export interface ConnectionEvents {
  readonly connected: (connection: SigndConnection) => void
  /** The outstanding request's answer; the connection is free again, unless it is wrong. */
  readonly answered: (
    connection: SigndConnection,
    job: SigningJob,
    answer: "signed" | "refused" | "wrong-answer"
  ) => void
  /** @param job the one that was outstanding. @param errno why it could not be connected; undefined for one that was */
  readonly closed: (connection: SigndConnection, job: SigningJob | undefined, errno: string | undefined) => void
}

const PACKET_IDS = 0x1_0000

export class SigndConnection {
  /** What it waits for an answer to. */
  outstanding: SigningJob | undefined
  isConnected = false
  private readonly socket: Socket
  private readonly events: ConnectionEvents
  private readonly reader = new FrameReader(SIGNED_BYTES)
  private readonly request = new Uint8Array(FRAME_HEADER_BYTES + SIGN_REQUEST_BYTES)
  private readonly requestView = new DataView(this.request.buffer)
  private packetId = 0
  private errno: string | undefined

  constructor(path: string, events: ConnectionEvents) {
    this.events = events
    this.socket = connect(path)
    this.socket.on("connect", () => {
      this.isConnected = true
      events.connected(this)
    })
    this.socket.on("data", (chunk: Buffer) => {
      if (!this.reader.push(chunk, (frame) => this.take(frame))) this.settle("wrong-answer")
    })
    this.socket.on("error", (error) => (this.errno = errnoName(error)))
    this.socket.on("close", () => {
      const job = this.outstanding
      this.outstanding = undefined
      events.closed(this, job, this.isConnected ? undefined : (this.errno ?? "ECONNREFUSED"))
    })
  }

  /** Hands a job over whose reply's header is written. */
  ask(job: SigningJob): void {
    this.outstanding = job
    this.packetId = (this.packetId + 1) % PACKET_IDS
    const length = writeSignRequest(this.requestView, this.packetId, job.bytes, 0)
    // A copy: what is not written at once is kept, and this memory is used again.
    this.socket.write(this.request.slice(0, length))
  }

  /** Ends it; what was outstanding is the caller's again. */
  destroy(): void {
    this.outstanding = undefined
    this.socket.destroy()
  }

  private take(frame: Uint8Array): void {
    const job = this.outstanding
    const answer = readSigndAnswer(frame)
    if (job === undefined || answer.kind === "malformed" || answer.packetId !== this.packetId)
      return this.settle("wrong-answer")
    if (answer.kind === "refused") return this.settle("refused")
    if (!isReplyOf(answer.packet, job)) return this.settle("wrong-answer")
    job.bytes.set(answer.packet)
    this.settle("signed")
  }

  private settle(answer: "signed" | "refused" | "wrong-answer"): void {
    const job = this.outstanding
    this.outstanding = undefined
    // Whatever else comes on this connection is not believed.
    if (answer === "wrong-answer") this.socket.destroy()
    if (job !== undefined) this.events.answered(this, job, answer)
  }
}

/** What is signed must be what was to be signed, for the account that asked. */
const isReplyOf = (packet: Uint8Array, { bytes }: SigningJob): boolean => {
  for (let index = 0; index < MsSntpOffset.checksum; index += 1) if (packet[index] !== bytes[index]) return false
  return true
}
