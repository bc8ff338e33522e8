/** `meridian status`: asks the running node over its control socket and shows the answer to people. */
import type { NodeStatus } from "@meridian/ipc"
import { fitted, right } from "./fitted-table.ts"
import { shortTime, wrapped } from "./text-table.ts"

const duration = (seconds: number): string => {
  const whole = Math.floor(seconds)
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"]
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return first < 0
    ? "0 s"
    : parts
        .slice(first, first + 2)
        .map(([count, unit]) => `${count} ${unit}`)
        .join(" ")
}

const dropText = (dropped: Readonly<Record<string, number>>): string => {
  const seen = Object.entries(dropped).filter(([, count]) => count > 0)
  return seen.length === 0 ? "none" : seen.map(([reason, count]) => `${reason} ${count}`).join(", ")
}

/** What Windows clients were answered, where they are served. */
const signdLines = (signd: NodeStatus["signd"]): readonly string[] => {
  if (signd === undefined || signd === null) return []
  const { state, pid, received, replied, dropped, socket, trouble } = signd
  return [
    `mssntp    ${state}  pid ${pid ?? "-"}  received ${received}  signed ${replied}  dropped ${dropText(dropped)}`,
    `          signed by ${socket}`,
    ...(trouble === null ? [] : [`          not signed: ${trouble}`])
  ]
}

/** NTS key exchange: where, how many handshakes, and until when its certificates are good. */
const ntsLines = ({ ntsKe, ntsKePort }: NodeStatus): readonly string[] => {
  if (ntsKe.length === 0) return []
  const total = (of: (own: NodeStatus["ntsKe"][number]) => number): number =>
    ntsKe.reduce((sum, own) => sum + of(own), 0)
  const agreed = total((own) => own.outcomes["agreed"] ?? 0)
  const states = [...new Set(ntsKe.map(({ state }) => state))].join(", ")
  const certificates = new Map(
    ntsKe.flatMap((own) => own.certificates.map((certificate) => [certificate.fingerprint, certificate]))
  )
  return [
    `nts       ${states}  tcp ${ntsKePort ?? "-"}  handshakes ${total((own) => own.accepted)}, agreed ${agreed}  cookies ${total((own) => own.cookies)}`,
    ...[...certificates.values()].map(
      ({ names, notAfter }) =>
        `          certificate for ${names.join(", ")}  until ${shortTime(new Date(notAfter * 1e3).toISOString())}`
    )
  ]
}

/** What became of Autokey's requests with fields, where they are served. */
const autokeyLines = (autokey: NodeStatus["autokey"]): readonly string[] => {
  if (autokey === undefined || autokey === null) return []
  const { state, pid, received, replied, outcomes } = autokey
  return [`autokey   ${state}  pid ${pid ?? "-"}  received ${received}  answered ${replied}  ${dropText(outcomes)}`]
}

/** What was answered before it reached a worker, where an interface is told so. */
const xdpLines = (xdp: NodeStatus["xdp"]): readonly string[] => {
  if (xdp === undefined || xdp === null) return []
  const { interface: name, mode, answers, received, replied, limited, passed, receivedPerSecond } = xdp
  const state = answers ? "answers" : "passes everything"
  return [
    `xdp       ${name} ${mode}  ${state}  recv/s ${receivedPerSecond}  received ${received}  replied ${replied}  dropped ${dropText({ "rate-limited": limited })}`,
    `          left to the workers: ${dropText({ "by rule": passed.rule, "not plain": passed.kind, damaged: passed.damaged, "no clock": passed.clock })}`
  ]
}

/** How far the node is that an operator takes out or brings back. */
const drainLines = (drain: NodeStatus["drain"]): readonly string[] => {
  if (drain === undefined || drain === null) return []
  const { state, waitingFor } = drain
  const said = state === "drained" ? "drained: takes no key exchange, answers time" : state
  return [`drain     ${said}`, ...waitingFor.map((what) => `          waiting for ${what}`)]
}

/** Whether clients are sent here, and what is in the way. */
const anycastLines = (anycast: NodeStatus["anycast"]): readonly string[] => {
  if (anycast === undefined || anycast === null) return []
  const { announced, settled, problems, announcers, state } = anycast
  const by = announcers.map(({ name }) => name).join(", ")
  const how = announced === null ? state : announced ? "announced" : "withdrawn"
  const said =
    by === "" && announced !== null ? `${how} to nobody: no announcer is there` : `${how}, by ${by || "nobody yet"}`
  return [
    `route     ${said}${settled || announced === null ? "" : ", not carried out yet"}`,
    ...problems.map((why) => `          ${why}`),
    ...announcers.flatMap(({ trouble }) => (trouble === null ? [] : [`          ${trouble}`]))
  ]
}

/** What is told of each worker, and how soon it goes where there is no room. */
const WORKER_COLUMNS = [
  ["worker", 0],
  ["pid", 3],
  ["state", 0],
  ["recv/s", 1],
  ["sent/s", 2],
  ["received", 0],
  ["replied", 0],
  ["dropped", 0],
  ["overflow", 0],
  ["RSS MB", 4]
] as const

const MARGIN = "  "

/** The status as one screen. @param width in columns, at most */
export const formatStatus = (status: NodeStatus, width: number): string => {
  const { clock, totals } = status
  const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0)
  const columns = WORKER_COLUMNS.map(([title, drop], index) =>
    right(title, drop, (row: readonly string[]) => row[index] ?? "")
  )
  const around = (lines: readonly string[]): readonly string[] =>
    lines.map((line) => wrapped(line, " ".repeat("listening ".length), width))
  const rows = status.workers.map((worker) => [
    String(worker.index),
    String(worker.pid ?? "-"),
    worker.state,
    String(worker.receivedPerSecond),
    String(worker.repliedPerSecond),
    String(worker.received),
    String(worker.replied),
    String(sum(worker.dropped)),
    String(worker.overflow),
    (worker.rss / 2 ** 20).toFixed(1)
  ])
  const last = [
    "total",
    "",
    "",
    String(totals.receivedPerSecond),
    String(totals.repliedPerSecond),
    String(totals.received),
    String(totals.replied),
    String(sum(totals.dropped)),
    String(totals.overflow),
    (status.workers.reduce((bytes, worker) => bytes + worker.rss, 0) / 2 ** 20).toFixed(1)
  ]
  const before = [
    `node ${status.node}  Meridian ${status.version}  pid ${status.pid}  up ${duration(status.uptime)}  ${status.io} I/O`,
    `listening ${status.listening.join("  ")}`,
    ...(typeof status.unsteered === "string"
      ? [`          packets spread by the kernel's hash: ${status.unsteered}`]
      : []),
    `clock     ${clock.synchronised ? "synchronised" : "UNSYNCHRONISED"}  stratum ${clock.stratum}  leap ${clock.leap}  refid ${clock.referenceId}`,
    `          root delay ${(clock.rootDelay * 1e3).toFixed(3)} ms  root dispersion ${(clock.rootDispersion * 1e3).toFixed(3)} ms`,
    ...(typeof status.starting === "string" ? [`starting  ${status.starting}`] : []),
    ...(status.waitingFor ?? []).map((sentence) => `          waiting for ${sentence}`),
    ...drainLines(status.drain),
    ...anycastLines(status.anycast),
    ...(status.missing ?? []).map((sentence) => `missing   ${sentence}`),
    ...(status.shared ?? []).map((sentence) => `shared    ${sentence}`),
    ...xdpLines(status.xdp)
  ]
  const workers = fitted(columns, [...rows, last], width - MARGIN.length).map((line) => `${MARGIN}${line}`)
  const after = [
    `dropped   ${dropText(totals.dropped)}`,
    ...ntsLines(status),
    ...signdLines(status.signd),
    ...autokeyLines(status.autokey)
  ]
  return [...around(before), ...workers, ...around(after), ""].join("\n")
}
