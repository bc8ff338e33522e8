/**
 * The control process: started by the supervisor, which hands it the node's picture once a second. It shows that picture and
 * changes nothing by itself: what an authorised operator asks for goes to the supervisor.
 */
import { type FromControl, parseToControl } from "@meridian/ipc/control-messages"
import { parseNodeSnapshot } from "@meridian/ipc/node-snapshot"
import { Outcomes } from "./outcomes.ts"
import { Picture } from "./picture.ts"

const REPORT_INTERVAL_MS = 1_000

if (process.send === undefined) {
  process.stderr.write(
    "meridian control: started by the supervisor (`meridian up`), which hands it what it is to show\n"
  )
  process.exit(2)
}

const send = (message: FromControl): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

const picture = new Picture()
const outcomes = new Outcomes()

process.on("message", (message) => {
  const snapshot = parseNodeSnapshot(message)
  if (snapshot !== undefined) return picture.replace(snapshot)
  const heard = parseToControl(message)
  if (heard?.type === "control-plan") send({ type: "ready" })
  if (heard?.type === "drain") process.exit(0)
  return undefined
})
setInterval(() => {
  const { rss, heapUsed } = process.memoryUsage()
  send({ type: "report", outcomes: outcomes.all, rss, heapUsed })
}, REPORT_INTERVAL_MS)
process.on("disconnect", () => process.exit(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
process.on("SIGTERM", () => {})
process.on("SIGHUP", () => {})
