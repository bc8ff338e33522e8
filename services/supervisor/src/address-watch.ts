/** Keeps what the node listens on in step with the machine's addresses, and says what came and what went. */
import type { InterfaceAddress } from "@meridian/config/listen"
import { type NetworkWatch, watchNetwork } from "@meridian/system/network-watch"
import type { Listening } from "./listening.ts"

interface AddressWatchParts {
  readonly listening: Listening
  readonly addresses: () => readonly InterfaceAddress[]
  /** Told which addresses there are, at each look. */
  readonly seen: (addresses: readonly InterfaceAddress[]) => void
  /** Told when other addresses can be asked; before processes are renewed. */
  readonly changed: () => void
  /** Has every process that serves sockets start anew with those that there are now; done when all have. */
  readonly renew: () => Promise<void>
  readonly inform: (message: string) => void
  readonly warn: (message: string) => void
}

/** One change of the network is several messages of the kernel. */
const SETTLE_MS = 300
/** Between two changes that take new processes: a host of containers has interfaces come and go all the time. */
const REST_MS = 5_000
/** An IPv6 address is checked for duplicates for about so long. */
const EARLY_MS = 2_000
/** What could not be bound is tried again. */
const RETRY_MS = 30_000

export class AddressWatch {
  readonly #parts: AddressWatchParts
  readonly #watch: NetworkWatch
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  /** Something changed while it was looked at. */
  #again = false
  #isClosed = false
  #problems: readonly string[] = []

  constructor(parts: AddressWatchParts) {
    this.#parts = parts
    this.#watch = watchNetwork(() => this.#soon(SETTLE_MS))
    // Addresses may have come between the first look and the first word of the kernel.
    this.#soon(SETTLE_MS)
  }

  /** What the node is to listen on and does not, a sentence each. */
  get missing(): readonly string[] {
    return [...this.#parts.listening.absent.map(awaited), ...this.#problems]
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#watch.close()
  }

  #soon(milliseconds: number): void {
    if (this.#isClosed) return
    if (this.#isLooking) {
      this.#again = true
      return
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look(), milliseconds).unref()
  }

  async #look(): Promise<void> {
    const { listening, addresses, seen, changed, renew, inform, warn } = this.#parts
    this.#isLooking = true
    const there = addresses()
    seen(there)
    const { came, went, isOther, problems, isEarly } = await listening.follow(there)
    for (const address of came) inform(`answers on ${address} from now on`)
    for (const address of went) inform(`${address} is gone from this machine: nobody can ask it until it comes back`)
    for (const problem of problems) if (!this.#problems.includes(problem)) warn(problem)
    this.#problems = problems
    if (came.length + went.length > 0 || isOther) changed()
    if (isOther) {
      await renew()
      listening.closeLeft()
    }
    this.#isLooking = false
    if (this.#again) this.#soon(isOther ? REST_MS : SETTLE_MS)
    else if (isEarly) this.#soon(EARLY_MS)
    else if (problems.length > 0) this.#soon(RETRY_MS)
    this.#again = false
  }
}

/** For a person: an address that lines name. */
export const awaited = (address: string): string =>
  `${address} is no address of this machine now: it is answered on once it is there`
