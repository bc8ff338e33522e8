/** Starts the real process the way the supervisor does, and reads its page the way a worker does. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { noKeys, type ServingKeys } from "@meridian/auth/serving-keys"
import type { DisciplinePlan } from "@meridian/ipc/serving-plan"
import type { ClockDecision } from "@meridian/events"
import {
  closeClockPage,
  type ClockPageDescriptors,
  makeClockPage,
  openClockPageReader
} from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import {
  defaultTinker,
  defaultTos,
  type DisciplineConfiguration,
  type DisciplineReport,
  parseFromDiscipline,
  type SourceReport,
  type UpstreamConfiguration
} from "@meridian/ipc/discipline-report"
import type { HoldsMessage } from "@meridian/ipc/serving-plan"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type ClockCurve, servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { unixDifferenceSeconds } from "@meridian/time/timestamp"

/** No process that a test starts may set this machine's clock, whatever it is told: root's are started without CAP_SYS_TIME. */
const withoutSysTime =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"] : []

const program = resolve(import.meta.dirname, "../src/main.ts")

/** Asked once a second from the first answer on, so that suites end soon. */
export const upstream = (
  host: string,
  port: number,
  change: Partial<UpstreamConfiguration> = {}
): UpstreamConfiguration => ({
  kind: "server",
  host,
  family: null,
  port,
  iburst: true,
  burst: false,
  minpoll: 0,
  maxpoll: 0,
  prefer: false,
  noselect: false,
  true: false,
  keyId: null,
  nts: null,
  version: 4,
  xleave: false,
  bias: 0,
  screen: null,
  ...change
})

export interface Folder {
  readonly path: string
  /** A clock page, as the supervisor makes it; it outlives the processes that write it. */
  readonly page: ClockPageDescriptors
  readonly file: (name: string) => string
  readonly remove: () => void
}

export const makeFolder = (): Folder => {
  const path = mkdtempSync(join(tmpdir(), "meridian-discipline-"))
  const page = makeClockPage()
  return {
    path,
    page,
    file: (name) => join(path, name),
    remove: () => {
      closeClockPage(page)
      rmSync(path, { recursive: true, force: true })
    }
  }
}

export interface RunningDiscipline {
  readonly process: ChildProcess
  readonly warnings: readonly string[]
  readonly events: readonly ClockDecision[]
  readonly stderr: () => string
  readonly send: (message: object) => void
  /** Sends its plan again with these keys in it. */
  readonly useKeys: (keys: ServingKeys) => void
  /** Sends another plan; the last report that there was when it was said to be held. */
  readonly useConfiguration: (change: Partial<DisciplineConfiguration>) => Promise<DisciplineReport | undefined>
  /** The next report that satisfies the condition; fails after a while with the last one seen. */
  readonly report: (until?: (report: DisciplineReport) => boolean, seconds?: number) => Promise<DisciplineReport>
  /** The first event that satisfies the condition; fails after a while. */
  readonly event: (until: (event: ClockDecision) => boolean) => Promise<ClockDecision>
  readonly source: (report: DisciplineReport, address: string) => SourceReport
  /** What stands on the page now. */
  readonly page: () => ClockCurve
  /** Ends it if it still runs; its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

export const configurationOf = (
  folder: Folder,
  change: Partial<DisciplineConfiguration> = {}
): DisciplineConfiguration => ({
  sources: [],
  referenceClocks: [],
  localReference: null,
  tos: defaultTos,
  tinker: defaultTinker,
  driftfile: null,
  leapfile: null,
  leapfileHashIgnored: false,
  statsdir: null,
  filegen: [],
  mode: "virtual",
  cookieDirectory: folder.path,
  leapSmearSeconds: 0,
  serving: [],
  passivePeers: 0,
  passiveKeys: [],
  ...change
})

export const startDiscipline = async (
  folder: Folder,
  change: Partial<DisciplineConfiguration> = {},
  namespace?: string
): Promise<RunningDiscipline> => {
  const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _env, ...env } = process.env
  let configuration = configurationOf(folder, change)
  const within = namespace === undefined ? [] : ["ip", "netns", "exec", namespace]
  const line = [...withoutSysTime, ...within, process.execPath, program, "--clock-page", "4"]
  const child = spawn(line[0]!, line.slice(1), {
    env,
    stdio: ["ignore", "ignore", "pipe", "ipc", folder.page.writable],
    serialization: "advanced"
  })
  let stderr = ""
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")))
  const warnings: string[] = []
  const events: ClockDecision[] = []
  let last: DisciplineReport | undefined
  let isReady = false
  let held: (version: number) => void = () => {}
  child.on("message", (raw) => {
    if ((raw as HoldsMessage).type === "holds") return held((raw as HoldsMessage).version)
    const message = parseFromDiscipline(raw)
    if (message?.type === "warning") warnings.push(message.message)
    else if (message?.type === "clock-events") events.push(...(message.events as ClockDecision[]))
    else if (message?.type === "report") last = message
    else if (message?.type === "ready") isReady = true
  })
  let version = 0
  const useKeys = (keys: ServingKeys): void => {
    version += 1
    const plan: DisciplinePlan = { keys, configuration, autokey: null }
    child.send({ type: "plan", version, sockets: [], plan } as never)
  }
  const useConfiguration = async (other: Partial<DisciplineConfiguration>): Promise<DisciplineReport | undefined> => {
    configuration = { ...configuration, ...other }
    const taken = new Promise<DisciplineReport | undefined>((resolve) => {
      held = (of) => of === version && resolve(last)
    })
    useKeys(noKeys)
    return taken
  }
  useKeys(noKeys)
  for (let waited = 0; !isReady && waited < PATIENCE_MS && child.exitCode === null; waited += 20) await sleep(20)
  if (!isReady) {
    child.kill("SIGKILL")
    throw new Error(`the process did not become ready: ${stderr}`)
  }
  const reader = openClockPageReader(folder.page.readable)
  return {
    process: child,
    warnings,
    events,
    stderr: () => stderr,
    send: (message) => void child.send(message as never),
    useKeys,
    useConfiguration,
    report: async (until = () => true, seconds = PATIENCE_MS / 1e3) => {
      let seen: DisciplineReport | undefined
      for (let waited = 0; waited < seconds * 1e3; waited += 50) {
        if (last !== undefined && last !== seen) {
          seen = last
          if (until(seen)) return seen
        }
        await sleep(50)
      }
      throw new Error(
        `no such report came; the last was ${JSON.stringify(last, null, 1)} ${stderr} ${warnings.join("; ")}`
      )
    },
    event: async (until) => {
      for (let waited = 0; waited < PATIENCE_MS; waited += 50) {
        const found = events.find(until)
        if (found !== undefined) return found
        await sleep(50)
      }
      throw new Error(`no such event came, but ${JSON.stringify(events)}`)
    },
    source: (report, address) => {
      const found = report.sources.find((source) => source.address === address)
      if (found === undefined) throw new Error(`no source ${address} in ${JSON.stringify(report.sources)}`)
      return found
    },
    page: () => {
      const curve = unsynchronisedCurve()
      reader.readInto(curve)
      return curve
    },
    stop: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal)
        await once(child, "exit")
      }
      return child.exitCode
    }
  }
}

const clock = systemClock()
export const monotonic = (): number => clock.monotonic.seconds()

/** Served time minus CLOCK_REALTIME by a curve, seconds: the truth on a machine whose sources read the same clock is 0. */
export const servedOffset = (curve: ClockCurve): number => {
  const realtime = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(realtime)
  return unixDifferenceSeconds(servedTimeAt(curve, monotonic()), realtime)
}
