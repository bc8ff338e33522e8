/** Something that has a route come and go: a routing daemon, a script, a device. */
export interface Announcer {
  /** "BIRD", "ExaBGP": how status and the log name it. */
  readonly name: string
  /**
   * Has the route be there, or not. Done twice, it changes nothing more.
   * @throws AnnouncerTrouble with what is in the way; it is then tried again
   */
  readonly apply: (announced: boolean) => Promise<void>
  /** Sentences about the router's configuration that an operator should read; none where it is as it should be. */
  readonly advice?: () => Promise<readonly string[]>
  readonly close: () => void
}

/** The route is not as it should be, and why, in one sentence. */
export class AnnouncerTrouble extends Error {
  readonly _tag = "AnnouncerTrouble"
}

interface Place {
  readonly announcer: Announcer
  /** What it was told last and did. */
  done: boolean | undefined
  trouble: string | null
  isBusy: boolean
}

/** Between two attempts at what did not work. */
const RETRY_MS = 1_000

/** Keeps every announcer at what is wanted: tells it, and tells it again until it has done so. */
export class Announcers {
  private wanted: boolean | undefined
  private readonly places: readonly Place[]
  private readonly changed: () => void
  private readonly waiting: (() => void)[] = []
  private retry: NodeJS.Timeout | undefined

  /** @param changed told when an announcer has done something, or could not */
  constructor(announcers: readonly Announcer[], changed: () => void) {
    this.places = announcers.map((announcer) => ({ announcer, done: undefined, trouble: null, isBusy: false }))
    this.changed = changed
  }

  /** Undefined: nothing has been decided yet, and everything is left as it is. */
  want(announced: boolean): void {
    this.wanted = announced
    for (const place of this.places) void this.carryOut(place)
  }

  /** What an announcer had done is not so any more: a daemon that was started anew. */
  forget(announcer: Announcer): void {
    const place = this.places.find((it) => it.announcer === announcer)
    if (place === undefined) return
    place.done = undefined
    void this.carryOut(place)
  }

  get settled(): boolean {
    return this.places.every(({ done }) => done === this.wanted)
  }

  get report(): readonly { readonly name: string; readonly trouble: string | null }[] {
    return this.places.map(({ announcer, trouble }) => ({ name: announcer.name, trouble }))
  }

  /** Resolves when all is as it is wanted. */
  whenSettled(): Promise<void> {
    return this.settled ? Promise.resolve() : new Promise((done) => this.waiting.push(done))
  }

  close(): void {
    clearTimeout(this.retry)
    for (const { announcer } of this.places) announcer.close()
  }

  private async carryOut(place: Place): Promise<void> {
    if (place.isBusy) return
    place.isBusy = true
    // What is wanted may change while it is at it.
    while (this.wanted !== undefined && place.done !== this.wanted) {
      const wanted: boolean = this.wanted
      try {
        await place.announcer.apply(wanted)
        place.done = wanted
        place.trouble = null
      } catch (error) {
        place.done = undefined
        place.trouble = error instanceof AnnouncerTrouble ? error.message : String(error)
        break
      }
    }
    place.isBusy = false
    this.changed()
    if (this.settled) for (const done of this.waiting.splice(0)) done()
    else this.tryAgain()
  }

  private tryAgain(): void {
    clearTimeout(this.retry)
    this.retry = setTimeout(() => {
      for (const place of this.places) if (place.done !== this.wanted) void this.carryOut(place)
    }, RETRY_MS)
  }
}
