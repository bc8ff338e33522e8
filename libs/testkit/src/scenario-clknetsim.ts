/**
 * A scenario as clknetsim's configuration, so that chronyd can be run through the same world. Delays are expressions;
 * what servers' and oscillators' clocks do is written out second by second, into files that its expressions read.
 */
import { defaultDisciplineOptions } from "@meridian/algorithms"
import type { Scenario, ScenarioSource } from "./scenario.ts"

interface ClknetsimRun {
  /** One more than there are servers: the client is the last node. */
  readonly nodes: number
  readonly duration: number
  readonly settling: number
  /** File names and what is in them; the configuration is `conf`, chronyd's of node n is `conf.n`. */
  readonly files: ReadonlyMap<string, string>
}

const series = (seconds: number, of: (second: number) => number): string =>
  Array.from({ length: seconds }, (_, second) => of(second).toExponential(9)).join("\n")

/** Whether a server says the same of itself all the time: chronyd as a server cannot be told to fall out of time. */
const steady = ({ server }: ScenarioSource, duration: number): boolean =>
  [0, 0.3, 0.5, 0.7, 0.9].every((share) => {
    const { stratum, leap } = server.report(share * duration)
    return stratum === 1 && leap === 0
  })

/** Whether it is also run with both clients asking every 64 s: not where its polls are part of the world. */
export const hasEqualPolls = (scenario: Scenario): boolean =>
  (scenario.group === "settled" || scenario.group === "ugly") && scenario.options?.minpoll === undefined

/**
 * Undefined where a world cannot be had there: paths without an expression, servers that change what they say.
 * @param directory where the files will be, as chronyd is told
 * @param poll an exponent to be asked at, both least and most; undefined: the scenario's own
 */
export const clknetsimRun = (
  scenario: Scenario,
  seed: number,
  directory: string,
  poll?: number
): ClknetsimRun | undefined => {
  const { duration, settling } = scenario
  const { oscillator, sources, frequency } = scenario.world(seed)
  if (sources.length === 0 || (oscillator.quantum ?? 0) > 1e-6) return undefined
  if (!sources.every((it) => it.path.clknetsim !== undefined && steady(it, duration))) return undefined
  const { minpoll, maxpoll } = { ...defaultDisciplineOptions, ...scenario.options }
  const client = sources.length + 1
  const files = new Map<string, string>()
  const lines: string[] = []
  const own = `(+ ${oscillator.frequency} (sum (* ${oscillator.wander} (normal)))`
  const { frequencyAt, stepAt } = oscillator
  if (frequencyAt !== undefined) files.set("frequency", series(duration, frequencyAt))
  lines.push(
    `node${client}_freq = ${own}${frequencyAt === undefined ? ")" : ` (file "${directory}/frequency"))`}`,
    `node${client}_offset = ${oscillator.offset}`
  )
  if (stepAt !== undefined) {
    files.set(
      "step",
      series(duration, (second) => stepAt(second + 1))
    )
    lines.push(`node${client}_step = (file "${directory}/step")`)
  }
  const chronyd = ["cmdport 0", "bindcmdaddress /", `pidfile ${directory}/pid.${client}`]
  for (const [i, source] of sources.entries()) {
    const node = i + 1
    const { error } = source.server
    lines.push(
      `node${node}_offset = ${error(0)}`,
      `node${client}_delay${node} = ${source.path.clknetsim?.("request")}`,
      `node${node}_delay${client} = ${source.path.clknetsim?.("reply")}`
    )
    if ([0.1, 0.35, 0.6, 0.85].some((share) => error(share * duration) !== error(0))) {
      files.set(
        `server.${node}`,
        series(duration, (second) => error(second + 1) - error(second))
      )
      lines.push(`node${node}_step = (file "${directory}/server.${node}")`)
    }
    files.set(`conf.${node}`, `local stratum 1\nallow\ncmdport 0\nbindcmdaddress /\npidfile ${directory}/pid.${node}\n`)
    const words = [
      `minpoll ${poll ?? source.minpoll ?? minpoll}`,
      `maxpoll ${poll ?? source.maxpoll ?? maxpoll}`,
      ...(source.iburst === true ? ["iburst"] : []),
      ...(source.prefer === true ? ["prefer"] : []),
      ...(source.chrony ?? [])
    ]
    chronyd.push(`server 192.168.123.${node} ${words.join(" ")}`)
  }
  if (frequency !== undefined) {
    files.set("drift", `${(-frequency.value * 1e6).toFixed(6)} ${(frequency.deviation * 1e6).toFixed(6)}\n`)
    chronyd.push(`driftfile ${directory}/drift`)
  }
  files.set("conf", `${lines.join("\n")}\n`)
  files.set(`conf.${client}`, `${[...chronyd, ...(scenario.chrony ?? [])].join("\n")}\n`)
  return { nodes: client, duration, settling, files }
}
