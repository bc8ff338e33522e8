/**
 * A cluster on one machine, loopback only: three NATS servers with the configuration of infra/nats, and three Meridian nodes.
 *
 *   npm run cluster -- up        starts what does not run, waits until one node leads and all three agree
 *   npm run cluster -- status    shows processes and nodes
 *   npm run cluster -- down      ends them and removes their state; --keep keeps it for the next up
 *
 * NTP on 127.0.0.1 ports 11131 to 11133, NTS key exchange on TCP 11141 to 11143, HTTP on 11180 to 11182, NATS on 14222 to 14224 (routes 16222 to
 * 16224), state in .meridian/cluster. For more clusters at once: --directory DIR --ntp-port N --nats-port N. For `up`:
 * --workers N of each node (1), --rotate SECONDS between rotations of the NTS key, --operators FILE of those who may act over HTTP.
 * Exit codes: 0 done and in agreement, 1 not, 2 wrong arguments.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { ClusterState } from "@meridian/ipc"
import { peer, type PeerCommand } from "@meridian/testkit/real-peers"
import {
  authorityFile,
  makeNatsConfiguration,
  type NatsServerPlan,
  seedFile,
  serverConfiguration
} from "../nats/make-configuration.ts"
import { askState, disagreement } from "./cluster-state.ts"
import {
  endRecorded,
  isRunning,
  type Program,
  readRecords,
  type RecordedProcess,
  startRecorded,
  writeRecords
} from "./recorded-processes.ts"
import { fetchedPeer, readArguments, root, runTool, runVerb, ToolProblem } from "./tool.ts"

const cli = join(root, "services/cli/bin/meridian.mjs")

const NODES = ["a", "b", "c"]
const READER = "audit"
/** Distances between the ports of one kind and the next. */
const NTS_ABOVE_NTP = 10
const HTTP_ABOVE_NTP = 49
const ROUTES_ABOVE_CLIENTS = 2_000

const AGREE_LIMIT_MS = 180_000
/** NATS servers that have formed no group by then are started once more. */
const FORMING_MS = 20_000
const LOOK_MS = 200
const NODE_END_MS = 30_000
const NATS_END_MS = 30_000

interface Place {
  readonly directory: string
  readonly ntpPort: number
  readonly natsPort: number
  /** Of each node. */
  readonly workers: number
  /** Seconds; undefined: as the policy says. */
  readonly rotate: number | undefined
  /** File of operators; undefined: nobody may act over HTTP. */
  readonly operators: string | undefined
}

const stateOf = ({ directory }: Place, node: string): string => join(directory, node)
const recordsOf = ({ directory }: Place): string => join(directory, "processes.json")
const natsFolder = ({ directory }: Place): string => join(directory, "nats")
const keyFile = ({ directory }: Place): string => join(directory, "cluster-key")

const natsServers = (place: Place): readonly NatsServerPlan[] =>
  NODES.map((_, index) => ({
    name: `n${index + 1}`,
    host: "127.0.0.1",
    port: place.natsPort + index,
    routePort: place.natsPort + ROUTES_ABOVE_CLIENTS + index,
    store: join(natsFolder(place), `store-n${index + 1}`)
  }))

/** A child does not inherit what the runner of a test needs for itself. */
const cleanEnvironment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _env, ...rest } = process.env
  return rest
}

/** nats-server from the folder of real peers, which is filled where it is missing. */
const natsServer = (): PeerCommand =>
  fetchedPeer(
    () => peer("nats-server-2.10") ?? peer("nats-server-newest"),
    "no nats-server: `npx node infra/peers/fetch.ts` could not fetch one; set PEERS to a folder that it has filled"
  )

const nodeConfiguration = (place: Place, node: string, index: number): string =>
  [
    `node ${node}`,
    `port ${place.ntpPort + index}`,
    "listen 127.0.0.1",
    `workers ${place.workers}`,
    `statedir "${stateOf(place, node)}"`,
    `control http 127.0.0.1:${place.ntpPort + HTTP_ABOVE_NTP + index}${place.operators === undefined ? "" : ` operators "${place.operators}"`}`,
    "nts enable",
    `nts port ${place.ntpPort + NTS_ABOVE_NTP + index}`,
    `cluster nats ${natsServers(place)
      .map(({ host, port }) => `${host}:${port}`)
      .join(",")}`,
    `cluster nkey "${seedFile(natsFolder(place), "coordinator", node)}" ca "${authorityFile(natsFolder(place))}"`,
    `cluster key "${keyFile(place)}" replicas 3 mint nts,symmetric`,
    ...(place.rotate === undefined ? [] : [`cluster rotate ${place.rotate}`]),
    ""
  ].join("\n")

/** Certificates, identities, the cluster key and the nodes' files, where they are not there yet. */
const prepare = (place: Place): void => {
  mkdirSync(place.directory, { recursive: true, mode: 0o700 })
  if (!existsSync(authorityFile(natsFolder(place))))
    makeNatsConfiguration({
      folder: natsFolder(place),
      servers: natsServers(place),
      coordinators: NODES,
      readers: [READER]
    })
  for (const { name, port: own } of natsServers(place))
    if (!readFileSync(serverConfiguration(natsFolder(place), name), "utf8").includes(`"127.0.0.1:${own}"`))
      throw new ToolProblem(`${place.directory} was made for other ports: run \`down\` first, or name those ports`)
  if (!existsSync(keyFile(place)))
    execFileSync(process.execPath, [cli, "cluster", "init", "--out", keyFile(place)], {
      stdio: ["ignore", "ignore", "inherit"],
      env: cleanEnvironment()
    })
  for (const [index, node] of NODES.entries()) {
    mkdirSync(stateOf(place, node), { recursive: true, mode: 0o750 })
    writeFileSync(join(stateOf(place, node), "ntp.conf"), nodeConfiguration(place, node, index))
  }
}

const programs = (place: Place): readonly Program[] => {
  const { command, args, env } = natsServer()
  const log = (name: string): string => join(place.directory, `${name}.log`)
  return [
    ...natsServers(place).map(({ name }) => ({
      name,
      command,
      args: [...args, "-c", serverConfiguration(natsFolder(place), name)],
      env,
      log: log(name)
    })),
    ...NODES.map((node) => ({
      name: node,
      command: process.execPath,
      args: [cli, "up", "--config", join(stateOf(place, node), "ntp.conf")],
      env: cleanEnvironment(),
      log: log(node)
    }))
  ]
}

const up = async (place: Place): Promise<void> => {
  const wanted = programs(place)
  prepare(place)
  const records = new Map(
    readRecords(recordsOf(place))
      .filter(isRunning)
      .map((record) => [record.name, record])
  )
  for (const program of wanted) {
    if (records.has(program.name)) continue
    records.set(program.name, startRecorded(program))
    writeRecords(recordsOf(place), [...records.values()])
  }
  await status(place, false, await agreed(place, wanted, records))
}

type States = Awaited<ReturnType<typeof askAll>>

/** Waits until one node leads and all agree. Returns what they said then: a node that has just started says more a moment later. */
const agreed = async (
  place: Place,
  wanted: readonly Program[],
  records: Map<string, RecordedProcess>
): Promise<States> => {
  const until = performance.now() + AGREE_LIMIT_MS
  for (let since = performance.now(); ;) {
    const states = await askAll(place)
    const why = disagreement(NODES, states)
    if (why === undefined) return states
    const unformed = states.every((it) => (it?.leader ?? null) === null) && sayUnformed(place)
    if (unformed && performance.now() - since > FORMING_MS) {
      await startNatsAgain(place, wanted, records)
      since = performance.now()
    }
    const ended = [...records.values()].find((record) => !isRunning(record))
    if (ended !== undefined) {
      const log = join(place.directory, `${ended.name}.log`)
      throw new ToolProblem(`${ended.name} ended: ${lastLine(log)} (${log}); \`down\` ends the others`)
    }
    if (performance.now() > until)
      throw new ToolProblem(
        `no agreement within ${AGREE_LIMIT_MS / 1_000} s: ${why}; see the logs in ${place.directory}`
      )
    await sleep(LOOK_MS)
  }
}

/** Whether nodes have been told that there are too few servers for three copies of the log. */
const sayUnformed = (place: Place): boolean =>
  NODES.some((node) => textOf(join(place.directory, `${node}.log`)).includes("no suitable peers"))

/**
 * Servers of NATS 2.10 that are started for the first time at the same moment now and then form a JetStream group that one of
 * them stays out of for good. Started once more they find together.
 */
const startNatsAgain = async (
  place: Place,
  wanted: readonly Program[],
  records: Map<string, RecordedProcess>
): Promise<void> => {
  console.log("the NATS servers have formed no group of three: starting them once more")
  for (const { name } of natsServers(place)) {
    const [program, record] = [wanted.find((it) => it.name === name), records.get(name)]
    if (program === undefined || record === undefined || !(await endRecorded(record, NATS_END_MS)))
      throw new ToolProblem(`${name} did not end; \`down\` ends the others`)
    records.set(name, startRecorded(program))
    writeRecords(recordsOf(place), [...records.values()])
  }
}

const askAll = (place: Place): Promise<readonly (ClusterState | undefined)[]> =>
  Promise.all(NODES.map((node) => askState(stateOf(place, node))))

const textOf = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return "it left no log"
  }
}

const lastLine = (file: string): string => textOf(file).trim().split("\n").at(-1) ?? ""

/** Shows processes and nodes. Returns whether all run and agree. */
const status = async (place: Place, json: boolean, said?: States): Promise<boolean> => {
  const records = readRecords(recordsOf(place))
  const states = said ?? (await askAll(place))
  const why = records.length === 0 ? "nothing was started" : disagreement(NODES, states)
  const running = (name: string): RecordedProcess | undefined =>
    records.find((record) => record.name === name && isRunning(record))
  const nats = natsServers(place).map(({ name, port }) => ({ name, pid: running(name)?.pid ?? null, port }))
  const nodes = NODES.map((name, index) => ({
    name,
    pid: running(name)?.pid ?? null,
    ntp: place.ntpPort + index,
    nts: place.ntpPort + NTS_ABOVE_NTP + index,
    http: place.ntpPort + HTTP_ABOVE_NTP + index,
    leader: states[index]?.leader ?? null,
    leads: states[index]?.leading ?? false,
    ready: states[index]?.ready ?? false,
    state: stateOf(place, name)
  }))
  const whole = why === undefined && [...nats, ...nodes].every(({ pid }) => pid !== null)
  if (json) {
    console.log(JSON.stringify({ agree: why === undefined, why: why ?? null, nats, nodes }, null, 2))
    return whole
  }
  for (const { name, pid, port } of nats)
    console.log(`nats ${name}  ${pid === null ? "does not run" : `pid ${pid}`}  tls 127.0.0.1:${port}`)
  for (const { name, pid, ntp, nts, http, leads, ready } of nodes)
    console.log(
      `node ${name}   ${pid === null ? "does not run" : `pid ${pid}`}  udp 127.0.0.1:${ntp}  nts-ke tcp ${nts}  http ${http}  ${ready ? "ready" : "not ready"}${leads ? ", leads" : ""}`
    )
  console.log(why === undefined ? "the nodes agree" : `the nodes do not agree: ${why}`)
  if (why === undefined) console.log(`\nTry next\n${advice(place)}`)
  return whole
}

const advice = (place: Place): string => {
  const state = relative(process.cwd(), stateOf(place, "a")) || "."
  return [
    `  npx meridian cluster status --state ${state}`,
    `  npx meridian keys rotate --state ${state}`,
    `  npx meridian log --follow --state ${state}`,
    `  npx meridian query 127.0.0.1:${place.ntpPort}`
  ].join("\n")
}

/** Nodes first, so that they give the lease up and save what they know while NATS is there. */
const down = async (place: Place, keep: boolean): Promise<void> => {
  const records = readRecords(recordsOf(place))
  const isNode = ({ name }: RecordedProcess): boolean => NODES.includes(name)
  const left: string[] = []
  for (const [group, limit] of [
    [records.filter(isNode), NODE_END_MS],
    [records.filter((record) => !isNode(record)), NATS_END_MS]
  ] as const) {
    const ended = await Promise.all(group.map((record) => endRecorded(record, limit)))
    left.push(...group.filter((_, index) => ended[index] === false).map(({ name, pid }) => `${name} (pid ${pid})`))
  }
  if (left.length > 0) throw new ToolProblem(`${left.join(", ")} did not end; their state is kept`)
  if (keep) rmSync(recordsOf(place), { force: true })
  else if (isOurs(place)) rmSync(place.directory, { recursive: true, force: true })
  console.log(
    records.length === 0
      ? "nothing was running"
      : keep
        ? `ended; the state is kept in ${relative(process.cwd(), place.directory)}`
        : "ended, nothing is left"
  )
}

/** Only what `prepare` has made is removed. */
const isOurs = (place: Place): boolean => existsSync(authorityFile(natsFolder(place))) && existsSync(keyFile(place))

const LAST_PORT = 65_535

const port = (name: string, text: string): number => {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value + ROUTES_ABOVE_CLIENTS + NODES.length <= LAST_PORT) return value
  throw new ToolProblem(`expected --${name} with a port, found ${JSON.stringify(text)}`, 2)
}

const MOST = 999

const count = (name: string, text: string): number => {
  const value = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (value >= 1) return value
  throw new ToolProblem(`expected --${name} with a number from 1 to ${MOST}, found ${JSON.stringify(text)}`, 2)
}

const main = async (): Promise<void> => {
  const { values, positionals } = readArguments(parse)
  const place: Place = {
    directory: resolve(values.directory ?? join(root, ".meridian/cluster")),
    ntpPort: port("ntp-port", values["ntp-port"]),
    natsPort: port("nats-port", values["nats-port"]),
    workers: count("workers", values.workers),
    rotate: values.rotate === undefined ? undefined : count("rotate", values.rotate),
    operators: values.operators === undefined ? undefined : resolve(values.operators)
  }
  await runVerb(positionals, {
    up: () => up(place),
    down: () => down(place, values.keep),
    status: () => status(place, values.json)
  })
}

const parse = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      directory: { type: "string" },
      "ntp-port": { type: "string", default: "11131" },
      "nats-port": { type: "string", default: "14222" },
      workers: { type: "string", default: "1" },
      rotate: { type: "string" },
      operators: { type: "string" },
      keep: { type: "boolean", default: false },
      json: { type: "boolean", default: false }
    }
  })

await runTool("cluster", main)
