/** The bench of NTS-KE: CPU of a full handshake, Meridian beside three other servers with the same certificate. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  type BenchCertificate,
  makeCertificate,
  SERVER_NAME,
  startChronyd,
  startKeyExchange
} from "./authenticated-servers.ts"
import { type Command, launchAndRead, removeFolder, temporaryFolder } from "./children.ts"
import type { HandshakeReport } from "./handshakes.ts"
import { missingNtpdRs, ntpdRsCommand, ntpdRsLabel } from "./ntpd-rs.ts"
import { cpuTime } from "./process-figures.ts"
import { isKeptWaiting, undisturbed } from "./repeats.ts"
import { atMost, type BenchOptions, type BenchResult, compared, figure, interleaved, withServers } from "./results.ts"
import {
  isRoot,
  missing,
  missingPeer,
  peerCommand,
  peerVersion,
  type RunningServer,
  startCommands,
  type StartOptions,
  withoutClock
} from "./servers.ts"
import { pairedRatio } from "./statistics.ts"

interface KeyExchangeServer extends RunningServer {
  readonly keyPort: number
  /** It has a network of its own, which the client has to enter. */
  readonly apart: boolean
}

interface Handshakes {
  readonly cpuMilliseconds: number
  readonly perSecond: number
  readonly busy: number
  /** Share of the time that the server was ready to run but something else had its core. */
  readonly disturbed: number
}

const NTPSEC = "usr/sbin/ntpd"
const CLIENTS = 8
/** What is listening and what can be measured shows in the first handshake; until then it is asked again. */
const START_ATTEMPTS = 50

const handshakes = async (
  server: KeyExchangeServer,
  { certificate }: BenchCertificate,
  seconds: number,
  core: number,
  most?: number
): Promise<Handshakes> => {
  const program = join(import.meta.dirname, "handshakes.ts")
  const where = ["--address", server.address, "--port", String(server.keyPort), "--authority", certificate]
  const much = [
    "--seconds",
    String(seconds),
    ...(most === undefined ? [] : ["--most", String(most)]),
    "--clients",
    String(most ?? CLIENTS)
  ]
  const client: Command = {
    command: process.execPath,
    args: [program, ...where, "--server-name", SERVER_NAME, ...much]
  }
  const root = String(server.pids()[0])
  const inside: Command = { command: "nsenter", args: ["-n", "-t", root, client.command, ...client.args] }
  const before = cpuTime(server.pids())
  const report = JSON.parse(await launchAndRead(server.apart ? inside : client, [core])) as HandshakeReport
  const after = cpuTime(server.pids())
  const used = after.used - before.used
  return {
    cpuMilliseconds: (used / report.handshakes) * 1000,
    perSecond: report.handshakes / report.seconds,
    busy: used / report.seconds,
    disturbed: (after.waited - before.waited) / report.seconds
  }
}

const untilItAnswers = async (
  server: KeyExchangeServer,
  certificate: BenchCertificate,
  core: number
): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      await handshakes(server, certificate, 1, core, 1)
      return
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw new Error(`${server.label}: ${(error as Error).message}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** Whether it answers NTP is no matter here. */
const asItIs = () => Promise.resolve(true)

/** It always listens on ports 123 and 4460, so it gets a network of its own, which ends with it. */
const startNtpsec = async (
  options: StartOptions,
  { certificate, key }: BenchCertificate
): Promise<KeyExchangeServer> => {
  const commands = (_port: number, folder: string): readonly Command[] => {
    const file = join(folder, "ntp.conf")
    const lines = ["nts enable", `nts cert ${certificate}`, `nts key ${key}`, `nts cookie ${join(folder, "cookies")}`]
    writeFileSync(file, `${[...lines, "restrict 127.0.0.1", "restrict ::1"].join("\n")}\n`)
    const { command, args, environment } = withoutClock(peerCommand("bookworm", NTPSEC, ["-n", "-c", file]))
    const inside = `ip link set lo up && exec "$@"`
    return [
      {
        command: "unshare",
        args: ["--net", "sh", "-c", inside, "sh", command, ...args],
        ...(environment === undefined ? {} : { environment })
      }
    ]
  }
  const server = await startCommands(
    "meridian",
    `NTPsec ntpd ${peerVersion("bookworm", NTPSEC, "--version")}`,
    options,
    commands,
    asItIs
  )
  return { ...server, address: "127.0.0.1", keyPort: 4460, apart: true }
}

/** The source that it must have is nobody's. */
const startNtpdRs = async (
  options: StartOptions,
  { certificate, key }: BenchCertificate
): Promise<KeyExchangeServer> => {
  const address = options.address.includes(":") ? `[${options.address}]` : options.address
  const commands = (port: number, folder: string): readonly Command[] => [
    ntpdRsCommand(
      folder,
      `${address}:9`,
      `[[nts-ke-server]]
listen = "${address}:${port}"
certificate-chain-path = "${certificate}"
private-key-path = "${key}"`
    )
  ]
  const server = await startCommands("meridian", ntpdRsLabel(), options, commands, asItIs)
  return { ...server, keyPort: server.port, apart: false }
}

const listening = async (starting: Promise<RunningServer>): Promise<KeyExchangeServer> => {
  const server = await starting
  return { ...server, keyPort: server.port, apart: false }
}

/** Full handshakes with an ECDSA P-256 certificate, eight clients at a time. */
export const keyExchange = async (options: BenchOptions): Promise<BenchResult> => {
  const { address, layout, rounds, seconds, progress, servers: wanted } = options
  const core = layout.generator
  const folder = temporaryFolder()
  const certificate = makeCertificate(folder)
  const start = { address, workers: 1, cores: layout.one }
  const reasons = {
    "chronyd 4.3": wanted.includes("chronyd43") ? missing("chronyd43") : "not asked for",
    NTPsec: isRoot ? missingPeer("bookworm", NTPSEC) : "its network namespace needs root",
    "ntpd-rs": missingNtpdRs()
  }
  const starting = [
    () => listening(startKeyExchange(start, certificate)),
    ...(reasons["chronyd 4.3"] === undefined
      ? [() => listening(startChronyd("chronyd43", start, { certificate }))]
      : []),
    ...(reasons.NTPsec === undefined ? [() => startNtpsec(start, certificate)] : []),
    ...(reasons["ntpd-rs"] === undefined ? [() => startNtpdRs(start, certificate)] : [])
  ]
  try {
    return await withServers(starting, async (servers) => {
      for (const server of servers) {
        progress(`nts-ke: warming up ${server.label}`)
        await untilItAnswers(server, certificate, core)
        await handshakes(server, certificate, 3, core)
      }
      const measured = await interleaved(servers, rounds, (server, round) => {
        progress(`nts-ke: round ${round + 1} of ${rounds}, ${server.label}`)
        return undisturbed(() => handshakes(server, certificate, seconds, core), isKeptWaiting)
      })
      const cpu = (server: RunningServer | undefined) =>
        [...measured].find(([each]) => each === server)?.[1].map((each) => each.cpuMilliseconds) ?? []
      const own = servers.find(({ label }) => label === "Meridian")
      return {
        name: "nts-ke",
        title: "NTS-KE, full TLS 1.3 handshakes, ECDSA P-256, one process, one core",
        figures: [
          figure("CPU per handshake, ms", 3, measured, (each) => each.cpuMilliseconds),
          figure("handshakes/s", 0, measured, (each) => each.perSecond),
          figure("server's share of its core", 3, measured, (each) => each.busy)
        ],
        checks: servers
          .filter((server) => server !== own)
          .map((server) => {
            const found = pairedRatio(cpu(own), cpu(server))
            const name = `CPU per handshake: Meridian / ${server.label}`
            return server.name === "chronyd43" ? atMost(name, found, 1.2, 3) : compared(name, found, 3)
          }),
        notes: Object.entries(reasons).flatMap(([name, why]) =>
          why === undefined ? [] : [`${name} is left out: ${why}`]
        )
      }
    })
  } finally {
    removeFolder(folder)
  }
}
