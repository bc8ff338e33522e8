/**
 * The control process: started by the supervisor, which hands it the node's picture once a second. It shows that picture and
 * changes nothing by itself: what an authorised operator asks for goes to the supervisor.
 */
import { type FromControl, parseToControl, type ToControl } from "@meridian/ipc/control-messages"
import { type NodeSnapshot, parseNodeSnapshot } from "@meridian/ipc/node-snapshot"
import { type ControlPlan, controlPlan } from "@meridian/ipc/serving-plan"
import { SupervisorChannel } from "@meridian/ipc/supervised"
import { Outcomes } from "./outcomes.ts"
import { Picture } from "./picture.ts"

const REPORT_INTERVAL_MS = 1_000

if (process.send === undefined) {
  process.stderr.write(
    "meridian control: started by the supervisor (`meridian up`), which hands it what it is to show\n"
  )
  process.exit(2)
}

const picture = new Picture()
const outcomes = new Outcomes()
const channel = new SupervisorChannel<ControlPlan, ToControl | NodeSnapshot, FromControl>({
  service: "control",
  plan: controlPlan,
  read: (message) => parseNodeSnapshot(message) ?? parseToControl(message)
})

process.on("disconnect", () => process.exit(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
process.on("SIGTERM", () => {})
process.on("SIGHUP", () => {})
await channel.first
channel.run({
  take: () => {},
  obey: (told) => {
    if (told.type === "snapshot") picture.replace(told)
    if (told.type === "drain") process.exit(0)
  }
})
setInterval(() => {
  const { rss, heapUsed } = process.memoryUsage()
  channel.send({ type: "report", outcomes: outcomes.all, rss, heapUsed })
}, REPORT_INTERVAL_MS)
channel.send({ type: "ready" })
