/**
 * What two versions of chronyc print of a node, beside what they print of the chronyd they came with: the same lines, columns and fields, as text
 * and as CSV. Values are each one's own; those that the servers give are compared.
 */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces, type NetworkNamespace } from "@meridian/testkit/network-namespace"
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
  stage = await startStage(["cmdport 323"])
  for (const { chronyd } of pairs) daemons.set(chronyd, startChronydBeside(stage, chronyd))
})
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
  it.each(pairs)("$chronyc shows a node as it shows its own daemon", async ({ chronyc, chronyd }) => {
    const theirs = { chronyc, socket: daemons.get(chronyd)!.socket, network: daemons.get(chronyd)!.network }
    const ours = { chronyc, socket: join(stage.node.state, "chronyd.sock"), network: stage.network }
    for (const each of [ours, theirs])
      expect(
        await eventually(
          async () => (await ask(each, "sources")).text,
          (text) => /^\^\*/m.test(text)
        )
      ).toMatch(/^\^\*/m)
    // Of the same three servers, once each of them has been heard.
    const rows = async (each: Asked): Promise<readonly string[]> =>
      (await ask(each, "sources", "-c")).text
        .split("\n")
        .flatMap((line) => /^\^,.,(192\.0\.2\.\d),(\d+)/.exec(line)?.slice(1, 3).join(" ") ?? [])
        .toSorted()
    for (const each of [ours, theirs])
      await eventually(
        () => rows(each),
        (all) => all.length === 3 && all.every((row) => !row.endsWith(" 0"))
      )
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
    const own = await rows(ours)
    expect(own).toEqual(await rows(theirs))
    expect(own).toHaveLength(3)
  })

  it.each(pairs)("$chronyc does to the node's sources what it does to its daemon's", async ({ chronyc, chronyd }) => {
    const theirs = { chronyc, socket: daemons.get(chronyd)!.socket, network: daemons.get(chronyd)!.network }
    const ours = { chronyc, socket: join(stage.node.state, "chronyd.sock"), network: stage.network }
    const both = async (command: string) => {
      const [node, daemon] = [await ask(ours, command), await ask(theirs, command)]
      expect([command, node]).toEqual([command, daemon])
      return node
    }
    /** State and reach of 192.0.2.2, and what `activity` says of those offline. */
    const standing = async (each: Asked) => {
      const row = /^\^,(.),192\.0\.2\.2,\d+,-?\d+,(\d+),/m.exec((await ask(each, "sources", "-c")).text)
      // Those that do a burst are counted by chronyd for themselves.
      const [, offline] = (await ask(each, "activity", "-c")).text.trim().split(",")
      return { reached: row?.[2] !== "0", offline: Number(offline) }
    }
    const settles = async (wanted: { reached: boolean; offline: number }) => {
      for (const each of [ours, theirs])
        expect(
          await eventually(
            () => standing(each),
            ({ reached, offline }) => reached === wanted.reached && offline === wanted.offline
          )
        ).toEqual(wanted)
    }
    await settles({ reached: true, offline: 0 })
    expect((await both("offline 192.0.2.2")).text).toContain("200 OK")
    await settles({ reached: false, offline: 1 })
    expect((await ask(ours, "activity")).text).toContain("2 sources online\n1 sources offline")
    // While it is offline nothing is sent to it.
    const sent = async () =>
      (await stage.snapshot()).sources.find(({ address }) => address === "192.0.2.2")?.detail?.packetsSent
    const before = await sent()
    await both("online 192.0.2.3")
    expect((await both("online 192.0.2.0/29")).text).toContain("200 OK")
    await settles({ reached: true, offline: 0 })
    expect(await sent()).toBeGreaterThan(before ?? Infinity)
    const polls = await sent()
    await both("burst 4/8 192.0.2.2")
    await eventually(sent, (now) => (now ?? 0) >= (polls ?? Infinity) + 4)
    for (const command of ["offline 192.0.2.9", "online 192.0.2.9", "burst 1/2 192.0.2.9"])
      expect((await both(command)).text).toContain("503 No such source")
    await both("refresh")
    await both("rekey")
    await both("reload sources")
    // By the port that anybody on the machine may send to, nothing of it.
    for (const command of ["offline", "online", "burst 1/2", "refresh", "rekey", "reload sources"]) {
      const { stdout } = await stage.run(chronyc, ["-n", "-h", "127.0.0.1", ...command.split(" ")])
      expect([command, stdout.trim()]).toEqual([command, "501 Not authorised"])
    }
  })

  it.each(pairs)("$chronyc changes nothing but what means the same here", async ({ chronyc }) => {
    const ours = { chronyc, socket: join(stage.node.state, "chronyd.sock"), network: stage.network }
    for (const command of refused) {
      const { code, text } = await ask(ours, command)
      expect([command, code, /^5\d\d /.test(text)]).toEqual([command, 1, true])
    }
    expect((await ask(ours, "tracking")).code).toBe(0)
  })
})
