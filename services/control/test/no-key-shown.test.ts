/** Whatever ntpq (under the control key) and chronyc are shown, no key is in it: neither one of the file nor a rotated one. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { askNtpq, isSynchronised, ntpqPairs } from "./ntpq.ts"
import { type Stage, startStage } from "./stage.ts"

const suite = "keys and those who ask"
const chronycs = ["chronyc-4.3", "chronyc-newest"] as const
const isAvailable =
  canMakeNamespaces(suite) && peersAvailable(suite, [...ntpqPairs.map(({ ntpq }) => ntpq), ...chronycs, "chronyd-4.3"])

const associations = [
  "as",
  ...[1, 2, 3, 4].flatMap((number) => [`rv &${number}`, `cv &${number}`, `pstats &${number}`])
]
const variables = ["rv", "rv 0 cert", "rv 0 keys", "rv 0 keyid", "rv 0 controlkey", "rv &2 keyid"]
const tables = ["apeers", "clocklist", "authinfo", "sysinfo", "mrulist", "reslist", "ifstats", "monstats"]
const byChronyc = [
  "tracking",
  "sources",
  "sourcestats",
  "authdata -a",
  "ntpdata",
  "selectdata",
  "serverstats",
  "clients"
]

let stage: Stage
beforeAll(async () => {
  if (!isAvailable) return
  stage = await startStage(["cluster mint nts,symmetric"])
  await vi.waitUntil(() => isSynchronised(stage, "classic-ntpq", stage.network), {
    timeout: PATIENCE_MS,
    interval: 200
  })
})
afterAll(() => stage?.stop())

/** Each key as it is written, and its bytes in every way that text may have them. */
const writtenKeys = async (): Promise<readonly string[]> => {
  const ofFile = readFileSync(stage.keys, "utf8").trimEnd().split("\n")
  const { stdout } = await meridian(["keys", "export", "--state", stage.node.state])
  const rotated = [...stdout.matchAll(/^\d+ \S+ \S+$/gm)].map(([line]) => line)
  expect(rotated.length).toBeGreaterThan(0)
  return [...ofFile, ...rotated].flatMap((line) => {
    const key = line.split(" ").at(-1)!
    const bytes = /^[0-9a-f]{32,}$/i.test(key) ? Buffer.from(key, "hex") : Buffer.from(key)
    return [key, bytes.toString("latin1"), bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url")]
  })
}

describe.runIf(isAvailable)("no key is in what is shown", () => {
  const keysIn = async (text: string): Promise<readonly string[]> => {
    const said = text.toLowerCase()
    return (await writtenKeys()).filter((key) => said.includes(key.toLowerCase()))
  }

  it.each(ntpqPairs)("to $ntpq under the control key", async ({ ntpq }) => {
    const answers = await askNtpq(stage, ntpq, [...associations, ...variables, ...tables])
    expect(answers.filter((answer) => answer !== "").length).toBeGreaterThan(tables.length)
    expect(await keysIn(answers.join("\n"))).toEqual([])
  })

  it.each(chronycs)("to %s at the socket of its own", async (chronyc) => {
    const socket = join(stage.node.state, "chronyd.sock")
    for (const command of byChronyc) {
      const { stdout, stderr } = await stage.run(chronyc, ["-n", "-h", socket, ...command.split(" ")])
      expect(await keysIn(`${stdout}${stderr}`)).toEqual([])
    }
  })
})
