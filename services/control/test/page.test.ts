/**
 * The page in a real Chromium, on a node with real upstreams: what happens to the node is seen, what an operator does there is
 * done, and nothing stands in the way of keyboard and screen reader.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { answersHttp, browserAvailable, startBrowser } from "./browser.ts"

const suite = "the page in Chromium"
const available = peersAvailable(suite, ["chronyd-4.3"]) && browserAvailable(suite)
const SEE_MS = 2 * PATIENCE_MS
const TOKEN = "alice-0123456789abcdef"
/** Of the node's key file, one in letters and one in hexadecimal digits. */
const SECRETS = ["a-secret-in-letters", "00112233445566778899aabbccddeeff"]
const VIEWS = ["clock", "traffic", "keys", "fleet", "history"] as const
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js")

describe.runIf(available)("the page", () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-page-"))
  const file = (name: string): string => join(folder, name)
  const upstreams = new Map<string, ChildProcess>()
  let node: RunningNode
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let url: string
  const faults: string[] = []

  /** Returns its line in ntp.conf. */
  const startUpstream = async (address: string): Promise<string> => {
    const port = await freePort()
    const lines = [
      `port ${port}`,
      `bindaddress ${address}`,
      "cmdport 0",
      "bindcmdaddress /",
      "local stratum 2",
      "allow"
    ]
    writeFileSync(file(`${address}.conf`), [...lines, `pidfile ${file(address)}.pid`, ""].join("\n"))
    const command = peer("chronyd-4.3")!
    const args = [...command.args, "-d", "-x", "-u", "root", "-f", file(`${address}.conf`)]
    upstreams.set(address, spawn(command.command, args, { env: command.env, stdio: "ignore" }))
    return `server ${address}:${port} iburst minpoll 0 maxpoll 0`
  }

  const see = (text: string | RegExp, within = "main"): Promise<void> =>
    page.locator(within).filter({ hasText: text }).first().waitFor({ timeout: SEE_MS })
  /** What axe finds serious or worse, as it stands now. It is put in from outside, as an extension would: no policy forbids that. */
  const violationsOf = async (looked: Page): Promise<readonly string[]> => {
    await looked.evaluate(readFileSync(axe, "utf8"))
    const { violations } = await looked.evaluate<{ readonly violations: readonly Violation[] }>("axe.run()")
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
  }
  const turnTo = async (view: (typeof VIEWS)[number]): Promise<void> => {
    await page.click(`nav a[href="#${view}"]`)
    await page.locator(`#${view}`).waitFor()
  }
  const api = async <A>(path: string): Promise<A> =>
    (await (await fetch(`${url}/api/v1/${path}`, { headers: { authorization: `Bearer ${TOKEN}` } })).json()) as A
  interface Line {
    readonly event?: { readonly type: string; readonly author?: string; readonly time: string }
  }
  const events = async (): Promise<readonly NonNullable<Line["event"]>[]> =>
    (await api<{ readonly lines: readonly Line[] }>("log?last=500&quiet=1")).lines.flatMap(({ event }) => event ?? [])
  /** Milliseconds from the event's own time, for whoever looks at the run. */
  const tellDelay = async (what: string, type: string): Promise<void> => {
    const seen = Date.now()
    const event = (await events()).findLast((one) => one.type === type)
    process.stderr.write(`${suite}: ${what}: seen ${seen - Date.parse(event?.time ?? "")} ms after ${type}\n`)
  }

  beforeAll(async () => {
    const [first, second, http, nts] = [
      await startUpstream("127.0.0.2"),
      await startUpstream("127.0.0.3"),
      await freePort(),
      await freePort()
    ]
    writeFileSync(file("operators"), `alice ${TOKEN}\n`, { mode: 0o600 })
    const lines = ["listen 127.0.0.1", "workers 1", "nts enable", `nts port ${nts}`, first, second]
    const control = `control http 127.0.0.1:${http} operators ${file("operators")}`
    writeFileSync(
      file("ntp.conf"),
      [...lines, `keys ${file("ntp.keys")}`, "trustedkey 5 7", control, "cluster mint nts,symmetric", ""].join("\n")
    )
    writeFileSync(file("ntp.keys"), `5 SHA1 ${SECRETS[0]}\n7 AES-128 ${SECRETS[1]}\n`, { mode: 0o600 })
    url = `http://127.0.0.1:${http}`
    node = await startNode({ args: ["--config", file("ntp.conf")] })
    browser = await startBrowser()
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    context.setDefaultTimeout(SEE_MS)
    page = await context.newPage()
    page.on("pageerror", (error) => faults.push(error.message))
    page.on("console", (said) => {
      if (said.type() === "error" && !/40[13]/.test(said.text())) faults.push(said.text())
    })
    await answersHttp(url)
    await page.goto(url)
    await see(/^ready$/, "#state")
  })
  afterAll(async () => {
    await browser?.close()
    await node?.stop()
    for (const child of upstreams.values()) {
      child.kill("SIGKILL")
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    }
    rmSync(folder, { recursive: true, force: true })
  })

  it("loads nothing from elsewhere and runs without a fault", async () => {
    const asked: string[] = []
    const other = await context.newPage()
    other.on("request", (request) => asked.push(request.url()))
    await other.goto(url)
    await other.locator("#state").filter({ hasText: "ready" }).waitFor()
    await other.close()
    expect(asked.filter((one) => !one.startsWith(url) && !one.startsWith("data:"))).toEqual([])
    expect(faults).toEqual([])
  })

  it("has nothing serious against it by axe, in any view, light and dark, wide and narrow", async () => {
    const found: string[] = []
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 360]
    ] as const) {
      const bare = await browser.newContext({ colorScheme, viewport: { width, height: 900 } })
      bare.setDefaultTimeout(SEE_MS)
      const looked = await bare.newPage()
      for (const view of VIEWS) {
        await looked.goto(`${url}/#${view}`)
        await looked.locator(`#${view} caption`).first().waitFor()
        for (const violation of await violationsOf(looked)) found.push(`${colorScheme} ${view}: ${violation}`)
      }
      expect(await looked.evaluate<boolean>("document.documentElement.scrollWidth <= innerWidth")).toBe(true)
      await bare.close()
    }
    expect(found).toEqual([])
  })

  it("offers no act before an operator has signed in", async () => {
    for (const view of VIEWS) {
      await turnTo(view)
      await page.locator(`#${view} caption`).first().waitFor()
      expect(await page.locator("main button:visible").allTextContents()).toEqual(
        view === "history" ? ["Explain", "Event before", "Event after"] : []
      )
    }
    await page.click("#sign-in")
    await page.fill("#token", "no-such-token-0123456789")
    await page.keyboard.press("Enter")
    await see("This token is no operator's", "#act-state")
    await page.click("#sign-in")
    await page.fill("#token", TOKEN)
    await page.keyboard.press("Enter")
    await see("operator alice", "#operator")
  })

  it("rotates a key once it is confirmed, and shows who did", async () => {
    await turnTo("keys")
    await see(/active/, "#generations")
    await page.click("#rotate-nts")
    await see("takes over once every node holds it", "#confirm-words")
    await page.keyboard.press("Escape")
    expect((await events()).filter(({ author }) => author !== undefined)).toEqual([])
    await page.click("#rotate-nts")
    await page.click("#confirm-act")
    await see(/recorded Nts/, "#act-state")
    await see("http alice", "#behind")
    await tellDelay("a rotation", "NtsGenerationBroughtForward")
    expect((await events()).filter(({ author }) => author === "http alice").length).toBeGreaterThan(0)
  })

  it("revokes a key once its consequence was read, with a reason", async () => {
    await page.click('#generations button[aria-label="Revoke generation 1"]')
    await see("this cannot be undone", "#confirm-words")
    expect(await violationsOf(page)).toEqual([])
    await page.fill("#reason", "a test of the page")
    await page.click("#confirm-act")
    await see(/revoked/, "#generations")
    await tellDelay("a revocation", "NtsGenerationRevoked")
    await see("a test of the page", "#behind")
    const revoked = (await events()).filter(({ type }) => type === "NtsGenerationRevoked")
    expect(revoked.map(({ author }) => author)).toEqual(["http alice"])
  })

  it("drains the node and brings it back", async () => {
    await turnTo("fleet")
    await page.click("#members button")
    await see("No other node serves", "#confirm-words")
    await page.click("#confirm-act")
    await see(/drained the node/, "#state")
    await tellDelay("a drain", "MemberDrained")
    await see("drained", "#members")
    await page.locator("#members button").filter({ hasText: "Undrain" }).click()
    await page.click("#confirm-act")
    await see(/^ready$/, "#state")
    await see("ready", "#members")
    const acts = (await events()).filter(({ type }) => /^Member(?:Und|D)rained$/.test(type))
    expect(acts.map(({ type, author }) => `${type} ${author}`)).toEqual([
      "MemberDrained http alice",
      "MemberUndrained http alice"
    ])
  })

  it("shows an upstream that is gone, who is followed now, and since when", async () => {
    await turnTo("clock")
    const followed = async (): Promise<string> => (await page.locator("#clock-facts dd").first().textContent()) ?? ""
    await expect.poll(followed, { timeout: SEE_MS }).toMatch(/^127\.0\.0\.[23]/)
    const gone = (await followed()).slice(0, "127.0.0.2".length)
    upstreams.get(gone)?.kill("SIGKILL")
    const rows = page.locator("#sources tr").filter({ hasText: gone })
    await rows.filter({ hasText: "unreachable" }).waitFor({ timeout: SEE_MS })
    await tellDelay("an upstream that is gone", "SourceReachabilityChanged")
    await expect.poll(followed, { timeout: SEE_MS }).not.toContain(gone)
    await see(/By event[0-9a-f]{8}-/, "#clock-facts")
  })

  it("says what was true at a moment, by slider and by event", async () => {
    await turnTo("history")
    await page.click("#before")
    await see(/^At /, "#moment-state")
    await see("Published", "#moment-events")
    const answer = async (): Promise<string> => (await page.locator("#moment-state").textContent()) ?? ""
    /** Does what moves the moment; waits for the answer of the new one. */
    const move = async (how: () => Promise<void>): Promise<void> => {
      const before = await answer()
      await how()
      await expect.poll(answer, { timeout: PATIENCE_MS }).not.toBe(before)
      await see(/^At /, "#moment-state")
    }
    await page.locator("#slider").focus()
    await move(() => page.keyboard.press("Home"))
    expect(await page.locator("#slider").getAttribute("aria-valuetext")).toMatch(/UTC$/)
    const shown = page.locator("#moment-events")
    for (let steps = 0; steps < 100 && !(await shown.textContent())?.includes("MemberDrained"); steps += 1)
      await move(() => page.click("#after"))
    await see("MemberDrained", "#moment-events")
  })

  it.runIf(process.env["MERIDIAN_PICTURES"] === "1")("is as the pictures in docs show it", async () => {
    const pictures = join(import.meta.dirname, "../../../docs/pictures")
    await page.setViewportSize({ width: 1_080, height: 700 })
    for (const [view, colorScheme] of [
      ["clock", "light"],
      ["clock", "dark"],
      ["keys", "light"],
      ["history", "dark"]
    ] as const) {
      await turnTo(view)
      await page.locator(`#${view} caption`).first().waitFor()
      await page.emulateMedia({ colorScheme })
      const png = await page.screenshot({ path: join(pictures, `page-${view}-${colorScheme}.png`) })
      expect(png.length).toBeLessThan(150_000)
    }
  })

  it("gives no key away, whatever is asked, to an operator either", async () => {
    const { stdout } = await meridian(["keys", "export", "--state", node.state])
    const exported = [...stdout.matchAll(/^\d+ \S+ (\S+)$/gm)].map(([, secret = ""]) => secret)
    expect(exported.length).toBeGreaterThan(0)
    const secrets = [...SECRETS, ...exported, TOKEN].flatMap((text) => {
      const bytes = /^[0-9a-f]{32,}$/i.test(text) ? Buffer.from(text, "hex") : Buffer.from(text)
      return [text, bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url"), String([...bytes])]
    })
    const { resources } = await api<{ readonly resources: readonly string[] }>("")
    const paths = resources.filter((path) => !path.endsWith("/events"))
    const all = ["/metrics", "/readyz", "/api/v1/log?limit=1000", "/api/v1/consequence?act=/keys/rotate", ...paths]
    for (const path of all) {
      const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${TOKEN}` } })
      const text = (await answer.text()).toLowerCase()
      expect([path, answer.status]).toEqual([path, 200])
      expect([path, secrets.filter((secret) => text.includes(secret.toLowerCase()))]).toEqual([path, []])
    }
  })

  it("forgets the operator when told to, and has run without a fault", async () => {
    await page.click("#sign-out")
    await page.locator("#sign-in").waitFor()
    await turnTo("fleet")
    await page.locator("#members button").waitFor({ state: "detached" })
    const { stdout } = await meridian(["log", "--state", node.state])
    expect(stdout).toContain("(by http alice)")
    expect(faults).toEqual([])
  })
})

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string }[]
}
