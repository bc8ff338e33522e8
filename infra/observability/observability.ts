/**
 * Prometheus beside a development cluster of three nodes (infra/dev/cluster.ts), loopback only.
 *
 *   npm run observability -- up        starts the cluster where it does not run, then Prometheus; waits until it scrapes all three
 *   npm run observability -- status    what is scraped, and which alerts there are
 *   npm run observability -- down      ends Prometheus and the cluster, and removes their state
 *
 * Prometheus on 127.0.0.1 port 19090, state in .meridian/observability. For another place: --directory DIR --port N, and those of the
 * cluster: --cluster-directory DIR --ntp-port N --nats-port N. Exit codes: 0 done, 1 not, 2 wrong arguments.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { endRecorded, isRunning, readRecords, startRecorded, writeRecords } from "../dev/recorded-processes.ts"
import {
  ALERTS,
  type Alerts,
  askPrometheus,
  prometheusArguments,
  prometheusConfiguration,
  prometheusProgram,
  type Targets
} from "./prometheus.ts"
import { fetchedPeer, readArguments, root, runTool, runVerb, ToolProblem } from "../dev/tool.ts"

const CLUSTER = join(root, "infra/dev/cluster.ts")
const DASHBOARD = join(root, "infra/observability/grafana-dashboard.json")
const SCRAPE_SECONDS = 5
const UP_MS = 60_000
const END_MS = 20_000
const LOOK_MS = 500

interface Place {
  readonly directory: string
  readonly port: number
  /** Flags for cluster.ts. */
  readonly cluster: readonly string[]
}

const recordsOf = ({ directory }: Place): string => join(directory, "processes.json")

const runCluster = ({ cluster }: Place, verb: "up" | "down"): void => {
  const { status } = spawnSync(process.execPath, [CLUSTER, verb, ...cluster], { stdio: "inherit" })
  if (status !== 0) throw new ToolProblem(`the cluster could not be taken ${verb}; it has said why above`)
}

/** Where the nodes answer HTTP. */
const nodesOf = ({ cluster }: Place): readonly string[] => {
  const { stdout } = spawnSync(process.execPath, [CLUSTER, "status", "--json", ...cluster], { encoding: "utf8" })
  const { nodes } = JSON.parse(stdout) as { readonly nodes: readonly { readonly http: number }[] }
  return nodes.map(({ http }) => `127.0.0.1:${http}`)
}

const program = (): string =>
  fetchedPeer(
    () => prometheusProgram("prometheus"),
    "no Prometheus: `npx node infra/peers/fetch.ts` could not fetch one; install it (apt-get install prometheus), or set PEERS to a folder that has been filled"
  )

const up = async (place: Place): Promise<void> => {
  const command = program()
  runCluster(place, "up")
  const targets = nodesOf(place)
  mkdirSync(place.directory, { recursive: true, mode: 0o700 })
  const configuration = join(place.directory, "prometheus.yml")
  writeFileSync(configuration, prometheusConfiguration({ targets, rules: ALERTS, seconds: SCRAPE_SECONDS }))
  if (!readRecords(recordsOf(place)).some(isRunning)) {
    const args = prometheusArguments(configuration, place.directory, place.port)
    const log = join(place.directory, "prometheus.log")
    writeRecords(recordsOf(place), [startRecorded({ name: "prometheus", command, args, env: process.env, log })])
  }
  await scrapesAll(place, targets.length)
  await status(place)
  console.log(
    [
      "",
      "Try next",
      `  http://127.0.0.1:${place.port}/graph?g0.expr=meridian_clock_error_bound_seconds`,
      `  http://${targets[0]}/                  the page of node a`,
      `  Grafana: Dashboards, New, Import, ${relative(process.cwd(), DASHBOARD)}`
    ].join("\n")
  )
}

const scrapesAll = async (place: Place, wanted: number): Promise<void> => {
  for (const until = performance.now() + UP_MS; performance.now() < until; await sleep(LOOK_MS)) {
    if (!readRecords(recordsOf(place)).some(isRunning)) break
    const targets = await askPrometheus<Targets>(place.port, "targets").catch(() => undefined)
    if (targets?.activeTargets.filter(({ health }) => health === "up").length === wanted) return
  }
  const log = join(place.directory, "prometheus.log")
  const said = existsSync(log) ? (readFileSync(log, "utf8").trim().split("\n").at(-1) ?? "") : ""
  throw new ToolProblem(`Prometheus does not scrape all ${wanted} nodes: ${said} (${log}); \`down\` ends everything`)
}

/** Shows what is scraped. Returns whether all of it is. */
const status = async (place: Place): Promise<boolean> => {
  try {
    const [{ activeTargets }, { alerts }] = await Promise.all([
      askPrometheus<Targets>(place.port, "targets"),
      askPrometheus<Alerts>(place.port, "alerts")
    ])
    console.log(`prometheus  http://127.0.0.1:${place.port}`)
    for (const { health, labels } of activeTargets) console.log(`node        ${labels["instance"]}  ${health}`)
    for (const { state, labels } of alerts)
      console.log(`alert       ${labels["alertname"]} of ${labels["instance"]}  ${state}`)
    if (alerts.length === 0) console.log("alert       none")
    return activeTargets.every(({ health }) => health === "up")
  } catch {
    console.log(`prometheus  does not answer on 127.0.0.1 port ${place.port}`)
    return false
  }
}

const down = async (place: Place): Promise<void> => {
  for (const record of readRecords(recordsOf(place)))
    if (!(await endRecorded(record, END_MS)))
      throw new ToolProblem(`Prometheus (pid ${record.pid}) did not end; its state is kept`)
  if (existsSync(recordsOf(place))) rmSync(place.directory, { recursive: true, force: true })
  runCluster(place, "down")
}

const parse = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      directory: { type: "string" },
      port: { type: "string", default: "19090" },
      "cluster-directory": { type: "string" },
      "ntp-port": { type: "string" },
      "nats-port": { type: "string" }
    }
  })

const main = async (): Promise<void> => {
  const { values, positionals } = readArguments(parse)
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : 0
  if (port < 1 || port > 65_535) throw new ToolProblem("expected --port with a port", 2)
  const flag = (name: string, value: string | undefined) => (value === undefined ? [] : [`--${name}`, value])
  const place: Place = {
    directory: resolve(values.directory ?? join(root, ".meridian/observability")),
    port,
    cluster: [
      ...flag("directory", values["cluster-directory"]),
      ...flag("ntp-port", values["ntp-port"]),
      ...flag("nats-port", values["nats-port"])
    ]
  }
  await runVerb(positionals, {
    up: () => up(place),
    down: () => down(place),
    status: () => status(place)
  })
}

await runTool("observability", main)
