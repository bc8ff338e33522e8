/**
 * The bench of Windows clients: replies signed by Samba's ntp_signd, beside classic ntpd and chronyd; and what a signing daemon that
 * hangs costs clients of plain time. Samba and the server share the server's core, so that a server gains nothing by having Samba
 * work on another one.
 */
import { spawnSync } from "node:child_process"
import { dirname } from "node:path"
import { Samba, sambaAvailable } from "@meridian/testkit/samba"
import { removeFolder, temporaryFolder } from "./children.ts"
import { missingClassic, startClassic } from "./classic-ntpd.ts"
import { disturbed } from "./doubts.ts"
import { generate, sample, type Sample } from "./measure.ts"
import type { RequestPool } from "./request-pool.ts"
import {
  atLeast,
  atMost,
  type BenchOptions,
  type BenchResult,
  type Check,
  compared,
  figure,
  interleaved,
  withServers
} from "./results.ts"
import {
  type ChronydName,
  chronydCommand,
  chronydLabel,
  configuredMeridian,
  missing,
  type RunningServer,
  startCommands,
  type StartOptions
} from "./servers.ts"
import { pairedRatio, summary } from "./statistics.ts"
import { windowsPool } from "./windows-requests.ts"

/** Plain requests a second beside a daemon that hangs. */
const PLAIN_RATE = 20_000
/** Requests of Windows clients a second meanwhile. */
const WINDOWS_RATE = 500

/** Samba has the server's core too, so that waiting for it is no disturbance. */
const BESIDE_SAMBA = { waiting: false }

const startMeridian = (options: StartOptions, socket: string): Promise<RunningServer> =>
  startCommands("meridian", "Meridian", options, (port, folder) => [
    configuredMeridian(options, port, folder, [
      `ntpsigndsocket ${dirname(socket)}`,
      "restrict default mssntp",
      "unrestrict default limited"
    ])
  ])

const startChronyd = (name: ChronydName, options: StartOptions, socket: string): Promise<RunningServer> =>
  startCommands(name, chronydLabel(name), options, (port, folder) => [
    chronydCommand(name, options.address, port, folder, [`ntpsigndsocket ${dirname(socket)}`])
  ])

interface Wanted {
  readonly starting: readonly (() => Promise<RunningServer>)[]
  readonly skipped: readonly string[]
}

const wanted = ({ servers, address, layout }: BenchOptions, socket: string): Wanted => {
  const options = { address, workers: 1, cores: layout.one }
  const classic = missingClassic()
  const chronyds = (["chronyd43", "chronyd-new"] as const).filter((name) => servers.includes(name))
  const lost = (name: string, why: string | undefined) => (why === undefined ? [] : [`${name} is left out: ${why}`])
  return {
    starting: [
      () => startMeridian(options, socket),
      ...(classic === undefined
        ? [() => startClassic(options, ["restrict default mssntp", `ntpsigndsocket ${dirname(socket)}`])]
        : []),
      ...chronyds.filter((name) => missing(name) === undefined).map((name) => () => startChronyd(name, options, socket))
    ],
    skipped: [...lost("classic ntpd", classic), ...chronyds.flatMap((name) => lost(name, missing(name)))]
  }
}

const pin = (pid: number | undefined, cores: readonly number[]): void => {
  if (pid !== undefined) spawnSync("taskset", ["-apc", cores.join(","), String(pid)])
}

const signing = async (options: BenchOptions, samba: Samba, pool: RequestPool): Promise<BenchResult> => {
  const { layout, rounds, seconds, progress } = options
  const { starting, skipped } = wanted(options, samba.socket)
  return withServers(starting, async (servers) => {
    const load = { mode: "closed", seconds } as const
    for (const server of servers) {
      progress(`mssntp: warming up ${server.label}`)
      await sample(server, load, layout.generator, pool, BESIDE_SAMBA)
    }
    const samples = await interleaved(servers, rounds, (server, round) => {
      progress(`mssntp: round ${round + 1} of ${rounds}, ${server.label}`)
      return sample(server, load, layout.generator, pool, BESIDE_SAMBA)
    })
    const rates = (label: string) =>
      [...samples].find(([server]) => server.label === label)?.[1].map(({ report }) => report.answeredPerSecond)
    const against = (label: string, least: number): readonly Check[] => {
      const [own, other] = [rates("Meridian"), rates(label)]
      if (own === undefined || other === undefined) return []
      return [atLeast(`signed replies/s: Meridian / ${label}`, pairedRatio(own, other), least, 2)]
    }
    const stalled = await whileStalled(options, servers[0]!, samba, pool)
    return {
      name: "mssntp",
      title: "replies signed by Samba's ntp_signd, one worker; Samba on the server's core",
      figures: [
        figure("signed replies/s, closed loop", 0, samples, ({ report }) => report.answeredPerSecond),
        figure("CPU per signed reply without Samba's, µs", 1, samples, ({ cpuMicroseconds }) => cpuMicroseconds),
        figure("latency of the middle, µs", 0, samples, ({ report }) => report.latencyMicroseconds.p50)
      ],
      checks: [
        ...against("classic ntpd", 3),
        ...servers.filter(({ label }) => label.startsWith("chronyd")).flatMap(({ label }) => against(label, 1)),
        ...stalled
      ],
      notes: [...skipped, ...disturbed("in the closed loop", samples)]
    }
  })
}

/** Plain requests while Windows clients ask and the signing daemon is stopped, beside plain requests alone. */
const whileStalled = async (
  { layout, rounds, seconds, progress, address }: BenchOptions,
  server: RunningServer,
  samba: Samba,
  pool: RequestPool
): Promise<readonly Check[]> => {
  const load = { mode: "open", rate: PLAIN_RATE, seconds } as const
  const [alone, beside]: [Sample[], Sample[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    progress(`mssntp: round ${round + 1} of ${rounds}, plain requests beside a signing daemon that hangs`)
    alone.push(await sample(server, load, layout.generator, undefined, BESIDE_SAMBA))
    samba.signal("SIGSTOP")
    const flags = ["--mode", "open", "--rate", String(WINDOWS_RATE), "--seconds", String(seconds + 1)]
    const windows = generate(
      address,
      server.port,
      [...flags, "--request", pool.kind, "--pool", pool.file],
      layout.generator
    )
    beside.push(await sample(server, load, layout.generator, undefined, BESIDE_SAMBA))
    samba.signal("SIGCONT")
    await windows
  }
  const lost = beside.map(({ report }) => report.lost + report.refused)
  const cpu = (samples: readonly Sample[]) => samples.map(({ workerCpuMicroseconds }) => workerCpuMicroseconds)
  return [
    {
      ...atMost("plain requests lost beside a daemon that hangs, worst round", summary(lost), 0, 0),
      met: Math.max(...lost) === 0
    },
    atMost("workers' CPU per plain reply: beside / alone", pairedRatio(cpu(beside), cpu(alone)), 1.05, 3),
    compared("plain requests lost without", summary(alone.map(({ report }) => report.lost + report.refused)), 0)
  ]
}

export const mssntp = async (options: BenchOptions): Promise<BenchResult> => {
  const left = (why: string): BenchResult => ({
    name: "mssntp",
    title: "left out",
    figures: [],
    checks: [],
    notes: [why]
  })
  if (!sambaAvailable("mssntp")) return left("Samba is not there; see npx node infra/peers/fetch.ts, and run as root")
  const samba = new Samba()
  const folder = temporaryFolder()
  try {
    await samba.start()
    pin(samba.pid, options.layout.one)
    return await signing(options, samba, windowsPool(folder, samba.accounts))
  } finally {
    await samba.stop()
    removeFolder(folder)
  }
}
