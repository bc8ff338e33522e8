/** Has the node's picture be one of now where somebody looks: while nobody does, one comes each few seconds, without the clients. */

/** A picture that was asked for no longer ago is one of now; seconds. */
const FRESH_SECONDS = 1
/** After so long whoever asked is shown what there is. */
const LONGEST_WAIT_MS = 250
/** More who ask do not wait: under a flood the picture there is will do. */
const MOST_WAITING = 64

export class FreshPictures {
  readonly #look: () => void
  readonly #monotonic: () => number
  #cameAt = Number.NEGATIVE_INFINITY
  #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined

  /**
   * @param look asks for a new picture
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  constructor(look: () => void, monotonic: () => number) {
    this.#look = look
    this.#monotonic = monotonic
  }

  /** Calls when the picture is of now: at once, or when one has come. */
  when(call: () => void): void {
    if (this.#monotonic() - this.#cameAt < FRESH_SECONDS || this.#waiting.length >= MOST_WAITING) return call()
    this.#waiting.push(call)
    if (this.#waiting.length > 1) return
    this.#look()
    this.#timer = setTimeout(() => this.#goOn(), LONGEST_WAIT_MS)
  }

  /** One that was asked for has come, and is shown. */
  came(): void {
    this.#cameAt = this.#monotonic()
    this.#goOn()
  }

  #goOn(): void {
    clearTimeout(this.#timer)
    for (const call of this.#waiting.splice(0)) call()
  }
}
