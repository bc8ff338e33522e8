/** What `meridian top` shows, as lines that fit a terminal of any size from 40 columns. Pure. */
import type { ClientEntry, WorkerStatus } from "@meridian/ipc"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { sourcePlace } from "@meridian/ipc/source-place"
import { batchLatency } from "@meridian/ipc/worker-report"
import { type Column, fitted, left, right } from "./fitted-table.ts"
import { marks, shortSeconds } from "./sources-command.ts"
import { type Colour, paint, printable } from "./text-table.ts"

/** What fills the lower half. */
export type Panel = "clients" | "outcomes" | "workers"

export const panels: readonly Panel[] = ["clients", "outcomes", "workers"]

interface TopView {
  readonly width: number
  readonly height: number
  readonly panel: Panel
  readonly colours: boolean
  /** Why there is no newer picture; undefined while there is. */
  readonly trouble: string | undefined
}

const count = (value: number): string => value.toLocaleString("en")
const perSecond = (value: number): string => `${count(Math.round(value))}/s`
const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`

const age = (seconds: number): string => {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

const sourceColumns: readonly Column<SourceReport>[] = [
  left("S", 0, ({ verdict }) => marks[verdict] ?? "?"),
  left("source", 0, (source) =>
    source.name === null || source.name === source.address
      ? sourcePlace(source)
      : `${source.name} ${sourcePlace(source)}`
  ),
  right("st", 4, ({ stratum }) => String(stratum)),
  right("poll", 6, ({ poll }) => String(poll)),
  right("reach", 3, ({ reach }) => reach),
  right("last", 5, ({ lastReply }) => (lastReply === null ? "-" : shortSeconds(lastReply))),
  right("offset", 0, ({ offset }) => (offset === null ? "-" : shortSeconds(offset, true))),
  right("+/-", 2, ({ rootDistance }) => (rootDistance === null ? "-" : shortSeconds(rootDistance))),
  right("jitter", 7, ({ jitter }) => (jitter === null ? "-" : shortSeconds(jitter))),
  left("auth", 8, ({ authentication: { kind } }) => (kind === "none" ? "-" : kind)),
  left("verdict", 1, ({ verdict }) => verdict),
  left("reason", 9, ({ reason }) => reason)
]

const colourOfSource = ({ verdict }: SourceReport): Colour => {
  if (verdict === "system-peer" || verdict === "candidate" || verdict === "backup") return "good"
  return verdict === "falseticker" || verdict === "unreachable" ? "bad" : "plain"
}

/** Why the node is not as it should be; empty where it is. */
const troubles = ({ status }: NodeSnapshot): readonly string[] => {
  const { clock, drain, waitingFor = [], missing = [], workers } = status
  return [
    ...(workers.some(({ state }) => state === "running") ? [] : ["no worker answers"]),
    ...(clock.synchronised ? [] : ["not synchronised", ...waitingFor]),
    ...(drain === null || drain === undefined ? [] : [drain.state]),
    ...missing
  ]
}

/** How long batches are in hand, since the start. */
const latency = ({ batchLatencies = [] }: NodeSnapshot["status"]["totals"]): string => {
  const slow = batchLatency(batchLatencies, 0.99)
  return slow === undefined ? "" : `  99 % within ${shortSeconds(slow)}`
}

const head = (snapshot: NodeSnapshot, trouble: string | undefined): readonly (readonly [string, Colour])[] => {
  const { status, at, tracking } = snapshot
  const { clock, totals, workers, ntsKe, keys } = status
  const wrong = trouble === undefined ? troubles(snapshot) : [trouble]
  const bound = clock.rootDelay / 2 + clock.rootDispersion
  const drops = Object.entries(totals.dropped).filter(([, number]) => number > 0)
  const dropped = drops.toSorted(([, a], [, b]) => b - a).map(([name, number]) => `${name} ${count(number)}`)
  const running = (all: readonly { readonly state: string }[]): string =>
    `${all.filter(({ state }) => state === "running").length} of ${all.length}`
  const generations = keys.masterKeyGenerations.map(({ id }) => id)
  return [
    [
      `${status.node}  Meridian ${status.version}  up ${age(status.uptime)}  ${new Date(at * 1e3).toISOString().slice(0, 19).replace("T", " ")}Z`,
      "bold"
    ],
    [wrong.length === 0 ? "synchronised, serving" : wrong.join("; "), wrong.length === 0 ? "good" : "bad"],
    [
      clock.synchronised
        ? `clock    ${tracking?.systemPeer ?? clock.source}  stratum ${clock.stratum}  bound ${shortSeconds(bound)}  offset ${shortSeconds(clock.offset, true)}  ${clock.frequency.toFixed(3)} ppm`
        : `clock    follows nobody  offset ${shortSeconds(clock.offset, true)}  ${clock.frequency.toFixed(3)} ppm`,
      "plain"
    ],
    [
      `traffic  ${perSecond(totals.receivedPerSecond)} asked  ${perSecond(totals.repliedPerSecond)} answered  lost in queues ${count(totals.overflow)}${latency(totals)}`,
      "plain"
    ],
    [`dropped  ${dropped.length === 0 ? "none" : dropped.join("  ")}`, "plain"],
    [
      `serving  workers ${running(workers)}${ntsKe.length === 0 ? "" : `  nts-ke ${running(ntsKe)}`}  nts keys ${generations.join(" ") || "none"}  symmetric keys ${keys.symmetricKeyIds.length}`,
      "plain"
    ]
  ]
}

const clientColumns = (at: number): readonly Column<ClientEntry>[] => [
  left("client", 0, ({ address }) => address),
  right("packets", 0, ({ packets }) => count(packets)),
  right("every", 1, ({ interval }) => (interval === null ? "-" : shortSeconds(interval))),
  right("last", 2, ({ last }) => shortSeconds(Math.max(0, at - last))),
  right("v/mode", 4, ({ version, mode }) => `${version}/${mode}`),
  left("auth", 5, ({ authenticated }) => (authenticated ? "yes" : "-")),
  right("dropped", 3, ({ dropped }) => (dropped === 0 ? "-" : count(dropped))),
  left("limited", 6, ({ limited }) => (limited ? "yes" : "-"))
]

const clientRows = ({ clients, at }: NodeSnapshot, width: number, room: number): readonly string[] => {
  const loudest = (clients?.entries ?? []).toSorted((a, b) => b.packets - a.packets).slice(0, room)
  return fitted(clientColumns(at), loudest, width)
}

type Outcome = readonly [name: string, packets: number]

const outcomeRows = ({ status: { totals } }: NodeSnapshot, width: number): readonly string[] => {
  const { received, served, dropped } = totals
  const columns: readonly Column<Outcome>[] = [
    left("outcome", 0, ([name]) => name),
    right("packets", 0, ([, number]) => count(number)),
    right("share", 1, ([, number]) => (received === 0 ? "-" : `${((100 * number) / received).toFixed(1)} %`))
  ]
  const drops = Object.entries(dropped).map(([name, number]): Outcome => [`dropped: ${name}`, number])
  const outcomes = [...Object.entries(served), ...drops].filter(([, number]) => number > 0)
  return fitted(
    columns,
    outcomes.toSorted(([, a], [, b]) => b - a),
    width
  )
}

const workerColumns: readonly Column<WorkerStatus>[] = [
  right("worker", 0, ({ index }) => String(index)),
  left("state", 0, ({ state }) => state),
  right("asked", 1, ({ receivedPerSecond }) => perSecond(receivedPerSecond)),
  right("answered", 2, ({ repliedPerSecond }) => perSecond(repliedPerSecond)),
  right("received", 3, ({ received }) => count(received)),
  right("restarts", 4, ({ restarts }) => String(restarts)),
  right("memory", 5, ({ rss }) => megabytes(rss)),
  right("pid", 6, ({ pid }) => String(pid ?? "-"))
]

const workerRows = ({ status: { workers } }: NodeSnapshot, width: number): readonly string[] =>
  fitted(workerColumns, workers, width)

const KEYS = "q quit  c clients  o outcomes  w workers"

/** The whole screen: exactly as many lines as it is high, none wider than it is. */
export const topScreen = (snapshot: NodeSnapshot, view: TopView): readonly string[] => {
  const { width, height, panel, colours, trouble } = view
  const draw = (text: string, colour: Colour = "plain"): string =>
    paint(printable(text).slice(0, width), colour, colours)
  const lines = head(snapshot, trouble).map(([text, colour]) => draw(text, colour))
  const [titles = "", ...rows] = fitted(sourceColumns, snapshot.sources, width)
  lines.push("", draw(snapshot.sources.length === 0 ? "no sources are configured" : titles, "dim"))
  // Half of what is left is for the panel, unless the sources leave more.
  const rest = height - lines.length - 3
  const shown = rows.slice(0, Math.max(1, Math.min(rows.length, Math.ceil(rest / 2))))
  for (const [place, row] of shown.entries()) lines.push(draw(row, colourOfSource(snapshot.sources[place]!)))
  if (shown.length < rows.length) lines.push(draw(`and ${rows.length - shown.length} more: meridian sources`, "dim"))
  const room = Math.max(0, height - lines.length - 3)
  const [second = "", ...below] = {
    clients: clientRows,
    outcomes: outcomeRows,
    workers: workerRows
  }[panel](snapshot, width, room)
  lines.push("", draw(below.length === 0 ? `${panel}: none` : second, "dim"))
  lines.push(...below.slice(0, room).map((row) => draw(row)))
  while (lines.length < height - 1) lines.push("")
  return [...lines.slice(0, height - 1), draw(KEYS, "dim")]
}
