/** Who may read and who may act, from files that are read again when they change. */
import { statSync } from "@meridian/system/files"
import { Admission, type Operators, readOperators, readToken } from "./admission.ts"

/** Seconds between two looks at the files: a token that is taken away is worth nothing soon after. */
const LOOK_SECONDS = 2

interface CredentialPlaces {
  readonly address: string
  readonly tokenFile: string | null
  readonly operatorsFile: string | null
  /** Whether clients whose certificate was verified may read. */
  readonly takesCertificates: boolean
}

/** One file's content, and what it was read from. */
class WatchedFile<A> {
  readonly #path: string
  readonly #read: (path: string) => A
  #seen: string | undefined
  #value: A | undefined

  constructor(path: string, read: (path: string) => A) {
    this.#path = path
    this.#read = read
  }

  /** Undefined while it cannot be read. @param failed is told why, once for each state of the file */
  current(failed: (why: string) => void): A | undefined {
    const state = stateOf(this.#path)
    if (state === this.#seen) return this.#value
    this.#seen = state
    this.#value = undefined
    try {
      this.#value = this.#read(this.#path)
    } catch (error) {
      failed((error as Error).message)
    }
    return this.#value
  }
}

/** Another file, or another content, has another one. */
const stateOf = (path: string): string => {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch {
    return "none"
  }
}

/** A file that cannot be read any more lets nobody in: a right that was taken away must not live on in memory. */
export class Credentials {
  readonly #places: CredentialPlaces
  readonly #token: WatchedFile<string> | undefined
  readonly #operators: WatchedFile<Operators> | undefined
  readonly #monotonic: () => number
  readonly #warn: (message: string) => void
  #admission: Admission | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  /** @param monotonic CLOCK_MONOTONIC, seconds */
  constructor(places: CredentialPlaces, monotonic: () => number, warn: (message: string) => void) {
    const { tokenFile, operatorsFile } = places
    this.#places = places
    this.#token = tokenFile === null ? undefined : new WatchedFile(tokenFile, readToken)
    this.#operators = operatorsFile === null ? undefined : new WatchedFile(operatorsFile, readOperators)
    this.#monotonic = monotonic
    this.#warn = warn
  }

  get admission(): Admission {
    const now = this.#monotonic()
    if (this.#admission !== undefined && now - this.#lookedAt < LOOK_SECONDS) return this.#admission
    this.#lookedAt = now
    const { address, takesCertificates } = this.#places
    const token = this.#token?.current((why) => this.#warn(`HTTP: nobody may read under the token: ${why}`))
    const operators = this.#operators?.current((why) => this.#warn(`HTTP: no operator may act: ${why}`))
    this.#admission = new Admission({
      address,
      token: this.#token === undefined ? undefined : (token ?? null),
      operators: this.#operators === undefined ? undefined : (operators ?? new Map()),
      takesCertificates
    })
    return this.#admission
  }
}
