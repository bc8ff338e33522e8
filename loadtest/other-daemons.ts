/** Daemons beside chronyd that serve plain time in the rates bench, as servers that are synchronised. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "./children.ts"
import { sample } from "./measure.ts"
import { missingNtpdRs, ntpdRsCommand, ntpdRsLabel } from "./ntpd-rs.ts"
import {
  chronydCommand,
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

const NTPSEC = "usr/sbin/ntpd"
/** Its own clock is its reference, which it believes within seconds; and it may never touch that clock. */
const NTPSEC_LINES = ["refclock local stratum 9 minpoll 3 maxpoll 3", "tos orphan 9 orphanwait 1", "disable ntp"]
const NTPSEC_ATTEMPTS = 60

/** Where the server that it follows listens: it is not synchronised by itself. */
const NTPD_RS_UPSTREAM = "127.0.0.2"
/** It asks each 16 s at the start, and follows after a few answers. */
const NTPD_RS_ATTEMPTS = 240

interface OtherDaemon {
  readonly label: string
  /** Why it cannot be started here. */
  readonly lacks: string | undefined
  readonly begin: () => Promise<RunningServer>
}

/** @param core the generator's */
export const otherDaemons = (options: StartOptions, core: number): readonly OtherDaemon[] => {
  const ntpsec = missingPeer("bookworm", NTPSEC) ?? (isRoot ? undefined : "a network of its own needs root")
  const ntpdRs = missingNtpdRs() ?? missing("chronyd43")
  const labels = {
    ntpsec: ntpsec === undefined ? `NTPsec ${peerVersion("bookworm", NTPSEC, "--version")}` : "NTPsec",
    ntpdRs: ntpdRs === undefined ? ntpdRsLabel() : "ntpd-rs"
  }
  return [
    { label: labels.ntpsec, lacks: ntpsec, begin: () => startNtpsec(labels.ntpsec, options, core) },
    { label: labels.ntpdRs, lacks: ntpdRs, begin: () => startNtpdRs(labels.ntpdRs, options, core) }
  ]
}

const startNtpdRs = async (label: string, options: StartOptions, core: number): Promise<RunningServer> => {
  const commands = (port: number, folder: string): readonly Command[] => [
    ntpdRsCommand(folder, `${NTPD_RS_UPSTREAM}:${port}`, `[[server]]\nlisten = "${options.address}:${port}"`),
    chronydCommand("chronyd43", NTPD_RS_UPSTREAM, port, folder)
  ]
  const server = await startCommands("other", label, options, commands, async () => true)
  await untilSynchronised(server, core, NTPD_RS_ATTEMPTS)
  return server
}

/** It listens on port 123 only, so it has a network of its own, which ends with it. */
const startNtpsec = async (label: string, options: StartOptions, core: number): Promise<RunningServer> => {
  const commands = (_port: number, folder: string): readonly Command[] => {
    const file = join(folder, "ntp.conf")
    writeFileSync(file, `${NTPSEC_LINES.join("\n")}\n`)
    const { command, args, environment } = withoutClock(peerCommand("bookworm", NTPSEC, ["-n", "-g", "-c", file]))
    return [
      {
        command: "unshare",
        args: ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", command, ...args],
        ...(environment === undefined ? {} : { environment })
      }
    ]
  }
  const started = await startCommands("other", label, options, commands, async () => true)
  const server: RunningServer = {
    ...started,
    address: "127.0.0.1",
    port: 123,
    within: () => ["nsenter", "-n", "-t", String(started.pids()[0])]
  }
  await untilSynchronised(server, core, NTPSEC_ATTEMPTS)
  return server
}

const untilSynchronised = async (server: RunningServer, core: number, attempts: number): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await sample(server, { mode: "open", rate: 20, seconds: 0.5 }, core)
      return
    } catch (error) {
      if (attempt < attempts) continue
      await server.stop()
      throw error
    }
  }
}
