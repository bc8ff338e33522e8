/** What BIRD says on its control socket (birdc's protocol), line by line. Pure. */

/** A whole answer: the lines with their codes, the last one ends it. */
export interface BirdAnswer {
  /** Of the line that ended it. */
  readonly code: number
  readonly lines: readonly { readonly code: number; readonly text: string }[]
}

/** More than any answer to a command of ours has: what goes on for longer is not BIRD. */
const MOST_BYTES = 1_048_576

/**
 * Reads answers out of a stream. A line begins with four digits and `-` (more follow) or a blank (the last), or with a blank
 * where it goes on with the code before; `+` begins what the daemon says unasked, which is passed over.
 */
export class BirdReader {
  private rest = ""
  private lines: { code: number; text: string }[] = []

  /** Answers that are whole by now. @throws Error where the stream is not BIRD's */
  take(chunk: string): readonly BirdAnswer[] {
    const text = this.rest + chunk
    const all = text.split("\n")
    this.rest = all.pop() ?? ""
    if (this.rest.length > MOST_BYTES) throw new Error("a line without an end")
    const answers: BirdAnswer[] = []
    for (const line of all) {
      const answer = this.takeLine(line)
      if (answer !== undefined) answers.push(answer)
    }
    return answers
  }

  private takeLine(line: string): BirdAnswer | undefined {
    if (line.startsWith("+") || line === "") return undefined
    const coded = /^(\d{4})([ -])(.*)$/.exec(line)
    if (coded === null) {
      const last = this.lines.at(-1)
      if (!line.startsWith(" ") || last === undefined || this.lines.length > MOST_BYTES / 64)
        throw new Error(`a line that is none of BIRD's: ${JSON.stringify(line.slice(0, 60))}`)
      this.lines.push({ code: last.code, text: line.slice(1) })
      return undefined
    }
    const code = Number(coded[1])
    this.lines.push({ code, text: coded[3] ?? "" })
    if (coded[2] === "-") return undefined
    const answer = { code, lines: this.lines }
    this.lines = []
    return answer
  }
}

/** 8000 and above are errors of what was asked, 9000 and above of how. */
const FIRST_ERROR = 8_000

/** What BIRD refused, in its words; undefined where it did as it was told, or had done so before. */
export const refusalOf = ({ lines }: BirdAnswer): string | undefined =>
  lines.find(({ code }) => code >= FIRST_ERROR)?.text.trim()
