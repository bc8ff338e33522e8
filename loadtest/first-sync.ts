/**
 * How long a client takes to its first synchronisation, Meridian beside chronyd and NTPsec: from the start command to the
 * first answer with time in it, in one run. Four chronyd serve, in a network of their own; each client has one, too.
 */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { makeCertificate } from "@meridian/testkit/certificates"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { type Child, type Command, launch, launchAndRead, removeFolder, stop, temporaryFolder } from "./children.ts"
import { allowedCores } from "./process-figures.ts"
import type { BenchOptions, BenchResult, Check, Figure } from "./results.ts"
import {
  checkout,
  chronydCommand,
  chronydLabel,
  missingPeer,
  peerCommand,
  peerVersion,
  withoutClock
} from "./servers.ts"
import { summary } from "./statistics.ts"

const NTPSEC = "usr/sbin/ntpd"
const SERVERS = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
const NAMES = SERVERS.map((_, index) => `n${index + 1}.test`)
const DNS = "192.0.2.53"
const DNS_LATE_MS = 20_000
/** Who is not synchronised by then counts as this. */
const PATIENCE_SECONDS = 90
/** How long a daemon runs on before it is started again. */
const SETTLE_MS = 15_000
const MOST_OF_FASTER = 1.2

interface Case {
  readonly name: string
  readonly nts: boolean
  readonly iburst: boolean
  /** The fourth server is not there. */
  readonly dead?: boolean
  readonly lateDns?: boolean
  /** Started once before, and ended in order. */
  readonly warm?: boolean
}

const kinds: readonly Omit<Case, "nts">[] = [
  { name: "cold start", iburst: true },
  { name: "warm restart", iburst: true, warm: true },
  { name: "without iburst", iburst: false },
  { name: "one dead server", iburst: true, dead: true },
  { name: "DNS 20 s late", iburst: true, lateDns: true }
]
const cases: readonly Case[] = [false, true].flatMap((nts) => kinds.map((kind) => ({ ...kind, nts })))

/** A daemon under test: how it is started in a folder that outlives it. */
interface Daemon {
  readonly label: string
  readonly command: (folder: string, of: Case, authority: string) => Command
}

const sourceLines = ({ nts, iburst }: Case): readonly string[] =>
  NAMES.map((name) => `server ${name}${iburst ? " iburst" : ""}${nts ? " nts" : ""}`)

const written = (folder: string, lines: readonly string[]): string => {
  const file = join(folder, "client.conf")
  writeFileSync(file, `${lines.join("\n")}\n`)
  return file
}

const daemons = (): readonly Daemon[] => [
  {
    label: "Meridian",
    command: (folder, of, authority) => {
      const lines = [`driftfile ${folder}/drift`, ...(of.nts ? [`nts ca ${authority}`] : [])]
      const file = written(folder, [...sourceLines(of), ...lines])
      const flags = ["--config", file, "--port", "123", "--state", join(folder, "state"), "--workers", "1"]
      return { command: process.execPath, args: [join(checkout, "services/cli/bin/meridian.mjs"), "up", ...flags] }
    }
  },
  {
    label: chronydLabel("chronyd-new"),
    command: (folder, of, authority) => {
      const own = ["port 123", "cmdport 0", "bindcmdaddress /", "allow", `pidfile ${folder}/pid`]
      const kept = [`driftfile ${folder}/drift`, `ntsdumpdir ${folder}`]
      const file = written(folder, [
        ...sourceLines(of),
        ...own,
        ...kept,
        ...(of.nts ? [`ntstrustedcerts ${authority}`] : [])
      ])
      return withoutClock(peerCommand("sid", "usr/sbin/chronyd", ["-u", "root", "-x", "-d", "-F", "0", "-f", file]))
    }
  },
  {
    label: `NTPsec ${peerVersion("bookworm", NTPSEC, "--version")}`,
    command: (folder, of, authority) => {
      const own = [
        "restrict default",
        "restrict 127.0.0.1",
        "limit average 1000 burst 1000",
        `driftfile ${folder}/drift`,
        `nts cookie ${folder}/cookies`
      ]
      const file = written(folder, [...sourceLines(of), ...own, ...(of.nts ? [`nts ca ${authority}`] : [])])
      return withoutClock(peerCommand("bookworm", NTPSEC, ["-n", "-g", "-c", file, "-l", `${folder}/log`]))
    }
  }
]

const inside = (
  network: NetworkNamespace,
  { command, args, ...rest }: Command,
  before: readonly string[] = []
): Command => {
  const [program = "", ...more] = [...network.within, ...before]
  return { command: program, args: [...more, command, ...args], ...rest }
}

/** The servers' side: its network, with a certificate for all of their names. */
class Stage {
  readonly folder = temporaryFolder()
  readonly network = new NetworkNamespace([...SERVERS, DNS])
  readonly authority = join(this.folder, "certificate.pem")
  private readonly cores = allowedCores()
  private readonly running: Child[] = []

  constructor() {
    const key = join(this.folder, "key.pem")
    makeCertificate({ key, certificate: this.authority, names: NAMES.map((name) => `DNS:${name}`).join(",") })
    writeFileSync(join(this.folder, "resolv.conf"), `nameserver ${DNS}\n`)
  }

  begin({ dead, lateDns }: Case): void {
    for (const [index, address] of SERVERS.entries()) {
      if (dead === true && index === SERVERS.length - 1) continue
      const folder = join(this.folder, `server${index}`)
      execFileSync("mkdir", ["-p", "-m", "0750", folder])
      const nts = [`ntsservercert ${this.authority}`, `ntsserverkey ${this.folder}/key.pem`, `ntsdumpdir ${folder}`]
      const server = chronydCommand("chronyd-new", address, 123, folder, ["local stratum 1", ...nts])
      this.running.push(launch(inside(this.network, server), this.cores))
    }
    if (lateDns !== true) this.serveNames()
  }

  serveNames(): void {
    const pairs = NAMES.map((name, index) => `${name}=${SERVERS[index]}`)
    const args = [join(import.meta.dirname, "late-dns.ts"), DNS, ...pairs]
    this.running.push(launch(inside(this.network, { command: process.execPath, args }), this.cores))
  }

  async endServers(): Promise<void> {
    await Promise.all(this.running.splice(0).map(stop))
  }

  remove(): void {
    this.network.remove()
    removeFolder(this.folder)
  }
}

/** A client's side: its network, and the folder that outlives the daemon. */
class Client {
  readonly folder = temporaryFolder()
  private readonly network = new NetworkNamespace()
  private readonly cores = allowedCores()
  private readonly daemon: Daemon
  private child: Child | undefined

  constructor(daemon: Daemon, stage: Stage, index: number) {
    this.daemon = daemon
    this.network.connect(stage.network, [`10.99.${index}.2/24`], [`10.99.${index}.1/24`])
    this.network.ip("route", "add", "default", "via", `10.99.${index}.1`)
    execFileSync("chmod", ["750", this.folder])
  }

  /** Seconds from the start to the first answer with time in it; infinite where none came in time. */
  async start(stage: Stage, of: Case): Promise<number> {
    const resolver = ["sh", "-c", `mount --bind ${stage.folder}/resolv.conf /etc/resolv.conf && exec "$@"`, "sh"]
    const asking = {
      command: process.execPath,
      args: [join(import.meta.dirname, "first-answer.ts"), String(PATIENCE_SECONDS)]
    }
    const answered = launchAndRead(inside(this.network, asking), this.cores).then(Number, () => Infinity)
    const begun = Date.now()
    const command = this.daemon.command(this.folder, of, stage.authority)
    this.child = launch(inside(this.network, command, resolver), this.cores)
    return ((await answered) - begun) / 1e3
  }

  async end(): Promise<void> {
    if (this.child !== undefined) await stop(this.child)
    this.child = undefined
  }

  remove(): void {
    this.network.remove()
    removeFolder(this.folder)
  }
}

/** Seconds of each daemon, all of them started at once. */
const measure = async (of: Case): Promise<readonly number[]> => {
  const stage = new Stage()
  const clients = daemons().map((daemon, index) => new Client(daemon, stage, index))
  try {
    stage.begin(of)
    // Servers of their own clock are ready within a second; a busy machine is given another.
    await setTimeout(2_000)
    const late = of.lateDns === true ? setTimeout(DNS_LATE_MS).then(() => stage.serveNames()) : undefined
    const first = await Promise.all(clients.map((client) => client.start(stage, of)))
    await late
    if (of.warm !== true) return first
    await setTimeout(SETTLE_MS)
    await Promise.all(clients.map((client) => client.end()))
    return await Promise.all(clients.map((client) => client.start(stage, of)))
  } finally {
    await Promise.all(clients.map((client) => client.end()))
    await stage.endServers()
    for (const client of clients) client.remove()
    stage.remove()
  }
}

const titleOf = ({ name, nts }: Case): string => `${name}, ${nts ? "NTS" : "plain"}, seconds`

export const firstSync = async ({ rounds, progress }: BenchOptions): Promise<BenchResult> => {
  const lacks = [missingPeer("sid", "usr/sbin/chronyd"), missingPeer("bookworm", NTPSEC)].find((it) => it !== undefined)
  if (lacks !== undefined) throw new Error(lacks)
  if (!canMakeNamespaces("first-sync")) throw new Error("it needs root, and the right to make networks")
  const labels = daemons().map(({ label }) => label)
  const figures: Figure[] = []
  const checks: Check[] = []
  for (const [index, of] of cases.entries()) {
    const taken: (readonly number[])[] = []
    for (let round = 0; round < rounds; round += 1) {
      progress(`first-sync: ${titleOf(of)}, ${index + 1} of ${cases.length}, round ${round + 1} of ${rounds}`)
      const row = (await measure(of)).map((seconds) => Math.min(seconds, PATIENCE_SECONDS))
      progress(
        `first-sync: ${titleOf(of)}: ${row.map((seconds, at) => `${labels[at]} ${seconds.toFixed(1)}`).join(", ")}`
      )
      taken.push(row)
    }
    const each = labels.map((_, column) => summary(taken.map((row) => row[column] as number)))
    figures.push({
      name: titleOf(of),
      digits: 1,
      of: Object.fromEntries(labels.map((label, column) => [label, each[column]!]))
    })
    const ratios = taken.map(([own = NaN, ...others]) => own / Math.min(...others))
    checks.push({
      name: `${titleOf(of)}: Meridian / the faster of the others`,
      found: summary(ratios),
      digits: 2,
      target: `at most ${MOST_OF_FASTER}`,
      met: summary(ratios).median <= MOST_OF_FASTER
    })
  }
  return {
    name: "first-sync",
    title: "from the start command to the first answer with time in it, four servers, three clients at once",
    figures,
    checks,
    notes: [`${PATIENCE_SECONDS} seconds stand for ${PATIENCE_SECONDS} or more`]
  }
}
