/** When a receive queue is short: native/standing-queue.h, run over seconds that a test makes, with a server that answers 100,000 requests a second. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-queue-"))
afterAll(() => rmSync(folder, { recursive: true }))

interface Step {
  readonly shortened: number
  readonly lengthened: number
  readonly isShort: boolean
  readonly lost: number
}

/** @param steps `RATE:MILLISECONDS` or `pause:MILLISECONDS` */
const run = (...steps: readonly string[]): readonly Step[] => {
  const program = join(folder, "standing-queue")
  execFileSync("cc", ["-O1", "-o", program, join(import.meta.dirname, "vectors/standing-queue.c")])
  return execFileSync(program, steps, { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => {
      const [shortened = 0, lengthened = 0, isShort = 0, lost = 0] = line.split(" ").map(Number)
      return { shortened, lengthened, isShort: isShort === 1, lost }
    })
}

const steady = { shortened: 0, lengthened: 0, isShort: false }

describe("a receive queue", () => {
  it("stays long where a server keeps up, and carries it over its pauses without a loss", () => {
    const quiet = run("40000:3000", "pause:800", "40000:3000", "90000:3000", "pause:100", "60000:3000")
    for (const step of quiet) expect(step).toEqual({ ...steady, lost: 0 })
  })

  it("stays long over a rush that is over within two seconds", () => {
    expect(run("40000:1000", "400000:1200", "40000:2000").map(({ isShort }) => isShort)).toEqual([false, false, false])
  })

  it("is shortened once under a flood, and is long again two seconds after it", () => {
    const [before, flood, after, later] = run("40000:1000", "400000:30000", "40000:1900", "40000:1000")
    expect(before).toEqual({ ...steady, lost: 0 })
    expect(flood).toMatchObject({ shortened: 1, lengthened: 0, isShort: true })
    expect(after).toMatchObject({ shortened: 0, lengthened: 0, isShort: true })
    expect(later).toEqual({ ...steady, lengthened: 1, lost: 0 })
  })
})
