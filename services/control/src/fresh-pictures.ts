/** Has the node's picture be one of now where somebody looks: while nobody does, one comes each few seconds. */
import type { Picture } from "./picture.ts"

/** A picture that is no older is one of now; seconds. */
const FRESH_SECONDS = 1
/** After so long whoever asked is shown what there is. */
const LONGEST_WAIT_MS = 250
/** More who ask do not wait: under a flood the picture there is will do. */
const MOST_WAITING = 64

export class FreshPictures {
  readonly #picture: Picture
  readonly #look: () => void
  readonly #monotonic: () => number
  #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined

  /**
   * Made after those who are told of each picture: whoever waited for one finds it taken up.
   * @param look asks for a new picture
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  constructor(picture: Picture, look: () => void, monotonic: () => number) {
    this.#picture = picture
    this.#look = look
    this.#monotonic = monotonic
    picture.onChange(() => this.#goOn())
  }

  /** Calls when the picture is of now: at once, or when one has come. */
  when(call: () => void): void {
    const { current } = this.#picture
    const isFresh = current !== undefined && this.#monotonic() - current.monotonic < FRESH_SECONDS
    if (current === undefined || isFresh || this.#waiting.length >= MOST_WAITING) return call()
    this.#waiting.push(call)
    if (this.#waiting.length > 1) return
    this.#look()
    this.#timer = setTimeout(() => this.#goOn(), LONGEST_WAIT_MS)
  }

  #goOn(): void {
    clearTimeout(this.#timer)
    for (const call of this.#waiting.splice(0)) call()
  }
}
