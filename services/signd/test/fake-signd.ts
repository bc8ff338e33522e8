/** A signing daemon that does what a test tells it to, frame by frame. */
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FrameReader, readSignRequest, SIGN_REQUEST_BYTES, signdAnswer } from "@meridian/wire/signd-frames"

/** The answer's octets, nothing for silence, "close" to end the connection. */
export type Behaviour = (frame: Uint8Array, connection: number) => Uint8Array | "close" | undefined

/** Signs whatever it is asked with zeros. */
export const signsAll: Behaviour = (frame) => {
  const { packetId, packet, keyId } = readSignRequest(frame)!
  const signed = new Uint8Array(68)
  signed.set(packet)
  new DataView(signed.buffer).setUint32(48, keyId, true)
  return signdAnswer(packetId, signed)
}
export const refuses: Behaviour = (frame) => signdAnswer(readSignRequest(frame)!.packetId, undefined)

export class FakeSignd {
  readonly folder = mkdtempSync(join(tmpdir(), "meridian-fake-"))
  readonly path = join(this.folder, "socket")
  /** Key identifiers, as they were asked for. */
  readonly asked: number[] = []
  connections = 0
  mostOutstanding = 0
  behaviour: Behaviour = signsAll
  private server: Server | undefined
  private readonly sockets = new Set<Socket>()

  async listen(): Promise<this> {
    this.server = createServer((socket) => this.take(socket))
    await new Promise<void>((done) => void this.server?.listen(this.path, done))
    return this
  }

  /** Ends everything, as a daemon that ends does. */
  async end(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    if (this.server?.listening === true) await new Promise((done) => this.server?.close(done))
  }

  async stop(): Promise<void> {
    await this.end()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private take(socket: Socket): void {
    this.connections += 1
    const connection = this.connections
    const reader = new FrameReader(SIGN_REQUEST_BYTES)
    this.sockets.add(socket)
    socket.on("close", () => this.sockets.delete(socket))
    socket.on("error", () => {})
    socket.on("data", (chunk: Buffer) => {
      let frames = 0
      reader.push(chunk, (frame) => {
        frames += 1
        this.mostOutstanding = Math.max(this.mostOutstanding, frames)
        this.asked.push(readSignRequest(frame)!.keyId)
        const answer = this.behaviour(frame, connection)
        if (answer === "close") socket.destroy()
        else if (answer !== undefined) socket.write(answer)
      })
    })
  }
}
