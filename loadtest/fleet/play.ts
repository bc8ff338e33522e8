/** Plays a scenario: the stage, the load, the steps on their time line, and what came of it. */
import { mkdirSync } from "node:fs"
import { cpus, release } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { type Drops, dropsSince, dropsSoFar } from "./drops.ts"
import { K6Run } from "./k6-run.ts"
import type { Finding, Load, Scenario, ScenarioSetting } from "./scenario.ts"
import { type Second, secondsOf, sumsByTag } from "./seconds.ts"
import { Stage } from "./stage.ts"
import { type Judged, judge, type RampStep, rampSteps, saturationOf } from "./verdict.ts"

const PROGRESS_MS = 1_000
/** Beyond a terminal each fifth second is enough. */
const PROGRESS_EACH = process.stdout.isTTY ? 1 : 5
/** Figures of a second are there this much after its beginning: k6 waits for its last samples, and writes twice a second. */
const LATE_SECONDS = 3
/** k6's own exit code where one of its thresholds is crossed. */
const CROSSED = 99

/** A moment on the plots. */
export interface Mark {
  /** Seconds after the load began. */
  readonly at: number
  readonly name: string
}

/** What each node did, each second. */
interface NodeSecond {
  readonly at: number
  /** Replies a second, by node; null where it says nothing. */
  readonly replies: readonly (number | null)[]
  /** Whether clients are sent to it. */
  readonly routed: readonly boolean[]
}

/** All of it, as JSON and for the report. */
export interface Figures {
  readonly scenario: string
  readonly shows: string
  readonly at: string
  readonly setting: ScenarioSetting
  readonly machine: string
  readonly loads: readonly Load[]
  readonly verdict: boolean
  readonly judged: readonly Judged[]
  readonly lostWhy: Readonly<Record<string, number>>
  readonly wrongWhy: Readonly<Record<string, number>>
  /** Where the kernel dropped packets meanwhile. */
  readonly dropped: Drops
  readonly marks: readonly Mark[]
  readonly seconds: readonly Second[]
  readonly nodes: readonly NodeSecond[]
  readonly ramp: readonly RampStep[] | null
  readonly complaints: readonly string[]
}

export interface Played {
  readonly scenario: Scenario
  readonly verdict: boolean
  readonly judged: readonly Judged[]
  readonly seconds: readonly Second[]
  /** Of a ramp. */
  readonly saturation: number | undefined
  readonly figures: Figures
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const number = (value: number): string => Math.round(value).toLocaleString("en")

/** Watches the nodes once a second. */
class Watch {
  readonly seconds: NodeSecond[] = []
  private readonly stage: Stage
  private before: readonly (number | undefined)[] = []

  constructor(stage: Stage) {
    this.stage = stage
  }

  async look(at: number): Promise<void> {
    const { numbers } = this.stage
    const routed = this.stage.routed()
    const now = await Promise.all(
      numbers.map(async (node) => {
        const status = await this.stage.status(node).catch(() => undefined)
        return status?.workers.reduce((sum, worker) => sum + worker.replied, 0)
      })
    )
    const replies = now.map((count, index) => {
      const earlier = this.before[index]
      return count === undefined || earlier === undefined || count < earlier ? null : count - earlier
    })
    this.before = now
    this.seconds.push({ at, replies, routed: numbers.map((node) => routed.includes(node)) })
  }
}

const progress = (at: number, second: Second, routed: number): void => {
  const { requests, replies, lost, wrong, p99, handshakes } = second
  const keys = handshakes > 0 ? `  ${number(handshakes)} key exchanges` : ""
  const late = p99 === null ? "" : `  p99 ${p99.toFixed(1)} ms`
  say(
    `${String(at).padStart(5)} s  ${number(requests).padStart(7)} asked  ${number(replies).padStart(7)} answered  ${number(lost)} lost  ${number(wrong)} wrong${late}${keys}  ${routed} nodes`
  )
}

/** Fails when this process is told to end, so that the fleet ends with it. */
const untilToldToEnd = (): Promise<never> =>
  new Promise((_, fails) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => fails(new Error(`told to end (${signal})`)))
  })

export const play = async (scenario: Scenario, setting: ScenarioSetting): Promise<Played> => {
  const toldToEnd = untilToldToEnd()
  const stage = new Stage(scenario)
  try {
    say(`${scenario.name}: ${scenario.shows}`)
    say(`starting ${stage.numbers.length} nodes behind one address, routers, NATS …`)
    await Promise.race([stage.start(), toldToEnd])
    return await underLoad(scenario, setting, stage, toldToEnd)
  } finally {
    await stage.end()
  }
}

const underLoad = async (
  scenario: Scenario,
  setting: ScenarioSetting,
  stage: Stage,
  toldToEnd: Promise<never>
): Promise<Played> => {
  const loads = scenario.loads(setting)
  const bounds = scenario.bounds(setting)
  const folder = stage.fleet.file("k6")
  mkdirSync(folder)
  const { seconds: length } = setting
  const within = stage.fleet.client.within
  const dropsBefore = dropsSoFar(stage.networks)
  const k6 = new K6Run({ loads, bounds, seconds: length, target: stage.target, within, folder })
  const findings: Finding[] = []
  const marks: Mark[] = []
  const watch = new Watch(stage)
  let looking: Promise<void> = Promise.resolve()
  try {
    await Promise.race([k6.begun, toldToEnd])
    const began = Math.floor(Date.now() / 1e3)
    const start = performance.now()
    const at = (): number => (performance.now() - start) / 1e3
    let isOver = false
    const steps = (scenario.steps?.(setting) ?? []).map(async ({ at: due, name, act }) => {
      await sleep(due * 1e3)
      marks.push({ at: at(), name })
      say(`${at().toFixed(1).padStart(7)} s  ${name}`)
      findings.push(...((await act(stage)) ?? []))
      marks.push({ at: at(), name: `${name}: done` })
    })
    const all = Promise.all(steps)
    // A step that fails ends the run; it is waited for below.
    all.catch(() => {})
    let told = 0
    const watching = (async () => {
      while (!isOver) {
        k6.read()
        const second = Math.floor(at())
        looking = watch.look(second)
        await looking
        const shown = secondsOf(k6.lines, began)[second - LATE_SECONDS]
        if (second >= told + PROGRESS_EACH && shown !== undefined) {
          told = second
          progress(second - LATE_SECONDS, shown, stage.routed().length)
        }
        await sleep(PROGRESS_MS - ((performance.now() - start) % PROGRESS_MS))
      }
    })()
    const [code] = await Promise.race([Promise.all([k6.ended, all]), toldToEnd]).finally(() => void (isOver = true))
    await watching
    k6.read()
    if (code !== 0 && code !== CROSSED) throw new Error(`k6 ended with ${code}: ${k6.complaints.slice(-3).join("; ")}`)
    const seconds = secondsOf(k6.lines, began)
    const judged = [
      ...judge(bounds, k6.lines, findings),
      { what: "k6's own thresholds", found: code === 0 ? "kept" : "crossed", wanted: "kept", met: code === 0 }
    ]
    const verdict = judged.every(({ met }) => met)
    const flow = loads.find((load) => load.kind === "flow")
    const isRamp = flow !== undefined && flow.rates.length > 1
    const ramp = isRamp ? rampSteps(flow.rates, k6.lines) : null
    const figures: Figures = {
      scenario: scenario.name,
      shows: scenario.shows,
      at: new Date(began * 1e3).toISOString(),
      setting,
      machine: `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
      loads,
      verdict,
      judged,
      lostWhy: sumsByTag(k6.lines, "ntp_lost"),
      wrongWhy: sumsByTag(k6.lines, "ntp_wrong"),
      dropped: dropsSince(dropsBefore, dropsSoFar(stage.networks)),
      marks: marks.toSorted((a, b) => a.at - b.at),
      seconds,
      nodes: watch.seconds,
      ramp,
      complaints: k6.complaints.slice(0, 20)
    }
    return { scenario, verdict, judged, seconds, saturation: ramp === null ? undefined : saturationOf(ramp), figures }
  } finally {
    await k6.stop()
    await looking.catch(() => {})
  }
}
