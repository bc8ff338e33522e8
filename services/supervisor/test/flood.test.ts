/** A node under more requests from made-up addresses than it can answer: who was known before is answered, strangers are passed over and counted. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const loadtest = resolve(import.meta.dirname, "../../../loadtest")
const SERVER = "192.0.2.1"
const GATEWAY = "192.0.2.2"
const addresses = (first: number): readonly string[] =>
  Array.from({ length: 10 }, (_, index) => `192.0.2.${first + index}`)
const KNOWN = addresses(100)
/** Those of a round come for the first time in it. */
const NEW = Array.from({ length: 14 }, (_, round) => addresses(110 + 10 * round))
const FLOODED_SECONDS = 4

interface Fate {
  readonly sent: number
  readonly times: number
}

interface Totals {
  readonly received: number
  readonly replied: number
  readonly unsent: number
  readonly dropped: Readonly<Record<string, number>>
}

describe.runIf(canMakeNamespaces("a flood"))(
  "a flood from addresses that nobody has",
  { timeout: 6 * PATIENCE_MS },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-flood-"))
    const server = new NetworkNamespace()
    const clients = new NetworkNamespace()
    let node: RunningNode
    let flood: ChildProcess
    let device: string
    let hardware: string

    beforeAll(async () => {
      const ends = server.connect(
        clients,
        [`${SERVER}/24`],
        [GATEWAY, ...KNOWN, ...NEW.flat()].map((address) => `${address}/24`)
      )
      device = ends.there
      server.ip("route", "add", "default", "via", GATEWAY)
      hardware = /link\/ether (\S+)/.exec(server.show("link", "show", ends.here))![1]!
      execFileSync("cc", ["-O2", "-o", join(folder, "spoof"), join(loadtest, "generator/spoof.c")])
      node = await startNode({ port: 123, args: ["--workers", "1"], within: server.within })
    })

    afterAll(async () => {
      if (flood?.exitCode === null && flood.signalCode === null) {
        const ended = once(flood, "exit")
        flood.kill("SIGKILL")
        await ended
      }
      await node?.stop()
      server.remove()
      clients.remove()
      rmSync(folder, { recursive: true })
    })

    const totals = async (): Promise<Totals> => (await node.status())["totals"] as Totals
    const crowdedOut = async (): Promise<number> => (await totals()).dropped["crowded-out"] ?? 0

    /** What each group gets whose clients ask so often. */
    const ask = async (seconds: number, everyMs: number, groups: Readonly<Record<string, readonly string[]>>) => {
      const asked = Object.entries(groups).map(([name, from]) => ({
        name,
        addresses: from,
        ports: 1,
        everyMs,
        burst: 1
      }))
      const args = [join(loadtest, "steady-clients.ts"), SERVER, "123", String(seconds), JSON.stringify(asked)]
      const [command = "", ...before] = clients.within
      const { stdout } = await promisify(execFile)(command, [...before, process.execPath, ...args])
      return JSON.parse(stdout) as Readonly<Record<string, Fate>>
    }

    const until = async (isSo: () => Promise<boolean>): Promise<void> => {
      const latest = performance.now() + PATIENCE_MS
      while (!(await isSo())) {
        if (performance.now() > latest) throw new Error("expected it within the tests' patience")
        await sleep(200)
      }
    }

    it("takes the answers of strangers, and not those of who asked before", async () => {
      await ask(5, 1_000, { known: KNOWN })
      expect(await crowdedOut()).toBe(0)
      const [command = "", ...before] = clients.within
      const aim = ["--device", device, "--hardware", hardware, "--target", SERVER, "--port", "123"]
      const bounds = ["--addresses", "200000", "--seconds", "120"]
      flood = spawn(command, [...before, join(folder, "spoof"), ...aim, ...bounds], { stdio: "ignore" })
      await until(async () => (await crowdedOut()) > 0)
      // A worker that others keep from its core for long takes what waits for a pause of its own: then another round says more.
      const shares = { known: 0, fresh: 0 }
      for (const strangers of NEW.slice(1)) {
        const { known, fresh } = await ask(FLOODED_SECONDS, 50, { known: KNOWN, fresh: strangers })
        Object.assign(shares, { known: known!.times / known!.sent, fresh: fresh!.times / fresh!.sent })
        if (shares.known > 1.5 * shares.fresh) break
      }
      expect(shares.known).toBeGreaterThan(1.5 * shares.fresh)
    })

    it("is over when it is over: nobody is passed over any more, and every request has one outcome", async () => {
      const ended = once(flood, "exit")
      flood.kill("SIGKILL")
      await ended
      await until(async () => {
        const before = await crowdedOut()
        const { fresh } = await ask(1, 100, { fresh: NEW[0]! })
        return fresh!.times === fresh!.sent && (await crowdedOut()) === before
      })
      // The last report is up to a second old.
      const unaccounted = async (): Promise<number> => {
        const { received, replied, unsent, dropped } = await totals()
        return received - replied - unsent - Object.values(dropped).reduce((sum, count) => sum + count, 0)
      }
      await until(async () => (await unaccounted()) === 0)
      expect(await unaccounted()).toBe(0)
    })
  }
)
