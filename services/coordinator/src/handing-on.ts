/**
 * Commands that a node hands on to the one that leads. Whoever has a node's nkey may publish where they are heard: so each bears a
 * MAC under the cluster's key, for one node, for a moment, and once. What that node decides it signs as its own.
 */
import { randomBytes } from "node:crypto"
import type { Authenticity } from "@meridian/event-log"
import type { ForwardedCommand } from "./embedded.ts"

/** How far a command's time may lie from this node's, either way. */
export const COMMAND_AGE_MS = 60_000
/** Commands remembered lest they be repeated; more in that time are refused. */
const MOST_REMEMBERED = 1_000
const NONCE_BYTES = 16

interface Text extends ForwardedCommand {
  readonly to: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly nonce: string
}

export class HandingOn {
  readonly #node: string
  readonly #authenticity: Authenticity
  readonly #now: () => number
  /** When each command that was taken may be forgotten, by its nonce. */
  readonly #taken = new Map<string, number>()

  /** @param now milliseconds since 1970 */
  constructor(node: string, authenticity: Authenticity, now: () => number) {
    this.#node = node
    this.#authenticity = authenticity
    this.#now = now
  }

  /** A command as it goes to the node that is to carry it out. */
  wrap(to: string, { path, body }: ForwardedCommand): string {
    const nonce = randomBytes(NONCE_BYTES).toString("base64url")
    const text = JSON.stringify({ to, path, body, at: this.#now(), nonce } satisfies Text)
    return JSON.stringify({ text, mac: this.#authenticity.vouch(text) })
  }

  /** The command, or why it is not to be carried out. Release 0.2 proves nothing, and may until the log is sealed. */
  open(message: string): ForwardedCommand | string {
    const { text, mac, ...bare } = parsed(message)
    if (text === undefined && mac === undefined && !this.#authenticity.isSealed) return commandOf(bare)
    if (typeof text !== "string" || typeof mac !== "string" || !this.#authenticity.isVouched(text, mac))
      return "no node with the cluster key has handed that on"
    const said = parsed(text)
    const { to, at, nonce } = said
    if (to !== this.#node) return `that was for another node than ${this.#node}`
    if (typeof at !== "number" || typeof nonce !== "string") return MALFORMED
    const age = this.#now() - at
    if (Math.abs(age) > COMMAND_AGE_MS)
      return `that was handed on ${Math.round(age / 1_000)} s ago by this node's clock: compare the clocks of both nodes`
    return this.#isNew(nonce) ? commandOf(said) : "that was handed on before"
  }

  #isNew(nonce: string): boolean {
    const now = this.#now()
    for (const [known, until] of this.#taken) if (until < now) this.#taken.delete(known)
    if (this.#taken.has(nonce) || this.#taken.size >= MOST_REMEMBERED) return false
    this.#taken.set(nonce, now + 2 * COMMAND_AGE_MS)
    return true
  }
}

const MALFORMED = "a command has a path and a body"

const commandOf = ({ path, body }: Record<string, unknown>): ForwardedCommand | string =>
  typeof path === "string" && typeof body === "string" ? { path, body } : MALFORMED

const parsed = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
