/**
 * The daemon's connections. Each is answered as its frames come, in their order; none can have the others wait: a frame that does not
 * end and answers that are not read are given a few seconds, and the number of connections is bounded.
 */
import type { Server, Socket } from "node:net"
import { FrameReader, SIGN_REQUEST_BYTES } from "@meridian/wire/signd-frames"
import type { Signer } from "./signer.ts"

/** Why a connection was ended from here. */
const connectionFaults = [
  /** a frame longer than any request */
  "too-long",
  /** a frame too short for a request */
  "too-short",
  /** a frame began and its end did not come */
  "half-frame",
  /** answers lay unread */
  "never-reads",
  /** the one that was silent for longest, when there were too many */
  "too-many"
] as const
export type ConnectionFault = (typeof connectionFaults)[number]

export interface ConnectionLimits {
  readonly connections: number
  /** How long a frame may take, and how long answers may lie unread. */
  readonly patienceMs: number
}

const DEFAULT_LIMITS: ConnectionLimits = { connections: 256, patienceMs: 5_000 }

/** How much of a connection's patience one look at all of them may be off by. */
const SWEEPS_PER_PATIENCE = 5

interface Connection {
  readonly socket: Socket
  readonly reader: FrameReader
  /** performance.now() of what it is waited for, Infinity while nothing is. */
  frameSince: number
  unreadSince: number
}

export class SigndServer {
  private readonly signer: Signer
  private readonly limits: ConnectionLimits
  /** In the order in which they were heard last. */
  private readonly connections = new Set<Connection>()
  private readonly faults = new Map<ConnectionFault, number>(connectionFaults.map((fault) => [fault, 0]))
  private accepted = 0
  private sweep: NodeJS.Timeout | undefined

  constructor(signer: Signer, limits: ConnectionLimits = DEFAULT_LIMITS) {
    this.signer = signer
    this.limits = limits
  }

  get counters() {
    return {
      connections: this.accepted,
      open: this.connections.size,
      closed: Object.fromEntries(this.faults) as Record<ConnectionFault, number>,
      requests: this.signer.counters
    }
  }

  /** Answers whoever connects to a server that listens. */
  serve(server: Server): void {
    server.on("connection", (socket) => this.take(socket))
    this.sweep = setInterval(() => this.endSlow(), this.limits.patienceMs / SWEEPS_PER_PATIENCE)
  }

  /** Ends all connections. */
  close(): void {
    clearInterval(this.sweep)
    for (const { socket } of this.connections) socket.destroy()
  }

  private take(socket: Socket): void {
    const reader = new FrameReader(SIGN_REQUEST_BYTES)
    const connection: Connection = { socket, reader, frameSince: Infinity, unreadSince: Infinity }
    this.accepted += 1
    this.connections.add(connection)
    socket.on("data", (chunk: Buffer) => this.read(connection, chunk))
    socket.on("drain", () => {
      connection.unreadSince = Infinity
      // The rest of a frame was not read meanwhile.
      if (reader.isInFrame) connection.frameSince = performance.now()
      socket.resume()
    })
    // Whoever goes away in the middle of something has done no harm.
    socket.on("error", () => {})
    socket.on("close", () => this.connections.delete(connection))
    const [quietest] = this.connections
    if (this.connections.size > this.limits.connections) this.end(quietest!, "too-many")
  }

  private read(connection: Connection, chunk: Buffer): void {
    const { socket, reader } = connection
    const answers: Uint8Array[] = []
    let isShort = false
    const isGood = reader.push(chunk, (frame) => {
      const answer = isShort ? undefined : this.signer.answer(frame)
      if (answer === undefined) isShort = true
      else answers.push(answer)
    })
    this.connections.delete(connection)
    this.connections.add(connection)
    const now = performance.now()
    const isNewFrame = answers.length > 0 || connection.frameSince > now
    connection.frameSince = !reader.isInFrame ? Infinity : isNewFrame ? now : connection.frameSince
    if (answers.length > 0 && !socket.write(Buffer.concat(answers))) {
      connection.unreadSince = now
      socket.pause()
    }
    if (!isGood) this.end(connection, "too-long")
    else if (isShort) this.end(connection, "too-short")
  }

  private endSlow(): void {
    const limit = performance.now() - this.limits.patienceMs
    for (const connection of this.connections) {
      if (connection.unreadSince < limit) this.end(connection, "never-reads")
      else if (connection.unreadSince === Infinity && connection.frameSince < limit) this.end(connection, "half-frame")
    }
  }

  private end(connection: Connection, fault: ConnectionFault): void {
    this.faults.set(fault, this.faults.get(fault)! + 1)
    this.connections.delete(connection)
    connection.socket.destroy()
  }
}
