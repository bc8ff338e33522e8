/**
 * ExaBGP, by its process API: ExaBGP starts `meridian exabgp SOCKET`, which asks here and writes to ExaBGP what it is told. Each
 * line here is one of ExaBGP's commands. A helper whose connection ends withdraws by itself (see exabgp-helper.ts).
 */
import { createServer, type Server, type Socket } from "node:net"
import { listenAt } from "@meridian/ipc/unix-socket"
import { reasonOf } from "@meridian/system/errno-words"
import { type Announcer, AnnouncerTrouble } from "../announcer.ts"

const exabgpCommands = (prefixes: readonly string[], announced: boolean): readonly string[] =>
  prefixes.map((prefix) => `${announced ? "announce" : "withdraw"} route ${prefix} next-hop self`)

interface ExabgpOptions {
  readonly socket: string
  readonly prefixes: readonly string[]
  /** Told when a helper that was there is gone. */
  readonly onLost: () => void
}

export class ExabgpAnnouncer implements Announcer {
  readonly name = "ExaBGP"
  private readonly options: ExabgpOptions
  private readonly helpers = new Set<Socket>()
  private readonly server: Server
  private said: boolean | undefined
  private trouble: string | undefined

  constructor(options: ExabgpOptions) {
    this.options = options
    const { socket: path } = options
    this.server = createServer((helper) => this.greet(helper))
    // For the node's own user and group: ExaBGP's user belongs in that group.
    listenAt(this.server, path).catch((error) => {
      this.trouble = `the socket ${path} cannot be made: ${reasonOf(error)}`
    })
  }

  async apply(announced: boolean): Promise<void> {
    this.said = announced
    if (this.trouble !== undefined) throw new AnnouncerTrouble(this.trouble)
    for (const helper of this.helpers) this.tell(helper, announced)
    // Without a helper nothing is announced.
    if (announced && this.helpers.size === 0)
      throw new AnnouncerTrouble(
        `no helper asks at ${this.options.socket}: ExaBGP needs 'run meridian exabgp ${this.options.socket}' in a process`
      )
  }

  close(): void {
    for (const helper of this.helpers) helper.end()
    this.server.close()
  }

  private greet(helper: Socket): void {
    this.helpers.add(helper)
    helper.on("error", () => helper.destroy())
    helper.on("close", () => {
      this.helpers.delete(helper)
      if (this.said === true) this.options.onLost()
    })
    helper.resume()
    if (this.said !== undefined) this.tell(helper, this.said)
  }

  private tell(helper: Socket, announced: boolean): void {
    for (const command of exabgpCommands(this.options.prefixes, announced)) helper.write(`${command}\n`)
  }
}
