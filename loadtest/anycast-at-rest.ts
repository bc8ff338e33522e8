/**
 * What announcing a route costs a node that nobody asks: `npx node loadtest/anycast-at-rest.ts [--seconds N]`, as root, with BIRD of infra/peers.
 *
 * Two nodes side by side, one with `anycast` lines and a BIRD at either side, one without; CPU of each node's processes over the same
 * seconds (60), in thousandths of a core, by the scheduler's count of all threads. BIRD's own are not in it.
 */
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Fleet } from "@meridian/testkit/fleet"
import { startNode } from "@meridian/testkit/running-node"
import { commandLine, cpuTime, processTree } from "./process-figures.ts"

/** A node has settled by then. */
const SETTLING_MS = 30_000

const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } })
const seconds = Number(values.seconds)

/** CPU of each service of a node so far, seconds, by the service's name. */
const cpuOf = (supervisor: number): ReadonlyMap<string, number> => {
  const used = new Map<string, number>()
  for (const pid of processTree(supervisor)) {
    const name = /services\/([\w-]+)\//.exec(commandLine(pid))?.[1]?.replace("cli", "supervisor") ?? "other"
    used.set(name, (used.get(name) ?? 0) + cpuTime([pid]).used)
  }
  return used
}

const fleet = new Fleet()
try {
  const lines = (number: number): readonly string[] => [
    `server 10.9.${number}.1 iburst`,
    "workers 1",
    "control http off"
  ]
  for (const number of [1, 2]) fleet.network(number)
  fleet.startTimeSource(["10.9.1.1", "10.9.2.1"])
  fleet.startRouter(1)
  fleet.startBird(1, true)
  const announcing = await fleet.startNode(1, [
    ...lines(1),
    `anycast bird ${fleet.file("bird1.ctl")} protocol ntp4`,
    "anycast device meridian0"
  ])
  writeFileSync(fleet.file("plain.conf"), `${lines(2).join("\n")}\n`)
  const plain = await startNode({
    args: ["--config", fleet.file("plain.conf")],
    within: fleet.network(2).within,
    port: 123,
    state: fleet.file("state2")
  })
  fleet.nodes.set(2, plain)
  await fleet.untilRouted(1)
  await sleep(SETTLING_MS)
  const pids = [announcing.process.pid!, plain.process.pid!]
  const before = pids.map(cpuOf)
  await sleep(seconds * 1e3)
  const after = pids.map(cpuOf)
  const share = (node: number, name: string): number =>
    ((after[node]?.get(name) ?? 0) - (before[node]?.get(name) ?? 0)) / seconds
  const names = [...new Set(after.flatMap((used) => [...used.keys()]))]
  const write = (value: number): string => `${(value * 100).toFixed(3)} %`.padStart(11)
  process.stdout.write(`${"of a core".padEnd(14)}${"announcing".padStart(11)}${"plain".padStart(11)}\n`)
  for (const name of names) process.stdout.write(`${name.padEnd(14)}${write(share(0, name))}${write(share(1, name))}\n`)
  const sum = (node: number): number => names.reduce((all, name) => all + share(node, name), 0)
  process.stdout.write(
    `${"together".padEnd(14)}${write(sum(0))}${write(sum(1))}\ndifference    ${write(sum(0) - sum(1))}\n`
  )
} finally {
  await fleet.end()
}
