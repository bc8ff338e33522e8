/** The report in a real Chromium: from one file, without a network, with its plots and without a complaint. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { browserAvailable, startBrowser } from "../../services/control/test/browser.ts"
import type { Figures } from "../fleet/play.ts"
import { reportPage } from "../fleet/report.ts"
import { secondsOf, type SeriesLine } from "../fleet/seconds.ts"

const available = browserAvailable("the report of a load test")
const folder = mkdtempSync(join(tmpdir(), "meridian-report-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const line = (second: number, metric: string, sum: number, milliseconds?: number): SeriesLine => ({
  second,
  metric,
  load: "plain",
  step: "",
  tag: "",
  sum,
  count: milliseconds === undefined ? 0 : sum,
  percentiles:
    milliseconds === undefined
      ? undefined
      : { p50: milliseconds, p95: milliseconds, p99: 2 * milliseconds, max: 3 * milliseconds }
})
const lines = [1, 2, 3].flatMap((second) => [
  line(second, "ntp_requests", 100),
  line(second, "ntp_replies", 99),
  line(second, "ntp_lost", 1),
  line(second, "ntp_req_duration", 99, 2),
  line(second, "ntske_handshake_duration", 5, 40)
])
const figures: Figures = {
  scenario: "drain",
  shows: "what a <script>alert(1)</script> does",
  at: "2026-06-01T00:00:00.000Z",
  setting: { seconds: 3, rate: 100 },
  machine: "a machine",
  loads: [],
  verdict: false,
  judged: [{ what: "ntp_lost", found: "3", wanted: "at most 0", met: false }],
  lostWhy: { timeout: 3 },
  dropped: { "receive queues of n1": 3 },
  wrongWhy: {},
  marks: [{ at: 1.2, name: "drain of </script> the leader" }],
  seconds: secondsOf(lines, 1),
  nodes: [0, 1, 2].map((at) => ({ at, replies: [33, null, 33], routed: [true, at !== 1, true] })),
  ramp: null,
  complaints: []
}

describe.runIf(available)("the report", () => {
  it("draws its plots, and says what was not kept and what happened", { timeout: 120_000 }, async () => {
    const file = join(folder, "report.html")
    writeFileSync(file, reportPage(figures))
    const browser = await startBrowser()
    try {
      const page = await browser.newPage({ viewport: { width: 1_000, height: 800 } })
      const complaints: string[] = []
      page.on("pageerror", (error) => complaints.push(String(error)))
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()))
      page.on("request", (asked) => asked.url().startsWith("http") && complaints.push(`asks for ${asked.url()}`))
      page.on("dialog", (dialog) => void complaints.push(dialog.message()))
      await page.goto(pathToFileURL(file).href)
      // Requests, what is missing, times, key exchanges and their time, nodes and routes.
      expect(await page.locator("#plots canvas").count()).toBe(7)
      expect(await page.locator("tbody tr.missed").textContent()).toContain("at most 0")
      expect(await page.locator("#marks li").textContent()).toBe("1.2 s: drain of </script> the leader")
      expect(complaints).toEqual([])
    } finally {
      await browser.close()
    }
  })
})
