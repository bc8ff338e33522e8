/** What an operator asks for: sent to the supervisor, which judges and does it, and says what came of it. */
import type { ActedMessage, ActMessage } from "@meridian/ipc/control-messages"

/** The supervisor is as quick as what it does; a reload of a whole configuration takes seconds. */
const PATIENCE_MS = 10_000

export interface Acted {
  readonly ok: boolean
  readonly message: string
}

export class Acts {
  readonly #send: (message: ActMessage) => void
  readonly #waiting = new Map<number, (acted: Acted) => void>()
  #last = 0

  constructor(send: (message: ActMessage) => void) {
    this.#send = send
  }

  /** Never rejects. @param author who asked, for the event log */
  ask(name: string, argument: ActMessage["arguments"], author: string): Promise<Acted> {
    this.#last += 1
    const id = this.#last
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        resolve({ ok: false, message: `nothing came of it within ${PATIENCE_MS / 1e3} s` })
      }, PATIENCE_MS)
      this.#waiting.set(id, (acted) => {
        clearTimeout(timer)
        resolve(acted)
      })
      this.#send({ type: "act", id, name, arguments: argument, author })
    })
  }

  done({ id, ok, message }: ActedMessage): void {
    this.#waiting.get(id)?.({ ok, message })
    this.#waiting.delete(id)
  }
}
