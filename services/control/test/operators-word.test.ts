/**
 * What operators said to a running node, by ntpq and chronyc: it holds for every process of the clock that comes, and the event log has each act with
 * its author.
 */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { CONTROL_KEY, eventually, type Stage, startStage } from "./stage.ts"

const suite = "what operators said"
const isAvailable = peersAvailable(suite, ["chronyd-4.3", "chronyc-newest", "ntpsec-ntpq"]) && canMakeNamespaces(suite)

let stage: Stage
beforeAll(async () => {
  if (isAvailable) stage = await startStage()
}, PATIENCE_MS)
afterAll(async () => {
  await stage?.stop()
})

const chronyc = async (...words: readonly string[]): Promise<string> => {
  const { stdout } = await stage.run("chronyc-newest", [
    "-n",
    "-h",
    join(stage.node.state, "chronyd.sock"),
    "-c",
    ...words
  ])
  return stdout.trim()
}
const say = async (line: string): Promise<string> => {
  const login = ["-k", stage.keys, "-a", String(CONTROL_KEY)]
  return (await stage.run("ntpsec-ntpq", ["-n", ...login, "-c", `:config ${line}`, "127.0.0.1"])).stdout
}
/** How many sources are offline by chronyc, once it is so many: what chronyc asks may hear of a new process of the clock after this test does. */
const offlineOnce = async (wanted: number): Promise<number> => {
  const count = async (): Promise<number> => Number((await chronyc("activity")).split(",")[1])
  return eventually(count, (now) => now === wanted)
}
const ask = async (...words: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await meridian([...words, "--state", stage.node.state])
  expect([code, stderr]).toEqual([0, ""])
  return stdout
}

type Snapshot = Awaited<ReturnType<Stage["snapshot"]>>
const sourceOf = ({ sources }: Snapshot, wanted: string) => sources.find(({ address }) => address === wanted)
const clockOf = ({ processes }: Snapshot) => processes.find(({ name }) => name === "clock")?.pid

/** The first picture of the next process's sources, after something that has the clock's process start anew. */
const withAnotherClock = async (befall: (pid: number) => unknown): Promise<Snapshot> => {
  const before = clockOf(await stage.snapshot())
  await befall(before!)
  return eventually(
    stage.snapshot,
    (now) => clockOf(now) !== before && (sourceOf(now, "192.0.2.3")?.reach ?? "000") !== "000"
  )
}

const killed = (pid: number) => process.kill(pid, "SIGKILL")

describe.runIf(isAvailable)("what operators said", () => {
  it(
    "holds for another process of the clock",
    async () => {
      await eventually(stage.snapshot, ({ sources }) => sources.every(({ reach }) => reach !== "000"))
      expect(await say("server 192.0.2.1 noselect iburst minpoll 3 maxpoll 3")).toContain("Config Succeeded")
      await withAnotherClock(async () => expect(await say("tos minclock 2")).toContain("Config Succeeded"))
      expect(await chronyc("offline", "192.0.2.2")).toBe("200 OK")
      await eventually(stage.snapshot, (now) => sourceOf(now, "192.0.2.2")?.offline === true)

      await withAnotherClock(killed)
      // What the process before said last is shown until its successor says more.
      const after = await eventually(stage.snapshot, (now) => sourceOf(now, "192.0.2.2")?.detail?.packetsSent === 0)
      expect(sourceOf(after, "192.0.2.1")?.offline).toBeUndefined()
      expect(sourceOf(after, "192.0.2.2")).toMatchObject({ offline: true, detail: { packetsSent: 0 } })
      expect(await offlineOnce(1)).toBe(1)
      expect(await ask("config", "show")).toMatch(/^tos minclock 2 +# ntpq under key 5$/m)

      expect(await chronyc("online", "192.0.2.2")).toBe("200 OK")
      const online = await eventually(stage.snapshot, (now) => sourceOf(now, "192.0.2.2")?.reach !== "000")
      expect(sourceOf(online, "192.0.2.2")?.reach).not.toBe("000")
      const last = await withAnotherClock(killed)
      expect(sourceOf(last, "192.0.2.2")).toBeDefined()
      expect(await offlineOnce(0)).toBe(0)
    },
    3 * PATIENCE_MS
  )

  it(
    "is in the event log, each act with its author, and explained",
    async () => {
      expect(await ask("reload")).toContain("- server 192.0.2.1")
      expect(await chronyc("burst", "1/2", "192.0.2.3")).toBe("200 OK")
      const log = await eventually(
        () => ask("log", "--subject", "clock"),
        (text) => text.includes("act=burst")
      )
      const acts = log.split("\n").flatMap((line) => / OperatorActed +\S+ (.*)$/.exec(line)?.[1] ?? [])
      const by = expect.stringMatching(/^\(by meridian \S+\): act=reload changes=.*"- server 192\.0\.2\.1 /)
      expect(acts).toEqual([
        expect.stringContaining('(by ntpq under key 5): act=configure changes=["+ server 192.0.2.1 '),
        expect.stringContaining('(by ntpq under key 5): act=configure changes=["'),
        '(by chronyc): act=offline changes=["192.0.2.2"] unnamed=0',
        '(by chronyc): act=online changes=["192.0.2.2"] unnamed=0',
        by,
        '(by chronyc): act=burst changes=["192.0.2.3"] unnamed=0'
      ])
      const explained = await ask("explain", "--at", new Date().toISOString())
      expect(explained).toMatch(/: offline by chronyc {2}\(event \S+\)\n {6}192\.0\.2\.2\n/)
      expect(explained).toMatch(/: reload by meridian \S+ {2}\(event \S+\)\n(?: {6}.*\n)? {6}- server 192\.0\.2\.1 /)
    },
    2 * PATIENCE_MS
  )

  it(
    "is done once where the clock's process hangs, though chronyc may say it again meanwhile",
    async () => {
      const offlineActs = async (): Promise<number> =>
        (await ask("log", "--subject", "clock")).split("act=offline").length - 1
      const before = await offlineActs()
      const pid = clockOf(await stage.snapshot())!
      process.kill(pid, "SIGSTOP")
      try {
        expect(await chronyc("offline", "192.0.2.3")).toBe("200 OK")
      } finally {
        process.kill(pid, "SIGCONT")
      }
      expect(await chronyc("online", "192.0.2.3")).toBe("200 OK")
      await eventually(
        () => ask("log", "--subject", "clock"),
        (text) => text.includes('act=online changes=["192.0.2.3"]')
      )
      expect(await offlineActs()).toBe(before + 1)
    },
    PATIENCE_MS
  )

  it(
    "who is offline stays so when the node becomes another version in place",
    async () => {
      expect(await chronyc("offline", "192.0.2.2")).toBe("200 OK")
      await eventually(stage.snapshot, (now) => sourceOf(now, "192.0.2.2")?.offline === true)
      const before = await stage.snapshot()
      stage.node.process.kill("SIGUSR2")
      const isOther = (now: Snapshot): boolean =>
        // While it starts there is no picture yet.
        "facts" in now && now.facts.startedAt !== before.facts.startedAt
      const after = await eventually(
        () => stage.snapshot().catch(() => before),
        (now) => isOther(now) && (sourceOf(now, "192.0.2.3")?.reach ?? "000") !== "000"
      )
      expect(after.status.pid).toBe(before.status.pid)
      expect(sourceOf(after, "192.0.2.2")).toMatchObject({ offline: true, detail: { packetsSent: 0 } })
      expect(await offlineOnce(1)).toBe(1)
      expect(await chronyc("online", "192.0.2.2")).toBe("200 OK")
      const online = await eventually(stage.snapshot, (now) => sourceOf(now, "192.0.2.2")?.reach !== "000")
      expect(sourceOf(online, "192.0.2.2")?.reach).not.toBe("000")
    },
    2 * PATIENCE_MS
  )
})
