/** Starts `meridian signd` the way a user does, in a folder of its own, and asks it frame by frame. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { FrameReader, SIGNED_BYTES, writeSignRequest } from "@meridian/wire/signd-frames"

const cli = resolve(import.meta.dirname, "../../cli/bin/meridian.mjs")

export const ACCOUNTS = `# the accounts of the recordings
1103 nthash 8ba43093cba992eac5781a7f70cdb2b1 password before-1103
1104 password Machine-Passw0rd-2
`

export class RunningDaemon {
  /** The folder that holds the key table, the configuration and the socket's directory. */
  readonly folder: string
  readonly keys: string
  socket = ""
  private readonly child: ChildProcess
  private text = ""

  /** @param args instead of the usual ones; `{}` stands for the folder */
  constructor(
    args: readonly string[] = ["--socket", "{}/signd", "--keys", "{}/keys"],
    prepare = (_folder: string): void => {}
  ) {
    this.folder = mkdtempSync(join(tmpdir(), "meridian-signd-"))
    this.keys = join(this.folder, "keys")
    writeFileSync(this.keys, ACCOUNTS, { mode: 0o600 })
    prepare(this.folder)
    const own = args.map((arg) => arg.replace("{}", this.folder))
    this.child = spawn(process.execPath, [cli, "signd", ...own], { stdio: ["ignore", "pipe", "pipe"] })
    this.child.stdout?.on("data", (chunk: Buffer) => (this.text += chunk.toString()))
    this.child.stderr?.on("data", (chunk: Buffer) => (this.text += chunk.toString()))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get said(): string {
    return this.text
  }

  /** Waits for words on its standard error. */
  async says(words: string, after = 0): Promise<void> {
    for (let waited = 0; !this.text.slice(after).includes(words); waited += 20) {
      if (this.child.exitCode !== null || waited > PATIENCE_MS)
        throw new Error(`the daemon never said ${JSON.stringify(words)}, but: ${this.text}`)
      await sleep(20)
    }
  }

  async started(): Promise<this> {
    await this.says(" on ")
    this.socket = / on (\S+);/.exec(this.text)?.[1] ?? ""
    return this
  }

  /** The exit code, once it ends of itself. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit")
    return this.child.exitCode
  }

  async reload(text: string, mode = 0o600): Promise<void> {
    const after = this.text.length
    writeFileSync(this.keys, text)
    chmodSync(this.keys, mode)
    this.child.kill("SIGHUP")
    for (let waited = 0; !/the key table was read|stay in use/.test(this.text.slice(after)); waited += 20) {
      if (this.child.signalCode !== null || waited > PATIENCE_MS) throw new Error(`no word of a reload: ${this.text}`)
      await sleep(20)
    }
  }

  /** As the daemon prints them on SIGUSR1. */
  async counters(): Promise<Counters> {
    const after = this.text.length
    this.child.kill("SIGUSR1")
    await this.says("}\n", after)
    return JSON.parse(this.text.slice(this.text.lastIndexOf('{"connections"'))) as Counters
  }

  /** Leaves the folder and what it held. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended()
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM")
      await once(this.child, "exit")
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export interface Counters {
  readonly connections: number
  readonly open: number
  readonly closed: Readonly<Record<string, number>>
  readonly requests: Readonly<Record<string, number>>
}

/** A connection to a signing daemon, as a time server has one. */
export class Asking {
  readonly socket: Socket
  readonly frames: Uint8Array[] = []
  isClosed = false
  private readonly reader = new FrameReader(SIGNED_BYTES)

  constructor(path: string) {
    this.socket = connect(path)
    this.socket.on("data", (chunk: Buffer) => this.reader.push(chunk, (frame) => void this.frames.push(frame.slice())))
    this.socket.on("error", () => {})
    this.socket.on("close", () => (this.isClosed = true))
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Waits until the other side has closed. */
  async closed(): Promise<void> {
    for (let waited = 0; !this.isClosed; waited += 10) {
      if (waited > PATIENCE_MS) throw new Error("the connection stays open")
      await sleep(10)
    }
  }

  /** The next `count` frames. */
  async take(count: number): Promise<readonly Uint8Array[]> {
    for (let waited = 0; this.frames.length < count; waited += 5) {
      if (this.isClosed || waited > PATIENCE_MS) throw new Error(`${this.frames.length} frames came, expected ${count}`)
      await sleep(5)
    }
    return this.frames.splice(0, count)
  }
}

/** A request to sign a reply of which every octet is `fill`. */
export const signRequest = (packetId: number, keyId: number, fill = 7): Uint8Array<ArrayBuffer> => {
  const reply = new Uint8Array(68).fill(fill)
  new DataView(reply.buffer).setUint32(48, keyId, true)
  const out = new Uint8Array(68)
  writeSignRequest(new DataView(out.buffer), packetId, reply, 0)
  return out
}
