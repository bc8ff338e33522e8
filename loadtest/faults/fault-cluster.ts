/** Three machines with a node and a NATS server each, and one with the sources of time that all of them follow. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { peer, type PeerCommand, type PeerName } from "@meridian/testkit/real-peers"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { askState, disagreement } from "../../infra/dev/cluster-state.ts"
import { Disk, Machine, makeNetwork } from "./machines.ts"
import { Program } from "./programs.ts"

const root = resolve(import.meta.dirname, "../..")
const cli = join(root, "services/cli/bin/meridian.mjs")

const NODES = ["a", "b", "c"]
const ROTATION_S = 60
const SOURCES = 4
const WORKERS = 2
const DISK_MIB = 96
const HTTP_PORT = 11_180
const CLIENTS_PORT = 4_222
const ROUTES_PORT = 6_222
const FORMING_MS = 45_000
const AGREE_LIMIT_MS = 300_000
const LOOK_MS = 500
const START_LOOKS = 60

export interface FaultNode {
  readonly name: string
  readonly machine: Machine
  readonly disk: Disk
  readonly clock: SteppedRealtime
  readonly program: Program
  readonly nats: Program
  /** Where it says whether it is ready. */
  readonly http: { readonly host: string; readonly port: number }
}

export interface FaultCluster {
  readonly nodes: readonly FaultNode[]
  readonly sources: readonly Program[]
  /** Why the nodes do not agree, undefined when they do. */
  readonly disagreement: () => Promise<string | undefined>
  readonly end: () => Promise<void>
}

const needed = (name: PeerName): PeerCommand => {
  const found = peer(name)
  if (found === undefined)
    throw new Error(`expected ${name} below .meridian/peers: npx node infra/peers/fetch.ts fetches it`)
  return found
}

const natsText = (index: number, folder: string): string => {
  const [host, routes] = [address(index), NODES.map((_, it) => `"nats://${address(it)}:${ROUTES_PORT}"`).join(", ")]
  return [
    `server_name: n${index + 1}`,
    `listen: "${host}:${CLIENTS_PORT}"`,
    `jetstream { store_dir: "${join(folder, `nats-${index}`)}", max_mem: 64M, max_file: 16G }`,
    `cluster { name: faults, listen: "${host}:${ROUTES_PORT}", routes: [${routes}] }`,
    ""
  ].join("\n")
}

/** Last octets: nodes from 1, sources from 11. */
const address = (index: number): string => `10.77.0.${index + 1}`
const sourceAddress = (index: number): string => `10.77.0.${index + 11}`

const nodeText = (name: string, index: number, state: string, clusterKey: string): string =>
  [
    `node ${name}`,
    `workers ${WORKERS}`,
    `statedir "${state}"`,
    ...Array.from({ length: SOURCES }, (_, it) => `server ${sourceAddress(it)} iburst minpoll 3 maxpoll 4`),
    `control http ${address(index)}:${HTTP_PORT} token "${join(state, "http-token")}"`,
    "nts enable",
    `cluster nats ${NODES.map((_, it) => `${address(it)}:${CLIENTS_PORT}`).join(",")}`,
    `cluster key "${clusterKey}" replicas 3 mint nts,symmetric`,
    `cluster rotate ${ROTATION_S}`,
    ""
  ].join("\n")

const makeNode = (name: string, index: number, folder: string, clusterKey: string): FaultNode => {
  const machine = new Machine(name, [index + 1])
  const disk = new Disk(join(folder, name), DISK_MIB)
  const clock = new SteppedRealtime()
  writeFileSync(join(disk.folder, "http-token"), "only-for-this-run-0123456789abcdef\n", { mode: 0o600 })
  const configuration = join(folder, `${name}.conf`)
  writeFileSync(configuration, nodeText(name, index, disk.folder, clusterKey))
  const natsConfiguration = join(folder, `nats-${index}.conf`)
  writeFileSync(natsConfiguration, natsText(index, folder))
  const server = needed("nats-server-newest")
  return {
    name,
    machine,
    disk,
    clock,
    program: new Program({
      name: `node ${name}`,
      words: [...machine.how, process.execPath, cli, "up", "--config", configuration],
      env: clock.environment,
      log: join(folder, `${name}.log`)
    }),
    nats: new Program({
      name: `NATS server ${name}`,
      words: [...machine.how, server.command, ...server.args, "-c", natsConfiguration],
      env: server.env,
      log: join(folder, `nats-${name}.log`)
    }),
    http: { host: address(index), port: HTTP_PORT }
  }
}

/** chronyd as a clock of stratum 1: it serves this machine's time and sets nothing. */
const makeSources = (folder: string): readonly Program[] => {
  const hosts = Array.from({ length: SOURCES }, (_, index) => index + 11)
  const machine = new Machine("sources", hosts)
  const chronyd = needed("chronyd-newest")
  return hosts.map((_, index) => {
    const file = join(folder, `source-${index}.conf`)
    const lines = ["local stratum 1", "allow", `bindaddress ${sourceAddress(index)}`, "cmdport 0", "user root"]
    writeFileSync(file, [...lines, `pidfile ${join(folder, `source-${index}.pid`)}`, ""].join("\n"))
    return new Program({
      name: `source ${index + 1}`,
      words: [...machine.how, chronyd.command, ...chronyd.args, "-x", "-d", "-f", file],
      env: chronyd.env,
      log: join(folder, `source-${index}.log`)
    })
  })
}

/** Starts all of it and waits until one node leads, all agree and are ready. */
export const startCluster = async (folder: string, say: (line: string) => void): Promise<FaultCluster> => {
  makeNetwork()
  mkdirSync(folder, { recursive: true })
  const clusterKey = join(folder, "cluster-key")
  execFileSync(process.execPath, [cli, "cluster", "init", "--out", clusterKey], { stdio: "ignore" })
  const nodes = NODES.map((name, index) => makeNode(name, index, folder, clusterKey))
  const sources = makeSources(folder)
  const why = async (): Promise<string | undefined> =>
    disagreement(NODES, await Promise.all(nodes.map(({ disk }) => askState(disk.folder))))
  const end = async (): Promise<void> => {
    await Promise.all(nodes.map(({ program }) => program.kill("SIGTERM")))
    await Promise.all([...nodes.map(({ nats }) => nats), ...sources].map((it) => it.kill()))
    for (const { clock } of nodes) clock.close()
  }
  for (const it of [...sources, ...nodes.map(({ nats }) => nats)]) it.start()
  // One after another: each compiles its own modules.
  for (const { program, disk } of nodes) {
    program.start()
    for (let looks = 0; looks < START_LOOKS && (await askState(disk.folder)) === undefined; looks += 1)
      await sleep(LOOK_MS)
  }
  const limit = performance.now() + AGREE_LIMIT_MS
  for (let formed = performance.now(); ; await sleep(LOOK_MS)) {
    const problem = await why()
    if (problem === undefined) break
    // As systemd would.
    for (const { program } of nodes) program.start()
    if (performance.now() > limit)
      throw new Error(`the cluster has not come together: ${problem}; ${lastWords(folder)}`)
    // Servers that are started for the first time at one moment now and then form a group that one stays out of.
    if (performance.now() - formed < FORMING_MS || !problem.includes("leads")) continue
    say("NATS has formed no group of three: started once more")
    await Promise.all(nodes.map(({ nats }) => nats.kill()))
    for (const { nats } of nodes) nats.start()
    formed = performance.now()
  }
  for (const { program, nats } of nodes) program.ends = nats.ends = 0
  return { nodes, sources, disagreement: why, end }
}

const lastWords = (folder: string): string =>
  NODES.map((name) => join(folder, `${name}.log`))
    .filter((file) => existsSync(file))
    .map((file) => `${file}: ${readFileSync(file, "utf8").trim().split("\n").slice(-3).join(" / ")}`)
    .join("; ")
