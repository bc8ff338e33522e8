/**
 * A cluster beyond what one machine can run, on paper time; see large-course.ts. In a run of every test it is small; MERIDIAN_LONG has
 * 64 nodes and a million clients for two hours. MERIDIAN_FIGURES prints what docs/performance.md has; MERIDIAN_SEED is another course.
 */
import { describe, expect, it } from "vitest"
import { type Course, type CourseOptions, runCourse } from "./large-course.ts"

const isLong = process.env["MERIDIAN_LONG"] !== undefined
const seed = Number(process.env["MERIDIAN_SEED"] ?? 1)
/** The farthest round trip thrice (an append that meets another one, and its delivery), the slowest disk, the second in which it is looked at. */
const CONVERGED_MS = 3 * 200 + 2_500 + 1_000
/** The lease, a try for it each second, a log that is read first. */
const LEADERLESS_MS = 4_000 + 4 * 1_000 + 2_500
const LIMIT_MS = 3_600_000

const told = (name: string, options: CourseOptions, { figures }: Course): void => {
  if (process.env["MERIDIAN_FIGURES"] !== undefined)
    process.stdout.write(`${name} ${JSON.stringify(options)}\n${JSON.stringify(figures, null, 2)}\n`)
}

const small = { seed, nodes: 16, clients: 20_000, seconds: 1_800, longestCut: 200 }
const large = { seed, nodes: 64, clients: 1_000_000, seconds: 7_200, longestCut: 200 }

describe("a large cluster on paper time", () => {
  it.each<[string, CourseOptions]>([
    ["small", small],
    ...(isLong ? [["large", large] as [string, CourseOptions]] : [])
  ])(
    "%s: refuses no cookie of a live generation, forgets revoked ones in time, has one leader a term",
    async (name, options) => {
      const course = await runCourse(options)
      told(name, options, course)
      expect(course.broken).toEqual([])
      const { figures } = course
      expect(figures.requests).toBeGreaterThan(options.clients * 5)
      expect(figures.generations).toBeGreaterThan(4)
      expect(figures.revocations).toBeGreaterThan(1)
      expect(figures.revokedMs).toBeLessThanOrEqual(CONVERGED_MS)
      expect(figures.acceptedRevokedMs).toBeLessThanOrEqual(CONVERGED_MS)
      expect(figures.publishedMs).toBeLessThanOrEqual(CONVERGED_MS)
      expect(figures.leaderlessMs).toBeLessThanOrEqual(LEADERLESS_MS)
    },
    LIMIT_MS
  )
})
