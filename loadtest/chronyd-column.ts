/** chronyd's figures as loadtest/chronyd-figures.ts wrote them down. */
import { readFileSync } from "node:fs"

/** Polls at which the two are compared when neither may choose: log2 seconds. */
export const EQUAL_POLL = 6

export interface ChronydFigure {
  /** Seconds, after settling. */
  readonly rms: number
  readonly max: number
  /** Requests sent after settling, mean of the seeds. */
  readonly requests: number
}

export interface ChronydFigures {
  /** Version of chronyd, and how its figures were had. */
  readonly had: string
  /** By the name of the scenario: with chronyd's own polls, and asked every 64 s. */
  readonly worlds: Readonly<Record<string, { readonly own: ChronydFigure; readonly equal?: ChronydFigure }>>
}

export const chronydFiguresFile = new URL("chronyd-figures.json", import.meta.url)

export const readChronydFigures = (file: string | URL = chronydFiguresFile): ChronydFigures =>
  JSON.parse(readFileSync(file, "utf8"))
