/**
 * What three versions of ntpq print of a node, beside what they print of the daemon they came with: the same lines and columns. Values
 * are each one's own; those that the servers give are compared.
 */
import { describe, expect, it } from "vitest"
import type { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { askNtpq, isSynchronised, type Ntpq, ntpqPairs } from "./ntpq.ts"
import { stageBesideDaemons } from "./ntpq-stage.ts"
import { eventually } from "./stage.ts"

const suite = "ntpq beside the real daemons"
const tables = ["peers", "opeers", "lpeers", "apeers", "as", "mrulist", "ifstats", "reslist"]
const figures = [
  "rv",
  "sysinfo",
  "sysstats",
  "iostats",
  "kerninfo",
  "monstats",
  "authinfo",
  "timerstats",
  "nts",
  "ntsinfo",
  "ntskeinfo",
  "mssntpinfo"
]
const commands = [...tables, ...figures]

const beside = stageBesideDaemons(suite)
const { daemons, isAvailable } = beside

/** What each command prints, by its name. */
const ask = async (ntpq: Ntpq, where: NetworkNamespace): Promise<ReadonlyMap<string, string>> => {
  const answers = await askNtpq(beside.stage, ntpq, commands, where)
  return new Map(commands.map((command, at) => [command, answers[at] ?? ""]))
}

/** The heading of a table: what stands above its rule. */
const headOf = (text: string): string => {
  const lines = text.split("\n").map((line) => line.trimEnd())
  return lines
    .slice(
      0,
      Math.max(
        0,
        lines.findIndex((line) => /^\s*[=-]{10,}$/.test(line))
      )
    )
    .join("\n")
}

/** Names in front of a value: `label:  value`, or of `name=value, …`. */
const labelsOf = (text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => !/^(associd|remote|ind)/.test(line))
    .flatMap((line) => /^([A-Za-z][^:]*?)(?::| {2,})/.exec(line)?.[1]?.trim() ?? [])
/** NTPsec 1.2.3 shows those of a leap second table that it does not have. */
const OF_THE_LEAP_TABLE = ["tai", "leapsec", "expire"]
const variablesOf = (text: string): readonly string[] =>
  [...text.matchAll(/\b([a-z_]+)=/g)].map(([, name]) => name ?? "").filter((name) => !OF_THE_LEAP_TABLE.includes(name))

describe.runIf(isAvailable)("ntpq", () => {
  it.each(ntpqPairs)("$ntpq shows a node as it shows its own daemon", async ({ ntpq, ntpd }) => {
    const { network } = daemons.get(ntpd)!
    expect(await eventually(() => isSynchronised(beside.stage, ntpq, beside.stage.network), Boolean)).toBe(true)
    expect(await eventually(() => isSynchronised(beside.stage, ntpq, network), Boolean)).toBe(true)
    // Of the same three servers, once each of them has been heard.
    const rows = (text: string): readonly string[] =>
      text
        .split("\n")
        .flatMap((line) => /^.(192\.0\.2\.\d)\s+(\S+)\s+(\d+)/.exec(line)?.slice(1, 4).join(" ") ?? [])
        .toSorted()
    for (const where of [beside.stage.network, network])
      await eventually(
        async () => rows((await askNtpq(beside.stage, ntpq, ["peers"], where))[0] ?? ""),
        (all) => all.length === 3 && all.every((row) => !row.endsWith(" 16") && !row.endsWith(" 0"))
      )
    const [node, daemon] = [await ask(ntpq, beside.stage.network), await ask(ntpq, network)]
    for (const command of tables) expect([command, headOf(node.get(command) ?? "")]).not.toEqual([command, ""])
    for (const command of tables)
      expect([command, headOf(node.get(command) ?? "")]).toEqual([command, headOf(daemon.get(command) ?? "")])
    const { rv: ownVariables = "", ...own } = Object.fromEntries(figures.map((name) => [name, node.get(name) ?? ""]))
    const { rv: theirVariables = "", ...theirs } = Object.fromEntries(
      figures.map((name) => [name, daemon.get(name) ?? ""])
    )
    expect(variablesOf(ownVariables)).toEqual(expect.arrayContaining([...new Set(variablesOf(theirVariables))]))
    for (const [name, text] of Object.entries(own))
      expect([name, labelsOf(text)]).toEqual([name, labelsOf(theirs[name] ?? "")])
    expect([...node.values()].join("\n")).not.toContain("???")
    expect(rows(node.get("peers") ?? "")).toEqual(rows(daemon.get("peers") ?? ""))
    expect(rows(node.get("peers") ?? "")).toHaveLength(3)
  })
})
