/** When requests stand in a receive queue, and what follows: native/standing-queue.h, run over seconds that a test makes, with a server that answers 100,000 requests a second. */
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
  readonly stands: boolean
  readonly lost: number
  readonly shed: number
}

/** @param steps `RATE:MILLISECONDS` or `pause:MILLISECONDS`, behind `sheds`, `small` and `halting` (vectors/standing-queue.c) */
const run = (...steps: readonly string[]): readonly Step[] => {
  const program = join(folder, "standing-queue")
  execFileSync("cc", ["-O1", "-o", program, join(import.meta.dirname, "vectors/standing-queue.c")])
  return execFileSync(program, steps, { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => {
      const [shortened = 0, lengthened = 0, stands = 0, lost = 0, shed = 0] = line.split(" ").map(Number)
      return { shortened, lengthened, stands: stands === 1, lost, shed }
    })
}

const steady = { shortened: 0, lengthened: 0, stands: false, shed: 0 }

describe("a receive queue", () => {
  it("stays long where a server keeps up, and carries it over its pauses without a loss", () => {
    const quiet = run("40000:3000", "pause:600", "40000:3000", "90000:3000", "pause:100", "60000:3000")
    for (const step of quiet) expect(step).toEqual({ ...steady, lost: 0 })
  })

  it("stays long over a rush that is over within two seconds", () => {
    expect(run("40000:1000", "400000:1200", "40000:2000").map(({ stands }) => stands)).toEqual([false, false, false])
  })

  it("is shortened once under a flood, and is long again two seconds after it", () => {
    const [before, flood, after, later] = run("40000:1000", "400000:30000", "40000:1900", "40000:1000")
    expect(before).toEqual({ ...steady, lost: 0 })
    expect(flood).toMatchObject({ shortened: 1, lengthened: 0, stands: true })
    expect(after).toMatchObject({ shortened: 0, lengthened: 0, stands: true })
    expect(later).toEqual({ ...steady, lengthened: 1, lost: 0 })
  })
})

describe("a queue whose reader sheds", () => {
  it("has nothing passed over where its server keeps up, and is emptied in full after a pause or a short rush", () => {
    const quiet = run("sheds", "40000:3000", "pause:600", "40000:3000", "90000:3000", "pause:100", "60000:3000")
    for (const step of quiet) expect(step).toEqual({ ...steady, lost: 0 })
    const [, rush, after] = run("sheds", "40000:1000", "400000:100", "40000:2000")
    expect(rush).toEqual({ ...steady, lost: 0 })
    expect(after).toEqual({ ...steady, lost: 0 })
  })

  it("has strangers passed over at once where a rush overruns it, and nobody any more when that is over", () => {
    const [, rush, after, later] = run("sheds", "40000:1000", "400000:1200", "40000:2100", "90000:3000")
    // The queue is full after a tenth of a second and becomes no emptier in another; without a choice 320,000 would be lost, anybody's.
    expect(rush!.lost).toBeLessThan(40_000)
    expect(rush!.shed).toBeGreaterThan(200_000)
    expect(after).toMatchObject({ stands: false, lost: 0 })
    expect(later).toEqual({ ...steady, lost: 0 })
  })

  it("has strangers passed over before anything is lost, where the queue fills more slowly", () => {
    const [, rush, after] = run("sheds", "40000:1000", "200000:1200", "40000:2100")
    expect(rush).toMatchObject({ stands: true, lost: 0 })
    expect(rush!.shed).toBeGreaterThan(100_000)
    expect(after).toMatchObject({ stands: false, lost: 0 })
  })

  it("has nobody passed over after a pause that overran it: what was lost is lost, and the rest is answered", () => {
    const [, , after] = run("sheds", "40000:1000", "pause:3000", "40000:3000")
    expect(after).toMatchObject({ stands: false, shed: 0 })
    const [, , small] = run("sheds", "small", "40000:1000", "pause:300", "40000:3000")
    expect(small).toMatchObject({ stands: false, shed: 0 })
  })

  it("notices a flood also where others have the core for longer than a pause at a time", () => {
    const [, noticed, flood] = run("sheds", "halting", "10000:1000", "200000:2500", "200000:10000")
    expect(noticed).toMatchObject({ stands: true })
    // It has time for a quarter of a core: of 2 million, 250,000 answers or five times as many passed over.
    expect(flood!.shed).toBeGreaterThan(500_000)
    const honest = run("sheds", "halting", "10000:5000", "20000:5000")
    for (const step of honest) expect(step).toEqual({ ...steady, lost: 0 })
  })

  it("loses nothing to the kernel under a flood once it is noticed, and answers as many as there is time for", () => {
    const [, noticed, flood, after, later] = run(
      "sheds",
      "40000:1000",
      "400000:2200",
      "400000:30000",
      "40000:1900",
      "40000:1000"
    )
    expect(noticed).toMatchObject({ stands: true })
    expect(flood).toMatchObject({ stands: true, lost: 0 })
    // Of 12 million, in a time in which 3 million could be answered; to pass the others over takes some of it.
    const answered = 12_000_000 - flood!.shed
    expect(answered).toBeGreaterThan(500_000)
    expect(after!.shed).toBeLessThan(2_000)
    expect(later).toMatchObject({ stands: false, lost: 0, shed: 0 })
  })

  it("notices a flood by what is lost, where the system allows no long queue", () => {
    const [before, flood] = run("sheds", "small", "40000:1000", "400000:10000")
    expect(before).toEqual({ ...steady, lost: 0 })
    expect(flood).toMatchObject({ stands: true })
    expect(flood!.shed).toBeGreaterThan(1_000_000)
  })
})
