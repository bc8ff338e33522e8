/** The benches of authenticated time: NTS and symmetric keys beside plain NTP of the same server, and beside chronyd. */
import { AeadId } from "@meridian/auth/aead"
import {
  type BenchCertificate,
  keyServer,
  makeCertificate,
  startChronyd,
  startMeridian
} from "./authenticated-servers.ts"
import { removeFolder, temporaryFolder } from "./children.ts"
import { disturbed, idle } from "./doubts.ts"
import { keyedAlgorithms, keyedPool, makeKeys } from "./keyed-requests.ts"
import { sample, type Sample } from "./measure.ts"
import { ntsPool, openSessions } from "./nts-session.ts"
import type { RequestPool } from "./request-pool.ts"
import {
  atLeast,
  atMost,
  type BenchOptions,
  type BenchResult,
  besideCheck,
  builds,
  type Check,
  compared,
  figure,
  interleaved,
  WARM_UP_SECONDS,
  withServers
} from "./results.ts"
import { type ChronydName, missing, type RunningServer } from "./servers.ts"
import { pairedRatio } from "./statistics.ts"

/** A server and the requests that it is asked in one column of the table. */
interface Subject extends RunningServer {
  readonly pool: RequestPool | undefined
}

export const subject = (server: RunningServer, what: string, pool?: RequestPool): Subject => ({
  ...server,
  label: `${server.label} ${what}`,
  pool
})

type Samples = ReadonlyMap<Subject, readonly Sample[]>

/** Warms every subject up, then measures all in turn in the closed loop. */
export const saturate = async (
  subjects: readonly Subject[],
  bench: string,
  options: BenchOptions
): Promise<Samples> => {
  const { layout, rounds, seconds, progress } = options
  for (const each of subjects) {
    progress(`${bench}: warming up ${each.label}`)
    await sample(each, { mode: "closed", seconds: WARM_UP_SECONDS }, layout.generator, each.pool)
  }
  return interleaved(subjects, rounds, (each, round) => {
    progress(`${bench}: round ${round + 1} of ${rounds}, ${each.label}`)
    return sample(each, { mode: "closed", seconds }, layout.generator, each.pool)
  })
}

export const figuresOf = (samples: Samples) => [
  figure("CPU per reply, saturated, µs", 3, samples, (each) => each.cpuMicroseconds),
  figure("  of which workers, µs", 3, samples, (each) => each.workerCpuMicroseconds),
  figure("replies/s, closed loop", 0, samples, (each) => each.report.answeredPerSecond),
  figure("server's share of its core", 3, samples, (each) => each.busy)
]

/** The ratio of two subjects' CPU per reply, when both are there. */
export const ratioOf = (samples: Samples, a: string, b: string) => {
  const cpu = (label: string) => {
    const found = [...samples].find(([each]) => each.label === label)
    return found?.[1].map((each) => each.cpuMicroseconds)
  }
  const [over, under] = [cpu(a), cpu(b)]
  return over === undefined || under === undefined ? undefined : pairedRatio(over, under)
}

/** Every kind of request that this tree was asked, beside the other tree. */
const besideThat = (name: string, samples: Samples, { beside }: BenchOptions): readonly Check[] => {
  if (beside === undefined) return []
  const cpu = (found: readonly Sample[]) => found.map((each) => each.cpuMicroseconds)
  return [...samples].flatMap(([own, found]) => {
    if (own.name !== "meridian") return []
    const what = own.label.replace("Meridian ", "")
    const other = [...samples].find(([each]) => each.label === `${beside.label} ${what}`)
    return other === undefined ? [] : [besideCheck(`${name}, ${what}`, cpu(found), cpu(other[1]), beside)]
  })
}

export const notesOf = (samples: Samples): readonly string[] => [
  ...disturbed("in the closed loop", samples),
  ...idle(samples)
]

/** The chronyds that are wanted and can be started here, and why the others cannot. */
const chronyds = ({ servers }: BenchOptions) => {
  const wanted = (["chronyd43", "chronyd-new"] as const).filter((name) => servers.includes(name))
  return {
    present: wanted.filter((name) => missing(name) === undefined),
    skipped: wanted.flatMap((name) => (missing(name) === undefined ? [] : [`${name} is left out: ${missing(name)}`]))
  }
}

export const inFolder = async <A>(body: (folder: string) => Promise<A>): Promise<A> => {
  const folder = temporaryFolder()
  try {
    return await body(folder)
  } finally {
    removeFolder(folder)
  }
}

/** Clients whose requests are mixed, as a server meets them: each has keys and cookies of its own. */
const CLIENTS = 32

const ntsSubject = async (
  server: RunningServer,
  certificate: BenchCertificate,
  folder: string,
  aead: AeadId,
  name: string
): Promise<Subject> => {
  const sessions = await openSessions(keyServer(server, certificate), CLIENTS, [aead])
  return subject(server, name, ntsPool(folder, `${server.name}-${aead}`, sessions))
}

/** Requests a second of NTS clients that a pool server may have, and how many times chronyd 4.3's CPU one may cost at most. */
const NTS_RATE = 10_000
const NTS_RATE_LIMIT = 0.6
const rateText = `${NTS_RATE.toLocaleString("en")}/s`

const NTS = "NTS"
const GCM_SIV = "NTS GCM-SIV"

/** NTS in the steady state of a client: one cookie spent, one given back. */
export const nts = (options: BenchOptions): Promise<BenchResult> =>
  inFolder(async (folder) => {
    const { address, layout, progress } = options
    const certificate = makeCertificate(folder)
    const start = { address, workers: 1, cores: layout.one }
    const { present, skipped } = chronyds(options)
    const starting = [
      ...builds(options).map((build) => () => startMeridian({ ...start, build }, { certificate })),
      ...present.map((name) => () => startChronyd(name, start, { certificate }))
    ]
    return withServers(starting, async (servers) => {
      const subjects: Subject[] = []
      for (const server of servers) {
        progress(`nts: establishing keys with ${server.label}`)
        subjects.push(subject(server, "plain"), await ntsSubject(server, certificate, folder, AeadId.sivCmac256, NTS))
        if (server.name !== "chronyd43")
          subjects.push(await ntsSubject(server, certificate, folder, AeadId.aes128GcmSiv, GCM_SIV))
      }
      const saturated = await saturate(subjects, "nts", options)
      const atRate = await interleaved(
        subjects.filter(({ pool }) => pool !== undefined),
        options.rounds,
        (each, round) => {
          progress(`nts: round ${round + 1} of ${options.rounds}, ${each.label}, ${NTS_RATE} a second`)
          const load = { mode: "open", rate: NTS_RATE, seconds: options.seconds } as const
          return sample(each, load, layout.generator, each.pool)
        }
      )
      const own = servers.find(({ name }) => name === "meridian")?.label ?? ""
      const other = (name: ChronydName): string => servers.find((each) => each.name === name)?.label ?? name
      const checkOf = (samples: Samples, name: string, a: string, b: string, limit?: number): readonly Check[] => {
        const found = ratioOf(samples, a, b)
        return found === undefined
          ? []
          : [limit === undefined ? compared(name, found, 3) : atMost(name, found, limit, 3)]
      }
      const check = (a: string, b: string, limit?: number) =>
        checkOf(saturated, `CPU per reply: ${a} / ${b}`, a, b, limit)
      const checkAtRate = (a: string, b: string, limit?: number) =>
        checkOf(atRate, `CPU per reply, ${rateText}: ${a} / ${b}`, a, b, limit)
      return {
        name: "nts",
        title: "NTS, one worker, one core, one cookie spent and one given back",
        figures: [
          ...figuresOf(saturated),
          figure(`CPU per reply, ${rateText}, µs`, 3, atRate, (each) => each.cpuMicroseconds)
        ],
        checks: [
          ...check(`${own} ${NTS}`, `${other("chronyd43")} ${NTS}`, 0.8),
          ...checkAtRate(`${own} ${NTS}`, `${other("chronyd43")} ${NTS}`, NTS_RATE_LIMIT),
          ...checkAtRate(`${own} ${NTS}`, `${other("chronyd-new")} ${NTS}`),
          ...check(`${own} ${NTS}`, `${own} plain`, 1.4),
          ...check(`${own} ${GCM_SIV}`, `${own} plain`),
          ...check(`${own} ${NTS}`, `${other("chronyd-new")} ${NTS}`),
          ...check(`${own} ${GCM_SIV}`, `${other("chronyd-new")} ${GCM_SIV}`),
          ...check(`${other("chronyd43")} ${NTS}`, `${other("chronyd43")} plain`),
          ...besideThat("CPU per reply", saturated, options),
          ...besideThat(`CPU per reply, ${rateText}`, atRate, options)
        ],
        notes: [...skipped, ...notesOf(saturated)]
      }
    })
  })

/** Requests with a MAC, verified and answered under the same key. */
export const keyed = (options: BenchOptions): Promise<BenchResult> =>
  inFolder(async (folder) => {
    const { address, layout } = options
    const keys = makeKeys(folder)
    const pools = keyedAlgorithms.map((algorithm) => [algorithm, keyedPool(folder, keys, algorithm)] as const)
    const start = { address, workers: 1, cores: layout.one }
    const { present, skipped } = chronyds(options)
    const starting = [
      ...builds(options).map((build) => () => startMeridian({ ...start, build }, { keys })),
      ...present.filter((name) => name === "chronyd43").map((name) => () => startChronyd(name, start, { keys }))
    ]
    return withServers(starting, async (servers) => {
      const subjects = servers.flatMap((server) => [
        subject(server, "plain"),
        ...pools.map(([algorithm, pool]) => subject(server, algorithm, pool))
      ])
      const saturated = await saturate(subjects, "keyed", options)
      const check = (label: string, algorithm: string, limit?: number): readonly Check[] => {
        const found = ratioOf(saturated, `${label} plain`, `${label} ${algorithm}`)
        const name = `replies per CPU second: ${label} ${algorithm} / plain`
        return found === undefined
          ? []
          : [limit === undefined ? compared(name, found, 3) : atLeast(name, found, limit, 3)]
      }
      return {
        name: "keyed",
        title: "symmetric keys, one worker, one core",
        figures: figuresOf(saturated),
        checks: [
          ...servers.flatMap(({ name, label }) =>
            keyedAlgorithms.flatMap((algorithm) =>
              check(label, algorithm, name === "meridian" && algorithm !== "SHA1" ? 0.8 : undefined)
            )
          ),
          ...besideThat("CPU per reply", saturated, options)
        ],
        notes: [...skipped, ...notesOf(saturated)]
      }
    })
  })
