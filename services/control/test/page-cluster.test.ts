/**
 * The page of one node of three on a NATS of three: what an operator does there is done by all, and seen on the pages of the others.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { isFree } from "@meridian/testkit/running-node"
import { peersAvailable } from "@meridian/testkit/real-peers"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { answersHttp, browserAvailable, startBrowser } from "./browser.ts"

const suite = "the page in a cluster"
const available = browserAvailable(suite) && peersAvailable(suite, ["nats-server-2.10"])
/** The cluster of `npm run cluster`: TLS and identities to NATS, three copies of the log. */
const script = resolve(import.meta.dirname, "../../../infra/dev/cluster.ts")
const HTTP_ABOVE_NTP = 49
/** Three nodes' and three servers' ports, clients' and routes', lie within so many above the first. */
const PORTS = [0, 10, HTTP_ABOVE_NTP, 60, 2_060].flatMap((first) => [first, first + 1, first + 2])
/** Below the range that connections going out take theirs from. */
const choosePort = async (): Promise<number> => {
  const chosen = 13_000 + 100 * Math.floor(Math.random() * 100)
  const free = await Promise.all(PORTS.map((above) => isFree(chosen + above)))
  return free.every(Boolean) ? chosen : choosePort()
}
let ntpPort = 0
const SEE_MS = 2 * PATIENCE_MS
const TOKEN = "alice-0123456789abcdef"
const NAMES = ["a", "b", "c"] as const

describe.runIf(available)("the page in a cluster of three", () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-page-cluster-"))
  const file = (name: string): string => join(folder, name)
  const pages = new Map<string, Page>()
  let browser: Browser

  const page = (name: string): Page => pages.get(name)!
  const see = (name: string, text: string | RegExp, within: string): Promise<void> =>
    page(name).locator(within).filter({ hasText: text }).first().waitFor({ timeout: SEE_MS })
  /** On the pages of all; says how long after the first the last one showed it. */
  const seenByAll = async (what: string, text: string | RegExp, within: string): Promise<void> => {
    const begin = performance.now()
    await Promise.all(NAMES.map((name) => see(name, text, within)))
    process.stderr.write(
      `${suite}: ${what}: on all three pages ${Math.round(performance.now() - begin)} ms after it was asked for\n`
    )
  }
  const turnTo = (view: string): Promise<unknown> =>
    Promise.all(NAMES.map((name) => page(name).click(`nav a[href="#${view}"]`)))
  const confirm = async (): Promise<void> => {
    await page("a").click("#confirm-act")
  }

  const cluster = (command: "up" | "down"): Promise<void> =>
    new Promise((done, failed) => {
      const places = [
        "--directory",
        file("cluster"),
        "--ntp-port",
        String(ntpPort),
        "--nats-port",
        String(ntpPort + 60)
      ]
      const args = [script, command, ...places, "--operators", file("operators")]
      execFile(process.execPath, args, { timeout: 6 * PATIENCE_MS }, (error) =>
        error === null ? done() : failed(error)
      )
    })

  beforeAll(async () => {
    writeFileSync(file("operators"), `alice ${TOKEN}\n`, { mode: 0o600 })
    ntpPort = await choosePort()
    await cluster("up")
    browser = await startBrowser()
    for (const [index, name] of NAMES.entries()) {
      const opened = await browser.newPage()
      opened.setDefaultTimeout(SEE_MS)
      pages.set(name, opened)
      const own = `http://127.0.0.1:${ntpPort + HTTP_ABOVE_NTP + index}`
      await answersHttp(own)
      await opened.goto(`${own}/#fleet`)
    }
    for (const name of NAMES) for (const member of NAMES) await see(name, member, "#members tbody")
    for (const name of NAMES) await see(name, /^ready$/, "#state")
  }, 8 * PATIENCE_MS)
  afterAll(async () => {
    await browser?.close()
    await cluster("down")
    rmSync(folder, { recursive: true, force: true })
  })

  it("rotates and revokes keys on every node", async () => {
    await page("a").click("#sign-in")
    await page("a").fill("#token", TOKEN)
    await page("a").keyboard.press("Enter")
    await see("a", "operator alice", "#operator")
    await turnTo("keys")
    await see("a", /active/, "#generations")
    await page("a").click("#rotate-nts")
    await see("a", "takes over once every node holds it", "#confirm-words")
    await confirm()
    await seenByAll("a rotation", "http alice, on", "#behind")
    const revoke = page("a").locator("#generations button").first()
    const generation = /\d+/.exec((await revoke.getAttribute("aria-label")) ?? "")?.[0]
    await revoke.click()
    await page("a").fill("#reason", "a laptop was lost")
    await confirm()
    await seenByAll(`generation ${generation} revoked`, "a laptop was lost", "#behind")
    expect(generation).toMatch(/^\d+$/)
    // Nobody holds it any more, and all hold the one that is active.
    for (const name of NAMES) {
      const rows = page(name).locator("#generations tbody tr")
      await rows.filter({ hasText: "revoked" }).filter({ hasText: "destroyed" }).first().waitFor({ timeout: SEE_MS })
      await rows.filter({ hasText: "active" }).filter({ hasText: "a, b, c" }).first().waitFor({ timeout: SEE_MS })
    }
  })

  it("drains another node than its own, which all see, that one by its readiness too", async () => {
    await turnTo("fleet")
    const row = page("a").locator("#members tbody tr").filter({ hasText: /^b/ })
    await row.locator("button").click()
    await page("a").fill("#reason", "a new disk")
    await confirm()
    await seenByAll("a drain of b", "drained", "#members tbody tr:nth-child(2)")
    await see("b", /drained the node/, "#state")
    await see("c", /^ready$/, "#state")
    await row.locator("button").filter({ hasText: "Undrain" }).click()
    await confirm()
    await see("b", /^ready$/, "#state")
    await turnTo("history")
    expect(await page("c").locator("#history").isVisible()).toBe(true)
  })
})
