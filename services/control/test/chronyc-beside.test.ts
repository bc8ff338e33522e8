/**
 * What two versions of chronyc print of a node, beside what they print of the chronyd they came with: the same lines, columns and fields, as text
 * and as CSV. Values are each one's own; those that the servers give are compared.
 */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces, type NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { startChronydBeside } from "./daemons.ts"
import { eventually, type Stage, startStage } from "./stage.ts"

const pairs = [
  { chronyc: "chronyc-4.3", chronyd: "chronyd-4.3" },
  { chronyc: "chronyc-newest", chronyd: "chronyd-newest" }
] as const
const suite = "chronyc beside the real daemons"
const isAvailable =
  peersAvailable(
    suite,
    pairs.flatMap(({ chronyc, chronyd }) => [chronyc, chronyd])
  ) && canMakeNamespaces(suite)

const tables = ["sources", "sourcestats", "authdata", "selectdata", "clients"]
const figures = ["tracking", "serverstats", "activity", "ntpdata 192.0.2.2", "smoothing"]
const refused = ["rtcdata", "makestep", "settime 12:00", "add server 192.0.2.9", "shutdown"]

let stage: Stage
const daemons = new Map<string, ReturnType<typeof startChronydBeside>>()
beforeAll(async () => {
  if (!isAvailable) return
  stage = await startStage()
  for (const { chronyd } of pairs) daemons.set(chronyd, startChronydBeside(stage, chronyd))
}, PATIENCE_MS)
afterAll(async () => {
  for (const daemon of daemons.values()) await daemon.stop()
  await stage?.stop()
})

interface Asked {
  readonly chronyc: (typeof pairs)[number]["chronyc"]
  readonly socket: string
  readonly network: NetworkNamespace
}

const ask = async ({ chronyc, socket, network }: Asked, command: string, ...flags: readonly string[]) => {
  const { code, stdout, stderr } = await stage.run(
    chronyc,
    ["-n", ...flags, "-h", socket, ...command.split(" ")],
    network
  )
  return { code, text: `${stdout}${stderr}` }
}

/** What stands above a table's rule; what stands before the colons of figures. */
const headOf = (text: string): readonly string[] => {
  const lines = text.split("\n").map((line) => line.trimEnd())
  return lines.slice(
    0,
    Math.max(
      0,
      lines.findIndex((line) => /^=+$/.test(line))
    )
  )
}
const labelsOf = (text: string): readonly string[] =>
  text.split("\n").flatMap((line) => /^([A-Z][^:]*?) *:/.exec(line)?.[1] ?? /^\d+ (sources .*)$/.exec(line)?.[1] ?? [])
/** Fields of each line of CSV, one number a line for those that are alike. */
const widthsOf = (text: string): readonly number[] => [
  ...new Set(
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.split(",").length)
  )
]

describe.runIf(isAvailable)("chronyc", () => {
  it.each(pairs)(
    "$chronyc shows a node as it shows its own daemon",
    async ({ chronyc, chronyd }) => {
      const theirs = { chronyc, socket: daemons.get(chronyd)!.socket, network: daemons.get(chronyd)!.network }
      const ours = { chronyc, socket: join(stage.node.state, "chronyd.sock"), network: stage.network }
      for (const each of [ours, theirs])
        expect(
          await eventually(
            async () => (await ask(each, "sources")).text,
            (text) => /^\^\*/m.test(text)
          )
        ).toMatch(/^\^\*/m)
      for (const command of tables)
        expect([command, headOf((await ask(ours, command)).text)]).toEqual([
          command,
          headOf((await ask(theirs, command)).text)
        ])
      for (const command of figures)
        expect([command, labelsOf((await ask(ours, command)).text)]).toEqual([
          command,
          labelsOf((await ask(theirs, command)).text)
        ])
      for (const command of [...tables, ...figures].filter((it) => it !== "clients"))
        expect([command, widthsOf((await ask(ours, command, "-c")).text)]).toEqual([
          command,
          widthsOf((await ask(theirs, command, "-c")).text)
        ])
      // Of the same three servers.
      const rows = (text: string): readonly string[] =>
        text
          .split("\n")
          .flatMap((line) => /^\^,.,(192\.0\.2\.\d),(\d+)/.exec(line)?.slice(1, 3).join(" ") ?? [])
          .toSorted()
      const own = rows((await ask(ours, "sources", "-c")).text)
      expect(own).toEqual(rows((await ask(theirs, "sources", "-c")).text))
      expect(own).toHaveLength(3)
    },
    PATIENCE_MS
  )

  it.each(pairs)("$chronyc changes nothing but what means the same here", async ({ chronyc }) => {
    const ours = { chronyc, socket: join(stage.node.state, "chronyd.sock"), network: stage.network }
    for (const command of refused) {
      const { code, text } = await ask(ours, command)
      expect([command, code, /^5\d\d /.test(text)]).toEqual([command, 1, true])
    }
    expect((await ask(ours, "tracking")).code).toBe(0)
  })
})
