/**
 * The control process: started by the supervisor, which hands it the node's picture once a second. It shows that picture and
 * changes nothing by itself: what an authorised operator asks for goes to the supervisor.
 */
import { parseArgs } from "node:util"
import { readServingKeys } from "@meridian/auth/serving-keys"
import { nodeDigests } from "@meridian/ciphers/digests"
import { nativeKernelClock } from "@meridian/clocks/kernel-clock"
import { systemClock } from "@meridian/clocks/system-clock"
import { memoryUse } from "@meridian/system/memory"
import { type FromControl, parseToControl, type ToControl } from "@meridian/ipc/control-messages"
import { type NodeSnapshot, parseNodeSnapshot } from "@meridian/ipc/node-snapshot"
import { type ControlPlan, controlPlan } from "@meridian/ipc/serving-plan"
import { SupervisorChannel } from "@meridian/ipc/supervised"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { disableNative } from "@meridian/system/native"
import { adoptSocket } from "@meridian/udp/udp-open"
import { Acts } from "./acts.ts"
import { configureLive } from "./configure.ts"
import { serveControl } from "./control-sockets.ts"
import { ControlServer } from "./mode6/control-server.ts"
import { Outcomes } from "./outcomes.ts"
import { Picture } from "./picture.ts"
import { servedTime } from "./served-time.ts"
import { thisHostAlone } from "./this-host.ts"

const REPORT_INTERVAL_MS = 1_000

const { values } = parseArgs({ options: { sockets: { type: "string", default: "" } } })
if (process.send === undefined) {
  process.stderr.write(
    "meridian control: started by the supervisor (`meridian up`), which hands it what it is to show\n"
  )
  process.exit(2)
}
if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")

const clock = systemClock()
const kernel = nativeKernelClock()
const picture = new Picture()
const outcomes = new Outcomes()
const channel = new SupervisorChannel<ControlPlan, ToControl | NodeSnapshot, FromControl>({
  service: "control",
  plan: controlPlan,
  read: (message) => parseNodeSnapshot(message) ?? parseToControl(message)
})
const acts = new Acts((message) => channel.send(message))
const mode6 = new ControlServer({
  digests: nodeDigests(),
  outcomes,
  access: thisHostAlone(() => clock.monotonic.seconds()),
  monotonic: () => clock.monotonic.seconds(),
  now: servedTime(clock, () => picture.current),
  kernel: () => kernel?.read(),
  configure: (text, author) => configureLive(text, author, acts)
})
picture.onChange((snapshot) => mode6.useSnapshot(snapshot))

process.on("disconnect", () => process.exit(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
process.on("SIGTERM", () => {})
process.on("SIGHUP", () => {})
const first = await channel.first
const descriptors = values.sockets.split(",").filter((text) => text !== "")
for (const socket of await Promise.all(descriptors.map((text) => adoptSocket(Number(text)))))
  serveControl(socket, mode6)
channel.run({
  take: ({ controlKey, keys }) => {
    mode6.useKeys(readServingKeys(keys).table)
    mode6.useControlKey(controlKey ?? undefined)
  },
  obey: (told) => {
    if (told.type === "snapshot") picture.replace(told)
    if (told.type === "acted") acts.done(told)
    if (told.type === "drain") process.exit(0)
  }
})
setInterval(() => {
  const { rss, heapUsed } = memoryUse()
  channel.send({ type: "report", outcomes: outcomes.all, rss, heapUsed })
}, REPORT_INTERVAL_MS)
if (first.plan.http !== null) {
  // Not loaded where it is off: it takes some megabytes.
  const { openHttp } = await import("./http/open-http.ts")
  const door = openHttp(first.plan, {
    outcomes,
    current: () => picture.current,
    monotonic: () => clock.monotonic.seconds(),
    memory: () => memoryUse().rss,
    warn: (message) => channel.warn(message)
  })
  if (door !== undefined) picture.onChange((snapshot) => door.tell(snapshot))
}
channel.send({ type: "ready" })
releaseStartupPagesSoon()
