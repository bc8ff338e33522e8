/**
 * ExaBGP, by its process API: ExaBGP starts `meridian exabgp SOCKET`, which asks here and writes to ExaBGP what it is told. Each
 * line here is one of ExaBGP's commands. A helper whose connection ends withdraws by itself (see exabgp-helper.ts).
 */
import { chmodSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { errnoName } from "@meridian/system/native"
import { type Announcer, AnnouncerTrouble } from "../announcer.ts"

/** The node's own user and group: ExaBGP's user belongs in that group. */
const PERMISSIONS = 0o660

export const exabgpCommands = (prefixes: readonly string[], announced: boolean): readonly string[] =>
  prefixes.map((prefix) => `${announced ? "announce" : "withdraw"} route ${prefix} next-hop self`)

export interface ExabgpOptions {
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
    rmSync(path, { force: true })
    this.server = createServer((helper) => this.greet(helper))
    this.server.on("error", (error) => {
      this.trouble = `the socket ${path} cannot be made: ${errnoName(error)}`
    })
    this.server.listen(path, () => chmodSync(path, PERMISSIONS))
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
