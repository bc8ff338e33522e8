/** ntp.conf `filegen`: statistics files that begin anew each day, week, month, year, start or 24 hours of running. */
import { appendFileSync, linkSync, renameSync, statSync, unlinkSync } from "@meridian/system/files"
import type { FilegenType } from "@meridian/ipc/discipline-report"

const DAY = 86_400

interface GenerationMoment {
  /** Unix seconds */
  readonly unix: number
  /** Seconds since this process began. */
  readonly uptime: number
  readonly pid: number
}

const two = (value: number): string => String(value).padStart(2, "0")

/** Whole weeks since the year began, as classic ntpd counts them: the first of January is in week 0. */
const weekOfYear = (date: Date): number =>
  Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / (7 * DAY * 1e3))

/** What is appended to the file's name, with its point; empty for `none`. */
export const generationSuffix = (type: FilegenType, { unix, uptime, pid }: GenerationMoment): string => {
  const date = new Date(unix * 1e3)
  const year = String(date.getUTCFullYear()).padStart(4, "0")
  const month = two(date.getUTCMonth() + 1)
  switch (type) {
    case "none":
      return ""
    case "pid":
      return `.#${pid}`
    case "day":
      return `.${year}${month}${two(date.getUTCDate())}`
    case "week":
      return `.${year}w${two(weekOfYear(date))}`
    case "month":
      return `.${year}${month}`
    case "year":
      return `.${year}`
    case "age":
      return `.a${String(Math.floor(uptime / DAY) * DAY).padStart(8, "0")}`
  }
}

export class GenerationFile {
  private readonly name: string
  private readonly type: FilegenType
  private readonly link: boolean
  private current: string | undefined
  private conflicts = 0

  /** @param name statsdir and file together */
  constructor(name: string, type: FilegenType, link: boolean) {
    this.name = name
    this.type = type
    this.link = link
  }

  /** Appends a line, in a new file when it is time for one. Throws the file system's error. */
  append(line: string, moment: GenerationMoment): void {
    const path = this.name + generationSuffix(this.type, moment)
    appendFileSync(path, `${line}\n`)
    if (path !== this.current) this.begin(path, moment.pid)
    this.current = path
  }

  /** The bare name becomes a hard link to the new file; a file of its own that stood there is moved aside. */
  private begin(path: string, pid: number): void {
    if (path === this.name) return
    const standing = statSync(this.name, { throwIfNoEntry: false })
    if (standing?.isFile() === true)
      if (standing.nlink > 1) unlinkSync(this.name)
      else renameSync(this.name, `${this.name}.${pid}C${this.conflicts++}`)
    else if (standing !== undefined) return
    if (this.link) linkSync(path, this.name)
  }
}
