/** A real Chromium: the system's, or the one that infra/peers has fetched. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersFolder } from "@meridian/testkit/real-peers"
import { type Browser, chromium } from "playwright-core"

const SYSTEM = ["/usr/bin/chromium", "/usr/bin/chromium-headless-shell"]

interface Program {
  readonly executablePath: string
  readonly env: Record<string, string>
}

/** Its libraries lie beside a fetched one: nothing is installed. */
const found = (): Program | undefined => {
  const env = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined)
  )
  const installed = SYSTEM.find((path) => existsSync(path))
  if (installed !== undefined) return { executablePath: installed, env }
  const folder = join(peersFolder(), "chromium")
  const fetched = join(folder, "usr/lib/chromium/chromium-headless-shell")
  if (!existsSync(fetched)) return undefined
  // libpulse looks for its own in a folder of the system's by an absolute path.
  const libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"].flatMap((name) =>
    ["usr/lib", "lib"].flatMap((place) => [join(folder, place, name), join(folder, place, name, "pulseaudio")])
  )
  return {
    executablePath: fetched,
    env: {
      ...env,
      LD_LIBRARY_PATH: libraries.filter((path) => existsSync(path)).join(":"),
      FONTCONFIG_FILE: join(folder, "etc/fonts/fonts.conf"),
      FONTCONFIG_SYSROOT: folder
    }
  }
}

/** Whether there is one; says on standard error why the suite is skipped where there is not. */
export const browserAvailable = (suite: string): boolean => {
  if (found() !== undefined) return true
  process.stderr.write(
    `${suite}: skipped, no Chromium in /usr/bin or below ${peersFolder()} (apt-get install chromium, or npx node infra/peers/fetch.ts)\n`
  )
  return false
}

/** Root may not use Chromium's own sandbox; what is shown here comes from our own node. */
export const startBrowser = (): Promise<Browser> => {
  const program = found()
  if (program === undefined) throw new Error("there is no Chromium")
  return chromium.launch({
    ...program,
    timeout: 2 * PATIENCE_MS,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
  })
}

/** Waits until something answers by HTTP: a node is ready before its page is. What does not answer in time is the next look's to find. */
export const answersHttp = async (url: string): Promise<void> => {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(20))
    if ((await fetch(url).catch(() => undefined)) !== undefined) return
}
