/** `meridian policy [NAME=VALUE…]`: what the nodes share as configuration. */
import { policyCommand } from "@meridian/config/cluster-command-lines"
import { nearestWord } from "@meridian/config/nearest"
import type { ClusterState } from "@meridian/ipc"
import { askState } from "./coordinator-client.ts"
import { OperatorProblem, print, runCommand } from "./run-command.ts"
import { carryOut } from "./recorded-events.ts"
import { table } from "./text-table.ts"

/** What each setting is for; the names are those of libs/events/src/policy.ts. */
const MEANINGS: Readonly<Record<string, string>> = {
  ntsAead: "what seals cookies (IANA's number)",
  ntsRotationMs: "from one NTS generation to the next",
  ntsAcceptPast: "generations whose cookies still open",
  ntsAcceptFuture: "generations published ahead",
  ntsLeadMs: "from a commanded rotation to its activation",
  symmetricRotationMs: "from key set to key set; 0: on command",
  symmetricAnnounceMs: "from a set's announcement to its use",
  symmetricGraceMs: "how long the set before is accepted",
  clockRetentionMs: "how old clock events get",
  clockRetentionCount: "how many are kept of a node",
  clockRetentionBytes: "how many bytes of them",
  memberSilenceMs: "after it a silent node counts as gone"
}

export const runPolicy = (args: readonly string[]): Promise<number> =>
  runCommand(policyCommand, args, async ({ values: { state, json }, positionals }) => {
    const { policy } = await askState(state)
    if (positionals.length === 0) return print(json, policy, formatPolicy)
    const changes = Object.fromEntries(positionals.map((text) => settingOf(text, Object.keys(policy))))
    return carryOut({ state, json }, "/policy", { changes })
  })

/** The settings as one screen. */
const formatPolicy = (policy: ClusterState["policy"]): string =>
  table(
    ["setting", "value", "", "meaning"],
    Object.entries(policy).map(([name, value]) => [name, String(value), lengthOf(name, value), MEANINGS[name] ?? ""])
  )

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 } as const
/** As other screens write them; in a setting a unit is one letter. */
const SHOWN = { d: "d", h: "h", m: "min", s: "s" } as const

/** A time in the largest unit that it is whole in. */
const lengthOf = (name: string, value: number): string => {
  const unit = Object.entries(UNITS).find(([, length]) => value >= length && value % length === 0)
  return name.endsWith("Ms") && unit !== undefined ? `${value / unit[1]} ${SHOWN[unit[0] as keyof typeof SHOWN]}` : ""
}

const SETTING = /^([A-Za-z]+)=(\d{1,15})([smhd]?)$/

const settingOf = (text: string, names: readonly string[]): readonly [string, number] => {
  const [, name = "", digits = "", unit = ""] = SETTING.exec(text) ?? []
  if (name === "" || (unit !== "" && !name.endsWith("Ms")))
    throw new OperatorProblem(
      2,
      `found ${JSON.stringify(text)}, expected NAME=VALUE such as ntsRotationMs=24h or ntsAcceptPast=10`
    )
  if (!names.includes(name)) {
    const near = nearestWord(name, names)
    throw new OperatorProblem(
      2,
      `no setting ${name}; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`}`
    )
  }
  return [name, Number(digits) * (unit === "" ? 1 : UNITS[unit as keyof typeof UNITS])]
}
