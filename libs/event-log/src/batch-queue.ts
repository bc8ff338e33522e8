/** A queue between a source that calls and a reader that asks: the reader takes whatever has come in one batch. */
export class BatchQueue<A> {
  #items: Array<A> = []
  #caughtUp = false
  #state:
    | { readonly _tag: "open" }
    | { readonly _tag: "ended" }
    | { readonly _tag: "failed"; readonly error: unknown } = {
    _tag: "open"
  }
  #wake: (() => void) | undefined
  readonly #onTaken: () => void

  /** `onTaken` is called after the reader has emptied the queue. */
  constructor(onTaken: () => void = () => {}) {
    this.#onTaken = onTaken
  }

  get size(): number {
    return this.#items.length
  }

  push(item: A): void {
    this.#items.push(item)
    this.#wake?.()
  }

  /** The reader has, with what is queued, all there is. */
  markCaughtUp(): void {
    this.#caughtUp = true
    this.#wake?.()
  }

  /** No more will come; what is queued is still handed out. */
  end(): void {
    if (this.#state._tag === "open") this.#state = { _tag: "ended" }
    this.#wake?.()
  }

  fail(error: unknown): void {
    if (this.#state._tag === "open") this.#state = { _tag: "failed", error }
    this.#wake?.()
  }

  /** The next batch, or undefined at the end. Waits up to `patienceMs`; rejects with the failure, or on no patience left. */
  async take(
    patienceMs = Infinity,
    onImpatience: () => unknown = () => new Error("nothing came in time")
  ): Promise<{ readonly items: ReadonlyArray<A>; readonly caughtUp: boolean } | undefined> {
    while (this.#items.length === 0 && !this.#caughtUp) {
      if (this.#state._tag === "ended") return undefined
      if (this.#state._tag === "failed") throw this.#state.error
      if (!(await this.#waited(patienceMs))) throw onImpatience()
    }
    const batch = { items: this.#items, caughtUp: this.#caughtUp }
    this.#items = []
    this.#caughtUp = false
    this.#onTaken()
    return batch
  }

  /** Whether something happened before patience ran out. */
  #waited(patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = patienceMs === Infinity ? undefined : setTimeout(() => done(false), patienceMs)
      const done = (woken: boolean): void => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve(woken)
      }
      this.#wake = () => done(true)
    })
  }
}
