/** What a file of another program comes to as an ntp.conf: the lines, and of every line that is not carried over whole, why. */

/** A line of the other file, or an entry of it, that is lost or changed. */
interface Remark {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** As it stands there, or the name of the entry. */
  readonly text: string
  /** What is lost, and what there is in its place. */
  readonly why: string
}

export interface Conversion {
  /** The ntp.conf, a line each. Remarks stand in it as comments where they belong. */
  readonly lines: readonly string[]
  readonly remarks: readonly Remark[]
}

/** Where in the other file something stands. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** Collects a conversion, line by line. */
export class Draft {
  readonly #lines: string[] = []
  readonly #remarks: Remark[] = []

  /** Adds lines of ntp.conf. */
  add(...lines: readonly string[]): void {
    this.#lines.push(...lines)
  }

  /** Says what of a line is lost. */
  remark(place: Place, why: string): void {
    this.#remarks.push({ ...place, why })
    this.#lines.push(`# not carried over: ${place.text.trim()}`, `#   ${why}`)
  }

  /** Says what of a line is lost that is carried over otherwise. */
  remarkOn(place: Place, what: string, why: string): void {
    this.#remarks.push({ ...place, text: what, why })
    this.#lines.push(`#   without ${what}: ${why}`)
  }

  get conversion(): Conversion {
    return { lines: this.#lines, remarks: this.#remarks }
  }
}

/** A word as a line of ntp.conf takes it. */
export const quoted = (word: string): string => (/[\s"#]/.test(word) || word === "" ? `"${word}"` : word)
