/** NTS clients of one node: keys established now and then, requests made of them as they are sent, replies proven. */
import { randomFillSync } from "node:crypto"
import { readFileSync } from "node:fs"
import type { Aead } from "@meridian/auth/aead"
import { aeadProvider } from "@meridian/ciphers/aead"
import { UNIQUE_IDENTIFIER_BYTES } from "@meridian/wire/nts-fields"
import {
  completeNtsRequest,
  exchangeKeys,
  type NtsLayout,
  ntsLayout,
  ntsReplyProblem,
  type NtsSession,
  trustIn
} from "../nts-session.ts"

const SESSIONS = 4
const AEADS = [15] as const
/** Each session's keys are established anew so often, one session after another. */
const RENEWAL_MS = 20_000
const AGAIN_MS = 1_000
const KEY_PORT = 4_460

interface NtsRequest {
  /** Its header is to be filled in before it is sealed. */
  readonly packet: Buffer
  readonly seal: () => void
  /** Why a reply proves nothing. */
  readonly problem: (reply: Uint8Array) => string | undefined
}

export class NtsClient {
  readonly #address: string
  readonly #certificate: string
  readonly #aead: Aead
  #sessions: NtsSession[] = []
  #turn = 0
  #timer: NodeJS.Timeout | undefined
  #isBusy = false
  exchanges = 0
  failures = 0

  constructor(address: string, certificate: string) {
    this.#address = address
    this.#certificate = certificate
    const aead = aeadProvider().aeads.get(AEADS[0])
    if (aead === undefined) throw new Error("expected AES-SIV-CMAC-256 in this build")
    this.#aead = aead
  }

  async begin(): Promise<void> {
    for (let attempt = 0; attempt < 3 * SESSIONS && this.#sessions.length < SESSIONS; attempt += 1)
      await this.#exchange()
    this.#timer = setInterval(() => void this.#exchange(), RENEWAL_MS / SESSIONS)
  }

  end(): void {
    clearInterval(this.#timer)
  }

  /** A cookie was refused: all keys are established anew, as a client does. */
  renew(): void {
    if (this.#sessions.length < SESSIONS) return
    this.#sessions = this.#sessions.slice(1)
    void this.#exchange()
  }

  async #exchange(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    try {
      const trust = trustIn(readFileSync(this.#certificate, "utf8"))
      const session = await exchangeKeys(
        { address: this.#address, port: KEY_PORT, trust, serverName: "localhost" },
        AEADS
      )
      this.#sessions = [...this.#sessions, session].slice(-SESSIONS)
      this.exchanges += 1
    } catch {
      this.failures += 1
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    } finally {
      this.#isBusy = false
    }
  }

  /** The next one, undefined while there are no keys. */
  request(): NtsRequest | undefined {
    const turn = this.#turn++
    const session = this.#sessions[turn % Math.max(1, this.#sessions.length)]
    const cookie = session?.cookies[Math.floor(turn / SESSIONS) % session.cookies.length]
    if (session === undefined || cookie === undefined) return undefined
    const layout: NtsLayout = ntsLayout(this.#aead, cookie.length)
    const packet = Buffer.alloc(layout.requestBytes)
    const identifier = new Uint8Array(UNIQUE_IDENTIFIER_BYTES)
    randomFillSync(identifier)
    return {
      packet,
      seal: () => completeNtsRequest(packet, layout, this.#aead, session, cookie, identifier),
      problem: (reply) => ntsReplyProblem({ packet: reply }, this.#aead, session.s2c, identifier, cookie.length)
    }
  }
}
