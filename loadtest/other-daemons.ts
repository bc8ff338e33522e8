/** Daemons beside chronyd that serve plain time in the rates bench, as servers that are synchronised. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "./children.ts"
import { sample } from "./measure.ts"
import {
  isRoot,
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

export interface OtherDaemon {
  readonly label: string
  /** Why it cannot be started here. */
  readonly lacks: string | undefined
  readonly begin: () => Promise<RunningServer>
}

/** @param core the generator's */
export const otherDaemons = (options: StartOptions, core: number): readonly OtherDaemon[] => {
  const lacks = missingPeer("bookworm", NTPSEC) ?? (isRoot ? undefined : "a network of its own needs root")
  const label = lacks === undefined ? `NTPsec ${peerVersion("bookworm", NTPSEC, "--version")}` : "NTPsec"
  return [{ label, lacks, begin: () => startNtpsec(label, options, core) }]
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
  await untilSynchronised(server, core)
  return server
}

const untilSynchronised = async (server: RunningServer, core: number): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await sample(server, { mode: "open", rate: 20, seconds: 0.5 }, core)
      return
    } catch (error) {
      if (attempt < NTPSEC_ATTEMPTS) continue
      await server.stop()
      throw error
    }
  }
}
