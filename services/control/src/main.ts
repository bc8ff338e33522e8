/**
 * The control process: started by the supervisor, which hands it the node's picture when there is news, and when somebody looks.
 * It shows that picture and changes nothing by itself: what an authorised operator asks for goes to the supervisor.
 */
import { join } from "node:path"
import { readServingKeys } from "@meridian/auth/serving-keys"
import { nodeDigests } from "@meridian/ciphers/digests"
import { nativeKernelClock } from "@meridian/clocks/kernel-clock"
import { systemClock } from "@meridian/clocks/system-clock"
import { memoryUse } from "@meridian/system/memory"
import { type FromControl, parseToControl, type ToControl } from "@meridian/ipc/control-messages"
import { parseNodeSnapshot, type PictureMessage, pictureOf } from "@meridian/ipc/node-snapshot"
import { type ControlPlan, controlPlan } from "@meridian/ipc/serving-plan"
import { LONGEST_SILENCE_MS, ReportPace, reportEverySecond } from "@meridian/ipc/report-pace"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { loadNative } from "@meridian/system/native"
import type { UdpSocket } from "@meridian/udp/udp"
import { adoptSocket } from "@meridian/udp/udp-open"
import { UnixDatagramError } from "@meridian/udp/unix-datagram"
import { queryAccess } from "./access.ts"
import { Acts } from "./acts.ts"
import { ChronyServer } from "./chronyc/chrony-server.ts"
import { CHRONY_SOCKET_NAME, serveChronySocket } from "./chronyc/unix-socket.ts"
import { serveControl } from "./control-sockets.ts"
import { ControlServer } from "./mode6/control-server.ts"
import { Outcomes } from "./outcomes.ts"
import { Picture } from "./picture.ts"
import { FreshPictures } from "./fresh-pictures.ts"
import { servedTime } from "./served-time.ts"

const handed = inherited(process, "control", "what it is to show", {
  sockets: "optional",
  "command-sockets": "optional"
})

const clock = systemClock()
const kernel = nativeKernelClock()
const picture = new Picture()
const outcomes = new Outcomes()
const channel = new SupervisorChannel<ControlPlan, ToControl | PictureMessage, FromControl>({
  service: "control",
  plan: controlPlan,
  read: (message) => parseNodeSnapshot(message) ?? parseToControl(message)
})
const acts = new Acts((message) => channel.send(message))
const mode6 = new ControlServer({
  digests: nodeDigests(),
  outcomes,
  monotonic: () => clock.monotonic.seconds(),
  now: servedTime(clock, () => picture.current),
  kernel: () => kernel?.read(),
  act: async ({ name, arguments: asked }, author) => (await acts.ask(name, asked, author)).message
})
const chrony = new ChronyServer({
  outcomes,
  current: () => picture.at(clock.monotonic.seconds()),
  monotonic: () => clock.monotonic.seconds(),
  act: (name, asked, author) => acts.ask(name, asked, author)
})
picture.onChange((snapshot) => mode6.useSnapshot(snapshot))
const look = (): void => channel.send({ type: "look" })
const fresh = new FreshPictures(look, () => clock.monotonic.seconds())

const closing: (() => void)[] = []
const end = (): void => {
  for (const close of closing) close()
  process.exit(0)
}
// Only the supervisor decides what it means.
process.on("SIGTERM", () => {})
const first = await channel.first
const adopt = (descriptors: readonly number[]): Promise<readonly UdpSocket[]> =>
  Promise.all(descriptors.map((descriptor) => adoptSocket(descriptor)))
for (const socket of await adopt(handed.sockets))
  serveControl(socket, {
    receive: (...packet) => fresh.when(() => mode6.receive(...packet))
  })
for (const socket of await adopt(handed["command-sockets"]))
  serveControl(socket, {
    receive: (packet, address, _port, send) => fresh.when(() => chrony.receive(packet, { _tag: "udp", address }, send))
  })
// Without the addon it cannot be; the node says so as it starts.
if (loadNative().addon !== undefined)
  try {
    closing.push(
      serveChronySocket(join(first.plan.stateDirectory, CHRONY_SOCKET_NAME), {
        receive: (...packet) => fresh.when(() => chrony.receive(...packet))
      })
    )
  } catch (error) {
    if (!(error instanceof UnixDatagramError)) throw error
    channel.warn(`chronyc cannot ask this node: ${error.message}`)
  }
channel.run({
  take: ({ controlKey, keys, access, rules }) => {
    mode6.useAccess(queryAccess({ access, rules }))
    mode6.useKeys(readServingKeys(keys).table)
    mode6.useControlKey(controlKey ?? undefined)
  },
  obey: (told) => {
    if (told.type === "snapshot") {
      picture.replace(pictureOf(told, picture.current))
      if (told.isAskedFor === true) fresh.came()
    }
    if (told.type === "acted") acts.done(told)
    if (told.type === "drain") end()
  },
  orphaned: end
})
const pace = new ReportPace(0)
const report = (): void => {
  const { all } = outcomes
  if (!pace.isDue(JSON.stringify(all))) return
  const { rss, heapUsed } = memoryUse()
  channel.send({ type: "report", outcomes: all, rss, heapUsed })
}
// Nobody waits for it: what it has answered, this process shows itself.
reportEverySecond(pace, report, LONGEST_SILENCE_MS)
if (first.plan.http !== null) {
  // Not loaded where it is off: it takes some megabytes.
  const { openHttp } = await import("./http/open-http.ts")
  const listener = await openHttp(first.plan, {
    outcomes,
    current: () => picture.at(clock.monotonic.seconds()),
    fresh: () => new Promise((isFresh) => fresh.when(isFresh)),
    look,
    monotonic: () => clock.monotonic.seconds(),
    memory: () => memoryUse().rss,
    warn: (message) => channel.warn(message)
  })
  if (listener !== undefined) picture.onChange((snapshot) => listener.tell(snapshot))
}
channel.send({ type: "ready" })
releaseStartupPagesSoon()
