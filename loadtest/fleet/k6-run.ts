/** k6 with a scenario's loads: its plan, its process, its figures second by second. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, openSync, readSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import type { Bound, Load } from "./scenario.ts"
import { parseLine, type SeriesLine } from "./seconds.ts"

const root = resolve(import.meta.dirname, "../..")
export const K6 = join(root, ".meridian/k6")
const SCRIPT = join(root, "loadtest/k6/scenario.js")

/** A client that asks twice does so after this. */
const RETRY_MS = 800
/** A request of a flow that has no reply by then is lost; one that is merely late shows in the durations. Clients wait as long. */
const LOST_MS = 5_000
/** A reply of a flow that comes later counts as late besides. */
const LATE_MS = 100
const SOCKETS = 64
/** Users of an arrival rate: so many requests can wait for their timeout at once. */
const MOST_USERS = 400
const FEWEST_USERS = 16
/** k6 gives a load this long beyond its end. */
const GRACE_SECONDS = 10
/** A flow counts requests: a generator that was held up sends all of them. */
const FLOW_GRACE_SECONDS = 180
const HERD_WAIT_SECONDS = 65

export interface Target {
  /** The service address. */
  readonly address: string
  /** Where clients ask from. */
  readonly sources: readonly string[]
  /** A file with the authority of the nodes' certificate. */
  readonly authority: string
  readonly key: { readonly id: number; readonly type: string; readonly secret: string }
}

const clientOf = (load: Load, target: Target) => {
  const { address, sources, authority, key } = target
  const common = { target: `${address}:123`, sources, timeout: RETRY_MS, tolerance: 20 }
  const nts = { server: `${address}:4460`, name: address, ca: authority, timeout: 3_000 }
  switch (load.kind) {
    case "flow":
      return {
        ...common,
        timeout: LOST_MS,
        late: LATE_MS,
        version: load.version ?? 4,
        sockets: load.sockets ?? SOCKETS
      }
    case "herd":
      return { ...common, timeout: LOST_MS, version: 4, sockets: SOCKETS }
    case "hostile":
      return common
    case "exchange":
      return { ...common, nts }
    case "ask":
      return {
        ...common,
        version: load.version ?? 4,
        interleaved: load.interleaved ?? false,
        newPort: load.auth === "plain" && load.interleaved !== true,
        ...(load.auth === "nts" ? { nts } : {}),
        ...(load.auth === "keyed" ? { key } : {})
      }
  }
}

const executorOf = (load: Load, index: number, seconds: number) => {
  const own = load.seconds ?? seconds - (load.after ?? 0)
  const common = { exec: load.kind, startTime: `${load.after ?? 0}s`, env: { LOAD: String(index) } }
  if (load.kind === "ask" || load.kind === "exchange")
    return {
      ...common,
      executor: "constant-arrival-rate",
      rate: load.rate,
      timeUnit: "1s",
      duration: `${own}s`,
      preAllocatedVUs: Math.min(MOST_USERS, Math.max(FEWEST_USERS, Math.ceil(load.rate / 4))),
      maxVUs: MOST_USERS,
      gracefulStop: `${GRACE_SECONDS}s`
    }
  const longest = load.kind === "herd" ? HERD_WAIT_SECONDS + GRACE_SECONDS : own + FLOW_GRACE_SECONDS
  return { ...common, executor: "per-vu-iterations", vus: 1, iterations: 1, maxDuration: `${longest}s` }
}

const selected = (metric: string, load: string | undefined): string =>
  load === undefined ? metric : `${metric}{scenario:${load}}`

/** k6's own thresholds. A latency has a count beside it: k6 passes the one that was never measured. */
export const thresholdsOf = (bounds: readonly Bound[]): Readonly<Record<string, readonly string[]>> => {
  const found: Record<string, string[]> = {}
  const add = (metric: string, expression: string): void => void (found[metric] ??= []).push(expression)
  for (const bound of bounds) {
    if (bound.kind === "sum") {
      const metric = selected(bound.metric, bound.load)
      if (bound.atLeast !== undefined) add(metric, `count>=${bound.atLeast}`)
      if (bound.atMost !== undefined) add(metric, `count<=${bound.atMost}`)
    }
    if (bound.kind === "latency") {
      add(selected(bound.metric, bound.load), `p(${bound.percentile})<${bound.below}`)
      if (bound.metric === "ntp_req_duration") add(selected("ntp_replies", bound.load), `count>=${bound.samples}`)
      else add(selected("ntske_handshakes", bound.load), `count>=${bound.samples}`)
    }
  }
  return found
}

interface K6Options {
  readonly loads: readonly Load[]
  readonly bounds: readonly Bound[]
  readonly seconds: number
  readonly target: Target
  /** Put before the command: the clients' network. */
  readonly within: readonly string[]
  /** For its plan and its figures. */
  readonly folder: string
}

export class K6Run {
  readonly lines: SeriesLine[] = []
  /** Resolves when the load begins. */
  readonly begun: Promise<void>
  /** k6's exit code: 0, or 99 where a threshold is crossed. */
  readonly ended: Promise<number | null>
  /** What k6 complained of. */
  readonly complaints: string[] = []
  private readonly child: ChildProcess
  private readonly timeline: string
  private offset = 0
  private rest = ""

  constructor(options: K6Options) {
    const { loads, bounds, seconds, target, within, folder } = options
    this.timeline = join(folder, "timeline.ndjson")
    const plan = {
      scenarios: Object.fromEntries(loads.map((load, index) => [load.name, executorOf(load, index, seconds)])),
      thresholds: thresholdsOf(bounds),
      loads: loads.map((load) => ({
        ...load,
        seconds: load.seconds ?? seconds - (load.after ?? 0),
        client: clientOf(load, target)
      }))
    }
    const file = join(folder, "plan.json")
    writeFileSync(file, JSON.stringify(plan))
    const flags = ["--quiet", "--no-usage-report", "--summary-mode=disabled", "--log-format=raw"]
    const words = [...within, K6, "run", ...flags, "--out", `timeline=${this.timeline}`, "-e", `PLAN=${file}`, SCRIPT]
    const [command = "", ...rest] = words
    this.child = spawn(command, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      // Nothing is looked for at the vendor's build service, and nobody's own settings are read.
      env: { ...process.env, K6_AUTO_EXTENSION_RESOLUTION: "false", XDG_CONFIG_HOME: folder }
    })
    this.ended = once(this.child, "exit").then(([code]) => code as number | null)
    const said = createInterface({ input: this.child.stderr! })
    this.begun = new Promise((begins, fails) => {
      said.on("line", (line) => {
        if (line.includes("load begins")) begins()
        else if (line.trim() !== "") this.complaints.push(line)
      })
      void this.ended.then((code) => fails(new Error(`k6 ended with ${code}: ${this.complaints.slice(-3).join("; ")}`)))
    })
  }

  /** Takes in what k6 has written since the last time. */
  read(): void {
    if (!existsSync(this.timeline)) return
    const file = openSync(this.timeline, "r")
    try {
      const buffer = Buffer.alloc(1 << 16)
      for (let count = -1; count !== 0;) {
        count = readSync(file, buffer, 0, buffer.length, this.offset)
        this.offset += count
        this.rest += buffer.toString("utf8", 0, count)
      }
    } finally {
      closeSync(file)
    }
    const lines = this.rest.split("\n")
    this.rest = lines.pop() ?? ""
    for (const line of lines) this.lines.push(parseLine(line))
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended
  }
}
